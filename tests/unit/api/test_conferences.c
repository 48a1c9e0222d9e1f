/* Conferences by the API: made, seen, led and ended, by whom, and who hears of it. The conferences themselves
 * are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "fakes.h"

#define JSON "application/json"

static struct mu_api *api;
static struct mu_conferences *cs;
static uint16_t port;
static char dir[64];
static const char boss[] = "j,boss,operate,,60";

static int setup(void **state)
{
	struct mu_addr at = { .in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct mu_api_options o = { .listen = &at, .n_listen = 1, .site = "city", .state_dir = dir };
	struct mu_error e;

	(void)state;
	strcpy(dir, "/tmp/muster-conf-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fake_init();
	assert_int_equal(mu_conferences_new(NULL, NULL, &cs), 0);
	o.conferences = cs;
	assert_int_equal(mu_api_new(&o, &api, &e), 0);
	port = mu_api_port(api, 0);
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	mu_api_free(api);
	mu_conferences_free(cs);
	client_turn(5);
	fake_done();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static struct mu_conference *make(const char *id)
{
	struct mu_conference_spec spec = { .id = id };
	struct mu_conference *c;

	assert_int_equal(mu_conference_create(cs, &spec, &c, NULL), 0);
	return c;
}

static int post(const char *path, const char *token, const char *body, struct answer const **ret)
{
	const struct answer *a = ask(port, "POST", path, token, JSON, body, "");

	if (ret)
		*ret = a;
	return a->status;
}

static int act(const char *body)
{
	return post("/v1/conferences/morning/acts", boss, body, NULL);
}

static void test_made(void **state)
{
	const struct answer *a;
	struct mu_conference *c;

	(void)state;
	assert_int_equal(
		post("/v1/conferences", boss,
			"{\"id\":\"morning\",\"title\":\"晨会\",\"moderated\":true,\"loudest\":7,\"layout\":\"choice\",\"new\":1}",
			&a),
		201);
	assert_string_equal(header(a, "Location"), "/v1/conferences/morning");
	assert_non_null(strstr(a->body, "\"title\":\"晨会\""));
	assert_non_null(strstr(a->body, "\"moderated\":true"));
	assert_non_null(strstr(a->body, "\"layout\":\"choice\""));
	c = mu_conferences_find(cs, "morning");
	assert_int_equal(mu_conference_loudest(c), 7);
	assert_int_equal(post("/v1/conferences", boss, "{\"id\":\"morning\"}", &a), 409);
	assert_non_null(strstr(a->body, "there is a conference morning already"));
	/* without an id it gets one */
	assert_int_equal(post("/v1/conferences", boss, "{\"title\":\"x\"}", &a), 201);
	assert_int_equal(strlen(header(a, "Location")), strlen("/v1/conferences/") + 10);
	a = ask(port, "GET", header(a, "Location"), boss, NULL, NULL, "");
	assert_int_equal(a->status, 200);
}

static void test_what_cannot_be_made(void **state)
{
	static const struct {
		const char *body, *said;
	} cases[] = { { "{\"id\":\"../x\"}", "does not begin with" },
		{ "{\"id\":\"会\"}", "1 to 64 letters" }, { "{\"id\":\"\"}", "\\\"id\\\" must be a text" },
		{ "{\"id\":7}", "\\\"id\\\" must be a text" },
		{ "{\"id\":null}", "\\\"id\\\" must be a text" }, { "{\"id\":\"a\\u0000b\"}", "not JSON" },
		{ "{\"title\":\"\\u001b[2J\"}", "U+001B" }, { "{\"title\":\"\\u202eexe\"}", "U+202E" },
		{ "{\"title\":\"  \"}", "the title is empty" },
		{ "{\"title\":[]}", "\\\"title\\\" must be a text" },
		{ "{\"moderated\":1}", "true or false" }, { "{\"loudest\":0}", "1 to 64" },
		{ "{\"loudest\":65}", "1 to 64" }, { "{\"loudest\":\"5\"}", "1 to 64" },
		{ "{\"loudest\":4294967297}", "1 to 64" },
		{ "{\"layout\":\"round\"}", "equal, speaker and choice are" },
		{ "{\"layout\":\"会会\"}", "There is no layout" }, { "{\"layout\":1}", "must be a text" },
		{ "[]", "must be a JSON object" }, { "7", "not JSON" },
		{ "{\"id\":\"a\",\"id\":\"b\"}", "duplicate" } };
	static char longest[5000];
	const struct answer *a;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		if (post("/v1/conferences", boss, cases[i].body, &a) != 400 ||
			!strstr(a->body, cases[i].said))
			fail_msg("%s: %d %s", cases[i].body, a->status, a->body);
	}
	for (size_t i = 0; i < 2; i++) {
		snprintf(longest, sizeof(longest), "{\"%s\":\"%04096d\"}", i ? "title" : "id", 7);
		assert_int_equal(post("/v1/conferences", boss, longest, &a), 400);
		assert_non_null(strstr(a->body, "bytes"));
	}
	for (unsigned i = 0; i < MU_CONFERENCES_MAX; i++) {
		char id[16];

		snprintf(id, sizeof(id), "c%u", i);
		make(id);
	}
	assert_int_equal(post("/v1/conferences", boss, "{\"id\":\"more\"}", &a), 507);
	assert_non_null(strstr(a->body, "end one first"));
}

