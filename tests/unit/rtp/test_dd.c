/* Dependency descriptors, written bit by bit as the specification's appendix has them. */
#include "check.h"

enum { S = MU_LAYER_START, E = MU_LAYER_END, U = MU_LAYER_UP, I = MU_LAYER_INTRA, N = MU_LAYER_UNREFERENCED };

/* --- a writer ---------------------------------------------------------------------------------------------
 */

struct out {
	uint8_t data[256];
	size_t at; /* bits */
};
static void put(struct out *o, unsigned bits, uint32_t v)
{
	for (; bits > 0; bits--, o->at++)
		o->data[o->at / 8] |= (uint8_t)(((uint64_t)v >> (bits - 1) & 1) << (7 - o->at % 8)); /* of at most 64 */
}
static size_t bytes(const struct out *o)
{
	return (o->at + 7) / 8;
}

/* A template: its layer, what it is to each decode target, and frames back that it needs. */
struct template
{
	unsigned spatial, temporal;
	const char *dtis;
	unsigned fdiffs[2];
};
struct table {
	const struct template *templates;
	unsigned n, first_id, n_chains;
	struct {
		unsigned width, height;
	} size[3];
};

static void put_dti(struct out *o, char c)
{
	put(o, 2, (uint32_t)(strchr("-DSR", c) - "-DSR"));
}

static void put_ns(struct out *o, uint32_t n, uint32_t v)
{
	unsigned w = 32u - (unsigned)__builtin_clz(n);
	uint32_t m = (1u << w) - n;

	if (v < m)
		put(o, w - 1, v);
	else
		put(o, w, v + m);
}

static void put_layers(struct out *o, const struct table *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct template *a = &t->templates[i], *b = a + 1;

		put(o, 2, i + 1 == t->n ? 3 : a->spatial != b->spatial ? 2 : a->temporal != b->temporal);
	}
}

static void put_table(struct out *o, const struct table *t)
{
	unsigned targets = (unsigned)strlen(t->templates[0].dtis);

	put(o, 6, t->first_id);
	put(o, 5, targets - 1);
	put_layers(o, t);
	for (unsigned i = 0; i < t->n; i++) {
		for (unsigned k = 0; k < targets; k++)
			put_dti(o, t->templates[i].dtis[k]);
	}
	for (unsigned i = 0; i < t->n; i++) {
		for (unsigned k = 0; k < 2 && t->templates[i].fdiffs[k]; k++)
			put(o, 5, 0x10 | (t->templates[i].fdiffs[k] - 1));
		put(o, 1, 0);
	}
	put_ns(o, targets + 1, t->n_chains);
	for (unsigned k = 0; t->n_chains && k < targets; k++)
		put_ns(o, t->n_chains, k % t->n_chains);
	put(o, 4 * t->n * t->n_chains, 0);
	put(o, 1, t->size[0].width > 0);
	for (unsigned i = 0; t->size[0].width && i <= t->templates[t->n - 1].spatial; i++) {
		put(o, 16, t->size[i].width - 1);
		put(o, 16, t->size[i].height - 1);
	}
}

/* The head of a descriptor of frame `number`, template `index` of the table. */
enum { TABLE = 16, ACTIVE = 8, OWN_DTIS = 4, OWN_FDIFFS = 2, OWN_CHAINS = 1 };
static struct out head(const struct table *t, unsigned index, unsigned number, unsigned extended)
{
	struct out o = { .at = 0 };

	put(&o, 2, 3);
	put(&o, 6, (t->first_id + index) % 64);
	put(&o, 16, number);
	if (extended)
		put(&o, 5, extended);
	if (extended & TABLE)
		put_table(&o, t);
	return o;
}

/* --- structures that encoders have
 * ---------------------------------------------------------------------------- */

static const struct template l1t3[] = {
	{ 0, 0, "SSS", { 0 } },
	{ 0, 0, "SSS", { 4 } },
	{ 0, 1, "-DS", { 2 } },
	{ 0, 2, "--D", { 1 } },
};
static const struct table table_l1t3 = { l1t3, MU_ARRAY_LEN(l1t3), 0, 1, { { 0, 0 } } };

static const struct template l2t2[] = {
	{ 0, 0, "SSSS", { 0 } },
	{ 0, 0, "SSRR", { 4 } },
	{ 0, 1, "-D-R", { 2 } },
	{ 1, 0, "--SS", { 1 } },
	{ 1, 0, "--SS", { 4, 1 } },
	{ 1, 1, "---D", { 2, 1 } },
};
static const struct table table_l2t2 = { l2t2, MU_ARRAY_LEN(l2t2), 61, 2, { { 320, 180 }, { 640, 360 } } };

static struct mu_dd *dd;

static int setup(void **state)
{
	(void)state;
	return mu_dd_new(&dd);
}

static int teardown(void **state)
{
	(void)state;
	mu_dd_free(dd);
	return 0;
}

