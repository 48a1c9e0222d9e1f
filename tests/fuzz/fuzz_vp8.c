/* A VP8 payload descriptor: read within bounds, and rewritten to one that says the same but for its ids. */
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
	struct mu_vp8_map m = { .started = true, .picture_offset = 77, .tl0_offset = 3 };
	struct mu_vp8 d, again;
	uint8_t copy[64], *exact = malloc(size ? size : 1); /* so that a read past it is seen */

	if (!exact)
		return 0;
	memcpy(exact, data, size);
	if (mu_vp8_parse(exact, size, &d) == 0) {
		check(d.len >= 1 && d.len <= MU_VP8_DESCRIPTOR_MAX && d.len <= size);
		check(d.temporal >= -1 && d.temporal <= 3);
		memcpy(copy, exact, MU_MIN(size, sizeof(copy)));
		mu_vp8_rewrite(&m, &d, copy);
		check(mu_vp8_parse(copy, MU_MIN(size, sizeof(copy)), &again) == 0);
		check(again.len == d.len && again.temporal == d.temporal && again.sync == d.sync && again.start == d.start);
		check(!d.picture_bits || again.picture_bits == d.picture_bits);
	}
	free(exact);
	return 0;
}
