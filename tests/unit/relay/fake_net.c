#include <assert.h>
#include <stdlib.h>

#include "fake_net.h"

#define QUEUE  4096
#define TIMERS 64

struct mu_worker {
	unsigned index;
	void *user;
	struct mu_relay *relay;
	struct mu_msg *msgs[QUEUE];
	unsigned n_msgs;
	struct mu_hand hands[QUEUE];
	unsigned n_hands, ring; /* ring: as many fit */
	uint64_t hand_dropped;
	struct mu_timer *timers[TIMERS];
	unsigned n_timers;
	double load;
	int64_t next;
	unsigned drains;
};
struct mu_net {
	unsigned n;
	struct mu_worker w[MU_WORKERS_MAX];
};

static struct mu_relay *relay_of_worker(const struct mu_worker *w)
{
	return w->relay;
}

static void on_drain(struct mu_worker *w, int64_t now_us)
{
	(void)now_us;
	w->drains++;
}

struct mu_net *fake_net_new(unsigned workers)
{
	struct mu_net *n = calloc(1, sizeof(*n));

	n->n = workers;
	mu_relay_bind(relay_of_worker);
	for (unsigned i = 0; i < workers; i++) {
		n->w[i].index = i;
		n->w[i].ring = QUEUE;
		mu_relay_new(&n->w[i], 100000, on_drain, &n->w[i].relay);
	}
	return n;
}

void fake_net_free(struct mu_net *n)
{
	for (unsigned i = 0; i < n->n; i++) {
		for (unsigned k = 0; k < n->w[i].n_hands; k++)
			mu_relay_discard(&n->w[i].hands[k]);
	}
	for (unsigned i = 0; i < n->n; i++)
		mu_relay_free(n->w[i].relay);
	free(n);
}

static bool run_timers(struct mu_worker *w, int64_t now_us)
{
	bool any = false;

	for (unsigned i = 0; i < w->n_timers;) {
		struct mu_timer *t = w->timers[i];

		if (t->due_us > now_us) {
			i++;
			continue;
		}
		mu_timer_cancel(w, t);
		t->fn(t, w, now_us);
		any = true;
	}
	return any;
}

static bool run_worker(struct mu_worker *w, int64_t now_us)
{
	unsigned n_msgs = w->n_msgs, n_hands = w->n_hands;
	bool any = n_msgs > 0 || n_hands > 0;
	struct mu_msg *msgs[QUEUE];

	memcpy(msgs, w->msgs, n_msgs * sizeof(msgs[0]));
	w->n_msgs = 0;
	for (unsigned i = 0; i < n_msgs; i++)
		msgs[i]->fn(msgs[i]);
	for (unsigned i = 0; i < n_hands; i++)
		mu_relay_handed(w->relay, &w->hands[i], now_us);
	w->n_hands = 0;
	any |= run_timers(w, now_us);
	w->next = mu_relay_flush(w->relay, now_us);
	return any;
}

void fake_net_run(struct mu_net *n, int64_t now_us)
{
	for (bool again = true; again;) {
		again = false;
		for (unsigned i = 0; i < n->n; i++)
			again |= run_worker(&n->w[i], now_us);
	}
}

void fake_net_set_load(struct mu_net *n, double load)
{
	for (unsigned i = 0; i < n->n; i++)
		n->w[i].load = load;
}

void fake_net_set_ring(struct mu_net *n, unsigned i, unsigned size)
{
	n->w[i].ring = size;
}

uint64_t fake_net_hand_dropped(const struct mu_net *n)
{
	return n->w[0].hand_dropped;
}

void fake_net_run_one(struct mu_net *n, unsigned i, int64_t now_us)
{
	run_worker(&n->w[i], now_us);
}

unsigned fake_net_hands(const struct mu_net *n, unsigned i)
{
	return n->w[i].n_hands;
}

struct mu_relay *fake_net_relay(struct mu_net *n, unsigned i)
{
	return n->w[i].relay;
}

int64_t fake_net_next(struct mu_net *n, unsigned i)
{
	return n->w[i].next;
}

unsigned fake_net_drains(const struct mu_net *n)
{
	return n->w[0].drains;
}

/* --- what relay calls ------------------------------------------------------------------------------------------------------------ */

unsigned mu_net_workers(const struct mu_net *n)
{
	return n->n;
}

struct mu_worker *mu_net_worker(struct mu_net *n, unsigned i)
{
	return &n->w[i];
}

unsigned mu_worker_index(const struct mu_worker *w)
{
	return w->index;
}

void mu_worker_post(struct mu_worker *w, struct mu_msg *m)
{
	assert(w->n_msgs < QUEUE);
	w->msgs[w->n_msgs++] = m;
}

bool mu_worker_hand(struct mu_worker *from, struct mu_worker *to, const struct mu_hand *h)
{
	(void)from;
	if (to->n_hands == to->ring)
		return false;
	to->hands[to->n_hands++] = *h;
	return true;
}

void mu_worker_hand_dropped(struct mu_worker *from, uint64_t packets)
{
	from->hand_dropped += packets;
}

void mu_timer_set(struct mu_worker *w, struct mu_timer *t, int64_t due_us)
{
	t->due_us = due_us;
	if (t->at)
		return;
	assert(w->n_timers < TIMERS);
	w->timers[w->n_timers++] = t;
	t->at = 1;
}

void mu_timer_cancel(struct mu_worker *w, struct mu_timer *t)
{
	if (!t->at)
		return;
	t->at = 0;
	for (unsigned i = 0; i < w->n_timers; i++) {
		if (w->timers[i] == t)
			w->timers[i] = w->timers[--w->n_timers];
	}
}

double mu_worker_load(const struct mu_worker *w)
{
	return w->load;
}

/* --- the control thread --- */

static struct mu_msg *posted[64];
static unsigned n_posted;

void mu_inbox_post(struct mu_inbox *in, struct mu_msg *m)
{
	(void)in;
	assert(n_posted < MU_ARRAY_LEN(posted));
	posted[n_posted++] = m;
}

void fake_net_control(void)
{
	for (unsigned i = 0; i < n_posted; i++)
		posted[i]->fn(posted[i]);
	n_posted = 0;
}