static int read_out(const struct out *o, uint32_t ts, struct mu_payload_layers *ret)
{
	uint8_t *p = exact(o->data, bytes(o));
	int err = mu_dd_read(dd, p, bytes(o), ts, ret);

	free(p);
	return err;
}

static void expect(
	const struct out *o, uint32_t ts, unsigned spatial, unsigned temporal, unsigned flags, unsigned width)
{
	struct mu_payload_layers l;

	assert_int_equal(read_out(o, ts, &l), 0);
	assert_int_equal(l.spatial, spatial);
	assert_int_equal(l.temporal, temporal);
	assert_int_equal(l.flags, flags);
	assert_int_equal(l.width, width);
}

static void expect_of(const struct table *t, unsigned index, unsigned number, uint32_t ts, unsigned spatial,
	unsigned temporal, unsigned flags)
{
	struct out o = head(t, index, number, 0);

	expect(&o, ts, spatial, temporal, flags, 0);
}

static void test_temporal_layers(void **state)
{
	struct out o = head(&table_l1t3, 0, 65534, TABLE);

	(void)state;
	expect(&o, 0, 0, 0, S | E | U | I, 0);
	expect_of(&table_l1t3, 3, 65535, 3000, 0, 2, S | E | U | N);
	expect_of(&table_l1t3, 2, 0, 6000, 0, 1, S | E | U); /* the number wrapped */
	expect_of(&table_l1t3, 3, 1, 9000, 0, 2, S | E | U | N);
	expect_of(&table_l1t3, 1, 2, 12000, 0, 0, S | E | U);
}

static void test_spatial_layers(void **state)
{
	struct out o = head(&table_l2t2, 0, 10, TABLE);

	(void)state;
	expect(&o, 0, 0, 0, S | E | U | I, 640);
	expect_of(&table_l2t2, 3, 11, 0, 1, 0, S | E | U | I);
	expect_of(&table_l2t2, 2, 12, 3000, 0, 1, S | E | U);
	expect_of(&table_l2t2, 5, 13, 3000, 1, 1, S | E | U | N);
	expect_of(&table_l2t2, 1, 14, 6000, 0, 0, S | E | U);
	expect_of(&table_l2t2, 4, 15, 6000, 1, 0, S | E | U);
}

/* The first frames of Chromium's encoders, in its way of three temporal layers with two kinds of middle
 * frames, of which one needs the one before; and of spatial layers, of which VP9's highest was added by a
 * second key frame. */
static void test_chromium(void **state)
{
	static const struct {
		const char *of;
		uint32_t ts;
		const char *hex;
		unsigned spatial, temporal, flags, width;
	} rows[] = {
		{ "VP8 L1T3", 0, "c000018002044eaaaf2860414d34538a0940409fc059c0", 0, 0, S | E | U | I, 640 },
		{ "VP8 L1T3", 4050, "c50002", 0, 2, S | E | U | N, 0 },
		{ "VP8 L1T3", 8550, "c30003", 0, 1, S | E | U, 0 },
		{ "VP8 L1T3", 12960, "c50004", 0, 2, S | E | U | N, 0 },
		{ "VP8 L1T3", 17460, "c20005", 0, 0, S | E | U, 0 },
		{ "VP8 L1T3", 21960, "c60006", 0, 2, S | E | U | N, 0 },
		{ "VP8 L1T3", 26370, "c40007", 0, 1, S | E, 0 },
		{ "VP9 L3T3_KEY", 0,
			"c00001c00514853aaaa8018004004002a02a0060010015d34514174d144c700874321651118543276809f8059813f80b38e0",
			0, 0, S | E | U | I, 320 },
		{ "VP9 L3T3_KEY", 3150, "c300021a000800", 0, 2, S | E | U | N, 0 },
		{ "VP9 L3T3_KEY", 11790,
			"c00004800514853aaaa8018004004002a02a0060010015d34514174d144c700874321651118543276809f8059813f80b38",
			0, 0, S | E | U | I, 640 },
		{ "VP9 L3T3_KEY", 11790, "c50005", 1, 0, S | E | U | I, 0 },
		{ "VP9 L3T3_KEY", 16200, "c30006", 0, 2, S | E | U | N, 0 },
		{ "VP9 L3T3_KEY", 16200, "c80007", 1, 2, S | E | U | N, 0 },
		{ "VP9 L3T3_KEY", 20610, "c20008", 0, 1, S | E | U, 0 },
		{ "VP9 L3T3_KEY", 20610, "c70009", 1, 1, S | E | U, 0 },
		{ "AV1 L2T2_KEY", 0, "c000018003187aaa0100a0a014d1413451802190888a19404fc02cc09fc059c0", 0, 0,
			S | E | U | I, 640 },
		{ "AV1 L2T2_KEY", 0, "c30002", 1, 0, S | E | U | I, 0 },
		{ "AV1 L2T2_KEY", 3600, "c20003", 0, 1, S | E | U | N, 0 },
		{ "AV1 L2T2_KEY", 3600, "c50004", 1, 1, S | E | U | N, 0 },
		{ "AV1 L2T2_KEY", 8010, "c10005", 0, 0, S | E | U, 0 },
		{ "AV1 L2T2_KEY", 8010, "c40006", 1, 0, S | E | U, 0 },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		struct out o = { .at = 0 };

		if (i > 0 && strcmp(rows[i].of, rows[i - 1].of) != 0)
			mu_dd_reset(dd);
		for (const char *h = rows[i].hex; *h; h++)
			put(&o, 4, (uint32_t)(strchr("0123456789abcdef", *h) - "0123456789abcdef"));
		expect(&o, rows[i].ts, rows[i].spatial, rows[i].temporal, rows[i].flags, rows[i].width);
	}
}

