#include "check.h"

static uint64_t take(struct mu_rtp_rx *rx, uint16_t seq)
{
	return mu_rtp_rx_packet(rx, seq, 0, 100, false, 0);
}

static struct mu_rtp_rx started(uint16_t seq)
{
	struct mu_rtp_rx rx = { 0 };

	mu_rtp_rx_init(&rx, 90000);
	assert_int_equal(take(&rx, seq), 65536u + seq);
	return rx;
}

static void test_numbers_across_wraps(void **state)
{
	struct mu_rtp_rx rx = started(65000);

	(void)state;
	for (uint64_t n = 65536 + 65001; n < 65536 * 4; n++)
		assert_int_equal(take(&rx, (uint16_t)n), n);
	assert_int_equal(mu_rtp_rx_lost(&rx), 0);
	assert_int_equal(rx.highest, 65536 * 4 - 1);
	assert_int_equal(rx.bytes, rx.packets * 100);
	assert_int_equal(rx.duplicates + rx.reordered, 0);
}

static void test_reordering_before_the_first(void **state)
{
	struct mu_rtp_rx rx = started(0);

	(void)state;
	assert_int_equal(take(&rx, 65535), 65535);
	assert_int_equal(take(&rx, 65000), 65000);
	assert_int_equal(take(&rx, 1), 65537);
	assert_int_equal(rx.reordered, 2);
	assert_int_equal(mu_rtp_rx_lost(&rx), 0);
}

static void test_loss_reordering_duplicates(void **state)
{
	struct mu_rtp_rx rx = started(65534);

	(void)state;
	take(&rx, 65535);
	take(&rx, 2);
	assert_int_equal(mu_rtp_rx_lost(&rx), 2);
	take(&rx, 1);
	assert_int_equal(rx.reordered, 1);
	assert_int_equal(mu_rtp_rx_packet(&rx, 0, 0, 10, true, 0), 131072); /* by repair: not reordered */
	assert_int_equal(rx.reordered, 1);
	assert_int_equal(mu_rtp_rx_lost(&rx), 0);
	assert_int_equal(rx.duplicates, 0);
	take(&rx, 1);
	take(&rx, 2);
	assert_int_equal(rx.duplicates, 2);
	/* A full turn of the window later its bits are fresh. */
	for (unsigned s = 3; s < 3 + 2 * MU_RTP_RX_SEEN; s++)
		take(&rx, (uint16_t)s);
	assert_int_equal(rx.duplicates, 2);
}

static void test_gap_forgets_old_bits(void **state)
{
	struct mu_rtp_rx rx = started(10);

	(void)state;
	take(&rx, 10 + 2000);
	take(&rx, 10 + 2000 - 976); /* in the slot of 10 */
	assert_int_equal(rx.duplicates, 0);
	assert_int_equal(mu_rtp_rx_lost(&rx), 2001 - 3);
}

static void test_restart_goes_on_upwards(void **state)
{
	struct mu_rtp_rx rx = started(30000);
	uint64_t a, b;

	(void)state;
	take(&rx, 30001);
	assert_int_equal(take(&rx, 100), 0); /* one stray is not a restart */
	assert_int_equal(take(&rx, 30002), 65536 + 30002);
	assert_int_equal(rx.highest, 65536 + 30002);
	assert_int_equal(rx.packets, 3);
	a = take(&rx, 5000);
	b = take(&rx, 5001);
	assert_int_equal((uint16_t)b, 5001);
	assert_true(b > 65536 + 30002);
	assert_int_equal(a, 0); /* that one was not proven yet */
	assert_int_equal(take(&rx, 5002), b + 1);
	assert_int_equal(mu_rtp_rx_lost(&rx), 0);
}

static void test_outage_longer_than_dropout(void **state)
{
	struct mu_rtp_rx rx = started(1);

	(void)state;
	assert_int_equal(take(&rx, 10001), 0);
	assert_int_equal(rx.highest, 65537);
	assert_int_equal(take(&rx, 10002), 65536 + 10002);
	assert_int_equal(rx.highest, 65536 + 10002);
	assert_int_equal(mu_rtp_rx_lost(&rx), 0);
}

/* One stray, however far, and a repair with a number out of nowhere leave no trace: nobody behind us may see
 * a number that the stream does not have. */
static void test_strays_leave_no_trace(void **state)
{
	static const uint16_t far[] = { 100 + 3000, 100 + 32767, 100 - 1024, 100 - 32768 };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(far); i++) {
		struct mu_rtp_rx rx = started(100), before = rx;

		assert_int_equal(take(&rx, far[i]), 0);
		assert_int_equal(mu_rtp_rx_packet(&rx, far[i], 0, 100, true, 0), 0);
		rx.odd = before.odd;
		rx.odd_next = before.odd_next;
		assert_memory_equal(&rx, &before, sizeof(rx));
		assert_int_equal(take(&rx, 101), 65536 + 101);
	}
}

