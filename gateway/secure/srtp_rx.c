/* srtp_rx.c: packet index, replay and SSRCs of one receiving direction.
 *
 * Nothing here changes before a packet's tag was good: who does not know the key can neither move a window
 * nor take a place in the tables.
 */
#include <errno.h>
#include <stdlib.h>

#include "secure/srtp_internal.h"

/* RTP packets. RFC 3711, section 3.3.2 asks for 64 at least; a burst of video is longer. */
#define WINDOW        1024
#define RTCP_WINDOW   64
#define INDEX_MAX     ((UINT64_C(1) << 48) - 1)
#define FIRST_WRAPPED 1024 /* see first_packet() */

struct rtp_stream {
	uint64_t highest;           /* index of the newest good packet */
	uint64_t seen[WINDOW / 64]; /* bit index % WINDOW */
};
struct rtcp_stream {
	uint64_t seen; /* bit n: highest - n came */
	uint32_t highest;
};
/* SSRCs and their states, side by side: the SSRCs are looked through per packet. Room is made with an SSRC's
 * first good packet. A place is never given back, for without its window what was recorded from the SSRC
 * could be played again. */
struct rtp_streams {
	size_t n, size;
	uint32_t *ssrc;
	struct rtp_stream *state;
};
struct rtcp_streams {
	size_t n, size;
	uint32_t *ssrc;
	struct rtcp_stream *state;
};
struct mu_srtp_rx {
	struct mu_srtp_key *key;
	struct rtp_streams rtp;
	struct rtcp_streams rtcp;
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
	free(rx->rtp.ssrc);
	free(rx->rtp.state);
	free(rx->rtcp.ssrc);
	free(rx->rtcp.state);
	free(rx);
}

/** Room for one more in a table. @return 0, -ENOMEM: nothing changed but perhaps its size */
static int make_room(size_t n, size_t *size, uint32_t **ssrc, void **state, size_t state_size)
{
	size_t bigger = *size ? *size * 2 : 4;
	void *at;

	if (n < *size)
		return 0;
	at = realloc(*ssrc, bigger * sizeof(**ssrc));
	if (!at)
		return -ENOMEM;
	*ssrc = at;
	at = realloc(*state, bigger * state_size);
	if (!at)
		return -ENOMEM;
	*state = at;
	*size = bigger;
	return 0;
}

/** @return the SSRC's place, n if it has none */
static size_t find(const uint32_t *ssrcs, size_t n, uint32_t ssrc)
{
	size_t i = 0;

	while (i < n && ssrcs[i] != ssrc)
		i++;
	return i;
}

/* --- RTP --- */

/** RFC 3711, appendix A. Where that would be ROC -1 the packet can only be a long jump ahead within ROC 0. */
static uint64_t guess_index(uint64_t highest, uint16_t seq)
{
	uint64_t roc = highest >> 16;
	uint16_t last = (uint16_t)highest;

	if (last < 32768 && seq - last > 32768 && roc > 0)
		roc--;
	else if (last >= 32768 && last - 32768 > seq)
		roc++;
	return roc << 16 | seq;
}

/** @return whether the packet came before, or is too old to tell */
static bool is_replay(const struct rtp_stream *st, uint64_t index)
{
	if (index > st->highest)
		return false;
	if (st->highest - index >= WINDOW)
		return true;
	return st->seen[index % WINDOW / 64] >> (index % 64) & 1;
}

static void mark(struct rtp_stream *st, uint64_t index)
{
	if (index > st->highest + WINDOW)
		memset(st->seen, 0, sizeof(st->seen));
	else
		for (uint64_t i = st->highest + 1; i < index; i++) /* skipped so far: they may still come */
			st->seen[i % WINDOW / 64] &= ~(UINT64_C(1) << (i % 64));
	st->seen[index % WINDOW / 64] |= UINT64_C(1) << (index % 64);
	st->highest = MU_MAX(st->highest, index);
}

/** Decrypt an SSRC's first packet. ROC is 0 when a stream begins (RFC 3711, section 3.3.1), but a sender that
 * began just before SEQ wrapped, and whose first packets were lost or overtaken, is at 1 already: its tag
 * tells.
 *  @param ret_index the packet's index, if the tag was good */
static int first_packet(struct mu_srtp_engine *en, struct mu_srtp_rx *rx, const uint8_t *in, size_t len,
	size_t hlen, uint8_t *ret, uint64_t *ret_index)
{
	uint32_t ssrc = mu_get32(in + 8);
	uint16_t seq = mu_get16(in + 2);
	int err;

	*ret_index = seq;
	err = mu_srtp_unprotect(en, rx->key, ssrc, *ret_index, in, len, hlen, ret);
	if (err == 0 || seq >= FIRST_WRAPPED)
		return err;
	*ret_index = UINT64_C(1) << 16 | seq;
	return mu_srtp_unprotect(en, rx->key, ssrc, *ret_index, in, len, hlen, ret);
}

