/* webrtc: SDP, the sessions that WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) make, and consoles. Control thread only.
 *
 * Knows nothing of HTTP libraries: a request comes as strings, the answer goes as a struct mu_web_reply, so the whole is
 * tested without a server.
 */
#ifndef MU_WEBRTC_H
#define MU_WEBRTC_H

#include <jansson.h>

#include "conference/conference.h"
#include "directory/directory.h"
#include "secure/secure.h"
#include "transport/transport.h"

#define MU_ICE_SERVERS_MAX 8 /* addresses of STUN and TURN servers */

/** Answer to a request. Zero-initialised by the caller; mu_web_reply_done frees. */
struct mu_web_reply {
	int status;
	char *body; /* malloc'ed; NULL none */
	const char *type; /* of body */
	char *location;	  /* path of the session: "/session/<id>" */
	char etag[80];	  /* with quotes */
	int retry_after_s; /* 0 none */
	char *links[MU_ICE_SERVERS_MAX]; /* values of Link headers (RFC 9725, section 4.6); malloc'ed; they hold passwords */
	unsigned n_links;
	/* for status >= 400, RFC 9457: */
	const char *title; /* static */
	char detail[384];  /* what, where, what to do */
};
void mu_web_reply_done(struct mu_web_reply *r);

/** What becomes of a publisher of an endpoint that has one. Whatever the policy, one with the same token takes over from a
 *  session that has been silent for some two seconds: a client that came back. */
enum mu_second_publisher { MU_SECOND_REFUSE, MU_SECOND_TAKE_OVER };
/** STUN and TURN servers that clients are told of. */
struct mu_ice_servers {
	const char *const *urls; /* RFC 7064, RFC 7065 */
	unsigned n_urls;
	/* How clients show TURN servers who they are: by passwords that are made of a secret which the servers share and that
	 * last for a while, or by one name and password for all. NULL: not so. */
	const char *secret;
	int64_t lifetime_s;
	const char *username, *password;
};
struct mu_webrtc_options {
	struct mu_media *media;	       /* borrowed */
	struct mu_directory *directory; /* borrowed */
	const struct mu_addr *advertise; /* what candidates name instead of the listening addresses; port 0: the worker's of
					    the first listening address of that family */
	unsigned n_advertise;
	const struct mu_addr *listen; /* as bound; wildcards are expanded to the machine's addresses of that family for
					 candidates */
	unsigned n_listen;
	const struct mu_addr *tcp; /* where the workers listen on TCP, likewise; what is advertised goes for it too */
	unsigned n_tcp;
	int64_t hold_us; /* how long a vanished publisher's viewers wait */
	enum mu_second_publisher second;
	unsigned max_sessions; /* the last tenth is for publishers and for who may operate */
	unsigned max_sessions_per_token; /* 0: as many as there are */
	/* for consoles: */
	struct mu_conferences *conferences; /* borrowed; NULL: there are none */
	struct mu_inbox *control;	    /* the control thread's, borrowed; NULL: nobody is told which layers are watched */
	struct mu_ice_servers ice; /* copied; the copies of what is secret are wiped when they go */
};
struct mu_webrtc;
int mu_webrtc_new(const struct mu_webrtc_options *o, struct mu_webrtc **ret);
/** Consoles' WebSockets must be lost (mu_console_lost), sessions gone (mu_webrtc_close_all, then run the control inbox). */
void mu_webrtc_free(struct mu_webrtc *w);
/** What can change while running: hold, policy, limits, advertise, ice. */
void mu_webrtc_reconfigure(struct mu_webrtc *w, const struct mu_webrtc_options *o);

/** The STUN and TURN servers for a client, an array of RTCIceServer objects (urls, username, credential) as
 *  RTCPeerConnection takes it; empty where none are configured. Only for clients that showed a good token: it holds
 *  passwords, made for this call where they are short-lived, so it is never kept nor logged.
 *  @param user who it is for: what the TURN server's log will show
 *  @return a new reference, NULL: out of memory */
json_t *mu_webrtc_ice_servers(struct mu_webrtc *w, const char *user);

/** POST /whip/<endpoint>. `who` was checked for scope and endpoint already. 201 with answer, 400, 406 (no codec), 409
 *  (second publisher, with policy refuse), 413, 422, 429 (token), 503 (draining, full). */
void mu_whip_post(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp, size_t len,
	struct mu_web_reply *ret);
