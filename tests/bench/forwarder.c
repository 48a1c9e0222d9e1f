#include "forwarder.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <unistd.h>

static void *zalloc64(size_t size)
{
	void *p = aligned_alloc(64, (size + 63) & ~(size_t)63);

	if (p)
		memset(p, 0, size);
	return p;
}

static int open_socket(struct fwd *f, uint16_t port)
{
	socklen_t len = sizeof(f->addr);
	int on = 1, big = 4 << 20;

	f->addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	f->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		return -errno;
	setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	if (setsockopt(f->fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) < 0 ||
		bind(f->fd, (struct sockaddr *)&f->addr, sizeof(f->addr)) < 0 ||
		getsockname(f->fd, (struct sockaddr *)&f->addr, &len) < 0)
		return -errno;
	return 0;
}

int fwd_init(struct fwd *f, bool cm, uint16_t port)
{
	memset(f, 0, sizeof(*f));
	f->fd = -1;
	f->cm = cm;
	f->mb = ref_mgr_new();
	f->raw = zalloc64((size_t)FWD_RX * 65536);
	f->out = zalloc64((size_t)FWD_BATCH * FWD_SEGMENTS * FWD_SLOT);
	f->jobs = zalloc64(sizeof(*f->jobs) * FWD_BATCH * FWD_SEGMENTS);
	if (!f->raw || !f->out || !f->jobs)
		return -ENOMEM;
	return open_socket(f, port);
}

void fwd_done(struct fwd *f)
{
	for (size_t p = 0; p < f->n_pubs; p++) {
		for (size_t s = 0; s < f->pubs[p]->n_subs; s++)
			free(f->pubs[p]->subs[s]);
		free(f->pubs[p]->subs);
		free(f->pubs[p]->plain);
		free(f->pubs[p]);
	}
	free(f->raw);
	free(f->out);
	free(f->jobs);
	if (f->mb)
		free_mb_mgr(f->mb);
	if (f->fd >= 0)
		close(f->fd);
}

int fwd_add_pub(
	struct fwd *f, const struct sockaddr_in *from, const uint8_t *master, uint32_t video, uint32_t audio)
{
	struct fwd_pub *p;

	if (f->n_pubs == FWD_PUBS_MAX)
		return -ENOSPC;
	p = zalloc64(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->plain = zalloc64((size_t)FWD_BURST * FWD_SLOT);
	if (!p->plain) {
		free(p);
		return -ENOMEM;
	}
	ref_key_init(f->mb, f->cm, master, &p->key);
	p->from = *from;
	p->ssrc[0] = video;
	p->ssrc[1] = audio;
	f->pubs[f->n_pubs] = p;
	return (int)f->n_pubs++;
}

int fwd_add_sub(struct fwd *f, size_t pub, const struct sockaddr_in *to, const uint8_t *master,
	uint32_t video, uint32_t audio)
{
	struct fwd_pub *p = pub < f->n_pubs ? f->pubs[pub] : NULL;
	struct fwd_sub *s;

	if (!p)
		return -EINVAL;
	if (p->n_subs == p->cap_subs) {
		size_t cap = p->cap_subs ? 2 * p->cap_subs : 64;
		void *grown = realloc(p->subs, cap * sizeof(*p->subs));

		if (!grown)
			return -ENOMEM;
		p->subs = grown;
		p->cap_subs = cap;
	}
	s = zalloc64(sizeof(*s));
	if (!s)
		return -ENOMEM;
	ref_key_init(f->mb, f->cm, master, &s->key);
	s->to = *to;
	s->ssrc[0] = video;
	s->ssrc[1] = audio;
	s->index[0] = s->index[1] = 1;
	p->subs[p->n_subs++] = s;
	return 0;
}

static void fill_message(
	struct fwd *f, size_t k, struct fwd_sub *s, uint8_t *data, size_t len, size_t segment)
{
	struct msghdr *m = &f->tx[k].msg_hdr;
	struct cmsghdr *c;
	uint16_t size = (uint16_t)segment;

