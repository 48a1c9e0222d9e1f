#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "directory/directory.h"

/* --- tracks that only count --- */

struct mu_track {
	int refs;
	enum mu_kind kind;
};

struct mu_track *mu_track_ref(struct mu_track *t)
{
	t->refs++;
	return t;
}

struct mu_track *mu_track_unref(struct mu_track *t)
{
	t->refs--;
	return NULL;
}

void mu_track_shape(const struct mu_track *t, struct mu_shape *ret)
{
	(void)t;
	*ret = (struct mu_shape){ .flows = true, .width = 640, .height = 360, .spatials = 1, .temporals = 1 };
	ret->bps[MU_SPATIAL_MAX - 1][MU_TEMPORAL_MAX - 1] = 500000;
	ret->fps[MU_TEMPORAL_MAX - 1] = 30;
}

enum mu_kind mu_track_kind(const struct mu_track *t)
{
	return t->kind;
}

/* --- */

struct heard {
	struct mu_event_listener l;
	unsigned n;
	uint64_t last;
	char kind[48], why[64], codec[16];
};

static void hear(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct heard *h = MU_CONTAINER_OF(l, struct heard, l);
	const char *why = json_string_value(json_object_get(ev->data, "why"));
	json_t *track = json_array_get(json_object_get(ev->data, "tracks"), 0);
	const char *codec = json_string_value(json_object_get(track, "codec"));

	h->n++;
	h->last = ev->number;
	snprintf(h->kind, sizeof(h->kind), "%s", ev->kind);
	snprintf(h->why, sizeof(h->why), "%s", why ? why : "");
	snprintf(h->codec, sizeof(h->codec), "%s", codec ? codec : "");
}

static void test_id_rules(void **state)
{
	static const char *const good[] = { "city/cam", "city.east/cam-0312", "a.b.c/A_b.C-9", "1/x" };
	static const char *const bad[] = { "", "city", "/cam", "city/", "city/..", "city/.hidden", "city/-x",
		"city/a/b", "city/a b", "city/\xc3\xa9", ".city/x", "city./x", "ci..ty/x", "-city/x",
		"city-/x", "ci_ty/x", "../x", "city-.east/x",
		"city/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(good); i++)
		assert_true(mu_endpoint_id_valid(good[i]));
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++)
		assert_false(mu_endpoint_id_valid(bad[i]));
}

static void test_take_is_find_or_add(void **state)
{
	struct mu_directory *d;
	struct mu_endpoint *ep;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_directory_new("no good", &d), -EINVAL);
	assert_int_equal(mu_directory_new("city.east", &d), 0);
	assert_null(mu_directory_find(d, "city.east/cam"));
	ep = mu_directory_take(d, "city.east/cam", &e);
	assert_non_null(ep);
	assert_ptr_equal(mu_directory_take(d, "city.east/cam", &e), ep);
	assert_ptr_equal(mu_directory_find(d, "city.east/cam"), ep);
	assert_int_equal(ep->state, MU_ENDPOINT_IDLE);
	assert_null(mu_directory_take(d, "city.eastern/cam", &e));
	assert_non_null(strstr(e.text, "not of this site"));
	assert_null(mu_directory_take(d, "city.east/../x", &e));
	mu_directory_free(d);
}

static void publish_once(struct mu_directory *d, const char *id)
{
	struct mu_error e;
	struct mu_endpoint *ep = mu_directory_take(d, id, &e);

	assert_non_null(ep);
	mu_directory_set_state(d, ep, MU_ENDPOINT_LIVE, "connected");
	mu_directory_set_state(d, ep, MU_ENDPOINT_IDLE, "gone");
	mu_directory_release(d, ep);
}

