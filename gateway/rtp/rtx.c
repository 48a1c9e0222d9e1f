#include <errno.h>

#include "rtp/rtp.h"

#define OSN 2 /* the original sequence number before the payload (RFC 4588, section 4) */

int mu_rtx_unwrap(struct mu_packet *p)
{
	/* Senders probe for bandwidth with RTX packets that are nothing but padding: those repair nothing. */
	if (p->hlen + p->pad + OSN > p->len)
		return -EBADMSG;
	p->wire_seq = mu_get16(p->data + p->hlen);
	mu_put16(p->data + 2, p->wire_seq);
	/* The payload moves and not the header, so that ext[] stays true. */
	memmove(p->data + p->hlen, p->data + p->hlen + OSN, (size_t)(p->len - p->hlen - OSN));
	p->len = (uint16_t)(p->len - OSN);
	p->flags |= MU_PACKET_REPAIRED;
	return 0;
}
