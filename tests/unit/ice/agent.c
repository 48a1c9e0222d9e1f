#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent.h"

struct mu_path path_of(const char *host, uint16_t port)
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

void build(struct peer *peer, const struct request *r)
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

enum mu_ice_event give(struct mu_ice *ice, struct peer *peer, const struct mu_path *from, int64_t now_us)
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

enum mu_ice_event ask(struct mu_ice *ice, const struct mu_path *from, bool nominate, int64_t now_us)
{
	struct peer peer;

	build(&peer, &(struct request){ .ufrag = ice->ufrag, .pwd = ice->pwd, .nominate = nominate });
	return give(ice, &peer, from, now_us);
}

int read_reply(struct peer *peer, struct mu_addr *ret_mapped)
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
