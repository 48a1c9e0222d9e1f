/* With a state folder: what is written there, and that nothing waits for a disk that stalls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "fakes.h"

static struct mu_api *api;
static uint16_t port;
static char dir[64];
static sqlite3 *other;

static void remove_state(void)
{
	static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm", "audit.jsonl" };
	char path[100];

	for (size_t i = 0; i < MU_ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static int setup(void **state)
{
	struct mu_addr at = { .in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct mu_api_options o = { .listen = &at, .n_listen = 1, .site = "city", .state_dir = dir };
	char path[100];
	struct mu_error e;

	(void)state;
	strcpy(dir, "/tmp/muster-stall-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fake_init();
	assert_int_equal(mu_api_new(&o, &api, &e), 0);
	port = mu_api_port(api, 0);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mu_api_free(api);
	sqlite3_close(other);
	client_turn(5);
	fake_done();
	remove_state();
	return 0;
}

/* Nobody else can write until go_on. */
static void stall(void)
{
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void go_on(void)
{
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
}

static int post_revocation(void)
{
	const char *text =
		"POST /v1/tokens/revoke HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer j,boss,admin,,60\r\n"
		"Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"jti\":\"evil\"}";
	int fd = client_open(port);

	client_send(fd, text, strlen(text));
	return fd;
}

static void wait_for_end(void)
{
	int64_t until = mu_clock_us() + 2000000;

	while (!fake.ended_token[0] && mu_clock_us() < until)
		client_turn(1);
	assert_string_equal(fake.ended_token, "evil");
}

static void test_revocation_holds_while_the_disk_stalls(void **state)
{
	const struct answer *a;
	struct answer late;
	int fd;

	(void)state;
	assert_int_equal(
		ask(port, "POST", "/whip/city/a", "evil,x,publish,,60", "application/sdp", "v=0", "")->status,
		201);
	stall();
	fd = post_revocation();
	wait_for_end();
	assert_int_equal(fake.n_sessions, 0);
	a = ask(port, "POST", "/whip/city/a", "evil,x,publish,,60", "application/sdp", "v=0", "");
	assert_int_equal(a->status, 401);
	assert_true(a->ms < 1000);
	assert_int_equal(ask(port, "GET", "/healthz", NULL, NULL, NULL, "")->status, 200);
	client_read(fd, &late, 50);
	assert_int_equal(late.status, -1); /* answered when it is stored, and not before */
	go_on();
	client_read(fd, &late, 5000);
	assert_int_equal(late.status, 200);
	assert_non_null(strstr(late.body, "\"sessions_ended\":1"));
	close(fd);
}

static void test_the_one_who_asked_leaves(void **state)
{
	int fd;

	(void)state;
	stall();
	fd = post_revocation();
	wait_for_end();
	close(fd);
	client_turn(20);
	go_on();
	client_turn(50);
	assert_int_equal(ask(port, "GET", "/v1/status", "evil,x,operate,,60", NULL, NULL, "")->status, 401);
}

static void test_the_gateway_stops_meanwhile(void **state)
{
	struct mu_revoked *r;
	struct mu_error e;
	char path[100];
	int fd;

	(void)state;
	fd = post_revocation();
	wait_for_end();
	mu_api_free(api);
	api = NULL;
	close(fd);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	assert_int_equal(mu_revoked_new(path, &r, &e), 0);
	assert_true(mu_revoked_has(r, "evil"));
	mu_revoked_free(r);
}

static json_t *audit(void)
{
	json_t *page = json_loads(
		ask(port, "GET", "/v1/audit?limit=1000", "j,boss,admin,,60", NULL, NULL, "")->body, 0, NULL);
	json_t *entries = json_incref(json_object_get(page, "entries"));

	json_decref(page);
	return entries;
}

static const char *field(json_t *entry, const char *name)
{
	const char *s = json_string_value(json_object_get(entry, name));

	return s ? s : "";
}

static void test_strangers_do_not_fill_the_audit_log(void **state)
{
	json_t *entries, *e;
	unsigned n = 0;
	size_t i;

	(void)state;
	for (int k = 0; k < 40; k++)
		assert_int_equal(ask(port, "GET", "/v1/status", NULL, NULL, NULL, "")->status, 401);
	assert_int_equal(api->n_denied, 40);
	api->denials.next_us = 0; /* a second later */
	ask(port, "GET", "/v1/status", NULL, NULL, NULL, "");
	entries = audit();
	json_array_foreach(entries, i, e)
	{
		if (strcmp(field(e, "result"), "denied") != 0)
			continue;
		if (n++)
			assert_non_null(strstr(field(e, "why"), "more since the last such line"));
	}
	assert_true(n >= 2 && n <= 10); /* one a second, however long the 40 took */
	json_decref(entries);
}

static void test_the_audit_log_has_the_end_of_sessions(void **state)
{
	json_t *entries, *e;

	(void)state;
	mu_directory_tell(NULL, "session.closed",
		json_pack("{ss ss ss ss}", "id", "s1", "kind", "whip", "endpoint", "city/a", "why",
			"its token has expired"));
	entries = audit();
	e = json_array_get(entries, json_array_size(entries) - 1);
	assert_string_equal(field(e, "what"), "session.closed");
	assert_string_equal(field(e, "target"), "city/a");
	assert_string_equal(field(e, "why"), "session s1: its token has expired");
	json_decref(entries);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_revocation_holds_while_the_disk_stalls),
		T(test_the_one_who_asked_leaves), T(test_the_gateway_stops_meanwhile),
		T(test_strangers_do_not_fill_the_audit_log), T(test_the_audit_log_has_the_end_of_sessions) };

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	return cmocka_run_group_tests_name("api state", tests, NULL, NULL);
}
