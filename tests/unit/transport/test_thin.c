/* Layers within a track: which of them go out, and what is seen of those that do not. */
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

static void target(unsigned spatial, unsigned temporal)
{
	fit_target(eye_out(&e), 0, spatial, temporal, MU_CHOICE_LINK, c.now_us);
}

/* --- temporal layers: VP8 --- */

static void up(unsigned temporals, unsigned worker)
{
	cast_up(&c);
	cast_layer(&c, "cam/video", worker, 360);
	c.l[0].temporals = c.l[0].shape.temporals = (uint8_t)temporals;
	cast_begin(&c, 0);
	eye_up(&e, &c, MU_VIDEO, GCM, false);
	FEED(&e, 0, 0);
	run(S);
}

static unsigned frames_of(uint64_t from, unsigned temporal)
{
	unsigned n = 0;

	for (uint64_t i = from; i <= e.highest; i++) {
		const struct got *g = eye_got(&e, i);

		n += g->there && !g->empty && g->i == 0 && g->temporal == (int)temporal;
	}
	return n;
}

static void test_temporal_layers(void **state)
{
	static const unsigned targets[] = { 2, 1, 0, 1, 2, 0, 2, 1, 0, 2 };

	(void)state;
	for (unsigned worker = 0; worker < 2; worker++) {
		up(3, worker);
		for (unsigned i = 0; i < 100; i++) {
			unsigned most = targets[i % MU_ARRAY_LEN(targets)];
			uint64_t from;

			target(2, most);
			run(2 * CAST_FRAME_US); /* a picture of each layer that it may begin with */
			run(2 * CAST_FRAME_US);
			from = e.highest + 1;
			run(12 * CAST_FRAME_US);
			assert_int_equal(frames_of(from, 0), 3);
			assert_int_equal(frames_of(from, 1), most >= 1 ? 3 : 0);
			assert_int_equal(frames_of(from, 2), most >= 2 ? 6 : 0);
			assert_true(eye_check(&e) > 0);
			e.first = e.highest - 10;
		}
		assert_int_equal(c.l[0].keys, 1);
		down();
	}
}

/* Packets of pictures that are left out come late: nobody is left waiting, and the ids stay whole. */
static void test_temporal_layers_with_reordering(void **state)
{
	(void)state;
	up(3, 0);
	c.late = 5;
	for (unsigned i = 0; i < 100; i++) {
		target(2, i % 3);
		run(S / 3);
		cast_late(&c);
		cast_turn(&c);
		eye_look(&e);
		for (uint64_t n = e.first; n <= e.highest; n++)
			assert_true(eye_got(&e, n)->there);
		e.first = e.highest;
	}
	down();
}

/* What is left out upstream is asked for upstream; what comes of it is nothing that was left out. */
static void test_temporal_layers_with_loss(void **state)
{
	(void)state;
	up(3, 1);
	e.lose = 10;
	for (unsigned i = 0; i < 60; i++) {
		target(2, i % 2);
		run(S / 3);
		eye_nack(&e);
		eye_look(&e);
		eye_check(&e);
		e.first = e.highest - 5;
	}
	assert_true(e.repaired > 50);
	down();
}

/* A layer without switching points: up at a key frame only. */
static void test_no_way_up_but_a_key_frame(void **state)
{
	uint64_t from;

	(void)state;
	up(2, 0);
	c.l[0].no_sync = true;
	target(2, 0);
	run(S);
	target(2, 1);
	from = e.highest + 1;
	run(S);
	assert_int_equal(frames_of(from, 1), 0);
	c.l[0].want_key = true;
	run(S);
	assert_true(frames_of(from, 1) > 10);
	eye_check(&e);
	down();
}

/* --- spatial layers: VP9 --- */

enum { KEY = 1, SINGLE = 2, BASE = 4 };
static unsigned pictures;
static bool seen_any;
static uint16_t next_seq;

/* A picture of three layers of two packets each, of which the layers from `intra_from` on are not predicted
 * from pictures before. */
static void picture(unsigned flags, unsigned intra_from, unsigned temporal)
{
	uint32_t ts = ++pictures * 3000;

	for (unsigned sp = 0; sp < (flags & BASE ? 1 : 3); sp++) {
		for (unsigned i = 0; i < 2; i++) {
			bool predicted = !(flags & KEY) && sp < intra_from;
			uint8_t d[200] = { (uint8_t)(0xa0 | (predicted ? 0x40 : 0) | (i == 0 ? 0x08 : 0) |
						   (i == 1 ? 0x04 : 0)),
				(uint8_t)(0x80 | pictures >> 8), (uint8_t)pictures,
				(uint8_t)(temporal << 5 | sp << 1 | (sp > 0)), (uint8_t)pictures };
			struct mu_packet *p;

			d[10] = (uint8_t)sp;
			d[11] = (uint8_t)i;
			mu_put32(d + 12, pictures);
			p = cast_packet(&c, 0, d, sizeof(d), ts);
			if (sp == 2 && i == 1) {
				p->flags |= MU_PACKET_MARKER;
				p->data[1] |= 0x80;
			}
			cast_push(&c, 0, p);
			if (flags & SINGLE)
				cast_turn(&c); /* each on its own */
		}
	}
	c.now_us += CAST_FRAME_US;
	mu_clock_drive(c.now_us);
	cast_turn(&c);
}

