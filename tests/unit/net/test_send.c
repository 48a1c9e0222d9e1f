/* Sending against a real kernel: what one peer's path refuses costs that peer and nobody else. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/net.h"

static struct mu_net *net;
static struct mu_worker *worker;
static unsigned heard;

/* A device that cannot: segmented messages to these ports fail with EIO, as from a driver without checksums.
 */
static bool refuse_all;
static uint16_t refuse_port;
static unsigned n_refused;

int __real_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	for (unsigned i = 0; i < n; i++) {
		const struct cmsghdr *c = CMSG_FIRSTHDR(&m[i].msg_hdr);
		bool segmented = c && c->cmsg_level == SOL_UDP;

		if (!segmented || !(refuse_all || mu_addr_port(m[i].msg_hdr.msg_name) == refuse_port))
			continue;
		if (i > 0)
			return __real_sendmmsg(fd, m, i, flags);
		n_refused++;
		errno = EIO;
		return -1;
	}
	return __real_sendmmsg(fd, m, n, flags);
}

static int on_start(struct mu_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	return 0;
}

static void on_datagrams(struct mu_worker *w, const struct mu_datagram *d, size_t n, int64_t now_us)
{
	(void)w;
	(void)d;
	(void)now_us;
	heard += (unsigned)n;
}

static int64_t on_flush(struct mu_worker *w, int64_t now_us)
{
	(void)w;
	(void)now_us;
	return INT64_MAX;
}

static void on_stop(struct mu_worker *w)
{
	(void)w;
}

static const struct mu_net_ops ops = {
	.start = on_start, .datagrams = on_datagrams, .flush = on_flush, .stop = on_stop
};

static int net_up(void **state)
{
	struct mu_net_options o = { .workers = 1, .n_listen = 1, .driven = true };
	struct mu_error e;

	(void)state;
	heard = n_refused = 0;
	refuse_all = false;
	refuse_port = 0;
	mu_addr_parse("127.0.0.1", 0, &o.listen[0]);
	if (mu_net_new(&o, &ops, NULL, &net, &e) < 0)
		return -1;
	worker = mu_net_worker(net, 0);
	return 0;
}

static int net_down(void **state)
{
	(void)state;
	mu_net_free(net);
	return 0;
}

/* A network of our own whose loopback takes 1000 bytes. It goes with the process's way back. */
static int home_network = -1;

static int small_network_up(void **state)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_mtu = 1000 };
	int fd;

	home_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home_network < 0 || unshare(CLONE_NEWNET) < 0) {
		close(home_network);
		home_network = -1;
		return net_up(state);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFMTU, &r) < 0)
		return -1;
	r.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return -1;
	close(fd);
	return net_up(state);
}

static int small_network_down(void **state)
{
	net_down(state);
	if (home_network < 0)
		return 0;
	if (setns(home_network, CLONE_NEWNET) < 0)
		return -1;
	close(home_network);
	return 0;
}

static int listener(struct mu_path *ret)
{
	socklen_t len = sizeof(ret->remote);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret = (struct mu_path){ 0 };
	mu_addr_parse("127.0.0.1", 0, &ret->remote);
	assert_int_equal(bind(fd, &ret->remote.sa, sizeof(ret->remote.in4)), 0);
	assert_int_equal(getsockname(fd, &ret->remote.sa, &len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 10, 0 }, sizeof(struct timeval));
	return fd;
}

static void queue(const struct mu_path *to, unsigned n, size_t segment)
{
	assert_true(mu_worker_fits(worker, n * segment));
	memset(mu_worker_reserve(worker), 0x55, n * segment);
	mu_worker_send(worker, to, n * segment, segment);
}

static void arrive(int fd, unsigned n, size_t size)
{
	uint8_t data[2000];

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(recv(fd, data, sizeof(data), 0), size);
}

/* One burst, and by how many system calls it left. */
static uint64_t calls_of_a_burst(const struct mu_path *to, size_t segment)
{
	uint64_t before = mu_worker_stats(worker)->tx_calls;

	queue(to, 3, segment);
	mu_worker_flush(worker);
	return mu_worker_stats(worker)->tx_calls - before;
}

static void test_a_peer_without_a_port_costs_only_itself(void **state)
{
	struct mu_path good, none;
	int fd = listener(&good);

	(void)state;
	none = good;
	mu_addr_set_port(&none.remote, 0); /* the kernel: EINVAL, with segments or without */
	queue(&good, 3, 1000);
	queue(&none, 5, 1000);
	queue(&good, 4, 900);
	mu_worker_flush(worker);
	arrive(fd, 3, 1000);
	arrive(fd, 4, 900);
	assert_int_equal(mu_worker_stats(worker)->tx_failed, 5);
	assert_int_equal(calls_of_a_burst(&good, 1000), 1);
	arrive(fd, 3, 1000);
	close(fd);
}

