#include "collect.h"

static struct collected got;

static void test_sender_report(void **state)
{
	static const uint8_t data[] = { 0x81, 200, 0, 12, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0,
		0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 2, 64, 0xff, 0xff, 0xfe, 0, 1, 0, 5, 0, 0, 0, 7, 0, 1, 0, 0,
		0, 0, 0x80, 0 };

	(void)state;
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_sr, 1);
	assert_int_equal(got.sr_ssrc, 1);
	assert_int_equal(got.sr_ntp, 0x0102030405060708ull);
	assert_int_equal(got.sr_rtp, 9);
	assert_int_equal(got.sr_packets, 10);
	assert_int_equal(got.sr_bytes, 11);
	assert_int_equal(got.n_report, 1);
	assert_int_equal(got.from, 1);
	assert_int_equal(got.reports[0].ssrc, 2);
	assert_int_equal(got.reports[0].fraction_lost, 64);
	assert_int_equal(got.reports[0].lost, -2);
	assert_int_equal(got.reports[0].highest, 0x10005);
	assert_int_equal(got.reports[0].jitter, 7);
	assert_int_equal(got.reports[0].lsr, 0x10000);
	assert_int_equal(got.reports[0].dlsr, 0x8000);
}

/* Reduced size (RFC 5506): a NACK may come alone. 65535 and, by bits 0 and 15, 0 and 15. */
static void test_nack_alone(void **state)
{
	static const uint8_t data[] = { 0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0x80, 0x01 };

	(void)state;
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_nack, 3);
	assert_int_equal(got.media, 2);
	assert_int_equal(got.nacks[0], 65535);
	assert_int_equal(got.nacks[1], 0);
	assert_int_equal(got.nacks[2], 15);
}

static void test_nack_flood_is_bounded(void **state)
{
	static uint8_t data[2 * (12 + 4 * 250)];

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		uint8_t *p = data + k * (12 + 4 * 250);

		p[0] = 0x81;
		p[1] = 205;
		mu_put16(p + 2, 2 + 250);
		memset(p + 12, 0xff, 4 * 250);
	}
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_nack, 4096);
}

static void test_key_requests(void **state)
{
	static const uint8_t data[] = { 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, /* PLI */
		0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 5, 0, 0, 0, 0, 0, 0, 4, 6, 0, 0, 0 };

	(void)state;
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_key, 3);
	assert_int_equal(got.keys[0], 2);
	assert_int_equal(got.keys[1], 3);
	assert_int_equal(got.keys[2], 4);
}

/* With a handler that keeps numbers, FIR says which it has. */
static void on_fir(void *arg, uint32_t from, uint32_t media, uint8_t number)
{
	uint32_t *ret = arg;

	ret[0] = from;
	ret[1] = media;
	ret[2] = number;
}

static void test_fir_number(void **state)
{
	static const uint8_t data[] = { 0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 5, 0, 0, 0 };
	static const struct mu_rtcp_handler h = { .fir = on_fir };
	uint32_t fir[3];

	(void)state;
	assert_int_equal(mu_rtcp_parse(data, sizeof(data), &h, fir), 0);
	assert_int_equal(fir[0], 1);
	assert_int_equal(fir[1], 3);
	assert_int_equal(fir[2], 5);
}

/* RFC 3611: a receiver's time, one of another length, two answers in one block, a type that we do not know.
 */
static void test_extended_reports(void **state)
{
	static const uint8_t data[] = { 0x80, 207, 0, 18, 0, 0, 0, 1, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 4,
		0, 0, 1, 0, 0, 0, 0, 5, 0, 0, 6, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 2, 0, 1, 0, 0,
		0, 0, 0x80, 0, 77, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

	(void)state;
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_rrtr, 1);
	assert_int_equal(got.rrtr_from, 1);
	assert_true(got.rrtr_ntp == 0x0102030405060708ull);
	assert_int_equal(got.n_dlrr, 2);
	assert_int_equal(got.dlrr[0], 2);
	assert_int_equal(got.dlrr[1], 0x10000);
	assert_int_equal(got.dlrr[2], 0x8000);
}

static void test_remb(void **state)
{
	static const struct {
		uint8_t exp_mantissa[3];
		uint64_t bps;
	} rows[] = { { { 0x0b, 0xd0, 0x90 }, 0x3d090ull << 2 }, { { 0xfc, 0, 1 }, 1ull << 63 },
		{ { 0xfc, 0, 2 }, UINT64_MAX }, { { 0xff, 0xff, 0xff }, UINT64_MAX }, { { 0, 0, 0 }, 0 } };
	uint8_t data[] = { 0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 1, 0, 0, 0, 0, 0, 0,
		9 };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		memcpy(data + 17, rows[i].exp_mantissa, 3);
		assert_int_equal(collect(data, sizeof(data), &got), 0);
		assert_int_equal(got.n_remb, 1);
		assert_true(got.remb == rows[i].bps);
	}
	data[12] = 'r'; /* another application's */
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_remb, 0);
}

