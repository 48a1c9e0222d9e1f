#include <errno.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "secure/jose.h"

#define TOKEN_MAX 4096 /* characters */
#define LEEWAY_S  30
#define AUDIENCE  "muster"

/** The three parts of a token as text: header.payload.signature (RFC 7515, section 7.1). */
struct parts {
	const char *at[3];
	size_t len[3];
};

static int split(const char *jwt, struct parts *ret)
{
	size_t len = strnlen(jwt, TOKEN_MAX + 1);

	if (len > TOKEN_MAX)
		return -EBADMSG;
	for (int i = 0; i < 3; i++) {
		size_t n = strcspn(jwt, ".");

		if (!n || jwt[n] != (i < 2 ? '.' : '\0'))
			return -EBADMSG;
		ret->at[i] = jwt;
		ret->len[i] = n;
		jwt += n + 1;
	}
	return 0;
}

/** One part as a JSON object. Twice the same member: two readers would see two tokens (RFC 8725,
 * section 2.4). */
static json_t *parse_object(const struct parts *p, int part)
{
	uint8_t raw[TOKEN_MAX];
	int len = mu_base64url_parse(p->at[part], p->len[part], raw);
	json_t *j = len < 0 ? NULL : json_loadb((const char *)raw, (size_t)len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

/* --- signatures --- */

/** JWS has r and s as they are, OpenSSL wants them in DER. @return bytes of *ret, to be freed by
 * OPENSSL_free, or -1 */
static int es256_to_der(const uint8_t sig[MU_JOSE_SIG], uint8_t **ret)
{
	ECDSA_SIG *es = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(sig, 32, NULL), *s = BN_bin2bn(sig + 32, 32, NULL);
	int len;

	if (!es || !r || !s || !ECDSA_SIG_set0(es, r, s)) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(es);
		return -1;
	}
	len = i2d_ECDSA_SIG(es, ret);
	ECDSA_SIG_free(es);
	return len;
}

static bool es256_from_der(const uint8_t *der, size_t len, uint8_t ret[MU_JOSE_SIG])
{
	ECDSA_SIG *es = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = es && BN_bn2binpad(ECDSA_SIG_get0_r(es), ret, 32) == 32 &&
		BN_bn2binpad(ECDSA_SIG_get0_s(es), ret + 32, 32) == 32;

	ECDSA_SIG_free(es);
	return ok;
}

static bool is_es256(const struct mu_jose_key *key)
{
	return !strcmp(key->alg, "ES256");
}

static bool signature_fits(
	const struct mu_jose_key *key, const char *text, size_t len, const uint8_t sig[MU_JOSE_SIG])
{
	const EVP_MD *md = is_es256(key) ? EVP_sha256() : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	int n = is_es256(key) ? es256_to_der(sig, &der) : MU_JOSE_SIG;
	bool ok = ctx && n > 0 && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key->pkey) == 1 &&
		EVP_DigestVerify(ctx, der ? der : sig, (size_t)n, (const uint8_t *)text, len) == 1;

	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool make_signature(
	const struct mu_jose_key *key, const char *text, size_t len, uint8_t ret[MU_JOSE_SIG])
{
	const EVP_MD *md = is_es256(key) ? EVP_sha256() : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t raw[128];
	size_t n = sizeof(raw);
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, key->pkey) == 1 &&
		EVP_DigestSign(ctx, raw, &n, (const uint8_t *)text, len) == 1;

	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	if (is_es256(key))
		return es256_from_der(raw, n, ret);
	memcpy(ret, raw, MU_JOSE_SIG);
	return n == MU_JOSE_SIG;
}

/** Whether any key that may have made this signature did. The key says which algorithm it is for; the
 * header's word only has to agree (RFC 8725, section 3.1), so neither "none" nor a MAC keyed with a public
 * key is ever computed. */
