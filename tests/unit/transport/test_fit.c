/* A stream fed from one of several layers: changes without a seam. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cast.h"

#define GCM MU_SRTP_AEAD_AES_128_GCM
#define S   1000000

static struct cast c;
static struct eye e;

static void up(bool rtx, unsigned layers)
{
	static const unsigned heights[] = { 180, 360, 720 };
	static const char *const ids[] = { "cam/video~q", "cam/video~h", "cam/video" };

	cast_up(&c);
	for (unsigned i = 0; i < layers; i++) {
		cast_layer(&c, ids[i], i % 2, heights[i]);
		cast_begin(&c, i);
	}
	eye_up(&e, &c, MU_VIDEO, GCM, rtx);
}

static void down(void)
{
	eye_down(&e);
	cast_down(&c);
}

static void run(int64_t us)
{
	for (int64_t until = c.now_us + us; c.now_us < until;) {
		cast_run(&c, CAST_FRAME_US);
		eye_look(&e);
	}
}

static void report_all(void)
{
	for (unsigned i = 0; i < c.n; i++)
		cast_report(&c, i);
}

static void target(int layer)
{
	fit_target(eye_out(&e), layer, 2, 3, MU_CHOICE_LINK, c.now_us);
}

static const struct got *last(void)
{
	return eye_got(&e, e.highest);
}

static void test_the_layer_that_covers_the_tile(void **state)
{
	static const struct {
		unsigned height, layer;
		enum mu_choice why;
	} rows[] = { { 100, 0, MU_CHOICE_TILE }, { 180, 0, MU_CHOICE_TILE }, { 181, 1, MU_CHOICE_TILE },
		{ 720, 2, MU_CHOICE_WHOLE }, { 1080, 2, MU_CHOICE_WHOLE }, { 0, 2, MU_CHOICE_WHOLE } };
	struct mu_stream_stats st;

	(void)state;
	up(true, 3);
	for (unsigned i = 0; i < MU_ARRAY_LEN(rows); i++) {
		FEED(&e, rows[i].height, 1, 2, 0);
		run(S / 2);
		assert_int_equal(last()->layer, rows[i].layer);
		memset(&st, 0, sizeof(st));
		fit_stats(eye_out(&e), &st);
		assert_int_equal(st.choice, rows[i].why);
		assert_int_equal(st.layer, rows[i].layer);
		assert_int_equal(st.n_layers, 3);
		assert_int_equal(st.height, 180 << rows[i].layer);
	}
	assert_int_equal(st.switches, 2);
	eye_check(&e);
	down();
}

/* Two hundred changes: numbers, time and picture ids go on as if there were none. */
static void changes(bool rtx, unsigned late, unsigned lose_up, unsigned lose_down)
{
	unsigned frames;

	up(rtx, 3);
	c.late = late;
	FEED(&e, 0, 0, 1, 2);
	run(S / 2);
	c.lose = lose_up;
	e.lose = lose_down;
	for (unsigned i = 0; i < 200; i++) {
		if (i % 10 == 0)
			report_all();
		target((int)(i * 7 % 3));
		run(3 * S / 4); /* each comes again after MU_KEY_CALM_US */
		cast_late(&c);
		cast_turn(&c);
		eye_look(&e);
		eye_nack(&e);
		eye_look(&e);
		if (i % 8 == 7 && !lose_up) { /* within what is written down */
			frames = eye_check(&e);
			assert_true(frames > 50);
			e.first = e.highest - 50;
		}
	}
	assert_true(eye_out(&e)->fit->switches > 180);
	assert_true(lose_up || eye_out(&e)->dropped == 0);
	down();
}

static void test_many_changes(void **state)
{
	(void)state;
	changes(true, 0, 0, 0);
}
static void test_many_changes_under_loss(void **state)
{
	(void)state;
	changes(true, 0, 0, 20);
	assert_true(e.repaired > 100);
}
static void test_many_changes_under_loss_without_rtx(void **state)
{
	(void)state;
	changes(false, 0, 0, 20);
	assert_true(e.repaired > 100);
}
static void test_many_changes_with_reordering(void **state)
{
	(void)state;
	changes(true, 40, 0, 0);
}
static void test_many_changes_with_holes(void **state)
{
	(void)state;
	changes(false, 30, 30, 30);
}

