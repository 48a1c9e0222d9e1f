#include "fake_transport.h"

static struct mu_endpoint *cam(struct fixture *f)
{
	struct mu_endpoint *ep = mu_directory_find(f->d, "city/cam");

	assert_non_null(ep);
	return ep;
}

/* --- offers --- */

static void test_refused_offers(void **state)
{
	static const struct {
		const char *file, *from, *to;
		int status;
		const char *says;
	} cases[] = {
		{ "chromium-whip.sdp", "a=sendonly", "a=recvonly", 422, "WHEP" },
		{ "chromium-whip.sdp", "a=sendonly", "a=inactive", 422, "WHEP" },
		{ "chromium-whip.sdp", "a=group:BUNDLE 0 1", "a=x", 400, "BUNDLE" },
		{ "chromium-whip.sdp", "a=group:BUNDLE 0 1", "a=group:BUNDLE 0", 400, "m-line 2 (video)" },
		{ "chromium-whip.sdp", "a=rtcp-mux", "a=x", 400, "rtcp-mux" },
		{ "chromium-whip.sdp", "a=fingerprint:sha-256", "a=x:sha-256", 400, "sha-256" },
		{ "chromium-whip.sdp", "a=fingerprint:sha-256", "a=fingerprint:sha-1", 400, "sha-256" },
		{ "chromium-whip.sdp", "UDP/TLS/RTP/SAVPF", "RTP/AVP", 400, "RTP/AVP" },
		{ "chromium-whip.sdp", "UDP/TLS/RTP/SAVPF", "RTP/AVPF", 400, "DTLS" },
		{ "chromium-whip.sdp", "a=ice-ufrag", "a=x", 400, "ice-ufrag" },
		{ "chromium-whip.sdp", "t=0 0", "t=0 0\r\na=ice-lite", 400, "full ICE" },
		{ "firefox-whip.sdp", "m=audio", "m=video", 422, "0 audio and 2 video" },
		{ "firefox-whip.sdp", "m=audio", "m=text", 422, "m-line 1 (text)" },
		{ "firefox-whip.sdp", "VP", "XP", 0, "" },
		{ "h264-only-whep.sdp", "a=recvonly",
			"a=sendonly\r\na=rtpmap:100 red/90000\r\na=rtpmap:101 ulpfec/90000", 406, "red" },
		{ "chromium-whip.sdp", "v=0", "v=7", 400, "line 1" },
		{ "chromium-whip-data.sdp", "m=application", "m=application", 422, "m-line 3 (application)" },
		{ "firefox-whip.sdp", "{c0ffee00-1111-4222-8333-444455556666} {0a0b0c0e", "{c0ffee01} {0a0b0c0e", 422,
			"more than one MediaStream (m-line 2" },
		{ "firefox-whip.sdp", "a=msid:{c0ffee00-1111-4222-8333-444455556666} {0a0b0c0e",
			"a=msid:x y\r\na=msid:{c0ffee00-1111-4222-8333-444455556666} {0a0b0c0e", 422,
			"more than one MediaStream (m-line 2" },
		{ "firefox-whip.sdp", "a=extmap:1 ", "a=recvonly\r\na=extmap:1 ", 422, "is recvonly" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		char *sdp = sdp_replace(sdp_load(cases[i].file), cases[i].from, cases[i].to);

		if (i == 14) /* the later rtpmap must be the one that counts */
			sdp = sdp_replace(sdp_replace(sdp, "a=rtpmap:100 H264/90000", "a=x"),
				"a=rtpmap:101 H264/90000", "a=x");
		whip_text(f, "city/cam", sdp);
		if (cases[i].status == 0 || cases[i].says[0] == '\0')
			continue; /* taken in part: only that it ends well */
		if (f->r.status != cases[i].status)
			fail_msg("case %zu: %d %s", i, f->r.status, f->r.detail);
		assert_contains(f->r.detail, cases[i].says);
	}
}

static void test_too_large(void **state)
{
	struct fixture *f = *state;
	GString *t = g_string_new("v=0\r\n");

	while (t->len <= MU_SDP_SIZE_MAX)
		g_string_append(t, "a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
	whip_text(f, "city/cam", strdup(t->str));
	assert_int_equal(f->r.status, 413);
	g_string_free(t, TRUE);
	t = g_string_new("v=0\r\n");
	for (int i = 0; i < 65; i++)
		g_string_append(t, "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n");
	whip_text(f, "city/cam", strdup(t->str));
	assert_int_equal(f->r.status, 413);
	assert_contains(f->r.detail, "line 66");
	g_string_free(t, TRUE);
	assert_int_equal(fake.n, 0);
	assert_null(mu_directory_find(f->d, "city/cam"));
}

static void test_bad_endpoints(void **state)
{
	struct fixture *f = *state;

	whip_file(f, "city/../x", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 400);
	whip_file(f, "town/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 400);
	assert_contains(f->r.detail, "not of this site");
}

static void test_limits(void **state)
{
	struct fixture *f = *state;

	f->o.max_sessions = 1;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	whip_file(f, "city/cam2", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 503);
	assert_true(f->r.retry_after_s > 0);
	f->o.max_sessions = 10;
	mu_webrtc_reconfigure(f->w, &f->o);
	mu_webrtc_drain(f->w);
	whip_file(f, "city/cam2", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 503);
	assert_true(f->r.retry_after_s > 0);
	assert_contains(f->events, "gateway.draining");
}

static void test_limit_of_one_token(void **state)
{
	struct fixture *f = *state;
	char id[64];

	f->o.max_sessions_per_token = 2;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	g_strlcpy(id, whip_file(f, "city/cam2", "chromium-whip.sdp"), sizeof(id));
	whip_file(f, "city/cam3", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 429);
	assert_true(f->r.retry_after_s > 0);
	g_strlcpy(f->token.id, "another", sizeof(f->token.id));
	whip_file(f, "city/cam4", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
	g_strlcpy(f->token.id, "secret-token", sizeof(f->token.id));
	mu_web_reply_done(&f->r);
	mu_session_delete(f->w, id, &f->r); /* counts no more, though its transport still says goodbye */
	whip_file(f, "city/cam3", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
}

/* The last tenth is not for viewers. */
static void test_room_kept_for_publishers_and_operators(void **state)
{
	struct fixture *f = *state;

	publish(f, "chromium-whip.sdp");
	for (int i = 0; i < 8; i++)
		whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 201);
	f->o.max_sessions = 10;
	mu_webrtc_reconfigure(f->w, &f->o);
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 503);
	whip_file(f, "city/cam2", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
	f->o.max_sessions = 11;
	mu_webrtc_reconfigure(f->w, &f->o);
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 503);
	f->token.scopes = MU_SCOPE_WATCH | MU_SCOPE_OPERATE;
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 201);
}

static void test_transport_fails(void **state)
{
	struct fixture *f = *state;

	fake.refuse_transports = true;
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 503);
	assert_int_equal(fake.n_tracks, 0);
	assert_int_equal(mu_webrtc_sessions(f->w), 0);
}

/* --- life --- */

static void test_life(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *t;
	char id[64];

	snprintf(id, sizeof(id), "%s", whip_file(f, "city/cam", "chromium-whip.sdp"));
	t = fake_last();
	assert_int_equal(strlen(id), 24);
	assert_string_equal(mu_session_token(f->w, id)->subject, "unit 7");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE);
	assert_string_equal(t->spec.in[0].mid, "0");
	assert_int_equal(t->spec.in[0].formats[0].codec, MU_CODEC_OPUS);
	assert_string_equal(mu_track_id(t->spec.in[1].track), "city/cam/video");
	assert_int_equal(t->spec.in[1].formats[0].codec, MU_CODEC_VP8);
	assert_int_equal(t->spec.in[1].rtx_pt[0], 97);
	assert_true(t->spec.in[1].nack && t->spec.in[1].twcc && !t->spec.in[1].remb);
	fake_fire(t, MU_TRANSPORT_CONNECTED, "");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LIVE);
	assert_string_equal(cam(f)->session, id);
	mu_web_reply_done(&f->r);
	mu_session_delete(f->w, id, &f->r);
	assert_int_equal(f->r.status, 200);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE);
	assert_int_equal(cam(f)->n_tracks, 0);
	assert_true(t->closing);
	assert_null(mu_session_token(f->w, id));
	assert_int_equal(mu_webrtc_sessions(f->w), 1); /* its goodbye is under way */
	mu_session_delete(f->w, id, &f->r);
	assert_int_equal(f->r.status, 404);
	fake_fire(t, MU_TRANSPORT_CLOSED, "deleted");
	assert_int_equal(mu_webrtc_sessions(f->w), 0);
	assert_int_equal(fake.n_tracks, 0);
	assert_string_equal(f->events,
		"session.created\nsession.connected\nendpoint.live: its publisher is connected\n"
		"session.closed: deleted\nendpoint.idle: deleted\n");
}

