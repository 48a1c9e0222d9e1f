/* What the link bears, dealt out to a viewer's streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "transport/share.h"

#define S 1000000

static int source_a, source_b;

/* One layer without more of them inside. */
static struct mu_shape plain(uint16_t width, uint16_t height, uint32_t bps)
{
	return (struct mu_shape){ .flows = bps > 0,
		.width = width,
		.height = height,
		.spatials = 1,
		.temporals = 1,
		.bps = { { bps } },
		.fps = { 30 } };
}

/* Simulcast of three, in an order of its own. */
static void simulcast(struct share_stream *s, const void *source, unsigned urgency)
{
	share_init(s);
	s->kind = MU_VIDEO;
	s->n_layers = 3;
	s->source[0] = s->source[1] = s->source[2] = source;
	s->shapes[0] = plain(1280, 720, 1400000);
	s->shapes[1] = plain(320, 180, 140000);
	s->shapes[2] = plain(640, 360, 470000);
	s->urgency = urgency;
}

static void audio(struct share_stream *s)
{
	share_init(s);
	s->kind = MU_AUDIO;
	s->n_layers = 1;
	s->source[0] = s;
	s->shapes[0] = plain(0, 0, 32000);
	s->never_paused = true;
}

static struct share_sum spend(struct share_stream *const *s, size_t n, uint32_t bps, int64_t now_us)
{
	return share_spend(s, n, &(struct share_budget){ .bps = bps }, now_us);
}

static uint8_t layer_of(const struct share_stream *s)
{
	assert_in_range(s->point, 0, s->n_points - 1);
	return s->points[s->point].layer;
}

static uint32_t payload_of(const struct share_stream *s, unsigned point)
{
	return s->shapes[s->points[point].layer].bps[0][0];
}

static void test_layers_by_size(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	simulcast(&v, &source_a, 3);
	assert_in_range(spend(all, 1, 10 * S, S).wanted_bps, 1400000, 1600000);
	assert_int_equal(v.n_points, 3);
	assert_int_equal(v.n_sizes, 3);
	assert_int_equal(v.points[0].layer, 1);
	assert_int_equal(v.points[1].layer, 2);
	assert_int_equal(v.points[2].layer, 0);
	assert_int_equal(layer_of(&v), 0);
	assert_int_equal(v.choice, MU_CHOICE_WHOLE);
	for (unsigned i = 0; i < 3; i++) /* with headers, not much more */
		assert_in_range(v.points[i].bps, payload_of(&v, i), payload_of(&v, i) * 12 / 10);
}

static void test_link_decides(void **state)
{
	struct share_stream v, a, *all[] = { &v, &a };
	struct share_sum sum;

	(void)state;
	simulcast(&v, &source_a, 3);
	audio(&a);
	sum = spend(all, 2, 900000, S);
	assert_int_equal(layer_of(&v), 2);
	assert_int_equal(v.choice, MU_CHOICE_LINK);
	assert_int_equal(a.point, 0);
	assert_int_equal(a.choice, MU_CHOICE_WHOLE);
	assert_true(sum.spent_bps <= 900000);
	assert_true(sum.wanted_bps > 1400000);
	spend(all, 2, 300000, 2 * S);
	assert_int_equal(layer_of(&v), 1);
	spend(all, 2, 100000, 3 * S);
	assert_int_equal(v.point, MU_PAUSED);
	assert_int_equal(v.choice, MU_CHOICE_PAUSED);
	spend(all, 2, 10000, 4 * S);
	assert_int_equal(a.point, 0); /* never paused */
	spend(all, 2, 5 * S, 4 * S);
	assert_int_equal(v.point, MU_PAUSED); /* it has only just fallen */
	spend(all, 2, 5 * S, 6 * S);
	assert_int_equal(layer_of(&v), 0);
}

static void test_tile_decides(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	simulcast(&v, &source_a, 3);
	v.width = 600;
	v.height = 400; /* 640 x 360 fits its width */
	spend(all, 1, 10 * S, S);
	assert_int_equal(layer_of(&v), 2);
	assert_int_equal(v.choice, MU_CHOICE_TILE);
	v.width = 320;
	v.height = 180;
	spend(all, 1, 10 * S, 2 * S);
	assert_int_equal(layer_of(&v), 1);
	v.width = 1920;
	v.height = 1080;
	spend(all, 1, 10 * S, 5 * S);
	assert_int_equal(layer_of(&v), 0);
	assert_int_equal(v.choice, MU_CHOICE_WHOLE);
}

