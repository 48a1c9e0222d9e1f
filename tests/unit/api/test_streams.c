/* The event stream: who hears what, how many may, and when it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "fakes.h"

static struct mu_api *api;
static uint16_t port;

static const char *all = "j,boss,admin,,60";

static int setup(void **state)
{
	(void)state;
	fake_serve(&api, &port);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mu_api_free(api);
	client_turn(5);
	fake_done();
	return 0;
}

static int stream(const char *token, const char *extra)
{
	char text[400];
	int fd = client_open(port);

	snprintf(text, sizeof(text),
		"GET /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n%s\r\n", token, extra);
	client_send(fd, text, strlen(text));
	client_turn(20);
	return fd;
}

static void test_events(void **state)
{
	static const char *const unknown[] = { "99", "-1", "x", "6400000000000-2" };
	struct answer a, b;
	char line[80];
	int op, viewer;

	(void)state;
	op = stream("j,boss,operate,,60", "");
	viewer = stream("k,eye,watch,city/a,60", "");
	mu_directory_tell(NULL, "endpoint.live", json_pack("{ss}", "id", "city/a"));
	mu_directory_tell(NULL, "endpoint.live", json_pack("{ss}", "id", "city/b"));
	mu_directory_tell(NULL, "session.closed", json_pack("{ss}", "endpoint", "city/a"));
	mu_directory_tell(NULL, "gateway.draining", json_object());
	client_read(op, &a, 100);
	client_read(viewer, &b, 100);
	assert_string_equal(header(&a, "Content-Type"), "text/event-stream");
	assert_non_null(strstr(a.body,
		"-1\nevent: endpoint.live\ndata: {\"time_us\":1000,\"data\":{\"id\":\"city/a\"}}\n\n"));
	assert_non_null(strstr(a.body, "gateway.draining"));
	assert_non_null(strstr(a.body, "session.closed"));
	assert_non_null(strstr(b.body, "city/a"));
	assert_null(strstr(b.body, "city/b"));
	assert_null(strstr(b.body, "session.closed"));
	assert_null(strstr(b.body, "gateway.draining"));
	close(op);
	close(viewer);
	g_snprintf(line, sizeof(line), "Last-Event-ID: %llx-2\r\n", (unsigned long long)api->start_wall_us);
	op = stream(all, line);
	client_read(op, &a, 100);
	assert_null(strstr(a.body, "-2\nevent"));
	assert_non_null(strstr(a.body, "-3\nevent"));
	assert_non_null(strstr(a.body, "-4\nevent"));
	close(op);
	/* the last is of an earlier life of this gateway */
	for (size_t i = 0; i < MU_ARRAY_LEN(unknown); i++) {
		g_snprintf(line, sizeof(line), "Last-Event-ID: %s\r\n", unknown[i]);
		op = stream(all, line);
		client_read(op, &a, 100);
		assert_non_null(strstr(a.body, "-4\nevent: reset\n"));
		assert_null(strstr(a.body, "endpoint.live"));
		close(op);
	}
}

static void open_streams(int *fds, unsigned n, const char *subject, const char *scope)
{
	char text[300];

	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text),
			"GET /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer j%u,%s,%s,,60\r\n\r\n",
			i, subject, scope);
		fds[i] = client_open(port);
		client_send(fds[i], text, strlen(text));
		client_turn(1);
	}
}

/* Nor is a stream's beginning an answer that takes too long. */
static void test_streams_have_no_deadline(void **state)
{
	int fd;

	(void)state;
	api->conns.limits.answer_ms = 100;
	open_streams(&fd, 1, "eve", "watch");
	for (int64_t until_us = mu_clock_us() + 300000; mu_clock_us() < until_us;)
		client_turn(1);
	assert_int_equal(api->n_readers, 1);
	assert_int_equal(api->conns.n_timed_out, 0);
	close(fd);
}

