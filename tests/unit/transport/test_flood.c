/* Peers with good keys who ask or send too much: what it costs them, and that it costs nobody else anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "stage.h"

#define SSRCS       10000
#define KEY_ASKED   4
#define RESEND_FREE 62000 /* bytes that may be asked for before as many were sent, and a packet */

static void unpoliced_up(void)
{
	struct mu_transport_options o = stage_options();

	o.publisher_bps = 0;
	stage_up_with(&o);
}

/* --- a viewer asks for everything, always (RELIABILITY S13) --- */

struct flood {
	struct session pub, bad, good;
	uint64_t sent;                    /* number of the last packet */
	uint16_t first;                   /* number that the bad viewer saw first */
	uint64_t media, resent, good_got; /* bytes to the bad one; packets to the good one */
	uint8_t fir;
	int64_t asked_us[KEY_ASKED];
	unsigned asked;
};

static void on_key(void *arg, uint32_t ssrc)
{
	struct flood *f = arg;

	assert_int_equal(ssrc, STAGE_VIDEO);
	if (f->asked < KEY_ASKED)
		f->asked_us[f->asked++] = mu_clock_us();
}

/* PLI, a new FIR, a REMB of nothing, and NACK of the last 200 packets. */
static void ask(struct flood *f)
{
	uint32_t ssrc = STAGE_VIEW_VIDEO;
	uint16_t seqs[200];
	uint8_t buf[1200];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	for (size_t i = 0; i < MU_ARRAY_LEN(seqs); i++)
		seqs[i] = (uint16_t)(f->first + f->sent - MU_ARRAY_LEN(seqs) + i);
	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_pli(&w, 1, ssrc);
	mu_rtcp_add_fir(&w, 1, ssrc, f->fir++);
	mu_rtcp_add_remb(&w, 1, &ssrc, 1, 0);
	mu_rtcp_add_nack(&w, 1, ssrc, seqs, MU_ARRAY_LEN(seqs));
	peer_rtcp(&f->bad.peer, buf, w.len);
}

static void drain_bad(struct flood *f)
{
	enum peer_got what;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	while ((what = peer_take(&f->bad.peer, 0, pkt, &len)) != PEER_NOTHING) {
		assert_int_not_equal(what, PEER_BAD);
		if (what != PEER_RTP || mu_rtp_parse(pkt, len, &h) < 0)
			continue;
		if (h.ssrc == STAGE_VIEW_RTX)
			f->resent += len;
		else if (f->media == 0)
			f->first = h.seq;
		if (h.ssrc == STAGE_VIEW_VIDEO)
			f->media += len;
	}
}

/* In order, each once. */
static void drain_good(struct flood *f)
{
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	enum peer_got what;
	size_t len;

	while ((what = peer_take(&f->good.peer, 0, pkt, &len)) != PEER_NOTHING) {
		if (what != PEER_RTP || mu_rtp_parse(pkt, len, &h) < 0)
			continue;
		assert_int_equal(h.ssrc, STAGE_VIEW_VIDEO);
		assert_int_equal(stage_number(pkt + h.hlen), ++f->good_got);
	}
}

static void flood_once(struct flood *f)
{
	static const struct mu_rtcp_handler keys = { .key_request = on_key };
	uint8_t pkt[2000];
	size_t len;

	f->sent++;
	stage_send_video(&f->pub, f->sent, f->sent == 1);
	for (unsigned i = 0; i < 5 && f->media > 0; i++)
		ask(f);
	if (peer_take(&f->pub.peer, 5, pkt, &len) == PEER_RTCP)
		mu_rtcp_parse(pkt, len, &keys, f);
	drain_bad(f);
	drain_good(f);
}

