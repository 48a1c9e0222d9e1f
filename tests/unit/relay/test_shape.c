/* What a track is like, who wants it, how loud it is. */
#include <stdlib.h>

#include "bench.h"

#define TURN 33333

/* A VP8 packet of a temporal layer; a key frame says 640x360. */
static void push_layer(struct bench *b, unsigned temporal, bool sync, bool key)
{
	struct mu_packet *p = video(fake_net_relay(b->net, 0), (uint16_t)b->seq, b->ts, true, key, true, 1012, b->now);
	uint8_t *at = p->data + p->hlen;
	static const uint8_t head[] = { 0x10, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01 };

	at[0] = 0x90;
	at[1] = 0x20; /* T */
	at[2] = (uint8_t)(temporal << 6 | (sync ? 0x20 : 0));
	memcpy(at + 3, head, sizeof(head));
	at[3] = key ? 0x10 : 0x11;
	mu_track_push(b->track, p, b->seq++, b->now);
	b->ts += 3000;
	mu_clock_drive(b->now += TURN);
	fake_net_run(b->net, b->now);
}

/* Two temporal layers at 15 + 15 frames a second, 1000 bytes each. */
static void run_layers(struct bench *b, unsigned frames)
{
	for (unsigned i = 0; i < frames; i++)
		push_layer(b, i % 2, i % 2, i == 0);
}

static void test_rates(void **state)
{
	struct mu_shape s;
	struct bench b;

	(void)state;
	setup(&b, 1, true);
	mu_track_shape(b.track, &s);
	assert_false(s.flows);
	assert_int_equal(s.bps[0][0], 0);
	run_layers(&b, 60);
	mu_track_shape(b.track, &s);
	assert_true(s.flows);
	assert_int_equal(s.spatials, 1);
	assert_int_equal(s.temporals, 2);
	assert_int_equal(s.width, 640);
	assert_int_equal(s.height, 360);
	assert_in_range(s.bps[0][0], 110000, 130000);
	assert_in_range(s.bps[0][1], 225000, 255000);
	assert_int_equal(s.bps[0][3], s.bps[0][1]);
	assert_int_equal(s.bps[2][1], s.bps[0][1]);
	assert_in_range(s.fps[0], 14, 16);
	assert_in_range(s.fps[3], 28, 32);
	mu_clock_drive(b.now + 1100000);
	mu_track_shape(b.track, &s);
	assert_false(s.flows);
	assert_int_equal(s.width, 640); /* the last that is known */
	mu_clock_drive(0);
	teardown(&b);
}

/* After a fifth of a second there is an idea of the rate, and after silence the old one does not linger. */
static void test_begins(void **state)
{
	struct mu_shape s;
	struct bench b;

	(void)state;
	setup(&b, 1, true);
	run_layers(&b, 8);
	mu_track_shape(b.track, &s);
	assert_in_range(s.bps[0][1], 120000, 400000);
	run_layers(&b, 40);
	b.now += 5000000;
	for (unsigned i = 0; i < 8; i++)
		push_layer(&b, 0, false, false);
	mu_track_shape(b.track, &s);
	assert_in_range(s.bps[0][0], 120000, 400000);
	assert_int_equal(s.temporals, 1);
	mu_clock_drive(0);
	teardown(&b);
}

static void assert_layer(const struct mu_packet *p, unsigned spatial, unsigned temporal, unsigned flags)
{
	assert_int_equal(p->spatial, spatial);
	assert_int_equal(p->temporal, temporal);
	assert_int_equal(p->layer, flags);
}

static const struct mu_packet *pushed(struct bench *b, const uint8_t *payload, size_t len, bool marker)
{
	struct mu_packet *p = video(fake_net_relay(b->net, 0), (uint16_t)b->seq, b->ts, true, false, marker, 200, b->now);

	memcpy(p->data + p->hlen, payload, len);
	mu_track_push(b->track, p, b->seq++, b->now);
	return p; /* the cache has it */
}

