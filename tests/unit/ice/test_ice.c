#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <stun/stunagent.h>

#include "ice/ice.h"

/** A browser's side: its agent remembers transactions, so that answers are checked as a browser would. */
struct peer {
	StunAgent agent;
	uint8_t data[1024];
	size_t len;
};
struct request {
	const char *ufrag, *pwd; /* ours, as the peer has them from the SDP */
	bool nominate, controlled, no_fingerprint;
	uint16_t extra; /* an attribute more */
};

static struct mu_path path_of(const char *host, uint16_t port)
{
	struct mu_path p = { 0 };

	if (inet_pton(AF_INET, host, &p.remote.in4.sin_addr) == 1) {
		p.remote.in4.sin_family = AF_INET;
		p.remote.in4.sin_port = htons(port);
	} else {
		p.remote.in6.sin6_family = AF_INET6;
		p.remote.in6.sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, host, &p.remote.in6.sin6_addr), 1);
	}
	return p;
}

static void build(struct peer *peer, const struct request *r)
{
	unsigned flags = STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS;
	char user[64];
	StunMessage msg;

	if (!r->no_fingerprint)
		flags |= STUN_AGENT_USAGE_USE_FINGERPRINT;
	stun_agent_init(&peer->agent, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389, flags);
	assert_true(
		stun_agent_init_request(&peer->agent, &msg, peer->data, sizeof(peer->data), STUN_BINDING));
	snprintf(user, sizeof(user), "%s:Rem1", r->ufrag);
	stun_message_append_string(&msg, STUN_ATTRIBUTE_USERNAME, user);
	stun_message_append32(&msg, STUN_ATTRIBUTE_PRIORITY, 1845501695);
	if (r->nominate)
		stun_message_append_flag(&msg, STUN_ATTRIBUTE_USE_CANDIDATE);
	stun_message_append64(
		&msg, r->controlled ? STUN_ATTRIBUTE_ICE_CONTROLLED : STUN_ATTRIBUTE_ICE_CONTROLLING, 77);
	if (r->extra)
		stun_message_append32(&msg, (StunAttribute)r->extra, 1);
	peer->len = stun_agent_finish_message(&peer->agent, &msg, (const uint8_t *)r->pwd, strlen(r->pwd));
	assert_true(peer->len > 0);
}

static enum mu_ice_event give(
	struct mu_ice *ice, struct peer *peer, const struct mu_path *from, int64_t now_us)
{
	uint8_t reply[256];
	size_t reply_len = 99;
	enum mu_ice_event ev = mu_ice_input(ice, from, peer->data, peer->len, now_us, reply, &reply_len);

	assert_true(reply_len <= 128 && reply_len <= 3 * peer->len);
	assert_int_equal(ev == MU_ICE_IGNORED, reply_len == 0);
	memcpy(peer->data, reply, reply_len);
	peer->len = reply_len;
	return ev;
}

/** A request with our credentials and what becomes of it. */
static enum mu_ice_event ask(struct mu_ice *ice, const struct mu_path *from, bool nominate, int64_t now_us)
{
	struct peer peer;

	build(&peer, &(struct request){ .ufrag = ice->ufrag, .pwd = ice->pwd, .nominate = nominate });
	return give(ice, &peer, from, now_us);
}

/** What the peer reads in the reply. @return error code, 0: success */
static int read_reply(struct peer *peer, struct mu_addr *ret_mapped)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	StunMessage msg;
	int code = 0;

	assert_int_equal(stun_agent_validate(&peer->agent, &msg, peer->data, peer->len, NULL, NULL),
		STUN_VALIDATION_SUCCESS);
	assert_true(stun_message_has_attribute(&msg, STUN_ATTRIBUTE_MESSAGE_INTEGRITY));
	assert_true(stun_message_has_attribute(&msg, STUN_ATTRIBUTE_FINGERPRINT));
	if (stun_message_get_class(&msg) == STUN_ERROR) {
		assert_int_equal(stun_message_find_error(&msg, &code), STUN_MESSAGE_RETURN_SUCCESS);
		return code;
	}
	assert_int_equal(stun_message_find_xor_addr(&msg, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &ss, &ss_len),
		STUN_MESSAGE_RETURN_SUCCESS);
	memcpy(ret_mapped, &ss, sizeof(*ret_mapped));
	return 0;
}

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
		assert_false(mu_ice_knows(&ice, &from.remote));
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
		assert_true(mu_ice_knows(&ice, &from.remote));
		assert_false(ice.nominated);
	}
}

