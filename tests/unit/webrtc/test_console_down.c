/* What a console watches: slots, our offers and its answers. Nothing flows here. */
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


static void test_join_offers_audio(void **state)
{
	const json_t *o;

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_join(&a);
	o = client_got(&a, "offer");
	assert_non_null(o);
	assert_true(flag_of(o, "fresh"));
	assert_contains(text_of(o, "sdp"), "a=mid:4\r\n");
	assert_lacks(text_of(o, "sdp"), "a=mid:5\r\n");
	assert_lacks(text_of(o, "sdp"), "m=video");
	assert_contains(text_of(o, "sdp"), "a=ice-lite\r\n");
	assert_contains(text_of(o, "sdp"), "a=setup:actpass\r\n");
	assert_contains(text_of(o, "sdp"), "a=rtpmap:63 red/48000/2\r\n");
	assert_int_equal(fake.n, 0); /* no transport before the answer */
}

static void test_watch(void **state)
{
	struct mu_transport *t;
	struct mu_endpoint_track *et;
	const char *mid;

	(void)state;
	enter_both();
	client_publish(&a);
	t = client_answer(&b, NULL, NULL);
	assert_true(t->spec.fitted);
	assert_true(t->spec.dtls_server);
	assert_int_equal(t->n_out, 5);
	mid = client_mid(&b, "city/a", "audio");
	assert_non_null(mid);
	et = mu_endpoint_find_track(endpoint("city/a"), "audio");
	assert_ptr_equal(fake_out(t, mid)->feed.layers[0], et->track);
	assert_int_equal(fake_out(t, mid)->feed.urgency, MU_URGENT_CONFERENCE);
	assert_int_equal(fake_out(t, mid)->s.red_pt, 63);
	/* video: more slots, by an offer of their own */
	client_view(&b, "city/a", "video", 640, 360);
	assert_string_equal(client_missing(&b, "city/a", "video"), "opening");
	client_flush(&a);
	assert_ptr_equal(client_answer(&b, NULL, NULL), t);
	assert_null(client_missing(&b, "city/a", "video"));
	mid = client_mid(&b, "city/a", "video");
	assert_non_null(mid);
	assert_int_equal(fake_out(t, mid)->feed.width, 640);
	assert_true(fake_out(t, mid)->s.nack);
	assert_true(fake_out(t, mid)->s.rtx_ssrc != 0);
	assert_int_equal(fake_out(t, mid)->s.exts.id_of[MU_EXT_TWCC], 2);
	assert_int_equal(endpoint("city/a")->viewers, 1);
	/* another size is no reason for an offer, nor for another slot */
	client_flush(&b);
	client_view(&b, "city/a", "video", 1280, 720);
	assert_string_equal(client_mid(&b, "city/a", "video"), mid);
	assert_int_equal(fake_out(t, mid)->feed.width, 1280);
	assert_null(client_got(&b, "offer"));
	client_flush(&b);
	client_say(&b, "view", "{s[]}", "tracks");
	client_ok(&b);
	assert_string_equal(client_track(&b, mid), "");
	assert_int_equal(fake_out(t, mid)->feed.n_layers, 0);
	assert_int_equal(endpoint("city/a")->viewers, 0);
}

/* Who publishes later, or goes and returns, is shown as soon as it is there. */
static void test_view_before_it_is_live(void **state)
{
	struct mu_transport *t;

	(void)state;
	enter_both();
	client_answer(&b, NULL, NULL);
	client_view(&b, "city/a", "video", 640, 360);
	assert_string_equal(client_missing(&b, "city/a", "video"), "idle");
	assert_null(client_got(&b, "offer"));
	t = client_publish(&a);
	client_answer(&b, NULL, NULL);
	assert_non_null(client_mid(&b, "city/a", "video"));
	client_flush(&b);
	fake_fire(t, MU_TRANSPORT_CLOSED, "gone");
	fake_pass(10200);
	assert_string_equal(client_missing(&b, "city/a", "video"), "idle");
	client_flush(&b);
	client_publish(&a);
	assert_non_null(client_mid(&b, "city/a", "video"));
	assert_null(client_got(&b, "offer"));
}

