/* TCP connections of a worker: accepted, limited, read. All its TCP sockets are in an epoll set of their own,
 * which is one descriptor in the worker's: who has only UDP peers pays nothing, and a turn's work here is
 * bounded whatever strangers do.
 *
 * Whoever connects is a stranger until the module above says that a valid check came by the connection.
 * Strangers have some seconds, and places of their own, where the oldest gives way to the newest: who holds
 * connections open keeps nobody out. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/net_internal.h"

#define EVENTS_MAX    16                 /* connections in a turn */
#define ACCEPT_MAX    16                 /* new ones in a turn, of a listening socket */
#define READ_MAX      ((size_t)16 << 10) /* bytes in a turn, of a connection */
#define RESUME_US     1000000
#define BACKLOG       512
#define NOT_SENT_MAX  (16 << 10) /* bytes that wait in the kernel: what waits with us can still be dropped */
#define USER_TIMEOUT  20000      /* ms that a peer may leave data without acknowledgement */
#define KEEP_IDLE     20         /* s; a peer that is gone without a word is noticed after 40 */
#define KEEP_INTERVAL 5
#define KEEP_COUNT    4
#define LISTENER      (UINT64_C(1) << 32) /* in an event's data: the socket with this index, no connection */
_Static_assert(READ_MAX + FRAME_MAX <= RX_BUFFER, "a part of a frame lies before what is read");

/* --- places
 * -------------------------------------------------------------------------------------------------------------
 */

struct tcp_conn *tcp_find(const struct tcp *tcp, uint32_t conn)
{
	struct tcp_conn *c = tcp->conns[conn & (MU_TCP_MAX - 1)];

	return c && c->path.conn == conn ? c : NULL;
}

bool tcp_watch(const struct tcp *tcp, const struct tcp_conn *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = c->path.conn };

	return epoll_ctl(tcp->epoll, op, c->fd, &ev) == 0;
}

/* The generation before the place; never 0 as a whole, which is UDP's. */
static uint32_t name_place(struct tcp *tcp, unsigned place)
{
	uint32_t g = (tcp->generation[place] + 1) % (UINT32_MAX / MU_TCP_MAX + 1);

	tcp->generation[place] = g ? g : 1;
	return tcp->generation[place] * MU_TCP_MAX + place;
}

/* An address as connections are counted: who has one IPv6 address has 2^64. */
static struct mu_addr source_of(const struct mu_addr *a)
{
	struct mu_addr ret = *a;

	mu_addr_set_port(&ret, 0);
	if (ret.sa.sa_family == AF_INET6)
		memset(ret.in6.sin6_addr.s6_addr + 8, 0, 8);
	return ret;
}

static uintptr_t count_of(const struct tcp *tcp, const struct mu_addr *source)
{
	return (uintptr_t)mu_addr_map_get(&tcp->sources, source);
}

static int count(struct tcp *tcp, const struct mu_addr *source, int by)
{
	uintptr_t n = count_of(tcp, source) + (uintptr_t)by;

	if (n > 0)
		return mu_addr_map_put(&tcp->sources, source, (void *)n);
	mu_addr_map_remove(&tcp->sources, source);
	return 0;
}

/* --- the end of a connection
 * ---------------------------------------------------------------------------------------------- */

static void conn_free(struct tcp_conn *c)
{
	close(c->fd);
	free(c->queue.data);
	free(c);
}

static void conn_close(struct mu_worker *w, struct tcp_conn *c, int64_t now_us)
{
	struct tcp *tcp = w->tcp;

	if (w->net->ops.closed)
		w->net->ops.closed(w, &c->path, now_us);
	mu_timer_cancel(w, &c->timer);
	mu_list_remove(&c->link);
	tcp->n_unproven -= !c->proven;
	count(tcp, &c->source, -1);
	tcp->conns[mu_path_place(&c->path)] = NULL;
	tcp->free[MU_TCP_MAX - tcp->n--] = (uint16_t)mu_path_place(&c->path);
	w->stats.tcp_open = tcp->n;
	conn_free(c);
}

/* At once and for good: what a stranger leaves in the kernel is nothing. */
static void reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void on_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct tcp_conn *c = MU_CONTAINER_OF(timer, struct tcp_conn, timer);

	w->stats.tcp_unproven++;
	if (!c->proven)
		reset(c->fd);
	conn_close(w, c, now_us);
}

void mu_worker_prove(struct mu_worker *w, const struct mu_path *path)
{
	struct tcp_conn *c = path->conn && w->tcp ? tcp_find(w->tcp, path->conn) : NULL;

	if (!c)
		return;
	if (!c->proven) {
		c->proven = true;
		w->tcp->n_unproven--;
		mu_list_remove(&c->link);
	}
	mu_timer_set(w, &c->timer, mu_clock_us() + MU_TCP_IDLE_US);
}

