/* Every codec from a publisher to viewers: the payload byte for byte, with the viewer's payload type, SSRC
 * and header extensions, whichever form each side writes those in (RFC 8285). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "stage.h"

#define PAYLOAD 900

/* What begins a stream that a decoder can start with; the rest of the payload is noise. */
static const struct codec {
	enum mu_codec codec;
	uint8_t pt, view_pt;
	size_t len;
	uint8_t key[4], delta[4];
} codecs[] = {
	{ MU_CODEC_H264, 102, 41, PAYLOAD, { 0x65, 0x88, 0x84, 0x1f }, { 0x41, 0x9a, 1, 2 } },
	{ MU_CODEC_H265, 49, 127, PAYLOAD, { 0x26, 0x01, 0xaf, 0x01 }, { 0x02, 0x01, 0xd0, 1 } },
	{ MU_CODEC_VP8, 96, 120, PAYLOAD, { 0x10, 0, 1, 2 }, { 0x10, 1, 1, 2 } },
	{ MU_CODEC_VP9, 98, 35, PAYLOAD, { 0x8c, 0x11, 1, 2 }, { 0xcc, 0x12, 1, 2 } },
	{ MU_CODEC_AV1, 45, 99, PAYLOAD, { 0x18, 0x08, 1, 2 }, { 0x10, 0x30, 1, 2 } },
	{ MU_CODEC_OPUS, 111, 109, 77, { 0xfc, 1, 2, 3 }, { 0xfc, 3, 2, 1 } },
	{ MU_CODEC_G722, 9, 110, 160, { 1, 2, 3, 4 }, { 5, 6, 7, 8 } },
	{ MU_CODEC_PCMA, 8, 18, 160, { 0xd5, 0xd5, 1, 2 }, { 0x55, 0x55, 1, 2 } },
	{ MU_CODEC_PCMU, 0, 0, 160, { 0xff, 0xff, 1, 2 }, { 0x7f, 0x7f, 1, 2 } },
};

/* Elements as a sender writes them; the first two end at the gateway. */
static const struct element {
	enum mu_rtp_ext type;
	size_t len;
} elements[] = { { MU_EXT_MID, 1 }, { MU_EXT_TWCC, 2 }, { MU_EXT_AUDIO_LEVEL, 1 },
	{ MU_EXT_VIDEO_ORIENTATION, 1 }, { MU_EXT_PLAYOUT_DELAY, 3 }, { MU_EXT_ABS_CAPTURE_TIME, 16 },
	{ MU_EXT_DEPENDENCY_DESCRIPTOR, 40 } };

enum {
	LONG = MU_ARRAY_LEN(elements),
	SHORT = LONG - 1
}; /* with the one that no one-byte header can carry, and without */

/* Ids that fit one-byte headers, or do not: of them some are 14 and below in a two-byte header too. */
static struct mu_ext_map ids(bool two)
{
	struct mu_ext_map m = { 0 };

	for (size_t i = 0; i < MU_ARRAY_LEN(elements); i++)
		mu_ext_map_set(&m, elements[i].type, (uint8_t)(two ? (i % 2 ? 14 - i : 250 - i) : i + 1));
	return m;
}

static uint8_t byte_of(size_t element, size_t at)
{
	return element == 0 ? '0' : (uint8_t)(element * 37 + at);
}

static size_t write_header(uint8_t *h, const struct mu_ext_map *m, bool two, size_t n_elements)
{
	size_t at = 16;

	for (size_t i = 0; i < n_elements; i++) {
		uint8_t id = m->id_of[elements[i].type], len = (uint8_t)elements[i].len;

		if (two) {
			h[at++] = id;
			h[at++] = len;
		} else {
			h[at++] = (uint8_t)(id << 4 | (len - 1));
		}
		for (size_t k = 0; k < len; k++)
			h[at++] = byte_of(i, k);
	}
	while (at % 4)
		h[at++] = 0;
	mu_put16(h + 12, two ? 0x1000 : 0xbede);
	mu_put16(h + 14, (uint16_t)((at - 16) / 4));
	return at;
}

struct side {
	struct mu_ext_map map;
	bool two;
};

static void fill(const struct codec *c, bool key, uint8_t *payload)
{
	for (size_t i = 0; i < c->len; i++)
		payload[i] = (uint8_t)(i * 7 + key);
	memcpy(payload, key ? c->key : c->delta, sizeof(c->key));
}

static void publish_one(
	struct session *pub, const struct codec *c, const struct side *from, uint16_t seq, size_t n_elements)
{
	uint8_t header[256] = { 0x90, (uint8_t)((seq % 2 ? 0x80 : 0) | c->pt) }, payload[PAYLOAD];
	size_t hlen = write_header(header, &from->map, from->two, n_elements);

	mu_put16(header + 2, seq);
	mu_put32(header + 4, seq * 3000u);
	mu_put32(header + 8, STAGE_VIDEO);
	fill(c, seq == 1, payload);
	peer_rtp_header(&pub->peer, header, hlen, seq, payload, c->len);
}

