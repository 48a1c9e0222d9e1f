#include <errno.h>
#include <stun/stunagent.h>

#include "ice/stun.h"

#define HEADER      20
#define BINDING_REQ 0x0001 /* RFC 8489, section 5: method Binding, class request */

bool mu_stun_is(const uint8_t *data, size_t len)
{
	return len >= HEADER && data[0] <= 3 && mu_get32(data + 4) == STUN_MAGIC_COOKIE;
}

static int take_attribute(struct mu_stun_request *req, uint16_t type, const uint8_t *value, uint16_t len)
{
	switch (type) {
	case STUN_ATTRIBUTE_USERNAME:
		/* The first one counts (RFC 8489, section 14). */
		if (!req->username) {
			req->username = value;
			req->username_len = len;
		}
		return 0;
	case STUN_ATTRIBUTE_MESSAGE_INTEGRITY:
		/* libnice reads 20 bytes here whatever the length says: a shorter one would have it read past
		 * the end. */
		req->integrity = true;
		return len == 20 ? 0 : -EBADMSG;
	case STUN_ATTRIBUTE_ICE_CONTROLLED:
		req->controlled = true;
		return len == 8 ? 0 : -EBADMSG;
	case STUN_ATTRIBUTE_USE_CANDIDATE:
		req->nominates = true;
		return len == 0 ? 0 : -EBADMSG;
	default:
		return 0;
	}
}

int mu_stun_parse(const uint8_t *data, size_t len, struct mu_stun_request *ret)
{
	struct mu_stun_request req = { 0 };
	size_t at = HEADER;

	if (!mu_stun_is(data, len) || mu_get16(data) != BINDING_REQ || mu_get16(data + 2) != len - HEADER ||
		len % 4)
		return -EBADMSG;
	while (len - at >= 4) {
		uint16_t type = mu_get16(data + at), alen = mu_get16(data + at + 2);
		size_t padded = (alen + 3u) & ~3u;

		at += 4;
		if (padded > len - at)
			return -EBADMSG;
		/* Nothing may follow FINGERPRINT, and ICE has it in every check (RFC 8489, section 14.7; RFC
		 * 8445, 7.1). */
		if (type == STUN_ATTRIBUTE_FINGERPRINT) {
			if (alen != 4 || at + 4 != len)
				return -EBADMSG;
			*ret = req;
			return 0;
		}
		/* What stands behind MESSAGE-INTEGRITY is not covered by it: ignored (RFC 8489,
		 * section 14.5). */
		if (!req.integrity && take_attribute(&req, type, data + at, alen))
			return -EBADMSG;
		at += padded;
	}
	return -EBADMSG;
}

int mu_stun_local_ufrag(const uint8_t *data, size_t len, char ret[MU_ICE_UFRAG + 1])
{
	struct mu_stun_request req;
	const uint8_t *colon;
	size_t n;

	if (mu_stun_parse(data, len, &req) || !req.username)
		return -EBADMSG;
	colon = memchr(req.username, ':', req.username_len);
	if (!colon)
		return -EBADMSG;
	n = (size_t)(colon - req.username);
	if (n == 0 || n > MU_ICE_UFRAG || memchr(req.username, '\0', n))
		return -EBADMSG;
	memcpy(ret, req.username, n);
	ret[n] = '\0';
	return 0;
}