static void test_pages(void **state)
{
	static const char *const bad[] = { "limit=0", "limit=101", "limit=x", "after=%s" };
	char path[300];
	const struct answer *a;

	(void)state;
	make("a1");
	make("a2");
	make("b1");
	a = ask(port, "GET", "/v1/conferences?limit=2", boss, NULL, NULL, "");
	assert_non_null(strstr(a->body, "\"id\":\"a1\""));
	assert_non_null(strstr(a->body, "\"id\":\"a2\""));
	assert_null(strstr(a->body, "\"id\":\"b1\""));
	assert_non_null(strstr(a->body, "\"next\":\"a2\""));
	a = ask(port, "GET", "/v1/conferences?limit=2&after=a2", boss, NULL, NULL, "");
	assert_null(strstr(a->body, "\"id\":\"a"));
	assert_non_null(strstr(a->body, "\"id\":\"b1\""));
	assert_non_null(strstr(a->body, "\"next\":null"));
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		char long_id[200];

		memset(long_id, 'x', sizeof(long_id) - 1);
		long_id[sizeof(long_id) - 1] = '\0';
		snprintf(path, sizeof(path), "/v1/conferences?");
		snprintf(path + strlen(path), sizeof(path) - strlen(path),
			bad[i][0] == 'a' ? "after=%s" : "%s", bad[i][0] == 'a' ? long_id : bad[i]);
		assert_int_equal(ask(port, "GET", path, boss, NULL, NULL, "")->status, 400);
	}
}

/* Each act that a chair has, by an operator. */
static void test_acts(void **state)
{
	static const struct {
		const char *body, *shows;
	} cases[] = { { "{\"act\":\"mute\",\"endpoint\":\"city/a\"}", "\"muted_by_chair\":true" },
		{ "{\"act\":\"unmute\",\"endpoint\":\"city/a\"}", "\"muted\":false" },
		{ "{\"act\":\"mute.all\"}", "\"muted_by_chair\":true" },
		{ "{\"act\":\"unmute.all\"}", "\"muted\":false" },
		{ "{\"act\":\"role\",\"endpoint\":\"city/a\",\"value\":\"listener\"}",
			"\"role\":\"listener\"" },
		{ "{\"act\":\"role\",\"endpoint\":\"city/a\",\"value\":\"participant\"}",
			"\"role\":\"participant\"" },
		{ "{\"act\":\"lock\"}", "\"locked\":true" }, { "{\"act\":\"unlock\"}", "\"locked\":false" },
		{ "{\"act\":\"broadcast\",\"endpoint\":\"city/a\"}", "\"broadcast\":\"city/a\"" },
		{ "{\"act\":\"broadcast\"}", "\"broadcast\":null" },
		{ "{\"act\":\"layout\",\"value\":\"equal\"}", "\"layout\":\"equal\"" },
		{ "{\"act\":\"floor.grant\",\"endpoint\":\"city/a\"}", "\"floor\":\"city/a\"" },
		{ "{\"act\":\"floor.revoke\"}", "\"floor\":null" },
		{ "{\"act\":\"screen.stop\"}", "\"screen\":null" },
		{ "{\"act\":\"remove\",\"endpoint\":\"city/a\"}", "\"members\":[]" } };
	struct mu_conference *c = make("morning");
	const struct answer *a;

	(void)state;
	assert_int_equal(mu_conference_join(c, "city/a", NULL, MU_ROLE_PARTICIPANT, 8, NULL), 0);
	assert_int_equal(mu_screen_start(c, "city/a", NULL), 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		if (post("/v1/conferences/morning/acts", boss, cases[i].body, &a) != 200 ||
			!strstr(a->body, cases[i].shows))
			fail_msg("%s: %d %s", cases[i].body, a->status, a->body);
	}
	assert_int_equal(post("/v1/conferences/morning/acts", boss, "{\"act\":\"end\"}", &a), 200);
	assert_non_null(strstr(a->body, "\"ended\":\"morning\""));
	assert_int_equal(act("{\"act\":\"lock\"}"), 404);
	make("morning");
	assert_int_equal(ask(port, "DELETE", "/v1/conferences/morning", boss, NULL, NULL, "")->status, 200);
	assert_int_equal(ask(port, "DELETE", "/v1/conferences/morning", boss, NULL, NULL, "")->status, 404);
	assert_null(mu_conferences_find(cs, "morning"));
}

