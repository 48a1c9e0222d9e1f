/* Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1). */
#include <errno.h>
#include <stdlib.h>

#include "rtp/rtp.h"

#define TICK_US     250
#define REF_TICKS   256 /* the reference time counts 64 ms */
#define FMT_TWCC    15
#define HEADER      20 /* common header, two SSRCs, base, count, reference time, feedback count */
#define RUN_MAX     8191
#define VECTOR1_MAX 14 /* symbols of one bit in a chunk */
#define VECTOR2_MAX 7  /* of two bits */

enum symbol { LOST, SMALL, LARGE }; /* LARGE or negative; the value is also the bytes its delta takes */

struct arrival {
	uint64_t seq; /* 0: none */
	int64_t tick;
};
struct mu_twcc_rx {
	bool started;
	uint8_t count;    /* of feedback messages */
	uint64_t base;    /* next to report */
	uint64_t highest; /* unwrapped, from 65536 up */
	struct arrival arrivals[MU_TWCC_WINDOW];
};

/* A message being put together: what has been decided, then written at once. */
struct message {
	uint8_t symbols[MU_TWCC_WINDOW];
	int16_t deltas[MU_TWCC_WINDOW]; /* of each symbol, LOST ones unused */
	uint16_t chunks[MU_TWCC_WINDOW / VECTOR2_MAX +
		2]; /* all but the last say at least as much as a vector */
	size_t n_symbols, n_chunks;
};

int mu_twcc_rx_new(struct mu_twcc_rx **ret)
{
	struct mu_twcc_rx *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*ret = t;
	return 0;
}

void mu_twcc_rx_free(struct mu_twcc_rx *t)
{
	free(t);
}

static const struct arrival *find(const struct mu_twcc_rx *t, uint64_t seq)
{
	const struct arrival *a = &t->arrivals[seq % MU_TWCC_WINDOW];

	return a->seq == seq ? a : NULL;
}

void mu_twcc_rx_packet(struct mu_twcc_rx *t, uint16_t seq, int64_t arrival_us)
{
	uint16_t ahead = (uint16_t)(seq - (uint16_t)t->highest);
	uint64_t n;

	if (!t->started) {
		t->started = true;
		n = t->base = t->highest = 65536u + seq;
	} else if (ahead > 65536 - MU_TWCC_WINDOW) {
		/* Late: what was said about it and those after it is said again, now with its time. */
		n = t->highest - (uint16_t)-ahead;
		if (find(t, n))
			return;
		t->base = MU_MIN(t->base, n);
	} else {
		/* Anything further back counts as far ahead, so that a sender who starts over is not ignored.
		 */
		n = t->highest + ahead;
		if (find(t, n))
			return;
		t->highest = n;
		if (n - t->base >= MU_TWCC_WINDOW)
			t->base = n - MU_TWCC_WINDOW + 1;
	}
	t->arrivals[n % MU_TWCC_WINDOW] = (struct arrival){ .seq = n, .tick = arrival_us / TICK_US };
}

/* Symbols and deltas from base on, up to a delta that 16 bits cannot say. @return ticks of the reference time
 */
static int64_t collect(const struct mu_twcc_rx *t, struct message *m)
{
	int64_t ref = -1, last = 0;

	m->n_symbols = 0;
	for (uint64_t seq = t->base; seq <= t->highest; seq++) {
		const struct arrival *a = find(t, seq);
		size_t i = m->n_symbols;

		if (!a) {
			m->symbols[i] = LOST;
		} else {
			if (ref < 0)
				last = ref = a->tick - a->tick % REF_TICKS;
			if (a->tick - last > INT16_MAX || a->tick - last < INT16_MIN)
				break;
			m->deltas[i] = (int16_t)(a->tick - last);
			m->symbols[i] = m->deltas[i] >= 0 && m->deltas[i] <= UINT8_MAX ? SMALL : LARGE;
			last = a->tick;
		}
		m->n_symbols++;
	}
	return ref;
}

/* The best chunk for what begins at s. @return how many symbols it says; only the last of a message says
 * fewer than its form has room for */
