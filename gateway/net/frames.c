/* Packets on a stream (RFC 4571, section 2): each has its length before it, in two bytes. */
#include <errno.h>

#include "net/net_internal.h"

int frame_next(const uint8_t *data, size_t len, size_t *at, const uint8_t **ret, size_t *ret_len)
{
	while (len - *at >= FRAME_HEAD) {
		size_t n = mu_get16(data + *at);

		if (n > MU_DATAGRAM_MAX)
			return -EBADMSG;
		if (len - *at - FRAME_HEAD < n)
			return 0;
		*ret = data + *at + FRAME_HEAD;
		*ret_len = n;
		*at += FRAME_HEAD + n;
		if (n > 0) /* the null packet says nothing (section 2) */
			return 1;
	}
	return 0;
}

size_t frame_head(size_t len, uint8_t ret[FRAME_HEAD])
{
	mu_put16(ret, (uint16_t)len);
	return FRAME_HEAD + len;
}
