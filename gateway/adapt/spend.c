/* The allocator: what the link bears, dealt out by rank. */
#include "adapt/adapt.h"

#define RISE_SPARE    1.10
#define RISE_AFTER_US 2000000

static uint32_t cost(const struct mu_claim *c, int point)
{
	return point < 0 ? 0 : c->point_bps[point];
}

static int top_point(const struct mu_claim *c)
{
	return MU_MIN(c->max_point, (int)c->n_points - 1);
}

uint32_t mu_spend_wanted(const struct mu_claim *claims, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += cost(&claims[i], top_point(&claims[i]));
	return (uint32_t)MU_MIN(sum, UINT32_MAX);
}

/* Whether a is served before b. */
static bool before(const struct mu_claim *a, const struct mu_claim *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->weight != b->weight)
		return a->weight > b->weight;
	return a < b;
}

/* The claim behind `after` in the order of service; NULL: it was the last. after NULL: the first. */
static struct mu_claim *next_claim(struct mu_claim *claims, size_t n, const struct mu_claim *after)
{
	struct mu_claim *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (after && !before(after, &claims[i]))
			continue;
		if (!best || before(&claims[i], best))
			best = &claims[i];
	}
	return best;
}

/* A point above what the claim has must leave something to spare and come a while after a fall: a link at its
 * limit would else be driven up and down. */
static bool may_take(const struct mu_claim *c, int point, uint64_t sum, uint32_t bps, int64_t now_us)
{
	uint64_t total = sum - cost(c, c->next) + cost(c, point);

	if (point <= c->point)
		return total <= bps;
	return (double)total * RISE_SPARE <= bps && now_us - c->fell_us >= RISE_AFTER_US;
}

static uint64_t raise(struct mu_claim *c, uint64_t sum)
{
	sum += cost(c, c->next + 1) - cost(c, c->next);
	c->next++;
	return sum;
}

/* Each its lowest point. */
static uint64_t serve_all(struct mu_claim *claims, size_t n, uint32_t bps, int64_t now_us)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		claims[i].next = MU_PAUSED;
	for (struct mu_claim *c = next_claim(claims, n, NULL); c; c = next_claim(claims, n, c)) {
		if (top_point(c) >= 0 && (c->never_paused || may_take(c, 0, sum, bps, now_us)))
			sum = raise(c, sum);
	}
	return sum;
}

/* The claims of one rank rise in turn, a point at a time, so that tiles of one size look alike. */
static uint64_t raise_rank(
	struct mu_claim *claims, size_t n, unsigned rank, uint64_t sum, uint32_t bps, int64_t now_us)
{
	bool risen;

	do {
		risen = false;
		for (struct mu_claim *c = next_claim(claims, n, NULL); c; c = next_claim(claims, n, c)) {
			if (c->rank != rank || c->next < 0 || c->next >= top_point(c) ||
				!may_take(c, c->next + 1, sum, bps, now_us))
				continue;
			sum = raise(c, sum);
			risen = true;
		}
	} while (risen);
	return sum;
}

uint32_t mu_spend(struct mu_claim *claims, size_t n, uint32_t bps, int64_t now_us)
{
	uint64_t sum = serve_all(claims, n, bps, now_us);
	const struct mu_claim *last = NULL;

	for (struct mu_claim *c = next_claim(claims, n, NULL); c; c = next_claim(claims, n, c)) {
		if (last && last->rank == c->rank)
			continue;
		last = c;
		sum = raise_rank(claims, n, c->rank, sum, bps, now_us);
	}
	for (size_t i = 0; i < n; i++) {
		/* What it gives up because it wants no more is no fall: a tile may grow again at once. */
		if (claims[i].next < MU_MIN(claims[i].point, top_point(&claims[i])))
			claims[i].fell_us = now_us;
		claims[i].point = claims[i].next;
	}
	return (uint32_t)MU_MIN(sum, UINT32_MAX);
}
