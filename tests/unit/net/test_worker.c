/* Workers: driven by hand, failing to start, ending with work left, on a kernel without epoll_pwait2. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/net.h"

/* --- the kernel, as we want it ----------------------------------------------------------------- */

static int no_pwait2; /* errno */
static unsigned n_recv;

int __real_epoll_pwait2(int fd, struct epoll_event *ev, int max, const struct timespec *t, const sigset_t *s);
int __wrap_epoll_pwait2(int fd, struct epoll_event *ev, int max, const struct timespec *t, const sigset_t *s);
int __wrap_epoll_pwait2(int fd, struct epoll_event *ev, int max, const struct timespec *t, const sigset_t *s)
{
	if (no_pwait2) {
		errno = no_pwait2;
		return -1;
	}
	return __real_epoll_pwait2(fd, ev, max, t, s);
}

int __real_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t);
int __wrap_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t);
int __wrap_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t)
{
	n_recv++;
	return __real_recvmmsg(fd, m, n, flags, t);
}

/* --- what the workers do ----------------------------------------------------------------------- */

static struct {
	unsigned started, stopped, datagrams, handed, discarded, timers, flushed, messages;
	unsigned fails_at; /* index of the worker whose start fails, else more than there are */
	int64_t flush_at_us, timer_us;
	void (*on_stop)(struct mu_worker *w);
} fx;
static struct mu_net *net;

static int on_start(struct mu_worker *w, void *arg)
{
	(void)arg;
	if (mu_worker_index(w) == fx.fails_at)
		return -ENOENT;
	fx.started++;
	return 0;
}

static void on_datagrams(struct mu_worker *w, const struct mu_datagram *d, size_t n, int64_t now_us)
{
	(void)w;
	(void)now_us;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(d[i].len, 3);
		assert_int_equal(d[i].path->socket, 0);
		assert_true(mu_addr_is_loopback(&d[i].path->remote));
		mu_worker_send_copy(w, d[i].path, "yes", 3);
	}
	fx.datagrams += (unsigned)n;
}

static int64_t on_flush(struct mu_worker *w, int64_t now_us)
{
	(void)w;
	(void)now_us;
	fx.flushed++;
	return fx.flush_at_us;
}

static void on_handed(struct mu_worker *w, const struct mu_hand *h, int64_t now_us)
{
	(void)w;
	(void)now_us;
	fx.handed += h->n;
}

static void on_stop(struct mu_worker *w)
{
	fx.stopped++;
	if (fx.on_stop)
		fx.on_stop(w);
}

static void on_discard(const struct mu_hand *h)
{
	fx.discarded += h->n;
}

static const struct mu_net_ops ops = { on_start, on_datagrams, on_flush, on_handed, on_stop, on_discard };

static int reset(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.flush_at_us = INT64_MAX;
	fx.fails_at = MU_WORKERS_MAX;
	no_pwait2 = 0;
	n_recv = 0;
	net = NULL;
	return 0;
}

static int net_up(unsigned workers, bool driven)
{
	struct mu_net_options o = { .workers = workers, .n_listen = 1, .driven = driven };
	struct mu_error e;

	mu_addr_parse("127.0.0.1", 0, &o.listen[0]);
	return mu_net_new(&o, &ops, NULL, &net, &e);
}

static int tidy(void **state)
{
	(void)state;
	mu_clock_drive(0);
	mu_net_free(net);
	return 0;
}

/* Sockets that each sent one datagram: the kernel joins none of them. */
static void send_from(int *fds, unsigned n, struct mu_addr *to)
{
	mu_addr_parse("127.0.0.1", mu_net_port(net, 0, 0), to);
	for (unsigned i = 0; i < n; i++) {
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		setsockopt(
			fds[i], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 10, 0 }, sizeof(struct timeval));
		assert_int_equal(sendto(fds[i], "one", 3, 0, &to->sa, sizeof(to->in4)), 3);
	}
}

static void answered(int *fds, unsigned n)
{
	char back[8];

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(recv(fds[i], back, sizeof(back), 0), 3);
		close(fds[i]);
	}
}

static void on_message(struct mu_msg *m)
{
	(void)m;
	fx.messages++;
}

/* --- driven ------------------------------------------------------------------------------------ */

