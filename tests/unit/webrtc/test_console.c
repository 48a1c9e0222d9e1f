/* The console's session: who gets in, who comes back, and how it ends. */
#include "console_kit.h"

static struct client a, b;

static int teardown(void **state)
{
	client_done(&a);
	client_done(&b);
	return kit_teardown(state);
}

static unsigned sessions(void)
{
	return mu_webrtc_sessions(kit.f->w);
}

static void test_hello(void **state)
{
	const json_t *w;

	(void)state;
	client_open(&a);
	client_say(&a, "hello", "{ss}", "token", "t1,conference,city/hall");
	w = client_got(&a, "welcome");
	assert_non_null(w);
	assert_string_equal(text_of(w, "endpoint"), "city/hall");
	assert_string_equal(text_of(w, "site"), "city");
	assert_int_equal(strlen(a.session), 24);
	assert_false(flag_of(w, "resumed"));
	assert_int_equal(sessions(), 1);
	assert_contains(kit.audit, "console.begin city/hall done");
	client_say(&a, "hello", "{ss}", "token", "t1,conference,city/hall");
	client_refused(&a, 409, "already");
	assert_int_equal(a.code, 0);
}

static void test_hello_refused(void **state)
{
	static const struct {
		const char *token, *endpoint;
		int status;
		const char *part;
	} table[] = {
		{ "nonsense", "", 401, "not one that this gateway takes" },
		{ "revoked,conference,city/hall", "", 401, "revoked" },
		{ "t,operate,city/hall", "", 403, "scope" },
		{ "t,conference,city/*", "", 400, "which one" },
		{ "t,conference,", "", 400, "which one" },
		{ "t,conference,city/duty-*", "city/hall", 403, "not for city/hall" },
		{ "t,conference,", "north/hall", 403, "city" },
		{ "hasty,conference,city/hall", "", 429, "too often" },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		client_open(&a);
		if (table[i].endpoint[0])
			client_say(&a, "hello", "{ss ss}", "token", table[i].token, "endpoint",
				table[i].endpoint);
		else
			client_say(&a, "hello", "{ss}", "token", table[i].token);
		client_refused(&a, table[i].status, table[i].part);
		assert_int_equal(a.code, 1008);
		client_say(&a, "hello", "{ss}", "token", "t1,conference,city/hall"); /* too late */
		assert_int_equal(json_array_size(a.got), 0);
		client_done(&a);
	}
	assert_int_equal(sessions(), 0);
	assert_contains(kit.audit, "console.hello - denied: 401 The token was revoked");
	assert_contains(kit.audit, "console.hello city/hall denied: 403");
}

static void test_silence_before_hello(void **state)
{
	(void)state;
	client_open(&a);
	fake_pass(9900);
	assert_int_equal(a.code, 0);
	fake_pass(200);
	assert_int_equal(a.code, 1008);
	client_done(&a);
	client_open(&a);
	client_say(&a, "leave", "{}");
	client_refused(&a, 401, "hello");
	assert_int_equal(a.code, 1008);
	client_done(&a);
	client_open(&a);
	client_raw(&a, "GET / HTTP/1.1");
	assert_int_equal(a.code, 1008);
	client_done(&a);
	client_enter(&a, "t1,watch,city/x", "city/x");
	fake_pass(20000);
	assert_int_equal(a.code, 0);
}

static void test_malformed(void **state)
{
	(void)state;
	client_enter(&a, "t1,conference,city/x", "city/x");
	client_raw(&a, "{\"id\": 7, \"type\": \"dance\"}");
	a.id = 7;
	client_refused(&a, 400, "dance");
	client_raw(&a, "nonsense");
	assert_non_null(client_got(&a, "error"));
	client_raw(&a, "{\"type\": \"join\", \"id\": 8, \"conference\": \"\\u0000\"}");
	client_say(&a, "leave", "{}");
	client_refused(&a, 409, "no conference");
	assert_int_equal(a.code, 0);
}

