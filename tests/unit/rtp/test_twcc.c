#include "check.h"

#define NEVER INT64_MIN
#define BIG   (1 << 16)

/* What a sender would learn, by 16-bit number: ticks of 250 us modulo 2^32, as 24 bits of 64 ms are. */
struct learned {
	int64_t tick[BIG];
	bool said[BIG];
	unsigned n_symbols;
	uint16_t base;
	uint8_t count;
};
static struct learned got;

static void reset(void)
{
	memset(&got, 0, sizeof(got));
	for (size_t i = 0; i < BIG; i++)
		got.tick[i] = NEVER;
}

/* Written from the draft's section 3.1 and not from the writer: symbols first, all of them, then deltas. */
static void decode(const uint8_t *p, size_t len)
{
	static uint8_t symbols[BIG + 16];
	size_t n = mu_get16(p + 14), have = 0, at = 20;
	int64_t now = (int64_t)mu_get24(p + 16) * 256;

	assert_int_equal(p[0], 0x8f);
	assert_int_equal(p[1], 205);
	assert_int_equal((mu_get16(p + 2) + 1) * 4, len);
	assert_true(n > 0);
	while (have < n) {
		uint16_t c;

		assert_true(at + 2 <= len);
		c = mu_get16(p + at);
		at += 2;
		if (!(c & 0x8000)) {
			assert_true(c & 0x1fff);
			for (unsigned i = 0; i < (c & 0x1fff) && have < n; i++)
				symbols[have++] = c >> 13 & 3;
		} else if (c & 0x4000) {
			for (int i = 12; i >= 0; i -= 2)
				symbols[have++] = c >> i & 3;
		} else {
			for (int i = 13; i >= 0; i--)
				symbols[have++] = c >> i & 1;
		}
	}
	got.base = mu_get16(p + 12);
	got.n_symbols = (unsigned)n;
	got.count = p[19];
	for (size_t i = 0; i < n; i++) {
		uint16_t seq = (uint16_t)(got.base + i);

		got.said[seq] = true;
		if (symbols[i] == 1) {
			assert_true(at + 1 <= len);
			now += p[at++];
		} else if (symbols[i] == 2) {
			assert_true(at + 2 <= len);
			now += (int16_t)mu_get16(p + at);
			at += 2;
		}
		assert_true(symbols[i] < 3);
		if (symbols[i])
			got.tick[seq] = now & 0xffffffff;
	}
	assert_true(len - at < 4);
	while (at < len)
		assert_int_equal(p[at++], 0);
}

static size_t report(struct mu_twcc_rx *t, size_t size)
{
	uint8_t *buf = malloc(size);
	size_t len;

	assert_non_null(buf);
	len = mu_twcc_rx_report(t, 1, 2, buf, size);
	assert_true(len <= size);
	if (len) {
		assert_int_equal(mu_get32(buf + 4), 1);
		assert_int_equal(mu_get32(buf + 8), 2);
		decode(buf, len);
	}
	free(buf);
	return len;
}

static struct mu_twcc_rx *twcc_new(void)
{
	struct mu_twcc_rx *t = NULL;

	reset();
	assert_int_equal(mu_twcc_rx_new(&t), 0);
	return t;
}

static void test_bytes_by_hand(void **state)
{
	/* 65535 at 64 ms + 1 ms, 0 at +2 ms, 1 lost, 2 at 100 ms later: symbols 1 1 0 2 */
	static const uint8_t want[] = { 0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0, 4, 0, 0, 1, 0,
		0xd4, 0x80, 4, 4, 0x01, 0x90, 0, 0 };
	struct mu_twcc_rx *t = twcc_new();
	uint8_t buf[100];

	(void)state;
	assert_int_equal(mu_twcc_rx_report(t, 1, 2, buf, sizeof(buf)), 0);
	mu_twcc_rx_packet(t, 65535, 65000);
	mu_twcc_rx_packet(t, 0, 66000);
	mu_twcc_rx_packet(t, 2, 166000);
	assert_int_equal(mu_twcc_rx_report(t, 1, 2, buf, sizeof(buf)), sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
	assert_int_equal(mu_twcc_rx_report(t, 1, 2, buf, sizeof(buf)), 0);
	mu_twcc_rx_free(t);
}

static void test_chunk_forms(void **state)
{
	static const struct {
		unsigned n, step, burst; /* packets, every so many one is missing, us between */
		size_t len;
	} rows[] = {
		{ 1000, 0, 250, 20 + 2 + 1000 + 2 },     /* one run */
		{ 14, 2, 250, 20 + 2 + 7 + 3 },          /* one vector of one bit */
		{ 7, 3, 70000, 20 + 2 + 5 * 2 - 1 + 1 }, /* one of two bits; the first delta is small */
	};

	(void)state;
	for (size_t r = 0; r < MU_ARRAY_LEN(rows); r++) {
		struct mu_twcc_rx *t = twcc_new();
		size_t len;

		for (uint16_t i = 0; i < rows[r].n; i++) {
			/* the last always comes: what is after it nobody knows of */
			if (!rows[r].step || i % rows[r].step != 1 || i + 1u == rows[r].n)
				mu_twcc_rx_packet(t, i, (int64_t)i * rows[r].burst);
		}
		len = report(t, 1200);
		assert_int_equal(len % 4, 0);
		assert_int_equal(got.n_symbols, rows[r].n);
		assert_true(len >= rows[r].len && len <= rows[r].len + 3);
		mu_twcc_rx_free(t);
	}
}

static void test_feedback_count_and_reference_wrap(void **state)
{
	struct mu_twcc_rx *t = twcc_new();
	int64_t wrap_us = 64000ll << 24;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		int64_t at = wrap_us - 150 * 64000 + i * 64000ll;

		mu_twcc_rx_packet(t, (uint16_t)i, at);
		assert_int_not_equal(report(t, 1200), 0);
		assert_int_equal(got.count, i & 0xff);
		assert_int_equal(got.tick[i], at / 250 & 0xffffffff);
	}
	mu_twcc_rx_free(t);
}

