#include <errno.h>

#include "api/listener.h"

#define BACKLOG    512
#define BATCH      16  /* accepted in one turn of the loop */
#define BACKOFF_MS 100 /* after a failure, which is as a rule a lack of descriptors */

struct mu_listener {
	struct mu_conns *to;
	GSocket *socket;
	GSource *source; /* NULL: waits for `timer` */
	guint timer;
	struct mu_log_gate gate;
};

static gboolean ready(GSocket *s, GIOCondition cond, gpointer arg);

static void watch(struct mu_listener *l)
{
	l->source = g_socket_create_source(l->socket, G_IO_IN, NULL);
	g_source_set_callback(l->source, G_SOURCE_FUNC(ready), l, NULL);
	g_source_set_priority(l->source, MU_TLS_PRIORITY);
	g_source_attach(l->source, g_main_context_get_thread_default());
}

static void unwatch(struct mu_listener *l)
{
	if (l->source) {
		g_source_destroy(l->source);
		g_clear_pointer(&l->source, g_source_unref);
	}
	if (l->timer)
		g_source_remove(l->timer);
	l->timer = 0;
}

static gboolean again(gpointer arg)
{
	struct mu_listener *l = arg;

	l->timer = 0;
	watch(l);
	return G_SOURCE_REMOVE;
}

static void failed(struct mu_listener *l, const GError *ge)
{
	uint64_t n = mu_log_gate_pass(&l->gate, mu_clock_us(), 10000000);

	if (n)
		mu_warn("api", NULL, "cannot accept connections: %s (%llu times so far); trying again",
			ge->message, (unsigned long long)n);
	mu_conns_make_room(l->to);
	unwatch(l);
	l->timer = g_timeout_add(BACKOFF_MS, again, l);
}

static gboolean ready(GSocket *s, GIOCondition cond, gpointer arg)
{
	struct mu_listener *l = arg;

	(void)cond;
	for (int i = 0; i < BATCH; i++) {
		GError *ge = NULL;
		GSocket *got = g_socket_accept(s, NULL, &ge);

		if (got) {
			mu_conns_accepted(l->to, got);
			g_object_unref(got);
			continue;
		}
		if (!g_error_matches(ge, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
			failed(l, ge);
		g_error_free(ge);
		break;
	}
	return l->source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static bool bind_to(GSocket *s, GSocketAddress *at, GError **ge)
{
	/* IPv4 has listeners of its own: that way what is open is what was configured */
	if (g_socket_get_family(s) == G_SOCKET_FAMILY_IPV6)
		g_socket_set_option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1, NULL);
	g_socket_set_listen_backlog(s, BACKLOG);
	g_socket_set_blocking(s, FALSE);
	return g_socket_bind(s, at, TRUE, ge) && g_socket_listen(s, ge);
}

static int errno_of(const GError *ge)
{
	if (g_error_matches(ge, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
		return -EADDRINUSE;
	return g_error_matches(ge, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED) ? -EACCES : -EADDRNOTAVAIL;
}

int mu_listener_new(
	struct mu_conns *to, const struct mu_addr *addr, struct mu_listener **ret, struct mu_error *e)
{
	GSocketAddress *at = g_socket_address_new_from_native((gpointer)&addr->sa, mu_addr_size(addr));
	GError *ge = NULL;
	GSocket *s = g_socket_new(
		g_socket_address_get_family(at), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &ge);
	struct mu_listener *l = NULL;
	char *text;
	int err;

	if (s && bind_to(s, at, &ge)) {
		l = g_new0(struct mu_listener, 1);
		l->to = to;
		l->socket = s;
		watch(l);
		g_object_unref(at);
		*ret = l;
		return 0;
	}
	text = g_socket_connectable_to_string(G_SOCKET_CONNECTABLE(at));
	err = mu_error_set(e, errno_of(ge), "cannot listen on %s: %s", text, ge->message);
	g_free(text);
	g_error_free(ge);
	g_clear_object(&s);
	g_object_unref(at);
	return err;
}

void mu_listener_free(struct mu_listener *l)
{
	unwatch(l);
	g_socket_close(l->socket, NULL);
	g_object_unref(l->socket);
	g_free(l);
}

uint16_t mu_listener_port(const struct mu_listener *l)
{
	GSocketAddress *at = g_socket_get_local_address(l->socket, NULL);
	uint16_t port = at ? g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(at)) : 0;

	g_clear_object(&at);
	return port;
}
