#include <time.h>

#include "fake_transport.h"

static struct mu_sdp s;
static struct mu_error e;

static int parse(const char *text)
{
	e.text[0] = '\0';
	return mu_sdp_parse(text, strlen(text), &s, &e);
}

static const struct mu_sdp *parsed(const char *file)
{
	char *text = sdp_load(file);

	if (parse(text) < 0)
		fail_msg("%s: %s", file, e.text);
	free(text);
	return &s;
}

static const struct mu_sdp_codec *codec(const struct mu_sdp_media *m, uint8_t pt)
{
	for (unsigned i = 0; i < m->n_codecs; i++) {
		if (m->codecs[i].pt == pt)
			return &m->codecs[i];
	}
	fail_msg("no payload type %u", pt);
	return NULL;
}

static void test_chromium(void **state)
{
	const struct mu_sdp *o = parsed("chromium-whip.sdp");
	const struct mu_sdp_media *a = &o->media[0], *v = &o->media[1];

	(void)state;
	assert_int_equal(o->n_media, 2);
	assert_int_equal(o->n_bundle, 2);
	assert_string_equal(o->bundle[1], "1");
	assert_true(o->trickle);
	assert_false(o->ice_lite);
	assert_string_equal(a->type, "audio");
	assert_string_equal(a->mid, "0");
	assert_string_equal(v->proto, "UDP/TLS/RTP/SAVPF");
	assert_int_equal(a->direction, MU_SDP_SENDONLY);
	assert_true(a->ext_mixed && v->ext_mixed && v->rtcp_mux && v->rtcp_rsize);
	assert_string_equal(codec(a, 111)->name, "opus");
	assert_int_equal(codec(a, 111)->channels, 2);
	assert_int_equal(codec(a, 111)->clock, 48000);
	assert_true(codec(a, 111)->twcc);
	assert_string_equal(codec(v, 97)->fmtp, "apt=96");
	assert_true(codec(v, 96)->nack && codec(v, 96)->pli && codec(v, 96)->fir && codec(v, 96)->remb);
	assert_false(codec(v, 97)->nack);
	assert_int_equal(v->n_fingerprints, 1);
	assert_int_equal(v->setup, MU_SDP_ACTPASS);
	assert_true(v->ssrc != 0 && v->rtx_ssrc != 0 && v->ssrc != v->rtx_ssrc);
	assert_true(v->n_exts >= 10);
}

static void test_chromium_simulcast(void **state)
{
	const struct mu_sdp *o = parsed("chromium-simulcast.sdp");

	(void)state;
	assert_int_equal(o->media[1].n_rids, 3);
	assert_int_equal(o->media[1].ssrc, 0);
	assert_int_equal(o->media[1].n_layers, 3);
	assert_string_equal(o->media[1].layers[0], "h");
	assert_string_equal(o->media[1].layers[2], "l");
}

#define V "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\nm=video 9 UDP/TLS/RTP/SAVPF 96\na=rtpmap:96 VP8/90000\n"

/* What a=simulcast sends, joined with commas. */
static const char *layers(const char *lines)
{
	static char text[200];
	const struct mu_sdp_media *m = &s.media[0];
	GString *t = g_string_new(V);
	int err;

	g_string_append(t, lines);
	err = mu_sdp_parse(t->str, t->len, &s, &e);
	g_string_free(t, TRUE);
	if (err < 0)
		return e.text;
	text[0] = '\0';
	for (unsigned i = 0; i < m->n_layers; i++) {
		g_strlcat(text, i ? "," : "", sizeof(text));
		g_strlcat(text, m->layers[i], sizeof(text));
	}
	return text;
}

static void test_simulcast(void **state)
{
	(void)state;
	assert_string_equal(layers("a=rid:a send\na=rid:b send pt=96;max-width=640\na=simulcast:send a;b\n"), "a,b");
	assert_string_equal(layers("a=simulcast:send a;b\na=rid:b send\na=rid:a send\n"), "a,b"); /* in any order */
	assert_string_equal(layers("a=rid:a send\na=rid:b send\na=rid:c send\na=simulcast:send ~a;b,c\n"), "a,b");
	assert_string_equal(layers("a=rid:a send\na=rid:z recv\na=simulcast:recv z send a\n"), "a");
	assert_string_equal(layers("a=rid:a send\na=simulcast:send a;b;a\n"), "a"); /* b is not described, a is one */
	assert_string_equal(layers("a=rid:a send\na=simulcast:recv a\n"), "");
	assert_string_equal(layers("a=rid:1 send\na=rid:2 send\na=rid:3 send\na=rid:4 send\na=simulcast:send 1;2;3;4\n"), "1,2,3,4");
	assert_contains(layers("a=rid:a send\na=rid:a send\n"), "line 8: a=rid:a stands there twice");
	assert_contains(layers("a=rid:a/b send\n"), "a=rid has a name of 1 to 16");
	assert_contains(layers("a=rid:aaaaaaaaaaaaaaaaa send\n"), "a=rid has a name of 1 to 16");
	assert_contains(layers("a=simulcast:send ;\n"), "a=simulcast names something");
	assert_contains(layers("a=simulcast:both a\n"), "a=simulcast says");
	assert_string_equal(layers("a=simulcast:send\n"), "");
}

