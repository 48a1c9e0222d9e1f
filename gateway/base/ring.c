#include <errno.h>
#include <stdlib.h>

#include "base/base.h"

/* The producer's and the consumer's halves lie on cache lines of their own; each keeps a copy of the other's index and
 * reads the shared one only when the copy says full or empty. */
struct mu_ring {
	size_t mask, item;
	uint8_t *items;
	_Alignas(MU_CACHELINE) struct {
		size_t head;		/* next to put; the producer's */
		size_t tail_seen;	/* copy of tail */
	} producer;
	_Alignas(MU_CACHELINE) atomic_size_t head; /* published */
	_Alignas(MU_CACHELINE) struct {
		size_t tail;
		size_t head_seen;
	} consumer;
	_Alignas(MU_CACHELINE) atomic_size_t tail;
};

int mu_ring_new(size_t n_items, size_t item, struct mu_ring **ret)
{
	size_t n = 2;
	struct mu_ring *r;

	if (n_items < 2 || n_items > 1 << 20 || item < 1 || item > 4096)
		return -EINVAL;
	while (n < n_items)
		n *= 2;
	r = aligned_alloc(MU_CACHELINE, sizeof(*r));
	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->mask = n - 1;
	r->item = item;
	r->items = calloc(n, item);
	if (!r->items) {
		free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void mu_ring_free(struct mu_ring *r)
{
	if (!r)
		return;
	free(r->items);
	free(r);
}

bool mu_ring_put(struct mu_ring *r, const void *item)
{
	if (r->producer.head - r->producer.tail_seen > r->mask) {
		r->producer.tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (r->producer.head - r->producer.tail_seen > r->mask)
			return false;
	}
	memcpy(r->items + (r->producer.head & r->mask) * r->item, item, r->item);
	r->producer.head++;
	return true;
}

void mu_ring_publish(struct mu_ring *r)
{
	atomic_store_explicit(&r->head, r->producer.head, memory_order_release);
}

bool mu_ring_ready(struct mu_ring *r)
{
	if (r->consumer.tail == r->consumer.head_seen)
		r->consumer.head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
	return r->consumer.tail != r->consumer.head_seen;
}

bool mu_ring_take(struct mu_ring *r, void *ret)
{
	if (!mu_ring_ready(r))
		return false;
	memcpy(ret, r->items + (r->consumer.tail & r->mask) * r->item, r->item);
	r->consumer.tail++;
	atomic_store_explicit(&r->tail, r->consumer.tail, memory_order_release);
	return true;
}
