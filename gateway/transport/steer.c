#include "transport/steer.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_US     100000
#define NEWS        0.05 /* an estimate that differs by so much is dealt out before the next tick */
#define SHORT_US    4000000
#define SHORT_LEAST 0.8
#define DEARER      1.1 /* as much as spend.c wants to spare: nothing rises by it */
#define WAITS_US    150000
#define GO_ON_US    150000 /* pictures that were given up go on when no more than this waits */

static struct steer *steer_of(const struct mu_transport *t)
{
	return t->fitted ? t->fitted->steer : NULL;
}

/* --- what is sent --- */

uint16_t steer_sent(struct mu_transport *t, size_t size, uint16_t cluster, bool numbered, int64_t now_us)
{
	struct steer *s = steer_of(t);

	if (!s)
		return 0;
	if (cluster == 0) /* a probe is above the pace, and short */
		pace_sent(&s->leave.pace, size + RATE_OVERHEAD);
	return numbered ? rate_sent(s->rate, size, cluster, now_us) : 0;
}

void steer_sent_same(struct mu_transport *t, size_t size, uint16_t number, int64_t now_us)
{
	struct steer *s = steer_of(t);

	(void)now_us;
	if (!s)
		return;
	pace_sent(&s->leave.pace, size + RATE_OVERHEAD);
	mu_history_forget(s->rate->history, number);
}

/* --- dealing out --- */

/* What the feed asks for and the layers are like now. */
static void describe(struct fit *f)
{
	struct share_stream *s = &f->share;
	unsigned order[MU_LAYERS_MAX];

	s->kind = (enum mu_kind)f->out->kind;
	s->n_layers = f->feed.n_layers;
	s->urgency = f->feed.urgency;
	s->width = f->feed.width;
	s->height = f->feed.height;
	s->never_paused = f->feed.never_paused;
	for (unsigned i = 0; i < MU_LAYERS_MAX; i++)
		s->source[i] = i < f->feed.n_layers ? f->feed.layers[i] : NULL;
	fit_shapes(f, s->shapes, order);
}

static void follow(struct fit *f, int64_t now_us)
{
	const struct share_stream *s = &f->share;
	unsigned spatial, temporal;

	if (s->point < 0) {
		fit_target(f->out, MU_PAUSED, 0, 0, s->choice, now_us);
	} else if (s->kind == MU_AUDIO) {
		fit_target(f->out, 0, 0, 0, s->choice, now_us);
	} else {
		share_depth(s, &spatial, &temporal);
		fit_target(f->out, s->points[s->point].layer, spatial, temporal, s->choice, now_us);
	}
}

/* A moment's queue takes a seventh off the estimate, and another layer is dear, for it begins with a key
 * frame: while nothing waits, neither on the link nor here, what is sent goes on for a while. */
static uint32_t budget(struct steer *s, int64_t now_us)
{
	uint32_t bps = rate_bps(s->rate), spent = s->sum.spent_bps;

	if (bps >= spent)
		s->short_us = 0;
	else if (s->short_us == 0)
		s->short_us = now_us;
	if ((s->short_us && now_us - s->short_us > SHORT_US) || bps < spent * SHORT_LEAST ||
		mu_estimate_queue_us(s->rate->estimate) > WAITS_US || leave_wait_us(s) > WAITS_US)
		return bps;
	return MU_MAX(
		bps, (uint32_t)(spent * DEARER)); /* a key frame makes dearer, too, what is there already */
}

static void set_pace(struct steer *s, int64_t now_us)
{
	uint32_t bps = rate_pace_bps(s->rate, s->sum.wanted_bps);

	pace_set(&s->leave.pace, MU_MAX(bps, s->budget_bps), now_us);
	leave_plan(s, now_us);
}

static void deal(struct steer *s, int64_t now_us)
{
	struct share_stream *streams[MU_STREAMS_LATER_MAX];
	struct mu_transport *t = s->t;
	unsigned n = MU_MIN(t->n_out, (unsigned)MU_ARRAY_LEN(streams));
	struct share_budget b = {
		.bps = budget(s, now_us), .loss = mu_estimate_loss(s->rate->estimate), .copies = s->copies
	};

	for (unsigned i = 0; i < n; i++) {
		describe(t->out[i]->fit);
		streams[i] = &t->out[i]->fit->share;
	}
	s->sum = share_spend(streams, n, &b, now_us);
	s->shared_us = now_us;
	s->shared_bps = rate_bps(s->rate);
	s->budget_bps = b.bps;
	for (unsigned i = 0; i < n; i++)
		follow(t->out[i]->fit, now_us);
}

void steer_fed(struct mu_transport *t, int64_t now_us)
{
	struct steer *s = steer_of(t);

	if (!s || !t->key_out)
		return;
	deal(s, now_us);
	if (s->tick.at == 0)
		mu_timer_set(t->worker, &s->tick, now_us + TICK_US);
}

