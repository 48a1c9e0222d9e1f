/* musterctl as its user has it: a command line in, text and an exit status out. Its gateway is a socket that answers once. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/base.h"

static const char *musterctl;
static char folder[] = "/tmp/muster-test-XXXXXX";
static char said[8192]; /* by the last command: stdout and stderr */

/* A shell line in the test's folder, $M being musterctl. @return its exit status */
static int run(const char *fmt, ...) MU_PRINTF(1, 2);
static int run(const char *fmt, ...)
{
	char line[4096], command[6000];
	va_list ap;
	size_t n;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "cd %s && M='%s' && { %s; } 2>&1", folder, musterctl, line);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

static void assert_said(const char *part)
{
	if (!strstr(said, part))
		fail_msg("\"%s\" is not in: %s", part, said);
}

/* A gateway for one request, in a process of its own: it keeps what it was asked in the file "asked". @return its port */
static unsigned gateway_with(const char *status, const char *answer, pid_t *ret)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s, 1), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&a, &len), 0);
	*ret = fork();
	if (*ret == 0) {
		char path[64], text[8192] = "";
		size_t n = 0;
		ssize_t got;
		FILE *f;
		int c;

		alarm(20);
		c = accept(s, NULL, NULL);
		/* head and body come in one piece or in two; the body is JSON */
		while (n < sizeof(text) - 1 && !(strstr(text, "GET ") && strstr(text, "\r\n\r\n")) && !strstr(text, "}") &&
			(got = read(c, text + n, sizeof(text) - 1 - n)) > 0)
			n += (size_t)got;
		snprintf(path, sizeof(path), "%s/asked", folder);
		f = fopen(path, "w");
		fputs(text, f);
		fclose(f);
		dprintf(c, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			status, strlen(answer), answer);
		close(c);
		_exit(0);
	}
	close(s);
	return ntohs(a.sin_port);
}

static unsigned gateway(const char *answer, pid_t *ret)
{
	return gateway_with("200 OK", answer, ret);
}

static int asked(pid_t gateway_pid)
{
	int status = 0;

	waitpid(gateway_pid, &status, 0);
	return run("cat asked && rm asked");
}

/* --- */

static void test_keygen_makes_the_folder(void **state)
{
	struct stat st;
	char path[64];

	(void)state;
	assert_int_equal(run("$M token keygen run/single/token.pem"), 0);
	snprintf(path, sizeof(path), "%s/run/single", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%s/run/single/token.pem", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(run("$M token keygen run/single/token.pem"), 1);
	assert_said("run/single/token.pem: File exists");
	assert_null(strstr(strstr(said, "token.pem") + 1, "token.pem")); /* once is enough */
	assert_said("remove the pair first");
	assert_int_equal(run("$M token keygen run/single/token.pem/x"), 1);
	assert_said("Not a directory");
	assert_int_equal(run("$M token keygen ''"), 1);
}

static void test_endpoints_of_tokens(void **state)
{
	static const char *const good[] = { "city/cam-1", "city.east/A_b.c", "city/cam-*", "city/*", "city.*", "*" };
	static const char *const bad[] = { "", "cam-1", "cam-*", "city*", "/cam", "city/", "a/b/c", "city/cam 1", "city/*x", "**" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(good); i++) {
		if (run("$M token create --key run/single/token.pem --scope watch --endpoint '%s'", good[i]) != 0)
			fail_msg("%s: %s", good[i], said);
	}
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		if (run("$M token create --key run/single/token.pem --scope watch --endpoint '%s'", bad[i]) != 2)
			fail_msg("%s: %s", bad[i], said);
		assert_said("<site>/<name>");
	}
	run("$M token create --key run/single/token.pem --scope watch --endpoint cam-1");
	assert_said("city/cam-1");
}

static void test_tokens_stay_on_this_machine(void **state)
{
	static const char *const elsewhere[] = { "127.evil.example", "127.0.0.1.example", "localhost.example", "[::2]", "10.0.0.1",
		"128.0.0.1" };

	(void)state;
	assert_int_equal(run("echo secret >token"), 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(elsewhere); i++) {
		assert_int_equal(run("$M --token-file token --url http://%s:9 status", elsewhere[i]), 1);
		assert_said("is plain HTTP to another machine");
	}
	assert_int_equal(run("$M --token-file token --url http://127.200.0.1:9 status"), 1);
	assert_said("Is musterd running");
	assert_int_equal(run("$M --token-file token --url 'http://[::1]:9' status"), 1);
	assert_said("Is musterd running");
}

