#include "check.h"

#define LIMIT 50000000

static void test_without_loss_it_is_the_limit(void **state)
{
	struct mu_loss_rate r = { 0 };

	(void)state;
	assert_int_equal(mu_loss_rate_next(&r, 0, 0, LIMIT), LIMIT);
	assert_int_equal(
		mu_loss_rate_next(&r, 20, 2000000, LIMIT), LIMIT); /* some loss is radio, not congestion */
	assert_int_equal(mu_loss_rate_next(&r, 0, 2000000, LIMIT / 2), LIMIT / 2);
}

/* 4 Mbit/s are sent and a quarter is lost: 3 Mbit/s come. The answer is an eighth below what is sent. */
static void test_loss_lowers_and_calm_raises(void **state)
{
	struct mu_loss_rate r = { 0 };
	uint64_t last, bps = mu_loss_rate_next(&r, 64, 3000000, LIMIT);
	unsigned reports = 0;

	(void)state;
	assert_in_range(bps, 3499000, 3500000);
	for (last = bps; bps < LIMIT; last = bps, reports++) {
		bps = mu_loss_rate_next(&r, 0, bps, LIMIT);
		assert_true(bps > last && bps <= LIMIT);
	}
	assert_in_range(reports, 40, 60); /* a minute, at one a second */
}

static void test_never_below_speech(void **state)
{
	struct mu_loss_rate r = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		mu_loss_rate_next(&r, 255, 1000, LIMIT);
	assert_int_equal(r.bps, 64000);
	assert_int_equal(mu_loss_rate_next(&r, 255, 0, 1000), 1000); /* but never above the limit */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_loss_it_is_the_limit),
		cmocka_unit_test(test_loss_lowers_and_calm_raises),
		cmocka_unit_test(test_never_below_speech),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
