#include <assert.h>
#include <stdlib.h>

#include "net/net_internal.h"

/* A binary heap; place 0 is unused so that mu_timer.at == 0 means "not set". */
static void put(struct timers *h, size_t i, struct mu_timer *t)
{
	h->heap[i] = t;
	t->at = i;
}

static void up(struct timers *h, size_t i)
{
	struct mu_timer *t = h->heap[i];

	for (; i > 1 && h->heap[i / 2]->due_us > t->due_us; i /= 2)
		put(h, i, h->heap[i / 2]);
	put(h, i, t);
}

static void down(struct timers *h, size_t i)
{
	struct mu_timer *t = h->heap[i];

	for (size_t child; (child = 2 * i) <= h->n; i = child) {
		if (child < h->n && h->heap[child + 1]->due_us < h->heap[child]->due_us)
			child++;
		if (h->heap[child]->due_us >= t->due_us)
			break;
		put(h, i, h->heap[child]);
	}
	put(h, i, t);
}

/* Timers are few and live long; out of memory here would leave a session without its clock, so it ends the process. */
static void grow(struct timers *h)
{
	if (h->n + 1 < h->size)
		return;
	h->size = h->size ? h->size * 2 : 256;
	h->heap = realloc(h->heap, h->size * sizeof(*h->heap));
	if (!h->heap) {
		mu_err("net", NULL, "out of memory for a timer");
		mu_log_flush();
		abort();
	}
}

void mu_timer_set(struct mu_worker *w, struct mu_timer *t, int64_t due_us)
{
	struct timers *h = &w->timers;

	if (t->at) {
		int64_t was = t->due_us;

		t->due_us = due_us;
		if (due_us < was)
			up(h, t->at);
		else
			down(h, t->at);
		return;
	}
	grow(h);
	t->due_us = due_us;
	put(h, ++h->n, t);
	up(h, h->n);
}

void mu_timer_cancel(struct mu_worker *w, struct mu_timer *t)
{
	struct timers *h = &w->timers;
	size_t i = t->at;
	struct mu_timer *last;

	if (!i)
		return;
	assert(h->heap[i] == t);
	t->at = 0;
	last = h->heap[h->n--];
	if (last == t)
		return;
	put(h, i, last);
	up(h, i);
	down(h, last->at);
}

int64_t timers_next(const struct timers *h)
{
	return h->n ? h->heap[1]->due_us : INT64_MAX;
}

void timers_run(struct mu_worker *w, int64_t now_us)
{
	while (timers_next(&w->timers) <= now_us) {
		struct mu_timer *t = w->timers.heap[1];

		mu_timer_cancel(w, t);
		t->fn(t, w, now_us);
	}
}

void timers_done(struct timers *h)
{
	free(h->heap);
}
