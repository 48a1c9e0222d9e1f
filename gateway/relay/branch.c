/* A branch: one worker's part of a track, with the sinks there. */
#include <stdlib.h>

#include "relay/relay_internal.h"

#define CATCH_UP_TURN	   64	  /* packets a joiner gets a turn, so that others get theirs */
#define CATCH_UP_FRESH_US  300000 /* a key frame younger than this serves a joiner without asking the source */

void branch_mark_dirty(struct branch *b)
{
	if (!mu_list_empty(&b->dirty))
		return;
	mu_track_ref(b->track);
	mu_list_append(&relay_of(b->worker)->dirty, &b->dirty);
}

void branch_set_formats(struct branch *b, struct formats *f)
{
	if (b->formats == f)
		return;
	formats_unref(b->formats);
	b->formats = formats_ref(f);
}

bool branch_keep(struct branch *b, struct mu_packet *p, int64_t now_us)
{
	if (cache_put(&b->cache, p, now_us, branch_keeps_gop(b)))
		return true;
	b->stats.late++;
	return false;
}

void branch_queue(struct branch *b, struct mu_packet *p, int64_t now_us)
{
	if (p->flags & MU_PACKET_KEY)
		cache_key(&b->cache, p);
	if (b->n_sinks == 0)
		return;
	if (b->n_pending == MU_BURST_MAX) {
		/* more in one turn than a burst holds: what waits goes out now, then the arrays are free again */
		branch_deliver(b);
		relay_of(b->worker)->drain(b->worker, now_us);
	}
	if (b->n_pending == 0)
		b->pending_since_us = now_us;
	b->pending[b->n_pending++] = p;
	b->marker |= p->flags & MU_PACKET_MARKER;
	branch_mark_dirty(b);
}

static void begin_burst(struct branch *b)
{
	b->burst.track = b->track;
	b->burst.n = 0;
	b->burst.header_map = NULL;
	b->burst.formats = b->formats ? b->formats->f : NULL;
	b->burst.n_formats = b->formats ? b->formats->n : 0;
	b->burst.formats_version = b->formats ? b->formats->version : 0;
}

static const struct mu_packet *first_key(const struct mu_burst *burst)
{
	for (unsigned i = 0; i < burst->n; i++) {
		if (burst->pkts[i]->flags & MU_PACKET_KEY)
			return burst->pkts[i];
	}
	return NULL;
}

void branch_deliver(struct branch *b)
{
	const struct mu_packet *key;

	if (b->n_pending == 0)
		return;
	begin_burst(b);
	memcpy(b->burst.pkts, b->pending, b->n_pending * sizeof(b->pending[0]));
	b->burst.n = b->n_pending;
	b->n_pending = 0;
	b->marker = false;
	key = first_key(&b->burst);
	mu_list_for_each_safe(it, next, &b->sinks) {
		struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (s->catching_up)
			continue;
		if (s->waiting_key) {
			if (!key)
				continue;
			s->waiting_key = false;
			s->first_seq = key->seq;
		}
		s->deliver(s, &b->burst);
	}
	b->stats.packets_handed += b->burst.n;
}

/* The next packets of the cache for one sink; each burst is drained before the next is built. */
static void feed(struct branch *b, struct mu_sink *s, int64_t now_us)
{
	struct mu_relay *r = relay_of(b->worker);
	unsigned left = CATCH_UP_TURN;

	while (left > 0 && s->cursor < b->cache.high) {
		begin_burst(b);
		while (s->cursor < b->cache.high && b->burst.n < MU_BURST_MAX) {
			struct mu_packet *p = cache_get(&b->cache, s->cursor++);

			if (p)
				b->burst.pkts[b->burst.n++] = p;
		}
		if (b->burst.n > 0) {
			s->deliver(s, &b->burst);
			r->drain(b->worker, now_us);
		}
		left -= MU_MIN(left, MU_MAX(b->burst.n, 1u));
	}
	if (s->cursor >= b->cache.high) {
		s->catching_up = false;
		b->n_catching_up--;
	}
}

bool branch_catch_up(struct branch *b, int64_t now_us)
{
	if (b->n_catching_up == 0)
		return false;
	if (b->n_pending > 0) {
		/* what waits is in the cache as well: who gets it from there must not get it again */
		branch_deliver(b);
		relay_of(b->worker)->drain(b->worker, now_us);
	}
	mu_list_for_each_safe(it, next, &b->sinks) {
		struct mu_sink *s = MU_CONTAINER_OF(it, struct mu_sink, link);

		if (s->catching_up)
			feed(b, s, now_us);
	}
	return b->n_catching_up > 0;
}

/* --- notes to home --------------------------------------------------------------------------------------------------- */

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

/* --- sinks --------------------------------------------------------------------------------------------------------- */

static bool key_frame_serves(const struct branch *b, int64_t now_us)
{
	const struct mu_packet *key = b->cache.have_gop ? cache_get(&b->cache, b->cache.gop) : NULL;

	return key && (branch_keeps_gop(b) || now_us - key->arrival_us <= CATCH_UP_FRESH_US);
}

static void begin_video(struct branch *b, struct mu_sink *s, int64_t now_us)
{
	if (key_frame_serves(b, now_us)) {
		s->first_seq = s->cursor = b->cache.gop;
		s->catching_up = true;
		b->n_catching_up++;
		branch_mark_dirty(b);
	} else {
		s->waiting_key = true;
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
	if (b->n_sinks++ == 0 && w != t->home)
		set_wanted(b, true);
	if (t->kind == MU_VIDEO)
		begin_video(b, s, now_us);
}

void mu_track_remove_sink(struct mu_track *t, struct mu_worker *w, struct mu_sink *s)
{
	struct branch *b = branch_of(t, w);

	mu_list_remove(&s->link);
	if (s->catching_up)
		b->n_catching_up--;
	if (--b->n_sinks == 0) {
		b->n_pending = 0;
		b->marker = false;
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
