#include <errno.h>
#include <stdlib.h>

#include "rtp/rtp.h"

#define INTERVAL_MIN_US     20000
#define INTERVAL_UNKNOWN_US 100000 /* no round trip measured yet */
#define AGE_MAX_US          1000000

_Static_assert((MU_NACK_WINDOW & (MU_NACK_WINDOW - 1)) == 0, "slots are found by masking");

/* A number is in the slot of its low bits; missing ones lie in [low, highest), so no slot needs to hold its
 * number. */
struct slot {
	int64_t since_us, first_asked_us, asked_us;
	bool missing;
	uint8_t tries;
};
struct mu_nack {
	int64_t hold_us; /* const after new */
	bool started;
	uint64_t low, highest; /* nothing below low is missing; highest - low <= MU_NACK_WINDOW */
	unsigned n_missing;
	struct slot slots[MU_NACK_WINDOW];
};

int mu_nack_new(int64_t hold_us, struct mu_nack **ret)
{
	struct mu_nack *n;

	if (hold_us < 0)
		return -EINVAL;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->hold_us = hold_us;
	*ret = n;
	return 0;
}

void mu_nack_free(struct mu_nack *n)
{
	free(n);
}

void mu_nack_reset(struct mu_nack *n)
{
	memset(n->slots, 0, sizeof(n->slots));
	n->n_missing = 0;
	n->started = false;
	n->low = n->highest = 0;
}

static struct slot *slot(struct mu_nack *n, uint64_t seq)
{
	return &n->slots[seq & (MU_NACK_WINDOW - 1)];
}

static void clear(struct mu_nack *n, uint64_t seq)
{
	struct slot *s = slot(n, seq);

	n->n_missing -= s->missing;
	s->missing = false;
}

/* Give up what is below seq, and let low rise to what is still missing. */
static void raise_low(struct mu_nack *n, uint64_t seq)
{
	for (; n->low < n->highest && n->n_missing; n->low++) {
		if (n->low >= seq && slot(n, n->low)->missing)
			return;
		clear(n, n->low);
	}
	n->low = n->highest; /* nothing is missing */
}

static bool is_missing(struct mu_nack *n, uint64_t seq)
{
	return seq >= n->low && seq < n->highest && slot(n, seq)->missing;
}

void mu_nack_seen(struct mu_nack *n, uint64_t seq, int64_t now_us)
{
	if (!n->started) {
		n->started = true;
		n->low = n->highest = seq;
		return;
	}
	if (seq <= n->highest) {
		if (is_missing(n, seq)) {
			clear(n, seq);
			raise_low(n, n->low);
		}
		return;
	}
	if (seq - n->highest > MU_NACK_WINDOW) {
		raise_low(n, n->highest);
		n->low = n->highest = seq;
		return;
	}
	/* Make room before the slots are used anew. */
	if (seq - n->low > MU_NACK_WINDOW)
		raise_low(n, seq - MU_NACK_WINDOW);
	for (uint64_t s = n->highest + 1; s < seq; s++) {
		*slot(n, s) = (struct slot){ .missing = true, .since_us = now_us };
		n->n_missing++;
	}
	n->highest = seq;
}

void mu_nack_repaired(struct mu_nack *n, uint64_t seq, int64_t now_us, struct mu_rtt *rtt)
{
	const struct slot *s = slot(n, seq);

	if (rtt && is_missing(n, seq) && s->tries > 0) {
		if (s->tries == 1)
			mu_rtt_sample(rtt, now_us - s->asked_us);
		else
			mu_rtt_unsure(rtt, now_us - s->first_asked_us);
	}
	mu_nack_seen(n, seq, now_us);
}

static int64_t interval(int64_t rtt_us)
{
	return rtt_us < 0 ? INTERVAL_UNKNOWN_US : MU_MAX(rtt_us, INTERVAL_MIN_US);
}

/* When to act on a missing number: ask, ask again or give up. */
static int64_t due_us(const struct mu_nack *n, const struct slot *s, int64_t interval_us)
{
	int64_t ask = s->tries ? s->asked_us + interval_us : s->since_us + n->hold_us;

	return MU_MIN(ask, s->since_us + AGE_MAX_US);
}

size_t mu_nack_due(struct mu_nack *n, int64_t now_us, int64_t rtt_us, uint16_t *ret, size_t max)
{
	int64_t every = interval(rtt_us);
	size_t found = 0;

	for (uint64_t seq = n->low; seq < n->highest && n->n_missing && found < max; seq++) {
		struct slot *s = slot(n, seq);

		if (!s->missing || now_us < due_us(n, s, every))
			continue;
		if (s->tries == MU_NACK_TRIES || now_us >= s->since_us + AGE_MAX_US) {
			clear(n, seq);
			continue;
		}
		if (s->tries++ == 0)
			s->first_asked_us = now_us;
		s->asked_us = now_us;
		ret[found++] = (uint16_t)seq;
	}
	raise_low(n, n->low);
	return found;
}

int64_t mu_nack_next_us(const struct mu_nack *n, int64_t rtt_us)
{
	int64_t every = interval(rtt_us), next = INT64_MAX;
	unsigned left = n->n_missing;

	for (uint64_t seq = n->low; left; seq++) {
		const struct slot *s = &n->slots[seq & (MU_NACK_WINDOW - 1)];

		if (!s->missing)
			continue;
		next = MU_MIN(next, due_us(n, s, every));
		left--;
	}
	return next;
}
