/* HTTP/1.1 requests over loopback, one connection each, without ever waiting: media of other peers must go
 * on. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_MAX        128
#define HTTP_TIMEOUT_US 40000000

static struct request {
	bool used;
	int fd;
	struct peer *peer;
	http_fn *fn;
	char *out, *in;
	size_t out_len, out_at, in_len, in_size;
	int64_t begun_us;
} requests[HTTP_MAX];

static void finish(struct request *r, struct http_reply *reply)
{
	struct request done = *r;

	/* the callback may send the next request: this place must be free by then */
	close(r->fd);
	memset(r, 0, sizeof(*r));
	if (done.fn)
		done.fn(done.peer, reply);
	free(done.out);
	free(done.in);
}

static void fail(struct request *r)
{
	struct http_reply none = { .status = 0, .body = "" };

	finish(r, &none);
}

static int open_connection(const char *host, unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd, on = 1;

	if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &a.sin_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -ECONNREFUSED;
	}
	return fd;
}

static struct request *free_request(void)
{
	for (size_t i = 0; i < HTTP_MAX; i++) {
		if (!requests[i].used)
			return &requests[i];
	}
	return NULL;
}

void http_send(struct peer *p, const char *method, const char *url, const char *path, const char *type,
	const char *body, http_fn *fn)
{
	struct http_reply none = { .status = 0, .body = "" };
	struct request *r = free_request();
	char full[1024], host[64], where[768] = "/";
	unsigned port = 80;
	int fd = -1;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", strncmp(path, "http://", 7) ? url : "", path);
	if (r && sscanf(full, "http://%63[^:/]:%u%767s", host, &port, where) >= 1)
		fd = open_connection(host, port);
	if (fd < 0) {
		if (fn)
			fn(p, &none);
		return;
	}
	*r = (struct request){ .used = true, .fd = fd, .peer = p, .fn = fn, .begun_us = mu_clock_us() };
	f = open_memstream(&r->out, &r->out_len);
	fprintf(f, "%s %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n", method, where, host, port);
	if (p->load->o.token && !p->load->o.janus)
		fprintf(f, "Authorization: Bearer %s\r\n", p->load->o.token);
	if (body)
		fprintf(f, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, strlen(body));
	fprintf(f, "\r\n%s", body ? body : "");
	fclose(f);
}

void http_forget(struct peer *p)
{
	for (size_t i = 0; i < HTTP_MAX; i++) {
		if (requests[i].used && requests[i].peer == p)
			requests[i].fn = NULL;
	}
}

static void read_header(const char *head, const char *name, char *ret, size_t size)
{
	for (const char *at = strstr(head, "\r\n"); at && strncmp(at, "\r\n\r\n", 4);
		at = strstr(at + 2, "\r\n")) {
		const char *line = at + 2;
		size_t n = strlen(name);

		if (strncasecmp(line, name, n) || line[n] != ':')
			continue;
		line += n + 1;
		line += strspn(line, " ");
		n = MU_MIN(strcspn(line, "\r\n"), size - 1);
		memcpy(ret, line, n);
		ret[n] = 0;
		return;
	}
	ret[0] = 0;
}

/* Chunks (RFC 9112, section 7.1) into one body, in place. @return whether the last one was there */
static bool unchunk(char *body, const char *end)
{
	char *to = body, *at = body, *line;

	while ((line = strstr(at, "\r\n"))) {
		size_t n = strtoul(at, NULL, 16);

		if (!n || n > (size_t)(end - line)) {
			*to = 0;
			return !n;
		}
		memmove(to, line + 2, n);
		to += n;
		at = line + 2 + n + 2;
		if (at > end)
			break;
	}
	return false;
}

/* A chunked body is looked at as a copy until its last chunk has come. */
static bool chunked_complete(const struct request *r, size_t head)
{
	char *copy = malloc(r->in_len + 1);
	bool whole;

	if (!copy)
		return false;
	memcpy(copy, r->in, r->in_len + 1);
	whole = unchunk(copy + head, copy + r->in_len);
	free(copy);
	return whole;
}

/* @return whether the whole answer is here. `closed`: the server has hung up, so there will be no more */
static bool complete(struct request *r, bool closed)
{
	struct http_reply reply = { .status = 0, .body = "" };
	char *end = r->in ? strstr(r->in, "\r\n\r\n") : NULL, length[32], coding[32];
	bool chunked;

	if (!end)
		return false;
	read_header(r->in, "Content-Length", length, sizeof(length));
	read_header(r->in, "Transfer-Encoding", coding, sizeof(coding));
	chunked = !strcasecmp(coding, "chunked");
	sscanf(r->in, "HTTP/%*s %d", &reply.status);
	if (chunked && !chunked_complete(r, (size_t)(end + 4 - r->in)))
		return false;
	if (!closed && !chunked && reply.status != 204 && !length[0])
		return false;
	if (length[0] && r->in_len - (size_t)(end + 4 - r->in) < strtoul(length, NULL, 10))
		return false;
	read_header(r->in, "Location", reply.location, sizeof(reply.location));
	read_header(r->in, "ETag", reply.etag, sizeof(reply.etag));
	if (chunked)
		unchunk(end + 4, r->in + r->in_len);
	reply.body = end + 4;
	finish(r, &reply);
	return true;
}

static void readable(struct request *r)
{
	ssize_t n;

	if (r->in_size - r->in_len < 4096) {
		size_t size = r->in_size ? 2 * r->in_size : 16384;
		char *grown = realloc(r->in, size);

		if (!grown) {
			fail(r);
			return;
		}
		r->in = grown;
		r->in_size = size;
	}
	n = read(r->fd, r->in + r->in_len, r->in_size - r->in_len - 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		r->in_len += (size_t)n;
	r->in[r->in_len] = 0;
	if (!complete(r, n <= 0) && n <= 0)
		fail(r);
}

static void writable(struct request *r)
{
	ssize_t n = write(r->fd, r->out + r->out_at, r->out_len - r->out_at);

	if (n > 0)
		r->out_at += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		fail(r);
}

size_t http_poll_add(struct pollfd *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < HTTP_MAX && n < max; i++) {
		struct request *r = &requests[i];

		if (r->used)
			ret[n++] = (struct pollfd){ r->fd, r->out_at < r->out_len ? POLLOUT : POLLIN, 0 };
	}
	return n;
}

void http_poll_done(const struct pollfd *fds, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; fds[k].revents && i < HTTP_MAX; i++) {
			struct request *r = &requests[i];

			if (!r->used || r->fd != fds[k].fd)
				continue;
			if (r->out_at < r->out_len)
				writable(r);
			else
				readable(r);
			break;
		}
	}
}

void http_tick(int64_t now_us)
{
	for (size_t i = 0; i < HTTP_MAX; i++) {
		if (requests[i].used && now_us - requests[i].begun_us > HTTP_TIMEOUT_US)
			fail(&requests[i]);
	}
}
