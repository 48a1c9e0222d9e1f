/* The opening handshake of a WebSocket (RFC 6455, section 4.2). */
#include "api/console_socket.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static SoupMessageHeaders *asked(const struct mu_req *r)
{
	return soup_server_message_get_request_headers(r->msg);
}

static bool has_word(const struct mu_req *r, const char *name, const char *word)
{
	return soup_message_headers_header_contains(asked(r), name, word);
}

/* Scheme aside, what a browser says it comes from and what it went to are one: host and port. */
static bool same_host(const char *origin, const char *host)
{
	const char *at = strstr(origin, "://");

	return at && host && g_ascii_strcasecmp(at + 3, host) == 0;
}

/* RELIABILITY S17: the token is in the first message, but another's page shall not even get that far. */
static bool origin_allowed(struct mu_req *r)
{
	const char *origin = soup_message_headers_get_one(asked(r), "Origin");

	if (!origin || same_host(origin, soup_message_headers_get_one(asked(r), "Host")))
		return true;
	mu_reply_problem(r, 403, "Not allowed",
		"A page of %.100s may not open a console here: only this gateway's own.", origin);
	return false;
}

static bool is_upgrade(struct mu_req *r)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(r->msg);
	bool websocket = strcmp(soup_server_message_get_method(r->msg), "GET") == 0 &&
		soup_server_message_get_http_version(r->msg) == SOUP_HTTP_1_1 &&
		has_word(r, "Upgrade", "websocket") && has_word(r, "Connection", "upgrade");
	const char *version = soup_message_headers_get_one(asked(r), "Sec-WebSocket-Version");

	if (websocket && version && strcmp(version, "13") == 0)
		return true;
	soup_message_headers_replace(h, "Upgrade", "websocket");
	soup_message_headers_replace(h, "Sec-WebSocket-Version", "13");
	mu_reply_problem(
		r, 426, "Upgrade required", "This is served by WebSocket (RFC 6455, version 13) only.");
	return false;
}

static bool protocol_known(struct mu_req *r)
{
	if (has_word(r, "Sec-WebSocket-Protocol", MU_CONSOLE_PROTOCOL))
		return true;
	mu_reply_problem(r, 400, "Unknown subprotocol",
		"Sec-WebSocket-Protocol has to offer " MU_CONSOLE_PROTOCOL
		", which is all that this gateway speaks.");
	return false;
}

char *mu_ws_accept(const char *key)
{
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA1);
	guint8 digest[20];
	gsize len = sizeof(digest);

	g_checksum_update(sum, (const guchar *)key, (gssize)strlen(key));
	g_checksum_update(sum, (const guchar *)GUID, sizeof(GUID) - 1);
	g_checksum_get_digest(sum, digest, &len);
	g_checksum_free(sum);
	return g_base64_encode(digest, len);
}

/* 16 bytes in base64. */
static const char *key_of(struct mu_req *r)
{
	const char *key = soup_message_headers_get_one(asked(r), "Sec-WebSocket-Key");
	gsize len = 0;
	guchar *bytes = key && strlen(key) == 24 ? g_base64_decode(key, &len) : NULL;

	g_free(bytes);
	if (len == 16)
		return key;
	mu_reply_problem(r, 400, "Bad handshake", "Sec-WebSocket-Key has to be 16 bytes in base64.");
	return NULL;
}

char *mu_ws_handshake(struct mu_req *r)
{
	const char *key;
	char *accept, *text;

	if (!is_upgrade(r) || !origin_allowed(r) || !protocol_known(r))
		return NULL;
	key = key_of(r);
	if (!key)
		return NULL;
	accept = mu_ws_accept(key);
	text = g_strdup_printf(
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: " MU_CONSOLE_PROTOCOL "\r\n\r\n",
		accept);
	g_free(accept);
	return text;
}
