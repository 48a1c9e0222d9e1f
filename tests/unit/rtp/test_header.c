#include "check.h"

static struct mu_packet pkt;

static void assert_ext(const struct mu_packet *p, enum mu_rtp_ext t, const char *want, size_t want_len)
{
	size_t len = 999;
	const uint8_t *d = mu_rtp_ext(p, t, &len);

	assert_non_null(d);
	assert_int_equal(len, want_len);
	assert_memory_equal(d, want, want_len);
}

static void test_plain_header(void **state)
{
	static const uint8_t data[] = { 0x80, 0xe0, 0x12, 0x34, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef, 0x55 };
	struct mu_rtp_header h;

	(void)state;
	assert_int_equal(mu_rtp_parse(data, sizeof(data), &h), 0);
	assert_int_equal(h.pt, 96);
	assert_true(h.marker);
	assert_false(h.padding);
	assert_int_equal(h.seq, 0x1234);
	assert_int_equal(h.ts, 0x01020304);
	assert_int_equal(h.ssrc, 0xdeadbeef);
	assert_int_equal(h.hlen, 12);
}

static void test_rtcp_is_told_apart(void **state)
{
	static const struct {
		uint8_t second;
		bool rtcp;
	} rows[] = { { 191, false }, { 192, true }, { 200, true }, { 223, true }, { 224, false },
		{ 96, false } };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++)
		assert_int_equal(mu_is_rtcp((uint8_t[]){ 0x80, rows[i].second }), rows[i].rtcp);
}

static void test_malformed_headers(void **state)
{
	static const struct {
		size_t len;
		uint8_t data[20];
	} rows[] = {
		{ 0, { 0 } }, { 11, { 0x80 } }, { 12, { 0x40 } }, /* version 1 */
		{ 12, { 0x81 } },                                 /* a CSRC that is not there */
		{ 14, { 0x90 } },                                 /* half an extension header */
		{ 16, { 0x90, [12] = 0xbe, 0xde, 0, 1 } },        /* its words missing */
		{ 20, { 0x90, [12] = 0xbe, 0xde, 0xff, 0xff } },  /* most of them */
		{ 19, { 0x91, [16] = 0xbe, 0xde, 0 } },           /* after a CSRC */
	};
	struct mu_rtp_header h;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		uint8_t *p = exact(rows[i].data, rows[i].len);

		assert_int_equal(mu_rtp_parse(p, rows[i].len, &h), -EBADMSG);
		free(p);
		set_data(&pkt, rows[i].data, rows[i].len);
		assert_int_equal(mu_rtp_fill(&pkt, NULL), -EBADMSG);
	}
}

static void test_padding(void **state)
{
	static const struct {
		uint8_t last;
		int err;
	} rows[] = { { 0, -EBADMSG }, { 1, 0 }, { 4, 0 }, { 5, -EBADMSG }, { 255, -EBADMSG } };
	uint8_t data[16] = { 0xa0, 96 };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		data[15] = rows[i].last;
		set_data(&pkt, data, sizeof(data));
		assert_int_equal(mu_rtp_fill(&pkt, NULL), rows[i].err);
		if (!rows[i].err)
			assert_int_equal(pkt.pad, rows[i].last);
	}
}

static void test_fill_leaves_the_tracks_own_alone(void **state)
{
	static const uint8_t data[] = { 0x82, 0xe0, 0xff, 0xff, 1, 2, 3, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
		3, 9 };

	(void)state;
	set_data(&pkt, data, sizeof(data));
	pkt.seq = 77;
	pkt.ts = 88;
	pkt.codec = 3;
	pkt.flags = MU_PACKET_KEY;
	assert_int_equal(mu_rtp_fill(&pkt, NULL), 0);
	assert_int_equal(pkt.hlen, 20);
	assert_int_equal(pkt.wire_seq, 0xffff);
	assert_int_equal(pkt.wire_ts, 0x01020304);
	assert_int_equal(pkt.pt, 96);
	assert_int_equal(pkt.flags, MU_PACKET_KEY | MU_PACKET_MARKER);
	assert_int_equal(pkt.seq, 77);
	assert_int_equal(pkt.ts, 88);
	assert_int_equal(pkt.codec, 3);
}

