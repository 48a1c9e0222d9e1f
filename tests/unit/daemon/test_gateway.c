#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "fakes.h"

/* --- a folder with a configuration, and systemd's end of the notify socket ----------------------- */

static char folder[] = "/tmp/muster-test-XXXXXX";
static char config_path[64];
static int notify_fd;

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A self-signed certificate and its key: cert1.pem, key1.pem. */
static void write_pair(const char *n)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	char path[128];
	FILE *f;

	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	snprintf(path, sizeof(path), "%s/cert%s.pem", folder, n);
	f = fopen(path, "w");
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	snprintf(path, sizeof(path), "%s/key%s.pem", folder, n);
	f = fopen(path, "w");
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* All that was said to systemd since the last call. */
static const char *said(void)
{
	static char text[2048];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(notify_fd, text + n, sizeof(text) - n - 2, MSG_DONTWAIT)) > 0) {
		n += (size_t)got;
		text[n++] = '|';
	}
	text[n] = '\0';
	return text;
}

static int set_up_all(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(config_path, sizeof(config_path), "%s/c.yaml", folder);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", folder);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify_fd < 0 || bind(notify_fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	write_file("a.pub", "");
	write_file("b.pub", "");
	write_file("broken.pub", "");
	write_pair("1");
	write_pair("2");
	return 0;
}

static int tear_down_all(void **state)
{
	static const char *const names[] = { "a.pub", "b.pub", "broken.pub", "c.yaml", "notify", "state/lock",
		"state", "cert1.pem", "cert2.pem", "key1.pem", "key2.pem", "ice1", "ice2" };

	(void)state;
	close(notify_fd);
	for (size_t i = 0; i < MU_ARRAY_LEN(names); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		remove(path);
	}
	return rmdir(folder);
}

static int set_up(void **state)
{
	(void)state;
	memset(&fakes, 0, sizeof(fakes));
	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	said();
	return 0;
}

#define BASE "site: city\nauth: {keys: [a.pub]}\nlog: {level: error}\n"

static struct mu_config *load(const char *text)
{
	struct mu_problems p = { 0 };
	struct mu_config *c = NULL;

	write_file("c.yaml", text);
	if (mu_config_load(config_path, &c, &p) < 0)
		fail_msg("%s", p.text[0]);
	return c;
}

static struct mu_gateway *start(const char *text)
{
	struct mu_gateway *g = NULL;
	struct mu_error e;

	if (mu_gateway_new(load(text), &g, &e) < 0)
		fail_msg("%s", e.text);
	return g;
}

static gboolean on_later(gpointer arg)
{
	mu_drain(arg);
	return G_SOURCE_REMOVE;
}

/* --- start and end ------------------------------------------------------------------------------- */

static void test_built_up_and_taken_down_in_reverse(void **state)
{
	struct mu_gateway *g =
		start(BASE "state: state\nmedia: {workers: 2, port: 7000, listen: ['::1'], gather: 1ms, tcp: 443}\n"
			   "srtp: {engine: openssl, profiles: [AES128_CM_SHA1_80, AEAD_AES_128_GCM]}\n"
			   "endpoints: {hold: 3s, second_publisher: take_over}\nconference: {loudest: 3, members: 40}\n");
	char path[64];

	(void)state;
	assert_string_equal(fakes.calls, "media+ directory+ kept+ webrtc+ api+ ");
	assert_non_null(strstr(fakes.kept, "/state/conferences.db"));
	assert_int_equal(fakes.conferences.loudest, 3);
	assert_int_equal(fakes.conferences.members, 40);
	assert_int_equal(fakes.media.net.workers, 2);
	assert_int_equal(fakes.media.net.port, 7000);
	assert_int_equal(fakes.media.net.n_listen, 1);
	assert_int_equal(fakes.media.net.n_tcp, 1);
	assert_int_equal(mu_addr_port(&fakes.media.net.tcp[0]), 443);
	assert_int_equal(fakes.media.net.tcp_per_source, 512);
	assert_in_range(fakes.media.net.tcp_connections, 16, MU_TCP_MAX);
	assert_int_equal(fakes.media.gather_us, 1000);
	assert_string_equal(fakes.media.srtp_engine, "openssl");
	assert_int_equal(fakes.profiles[0], MU_SRTP_AES128_CM_SHA1_80);
	assert_int_equal(fakes.profiles[1], MU_SRTP_AEAD_AES_128_GCM);
	assert_int_equal(fakes.profiles[2], MU_SRTP_NONE);
	assert_int_equal(fakes.webrtc.hold_us, 3000000);
	assert_int_equal(fakes.webrtc.second, MU_SECOND_TAKE_OVER);
	assert_null(fakes.api.bench_token);
	assert_int_equal(mu_keyring_size(fakes.api.keyring), 1);
	snprintf(path, sizeof(path), "%s/state", folder);
	assert_int_equal(access(path, F_OK), 0);
	fakes.calls[0] = '\0';
	mu_gateway_free(g);
	assert_string_equal(fakes.calls, "close api- webrtc- kept- directory- media- ");
	assert_int_equal(fakes.keyrings, 0);
}

