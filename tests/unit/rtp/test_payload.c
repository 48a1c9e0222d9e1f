#include "check.h"

#define NO                                 \
	{                                  \
		false, false, false, false \
	}
#define START                             \
	{                                 \
		true, false, false, false \
	}
#define KEY                              \
	{                                \
		true, true, false, false \
	}
#define PARAMS                           \
	{                                \
		true, false, true, false \
	}
#define ENTRY                            \
	{                                \
		true, false, false, true \
	}
#define KEY_AND_PARAMS                  \
	{                               \
		true, true, true, false \
	}
#define PARAMS_AND_ENTRY               \
	{                              \
		true, true, true, true \
	}

struct row {
	const char *what;
	enum mu_codec codec;
	struct mu_payload_info want;
	size_t len;
	uint8_t data[24];
};

static const struct row rows[] = {
	{ "opus", MU_CODEC_OPUS, KEY, 1, { 0xfc } },
	{ "PCMU", MU_CODEC_PCMU, KEY, 2, { 0xff, 0xff } },
	{ "no codec", MU_CODEC_NONE, NO, 2, { 0x65, 0x88 } },

	{ "H264 IDR", MU_CODEC_H264, KEY, 3, { 0x65, 0x88, 0x84 } },
	{ "H264 IDR, a later slice", MU_CODEC_H264, NO, 3, { 0x65, 0x00, 0x88 } },
	{ "H264 slice", MU_CODEC_H264, START, 3, { 0x41, 0x9a, 0x02 } },
	{ "H264 slice, a later one", MU_CODEC_H264, NO, 3, { 0x41, 0x1a, 0x02 } },
	{ "H264 SPS", MU_CODEC_H264, PARAMS, 4, { 0x67, 0x42, 0xc0, 0x1f } },
	{ "H264 PPS", MU_CODEC_H264, START, 2, { 0x68, 0xce } },
	{ "H264 SEI", MU_CODEC_H264, START, 2, { 0x06, 0x05 } },
	{ "H264 delimiter", MU_CODEC_H264, START, 2, { 0x09, 0xf0 } },
	{ "H264 filler", MU_CODEC_H264, NO, 2, { 0x0c, 0xff } },
	{ "H264 forbidden bit", MU_CODEC_H264, NO, 2, { 0xe5, 0x88 } },
	{ "H264 only a header", MU_CODEC_H264, NO, 1, { 0x65 } },
	{ "H264 STAP-A SPS PPS IDR", MU_CODEC_H264, KEY_AND_PARAMS, 13,
		{ 0x78, 0, 3, 0x67, 0x42, 0xc0, 0, 2, 0x68, 0xce, 0, 1, 0x65 } },
	{ "H264 STAP-A SPS PPS", MU_CODEC_H264, PARAMS, 10,
		{ 0x78, 0, 3, 0x67, 0x42, 0xc0, 0, 2, 0x68, 0xce } },
	{ "H264 STAP-A SPS P slice", MU_CODEC_H264, PARAMS, 10,
		{ 0x78, 0, 3, 0x67, 0x42, 0xc0, 0, 2, 0x41, 0x9a } },
	{ "H264 STAP-A SPS I slice", MU_CODEC_H264, PARAMS_AND_ENTRY, 10,
		{ 0x78, 0, 3, 0x67, 0x42, 0xc0, 0, 2, 0x61, 0x88 } },
	{ "H264 I slice", MU_CODEC_H264, ENTRY, 3, { 0x61, 0x88, 0x84 } },
	{ "H264 I slice, others may be P", MU_CODEC_H264, ENTRY, 3, { 0x61, 0xb4, 0x84 } },
	{ "H264 B slice", MU_CODEC_H264, START, 3, { 0x01, 0xa8, 0x84 } },
	{ "H264 recovery point", MU_CODEC_H264, ENTRY, 5, { 0x06, 0x06, 0x01, 0xc4, 0x80 } },
	{ "H264 recovery point behind a time", MU_CODEC_H264, ENTRY, 9,
		{ 0x06, 0x01, 0x02, 0x12, 0x34, 0x06, 0x01, 0xc4, 0x80 } },
	{ "H264 no recovery point, a long message", MU_CODEC_H264, START, 7,
		{ 0x06, 0xff, 0x05, 0x06, 0x01, 0x06, 0x80 } },
	{ "H264 SEI too long a size", MU_CODEC_H264, START, 5, { 0x06, 0x01, 0xff, 0xff, 0x06 } },
	{ "H264 recovery point cut", MU_CODEC_H264, START, 3, { 0x06, 0x06, 0x01 } },
	{ "H264 STAP-A delimiter IDR", MU_CODEC_H264, KEY, 9, { 0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x65, 0x88 } },
	{ "H264 STAP-A SEI slice", MU_CODEC_H264, START, 9, { 0x18, 0, 2, 0x06, 0xf0, 0, 2, 0x41, 0x9a } },
	{ "H264 STAP-A a later IDR slice first", MU_CODEC_H264, NO, 9,
		{ 0x78, 0, 2, 0x65, 0x40, 0, 2, 0x65, 0x88 } },
	{ "H264 STAP-A too long a size", MU_CODEC_H264, NO, 5, { 0x78, 0, 3, 0x67, 0x42 } },
	{ "H264 STAP-A size 0", MU_CODEC_H264, NO, 5, { 0x78, 0, 0, 0x67, 0x42 } },
	{ "H264 STAP-A second too long", MU_CODEC_H264, NO, 7, { 0x78, 0, 2, 0x67, 0x42, 0xff, 0xff } },
	{ "H264 STAP-A empty", MU_CODEC_H264, NO, 1, { 0x78 } },
	{ "H264 FU-A IDR start", MU_CODEC_H264, KEY, 3, { 0x7c, 0x85, 0x88 } },
	{ "H264 FU-A IDR middle", MU_CODEC_H264, NO, 3, { 0x7c, 0x05, 0x88 } },
	{ "H264 FU-A IDR end", MU_CODEC_H264, NO, 3, { 0x7c, 0x45, 0x88 } },
	{ "H264 FU-A IDR start of a later slice", MU_CODEC_H264, NO, 3, { 0x7c, 0x85, 0x28 } },
	{ "H264 FU-A slice start", MU_CODEC_H264, START, 3, { 0x5c, 0x81, 0x9a } },
	{ "H264 FU-A short", MU_CODEC_H264, NO, 2, { 0x7c, 0x85 } },
	{ "H264 FU-B", MU_CODEC_H264, NO, 5, { 0x7d, 0x85, 0, 0, 0x88 } },

	{ "H265 IDR_W_RADL", MU_CODEC_H265, KEY, 4, { 0x26, 0x01, 0xaf, 0x08 } },
	{ "H265 CRA", MU_CODEC_H265, KEY, 4, { 0x2a, 0x01, 0xaf, 0x08 } },
	{ "H265 BLA_W_LP", MU_CODEC_H265, KEY, 4, { 0x20, 0x01, 0xaf, 0x08 } },
	{ "H265 reserved 22", MU_CODEC_H265, START, 4, { 0x2c, 0x01, 0xaf, 0x08 } },
	{ "H265 IDR, a later segment", MU_CODEC_H265, NO, 4, { 0x26, 0x01, 0x2f, 0x08 } },
	{ "H265 TRAIL_R", MU_CODEC_H265, START, 4, { 0x02, 0x01, 0xd0, 0x08 } },
	{ "H265 VPS", MU_CODEC_H265, PARAMS, 4, { 0x40, 0x01, 0x0c, 0x01 } },
	{ "H265 SPS", MU_CODEC_H265, PARAMS, 4, { 0x42, 0x01, 0x01, 0x01 } },
	{ "H265 PPS", MU_CODEC_H265, START, 4, { 0x44, 0x01, 0xc1, 0x72 } },
	{ "H265 AP VPS IDR", MU_CODEC_H265, KEY_AND_PARAMS, 12,
		{ 0x60, 0x01, 0, 3, 0x40, 0x01, 0x0c, 0, 3, 0x26, 0x01, 0xaf } },
	{ "H265 recovery point", MU_CODEC_H265, ENTRY, 6, { 0x4e, 0x01, 0x06, 0x01, 0xd0, 0x80 } },
	{ "H265 suffix SEI", MU_CODEC_H265, NO, 4, { 0x50, 0x01, 0xc1, 0x72 } },
	{ "H265 layer 1", MU_CODEC_H265, NO, 4, { 0x26, 0x09, 0xaf, 0x08 } },
	{ "H265 layer 32", MU_CODEC_H265, NO, 4, { 0x27, 0x01, 0xaf, 0x08 } },
	{ "H265 temporal id 0", MU_CODEC_H265, NO, 4, { 0x26, 0x00, 0xaf, 0x08 } },
	{ "H265 AP VPS SPS", MU_CODEC_H265, PARAMS, 12,
		{ 0x60, 0x01, 0, 3, 0x40, 0x01, 0x0c, 0, 3, 0x42, 0x01, 0x01 } },
	{ "H265 AP delimiter IDR", MU_CODEC_H265, KEY, 12,
		{ 0x60, 0x01, 0, 3, 0x46, 0x01, 0x10, 0, 3, 0x26, 0x01, 0xaf } },
	{ "H265 AP delimiter TRAIL", MU_CODEC_H265, START, 12,
		{ 0x60, 0x01, 0, 3, 0x46, 0x01, 0x10, 0, 3, 0x02, 0x01, 0xaf } },
	{ "H265 AP too long a size", MU_CODEC_H265, NO, 7, { 0x60, 0x01, 0, 4, 0x40, 0x01, 0x0c } },
	{ "H265 AP size 1", MU_CODEC_H265, NO, 7, { 0x60, 0x01, 0, 1, 0x40, 0x01, 0x0c } },
	{ "H265 FU IDR start", MU_CODEC_H265, KEY, 4, { 0x62, 0x01, 0x93, 0xaf } },
	{ "H265 FU IDR middle", MU_CODEC_H265, NO, 4, { 0x62, 0x01, 0x13, 0xaf } },
	{ "H265 FU TRAIL start", MU_CODEC_H265, START, 4, { 0x62, 0x01, 0x81, 0xaf } },
	{ "H265 FU without a body", MU_CODEC_H265, NO, 3, { 0x62, 0x01, 0x93 } },
	{ "H265 short", MU_CODEC_H265, NO, 1, { 0x26 } },

	/* RFC 7741, section 4.6.1..4.6.4 */
	{ "VP8 key frame, no extension", MU_CODEC_VP8, KEY, 2, { 0x10, 0x50 } },
	{ "VP8 interframe", MU_CODEC_VP8, START, 2, { 0x10, 0x51 } },
	{ "VP8 picture id 7 bits", MU_CODEC_VP8, KEY, 4, { 0x90, 0x80, 0x11, 0x00 } },
	{ "VP8 picture id 15 bits", MU_CODEC_VP8, KEY, 5, { 0x90, 0x80, 0x92, 0x11, 0x00 } },
	{ "VP8 picture id 15 bits, inter", MU_CODEC_VP8, START, 5, { 0x90, 0x80, 0x92, 0x10, 0x01 } },
	{ "VP8 all of I L T K", MU_CODEC_VP8, KEY, 7, { 0x90, 0xf0, 0x80, 0x01, 0x05, 0x21, 0x00 } },
	{ "VP8 K alone", MU_CODEC_VP8, START, 4, { 0x90, 0x10, 0x01, 0x01 } },
	{ "VP8 second partition", MU_CODEC_VP8, NO, 2, { 0x11, 0x00 } },
	{ "VP8 goes on", MU_CODEC_VP8, NO, 2, { 0x00, 0x00 } },
	{ "VP8 no payload", MU_CODEC_VP8, NO, 1, { 0x10 } },
	{ "VP8 cut in the descriptor", MU_CODEC_VP8, NO, 2, { 0x90, 0x80 } },
	{ "VP8 cut before the payload", MU_CODEC_VP8, NO, 6, { 0x90, 0xf0, 0x80, 0x01, 0x05, 0x21 } },

	{ "VP9 key", MU_CODEC_VP9, KEY, 4, { 0x88, 0x81, 0x23, 0x82 } },
	{ "VP9 inter", MU_CODEC_VP9, START, 3, { 0xc8, 0x01, 0x86 } },
	{ "VP9 not the beginning", MU_CODEC_VP9, NO, 3, { 0x84, 0x01, 0x86 } },
	{ "VP9 layer 0, not flexible", MU_CODEC_VP9, KEY, 5, { 0xa8, 0x01, 0x00, 0x07, 0x82 } },
	{ "VP9 layer 1", MU_CODEC_VP9, NO, 5, { 0xa8, 0x01, 0x03, 0x07, 0x82 } },
	{ "VP9 flexible, two P_DIFF", MU_CODEC_VP9, START, 6, { 0xf8, 0x01, 0x00, 0x03, 0x04, 0x86 } },
	{ "VP9 flexible, P_DIFF without end", MU_CODEC_VP9, START, 7,
		{ 0xf8, 0x01, 0x00, 0x03, 0x03, 0x03, 0x86 } },
	{ "VP9 key, SS with sizes and group", MU_CODEC_VP9, KEY, 16,
		{ 0xaa, 0x01, 0x00, 0x07, 0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x01, 0x00,
			0x82 } },
	{ "VP9 SS cut", MU_CODEC_VP9, NO, 9, { 0xaa, 0x01, 0x00, 0x07, 0x38, 0x01, 0x40, 0x00, 0xb4 } },
	{ "VP9 SS group cut", MU_CODEC_VP9, NO, 5, { 0x0a, 0x08, 0xff, 0x0c, 0x01 } },
	{ "VP9 only a descriptor", MU_CODEC_VP9, NO, 1, { 0x08 } },
	{ "VP9 descriptor cut", MU_CODEC_VP9, NO, 2, { 0x88, 0x81 } },

	{ "AV1 new sequence", MU_CODEC_AV1, KEY, 3, { 0x18, 0x08, 0x00 } },
	{ "AV1 new sequence, two elements", MU_CODEC_AV1, KEY, 6, { 0x28, 0x02, 0x08, 0x00, 0x30, 0x10 } },
	{ "AV1 new sequence, any number", MU_CODEC_AV1, KEY, 7,
		{ 0x08, 0x02, 0x08, 0x00, 0x02, 0x30, 0x10 } },
	{ "AV1 frame", MU_CODEC_AV1, START, 3, { 0x10, 0x30, 0x10 } },
	{ "AV1 fragment", MU_CODEC_AV1, NO, 3, { 0x90, 0x30, 0x10 } },
	{ "AV1 N in a fragment", MU_CODEC_AV1, NO, 3, { 0x98, 0x08, 0x10 } },
	{ "AV1 tile group", MU_CODEC_AV1, NO, 3, { 0x10, 0x20, 0x10 } },
	{ "AV1 spatial layer 0", MU_CODEC_AV1, START, 3, { 0x10, 0x34, 0x20 } },
	{ "AV1 spatial layer 1", MU_CODEC_AV1, NO, 3, { 0x10, 0x34, 0x28 } },
	{ "AV1 element too long", MU_CODEC_AV1, NO, 4, { 0x28, 0x03, 0x08, 0x00 } },
	{ "AV1 element of 0", MU_CODEC_AV1, NO, 4, { 0x28, 0x00, 0x08, 0x00 } },
	{ "AV1 length without end", MU_CODEC_AV1, NO, 10,
		{ 0x28, 128, 128, 128, 128, 128, 128, 128, 128, 1 } },
	{ "AV1 length in two bytes", MU_CODEC_AV1, KEY, 6, { 0x28, 0x81, 0x00, 0x08, 0x30, 0x00 } },
	{ "AV1 forbidden bit", MU_CODEC_AV1, NO, 3, { 0x18, 0x88, 0x00 } },
	{ "AV1 only a header", MU_CODEC_AV1, NO, 1, { 0x18 } },
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		uint8_t *p = exact(r->data, r->len);
		struct mu_payload_info got = mu_payload_look(r->codec, p, r->len);

		if (got.frame_start != r->want.frame_start || got.key != r->want.key ||
			got.params != r->want.params || got.entry != r->want.entry)
			fail_msg("%s: start %d key %d params %d entry %d", r->what, got.frame_start, got.key,
				got.params, got.entry);
		free(p);
	}
}

/* Whatever it is and wherever it is cut: no read past the end (the sanitizer's catch), no key without a
 * start. */
static void test_cut_anywhere(void **state)
{
	uint32_t seed = 99;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		size_t len = next_random(&seed) % 20;
		uint8_t *p = exact("0123456789012345678", len);

		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t)next_random(&seed);
		for (int c = MU_CODEC_NONE; c <= MU_CODEC_AV1; c++) {
			struct mu_payload_info got = mu_payload_look((enum mu_codec)c, p, len);

			assert_true(got.frame_start || !(got.key || got.params || got.entry));
			assert_true(len || !got.frame_start);
		}
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
