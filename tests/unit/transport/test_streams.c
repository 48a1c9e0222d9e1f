/* Streams that come and go while a transport runs, with real peers and workers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stage.h"

#define SSRC(i) (0x10000u + (i))
#define MANY    40 /* more than a report has blocks */

static struct mu_track *track(const char *id, unsigned worker, enum mu_kind kind)
{
	struct mu_track *t;

	assert_int_equal(mu_track_new(mu_media_net(stage.media), worker, id, kind, &t), 0);
	return t;
}

static struct mu_stream_in video_in(struct mu_track *t, unsigned i)
{
	struct mu_stream_in in = { .track = t,
		.ssrc = SSRC(i),
		.n_formats = 1,
		.formats = { { .codec = MU_CODEC_VP8, .pt = 96 } },
		.rtx_pt = { 97 },
		.nack = true,
		.pli = true };

	snprintf(in.mid, sizeof(in.mid), "in%u", i);
	return in;
}

static struct mu_stream_out video_out(unsigned i)
{
	struct mu_stream_out out = {
		.ssrc = SSRC(i), .rtx_ssrc = SSRC(1000 + i), .n_formats = 1, .nack = true
	};

	snprintf(out.mid, sizeof(out.mid), "out%u", i);
	out.formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = 120 };
	out.formats[0].rtx_pt = 121;
	return out;
}

static void fitted(struct session *s, unsigned worker)
{
	struct mu_transport_spec spec = { .worker = worker, .fitted = true };

	stage_connect(s, &spec);
}

static void feed(struct session *s, unsigned i, struct mu_track *t)
{
	struct mu_feed f = { .layers = { t }, .n_layers = t != NULL };
	char mid[32];

	snprintf(mid, sizeof(mid), "out%u", i);
	assert_int_equal(mu_transport_feed(s->t, mid, &f), 0);
}

static void two_workers(void)
{
	struct mu_transport_options o = stage_options();

	o.net.workers = 2;
	stage_up_with(&o);
}

/* An m-section more: its packets reach a viewer; gone again, its track takes another source. */
static void test_in_comes_and_goes(void **state)
{
	struct session pub, view;
	struct mu_track *t;
	struct mu_stream_in in;

	(void)state;
	show_up(&pub, &view);
	t = track("cam/screen", 0, MU_VIDEO);
	in = video_in(t, 5);
	for (int i = 0; i < 3; i++) {
		struct mu_transport_spec spec = { .n_out = 1 };
		struct session watcher;

		assert_int_equal(mu_transport_add_in(pub.t, &in), 0);
		spec.out[0] = video_out(1);
		spec.out[0].track = t;
		stage_connect(&watcher, &spec);
		stage_stats(&pub);
		assert_int_equal(pub.stats.n_streams, 3);
		stage_send_video_as(&pub, SSRC(5), 10 + i, true);
		EXPECT(&watcher, 10 + (uint64_t)i);
		stage_end(&watcher);
		mu_transport_remove_in(pub.t, "in5");
		stage_stats(&pub);
		assert_int_equal(pub.stats.n_streams, 2);
		stage_send_video_as(&pub, SSRC(5), 20 + i, true); /* nobody's any more */
	}
	stage_send_video(&pub, 1, true); /* the others are not touched */
	EXPECT(&view, 1);
	mu_track_unref(t);
	show_down(&pub, &view);
}

