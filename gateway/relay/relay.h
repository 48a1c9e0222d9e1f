/* relay: source, sink, track, fan-out: the heart.
 *
 * A track lives at home on one worker, where its publisher's packets arrive, and has a branch on every worker
 * that has viewers: the branch holds references to the same packets and that worker's sinks. Home hands
 * bursts to branches by ring; where a ring is full, the branch gets the rest from home's cache later. A track
 * outlives its publisher: a source may leave and another come; sequence numbers and time go on without a
 * seam. Nothing here knows sockets, SRTP or SDP.
 */
#ifndef MU_RELAY_H
#define MU_RELAY_H

#include "net/net.h"
#include "rtp/rtp.h"

#define MU_FORMATS_MAX     16 /* codecs a track may change between: Chromium offers 15 */
#define MU_BURST_MAX       16
#define MU_CACHE_US        1000000 /* packets younger than this are always there for retransmission */
#define MU_KEY_INTERVAL_US 500000  /* at most one key-frame request a source in this time */
#define MU_KEY_CALM_US     2000000 /* and at most two in this, where all who want one have a picture meanwhile \
				    */

struct mu_track;
struct mu_source;
struct mu_sink;

/** What feeds a track. Embedded by the transport; home worker. */
struct mu_source {
	struct mu_track *track;
	/** Ask the sender for a key frame; the track sees to the interval. NULL: it cannot be asked (GOP
	 * cache serves). */
	void (*ask_key)(struct mu_source *s, int64_t now_us);
};

/** Packets on their way to sinks, all of one track, in order; valid during deliver and until that turn's
 * flush. */
struct mu_burst {
	struct mu_track *track;
	struct mu_packet *pkts[MU_BURST_MAX];
	unsigned n;
	const struct mu_format *formats;     /* mu_packet.codec counts in these */
	unsigned n_formats, formats_version; /* changes when another publisher comes with others */
	/* headers written once and shared by all sinks that map extensions alike; the egress's own */
	const struct mu_ext_map *header_map;
	uint16_t header_len[MU_BURST_MAX];
	uint8_t header[MU_BURST_MAX][MU_RTP_HEADER_MAX];
};
/** What takes a track's packets out. Embedded by the transport; the worker it was added on. */
struct mu_sink {
	struct mu_list link;
	struct mu_track *track;
	uint64_t first_seq; /* packets below are not for it: it joined later */
	bool waiting_key;   /* takes nothing before a key frame's start */
	bool afresh; /* begins with a key frame of the moment, not with one in the cache, and can wait for it
		      * (MU_KEY_CALM_US): its viewer has another picture meanwhile; set before it is added */
	bool catching_up; /* is being fed from the cache, from cursor on */
	uint64_t cursor;
	uint32_t pace;   /* bytes a millisecond while it catches up */
	int64_t paid_us; /* the pace allows the next packet from here on */
	/** Take the packets whose seq >= first_seq. */
	void (*deliver)(struct mu_sink *s, struct mu_burst *b);
};

/* --- control thread
 * ------------------------------------------------------------------------------------------------------ */

/** What a track is. `id` "city.east/cam-1/video". Home is fixed for its life.
 *  @return 0, -EINVAL, -ENOMEM; one reference, the caller's */
int mu_track_new(struct mu_net *net, unsigned home, const char *id, enum mu_kind kind, struct mu_track **ret);
/** References: any thread. The last one frees. */
struct mu_track *mu_track_ref(struct mu_track *t);
struct mu_track *mu_track_unref(struct mu_track *t);
const char *mu_track_id(const struct mu_track *t);
enum mu_kind mu_track_kind(const struct mu_track *t);
struct mu_worker *mu_track_home(const struct mu_track *t);

/* --- home worker
 * -----------------------------------------------------------------------------------------------------------
 */

/** A source begins to feed. Its first packet continues the numbering: time goes on by what passed on the
 * clock.
 *  @param formats  by which mu_packet.codec counts; copied
 *  @return 0, -EBUSY (it has one) */
int mu_track_set_source(
	struct mu_track *t, struct mu_source *s, const struct mu_format *formats, size_t n, int64_t now_us);
void mu_track_clear_source(struct mu_track *t, struct mu_source *s);
/** Take a parsed packet in (the reference becomes the track's): unwrapped wire sequence `wire_seq64`. It goes
 * out by the turn's flush, by gathering rules, or at once when 16 wait. */
void mu_track_push(struct mu_track *t, struct mu_packet *p, uint64_t wire_seq64, int64_t now_us);
/** The publisher's sender report: how its media time maps to wall time. */
void mu_track_set_clock(struct mu_track *t, uint64_t ntp, uint32_t wire_rtp, int64_t now_us);

