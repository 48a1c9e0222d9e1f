/* What the files of relay share.
 *
 * struct mu_track: const parts, what belongs to the home worker, and a branch for each worker. A branch is
 * touched by its worker alone. References keep the whole alive: the control side's, sources', sinks',
 * messages', queued branches'.
 */
#ifndef MU_RELAY_INTERNAL_H
#define MU_RELAY_INTERNAL_H

#include "relay/relay.h"

#define CACHE_MIN 256
#define CACHE_MAX 8192
#define SEQ_START 65536 /* so that a number reordered before the first never falls below 0 */

/** Formats in force, shared by the branches. */
struct formats {
	atomic_uint refs;
	unsigned version;
	bool keep_gop; /* the source cannot be asked for a key frame */
	unsigned n;
	struct mu_format f[MU_FORMATS_MAX];
};
struct formats *formats_new(const struct mu_format *f, size_t n, unsigned version, bool keep_gop);
struct formats *formats_ref(struct formats *f);
void formats_unref(struct formats *f);

/** The packets of the last second and, where needed, since the last key frame. cache.c */
struct cache {
	struct mu_packet **slots; /* by seq & (size - 1) */
	size_t size;
	uint64_t low, high; /* numbers in [low, high) may be there, now or by repair */
	uint64_t oldest;    /* no packet in [low, oldest) */
	uint64_t gop;       /* first packet of the last key frame; valid with have_gop */
	bool have_gop;
	uint64_t gop_bytes; /* since then */
};
/** Keep a packet (takes a reference). @return false: it is there already, older than the cache, or no memory
 */
bool cache_put(struct cache *c, struct mu_packet *p, bool keep_gop);
/** This packet, which is kept, shows a key frame (MU_PACKET_KEY). */
void cache_key(struct cache *c, const struct mu_packet *p);
struct mu_packet *cache_get(const struct cache *c, uint64_t seq);
void cache_done(struct cache *c);

/** What a branch tells home. Embedded, so that it cannot be lost and needs no memory: what is posted while it
 * is on its way travels with it. Holds a reference to the track while posted. */
struct note {
	struct mu_msg msg;
	atomic_bool posted;
};

struct branch {
	struct mu_track *track;
	struct mu_worker *worker;
	struct mu_list sinks;
	unsigned n_sinks, n_catching_up;
	struct cache cache;
	struct mu_packet
		*pending[MU_BURST_MAX]; /* a reference each: the cache may drop what it has at any packet */
	unsigned n_pending;
	bool marker; /* a frame ends among them */
	int64_t pending_since_us;
	struct mu_list dirty; /* in the worker's list while packets are pending or a sink is catching up;
				 holds a reference */
	struct formats *formats;
	struct mu_rtp_clock clock;
	struct mu_burst burst;
	unsigned n_held; /* packets of burst, from the first, that it holds references of: until it is drained
			  */
	struct mu_track_stats stats;
	unsigned
		epoch; /* counts the branch's lives: what was handed to the life before is not for this one */
	/* read at home */
	atomic_uint wanted; /* epoch << 1 | whether there are viewers */
	struct note wanted_note, key_note, wish_note;
};

/** A branch elsewhere, as home sees it. */
struct far {
	unsigned epoch;
	uint64_t resume; /* first number it has not been handed; while its bit in mu_track.behind is set */
};

/** Where a frame begins; params: the first of its packets that a decoder needs. */
struct frame_start {
	bool known;
	uint32_t ts;
	uint64_t seq;
};

/** What came in half a second. shape.c */
struct gauge_half {
	uint32_t bytes[MU_SPATIAL_MAX][MU_TEMPORAL_MAX];
	uint16_t frames[MU_TEMPORAL_MAX];
};
struct gauge {
	struct gauge_half now, before;
	int64_t since_us, before_us; /* when they began; before_us 0: there is none */
	bool early;                  /* to be told before the half second is over */
	uint16_t width, height;
	uint32_t frame_ts; /* the last frame that was counted: parameter sets and slices each may begin one */
};
#define SHAPE_WORDS ((sizeof(struct mu_shape) + 3) / 4)

