/* What a console publishes: its offers, and what becomes of its m-sections. Nothing flows here. */
#include "console_kit.h"

static struct client a, b;

static int teardown(void **state)
{
	client_done(&a);
	client_done(&b);
	return kit_teardown(state);
}

static struct mu_endpoint *endpoint(const char *id)
{
	return mu_directory_find(kit.f->d, id);
}

static void enter_both(void)
{
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_enter(&b, "t2,conference,city/b", "city/b");
	client_join(&a);
	client_join(&b);
}


static void test_publish(void **state)
{
	struct mu_transport *t;

	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	t = client_publish(&a);
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
	assert_int_equal(endpoint("city/a")->n_tracks, 2);
	assert_int_equal(t->n_in, 2);
	assert_true(t->spec.dtls_server);
	fake_fire(t, MU_TRANSPORT_SILENT, "no consent");
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LOST);
	fake_fire(t, MU_TRANSPORT_CONNECTED, "");
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
	client_flush(&a);
	fake_fire(t, MU_TRANSPORT_CLOSED, "the peer closed the connection");
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LOST);
	assert_string_equal(text_of(client_got(&a, "closed"), "pc"), "up");
	fake_pass(5000);
	client_publish(&a); /* within the hold, the same tracks */
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
	fake_fire(fake_last(), MU_TRANSPORT_CLOSED, "gone");
	fake_pass(10100);
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_IDLE);
}

static void offer(struct client *k, char *sdp, bool fresh)
{
	client_say(k, "offer", "{ss sb}", "sdp", sdp, "fresh", fresh);
	free(sdp);
}

static void test_offer_again(void **state)
{
	struct mu_transport *t;

	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	t = client_publish(&a);
	offer(&a, sdp_load("chromium-whip.sdp"), false);
	assert_non_null(client_got(&a, "answer"));
	assert_int_equal(t->n_in, 2);
	assert_int_equal(t->restarts, 0);
	assert_int_equal(fake.n, 1);
	/* the video stops */
	offer(&a,
		sdp_replace(sdp_load("chromium-whip.sdp"),
			"a=sendonly\r\na=msid:f9c76795-2191-42dc-a789-8ce6a396456f 5949126f",
			"a=inactive\r\na=msid:f9c76795-2191-42dc-a789-8ce6a396456f 5949126f"),
		false);
	assert_non_null(client_got(&a, "answer"));
	assert_int_equal(t->n_in, 1);
	assert_string_equal(t->in[0].mid, "0");
	/* and comes again, as a screen */
	client_say(&a, "offer", "{so s[{ss ss}]}", "sdp", sdp_json("chromium-whip.sdp"), "tracks", "mid", "1",
		"label", "screen");
	assert_non_null(client_got(&a, "answer"));
	assert_int_equal(t->n_in, 2);
	assert_non_null(mu_endpoint_find_track(endpoint("city/a"), "screen"));
	/* another network */
	{
		char *sdp = sdp_replace(sdp_load("chromium-whip.sdp"), "a=ice-pwd:", "a=ice-pwd:N");

		offer(&a, sdp, false);
	}
	assert_non_null(client_got(&a, "answer"));
	assert_int_equal(t->restarts, 1);
	assert_int_equal(fake.n, 1);
}

/* A browser uses an m-line again for another track: with a new mid each time (RFC 8829, section 5.2.2). Far more often than there
 * may be m-sections. */
static void test_m_lines_used_again(void **state)
{
	struct mu_transport *t;

	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	t = client_publish(&a);
	for (unsigned i = 2; i < 300; i += 2) {
		char group[32], audio[16], video[16];
		char *sdp = sdp_load("chromium-whip.sdp");

		snprintf(group, sizeof(group), "BUNDLE %u %u", i, i + 1);
		snprintf(audio, sizeof(audio), "a=mid:%u\r", i);
		snprintf(video, sizeof(video), "a=mid:%u\r", i + 1);
		sdp = sdp_replace(sdp_replace(sdp, "BUNDLE 0 1", group), "a=mid:0\r", audio);
		offer(&a, sdp_replace(sdp, "a=mid:1\r", video), false);
		assert_non_null(client_got(&a, "answer"));
		assert_int_equal(t->n_in, 2);
		assert_memory_equal(t->in[0].mid, audio + 6, strlen(audio + 6) - 1);
		client_flush(&a);
	}
	assert_int_equal(endpoint("city/a")->n_tracks, 2);
	assert_int_equal(fake.n, 1);
}

