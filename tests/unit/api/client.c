#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "fakes.h"

static int open_with(uint16_t port, int room)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (room)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		abort();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int client_open(uint16_t port)
{
	return open_with(port, 0);
}

int client_open_small(uint16_t port)
{
	return open_with(port, 1024);
}

static void turn(void)
{
	if (!g_main_context_iteration(NULL, FALSE))
		g_usleep(500);
}

void client_turn(int ms)
{
	int64_t end = mu_clock_us() + ms * 1000ll;

	while (mu_clock_us() < end)
		turn();
}

void client_send(int fd, const char *data, size_t len)
{
	int64_t end = mu_clock_us() + 3000000;

	while (len && mu_clock_us() < end) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
		turn();
	}
}

const char *header(const struct answer *a, const char *name)
{
	static char text[512];
	char want[80];
	const char *at;

	snprintf(want, sizeof(want), "\r\n%s:", name);
	at = strcasestr(a->head, want);
	if (!at)
		return NULL;
	snprintf(
		text, sizeof(text), "%.*s", (int)strcspn(at + strlen(want) + 1, "\r"), at + strlen(want) + 1);
	return text;
}

/* Whether buf holds a whole answer. An event stream never does. */
static bool complete(struct answer *a, const char *buf, size_t len)
{
	const char *end = memmem(buf, len, "\r\n\r\n", 4), *text;
	size_t head_len;

	if (!end)
		return false;
	head_len = (size_t)(end - buf) + 2;
	snprintf(a->head, sizeof(a->head), "%.*s", (int)head_len, buf);
	a->status = atoi(buf + 9);
	a->body_len = len - head_len - 2;
	memcpy(a->body, end + 4, a->body_len);
	a->body[a->body_len] = '\0';
	text = header(a, "Content-Length");
	return a->status == 204 || a->status == 304 || (text && a->body_len >= (size_t)atol(text));
}

void client_read(int fd, struct answer *ret, int timeout_ms)
{
	static char buf[60000];
	int64_t begin = mu_clock_us();
	size_t len = 0;

	memset(ret, 0, sizeof(*ret));
	ret->status = -1;
	while (mu_clock_us() < begin + timeout_ms * 1000ll) {
		ssize_t n = recv(fd, buf + len, sizeof(buf) - len, 0);

		if (n > 0) {
			len += (size_t)n;
			if (complete(ret, buf, len))
				break;
		} else if (n == 0 || errno != EAGAIN) {
			ret->closed = true;
			if (ret->status < 0)
				ret->status = 0;
			break;
		}
		turn();
	}
	ret->ms = (long)((mu_clock_us() - begin) / 1000);
}

const struct answer *ask(uint16_t port, const char *method, const char *path, const char *token,
	const char *type, const char *body, const char *extra)
{
	static struct answer a;
	char *text = NULL, bearer[300] = "", ctype[100] = "", length[40] = "";
	int fd = client_open(port);

	if (token)
		snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s\r\n", token);
	if (type)
		snprintf(ctype, sizeof(ctype), "Content-Type: %s\r\n", type);
	if (body)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
	if (asprintf(&text, "%s %s HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n%s%s%s%s\r\n%s",
		    method, path, bearer, ctype, length, extra, body ? body : "") < 0)
		abort();
	client_send(fd, text, strlen(text));
	if (strcmp(method, "HEAD") == 0) { /* a length, and no body to wait for */
		client_read(fd, &a, 300);
	} else {
		client_read(fd, &a, 3000);
	}
	free(text);
	close(fd);
	client_turn(2);
	check_described(method, path, a.status);
	return &a;
}

/* --- a server --- */

void fake_serve(struct mu_api **ret, uint16_t *ret_port)
{
	struct mu_addr at = { .in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct mu_api_options o = { .listen = &at, .n_listen = 1, .site = "city" };
	struct mu_error e;

	fake_init();
	strcpy(fake.endpoints[0].id, "city/a");
	fake.endpoints[0].state = MU_ENDPOINT_LIVE;
	fake.n_endpoints = 1;
	assert_int_equal(mu_api_new(&o, ret, &e), 0);
	*ret_port = mu_api_port(*ret, 0);
}
