/* How fast packets may leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "transport/pace.h"

#define S 1000000

/* As many packets as may, looked for each `step`. */
static size_t leaves(struct pace *p, size_t size, int64_t from_us, int64_t us, int64_t step_us)
{
	size_t bytes = 0;

	for (int64_t now = from_us; now < from_us + us; now += step_us) {
		while (pace_may(p, now)) {
			pace_sent(p, size);
			bytes += size;
		}
	}
	return bytes;
}

static void test_no_more_than_the_rate(void **state)
{
	static const int64_t steps[] = { 1000, 5000, 7000 };
	static const uint32_t rates[] = { 100000, 1000000, 50000000 };

	(void)state;
	for (unsigned i = 0; i < MU_ARRAY_LEN(steps); i++) {
		for (unsigned k = 0; k < MU_ARRAY_LEN(rates); k++) {
			struct pace p = { 0 };
			size_t bytes;

			pace_set(&p, rates[k], S);
			bytes = leaves(&p, 1200, S, 10 * S, steps[i]);
			assert_true(bytes <= rates[k] / 8 * 10 + rates[k] / 800 + 3000 + 1200);
			assert_true(bytes + rates[k] / 800 + 1200 >= rates[k] / 8 * 10);
		}
	}
}

/* After a pause some may leave at once, but no more than that. */
static void test_a_pause_is_not_saved_up(void **state)
{
	struct pace p = { 0 };
	size_t n = 0;

	(void)state;
	pace_set(&p, 1000000, S);
	assert_true(pace_may(&p, 100 * S));
	for (; pace_may(&p, 100 * S); n++)
		pace_sent(&p, 1000);
	assert_int_equal(n, 3);
}

static void test_when_the_next_may(void **state)
{
	struct pace p = { 0 };

	(void)state;
	pace_set(&p, 1000000, S);
	assert_true(pace_may(&p, 2 * S));
	assert_int_equal(pace_next_us(&p, 2 * S), 2 * S);
	while (pace_may(&p, 2 * S))
		pace_sent(&p, 5000);
	assert_in_range(pace_next_us(&p, 2 * S), 2 * S + 16000, 2 * S + 40001);
	assert_false(pace_may(&p, pace_next_us(&p, 2 * S) - 10));
	assert_true(pace_may(&p, pace_next_us(&p, 2 * S) + 1));
	assert_int_equal(pace_wait_us(&p, 125000), S);
}

/* What leaves all the same makes others wait, but not for long. */
static void test_debt_is_bounded(void **state)
{
	struct pace p = { 0 };

	(void)state;
	pace_set(&p, 100000, S);
	for (int i = 0; i < 1000; i++)
		pace_sent(&p, 1000);
	assert_false(pace_may(&p, S + 100000));
	assert_true(pace_may(&p, S + 300000));
}

static void test_a_new_rate_counts_from_now(void **state)
{
	struct pace p = { 0 };

	(void)state;
	pace_set(&p, 100000000, S);
	pace_may(&p, 2 * S);
	pace_set(&p, 100000, 2 * S);
	assert_true(leaves(&p, 1000, 2 * S, S, 1000) <= 12500 + 3000 + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_more_than_the_rate),
		cmocka_unit_test(test_a_pause_is_not_saved_up),
		cmocka_unit_test(test_when_the_next_may),
		cmocka_unit_test(test_debt_is_bounded),
		cmocka_unit_test(test_a_new_rate_counts_from_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
