/* Media end to end: a publisher and viewers made of a real peer each, the gateway's media plane between. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stage.h"

/* With the SSRCs announced; those of the other tests are learned. */
static void publish(struct session *s, const enum mu_srtp_profile *profiles)
{
	struct mu_transport_spec spec = stage_publisher();

	spec.in[0].ssrc = STAGE_VIDEO;
	spec.in[1].ssrc = STAGE_AUDIO;
	stage_begin(s, &spec, profiles);
	stage_join(s);
}

static void watch(struct session *s, unsigned worker, bool rtx, const enum mu_srtp_profile *profiles)
{
	struct mu_transport_spec spec = stage_viewer();

	spec.worker = worker;
	if (!rtx) {
		spec.out[0].rtx_ssrc = 0;
		spec.out[0].formats[0].rtx_pt = 0;
	}
	stage_begin(s, &spec, profiles);
	stage_join(s);
}

static void flows(const char *engine, unsigned workers, const enum mu_srtp_profile *up,
	const enum mu_srtp_profile *down)
{
	struct mu_transport_options o = stage_options();
	struct session pub, view[2];
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;
	uint16_t first = 0;

	o.net.workers = workers;
	o.srtp_engine = engine;
	stage_up_with(&o);
	publish(&pub, up);
	watch(&view[0], 0, true, down);
	watch(&view[1], workers - 1, false, down);
	for (uint64_t i = 1; i <= 50; i++) {
		uint8_t voice[80];

		stage_send_video(&pub, i, i == 1);
		memset(voice, (int)i, sizeof(voice));
		peer_rtp(&pub.peer, STAGE_AUDIO, i, 111, (uint32_t)i * 960, false, voice, sizeof(voice));
		for (int v = 0; v < 2; v++) {
			assert_true(stage_take(&view[v], 120, &h, pkt, &len));
			assert_int_equal(h.ssrc, STAGE_VIEW_VIDEO);
			assert_true(h.marker);
			assert_int_equal(stage_number(pkt + h.hlen), i);
			if (v == 0)
				first = i == 1 ? h.seq : first;
			if (v == 0)
				assert_int_equal(h.seq, (uint16_t)(first + i - 1));
		}
	}
	stage_end(&view[0]);
	stage_end(&view[1]);
	stage_end(&pub);
	stage_down();
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
	struct session pub, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000], voice[80] = { 7 };
	size_t len;

	(void)state;
	show_up(&pub, &view);
	peer_rtp(&pub.peer, STAGE_AUDIO, 1, 111, 960, false, voice, sizeof(voice));
	assert_true(stage_take(&view, 109, &h, pkt, &len));
	assert_int_equal(len, 12 + 80);
	assert_int_equal(pkt[h.hlen], 7);
	show_down(&pub, &view);
}

/* --- repair --- */

static void nack(struct session *view, uint16_t seq)
{
	uint8_t buf[64];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_nack(&w, 1, STAGE_VIEW_VIDEO, &seq, 1);
	peer_rtcp(&view->peer, buf, w.len);
}

static void test_lost_packet_is_sent_again(void **state)
{
	struct session pub, with, without;
	struct mu_rtp_header h;
	uint8_t pkt[2000], first[2000];
	size_t len, first_len;
	uint16_t seq;

	(void)state;
	stage_up();
	publish(&pub, NULL);
	watch(&with, 0, true, NULL);
	watch(&without, 0, false, NULL);
	stage_send_video(&pub, 1, true);
	assert_true(stage_take(&with, 120, &h, first, &first_len));
	seq = h.seq;
	nack(&with, seq);
	assert_true(stage_take(&with, 121, &h, pkt, &len));
	assert_int_equal(h.ssrc, STAGE_VIEW_RTX);
	assert_int_equal(mu_get16(pkt + h.hlen), seq);
	assert_memory_equal(pkt + h.hlen + 2, first + 12, first_len - 12);
	nack(&with, (uint16_t)(seq + 100)); /* never sent */
	assert_true(stage_take(&without, 120, &h, first, &first_len));
	mu_srtp_rx_free(without.peer.rx); /* or the window would call it a replay */
	assert_int_equal(mu_srtp_rx_new(without.peer.in, &without.peer.rx), 0);
	nack(&without, h.seq);
	assert_true(stage_take(&without, 120, &h, pkt, &len));
	assert_int_equal(len, first_len);
	assert_memory_equal(pkt, first, len);
	assert_false(stage_take(&with, 121, &h, pkt, &len));
	stage_end(&with);
	stage_end(&without);
	stage_end(&pub);
	stage_down();
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	bool *asked = arg;

	*asked |= ssrc == STAGE_VIDEO && seq == 2;
}

/* The publisher is asked for what is missing, and its RTX is forwarded under the original number. */
static void test_publisher_is_asked_and_repairs(void **state)
{
	static const struct mu_rtcp_handler handler = { .nack = on_nack };
	struct session pub, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;
	uint16_t first;
	bool asked = false;

	(void)state;
	show_up(&pub, &view);
	stage_send_video(&pub, 1, true);
	stage_send_video(&pub, 3, false);
	assert_true(stage_take(&view, 120, &h, pkt, &len));
	first = h.seq;
	assert_true(stage_take(&view, 120, &h, pkt, &len));
	assert_int_equal(h.seq, (uint16_t)(first + 2));
	stage_hear(&pub, &handler, &asked, &asked);
	assert_true(asked);
	stage_send_repair(&pub, 1, 2);
	assert_true(stage_take(&view, 120, &h, pkt, &len));
	assert_int_equal(h.seq, (uint16_t)(first + 1));
	stage_stats(&pub);
	assert_int_equal(pub.stats.streams[0].repaired, 1);
	assert_int_equal(pub.stats.streams[0].lost, 0);
	show_down(&pub, &view);
}

/* A publisher far over its rate is policed; what is within goes on. */
static void test_publisher_over_its_rate_is_policed(void **state)
{
	struct session pub, view;
	uint8_t pkt[2000];
	struct mu_rtp_header h;
	size_t len;
	unsigned got = 0;

	(void)state;
	show_up(&pub, &view);
	for (uint64_t i = 1; i <= 6000; i++) { /* some 31 Mbit, at once */
		stage_send_video(&pub, i, i == 1);
		while (i % 50 == 0 && peer_take(&view.peer, 0, pkt, &len) == PEER_RTP)
			got++;
	}
	while (stage_take(&view, 120, &h, pkt, &len))
		got++;
	stage_stats(&pub);
	assert_true(pub.stats.over_limit > 1000);
	assert_in_range(pub.stats.streams[0].packets, 1000,
		3000); /* a second's credit, and what came in while it was sent */
	assert_true(got > 0);
	show_down(&pub, &view);
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
