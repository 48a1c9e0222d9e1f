#include <errno.h>
#include <unistd.h>

#include "net/net_internal.h"

#define BUFFER_DEFAULT (4 << 20)

/* SO_*BUFFORCE passes the system's limit where we may; else what the limit gives. */
static void set_buffer(int fd, int force, int plain, int bytes)
{
	if (bytes == 0)
		bytes = BUFFER_DEFAULT;
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

static int set_options(const struct mu_net_options *o, const struct mu_addr *at, struct net_socket *s)
{
	int on = 1;

	set_buffer(s->fd, SO_RCVBUFFORCE, SO_RCVBUF, o->rcvbuf);
	set_buffer(s->fd, SO_SNDBUFFORCE, SO_SNDBUF, o->sndbuf);
	if (s->v6 && setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	setsockopt(s->fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	setsockopt(s->fd, SOL_UDP, UDP_GRO, &on, sizeof(on)); /* without it datagrams come one by one */
	s->wildcard = mu_addr_is_any(at);
	if (s->wildcard && setsockopt(s->fd, s->v6 ? IPPROTO_IPV6 : IPPROTO_IP, s->v6 ? IPV6_RECVPKTINFO : IP_PKTINFO,
				   &on, sizeof(on)) < 0)
		return -errno;
	return 0;
}

int socket_open(const struct mu_net_options *o, const struct mu_addr *at, struct net_socket *ret, struct mu_error *e)
{
	struct net_socket s = { .v6 = at->sa.sa_family == AF_INET6 };
	struct mu_addr bound;
	socklen_t len = sizeof(bound);
	char text[MU_ADDR_TEXT];
	int err;

	s.fd = socket(at->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s.fd < 0)
		return mu_error_set(e, -errno, "UDP socket for %s: %s", mu_addr_text(at, text), strerror(errno));
	err = set_options(o, at, &s);
	if (err == 0 && bind(s.fd, &at->sa, mu_addr_size(at)) < 0)
		err = -errno;
	if (err == 0 && getsockname(s.fd, &bound.sa, &len) < 0)
		err = -errno;
	if (err < 0) {
		close(s.fd);
		return mu_error_set(e, err, "UDP socket on %s: %s", mu_addr_text(at, text), strerror(-err));
	}
	s.port = mu_addr_port(&bound);
	*ret = s;
	return 0;
}

/* What came beside the data: GRO's segment size, the address it was sent to, the kernel's count of drops. */
static size_t read_control(struct mu_worker *w, struct net_socket *s, struct msghdr *m, struct mu_path *path)
{
	size_t segment = 0;

	path->local.sa.sa_family = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int v;

			memcpy(&v, CMSG_DATA(c), sizeof(v));
			segment = (size_t)v;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t n;

			memcpy(&n, CMSG_DATA(c), sizeof(n));
			w->stats.rx_dropped += n - s->overflow;
			s->overflow = n;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			path->local.in4.sin_family = AF_INET;
			path->local.in4.sin_addr = info.ipi_addr;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			path->local.in6.sin6_family = AF_INET6;
			path->local.in6.sin6_addr = info.ipi6_addr;
			path->local.in6.sin6_scope_id = (uint32_t)info.ipi6_ifindex;
		}
	}
	return segment;
}

/* recvmmsg changes these of a message that it fills, and nothing of those it does not. */
static void rearm(struct receiver *rx, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		rx->msgs[i].msg_hdr.msg_namelen = sizeof(rx->paths[i].remote);
		rx->msgs[i].msg_hdr.msg_controllen = CONTROL_SIZE;
	}
}

void receiver_init(struct receiver *rx)
{
	for (unsigned i = 0; i < RX_BATCH; i++) {
		rx->iov[i] = (struct iovec){ rx->buffers + (size_t)i * RX_BUFFER, RX_BUFFER };
		rx->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &rx->paths[i].remote,
			.msg_iov = &rx->iov[i],
			.msg_iovlen = 1,
			.msg_control = rx->control[i].b,
		};
	}
	rearm(rx, RX_BATCH);
}

/* Message i into datagrams at out. @return how many */
static unsigned split(struct mu_worker *w, unsigned which, unsigned i, struct mu_datagram *out, unsigned room)
{
	struct receiver *rx = &w->rx;
	uint8_t *data = rx->iov[i].iov_base;
	size_t len = rx->msgs[i].msg_len;
	size_t segment = read_control(w, &w->sockets[which], &rx->msgs[i].msg_hdr, &rx->paths[i]);
	unsigned n = 0;

	if (segment == 0 || segment > len)
		segment = len;
	if (mu_addr_port(&rx->paths[i].remote) == 0) {
		w->stats.rx_refused += len > 0 ? (len + segment - 1) / segment : 1;
		return 0;
	}
	rx->paths[i].socket = (uint8_t)which;
	w->stats.rx_bytes += len;
	for (size_t at = 0; at < len && n < room; at += segment) {
		out[n++] = (struct mu_datagram){
			.data = data + at,
			.len = MU_MIN(segment, len - at),
			.path = &rx->paths[i],
		};
	}
	return n;
}

bool socket_receive(struct mu_worker *w, unsigned which, int64_t now_us)
{
	struct receiver *rx = &w->rx;
	int n = recvmmsg(w->sockets[which].fd, rx->msgs, RX_BATCH, MSG_DONTWAIT, NULL);
	unsigned n_out = 0;

	if (n <= 0)
		return false;
	w->stats.rx_calls++;
	for (unsigned i = 0; i < (unsigned)n; i++)
		n_out += split(w, which, i, rx->out + n_out, RX_SPLIT_MAX - n_out);
	w->stats.rx_datagrams += n_out;
	if (n_out > 0)
		w->net->ops.datagrams(w, rx->out, n_out, now_us);
	rearm(rx, (unsigned)n);
	return n == RX_BATCH;
}
