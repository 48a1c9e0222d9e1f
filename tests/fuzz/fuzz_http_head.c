/* A request's header, cut into pieces in two ways: both must come to the same verdict. */
#include <stdlib.h>

#include "api/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct mu_head whole, pieces;

	mu_head_init(&whole);
	mu_head_init(&pieces);
	mu_head_feed(&whole, data, len);
	for (size_t i = 0; i < len; i++)
		mu_head_feed(&pieces, data + i, 1);
	if (whole.status != pieces.status || whole.complete != pieces.complete)
		abort();
	return 0;
}