static void test_no_proxy_on_the_way_to_this_machine(void **state)
{
	pid_t pid;
	unsigned port = gateway("{\"site\": \"city\"}", &pid);

	(void)state;
	assert_int_equal(run("http_proxy=http://127.0.0.1:9 $M --url http://127.0.0.1:%u status", port), 0);
	assert_said("city");
	assert_int_equal(asked(pid), 0);
	assert_said("GET /v1/status HTTP/1.1\r\n");
}

static void test_revocations_end_with_the_token(void **state)
{
	static const char answer[] = "{\"jti\": \"x\", \"sessions_ended\": 3}";
	char expires[64];
	json_t *token;
	pid_t pid;
	unsigned port = gateway(answer, &pid);

	(void)state;
	assert_int_equal(run("$M --json token create --key run/single/token.pem --scope watch --ttl 1h >t.json && cat t.json"), 0);
	token = json_loads(said, 0, NULL);
	snprintf(expires, sizeof(expires), "\"expires\":%lld", (long long)json_integer_value(json_object_get(token, "expires")));
	assert_int_equal(run("printf '%%s\\n' '%s' | $M --url http://127.0.0.1:%u token revoke -",
				 json_string_value(json_object_get(token, "token")), port), 0);
	assert_said("3 sessions ended");
	assert_null(strstr(said, "for ever"));
	assert_int_equal(asked(pid), 0);
	assert_said(json_string_value(json_object_get(token, "id")));
	assert_said(expires);
	json_decref(token);
	port = gateway(answer, &pid);
	assert_int_equal(run("$M --url http://127.0.0.1:%u token revoke abc --expires 2026-11-24T22:04:40Z", port), 0);
	assert_int_equal(asked(pid), 0);
	assert_said("{\"jti\":\"abc\",\"expires\":1795557880}");
	port = gateway(answer, &pid);
	assert_int_equal(run("$M --url http://127.0.0.1:%u token revoke abc", port), 0);
	assert_said("for ever");
	assert_int_equal(asked(pid), 0);
	assert_said("{\"jti\":\"abc\"}");
	assert_int_equal(run("$M token revoke abc --expires tomorrow"), 2);
	assert_int_equal(run("echo abc | $M token revoke -"), 1);
	assert_said("holds no token");
}

static void test_endpoints_show_their_layers(void **state)
{
	static const char answer[] =
		"{\"endpoints\": [{\"id\": \"city/sim\", \"state\": \"live\", \"viewers\": 2, \"tracks\": ["
		"{\"label\": \"video\", \"codec\": \"VP8\", \"layers\": ["
		"{\"rid\": \"h\", \"flows\": true, \"width\": 1280, \"height\": 720, \"bps\": 1480000},"
		"{\"rid\": \"m\", \"flows\": true, \"width\": 0, \"height\": 0, \"bps\": 499600},"
		"{\"rid\": \"l\", \"flows\": false, \"width\": 320, \"height\": 180, \"bps\": 0}]},"
		"{\"label\": \"audio\", \"codec\": \"opus\"}]},"
		"{\"id\": \"city/one\", \"state\": \"live\", \"tracks\": [{\"label\": \"video\", \"codec\": \"H264\", \"layers\": ["
		"{\"rid\": \"\", \"flows\": true, \"width\": 640, \"height\": 360, \"bps\": 800000}]}]},"
		"{\"id\": \"city/lost\", \"state\": \"lost\", \"tracks\": [{\"label\": \"video\", \"codec\": \"H264\", \"layers\": ["
		"{\"rid\": \"\", \"flows\": false, \"width\": 640, \"height\": 360, \"bps\": 0}]}]},"
		"{\"id\": \"city/none\", \"state\": \"idle\", \"tracks\": []}]}";
	pid_t pid;
	unsigned port = gateway(answer, &pid);

	(void)state;
	assert_int_equal(run("$M --url http://127.0.0.1:%u endpoints", port), 0);
	assert_said("video VP8 (h 1280x720 1.5M, m 500k, l rests), audio opus\n");
	assert_said("video H264 640x360 800k\n");
	assert_said("video H264\n");
	assert_said("-\n");
	asked(pid);
}

