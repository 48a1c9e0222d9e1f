#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void wire_init(struct wire *w, uint64_t seed, int64_t now_us)
{
	memset(w, 0, sizeof(*w));
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->flight);
	w->seed = seed * 0x9e3779b97f4a7c15u | 1;
	w->figures.since_us = now_us;
}

static void drop_all(struct wire_list *l)
{
	struct wire_packet *p;

	while ((p = TAILQ_FIRST(l))) {
		TAILQ_REMOVE(l, p, link);
		free(p);
	}
}

void wire_done(struct wire *w)
{
	drop_all(&w->waiting);
	drop_all(&w->flight);
}

/* xorshift64*; evenly in 0..1 */
static double chance(struct wire *w)
{
	w->seed ^= w->seed >> 12;
	w->seed ^= w->seed << 25;
	w->seed ^= w->seed >> 27;
	return (double)(w->seed * 0x2545f4914f6cdd1du >> 11) / (double)(1ull << 53);
}

/* Gilbert's two states: all is lost in the bad one, which lasts `burst` datagrams in the mean. */
static bool loses(struct wire *w)
{
	double burst = w->way.burst > 1 ? w->way.burst : 1, share = w->way.loss;

	if (w->way.cut || share >= 1)
		return true;
	if (share <= 0) {
		w->bad = false;
		return false;
	}
	w->bad = w->bad ? chance(w) >= 1 / burst : chance(w) < share / (burst * (1 - share));
	return w->bad;
}

static int64_t time_of(uint64_t bytes, uint32_t bps)
{
	return bps ? (int64_t)(bytes * 8000000u / bps) : 0;
}

int64_t wire_queue_us(const struct wire *w, int64_t now_us)
{
	int64_t busy = w->free_us > now_us && w->way.bps ? w->free_us - now_us : 0;

	return busy + time_of(w->waiting_bytes, w->way.bps);
}

static void set_off(struct wire *w, struct wire_packet *p, int64_t sent_us)
{
	struct wire_packet *before;

	p->due_us = sent_us + w->way.delay_us + (int64_t)(chance(w) * (double)w->way.jitter_us);
	if (!w->way.reorder && p->due_us < w->last_due_us)
		p->due_us = w->last_due_us;
	if (p->due_us > w->last_due_us)
		w->last_due_us = p->due_us;
	before = TAILQ_LAST(&w->flight, wire_list);
	while (before && before->due_us > p->due_us)
		before = TAILQ_PREV(before, wire_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&w->flight, before, p, link);
	else
		TAILQ_INSERT_HEAD(&w->flight, p, link);
}

/* The link takes the next ones from its queue, each at the rate of the moment when its turn came. */
static void serve(struct wire *w, int64_t now_us)
{
	struct wire_figures *f = &w->figures;
	struct wire_packet *p;

	while ((p = TAILQ_FIRST(&w->waiting))) {
		int64_t start = w->free_us > p->entered_us ? w->free_us : p->entered_us, waited;

		if (start > now_us)
			return;
		TAILQ_REMOVE(&w->waiting, p, link);
		w->waiting_bytes -= p->len + WIRE_OVERHEAD;
		w->free_us = start + time_of(p->len + WIRE_OVERHEAD, w->way.bps);
		waited = start - p->entered_us;
		f->waits++;
		f->wait_ms[waited / 1000 < WIRE_WAITS ? waited / 1000 : WIRE_WAITS - 1]++;
		if (waited > f->wait_max_us)
			f->wait_max_us = waited;
		set_off(w, p, w->free_us);
	}
}

static int enqueue(struct wire *w, const uint8_t *data, size_t len, unsigned tag, int64_t now_us)
{
	struct wire_packet *p;

	if (w->way.queue_us && wire_queue_us(w, now_us) > w->way.queue_us) {
		w->figures.overflowed++;
		return 0;
	}
	p = malloc(sizeof(*p) + len);
	if (!p)
		return -ENOMEM;
	*p = (struct wire_packet){ .entered_us = now_us, .tag = tag, .len = len };
	memcpy(p->data, data, len);
	TAILQ_INSERT_TAIL(&w->waiting, p, link);
	w->waiting_bytes += len + WIRE_OVERHEAD;
	return 0;
}

