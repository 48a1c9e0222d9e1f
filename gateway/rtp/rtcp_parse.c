#include <errno.h>

#include "rtp/rtp.h"

#define NACKS_MAX 4096 /* a datagram full of NACKs would ask for 17 times its bytes in lookups */

/* One packet of the compound, checked: p to end without padding; count is RC, SC or FMT. */
struct part {
	const uint8_t *p, *end;
	uint8_t count, type;
};
struct walk {
	const struct mu_rtcp_handler *h;
	void *arg;
	unsigned nacks; /* left */
};

static size_t left(const struct part *c, size_t at)
{
	size_t len = (size_t)(c->end - c->p);

	return len > at ? len - at : 0;
}

static int report_blocks(const struct walk *w, const struct part *c, size_t at)
{
	if (left(c, at) < 24u * c->count)
		return -EBADMSG;
	if (!w->h->report)
		return 0;
	for (unsigned i = 0; i < c->count; i++) {
		const uint8_t *b = c->p + at + 24 * i;
		struct mu_rtcp_report r = {
			.ssrc = mu_get32(b),
			.fraction_lost = b[4],
			.lost = (int32_t)(mu_get24(b + 5) ^ 0x800000) - 0x800000, /* 24 bits, signed */
			.highest = mu_get32(b + 8),
			.jitter = mu_get32(b + 12),
			.lsr = mu_get32(b + 16),
			.dlsr = mu_get32(b + 20),
		};

		w->h->report(w->arg, mu_get32(c->p + 4), &r);
	}
	return 0;
}

static int parse_sr(const struct walk *w, const struct part *c)
{
	const uint8_t *p = c->p;

	if (left(c, 0) < 28)
		return -EBADMSG;
	if (w->h->sr)
		w->h->sr(w->arg, mu_get32(p + 4), mu_get64(p + 8), mu_get32(p + 16), mu_get32(p + 20),
			mu_get32(p + 24));
	return report_blocks(w, c, 28);
}

static int parse_rr(const struct walk *w, const struct part *c)
{
	return left(c, 0) < 8 ? -EBADMSG : report_blocks(w, c, 8);
}

/* Items of one chunk, up to and with their null octet. @return offset of the next chunk, 0 if malformed */
static size_t sdes_chunk(const struct walk *w, const struct part *c, size_t at)
{
	uint32_t ssrc;

	if (left(c, at) < 4)
		return 0;
	ssrc = mu_get32(c->p + at);
	at += 4;
	while (left(c, at) >= 1 && c->p[at]) {
		const uint8_t *item = c->p + at;

		if (left(c, at) < 2 || left(c, at + 2) < item[1])
			return 0;
		if (item[0] == 1 && w->h->cname)
			w->h->cname(w->arg, ssrc, (const char *)item + 2, item[1]);
		at += 2u + item[1];
	}
	/* Each chunk ends with one to four null octets, on a word (RFC 3550, section 6.5). */
	return left(c, at) ? (at / 4 + 1) * 4 : 0;
}

static int parse_sdes(const struct walk *w, const struct part *c)
{
	size_t at = 4;

	for (unsigned i = 0; i < c->count; i++) {
		at = sdes_chunk(w, c, at);
		if (!at)
			return -EBADMSG;
	}
	return 0;
}

static int parse_bye(const struct walk *w, const struct part *c)
{
	if (left(c, 4) < 4u * c->count)
		return -EBADMSG;
	for (unsigned i = 0; i < c->count && w->h->bye; i++)
		w->h->bye(w->arg, mu_get32(c->p + 4 + 4 * i));
	return 0;
}

/* RFC 4585, section 6.2.1. */
static void nack_item(struct walk *w, uint32_t media, uint16_t pid, uint16_t blp)
{
	for (unsigned i = 0; i <= 16 && w->nacks; i++) {
		if (i && !(blp >> (i - 1) & 1))
			continue;
		w->h->nack(w->arg, media, (uint16_t)(pid + i));
		w->nacks--;
	}
}

static int parse_rtpfb(struct walk *w, const struct part *c)
{
	uint32_t media;

	if (left(c, 0) < 12)
		return -EBADMSG;
	media = mu_get32(c->p + 8);
	switch (c->count) {
	case 1:
		if (left(c, 12) < 4)
			return -EBADMSG;
		for (const uint8_t *p = c->p + 12; w->h->nack && w->nacks && c->end - p >= 4; p += 4)
			nack_item(w, media, mu_get16(p), mu_get16(p + 2));
		return 0;
	case 15:
		if (left(c, 12) < 8)
			return -EBADMSG;
		if (w->h->twcc)
			w->h->twcc(w->arg, c->p + 12, left(c, 12));
		return 0;
	default:
		return 0;
	}
}