static void test_viewer_floods_requests(void **state)
{
	static struct flood f;

	(void)state;
	unpoliced_up();
	stage_publish(&f.pub);
	stage_watch(&f.bad);
	stage_watch(&f.good);
	for (int64_t until = mu_clock_us() + 5000000; f.asked < KEY_ASKED && mu_clock_us() < until;)
		flood_once(&f);
	assert_int_equal(f.asked, KEY_ASKED);    /* no key frame came, so it is asked for again and again, */
	for (unsigned i = 1; i < KEY_ASKED; i++) /* but not often: a little less is this test's own clock */
		assert_true(f.asked_us[i] - f.asked_us[i - 1] > MU_KEY_INTERVAL_US - 50000);
	while (f.good_got < f.sent)
		drain_good(&f);
	drain_bad(&f);
	stage_stats(&f.bad);
	assert_true(f.bad.stats.streams[0].nacks > 10 * f.sent);
	assert_true(f.resent > 0);
	assert_true(f.resent <= f.media + RESEND_FREE);
	stage_stats(&f.good);
	assert_int_equal(f.good.stats.streams[0].retransmitted, 0);
	assert_int_equal(f.good.stats.streams[0].dropped, 0);
	stage_end(&f.bad);
	stage_end(&f.good);
	stage_end(&f.pub);
	stage_down();
}

/* --- a publisher with ten thousand SSRCs (RELIABILITY S14) --- */

static struct mu_media_stats plane;
static bool plane_heard;
static void on_plane(void *arg, const struct mu_media_stats *s, unsigned n)
{
	(void)arg;
	assert_int_equal(n, 1);
	plane = *s;
	plane_heard = true;
}

static void ask_plane(void)
{
	plane_heard = false;
	mu_media_ask_stats(stage.media, on_plane, NULL);
	AWAIT(plane_heard);
}

static void send_voice(struct session *s, uint16_t seq)
{
	uint8_t voice[80] = { 0 };

	mu_put16(voice, seq);
	peer_rtp(&s->peer, STAGE_AUDIO, seq, 111, seq * 960u, false, voice, sizeof(voice));
}

static void test_publisher_with_ten_thousand_ssrcs(void **state)
{
	struct mu_transport_spec bad_spec, good_spec;
	struct session bad, good, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000], payload[100] = { 0x10, 0 };
	uint64_t slab;
	size_t len;

	(void)state;
	unpoliced_up();
	bad_spec = stage_publisher();
	good_spec = stage_publisher();
	bad_spec.n_in = good_spec.n_in = 1;
	good_spec.in[0] = good_spec.in[1];
	stage_connect(&bad, &bad_spec);
	stage_connect(&good, &good_spec);
	stage_watch(&view);
	stage_send_video(&bad, 1, true);
	assert_true(stage_take(&view, 120, &h, pkt, &len));
	send_voice(&good, 1);
	assert_true(stage_take(&view, 109, &h, pkt, &len));
	ask_plane();
	slab = plane.slab_bytes;
	for (uint32_t i = 1; i <= SSRCS; i++) {
		peer_rtp(&bad.peer, 0x10000 + i, 1, 96, 0, true, payload, sizeof(payload));
		if (i % 100)
			continue;
		send_voice(&good, (uint16_t)(1 + i / 100));
		assert_true(stage_take(&view, 109, &h, pkt, &len));
		assert_int_equal(mu_get16(pkt + h.hlen), 1 + i / 100);
		stage_send_video(&bad, 1 + i / 100, false); /* its own stream goes on too */
		assert_true(stage_take(&view, 120, &h, pkt, &len));
		assert_int_equal(stage_number(pkt + h.hlen), 1 + i / 100);
	}
	stage_stats(&bad);
	stage_stats(&good);
	ask_plane();
	assert_int_equal(bad.stats.unknown_ssrc, MU_SRTP_RX_STREAMS - 1);
	assert_int_equal(bad.stats.unknown_ssrc + bad.stats.over_limit, SSRCS);
	assert_int_equal(bad.stats.streams[0].packets, 1 + SSRCS / 100);
	assert_int_equal(plane.over_limit, bad.stats.over_limit);
	assert_int_equal(plane.slab_bytes, slab);
	assert_true(plane.packets_held < 300); /* the caches' */
	assert_int_equal(good.stats.over_limit + good.stats.unknown_ssrc, 0);
	assert_int_equal(good.stats.streams[0].lost, 0);
	stage_end(&view);
	stage_end(&good);
	stage_end(&bad);
	stage_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_viewer_floods_requests),
		cmocka_unit_test(test_publisher_with_ten_thousand_ssrcs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
