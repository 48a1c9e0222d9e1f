/* HTTPS: the certificate, its replacement, and clients that never finish the handshake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/ssl.h>

#include "fakes.h"
#include "console/console.h"

extern const struct mu_asset mu_api_assets[];

static struct mu_api *api;
static uint16_t port;
static char dir[] = "/tmp/muster-tls-XXXXXX", cert[2][64], key[2][64];

static void make_certificate(int i)
{
	char line[400];

	snprintf(cert[i], sizeof(cert[i]), "%s/cert%d.pem", dir, i);
	snprintf(key[i], sizeof(key[i]), "%s/key%d.pem", dir, i);
	snprintf(line, sizeof(line),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=gateway%d -days 2 -keyout %s "
		"-out %s 2>/dev/null",
		i, key[i], cert[i]);
	assert_int_equal(system(line), 0);
}

static int setup(void **state)
{
	struct mu_addr at = { .in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct mu_api_options o = {
		.listen = &at, .n_listen = 1, .site = "city", .certificate = cert[0], .key = key[0]
	};
	struct mu_error e;

	(void)state;
	strcpy(dir, "/tmp/muster-tls-XXXXXX");
	assert_non_null(mkdtemp(dir));
	make_certificate(0);
	make_certificate(1);
	fake_init();
	assert_int_equal(mu_api_new(&o, &api, &e), 0);
	port = mu_api_port(api, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mu_api_free(api);
	client_turn(20);
	fake_done();
	for (int i = 0; i < 2; i++) {
		unlink(cert[i]);
		unlink(key[i]);
	}
	return rmdir(dir);
}

static gboolean accept_any(SoupMessage *m, GTlsCertificate *c, GTlsCertificateFlags f, gpointer arg)
{
	(void)m;
	(void)f;
	g_free(*(char **)arg);
	g_object_get(c, "subject-name", arg, NULL);
	return TRUE;
}

static void got(GObject *session, GAsyncResult *res, gpointer arg)
{
	GBytes *b = soup_session_send_and_read_finish(SOUP_SESSION(session), res, NULL);

	if (b) {
		assert_int_equal(g_bytes_get_size(b), mu_api_assets[0].len);
		assert_memory_equal(g_bytes_get_data(b, NULL), mu_api_assets[0].data, mu_api_assets[0].len);
		g_bytes_unref(b);
	}
	*(bool *)arg = true;
}

/* @return the name in the certificate, or NULL when nothing was answered */
static char *ask_tls(void)
{
	/* no proxy module: its C++ exceptions end a program under clang's AddressSanitizer */
	SoupSession *session = soup_session_new_with_options("proxy-resolver", NULL, NULL);
	char url[60], *name = NULL;
	bool done = false;
	SoupMessage *m;
	guint status;

	snprintf(url, sizeof(url), "https://127.0.0.1:%u/v1/openapi.yaml", port);
	m = soup_message_new("GET", url);
	g_signal_connect(m, "accept-certificate", G_CALLBACK(accept_any), &name);
	soup_session_send_and_read_async(session, m, G_PRIORITY_DEFAULT, NULL, got, &done);
	while (!done)
		g_main_context_iteration(NULL, TRUE);
	status = soup_message_get_status(m);
	g_object_unref(m);
	g_object_unref(session);
	if (status == 200)
		return name;
	g_free(name);
	return NULL;
}

static void test_certificate_is_replaced_by_reload(void **state)
{
	struct mu_api_options o = { .site = "city", .certificate = cert[1], .key = key[1] };
	char *name;

	(void)state;
	name = ask_tls();
	assert_string_equal(name, "CN=gateway0");
	g_free(name);
	mu_api_reload(api, &o);
	name = ask_tls();
	assert_string_equal(name, "CN=gateway1");
	g_free(name);
	o.certificate = "/nonexistent"; /* the old one stays */
	mu_api_reload(api, &o);
	name = ask_tls();
	assert_string_equal(name, "CN=gateway1");
	g_free(name);
}

static void test_handshake_that_never_ends(void **state)
{
	struct answer a;
	int fd = client_open(port);

	(void)state;
	api->conns.limits.header_ms = 150;
	client_send(fd, "\x16\x03\x01\x02", 4);
	client_turn(5);
	close(fd);
	fd = client_open(port);
	client_send(fd, "\x16\x03\x01\x02", 4);
	client_read(fd, &a, 2000);
	assert_true(a.closed);
	close(fd);
	fd = client_open(port); /* not TLS at all */
	client_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	client_read(fd, &a, 2000);
	assert_true(a.closed);
	close(fd);
	client_turn(200);
	assert_int_equal(api->conns.n_open, 0);
}

