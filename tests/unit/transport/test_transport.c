/* The secured 5-tuple end to end: a publisher and viewers made of a real peer each, the gateway's media plane between. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "peer.h"

#define VIDEO_SSRC 0x1234
#define AUDIO_SSRC 0x5678
#define RTX_SSRC   0x9999

static struct mu_inbox control;
static struct mu_media *media;
static struct mu_addr gateway[2];

struct session {
	struct mu_transport *t;
	struct peer peer;
	enum mu_transport_state state;
	char why[96], mid[32];
	unsigned stats_heard;
	struct mu_transport_stats stats;
};

static void on_state(void *arg, enum mu_transport_state s, const char *why)
{
	struct session *x = arg;

	x->state = s;
	snprintf(x->why, sizeof(x->why), "%s", why);
}

static void on_media(void *arg, const char *mid)
{
	struct session *x = arg;

	snprintf(x->mid, sizeof(x->mid), "%s", mid);
}

static void on_stats(void *arg, const struct mu_transport_stats *s)
{
	struct session *x = arg;

	x->stats = *s;
	x->stats_heard++;
}

static const struct mu_transport_events events = { on_state, on_media, on_stats };

/* Run the control thread's messages until something is so, at most 5 s. */
#define AWAIT(cond)                                                                                                    \
	do {                                                                                                           \
		int64_t until = mu_clock_us() + 5000000;                                                               \
		while (!(cond)) {                                                                                      \
			assert_true(mu_clock_us() < until);                                                            \
			struct pollfd f = { .fd = control.fd, .events = POLLIN };                                      \
			if (mu_inbox_sleep(&control))                                                                  \
				poll(&f, 1, 20);                                                                       \
			mu_inbox_wake(&control);                                                                       \
			mu_inbox_run(&control);                                                                        \
		}                                                                                                      \
	} while (0)

static void media_up(unsigned workers, const char *engine, const char *listen)
{
	struct mu_transport_options o = { .net = { .workers = workers, .n_listen = 1 }, .srtp_engine = engine, .gather_us = 2000,
		.publisher_bps = 8000000, .packets_max = 20000, .control = &control };
	struct mu_error e = { "" };

	mu_inbox_init(&control);
	assert_int_equal(mu_addr_parse(listen, 0, &o.net.listen[0]), 0);
	if (mu_media_new(&o, &media, &e) < 0)
		fail_msg("%s", e.text);
	for (unsigned i = 0; i < workers; i++) {
		gateway[i] = o.net.listen[0];
		mu_addr_set_port(&gateway[i], mu_net_port(mu_media_net(media), i, 0));
	}
}

static void media_down(void)
{
	mu_media_free(media);
	mu_inbox_done(&control);
}

static struct mu_track *track(const char *id, enum mu_kind kind)
{
	struct mu_track *t;

	assert_int_equal(mu_track_new(mu_media_net(media), 0, id, kind, &t), 0);
	return t;
}

/* Its worker knows the session once it answers: a check sent before is lost, as any first datagram may be. */
static void attached(struct session *s)
{
	unsigned heard = s->stats_heard;

	mu_transport_ask_stats(s->t);
	AWAIT(s->stats_heard > heard);
}

static void begin(struct session *s, struct mu_transport_spec *spec, const char *local, const enum mu_srtp_profile *profiles)
{
	memset(s, 0, sizeof(*s));
	peer_open(&s->peer, local, &gateway[spec->worker], profiles);
	memcpy(spec->fingerprints[0], mu_identity_fingerprint(s->peer.identity), MU_FINGERPRINT_LEN);
	spec->n_fingerprints = 1;
	spec->dtls_server = true;
	spec->id = "test";
	snprintf(spec->cname, sizeof(spec->cname), "muster");
	assert_int_equal(mu_transport_new(media, spec, &events, s, &s->t), 0);
	snprintf(s->peer.ufrag, sizeof(s->peer.ufrag), "%s", mu_transport_ufrag(s->t));
	snprintf(s->peer.pwd, sizeof(s->peer.pwd), "%s", mu_transport_pwd(s->t));
	attached(s);
}

static void end(struct session *s)
{
	mu_transport_close(s->t, "test over");
	AWAIT(s->state == MU_TRANSPORT_CLOSED);
	mu_transport_free(s->t);
	peer_close(&s->peer);
}

