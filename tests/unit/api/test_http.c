/* The server as the network sees it: codes, headers, limits, slow clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "fakes.h"
#include "api/listener.h"

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

/* Raw bytes in, an answer out, on a connection of its own. */
static const struct answer *raw(const char *text)
{
	static struct answer a;
	int fd = client_open(port);

	client_send(fd, text, strlen(text));
	client_read(fd, &a, 3000);
	close(fd);
	client_turn(2);
	return &a;
}

static void test_whip(void **state)
{
	const struct answer *a = ask(port, "POST", "/whip/city/a", all, "application/sdp", "v=0\r\n", "");

	(void)state;
	assert_int_equal(a->status, 201);
	assert_string_equal(header(a, "Location"), "/session/s1");
	assert_string_equal(header(a, "ETag"), "\"one\"");
	assert_string_equal(header(a, "Content-Type"), "application/sdp");
	assert_string_equal(header(a, "Access-Control-Allow-Origin"), "*");
	assert_non_null(strstr(header(a, "Access-Control-Expose-Headers"), "Location"));
	assert_string_equal(a->body, "v=0\r\n");
	assert_int_equal(ask(port, "POST", "/whip/city/a", all, "application/sdp", "hello", "")->status, 400);
	assert_int_equal(ask(port, "POST", "/whip/city/a", all, "text/plain", "v=0", "")->status, 415);
	assert_int_equal(ask(port, "POST", "/whip/city/a", all, NULL, "v=0", "")->status, 415);
	assert_int_equal(
		ask(port, "POST", "/whip/city/a", all, "application/sdp; charset=utf-8", "v=0", "")->status,
		201);
	fake.post_status = 503;
	a = ask(port, "POST", "/whip/city/a", all, "application/sdp", "v=0", "");
	assert_int_equal(a->status, 503);
	assert_string_equal(header(a, "Retry-After"), "7");
	assert_int_equal(ask(port, "HEAD", "/whep/city/a", all, NULL, NULL, "")->status, 200);
}

static void test_problem_body(void **state)
{
	const struct answer *a = ask(port, "GET", "/v1/endpoints/city/none", all, NULL, NULL, "");
	json_t *o = json_loads(a->body, 0, NULL);

	(void)state;
	assert_int_equal(a->status, 404);
	assert_string_equal(header(a, "Content-Type"), "application/problem+json");
	assert_string_equal(json_string_value(json_object_get(o, "type")), "about:blank");
	assert_string_equal(json_string_value(json_object_get(o, "instance")), "/v1/endpoints/city/none");
	assert_int_equal(json_integer_value(json_object_get(o, "status")), 404);
	assert_non_null(strstr(json_string_value(json_object_get(o, "detail")), "city/none"));
	json_decref(o);
}

static void test_preflight(void **state)
{
	const struct answer *a = ask(port, "OPTIONS", "/whip/city/a", NULL, NULL, NULL,
		"Origin: https://elsewhere\r\nAccess-Control-Request-Method: POST\r\n");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_string_equal(header(a, "Accept-Post"), "application/sdp");
	assert_non_null(strstr(header(a, "Access-Control-Allow-Methods"), "POST"));
	assert_non_null(strstr(header(a, "Access-Control-Allow-Headers"), "Authorization"));
	assert_null(header(a, "Link"));
	a = ask(port, "PUT", "/whip/city/a", all, NULL, "", "");
	assert_int_equal(a->status, 405);
	assert_string_equal(header(a, "Allow"), "POST, OPTIONS");
}

static void test_paths_that_lead_nowhere(void **state)
{
	static const char *const paths[] = { "/whip/city/%2561", "/whip/city/..", "/console/../etc/passwd",
		"/console/..%2f..%2fetc", "/whip/city/a/b", "/whip/city/", "/whip//a", "/session/a%00b", "//",
		"/v1/endpoints/a\\b" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(paths); i++) {
		const struct answer *a = ask(port, "GET", paths[i], all, NULL, NULL, "");

		if (a->status != 404 && a->status != 400)
			fail_msg("%s: %d", paths[i], a->status);
		assert_string_equal(header(a, "Content-Type"), "application/problem+json");
	}
}

