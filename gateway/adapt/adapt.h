/* adapt: what the link to one viewer bears, and how it is spent. Plain logic: no socket, no clock, no lock.
 *
 * The packets to a viewer are numbered across its streams; its feedback tells when each arrived
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01). From that an estimate follows (draft-ietf-rmcat-gcc-02): the
 * queueing delay's trend, and loss. Probes find out whether there is room above it; the allocator spends it by rank.
 * Everything here belongs to the thread of its transport.
 */
#ifndef MU_ADAPT_H
#define MU_ADAPT_H

#include "rtp/rtp.h"

/* --- history.c: what was sent, and what became of it --------------------------------------------------------------------- */

#define MU_HISTORY_PACKETS 1024 /* remembered; older ones are out of reach for feedback */

/** What became of one packet. */
struct mu_fate {
	int64_t sent_us;
	int64_t arrived_us; /* on the receiver's clock, whose origin is unknown; valid unless lost */
	uint16_t size;	    /* bytes, as given to mu_history_sent */
	uint16_t probe;	    /* cluster number, 0: ordinary */
	bool lost;	    /* feedback passed over it; it may still be told as arrived by a later one */
};
struct mu_history;
int mu_history_new(struct mu_history **ret);
void mu_history_free(struct mu_history *h);
/** A packet goes out. @return its transport-wide sequence number, for the header extension */
uint16_t mu_history_sent(struct mu_history *h, size_t size, uint16_t probe, int64_t now_us);
/** The packet of this number goes out once more under it: what is told of it says nothing any more. */
void mu_history_forget(struct mu_history *h, uint16_t seq);
/** Read the FCI of a feedback message, in the order of sending. A packet is told once as lost and once as arrived at most.
 *  @param max  of ret; what does not fit is not told
 *  @return how many fates, -EBADMSG (malformed: nothing is told) */
int mu_history_feedback(struct mu_history *h, const uint8_t *fci, size_t len, struct mu_fate *ret, size_t max);
/** Bytes sent that no feedback has told of yet, of the last second. */
size_t mu_history_in_flight(const struct mu_history *h, int64_t now_us);

/* --- trend.c: is a queue growing? -------------------------------------------------------------------------------------------- */

enum mu_usage { MU_USAGE_NORMAL, MU_USAGE_OVER, MU_USAGE_UNDER };

#define MU_TREND_WINDOW 20
/** Delay between groups of packets and its slope. Zero-initialised, then mu_trend_init. */
struct mu_trend {
	struct mu_trend_group {
		int64_t first_sent_us, last_sent_us, first_arrived_us, last_arrived_us;
		bool any;
	} now, before;
	struct { double arrived_ms, delay_ms; } points[MU_TREND_WINDOW];
	unsigned n_points, at;
	unsigned n_deltas;
	double accumulated_ms, smoothed_ms, previous;
	double threshold_ms;
	int64_t first_arrived_us, threshold_at_us, over_since_us;
	unsigned over_count;
	enum mu_usage usage;
};
void mu_trend_init(struct mu_trend *t);
/** A packet arrived. In the order of sending. @return what the link does now */
enum mu_usage mu_trend_packet(struct mu_trend *t, int64_t sent_us, int64_t arrived_us, int64_t now_us);

/* --- estimate.c: how much may be sent ------------------------------------------------------------------------------------------ */

struct mu_estimate_limits {
	uint32_t min_bps, start_bps, max_bps;
};
/** Why the estimate is what it is: for people. */
enum mu_limit { MU_LIMIT_NONE, MU_LIMIT_DELAY, MU_LIMIT_LOSS, MU_LIMIT_PROBE };
struct mu_estimate;
int mu_estimate_new(const struct mu_estimate_limits *limits, int64_t now_us, struct mu_estimate **ret);
void mu_estimate_free(struct mu_estimate *e);
/** One feedback's fates. */
void mu_estimate_feedback(struct mu_estimate *e, const struct mu_fate *fates, size_t n, int64_t rtt_us, int64_t now_us);
/** No feedback came for a while although we send: called about ten times a second. */
void mu_estimate_tick(struct mu_estimate *e, int64_t now_us);
/** Bits a second that may be sent now, all packets of the 5-tuple with their headers. */
uint32_t mu_estimate_bps(const struct mu_estimate *e);
/** Bits a second that arrived lately; 0: not known. */
uint32_t mu_estimate_acked_bps(const struct mu_estimate *e);
/** Share of the packets lost lately, 0..1. */
double mu_estimate_loss(const struct mu_estimate *e);
enum mu_limit mu_estimate_why(const struct mu_estimate *e);
/** How long the last packet that was told of waited on the link, longer than the fastest one lately; 0: not at all. */
int64_t mu_estimate_queue_us(const struct mu_estimate *e);
/** Whether the link is known to be full at about the estimate: a burst above it would wait there. */
bool mu_estimate_tight(const struct mu_estimate *e);