static void test_nomination(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = path_of("192.0.2.2", 2000);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	assert_int_equal(ask(&ice, &a, false, 0), MU_ICE_VALID);
	assert_int_equal(ask(&ice, &b, true, 1), MU_ICE_NOMINATED);
	assert_memory_equal(&ice.selected, &b, sizeof(b));
	assert_int_equal(ask(&ice, &a, false, 2), MU_ICE_VALID);
	assert_memory_equal(&ice.selected, &b, sizeof(b));
	assert_int_equal(ask(&ice, &b, true, 3), MU_ICE_NOMINATED); /* again */
	assert_int_equal(ask(&ice, &a, true, 4), MU_ICE_NOMINATED); /* the latest wins */
	assert_memory_equal(&ice.selected, &a, sizeof(a));
	assert_int_equal(ice.n_pairs, 2);
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

static void test_restart(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = path_of("203.0.113.5", 3000);
	struct mu_ice ice, first, second;
	struct peer peer;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	first = ice;
	mu_ice_restart(&ice);
	assert_string_not_equal(ice.ufrag, first.ufrag);
	assert_string_not_equal(ice.pwd, first.pwd);
	assert_memory_equal(&ice.selected, &a, sizeof(a));
	assert_true(mu_ice_consent(&ice, 1000));
	/* The old ones still work, nominating too; the new ones do as well. */
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = first.pwd, .nominate = true });
	assert_int_equal(give(&ice, &peer, &a, 10), MU_ICE_NOMINATED);
	assert_int_equal(ask(&ice, &b, false, 11), MU_ICE_VALID);
	/* Never one's name with the other's password. */
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = ice.pwd });
	assert_int_equal(give(&ice, &peer, &a, 12), MU_ICE_IGNORED);
	build(&peer, &(struct request){ .ufrag = ice.ufrag, .pwd = first.pwd });
	assert_int_equal(give(&ice, &peer, &a, 12), MU_ICE_IGNORED);
	/* A second restart before any nomination: the first pair lives on, the one between is gone. */
	second = ice;
	mu_ice_restart(&ice);
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = first.pwd });
	assert_int_equal(give(&ice, &peer, &a, 13), MU_ICE_VALID);
	build(&peer, &(struct request){ .ufrag = second.ufrag, .pwd = second.pwd });
	assert_int_equal(give(&ice, &peer, &a, 13), MU_ICE_IGNORED);
	/* A nomination with the new ones ends the old. */
	assert_int_equal(ask(&ice, &b, true, 14), MU_ICE_NOMINATED);
	assert_memory_equal(&ice.selected, &b, sizeof(b));
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = first.pwd, .nominate = true });
	assert_int_equal(give(&ice, &peer, &a, 15), MU_ICE_IGNORED);
	assert_string_equal(ice.old_ufrag, "");
	/* "" is no name that opens anything. */
	build(&peer, &(struct request){ .ufrag = "", .pwd = "" });
	assert_int_equal(give(&ice, &peer, &a, 15), MU_ICE_IGNORED);
}

static void test_pairs_overflow(void **state)
{
	struct mu_path selected = path_of("192.0.2.200", 1), p;
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	assert_int_equal(ask(&ice, &selected, true, 0), MU_ICE_NOMINATED);
	for (uint16_t i = 0; i < 20; i++) {
		p = path_of("192.0.2.1", (uint16_t)(1000 + i));
		assert_int_equal(ask(&ice, &p, false, i), MU_ICE_VALID);
		assert_true(ice.n_pairs <= MU_ICE_PAIRS);
		assert_memory_equal(&ice.pairs[0], &p, sizeof(p));
	}
	for (uint16_t i = 0; i < 20; i++) {
		p = path_of("192.0.2.1", (uint16_t)(1000 + i));
		assert_int_equal(mu_ice_knows(&ice, &p.remote), i >= 12);
	}
	assert_true(mu_ice_knows(&ice, &selected.remote)); /* it is in use */
	p = path_of("192.0.2.1", 1013);
	ask(&ice, &p, false, 30);
	assert_int_equal(ice.n_pairs, MU_ICE_PAIRS);
	assert_memory_equal(&ice.pairs[0], &p, sizeof(p));
	for (unsigned i = 1; i < MU_ICE_PAIRS; i++)
		assert_memory_not_equal(&ice.pairs[i], &p, sizeof(p));
}

static void test_same_remote_on_another_socket(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = a, c = a;
	struct mu_ice ice;

	(void)state;
	b.socket = 1;
	c.local.in4.sin_family = AF_INET;
	c.local.in4.sin_addr.s_addr = htonl(0x7f000001);
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	ask(&ice, &b, false, 0);
	ask(&ice, &c, false, 0);
	assert_int_equal(ice.n_pairs, 3);
	c.local.in4.sin_port = 7; /* means nothing */
	ask(&ice, &c, false, 0);
	assert_int_equal(ice.n_pairs, 3);
}

