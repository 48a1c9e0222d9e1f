#include "collect.h"

static struct collected got;

static void test_compound_comes_back(void **state)
{
	const struct mu_rtcp_report r[2] = { { 2, 255, -8388608, 0x1ffff, 3, 4, 5 },
		{ 6, 0, 8388607, 7, 8, 9, 10 } };
	const uint32_t ssrcs[2] = { 1, 9 };
	uint8_t buf[400];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	(void)state;
	assert_int_equal(mu_rtcp_add_sr(&w, 1, 0x1122334455667788ull, 2, 3, 4, r, 2), 0);
	assert_int_equal(mu_rtcp_add_rr(&w, 1, r, 1), 0);
	assert_int_equal(mu_rtcp_add_sdes(&w, 1, "muster"), 0);
	assert_int_equal(mu_rtcp_add_pli(&w, 1, 77), 0);
	assert_int_equal(mu_rtcp_add_fir(&w, 1, 78, 3), 0);
	assert_int_equal(mu_rtcp_add_rrtr(&w, 1, 0x99aabbccddeeff00ull), 0);
	assert_int_equal(mu_rtcp_add_dlrr(&w, 1, 50, 51, 52), 0);
	assert_int_equal(mu_rtcp_add_bye(&w, ssrcs, 2, "done"), 0);
	assert_int_equal(w.len % 4, 0);
	assert_int_equal(collect(buf, w.len, &got), 0);
	assert_int_equal(got.n_sr, 1);
	assert_int_equal(got.sr_ntp, 0x1122334455667788ull);
	assert_int_equal(got.sr_rtp, 2);
	assert_int_equal(got.sr_packets, 3);
	assert_int_equal(got.sr_bytes, 4);
	assert_int_equal(got.n_report, 3);
	for (int i = 0; i < 3; i++) { /* field by field: between them the compiler leaves gaps */
		const struct mu_rtcp_report *a = &got.reports[i], *b = &r[i % 2];

		assert_int_equal(a->ssrc, b->ssrc);
		assert_int_equal(a->fraction_lost, b->fraction_lost);
		assert_int_equal(a->lost, b->lost);
		assert_int_equal(a->highest, b->highest);
		assert_int_equal(a->jitter, b->jitter);
		assert_int_equal(a->lsr, b->lsr);
		assert_int_equal(a->dlsr, b->dlsr);
	}
	assert_string_equal(got.cname, "muster");
	assert_int_equal(got.n_key, 2);
	assert_int_equal(got.keys[0], 77);
	assert_int_equal(got.keys[1], 78);
	assert_int_equal(got.n_bye, 2);
	assert_int_equal(got.bye[1], 9);
	assert_true(got.rrtr_ntp == 0x99aabbccddeeff00ull);
	assert_int_equal(got.dlrr[0], 50);
	assert_int_equal(got.dlrr[1], 51);
	assert_int_equal(got.dlrr[2], 52);
}

static void test_cname_of_any_length(void **state)
{
	char cname[257] = { 0 };
	uint8_t buf[600];

	(void)state;
	for (size_t n = 0; n < 256; n++) {
		struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

		assert_int_equal(mu_rtcp_add_sdes(&w, 1, cname), 0);
		assert_int_equal(mu_rtcp_add_bye(&w, NULL, 0, cname), 0);
		assert_int_equal(collect(buf, w.len, &got), 0);
		assert_string_equal(got.cname, cname);
		cname[n] = 'c';
	}
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	assert_int_equal(mu_rtcp_add_sdes(&w, 1, cname), -EINVAL);
	assert_int_equal(w.len, 0);
}