/* Without consent a publisher is lost at once; an ICE restart brings it back under the same session. */
static void test_silent_and_back(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *t = publish(f, "chromium-whip.sdp");

	fake_fire(t, MU_TRANSPORT_SILENT, "no consent");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LOST);
	assert_null(fake.timer); /* the session's own end comes first */
	fake_fire(t, MU_TRANSPORT_CONNECTED, "");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LIVE);
	fake_fire(t, MU_TRANSPORT_SILENT, "no consent");
	fake_fire(t, MU_TRANSPORT_CLOSED, "no consent");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LOST);
	assert_non_null(fake.timer);
}

static void test_lost_held_and_back(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *t = publish(f, "chromium-whip.sdp");
	struct mu_track *video = t->spec.in[1].track;

	fake_fire(t, MU_TRANSPORT_CLOSED, "consent expired");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LOST);
	assert_int_equal(fake.timer_ms, 10000);
	assert_non_null(fake.timer);
	fake.worker = 5; /* its tracks are at home on another */
	whip_file(f, "city/cam", "firefox-whip.sdp");
	assert_int_equal(f->r.status, 201);
	assert_ptr_equal(fake_last()->spec.in[1].track, video);
	assert_int_equal(fake_last()->spec.worker, 0);
	fake_fire(fake_last(), MU_TRANSPORT_CONNECTED, "");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LIVE);
	assert_null(fake.timer);
	assert_int_equal(cam(f)->n_tracks, 2);
	assert_int_equal(mu_endpoint_find_track(cam(f), "video")->formats[0].pt, 120);
}

