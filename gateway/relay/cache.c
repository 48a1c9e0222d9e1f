#include <stdlib.h>

#include "relay/relay_internal.h"

static struct mu_packet **slot(const struct cache *c, uint64_t seq)
{
	return &c->slots[seq & (c->size - 1)];
}

static void drop_lowest(struct cache *c)
{
	struct mu_packet **s = slot(c, c->low++);

	if (c->have_gop && c->low > c->gop)
		c->have_gop = false;
	*s = mu_packet_unref(*s);
}

static bool grow(struct cache *c, size_t size)
{
	struct cache bigger = { .size = size };

	bigger.slots = calloc(size, sizeof(struct mu_packet *));
	if (!bigger.slots)
		return false;
	for (uint64_t s = c->low; s < c->high; s++)
		*slot(&bigger, s) = *slot(c, s);
	free(c->slots);
	c->slots = bigger.slots;
	c->size = size;
	return true;
}

/* What is young enough, or needed since the last key frame, stays. Young against the packet that comes, not the clock: what
 * another worker hands over may have been there for a while. */
static bool keeps(const struct cache *c, uint64_t seq, int64_t arrival_us, bool keep_gop)
{
	const struct mu_packet *p = *slot(c, seq);

	return arrival_us - p->arrival_us <= MU_CACHE_US || (keep_gop && c->have_gop && seq >= c->gop);
}

/* A hole is as old as the packet behind it: until that one goes it may be filled. */
static void drop_old(struct cache *c, int64_t arrival_us, bool keep_gop)
{
	for (;;) {
		c->oldest = MU_MAX(c->oldest, c->low);
		while (c->oldest < c->high && !*slot(c, c->oldest))
			c->oldest++;
		if (c->oldest == c->high || keeps(c, c->oldest, arrival_us, keep_gop))
			return;
		while (c->low <= c->oldest)
			drop_lowest(c);
	}
}

/* Make [low, seq] fit: drop what is old, grow while what is not old needs it, and drop the oldest at the bound. Even when
 * nothing is left (one picture in seconds), the numbers since the last one may yet be repaired. */
static bool make_room(struct cache *c, uint64_t seq, int64_t arrival_us, bool keep_gop)
{
	if (!c->slots) {
		if (!grow(c, CACHE_MIN))
			return false;
		c->low = c->high = seq;
	}
	while (c->low < c->high && seq - c->low >= CACHE_MAX)
		drop_lowest(c);
	if (seq - c->low >= CACHE_MAX) /* a jump: the last before seq may still come, swapped */
		c->low = c->high = seq - (CACHE_MIN - 1);
	drop_old(c, arrival_us, keep_gop);
	while (seq - c->low >= c->size) {
		if (c->size >= CACHE_MAX || !grow(c, c->size * 2))
			drop_lowest(c);
	}
	return true;
}

bool cache_put(struct cache *c, struct mu_packet *p, bool keep_gop)
{
	struct mu_packet **s;

	if (c->slots && p->seq < c->low)
		return false;
	if (p->seq >= c->high) {
		if (!make_room(c, p->seq, p->arrival_us, keep_gop))
			return false;
		c->high = p->seq + 1;
	}
	s = slot(c, p->seq);
	if (*s)
		return false;
	*s = mu_packet_ref(p);
	c->oldest = MU_MIN(c->oldest, p->seq);
	c->gop_bytes += p->len;
	return true;
}

struct mu_packet *cache_get(const struct cache *c, uint64_t seq)
{
	return c->slots && seq >= c->low && seq < c->high ? *slot(c, seq) : NULL;
}

void cache_key(struct cache *c, const struct mu_packet *p)
{
	uint64_t start = key_start(p);
	const struct mu_packet *old = c->have_gop ? cache_get(c, c->gop) : NULL;

	if (!cache_get(c, start))
		return; /* its parameter sets never came here */
	if (c->have_gop && start <= c->gop && !(old && old->ts == p->ts))
		return; /* an older one, unless it is the start of the same, swapped */
	c->gop = start;
	c->gop_bytes = p->len;
	c->have_gop = true;
}

void cache_done(struct cache *c)
{
	while (c->low < c->high)
		drop_lowest(c);
	free(c->slots);
	memset(c, 0, sizeof(*c));
}
