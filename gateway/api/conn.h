/* conn: the connections behind the HTTP server: accepted, given TLS, counted by address, cut when slow
 * (RELIABILITY P7).
 *
 * The library's own listener is not used: in Debian 12 (libsoup 3.2.3) it keeps a reference to every socket
 * it accepts, stops for good when accept fails once, as it does without file descriptors, and an idle
 * connection that its client closes is never let go. So a connection carries one request here; that also
 * leaves nothing to smuggle a second one into.
 */
#ifndef MU_API_CONN_H
#define MU_API_CONN_H

#include <libsoup/soup.h>

#include "api/tls.h"
#include "net/net.h"

struct mu_conn_limits {
	unsigned header_ms;          /* from accept, TLS included, to a complete header */
	unsigned body_ms;            /* then to a complete body */
	unsigned answer_ms;          /* then until the answer is taken; streams have their own rule */
	unsigned per_address, total; /* connections whose request is incomplete */
	unsigned open_per_address;   /* connections of any kind, streams included */
	unsigned open_total;
	bool shared_loopback; /* this machine's own addresses may be a proxy's: no open_per_address for them
			       */
	bool shared;          /* so may every address */
};
struct mu_conns {
	struct mu_conn_limits limits;
	SoupServer *server; /* borrowed */
	struct mu_tls *tls; /* NULL: plain */
	struct mu_listener *listeners[MU_NET_LISTEN_MAX];
	unsigned n_listeners;
	GHashTable *peers;        /* address text -> struct peer */
	struct mu_list quiet;     /* request incomplete, the longest so first */
	struct mu_list answering; /* answer not taken yet, likewise; no streams */
	struct mu_list open;
	unsigned n_quiet, n_open, n_live; /* live: open and not cut */
	uint64_t n_accepted, n_timed_out, n_evicted;
};
/** @param server gets the connections
 *  @param tls    taken over; NULL: plain HTTP */
void mu_conns_init(struct mu_conns *c, SoupServer *server, struct mu_tls *tls);
/** For connections from now on; taken over. */
void mu_conns_set_tls(struct mu_conns *c, struct mu_tls *tls);
/** Bind and accept. @return 0, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -ENOSPC with text in e */
int mu_conns_listen(struct mu_conns *c, const struct mu_addr *at, struct mu_error *e);
uint16_t mu_conns_port(const struct mu_conns *c, unsigned i);
/** Accept no more. */
void mu_conns_stop(struct mu_conns *c);
/** After the server let go of its connections. */
void mu_conns_done(struct mu_conns *c);
/** Cut the connection of a message, answered or not. */
void mu_conn_cut(SoupServerMessage *msg);
/** Its answer is a stream: no deadline, and it is not cut to make room. */
void mu_conn_stream(SoupServerMessage *msg);
/** Whether many clients may be behind its address. */
bool mu_conn_shared(SoupServerMessage *msg);
/** @return borrowed; NULL: gone */
GSocket *mu_conn_socket(SoupServerMessage *msg);
/** Take a connection from the HTTP server, for another protocol: a stream from here on. It stays counted and its socket
 *  open until `ret_hold` is let go by g_object_unref.
 *  @param ret_hold, ret_socket  references
 *  @return the stream, a reference; NULL: it is gone */
GIOStream *mu_conn_take(SoupServerMessage *msg, GObject **ret_hold, GSocket **ret_socket);

#endif