/* What is allocated stays when only the tile changes, or the order in which the layers are said. */
static void test_the_same_layers_again(void **state)
{
	(void)state;
	up(true, 3);
	FEED(&e, 720, 0, 1, 2);
	run(S);
	target(0);
	run(S);
	assert_int_equal(last()->layer, 0);
	FEED(&e, 360, 2, 1, 0);
	run(S);
	assert_int_equal(last()->layer, 0);
	assert_int_equal(eye_out(&e)->fit->target.layer, 2);
	FEED(&e, 360, 2, 1); /* others: it chooses until it is told */
	run(S);
	assert_int_equal(last()->layer, 1);
	eye_check(&e);
	down();
}

/* The picture moves from one layer to the other with nothing left out: the old one goes on until the new
 * one's key frame. */
static void test_the_old_layer_until_the_new_one_begins(void **state)
{
	uint64_t from;

	(void)state;
	up(true, 2);
	FEED(&e, 0, 0, 1);
	run(S);
	c.l[0].deaf = true; /* it does not answer yet */
	c.l[0].want_key = false;
	target(0);
	from = e.highest;
	run(S);
	assert_int_equal(last()->layer, 1);
	assert_true(e.highest - from > 29 * c.l[1].packets);
	c.l[0].want_key = true;
	run(2 * CAST_FRAME_US);
	assert_int_equal(last()->layer, 0);
	eye_check(&e);
	down();
}

/* Layers whose clocks were set anywhere, but whose reports say how they stand: a moment is a moment. */
static void test_time_by_the_senders_reports(void **state)
{
	(void)state;
	up(true, 2);
	c.l[1].ntp_zero_us = c.l[0].ntp_zero_us = 3600 * (int64_t)S;
	report_all();
	FEED(&e, 0, 0, 1);
	run(S);
	for (unsigned i = 0; i < 20; i++) {
		uint32_t ts = last()->ts;
		int64_t at = c.now_us, passed;

		target((int)(i % 2));
		run(S + S / 10);
		assert_int_equal(last()->layer, i % 2);
		passed = c.now_us - at;
		assert_in_range((int32_t)(last()->ts - ts) - passed * 9 / 100 + 10, 0, 20);
	}
	eye_check(&e);
	down();
}

/* Nothing of the old endpoint after the feed changed, not even what is asked for again. */
static void test_another_endpoint(void **state)
{
	unsigned other;
	uint64_t from;
	uint16_t asked;

	(void)state;
	for (int rtx = 0; rtx < 2; rtx++) {
		up(rtx, 2);
		other = cast_layer(&c, "bus/video", 1, 360);
		c.l[other].deaf = true;
		cast_begin(&c, other);
		c.l[other].want_key = false;
		FEED(&e, 0, 0, 1);
		run(S);
		from = e.highest;
		FEED(&e, 0, other);
		run(S);
		asked = (uint16_t)from;
		eye_look(&e);
		assert_int_equal(e.highest, from);
		e.got[(from - 3) % CAST_NUMBERS].there = false;
		eye_nack(&e);
		eye_look(&e);
		assert_false(eye_got(&e, from - 3)->there);
		eye_got(&e, from - 3)->there = true;
		c.l[other].want_key = true;
		run(S / 3);
		assert_int_equal(eye_got(&e, from + 1)->layer, other);
		assert_int_equal((uint16_t)(from + 1), (uint16_t)(asked + 1));
		eye_check(&e);
		down();
	}
}

static void test_rest_and_return(void **state)
{
	struct mu_stream_stats st = { .choice = MU_CHOICE_WHOLE };
	uint64_t from;

	(void)state;
	up(true, 2);
	FEED(&e, 0, 0, 1);
	run(S);
	eye_feed(&e, NULL, 0, 0);
	from = e.highest;
	run(S);
	assert_int_equal(e.highest, from);
	fit_stats(eye_out(&e), &st);
	assert_int_equal(st.choice, MU_CHOICE_RESTS);
	assert_null(eye_out(&e)->fit->present);
	FEED(&e, 0, 1);
	run(S);
	assert_true(e.highest > from + 20);
	target(MU_PAUSED);
	from = e.highest;
	run(S);
	assert_int_equal(e.highest, from);
	target(0);
	run(S);
	assert_true(e.highest > from + 20);
	eye_check(&e);
	down();
}