int wire_put(struct wire *w, const uint8_t *data, size_t len, unsigned tag, int64_t now_us)
{
	int err;

	serve(w, now_us);
	if (loses(w)) {
		w->figures.lost++;
		return 0;
	}
	err = enqueue(w, data, len, tag, now_us);
	if (err == 0 && w->way.doubled > 0 && chance(w) < w->way.doubled) {
		w->figures.doubled++;
		err = enqueue(w, data, len, tag, now_us);
	}
	return err;
}

struct wire_packet *wire_take(struct wire *w, int64_t now_us)
{
	struct wire_packet *p;

	serve(w, now_us);
	p = TAILQ_FIRST(&w->flight);
	if (!p || p->due_us > now_us)
		return NULL;
	TAILQ_REMOVE(&w->flight, p, link);
	w->figures.packets++;
	w->figures.bytes += p->len + WIRE_OVERHEAD;
	return p;
}

int64_t wire_next_us(struct wire *w, int64_t now_us)
{
	const struct wire_packet *p;
	int64_t next = INT64_MAX;

	serve(w, now_us);
	if ((p = TAILQ_FIRST(&w->waiting)))
		next = w->free_us;
	if ((p = TAILQ_FIRST(&w->flight)) && p->due_us < next)
		next = p->due_us;
	return next;
}

int wire_set(struct wire_way *w, const char *setting)
{
	const char *value = strchr(setting, '=');
	size_t n = value ? (size_t)(value - setting) : 0;
	char *end;
	double v;

	if (!n)
		return -EINVAL;
	v = strtod(value + 1, &end);
	if (end == value + 1 || *end || !(v >= 0) || v > 1e7)
		return -EINVAL;
	if (!strncmp(setting, "rate", n) && n == 4)
		w->bps = (uint32_t)(v * 1000 > UINT32_MAX ? UINT32_MAX : v * 1000);
	else if (!strncmp(setting, "queue", n) && n == 5)
		w->queue_us = (int64_t)(v * 1000);
	else if (!strncmp(setting, "delay", n) && n == 5)
		w->delay_us = (int64_t)(v * 1000);
	else if (!strncmp(setting, "jitter", n) && n == 6)
		w->jitter_us = (int64_t)(v * 1000);
	else if (!strncmp(setting, "loss", n) && n == 4 && v <= 100)
		w->loss = v / 100;
	else if (!strncmp(setting, "doubled", n) && n == 7 && v <= 100)
		w->doubled = v / 100;
	else if (!strncmp(setting, "burst", n) && n == 5)
		w->burst = (unsigned)v;
	else if (!strncmp(setting, "reorder", n) && n == 7)
		w->reorder = v > 0;
	else if (!strncmp(setting, "cut", n) && n == 3)
		w->cut = v > 0;
	else
		return -EINVAL;
	return 0;
}

unsigned wire_wait_ms(const struct wire_figures *f, double q)
{
	uint64_t want = (uint64_t)(q * (double)f->waits), n = 0;

	for (unsigned ms = 0; ms < WIRE_WAITS; ms++) {
		n += f->wait_ms[ms];
		if (n > want)
			return ms;
	}
	return (unsigned)(f->wait_max_us / 1000);
}

void wire_report(struct wire *w, FILE *to, int64_t now_us)
{
	struct wire_figures *f = &w->figures;
	double seconds = (double)(now_us - f->since_us) / 1e6;

	serve(w, now_us);
	fprintf(to,
		"{\"packets\": %llu, \"bytes\": %llu, \"kbps\": %.1f, \"lost\": %llu, \"overflowed\": %llu, "
		"\"doubled\": %llu, \"queue_now_ms\": %lld, \"queue_p50_ms\": %u, \"queue_p95_ms\": %u, "
		"\"queue_max_ms\": %.1f, \"seconds\": %.3f}",
		(unsigned long long)f->packets, (unsigned long long)f->bytes,
		seconds > 0 ? (double)f->bytes * 8 / seconds / 1000 : 0.0, (unsigned long long)f->lost,
		(unsigned long long)f->overflowed, (unsigned long long)f->doubled,
		(long long)(wire_queue_us(w, now_us) / 1000), wire_wait_ms(f, .5), wire_wait_ms(f, .95),
		(double)f->wait_max_us / 1000, seconds);
	memset(f, 0, sizeof(*f));
	f->since_us = now_us;
}