static void test_an_address_that_went_away_costs_only_its_peer(void **state)
{
	struct mu_path good, gone;
	int fd = listener(&good);

	(void)state;
	gone = good;
	mu_addr_parse("198.18.7.7", 0, &gone.local);
	queue(&gone, 2, 1000);
	queue(&good, 3, 1000);
	mu_worker_flush(worker);
	arrive(fd, 3, 1000);
	assert_int_equal(mu_worker_stats(worker)->tx_failed, 2);
	assert_int_equal(calls_of_a_burst(&good, 1000), 1);
	close(fd);
}

static void test_segments_larger_than_the_path(void **state)
{
	struct mu_path good, small;
	int fd = listener(&good), narrow = listener(&small);

	(void)state;
	if (home_network < 0)
		skip(); /* not root */
	queue(&good, 3, 500);
	queue(&small, 3, 1200);
	queue(&good, 2, 600);
	mu_worker_flush(worker);
	arrive(fd, 3, 500);
	arrive(fd, 2, 600);
	arrive(narrow, 3, 1200); /* singly, in fragments */
	assert_int_equal(mu_worker_stats(worker)->tx_failed, 0);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(calls_of_a_burst(&small, 1200), 4);
		assert_int_equal(calls_of_a_burst(&good, 500), 1);
		arrive(narrow, 3, 1200);
		arrive(fd, 3, 500);
	}
	close(fd);
	close(narrow);
}

static void test_one_device_without_segments(void **state)
{
	struct mu_path good, poor;
	int fd = listener(&good), other = listener(&poor);

	(void)state;
	refuse_port = mu_addr_port(&poor.remote);
	for (int i = 0; i < 40; i++) {
		queue(&good, 2, 700);
		queue(&poor, 3, 1000);
		mu_worker_flush(worker);
		arrive(fd, 2, 700);
		arrive(other, 3, 1000);
	}
	assert_int_equal(n_refused, 40); /* asked each time, for the others have it */
	assert_int_equal(mu_worker_stats(worker)->tx_failed, 0);
	assert_int_equal(calls_of_a_burst(&good, 700), 1);
	close(fd);
	close(other);
}

static void test_no_device_with_segments(void **state)
{
	struct mu_path path;
	int fd = listener(&path);
	unsigned asked;

	(void)state;
	refuse_all = true;
	for (int i = 0; i < 100; i++) {
		calls_of_a_burst(&path, 800);
		mu_worker_send_copy(worker, &path, "x", 1); /* not segmented: no reason to ask again */
		arrive(fd, 3, 800);
		mu_worker_flush(worker);
		arrive(fd, 1, 1);
	}
	asked = n_refused;
	assert_true(asked < 30);
	assert_int_equal(calls_of_a_burst(&path, 800), 3);
	refuse_all = false; /* another route: found again by itself */
	for (int i = 0; i < 5000; i++) {
		if (calls_of_a_burst(&path, 10) == 1)
			break;
		assert_true(i < 4999);
	}
	assert_int_equal(n_refused, asked);
	assert_int_equal(calls_of_a_burst(&path, 10), 1);
	close(fd);
}

static void test_port_0_is_not_heard(void **state)
{
	struct {
		struct {
			uint16_t from, to, len, check;
		} udp;
		char data[8];
	} d = { .udp = { 0, htons(mu_net_port(net, 0, 0)), htons(sizeof(d)), 0 }, .data = "forged" };
	struct mu_addr to;
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP), plain;

	(void)state;
	if (raw < 0)
		skip(); /* not root */
	mu_addr_parse("127.0.0.1", 0, &to);
	assert_int_equal(sendto(raw, &d, sizeof(d), 0, &to.sa, sizeof(to.in4)), sizeof(d));
	close(raw);
	while (mu_worker_stats(worker)->rx_calls < 1)
		mu_worker_turn(worker, 1000000);
	assert_int_equal(heard, 0);
	assert_int_equal(mu_worker_stats(worker)->rx_refused, 1);
	plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	mu_addr_set_port(&to, mu_net_port(net, 0, 0));
	assert_int_equal(sendto(plain, "y", 1, 0, &to.sa, sizeof(to.in4)), 1);
	while (mu_worker_stats(worker)->rx_calls < 2)
		mu_worker_turn(worker, 1000000);
	assert_int_equal(heard, 1);
	close(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_peer_without_a_port_costs_only_itself, net_up, net_down),
		cmocka_unit_test_setup_teardown(
			test_an_address_that_went_away_costs_only_its_peer, net_up, net_down),
		cmocka_unit_test_setup_teardown(
			test_segments_larger_than_the_path, small_network_up, small_network_down),
		cmocka_unit_test_setup_teardown(test_one_device_without_segments, net_up, net_down),
		cmocka_unit_test_setup_teardown(test_no_device_with_segments, net_up, net_down),
		cmocka_unit_test_setup_teardown(test_port_0_is_not_heard, net_up, net_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