/* RFC 8285, section 4.2: lengths 1 and 3, padding between and at the end. */
static void test_one_byte_extensions(void **state)
{
	static const uint8_t data[] = { 0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 3, 0x10, 0xaa,
		0x00, 0x22, 'm', 'i', 'd', 0x31, 0x12, 0x34, 0x00, 0x00 };
	struct mu_ext_map m = { 0 };
	size_t len;

	(void)state;
	mu_ext_map_set(&m, MU_EXT_AUDIO_LEVEL, 1);
	mu_ext_map_set(&m, MU_EXT_MID, 2);
	mu_ext_map_set(&m, MU_EXT_TWCC, 3);
	mu_ext_map_set(&m, MU_EXT_RID, 4);
	set_data(&pkt, data, sizeof(data));
	assert_int_equal(mu_rtp_fill(&pkt, &m), 0);
	assert_int_equal(pkt.n_ext, 3);
	assert_ext(&pkt, MU_EXT_AUDIO_LEVEL, "\xaa", 1);
	assert_ext(&pkt, MU_EXT_MID, "mid", 3);
	assert_ext(&pkt, MU_EXT_TWCC, "\x12\x34", 2);
	assert_null(mu_rtp_ext(&pkt, MU_EXT_RID, &len));
}

/* RFC 8285, section 4.3: a length of 0, ids above 14, application bits in the profile. */
static void test_two_byte_extensions(void **state)
{
	static const uint8_t data[] = { 0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0x07, 0, 3, 1, 0, 0,
		200, 3, 'm', 'i', 'd', 15, 1, 0xaa, 0 };
	struct mu_ext_map m = { 0 };

	(void)state;
	mu_ext_map_set(&m, MU_EXT_COLOR_SPACE, 1);
	mu_ext_map_set(&m, MU_EXT_MID, 200);
	mu_ext_map_set(&m, MU_EXT_AUDIO_LEVEL, 15);
	set_data(&pkt, data, sizeof(data));
	assert_int_equal(mu_rtp_fill(&pkt, &m), 0);
	assert_int_equal(pkt.n_ext, 3);
	assert_ext(&pkt, MU_EXT_COLOR_SPACE, "", 0);
	assert_ext(&pkt, MU_EXT_MID, "mid", 3);
	assert_ext(&pkt, MU_EXT_AUDIO_LEVEL, "\xaa", 1);
}

/* The list ends where it goes wrong; the packet is good and so is what came before. */
static void test_malformed_extensions(void **state)
{
	static const struct {
		unsigned n_ext;
		uint8_t block[12];
	} rows[] = {
		{ 1, { 0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x2f, 1, 2, 3, 4, 5 } },    /* runs over the end */
		{ 1, { 0xbe, 0xde, 0, 2, 0x10, 0xaa, 0xf0, 1, 0x20, 3, 0, 0 } }, /* id 15 */
		{ 1, { 0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x01, 1, 0x20, 3, 0, 0 } }, /* id 0 with a length */
		{ 1, { 0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x10, 0xbb, 0x10, 0xcc, 0, 0 } }, /* thrice the same */
		{ 1, { 0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x50, 1, 0x60, 1, 0x70, 1 } },    /* unknown ones */
		{ 0, { 0xbe, 0xdf, 0, 2, 0x10, 0xaa, 0x20, 1, 0, 0, 0, 0 } },          /* another profile */
		{ 1, { 0x10, 0x00, 0, 2, 1, 1, 0xaa, 2, 4, 1, 2, 3 } },
		{ 1, { 0x10, 0x00, 0, 2, 1, 1, 0xaa, 0, 0, 0, 0, 2 } }, /* no length any more */
	};
	struct mu_ext_map m = { 0 };

	(void)state;
	mu_ext_map_set(&m, MU_EXT_AUDIO_LEVEL, 1);
	mu_ext_map_set(&m, MU_EXT_MID, 2);
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		uint8_t data[24] = { 0x90, 96 };

		memcpy(data + 12, rows[i].block, 12);
		set_data(&pkt, data, sizeof(data));
		assert_int_equal(mu_rtp_fill(&pkt, &m), 0);
		assert_int_equal(pkt.n_ext, rows[i].n_ext);
		if (pkt.n_ext)
			assert_ext(&pkt, MU_EXT_AUDIO_LEVEL, "\xaa", 1);
	}
}