static void test_a_turn_does_what_is_there(void **state)
{
	struct mu_msg m[2] = { { .fn = on_message }, { .fn = on_message } };
	struct mu_worker *w;
	struct mu_addr to;
	int fd;

	(void)state;
	assert_int_equal(net_up(1, true), 0);
	w = mu_net_worker(net, 0);
	mu_worker_turn(w, 0); /* nothing, and no wait for it */
	assert_int_equal(fx.flushed, 1);
	assert_int_equal(n_recv, 0);
	mu_worker_post(w, &m[0]);
	mu_worker_turn(w, 10000000);
	mu_worker_post(w, &m[1]);
	mu_worker_turn(w, 10000000);
	assert_int_equal(fx.messages, 2);
	send_from(&fd, 1, &to);
	mu_worker_turn(w, 10000000);
	assert_int_equal(fx.datagrams, 1);
	answered(&fd, 1);
	assert_int_equal(mu_worker_stats(w)->turns, 4);
	assert_int_equal(mu_worker_stats(w)->rx_datagrams, 1);
	assert_int_equal(mu_worker_stats(w)->tx_datagrams, 1);
}

static void hand_some(struct mu_worker *from, unsigned to, unsigned n)
{
	struct mu_hand h = { .n = 1 };

	for (unsigned i = 0; i < n; i++)
		assert_true(mu_worker_hand(from, mu_net_worker(net, to), &h));
}

static void test_hands_are_counted_by_packets(void **state)
{
	struct mu_hand h = { .n = 16 };
	struct mu_worker *w[2];

	(void)state;
	assert_int_equal(net_up(2, true), 0);
	for (unsigned i = 0; i < 2; i++)
		w[i] = mu_net_worker(net, i);
	assert_true(mu_worker_hand(w[0], w[1], &h));
	hand_some(w[0], 1, 1);
	assert_int_equal(mu_worker_stats(w[0])->handed_out, 17);
	mu_worker_turn(w[0], 0);
	mu_worker_turn(w[1], 0);
	assert_int_equal(mu_worker_stats(w[1])->handed_in, 17);
	assert_int_equal(fx.handed, 17);
}

static void test_hands_are_seen_after_the_turn(void **state)
{
	struct mu_worker *w[2];

	(void)state;
	assert_int_equal(net_up(2, true), 0);
	for (unsigned i = 0; i < 2; i++)
		w[i] = mu_net_worker(net, i);
	hand_some(w[0], 1, 3);
	mu_worker_turn(w[1], 0);
	assert_int_equal(fx.handed, 0);
	mu_worker_turn(w[0], 0); /* its end publishes, and wakes */
	mu_worker_turn(w[1], 10000000);
	assert_int_equal(fx.handed, 3);
}

static void hand_and_look(struct mu_msg *m)
{
	struct mu_worker *w = mu_net_worker(net, 0);

	(void)m;
	hand_some(w, 1, 600);
	mu_worker_turn(mu_net_worker(net, 1), 0);
	assert_true(fx.handed >= 300);
	hand_some(w, 1, 600); /* more than there was room for before */
}

static void test_hands_of_a_long_turn_are_seen_before_its_end(void **state)
{
	struct mu_msg m = { .fn = hand_and_look };

	(void)state;
	assert_int_equal(net_up(2, true), 0);
	mu_worker_post(mu_net_worker(net, 0), &m);
	mu_worker_turn(mu_net_worker(net, 0), 0);
	mu_worker_turn(mu_net_worker(net, 1), 0);
	assert_int_equal(fx.handed, 1200);
	assert_int_equal(mu_worker_stats(mu_net_worker(net, 0))->hand_dropped, 0);
}

static void on_timer(struct mu_timer *t, struct mu_worker *w, int64_t now_us)
{
	(void)w;
	assert_true(now_us >= t->due_us);
	fx.timers++;
	fx.timer_us = now_us;
}

/* Ten years in no time: a turn that really waited would run into the test's time limit. */
static void test_time_moves_only_by_hand(void **state)
{
	const int64_t start = 5000000, year = INT64_C(31557600000000);
	int64_t real = mu_clock_us(), wall = mu_clock_wall_us();
	struct mu_timer t = { .fn = on_timer };
	struct mu_worker *w;

	(void)state;
	assert_false(mu_clock_driven());
	mu_clock_drive(start);
	assert_true(mu_clock_driven());
	assert_int_equal(net_up(1, true), 0);
	w = mu_net_worker(net, 0);
	for (int i = 1; i <= 10; i++) {
		int64_t due = start + i * year;

		mu_timer_set(w, &t, due);
		mu_worker_turn(w, year);
		mu_clock_drive(due - 1);
		mu_worker_turn(w, year);
		assert_int_equal(fx.timers, i - 1);
		mu_clock_drive(due);
		mu_worker_turn(w, year);
		assert_int_equal(fx.timers, i);
		assert_int_equal(fx.timer_us, due);
	}
	assert_int_equal(mu_clock_us(), start + 10 * year);
	assert_true(mu_clock_wall_us() >= wall + 10 * year);
	assert_true(mu_clock_wall_us() < wall + 10 * year + 10000000);
	mu_clock_drive(0);
	assert_true(mu_clock_us() >= real && mu_clock_us() < real + year);
	assert_true(mu_clock_wall_us() >= wall && mu_clock_wall_us() < wall + year);
}

