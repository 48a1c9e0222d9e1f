/* Credentials of TURN servers that share a secret with us. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "secure/secure.h"

int mu_turn_password(const char *secret, const char *username, char ret[MU_TURN_PASSWORD])
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!HMAC(EVP_sha1(), secret, (int)strlen(secret), (const uint8_t *)username, strlen(username), mac, &len) || len != 20)
		return -EIO;
	EVP_EncodeBlock((uint8_t *)ret, mac, (int)len); /* 28 characters */
	return 0;
}
