/* What viewers see when their link bears less than there is (RELIABILITY G6, S13): which layer of which
 * source, how long the link's queue gets, and that voices are never interrupted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapt/adapt.h"
#include "screen.h"
#include "conference/conference.h"

#define S      1000000
#define LOW    0
#define MIDDLE 1
#define HIGH   2

static struct screen s;
static const uint32_t simulcast[] = { 150000, 500000, 1500000 };

static void tell(const char *when)
{
	const struct figures *g = flow_figures(&s.f, s.t);

	print_message(
		"%s: estimate %u, acked %u, wanted %u, spent %u, loss %.3f, queue %u ms, paced %u ms, limit %u, %u probes;",
		when, g->link.estimate_bps, g->link.acked_bps, g->link.wanted_bps, g->link.spent_bps,
		(double)g->link.loss, g->link.queue_us / 1000, g->link.paced_us / 1000, g->link.limit,
		g->link.probes);
	for (unsigned i = 0; i < s.n_views; i++)
		print_message(" %s: layer %u %s", s.view[i].mid, s.view[i].layer,
			i < g->n_streams ? mu_choice_name(g->streams[i].choice) : "");
	print_message("\n");
}

/* Run until a whole frame of this layer came. @return how long that took; -1: longer than max_us */
static int64_t until_layer(struct view *v, unsigned layer, int64_t max_us)
{
	int64_t began = s.f.now_us;
	unsigned before = v->n_whole[layer];

	while (v->n_whole[layer] == before) {
		if (s.f.now_us - began >= max_us)
			return -1;
		screen_run(&s, 10000);
	}
	return s.f.now_us - began;
}

static unsigned whole_frames(const struct view *v, unsigned from, unsigned to)
{
	unsigned n = 0;

	for (unsigned i = from; i < to; i++)
		n += v->frame[i].whole_us != 0;
	return n;
}

static unsigned heard(const struct view *v, unsigned from, unsigned to)
{
	unsigned n = 0;

	for (unsigned i = from; i < to; i++)
		n += v->heard[i];
	return n;
}

/* --- room for all --- */

static void test_wide_link_gets_all_at_once(void **state)
{
	struct view *v;
	int64_t took;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true);
	screen_run(&s, 2 * S);
	screen_watch(&s, (struct link_way){ .bps = 20000000, .delay_us = 20000 });
	v = screen_show(&s, 0, MU_VIDEO, MU_URGENT_CONFERENCE, false);
	screen_show(&s, 0, MU_AUDIO, MU_URGENT_CONFERENCE, false);
	took = until_layer(v, HIGH, 5 * S);
	print_message("the highest layer after %lld ms\n", (long long)took / 1000);
	tell("20 Mbit/s");
	assert_in_range(took, 0, 3 * S);
	screen_run(&s, 10 * S);
	tell("20 Mbit/s, later");
	assert_int_equal(v->layer, HIGH);
	assert_int_equal(v->bad, 0);
	assert_int_equal(flow_figures(&s.f, s.t)->streams[0].choice, MU_CHOICE_WHOLE);
	/* nothing waits: a frame is whole as soon as the camera and the link let it */
	screen_measure(&s);
	{
		unsigned from = s.camera[0].n_frames, to;
		int64_t slowest = 0;

		screen_run(&s, 5 * S);
		to = s.camera[0].n_frames - 10;
		for (unsigned i = from; i < to; i++) {
			assert_true(v->frame[i].whole_us);
			slowest = MU_MAX(slowest, v->frame[i].whole_us - s.camera[0].frame_us[i]);
		}
		print_message("slowest frame %lld ms\n", (long long)slowest / 1000);
		assert_true(slowest < 60000);
	}
	assert_true(screen_queue_us(&s, 1000) < 50000);
	assert_int_equal(s.unnumbered, 0); /* every RTP packet is counted on the link */
	screen_down(&s);
}

/* --- a link that gets worse and better --- */

