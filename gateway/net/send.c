#include <assert.h>
#include <errno.h>

#include "net/net_internal.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define REFUSED_MAX   16   /* refused bursts in a row before segments are left for a while */
#define REFUSED_PAUSE 4096 /* bursts sent singly before segments are tried again */
#define LOG_GATE_US   INT64_C(600000000)

bool mu_worker_fits(const struct mu_worker *w, size_t size)
{
	return w->tx.n < MU_SEND_BATCH && w->tx.used + size <= TX_BUFFER;
}

uint8_t *mu_worker_reserve(struct mu_worker *w)
{
	return w->tx.buffer + w->tx.used;
}

static void add_control(struct msghdr *m, struct cmsghdr **at, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = *at;

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->msg_controllen += CMSG_SPACE(len);
	*at = (struct cmsghdr *)((char *)c + CMSG_SPACE(len));
}

/* Answer from the address that the peer talks to: on a wildcard socket the route alone might choose another. */
static void add_source(struct msghdr *m, struct cmsghdr **at, const struct mu_path *p)
{
	if (p->local.sa.sa_family == AF_INET) {
		struct in_pktinfo info = { .ipi_spec_dst = p->local.in4.sin_addr };

		add_control(m, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (p->local.sa.sa_family == AF_INET6) {
		struct in6_pktinfo info = { .ipi6_addr = p->local.in6.sin6_addr };

		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			info.ipi6_ifindex = p->local.in6.sin6_scope_id;
		add_control(m, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static size_t datagrams(const struct sender *tx, unsigned i)
{
	return tx->segment[i] ? (tx->iov[i].iov_len + tx->segment[i] - 1) / tx->segment[i] : 1;
}

void mu_worker_send(struct mu_worker *w, const struct mu_path *path, size_t len, size_t segment)
{
	struct sender *tx = &w->tx;
	unsigned i = tx->n++;
	struct msghdr *m = &tx->msgs[i].msg_hdr;
	struct cmsghdr *at = (struct cmsghdr *)tx->control[i].b;

	assert(i < MU_SEND_BATCH && tx->used + len <= TX_BUFFER);
	tx->iov[i] = (struct iovec){ tx->buffer + tx->used, len };
	tx->paths[i] = *path;
	tx->segment[i] = segment > 0 && segment < len ? (uint16_t)segment : 0;
	*m = (struct msghdr){
		.msg_name = &tx->paths[i].remote,
		.msg_namelen = mu_addr_size(&path->remote),
		.msg_iov = &tx->iov[i],
		.msg_iovlen = 1,
		.msg_control = at,
	};
	if (tx->segment[i])
		add_control(m, &at, SOL_UDP, UDP_SEGMENT, &tx->segment[i], sizeof(tx->segment[i]));
	add_source(m, &at, path);
	if (m->msg_controllen == 0)
		m->msg_control = NULL;
	tx->used += (len + 63) & ~(size_t)63;
	w->stats.tx_bytes += len;
	w->stats.tx_datagrams += datagrams(tx, i);
}

void mu_worker_send_copy(struct mu_worker *w, const struct mu_path *path, const void *data, size_t len)
{
	if (len > MU_DATAGRAM_MAX)
		return;
	if (path->conn) {
		/* no media: there is room for it though media has to be dropped */
		w->stats.tx_bytes += len;
		w->stats.tx_datagrams++;
		tcp_send(w, path, (uint8_t *)(uintptr_t)data, len, 0, true);
		return;
	}
	if (!mu_worker_fits(w, len))
		mu_worker_flush(w);
	memcpy(mu_worker_reserve(w), data, len);
	mu_worker_send(w, path, len, 0);
}

/* The datagrams of a segmented message one by one. @return whether all went */
static bool send_single(struct mu_worker *w, unsigned i)
{
	struct sender *tx = &w->tx;
	struct msghdr m = tx->msgs[i].msg_hdr;
	uint8_t *data = tx->iov[i].iov_base;
	size_t len = tx->iov[i].iov_len, segment = tx->segment[i];
	_Alignas(8) char control[CONTROL_SIZE] = { 0 };
	struct cmsghdr *at = (struct cmsghdr *)control;
	struct iovec iov;
	bool good = true;

	m.msg_iov = &iov;
	m.msg_control = control;
	m.msg_controllen = 0;
	add_source(&m, &at, &tx->paths[i]);
	for (size_t o = 0; o < len; o += segment) {
		iov = (struct iovec){ data + o, MU_MIN(segment, len - o) };
		w->stats.tx_calls++;
		if (sendmsg(w->sockets[tx->paths[i].socket].fd, &m, MSG_DONTWAIT) >= 0)
			continue;
		good = false;
		if (errno == EINVAL) { /* the address, not the size: none of them can go */
			w->stats.tx_failed += (len - o + segment - 1) / segment;
			break;
		}
		w->stats.tx_failed++;
	}
	return good;
}

static void say_one_by_one(struct mu_worker *w, const struct mu_addr *to, int why)
{
	char text[MU_ADDR_TEXT];
	uint64_t n = mu_log_gate_pass(&w->tx.gate, mu_clock_us(), LOG_GATE_US);

	if (n)
		mu_warn("net", NULL,
			"the kernel sends no segments to %s (%s): its datagrams go one by one (%llu bursts)",
			mu_addr_text(to, text), strerror(why), (unsigned long long)n);
}

/* A segmented message was refused. EMSGSIZE, before Linux 6.14 EINVAL: the path's MTU is smaller than a
 * segment. EINVAL also: the address is none. EIO: the device or an IPsec policy on the path cannot. All of it
 * is this message's; a worker has peers behind several devices. Only many EIO in a row without a success let
 * it expect the next. */
static void refused(struct mu_worker *w, unsigned i, int why)
{
	struct sender *tx = &w->tx;

	if (!send_single(w, i))
		return;
	say_one_by_one(w, &tx->paths[i].remote, why);
	if (why == EIO && ++tx->refused >= REFUSED_MAX) {
		tx->refused = REFUSED_MAX - 1; /* after the pause one more is enough */
		tx->pause = REFUSED_PAUSE;
	}
}

static void accepted(struct sender *tx, unsigned i, unsigned end)
{
	for (; tx->refused && i < end; i++) {
		if (tx->segment[i])
			tx->refused = 0;
	}
}

/* Messages up to the next segmented one while segments are not tried. */
static unsigned plain_end(const struct sender *tx, unsigned i, unsigned end)
{
	while (tx->pause && i < end && !tx->segment[i])
		i++;
	return tx->pause ? i : end;
}

/* Messages i..end-1 leave by one socket. What the kernel does not take is dropped: a media worker never waits. A message
 * that fails holds back none behind it. */
static void send_run(struct mu_worker *w, unsigned i, unsigned end)
{
	struct sender *tx = &w->tx;
	int fd = w->sockets[tx->paths[i].socket].fd;

	while (i < end) {
		unsigned to = plain_end(tx, i, end);
		int n;

		if (to == i) {
			tx->pause--;
			send_single(w, i++);
			continue;
		}
		w->stats.tx_calls++;
		n = sendmmsg(fd, tx->msgs + i, to - i, MSG_DONTWAIT);
		if (n > 0) {
			accepted(tx, i, i + (unsigned)n);
			i += (unsigned)n;
		} else if (errno == EINTR) {
			continue;
		} else if (tx->segment[i] && (errno == EMSGSIZE || errno == EINVAL || errno == EIO)) {
			refused(w, i++, errno);
		} else {
			w->stats.tx_failed += datagrams(tx, i++);
		}
	}
}

static void send_connections(struct mu_worker *w, unsigned i, unsigned end)
{
	struct sender *tx = &w->tx;

	for (; i < end; i++)
		tcp_send(w, &tx->paths[i], tx->iov[i].iov_base, tx->iov[i].iov_len, tx->segment[i], false);
}

void mu_worker_flush(struct mu_worker *w)
{
	struct sender *tx = &w->tx;

	for (unsigned i = 0, end; i < tx->n; i = end) {
		for (end = i + 1; end < tx->n && tx->paths[end].socket == tx->paths[i].socket; end++)
			;
		if (tx->paths[i].socket == MU_NET_TCP)
			send_connections(w, i, end);
		else
			send_run(w, i, end);
	}
	w->stats.tx_messages += tx->n;
	tx->n = 0;
	tx->used = 0;
}
