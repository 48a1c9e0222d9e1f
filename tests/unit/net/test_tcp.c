/* Connections: a worker driven by hand, peers that are plain sockets on loopback, time that the test moves. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/net_internal.h"

#define SECOND INT64_C(1000000)

static struct {
	unsigned datagrams, closed;
	size_t bytes;
	uint8_t data[16384]; /* all that came, end to end */
	struct mu_path last, last_closed;
	bool prove, echo;
} fx;
static struct mu_net *net;
static struct mu_worker *worker;
static int64_t now;

/* --- the module above --- */

static int on_start(struct mu_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	return 0;
}

static void on_datagrams(struct mu_worker *w, const struct mu_datagram *d, size_t n, int64_t now_us)
{
	(void)now_us;
	for (size_t i = 0; i < n; i++) {
		assert_true(fx.bytes + d[i].len <= sizeof(fx.data));
		memcpy(fx.data + fx.bytes, d[i].data, d[i].len);
		fx.bytes += d[i].len;
		fx.datagrams++;
		fx.last = *d[i].path;
		if (fx.prove)
			mu_worker_prove(w, d[i].path);
		if (fx.echo)
			mu_worker_send_copy(w, d[i].path, d[i].data, d[i].len);
	}
}

static int64_t on_flush(struct mu_worker *w, int64_t now_us)
{
	(void)w;
	(void)now_us;
	return INT64_MAX;
}

static void on_handed(struct mu_worker *w, const struct mu_hand *h, int64_t now_us)
{
	(void)w;
	(void)h;
	(void)now_us;
}

static void on_stop(struct mu_worker *w)
{
	(void)w;
}

static void on_discard(const struct mu_hand *h)
{
	(void)h;
}

static void on_closed(struct mu_worker *w, const struct mu_path *path, int64_t now_us)
{
	(void)w;
	(void)now_us;
	fx.closed++;
	fx.last_closed = *path;
	mu_worker_disown(w, path); /* harmless, though it is about to go */
}

static const struct mu_net_ops ops = { on_start, on_datagrams, on_flush, on_handed, on_stop, on_discard, on_closed };

/* --- a worker and its peers --- */

static void up(unsigned connections, unsigned per_source)
{
	struct mu_net_options o = { .workers = 1,
		.n_listen = 1,
		.n_tcp = 2,
		.driven = true,
		.tcp_connections = connections,
		.tcp_per_source = per_source };
	struct mu_error e;

	memset(&fx, 0, sizeof(fx));
	now = 1000 * SECOND;
	mu_clock_drive(now);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.listen[0]), 0);
	assert_int_equal(mu_addr_parse("127.0.0.3", 0, &o.tcp[0]), 0);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.tcp[1]), 0);
	if (mu_net_new(&o, &ops, NULL, &net, &e) < 0)
		fail_msg("%s", e.text);
	worker = mu_net_worker(net, 0);
}

static void down(void)
{
	mu_net_free(net);
	mu_clock_drive(0);
}

static const struct mu_net_stats *stats(void)
{
	return mu_worker_stats(worker);
}

static void pass(int64_t us)
{
	now += us;
	mu_clock_drive(now);
	mu_worker_turn(worker, 0);
}

/* Turns until it is so: loopback delivers soon, but not always before the call that sent returns. */
#define TURN_UNTIL(cond)                                              \
	do {                                                          \
		for (unsigned i_ = 0; !(cond); i_++) {                \
			assert_true(i_ < 5000);                       \
			mu_worker_turn(worker, 0);                    \
			if (i_ > 10)                                  \
				poll(NULL, 0, 1);                     \
		}                                                     \
	} while (0)

static int peer_from(const char *source)
{
	struct mu_addr to, from;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(mu_addr_parse("127.0.0.1", mu_net_tcp_port(net, 0, 1), &to), 0);
	assert_int_equal(mu_addr_parse(source, 0, &from), 0);
	assert_int_equal(bind(fd, &from.sa, mu_addr_size(&from)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int)); /* soon full */
	assert_int_equal(connect(fd, &to.sa, mu_addr_size(&to)), 0);
	return fd;
}

