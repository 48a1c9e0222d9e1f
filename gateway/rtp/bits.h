/* Bits of codec headers, for rtp's own files. What is read past the end is 0, and remembered. */
#ifndef MU_RTP_BITS_H
#define MU_RTP_BITS_H

#include "base/base.h"

struct bits {
	const uint8_t *data;
	size_t n, at; /* bits */
	bool past;    /* more was read than there is */
};
static inline struct bits bits_of(const uint8_t *data, size_t len)
{
	return (struct bits){ .data = data, .n = len * 8 };
}
/** The next n bits, 0..32, first one highest. */
static inline uint32_t bits_get(struct bits *b, unsigned n)
{
	uint32_t v = 0;

	if (n > b->n - b->at) {
		b->past = true;
		b->at = b->n;
		return 0;
	}
	for (; n > 0; n--, b->at++)
		v = v << 1 | (b->data[b->at / 8] >> (7 - b->at % 8) & 1u);
	return v;
}
static inline bool bits_flag(struct bits *b)
{
	return bits_get(b, 1);
}
static inline void bits_skip(struct bits *b, size_t n)
{
	b->past |= n > b->n - b->at;
	b->at += MU_MIN(n, b->n - b->at);
}
/** Exp-Golomb (H.264, section 9.1); AV1 calls it uvlc. */
static inline uint32_t bits_ue(struct bits *b)
{
	unsigned zeros = 0;

	while (!b->past && !bits_flag(b))
		zeros++;
	if (b->past || zeros >= 32) {
		b->past = true;
		return 0;
	}
	return (uint32_t)(((uint64_t)1 << zeros) - 1 + bits_get(b, zeros));
}
static inline int32_t bits_se(struct bits *b)
{
	uint32_t v = bits_ue(b);

	return v & 1 ? (int32_t)(v / 2 + 1) : -(int32_t)(v / 2);
}
/** A number below n in as few bits as may be (AV1, section 4.10.7). n > 0. */
static inline uint32_t bits_ns(struct bits *b, uint32_t n)
{
	unsigned w = 32u - (unsigned)__builtin_clz(n);
	uint32_t m = (uint32_t)(((uint64_t)1 << w) - n), v = bits_get(b, w - 1);

	return v < m ? v : (v << 1) - m + bits_get(b, 1);
}

#endif