static void test_a_state_folder_is_one_gateways(void **state)
{
	struct mu_gateway *g = start(BASE "state: state\n"), *second;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_gateway_new(load(BASE "state: state\n"), &second, &e), -EBUSY);
	assert_non_null(strstr(e.text, "/state is in use by another gateway"));
	mu_gateway_free(g);
	mu_gateway_free(start(BASE "state: state\n"));
}

static void test_bench_has_its_token(void **state)
{
	struct mu_gateway *g = start("site: bench\ninsecure_bench: true\nlog: {level: error}\n");

	(void)state;
	assert_string_equal(fakes.api.bench_token, "bench");
	mu_gateway_free(g);
}

static void test_each_failing_start_leaves_nothing(void **state)
{
	static const char *const cases[][2] = { { "media", "media+ " },
		{ "directory", "media+ directory+ directory- media- " },
		{ "webrtc", "media+ directory+ webrtc+ directory- media- " },
		{ "api", "media+ directory+ webrtc+ api+ close webrtc- directory- media- " } };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct mu_gateway *g;
		struct mu_error e = { .text = "" };

		memset(&fakes, 0, sizeof(fakes));
		fakes.fail = cases[i][0];
		assert_true(mu_gateway_new(load(BASE), &g, &e) < 0);
		assert_true(e.text[0]);
		assert_string_equal(fakes.calls, cases[i][1]);
		assert_int_equal(fakes.keyrings, 0);
	}
}

static void test_bad_key_stops_the_start(void **state)
{
	struct mu_gateway *g;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_gateway_new(load("site: city\nauth: {keys: [broken.pub]}\n"), &g, &e), -EINVAL);
	assert_non_null(strstr(e.text, "/broken.pub: not a public key"));
	assert_string_equal(fakes.calls, "");
}

/* --- drain --------------------------------------------------------------------------------------- */

static void test_drain_tells_closes_and_ends(void **state)
{
	struct mu_gateway *g = start(BASE);

	(void)state;
	fakes.sessions = 3;
	fakes.calls[0] = '\0';
	g_idle_add(on_later, g);
	mu_gateway_run(g);
	assert_string_equal(fakes.calls, "drain close ");
	assert_int_equal(fakes.sessions, 0);
	assert_non_null(strstr(said(), "STOPPING=1"));
	mu_gateway_free(g);
}

static void test_drain_ends_at_its_deadline(void **state)
{
	struct mu_gateway *g = start(BASE "drain: {deadline: 150ms}\n");
	int64_t begin = mu_clock_us();

	(void)state;
	fakes.sessions = 1;
	fakes.deaf = true;
	g_idle_add(on_later, g);
	mu_gateway_run(g);
	assert_in_range(mu_clock_us() - begin, 150000, 5000000);
	fakes.sessions = 0;
	mu_gateway_free(g);
}