void mu_worker_disown(struct mu_worker *w, const struct mu_path *path)
{
	struct tcp_conn *c = path->conn && w->tcp ? tcp_find(w->tcp, path->conn) : NULL;

	if (!c || !c->proven)
		return;
	c->proven = false;
	w->tcp->n_unproven++;
	mu_list_append(&w->tcp->unproven, &c->link);
	mu_timer_set(w, &c->timer, mu_clock_us() + MU_TCP_PROVE_US);
}

/* --- accepting
 * ---------------------------------------------------------------------------------------------------------------
 */

static void set_int(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value)); /* none of them is needed to be right */
}

static void set_options(int fd)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT_MAX);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
}

static int conn_new(struct mu_worker *w, int fd, const struct mu_addr *from, int64_t now_us)
{
	struct tcp *tcp = w->tcp;
	struct tcp_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->source = source_of(from);
	c->path.remote = *from;
	c->path.socket = MU_NET_TCP;
	c->path.conn = name_place(tcp, tcp->free[MU_TCP_MAX - 1 - tcp->n]);
	c->timer.fn = on_timer;
	mu_list_init(&c->link);
	if (!tcp_watch(tcp, c, EPOLL_CTL_ADD, EPOLLIN) || count(tcp, &c->source, 1) < 0) {
		free(c);
		return -ENOMEM;
	}
	set_options(fd);
	tcp->conns[mu_path_place(&c->path)] = c;
	tcp->n++;
	tcp->n_unproven++;
	mu_list_append(&tcp->unproven, &c->link);
	mu_timer_set(w, &c->timer, now_us + MU_TCP_PROVE_US);
	w->stats.tcp_accepted++;
	w->stats.tcp_open = tcp->n;
	return 0;
}

/* Room for one more, at the cost of the stranger who is here for longest. @return false: all that are here
 * are known */
static bool make_room(struct mu_worker *w, int64_t now_us)
{
	struct tcp *tcp = w->tcp;
	struct tcp_conn *c;

	if (tcp->n < tcp->max && tcp->n_unproven < MU_MAX(tcp->max / 4, 1u))
		return true;
	if (tcp->n_unproven == 0)
		return false;
	c = MU_CONTAINER_OF(tcp->unproven.next, struct tcp_conn, link);
	w->stats.tcp_refused++;
	reset(c->fd);
	conn_close(w, c, now_us);
	return true;
}

static void admit(struct mu_worker *w, int fd, const struct mu_addr *from, int64_t now_us)
{
	struct mu_addr source = source_of(from);

	if (count_of(w->tcp, &source) < w->tcp->per_source && make_room(w, now_us) &&
		conn_new(w, fd, from, now_us) == 0)
		return;
	w->stats.tcp_refused++;
	reset(fd);
	close(fd);
}

static void listen_for(struct tcp *tcp, unsigned i, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = LISTENER | i };

	epoll_ctl(tcp->epoll, EPOLL_CTL_MOD, tcp->listen[i].fd, &ev);
}

static void on_resume(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	(void)timer;
	(void)now_us;
	for (unsigned i = 0; i < w->tcp->n_listen; i++)
		listen_for(w->tcp, i, EPOLLIN);
}

/* No descriptor is free: what waits would wake us for nothing. */
static void pause_listening(struct mu_worker *w, int64_t now_us)
{
	w->stats.tcp_refused++;
	for (unsigned i = 0; i < w->tcp->n_listen; i++)
		listen_for(w->tcp, i, 0);
	mu_timer_set(w, &w->tcp->resume, now_us + RESUME_US);
}

