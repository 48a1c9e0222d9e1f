/* The console's WebSocket: a real client, and hostile ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "api/console_socket.h"
#include "api/listener.h"
#include "fakes.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static struct mu_api *api;
static uint16_t port;

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
	assert_int_equal(fake.n_consoles, 0);
	fake_done();
	return 0;
}

#define AWAIT(cond)                                                          \
	do {                                                                 \
		for (int64_t until_us = mu_clock_us() + 5000000; !(cond);) { \
			assert_true(mu_clock_us() < until_us);               \
			client_turn(1);                                      \
		}                                                            \
	} while (0)

/* --- the library's client --- */

struct browser {
	SoupSession *session;
	SoupWebsocketConnection *conn;
	GError *error;
	char heard[300];
	unsigned n;
	bool done, closed;
};

static void on_message(SoupWebsocketConnection *c, gint type, GBytes *data, gpointer arg)
{
	struct browser *b = arg;

	(void)c;
	assert_int_equal(type, SOUP_WEBSOCKET_DATA_TEXT);
	snprintf(b->heard, sizeof(b->heard), "%s", (const char *)g_bytes_get_data(data, NULL));
	b->n++;
}

static void on_closed(SoupWebsocketConnection *c, gpointer arg)
{
	(void)c;
	((struct browser *)arg)->closed = true;
}

static void on_connected(GObject *session, GAsyncResult *res, gpointer arg)
{
	struct browser *b = arg;

	b->conn = soup_session_websocket_connect_finish(SOUP_SESSION(session), res, &b->error);
	b->done = true;
	if (!b->conn)
		return;
	g_signal_connect(b->conn, "message", G_CALLBACK(on_message), b);
	g_signal_connect(b->conn, "closed", G_CALLBACK(on_closed), b);
}

static void connect_browser(struct browser *b, const char *origin, char **protocols)
{
	char uri[64];
	SoupMessage *m;

	memset(b, 0, sizeof(*b));
	snprintf(uri, sizeof(uri), "ws://127.0.0.1:%u/v1/console", port);
	b->session = soup_session_new_with_options("proxy-resolver", NULL, NULL);
	m = soup_message_new("GET", uri);
	soup_session_websocket_connect_async(
		b->session, m, origin, protocols, G_PRIORITY_DEFAULT, NULL, on_connected, b);
	AWAIT(b->done);
	g_object_unref(m);
}

static void end_browser(struct browser *b)
{
	g_clear_object(&b->conn);
	g_clear_error(&b->error);
	g_object_unref(b->session);
	client_turn(5);
}

static char *const ours[] = { (char *)(uintptr_t) "other.2", (char *)(uintptr_t)MU_CONSOLE_PROTOCOL, NULL };

static void test_a_real_client(void **state)
{
	struct browser b;
	char *big = g_strnfill(200000, 'a');

	(void)state;
	connect_browser(&b, NULL, (char **)(uintptr_t)ours);
	assert_non_null(b.conn);
	assert_string_equal(soup_websocket_connection_get_protocol(b.conn), MU_CONSOLE_PROTOCOL);
	assert_int_equal(fake.n_consoles, 1);
	assert_string_equal(fake.consoles[0].from, "127.0.0.1");
	soup_websocket_connection_send_text(b.conn, "\xe4\xb8\x9c");
	AWAIT(b.n == 1);
	assert_string_equal(b.heard, "{\"heard\":\"\xe4\xb8\x9c\"}");
	soup_websocket_connection_send_text(b.conn, "hello");
	AWAIT(b.n == 2);
	soup_websocket_connection_send_text(b.conn, big);
	AWAIT(b.n == 3);
	assert_int_equal(fake.consoles[0].last_len, 200000);
	soup_websocket_connection_send_text(b.conn, "close");
	AWAIT(b.closed);
	assert_int_equal(soup_websocket_connection_get_close_code(b.conn), 1000);
	assert_string_equal(soup_websocket_connection_get_close_data(b.conn), "bye");
	AWAIT(fake.n_consoles == 0);
	end_browser(&b);
	/* the client leaves */
	connect_browser(&b, NULL, (char **)(uintptr_t)ours);
	soup_websocket_connection_close(b.conn, 1001, "");
	AWAIT(fake.n_consoles == 0);
	assert_int_equal(fake.n_consoles_lost, 2);
	end_browser(&b);
	AWAIT(api->n_sockets == 0);
	g_free(big);
}

