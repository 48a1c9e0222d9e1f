#include "check.h"

static struct mu_vp8 parse(const uint8_t *p, size_t len)
{
	struct mu_vp8 d;

	assert_int_equal(mu_vp8_parse(p, len, &d), 0);
	return d;
}

static void test_descriptors(void **state)
{
	static const uint8_t plain[] = { 0x10, 0x00 }, full[] = { 0x90, 0xf0, 0x92, 0x34, 0x56, 0x60, 0x01 },
			     small[] = { 0xb0, 0x80, 0x45, 0x00 },
			     later[] = { 0x80, 0xe0, 0x81, 0x00, 0x07, 0x40 };
	struct mu_vp8 d;

	(void)state;
	d = parse(plain, sizeof(plain));
	assert_int_equal(d.len, 1);
	assert_true(d.start && d.key);
	assert_int_equal(d.temporal, -1);
	d = parse(full, sizeof(full));
	assert_int_equal(d.len, 6);
	assert_int_equal(d.picture, 0x1234);
	assert_int_equal(d.tl0, 0x56);
	assert_int_equal(d.temporal, 1);
	assert_true(d.sync && d.start && !d.key);
	d = parse(small, sizeof(small));
	assert_int_equal(d.picture_bits, 7);
	assert_int_equal(d.picture, 0x45);
	assert_true(d.no_reference);
	d = parse(later, sizeof(later));
	assert_false(d.start);
	assert_int_equal(d.picture, 0x100);
}

static void test_cut_short(void **state)
{
	static const uint8_t full[] = { 0x90, 0xf0, 0x92, 0x34, 0x56, 0x60 };
	struct mu_vp8 d;

	(void)state;
	for (size_t n = 0; n < sizeof(full); n++)
		assert_int_equal(mu_vp8_parse(full, n, &d), -74);
	assert_int_equal(mu_vp8_parse(full, sizeof(full), &d), 0);
	assert_false(d.key); /* nothing of the frame is there to say so */
}

static uint16_t out_picture(struct mu_vp8_map *m, uint16_t picture, uint8_t tl0, uint8_t *ret_tl0)
{
	uint8_t p[] = { 0x90, 0xf0, (uint8_t)(0x80 | picture >> 8), (uint8_t)picture, tl0, 0x00, 0x01 };
	struct mu_vp8 d = parse(p, sizeof(p));

	mu_vp8_rewrite(m, &d, p);
	d = parse(p, sizeof(p));
	if (ret_tl0)
		*ret_tl0 = d.tl0;
	return d.picture;
}

static void test_ids_go_on_over_a_switch(void **state)
{
	struct mu_vp8_map m = { 0 };
	struct mu_vp8 first = { .picture = 500, .tl0 = 9, .temporal = 0 };
	uint8_t tl0;

	(void)state;
	assert_int_equal(out_picture(&m, 0x7ffe, 254, &tl0), 0x7ffe);
	assert_int_equal(out_picture(&m, 0x7fff, 255, &tl0), 0x7fff);
	mu_vp8_switch(&m, &first);
	assert_int_equal(out_picture(&m, 500, 9, &tl0), 0); /* both wrap */
	assert_int_equal(tl0, 0);
	assert_int_equal(out_picture(&m, 501, 10, &tl0), 1);
	assert_int_equal(tl0, 1);
}

static void test_left_out_frames_are_not_missed(void **state)
{
	struct mu_vp8_map m = { 0 };
	struct mu_vp8 upper = { .temporal = 1 };
	uint8_t tl0;

	(void)state;
	assert_int_equal(out_picture(&m, 10, 3, NULL), 10);
	mu_vp8_left_out(&m, &upper);
	assert_int_equal(out_picture(&m, 12, 4, &tl0), 11);
	assert_int_equal(tl0, 4);
}

static void test_short_ids(void **state)
{
	struct mu_vp8_map m = { 0 };
	uint8_t p[] = { 0x90, 0x80, 0x05, 0x00 };
	struct mu_vp8 d = parse(p, sizeof(p)), first = { .picture = 5 };

	(void)state;
	m.started = true;
	m.last_picture = 126;
	mu_vp8_switch(&m, &first);
	mu_vp8_rewrite(&m, &d, p);
	assert_int_equal(p[2], 127);
	assert_int_equal(p[3], 0);
}

static uint8_t out_short(struct mu_vp8_map *m, unsigned picture)
{
	uint8_t p[] = { 0x90, 0x80, picture & 0x7f, 0x01 };
	struct mu_vp8 d = parse(p, sizeof(p));

	mu_vp8_rewrite(m, &d, p);
	return p[2];
}

/* Seven bits come around: what went out last is still known. */
static void test_short_ids_wrap(void **state)
{
	struct mu_vp8_map m = { 0 };
	struct mu_vp8 first = { .picture = 3000, .picture_bits = 15 };

	(void)state;
	for (unsigned i = 100; i < 300; i++)
		assert_int_equal(out_short(&m, i), i & 0x7f);
	mu_vp8_switch(&m, &first);
	assert_int_equal(out_picture(&m, 3000, 0, NULL) & 0x7f, 300 & 0x7f);
	assert_int_equal(out_picture(&m, 3001, 0, NULL) & 0x7f, 301 & 0x7f);
}

static void left_out(struct mu_vp8_map *m, uint16_t picture)
{
	struct mu_vp8 d = { .picture = picture, .picture_bits = 15, .temporal = 1 };

	mu_vp8_left_out(m, &d);
}

/* Each packet of a picture says that it is left out, and one of an earlier picture comes after that. */
static void test_left_out_and_overtaken(void **state)
{
	struct mu_vp8_map m = { 0 };

	(void)state;
	assert_int_equal(out_picture(&m, 10, 0, NULL), 10);
	left_out(&m, 11);
	left_out(&m, 11);
	assert_int_equal(out_picture(&m, 12, 0, NULL), 11);
	left_out(&m, 13);
	assert_int_equal(out_picture(&m, 12, 0, NULL), 11);
	assert_int_equal(out_picture(&m, 10, 0, NULL), 10);
	assert_int_equal(out_picture(&m, 14, 0, NULL), 12);
	left_out(&m, 13); /* late: counted already */
	assert_int_equal(out_picture(&m, 15, 0, NULL), 13);
	assert_int_equal(out_picture(&m, 17, 0, NULL), 15);
	left_out(&m, 16); /* and this one's hole is there already */
	assert_int_equal(out_picture(&m, 18, 0, NULL), 16);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_ids_go_on_over_a_switch),
		cmocka_unit_test(test_left_out_frames_are_not_missed),
		cmocka_unit_test(test_short_ids),
		cmocka_unit_test(test_short_ids_wrap),
		cmocka_unit_test(test_left_out_and_overtaken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
