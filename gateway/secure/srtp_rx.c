/* Receiving: which index a packet has, whether it was seen, and only then its content. A stranger's packet changes nothing. */
#include <errno.h>
#include <stdlib.h>

#include "secure/srtp_internal.h"

#define WINDOW 1024

/** Bits for the last WINDOW indices; bit (index % WINDOW). */
struct window {
	uint64_t highest;
	uint64_t bits[WINDOW / 64];
};
struct stream {
	uint32_t ssrc;
	struct window seen;
};
struct mu_srtp_rx {
	struct mu_srtp_key *key;
	unsigned n_rtp, n_rtcp;
	struct stream *rtp[MU_SRTP_RX_STREAMS];
	struct stream *rtcp[MU_SRTP_RX_STREAMS];
};

int mu_srtp_rx_new(struct mu_srtp_key *key, struct mu_srtp_rx **ret)
{
	struct mu_srtp_rx *rx = calloc(1, sizeof(*rx));

	if (!rx)
		return -ENOMEM;
	rx->key = key;
	*ret = rx;
	return 0;
}

void mu_srtp_rx_free(struct mu_srtp_rx *rx)
{
	if (!rx)
		return;
	for (unsigned i = 0; i < rx->n_rtp; i++)
		free(rx->rtp[i]);
	for (unsigned i = 0; i < rx->n_rtcp; i++)
		free(rx->rtcp[i]);
	free(rx);
}

static struct stream *find(struct stream *const *list, unsigned n, uint32_t ssrc)
{
	for (unsigned i = 0; i < n; i++) {
		if (list[i]->ssrc == ssrc)
			return list[i];
	}
	return NULL;
}

static bool fresh(const struct window *w, uint64_t index)
{
	if (index > w->highest)
		return true;
	if (w->highest - index >= WINDOW)
		return false;
	return !(w->bits[index % WINDOW / 64] >> (index % 64) & 1);
}

static void mark(struct window *w, uint64_t index)
{
	if (index > w->highest) {
		uint64_t from = index - w->highest >= WINDOW ? index - WINDOW + 1 : w->highest + 1;

		for (uint64_t i = from; i < index; i++) /* what is skipped has not been seen */
			w->bits[i % WINDOW / 64] &= ~(1ull << (i % 64));
		w->highest = index;
	}
	w->bits[index % WINDOW / 64] |= 1ull << (index % 64);
}

/* RFC 3711, appendix A: the roll-over counter that puts SEQ nearest to the highest seen. */
static uint64_t estimate(const struct stream *s, uint16_t seq)
{
	uint64_t roc, top;
	uint16_t high;

	if (!s)
		return seq;
	roc = s->seen.highest >> 16;
	high = (uint16_t)s->seen.highest;
	top = roc;
	if (high < 0x8000) {
		if (seq - high > 0x8000 && roc > 0)
			top = roc - 1;
	} else if (high - 0x8000 > seq) {
		top = roc + 1;
	}
	return top << 16 | seq;
}

static int remember(struct stream **list, unsigned *n, struct stream *s, uint32_t ssrc, uint64_t index)
{
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->ssrc = ssrc;
		s->seen.highest = index;
		list[(*n)++] = s;
	}
	mark(&s->seen, index);
	return 0;
}

int mu_srtp_rx_rtp(struct mu_srtp_engine *en, struct mu_srtp_rx *rx, const uint8_t *in, size_t len, size_t hlen, uint8_t *ret)
{
	size_t growth = mu_srtp_growth(rx->key->profile);
	struct stream *s;
	uint32_t ssrc;
	uint64_t index;
	int err;

	if (hlen < 12 || len < hlen + growth)
		return -EBADMSG;
	ssrc = mu_get32(in + 8);
	s = find(rx->rtp, rx->n_rtp, ssrc);
	index = estimate(s, mu_get16(in + 2));
	if (s && !fresh(&s->seen, index))
		return -EALREADY;
	err = mu_srtp_unprotect(en, rx->key, ssrc, index, in, len, hlen, ret);
	if (err < 0)
		return err;
	if (!s && rx->n_rtp == MU_SRTP_RX_STREAMS)
		return -ENOSPC;
	err = remember(rx->rtp, &rx->n_rtp, s, ssrc, index);
	return err < 0 ? err : (int)(len - growth);
}

int mu_srtp_rx_rtcp(struct mu_srtp_engine *en, struct mu_srtp_rx *rx, const uint8_t *in, size_t len, uint8_t *ret)
{
	struct stream *s;
	uint32_t ssrc, index;
	int n = mu_srtcp_unprotect(en, rx->key, in, len, ret, &index), err;

	if (n < 0)
		return n;
	ssrc = mu_get32(in + 4);
	s = find(rx->rtcp, rx->n_rtcp, ssrc);
	if (s && !fresh(&s->seen, index))
		return -EALREADY;
	if (!s && rx->n_rtcp == MU_SRTP_RX_STREAMS)
		return -ENOSPC;
	err = remember(rx->rtcp, &rx->n_rtcp, s, ssrc, index);
	return err < 0 ? err : n;
}