/* The real client is served while many are stuck in the handshake (RELIABILITY P7). */
static void test_many_handshakes_that_never_end(void **state)
{
	int fds[150];
	int64_t begin;
	char *name;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++) {
		fds[i] = client_open(port);
		client_send(fds[i], "\x16\x03\x01\x02", 4);
		client_turn(0);
	}
	client_turn(20);
	assert_true(api->conns.n_open <= api->conns.limits.per_address);
	begin = mu_clock_us();
	name = ask_tls();
	assert_string_equal(name, "CN=gateway0");
	assert_true(mu_clock_us() - begin < 500000);
	g_free(name);
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
	client_turn(30);
}

#define CROWD 24

/* As many clients as connections that were accepted; their handshakes begin when the first byte is sent. */
static void open_crowd(SSL_CTX *ctx, SSL *ssl[CROWD], int fds[CROWD])
{
	for (int i = 0; i < CROWD; i++) {
		fds[i] = client_open(port);
		ssl[i] = SSL_new(ctx);
		SSL_set_fd(ssl[i], fds[i]);
	}
	while (api->conns.n_open < CROWD)
		g_main_context_iteration(NULL, TRUE);
}

static int n_answered(const int fds[CROWD])
{
	int n = 0;
	char c;

	for (int i = 0; i < CROWD; i++)
		n += recv(fds[i], &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
	return n;
}

static gboolean busy(gpointer arg)
{
	++*(int *)arg;
	return G_SOURCE_CONTINUE;
}

/* Whatever else there is to do comes first, and in one turn a crowd gets two signatures. */
static void test_handshakes_wait_for_all_else(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int fds[CROWD], turns = 0, answered = 0;
	SSL *ssl[CROWD];
	guint source;

	(void)state;
	open_crowd(ctx, ssl, fds);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(SSL_connect(ssl[i]), -1); /* ClientHello */
	source = g_idle_add_full(G_PRIORITY_DEFAULT, busy, &turns, NULL);
	while (turns < 20)
		g_main_context_iteration(NULL, TRUE);
	assert_int_equal(n_answered(fds), 0);
	g_source_remove(source);
	for (turns = 0; answered < CROWD; turns++) {
		int before = answered;

		g_main_context_iteration(NULL, TRUE);
		answered = n_answered(fds);
		assert_true(answered - before <= 2);
	}
	assert_true(turns >= CROWD / 2);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(SSL_connect(ssl[i]), 1);
		SSL_free(ssl[i]);
		close(fds[i]);
	}
	SSL_CTX_free(ctx);
	while (api->conns.n_open > 0)
		g_main_context_iteration(NULL, TRUE);
}

/* Nobody signs for who is gone. */
static void test_a_handshake_that_was_reset(void **state)
{
	struct linger none = { .l_onoff = 1 };
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int fds[CROWD], turns = 0;
	SSL *ssl[CROWD];

	(void)state;
	open_crowd(ctx, ssl, fds);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(SSL_connect(ssl[i]), -1);
		SSL_free(ssl[i]);
		setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &none, sizeof(none));
		close(fds[i]);
	}
	for (; api->conns.n_open > 0; turns++)
		g_main_context_iteration(NULL, TRUE);
	assert_true(turns < CROWD / 2); /* two signatures a turn took as many */
	SSL_CTX_free(ctx);
}

static void test_end_in_the_middle_of_a_handshake(void **state)
{
	int fd = client_open(port);

	(void)state;
	client_send(fd, "\x16\x03\x01\x02", 4);
	client_turn(10);
	mu_api_free(api);
	api = NULL;
	client_turn(50);
	close(fd);
}

static void test_bad_certificate_stops_the_start(void **state)
{
	struct mu_api_options o = { .site = "city", .certificate = key[0], .key = key[1] };
	struct mu_api *other;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_api_new(&o, &other, &e), -EINVAL);
	assert_non_null(strstr(e.text, key[0]));
}

static void test_address_in_use(void **state)
{
	struct mu_addr at = { .in4 = { .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons(port) } };
	struct mu_api_options o = { .listen = &at, .n_listen = 1, .site = "city" };
	struct mu_api *other;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_api_new(&o, &other, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "127.0.0.1"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_certificate_is_replaced_by_reload),
		T(test_handshake_that_never_ends), T(test_many_handshakes_that_never_end),
		T(test_handshakes_wait_for_all_else), T(test_a_handshake_that_was_reset),
		T(test_end_in_the_middle_of_a_handshake), T(test_bad_certificate_stops_the_start),
		T(test_address_in_use) };

	return cmocka_run_group_tests_name("api tls", tests, NULL, NULL);
}
