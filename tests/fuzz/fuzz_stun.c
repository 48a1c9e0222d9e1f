/* A datagram from anywhere: as it is, and its attributes once more in a request sealed with the right
 * password. */
#include <stun/stunagent.h>

#include "ice/ice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct mu_ice ice = { .ufrag = "fuzzfuzz",
	.pwd = "fuzzfuzzfuzzfuzzfuzzfuzz",
	.old_ufrag = "oldoldol",
	.old_pwd = "oldoldoldoldoldoldoldold" };

static void give(const uint8_t *data, size_t len)
{
	struct mu_path from = { .remote.in4 = { .sin_family = AF_INET, .sin_port = 7 } };
	struct mu_ice session = ice;
	char ufrag[MU_ICE_UFRAG + 1];
	uint8_t reply[256];
	size_t reply_len;

	mu_stun_local_ufrag(data, len, ufrag);
	mu_ice_input(&session, &from, data, len, 1, reply, &reply_len);
	if (reply_len > 128 || reply_len > 3 * len)
		__builtin_trap();
}

static size_t seal(const uint8_t *attributes, size_t len, uint8_t *ret, size_t size)
{
	static StunAgent agent;
	StunMessage msg;
	size_t at;

	len &= ~(size_t)3;
	stun_agent_init(&agent, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
		STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
	stun_agent_init_request(&agent, &msg, ret, size, STUN_BINDING);
	stun_message_append_string(&msg, STUN_ATTRIBUTE_USERNAME, "fuzzfuzz:x");
	at = stun_message_length(&msg);
	memcpy(ret + at, attributes, len);
	mu_put16(ret + 2, (uint16_t)(at - 20 + len));
	return stun_agent_finish_message(&agent, &msg, (const uint8_t *)ice.pwd, MU_ICE_PWD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t sealed[2048];
	size_t n;

	if (len > 1500)
		return 0;
	give(data, len);
	if (len > 20) {
		n = seal(data + 20, len - 20, sealed, sizeof(sealed));
		if (n)
			give(sealed, n);
	}
	return 0;
}
