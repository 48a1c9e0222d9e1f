/* Layers as payload headers name them. */
#include "check.h"

struct row {
	const char *what;
	enum mu_codec codec;
	struct mu_payload_layers want;
	size_t len;
	uint8_t data[24];
};
enum { S = MU_LAYER_START, E = MU_LAYER_END, U = MU_LAYER_UP, I = MU_LAYER_INTRA, N = MU_LAYER_UNREFERENCED };

/* start and end are given as true, true. */
static const struct row rows[] = {
	{ "VP8 key frame of 640x360", MU_CODEC_VP8, { 0, 0, S | E | U | I, 640, 360 }, 11,
		{ 0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01 } },
	{ "VP8 key frame, scaled", MU_CODEC_VP8, { 0, 0, S | E | U | I, 640, 360 }, 11,
		{ 0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x81 } },
	{ "VP8 key frame cut off", MU_CODEC_VP8, { 0, 0, S | E | U | I, 0, 0 }, 10,
		{ 0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68 } },
	{ "VP8 without layers", MU_CODEC_VP8, { 0, 0, S | E | U, 0, 0 }, 2, { 0x10, 0x11 } },
	{ "VP8 layer 1, synchronised", MU_CODEC_VP8, { 0, 1, S | E | U, 0, 0 }, 4, { 0x90, 0x20, 0x60, 0x11 } },
	{ "VP8 layer 2, not referenced", MU_CODEC_VP8, { 0, 2, S | E | N, 0, 0 }, 4, { 0xb0, 0x20, 0x80, 0x11 } },
	{ "VP8 layer 0", MU_CODEC_VP8, { 0, 0, S | E | U, 0, 0 }, 4, { 0x90, 0x20, 0x00, 0x11 } },
	{ "VP8 descriptor cut off", MU_CODEC_VP8, { 0, 0, S | E, 0, 0 }, 2, { 0x90, 0x20 } },
	{ "VP9 flexible, spatial 1 of temporal 2, a frame's middle", MU_CODEC_VP9, { 1, 2, 0, 0, 0 }, 6,
		{ 0xf0, 0x05, 0x42, 0x02, 0x82, 0x49 } },
	{ "VP9, one may go up", MU_CODEC_VP9, { 0, 1, S | E | U, 0, 0 }, 6, { 0xec, 0x05, 0x30, 0x01, 0x82, 0x49 } },
	{ "VP9 key picture with sizes of two layers", MU_CODEC_VP9, { 1, 0, S | E | U | I, 640, 360 }, 15,
		{ 0xae, 0x05, 0x03, 0x00, 0x30, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x00, 0x82 } },
	{ "VP9 sizes cut off", MU_CODEC_VP9, { 1, 0, S | E | U | I, 0, 0 }, 12,
		{ 0xae, 0x05, 0x03, 0x00, 0x30, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01 } },
	{ "VP9 spatial layer 7 is the highest we know", MU_CODEC_VP9, { 2, 3, 0, 0, 0 }, 6,
		{ 0xf0, 0x05, 0xee, 0x02, 0x82, 0x49 } },
	{ "VP9 cut off", MU_CODEC_VP9, { 0, 0, S | E, 0, 0 }, 2, { 0xe0, 0x05 } },
	{ "H.264 has one layer", MU_CODEC_H264, { 0, 0, S | E, 0, 0 }, 3, { 0x65, 0x88, 0x84 } },
	{ "nothing", MU_CODEC_VP9, { 0, 0, S | E, 0, 0 }, 0, { 0 } },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct mu_payload_layers l = mu_payload_layers(r->codec, r->data, r->len, true, true);

		if (l.spatial != r->want.spatial || l.temporal != r->want.temporal || l.flags != r->want.flags ||
			l.width != r->want.width || l.height != r->want.height)
			fail_msg("%s: spatial %u, temporal %u, flags %x, %ux%u", r->what, l.spatial, l.temporal, l.flags,
				l.width, l.height);
	}
}

static void test_ends_of_other_headers(void **state)
{
	static const uint8_t p[] = { 0x41, 0x9a };

	(void)state;
	assert_int_equal(mu_payload_layers(MU_CODEC_H264, p, sizeof(p), false, false).flags, 0);
	assert_int_equal(mu_payload_layers(MU_CODEC_H264, p, sizeof(p), true, false).flags, S);
	assert_int_equal(mu_payload_layers(MU_CODEC_H264, p, sizeof(p), false, true).flags, E);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_ends_of_other_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
