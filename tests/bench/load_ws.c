#include "load_ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

struct buffer {
	uint8_t *data;
	size_t len, size;
};
struct ws {
	bool used, upgraded, leaving; /* leaving: gone when all is sent */
	int fd;
	char key[32];
	struct buffer out, in, message; /* message: of several frames */
	const struct ws_events *ev;
	void *arg;
};
static struct ws all[WS_MAX];

/* --- frames --- */

int ws_frame_read(const uint8_t *d, size_t len, struct ws_frame *ret)
{
	size_t n, header = 2;

	if (len < 2)
		return 0;
	if (d[0] & 0x70 || d[1] & 0x80)
		return -EBADMSG;
	n = d[1] & 0x7f;
	header += n == 126 ? 2 : n == 127 ? 8 : 0;
	if (len < header)
		return 0;
	if (n == 126)
		n = mu_get16(d + 2);
	else if (n == 127)
		n = mu_get32(d + 2) ? SIZE_MAX : mu_get32(d + 6);
	if (n > WS_MESSAGE_MAX || (d[0] & 8 && (n > 125 || !(d[0] & 0x80))))
		return -EBADMSG;
	*ret = (struct ws_frame){ d[0] & 15, d[0] & 0x80, header, n };
	return 1;
}

size_t ws_frame_write(enum ws_opcode opcode, size_t len, const uint8_t mask[4], uint8_t ret[WS_HEADER_MAX])
{
	size_t at = 2;

	ret[0] = (uint8_t)(0x80 | opcode);
	if (len < 126) {
		ret[1] = (uint8_t)(0x80 | len);
	} else if (len < 65536) {
		ret[1] = 0x80 | 126;
		mu_put16(ret + 2, (uint16_t)len);
		at = 4;
	} else {
		ret[1] = 0x80 | 127;
		mu_put64(ret + 2, len);
		at = 10;
	}
	memcpy(ret + at, mask, 4);
	return at + 4;
}

void ws_mask(uint8_t *data, size_t len, const uint8_t mask[4])
{
	for (size_t i = 0; i < len; i++)
		data[i] ^= mask[i % 4];
}

void ws_accept(const char *key, char ret[32])
{
	char text[128];
	uint8_t hash[SHA_DIGEST_LENGTH];

	snprintf(text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	SHA1((const uint8_t *)text, strlen(text), hash);
	EVP_EncodeBlock((uint8_t *)ret, hash, sizeof(hash));
}

/* --- sending --- */

static bool make_room(struct buffer *b, size_t more)
{
	size_t size = MU_MAX(b->size, (size_t)4096);
	uint8_t *grown;

	while (size < b->len + more + 1)
		size *= 2;
	if (size == b->size)
		return true;
	grown = realloc(b->data, size);
	if (!grown)
		return false;
	b->data = grown;
	b->size = size;
	return true;
}

static bool append(struct buffer *b, const void *data, size_t len)
{
	if (!make_room(b, len))
		return false;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return true;
}

static void drop(struct buffer *b, size_t len)
{
	b->len -= len;
	memmove(b->data, b->data + len, b->len);
}

static void release(struct ws *w)
{
	close(w->fd);
	free(w->out.data);
	free(w->in.data);
	free(w->message.data);
	memset(w, 0, sizeof(*w));
}

static void end(struct ws *w, const char *why)
{
	const struct ws_events *ev = w->ev;
	void *arg = w->arg;

	release(w);
	if (ev)
		ev->closed(arg, why);
}

static void flush(struct ws *w)
{
	while (w->out.len) {
		ssize_t n = send(w->fd, w->out.data, w->out.len, MSG_NOSIGNAL);

		if (n < 0)
			return; /* full, or over: reading tells */
		drop(&w->out, (size_t)n);
	}
	if (w->leaving) {
		shutdown(w->fd, SHUT_WR);
		release(w);
	}
}

static void send_frame(struct ws *w, enum ws_opcode opcode, const void *data, size_t len)
{
	uint8_t header[WS_HEADER_MAX], mask[4];

	mu_random(mask, sizeof(mask));
	if (!append(&w->out, header, ws_frame_write(opcode, len, mask, header)) ||
		!append(&w->out, data, len))
		return;
	ws_mask(w->out.data + w->out.len - len, len, mask);
	flush(w);
}

void ws_send(struct ws *w, json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);

	if (w && text && w->upgraded)
		send_frame(w, WS_TEXT, text, strlen(text));
	free(text);
	json_decref(message);
}

void ws_close(struct ws *w)
{
	static const uint8_t normal[2] = { 1000 >> 8, 1000 & 255 };

	if (!w)
		return;
	w->ev = NULL;
	w->leaving = true;
	if (w->upgraded)
		send_frame(w, WS_CLOSE, normal, sizeof(normal));
	else
		release(w);
}

void ws_cut(struct ws *w)
{
	struct linger hard = { 1, 0 };

	if (!w)
		return;
	setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	release(w);
}

/* --- opening --- */

static int connect_to(const char *url, char host[64], unsigned *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd, on = 1;

	if (sscanf(url, "http://%63[^:/]:%u", host, port) != 2 ||
		inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &a.sin_addr) != 1)
		return -EINVAL;
	a.sin_port = htons((uint16_t)*port);
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