static size_t choose(const uint8_t *s, size_t n, uint16_t *ret)
{
	size_t run = 1, plain = 0, one = MU_MIN(n, (size_t)VECTOR1_MAX), two = MU_MIN(n, (size_t)VECTOR2_MAX);
	unsigned bits = 0;

	while (run < n && run < RUN_MAX && s[run] == s[0])
		run++;
	while (plain < one && s[plain] != LARGE)
		plain++;
	if (run >= (plain == one ? one : two)) {
		*ret = (uint16_t)((unsigned)s[0] << 13 | run);
		return run;
	}
	if (plain == one) {
		for (size_t i = 0; i < one; i++)
			bits |= (unsigned)s[i] << (VECTOR1_MAX - 1 - i);
		*ret = (uint16_t)(0x8000 | bits);
		return one;
	}
	for (size_t i = 0; i < two; i++)
		bits |= (unsigned)s[i] << 2 * (VECTOR2_MAX - 1 - i);
	*ret = (uint16_t)(0xc000 | bits);
	return two;
}

static size_t delta_bytes(const uint8_t *s, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += s[i];
	return sum;
}

/* How many symbols' deltas fit in room. */
static size_t fitting(const uint8_t *s, size_t n, size_t room)
{
	size_t i = 0;

	for (; i < n && s[i] <= room; i++)
		room -= s[i];
	return i;
}

/* Chunks for as many symbols as fit in room with their deltas. */
static void plan(struct message *m, size_t room)
{
	size_t at = 0;

	m->n_chunks = 0;
	while (at < m->n_symbols && room >= 2) {
		const uint8_t *s = m->symbols + at;
		uint16_t *chunk = &m->chunks[m->n_chunks];
		size_t n = choose(s, m->n_symbols - at, chunk), fit = fitting(s, n, room - 2);

		if (fit < n) { /* the message ends here */
			m->n_symbols = at + fit;
			if (fit == 0)
				break;
			n = choose(s, fit, chunk);
		}
		m->n_chunks++;
		room -= 2 + delta_bytes(s, n);
		at += n;
	}
	m->n_symbols = at;
}

static size_t write_body(const struct message *m, uint8_t *ret)
{
	uint8_t *p = ret;

	for (size_t i = 0; i < m->n_chunks; i++, p += 2)
		mu_put16(p, m->chunks[i]);
	for (size_t i = 0; i < m->n_symbols; i++) {
		if (m->symbols[i] == SMALL) {
			*p++ = (uint8_t)m->deltas[i];
		} else if (m->symbols[i] == LARGE) {
			mu_put16(p, (uint16_t)m->deltas[i]);
			p += 2;
		}
	}
	/* Zeros to the word and no P bit: feedback may stand anywhere in a compound (RFC 3550,
	 * section 6.4.1). */
	while ((p - ret) % 4)
		*p++ = 0;
	return (size_t)(p - ret);
}

size_t mu_twcc_rx_report(
	struct mu_twcc_rx *t, uint32_t sender_ssrc, uint32_t media_ssrc, uint8_t *ret, size_t size)
{
	struct message m;
	int64_t ref;
	size_t len;

	if (!t->started || t->base > t->highest || size < HEADER + 4)
		return 0;
	ref = collect(t, &m);
	plan(&m, (size & ~(size_t)3) - HEADER);
	if (m.n_symbols == 0)
		return 0;
	len = HEADER + write_body(&m, ret + HEADER);
	ret[0] = 0x80 | FMT_TWCC;
	ret[1] = MU_RTCP_RTPFB;
	mu_put16(ret + 2, (uint16_t)(len / 4 - 1));
	mu_put32(ret + 4, sender_ssrc);
	mu_put32(ret + 8, media_ssrc);
	mu_put16(ret + 12, (uint16_t)t->base);
	mu_put16(ret + 14, (uint16_t)m.n_symbols);
	mu_put24(ret + 16, (uint32_t)(ref / REF_TICKS)); /* wraps after 12 days */
	ret[19] = t->count++;
	t->base += m.n_symbols;
	return len;
}
