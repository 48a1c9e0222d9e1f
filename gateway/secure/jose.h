/* Keys and encodings of signed tokens (RFC 7515 to 7518, 8037). Private to secure. */
#ifndef MU_SECURE_JOSE_H
#define MU_SECURE_JOSE_H

#include <openssl/evp.h>

#include "secure/secure.h"

#define MU_JOSE_KID 43 /* base64url of a SHA-256 */
#define MU_JOSE_SIG 64 /* both algorithms' signatures (RFC 8032, section 5.1.6; RFC 7518, section 3.4) */

struct mu_jose_key {
	EVP_PKEY *pkey;
	const char *alg; /* "EdDSA" or "ES256": of the key, not of any token */
	bool secret;     /* can sign */
	char kid[MU_JOSE_KID + 1];
};
struct mu_keyring {
	struct mu_jose_key *keys;
	size_t n;
};
/** Read a key from a PEM file. Never asks for a pass phrase. @return as mu_keyring_add_file */
int mu_jose_key_read(const char *path, struct mu_jose_key *ret, struct mu_error *e);
void mu_jose_key_done(struct mu_jose_key *k);

/** base64url without padding (RFC 7515, section 2). @return characters written, NUL not counted; ret has room
 * for (len + 2) / 3 * 4 + 1 */
size_t mu_base64url(const uint8_t *in, size_t len, char *ret);
/** Strict: no padding, no other characters, unused bits 0. @param ret room for len / 4 * 3 + 2
 *  @return bytes, or -EBADMSG */
int mu_base64url_parse(const char *in, size_t len, uint8_t *ret);

#endif
