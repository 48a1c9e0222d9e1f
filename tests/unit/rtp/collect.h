/* A handler that remembers what a compound packet said. */
#ifndef MU_TEST_RTP_COLLECT_H
#define MU_TEST_RTP_COLLECT_H

#include "check.h"

struct collected {
	unsigned n_sr, n_report, n_nack, n_key, n_remb, n_twcc, n_bye, n_cname, n_rrtr, n_dlrr;
	uint32_t sr_ssrc, sr_rtp, sr_packets, sr_bytes, from, media, bye[31], keys[8], rrtr_from, dlrr[3];
	uint64_t sr_ntp, remb, rrtr_ntp;
	struct mu_rtcp_report reports[31];
	uint16_t nacks[4096];
	size_t twcc_len;
	char cname[256];
};

static inline void on_sr(
	void *arg, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes)
{
	struct collected *c = arg;

	c->n_sr++;
	c->sr_ssrc = ssrc;
	c->sr_ntp = ntp;
	c->sr_rtp = rtp;
	c->sr_packets = packets;
	c->sr_bytes = bytes;
}
static inline void on_report(void *arg, uint32_t from, const struct mu_rtcp_report *r)
{
	struct collected *c = arg;

	c->from = from;
	c->reports[c->n_report++ % 31] = *r;
}
static inline void on_nack(void *arg, uint32_t media, uint16_t seq)
{
	struct collected *c = arg;

	assert_true(c->n_nack < 4096);
	c->media = media;
	c->nacks[c->n_nack++] = seq;
}
static inline void on_key(void *arg, uint32_t media)
{
	struct collected *c = arg;

	c->keys[c->n_key++ % 8] = media;
}
static inline void on_remb(void *arg, uint64_t bps)
{
	struct collected *c = arg;

	c->n_remb++;
	c->remb = bps;
}
static inline void on_twcc(void *arg, const uint8_t *fci, size_t len)
{
	struct collected *c = arg;

	(void)fci;
	c->n_twcc++;
	c->twcc_len = len;
}
static inline void on_bye(void *arg, uint32_t ssrc)
{
	struct collected *c = arg;

	c->bye[c->n_bye++ % 31] = ssrc;
}
static inline void on_cname(void *arg, uint32_t ssrc, const char *cname, size_t len)
{
	struct collected *c = arg;

	(void)ssrc;
	c->n_cname++;
	memcpy(c->cname, cname, len);
	c->cname[len] = '\0';
}
static inline void on_rrtr(void *arg, uint32_t from, uint64_t ntp)
{
	struct collected *c = arg;

	c->n_rrtr++;
	c->rrtr_from = from;
	c->rrtr_ntp = ntp;
}
static inline void on_dlrr(void *arg, uint32_t ssrc, uint32_t last_rr, uint32_t delay)
{
	struct collected *c = arg;

	c->n_dlrr++;
	c->dlrr[0] = ssrc;
	c->dlrr[1] = last_rr;
	c->dlrr[2] = delay;
}
static const struct mu_rtcp_handler collecting = {
	.sr = on_sr,
	.report = on_report,
	.nack = on_nack,
	.key_request = on_key,
	.remb = on_remb,
	.twcc = on_twcc,
	.bye = on_bye,
	.cname = on_cname,
	.rrtr = on_rrtr,
	.dlrr = on_dlrr,
};

/* Parse a copy that ends where the data ends. */
static inline int collect(const void *data, size_t len, struct collected *c)
{
	static const struct mu_rtcp_handler deaf;
	uint8_t *p = exact(data, len);
	int err;

	memset(c, 0, sizeof(*c));
	err = mu_rtcp_parse(p, len, &collecting, c);
	assert_int_equal(mu_rtcp_parse(p, len, &deaf, NULL), err);
	free(p);
	return err;
}

#endif