/* --- any worker, on itself
 * --------------------------------------------------------------------------------------------------- */

/** A viewer joins on worker w. Video waits for a key frame, asked for at once, or is served from the GOP
 * cache where the source cannot be asked: at four times the rate it had, at least 8 Mbit/s, until it has
 * caught up. */
void mu_track_add_sink(struct mu_track *t, struct mu_worker *w, struct mu_sink *s, int64_t now_us);
void mu_track_remove_sink(struct mu_track *t, struct mu_worker *w, struct mu_sink *s);
/** A viewer needs a key frame. Coalesced at home to one in MU_KEY_INTERVAL_US. */
void mu_track_ask_key(struct mu_track *t, struct mu_worker *w, int64_t now_us);
/** A packet of the last second for a retransmission, borrowed until the turn ends; NULL: gone. */
struct mu_packet *mu_track_find(struct mu_track *t, struct mu_worker *w, uint64_t seq);
/** Media time to wall time as this branch knows it; valid false before the first sender report. rtp is in
 * track time. */
struct mu_rtp_clock mu_track_clock(const struct mu_track *t, const struct mu_worker *w);

struct mu_track_stats {
	uint64_t packets_in, bytes_in, packets_handed, late, key_frames, key_requests, key_asked;
	uint64_t
		unhanded; /* numbers a busy worker did not get before they left the cache, over all workers */
	unsigned sinks;
};
/** Counters of the branch on w (packets_in, key_* and unhanded only at home). */
void mu_track_stats(const struct mu_track *t, const struct mu_worker *w, struct mu_track_stats *ret);

/* --- what a track is like and who wants it: any thread
 * ---------------------------------------------------------------------- */

/** As measured at home over the last half second or so; written there, read anywhere. */
struct mu_shape {
	bool flows;             /* packets came within the last second */
	uint16_t width, height; /* of the last key frame (its highest spatial layer); 0: the codec's header
				   was not read */
	uint8_t spatials, temporals; /* layers seen; 1 where there are none */
	/** Bits a second, RTP payload, of the layers up to [spatial][temporal] together. */
	uint32_t bps[MU_SPATIAL_MAX][MU_TEMPORAL_MAX];
	uint8_t fps[MU_TEMPORAL_MAX]; /* frames a second up to this temporal layer */
};
void mu_track_shape(const struct mu_track *t, struct mu_shape *ret);
/** How loud an audio track is, from its audio-level extension (RFC 6464): 127 minus the level in -dBov,
 * smoothed over some 200 ms; 0: silent, or nothing came for half a second, or no level is sent. */
unsigned mu_track_loudness(const struct mu_track *t, int64_t now_us);
/** Sinks on all workers. */
unsigned mu_track_users(const struct mu_track *t);
/** Be told on the control thread when the first sink came or the last one went: fn(arg, t) looks at
 * mu_track_users. Calls under way at the same time become one. NULL ends it: fn is not called any more.
 * Control thread.
 *  @param in  the control thread's */
void mu_track_watch(
	struct mu_track *t, struct mu_inbox *in, void (*fn)(void *arg, struct mu_track *t), void *arg);

/* --- per-worker relay state, driven by the net ops of the module above
 * --------------------------------------------------------- */

struct mu_relay; /* one a worker */
/** @param drain  empties what sinks were given so far, so that bursts may be used again: called when more
 * than a burst waits in one turn */
int mu_relay_new(struct mu_worker *w, size_t max_packets, void (*drain)(struct mu_worker *w, int64_t now_us),
	struct mu_relay **ret);
void mu_relay_free(struct mu_relay *r);
/** How to find a worker's relay; the module that owns mu_worker_user says. Before workers start. */
void mu_relay_bind(struct mu_relay *(*of_worker)(const struct mu_worker *w));
/** Deliver what is ready to the sinks. @return when the rest wants to go (INT64_MAX: nothing waits) */
int64_t mu_relay_flush(struct mu_relay *r, int64_t now_us);
/** A burst of mu_worker_hand arrived. */
void mu_relay_handed(struct mu_relay *r, const struct mu_hand *h, int64_t now_us);
/** A burst left in a ring when the workers stopped: give its references back. */
void mu_relay_discard(const struct mu_hand *h);
/** Longest a packet is held back to travel with others; 0: never. It is held only on a track with viewers
 * enough and from 40 % of the worker's load on, longer the higher that is, the whole time from 80 %. */
void mu_relay_set_gather(struct mu_relay *r, int64_t gather_us);
/** The packet store of this worker. */
struct mu_slab *mu_relay_slab(struct mu_relay *r);
#endif
