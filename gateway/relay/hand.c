/* Between home and other workers, on home's side. Packets gather until the turn's flush, or until as many
 * wait as an item of a ring holds, and go to each worker as one item. A worker whose ring is full is behind:
 * it gets what it missed from home's cache as soon as there is room, and so does a branch that begins where
 * the source cannot be asked for a key frame. What the cache no longer has is lost. */
#include "relay/relay_internal.h"

#define RETRY_US 1000

/* The references are copied: the caller keeps its own. */
static bool give(struct mu_track *t, unsigned worker, struct mu_packet **pkts, unsigned n)
{
	struct formats *f = branch_of(t, t->home)->formats;
	struct mu_hand h = {
		.to = mu_track_ref(t), .about = formats_ref(f), .n = n, .tag = t->far[worker].epoch
	};

	for (unsigned i = 0; i < n; i++)
		h.items[i] = mu_packet_ref(pkts[i]);
	if (mu_worker_hand(t->home, t->branches[worker].worker, &h))
		return true;
	mu_relay_discard(&h);
	return false;
}

static void mark(struct mu_track *t)
{
	if (!mu_list_empty(&t->handing))
		return;
	mu_track_ref(t);
	mu_list_append(&relay_of(t->home)->handing, &t->handing);
}

/* From number `from` on, worker gets what the cache has. */
static void fall_behind(struct mu_track *t, unsigned worker, uint64_t from)
{
	t->behind |= 1u << worker;
	t->far[worker].resume = from;
	mark(t);
}

static void give_gathered(struct mu_track *t)
{
	uint64_t lowest = UINT64_MAX;

	for (unsigned i = 0; i < t->n_gathered; i++)
		lowest = MU_MIN(lowest, t->gathered[i]->seq);
	for (uint32_t bits = t->wanted; bits; bits &= bits - 1) {
		unsigned worker = (unsigned)__builtin_ctz(bits);

		if (t->behind & 1u << worker)
			t->far[worker].resume = MU_MIN(t->far[worker].resume, lowest);
		else if (!give(t, worker, t->gathered, t->n_gathered))
			fall_behind(t, worker, lowest);
	}
	hand_forget(t);
}

/* Numbers that the cache has dropped meanwhile. Their pictures need a new key frame, unless one is on its way
 * with the rest. */
static void count_lost(struct mu_track *t, uint64_t n, int64_t now_us)
{
	struct branch *b = branch_of(t, t->home);

	b->stats.unhanded += n;
	mu_worker_hand_dropped(t->home, n);
	if (t->kind == MU_VIDEO && !b->cache.have_gop)
		home_ask_key(t, now_us);
}

static void catch_up(struct mu_track *t, unsigned worker, int64_t now_us)
{
	const struct cache *c = &branch_of(t, t->home)->cache;
	struct mu_packet *pkts[MU_HAND_MAX];
	uint64_t seq = t->far[worker].resume;

	if (seq < c->low) {
		count_lost(t, c->low - seq, now_us);
		seq = c->low;
	}
	while (seq < c->high) {
		unsigned n = 0;

		t->far[worker].resume = seq;
		while (seq < c->high && n < MU_HAND_MAX) {
			struct mu_packet *p = cache_get(c, seq++);

			if (p)
				pkts[n++] = p;
		}
		if (n > 0 && !give(t, worker, pkts, n))
			return;
	}
	t->behind &= ~(1u << worker);
}

void hand_gather(struct mu_track *t, struct mu_packet *p)
{
	if (t->wanted == 0)
		return;
	if (t->n_gathered == MU_HAND_MAX)
		give_gathered(t);
	t->gathered[t->n_gathered++] = mu_packet_ref(p);
	mark(t);
}

void hand_ask_key(struct mu_track *t)
{
	t->key_asked_afar = true;
	mark(t);
}

void hand_wish_key(struct mu_track *t)
{
	t->key_wished_afar = true;
	mark(t);
}

int64_t hand_flush(struct mu_track *t, int64_t now_us)
{
	if (t->key_asked_afar)
		home_ask_key(t, now_us);
	if (t->key_wished_afar)
		home_wish_key(t, now_us);
	t->key_asked_afar = t->key_wished_afar = false;
	if (t->n_gathered > 0)
		give_gathered(t);
	for (uint32_t bits = t->behind; bits; bits &= bits - 1)
		catch_up(t, (unsigned)__builtin_ctz(bits), now_us);
	return t->behind ? now_us + RETRY_US : INT64_MAX;
}

void hand_forget(struct mu_track *t)
{
	for (unsigned i = 0; i < t->n_gathered; i++)
		mu_packet_unref(t->gathered[i]);
	t->n_gathered = 0;
}

void hand_begin(struct mu_track *t, unsigned worker, unsigned epoch)
{
	struct branch *b = branch_of(t, t->home);

	if (t->n_gathered > 0)
		give_gathered(t); /* not for the newcomer: it gets them from the cache, if at all */
	t->far[worker].epoch = epoch;
	t->wanted |= 1u << worker;
	t->behind &= ~(1u << worker);
	if (branch_keeps_gop(b) && b->cache.have_gop)
		fall_behind(t, worker, b->cache.gop);
}

/* Formats are about to change: what is handed from now on must not be of the old ones. */
void hand_seal(struct mu_track *t, int64_t now_us)
{
	uint64_t high = branch_of(t, t->home)->cache.high;

	hand_flush(t, now_us);
	for (uint32_t bits = t->behind; bits; bits &= bits - 1) {
		struct far *f = &t->far[__builtin_ctz(bits)];

		count_lost(t, high - f->resume, now_us);
		f->resume = high;
	}
}

void hand_end(struct mu_track *t, unsigned worker)
{
	t->wanted &= ~(1u << worker);
	t->behind &= ~(1u << worker);
}
