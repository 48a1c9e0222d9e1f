/* What dtls.c needs of an identity. */
#ifndef MU_IDENTITY_H
#define MU_IDENTITY_H

#include <openssl/x509.h>

#include "secure/secure.h"

struct mu_identity {
	EVP_PKEY *key;
	X509 *cert;
	uint8_t fingerprint[MU_FINGERPRINT_LEN];
};

#endif