/* Connected, and the worker knows. */
static int peer_known(void)
{
	uint64_t before = stats()->tcp_accepted;
	int fd = peer_from("127.0.0.1");

	TURN_UNTIL(stats()->tcp_accepted > before);
	return fd;
}

static void say(int fd, const char *text)
{
	uint8_t frame[FRAME_MAX];
	size_t n = frame_head(strlen(text), frame);
	unsigned before = fx.datagrams;

	memcpy(frame + FRAME_HEAD, text, strlen(text));
	assert_int_equal(send(fd, frame, n, MSG_NOSIGNAL), n);
	TURN_UNTIL(fx.datagrams > before);
}

/* A proven connection. */
static int peer_proven(struct mu_path *ret)
{
	int fd = peer_known();

	fx.prove = true;
	say(fd, "it is me");
	fx.prove = false;
	*ret = fx.last;
	return fd;
}

/* @return false: the connection is gone */
static bool alive(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, 0) == 0 || recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void await_gone(int fd)
{
	TURN_UNTIL(!alive(fd));
	close(fd);
}

/* --- frames in ------------------------------------------------------------------------------------------------------------- */

static void send_all(int fd, const uint8_t *data, size_t len)
{
	uint64_t before = stats()->rx_calls;

	if (len == 0)
		return;
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
	TURN_UNTIL(stats()->rx_calls > before);
}

static void test_frames_torn_at_every_byte(void **state)
{
	static const size_t sizes[] = { 1, 300, 0, MU_DATAGRAM_MAX, 20 };
	uint8_t data[2000], want[2000];
	size_t len = 0, n_want = 0;
	int fd;

	(void)state;
	up(0, 0);
	fd = peer_known();
	for (size_t i = 0; i < MU_ARRAY_LEN(sizes); i++) {
		size_t n = frame_head(sizes[i], data + len);

		mu_random(want + n_want, sizes[i]);
		memcpy(data + len + FRAME_HEAD, want + n_want, sizes[i]);
		n_want += sizes[i];
		len += n;
	}
	for (size_t cut = 0; cut <= len; cut++) {
		fx.datagrams = 0;
		fx.bytes = 0;
		send_all(fd, data, cut);
		send_all(fd, data + cut, len - cut);
		TURN_UNTIL(fx.bytes == n_want);
		assert_int_equal(fx.datagrams, 4);
		assert_memory_equal(fx.data, want, n_want);
	}
	for (size_t i = 0; i < len; i++)
		send_all(fd, data + i, 1);
	TURN_UNTIL(fx.bytes == 2 * n_want);
	assert_memory_equal(fx.data + n_want, want, n_want);
	assert_int_equal(fx.last.socket, MU_NET_TCP);
	assert_int_not_equal(fx.last.conn, 0);
	assert_true(mu_addr_is_loopback(&fx.last.remote));
	close(fd);
	TURN_UNTIL(fx.closed == 1);
	assert_int_equal(fx.last_closed.conn, fx.last.conn);
	down();
}

static void test_too_long_a_frame_ends_only_its_connection(void **state)
{
	struct mu_path path;
	int good, bad, half;

	(void)state;
	up(0, 0);
	good = peer_proven(&path);
	bad = peer_known();
	half = peer_known();
	assert_int_equal(send(half, "\x05\xdc" "abc", 5, 0), 5);
	assert_int_equal(send(bad, "\x05\xdd" "abc", 5, 0), 5);
	await_gone(bad);
	assert_int_equal(stats()->tcp_malformed, 1);
	fx.echo = true;
	say(good, "still here");
	assert_true(alive(good) && alive(half));
	close(half); /* in the middle of a frame: nothing of it is heard */
	TURN_UNTIL(fx.closed == 2);
	assert_int_equal(fx.datagrams, 2);
	close(good);
	down();
}

/* --- packets out --------------------------------------------------------------------------------------------------------------- */

