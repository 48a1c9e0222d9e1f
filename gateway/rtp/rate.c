#include "rtp/rtp.h"

#define RATE_MIN_BPS 64000 /* speech survives */

/* fractions of 256 */
#define LOSS_HIGH 26 /* 10 % */
#define LOSS_LOW  5  /* 2 % */

uint64_t mu_loss_rate_next(
	struct mu_loss_rate *r, uint8_t fraction_lost, uint64_t measured_bps, uint64_t limit_bps)
{
	uint64_t bps = r->bps ? MU_MIN(r->bps, limit_bps) : limit_bps;

	if (fraction_lost > LOSS_HIGH) {
		/* from what it sends, not from what it might: what came and what was lost of it */
		bps = MU_MIN(bps, measured_bps * 256 / (256u - fraction_lost));
		bps = bps / 512 * (512u - fraction_lost);
	} else if (fraction_lost < LOSS_LOW) {
		bps += bps / 20 + 1000;
	}
	r->bps = MU_MIN(MU_MAX(bps, (uint64_t)RATE_MIN_BPS), limit_bps);
	return r->bps;
}
