#include <stdlib.h>

#include "rtp/rtp.h"

#define WAIT_MAX_US 1000000 /* nobody waits longer for a lost packet */

void mu_rtt_sample(struct mu_rtt *r, int64_t us)
{
	us = MU_MIN(MU_MAX(us, 0), WAIT_MAX_US);
	if (!r->known) {
		*r = (struct mu_rtt){ .known = true, .smoothed_us = us, .var_us = us / 2 };
		return;
	}
	r->var_us += (llabs(us - r->smoothed_us) - r->var_us) / 4;
	r->smoothed_us += (us - r->smoothed_us) / 8;
	r->backoff_us = 0;
}

void mu_rtt_unsure(struct mu_rtt *r, int64_t us)
{
	r->backoff_us = MU_MIN(MU_MAX(us, 0), WAIT_MAX_US);
}

/* One variance beyond the mean and not RFC 6298's four: to ask once too often costs four bytes, to ask late a
 * picture. */
int64_t mu_rtt_wait_us(const struct mu_rtt *r, int64_t guess_us)
{
	return MU_MAX(r->known ? r->smoothed_us + r->var_us : guess_us, r->backoff_us);
}
