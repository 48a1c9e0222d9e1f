#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "webrtc/signal.h"

static struct mu_signal s;
static struct mu_error e;

static int parse(const char *text)
{
	return mu_signal_parse(text, strlen(text), &s, &e);
}

static void test_each_type(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"type\": \"hello\", \"id\": 1, \"token\": \"t\"}"), 0);
	assert_int_equal(s.type, MU_SIGNAL_HELLO);
	assert_string_equal(s.token, "t");
	assert_string_equal(s.session, "");
	mu_signal_done(&s);
	assert_int_equal(
		parse("{\"type\": \"join\", \"id\": 2, \"conference\": \"c\", \"name\": \"\xe4\xb8\x9c\", \"more\": 7}"),
		0);
	assert_string_equal(s.name, "\xe4\xb8\x9c");
	mu_signal_done(&s);
	assert_int_equal(parse("{\"type\": \"answer\", \"id\": 3, \"n\": 9, \"sdp\": \"v=0\"}"), 0);
	assert_int_equal(s.n, 9);
	mu_signal_done(&s);
	assert_int_equal(
		parse("{\"type\": \"candidate\", \"id\": 4, \"pc\": \"down\", \"candidate\": \"\", \"mid\": \"1\"}"),
		0);
	assert_true(s.down);
	mu_signal_done(&s);
	assert_int_equal(parse("{\"type\": \"leave\", \"id\": 5}"), 0);
	mu_signal_done(&s);
	assert_int_equal(parse("{\"type\": \"restart\", \"id\": 2147483647}"), 0);
	assert_int_equal(s.id, INT32_MAX);
	mu_signal_done(&s);
	assert_int_equal(
		parse("{\"type\": \"view\", \"id\": 6, \"tracks\": [{\"endpoint\": \"city/a\", \"label\": \"video\", "
		      "\"width\": 640, \"height\": 360}, {\"endpoint\": \"city/b\", \"label\": \"screen\"}]}"),
		0);
	assert_int_equal(s.n_views, 2);
	assert_int_equal(s.views[0].height, 360);
	assert_int_equal(s.views[1].width, 0);
	mu_signal_done(&s);
}

static void test_acts(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"type\": \"act\", \"id\": 1, \"act\": \"floor.request\"}"), 0);
	assert_int_equal(s.act, MU_ACT_FLOOR_REQUEST);
	mu_signal_done(&s);
	assert_int_equal(
		parse("{\"type\": \"act\", \"id\": 1, \"act\": \"role\", \"endpoint\": \"city/a\", \"value\": \"chair\"}"),
		0);
	assert_string_equal(s.endpoint, "city/a");
	assert_string_equal(s.value, "chair");
	mu_signal_done(&s);
	assert_int_equal(parse("{\"type\": \"act\", \"id\": 1, \"act\": \"broadcast\"}"), 0);
	assert_string_equal(s.endpoint, "");
	mu_signal_done(&s);
	assert_int_equal(parse("{\"type\": \"act\", \"id\": 8, \"act\": \"mute\"}"), -EBADMSG);
	assert_string_equal(e.text, "'endpoint' is missing");
	assert_int_equal(s.id, 8); /* so that the answer finds its request */
	assert_int_equal(
		parse("{\"type\": \"act\", \"id\": 1, \"act\": \"mute\", \"endpoint\": \"../x\"}"), -EBADMSG);
	assert_int_equal(parse("{\"type\": \"act\", \"id\": 1, \"act\": \"fly\"}"), -ENOTSUP);
	assert_string_equal(e.text, "there is no act 'fly'");
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} table[] = {
		{ "", -EBADMSG },
		{ "nonsense", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{\"type\": \"leave\"}", -EBADMSG },
		{ "{\"type\": \"leave\", \"id\": 0}", -EBADMSG },
		{ "{\"type\": \"leave\", \"id\": 2147483648}", -EBADMSG },
		{ "{\"type\": \"leave\", \"id\": \"1\"}", -EBADMSG },
		{ "{\"type\": 7, \"id\": 1}", -EBADMSG },
		{ "{\"type\": \"dance\", \"id\": 1}", -ENOTSUP },
		{ "{\"type\": \"hello\", \"id\": 1}", -EBADMSG },
		{ "{\"type\": \"hello\", \"id\": 1, \"token\": {}}", -EBADMSG },
		{ "{\"type\": \"leave\", \"id\": 1, \"id\": 2}", -EBADMSG },
		{ "{\"type\": \"candidate\", \"id\": 1, \"pc\": \"left\", \"candidate\": \"\"}", -EBADMSG },
		{ "{\"type\": \"view\", \"id\": 1, \"tracks\": {}}", -EBADMSG },
		{ "{\"type\": \"view\", \"id\": 1, \"tracks\": [7]}", -EBADMSG },
		{ "{\"type\": \"view\", \"id\": 1, \"tracks\": [{\"endpoint\": \"city/a\", \"label\": \"\"}]}",
			-EBADMSG },
		{ "{\"type\": \"view\", \"id\": 1, \"tracks\": [{\"endpoint\": \"city/a\", \"label\": \"a-label-too-long-here\"}]}",
			-EBADMSG },
		{ "{\"type\": \"view\", \"id\": 1, \"tracks\": [{\"endpoint\": \"city/a\", \"label\": \"video\", \"width\": -1}]}",
			-EBADMSG },
		{ "{\"type\": \"hello\", \"id\": 1, \"token\": \"\xff\"}", -EBADMSG },
		{ "{\"a\":[[[[[[[[[[]]]]]]]]]]}", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		e.text[0] = '\0';
		if (parse(table[i].text) != table[i].err)
			fail_msg("%s", table[i].text);
		assert_true(e.text[0] != '\0');
		assert_null(s.json);
	}
}

static void test_bounds(void **state)
{
	static char big[MU_SIGNAL_SIZE_MAX + 2];
	char many[8192] = "{\"type\": \"view\", \"id\": 1, \"tracks\": [";

	(void)state;
	memset(big, '[', sizeof(big));
	assert_int_equal(mu_signal_parse(big, sizeof(big), &s, &e), -EBADMSG);
	assert_int_equal(mu_signal_parse(big, 100000, &s, &e), -EBADMSG);
	/* brackets in strings are no nesting */
	assert_int_equal(parse("{\"type\": \"leave\", \"id\": 1, \"x\": \"[[[[[[[[[[[[[\\\"[[[[\"}"), 0);
	mu_signal_done(&s);
	for (int i = 0; i <= MU_SIGNAL_VIEWS_MAX; i++)
		strcat(many,
			i ? ",{\"endpoint\": \"city/a\", \"label\": \"video\"}"
			  : "{\"endpoint\": \"city/a\", \"label\": \"v\"}");
	strcat(many, "]}");
	assert_int_equal(parse(many), -EBADMSG);
	assert_string_equal(e.text, "'tracks' has to be a list of at most 64");
}

static void test_answers(void **state)
{
	json_t *ok = mu_signal_ok(7), *error = mu_signal_error(8, 403, "not allowed", "why");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(ok, "id")), 7);
	assert_int_equal(json_integer_value(json_object_get(error, "id")), 8);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(error, "error"), "status")), 403);
	json_decref(ok);
	json_decref(error);
	error = mu_signal_error(0, 400, "bad", "no id");
	assert_null(json_object_get(error, "id"));
	json_decref(error);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_type),
		cmocka_unit_test(test_acts),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