static void test_places_of_tokens(void **state)
{
	static const char *const good[] = { "--conference morning", "--conference 'morning-*'", "--conference '*'", "--role chair",
		"--role participant", "--role listener", "--rank 0", "--rank 15", "--conference m --role chair --rank 3" };
	static const struct {
		const char *option, *said;
	} bad[] = { { "--conference ''", "a conference's id" }, { "--conference a/b", "a conference's id" },
		{ "--conference '*a'", "a conference's id" }, { "--role boss", "chair, participant or listener" },
		{ "--role ''", "chair, participant or listener" }, { "--rank 16", "0, the highest, to 15" },
		{ "--rank -1", "0, the highest, to 15" }, { "--rank ''", "0, the highest, to 15" }, { "--rank 1x", "0, the highest, to 15" } };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(good); i++) {
		if (run("$M token create --key run/single/token.pem --scope conference %s", good[i]) != 0)
			fail_msg("%s: %s", good[i], said);
	}
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		if (run("$M token create --key run/single/token.pem --scope conference %s", bad[i].option) != 2)
			fail_msg("%s: %s", bad[i].option, said);
		assert_said(bad[i].said);
	}
	run("$M token create --key run/single/token.pem --scope conference --conference 'm*' --role listener --rank 3 2>&-"
	    " | cut -d. -f2 | tr _- /+ | base64 -di");
	assert_said("\"conference\":\"m*\"");
	assert_said("\"role\":\"listener\"");
	assert_said("\"rank\":3");
	/* who says nothing has no claim that an older gateway could stumble over */
	run("$M token create --key run/single/token.pem --scope conference 2>&- | cut -d. -f2 | tr _- /+ | base64 -di");
	assert_null(strstr(said, "rank"));
}

#define MORNING                                                                                                           \
	"{\"id\":\"morning\",\"title\":\"晨会\",\"since\":\"2026-11-24T22:04:40.123Z\",\"moderated\":true,\"locked\":true,"       \
	"\"loudest\":5,\"layout\":\"speaker\",\"floor\":\"city/a\",\"screen\":\"city/a\",\"broadcast\":null,\"speaker\":null," \
	"\"members\":[{\"endpoint\":\"city/a\",\"name\":\"A\",\"role\":\"chair\",\"rank\":1,\"present\":true,\"muted\":false,"  \
	"\"since\":\"2026-11-24T22:04:41.000Z\",\"hand\":null},"                                                            \
	"{\"endpoint\":\"city/b\",\"name\":\"B\",\"role\":\"listener\",\"rank\":9,\"present\":false,\"muted\":true,"         \
	"\"muted_by_chair\":true,\"since\":\"2026-11-24T22:04:42.000Z\",\"hand\":\"2026-11-24T22:04:43.000Z\"}],"       \
	"\"former\":[{\"endpoint\":\"city/x\",\"removed\":true,\"since\":\"2026-11-24T22:05:00.000Z\"},"                    \
	"{\"endpoint\":\"city/y\",\"removed\":false,\"muted_by_chair\":true,\"since\":\"2026-11-24T22:05:00.000Z\"}]}"

/* What each command asks for, and how the answer looks. */
static void test_conferences_are_led(void **state)
{
	static const struct {
		const char *words, *line, *body;
	} cases[] = {
		{ "show morning", "GET /v1/conferences/morning HTTP", "" },
		{ "create morning --title 晨会 --moderated --layout choice --loudest 7", "POST /v1/conferences HTTP",
			"{\"id\":\"morning\",\"title\":\"晨会\",\"layout\":\"choice\",\"loudest\":7,\"moderated\":true}" },
		{ "create", "POST /v1/conferences HTTP", "{}" },
		{ "mute morning city/a", "POST /v1/conferences/morning/acts HTTP", "{\"act\":\"mute\",\"endpoint\":\"city/a\"}" },
		{ "unmute morning city/a", "POST", "{\"act\":\"unmute\",\"endpoint\":\"city/a\"}" },
		{ "mute-all morning", "POST", "{\"act\":\"mute.all\"}" },
		{ "unmute-all morning", "POST", "{\"act\":\"unmute.all\"}" },
		{ "role morning city/a chair", "POST", "{\"act\":\"role\",\"endpoint\":\"city/a\",\"value\":\"chair\"}" },
		{ "remove morning city/a", "POST", "{\"act\":\"remove\",\"endpoint\":\"city/a\"}" },
		{ "admit morning city/x", "POST", "{\"act\":\"admit\",\"endpoint\":\"city/x\"}" },
		{ "lock morning", "POST", "{\"act\":\"lock\"}" },
		{ "unlock morning", "POST", "{\"act\":\"unlock\"}" },
		{ "floor morning city/a", "POST", "{\"act\":\"floor.grant\",\"endpoint\":\"city/a\"}" },
		{ "floor morning", "POST", "{\"act\":\"floor.revoke\"}" },
		{ "grant morning city/a", "POST", "{\"act\":\"floor.grant\",\"endpoint\":\"city/a\"}" },
		{ "revoke morning", "POST", "{\"act\":\"floor.revoke\"}" },
		{ "broadcast morning city/a", "POST", "{\"act\":\"broadcast\",\"endpoint\":\"city/a\"}" },
		{ "broadcast morning", "POST", "{\"act\":\"broadcast\"}" },
		{ "layout morning equal", "POST", "{\"act\":\"layout\",\"value\":\"equal\"}" },
		{ "stop-screen morning", "POST", "{\"act\":\"screen.stop\"}" },
	};
	pid_t pid;
	unsigned port;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		port = gateway(MORNING, &pid);
		if (run("$M --url http://127.0.0.1:%u conference %s", port, cases[i].words) != 0)
			fail_msg("%s: %s", cases[i].words, said);
		assert_said("morning (晨会): moderated, locked, layout speaker, 1 of 2 present, at most 5 voices\n");
		assert_said("floor screen");
		assert_said("absent since 2026-11-24T22:04:42.000Z");
		assert_said("hand muted-by-chair");
		assert_said("city/x was removed at 2026-11-24T22:05:00.000Z; to let it in again: musterctl conference admit morning city/x\n");
		assert_null(strstr(said, "city/y"));
		asked(pid);
		assert_said(cases[i].line);
		assert_said(cases[i].body);
	}
	port = gateway("{\"id\":\"m\",\"title\":\"a\\u001b[2Jb\\u0085\",\"members\":[]}", &pid);
	assert_int_equal(run("$M --url http://127.0.0.1:%u conference show m", port), 0);
	assert_said("m (a?[2Jb?" "?)"); /* nothing steers the terminal */
	asked(pid);
	port = gateway("{\"ended\":\"morning\"}", &pid);
	assert_int_equal(run("$M --url http://127.0.0.1:%u conference end morning", port), 0);
	assert_said("conference morning has ended\n");
	asked(pid);
	assert_said("{\"act\":\"end\"}");
	port = gateway("{\"conferences\":[" MORNING "],\"next\":null}", &pid);
	assert_int_equal(run("$M --url http://127.0.0.1:%u conference list", port), 0);
	assert_said("CONFERENCE");
	assert_said("1 of 2");
	assert_said("moderated, locked");
	asked(pid);
	port = gateway("{\"conferences\":[" MORNING "],\"next\":null}", &pid);
	assert_int_equal(run("$M --json --url http://127.0.0.1:%u conference list", port), 0);
	assert_said("\"conferences\": [");
	asked(pid);
}

