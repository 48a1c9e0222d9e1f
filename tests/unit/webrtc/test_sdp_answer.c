#include "fake_transport.h"

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, part)); at++)
		n++;
	return n;
}

/* The answer must be an SDP that we can read ourselves. */
static struct mu_sdp *reread(const struct fixture *f)
{
	static struct mu_sdp s;
	struct mu_error e;

	if (mu_sdp_parse(f->r.body, strlen(f->r.body), &s, &e) < 0)
		fail_msg("%s in\n%s", e.text, f->r.body);
	return &s;
}

static void test_chromium_publisher(void **state)
{
	struct fixture *f = *state;
	const struct mu_sdp *a;

	fake.worker = 1;
	whip_file(f, "city/cam", "chromium-whip.sdp");
	a = reread(f);
	assert_int_equal(a->n_media, 2);
	assert_true(a->ice_lite);
	assert_int_equal(a->media[0].direction, MU_SDP_RECVONLY);
	assert_int_equal(a->media[1].setup, MU_SDP_PASSIVE);
	assert_true(a->media[1].rtcp_mux && a->media[1].ext_mixed);
	assert_contains(f->r.body, "a=group:BUNDLE 0 1\r\n");
	assert_contains(f->r.body, "m=audio 50001 UDP/TLS/RTP/SAVPF 111 9 0 8\r\n");
	assert_contains(f->r.body,
		"m=video 50001 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107 108 109 114 115 116 117 39 40 45 46 98 99 100 101\r\n");
	assert_contains(f->r.body, "a=rtpmap:111 opus/48000/2\r\n");
	assert_contains(f->r.body, "a=rtcp-fb:96 nack pli\r\n");
	assert_contains(f->r.body, "a=rtcp-fb:96 transport-cc\r\n");
	assert_lacks(f->r.body, "goog-remb");
	assert_lacks(f->r.body, "a=rtcp-fb:97");
	assert_lacks(f->r.body, "ulpfec");
	assert_lacks(f->r.body, "telephone-event");
	assert_lacks(f->r.body, "abs-send-time");
	assert_lacks(f->r.body, "toffset");
	assert_lacks(f->r.body, "rtp-stream-id");
	assert_contains(f->r.body, "color-space");
	assert_contains(f->r.body, "sdes:mid");
	assert_lacks(f->r.body, "a=ssrc:");
}

static void test_candidates(void **state)
{
	struct fixture *f = *state;

	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_contains(f->r.body, "a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host\r\n");
	assert_contains(f->r.body, "a=candidate:2 1 udp 2130706175 2001:db8::1 50100 typ host\r\n");
	assert_contains(f->r.body, "c=IN IP4 192.0.2.1\r\n");
	assert_int_equal(count(f->r.body, "a=candidate"), 2); /* of the transport, not of each section */
	assert_int_equal(count(f->r.body, "a=end-of-candidates"), 1);
}

static void test_advertised(void **state)
{
	struct fixture *f = *state;
	struct mu_addr public[2];

	mu_addr_parse("198.51.100.7", 0, &public[0]);
	mu_addr_parse("203.0.113.9", 4242, &public[1]);
	f->o.advertise = public;
	f->o.n_advertise = 2;
	mu_webrtc_reconfigure(f->w, &f->o);
	memset(public, 0, sizeof(public)); /* it keeps a copy */
	fake.worker = 3;
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_contains(f->r.body, " 198.51.100.7 50003 typ host\r\n");
	assert_contains(f->r.body, " 203.0.113.9 4242 typ host\r\n");
	assert_lacks(f->r.body, "192.0.2.1");
}