static void test_limit(void **state)
{
	struct mu_directory *d;
	struct mu_error e;
	char id[64];

	(void)state;
	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	assert_int_equal(mu_directory_new("c", &d), 0);
	publish_once(d, "c/a");
	publish_once(d, "c/b");
	publish_once(d, "c/a"); /* now b is the longest idle */
	for (unsigned i = 0; i < MU_ENDPOINTS_MAX - 2; i++) {
		snprintf(id, sizeof(id), "c/%u", i);
		assert_non_null(mu_directory_take(d, id, &e));
	}
	assert_non_null(mu_directory_take(d, "c/more", &e));
	assert_null(mu_directory_find(d, "c/b"));
	assert_non_null(mu_directory_find(d, "c/a"));
	assert_non_null(mu_directory_take(d, "c/even-more", &e));
	assert_null(mu_directory_take(d, "c/too-many", &e));
	assert_non_null(strstr(e.text, "limit"));
	assert_non_null(mu_directory_take(d, "c/1", &e)); /* known ones still work */
	mu_directory_free(d);
}

static void test_forgotten_in_time(void **state)
{
	int64_t later_us = mu_clock_us() + MU_ENDPOINT_KEPT_US + 10000000;
	struct heard h = { .l = { .fn = hear } };
	struct mu_directory *d;
	struct mu_endpoint *ep;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_directory_new("c", &d), 0);
	ep = mu_directory_take(d, "c/never", &e);
	mu_directory_hold(ep);
	mu_directory_release(d, ep);
	assert_non_null(mu_directory_find(d, "c/never"));
	mu_directory_release(d, ep);
	assert_null(mu_directory_find(d, "c/never")); /* it never was live */
	publish_once(d, "c/cam");
	ep = mu_directory_take(d, "c/held", &e);
	mu_directory_set_state(d, ep, MU_ENDPOINT_LIVE, "connected");
	mu_directory_set_state(d, ep, MU_ENDPOINT_IDLE, "gone");
	mu_directory_listen(d, &h.l);
	mu_directory_expire(d, later_us - 20000000);
	assert_non_null(mu_directory_find(d, "c/cam"));
	mu_directory_expire(d, later_us);
	assert_null(mu_directory_find(d, "c/cam"));
	assert_string_equal(h.kind, "endpoint.removed");
	assert_int_equal(h.n, 1);
	assert_non_null(mu_directory_find(d, "c/held"));
	mu_directory_unlisten(d, &h.l);
	mu_directory_free(d);
}

static void test_sites(void **state)
{
	static const char *const good[] = { "city", "city.east.lake-town", "1", "a-b.c",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	static const char *const bad[] = { "", "-city", "city-", "a.-b", "a-.b", "a..b", ".a", "a.", "City", "a_b",
		"a/b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(good); i++) {
		struct mu_directory *d;

		assert_true(mu_site_valid(good[i]));
		assert_int_equal(mu_directory_new(good[i], &d), 0);
		mu_directory_free(d);
	}
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++)
		assert_false(mu_site_valid(bad[i]));
}

static bool collect(void *arg, struct mu_endpoint *ep)
{
	char *text = arg;

	strcat(text, strchr(ep->id, '/') + 1);
	return strlen(text) < 3;
}

static void test_each_is_ordered_and_stops(void **state)
{
	struct mu_directory *d;
	struct mu_error e;
	char text[16] = "";

	(void)state;
	assert_int_equal(mu_directory_new("c", &d), 0);
	mu_directory_take(d, "c/z", &e);
	mu_directory_take(d, "c/a", &e);
	mu_directory_take(d, "c/k", &e);
	mu_directory_take(d, "c/b", &e);
	mu_directory_each(d, collect, text);
	assert_string_equal(text, "abk");
	mu_directory_free(d);
}