static void test_a_page_of_another_host(void **state)
{
	struct browser b;
	char here[64];

	(void)state;
	connect_browser(&b, "https://evil.example", (char **)(uintptr_t)ours);
	assert_null(b.conn);
	end_browser(&b);
	connect_browser(&b, "null", (char **)(uintptr_t)ours);
	assert_null(b.conn);
	end_browser(&b);
	snprintf(here, sizeof(here), "http://127.0.0.1:%u", port);
	connect_browser(&b, here, (char **)(uintptr_t)ours);
	assert_non_null(b.conn);
	end_browser(&b);
}

/* --- handshakes --- */

#define UPGRADE                                                                                                         \
	"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY \
	"\r\nSec-WebSocket-Protocol: muster.1\r\n"

static void test_handshakes(void **state)
{
	static const struct {
		const char *header;
		int status;
	} table[] = {
		{ "", 426 },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n", 426 },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n", 426 },
		{ "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 426 },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY
		  "\r\n",
			400 },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY
		  "\r\nSec-WebSocket-Protocol: muster.9\r\n",
			400 },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"
		  "Sec-WebSocket-Protocol: muster.1\r\n",
			400 },
		{ UPGRADE "Origin: http://evil.example\r\n", 403 },
	};
	const struct answer *a;
	char *accept = mu_ws_accept(KEY);

	(void)state;
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455, section 1.3 */
	g_free(accept);
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		a = ask(port, "GET", "/v1/console", NULL, NULL, NULL, table[i].header);
		if (a->status != table[i].status)
			fail_msg("row %zu: %d", i, a->status);
		if (a->status == 426)
			assert_string_equal(header(a, "Sec-WebSocket-Version"), "13");
	}
	assert_non_null(strstr(a->head, "application/problem+json"));
	fake.no_consoles = true;
	a = ask(port, "GET", "/v1/console", NULL, NULL, NULL, UPGRADE);
	assert_int_equal(a->status, 503);
	assert_int_equal(fake.n_consoles, 0);
}

/* --- raw frames --- */

static int open_socket(void)
{
	static const char text[] = "GET /v1/console HTTP/1.1\r\nHost: h\r\n" UPGRADE "\r\n";
	int fd = client_open(port);
	unsigned before = fake.n_consoles + fake.n_consoles_lost;

	client_send(fd, text, strlen(text));
	AWAIT(fake.n_consoles + fake.n_consoles_lost > before);
	client_turn(2);
	return fd;
}

static void send_frame(int fd, uint8_t first, const void *data, size_t len)
{
	uint8_t head[14] = { first, (uint8_t)(0x80 | (len < 126 ? len : len <= 0xffff ? 126 : 127)) };
	size_t n = 2;

	if (len > 0xffff) {
		mu_put64(head + n, len);
		n += 8;
	} else if (len >= 126) {
		mu_put16(head + n, (uint16_t)len);
		n += 2;
	}
	n += 4; /* a mask of zeros */
	client_send(fd, (const char *)head, n);
	client_send(fd, data, len);
}

/* What comes after the handshake until the end, or for a while. */
static size_t read_all(int fd, uint8_t *ret, size_t size, int ms, bool *ret_closed)
{
	int64_t until = mu_clock_us() + ms * 1000;
	size_t len = 0;

	*ret_closed = false;
	while (mu_clock_us() < until && !*ret_closed && len < size) {
		ssize_t n = recv(fd, ret + len, size - len, MSG_DONTWAIT);

		if (n > 0)
			len += (size_t)n;
		*ret_closed = n == 0 || (n < 0 && errno != EAGAIN);
		client_turn(1);
	}
	return len;
}