static size_t read_all(int fd, uint8_t *ret, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size && (got = recv(fd, ret + n, size - n, MSG_DONTWAIT)) > 0)
		n += (size_t)got;
	return n;
}

static void test_segments_leave_as_frames(void **state)
{
	uint8_t got[4000];
	const uint8_t *frame;
	size_t n = 0, at = 0, len;
	struct mu_path path;
	int fd;

	(void)state;
	up(0, 0);
	fd = peer_proven(&path);
	memset(mu_worker_reserve(worker), 7, 2300);
	mu_worker_send(worker, &path, 2300, 1000);
	mu_worker_send_copy(worker, &path, "x", 1); /* needs no room in the batch: is not held up by it */
	mu_worker_flush(worker);
	while (n < 2300 + 4 * FRAME_HEAD + 1)
		n += read_all(fd, got + n, sizeof(got) - n);
	assert_int_equal(frame_next(got, n, &at, &frame, &len), 1);
	assert_int_equal(len, 1);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(frame_next(got, n, &at, &frame, &len), 1);
		assert_int_equal(len, i < 2 ? 1000 : 300);
		assert_int_equal(frame[0], 7);
	}
	assert_int_equal(at, n);
	assert_int_equal(stats()->tcp_dropped, 0);
	close(fd);
	down();
}

#define PACKET 1100

/* A message of 16 numbered packets. */
static void send_media(const struct mu_path *path, uint32_t *number)
{
	uint8_t *at = mu_worker_reserve(worker);

	for (unsigned i = 0; i < MU_SEGMENTS_MAX; i++, ++*number) {
		memset(at + (size_t)i * PACKET, (uint8_t)*number, PACKET);
		mu_put32(at + (size_t)i * PACKET, *number);
	}
	mu_worker_send(worker, path, (size_t)MU_SEGMENTS_MAX * PACKET, PACKET);
	mu_worker_flush(worker);
}

struct reader {
	uint8_t data[4 << 20];
	size_t n, at;
	uint32_t packets, last, checks;
};

/* Whole packets in their order, some left out; and "alive" between them. */
static void read_packets(struct reader *r, int fd)
{
	const uint8_t *p;
	size_t len;

	r->n += read_all(fd, r->data + r->n, sizeof(r->data) - r->n);
	while (frame_next(r->data, r->n, &r->at, &p, &len) > 0) {
		if (len == 5) {
			assert_memory_equal(p, "alive", 5);
			r->checks++;
			continue;
		}
		assert_int_equal(len, PACKET);
		assert_true(r->packets == 0 || mu_get32(p) > r->last);
		r->last = mu_get32(p);
		for (size_t i = 4; i < PACKET; i++)
			assert_int_equal(p[i], (uint8_t)r->last);
		r->packets++;
	}
}

/* A peer that does not read: nothing waits for it, it loses whole packets, and has what fits once it reads. Checks are
 * answered though media is dropped. Others notice nothing. */
static void test_slow_reader(void **state)
{
	struct reader *r = calloc(1, sizeof(*r)), *other = calloc(1, sizeof(*other));
	uint32_t number = 1, others = 1, sent;
	struct mu_path path, good;
	int fd, fd2;

	(void)state;
	up(0, 0);
	fd = peer_proven(&path);
	fd2 = peer_proven(&good);
	while (stats()->tcp_dropped < 200) {
		assert_true(number < 100000);
		send_media(&path, &number);
		if (others < 500)
			send_media(&good, &others);
		read_packets(other, fd2);
		mu_worker_turn(worker, 0);
	}
	sent = number - 1;
	for (int i = 0; i < 10; i++)
		mu_worker_send_copy(worker, &path, "alive", 5);
	assert_in_range(sent - stats()->tcp_dropped, 100, 4000);
	while (r->checks < 10) {
		read_packets(r, fd);
		mu_worker_turn(worker, 0);
	}
	assert_int_equal(r->packets, sent - stats()->tcp_dropped);
	TURN_UNTIL((read_packets(other, fd2), other->packets == others - 1));
	send_media(&path, &number); /* and now that it is empty, all goes */
	sent = (uint32_t)stats()->tcp_dropped;
	TURN_UNTIL((read_packets(r, fd), r->last == number - 1));
	assert_int_equal(stats()->tcp_dropped, sent);
	assert_true(alive(fd) && alive(fd2));
	close(fd);
	close(fd2);
	free(r);
	free(other);
	down();
}