static void test_one_call_takes_what_is_there(void **state)
{
	struct mu_worker *w;
	struct mu_addr to;
	int fds[35];

	(void)state;
	assert_int_equal(net_up(1, true), 0);
	w = mu_net_worker(net, 0);
	send_from(fds, 1, &to);
	mu_worker_turn(w, 10000000);
	assert_int_equal(n_recv, 1);
	answered(fds, 1);
	send_from(fds, 35, &to); /* two calls full, and three */
	while (fx.datagrams < 36)
		mu_worker_turn(w, 10000000);
	assert_int_equal(n_recv, 4);
	answered(fds, 35);
	send_from(fds, 16, &to); /* headers used before are as new */
	while (fx.datagrams < 52)
		mu_worker_turn(w, 10000000);
	answered(fds, 16);
}

/* --- start and end ----------------------------------------------------------------------------- */

static void test_a_worker_that_does_not_start(void **state)
{
	(void)state;
	for (int driven = 0; driven <= 1; driven++) {
		for (unsigned at = 0; at < 3; at++) {
			reset(NULL);
			fx.fails_at = at;
			assert_int_equal(net_up(3, driven), -ENOENT);
			assert_int_equal(fx.started, at);
			assert_int_equal(fx.stopped, at);
		}
	}
}

/* A message that goes back and forth, and leaves a burst behind each time. */
static struct pingpong {
	struct mu_msg msg;
	unsigned at, left;
} ball;

static void on_ball(struct mu_msg *m)
{
	struct pingpong *p = MU_CONTAINER_OF(m, struct pingpong, msg);

	hand_some(mu_net_worker(net, p->at), !p->at, 1);
	p->at = !p->at;
	if (--p->left > 0)
		mu_worker_post(mu_net_worker(net, p->at), &p->msg);
}

static void leave_work(struct mu_worker *w)
{
	hand_some(w, !mu_worker_index(w), 1); /* put, never published */
	if (mu_worker_index(w) != 1)
		return;
	ball = (struct pingpong){ { .fn = on_ball }, 0, 9 };
	mu_worker_post(mu_net_worker(net, 0), &ball.msg);
}

static void test_nothing_is_left_at_the_end(void **state)
{
	(void)state;
	for (int driven = 0; driven <= 1; driven++) {
		reset(NULL);
		fx.on_stop = leave_work;
		assert_int_equal(net_up(2, driven), 0);
		mu_net_free(net);
		net = NULL;
		assert_int_equal(ball.left, 0);
		assert_int_equal(fx.discarded + fx.handed, 2 + 9);
	}
}

/* --- an old kernel ----------------------------------------------------------------------------- */

static void coarse(int err)
{
	struct mu_timer t = { .fn = on_timer };
	struct mu_msg m = { .fn = on_message };
	struct mu_worker *w;
	int64_t due;

	reset(NULL);
	no_pwait2 = err;
	assert_int_equal(net_up(1, true), 0);
	w = mu_net_worker(net, 0);
	due = mu_clock_us() + 30100;
	mu_timer_set(w, &t, due);
	while (fx.timers == 0)
		mu_worker_turn(w, 10000000);
	assert_true(fx.timer_us >= due);
	assert_true(mu_worker_stats(w)->turns <= 3); /* it slept, and did not go round */
	mu_worker_post(w, &m);
	mu_worker_turn(w, 10000000);
	assert_int_equal(fx.messages, 1);
	mu_net_free(net);
	net = NULL;
}

static void test_kernel_without_fine_waits(void **state)
{
	(void)state;
	coarse(ENOSYS);
	coarse(EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_turn_does_what_is_there, reset, tidy),
		cmocka_unit_test_setup_teardown(test_hands_are_counted_by_packets, reset, tidy),
		cmocka_unit_test_setup_teardown(test_hands_are_seen_after_the_turn, reset, tidy),
		cmocka_unit_test_setup_teardown(
			test_hands_of_a_long_turn_are_seen_before_its_end, reset, tidy),
		cmocka_unit_test_setup_teardown(test_time_moves_only_by_hand, reset, tidy),
		cmocka_unit_test_setup_teardown(test_one_call_takes_what_is_there, reset, tidy),
		cmocka_unit_test_setup_teardown(test_a_worker_that_does_not_start, reset, tidy),
		cmocka_unit_test_setup_teardown(test_nothing_is_left_at_the_end, reset, tidy),
		cmocka_unit_test_setup_teardown(test_kernel_without_fine_waits, reset, tidy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