/* RFC 5104, section 4.3.1: the media are named in the entries. */
static int fir(const struct walk *w, const struct part *c)
{
	if (left(c, 12) < 8)
		return -EBADMSG;
	for (const uint8_t *p = c->p + 12; c->end - p >= 8; p += 8) {
		if (w->h->fir)
			w->h->fir(w->arg, mu_get32(c->p + 4), mu_get32(p), p[4]);
		else if (w->h->key_request)
			w->h->key_request(w->arg, mu_get32(p));
	}
	return 0;
}

/* draft-alvestrand-rmcat-remb, section 2.2; other application layer feedback is not for us. */
static int remb(const struct walk *w, const struct part *c)
{
	const uint8_t *p = c->p + 12;
	uint64_t mantissa;
	unsigned exp;

	if (left(c, 12) < 8 || memcmp(p, "REMB", 4))
		return 0;
	if (left(c, 20) < 4u * p[4])
		return -EBADMSG;
	exp = p[5] >> 2;
	mantissa = mu_get24(p + 5) & 0x3ffff;
	if (w->h->remb)
		w->h->remb(w->arg, mantissa > UINT64_MAX >> exp ? UINT64_MAX : mantissa << exp);
	return 0;
}

static int parse_psfb(const struct walk *w, const struct part *c)
{
	if (left(c, 0) < 12)
		return -EBADMSG;
	switch (c->count) {
	case 1: /* PLI: RFC 4585, section 6.3.1 */
		if (w->h->key_request)
			w->h->key_request(w->arg, mu_get32(c->p + 8));
		return 0;
	case 4:
		return fir(w, c);
	case 15:
		return remb(w, c);
	default:
		return 0;
	}
}

/* One block, header included. What has not the length that its type has is not for us. */
static void xr_block(const struct walk *w, const struct part *c, const uint8_t *b, size_t len)
{
	if (b[0] == 4 && len == 12 && w->h->rrtr)
		w->h->rrtr(w->arg, mu_get32(c->p + 4), mu_get64(b + 4));
	for (size_t at = 4; b[0] == 5 && w->h->dlrr && at + 12 <= len; at += 12)
		w->h->dlrr(w->arg, mu_get32(b + at), mu_get32(b + at + 4), mu_get32(b + at + 8));
}

/* RFC 3611, sections 2 and 3. */
static int parse_xr(const struct walk *w, const struct part *c)
{
	size_t at = 8, len;

	if (left(c, 0) < 8)
		return -EBADMSG;
	for (; left(c, at); at += len) {
		if (left(c, at) < 4)
			return -EBADMSG;
		len = 4u * (mu_get16(c->p + at + 2) + 1u);
		if (left(c, at) < len)
			return -EBADMSG;
		xr_block(w, c, c->p + at, len);
	}
	return 0;
}

static int dispatch(struct walk *w, const struct part *c)
{
	switch (c->type) {
	case MU_RTCP_SR:
		return parse_sr(w, c);
	case MU_RTCP_RR:
		return parse_rr(w, c);
	case MU_RTCP_SDES:
		return parse_sdes(w, c);
	case MU_RTCP_BYE:
		return parse_bye(w, c);
	case MU_RTCP_RTPFB:
		return parse_rtpfb(w, c);
	case MU_RTCP_PSFB:
		return parse_psfb(w, c);
	case MU_RTCP_XR:
		return parse_xr(w, c);
	default:
		return 0; /* APP and what is not invented yet (RFC 3550, section 6.1: ignored) */
	}
}

/* Check one packet's frame. @return its bytes, 0 if malformed */
static size_t split(const uint8_t *data, size_t len, struct part *ret)
{
	size_t n;
	uint8_t pad = 0;

	if (len < 4 || data[0] >> 6 != 2)
		return 0;
	n = 4u * (mu_get16(data + 2) + 1u);
	if (n > len)
		return 0;
	if (data[0] & 0x20) {
		pad = data[n - 1];
		if (pad == 0 || pad > n - 4)
			return 0;
	}
	*ret = (struct part){ .p = data, .end = data + n - pad, .count = data[0] & 0x1f, .type = data[1] };
	return n;
}

int mu_rtcp_parse(const uint8_t *data, size_t len, const struct mu_rtcp_handler *h, void *arg)
{
	struct walk w = { .h = h, .arg = arg, .nacks = NACKS_MAX };

	if (len == 0)
		return -EBADMSG;
	while (len) {
		struct part c;
		size_t n = split(data, len, &c);

		if (!n || dispatch(&w, &c) < 0)
			return -EBADMSG;
		data += n;
		len -= n;
	}
	return 0;
}
