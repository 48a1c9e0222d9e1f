/* bench_srtp.c: what one SRTP packet costs, by engine and profile, in nanoseconds of CPU time.
 *
 *   bench_srtp [-k keys] [-p packets of each key in a burst] [-b bytes of RTP] [-r repeats] [-m milliseconds
 * of a run]
 *
 * All engines of a profile take turns within each repeat, so that a busy machine is unfair to none; medians,
 * and medians of the ratios within a repeat. Give one core: taskset -c 1 bench_srtp.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "secure/secure.h"

#define HLEN       24 /* with an extension of two words */
#define N_ENGINES  3
#define REPEAT_MAX 101
#define CLOCK_EACH 1000 /* packets between two looks at the clock: reading CPU time is a system call */

static const char *const names[N_ENGINES] = { "ipsec-mb", "openssl", "libsrtp" };
static const enum mu_srtp_profile profiles[] = {
	MU_SRTP_AEAD_AES_128_GCM,
	MU_SRTP_AEAD_AES_256_GCM,
	MU_SRTP_AES128_CM_SHA1_80,
};

static size_t n_keys = 50, per_key = 1, bytes = 1200;
static int repeats = 9, run_ms = 40;
static uint8_t plain[2048];

struct contest {
	struct mu_srtp_engine *en; /* NULL: this machine has none */
	struct mu_srtp_key **keys;
	struct mu_srtp_job *jobs;
	uint8_t *out;
	uint64_t index; /* of the next burst's first packet */
	double protect[REPEAT_MAX], unprotect[REPEAT_MAX];
};

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/** Headers, too, are written per packet, as the gateway does. */
static void burst(struct contest *c)
{
	size_t room = bytes + 32, n = 0;

	for (size_t k = 0; k < n_keys; k++)
		for (size_t p = 0; p < per_key; p++, n++) {
			struct mu_srtp_job *j = &c->jobs[n];

			j->key = c->keys[k];
			j->out = c->out + n * room;
			j->payload = plain + HLEN;
			j->hlen = HLEN;
			j->payload_len = (uint16_t)(bytes - HLEN);
			j->ssrc = 0x1000;
			j->index = c->index + p;
			memcpy(j->out, plain, HLEN);
			mu_put16(j->out + 2, (uint16_t)j->index);
			mu_put32(j->out + 8, j->ssrc);
		}
	mu_srtp_protect(c->en, c->jobs, n);
	c->index += per_key;
}

static double run_protect(struct contest *c)
{
	double start = cpu_ns(), end;
	size_t n = 0;

	do {
		for (size_t next = n + CLOCK_EACH; n < next; n += n_keys * per_key)
			burst(c);
		end = cpu_ns();
	} while (end - start < run_ms * 1e6);
	return (end - start) / (double)n;
}

/** The last burst again and again: mu_srtp_unprotect() has no replay window. */
static double run_unprotect(struct contest *c)
{
	static uint8_t back[2048];
	double start = cpu_ns(), end;
	size_t n = 0, len = bytes + mu_srtp_growth(mu_srtp_key_profile(c->keys[0]));

	do {
		for (size_t i = 0; i < CLOCK_EACH; i++, n++) {
			struct mu_srtp_job *j = &c->jobs[i % (n_keys * per_key)];

			if (mu_srtp_unprotect(c->en, j->key, j->ssrc, j->index, j->out, len, HLEN, back) < 0)
				abort();
		}
		end = cpu_ns();
	} while (end - start < run_ms * 1e6);
	return (end - start) / (double)n;
}

static void contest_open(struct contest *c, const char *name, enum mu_srtp_profile p)
{
	uint8_t master[32], salt[14];
	struct mu_error e;

	memset(c, 0, sizeof(*c));
	if (mu_srtp_engine_new(name, &c->en, &e) < 0) {
		printf("%s\n", e.text);
		c->en = NULL;
		return;
	}
	c->keys = calloc(n_keys, sizeof(*c->keys));
	c->jobs = aligned_alloc(16, n_keys * per_key * sizeof(*c->jobs));
	c->out = calloc(n_keys * per_key, bytes + 32);
	c->index = 1;
	if (!c->keys || !c->jobs || !c->out)
		abort();
	for (size_t k = 0; k < n_keys; k++) {
		mu_random(master, sizeof(master));
		mu_random(salt, sizeof(salt));
		if (mu_srtp_key_new(c->en, p, master, salt, &c->keys[k]) < 0)
			abort();
	}
}

