#include "check.h"

#define LONG_AGO (INT64_MIN / 2)

static struct mu_claim video(unsigned rank, unsigned weight)
{
	return (struct mu_claim){ .rank = rank,
		.weight = weight,
		.n_points = 3,
		.point_bps = { 150000, 500000, 1500000 },
		.max_point = 2,
		.point = MU_PAUSED,
		.fell_us = LONG_AGO };
}

static struct mu_claim audio(unsigned rank)
{
	return (struct mu_claim){ .rank = rank,
		.never_paused = true,
		.n_points = 1,
		.point_bps = { 40000 },
		.point = MU_PAUSED,
		.fell_us = LONG_AGO };
}

static void test_plenty_gives_all(void **state)
{
	struct mu_claim c[] = { audio(0), video(2, 1), video(3, 1) };

	(void)state;
	assert_int_equal(mu_spend_wanted(c, 3), 3040000);
	assert_int_equal(mu_spend(c, 3, 10000000, 0), 3040000);
	assert_int_equal(c[1].point, 2);
	assert_int_equal(c[2].point, 2);
}

static void test_rank_decides(void **state)
{
	struct mu_claim c[] = { video(3, 9), video(1, 1), audio(0) };

	(void)state;
	mu_spend(c, 3, 1000000, 0);
	assert_int_equal(c[2].point, 0);
	assert_int_equal(c[0].point, 0); /* each its least before anyone rises */
	assert_int_equal(c[1].point, 1);
	mu_spend(c, 3, 250000, 1);
	assert_int_equal(c[1].point, 0);
	assert_int_equal(c[0].point, MU_PAUSED); /* 40 + 150: nothing left for the last */
	mu_spend(c, 3, 10000, 2);
	assert_int_equal(c[1].point, MU_PAUSED);
	assert_int_equal(c[2].point, 0); /* command is heard whatever the estimate says */
}

static void test_equals_rise_together_larger_first(void **state)
{
	struct mu_claim c[] = { video(2, 1), video(2, 5), video(2, 1) };

	(void)state;
	mu_spend(c, 3, 1700000, 0);
	assert_int_equal(c[0].point, 1);
	assert_int_equal(c[1].point, 1);
	assert_int_equal(c[2].point, 1);
	mu_spend(c, 3, 2800000, 10000000);
	assert_int_equal(c[1].point, 2);
	assert_int_equal(c[0].point, 1);
}

static void test_falling_is_at_once_rising_waits(void **state)
{
	struct mu_claim c[] = { video(2, 1) };

	(void)state;
	mu_spend(c, 1, 2000000, 1000000);
	assert_int_equal(c[0].point, 2);
	mu_spend(c, 1, 1499999, 2000000);
	assert_int_equal(c[0].point, 1);
	mu_spend(c, 1, 3000000, 3999999);
	assert_int_equal(c[0].point, 1);
	mu_spend(c, 1, 1500001, 4100000);
	assert_int_equal(c[0].point, 1); /* without a tenth to spare it would fall again */
	mu_spend(c, 1, 1650001, 4200000);
	assert_int_equal(c[0].point, 2);
	mu_spend(c, 1, 1500000, 4300000); /* to stay takes no more than its own */
	assert_int_equal(c[0].point, 2);
}

static void test_a_small_tile_asks_for_no_more(void **state)
{
	struct mu_claim c[] = { video(2, 1) };

	(void)state;
	c[0].max_point = 0;
	assert_int_equal(mu_spend(c, 1, 9000000, 0), 150000);
	assert_int_equal(mu_spend_wanted(c, 1), 150000);
	c[0].max_point = MU_PAUSED;
	assert_int_equal(mu_spend(c, 1, 9000000, 0), 0);
	assert_int_equal(c[0].point, MU_PAUSED);
	assert_int_equal(mu_spend(c, 0, 9000000, 0), 0);
}

/* Who speaks is large, then another, then the first again: each has what its tile shows at once. */
static void test_a_tile_that_grows_again_waits_for_nothing(void **state)
{
	struct mu_claim c[] = { video(2, 1) };

	(void)state;
	mu_spend(c, 1, 9000000, 0);
	c[0].max_point = 1;
	mu_spend(c, 1, 9000000, 1000000);
	assert_int_equal(c[0].point, 1);
	c[0].max_point = 2;
	mu_spend(c, 1, 9000000, 1100000);
	assert_int_equal(c[0].point, 2);
	c[0].max_point = 1;
	mu_spend(c, 1, 400000, 2000000); /* a smaller tile and a worse link: that is a fall */
	assert_int_equal(c[0].point, 0);
	mu_spend(c, 1, 9000000, 2100000);
	assert_int_equal(c[0].point, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plenty_gives_all),
		cmocka_unit_test(test_rank_decides),
		cmocka_unit_test(test_equals_rise_together_larger_first),
		cmocka_unit_test(test_falling_is_at_once_rising_waits),
		cmocka_unit_test(test_a_small_tile_asks_for_no_more),
		cmocka_unit_test(test_a_tile_that_grows_again_waits_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
