#include "fake_transport.h"

static void test_unknown_and_idle(void **state)
{
	struct fixture *f = *state;
	struct mu_error e;

	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 404);
	mu_directory_take(f->d, "city/cam", &e);
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 409);
	assert_true(f->r.retry_after_s > 0);
	whip_file(f, "city/cam", "chromium-whip.sdp"); /* not yet connected */
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 409);
}

static void test_formats_publishers_first(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *p = publish(f, "chromium-whip.sdp");
	const struct mu_transport_spec *spec;

	fake.worker = 2;
	whep_file(f, "city/cam", "chromium-whep.sdp");
	spec = &fake_last()->spec;
	assert_int_equal(spec->worker, 2);
	assert_int_equal(spec->n_out, 2);
	assert_ptr_equal(spec->out[0].track, p->spec.in[1].track);
	assert_int_equal(spec->out[0].formats[0].format.codec, MU_CODEC_VP8);
	assert_int_equal(spec->out[0].formats[0].rtx_pt, 97);
	assert_true(spec->out[0].nack);
	assert_true(spec->out[0].rtx_ssrc != 0 && spec->out[0].rtx_ssrc != spec->out[0].ssrc);
	assert_int_equal(spec->out[1].rtx_ssrc, 0);
	assert_int_equal(spec->out[1].formats[0].format.codec, MU_CODEC_OPUS);
	/* VP9 profiles 1 and 3, AV1 profile 1 and H.264 4:4:4 are not announced by the publisher */
	assert_contains(f->r.body,
		"m=video 50002 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107 108 109 114 115 116 117 39 40 45 46 98 99 100 101\r\n");
	/* the same viewer of a publisher with another codec first */
	whip_file(f, "city/gst", "gstreamer-whip.sdp");
	fake_fire(fake_last(), MU_TRANSPORT_CONNECTED, "");
	whep_file(f, "city/gst", "chromium-whep.sdp");
	spec = &fake_last()->spec;
	assert_int_equal(spec->out[0].formats[0].format.codec, MU_CODEC_H264);
	/* constrained baseline suits 42c01f best */
	assert_contains(spec->out[0].formats[0].format.fmtp, "packetization-mode=1;profile-level-id=42e01f");
}

static void test_viewers_counted_and_closed(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *p = publish(f, "chromium-whip.sdp"), *v;
	const struct mu_endpoint *ep = mu_directory_find(f->d, "city/cam");
	struct mu_web_reply r = { 0 };
	char id[64];

	snprintf(id, sizeof(id), "%s", whep_file(f, "city/cam", "chromium-whep.sdp"));
	v = fake_last();
	fake_fire(v, MU_TRANSPORT_CONNECTED, "");
	whep_file(f, "city/cam", "firefox-whep.sdp");
	assert_int_equal(ep->viewers, 2);
	mu_session_delete(f->w, id, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(ep->viewers, 1);
	assert_int_equal(ep->state, MU_ENDPOINT_LIVE);
	v = fake_last();
	mu_session_delete(f->w, ep->session, &r);
	assert_true(p->closing);
	assert_string_equal(v->why, "publisher left");
	assert_int_equal(ep->viewers, 0);
	assert_contains(f->events, "session.closed: publisher left");
}

static void test_viewers_outlive_a_lost_publisher(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *p = publish(f, "chromium-whip.sdp"), *v;

	whep_file(f, "city/cam", "chromium-whep.sdp");
	v = fake_last();
	fake_fire(p, MU_TRANSPORT_CLOSED, "gone");
	assert_false(v->closing);
	whep_file(f, "city/cam", "firefox-whep.sdp"); /* lost but held counts as live */
	assert_int_equal(f->r.status, 201);
	publish(f, "firefox-whip.sdp");
	assert_false(v->closing);
	assert_ptr_equal(v->spec.out[0].track, fake.t[3]->spec.in[1].track);
}

/* The session of a viewer ends with the hold, so long its own DELETE finds it; after that it is gone, as RFC
 * 9110 has it for what is gone. */
static void test_delete_after_the_publisher(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *p = publish(f, "chromium-whip.sdp");
	struct mu_web_reply r = { 0 };
	char first[64], second[64];

	snprintf(first, sizeof(first), "%s", whep_file(f, "city/cam", "chromium-whep.sdp"));
	snprintf(second, sizeof(second), "%s", whep_file(f, "city/cam", "chromium-whep.sdp"));
	fake_fire(p, MU_TRANSPORT_CLOSED, "gone");
	mu_session_delete(f->w, first, &r);
	assert_int_equal(r.status, 200);
	fake.timer(fake.timer_arg);
	mu_session_delete(f->w, second, &r);
	assert_int_equal(r.status, 404);
}

static void test_no_codec_in_common(void **state)
{
	struct fixture *f = *state;

	publish(f, "firefox-whip.sdp");
	whep_file(f, "city/cam", "h264-only-whep.sdp");
	assert_int_equal(f->r.status, 406);
	assert_contains(f->r.detail, "VP8");
	assert_contains(f->r.detail, "H264");
	assert_int_equal(mu_directory_find(f->d, "city/cam")->viewers, 0);
}

static void test_no_track_of_a_kind(void **state)
{
	struct fixture *f = *state;
	char *sdp = sdp_replace(sdp_load("h264-only-whep.sdp"), "a=recvonly", "a=sendonly");

	whip_text(f, "city/cam", sdp);
	fake_fire(fake_last(), MU_TRANSPORT_CONNECTED, "");
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 201);
	assert_contains(f->r.body, "a=inactive\r\n");
	assert_contains(f->r.body, "a=group:BUNDLE 0 1\r\n");
	assert_int_equal(fake_last()->spec.n_out, 1);
}

