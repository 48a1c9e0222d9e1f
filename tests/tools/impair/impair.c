/* muster-impair: a bad link between one machine's clients and a gateway, in user space (not every kernel has
 * netem). It is a UDP relay: to the gateway it is the clients, each from a port of its own; to the clients it
 * is the gateway. All of them share one link, as the people behind one line do.
 *
 *   muster-impair --to 127.0.0.1:5000 [--listen 127.0.0.1:0] [--seed N] [both delay=30 loss=5]
 *
 * The first line it prints is {"port": N}. Then each line on stdin is answered by one on stdout:
 *
 *   up|down|both KEY=VALUE...   change the link: see wire_set; "up" is towards the gateway
 *   figures                     what passed since they were asked for last, per way
 *
 * The end of stdin ends it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define CLIENTS_MAX 64
#define BATCH       64
#define DATAGRAM    2048
#define LINE_SIZE   512

static struct client {
	struct sockaddr_in at;
	int fd; /* towards the gateway */
	int64_t last_us;
} clients[CLIENTS_MAX];
static unsigned n_clients;
static int front;
static struct sockaddr_in gateway;
static struct wire up, down;
static uint64_t unsent; /* a socket took it not: this machine's fault, not the link's */

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "muster-impair: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char host[64];
	unsigned port;

	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || port > 65535 ||
		inet_pton(AF_INET, host, &a.sin_addr) != 1) {
		fprintf(stderr, "muster-impair: %s is not like 127.0.0.1:5000\n", text);
		exit(2);
	}
	a.sin_port = htons((uint16_t)port);
	return a;
}

static int open_socket(struct sockaddr_in at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), big = 8 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("socket");
	/* what were lost here would be taken for the link's loss */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	return fd;
}

/* One that was never seen gets a socket of its own; the longest silent one makes room. */
static unsigned client_of(const struct sockaddr_in *from, int64_t now)
{
	unsigned i, oldest = 0;

	for (i = 0; i < n_clients; i++) {
		if (clients[i].at.sin_port == from->sin_port &&
			clients[i].at.sin_addr.s_addr == from->sin_addr.s_addr) {
			clients[i].last_us = now;
			return i;
		}
		if (clients[i].last_us < clients[oldest].last_us)
			oldest = i;
	}
	if (n_clients < CLIENTS_MAX)
		i = n_clients++;
	else
		close(clients[i = oldest].fd);
	clients[i] = (struct client){ *from,
		open_socket((struct sockaddr_in){
			.sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } }),
		now };
	return i;
}

/* Take what has come at a socket. @param tag  whose socket it is; clients of the front one are told by their
 * address */
static void take(int fd, struct wire *w, unsigned tag)
{
	static uint8_t data[BATCH][DATAGRAM];
	struct sockaddr_in from[BATCH];
	struct iovec iov[BATCH];
	struct mmsghdr m[BATCH] = { 0 };
	int64_t now;
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ data[i], DATAGRAM };
		m[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_iov = &iov[i],
			.msg_iovlen = 1 };
	}
	n = recvmmsg(fd, m, BATCH, MSG_DONTWAIT, NULL);
	now = now_us();
	for (int i = 0; i < n; i++) {
		if (wire_put(w, data[i], m[i].msg_len, fd == front ? client_of(&from[i], now) : tag, now) < 0)
			unsent++;
	}
}

static void give(int64_t now)
{
	struct wire_packet *p;

	while ((p = wire_take(&up, now))) {
		if (sendto(clients[p->tag].fd, p->data, p->len, 0, (struct sockaddr *)&gateway,
			    sizeof(gateway)) < 0)
			unsent++;
		free(p);
	}
	while ((p = wire_take(&down, now))) {
		if (sendto(front, p->data, p->len, 0, (struct sockaddr *)&clients[p->tag].at,
			    sizeof(gateway)) < 0)
			unsent++;
		free(p);
	}
}

