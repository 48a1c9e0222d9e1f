/* The little of STUN that is looked at before anybody is known: is it a binding request, and for whom. Own code, bounded,
 * for it reads what strangers send; everything behind it is checked by libnice's STUN agent (ice.c). */
#include <errno.h>

#include "ice/ice.h"

#define HEADER		  20
#define MAGIC		  0x2112a442u
#define BINDING_REQUEST	  0x0001
#define ATTR_USERNAME	  0x0006
#define ATTR_FINGERPRINT  0x8028

/* RFC 8489, section 5: two zero bits, length of the rest a multiple of 4, the cookie. */
bool mu_stun_is(const uint8_t *data, size_t len)
{
	return len >= HEADER && data[0] <= 3 && mu_get32(data + 4) == MAGIC && mu_get16(data + 2) + (size_t)HEADER == len &&
	       len % 4 == 0;
}

int mu_stun_local_ufrag(const uint8_t *data, size_t len, char ret[MU_ICE_UFRAG + 1])
{
	bool have_name = false, have_fingerprint = false;

	if (!mu_stun_is(data, len) || mu_get16(data) != BINDING_REQUEST)
		return -EBADMSG;
	for (size_t at = HEADER; at + 4 <= len;) {
		uint16_t type = mu_get16(data + at);
		size_t n = mu_get16(data + at + 2);
		const uint8_t *value = data + at + 4;

		if (n > len - at - 4)
			return -EBADMSG;
		if (type == ATTR_USERNAME && !have_name) {
			const uint8_t *colon = memchr(value, ':', n);

			if (!colon || colon - value != MU_ICE_UFRAG)
				return -EBADMSG;
			memcpy(ret, value, MU_ICE_UFRAG);
			ret[MU_ICE_UFRAG] = '\0';
			have_name = !memchr(ret, '\0', MU_ICE_UFRAG);
		}
		have_fingerprint |= type == ATTR_FINGERPRINT;
		at += 4 + ((n + 3) & ~(size_t)3);
	}
	return have_name && have_fingerprint ? 0 : -EBADMSG;
}