static void test_console_and_description(void **state)
{
	const struct answer *a = ask(port, "GET", "/", NULL, NULL, NULL, "");
	char etag[100], line[140];

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(header(a, "Content-Security-Policy"), "default-src 'self'"));
	assert_string_equal(header(a, "Cache-Control"), "no-cache");
	assert_null(strstr(a->body, "<script>"));
	g_strlcpy(etag, header(a, "ETag"), sizeof(etag));
	snprintf(line, sizeof(line), "If-None-Match: %s\r\n", etag);
	a = ask(port, "GET", "/", NULL, NULL, NULL, line);
	assert_int_equal(a->status, 304);
	assert_int_equal(a->body_len, 0);
	a = ask(port, "GET", "/v1/openapi.yaml", NULL, NULL, NULL, "");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->body, "openapi: 3"));
	a = ask(port, "GET", "/healthz", NULL, NULL, NULL, "Range: bytes=0-0,1-1,0-0\r\n");
	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, "ok\n");
}

static bool workers_answer(void *arg)
{
	(void)arg;
	return !fake.hung;
}

static void test_health(void **state)
{
	const struct answer *a;

	(void)state;
	api->workers_answer = workers_answer;
	assert_int_equal(ask(port, "GET", "/healthz", NULL, NULL, NULL, "")->status, 200);
	fake.hung = true;
	a = ask(port, "GET", "/healthz", NULL, NULL, NULL, "");
	assert_int_equal(a->status, 503);
	assert_string_equal(header(a, "Content-Type"), "application/problem+json");
	fake.hung = false;
	fake.draining = true;
	a = ask(port, "GET", "/healthz", NULL, NULL, NULL, "");
	assert_int_equal(a->status, 503);
	assert_non_null(strstr(a->body, "about to stop"));
}

static void test_too_large(void **state)
{
	static char body[MU_BODY_MAX + 2], text[2 * MU_BODY_MAX];
	const struct answer *a;
	size_t n;

	(void)state;
	memset(body, 'v', sizeof(body) - 1);
	body[1] = '=';
	a = ask(port, "POST", "/whip/city/a", all, "application/sdp", body, "");
	assert_int_equal(a->status, 413);
	body[MU_BODY_MAX] = '\0';
	assert_int_equal(ask(port, "POST", "/whip/city/a", all, "application/sdp", body, "")->status, 201);
	/* said beforehand: refused without waiting for it */
	a = raw("POST /whip/city/a HTTP/1.1\r\nHost: h\r\nContent-Type: application/sdp\r\nContent-Length: 99999999999\r\n\r\nv");
	assert_int_equal(a->status, 413);
	assert_true(a->ms < 1000);
	/* chunked: not said, but noticed */
	n = (size_t)snprintf(text, sizeof(text),
		"POST /whip/city/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"
		"Content-Type: application/sdp\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n",
		all);
	memset(text + n, 'v', 0x11000 - 1);
	text[n + 0x11000 - 1] = '\0';
	assert_int_equal(raw(text)->status, 413);
}