/* --- commands --- */

static bool change(char *words)
{
	struct wire_way ways[2] = { up.way, down.way };
	bool is_up, is_down;
	char *save, *word = strtok_r(words, " \t", &save);

	is_up = word && (!strcmp(word, "up") || !strcmp(word, "both"));
	is_down = word && (!strcmp(word, "down") || !strcmp(word, "both"));
	if (!is_up && !is_down)
		return false;
	while ((word = strtok_r(NULL, " \t", &save))) {
		if ((is_up && wire_set(&ways[0], word) < 0) || (is_down && wire_set(&ways[1], word) < 0))
			return false;
	}
	up.way = ways[0];
	down.way = ways[1];
	return true;
}

static void command(char *line)
{
	if (!strcmp(line, "figures")) {
		printf("{\"up\": ");
		wire_report(&up, stdout, now_us());
		printf(", \"down\": ");
		wire_report(&down, stdout, now_us());
		printf(", \"clients\": %u, \"unsent\": %llu}\n", n_clients, (unsigned long long)unsent);
	} else {
		puts(change(line) ? "{\"ok\": true}"
				  : "{\"error\": \"up|down|both KEY=VALUE..., or figures\"}");
	}
	fflush(stdout);
}

/* @return false: stdin has ended */
static bool commands(void)
{
	static char text[LINE_SIZE];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof(text) - 1 - len);
	char *end;

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	len += (size_t)n;
	text[len] = 0;
	while ((end = strchr(text, '\n'))) {
		*end = 0;
		command(text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len + 1);
	}
	if (len == sizeof(text) - 1)
		len = 0;
	return true;
}

static void run(void)
{
	struct pollfd p[CLIENTS_MAX + 2];

	for (;;) {
		int64_t now = now_us(), a = wire_next_us(&up, now), b = wire_next_us(&down, now),
			next = a < b ? a : b;
		int64_t wait = next == INT64_MAX ? 1000000 : next > now ? next - now : 0;
		struct timespec t = { wait / 1000000, wait % 1000000 * 1000 };
		unsigned n = n_clients;

		p[0] = (struct pollfd){ STDIN_FILENO, POLLIN, 0 };
		p[1] = (struct pollfd){ front, POLLIN, 0 };
		for (unsigned i = 0; i < n; i++)
			p[2 + i] = (struct pollfd){ clients[i].fd, POLLIN, 0 };
		if (ppoll(p, n + 2, &t, NULL) > 0) {
			if (p[0].revents && !commands())
				return;
			for (unsigned i = 0; i < n; i++) {
				if (p[2 + i].revents)
					take(p[2 + i].fd, &down, i);
			}
			if (p[1].revents)
				take(front, &up, 0);
		}
		give(now_us());
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	uint64_t seed = 1;
	char way[LINE_SIZE] = "";

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--to") && i + 1 < argc) {
			gateway = address(argv[++i]);
		} else if (!strcmp(argv[i], "--listen") && i + 1 < argc) {
			at = address(argv[++i]);
		} else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
			seed = strtoull(argv[++i], NULL, 10);
		} else {
			strncat(way, argv[i], sizeof(way) - strlen(way) - 1);
			strncat(way, " ", sizeof(way) - strlen(way) - 1);
		}
	}
	wire_init(&up, 2 * seed, now_us());
	wire_init(&down, 2 * seed + 1, now_us());
	if (!gateway.sin_port || (*way && !change(way))) {
		fputs("muster-impair --to HOST:PORT [--listen HOST:PORT] [--seed N] [up|down|both KEY=VALUE...]\n",
			stderr);
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1000);
	front = open_socket(at);
	if (getsockname(front, (struct sockaddr *)&at, &len) < 0)
		die("getsockname");
	printf("{\"port\": %u}\n", ntohs(at.sin_port));
	fflush(stdout);
	run();
	wire_done(&up);
	wire_done(&down);
	return 0;
}
