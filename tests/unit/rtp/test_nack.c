#include "check.h"

#define HOLD 10000
#define RTT  50000
#define BASE (65536ull + 65530) /* wraps soon */

static struct mu_nack *nack_new(void)
{
	struct mu_nack *n = NULL;

	assert_int_equal(mu_nack_new(HOLD, &n), 0);
	return n;
}

static void test_asks_when_held_long_enough(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[8];

	(void)state;
	assert_int_equal(mu_nack_next_us(n, RTT), INT64_MAX);
	mu_nack_seen(n, BASE, 0);
	assert_int_equal(mu_nack_next_us(n, RTT), INT64_MAX);
	mu_nack_seen(n, BASE + 2, 1000);
	assert_int_equal(mu_nack_next_us(n, RTT), 1000 + HOLD);
	assert_int_equal(mu_nack_due(n, 1000 + HOLD - 1, RTT, out, 8), 0);
	assert_int_equal(mu_nack_due(n, 1000 + HOLD, RTT, out, 8), 1);
	assert_int_equal(out[0], 65531);
	/* Not again before a round trip. */
	assert_int_equal(mu_nack_next_us(n, RTT), 1000 + HOLD + RTT);
	assert_int_equal(mu_nack_due(n, 1000 + HOLD + RTT - 1, RTT, out, 8), 0);
	assert_int_equal(mu_nack_due(n, 1000 + HOLD + RTT, RTT, out, 8), 1);
	/* It comes. */
	mu_nack_seen(n, BASE + 1, 70000);
	assert_int_equal(mu_nack_next_us(n, RTT), INT64_MAX);
	assert_int_equal(mu_nack_due(n, 900000, RTT, out, 8), 0);
	mu_nack_free(n);
}

static void test_late_is_not_lost(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[8];

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + 3, 0);
	mu_nack_seen(n, BASE + 1, 100);
	mu_nack_seen(n, BASE + 2, 200);
	mu_nack_seen(n, BASE + 2, 300);
	mu_nack_seen(n, BASE - 5, 400); /* before the first: nobody waits for it */
	assert_int_equal(mu_nack_due(n, HOLD * 2, RTT, out, 8), 0);
	mu_nack_free(n);
}

static void test_ascending_across_wrap_and_max(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[20];

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + 13, 0); /* 12 missing: 65531..65535, 0..6 */
	assert_int_equal(mu_nack_due(n, HOLD, RTT, out, 5), 5);
	assert_int_equal(out[4], 65535);
	assert_int_equal(mu_nack_next_us(n, RTT), HOLD); /* the rest is due still */
	assert_int_equal(mu_nack_due(n, HOLD, RTT, out, 20), 7);
	for (int i = 0; i < 7; i++)
		assert_int_equal(out[i], i);
	mu_nack_free(n);
}

static void test_gives_up_after_tries(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[8];
	int64_t now;
	int asked = 0;

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + 2, 0);
	for (now = 0; now < 2000000 && mu_nack_next_us(n, 1000) != INT64_MAX; now = mu_nack_next_us(n, 1000))
		asked += (int)mu_nack_due(n, now, 1000, out, 8); /* 20 ms at least */
	mu_nack_due(n, now, 1000, out, 8);
	assert_int_equal(asked, MU_NACK_TRIES);
	mu_nack_free(n);
}

static void test_gives_up_after_a_second(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[8];

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + 2, 0);
	assert_int_equal(mu_nack_due(n, HOLD, 400000, out, 8), 1);
	assert_int_equal(mu_nack_due(n, HOLD + 400000, 400000, out, 8), 1);
	assert_int_equal(mu_nack_due(n, HOLD + 800000, 400000, out, 8), 1);
	assert_int_equal(mu_nack_next_us(n, 400000), 1000000);
	assert_int_equal(mu_nack_due(n, 1000000, 400000, out, 8), 0);
	assert_int_equal(mu_nack_next_us(n, 400000), INT64_MAX);
	mu_nack_seen(n, BASE + 1, 1100000); /* too late now */
	mu_nack_free(n);
}

static void test_unknown_round_trip(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[8];

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + 2, 0);
	mu_nack_due(n, HOLD, -1, out, 8);
	assert_int_equal(mu_nack_next_us(n, -1), HOLD + 100000);
	mu_nack_free(n);
}

/* The round trip is 300 ms and nobody knows: the first loss is asked for too often, and teaches to wait; the
 * second is asked for once, and measures. */
static void test_learns_the_round_trip(void **state)
{
	struct mu_nack *n = nack_new();
	struct mu_rtt rtt = { 0 };
	uint16_t out[8];
	int64_t now = 0;
	unsigned asked[2] = { 0 };

	(void)state;
	mu_nack_seen(n, BASE, 0);
	for (unsigned i = 0; i < 2; i++) {
		int64_t answer = INT64_MAX;

		mu_nack_seen(n, BASE + 2 * i + 2, now);
		for (; now < answer; now += 1000) {
			if (mu_nack_due(n, now, mu_rtt_wait_us(&rtt, 100000), out, 8) == 0)
				continue;
			asked[i]++;
			answer = MU_MIN(answer, now + 300000);
		}
		mu_nack_repaired(n, BASE + 2 * i + 1, now, &rtt);
		assert_int_equal(mu_nack_next_us(n, 0), INT64_MAX);
	}
	assert_int_equal(asked[0], 3);
	assert_int_equal(asked[1], 1);
	assert_true(rtt.known);
	assert_in_range(rtt.smoothed_us, 299000, 301000);
	mu_nack_free(n);
}

