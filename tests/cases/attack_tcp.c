/* Sessions whose datagrams go by a TCP connection (RFC 4571), and that stop reading when they are told to. */
#include "attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM 131072

struct stream {
	int fd;
	bool held; /* nothing is read */
	size_t n;
	uint8_t data[STREAM];
};

static int open_to(struct peer *p, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr = p->local };
	struct timeval patience = { 2, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 65536 },
		sizeof(int)); /* a peer that does not read is soon full */
	if (fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
		connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* From now on by a new connection to this port of the gateway. */
const char *do_tcp(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	struct session *s;
	int fd;

	(void)out;
	if (!p)
		return "no session";
	fd = open_to(p, (uint16_t)json_integer_value(json_object_get(in, "port")));
	if (fd < 0)
		return "no connection";
	s = session_of(p);
	tcp_close(s);
	s->tcp = calloc(1, sizeof(*s->tcp));
	s->tcp->fd = fd;
	p->next_check_us = 0;
	return NULL;
}

/* Stop reading, or go on. */
const char *do_hold(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);

	(void)out;
	if (!p || !session_of(p)->tcp)
		return "no session by TCP";
	session_of(p)->tcp->held = json_is_true(json_object_get(in, "on"));
	return NULL;
}

void tcp_close(struct session *s)
{
	if (!s->tcp)
		return;
	close(s->tcp->fd);
	free(s->tcp);
	s->tcp = NULL;
}

void tcp_send(struct session *s, const uint8_t *data, size_t len)
{
	uint8_t frame[2 + 65535];

	mu_put16(frame, (uint16_t)len);
	memcpy(frame + 2, data, len);
	if (send(s->tcp->fd, frame, len + 2, MSG_NOSIGNAL) < 0)
		return; /* the gateway has closed it: what is lost is counted */
}

static void read_frames(struct peer *p, struct stream *t)
{
	ssize_t got = recv(t->fd, t->data + t->n, sizeof(t->data) - t->n, MSG_DONTWAIT);
	uint64_t ns = now_ns();
	size_t at = 0;

	if (got <= 0)
		return;
	t->n += (size_t)got;
	while (t->n - at >= 2 && t->n - at - 2 >= mu_get16(t->data + at)) {
		size_t len = mu_get16(t->data + at);

		peer_input(p, t->data + at + 2, len, ns);
		if (session_of(p)->tcp != t)
			return;
		at += 2 + len;
	}
	t->n -= at;
	memmove(t->data, t->data + at, t->n);
}

bool tcp_poll(struct attack *a)
{
	bool any = false;

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		struct stream *t = a->session[i] ? session_of(a->session[i])->tcp : NULL;

		any = any || t;
		if (t && !t->held)
			read_frames(a->session[i], t);
	}
	return any;
}
