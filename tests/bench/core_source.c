/* The publisher of the forwarding core's measurement. */
#include "core.h"

#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEADER 24 /* fixed header and one extension block of two elements, as browsers send */

void core_master(uint32_t who, uint8_t ret[30])
{
	for (uint32_t i = 0; i < 30; i++)
		ret[i] = (uint8_t)((who * 2654435761u >> (i & 15)) ^ i * 37);
}

int core_socket(int rcvbuf, struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_in){ .sin_family = AF_INET };
	ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)) < 0 ||
		bind(fd, (struct sockaddr *)ret, len) < 0 ||
		getsockname(fd, (struct sockaddr *)ret, &len) < 0) {
		perror("udp socket");
		exit(1);
	}
	return fd;
}

void core_source_open(struct core_source *s, bool cm)
{
	uint8_t master[30];

	s->mb = ref_mgr_new();
	core_master(0, master);
	ref_key_init(s->mb, cm, master, &s->key);
	s->fd = core_socket(1 << 16, &s->addr);
	s->index = 1;
	for (size_t i = HEADER; i < sizeof(s->plain); i++)
		s->plain[i] = (uint8_t)(i * 7 + 1);
}

void core_source_close(struct core_source *s)
{
	free_mb_mgr(s->mb);
	close(s->fd);
}

static void make_header(struct core_source *s, uint8_t *out, bool last)
{
	memset(out, 0, HEADER);
	out[0] = 0x90;
	out[1] = (uint8_t)(CORE_PT | (last ? 0x80 : 0));
	mu_put16(out + 2, (uint16_t)s->index);
	mu_put32(out + 4, s->ts);
	mu_put32(out + 8, CORE_VIDEO_SSRC);
	mu_put32(out + 12, 0xbede0002u);
}

void core_publish(struct core_source *s, size_t size, unsigned burst)
{
	size_t seg = size + ref_tag_len(s->key.cm);
	struct iovec iov = { s->wire, seg * burst };
	_Alignas(struct cmsghdr) char c[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof(c) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	uint16_t segment = (uint16_t)seg;

	s->ts += 3000;
	/* FU-A of a slice (RFC 6184, section 5.8), neither first nor last; once: the start of a key frame's
	 */
	s->plain[HEADER] = 0x7c;
	s->plain[HEADER + 1] = s->key_sent ? 0x01 : 0x85;
	for (unsigned i = 0; i < burst; i++) {
		struct ref_job j = { .key = &s->key,
			.out = s->wire + i * seg,
			.in = s->plain + HEADER,
			.hlen = HEADER,
			.len = (uint16_t)(size - HEADER),
			.ssrc = CORE_VIDEO_SSRC,
			.index = s->index };

		make_header(s, j.out, i + 1 == burst);
		if (i == 1)
			s->plain[HEADER + 1] = 0x01;
		ref_protect(s->mb, &j, 1);
		s->index++;
	}
	s->key_sent = true;
	h->cmsg_level = SOL_UDP;
	h->cmsg_type = UDP_SEGMENT;
	h->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(h), &segment, sizeof(segment));
	if (sendmsg(s->fd, &m, 0) < 0)
		perror("publish");
}
