/* A stream from a stranger, in one piece and cut where its first bytes say: the same frames, or the same end.
 */
#include "net/net_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CUTS 4

struct heard {
	uint64_t sum;
	unsigned frames;
	int end;
};

/* @return what is left behind the frames that are whole */
static size_t hear(struct heard *h, const uint8_t *data, size_t len)
{
	const uint8_t *frame;
	size_t at = 0, n;

	while ((h->end = frame_next(data, len, &at, &frame, &n)) > 0) {
		if (n == 0 || n > MU_DATAGRAM_MAX || frame < data || frame + n > data + len)
			__builtin_trap();
		for (size_t i = 0; i < n; i++)
			h->sum = h->sum * 31 + frame[i];
		h->frames++;
	}
	if (h->end == 0 && len - at >= FRAME_MAX)
		__builtin_trap();
	return len - at;
}

/* As a connection does it: what was left lies before what comes. */
static void hear_cut(struct heard *h, const uint8_t *cuts, const uint8_t *data, size_t len)
{
	uint8_t buffer[FRAME_MAX + 4096];
	size_t left = 0;

	for (size_t i = 0; len > 0 && h->end >= 0; i++) {
		size_t n = MU_MIN(MU_MIN(len, 4096), 1 + (size_t)cuts[i % CUTS] * (i % 2 ? 1 : 16));
		size_t all = left + n;

		memcpy(buffer + left, data, n);
		data += n;
		len -= n;
		left = hear(h, buffer, all);
		memmove(buffer, buffer + all - left, left);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct heard whole = { 0 }, cut = { 0 };

	if (len <= CUTS || len > 65536)
		return 0;
	hear(&whole, data + CUTS, len - CUTS);
	hear_cut(&cut, data, data + CUTS, len - CUTS);
	if (whole.sum != cut.sum || whole.frames != cut.frames || whole.end != cut.end)
		__builtin_trap();
	return 0;
}
