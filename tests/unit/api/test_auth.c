/* Who may do what: every route with every kind of token (RELIABILITY S17). */
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

static int setup(void **state)
{
	struct mu_addr at = { .in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct mu_api_options o = { .listen = &at, .n_listen = 1, .site = "city", .bench_token = NULL };
	struct mu_error e;

	(void)state;
	fake_init();
	strcpy(fake.endpoints[0].id, "city/a");
	strcpy(fake.endpoints[1].id, "city/b");
	fake.n_endpoints = 2;
	assert_int_equal(mu_api_new(&o, &api, &e), 0);
	port = mu_api_port(api, 0);
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

static int status_of(const struct mu_route *r, const char *token)
{
	const char *type = r->body == MU_BODY_SDP ? "application/sdp"
		: r->body == MU_BODY_JSON         ? "application/json"
						  : NULL;
	const char *body = r->body == MU_BODY_SDP ? "v=0"
		: r->body == MU_BODY_JSON         ? "{\"jti\":\"x\"}"
		: r->body == MU_BODY_SDPFRAG      ? "x"
						  : NULL;
	char path[200] = "";

	for (const char *p = r->path; *p; p++) {
		if (*p == '{') {
			strcat(path,
				strncmp(p, "{site}", 6) == 0           ? "city"
					: strncmp(p, "{name}", 6) == 0 ? "a"
								       : "app.js");
			p = strchr(p, '}');
		} else {
			strncat(path, p, 1);
		}
	}
	/* a proxy's header: then being local opens nothing */
	/* a stream has no end to wait for; its header says the same */
	return ask(port, r->fn == mu_on_events ? "HEAD" : r->method, path, token, type, body,
		"X-Forwarded-For: 192.0.2.1\r\n")
		->status;
}

static void test_every_route_by_scope(void **state)
{
	static const char *const scopes[] = { "publish", "watch", "conference", "operate", "admin" };
	const struct mu_route *routes;
	size_t n;

	(void)state;
	routes = mu_routes(&n);
	for (size_t i = 0; i < n; i++) {
		const struct mu_route *r = &routes[i];

		if (r->open) {
			/* a WebSocket is asked for otherwise */
			assert_int_equal(status_of(r, NULL), r->fn == mu_on_console_socket ? 426 : 200);
			continue;
		}
		assert_int_equal(status_of(r, NULL), 401);
		assert_int_equal(status_of(r, "nonsense"), 401);
		assert_int_equal(status_of(r, fake_token("forged", "admin", "", 60)), 401);
		assert_int_equal(status_of(r, fake_token("j", "admin", "", -60)), 401);
		mu_revoked_add(api->revoked, "gone", "boss", 0, 0, NULL);
		assert_int_equal(status_of(r, fake_token("gone", "admin", "", 60)), 401);
		if (r->own) { /* whoever it is: nobody made that session */
			assert_int_equal(status_of(r, fake_token("j", "admin", "", 60)), 404);
			continue;
		}
		for (unsigned s = 0; s < 5; s++) {
			int status = status_of(r, fake_token("j", scopes[s], "", 60));
			bool may = (r->scopes & 1u << s) || s == 4;

			if (may ? status == 401 || status == 403 : status != 403)
				fail_msg("%s %s with %s: %d", r->method, r->path, scopes[s], status);
		}
	}
}

static void test_no_token_bad_token(void **state)
{
	const struct answer *a;

	(void)state;
	a = ask(port, "GET", "/v1/status", NULL, NULL, NULL, "");
	assert_int_equal(a->status, 401);
	assert_string_equal(header(a, "WWW-Authenticate"), "Bearer realm=\"muster\"");
	assert_string_equal(header(a, "Content-Type"), "application/problem+json");
	a = ask(port, "GET", "/v1/status", NULL, NULL, NULL, "Authorization: Basic eDp5\r\n");
	assert_null(strstr(header(a, "WWW-Authenticate"), "error="));
	for (int i = 0; i < 3; i++) {
		const char *bad[] = { "nonsense", fake_token("j", "operate", "", -60),
			fake_token("forged", "operate", "", 60) };

		a = ask(port, "GET", "/v1/status", bad[i], NULL, NULL, "");
		assert_int_equal(a->status, 401);
		assert_non_null(strstr(header(a, "WWW-Authenticate"), "error=\"invalid_token\""));
	}
	a = ask(port, "GET", "/v1/status", fake_token("j", "watch", "", 60), NULL, NULL, "");
	assert_int_equal(a->status, 403);
	assert_non_null(strstr(header(a, "WWW-Authenticate"), "error=\"insufficient_scope\""));
	assert_non_null(strstr(header(a, "WWW-Authenticate"), "scope=\"operate\""));
}

static void test_two_authorizations_are_refused(void **state)
{
	const char *text = "GET /v1/status HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer j,x,operate,,60\r\n"
			   "Authorization: Bearer x\r\n\r\n";
	int fd = client_open(port);
	struct answer a;

	(void)state;
	client_send(fd, text, strlen(text));
	client_read(fd, &a, 1000);
	assert_int_equal(a.status, 400);
	close(fd);
}

static void test_endpoint_patterns(void **state)
{
	const struct answer *a;

	(void)state;
	assert_int_equal(ask(port, "POST", "/whip/city/a", fake_token("j", "publish", "city/b", 60),
				 "application/sdp", "v=0", "")
				 ->status,
		403);
	assert_int_equal(ask(port, "POST", "/whip/city/b", fake_token("j", "publish", "city/b", 60),
				 "application/sdp", "v=0", "")
				 ->status,
		201);
	assert_int_equal(ask(port, "POST", "/whep/city/a", fake_token("j", "watch", "city/*", 60),
				 "application/sdp", "v=0", "")
				 ->status,
		201);
	assert_int_equal(ask(port, "POST", "/whep/city/a", fake_token("j", "watch", "else/*", 60),
				 "application/sdp", "v=0", "")
				 ->status,
		403);
	assert_int_equal(ask(port, "GET", "/v1/endpoints/city/a", fake_token("j", "watch", "city/b", 60),
				 NULL, NULL, "")
				 ->status,
		403);
	a = ask(port, "GET", "/v1/endpoints", fake_token("j", "watch", "city/b", 60), NULL, NULL, "");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->body, "city/b"));
	assert_null(strstr(a->body, "city/a"));
	/* an administrator of some endpoints is not one of the site */
	assert_int_equal(
		ask(port, "GET", "/v1/audit", fake_token("j", "admin", "city/*", 60), NULL, NULL, "")->status,
		403);
	a = ask(port, "POST", "/v1/tokens/revoke", fake_token("j", "admin", "city/b", 60), "application/json",
		"{\"jti\":\"q\"}", "");
	assert_int_equal(a->status, 403);
}

