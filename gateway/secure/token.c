/* Tokens: JWT made and checked (RFC 7519, 7515, 8725). What algorithm counts is decided by the key, never by the token. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "secure/jwt.h"

#define LEEWAY_S 30

/* --- base64url -------------------------------------------------------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t jwt_encode(const uint8_t *data, size_t len, char *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)data[i] << 16;

		if (i + 1 < len)
			v |= (uint32_t)data[i + 1] << 8;
		if (i + 2 < len)
			v |= data[i + 2];
		ret[n++] = alphabet[v >> 18];
		ret[n++] = alphabet[v >> 12 & 63];
		if (i + 1 < len)
			ret[n++] = alphabet[v >> 6 & 63];
		if (i + 2 < len)
			ret[n++] = alphabet[v & 63];
	}
	ret[n] = '\0';
	return n;
}

int jwt_decode(const char *text, size_t len, uint8_t *ret, size_t size)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t n = 0;

	if (len % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;

		if (!at)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			if (n == size)
				return -EBADMSG;
			ret[n++] = (uint8_t)(bits >> n_bits);
		}
	}
	return bits & ((1u << n_bits) - 1) ? -EBADMSG : (int)n;
}

/* --- scopes -------------------------------------------------------------------------------------------------------------------------- */

static const char *const scope_names[] = { "publish", "watch", "conference", "operate", "admin" };

int mu_scope_parse(const char *text, uint32_t *ret)
{
	uint32_t scopes = 0;

	while (*text) {
		size_t n = strcspn(text, " "), i = 0;

		while (i < MU_ARRAY_LEN(scope_names) && (strlen(scope_names[i]) != n || memcmp(scope_names[i], text, n) != 0))
			i++;
		if (n > 0 && i == MU_ARRAY_LEN(scope_names))
			return -EINVAL;
		if (n > 0)
			scopes |= 1u << i;
		text += n + (text[n] == ' ');
	}
	*ret = scopes;
	return 0;
}

char *mu_scope_text(uint32_t scopes, char *ret, size_t size)
{
	size_t at = 0;

	if (size > 0)
		*ret = '\0';
	for (size_t i = 0; i < MU_ARRAY_LEN(scope_names) && at < size; i++) {
		if (scopes >> i & 1)
			at += (size_t)snprintf(ret + at, size - at, "%s%s", at ? " " : "", scope_names[i]);
	}
	return ret;
}

bool mu_token_covers(const struct mu_token *t, const char *id)
{
	size_t n = strlen(t->endpoint);

	if (n > 0 && t->endpoint[n - 1] == '*')
		return strncmp(t->endpoint, id, n - 1) == 0;
	return strcmp(t->endpoint, id) == 0;
}

/* --- checking ------------------------------------------------------------------------------------------------------------------------ */

/* The three parts of header.claims.signature. */
struct parts {
	const char *text;
	size_t header, claims, sig; /* lengths */
};

static int split(const char *jwt, struct parts *p)
{
	const char *a = strchr(jwt, '.'), *b = a ? strchr(a + 1, '.') : NULL;

	if (!b || strchr(b + 1, '.') || strlen(jwt) > JWT_SIZE_MAX)
		return -EBADMSG;
	p->text = jwt;
	p->header = (size_t)(a - jwt);
	p->claims = (size_t)(b - a - 1);
	p->sig = strlen(b + 1);
	return 0;
}

static json_t *part_json(const char *text, size_t len)
{
	uint8_t raw[JWT_SIZE_MAX];
	int n = jwt_decode(text, len, raw, sizeof(raw));
	json_t *j = n > 0 ? json_loadb((const char *)raw, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

/* ES256's signature is r and s side by side (RFC 7518, section 3.4); OpenSSL wants them in DER. */
static int der_of(const uint8_t sig[JWT_SIG_LEN], uint8_t *ret, size_t size)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(sig, 32, NULL), *v = BN_bin2bn(sig + 32, 32, NULL);
	uint8_t *at = ret;
	int n = -1;

	if (s && r && v && ECDSA_SIG_set0(s, r, v) == 1) {
		r = v = NULL; /* the signature's now */
		if (i2d_ECDSA_SIG(s, NULL) <= (int)size)
			n = i2d_ECDSA_SIG(s, &at);
	}
	BN_free(r);
	BN_free(v);
	ECDSA_SIG_free(s);
	return n;
}

static bool signature_fits(const struct ring_key *k, const char *data, size_t len, const uint8_t sig[JWT_SIG_LEN])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t der[80];
	const uint8_t *s = sig;
	int n = JWT_SIG_LEN;
	bool ok;

	if (k->alg == JWT_ES256) {
		n = der_of(sig, der, sizeof(der));
		s = der;
	}
	ok = c && n > 0 &&
	     EVP_DigestVerifyInit(c, NULL, k->alg == JWT_ES256 ? EVP_sha256() : NULL, NULL, k->key) == 1 &&
	     EVP_DigestVerify(c, s, (size_t)n, (const uint8_t *)data, len) == 1;
	EVP_MD_CTX_free(c);
	ERR_clear_error();
	return ok;
}

