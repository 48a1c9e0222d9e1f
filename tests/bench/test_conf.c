/* The members of a conference against a gateway of a few lines that can be told to do it wrong: whether what
 * they count is what happened. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapt/adapt.h"
#include "load_conf.h"

#define SECOND   1000000000u
#define MS       1000000u
#define OUT_SSRC 4711
#define OUT_RTX  4712
#define OUT_MID  "7"

/* what the gateway does wrong */
static struct fault {
	unsigned drop; /* of so many packets from now on, counted down; only the last one */
	bool no_repair, no_key_wait, picture, thin;
	uint32_t time; /* added to time stamps */
} fault;

static struct load load;
static struct conf_counts counts;
static struct member member[2]; /* sends, receives */
static struct peer up, down;
static struct mu_srtp_key *up_key, *down_key, *gateway_key;
static struct mu_srtp_rx *from_up;
static uint64_t now;
static struct {
	unsigned layer, wanted; /* forwarded; and from its next key frame on */
	uint64_t index;
	uint32_t ts, shift;
	unsigned shift_layer;
	uint16_t picture;
	uint8_t tl0;
	bool thins;
	struct {
		uint8_t data[LOAD_DATAGRAM];
		size_t hlen, len;
	} history[256];
	uint32_t ssrc[CONF_LAYERS];
	uint16_t seq[CONF_LAYERS];
	unsigned with_rid, without_rid, keys[CONF_LAYERS], packets[CONF_LAYERS], rtx;
} gate;
static unsigned plis, nacks, frames_heard;
static struct got heard;

/* --- what load_up.c and load_down.c need of the others --- */

struct conf_counts *conf_counts(struct member *m)
{
	(void)m;
	return &counts;
}

void conf_frame(struct member *m, const struct got *g, uint64_t ns)
{
	(void)m;
	(void)ns;
	frames_heard++;
	heard = *g;
}

void member_fail(struct member *m, const char *fmt, ...)
{
	(void)m;
	fail_msg("%s", fmt);
}

const char *net_address(const struct peer *p)
{
	(void)p;
	return "127.1.0.1";
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq);
static void on_pli(void *arg, uint32_t ssrc)
{
	(void)arg;
	assert_int_equal(ssrc, OUT_SSRC);
	plis++;
}

void peer_rtcp(struct peer *p, const struct mu_rtcp_writer *w)
{
	static const struct mu_rtcp_handler h = { .nack = on_nack, .key_request = on_pli };

	if (p == &down)
		mu_rtcp_parse(w->data, w->len, &h, NULL);
}

/* --- the gateway --- */

static void to_viewer(uint32_t ssrc, uint64_t index, const uint8_t *packet, size_t hlen, size_t len)
{
	uint8_t out[LOAD_DATAGRAM + 64];
	struct mu_srtp_job j = { .key = gateway_key,
		.out = out,
		.payload = packet + hlen,
		.hlen = (uint16_t)hlen,
		.payload_len = (uint16_t)(len - hlen),
		.ssrc = ssrc,
		.index = index };

	memcpy(out, packet, hlen);
	mu_srtp_protect(load.engine, &j, 1);
	media_down.rtp(&down, out, len + mu_srtp_growth(mu_srtp_key_profile(gateway_key)), now);
}

static size_t header(uint8_t *h, uint8_t pt, bool marker, uint16_t seq, uint32_t ts, uint32_t ssrc)
{
	h[0] = 0x90;
	h[1] = (uint8_t)(pt | (marker ? 0x80 : 0));
	mu_put16(h + 2, seq);
	mu_put32(h + 4, ts);
	mu_put32(h + 8, ssrc);
	mu_put32(h + 12, 0xbede0001u);
	h[16] = 1 << 4;
	h[17] = OUT_MID[0];
	h[18] = h[19] = 0;
	return 20;
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	uint8_t packet[LOAD_DATAGRAM + 64];
	size_t hlen, len;

	(void)arg;
	assert_int_equal(ssrc, OUT_SSRC);
	nacks++;
	if (fault.no_repair)
		return;
	len = gate.history[seq % 256].len - gate.history[seq % 256].hlen;
	hlen = header(packet, 97, gate.history[seq % 256].data[1] & 0x80, (uint16_t)gate.rtx,
		mu_get32(gate.history[seq % 256].data + 4), OUT_RTX);
	mu_put16(packet + hlen, seq);
	memcpy(packet + hlen + 2, gate.history[seq % 256].data + gate.history[seq % 256].hlen, len);
	to_viewer(OUT_RTX, gate.rtx++, packet, hlen, hlen + 2 + len);
}