static void test_acts_refused(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *said;
	} cases[] = { { "{}", 400, "floor.grant, floor.revoke" },
		{ "{\"act\":\"dance\"}", 400, "floor.grant, floor.revoke" },
		{ "{\"act\":7}", 400, "\\\"act\\\" must be a text" },
		{ "{\"act\":\"mute\"}", 400, "<site>/<name>" },
		{ "{\"act\":\"mute\",\"endpoint\":[]}", 400, "must be a text" },
		{ "{\"act\":\"mute\",\"endpoint\":\"x\"}", 400, "<site>/<name>" },
		{ "{\"act\":\"mute\",\"endpoint\":\"city/b\"}", 404, "city/b is not in conference morning" },
		{ "{\"act\":\"role\",\"endpoint\":\"city/a\"}", 400, "needs a \\\"value\\\"" },
		{ "{\"act\":\"role\",\"endpoint\":\"city/a\",\"value\":7}", 400, "must be a text" },
		{ "{\"act\":\"role\",\"endpoint\":\"city/a\",\"value\":\"king\"}", 400,
			"chair, participant and listener are" },
		{ "{\"act\":\"layout\",\"value\":\"会会会会会会会会会会会会\"}", 400,
			"equal, speaker and choice are" },
		{ "{\"act\":\"会会会会会会会会会会会会会会\"}", 400,
			"There is no act" }, /* cut within a character, and said all the same */
		{ "{\"act\":\"floor.grant\",\"endpoint\":\"city/l\"}", 403, "is a listener" },
		{ "{\"act\":\"floor.request\"}", 400, "what a member does for itself" },
		{ "{\"act\":\"large\",\"endpoint\":\"city/a\"}", 400, "what a member does for itself" } };
	struct mu_conference *c = make("morning");
	const struct answer *a;

	(void)state;
	assert_int_equal(mu_conference_join(c, "city/a", NULL, MU_ROLE_PARTICIPANT, 8, NULL), 0);
	assert_int_equal(mu_conference_join(c, "city/l", NULL, MU_ROLE_LISTENER, 8, NULL), 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		if (post("/v1/conferences/morning/acts", boss, cases[i].body, &a) != cases[i].status ||
			!strstr(a->body, cases[i].said))
			fail_msg("%s: %d %s", cases[i].body, a->status, a->body);
	}
	assert_int_equal(post("/v1/conferences/none/acts", boss, "{\"act\":\"lock\"}", NULL), 404);
}

/* What a token may by its scopes, and by its claims "endpoint" and "conference". */
static void test_who_may(void **state)
{
	static const struct {
		const char *token;
		int read, change, make;
	} cases[] = {
		{ "j,s,watch,,60", 403, 403, 403 },
		{ "j,s,publish,,60", 403, 403, 403 },
		{ "j,s,conference,,60", 200, 403, 403 },
		{ "j,s,conference,city/hall,60", 200, 403,
			403 }, /* a room's: it may be in any, so it may see any */
		{ "j,s,conference,,60,,noon", 403, 403, 403 },
		{ "j,s,conference,,60,,morning", 200, 403, 403 },
		{ "j,s,operate,,60", 200, 200, 201 },
		{ "j,s,operate,*,60", 200, 200, 201 },
		{ "j,s,admin,,60", 200, 200, 201 },
		{ "j,s,operate,,60,,noon", 403, 403, 403 },
		{ "j,s,operate,,60,,morning", 200, 200, 403 },
		{ "j,s,operate,city/cam-*,60", 200, 403, 403 }, /* whoever operates cameras leads nobody */
		{ "j,s,operate,city/cam-*,60,,morning", 200, 200, 403 },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		const char *t = cases[i].token;
		const struct answer *a;

		make("morning");
		a = ask(port, "GET", "/v1/conferences/morning", t, NULL, NULL, "");
		if (a->status != cases[i].read)
			fail_msg("%s reads: %d %s", t, a->status, a->body);
		a = ask(port, "GET", "/v1/conferences", t, NULL, NULL, "");
		if (a->status == 200 && !strstr(a->body, "morning") != (cases[i].read != 200))
			fail_msg("%s lists: %s", t, a->body);
		if (post("/v1/conferences/morning/acts", t, "{\"act\":\"lock\"}", &a) != cases[i].change)
			fail_msg("%s acts: %d %s", t, a->status, a->body);
		if (post("/v1/conferences", t, "{\"id\":\"evening\"}", &a) != cases[i].make)
			fail_msg("%s makes: %d %s", t, a->status, a->body);
		a = ask(port, "DELETE", "/v1/conferences/morning", t, NULL, NULL, "");
		if (a->status != cases[i].change)
			fail_msg("%s ends: %d %s", t, a->status, a->body);
		if (cases[i].change != 200)
			mu_conference_end(mu_conferences_find(cs, "morning"), NULL, NULL);
		if (cases[i].make == 201)
			mu_conference_end(mu_conferences_find(cs, "evening"), NULL, NULL);
	}
	/* what it may not know of it is not told of by 404 either */
	assert_int_equal(
		ask(port, "GET", "/v1/conferences/none", "j,s,conference,,60,,morning", NULL, NULL, "")
			->status,
		403);
}