static void publish(struct session *s, struct mu_track *video, struct mu_track *audio, const enum mu_srtp_profile *profiles)
{
	struct mu_transport_spec spec = { .n_in = 2 };

	spec.in[0] = (struct mu_stream_in){ .track = video, .mid = "0", .n_formats = 1, .ssrc = VIDEO_SSRC,
		.formats = { { .codec = MU_CODEC_VP8, .pt = 96 } }, .rtx_pt = { 97 }, .nack = true, .pli = true };
	spec.in[1] = (struct mu_stream_in){ .track = audio, .mid = "1", .n_formats = 1, .ssrc = AUDIO_SSRC,
		.formats = { { .codec = MU_CODEC_OPUS, .pt = 111, .channels = 2 } } };
	begin(s, &spec, "127.0.0.1", profiles);
	assert_int_equal(peer_connect(&s->peer, mu_identity_fingerprint(mu_media_identity(media))), 0);
	AWAIT(s->state == MU_TRANSPORT_CONNECTED);
}

static void watch(struct session *s, unsigned worker, struct mu_track *video, struct mu_track *audio, bool rtx,
	const enum mu_srtp_profile *profiles)
{
	struct mu_transport_spec spec = { .n_out = 2, .worker = worker };

	spec.out[0] = (struct mu_stream_out){ .track = video, .mid = "0", .ssrc = 0xaaaa, .rtx_ssrc = rtx ? 0xbbbb : 0,
		.n_formats = 1, .nack = true };
	spec.out[0].formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = 120 };
	spec.out[0].formats[0].rtx_pt = rtx ? 121 : 0;
	spec.out[1] = (struct mu_stream_out){ .track = audio, .mid = "1", .ssrc = 0xcccc, .n_formats = 1 };
	spec.out[1].formats[0].format = (struct mu_format){ .codec = MU_CODEC_OPUS, .pt = 109, .channels = 2 };
	begin(s, &spec, "127.0.0.1", profiles);
	assert_int_equal(peer_connect(&s->peer, mu_identity_fingerprint(mu_media_identity(media))), 0);
	AWAIT(s->state == MU_TRANSPORT_CONNECTED);
}

/* VP8: S bit and partition 0; the frame's first byte says key (0) or not (1). */
static void send_video(struct session *s, uint64_t seq, bool key, bool marker)
{
	uint8_t payload[700] = { 0x10, key ? 0 : 1 };

	mu_put64(payload + 2, seq);
	peer_rtp(&s->peer, VIDEO_SSRC, seq, 96, (uint32_t)seq * 3000, marker, payload, 600 + seq % 90);
}

/* The next RTP packet of a payload type; RTCP and the like are passed over. @return false: nothing for a while */
static bool take_rtp(struct session *s, uint8_t pt, struct mu_rtp_header *h, uint8_t *pkt, size_t *len)
{
	enum peer_got what;

	while ((what = peer_take(&s->peer, 300, pkt, len)) != PEER_NOTHING) {
		assert_int_not_equal(what, PEER_BAD);
		if (what == PEER_RTP && mu_rtp_parse(pkt, *len, h) == 0 && h->pt == pt)
			return true;
	}
	return false;
}

/* --- media flows ------------------------------------------------------------------------------------------------------------------------ */

static void flows(const char *engine, unsigned workers, const enum mu_srtp_profile *up, const enum mu_srtp_profile *down)
{
	struct mu_track *video, *audio;
	struct session pub, view[2];
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;
	uint16_t first = 0;

	media_up(workers, engine, "127.0.0.1");
	video = track("city/cam/video", MU_VIDEO);
	audio = track("city/cam/audio", MU_AUDIO);
	publish(&pub, video, audio, up);
	watch(&view[0], 0, video, audio, true, down);
	watch(&view[1], workers - 1, video, audio, false, down);
	for (uint64_t i = 1; i <= 50; i++) {
		uint8_t voice[80];

		send_video(&pub, i, i == 1, true);
		memset(voice, (int)i, sizeof(voice));
		peer_rtp(&pub.peer, AUDIO_SSRC, i, 111, (uint32_t)i * 960, false, voice, sizeof(voice));
		for (int v = 0; v < 2; v++) {
			assert_true(take_rtp(&view[v], 120, &h, pkt, &len));
			assert_int_equal(h.ssrc, 0xaaaa);
			assert_true(h.marker);
			assert_int_equal(mu_get64(pkt + h.hlen + 2), i);
			if (v == 0)
				first = i == 1 ? h.seq : first;
			if (v == 0)
				assert_int_equal(h.seq, (uint16_t)(first + i - 1));
		}
	}
	AWAIT(strcmp(pub.mid, "1") == 0 || strcmp(pub.mid, "0") == 0);
	end(&view[0]);
	end(&view[1]);
	end(&pub);
	mu_track_unref(video);
	mu_track_unref(audio);
	media_down();
}

