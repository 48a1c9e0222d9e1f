/* What a viewer asks for again: how often it gets it, how much, and how it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rig.h"

struct show {
	struct rig r;
	struct viewer v;
	uint16_t first; /* wire number of track packet 1 */
};

/* A viewer that was sent n packets of len bytes. */
static void sent(struct show *x, enum mu_srtp_profile profile, bool rtx, unsigned n, size_t len)
{
	struct mu_rtp_header h = { 0 };
	uint8_t pkt[2000];
	size_t got;

	rig_up(&x->r, MU_VIDEO);
	viewer_up(&x->v, &x->r, profile, rtx);
	for (unsigned i = 1; i <= n; i++) {
		rig_push(&x->r, i, len, i == 1);
		if (i % 16 && i < n)
			continue;
		rig_turn(&x->r);
		while (viewer_take(&x->v, &h, pkt, &got))
			x->first = i <= 16 && mu_get64(pkt + h.hlen + 2) == 1 ? h.seq : x->first;
	}
}

static void done(struct show *x)
{
	viewer_down(&x->v, &x->r);
	rig_down(&x->r);
}

static unsigned taken(struct show *x)
{
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;
	unsigned n = 0;

	while (viewer_take(&x->v, &h, pkt, &len))
		n++;
	return n;
}

static unsigned asked(struct show *x, unsigned from, unsigned n, int64_t now_us)
{
	uint16_t seqs[256];

	for (unsigned i = 0; i < n; i++)
		seqs[i] = (uint16_t)(x->first + from - 1 + i);
	viewer_nack(&x->v, seqs, n, now_us);
	return taken(x);
}

/* Asked for each 20 ms at a round trip of 200 ms: until it can have arrived it is not sent again. */
static void test_asked_more_often_than_it_can_arrive(void **state)
{
	struct show x;
	int64_t now = mu_clock_us();
	unsigned n = 0;

	(void)state;
	sent(&x, MU_SRTP_AEAD_AES_128_GCM, true, 3, 600);
	assert_int_equal(asked(&x, 2, 1, now), 1); /* no round trip known yet */
	assert_int_equal(asked(&x, 2, 1, now + 20000), 0);
	assert_int_equal(asked(&x, 3, 1, now + 20000), 1); /* another one is another matter */
	assert_int_equal(asked(&x, 2, 1, now + 40000), 1);
	viewer_out(&x.v)->rtt_us = 200000;
	now += 1000000;
	for (unsigned i = 0; i < 10; i++)
		n += asked(&x, 2, 1, now + 20000 * i);
	assert_int_equal(n, 2);
	viewer_out(&x.v)->rtt_us = 500; /* next door */
	now += 1000000;
	assert_int_equal(asked(&x, 2, 1, now), 1);
	assert_int_equal(asked(&x, 2, 1, now + 9000), 0);
	assert_int_equal(asked(&x, 2, 1, now + 10000), 1);
	done(&x);
}

/* All that one RTCP packet asks for leaves in one message. */
static void leaves_together(enum mu_srtp_profile profile, bool rtx)
{
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	uint64_t messages, datagrams;
	uint16_t seqs[12];
	struct show x;
	size_t len;

	sent(&x, profile, rtx, 20, 640);
	mu_srtp_rx_free(x.v.rx); /* or its window would call what comes as it was a replay */
	assert_int_equal(mu_srtp_rx_new(x.v.in, &x.v.rx), 0);
	for (unsigned i = 0; i < 12; i++)
		seqs[i] = (uint16_t)(x.first + 4 + i);
	messages = mu_worker_stats(x.r.worker)->tx_messages;
	datagrams = mu_worker_stats(x.r.worker)->tx_datagrams;
	viewer_nack(&x.v, seqs, 12, mu_clock_us());
	assert_int_equal(mu_worker_stats(x.r.worker)->tx_messages - messages, 1);
	assert_int_equal(mu_worker_stats(x.r.worker)->tx_datagrams - datagrams, 12);
	for (unsigned i = 0; i < 12; i++) {
		assert_true(viewer_take(&x.v, &h, pkt, &len));
		assert_int_equal(h.ssrc, rtx ? RIG_RTX_SSRC : RIG_SSRC);
		assert_int_equal(h.pt, rtx ? RIG_RTX_PT : RIG_PT);
		assert_int_equal(rtx ? mu_get16(pkt + h.hlen) : h.seq, seqs[i]);
		assert_int_equal(mu_get64(pkt + h.hlen + 2 + (rtx ? 2 : 0)), 5 + i);
		assert_int_equal(len, 640 + (rtx ? 2 : 0));
	}
	assert_int_equal(viewer_out(&x.v)->retransmitted, 12);
	done(&x);
}

static void test_leaves_together(void **state)
{
	(void)state;
	leaves_together(MU_SRTP_AEAD_AES_128_GCM, true);
	leaves_together(MU_SRTP_AES128_CM_SHA1_80, true);
	leaves_together(MU_SRTP_AEAD_AES_256_GCM, false);
	leaves_together(MU_SRTP_AES128_CM_SHA1_80, false);
}

/* RELIABILITY S13. A long quiet time saves up no more than a second's worth. */
static void test_no_more_than_was_sent(void **state)
{
	int64_t now = mu_clock_us();
	unsigned n = 0;
	struct show x;

	(void)state;
	sent(&x, MU_SRTP_AEAD_AES_128_GCM, true, 1000, 1300);
	for (unsigned i = 0; i < 20; i++, now += 1000000)
		n += asked(&x, 801, 200, now);
	assert_in_range(n * 1300, 250000, 250000 + 60000 + 2 * 1300);
	done(&x);
	sent(&x, MU_SRTP_AEAD_AES_128_GCM, true, 10, 1300); /* and little was sent */
	n = 0;
	for (unsigned i = 0; i < 20; i++, now += 1000000)
		n += asked(&x, 1, 10, now);
	assert_in_range(n * 1300, 60000, 13000 + 60000 + 2 * 1300);
	done(&x);
}

/* RTX adds two bytes: what just fitted does not any more. */
static void test_too_large_for_rtx(void **state)
{
	struct show x;

	(void)state;
	sent(&x, MU_SRTP_AEAD_AES_128_GCM, true, 2, MU_DATAGRAM_MAX - 16);
	assert_int_equal(asked(&x, 2, 1, mu_clock_us()), 0);
	assert_int_equal(plane_of(x.r.worker)->stats.too_large, 1);
	done(&x);
}

static void test_only_what_was_sent(void **state)
{
	struct show x;

	(void)state;
	sent(&x, MU_SRTP_AEAD_AES_128_GCM, true, 3, 600);
	assert_int_equal(asked(&x, 4, 1, mu_clock_us()), 0);
	assert_int_equal(asked(&x, 0, 1, mu_clock_us()), 0);
	assert_int_equal(asked(&x, 40000, 1, mu_clock_us()), 0);
	assert_int_equal(asked(&x, 1, 3, mu_clock_us()), 3);
	done(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked_more_often_than_it_can_arrive),
		cmocka_unit_test(test_leaves_together),
		cmocka_unit_test(test_no_more_than_was_sent),
		cmocka_unit_test(test_too_large_for_rtx),
		cmocka_unit_test(test_only_what_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
