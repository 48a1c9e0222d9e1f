#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "camera/strip.h"

#define W 640
#define H 360

static uint8_t frame[W * H];

static void test_reads_what_was_drawn(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 2, 0x555555, 0xaaaaaa, 0xffffff, 0x800000, 123456 };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint32_t n = ~0u;

		memset(frame, 128, sizeof(frame));
		strip_draw(frame, W, W, H, numbers[i]);
		assert_true(strip_read(frame, W, W, H, &n));
		assert_int_equal(n, numbers[i]);
	}
}

static void test_survives_noise_and_halving(void **state)
{
	static uint8_t half[W / 2 * H / 2];
	uint32_t n = 0, seed = 1;

	(void)state;
	strip_draw(frame, W, W, H, 0x123456);
	for (size_t i = 0; i < sizeof(frame); i++) {
		int v = frame[i];

		seed = seed * 1664525u + 1013904223u;
		v += (int)(seed >> 24) / 4 - 32;
		frame[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
	}
	assert_true(strip_read(frame, W, W, H, &n));
	assert_int_equal(n, 0x123456);
	for (unsigned y = 0; y < H / 2; y++) {
		for (unsigned x = 0; x < W / 2; x++)
			half[y * (W / 2) + x] = frame[2 * y * W + 2 * x];
	}
	n = 0;
	assert_true(strip_read(half, W / 2, W / 2, H / 2, &n));
	assert_int_equal(n, 0x123456);
}

static void test_a_flipped_bit_is_seen(void **state)
{
	uint32_t n;

	(void)state;
	strip_draw(frame, W, W, H, 0x00f0f0);
	for (unsigned y = 0; y < H / STRIP_HEIGHT; y++)
		memset(frame + y * W + W * 5 / STRIP_CELLS, 235, W / STRIP_CELLS + 1);
	assert_false(strip_read(frame, W, W, H, &n));
}

static void test_no_strip(void **state)
{
	uint32_t n;

	(void)state;
	memset(frame, 128, sizeof(frame));
	assert_false(strip_read(frame, W, W, H, &n));
	assert_false(strip_read(frame, W, 60, 40, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_was_drawn),
		cmocka_unit_test(test_survives_noise_and_halving),
		cmocka_unit_test(test_a_flipped_bit_is_seen),
		cmocka_unit_test(test_no_strip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