/* Video that waited for half a second is of no use, and more behind it even less. */
static void test_late_media_is_not_queued(void **state)
{
	struct reader *r = calloc(1, sizeof(*r));
	uint32_t number = 1;
	struct mu_path path;
	uint64_t calls;
	int fd;

	(void)state;
	up(0, 0);
	fd = peer_proven(&path);
	do { /* until some has to wait with us */
		calls = stats()->tx_calls;
		send_media(&path, &number);
	} while (stats()->tx_calls > calls && number < 100000);
	assert_int_equal(stats()->tcp_dropped, 0);
	pass(500000);
	send_media(&path, &number);
	assert_int_equal(stats()->tcp_dropped, MU_SEGMENTS_MAX);
	mu_worker_send_copy(worker, &path, "alive", 5);
	TURN_UNTIL((read_packets(r, fd), r->checks == 1));
	send_media(&path, &number);
	TURN_UNTIL((read_packets(r, fd), r->last == number - 1));
	assert_int_equal(stats()->tcp_dropped, MU_SEGMENTS_MAX);
	close(fd);
	free(r);
	down();
}

/* --- paths and connections --------------------------------------------------------------------------------------------------- */

static void test_path_outlives_its_connection(void **state)
{
	struct mu_path old, new;
	int fd;

	(void)state;
	up(0, 0);
	close(peer_proven(&old));
	TURN_UNTIL(fx.closed == 1);
	assert_int_equal(fx.last_closed.conn, old.conn);
	fd = peer_proven(&new);
	assert_int_equal(mu_path_place(&new), mu_path_place(&old)); /* the same place, */
	assert_int_not_equal(new.conn, old.conn);		    /* another connection */
	mu_worker_send_copy(worker, &old, "lost", 4);
	memset(mu_worker_reserve(worker), 0, 300);
	mu_worker_send(worker, &old, 300, 100);
	mu_worker_flush(worker);
	mu_worker_disown(worker, &old);
	pass(MU_TCP_PROVE_US + SECOND);
	assert_int_equal(stats()->tcp_gone, 4);
	poll(NULL, 0, 1);
	assert_true(alive(fd));
	assert_int_equal(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	close(fd);
	down();
}

static void test_strangers_have_ten_seconds(void **state)
{
	struct mu_path path;
	int silent, noisy, good;

	(void)state;
	up(0, 0);
	silent = peer_known();
	noisy = peer_known();
	good = peer_proven(&path);
	pass(MU_TCP_PROVE_US - SECOND);
	say(noisy, "rubbish");
	assert_true(alive(silent));
	pass(2 * SECOND);
	await_gone(silent);
	await_gone(noisy);
	assert_int_equal(fx.closed, 2);
	assert_int_equal(stats()->tcp_unproven, 2);
	assert_int_equal(stats()->tcp_open, 1);
	assert_true(alive(good));
	pass(MU_TCP_IDLE_US - 12 * SECOND); /* 59 s after its check */
	say(good, "that is no check");
	assert_true(alive(good));
	pass(2 * SECOND);
	await_gone(good);
	down();
}

static void test_disowned(void **state)
{
	struct mu_path path, again;
	int fd, fd2;

	(void)state;
	up(0, 0);
	fd = peer_proven(&path);
	fd2 = peer_proven(&again);
	mu_worker_disown(worker, &path);
	mu_worker_disown(worker, &again);
	mu_worker_send_copy(worker, &path, "bye", 3);
	pass(MU_TCP_PROVE_US - SECOND);
	mu_worker_prove(worker, &again); /* somebody else's now */
	pass(2 * SECOND);
	assert_int_equal(fx.closed, 1);
	assert_int_equal(recv(fd, &(char[5]){ 0 }, 5, MSG_WAITALL), 5);
	await_gone(fd);
	assert_true(alive(fd2));
	close(fd2);
	down();
}

/* --- limits ---------------------------------------------------------------------------------------------------------------------- */

static void test_limit_of_a_source(void **state)
{
	int fd[4];

	(void)state;
	up(0, 2);
	for (int i = 0; i < 4; i++)
		fd[i] = peer_from(i < 3 ? "127.0.0.1" : "127.0.0.9");
	TURN_UNTIL(stats()->tcp_accepted == 3);
	assert_int_equal(stats()->tcp_refused, 1);
	await_gone(fd[2]);
	assert_true(alive(fd[0]) && alive(fd[1]) && alive(fd[3]));
	close(fd[0]); /* and then there is room for another */
	TURN_UNTIL(fx.closed == 1);
	fd[0] = peer_known();
	for (int i = 0; i < 4; i++)
		close(i == 2 ? -1 : fd[i]);
	down();
}

/* Strangers have a quarter of the places, and the oldest goes; who is known stays. */
static void test_limit_of_strangers(void **state)
{
	struct mu_path path;
	int good, fd[5];

	(void)state;
	up(16, 0);
	good = peer_proven(&path);
	for (int i = 0; i < 5; i++)
		fd[i] = peer_known();
	await_gone(fd[0]);
	assert_int_equal(stats()->tcp_refused, 1);
	assert_int_equal(stats()->tcp_open, 5);
	for (int i = 1; i < 5; i++) {
		assert_true(alive(fd[i]));
		close(fd[i]);
	}
	assert_true(alive(good));
	close(good);
	down();
}

static void test_limit_of_all(void **state)
{
	struct mu_path path;
	int fd[4], more;

	(void)state;
	up(4, 0);
	for (int i = 0; i < 4; i++)
		fd[i] = peer_proven(&path);
	more = peer_from("127.0.0.1");
	await_gone(more);
	assert_int_equal(stats()->tcp_refused, 1);
	for (int i = 0; i < 4; i++) {
		assert_true(alive(fd[i]));
		close(fd[i]);
	}
	down();
}

/* No descriptor is free: the worker does not spin, and goes on when there are some again. */
static void test_descriptors_run_out(void **state)
{
	struct rlimit all, few;
	int fd, lowest;
	uint64_t refused;

	(void)state;
	up(0, 0);
	fd = peer_from("127.0.0.1");
	lowest = dup(0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	TURN_UNTIL(stats()->tcp_refused == 1);
	for (int i = 0; i < 20; i++)
		mu_worker_turn(worker, 0);
	refused = stats()->tcp_refused;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(refused, 1);
	assert_int_equal(stats()->tcp_accepted, 0);
	pass(SECOND);
	TURN_UNTIL(stats()->tcp_accepted == 1);
	close(fd);
	down();
}

static void test_port_in_use(void **state)
{
	struct mu_net_options o = { .workers = 1, .n_listen = 1, .n_tcp = 1, .driven = true };
	struct mu_net *second;
	struct mu_error e;

	(void)state;
	up(0, 0);
	mu_addr_parse("127.0.0.1", 0, &o.listen[0]);
	mu_addr_parse("127.0.0.1", mu_net_tcp_port(net, 0, 1), &o.tcp[0]);
	assert_int_equal(mu_net_new(&o, &ops, NULL, &second, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "TCP socket for media on 127.0.0.1:"));
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_torn_at_every_byte),
		cmocka_unit_test(test_too_long_a_frame_ends_only_its_connection),
		cmocka_unit_test(test_segments_leave_as_frames),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_late_media_is_not_queued),
		cmocka_unit_test(test_path_outlives_its_connection),
		cmocka_unit_test(test_strangers_have_ten_seconds),
		cmocka_unit_test(test_disowned),
		cmocka_unit_test(test_limit_of_a_source),
		cmocka_unit_test(test_limit_of_strangers),
		cmocka_unit_test(test_limit_of_all),
		cmocka_unit_test(test_descriptors_run_out),
		cmocka_unit_test(test_port_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
