/* What the gateway says by RTCP to publishers and viewers, and what it learns from what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "stage.h"

struct heard {
	bool done;
	unsigned sr, nack, pli, remb, twcc, bye, cname, dlrr;
	uint64_t sr_ntp[2], remb_bps, rrtr; /* of video and audio */
	uint32_t rrtr_from, dlrr_middle;
	uint16_t lost_seq;
	struct session *repair; /* answers NACKs */
};

static void on_sr(void *arg, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes)
{
	struct heard *h = arg;

	(void)rtp;
	(void)packets;
	(void)bytes;
	h->sr++;
	h->sr_ntp[ssrc == STAGE_VIEW_AUDIO] = ntp;
	h->done = h->sr_ntp[0] && h->sr_ntp[1];
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct heard *h = arg;

	(void)ssrc;
	h->nack++;
	h->done = true;
	if (h->repair)
		stage_send_repair(h->repair, h->nack, seq);
}

static void on_pli(void *arg, uint32_t ssrc)
{
	struct heard *h = arg;

	(void)ssrc;
	h->pli++;
	h->done = true;
}

static void on_remb(void *arg, uint64_t bps)
{
	struct heard *h = arg;

	h->remb++;
	h->remb_bps = bps;
	h->done = true;
}

static void on_twcc(void *arg, const uint8_t *fci, size_t len)
{
	struct heard *h = arg;

	(void)fci;
	(void)len;
	h->twcc++;
	h->done = true;
}

static void on_bye(void *arg, uint32_t ssrc)
{
	struct heard *h = arg;

	(void)ssrc;
	h->bye++;
	h->done = true;
}

static void on_cname(void *arg, uint32_t ssrc, const char *cname, size_t len)
{
	struct heard *h = arg;

	(void)ssrc;
	assert_int_equal(len, 6);
	assert_memory_equal(cname, "muster", 6);
	h->cname++;
}

static void on_rrtr(void *arg, uint32_t from, uint64_t ntp)
{
	struct heard *h = arg;

	h->rrtr_from = from;
	h->rrtr = ntp;
	h->done = true;
}

static void on_dlrr(void *arg, uint32_t ssrc, uint32_t last_rr, uint32_t delay)
{
	struct heard *h = arg;

	(void)delay;
	if (ssrc != 0x77)
		return;
	h->dlrr++;
	h->dlrr_middle = last_rr;
	h->done = true;
}

static const struct mu_rtcp_handler senders = { .sr = on_sr, .cname = on_cname },
				    names = { .cname = on_cname };

static uint64_t ntp_now(void)
{
	return mu_ntp_from_wall_us(mu_clock_wall_us());
}

static void assert_near(uint64_t a, uint64_t b, int64_t us)
{
	int64_t d = (int64_t)(a - b);

	assert_in_range(d < 0 ? -d : d, 0, mu_ntp_span(us));
}

/* --- compound packets --- */

/* All that comes within a while or until one kind was heard: a report first, a name in each. */
static void all_are_compound(struct session *s, const struct mu_rtcp_handler *kind)
{
	struct heard h = { 0 };
	int64_t until = mu_clock_us() + 3000000;
	uint8_t pkt[2000];
	size_t len;

	while (!h.done) {
		struct heard n = { 0 };

		assert_true(mu_clock_us() < until);
		if (peer_take(&s->peer, 100, pkt, &len) != PEER_RTCP)
			continue;
		assert_in_range(pkt[1], MU_RTCP_SR, MU_RTCP_RR);
		assert_int_equal(mu_rtcp_parse(pkt, len, &names, &n), 0);
		assert_true(n.cname > 0);
		assert_int_equal(mu_rtcp_parse(pkt, len, kind, &h), 0);
	}
}

static void send_with_twcc(struct session *s, uint16_t number)
{
	uint8_t payload[100] = { 0x10, 1 }, header[20] = { 0x90, 0x80 | 96, [12] = 0xbe, 0xde, 0, 1, 0x51 };

	mu_put16(header + 2, number);
	mu_put32(header + 8, STAGE_VIDEO);
	mu_put16(header + 17, number);
	peer_rtp_header(&s->peer, header, sizeof(header), number, payload, sizeof(payload));
}