static void accept_some(struct mu_worker *w, unsigned which, int64_t now_us)
{
	for (unsigned k = 0; k < ACCEPT_MAX; k++) {
		struct mu_addr from = { 0 };
		socklen_t len = sizeof(from);
		int fd = accept4(w->tcp->listen[which].fd, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			admit(w, fd, &from, now_us);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listening(w, now_us);
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
			return;
	}
}

/* --- reading
 * ----------------------------------------------------------------------------------------------------------------
 */

static void hand_up(struct mu_worker *w, unsigned n, int64_t now_us)
{
	w->stats.rx_datagrams += n;
	if (n > 0)
		w->net->ops.datagrams(w, w->rx.out, n, now_us);
}

/* What lies in the receive buffer. @return 0 and what is left of a frame; -EBADMSG */
static int split(struct mu_worker *w, struct tcp_conn *c, const uint8_t *data, size_t len, int64_t now_us)
{
	struct mu_datagram *out = w->rx.out;
	size_t at = 0;
	unsigned n = 0;
	int more;

	while ((more = frame_next(data, len, &at, &out[n].data, &out[n].len)) > 0) {
		out[n].path = &c->path;
		w->stats.rx_bytes += out[n].len;
		if (++n == RX_SPLIT_MAX) {
			hand_up(w, n, now_us);
			n = 0;
		}
	}
	hand_up(w, n, now_us);
	if (more < 0)
		return more;
	c->n_part = len - at;
	memcpy(c->part, data + at, c->n_part);
	return 0;
}

/* A part of a frame that came before lies before what is read now. @return whether the connection goes on */
static bool read_some(struct mu_worker *w, struct tcp_conn *c, int64_t now_us)
{
	uint8_t *data = w->rx.buffers; /* empty between two calls that receive */
	ssize_t n = recv(c->fd, data + c->n_part, READ_MAX, MSG_DONTWAIT);

	w->stats.rx_calls++;
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	if (n == 0)
		return false;
	memcpy(data, c->part, c->n_part);
	if (split(w, c, data, c->n_part + (size_t)n, now_us) == 0)
		return true;
	w->stats.tcp_malformed++;
	reset(c->fd);
	return false;
}

static void serve(struct mu_worker *w, const struct epoll_event *ev, int64_t now_us)
{
	struct tcp_conn *c = tcp_find(w->tcp, (uint32_t)ev->data.u64);

	if (!c)
		return; /* it went earlier in this turn */
	if (ev->events & EPOLLOUT)
		tcp_drain(w, c);
	if (c->broken || ((ev->events & ~(uint32_t)EPOLLOUT) && !read_some(w, c, now_us)))
		conn_close(w, c, now_us);
}

void tcp_turn(struct mu_worker *w, int64_t now_us)
{
	struct epoll_event ev[EVENTS_MAX];
	int n = epoll_wait(w->tcp->epoll, ev, EVENTS_MAX, 0);

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 & LISTENER)
			accept_some(w, (uint32_t)ev[i].data.u64, now_us);
		else
			serve(w, &ev[i], now_us);
	}
}

/* --- listening
 * ---------------------------------------------------------------------------------------------------------------
 */

static int listen_on(const struct mu_addr *at, int *ret_fd, uint16_t *ret_port)
{
	int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	struct mu_addr bound;
	socklen_t len = sizeof(bound);

	if (fd < 0)
		return -errno;
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* or a restart would wait for connections that ended */
	if (at->sa.sa_family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(fd, &at->sa, mu_addr_size(at)) < 0 || listen(fd, BACKLOG) < 0 ||
		getsockname(fd, &bound.sa, &len) < 0)
		err = -errno;
	if (err < 0) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	*ret_port = mu_addr_port(&bound);
	return 0;
}

static int open_listener(struct mu_worker *w, unsigned i, struct mu_error *e)
{
	struct tcp *tcp = w->tcp;
	struct mu_addr at = w->net->options.tcp[i];
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = LISTENER | i };
	uint16_t port = mu_addr_port(&at);
	char text[MU_ADDR_TEXT];
	int err;

	mu_addr_set_port(&at, port ? (uint16_t)(port + w->index) : 0);
	err = listen_on(&at, &tcp->listen[i].fd, &tcp->listen[i].port);
	if (err < 0)
		return mu_error_set(
			e, err, "TCP socket for media on %s: %s", mu_addr_text(&at, text), strerror(-err));
	tcp->n_listen++;
	return epoll_ctl(tcp->epoll, EPOLL_CTL_ADD, tcp->listen[i].fd, &ev) < 0
		? mu_error_set(e, -errno, "epoll: %s", strerror(errno))
		: 0;
}

int tcp_open(struct mu_worker *w, struct mu_error *e)
{
	const struct mu_net_options *o = &w->net->options;
	struct tcp *tcp = calloc(1, sizeof(*tcp));
	int err = 0;

	if (!tcp)
		return mu_error_set(e, -ENOMEM, "out of memory for a media worker");
	w->tcp = tcp;
	tcp->max = o->tcp_connections ? MU_MIN(o->tcp_connections, (unsigned)MU_TCP_MAX) : MU_TCP_MAX;
	tcp->per_source = o->tcp_per_source ? o->tcp_per_source : MU_TCP_MAX;
	tcp->resume.fn = on_resume;
	mu_list_init(&tcp->unproven);
	for (unsigned i = 0; i < MU_TCP_MAX; i++)
		tcp->free[i] = (uint16_t)i;
	tcp->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (tcp->epoll < 0)
		err = mu_error_set(e, -errno, "epoll: %s", strerror(errno));
	for (unsigned i = 0; i < o->n_tcp && err == 0; i++)
		err = open_listener(w, i, e);
	return err; /* the worker is freed with what there is */
}

void tcp_close(struct mu_worker *w)
{
	struct tcp *tcp = w->tcp;

	if (!tcp)
		return;
	for (unsigned i = 0; i < MU_TCP_MAX && tcp->n > 0; i++) {
		if (!tcp->conns[i])
			continue;
		conn_free(tcp->conns[i]);
		tcp->n--;
	}
	for (unsigned i = 0; i < tcp->n_listen; i++)
		close(tcp->listen[i].fd);
	if (tcp->epoll >= 0)
		close(tcp->epoll);
	mu_addr_map_done(&tcp->sources);
	free(tcp);
	w->tcp = NULL;
}