static void test_chromium_data_channel(void **state)
{
	const struct mu_sdp *o = parsed("chromium-whip-data.sdp");

	(void)state;
	assert_int_equal(o->n_media, 3);
	assert_string_equal(o->media[2].type, "application");
	assert_int_equal(o->media[2].n_codecs, 0);
}

static void test_firefox_has_fingerprint_in_session(void **state)
{
	const struct mu_sdp *o = parsed("firefox-whip.sdp");

	(void)state;
	assert_int_equal(o->media[0].n_fingerprints, 1);
	assert_int_equal(o->media[1].n_fingerprints, 1);
	assert_int_equal(o->media[1].fingerprints[0][0], 0x6b);
	assert_int_equal(o->media[1].ssrc, 2912345678);
	assert_int_equal(o->media[1].rtx_ssrc, 987654321);
	assert_true(o->media[0].ext_mixed);
	assert_false(o->media[1].ext_mixed);
}

static void test_gstreamer_bundle_only(void **state)
{
	const struct mu_sdp *o = parsed("gstreamer-whip.sdp");

	(void)state;
	assert_int_equal(o->media[1].port, 0);
	assert_true(o->media[1].bundle_only);
	assert_contains(o->media[0].codecs[0].fmtp, "sprop-parameter-sets=Z0LA");
	assert_int_equal(o->media[0].rtx_ssrc, 3203386110);
}

static void test_wildcard_feedback_and_static_types(void **state)
{
	(void)state;
	assert_int_equal(
		parse("v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0 8 9\na=rtcp-fb:* nack\na=rtcp-fb:8 transport-cc\n"),
		0);
	assert_string_equal(s.media[0].codecs[0].name, "PCMU");
	assert_string_equal(s.media[0].codecs[2].name, "G722");
	assert_true(s.media[0].codecs[0].nack && s.media[0].codecs[2].nack);
	assert_true(s.media[0].codecs[1].twcc && !s.media[0].codecs[0].twcc);
}

static void test_long_parameter_sets_are_left_out(void **state)
{
	GString *t = g_string_new("v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96\na=fmtp:96 profile-id=1; sprop-vps=");

	(void)state;
	for (int i = 0; i < 300; i++)
		g_string_append_c(t, 'A');
	g_string_append(t, ";tx-mode=SRST\n");
	assert_int_equal(parse(t->str), 0);
	assert_string_equal(s.media[0].codecs[0].fmtp, "profile-id=1;tx-mode=SRST");
	g_string_free(t, TRUE);
}

static void test_extension_directions(void **state)
{
	(void)state;
	assert_int_equal(parse("v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\n"
			       "a=extmap:3/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on\n"
			       "a=extmap:4096 urn:ietf:params:rtp-hdrext:sdes:mid\n"
			       "a=extmap:9 urn:unknown\n"),
		0);
	assert_int_equal(s.media[0].n_exts, 1);
	assert_int_equal(s.media[0].exts[0].type, MU_EXT_AUDIO_LEVEL);
	assert_int_equal(s.media[0].exts[0].direction, MU_SDP_RECVONLY);
}

#define AUDIO "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 96\n"

static void test_malformed(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "empty" },
		{ "hello", "line 1" },
		{ "v=1\n", "v=0" },
		{ "a=mid:0\n", "v=0" },
		{ "v=0\nx\n", "line 2" },
		{ "v=0\n\ns=-\n", "line 2" },
		{ "v=0\nm=audio\n", "line 2" },
		{ "v=0\nm=audio 70000 UDP/TLS/RTP/SAVPF 0\n", "port" },
		{ "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 128\n", "0..127" },
		{ "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 4294967296\n", "0..127" },
		{ "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0 0\n", "twice" },
		{ "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF\n", "no payload type" },
		{ "v=0\nm=audio 9 UDP\x7f/RTP/ 0\n", "strange" },
		{ AUDIO "a=rtpmap:96 opus/0\n", "clock" },
		{ AUDIO "a=rtpmap:96 opus/48000/999\n", "channels" },
		{ AUDIO "a=rtpmap:96 a<b/48000\n", "token" },
		{ AUDIO "a=fmtp:96 a=\xc3\xa9\n", "ASCII" },
		{ AUDIO "a=fmtp:96 a=\x01\n", "control" },
		{ AUDIO "a=mid:a b\n", "mid" },
		{ AUDIO "a=mid:a\nm=audio 9 UDP/TLS/RTP/SAVPF 96\na=mid:a\n", "both have" },
		{ AUDIO "a=ssrc:4294967296 cname:x\n", "32 bits" },
		{ AUDIO "a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid\n", "extmap" },
		{ "v=0\na=ice-ufrag:abc\n", "ufrag" },
		{ "v=0\na=ice-pwd:short\n", "pwd" },
		{ "v=0\na=ice-pwd:abcdefghijklmnopqrstu\"\n", "pwd" },
		{ "v=0\na=setup:holdconn\n", "setup" },
		{ "v=0\na=fingerprint:sha-256 AA:BB\n", "fingerprint" },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		if (parse(bad[i].text) != -EBADMSG)
			fail_msg("taken: %s", bad[i].text);
		assert_contains(e.text, bad[i].says);
	}
}

