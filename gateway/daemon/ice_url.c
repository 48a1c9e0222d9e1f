/* ice_url: addresses of STUN and TURN servers (RFC 7064, RFC 7065). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/values.h"

#define HOST_MAX 253 /* RFC 1035, section 2.3.4 */

static const char *after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* "[2001:db8::1]". @return what follows, NULL: no such thing */
static const char *skip_literal(const char *at)
{
	const char *end = strchr(at, ']');
	char host[INET6_ADDRSTRLEN];
	struct in6_addr addr;
	size_t len = end ? (size_t)(end - at) - 1 : 0;

	if (len == 0 || len >= sizeof(host))
		return NULL;
	memcpy(host, at + 1, len);
	host[len] = '\0';
	return inet_pton(AF_INET6, host, &addr) == 1 ? end + 1 : NULL;
}

/* A name or an IPv4 address. What RFC 3986 allows besides, no DNS name has. */
static const char *skip_host(const char *at)
{
	size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._");

	if (*at == '[')
		return skip_literal(at);
	return len > 0 && len <= HOST_MAX && *at != '.' && *at != '-' ? at + len : NULL;
}

static const char *skip_port(const char *at)
{
	size_t len = strspn(at, "0123456789");
	long port = len > 0 && len <= 5 ? strtol(at, NULL, 10) : 0;

	return port >= 1 && port <= 65535 ? at + len : NULL;
}

bool mu_ice_url_relays(const char *url)
{
	return strncmp(url, "turn", 4) == 0;
}

int mu_value_ice_url(const char *text)
{
	static const char *const schemes[] = { "stun:", "stuns:", "turn:", "turns:" };
	const char *at = NULL, *transport;

	for (size_t i = 0; i < MU_ARRAY_LEN(schemes) && !at; i++)
		at = after(text, schemes[i]);
	at = at ? skip_host(at) : NULL;
	if (at && *at == ':')
		at = skip_port(at + 1);
	if (!at)
		return -EINVAL;
	transport = mu_ice_url_relays(text) ? after(at, "?transport=") : NULL;
	if (transport)
		return strcmp(transport, "udp") == 0 || strcmp(transport, "tcp") == 0 ? 0 : -EINVAL;
	return *at ? -EINVAL : 0;
}
