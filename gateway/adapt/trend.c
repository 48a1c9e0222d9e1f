/* The trend of the one-way delay (draft-ietf-rmcat-gcc-02, sections 5.1 to 5.4, with the line fitted to the
 * last groups instead of a Kalman filter). */
#include "adapt/adapt.h"

#define GROUP_US       5000 /* packets sent this close belong together */
#define SMOOTHING      0.9
#define GAIN           4.0
#define DELTAS_MAX     60
#define OVER_US        10000 /* of growth before it counts as overuse */
#define THRESHOLD_MS   12.5
#define THRESHOLD_MIN  6.0
#define THRESHOLD_MAX  600.0
#define THRESHOLD_JUMP 15.0 /* a spike far over the threshold does not move it */
#define K_UP           0.0087
#define K_DOWN         0.039
#define PAUSE_US       1500000 /* what was before a pause this long says nothing about now */
#define GAP_US         5000000

void mu_trend_init(struct mu_trend *t)
{
	memset(t, 0, sizeof(*t));
	t->threshold_ms = THRESHOLD_MS;
	t->over_since_us = -1;
}

/* Slope of the least-squares line through the points: how many milliseconds delay grows in one. */
static double slope(const struct mu_trend *t)
{
	double mean_x = 0, mean_y = 0, top = 0, bottom = 0;

	for (unsigned i = 0; i < t->n_points; i++) {
		mean_x += t->points[i].arrived_ms;
		mean_y += t->points[i].delay_ms;
	}
	mean_x /= t->n_points;
	mean_y /= t->n_points;
	for (unsigned i = 0; i < t->n_points; i++) {
		double dx = t->points[i].arrived_ms - mean_x;

		top += dx * (t->points[i].delay_ms - mean_y);
		bottom += dx * dx;
	}
	return bottom > 0 ? top / bottom : 0;
}

static void move_threshold(struct mu_trend *t, double size, int64_t now_us)
{
	double k = size < t->threshold_ms ? K_DOWN : K_UP;
	double passed_ms = (double)MU_MIN(now_us - t->threshold_at_us, 100000) / 1000.0;

	if (t->threshold_at_us == 0)
		passed_ms = 0;
	t->threshold_at_us = now_us;
	if (size > t->threshold_ms + THRESHOLD_JUMP)
		return;
	t->threshold_ms += k * (size - t->threshold_ms) * passed_ms;
	t->threshold_ms = MU_MIN(MU_MAX(t->threshold_ms, THRESHOLD_MIN), THRESHOLD_MAX);
}

/* Growth has to last and not to be falling off already before it counts. */
static void judge(struct mu_trend *t, double trend, int64_t now_us)
{
	double modified = MU_MIN(t->n_deltas, (unsigned)DELTAS_MAX) * trend * GAIN;

	if (modified > t->threshold_ms) {
		if (t->over_since_us < 0)
			t->over_since_us = now_us;
		t->over_count++;
		if (now_us - t->over_since_us >= OVER_US && t->over_count > 1 && trend >= t->previous)
			t->usage = MU_USAGE_OVER;
	} else {
		t->over_since_us = -1;
		t->over_count = 0;
		t->usage = modified < -t->threshold_ms ? MU_USAGE_UNDER : MU_USAGE_NORMAL;
	}
	t->previous = trend;
	move_threshold(t, modified < 0 ? -modified : modified, now_us);
}

/* Two groups are complete: how much longer was the later one under way? */
static void compare(struct mu_trend *t, int64_t now_us)
{
	const struct mu_trend_group *a = &t->before, *b = &t->now;
	double delta_ms =
		(double)((b->last_arrived_us - a->last_arrived_us) - (b->last_sent_us - a->last_sent_us)) /
		1000.0;

	if (t->first_arrived_us == 0)
		t->first_arrived_us = b->last_arrived_us;
	t->n_deltas++;
	t->accumulated_ms += delta_ms;
	t->smoothed_ms = SMOOTHING * t->smoothed_ms + (1 - SMOOTHING) * t->accumulated_ms;
	t->points[t->at].arrived_ms = (double)(b->last_arrived_us - t->first_arrived_us) / 1000.0;
	t->points[t->at].delay_ms = t->smoothed_ms;
	t->at = (t->at + 1) % MU_TREND_WINDOW;
	t->n_points = MU_MIN(t->n_points + 1, (unsigned)MU_TREND_WINDOW);
	judge(t, t->n_points == MU_TREND_WINDOW ? slope(t) : t->previous, now_us);
}

/* A burst that a link let go at once belongs together though it was sent apart: it says nothing about a
 * queue. */
static bool same_group(const struct mu_trend_group *g, int64_t sent_us, int64_t arrived_us)
{
	int64_t apart = arrived_us - g->last_arrived_us;

	if (sent_us - g->first_sent_us <= GROUP_US)
		return true;
	return apart - (sent_us - g->last_sent_us) < 0 && apart <= GROUP_US &&
		arrived_us - g->first_arrived_us < 100000;
}

enum mu_usage mu_trend_packet(struct mu_trend *t, int64_t sent_us, int64_t arrived_us, int64_t now_us)
{
	struct mu_trend_group *g = &t->now;

	if (g->any && (sent_us < g->first_sent_us || arrived_us < g->first_arrived_us - GAP_US))
		return t->usage; /* out of order: its group is over */
	if (g->any && sent_us - g->last_sent_us > PAUSE_US)
		mu_trend_init(t);
	if (g->any && same_group(g, sent_us, arrived_us)) {
		g->last_sent_us = MU_MAX(g->last_sent_us, sent_us);
		g->last_arrived_us = MU_MAX(g->last_arrived_us, arrived_us);
		return t->usage;
	}
	if (g->any && t->before.any)
		compare(t, now_us);
	t->before = *g;
	*g = (struct mu_trend_group){ sent_us, sent_us, arrived_us, arrived_us, true };
	return t->usage;
}