static void test_lost_for_good(void **state)
{
	struct fixture *f = *state;

	fake_fire(publish(f, "chromium-whip.sdp"), MU_TRANSPORT_CLOSED, "gone");
	assert_int_equal(fake.timer(fake.timer_arg), G_SOURCE_REMOVE);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE);
	assert_int_equal(fake.n_tracks, 0);
}

static void test_hold_ends_while_it_returns(void **state)
{
	struct fixture *f = *state;

	fake_fire(publish(f, "chromium-whip.sdp"), MU_TRANSPORT_CLOSED, "gone");
	whip_file(f, "city/cam", "chromium-whip.sdp");
	fake.timer(fake.timer_arg);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LOST); /* it gets its chance */
	fake.timer = NULL;
	fake_fire(fake_last(), MU_TRANSPORT_CLOSED, "no check came");
	assert_non_null(fake.timer); /* and when it fails, the hold begins anew */
	fake.timer(fake.timer_arg);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE);
}

static void test_never_connected(void **state)
{
	struct fixture *f = *state;

	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE);
	fake_fire(fake_last(), MU_TRANSPORT_CLOSED, "no check came");
	assert_null(mu_directory_find(f->d, "city/cam")); /* whoever guesses names fills nothing */
	assert_int_equal(fake.n_tracks, 0);
	assert_lacks(f->events, "endpoint.");
	fake.refuse_transports = true;
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 503);
	assert_null(mu_directory_find(f->d, "city/cam"));
}

static void test_known_while_anybody_uses_it(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *p = publish(f, "chromium-whip.sdp"), *v;
	int64_t later_us = mu_clock_us() + 2 * MU_ENDPOINT_KEPT_US;

	whep_file(f, "city/cam", "chromium-whep.sdp");
	v = fake_last();
	fake_fire(p, MU_TRANSPORT_CLOSED, "gone");
	mu_directory_expire(f->d, later_us);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LOST);
	fake.timer(fake.timer_arg);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE);
	mu_directory_expire(f->d, later_us); /* its viewer's goodbye is under way */
	assert_non_null(mu_directory_find(f->d, "city/cam"));
	fake_fire(v, MU_TRANSPORT_CLOSED, "");
	mu_directory_expire(f->d, later_us);
	assert_null(mu_directory_find(f->d, "city/cam"));
	assert_contains(f->events, "endpoint.removed: it did not publish for a day");
}

static void test_hold_is_pending_at_the_end(void **state)
{
	struct fixture *f = *state;

	fake_fire(publish(f, "chromium-whip.sdp"), MU_TRANSPORT_CLOSED, "gone");
	assert_non_null(fake.timer); /* the teardown frees it */
}

/* --- two at once --- */

