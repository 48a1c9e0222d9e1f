#include <errno.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "api/conn.h"
#include "api/guard.h"
#include "api/listener.h"

#define OPEN_MAX 8192
/* A peer that is gone without a word, or takes nothing of what is sent: the kernel gives up on it then. */
#define DEAD_MS      15000
#define KEEPALIVE_S  10
#define KEEP_PROBE_S 5

/* A slow client costs a descriptor and some memory for as long as we let it. So every connection that waits
 * for its client, be it for the rest of its request or to take its answer, stands in a queue, has a deadline,
 * and the one that waits longest makes room for a new one: an attacker that opens thousands pushes out its
 * own, while an honest request is complete, and its answer gone, before its turn comes. */

enum conn_state { QUIET, ANSWERING, LOOSE }; /* LOOSE: a stream, or done: in no queue */
struct peer {
	char *address;
	struct mu_list quiet, answering;
	unsigned n_quiet, n_open, n_live;
	bool shared;
};
/* Data of the remote address object, which lives as long as the server's connection does. */
struct conn {
	struct mu_conns *all;
	struct peer *peer;
	GSocket *socket;        /* a reference */
	GSocketAddress *remote; /* borrowed */
	struct mu_list link, peer_link, all_link;
	enum conn_state state;
	int64_t since_us; /* in this state */
	bool is_cut;
	bool is_stream; /* has no answer that a client could be slow to take; until the next request */
	guint timer;
};
static const char key[] = "mu-conn";

static void not_live(struct conn *c)
{
	if (c->is_cut)
		return;
	c->is_cut = true;
	c->peer->n_live--;
	c->all->n_live--;
}

/* Not closed: the HTTP server holds the stream, reads its end in the next turn and lets go in its own order.
 */
static void cut(struct conn *c)
{
	not_live(c);
	g_socket_shutdown(c->socket, TRUE, TRUE, NULL);
}

static void set_state(struct conn *c, enum conn_state state)
{
	int quiet = (state == QUIET) - (c->state == QUIET);

	if (c->state == state)
		return;
	mu_list_remove(&c->link);
	mu_list_remove(&c->peer_link);
	c->peer->n_quiet += (unsigned)quiet;
	c->all->n_quiet += (unsigned)quiet;
	c->state = state;
	c->since_us = mu_clock_us();
	if (state == LOOSE)
		return;
	mu_list_append(state == QUIET ? &c->all->quiet : &c->all->answering, &c->link);
	mu_list_append(state == QUIET ? &c->peer->quiet : &c->peer->answering, &c->peer_link);
}

static gboolean late(gpointer arg)
{
	struct conn *c = arg;

	c->timer = 0;
	c->all->n_timed_out++;
	set_state(c, LOOSE);
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
	set_state(c, LOOSE);
	cut(c);
}

/* Of two that head their queues, the one that stands there longer; NULL: both are empty. */
static struct conn *longest(struct conn *a, struct conn *b)
{
	return !a ? b : !b || a->since_us <= b->since_us ? a : b;
}

static struct conn *first(struct mu_list *queue)
{
	return mu_list_empty(queue) ? NULL : MU_CONTAINER_OF(queue->next, struct conn, link);
}

static struct conn *peer_first(struct mu_list *queue)
{
	return mu_list_empty(queue) ? NULL : MU_CONTAINER_OF(queue->next, struct conn, peer_link);
}

static void conn_free(gpointer arg)
{
	struct conn *c = arg;
	struct peer *p = c->peer;

	arm(c, 0);
	set_state(c, LOOSE);
	not_live(c);
	mu_list_remove(&c->all_link);
	c->all->n_open--;
	if (--p->n_open == 0) {
		g_hash_table_remove(c->all->peers, p->address);
		g_free(p->address);
		g_free(p);
	}
	g_object_unref(c->socket);
	g_free(c);
}

static struct peer *peer_take(struct mu_conns *all, GSocketAddress *remote)
{
	GInetAddress *inet = g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(remote));
	char *address = g_inet_address_to_string(inet);
	struct peer *p = g_hash_table_lookup(all->peers, address);

	if (p) {
		g_free(address);
		return p;
	}
	p = g_new0(struct peer, 1);
	p->address = address;
	p->shared =
		all->limits.shared || (all->limits.shared_loopback && g_inet_address_get_is_loopback(inet));
	mu_list_init(&p->quiet);
	mu_list_init(&p->answering);
	g_hash_table_insert(all->peers, p->address, p);
	return p;
}

