/* Consoles in a conference: who is told what, who is heard, who speaks. */
#include "console_kit.h"

static struct client a, b, c;

static int teardown(void **state)
{
	client_done(&a);
	client_done(&b);
	client_done(&c);
	return kit_teardown(state);
}

static struct mu_track *track(const char *endpoint, const char *label)
{
	return mu_endpoint_find_track(mu_directory_find(kit.f->d, endpoint), label)->track;
}

/* Three of them: a is an operator and so the chair; b and c publish and hear. */
static void enter_all(void)
{
	client_enter(&a, "t1,conference operate,city/a", "city/a");
	client_enter(&b, "t2,conference,city/b", "city/b");
	client_enter(&c, "t3,conference,city/c", "city/c");
	client_join(&a);
	client_join(&b);
	client_join(&c);
	client_publish(&a);
	client_publish(&b);
	client_publish(&c);
	client_answer(&a, NULL, NULL);
	client_answer(&b, NULL, NULL);
	client_answer(&c, NULL, NULL);
	fake_pass(200);
}

static void flush_all(void)
{
	client_flush(&a);
	client_flush(&b);
	client_flush(&c);
}

/* Whose audio it hears, by what it was told last. */
static bool hears(struct client *k, const char *endpoint)
{
	return client_mid(k, endpoint, "audio") != NULL;
}

static void act(struct client *k, const char *what, const char *endpoint)
{
	if (endpoint)
		client_say(k, "act", "{ss ss}", "act", what, "endpoint", endpoint);
	else
		client_say(k, "act", "{ss}", "act", what);
}

static const char *last_event(struct client *k)
{
	static char kind[64];
	const json_t *o;

	kind[0] = '\0';
	while ((o = client_got(k, "event")))
		snprintf(kind, sizeof(kind), "%s", text_of(o, "kind"));
	return kind;
}

static void test_join(void **state)
{
	const json_t *o;

	(void)state;
	client_enter(&a, "t1,conference operate,city/a", "city/a");
	client_say(&a, "join", "{ss}", "conference", "evening");
	client_refused(&a, 404, "evening");
	client_say(&a, "join", "{ss ss}", "conference", "morning", "name", "\xe4\xb8\x9c\xe5\x8c\xba");
	client_ok(&a);
	o = client_got(&a, "conference");
	assert_string_equal(text_of(json_object_get(o, "me"), "role"), "chair");
	assert_string_equal(mu_conference_member(kit.c, "city/a")->name, "\xe4\xb8\x9c\xe5\x8c\xba");
	client_enter(&b, "t2,watch,city/b", "city/b");
	client_say(&b, "join", "{ss}", "conference", "morning");
	client_refused(&b, 403, "scope");
	client_done(&b);
	client_enter(&b, "t2,conference,city/b", "city/b");
	fake_pass(200);
	client_flush(&a);
	client_join(&b);
	assert_string_equal(last_event(&a), "conference.joined");
	o = client_got(&a, "conference");
	assert_int_equal(json_array_size(json_object_get(json_object_get(o, "state"), "members")), 2);
	client_say(&b, "leave", "{}");
	client_ok(&b);
	o = client_got(&b, "conference");
	while (o && !json_is_null(json_object_get(o, "state")))
		o = client_got(&b, "conference");
	assert_string_equal(text_of(o, "why"), "left");
	assert_null(mu_conference_member(kit.c, "city/b"));
	assert_contains(kit.audit, "conference.join morning done: city/b");
	assert_contains(kit.audit, "conference.leave morning done: city/b");
}

static void test_locked(void **state)
{
	(void)state;
	client_enter(&a, "t1,conference operate,city/a", "city/a");
	client_join(&a);
	act(&a, "lock", NULL);
	client_ok(&a);
	client_enter(&b, "t2,conference,city/b", "city/b");
	client_say(&b, "join", "{ss}", "conference", "morning");
	client_refused(&b, 403, "locked");
	assert_contains(kit.audit, "conference.lock morning done");
	assert_contains(kit.audit, "conference.join morning denied: conference morning is locked");
}

