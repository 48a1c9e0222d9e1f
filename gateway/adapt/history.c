/* The packets sent to a viewer, and its feedback about them. */
#include <errno.h>
#include <stdlib.h>

#include "adapt/adapt.h"

#define TICK_US    250
#define REF_US     64000
#define REF_FAR    (1ll << 40)
#define FCI_HEADER 8
#define FLIGHT_US  1000000
#define RUN_MAX    0x1fff

enum told { UNTOLD, TOLD_LOST, TOLD_ARRIVED };
struct sent {
	int64_t at_us;
	uint16_t size, probe, seq;
	uint8_t told; /* enum told */
	bool used;
};
struct mu_history {
	uint16_t next;
	bool have_ref;
	int64_t ref; /* unwrapped reference time of the last feedback, in units of 64 ms */
	struct sent sent[MU_HISTORY_PACKETS];
};

int mu_history_new(struct mu_history **ret)
{
	struct mu_history *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->next = (uint16_t)mu_random_u32();
	*ret = h;
	return 0;
}

void mu_history_free(struct mu_history *h)
{
	free(h);
}

uint16_t mu_history_sent(struct mu_history *h, size_t size, uint16_t probe, int64_t now_us)
{
	uint16_t seq = h->next++;

	h->sent[seq % MU_HISTORY_PACKETS] = (struct sent){ .at_us = now_us,
		.size = (uint16_t)MU_MIN(size, 65535u),
		.probe = probe,
		.seq = seq,
		.used = true };
	return seq;
}

void mu_history_forget(struct mu_history *h, uint16_t seq)
{
	struct sent *s = &h->sent[seq % MU_HISTORY_PACKETS];

	if (s->seq == seq)
		s->told = TOLD_ARRIVED;
}

size_t mu_history_in_flight(const struct mu_history *h, int64_t now_us)
{
	size_t bytes = 0;

	for (unsigned i = 1; i <= MU_HISTORY_PACKETS; i++) {
		const struct sent *s = &h->sent[(uint16_t)(h->next - i) % MU_HISTORY_PACKETS];

		if (!s->used || now_us - s->at_us > FLIGHT_US)
			break;
		if (s->told == UNTOLD)
			bytes += s->size;
	}
	return bytes;
}

/* --- reading a feedback's FCI (section 3.1 of the draft)
 * ---------------------------------------------------------------- */

struct reader {
	const uint8_t *chunks, *deltas, *end;
	unsigned left; /* packets whose symbol is still to come */
	/* symbols of the chunk being read */
	uint16_t chunk;
	unsigned n_in_chunk;
	bool run;
	unsigned run_symbol;
};

static unsigned symbols_of(uint16_t chunk)
{
	if (!(chunk & 0x8000))
		return chunk & RUN_MAX;
	return chunk & 0x4000 ? 7 : 14;
}

/* @return 0..2, or -EBADMSG */
static int next_symbol(struct reader *r, const uint8_t *chunks_end)
{
	if (r->n_in_chunk == 0) {
		if (r->chunks + 2 > chunks_end)
			return -EBADMSG;
		r->chunk = mu_get16(r->chunks);
		r->chunks += 2;
		r->n_in_chunk = symbols_of(r->chunk);
		if (r->n_in_chunk == 0)
			return -EBADMSG;
	}
	r->n_in_chunk--;
	if (!(r->chunk & 0x8000))
		return r->chunk >> 13 & 3;
	if (r->chunk & 0x4000)
		return r->chunk >> 2 * r->n_in_chunk & 3;
	return r->chunk >> r->n_in_chunk & 1;
}

/* The deltas begin where the chunks for `count` packets end. @return where, NULL: malformed */
static const uint8_t *skip_chunks(const uint8_t *at, const uint8_t *end, unsigned count)
{
	while (count > 0) {
		unsigned n;

		if (at + 2 > end)
			return NULL;
		n = symbols_of(mu_get16(at));
		if (n == 0)
			return NULL;
		at += 2;
		count -= MU_MIN(count, n);
	}
	return at;
}

/* @return false: malformed */
static bool read_delta(struct reader *r, int symbol, int64_t *ticks)
{
	if (symbol == 1) {
		if (r->deltas + 1 > r->end)
			return false;
		*ticks += *r->deltas++;
	} else {
		if (r->deltas + 2 > r->end)
			return false;
		*ticks += (int16_t)mu_get16(r->deltas);
		r->deltas += 2;
	}
	return true;
}

/* What is to be told of packet seq now. @return false: nothing new, or not known */
static bool tell(struct mu_history *h, uint16_t seq, bool arrived, int64_t arrived_us, struct mu_fate *ret)
{
	struct sent *s = &h->sent[seq % MU_HISTORY_PACKETS];
	enum told told = arrived ? TOLD_ARRIVED : TOLD_LOST;

	if (!s->used || s->seq != seq || s->told >= told)
		return false;
	s->told = (uint8_t)told;
	*ret = (struct mu_fate){ .sent_us = s->at_us,
		.arrived_us = arrived_us,
		.size = s->size,
		.probe = s->probe,
		.lost = !arrived };
	return true;
}

/* The reference time has 24 bits: 12 days. */
static int64_t unwrap_reference(struct mu_history *h, uint32_t ref)
{
	int32_t ahead;

	if (!h->have_ref) {
		h->have_ref = true;
		h->ref = ref;
		return h->ref;
	}
	ahead = (int32_t)((ref - (uint32_t)h->ref) << 8) >> 8;
	h->ref += ahead;
	if (h->ref > REF_FAR || h->ref < -REF_FAR)
		h->ref = ref; /* nobody's clock goes there: somebody makes them up */
	return h->ref;
}

/* One pass to see that it is well formed, one to tell: a broken message changes nothing. */
static int walk(
	struct mu_history *h, const uint8_t *fci, size_t len, int64_t ref_us, struct mu_fate *ret, size_t max)
{
	uint16_t base = mu_get16(fci);
	unsigned count = mu_get16(fci + 2);
	struct reader r = { .chunks = fci + FCI_HEADER, .end = fci + len };
	const uint8_t *chunks_end = r.deltas = skip_chunks(r.chunks, r.end, count);
	int64_t ticks = 0;
	size_t n = 0;

	if (!r.deltas)
		return -EBADMSG;
	for (unsigned i = 0; i < count; i++) {
		int symbol = next_symbol(&r, chunks_end);

		if (symbol < 0 || symbol == 3 || (symbol > 0 && !read_delta(&r, symbol, &ticks)))
			return -EBADMSG;
		if (ret && n < max &&
			tell(h, (uint16_t)(base + i), symbol > 0, ref_us + ticks * TICK_US, &ret[n]))
			n++;
	}
	return (int)n;
}

int mu_history_feedback(struct mu_history *h, const uint8_t *fci, size_t len, struct mu_fate *ret, size_t max)
{
	int err;

	if (len < FCI_HEADER)
		return -EBADMSG;
	err = walk(h, fci, len, 0, NULL, 0);
	if (err < 0)
		return err;
	return walk(h, fci, len, unwrap_reference(h, mu_get32(fci + 4) >> 8) * REF_US, ret, max);
}
