/* Bounded reading of binding requests, before libnice's StunAgent looks at them. Private to ice. */
#ifndef MU_ICE_STUN_H
#define MU_ICE_STUN_H

#include "ice/ice.h"

/** What a binding request holds. Pointers are into the datagram. */
struct mu_stun_request {
	const uint8_t *username; /* NULL: none */
	uint16_t username_len;
	bool integrity;  /* has MESSAGE-INTEGRITY; not checked yet */
	bool controlled; /* has ICE-CONTROLLED */
	bool nominates;  /* has USE-CANDIDATE */
};
/** Take one binding request apart. Checks form only: neither integrity nor the fingerprint's value.
 *  @return 0, -EBADMSG (malformed, no binding request, or FINGERPRINT is missing or not last) */
int mu_stun_parse(const uint8_t *data, size_t len, struct mu_stun_request *ret);

#endif