/* A second page of the same name: the user is there now. */
static void test_came_in_elsewhere(void **state)
{
	const json_t *o;

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_join(&a);
	client_flush(&a);
	client_enter(&b, "t1,conference,city/a", "city/a");
	client_join(&b);
	o = client_got(&a, "conference");
	assert_string_equal(text_of(o, "why"), "came in elsewhere");
	assert_true(mu_conference_member(kit.c, "city/a")->present);
	act(&a, "floor.request", NULL);
	client_refused(&a, 409, "no conference");
	client_done(&a);
	fake_pass(31000);
	assert_true(mu_conference_member(kit.c, "city/a")->present);
}

static void test_acts(void **state)
{
	static const struct {
		const char *act, *endpoint;
		int status; /* for one who is no chair */
	} table[] = {
		{ "floor.grant", "city/c", 403 },
		{ "floor.revoke", NULL, 403 },
		{ "mute", "city/c", 403 },
		{ "unmute", "city/c", 403 },
		{ "mute.all", NULL, 403 },
		{ "unmute.all", NULL, 403 },
		{ "lock", NULL, 403 },
		{ "unlock", NULL, 403 },
		{ "broadcast", "city/c", 403 },
		{ "remove", "city/c", 403 },
		{ "end", NULL, 403 },
		{ "floor.request", NULL, 0 },
		{ "floor.release", NULL, 0 },
		{ "large", "city/c", 0 },
		{ "screen.start", NULL, 0 },
		{ "screen.stop", NULL, 0 },
		{ "mute", "city/b", 0 },
		{ "unmute", "city/b", 0 },
	};

	(void)state;
	enter_all();
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		act(&b, table[i].act, table[i].endpoint);
		if (table[i].status)
			client_refused(&b, table[i].status, "chair");
		else
			client_ok(&b);
	}
	client_say(&b, "act", "{ss ss ss}", "act", "role", "endpoint", "city/b", "value", "chair");
	client_refused(&b, 403, "chair");
	for (size_t i = 0; i < MU_ARRAY_LEN(table) && strcmp(table[i].act, "remove") != 0; i++) {
		act(&a, table[i].act, table[i].endpoint);
		client_ok(&a);
	}
	client_say(&a, "act", "{ss ss ss}", "act", "role", "endpoint", "city/b", "value", "king");
	client_refused(&a, 400, "no role");
	client_say(&a, "act", "{ss ss}", "act", "layout", "value", "speaker");
	client_ok(&a);
	client_say(&a, "act", "{ss ss ss}", "act", "role", "endpoint", "city/b", "value", "listener");
	client_ok(&a);
	act(&b, "floor.request", NULL);
	client_refused(&b, 403, "listener");
	act(&a, "mute", "city/nobody");
	client_refused(&a, 404, "not in conference");
	assert_contains(kit.audit, "conference.mute morning denied: city/c: only a chair");
	assert_contains(kit.audit, "conference.role morning done: city/b listener");
	assert_lacks(kit.audit, "conference.floor.request");
}

static void test_heard(void **state)
{
	const char *mid;

	(void)state;
	enter_all();
	assert_true(hears(&b, "city/a") && hears(&b, "city/c"));
	assert_false(hears(&b, "city/b"));
	flush_all();
	act(&a, "mute", "city/c");
	client_ok(&a);
	fake_pass(0); /* at once */
	assert_false(hears(&b, "city/c"));
	assert_true(hears(&b, "city/a"));
	act(&c, "unmute", "city/c");
	client_refused(&c, 403, "muted");
	act(&a, "unmute", "city/c");
	fake_pass(100);
	assert_true(hears(&b, "city/c"));
	/* who has the floor commands */
	mid = client_mid(&b, "city/c", "audio");
	act(&c, "floor.request", NULL);
	client_ok(&c);
	fake_pass(0);
	{
		struct mu_transport *t = fake.t[4]; /* three up, then down in their order */

		assert_int_equal(fake_out(t, mid)->feed.urgency, MU_URGENT_COMMAND);
		assert_true(fake_out(t, mid)->feed.never_paused);
	}
}

