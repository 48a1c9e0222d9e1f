/* srtp_openssl.c: the ciphers by OpenSSL, on every CPU.
 *
 * A key keeps its EVP contexts, so that a packet pays for a new IV, the bulk work and the tag. OpenSSL 3.0
 * spends a third of a packet on looking up parameters by name; a ready-made OSSL_PARAM spares the part that
 * can be spared.
 */
#include <errno.h>
#include <stdlib.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "secure/srtp_internal.h"

/** One context for both directions: a key is used in one of them, and GCM's schedule is the same in both. */
struct key {
	struct mu_srtp_key base;
	EVP_CIPHER_CTX *ctx[2];  /* by kind */
	OSSL_PARAM tag[2];       /* "AEAD tag at data, 16 bytes" and the end mark; data is set per packet */
	struct srtp_hmac hmac[]; /* [2], by kind; CM only */
};

static struct key *key_of(struct mu_srtp_key *k)
{
	return MU_CONTAINER_OF(k, struct key, base);
}

static size_t key_size(enum mu_srtp_profile p)
{
	return sizeof(struct key) + (srtp_is_gcm(p) ? 0 : 2 * sizeof(struct srtp_hmac));
}

static int ssl_open(struct mu_srtp_engine **ret, struct mu_error *e)
{
	struct mu_srtp_engine *en = malloc(sizeof(*en));

	if (!en)
		return mu_error_set(e, -ENOMEM, "SRTP engine openssl: out of memory");
	en->ops = &srtp_openssl_ops;
	*ret = en;
	return 0;
}

static void ssl_close(struct mu_srtp_engine *en)
{
	free(en);
}

static void ssl_key_free(struct mu_srtp_key *base)
{
	struct key *k = key_of(base);

	EVP_CIPHER_CTX_free(k->ctx[SRTP_RTP]); /* wipes its key schedule */
	EVP_CIPHER_CTX_free(k->ctx[SRTP_RTCP]);
	OPENSSL_cleanse(k, key_size(base->profile));
	free(k);
}

static const EVP_CIPHER *cipher_of(enum mu_srtp_profile p)
{
	if (!srtp_is_gcm(p))
		return EVP_aes_128_ctr();
	return p == MU_SRTP_AEAD_AES_128_GCM ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
}

static int ssl_key_new(struct mu_srtp_engine *en, const struct srtp_secret *s, struct mu_srtp_key **ret)
{
	struct key *k = calloc(1, key_size(s->profile));

	(void)en;
	if (!k)
		return -ENOMEM;
	k->base.profile = s->profile;
	k->tag[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, SRTP_GCM_TAG);
	k->tag[1] = OSSL_PARAM_construct_end();
	for (int kind = SRTP_RTP; kind <= SRTP_RTCP; kind++) {
		const struct srtp_session *ses = &s->session[kind];

		k->ctx[kind] = EVP_CIPHER_CTX_new();
		if (!k->ctx[kind] ||
			EVP_EncryptInit_ex(
				k->ctx[kind], cipher_of(s->profile), NULL, ses->cipher, ses->salt) != 1) {
			ssl_key_free(&k->base);
			return -ENOMEM;
		}
		if (!srtp_is_gcm(s->profile))
			srtp_hmac_init(&k->hmac[kind], ses->auth);
	}
	k->base.hmac = k->hmac;
	*ret = &k->base;
	return 0;
}

static bool ssl_gcm_seal(struct mu_srtp_key *base, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, uint8_t *ret, uint8_t *ret_tag)
{
	struct key *k = key_of(base);
	EVP_CIPHER_CTX *c = k->ctx[kind];
	int n;

	k->tag[0].data = ret_tag;
	return EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv) == 1 &&
		EVP_EncryptUpdate(c, NULL, &n, aad, (int)aad_len) == 1 &&
		(len == 0 || EVP_EncryptUpdate(c, ret, &n, in, (int)len) == 1) &&
		EVP_EncryptFinal_ex(c, ret_tag, &n) == 1 && EVP_CIPHER_CTX_get_params(c, k->tag) == 1;
}

static bool ssl_gcm_open(struct mu_srtp_key *base, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, const uint8_t *tag, uint8_t *ret)
{
	struct key *k = key_of(base);
	EVP_CIPHER_CTX *c = k->ctx[kind];
	uint8_t none[16];
	int n;

	k->tag[0].data = (void *)tag; /* OSSL_PARAM has no const; setting only reads */
	return EVP_DecryptInit_ex(c, NULL, NULL, NULL, iv) == 1 &&
		EVP_CIPHER_CTX_set_params(c, k->tag) == 1 &&
		EVP_DecryptUpdate(c, NULL, &n, aad, (int)aad_len) == 1 &&
		(len == 0 || EVP_DecryptUpdate(c, ret, &n, in, (int)len) == 1) &&
		EVP_DecryptFinal_ex(c, none, &n) == 1;
}

static bool ssl_ctr(struct mu_srtp_key *base, enum srtp_kind kind, const uint8_t *iv, const uint8_t *in,
	size_t len, uint8_t *ret)
{
	EVP_CIPHER_CTX *c = key_of(base)->ctx[kind];
	int n;

	return EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv) == 1 &&
		(len == 0 || EVP_EncryptUpdate(c, ret, &n, in, (int)len) == 1);
}

const struct srtp_ops srtp_openssl_ops = {
	.name = "openssl",
	.open = ssl_open,
	.close = ssl_close,
	.key_new = ssl_key_new,
	.key_free = ssl_key_free,
	.protect = srtp_protect_each,
	.unprotect = srtp_unprotect_one,
	.gcm_seal = ssl_gcm_seal,
	.gcm_open = ssl_gcm_open,
	.ctr = ssl_ctr,
};