struct mu_track {
	atomic_uint refs;
	char *id;
	enum mu_kind kind;
	struct mu_worker *home;
	/* home worker */
	struct mu_source *source;
	bool source_started;
	uint64_t seq_offset, source_first, highest; /* track numbers */
	uint32_t ts_offset, last_ts;
	struct frame_start key, params; /* of the last key frame; of the last frame with parameter sets */
	int64_t last_ts_us;
	uint32_t wanted; /* bits: workers with viewers, home excepted */
	uint32_t behind; /* bits of those: get what they lack from the cache */
	struct far far[MU_WORKERS_MAX];
	struct mu_packet *gathered[MU_HAND_MAX]; /* on their way to other workers; a reference each */
	unsigned n_gathered;
	bool key_asked_afar, key_wished_afar; /* by a branch, this turn */
	struct mu_list handing; /* in the worker's list while any of these waits; holds a reference */
	unsigned formats_version;
	int64_t asked_us, asked_before_us; /* the last time, and the one before it */
	bool key_wanted, key_wished;       /* by somebody without a picture; by somebody with another one */
	struct mu_timer key_timer;
	struct mu_dd *dd; /* NULL: no dependency descriptor came yet */
	struct gauge gauge;
	/* written at home, read by any thread: shape.c */
	struct {
		atomic_uint seq;
		_Atomic uint32_t words[SHAPE_WORDS];
		_Atomic int64_t last_us;
		_Atomic uint64_t loud;
	} shape;
	/* any thread */
	atomic_uint users;
	struct {
		_Atomic(struct mu_inbox *) in; /* NULL: nobody watches */
		struct note note;
		/* control thread */
		void (*fn)(void *arg, struct mu_track *t);
		void *arg;
	} watch;
	unsigned n_branches;
	struct branch branches[];
};

struct mu_relay {
	struct mu_worker *worker;
	struct mu_slab *slab;
	struct mu_list dirty;   /* branches */
	struct mu_list handing; /* tracks at home here */
	int64_t gather_us;
	void (*drain)(struct mu_worker *w, int64_t now_us);
};
struct mu_relay *relay_of(const struct mu_worker *w);

/** Where the key frame that p shows begins. */
static inline uint64_t key_start(const struct mu_packet *p)
{
	return p->seq - p->lead;
}
static inline struct branch *branch_of(struct mu_track *t, const struct mu_worker *w)
{
	return &t->branches[mu_worker_index(w)];
}
static inline bool branch_keeps_gop(const struct branch *b)
{
	return b->formats && b->formats->keep_gop;
}
/** Keep a packet in the cache. @return false: it is there already or too late, which is counted */
bool branch_keep(struct branch *b, struct mu_packet *p);
/** A packet that was kept goes to the sinks by the turn's flush. The reference becomes the branch's. */
void branch_queue(struct branch *b, struct mu_packet *p, int64_t now_us);
/** Give pending packets to the sinks. */
void branch_deliver(struct branch *b, int64_t now_us);
/** What was delivered is drained. */
void branch_settle(struct branch *b);
void branch_forget_pending(struct branch *b);
/** Feed sinks that catch up, each at its pace. @return when one may go on; INT64_MAX: none catches up */
int64_t branch_catch_up(struct branch *b, int64_t now_us);
/** Packets queued from now on have other formats; those before leave under theirs. */
void branch_set_formats(struct branch *b, struct formats *f, int64_t now_us);
void branch_mark_dirty(struct branch *b);

/** A packet came in that counts. Home worker, like the next two. */
void shape_packet(struct mu_track *t, const struct mu_packet *p, int64_t now_us);
/** A key frame says its size. */
void shape_size(struct mu_track *t, unsigned width, unsigned height);
/** The audio level of a packet, -dBov, as the extension has it (RFC 6464). */
void shape_level(struct mu_track *t, uint8_t dbov, int64_t now_us);
/** A sink more (1) or less (-1). Any worker. */
void shape_users(struct mu_track *t, int by);

/** Ask the source now or when its interval has passed. Home worker. */
void home_ask_key(struct mu_track *t, int64_t now_us);
/** The same for who has another picture meanwhile: many change to a layer one after the other, and each key
 * frame makes the layer worse for those who have it. */
void home_wish_key(struct mu_track *t, int64_t now_us);
/** A key frame went out: whoever waited has it. */
void home_key_came(struct mu_track *t);
/** The branch's notes arrived. */
void home_set_wanted(struct mu_msg *m);
void home_ask_key_msg(struct mu_msg *m);
void home_wish_key_msg(struct mu_msg *m);

/** A packet for all workers with viewers; takes a reference. Home worker, like all of hand.c. */
void hand_gather(struct mu_track *t, struct mu_packet *p);
/** A branch asks for a key frame, or wishes for one: answered by the turn's flush, which knows the time. */
void hand_ask_key(struct mu_track *t);
void hand_wish_key(struct mu_track *t);
/** Do what waits. @return when to be called again: a ring was full; INT64_MAX: nothing is left */
int64_t hand_flush(struct mu_track *t, int64_t now_us);
/** Hand over or give up all that is of the formats in force. */
void hand_seal(struct mu_track *t, int64_t now_us);
void hand_forget(struct mu_track *t);
/** A branch begins its life number `epoch`, or ends it. */
void hand_begin(struct mu_track *t, unsigned worker, unsigned epoch);
void hand_end(struct mu_track *t, unsigned worker);

#endif
