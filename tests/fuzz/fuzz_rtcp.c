/* One RTCP datagram: every callback reads all it is given, and work stays in proportion. */
#include <stdlib.h>

#include "rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t nacks, calls;
	uint32_t sum;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void touch(struct seen *s, const void *data, size_t len)
{
	s->calls++;
	for (size_t i = 0; i < len; i++)
		s->sum += ((const uint8_t *)data)[i];
}

static void on_sr(void *arg, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes)
{
	(void)ntp;
	((struct seen *)arg)->sum += ssrc + rtp + packets + bytes;
	((struct seen *)arg)->calls++;
}

static void on_report(void *arg, uint32_t from, const struct mu_rtcp_report *r)
{
	(void)from;
	check(r->lost >= -0x800000 && r->lost <= 0x7fffff);
	check(mu_rtcp_rtt_us(r, 0x123456789abcdef0ull) >= -1);
	touch(arg, r, sizeof(*r));
}

static void on_nack(void *arg, uint32_t media, uint16_t seq)
{
	(void)media;
	(void)seq;
	((struct seen *)arg)->nacks++;
}

static void on_ssrc(void *arg, uint32_t ssrc)
{
	touch(arg, &ssrc, sizeof(ssrc));
}

static void on_remb(void *arg, uint64_t bps)
{
	touch(arg, &bps, sizeof(bps));
}

static void on_twcc(void *arg, const uint8_t *fci, size_t len)
{
	check(len >= 8);
	touch(arg, fci, len);
}

static void on_cname(void *arg, uint32_t ssrc, const char *cname, size_t len)
{
	(void)ssrc;
	check(len <= 255);
	touch(arg, cname, len);
}

static void on_fir(void *arg, uint32_t from, uint32_t media, uint8_t number)
{
	((struct seen *)arg)->sum += from + media + number;
	((struct seen *)arg)->calls++;
}

static void on_rrtr(void *arg, uint32_t from, uint64_t ntp)
{
	(void)from;
	touch(arg, &ntp, sizeof(ntp));
}

static void on_dlrr(void *arg, uint32_t ssrc, uint32_t last_rr, uint32_t delay)
{
	((struct seen *)arg)->sum += ssrc + last_rr + delay;
	((struct seen *)arg)->calls++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mu_rtcp_handler all = {
		.sr = on_sr,
		.report = on_report,
		.nack = on_nack,
		.key_request = on_ssrc,
		.fir = on_fir,
		.remb = on_remb,
		.twcc = on_twcc,
		.bye = on_ssrc,
		.cname = on_cname,
		.rrtr = on_rrtr,
		.dlrr = on_dlrr,
	};
	static const struct mu_rtcp_handler none;
	struct seen s = { 0 };

	check(mu_rtcp_parse(data, size, &all, &s) == mu_rtcp_parse(data, size, &none, NULL));
	check(s.nacks <= 4096 && s.calls <= size);
	return 0;
}