static void test_who_may_view(void **state)
{
	(void)state;
	client_enter(&a, "t1,conference publish,city/a", "city/a");
	client_publish(&a);
	client_enter(&b, "t2,conference,city/b", "city/b");
	client_view(&b, "city/a", "video", 100, 100);
	assert_string_equal(client_missing(&b, "city/a", "video"), "forbidden");
	client_join(&a);
	client_join(&b); /* now of the same conference */
	client_answer(&b, NULL, NULL);
	assert_non_null(client_mid(&b, "city/a", "video"));
	client_say(&a, "leave", "{}");
	client_ok(&a);
	client_flush(&b);
	fake_pass(10);
	assert_string_equal(client_missing(&b, "city/a", "video"), "forbidden");
	client_done(&b);
	client_enter(&b, "t3,watch,city/*", "city/duty");
	client_view(&b, "city/a", "video", 100, 100);
	client_answer(&b, NULL, NULL);
	assert_non_null(client_mid(&b, "city/a", "video"));
	client_flush(&b);
	client_view(&b, "city/a", "audio", 0, 0);
	client_answer(&b, NULL, NULL);
	assert_non_null(client_mid(&b, "city/a", "audio"));
	client_done(&b);
	client_enter(&b, "t4,watch,city/duty", "city/duty");
	client_view(&b, "city/a", "video", 100, 100);
	assert_string_equal(client_missing(&b, "city/a", "video"), "forbidden");
}

static void test_codec_not_taken(void **state)
{
	(void)state;
	enter_both();
	client_publish(&a);
	whip_file(kit.f, "city/cam", "gstreamer-whip.sdp");
	client_view(&b, "city/a", "video", 640, 360);
	client_flush(&a);
	client_answer(&b, NULL, NULL);
	while (client_got(&b, "tracks"))
		;
	/* the slots of video come with the second offer; this client takes none of the publisher's codecs */
	{
		const json_t *o = client_got(&b, "offer");
		char *sdp = answer_to(text_of(o, "sdp"), NULL, NULL, "passive", 10), *p;

		for (p = sdp; (p = strstr(p, "VP8/90000")); p++)
			memcpy(p, "VPX", 3);
		for (p = sdp; (p = strstr(p, "VP9/90000")); p++)
			memcpy(p, "VPX", 3);
		for (p = sdp; (p = strstr(p, "H264/90000")); p++)
			memcpy(p, "H26X", 4);
		for (p = sdp; (p = strstr(p, "AV1/90000")); p++)
			memcpy(p, "VPX", 3);
		client_say(&b, "answer", "{sI ss}", "n", json_integer_value(json_object_get(o, "n")), "sdp",
			sdp);
		client_ok(&b);
		free(sdp);
	}
	assert_string_equal(client_missing(&b, "city/a", "video"), "codec");
}

static void test_slot_refused(void **state)
{
	struct mu_transport *t;

	(void)state;
	enter_both();
	client_publish(&a);
	t = client_answer(&b, NULL, "0");
	assert_int_equal(t->n_out, 4);
	assert_null(client_track(&b, "0"));
	assert_non_null(client_mid(&b, "city/a", "audio"));
	/* another takes its place, and it stays where it was */
	assert_non_null(client_got(&b, "offer"));
}

static void answer_with(struct client *k, const json_t *o, const char *setup, int fingerprint)
{
	char *sdp = answer_to(text_of(o, "sdp"), NULL, NULL, setup, fingerprint);

	client_say(k, "answer", "{sI ss}", "n", json_integer_value(json_object_get(o, "n")), "sdp", sdp);
	free(sdp);
}

static void test_answers_refused(void **state)
{
	json_t *o;

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_say(&a, "answer", "{si ss}", "n", 1, "sdp", "v=0\r\n");
	client_refused(&a, 409, "offer 1");
	client_join(&a);
	o = json_copy((json_t *)(uintptr_t)client_got(&a, "offer"));
	answer_with(&a, o, "actpass", 10);
	client_refused(&a, 400, "active or passive");
	assert_int_equal(fake.n, 0);
	answer_with(&a, o, "active", 10); /* it has been answered */
	client_refused(&a, 409, "not the one");
	json_decref(o);
	client_say(&a, "restart", "{sb}", "fresh", 1);
	client_ok(&a);
	o = json_copy((json_t *)(uintptr_t)client_got(&a, "offer"));
	assert_true(flag_of(o, "fresh"));
	client_say(&a, "answer", "{sO ss}", "n", json_object_get(o, "n"), "sdp", "v=0\r\n");
	client_refused(&a, 400, "lacks");
	json_decref(o);
}

