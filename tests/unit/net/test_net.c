#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/net.h"

/* --- addresses -------------------------------------------------------------------------------------------------------------- */

static void test_addr_text(void **state)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{ "192.0.2.1", "192.0.2.1:9" },
		{ "192.0.2.1:5000", "192.0.2.1:5000" },
		{ "[2001:db8::1]:5000", "[2001:db8::1]:5000" },
		{ "2001:db8::1", "[2001:db8::1]:9" },
		{ "[::]", "[::]:9" },
		{ "0.0.0.0:0", "0.0.0.0:0" },
	};
	static const char *const bad[] = { "", "host", "1.2.3", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:70000", "[::1", "[::1]x",
		"[::1]:-1", "1.2.3.4:80 ", "::g", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct mu_addr a;
	char text[MU_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(good); i++) {
		assert_int_equal(mu_addr_parse(good[i].in, 9, &a), 0);
		assert_string_equal(mu_addr_text(&a, text), good[i].out);
	}
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++)
		assert_int_equal(mu_addr_parse(bad[i], 9, &a), -EINVAL);
}

static void test_addr_kinds(void **state)
{
	struct mu_addr a, b;

	(void)state;
	mu_addr_parse("127.3.2.1:5", 0, &a);
	assert_true(mu_addr_is_loopback(&a));
	assert_false(mu_addr_is_any(&a));
	mu_addr_parse("[::]:5", 0, &b);
	assert_true(mu_addr_is_any(&b));
	assert_false(mu_addr_equal(&a, &b));
	mu_addr_parse("127.3.2.1:6", 0, &b);
	assert_false(mu_addr_equal(&a, &b));
	mu_addr_set_port(&b, 5);
	assert_true(mu_addr_equal(&a, &b));
	assert_int_equal(mu_addr_hash(&a), mu_addr_hash(&b));
}

static struct mu_addr numbered(unsigned i)
{
	struct mu_addr a = { .in4 = { .sin_family = AF_INET } };

	a.in4.sin_addr.s_addr = htonl(0x7f000000u + i / 7);
	a.in4.sin_port = htons((uint16_t)(1000 + i % 7));
	return a;
}

/* Against a plain array: puts and removes in a seeded order, every key looked up after each thousand steps. */
static void test_addr_map_against_array(void **state)
{
	enum { N = 3000 };
	static void *want[N];
	struct mu_addr_map m = { 0 };
	unsigned seed = 4711;

	(void)state;
	assert_null(mu_addr_map_get(&m, &(struct mu_addr){ 0 }));
	for (unsigned step = 1; step <= 20000; step++) {
		unsigned i = (unsigned)rand_r(&seed) % N;
		struct mu_addr a = numbered(i);

		if (rand_r(&seed) % 3) {
			want[i] = &want[(unsigned)rand_r(&seed) % N];
			assert_int_equal(mu_addr_map_put(&m, &a, want[i]), 0);
		} else {
			want[i] = NULL;
			mu_addr_map_remove(&m, &a);
		}
		for (unsigned k = 0; step % 1000 == 0 && k < N; k++) {
			a = numbered(k);
			assert_ptr_equal(mu_addr_map_get(&m, &a), want[k]);
		}
	}
	mu_addr_map_done(&m);
}

/* --- inbox --------------------------------------------------------------------------------------------------------------------- */

struct numbered_msg {
	struct mu_msg msg;
	int value;
};
static int seen[16], n_seen;

static void note(struct mu_msg *m)
{
	seen[n_seen++] = MU_CONTAINER_OF(m, struct numbered_msg, msg)->value;
}

static void test_inbox_keeps_order_and_wakes(void **state)
{
	struct numbered_msg m[3] = { { { .fn = note }, 1 }, { { .fn = note }, 2 }, { { .fn = note }, 3 } };
	struct mu_inbox in;
	uint64_t n;

	(void)state;
	n_seen = 0;
	assert_int_equal(mu_inbox_init(&in), 0);
	assert_true(mu_inbox_sleep(&in));
	mu_inbox_post(&in, &m[0].msg);
	assert_int_equal(read(in.fd, &n, sizeof(n)), sizeof(n)); /* the sleeper was woken, once */
	mu_inbox_post(&in, &m[1].msg);
	mu_inbox_post(&in, &m[2].msg);
	assert_int_equal(read(in.fd, &n, sizeof(n)), -1);
	assert_false(mu_inbox_sleep(&in)); /* messages wait: do not */
	assert_int_equal(mu_inbox_run(&in), 3);
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 2);
	assert_int_equal(seen[2], 3);
	mu_inbox_done(&in);
}

