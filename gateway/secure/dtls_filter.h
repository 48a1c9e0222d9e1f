/* Which DTLS records OpenSSL gets to see. Private to secure.
 *
 * Before the first keys nothing proves who sent a record. OpenSSL drops malformed records but ends a
 * handshake on a message that is malformed or out of place, and keeps a 17 KiB buffer for each record of the
 * next epoch. So what cannot belong to this handshake is taken out first.
 */
#ifndef MU_SECURE_DTLS_FILTER_H
#define MU_SECURE_DTLS_FILTER_H

#include "base/base.h"

#define MU_DTLS_DATAGRAM_MAX 2048
#define MU_DTLS_EARLY_MAX    16 /* records under the next keys taken before these are there */

/** What decides. The association's. */
struct mu_dtls_filter {
	bool server;
	bool engaged; /* a flight of ours went out */
	bool up;
	uint8_t n_early; /* records of epoch 1 let through before up */
};
/** Copy the records of a datagram that may pass. @param ret room for MU_DTLS_DATAGRAM_MAX. @return bytes, 0:
 * nothing */
size_t mu_dtls_filter(struct mu_dtls_filter *f, const uint8_t *data, size_t len, uint8_t *ret);

#endif