static void test_states_are_told(void **state)
{
	struct mu_format f[2] = { { .codec = MU_CODEC_VP8, .pt = 96 },
		{ .codec = MU_CODEC_H264, .pt = 102 } };
	struct mu_track t = { .refs = 1, .kind = MU_VIDEO };
	struct heard h = { .l = { .fn = hear } };
	struct mu_directory *d;
	struct mu_endpoint *ep;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_directory_new("c", &d), 0);
	mu_directory_listen(d, &h.l);
	ep = mu_directory_take(d, "c/cam", &e);
	assert_int_equal(mu_endpoint_set_track(ep, "video", &t, f, 2), 0);
	assert_int_equal(t.refs, 2);
	mu_directory_set_state(d, ep, MU_ENDPOINT_LIVE, "connected");
	assert_string_equal(h.kind, "endpoint.live");
	assert_string_equal(h.codec, "VP8");
	assert_int_equal(mu_endpoint_set_track(ep, "video", &t, f + 1, 1), 0);
	assert_int_equal(t.refs, 2);
	assert_int_equal(ep->n_tracks, 1);
	mu_directory_set_state(d, ep, MU_ENDPOINT_LIVE, "again");
	assert_int_equal(h.n, 1);
	mu_directory_set_state(d, ep, MU_ENDPOINT_LOST, "vanished");
	assert_string_equal(h.kind, "endpoint.lost");
	assert_string_equal(h.why, "vanished");
	assert_string_equal(h.codec, "H264");
	assert_int_equal(t.refs, 2);
	mu_directory_set_state(d, ep, MU_ENDPOINT_IDLE, "gone");
	assert_string_equal(h.kind, "endpoint.idle");
	assert_int_equal(t.refs, 1);
	assert_int_equal(ep->n_tracks, 0);
	mu_directory_unlisten(d, &h.l);
	mu_directory_set_state(d, ep, MU_ENDPOINT_LIVE, "nobody hears");
	assert_int_equal(h.n, 3);
	mu_directory_free(d);
}

static void test_idle_drops_tracks_of_one_never_live(void **state)
{
	struct mu_track t = { .refs = 1, .kind = MU_AUDIO };
	struct mu_directory *d;
	struct mu_endpoint *ep;
	struct mu_error e;
	char label[16];

	(void)state;
	assert_int_equal(mu_directory_new("c", &d), 0);
	ep = mu_directory_take(d, "c/cam", &e);
	for (unsigned i = 0; i < MU_TRACKS_MAX; i++) {
		snprintf(label, sizeof(label), "t%u", i);
		assert_int_equal(mu_endpoint_set_track(ep, label, &t, NULL, 0), 0);
	}
	assert_int_equal(mu_endpoint_set_track(ep, "more", &t, NULL, 0), -ENOSPC);
	assert_int_equal(t.refs, 1 + MU_TRACKS_MAX);
	mu_directory_set_state(d, ep, MU_ENDPOINT_IDLE, "never came");
	assert_int_equal(t.refs, 1);
	mu_endpoint_set_track(ep, "audio", &t, NULL, 0);
	mu_directory_free(d);
	assert_int_equal(t.refs, 1);
}

static void test_layers(void **state)
{
	struct mu_track t[3] = { { 1, MU_VIDEO }, { 1, MU_VIDEO }, { 1, MU_VIDEO } };
	const struct mu_endpoint_layer three[] = { { &t[0], "l" }, { &t[1], "m" }, { &t[2], "h" } },
				       two[] = { { &t[1], "m" }, { &t[0], "l" } };
	const struct mu_format f = { .codec = MU_CODEC_VP8 };
	const struct mu_endpoint_track *et;
	struct mu_directory *d;
	struct mu_endpoint *ep;
	struct mu_error e;
	json_t *json, *layers;

	(void)state;
	assert_int_equal(mu_directory_new("c", &d), 0);
	ep = mu_directory_take(d, "c/cam", &e);
	assert_int_equal(mu_endpoint_set_layers(ep, "video", three, 3, &f, 1), 0);
	et = mu_endpoint_find_track(ep, "video");
	assert_int_equal(et->n_layers, 3);
	assert_ptr_equal(et->track, &t[0]);
	assert_string_equal(et->rids[2], "h");
	json = mu_endpoint_json(ep);
	layers = json_object_get(json_array_get(json_object_get(json, "tracks"), 0), "layers");
	assert_int_equal(json_array_size(layers), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(layers, 1), "rid")), "m");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(layers, 1), "height")), 360);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(layers, 1), "bps")), 500000);
	json_decref(json);
	assert_int_equal(mu_endpoint_set_layers(ep, "video", two, 2, &f, 1), 0); /* it returned with fewer */
	assert_int_equal(et->n_layers, 2);
	assert_ptr_equal(et->track, &t[1]);
	assert_int_equal(t[0].refs, 2);
	assert_int_equal(t[2].refs, 1);
	mu_endpoint_only(ep, (const char *[]){ "audio" }, 1);
	assert_null(mu_endpoint_sent_track(ep, "video"));
	assert_ptr_equal(mu_endpoint_find_track(ep, "video"), et);
	assert_int_equal(t[0].refs, 2);
	assert_int_equal(mu_endpoint_set_layers(ep, "video", two, 2, &f, 1), 0);
	assert_ptr_equal(mu_endpoint_sent_track(ep, "video"), et);
	mu_directory_set_state(d, ep, MU_ENDPOINT_IDLE, "gone");
	assert_int_equal(t[0].refs + t[1].refs + t[2].refs, 3);
	mu_directory_free(d);
}

