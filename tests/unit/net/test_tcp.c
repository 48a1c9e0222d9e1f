/* Connections: frames in at every cut, packets out to peers that read and that do not, paths that outlive
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "tcp_kit.h"

/* --- frames in
 * -------------------------------------------------------------------------------------------------------------
 */

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
	assert_int_equal(send(half,
				 "\x05\xdc"
				 "abc",
				 5, 0),
		5);
	assert_int_equal(send(bad,
				 "\x05\xdd"
				 "abc",
				 5, 0),
		5);
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

/* --- packets out
 * ---------------------------------------------------------------------------------------------------------------
 */

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

/* A peer that does not read: nothing waits for it, it loses whole packets, and has what fits once it reads.
 * Checks are answered though media is dropped. Others notice nothing. */
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

/* --- paths and connections
 * --------------------------------------------------------------------------------------------------- */

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
	assert_int_not_equal(new.conn, old.conn);                   /* another connection */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_torn_at_every_byte),
		cmocka_unit_test(test_too_long_a_frame_ends_only_its_connection),
		cmocka_unit_test(test_segments_leave_as_frames),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_late_media_is_not_queued),
		cmocka_unit_test(test_path_outlives_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
