/* mu-load's members of a conference: console sessions (docs/signalling.md).
 *
 * load_conf.c      what happens in a run, and when
 * load_figures.c   what is counted of it, and the report
 * load_console.c   one member: its WebSocket and what is said on it
 * load_slots.c     the SDP of its two connections
 * load_up.c        what it sends: Opus with levels, VP8 in three encodings
 * load_down.c      what it gets: every slot's frames, looked at one by one
 */
#ifndef LOAD_CONF_H
#define LOAD_CONF_H

#include "load.h"
#include "load_ws.h"

#define CONF_MEMBERS  96 /* those who come only to watch included */
#define CONF_SLOTS    80 /* m-sections of a connection */
#define CONF_LAYERS   3
#define CONF_TILE_W   480
#define CONF_TILE_H   270
#define CONF_LARGE_W  1280
#define CONF_LARGE_H  720
#define CONF_EXT_MID  "urn:ietf:params:rtp-hdrext:sdes:mid"
#define CONF_EXT_RID  "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
#define CONF_EXT_RRID "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"

/* --- SDP --- */

/** What one m-section says. */
struct section {
	char mid[32];
	bool video, refused;
	bool sends;         /* whoever wrote it sends in it */
	uint8_t pt, rtx_pt; /* VP8 or Opus; 0 none */
	uint8_t ext_mid, ext_twcc, ext_rid, ext_rrid, ext_level;
	uint32_t ssrc, rtx_ssrc;
};
struct description {
	unsigned n;
	struct section s[CONF_SLOTS];
};
void slots_read(const char *sdp, struct description *ret);
/** Audio as mid 0, video as mid 1 in the encodings l, m, h. @return malloc'ed */
char *slots_offer(const struct peer *p, uint32_t audio_ssrc);
/** Willing to take Opus and VP8, nothing else. @return malloc'ed */
char *slots_answer(const struct peer *p, const char *offer);

/* --- sending --- */

struct sender;
extern const struct peer_media media_up;
extern const char *const layer_rids[CONF_LAYERS];
/** Send what is due. @return when the next packet is due */
uint64_t sender_run(struct peer *p, uint64_t ns);
/** The gateway's answer came. */
void sender_answered(struct sender *s, const struct description *d);
/** Which encodings somebody watches; the others rest. */
void sender_layers(struct sender *s, const bool wanted[CONF_LAYERS]);
/** Send what it has begun: half a frame were the viewers' loss. */
void sender_finish(struct sender *s);
void sender_talk(struct sender *s, bool talks);
uint32_t sender_audio_ssrc(const struct sender *s);
/** Key frames asked for so far of one of its encodings. */
unsigned sender_asked(const struct sender *s, unsigned layer);

/* --- receiving --- */

struct wall;
extern const struct peer_media media_down;
/** The gateway's offer, each time: its slots. */
void wall_offered(struct wall *w, const struct description *d);
/** What `tracks` says of one slot. @param source  a member's number, -1: it rests */
void wall_track(struct wall *w, const char *mid, int source, int64_t now_us);
/** A payload's frame, as far as its slot goes; made by load_down.c, looked at by its test. */
struct got {
	uint64_t seq; /* unwrapped; 0: not there */
	uint64_t sent_ns;
	uint32_t frame, ts;
	uint16_t picture;
	uint8_t stream, layer, tl0;
	uint8_t visit; /* the sender's: how often it had come by then */
	int8_t temporal;
	bool start, key, marker, filler;
};

/* --- figures --- */

struct conf_counts {
	/* of the window */
	bool open;                          /* until what was sent in it has had time to come */
	uint32_t first_frame[CONF_MEMBERS]; /* pictures that each source took: from this number on, so many */
	uint32_t sent_frames[CONF_MEMBERS];
	uint64_t packets, bytes; /* that came during it */
	uint64_t lost;           /* numbers of a slot that nothing ever filled */
	uint64_t frames, broken,
		thinned; /* whole; begun and never ended; left out on purpose, as their numbers tell */
	uint64_t unsent; /* pictures of the whole run that a sender left out, for the machine was too slow */
	/* of the whole run; each is an error */
	uint64_t wrong_track; /* packets of somebody else than `tracks` says */
	uint64_t mixed;       /* frames of packets that do not belong together */
	uint64_t cut;         /* frames whose end a switch left out: no error, the next one is a key frame */
	uint64_t no_key;      /* another layer or source that did not begin with a key frame */
	uint64_t picture_jumps; /* picture ids or TL0PICIDX that do not go on by one */
	uint64_t time_jumps; /* time stamps that stand still or go back, or at another rate than the pictures'
			      */
	uint64_t backwards;  /* a picture that is older than the one before */
	uint64_t ssrc_changes;
	uint64_t unknown;   /* no slot's */
	uint64_t talked;    /* audio packets that came */
	uint64_t feedbacks; /* TWCC to the senders */
};
struct conf_figures {
	struct conf_counts c;
	struct hist tiles, storm_tiles, speaker, larger, smaller;
	unsigned larger_late, smaller_late, speaker_late; /* never came */
	unsigned storm_asked;                             /* of the encoding that was asked most */
	unsigned storm_asked_all; /* of the source, all encodings together, that was asked most */
};

/* --- members --- */

enum member_state { MEMBER_OUT, MEMBER_OPENING, MEMBER_IN, MEMBER_LEAVING, MEMBER_FAILED };
struct member {
	struct load *load;
	struct conf *conf;
	unsigned number;
	bool publishes;
	char endpoint[64];
	enum member_state state;
	struct ws *ws;
	struct peer *up, *down;
	struct sender *sender;
	struct wall *wall;
	json_t *offer; /* of the down connection, not answered yet */
	uint32_t next_id;
	bool here[CONF_MEMBERS]; /* who else is present, as the gateway says */
	struct {
		uint16_t width, height;
	} tile[CONF_MEMBERS];
	unsigned visits; /* connections that it has sent by */
	int64_t hello_us, state_us;
	bool seen[CONF_MEMBERS]; /* a whole key frame of it since the hello */
	unsigned n_seen, errors;
	char why[200];
};
/** Zero-initialised. @param publishes  else it only watches */
int member_init(struct member *m, struct load *l, struct conf *c, unsigned number, bool publishes);
void member_join(struct member *m);
/** For good: says so, then closes. */
void member_leave(struct member *m);
/** Say anew what it wants to see. */
void member_view(struct member *m);
void member_tick(struct member *m, int64_t now_us);
void member_fail(struct member *m, const char *fmt, ...) MU_PRINTF(2, 3);
void member_done(struct member *m);
extern const struct signalling signal_console;

/* --- the run --- */

int conf_run(struct load *l);
struct conf_counts *conf_counts(struct member *m);
/** A whole frame came to a member. */
void conf_frame(struct member *m, const struct got *g, uint64_t ns);
void conf_speaker(struct member *m, int source);
void conf_failed(struct member *m);
/** The number of an endpoint of this run, -1. */
int conf_number(const char *endpoint);

/** @return the report */
json_t *conf_report(struct load *l, const struct conf_figures *f, const struct proc_sample at[4],
	const uint64_t own_ns[2]);

#endif