static void test_publisher_hears_compound_packets(void **state)
{
	static const struct mu_rtcp_handler pli = { .key_request = on_pli }, nack = { .nack = on_nack },
					    twcc = { .twcc = on_twcc }, xr = { .rrtr = on_rrtr },
					    bye = { .bye = on_bye };
	struct mu_transport_spec spec;
	struct session pub, view;

	(void)state;
	stage_up();
	spec = stage_publisher();
	spec.in[0].twcc = true;
	mu_ext_map_set(&spec.in[0].exts, MU_EXT_TWCC, 5);
	stage_connect(&pub, &spec);
	send_with_twcc(&pub, 1);
	stage_watch(&view);
	all_are_compound(&pub, &pli);
	all_are_compound(&pub, &twcc);
	send_with_twcc(&pub, 4);
	all_are_compound(&pub, &nack);
	all_are_compound(&pub, &xr);
	mu_transport_close(pub.t, "done");
	all_are_compound(&pub, &bye);
	stage_end(&view);
	stage_end(&pub);
	stage_down();
}

static void test_viewer_hears_us_before_any_media(void **state)
{
	static const struct mu_rtcp_handler bye = { .bye = on_bye };
	struct heard h = { 0 };
	struct session view;
	int64_t until = mu_clock_us() + 3000000;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	stage_up();
	stage_watch(&view);
	while (h.cname == 0) {
		assert_true(mu_clock_us() < until);
		if (peer_take(&view.peer, 100, pkt, &len) == PEER_RTCP)
			mu_rtcp_parse(pkt, len, &senders, &h);
	}
	assert_int_equal(h.sr, 0);
	mu_transport_close(view.t, "done");
	all_are_compound(&view, &bye);
	stage_end(&view);
	stage_down();
}

/* --- time --- */

/* Without a report of the publisher's the wall clock is ours; with one on video alone it is the publisher's
 * for audio too. */
static void test_sender_reports_without_the_publishers(void **state)
{
	struct session pub, view;
	uint8_t voice[80] = { 0 }, sr[64];
	struct mu_rtcp_writer w = { sr, sizeof(sr), 0 };
	struct heard h = { 0 };
	uint64_t other = 1000ull << 32;
	struct mu_rtp_header rtp;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	show_up(&pub, &view);
	stage_send_video(&pub, 1, true);
	peer_rtp(&pub.peer, STAGE_AUDIO, 1, 111, 960, false, voice, sizeof(voice));
	assert_true(stage_take(&view, 109, &rtp, pkt, &len));
	mu_rtcp_add_sr(&w, STAGE_VIDEO, 0, 3000, 1, 600, NULL, 0); /* of a camera that has no clock */
	peer_rtcp(&pub.peer, sr, w.len);
	stage_hear(&view, &senders, &h, &h.done);
	assert_true(h.done);
	assert_near(h.sr_ntp[0], ntp_now(), 500000);
	assert_near(h.sr_ntp[0], h.sr_ntp[1], 100000);
	w.len = 0;
	mu_rtcp_add_sr(&w, STAGE_VIDEO, other, 3000, 1, 600, NULL, 0);
	peer_rtcp(&pub.peer, sr, w.len);
	do {
		h = (struct heard){ 0 };
		stage_hear(&view, &senders, &h, &h.done);
		assert_true(h.done);
	} while (h.sr_ntp[0] > ntp_now() / 2);
	assert_near(h.sr_ntp[0], other, 3000000);
	assert_near(h.sr_ntp[0], h.sr_ntp[1], 100000);
	show_down(&pub, &view);
}

/* --- round trips --- */

static void test_round_trip_by_repair(void **state)
{
	static const struct mu_rtcp_handler nack = { .nack = on_nack };
	struct session pub;
	struct heard h = { .repair = &pub };

	(void)state;
	stage_up();
	stage_publish(&pub);
	stage_send_video(&pub, 1, true);
	stage_send_video(&pub, 3, false);
	stage_hear(&pub, &nack, &h, &h.done);
	do {
		stage_stats(&pub);
	} while (pub.stats.streams[0].repaired == 0);
	assert_in_range(pub.stats.streams[0].rtt_us, 1, 99999); /* no longer the guess */
	stage_end(&pub);
	stage_down();
}