/** A probe to send now: `bytes` in at least `packets` packets at `bps`, marked with `cluster`. */
struct mu_probe {
	uint16_t cluster;
	uint32_t bps;
	uint32_t bytes;
	unsigned packets;
};
/** Whether to find out if there is room for `wanted_bps`: right after the start, and while more is wanted than the
 *  estimate gives, every two seconds, more rarely when probes find nothing.
 *  @return false: not now */
bool mu_estimate_probe(struct mu_estimate *e, uint32_t wanted_bps, int64_t now_us, struct mu_probe *ret);

/* --- spend.c: who gets it ---------------------------------------------------------------------------------------------------------- */

#define MU_POINTS_MAX 12 /* operating points of a track: layers times frame rates */
#define MU_PAUSED     (-1)
/** One track of a viewer. Points are ascending in bits a second; point 0 is the least that makes sense. */
struct mu_claim {
	unsigned rank;	      /* 0 is served first: command audio, SOS, speaker, conference, monitoring */
	unsigned weight;      /* within a rank: larger tiles rise first */
	bool never_paused;    /* audio of command */
	unsigned n_points;
	uint32_t point_bps[MU_POINTS_MAX];
	int max_point;	      /* what its tile and the viewer ask for */
	/* in and out */
	int point;	      /* MU_PAUSED, or what it has */
	int64_t fell_us;      /* when it last fell below what it asks for; INT64_MIN / 2 before the first time */
	int next;	      /* mu_spend's own */
};
/** Spend `bps`: each claim gets its lowest point by rank, then they rise by rank and weight. Falling is at once; rising
 *  needs a tenth to spare and two seconds since the claim last fell.
 *  @return bits a second claimed in all */
uint32_t mu_spend(struct mu_claim *claims, size_t n, uint32_t bps, int64_t now_us);
/** What all claims would take at their max_point. */
uint32_t mu_spend_wanted(const struct mu_claim *claims, size_t n);

/* --- renumber.c: one stream of numbers out of several sources, some of whose packets are left out ------------------------------- */

#define MU_RUNS 64 /* left-out packets and switches that can be looked back over */
/** Input numbers that go out one behind the other. */
struct mu_run {
	uint64_t first, end; /* of the source, [first, end) */
	uint64_t out;	     /* what `first` goes out as */
	unsigned source;
};
struct mu_renumber {
	struct mu_run runs[MU_RUNS];
	uint64_t n; /* ever begun; the newest is runs[(n - 1) % MU_RUNS] */
};
/** Source's packet `seq` will go out as `out`. */
void mu_renumber_init(struct mu_renumber *r, unsigned source, uint64_t seq, uint64_t out);
/** From source's packet `seq` on: it goes out behind all that went before. */
void mu_renumber_switch(struct mu_renumber *r, unsigned source, uint64_t seq);
/** A packet goes out. Numbers of those missing before it are kept for them.
 *  @return false: it comes too late for a number, leave it out */
bool mu_renumber_pass(struct mu_renumber *r, unsigned source, uint64_t seq, uint64_t *ret);
/** A packet is to be left out, and nobody shall miss it.
 *  @return false: it is late and its number is kept already: pass it, or the viewer waits for it */
bool mu_renumber_drop(struct mu_renumber *r, unsigned source, uint64_t seq);
/** Which packet went out as `out`. @return false: none, or too long ago */
bool mu_renumber_find(const struct mu_renumber *r, uint64_t out, unsigned *ret_source, uint64_t *ret_seq);

/* --- vp8.c: picture ids that go on when a layer is switched or thinned (RFC 7741, section 4.2) ------------------------------------ */

#define MU_VP8_LEFT 32 /* pictures left out that late packets of earlier ones are told from */
struct mu_vp8_map {
	bool started;
	uint16_t picture_offset, last_picture; /* out = in - offset; 16 bits, whatever the wire has */
	uint16_t last_in;		       /* the newest of this source that went out */
	uint8_t tl0_offset, last_tl0;
	uint16_t left[MU_VP8_LEFT]; /* by n_left modulo */
	unsigned n_left;
};
/** The next frame comes from another layer: its ids go on from the last. */
void mu_vp8_switch(struct mu_vp8_map *m, const struct mu_vp8 *first);
/** A frame was left out: told at each of its packets it counts once, but for one without picture ids. */
void mu_vp8_left_out(struct mu_vp8_map *m, const struct mu_vp8 *frame);
/** Write the ids that go out into a copy of the descriptor. */
void mu_vp8_rewrite(struct mu_vp8_map *m, const struct mu_vp8 *d, uint8_t *descriptor);

#endif
