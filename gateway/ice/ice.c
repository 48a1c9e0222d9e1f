#include <stun/stunagent.h>

#include "ice/stun.h"

#define REPLY_MAX        128
#define INTEGRITY_SHA256 0x001c /* RFC 8489, section 14.6 */

/* Comprehension-required attributes a check may carry; any other is answered with 420 (RFC 8489,
 * section 6.3.1). A peer that knows RFC 8489 may add the newer integrity behind the one we check; its own
 * rules have older servers ignore it. */
static const uint16_t known_attributes[] = {
	STUN_ATTRIBUTE_USERNAME,
	STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
	STUN_ATTRIBUTE_PRIORITY,
	STUN_ATTRIBUTE_USE_CANDIDATE,
	INTEGRITY_SHA256,
	0,
};

/* 13 KiB, most of it transactions that only a client has: one for each thread instead of one for each
 * session. */
static StunAgent *thread_agent(void)
{
	static _Thread_local StunAgent agent;
	static _Thread_local bool ready;

	if (!ready) {
		stun_agent_init(&agent, known_attributes, STUN_COMPATIBILITY_RFC5389,
			STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
		ready = true;
	}
	return &agent;
}

/** The local address has no port of meaning, and none at all on a socket that is bound to one. */
static bool same_local(const struct mu_addr *a, const struct mu_addr *b)
{
	struct mu_addr x = *a;

	if (a->sa.sa_family != b->sa.sa_family || a->sa.sa_family == AF_UNSPEC)
		return a->sa.sa_family == b->sa.sa_family;
	mu_addr_set_port(&x, mu_addr_port(b));
	return mu_addr_equal(&x, b);
}

static bool path_equal(const struct mu_path *a, const struct mu_path *b)
{
	if (a->conn || b->conn)
		return a->conn == b->conn;
	return a->socket == b->socket && mu_addr_equal(&a->remote, &b->remote) &&
		same_local(&a->local, &b->local);
}

void mu_ice_init(struct mu_ice *ice)
{
	memset(ice, 0, sizeof(*ice));
	mu_random_text(ice->ufrag, MU_ICE_UFRAG);
	mu_random_text(ice->pwd, MU_ICE_PWD);
}

void mu_ice_done(struct mu_ice *ice)
{
	explicit_bzero(ice->ufrag, sizeof(ice->ufrag));
	explicit_bzero(ice->pwd, sizeof(ice->pwd));
	explicit_bzero(ice->old_ufrag, sizeof(ice->old_ufrag));
	explicit_bzero(ice->old_pwd, sizeof(ice->old_pwd));
}

void mu_ice_restart(struct mu_ice *ice, const char *ufrag, const char *pwd)
{
	/* Restarted twice without a nomination between: what the selected path lives on are still the first
	 * ones. */
	if (!ice->old_ufrag[0]) {
		memcpy(ice->old_ufrag, ice->ufrag, sizeof(ice->old_ufrag));
		memcpy(ice->old_pwd, ice->pwd, sizeof(ice->old_pwd));
	}
	memcpy(ice->ufrag, ufrag, MU_ICE_UFRAG);
	memcpy(ice->pwd, pwd, MU_ICE_PWD);
}

/* --- pairs --- */

static unsigned find_pair(const struct mu_ice *ice, const struct mu_path *path)
{
	unsigned i = 0;

	while (i < ice->n_pairs && !path_equal(&ice->pairs[i].path, path))
		i++;
	return i;
}

/** The pair to give up: unchecked for longest, but neither used nor chosen. */
static unsigned least_needed(const struct mu_ice *ice)
{
	unsigned i = ice->n_pairs - 1;

	while (path_equal(&ice->pairs[i].path, &ice->used) ||
		(ice->nominated && path_equal(&ice->pairs[i].path, &ice->selected)))
		i--; /* two at most, of MU_ICE_PAIRS */
	return i;
}

/** Move a validated path to the front. */
static void remember(struct mu_ice *ice, const struct mu_path *from, int64_t now_us)
{
	struct mu_ice_pair pair = { *from, now_us }; /* from may lie in the list itself */
	unsigned i = find_pair(ice, from);

	memset(&ice->forgotten, 0, sizeof(ice->forgotten));
	if (i == MU_ICE_PAIRS) {
		i = least_needed(ice);
		ice->forgotten = ice->pairs[i].path;
	} else if (i == ice->n_pairs) {
		ice->n_pairs++;
	}
	memmove(&ice->pairs[1], &ice->pairs[0], i * sizeof(ice->pairs[0]));
	ice->pairs[0] = pair;
}

/** Send there from now on. */
static void use(struct mu_ice *ice, const struct mu_path *path)
{
	unsigned i = find_pair(ice, path);

	ice->used = ice->pairs[i].path;
	ice->lost = false;
	ice->last_check_us = ice->pairs[i].checked_us;
	ice->moving = ice->nominated && !path_equal(&ice->used, &ice->selected);
}

void mu_ice_settle(struct mu_ice *ice)
{
	ice->settled = true;
}

bool mu_ice_heard(struct mu_ice *ice, const struct mu_path *from)
{
	if (find_pair(ice, from) == ice->n_pairs || path_equal(from, &ice->used))
		return false;
	if (ice->settled && !(ice->nominated && path_equal(from, &ice->selected)))
		return false;
	use(ice, from);
	return true;
}

/** The password of the user a request names, or NULL. @param ret_new whether it is of the latest credentials
 */
static const char *password_for(const struct mu_ice *ice, const uint8_t *username, size_t len, bool *ret_new)
{
	const uint8_t *colon = username ? memchr(username, ':', len) : NULL;
	size_t n = colon ? (size_t)(colon - username) : 0;

	if (n != MU_ICE_UFRAG)
		return NULL;
	*ret_new = !memcmp(username, ice->ufrag, n);
	if (*ret_new)
		return ice->pwd;
	return ice->old_ufrag[0] && !memcmp(username, ice->old_ufrag, n) ? ice->old_pwd : NULL;
}

bool mu_ice_forget(struct mu_ice *ice, const struct mu_path *path)
{
	unsigned i = find_pair(ice, path);

	if (i == ice->n_pairs)
		return false;
	ice->n_pairs--;
	memmove(&ice->pairs[i], &ice->pairs[i + 1], (ice->n_pairs - i) * sizeof(ice->pairs[0]));
	if (ice->nominated && path_equal(path, &ice->selected))
		ice->nominated = ice->moving = false;
	if (!path_equal(path, &ice->used))
		return false;
	ice->lost = true;
	if (ice->nominated)
		use(ice, &ice->selected);
	else if (!ice->settled && ice->n_pairs > 0)
		use(ice, &ice->pairs[0].path);
	return !ice->lost;
}

static bool give_password(StunAgent *agent, StunMessage *msg, uint8_t *username, uint16_t username_len,
	uint8_t **password, size_t *password_len, void *arg)
{
	(void)agent;
	(void)msg;
	(void)username;
	(void)username_len;
	/* libnice takes it as not const and does not write to it. */
	*password = arg;
	*password_len = MU_ICE_PWD;
	return true;
}

/** A success response (RFC 8445, section 7.3.1.2). @return its length, 0: failed */
static size_t answer(StunAgent *agent, const StunMessage *req, const struct mu_addr *from, uint8_t *reply)
{
	struct sockaddr_storage ss = { 0 };
	StunMessage msg;

	/* A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; the peer knows itself by IPv4. */
	if (from->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&from->in6.sin6_addr)) {
		struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = from->in6.sin6_port };

		memcpy(&in4.sin_addr, from->in6.sin6_addr.s6_addr + 12, 4);
		memcpy(&ss, &in4, sizeof(in4));
	} else {
		memcpy(&ss, from, mu_addr_size(from));
	}
	if (!stun_agent_init_response(agent, &msg, reply, REPLY_MAX, req))
		return 0;
	if (stun_message_append_xor_addr(&msg, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &ss, mu_addr_size(from)))
		return 0;
	return stun_agent_finish_message(agent, &msg, NULL, 0);
}