static void test_sdes_chunks(void **state)
{
	static const uint8_t data[] = { 0x82, 202, 0, 7, 0, 0, 0, 1, 1, 3, 'a', '@', 'b', 2, 1, 'x', 0, 0, 0,
		0, /* + NAME */
		0, 0, 0, 2, 1, 2, 'c', 'd', 0, 0, 0, 0 };

	(void)state;
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_cname, 2);
	assert_string_equal(got.cname, "cd");
}

static void test_bye_with_padding(void **state)
{
	static const uint8_t data[] = { 0xa2, 203, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4 };

	(void)state;
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_bye, 2);
	assert_int_equal(got.bye[1], 2);
}

static void test_unknown_kinds_are_passed_over(void **state)
{
	static const uint8_t data[] = { 0x80, 204, 0, 2, 0, 0, 0, 1, 'n', 'a', 'm', 'e', 0x80, 207, 0, 2, 0,
		0, 0, 1, 99, 0, 0, 0, 0x80, 195, 0, 0, 0x9e, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x81, 206, 0,
		2, 0, 0, 0, 1, 0, 0, 0, 2 };

	(void)state;
	assert_int_equal(collect(data, sizeof(data), &got), 0);
	assert_int_equal(got.n_key, 1);
}

/* The walk ends at the malformed member; the PLI before it counted. */
static void test_malformed(void **state)
{
	static const struct {
		const char *what;
		size_t len;
		uint8_t data[28];
	} rows[] = {
		{ "half a header", 3, { 0x80, 201, 0 } },
		{ "version 1", 8, { 0x40, 201, 0, 1 } },
		{ "longer than the datagram", 8, { 0x80, 201, 0, 2 } },
		{ "SR too short", 24, { 0x80, 200, 0, 5 } },
		{ "SR without its block", 28, { 0x81, 200, 0, 6 } },
		{ "RR too short", 4, { 0x80, 201, 0, 0 } },
		{ "RR without its block", 8, { 0x81, 201, 0, 1 } },
		{ "SDES without its chunk", 4, { 0x81, 202, 0, 0 } },
		{ "SDES item over the end", 12, { 0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, 'a', 'b' } },
		{ "SDES without null", 12, { 0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, 'a', 'b' } },
		{ "SDES item without length", 12, { 0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, 'a', 2 } },
		{ "BYE without SSRCs", 8, { 0x82, 203, 0, 1 } },
		{ "NACK without items", 12, { 0x81, 205, 0, 2 } },
		{ "feedback too short", 8, { 0x81, 205, 0, 1 } },
		{ "twcc too short", 16, { 0x8f, 205, 0, 3 } },
		{ "FIR without entries", 12, { 0x84, 206, 0, 2 } },
		{ "REMB without its SSRCs", 20, { 0x8f, 206, 0, 4, [12] = 'R', 'E', 'M', 'B', 1 } },
		{ "XR too short", 4, { 0x80, 207, 0, 0 } },
		{ "XR block over the end", 12, { 0x80, 207, 0, 2, 0, 0, 0, 1, 4, 0, 0, 2 } },
		{ "padding of 0", 8, { 0xa0, 203, 0, 1, 0, 0, 0, 0 } },
		{ "padding over the header", 8, { 0xa0, 203, 0, 1, 0, 0, 0, 5 } },
		{ "padding of nothing", 4, { 0xa0, 203, 0, 0 } },
		{ "RR padded away", 8, { 0xa0, 201, 0, 1, 0, 0, 0, 4 } },
	};
	uint8_t data[12 + 28] = { 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2 };

	(void)state;
	assert_int_equal(collect(data, 0, &got), -EBADMSG);
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		memcpy(data + 12, rows[i].data, rows[i].len);
		if (collect(data, 12 + rows[i].len, &got) != -EBADMSG)
			fail_msg("%s: taken", rows[i].what);
		assert_int_equal(got.n_key, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sender_report),
		cmocka_unit_test(test_nack_alone),
		cmocka_unit_test(test_nack_flood_is_bounded),
		cmocka_unit_test(test_key_requests),
		cmocka_unit_test(test_fir_number),
		cmocka_unit_test(test_extended_reports),
		cmocka_unit_test(test_remb),
		cmocka_unit_test(test_sdes_chunks),
		cmocka_unit_test(test_bye_with_padding),
		cmocka_unit_test(test_unknown_kinds_are_passed_over),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
