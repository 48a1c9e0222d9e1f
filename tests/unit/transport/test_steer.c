/* What leaves for a viewer whose link is measured: numbers, who goes first, what is given up, what may be
 * sent again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "cast.h"
#include "transport/steer.h"

#define S       1000000
#define TWCC_ID 5
#define VIDEO   0
#define AUDIO   1
#define RED_PT  63
#define OPUS_PT 109
#define V_SSRC  0xaaaa
#define V_RTX   0xbbbb
#define A_SSRC  0xcccc

static struct cast c;
static struct viewer v;

struct wired {
	uint32_t ssrc;
	uint8_t pt;
	uint16_t seq;
	int twcc; /* -1: none */
	size_t len;
	uint8_t raw[1500];
};

static void open_viewer(bool rtx)
{
	struct mu_transport_spec spec = { .id = "steer", .dtls_server = true, .fitted = true, .n_out = 2 };

	cast_up(&c);
	cast_layer(&c, "video", 0, 360);
	cast_layer(&c, "audio", 0, 0);
	cast_begin(&c, VIDEO);
	cast_begin(&c, AUDIO);
	spec.out[0] = (struct mu_stream_out){ .track = c.l[VIDEO].track,
		.mid = "0",
		.ssrc = V_SSRC,
		.rtx_ssrc = rtx ? V_RTX : 0,
		.n_formats = 1,
		.nack = true };
	spec.out[0].formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = CAST_PT };
	spec.out[0].formats[0].rtx_pt = rtx ? CAST_RTX_PT : 0;
	spec.out[1] = (struct mu_stream_out){ .track = c.l[AUDIO].track,
		.mid = "1",
		.ssrc = A_SSRC,
		.n_formats = 1,
		.nack = true,
		.red_pt = RED_PT };
	spec.out[1].formats[0].format =
		(struct mu_format){ .codec = MU_CODEC_OPUS, .pt = OPUS_PT, .channels = 2 };
	for (unsigned i = 0; i < 2; i++)
		mu_ext_map_set(&spec.out[i].exts, MU_EXT_TWCC, TWCC_ID);
	viewer_attach(&v, c.media, &spec);
	cast_turn(&c);
	viewer_connect(&v, MU_SRTP_AEAD_AES_128_GCM);
	cast_turn(&c);
}

static void close_viewer(void)
{
	mu_transport_free(v.t);
	cast_turn(&c);
	viewer_done(&v);
	cast_down(&c);
}

static struct steer *steer(void)
{
	return v.t->fitted->steer;
}

/* Sealed as it is: its header can be read all the same. @return false: none is there */
static bool take(struct wired *w)
{
	static struct mu_packet p;
	struct mu_ext_map exts = { 0 };
	const uint8_t *number;
	ssize_t n;
	size_t len;

	mu_ext_map_set(&exts, MU_EXT_TWCC, TWCC_ID);
	while ((n = recv(v.fd, w->raw, sizeof(w->raw), MSG_DONTWAIT)) > 0) {
		struct mu_rtp_header h;

		if (w->raw[0] < 128 || mu_is_rtcp(w->raw))
			continue;
		w->len = (size_t)n;
		assert_int_equal(mu_rtp_parse(w->raw, w->len, &h), 0);
		memcpy(p.data, w->raw, w->len);
		p.data[0] &= (uint8_t)~0x20; /* the padding is sealed */
		p.len = (uint16_t)n;
		assert_int_equal(mu_rtp_fill(&p, &exts), 0);
		number = mu_rtp_ext(&p, MU_EXT_TWCC, &len);
		w->ssrc = h.ssrc;
		w->pt = h.pt;
		w->seq = h.seq;
		w->twcc = number ? mu_get16(number) : -1;
		return true;
	}
	return false;
}

static void drain(void)
{
	struct wired w;

	while (take(&w))
		;
}