static void test_what_measures_nothing(void **state)
{
	struct mu_nack *n = nack_new();
	struct mu_rtt rtt = { 0 };
	uint16_t out[8];

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + 3, 0);
	mu_nack_repaired(n, BASE + 1, 100, &rtt); /* not asked for */
	assert_int_equal(mu_nack_due(n, HOLD, RTT, out, 8), 1);
	mu_nack_seen(n, BASE + 2, HOLD + 1); /* late, and no answer */
	mu_nack_repaired(n, BASE + 2, HOLD + RTT, &rtt);
	mu_nack_repaired(n, BASE + 4, HOLD + RTT, &rtt); /* ahead of all */
	mu_nack_repaired(n, BASE + 6, HOLD + RTT, NULL);
	assert_false(rtt.known);
	assert_int_equal(rtt.backoff_us, 0);
	assert_int_equal(mu_nack_due(n, 2 * HOLD + RTT, RTT, out, 8), 1);
	assert_int_equal(out[0], (uint16_t)(BASE + 5));
	mu_nack_free(n);
}

/* Another sender, with smaller numbers: it is asked at once, and nothing of the one before. */
static void test_reset(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[8];

	(void)state;
	mu_nack_seen(n, BASE + 60000, 0);
	mu_nack_seen(n, BASE + 60003, 0);
	mu_nack_reset(n);
	assert_int_equal(mu_nack_next_us(n, RTT), INT64_MAX);
	mu_nack_seen(n, BASE, 0);
	assert_int_equal(mu_nack_due(n, 2 * HOLD, RTT, out, 8), 0);
	mu_nack_seen(n, BASE + 2, 0);
	assert_int_equal(mu_nack_due(n, HOLD, RTT, out, 8), 1);
	assert_int_equal(out[0], (uint16_t)(BASE + 1));
	mu_nack_free(n);
}

static void test_jumps(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[2 * MU_NACK_WINDOW];

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + MU_NACK_WINDOW, 0); /* as far as the window goes */
	assert_int_equal(mu_nack_due(n, HOLD, RTT, out, MU_ARRAY_LEN(out)), MU_NACK_WINDOW - 1);
	mu_nack_seen(n, BASE + 2 * MU_NACK_WINDOW + 1, 0);
	assert_int_equal(mu_nack_next_us(n, RTT), INT64_MAX);
	mu_nack_free(n);
}

static void test_window_slides(void **state)
{
	struct mu_nack *n = nack_new();
	uint16_t out[8];

	(void)state;
	mu_nack_seen(n, BASE, 0);
	mu_nack_seen(n, BASE + 2, 0);
	for (uint64_t s = BASE + 3; s <= BASE + 1 + MU_NACK_WINDOW; s++)
		mu_nack_seen(n, s, 0);
	assert_int_equal(mu_nack_due(n, HOLD, RTT, out, 8), 1);
	mu_nack_seen(n, BASE + 1 + MU_NACK_WINDOW, 0); /* the same slot, not the same number */
	assert_int_equal(mu_nack_due(n, 2 * HOLD + RTT, RTT, out, 8), 1);
	mu_nack_seen(n, BASE + 2 + MU_NACK_WINDOW, 0);
	assert_int_equal(mu_nack_next_us(n, RTT), INT64_MAX);
	mu_nack_free(n);
}

/* Against a plain model: a set of missing numbers. */
static void test_random_against_a_model(void **state)
{
	static bool missing[20000];
	static uint16_t out[20000];
	struct mu_nack *n = nack_new();
	uint64_t highest = BASE;
	uint32_t seed = 2024;

	(void)state;
	mu_nack_seen(n, BASE, 0);
	while (highest < BASE + 15000) {
		uint32_t r = next_random(&seed);
		uint64_t s =
			r % 3 ? highest + 1 + (r % 50 == 1 ? r / 64 % 1000 : r % 4) : highest - r / 64 % 900;

		if (s <= BASE)
			continue;
		mu_nack_seen(n, s, 0);
		missing[s - BASE] = false;
		for (uint64_t k = highest + 1; k < s; k++)
			missing[k - BASE] = true;
		highest = MU_MAX(s, highest);
	}
	size_t got = mu_nack_due(n, HOLD, RTT, out, MU_ARRAY_LEN(out)), want = 0;
	for (uint64_t k = MU_MAX(BASE, highest - MU_NACK_WINDOW); k < highest; k++) {
		if (missing[k - BASE])
			assert_int_equal(out[want++], (uint16_t)k);
	}
	assert_int_equal(got, want);
	assert_true(want > 0);
	mu_nack_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asks_when_held_long_enough),
		cmocka_unit_test(test_late_is_not_lost),
		cmocka_unit_test(test_ascending_across_wrap_and_max),
		cmocka_unit_test(test_gives_up_after_tries),
		cmocka_unit_test(test_gives_up_after_a_second),
		cmocka_unit_test(test_unknown_round_trip),
		cmocka_unit_test(test_learns_the_round_trip),
		cmocka_unit_test(test_what_measures_nothing),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_window_slides),
		cmocka_unit_test(test_random_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