static void test_nacks_are_packed(void **state)
{
	static const uint16_t seqs[] = { 65530, 65531, 65535, 0, 10, 11, 27, 28, 1000 };
	uint8_t buf[100];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	(void)state;
	assert_int_equal(mu_rtcp_add_nack(&w, 1, 2, seqs, MU_ARRAY_LEN(seqs)), 0);
	/* 65530+16 = 10; 11+16 = 27; 28; 1000 */
	assert_int_equal(w.len, 12 + 4 * 4);
	assert_int_equal(collect(buf, w.len, &got), 0);
	assert_int_equal(got.n_nack, MU_ARRAY_LEN(seqs));
	assert_memory_equal(got.nacks, seqs, sizeof(seqs));
	w.len = 0;
	assert_int_equal(mu_rtcp_add_nack(&w, 1, 2, seqs, 0), 0);
	assert_int_equal(w.len, 0);
}

static void test_remb_rounds_down(void **state)
{
	static const struct {
		uint64_t bps, back;
	} rows[] = { { 0, 0 }, { 262143, 262143 }, { 262144, 262144 }, { 262145, 262144 },
		{ 5000001, 5000000 - 5000000 % 32 }, { UINT64_MAX, 0x3ffffull << 46 } };
	const uint32_t ssrcs[] = { 5, 6 };
	uint8_t buf[100];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

		assert_int_equal(mu_rtcp_add_remb(&w, 1, ssrcs, 2, rows[i].bps), 0);
		assert_int_equal(collect(buf, w.len, &got), 0);
		assert_true(got.remb == rows[i].back);
	}
}

static void test_no_room_writes_nothing(void **state)
{
	static const struct mu_rtcp_report r[32];
	static const uint16_t seqs[] = { 1, 100, 200 };
	static const uint32_t ssrcs[32] = { 1 };

	(void)state;
	for (size_t size = 0; size < 28; size++) {
		uint8_t *buf = exact("                            ", size);
		struct mu_rtcp_writer w = { buf, size, 0 };

		assert_int_equal(mu_rtcp_add_sr(&w, 1, 2, 3, 4, 5, r, 0), -ENOSPC);
		assert_int_equal(mu_rtcp_add_rr(&w, 1, r, 1), -ENOSPC);
		assert_int_equal(mu_rtcp_add_sdes(&w, 1, "long enough, this one"), -ENOSPC);
		assert_int_equal(mu_rtcp_add_bye(&w, ssrcs, 7, NULL), -ENOSPC);
		if (size < 24)
			assert_int_equal(mu_rtcp_add_nack(&w, 1, 2, seqs, 3), -ENOSPC);
		if (size < 12)
			assert_int_equal(mu_rtcp_add_pli(&w, 1, 2), -ENOSPC);
		if (size < 20)
			assert_int_equal(mu_rtcp_add_fir(&w, 1, 2, 3), -ENOSPC);
		if (size < 24)
			assert_int_equal(mu_rtcp_add_remb(&w, 1, ssrcs, 1, 3), -ENOSPC);
		assert_int_equal(w.len, 0);
		assert_int_equal(mu_rtcp_add_rr(&w, 1, r, 32), -EINVAL);
		assert_int_equal(mu_rtcp_add_bye(&w, ssrcs, 32, NULL), -EINVAL);
		free(buf);
	}
}

/* RFC 3550, A.3: 8 expected and 6 come, 25 % of 256 lost; then 4 of 4 and a duplicate. */
static void test_report_from_receive_state(void **state)
{
	static const uint16_t first[] = { 65533, 65534, 65535, 1, 3, 4 }, second[] = { 5, 6, 7, 7, 8 };
	const struct mu_rtp_clock clock = { true, 0, 0x1111222233334444ull, 1000000 };
	struct mu_rtcp_report r;
	struct mu_rtp_rx rx = { 0 };

	(void)state;
	mu_rtp_rx_init(&rx, 90000);
	mu_rtcp_report_fill(&rx, 5, NULL, 0, &r);
	assert_int_equal(r.highest + r.fraction_lost + (uint32_t)r.lost + r.lsr + r.dlsr, 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(first); i++)
		mu_rtp_rx_packet(&rx, first[i], 0, 1, false, 0);
	mu_rtcp_report_fill(&rx, 5, &clock, 3500000, &r);
	assert_int_equal(r.ssrc, 5);
	assert_int_equal(r.fraction_lost, 64);
	assert_int_equal(rx.fraction_lost, 64);
	assert_int_equal(r.lost, 2);
	assert_int_equal(r.highest, 0x10004);
	assert_int_equal(r.lsr, 0x22223333);
	assert_int_equal(r.dlsr, 0x28000); /* 2.5 s */
	for (size_t i = 0; i < MU_ARRAY_LEN(second); i++)
		mu_rtp_rx_packet(&rx, second[i], 0, 1, false, 0);
	mu_rtcp_report_fill(&rx, 5, NULL, 0, &r);
	assert_int_equal(r.fraction_lost, 0);
	assert_int_equal(r.lost, 1);
	assert_int_equal(r.lsr, 0);
}