static void step(int64_t us)
{
	steer()->rate->unanswered_us = 0; /* no silence */
	c.now_us += us;
	mu_clock_drive(c.now_us);
	cast_turn(&c);
}

/* Feedback has come, of a link of some Mbit/s. */
static void be_known(void)
{
	steer()->rate->known = true;
	for (unsigned i = 0; i < 40; i++)
		step(5000);
}

/* A frame of n packets of 1000 bytes. */
static void big_frame(unsigned n, bool key)
{
	static uint16_t picture;
	uint8_t d[1000] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		struct mu_packet *p;

		d[0] = (uint8_t)(0x80 | (i == 0 ? 0x10 : 0));
		d[1] = 0x80;
		mu_put16(d + 2, (uint16_t)(0x8000 | (picture & 0x7fff)));
		d[4] = key ? 0x10 : 0x11;
		p = cast_packet(&c, VIDEO, d, sizeof(d), (uint32_t)(c.now_us * 9 / 100));
		if (i == n - 1) {
			p->flags |= MU_PACKET_MARKER;
			p->data[1] |= 0x80;
		}
		cast_push(&c, VIDEO, p);
	}
	picture++;
}

static void voice(void)
{
	cast_frame(&c, AUDIO, false, -1);
}

/* --- numbers --- */

static void test_one_row_of_numbers(void **state)
{
	struct wired w;
	unsigned n = 0, repairs = 0;
	int last = -1;

	(void)state;
	open_viewer(true);
	for (unsigned i = 0; i < 60; i++) {
		uint16_t lost = 0;
		bool any = false;

		cast_frame(&c, VIDEO, i == 0, -1);
		voice();
		step(20000);
		while (take(&w)) {
			assert_true(w.twcc >= 0);
			if (last >= 0)
				assert_int_equal(w.twcc, (last + 1) & 0xffff);
			last = w.twcc;
			n++;
			repairs += w.ssrc == V_RTX;
			if (w.ssrc == V_SSRC) {
				lost = w.seq;
				any = true;
			}
		}
		if (i % 10 == 5 && any)
			viewer_nack(&v, &lost, 1, c.now_us);
	}
	assert_true(n > 200);
	assert_true(repairs >= 5);
	close_viewer();
}

/* --- who goes first --- */

static void test_audio_does_not_wait(void **state)
{
	struct wired w;
	unsigned video = 0, at_once = 0, since = 0;
	uint16_t seq = 0;
	int64_t began;

	(void)state;
	open_viewer(true);
	big_frame(3, true);
	voice();
	be_known();
	drain();
	big_frame(100, true);
	cast_turn(&c);
	while (take(&w))
		at_once++;
	assert_in_range(at_once, 1, 30);
	assert_true(steer()->leave.n > 60);
	began = c.now_us;
	while (steer()->leave.n > 0) {
		bool heard = false;

		if (since++ % 4 == 0)
			voice();
		step(5000);
		while (take(&w)) {
			heard |= w.ssrc == A_SSRC;
			if (w.ssrc != V_SSRC)
				continue;
			if (video++)
				assert_int_equal(w.seq, (uint16_t)(seq + 1));
			seq = w.seq;
		}
		assert_true(heard || since % 4 != 1);
	}
	/* 100 KB at no more than some two and a half times the megabit it begins with */
	assert_true(c.now_us - began > 200000);
	assert_true(c.now_us - began < S);
	assert_int_equal(at_once + video, 100);
	assert_int_equal(steer()->leave.bytes, 0);
	step(S);
	assert_true(steer()->leave.timer.at == 0 ||
		steer()->rate->probe.packets > 0); /* nothing waits, nothing runs */
	close_viewer();
}