static const enum mu_srtp_profile only_cm[] = { MU_SRTP_AES128_CM_SHA1_80, MU_SRTP_NONE };
static const enum mu_srtp_profile only_256[] = { MU_SRTP_AEAD_AES_256_GCM, MU_SRTP_NONE };

static void test_media_flows_one_worker(void **state)
{
	(void)state;
	flows("auto", 1, NULL, NULL);
	flows("openssl", 1, NULL, only_cm);
}

static void test_media_flows_two_workers(void **state)
{
	(void)state;
	flows("auto", 2, only_cm, only_256);
	flows("auto", 2, NULL, only_cm);
}

/* Audio behind video in one segmented send must still arrive as datagrams of their own. */
static void test_audio_arrives_too(void **state)
{
	struct mu_track *video, *audio;
	struct session pub, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000], voice[80] = { 7 };
	size_t len;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	video = track("v", MU_VIDEO);
	audio = track("a", MU_AUDIO);
	publish(&pub, video, audio, NULL);
	watch(&view, 0, video, audio, true, NULL);
	peer_rtp(&pub.peer, AUDIO_SSRC, 1, 111, 960, false, voice, sizeof(voice));
	assert_true(take_rtp(&view, 109, &h, pkt, &len));
	assert_int_equal(len, 12 + 80);
	assert_int_equal(pkt[h.hlen], 7);
	end(&view);
	end(&pub);
	mu_track_unref(video);
	mu_track_unref(audio);
	media_down();
}

/* --- repair --------------------------------------------------------------------------------------------------------------------------------- */

static void nack(struct session *view, uint16_t seq)
{
	uint8_t buf[64];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_nack(&w, 1, 0xaaaa, &seq, 1);
	peer_rtcp(&view->peer, buf, w.len);
}

static void test_lost_packet_is_sent_again(void **state)
{
	struct mu_track *video, *audio;
	struct session pub, with, without;
	struct mu_rtp_header h;
	uint8_t pkt[2000], first[2000];
	size_t len, first_len;
	uint16_t seq;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	video = track("v", MU_VIDEO);
	audio = track("a", MU_AUDIO);
	publish(&pub, video, audio, NULL);
	watch(&with, 0, video, audio, true, NULL);
	watch(&without, 0, video, audio, false, NULL);
	send_video(&pub, 1, true, true);
	assert_true(take_rtp(&with, 120, &h, first, &first_len));
	seq = h.seq;
	nack(&with, seq);
	assert_true(take_rtp(&with, 121, &h, pkt, &len));
	assert_int_equal(h.ssrc, 0xbbbb);
	assert_int_equal(mu_get16(pkt + h.hlen), seq);
	assert_memory_equal(pkt + h.hlen + 2, first + 12, first_len - 12);
	nack(&with, (uint16_t)(seq + 100)); /* never sent */
	assert_true(take_rtp(&without, 120, &h, first, &first_len));
	mu_srtp_rx_free(without.peer.rx); /* or the window would call it a replay */
	assert_int_equal(mu_srtp_rx_new(without.peer.in, &without.peer.rx), 0);
	nack(&without, h.seq);
	assert_true(take_rtp(&without, 120, &h, pkt, &len));
	assert_int_equal(len, first_len);
	assert_memory_equal(pkt, first, len);
	assert_false(take_rtp(&with, 121, &h, pkt, &len));
	end(&with);
	end(&without);
	end(&pub);
	mu_track_unref(video);
	mu_track_unref(audio);
	media_down();
}

static unsigned asked_again;
static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	(void)arg;
	if (ssrc == VIDEO_SSRC && seq == 2)
		asked_again++;
}