static void renumber(const struct mu_vp8 *d, uint8_t *payload)
{
	if (d->start) {
		gate.picture = (uint16_t)(gate.picture + 1 + fault.picture);
		gate.tl0 = (uint8_t)(gate.tl0 + (d->temporal == 0));
		fault.picture = false;
	}
	mu_put16(payload + d->picture_at, (uint16_t)(0x8000 | (gate.picture & 0x7fff)));
	payload[d->tl0_at] = gate.tl0;
}

static void forward(const struct mu_rtp_header *h, const struct stamp *s, const struct mu_vp8 *d,
	uint8_t *payload, size_t len)
{
	uint16_t seq;
	size_t hlen;
	uint8_t *packet;

	if (s->layer == gate.wanted && d->start && (d->key || fault.no_key_wait))
		gate.layer = gate.wanted;
	if (s->layer != gate.layer)
		return;
	if (d->start)
		gate.thins = fault.thin && d->temporal == 2;
	if (gate.thins)
		return;
	renumber(d, payload);
	seq = (uint16_t)gate.index;
	packet = gate.history[seq % 256].data;
	if (d->start && (!gate.shift_layer || gate.shift_layer != s->layer + 1u)) {
		/* a layer has time stamps of its own: they go on from the last one, however near the next
		 * picture is */
		gate.shift = gate.ts - h->ts + 90;
		gate.shift_layer = s->layer + 1u;
	}
	gate.ts = h->ts + gate.shift + fault.time;
	hlen = header(packet, 96, h->marker, seq, gate.ts, OUT_SSRC);
	memcpy(packet + hlen, payload, len);
	gate.history[seq % 256].hlen = hlen;
	gate.history[seq % 256].len = hlen + len;
	if (fault.drop && --fault.drop == 0)
		gate.index++;
	else
		to_viewer(OUT_SSRC, gate.index++, packet, hlen, hlen + len);
}

void net_send(struct peer *p, const uint8_t *data, size_t len)
{
	uint8_t plain[LOAD_DATAGRAM];
	struct mu_rtp_header h;
	struct stamp s;
	struct mu_vp8 d;
	int n;

	assert_ptr_equal(p, &up);
	assert_int_equal(mu_rtp_parse(data, len, &h), 0);
	n = mu_srtp_rx_rtp(load.engine, from_up, data, len, h.hlen, plain);
	assert_true(n > h.hlen);
	if (h.pt == 97) {
		gate.rtx++;
		return;
	}
	assert_int_equal(stamp_read(plain + h.hlen, (size_t)n - h.hlen, &s), 0);
	if (h.pt != 96)
		return;
	assert_int_equal(mu_vp8_parse(plain + h.hlen, (size_t)n - h.hlen, &d), 0);
	gate.ssrc[s.layer] = h.ssrc;
	gate.seq[s.layer] = h.seq;
	gate.packets[s.layer]++;
	gate.keys[s.layer] += d.key;
	/* TWCC alone is 3 bytes: with mid and rid there are two words more */
	if (h.hlen > 20)
		gate.with_rid++;
	else
		gate.without_rid++;
	forward(&h, &s, &d, plain + h.hlen, (size_t)n - h.hlen);
}

/* --- set up --- */

static const char answer[] =
	"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
	"a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
	"a=recvonly\r\na=rtpmap:111 opus/48000/2\r\n"
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
	"a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
	"a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
	"a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\na=recvonly\r\n"
	"a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n";
static const char offer[] =
	"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\na=mid:" OUT_MID "\r\na=sendonly\r\n"
	"a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:102 H264/90000\r\na=rtpmap:96 VP8/90000\r\n"
	"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=ssrc-group:FID 4711 4712\r\na=ssrc:4711 cname:x\r\n";

