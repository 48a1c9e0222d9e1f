#include "check.h"

/* Send n packets a millisecond apart; let those whose bit in `came` is set arrive 30 ms later. */
static size_t exchange(
	struct mu_history *h, struct mu_twcc_rx *rx, unsigned n, uint64_t came, struct mu_fate *ret)
{
	uint8_t buf[1200];
	size_t len, told = 0;

	for (unsigned i = 0; i < n; i++) {
		uint16_t seq = mu_history_sent(h, 1000 + i, 0, 1000000 + i * 1000);

		if (came >> i & 1)
			mu_twcc_rx_packet(rx, seq, 500000000 + 30000 + i * 1000);
	}
	while ((len = mu_twcc_rx_report(rx, 1, 2, buf, sizeof(buf))) > 0) {
		int got = mu_history_feedback(h, buf + FCI_AT, len - FCI_AT, ret + told, 64 - told);

		assert_true(got >= 0);
		told += (size_t)got;
	}
	return told;
}

static void test_arrivals_and_losses(void **state)
{
	struct mu_history *h;
	struct mu_twcc_rx *rx;
	struct mu_fate f[64];
	size_t n;

	(void)state;
	assert_int_equal(mu_history_new(&h), 0);
	assert_int_equal(mu_twcc_rx_new(&rx), 0);
	n = exchange(h, rx, 10, 0x3f7, f); /* all but number 3 */
	assert_int_equal(n, 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(f[i].sent_us, 1000000 + i * 1000);
		assert_int_equal(f[i].size, 1000 + i);
		assert_int_equal(f[i].lost, i == 3);
	}
	assert_int_equal(f[9].arrived_us - f[0].arrived_us, 9000);
	mu_twcc_rx_free(rx);
	mu_history_free(h);
}

static void test_a_late_arrival_is_told_after_its_loss(void **state)
{
	struct mu_history *h;
	struct mu_twcc_rx *rx;
	struct mu_fate f[64];
	uint8_t buf[1200];
	size_t len;
	uint16_t seq[3];

	(void)state;
	mu_history_new(&h);
	mu_twcc_rx_new(&rx);
	for (unsigned i = 0; i < 3; i++)
		seq[i] = mu_history_sent(h, 100, 0, i * 1000);
	mu_twcc_rx_packet(rx, seq[0], 1000);
	mu_twcc_rx_packet(rx, seq[2], 3000);
	len = mu_twcc_rx_report(rx, 1, 2, buf, sizeof(buf));
	assert_int_equal(mu_history_feedback(h, buf + FCI_AT, len - FCI_AT, f, 64), 3);
	assert_true(f[1].lost);
	mu_twcc_rx_packet(rx, seq[1], 5000);
	len = mu_twcc_rx_report(rx, 1, 2, buf, sizeof(buf));
	assert_int_equal(mu_history_feedback(h, buf + FCI_AT, len - FCI_AT, f, 64), 1);
	assert_false(f[0].lost);
	assert_int_equal(f[0].sent_us, 1000);
	/* and never twice */
	assert_int_equal(mu_history_feedback(h, buf + FCI_AT, len - FCI_AT, f, 64), 0);
	mu_twcc_rx_free(rx);
	mu_history_free(h);
}

static void test_reference_time_wraps(void **state)
{
	/* base 0.., one packet received, reference 0xffffff then 1: 128 ms apart */
	uint8_t fci[12] = { 0, 0, 0, 1, 0xff, 0xff, 0xff, 0, 0x20, 1, 0, 0 };
	struct mu_history *h;
	struct mu_fate a, b;
	uint16_t seq;

	(void)state;
	mu_history_new(&h);
	seq = mu_history_sent(h, 100, 0, 0);
	mu_put16(fci, seq);
	assert_int_equal(mu_history_feedback(h, fci, 11, &a, 1), 1);
	seq = mu_history_sent(h, 100, 0, 0);
	mu_put16(fci, seq);
	fci[4] = fci[5] = 0;
	fci[6] = 1;
	assert_int_equal(mu_history_feedback(h, fci, 11, &b, 1), 1);
	assert_int_equal(b.arrived_us - a.arrived_us, 128000);
	mu_history_free(h);
}