/* The publisher is asked for what is missing, and its RTX is forwarded under the original number. */
static void test_publisher_is_asked_and_repairs(void **state)
{
	static const struct mu_rtcp_handler handler = { .nack = on_nack };
	struct mu_track *video, *audio;
	struct session pub, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000], rtx[500] = { 0 };
	size_t len;
	uint16_t first;

	(void)state;
	asked_again = 0;
	media_up(1, "auto", "127.0.0.1");
	video = track("v", MU_VIDEO);
	audio = track("a", MU_AUDIO);
	publish(&pub, video, audio, NULL);
	watch(&view, 0, video, audio, true, NULL);
	send_video(&pub, 1, true, true);
	send_video(&pub, 3, false, true);
	assert_true(take_rtp(&view, 120, &h, pkt, &len));
	first = h.seq;
	assert_true(take_rtp(&view, 120, &h, pkt, &len));
	assert_int_equal(h.seq, (uint16_t)(first + 2));
	while (!asked_again) {
		enum peer_got what = peer_take(&pub.peer, 2000, pkt, &len);

		assert_int_not_equal(what, PEER_NOTHING);
		if (what == PEER_RTCP)
			mu_rtcp_parse(pkt, len, &handler, NULL);
	}
	mu_put16(rtx, 2);
	rtx[2] = 0x10;
	rtx[3] = 1;
	peer_rtp(&pub.peer, RTX_SSRC, 1, 97, 6000, true, rtx, sizeof(rtx));
	assert_true(take_rtp(&view, 120, &h, pkt, &len));
	assert_int_equal(h.seq, (uint16_t)(first + 1));
	attached(&pub);
	assert_int_equal(pub.stats.streams[0].repaired, 1);
	assert_int_equal(pub.stats.streams[0].lost, 0);
	end(&view);
	end(&pub);
	mu_track_unref(video);
	mu_track_unref(audio);
	media_down();
}

/* --- order is the rule: authenticate, then learn, then forward -------------------------------------------------------------------------------- */

static void test_strangers_change_nothing(void **state)
{
	struct mu_track *video, *audio;
	struct session pub, view;
	struct mu_rtp_header h;
	struct peer stranger;
	uint8_t pkt[2000], junk[172];
	size_t len;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	video = track("v", MU_VIDEO);
	audio = track("a", MU_AUDIO);
	publish(&pub, video, audio, NULL);
	watch(&view, 0, video, audio, true, NULL);
	peer_open(&stranger, "127.0.0.2", &gateway[0], NULL);
	snprintf(stranger.ufrag, sizeof(stranger.ufrag), "%s", pub.peer.ufrag);
	snprintf(stranger.pwd, sizeof(stranger.pwd), "%s", pub.peer.pwd);
	/* checks without the password, with USE-CANDIDATE, with a user name that is nobody's */
	assert_int_equal(peer_check(&stranger, true, false, "wrongwrongwrongwrongwrong"), PEER_NOTHING);
	snprintf(stranger.ufrag, sizeof(stranger.ufrag), "NOBODY00");
	assert_int_equal(peer_check(&stranger, true, false, NULL), PEER_NOTHING);
	for (int i = 0; i < 2000; i++) { /* DTLS, RTP with the right SSRC, garbage: from there and from the peer's address */
		mu_random(junk, sizeof(junk));
		junk[0] = (uint8_t[]){ 0x80, 22, 0, 0x90, 200, 21 }[i % 6];
		junk[1] = 96;
		mu_put32(junk + 8, VIDEO_SSRC);
		peer_raw(&stranger, junk, (size_t)(i % 173));
		if (junk[0] == 0x80 || junk[0] == 0x90)
			peer_raw(&pub.peer, junk, sizeof(junk));
	}
	send_video(&pub, 1, true, true);
	assert_true(take_rtp(&view, 120, &h, pkt, &len));
	assert_int_equal(mu_get64(pkt + h.hlen + 2), 1);
	assert_int_equal(peer_take(&stranger, 50, pkt, &len), PEER_NOTHING); /* not one byte out to it */
	attached(&pub);
	assert_true(pub.stats.bad_auth > 100);
	assert_true(mu_addr_equal(&pub.stats.remote, &pub.peer.local));
	assert_int_equal(pub.state, MU_TRANSPORT_CONNECTED);
	peer_close(&stranger);
	end(&view);
	end(&pub);
	mu_track_unref(video);
	mu_track_unref(audio);
	media_down();
}

static void test_role_conflict_is_refused(void **state)
{
	struct mu_transport_spec spec = { .worker = 0 };
	struct session s;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	begin(&s, &spec, "127.0.0.1", NULL);
	assert_int_equal(peer_check(&s.peer, true, true, NULL), PEER_STUN_ERROR);
	assert_int_equal(peer_check(&s.peer, false, false, NULL), PEER_STUN);
	end(&s);
	media_down();
}

