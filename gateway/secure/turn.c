/* Credentials for a TURN server that shares a secret with us: coturn's use-auth-secret, after
 * draft-uberti-behave-turn-rest. The server keeps no list of users: the name says until when it is good, the
 * password proves that who made it knew the secret. */
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "secure/secure.h"

/* The name goes into an HTTP header, a STUN attribute and the TURN server's log, and the first colon ends the
 * time: only what means nothing in any of them is kept. */
static void plain(char *user)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@/-";

	for (; *user; user++) {
		if (!strchr(good, *user))
			*user = '_';
	}
}

int mu_turn_credentials(const char *secret, const char *user, int64_t expires_s, struct mu_turn_credentials *ret)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int n = snprintf(ret->username, sizeof(ret->username), "%" PRId64 ":", expires_s);

	snprintf(ret->username + n, sizeof(ret->username) - (size_t)n, "%s", *user ? user : "nobody");
	plain(ret->username + n);
	if (!HMAC(EVP_sha1(), secret, (int)strlen(secret), (const uint8_t *)ret->username, strlen(ret->username), mac,
		    &len))
		return -ENOMEM;
	EVP_EncodeBlock((uint8_t *)ret->password, mac, (int)len);
	OPENSSL_cleanse(mac, sizeof(mac));
	return 0;
}
