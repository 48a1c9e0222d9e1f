#include <errno.h>

#include "rtp/rtp.h"

#define COUNT_MAX 31 /* of report blocks and the like: five bits */
#define BLOCK     24
#define DAY_US    86400000000ll

/* Append a packet's common header, and zeros for the rest. @return where it begins, NULL if there is no room
 */
static uint8_t *begin(struct mu_rtcp_writer *w, uint8_t type, size_t count, size_t len)
{
	uint8_t *p = w->data + w->len;

	if (len > w->size - w->len || len / 4 - 1 > UINT16_MAX)
		return NULL;
	memset(p, 0, len);
	p[0] = (uint8_t)(0x80 | count);
	p[1] = type;
	mu_put16(p + 2, (uint16_t)(len / 4 - 1));
	w->len += len;
	return p;
}

static uint8_t *begin_feedback(
	struct mu_rtcp_writer *w, uint8_t type, uint8_t fmt, uint32_t sender, uint32_t media, size_t fci_len)
{
	uint8_t *p = begin(w, type, fmt, 12 + fci_len);

	if (!p)
		return NULL;
	mu_put32(p + 4, sender);
	mu_put32(p + 8, media);
	return p + 12;
}

static void put_reports(uint8_t *p, const struct mu_rtcp_report *r, size_t n)
{
	for (; n; n--, r++, p += BLOCK) {
		mu_put32(p, r->ssrc);
		p[4] = r->fraction_lost;
		mu_put24(p + 5, (uint32_t)r->lost & 0xffffff);
		mu_put32(p + 8, r->highest);
		mu_put32(p + 12, r->jitter);
		mu_put32(p + 16, r->lsr);
		mu_put32(p + 20, r->dlsr);
	}
}

int mu_rtcp_add_sr(struct mu_rtcp_writer *w, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets,
	uint32_t bytes, const struct mu_rtcp_report *reports, size_t n)
{
	uint8_t *p;

	if (n > COUNT_MAX)
		return -EINVAL;
	p = begin(w, MU_RTCP_SR, n, 28 + BLOCK * n);
	if (!p)
		return -ENOSPC;
	mu_put32(p + 4, ssrc);
	mu_put64(p + 8, ntp);
	mu_put32(p + 16, rtp);
	mu_put32(p + 20, packets);
	mu_put32(p + 24, bytes);
	put_reports(p + 28, reports, n);
	return 0;
}

int mu_rtcp_add_rr(struct mu_rtcp_writer *w, uint32_t ssrc, const struct mu_rtcp_report *reports, size_t n)
{
	uint8_t *p;

	if (n > COUNT_MAX)
		return -EINVAL;
	p = begin(w, MU_RTCP_RR, n, 8 + BLOCK * n);
	if (!p)
		return -ENOSPC;
	mu_put32(p + 4, ssrc);
	put_reports(p + 8, reports, n);
	return 0;
}

int mu_rtcp_add_sdes(struct mu_rtcp_writer *w, uint32_t ssrc, const char *cname)
{
	size_t len = strlen(cname);
	uint8_t *p;

	if (len > UINT8_MAX)
		return -EINVAL;
	p = begin(w, MU_RTCP_SDES, 1, (8 + 2 + len + 4) / 4 * 4); /* at least one null octet ends the items */
	if (!p)
		return -ENOSPC;
	mu_put32(p + 4, ssrc);
	p[8] = 1;
	p[9] = (uint8_t)len;
	memcpy(p + 10, cname, len);
	return 0;
}

int mu_rtcp_add_bye(struct mu_rtcp_writer *w, const uint32_t *ssrcs, size_t n, const char *reason)
{
	size_t len = reason ? MU_MIN(strlen(reason), (size_t)UINT8_MAX) : 0;
	uint8_t *p;

	if (n > COUNT_MAX)
		return -EINVAL;
	p = begin(w, MU_RTCP_BYE, n, 4 + 4 * n + (len ? (1 + len + 3) / 4 * 4 : 0));
	if (!p)
		return -ENOSPC;
	p += 4;
	for (size_t i = 0; i < n; i++, p += 4)
		mu_put32(p, ssrcs[i]);
	if (len) {
		p[0] = (uint8_t)len;
		memcpy(p + 1, reason, len);
	}
	return 0;
}

/* Take numbers that fit one PID + BLP. @return how many */
static size_t pack_nack(const uint16_t *seqs, size_t n, uint16_t *blp)
{
	size_t i = 1;

	*blp = 0;
	for (; i < n; i++) {
		uint16_t d = (uint16_t)(seqs[i] - seqs[0]);

		if (d > 16)
			break;
		if (d)
			*blp |= (uint16_t)(1u << (d - 1));
	}
	return i;
}

int mu_rtcp_add_nack(
	struct mu_rtcp_writer *w, uint32_t sender, uint32_t media, const uint16_t *seqs, size_t n)
{
	size_t items = 0;
	uint16_t blp;
	uint8_t *p;

	for (size_t i = 0; i < n; items++)
		i += pack_nack(seqs + i, n - i, &blp);
	if (!items)
		return 0;
	p = begin_feedback(w, MU_RTCP_RTPFB, 1, sender, media, 4 * items);
	if (!p)
		return -ENOSPC;
	for (size_t i = 0; i < n; p += 4) {
		mu_put16(p, seqs[i]);
		i += pack_nack(seqs + i, n - i, &blp);
		mu_put16(p + 2, blp);
	}
	return 0;
}