static void test_malformed(void **state)
{
	static const struct {
		const char *what;
		uint8_t fci[16];
		size_t len;
	} table[] = {
		{ "short", { 0, 1, 0, 1, 0, 0, 1 }, 7 },
		{ "no chunk", { 0, 1, 0, 1, 0, 0, 1, 0 }, 8 },
		{ "a run of none", { 0, 1, 0, 1, 0, 0, 1, 0, 0x20, 0, 0, 0 }, 12 },
		{ "no delta", { 0, 1, 0, 1, 0, 0, 1, 0, 0x20, 1 }, 10 },
		{ "half a delta", { 0, 1, 0, 1, 0, 0, 1, 0, 0x40, 1, 7 }, 11 },
		{ "a reserved symbol", { 0, 1, 0, 1, 0, 0, 1, 0, 0x60, 1, 0, 0 }, 12 },
		{ "65535 packets, one chunk", { 0, 1, 0xff, 0xff, 0, 0, 1, 0, 0x20, 1, 0, 0 }, 12 },
	};
	struct mu_history *h;
	struct mu_fate f[4];

	(void)state;
	mu_history_new(&h);
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		if (mu_history_feedback(h, table[i].fci, table[i].len, f, 4) != -74)
			fail_msg("%s", table[i].what);
	}
	mu_history_free(h);
}

static void test_in_flight(void **state)
{
	struct mu_history *h;
	struct mu_twcc_rx *rx;
	struct mu_fate f[64];

	(void)state;
	mu_history_new(&h);
	mu_twcc_rx_new(&rx);
	exchange(h, rx, 4, 0xf, f);
	assert_int_equal(mu_history_in_flight(h, 1004000), 0);
	mu_history_sent(h, 700, 0, 1005000);
	mu_history_sent(h, 300, 0, 1006000);
	assert_int_equal(mu_history_in_flight(h, 1007000), 1000);
	assert_int_equal(mu_history_in_flight(h, 9000000), 0); /* no longer on the way */
	mu_twcc_rx_free(rx);
	mu_history_free(h);
}

static void test_numbers_wrap_and_old_ones_are_out_of_reach(void **state)
{
	struct mu_history *h;
	uint8_t fci[12] = { 0, 0, 0, 1, 0, 0, 1, 0, 0x20, 1, 4, 0 };
	struct mu_fate f;
	uint16_t first;

	(void)state;
	mu_history_new(&h);
	first = mu_history_sent(h, 100, 0, 0);
	for (unsigned i = 0; i < 70000; i++)
		mu_history_sent(h, 100, 0, i);
	mu_put16(fci, first);
	assert_int_equal(mu_history_feedback(h, fci, 11, &f, 1), 0);
	mu_put16(fci, mu_history_sent(h, 321, 7, 99));
	assert_int_equal(mu_history_feedback(h, fci, 11, &f, 1), 1);
	assert_int_equal(f.size, 321);
	assert_int_equal(f.probe, 7);
	mu_history_free(h);
}

/* A receiver's clock that leaps half its range with each message would overflow in the end. */
static void test_a_clock_that_leaps(void **state)
{
	const int64_t far = ((1ll << 40) + (1ll << 24)) * 64000;
	uint8_t fci[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0x20, 1, 0 }; /* one packet, a run of one, its delta */
	struct mu_history *h;
	struct mu_fate f;
	uint32_t ref = 0;

	(void)state;
	mu_history_new(&h);
	for (unsigned i = 0; i < 300000; i++) {
		mu_put16(fci, mu_history_sent(h, 100, 0, i));
		mu_put32(fci + 4, ref << 8);
		ref += 0x7fffff;
		assert_int_equal(mu_history_feedback(h, fci, sizeof(fci), &f, 1), 1);
		assert_true(f.arrived_us < far && f.arrived_us > -far);
	}
	mu_history_free(h);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arrivals_and_losses),
		cmocka_unit_test(test_a_late_arrival_is_told_after_its_loss),
		cmocka_unit_test(test_reference_time_wraps),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_numbers_wrap_and_old_ones_are_out_of_reach),
		cmocka_unit_test(test_a_clock_that_leaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
