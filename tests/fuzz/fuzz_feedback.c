/* The FCI of transport-wide feedback: whatever it says, at most what was sent is told, each packet once lost and once arrived at
 * most, and the estimate stays within its limits. */
#include <stdlib.h>

#include "adapt/adapt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mu_estimate_limits limits = { 50000, 300000, 10000000 };
	struct mu_history *h;
	struct mu_estimate *e;
	struct mu_fate f[64];
	uint8_t copy[1500];
	uint16_t first;
	int n;

	if (size < 4 || size > sizeof(copy) || mu_history_new(&h) < 0)
		return 0;
	check(mu_estimate_new(&limits, 0, &e) == 0);
	memcpy(copy, data, size);
	first = mu_history_sent(h, 1200, 0, 1000);
	for (unsigned i = 1; i < 60; i++)
		mu_history_sent(h, 1200, (uint16_t)(i > 50), 1000 + i * 1000);
	mu_put16(copy, (uint16_t)(first + copy[0] % 64)); /* else nothing would be known */
	for (unsigned i = 0; i < 3; i++) {
		n = mu_history_feedback(h, copy, size, f, 64);
		check(n <= 60 && (i == 0 || n <= 0));
		for (int k = 0; k < n; k++)
			check(f[k].size == 1200 && f[k].sent_us >= 1000);
		if (n >= 0)
			mu_estimate_feedback(e, f, (size_t)n, 50000, 200000 + i * 100000);
		check(mu_estimate_bps(e) >= limits.min_bps && mu_estimate_bps(e) <= limits.max_bps);
	}
	mu_estimate_free(e);
	mu_history_free(h);
	return 0;
}
