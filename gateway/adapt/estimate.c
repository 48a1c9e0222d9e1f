/* The estimate (draft-ietf-rmcat-gcc-02, sections 5.5 and 6): additive and multiplicative increase while no
 * queue grows, a cut to 85 % of what arrived when one does, less where loss says so, more where a probe
 * proves it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "adapt/adapt_internal.h"

#define BETA            0.85
#define GROWTH_A_SECOND 1.08
#define WINDOW_US       500000
#define SLOT_US         (WINDOW_US / 16)
#define LOSS_LOW        0.02
#define LOSS_HIGH       0.10
#define LOSS_PERIOD_US  500000
#define LOSS_PACKETS    20
#define WITHIN_US       20000 /* packets that came closer together may have been held up and let go at once */
#define SILENCE_US      500000
#define BASE_SPAN_US    20000000
#define QUEUE_FROM_US                                                                                       \
	100000               /* a standing queue above this is emptied by sending less than the link bears, \
			      */
#define QUEUE_FULL_US 700000 /* the more so the longer it is */
#define QUEUE_LEAST   0.3
#define JUMP_US \
	60000 /* the queue grew by so much from one feedback to the next: no need to wait for a trend */

/* --- what arrived
 * ----------------------------------------------------------------------------------------------------------
 */

static void rate_add(struct rate_window *w, int64_t at_us, uint32_t bytes)
{
	int64_t slot_at = at_us / SLOT_US;
	unsigned i = (unsigned)(slot_at & 15);

	if (!w->any) {
		w->any = true;
		w->first_us = at_us;
	}
	if (w->slots[i].at_us != slot_at) {
		if (w->slots[i].at_us > slot_at)
			return; /* far out of order */
		w->slots[i].at_us = slot_at;
		w->slots[i].bytes = 0;
	}
	w->slots[i].bytes += bytes;
}

double rate_of(const struct rate_window *w, int64_t now_arrived_us)
{
	int64_t last = now_arrived_us / SLOT_US, span_us = MU_MIN(now_arrived_us - w->first_us, WINDOW_US);
	uint64_t bytes = 0;

	if (!w->any || span_us < WINDOW_US / 4)
		return 0;
	for (unsigned i = 0; i < 16; i++) {
		if (w->slots[i].at_us > last - 16 && w->slots[i].at_us <= last)
			bytes += w->slots[i].bytes;
	}
	return (double)bytes * 8e6 / (double)span_us;
}

/* --- making
 * ------------------------------------------------------------------------------------------------------------------
 */

int mu_estimate_new(const struct mu_estimate_limits *limits, int64_t now_us, struct mu_estimate **ret)
{
	struct mu_estimate *e;

	if (limits->min_bps == 0 || limits->min_bps > limits->start_bps ||
		limits->start_bps > limits->max_bps)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->limits = *limits;
	e->delay_bps = limits->start_bps;
	e->loss_bps = limits->max_bps;
	e->rtt_us = 100000;
	e->packet_bytes = 1000;
	e->loss_since_us = e->feedback_us = e->base_since_us = now_us;
	e->base_us[0] = e->base_us[1] = INT64_MAX;
	e->decreased_us = INT64_MIN / 2;
	e->loss_decreased_us = INT64_MIN / 2;
	for (unsigned i = 0; i < 16; i++)
		e->acked.slots[i].at_us = INT64_MIN;
	mu_trend_init(&e->trend);
	probe_init(&e->prober);
	*ret = e;
	return 0;
}

void mu_estimate_free(struct mu_estimate *e)
{
	free(e);
}

static double clamp(const struct mu_estimate *e, double bps)
{
	return MU_MIN(MU_MAX(bps, (double)e->limits.min_bps), (double)e->limits.max_bps);
}

/* --- by delay
 * ------------------------------------------------------------------------------------------------------------------
 */

/* Where the link was full before: a mean with its deviation, forgotten when a rate far from it is reached. */
static void learn_capacity(struct mu_estimate *e, double acked)
{
	double error;

	if (e->capacity_bps == 0) {
		e->capacity_bps = acked;
		e->capacity_dev = 0.15;
		return;
	}
	error = (acked - e->capacity_bps) / e->capacity_bps;
	e->capacity_bps += 0.05 * (acked - e->capacity_bps);
	e->capacity_dev = MU_MIN(MU_MAX(0.95 * e->capacity_dev + 0.05 * fabs(error), 0.05), 0.3);
}

static bool near_capacity(const struct mu_estimate *e, double bps)
{
	return e->capacity_bps > 0 && bps > e->capacity_bps * (1 - 3 * e->capacity_dev) &&
		bps < e->capacity_bps * (1 + 3 * e->capacity_dev);
}

