/* bench_core: CPU time a forwarded packet of the forwarding core alone: bursts of 9 x 1200 bytes to 50, 200
 * and 500 sinks on loopback that nobody reads. All ways are run in turn, so that noise falls on all alike;
 * medians, and ratios per repeat. */
#include "core.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SINKS_MAX   1024
#define REPEATS_MAX 64

struct options {
	unsigned repeats, ms, burst, size;
	int core;
	bool json;
};
struct contender {
	const struct core_way *way;
	void *state;
	struct core_source src;
	uint64_t sent;
	double ns[REPEATS_MAX];
};

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

		core_publish(&c->src, o->size, o->burst);
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

	memset(c, 0, sizeof(c));
	for (size_t i = 0; i < MU_ARRAY_LEN(ways); i++) {
		struct sockaddr_in at;

		c[i].way = ways[i];
		core_source_open(&c[i].src, cm);
		c[i].state = ways[i]->open(cm, &c[i].src.addr, sinks, n, &at);
		if (!c[i].state || connect(c[i].src.fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
			fprintf(stderr, "%s does not start\n", ways[i]->name);
			exit(1);
		}
		measure(&c[i], o, n);
	}
	for (unsigned r = 0; r < o->repeats; r++)
		for (size_t i = 0; i < MU_ARRAY_LEN(ways); i++)
			c[i].ns[r] = measure(&c[i], o, n);
	for (size_t i = 0; i < MU_ARRAY_LEN(ways); i++)
		report(o, cm, n, &c[i], c[0].ns);
	for (size_t i = 0; i < MU_ARRAY_LEN(ways); i++) {
		c[i].way->close(c[i].state);
		core_source_close(&c[i].src);
	}
}

static void compare_workers(const struct options *o, bool cm, size_t n, const struct sockaddr_in *sinks)
{
	double gain[REPEATS_MAX];

	for (unsigned r = 0; r < o->repeats; r++)
		gain[r] = core_two_workers(cm, sinks, n, o->size, o->burst);
	printf(o->json ? "{\"way\":\"two workers\",\"profile\":\"%s\",\"sinks\":%zu,\"gain\":%.3f}\n"
		       : "two workers  %-4s %5zu sinks  %6.2f x one\n",
		cm ? "cm" : "gcm", n, median(gain, o->repeats));
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
		core_socket(4096, &sinks[i]);
	for (int cm = 0; cm < 2; cm++)
		for (size_t i = 0; i < MU_ARRAY_LEN(counts); i++)
			compare(&o, cm, counts[i], sinks);
	compare_workers(&o, false, 200, sinks);
	return 0;
}