static void test_second_is_refused(void **state)
{
	struct fixture *f = *state;

	publish(f, "chromium-whip.sdp");
	snprintf(f->token.id, sizeof(f->token.id), "another");
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 409);
	assert_contains(f->r.detail, "unit 7");
	assert_int_equal(fake.n, 1);
}

static void test_second_takes_over(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *old = publish(f, "chromium-whip.sdp");

	f->o.second = MU_SECOND_TAKE_OVER;
	mu_webrtc_reconfigure(f->w, &f->o);
	snprintf(f->token.id, sizeof(f->token.id), "another");
	snprintf(f->token.subject, sizeof(f->token.subject), "unit 8");
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
	assert_true(old->closing);
	assert_contains(old->why, "took over");
	assert_ptr_equal(fake_last()->spec.in[1].track, old->spec.in[1].track);
	fake_fire(old, MU_TRANSPORT_CLOSED, "");
	assert_int_equal(cam(f)->state, MU_ENDPOINT_LIVE);
	assert_string_equal(cam(f)->subject, "unit 8");
	fake_fire(fake_last(), MU_TRANSPORT_CONNECTED, "");
	assert_lacks(f->events, "endpoint.lost");
}

/* What a second of silence, of media or of a check look like: `packets` and the time of the last check so far. */
static void figures(struct mu_transport *t, uint64_t packets, int64_t last_check_us)
{
	struct mu_stream_stats stream = { .packets = packets };
	struct mu_transport_stats st = { .n_streams = 1, .streams = &stream, .last_check_us = last_check_us };

	fake.now_us += 1000000;
	t->events->stats(t->arg, &st);
}

static void test_same_client_returns_unnoticed(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *old = publish(f, "chromium-whip.sdp");

	figures(old, 100, 0);
	figures(old, 100, 0);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 409); /* a second of silence is none yet */
	assert_int_equal(f->r.retry_after_s, 2);
	figures(old, 100, 0);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
	assert_true(old->closing);
}

/* Two tabs of a browser would throw each other out for ever. */
static void test_a_shared_token_is_by_policy(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *old = publish(f, "chromium-whip.sdp");

	for (uint64_t i = 1; i <= 5; i++)
		figures(old, 100 * i, 0);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 409);
	for (int i = 1; i <= 5; i++) /* muted, yet there */
		figures(old, 500, fake.now_us);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 409);
	assert_false(old->closing);
	f->o.second = MU_SECOND_TAKE_OVER;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
}

static void test_an_unheard_session_yields_to_its_own_token_only(void **state)
{
	struct fixture *f = *state;

	publish(f, "chromium-whip.sdp");
	fake.now_us += 20000000;
	snprintf(f->token.id, sizeof(f->token.id), "another");
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 409);
	assert_int_equal(f->r.retry_after_s, 0);
}

/* Muted for a while it is missed later: only checks and reports tell that it is there. */
static void test_a_paused_session_is_missed_later(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *old = publish(f, "chromium-whip.sdp");

	figures(old, 100, 0);
	for (int i = 0; i < 3; i++)
		figures(old, 100, fake.now_us);
	for (int i = 0; i < 5; i++)
		figures(old, 100, 0);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 409);
	assert_int_equal(f->r.retry_after_s, 2);
	figures(old, 100, 0);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
}

static void test_a_session_without_consent_is_in_nobodys_way(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *old = publish(f, "chromium-whip.sdp");

	fake_fire(old, MU_TRANSPORT_SILENT, "no consent");
	snprintf(f->token.id, sizeof(f->token.id), "another");
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
	assert_true(old->closing);
}

/* --- ended from outside --- */

static void test_token_ends(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *t = publish(f, "chromium-whip.sdp");

	assert_int_equal(mu_webrtc_end_token(f->w, "another", "revoked"), 0);
	assert_int_equal(mu_webrtc_end_token(f->w, "secret-token", "token revoked"), 1);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE); /* not held: it may not come back */
	assert_string_equal(t->why, "token revoked");
	assert_int_equal(mu_webrtc_end_token(f->w, "secret-token", "token revoked"), 0);
	fake_fire(t, MU_TRANSPORT_CLOSED, "");
	t = publish(f, "chromium-whip.sdp");
	mu_webrtc_expire(f->w, f->token.expires_s - 1);
	assert_false(t->closing);
	mu_webrtc_expire(f->w, f->token.expires_s);
	assert_int_equal(cam(f)->state, MU_ENDPOINT_IDLE);
	assert_true(t->closing);
}

/* As the API lists them: a page of them at a time. */
struct list {
	json_t *all;
	size_t enough;
	uint64_t last;
};