/* Before a connection is added. Where only streams are left to cut, the new one is cut instead. */
static bool make_room_for(struct mu_conns *all, struct peer *p)
{
	struct conn *c = NULL;
	bool full = true;

	if (!p->shared && p->n_live >= all->limits.open_per_address)
		c = longest(peer_first(&p->quiet), peer_first(&p->answering));
	else if (p->n_quiet >= all->limits.per_address)
		c = peer_first(&p->quiet);
	else if (all->n_live >= all->limits.open_total)
		c = longest(first(&all->quiet), first(&all->answering));
	else if (all->n_quiet >= all->limits.total)
		c = first(&all->quiet);
	else
		full = false;
	if (c)
		evict(c);
	return c || !full;
}

static void conn_new(struct mu_conns *all, GSocket *socket, GSocketAddress *remote)
{
	struct conn *c = g_new0(struct conn, 1);
	bool room;

	c->all = all;
	c->socket = g_object_ref(socket);
	c->remote = remote;
	c->peer = peer_take(all, remote);
	room = make_room_for(all, c->peer);
	c->peer->n_open++;
	c->peer->n_live++;
	all->n_open++;
	all->n_live++;
	all->n_accepted++;
	mu_list_init(&c->link);
	mu_list_init(&c->peer_link);
	mu_list_append(&all->open, &c->all_link);
	c->state = LOOSE;
	g_object_set_data_full(G_OBJECT(remote), key, c, conn_free);
	if (!room) {
		evict(c);
		return;
	}
	set_state(c, QUIET);
	arm(c, all->limits.header_ms);
}

void mu_conns_make_room(struct mu_conns *c)
{
	struct conn *who = longest(first(&c->quiet), first(&c->answering));

	if (who)
		evict(who);
}

/* --- from accept to the HTTP server --- */

