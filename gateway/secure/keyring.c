/* Public keys by thumbprint (RFC 7638), read from PEM files. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "secure/jwt.h"

int mu_keyring_new(struct mu_keyring **ret)
{
	struct mu_keyring *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	*ret = k;
	return 0;
}

void mu_keyring_free(struct mu_keyring *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->keys[i].key);
	free(k);
}

size_t mu_keyring_size(const struct mu_keyring *k)
{
	return k->n;
}

EVP_PKEY *jwt_read_key(const char *path, bool private_only, struct mu_error *e)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key;

	if (!f) {
		mu_error_set(e, -errno, "%s: %s", path, strerror(errno));
		return NULL;
	}
	ERR_clear_error();
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	if (!key && !private_only) {
		rewind(f);
		key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	}
	fclose(f);
	if (!key)
		mu_error_set(e, -EINVAL, "%s: no %skey in PEM format", path, private_only ? "private " : "");
	return key;
}

enum jwt_alg jwt_alg_of(EVP_PKEY *key)
{
	char group[32];

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		return JWT_EDDSA;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
		strcmp(group, "prime256v1") == 0)
		return JWT_ES256;
	return JWT_NONE;
}

/* RFC 7638, section 3: SHA-256 over the required members in lexical order, no white space. */
int jwt_thumbprint(EVP_PKEY *key, char ret[JWT_KID_LEN + 1])
{
	uint8_t raw[65], hash[32];
	char x[48], y[48], json[256];
	size_t len = sizeof(raw);

	if (jwt_alg_of(key) == JWT_EDDSA) {
		if (EVP_PKEY_get_raw_public_key(key, raw, &len) != 1 || len != 32)
			return -EINVAL;
		jwt_encode(raw, 32, x);
		snprintf(json, sizeof(json), "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
	} else {
		if (EVP_PKEY_get_octet_string_param(key, "encoded-pub-key", raw, sizeof(raw), &len) != 1 || len != 65)
			return -EINVAL;
		jwt_encode(raw + 1, 32, x);
		jwt_encode(raw + 33, 32, y);
		snprintf(json, sizeof(json), "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
	}
	if (EVP_Digest(json, strlen(json), hash, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	jwt_encode(hash, sizeof(hash), ret);
	return 0;
}

int mu_keyring_add_file(struct mu_keyring *k, const char *path, struct mu_error *e)
{
	struct ring_key *slot = &k->keys[k->n];
	EVP_PKEY *key;

	if (k->n == JWT_KEYS_MAX)
		return mu_error_set(e, -ENOSPC, "%s: more than %d keys", path, JWT_KEYS_MAX);
	key = jwt_read_key(path, false, e);
	if (!key)
		return -EINVAL;
	slot->alg = jwt_alg_of(key);
	if (slot->alg == JWT_NONE || jwt_thumbprint(key, slot->kid) < 0) {
		mu_error_set(e, -EINVAL, "%s: a %s key; tokens need Ed25519 or EC P-256", path,
			EVP_PKEY_get0_type_name(key) ? EVP_PKEY_get0_type_name(key) : "foreign");
		EVP_PKEY_free(key);
		return -EINVAL;
	}
	slot->key = key;
	k->n++;
	return 0;
}