static void svc_up(void)
{
	pictures = 0;
	seen_any = false;
	cast_up(&c);
	cast_layer(&c, "cam/video", 0, 720);
	c.l[0].format.codec = MU_CODEC_VP9;
	c.l[0].shape.spatials = 3;
	cast_begin(&c, 0);
	c.l[0].sends = false;
	eye_up_as(&e, &c, MU_CODEC_VP9);
	FEED(&e, 0, 0);
	picture(KEY, 0, 0);
}

struct seen {
	uint32_t ts;
	uint16_t seq;
	unsigned spatial, i;
	bool marker;
};
/* What came, in the order of numbers; they go on without a hole. */
static unsigned see(struct seen *ret, unsigned max)
{
	struct mu_rtp_header h;
	uint8_t plain[2000];
	unsigned n = 0;
	size_t len;

	while (n < max && viewer_take(&e.v, &h, plain, &len)) {
		if (seen_any)
			assert_int_equal(h.seq, next_seq);
		seen_any = true;
		next_seq = (uint16_t)(h.seq + 1);
		ret[n++] = (struct seen){ h.ts, h.seq, plain[h.hlen + 10], plain[h.hlen + 11], h.marker };
	}
	e.v.t->ice.last_check_us = c.now_us;
	return n;
}

/* Of one picture: layers 0 to `highest`, the marker on its last packet alone. */
static void expect_picture(unsigned highest)
{
	struct seen s[16];

	assert_int_equal(see(s, 16), 2 * (highest + 1));
	for (unsigned i = 0; i < 2 * (highest + 1); i++) {
		assert_int_equal(s[i].spatial, i / 2);
		assert_int_equal(s[i].i, i % 2);
		assert_int_equal(s[i].ts, s[0].ts);
		assert_int_equal(s[i].marker, i == 2 * highest + 1);
	}
}

static void spatial_layers(unsigned how)
{
	svc_up();
	expect_picture(2);
	picture(how, 3, 0);
	expect_picture(2);
	for (unsigned k = 0; k < 20; k++) {
		target(0, 3); /* down: at once */
		picture(how, 3, 0);
		expect_picture(0);
		target(1, 3); /* up: not by a picture that is predicted */
		picture(how, 3, 0);
		expect_picture(0);
		picture(how, 1, 0);
		expect_picture(1);
		picture(how, 3, 0);
		expect_picture(1);
		target(2, 3); /* the layer above begins anew, the present one goes on */
		picture(how, 2, 0);
		expect_picture(2);
		target(0, 3);
		picture(how, 3, 0);
		expect_picture(0);
		target(2, 3); /* two steps in one picture */
		picture(how, 1, 0);
		expect_picture(2);
		target(1, 3);
		picture(how, 3, 0);
		expect_picture(1);
		target(2, 3);
		picture(how, 3, 0);
		expect_picture(1);
		picture(KEY | how, 0, 0); /* all of it */
		expect_picture(2);
	}
	down();
}

static void test_spatial_layers(void **state)
{
	(void)state;
	spatial_layers(0);
}

/* No two packets of a picture in one burst: what comes next is not known yet. */
static void test_spatial_layers_packet_by_packet(void **state)
{
	(void)state;
	spatial_layers(SINGLE);
}

/* A layer that is wanted needs a key frame where the encoder never begins it anew: somebody has to ask. */
static void test_a_spatial_layer_asks(void **state)
{
	(void)state;
	svc_up();
	expect_picture(2);
	target(0, 3);
	for (unsigned i = 0; i < 30; i++)
		picture(0, 3, 0);
	c.l[0].asked = 0;
	target(2, 3);
	picture(0, 3, 0);
	assert_int_equal(c.l[0].asked, 1);
	down();
}

/* What is held back for the next packet does not stay when there is none. */
static void test_held_back_at_the_end(void **state)
{
	struct mu_rtp_header h;
	uint8_t plain[2000];
	size_t len;

	(void)state;
	for (int ended = 0; ended < 2; ended++) {
		svc_up();
		expect_picture(2);
		target(0, 3);
		picture(0, 3, 0);
		expect_picture(0);
		target(2, 3);
		picture(BASE, 3, 0);
		assert_true(viewer_take(&e.v, &h, plain, &len));
		assert_false(h.marker);
		assert_false(viewer_take(&e.v, &h, plain, &len));
		if (ended)
			eye_feed(&e, NULL, 0,
				0); /* nothing of it may leave any more, but its number was given */
		else
			cast_run(&c, S / 2);
		assert_true(viewer_take(&e.v, &h, plain, &len));
		assert_true(h.marker);
		assert_int_equal(len > h.hlen, !ended);
		down();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_temporal_layers),
		cmocka_unit_test(test_temporal_layers_with_reordering),
		cmocka_unit_test(test_temporal_layers_with_loss),
		cmocka_unit_test(test_no_way_up_but_a_key_frame),
		cmocka_unit_test(test_spatial_layers),
		cmocka_unit_test(test_spatial_layers_packet_by_packet),
		cmocka_unit_test(test_a_spatial_layer_asks),
		cmocka_unit_test(test_held_back_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
