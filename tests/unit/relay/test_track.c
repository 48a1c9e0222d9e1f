#include <errno.h>
#include <stdlib.h>

#include "bench.h"

static void test_joiner_waits_for_the_key_frame(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 1, true);
	frame(&b, true, 3);
	b.now += 800000; /* the key frame is no longer fresh */
	frame(&b, false, 3);
	t = join(&b, 0);
	assert_int_equal(keys_asked, 1);
	frame(&b, false, 3);
	assert_int_equal(t->n, 0);
	frame(&b, true, 4);
	assert_int_equal(t->n, 4);
	frame(&b, false, 2);
	assert_int_equal(t->n, 6);
	for (unsigned i = 1; i < t->n; i++)
		assert_int_equal(t->seq[i], t->seq[0] + i);
	leave(&b, 0, t);
	teardown(&b);
}

static void test_fresh_key_frame_serves_a_joiner_at_once(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 1, true);
	frame(&b, true, 3);
	frame(&b, false, 2);
	t = join(&b, 0);
	assert_int_equal(keys_asked, 0);
	assert_int_equal(t->n, 5);
	frame(&b, false, 2);
	assert_int_equal(t->n, 7);
	leave(&b, 0, t);
	teardown(&b);
}

/* It has a picture of the same source: one of the past is of no use to it. */
static void test_afresh_waits_for_the_next_key_frame(void **state)
{
	struct bench b;
	struct taker *t = calloc(1, sizeof(*t));

	(void)state;
	setup(&b, 1, true);
	frame(&b, true, 3);
	frame(&b, false, 2);
	t->sink.deliver = take;
	t->sink.afresh = true;
	mu_track_add_sink(b.track, mu_net_worker(b.net, 0), &t->sink, b.now);
	assert_int_equal(keys_asked, 1);
	frame(&b, false, 2);
	assert_int_equal(t->n, 0);
	frame(&b, true, 4);
	frame(&b, false, 1);
	assert_int_equal(t->n, 5);
	leave(&b, 0, t);
	teardown(&b);
}

static struct taker *join_afresh(struct bench *b, unsigned worker)
{
	struct taker *t = calloc(1, sizeof(*t));

	t->sink.deliver = take;
	t->sink.afresh = true;
	mu_track_add_sink(b->track, mu_net_worker(b->net, worker), &t->sink, b->now);
	fake_net_run(b->net, b->now);
	return t;
}

/* The source is asked twice in two seconds for those who have another picture; who has none does not wait so
 * long. */
static void wait_with_another_picture(unsigned worker, bool joiner)
{
	struct bench b;
	struct taker *t[3], *late = NULL;

	setup(&b, 2, true);
	for (unsigned i = 0; i < 3; i++) {
		t[i] = join_afresh(&b, worker);
		fake_net_run(b.net, b.now += 20000);
		assert_int_equal(keys_asked, i == 2 ? 2 : i + 1);
		if (i == 2)
			break;
		frame(&b, true, 1);
		fake_net_run(b.net, b.now += 600000);
	}
	if (joiner) {
		b.now += 300000; /* the key frame is no longer fresh */
		late = join(&b, worker);
		fake_net_run(b.net, b.now);
		assert_int_equal(keys_asked, 3);
	} else {
		fake_net_run(b.net, b.now += 500000);
		assert_int_equal(keys_asked, 2);
		fake_net_run(b.net, b.now += 300000);
		assert_int_equal(keys_asked, 3);
	}
	frame(&b, true, 2);
	assert_int_equal(t[2]->n, 2);
	for (int i = 0; i < 3; i++)
		leave(&b, worker, t[i]);
	if (late)
		leave(&b, worker, late);
	teardown(&b);
}

static void test_who_has_another_picture_can_wait(void **state)
{
	(void)state;
	for (unsigned worker = 0; worker < 2; worker++) {
		wait_with_another_picture(worker, false);
		wait_with_another_picture(worker, true);
	}
}

