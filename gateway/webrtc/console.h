/* The console session (docs/signalling.md), for this module's own files.
 *
 * Three things live and end apart: the WebSocket (struct mu_console), the session behind it (struct console, one row of the
 * table of sessions), which outlives a lost WebSocket by some time, and its peer connections (struct pc), each freed once
 * its transport has said that it is closed.
 */
#ifndef MU_WEBRTC_CONSOLE_H
#define MU_WEBRTC_CONSOLE_H

#include "webrtc/session.h"
#include "webrtc/sdp_offer.h"
#include "webrtc/signal.h"

#define CONSOLE_SLOTS_MAX MU_SDP_MEDIA_MAX /* m-sections of the down connection */

/** A WebSocket. */
struct mu_console {
	struct mu_list link; /* in mu_webrtc.consoles */
	struct mu_webrtc *w;
	struct mu_console_socket socket;
	char from[64];
	struct console *c; /* NULL: no valid hello yet, or the session is over */
	guint deadline;	   /* for the hello; 0 none */
	bool closed;	   /* what comes is not looked at any more */
	double credit;	   /* messages it may send */
	int64_t credit_us; /* as of then */
	unsigned over;	   /* messages without credit since it had all of it */
};

/** One peer connection. */
struct pc {
	struct mu_list link; /* in console.pcs */
	struct console *c;
	bool up;
	struct mu_transport *t;
	bool connected;
	bool over; /* not the console's any more: its end is awaited */
	struct mu_transport_stats *stats, *before; /* NULL: none came yet; the second before */
	int64_t stats_us, before_us;
};

/* --- up: what the client sends --- */

struct up_section {
	char mid[32];
	char label[16];
	unsigned n_rids;
	char rids[MU_LAYERS_MAX][17];
	/* which of its encodings somebody looks at: console_layers.c */
	struct mu_track *layers[MU_LAYERS_MAX]; /* references, watched; NULL: not simulcast */
	int64_t unused_us[MU_LAYERS_MAX];	/* since when nobody takes it; 0: somebody does */
	bool wanted[MU_LAYERS_MAX];
	struct mu_stream_in *in; /* as they were added: n_in of them */
	unsigned n_in;
};
struct up {
	struct pc *pc; /* NULL: none */
	unsigned worker;
	uint8_t fingerprints[4][MU_FINGERPRINT_LEN];
	unsigned n_fingerprints;
	bool active; /* we are the DTLS client */
	char ufrag[257], pwd[257]; /* the client's */
	uint64_t sdp_id;	   /* of our answers, which are one description (RFC 3264, section 8) */
	uint32_t sdp_version;
	struct up_section sections[MU_SDP_MEDIA_MAX];
	unsigned n_sections;
};

/* --- down: what the client watches --- */

/** An m-section of the down connection: carries whichever source it is given. */
struct slot {
	char mid[8];
	enum mu_kind kind;
	bool offered;  /* in the offer that is out, or in one that was answered */
	bool answered; /* a stream out of the transport */
	bool refused;  /* by the client, for good */
	uint32_t ssrc, rtx_ssrc;
	uint32_t takes;	   /* bits: which of sdp_offer_format(kind, ...) the client takes */
	struct mu_endpoint *ep; /* whose track it carries, held; NULL: it rests */
	char label[16];
	enum mu_urgency urgency;
	bool viewed; /* counted among the endpoint's viewers */
	struct mu_feed fed;
};
/** Something that the client is to receive. */
struct wish {
	char endpoint[MU_ID_MAX];
	char label[16];
	enum mu_kind kind;
	enum mu_urgency urgency;
	unsigned width, height;
	const char *why; /* it is in no slot; NULL: it is, or was not looked at yet */
	struct mu_endpoint *ep;	      /* these two: while slots are settled */
	struct mu_endpoint_track *et;
	struct slot *slot;
};
struct down {
	struct pc *pc; /* NULL: not answered yet, or over */
	unsigned worker;
	uint8_t fingerprints[4][MU_FINGERPRINT_LEN];
	unsigned n_fingerprints;
	bool dtls_server;
	char ufrag[MU_ICE_UFRAG + 1], pwd[MU_ICE_PWD + 1]; /* of offers before there is a transport */
	char cname[17];
	uint64_t sdp_id;
	uint32_t n;	     /* of the last offer */
	json_t *outstanding; /* that offer, until it is answered */
	bool begun;	     /* an offer of this connection went out */
	bool wants_offer, wants_restart;
	int64_t begun_us;
	guint timer; /* it begins anew; 0: not */
	struct slot *slots[CONSOLE_SLOTS_MAX];
	unsigned n_slots;
	json_t *told; /* the last `tracks` */
	struct mu_signal_view views[MU_SIGNAL_VIEWS_MAX];
	unsigned n_views;
};

