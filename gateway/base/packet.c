#include <errno.h>
#include <stdlib.h>

#include "base/base.h"

#define CHUNK_PACKETS 256

struct chunk {
	struct chunk *next;
	struct mu_packet packets[CHUNK_PACKETS];
};

/* The owner takes from `local`; other threads push to `returned`, which the owner takes whole when local is empty. */
struct mu_slab {
	struct mu_packet *local;
	struct chunk *chunks;
	size_t n_packets, max_packets;
	size_t n_taken; /* by the owner, since start */
	_Alignas(MU_CACHELINE) _Atomic(struct mu_packet *) returned;
	atomic_size_t n_returned;
	atomic_size_t holders; /* packets out, plus one for the owner: the last one frees */
};

int mu_slab_new(size_t max_packets, struct mu_slab **ret)
{
	struct mu_slab *s;

	if (max_packets == 0)
		return -EINVAL;
	s = aligned_alloc(MU_CACHELINE, sizeof(*s));
	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	s->max_packets = max_packets;
	atomic_init(&s->holders, 1);
	*ret = s;
	return 0;
}

static void release(struct mu_slab *s)
{
	if (atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) != 1)
		return;
	while (s->chunks) {
		struct chunk *next = s->chunks->next;

		free(s->chunks);
		s->chunks = next;
	}
	free(s);
}

void mu_slab_free(struct mu_slab *s)
{
	if (s)
		release(s);
}

void mu_slab_usage(const struct mu_slab *s, size_t *packets, size_t *bytes)
{
	*packets = s->n_taken - atomic_load_explicit(&s->n_returned, memory_order_relaxed);
	*bytes = s->n_packets / CHUNK_PACKETS * sizeof(struct chunk);
}

static void grow(struct mu_slab *s)
{
	struct chunk *c;

	if (s->n_packets >= s->max_packets)
		return;
	c = malloc(sizeof(*c));
	if (!c)
		return;
	c->next = s->chunks;
	s->chunks = c;
	s->n_packets += CHUNK_PACKETS;
	for (int i = CHUNK_PACKETS - 1; i >= 0; i--) {
		c->packets[i].slab = s;
		c->packets[i].next = s->local;
		s->local = &c->packets[i];
	}
}

struct mu_packet *mu_packet_new(struct mu_slab *s)
{
	struct mu_packet *p;

	if (!s->local)
		s->local = atomic_exchange_explicit(&s->returned, NULL, memory_order_acquire);
	if (!s->local)
		grow(s);
	p = s->local;
	if (!p)
		return NULL;
	s->local = p->next;
	s->n_taken++;
	atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
	atomic_init(&p->refs, 1);
	p->next = NULL;
	p->flags = 0;
	p->pad = 0;
	p->n_ext = 0;
	p->lead = 0;
	p->codec = 0;
	return p;
}

struct mu_packet *mu_packet_unref(struct mu_packet *p)
{
	struct mu_slab *s;
	struct mu_packet *head;

	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	s = p->slab;
	head = atomic_load_explicit(&s->returned, memory_order_relaxed);
	do {
		p->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&s->returned, &head, p, memory_order_release,
		memory_order_relaxed));
	atomic_fetch_add_explicit(&s->n_returned, 1, memory_order_relaxed);
	release(s);
	return NULL;
}