static void test_packets_say_their_layer(void **state)
{
	static const uint8_t p9[] = { 0x80 | 0x20 | 0x08 | 0x04 | 0x40, 0x05, 0x02 << 5 | 0x10 | 0x01 << 1, 0x07, 0x82, 0x49 };
	static const uint8_t t2[] = { 0x90, 0x20, 2 << 6 | 0x20, 0x11 }, t0[] = { 0x90, 0x20, 0, 0x11 };
	struct taker *t;
	struct bench b;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	assert_layer(pushed(&b, t2, sizeof(t2), true), 0, 2, MU_LAYER_START | MU_LAYER_END | MU_LAYER_UP);
	assert_layer(pushed(&b, t0, sizeof(t0), false), 0, 0, MU_LAYER_START | MU_LAYER_UP);
	change_source(&b, &vp9);
	assert_layer(pushed(&b, p9, sizeof(p9), true), 1, 2, MU_LAYER_START | MU_LAYER_END | MU_LAYER_UP);
	leave(&b, 0, t);
	mu_clock_drive(0);
	teardown(&b);
}

/* A dependency descriptor says the layer, of whatever codec; key frame, then layer 2 of temporal layers. */
static const struct mu_packet *pushed_dd(struct bench *b, const uint8_t *dd, size_t len)
{
	struct mu_packet *p = video(fake_net_relay(b->net, 0), (uint16_t)b->seq, b->ts, true, true, true, 200, b->now);

	memcpy(p->data + p->len, dd, len);
	p->n_ext = 1;
	p->ext[0] = (struct mu_packet_ext){ MU_EXT_DEPENDENCY_DESCRIPTOR, (uint8_t)len, p->len };
	mu_track_push(b->track, p, b->seq++, b->now);
	b->ts += 3000;
	return p;
}

static void test_dependency_descriptor(void **state)
{
	/* template table of three temporal layers; then template 3 */
	static const uint8_t table[] = { 0xc0, 0x00, 0x01, 0x80, 0x02, 0x17, 0xaa, 0xa1, 0x81, 0x4d, 0x14, 0x08, 0x00, 0x00 };
	static const uint8_t top[] = { 0xc3, 0x00, 0x02 };
	struct taker *t;
	struct bench b;

	(void)state;
	setup(&b, 1, true);
	t = join(&b, 0);
	assert_layer(pushed_dd(&b, table, sizeof(table)), 0, 0,
		MU_LAYER_START | MU_LAYER_END | MU_LAYER_UP | MU_LAYER_INTRA);
	assert_layer(pushed_dd(&b, top, sizeof(top)), 0, 2,
		MU_LAYER_START | MU_LAYER_END | MU_LAYER_UP | MU_LAYER_UNREFERENCED);
	change_source(&b, &vp9);
	assert_int_equal(pushed_dd(&b, top, sizeof(top))->temporal, 0); /* the table was of another source */
	leave(&b, 0, t);
	mu_clock_drive(0);
	teardown(&b);
}

/* Parameter sets in packets of their own, and slices, are one frame. */
static void test_frames_are_counted_once(void **state)
{
	static const uint8_t sps[] = { 0x67, 0x42, 0xc0, 0x1e, 0x8c, 0x8d, 0x40, 0x52, 0x17, 0xf1, 0x13, 0x40, 0x3c, 0x22, 0x11,
		0xa8 };
	static const uint8_t sei[] = { 0x06, 0x05 }, idr[] = { 0x65, 0x88 };
	static const struct mu_format h264 = { .codec = MU_CODEC_H264, .pt = 96 };
	struct mu_shape s;
	struct bench b;

	(void)state;
	setup(&b, 1, true);
	change_source(&b, &h264);
	for (int i = 0; i < 60; i++) {
		pushed(&b, sps, sizeof(sps), false);
		pushed(&b, sei, sizeof(sei), false);
		pushed(&b, idr, sizeof(idr), true);
		b.ts += 3000;
		mu_clock_drive(b.now += TURN);
		fake_net_run(b.net, b.now);
	}
	mu_track_shape(b.track, &s);
	assert_in_range(s.fps[0], 28, 32);
	assert_int_equal(s.width, 642);
	assert_int_equal(s.height, 358);
	mu_clock_drive(0);
	teardown(&b);
}

/* --- users ------------------------------------------------------------------------------------------------------------------ */