/* Sessions that do not end are left to the kernel; what conferences there are is written all the same. */
static void test_conferences_are_written_in_any_case(void **state)
{
	struct mu_gateway *g = start(BASE "state: state\n");

	(void)state;
	fakes.sessions = 1;
	fakes.deaf = true;
	fakes.calls[0] = '\0';
	mu_gateway_free(g);
	assert_string_equal(fakes.calls, "close kept- ");
	fakes.sessions = 0;
	fakes.deaf = false;
	mu_gateway_free(g);
}

static void test_second_signal_ends_at_once(void **state)
{
	struct mu_gateway *g = start(BASE "drain: {deadline: 10min}\n");

	(void)state;
	fakes.sessions = 1;
	fakes.deaf = true;
	g_idle_add(on_later, g);
	g_idle_add(on_later, g);
	mu_gateway_run(g);
	fakes.sessions = 0;
	mu_gateway_free(g);
}

static gboolean on_raise(gpointer arg)
{
	raise(GPOINTER_TO_INT(arg));
	return G_SOURCE_REMOVE;
}

static void test_signals_do_it(void **state)
{
	struct mu_gateway *g = start(BASE);

	(void)state;
	g_idle_add(on_raise, GINT_TO_POINTER(SIGTERM));
	mu_gateway_run(g);
	assert_non_null(strstr(said(), "READY=1\nSTATUS=Site city"));
	mu_gateway_free(g);
}

/* --- reload -------------------------------------------------------------------------------------- */

static void test_reload_takes_what_can_change(void **state)
{
	struct mu_gateway *g = start(BASE);
	struct mu_keyring *old = g->keyring;

	(void)state;
	fakes.calls[0] = '\0';
	said();
	write_file("c.yaml",
		"site: town\nauth: {keys: [a.pub, b.pub]}\nlog: {level: error}\nendpoints: {hold: 1s}\nmedia: {port: 1}\n"
		"limits: {publisher_bitrate: 2Mbit/s}\nconference: {loudest: 9}\n");
	mu_reload(g);
	assert_int_equal(fakes.conferences.loudest, 9);
	assert_int_equal(fakes.conferences.members, 512);
	assert_string_equal(fakes.calls, "webrtc~ api~ keys~ ");
	assert_int_equal(fakes.keys_left, 2);
	assert_int_equal(fakes.webrtc.hold_us, 1000000);
	assert_int_equal(fakes.media.publisher_bps, 2000000);
	assert_int_equal(mu_keyring_size(fakes.api.keyring), 2);
	assert_ptr_not_equal(fakes.api.keyring, old);
	assert_string_equal(fakes.api.site, "city");
	assert_int_equal(g->config->media.port, 5000);
	assert_int_equal(fakes.keyrings, 1);
	assert_non_null(strstr(said(), "RELOADING=1"));
	mu_gateway_free(g);
}

static void test_bad_reload_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"site: city\nauth: {keys: [a.pub]}\nlog: {levle: error}\n", /* no such key */
		"site: city\nauth: {keys: [nowhere.pub]}\n",
		"site: city\nauth: {keys: [broken.pub]}\nendpoints: {hold: 1s}\n",
		BASE "http: {certificate: a.pub, key: b.pub}\n",           /* neither holds what it should */
		"site: city\ninsecure_bench: true\nlog: {level: error}\n", /* good as a file, but a restart's:
									      no key would be left */
	};
	struct mu_gateway *g = start(BASE);

	(void)state;
	fakes.calls[0] = '\0';
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		write_file("c.yaml", bad[i]);
		mu_reload(g);
		assert_string_equal(fakes.calls, "");
		assert_int_equal(g->config->endpoints.hold_us, 10000000);
		assert_int_equal(g->config->auth.keys.n, 1);
		assert_int_equal(fakes.keyrings, 1);
	}
	assert_non_null(strstr(said(), "READY=1"));
	mu_gateway_free(g);
}