/* --- workers: two real ones on loopback ----------------------------------------------------------------------------------------- */

struct fixture {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned datagrams, bytes, timers, handed, flushed;
	int64_t timer_order[3];
	struct mu_timer timer[3];
	struct mu_path last;
};
static struct fixture fx;

static void wait_until(unsigned *what, unsigned count)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&fx.lock);
	while (*what < count)
		assert_int_equal(pthread_cond_timedwait(&fx.cond, &fx.lock, &until), 0);
	pthread_mutex_unlock(&fx.lock);
}

static void happened(unsigned *what, unsigned n)
{
	pthread_mutex_lock(&fx.lock);
	*what += n;
	pthread_cond_broadcast(&fx.cond);
	pthread_mutex_unlock(&fx.lock);
}

static int on_start(struct mu_worker *w, void *arg)
{
	mu_worker_set_user(w, arg);
	return 0;
}

/* Worker 0 echoes in segments and hands a mark to worker 1. */
static void on_datagrams(struct mu_worker *w, const struct mu_datagram *d, size_t n, int64_t now_us)
{
	(void)now_us;
	for (size_t i = 0; i < n; i++) {
		mu_worker_send_copy(w, d[i].path, d[i].data, d[i].len);
		pthread_mutex_lock(&fx.lock);
		fx.bytes += (unsigned)d[i].len;
		pthread_mutex_unlock(&fx.lock);
	}
	happened(&fx.datagrams, (unsigned)n);
}

static int64_t on_flush(struct mu_worker *w, int64_t now_us)
{
	(void)w;
	(void)now_us;
	return INT64_MAX;
}

static void on_handed(struct mu_worker *w, const struct mu_hand *h, int64_t now_us)
{
	(void)now_us;
	assert_int_equal(mu_worker_index(w), 1);
	happened(&fx.handed, h->n);
}

static void on_stop(struct mu_worker *w)
{
	(void)w;
}

static void on_discard(const struct mu_hand *h)
{
	(void)h;
}

static const struct mu_net_ops ops = { on_start, on_datagrams, on_flush, on_handed, on_stop, on_discard };

static struct mu_net *net_of(unsigned workers, const char *listen)
{
	struct mu_net_options o = { .workers = workers, .n_listen = 1 };
	struct mu_net *n = NULL;
	struct mu_error e;

	assert_int_equal(mu_addr_parse(listen, 0, &o.listen[0]), 0);
	memset(&fx, 0, sizeof(fx));
	pthread_mutex_init(&fx.lock, NULL);
	pthread_cond_init(&fx.cond, NULL);
	if (mu_net_new(&o, &ops, &fx, &n, &e) < 0)
		fail_msg("%s", e.text);
	return n;
}

/* A burst of equal datagrams by one segmented send (GRO joins them), a short one, and the echo back from the right port. */
static void echo(const char *listen, const char *to)
{
	struct mu_net *n = net_of(1, listen);
	struct mu_addr dst;
	uint8_t data[5000] = { 1 }, back[2000];
	uint16_t segment = 1000;
	int fd;

	assert_int_equal(mu_addr_parse(to, mu_net_port(n, 0, 0), &dst), 0);
	fd = socket(dst.sa.sa_family, SOCK_DGRAM, 0);
	assert_int_equal(connect(fd, &dst.sa, mu_addr_size(&dst)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 10, 0 }, sizeof(struct timeval));
	setsockopt(fd, SOL_UDP, 103 /* UDP_SEGMENT */, &(int){ segment }, sizeof(int));
	assert_int_equal(send(fd, data, 4300, 0), 4300);
	wait_until(&fx.datagrams, 5);
	assert_int_equal(fx.bytes, 4300);
	for (int i = 0; i < 4; i++)
		assert_int_equal(recv(fd, back, sizeof(back), 0), 1000);
	assert_int_equal(recv(fd, back, sizeof(back), 0), 300);
	close(fd);
	mu_net_free(n);
}

