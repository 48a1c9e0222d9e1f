#include "check.h"

static struct mu_packet pkt;

static void load(const uint8_t *data, size_t len)
{
	struct mu_ext_map m = { 0 };

	mu_ext_map_set(&m, MU_EXT_AUDIO_LEVEL, 1);
	set_data(&pkt, data, len);
	assert_int_equal(mu_rtp_fill(&pkt, &m), 0);
}

static void test_original_comes_back(void **state)
{
	static const uint8_t data[] = { 0xb0, 97, 0, 9, 1, 2, 3, 4, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, 0xaa,
		0, 0, 0xab, 0xcd, 'p', 'a', 'y', 0, 2 };
	size_t len;

	(void)state;
	load(data, sizeof(data));
	assert_int_equal(mu_rtx_unwrap(&pkt), 0);
	assert_int_equal(pkt.wire_seq, 0xabcd);
	assert_int_equal(mu_get16(pkt.data + 2), 0xabcd);
	assert_int_equal(pkt.len, sizeof(data) - 2);
	assert_int_equal(pkt.pad, 2);
	assert_int_equal(pkt.hlen, 20);
	assert_memory_equal(pkt.data + pkt.hlen, "pay\0\2", 5);
	assert_int_equal(*mu_rtp_ext(&pkt, MU_EXT_AUDIO_LEVEL, &len), 0xaa);
	assert_true(pkt.flags & MU_PACKET_REPAIRED);
}

static void test_nothing_but_the_number(void **state)
{
	static const uint8_t data[] = { 0x80, 97, 0, 9, 1, 2, 3, 4, 0, 0, 0, 1, 0xab, 0xcd };

	(void)state;
	load(data, sizeof(data));
	assert_int_equal(mu_rtx_unwrap(&pkt), 0);
	assert_int_equal(pkt.len, pkt.hlen);
}

static void test_probing_padding(void **state)
{
	static const uint8_t padding[] = { 0xa0, 97, 0, 9, 1, 2, 3, 4, 0, 0, 0, 1, 0, 0, 3 };
	static const uint8_t one[] = { 0xa0, 97, 0, 9, 1, 2, 3, 4, 0, 0, 0, 1, 9, 0, 2 };
	static const uint8_t empty[] = { 0x80, 97, 0, 9, 1, 2, 3, 4, 0, 0, 0, 1 };

	(void)state;
	load(padding, sizeof(padding));
	assert_int_equal(mu_rtx_unwrap(&pkt), -EBADMSG);
	assert_int_equal(pkt.len, sizeof(padding));
	assert_int_equal(pkt.wire_seq, 9);
	load(one, sizeof(one));
	assert_int_equal(mu_rtx_unwrap(&pkt), -EBADMSG);
	load(empty, sizeof(empty));
	assert_int_equal(mu_rtx_unwrap(&pkt), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_original_comes_back),
		cmocka_unit_test(test_nothing_but_the_number),
		cmocka_unit_test(test_probing_padding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
