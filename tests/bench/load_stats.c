/* Histograms, the stamp in each payload, the server's process, the table. */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* --- histogram --- */

static unsigned bucket_of(uint64_t ns)
{
	unsigned octave;

	if (ns < 32)
		return (unsigned)ns;
	octave = 63 - (unsigned)__builtin_clzll(ns);
	return MU_MIN((octave - 4) * 32 + (unsigned)(ns >> (octave - 5) & 31), HIST_BUCKETS - 1u);
}

static uint64_t middle_of(unsigned b)
{
	unsigned octave = b / 32 + 4;

	if (b < 32)
		return b;
	return (uint64_t)(32 + b % 32) << (octave - 5) | (1ull << (octave - 5)) / 2;
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->n++;
	h->sum += (double)ns;
	h->max = MU_MAX(h->max, ns);
	h->bucket[bucket_of(ns)]++;
}

uint64_t hist_at(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n), n = 0;

	for (unsigned b = 0; b < HIST_BUCKETS; b++) {
		n += h->bucket[b];
		if (n > want)
			return MU_MIN(middle_of(b), h->max);
	}
	return h->max;
}

static double ms_of(uint64_t ns)
{
	return (double)(ns / 100) / 1e4;
}

json_t *stats_hist_ms(const struct hist *h)
{
	return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "n", (json_int_t)h->n, "p50",
		ms_of(hist_at(h, .5)), "p95", ms_of(hist_at(h, .95)), "p99", ms_of(hist_at(h, .99)), "p999",
		ms_of(hist_at(h, .999)), "max", ms_of(h->max), "mean",
		h->n ? h->sum / (double)h->n / 1e6 : 0.0);
}

/* --- stamp --- */

void stamp_write(const struct stamp *s, uint8_t *ret)
{
	mu_put32(ret, STAMP_MAGIC);
	ret[4] = s->stream;
	ret[5] = s->media;
	ret[6] = 0xff;
	ret[7] = (uint8_t)(0xff - s->layer);
	mu_put32(ret + 8, s->frame);
	mu_put64(ret + 12, s->number);
	mu_put64(ret + 20, s->sent_ns);
}

int stamp_read(const uint8_t *payload, size_t len, struct stamp *ret)
{
	const uint8_t *d = payload + len - STAMP_LEN;

	if (len < STAMP_LEN || mu_get32(d) != STAMP_MAGIC || d[6] != 0xff)
		return -EBADMSG;
	ret->stream = d[4];
	ret->media = d[5];
	ret->layer = (uint8_t)(0xff - d[7]);
	ret->frame = mu_get32(d + 8);
	ret->number = mu_get64(d + 12);
	ret->sent_ns = mu_get64(d + 20);
	return 0;
}

/* --- processes --- */

static bool read_text(const char *path, char *ret, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return false;
	n = fread(ret, 1, size - 1, f);
	ret[n] = 0;
	fclose(f);
	return n > 0;
}

/* schedstat counts nanoseconds, softirq work done on the thread's time included: on loopback the receiver's
 * half of the network stack is the sender's expense. */
static void read_thread(int pid, int tid, struct proc_sample *s)
{
	char path[96], text[128];
	unsigned long long ns;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	if (!read_text(path, text, sizeof(text)) || sscanf(text, "%llu", &ns) != 1)
		return;
	s->cpu_ns += ns;
	s->threads++;
	if ((size_t)s->n_thread == MU_ARRAY_LEN(s->thread))
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
	if (!read_text(path, text, sizeof(text)))
		return;
	text[strcspn(text, "\n")] = 0;
	s->thread[s->n_thread].tid = tid;
	s->thread[s->n_thread].cpu_ns = ns;
	snprintf(s->thread[s->n_thread++].name, sizeof(s->thread[0].name), "%.15s", text);
}

static int count_dir(int pid, const char *name, struct proc_sample *threads)
{
	char path[64];
	struct dirent *e;
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (threads)
			read_thread(pid, atoi(e->d_name), threads);
	}
	if (d)
		closedir(d);
	return n;
}

bool proc_read(int pid, struct proc_sample *ret)
{
	char path[64], text[4096];
	const char *rss;

	memset(ret, 0, sizeof(*ret));
	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!read_text(path, text, sizeof(text)) || !(rss = strstr(text, "VmRSS:")))
		return false;
	ret->rss_kib = atol(rss + 6);
	ret->at_ns = now_ns();
	ret->fds = count_dir(pid, "fd", NULL);
	count_dir(pid, "task", ret);
	return true;
}

uint64_t own_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

json_t *stats_threads(const struct proc_sample *before, const struct proc_sample *after)
{
	json_t *list = json_array();
	double span = (double)(after->at_ns - before->at_ns);

	for (int i = 0; i < after->n_thread; i++) {
		for (int k = 0; k < before->n_thread; k++) {
			double share;

			if (before->thread[k].tid != after->thread[i].tid)
				continue;
			share = (double)(after->thread[i].cpu_ns - before->thread[k].cpu_ns) / span;
			if (share > 0.005)
				json_array_append_new(list,
					json_pack("{s:i, s:f}", "tid", after->thread[i].tid, "share", share));
		}
	}
	return list;
}

/* --- table --- */

static void print_value(const char *prefix, const char *key, json_t *v)
{
	if (json_is_real(v))
		printf("%s%-22s %.4g\n", prefix, key, json_real_value(v));
	else if (json_is_integer(v))
		printf("%s%-22s %lld\n", prefix, key, (long long)json_integer_value(v));
	else if (json_is_string(v))
		printf("%s%-22s %s\n", prefix, key, json_string_value(v));
}

static void print_inline(const char *key, json_t *object)
{
	const char *k;
	json_t *v;

	printf("%-22s", key);
	json_object_foreach(object, k, v) printf(" %s %.4g", k, json_number_value(v));
	printf("\n");
}

static void print_rows(const char *key, json_t *rows)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (json_is_string(row))
			print_value("", key, row);
		else
			print_inline(key, row);
	}
}

void stats_print(json_t *report)
{
	const char *key;
	json_t *v;

	json_object_foreach(report, key, v)
	{
		if (json_is_object(v))
			print_inline(key, v);
		else if (json_is_array(v))
			print_rows(key, v);
		else
			print_value("", key, v);
	}
}
