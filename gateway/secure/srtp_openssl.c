/* The engine that runs everywhere. Contexts keep their key schedule; a packet pays for a nonce, the bulk work and the tag.
 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#include "secure/srtp_hmac.h"

struct set {
	EVP_CIPHER_CTX *seal, *open; /* open: GCM only */
	struct hmac_key hmac;	     /* CM only */
};

static int engine_open(struct mu_srtp_engine *en, struct mu_error *e)
{
	(void)en;
	(void)e;
	return 0;
}

static void engine_close(struct mu_srtp_engine *en)
{
	(void)en;
}

static void key_close(struct mu_srtp_key *k, unsigned i)
{
	struct set *s = k->sets[i];

	EVP_CIPHER_CTX_free(s->seal);
	EVP_CIPHER_CTX_free(s->open);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
	k->sets[i] = NULL;
}

static const EVP_CIPHER *cipher(enum mu_srtp_profile p)
{
	switch (p) {
	case MU_SRTP_AEAD_AES_128_GCM:
		return EVP_aes_128_gcm();
	case MU_SRTP_AEAD_AES_256_GCM:
		return EVP_aes_256_gcm();
	default:
		return EVP_aes_128_ctr();
	}
}

static int key_open(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const struct session_keys *keys)
{
	const EVP_CIPHER *c = cipher(k->profile);
	struct set *s = calloc(1, sizeof(*s));
	static const uint8_t iv[16];

	(void)en;
	if (!s)
		return -ENOMEM;
	k->sets[i] = s;
	s->seal = EVP_CIPHER_CTX_new();
	if (!s->seal || EVP_EncryptInit_ex(s->seal, c, NULL, keys->enc, iv) != 1)
		return -ENOMEM;
	if (is_gcm(k->profile)) {
		s->open = EVP_CIPHER_CTX_new();
		if (!s->open || EVP_DecryptInit_ex(s->open, c, NULL, keys->enc, iv) != 1)
			return -ENOMEM;
	} else {
		hmac_key_init(&s->hmac, keys->auth);
	}
	return 0;
}

static void gcm_seal(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t iv[12], const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *c = ((struct set *)k->sets[i])->seal;
	OSSL_PARAM get_tag[] = { OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, GCM_TAG_LEN),
		OSSL_PARAM_construct_end() };
	int n;

	(void)en;
	EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv);
	EVP_EncryptUpdate(c, NULL, &n, aad, (int)aad_len);
	if (len > 0)
		EVP_EncryptUpdate(c, out, &n, in, (int)len);
	EVP_EncryptFinal_ex(c, out + len, &n);
	EVP_CIPHER_CTX_get_params(c, get_tag);
}

static bool gcm_open(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t iv[12], const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, const uint8_t *tag, uint8_t *out)
{
	EVP_CIPHER_CTX *c = ((struct set *)k->sets[i])->open;
	uint8_t none[16];
	int n;

	(void)en;
	EVP_DecryptInit_ex(c, NULL, NULL, NULL, iv);
	EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, (void *)(uintptr_t)tag);
	EVP_DecryptUpdate(c, NULL, &n, aad, (int)aad_len);
	if (len > 0 && EVP_DecryptUpdate(c, out, &n, in, (int)len) != 1)
		return false;
	return EVP_DecryptFinal_ex(c, none, &n) == 1;
}

static void ctr(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t iv[16], const uint8_t *in, size_t len,
	uint8_t *out)
{
	EVP_CIPHER_CTX *c = ((struct set *)k->sets[i])->seal;
	int n;

	(void)en;
	EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv);
	if (len > 0)
		EVP_EncryptUpdate(c, out, &n, in, (int)len);
}

static void hmac(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t *data, size_t len,
	const uint8_t *word, uint8_t ret[SHA1_LEN])
{
	(void)en;
	hmac_run(&((struct set *)k->sets[i])->hmac, data, len, word, ret);
}

static void protect(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mu_srtp_job *j = &jobs[i];
		uint8_t *body = j->out + j->hlen, *end = body + j->payload_len, roc[4];

		if (is_gcm(j->key->profile)) {
			iv_gcm_rtp(j->key->salt[SET_RTP], j->ssrc, j->index, j->iv);
			gcm_seal(en, j->key, SET_RTP, j->iv, j->out, j->hlen, j->payload, j->payload_len, body, end);
			continue;
		}
		iv_cm(j->key->salt[SET_RTP], j->ssrc, j->index, j->iv);
		ctr(en, j->key, SET_RTP, j->iv, j->payload, j->payload_len, body);
		mu_put32(roc, (uint32_t)(j->index >> 16));
		hmac(en, j->key, SET_RTP, j->out, (size_t)j->hlen + j->payload_len, roc, j->tag);
		memcpy(end, j->tag, CM_TAG_LEN);
	}
}

const struct srtp_ops srtp_openssl_ops = {
	.name = "openssl",
	.open = engine_open,
	.close = engine_close,
	.key_open = key_open,
	.key_close = key_close,
	.protect = protect,
	.gcm_seal = gcm_seal,
	.gcm_open = gcm_open,
	.ctr = ctr,
	.hmac = hmac,
};
