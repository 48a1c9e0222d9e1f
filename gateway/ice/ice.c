/* ICE lite: connectivity checks answered, pairs validated and nominated, consent counted (RFC 8445, 7675). */
#include <stun/stunagent.h>
#include <stun/usages/ice.h>

#include "ice/ice.h"

#define REPLY_MAX 256

static void fresh(char ufrag[MU_ICE_UFRAG + 1], char pwd[MU_ICE_PWD + 1])
{
	mu_random_text(ufrag, MU_ICE_UFRAG);
	mu_random_text(pwd, MU_ICE_PWD);
}

void mu_ice_init(struct mu_ice *ice)
{
	memset(ice, 0, sizeof(*ice));
	fresh(ice->ufrag, ice->pwd);
}

void mu_ice_restart(struct mu_ice *ice)
{
	memcpy(ice->old_ufrag, ice->ufrag, sizeof(ice->ufrag));
	memcpy(ice->old_pwd, ice->pwd, sizeof(ice->pwd));
	ice->new_used = false;
	fresh(ice->ufrag, ice->pwd);
}

/* --- checking ------------------------------------------------------------------------------------------------------------------ */

struct check {
	const struct mu_ice *ice;
	bool old; /* made with the credentials from before the restart */
};

/* Which password goes with the user name "ours:theirs". */
static bool find_password(StunAgent *agent, StunMessage *message, uint8_t *username, uint16_t username_len, uint8_t **password,
	size_t *password_len, void *user_data)
{
	struct check *c = user_data;
	const char *pwd;

	(void)agent;
	(void)message;
	if (username_len <= MU_ICE_UFRAG || username[MU_ICE_UFRAG] != ':')
		return false;
	if (memcmp(username, c->ice->ufrag, MU_ICE_UFRAG) == 0) {
		pwd = c->ice->pwd;
		c->old = false;
	} else if (c->ice->old_ufrag[0] && memcmp(username, c->ice->old_ufrag, MU_ICE_UFRAG) == 0) {
		pwd = c->ice->old_pwd;
		c->old = true;
	} else {
		return false;
	}
	*password = (uint8_t *)(uintptr_t)pwd;
	*password_len = MU_ICE_PWD;
	return true;
}

static const uint16_t known[] = {
	STUN_ATTRIBUTE_USERNAME,
	STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
	STUN_ATTRIBUTE_PRIORITY,
	STUN_ATTRIBUTE_USE_CANDIDATE,
	STUN_ATTRIBUTE_ICE_CONTROLLED,
	STUN_ATTRIBUTE_ICE_CONTROLLING,
	STUN_ATTRIBUTE_FINGERPRINT,
	0,
};