static void test_ambiguous_requests(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Content-Length: 3\r\nContent-Length: 4\r\n",
		"Content-Length: 3\r\nContent-Length: 3\r\n",
		"Content-Length: +3\r\n",
		"Content-Length: 0x3\r\n",
		"Content-Length: 3, 3\r\n",
		"Content-Length: 18446744073709551619\r\n",
		"Content-Length: -1\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: \tchunked\r\nContent-Length: 3\r\n",
		"Content-Length: 3\r\nHost: other\r\n",
		"",
		"Content-Length : 3\r\n",
		"Content-Length: 3\r\n X: folded\r\n",
		"Content-Length: 3\r\nX: a\rb\r\n",
		"Content-Length: 3\r\nno colon\r\n",
		"Content-Length: 3\r\n: x\r\n",
	};
	char text[500];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		const struct answer *a;

		/* what follows would be somebody else's answer if the end were seen elsewhere */
		snprintf(text, sizeof(text),
			"POST /whip/city/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Type: application/sdp\r\n%s\r\n"
			"v=0GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
			all, bad[i]);
		a = raw(text);
		if (a->status < 400)
			fail_msg("%s: %d", bad[i], a->status);
		assert_string_equal(header(a, "Content-Type"), "application/problem+json");
		assert_string_equal(header(a, "Connection"), "close");
		assert_null(strstr(a->body, "ok\n"));
		assert_null(strstr(a->body, "HTTP/1.1 200"));
	}
	assert_int_equal(fake.made, 0);
}

/* A size past 64 bits, one that is none, and a chunk that lies about its end: never a session, and what
 * follows is nobody's request (RELIABILITY P8). */
static void test_bad_chunks(void **state)
{
	static const char *const bad[] = { "10000000000000003\r\nv=0\r\n0\r\n\r\n", "-3\r\nv=0\r\n0\r\n\r\n",
		"ffffffffffffffff\r\nv=0\r\n0\r\n\r\n", "x\r\nv=0\r\n0\r\n\r\n" };
	char text[500];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		struct answer a;
		int fd = client_open(port);

		snprintf(text, sizeof(text),
			"POST /whip/city/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"
			"Content-Type: application/sdp\r\nTransfer-Encoding: chunked\r\n\r\n%s"
			"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
			all, bad[i]);
		client_send(fd, text, strlen(text));
		client_read(fd, &a, 100);
		if (a.status > 0 && a.status < 400)
			fail_msg("%s: %d", bad[i], a.status);
		assert_null(strstr(a.body, "ok\n"));
		assert_int_equal(fake.made, 0);
		close(fd);
	}
}

static void test_not_http(void **state)
{
	static const char *const bad[] = { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n",
		"GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		const struct answer *a = raw(bad[i]);

		if (a->status < 400 && !a->closed)
			fail_msg("%zu: %d", i, a->status);
		if (a->status >= 400)
			assert_string_equal(header(a, "Content-Type"), "application/problem+json");
	}
}

static void test_deep_json(void **state)
{
	static char body[60000];

	(void)state;
	memset(body, '[', sizeof(body) - 1);
	assert_int_equal(
		ask(port, "POST", "/v1/tokens/revoke", all, "application/json", body, "")->status, 400);
	assert_int_equal(ask(port, "POST", "/v1/tokens/revoke", all, "application/json",
				 "{\"jti\":\"a\",\"jti\":\"b\"}", "")
				 ->status,
		400);
	assert_int_equal(
		ask(port, "POST", "/v1/tokens/revoke", all, "application/json", "[]", "")->status, 400);
}

static void test_one_request_a_connection(void **state)
{
	const char *two =
		"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /v1/openapi.yaml HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd = client_open(port);
	struct answer a;

	(void)state;
	client_send(fd, two, strlen(two));
	client_read(fd, &a, 1000);
	assert_int_equal(a.status, 200);
	assert_string_equal(header(&a, "Connection"), "close");
	assert_string_equal(a.body, "ok\n");
	client_read(fd, &a, 1000);
	assert_true(a.closed);
	close(fd);
}

static void test_slow_clients_are_cut(void **state)
{
	const char *half =
		"POST /whip/city/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer j,boss,admin,,60\r\n"
		"Content-Type: application/sdp\r\nContent-Length: 9\r\n\r\nv=0";
	struct answer a;
	int fd;

	(void)state;
	api->conns.limits.header_ms = 150;
	api->conns.limits.body_ms = 300;
	fd = client_open(port); /* says nothing */
	client_read(fd, &a, 2000);
	assert_true(a.closed && a.ms >= 140 && a.ms < 290);
	close(fd);
	fd = client_open(port); /* a byte now and then */
	for (int i = 0; i < 5; i++) {
		client_send(fd, half + i, 1);
		client_turn(50);
	}
	client_read(fd, &a, 100);
	assert_true(a.closed);
	close(fd);
	fd = client_open(port);
	client_send(fd, half, strlen(half));
	client_read(fd, &a, 2000);
	assert_true(a.closed && a.ms >= 290 && a.ms < 390);
	close(fd);
	assert_int_equal(fake.made, 0);
	client_turn(20);
	assert_int_equal(api->conns.n_open, 0);
	assert_int_equal(api->conns.n_timed_out, 3);
}