static void test_rate(void **state)
{
	unsigned ok = 0, refused = 0;

	(void)state;
	client_enter(&a, "t1,conference,city/x", "city/x");
	for (int i = 0; i < 300; i++)
		client_say(&a, "candidate", "{ss ss}", "pc", "up", "candidate", "");
	while (client_got(&a, "ok"))
		ok++;
	while (client_got(&a, "error"))
		refused++;
	assert_int_equal(ok, 199); /* and the hello */
	assert_int_equal(refused, 101);
	fake_pass(1000);
	for (int i = 0; i < 60; i++)
		client_say(&a, "candidate", "{ss ss}", "pc", "up", "candidate", "");
	for (ok = 0; client_got(&a, "ok");)
		ok++;
	assert_int_equal(ok, 50);
	for (int i = 0; i < 1200 && !a.code; i++)
		client_say(&a, "candidate", "{ss ss}", "pc", "up", "candidate", "");
	assert_int_equal(a.code, 1008);
	client_enter(&b, "t2,conference,city/y", "city/y"); /* nobody else's business */
}

/* What a whole conference is told of may be said less often. */
static void test_rate_of_acts(void **state)
{
	unsigned ok = 0;

	(void)state;
	client_enter(&a, "t1,conference,city/x", "city/x");
	client_join(&a);
	fake_pass(5000);
	client_flush(&a);
	for (int i = 0; i < 100; i++)
		client_say(&a, "act", "{ss}", "act", i % 2 ? "floor.release" : "floor.request");
	while (client_got(&a, "ok"))
		ok++;
	assert_int_equal(ok, 40);
	client_say(&a, "act", "{ss}", "act", "floor.release");
	client_refused(&a, 429, "10 acts");
	fake_pass(1000);
	client_flush(&a);
	for (int i = 0; i < 20; i++)
		client_say(&a, "act", "{ss}", "act", "floor.release");
	for (ok = 0; client_got(&a, "ok");)
		ok++;
	assert_int_equal(ok, 10);
	assert_int_equal(a.code, 0);
}

static void test_resume(void **state)
{
	char session[32];

	(void)state;
	client_enter(&a, "t1,conference,city/hall", "city/hall");
	client_join(&a);
	memcpy(session, a.session, sizeof(session));
	client_lose(&a);
	fake_pass(29000);
	assert_true(mu_conference_member(kit.c, "city/hall")->present);
	client_flush(&a);
	client_open(&a);
	client_say(&a, "hello", "{ss ss}", "token", "t1,conference,city/hall", "session", session);
	assert_true(flag_of(client_got(&a, "welcome"), "resumed"));
	assert_string_equal(a.session, session);
	assert_non_null(client_got(&a, "conference"));
	fake_pass(60000);
	assert_int_equal(sessions(), 1);
	assert_contains(kit.audit, "console.resume");
	/* put out while it was away: it is told when it is back */
	client_lose(&a);
	assert_int_equal(mu_conference_remove(kit.c, NULL, "city/hall", NULL), 0);
	client_flush(&a);
	client_open(&a);
	client_say(&a, "hello", "{ss ss}", "token", "t1,conference,city/hall", "session", session);
	assert_string_equal(text_of(client_got(&a, "conference"), "why"), "removed by an operator");
	assert_int_equal(mu_conference_admit(kit.c, NULL, "city/hall", NULL), 0);
	client_join(&a);
	client_flush(&a);
	/* lost for good */
	client_lose(&a);
	fake_pass(30100);
	assert_int_equal(sessions(), 0);
	assert_false(mu_conference_member(kit.c, "city/hall")->present);
	client_open(&a);
	client_say(&a, "hello", "{ss ss}", "token", "t1,conference,city/hall", "session", session);
	assert_false(flag_of(client_got(&a, "welcome"), "resumed"));
}

static void test_resume_of_a_half_open_one(void **state)
{
	(void)state;
	client_enter(&a, "t1,conference,city/hall", "city/hall");
	client_open(&b);
	client_say(&b, "hello", "{ss ss}", "token", "t1,conference,city/hall", "session", a.session);
	assert_true(flag_of(client_got(&b, "welcome"), "resumed"));
	assert_int_equal(a.code, 1008);
	client_lose(&a);
	fake_pass(60000);
	assert_int_equal(sessions(), 1);
	client_say(&b, "restart", "{}");
	client_ok(&b);
}

