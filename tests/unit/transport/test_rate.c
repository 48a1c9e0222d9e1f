/* What the link of a viewer bears: feedback true, forged, flooding and absent; probes; the pace. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rtp/rtp.h"
#include "transport/rate.h"

#define S       1000000
#define MIN_BPS 50000
#define MAX_BPS 100000000
#define FCI_AT  12 /* in a feedback message: behind the common header and two SSRCs */

/* A link without end, 20 ms each way, and a receiver that reports ten times a second. */
struct link {
	struct rate *r;
	struct mu_twcc_rx *rx;
	int64_t now_us, feedback_us;
};

static void open_link(struct link *l)
{
	memset(l, 0, sizeof(*l));
	l->now_us = 5 * S;
	assert_int_equal(rate_new(l->now_us, &l->r), 0);
	assert_int_equal(mu_twcc_rx_new(&l->rx), 0);
}

static void close_link(struct link *l)
{
	rate_free(l->r);
	mu_twcc_rx_free(l->rx);
}

static void sent(struct link *l, size_t size, uint16_t probe)
{
	mu_twcc_rx_packet(l->rx, rate_sent(l->r, size, probe, l->now_us), l->now_us + 20000);
}

static void answer(struct link *l)
{
	uint8_t buf[1400];
	size_t n;

	while ((n = mu_twcc_rx_report(l->rx, 1, 2, buf, sizeof(buf))) > 0)
		assert_int_equal(rate_feedback(l->r, buf + FCI_AT, n - FCI_AT, 40000, l->now_us), 0);
}

/* Packets of 1000 bytes, one each `gap` ms, and the probes that are asked for. */
static void run(struct link *l, int64_t us, int gap, uint32_t wanted, bool answers)
{
	for (int64_t end = l->now_us + us; l->now_us < end; l->now_us += 1000) {
		size_t n;

		if (gap && l->now_us / 1000 % gap == 0)
			sent(l, 1000, 0);
		if (l->now_us / 1000 % 100 == 0) {
			if (answers)
				answer(l);
			rate_tick(l->r, l->now_us);
			rate_probe_begin(l->r, wanted, l->now_us);
		}
		while ((n = rate_probe_due(l->r, 1200, l->now_us)) > 0) {
			sent(l, n, l->r->probe.cluster);
			rate_probe_sent(l->r, n, l->now_us);
		}
	}
}

static void test_finds_room_beyond_what_is_wanted(void **state)
{
	struct link l;

	(void)state;
	open_link(&l);
	run(&l, 5 * S, 4, 2000000, true);
	assert_true(l.r->known);
	assert_in_range(rate_bps(l.r), 4000000, 6000000);
	assert_true(rate_pace_bps(l.r, 2000000) > 2 * rate_bps(l.r));
	assert_in_range(l.r->probes, 1, 4); /* there is no need for more */
	close_link(&l);
}

/* A cluster leaves at its rate, in packets of at most so many bytes, and is over. */
static void test_probe_is_spread(void **state)
{
	struct link l;
	size_t bytes = 0, n, packets = 0;
	uint32_t asked, bps;
	int64_t began;

	(void)state;
	open_link(&l);
	assert_int_equal(rate_probe_next_us(l.r), INT64_MAX);
	assert_true(rate_probe_begin(l.r, 10000000, l.now_us));
	assert_false(rate_probe_begin(l.r, 10000000, l.now_us)); /* one at a time */
	asked = l.r->probe.bytes;
	bps = l.r->probe.bps;
	began = l.now_us;
	while (rate_probe_next_us(l.r) != INT64_MAX) {
		l.now_us = MU_MAX(l.now_us, rate_probe_next_us(l.r));
		n = rate_probe_due(l.r, 1000, l.now_us);
		assert_in_range(n, 1, 1000);
		rate_probe_sent(l.r, n, l.now_us);
		bytes += n;
		packets++;
		assert_true(bytes * 8 * S <= (uint64_t)bps * (uint64_t)(l.now_us - began) + 1010 * 8ull * S);
	}
	assert_in_range(bytes, asked, asked + 1000);
	assert_true(packets >= 5);
	close_link(&l);
}

/* --- a peer that never answers keeps what everybody begins with --- */

static void test_absent_feedback(void **state)
{
	struct link l;
	uint32_t first;

	(void)state;
	open_link(&l);
	first = rate_bps(l.r);
	run(&l, 20 * S, 4, 2000000, false);
	assert_int_equal(rate_bps(l.r), first);
	assert_false(l.r->known);
	assert_true(rate_pace_bps(l.r, 2000000) > 5000000);
	assert_true(l.r->probes < 12);
	close_link(&l);
}

static void test_silence_cuts_and_ends(void **state)
{
	struct link l;
	uint32_t before;

	(void)state;
	open_link(&l);
	run(&l, 5 * S, 4, 2000000, true);
	before = rate_bps(l.r);
	run(&l, 3 * S, 4, 2000000, false);
	assert_true(rate_bps(l.r) < before / 8);
	assert_true(rate_bps(l.r) >= MIN_BPS);
	run(&l, 10 * S, 4, 2000000, true);
	assert_true(rate_bps(l.r) > before / 2);
	close_link(&l);
}