static void test_many_slow_clients_of_one_address(void **state)
{
	/* half of them stop in the header, half in the body (RELIABILITY P7) */
	static const char *const begun[] = { "GET / HT",
		"POST /whip/city/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer j,boss,admin,,60\r\n"
		"Content-Type: application/sdp\r\nContent-Length: 9\r\n\r\nv" };
	const struct answer *a;
	int fds[200];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++) {
		fds[i] = client_open(port);
		client_send(fds[i], begun[i % 2], strlen(begun[i % 2]));
		client_turn(0);
	}
	client_turn(20);
	assert_true(api->conns.n_open <= 64);
	a = ask(port, "POST", "/whip/city/a", all, "application/sdp", "v=0", "");
	assert_int_equal(a->status, 201);
	assert_true(a->ms < 500);
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
	client_turn(30);
	assert_int_equal(api->conns.n_open, 0);
	assert_int_equal(g_hash_table_size(api->conns.peers), 0);
}

/* So little that an answer of some kilobytes does not fit. Accepted sockets have it from the one that
 * listens. */
static void shrink_send_buffers(void)
{
	int small = 2048;

	for (int fd = 0; fd < 256; fd++) {
		int listens = 0;
		socklen_t len = sizeof(listens);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
}

static int ask_and_read_nothing(void)
{
	const char *get = "GET /v1/openapi.yaml HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd = client_open_small(port);

	client_send(fd, get, strlen(get));
	client_turn(2);
	return fd;
}

static void test_clients_that_take_no_answer(void **state)
{
	int fds[24];

	(void)state;
	shrink_send_buffers();
	api->conns.limits.shared_loopback = false;
	api->conns.limits.open_per_address = 8;
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		fds[i] = ask_and_read_nothing();
	client_turn(10);
	assert_int_equal(api->conns.n_open, 8);
	assert_int_equal(api->conns.n_quiet, 0);
	assert_int_equal(ask(port, "GET", "/healthz", NULL, NULL, NULL, "")->status, 200);
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
	client_turn(30);
	assert_int_equal(api->conns.n_open, 0);
	assert_int_equal(api->conns.n_live, 0);
}

/* The same without a limit for the address, as behind a proxy: then all of them count, and when accepting
 * fails for want of descriptors, it is not the honest newcomer that goes. */
static void test_room_is_made_of_unread_answers(void **state)
{
	int fds[6], quiet;
	struct answer a;

	(void)state;
	shrink_send_buffers();
	api->conns.limits.open_total = 6;
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		fds[i] = ask_and_read_nothing();
	quiet = client_open(port);
	client_turn(10);
	assert_int_equal(api->conns.n_open, 6);
	assert_int_equal(api->conns.n_quiet, 1);
	mu_conns_make_room(&api->conns);
	client_turn(10);
	assert_int_equal(api->conns.n_open, 5);
	assert_int_equal(api->conns.n_quiet, 1);
	client_send(quiet, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 34);
	client_read(quiet, &a, 1000);
	assert_int_equal(a.status, 200);
	close(quiet);
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* Every change leaves a line that is kept: a token may not write as many as it likes. */
static void test_a_token_that_asks_without_end(void **state)
{
	const struct answer *a;
	unsigned n = 0;

	(void)state;
	do {
		a = ask(port, "POST", "/whep/city/a", "j,eye,watch,,60", "text/plain", "v=0", "");
		n++;
	} while (a->status != 429 && n < 10000);
	assert_in_range(n, 2001, 9999); /* some come back while we ask */
	assert_string_equal(header(a, "Retry-After"), "1");
	assert_int_equal(ask(port, "GET", "/v1/sessions", "j,op,operate,,60", NULL, NULL, "")->status, 200);
	assert_int_equal(
		ask(port, "POST", "/whep/city/a", "k,eye,watch,,60", "application/sdp", "v=0", "")->status,
		201);
	assert_int_equal(
		ask(port, "POST", "/whep/city/a", "j,boss,admin,,60", "application/sdp", "v=0", "")->status,
		201); /* who may do all is not held up */
}

static json_t *get_json(const char *path, const char *token)
{
	const struct answer *a = ask(port, "GET", path, token, NULL, NULL, "");

	assert_int_equal(a->status, 200);
	return json_loads(a->body, 0, NULL);
}

static void test_pages_of_sessions(void **state)
{
	json_t *page;

	(void)state;
	for (int i = 0; i < 5; i++)
		ask(port, "POST", i % 2 ? "/whip/city/b" : "/whip/city/a", all, "application/sdp", "v=0", "");
	page = get_json("/v1/sessions?limit=3", all);
	assert_int_equal(json_array_size(json_object_get(page, "sessions")), 3);
	assert_int_equal(json_integer_value(json_object_get(page, "next")), 3);
	json_decref(page);
	page = get_json("/v1/sessions?after=3&limit=3", all);
	assert_int_equal(json_array_size(json_object_get(page, "sessions")), 2);
	assert_true(json_is_null(json_object_get(page, "next")));
	json_decref(page);
	page = get_json("/v1/sessions?endpoint=city/b", all);
	assert_int_equal(json_array_size(json_object_get(page, "sessions")), 2);
	json_decref(page);
	/* only what the token covers counts */
	page = get_json("/v1/sessions?limit=2", "j,boss,operate,city/b,60");
	assert_int_equal(json_array_size(json_object_get(page, "sessions")), 2);
	assert_true(json_is_null(json_object_get(page, "next")));
	json_decref(page);
	page = get_json("/v1/endpoints/city/a", all);
	assert_int_equal(json_array_size(json_object_get(page, "sessions")), 3);
	json_decref(page);
	assert_int_equal(
		ask(port, "GET", "/v1/sessions?endpoint=city/a", "j,boss,operate,city/b,60", NULL, NULL, "")
			->status,
		403);
	assert_int_equal(ask(port, "GET", "/v1/sessions?limit=1001", all, NULL, NULL, "")->status, 400);
	assert_int_equal(ask(port, "GET", "/v1/sessions?after=x", all, NULL, NULL, "")->status, 400);
}

static void test_pages_of_endpoints(void **state)
{
	json_t *page;

	(void)state;
	for (int i = 0; i < 4; i++)
		g_snprintf(fake.endpoints[i].id, sizeof(fake.endpoints[i].id), "city/%c", 'a' + i);
	fake.n_endpoints = 4;
	page = get_json("/v1/endpoints?limit=2", all);
	assert_int_equal(json_array_size(json_object_get(page, "endpoints")), 2);
	assert_string_equal(json_string_value(json_object_get(page, "next")), "city/b");
	json_decref(page);
	page = get_json("/v1/endpoints?limit=2&after=city%2Fb", all);
	assert_int_equal(json_array_size(json_object_get(page, "endpoints")), 2);
	assert_true(json_is_null(json_object_get(page, "next")));
	json_decref(page);
	assert_int_equal(ask(port, "GET", "/v1/endpoints?limit=0", all, NULL, NULL, "")->status, 400);
}

static void test_metrics(void **state)
{
	const struct answer *a;

	(void)state;
	ask(port, "POST", "/whip/city/a", all, "application/sdp", "v=0", "");
	ask(port, "POST", "/whep/city/w", all, "application/sdp", "v=0", "");
	fake.endpoints[0].viewers = 1;
	mu_viewers_observe(api);
	mu_viewers_observe(api);
	a = ask(port, "GET", "/metrics", all, NULL, NULL, "");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->body, "muster_queue_seconds_bucket{worker=\"0\",le=\"0.00025\"} 6\n"));
	assert_non_null(strstr(a->body, "muster_queue_seconds_count{worker=\"0\"} 6\n"));
	assert_non_null(strstr(a->body, "muster_dropped_packets_total{worker=\"1\",stage=\"bad_auth\"} 3\n"));
	assert_non_null(strstr(a->body, "muster_sessions{kind=\"whip\"} 1\n"));
	assert_non_null(strstr(a->body, "muster_endpoints{state=\"live\"} 1\n"));
	assert_non_null(strstr(a->body,
		"muster_publisher_rtt_seconds{endpoint=\"city/a\",mid=\"0\",kind=\"video\"} 0.02\n"));
	assert_non_null(strstr(a->body,
		"muster_publisher_rtt_seconds{endpoint=\"city/a\",mid=\"1\",rid=\"h\",kind=\"video\"} 0.03\n"));
	/* what viewers get, without a row for each of them */
	assert_non_null(strstr(a->body, "muster_sessions{kind=\"whep\"} 1\n"));
	assert_non_null(strstr(a->body, "muster_endpoint_viewers{endpoint=\"city/a\"} 1\n"));
	assert_non_null(strstr(a->body, "muster_viewer_rtt_seconds_bucket{kind=\"video\",le=\"0.05\"} 0\n"));
	assert_non_null(strstr(a->body, "muster_viewer_rtt_seconds_bucket{kind=\"video\",le=\"0.1\"} 2\n"));
	assert_non_null(strstr(a->body, "muster_viewer_rtt_seconds_count{kind=\"video\"} 2\n"));
	assert_non_null(strstr(a->body, "muster_viewer_jitter_seconds_sum{kind=\"video\"} 0.006\n"));
	assert_non_null(strstr(a->body, "muster_viewer_loss_ratio_bucket{kind=\"video\",le=\"0.05\"} 2\n"));
	assert_null(strstr(a->body, "publisher_rtt_seconds{endpoint=\"city/w\""));
	if (system("command -v promtool >/dev/null") == 0) {
		FILE *p = popen("promtool check metrics", "w");

		fwrite(a->body, 1, a->body_len, p);
		assert_int_equal(WEXITSTATUS(pclose(p)), 0);
	}
}