/* A session is its token's: an id alone opens nothing. */
static void test_resume_by_another(void **state)
{
	(void)state;
	client_enter(&a, "t1,conference,city/hall", "city/hall");
	client_open(&b);
	client_say(&b, "hello", "{ss ss}", "token", "t2,conference,city/hall", "session", a.session);
	assert_false(flag_of(client_got(&b, "welcome"), "resumed"));
	assert_int_equal(a.code, 0);
	assert_string_not_equal(a.session, b.session);
	assert_int_equal(sessions(), 2);
}

static void test_awaited_sessions_are_few(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		char endpoint[32];

		snprintf(endpoint, sizeof(endpoint), "city/unit-%d", i);
		client_enter(&a, "t1,conference,city/*", endpoint);
		client_done(&a);
	}
	assert_int_equal(sessions(), 8);
}

/* A tab that crashed knows no session, and is not kept out by what is left of its own. */
static void test_a_crashed_client_begins_anew(void **state)
{
	char first[32];

	(void)state;
	kit.f->w->o.max_sessions_per_token = 1;
	client_enter(&a, "t1,conference,city/hall", "city/hall");
	client_join(&a);
	client_publish(&a);
	assert_int_equal(mu_floor_request(kit.c, "city/hall", NULL), 1);
	memcpy(first, a.session, sizeof(first));
	client_lose(&a);
	client_flush(&a);
	client_open(&b); /* another's token is another's */
	client_say(&b, "hello", "{ss ss}", "token", "t2,conference,city/hall", "endpoint", "city/hall");
	assert_non_null(client_got(&b, "welcome"));
	client_done(&b);
	assert_non_null(session_find(kit.f->w, first));
	client_enter(&a, "t1,conference,city/hall", "city/hall");
	assert_null(session_find(kit.f->w, first));
	assert_int_equal(mu_directory_find(kit.f->d, "city/hall")->state, MU_ENDPOINT_LOST); /* held */
	client_publish(&a);
	assert_false(mu_conference_member(kit.c, "city/hall")->present);
	client_join(&a);
	assert_true(mu_conference_member(kit.c, "city/hall")->present);
	assert_string_equal(mu_floor_holder(kit.c), "city/hall"); /* it was on its way back */
	fake_pass(30100); /* the first one's time is over, and changes nothing */
	assert_true(mu_conference_member(kit.c, "city/hall")->present);
	assert_int_equal(mu_directory_find(kit.f->d, "city/hall")->state, MU_ENDPOINT_LIVE);
}

/* One that is there is not put out by another page of its own: that one is refused what it has. */
static void test_a_second_page_ends_nothing(void **state)
{
	(void)state;
	client_enter(&a, "t1,conference,city/hall", "city/hall");
	client_publish(&a);
	client_enter(&b, "t1,conference,city/hall", "city/hall");
	assert_int_equal(sessions(), 2);
	client_say(&b, "offer", "{so}", "sdp", sdp_json("chromium-whip.sdp"));
	client_refused(&b, 409, "published already");
}

static void test_ends(void **state)
{
	const json_t *bye;

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_enter(&b, "t2,conference,city/b", "city/b");
	client_join(&a);
	client_join(&b);
	assert_int_equal(mu_webrtc_end_token(kit.f->w, "t1", "its token was revoked"), 1);
	bye = client_got(&a, "bye");
	assert_string_equal(text_of(bye, "why"), "its token was revoked");
	assert_true(json_is_false(json_object_get(bye, "again")));
	assert_int_equal(a.code, 1000);
	assert_false(mu_conference_member(kit.c, "city/a")->present);
	assert_int_equal(b.code, 0);
	fake_pass(200);
	assert_non_null(client_got(&b, "conference"));
	client_lose(&a);
	mu_webrtc_expire(kit.f->w, 2000000000);
	assert_string_equal(text_of(client_got(&b, "bye"), "why"), "its token has expired");
	assert_int_equal(sessions(), 0);
}

