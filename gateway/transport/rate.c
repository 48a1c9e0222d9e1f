#include "transport/rate.h"

#include <errno.h>
#include <stdlib.h>

#define SILENCE_US       500000
#define FEEDBACK_MAX     200 /* a second: browsers send 20, some in several pieces (RELIABILITY S13) */
#define RTT_MAX_US       2000000
#define FATES_MAX        MU_HISTORY_PACKETS
#define PACE_MOST        2.5
#define PACE_LEAST       1.05
#define PACE_UNKNOWN_BPS 10000000 /* before the first feedback: a picture should not wait for it */
#define WANTED_SPARE     1.15
#define WANTED_WIDE      2.0
#define PROBE_LATE_US    20000 /* a probe that falls behind by this leaves no faster for it */

/* The least carries a voice and our own reports; it begins where the middle layer of a camera fits. */
static const struct mu_estimate_limits limits = {
	.min_bps = 50000, .start_bps = 1000000, .max_bps = 100000000
};

int rate_new(int64_t now_us, struct rate **ret)
{
	struct rate *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	err = mu_history_new(&r->history);
	if (err == 0)
		err = mu_estimate_new(&limits, now_us, &r->estimate);
	if (err < 0) {
		rate_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void rate_free(struct rate *r)
{
	if (!r)
		return;
	mu_history_free(r->history);
	mu_estimate_free(r->estimate);
	free(r);
}

uint16_t rate_sent(struct rate *r, size_t size, uint16_t probe, int64_t now_us)
{
	if (r->unanswered_us == 0)
		r->unanswered_us = now_us;
	return mu_history_sent(r->history, size + RATE_OVERHEAD, probe, now_us);
}

/* --- what comes back --- */

static bool flooded(struct rate *r, int64_t now_us)
{
	if (now_us - r->gate_us >= 1000000) {
		r->gate_us = now_us;
		r->gate_count = 0;
	}
	return r->gate_count++ >= FEEDBACK_MAX;
}

int rate_feedback(struct rate *r, const uint8_t *fci, size_t len, int64_t rtt_us, int64_t now_us)
{
	struct mu_fate fates[FATES_MAX];
	int n;

	if (flooded(r, now_us))
		return -EPROTO;
	n = mu_history_feedback(r->history, fci, len, fates, FATES_MAX);
	if (n < 0)
		return n;
	if (n == 0)
		return 0; /* of packets never sent, or told before: it proves nothing, not even that packets
			     arrive */
	r->known = true;
	r->unanswered_us = 0;
	mu_estimate_feedback(r->estimate, fates, (size_t)n, MU_MIN(MU_MAX(rtt_us, 0), RTT_MAX_US), now_us);
	return 0;
}

/* Silence counts only while there is something to answer, and only of a peer that has answered before: one
 * that never does keeps what everybody begins with. */
void rate_tick(struct rate *r, int64_t now_us)
{
	if (r->known && r->unanswered_us && now_us - r->unanswered_us >= SILENCE_US)
		mu_estimate_tick(r->estimate, now_us);
}

uint32_t rate_bps(const struct rate *r)
{
	return mu_estimate_bps(r->estimate);
}

uint32_t rate_pace_bps(const struct rate *r, uint32_t wanted_bps)
{
	double bps = rate_bps(r), spare = bps / MU_MAX(wanted_bps, 1u), factor = PACE_MOST;

	if (mu_estimate_tight(r->estimate))
		factor = PACE_LEAST;
	else if (r->known)
		factor = MU_MIN(
			MU_MAX(PACE_LEAST + (PACE_MOST - PACE_LEAST) * (spare - 1), PACE_LEAST), PACE_MOST);
	return (uint32_t)(r->known ? bps * factor : MU_MAX(bps * factor, (double)PACE_UNKNOWN_BPS));
}

/* --- probes --- */

/* Room is looked for beyond what is wanted: a layer is taken only where some is to spare (spend.c), and what
 * is paced at a multiple of the estimate does not wait, but that is not looked for where the link is known to
 * end here. */
bool rate_probe_begin(struct rate *r, uint32_t wanted_bps, int64_t now_us)
{
	double factor = mu_estimate_tight(r->estimate) ? WANTED_SPARE : WANTED_WIDE;
	double wanted = MU_MIN(wanted_bps * factor, (double)UINT32_MAX);

	if (r->probe.packets || !mu_estimate_probe(r->estimate, (uint32_t)wanted, now_us, &r->probe))
		return false;
	r->probe_due_us = now_us;
	r->probes++;
	return true;
}

size_t rate_probe_due(const struct rate *r, size_t max, int64_t now_us)
{
	if (r->probe.packets == 0 || now_us < r->probe_due_us)
		return 0;
	return MU_MIN(max, MU_MAX((size_t)r->probe.bytes / r->probe.packets, (size_t)1));
}

/* It is over when it had its packets and its bytes. */
void rate_probe_sent(struct rate *r, size_t size, int64_t now_us)
{
	struct mu_probe *p = &r->probe;

	p->bytes -= (uint32_t)MU_MIN(size, (size_t)p->bytes);
	if (p->packets > 1 || p->bytes == 0)
		p->packets--;
	if (size == 0)
		p->packets = 0;
	r->probe_due_us = MU_MAX(r->probe_due_us, now_us - PROBE_LATE_US) +
		(int64_t)((uint64_t)size * 8000000 / p->bps);
}
