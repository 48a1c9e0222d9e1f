/* Media end to end: a publisher and viewers made of a real peer each, the gateway's media plane between. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stage.h"

static void flows(const char *engine, unsigned workers, const enum mu_srtp_profile *up,
	const enum mu_srtp_profile *down)
{
	struct mu_track *video, *audio;
	struct session pub, view[2];
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;
	uint16_t first = 0;

	media_up(workers, engine);
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
	struct show x;
	struct mu_rtp_header h;
	uint8_t pkt[2000], voice[80] = { 7 };
	size_t len;

	(void)state;
	show_up(&x);
	peer_rtp(&x.pub.peer, AUDIO_SSRC, 1, 111, 960, false, voice, sizeof(voice));
	assert_true(take_rtp(&x.view, 109, &h, pkt, &len));
	assert_int_equal(len, 12 + 80);
	assert_int_equal(pkt[h.hlen], 7);
	show_down(&x);
}

/* --- repair --- */

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
	media_up(1, "auto");
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
	struct show x;
	struct mu_rtp_header h;
	uint8_t pkt[2000], rtx[500] = { 0 };
	size_t len;
	uint16_t first;

	(void)state;
	asked_again = 0;
	show_up(&x);
	send_video(&x.pub, 1, true, true);
	send_video(&x.pub, 3, false, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	first = h.seq;
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	assert_int_equal(h.seq, (uint16_t)(first + 2));
	while (!asked_again) {
		enum peer_got what = peer_take(&x.pub.peer, 2000, pkt, &len);

		assert_int_not_equal(what, PEER_NOTHING);
		if (what == PEER_RTCP)
			mu_rtcp_parse(pkt, len, &handler, NULL);
	}
	mu_put16(rtx, 2);
	rtx[2] = 0x10;
	rtx[3] = 1;
	peer_rtp(&x.pub.peer, RTX_SSRC, 1, 97, 6000, true, rtx, sizeof(rtx));
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	assert_int_equal(h.seq, (uint16_t)(first + 1));
	attached(&x.pub);
	assert_int_equal(x.pub.stats.streams[0].repaired, 1);
	assert_int_equal(x.pub.stats.streams[0].lost, 0);
	show_down(&x);
}

/* A publisher far over its rate is policed; what is within goes on. */
static void test_publisher_over_its_rate_is_policed(void **state)
{
	struct show x;
	uint8_t pkt[2000];
	struct mu_rtp_header h;
	size_t len;
	unsigned got = 0;

	(void)state;
	show_up(&x);
	for (uint64_t i = 1; i <= 6000; i++) { /* some 31 Mbit, at once */
		send_video(&x.pub, i, i == 1, true);
		while (i % 50 == 0 && peer_take(&x.view.peer, 0, pkt, &len) == PEER_RTP)
			got++;
	}
	while (take_rtp(&x.view, 120, &h, pkt, &len))
		got++;
	attached(&x.pub);
	assert_true(x.pub.stats.over_limit > 1000);
	assert_in_range(x.pub.stats.streams[0].packets, 1000,
		3000); /* a second's credit, and what came in while it was sent */
	assert_true(got > 0);
	show_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_media_flows_one_worker),
		cmocka_unit_test(test_media_flows_two_workers),
		cmocka_unit_test(test_audio_arrives_too),
		cmocka_unit_test(test_lost_packet_is_sent_again),
		cmocka_unit_test(test_publisher_is_asked_and_repairs),
		cmocka_unit_test(test_publisher_over_its_rate_is_policed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