static void test_json(void **state)
{
	struct mu_endpoint ep = {
		.id = "c/cam", .state = MU_ENDPOINT_LOST, .since_wall_us = 1795557880123456, .viewers = 3
	};
	json_t *o = mu_endpoint_json(&ep);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(o, "state")), "lost");
	assert_string_equal(json_string_value(json_object_get(o, "since")), "2026-11-24T22:04:40.123Z");
	assert_int_equal(json_integer_value(json_object_get(o, "viewers")), 3);
	json_decref(o);
}

struct replayed {
	unsigned n;
	uint64_t first, last;
	unsigned enough; /* 0: never */
};

static bool replay(void *arg, const struct mu_event *ev)
{
	struct replayed *r = arg;

	if (r->n++ == 0)
		r->first = ev->number;
	else
		assert_int_equal(ev->number, r->last + 1);
	r->last = ev->number;
	assert_int_equal(json_integer_value(json_object_get(ev->data, "i")), ev->number);
	return r->n != r->enough;
}

static void test_replay(void **state)
{
	struct mu_directory *d;
	struct replayed r = { 0 };

	(void)state;
	assert_int_equal(mu_directory_new("c", &d), 0);
	assert_true(mu_directory_replay(d, 0, replay, &r));
	assert_int_equal(r.n, 0);
	for (int i = 1; i <= 1030; i++)
		mu_directory_tell(d, "x", json_pack("{si}", "i", i));
	assert_true(mu_directory_replay(d, 1029, replay, &r));
	assert_int_equal(r.n, 1);
	r = (struct replayed){ 0 };
	assert_true(mu_directory_replay(d, 6, replay, &r)); /* 7 is the oldest kept */
	assert_int_equal(r.n, 1024);
	assert_int_equal(r.first, 7);
	r = (struct replayed){ 0 };
	assert_false(mu_directory_replay(d, 5, replay, &r));
	assert_int_equal(r.n, 0);
	r.enough = 3;
	assert_false(mu_directory_replay(d, 6, replay, &r));
	assert_int_equal(r.n, 3);
	assert_true(mu_directory_replay(d, 1030, replay, &r));
	r = (struct replayed){ 0 };
	assert_false(mu_directory_replay(d, 5000, replay, &r)); /* from before a restart */
	assert_int_equal(r.n, 0);
	assert_int_equal(mu_directory_last_event(d), 1030);
	mu_directory_free(d);
}

struct chatty {
	struct mu_event_listener l;
	struct mu_directory *d;
	unsigned n;
};

static void answer_once(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct chatty *c = MU_CONTAINER_OF(l, struct chatty, l);

	c->n++;
	if (ev->number == 1)
		mu_directory_tell(c->d, "second", json_object());
}

static void test_listener_may_tell(void **state)
{
	struct chatty c = { .l = { .fn = answer_once } };
	struct heard h = { .l = { .fn = hear } };

	(void)state;
	assert_int_equal(mu_directory_new("c", &c.d), 0);
	mu_directory_listen(c.d, &c.l);
	mu_directory_listen(c.d, &h.l);
	mu_directory_tell(c.d, "first", json_object());
	assert_int_equal(c.n, 2);
	assert_int_equal(h.n, 2);
	mu_directory_free(c.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_rules),
		cmocka_unit_test(test_take_is_find_or_add),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_forgotten_in_time),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_each_is_ordered_and_stops),
		cmocka_unit_test(test_states_are_told),
		cmocka_unit_test(test_idle_drops_tracks_of_one_never_live),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_listener_may_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