static bool names_alg(const char *alg, enum jwt_alg is)
{
	return strcmp(alg, is == JWT_EDDSA ? "EdDSA" : "ES256") == 0;
}

static int check_signature(const struct mu_keyring *ring, const struct parts *p, struct mu_error *e)
{
	uint8_t sig[JWT_SIG_LEN];
	json_t *h = part_json(p->text, p->header);
	const char *alg = json_string_value(json_object_get(h, "alg")), *kid = json_string_value(json_object_get(h, "kid"));
	const char *typ = json_string_value(json_object_get(h, "typ"));
	bool fits = false;
	int err = 0;

	if (!h || !alg || (typ && strcasecmp(typ, "JWT") != 0))
		err = mu_error_set(e, -EBADMSG, "not a token: its header is not that of a JWT");
	else if (json_object_get(h, "crit"))
		err = mu_error_set(e, -EPERM, "the token asks for extensions (crit) that are not known here");
	else if (jwt_decode(p->text + p->header + p->claims + 2, p->sig, sig, sizeof(sig)) != JWT_SIG_LEN)
		err = mu_error_set(e, -EPERM, "the token's signature is not one of EdDSA or ES256");
	for (size_t i = 0; err == 0 && i < ring->n; i++) {
		const struct ring_key *k = &ring->keys[i];

		if (names_alg(alg, k->alg) && (!kid || strcmp(kid, k->kid) == 0))
			fits |= signature_fits(k, p->text, p->header + 1 + p->claims, sig);
	}
	if (err == 0 && !fits)
		err = mu_error_set(e, -EPERM, "the token's signature fits none of this gateway's keys (auth.keys)");
	json_decref(h);
	return err;
}

static bool copy_text(const json_t *claims, const char *name, char *ret, size_t size, const char *absent)
{
	const json_t *v = json_object_get(claims, name);
	const char *text = v ? json_string_value(v) : absent;

	if (!text || strlen(text) >= size || (v && json_string_length(v) != strlen(text)))
		return false;
	strcpy(ret, text);
	return true;
}

static int read_claims(const json_t *c, struct mu_token *t, struct mu_error *e)
{
	const json_t *exp = json_object_get(c, "exp"), *nbf = json_object_get(c, "nbf");
	const char *scope = json_string_value(json_object_get(c, "scope"));

	memset(t, 0, sizeof(*t));
	if (!copy_text(c, "jti", t->id, sizeof(t->id), NULL) || !copy_text(c, "sub", t->subject, sizeof(t->subject), NULL) ||
		!copy_text(c, "endpoint", t->endpoint, sizeof(t->endpoint), "*") ||
		!copy_text(c, "iss", t->issuer, sizeof(t->issuer), ""))
		return mu_error_set(e, -EBADMSG, "the token lacks jti or sub, or one of its texts is too long");
	if (!json_is_integer(exp) || (nbf && !json_is_integer(nbf)))
		return mu_error_set(e, -EBADMSG, "the token says no time at which it expires (exp)");
	if (!scope || mu_scope_parse(scope, &t->scopes) < 0)
		return mu_error_set(e, -EBADMSG, "the token's scope is missing or has an unknown word");
	t->expires_s = json_integer_value(exp);
	t->not_before_s = nbf ? json_integer_value(nbf) : 0;
	return 0;
}

int mu_token_verify(const struct mu_keyring *ring, const char *jwt, int64_t now_s, struct mu_token *ret, struct mu_error *e)
{
	struct mu_token t;
	struct parts p;
	json_t *claims;
	int err;

	if (split(jwt, &p) < 0)
		return mu_error_set(e, -EBADMSG, "not a token: three parts separated by dots, at most %d bytes", JWT_SIZE_MAX);
	err = check_signature(ring, &p, e);
	if (err < 0)
		return err;
	claims = part_json(jwt + p.header + 1, p.claims);
	if (!claims)
		return mu_error_set(e, -EBADMSG, "the token's claims are not a JSON object");
	err = read_claims(claims, &t, e);
	json_decref(claims);
	if (err < 0)
		return err;
	if (t.expires_s <= now_s - LEEWAY_S)
		return mu_error_set(e, -ETIME, "the token expired %lld s ago: ask for a new one", (long long)(now_s - t.expires_s));
	if (t.not_before_s > now_s + LEEWAY_S)
		return mu_error_set(e, -ETIME, "the token is valid only in %lld s", (long long)(t.not_before_s - now_s));
	*ret = t;
	return 0;
}

