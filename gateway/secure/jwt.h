/* What keyring.c and token.c share. */
#ifndef MU_JWT_H
#define MU_JWT_H

#include <openssl/evp.h>

#include "secure/secure.h"

#define JWT_KEYS_MAX 32
#define JWT_KID_LEN  43 /* base64url of 32 bytes */
#define JWT_SIG_LEN  64 /* both algorithms */
#define JWT_SIZE_MAX 4096

enum jwt_alg { JWT_NONE, JWT_EDDSA, JWT_ES256 };

struct ring_key {
	EVP_PKEY *key;
	enum jwt_alg alg;
	char kid[JWT_KID_LEN + 1];
};
struct mu_keyring {
	size_t n;
	struct ring_key keys[JWT_KEYS_MAX];
};

/** base64url without padding (RFC 7515, section 2). ret has room for 4 * ((len + 2) / 3) + 1. @return characters */
size_t jwt_encode(const uint8_t *data, size_t len, char *ret);
/** Strict: no padding, no other character, no bits left over. @return bytes, -EBADMSG */
int jwt_decode(const char *text, size_t len, uint8_t *ret, size_t size);
EVP_PKEY *jwt_read_key(const char *path, bool private_only, struct mu_error *e);
enum jwt_alg jwt_alg_of(EVP_PKEY *key);
int jwt_thumbprint(EVP_PKEY *key, char ret[JWT_KID_LEN + 1]);

#endif
