/* SRTP: profiles, key derivation, and the packet formats over an engine's ciphers. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "secure/srtp_internal.h"

static const struct profile {
	enum mu_srtp_profile id;
	const char *name;
	uint8_t key, salt, growth;
} profiles[] = {
	{ MU_SRTP_AES128_CM_SHA1_80, "AES128_CM_SHA1_80", 16, 14, CM_TAG_LEN },
	{ MU_SRTP_AEAD_AES_128_GCM, "AEAD_AES_128_GCM", 16, 12, GCM_TAG_LEN },
	{ MU_SRTP_AEAD_AES_256_GCM, "AEAD_AES_256_GCM", 32, 12, GCM_TAG_LEN },
};

static const struct profile *profile(enum mu_srtp_profile p)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(profiles); i++) {
		if (profiles[i].id == p)
			return &profiles[i];
	}
	return NULL;
}

const char *mu_srtp_profile_name(enum mu_srtp_profile p)
{
	const struct profile *f = profile(p);

	return f ? f->name : "none";
}

size_t mu_srtp_key_len(enum mu_srtp_profile p)
{
	const struct profile *f = profile(p);

	return f ? f->key : 0;
}

size_t mu_srtp_salt_len(enum mu_srtp_profile p)
{
	const struct profile *f = profile(p);

	return f ? f->salt : 0;
}

size_t mu_srtp_growth(enum mu_srtp_profile p)
{
	return p == MU_SRTP_AES128_CM_SHA1_80 ? CM_TAG_LEN : GCM_TAG_LEN;
}

/* --- engines ------------------------------------------------------------------------------------------------------------------- */

static const struct srtp_ops *find_engine(const char *name, struct mu_error *e)
{
#ifdef HAVE_IPSEC_MB
	if (strcmp(name, "ipsec-mb") == 0)
		return &srtp_ipsecmb_ops;
	if (strcmp(name, "auto") == 0 && srtp_ipsecmb_suits())
		return &srtp_ipsecmb_ops;
#endif
	if (strcmp(name, "auto") == 0 || strcmp(name, "openssl") == 0)
		return &srtp_openssl_ops;
	mu_error_set(e, -EINVAL, "no SRTP engine \"%s\" in this build: use auto, openssl%s", name,
#ifdef HAVE_IPSEC_MB
		" or ipsec-mb");
#else
		"");
#endif
	return NULL;
}

int mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e)
{
	const struct srtp_ops *ops = find_engine(name, e);
	struct mu_srtp_engine *en;
	int err;

	if (!ops)
		return -EINVAL;
	en = calloc(1, sizeof(*en));
	if (!en)
		return mu_error_set(e, -ENOMEM, "out of memory for the SRTP engine");
	en->ops = ops;
	err = ops->open(en, e);
	if (err < 0) {
		free(en);
		return err;
	}
	*ret = en;
	return 0;
}

void mu_srtp_engine_free(struct mu_srtp_engine *en)
{
	if (!en)
		return;
	en->ops->close(en);
	free(en);
}

const char *mu_srtp_engine_name(const struct mu_srtp_engine *en)
{
	return en->ops->name;
}

/* --- keys ------------------------------------------------------------------------------------------------------------------------ */

/* RFC 3711, section 4.3.3: AES in counter mode over the label, key derivation rate 0. A GCM salt is 96 bits, padded on the
 * right to 112 (RFC 7714, section 11). */
static int derive(const struct profile *p, const uint8_t *master, const uint8_t *salt, uint8_t label, uint8_t *ret, size_t len)
{
	static const uint8_t zero[32];
	uint8_t iv[16] = { 0 };
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n, ok;

	memcpy(iv, salt, p->salt);
	iv[7] ^= label;
	ok = c && EVP_EncryptInit_ex(c, p->key == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr(), NULL, master, iv) == 1 &&
	     EVP_EncryptUpdate(c, ret, &n, zero, (int)len) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : -ENOMEM;
}

static int derive_set(const struct profile *p, const uint8_t *master, const uint8_t *salt, unsigned set,
	struct session_keys *ret)
{
	uint8_t label = set == SET_RTP ? 0 : 3; /* encryption, authentication, salt are 0, 1, 2 and 3, 4, 5 */
	int err;

	memset(ret, 0, sizeof(*ret));
	err = derive(p, master, salt, label, ret->enc, p->key);
	if (err == 0)
		err = derive(p, master, salt, (uint8_t)(label + 1), ret->auth, AUTH_KEY_LEN);
	if (err == 0)
		err = derive(p, master, salt, (uint8_t)(label + 2), ret->salt, p->salt);
	return err;
}

int mu_srtp_key_new(struct mu_srtp_engine *en, enum mu_srtp_profile id, const uint8_t *master, const uint8_t *salt,
	struct mu_srtp_key **ret)
{
	const struct profile *p = profile(id);
	struct session_keys s;
	struct mu_srtp_key *k;
	int err = 0;

	if (!p)
		return -EINVAL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->engine = en;
	k->profile = id;
	for (unsigned set = 0; set < SETS && err == 0; set++) {
		err = derive_set(p, master, salt, set, &s);
		if (err == 0)
			err = en->ops->key_open(en, k, set, &s);
		memcpy(k->salt[set], s.salt, sizeof(s.salt));
	}
	OPENSSL_cleanse(&s, sizeof(s));
	if (err < 0) {
		mu_srtp_key_free(k);
		return err;
	}
	*ret = k;
	return 0;
}