/* @param at the first packet's, from which numbers and time go on */
static void check_one(struct session *view, const struct codec *c, const struct side *to, uint16_t seq,
	size_t n_elements, struct mu_rtp_header *at)
{
	struct mu_packet p = { 0 };
	struct mu_rtp_header h;
	uint8_t payload[PAYLOAD];
	size_t len;

	assert_true(stage_take(view, c->view_pt, &h, p.data, &len));
	if (seq == 1)
		*at = h;
	p.len = (uint16_t)len;
	assert_int_equal(mu_rtp_fill(&p, &to->map), 0);
	assert_int_equal(h.ssrc, STAGE_VIEW_VIDEO);
	assert_int_equal(h.marker, seq % 2);
	assert_int_equal(h.seq, (uint16_t)(at->seq + seq - 1));
	assert_int_equal(h.ts, at->ts + (seq - 1) * 3000u);
	fill(c, seq == 1, payload);
	assert_int_equal(p.len - p.hlen - p.pad, c->len);
	assert_memory_equal(p.data + p.hlen, payload, c->len);
	/* the short form wherever ids and lengths allow it */
	assert_int_equal(mu_get16(p.data + 12), to->two || n_elements == LONG ? 0x1000 : 0xbede);
	assert_int_equal(p.n_ext, n_elements - 2);
	for (size_t i = 2; i < n_elements; i++) {
		size_t got;
		const uint8_t *data = mu_rtp_ext(&p, elements[i].type, &got);

		assert_non_null(data);
		assert_int_equal(got, elements[i].len);
		for (size_t k = 0; k < got; k++)
			assert_int_equal(data[k], byte_of(i, k));
	}
}

static void relay(const struct codec *c, bool two)
{
	struct side from = { ids(two), two }, to[2] = { { ids(false), false }, { ids(true), true } };
	struct mu_track *track = mu_codec_kind(c->codec) == MU_VIDEO ? stage.video : stage.audio;
	struct mu_transport_spec in = { .n_in = 1 };
	struct mu_rtp_header at[2];
	struct session pub, view[2];

	in.in[0] = (struct mu_stream_in){ .track = track, .mid = "0", .n_formats = 1, .exts = from.map };
	in.in[0].formats[0] = (struct mu_format){ .codec = c->codec, .pt = c->pt };
	stage_connect(&pub, &in);
	for (unsigned v = 0; v < 2; v++) {
		struct mu_transport_spec out = { .n_out = 1 };

		out.out[0] = (struct mu_stream_out){ .track = track,
			.mid = "0",
			.ssrc = STAGE_VIEW_VIDEO,
			.n_formats = 1,
			.exts = to[v].map };
		out.out[0].formats[0].format = (struct mu_format){ .codec = c->codec, .pt = c->view_pt };
		stage_connect(&view[v], &out);
	}
	for (uint16_t seq = 1; seq <= 4; seq++) {
		size_t n = two && seq > 2 ? LONG : SHORT;

		publish_one(&pub, c, &from, seq, n);
		for (unsigned v = 0; v < 2; v++)
			check_one(&view[v], c, &to[v], seq, n, &at[v]);
	}
	for (unsigned v = 0; v < 2; v++)
		stage_end(&view[v]);
	stage_end(&pub);
}

static void test_all_codecs(void **state)
{
	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(codecs); i++) {
		const struct codec *c = &codecs[i];

		print_message("%s\n", mu_codec_name(c->codec));
		assert_true(mu_payload_look(c->codec, c->key, sizeof(c->key)).key);
		for (unsigned two = 0; two < 2; two++) {
			stage_up();
			relay(c, two);
			stage_down();
		}
	}
}

/* A viewer that knows one extension, in the short form, of a publisher with the long one; and one that knows
 * none. */
static void test_unknown_extensions_stay_behind(void **state)
{
	struct side from = { ids(true), true };
	struct mu_transport_spec in, out[2];
	struct session pub, view[2];
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	stage_up();
	in = stage_publisher();
	in.in[0].exts = from.map;
	stage_connect(&pub, &in);
	for (unsigned v = 0; v < 2; v++) {
		out[v] = stage_viewer();
		if (v == 0)
			mu_ext_map_set(&out[v].out[0].exts, MU_EXT_VIDEO_ORIENTATION, 3);
		stage_connect(&view[v], &out[v]);
	}
	publish_one(&pub, &codecs[2], &from, 1, LONG);
	assert_true(stage_take(&view[0], 120, &h, pkt, &len));
	assert_int_equal(h.hlen, 20);
	assert_int_equal(mu_get32(pkt + 12), 0xbede0001);
	assert_int_equal(pkt[16], 0x30);
	assert_int_equal(pkt[17], byte_of(3, 0));
	assert_true(stage_take(&view[1], 120, &h, pkt, &len));
	assert_int_equal(h.hlen, 12);
	stage_end(&view[0]);
	stage_end(&view[1]);
	stage_end(&pub);
	stage_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_codecs),
		cmocka_unit_test(test_unknown_extensions_stay_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
