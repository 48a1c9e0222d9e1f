/* bench_core: CPU time a forwarded packet of the forwarding core alone: bursts of 9 x 1200 bytes to 50, 200
 * and 500 sinks on loopback that nobody reads. All ways are run in turn, so that noise falls on all alike;
 * medians, and ratios per repeat. */
#include "core.h"
#include "forwarder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SINKS_MAX   1024
#define REPEATS_MAX 64
#define HEADER      24 /* fixed header and one extension block of two elements, as browsers send */

struct options {
	unsigned repeats, ms, burst, size;
	int core;
	bool json;
};
struct source {
	int fd;
	struct sockaddr_in addr;
	struct ref_key key;
	IMB_MGR *mb;
	uint64_t index;
	uint32_t ts;
	uint8_t plain[FWD_SLOT], wire[FWD_SEGMENTS * FWD_SLOT];
};
struct contender {
	const struct core_way *way;
	void *state;
	struct source src;
	uint64_t sent;
	double ns[REPEATS_MAX];
};

void core_master(uint32_t who, uint8_t ret[30])
{
	for (uint32_t i = 0; i < 30; i++)
		ret[i] = (uint8_t)((who * 2654435761u >> (i & 15)) ^ i * 37);
}

static int udp_socket(int rcvbuf, struct sockaddr_in *ret)
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

/* --- the reference: loop L --- */

static void *l_open(bool cm, const struct sockaddr_in *publisher, const struct sockaddr_in *sinks, size_t n,
	struct sockaddr_in *ret_at)
{
	struct fwd *f = aligned_alloc(64, (sizeof(*f) + 63) & ~(size_t)63);
	uint8_t master[30];

	if (!f || fwd_init(f, cm, 0) < 0)
		return NULL;
	core_master(0, master);
	fwd_add_pub(f, publisher, master, CORE_VIDEO_SSRC, CORE_AUDIO_SSRC);
	for (size_t i = 0; i < n; i++) {
		core_master((uint32_t)i + 1, master);
		if (fwd_add_sub(f, 0, &sinks[i], master, 0x1000u + (uint32_t)i, 0x9000u + (uint32_t)i) < 0)
			return NULL;
	}
	*ret_at = f->addr;
	return f;
}

static uint64_t l_turn(void *state)
{
	struct fwd *f = state;

	while (fwd_turn(f, 0))
		;
	return f->sent;
}

static void l_close(void *state)
{
	fwd_done(state);
	free(state);
}

static const struct core_way core_way_l = { "L", l_open, l_turn, l_close };

/* --- measuring --- */

static void source_open(struct source *s, bool cm)
{
	uint8_t master[30];

	s->mb = ref_mgr_new();
	core_master(0, master);
	ref_key_init(s->mb, cm, master, &s->key);
	s->fd = udp_socket(1 << 16, &s->addr);
	s->index = 1;
	for (size_t i = HEADER; i < sizeof(s->plain); i++)
		s->plain[i] = (uint8_t)(i * 7 + 1);
	s->plain[HEADER] = 0x7c; /* FU-A of a slice (RFC 6184, section 5.8), neither first nor last */
	s->plain[HEADER + 1] = 0x01;
}

static void make_header(struct source *s, uint8_t *out, bool last)
{
	memset(out, 0, HEADER);
	out[0] = 0x90;
	out[1] = (uint8_t)(CORE_PT | (last ? 0x80 : 0));
	mu_put16(out + 2, (uint16_t)s->index);
	mu_put32(out + 4, s->ts);
	mu_put32(out + 8, CORE_VIDEO_SSRC);
	mu_put32(out + 12, 0xbede0002u);
}

