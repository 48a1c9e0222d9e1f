/* mu-forward: the yardstick. Loop L (forwarder.h) as a program. A controlling client (mu-load --yardstick)
 * hands it keys and addresses over a loopback TCP connection, a line each: pub IP PORT VIDEO_SSRC AUDIO_SSRC
 * MASTER_HEX          -> ok NUMBER UDP_PORT sub NUMBER IP PORT VIDEO_SSRC AUDIO_SSRC MASTER_HEX   -> ok stat
 * -> {"received":...} Anything else answers "error ...". When the client hangs up, all is forgotten and the
 * next one may come. */
#include "forwarder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

struct control {
	int listener, fd;
	char buf[4096];
	size_t len;
};

static bool hex_read(const char *text, uint8_t *ret, size_t n)
{
	if (strlen(text) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned v;

		if (sscanf(text + 2 * i, "%2x", &v) != 1)
			return false;
		ret[i] = (uint8_t)v;
	}
	return true;
}

static bool addr_read(const char *ip, unsigned port, struct sockaddr_in *ret)
{
	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	return port && port < 65536 && inet_pton(AF_INET, ip, &ret->sin_addr) == 1;
}

static void command(struct fwd *f, const char *line, char *reply, size_t size)
{
	char ip[64], hex[80];
	uint8_t master[REF_MASTER_MAX];
	struct sockaddr_in a;
	unsigned number, port, video, audio;
	int err;

	if (sscanf(line, "pub %63s %u %u %u %79s", ip, &port, &video, &audio, hex) == 5 &&
		addr_read(ip, port, &a) && hex_read(hex, master, ref_master_len(f->cm))) {
		err = fwd_add_pub(f, &a, master, video, audio);
		if (err >= 0) {
			snprintf(reply, size, "ok %d %u\n", err, ntohs(f->addr.sin_port));
			return;
		}
	} else if (sscanf(line, "sub %u %63s %u %u %u %79s", &number, ip, &port, &video, &audio, hex) == 6 &&
		addr_read(ip, port, &a) && hex_read(hex, master, ref_master_len(f->cm))) {
		err = fwd_add_sub(f, number, &a, master, video, audio);
		if (err >= 0) {
			snprintf(reply, size, "ok\n");
			return;
		}
	} else if (!strcmp(line, "stat")) {
		snprintf(reply, size,
			"{\"received\":%llu,\"bad\":%llu,\"sent\":%llu,\"messages\":%llu,\"dropped\":%llu}\n",
			(unsigned long long)f->received, (unsigned long long)f->bad,
			(unsigned long long)f->sent, (unsigned long long)f->messages,
			(unsigned long long)f->dropped);
		return;
	} else {
		err = -EINVAL;
	}
	snprintf(reply, size, "error %s\n", strerror(-err));
}

static void forget(struct fwd *f)
{
	bool cm = f->cm;
	int64_t gather_us = f->gather_us;
	uint16_t port = ntohs(f->addr.sin_port);

	fwd_done(f);
	if (fwd_init(f, cm, port) < 0)
		exit(1);
	f->gather_us = gather_us;
}

static void control_read(struct control *c, struct fwd *f)
{
	ssize_t n = read(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len);
	char *line = c->buf, *end;

	if (n <= 0) {
		close(c->fd);
		c->fd = -1;
		c->len = 0;
		forget(f);
		return;
	}
	c->len += (size_t)n;
	c->buf[c->len] = 0;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		char reply[256];

		*end = 0;
		command(f, line, reply, sizeof(reply));
		if (write(c->fd, reply, strlen(reply)) < 0)
			break;
	}
	c->len -= (size_t)(line - c->buf);
	memmove(c->buf, line, c->len);
	if (c->len == sizeof(c->buf) - 1)
		c->len = 0; /* a line longer than any command */
}

static int listen_control(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0) {
		perror("control port");
		exit(1);
	}
	return fd;
}

static void run(struct fwd *f, struct control *c)
{
	int64_t due = INT64_MAX;

	while (!stop) {
		struct pollfd p[2] = { { f->fd, POLLIN, 0 },
			{ c->fd >= 0 ? c->fd : c->listener, POLLIN, 0 } };
		int64_t wait_us = due == INT64_MAX ? 100000 : MU_MAX(due - mu_clock_us(), 0);
		struct timespec t = { wait_us / 1000000, wait_us % 1000000 * 1000 };

		if (ppoll(p, 2, &t, NULL) < 0 && errno != EINTR)
			break;
		if (p[0].revents)
			fwd_turn(f, mu_clock_us());
		due = f->gather_us ? fwd_flush(f, mu_clock_us()) : INT64_MAX;
		if (p[1].revents && c->fd >= 0)
			control_read(c, f);
		else if (p[1].revents)
			c->fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
	}
}

static void pin_to(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		perror("cannot pin");
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "control", 1, NULL, 'c' }, { "port", 1, NULL, 'p' },
		{ "profile", 1, NULL, 'P' }, { "gather", 1, NULL, 'g' }, { "core", 1, NULL, 'C' }, { 0 } };
	static struct fwd f;
	struct control c = { .fd = -1 };
	uint16_t port = 0, control = 9701;
	int64_t gather_us = 0;
	bool cm = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'c')
			control = (uint16_t)atoi(optarg);
		else if (opt == 'p')
			port = (uint16_t)atoi(optarg);
		else if (opt == 'P')
			cm = !strcmp(optarg, "cm");
		else if (opt == 'g')
			gather_us = atoll(optarg);
		else if (opt == 'C')
			pin_to(atoi(optarg));
		else {
			fprintf(stderr,
				"mu-forward [--control PORT] [--port PORT] [--profile gcm|cm] [--gather US] [--core N]\n");
			return 2;
		}
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	if (fwd_init(&f, cm, port) < 0) {
		perror("udp port");
		return 1;
	}
	f.gather_us = gather_us;
	c.listener = listen_control(control);
	run(&f, &c);
	fwd_done(&f);
	return 0;
}