static size_t refuse(StunAgent *agent, const StunMessage *req, StunError code, uint8_t *reply)
{
	StunMessage msg;

	if (code == STUN_ERROR_UNKNOWN_ATTRIBUTE)
		return stun_agent_build_unknown_attributes_error(agent, &msg, reply, REPLY_MAX, req);
	if (!stun_agent_init_error(agent, &msg, reply, REPLY_MAX, req, code))
		return 0;
	return stun_agent_finish_message(agent, &msg, NULL, 0);
}

/** A valid check has come in: pairs, selection, consent, and where to send. */
static enum mu_ice_event accept_check(
	struct mu_ice *ice, const struct mu_path *from, bool nominates, bool newest, int64_t now_us)
{
	bool first = ice->n_pairs == 0 && !ice->settled;

	remember(ice, from, now_us);
	if (first)
		use(ice, from);
	else if (!ice->lost && (!ice->nominated || path_equal(from, &ice->used)))
		ice->last_check_us = now_us;
	if (nominates) {
		/* The latest wins: with a lite peer, browsers nominate only the pair they use. */
		ice->selected = *from;
		ice->nominated = true;
		ice->moving = !path_equal(from, &ice->used);
	}
	if (nominates && newest) {
		explicit_bzero(ice->old_ufrag, sizeof(ice->old_ufrag));
		explicit_bzero(ice->old_pwd, sizeof(ice->old_pwd));
	}
	if (ice->moving && path_equal(from, &ice->selected) &&
		(!ice->settled || ice->lost || now_us - ice->last_check_us >= MU_ICE_STALE_US))
		use(ice, from);
	return nominates ? MU_ICE_NOMINATED : MU_ICE_VALID;
}