static const uint8_t incoming[] = { 0xb1, 0xe0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 3,
	0x10, 0xaa, 0x22, 'm', 'i', 'd', 0x31, 0x12, 0x34, 0x50, 0x01, 0x00, 0x99, 2, 2 };

static void load_incoming(void)
{
	struct mu_ext_map from = { 0 };

	mu_ext_map_set(&from, MU_EXT_AUDIO_LEVEL, 1);
	mu_ext_map_set(&from, MU_EXT_MID, 2);
	mu_ext_map_set(&from, MU_EXT_TWCC, 3);
	mu_ext_map_set(&from, MU_EXT_VIDEO_ORIENTATION, 5);
	set_data(&pkt, incoming, sizeof(incoming));
	assert_int_equal(mu_rtp_fill(&pkt, &from), 0);
	assert_int_equal(pkt.n_ext, 4);
}

/* What travels is renumbered, what does not is replaced by our own, and the bytes are just these. */
static void test_written_header(void **state)
{
	static const uint8_t want[] = { 0xb0, 0xe1, 0xff, 0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 0xbe, 0xde, 0, 3,
		0x40, 0xaa, 0xe0, 0x01, 0x71, 'v', '0', 0x91, 0x00, 0x07, 0, 0 };
	const struct mu_ext_add add[] = { { MU_EXT_MID, 2, (const uint8_t *)"v0" },
		{ MU_EXT_TWCC, 2, (const uint8_t *)"\0\7" }, { MU_EXT_RID, 1, (const uint8_t *)"h" } };
	struct mu_ext_map to = { 0 };
	uint8_t h[MU_RTP_HEADER_MAX];

	(void)state;
	load_incoming();
	mu_ext_map_set(&to, MU_EXT_AUDIO_LEVEL, 4);
	mu_ext_map_set(&to, MU_EXT_VIDEO_ORIENTATION, 14);
	mu_ext_map_set(&to, MU_EXT_MID, 7);
	mu_ext_map_set(&to, MU_EXT_TWCC, 9);
	assert_int_equal(mu_rtp_write_header(&pkt, &to, add, MU_ARRAY_LEN(add), h), sizeof(want));
	mu_rtp_patch(h, 97, 0xfffe, 0x01020304, 0x05060708);
	assert_memory_equal(h, want, sizeof(want));
}

static void test_header_without_extensions(void **state)
{
	struct mu_ext_map to = { 0 };
	uint8_t h[MU_RTP_HEADER_MAX];

	(void)state;
	load_incoming();
	mu_ext_map_set(&to, MU_EXT_MID, 7); /* does not travel, and nobody adds one */
	assert_int_equal(mu_rtp_write_header(&pkt, &to, NULL, 0, h), 12);
	assert_int_equal(h[0], 0xa0);
	assert_int_equal(h[1], 0x80);
}

static void test_two_byte_form_when_needed(void **state)
{
	const struct mu_ext_add empty = { MU_EXT_MID, 0, NULL },
				long_one = { MU_EXT_MID, 17, (const uint8_t *)"12345678901234567" };
	struct mu_ext_map to = { 0 };
	uint8_t h[MU_RTP_HEADER_MAX];

	(void)state;
	load_incoming();
	mu_ext_map_set(&to, MU_EXT_AUDIO_LEVEL, 4);
	mu_ext_map_set(&to, MU_EXT_MID, 7);
	assert_int_equal(mu_rtp_write_header(&pkt, &to, &empty, 1, h), 16 + 8);
	assert_memory_equal(h + 12, "\x10\0\0\2\4\1\xaa\7\0\0\0\0", 12);
	assert_int_equal(mu_rtp_write_header(&pkt, &to, &long_one, 1, h), 16 + 24);
	assert_memory_equal(h + 12, "\x10\0\0\6\4\1\xaa\7\x11", 9);
	mu_ext_map_set(&to, MU_EXT_AUDIO_LEVEL, 15);
	assert_int_equal(mu_rtp_write_header(&pkt, &to, NULL, 0, h), 16 + 4);
	assert_memory_equal(h + 12, "\x10\0\0\1\x0f\1\xaa\0", 8);
}