static void test_what_is_wrong_with_a_wish(void **state)
{
	struct session plain, fit;
	struct mu_track *far, *audio;
	struct mu_stream_in in;
	struct mu_stream_out out = video_out(0);
	struct mu_feed f = { .n_layers = 1 };

	(void)state;
	two_workers();
	far = track("far/video", 1, MU_VIDEO);
	audio = track("cam/audio2", 0, MU_AUDIO);
	stage_publish(&plain);
	fitted(&fit, 0);
	in = video_in(far, 0);
	assert_int_equal(mu_transport_add_in(fit.t, &in), -EINVAL);     /* at home on another worker */
	assert_int_equal(mu_transport_add_out(plain.t, &out), -EINVAL); /* not fitted */
	out.n_formats = 0;
	assert_int_equal(mu_transport_add_out(fit.t, &out), -EINVAL);
	out.n_formats = 1;
	out.track = far;
	assert_int_equal(mu_transport_add_out(fit.t, &out), -EINVAL);
	out.track = NULL;
	assert_int_equal(mu_transport_add_out(fit.t, &out), 0);
	assert_int_equal(mu_transport_add_out(fit.t, &out), -EINVAL); /* the mid is taken */
	f.layers[0] = audio;
	assert_int_equal(mu_transport_feed(fit.t, "out0", &f), -EINVAL);
	assert_int_equal(mu_transport_feed(fit.t, "out1", &f), -ENOENT);
	assert_int_equal(mu_transport_feed(plain.t, "0", &f), -ENOENT);
	f.n_layers = MU_LAYERS_MAX + 1;
	assert_int_equal(mu_transport_feed(fit.t, "out0", &f), -EINVAL);
	for (unsigned i = 1; i < MU_STREAMS_LATER_MAX; i++) {
		out = video_out(i);
		assert_int_equal(mu_transport_add_out(fit.t, &out), 0);
	}
	out = video_out(MU_STREAMS_LATER_MAX);
	assert_int_equal(mu_transport_add_out(fit.t, &out), -ENOSPC);
	stage_stats(&fit);
	assert_int_equal(fit.stats.n_streams, MU_STREAMS_LATER_MAX);
	mu_transport_close(fit.t, "over");
	assert_int_equal(mu_transport_add_in(fit.t, &in), -EPROTO);
	assert_int_equal(mu_transport_add_out(fit.t, &out), -EPROTO);
	f.n_layers = 0;
	assert_int_equal(mu_transport_feed(fit.t, "out0", &f), -EPROTO);
	mu_transport_remove_in(fit.t, "0");
	stage_end(&fit);
	stage_end(&plain);
	mu_track_unref(far);
	mu_track_unref(audio);
	stage_down();
}

/* An encoding is a stream of its own with the mid of the others: they go together. */
static void test_encodings_go_with_their_section(void **state)
{
	struct session pub;
	struct mu_track *t[3];

	(void)state;
	stage_up();
	stage_publish(&pub);
	for (unsigned i = 0; i < 3; i++) {
		struct mu_stream_in in;
		char id[32];

		snprintf(id, sizeof(id), "cam/video~%u", i);
		t[i] = track(id, 0, MU_VIDEO);
		in = video_in(t[i], i);
		snprintf(in.mid, sizeof(in.mid), "sim");
		snprintf(in.rid, sizeof(in.rid), "r%u", i);
		assert_int_equal(mu_transport_add_in(pub.t, &in), 0);
	}
	stage_stats(&pub);
	assert_int_equal(pub.stats.n_streams, 5);
	assert_string_equal(pub.streams[4].rid, "r2");
	mu_transport_remove_in(pub.t, "sim");
	stage_stats(&pub);
	assert_int_equal(pub.stats.n_streams, 2);
	for (unsigned i = 0; i < 3; i++)
		mu_track_unref(t[i]);
	stage_end(&pub);
	stage_down();
}

/* --- more than a packet of RTCP holds --- */

struct heard {
	bool of[MANY];
	unsigned n;
	bool all;
};

static void hear(struct heard *h, uint32_t ssrc)
{
	unsigned i = ssrc - SSRC(0);

	if (i >= MANY || h->of[i])
		return;
	h->of[i] = true;
	h->all = ++h->n == MANY;
}

static void on_report(void *arg, uint32_t from, const struct mu_rtcp_report *r)
{
	(void)from;
	hear(arg, r->ssrc);
}

static void on_sr(void *arg, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes)
{
	(void)ntp;
	(void)rtp;
	(void)packets;
	(void)bytes;
	hear(arg, ssrc);
}

static void on_bye(void *arg, uint32_t ssrc)
{
	hear(arg, ssrc);
}

static void test_reports_about_many(void **state)
{
	static const struct mu_rtcp_handler handler = { .report = on_report };
	struct mu_track *t[MANY];
	struct heard h = { .n = 0 };
	struct session pub;

	(void)state;
	stage_up();
	stage_publish(&pub);
	for (unsigned i = 0; i < MANY; i++) {
		struct mu_stream_in in;
		char id[32];

		snprintf(id, sizeof(id), "many/%u", i);
		t[i] = track(id, 0, MU_VIDEO);
		in = video_in(t[i], i);
		assert_int_equal(mu_transport_add_in(pub.t, &in), 0);
	}
	stage_stats(&pub);
	for (unsigned i = 0; i < MANY; i++)
		stage_send_video_as(&pub, SSRC(i), 1, true);
	stage_hear(&pub, &handler, &h, &h.all);
	assert_int_equal(h.n, MANY);
	stage_end(&pub);
	for (unsigned i = 0; i < MANY; i++)
		mu_track_unref(t[i]);
	stage_down();
}

