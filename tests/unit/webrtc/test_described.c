/* What openapi.yaml says of ids, sessions, endpoints and events, held against what is made here. */
#include <yaml.h>

#include "conference/conference.h"
#include "console/console.h"
#include "fake_transport.h"

extern const struct mu_asset mu_api_assets[];

static yaml_document_t doc;

static yaml_node_t *at(yaml_node_t *map, const char *key)
{
	assert_int_equal(map->type, YAML_MAPPING_NODE);
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		if (strcmp((char *)yaml_document_get_node(&doc, p->key)->data.scalar.value, key) == 0)
			return yaml_document_get_node(&doc, p->value);
	}
	fail_msg("openapi.yaml has no %s", key);
	return NULL;
}

static yaml_node_t *component(const char *kind, const char *name)
{
	return at(at(at(yaml_document_get_root_node(&doc), "components"), kind), name);
}

static size_t length(const yaml_node_t *list)
{
	return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static bool lists(const yaml_node_t *list, const char *text)
{
	for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top; i++) {
		if (strcmp((char *)yaml_document_get_node(&doc, *i)->data.scalar.value, text) == 0)
			return true;
	}
	return false;
}

static int load(void **state)
{
	yaml_parser_t p;

	(void)state;
	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, mu_api_assets[0].data, mu_api_assets[0].len);
	assert_int_equal(yaml_parser_load(&p, &doc), 1);
	yaml_parser_delete(&p);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	yaml_document_delete(&doc);
	return 0;
}

/* --- ids --- */

static char *pattern(const char *parameter)
{
	return (char *)at(at(component("parameters", parameter), "schema"), "pattern")->data.scalar.value;
}

static bool fits(const char *id)
{
	const char *slash = strchr(id, '/');
	char *site = g_strndup(id, slash ? (size_t)(slash - id) : 0);
	bool ret = slash && strlen(site) <= 63 && g_regex_match_simple(pattern("site"), site, 0, 0) &&
		g_regex_match_simple(pattern("name"), slash + 1, 0, 0);

	g_free(site);
	return ret;
}

static void test_ids_have_one_pattern(void **state)
{
	static const char *const ids[] = { "city/cam", "city.east/cam-0312", "a.b.c/A_b.C-9", "1/x", "a--b/_",
		"", "city", "/cam", "city/", "city/..", "city/.hidden", "city/-x", "city/a/b", "city/a b",
		"city/\xc3\xa9", ".city/x", "city./x", "ci..ty/x", "-city/x", "city-/x", "ci_ty/x", "City/x",
		"../x", "city-.east/x", "a.-b/x",
		"city/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"city/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x" };
	const struct mu_asset *js = mu_asset_find(mu_console_assets, "publish.js");
	char *site = pattern("site"), *console;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(ids); i++) {
		if (fits(ids[i]) != mu_endpoint_id_valid(ids[i]))
			fail_msg("\"%s\": openapi.yaml says otherwise whether it is an id", ids[i]);
	}
	/* the console's is the two, with a slash between */
	console = g_strdup_printf("/%.*s\\/%s/", (int)strlen(site) - 1, site, pattern("name") + 1);
	assert_non_null(memmem(js->data, js->len, console, strlen(console)));
	g_free(console);
}

/* --- sessions and endpoints --- */

static void expect_properties(const json_t *o, yaml_node_t *properties, const char *schema)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)o, key, value) at(properties, key);
	for (yaml_node_pair_t *p = properties->data.mapping.pairs.start;
		p < properties->data.mapping.pairs.top; p++) {
		key = (char *)yaml_document_get_node(&doc, p->key)->data.scalar.value;
		/* only where there is something to choose */
		if (!json_object_get(o, key) && strcmp(key, "chosen") != 0)
			fail_msg("%s has no %s, which openapi.yaml announces", schema, key);
	}
}

static void expect_keys(const json_t *o, const char *schema)
{
	expect_properties(o, at(component("schemas", schema), "properties"), schema);
}

static void expect_word(const json_t *o, const char *schema, const char *key)
{
	const char *word = json_string_value(json_object_get(o, key));
	yaml_node_t *property = at(at(component("schemas", schema), "properties"), key);

	assert_non_null(word);
	if (!lists(at(property, "enum"), word))
		fail_msg("%s: %s is %s, of which openapi.yaml says nothing", schema, key, word);
}

static bool take_one(void *arg, const struct mu_session_info *s)
{
	*(json_t **)arg = mu_session_json(s);
	return false;
}

static void expect_session(struct fixture *f, const char *state)
{
	json_t *o = NULL;

	mu_webrtc_each_session(f->w, 0, take_one, &o);
	assert_non_null(o);
	expect_keys(o, "session");
	expect_word(o, "session", "kind");
	expect_word(o, "session", "state");
	assert_string_equal(json_string_value(json_object_get(o, "state")), state);
	json_decref(o);
}