static void test_consent(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = path_of("192.0.2.2", 1000);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	assert_false(mu_ice_consent(&ice, 0));
	ask(&ice, &a, false, 1000);
	assert_true(mu_ice_consent(&ice, 1000));
	ask(&ice, &a, true, 5000000);
	assert_true(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US - 1));
	assert_false(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US));
	/* Another path's checks say nothing about the one we send to. */
	ask(&ice, &b, false, 20000000);
	assert_false(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US));
	ask(&ice, &a, false, 21000000);
	assert_true(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US));
	/* Gone, and back by a nomination elsewhere. */
	assert_false(mu_ice_consent(&ice, 90000000));
	ask(&ice, &b, true, 90000000);
	assert_true(mu_ice_consent(&ice, 90000000));
}

/* RFC 5769, section 2.1: request. */
static const uint8_t rfc5769_request[] = {
	0x00,
	0x01,
	0x00,
	0x58,
	0x21,
	0x12,
	0xa4,
	0x42,
	0xb7,
	0xe7,
	0xa7,
	0x01,
	0xbc,
	0x34,
	0xd6,
	0x86,
	0xfa,
	0x87,
	0xdf,
	0xae,
	0x80,
	0x22,
	0x00,
	0x10,
	0x53,
	0x54,
	0x55,
	0x4e,
	0x20,
	0x74,
	0x65,
	0x73,
	0x74,
	0x20,
	0x63,
	0x6c,
	0x69,
	0x65,
	0x6e,
	0x74,
	0x00,
	0x24,
	0x00,
	0x04,
	0x6e,
	0x00,
	0x01,
	0xff,
	0x80,
	0x29,
	0x00,
	0x08,
	0x93,
	0x2f,
	0xf9,
	0xb1,
	0x51,
	0x26,
	0x3b,
	0x36,
	0x00,
	0x06,
	0x00,
	0x09,
	0x65,
	0x76,
	0x74,
	0x6a,
	0x3a,
	0x68,
	0x36,
	0x76,
	0x59,
	0x20,
	0x20,
	0x20,
	0x00,
	0x08,
	0x00,
	0x14,
	0x9a,
	0xea,
	0xa7,
	0x0c,
	0xbf,
	0xd8,
	0xcb,
	0x56,
	0x78,
	0x1e,
	0xf2,
	0xb5,
	0xb2,
	0xd3,
	0xf2,
	0x49,
	0xc1,
	0xb5,
	0x71,
	0xa2,
	0x80,
	0x28,
	0x00,
	0x04,
	0xe5,
	0x7a,
	0x3b,
	0xcf,
};
/* RFC 5769, section 2.2: IPv4 response. */
static const uint8_t rfc5769_response[] = {
	0x01,
	0x01,
	0x00,
	0x3c,
	0x21,
	0x12,
	0xa4,
	0x42,
	0xb7,
	0xe7,
	0xa7,
	0x01,
	0xbc,
	0x34,
	0xd6,
	0x86,
	0xfa,
	0x87,
	0xdf,
	0xae,
	0x80,
	0x22,
	0x00,
	0x0b,
	0x74,
	0x65,
	0x73,
	0x74,
	0x20,
	0x76,
	0x65,
	0x63,
	0x74,
	0x6f,
	0x72,
	0x20,
	0x00,
	0x20,
	0x00,
	0x08,
	0x00,
	0x01,
	0xa1,
	0x47,
	0xe1,
	0x12,
	0xa6,
	0x43,
	0x00,
	0x08,
	0x00,
	0x14,
	0x2b,
	0x91,
	0xf5,
	0x99,
	0xfd,
	0x9e,
	0x90,
	0xc3,
	0x8c,
	0x74,
	0x89,
	0xf9,
	0x2a,
	0xf9,
	0xba,
	0x53,
	0xf0,
	0x6b,
	0xe7,
	0xd7,
	0x80,
	0x28,
	0x00,
	0x04,
	0xc0,
	0x7d,
	0x4c,
	0x96,
};

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
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_nomination),
		cmocka_unit_test(test_strangers_get_silence),
		cmocka_unit_test(test_every_changed_byte_is_noticed),
		cmocka_unit_test(test_role_conflict),
		cmocka_unit_test(test_unknown_attributes),
		cmocka_unit_test(test_no_more_than_room_for_unknown_attributes),
		cmocka_unit_test(test_other_messages),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_pairs_overflow),
		cmocka_unit_test(test_same_remote_on_another_socket),
		cmocka_unit_test(test_consent),
		cmocka_unit_test(test_rfc5769),
		cmocka_unit_test(test_user_names),
		cmocka_unit_test(test_what_is_stun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