/* Twenty joins in a second: at most two requests. */
static void test_key_requests_are_coalesced(void **state)
{
	struct bench b;
	struct taker *t[20];

	(void)state;
	setup(&b, 2, true);
	for (int i = 0; i < 20; i++) {
		t[i] = join(&b, (unsigned)i % 2);
		b.now += 50000;
		fake_net_run(b.net, b.now);
	}
	assert_in_range(keys_asked, 1, 3); /* nothing came: it is asked again */
	keys_asked = 0;
	frame(&b, true, 2);
	for (int i = 0; i < 100; i++)
		mu_track_ask_key(b.track, mu_net_worker(b.net, i % 2), b.now);
	fake_net_run(b.net, b.now);
	assert_in_range(keys_asked, 0, 1);
	for (int i = 0; i < 20; i++)
		leave(&b, (unsigned)i % 2, t[i]);
	teardown(&b);
}

/* The request that came just after one was sent is not forgotten. */
static void test_key_request_within_the_interval_is_sent_after_it(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	assert_int_equal(keys_asked, 1);
	frame(&b, true, 1);
	mu_track_ask_key(b.track, mu_net_worker(b.net, 0), b.now);
	assert_int_equal(keys_asked, 1);
	fake_net_run(b.net, b.now + 600000);
	assert_int_equal(keys_asked, 2);
	leave(&b, 0, t);
	teardown(&b);
}

static void test_gop_cache_where_the_source_cannot_be_asked(void **state)
{
	struct bench b;
	struct taker *t, *far;

	(void)state;
	setup(&b, 2, false);
	frame(&b, true, 3);
	for (int i = 0; i < 90; i++) /* three seconds of a long GOP */
		frame(&b, false, 2);
	t = join(&b, 0);
	for (int i = 0; i < 40; i++)
		fake_net_run(b.net, b.now += 1000);
	assert_int_equal(t->n, 183);
	for (unsigned i = 1; i < t->n; i++)
		assert_int_equal(t->seq[i], t->seq[0] + i);
	far = join(&b, 1); /* on another worker: its branch gets the GOP by ring */
	for (int i = 0; i < 40; i++)
		fake_net_run(b.net, b.now += 1000);
	assert_int_equal(far->n, 183);
	frame(&b, false, 2);
	assert_int_equal(t->n, 185);
	assert_int_equal(far->n, 185);
	leave(&b, 0, t);
	leave(&b, 1, far);
	teardown(&b);
}

/* A GOP is not thrown at a joiner at once: some 8 Mbit/s where it has come with less than a quarter of that.
 */
static void paced_join(unsigned worker)
{
	struct bench b;
	struct taker *t;
	unsigned before;

	setup(&b, 2, false);
	frame(&b, true, 3);
	for (int i = 0; i < 150; i++) /* five seconds, 1.9 Mbit/s */
		frame(&b, false, 40);
	t = join(&b, worker);
	assert_in_range(t->n, 1, 102); /* 20 ms of it */
	assert_in_range(fake_net_next(b.net, worker), b.now, b.now + 1000);
	for (int ms = 0; ms < 100; ms++) {
		before = t->n;
		push_one(&b, false);
		fake_net_run(b.net, b.now += 1000);
		assert_in_range(t->n - before, 0, ms ? 6 : 106);
	}
	assert_in_range(t->n, 400, 700);
	for (int ms = 0; ms < 3000 && t->n < 6103; ms++)
		fake_net_run(b.net, b.now += 1000);
	assert_int_equal(t->n, 6103);
	assert_no_gap(t);
	push_one(&b, true);
	assert_int_equal(t->n, 6104);
	leave(&b, worker, t);
	teardown(&b);
}

static void test_catching_up_is_paced(void **state)
{
	(void)state;
	paced_join(0);
	paced_join(1);
}

/* What waits when another publisher comes, with other formats, leaves under its own. */
static void test_pending_leaves_under_its_formats(void **state)
{
	struct bench b;
	struct taker *t[8];
	unsigned n;

	(void)state;
	setup(&b, 1, true);
	mu_relay_set_gather(fake_net_relay(b.net, 0), 2000);
	for (int i = 0; i < 8; i++)
		t[i] = join(&b, 0);
	frame(&b, true, 2);
	fake_net_set_load(b.net, 1);
	push_one(&b, false);
	assert_int_equal(t[0]->n, 2);
	change_source(&b, &vp9);
	assert_int_equal(t[0]->n, 3);
	push_one(&b, true);
	n = t[0]->n;
	assert_int_equal(n, 4);
	assert_int_equal(t[0]->codec[2], MU_CODEC_VP8);
	assert_int_equal(t[0]->codec[3], MU_CODEC_VP9);
	for (int i = 0; i < 8; i++)
		leave(&b, 0, t[i]);
	teardown(&b);
}