/* Nothing was sent: nothing is missing. */
static void test_idle_is_not_silence(void **state)
{
	struct link l;
	uint32_t before;

	(void)state;
	open_link(&l);
	run(&l, 5 * S, 4, 2000000, true);
	answer(&l);
	before = rate_bps(l.r);
	run(&l, 20 * S, 0, 0, false);
	assert_int_equal(rate_bps(l.r), before);
	run(&l, S, 4, 0, true);
	assert_true(rate_bps(l.r) >= before * 9 / 10);
	close_link(&l);
}

/* --- lies (RELIABILITY S13) --- */

static uint32_t seed = 1;
static uint32_t dice(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

/* n packets from `base` on, all come, at a time of the liar's choice. */
static int lie(struct link *l, uint16_t base, uint16_t n, uint32_t ref, uint8_t delta)
{
	uint8_t fci[10 + 1000];

	mu_put16(fci, base);
	mu_put16(fci + 2, n);
	mu_put32(fci + 4, ref << 8);
	mu_put16(fci + 8, (uint16_t)(0x2000 | n));
	memset(fci + 10, delta, n);
	return rate_feedback(l->r, fci, 10u + n, 40000, l->now_us);
}

static void test_packets_never_sent(void **state)
{
	struct link l;

	(void)state;
	open_link(&l);
	for (unsigned i = 0; i < 1000; i++, l.now_us += 20000) {
		assert_int_equal(lie(&l, (uint16_t)dice(), 500, i, 1), 0);
		rate_tick(l.r, l.now_us);
	}
	assert_false(l.r->known);
	assert_int_equal(rate_bps(l.r), 1000000);
	close_link(&l);
}

/* A peer says that all came, at once: its own link gets what it asked for, up to the bound. */
static void test_all_is_well_lies(void **state)
{
	struct link l;
	uint16_t base = 0;

	(void)state;
	open_link(&l);
	for (unsigned i = 0; i < 3000; i++, l.now_us += 20000) {
		for (unsigned k = 0; k < 20; k++) {
			uint16_t seq = rate_sent(l.r, 1400, 0, l.now_us);

			base = k ? base : seq;
		}
		assert_int_equal(lie(&l, base, 20, i, 0), 0);
		rate_tick(l.r, l.now_us);
		if (rate_probe_begin(l.r, 2000000000, l.now_us)) {
			size_t n;

			while ((n = rate_probe_due(l.r, 1400, l.now_us + S)) > 0) {
				lie(&l, rate_sent(l.r, n, l.r->probe.cluster, l.now_us), 1, i, 1);
				rate_probe_sent(l.r, n, l.now_us);
			}
		}
		assert_in_range(rate_bps(l.r), MIN_BPS, MAX_BPS);
	}
	close_link(&l);
}

static void test_noise(void **state)
{
	struct link l;
	uint8_t fci[64];

	(void)state;
	open_link(&l);
	for (unsigned i = 0; i < 20000; i++) {
		uint16_t seq = rate_sent(l.r, 100 + dice() % 1300, (uint16_t)(dice() % 3), l.now_us);
		size_t len = dice() % sizeof(fci);

		for (size_t k = 0; k < sizeof(fci); k++)
			fci[k] = (uint8_t)dice();
		if (dice() % 2) {
			mu_put16(fci, (uint16_t)(seq - dice() % 50));
			mu_put16(fci + 2, (uint16_t)(dice() % 60));
		}
		rate_feedback(l.r, fci, len, (int64_t)dice() * 1000 - 1000000, l.now_us);
		l.now_us += dice() % 20000;
		rate_tick(l.r, l.now_us);
		rate_probe_begin(l.r, dice() * 8, l.now_us);
		assert_in_range(rate_bps(l.r), MIN_BPS, MAX_BPS);
		assert_true(mu_estimate_loss(l.r->estimate) >= 0 && mu_estimate_loss(l.r->estimate) <= 1);
	}
	close_link(&l);
}

/* More messages than anybody has reason to send are not read. */
static void test_flood(void **state)
{
	struct link l;
	unsigned read = 0;

	(void)state;
	open_link(&l);
	for (unsigned i = 0; i < 100000; i++) {
		l.now_us += i % 20 == 0; /* 5 ms in all */
		read += lie(&l, rate_sent(l.r, 100, 0, l.now_us), 1, i, 0) == 0;
	}
	assert_true(read <= 200);
	l.now_us += S;
	assert_int_equal(lie(&l, rate_sent(l.r, 100, 0, l.now_us), 1, 0, 0), 0);
	assert_int_equal(rate_feedback(l.r, (const uint8_t *)"short", 5, 0, l.now_us), -EBADMSG);
	close_link(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_room_beyond_what_is_wanted),
		cmocka_unit_test(test_probe_is_spread),
		cmocka_unit_test(test_absent_feedback),
		cmocka_unit_test(test_silence_cuts_and_ends),
		cmocka_unit_test(test_idle_is_not_silence),
		cmocka_unit_test(test_packets_never_sent),
		cmocka_unit_test(test_all_is_well_lies),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
