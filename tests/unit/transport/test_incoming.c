/* What comes from a publisher: which stream it is, what of it is believed, and how much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "stage.h"

#define OTHER_SSRC 0x4321

struct heard {
	uint32_t ssrc;
	uint16_t seq;
	bool done;
};

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct heard *h = arg;

	if (ssrc != h->ssrc)
		return;
	h->seq = seq;
	h->done = true;
}

static const struct mu_rtcp_handler asked = { .nack = on_nack };

static void silent_for_long(struct mu_transport *t)
{
	t->in[0]->last_packet_us -= 10000000;
}

static void send_bye(struct session *pub, uint32_t ssrc)
{
	uint8_t buf[64];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, ssrc, NULL, 0);
	mu_rtcp_add_bye(&w, &ssrc, 1, "encoder restarts");
	peer_rtcp(&pub->peer, buf, w.len);
}

static struct in_stream seen;
static void look(struct mu_transport *t)
{
	seen = *t->in[0];
}

/* --- another SSRC --- */

/* The new numbers are far below the old ones: what is missing of them is asked for all the same. */
static void new_ssrc(struct session *pub, struct session *view)
{
	struct heard h = { .ssrc = OTHER_SSRC };

	stage_send_video_as(pub, OTHER_SSRC, 10, true);
	stage_send_video_as(pub, OTHER_SSRC, 12, false);
	EXPECT(view, 10, 12);
	stage_hear(pub, &asked, &h, &h.done);
	assert_true(h.done);
	assert_int_equal(h.seq, 11);
}

static void test_new_ssrc_after_silence(void **state)
{
	struct session pub, view;
	uint8_t sr[64];
	struct mu_rtcp_writer w = { sr, sizeof(sr), 0 };

	(void)state;
	show_up(&pub, &view);
	stage_send_video(&pub, 50000, true);
	stage_send_video(&pub, 50001, false);
	stage_send_repair(&pub, 1, 50000); /* binds the RTX */
	mu_rtcp_add_sr(&w, STAGE_VIDEO, 77ull << 32, 0, 0, 0, NULL, 0);
	peer_rtcp(&pub.peer, sr, w.len);
	stage_send_video_as(&pub, OTHER_SSRC, 7, true); /* while the one before sends: a stranger */
	stage_send_video(&pub, 50002, false);
	EXPECT(&view, 50000, 50001, 50002);
	stage_stats(&pub);
	assert_int_equal(pub.stats.unknown_ssrc, 1);
	stage_on_worker(&pub, silent_for_long);
	new_ssrc(&pub, &view);
	stage_on_worker(&pub, look);
	assert_false(seen.clock.valid); /* the report was the other's */
	assert_int_equal(seen.rtx_ssrc, 0);
	show_down(&pub, &view);
}

static void test_new_ssrc_at_once_after_bye(void **state)
{
	struct session pub, view;

	(void)state;
	show_up(&pub, &view);
	stage_send_video(&pub, 50000, true);
	EXPECT(&view, 50000);
	send_bye(&pub, 0x777); /* nobody's */
	stage_send_video_as(&pub, OTHER_SSRC, 7, true);
	send_bye(&pub, STAGE_VIDEO);
	new_ssrc(&pub, &view);
	stage_send_video(&pub, 50001, false); /* and back again takes the silence, or another BYE */
	stage_send_video_as(&pub, OTHER_SSRC, 13, false);
	EXPECT(&view, 13);
	stage_stats(&pub);
	assert_int_equal(pub.stats.unknown_ssrc, 2);
	show_down(&pub, &view);
}

static void test_no_ssrc(void **state)
{
	struct session pub, view;

	(void)state;
	show_up(&pub, &view);
	stage_send_video_as(&pub, 0, 1, true);
	stage_send_video(&pub, 2, true);
	EXPECT(&view, 2);
	stage_stats(&pub);
	assert_int_equal(pub.stats.unknown_ssrc, 1);
	show_down(&pub, &view);
}

/* --- numbers out of nowhere --- */