/* What is asked for again goes before pictures that wait, but not before its time. */
static void test_repairs_before_pictures(void **state)
{
	struct wired w;
	uint16_t seqs[30];
	unsigned n = 0, repaired = 0;

	(void)state;
	open_viewer(true);
	big_frame(30, true);
	step(5000);
	while (n < 30 && take(&w)) {
		if (w.ssrc == V_SSRC)
			seqs[n++] = w.seq;
	}
	be_known();
	while (take(&w)) {
		if (w.ssrc == V_SSRC && n < 30)
			seqs[n++] = w.seq;
	}
	assert_int_equal(n, 30);
	big_frame(60, false);
	cast_turn(&c);
	drain();
	assert_true(steer()->leave.n > 0);
	viewer_nack(&v, seqs, n, c.now_us);
	assert_true(steer()->leave.n_again > 20); /* all at once would be more than the pace lets */
	while (repaired < 20) {
		step(5000);
		while (take(&w)) {
			assert_true(w.ssrc == V_RTX || repaired >= 20);
			repaired += w.ssrc == V_RTX;
		}
	}
	close_viewer();
}

/* --- too much --- */

/* Ten times what the link takes: what waits is bounded, numbers go on without a hole, and it goes on with a
 * key frame. */
static void test_what_waits_too_long_is_given_up(void **state)
{
	struct wired w;
	uint16_t seq = 0;
	bool any = false;
	unsigned voices = 0, asked;

	(void)state;
	open_viewer(true);
	c.l[VIDEO].deaf = true;
	big_frame(3, true);
	voice();
	be_known();
	drain();
	asked = c.l[VIDEO].asked;
	for (unsigned i = 0; i < 60; i++) {
		big_frame(60, i == 0);
		voice();
		for (unsigned k = 0; k < 7; k++) {
			step(5000);
			while (take(&w)) {
				voices += w.ssrc == A_SSRC;
				if (w.ssrc != V_SSRC)
					continue;
				assert_true(!any || w.seq == (uint16_t)(seq + 1));
				any = true;
				seq = w.seq;
			}
		}
		assert_true(leave_wait_us(steer()) < 1500000);
		assert_true(steer()->leave.n < 700);
	}
	assert_int_equal(voices, 60);
	for (unsigned i = 0; i < 40; i++)
		step(50000);
	drain();
	assert_true(c.l[VIDEO].asked > asked); /* there is room again: so a key frame is asked for */
	assert_int_equal(steer()->leave.n, 0);
	big_frame(3, false);
	step(20000);
	while (take(&w))
		assert_int_not_equal(w.ssrc, V_SSRC); /* nothing could be decoded from here */
	big_frame(3, true);
	step(20000);
	assert_true(take(&w));
	assert_int_equal(w.ssrc, V_SSRC);
	assert_int_equal(w.seq, (uint16_t)(seq + 1));
	close_viewer();
}

/* --- again as it was, or not at all --- */

/* Without RTX the same bytes leave again, the transport-wide number too: under one nonce nothing else may. */
static void test_again_is_the_same_bytes(void **state)
{
	struct wired first, again;
	uint8_t buf[64];
	struct mu_rtcp_writer rtcp = { buf, sizeof(buf), 0 };

	(void)state;
	open_viewer(false);
	big_frame(2, true);
	step(5000);
	assert_true(take(&first));
	assert_int_equal(first.ssrc, V_SSRC);
	drain();
	viewer_nack(&v, &first.seq, 1, c.now_us);
	assert_true(take(&again));
	assert_int_equal(again.len, first.len);
	assert_memory_equal(again.raw, first.raw, first.len);
	/* audio, too */
	voice();
	step(20000);
	assert_true(take(&first));
	assert_int_equal(first.ssrc, A_SSRC);
	assert_int_equal(first.pt, OPUS_PT);
	drain();
	mu_rtcp_add_rr(&rtcp, 1, NULL, 0);
	mu_rtcp_add_nack(&rtcp, 1, A_SSRC, &first.seq, 1);
	viewer_rtcp(&v, buf, rtcp.len, c.now_us);
	assert_true(take(&again));
	assert_int_equal(again.len, first.len);
	assert_memory_equal(again.raw, first.raw, first.len);
	close_viewer();
}