/* Nothing is asked of a gateway for these. */
static void test_conferences_misused(void **state)
{
	static const char *const bad[] = { "conference", "conference show", "conference list x", "conference dance morning",
		"conference show a/b", "conference show ..", "conference show ''", "conference lock '%%2e'", "conference end a b", "conference mute morning",
		"conference role morning city/a", "conference layout morning", "conference floor morning a/b c", "conference create a b",
		"conference create --loudest x", "conference create --loudest 0", "conference create --loudest 5x",
		"conference create --title $(printf '\\377')", "conference broadcast morning $(printf '\\377')" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		if (run("$M --url http://127.0.0.1:9 %s", bad[i]) != 2)
			fail_msg("%s: %s", bad[i], said);
	}
}

/* The gateway's own words, and advice only where they leave something open. */
static void test_conferences_refused(void **state)
{
	static const struct {
		const char *status, *detail, *also;
	} cases[] = { { "404 Not Found", "There is no conference x: it has ended, or never was.", NULL },
		{ "404 Not Found", "Nothing is served at /v1/conferences.", "Is --url that of a Muster gateway" },
		{ "403 Forbidden", "The token is for other conferences than x.", NULL },
		{ "403 Forbidden", "The token lacks the scope this needs: operate.", "need operate" },
		{ "409 Conflict", "there is a conference x already.", NULL } };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		char answer[300];
		pid_t pid;
		unsigned port;

		snprintf(answer, sizeof(answer), "{\"title\":\"No\",\"detail\":\"%s\"}", cases[i].detail);
		port = gateway_with(cases[i].status, answer, &pid);
		assert_int_equal(run("$M --url http://127.0.0.1:%u conference lock x", port), 1);
		assert_said(cases[i].detail);
		if (cases[i].also)
			assert_said(cases[i].also);
		else
			assert_null(strchr(strstr(said, cases[i].detail), '\n')[1] ? said : NULL);
		asked(pid);
	}
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return run("rm -r %s", folder);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keygen_makes_the_folder),
		cmocka_unit_test(test_endpoints_of_tokens),
		cmocka_unit_test(test_tokens_stay_on_this_machine),
		cmocka_unit_test(test_no_proxy_on_the_way_to_this_machine),
		cmocka_unit_test(test_revocations_end_with_the_token),
		cmocka_unit_test(test_endpoints_show_their_layers),
		cmocka_unit_test(test_places_of_tokens),
		cmocka_unit_test(test_conferences_are_led),
		cmocka_unit_test(test_conferences_misused),
		cmocka_unit_test(test_conferences_refused),
	};

	musterctl = argc == 2 ? realpath(argv[1], NULL) : NULL;
	if (!musterctl)
		return 2;
	unsetenv("MUSTER_URL");
	unsetenv("MUSTER_TOKEN_FILE");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
