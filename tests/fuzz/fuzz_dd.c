/* Dependency descriptors of one source, one after the other: each begins with a byte that says how many bytes
 * it has and one that says whether a picture begins. */
#include <stdlib.h>

#include "rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mu_payload_layers l;
	struct mu_dd *dd;
	uint32_t ts = 0;

	if (mu_dd_new(&dd) < 0)
		return 0;
	while (size >= 2) {
		size_t len = MU_MIN((size_t)data[0], size - 2);
		uint8_t *one = malloc(len ? len : 1); /* ends where the descriptor ends */

		check(one);
		memcpy(one, data + 2, len);
		ts += data[1] & 1 ? 3000 : 0;
		if (mu_dd_read(dd, one, len, ts, &l) == 0) {
			check(l.spatial < MU_SPATIAL_MAX && l.temporal < MU_TEMPORAL_MAX);
			check(!(l.flags & MU_LAYER_START) == !(one[0] & 0x80) &&
				!(l.flags & MU_LAYER_END) == !(one[0] & 0x40));
			check(!l.width == !l.height);
		}
		free(one);
		data += 2 + len;
		size -= 2 + len;
	}
	mu_dd_free(dd);
	return 0;
}