/* A frame of a temporal layer that needs one of its own layer is no place to go up. */
static void test_no_way_up(void **state)
{
	struct out o = head(&table_l1t3, 0, 1, TABLE);

	(void)state;
	expect(&o, 0, 0, 0, S | E | U | I, 0);
	expect_of(&table_l1t3, 2, 3, 6000, 0, 1, S | E | U);
	o = head(&table_l1t3, 2, 7, OWN_FDIFFS);
	put(&o, 6, 1 << 4 | (2 - 1));  /* of the base layer, */
	put(&o, 10, 2 << 8 | (4 - 1)); /* and of its own before it */
	put(&o, 2, 0);
	expect_of(&table_l1t3, 1, 5, 12000, 0, 0, S | E | U);
	expect(&o, 18000, 0, 1, S | E, 0);
	o = head(&table_l1t3, 2, 11,
		OWN_DTIS); /* what comes after it needs frames of its layer from before it */
	put(&o, 6, 0 << 4 | 3 << 2 | 3);
	expect_of(&table_l1t3, 1, 9, 24000, 0, 0, S | E | U);
	expect(&o, 30000, 0, 1, S | E, 0);
	expect_of(&table_l1t3, 2, 20, 90000, 0, 1, S | E); /* what it is predicted from was not seen */
}

static void test_active_targets_change_the_size(void **state)
{
	struct out o = head(&table_l2t2, 0, 10, TABLE);

	(void)state;
	expect(&o, 0, 0, 0, S | E | U | I, 640);
	o = head(&table_l2t2, 1, 14, ACTIVE);
	put(&o, 4, 3); /* the lower two targets */
	expect(&o, 6000, 0, 0, S | E | U, 320);
}

static void test_what_does_not_fit_the_table(void **state)
{
	struct mu_payload_layers l;
	struct table next = table_l2t2;
	struct out o = head(&table_l2t2, 1, 10, 0), old;

	(void)state;
	assert_int_equal(read_out(&o, 0, &l), -ENOENT); /* no table yet */
	old = head(&table_l2t2, 0, 10, TABLE);
	expect(&old, 0, 0, 0, S | E | U | I, 640);
	o = head(&table_l2t2, 6, 11, 0);
	assert_int_equal(read_out(&o, 0, &l), -ENOENT);
	next.first_id = 30;
	o = head(&next, 0, 30, TABLE);
	expect(&o, 9000, 0, 0, S | E | U | I, 640);
	assert_int_equal(read_out(&old, 0, &l), -ENOENT); /* repaired late: its time is over */
	expect_of(&next, 3, 31, 9000, 1, 0, S | E | U | I);
	mu_dd_reset(dd);
	o = head(&next, 3, 32, 0);
	assert_int_equal(read_out(&o, 0, &l), -ENOENT);
	expect(&old, 0, 0, 0, S | E | U | I, 640);
}

/* Cut off anywhere: refused, or what is left stands for itself; never read past its end, which sanitizers
 * watch. */
static void test_cut_off(void **state)
{
	struct out o = head(&table_l2t2, 0, 10, TABLE);
	struct mu_payload_layers l;

	(void)state;
	for (size_t len = 0; len < bytes(&o); len++) {
		uint8_t *p = exact(o.data, len);

		assert_true(mu_dd_read(dd, p, len, 0, &l) < 0);
		free(p);
	}
}

/* A table of 64 templates or of layers without end. */
static void test_too_much(void **state)
{
	struct mu_payload_layers l;
	struct out o = { .at = 0 };

	(void)state;
	put(&o, 24, 3u << 22);
	put(&o, 5, TABLE);
	put(&o, 11, 0);
	o.at += 2 * 70; /* templates of one layer, on and on */
	assert_int_equal(read_out(&o, 0, &l), -EBADMSG);
	for (unsigned next = 1; next <= 2; next++) {
		o = (struct out){ .at = 0 };
		put(&o, 24, 3u << 22);
		put(&o, 5, TABLE);
		put(&o, 11, 0);
		for (int i = 0; i < 20; i++)
			put(&o, 2, next);
		put(&o, 32, UINT32_MAX);
		assert_int_equal(read_out(&o, 0, &l), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_temporal_layers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spatial_layers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chromium, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_way_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_active_targets_change_the_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_does_not_fit_the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_much, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