/* The key of its token leaves the keyring. */
static void test_key_withdrawn(void **state)
{
	struct mu_keyring *ring;

	(void)state;
	assert_int_equal(mu_keyring_new(&ring), 0);
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_enter(&b, "t2,conference,city/b", "city/b");
	snprintf(session_find(kit.f->w, a.session)->token.kid, 8, "gone");
	assert_int_equal(mu_webrtc_end_unknown_keys(kit.f->w, ring, "its key was withdrawn"), 1);
	assert_string_equal(text_of(client_got(&a, "bye"), "why"), "its key was withdrawn");
	assert_int_equal(b.code, 0);
	mu_keyring_free(ring);
}

static void test_drain(void **state)
{
	struct mu_console *l;
	const json_t *bye;

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_join(&a);
	assert_int_equal(mu_floor_request(kit.c, "city/a", NULL), 1);
	assert_string_equal(text_of(client_got(&a, "event"), "kind"), "conference.floor");
	mu_webrtc_drain(kit.f->w);
	assert_string_equal(text_of(client_got(&a, "event"), "kind"), "gateway.draining");
	assert_int_equal(mu_console_new(kit.f->w, &a.l->socket, "192.0.2.9", &l), -ENOSPC);
	mu_webrtc_close_all(kit.f->w, "the gateway stops");
	bye = client_got(&a, "bye");
	assert_string_equal(text_of(bye, "why"), "the gateway stops");
	assert_true(json_is_true(json_object_get(bye, "again")));
	assert_string_equal(mu_floor_holder(kit.c), "city/a");
}

struct seen {
	unsigned n;
	json_t *last;
};

static bool on_session(void *arg, const struct mu_session_info *s)
{
	struct seen *seen = arg;

	seen->n++;
	assert_true(s->console);
	json_decref(seen->last);
	seen->last = mu_session_json(s);
	return true;
}

static void test_shown(void **state)
{
	struct seen seen = { 0 };
	struct mu_web_reply r = { 0 };

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	mu_webrtc_each_session(kit.f->w, 0, on_session, &seen);
	assert_int_equal(seen.n, 1);
	assert_string_equal(text_of(seen.last, "kind"), "console");
	assert_string_equal(text_of(seen.last, "endpoint"), "city/a");
	assert_int_equal(json_array_size(json_object_get(seen.last, "streams")), 0);
	json_decref(seen.last);
	mu_webrtc_refresh_stats(kit.f->w);
	/* what WHIP's sessions can, it cannot */
	mu_session_patch(
		kit.f->w, a.session, "application/trickle-ice-sdpfrag", "*", "a=ice-ufrag:x\r\n", 15, &r);
	assert_int_equal(r.status, 404);
	mu_session_delete(kit.f->w, a.session, &r);
	assert_int_equal(r.status, 200);
	assert_non_null(client_got(&a, "bye"));
	assert_int_equal(sessions(), 0);
}

static void test_limit(void **state)
{
	(void)state;
	kit.f->w->o.max_sessions_per_token = 1;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_open(&b);
	client_say(&b, "hello", "{ss}", "token", "t1,conference,city/a");
	client_refused(&b, 429, "limit");
	assert_int_equal(b.code, 1008);
}

/* Whoever is let in counts, not whoever has only knocked. */
static void test_strangers_take_no_session(void **state)
{
	struct client strangers[4] = { 0 };

	(void)state;
	kit.f->w->o.max_sessions = 1;
	for (size_t i = 0; i < MU_ARRAY_LEN(strangers); i++)
		client_open(&strangers[i]);
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_say(&strangers[0], "hello", "{ss}", "token", "t1,conference,city/a");
	client_refused(&strangers[0], 503, "limit");
	for (size_t i = 0; i < MU_ARRAY_LEN(strangers); i++)
		client_done(&strangers[i]);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_hello),
		TEST(test_hello_refused),
		TEST(test_silence_before_hello),
		TEST(test_malformed),
		TEST(test_rate),
		TEST(test_rate_of_acts),
		TEST(test_resume),
		TEST(test_resume_of_a_half_open_one),
		TEST(test_resume_by_another),
		TEST(test_awaited_sessions_are_few),
		TEST(test_a_crashed_client_begins_anew),
		TEST(test_a_second_page_ends_nothing),
		TEST(test_ends),
		TEST(test_key_withdrawn),
		TEST(test_drain),
		TEST(test_shown),
		TEST(test_limit),
		TEST(test_strangers_take_no_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
