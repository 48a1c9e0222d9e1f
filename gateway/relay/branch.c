/* A branch: one worker's part of a track, with the sinks there. */
#include <stdlib.h>

#include "relay/relay_internal.h"

#define CATCH_UP_TURN    64 /* packets a joiner gets a turn, so that others get theirs */
#define CATCH_UP_TURN_US 1000
#define CATCH_UP_FRESH_US                                                                                   \
	700000 /* a key frame younger than this serves a joiner without asking the source: of many who join \
		* within a second, only the first of each such time make it ask */
#define CATCH_UP_FACTOR   4    /* times the rate since the key frame */
#define CATCH_UP_FLOOR    1000 /* bytes a millisecond: 8 Mbit/s */
#define CATCH_UP_SPAN_US  250000
#define CATCH_UP_SLACK_US 20000  /* of the pace that may go at once */
#define HISTORY_US        100000 /* a key frame that came longer ago than this is followed by much already */

void branch_mark_dirty(struct branch *b)
{
	if (!mu_list_empty(&b->dirty))
		return;
	mu_track_ref(b->track);
	mu_list_append(&relay_of(b->worker)->dirty, &b->dirty);
}

/* --- giving to sinks
 * -------------------------------------------------------------------------------------------------- */

void branch_settle(struct branch *b)
{
	for (unsigned i = 0; i < b->n_held; i++)
		mu_packet_unref(b->burst.pkts[i]);
	b->n_held = 0;
}

void branch_forget_pending(struct branch *b)
{
	for (unsigned i = 0; i < b->n_pending; i++)
		mu_packet_unref(b->pending[i]);
	b->n_pending = 0;
	b->marker = false;
}

/* The burst before is drained. */
static void begin_burst(struct branch *b)
{
	branch_settle(b);
	b->burst.track = b->track;
	b->burst.n = 0;
	b->burst.header_map = NULL;
	b->burst.formats = b->formats ? b->formats->f : NULL;
	b->burst.n_formats = b->formats ? b->formats->n : 0;
	b->burst.formats_version = b->formats ? b->formats->version : 0;
}

static void begin_catch_up(struct branch *b, struct mu_sink *s, uint64_t from, int64_t now_us)
{
	s->first_seq = s->cursor = from;
	s->pace = 0;
	s->paid_us = now_us - CATCH_UP_SLACK_US;
	s->catching_up = true;
	b->n_catching_up++;
	branch_mark_dirty(b);
}

static void end_catch_up(struct branch *b, struct mu_sink *s)
{
	s->catching_up = false;
	b->n_catching_up--;
}

static const struct mu_packet *pending_key(const struct branch *b)
{
	for (unsigned i = 0; i < b->n_pending; i++) {
		if (b->pending[i]->flags & MU_PACKET_KEY)
			return b->pending[i];
	}
	return NULL;
}

static bool is_pending(const struct branch *b, const struct mu_packet *p)
{
	for (unsigned i = 0; i < b->n_pending; i++) {
		if (b->pending[i] == p)
			return true;
	}
	return false;
}

/* Packets of the key frame that went by before it was seen to be one: from the cache, to all who wait. */
static void give_lead(struct branch *b, const struct mu_packet *key, int64_t now_us)
{
	uint64_t seq = key_start(key);

	while (seq < key->seq) {
		begin_burst(b);
		for (; seq < key->seq && b->burst.n < MU_BURST_MAX; seq++) {
			struct mu_packet *p = cache_get(&b->cache, seq);

			if (p && !is_pending(b, p))
				b->burst.pkts[b->burst.n++] = p;
		}
		if (b->burst.n == 0)
			return;
		mu_list_for_each_safe (it, next, &b->sinks) {
			struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

			if (s->waiting_key)
				s->deliver(s, &b->burst);
		}
		relay_of(b->worker)->drain(b->worker, now_us);
	}
}

/* The network put the frame's first packet behind others of it: these went by while nobody knew that a key
 * frame begins. */
static bool was_overtaken(const struct branch *b, const struct mu_packet *key)
{
	for (uint64_t seq = key->seq + 1; seq < b->cache.high; seq++) {
		const struct mu_packet *p = cache_get(&b->cache, seq);

		if (p && p->arrival_us < key->arrival_us)
			return true;
	}
	return false;
}

/* A branch that begins with the GOP of home's cache gets all of it in a turn: then they begin by catching up.
 */