static void test_urgency_decides(void **state)
{
	struct share_stream v, w, *all[] = { &v, &w };

	(void)state;
	simulcast(&v, &source_a, 4);
	simulcast(&w, &source_b, 1);
	spend(all, 2, 1850000, S);
	assert_int_equal(layer_of(&w), 0);
	assert_int_equal(layer_of(&v), 1);
	assert_int_equal(v.choice, MU_CHOICE_LINK);
	spend(all, 2, 1600000, 2 * S);
	assert_int_equal(layer_of(&w), 2); /* each gets its least before anyone gets more */
	assert_int_equal(layer_of(&v), 2);
	spend(all, 2, 200000, 3 * S);
	assert_int_equal(layer_of(&w), 1);
	assert_int_equal(v.point, MU_PAUSED);
}

/* Audio goes before video whatever its urgency. */
static void test_audio_first(void **state)
{
	struct share_stream v, a, *all[] = { &v, &a };

	(void)state;
	simulcast(&v, &source_a, 0);
	audio(&a);
	a.never_paused = false;
	a.urgency = 4;
	spend(all, 2, 80000, S);
	assert_int_equal(a.point, 0);
	assert_int_equal(v.point, MU_PAUSED);
}

static void test_loss_and_copies_are_kept_back(void **state)
{
	struct share_stream v, a, *all[] = { &v, &a };
	struct share_sum plainly, lossy;

	(void)state;
	simulcast(&v, &source_a, 3);
	audio(&a);
	plainly = spend(all, 2, 1800000, S);
	assert_int_equal(layer_of(&v), 0);
	lossy = share_spend(
		all, 2, &(struct share_budget){ .bps = 1800000, .loss = 0.2, .copies = 2 }, 2 * S);
	assert_int_equal(layer_of(&v), 2);
	assert_true(lossy.wanted_bps > plainly.wanted_bps * 1.19);
	assert_in_range(a.points[0].bps, 3 * 32000 + 20000, 3 * 32000 + 30000);
	share_spend(all, 2, &(struct share_budget){ .bps = 1800000, .loss = 1e9 }, 3 * S);
	assert_int_equal(a.point, 0);
}

/* One stream with layers in it: frames are given up last. */
static void test_temporal_and_spatial(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	share_init(&v);
	v.kind = MU_VIDEO;
	v.n_layers = 1;
	v.source[0] = &source_a;
	v.shapes[0] = (struct mu_shape){ .flows = true,
		.width = 1280,
		.height = 720,
		.spatials = 2,
		.temporals = 3,
		.bps = { { 100000, 150000, 200000 }, { 500000, 700000, 1000000 } },
		.fps = { 7, 15, 30 } };
	spend(all, 1, 10 * S, S);
	assert_int_equal(v.n_points, 4);
	assert_int_equal(v.n_sizes, 2);
	assert_int_equal(v.point, 3);
	assert_int_equal(v.points[3].temporal, 2);
	assert_int_equal(v.points[2].temporal, 2);
	assert_int_equal(v.points[2].spatial, 0);
	assert_int_equal(v.points[2].width, 640);
	spend(all, 1, 900000, 2 * S);
	assert_int_equal(v.point, 2);
	spend(all, 1, 190000, 3 * S);
	assert_int_equal(v.points[v.point].temporal, 1);
	v.width = 640;
	v.height = 360;
	spend(all, 1, 10 * S, 10 * S);
	assert_int_equal(v.point, 2);
	assert_int_equal(v.choice, MU_CHOICE_TILE);
}

/* All that is known of a layer is all that comes: it is not held at what its first packets showed. */
static void test_depth(void **state)
{
	static const struct {
		uint32_t bps;
		unsigned spatial, temporal;
	} rows[] = { { 130000, 0, 0 }, { 190000, 0, 1 }, { 900000, 0, MU_TEMPORAL_MAX - 1 },
		{ 10 * S, MU_SPATIAL_MAX - 1, MU_TEMPORAL_MAX - 1 } };
	struct share_stream v, *all[] = { &v };
	unsigned spatial, temporal;

	(void)state;
	share_init(&v);
	v.kind = MU_VIDEO;
	v.n_layers = 1;
	v.source[0] = &source_a;
	spend(all, 1, 10 * S, S); /* nothing is known */
	share_depth(&v, &spatial, &temporal);
	assert_int_equal(spatial, MU_SPATIAL_MAX - 1);
	assert_int_equal(temporal, MU_TEMPORAL_MAX - 1);
	v.shapes[0] = (struct mu_shape){ .flows = true,
		.spatials = 2,
		.temporals = 3,
		.bps = { { 100000, 150000, 200000 }, { 500000, 700000, 1000000 } },
		.fps = { 7, 15, 30 } };
	for (unsigned i = 2; i < 5; i++) /* until its price is learned */
		spend(all, 1, 10 * S, (int64_t)i * 10 * S);
	for (unsigned i = 0; i < MU_ARRAY_LEN(rows); i++) {
		spend(all, 1, rows[i].bps, (int64_t)(i + 5) * 10 * S);
		share_depth(&v, &spatial, &temporal);
		assert_int_equal(spatial, rows[i].spatial);
		assert_int_equal(temporal, rows[i].temporal);
	}
}

