#include "transport/red.h"

#define LOSS_ONE    0.02 /* one copy from here on, two from there on */
#define LOSS_TWO    0.08
#define LOSS_FALL   0.6     /* of those: below, one copy less */
#define FALL_US     5000000 /* but not before so long after the last rise */
#define HEADER      4
#define OFFSET_MAX  0x3fff /* RFC 2198, section 3: 14 bits of time stamp, 10 of length */
#define LEN_MAX     0x3ff
#define ANOTHER_BIT 0x80

void red_init(struct red *r, uint8_t pt)
{
	memset(r, 0, sizeof(*r));
	r->pt = pt;
}

static unsigned copies_for(double loss, double factor)
{
	return loss >= LOSS_TWO * factor ? 2 : loss >= LOSS_ONE * factor ? 1 : 0;
}

unsigned red_loss(struct red *r, double loss, int64_t now_us)
{
	unsigned up = copies_for(loss, 1), down = copies_for(loss, LOSS_FALL);

	if (!r->pt)
		return 0;
	if (up >= r->copies) {
		if (up > 0)
			r->rose_us = now_us;
		r->copies = (uint8_t)up;
	} else if (down < r->copies && now_us - r->rose_us >= FALL_US) {
		r->copies = (uint8_t)down;
	}
	return r->copies;
}

/* The first block that may go along: all behind it do as well. */
static size_t first_fit(const struct red_block *b, size_t n, size_t size)
{
	size_t len = 1 + b[n - 1].len, i = n - 1;

	while (i > 0) {
		const struct red_block *older = &b[i - 1];

		len += HEADER + older->len;
		if (older->len == 0 || older->len > LEN_MAX || b[n - 1].ts - older->ts > OFFSET_MAX ||
			len > size)
			break;
		i--;
	}
	return i;
}

size_t red_write(uint8_t pt, const struct red_block *blocks, size_t n, uint8_t *ret, size_t size)
{
	const struct red_block *own = &blocks[n - 1];
	size_t first = first_fit(blocks, n, size);
	uint8_t *at = ret;

	if (first == n - 1)
		return 0;
	for (size_t i = first; i < n - 1; i++) {
		mu_put32(at,
			(uint32_t)(ANOTHER_BIT | pt) << 24 | (own->ts - blocks[i].ts) << 10 |
				(uint32_t)blocks[i].len);
		at += HEADER;
	}
	*at++ = pt;
	for (size_t i = first; i < n; i++) {
		memcpy(at, blocks[i].data, blocks[i].len);
		at += blocks[i].len;
	}
	return (size_t)(at - ret);
}