static void test_stop_publishing(void **state)
{
	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	client_publish(&a);
	offer(&a, sdp_replace(sdp_load("chromium-whip.sdp"), "a=sendonly", "a=inactive"), false);
	assert_non_null(client_got(&a, "answer"));
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_IDLE);
	assert_int_equal(endpoint("city/a")->n_tracks, 0);
	offer(&a, sdp_load("chromium-whip.sdp"), false);
	assert_non_null(client_got(&a, "answer"));
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
	assert_int_equal(fake.n, 1);
}

/* An offer whose second m-section, the video, is inactive. */
static char *without_video(void)
{
	char *sdp = sdp_load("chromium-whip.sdp"), *video = strstr(sdp, "m=video"), *rest;

	video = sdp_replace(strdup(video), "a=sendonly", "a=inactive");
	*strstr(sdp, "m=video") = '\0';
	rest = g_strconcat(sdp, video, NULL);
	free(sdp);
	free(video);
	return rest;
}

static size_t tracks_shown(const char *id)
{
	json_t *ep = mu_endpoint_json(endpoint(id));
	size_t n = json_array_size(json_object_get(ep, "tracks"));

	json_decref(ep);
	return n;
}

/* A camera that is stopped while the voice goes on: nobody shows its last picture, and it comes back into the same slots. */
static void test_one_track_stops(void **state)
{
	const char *mid;

	(void)state;
	enter_both();
	client_publish(&a);
	client_answer(&b, NULL, NULL);
	client_view(&b, "city/a", "video", 640, 360);
	client_answer(&b, NULL, NULL);
	mid = client_mid(&b, "city/a", "video");
	assert_non_null(mid);
	for (unsigned fresh = 0; fresh < 2; fresh++) {
		client_flush(&b);
		client_flush(&a);
		offer(&a, without_video(), fresh);
		assert_non_null(client_got(&a, "answer"));
		assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
		fake_pass(1);
		assert_string_equal(client_missing(&b, "city/a", "video"), "idle");
		assert_non_null(client_mid(&b, "city/a", "audio"));
		assert_int_equal(tracks_shown("city/a"), 1);
		client_flush(&b);
		offer(&a, sdp_load("chromium-whip.sdp"), false);
		fake_pass(1);
		assert_non_null(client_mid(&b, "city/a", "video"));
		assert_int_equal(tracks_shown("city/a"), 2);
		assert_null(client_got(&b, "offer"));
	}
}

static char *simulcast(void)
{
	return sdp_load("chromium-simulcast.sdp");
}

static const char *wanted(struct client *k)
{
	static char text[32];
	const json_t *list = json_object_get(client_got(k, "layers"), "wanted"), *one;
	size_t i;

	text[0] = '\0';
	if (!list)
		return "-";
	json_array_foreach(list, i, one) g_strlcat(text, json_string_value(one), sizeof(text));
	return text;
}

static void test_simulcast(void **state)
{
	struct mu_inbox *inbox = (struct mu_inbox *)state; /* never looked into */
	struct mu_endpoint_track *et;
	struct mu_transport *t;

	kit.f->w->o.control = inbox;
	client_enter(&a, "t1,publish conference,city/a", "city/a");
	offer(&a, simulcast(), false);
	assert_contains(text_of(client_got(&a, "answer"), "sdp"), "a=simulcast:recv h;m;l\r\n");
	t = fake_last();
	fake_fire(t, MU_TRANSPORT_CONNECTED, "");
	assert_int_equal(t->n_in, 4);
	et = mu_endpoint_find_track(endpoint("city/a"), "video");
	assert_int_equal(et->n_layers, 3);
	/* nobody looks: after a while all but the smallest may rest */
	mu_webrtc_refresh_stats(kit.f->w);
	fake_pass(4000);
	mu_webrtc_refresh_stats(kit.f->w);
	assert_string_equal(wanted(&a), "-");
	fake_pass(1100);
	mu_webrtc_refresh_stats(kit.f->w);
	assert_string_equal(wanted(&a), "l");
	mu_webrtc_refresh_stats(kit.f->w);
	assert_string_equal(wanted(&a), "-");
	/* somebody does: at once */
	fake_users(et->layers[0], 1);
	assert_string_equal(wanted(&a), "hl");
	fake_users(et->layers[0], 0);
	assert_string_equal(wanted(&a), "-");
	mu_webrtc_refresh_stats(kit.f->w);
	fake_pass(5100);
	mu_webrtc_refresh_stats(kit.f->w);
	assert_string_equal(wanted(&a), "l");
	/* a viewer is fed all of them, and picks by its tile */
	client_join(&a);
	client_enter(&b, "t2,conference,city/b", "city/b");
	client_join(&b);
	client_view(&b, "city/a", "video", 320, 180);
	client_answer(&b, NULL, NULL);
	client_answer(&b, NULL, NULL);
	assert_int_equal(fake_out(fake_last(), client_mid(&b, "city/a", "video"))->feed.n_layers, 3);
	/* the same offer again changes nothing */
	offer(&a, simulcast(), false);
	assert_non_null(client_got(&a, "answer"));
	assert_int_equal(t->n_in, 4);
	client_done(&a);
	fake_pass(30100);
	fake_users(et->layers[0], 1); /* nobody hears it any more */
}

