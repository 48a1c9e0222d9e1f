/* What the tests of rtp share. */
#ifndef MU_TEST_RTP_CHECK_H
#define MU_TEST_RTP_CHECK_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rtp/rtp.h"

/* A heap copy of just these bytes: a read past their end is the sanitizer's catch. */
static inline uint8_t *exact(const void *data, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	if (len)
		memcpy(p, data, len);
	return p;
}

static inline void set_data(struct mu_packet *p, const void *data, size_t len)
{
	memset(p, 0, sizeof(*p));
	memcpy(p->data, data, len);
	p->len = (uint16_t)len;
}

/* Numbers that look random and are the same every time (xorshift). */
static inline uint32_t next_random(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	*s ^= *s << 5;
	return *s;
}

#endif
