/* What the files of relay share.
 *
 * struct mu_track: const parts, what belongs to the home worker, and a branch for each worker. A branch is touched by its
 * worker alone. References keep the whole alive: the control side's, sources', sinks', messages', queued branches'.
 */
#ifndef MU_RELAY_INTERNAL_H
#define MU_RELAY_INTERNAL_H

#include "relay/relay.h"

#define CACHE_MIN   256
#define CACHE_MAX   8192
#define SEQ_START   65536 /* so that a number reordered before the first never falls below 0 */

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
	uint64_t gop;	    /* first packet of the last key frame; valid with have_gop */
	bool have_gop;
};
/** Keep a packet (takes a reference). @return false: it is there already, older than the cache, or no memory */
bool cache_put(struct cache *c, struct mu_packet *p, int64_t now_us, bool keep_gop);
struct mu_packet *cache_get(const struct cache *c, uint64_t seq);
void cache_done(struct cache *c);

struct branch {
	struct mu_track *track;
	struct mu_worker *worker;
	struct mu_list sinks;
	unsigned n_sinks, n_catching_up;
	struct cache cache;
	struct mu_packet *pending[MU_BURST_MAX]; /* borrowed from the cache */
	unsigned n_pending;
	bool marker; /* a frame ends among them */
	int64_t pending_since_us;
	struct mu_list dirty; /* in the worker's list while packets are pending or a sink is catching up; holds a reference */
	struct formats *formats;
	struct mu_rtp_clock clock;
	struct mu_burst burst;
	struct mu_track_stats stats;
};

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
	bool have_key;
	uint32_t key_ts; /* media time of the last key frame's start */
	int64_t last_ts_us;
	uint32_t wanted; /* bits: workers with viewers, home excepted */
	unsigned formats_version;
	int64_t asked_us;
	bool key_wanted;
	struct mu_timer key_timer;
	unsigned n_branches;
	struct branch branches[];
};

struct mu_relay {
	struct mu_worker *worker;
	struct mu_slab *slab;
	struct mu_list dirty;
	int64_t gather_us;
	void (*drain)(struct mu_worker *w, int64_t now_us);
};
struct mu_relay *relay_of(const struct mu_worker *w);

/** A track's message to a worker: holds a reference. */
struct track_msg {
	struct mu_msg msg;
	struct mu_track *track;
	struct mu_worker *on;
	unsigned worker;
	bool on_off;
	struct mu_rtp_clock clock;
};
/** Post fn with a message to worker `to`; without memory the message is lost and the next of its kind repairs that. */
void track_post(struct mu_track *t, struct mu_worker *to, void (*fn)(struct mu_msg *m), unsigned worker, bool on_off);

static inline struct branch *branch_of(struct mu_track *t, const struct mu_worker *w)
{
	return &t->branches[mu_worker_index(w)];
}
static inline bool branch_keeps_gop(const struct branch *b)
{
	return b->formats && b->formats->keep_gop;
}
/** Packets for this branch: cached, queued for its sinks. The branch's worker; the reference stays the caller's. */
void branch_take(struct branch *b, struct mu_packet *p, int64_t now_us);
/** Give pending packets to the sinks. */
void branch_deliver(struct branch *b);
/** Feed sinks that catch up. @return whether some still do */
bool branch_catch_up(struct branch *b, int64_t now_us);
void branch_set_formats(struct branch *b, struct formats *f);
void branch_mark_dirty(struct branch *b);

/** Ask the source now or when its interval has passed. Home worker. */
void home_ask_key(struct mu_track *t, int64_t now_us);
/** A key frame went out: whoever waited has it. */
void home_key_came(struct mu_track *t);
void home_set_wanted(struct mu_msg *m);
void home_ask_key_msg(struct mu_msg *m);

#endif
