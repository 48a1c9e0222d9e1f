#include "check.h"

/* Packets every 10 ms whose delay grows by `grow_us` each. @return the last verdict */
static enum mu_usage run(struct mu_trend *t, unsigned n, int64_t grow_us, int64_t *sent_us, int64_t *delay_us)
{
	enum mu_usage u = MU_USAGE_NORMAL;

	for (unsigned i = 0; i < n; i++) {
		*sent_us += 10000;
		*delay_us += grow_us;
		u = mu_trend_packet(t, *sent_us, *sent_us + *delay_us, *sent_us + *delay_us);
	}
	return u;
}

static void test_steady_is_normal(void **state)
{
	struct mu_trend t;
	int64_t sent = 0, delay = 30000;

	(void)state;
	mu_trend_init(&t);
	assert_int_equal(run(&t, 200, 0, &sent, &delay), MU_USAGE_NORMAL);
}

static void test_growth_is_overuse_and_emptying_underuse(void **state)
{
	struct mu_trend t;
	int64_t sent = 0, delay = 30000;

	(void)state;
	mu_trend_init(&t);
	run(&t, 50, 0, &sent, &delay);
	assert_int_equal(run(&t, 30, 2000, &sent, &delay), MU_USAGE_OVER);
	assert_int_equal(run(&t, 25, -2000, &sent, &delay), MU_USAGE_UNDER);
	assert_int_equal(run(&t, 100, 0, &sent, &delay), MU_USAGE_NORMAL);
}

static void test_jitter_is_no_overuse(void **state)
{
	struct mu_trend t;
	unsigned over = 0, seed = 1;

	(void)state;
	mu_trend_init(&t);
	for (int64_t sent = 10000; sent < 20000000; sent += 10000) {
		int64_t delay;

		seed = seed * 1103515245u + 12345;
		delay = 30000 + (int64_t)(seed >> 16) % 5000; /* 5 ms of noise */
		over += mu_trend_packet(&t, sent, sent + delay, sent + delay) == MU_USAGE_OVER;
	}
	assert_int_equal(over, 0);
}

static void test_a_step_passes(void **state)
{
	struct mu_trend t;
	int64_t sent = 0, delay = 30000;
	enum mu_usage u;

	(void)state;
	mu_trend_init(&t);
	run(&t, 100, 0, &sent, &delay);
	delay += 40000; /* another way through the network, for good */
	u = run(&t, 60, 0, &sent, &delay);
	assert_int_equal(u, MU_USAGE_NORMAL);
}

static void test_reordered_and_paused(void **state)
{
	struct mu_trend t;
	int64_t sent = 0, delay = 30000;

	(void)state;
	mu_trend_init(&t);
	run(&t, 50, 0, &sent, &delay);
	mu_trend_packet(&t, sent - 60000, sent + delay, sent + delay);
	sent += 3600 * 1000000ll;
	delay = 5000000;
	assert_int_equal(run(&t, 30, 0, &sent, &delay), MU_USAGE_NORMAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady_is_normal),
		cmocka_unit_test(test_growth_is_overuse_and_emptying_underuse),
		cmocka_unit_test(test_jitter_is_no_overuse),
		cmocka_unit_test(test_a_step_passes),
		cmocka_unit_test(test_reordered_and_paused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
