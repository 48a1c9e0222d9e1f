#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "impair/wire.h"

#define LEN  972 /* 1000 bytes on the link */
#define FULL 1000000

static struct wire wire;
static const uint8_t data[LEN];

static void begin(const char *const *settings)
{
	wire_init(&wire, 7, 0);
	for (; *settings; settings++)
		assert_int_equal(wire_set(&wire.way, *settings), 0);
}
#define BEGIN(...) begin((const char *const[]){ __VA_ARGS__, NULL })

static void put(unsigned tag, int64_t now_us)
{
	assert_int_equal(wire_put(&wire, data, LEN, tag, now_us), 0);
}

/* @return its tag, -1 none */
static int take(int64_t now_us)
{
	struct wire_packet *p = wire_take(&wire, now_us);
	int tag = p ? (int)p->tag : -1;

	free(p);
	return tag;
}

static void test_delay(void **state)
{
	(void)state;
	BEGIN("delay=30");
	put(1, 0);
	assert_int_equal(wire_next_us(&wire, 0), 30000);
	assert_int_equal(take(29999), -1);
	assert_int_equal(take(30000), 1);
	assert_int_equal(wire_next_us(&wire, 30000), INT64_MAX);
	wire_done(&wire);
}

static void test_jitter_keeps_the_order_unless_told(void **state)
{
	(void)state;
	for (int reorder = 0; reorder < 2; reorder++) {
		int last = -1, backwards = 0, n = 0;

		BEGIN("delay=10", "jitter=20", reorder ? "reorder=1" : "reorder=0");
		for (unsigned i = 0; i < 100; i++)
			put(i, i * 1000);
		for (int64_t now = 0; now < FULL; now += 500) {
			for (int tag; (tag = take(now)) >= 0; last = tag, n++)
				backwards += tag < last;
		}
		assert_int_equal(n, 100);
		assert_int_equal(backwards > 0, reorder);
		wire_done(&wire);
	}
}

static void test_rate_and_queue(void **state)
{
	(void)state;
	BEGIN("rate=800", "queue=100"); /* 10 ms each */
	for (unsigned i = 0; i < 20; i++)
		put(i, 0);
	assert_int_equal(wire.figures.overflowed, 9); /* one on the link and ten that wait */
	assert_int_equal(take(9999), -1);
	for (unsigned i = 0; i < 11; i++)
		assert_int_equal(take((i + 1) * 10000), i);
	assert_int_equal(take(FULL), -1);
	assert_int_equal(wire.figures.wait_max_us, 100000);
	assert_int_equal(wire_wait_ms(&wire.figures, .5), 50);
	wire_done(&wire);
}

static void test_the_rate_changes_under_a_full_queue(void **state)
{
	(void)state;
	BEGIN("rate=800");
	for (unsigned i = 0; i < 4; i++)
		put(i, 0);
	assert_int_equal(wire_queue_us(&wire, 0), 40000);
	assert_int_equal(take(10000), 0); /* and the second one is on the link */
	assert_int_equal(wire_set(&wire.way, "rate=80"), 0);
	assert_int_equal(take(20000), 1);
	assert_int_equal(take(119999), -1);
	assert_int_equal(take(120000), 2);
	assert_int_equal(wire_set(&wire.way, "rate=0"), 0);
	put(9, 150000);
	assert_int_equal(wire_queue_us(&wire, 150000), 0);
	assert_int_equal(take(220000), 3); /* what the link has begun it ends */
	assert_int_equal(take(220000), 9);
	wire_done(&wire);
}

static void lose(const char *burst, double *ret_share, double *ret_length)
{
	unsigned lost = 0, runs = 0;
	bool before = false;

	BEGIN("loss=5", burst);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t was = wire.figures.lost;
		bool gone;

		put(i, i);
		gone = wire.figures.lost > was;
		lost += gone;
		runs += gone && !before;
		before = gone;
		take(i);
	}
	*ret_share = lost / 100000.0;
	*ret_length = (double)lost / runs;
	wire_done(&wire);
}

static void test_loss(void **state)
{
	double share, length;

	(void)state;
	lose("burst=1", &share, &length);
	assert_true(share > .045 && share < .055);
	assert_true(length < 1.2);
	lose("burst=5", &share, &length);
	assert_true(share > .04 && share < .06);
	assert_true(length > 4 && length < 6);
}

static void test_doubled_and_cut(void **state)
{
	(void)state;
	BEGIN("doubled=100");
	put(4, 0);
	assert_int_equal(take(0), 4);
	assert_int_equal(take(0), 4);
	assert_int_equal(wire_set(&wire.way, "cut=1"), 0);
	put(5, 1);
	assert_int_equal(take(1), -1);
	assert_int_equal(wire.figures.lost, 1);
	wire_done(&wire);
}

static void test_settings(void **state)
{
	static const char *const bad[] = { "", "rate", "rate=", "=5", "speed=5", "rate=x", "rate=5x",
		"loss=101", "delay=-1", "delay=nan", "rat=5", "rates=5" };
	struct wire_way w = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(wire_set(&w, bad[i]), -EINVAL);
	assert_int_equal(wire_set(&w, "rate=500"), 0);
	assert_int_equal(w.bps, 500000);
	assert_int_equal(wire_set(&w, "queue=2500"), 0);
	assert_int_equal(w.queue_us, 2500000);
}

static void test_the_same_seed_is_the_same_run(void **state)
{
	uint64_t lost[2];

	(void)state;
	for (int k = 0; k < 2; k++) {
		BEGIN("loss=20", "burst=3");
		for (unsigned i = 0; i < 500; i++)
			put(i, i);
		lost[k] = wire.figures.lost;
		wire_done(&wire);
	}
	assert_int_equal(lost[0], lost[1]);
}

static void test_figures_begin_anew(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	BEGIN("rate=800");
	put(0, 0);
	put(1, 0);
	assert_int_equal(take(10000), 0);
	wire_report(&wire, f, 10000);
	fclose(f);
	assert_non_null(strstr(text, "\"packets\": 1, \"bytes\": 1000, \"kbps\": 800.0"));
	assert_non_null(strstr(text, "\"queue_max_ms\": 10.0"));
	assert_int_equal(wire.figures.packets, 0);
	assert_int_equal(wire.figures.since_us, 10000);
	free(text);
	wire_done(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_jitter_keeps_the_order_unless_told),
		cmocka_unit_test(test_rate_and_queue),
		cmocka_unit_test(test_the_rate_changes_under_a_full_queue),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_doubled_and_cut),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_the_same_seed_is_the_same_run),
		cmocka_unit_test(test_figures_begin_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
