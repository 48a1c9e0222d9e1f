#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "tcp_kit.h"

struct heard fx;
struct mu_net *net;
struct mu_worker *worker;

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

const struct mu_net_ops tcp_ops = { on_start, on_datagrams, on_flush, on_handed, on_stop, on_discard,
	on_closed };

/* --- a worker and its peers --- */

void up(unsigned connections, unsigned per_source)
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
	if (mu_net_new(&o, &tcp_ops, NULL, &net, &e) < 0)
		fail_msg("%s", e.text);
	worker = mu_net_worker(net, 0);
}

void down(void)
{
	mu_net_free(net);
	mu_clock_drive(0);
}

const struct mu_net_stats *stats(void)
{
	return mu_worker_stats(worker);
}

void pass(int64_t us)
{
	now += us;
	mu_clock_drive(now);
	mu_worker_turn(worker, 0);
}

int peer_from(const char *source)
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
int peer_known(void)
{
	uint64_t before = stats()->tcp_accepted;
	int fd = peer_from("127.0.0.1");

	TURN_UNTIL(stats()->tcp_accepted > before);
	return fd;
}

void say(int fd, const char *text)
{
	uint8_t frame[FRAME_MAX];
	size_t n = frame_head(strlen(text), frame);
	unsigned before = fx.datagrams;

	memcpy(frame + FRAME_HEAD, text, strlen(text));
	assert_int_equal(send(fd, frame, n, MSG_NOSIGNAL), n);
	TURN_UNTIL(fx.datagrams > before);
}

/* A proven connection. */
int peer_proven(struct mu_path *ret)
{
	int fd = peer_known();

	fx.prove = true;
	say(fd, "it is me");
	fx.prove = false;
	*ret = fx.last;
	return fd;
}

/* @return false: the connection is gone */
bool alive(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, 0) == 0 || recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void await_gone(int fd)
{
	TURN_UNTIL(!alive(fd));
	close(fd);
}