static int add_stream(struct mu_srtp_rx *rx, uint32_t ssrc, uint64_t index)
{
	struct rtp_streams *all = &rx->rtp;
	void *state = all->state;
	int err = make_room(all->n, &all->size, &all->ssrc, &state, sizeof(*all->state));

	all->state = state;
	if (err < 0)
		return err;
	all->state[all->n] = (struct rtp_stream){ .highest = index };
	mark(&all->state[all->n], index);
	all->ssrc[all->n++] = ssrc;
	return 0;
}

int mu_srtp_rx_rtp(struct mu_srtp_engine *en, struct mu_srtp_rx *rx, const uint8_t *in, size_t len,
	size_t hlen, uint8_t *ret)
{
	size_t growth = mu_srtp_growth(mu_srtp_key_profile(rx->key)), at;
	uint32_t ssrc;
	uint64_t index;
	int err;

	if (hlen < SRTP_HEADER || len < hlen + growth || len > UINT16_MAX)
		return -EBADMSG;
	ssrc = mu_get32(in + 8);
	at = find(rx->rtp.ssrc, rx->rtp.n, ssrc);
	if (at == rx->rtp.n) {
		if (at == MU_SRTP_RX_STREAMS)
			return -ENOSPC;
		err = first_packet(en, rx, in, len, hlen, ret, &index);
		if (err == 0)
			err = add_stream(rx, ssrc, index);
	} else {
		index = guess_index(rx->rtp.state[at].highest, mu_get16(in + 2));
		if (index > INDEX_MAX ||
			is_replay(&rx->rtp.state[at], index)) /* 2^48 packets: the key is used up */
			return -EALREADY;
		err = mu_srtp_unprotect(en, rx->key, ssrc, index, in, len, hlen, ret);
		if (err == 0)
			mark(&rx->rtp.state[at], index);
	}
	return err < 0 ? err : (int)(len - growth);
}

/* --- RTCP --- */

static bool rtcp_is_replay(const struct rtcp_stream *st, uint32_t index)
{
	if (index > st->highest)
		return false;
	if (st->highest - index >= RTCP_WINDOW)
		return true;
	return st->seen >> (st->highest - index) & 1;
}

static void rtcp_mark(struct rtcp_stream *st, uint32_t index)
{
	if (index > st->highest) {
		uint32_t n = index - st->highest;

		st->seen = n < RTCP_WINDOW ? st->seen << n : 0;
		st->highest = index;
	}
	st->seen |= UINT64_C(1) << (st->highest - index);
}

static int add_rtcp_stream(struct mu_srtp_rx *rx, uint32_t ssrc, uint32_t index)
{
	struct rtcp_streams *all = &rx->rtcp;
	void *state = all->state;
	int err = make_room(all->n, &all->size, &all->ssrc, &state, sizeof(*all->state));

	all->state = state;
	if (err < 0)
		return err;
	all->state[all->n] = (struct rtcp_stream){ .highest = index };
	all->ssrc[all->n++] = ssrc;
	return 0;
}

int mu_srtp_rx_rtcp(
	struct mu_srtp_engine *en, struct mu_srtp_rx *rx, const uint8_t *in, size_t len, uint8_t *ret)
{
	size_t growth = SRTCP_INDEX + mu_srtp_growth(mu_srtp_key_profile(rx->key)), at;
	bool gcm = srtp_is_gcm(mu_srtp_key_profile(rx->key));
	uint32_t ssrc, index;
	int n, err;

	if (len < SRTCP_HEADER + growth || len > UINT16_MAX)
		return -EBADMSG;
	ssrc = mu_get32(in + 4);
	/* The index stands in the packet: a replay is known before its tag is computed. */
	index = mu_get32(gcm ? in + len - SRTCP_INDEX : in + len - growth) & SRTCP_INDEX_MAX;
	at = find(rx->rtcp.ssrc, rx->rtcp.n, ssrc);
	if (at == MU_SRTP_RX_STREAMS)
		return -ENOSPC;
	if (at < rx->rtcp.n && rtcp_is_replay(&rx->rtcp.state[at], index))
		return -EALREADY;
	n = mu_srtcp_unprotect(en, rx->key, in, len, ret, &index);
	if (n < 0)
		return n;
	err = at == rx->rtcp.n ? add_rtcp_stream(rx, ssrc, index) : 0;
	if (err < 0)
		return err;
	rtcp_mark(&rx->rtcp.state[at], index);
	return n;
}
