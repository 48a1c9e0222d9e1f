/* Probes: short bursts above the estimate. If they come through at their rate, there is room. */
#include "adapt/adapt_internal.h"

#define PROBE_US        15000
#define PROBE_PACKETS   5
#define PROBE_BYTES     1250
#define INTERVAL_MIN_US 2000000
#define INTERVAL_MAX_US 4000000 /* a probe of 15 ms harms nobody; room that nobody looks for is wasted */
#define COMPLETE        0.8     /* of the packets and bytes asked for */

void probe_init(struct prober *p)
{
	memset(p, 0, sizeof(*p));
	p->interval_us = INTERVAL_MIN_US;
}

/* Rates as the sender sent and as the receiver got; the slower one counts. A receiver that seems twice as
 * fast was given the packets in one piece by something between: that proves nothing. */
static double proven(const struct cluster *c)
{
	double sent_s = (double)(c->last_sent_us - c->first_sent_us) / 1e6;
	double arrived_s = (double)(c->last_arrived_us - c->first_arrived_us) / 1e6;
	double sent_bps, arrived_bps;

	if (sent_s <= 0 || sent_s > 1 || arrived_s <= 0 || arrived_s > 1)
		return 0;
	sent_bps = (double)(c->bytes - c->last_size) * 8 / sent_s;
	arrived_bps = (double)(c->bytes - c->first_size) * 8 / arrived_s;
	if (arrived_bps > 2 * sent_bps)
		return 0;
	return arrived_bps < 0.9 * sent_bps ? 0.95 * arrived_bps : MU_MIN(sent_bps, arrived_bps);
}

/* Ordinary packets that went out amid a cluster took their share of the link: they count as of it. */
static void amid(struct prober *p, const struct mu_fate *f)
{
	struct cluster *c = &p->clusters[p->last_number % CLUSTERS];

	if (c->arrived > 0 && c->arrived < c->packets)
		c->amid += f->size;
}

double probe_arrived(struct prober *p, const struct mu_fate *f)
{
	struct cluster *c = &p->clusters[f->probe % CLUSTERS];

	if (f->probe == 0)
		amid(p, f);
	if (f->probe == 0 || c->number != f->probe)
		return 0;
	c->bytes += c->amid;
	c->amid = 0;
	if (c->arrived++ == 0) {
		c->first_sent_us = c->last_sent_us = f->sent_us;
		c->first_arrived_us = c->last_arrived_us = f->arrived_us;
		c->first_size = f->size;
	}
	c->first_sent_us = MU_MIN(c->first_sent_us, f->sent_us);
	c->first_arrived_us = MU_MIN(c->first_arrived_us, f->arrived_us);
	if (f->sent_us >= c->last_sent_us) {
		c->last_sent_us = f->sent_us;
		c->last_size = f->size;
	}
	c->last_arrived_us = MU_MAX(c->last_arrived_us, f->arrived_us);
	c->bytes += f->size;
	return c->arrived >= COMPLETE * c->packets && (double)c->bytes >= COMPLETE * c->asked ? proven(c) : 0;
}

void probe_judged(struct prober *p, bool more)
{
	p->interval_us = more ? INTERVAL_MIN_US : MU_MIN(p->interval_us * 2, INTERVAL_MAX_US);
}

static void begin(struct prober *p, uint32_t bps, int64_t now_us, struct mu_probe *ret)
{
	uint32_t bytes = MU_MAX((uint32_t)((uint64_t)bps * PROBE_US / 8000000), (uint32_t)PROBE_BYTES);
	struct cluster *c;

	if (++p->last_number == 0)
		p->last_number = 1;
	c = &p->clusters[p->last_number % CLUSTERS];
	*c = (struct cluster){
		.number = p->last_number, .bps = bps, .packets = PROBE_PACKETS, .asked = bytes
	};
	c->packets = MU_MAX(c->packets, (bytes + 1199) / 1200);
	p->sent_us = now_us;
	*ret = (struct mu_probe){ .cluster = c->number, .bps = bps, .bytes = bytes, .packets = c->packets };
}

bool mu_estimate_probe(struct mu_estimate *e, uint32_t wanted_bps, int64_t now_us, struct mu_probe *ret)
{
	static const unsigned start_factor[] = { 3, 6 };
	struct prober *p = &e->prober;
	double now_bps = mu_estimate_bps(e), goal;

	if (wanted_bps <= now_bps)
		return false;
	if (p->started < MU_ARRAY_LEN(start_factor)) {
		if (p->started > 0 && now_us - p->sent_us < 2 * PROBE_US)
			return false;
		goal = (double)e->limits.start_bps * start_factor[p->started++];
	} else {
		/* what the last feedback said holds for a while only: where all is paused none comes, unless
		 * for a probe */
		bool stale = now_us - e->feedback_us > INTERVAL_MIN_US;
		/* a line that was cut is often as good as before: that is asked at once */
		bool back = !e->cut && e->before_silence_bps > 0;

		if (!stale && (e->trend.usage != MU_USAGE_NORMAL || e->loss > 0.1))
			return false;
		if (!back && (now_us - p->sent_us < p->interval_us || now_us - e->decreased_us < INTERVAL_MIN_US))
			return false;
		goal = 2 * now_bps;
		if (back) {
			goal = MU_MAX(goal, 0.75 * e->before_silence_bps);
			e->before_silence_bps = 0;
		}
		probe_judged(p, false); /* until its answer says otherwise */
	}
	goal = MU_MIN(goal, MU_MIN(wanted_bps * 1.25, (double)e->limits.max_bps));
	begin(p, (uint32_t)goal, now_us, ret);
	return true;
}