static void test_what_repairs(void **state)
{
	struct mu_rtp_rx rx = { 0 };

	(void)state;
	mu_rtp_rx_init(&rx, 90000);
	assert_int_equal(mu_rtp_rx_packet(&rx, 5, 0, 1, true, 0), 0); /* nothing began */
	rx = started(30000);
	assert_int_equal(mu_rtp_rx_packet(&rx, 29999, 0, 1, true, 0), 0); /* before the first */
	take(&rx, 30003);
	assert_int_equal(mu_rtp_rx_packet(&rx, 30001, 0, 1, true, 0), 65536 + 30001);
	assert_int_equal(mu_rtp_rx_packet(&rx, 30001, 0, 1, true, 0), 0); /* is there */
	assert_int_equal(mu_rtp_rx_packet(&rx, 30003, 0, 1, true, 0), 0);
	assert_int_equal(mu_rtp_rx_packet(&rx, 30005, 0, 1, true, 0), 65536 + 30005); /* a lost tail */
	assert_int_equal(mu_rtp_rx_packet(&rx, 30005 + 129, 0, 1, true, 0), 0);
	assert_int_equal(rx.packets, 4);
	assert_int_equal(rx.repaired, 2);
	assert_int_equal(rx.duplicates, 0);
	assert_int_equal(mu_rtp_rx_lost(&rx), 2);
	take(&rx, 30001); /* the original, late: it hides no loss of another */
	assert_int_equal(rx.duplicates, 1);
	assert_int_equal(mu_rtp_rx_lost(&rx), 2);
	for (unsigned i = 0; i < MU_RTP_RX_SEEN; i++)
		take(&rx, (uint16_t)(30006 + i));
	assert_int_equal(mu_rtp_rx_packet(&rx, 30002, 0, 1, true, 0), 0); /* too late for anyone */
}

/* By hand, RFC 3550, A.8, at 8000 Hz: transit steps of 0, +80, -160 and 0 clock units.
 * 16*J: 0; 80 - (0+8>>4) = 80; 80 + 160 - (88>>4) = 235; 235 + 0 - (243>>4) = 220. J = 13 units = 1625 us. */
static void test_jitter_by_hand(void **state)
{
	static const struct {
		int64_t us;
		uint64_t q4;
	} rows[] = { { 0, 0 }, { 20000, 0 }, { 50000, 80 }, { 50000, 235 }, { 70000, 220 } };
	struct mu_rtp_rx rx;

	(void)state;
	mu_rtp_rx_init(&rx, 8000);
	for (uint16_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		mu_rtp_rx_packet(&rx, i, 0xffffff80u + 160u * i, 160, false, 1000000000000 + rows[i].us);
		assert_int_equal(rx.jitter_q4, rows[i].q4);
	}
	assert_int_equal(mu_rtp_rx_jitter_us(&rx), 1625);
	/* Neither a repair nor a new time base is jitter. */
	mu_rtp_rx_packet(&rx, 5, 0, 160, true, 1000009000000);
	mu_rtp_rx_packet(&rx, 6, 0x80000000, 160, false, 1000000090000);
	assert_int_equal(rx.jitter_q4, 220);
	mu_rtp_rx_packet(&rx, 7, 0x80000000 + 160, 160, false, 1000000110000);
	assert_int_equal(rx.jitter_q4, 220 - (228 >> 4));
}

/* The same 20 ms steps, told at another rate from the third packet on. */
static void test_jitter_begins_anew_with_the_clock(void **state)
{
	struct mu_rtp_rx rx;

	(void)state;
	mu_rtp_rx_init(&rx, 48000);
	mu_rtp_rx_packet(&rx, 1, 0, 160, false, 0);
	mu_rtp_rx_packet(&rx, 2, 960, 160, false, 30000);
	assert_int_equal(rx.jitter_q4, 480);
	mu_rtp_rx_set_clock(&rx, 48000);
	assert_int_equal(rx.jitter_q4, 480);
	mu_rtp_rx_set_clock(&rx, 8000);
	mu_rtp_rx_packet(&rx, 3, 7000, 160, false, 50000);
	mu_rtp_rx_packet(&rx, 4, 7160, 160, false, 80000);
	assert_int_equal(rx.jitter_q4, 80);
	assert_int_equal(mu_rtp_rx_jitter_us(&rx), 625);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_across_wraps),
		cmocka_unit_test(test_reordering_before_the_first),
		cmocka_unit_test(test_loss_reordering_duplicates),
		cmocka_unit_test(test_gap_forgets_old_bits),
		cmocka_unit_test(test_restart_goes_on_upwards),
		cmocka_unit_test(test_outage_longer_than_dropout),
		cmocka_unit_test(test_strays_leave_no_trace),
		cmocka_unit_test(test_what_repairs),
		cmocka_unit_test(test_jitter_by_hand),
		cmocka_unit_test(test_jitter_begins_anew_with_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