/* The publisher echoes our time as one who is 300 ms away would. */
static void test_round_trip_by_xr(void **state)
{
	static const struct mu_rtcp_handler xr = { .rrtr = on_rrtr }, answer = { .dlrr = on_dlrr };
	struct session pub;
	struct heard h = { 0 };
	uint8_t buf[128];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	(void)state;
	stage_up();
	stage_publish(&pub);
	stage_hear(&pub, &xr, &h, &h.done);
	assert_true(h.done);
	mu_rtcp_add_rr(&w, 0x77, NULL, 0);
	mu_rtcp_add_dlrr(
		&w, 0x77, h.rrtr_from + 1, (uint32_t)(h.rrtr >> 16) - 65536, 0); /* somebody else's */
	mu_rtcp_add_dlrr(&w, 0x77, h.rrtr_from, (uint32_t)((h.rrtr - mu_ntp_span(300000)) >> 16), 0);
	mu_rtcp_add_rrtr(&w, 0x77, 0x1122334455667788); /* and asks the same of us */
	peer_rtcp(&pub.peer, buf, w.len);
	h.done = false;
	stage_hear(&pub, &answer, &h, &h.done);
	assert_int_equal(h.dlrr_middle, 0x33445566);
	stage_stats(&pub);
	assert_in_range(pub.stats.streams[0].rtt_us, 299000, 400000);
	stage_end(&pub);
	stage_down();
}

/* --- bandwidth --- */

static void test_remb_names_the_limit_and_less_under_loss(void **state)
{
	static const struct mu_rtcp_handler remb = { .remb = on_remb };
	struct mu_transport_spec spec;
	struct session pub;
	struct heard h = { 0 };

	(void)state;
	stage_up();
	spec = stage_publisher();
	spec.in[0].remb = true;
	stage_connect(&pub, &spec);
	for (uint64_t i = 1; i <= 20; i++)
		stage_send_video(&pub, i, i == 1);
	stage_hear(&pub, &remb, &h, &h.done);
	assert_in_range(h.remb_bps, 7999000, 8000000);
	for (uint64_t i = 21; i <= 60; i += 2)
		stage_send_video(&pub, i, false);
	do {
		h.done = false;
		stage_hear(&pub, &remb, &h, &h.done);
		assert_true(h.done);
	} while (h.remb_bps > 7000000);
	assert_in_range(h.remb_bps, 64000, 1000000);
	stage_end(&pub);
	stage_down();
}

static void test_no_remb_beside_twcc(void **state)
{
	static const struct mu_rtcp_handler both = { .remb = on_remb, .rrtr = on_rrtr };
	struct mu_transport_spec spec;
	struct session pub;
	struct heard h = { 0 };

	(void)state;
	stage_up();
	spec = stage_publisher();
	spec.in[0].remb = spec.in[1].twcc = true;
	mu_ext_map_set(&spec.in[1].exts, MU_EXT_TWCC, 5);
	stage_connect(&pub, &spec);
	stage_send_video(&pub, 1, true);
	stage_await_packet(&pub, 0);
	stage_hear(&pub, &both, &h, &h.done);
	assert_true(h.rrtr != 0);
	assert_int_equal(h.remb, 0);
	stage_end(&pub);
	stage_down();
}

/* --- consent --- */

static void consent_ends_soon(struct mu_transport *t)
{
	int64_t now = mu_clock_us();

	t->next_report_us = now + 1400000;
	t->ice.last_check_us = now + 50000 - MU_ICE_CONSENT_US;
	assert_int_equal(report_next_us(t, now), now + 50000);
	mu_timer_set(t->worker, &t->tick_timer, report_next_us(t, now));
}

static void silence_is_over_soon(struct mu_transport *t)
{
	assert_true(t->silent);
	assert_false(t->sendable);
	t->silent_us -= 9900000;
	session_fall_silent(t, mu_clock_us());
}

static void test_sending_stops_when_consent_ends(void **state)
{
	struct session view;
	int64_t begun;

	(void)state;
	stage_up();
	stage_watch(&view);
	begun = mu_clock_us();
	stage_on_worker(&view, consent_ends_soon);
	AWAIT(view.state == MU_TRANSPORT_SILENT);
	assert_true(mu_clock_us() - begun < 1000000); /* and not with the next report */
	assert_non_null(strstr(view.why, "consent"));
	stage_on_worker(&view, silence_is_over_soon);
	AWAIT(view.state == MU_TRANSPORT_CLOSED);
	assert_non_null(strstr(view.why, "consent"));
	stage_end(&view);
	stage_down();
}