/* The code of the goodbye that ends what came. */
static unsigned goodbye(int fd)
{
	static uint8_t buf[8192];
	bool closed;
	size_t len = read_all(fd, buf, sizeof(buf), 4000, &closed);
	const uint8_t *end = memmem(buf, len, "\r\n\r\n", 4);

	assert_true(closed && end);
	for (const uint8_t *at = end + 4; at + 4 <= buf + len; at += 2 + (at[1] & 0x7f)) {
		if (at[0] == 0x88)
			return mu_get16(at + 2);
	}
	return 0;
}

static void test_hostile_frames(void **state)
{
	static char big[MU_CONSOLE_MESSAGE_MAX + 1];
	static const struct {
		uint8_t first;
		const char *data;
		size_t len;
		unsigned code;
	} table[] = {
		{ 0x82, "\0\1", 2, 1003 },
		{ 0x81, "\xff\xfe", 2, 1007 },
		{ 0xc1, "rsv", 3, 1002 },
		{ 0x80, "", 0, 1002 },
		{ 0x83, "", 0, 1002 },
		{ 0x81, big, sizeof(big), 1009 },
		{ 0x81, big, 16385, 1009 }, /* of whom nothing is known */
		{ 0x88, "\x03\xe8", 2, 1000 },
		{ 0x88, "\x03", 1, 1002 },
	};

	(void)state;
	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		int fd = open_socket();
		unsigned code;

		send_frame(fd, table[i].first, table[i].data, table[i].len);
		code = goodbye(fd);
		if (code != table[i].code)
			fail_msg("row %zu: %u", i, code);
		close(fd);
		AWAIT(fake.n_consoles == 0 && api->n_sockets == 0);
	}
	assert_int_equal(fake.n_texts, 0);
}

static void test_ping(void **state)
{
	static uint8_t buf[1000];
	int fd = open_socket();
	bool closed;
	size_t len;

	(void)state;
	send_frame(fd, 0x89, "are you there", 13);
	len = read_all(fd, buf, sizeof(buf), 100, &closed);
	assert_false(closed);
	assert_non_null(memmem(buf, len,
		"\x8a\x0d"
		"are you there",
		15));
	close(fd);
	AWAIT(fake.n_consoles == 0);
}

/* A client that does not wait for the answer to its handshake: what it said is heard, and then there is nothing more to do. */
static void test_said_with_the_handshake(void **state)
{
	static const char text[] = "GET /v1/console HTTP/1.1\r\nHost: h\r\n" UPGRADE "\r\n"
				   "\x81\x82\0\0\0\0{}"
				   "\x81\x85\0\0\0\0he";
	int fd = client_open(port);
	unsigned busy = 0;

	(void)state;
	client_send(fd, text, sizeof(text) - 1);
	AWAIT(fake.n_texts == 1);
	client_turn(20);
	for (unsigned i = 0; i < 200; i++)
		busy += g_main_context_iteration(NULL, FALSE);
	assert_in_range(busy, 0, 20);
	client_send(fd, "llo", 3);
	AWAIT(fake.n_texts == 2);
	close(fd);
	AWAIT(fake.n_consoles == 0);
}

/* How long an answer may take is no limit of a console's, nor does it make room for others. */
static void test_no_answer_to_take(void **state)
{
	static uint8_t buf[1000];
	unsigned evicted;
	bool closed;
	int fd;

	(void)state;
	api->conns.limits.answer_ms = 100;
	fd = open_socket();
	read_all(fd, buf, sizeof(buf), 300, &closed);
	assert_false(closed);
	evicted = (unsigned)api->conns.n_evicted;
	mu_conns_make_room(&api->conns);
	assert_int_equal(api->conns.n_evicted, evicted);
	assert_int_equal(fake.n_consoles, 1);
	close(fd);
	AWAIT(fake.n_consoles == 0);
}