/* By TCP only passive ones, each worth less than any by UDP (RFC 6544). */
static void test_tcp_candidates(void **state)
{
	struct fixture *f = *state;
	struct mu_addr tcp[2], public;

	mu_addr_parse("192.0.2.1", 443, &tcp[0]);
	mu_addr_parse("2001:db8::1", 443, &tcp[1]);
	f->o.tcp = tcp;
	f->o.n_tcp = 2;
	mu_webrtc_reconfigure(f->w, &f->o);
	memset(tcp, 0, sizeof(tcp)); /* it keeps a copy */
	fake.worker = 1;
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_contains(f->r.body, "a=candidate:1 1 udp 2130706431 192.0.2.1 50001 typ host\r\n");
	assert_contains(f->r.body, "a=candidate:2 1 udp 2130706175 2001:db8::1 50101 typ host\r\n");
	assert_contains(f->r.body, "a=candidate:3 1 tcp 1520435199 192.0.2.1 60001 typ host tcptype passive\r\n");
	assert_contains(f->r.body, "a=candidate:4 1 tcp 1520434943 2001:db8::1 60101 typ host tcptype passive\r\n");
	assert_int_equal(count(f->r.body, "a=candidate"), 4);
	assert_contains(f->r.body, "c=IN IP4 192.0.2.1\r\n");
	/* advertised: as UDP's are, where the family is listened on */
	mu_addr_parse("198.51.100.7", 0, &public);
	mu_addr_parse("192.0.2.1", 443, &tcp[0]);
	f->o.advertise = &public;
	f->o.n_advertise = 1;
	f->o.n_tcp = 1;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/other", "chromium-whip.sdp");
	assert_contains(f->r.body, " udp 2130706431 198.51.100.7 50001 typ host\r\n");
	assert_contains(f->r.body, " tcp 1520435199 198.51.100.7 60001 typ host tcptype passive\r\n");
	assert_int_equal(count(f->r.body, "a=candidate"), 2);
	mu_addr_parse("2001:db8::1", 443, &tcp[0]); /* nobody hears IPv4 by TCP */
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/third", "chromium-whip.sdp");
	assert_lacks(f->r.body, " tcp ");
}

static unsigned candidates_of(const char *sdp, sa_family_t family)
{
	unsigned n = 0;

	for (const char *at = sdp; (at = strstr(at, "a=candidate:")); at++) {
		char host[64];
		struct mu_addr a;

		assert_int_equal(sscanf(at, "a=candidate:%*s 1 udp %*s %63s", host), 1);
		assert_int_equal(mu_addr_parse(host, 0, &a), 0);
		n += a.sa.sa_family == family;
	}
	return n;
}

static void test_wildcard_is_expanded(void **state)
{
	struct fixture *f = *state;

	mu_addr_parse("0.0.0.0", 0, &f->listen[0]);
	f->o.n_listen = 1;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_contains(f->r.body, "a=candidate:1 ");
	assert_lacks(f->r.body, " 0.0.0.0 50000");
	assert_int_equal(candidates_of(f->r.body, AF_INET6), 0);
}

/* A socket on [::] takes no IPv4: a candidate nobody hears would cost the client its time. */
static void test_wildcards_keep_to_their_family(void **state)
{
	struct fixture *f = *state;

	mu_addr_parse("::", 0, &f->listen[0]);
	f->o.n_listen = 1;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(candidates_of(f->r.body, AF_INET), 0);
	assert_lacks(f->r.body, " :: 50000");
	mu_addr_parse("0.0.0.0", 0, &f->listen[1]);
	f->o.n_listen = 2;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/both", "chromium-whip.sdp");
	assert_true(candidates_of(f->r.body, AF_INET) > 0);
	assert_lacks(f->r.body, ":: ");
}

/* Sockets may have ports of their own: 50000 of IPv4, 50100 of IPv6. */
static void test_advertised_by_family(void **state)
{
	struct fixture *f = *state;
	struct mu_addr public[2];

	mu_addr_parse("2001:db8::7", 0, &public[0]);
	mu_addr_parse("198.51.100.7", 0, &public[1]);
	f->o.advertise = public;
	f->o.n_advertise = 2;
	mu_webrtc_reconfigure(f->w, &f->o);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_contains(f->r.body, " 2001:db8::7 50100 typ host\r\n");
	assert_contains(f->r.body, " 198.51.100.7 50000 typ host\r\n");
	assert_contains(f->r.body, "c=IN IP6 2001:db8::7\r\n");
}

/* An offerer may refuse a section itself: it stays refused, in its place. */
static void test_data_channel_is_refused_in_place(void **state)
{
	struct fixture *f = *state;
	const struct mu_sdp *a;

	whip_text(f, "city/cam",
		sdp_replace(sdp_load("chromium-whip-data.sdp"), "m=application 9", "m=application 0"));
	a = reread(f);
	assert_int_equal(a->n_media, 3);
	assert_int_equal(a->media[2].port, 0);
	assert_string_equal(a->media[2].mid, "2");
	assert_contains(f->r.body, "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n");
	assert_contains(f->r.body, "a=group:BUNDLE 0 1\r\n");
}