/* The sender must hear of what the network lost, repaired or not; and a restart is nobody's loss. */
static void test_repair_hides_no_loss(void **state)
{
	struct mu_rtcp_report r;
	struct mu_rtp_rx rx = { 0 };

	(void)state;
	mu_rtp_rx_init(&rx, 90000);
	for (uint16_t i = 0; i < 8; i++) {
		if (i != 3 && i != 5)
			mu_rtp_rx_packet(&rx, i, 0, 1, false, 0);
	}
	mu_rtp_rx_packet(&rx, 3, 0, 1, true, 0);
	mu_rtp_rx_packet(&rx, 5, 0, 1, true, 0);
	mu_rtcp_report_fill(&rx, 5, NULL, 0, &r);
	assert_int_equal(r.fraction_lost, 64);
	assert_int_equal(r.lost, 2);
	assert_int_equal(mu_rtp_rx_lost(&rx), 0); /* those behind us have all */
	for (uint16_t i = 10000; i < 10003; i++)
		mu_rtp_rx_packet(&rx, i, 0, 1, false, 0);
	mu_rtcp_report_fill(&rx, 5, NULL, 0, &r);
	assert_int_equal(r.fraction_lost, 0);
	assert_int_equal(r.lost, 2);
	assert_int_equal(r.highest, 10002);
}

static void test_all_lost_in_an_interval(void **state)
{
	struct mu_rtcp_report r;
	struct mu_rtp_rx rx = { 0 };

	(void)state;
	mu_rtp_rx_init(&rx, 90000);
	mu_rtp_rx_packet(&rx, 0, 0, 1, false, 0);
	mu_rtcp_report_fill(&rx, 5, NULL, 0, &r);
	mu_rtp_rx_packet(&rx, 2000, 0, 1, false, 0);
	mu_rtcp_report_fill(&rx, 5, NULL, 0, &r);
	assert_int_equal(r.fraction_lost, 255); /* 255.87 of 256 */
	assert_int_equal(r.lost, 1999);
}

/* RFC 3550, figure 2: A = 0xb710:8000, LSR 0xb705:2000, DLSR 0x0005:4000: 6.125 s */
static void test_round_trip_of_the_rfc(void **state)
{
	struct mu_rtcp_report r = { .lsr = 0xb7052000, .dlsr = 0x00054000 };

	(void)state;
	assert_int_equal(mu_rtcp_rtt_us(&r, 0xb44db7108000ull << 16), 6125000);
	r.dlsr = 0x000b6000 + 60; /* a millisecond negative is rounding */
	assert_int_equal(mu_rtcp_rtt_us(&r, 0xb44db7108000ull << 16), 0);
	r.dlsr = 0x00100000;
	assert_int_equal(mu_rtcp_rtt_us(&r, 0xb44db7108000ull << 16), -1);
	r.lsr = 0;
	assert_int_equal(mu_rtcp_rtt_us(&r, 0xb44db7108000ull << 16), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compound_comes_back),
		cmocka_unit_test(test_cname_of_any_length),
		cmocka_unit_test(test_nacks_are_packed),
		cmocka_unit_test(test_remb_rounds_down),
		cmocka_unit_test(test_no_room_writes_nothing),
		cmocka_unit_test(test_report_from_receive_state),
		cmocka_unit_test(test_repair_hides_no_loss),
		cmocka_unit_test(test_all_lost_in_an_interval),
		cmocka_unit_test(test_round_trip_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