static void make_key(struct mu_srtp_key **a, struct mu_srtp_key **b)
{
	uint8_t key[16], salt[12];

	mu_random(key, sizeof(key));
	mu_random(salt, sizeof(salt));
	assert_int_equal(mu_srtp_key_new(load.engine, MU_SRTP_AEAD_AES_128_GCM, key, salt, a), 0);
	assert_int_equal(mu_srtp_key_new(load.engine, MU_SRTP_AEAD_AES_128_GCM, key, salt, b), 0);
}

static int setup(void **state)
{
	static struct description d;
	struct mu_error e;

	(void)state;
	memset(&fault, 0, sizeof(fault));
	memset(&counts, 0, sizeof(counts));
	memset(&gate, 0, sizeof(gate));
	memset(&load, 0, sizeof(load));
	memset(member, 0, sizeof(member));
	plis = nacks = frames_heard = 0;
	now = now_ns();
	gate.layer = gate.wanted = 1;
	gate.picture = 0x7ff0;
	gate.index = 65500;
	counts.open = true;
	load.to_ns = UINT64_MAX;
	if (mu_srtp_engine_new("auto", &load.engine, &e) < 0)
		return -1;
	member[0].number = 3;
	up = (struct peer){ .load = &load, .member = &member[0], .state = PEER_UP };
	down = (struct peer){ .load = &load, .member = &member[1], .state = PEER_UP };
	make_key(&up.tx, &up_key);
	make_key(&gateway_key, &down_key);
	if (mu_srtp_rx_new(up_key, &from_up) < 0 || mu_srtp_rx_new(down_key, &down.rx) < 0 ||
		media_up.open(&up) < 0 || media_down.open(&down) < 0)
		return -1;
	slots_read(answer, &d);
	assert_int_equal(d.n, 2);
	sender_answered(member[0].sender, &d);
	slots_read(offer, &d);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.s[0].pt, 96);
	assert_int_equal(d.s[0].rtx_pt, 97);
	assert_int_equal(d.s[0].rtx_ssrc, OUT_RTX);
	wall_offered(member[1].wall, &d);
	wall_track(member[1].wall, OUT_MID, 3, (int64_t)(now / 1000));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	media_up.close(&up);
	media_down.close(&down);
	mu_srtp_rx_free(down.rx);
	mu_srtp_rx_free(from_up);
	mu_srtp_key_free(up.tx);
	mu_srtp_key_free(up_key);
	mu_srtp_key_free(down_key);
	mu_srtp_key_free(gateway_key);
	mu_srtp_engine_free(load.engine);
	return 0;
}

static void run(uint64_t ns)
{
	for (uint64_t end = now + ns; now < end; now += MS) {
		sender_run(&up, now);
		media_down.tick(&down, (int64_t)(now / 1000));
	}
}

static void no_errors(void)
{
	assert_int_equal(counts.wrong_track, 0);
	assert_int_equal(counts.mixed, 0);
	assert_int_equal(counts.no_key, 0);
	assert_int_equal(counts.picture_jumps, 0);
	assert_int_equal(counts.time_jumps, 0);
	assert_int_equal(counts.backwards, 0);
	assert_int_equal(counts.unknown, 0);
	assert_int_equal(counts.ssrc_changes, 0);
	assert_int_equal(load.c.bad, 0);
}

/* --- tests --- */

static void test_all_is_well(void **state)
{
	(void)state;
	run(4 * SECOND); /* numbers and picture ids wrap meanwhile */
	no_errors();
	assert_in_range(counts.sent_frames[3], 119, 121);
	assert_in_range(counts.frames, counts.sent_frames[3] - 1, counts.sent_frames[3]);
	assert_int_equal(counts.lost + counts.broken + counts.thinned, 0);
	assert_int_equal(plis, 0);
	assert_int_equal(nacks, 0);
	assert_int_equal(heard.layer, 1);
	assert_true(load.latency.n > 0);
}

static void test_a_switch_at_a_key_frame(void **state)
{
	(void)state;
	run(SECOND);
	gate.wanted = 2;
	run(SECOND / 2);
	assert_int_equal(heard.layer, 1); /* nobody asked for one */
	sender_layers(member[0].sender, (const bool[]){ true, true, false });
	sender_layers(member[0].sender, (const bool[]){ true, true, true });
	run(SECOND);
	assert_int_equal(heard.layer, 2);
	no_errors();
	/* one picture comes in both */
	assert_in_range(counts.frames, counts.sent_frames[3] - 1, counts.sent_frames[3] + 1);
}

