/* ice: ICE lite (RFC 8445, section 2.5) on a worker's socket, over libnice's STUN code. No socket and no clock here.
 *
 * A session has one component (rtcp-mux, bundle). The peer is the full and controlling agent; we answer its checks, learn
 * its address from the nominated pair, and count its checks as consent (RFC 7675).
 */
#ifndef MU_ICE_H
#define MU_ICE_H

#include "net/net.h"

#define MU_ICE_UFRAG	  8
#define MU_ICE_PWD	  24
#define MU_ICE_PAIRS	  8		/* validated remote addresses kept per session */
#define MU_ICE_CONSENT_US 30000000	/* sending stops this long after the last valid check (RFC 7675, section 5.1) */

struct mu_ice {
	char ufrag[MU_ICE_UFRAG + 1], pwd[MU_ICE_PWD + 1];
	char old_ufrag[MU_ICE_UFRAG + 1], old_pwd[MU_ICE_PWD + 1]; /* before a restart, until a nomination with the new; else "" */
	struct mu_path pairs[MU_ICE_PAIRS]; /* where valid checks came from, latest use first */
	unsigned n_pairs;
	bool nominated;
	struct mu_path selected;	    /* valid once nominated */
	int64_t last_check_us;		    /* last valid check; once nominated, on the selected path (RFC 7675: consent is a path's) */
};
/** Fresh credentials, no pairs. */
void mu_ice_init(struct mu_ice *ice);
/** New credentials after an ICE restart; selected stays in use, and checks with the old credentials are answered, until
 *  the peer nominates with the new ones (RFC 8445, section 2.4). */
void mu_ice_restart(struct mu_ice *ice);

/** Whether a datagram looks like STUN (RFC 7983: first byte 0..3, magic cookie). */
bool mu_stun_is(const uint8_t *data, size_t len);
/** Copy our half of a request's USERNAME ("ours:theirs"), without any check of integrity: it finds the session.
 *  @return 0, -EBADMSG (no binding request, no fingerprint, no such attribute, too long) */
int mu_stun_local_ufrag(const uint8_t *data, size_t len, char ret[MU_ICE_UFRAG + 1]);

enum mu_ice_event {
	MU_ICE_IGNORED,	  /* not for us, or not valid: nothing changed, nothing to send */
	MU_ICE_ANSWER,	  /* send the reply */
	MU_ICE_VALID,	  /* send the reply; this path is validated: media and DTLS from it may be looked at */
	MU_ICE_NOMINATED, /* as VALID, and it is now the selected path; told again with each check that nominates */
};
/** One STUN datagram for this session. The reply, if any, is at most 128 bytes, never more than three times the request.
 *  @param reply     room for 256 bytes
 *  @param reply_len 0: nothing to send */
enum mu_ice_event mu_ice_input(struct mu_ice *ice, const struct mu_path *from, const uint8_t *data, size_t len, int64_t now_us,
	uint8_t *reply, size_t *reply_len);
/** Whether consent is fresh. */
bool mu_ice_consent(const struct mu_ice *ice, int64_t now_us);
/** Whether a path was validated by a check. */
bool mu_ice_knows(const struct mu_ice *ice, const struct mu_addr *remote);

#endif