static void test_nul_inside(void **state)
{
	static const char text[] = "v=0\ns=a\0b\n";

	(void)state;
	assert_int_equal(mu_sdp_parse(text, sizeof(text) - 1, &s, &e), -EBADMSG);
}

/* --- bombs (RELIABILITY P3): refused within 10 ms of CPU --- */

static int bomb(GString *t)
{
	struct timespec a, b;
	int err;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	err = mu_sdp_parse(t->str, t->len, &s, &e);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec < 10000000L);
	g_string_free(t, TRUE);
	return err;
}

static GString *repeated(const char *head, const char *line, unsigned n)
{
	GString *t = g_string_new(head);

	for (unsigned i = 0; i < n; i++)
		g_string_append(t, line);
	return t;
}

#define HEAD  "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\n"
#define MEDIA HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96\n"

static GString *rids(unsigned n)
{
	GString *t = g_string_new(MEDIA);

	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(t, "a=rid:%u send\n", i);
	return t;
}

static void test_bombs(void **state)
{
	(void)state;
	assert_int_equal(bomb(repeated(HEAD, "m=audio 9 UDP/TLS/RTP/SAVPF 0\n", 10000)), -E2BIG);
	assert_int_equal(bomb(repeated(HEAD, "m=audio 9 UDP/TLS/RTP/SAVPF 0\n", 65)), -E2BIG);
	assert_contains(e.text, "64 m-lines");
	assert_int_equal(
		bomb(repeated(MEDIA, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\n", 20000)), -E2BIG);
	assert_int_equal(bomb(repeated(MEDIA, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\n", 129)), -E2BIG);
	assert_contains(e.text, "line 134");
	assert_int_equal(bomb(repeated(MEDIA, "a=rid:h send\n", 5000)), -EBADMSG);
	assert_contains(e.text, "a=rid:h stands there twice");
	assert_int_equal(bomb(rids(3500)), -E2BIG);
	assert_contains(e.text, "more than 32 a=rid");
	assert_int_equal(bomb(repeated(MEDIA "a=simulcast:send h", ";h", 20000)), -E2BIG);
	assert_contains(e.text, "a=simulcast");
	assert_int_equal(bomb(repeated(MEDIA "a=simulcast:send h", ",h", 20000)), 0);
	assert_int_equal(bomb(repeated(MEDIA "a=fmtp:96 ", "abcdefgh=ijklmno", 16384)), -E2BIG);
	assert_int_equal(bomb(repeated(MEDIA "a=fmtp:96 ", "abcdefgh=ijklmno", 3000)), -E2BIG);
	assert_contains(e.text, "a=fmtp:96");
	assert_int_equal(bomb(repeated(HEAD, "a=b\n", 10000)), -E2BIG);
	assert_contains(e.text, "lines");
	assert_int_equal(bomb(repeated(HEAD "a=group:BUNDLE", " a", 10000)), -E2BIG);
	assert_int_equal(bomb(repeated(HEAD "m=video 9 UDP/TLS/RTP/SAVPF", " 96", 10000)), -EBADMSG);
	assert_int_equal(bomb(repeated(MEDIA, "a=ssrc-group:FID 1 2\n", 3000)), 0);
	assert_int_equal(bomb(repeated(MEDIA, "a=fmtp:96 apt=96\n", 3000)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chromium),
		cmocka_unit_test(test_chromium_simulcast),
		cmocka_unit_test(test_simulcast),
		cmocka_unit_test(test_chromium_data_channel),
		cmocka_unit_test(test_firefox_has_fingerprint_in_session),
		cmocka_unit_test(test_gstreamer_bundle_only),
		cmocka_unit_test(test_wildcard_feedback_and_static_types),
		cmocka_unit_test(test_long_parameter_sets_are_left_out),
		cmocka_unit_test(test_extension_directions),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nul_inside),
		cmocka_unit_test(test_bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