struct ws *ws_open(
	const char *url, const char *path, const char *protocol, const struct ws_events *ev, void *arg)
{
	char host[64], text[512];
	uint8_t nonce[16];
	unsigned port;
	struct ws *w = NULL;
	int fd, n;

	for (size_t i = 0; i < WS_MAX && !w; i++) {
		if (!all[i].used)
			w = &all[i];
	}
	fd = w ? connect_to(url, host, &port) : -ENOSPC;
	if (fd < 0)
		return NULL;
	*w = (struct ws){ .used = true, .fd = fd, .ev = ev, .arg = arg };
	mu_random(nonce, sizeof(nonce));
	EVP_EncodeBlock((uint8_t *)w->key, nonce, sizeof(nonce));
	n = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		path, host, port, w->key, protocol);
	append(&w->out, text, (size_t)n);
	return w;
}

/* @return bytes of the answer's head once it is whole and good; 0: not yet; -EPROTO */
static int upgrade_answer(const struct ws *w, char *ret_why, size_t size)
{
	const char *text = (const char *)w->in.data, *stop = strstr(text, "\r\n\r\n"), *at;
	char want[32];
	size_t n;

	if (!stop)
		return w->in.len > 16384 ? -EPROTO : 0;
	n = strcspn(text, "\r\n");
	snprintf(ret_why, size, "the upgrade was answered \"%.*s\"", (int)MU_MIN(n, (size_t)80), text);
	if (strncmp(text, "HTTP/1.1 101 ", 13))
		return -EPROTO;
	snprintf(ret_why, size, "the upgrade was answered without Sec-WebSocket-Accept");
	at = strcasestr(text, "\r\nSec-WebSocket-Accept:");
	if (!at || at > stop)
		return -EPROTO;
	at += strlen("\r\nSec-WebSocket-Accept:");
	at += strspn(at, " ");
	ws_accept(w->key, want);
	if (strncmp(at, want, strlen(want)))
		return -EPROTO;
	return (int)(stop + 4 - text);
}

/* --- receiving --- */

/* @return whether w is still there */
static bool message(struct ws *w, struct ws_frame f, const uint8_t *payload)
{
	char why[160];

	switch (f.opcode) {
	case WS_PING:
		send_frame(w, WS_PONG, payload, f.len);
		return true;
	case WS_PONG:
		return true;
	case WS_CLOSE:
		snprintf(why, sizeof(why), "closed with %u %.*s", f.len >= 2 ? mu_get16(payload) : 1005u,
			f.len > 2 ? (int)MU_MIN(f.len - 2, (size_t)123) : 0,
			f.len > 2 ? (const char *)payload + 2 : "");
		end(w, why);
		return false;
	case WS_MORE:
	case WS_TEXT:
		if (w->message.len + f.len > WS_MESSAGE_MAX || !append(&w->message, payload, f.len)) {
			end(w, "a message is too long");
			return false;
		}
		if (f.last) {
			struct buffer b = w->message;

			/* the callback may end w */
			w->message = (struct buffer){ 0 };
			b.data[b.len] = 0;
			if (w->ev)
				w->ev->text(w->arg, (const char *)b.data, b.len);
			free(b.data);
		}
		return w->used;
	case WS_BINARY:
		break;
	}
	end(w, "a frame of no kind we know");
	return false;
}

static void frames(struct ws *w)
{
	struct ws_frame f;
	size_t at = 0;
	int err;

	while ((err = ws_frame_read(w->in.data + at, w->in.len - at, &f)) == 1) {
		const struct ws was = *w;

		if (w->in.len - at < f.header + f.len)
			break;
		if (!message(w, f, w->in.data + at + f.header))
			return;
		/* its place may have been given to another one meanwhile */
		if (w->in.data != was.in.data || w->fd != was.fd)
			return;
		at += f.header + f.len;
	}
	if (err < 0) {
		end(w, "a malformed frame");
		return;
	}
	drop(&w->in, at);
}

static void readable(struct ws *w)
{
	char why[160] = "the upgrade was answered with too much";
	ssize_t n;

	if (!make_room(&w->in, 65536)) {
		end(w, "no memory");
		return;
	}
	n = read(w->fd, w->in.data + w->in.len, 65536);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end(w, n ? strerror(errno) : "the connection ended");
		return;
	}
	w->in.len += (size_t)n;
	w->in.data[w->in.len] = 0;
	if (!w->upgraded) {
		int head = upgrade_answer(w, why, sizeof(why));

		if (head < 0)
			end(w, why);
		if (head <= 0)
			return;
		drop(&w->in, (size_t)head);
		w->upgraded = true;
		w->ev->open(w->arg);
		if (!w->used)
			return;
	}
	frames(w);
}

size_t ws_poll_add(struct pollfd *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < WS_MAX && n < max; i++) {
		if (all[i].used)
			ret[n++] = (struct pollfd){ all[i].fd,
				(short)(POLLIN | (all[i].out.len ? POLLOUT : 0)), 0 };
	}
	return n;
}

void ws_poll_done(const struct pollfd *fds, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; fds[k].revents && i < WS_MAX; i++) {
			if (!all[i].used || all[i].fd != fds[k].fd)
				continue;
			if (fds[k].revents & POLLOUT)
				flush(&all[i]);
			if (all[i].used && all[i].fd == fds[k].fd &&
				fds[k].revents & (POLLIN | POLLERR | POLLHUP))
				readable(&all[i]);
			break;
		}
	}
}
