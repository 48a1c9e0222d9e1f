/* A browser's side of connectivity checks, for tests. */
#ifndef AGENT_H
#define AGENT_H

#include <stun/stunagent.h>

#include "ice/ice.h"

/** Its agent remembers transactions, so that answers are checked as a browser would. */
struct peer {
	StunAgent agent;
	uint8_t data[1024];
	size_t len;
};
struct request {
	const char *ufrag, *pwd; /* ours, as the peer has them from the SDP */
	bool nominate, controlled, no_fingerprint;
	uint16_t extra; /* an attribute more */
};

struct mu_path path_of(const char *host, uint16_t port);
void build(struct peer *peer, const struct request *r);
/** Give it what was built; the reply, if any, takes its place. */
enum mu_ice_event give(struct mu_ice *ice, struct peer *peer, const struct mu_path *from, int64_t now_us);
/** A request with our credentials and what becomes of it. */
enum mu_ice_event ask(struct mu_ice *ice, const struct mu_path *from, bool nominate, int64_t now_us);
/** What the peer reads in the reply. @return error code, 0: success */
int read_reply(struct peer *peer, struct mu_addr *ret_mapped);

#endif
