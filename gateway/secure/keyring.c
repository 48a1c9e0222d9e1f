#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secure/jose.h"

/** OpenSSL would ask on the terminal for the pass phrase of an encrypted key. */
static int no_pass_phrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static bool coordinate(const EVP_PKEY *key, const char *name, char *ret)
{
	uint8_t raw[32];
	BIGNUM *n = NULL;
	bool ok = EVP_PKEY_get_bn_param(key, name, &n) && BN_bn2binpad(n, raw, sizeof(raw)) == sizeof(raw);

	BN_free(n);
	if (ok)
		mu_base64url(raw, sizeof(raw), ret);
	return ok;
}

/** RFC 7638, section 3; RFC 8037, section 2: SHA-256 of the required members in alphabetical order. */
static bool thumbprint(struct mu_jose_key *k)
{
	char x[48], y[48], json[256];
	uint8_t raw[32], hash[32];
	size_t len = sizeof(raw);
	int n;

	if (EVP_PKEY_is_a(k->pkey, "ED25519")) {
		if (!EVP_PKEY_get_raw_public_key(k->pkey, raw, &len))
			return false;
		mu_base64url(raw, len, x);
		n = snprintf(json, sizeof(json), "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
	} else {
		if (!coordinate(k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, x) ||
			!coordinate(k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, y))
			return false;
		n = snprintf(json, sizeof(json),
			"{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
	}
	if (!EVP_Digest(json, (size_t)n, hash, NULL, EVP_sha256(), NULL))
		return false;
	mu_base64url(hash, sizeof(hash), k->kid);
	return true;
}

/** @return the algorithm for this kind of key (RFC 7518, section 3.4; RFC 8037, section 3.1), NULL: none of
 * ours */
static const char *algorithm_of(const EVP_PKEY *key)
{
	char group[32];

	if (EVP_PKEY_is_a(key, "ED25519"))
		return "EdDSA";
	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
		!strcmp(group, "prime256v1"))
		return "ES256";
	return NULL;
}

static EVP_PKEY *read_pem(FILE *f, bool *ret_secret)
{
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, no_pass_phrase, NULL);

	*ret_secret = key != NULL;
	if (key)
		return key;
	rewind(f);
	return PEM_read_PUBKEY(f, NULL, no_pass_phrase, NULL);
}

int mu_jose_key_read(const char *path, struct mu_jose_key *ret, struct mu_error *e)
{
	struct mu_jose_key k = { 0 };
	FILE *f = fopen(path, "re");
	int err = 0;

	if (!f)
		return mu_error_set(e, errno == ENOENT ? -ENOENT : -EINVAL, "%s: %s", path, strerror(errno));
	k.pkey = read_pem(f, &k.secret);
	fclose(f);
	if (!k.pkey) {
		err = mu_error_set(e, -EINVAL, "%s: no key in PEM form, or an encrypted one", path);
	} else {
		k.alg = algorithm_of(k.pkey);
		if (!k.alg)
			err = mu_error_set(e, -EINVAL, "%s: a key of type %s; Ed25519 or P-256 is needed",
				path, EVP_PKEY_get0_type_name(k.pkey));
		else if (!thumbprint(&k))
			err = mu_error_set(e, -EINVAL, "%s: OpenSSL cannot read the public key", path);
	}
	ERR_clear_error();
	if (err)
		mu_jose_key_done(&k);
	else
		*ret = k;
	return err;
}

void mu_jose_key_done(struct mu_jose_key *k)
{
	EVP_PKEY_free(k->pkey);
	k->pkey = NULL;
}

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
		mu_jose_key_done(&k->keys[i]);
	free(k->keys);
	free(k);
}

int mu_keyring_add_file(struct mu_keyring *k, const char *path, struct mu_error *e)
{
	struct mu_jose_key key, *keys;
	int err = mu_jose_key_read(path, &key, e);

	if (err)
		return err;
	for (size_t i = 0; i < k->n; i++) {
		if (!strcmp(k->keys[i].kid, key.kid)) { /* the same key again, or its other half */
			mu_jose_key_done(&key);
			return 0;
		}
	}
	keys = realloc(k->keys, (k->n + 1) * sizeof(*keys));
	if (!keys) {
		mu_jose_key_done(&key);
		return mu_error_set(e, -ENOMEM, "out of memory");
	}
	k->keys = keys;
	k->keys[k->n++] = key;
	return 0;
}

size_t mu_keyring_size(const struct mu_keyring *k)
{
	return k->n;
}

bool mu_keyring_knows(const struct mu_keyring *k, const struct mu_token *t)
{
	bool known = !t->kid[0];

	for (size_t i = 0; !known && i < k->n; i++)
		known = strcmp(k->keys[i].kid, t->kid) == 0;
	return known;
}

/** A new file of one key. @return 0, -errno */
static int write_pem(const char *path, mode_t mode, EVP_PKEY *key, bool secret)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode), err = -EIO;
	FILE *f;

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		err = -errno;
		close(fd);
	} else {
		if (secret ? PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)
			   : PEM_write_PUBKEY(f, key))
			err = fflush(f) || fsync(fd) ? -errno : 0;
		if (fclose(f) && !err)
			err = -errno;
	}
	if (err)
		unlink(path);
	return err;
}

int mu_token_keygen(const char *path, struct mu_error *e)
{
	char pub[4096];
	EVP_PKEY *key;
	int err, n = snprintf(pub, sizeof(pub), "%s.pub", path);

	if (n < 0 || (size_t)n >= sizeof(pub))
		return mu_error_set(e, -EINVAL, "the path is too long");
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!key)
		return mu_error_set(e, -EIO, "OpenSSL makes no Ed25519 key");
	err = write_pem(path, 0600, key, true);
	if (err) {
		mu_error_set(e, err, "%s: %s", path, strerror(-err));
	} else {
		err = write_pem(pub, 0644, key, false);
		if (err) {
			unlink(path);
			mu_error_set(e, err, "%s: %s", pub, strerror(-err));
		}
	}
	EVP_PKEY_free(key);
	ERR_clear_error();
	return err;
}