static void test_simulcast(void **state)
{
	static const char *const rids[] = { "h", "m", "l" };
	struct fixture *f = *state;
	const struct mu_transport_spec *spec;

	whip_file(f, "city/cam", "chromium-simulcast.sdp");
	assert_int_equal(f->r.status, 201);
	assert_contains(f->r.body, "a=rid:h recv\r\na=rid:m recv\r\na=rid:l recv\r\na=simulcast:recv h;m;l\r\n");
	assert_contains(f->r.body, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n");
	assert_contains(f->r.body, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n");
	spec = &fake_last()->spec;
	assert_int_equal(spec->n_in, 4);
	for (unsigned i = 0; i < 3; i++) {
		const struct mu_stream_in *in = &spec->in[1 + i];

		assert_string_equal(in->mid, spec->in[1].mid);
		assert_string_equal(in->rid, rids[i]);
		assert_int_equal(in->ssrc, 0);
		assert_true(in->exts.id_of[MU_EXT_RID] && in->exts.id_of[MU_EXT_REPAIRED_RID]);
		assert_true(in->track && (i == 0 || in->track != spec->in[i].track));
	}
}

/* More than we take are left out of the answer, and the offerer does not send them (RFC 8853, section 5.3.2). */
static void test_more_encodings_than_we_take(void **state)
{
	struct fixture *f = *state;

	whip_text(f, "city/cam", sdp_replace(sdp_load("chromium-simulcast.sdp"), "a=simulcast:send h;m;l",
		"a=rid:x send\r\na=simulcast:send h;m;l;x"));
	assert_int_equal(f->r.status, 201);
	assert_contains(f->r.body, "a=simulcast:recv h;m;l\r\n");
	assert_lacks(f->r.body, "a=rid:x");
	assert_int_equal(fake_last()->spec.n_in, 4);
}

/* Then nobody knows which encoding a retransmission is of: none is taken, and what is asked for comes as it was. */
static void test_repairs_without_a_name(void **state)
{
	struct fixture *f = *state;

	whip_text(f, "city/cam", sdp_replace(sdp_load("chromium-simulcast.sdp"),
		"urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", "urn:other"));
	assert_int_equal(f->r.status, 201);
	assert_int_equal(fake_last()->spec.n_in, 4);
	assert_int_equal(fake_last()->spec.in[1].rtx_pt[0], 0);
	assert_true(fake_last()->spec.in[1].nack);
	assert_lacks(f->r.body, "rtx/90000");
}

static void test_encodings_that_cannot_be_told_apart(void **state)
{
	struct fixture *f = *state;

	whip_text(f, "city/cam", sdp_replace(sdp_load("chromium-simulcast.sdp"), "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
		"urn:other"));
	assert_int_equal(f->r.status, 422);
	assert_contains(f->r.detail, "rtp-stream-id");
}

static void test_firefox(void **state)
{
	struct fixture *f = *state;

	whip_file(f, "city/cam", "firefox-whip.sdp");
	assert_contains(f->r.body, "m=audio 50000 UDP/TLS/RTP/SAVPF 109 9 0 8\r\n");
	assert_contains(f->r.body, "m=video 50000 UDP/TLS/RTP/SAVPF 120 124 121 125 99 100\r\n");
	assert_lacks(f->r.body, "playout-delay"); /* Firefox only takes it */
	assert_int_equal(count(f->r.body, "a=extmap-allow-mixed"), 1);
	assert_int_equal(fake_last()->spec.in[1].ssrc, 2912345678);
}

static void test_gstreamer(void **state)
{
	struct fixture *f = *state;
	const struct mu_transport_spec *spec;

	whip_file(f, "city/cam", "gstreamer-whip.sdp");
	spec = &fake_last()->spec;
	assert_contains(f->r.body, "a=group:BUNDLE video0 audio1\r\n");
	assert_contains(f->r.body, "m=audio 50000 UDP/TLS/RTP/SAVPF 98\r\n"); /* bundle-only */
	assert_contains(f->r.body, "a=rtpmap:98 OPUS/48000/2\r\n");
	assert_int_equal(spec->n_in, 2);
	assert_int_equal(spec->in[0].rtx_pt[0], 97);
	assert_int_equal(spec->in[0].rtx_ssrc, 3203386110);
	assert_int_equal(spec->in[1].formats[0].codec, MU_CODEC_OPUS);
	assert_int_equal(spec->n_fingerprints, 1);
}

static void test_passive_offer_makes_us_active(void **state)
{
	struct fixture *f = *state;

	whip_text(f, "city/cam",
		sdp_replace(sdp_load("firefox-whip.sdp"), "a=setup:actpass", "a=setup:passive"));
	assert_contains(f->r.body, "a=setup:active\r\n");
	assert_false(fake_last()->spec.dtls_server);
	whip_text(f, "city/cam2",
		sdp_replace(sdp_load("firefox-whip.sdp"), "a=setup:actpass", "a=setup:active"));
	assert_contains(f->r.body, "a=setup:passive\r\n");
	assert_true(fake_last()->spec.dtls_server);
}

static void test_remb_where_there_is_no_twcc(void **state)
{
	struct fixture *f = *state;

	whip_text(f, "city/cam", sdp_replace(sdp_load("firefox-whip.sdp"), " transport-cc", " x-none"));
	assert_contains(f->r.body, "a=rtcp-fb:120 goog-remb\r\n");
	assert_true(fake_last()->spec.in[1].remb && !fake_last()->spec.in[1].twcc);
}

static void test_one_section_without_group(void **state)
{
	struct fixture *f = *state;
	char *sdp = sdp_replace(sdp_load("h264-only-whep.sdp"), "a=recvonly", "a=sendonly");

	whip_text(f, "city/cam", sdp);
	assert_int_equal(f->r.status, 201);
	assert_lacks(f->r.body, "BUNDLE");
	assert_lacks(f->r.body, "a=mid");
}

static void test_viewer(void **state)
{
	struct fixture *f = *state;
	const struct mu_sdp *a;
	const struct mu_stream_out *out;

	publish(f, "chromium-whip.sdp");
	whep_file(f, "city/cam", "chromium-whep.sdp");
	a = reread(f);
	out = &fake_last()->spec.out[0];
	assert_int_equal(a->media[0].direction, MU_SDP_SENDONLY);
	assert_string_equal(a->media[0].type, "video");
	assert_int_equal(a->media[0].ssrc, out->ssrc);
	assert_int_equal(a->media[0].rtx_ssrc, out->rtx_ssrc);
	assert_contains(f->r.body, "a=ssrc-group:FID ");
	assert_int_equal(count(f->r.body, " cname:"), 3);
	assert_lacks(f->r.body, "transport-cc");
	assert_lacks(f->r.body, "transport-wide-cc");
	assert_lacks(f->r.body, "sdes:mid");
	assert_contains(f->r.body, "video-orientation");
	assert_contains(f->r.body, "nack pli");
	assert_true(out->exts.id_of[MU_EXT_VIDEO_ORIENTATION] != 0);
	assert_int_equal(out->exts.id_of[MU_EXT_MID], 0);
}

static void test_viewer_extension_directions(void **state)
{
	struct fixture *f = *state;

	publish(f, "firefox-whip.sdp");
	whep_file(f, "city/cam", "firefox-whep.sdp");
	assert_contains(f->r.body,
		"a=extmap:6/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_chromium_publisher),
		T(test_candidates),
		T(test_advertised),
		T(test_tcp_candidates),
		T(test_wildcard_is_expanded),
		T(test_wildcards_keep_to_their_family),
		T(test_advertised_by_family),
		T(test_data_channel_is_refused_in_place),
		T(test_simulcast),
		T(test_more_encodings_than_we_take),
		T(test_repairs_without_a_name),
		T(test_encodings_that_cannot_be_told_apart),
		T(test_firefox),
		T(test_gstreamer),
		T(test_passive_offer_makes_us_active),
		T(test_remb_where_there_is_no_twcc),
		T(test_one_section_without_group),
		T(test_viewer),
		T(test_viewer_extension_directions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