static void test_streams_of_one_subject(void **state)
{
	int fds[MU_READERS_SUBJECT];
	const struct answer *a;

	(void)state;
	open_streams(fds, MU_ARRAY_LEN(fds), "eve", "watch");
	assert_int_equal(api->n_readers, MU_READERS_SUBJECT);
	a = ask(port, "GET", "/v1/events", "other,eve,watch,,60", NULL, NULL, "");
	assert_int_equal(a->status, 429);
	assert_non_null(strstr(a->head, "429 Too Many Requests"));
	assert_string_equal(header(a, "Retry-After"), "10");
	open_streams(fds, 1, "mallory", "watch");
	assert_int_equal(api->n_readers, MU_READERS_SUBJECT + 1);
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void test_streams_of_one_address(void **state)
{
	int fds[MU_READERS_ADDRESS];

	(void)state;
	api->conns.limits.shared_loopback = false;
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++) {
		char subject[16];

		snprintf(subject, sizeof(subject), "s%zu", i);
		open_streams(&fds[i], 1, subject, "operate");
	}
	assert_int_equal(api->n_readers, MU_READERS_ADDRESS);
	assert_int_equal(ask(port, "GET", "/v1/events", all, NULL, NULL, "")->status, 429);
	assert_int_equal(ask(port, "GET", "/v1/status", all, NULL, NULL, "")->status, 200);
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void test_streams_kept_for_operators(void **state)
{
	int fd;

	(void)state;
	api->n_readers += MU_READERS_MAX - MU_READERS_OPERATE; /* as if they were open */
	assert_int_equal(ask(port, "GET", "/v1/events", "j,eye,watch,,60", NULL, NULL, "")->status, 503);
	open_streams(&fd, 1, "boss", "operate");
	assert_int_equal(api->n_readers, MU_READERS_MAX - MU_READERS_OPERATE + 1);
	api->n_readers -= MU_READERS_MAX - MU_READERS_OPERATE;
	close(fd);
}

static void test_events_end_with_their_token(void **state)
{
	struct answer a;
	int fd;

	(void)state;
	fd = stream("evil,eye,watch,,60", "");
	assert_int_equal(api->n_readers, 1);
	assert_int_equal(
		ask(port, "POST", "/v1/tokens/revoke", all, "application/json", "{\"jti\":\"evil\"}", "")
			->status,
		200);
	client_read(fd, &a, 500);
	assert_non_null(strstr(a.body, "\r\n0\r\n"));
	client_turn(20);
	assert_int_equal(api->n_readers, 0);
	close(fd);
}

static void test_events_end_when_their_token_does(void **state)
{
	struct answer a;
	int fd;

	(void)state;
	fd = stream("j,eye,watch,,1", "");
	assert_int_equal(api->n_readers, 1);
	client_read(fd, &a, 3000); /* the end of a stream is its last chunk, and the connection's */
	assert_true(a.closed && a.ms < 2500);
	assert_non_null(strstr(a.body, "\r\n0\r\n"));
	close(fd);
}

static void test_events_end_with_the_key_of_their_token(void **state)
{
	struct mu_api_options o = { .site = "city" };
	struct answer a;
	int withdrawn, kept;

	(void)state;
	withdrawn = stream("old,eye,watch,,60", "");
	kept = stream(all, "");
	snprintf(fake.withdrawn, sizeof(fake.withdrawn), "old");
	mu_api_reload(api, &o);
	client_read(withdrawn, &a, 500);
	assert_non_null(strstr(a.body, "\r\n0\r\n"));
	client_turn(20);
	assert_int_equal(api->n_readers, 1);
	close(withdrawn);
	close(kept);
}

static void test_slow_reader_is_dropped(void **state)
{
	static char pad[2000];
	int slow, good, small = 4096;
	struct answer a;

	(void)state;
	memset(pad, 'x', sizeof(pad) - 1);
	slow = stream("j,boss,operate,,60", "");
	good = stream("k,eye,watch,,60", "");
	setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 6000 && api->n_readers == 2; i++) {
		mu_directory_tell(NULL, "gateway.note", json_pack("{ss}", "text", pad));
		client_turn(0);
		if (!g_main_context_iteration(NULL, FALSE))
			g_main_context_iteration(NULL, FALSE);
	}
	client_turn(50);
	assert_int_equal(api->n_readers, 1);
	assert_int_equal(api->n_events_dropped, 1);
	mu_directory_tell(NULL, "endpoint.live", json_pack("{ss}", "id", "city/a"));
	client_read(good, &a, 100);
	assert_non_null(strstr(a.body, "endpoint.live"));
	close(slow);
	close(good);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_events), T(test_streams_have_no_deadline),
		T(test_streams_of_one_subject),
		T(test_streams_of_one_address), T(test_streams_kept_for_operators),
		T(test_events_end_with_their_token), T(test_events_end_when_their_token_does),
		T(test_events_end_with_the_key_of_their_token), T(test_slow_reader_is_dropped) };

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	return cmocka_run_group_tests_name("api streams", tests, NULL, NULL);
}
