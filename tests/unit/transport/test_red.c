/* Copies of earlier audio: how many, and how they are laid out (RFC 2198). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "transport/red.h"

#define S 1000000

static void test_copies_by_loss(void **state)
{
	struct red r;

	(void)state;
	red_init(&r, 63);
	assert_int_equal(red_loss(&r, 0, 0), 0);
	assert_int_equal(red_loss(&r, 0.019, 0), 0);
	assert_int_equal(red_loss(&r, 0.02, 0), 1);
	assert_int_equal(red_loss(&r, 0.08, 0), 2);      /* at once */
	assert_int_equal(red_loss(&r, 0.06, 10 * S), 2); /* a little less is no reason */
	assert_int_equal(red_loss(&r, 0.04, 10 * S), 1);
	assert_int_equal(red_loss(&r, 0.015, 20 * S), 1);
	assert_int_equal(red_loss(&r, 0.005, 20 * S), 0);
}

static void test_copies_stay_a_while(void **state)
{
	struct red r;

	(void)state;
	red_init(&r, 63);
	assert_int_equal(red_loss(&r, 0.05, 100 * S), 1);
	assert_int_equal(red_loss(&r, 0, 104 * S), 1);
	assert_int_equal(red_loss(&r, 0, 105 * S), 0);
}

static void test_none_for_whom_it_is_nothing(void **state)
{
	struct red r;

	(void)state;
	red_init(&r, 0);
	assert_int_equal(red_loss(&r, 0.5, 0), 0);
}

/* The example's form of RFC 2198, section 5: two blocks behind each other, the packet's own last. */
static void test_layout(void **state)
{
	const struct red_block b[] = { { (const uint8_t *)"old", 3, 1000 },
		{ (const uint8_t *)"older", 5, 1960 }, { (const uint8_t *)"new", 3, 2920 } };
	const uint8_t expected[] = { 0x80 | 111, 1920 >> 6, (1920 & 0x3f) << 2, 3, 0x80 | 111, 960 >> 6,
		(960 & 0x3f) << 2, 5, 111, 'o', 'l', 'd', 'o', 'l', 'd', 'e', 'r', 'n', 'e', 'w' };
	uint8_t buf[100];

	(void)state;
	assert_int_equal(red_write(111, b, 3, buf, sizeof(buf)), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
	assert_int_equal(
		red_write(111, b, 3, buf, sizeof(expected) - 1), 1 + 4 + 5 + 3); /* the oldest stays behind */
	assert_memory_equal(buf, expected + 4, 5);
	assert_int_equal(red_write(111, b, 3, buf, 12), 0);              /* no copy fits */
	assert_int_equal(red_write(111, b + 2, 1, buf, sizeof(buf)), 0); /* there is none */
}

/* 14 bits of time, 10 of length: what does not fit those is left out, and what is older than it. */
static void test_bounds_of_the_form(void **state)
{
	static const uint8_t big[1100];
	struct red_block b[] = { { big, 10, 0 }, { big, 1023, 16000 }, { big, 10, 16383 } };
	uint8_t buf[1400];

	(void)state;
	assert_int_equal(red_write(111, b, 3, buf, sizeof(buf)), 4 + 4 + 1 + 10 + 1023 + 10);
	b[2].ts = 16384;
	assert_int_equal(red_write(111, b, 3, buf, sizeof(buf)), 4 + 1 + 1023 + 10);
	b[1].len = 1024;
	assert_int_equal(red_write(111, b, 3, buf, sizeof(buf)), 0);
	b[1].len = 0; /* a block of nothing would be taken for a lost one */
	assert_int_equal(red_write(111, b, 3, buf, sizeof(buf)), 0);
	b[1] = (struct red_block){ big, 10, 0xffffff00 }; /* time wraps */
	b[2].ts = 100;
	assert_int_equal(red_write(111, b + 1, 2, buf, sizeof(buf)), 4 + 1 + 10 + 10);
	assert_int_equal(buf[1] << 6 | buf[2] >> 2, 356);
	b[1].ts = 200; /* younger than the packet itself */
	assert_int_equal(red_write(111, b + 1, 2, buf, sizeof(buf)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_by_loss),
		cmocka_unit_test(test_copies_stay_a_while),
		cmocka_unit_test(test_none_for_whom_it_is_nothing),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_bounds_of_the_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
