/* A worker's relay: which branches have something to give, and when it goes. */
#include <errno.h>
#include <stdlib.h>

#include "relay/relay_internal.h"

/* Gathering holds packets of a frame that is not complete anyway, so that more of them share one send; worth it once there
 * are viewers enough and the worker has work. */
#define GATHER_SINKS	 8
#define GATHER_LOAD_FROM 0.40
#define GATHER_LOAD_FULL 0.80

static struct mu_relay *(*find_relay)(const struct mu_worker *w);

void mu_relay_bind(struct mu_relay *(*of_worker)(const struct mu_worker *w))
{
	find_relay = of_worker;
}

struct mu_relay *relay_of(const struct mu_worker *w)
{
	return find_relay(w);
}

int mu_relay_new(struct mu_worker *w, size_t max_packets, void (*drain)(struct mu_worker *w, int64_t now_us),
	struct mu_relay **ret)
{
	struct mu_relay *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	err = mu_slab_new(max_packets, &r->slab);
	if (err < 0) {
		free(r);
		return err;
	}
	r->worker = w;
	r->drain = drain;
	mu_list_init(&r->dirty);
	mu_list_init(&r->handing);
	*ret = r;
	return 0;
}

static void clean(struct branch *b)
{
	mu_list_remove(&b->dirty);
	mu_track_unref(b->track);
}

static void handed(struct mu_track *t)
{
	mu_list_remove(&t->handing);
	mu_track_unref(t);
}

void mu_relay_free(struct mu_relay *r)
{
	if (!r)
		return;
	mu_list_for_each_safe(it, next, &r->dirty)
		clean(MU_CONTAINER_OF(it, struct branch, dirty));
	mu_list_for_each_safe(it, next, &r->handing) {
		struct mu_track *t = MU_CONTAINER_OF(it, struct mu_track, handing);

		hand_forget(t);
		handed(t);
	}
	mu_slab_free(r->slab);
	free(r);
}

void mu_relay_set_gather(struct mu_relay *r, int64_t gather_us)
{
	r->gather_us = gather_us;
}

struct mu_slab *mu_relay_slab(struct mu_relay *r)
{
	return r->slab;
}

static int64_t gather_for(const struct mu_relay *r, const struct branch *b)
{
	double load = mu_worker_load(r->worker);

	if (b->n_sinks < GATHER_SINKS || load <= GATHER_LOAD_FROM)
		return 0;
	if (load >= GATHER_LOAD_FULL)
		return r->gather_us;
	return (int64_t)((double)r->gather_us * (load - GATHER_LOAD_FROM) / (GATHER_LOAD_FULL - GATHER_LOAD_FROM));
}

static bool ready(const struct mu_relay *r, const struct branch *b, int64_t now_us)
{
	if (b->n_pending == 0)
		return false;
	if (b->n_pending == MU_BURST_MAX || (b->track->kind == MU_VIDEO && b->marker))
		return true;
	return now_us >= b->pending_since_us + gather_for(r, b);
}

/* Bursts of audio are small and leave as the tail of somebody's video: when anything goes, they go along. */
static bool any_ready(const struct mu_relay *r, int64_t now_us)
{
	mu_list_for_each(it, &r->dirty) {
		if (ready(r, MU_CONTAINER_OF(it, struct branch, dirty), now_us))
			return true;
	}
	return false;
}

static int64_t flush_hands(struct mu_relay *r, int64_t now_us)
{
	int64_t next = INT64_MAX;

	mu_list_for_each_safe(it, nx, &r->handing) {
		struct mu_track *t = MU_CONTAINER_OF(it, struct mu_track, handing);
		int64_t again = hand_flush(t, now_us);

		next = MU_MIN(next, again);
		if (again == INT64_MAX)
			handed(t); /* may have been the last reference */
	}
	return next;
}

int64_t mu_relay_flush(struct mu_relay *r, int64_t now_us)
{
	bool go = any_ready(r, now_us);
	int64_t next = flush_hands(r, now_us);

	mu_list_for_each_safe(it, nx, &r->dirty) {
		struct branch *b = MU_CONTAINER_OF(it, struct branch, dirty);

		if (ready(r, b, now_us) || (go && b->track->kind == MU_AUDIO))
			branch_deliver(b, now_us);
	}
	if (go)
		r->drain(r->worker, now_us);
	mu_list_for_each_safe(it, nx, &r->dirty) {
		struct branch *b = MU_CONTAINER_OF(it, struct branch, dirty);

		int64_t more;

		branch_settle(b);
		more = branch_catch_up(b, now_us);
		next = MU_MIN(next, more);
		if (b->n_pending > 0)
			next = MU_MIN(next, b->pending_since_us + gather_for(r, b));
		else if (more == INT64_MAX)
			clean(b); /* may have been the last reference */
	}
	return next;
}

void mu_relay_handed(struct mu_relay *r, const struct mu_hand *h, int64_t now_us)
{
	struct mu_track *t = h->to;
	struct branch *b = branch_of(t, r->worker);

	if (b->n_sinks == 0 || h->tag != b->epoch) { /* they left while this was on its way */
		mu_relay_discard(h);
		return;
	}
	branch_set_formats(b, h->about, now_us);
	for (unsigned i = 0; i < h->n; i++) {
		if (branch_keep(b, h->items[i]))
			branch_queue(b, h->items[i], now_us);
		else
			mu_packet_unref(h->items[i]);
	}
	formats_unref(h->about);
	mu_track_unref(t);
}

void mu_relay_discard(const struct mu_hand *h)
{
	for (unsigned i = 0; i < h->n; i++)
		mu_packet_unref(h->items[i]);
	formats_unref(h->about);
	mu_track_unref(h->to);
}