/* --- making --------------------------------------------------------------------------------------------------------------------------- */

static int raw_of(const uint8_t *der, size_t len, uint8_t ret[JWT_SIG_LEN])
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), ret, 32) == 32 && BN_bn2binpad(ECDSA_SIG_get0_s(s), ret + 32, 32) == 32;

	ECDSA_SIG_free(s);
	return ok ? 0 : -EIO;
}

static int sign(EVP_PKEY *key, enum jwt_alg alg, const char *data, size_t len, uint8_t ret[JWT_SIG_LEN])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t sig[128];
	size_t n = sizeof(sig);
	bool ok = c && EVP_DigestSignInit(c, NULL, alg == JWT_ES256 ? EVP_sha256() : NULL, NULL, key) == 1 &&
		  EVP_DigestSign(c, sig, &n, (const uint8_t *)data, len) == 1;

	EVP_MD_CTX_free(c);
	if (!ok)
		return -EIO;
	if (alg == JWT_ES256)
		return raw_of(sig, n, ret);
	memcpy(ret, sig, JWT_SIG_LEN);
	return n == JWT_SIG_LEN ? 0 : -EIO;
}

static json_t *claims_of(const struct mu_token *t, int64_t now_s)
{
	char scopes[128];
	json_t *c = json_pack("{ss ss ss ss sI sI}", "jti", t->id, "sub", t->subject, "scope",
		mu_scope_text(t->scopes, scopes, sizeof(scopes)), "endpoint", t->endpoint[0] ? t->endpoint : "*", "iat",
		(json_int_t)now_s, "exp", (json_int_t)t->expires_s);

	if (c && t->issuer[0])
		json_object_set_new(c, "iss", json_string(t->issuer));
	if (c && t->not_before_s)
		json_object_set_new(c, "nbf", json_integer(t->not_before_s));
	return c;
}

/* @return characters appended */
static size_t append_json(char *at, json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	size_t n = text ? jwt_encode((const uint8_t *)text, strlen(text), at) : 0;

	free(text);
	json_decref(j);
	return n;
}

static int build(EVP_PKEY *key, const struct mu_token *t, int64_t now_s, char **ret)
{
	enum jwt_alg alg = jwt_alg_of(key);
	char kid[JWT_KID_LEN + 1], jwt[JWT_SIZE_MAX];
	uint8_t sig[JWT_SIG_LEN];
	size_t n;

	if (jwt_thumbprint(key, kid) < 0)
		return -EIO;
	n = append_json(jwt, json_pack("{ss ss ss}", "alg", alg == JWT_EDDSA ? "EdDSA" : "ES256", "typ", "JWT", "kid", kid));
	jwt[n++] = '.';
	n += append_json(jwt + n, claims_of(t, now_s));
	if (sign(key, alg, jwt, n, sig) < 0)
		return -EIO;
	jwt[n++] = '.';
	jwt_encode(sig, sizeof(sig), jwt + n);
	*ret = strdup(jwt);
	return *ret ? 0 : -ENOMEM;
}

int mu_token_sign(const char *key_path, struct mu_token *t, int64_t now_s, char **ret, struct mu_error *e)
{
	EVP_PKEY *key = jwt_read_key(key_path, true, e);
	int err;

	if (!key)
		return -EINVAL;
	if (jwt_alg_of(key) == JWT_NONE) {
		EVP_PKEY_free(key);
		return mu_error_set(e, -EINVAL, "%s: tokens need an Ed25519 or EC P-256 key", key_path);
	}
	if (!t->id[0])
		mu_random_text(t->id, 22);
	err = build(key, t, now_s, ret);
	EVP_PKEY_free(key);
	return err < 0 ? mu_error_set(e, err, "signing with %s failed", key_path) : 0;
}

static int write_key(const char *path, mode_t mode, EVP_PKEY *key, bool private, struct mu_error *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok;

	if (!f)
		return mu_error_set(e, -errno, "%s: %s", path, errno == EEXIST ? "is there already; it is never overwritten" : strerror(errno));
	ok = private ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 : PEM_write_PUBKEY(f, key) == 1;
	ok &= fflush(f) == 0 && fsync(fd) == 0;
	fclose(f);
	return ok ? 0 : mu_error_set(e, -EIO, "%s: could not be written", path);
}

int mu_token_keygen(const char *path, struct mu_error *e)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char public[4096];
	int err;

	if (!key)
		return mu_error_set(e, -EIO, "OpenSSL makes no Ed25519 key");
	snprintf(public, sizeof(public), "%s.pub", path);
	err = write_key(path, 0600, key, true, e);
	if (err == 0)
		err = write_key(public, 0644, key, false, e);
	EVP_PKEY_free(key);
	return err;
}