/* A certificate that the SDP did not announce: no keys, no media, the session ends. */
static void test_wrong_fingerprint_ends_the_session(void **state)
{
	struct mu_transport_spec spec = { .worker = 0 };
	struct session s;
	uint8_t other[MU_FINGERPRINT_LEN];

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	memset(&s, 0, sizeof(s));
	begin(&s, &spec, "127.0.0.1", NULL);
	mu_random(other, sizeof(other));
	assert_int_equal(peer_connect(&s.peer, other), -EPROTO); /* we refuse the gateway's */
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	mu_transport_free(s.t);
	peer_close(&s.peer);

	peer_open(&s.peer, "127.0.0.1", &gateway[0], NULL);
	memcpy(spec.fingerprints[0], other, sizeof(other)); /* the gateway refuses ours */
	s.state = MU_TRANSPORT_NEW;
	assert_int_equal(mu_transport_new(media, &spec, &events, &s, &s.t), 0);
	snprintf(s.peer.ufrag, sizeof(s.peer.ufrag), "%s", mu_transport_ufrag(s.t));
	snprintf(s.peer.pwd, sizeof(s.peer.pwd), "%s", mu_transport_pwd(s.t));
	attached(&s);
	peer_connect(&s.peer, mu_identity_fingerprint(mu_media_identity(media)));
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	assert_non_null(strstr(s.why, "fingerprint"));
	mu_transport_free(s.t);
	peer_close(&s.peer);
	media_down();
}

static void test_peer_moves_to_another_address(void **state)
{
	struct mu_track *video, *audio;
	struct session pub, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	video = track("v", MU_VIDEO);
	audio = track("a", MU_AUDIO);
	publish(&pub, video, audio, NULL);
	watch(&view, 0, video, audio, true, NULL);
	send_video(&pub, 1, true, true);
	assert_true(take_rtp(&view, 120, &h, pkt, &len));
	peer_move(&pub.peer);
	send_video(&pub, 2, false, true); /* not validated yet: dropped */
	assert_int_equal(peer_check(&pub.peer, true, false, NULL), PEER_STUN);
	send_video(&pub, 3, false, true);
	assert_true(take_rtp(&view, 120, &h, pkt, &len));
	assert_int_equal(mu_get64(pkt + h.hlen + 2), 3);
	peer_move(&view.peer);
	assert_int_equal(peer_check(&view.peer, true, false, NULL), PEER_STUN);
	send_video(&pub, 4, false, true);
	assert_true(take_rtp(&view, 120, &h, pkt, &len));
	end(&view);
	end(&pub);
	mu_track_unref(video);
	mu_track_unref(audio);
	media_down();
}

static void test_ice_restart(void **state)
{
	struct mu_transport_spec spec = { .worker = 0 };
	struct session s;
	char old_ufrag[32], old_pwd[64];

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	begin(&s, &spec, "127.0.0.1", NULL);
	assert_int_equal(peer_connect(&s.peer, mu_identity_fingerprint(mu_media_identity(media))), 0);
	AWAIT(s.state == MU_TRANSPORT_CONNECTED);
	memcpy(old_ufrag, s.peer.ufrag, sizeof(old_ufrag));
	memcpy(old_pwd, s.peer.pwd, sizeof(old_pwd));
	assert_int_equal(mu_transport_restart_ice(s.t), 0);
	assert_int_equal(peer_check(&s.peer, true, false, NULL), PEER_STUN); /* the old ones still */
	snprintf(s.peer.ufrag, sizeof(s.peer.ufrag), "%s", mu_transport_ufrag(s.t));
	snprintf(s.peer.pwd, sizeof(s.peer.pwd), "%s", mu_transport_pwd(s.t));
	assert_string_not_equal(s.peer.ufrag, old_ufrag);
	assert_int_equal(peer_check(&s.peer, true, false, NULL), PEER_STUN);
	memcpy(s.peer.ufrag, old_ufrag, sizeof(old_ufrag));
	memcpy(s.peer.pwd, old_pwd, sizeof(old_pwd));
	assert_int_equal(peer_check(&s.peer, true, false, NULL), PEER_NOTHING); /* superseded */
	end(&s);
	media_down();
}