/* One transport there is: what is answered for another is refused, with the reason. */
static void test_answers_apart(void **state)
{
	static const struct {
		const char *from, *to, *part;
	} table[] = {
		{ "a=group:BUNDLE", "a=group:LS", "BUNDLE" },
		{ "a=group:BUNDLE 0 1", "a=group:BUNDLE 0", "BUNDLE" },
		{ "a=rtcp-mux\r\n", "", "rtcp-mux" },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(table); i++) {
		const json_t *o;
		char *sdp;

		client_enter(&a, "t1,conference,city/a", "city/a");
		client_join(&a);
		o = client_got(&a, "offer");
		assert_non_null(o);
		sdp = sdp_replace(answer_to(text_of(o, "sdp"), NULL, NULL, "active", 10), table[i].from, table[i].to);
		client_say(&a, "answer", "{sI ss}", "n", json_integer_value(json_object_get(o, "n")), "sdp", sdp);
		free(sdp);
		client_refused(&a, 400, table[i].part);
		assert_int_equal(fake.n, 0);
		client_done(&a);
	}
}

/* RFC 8829, section 5.2.1: what is said of the transport stands in the section that speaks for it, and need not in others. */
static void test_transport_attributes_once(void **state)
{
	const json_t *o;
	char *sdp;

	(void)state;
	client_enter(&a, "t1,publish conference,city/a", "city/a");
	sdp = sdp_replace(sdp_load("chromium-whip.sdp"), "a=rtcp-mux\r\n", "");
	sdp = sdp_replace(sdp, "a=mid:0\r\n", "a=mid:0\r\na=rtcp-mux\r\n");
	client_say(&a, "offer", "{ss}", "sdp", sdp);
	free(sdp);
	assert_non_null(client_got(&a, "answer"));
	client_join(&a);
	o = client_got(&a, "offer");
	assert_non_null(o);
	sdp = sdp_replace(answer_to(text_of(o, "sdp"), NULL, NULL, "active", 10), "a=rtcp-mux\r\n", "");
	sdp = sdp_replace(sdp, "a=mid:0\r\n", "a=mid:0\r\na=rtcp-mux\r\n");
	client_say(&a, "answer", "{sI ss}", "n", json_integer_value(json_object_get(o, "n")), "sdp", sdp);
	client_ok(&a);
	free(sdp);
}

static void test_passive_client(void **state)
{
	json_t *o;

	(void)state;
	client_enter(&a, "t1,conference,city/a", "city/a");
	client_join(&a);
	o = json_copy((json_t *)(uintptr_t)client_got(&a, "offer"));
	answer_with(&a, o, "passive", 10);
	client_ok(&a);
	assert_false(fake_last()->spec.dtls_server);
	assert_contains(text_of(o, "sdp"), fake_last()->spec.ufrag);
	json_decref(o);
	client_view(&a, "city/a", "video", 1, 1);
}

/* RELIABILITY S11, the other way round */
static void test_another_certificate_in_an_answer(void **state)
{
	struct mu_transport *t;

	(void)state;
	enter_both();
	client_publish(&a);
	t = client_answer(&b, NULL, NULL);
	client_view(&b, "city/a", "video", 640, 360);
	answer_with(&b, client_got(&b, "offer"), "active", 11);
	client_refused(&b, 403, "certificate");
	assert_contains(kit.audit, "console.answer city/b denied");
	assert_int_equal(t->n_out, 5);
	assert_false(t->closing);
}

static void test_one_offer_at_a_time(void **state)
{
	(void)state;
	enter_both();
	client_publish(&a);
	assert_non_null(json_object_get(json_array_get(b.got, 0), "type"));
	client_view(&b, "city/a", "video", 640, 360);
	client_view(&b, "city/a", "video", 320, 180);
	{
		json_t *o = json_incref((json_t *)(uintptr_t)client_got(&b, "offer"));

		assert_null(client_got(&b, "offer")); /* the slots of video wait for the answer */
		answer_with(&b, o, "active", 10);
		json_decref(o);
	}
	client_ok(&b);
	client_answer(&b, NULL, NULL);
	assert_non_null(client_mid(&b, "city/a", "video"));
	assert_null(client_got(&b, "offer"));
}