/* Thousands of pings cost as many frames to read, and not as many answers. */
static void test_pings_without_end(void **state)
{
	static uint8_t pings[2000][6], buf[20000];
	int fd = open_socket();
	const uint8_t *at;
	unsigned n = 0;
	bool closed;
	size_t len;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(pings); i++)
		memcpy(pings[i], "\x89\x80\0\0\0", 6);
	client_send(fd, (const char *)pings, sizeof(pings));
	len = read_all(fd, buf, sizeof(buf), 200, &closed);
	assert_false(closed);
	at = memmem(buf, len, "\r\n\r\n", 4);
	assert_non_null(at);
	for (at += 4; at + 2 <= buf + len; at += 2) {
		assert_memory_equal(at, "\x8a", 2);
		n++;
	}
	assert_in_range(n, 1, 20); /* one each time something was read */
	close(fd);
	AWAIT(fake.n_consoles == 0);
}

/* The second's tick at a time of its own; what came before is read under the clock as it stood. */
static void at_time(int64_t us)
{
	for (int i = 0; i < 20; i++) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(500);
	}
	mu_clock_drive(us);
	mu_sockets_tick(api);
	mu_clock_drive(0);
	client_turn(2);
}

/* Time moves by hand: the console pings, and closes who does not answer, or who never ends a message. */
static void test_silence(void **state)
{
	static uint8_t buf[1000];
	int quiet = open_socket(), slow = open_socket();
	int64_t now = mu_clock_us();
	bool closed;
	size_t len;

	(void)state;
	send_frame(slow, 0x01, "begun", 5);
	client_turn(5);
	at_time(now + 16000000);
	len = read_all(slow, buf, sizeof(buf), 50, &closed);
	assert_non_null(memmem(buf, len, "\x89\0", 2));
	mu_clock_drive(now + 20000000);
	send_frame(slow, 0x8a, "", 0);
	send_frame(slow, 0x00, "more", 4);
	at_time(now + 31000000);
	assert_int_equal(goodbye(quiet), 1008);
	len = read_all(slow, buf, sizeof(buf), 2000, &closed);
	assert_true(closed);
	assert_non_null(memmem(buf, len, "whole within", 12));
	close(quiet);
	close(slow);
	AWAIT(api->n_sockets == 0);
}

/* It asks for much and reads nothing: its queue is bounded, others are served meanwhile. */
static void test_a_client_that_does_not_read(void **state)
{
	static const char hello[] = "GET /v1/console HTTP/1.1\r\nHost: h\r\n" UPGRADE "\r\n";
	struct browser b;
	int fd = client_open_small(port);

	(void)state;
	client_send(fd, hello, strlen(hello));
	AWAIT(fake.n_consoles == 1);
	connect_browser(&b, NULL, (char **)(uintptr_t)ours);
	for (int i = 0; i < 4 && fake.n_consoles_lost == 0; i++)
		send_frame(fd, 0x81, "flood", 5);
	AWAIT(fake.n_consoles_lost == 1);
	soup_websocket_connection_send_text(b.conn, "still here");
	AWAIT(b.n == 1);
	close(fd);
	end_browser(&b);
}