	f->tx_iov[k] = (struct iovec){ data, len };
	*m = (struct msghdr){
		.msg_name = &s->to, .msg_namelen = sizeof(s->to), .msg_iov = &f->tx_iov[k], .msg_iovlen = 1
	};
	if (len <= segment)
		return;
	m->msg_control = f->tx_c[k].b;
	m->msg_controllen = CMSG_SPACE(sizeof(size));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
}

static void send_messages(struct fwd *f, size_t n)
{
	size_t done = 0;

	while (done < n) {
		int k = sendmmsg(f->fd, f->tx + done, (unsigned)(n - done), 0);

		if (k > 0) {
			done += (size_t)k;
			continue;
		}
		f->dropped++;
		done++;
	}
	f->messages += n;
}

/* One run of packets (equal sizes, the last may be shorter) to subscribers s0 .. s0 + n_subs - 1: a message
 * each. */
static void send_run(
	struct fwd *f, struct fwd_pub *p, const struct fwd_packet *pk, size_t n, size_t s0, size_t n_subs)
{
	size_t tag = ref_tag_len(f->cm), n_jobs = 0;
	uint8_t *out = f->out;

	for (size_t s = 0; s < n_subs; s++) {
		struct fwd_sub *sub = p->subs[s0 + s];
		uint8_t *begin = out;

		for (size_t i = 0; i < n; i++) {
			struct ref_job *j = &f->jobs[n_jobs++];
			unsigned m = pk[i].media;

			memcpy(out, pk[i].data, pk[i].hlen);
			mu_put16(out + 2, (uint16_t)sub->index[m]);
			mu_put32(out + 8, sub->ssrc[m]);
			j->key = &sub->key;
			j->out = out;
			j->in = pk[i].data + pk[i].hlen;
			j->hlen = pk[i].hlen;
			j->len = (uint16_t)(pk[i].len - pk[i].hlen);
			j->ssrc = sub->ssrc[m];
			j->index = sub->index[m]++;
			out += pk[i].len + tag;
		}
		fill_message(f, s, sub, begin, (size_t)(out - begin), pk[0].len + tag);
	}
	ref_protect(f->mb, f->jobs, n_jobs);
	send_messages(f, n_subs);
	f->sent += n_jobs;
}

static size_t run_length(const struct fwd_packet *pk, size_t n)
{
	size_t k = 1;

	while (k < n && k < FWD_SEGMENTS && pk[k].len == pk[0].len)
		k++;
	if (k < n && k < FWD_SEGMENTS && pk[k].len < pk[0].len)
		k++;
	return k;
}

static void fan_out(struct fwd *f, struct fwd_pub *p)
{
	for (size_t s = 0; s < p->n_subs; s += FWD_BATCH) {
		size_t n_subs = MU_MIN(p->n_subs - s, (size_t)FWD_BATCH);

		for (size_t i = 0, k; i < p->n; i += k) {
			k = run_length(p->burst + i, p->n - i);
			send_run(f, p, p->burst + i, k, s, n_subs);
		}
	}
	p->n = 0;
}

static struct fwd_pub *find_pub(struct fwd *f, const struct sockaddr_in *from)
{
	for (size_t i = 0; i < f->n_pubs; i++) {
		if (f->pubs[i]->from.sin_port == from->sin_port &&
			f->pubs[i]->from.sin_addr.s_addr == from->sin_addr.s_addr)
			return f->pubs[i];
	}
	return NULL;
}

/* Fixed header, CSRCs and extension (RFC 3550, section 5.1). @return bytes, 0: not RTP */
static size_t header_len(const uint8_t *d, size_t len)
{
	size_t h = 12 + 4u * (d[0] & 15);

	if (len < 12 || d[0] >> 6 != 2 || (d[1] >= 192 && d[1] <= 223))
		return 0;
	if (d[0] & 0x10) {
		if (len < h + 4)
			return 0;
		h += 4 + 4u * mu_get16(d + h + 2);
	}
	return h <= len ? h : 0;
}

/* Prepare the decryption of one packet into the publisher's next free slot. */
static bool begin_packet(
	struct fwd *f, struct fwd_pub *p, uint8_t *d, size_t len, size_t at, struct ref_job *j)
{
	size_t tag = ref_tag_len(f->cm), h = header_len(d, len);
	unsigned m;