static void test_publishing_offer(void **state)
{
	struct fixture *f = *state;

	publish(f, "chromium-whip.sdp");
	whep_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 422);
	assert_contains(f->r.detail, "WHIP");
}

/* --- viewers that choose
 * ------------------------------------------------------------------------------------ */

static void test_plain_source_plain_viewer(void **state)
{
	struct fixture *f = *state;

	publish(f, "chromium-whip.sdp");
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_false(fake_last()->spec.fitted);
	assert_lacks(f->r.body, "transport-cc");
	assert_lacks(f->r.body, "transport-wide");
}

static void test_simulcast_is_fitted(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *p = publish(f, "chromium-simulcast.sdp"), *v;
	const struct mu_stream_out *video, *audio;

	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 201);
	v = fake_last();
	assert_true(v->spec.fitted);
	assert_int_equal(v->spec.n_out, 2);
	video = &v->spec.out[0];
	audio = &v->spec.out[1];
	assert_int_equal(mu_track_kind(video->track), MU_VIDEO);
	assert_int_equal(fake_out(v, video->mid)->feed.n_layers, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(fake_out(v, video->mid)->feed.layers[i], p->spec.in[1 + i].track);
	assert_int_equal(fake_out(v, audio->mid)->feed.n_layers, 1);
	assert_true(fake_out(v, audio->mid)->feed.urgency < fake_out(v, video->mid)->feed.urgency);
	assert_true(video->exts.id_of[MU_EXT_TWCC]);
	assert_contains(f->r.body, "a=rtcp-fb:96 transport-cc\r\n");
	assert_contains(f->r.body,
		"a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01");
}

/* Of who tells nothing of arrivals layers are chosen all the same, and no extension comes that was not asked
 * for. */
static void test_simulcast_without_feedback(void **state)
{
	struct fixture *f = *state;

	publish(f, "chromium-simulcast.sdp");
	whep_text(f, "city/cam", sdp_replace(sdp_load("chromium-whep.sdp"), "transport-cc", "x"));
	assert_int_equal(f->r.status, 201);
	assert_true(fake_last()->spec.fitted);
	assert_int_equal(fake_last()->spec.out[0].exts.id_of[MU_EXT_TWCC], 0);
	assert_lacks(f->r.body, "transport-wide");
}

static void test_layers_within_a_stream(void **state)
{
	struct fixture *f = *state;

	publish(f, "chromium-whip.sdp");
	fake.shape = (struct mu_shape){ .flows = true, .spatials = 1, .temporals = 3 };
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_true(fake_last()->spec.fitted);
	whep_text(f, "city/cam", sdp_replace(sdp_load("chromium-whep.sdp"), "transport-cc", "x"));
	assert_false(fake_last()->spec.fitted);
	fake.shape.spatials = 0;
}

/* The publisher returns with fewer encodings, then with more: its viewers stay, and choose among what there
 * is. */
static void test_fed_anew_when_the_publisher_returns(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *p = publish(f, "chromium-simulcast.sdp"), *v;
	const struct fake_out *out;
	struct mu_track *kept;

	whep_file(f, "city/cam", "chromium-whep.sdp");
	v = fake_last();
	out = fake_out(v, v->spec.out[0].mid);
	kept = p->spec.in[1].track;
	fake_fire(p, MU_TRANSPORT_CLOSED, "gone");
	publish(f, "chromium-whip.sdp");
	assert_false(v->closing);
	assert_int_equal(out->feed.n_layers, 1);
	assert_ptr_equal(out->feed.layers[0], kept);
	p = fake_last();
	fake_fire(p, MU_TRANSPORT_CLOSED, "gone");
	p = publish(f, "chromium-simulcast.sdp");
	assert_false(v->closing);
	assert_int_equal(out->feed.n_layers, 3);
	assert_ptr_equal(out->feed.layers[0], kept);
	assert_ptr_equal(p->spec.in[1].track, kept);
	assert_ptr_equal(out->feed.layers[2], p->spec.in[3].track);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_unknown_and_idle),
		T(test_formats_publishers_first),
		T(test_viewers_counted_and_closed),
		T(test_viewers_outlive_a_lost_publisher),
		T(test_delete_after_the_publisher),
		T(test_no_codec_in_common),
		T(test_no_track_of_a_kind),
		T(test_publishing_offer),
		T(test_plain_source_plain_viewer),
		T(test_simulcast_is_fitted),
		T(test_simulcast_without_feedback),
		T(test_layers_within_a_stream),
		T(test_fed_anew_when_the_publisher_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