static void agent_init(StunAgent *a)
{
	stun_agent_init(a, known, STUN_COMPATIBILITY_RFC5389,
		STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
}

/* --- answering -------------------------------------------------------------------------------------------------------------------- */

static size_t answer(StunAgent *a, StunMessage *request, const struct mu_addr *from, uint8_t *reply)
{
	struct sockaddr_storage addr = { 0 };
	StunMessage m;

	memcpy(&addr, from, sizeof(*from));
	if (!stun_agent_init_response(a, &m, reply, REPLY_MAX, request))
		return 0;
	if (stun_message_append_xor_addr(&m, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &addr, mu_addr_size(from)) !=
		STUN_MESSAGE_RETURN_SUCCESS)
		return 0;
	return stun_agent_finish_message(a, &m, NULL, 0);
}

static size_t refuse(StunAgent *a, StunMessage *request, StunError code, uint8_t *reply)
{
	StunMessage m;

	if (!stun_agent_init_error(a, &m, reply, REPLY_MAX, request, code))
		return 0;
	return stun_agent_finish_message(a, &m, NULL, 0);
}

/* Latest use first; the one longest unused falls out. */
static void remember(struct mu_ice *ice, const struct mu_path *p)
{
	unsigned i = 0;

	while (i < ice->n_pairs && !mu_addr_equal(&ice->pairs[i].remote, &p->remote))
		i++;
	if (i == ice->n_pairs) {
		if (ice->n_pairs < MU_ICE_PAIRS)
			ice->n_pairs++;
		else
			i--;
	}
	memmove(&ice->pairs[1], &ice->pairs[0], i * sizeof(ice->pairs[0]));
	ice->pairs[0] = *p;
}

/* A nomination with the new credentials ends a restart; one with the old no longer moves anything once they are known to
 * be superseded, but is answered: the peer may not have our answer yet. */
static enum mu_ice_event valid(struct mu_ice *ice, const struct mu_path *from, bool nominate, bool old, int64_t now_us)
{
	ice->last_check_us = now_us;
	remember(ice, from);
	if (!nominate)
		return MU_ICE_VALID;
	if (old && ice->new_used)
		return MU_ICE_VALID;
	if (!old && ice->old_ufrag[0]) {
		ice->new_used = true;
		memset(ice->old_ufrag, 0, sizeof(ice->old_ufrag));
		explicit_bzero(ice->old_pwd, sizeof(ice->old_pwd));
	}
	ice->nominated = true;
	ice->selected = *from;
	return MU_ICE_NOMINATED;
}

enum mu_ice_event mu_ice_input(struct mu_ice *ice, const struct mu_path *from, const uint8_t *data, size_t len, int64_t now_us,
	uint8_t *reply, size_t *reply_len)
{
	struct check c = { ice, false };
	StunAgent agent;
	StunMessage request;
	bool nominate;

	*reply_len = 0;
	agent_init(&agent);
	switch (stun_agent_validate(&agent, &request, data, len, find_password, &c)) {
	case STUN_VALIDATION_SUCCESS:
		break;
	case STUN_VALIDATION_UNKNOWN_REQUEST_ATTRIBUTE: {
		StunMessage m;

		if (stun_agent_build_unknown_attributes_error(&agent, &m, reply, REPLY_MAX, &request))
			*reply_len = stun_agent_finish_message(&agent, &m, NULL, 0);
		return *reply_len ? MU_ICE_ANSWER : MU_ICE_IGNORED;
	}
	default:
		return MU_ICE_IGNORED; /* bad integrity and the like: silence tells a stranger nothing */
	}
	if (stun_message_get_class(&request) != STUN_REQUEST || stun_message_get_method(&request) != STUN_BINDING ||
		!stun_message_has_attribute(&request, STUN_ATTRIBUTE_MESSAGE_INTEGRITY) ||
		!stun_message_has_attribute(&request, STUN_ATTRIBUTE_FINGERPRINT))
		return MU_ICE_IGNORED;
	/* RFC 8445, section 7.3.1.1: we are lite and so always controlled; a peer that says the same must switch */
	if (stun_message_has_attribute(&request, STUN_ATTRIBUTE_ICE_CONTROLLED)) {
		*reply_len = refuse(&agent, &request, STUN_ERROR_ROLE_CONFLICT, reply);
		return *reply_len ? MU_ICE_ANSWER : MU_ICE_IGNORED;
	}
	nominate = stun_message_has_attribute(&request, STUN_ATTRIBUTE_USE_CANDIDATE);
	*reply_len = answer(&agent, &request, &from->remote, reply);
	if (*reply_len == 0)
		return MU_ICE_IGNORED;
	return valid(ice, from, nominate, c.old, now_us);
}

bool mu_ice_consent(const struct mu_ice *ice, int64_t now_us)
{
	return ice->n_pairs > 0 && now_us - ice->last_check_us < MU_ICE_CONSENT_US;
}

bool mu_ice_knows(const struct mu_ice *ice, const struct mu_addr *remote)
{
	for (unsigned i = 0; i < ice->n_pairs; i++) {
		if (mu_addr_equal(&ice->pairs[i].remote, remote))
			return true;
	}
	return false;
}