static void test_removed(void **state)
{
	const json_t *o;

	(void)state;
	enter_all();
	client_view(&c, "city/b", "video", 640, 360);
	client_answer(&c, NULL, NULL);
	assert_non_null(client_mid(&c, "city/b", "video"));
	flush_all();
	act(&a, "remove", "city/c");
	client_ok(&a);
	o = client_got(&c, "conference");
	assert_true(json_is_null(json_object_get(o, "state")));
	assert_string_equal(text_of(o, "why"), "removed by the chair");
	fake_pass(0);
	assert_null(client_mid(&c, "city/b", "video"));
	assert_string_equal(client_missing(&c, "city/b", "video"), "forbidden");
	assert_false(hears(&c, "city/a"));
	assert_false(hears(&b, "city/c"));
	assert_true(hears(&b, "city/a"));
}

static void test_ended(void **state)
{
	(void)state;
	enter_all();
	flush_all();
	act(&a, "end", NULL);
	client_ok(&a);
	assert_string_equal(text_of(client_got(&a, "conference"), "why"), "the conference has ended");
	assert_string_equal(text_of(client_got(&b, "conference"), "why"), "the conference has ended");
	fake_pass(0);
	assert_false(hears(&b, "city/a"));
	fake_pass(1000);
	assert_int_equal(a.code, 0);
	assert_int_equal(mu_webrtc_sessions(kit.f->w), 3);
}

/* Ten states a second at most, however much happens. */
/* The gateway is started anew: nobody loses what it has. */
static void test_the_gateway_stops(void **state)
{
	json_t *now;

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_join(&a);
	client_say(&a, "act", "{ss}", "act", "floor.request");
	client_ok(&a);
	client_say(&a, "act", "{ss}", "act", "screen.start");
	client_ok(&a);
	mu_webrtc_drain(kit.f->w);
	mu_webrtc_close_all(kit.f->w, "the gateway stops");
	assert_non_null(client_got(&a, "bye"));
	now = mu_conference_json(kit.c); /* as the store keeps it */
	assert_string_equal(text_of(now, "floor"), "city/a");
	assert_string_equal(text_of(now, "screen"), "city/a");
	json_decref(now);
}

static void test_states_are_coalesced(void **state)
{
	unsigned n = 0;

	(void)state;
	enter_all();
	flush_all();
	for (int i = 0; i < 100; i++) {
		mu_conference_lock(kit.c, NULL, i % 2 == 0, NULL); /* by many hands: one member may not so often */
		fake_pass(10);
	}
	fake_pass(300);
	while (client_got(&b, "conference"))
		n++;
	assert_in_range(n, 8, 11);
	n = 0;
	while (client_got(&b, "event"))
		n++;
	assert_int_equal(n, 100);
}

static unsigned spoke_after(struct client *k, const char *endpoint, unsigned max_ms)
{
	const json_t *o;

	for (unsigned ms = 0; ms <= max_ms; ms += 10) {
		while ((o = client_got(k, "speaker"))) {
			if (strcmp(text_of(o, "endpoint"), endpoint) == 0)
				return ms;
		}
		fake_pass(10);
	}
	return UINT32_MAX;
}

static void test_speaker(void **state)
{
	(void)state;
	enter_all();
	flush_all();
	fake_loud(track("city/b", "audio"), 100);
	assert_true(spoke_after(&a, "city/b", 300) <= 300);
	/* another as loud, now one louder, now the other: no flicker */
	for (int i = 0; i < 40; i++) {
		fake_loud(track("city/c", "audio"), i % 2 ? 103 : 97);
		fake_pass(60);
	}
	assert_null(client_got(&a, "speaker"));
	/* clearly louder, and stays so */
	fake_loud(track("city/c", "audio"), 115);
	assert_true(spoke_after(&a, "city/c", 300) <= 300);
	/* falls silent: the other is heard at once; then nobody, after a while */
	fake_loud(track("city/c", "audio"), 0);
	assert_true(spoke_after(&a, "city/b", 300) <= 300);
	fake_loud(track("city/b", "audio"), 0);
	fake_pass(1500);
	assert_null(client_got(&a, "speaker"));
	assert_true(spoke_after(&a, "", 1000) <= 1000);
	/* who is muted does not speak */
	act(&a, "mute", "city/c");
	fake_loud(track("city/c", "audio"), 120);
	assert_int_equal(spoke_after(&a, "city/c", 500), UINT32_MAX);
}

