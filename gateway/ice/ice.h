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
#define MU_ICE_STALE_US	  10000000	/* no valid check on a path for so long: its peer is no longer there. Clients that
					 * keep consent check each 4 to 6 s (RFC 7675, section 5.1) */

struct mu_ice_pair {
	struct mu_path path;
	int64_t checked_us; /* last valid check */
};
/** What the peer proved and chose, and what comes of it.
 *
 *  A check proves that its sender knows our password, not that it is where it seems to be: a lite agent sends no checks of
 *  its own, a source address can be forged, a check seen on the way can be sent again. So a nomination alone does not move
 *  media. During the handshake we send where DTLS comes from, or was nominated: whoever goes on with a handshake got our
 *  part of it. From mu_ice_settle on, `used` follows a nomination once a packet came from there that only the peer can have
 *  made, and that is no repetition (SRTP's replay windows see to it); or when the path used so far is stale, so that a
 *  client that is silent but for its checks, and changed its network, is served again. A path whose connection is gone
 *  (mu_ice_forget) is as good as stale. */
struct mu_ice {
	char ufrag[MU_ICE_UFRAG + 1], pwd[MU_ICE_PWD + 1];
	char old_ufrag[MU_ICE_UFRAG + 1], old_pwd[MU_ICE_PWD + 1]; /* before a restart, until a nomination with the new; else "" */
	struct mu_ice_pair pairs[MU_ICE_PAIRS]; /* where valid checks came from, latest first */
	unsigned n_pairs;
	bool nominated, settled;
	bool lost;		  /* `used` is no path any more */
	bool moving;		  /* `selected` waits to be used: mu_ice_heard has to be told */
	struct mu_path selected;  /* the peer's choice; valid once nominated */
	struct mu_path used;	  /* where to send; valid once there was a pair */
	int64_t last_check_us;	  /* last valid check; once nominated, on the path used (RFC 7675: consent is a path's) */
	struct mu_path forgotten; /* the pair that the last check pushed out of a full list; remote family 0: none */
};
/** Fresh credentials, no pairs. */
void mu_ice_init(struct mu_ice *ice);
/** Wipe the credentials: no check is valid any more. */
void mu_ice_done(struct mu_ice *ice);
/** New credentials (MU_ICE_UFRAG and MU_ICE_PWD characters) after an ICE restart; the path used stays in use, and checks
 *  with the old credentials are answered, until the peer nominates with the new ones (RFC 8445, section 2.4). */
void mu_ice_restart(struct mu_ice *ice, const char *ufrag, const char *pwd);
/** The handshake is over. */
void mu_ice_settle(struct mu_ice *ice);
/** A packet came from this validated path: before mu_ice_settle any DTLS record, then SRTP or SRTCP found authentic.
 *  @return whether `used` is another path now */
bool mu_ice_heard(struct mu_ice *ice, const struct mu_path *from);

/** A path that is no more: a connection that was closed. What was chosen or used of it has to be chosen again; until then
 *  `used` stays what it was, unless the peer chose another path before, or is still in its handshake. Consent lasts as it
 *  would (RFC 7675): the peer has so long to come back.
 *  @return whether `used` is another path now */
bool mu_ice_forget(struct mu_ice *ice, const struct mu_path *path);

/** Whether a datagram looks like STUN (RFC 7983: first byte 0..3, magic cookie). */
bool mu_stun_is(const uint8_t *data, size_t len);
/** Copy our half of a request's USERNAME ("ours:theirs"), without any check of integrity: it finds the session.
 *  @return 0, -EBADMSG (no binding request, no fingerprint, no such attribute, too long) */
int mu_stun_local_ufrag(const uint8_t *data, size_t len, char ret[MU_ICE_UFRAG + 1]);

enum mu_ice_event {
	MU_ICE_IGNORED,	  /* not for us, or not valid: nothing changed, nothing to send */
	MU_ICE_ANSWER,	  /* send the reply */
	MU_ICE_VALID,	  /* send the reply; this path is validated: media and DTLS from it may be looked at */
	MU_ICE_NOMINATED, /* as VALID, and it is now the selected path; told again with each check that nominates. In both,
			   * `used` may be another now, and `forgotten` no longer validated */
};
/** One STUN datagram for this session. The reply, if any, is at most 128 bytes, never more than three times the request.
 *  @param reply     room for 256 bytes
 *  @param reply_len 0: nothing to send */
enum mu_ice_event mu_ice_input(struct mu_ice *ice, const struct mu_path *from, const uint8_t *data, size_t len, int64_t now_us,
	uint8_t *reply, size_t *reply_len);
/** Whether consent is fresh. */
bool mu_ice_consent(const struct mu_ice *ice, int64_t now_us);

#endif