/* Forty streams of one source to a viewer on another worker: each of them is reported, and says goodbye. */
static void test_reports_and_goodbyes_of_many(void **state)
{
	static const struct mu_rtcp_handler sr = { .sr = on_sr }, bye = { .bye = on_bye };
	struct heard h = { .n = 0 };
	struct session pub, view;

	(void)state;
	two_workers();
	stage_publish(&pub);
	fitted(&view, 1);
	for (unsigned i = 0; i < MANY; i++) {
		struct mu_stream_out out = video_out(i);

		assert_int_equal(mu_transport_add_out(view.t, &out), 0);
		feed(&view, i, stage.video);
	}
	stage_stats(&view);
	for (uint64_t seq = 1; h.n < MANY && seq < 10; seq++) {
		stage_send_video(&pub, seq, true);
		stage_hear(&view, &sr, &h, &h.all);
	}
	assert_int_equal(h.n, MANY);
	memset(&h, 0, sizeof(h));
	mu_transport_close(view.t, "over");
	stage_hear(&view, &bye, &h, &h.all);
	assert_int_equal(h.n, MANY);
	stage_end(&view);
	stage_end(&pub);
	stage_down();
}

/* What a fitted transport begins with is fed by its track, and may be fed anew. */
static void test_fitted_from_the_beginning(void **state)
{
	struct mu_feed none = { .n_layers = 0 };
	struct mu_transport_spec spec;
	struct session pub, view;

	(void)state;
	stage_up();
	stage_publish(&pub);
	spec = stage_viewer();
	spec.fitted = true;
	stage_connect(&view, &spec);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	assert_int_equal(mu_transport_feed(view.t, "0", &none), 0);
	stage_stats(&view);
	stage_send_video(&pub, 2, true);
	stage_await_packet(&pub, 0);
	stage_stats(&view);
	assert_int_equal(view.streams[0].choice, MU_CHOICE_RESTS);
	assert_int_equal(view.streams[0].packets, 1);
	stage_end(&view);
	stage_end(&pub);
	stage_down();
}

/* Whatever is under way when it ends is let go of: no reference stays (the leak checker sees to that). */
static void test_ends_at_any_moment(void **state)
{
	struct session pub;
	struct mu_track *far;

	(void)state;
	two_workers();
	far = track("far/video", 1, MU_VIDEO);
	stage_publish(&pub);
	for (unsigned i = 0; i < 60; i++) {
		struct mu_transport_spec spec = { .worker = i % 2, .fitted = true };
		struct mu_stream_out out = video_out(0);
		struct mu_stream_in in = video_in(i % 2 ? far : stage.video, 7);
		struct session s;

		if (i % 3 == 0)
			stage_begin(&s, &spec, NULL);
		else
			stage_connect(&s, &spec);
		stage_send_video(&pub, i, i % 4 == 0);
		assert_int_equal(mu_transport_add_out(s.t, &out), 0);
		if (i % 2)
			assert_int_equal(mu_transport_add_in(s.t, &in), 0);
		feed(&s, 0, stage.video);
		if (i % 5 > 0)
			stage_send_video(&pub, 100 + i, true);
		feed(&s, 0, i % 2 ? far : NULL);
		if (i % 7 == 0)
			mu_transport_remove_in(s.t, "in7");
		if (i % 4 == 0)
			stage_stats(&s);
		stage_end(&s);
	}
	stage_end(&pub);
	mu_track_unref(far);
	stage_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_comes_and_goes),
		cmocka_unit_test(test_what_is_wrong_with_a_wish),
		cmocka_unit_test(test_encodings_go_with_their_section),
		cmocka_unit_test(test_reports_about_many),
		cmocka_unit_test(test_reports_and_goodbyes_of_many),
		cmocka_unit_test(test_fitted_from_the_beginning),
		cmocka_unit_test(test_ends_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