static void test_certificates_are_exchanged(void **state)
{
	struct mu_gateway *g = start(BASE "http: {certificate: cert1.pem, key: key1.pem}\n");

	(void)state;
	write_file("c.yaml", BASE "http: {certificate: cert2.pem, key: key2.pem}\n");
	mu_reload(g);
	assert_non_null(strstr(fakes.api.certificate, "/cert2.pem"));
	/* A pair that is none keeps the old. */
	write_file("c.yaml", BASE "http: {certificate: cert1.pem, key: key2.pem}\n");
	mu_reload(g);
	assert_non_null(strstr(fakes.api.certificate, "/cert2.pem"));
	/* The sockets speak TLS already: they go on, and the rest is taken. */
	write_file("c.yaml", BASE "endpoints: {hold: 1s}\n");
	mu_reload(g);
	assert_non_null(strstr(fakes.api.certificate, "/cert2.pem"));
	assert_non_null(strstr(fakes.api.key, "/key2.pem"));
	assert_int_equal(fakes.webrtc.hold_us, 1000000);
	mu_gateway_free(g);
}

static void test_plain_http_stays_plain(void **state)
{
	struct mu_gateway *g = start(BASE);

	(void)state;
	write_file("c.yaml", BASE "http: {certificate: cert1.pem, key: key1.pem}\n");
	mu_reload(g);
	assert_null(fakes.api.certificate);
	assert_null(fakes.api.key);
	mu_gateway_free(g);
}

static void test_a_key_of_another_certificate_stops_the_start(void **state)
{
	struct mu_gateway *g;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_gateway_new(load(BASE "http: {certificate: cert1.pem, key: key2.pem}\n"), &g, &e),
		-EINVAL);
	assert_non_null(strstr(e.text, "key2.pem is not the PEM key (without passphrase) of"));
	assert_int_equal(fakes.keyrings, 0);
}

/* --- what clients show TURN servers --------------------------------------------------------------- */

static void test_ice_servers_are_handed_on_and_exchanged(void **state)
{
	struct mu_gateway *g;

	(void)state;
	write_file("ice1", "north\n");
	write_file("ice2", "a \\\"name\"");
	g = start(BASE "ice: {servers: ['stun:s', 'turn:t'], secret_file: ice1, lifetime: 2h}\n");
	assert_int_equal(fakes.webrtc.ice.n_urls, 2);
	assert_string_equal(fakes.webrtc.ice.urls[1], "turn:t");
	assert_string_equal(fakes.webrtc.ice.secret, "north");
	assert_int_equal(fakes.webrtc.ice.lifetime_s, 7200);
	assert_null(fakes.webrtc.ice.username);
	/* the file alone has changed */
	write_file("ice1", "south");
	mu_reload(g);
	assert_string_equal(fakes.webrtc.ice.secret, "south");
	/* one that is no good keeps what is there */
	write_file("ice1", "");
	mu_reload(g);
	assert_string_equal(fakes.webrtc.ice.secret, "south");
	write_file("c.yaml", BASE "ice: {servers: ['turn:t'], username_file: ice2, password_file: ice2}\n");
	mu_reload(g);
	assert_null(fakes.webrtc.ice.secret);
	assert_string_equal(fakes.webrtc.ice.username, "a \\\"name\"");
	assert_string_equal(fakes.webrtc.ice.password, "a \\\"name\"");
	write_file("c.yaml", BASE);
	mu_reload(g);
	assert_int_equal(fakes.webrtc.ice.n_urls, 0);
	assert_null(fakes.webrtc.ice.username);
	mu_gateway_free(g);
}

/* And what such a file holds is not told. */
static void test_a_secret_that_is_none_stops_the_start(void **state)
{
	static const char *const bad[] = { "", "\n", "topsecret\nmore\n", "topsecret\r\n", "topsecret\x01", "topsecr\xc3\xa9t" };
	struct mu_gateway *g;
	struct mu_error e;
	char longest[300];

	(void)state;
	for (size_t i = 0; i <= MU_ARRAY_LEN(bad); i++) {
		memset(longest, 's', 257);
		longest[257] = '\0';
		write_file("ice1", i < MU_ARRAY_LEN(bad) ? bad[i] : longest);
		assert_int_equal(
			mu_gateway_new(load(BASE "ice: {servers: ['turn:t'], secret_file: ice1}\n"), &g, &e), -EINVAL);
		assert_non_null(strstr(e.text, "ice1 must hold one line"));
		assert_null(strstr(e.text, "topsec"));
		assert_int_equal(fakes.keyrings, 0);
	}
	longest[256] = '\n';
	write_file("ice1", longest);
	mu_gateway_free(start(BASE "ice: {servers: ['turn:t'], secret_file: ice1}\n"));
}

