/* What leaves by connections. A connection takes whole packets or none: what the kernel does not take at once
 * waits in a ring of the connection's own, and where that is full, or what waits in it has waited for too
 * long, packets are dropped as a full socket buffer drops datagrams. Nobody waits for a peer that does not
 * read. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "net/net_internal.h"

#define TCP_QUEUE    ((size_t)256 << 10) /* a large key frame and what follows it */
#define TCP_RESERVED ((size_t)16 << 10)  /* of it, for checks, handshakes and reports */
#define TCP_LATE_US  400000 /* no media is taken while some has waited for so long: late video is of no use \
			     */

/* Frames of one message, as the kernel takes them. */
struct frames {
	struct iovec iov[2 * MU_SEGMENTS_MAX];
	uint8_t head[MU_SEGMENTS_MAX][FRAME_HEAD];
	unsigned n;
};

static void lay(struct frames *f, uint8_t *data, size_t len, size_t segment)
{
	f->n = 0;
	for (size_t o = 0; o < len && f->n < MU_SEGMENTS_MAX; o += segment, f->n++) {
		size_t n = MU_MIN(segment, len - o);

		frame_head(n, f->head[f->n]);
		f->iov[2 * f->n] = (struct iovec){ f->head[f->n], FRAME_HEAD };
		f->iov[2 * f->n + 1] = (struct iovec){ data + o, n };
	}
}

static size_t frame_size(const struct frames *f, unsigned i)
{
	return FRAME_HEAD + f->iov[2 * i + 1].iov_len;
}

/* @return bytes that the kernel took */
static size_t write_out(struct mu_worker *w, struct tcp_conn *c, struct iovec *iov, size_t n)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t sent;

	do {
		w->stats.tx_calls++;
		sent = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		c->broken = true; /* epoll tells the next turn */
	return sent > 0 ? (size_t)sent : 0;
}

/* --- what waits --- */

static void arm(struct mu_worker *w, struct tcp_conn *c, bool on)
{
	if (c->queue.armed != on && tcp_watch(w->tcp, c, EPOLL_CTL_MOD, on ? EPOLLIN | EPOLLOUT : EPOLLIN))
		c->queue.armed = on;
}

static void put(struct tcp_conn *c, const uint8_t *data, size_t len)
{
	size_t to = (c->queue.at + c->queue.used) % TCP_QUEUE, n = MU_MIN(len, TCP_QUEUE - to);

	memcpy(c->queue.data + to, data, n);
	memcpy(c->queue.data, data + n, len - n);
	c->queue.used += len;
	c->queue.in += len;
}

/* Frame i without its first `skip` bytes. */
static void put_frame(struct tcp_conn *c, const struct frames *f, unsigned i, size_t skip)
{
	for (unsigned k = 2 * i; k < 2 * i + 2; k++) {
		size_t n = MU_MIN(skip, f->iov[k].iov_len);

		put(c, (const uint8_t *)f->iov[k].iov_base + n, f->iov[k].iov_len - n);
		skip -= n;
	}
}

static bool has_room(const struct tcp_conn *c, size_t len, bool reserved, int64_t now_us)
{
	if (!reserved && c->queue.mark_us && now_us - c->queue.mark_us > TCP_LATE_US)
		return false;
	return c->queue.used + len <= (reserved ? TCP_QUEUE : TCP_QUEUE - TCP_RESERVED);
}

/* Packets of a message of which the kernel took `sent` bytes. One that is torn is completed, whatever comes
 * after it. */
static void keep(struct mu_worker *w, struct tcp_conn *c, const struct frames *f, size_t sent, bool reserved)
{
	int64_t now = mu_clock_us();

	for (unsigned i = 0; i < f->n; i++) {
		size_t size = frame_size(f, i), gone = MU_MIN(sent, size);

		sent -= gone;
		if (gone == size)
			continue;
		if (!c->queue.data)
			c->queue.data = malloc(TCP_QUEUE);
		if (c->queue.data && (gone > 0 || has_room(c, size, reserved, now))) {
			put_frame(c, f, i, gone);
			continue;
		}
		if (gone > 0) { /* without memory the stream ends here */
			c->broken = true;
			shutdown(c->fd, SHUT_RDWR);
		}
		w->stats.tcp_dropped++;
	}
	if (c->queue.used > 0 && !c->queue.mark_us) {
		c->queue.mark = c->queue.in;
		c->queue.mark_us = now;
	}
	if (c->queue.used > 0)
		arm(w, c, true);
}

void tcp_send(struct mu_worker *w, const struct mu_path *path, uint8_t *data, size_t len, size_t segment,
	bool reserved)
{
	struct tcp_conn *c = w->tcp ? tcp_find(w->tcp, path->conn) : NULL;
	struct frames f;
	size_t sent = 0, all = 0;

	lay(&f, data, len, segment ? segment : len);
	for (unsigned i = 0; i < f.n; i++)
		all += frame_size(&f, i);
	if (!c) {
		w->stats.tcp_gone += f.n;
		return;
	}
	if (c->queue.used == 0 && !c->broken)
		sent = write_out(w, c, f.iov, 2 * (size_t)f.n);
	if (c->broken)
		w->stats.tcp_dropped += f.n;
	else if (sent < all)
		keep(w, c, &f, sent, reserved);
}

static void take(struct tcp_conn *c, size_t n)
{
	c->queue.at = (c->queue.at + n) % TCP_QUEUE;
	c->queue.used -= n;
	c->queue.out += n;
	if (c->queue.used == 0)
		c->queue.at = 0; /* pages that are warm already */
	if (c->queue.out >= c->queue.mark)
		c->queue.mark_us = 0;
}

void tcp_drain(struct mu_worker *w, struct tcp_conn *c)
{
	size_t n = MU_MIN(c->queue.used, TCP_QUEUE - c->queue.at);
	struct iovec iov[2] = { { c->queue.data + c->queue.at, n }, { c->queue.data, c->queue.used - n } };

	if (c->queue.used > 0 && !c->broken)
		take(c, write_out(w, c, iov, 2));
	if (c->queue.used == 0)
		arm(w, c, false);
}