static void test_loudest(void **state)
{
	struct mu_conference_spec spec = { .id = "small", .loudest = 1 };
	struct mu_conference *small;
	struct mu_error e;
	const json_t *o;

	(void)state;
	assert_int_equal(mu_conference_create(kit.cs, &spec, &small, &e), 0);
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_enter(&b, "t2,conference publish,city/b", "city/b");
	client_enter(&c, "t3,conference publish,city/c", "city/c");
	client_say(&a, "join", "{ss}", "conference", "small");
	o = client_got(&a, "offer");
	fake_pass(100);
	if (!o)
		o = client_got(&a, "offer");
	assert_lacks(text_of(o, "sdp"), "a=mid:1\r\n"); /* one slot is enough */
	json_array_append_new(a.got, json_copy((json_t *)(uintptr_t)o));
	client_answer(&a, NULL, NULL);
	client_say(&b, "join", "{ss}", "conference", "small");
	client_say(&c, "join", "{ss}", "conference", "small");
	client_publish(&b);
	client_publish(&c);
	fake_pass(200);
	assert_true(hears(&a, "city/b") != hears(&a, "city/c"));
	fake_loud(track("city/b", "audio"), 100);
	fake_pass(300);
	assert_true(hears(&a, "city/b"));
	client_flush(&a);
	/* one about as loud, or a cough in a pause, does not take its place; who speaks on in the pause does
	 */
	fake_loud(track("city/c", "audio"), 103);
	fake_pass(1000);
	fake_loud(track("city/b", "audio"), 60);
	fake_pass(100);
	fake_loud(track("city/b", "audio"), 100);
	fake_pass(1000);
	assert_null(client_got(&a, "tracks"));
	fake_loud(track("city/b", "audio"), 0);
	fake_pass(300);
	assert_true(hears(&a, "city/c"));
	assert_false(hears(&a, "city/b"));
}

static void test_one_presenter(void **state)
{
	(void)state;
	enter_all();
	client_say(&b, "offer", "{so s[{ss ss}]}", "sdp", sdp_json("chromium-whip.sdp"), "tracks", "mid", "1",
		"label", "screen");
	assert_non_null(client_got(&b, "answer"));
	client_view(&c, "city/b", "screen", 1920, 1080);
	assert_string_equal(client_missing(&c, "city/b", "screen"), "idle"); /* it is not shown */
	act(&b, "screen.start", NULL);
	client_ok(&b);
	fake_pass(0);
	client_answer(&c, NULL, NULL);
	assert_non_null(client_mid(&c, "city/b", "screen"));
	act(&c, "screen.start", NULL);
	client_refused(&c, 409, "one at a time");
	flush_all();
	act(&b, "screen.stop", NULL);
	client_ok(&b);
	fake_pass(0);
	assert_null(client_mid(&c, "city/b", "screen"));
}

/* The video of a listener is nobody's business, nor does it speak; it hears and sees all the same. */
static void test_listener(void **state)
{
	(void)state;
	enter_all();
	client_say(&a, "act", "{ss ss ss}", "act", "role", "endpoint", "city/c", "value", "listener");
	client_ok(&a);
	fake_pass(0);
	assert_false(hears(&b, "city/c"));
	assert_true(hears(&c, "city/b"));
	client_view(&b, "city/c", "video", 640, 360);
	assert_string_equal(client_missing(&b, "city/c", "video"), "idle");
}

static void test_lost_member(void **state)
{
	(void)state;
	enter_all();
	flush_all();
	client_lose(&c);
	fake_pass(29000);
	assert_null(client_got(&b, "event"));
	fake_pass(1500);
	assert_string_equal(last_event(&b), "conference.absent");
	assert_false(hears(&b, "city/c"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_join),
		TEST(test_locked),
		TEST(test_came_in_elsewhere),
		TEST(test_acts),
		TEST(test_heard),
		TEST(test_removed),
		TEST(test_ended),
		TEST(test_the_gateway_stops),
		TEST(test_states_are_coalesced),
		TEST(test_speaker),
		TEST(test_loudest),
		TEST(test_one_presenter),
		TEST(test_listener),
		TEST(test_lost_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