static void test_echo_v4(void **state)
{
	(void)state;
	echo("127.0.0.1", "127.0.0.1");
}

static void test_echo_wildcard_answers_from_the_address_asked(void **state)
{
	(void)state;
	echo("0.0.0.0", "127.9.8.7"); /* connected: an answer from 127.0.0.1 would not arrive */
}

static void test_echo_v6(void **state)
{
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool have = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	(void)state;
	close(fd);
	if (!have)
		skip(); /* a kernel without IPv6 */
	echo("::1", "::1");
	echo("::", "::1");
}

static void on_timer(struct mu_timer *t, struct mu_worker *w, int64_t now_us)
{
	(void)w;
	fx.timer_order[fx.timers] = t - fx.timer;
	assert_true(now_us >= t->due_us);
	happened(&fx.timers, 1);
}

static struct mu_worker *two[2];

static void set_timers(struct mu_msg *m)
{
	int64_t now = mu_clock_us();

	(void)m;
	for (int i = 0; i < 3; i++)
		fx.timer[i].fn = on_timer;
	mu_timer_set(two[0], &fx.timer[0], now + 30000);
	mu_timer_set(two[0], &fx.timer[1], now + 10000);
	mu_timer_set(two[0], &fx.timer[2], now + 1000);
	mu_timer_set(two[0], &fx.timer[2], now + 20000); /* later than first said */
	mu_timer_cancel(two[0], &fx.timer[0]);
	mu_timer_cancel(two[0], &fx.timer[0]);
	mu_timer_set(two[0], &fx.timer[0], now + 15000);
}

static void test_timers_in_order(void **state)
{
	struct mu_msg m = { .fn = set_timers };
	struct mu_net *n = net_of(1, "127.0.0.1");

	(void)state;
	two[0] = mu_net_worker(n, 0);
	mu_worker_post(two[0], &m);
	wait_until(&fx.timers, 3);
	assert_int_equal(fx.timer_order[0], 1);
	assert_int_equal(fx.timer_order[1], 0);
	assert_int_equal(fx.timer_order[2], 2);
	mu_net_free(n);
}

static void hand_over(struct mu_msg *m)
{
	struct mu_hand h = { .to = m, .n = 3 };

	for (int i = 0; i < 500; i++)
		assert_true(mu_worker_hand(two[0], two[1], &h));
}

static void test_hand_between_workers_wakes_the_other(void **state)
{
	struct mu_msg m = { .fn = hand_over };
	struct mu_net *n = net_of(2, "127.0.0.1");

	(void)state;
	two[0] = mu_net_worker(n, 0);
	two[1] = mu_net_worker(n, 1);
	mu_worker_post(two[0], &m);
	wait_until(&fx.handed, 1500);
	mu_net_free(n);
}

static void test_port_taken_says_so(void **state)
{
	struct mu_net_options o = { .workers = 1, .n_listen = 1 };
	struct mu_net *a = net_of(1, "127.0.0.1"), *b = NULL;
	struct mu_error e;

	(void)state;
	mu_addr_parse("127.0.0.1", 0, &o.listen[0]);
	o.port = mu_net_port(a, 0, 0);
	assert_int_equal(mu_net_new(&o, &ops, &fx, &b, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "127.0.0.1"));
	assert_non_null(strstr(e.text, "in use"));
	mu_net_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr_text),
		cmocka_unit_test(test_addr_kinds),
		cmocka_unit_test(test_addr_map_against_array),
		cmocka_unit_test(test_inbox_keeps_order_and_wakes),
		cmocka_unit_test(test_echo_v4),
		cmocka_unit_test(test_echo_wildcard_answers_from_the_address_asked),
		cmocka_unit_test(test_echo_v6),
		cmocka_unit_test(test_timers_in_order),
		cmocka_unit_test(test_hand_between_workers_wakes_the_other),
		cmocka_unit_test(test_port_taken_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