static void test_stray_numbers_change_nothing(void **state)
{
	struct heard h = { .ssrc = STAGE_VIDEO };
	struct session pub, view;

	(void)state;
	show_up(&pub, &view);
	stage_send_video(&pub, 100, true);
	stage_send_video(&pub, 20100, false);
	stage_send_repair(&pub, 1, 30000);
	stage_send_repair(&pub, 2, 100); /* there already: a probe for bandwidth */
	stage_send_repair(&pub, 3, 2100);
	stage_send_video(&pub, 101, false); /* SRTP sees 20000 behind: a replay, as far as it can tell */
	stage_send_video(&pub, 20200, false);
	stage_send_video(&pub, 20201, false);
	stage_send_video(&pub, 20203, false);
	EXPECT(&view, 100, 20201, 20203);
	stage_hear(&pub, &asked, &h, &h.done);
	assert_int_equal(h.seq, 20202);
	stage_stats(&pub);
	assert_int_equal(pub.stats.streams[0].repaired, 0);
	assert_int_equal(pub.stats.streams[0].packets, 3);
	assert_int_equal(pub.stats.streams[0].dropped, 2);
	assert_int_equal(pub.stats.streams[0].lost, 1);
	show_down(&pub, &view);
}

/* --- how much --- */

static void silent_for_a_year(struct mu_transport *t)
{
	t->police_us -= 365ll * 86400 * 1000000;
}

static void test_silence_does_not_block_the_publisher(void **state)
{
	struct mu_transport_options o = stage_options();
	struct session pub, view;

	(void)state;
	o.publisher_bps = 10000000000;
	stage_up_with(&o);
	stage_publish(&pub);
	stage_watch(&view);
	stage_on_worker(&pub, silent_for_a_year);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	stage_stats(&pub);
	assert_int_equal(pub.stats.over_limit, 0);
	stage_end(&view);
	stage_end(&pub);
	stage_down();
}

/* 4800 bits a packet or more: 64 kbit/s hold 13 of them at most. */
static void test_limit_changes_under_way(void **state)
{
	struct mu_transport_options o = stage_options();
	struct session pub;

	(void)state;
	o.publisher_bps = 0;
	stage_up_with(&o);
	stage_publish(&pub);
	for (uint64_t i = 1; i <= 20; i++)
		stage_send_video(&pub, i, i == 1);
	do {
		stage_stats(&pub);
	} while (pub.stats.streams[0].packets < 20);
	assert_int_equal(pub.stats.over_limit, 0);
	mu_media_set_publisher_bps(stage.media, 64000);
	stage_stats(&pub); /* the worker has heard of it */
	for (uint64_t i = 21; i <= 60; i++)
		stage_send_video(&pub, i, false);
	do {
		stage_stats(&pub);
	} while (pub.stats.streams[0].packets + pub.stats.over_limit < 60);
	assert_true(pub.stats.over_limit >= 20);
	stage_end(&pub);
	stage_down();
}

/* --- jitter --- */

static uint32_t clock_hz;
static void look_at_clock(struct mu_transport *t)
{
	clock_hz = t->in[1]->rx.clock;
}

static void test_clock_is_the_packets_own(void **state)
{
	struct session pub;
	uint8_t voice[160] = { 0 };

	(void)state;
	stage_up();
	stage_publish(&pub);
	/* PCMA, offered behind Opus */
	peer_rtp(&pub.peer, STAGE_AUDIO, 1, 8, 160, false, voice, sizeof(voice));
	stage_await_packet(&pub, 1);
	stage_on_worker(&pub, look_at_clock);
	assert_int_equal(clock_hz, 8000);
	stage_end(&pub);
	stage_down();
}

/* --- RTCP that is not let in is counted as RTP is --- */

static void test_bad_rtcp_is_counted(void **state)
{
	struct session pub;
	uint8_t junk[60] = { 0x80, 201, 0, 14 }, short_sr[8] = { 0x80, 200, 0, 1 };

	(void)state;
	stage_up();
	stage_publish(&pub);
	peer_raw(&pub.peer, junk, sizeof(junk));
	peer_rtcp(&pub.peer, short_sr, sizeof(short_sr));
	pub.peer.srtcp_index--;
	peer_rtcp(&pub.peer, short_sr, sizeof(short_sr));
	do {
		stage_stats(&pub);
	} while (pub.stats.replayed == 0);
	assert_int_equal(pub.stats.bad_auth, 1);
	assert_int_equal(pub.stats.malformed, 1);
	assert_int_equal(pub.stats.replayed, 1);
	stage_end(&pub);
	stage_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_ssrc_after_silence),
		cmocka_unit_test(test_new_ssrc_at_once_after_bye),
		cmocka_unit_test(test_no_ssrc),
		cmocka_unit_test(test_stray_numbers_change_nothing),
		cmocka_unit_test(test_silence_does_not_block_the_publisher),
		cmocka_unit_test(test_limit_changes_under_way),
		cmocka_unit_test(test_clock_is_the_packets_own),
		cmocka_unit_test(test_bad_rtcp_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
