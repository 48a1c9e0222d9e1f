/* Streams out that are fitted to their viewer: one stream fed from one of several layers, each a track, without a seam, and
 * of a track of several layers as many as the viewer is to have. An ordinary viewer's stream knows nothing of this.
 *
 * fit.c holds the sources and changes between them; choose.c says which one it should be; thin.c leaves out of a track what is
 * above the layers wanted; wire.c lays out what is left and remembers it. All of it is the worker's.
 */
#ifndef MU_TRANSPORT_FIT_H
#define MU_TRANSPORT_FIT_H

#include "adapt/adapt.h"
#include "transport/red.h"
#include "transport/share.h"
#include "transport/transport_internal.h"

#define FIT_TICK_US 200000 /* how often is looked whether the layers flow */
#define FIT_BUMPS   32
#define FIT_NUMBERS 256

/* --- one packet of a fitted stream ---------------------------------------------------------------------------------------- */

struct message;

/** A packet as it goes out: all that its bytes depend on, so that it can be sent again as it was. */
struct wire {
	struct out_stream *out;
	struct mu_packet *pkt; /* a reference, the wire's */
	uint64_t index;	       /* 48-bit SRTP index: its low half goes out as the sequence number */
	uint32_t ts;
	uint8_t pt, rtx_pt; /* rtx_pt: PT_NONE without */
	bool marker;
	bool empty;	 /* no payload: it holds the place of a packet that came late and is left out */
	bool red;	 /* went out with copies of those before it: never again as it was */
	uint16_t twcc;	 /* transport-wide number that it went out with */
	uint8_t n_patch; /* bytes that replace the payload's first */
	uint8_t patch[MU_VP8_DESCRIPTOR_MAX];
};
/** It goes out by the turn's drain. The reference moves into the queue. */
void wire_queue(const struct wire *w);
/** Lay out all that waits for a transport. */
void wire_drain(struct plane *p, struct message *m, int64_t now_us);
/** Lay out one packet and remember it. Its reference moves into the stream's log. */
void wire_send(struct plane *p, struct message *m, struct wire *w, int64_t now_us);
/** Another packet of this stream's repair, for a probe: what went out `back` packets ago once more, where about `size` bytes
 *  are asked for that are more than padding can be, else nothing but padding.
 *  @return bytes on the wire, 0: it has no repair */
size_t wire_probe(struct plane *p, struct message *m, struct out_stream *o, unsigned back, size_t size, uint16_t cluster,
	int64_t now_us);
/** Once more: as RTX, or byte for byte as it was: under a GCM nonce used twice other bytes would give the key away. */
void wire_again(struct plane *p, struct message *m, const struct wire *w, int64_t now_us);
/** What went out under the number that ends in these bits, in the last second. Valid until the next packet is sent.
 *  @return NULL: nothing */
const struct wire *wire_find(const struct out_stream *o, uint16_t seq);
/** Nothing of it may leave any more: what waits goes out empty, what was sent is forgotten. */
void wire_forget(struct out_stream *o);

/** What was sent, by index. wire.c */
struct sent {
	struct wire wire; /* pkt NULL: nothing */
	int64_t at_us;
};
struct wire_log {
	struct sent *slots; /* by index & (size - 1) */
	unsigned size;
	uint64_t low, high; /* indices in [low, high) may be there */
};
void wire_log_expire(struct wire_log *l, int64_t now_us);
void wire_log_done(struct wire_log *l);

/* --- the stream ------------------------------------------------------------------------------------------------------------- */