static void test_a_switch_amid_frames_is_noticed(void **state)
{
	(void)state;
	run(SECOND);
	fault.no_key_wait = true;
	gate.wanted = 2;
	run(SECOND);
	assert_int_equal(counts.no_key, 1);
}

static void test_what_is_lost_and_repaired(void **state)
{
	(void)state;
	run(SECOND);
	fault.drop = 5;
	run(SECOND);
	no_errors();
	assert_true(nacks >= 1);
	assert_int_equal(load.c.recovered, 1);
	assert_int_equal(counts.lost, 0);
	assert_in_range(counts.frames, counts.sent_frames[3] - 1, counts.sent_frames[3]);
}

static void test_what_is_lost_for_good(void **state)
{
	(void)state;
	run(SECOND);
	fault.no_repair = true;
	fault.drop = 5;
	run(SECOND + SECOND / 2);
	assert_int_equal(counts.lost, 1);
	assert_true(nacks > 1);
	assert_true(plis >= 1);
	assert_true(counts.frames < counts.sent_frames[3] - 10); /* none without a key frame */
	assert_true(counts.frames >= 29);
	assert_int_equal(counts.picture_jumps, 0);
}

static void test_somebody_elses_track(void **state)
{
	(void)state;
	run(SECOND);
	wall_track(member[1].wall, OUT_MID, 5, (int64_t)(now / 1000));
	run(SECOND / 2);
	assert_int_equal(counts.wrong_track, 0); /* it may be on its way */
	run(4 * SECOND);
	assert_true(counts.wrong_track > 50);
}

static void test_media_ahead_of_what_is_said(void **state)
{
	(void)state;
	wall_track(member[1].wall, OUT_MID, 5, (int64_t)(now / 1000) - 5000000);
	wall_track(member[1].wall, OUT_MID, 6, (int64_t)(now / 1000) - 4000000);
	run(SECOND / 2);
	wall_track(member[1].wall, OUT_MID, 3, (int64_t)(now / 1000));
	run(3 * SECOND);
	no_errors();
}

static void test_a_picture_id_that_jumps(void **state)
{
	(void)state;
	run(SECOND);
	fault.picture = true;
	run(SECOND);
	assert_int_equal(counts.picture_jumps, 1);
}

static void test_time_that_jumps(void **state)
{
	(void)state;
	run(3 * SECOND);
	fault.time = 45000;
	run(SECOND);
	assert_int_equal(counts.time_jumps, 1);
}

static void test_thinned(void **state)
{
	(void)state;
	run(SECOND);
	fault.thin = true;
	run(2 * SECOND);
	no_errors();
	assert_int_equal(counts.lost + counts.broken, 0);
	assert_in_range(counts.thinned, 28, 31);
	assert_in_range(counts.frames + counts.thinned, counts.sent_frames[3] - 2, counts.sent_frames[3]);
}

static void test_a_sender_rests_what_nobody_watches(void **state)
{
	unsigned before;

	(void)state;
	run(SECOND);
	sender_layers(member[0].sender, (const bool[]){ true, false, false });
	run(SECOND / 10);
	before = gate.packets[1] + gate.packets[2];
	run(SECOND);
	assert_int_equal(gate.packets[1] + gate.packets[2], before);
	assert_int_equal(gate.keys[1], 1);
	sender_layers(member[0].sender, (const bool[]){ true, true, false });
	run(SECOND / 10);
	assert_int_equal(gate.keys[1], 2);
	assert_int_equal(gate.keys[0], 1);
}

static void test_a_sender_does_as_it_is_asked(void **state)
{
	uint8_t buf[256];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	struct mu_rtcp_report r[CONF_LAYERS] = { 0 };

	(void)state;
	run(SECOND);
	assert_int_equal(gate.without_rid, 0);
	mu_rtcp_add_pli(&w, 1, gate.ssrc[2]);
	mu_rtcp_add_nack(&w, 1, gate.ssrc[1], &gate.seq[1], 1);
	media_up.rtcp(&up, buf, w.len);
	assert_int_equal(gate.rtx, 1);
	assert_int_equal(sender_asked(member[0].sender, 2), 1);
	run(SECOND / 10);
	assert_int_equal(gate.keys[2], 2);
	assert_int_equal(gate.keys[1], 1);
	/* once the gateway knows which is which, nobody repeats it */
	for (int i = 0; i < CONF_LAYERS; i++)
		r[i].ssrc = gate.ssrc[i];
	w.len = 0;
	mu_rtcp_add_rr(&w, 1, r, CONF_LAYERS);
	media_up.rtcp(&up, buf, w.len);
	gate.with_rid = 0;
	run(SECOND / 10);
	assert_int_equal(gate.with_rid, 0);
	assert_true(gate.without_rid > 0);
}