/* --- ten times a second --- */

static void copy_audio(struct steer *s, int64_t now_us)
{
	double loss = mu_estimate_loss(s->rate->estimate);

	s->copies = 0;
	for (unsigned i = 0; i < s->t->n_out; i++) {
		unsigned copies = red_loss(&s->t->out[i]->fit->red, loss, now_us);

		s->copies = MU_MAX(s->copies, copies);
	}
}

/* Pictures that waited too long were given up to the next key frame: it is asked for when there is room for
 * it. */
static void go_on(struct steer *s, int64_t now_us)
{
	for (unsigned i = 0; i < s->t->n_out; i++) {
		struct fit *f = s->t->out[i]->fit;

		if (!f->over || leave_wait_us(s) > GO_ON_US)
			continue;
		f->over = false;
		fit_resume(f->out, now_us);
	}
}

static bool has_feeds(const struct mu_transport *t)
{
	for (unsigned i = 0; i < t->n_out; i++) {
		if (t->out[i]->fit->feed.n_layers > 0)
			return true;
	}
	return false;
}

static bool can_probe(const struct mu_transport *t)
{
	for (unsigned i = 0; i < t->n_out; i++) {
		if (t->out[i]->started && t->out[i]->spec.rtx_ssrc)
			return true;
	}
	return false;
}

static void tick(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct steer *s = MU_CONTAINER_OF(timer, struct steer, tick);
	struct mu_transport *t = s->t;

	if (!has_feeds(t))
		return; /* until it is fed */
	mu_timer_set(w, timer, now_us + TICK_US);
	if (!t->sendable) {
		leave_drop(s);
		return;
	}
	rate_tick(s->rate, now_us);
	copy_audio(s, now_us);
	deal(s, now_us);
	go_on(s, now_us);
	if (can_probe(t) && rate_probe_begin(s->rate, s->sum.wanted_bps, now_us))
		s->leave.probe_back = 0;
	set_pace(s, now_us);
}

/* --- feedback --- */

static int64_t rtt_us(const struct mu_transport *t)
{
	if (t->rtt.known)
		return t->rtt.smoothed_us;
	for (unsigned i = 0; i < t->n_out; i++) {
		if (t->out[i]->rtt_us >= 0)
			return t->out[i]->rtt_us;
	}
	return 0;
}

void steer_feedback(struct mu_transport *t, const uint8_t *fci, size_t len, int64_t now_us)
{
	struct steer *s = steer_of(t);
	double bps, before;

	if (!s || !t->sendable || rate_feedback(s->rate, fci, len, rtt_us(t), now_us) < 0)
		return;
	bps = rate_bps(s->rate);
	before = s->shared_bps;
	if (bps < before * (1 - NEWS) || bps > before * (1 + NEWS))
		deal(s, now_us);
	set_pace(s, now_us);
}

/* --- made and ended --- */

int steer_attach(struct out_stream *o)
{
	struct mu_transport *t = o->t;
	struct steer *s;

	if (t->fitted->steer || !o->offer->exts.id_of[MU_EXT_TWCC])
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s || rate_new(mu_clock_us(), &s->rate) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->t = t;
	s->tick.fn = tick;
	leave_begin(s);
	t->fitted->steer = s;
	steer_begin(t, mu_clock_us());
	return 0;
}

void steer_begin(struct mu_transport *t, int64_t now_us)
{
	struct steer *s = steer_of(t);

	if (!s || !t->key_out)
		return;
	set_pace(s, now_us);
	steer_fed(t, now_us);
}

void steer_end(struct mu_transport *t)
{
	struct steer *s = steer_of(t);

	if (!s)
		return;
	mu_timer_cancel(t->worker, &s->tick);
	leave_end(s);
	rate_free(s->rate);
	free(s);
	t->fitted->steer = NULL;
}

void steer_stats(const struct mu_transport *t, struct mu_link_stats *ret)
{
	const struct steer *s = steer_of(t);
	const struct mu_estimate *e = s ? s->rate->estimate : NULL;

	if (!s)
		return;
	*ret = (struct mu_link_stats){ .known = s->rate->known,
		.estimate_bps = rate_bps(s->rate),
		.acked_bps = mu_estimate_acked_bps(e),
		.wanted_bps = s->sum.wanted_bps,
		.spent_bps = s->sum.spent_bps,
		.loss = (float)mu_estimate_loss(e),
		.queue_us = (uint32_t)mu_estimate_queue_us(e),
		.rtt_us = (uint32_t)rtt_us(t),
		.paced_us = (uint32_t)leave_wait_us(s),
		.limit = (uint8_t)mu_estimate_why(e),
		.red = (uint8_t)s->copies,
		.probes = s->rate->probes };
}