static struct mu_inbox inbox;
struct watcher {
	unsigned calls, users;
};
static void on_users(void *arg, struct mu_track *t)
{
	struct watcher *w = arg;

	w->calls++;
	w->users = mu_track_users(t);
}

static void test_users(void **state)
{
	struct watcher w = { 0 };
	struct taker *t[3];
	struct bench b;

	(void)state;
	setup(&b, 2, true);
	mu_track_watch(b.track, &inbox, on_users, &w);
	t[0] = join(&b, 0);
	t[1] = join(&b, 1);
	assert_int_equal(mu_track_users(b.track), 2);
	fake_net_control();
	assert_int_equal(w.calls, 1);
	assert_int_equal(w.users, 2);
	t[2] = join(&b, 1);
	fake_net_control();
	assert_int_equal(w.calls, 1);
	for (int i = 0; i < 3; i++)
		leave(&b, i > 0, t[i]);
	fake_net_control();
	assert_int_equal(w.calls, 2);
	assert_int_equal(w.users, 0);
	t[0] = join(&b, 0);
	leave(&b, 0, t[0]); /* both at once are told once */
	fake_net_control();
	assert_int_equal(w.calls, 3);
	t[0] = join(&b, 0);
	mu_track_watch(b.track, NULL, NULL, NULL); /* with a call under way */
	fake_net_control();
	assert_int_equal(w.calls, 3);
	leave(&b, 0, t[0]);
	fake_net_control();
	teardown(&b);
}

/* A call under way keeps the track. */
static void test_last_reference(void **state)
{
	struct watcher w = { 0 };
	struct mu_track *track;
	struct taker *t;
	struct bench b;

	(void)state;
	setup(&b, 1, true);
	track = mu_track_ref(b.track);
	mu_track_watch(track, &inbox, on_users, &w);
	t = join(&b, 0);
	leave(&b, 0, t);
	teardown(&b);
	mu_track_unref(track);
	fake_net_control();
	assert_int_equal(w.calls, 1);
}

/* --- loudness --------------------------------------------------------------------------------------------------------------- */

static void say(struct bench *b, unsigned dbov)
{
	struct mu_packet *p = video(fake_net_relay(b->net, 0), (uint16_t)b->seq, b->ts, true, true, true, 100, b->now);

	p->data[p->len] = (uint8_t)(0x80 | dbov);
	p->n_ext = 1;
	p->ext[0] = (struct mu_packet_ext){ MU_EXT_AUDIO_LEVEL, 1, p->len };
	mu_track_push(b->track, p, b->seq++, b->now);
	b->ts += 960;
	b->now += 20000;
	fake_net_run(b->net, b->now);
}

static void test_loudness(void **state)
{
	struct bench b;
	struct mu_track *audio;

	(void)state;
	setup(&b, 1, true);
	mu_track_clear_source(b.track, &b.source);
	assert_int_equal(mu_track_new(b.net, 0, "city/a/audio", MU_AUDIO, &audio), 0);
	mu_track_unref(b.track);
	b.track = audio;
	assert_int_equal(mu_track_set_source(audio, &b.source, &opus, 1, b.now), 0);
	assert_int_equal(mu_track_loudness(audio, b.now), 0);
	for (int i = 0; i < 5; i++)
		say(&b, 30);
	assert_in_range(mu_track_loudness(audio, b.now), 75, 97); /* within 100 ms */
	for (int i = 0; i < 20; i++)
		say(&b, 30);
	assert_in_range(mu_track_loudness(audio, b.now), 95, 97);
	say(&b, 127);
	assert_in_range(mu_track_loudness(audio, b.now), 80, 95); /* a short pause is none */
	for (int i = 0; i < 50; i++)
		say(&b, 127);
	assert_in_range(mu_track_loudness(audio, b.now), 0, 3);
	for (int i = 0; i < 20; i++)
		say(&b, 0);
	assert_in_range(mu_track_loudness(audio, b.now), 120, 127);
	assert_int_equal(mu_track_loudness(audio, b.now + 600000), 0); /* nothing comes any more */
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_begins),
		cmocka_unit_test(test_packets_say_their_layer),
		cmocka_unit_test(test_dependency_descriptor),
		cmocka_unit_test(test_frames_are_counted_once),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_last_reference),
		cmocka_unit_test(test_loudness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
