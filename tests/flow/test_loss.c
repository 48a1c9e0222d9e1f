/* What viewers see when the network is bad (RELIABILITY G6, S6, R2): frames that come whole, and how soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "flow.h"

#define S          1000000
#define ONE_WAY_US 30000 /* 60 ms there and back, on each of the two links */
#define LATE_US    1000000

static struct flow f;

static void both_ways(struct link *l, struct link_way w)
{
	l->up.way = l->down.way = w;
}

static struct receiver *begin(uint64_t seed)
{
	flow_up(&f);
	flow_publish(&f, 1000, seed);
	return flow_watch(&f, seed + 100);
}

/* From the first key frame the viewer saw to what had time to be repaired. */
static unsigned joined_in(const struct receiver *r, unsigned to)
{
	unsigned first = 0;

	assert_true(r->key_seen);
	while (first < to && !(f.frames[first].key && r->got[first]))
		first++;
	return first;
}
static struct outcome whole_since_join(const struct receiver *r, unsigned to)
{
	return flow_outcome(&f, r, joined_in(r, to), to, LATE_US);
}

/* From the frame it joined in on. */
static void expect_whole(const struct receiver *r, unsigned to, unsigned per_mille)
{
	struct outcome o = whole_since_join(r, to);

	for (unsigned i = 0; i < to; i++) {
		if (r->got[i] && r->n_got[i] < f.frames[i].n)
			print_message("frame %u: %x of %u packets%s\n", i, r->got[i], f.frames[i].n,
				f.frames[i].key ? ", key" : "");
	}
	print_message(
		"%u of %u frames whole, the slowest after %lld ms; %u asked, %u repaired, %u given up\n",
		o.whole, o.frames, (long long)o.slowest_us / 1000, r->asked, r->repaired, r->given_up);
	assert_true(o.frames > 50);
	assert_true(o.whole * 1000 >= o.frames * per_mille);
	assert_int_equal(r->far, 0);
}

/* Lossy for ten seconds, then clean for one, in which the last repairs come. */
static void lossy(double loss, unsigned burst, unsigned per_mille)
{
	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct link_way w = { .loss = loss, .burst = burst, .delay_us = ONE_WAY_US };
		struct receiver *r = begin(seed);
		unsigned to;

		both_ways(&f.sender->link, (struct link_way){ .delay_us = ONE_WAY_US });
		both_ways(&r->link, (struct link_way){ .delay_us = ONE_WAY_US });
		flow_run(&f, S);
		both_ways(&f.sender->link, w);
		both_ways(&r->link, w);
		flow_run(&f, 10 * S);
		to = f.n_frames;
		both_ways(&f.sender->link, (struct link_way){ .delay_us = ONE_WAY_US });
		both_ways(&r->link, (struct link_way){ .delay_us = ONE_WAY_US });
		flow_run(&f, S);
		assert_true(f.sender->link.up.lost > 0 && r->link.down.lost > 0);
		expect_whole(r, to, per_mille);
		assert_int_equal(r->bad, 0);
		flow_down(&f);
	}
}

static void test_no_loss(void **state)
{
	struct receiver *r = begin(7);

	(void)state;
	both_ways(&f.sender->link, (struct link_way){ .delay_us = ONE_WAY_US });
	both_ways(&r->link, (struct link_way){ .delay_us = ONE_WAY_US });
	flow_run(&f, 5 * S);
	expect_whole(r, f.n_frames - 10, 1000);
	assert_int_equal(r->asked + r->doubles + r->bad + f.sender->resent, 0);
	assert_true(whole_since_join(r, f.n_frames - 10).slowest_us < 2 * ONE_WAY_US + FRAME_US);
	flow_down(&f);
}

static void test_loss_1(void **state)
{
	(void)state;
	lossy(0.01, 1, 999);
}
static void test_loss_5(void **state)
{
	(void)state;
	lossy(0.05, 1, 995);
}
static void test_loss_10(void **state)
{
	(void)state;
	lossy(0.10, 1, 985);
}
/* RELIABILITY G6: 5 % in bursts of 4 in the mean */
static void test_bursts(void **state)
{
	(void)state;
	lossy(0.05, 4, 995);
}
/* A hundred milliseconds of nothing now and then. */
static void test_long_bursts(void **state)
{
	(void)state;
	lossy(0.05, 25, 980);
}

/* --- order and number --- */

static void test_reordering_within_the_grace(void **state)
{
	struct receiver *r = begin(11);
	struct link_way w = { .delay_us = ONE_WAY_US, .jitter_us = 8000 };

	(void)state;
	both_ways(&f.sender->link, w);
	flow_run(&f, 8 * S);
	expect_whole(r, f.n_frames - 10, 1000);
	assert_int_equal(f.sender->resent, 0); /* only late: nobody asked */
	assert_int_equal(r->doubles, 0);
	flow_down(&f);
}

/* Later than the grace, on both links: some are asked for in vain, all come, none twice. */
static void test_reordering_beyond_the_grace(void **state)
{
	struct receiver *r = begin(12);
	struct link_way w = { .delay_us = ONE_WAY_US, .jitter_us = 40000 };

	(void)state;
	both_ways(&f.sender->link, w);
	both_ways(&r->link, w);
	flow_run(&f, 8 * S);
	expect_whole(r, f.n_frames - 20, 1000);
	assert_true(r->doubles <= r->repaired); /* what came late after it had been asked for again */
	assert_true(f.sender->resent < f.sender->sent);
	flow_down(&f);
}