static void increase(struct mu_estimate *e, double acked, int64_t now_us)
{
	double passed_s = e->increased_us ? (double)MU_MIN(now_us - e->increased_us, 1000000) / 1e6 : 0;
	double before = e->delay_bps;

	e->increased_us = now_us;
	if (e->capacity_bps > 0 && acked > e->capacity_bps * (1 + 3 * e->capacity_dev))
		e->capacity_bps = 0;
	if (near_capacity(e, acked))
		e->delay_bps += passed_s * 1e6 / (double)(e->rtt_us + 100000) * e->packet_bytes * 8;
	else
		e->delay_bps *= pow(GROWTH_A_SECOND, passed_s);
	/* what is not used cannot be known to be there: only a probe raises it further */
	if (acked > 0)
		e->delay_bps = MU_MIN(e->delay_bps, MU_MAX(before, 1.5 * acked + 10000));
	e->delay_bps = clamp(e, e->delay_bps);
}

static void decrease(struct mu_estimate *e, double acked, int64_t now_us)
{
	double to = BETA * (acked > 0 ? acked : e->delay_bps);

	/* once per round trip, unless much less arrives than we believe */
	if (now_us - e->decreased_us < e->rtt_us + 100000 && acked >= 0.5 * e->delay_bps)
		return;
	if (acked > 0) {
		if (e->capacity_bps > 0 && acked < e->capacity_bps * (1 - 3 * e->capacity_dev))
			e->capacity_bps = 0;
		learn_capacity(e, acked);
	}
	if (to < e->delay_bps)
		e->delay_bps = clamp(e, to);
	e->decreased_us = now_us;
	e->increased_us = 0;
	e->why = MU_LIMIT_DELAY;
}

/* @param within  rate of what this feedback tells of: where little was sent before, the mean of half a second
 * is less than the link gives now that it is full */
static void by_delay(struct mu_estimate *e, double acked, double within, int64_t now_us)
{
	switch (e->trend.usage) {
	case MU_USAGE_OVER:
		decrease(e, acked > 0 ? MU_MAX(acked, MU_MIN(within, e->delay_bps)) : 0, now_us);
		break;
	case MU_USAGE_UNDER:
		e->increased_us = 0; /* the queue empties: hold until it has */
		break;
	case MU_USAGE_NORMAL:
		increase(e, acked, now_us);
		break;
	}
}

/* --- by loss
 * ---------------------------------------------------------------------------------------------------------------------
 */

static void by_loss(struct mu_estimate *e, int64_t now_us)
{
	int64_t passed_us = now_us - e->loss_since_us;
	double loss;

	if (passed_us < LOSS_PERIOD_US || e->expected < LOSS_PACKETS)
		return;
	loss = (double)e->lost / e->expected;
	e->loss += 0.5 * (loss - e->loss);
	if (loss > LOSS_HIGH && now_us - e->loss_decreased_us > e->rtt_us + 300000) {
		e->loss_bps = clamp(e, MU_MIN(e->loss_bps, e->delay_bps) * (1 - 0.5 * loss));
		e->loss_decreased_us = now_us;
	} else if (loss < LOSS_LOW) {
		e->loss_bps = clamp(
			e, e->loss_bps * pow(GROWTH_A_SECOND, 2 * (double)MU_MIN(passed_us, 1000000) / 1e6));
	}
	e->expected = e->lost = 0;
	e->loss_since_us = now_us;
}

/* --- the queue
 * ------------------------------------------------------------------------------------------------------------------
 */

/* @param least_us  delay of the fastest packet of one feedback
 * @param last_us   of the last one
 * @return whether the queue has jumped */
static bool by_queue(struct mu_estimate *e, int64_t least_us, int64_t last_us, int64_t now_us)
{
	int64_t before_us = e->queue_us;

	if (now_us - e->base_since_us > BASE_SPAN_US) {
		e->base_us[1] = e->base_us[0];
		e->base_us[0] = INT64_MAX;
		e->base_since_us = now_us;
	}
	e->base_us[0] = MU_MIN(e->base_us[0], least_us);
	e->queue_us = last_us - MU_MIN(e->base_us[0], e->base_us[1]);
	return e->queue_us - before_us >= JUMP_US;
}

static double emptying(const struct mu_estimate *e)
{
	double over = (double)(e->queue_us - QUEUE_FROM_US) / (QUEUE_FULL_US - QUEUE_FROM_US);

	return over <= 0 ? 1 : MU_MAX(1 - over, QUEUE_LEAST);
}

/* --- a feedback
 * ----------------------------------------------------------------------------------------------------------------
 */

static void take_probe(struct mu_estimate *e, double proven, int64_t now_us)
{
	bool much = proven > e->delay_bps * 1.05;

	/* a little more counts as well: while little is sent nothing else raises it, and the little may be
	 * what is lacking */
	if (proven > e->delay_bps) {
		e->delay_bps = clamp(e, proven);
		e->loss_bps = MU_MAX(e->loss_bps, e->delay_bps);
		e->why = MU_LIMIT_PROBE;
		e->increased_us = now_us;
		if (e->capacity_bps > 0 && !near_capacity(e, proven))
			e->capacity_bps = 0;
		if (much)
			probe_judged(&e->prober, true);
	}
}

