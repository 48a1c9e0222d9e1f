/* What a track is like and who wants it: measured at home with an addition a packet, told to any thread by words that are
 * written a few times a second. */
#include "relay/relay_internal.h"

#define HALF_US	   500000
#define FLOWS_US   1000000
#define SILENT_US  500000
#define ATTACK_US  60000  /* a voice that begins shows so fast, */
#define RELEASE_US 250000 /* and one that pauses stays for syllables */

/* --- the table of words: a sequence lock, read again when it changed meanwhile ------------------------------------------------ */

static void publish(struct mu_track *t, const struct mu_shape *s)
{
	uint32_t words[SHAPE_WORDS] = { 0 };
	unsigned seq = atomic_load_explicit(&t->shape.seq, memory_order_relaxed);

	memcpy(words, s, sizeof(*s));
	atomic_store_explicit(&t->shape.seq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < SHAPE_WORDS; i++)
		atomic_store_explicit(&t->shape.words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&t->shape.seq, seq + 2, memory_order_release);
}

void mu_track_shape(const struct mu_track *t, struct mu_shape *ret)
{
	uint32_t words[SHAPE_WORDS];
	unsigned before, after;

	do {
		before = atomic_load_explicit(&t->shape.seq, memory_order_acquire);
		for (unsigned i = 0; i < SHAPE_WORDS; i++)
			words[i] = atomic_load_explicit(&t->shape.words[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&t->shape.seq, memory_order_relaxed);
	} while (before != after || before % 2);
	memcpy(ret, words, sizeof(*ret));
	ret->flows = mu_clock_us() - atomic_load_explicit(&t->shape.last_us, memory_order_relaxed) < FLOWS_US;
}

/* --- measuring ------------------------------------------------------------------------------------------------------------------ */

/* Bits a second of this half second and the one before, up to each layer: what is of a lower layer counts in the higher ones. */
static void sum_up(const struct gauge *g, int64_t span_us, struct mu_shape *s)
{
	for (unsigned sp = 0; sp < MU_SPATIAL_MAX; sp++) {
		uint64_t row = 0;

		for (unsigned te = 0; te < MU_TEMPORAL_MAX; te++) {
			row += g->now.bytes[sp][te] + g->before.bytes[sp][te];
			s->bps[sp][te] = (uint32_t)(row * 8 * 1000000 / (uint64_t)span_us) + (sp ? s->bps[sp - 1][te] : 0);
		}
	}
	for (unsigned te = 0, frames = 0; te < MU_TEMPORAL_MAX; te++) {
		frames += g->now.frames[te] + g->before.frames[te];
		s->fps[te] = (uint8_t)MU_MIN(((int64_t)frames * 1000000 + span_us / 2) / span_us, INT64_C(255));
	}
}

static unsigned highest_layer(const struct gauge *g, bool spatial)
{
	unsigned n = 1;

	for (unsigned sp = 0; sp < MU_SPATIAL_MAX; sp++) {
		for (unsigned te = 0; te < MU_TEMPORAL_MAX; te++) {
			if (g->now.bytes[sp][te] + g->before.bytes[sp][te])
				n = MU_MAX(n, (spatial ? sp : te) + 1);
		}
	}
	return n;
}

/* The first half second of a source is told as soon as it is over, and after a fifth already in a rough way. */
static void turn_over(struct mu_track *t, int64_t now_us)
{
	struct gauge *g = &t->gauge;
	struct mu_shape s = { .width = g->width, .height = g->height };
	int64_t began = g->before_us ? g->before_us : g->since_us;

	s.spatials = (uint8_t)highest_layer(g, true);
	s.temporals = (uint8_t)highest_layer(g, false);
	sum_up(g, MU_MAX(now_us - began, (int64_t)1), &s);
	publish(t, &s);
	g->early = false;
	if (now_us - g->since_us < HALF_US)
		return;
	g->before = g->now;
	g->before_us = g->since_us;
	g->now = (struct gauge_half){ 0 };
	g->since_us = now_us;
}

void shape_packet(struct mu_track *t, const struct mu_packet *p, int64_t now_us)
{
	struct gauge *g = &t->gauge;
	unsigned sp = MU_MIN(p->spatial, MU_SPATIAL_MAX - 1), te = MU_MIN(p->temporal, MU_TEMPORAL_MAX - 1);
	int64_t passed = now_us - g->since_us;

	if (passed >= HALF_US || (g->early && passed >= HALF_US / 5)) {
		if (g->since_us == 0 || passed >= 4 * HALF_US) { /* it begins, or was silent: what was before says nothing */
			*g = (struct gauge){ .since_us = now_us, .early = true, .width = g->width, .height = g->height };
		} else {
			turn_over(t, now_us);
		}
	}
	g->now.bytes[sp][te] += (uint32_t)(p->len - p->hlen - p->pad);
	if (p->flags & MU_PACKET_FRAME && sp == 0 && p->ts != g->frame_ts) {
		g->frame_ts = p->ts;
		g->now.frames[te]++;
	}
	atomic_store_explicit(&t->shape.last_us, now_us, memory_order_relaxed);
}

void shape_size(struct mu_track *t, unsigned width, unsigned height)
{
	if (t->gauge.width == width && t->gauge.height == height)
		return;
	t->gauge.width = (uint16_t)width;
	t->gauge.height = (uint16_t)height;
	t->gauge.early = true; /* whoever waits for the size hears of it soon */
}

/* --- loudness -------------------------------------------------------------------------------------------------------------------- */

/* Level in 1/256 and when it was measured, in one word: milliseconds since some time << 16 | level. */
#define LOUD_MS(word)	 ((int64_t)((word) >> 16))
#define LOUD_LEVEL(word) ((unsigned)((word) & 0xffff))

void shape_level(struct mu_track *t, uint8_t dbov, int64_t now_us)
{
	uint64_t word = atomic_load_explicit(&t->shape.loud, memory_order_relaxed);
	int64_t passed = MU_MAX(now_us - LOUD_MS(word) * 1000, (int64_t)1000), level = LOUD_LEVEL(word);
	int64_t came = (127 - (dbov & 0x7f)) << 8, by;

	if (passed > SILENT_US)
		level = 0;
	by = came > level ? ATTACK_US : RELEASE_US;
	level += (came - level) * MU_MIN(passed, by) / by;
	atomic_store_explicit(
		&t->shape.loud, (uint64_t)(now_us / 1000) << 16 | (uint64_t)level, memory_order_relaxed);
}

unsigned mu_track_loudness(const struct mu_track *t, int64_t now_us)
{
	uint64_t word = atomic_load_explicit(&t->shape.loud, memory_order_relaxed);

	return now_us - LOUD_MS(word) * 1000 > SILENT_US ? 0 : LOUD_LEVEL(word) >> 8;
}

/* --- users ------------------------------------------------------------------------------------------------------------------------ */

static void watch_msg(struct mu_msg *m)
{
	struct mu_track *t = MU_CONTAINER_OF(m, struct mu_track, watch.note.msg);

	atomic_store(&t->watch.note.posted, false);
	if (t->watch.fn)
		t->watch.fn(t->watch.arg, t);
	mu_track_unref(t);
}

static void tell_watcher(struct mu_track *t)
{
	struct mu_inbox *in = atomic_load(&t->watch.in);

	if (!in || atomic_exchange(&t->watch.note.posted, true))
		return;
	mu_track_ref(t);
	t->watch.note.msg.fn = watch_msg;
	mu_inbox_post(in, &t->watch.note.msg);
}

void shape_users(struct mu_track *t, int by)
{
	unsigned before = by > 0 ? atomic_fetch_add(&t->users, 1) : atomic_fetch_sub(&t->users, 1);

	if (before == (by > 0 ? 0 : 1))
		tell_watcher(t);
}

unsigned mu_track_users(const struct mu_track *t)
{
	return atomic_load(&t->users);
}

void mu_track_watch(struct mu_track *t, struct mu_inbox *in, void (*fn)(void *arg, struct mu_track *t), void *arg)
{
	t->watch.fn = fn;
	t->watch.arg = arg;
	atomic_store(&t->watch.in, fn ? in : NULL);
}