static void test_a_session_belongs_to_its_token(void **state)
{
	const struct answer *a;
	char path[100];

	(void)state;
	a = ask(port, "POST", "/whip/city/a", fake_token("mine", "publish", "city/a", 60), "application/sdp",
		"v=0", "");
	assert_int_equal(a->status, 201);
	g_strlcpy(path, header(a, "Location"), sizeof(path));
	assert_int_equal(ask(port, "DELETE", path, NULL, NULL, NULL, "")->status, 401);
	assert_int_equal(
		ask(port, "DELETE", path, fake_token("other", "publish", "city/a", 60), NULL, NULL, "")
			->status,
		403);
	assert_int_equal(ask(port, "PATCH", path, fake_token("other", "operate", "", 60),
				 "application/trickle-ice-sdpfrag", "x", "")
				 ->status,
		403);
	assert_int_equal(
		ask(port, "DELETE", path, fake_token("other", "admin", "city/b", 60), NULL, NULL, "")->status,
		403);
	a = ask(port, "PATCH", path, fake_token("mine", "publish", "city/a", 60),
		"application/trickle-ice-sdpfrag", "x", "If-Match: \"one\"\r\n");
	assert_int_equal(a->status, 204);
	assert_string_equal(fake.if_match, "\"one\"");
	assert_string_equal(fake.type, "application/trickle-ice-sdpfrag");
	assert_int_equal(
		ask(port, "DELETE", path, fake_token("mine", "publish", "city/a", 60), NULL, NULL, "")
			->status,
		200);
	assert_int_equal(
		ask(port, "DELETE", path, fake_token("mine", "publish", "city/a", 60), NULL, NULL, "")
			->status,
		404);
	a = ask(port, "POST", "/whip/city/a", fake_token("mine", "publish", "city/a", 60), "application/sdp",
		"v=0", "");
	g_strlcpy(path, header(a, "Location"), sizeof(path));
	assert_int_equal(
		ask(port, "DELETE", path, fake_token("boss", "admin", "", 60), NULL, NULL, "")->status, 200);
}

/* Two issuers count their tokens from 1. */
static void test_a_session_is_not_that_of_another_keys_token(void **state)
{
	const struct answer *a;
	char path[100];

	(void)state;
	a = ask(port, "POST", "/whip/city/a", "1,tester,publish,,60,east", "application/sdp", "v=0", "");
	assert_int_equal(a->status, 201);
	g_strlcpy(path, header(a, "Location"), sizeof(path));
	assert_int_equal(ask(port, "DELETE", path, "1,tester,publish,,60,west", NULL, NULL, "")->status, 403);
	assert_int_equal(ask(port, "PATCH", path, "1,tester,publish,,60,west",
				 "application/trickle-ice-sdpfrag", "x", "If-Match: \"one\"\r\n")
				 ->status,
		403);
	assert_int_equal(ask(port, "DELETE", path, "1,tester,publish,,60,east", NULL, NULL, "")->status, 200);
}