/** POST /whep/<endpoint>. 201, 400, 404 (unknown endpoint), 406, 409 (known, not live; Retry-After), 413, 422, 429, 503. */
void mu_whep_post(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp, size_t len,
	struct mu_web_reply *ret);
/** PATCH of a session, application/trickle-ice-sdpfrag: 204; restart 200 with fragment and new ETag; 400, 404, 412, 415, 428. */
void mu_session_patch(struct mu_webrtc *w, const char *id, const char *content_type, const char *if_match, const char *body,
	size_t len, struct mu_web_reply *ret);
/** DELETE: 200; again 404. */
void mu_session_delete(struct mu_webrtc *w, const char *id, struct mu_web_reply *ret);
/** The token that made a session, to check who may change it; NULL: no such session. */
const struct mu_token *mu_session_token(struct mu_webrtc *w, const char *id);

/** End all sessions made with a token (revocation). @return how many */
unsigned mu_webrtc_end_token(struct mu_webrtc *w, const char *token_id, const char *why);
/** End all sessions whose token was signed with a key that is no longer in the ring. @return how many */
unsigned mu_webrtc_end_unknown_keys(struct mu_webrtc *w, const struct mu_keyring *k, const char *why);
/** End sessions whose token has expired; call every second. */
void mu_webrtc_expire(struct mu_webrtc *w, int64_t now_s);
/** Refuse new sessions with 503 from now on; tells "gateway.draining". Consoles that end from now on are told to come back,
 *  and their members' places, floor and screen stay as they are. */
void mu_webrtc_drain(struct mu_webrtc *w);
bool mu_webrtc_draining(const struct mu_webrtc *w);
/** End all sessions, as the gateway stops: members of conferences keep the floor and all else for when they come back. */
void mu_webrtc_close_all(struct mu_webrtc *w, const char *why);
unsigned mu_webrtc_sessions(const struct mu_webrtc *w);
/** Ask every session's transport for its figures; they show in struct mu_session_info from then on. Call every second. */
void mu_webrtc_refresh_stats(struct mu_webrtc *w);
/** The endpoint of a session; NULL: no such session. */
const char *mu_session_endpoint(struct mu_webrtc *w, const char *id);
/** A session as others see it; valid during the call that hands it over. */
struct mu_session_info {
	uint64_t number; /* rises in the order they were made; none twice */
	const char *endpoint;
	bool publishes; /* else it watches; a console does both */
	bool console;
	const struct mu_transport_stats *stats; /* NULL: none came yet; a console's: of what it publishes */
	const struct mu_transport_stats *down; /* of what a console watches, else NULL */
	const struct session *session;		/* for mu_session_json */
};
/** Sessions that have not ended, with a number above `after`, in their order: visit until false. Ends none meanwhile. */
void mu_webrtc_each_session(
	struct mu_webrtc *w, uint64_t after, bool (*fn)(void *arg, const struct mu_session_info *s), void *arg);
/** {"number", "id", "kind": "whip"|"whep"|"console", "endpoint", "subject", "state", "since", "profile", "remote", "streams": [...]};
 *  a new reference. */
json_t *mu_session_json(const struct mu_session_info *s);

/* --- the console session (docs/signalling.md) ------------------------------------------------------------------------------- */

/** What consoles need of the HTTP side. */
struct mu_console_host {
	/** Whether a token is good now: signature, times, not revoked.
	 *  @return 0, -EPERM, -ETIME, with words for the client in e */
	int (*check)(void *arg, const char *token, struct mu_token *ret, struct mu_error *e);
	/** Whether this token may do something now that leaves a line in the audit log: it may so often a second. */
	bool (*allows)(void *arg, const struct mu_token *who);
	/** Note a deed: a hello refused, a join, an act. All but what and result may be NULL; valid during the call.
	 *  @param who     "<subject>#<token id>"
	 *  @param result  "done" or "denied" */
	void (*audit)(void *arg, const char *who, const char *from, const char *what, const char *target, const char *result,
		const char *why);
	void *arg;
};
/** Before the first console. NULL: no more consoles come, those there are must be lost. */
void mu_webrtc_set_host(struct mu_webrtc *w, const struct mu_console_host *h);