	if (!h || len < h + tag || len > FWD_SLOT)
		return false;
	j->ssrc = mu_get32(d + 8);
	m = j->ssrc == p->ssrc[1];
	if (!m && j->ssrc != p->ssrc[0])
		return false;
	if (!p->started[m]) {
		p->started[m] = true;
		p->index[m] = mu_get16(d + 2);
	}
	j->index =
		p->index[m] + (uint64_t)(int64_t)(int16_t)(uint16_t)(mu_get16(d + 2) - (uint16_t)p->index[m]);
	p->index[m] = MU_MAX(p->index[m], j->index);
	j->key = &p->key;
	j->out = p->plain + at * FWD_SLOT;
	j->in = d + h;
	j->hlen = (uint16_t)h;
	j->len = (uint16_t)(len - h - tag);
	p->burst[at] = (struct fwd_packet){ j->out, (uint16_t)h, (uint16_t)(len - tag), (uint8_t)m };
	return true;
}

/* Decrypt the segments of one received message. @return packets taken */
static size_t take_message(
	struct fwd *f, struct fwd_pub *p, uint8_t *data, size_t len, size_t segment, int64_t now_us)
{
	size_t n = 0, kept = p->n, total = 0;

	if (!kept)
		p->first_us = now_us;
	for (size_t at = 0; at < len; at += segment, total++) {
		if (kept + n == FWD_BURST)
			break;
		n += begin_packet(f, p, data + at, MU_MIN(segment, len - at), kept + n, &f->jobs[n]);
	}
	ref_unprotect(f->mb, f->jobs, n);
	for (size_t i = 0; i < n; i++) {
		if (f->jobs[i].bad)
			f->bad++;
		else
			p->burst[p->n++] = p->burst[kept + i];
	}
	f->received += p->n - kept;
	return total;
}

static size_t segment_of(struct msghdr *m, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int size;

		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return size > 0 ? (size_t)size : len;
	}
	return len;
}

size_t fwd_turn(struct fwd *f, int64_t now_us)
{
	size_t taken = 0;
	int n;

	for (size_t i = 0; i < FWD_RX; i++) {
		f->rx_iov[i] = (struct iovec){ f->raw + i * 65536, 65536 };
		f->rx[i].msg_hdr = (struct msghdr){ .msg_name = &f->rx_from[i],
			.msg_namelen = sizeof(f->rx_from[i]),
			.msg_iov = &f->rx_iov[i],
			.msg_iovlen = 1,
			.msg_control = f->rx_c[i].b,
			.msg_controllen = sizeof(f->rx_c[i].b) };
	}
	n = recvmmsg(f->fd, f->rx, FWD_RX, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct fwd_pub *p = find_pub(f, &f->rx_from[i]);
		size_t len = f->rx[i].msg_len, seg = segment_of(&f->rx[i].msg_hdr, len);
		uint8_t *d = f->rx_iov[i].iov_base;

		if (!p || !len)
			continue;
		for (size_t at = 0; at < len;) {
			size_t k = take_message(f, p, d + at, len - at, seg, now_us);

			taken += k;
			at += k * seg;
			if (p->n == FWD_BURST)
				fan_out(f, p);
		}
	}
	fwd_flush(f, now_us);
	return taken;
}

int64_t fwd_flush(struct fwd *f, int64_t now_us)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < f->n_pubs; i++) {
		struct fwd_pub *p = f->pubs[i];

		if (!p->n)
			continue;
		if (p->n >= FWD_SEGMENTS || now_us - p->first_us >= f->gather_us)
			fan_out(f, p);
		else
			next = MU_MIN(next, p->first_us + f->gather_us);
	}
	return next;
}
