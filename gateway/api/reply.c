#include <stdio.h>
#include <stdlib.h>

#include "api/private.h"

#define LINGER_MS 2000 /* how long a client whose request was cut short may take to read why */

void mu_reply_headers(SoupServerMessage *msg)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(msg);

	soup_message_headers_replace(h, "Connection", "close"); /* one request each: see conn.h */
	/* Tokens travel in a header that no page of another origin can add by itself, never in cookies. */
	soup_message_headers_replace(h, "Access-Control-Allow-Origin", "*");
	soup_message_headers_replace(h, "Access-Control-Expose-Headers",
		"Location, ETag, Link, Retry-After, WWW-Authenticate, Accept-Post, Allow");
	soup_message_headers_replace(h, "X-Content-Type-Options", "nosniff");
	soup_message_headers_replace(h, "Referrer-Policy", "no-referrer");
	soup_message_headers_replace(h, "Cache-Control", "no-store");
}

char *mu_problem_text(int status, const char *title, const char *detail, const char *instance)
{
	/* A detail may quote what is no UTF-8, or cut it within a character: the rest of it is still to be read. */
	g_autofree char *valid = g_utf8_make_valid(detail, -1);
	json_t *o = json_pack("{ss ss ss}", "type", "about:blank", "title", title, "detail", valid);
	char *text;

	if (status)
		json_object_set_new(o, "status", json_integer(status));
	if (instance)
		json_object_set_new(o, "instance", json_string(instance));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text ? text : strdup("{}");
}

static const char *phrase(int status)
{
	switch (status) {
	case 426:
		return "Upgrade Required";
	case 428: /* RFC 6585, which the library has no words for */
		return "Precondition Required";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return soup_status_get_phrase((guint)status);
	}
}

static void set_body(SoupServerMessage *msg, int status, const char *type, const char *text, size_t len)
{
	soup_message_body_truncate(soup_server_message_get_response_body(msg));
	soup_server_message_set_response(msg, type, SOUP_MEMORY_COPY, type ? text : NULL, type ? len : 0);
	soup_server_message_set_status(msg, (guint)status, phrase(status));
}

void mu_reply_text(struct mu_req *r, int status, const char *type, const char *text, size_t len)
{
	set_body(r->msg, status, type, text, len);
}

void mu_reply_json(struct mu_req *r, int status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (text)
		set_body(r->msg, status, "application/json", text, strlen(text));
	else
		mu_reply_problem(r, 500, "Out of memory", "The answer could not be made. Ask again later.");
	free(text);
}

void mu_reply_problem(struct mu_req *r, int status, const char *title, const char *fmt, ...)
{
	char detail[512], *text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	text = mu_problem_text(status, title, detail, g_uri_get_path(soup_server_message_get_uri(r->msg)));
	set_body(r->msg, status, "application/problem+json", text, strlen(text));
	free(text);
}

void mu_reply_web(struct mu_req *r, struct mu_web_reply *w)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(r->msg);
	char seconds[16];

	if (w->location)
		soup_message_headers_replace(h, "Location", w->location);
	if (w->etag[0])
		soup_message_headers_replace(h, "ETag", w->etag);
	if (w->retry_after_s > 0) {
		snprintf(seconds, sizeof(seconds), "%d", w->retry_after_s);
		soup_message_headers_replace(h, "Retry-After", seconds);
	}
	for (unsigned i = 0; i < w->n_links; i++)
		soup_message_headers_append(h, "Link", w->links[i]);
	if (w->status == 415)
		soup_message_headers_replace(h, "Accept-Patch", "application/trickle-ice-sdpfrag");
	if (w->status >= 400)
		mu_reply_problem(r, w->status, w->title ? w->title : "Refused", "%s", w->detail);
	else
		set_body(r->msg, w->status, w->body ? w->type : NULL, w->body, w->body ? strlen(w->body) : 0);
	mu_web_reply_done(w);
}

/* --- cutting a request short --- */

/* The library would read the body to its end before it answers. We take the connection from it, write the
 * answer, and read on for a moment: closing with unread bytes resets the connection, and the client would
 * never see why. */

struct last {
	GIOStream *stream;
	GSocket *socket;
	GCancellable *stop;
	char *text;
	guint timer;
};

static void last_free(struct last *l)
{
	if (l->timer)
		g_source_remove(l->timer);
	if (l->socket)
		g_socket_shutdown(l->socket, TRUE, TRUE, NULL);
	g_clear_object(&l->socket);
	g_object_unref(l->stream);
	g_object_unref(l->stop);
	free(l->text);
	g_free(l);
}

static gboolean enough(gpointer arg)
{
	struct last *l = arg;

	l->timer = 0;
	g_cancellable_cancel(l->stop);
	return G_SOURCE_REMOVE;
}

static void skipped(GObject *in, GAsyncResult *res, gpointer arg)
{
	struct last *l = arg;

	if (g_input_stream_skip_finish(G_INPUT_STREAM(in), res, NULL) <= 0)
		last_free(l);
	else
		g_input_stream_skip_async(G_INPUT_STREAM(in), 65536, G_PRIORITY_LOW, l->stop, skipped, l);
}

static void written(GObject *out, GAsyncResult *res, gpointer arg)
{
	struct last *l = arg;

	if (!g_output_stream_write_all_finish(G_OUTPUT_STREAM(out), res, NULL, NULL)) {
		last_free(l);
		return;
	}
	if (l->socket)
		g_socket_shutdown(l->socket, FALSE, TRUE, NULL);
	g_input_stream_skip_async(
		g_io_stream_get_input_stream(l->stream), 65536, G_PRIORITY_LOW, l->stop, skipped, l);
}

char *mu_closing_text(int status, const char *body)
{
	char *text;

	if (asprintf(&text,
		    "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
		    "Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s",
		    status, phrase(status), strlen(body), body) < 0)
		text = strdup("HTTP/1.1 500 Out of memory\r\nConnection: close\r\n\r\n");
	return text;
}

void mu_reply_and_close(SoupServerMessage *msg, int status, const char *title, const char *detail)
{
	struct last *l = g_new0(struct last, 1);
	GSocket *socket = mu_conn_socket(msg);
	char *body = mu_problem_text(status, title, detail, NULL);

	l->stop = g_cancellable_new();
	l->socket = socket ? g_object_ref(socket) : NULL;
	l->text = mu_closing_text(status, body);
	free(body);
	soup_server_message_set_status(msg, (guint)status, NULL);
	l->stream = soup_server_message_steal_connection(msg);
	l->timer = g_timeout_add(LINGER_MS, enough, l);
	g_output_stream_write_all_async(g_io_stream_get_output_stream(l->stream), l->text, strlen(l->text),
		G_PRIORITY_DEFAULT, l->stop, written, l);
}