static void test_doubled_packets(void **state)
{
	struct receiver *r = begin(13);
	struct link_way w = { .delay_us = ONE_WAY_US, .doubled = 0.3 };

	(void)state;
	both_ways(&f.sender->link, w);
	flow_run(&f, 5 * S);
	assert_true(f.sender->link.up.doubled > 100);
	expect_whole(r, f.n_frames - 10, 1000);
	assert_int_equal(r->doubles + r->bad, 0); /* each goes to the viewer once */
	flow_down(&f);
}

/* --- a publisher that comes back --- */

static void come_back(double loss)
{
	struct link_way clean = { .delay_us = ONE_WAY_US }, w = { .loss = loss, .delay_us = ONE_WAY_US };
	struct receiver *r = begin(21);
	unsigned gone, back, to, per_mille = loss > 0 ? 980 : 1000;

	both_ways(&f.sender->link, clean);
	both_ways(&r->link, clean);
	flow_run(&f, S);
	both_ways(&f.sender->link, w);
	both_ways(&r->link, w);
	flow_run(&f, 3 * S);
	f.sender->sending = false;
	gone = f.n_frames -
		1; /* where the last packets are lost nothing comes behind them that would show it */
	flow_run(&f, S);
	flow_unpublish(&f, "gone");
	flow_run(&f, 2 * S);
	/* new SSRC, a number far from the old one's, time from anywhere */
	flow_publish(&f, 40000, 22);
	both_ways(&f.sender->link, w);
	back = f.n_frames;
	flow_run(&f, 4 * S);
	to = f.n_frames - 1;
	f.sender->sending = false;
	flow_run(&f, S);
	expect_whole(r, gone, per_mille);
	assert_true(f.frames[back].key);
	assert_true(flow_outcome(&f, r, back, to, LATE_US).whole * 1000 >= (to - back) * per_mille);
	assert_int_equal(r->far, 0); /* its numbers went on without a seam */
	flow_down(&f);
}

static void test_publisher_returns(void **state)
{
	(void)state;
	come_back(0);
}
static void test_publisher_returns_under_loss(void **state)
{
	(void)state;
	come_back(0.05);
}

/* --- key frames --- */

/* Half of the RTCP packets are lost on both links: whoever joins in the middle still sees something within
 * three seconds, and the publisher is asked at most twice a second. */
static void test_key_request_under_loss(void **state)
{
	(void)state;
	for (uint64_t seed = 31; seed < 34; seed++) {
		struct link_way w = { .delay_us = ONE_WAY_US, .rtcp_loss = 0.5 };
		struct receiver *late;
		int64_t joined;
		unsigned before;

		begin(seed);
		both_ways(&f.sender->link, w);
		flow_run(&f, 2 * S);
		before = f.sender->key_requests;
		late = flow_watch(&f, seed + 200);
		both_ways(&late->link, w);
		joined = f.now_us;
		flow_run(&f, 6 * S);
		assert_true(late->key_seen);
		print_message("key frame after %lld ms, %u requests\n",
			(long long)(late->key_seen_us - joined) / 1000, f.sender->key_requests - before);
		assert_true(late->key_seen_us - joined < 5 * S);
		assert_true(f.sender->key_requests - before <= 13);
		flow_down(&f);
	}
}

/* --- SRTP's roll-over counter (RELIABILITY S6) --- */

static void wraps(uint64_t first, struct link_way at_first)
{
	struct receiver *r;

	flow_up(&f);
	flow_publish(&f, first, 41);
	r = flow_watch(&f, 42);
	both_ways(&r->link, (struct link_way){ .delay_us = ONE_WAY_US });
	f.sender->link.up.way = at_first;
	flow_run(&f, 5 * S);
	expect_whole(r, f.n_frames - 10, 990);
	flow_down(&f);
}

static void test_first_number_before_a_wrap(void **state)
{
	(void)state;
	wraps(65530, (struct link_way){ .delay_us = ONE_WAY_US });
}
static void test_first_number_before_a_wrap_and_swapped(void **state)
{
	(void)state;
	wraps(65530, (struct link_way){ .delay_us = ONE_WAY_US, .jitter_us = 9000 });
}
static void test_first_number_before_a_wrap_and_the_first_ten_lost(void **state)
{
	(void)state;
	wraps(65530, (struct link_way){ .delay_us = ONE_WAY_US, .lose_first = 10 });
}

/* Three times around, in steps that lose most: the counter is right each time. */
static void test_three_wraps(void **state)
{
	struct receiver *r = begin(51);

	(void)state;
	for (int i = 0; i < 24; i++) {
		flow_run(&f, 200000);
		f.sender->index += 9000; /* as if so many had been lost */
	}
	assert_true(f.sender->index > 3 * 65536);
	flow_run(&f, S);
	assert_int_equal(r->bad, 0);
	assert_int_equal(flow_outcome(&f, r, f.n_frames - 25, f.n_frames - 10, LATE_US).whole, 15);
	flow_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_loss),
		cmocka_unit_test(test_loss_1),
		cmocka_unit_test(test_loss_5),
		cmocka_unit_test(test_loss_10),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_long_bursts),
		cmocka_unit_test(test_reordering_within_the_grace),
		cmocka_unit_test(test_reordering_beyond_the_grace),
		cmocka_unit_test(test_doubled_packets),
		cmocka_unit_test(test_publisher_returns),
		cmocka_unit_test(test_publisher_returns_under_loss),
		cmocka_unit_test(test_key_request_under_loss),
		cmocka_unit_test(test_first_number_before_a_wrap),
		cmocka_unit_test(test_first_number_before_a_wrap_and_swapped),
		cmocka_unit_test(test_first_number_before_a_wrap_and_the_first_ten_lost),
		cmocka_unit_test(test_three_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
