/* Between home and other workers. */
#include <stdlib.h>

#include "bench.h"

static void test_other_worker_gets_the_same_packets(void **state)
{
	struct bench b;
	struct taker *here, *there;

	(void)state;
	setup(&b, 2, true);
	here = join(&b, 0);
	there = join(&b, 1);
	for (int i = 0; i < 30; i++)
		frame(&b, i == 0, 5);
	assert_int_equal(here->n, 150);
	assert_int_equal(there->n, 150);
	assert_memory_equal(here->seq, there->seq, 150 * sizeof(here->seq[0]));
	assert_non_null(mu_track_find(b.track, mu_net_worker(b.net, 1), there->seq[149]));
	leave(&b, 1, there);
	frame(&b, false, 5);
	assert_int_equal(here->n, 155);
	leave(&b, 0, here);
	teardown(&b);
}

/* A turn's packets travel to a worker together, and in the same turn. */
static void test_hands_are_gathered(void **state)
{
	struct bench b;
	struct taker *t[2];

	(void)state;
	setup(&b, 3, true);
	t[0] = join(&b, 1);
	t[1] = join(&b, 2);
	push_frame(&b, true, 5);
	assert_int_equal(fake_net_hands(b.net, 1), 0);
	fake_net_run_one(b.net, 0, b.now);
	assert_int_equal(fake_net_hands(b.net, 1), 1);
	assert_int_equal(fake_net_hands(b.net, 2), 1);
	frame(&b, false, 40);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(t[i]->n, 45);
		assert_no_gap(t[i]);
		leave(&b, i + 1, t[i]);
	}
	teardown(&b);
}

/* A worker that does not keep up for a moment misses nothing. */
static void test_full_ring_is_made_up_for(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 2, true);
	t = join(&b, 1);
	fake_net_set_ring(b.net, 1, 0);
	frame(&b, true, 20);
	frame(&b, false, 3);
	assert_int_equal(t->n, 0);
	assert_int_equal(fake_net_next(b.net, 0), b.now - 33333 + 1000);
	fake_net_set_ring(b.net, 1, 1);
	for (int i = 0; i < 4; i++)
		fake_net_run(b.net, b.now += 1000);
	frame(&b, false, 3);
	assert_int_equal(t->n, 26);
	assert_no_gap(t);
	assert_int_equal(keys_asked, 1);
	assert_int_equal(fake_net_hand_dropped(b.net), 0);
	leave(&b, 1, t);
	teardown(&b);
}

/* One that does not for longer than the cache holds: who waits there for the key frame that was lost gets
 * another. */
static void test_lost_key_frame_is_asked_for_again(void **state)
{
	struct mu_track_stats st;
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 2, true);
	t = join(&b, 1);
	assert_int_equal(keys_asked, 1);
	fake_net_set_ring(b.net, 1, 0);
	frame(&b, true, 20);
	for (int i = 0; i < 45; i++)
		frame(&b, false, 2);
	assert_in_range(keys_asked, 2, 3);
	mu_track_stats(b.track, mu_net_worker(b.net, 0), &st);
	assert_in_range(st.unhanded, 20, 60);
	assert_int_equal(fake_net_hand_dropped(b.net), st.unhanded);
	fake_net_set_ring(b.net, 1, 4096);
	frame(&b, false, 2);
	assert_int_equal(t->n, 0);
	frame(&b, true, 20);
	assert_int_equal(t->n, 20);
	leave(&b, 1, t);
	teardown(&b);
}

/* A publisher that probes for bandwidth by sending old packets again sends an old key frame: not the one that
 * was asked for. */
static void test_old_key_frame_again_is_none(void **state)
{
	struct mu_track_stats st;
	struct bench b;
	struct taker *here, *there;
	uint64_t old;

	(void)state;
	setup(&b, 2, true);
	here = join(&b, 0);
	old = b.seq;
	frame(&b, true, 3);
	for (int i = 0; i < 60; i++)
		frame(&b, false, 2);
	keys_asked = 0;
	there = join(&b, 1);
	assert_int_equal(keys_asked, 1);
	mu_track_push(b.track,
		video(fake_net_relay(b.net, 0), (uint16_t)old, 0, true, true, false, 200, b.now), old, b.now);
	fake_net_run(b.net, b.now);
	assert_int_equal(there->n, 0);
	mu_track_stats(b.track, mu_net_worker(b.net, 0), &st);
	assert_int_equal(st.key_frames, 1);
	assert_int_equal(st.late, 1);
	fake_net_run(b.net, b.now += 600000);
	assert_int_equal(keys_asked, 2);
	leave(&b, 0, here);
	leave(&b, 1, there);
	teardown(&b);
}

/* The last viewer there leaves and another comes while packets for the first are on their way: it begins at
 * the key frame. */
static void test_rejoin_with_packets_on_their_way(void **state)
{
	struct bench b;
	struct taker *first, again = { .sink.deliver = take };
	struct mu_worker *w;

	(void)state;
	setup(&b, 2, false);
	w = mu_net_worker(b.net, 1);
	frame(&b, true, 3);
	frame(&b, false, 3);
	first = join(&b, 1);
	push_frame(&b, false, 3);
	fake_net_run_one(b.net, 0, b.now);
	assert_int_equal(fake_net_hands(b.net, 1), 1);
	mu_track_remove_sink(b.track, w, &first->sink);
	mu_track_add_sink(b.track, w, &again.sink, b.now);
	for (int i = 0; i < 20; i++)
		fake_net_run(b.net, b.now += 1000);
	assert_int_equal(again.n, 9);
	assert_no_gap(&again);
	mu_track_remove_sink(b.track, w, &again.sink);
	free(first);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_worker_gets_the_same_packets),
		cmocka_unit_test(test_hands_are_gathered),
		cmocka_unit_test(test_full_ring_is_made_up_for),
		cmocka_unit_test(test_lost_key_frame_is_asked_for_again),
		cmocka_unit_test(test_old_key_frame_again_is_none),
		cmocka_unit_test(test_rejoin_with_packets_on_their_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
