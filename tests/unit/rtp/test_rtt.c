#include "check.h"

static void test_smoothed(void **state)
{
	struct mu_rtt r = { 0 };

	(void)state;
	assert_int_equal(mu_rtt_wait_us(&r, 100000), 100000);
	mu_rtt_sample(&r, 80000);
	assert_true(r.known);
	assert_int_equal(r.smoothed_us, 80000);
	assert_int_equal(r.var_us, 40000);
	mu_rtt_sample(&r, 160000); /* RFC 6298: the variance first, from the mean before */
	assert_int_equal(r.var_us, 50000);
	assert_int_equal(r.smoothed_us, 90000);
	assert_int_equal(mu_rtt_wait_us(&r, 5), 140000);
	for (int i = 0; i < 100; i++)
		mu_rtt_sample(&r, 50000);
	assert_in_range(mu_rtt_wait_us(&r, 5), 50000, 50100);
}

static void test_backs_off_until_measured(void **state)
{
	struct mu_rtt r = { 0 };

	(void)state;
	mu_rtt_unsure(&r, 300000);
	assert_int_equal(mu_rtt_wait_us(&r, 100000), 300000);
	assert_false(r.known);
	mu_rtt_sample(&r, 50000);
	assert_int_equal(mu_rtt_wait_us(&r, 100000), 75000);
	mu_rtt_unsure(&r, 10000);
	assert_int_equal(mu_rtt_wait_us(&r, 100000), 75000);
	mu_rtt_unsure(&r, 400000);
	assert_int_equal(mu_rtt_wait_us(&r, 100000), 400000);
	mu_rtt_sample(&r, 50000);
	assert_true(mu_rtt_wait_us(&r, 100000) < 75000);
}

static void test_nonsense_is_bounded(void **state)
{
	struct mu_rtt r = { 0 };

	(void)state;
	mu_rtt_sample(&r, -5);
	assert_int_equal(r.smoothed_us, 0);
	for (int i = 0; i < 100; i++)
		mu_rtt_sample(&r, INT64_MAX);
	mu_rtt_unsure(&r, INT64_MAX);
	assert_true(mu_rtt_wait_us(&r, 0) <= 2000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smoothed),
		cmocka_unit_test(test_backs_off_until_measured),
		cmocka_unit_test(test_nonsense_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