/* RELIABILITY S9: with new credentials only (RFC 7675, section 5.1). */
static void test_ice_restart_brings_a_silent_session_back(void **state)
{
	struct session pub, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	stage_up();
	stage_publish(&pub);
	stage_watch(&view);
	stage_send_video(&pub, 1, true);
	assert_true(stage_take(&view, 120, &h, pkt, &len));
	stage_on_worker(&view, consent_ends_soon);
	AWAIT(view.state == MU_TRANSPORT_SILENT);
	stage_send_video(&pub, 2, true);
	assert_false(stage_take(&view, 120, &h, pkt, &len));
	assert_int_equal(peer_check(&view.peer, PEER_NOMINATE), PEER_STUN);
	stage_stats(&view);
	assert_int_equal(view.state, MU_TRANSPORT_SILENT);
	assert_int_equal(mu_transport_restart_ice(view.t), 0);
	peer_aim(&view.peer, view.t);
	assert_int_equal(peer_check(&view.peer, PEER_NOMINATE), PEER_STUN);
	AWAIT(view.state == MU_TRANSPORT_CONNECTED);
	stage_send_video(&pub, 3, true);
	assert_true(stage_take(&view, 120, &h, pkt, &len));
	/* and one that was under way already */
	assert_int_equal(mu_transport_restart_ice(view.t), 0);
	peer_aim(&view.peer, view.t);
	stage_on_worker(&view, consent_ends_soon);
	AWAIT(view.state == MU_TRANSPORT_SILENT);
	assert_int_equal(peer_check(&view.peer, PEER_NOMINATE), PEER_STUN);
	AWAIT(view.state == MU_TRANSPORT_CONNECTED);
	stage_end(&view);
	stage_end(&pub);
	stage_down();
}

/* --- FIR --- */

static void fir(struct session *view, uint32_t from, uint8_t number)
{
	uint8_t buf[64];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, from, NULL, 0);
	mu_rtcp_add_fir(&w, from, STAGE_VIEW_VIDEO, number);
	peer_rtcp(&view->peer, buf, w.len);
}

static void test_fir_said_again_asks_for_nothing_new(void **state)
{
	static const struct {
		uint32_t from;
		uint8_t number;
		unsigned requests;
	} rows[] = { { 1, 7, 1 }, { 1, 7, 1 }, { 1, 7, 1 }, { 1, 8, 2 }, { 2, 8, 3 }, { 2, 8, 3 },
		{ 2, 7, 4 } };
	struct session view;
	uint8_t sentinel[12] = { 0x81, 206, 0, 2, 0, 0, 0, 1 }; /* PLI */

	(void)state;
	stage_up();
	stage_watch(&view);
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++)
		fir(&view, rows[i].from, rows[i].number);
	mu_put32(sentinel + 8, STAGE_VIEW_VIDEO);
	peer_rtcp(&view.peer, sentinel, sizeof(sentinel));
	do {
		stage_stats(&view);
	} while (view.stats.streams[0].key_requests < rows[MU_ARRAY_LEN(rows) - 1].requests + 1);
	assert_int_equal(view.stats.streams[0].key_requests, rows[MU_ARRAY_LEN(rows) - 1].requests + 1);
	stage_end(&view);
	stage_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publisher_hears_compound_packets),
		cmocka_unit_test(test_viewer_hears_us_before_any_media),
		cmocka_unit_test(test_sender_reports_without_the_publishers),
		cmocka_unit_test(test_round_trip_by_repair),
		cmocka_unit_test(test_round_trip_by_xr),
		cmocka_unit_test(test_remb_names_the_limit_and_less_under_loss),
		cmocka_unit_test(test_no_remb_beside_twcc),
		cmocka_unit_test(test_sending_stops_when_consent_ends),
		cmocka_unit_test(test_ice_restart_brings_a_silent_session_back),
		cmocka_unit_test(test_fir_said_again_asks_for_nothing_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
