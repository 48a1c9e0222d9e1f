#include <gio/gio.h>

#include "api/conn.h"

/* A slow client costs a descriptor and some memory for as long as we let it. So every connection that waits for its
 * client stands in a queue, has a deadline, and the one that waits longest makes room for a new one: an attacker that
 * opens thousands pushes out its own, while an honest request is complete before its turn comes. */

struct peer {
	char *address;
	struct mu_list quiet;
	unsigned n_quiet, n_open;
};
struct conn {
	struct mu_conns *all;
	struct peer *peer;
	GSocket *socket; /* borrowed: the connection is data of it */
	struct mu_list link, peer_link, all_link;
	bool is_quiet;
	guint timer;
};
static const char key[] = "mu-conn";

void mu_conns_init(struct mu_conns *c)
{
	memset(c, 0, sizeof(*c));
	c->limits = (struct mu_conn_limits){
		.header_ms = 10000, .body_ms = 30000, .idle_ms = 60000, .per_address = 64, .total = 2048,
	};
	c->peers = g_hash_table_new(g_str_hash, g_str_equal);
	mu_list_init(&c->quiet);
	mu_list_init(&c->open);
}

/* Not closed: the HTTP server holds the socket, reads the end of it in the next turn and lets go in its own order. */
static void cut(struct conn *c)
{
	g_socket_shutdown(c->socket, TRUE, TRUE, NULL);
}

static void set_quiet(struct conn *c, bool quiet)
{
	if (c->is_quiet) {
		mu_list_remove(&c->link);
		mu_list_remove(&c->peer_link);
		c->peer->n_quiet--;
		c->all->n_quiet--;
	}
	c->is_quiet = quiet;
	if (!quiet)
		return;
	mu_list_append(&c->all->quiet, &c->link);
	mu_list_append(&c->peer->quiet, &c->peer_link);
	c->peer->n_quiet++;
	c->all->n_quiet++;
}

static gboolean late(gpointer arg)
{
	struct conn *c = arg;

	c->timer = 0;
	c->all->n_timed_out++;
	set_quiet(c, false);
	cut(c);
	return G_SOURCE_REMOVE;
}

static void arm(struct conn *c, unsigned ms)
{
	if (c->timer)
		g_source_remove(c->timer);
	c->timer = ms ? g_timeout_add(ms, late, c) : 0;
}

static void evict(struct conn *c)
{
	c->all->n_evicted++;
	arm(c, 0);
	set_quiet(c, false);
	cut(c);
}

static void conn_free(gpointer arg)
{
	struct conn *c = arg;
	struct peer *p = c->peer;

	arm(c, 0);
	set_quiet(c, false);
	mu_list_remove(&c->all_link);
	c->all->n_open--;
	if (--p->n_open == 0) {
		g_hash_table_remove(c->all->peers, p->address);
		g_free(p->address);
		g_free(p);
	}
	g_free(c);
}

static struct peer *peer_take(struct mu_conns *all, const char *address)
{
	struct peer *p = g_hash_table_lookup(all->peers, address);

	if (p)
		return p;
	p = g_new0(struct peer, 1);
	p->address = g_strdup(address);
	mu_list_init(&p->quiet);
	g_hash_table_insert(all->peers, p->address, p);
	return p;
}

static struct conn *conn_new(struct mu_conns *all, SoupServerMessage *msg, GSocket *socket)
{
	const char *address = soup_server_message_get_remote_host(msg);
	struct conn *c = g_new0(struct conn, 1);

	c->all = all;
	c->socket = socket;
	c->peer = peer_take(all, address ? address : "?");
	c->peer->n_open++;
	all->n_open++;
	all->n_accepted++;
	mu_list_init(&c->link);
	mu_list_init(&c->peer_link);
	mu_list_append(&all->open, &c->all_link);
	g_object_set_data_full(G_OBJECT(socket), key, c, conn_free);
	if (c->peer->n_quiet >= all->limits.per_address)
		evict(MU_CONTAINER_OF(c->peer->quiet.next, struct conn, peer_link));
	else if (all->n_quiet >= all->limits.total)
		evict(MU_CONTAINER_OF(all->quiet.next, struct conn, link));
	return c;
}

static struct conn *conn_of(SoupServerMessage *msg)
{
	GSocket *socket = soup_server_message_get_socket(msg);

	return socket ? g_object_get_data(G_OBJECT(socket), key) : NULL;
}

void mu_conn_cut(SoupServerMessage *msg)
{
	struct conn *c = conn_of(msg);

	if (c)
		cut(c);
}

static void got_headers(SoupServerMessage *msg, gpointer arg)
{
	struct conn *c = conn_of(msg);

	(void)arg;
	if (c)
		arm(c, c->all->limits.body_ms);
}

static void got_body(SoupServerMessage *msg, gpointer arg)
{
	struct conn *c = conn_of(msg);

	(void)arg;
	if (!c)
		return;
	arm(c, 0);
	set_quiet(c, false);
}

static void finished(SoupServerMessage *msg, gpointer arg)
{
	struct conn *c = conn_of(msg);

	(void)arg;
	if (!c)
		return;
	arm(c, c->all->limits.idle_ms);
	set_quiet(c, true);
}

/* The server tells the first request of a connection when it accepts it, before TLS; later ones with their first byte.
 * So the header's time includes the handshake. */
static void started(SoupServer *server, SoupServerMessage *msg, gpointer arg)
{
	struct mu_conns *all = arg;
	GSocket *socket = soup_server_message_get_socket(msg);
	struct conn *c = conn_of(msg);

	(void)server;
	if (!socket)
		return;
	if (!c)
		c = conn_new(all, msg, socket);
	set_quiet(c, true);
	arm(c, all->limits.header_ms);
	g_signal_connect(msg, "got-headers", G_CALLBACK(got_headers), NULL);
	g_signal_connect(msg, "got-body", G_CALLBACK(got_body), NULL);
	g_signal_connect(msg, "finished", G_CALLBACK(finished), NULL);
}

/* A connection whose request was cut short may still be saying goodbye: it goes on without us. */
void mu_conns_done(struct mu_conns *c)
{
	while (!mu_list_empty(&c->open)) {
		struct conn *first = MU_CONTAINER_OF(c->open.next, struct conn, all_link);

		g_object_set_data(G_OBJECT(first->socket), key, NULL);
	}
	g_clear_pointer(&c->peers, g_hash_table_unref);
}

void mu_conns_watch(struct mu_conns *c, SoupServer *server)
{
	g_signal_connect(server, "request-started", G_CALLBACK(started), c);
}