/* RELIABILITY S11 */
static void test_another_certificate(void **state)
{
	struct mu_transport *t;

	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	t = client_publish(&a);
	offer(&a, sdp_replace(sdp_load("chromium-whip.sdp"), "9C:EF:80", "9C:EF:81"), false);
	client_refused(&a, 403, "certificate");
	assert_contains(kit.audit, "console.offer city/a denied");
	assert_false(t->closing);
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
	offer(&a, sdp_replace(sdp_load("chromium-whip.sdp"), "9C:EF:80", "9C:EF:81"), true);
	assert_non_null(client_got(&a, "answer"));
	assert_true(t->closing);
	assert_int_equal(fake.n, 2);
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE); /* viewers see no seam */
}

/* An offer that cannot be taken takes nothing from anybody, and keeps nothing. */
static void test_a_refused_offer_claims_nothing(void **state)
{
	(void)state;
	kit.f->w->o.second = MU_SECOND_TAKE_OVER;
	client_enter(&b, "t2,publish,city/a", "city/a");
	client_publish(&b);
	offer(&b, sdp_replace(sdp_load("chromium-whip.sdp"), "a=sendonly", "a=inactive"), false);
	offer(&b, sdp_replace(sdp_load("chromium-whip.sdp"), "9C:EF:80", "9C:EF:81"), false);
	client_refused(&b, 403, "certificate");
	assert_string_equal(endpoint("city/a")->session, "");
	client_enter(&a, "t1,publish,city/a", "city/a");
	client_publish(&a);
	offer(&b, sdp_replace(sdp_load("chromium-whip.sdp"), "9C:EF:80", "9C:EF:81"), false);
	client_refused(&b, 403, "certificate");
	assert_string_equal(endpoint("city/a")->session, a.session);
	assert_null(client_got(&a, "closed"));
	fake.refuse_transports = true;
	offer(&a, sdp_load("chromium-whip.sdp"), true);
	client_refused(&a, 503, "try again");
	assert_string_equal(endpoint("city/a")->session, "");
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LOST); /* its viewers wait for it */
}

/* RFC 3264, section 8: one description that changes, not another each time. */
static void test_answers_are_one_description(void **state)
{
	unsigned long long id[2];
	unsigned version[2];

	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	for (int i = 0; i < 2; i++) {
		const char *sdp;

		offer(&a, sdp_load("chromium-whip.sdp"), false);
		sdp = text_of(client_got(&a, "answer"), "sdp");
		assert_int_equal(sscanf(strstr(sdp, "o=-"), "o=- %llu %u ", &id[i], &version[i]), 2);
	}
	assert_true(id[0] == id[1]);
	assert_int_equal(version[1], version[0] + 1);
}

static void test_offers_refused(void **state)
{
	static const struct {
		const char *from, *to;
		int status;
		const char *part;
	} table[] = {
		{ "v=0", "v=1", 400, "SDP offer" },
		{ "a=mid:1", "a=mid:0", 400, "both" },
		{ "opus/48000", "speex/8000", 0, "" },
		{ "a=ice-pwd", "a=x-pwd", 400, "ice" },
		{ "UDP/TLS/RTP/SAVPF", "RTP/AVP", 400, "DTLS" },
	};

	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		if (table[i].status == 0)
			continue;
		offer(&a, sdp_replace(sdp_load("chromium-whip.sdp"), table[i].from, table[i].to), false);
		client_refused(&a, table[i].status, table[i].part);
	}
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_IDLE);
	assert_string_equal(endpoint("city/a")->session, "");
	client_say(&a, "offer", "{so s[{ss ss}]}", "sdp", sdp_json("chromium-whip.sdp"), "tracks", "mid", "0",
		"label", "screen");
	client_refused(&a, 400, "audio");
	client_enter(&b, "t2,watch,city/b", "city/b");
	offer(&b, sdp_load("chromium-whip.sdp"), false);
	client_refused(&b, 403, "scope");
}