/* Who is still in the old one's GOP then goes on with the new one's key frame, and so does who joins before
 * that. */
static void test_joiner_over_a_change_of_formats(void **state)
{
	struct bench b;
	struct taker *t, *later;
	unsigned n;

	(void)state;
	setup(&b, 1, false);
	frame(&b, true, 3);
	for (int i = 0; i < 90; i++)
		frame(&b, false, 2);
	t = join(&b, 0);
	n = t->n;
	assert_in_range(n, 1, 182);
	change_source(&b, &vp9);
	fake_net_run(b.net, b.now += 1000);
	later = join(&b, 0);
	push_one(&b, true);
	fake_net_run(b.net, b.now += 100000);
	assert_int_equal(t->n, n);
	assert_int_equal(later->n, 0);
	leave(&b, 0, t);
	leave(&b, 0, later);
	teardown(&b);
}

/* A number far ahead empties the cache while packets wait to be sent. */
static void test_pending_outlives_the_cache(void **state)
{
	struct bench b;
	struct taker *t;
	size_t packets, bytes;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	push_frame(&b, true, 2);
	b.seq += 20000;
	push_frame(&b, false, 1);
	mu_slab_usage(mu_relay_slab(fake_net_relay(b.net, 0)), &packets, &bytes);
	assert_int_equal(packets, 3);
	fake_net_run(b.net, b.now);
	assert_int_equal(t->n, 3);
	mu_slab_usage(mu_relay_slab(fake_net_relay(b.net, 0)), &packets, &bytes);
	assert_int_equal(packets, 1);
	leave(&b, 0, t);
	teardown(&b);
}

/* Another publisher comes: numbers go on by one, time by what passed. */
static void test_numbering_goes_on_over_a_change_of_source(void **state)
{
	struct mu_source second = { .ask_key = count_key };
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	frame(&b, true, 2);
	mu_track_clear_source(b.track, &b.source);
	assert_int_equal(mu_track_set_source(b.track, &second, &vp8, 1, b.now), 0);
	assert_int_equal(mu_track_set_source(b.track, &b.source, &vp8, 1, b.now), -EBUSY);
	b.now += 2000000 - 33333;
	b.seq = 65536 + 50000;
	b.ts = 12345678;
	frame(&b, true, 2);
	assert_int_equal(t->n, 4);
	assert_int_equal(t->seq[2], t->seq[1] + 1);
	assert_int_equal(t->ts[2] - t->ts[1], 180000);
	mu_track_clear_source(b.track, &second);
	leave(&b, 0, t);
	teardown(&b);
}

static void test_late_duplicate_and_repaired(void **state)
{
	struct mu_track_stats st;
	struct bench b;
	struct taker *t;
	uint64_t at;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	frame(&b, true, 2);
	at = b.seq++; /* lost */
	frame(&b, false, 2);
	assert_int_equal(t->n, 4);
	assert_int_equal(t->seq[2], t->seq[1] + 2);
	for (int i = 0; i < 2; i++) /* repaired, and then once more */
		mu_track_push(b.track,
			video(fake_net_relay(b.net, 0), (uint16_t)at, 1, false, false, false, 100, b.now), at,
			b.now);
	fake_net_run(b.net, b.now);
	assert_int_equal(t->n, 5);
	assert_int_equal(t->seq[4], t->seq[1] + 1);
	mu_track_stats(b.track, mu_net_worker(b.net, 0), &st);
	assert_int_equal(st.late, 1);
	leave(&b, 0, t);
	teardown(&b);
}

static void test_cache_holds_a_second(void **state)
{
	struct bench b;
	struct taker *t;
	unsigned found = 0;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	for (int i = 0; i < 300; i++) /* ten seconds */
		frame(&b, i == 0, 5);
	for (unsigned i = 0; i < t->n; i++)
		found += mu_track_find(b.track, mu_net_worker(b.net, 0), t->seq[i]) != NULL;
	assert_in_range(found, 150, 165);
	assert_non_null(mu_track_find(b.track, mu_net_worker(b.net, 0), t->seq[t->n - 150]));
	leave(&b, 0, t);
	teardown(&b);
}