static void test_dip(void **state)
{
	struct view *v, *a;
	int64_t back;
	unsigned from;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true);
	screen_watch(&s, (struct link_way){ .bps = 2000000, .delay_us = 20000 });
	v = screen_show(&s, 0, MU_VIDEO, MU_URGENT_CONFERENCE, false);
	a = screen_show(&s, 0, MU_AUDIO, MU_URGENT_CONFERENCE, false);
	screen_run(&s, 15 * S);
	tell("2 Mbit/s");
	assert_int_equal(v->layer, HIGH);
	from = s.camera[0].n_audio;
	screen_measure(&s);
	s.link.down.way.bps = 500000;
	screen_run(&s, 20 * S);
	tell("500 kbit/s");
	print_message("queue: worst %lld ms, p95 %lld ms; longest gap of audio %lld ms\n",
		(long long)screen_queue_us(&s, 1000) / 1000, (long long)screen_queue_us(&s, 950) / 1000,
		(long long)s.gap_us / 1000);
	assert_int_equal(v->layer, LOW);
	assert_true(screen_queue_us(&s, 1000) <= 2 * S);
	assert_true(screen_queue_us(&s, 950) <= 500000);
	assert_true(s.gap_us <= screen_queue_us(&s, 1000) + 200000);
	s.link.down.way.bps = 2000000;
	back = until_layer(v, HIGH, 20 * S);
	print_message("back at the high layer after %lld ms\n", (long long)back / 1000);
	tell("2 Mbit/s again");
	assert_in_range(back, 0, 10 * S);
	screen_run(&s, 10 * S);
	tell("later");
	assert_int_equal(v->layer, HIGH);
	assert_true(screen_queue_us(&s, 1000) <= 2 * S);
	assert_true(screen_queue_us(&s, 950) <= 500000);
	/* each word was heard */
	assert_int_equal(heard(a, from, s.camera[0].n_audio - 50), s.camera[0].n_audio - 50 - from);
	assert_int_equal(v->bad + a->bad, 0);
	screen_down(&s);
}

/* The publisher is told to rest layers that nobody takes: the one that fits is asked for all the same, and
 * comes. */
static void test_layers_that_rest_are_asked_for(void **state)
{
	struct view *v;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true)->rests = true;
	screen_run(&s, 2 * S);
	screen_watch(&s, (struct link_way){ .bps = 2000000, .delay_us = 20000 });
	v = screen_show(&s, 0, MU_VIDEO, MU_URGENT_CONFERENCE, false);
	screen_show(&s, 0, MU_AUDIO, MU_URGENT_CONFERENCE, false);
	screen_run(&s, 15 * S);
	tell("2 Mbit/s, resting");
	assert_int_equal(v->layer, HIGH);
	assert_true(s.camera[0].layer[LOW].rested > 200);
	s.link.down.way.bps = 500000;
	screen_run(&s, 15 * S);
	tell("500 kbit/s, resting");
	assert_int_equal(v->layer, LOW);
	assert_true(s.f.now_us - v->layer_us[LOW] < S);
	s.link.down.way.bps = 2000000;
	screen_run(&s, 15 * S);
	tell("2 Mbit/s again, resting");
	assert_int_equal(v->layer, HIGH);
	screen_down(&s);
}

/* --- loss --- */

static void test_loss_is_repaired(void **state)
{
	struct view *v, *a;
	unsigned from, to, whole, said, words;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true);
	screen_watch(&s, (struct link_way){ .bps = 8000000, .delay_us = 30000, .loss = 0.05 });
	v = screen_show(&s, 0, MU_VIDEO, MU_URGENT_CONFERENCE, false);
	a = screen_show(&s, 0, MU_AUDIO, MU_URGENT_CONFERENCE, true);
	screen_run(&s, 5 * S);
	from = s.camera[0].n_frames;
	said = s.camera[0].n_audio;
	screen_run(&s, 30 * S);
	to = s.camera[0].n_frames - 30;
	whole = whole_frames(v, from, to);
	words = heard(a, said, s.camera[0].n_audio - 50);
	tell("5 % loss");
	print_message("%u of %u frames whole, %u repaired; %u of %u audio packets, %u first as a copy\n",
		whole, to - from, s.repaired, words, s.camera[0].n_audio - 50 - said, a->copies);
	assert_true(whole * 1000 >= (to - from) * 995);
	assert_int_equal(v->layer, HIGH);
	assert_true(a->copies > 20);
	assert_true(words * 1000 >=
		(s.camera[0].n_audio - 50 - said) * 990); /* 0.25 % are lost with their copy */
	assert_int_equal(flow_figures(&s.f, s.t)->link.red, 1);
	assert_int_equal(v->bad + a->bad, 0);
	s.link.down.way.loss = 0;
	screen_run(&s, 15 * S);
	assert_int_equal(flow_figures(&s.f, s.t)->link.red, 0);
	screen_down(&s);
}

/* --- urgency --- */