static void test_what_does_not_fit_is_left_out(void **state)
{
	static const uint8_t big[255];
	const struct mu_ext_add add[] = { { MU_EXT_MID, 255, big }, { MU_EXT_RID, 235, big },
		{ MU_EXT_TWCC, 2, big }, { MU_EXT_VIDEO_TIMING, 1, big } };
	struct mu_ext_map to = { 0 };
	uint8_t *h = malloc(MU_RTP_HEADER_MAX); /* not one byte more */

	(void)state;
	assert_non_null(h);
	load_incoming();
	for (uint8_t t = 1; t < MU_EXT_COUNT; t++)
		mu_ext_map_set(&to, (enum mu_rtp_ext)t, t);
	pkt.n_ext = 0;
	assert_int_equal(mu_rtp_write_header(&pkt, &to, add, MU_ARRAY_LEN(add), h), MU_RTP_HEADER_MAX);
	assert_int_equal(mu_get16(h + 14), 60);
	assert_int_equal(h[16], MU_EXT_RID);
	assert_int_equal(h[16 + 237], MU_EXT_VIDEO_TIMING);
	free(h);
}

/* parse(write(x)) == x for random elements, and a second write is the same as the first. */
static void test_round_trip(void **state)
{
	uint32_t seed = 4711;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct mu_ext_map map = { 0 };
		uint8_t value[MU_EXT_COUNT][20], h[MU_RTP_HEADER_MAX], again[MU_RTP_HEADER_MAX];
		struct mu_ext_add add[MU_PACKET_EXTS];
		size_t n = next_random(&seed) % (MU_PACKET_EXTS + 1), len;
		bool wide = next_random(&seed) & 1;

		for (size_t i = 0; i < n; i++) {
			uint8_t t = (uint8_t)(1 + i), id = (uint8_t)(wide ? 250 - 3 * i : 14 - i);

			for (size_t k = 0; k < sizeof(value[i]); k++)
				value[i][k] = (uint8_t)next_random(&seed);
			mu_ext_map_set(&map, (enum mu_rtp_ext)t, id);
			add[i] = (struct mu_ext_add){ (enum mu_rtp_ext)t,
				(uint8_t)(wide ? next_random(&seed) % 21 : 1 + next_random(&seed) % 16),
				value[i] };
		}
		memset(&pkt, 0, sizeof(pkt));
		pkt.flags = next_random(&seed) & MU_PACKET_MARKER;
		len = mu_rtp_write_header(&pkt, &map, add, n, h);
		assert_int_equal(len % 4, 0);
		mu_rtp_patch(h, 127, (uint16_t)seed, seed, ~seed);
		set_data(&pkt, h, len);
		assert_int_equal(mu_rtp_fill(&pkt, &map), 0);
		assert_int_equal(pkt.hlen, len);
		assert_int_equal(pkt.pt, 127);
		assert_int_equal(pkt.wire_seq, (uint16_t)seed);
		assert_int_equal(pkt.wire_ts, seed);
		assert_int_equal(pkt.n_ext, n);
		for (size_t i = 0; i < n; i++)
			assert_ext(&pkt, add[i].type, (const char *)add[i].data, add[i].len);
		assert_int_equal(mu_rtp_write_header(&pkt, &map, add, n, again), len);
		mu_rtp_patch(again, 127, (uint16_t)seed, seed, ~seed);
		assert_memory_equal(h, again, len);
	}
}

static void test_unwrap(void **state)
{
	(void)state;
	assert_int_equal(mu_seq_unwrap(65536 + 65535, 0), 2 * 65536);
	assert_int_equal(mu_seq_unwrap(2 * 65536, 65535), 65536 + 65535);
	assert_int_equal(mu_seq_unwrap(65536, 65535), 65535);
	assert_int_equal(mu_seq_unwrap(65536 + 100, 100), 65536 + 100);
	assert_int_equal(mu_seq_unwrap(65536 + 100, 100 + 32767), 65536 + 100 + 32767);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_header),
		cmocka_unit_test(test_rtcp_is_told_apart),
		cmocka_unit_test(test_malformed_headers),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_fill_leaves_the_tracks_own_alone),
		cmocka_unit_test(test_one_byte_extensions),
		cmocka_unit_test(test_two_byte_extensions),
		cmocka_unit_test(test_malformed_extensions),
		cmocka_unit_test(test_written_header),
		cmocka_unit_test(test_header_without_extensions),
		cmocka_unit_test(test_two_byte_form_when_needed),
		cmocka_unit_test(test_what_does_not_fit_is_left_out),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_unwrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