/* A publisher rests layers that nobody takes: they are known from before, or guessed. */
static void test_layers_that_rest(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	simulcast(&v, &source_a, 3);
	v.shapes[0] = v.shapes[2] = (struct mu_shape){ 0 };
	spend(all, 1, 500000, S);
	assert_int_equal(v.n_points, 3);
	assert_int_equal(layer_of(&v), 1);
	v.shapes[0] = plain(1280, 720, 1400000);
	v.shapes[2] = plain(640, 360, 470000);
	spend(all, 1, 500000, 2 * S);
	v.shapes[0].flows = v.shapes[2].flows = false;
	spend(all, 1, 10 * S, 3 * S);
	assert_int_equal(layer_of(&v), 0);
	assert_int_equal(v.points[2].width, 1280);
	assert_true(v.points[2].bps > 1400000);
}

/* What was chosen and does not come is given up for a while, the rest goes on. */
static void test_layer_that_does_not_come(void **state)
{
	struct share_stream v, *all[] = { &v };
	int64_t now = S;

	(void)state;
	simulcast(&v, &source_a, 3);
	spend(all, 1, 10 * S, now);
	v.shapes[0].flows = false;
	for (; now < 5 * S; now += S / 10)
		spend(all, 1, 10 * S, now);
	assert_int_equal(v.n_points, 2);
	assert_int_equal(layer_of(&v), 2);
	v.shapes[0].flows = true;
	spend(all, 1, 10 * S, now += 3 * S);
	assert_int_equal(layer_of(&v), 0);
	v.shapes[0].flows = false;
	for (int64_t end = now + 4 * S; now < end; now += S / 10)
		spend(all, 1, 10 * S, now);
	assert_int_equal(layer_of(&v), 2);
	for (int64_t end = now + 9 * S; now < end && v.n_points == 2; now += S / 10)
		spend(all, 1, 10 * S, now);
	spend(all, 1, 10 * S, now);
	assert_int_equal(layer_of(&v), 0); /* asked for again */
}

/* A source that sends nothing although it is asked keeps no room from others but for its least. */
static void test_dead_source(void **state)
{
	struct share_stream v, w, *all[] = { &v, &w };
	int64_t now;

	(void)state;
	simulcast(&v, &source_a, 1);
	simulcast(&w, &source_b, 4);
	spend(all, 2, 2200000, S);
	assert_int_equal(layer_of(&v), 0);
	assert_int_equal(layer_of(&w), 2);
	for (unsigned i = 0; i < 3; i++)
		v.shapes[i].flows = false;
	for (now = S; now < 8 * S; now += S / 10)
		spend(all, 2, 2200000, now);
	assert_int_equal(v.choice, MU_CHOICE_RESTS);
	assert_int_equal(v.point, 0);
	assert_int_equal(layer_of(&w), 0);
	v.shapes[0].flows = true;
	spend(all, 2, 2200000, now);
	assert_int_equal(layer_of(&v), 0);
	assert_int_equal(layer_of(&w), 2);
}

/* Paused is not dead: nobody asks. */
static void test_paused_for_long_comes_back(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	simulcast(&v, &source_a, 1);
	spend(all, 1, 10 * S, S);
	spend(all, 1, 1000, 2 * S);
	for (unsigned i = 0; i < 3; i++)
		v.shapes[i].flows = false;
	for (int64_t now = 2 * S; now < 20 * S; now += S / 10)
		spend(all, 1, 1000, now);
	assert_int_equal(v.choice, MU_CHOICE_PAUSED);
	spend(all, 1, 10 * S, 20 * S);
	assert_int_equal(layer_of(&v), 0);
}