static bool list_one(void *arg, const struct mu_session_info *s)
{
	struct list *l = arg;

	l->last = s->number;
	json_array_append_new(l->all, mu_session_json(s));
	return json_array_size(l->all) != l->enough;
}

static void test_sessions_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct list l = { .all = json_array(), .enough = 2 };
	char id[3][32];

	for (int i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), "city/cam%d", i);
		g_strlcpy(id[i], whip_file(f, name, "chromium-whip.sdp"), sizeof(id[i]));
	}
	assert_string_equal(mu_session_endpoint(f->w, id[1]), "city/cam1");
	mu_webrtc_each_session(f->w, 0, list_one, &l);
	assert_int_equal(json_array_size(l.all), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(l.all, 1), "id")), id[1]);
	/* the place holds though the session there ends */
	mu_web_reply_done(&f->r);
	mu_session_delete(f->w, id[1], &f->r);
	assert_null(mu_session_endpoint(f->w, id[1]));
	json_array_clear(l.all);
	mu_webrtc_each_session(f->w, l.last, list_one, &l);
	assert_int_equal(json_array_size(l.all), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(l.all, 0), "id")), id[2]);
	json_decref(l.all);
}

static void test_withdrawn_key_ends(void **state)
{
	struct fixture *f = *state;
	struct mu_keyring *none;
	struct mu_transport *t;

	assert_int_equal(mu_keyring_new(&none), 0);
	t = publish(f, "chromium-whip.sdp"); /* its token was signed with no key */
	assert_int_equal(mu_webrtc_end_unknown_keys(f->w, none, "key withdrawn"), 0);
	snprintf(f->token.kid, sizeof(f->token.kid), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(mu_webrtc_end_unknown_keys(f->w, none, "key withdrawn"), 1);
	assert_string_equal(fake_last()->why, "key withdrawn");
	assert_false(t->closing);
	mu_keyring_free(none);
}

static void test_json(void **state)
{
	struct fixture *f = *state;
	struct mu_transport *t = publish(f, "chromium-whip.sdp");
	struct mu_stream_stats stream = { 0 };
	struct mu_transport_stats st = { .profile = MU_SRTP_AEAD_AES_128_GCM, .n_streams = 1, .streams = &stream };
	struct list l = { .all = json_array() };
	json_t *s;

	mu_webrtc_refresh_stats(f->w);
	assert_int_equal(t->asks, 1);
	mu_addr_parse("192.0.2.9:4000", 0, &st.remote);
	stream =
		(struct mu_stream_stats){ .mid = "1", .kind = MU_VIDEO, .codec = MU_CODEC_VP8, .packets = 7 };
	t->events->stats(t->arg, &st);
	mu_webrtc_each_session(f->w, 0, list_one, &l);
	assert_int_equal(json_array_size(l.all), 1);
	s = json_array_get(l.all, 0);
	assert_string_equal(json_string_value(json_object_get(s, "endpoint")), "city/cam");
	assert_string_equal(json_string_value(json_object_get(s, "kind")), "whip");
	assert_string_equal(json_string_value(json_object_get(s, "state")), "connected");
	assert_string_equal(json_string_value(json_object_get(s, "remote")), "192.0.2.9:4000");
	s = json_array_get(json_object_get(s, "streams"), 0);
	assert_int_equal(json_integer_value(json_object_get(s, "packets")), 7);
	assert_string_equal(json_string_value(json_object_get(s, "codec")), "VP8");
	json_decref(l.all);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_refused_offers),
		T(test_too_large),
		T(test_bad_endpoints),
		T(test_limits),
		T(test_limit_of_one_token),
		T(test_room_kept_for_publishers_and_operators),
		T(test_transport_fails),
		T(test_life),
		T(test_silent_and_back),
		T(test_lost_held_and_back),
		T(test_lost_for_good),
		T(test_hold_ends_while_it_returns),
		T(test_never_connected),
		T(test_known_while_anybody_uses_it),
		T(test_hold_is_pending_at_the_end),
		T(test_second_is_refused),
		T(test_second_takes_over),
		T(test_same_client_returns_unnoticed),
		T(test_a_shared_token_is_by_policy),
		T(test_a_paused_session_is_missed_later),
		T(test_a_session_without_consent_is_in_nobodys_way),
		T(test_an_unheard_session_yields_to_its_own_token_only),
		T(test_token_ends),
		T(test_sessions_one_by_one),
		T(test_withdrawn_key_ends),
		T(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
