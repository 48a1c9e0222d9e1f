/* red.c: audio that carries copies of the packets before it (RFC 2198), so that a loss costs nothing and
 * waits for nobody. Plain logic. */
#ifndef MU_TRANSPORT_RED_H
#define MU_TRANSPORT_RED_H

#include "rtp/rtp.h"

#define RED_COPIES_MAX 2
#define RED_BYTES_MAX  1200 /* of a payload with its copies */

/** Of one stream out whose peer takes it. Zero-initialised, then red_init. */
struct red {
	uint8_t pt;     /* 0: the peer does not take it */
	uint8_t copies; /* that each packet carries now */
	int64_t rose_us;
};
struct red_block {
	const uint8_t *data;
	size_t len;
	uint32_t ts;
};

void red_init(struct red *r, uint8_t pt);
/** How much is lost, 0..1: no copies below 2 %, one from there, two from 8 %. They come at once and go
 * slowly.
 *  @return copies from now on */
unsigned red_loss(struct red *r, double loss, int64_t now_us);
/** Write the payload: the oldest block first, the packet's own last. Blocks that are too old or too long for
 * the form are left out, the oldest first until the whole fits.
 *  @param pt  of all blocks
 *  @return its length; 0: no copy fits, send it as it is */
size_t red_write(uint8_t pt, const struct red_block *blocks, size_t n, uint8_t *ret, size_t size);
#endif