static void begin_at_key(struct branch *b, const struct mu_packet *key, int64_t now_us)
{
	bool old = now_us - key->arrival_us > HISTORY_US, history = old || was_overtaken(b, key);
	bool whole = key->lead == 0 || cache_get(&b->cache, key_start(key));
	unsigned n = 0;

	mu_list_for_each (it, &b->sinks) {
		struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (!s->waiting_key || (s->afresh && old))
			continue;
		n++;
		s->first_seq = key_start(key);
	}
	if (n == 0)
		return;
	if (!whole) { /* the branch began between the parameter sets and the picture */
		mu_track_ask_key(b->track, b->worker, now_us);
		return;
	}
	if (!history)
		give_lead(b, key, now_us);
	mu_list_for_each (it, &b->sinks) {
		struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (s->waiting_key && s->afresh && old)
			continue;
		if (s->waiting_key && history)
			begin_catch_up(b, s, key_start(key), now_us);
		s->waiting_key = false;
	}
}

void branch_deliver(struct branch *b, int64_t now_us)
{
	const struct mu_packet *key = pending_key(b);

	if (b->n_pending == 0)
		return;
	if (key)
		begin_at_key(b, key, now_us);
	begin_burst(b);
	memcpy(b->burst.pkts, b->pending, b->n_pending * sizeof(b->pending[0]));
	b->burst.n = b->n_held = b->n_pending;
	b->n_pending = 0;
	b->marker = false;
	mu_list_for_each_safe (it, next, &b->sinks) {
		struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (!s->waiting_key && !s->catching_up)
			s->deliver(s, &b->burst);
	}
	b->stats.packets_handed += b->burst.n;
}

/* What waits goes out now: the arrays are free again. */
static void deliver_and_drain(struct branch *b, int64_t now_us)
{
	if (b->n_pending == 0)
		return;
	branch_deliver(b, now_us);
	relay_of(b->worker)->drain(b->worker, now_us);
}

/* --- catching up
 * ------------------------------------------------------------------------------------------------------ */

/* A joiner's own line is not known yet and must take this beside the other joiners': so faster than the
 * source by a factor and not as fast as we can. While a key frame is young its size says nothing about the
 * rate yet. */
static uint32_t pace(const struct branch *b, int64_t now_us)
{
	const struct mu_packet *key = b->cache.have_gop ? cache_get(&b->cache, b->cache.gop) : NULL;
	int64_t span = key ? MU_MAX(now_us - key->arrival_us, CATCH_UP_SPAN_US) : 0;

	if (!key)
		return CATCH_UP_FLOOR;
	return (uint32_t)MU_MAX((int64_t)b->cache.gop_bytes * 1000 / span * CATCH_UP_FACTOR, CATCH_UP_FLOOR);
}

/* The next packets of the cache for one sink, as its pace allows; each burst is drained before the next is
 * built. */
static void feed(struct branch *b, struct mu_sink *s, int64_t now_us)
{
	unsigned left = CATCH_UP_TURN;

	s->pace = MU_MAX(s->pace, pace(b, now_us));
	s->paid_us = MU_MAX(s->paid_us, now_us - CATCH_UP_SLACK_US);
	s->cursor = MU_MAX(s->cursor, b->cache.low);
	while (left > 0 && s->cursor < b->cache.high && s->paid_us <= now_us) {
		begin_burst(b);
		while (s->cursor < b->cache.high && b->burst.n < MU_BURST_MAX && s->paid_us <= now_us) {
			struct mu_packet *p = cache_get(&b->cache, s->cursor++);

			if (!p)
				continue;
			b->burst.pkts[b->burst.n++] = p;
			s->paid_us += (int64_t)p->len * 1000 / s->pace;
		}
		if (b->burst.n > 0) {
			s->deliver(s, &b->burst);
			relay_of(b->worker)->drain(b->worker, now_us);
		}
		left -= MU_MIN(left, MU_MAX(b->burst.n, 1u));
	}
	if (s->cursor >= b->cache.high)
		end_catch_up(b, s);
}

/* When the first of those who catch up may go on. */
static int64_t next_feed(const struct branch *b)
{
	int64_t next = INT64_MAX;

	mu_list_for_each (it, &b->sinks) {
		const struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (s->catching_up)
			next = MU_MIN(next, s->paid_us);
	}
	return next;
}

int64_t branch_catch_up(struct branch *b, int64_t now_us)
{
	int64_t next = b->n_catching_up > 0 ? next_feed(b) : INT64_MAX;

	if (next > now_us)
		return next;
	/* what waits is in the cache as well: who gets it from there must not get it again */
	deliver_and_drain(b, now_us);
	mu_list_for_each_safe (it, nx, &b->sinks) {
		struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (s->catching_up && s->paid_us <= now_us)
			feed(b, s, now_us);
	}
	next = b->n_catching_up > 0 ? next_feed(b) : INT64_MAX;
	return next == INT64_MAX ? next : MU_MAX(next, now_us + CATCH_UP_TURN_US);
}

/* --- packets come
 * --------------------------------------------------------------------------------------------------- */