/* --- health and inbox ---------------------------------------------------------------------------- */

static void test_watchdog_is_silent_when_a_worker_hangs(void **state)
{
	struct mu_gateway g = { .answered_us = 1000000 };

	(void)state;
	assert_true(mu_health_good(&g, 4000000));
	assert_false(mu_health_good(&g, 4000001));
	g.watchdog_us = 20000000;
	assert_true(mu_health_good(&g, 11000000));
	assert_false(mu_health_good(&g, 11000001));
}

static void test_workers_are_asked_every_second(void **state)
{
	struct mu_gateway *g = start(BASE);

	(void)state;
	fakes.hung = true;
	g_timeout_add(1200, on_later, g);
	mu_gateway_run(g);
	assert_int_equal(fakes.stats_asked, 1);
	assert_true(g->asking);
	mu_gateway_free(g);
}

struct counted {
	struct mu_msg msg;
	struct mu_inbox *in;
	GMainLoop *loop;
	unsigned left; /* how often it posts itself again */
};

static void on_counted(struct mu_msg *m)
{
	struct counted *c = (struct counted *)m;

	if (c->left-- > 0)
		mu_inbox_post(c->in, m);
	else
		g_main_loop_quit(c->loop);
}

/* More rounds than one turn runs: nothing is left lying, and no wake-up is lost. */
static void test_inbox_in_the_main_loop(void **state)
{
	struct mu_inbox in;
	struct counted c = {
		.msg.fn = on_counted, .in = &in, .left = 1000, .loop = g_main_loop_new(NULL, FALSE)
	};
	guint id;

	(void)state;
	assert_int_equal(mu_inbox_init(&in), 0);
	id = mu_inbox_attach(&in);
	mu_inbox_post(&in, &c.msg);
	g_main_loop_run(c.loop);
	g_source_remove(id);
	g_main_loop_unref(c.loop);
	mu_inbox_done(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_built_up_and_taken_down_in_reverse, set_up),
		cmocka_unit_test_setup(test_a_state_folder_is_one_gateways, set_up),
		cmocka_unit_test_setup(test_bench_has_its_token, set_up),
		cmocka_unit_test_setup(test_each_failing_start_leaves_nothing, set_up),
		cmocka_unit_test_setup(test_bad_key_stops_the_start, set_up),
		cmocka_unit_test_setup(test_drain_tells_closes_and_ends, set_up),
		cmocka_unit_test_setup(test_drain_ends_at_its_deadline, set_up),
		cmocka_unit_test_setup(test_second_signal_ends_at_once, set_up),
		cmocka_unit_test_setup(test_conferences_are_written_in_any_case, set_up),
		cmocka_unit_test_setup(test_signals_do_it, set_up),
		cmocka_unit_test_setup(test_reload_takes_what_can_change, set_up),
		cmocka_unit_test_setup(test_bad_reload_changes_nothing, set_up),
		cmocka_unit_test_setup(test_certificates_are_exchanged, set_up),
		cmocka_unit_test_setup(test_plain_http_stays_plain, set_up),
		cmocka_unit_test_setup(test_a_key_of_another_certificate_stops_the_start, set_up),
		cmocka_unit_test_setup(test_ice_servers_are_handed_on_and_exchanged, set_up),
		cmocka_unit_test_setup(test_a_secret_that_is_none_stops_the_start, set_up),
		cmocka_unit_test_setup(test_watchdog_is_silent_when_a_worker_hangs, set_up),
		cmocka_unit_test_setup(test_workers_are_asked_every_second, set_up),
		cmocka_unit_test_setup(test_inbox_in_the_main_loop, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
