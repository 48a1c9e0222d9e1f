#include <stdio.h>

#include "check.h"

static int suits(enum mu_codec codec, const char *from, const char *to)
{
	struct mu_format a = { .codec = codec, .channels = 1 }, b = a;

	snprintf(a.fmtp, sizeof(a.fmtp), "%s", from);
	snprintf(b.fmtp, sizeof(b.fmtp), "%s", to);
	return mu_format_suits(&a, &b);
}

#define M1 "packetization-mode=1;profile-level-id="
#define M0 "packetization-mode=0;profile-level-id="

/* RFC 6184, section 8.2.2; profiles of table 5 */
static void test_h264(void **state)
{
	static const struct {
		const char *from, *to;
		bool suits;
	} cases[] = {
		{ M1 "42e01f", M1 "42e034", true },
		{ M1 "42c01f", "profile-level-id=42E01F; packetization-mode=1", true },
		{ M1 "42e01f", M0 "42e01f", false }, /* fragments */
		{ "profile-level-id=42e01f", M1 "42e01f", true },
		{ M1 "42e01f", M1 "42001f", true },
		{ M1 "42e01f", M1 "4d001f", true },
		{ M1 "4d401f", M1 "4d001f", true },
		{ M1 "4d001f", M1 "64001f", true },
		/* only lower ones are offered: sent all the same */
		{ M1 "4d001f", M1 "42e01f", true },
		{ M1 "42001f", M1 "42e01f", true },
		{ M1 "64001f", M1 "4d001f", true },
		{ M1 "640c28", M1 "42e01f", true },
		{ M1 "640028", M0 "42e01f", false },
		/* what no usual decoder takes */
		{ M1 "f4001f", M1 "64001f", false },
		{ M1 "7a001f", M1 "64001f", false },
		{ M1 "6e001f", M1 "64001f", false },
		{ M1 "58001f", M1 "42e01f", false },
		{ M1 "f4001f", M1 "f40028", true },
		/* GStreamer's */
		{ "", M1 "42e01f", true },
		{ "", M0 "42e01f", false },
		{ M1 "42e01f", "", true },
		{ M1 "64001f", "packetization-mode=1", true },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		if ((suits(MU_CODEC_H264, cases[i].from, cases[i].to) > 0) != cases[i].suits)
			fail_msg("%s to %s", cases[i].from, cases[i].to);
	}
}

/* Of several that a viewer offers the one that promises most. */
static void test_h264_best(void **state)
{
	static const struct {
		const char *from, *better, *worse;
	} cases[] = {
		{ M1 "640028", M1 "64001f", M1 "42e01f" },
		{ M1 "640028", "packetization-mode=1", M1 "42e01f" },
		{ M1 "640c28", M1 "64001f", "packetization-mode=1" }, /* High decodes Constrained High */
		{ M1 "42e01f", M1 "42e034", M1 "4d001f" },
		{ M0 "42e01f", M0 "42e01f", M1 "42e01f" },
		{ M0 "42e01f", M1 "42e01f", M0 "4d001f" },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		int a = suits(MU_CODEC_H264, cases[i].from, cases[i].better),
		    b = suits(MU_CODEC_H264, cases[i].from, cases[i].worse);

		if (a <= b || b <= 0)
			fail_msg("%s: %s is %d, %s is %d", cases[i].from, cases[i].better, a, cases[i].worse,
				b);
	}
}

static void test_other_video(void **state)
{
	static const struct {
		enum mu_codec codec;
		const char *from, *to;
		bool suits;
	} cases[] = {
		{ MU_CODEC_VP9, "", "profile-id=0", true },
		{ MU_CODEC_VP9, "profile-id=2", "profile-id=0", false },
		{ MU_CODEC_AV1, "level-idx=5;profile=0;tier=0", "", true },
		{ MU_CODEC_AV1, "profile=1", "profile=0", false },
		{ MU_CODEC_H265, "level-id=93;tx-mode=SRST", "profile-id=1;tier-flag=0;level-id=180", true },
		{ MU_CODEC_H265, "profile-id=2", "profile-id=1", false },
		{ MU_CODEC_H265, "tx-mode=MRST", "", false },
		{ MU_CODEC_VP8, "max-fs=12288;max-fr=60", "", true },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		if ((suits(cases[i].codec, cases[i].from, cases[i].to) > 0) != cases[i].suits)
			fail_msg("%s: %s to %s", mu_codec_name(cases[i].codec), cases[i].from, cases[i].to);
	}
}

static void test_codecs_and_channels(void **state)
{
	struct mu_format opus = {
		.codec = MU_CODEC_OPUS, .channels = 2, .fmtp = "minptime=10;useinbandfec=1"
	};
	struct mu_format a = { .codec = MU_CODEC_PCMA }, b = { .codec = MU_CODEC_PCMA, .channels = 1 };
	struct mu_format stereo = { .codec = MU_CODEC_PCMA, .channels = 2 },
			 none = { .codec = MU_CODEC_NONE };

	(void)state;
	assert_true(mu_format_suits(&opus, &(struct mu_format){ .codec = MU_CODEC_OPUS, .channels = 2 }) > 0);
	assert_int_equal(mu_format_suits(&opus, &a), 0);
	assert_true(mu_format_suits(&a, &b) > 0);
	assert_int_equal(mu_format_suits(&a, &stereo), 0);
	assert_int_equal(mu_format_suits(&none, &none), 0);
}

static void test_parameters(void **state)
{
	static const struct {
		const char *fmtp, *name, *want;
	} cases[] = {
		{ "apt=96", "apt", "96" }, { "apt=96", "APT", "96" },
		{ "rtx-time=3000; apt=96 ;x=y", "apt", "96" }, { "a=;b=2", "a", "" }, { ";;b=2;", "b", "2" },
		{ "b=2", "a", NULL }, { "", "a", NULL }, { "apt", "apt", NULL }, { "aptx=96", "apt", NULL },
		{ "x=apt=96", "apt", NULL }, { "apt=1234567", "apt", "1234567" },
		{ "apt=12345678", "apt", NULL }, /* does not fit */
	};
	char ret[8];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		bool there = mu_fmtp_param(cases[i].fmtp, cases[i].name, ret, sizeof(ret));

		if (there != (cases[i].want != NULL) || (there && strcmp(ret, cases[i].want) != 0))
			fail_msg("%s of \"%s\"", cases[i].name, cases[i].fmtp);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_h264),
		cmocka_unit_test(test_h264_best),
		cmocka_unit_test(test_other_video),
		cmocka_unit_test(test_codecs_and_channels),
		cmocka_unit_test(test_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