static void test_sessions_are_as_described(void **state)
{
	struct mu_stream_stats streams[2] = { [1] = { .out = true, .n_layers = 3 } };
	struct mu_transport_stats st = { .n_streams = 2, .streams = streams };
	struct fixture *f = *state;
	json_t *o = NULL, *stream;
	struct mu_transport *t;
	size_t i;

	whip_file(f, "city/cam", "chromium-whip.sdp");
	t = fake_last();
	expect_session(f, "new");
	fake_fire(t, MU_TRANSPORT_CONNECTED, "");
	expect_session(f, "connected");
	fake_fire(t, MU_TRANSPORT_SILENT, "no consent");
	expect_session(f, "silent");
	assert_int_equal(
		length(at(at(at(component("schemas", "session"), "properties"), "state"), "enum")), 3);
	t->events->stats(t->arg, &st);
	mu_webrtc_each_session(f->w, 0, take_one, &o);
	assert_int_equal(json_array_size(json_object_get(o, "streams")), 2);
	json_array_foreach(json_object_get(o, "streams"), i, stream)
	{
		expect_keys(stream, "stream");
		expect_word(stream, "stream", "direction");
		expect_word(stream, "stream", "kind");
	}
	stream = json_array_get(json_object_get(o, "streams"), 0);
	assert_true(json_is_null(json_object_get(stream, "chosen")));
	stream = json_array_get(json_object_get(o, "streams"), 1);
	expect_properties(json_object_get(stream, "chosen"),
		at(at(at(component("schemas", "stream"), "properties"), "chosen"), "properties"), "chosen");
	json_decref(o);
}

static void test_endpoints_are_as_described(void **state)
{
	struct fixture *f = *state;
	yaml_node_t *track;
	json_t *o;

	publish(f, "chromium-whip.sdp");
	o = mu_endpoint_json(mu_directory_find(f->d, "city/cam"));
	expect_keys(o, "endpoint");
	expect_word(o, "endpoint", "state");
	track = at(at(at(at(component("schemas", "endpoint"), "properties"), "tracks"), "items"), "properties");
	expect_properties(json_array_get(json_object_get(o, "tracks"), 0), track, "track");
	expect_properties(json_array_get(json_object_get(json_array_get(json_object_get(o, "tracks"), 1), "layers"), 0),
		at(at(at(track, "layers"), "items"), "properties"), "layer");
	json_decref(o);
}

/* --- events --- */

struct heard {
	struct mu_event_listener listener;
	char kinds[32][48];
	unsigned n;
};

static void hear(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct heard *h = MU_CONTAINER_OF(l, struct heard, listener);

	for (unsigned i = 0; i < h->n; i++) {
		if (strcmp(h->kinds[i], ev->kind) == 0)
			return;
	}
	assert_true(h->n < MU_ARRAY_LEN(h->kinds));
	g_strlcpy(h->kinds[h->n++], ev->kind, sizeof(h->kinds[0]));
}

static void hold_a_conference(struct mu_directory *d)
{
	struct mu_conference_spec spec = { .id = "morning" };
	struct mu_conferences *cs;
	struct mu_conference *c;

	assert_int_equal(mu_conferences_new(d, NULL, &cs), 0);
	assert_int_equal(mu_conference_create(cs, &spec, &c, NULL), 0);
	assert_int_equal(mu_conference_join(c, "city/a", NULL, MU_ROLE_PARTICIPANT, 8, NULL), 0);
	assert_int_equal(mu_conference_join(c, "city/b", NULL, MU_ROLE_PARTICIPANT, 8, NULL), 0);
	mu_conference_absent(c, "city/b");
	for (int on = 1; on >= 0; on--) {
		assert_int_equal(mu_conference_mute(c, NULL, "city/b", on, NULL), 0);
		assert_int_equal(mu_conference_lock(c, NULL, on, NULL), 0);
	}
	assert_int_equal(mu_conference_set_role(c, NULL, "city/b", MU_ROLE_PARTICIPANT, NULL), 0);
	assert_int_equal(mu_floor_request(c, "city/a", NULL), 1);
	assert_int_equal(mu_floor_request(c, "city/b", NULL), 0);
	assert_int_equal(mu_screen_start(c, "city/a", NULL), 0);
	assert_int_equal(mu_conference_broadcast(c, NULL, "city/a", NULL), 0);
	assert_int_equal(mu_conference_view(c, "city/a", "city/b", NULL), 0);
	assert_int_equal(mu_conference_set_layout(c, NULL, MU_LAYOUT_EQUAL, NULL), 0);
	mu_conference_speaks(c, "city/a");
	assert_int_equal(mu_conference_leave(c, "city/b"), 0);
	assert_int_equal(mu_conference_remove(c, NULL, "city/a", NULL), 0);
	assert_int_equal(mu_conference_admit(c, NULL, "city/a", NULL), 0);
	assert_int_equal(mu_conference_end(c, NULL, NULL), 0);
	mu_conferences_free(cs);
}

/* All that can happen here does; `reset` alone is the event stream's own. */
static void test_every_kind_of_event_is_described(void **state)
{
	yaml_node_t *kinds = at(component("schemas", "event"), "enum");
	struct heard h = { .listener.fn = hear };
	struct fixture *f = *state;
	struct mu_transport *t;

	mu_list_init(&h.listener.link);
	mu_directory_listen(f->d, &h.listener);
	t = publish(f, "chromium-whip.sdp");
	fake_fire(t, MU_TRANSPORT_SILENT, "no consent");
	mu_webrtc_close_all(f->w, "over");
	fake_fire(t, MU_TRANSPORT_CLOSED, "");
	mu_directory_expire(f->d, INT64_MAX);
	mu_webrtc_drain(f->w);
	hold_a_conference(f->d);
	mu_directory_unlisten(f->d, &h.listener);
	for (unsigned i = 0; i < h.n; i++) {
		if (!lists(kinds, h.kinds[i]))
			fail_msg("event %s is not in openapi.yaml", h.kinds[i]);
	}
	assert_true(lists(kinds, "reset"));
	/* all that were told are described, so equal numbers leave none over */
	assert_int_equal(length(kinds), h.n + 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_ids_have_one_pattern),
		T(test_sessions_are_as_described), T(test_endpoints_are_as_described),
		T(test_every_kind_of_event_is_described) };

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	return cmocka_run_group_tests_name("webrtc described", tests, load, unload);
}