/* The layer chosen falls silent: another one that flows takes its place, and goes when it is back. */
static void test_a_layer_without_packets(void **state)
{
	(void)state;
	up(true, 3);
	FEED(&e, 0, 0, 1, 2);
	run(S);
	assert_int_equal(last()->layer, 2);
	c.l[2].sends = false;
	c.l[2].shape.flows = false;
	run(S / 2);
	assert_int_equal(last()->layer, 1);
	target(2);
	run(S / 2);
	assert_int_equal(last()->layer, 1);
	c.l[1].sends = c.l[1].shape.flows = false;
	run(S / 2);
	assert_int_equal(last()->layer, 0);
	c.l[2].sends = c.l[2].shape.flows = true;
	run(S / 2);
	assert_int_equal(last()->layer, 2);
	eye_check(&e);
	down();
}

/* A camera too small for the largest encoding: what is shown in its place is the largest that there is. */
static void test_a_layer_that_never_came(void **state)
{
	struct mu_stream_stats st = { 0 };

	(void)state;
	up(true, 3);
	c.l[2].sends = false;
	c.l[2].shape = (struct mu_shape){ 0 };
	FEED(&e, 1080, 2, 1, 0);
	target(0); /* of the feed: c.l[2] */
	run(S / 2);
	assert_int_equal(last()->layer, 1);
	fit_stats(eye_out(&e), &st);
	assert_int_equal(st.layer, 1);
	eye_check(&e);
	down();
	up(true, 3);
	c.l[2].shape = (struct mu_shape){ 0 };
	for (unsigned i = 0; i < 3; i++)
		c.l[i].sends = c.l[i].shape.flows = false;
	FEED(&e, 1080, 0, 1,
		2); /* nothing flows, nobody deals out: that one of which is known that it came once */
	assert_int_equal(eye_out(&e)->fit->target.layer, 1);
	down();
}

/* A publisher goes and another comes on the same track, in another format; and to one that the viewer does
 * not take. */
static void test_formats_of_another_publisher(void **state)
{
	uint64_t from;

	(void)state;
	up(true, 2);
	FEED(&e, 0, 1);
	run(S);
	cast_end(&c, 1);
	c.l[1].format.codec = MU_CODEC_H264;
	c.l[1].format.pt = 102;
	cast_begin(&c, 1);
	run(S / 2);
	from = e.highest;
	run(S / 2);
	assert_int_equal(e.highest, from);
	FEED(&e, 0, 0, 1);
	target(0);
	run(S / 2);
	assert_int_equal(last()->layer, 0);
	from = e.highest;
	target(1); /* nothing is gained by it */
	run(S / 2);
	assert_int_equal(last()->layer, 0);
	assert_true(e.highest > from);
	down();
}

/* Twenty viewers change or join within a second: the source hears of it twice. Who has another picture
 * meanwhile can wait. */
static void requests(bool have_picture)
{
	static struct eye many[20];
	unsigned within = 0;
	int64_t begun;

	cast_up(&c);
	for (unsigned i = 0; i < 2; i++) {
		cast_layer(&c, i ? "cam/video" : "cam/video~h", i, 360 * (i + 1));
		cast_begin(&c, i);
	}
	for (unsigned i = 0; i < 20; i++) {
		eye_up(&many[i], &c, MU_VIDEO, GCM, true);
		FEED(&many[i], 0, 0);
	}
	cast_run(&c, 3 * S);
	c.l[1].asked = 0;
	begun = c.now_us;
	for (unsigned i = 0; i < 20; i++) {
		if (have_picture)
			FEED(&many[i], 0, 0, 1);
		else
			FEED(&many[i], 0, 1);
		cast_run(&c, (1 + i % 2) * CAST_FRAME_US);
	}
	cast_run(&c, have_picture ? 2 * S : S);
	for (unsigned i = 0; i < c.l[1].asked; i++)
		within += c.l[1].asked_us[i] - begun < (have_picture ? 2 * S : 3 * S / 2);
	assert_in_range(within, 1, 2);
	assert_in_range(c.l[1].asked, 1, 3);
	for (unsigned i = 0; i < 20; i++) {
		eye_look(&many[i]);
		assert_int_equal(eye_got(&many[i], many[i].highest)->layer, 1);
		eye_down(&many[i]);
	}
	cast_down(&c);
}

static void test_requests_of_many_joins(void **state)
{
	(void)state;
	requests(false);
}
static void test_requests_of_many_changes(void **state)
{
	(void)state;
	requests(true);
}