enum mu_ice_event mu_ice_input(struct mu_ice *ice, const struct mu_path *from, const uint8_t *data,
	size_t len, int64_t now_us, uint8_t *reply, size_t *reply_len)
{
	StunAgent *agent = thread_agent();
	StunValidationStatus status;
	struct mu_stun_request req;
	const char *pwd;
	StunMessage msg;
	StunError refusal = 0;
	bool newest;

	*reply_len = 0;
	/* Silence is the answer to whatever does not prove that it knows our password: an error would tell a
	 * stranger what is here, and lend itself to reflection. */
	if (mu_stun_parse(data, len, &req) || !req.integrity)
		return MU_ICE_IGNORED;
	pwd = password_for(ice, req.username, req.username_len, &newest);
	if (!pwd)
		return MU_ICE_IGNORED;
	status = stun_agent_validate(agent, &msg, data, len, give_password, (void *)(uintptr_t)pwd);
	if (status == STUN_VALIDATION_UNKNOWN_REQUEST_ATTRIBUTE)
		refusal = STUN_ERROR_UNKNOWN_ATTRIBUTE;
	else if (status != STUN_VALIDATION_SUCCESS)
		return MU_ICE_IGNORED;
	else if (req.controlled) /* a lite agent stays controlled whatever the tie-breaker (RFC 8445,
				    section 6.1.1) */
		refusal = STUN_ERROR_ROLE_CONFLICT;
	*reply_len =
		refusal ? refuse(agent, &msg, refusal, reply) : answer(agent, &msg, &from->remote, reply);
	if (!*reply_len)
		return MU_ICE_IGNORED;
	return refusal ? MU_ICE_ANSWER : accept_check(ice, from, req.nominates, newest, now_us);
}

bool mu_ice_consent(const struct mu_ice *ice, int64_t now_us)
{
	return (ice->n_pairs || ice->lost) && now_us - ice->last_check_us < MU_ICE_CONSENT_US;
}