/* A shared screen sends a picture in seconds: its first packet is repaired, the cache having nothing else
 * that is young. */
static void test_first_packet_after_a_pause_is_repaired(void **state)
{
	struct mu_track_stats st;
	struct bench b;
	struct taker *t;
	uint64_t lost;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	frame(&b, true, 3);
	b.now += 1500000;
	lost = b.seq++;
	push_at(&b, b.seq++, false);
	push_at(&b, b.seq++, true);
	push_at(&b, b.seq++, true);
	b.now += 40000;
	push_at(&b, lost, false);
	assert_int_equal(t->n, 7);
	assert_int_equal(t->seq[6], t->seq[2] + 1);
	assert_non_null(mu_track_find(b.track, mu_net_worker(b.net, 0), t->seq[6]));
	b.now += 1500000; /* once more, and now what was young is old again */
	push_at(&b, b.seq++, false);
	assert_null(mu_track_find(b.track, mu_net_worker(b.net, 0), t->seq[6]));
	mu_track_stats(b.track, mu_net_worker(b.net, 0), &st);
	assert_int_equal(st.late, 0);
	leave(&b, 0, t);
	teardown(&b);
}

/* Numbers jump further than a cache reaches; two of the first after the jump are swapped. */
static void test_swapped_after_a_jump(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	frame(&b, true, 3);
	b.seq += 20000;
	push_at(&b, b.seq + 1, false);
	push_at(&b, b.seq, false);
	assert_int_equal(t->n, 5);
	leave(&b, 0, t);
	teardown(&b);
}

/* Idle: at once. Loaded and with viewers enough: held until the marker, or two milliseconds at four fifths of
 * load. */
static void test_gathering(void **state)
{
	struct bench b;
	struct taker *t[8];

	(void)state;
	setup(&b, 1, true);
	mu_relay_set_gather(fake_net_relay(b.net, 0), 2000);
	for (int i = 0; i < 8; i++)
		t[i] = join(&b, 0);
	frame(&b, true, 2);
	push_one(&b, false);
	assert_int_equal(t[0]->n, 3);
	fake_net_set_load(b.net, 0.4);
	push_one(&b, false);
	assert_int_equal(t[0]->n, 4);
	fake_net_set_load(b.net, 0.6);
	push_one(&b, false);
	assert_int_equal(t[0]->n, 4);
	assert_in_range(fake_net_next(b.net, 0), b.now + 999, b.now + 1001);
	fake_net_set_load(b.net, 0.8);
	fake_net_run(b.net, b.now);
	assert_int_equal(fake_net_next(b.net, 0), b.now + 2000);
	b.now += 1000;
	push_one(&b, true);
	assert_int_equal(t[0]->n, 6);
	push_one(&b, false);
	fake_net_run(b.net, b.now += 2000);
	assert_int_equal(t[0]->n, 7);
	for (int i = 0; i < 8; i++)
		leave(&b, 0, t[i]);
	teardown(&b);
}

/* A joiner served from the cache while packets are held back for gathering: each reaches it once. */
static void test_joiner_gets_what_waits_once(void **state)
{
	struct bench b;
	struct taker *t[9];

	(void)state;
	setup(&b, 1, true);
	mu_relay_set_gather(fake_net_relay(b.net, 0), 2000);
	for (int i = 0; i < 8; i++)
		t[i] = join(&b, 0);
	frame(&b, true, 2);
	fake_net_set_load(b.net, 0.8);
	push_one(&b, false);
	t[8] = join(&b, 0);
	fake_net_run(b.net, b.now += 2000);
	push_one(&b, true);
	for (int i = 0; i < 9; i += 8) {
		assert_int_equal(t[i]->n, 4);
		for (unsigned k = 1; k < t[i]->n; k++)
			assert_int_equal(t[i]->seq[k], t[i]->seq[0] + k);
	}
	for (int i = 0; i < 9; i++)
		leave(&b, 0, t[i]);
	teardown(&b);
}