/** A WebSocket as the session sees it. Neither call leads to mu_console_lost before it returns. */
struct mu_console_socket {
	/** Send a text frame; takes the reference. Never blocks: a client that does not read is closed by the socket's owner. */
	void (*send)(void *arg, json_t *message);
	/** Close it after what was sent; mu_console_lost follows. Nothing is sent any more.
	 *  @param code  RFC 6455, section 7.4 */
	void (*close)(void *arg, unsigned code, const char *why);
	void *arg;
};
#define MU_CONSOLE_PROTOCOL    "muster.1"
#define MU_CONSOLE_MESSAGE_MAX 262144 /* bytes */
struct mu_console;
/** A client connected; nothing is known of it yet. Consoles that sent no valid hello within 10 s are closed.
 *  @param from  its address, for log and audit
 *  @return 0, -ENOSPC (draining, or no host), -ENOMEM */
int mu_console_new(struct mu_webrtc *w, const struct mu_console_socket *s, const char *from, struct mu_console **ret);
/** A text frame came. */
void mu_console_text(struct mu_console *c, const char *text, size_t len);
/** Whether its hello was accepted, and its session goes on. */
bool mu_console_known(const struct mu_console *c);
/** The WebSocket is gone, and c with it. The session behind goes on for 30 s and waits for its client. */
void mu_console_lost(struct mu_console *c);

/* --- SDP (RFC 8866, 8829, 8843), as far as WHIP and WHEP need it ------------------------------------------------------------ */

#define MU_SDP_SIZE_MAX	    65536
#define MU_SDP_MEDIA_MAX    64	/* m-sections */
#define MU_SDP_CODECS_MAX   48	/* payload types of one m-section */
#define MU_SDP_LINES_MAX    4096
#define MU_SDP_LAYERS_MAX   8	/* encodings of one m-section that are looked at */
#define MU_SDP_RID_MAX	    16
struct mu_sdp_codec {
	uint8_t pt;
	char name[24]; /* of rtpmap */
	uint32_t clock;
	uint8_t channels;
	char fmtp[256];
	bool nack, pli, fir, twcc, remb; /* rtcp-fb, wildcard included */
};
enum mu_sdp_direction { MU_SDP_SENDRECV, MU_SDP_SENDONLY, MU_SDP_RECVONLY, MU_SDP_INACTIVE };
enum mu_sdp_setup { MU_SDP_ACTPASS, MU_SDP_ACTIVE, MU_SDP_PASSIVE };
struct mu_sdp_media {
	char type[16]; /* "audio", "video", "application" */
	char proto[24];
	uint16_t port;
	char mid[32];
	enum mu_sdp_direction direction;
	bool rtcp_mux, rtcp_mux_only, rtcp_rsize, bundle_only, ext_mixed;
	struct mu_sdp_codec codecs[MU_SDP_CODECS_MAX];
	unsigned n_codecs;
	struct { enum mu_rtp_ext type; uint8_t id; enum mu_sdp_direction direction; } exts[24];
	unsigned n_exts;
	uint32_t ssrc, rtx_ssrc; /* first a=ssrc, and its FID partner; 0 none */
	char msid[130]; /* of the first a=msid */
	bool msids_differ; /* another one names another MediaStream */
	unsigned n_rids; /* a=rid ... send */
	/* what a=simulcast sends (RFC 8853): of each encoding the first alternative, if it has an a=rid, in the offerer's order */
	char layers[MU_SDP_LAYERS_MAX][MU_SDP_RID_MAX + 1];
	unsigned n_layers;
	/* effective values: own or the session's */
	char ufrag[257], pwd[257];
	uint8_t fingerprints[4][MU_FINGERPRINT_LEN];
	unsigned n_fingerprints;
	enum mu_sdp_setup setup;
	bool has_setup;
	unsigned n_candidates;
};
struct mu_sdp {
	struct mu_sdp_media media[MU_SDP_MEDIA_MAX];
	unsigned n_media;
	char bundle[MU_SDP_MEDIA_MAX][32];
	unsigned n_bundle;
	bool ice_lite, trickle;
};
/** Parse. @param ret heap or static: it is large
 *  @return 0, -EBADMSG (e names the line and what is wrong), -E2BIG (a published limit is passed) */
int mu_sdp_parse(const char *text, size_t len, struct mu_sdp *ret, struct mu_error *e);
/** A trickle fragment (RFC 8840): ufrag, pwd, candidates counted. */
struct mu_sdp_frag {
	char ufrag[257], pwd[257];
	unsigned n_candidates;
	bool end_of_candidates;
};
int mu_sdp_frag_parse(const char *text, size_t len, struct mu_sdp_frag *ret, struct mu_error *e);

#endif
