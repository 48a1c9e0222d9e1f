/* What a datagram is, before anybody is asked about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent.h"

/* RFC 5769, section 2.1: request. */
static const uint8_t rfc5769_request[] = { 0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7,
	0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e,
	0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e,
	0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06,
	0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00,
	0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
	0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf };
/* RFC 5769, section 2.2: IPv4 response. */
static const uint8_t rfc5769_response[] = { 0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7,
	0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74,
	0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1,
	0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74,
	0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c,
	0x96 };

static void test_rfc5769(void **state)
{
	char ufrag[MU_ICE_UFRAG + 1] = "before";
	uint8_t data[sizeof(rfc5769_request)];

	(void)state;
	assert_true(mu_stun_is(rfc5769_request, sizeof(rfc5769_request)));
	assert_true(mu_stun_is(rfc5769_response, sizeof(rfc5769_response)));
	assert_int_equal(mu_stun_local_ufrag(rfc5769_request, sizeof(rfc5769_request), ufrag), 0);
	assert_string_equal(ufrag, "evtj");
	assert_int_equal(mu_stun_local_ufrag(rfc5769_response, sizeof(rfc5769_response), ufrag), -EBADMSG);
	assert_string_equal(ufrag, "evtj"); /* written only on success */
	for (size_t len = 0; len < sizeof(data); len++)
		assert_int_equal(mu_stun_local_ufrag(rfc5769_request, len, ufrag), -EBADMSG);
	/* Lengths that lie, one attribute after the other. */
	static const size_t lengths[] = { 2, 22, 42, 50, 62, 78, 102 };
	for (size_t i = 0; i < MU_ARRAY_LEN(lengths); i++) {
		for (unsigned v = 0; v < 0x10000; v += v < 300 ? 1 : 4099) {
			memcpy(data, rfc5769_request, sizeof(data));
			mu_put16(data + lengths[i], (uint16_t)v);
			mu_stun_local_ufrag(data, sizeof(data), ufrag);
		}
	}
}

static void test_user_names(void **state)
{
	static const struct {
		const char *ufrag;
		int want;
	} cases[] = {
		{ "a", 0 },
		{ "12345678", 0 },
		{ "123456789", -EBADMSG },
		{ "", -EBADMSG },
	};
	char ufrag[MU_ICE_UFRAG + 1];
	struct peer peer;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		build(&peer, &(struct request){ .ufrag = cases[i].ufrag, .pwd = "p" });
		assert_int_equal(mu_stun_local_ufrag(peer.data, peer.len, ufrag), cases[i].want);
		if (!cases[i].want)
			assert_string_equal(ufrag, cases[i].ufrag);
	}
	build(&peer, &(struct request){ .ufrag = "a", .pwd = "p", .no_fingerprint = true });
	assert_int_equal(mu_stun_local_ufrag(peer.data, peer.len, ufrag), -EBADMSG);
	/* No colon at all. */
	build(&peer, &(struct request){ .ufrag = "abc", .pwd = "p" });
	for (size_t i = 0; i < peer.len; i++)
		if (peer.data[i] == ':')
			peer.data[i] = ';';
	assert_int_equal(mu_stun_local_ufrag(peer.data, peer.len, ufrag), -EBADMSG);
}

static void test_what_is_stun(void **state)
{
	uint8_t data[20] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42 };

	(void)state;
	assert_true(mu_stun_is(data, 20));
	assert_false(mu_stun_is(data, 19));
	data[0] = 4;
	assert_false(mu_stun_is(data, 20));
	data[0] = 0x16;
	assert_false(mu_stun_is(data, 20));
	data[0] = 3;
	assert_true(mu_stun_is(data, 20));
	data[7] = 0;
	assert_false(mu_stun_is(data, 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc5769),
		cmocka_unit_test(test_user_names),
		cmocka_unit_test(test_what_is_stun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