static void ask_key(void)
{
	uint8_t buf[64];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_pli(&w, 1, CAST_SSRC);
	viewer_rtcp(&e.v, buf, w.len, c.now_us);
}

/* A viewer that lost the picture asks for one of what it is shown; not of what it waits for, which is asked for already, nor
 * of what it was just sent. */
static void test_a_viewer_asks_for_a_key_frame(void **state)
{
	unsigned keys;

	(void)state;
	up(true, 2);
	FEED(&e, 0, 0, 1);
	run(2 * S);
	c.l[0].deaf = true;
	target(0);
	run(S);
	keys = c.l[1].keys;
	c.l[0].asked = c.l[1].asked = 0;
	ask_key();
	run(S / 10);
	assert_int_equal(c.l[1].keys, keys + 1);
	assert_int_equal(c.l[1].asked, 1);
	assert_true(c.l[0].asked >= 1);
	eye_check(&e);
	down();
}

static void test_the_key_frame_is_on_its_way(void **state)
{
	(void)state;
	up(true, 1);
	FEED(&e, 0, 0);
	ask_key(); /* it waits: asked for already */
	assert_int_equal(c.l[0].asked, 1);
	run(S / 5);
	assert_int_equal(last()->layer, 0);
	ask_key();
	run(S);
	assert_int_equal(c.l[0].asked, 1);
	ask_key();
	run(S / 10);
	assert_int_equal(c.l[0].asked, 2);
	eye_check(&e);
	down();
}

/* Pictures that were given up go on with a key frame that did not go out before, however young the one in the cache is. */
static void test_goes_on_where_it_was(void **state)
{
	unsigned keys;
	uint64_t from;

	(void)state;
	up(true, 1);
	FEED(&e, 0, 0);
	run(S);
	c.l[0].want_key = true;
	run(3 * CAST_FRAME_US);
	keys = c.l[0].keys;
	from = e.highest;
	fit_resume(eye_out(&e), c.now_us);
	run(S / 5);
	assert_int_equal(c.l[0].keys, keys + 1);
	assert_true(eye_got(&e, from + 1)->key);
	eye_check(&e);
	down();
}

/* Not sent to for a while: it goes on with a key frame, without a hole. */
static void test_goes_on_after_silence(void **state)
{
	uint64_t from;
	unsigned keys;

	(void)state;
	up(true, 2);
	FEED(&e, 0, 0, 1);
	run(S);
	e.v.t->sendable = false;
	from = e.highest;
	keys = c.l[1].keys;
	run(S);
	assert_int_equal(e.highest, from);
	e.v.t->sendable = true;
	run(S);
	assert_true(e.highest > from + 30);
	assert_true(eye_got(&e, from + 1)->key);
	assert_int_equal(c.l[1].keys, keys + 1);
	eye_check(&e);
	down();
}

/* Sound changes at any packet. */
static void test_audio(void **state)
{
	unsigned a, b;

	(void)state;
	cast_up(&c);
	a = cast_layer(&c, "cam/audio", 0, 0);
	b = cast_layer(&c, "bus/audio", 1, 0);
	cast_begin(&c, a);
	cast_begin(&c, b);
	eye_up(&e, &c, MU_AUDIO, GCM, false);
	FEED(&e, 0, a);
	run(S);
	for (unsigned i = 0; i < 20; i++) {
		FEED(&e, 0, i % 2 ? a : b);
		run(S / 10);
		assert_int_equal(last()->layer, i % 2 ? a : b);
	}
	eye_check(&e);
	down();
}

static unsigned rnd;

static unsigned dice(unsigned n)
{
	rnd = rnd * 1103515245u + 12345u;
	return (rnd >> 16) % n;
}

/* A packet of anything: descriptors cut short, times and numbers that leap, formats that are not there. */
static void push_junk(unsigned layer)
{
	uint8_t d[64];
	struct mu_packet *p;
	size_t len = dice(20) ? 1 + dice(sizeof(d)) : 0;

	for (size_t i = 0; i < len; i++)
		d[i] = (uint8_t)dice(256);
	if (len > 8 && dice(2)) { /* a key frame now and then */
		d[0] = 0x90;
		d[1] = (uint8_t)(dice(2) ? 0xf0 : 0x80);
		d[6] &= dice(2) ? 0xfe : 0xff;
	}
	p = cast_packet(&c, layer, d, len, c.l[layer].frame * 3000 + (dice(30) ? 0 : dice(1u << 15) << 16));
	p->codec = (uint8_t)(dice(40) ? 0 : dice(256));
	p->flags = (uint8_t)dice(2);
	c.l[layer].frame += dice(3) == 0;
	c.l[layer].seq += dice(100) ? 0 : dice(dice(4) ? 50 : 20000);
	cast_push(&c, layer, p);
}

