/* A certificate of our own and its fingerprint (RFC 8122). */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "secure/identity.h"

#define VALID_S (30 * 24 * 3600L) /* made anew at every start */

static X509 *self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name;
	uint64_t serial;
	bool ok;

	if (!x)
		return NULL;
	mu_random(&serial, sizeof(serial));
	name = X509_get_subject_name(x);
	ok = X509_set_version(x, X509_VERSION_3) && ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) &&
	     X509_gmtime_adj(X509_getm_notBefore(x), -24 * 3600L) && X509_gmtime_adj(X509_getm_notAfter(x), VALID_S) &&
	     X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"muster", -1, -1, 0) &&
	     X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) && X509_sign(x, key, EVP_sha256()) > 0;
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

int mu_identity_new(struct mu_identity **ret)
{
	struct mu_identity *id = calloc(1, sizeof(*id));
	unsigned len = 0;

	if (!id)
		return -ENOMEM;
	id->key = EVP_EC_gen("P-256");
	id->cert = id->key ? self_signed(id->key) : NULL;
	if (!id->cert || X509_digest(id->cert, EVP_sha256(), id->fingerprint, &len) != 1 || len != MU_FINGERPRINT_LEN) {
		mu_identity_free(id);
		return -EIO;
	}
	*ret = id;
	return 0;
}

void mu_identity_free(struct mu_identity *id)
{
	if (!id)
		return;
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
	free(id);
}

const uint8_t *mu_identity_fingerprint(const struct mu_identity *id)
{
	return id->fingerprint;
}

void mu_fingerprint_text(const uint8_t fp[MU_FINGERPRINT_LEN], char ret[96])
{
	for (int i = 0; i < MU_FINGERPRINT_LEN; i++)
		snprintf(ret + 3 * i, 4, i < MU_FINGERPRINT_LEN - 1 ? "%02X:" : "%02X", fp[i]);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int mu_fingerprint_parse(const char *text, uint8_t ret[MU_FINGERPRINT_LEN])
{
	if (strlen(text) != 3 * MU_FINGERPRINT_LEN - 1)
		return -EBADMSG;
	for (int i = 0; i < MU_FINGERPRINT_LEN; i++) {
		int high = hex(text[3 * i]), low = hex(text[3 * i + 1]);

		if (high < 0 || low < 0 || (i < MU_FINGERPRINT_LEN - 1 && text[3 * i + 2] != ':'))
			return -EBADMSG;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