struct fit;
/** One track that feeds it, or is going to. */
struct fit_source {
	struct mu_sink sink;
	struct fit *fit;
	struct mu_track *track; /* a reference; NULL: not in use */
	unsigned number;	/* what fit.numbers knows it by */
	uint64_t highest;	/* track number */
	/* formats, by mu_packet.codec */
	uint8_t pt[MU_FORMATS_MAX], rtx_pt[MU_FORMATS_MAX];
	uint8_t codec[MU_FORMATS_MAX]; /* enum mu_codec */
	unsigned formats_version;
	uint64_t formats_since; /* first track number under these formats */
	/* time: out = track's + ts_offset, but never before what went out already */
	uint32_t ts_offset;
	bool bumping;
	unsigned n_bumps;
	struct fit_bump {
		uint32_t ts, out;
	} bumps[FIT_BUMPS]; /* pictures that were moved */
};
/** Layers within a track: up to which. */
struct fit_depth {
	uint8_t spatial, temporal;
};
struct fit_target {
	int layer; /* of feed.layers; MU_PAUSED */
	struct fit_depth depth;
	enum mu_choice why;
};
struct fit {
	struct out_stream *out;
	struct mu_feed feed; /* a reference of each layer */
	struct fit_target target;
	bool allocated; /* the target was set from outside */
	bool over;	/* its pictures wait too long: none goes out before a key frame */
	bool resumes;	/* what begins next continues what went out */
	bool lapsed;	/* something was not sent: it goes on with a key frame */
	struct fit_source sources[2];
	struct fit_source *present, *next; /* next waits for a key frame */
	unsigned last_number;
	struct mu_renumber numbers;
	struct mu_vp8_map vp8;
	/* of what went out */
	uint64_t began_with; /* the least index that the first packet of present may have */
	bool began;	     /* it left, at: */
	int64_t began_us;
	uint64_t high;		 /* the next index */
	bool given[FIT_NUMBERS]; /* which of those before it a packet went out as, by index modulo */
	uint32_t last_ts;
	int64_t last_arrival_us;
	struct wire_log log;
	/* thin.c */
	struct fit_depth want, now, before; /* before: of pictures before since_ts */
	uint32_t since_ts, picture_ts;
	bool since_known, picture_known;
	int64_t lacks_since_us; /* layers that are wanted; 0: none */
	struct wire held; /* the last packet of a picture's layer, until the next packet tells whether there is another; pkt NULL: none */
	struct share_stream share;
	struct red red;
	/* for people */
	uint32_t switches, bps;
	uint64_t counted_bytes;
	int64_t counted_us;
};
/** What the streams of one fitted transport share. */
struct steer; /* steer.h */
struct fitted {
	struct steer *steer; /* NULL: the peer tells nothing of its link */
	struct mu_transport *t;
	struct mu_timer timer;
	struct wire *queue;
	unsigned n, size;
};

/** Worker: at attach, when keys are there, at the end. */
int fitted_new(struct mu_transport *t);
void fitted_begin(struct mu_transport *t, int64_t now_us);
void fitted_end(struct mu_transport *t);

/** @param track its first feed; may be NULL. Control thread. */
struct fit *fit_new(struct out_stream *o, struct mu_track *track);
void fit_free(struct fit *f);
void fit_feed_done(struct mu_feed *f);
/** Takes f's references and leaves there what it had. */
void fit_feed(struct out_stream *o, struct mu_feed *f, int64_t now_us);
/** Let go of the tracks. */
void fit_release(struct out_stream *o);
/** Sending was interrupted: each goes on with a key frame. */
void fit_resume(struct out_stream *o, int64_t now_us);
void fit_ask_key(struct out_stream *o, int64_t now_us);
/** Media time to wall time of what goes out. */
struct mu_rtp_clock fit_clock(const struct out_stream *o, int64_t now_us);
void fit_stats(const struct out_stream *o, struct mu_stream_stats *ret);

/* choose.c */
/** What it is to carry from now on, as soon as a key frame lets it. From the first call on the stream chooses nothing
 *  by itself, until it is fed anew.
 *  @param layer    index in feed.layers, MU_PAUSED: nothing
 *  @param spatial, temporal  up to these, of a track that has several */
void fit_target(struct out_stream *o, int layer, unsigned spatial, unsigned temporal, enum mu_choice why, int64_t now_us);
/** Look again what the layers are like, and choose where nobody else does. */
void fit_choose(struct fit *f, int64_t now_us);
/** The layers' shapes, and their indices in feed.layers by size, the smallest first. */
void fit_shapes(const struct fit *f, struct mu_shape shapes[MU_LAYERS_MAX], unsigned order[MU_LAYERS_MAX]);
/** Of target.layer, or of another that flows in its place. @return -1: none */
int fit_layer_now(const struct fit *f);
/* fit.c, for choose.c: go to where target points */
void fit_follow(struct fit *f, int64_t now_us);

/* thin.c */
/** Another source begins. */
void thin_begin(struct fit *f);
/** Whether the packet goes out; its flags decide when more or fewer layers do. */
bool thin_passes(struct fit *f, const struct mu_packet *pkt);
/** The marker that ends a picture whose upper layers are left out. @return whether w is held back until the next packet */
bool thin_mark(struct fit *f, struct wire *w);
/** Ask the present source for a key frame where layers that are wanted do not begin by themselves. */
void thin_ask(struct fit *f, int64_t now_us);
void thin_tick(struct fit *f, int64_t now_us);
/** The next packet of the source, NULL: there is none. What was held back goes out. */
void thin_settle(struct fit *f, const struct mu_packet *next);

#endif
