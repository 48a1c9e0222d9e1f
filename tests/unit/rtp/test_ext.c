#include "check.h"

static void test_uris_there_and_back(void **state)
{
	const char *mid = "urn:ietf:params:rtp-hdrext:sdes:mid";

	(void)state;
	for (int t = MU_EXT_NONE + 1; t < MU_EXT_COUNT; t++) {
		const char *uri = mu_ext_uri((enum mu_rtp_ext)t);

		assert_int_equal(mu_ext_parse(uri, strlen(uri)), t);
	}
	assert_int_equal(mu_ext_parse(mid, strlen(mid)), MU_EXT_MID);
	assert_int_equal(mu_ext_parse(mid, strlen(mid) - 1), MU_EXT_NONE);
	assert_int_equal(mu_ext_parse("", 0), MU_EXT_NONE);
	assert_string_equal(mu_ext_uri(MU_EXT_COUNT), "");
}

static void test_only_content_travels(void **state)
{
	(void)state;
	assert_true(mu_ext_travels(MU_EXT_AUDIO_LEVEL));
	assert_true(mu_ext_travels(MU_EXT_DEPENDENCY_DESCRIPTOR));
	assert_true(mu_ext_travels(MU_EXT_ABS_CAPTURE_TIME));
	assert_false(mu_ext_travels(MU_EXT_MID));
	assert_false(mu_ext_travels(MU_EXT_TWCC));
	assert_false(mu_ext_travels(MU_EXT_ABS_SEND_TIME));
	assert_false(mu_ext_travels(MU_EXT_TOFFSET));
	assert_false(mu_ext_travels(MU_EXT_NONE));
	assert_false(mu_ext_travels(MU_EXT_COUNT));
}

static void test_map_stays_one_to_one(void **state)
{
	struct mu_ext_map m = { 0 };

	(void)state;
	mu_ext_map_set(&m, MU_EXT_MID, 3);
	mu_ext_map_set(&m, MU_EXT_TWCC, 200);
	assert_int_equal(m.type_of[3], MU_EXT_MID);
	assert_int_equal(m.id_of[MU_EXT_TWCC], 200);
	mu_ext_map_set(&m, MU_EXT_TWCC, 3); /* takes the id over */
	assert_int_equal(m.type_of[3], MU_EXT_TWCC);
	assert_int_equal(m.type_of[200], MU_EXT_NONE);
	assert_int_equal(m.id_of[MU_EXT_MID], 0);
	mu_ext_map_set(&m, MU_EXT_TWCC, 0);
	assert_int_equal(m.type_of[3], MU_EXT_NONE);
	assert_int_equal(m.id_of[MU_EXT_TWCC], 0);
	mu_ext_map_set(&m, MU_EXT_COUNT, 5);
	mu_ext_map_set(&m, MU_EXT_NONE, 5);
	assert_int_equal(m.type_of[5], MU_EXT_NONE);
	assert_int_equal(m.type_of[0], MU_EXT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uris_there_and_back),
		cmocka_unit_test(test_only_content_travels),
		cmocka_unit_test(test_map_stays_one_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
