/* Frames of a WebSocket, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/ws.h"

static struct got {
	char text[400];
	size_t len;
	unsigned n, pings, pongs, code;
	bool stop;
} got;

static bool on_text(void *arg, const char *text, size_t len)
{
	(void)arg;
	assert_int_equal(text[len], '\0');
	snprintf(got.text, sizeof(got.text), "%s", text);
	got.len = len;
	got.n++;
	return !got.stop;
}

static bool on_control(void *arg, enum mu_ws_opcode op, const uint8_t *data, size_t len)
{
	(void)arg;
	(void)data;
	got.pings += op == MU_WS_OP_PING;
	got.pongs += op == MU_WS_OP_PONG;
	got.len = len;
	return !got.stop;
}

static void on_closed(void *arg, unsigned code)
{
	(void)arg;
	got.code = code;
}

static const struct mu_ws_ops ops = { on_text, on_control, on_closed };

/* A client's frame: masked, in the fewest bytes. */
static size_t frame(uint8_t *ret, uint8_t first, const void *data, size_t len)
{
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	size_t n = 2;

	ret[0] = first;
	ret[1] = (uint8_t)(0x80 | (len < 126 ? len : len <= 0xffff ? 126 : 127));
	if (len > 0xffff) {
		mu_put64(ret + n, len);
		n += 8;
	} else if (len >= 126) {
		mu_put16(ret + n, (uint16_t)len);
		n += 2;
	}
	memcpy(ret + n, mask, 4);
	n += 4;
	for (size_t i = 0; i < len; i++)
		ret[n + i] = ((const uint8_t *)data)[i] ^ mask[i & 3];
	return n + len;
}

static unsigned feed(struct mu_ws *ws, uint8_t first, const char *text)
{
	uint8_t buf[400];
	size_t n = frame(buf, first, text, strlen(text));

	return mu_ws_feed(ws, buf, n, &ops, NULL);
}

static void begin(struct mu_ws *ws)
{
	memset(&got, 0, sizeof(got));
	memset(ws, 0, sizeof(*ws));
	ws->max = 300000;
}

/* RFC 6455, section 5.7 */
static void test_vectors(void **state)
{
	static const uint8_t hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58 };
	uint8_t head[MU_WS_HEAD_MAX];
	struct mu_ws ws;

	(void)state;
	begin(&ws);
	assert_int_equal(mu_ws_feed(&ws, hello, sizeof(hello), &ops, NULL), 0);
	assert_string_equal(got.text, "Hello");
	assert_false(mu_ws_unfinished(&ws));
	for (size_t i = 0; i < sizeof(hello); i++) { /* in the smallest pieces */
		assert_int_equal(mu_ws_feed(&ws, hello + i, 1, &ops, NULL), 0);
		assert_int_equal(mu_ws_unfinished(&ws), i + 1 < sizeof(hello));
	}
	assert_int_equal(got.n, 2);
	assert_int_equal(mu_ws_head(head, MU_WS_OP_TEXT, 5), 2);
	assert_memory_equal(head, "\x81\x05", 2);
	assert_int_equal(mu_ws_head(head, MU_WS_OP_TEXT, 256), 4);
	assert_memory_equal(head, "\x81\x7e\x01\x00", 4);
	assert_int_equal(mu_ws_head(head, MU_WS_OP_TEXT, 65536), 10);
	assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
	mu_ws_done(&ws);
}

static void test_fragments(void **state)
{
	struct mu_ws ws;

	(void)state;
	begin(&ws);
	assert_int_equal(feed(&ws, 0x01, "one "), 0);
	assert_int_equal(feed(&ws, 0x89, "ping between"), 0);
	assert_int_equal(got.pings, 1);
	assert_int_equal(feed(&ws, 0x00, "\xe4\xb8"), 0); /* half a character */
	assert_true(mu_ws_unfinished(&ws));
	assert_int_equal(feed(&ws, 0x80, "\x9c"), 0);
	assert_string_equal(got.text, "one \xe4\xb8\x9c");
	assert_int_equal(got.n, 1);
	assert_int_equal(feed(&ws, 0x81, ""), 0);
	assert_int_equal(got.n, 2);
	assert_int_equal(feed(&ws, 0x8a, ""), 0);
	assert_int_equal(got.pongs, 1);
	mu_ws_done(&ws);
}