static void test_delta_too_large_begins_anew(void **state)
{
	struct mu_twcc_rx *t = twcc_new();

	(void)state;
	mu_twcc_rx_packet(t, 10, 1000000);
	mu_twcc_rx_packet(t, 12, 1000000 + 32767 * 250 + 250);
	assert_int_not_equal(report(t, 1200), 0);
	assert_int_equal(got.n_symbols, 2);
	assert_int_not_equal(report(t, 1200), 0);
	assert_int_equal(got.base, 12);
	assert_int_equal(report(t, 1200), 0);
	assert_int_equal(got.tick[10], 4000);
	assert_int_equal(got.tick[11], NEVER);
	assert_int_equal(got.tick[12], 4000 + 32768);
	mu_twcc_rx_free(t);
}

static void test_late_arrival_is_told(void **state)
{
	struct mu_twcc_rx *t = twcc_new();

	(void)state;
	mu_twcc_rx_packet(t, 5, 10000);
	mu_twcc_rx_packet(t, 7, 11000);
	report(t, 1200);
	assert_int_equal(got.tick[6], NEVER);
	mu_twcc_rx_packet(t, 6, 12000); /* after it was said to be lost */
	mu_twcc_rx_packet(t, 7, 99000); /* a duplicate changes nothing */
	report(t, 1200);
	assert_int_equal(got.tick[6], 48);
	assert_int_equal(got.tick[7], 44);
	mu_twcc_rx_packet(t, 4, 13000); /* before the very first */
	report(t, 1200);
	assert_int_equal(got.tick[4], 52);
	assert_int_equal(report(t, 1200), 0);
	mu_twcc_rx_free(t);
}

static void test_gap_beyond_window(void **state)
{
	struct mu_twcc_rx *t = twcc_new();

	(void)state;
	mu_twcc_rx_packet(t, 5, 10000);
	mu_twcc_rx_packet(t, 5 + 30000, 20000);
	assert_int_not_equal(report(t, 1200), 0);
	assert_int_equal(got.n_symbols, MU_TWCC_WINDOW);
	assert_int_equal(got.tick[30005], 80);
	assert_int_equal(report(t, 1200), 0);
	mu_twcc_rx_packet(t, 1000, 30000); /* the sender starts over */
	assert_int_not_equal(report(t, 1200), 0);
	assert_int_equal(got.tick[1000], 120);
	mu_twcc_rx_free(t);
}

static void test_sizes(void **state)
{
	(void)state;
	for (size_t size = 0; size < 64; size++) {
		struct mu_twcc_rx *t = twcc_new();
		unsigned calls = 0;

		for (uint16_t i = 0; i < 900; i++) {
			if (i % 7 != 3 && i % 100 < 60)
				mu_twcc_rx_packet(t, i, i * 1000 + (i % 5) * 80000);
		}
		while (report(t, size) && calls < 2000)
			calls++;
		assert_true(calls < 2000);
		for (uint16_t i = 0; size >= 24 && i < 860; i++) {
			bool came = i % 7 != 3 && i % 100 < 60;

			assert_int_equal(got.tick[i], came ? (i * 1000 + (i % 5) * 80000) / 250 : NEVER);
			assert_true(got.said[i]);
		}
		mu_twcc_rx_free(t);
	}
}

/* Any arrivals, reports of any size in between: what the sender has learned in the end is what came. */
static void test_random(void **state)
{
	static int64_t came[BIG];

	(void)state;
	for (uint32_t round = 1; round <= 40; round++) {
		struct mu_twcc_rx *t = twcc_new();
		uint32_t seed = round * 7919, start = round * 6007;
		int64_t now = 1000000 + (int64_t)round * 777777;

		for (size_t i = 0; i < BIG; i++)
			came[i] = NEVER;
		for (unsigned i = 0; i < 6000; i++) {
			uint32_t r = next_random(&seed);
			uint16_t seq = (uint16_t)(start + i - (i > 40 && r % 10 == 0 ? r / 16 % 40 : 0));

			if (r % 97 == 0)
				i += r / 128 % 60; /* a burst of losses */
			if (r % 6 == 5)
				continue;
			now += r / 1024 % (round % 3 ? 900 : 200000);
			mu_twcc_rx_packet(t, seq, now);
			if (came[seq] == NEVER)
				came[seq] = now / 250 & 0xffffffff;
			if (next_random(&seed) % 60 == 0) {
				while (report(t, 40 + next_random(&seed) % 1200))
					;
			}
		}
		while (report(t, 1200))
			;
		for (size_t i = 0; i < BIG; i++)
			assert_int_equal(got.tick[i], came[i]);
		mu_twcc_rx_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_by_hand),
		cmocka_unit_test(test_chunk_forms),
		cmocka_unit_test(test_feedback_count_and_reference_wrap),
		cmocka_unit_test(test_delta_too_large_begins_anew),
		cmocka_unit_test(test_late_arrival_is_told),
		cmocka_unit_test(test_gap_beyond_window),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