void mu_srtp_key_free(struct mu_srtp_key *k)
{
	if (!k)
		return;
	for (unsigned set = 0; set < SETS; set++) {
		if (k->sets[set])
			k->engine->ops->key_close(k, set);
	}
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

enum mu_srtp_profile mu_srtp_key_profile(const struct mu_srtp_key *k)
{
	return k->profile;
}

/* --- RTP --------------------------------------------------------------------------------------------------------------------------- */

void mu_srtp_protect(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n)
{
	if (n > 0)
		en->ops->protect(en, jobs, n);
}

static int unprotect_cm(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, const uint8_t *in,
	size_t len, size_t hlen, uint8_t *ret)
{
	uint8_t tag[SHA1_LEN], roc[4], iv[16];
	size_t body = len - CM_TAG_LEN;

	mu_put32(roc, (uint32_t)(index >> 16));
	en->ops->hmac(en, k, SET_RTP, in, body, roc, tag);
	if (!mu_secret_equal(tag, in + body, CM_TAG_LEN))
		return -EBADMSG;
	iv_cm(k->salt[SET_RTP], ssrc, index, iv);
	memcpy(ret, in, hlen);
	en->ops->ctr(en, k, SET_RTP, iv, in + hlen, body - hlen, ret + hlen);
	return 0;
}

int mu_srtp_unprotect(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, const uint8_t *in,
	size_t len, size_t hlen, uint8_t *ret)
{
	size_t growth = mu_srtp_growth(k->profile);
	uint8_t iv[12];

	if (hlen < 12 || len < hlen + growth)
		return -EBADMSG;
	if (!is_gcm(k->profile))
		return unprotect_cm(en, k, ssrc, index, in, len, hlen, ret);
	iv_gcm_rtp(k->salt[SET_RTP], ssrc, index, iv);
	if (!en->ops->gcm_open(en, k, SET_RTP, iv, in, hlen, in + hlen, len - hlen - GCM_TAG_LEN, in + len - GCM_TAG_LEN,
		    ret + hlen))
		return -EBADMSG;
	memcpy(ret, in, hlen);
	return 0;
}

/* --- RTCP: 8 bytes of header in the clear; a trailing word of E bit and index ------------------------------------------------------------ */

#define RTCP_CLEAR 8
#define E_BIT	   0x80000000u

int mu_srtcp_protect(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t index, const uint8_t *in, size_t len,
	uint8_t *ret)
{
	uint8_t word[4], iv[16], tag[SHA1_LEN], aad[RTCP_CLEAR + 4];
	uint32_t ssrc;

	if (len < RTCP_CLEAR || index >= E_BIT)
		return -EINVAL;
	ssrc = mu_get32(in + 4);
	mu_put32(word, index | E_BIT);
	memcpy(ret, in, RTCP_CLEAR);
	if (is_gcm(k->profile)) {
		memcpy(aad, in, RTCP_CLEAR);
		memcpy(aad + RTCP_CLEAR, word, 4);
		iv_gcm_rtcp(k->salt[SET_RTCP], ssrc, index, iv);
		en->ops->gcm_seal(en, k, SET_RTCP, iv, aad, sizeof(aad), in + RTCP_CLEAR, len - RTCP_CLEAR, ret + RTCP_CLEAR,
			ret + len);
		memcpy(ret + len + GCM_TAG_LEN, word, 4);
		return (int)(len + GCM_TAG_LEN + 4);
	}
	iv_cm(k->salt[SET_RTCP], ssrc, index, iv);
	en->ops->ctr(en, k, SET_RTCP, iv, in + RTCP_CLEAR, len - RTCP_CLEAR, ret + RTCP_CLEAR);
	en->ops->hmac(en, k, SET_RTCP, ret, len, word, tag);
	memcpy(ret + len, word, 4);
	memcpy(ret + len + 4, tag, CM_TAG_LEN);
	return (int)(len + 4 + CM_TAG_LEN);
}

int mu_srtcp_unprotect(struct mu_srtp_engine *en, struct mu_srtp_key *k, const uint8_t *in, size_t len, uint8_t *ret,
	uint32_t *ret_index)
{
	bool gcm = is_gcm(k->profile);
	size_t trailer = 4 + mu_srtp_growth(k->profile), body;
	const uint8_t *word;
	uint8_t iv[16], tag[SHA1_LEN], aad[RTCP_CLEAR + 4];
	uint32_t index;

	if (len < RTCP_CLEAR + trailer)
		return -EBADMSG;
	body = len - trailer;
	word = gcm ? in + len - 4 : in + body;
	index = mu_get32(word);
	if (!(index & E_BIT))
		return -EBADMSG;
	index &= ~E_BIT;
	if (gcm) {
		memcpy(aad, in, RTCP_CLEAR);
		memcpy(aad + RTCP_CLEAR, word, 4);
		iv_gcm_rtcp(k->salt[SET_RTCP], mu_get32(in + 4), index, iv);
		if (!en->ops->gcm_open(en, k, SET_RTCP, iv, aad, sizeof(aad), in + RTCP_CLEAR, body - RTCP_CLEAR, in + body,
			    ret + RTCP_CLEAR))
			return -EBADMSG;
	} else {
		en->ops->hmac(en, k, SET_RTCP, in, body, word, tag);
		if (!mu_secret_equal(tag, in + body + 4, CM_TAG_LEN))
			return -EBADMSG;
		iv_cm(k->salt[SET_RTCP], mu_get32(in + 4), index, iv);
		en->ops->ctr(en, k, SET_RTCP, iv, in + RTCP_CLEAR, body - RTCP_CLEAR, ret + RTCP_CLEAR);
	}
	memcpy(ret, in, RTCP_CLEAR);
	*ret_index = index;
	return (int)body;
}