static void test_large(void **state)
{
	char *text = malloc(300001);
	uint8_t *buf = malloc(300100);
	struct mu_ws ws;
	size_t n;

	(void)state;
	memset(text, 'a', 300001);
	begin(&ws);
	n = frame(buf, 0x81, text, 300000);
	assert_int_equal(mu_ws_feed(&ws, buf, n, &ops, NULL), 0);
	assert_int_equal(got.len, 300000);
	n = frame(buf, 0x81, text, 300001);
	assert_int_equal(mu_ws_feed(&ws, buf, n, &ops, NULL), MU_WS_TOO_LARGE);
	mu_ws_done(&ws);
	/* and of many small ones */
	begin(&ws);
	assert_int_equal(feed(&ws, 0x01, "a"), 0);
	n = frame(buf, 0x00, text, 1000);
	for (int i = 0; i < 299; i++)
		assert_int_equal(mu_ws_feed(&ws, buf, n, &ops, NULL), 0);
	assert_int_equal(mu_ws_feed(&ws, buf, n, &ops, NULL), MU_WS_TOO_LARGE);
	mu_ws_done(&ws);
	free(text);
	free(buf);
}

static void test_refused(void **state)
{
	static const struct {
		uint8_t bytes[16];
		size_t len;
		unsigned code;
	} table[] = {
		{ { 0x81, 0x05 }, 2, MU_WS_PROTOCOL }, /* not masked */
		{ { 0xc1, 0x85 }, 2, MU_WS_PROTOCOL }, /* RSV1 */
		{ { 0x83, 0x80 }, 2, MU_WS_PROTOCOL }, /* unknown opcodes */
		{ { 0x8b, 0x80 }, 2, MU_WS_PROTOCOL },
		{ { 0x80, 0x80 }, 2, MU_WS_PROTOCOL }, /* goes on with nothing */
		{ { 0x09, 0x80 }, 2, MU_WS_PROTOCOL }, /* a ping in pieces */
		{ { 0x89, 0xfe }, 2, MU_WS_PROTOCOL }, /* a ping too large */
		{ { 0x82, 0x80 }, 2, MU_WS_NO_TEXT },  /* binary */
		{ { 0x81, 0xfe, 0, 5, 1, 2, 3, 4 }, 8,
			MU_WS_PROTOCOL }, /* a length in more bytes than needed */
		{ { 0x81, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4 }, 14, MU_WS_PROTOCOL },
		{ { 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4 }, 14,
			MU_WS_PROTOCOL },
		{ { 0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4 }, 14,
			MU_WS_TOO_LARGE },
		{ { 0x81, 0x81, 0, 0, 0, 0, 0xff }, 7, MU_WS_NO_UTF8 },
		{ { 0x81, 0x82, 0, 0, 0, 0, 0xc0, 0x80 }, 8, MU_WS_NO_UTF8 },  /* NUL in two bytes */
		{ { 0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80 }, 8, MU_WS_PROTOCOL }, /* a message in a message */
		{ { 0x88, 0x81, 0, 0, 0, 0, 3 }, 7, MU_WS_PROTOCOL },          /* half a code */
		{ { 0x88, 0x82, 0, 0, 0, 0, 3, 0xed }, 8, MU_WS_PROTOCOL },    /* 1005 */
		{ { 0x88, 0x83, 0, 0, 0, 0, 3, 0xe8, 0xff }, 9, MU_WS_NO_UTF8 },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		struct mu_ws ws;

		begin(&ws);
		if (mu_ws_feed(&ws, table[i].bytes, table[i].len, &ops, NULL) != table[i].code)
			fail_msg("row %zu", i);
		assert_int_equal(got.n + got.code, 0);
		assert_true(ws.size <= 1024); /* a header reserves nothing */
		mu_ws_done(&ws);
	}
}

static void test_close(void **state)
{
	struct mu_ws ws;

	(void)state;
	begin(&ws);
	assert_int_equal(feed(&ws, 0x88, "\x03\xe9gone"), 0);
	assert_int_equal(got.code, 1001);
	assert_int_equal(feed(&ws, 0x81, "more"), 0); /* nothing is heard any more */
	assert_int_equal(got.n, 0);
	mu_ws_done(&ws);
	begin(&ws);
	assert_int_equal(feed(&ws, 0x88, ""), 0);
	assert_int_equal(got.code, MU_WS_NONE);
	mu_ws_done(&ws);
	begin(&ws);
	got.stop = true;
	assert_int_equal(feed(&ws, 0x81, "last"), 0);
	assert_int_equal(feed(&ws, 0x81, "more"), 0);
	assert_int_equal(got.n, 1);
	mu_ws_done(&ws);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
