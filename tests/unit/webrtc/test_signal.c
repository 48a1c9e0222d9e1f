#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schema.h"
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

static void test_hello_and_offer(void **state)
{
	(void)state;
	assert_int_equal(
		parse("{\"type\": \"hello\", \"id\": 1, \"token\": \"t\", \"endpoint\": \"city/duty-1\"}"),
		0);
	assert_string_equal(s.endpoint, "city/duty-1");
	mu_signal_done(&s);
	assert_int_equal(parse("{\"type\": \"hello\", \"id\": 1, \"token\": \"t\", \"endpoint\": \"duty\"}"),
		-EBADMSG);
	assert_int_equal(parse("{\"type\": \"offer\", \"id\": 2, \"sdp\": \"v=0\"}"), 0);
	assert_int_equal(s.n_sent, 0);
	assert_false(s.fresh);
	mu_signal_done(&s);
	assert_int_equal(
		parse("{\"type\": \"offer\", \"id\": 2, \"sdp\": \"v=0\", \"fresh\": true, \"tracks\": "
		      "[{\"mid\": \"0\", \"label\": \"audio\"}, {\"mid\": \"2\", \"label\": \"screen\"}]}"),
		0);
	assert_true(s.fresh);
	assert_int_equal(s.n_sent, 2);
	assert_string_equal(s.sent[1].mid, "2");
	assert_string_equal(s.sent[1].label, "screen");
	mu_signal_done(&s);
	assert_int_equal(
		parse("{\"type\": \"offer\", \"id\": 2, \"sdp\": \"v=0\", \"tracks\": [{\"mid\": \"0\", "
		      "\"label\": \"slides\"}]}"),
		-EBADMSG);
	assert_int_equal(parse("{\"type\": \"restart\", \"id\": 3, \"fresh\": 1}"), -EBADMSG);
}

/* --- the schema --- */

static char why[256];

static bool parses(const json_t *o)
{
	char *text = json_dumps(o, 0);
	bool ok = parse(text) == 0;

	mu_signal_done(&s);
	free(text);
	return ok;
}

/* The parser and the schema take the same: a message as it is, without each of its members, and with each of
 * them wrong. */
static void check_both(const json_t *message)
{
	json_t *wrong[] = { json_integer(-1), json_integer(99999999999), json_string(""), json_true(),
		json_array(), json_object() };
	const char *key;
	json_t *v;

	if (!schema_fits("client", message, true, why, sizeof(why)))
		fail_msg("%s", why);
	assert_true(parses(message));
	json_object_foreach((json_t *)(uintptr_t)message, key, v)
	{
		for (size_t i = 0; i <= MU_ARRAY_LEN(wrong); i++) {
			json_t *o = json_copy((json_t *)(uintptr_t)message);

			if (i < MU_ARRAY_LEN(wrong))
				json_object_set(o, key, wrong[i]);
			else
				json_object_del(o, key);
			/* an empty endpoint is none, which the schema need not know */
			if (!(i == 2 && strcmp(key, "endpoint") == 0) &&
				schema_fits("client", o, false, why, sizeof(why)) != parses(o))
				fail_msg("%s of %s: read %d; %s", key,
					json_string_value(json_object_get(message, "type")), parses(o), why);
			json_decref(o);
		}
	}
	for (size_t i = 0; i < MU_ARRAY_LEN(wrong); i++)
		json_decref(wrong[i]);
}

static void test_schema_of_what_is_read(void **state)
{
	static const char *const messages[] = {
		"{\"type\": \"hello\", \"id\": 1, \"token\": \"t\", \"endpoint\": \"city/a\", \"session\": \"s\"}",
		"{\"type\": \"join\", \"id\": 1, \"conference\": \"c\", \"name\": \"n\"}",
		"{\"type\": \"leave\", \"id\": 1}",
		"{\"type\": \"offer\", \"id\": 1, \"sdp\": \"v=0\", \"fresh\": false, \"tracks\": [{\"mid\": \"0\", \"label\": "
		"\"audio\"}]}",
		"{\"type\": \"view\", \"id\": 1, \"tracks\": [{\"endpoint\": \"city/a\", \"label\": \"video\", \"width\": 1, "
		"\"height\": 2}]}",
		"{\"type\": \"answer\", \"id\": 1, \"n\": 1, \"sdp\": \"v=0\"}",
		"{\"type\": \"candidate\", \"id\": 1, \"pc\": \"up\", \"candidate\": \"\", \"mid\": \"0\"}",
		"{\"type\": \"restart\", \"id\": 1, \"fresh\": true}",
		"{\"type\": \"act\", \"id\": 1, \"act\": \"floor.request\"}",
	};

	(void)state;
	assert_int_equal(
		MU_ARRAY_LEN(messages), json_array_size(json_object_get(schema_def("client"), "oneOf")));
	for (size_t i = 0; i < MU_ARRAY_LEN(messages); i++) {
		json_t *o = json_loads(messages[i], 0, NULL);

		assert_non_null(o);
		check_both(o);
		json_decref(o);
	}
}

static void test_schema_of_acts(void **state)
{
	const json_t *acts = json_object_get(
		json_object_get(json_object_get(schema_def("act"), "properties"), "act"), "enum");
	const json_t *one;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(acts), MU_ACT_END + 1);
	json_array_foreach(acts, i, one)
	{
		json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:s}", "type", "act", "id", 1, "act",
			json_string_value(one), "endpoint", "city/a", "value", "chair");

		assert_true(parses(o));
		assert_int_equal(s.act, i);
		json_decref(o);
	}
}

/* What the page shows is what is meant. */
static void test_examples(void **state)
{
	FILE *f = fopen(MU_TEST_DOCS "/signalling.md", "r");
	char line[4096];
	bool inside = false;
	unsigned n = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *o = inside ? json_loads(line, 0, NULL) : NULL;

		inside = strcmp(line, "```json\n") == 0;
		if (!o)
			continue;
		n++;
		if (!(schema_fits("client", o, true, why, sizeof(why)) && parses(o)) &&
			!schema_fits("gateway", o, true, why, sizeof(why)))
			fail_msg("%s: %s", why, line);
		json_decref(o);
	}
	assert_true(n > 8);
	fclose(f);
}

static void test_answers(void **state)
{
	json_t *ok = mu_signal_ok(7), *error = mu_signal_error(8, 403, "not allowed", "why");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(ok, "id")), 7);
	assert_int_equal(json_integer_value(json_object_get(error, "id")), 8);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(error, "error"), "status")), 403);
	assert_true(schema_fits("gateway", ok, true, why, sizeof(why)));
	assert_true(schema_fits("gateway", error, true, why, sizeof(why)));
	json_decref(ok);
	json_decref(error);
	error = mu_signal_error(0, 400, "bad", "no id");
	assert_null(json_object_get(error, "id"));
	json_decref(error);
}

static int setup(void **state)
{
	(void)state;
	schema_load();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	schema_unload();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_type),
		cmocka_unit_test(test_acts),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_hello_and_offer),
		cmocka_unit_test(test_schema_of_what_is_read),
		cmocka_unit_test(test_schema_of_acts),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
