/* Sockets. A few are bound to the wildcard address; each peer sends from an address of its own in 127.0.0.0/8
 * (IP_PKTINFO) and is found again by the address a datagram came to. So a thousand viewers cost a handful of
 * descriptors to wait on. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH      64
#define BATCH_GRO  16
#define HTTP_POLLS 128
#define ALSO_POLLS 128
#define ROUNDS     8 /* batches of one socket before the pacers are looked at again */

static int fds[LOAD_SOCKETS_MAX];
static uint16_t ports[LOAD_SOCKETS_MAX];
static unsigned n_fds;
static uint8_t *buffer;
static net_add_fn *also_add;
static net_done_fn *also_done;
static struct mmsghdr rx[BATCH];
static struct iovec rx_iov[BATCH];
static struct {
	_Alignas(struct cmsghdr) char b[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int))];
} rx_c[BATCH];

static int open_one(bool gro, unsigned i)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int on = 1, big = 64 << 20, small = 4 << 20,
	    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* what is lost here would be blamed on the server */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if ((gro && setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) < 0) ||
		setsockopt(fd, SOL_IP, IP_PKTINFO, &on, sizeof(on)) < 0 ||
		bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	fds[i] = fd;
	ports[i] = ntohs(a.sin_port);
	return 0;
}

int net_open(struct load *l)
{
	size_t size = l->o.gro ? 65536 : 2048, batch = l->o.gro ? BATCH_GRO : BATCH;

	buffer = malloc(size * batch);
	if (!buffer)
		return -ENOMEM;
	for (size_t i = 0; i < batch; i++) {
		rx_iov[i] = (struct iovec){ buffer + i * size, size };
		rx[i].msg_hdr =
			(struct msghdr){ .msg_iov = &rx_iov[i], .msg_iovlen = 1, .msg_control = rx_c[i].b };
	}
	for (n_fds = 0; n_fds < l->o.sockets; n_fds++) {
		int err = open_one(l->o.gro, n_fds);

		if (err < 0)
			return err;
	}
	return 0;
}

void net_close(void)
{
	while (n_fds)
		close(fds[--n_fds]);
	free(buffer);
	buffer = NULL;
}

void net_assign(struct peer *p)
{
	unsigned s = p->index % n_fds;

	p->fd = fds[s];
	p->port = ports[s];
	p->local.s_addr = htonl(p->load->o.base << 16 | (p->index / 250) << 8 | (p->index % 250 + 1));
}

static struct peer *find_peer(struct load *l, struct in_addr to)
{
	uint32_t a = ntohl(to.s_addr);
	uint32_t index = (a >> 8 & 255) * 250 + (a & 255) - 1;

	if (a >> 16 != l->o.base || !(a & 255) || (a & 255) > 250 || index >= LOAD_PEERS_MAX)
		return NULL;
	return l->by_index[index];
}

const char *net_address(const struct peer *p)
{
	static char text[INET_ADDRSTRLEN];

	return inet_ntop(AF_INET, &p->local, text, sizeof(text));
}

void net_send(struct peer *p, const uint8_t *data, size_t len)
{
	struct in_pktinfo info = { .ipi_spec_dst = p->local };
	_Alignas(struct cmsghdr) char c[CMSG_SPACE(sizeof(info))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_name = &p->remote.addr,
		.msg_namelen = sizeof(p->remote.addr),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = c,
		.msg_controllen = sizeof(c) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_IP;
	h->cmsg_type = IP_PKTINFO;
	h->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(h), &info, sizeof(info));
	/* refused (the server is gone) or full: as lost as on any network; the counts at the end tell */
	if (sendmsg(p->fd, &m, 0) < 0)
		return;
}

static void dispatch(struct load *l, struct msghdr *m, const uint8_t *data, size_t len, uint64_t ns)
{
	struct peer *p = NULL;
	size_t segment = len;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			p = find_peer(l, info.ipi_addr);
		} else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			segment = size > 0 ? (size_t)size : len;
		}
	}
	if (!p)
		return;
	for (size_t at = 0; at < len; at += segment)
		peer_input(p, data + at, MU_MIN(segment, len - at), ns);
}

/* @return whether the socket is empty now */
static bool drain(struct load *l, int fd)
{
	unsigned batch = l->o.gro ? BATCH_GRO : BATCH;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t ns;
		int n;

		for (unsigned i = 0; i < batch; i++)
			rx[i].msg_hdr.msg_controllen = sizeof(rx_c[i].b);
		n = recvmmsg(fd, rx, batch, MSG_DONTWAIT, NULL);
		if (n <= 0)
			return true;
		ns = now_ns();
		for (int i = 0; i < n; i++)
			dispatch(l, &rx[i].msg_hdr, rx_iov[i].iov_base, rx[i].msg_len, ns);
		if ((unsigned)n < batch)
			return true;
	}
	return false;
}

void net_also(net_add_fn *add, net_done_fn *done)
{
	also_add = add;
	also_done = done;
}

void net_poll(struct load *l, uint64_t until_ns)
{
	struct pollfd p[LOAD_SOCKETS_MAX + HTTP_POLLS + ALSO_POLLS];
	uint64_t now = now_ns();
	int64_t wait = l->o.spin || until_ns <= now ? 0 : (int64_t)(until_ns - now);
	struct timespec t = { wait / 1000000000, wait % 1000000000 };
	size_t n_http = http_poll_add(p + n_fds, HTTP_POLLS), http_end = n_fds + n_http,
	       n_also = also_add ? also_add(p + http_end, ALSO_POLLS) : 0;

	for (unsigned i = 0; i < n_fds; i++)
		p[i] = (struct pollfd){ fds[i], POLLIN, 0 };
	if (ppoll(p, http_end + n_also, &t, NULL) <= 0)
		return;
	for (unsigned i = 0; i < n_fds; i++) {
		if (p[i].revents)
			drain(l, fds[i]);
	}
	http_poll_done(p + n_fds, n_http);
	if (n_also)
		also_done(p + http_end, n_also);
}