static void test_another_source_begins_anew(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	simulcast(&v, &source_a, 1);
	spend(all, 1, 10 * S, S);
	spend(all, 1, 200000, 2 * S);
	assert_int_equal(v.point, 0);
	v.source[0] = v.source[1] = v.source[2] = &source_b;
	spend(all, 1, 10 * S, 2 * S); /* its fall was the other's */
	assert_int_equal(layer_of(&v), 0);
	v.n_layers = 0;
	v.source[0] = v.source[1] = v.source[2] = NULL;
	assert_int_equal(spend(all, 1, 10 * S, 3 * S).spent_bps, 0);
	assert_int_equal(v.choice, MU_CHOICE_RESTS);
	assert_int_equal(v.point, MU_PAUSED);
}

/* A key frame makes half a second dear: nobody falls for that. */
static void test_rates_are_smoothed(void **state)
{
	struct share_stream v, *all[] = { &v };
	int64_t now = S;

	(void)state;
	simulcast(&v, &source_a, 3);
	spend(all, 1, 1700000, now);
	v.shapes[0].bps[0][0] = 2500000;
	for (int i = 0; i < 2; i++)
		spend(all, 1, 1800000, now += S / 10);
	assert_int_equal(layer_of(&v), 0);
	for (int i = 0; i < 30; i++) /* it lasts */
		spend(all, 1, 1800000, now += S / 10);
	assert_int_equal(layer_of(&v), 2);
}

static void test_nothing_known_of_sizes(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	simulcast(&v, &source_a, 3);
	v.width = 320;
	v.height = 180;
	for (unsigned i = 0; i < 3; i++)
		v.shapes[i].width = v.shapes[i].height = 0;
	spend(all, 1, 10 * S, S);
	assert_int_equal(v.points[0].layer, 1); /* by rate */
	assert_int_equal(layer_of(&v), 0);
	share_init(&v);
	v.kind = MU_VIDEO;
	v.n_layers = 3;
	spend(all, 1, 800000, S);
	assert_int_equal(v.n_points, 3);
	assert_int_equal(v.point, 1); /* guessed */
}

/* What was never seen is taken for what the seen ones are not, whatever the order in the feed. */
static void test_one_layer_known(void **state)
{
	struct share_stream v, *all[] = { &v };

	(void)state;
	simulcast(&v, &source_a, 3);
	v.shapes[1] = v.shapes[2] = (struct mu_shape){ 0 };
	spend(all, 1, 300000, S);
	assert_int_equal(v.n_points, 3);
	assert_int_equal(v.points[2].layer, 0);
	assert_true(v.points[0].bps < 200000);
	assert_int_equal(v.point, 0); /* so it is asked for */
}

/* A layer that has just come shows its key frame, and what was measured before it rested may have been just
 * that: for two seconds it costs what its size says. */
static void test_new_layer_costs_what_its_size_says(void **state)
{
	struct share_stream v, *all[] = { &v };
	int64_t now = S;
	uint32_t before;

	(void)state;
	simulcast(&v, &source_a, 3);
	v.shapes[0].flows = false;
	v.shapes[0].bps[0][0] = 4000000; /* of before */
	spend(all, 1, 2000000, now);
	before = v.points[2].bps;
	assert_in_range(before, 1300000, 1700000);
	assert_int_equal(layer_of(&v), 0);
	v.shapes[0].flows = true;
	for (int i = 0; i < 19; i++)
		spend(all, 1, 2000000, now += S / 10);
	assert_int_equal(v.points[2].bps, before);
	for (int i = 0; i < 40; i++) /* it was no key frame */
		spend(all, 1, 2000000, now += S / 10);
	assert_true(v.points[2].bps > 3500000);
	assert_int_equal(layer_of(&v), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layers_by_size),
		cmocka_unit_test(test_link_decides),
		cmocka_unit_test(test_tile_decides),
		cmocka_unit_test(test_urgency_decides),
		cmocka_unit_test(test_audio_first),
		cmocka_unit_test(test_loss_and_copies_are_kept_back),
		cmocka_unit_test(test_temporal_and_spatial),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_layers_that_rest),
		cmocka_unit_test(test_layer_that_does_not_come),
		cmocka_unit_test(test_dead_source),
		cmocka_unit_test(test_paused_for_long_comes_back),
		cmocka_unit_test(test_another_source_begins_anew),
		cmocka_unit_test(test_rates_are_smoothed),
		cmocka_unit_test(test_nothing_known_of_sizes),
		cmocka_unit_test(test_one_layer_known),
		cmocka_unit_test(test_new_layer_costs_what_its_size_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
