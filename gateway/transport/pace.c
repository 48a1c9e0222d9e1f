#include "transport/pace.h"

#define BURST_US    10000 /* what may leave at once after a pause: two ticks of the timer */
#define BURST_BYTES 3000
#define DEBT_US \
	200000 /* of audio and of what is sent again: more is forgiven, or pictures would wait for ever */

static int64_t bits(const struct pace *p, int64_t us)
{
	return (int64_t)p->bps * us;
}

static void count(struct pace *p, int64_t now_us)
{
	int64_t most = MU_MAX(bits(p, BURST_US), BURST_BYTES * 8000000ll);
	int64_t passed_us = MU_MIN(MU_MAX(now_us - p->at_us, 0), 1000000);

	p->credit = MU_MIN(p->credit + bits(p, passed_us), most);
	p->at_us = now_us;
}

void pace_set(struct pace *p, uint32_t bps, int64_t now_us)
{
	count(p, now_us);
	p->bps = bps;
}

bool pace_may(struct pace *p, int64_t now_us)
{
	count(p, now_us);
	return p->credit > 0;
}

void pace_sent(struct pace *p, size_t bytes)
{
	int64_t least = -MU_MAX(bits(p, DEBT_US), BURST_BYTES * 8000000ll);

	p->credit = MU_MAX(p->credit - (int64_t)bytes * 8000000, least);
}

int64_t pace_next_us(const struct pace *p, int64_t now_us)
{
	if (p->credit > 0 || p->bps == 0)
		return now_us;
	return p->at_us + (-p->credit) / (int64_t)p->bps + 1;
}

int64_t pace_wait_us(const struct pace *p, uint64_t bytes)
{
	return p->bps ? (int64_t)(bytes * 8000000 / p->bps) : 0;
}