static int check_signature(
	const struct mu_keyring *k, const struct parts *p, json_t *header, char ret_kid[MU_JOSE_KID + 1], struct mu_error *e)
{
	const char *alg = json_string_value(json_object_get(header, "alg"));
	json_t *kid = json_object_get(header, "kid");
	size_t signed_len = p->len[0] + 1 + p->len[1];
	uint8_t sig[TOKEN_MAX];
	bool known = false;
	int n = mu_base64url_parse(p->at[2], p->len[2], sig);

	if (n < 0 || !alg || (kid && !json_is_string(kid)))
		return mu_error_set(e, -EBADMSG, "malformed token");
	/* We know no extensions (RFC 7515, section 4.1.11). */
	if (json_object_get(header, "crit"))
		return mu_error_set(e, -EPERM, "the token needs an extension that is not supported");
	for (size_t i = 0; n == MU_JOSE_SIG && i < k->n; i++) {
		if ((kid && strcmp(json_string_value(kid), k->keys[i].kid)) || strcmp(alg, k->keys[i].alg))
			continue;
		known = true;
		if (signature_fits(&k->keys[i], p->at[0], signed_len, sig)) {
			memcpy(ret_kid, k->keys[i].kid, MU_JOSE_KID + 1);
			return 0;
		}
	}
	return mu_error_set(e, -EPERM,
		known ? "the token's signature is wrong" : "no key for the token's key id and algorithm");
}

/* --- claims --- */

/** Copy a text claim. @return 0 also if it is absent and not required; -EBADMSG: missing, empty, too long or
 * no text */
static int text_claim(
	json_t *claims, const char *name, bool required, char *ret, size_t size, struct mu_error *e)
{
	json_t *j = json_object_get(claims, name);
	const char *s = json_string_value(j);

	if (!j && !required)
		return 0;
	/* Empty is no "everything": that takes leaving the claim out. Cut short it would name another. */
	if (!s || !*s || json_string_length(j) >= size)
		return mu_error_set(
			e, -EBADMSG, "the token's claim \"%s\" is missing, empty or too long", name);
	memcpy(ret, s, json_string_length(j) + 1);
	return 0;
}

/** A NumericDate (RFC 7519, section 2): seconds, perhaps with a fraction. */
static int time_claim(json_t *claims, const char *name, bool required, int64_t *ret, struct mu_error *e)
{
	json_t *j = json_object_get(claims, name);
	double v = json_number_value(j);

	if (!j && !required)
		return 0;
	if (!json_is_number(j) || !(v >= 0 && v < 1e12))
		return mu_error_set(e, -EBADMSG, "the token's claim \"%s\" is missing or no time", name);
	*ret = (int64_t)v;
	return 0;
}

static int scope_claim(json_t *claims, uint32_t *ret, struct mu_error *e)
{
	const char *s = json_string_value(json_object_get(claims, "scope"));

	if (!s || mu_scope_parse(s, ret) || !*ret)
		return mu_error_set(
			e, -EBADMSG, "the token's claim \"scope\" is missing or has an unknown word");
	return 0;
}

static const char *const roles[] = { "participant", "chair", "listener" };

const char *mu_token_role_name(enum mu_token_role r)
{
	return roles[r];
}

