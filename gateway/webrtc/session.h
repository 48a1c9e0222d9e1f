/* Sessions, for this module's own files. */
#ifndef MU_WEBRTC_SESSION_H
#define MU_WEBRTC_SESSION_H

#include "webrtc/sdp.h"

#define TOPIC	       "webrtc"
#define SESSION_ID_LEN 24 /* 143 bits: the id is what a client shows when it comes back */

enum session_kind { SESSION_WHIP, SESSION_WHEP };
const char *session_kind_name(enum session_kind k);

struct session {
	struct mu_list link; /* in mu_webrtc.sessions until its transport has closed */
	struct mu_webrtc *w;
	uint64_t number; /* of all since the start */
	char id[SESSION_ID_LEN + 1];
	enum session_kind kind;
	struct mu_token token;
	struct mu_endpoint *ep; /* held */
	struct mu_transport *t;
	unsigned worker;
	bool connected;
	bool silent; /* no consent; waits for an ICE restart. Connected all the same */
	bool ended; /* no longer found by id; its transport says goodbye */
	/* monotonic, as far as its figures tell: when media, reports or a check last came; media. Made then, if none did */
	int64_t heard_us, media_us;
	int64_t since_wall_us;
	char etag[24]; /* with quotes */
	char remote_ufrag[257], remote_pwd[257];
	/* what a restart's answer repeats */
	char mid[32], type[16];
	char *bundle; /* " 0 1", "" none */
	struct mu_transport_stats *stats; /* NULL: none came yet */
};

struct mu_webrtc {
	struct mu_webrtc_options o; /* its arrays and texts are copies */
	GHashTable *by_id;	    /* id -> session that has not ended; borrows both */
	GHashTable *by_token;	    /* token id -> how many sessions of it have not ended */
	struct mu_list sessions;
	unsigned n_sessions;
	uint64_t last_number;
	bool draining;
	GHashTable *holds; /* lost endpoint -> struct hold */
	/* tests have their own */
	guint (*timer_add)(guint ms, GSourceFunc fn, gpointer arg);
	gboolean (*timer_remove)(guint id);
	int64_t (*now_us)(void);
};

/** What comes of an offer, before anything is made of it. Large: heap. */
struct plan {
	struct mu_sdp offer;
	unsigned tagged; /* section that carries the transport's attributes */
	struct sdp_answer answer;
	struct mu_transport_spec spec;
};

/** Whether one more session may begin, and its offer read. @return NULL: refused, told in r */
struct plan *plan_new(struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who, const char *sdp, size_t len,
	struct mu_web_reply *r);
void plan_free(struct plan *p);
/** Check the offer around the wanted sections, take its transport over. @return false: refused, told in r */
bool plan_check(struct plan *p, const bool wanted[MU_SDP_MEDIA_MAX], struct mu_web_reply *r);

/** Make the session and its transport on a worker, and the answer. The session is not yet told to anybody.
 *  @return NULL: refused, told in r */
struct session *session_open(struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who,
	struct mu_endpoint *ep, unsigned worker, struct plan *p, struct mu_web_reply *r);
/** Why a session ends decides over a publisher's endpoint. */
enum session_end {
	SESSION_LOST,  /* its peer vanished or may come back: the endpoint is held */
	SESSION_MEANT, /* somebody wanted it: the endpoint is idle at once */
};
/** End it, once. It is freed when its transport has closed. */
void session_end(struct session *s, enum session_end how, const char *why);
/** Sessions of a token that have not ended. */
unsigned session_count(const struct mu_webrtc *w, const char *token_id);
struct session *session_find(struct mu_webrtc *w, const char *id);
void session_new_etag(struct session *s);
/** "session.created" and so on. */
void session_tell(const struct session *s, const char *kind, const char *why);

/** What a publisher's session does to its endpoint. */
void whip_connected(struct session *s);
/* Its publisher does not consent any more, and may come back by an ICE restart: viewers see it is lost. */
void whip_silent(struct session *s, const char *why);
void whip_ended(struct session *s, enum session_end how, const char *why);
void whip_stop_holds(struct mu_webrtc *w);
void whep_ended(struct session *s);

/** Host candidates of a worker: advertised addresses, else those it listens on. */
void candidates_gather(const struct mu_webrtc *w, unsigned worker, struct sdp_candidates *ret);

/** o->ice becomes a copy of `from`, and back to nothing. */
void ice_servers_copy(struct mu_ice_servers *ret, const struct mu_ice_servers *from);
void ice_servers_done(struct mu_ice_servers *s);
/** Name them to a client in its answer. @return false: out of memory */
bool ice_servers_link(const struct mu_ice_servers *s, const char *user, struct mu_web_reply *r);

/** Refuse: status, its title, and what is wrong, where, and what to do. @return false, for the callers that return whether they may go on */
bool reply_refuse(struct mu_web_reply *r, int status, const char *fmt, ...) MU_PRINTF(3, 4);

#endif
