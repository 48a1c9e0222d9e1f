/* conn: the connections behind the HTTP server: how many an address may hold, how long each may take (RELIABILITY P7). */
#ifndef MU_API_CONN_H
#define MU_API_CONN_H

#include <libsoup/soup.h>

#include "base/base.h"

struct mu_conn_limits {
	unsigned header_ms, body_ms, idle_ms; /* to send a header, a body; between requests */
	unsigned per_address, total;	      /* connections that are idle or whose request is incomplete */
};
struct mu_conns {
	struct mu_conn_limits limits;
	GHashTable *peers;    /* address text -> struct peer */
	struct mu_list quiet; /* idle or incomplete, the longest so first */
	struct mu_list open;
	unsigned n_quiet, n_open;
	uint64_t n_accepted, n_timed_out, n_evicted;
};
void mu_conns_init(struct mu_conns *c);
/** Watch the connections of a server. */
void mu_conns_watch(struct mu_conns *c, SoupServer *server);
/** The server's connections should be gone. */
void mu_conns_done(struct mu_conns *c);
/** Cut the connection of a message, answered or not. */
void mu_conn_cut(SoupServerMessage *msg);

#endif