/* As much as it may send a second, and what is more waits where it is. */
static void test_a_client_that_sends_without_end(void **state)
{
	static char big[100000];
	int fd = open_socket();
	int64_t until = mu_clock_us() + 300000;
	struct browser b;

	(void)state;
	memset(big, 'x', sizeof(big));
	send_frame(fd, 0x81, "hello", 5);
	AWAIT(fake.n_texts == 1);
	fake.n_texts = 0;
	while (mu_clock_us() < until) {
		uint8_t head[14] = { 0x81, 0xff };

		mu_put64(head + 2, sizeof(big));
		if (send(fd, head, sizeof(head), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(head))
			break;
		for (size_t at = 0; at < sizeof(big) && mu_clock_us() < until;) {
			ssize_t n = send(fd, big + at, sizeof(big) - at, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (n > 0)
				at += (size_t)n;
			client_turn(1);
		}
	}
	assert_in_range(fake.n_texts, 1, 14); /* a burst of 1 MiB */
	connect_browser(&b, NULL, (char **)(uintptr_t)ours);
	soup_websocket_connection_send_text(b.conn, "still here");
	AWAIT(b.n == 1);
	end_browser(&b);
	close(fd);
}

/* RELIABILITY P7: those who say nothing make room for those who come. */
static void test_strangers(void **state)
{
	static int fds[MU_SOCKETS_STRANGER + 3];

	(void)state;
	fds[0] = open_socket();
	send_frame(fds[0], 0x81, "hello", 5);
	AWAIT(fake.n_texts == 1);
	for (size_t i = 1; i < MU_ARRAY_LEN(fds); i++)
		fds[i] = open_socket();
	assert_int_equal(fake.n_consoles_lost, 2);
	assert_int_equal(goodbye(fds[1]), 1013);
	assert_true(fake.consoles[0].used && fake.consoles[0].known);
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
	AWAIT(api->n_sockets == 0);
	AWAIT(api->conns.n_open == 0);
}

static void test_limits(void **state)
{
	static int fds[MU_SOCKETS_ADDRESS];
	const struct answer *a;
	int one;

	(void)state;
	api->conns.limits.shared_loopback = false;
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		fds[i] = open_socket();
	assert_int_equal(api->conns.n_open, MU_SOCKETS_ADDRESS); /* they count as connections */
	/* those of this address who say nothing make room for who does */
	one = open_socket();
	assert_int_equal(goodbye(fds[0]), 1013);
	close(fds[0]);
	fds[0] = one;
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		send_frame(fds[i], 0x81, "hello", 5);
	AWAIT(fake.n_texts == MU_SOCKETS_ADDRESS);
	a = ask(port, "GET", "/v1/console", NULL, NULL, NULL, UPGRADE);
	assert_int_equal(a->status, 429);
	assert_string_equal(header(a, "Retry-After"), "10");
	for (size_t i = 0; i < MU_ARRAY_LEN(fds); i++)
		close(fds[i]);
	AWAIT(api->n_sockets == 0);
	AWAIT(api->conns.n_open == 0);
}

static void test_host(void **state)
{
	struct mu_token t;
	struct mu_error e;

	(void)state;
	assert_int_equal(fake.host.check(fake.host.arg, "j,boss,conference,city/a,60", &t, &e), 0);
	assert_string_equal(t.id, "j");
	assert_int_equal(fake.host.check(fake.host.arg, "forged,boss,conference,city/a,60", &t, &e), -EPERM);
	assert_string_equal(t.id, "");
	assert_int_equal(fake.host.check(fake.host.arg, "j,boss,conference,city/a,-60", &t, &e), -ETIME);
	assert_non_null(strstr(e.text, "expired"));
}

static void test_the_gateway_stops(void **state)
{
	int fd = open_socket();
	static uint8_t buf[1000];
	bool closed;
	size_t len;

	(void)state;
	mu_api_free(api);
	len = read_all(fd, buf, sizeof(buf), 500, &closed);
	assert_true(closed);
	assert_non_null(memmem(buf, len, "\x03\xe9the gateway stops", 19));
	close(fd);
	fake_done();
	fake_serve(&api, &port);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_a_real_client),
		TEST(test_a_page_of_another_host),
		TEST(test_handshakes),
		TEST(test_hostile_frames),
		TEST(test_ping),
		TEST(test_pings_without_end),
		TEST(test_no_answer_to_take),
		TEST(test_said_with_the_handshake),
		TEST(test_silence),
		TEST(test_a_client_that_does_not_read),
		TEST(test_a_client_that_sends_without_end),
		TEST(test_strangers),
		TEST(test_limits),
		TEST(test_host),
		TEST(test_the_gateway_stops),
	};

	return cmocka_run_group_tests_name("api console", tests, NULL, NULL);
}