static void contest_close(struct contest *c)
{
	for (size_t k = 0; c->en && k < n_keys; k++)
		mu_srtp_key_free(c->keys[k]);
	mu_srtp_engine_free(c->en);
	free(c->keys);
	free(c->jobs);
	free(c->out);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v)
{
	double s[REPEAT_MAX];

	memcpy(s, v, (size_t)repeats * sizeof(*s));
	qsort(s, (size_t)repeats, sizeof(*s), by_value);
	return s[repeats / 2];
}

static double ratio(const double *v, const double *base)
{
	double q[REPEAT_MAX];

	for (int r = 0; r < repeats; r++)
		q[r] = v[r] / base[r];
	return median(q);
}

static void report(enum mu_srtp_profile p, const struct contest *c)
{
	const struct contest *base = c[0].en ? &c[0] : &c[1];

	for (size_t i = 0; i < N_ENGINES; i++) {
		if (!c[i].en)
			continue;
		printf("%-24s %-9s protect %7.0f ns  x %6.2f", mu_srtp_profile_name(p), names[i],
			median(c[i].protect), ratio(c[i].protect, base->protect));
		if (i < 2)
			printf("   unprotect %6.0f ns  x %5.2f", median(c[i].unprotect),
				ratio(c[i].unprotect, base->unprotect));
		printf("\n");
	}
}

static void bench(enum mu_srtp_profile p)
{
	static struct contest c[N_ENGINES];

	for (size_t i = 0; i < N_ENGINES; i++)
		contest_open(&c[i], names[i], p);
	for (int r = -1; r < repeats; r++) /* the first one warms up and is overwritten */
		for (size_t i = 0; i < N_ENGINES; i++) {
			if (!c[i].en)
				continue;
			c[i].protect[r < 0 ? 0 : r] = run_protect(&c[i]);
			if (i < 2) /* libsrtp would make a stream anew per packet here */
				c[i].unprotect[r < 0 ? 0 : r] = run_unprotect(&c[i]);
		}
	report(p, c);
	for (size_t i = 0; i < N_ENGINES; i++)
		contest_close(&c[i]);
}

int main(int argc, char **argv)
{
	int o;

	while ((o = getopt(argc, argv, "k:p:b:r:m:")) != -1) {
		if (o == 'k')
			n_keys = strtoul(optarg, NULL, 10);
		else if (o == 'p')
			per_key = strtoul(optarg, NULL, 10);
		else if (o == 'b')
			bytes = strtoul(optarg, NULL, 10);
		else if (o == 'r')
			repeats = atoi(optarg);
		else if (o == 'm')
			run_ms = atoi(optarg);
		else
			return 2;
	}
	if (!n_keys || !per_key || bytes <= HLEN || bytes > sizeof(plain) - 64 || repeats < 1 ||
		repeats > REPEAT_MAX) {
		fprintf(stderr, "bench_srtp: keys and packets from 1, bytes %d to %zu, repeats 1 to %d\n",
			HLEN + 1, sizeof(plain) - 64, REPEAT_MAX);
		return 2;
	}
	mu_random(plain, sizeof(plain));
	memcpy(plain, "\x90\x60\0\0\0\0\0\0\0\0\0\0\xbe\xde\0\x02\x12\1\2\3\x31\1\2", HLEN);
	printf("%zu keys, %zu packets of each a burst, %zu bytes, medians of %d\n", n_keys, per_key, bytes,
		repeats);
	for (size_t p = 0; p < MU_ARRAY_LEN(profiles); p++)
		bench(profiles[p]);
	return 0;
}