static void test_restart(void **state)
{
	struct mu_transport *t;
	const json_t *o;

	(void)state;
	enter_both();
	t = client_answer(&b, NULL, NULL);
	client_say(&b, "restart", "{}");
	client_ok(&b);
	assert_int_equal(t->restarts, 1);
	o = client_got(&b, "offer");
	assert_contains(text_of(o, "sdp"), t->ufrag);
	assert_false(flag_of(o, "fresh"));
	answer_with(&b, o, "active", 10);
	client_ok(&b);
	assert_int_equal(fake.n, 1);
	/* a page loaded anew */
	client_say(&b, "restart", "{sb}", "fresh", 1);
	client_ok(&b);
	assert_true(t->closing);
	client_flush(&a);
	assert_ptr_not_equal(client_answer(&b, NULL, NULL), t);
	assert_int_equal(fake_last()->n_out, 5);
}

static void test_down_lost(void **state)
{
	struct mu_transport *t;

	(void)state;
	enter_both();
	client_publish(&a);
	t = client_answer(&b, NULL, NULL);
	fake_pass(6000);
	client_flush(&b);
	fake_fire(t, MU_TRANSPORT_CLOSED, "no consent");
	assert_string_equal(text_of(client_got(&b, "closed"), "pc"), "down");
	fake_pass(10);
	client_answer(&b, NULL, NULL);
	assert_non_null(client_mid(&b, "city/a", "audio"));
	/* not in a circle */
	fake_fire(fake_last(), MU_TRANSPORT_CLOSED, "DTLS failed");
	client_flush(&b);
	fake_pass(1000);
	assert_null(client_got(&b, "offer"));
	fake_pass(5000);
	assert_non_null(client_got(&b, "offer"));
}

static void test_resume_tells_again(void **state)
{
	struct mu_transport *t;

	(void)state;
	enter_both();
	client_publish(&a);
	t = client_answer(&b, NULL, NULL);
	client_view(&b, "city/a", "video", 640, 360);
	client_lose(&b);
	fake_pass(3000);
	assert_false(t->closing);
	client_flush(&b);
	client_open(&b);
	client_say(&b, "hello", "{ss ss ss}", "token", "t2,conference,city/b", "endpoint", "city/b",
		"session", b.session);
	assert_non_null(client_got(&b, "welcome"));
	assert_non_null(client_mid(&b, "city/a", "audio"));
	client_answer(&b, NULL, NULL); /* the offer that it may not have had */
	assert_non_null(client_mid(&b, "city/a", "video"));
}

static void test_many_views(void **state)
{
	json_t *tracks = json_array();
	unsigned full = 0;
	json_t *o;
	size_t i;

	(void)state;
	client_enter(&b, "t2,watch conference,", "city/b");
	client_join(&b);
	client_answer(&b, NULL, NULL);
	for (int n = 0; n < 64; n++) {
		char id[32];

		snprintf(id, sizeof(id), "city/cam-%d", n);
		whip_file(kit.f, id, "chromium-whip.sdp");
		fake_fire(fake_last(), MU_TRANSPORT_CONNECTED, "");
		json_array_append_new(tracks, json_pack("{ss ss}", "endpoint", id, "label", "video"));
	}
	client_say(&b, "view", "{so}", "tracks", tracks);
	client_ok(&b);
	client_answer(&b, NULL, NULL);
	o = json_array_get(b.got, json_array_size(b.got) - 1);
	assert_int_equal(json_array_size(json_object_get(o, "tracks")), 64);
	json_array_foreach(json_object_get(o, "missing"), i, tracks) full +=
		strcmp(text_of(tracks, "why"), "full") == 0;
	assert_int_equal(full, 5);
	assert_null(client_got(&b, "offer"));
}

static void test_quality(void **state)
{
	struct mu_transport *t;

	(void)state;
	enter_both();
	client_publish(&a);
	t = client_answer(&b, NULL, NULL);
	client_flush(&b);
	mu_webrtc_refresh_stats(kit.f->w);
	assert_int_equal(t->asks, 1);
	assert_non_null(client_got(&b, "quality"));
	assert_non_null(client_got(&a, "quality"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_join_offers_audio),
		TEST(test_watch),
		TEST(test_view_before_it_is_live),
		TEST(test_who_may_view),
		TEST(test_codec_not_taken),
		TEST(test_slot_refused),
		TEST(test_answers_refused),
		TEST(test_answers_apart),
		TEST(test_transport_attributes_once),
		TEST(test_passive_client),
		TEST(test_another_certificate_in_an_answer),
		TEST(test_one_offer_at_a_time),
		TEST(test_restart),
		TEST(test_down_lost),
		TEST(test_resume_tells_again),
		TEST(test_many_views),
		TEST(test_quality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
