#include "check.h"

static void test_names_there_and_back(void **state)
{
	(void)state;
	for (int c = MU_CODEC_OPUS; c <= MU_CODEC_AV1; c++) {
		const char *name = mu_codec_name((enum mu_codec)c);

		assert_int_equal(mu_codec_parse(name, strlen(name)), c);
		assert_int_not_equal(mu_codec_clock((enum mu_codec)c), 0);
	}
	assert_int_equal(mu_codec_parse("h264/90000", 4), MU_CODEC_H264);
	assert_int_equal(mu_codec_parse("OPUS", 4), MU_CODEC_OPUS);
	assert_int_equal(mu_codec_parse("none", 4), MU_CODEC_NONE);
	assert_int_equal(mu_codec_parse("VP", 2), MU_CODEC_NONE);
	assert_int_equal(mu_codec_parse("", 0), MU_CODEC_NONE);
}

static void test_kinds_and_clocks(void **state)
{
	(void)state;
	assert_int_equal(mu_codec_kind(MU_CODEC_G722), MU_AUDIO);
	assert_int_equal(mu_codec_clock(MU_CODEC_G722), 8000);
	assert_int_equal(mu_codec_clock(MU_CODEC_OPUS), 48000);
	assert_int_equal(mu_codec_kind(MU_CODEC_H265), MU_VIDEO);
	assert_int_equal(mu_codec_clock(MU_CODEC_AV1), 90000);
	assert_string_equal(mu_codec_name((enum mu_codec)99), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_there_and_back),
		cmocka_unit_test(test_kinds_and_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