static void test_urgent_keeps_its_layer(void **state)
{
	struct view *urgent, *other, *a;
	unsigned from;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true);
	screen_camera(&s, simulcast, 3, false);
	screen_watch(&s, (struct link_way){ .bps = 6000000, .delay_us = 20000 });
	other = screen_show(&s, 1, MU_VIDEO, MU_URGENT_MONITOR, false);
	urgent = screen_show(&s, 0, MU_VIDEO, MU_URGENT_SOS, false);
	a = screen_show(&s, 0, MU_AUDIO, MU_URGENT_SOS, false);
	screen_run(&s, 15 * S);
	tell("6 Mbit/s");
	assert_int_equal(urgent->layer, HIGH);
	assert_int_equal(other->layer, HIGH);
	s.link.down.way.bps = 2500000;
	screen_run(&s, 20 * S);
	tell("2.5 Mbit/s");
	assert_int_equal(urgent->layer, HIGH);
	assert_true(other->layer < HIGH);
	s.link.down.way.bps = 290000;
	screen_run(&s, 10 * S);
	from = s.camera[0].n_frames;
	screen_run(&s, 10 * S);
	tell("290 kbit/s");
	print_message("of 300 frames the urgent one has %u, the other %u\n",
		whole_frames(urgent, from, from + 300), whole_frames(other, from, from + 300));
	assert_int_equal(urgent->layer, LOW);
	assert_true(whole_frames(urgent, from, from + 300) > 270);
	assert_true(whole_frames(other, from, from + 300) < 60); /* it may try once whether there is room */
	s.link.down.way.bps = 6000000;
	screen_run(&s, 20 * S);
	tell("6 Mbit/s again");
	assert_int_equal(urgent->layer, HIGH);
	assert_int_equal(other->layer, HIGH);
	assert_int_equal(heard(a, 100, s.camera[0].n_audio - 50), s.camera[0].n_audio - 150);
	assert_int_equal(urgent->bad + other->bad + a->bad, 0);
	screen_down(&s);
}

/* --- a peer that says nothing --- */

static void test_no_feedback_at_all(void **state)
{
	struct view *v;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true);
	screen_watch(&s, (struct link_way){ .bps = 5000000, .delay_us = 20000 });
	s.mute_twcc = true;
	v = screen_show(&s, 0, MU_VIDEO, MU_URGENT_CONFERENCE, false);
	screen_show(&s, 0, MU_AUDIO, MU_URGENT_CONFERENCE, false);
	screen_run(&s, 20 * S);
	tell("no feedback");
	assert_int_equal(v->layer, MIDDLE);
	assert_false(flow_figures(&s.f, s.t)->link.known);
	screen_down(&s);
}

/* It stops in the middle, and so does what we send, but for a voice; then it comes back. */
static void test_silence(void **state)
{
	struct view *v, *a;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true);
	screen_watch(&s, (struct link_way){ .bps = 5000000, .delay_us = 20000 });
	v = screen_show(&s, 0, MU_VIDEO, MU_URGENT_CONFERENCE, false);
	a = screen_show(&s, 0, MU_AUDIO, MU_URGENT_CONFERENCE, false);
	screen_run(&s, 6 * S);
	assert_int_equal(v->layer, HIGH);
	s.mute_twcc = true;
	screen_run(&s, 6 * S);
	tell("silence");
	assert_true(s.f.now_us - v->layer_us[HIGH] > 2 * S);
	assert_true(s.f.now_us - a->last_audio_us < S);
	s.mute_twcc = false;
	screen_run(&s, 12 * S);
	tell("heard again");
	assert_int_equal(v->layer, HIGH);
	screen_down(&s);
}

/* The line is cut for a second and a half and is then as it was, as where a NAT forgets: what was lost meanwhile is no sign of a
 * bad line. */
static void test_cut(void **state)
{
	struct view *v;

	(void)state;
	screen_up(&s);
	screen_camera(&s, simulcast, 3, true);
	screen_watch(&s, (struct link_way){ .bps = 3000000, .delay_us = 20000 });
	v = screen_show(&s, 0, MU_VIDEO, MU_URGENT_CONFERENCE, false);
	screen_show(&s, 0, MU_AUDIO, MU_URGENT_CONFERENCE, false);
	screen_run(&s, 8 * S);
	assert_int_equal(v->layer, HIGH);
	s.link.down.way.lose_first = 1000000;
	screen_run(&s, 3 * S / 2);
	s.link.down.way.lose_first = 0;
	screen_run(&s, S);
	tell("a second after the cut");
	assert_true(flow_figures(&s.f, s.t)->link.limit != MU_LIMIT_LOSS);
	assert_true(flow_figures(&s.f, s.t)->link.estimate_bps > 700000);
	screen_run(&s, 2 * S);
	tell("three seconds after it");
	assert_int_equal(v->layer, HIGH);
	screen_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wide_link_gets_all_at_once),
		cmocka_unit_test(test_dip),
		cmocka_unit_test(test_layers_that_rest_are_asked_for),
		cmocka_unit_test(test_loss_is_repaired),
		cmocka_unit_test(test_urgent_keeps_its_layer),
		cmocka_unit_test(test_no_feedback_at_all),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