/* The cache's packets are of the formats before: nobody may be fed them under the new ones. */
void branch_set_formats(struct branch *b, struct formats *f, int64_t now_us)
{
	if (b->formats == f)
		return;
	deliver_and_drain(b, now_us);
	formats_unref(b->formats);
	b->formats = formats_ref(f);
	b->cache.have_gop = false;
	mu_list_for_each (it, &b->sinks) {
		struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (!s->catching_up)
			continue;
		end_catch_up(b, s);
		s->waiting_key = true;
	}
}

bool branch_keep(struct branch *b, struct mu_packet *p)
{
	if (cache_put(&b->cache, p, branch_keeps_gop(b)))
		return true;
	b->stats.late++;
	return false;
}

void branch_queue(struct branch *b, struct mu_packet *p, int64_t now_us)
{
	if (p->flags & MU_PACKET_KEY)
		cache_key(&b->cache, p);
	if (b->n_sinks == 0) {
		mu_packet_unref(p);
		return;
	}
	if (b->n_pending == MU_BURST_MAX) /* more in one turn than a burst holds */
		deliver_and_drain(b, now_us);
	if (b->n_pending == 0)
		b->pending_since_us = now_us;
	b->pending[b->n_pending++] = p;
	b->marker |= p->flags & MU_PACKET_MARKER;
	branch_mark_dirty(b);
}

/* --- notes to home
 * --------------------------------------------------------------------------------------------------- */

static void post(struct branch *b, struct note *n)
{
	if (atomic_exchange(&n->posted, true))
		return;
	mu_track_ref(b->track);
	mu_worker_post(b->track->home, &n->msg);
}

static void set_wanted(struct branch *b, bool on)
{
	if (on)
		b->epoch++;
	atomic_store(&b->wanted, b->epoch << 1 | on);
	post(b, &b->wanted_note);
}

static void wish_key(struct branch *b, int64_t now_us)
{
	if (b->worker == b->track->home)
		home_wish_key(b->track, now_us);
	else
		post(b, &b->wish_note);
}

/* --- sinks
 * ---------------------------------------------------------------------------------------------------------
 */

static bool key_frame_serves(const struct branch *b, int64_t now_us)
{
	const struct mu_packet *key = b->cache.have_gop ? cache_get(&b->cache, b->cache.gop) : NULL;

	return key && (branch_keeps_gop(b) || now_us - key->arrival_us <= CATCH_UP_FRESH_US);
}

static void begin_video(struct branch *b, struct mu_sink *s, int64_t now_us)
{
	if (!s->afresh && key_frame_serves(b, now_us)) {
		begin_catch_up(b, s, b->cache.gop, now_us);
	} else {
		s->waiting_key = true;
		if (s->afresh)
			wish_key(b, now_us);
		else
			mu_track_ask_key(b->track, b->worker, now_us);
	}
}

void mu_track_add_sink(struct mu_track *t, struct mu_worker *w, struct mu_sink *s, int64_t now_us)
{
	struct branch *b = branch_of(t, w);

	s->track = mu_track_ref(t);
	s->waiting_key = s->catching_up = false;
	s->first_seq = b->cache.high;
	mu_list_append(&b->sinks, &s->link);
	shape_users(t, 1);
	if (b->n_sinks++ == 0 && w != t->home)
		set_wanted(b, true);
	if (t->kind == MU_VIDEO)
		begin_video(b, s, now_us);
}

void mu_track_remove_sink(struct mu_track *t, struct mu_worker *w, struct mu_sink *s)
{
	struct branch *b = branch_of(t, w);

	mu_list_remove(&s->link);
	shape_users(t, -1);
	if (s->catching_up)
		end_catch_up(b, s);
	if (--b->n_sinks == 0) {
		branch_forget_pending(b);
		if (w != t->home) {
			set_wanted(b, false);
			cache_done(&b->cache);
		}
	}
	s->track = NULL;
	mu_track_unref(t);
}

void mu_track_ask_key(struct mu_track *t, struct mu_worker *w, int64_t now_us)
{
	if (w == t->home)
		home_ask_key(t, now_us);
	else
		post(branch_of(t, w), &branch_of(t, w)->key_note);
}

struct mu_packet *mu_track_find(struct mu_track *t, struct mu_worker *w, uint64_t seq)
{
	return cache_get(&branch_of(t, w)->cache, seq);
}

struct mu_rtp_clock mu_track_clock(const struct mu_track *t, const struct mu_worker *w)
{
	return t->branches[mu_worker_index(w)].clock;
}

void mu_track_stats(const struct mu_track *t, const struct mu_worker *w, struct mu_track_stats *ret)
{
	const struct branch *b = &t->branches[mu_worker_index(w)];

	*ret = b->stats;
	ret->sinks = b->n_sinks;
}