/* How fast the packets of one feedback came, where they came over this span at least. 0: cannot be told */
static double rate_within(const struct mu_fate *fates, size_t n, int64_t span_us)
{
	int64_t first_us = INT64_MAX, last_us = INT64_MIN;
	uint64_t bytes = 0;
	uint16_t first_size = 0;

	for (size_t i = 0; i < n; i++) {
		const struct mu_fate *f = &fates[i];

		if (f->lost)
			continue;
		if (f->arrived_us < first_us) {
			first_us = f->arrived_us;
			first_size = f->size;
		}
		last_us = MU_MAX(last_us, f->arrived_us);
		bytes += f->size;
	}
	return last_us - first_us >= span_us
		? (double)(bytes - first_size) * 8e6 / (double)(last_us - first_us)
		: 0;
}

/* A link that got slower all at once: its rate is that of the packets that tell so. If they came in one
 * piece, it only paused. */
static void jumped(struct mu_estimate *e, double rate, int64_t now_us)
{
	if (rate > 0 && rate < e->delay_bps)
		decrease(e, rate, now_us);
}

/* What was sent while the line was cut is lost, and says nothing of what it bears now.
 * @return when the first packet was sent that came after the cut; INT64_MIN: there was none */
static int64_t end_of_cut(struct mu_estimate *e, const struct mu_fate *fates, size_t n)
{
	int64_t first_us = INT64_MAX;

	if (!e->cut)
		return INT64_MIN;
	for (size_t i = 0; i < n; i++) {
		if (!fates[i].lost)
			first_us = MU_MIN(first_us, fates[i].sent_us);
	}
	if (first_us == INT64_MAX)
		return first_us; /* it is cut still */
	e->cut = false;
	return first_us;
}

void mu_estimate_feedback(
	struct mu_estimate *e, const struct mu_fate *fates, size_t n, int64_t rtt_us, int64_t now_us)
{
	double proven = 0, rate, acked;
	int64_t last_arrived_us = INT64_MIN, least_us = INT64_MAX, last_us = 0;
	int64_t since_us = end_of_cut(e, fates, n);

	if (rtt_us > 0)
		e->rtt_us = rtt_us;
	e->feedback_us = now_us;
	for (size_t i = 0; i < n; i++) {
		const struct mu_fate *f = &fates[i];

		if (f->lost && f->sent_us < since_us)
			continue;
		e->expected++;
		if (f->lost) {
			e->lost++;
			continue;
		}
		last_arrived_us = MU_MAX(last_arrived_us, f->arrived_us);
		last_us = f->arrived_us - f->sent_us;
		least_us = MU_MIN(least_us, last_us);
		rate_add(&e->acked, f->arrived_us, f->size);
		e->packet_bytes += 0.05 * (f->size - e->packet_bytes);
		rate = probe_arrived(&e->prober, f);
		proven = MU_MAX(proven, rate);
		mu_trend_packet(&e->trend, f->sent_us, f->arrived_us, now_us);
	}
	if (last_arrived_us > INT64_MIN) {
		acked = rate_of(&e->acked, last_arrived_us);
		if (by_queue(e, least_us, last_us, now_us))
			jumped(e, rate_within(fates, n, 1), now_us);
		by_delay(e, acked, rate_within(fates, n, WITHIN_US), now_us);
	}
	by_loss(e, now_us);
	if (proven > 0 && e->trend.usage != MU_USAGE_OVER)
		take_probe(e, proven, now_us);
	if (e->loss_bps < e->delay_bps)
		e->why = MU_LIMIT_LOSS;
}

/* The line may be dead: halve once in half a second, so that what comes back is not a flood. */
void mu_estimate_tick(struct mu_estimate *e, int64_t now_us)
{
	if (now_us - MU_MAX(e->feedback_us, e->silent_cut_us) < SILENCE_US)
		return;
	if (e->before_silence_bps == 0)
		e->before_silence_bps = mu_estimate_bps(e);
	e->cut = true;
	e->silent_cut_us = now_us;
	e->delay_bps = clamp(e, e->delay_bps / 2);
	e->decreased_us = now_us;
	e->why = MU_LIMIT_DELAY;
}

uint32_t mu_estimate_bps(const struct mu_estimate *e)
{
	return (uint32_t)clamp(e, MU_MIN(e->delay_bps, e->loss_bps) * emptying(e));
}

uint32_t mu_estimate_acked_bps(const struct mu_estimate *e)
{
	int64_t last = INT64_MIN;

	for (unsigned i = 0; i < 16; i++)
		last = MU_MAX(last, e->acked.slots[i].at_us);
	return last == INT64_MIN ? 0 : (uint32_t)rate_of(&e->acked, (last + 1) * SLOT_US - 1);
}

double mu_estimate_loss(const struct mu_estimate *e)
{
	return e->loss;
}

enum mu_limit mu_estimate_why(const struct mu_estimate *e)
{
	return e->why;
}

int64_t mu_estimate_queue_us(const struct mu_estimate *e)
{
	return MU_MAX(e->queue_us, 0);
}

bool mu_estimate_tight(const struct mu_estimate *e)
{
	return e->trend.usage == MU_USAGE_OVER || e->queue_us > QUEUE_FROM_US ||
		(e->capacity_bps > 0 && e->delay_bps < e->capacity_bps * (1 + 3 * e->capacity_dev));
}
