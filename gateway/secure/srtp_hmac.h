/* HMAC-SHA1 by copying two prepared SHA-1 states: OpenSSL 3's MAC objects cost more than the hash itself (1671 or 1261 ns a
 * packet against 1120). Included before any header of ipsec-mb's old names. */
#ifndef MU_SRTP_HMAC_H
#define MU_SRTP_HMAC_H

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "secure/srtp_internal.h"

struct hmac_key {
	SHA_CTX ipad, opad; /* the key blocks absorbed (RFC 2104) */
};

static inline void hmac_blocks(const uint8_t key[AUTH_KEY_LEN], uint8_t ipad[SHA_CBLOCK], uint8_t opad[SHA_CBLOCK])
{
	memset(ipad, 0x36, SHA_CBLOCK);
	memset(opad, 0x5c, SHA_CBLOCK);
	for (int i = 0; i < AUTH_KEY_LEN; i++) {
		ipad[i] ^= key[i];
		opad[i] ^= key[i];
	}
}

static inline void hmac_key_init(struct hmac_key *k, const uint8_t key[AUTH_KEY_LEN])
{
	uint8_t ipad[SHA_CBLOCK], opad[SHA_CBLOCK];

	hmac_blocks(key, ipad, opad);
	SHA1_Init(&k->ipad);
	SHA1_Update(&k->ipad, ipad, sizeof(ipad));
	SHA1_Init(&k->opad);
	SHA1_Update(&k->opad, opad, sizeof(opad));
	OPENSSL_cleanse(ipad, sizeof(ipad));
	OPENSSL_cleanse(opad, sizeof(opad));
}

static inline void hmac_run(const struct hmac_key *k, const uint8_t *data, size_t len, const uint8_t *word, uint8_t ret[SHA1_LEN])
{
	SHA_CTX c = k->ipad;

	SHA1_Update(&c, data, len);
	SHA1_Update(&c, word, 4);
	SHA1_Final(ret, &c);
	c = k->opad;
	SHA1_Update(&c, ret, SHA1_LEN);
	SHA1_Final(ret, &c);
}

#endif