struct room;
struct console {
	struct session *s;
	struct mu_console *link; /* NULL: lost, and awaited until timer */
	guint timer;
	struct mu_list pcs; /* whose transports have not closed yet */
	bool dirty;	/* what it is to receive has changed */
	struct up up;
	struct down down;
	struct room *room; /* NULL: in no conference */
	struct mu_list room_link;
	bool follows; /* its client has begun anew, and joins again */
	bool put_out; /* of one that it was in, and why */
	char put_out_why[96];
};

/* --- console.c: the WebSocket --- */

/** Send, if anybody is there; takes the reference. */
void console_send(struct console *c, json_t *message);
void console_ok(struct console *c, uint32_t id);
/** Answer a request: it was not done, and why. */
void console_refuse(struct console *c, uint32_t id, int status, const char *fmt, ...) MU_PRINTF(4, 5);
/** Whether it may do something now that is noted; else it was refused. */
bool console_may_do(struct console *c, uint32_t id);
/** Note a deed of this console's. */
void console_audit(struct console *c, const char *what, const char *target, const char *result, const char *why);

/** The session is over: its client is told, and let go. */
void console_bye(struct console *c, const char *why);

/* --- console_session.c: the session --- */

/** @return NULL: refused, told in r */
struct console *console_new(
	struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, struct mu_web_reply *r);
/** The WebSocket is gone: the session waits for another. */
void console_detach(struct console *c);
void console_attach(struct console *c, struct mu_console *link);
/** Its session ends (session_end). It is freed when its transports have closed. */
void console_ended(struct console *c, enum session_end how, const char *why);
void console_free(struct console *c);
void console_info(const struct console *c, struct mu_session_info *ret);
/** Tell the client how its connections do, and ask them anew. */
void console_each_second(struct console *c);
/** A new peer connection, whose transport is c->w's to make: spec is given an id. @return 0, -ENOMEM, -EINVAL */
int pc_new(struct console *c, bool up, struct mu_transport_spec *spec, struct pc **ret);
/** Let go of it: its transport says goodbye and is freed later. */
void pc_close(struct pc *pc, const char *why);
/** What it receives may have changed: console_down_settle runs in the next turn of the loop. */
void console_touch(struct console *c);
/** An endpoint's tracks or state changed. */
void consoles_endpoint_changed(struct mu_webrtc *w, const char *endpoint);

/* --- console_up.c --- */

void console_up_offer(struct console *c, const struct mu_signal *m);
void console_up_state(struct console *c, enum mu_transport_state state, const char *why);
/** Its transport is closed already. */
void console_up_closed(struct console *c, const char *why);
/** Another publisher took the endpoint over. */
void console_up_taken_over(struct console *c);
/** Close it, forget its sections. */
void console_up_drop(struct console *c, const char *why);

/* --- console_layers.c --- */

void console_layers_watch(struct console *c, struct up_section *s, const struct mu_stream_in *in, unsigned n);
void console_layers_unwatch(struct console *c, struct up_section *s);
/** Each second: encodings that nobody takes for a while may rest. */
void console_layers_tick(struct console *c, int64_t now_us);

/* --- console_down.c: the connection --- */

void console_down_answer(struct console *c, const struct mu_signal *m);
void console_down_restart(struct console *c, bool fresh);
/** Send an offer if one is due and none is outstanding. */
void console_down_offer(struct console *c);
void console_down_closed(struct console *c, const char *why);
/** After a resume: what the client may have missed. */
void console_down_tell_again(struct console *c);
void console_down_free(struct console *c);

/* --- console_slots.c: what is in which m-section --- */

void console_view(struct console *c, const struct mu_signal *m);
/** Give every slot what it is to carry now, tell the client, and say whether more slots are needed. */
void console_down_settle(struct console *c);
/** All slots rest, in a connection that is no more. */
void console_slots_reset(struct console *c);

/* --- console_room.c: consoles in one conference --- */

void console_join(struct console *c, const struct mu_signal *m);
void console_leave(struct console *c, uint32_t id);
/** It is lost or over: the member's place is kept. */
void console_absent(struct console *c);
/** Tell it the state of its conference now, or that it is in none any more. */
void console_tell_conference(struct console *c);
void rooms_event(struct mu_webrtc *w, const struct mu_event *ev);
/** A member's tracks or state changed. */
void rooms_endpoint_changed(struct mu_webrtc *w, const char *endpoint);
void rooms_free(struct mu_webrtc *w);
struct mu_conference *room_conference(const struct room *r);
/** Those whose audio is forwarded now, as many as the conference allows. @return how many */
unsigned room_chosen(const struct room *r, const char *const **ret);

/* --- console_speaker.c: who is loud --- */

struct voices; /* of one room */
struct voices *voices_new(void);
void voices_free(struct voices *v);
/** Look at the levels again. @return whether those that are forwarded are others than before */
bool voices_poll(struct voices *v, struct mu_webrtc *w, struct mu_conference *conference, int64_t now_us);
unsigned voices_chosen(const struct voices *v, const char *const **ret);

/* --- console_act.c, console_quality.c --- */

void console_act(struct console *c, const struct mu_signal *m);
/** How its connections do; each second. */
void console_quality(struct console *c);

#endif