/* Its own answer is read as the gateway would read it. */
static void test_the_answer_to_an_offer(void **state)
{
	static struct description d;
	char *text;

	(void)state;
	assert_int_equal(mu_identity_new(&load.identity), 0);
	text = slots_answer(&down, offer);
	slots_read(text, &d);
	assert_int_equal(d.n, 1);
	assert_string_equal(d.s[0].mid, OUT_MID);
	assert_false(d.s[0].sends);
	assert_false(d.s[0].refused);
	assert_int_equal(d.s[0].pt, 96);
	assert_int_equal(d.s[0].rtx_pt, 97);
	assert_int_equal(d.s[0].ext_mid, 1);
	assert_null(strstr(text, "H264"));
	assert_non_null(strstr(text, "a=setup:active"));
	free(text);
	text = slots_offer(&up, 17);
	slots_read(text, &d);
	assert_int_equal(d.n, 2);
	assert_true(d.s[0].sends && d.s[1].sends && d.s[1].video);
	assert_int_equal(d.s[0].ssrc, 17);
	assert_int_equal(d.s[1].ext_rid, 10);
	assert_non_null(strstr(text, "a=simulcast:send l;m;h"));
	free(text);
	mu_identity_free(load.identity);
}

static void test_frames_of_a_websocket(void **state)
{
	static const uint8_t mask[4] = { 0 };
	const struct {
		size_t len, header;
	} rows[] = { { 0, 2 }, { 125, 2 }, { 126, 4 }, { 65535, 4 }, { 65536, 10 } };
	uint8_t d[WS_HEADER_MAX];
	struct ws_frame f;
	char accept[32];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		size_t n = ws_frame_write(WS_TEXT, rows[i].len, mask, d);

		assert_int_equal(n, rows[i].header + 4);
		d[1] &= 0x7f; /* as a server sends it: not masked */
		for (size_t have = 0; have < rows[i].header; have++)
			assert_int_equal(ws_frame_read(d, have, &f), 0);
		assert_int_equal(ws_frame_read(d, n, &f), 1);
		assert_int_equal(f.opcode, WS_TEXT);
		assert_int_equal(f.header, rows[i].header);
		assert_int_equal(f.len, rows[i].len);
		assert_true(f.last);
	}
	assert_int_equal(ws_frame_read((const uint8_t[]){ 0x81, 0x80 }, 2, &f), -EBADMSG); /* masked */
	assert_int_equal(ws_frame_read((const uint8_t[]){ 0xc1, 0 }, 2, &f), -EBADMSG);    /* compressed */
	assert_int_equal(ws_frame_read((const uint8_t[]){ 0x88, 126, 0, 126 }, 4, &f), -EBADMSG);
	assert_int_equal(ws_frame_read((const uint8_t[]){ 0x09, 0 }, 2, &f), -EBADMSG);
	assert_int_equal(
		ws_frame_read((const uint8_t[]){ 0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0 }, 10, &f), -EBADMSG);
	ws_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* RFC 6455, section 1.3 */
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(test_all_is_well),
		WITH(test_a_switch_at_a_key_frame),
		WITH(test_a_switch_amid_frames_is_noticed),
		WITH(test_what_is_lost_and_repaired),
		WITH(test_what_is_lost_for_good),
		WITH(test_somebody_elses_track),
		WITH(test_media_ahead_of_what_is_said),
		WITH(test_a_picture_id_that_jumps),
		WITH(test_time_that_jumps),
		WITH(test_thinned),
		WITH(test_a_sender_rests_what_nobody_watches),
		WITH(test_a_sender_does_as_it_is_asked),
		WITH(test_the_answer_to_an_offer),
		cmocka_unit_test(test_frames_of_a_websocket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
