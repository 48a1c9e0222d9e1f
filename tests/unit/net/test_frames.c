/* Frames on a stream: cut anywhere, empty, too long. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "net/net_internal.h"

static size_t write_frames(const size_t *sizes, size_t n, uint8_t *ret)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t all = frame_head(sizes[i], ret + at);

		assert_int_equal(all, FRAME_HEAD + sizes[i]);
		memset(ret + at + FRAME_HEAD, (int)i, sizes[i]);
		at += all;
	}
	return at;
}

/* However much of the stream is there: frames that are whole come out, and the rest waits where it is. */
static void test_cut_at_every_byte(void **state)
{
	static const size_t sizes[] = { 1, 700, 0, MU_DATAGRAM_MAX, 2, 0, 20 };
	uint8_t data[2400];
	size_t len = write_frames(sizes, MU_ARRAY_LEN(sizes), data);

	(void)state;
	for (size_t have = 0; have <= len; have++) {
		size_t at = 0, got_len, end = 0;
		const uint8_t *got;

		for (size_t i = 0; i < MU_ARRAY_LEN(sizes); i++) {
			end += FRAME_HEAD + sizes[i];
			if (sizes[i] == 0 || end > have)
				continue;
			assert_int_equal(frame_next(data, have, &at, &got, &got_len), 1);
			assert_int_equal(got_len, sizes[i]);
			assert_ptr_equal(got + got_len, data + end);
			assert_int_equal(got[0], i);
			assert_int_equal(at, end);
		}
		assert_int_equal(frame_next(data, have, &at, &got, &got_len), 0);
		assert_true(have - at < FRAME_MAX);
	}
}

static void test_too_long(void **state)
{
	uint8_t data[] = { 0, 1, 7, (MU_DATAGRAM_MAX + 1) >> 8, (MU_DATAGRAM_MAX + 1) & 0xff };
	const uint8_t *got;
	size_t at = 0, len;

	(void)state;
	assert_int_equal(
		frame_next(data, sizeof(data), &at, &got, &len), 1); /* what came before it is good */
	assert_int_equal(frame_next(data, sizeof(data), &at, &got, &len), -EBADMSG);
	assert_int_equal(
		frame_next(data, sizeof(data) - 1, &at, &got, &len), 0); /* half a length says nothing */
	at = 0;
	assert_int_equal(frame_next((const uint8_t *)"\xff\xff", 2, &at, &got, &len), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
