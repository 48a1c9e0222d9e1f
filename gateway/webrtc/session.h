/* Sessions, for this module's own files. */
#ifndef MU_WEBRTC_SESSION_H
#define MU_WEBRTC_SESSION_H

#include "webrtc/sdp.h"

#define TOPIC	       "webrtc"
#define SESSION_ID_LEN 24 /* 143 bits: the id is what a client shows when it comes back */

enum session_kind { SESSION_WHIP, SESSION_WHEP, SESSION_CONSOLE };
struct console;
const char *session_kind_name(enum session_kind k);

struct session {
	struct mu_list link; /* in mu_webrtc.sessions until its transport has closed */
	struct mu_webrtc *w;
	uint64_t number; /* of all since the start */
	char id[SESSION_ID_LEN + 1];
	enum session_kind kind;
	struct mu_token token;
	struct mu_endpoint *ep; /* held */
	struct mu_transport *t; /* NULL: of a console, which has its own */
	struct console *console; /* NULL: another kind */
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
	/* streams out of a viewer whose transport is fitted: what each is fed from */
	struct {
		char mid[32], label[16];
	} fed[2];
	unsigned n_fed;
	struct mu_transport_stats *stats; /* NULL: none came yet */
};

struct mu_webrtc {
	struct mu_webrtc_options o; /* its arrays and texts are copies */
	GHashTable *by_id;	    /* id -> session that has not ended; borrows both */
	GHashTable *by_token;	    /* token id -> how many sessions of it have not ended */
	struct mu_list sessions;
	unsigned n_sessions;
	uint64_t last_number;
	bool draining, closing;
	GHashTable *holds; /* lost endpoint -> struct hold */
	/* consoles */
	struct mu_console_host *host; /* NULL: none may come */
	struct mu_list consoles;      /* WebSockets */
	unsigned n_consoles;
	struct mu_event_listener listener;
	GHashTable *rooms; /* conference id -> struct room */
	guint settle_timer, voices_timer;
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
/** An offer read, of a session that there is already. @return NULL: refused, told in r */
struct plan *plan_read(const char *sdp, size_t len, struct mu_web_reply *r);
void plan_free(struct plan *p);
/** Check the offer around the wanted sections, take its transport over. @return false: refused, told in r */
bool plan_check(struct plan *p, const bool wanted[MU_SDP_MEDIA_MAX], struct mu_web_reply *r);

/** Whether one more session of this token may begin. @return false: refused, told in r */
bool session_may_begin(
	struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who, struct mu_web_reply *r);
/** A session that is in no table yet. @return NULL: no memory */
struct session *session_new(struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who,
	struct mu_endpoint *ep, unsigned worker);
/** From now on it is found. */
void session_insert(struct session *s);
void session_free(struct session *s);
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

/** One section that a publisher sends: what of it is taken, in the answer and as streams in of the plan's spec.
 *  @return false: no codec in common, told in r */
bool whip_take_section(struct plan *p, unsigned i, struct mu_web_reply *r);
/** A section where nothing flows: it stays open, with any one format of its own. */
void plan_idle_section(struct plan *p, unsigned i);
/** The first half of publish_tracks: nothing shows yet. in[].track are references, the caller's, also on error (NULL: none). */
int publish_find_tracks(struct mu_webrtc *w, struct mu_endpoint *ep, unsigned home, const char *label, struct mu_stream_in *in,
	unsigned n);
/** The second half. */
int publish_show_tracks(struct mu_endpoint *ep, const char *label, const struct mu_stream_in *in, unsigned n);
/** Tracks for the streams of one m-section, those that the endpoint has of this label or new ones, at home on worker
 *  `home`; the endpoint shows them. @return 0, -ENOMEM, -ENOSPC; in[].track are references, the caller's */
int publish_tracks(struct mu_webrtc *w, struct mu_endpoint *ep, unsigned home, const char *label, struct mu_stream_in *in,
	unsigned n);
/** Another publisher comes in its place. */
void publisher_replace(struct session *s);
/** Whether `who` may publish an endpoint now. @param ret_old whose place it takes, NULL: nobody's @return false: refused, told in r */
bool may_publish(struct mu_webrtc *w, const struct mu_endpoint *ep, const struct mu_token *who,
	struct session **ret_old, struct mu_web_reply *r);
/** What a publisher's session does to its endpoint. */
void whip_connected(struct session *s);
/* Its publisher does not consent any more, and may come back by an ICE restart: viewers see it is lost. */
void whip_silent(struct session *s, const char *why);
void whip_ended(struct session *s, enum session_end how, const char *why);
void whip_stop_holds(struct mu_webrtc *w);
void whep_ended(struct session *s);
/** A publisher came with other encodings of what the endpoint has: its fitted viewers choose from those. */
void whep_feed_viewers(struct mu_webrtc *w, const struct mu_endpoint *ep);

/** Figures kept after the event that told them. @return malloc'ed in one piece, NULL: no memory */
struct mu_transport_stats *stats_copy(const struct mu_transport_stats *from);
/** Host candidates of a worker: advertised addresses, else those it listens on. */
void candidates_gather(const struct mu_webrtc *w, unsigned worker, struct sdp_candidates *ret);

/** o->ice becomes a copy of `from`, and back to nothing. */
void ice_servers_copy(struct mu_ice_servers *ret, const struct mu_ice_servers *from);
void ice_servers_done(struct mu_ice_servers *s);
/** Name them to a client in its answer. @return false: out of memory */
bool ice_servers_link(const struct mu_ice_servers *s, const char *user, struct mu_web_reply *r);

/** Refuse: status, its title, and what is wrong, where, and what to do. @return false, for the callers that return whether they may go on */
const char *reply_title(int status);
bool reply_refuse(struct mu_web_reply *r, int status, const char *fmt, ...) MU_PRINTF(3, 4);

#endif
