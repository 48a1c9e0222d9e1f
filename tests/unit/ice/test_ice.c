/* What is answered, and to whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent.h"

static void test_answers(void **state)
{
	static const struct {
		const char *from, *mapped;
	} cases[] = {
		{ "192.0.2.7", "192.0.2.7" },
		{ "2001:db8::7", "2001:db8::7" },
		{ "::ffff:192.0.2.7", "192.0.2.7" },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct mu_path from = path_of(cases[i].from, 50001), want = path_of(cases[i].mapped, 50001);
		struct mu_addr mapped;
		struct mu_ice ice;
		struct peer peer;

		mu_ice_init(&ice);
		assert_int_equal(strlen(ice.ufrag), MU_ICE_UFRAG);
		assert_int_equal(strlen(ice.pwd), MU_ICE_PWD);
		assert_int_equal(ice.n_pairs, 0);
		build(&peer, &(struct request){ .ufrag = ice.ufrag, .pwd = ice.pwd });
		assert_int_equal(give(&ice, &peer, &from, 5), MU_ICE_VALID);
		assert_int_equal(read_reply(&peer, &mapped), 0);
		assert_int_equal(mapped.sa.sa_family, want.remote.sa.sa_family);
		if (mapped.sa.sa_family == AF_INET) {
			assert_int_equal(mapped.in4.sin_port, want.remote.in4.sin_port);
			assert_int_equal(mapped.in4.sin_addr.s_addr, want.remote.in4.sin_addr.s_addr);
		} else {
			assert_int_equal(mapped.in6.sin6_port, want.remote.in6.sin6_port);
			assert_memory_equal(&mapped.in6.sin6_addr, &want.remote.in6.sin6_addr, 16);
		}
		assert_memory_equal(&ice.pairs[0].path, &from, sizeof(from));
		assert_false(ice.nominated);
	}
}

/** RELIABILITY S8: nothing but a valid check changes anything. */
static void test_strangers_get_silence(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), foreign = path_of("198.51.100.9", 9);
	struct mu_ice ice, before;
	struct peer peer;
	char wrong[MU_ICE_PWD + 1];

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 10);
	before = ice;
	memcpy(wrong, ice.pwd, sizeof(wrong));
	wrong[23] ^= 1;
	const struct request cases[] = {
		{ .ufrag = ice.ufrag, .pwd = wrong },
		{ .ufrag = ice.ufrag, .pwd = wrong, .nominate = true },
		{ .ufrag = ice.ufrag, .pwd = wrong, .controlled = true },
		{ .ufrag = ice.ufrag, .pwd = wrong, .extra = 0x7f00 },
		{ .ufrag = ice.ufrag, .pwd = ice.pwd, .nominate = true, .no_fingerprint = true },
		{ .ufrag = "ABCDEFGH", .pwd = ice.pwd, .nominate = true },
		{ .ufrag = "", .pwd = ice.pwd, .nominate = true },
		{ .ufrag = "x", .pwd = ice.pwd, .nominate = true },
		{ .ufrag = "ABCDEFGHI", .pwd = ice.pwd, .nominate = true },
	};
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		for (int own = 0; own < 2; own++) {
			build(&peer, &cases[i]);
			assert_int_equal(give(&ice, &peer, own ? &a : &foreign, 20), MU_ICE_IGNORED);
			assert_memory_equal(&ice, &before, sizeof(ice));
		}
	}
}

static void test_every_changed_byte_is_noticed(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000);
	struct mu_ice ice, before;
	struct peer peer, sent;

	(void)state;
	mu_ice_init(&ice);
	before = ice;
	build(&sent, &(struct request){ .ufrag = ice.ufrag, .pwd = ice.pwd, .nominate = true });
	for (size_t i = 0; i < sent.len; i++) {
		peer = sent;
		peer.data[i] ^= 0x10;
		assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_IGNORED);
		peer = sent;
		peer.len = i;
		assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_IGNORED);
	}
	peer = sent;
	memset(peer.data + peer.len, 0, 4);
	peer.len += 4;
	assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_IGNORED);
	assert_memory_equal(&ice, &before, sizeof(ice));
}

static void test_role_conflict(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000);
	struct mu_addr mapped;
	struct mu_ice ice;
	struct peer peer;

	(void)state;
	mu_ice_init(&ice);
	build(&peer,
		&(struct request){
			.ufrag = ice.ufrag, .pwd = ice.pwd, .nominate = true, .controlled = true });
	assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_ANSWER);
	assert_int_equal(read_reply(&peer, &mapped), 487);
	assert_false(ice.nominated || ice.n_pairs || mu_ice_consent(&ice, 21));
}

static void test_unknown_attributes(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000);
	struct mu_addr mapped;
	struct mu_ice ice;
	struct peer peer;

	(void)state;
	mu_ice_init(&ice);
	build(&peer,
		&(struct request){ .ufrag = ice.ufrag, .pwd = ice.pwd, .nominate = true, .extra = 0x7f01 });
	assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_ANSWER);
	assert_int_equal(mu_get16(peer.data), 0x0111);
	assert_int_equal(read_reply(&peer, &mapped), 420);
	assert_false(ice.nominated || ice.n_pairs);
	/* An optional one, such as a browser's network cost, is nothing to complain of. */
	build(&peer, &(struct request){ .ufrag = ice.ufrag, .pwd = ice.pwd, .extra = 0xc057 });
	assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_VALID);
}

static void test_no_more_than_room_for_unknown_attributes(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000);
	struct mu_ice ice;
	struct peer peer;
	StunMessage msg;
	char user[32];

	(void)state;
	mu_ice_init(&ice);
	stun_agent_init(&peer.agent, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
		STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
	stun_agent_init_request(&peer.agent, &msg, peer.data, sizeof(peer.data), STUN_BINDING);
	snprintf(user, sizeof(user), "%s:x", ice.ufrag);
	stun_message_append_string(&msg, STUN_ATTRIBUTE_USERNAME, user);
	for (unsigned i = 0; i < 100; i++)
		stun_message_append_flag(&msg, (StunAttribute)(0x7000 + i));
	peer.len = stun_agent_finish_message(&peer.agent, &msg, (const uint8_t *)ice.pwd, MU_ICE_PWD);
	assert_true(peer.len > 0);
	assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_IGNORED);
}

/** Only binding requests: indications and responses neither validate nor keep consent. */
static void test_other_messages(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000);
	struct mu_ice ice;
	struct peer peer, sent;
	char ufrag[MU_ICE_UFRAG + 1];

	(void)state;
	mu_ice_init(&ice);
	build(&sent, &(struct request){ .ufrag = ice.ufrag, .pwd = ice.pwd });
	for (unsigned type = 0; type < 0x4000; type++) {
		peer = sent;
		mu_put16(peer.data, (uint16_t)type);
		if (type == 1)
			continue;
		assert_int_equal(mu_stun_local_ufrag(peer.data, peer.len, ufrag), -EBADMSG);
		if (type < 0x120)
			assert_int_equal(give(&ice, &peer, &a, 20), MU_ICE_IGNORED);
	}
	assert_int_equal(ice.n_pairs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_strangers_get_silence),
		cmocka_unit_test(test_every_changed_byte_is_noticed),
		cmocka_unit_test(test_role_conflict),
		cmocka_unit_test(test_unknown_attributes),
		cmocka_unit_test(test_no_more_than_room_for_unknown_attributes),
		cmocka_unit_test(test_other_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