/* Whatever the sources send: what leaves is well formed, and no number leaves twice but as the same bytes,
 * for which the viewer's replay window is the witness. */
static void test_hostile_sources(void **state)
{
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;
	unsigned n = 0;

	(void)state;
	up(true, 2);
	c.l[0].sends = c.l[1].sends = false;
	c.late = 10;
	FEED(&e, 0, 0, 1);
	for (unsigned i = 0; i < 20000; i++) {
		push_junk(dice(2));
		if (dice(50) == 0)
			fit_target(eye_out(&e), (int)dice(3) - 1, dice(4), dice(5), MU_CHOICE_LINK, c.now_us);
		if (dice(10))
			continue;
		c.now_us += dice(20) ? 1000 : 100000;
		mu_clock_drive(c.now_us);
		e.v.t->ice.last_check_us = c.now_us;
		cast_turn(&c);
		for (; viewer_take(&e.v, &h, pkt, &len); n++) {
			uint16_t asked = (uint16_t)(h.seq - dice(200));

			if (h.pt == CAST_PT)
				viewer_nack(&e.v, &asked, 1, c.now_us);
		}
	}
	assert_true(n > 5000);
	down();
}

/* All that may be under way when it ends. */
static void test_ends_with_a_change_under_way(void **state)
{
	(void)state;
	up(true, 3);
	FEED(&e, 0, 0, 1, 2);
	run(S);
	c.l[0].deaf = true;
	target(0);
	assert_non_null(eye_out(&e)->fit->next);
	assert_int_equal(
		mu_transport_feed(e.v.t, "0", &(struct mu_feed){ .n_layers = 1, .layers = { c.l[1].track } }),
		0);
	mu_transport_close(e.v.t, "over");
	assert_int_equal(mu_transport_feed(e.v.t, "0", &(struct mu_feed){ .n_layers = 0 }), -71);
	down();
}

/* The tracks' last reference is the stream's. */
static void test_last_reference(void **state)
{
	struct mu_track *t;

	(void)state;
	up(true, 2);
	FEED(&e, 0, 0, 1);
	run(S);
	t = c.l[1].track;
	cast_end(&c, 1);
	cast_end(&c, 0);
	mu_track_unref(t);
	mu_track_unref(c.l[0].track);
	c.n = 0;
	run(S);
	eye_feed(&e, NULL, 0, 0);
	run(S);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_layer_that_covers_the_tile),
		cmocka_unit_test(test_many_changes),
		cmocka_unit_test(test_many_changes_under_loss),
		cmocka_unit_test(test_many_changes_under_loss_without_rtx),
		cmocka_unit_test(test_many_changes_with_reordering),
		cmocka_unit_test(test_many_changes_with_holes),
		cmocka_unit_test(test_the_same_layers_again),
		cmocka_unit_test(test_the_old_layer_until_the_new_one_begins),
		cmocka_unit_test(test_time_by_the_senders_reports),
		cmocka_unit_test(test_another_endpoint),
		cmocka_unit_test(test_rest_and_return),
		cmocka_unit_test(test_a_layer_without_packets),
		cmocka_unit_test(test_a_layer_that_never_came),
		cmocka_unit_test(test_formats_of_another_publisher),
		cmocka_unit_test(test_requests_of_many_joins),
		cmocka_unit_test(test_requests_of_many_changes),
		cmocka_unit_test(test_a_viewer_asks_for_a_key_frame),
		cmocka_unit_test(test_the_key_frame_is_on_its_way),
		cmocka_unit_test(test_goes_on_where_it_was),
		cmocka_unit_test(test_goes_on_after_silence),
		cmocka_unit_test(test_audio),
		cmocka_unit_test(test_hostile_sources),
		cmocka_unit_test(test_ends_with_a_change_under_way),
		cmocka_unit_test(test_last_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