static void test_answer_after_the_asker_left(void **state)
{
	const char *get = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd = client_open(port);
	struct answer a;

	(void)state;
	fake.late_stats = true;
	client_send(fd, get, strlen(get));
	client_turn(20);
	close(fd);
	client_turn(20);
	fake_stats();
	client_turn(20);
	fd = client_open(port);
	client_send(fd, get, strlen(get));
	client_turn(20);
	fake_stats();
	client_read(fd, &a, 1000);
	assert_int_equal(a.status, 200);
	/* and after the whole API left */
	close(fd);
	fd = client_open(port);
	client_send(fd, get, strlen(get));
	client_turn(20);
	mu_api_free(api);
	api = NULL;
	fake_stats();
	close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_whip), T(test_problem_body), T(test_preflight),
		T(test_paths_that_lead_nowhere), T(test_console_and_description), T(test_health),
		T(test_too_large), T(test_ambiguous_requests), T(test_bad_chunks), T(test_not_http),
		T(test_deep_json), T(test_one_request_a_connection), T(test_slow_clients_are_cut),
		T(test_many_slow_clients_of_one_address), T(test_clients_that_take_no_answer),
		T(test_room_is_made_of_unread_answers), T(test_a_token_that_asks_without_end),
		T(test_pages_of_sessions), T(test_pages_of_endpoints), T(test_metrics),
		T(test_answer_after_the_asker_left) };

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	return cmocka_run_group_tests_name("api http", tests, NULL, NULL);
}
