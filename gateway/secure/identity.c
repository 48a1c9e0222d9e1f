#include <errno.h>
#include <stdlib.h>

#include "secure/identity.h"

#define DAY_S (24 * 3600L)

int mu_identity_wrap(EVP_PKEY *key, X509 *cert, struct mu_identity **ret)
{
	struct mu_identity *id = calloc(1, sizeof(*id));

	if (!id) {
		EVP_PKEY_free(key);
		X509_free(cert);
		return -ENOMEM;
	}
	id->key = key;
	id->cert = cert;
	if (!X509_digest(cert, EVP_sha256(), id->fingerprint, NULL)) {
		mu_identity_free(id);
		return -EIO;
	}
	*ret = id;
	return 0;
}

/** A certificate says nothing here: SDP carries its fingerprint (RFC 8122). So it has a constant name, a
 * random serial number, and begins a day ago for peers whose clock is behind. */
static bool fill_in(X509 *cert, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(cert);
	uint64_t serial;

	mu_random(&serial, sizeof(serial));
	return X509_set_version(cert, X509_VERSION_3) &&
		ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) &&
		X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
		X509_gmtime_adj(X509_getm_notAfter(cert), 10 * 365 * DAY_S) &&
		X509_NAME_add_entry_by_txt(
			name, "CN", MBSTRING_ASC, (const unsigned char *)"muster", -1, -1, 0) &&
		X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) &&
		X509_sign(cert, key, EVP_sha256());
}

int mu_identity_new(struct mu_identity **ret)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	if (!key || !cert || !fill_in(cert, key)) {
		EVP_PKEY_free(key);
		X509_free(cert);
		return -EIO;
	}
	return mu_identity_wrap(key, cert, ret);
}

void mu_identity_free(struct mu_identity *id)
{
	if (!id)
		return;
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	free(id);
}

const uint8_t *mu_identity_fingerprint(const struct mu_identity *id)
{
	return id->fingerprint;
}

void mu_fingerprint_text(const uint8_t fp[MU_FINGERPRINT_LEN], char ret[96])
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < MU_FINGERPRINT_LEN; i++) {
		ret[3 * i] = hex[fp[i] >> 4];
		ret[3 * i + 1] = hex[fp[i] & 15];
		ret[3 * i + 2] = ':';
	}
	ret[3 * MU_FINGERPRINT_LEN - 1] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	/* RFC 8122 wants upper case; SDP from devices has both. */
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int mu_fingerprint_parse(const char *text, uint8_t ret[MU_FINGERPRINT_LEN])
{
	uint8_t fp[MU_FINGERPRINT_LEN];

	for (size_t i = 0; i < MU_FINGERPRINT_LEN; i++) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || text[2] != (i + 1 < MU_FINGERPRINT_LEN ? ':' : '\0'))
			return -EBADMSG;
		fp[i] = (uint8_t)(high << 4 | low);
		text += 3;
	}
	memcpy(ret, fp, sizeof(fp));
	return 0;
}