/* RELIABILITY P3: refused with a reason, soon, and the session goes on. */
static void test_hostile_descriptions(void **state)
{
	char *sdp = sdp_load("chromium-whip.sdp");
	GString *many = g_string_new(sdp), *long_line = g_string_new(sdp), *rids = g_string_new(sdp);
	struct mu_transport *t;

	(void)state;
	free(sdp);
	for (int i = 0; i < 70; i++)
		g_string_append_printf(many, "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:x%d\r\n", i);
	for (int i = 0; i < 70000; i++)
		g_string_append_c(long_line, 'a');
	for (int i = 0; i < 1000; i++)
		g_string_append_printf(rids, "a=rid:r%d send\r\n", i);
	client_enter(&a, "t1,publish conference,city/a", "city/a");
	t = client_publish(&a);
	offer(&a, strdup(many->str), false);
	client_refused(&a, 413, "m-lines");
	offer(&a, strdup(long_line->str), false);
	client_refused(&a, 413, "bytes");
	offer(&a, strdup(rids->str), false);
	client_refused(&a, 413, "a=rid");
	offer(&a, strdup(""), false);
	client_refused(&a, 400, "empty");
	assert_int_equal(t->n_in, 2);
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
	client_join(&a);
	client_say(&a, "answer", "{si ss}", "n", 1, "sdp", rids->str);
	client_refused(&a, 413, "a=rid");
	assert_int_equal(a.code, 0);
	g_string_free(many, TRUE);
	g_string_free(long_line, TRUE);
	g_string_free(rids, TRUE);
}

/* RELIABILITY P9 */
static void test_hostile_names(void **state)
{
	static const char *const ids[] = { "city/../x", "../city/x", "city/", "city/a b", "CITY/a",
		"city/\xe4\xb8\x9c", "city/a/video" };

	(void)state;
	client_enter(&a, "t1,conference watch,", "city/a");
	for (size_t i = 0; i < MU_ARRAY_LEN(ids); i++) {
		client_say(&a, "view", "{s[{ss ss}]}", "tracks", "endpoint", ids[i], "label", "video");
		client_refused(&a, 400, "endpoint");
	}
	client_say(&a, "join", "{ss}", "conference", "../morning");
	client_refused(&a, 404, "no conference");
	client_say(&a, "view", "{s[{ss ss}]}", "tracks", "endpoint", "city/nobody", "label", "../../etc");
	client_ok(&a);
	assert_string_equal(client_missing(&a, "city/nobody", "../../etc"), "idle");
	assert_null(endpoint("city/nobody")); /* asking for a name makes none */
}

static void test_second_publisher(void **state)
{
	(void)state;
	client_enter(&a, "t1,publish,city/a", "city/a");
	client_enter(&b, "t2,publish,city/a", "city/a");
	client_publish(&a);
	offer(&b, sdp_load("chromium-whip.sdp"), false);
	client_refused(&b, 409, "published already");
	kit.f->w->o.second = MU_SECOND_TAKE_OVER;
	client_publish(&b);
	assert_string_equal(text_of(client_got(&a, "closed"), "pc"), "up");
	assert_int_equal(mu_webrtc_sessions(kit.f->w), 2);
	assert_string_equal(endpoint("city/a")->session, b.session);
	assert_int_equal(endpoint("city/a")->state, MU_ENDPOINT_LIVE);
	/* and WHIP takes over from a console as from another */
	whip_file(kit.f, "city/a", "firefox-whip.sdp");
	assert_int_equal(kit.f->r.status, 201);
	assert_string_equal(text_of(client_got(&b, "closed"), "why"), "another publisher took over");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_publish),
		TEST(test_offer_again),
		TEST(test_m_lines_used_again),
		TEST(test_stop_publishing),
		TEST(test_one_track_stops),
		TEST(test_simulcast),
		TEST(test_another_certificate),
		TEST(test_a_refused_offer_claims_nothing),
		TEST(test_answers_are_one_description),
		TEST(test_offers_refused),
		TEST(test_hostile_descriptions),
		TEST(test_hostile_names),
		TEST(test_second_publisher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