static int stream(const char *token)
{
	char text[300];
	int fd = client_open(port);

	snprintf(text, sizeof(text), "GET /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n",
		token);
	client_send(fd, text, strlen(text));
	client_turn(20);
	return fd;
}

static void test_who_hears(void **state)
{
	static const struct {
		const char *token;
		bool morning, noon, endpoint, session;
	} cases[] = {
		{ "j,s0,watch,,60", false, false, true, false },
		{ "j,s1,conference,,60", true, true, false, false },
		{ "j,s2,conference,city/hall,60,,morning", true, false, false,
			false }, /* of others' doings in it, too */
		{ "j,s3,conference watch,city/a,60,,noon", false, true, true, false },
		{ "j,s4,operate,,60", true, true, true, true },
		{ "j,s5,operate,,60,,noon", false, true, true, true },
	};
	int fds[MU_ARRAY_LEN(cases)];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++)
		fds[i] = stream(cases[i].token);
	assert_int_equal(
		mu_conference_join(make("morning"), "city/a", NULL, MU_ROLE_PARTICIPANT, 8, NULL), 0);
	make("noon");
	mu_directory_tell(NULL, "endpoint.live", json_pack("{ss}", "id", "city/a"));
	mu_directory_tell(NULL, "session.closed", json_pack("{ss ss}", "id", "x", "endpoint", "city/a"));
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct answer a;

		client_read(fds[i], &a, 100);
		if (!!strstr(a.body,
			    "event: conference.joined\ndata: {\"time_us\":1000,\"data\":{\"conference\":\"morning\"") !=
				cases[i].morning ||
			!!strstr(a.body, "noon") != cases[i].noon ||
			!!strstr(a.body, "endpoint.live") != cases[i].endpoint ||
			!!strstr(a.body, "session.closed") != cases[i].session)
			fail_msg("%s hears: %s", cases[i].token, a.body);
		close(fds[i]);
	}
}

/* What was done is in the log each time, what was refused once a second. */
static void test_audited(void **state)
{
	const struct answer *a;
	unsigned lines = 0;

	(void)state;
	assert_int_equal(post("/v1/conferences", boss, "{\"id\":\"morning\"}", NULL), 201);
	assert_int_equal(act("{\"act\":\"lock\"}"), 200);
	for (int i = 0; i < 20; i++)
		assert_int_equal(act("{\"act\":\"mute\",\"endpoint\":\"city/none\"}"), 404);
	assert_int_equal(ask(port, "DELETE", "/v1/conferences/morning", boss, NULL, NULL, "")->status, 200);
	client_turn(50);
	a = ask(port, "GET", "/v1/audit", "j,root,admin,,60", NULL, NULL, "");
	assert_non_null(
		strstr(a->body, "\"what\":\"conference.create\",\"target\":\"morning\",\"result\":\"done\""));
	assert_non_null(
		strstr(a->body, "\"what\":\"conference.lock\",\"target\":\"morning\",\"result\":\"done\""));
	assert_non_null(
		strstr(a->body, "\"what\":\"conference.end\",\"target\":\"morning\",\"result\":\"done\""));
	for (const char *s = a->body; (s = strstr(s, "conference.mute")); s++)
		lines++;
	assert_in_range(lines, 1, 3);
}

static void test_figures(void **state)
{
	struct mu_conference *c = make("morning");
	const struct answer *a;

	(void)state;
	make("noon");
	assert_int_equal(mu_conference_join(c, "city/a", NULL, MU_ROLE_PARTICIPANT, 8, NULL), 0);
	assert_int_equal(mu_conference_join(c, "city/b", NULL, MU_ROLE_PARTICIPANT, 8, NULL), 0);
	mu_conference_absent(c, "city/b");
	a = ask(port, "GET", "/metrics", boss, NULL, NULL, "");
	assert_non_null(strstr(a->body, "\nmuster_conferences 2\n"));
	assert_non_null(strstr(a->body, "\nmuster_conference_members 1\n"));
	assert_non_null(strstr(a->body, "\nmuster_conference_saves_failed_total 0\n"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_made), T(test_what_cannot_be_made), T(test_pages),
		T(test_acts), T(test_acts_refused), T(test_who_may), T(test_who_hears), T(test_audited),
		T(test_figures) };

	return cmocka_run_group_tests_name("api conferences", tests, NULL, NULL);
}