int mu_token_role_parse(const char *text, enum mu_token_role *ret)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(roles); i++) {
		if (text && !strcmp(roles[i], text)) {
			*ret = (enum mu_token_role)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int conference_claims(json_t *claims, struct mu_token *ret, struct mu_error *e)
{
	json_t *role = json_object_get(claims, "role"), *rank = json_object_get(claims, "rank");
	int err = text_claim(claims, "conference", false, ret->conference, sizeof(ret->conference), e);

	if (err)
		return err;
	if (role && mu_token_role_parse(json_string_value(role), &ret->role) < 0)
		return mu_error_set(e, -EBADMSG, "the token's claim \"role\" is not chair, participant or listener");
	ret->rank = MU_TOKEN_RANK;
	if (!rank)
		return 0;
	if (!json_is_integer(rank) || json_integer_value(rank) < 0 || json_integer_value(rank) > MU_TOKEN_RANK_MAX)
		return mu_error_set(e, -EBADMSG, "the token's claim \"rank\" is not 0 to %d", MU_TOKEN_RANK_MAX);
	ret->rank = (uint8_t)json_integer_value(rank);
	return 0;
}

/** A token for somebody else is not for us (RFC 7519, section 4.1.3). */
static int audience_claim(json_t *claims, struct mu_error *e)
{
	json_t *aud = json_object_get(claims, "aud"), *one;
	const char *s = json_string_value(aud);
	size_t i;

	if (!aud || (s && !strcmp(s, AUDIENCE)))
		return 0;
	json_array_foreach(
		aud, i, one) if (json_is_string(one) && !strcmp(json_string_value(one), AUDIENCE)) return 0;
	return mu_error_set(e, -EPERM, "the token's audience is not \"" AUDIENCE "\"");
}

static int read_claims(json_t *claims, struct mu_token *ret, struct mu_error *e)
{
	int err = text_claim(claims, "jti", true, ret->id, sizeof(ret->id), e);

	err = err ? err : text_claim(claims, "sub", true, ret->subject, sizeof(ret->subject), e);
	err = err ? err : text_claim(claims, "endpoint", false, ret->endpoint, sizeof(ret->endpoint), e);
	err = err ? err : text_claim(claims, "iss", false, ret->issuer, sizeof(ret->issuer), e);
	err = err ? err : time_claim(claims, "exp", true, &ret->expires_s, e);
	err = err ? err : time_claim(claims, "nbf", false, &ret->not_before_s, e);
	err = err ? err : scope_claim(claims, &ret->scopes, e);
	err = err ? err : conference_claims(claims, ret, e);
	return err;
}

static int check_claims(json_t *claims, int64_t now_s, const struct mu_token *ret, struct mu_error *e)
{
	int err = audience_claim(claims, e);

	if (err)
		return err;
	/* No leeway for the end: what a token started ends at exp, so a token taken after it would be taken for
	 * nothing. A clock that runs ahead at the issuer is forgiven at the beginning only. */
	if (now_s >= ret->expires_s)
		return mu_error_set(
			e, -ETIME, "the token expired %lld s ago", (long long)(now_s - ret->expires_s));
	if (now_s < ret->not_before_s - LEEWAY_S)
		return mu_error_set(e, -ETIME, "the token is not valid for another %lld s",
			(long long)(ret->not_before_s - now_s));
	return 0;
}

int mu_token_verify(
	const struct mu_keyring *k, const char *jwt, int64_t now_s, struct mu_token *ret, struct mu_error *e)
{
	struct mu_token t = { 0 };
	struct parts p;
	json_t *header = NULL, *claims = NULL;
	int err = -EBADMSG;

	if (!split(jwt, &p)) {
		header = parse_object(&p, 0);
		claims = parse_object(&p, 1);
	}
	if (!header || !claims)
		mu_error_set(e, err, "malformed token");
	else
		err = check_signature(k, &p, header, t.kid, e);
	if (!err)
		err = read_claims(claims, &t, e);
	if (!err)
		err = check_claims(claims, now_s, &t, e);
	if (!err)
		*ret = t;
	json_decref(header);
	json_decref(claims);
	ERR_clear_error();
	return err;
}

int mu_token_read(const char *jwt, struct mu_token *ret, struct mu_error *e)
{
	struct mu_token t = { 0 };
	struct parts p;
	json_t *claims = split(jwt, &p) ? NULL : parse_object(&p, 1);
	int err = claims ? read_claims(claims, &t, e) : mu_error_set(e, -EBADMSG, "malformed token");

	if (!err)
		*ret = t;
	json_decref(claims);
	return err;
}

static bool covers(const char *pattern, const char *id)
{
	size_t len = strlen(pattern);

	if (!len)
		return true;
	if (pattern[len - 1] == '*')
		return !strncmp(pattern, id, len - 1);
	return !strcmp(pattern, id);
}

bool mu_token_covers(const struct mu_token *t, const char *endpoint_id)
{
	return covers(t->endpoint, endpoint_id);
}

bool mu_token_covers_conference(const struct mu_token *t, const char *id)
{
	return covers(t->conference, id);
}

bool mu_token_same(const struct mu_token *a, const struct mu_token *b)
{
	return !strcmp(a->id, b->id) && !strcmp(a->kid, b->kid);
}

/* --- signing --- */

static json_t *make_claims(const struct mu_token *t, int64_t now_s)
{
	char scope[128];
	json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:I}", "jti", t->id, "sub", t->subject, "scope",
		mu_scope_text(t->scopes, scope, sizeof(scope)), "iat", (json_int_t)now_s, "exp",
		(json_int_t)t->expires_s);

	/* A text that is no UTF-8 fails here: a token without its endpoint would be good for every one. */
	if (!j || (t->endpoint[0] && json_object_set_new(j, "endpoint", json_string(t->endpoint))) ||
		(t->issuer[0] && json_object_set_new(j, "iss", json_string(t->issuer))) ||
		(t->conference[0] && json_object_set_new(j, "conference", json_string(t->conference))) ||
		(t->role != MU_TOKEN_PARTICIPANT && json_object_set_new(j, "role", json_string(roles[t->role]))) ||
		(t->rank != MU_TOKEN_RANK && json_object_set_new(j, "rank", json_integer(t->rank))) ||
		(t->not_before_s && json_object_set_new(j, "nbf", json_integer(t->not_before_s)))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

/** Append JSON as a part of a token. Takes j over. @return characters, 0: failed */
static size_t append_object(json_t *j, char *ret, size_t room)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0, n = 0;

	if (len && (len + 2) / 3 * 4 + 1 <= room)
		n = mu_base64url((const uint8_t *)text, len, ret);
	free(text);
	json_decref(j);
	return n;
}

/** @return 0, -EIO: it came out too long, or OpenSSL failed */
static int make_token(
	const struct mu_jose_key *key, const struct mu_token *t, int64_t now_s, char jwt[TOKEN_MAX + 1])
{
	json_t *header = json_pack("{s:s, s:s, s:s}", "alg", key->alg, "typ", "JWT", "kid", key->kid);
	uint8_t sig[MU_JOSE_SIG];
	size_t room = TOKEN_MAX - 90, n, m; /* 90: dots and signature */

	n = append_object(header, jwt, room);
	if (!n)
		return -EIO;
	jwt[n++] = '.';
	m = append_object(make_claims(t, now_s), jwt + n, room - n);
	if (!m || !make_signature(key, jwt, n + m, sig))
		return -EIO;
	n += m;
	jwt[n++] = '.';
	mu_base64url(sig, sizeof(sig), jwt + n);
	return 0;
}

int mu_token_sign(const char *key_path, struct mu_token *t, int64_t now_s, char **ret, struct mu_error *e)
{
	char jwt[TOKEN_MAX + 1];
	struct mu_jose_key key;
	int err;

	if (!t->subject[0] || !t->scopes || t->expires_s <= now_s)
		return mu_error_set(e, -EINVAL, "a token needs a subject, a scope and an end in the future");
	if (t->rank > MU_TOKEN_RANK_MAX)
		return mu_error_set(e, -EINVAL, "a token's rank is 0 to %d", MU_TOKEN_RANK_MAX);
	err = mu_jose_key_read(key_path, &key, e);
	if (err)
		return err;
	if (!t->id[0])
		mu_random_text(t->id, 22);
	if (!key.secret)
		err = mu_error_set(e, -EINVAL, "%s: a public key cannot sign", key_path);
	else if (make_token(&key, t, now_s, jwt))
		err = mu_error_set(e, -EIO, "signing failed");
	mu_jose_key_done(&key);
	ERR_clear_error();
	if (err)
		return err;
	*ret = strdup(jwt);
	return *ret ? 0 : mu_error_set(e, -ENOMEM, "out of memory");
}