/* What went out with copies does not: what it carried may be gone, or more of it there. */
static void test_with_copies_never_again(void **state)
{
	struct wired w;
	uint8_t buf[64];
	struct mu_rtcp_writer rtcp = { buf, sizeof(buf), 0 };
	struct fit *f;

	(void)state;
	open_viewer(true);
	f = v.t->out[1]->fit;
	voice();
	step(20000);
	assert_true(take(&w));
	assert_int_equal(w.pt, OPUS_PT);
	f->red.copies = 1;
	f->red.rose_us = c.now_us;
	voice();
	step(20000);
	assert_true(take(&w));
	assert_int_equal(w.pt, RED_PT);
	assert_true(w.len > 2 * 80);
	mu_rtcp_add_rr(&rtcp, 1, NULL, 0);
	mu_rtcp_add_nack(&rtcp, 1, A_SSRC, &w.seq, 1);
	drain();
	viewer_rtcp(&v, buf, rtcp.len, c.now_us);
	assert_false(take(&w));
	close_viewer();
}

/* --- lies and noise (RELIABILITY S13) --- */

static void test_hostile_feedback(void **state)
{
	uint32_t seed = 7;
	struct wired w;

	(void)state;
	open_viewer(true);
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t d[96] = { 0x8f, 205 };
		size_t words = 5 + (seed >> 8) % 18;

		if (i % 30 == 0) {
			cast_frame(&c, VIDEO, i == 0, -1);
			voice();
			step(20000);
			drain();
		}
		for (size_t k = 4; k < sizeof(d); k++) {
			seed = seed * 1664525u + 1013904223u;
			d[k] = (uint8_t)(seed >> 16);
		}
		mu_put16(d + 2, (uint16_t)(words - 1));
		if (i % 3 == 0)
			mu_put16(d + 14, (uint16_t)((seed >> 8) % 40));
		viewer_rtcp(&v, d, words * 4, c.now_us);
	}
	assert_in_range(rate_bps(steer()->rate), 50000, 100000000);
	voice();
	step(20000);
	assert_true(take(&w));
	close_viewer();
}

/* It goes while pictures, repairs and a probe wait. */
static void test_closed_amid_all(void **state)
{
	uint16_t seqs[] = { 1, 2, 3 };
	struct wired w;

	(void)state;
	open_viewer(true);
	big_frame(30, true);
	step(5000);
	while (take(&w))
		seqs[0] = w.ssrc == V_SSRC ? w.seq : seqs[0];
	be_known();
	big_frame(200, false);
	cast_turn(&c);
	viewer_nack(&v, seqs, 3, c.now_us);
	steer()->rate->probe =
		(struct mu_probe){ .cluster = 9, .bps = 1000000, .bytes = 10000, .packets = 10 };
	assert_true(steer()->leave.n > 0);
	close_viewer();
}

/* Consent is lost: nothing of what waits leaves. */
static void test_nothing_leaves_without_consent(void **state)
{
	struct wired w;

	(void)state;
	open_viewer(true);
	big_frame(3, true);
	be_known();
	drain();
	big_frame(200, true);
	cast_turn(&c);
	drain();
	assert_true(steer()->leave.n > 0);
	v.t->sendable = false;
	for (unsigned i = 0; i < 10; i++)
		step(20000);
	assert_false(take(&w));
	assert_int_equal(steer()->leave.n, 0);
	close_viewer();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_row_of_numbers),
		cmocka_unit_test(test_audio_does_not_wait),
		cmocka_unit_test(test_repairs_before_pictures),
		cmocka_unit_test(test_what_waits_too_long_is_given_up),
		cmocka_unit_test(test_again_is_the_same_bytes),
		cmocka_unit_test(test_with_copies_never_again),
		cmocka_unit_test(test_hostile_feedback),
		cmocka_unit_test(test_closed_amid_all),
		cmocka_unit_test(test_nothing_leaves_without_consent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
