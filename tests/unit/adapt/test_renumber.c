#include "check.h"

static uint64_t pass(struct mu_renumber *r, unsigned source, uint64_t seq)
{
	uint64_t out = 0;

	assert_true(mu_renumber_pass(r, source, seq, &out));
	return out;
}

static void expect(const struct mu_renumber *r, uint64_t out, unsigned source, uint64_t seq)
{
	unsigned s = 99;
	uint64_t q = 0;

	assert_true(mu_renumber_find(r, out, &s, &q));
	assert_int_equal(s, source);
	assert_int_equal(q, seq);
}

static void test_in_line(void **state)
{
	struct mu_renumber r;

	(void)state;
	mu_renumber_init(&r, 0, 1000, 50);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pass(&r, 0, 1000 + i), 50 + i);
	expect(&r, 77, 0, 1027);
	assert_false(mu_renumber_find(&r, 150, &(unsigned){ 0 }, &(uint64_t){ 0 }));
	assert_false(mu_renumber_find(&r, 49, &(unsigned){ 0 }, &(uint64_t){ 0 }));
}

static void test_what_is_left_out_leaves_no_hole(void **state)
{
	struct mu_renumber r;

	(void)state;
	mu_renumber_init(&r, 0, 10, 0);
	assert_int_equal(pass(&r, 0, 10), 0);
	assert_true(mu_renumber_drop(&r, 0, 11));
	assert_true(mu_renumber_drop(&r, 0, 12));
	assert_int_equal(pass(&r, 0, 13), 1);
	assert_true(mu_renumber_drop(&r, 0, 14));
	assert_int_equal(pass(&r, 0, 15), 2);
	expect(&r, 0, 0, 10);
	expect(&r, 1, 0, 13);
	expect(&r, 2, 0, 15);
}

static void test_a_loss_keeps_its_number(void **state)
{
	struct mu_renumber r;

	(void)state;
	mu_renumber_init(&r, 0, 10, 0);
	pass(&r, 0, 10);
	assert_int_equal(pass(&r, 0, 12), 2); /* 11 is missing */
	assert_true(mu_renumber_drop(&r, 0, 13));
	assert_int_equal(pass(&r, 0, 15), 4);      /* 14 too */
	assert_int_equal(pass(&r, 0, 11), 1);      /* repaired */
	assert_false(mu_renumber_drop(&r, 0, 14)); /* it could have been left out, but is waited for */
	assert_int_equal(pass(&r, 0, 14), 3);
	assert_true(mu_renumber_drop(&r, 0, 13)); /* a duplicate of what was left out */
}

static void test_drop_behind_a_loss(void **state)
{
	struct mu_renumber r;

	(void)state;
	mu_renumber_init(&r, 0, 10, 0);
	pass(&r, 0, 10);
	assert_true(mu_renumber_drop(&r, 0, 12)); /* 11 is missing */
	assert_int_equal(pass(&r, 0, 13), 2);
	assert_int_equal(pass(&r, 0, 11), 1);
	expect(&r, 1, 0, 11);
}

static void test_switch(void **state)
{
	struct mu_renumber r;
	uint64_t out;

	(void)state;
	mu_renumber_init(&r, 0, 10, 0);
	pass(&r, 0, 10);
	pass(&r, 0, 12);
	mu_renumber_switch(&r, 2, 7000);
	assert_int_equal(pass(&r, 2, 7000), 3);
	assert_int_equal(pass(&r, 0, 11), 1);            /* a repair of before */
	assert_false(mu_renumber_pass(&r, 0, 13, &out)); /* but nothing new of it */
	assert_int_equal(pass(&r, 2, 7001), 4);
	mu_renumber_switch(&r, 0, 50);
	assert_int_equal(pass(&r, 0, 50), 5);
	expect(&r, 2, 0, 12);
	expect(&r, 4, 2, 7001);
	expect(&r, 5, 0, 50);
}

static void test_long_ago(void **state)
{
	struct mu_renumber r;
	uint64_t out = 0, seq = 1;

	(void)state;
	mu_renumber_init(&r, 0, seq, 0);
	for (unsigned i = 0; i < 1000; i++, seq += 2) {
		assert_int_equal(pass(&r, 0, seq), i);
		assert_true(mu_renumber_drop(&r, 0, seq + 1));
	}
	assert_false(mu_renumber_pass(&r, 0, 5, &out));
	assert_false(mu_renumber_find(&r, 5, &(unsigned){ 0 }, &(uint64_t){ 0 }));
	expect(&r, 990, 0, 1 + 990 * 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_line),
		cmocka_unit_test(test_what_is_left_out_leaves_no_hole),
		cmocka_unit_test(test_a_loss_keeps_its_number),
		cmocka_unit_test(test_drop_behind_a_loss),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_long_ago),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