int mu_rtcp_add_pli(struct mu_rtcp_writer *w, uint32_t sender, uint32_t media)
{
	return begin_feedback(w, MU_RTCP_PSFB, 1, sender, media, 0) ? 0 : -ENOSPC;
}

int mu_rtcp_add_fir(struct mu_rtcp_writer *w, uint32_t sender, uint32_t media, uint8_t number)
{
	uint8_t *p = begin_feedback(
		w, MU_RTCP_PSFB, 4, sender, 0, 8); /* media SSRC 0: RFC 5104, section 4.3.1.2 */

	if (!p)
		return -ENOSPC;
	mu_put32(p, media);
	p[4] = number;
	return 0;
}

int mu_rtcp_add_remb(struct mu_rtcp_writer *w, uint32_t sender, const uint32_t *ssrcs, size_t n, uint64_t bps)
{
	unsigned exp = 0;
	uint8_t *p;

	if (n > UINT8_MAX)
		return -EINVAL;
	p = begin_feedback(w, MU_RTCP_PSFB, 15, sender, 0, 8 + 4 * n);
	if (!p)
		return -ENOSPC;
	for (; bps > 0x3ffff; bps >>= 1)
		exp++;
	memcpy(p, "REMB", 4);
	p[4] = (uint8_t)n;
	mu_put24(p + 5, exp << 18 | (uint32_t)bps);
	for (size_t i = 0; i < n; i++)
		mu_put32(p + 8 + 4 * i, ssrcs[i]);
	return 0;
}

/* @return the block's contents */
static uint8_t *begin_xr(struct mu_rtcp_writer *w, uint32_t sender, uint8_t type, size_t len)
{
	uint8_t *p = begin(w, MU_RTCP_XR, 0, 12 + len);

	if (!p)
		return NULL;
	mu_put32(p + 4, sender);
	p[8] = type;
	mu_put16(p + 10, (uint16_t)(len / 4));
	return p + 12;
}

int mu_rtcp_add_rrtr(struct mu_rtcp_writer *w, uint32_t sender, uint64_t ntp)
{
	uint8_t *p = begin_xr(w, sender, 4, 8);

	if (!p)
		return -ENOSPC;
	mu_put64(p, ntp);
	return 0;
}

int mu_rtcp_add_dlrr(
	struct mu_rtcp_writer *w, uint32_t sender, uint32_t ssrc, uint32_t last_rr, uint32_t delay)
{
	uint8_t *p = begin_xr(w, sender, 5, 12);

	if (!p)
		return -ENOSPC;
	mu_put32(p, ssrc);
	mu_put32(p + 4, last_rr);
	mu_put32(p + 8, delay);
	return 0;
}

/* RFC 3550, A.3. */
static void fill_loss(struct mu_rtp_rx *rx, struct mu_rtcp_report *ret)
{
	uint64_t expected = rx->started ? rx->highest - rx->first + 1 : 0;
	uint64_t packets = rx->packets - rx->repaired; /* a repair does not undo the congestion */
	uint64_t expected_now = expected - rx->prior_expected, packets_now = packets - rx->prior_packets;
	int64_t lost = (int64_t)(expected - packets);

	rx->fraction_lost = 0;
	if (expected_now > packets_now)
		rx->fraction_lost = (uint8_t)MU_MIN((expected_now - packets_now) * 256 / expected_now, 255u);
	rx->prior_expected = expected;
	rx->prior_packets = packets;
	ret->fraction_lost = rx->fraction_lost;
	/* Duplicates make it negative; 24 bits hold no more than this. */
	ret->lost = (int32_t)MU_MAX(MU_MIN(lost, 0x7fffff), -0x800000);
}

void mu_rtcp_report_fill(struct mu_rtp_rx *rx, uint32_t ssrc, const struct mu_rtp_clock *clock,
	int64_t now_us, struct mu_rtcp_report *ret)
{
	*ret = (struct mu_rtcp_report){ .ssrc = ssrc };
	fill_loss(rx, ret);
	if (rx->started)
		ret->highest = (uint32_t)(rx->highest - 65536); /* cycles count from 0 on the wire */
	ret->jitter = (uint32_t)(rx->jitter_q4 >> 4);
	if (clock && clock->valid) {
		int64_t since = MU_MIN(MU_MAX(now_us - clock->arrival_us, 0), DAY_US / 2);

		ret->lsr = (uint32_t)(clock->ntp >> 16);
		ret->dlsr = (uint32_t)(((uint64_t)since << 16) / 1000000);
	}
}

int64_t mu_rtcp_rtt_us(const struct mu_rtcp_report *r, uint64_t now_ntp)
{
	uint32_t rtt = (uint32_t)(now_ntp >> 16) - r->lsr - r->dlsr;

	if (!r->lsr)
		return -1;
	/* Rounding on both sides can make next to nothing slightly negative; more is a lie or a stepped
	 * clock. */
	if (rtt >> 31)
		return -rtt <= 65 ? 0 : -1;
	return (int64_t)((uint64_t)rtt * 1000000 >> 16);
}