/* More packets in one turn than a burst holds: all arrive, in order. */
static void test_burst_longer_than_a_burst(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	frame(&b, true, 50);
	assert_int_equal(t->n, 50);
	assert_in_range(fake_net_drains(b.net), 3, 5);
	for (unsigned i = 1; i < t->n; i++)
		assert_int_equal(t->seq[i], t->seq[0] + i);
	leave(&b, 0, t);
	teardown(&b);
}

/* Sizes that differ by a byte become equal, once there is more than one viewer; padding counts itself. */
static void test_sizes_are_levelled(void **state)
{
	struct bench b;
	struct taker *t[2];
	const struct mu_packet *p, *q;

	(void)state;
	setup(&b, 1, true);
	t[0] = join(&b, 0);
	t[1] = join(&b, 0);
	for (size_t len = 1001; len <= 1004; len += 3) {
		mu_track_push(b.track,
			video(fake_net_relay(b.net, 0), (uint16_t)b.seq, 0, true, true, false, len, b.now),
			b.seq, b.now);
		b.seq++;
	}
	fake_net_run(b.net, b.now);
	p = mu_track_find(b.track, mu_net_worker(b.net, 0), t[0]->seq[0]);
	q = mu_track_find(b.track, mu_net_worker(b.net, 0), t[0]->seq[1]);
	assert_int_equal(p->len, 1008);
	assert_int_equal(p->pad, 7);
	assert_int_equal(p->data[1007], 7);
	assert_int_equal(q->len, 1008);
	assert_int_equal(q->pad, 4);
	leave(&b, 0, t[0]);
	leave(&b, 0, t[1]);
	teardown(&b);
}

static void test_audio_needs_no_key(void **state)
{
	struct mu_source s = { 0 };
	struct bench b;
	struct mu_track *audio;
	struct taker *t = calloc(1, sizeof(*t));

	(void)state;
	setup(&b, 1, true);
	assert_int_equal(mu_track_new(b.net, 0, "city/cam-1/audio", MU_AUDIO, &audio), 0);
	assert_int_equal(mu_track_new(b.net, 1, "nowhere", MU_AUDIO, &audio), -EINVAL);
	mu_track_set_source(audio, &s, &opus, 1, b.now);
	t->sink.deliver = take;
	mu_track_add_sink(audio, mu_net_worker(b.net, 0), &t->sink, b.now);
	mu_track_push(audio, video(fake_net_relay(b.net, 0), 7, 0, false, false, false, 100, b.now),
		65536 + 7, b.now);
	fake_net_run(b.net, b.now);
	assert_int_equal(t->n, 1);
	mu_track_remove_sink(audio, mu_net_worker(b.net, 0), &t->sink);
	mu_track_clear_source(audio, &s);
	mu_track_unref(audio);
	free(t);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joiner_waits_for_the_key_frame),
		cmocka_unit_test(test_fresh_key_frame_serves_a_joiner_at_once),
		cmocka_unit_test(test_afresh_waits_for_the_next_key_frame),
		cmocka_unit_test(test_who_has_another_picture_can_wait),
		cmocka_unit_test(test_key_requests_are_coalesced),
		cmocka_unit_test(test_key_request_within_the_interval_is_sent_after_it),
		cmocka_unit_test(test_gop_cache_where_the_source_cannot_be_asked),
		cmocka_unit_test(test_catching_up_is_paced),
		cmocka_unit_test(test_pending_leaves_under_its_formats),
		cmocka_unit_test(test_joiner_over_a_change_of_formats),
		cmocka_unit_test(test_pending_outlives_the_cache),
		cmocka_unit_test(test_numbering_goes_on_over_a_change_of_source),
		cmocka_unit_test(test_late_duplicate_and_repaired),
		cmocka_unit_test(test_cache_holds_a_second),
		cmocka_unit_test(test_first_packet_after_a_pause_is_repaired),
		cmocka_unit_test(test_swapped_after_a_jump),
		cmocka_unit_test(test_gathering),
		cmocka_unit_test(test_joiner_gets_what_waits_once),
		cmocka_unit_test(test_burst_longer_than_a_burst),
		cmocka_unit_test(test_sizes_are_levelled),
		cmocka_unit_test(test_audio_needs_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