static void set_options(GSocket *s)
{
	g_socket_set_option(s, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
	g_socket_set_option(s, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS, NULL);
	g_socket_set_option(s, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S, NULL);
	g_socket_set_option(s, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_PROBE_S, NULL);
	g_socket_set_keepalive(s, TRUE);
}

static void serve(struct mu_conns *all, GSocket *socket, GSocketAddress *local, GSocketAddress *remote)
{
	GIOStream *plain = G_IO_STREAM(g_socket_connection_factory_create_connection(socket));
	GIOStream *stream = all->tls ? mu_tls_stream_new(all->tls, plain, socket) : g_object_ref(plain);
	GIOStream *guard = stream ? mu_guard_new(stream, socket) : NULL;

	if (guard) /* else there is no memory for it, and it closes */
		soup_server_accept_iostream(all->server, guard, local, remote, NULL);
	g_clear_object(&guard);
	g_clear_object(&stream);
	g_object_unref(plain);
}

void mu_conns_accepted(struct mu_conns *all, GSocket *socket)
{
	GSocketAddress *local = g_socket_get_local_address(socket, NULL);
	GSocketAddress *remote = g_socket_get_remote_address(socket, NULL);

	if (local && remote) { /* else it is gone already */
		set_options(socket);
		conn_new(all, socket, remote);
		serve(all, socket, local, remote);
	}
	g_clear_object(&local);
	g_clear_object(&remote);
}

/* --- a request's steps --- */

static struct conn *conn_of(SoupServerMessage *msg)
{
	GSocketAddress *remote = soup_server_message_get_remote_address(msg);

	return remote ? g_object_get_data(G_OBJECT(remote), key) : NULL;
}

static void got_headers(SoupServerMessage *msg, gpointer arg)
{
	struct conn *c = conn_of(msg);

	(void)arg;
	if (!c)
		return;
	c->is_stream = false;
	arm(c, c->all->limits.body_ms);
}

static void got_body(SoupServerMessage *msg, gpointer arg)
{
	struct conn *c = conn_of(msg);

	(void)arg;
	if (!c || c->is_stream) /* the handler ran before this: it had this signal first */
		return;
	if (!c->is_cut)
		set_state(c, ANSWERING);
	arm(c, c->all->limits.answer_ms);
}

static void finished(SoupServerMessage *msg, gpointer arg)
{
	struct conn *c = conn_of(msg);

	(void)arg;
	if (!c)
		return;
	arm(c, 0);
	set_state(c, LOOSE);
}

static void started(SoupServer *server, SoupServerMessage *msg, gpointer arg)
{
	(void)server;
	(void)arg;
	g_signal_connect(msg, "got-headers", G_CALLBACK(got_headers), NULL);
	g_signal_connect(msg, "got-body", G_CALLBACK(got_body), NULL);
	g_signal_connect(msg, "finished", G_CALLBACK(finished), NULL);
}

void mu_conn_cut(SoupServerMessage *msg)
{
	struct conn *c = conn_of(msg);

	if (c)
		cut(c);
}

static void begin_stream(struct conn *c)
{
	c->is_stream = true;
	arm(c, 0);
	set_state(c, LOOSE);
}

void mu_conn_stream(SoupServerMessage *msg)
{
	struct conn *c = conn_of(msg);

	if (c)
		begin_stream(c);
}

bool mu_conn_shared(SoupServerMessage *msg)
{
	struct conn *c = conn_of(msg);

	return c && c->peer->shared;
}

GSocket *mu_conn_socket(SoupServerMessage *msg)
{
	struct conn *c = conn_of(msg);

	return c ? c->socket : NULL;
}

GIOStream *mu_conn_take(SoupServerMessage *msg, GObject **ret_hold, GSocket **ret_socket)
{
	struct conn *c = conn_of(msg);

	if (!c || c->is_cut)
		return NULL;
	begin_stream(c);
	*ret_socket = g_object_ref(c->socket);
	*ret_hold = g_object_ref(G_OBJECT(c->remote));
	return soup_server_message_steal_connection(msg);
}

/* --- all of them --- */

/* Half of the descriptors, so that files, media and databases have theirs. */
static unsigned open_total(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return OPEN_MAX;
	return (unsigned)MU_MIN(MU_MAX(files.rlim_cur / 2, 64), OPEN_MAX);
}

void mu_conns_init(struct mu_conns *c, SoupServer *server, struct mu_tls *tls)
{
	c->limits = (struct mu_conn_limits){
		.header_ms = 10000,
		.body_ms = 30000,
		.answer_ms = 60000,
		.per_address = 64,
		.total = 2048,
		.open_per_address = 128,
		.open_total = open_total(),
		.shared_loopback = true,
	};
	c->server = server;
	c->tls = tls;
	c->peers = g_hash_table_new(g_str_hash, g_str_equal);
	mu_list_init(&c->quiet);
	mu_list_init(&c->answering);
	mu_list_init(&c->open);
	g_signal_connect(server, "request-started", G_CALLBACK(started), NULL);
}

void mu_conns_set_tls(struct mu_conns *c, struct mu_tls *tls)
{
	mu_tls_free(c->tls);
	c->tls = tls;
}

int mu_conns_listen(struct mu_conns *c, const struct mu_addr *at, struct mu_error *e)
{
	int err;

	if (c->n_listeners == MU_ARRAY_LEN(c->listeners))
		return mu_error_set(e, -ENOSPC, "more than %d addresses to listen on", MU_NET_LISTEN_MAX);
	err = mu_listener_new(c, at, &c->listeners[c->n_listeners], e);
	if (err == 0)
		c->n_listeners++;
	return err;
}

uint16_t mu_conns_port(const struct mu_conns *c, unsigned i)
{
	return i < c->n_listeners ? mu_listener_port(c->listeners[i]) : 0;
}

void mu_conns_stop(struct mu_conns *c)
{
	while (c->n_listeners)
		mu_listener_free(c->listeners[--c->n_listeners]);
}

/* A connection whose request was cut short and that still says why ends by itself. */
void mu_conns_done(struct mu_conns *c)
{
	if (!c->peers)
		return;
	while (!mu_list_empty(&c->open)) {
		struct conn *one = MU_CONTAINER_OF(c->open.next, struct conn, all_link);

		cut(one);
		g_object_set_data(G_OBJECT(one->remote), key, NULL);
	}
	g_hash_table_unref(c->peers);
	mu_tls_free(c->tls);
}
