/* A certificate and its key, as DTLS needs them. Private to secure. */
#ifndef MU_SECURE_IDENTITY_H
#define MU_SECURE_IDENTITY_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "secure/secure.h"

struct mu_identity {
	EVP_PKEY *key;
	X509 *cert;
	uint8_t fingerprint[MU_FINGERPRINT_LEN];
};
/** An identity of a key and certificate that exist. Takes both over, in case of failure too. @return 0,
 * -ENOMEM, -EIO */
int mu_identity_wrap(EVP_PKEY *key, X509 *cert, struct mu_identity **ret);

#endif