/* A publisher far over its rate is policed; what is within goes on. */
static void test_publisher_over_its_rate_is_policed(void **state)
{
	struct mu_track *video, *audio;
	struct session pub, view;
	uint8_t pkt[2000];
	struct mu_rtp_header h;
	size_t len;
	unsigned got = 0;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	video = track("v", MU_VIDEO);
	audio = track("a", MU_AUDIO);
	publish(&pub, video, audio, NULL);
	watch(&view, 0, video, audio, true, NULL);
	for (uint64_t i = 1; i <= 6000; i++) { /* some 31 Mbit, at once */
		send_video(&pub, i, i == 1, true);
		while (i % 50 == 0 && peer_take(&view.peer, 0, pkt, &len) == PEER_RTP)
			got++;
	}
	while (take_rtp(&view, 120, &h, pkt, &len))
		got++;
	attached(&pub);
	assert_true(pub.stats.over_limit > 1000);
	assert_in_range(pub.stats.streams[0].packets, 1000, 3000); /* a second's credit, and what came in while it was sent */
	assert_true(got > 0);
	end(&view);
	end(&pub);
	mu_track_unref(video);
	mu_track_unref(audio);
	media_down();
}

static void test_close_notify_ends_the_session(void **state)
{
	struct mu_transport_spec spec = { .worker = 0 };
	struct session s;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	begin(&s, &spec, "127.0.0.1", NULL);
	assert_int_equal(peer_connect(&s.peer, mu_identity_fingerprint(mu_media_identity(media))), 0);
	AWAIT(s.state == MU_TRANSPORT_CONNECTED);
	mu_dtls_free(s.peer.dtls);
	s.peer.dtls = NULL;
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	assert_string_equal(s.why, "the peer closed the connection");
	mu_transport_free(s.t);
	peer_close(&s.peer);
	media_down();
}

static int no_media(const char *engine, const char *worker)
{
	struct mu_transport_options o = { .net = { .workers = 2, .n_listen = 1 }, .srtp_engine = engine, .gather_us = 2000,
		.packets_max = 1000, .control = &control };
	struct mu_error e = { "" };
	struct mu_media *m = NULL;
	int err;

	mu_inbox_init(&control);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.net.listen[0]), 0);
	err = mu_media_new(&o, &m, &e);
	assert_null(m);
	assert_non_null(strstr(e.text, worker));
	mu_inbox_done(&control);
	return err;
}

static void test_engine_that_does_not_exist(void **state)
{
	(void)state;
	assert_int_equal(no_media("none-such", "worker 0"), -EINVAL);
}

static int engines_left = INT_MAX;

int __real_mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e);
int __wrap_mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e);
int __wrap_mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e)
{
	return engines_left-- > 0 ? __real_mu_srtp_engine_new(name, ret, e) : mu_error_set(e, -ENOMEM, "none left");
}

/* What the first had made is given back: ASan's leak check says so. */
static void test_second_worker_does_not_start(void **state)
{
	(void)state;
	engines_left = 1;
	assert_int_equal(no_media("openssl", "worker 1"), -ENOMEM);
	engines_left = INT_MAX;
}

static void test_nobody_comes(void **state)
{
	struct mu_transport_spec spec = { .worker = 0, .connect_timeout_us = 50000 };
	struct session s;

	(void)state;
	media_up(1, "auto", "127.0.0.1");
	begin(&s, &spec, "127.0.0.1", NULL);
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	assert_string_equal(s.why, "no valid connectivity check came");
	mu_transport_free(s.t);
	peer_close(&s.peer);
	media_down();
}

static unsigned rounds;
static void on_round(void *arg, const struct mu_media_stats *s, unsigned n)
{
	(void)arg;
	assert_int_equal(n, 2);
	assert_int_equal(s[0].transports + s[1].transports, 0);
	rounds++;
}

static void test_media_stats_visit_all_workers(void **state)
{
	(void)state;
	media_up(2, "auto", "127.0.0.1");
	mu_media_ask_stats(media, on_round, NULL);
	AWAIT(rounds == 1);
	media_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_engine_that_does_not_exist),
		cmocka_unit_test(test_second_worker_does_not_start),
		cmocka_unit_test(test_nobody_comes),
		cmocka_unit_test(test_role_conflict_is_refused),
		cmocka_unit_test(test_wrong_fingerprint_ends_the_session),
		cmocka_unit_test(test_close_notify_ends_the_session),
		cmocka_unit_test(test_media_flows_one_worker),
		cmocka_unit_test(test_media_flows_two_workers),
		cmocka_unit_test(test_audio_arrives_too),
		cmocka_unit_test(test_lost_packet_is_sent_again),
		cmocka_unit_test(test_publisher_is_asked_and_repairs),
		cmocka_unit_test(test_strangers_change_nothing),
		cmocka_unit_test(test_peer_moves_to_another_address),
		cmocka_unit_test(test_ice_restart),
		cmocka_unit_test(test_publisher_over_its_rate_is_policed),
		cmocka_unit_test(test_media_stats_visit_all_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