static void test_revocation_ends_what_runs(void **state)
{
	const char *evil = "evil,tester,publish watch,,60";
	const struct answer *a;

	(void)state;
	assert_int_equal(ask(port, "POST", "/whip/city/a", evil, "application/sdp", "v=0", "")->status, 201);
	a = ask(port, "POST", "/v1/tokens/revoke", fake_token("boss", "admin", "", 60), "application/json",
		"{\"jti\":\"evil\",\"why\":\"phone lost\"}", "");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->body, "\"sessions_ended\":1"));
	assert_string_equal(fake.ended_token, "evil");
	a = ask(port, "POST", "/whip/city/a", evil, "application/sdp", "v=0", "");
	assert_int_equal(a->status, 401);
	assert_non_null(strstr(header(a, "WWW-Authenticate"), "invalid_token"));
	a = ask(port, "GET", "/v1/tokens/revoked", fake_token("boss", "admin", "", 60), NULL, NULL, "");
	assert_non_null(strstr(a->body, "\"evil\""));
	a = ask(port, "POST", "/v1/tokens/revoke", fake_token("boss", "admin", "", 60), "application/json",
		"{\"jti\":1}", "");
	assert_int_equal(a->status, 400);
}

/* The header of a request, complete; one byte of its body is still to come. */
static int open_post(const char *token)
{
	char text[300];
	int fd = client_open(port);

	snprintf(text, sizeof(text),
		"POST /whip/city/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"
		"Content-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=",
		token);
	client_send(fd, text, strlen(text));
	client_turn(5);
	return fd;
}

static void expect_refused(int fd)
{
	struct answer a;

	client_send(fd, "0", 1);
	client_read(fd, &a, 3000);
	assert_int_equal(a.status, 401);
	assert_non_null(strstr(header(&a, "WWW-Authenticate"), "error=\"invalid_token\""));
	assert_int_equal(fake.made, 0);
	close(fd);
}

static void test_a_token_revoked_before_the_body_came(void **state)
{
	const struct answer *a;
	int fd;

	(void)state;
	fd = open_post("evil,tester,publish,,60");
	a = ask(port, "POST", "/v1/tokens/revoke", fake_token("boss", "admin", "", 60), "application/json",
		"{\"jti\":\"evil\"}", "");
	assert_int_equal(a->status, 200);
	expect_refused(fd);
}

static void test_a_key_withdrawn_before_the_body_came(void **state)
{
	int fd;

	(void)state;
	fd = open_post("j,tester,publish,,60");
	strcpy(fake.withdrawn, "j");
	expect_refused(fd);
}

static void test_a_token_that_expired_before_the_body_came(void **state)
{
	(void)state;
	expect_refused(open_post("j,tester,publish,,0"));
}

static void test_bench_token_only_when_configured(void **state)
{
	struct mu_api_options o = { .site = "bench", .bench_token = "bench" };

	(void)state;
	assert_int_equal(ask(port, "GET", "/v1/status", "bench", NULL, NULL, "")->status, 401);
	mu_api_reload(api, &o);
	assert_int_equal(ask(port, "GET", "/v1/status", "bench", NULL, NULL, "")->status, 200);
	assert_int_equal(ask(port, "GET", "/v1/audit", "bench", NULL, NULL, "")->status,
		404); /* allowed, but none is kept */
	assert_int_equal(ask(port, "GET", "/v1/status", "benc", NULL, NULL, "")->status, 401);
}

static void test_metrics_from_here(void **state)
{
	static const char *const added[] = { "Forwarded: for=192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.1\r\n",
		"Via: 1.1 proxy\r\n", "Origin: https://elsewhere.example\r\n", "Sec-Fetch-Mode: cors\r\n",
		"Sec-Fetch-Site: cross-site\r\n" };
	static const char *const hosts[] = { "elsewhere.example", "localhost.elsewhere.example",
		"127.0.0.1.example:8080" };
	char text[200];

	(void)state;
	assert_int_equal(ask(port, "GET", "/metrics", NULL, NULL, NULL, "")->status, 200);
	for (size_t i = 0; i < MU_ARRAY_LEN(added); i++)
		assert_int_equal(ask(port, "GET", "/metrics", NULL, NULL, NULL, added[i])->status, 401);
	for (size_t i = 0; i < MU_ARRAY_LEN(hosts); i++) {
		struct answer a;
		int fd = client_open(port);

		snprintf(text, sizeof(text), "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
		client_send(fd, text, strlen(text));
		client_read(fd, &a, 1000);
		assert_int_equal(a.status, 401);
		close(fd);
	}
	/* figures of the whole site, for a token for some endpoints */
	assert_int_equal(
		ask(port, "GET", "/metrics", fake_token("j", "operate", "city/*", 60), NULL, NULL, "")
			->status,
		403);
	api->conns.limits.shared = true; /* plain HTTP beyond this machine: a proxy may add nothing */
	assert_int_equal(ask(port, "GET", "/metrics", NULL, NULL, NULL, "")->status, 401);
	api->conns.limits.shared = false;
	assert_int_equal(ask(port, "GET", "/metrics", "wrong", NULL, NULL, "")->status, 401);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_route_by_scope, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_token_bad_token, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_authorizations_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endpoint_patterns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_session_belongs_to_its_token, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_session_is_not_that_of_another_keys_token, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revocation_ends_what_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_token_revoked_before_the_body_came, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_key_withdrawn_before_the_body_came, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_token_that_expired_before_the_body_came, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bench_token_only_when_configured, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metrics_from_here, setup, teardown),
	};

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	return cmocka_run_group_tests_name("api auth", tests, NULL, NULL);
}