/* One frame as one segmented message, as a burst arrives from a device that coalesces. */
static void publish(struct source *s, const struct options *o)
{
	size_t seg = o->size + ref_tag_len(s->key.cm);
	struct iovec iov = { s->wire, seg * o->burst };
	_Alignas(struct cmsghdr) char c[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof(c) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	uint16_t segment = (uint16_t)seg;

	s->ts += 3000;
	for (unsigned i = 0; i < o->burst; i++) {
		struct ref_job j = { .key = &s->key,
			.out = s->wire + i * seg,
			.in = s->plain + HEADER,
			.hlen = HEADER,
			.len = (uint16_t)(o->size - HEADER),
			.ssrc = CORE_VIDEO_SSRC,
			.index = s->index };

		make_header(s, j.out, i + 1 == o->burst);
		ref_protect(s->mb, &j, 1);
		s->index++;
	}
	h->cmsg_level = SOL_UDP;
	h->cmsg_type = UDP_SEGMENT;
	h->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(h), &segment, sizeof(segment));
	if (sendmsg(s->fd, &m, 0) < 0)
		perror("publish");
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* @return CPU nanoseconds a forwarded packet over some milliseconds of work. */
static double measure(struct contender *c, const struct options *o, size_t n)
{
	uint64_t cpu = 0, before = c->sent, want = before;

	do {
		uint64_t t0;

		publish(&c->src, o);
		want += (uint64_t)o->burst * n;
		t0 = cpu_ns();
		c->sent = c->way->turn(c->state);
		cpu += cpu_ns() - t0;
		if (c->sent != want) {
			fprintf(stderr, "%s: sent %llu packets, not %llu\n", c->way->name,
				(unsigned long long)(c->sent - before), (unsigned long long)(want - before));
			exit(1);
		}
	} while (cpu < (uint64_t)o->ms * 1000000u);
	return (double)cpu / (double)(c->sent - before);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v, unsigned n)
{
	double sorted[REPEATS_MAX];

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), by_value);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void report(
	const struct options *o, bool cm, size_t n, const struct contender *c, const double *reference)
{
	double ratio[REPEATS_MAX];

	for (unsigned r = 0; r < o->repeats; r++)
		ratio[r] = c->ns[r] / reference[r];
	printf(o->json ? "{\"way\":\"%s\",\"profile\":\"%s\",\"sinks\":%zu,\"ns\":%.1f,\"ratio\":%.3f}\n"
		       : "%-12s %-4s %5zu sinks %8.0f ns a packet  %6.2f x L\n",
		c->way->name, cm ? "cm" : "gcm", n, median(c->ns, o->repeats), median(ratio, o->repeats));
	fflush(stdout);
}

static void compare(const struct options *o, bool cm, size_t n, const struct sockaddr_in *sinks)
{
	const struct core_way *ways[] = { &core_way_l, &core_way_muster };
	static struct contender c[MU_ARRAY_LEN(ways)];
	size_t n_ways = &core_way_muster ? 2 : 1;

	memset(c, 0, sizeof(c));
	for (size_t i = 0; i < n_ways; i++) {
		struct sockaddr_in at;

		c[i].way = ways[i];
		source_open(&c[i].src, cm);
		c[i].state = ways[i]->open(cm, &c[i].src.addr, sinks, n, &at);
		if (!c[i].state || connect(c[i].src.fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
			fprintf(stderr, "%s does not start\n", ways[i]->name);
			exit(1);
		}
		measure(&c[i], o, n);
	}
	for (unsigned r = 0; r < o->repeats; r++)
		for (size_t i = 0; i < n_ways; i++)
			c[i].ns[r] = measure(&c[i], o, n);
	for (size_t i = 0; i < n_ways; i++)
		report(o, cm, n, &c[i], c[0].ns);
	for (size_t i = 0; i < n_ways; i++) {
		c[i].way->close(c[i].state);
		free_mb_mgr(c[i].src.mb);
		close(c[i].src.fd);
	}
}

static void read_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = { { "repeats", 1, NULL, 'r' }, { "ms", 1, NULL, 'm' },
		{ "burst", 1, NULL, 'b' }, { "size", 1, NULL, 's' }, { "core", 1, NULL, 'c' },
		{ "json", 0, NULL, 'j' }, { 0 } };
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned v = optarg ? (unsigned)atoi(optarg) : 0;

		if (opt == 'r')
			o->repeats = MU_MIN(MU_MAX(v, 1u), (unsigned)REPEATS_MAX);
		else if (opt == 'm')
			o->ms = v;
		else if (opt == 'b')
			o->burst = MU_MIN(MU_MAX(v, 1u), (unsigned)FWD_SEGMENTS);
		else if (opt == 's')
			o->size = MU_MIN(MU_MAX(v, 60u), 1400u);
		else if (opt == 'c')
			o->core = (int)v;
		else if (opt == 'j')
			o->json = true;
		else {
			fprintf(stderr,
				"bench_core [--repeats N] [--ms N] [--burst PACKETS] [--size BYTES] [--core N] [--json]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	static const size_t counts[] = { 50, 200, 500 };
	static struct sockaddr_in sinks[SINKS_MAX];
	struct options o = { .repeats = 7, .ms = 60, .burst = 9, .size = 1200, .core = -1 };
	struct rlimit files;

	read_options(argc, argv, &o);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (o.core >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((size_t)o.core, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	for (size_t i = 0; i < 500; i++)
		udp_socket(4096, &sinks[i]);
	for (int cm = 0; cm < 2; cm++)
		for (size_t i = 0; i < MU_ARRAY_LEN(counts); i++)
			compare(&o, cm, counts[i], sinks);
	return 0;
}
