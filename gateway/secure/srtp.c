/* srtp.c: profiles, key derivation and packet formats, over whichever engine does the ciphers. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "secure/srtp_internal.h"

/* --- profiles --- */

struct profile {
	enum mu_srtp_profile id;
	const char *name; /* as the configuration and the API call it */
	uint8_t key, salt, tag;
};
static const struct profile profiles[] = {
	{ MU_SRTP_AES128_CM_SHA1_80, "AES128_CM_SHA1_80", 16, SRTP_CM_SALT, SRTP_CM_TAG },
	{ MU_SRTP_AEAD_AES_128_GCM, "AEAD_AES_128_GCM", 16, 12, SRTP_GCM_TAG },
	{ MU_SRTP_AEAD_AES_256_GCM, "AEAD_AES_256_GCM", 32, 12, SRTP_GCM_TAG },
};

static const struct profile *profile_find(enum mu_srtp_profile p)
{
	static const struct profile none = { MU_SRTP_NONE, "none", 0, 0, 0 };

	for (size_t i = 0; i < MU_ARRAY_LEN(profiles); i++)
		if (profiles[i].id == p)
			return &profiles[i];
	return &none;
}

const char *mu_srtp_profile_name(enum mu_srtp_profile p)
{
	return profile_find(p)->name;
}

size_t mu_srtp_key_len(enum mu_srtp_profile p)
{
	return profile_find(p)->key;
}

size_t mu_srtp_salt_len(enum mu_srtp_profile p)
{
	return profile_find(p)->salt;
}

size_t mu_srtp_growth(enum mu_srtp_profile p)
{
	return profile_find(p)->tag;
}

/* --- engines --- */

static const struct srtp_ops *const engines[] = {
#ifdef HAVE_IPSEC_MB
	&srtp_ipsecmb_ops, /* first: "auto" takes the first that opens */
#endif
	&srtp_openssl_ops,
	&srtp_libsrtp_ops,
};

int mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e)
{
	bool any = strcmp(name, "auto") == 0;
	int err;

	for (size_t i = 0; i < MU_ARRAY_LEN(engines); i++) {
		if (!any && strcmp(name, engines[i]->name) != 0)
			continue;
		err = engines[i]->open(ret, e);
		if (err == 0 || !any)
			return err;
	}
	if (strcmp(name, "ipsec-mb") == 0)
		return mu_error_set(e, -EINVAL,
			"SRTP engine ipsec-mb: not in this build (x86-64 only); use auto or openssl");
	return mu_error_set(
		e, -EINVAL, "SRTP engine %s: unknown; there are auto, ipsec-mb, openssl and libsrtp", name);
}

void mu_srtp_engine_free(struct mu_srtp_engine *en)
{
	if (en)
		en->ops->close(en);
}

const char *mu_srtp_engine_name(const struct mu_srtp_engine *en)
{
	return en->ops->name;
}

/* --- keys --- */

int srtp_derive(enum mu_srtp_profile p, const uint8_t *master, const uint8_t *salt, uint8_t label,
	uint8_t *ret, size_t len)
{
	/* RFC 3711, section 4.3.3 (AES-256: RFC 6188, section 3): the first bytes of AES counter mode from
	 * x * 2^16, x = label * 2^48 XOR salt. RFC 7714's 96-bit salt stands at the left of the 112 bits. */
	static const uint8_t zeros[128];
	const EVP_CIPHER *aes = mu_srtp_key_len(p) == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = { 0 };
	int n, ok;

	if (!c || len > sizeof(zeros)) {
		EVP_CIPHER_CTX_free(c);
		return c ? -EINVAL : -ENOMEM;
	}
	memcpy(iv, salt, mu_srtp_salt_len(p));
	iv[7] ^= label;
	ok = EVP_EncryptInit_ex(c, aes, NULL, master, iv) == 1 &&
		EVP_EncryptUpdate(c, ret, &n, zeros, (int)len) == 1;
	EVP_CIPHER_CTX_free(c);
	OPENSSL_cleanse(iv, sizeof(iv));
	return ok ? 0 : -ENOMEM;
}

/** Labels: RFC 3711, section 4.3.2. */
static int derive_session(const struct srtp_secret *s, enum srtp_kind kind, struct srtp_session *ret)
{
	uint8_t first = kind == SRTP_RTP ? 0 : 3;
	enum mu_srtp_profile p = s->profile;
	int err;

	err = srtp_derive(p, s->master, s->salt, first, ret->cipher, mu_srtp_key_len(p));
	if (err == 0 && !srtp_is_gcm(p))
		err = srtp_derive(p, s->master, s->salt, (uint8_t)(first + 1), ret->auth, sizeof(ret->auth));
	if (err == 0)
		err = srtp_derive(
			p, s->master, s->salt, (uint8_t)(first + 2), ret->salt, mu_srtp_salt_len(p));
	return err;
}

int srtp_key_from_session(struct mu_srtp_engine *en, const struct srtp_secret *s, struct mu_srtp_key **ret)
{
	struct mu_srtp_key *k;
	int err;

	if (mu_srtp_key_len(s->profile) == 0)
		return -EINVAL;
	err = en->ops->key_new(en, s, &k);
	if (err < 0)
		return err;
	k->en = en;
	k->profile = s->profile;
	for (int kind = SRTP_RTP; kind <= SRTP_RTCP; kind++)
		memcpy(k->salt[kind], s->session[kind].salt, sizeof(k->salt[kind]));
	*ret = k;
	return 0;
}

int mu_srtp_key_new(struct mu_srtp_engine *en, enum mu_srtp_profile p, const uint8_t *master,
	const uint8_t *salt, struct mu_srtp_key **ret)
{
	struct srtp_secret s = { .profile = p, .master = master, .salt = salt };
	int err;

	if (mu_srtp_key_len(p) == 0)
		return -EINVAL;
	err = derive_session(&s, SRTP_RTP, &s.session[SRTP_RTP]);
	if (err == 0)
		err = derive_session(&s, SRTP_RTCP, &s.session[SRTP_RTCP]);
	if (err == 0)
		err = srtp_key_from_session(en, &s, ret);
	OPENSSL_cleanse(&s, sizeof(s));
	return err;
}

void mu_srtp_key_free(struct mu_srtp_key *k)
{
	if (k)
		k->en->ops->key_free(k);
}

enum mu_srtp_profile mu_srtp_key_profile(const struct mu_srtp_key *k)
{
	return k->profile;
}

/* --- RTP --- */

void srtp_protect_one(struct mu_srtp_job *j)
{
	struct mu_srtp_key *k = j->key;
	const struct srtp_ops *ops = k->en->ops;
	uint8_t *body = j->out + j->hlen, *tag = body + j->payload_len;
	bool ok;

	if (srtp_is_gcm(k->profile)) {
		srtp_gcm_iv(k, SRTP_RTP, j->ssrc, j->index, j->iv);
		ok = ops->gcm_seal(
			k, SRTP_RTP, j->iv, j->out, j->hlen, j->payload, j->payload_len, body, tag);
	} else {
		uint8_t roc[4];

		srtp_cm_iv(k, SRTP_RTP, j->ssrc, j->index, j->iv);
		ok = ops->ctr(k, SRTP_RTP, j->iv, j->payload, j->payload_len, body);
		mu_put32(roc, (uint32_t)(j->index >> 16));
		srtp_hmac(&k->hmac[SRTP_RTP], j->out, (size_t)(tag - j->out), roc, sizeof(roc), j->tag);
		memcpy(tag, j->tag, SRTP_CM_TAG);
	}
	if (!ok) /* what an earlier packet left there must not go out */
		memset(body, 0, j->payload_len + mu_srtp_growth(k->profile));
}

void srtp_protect_each(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n)
{
	(void)en;
	for (size_t i = 0; i < n; i++)
		srtp_protect_one(&jobs[i]);
}

void mu_srtp_protect(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n)
{
	en->ops->protect(en, jobs, n);
}

int srtp_unprotect_one(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index,
	const uint8_t *in, size_t len, size_t hlen, uint8_t *ret)
{
	size_t end = len - mu_srtp_growth(k->profile); /* of the ciphertext */
	uint8_t iv[16];

	if (srtp_is_gcm(k->profile)) {
		srtp_gcm_iv(k, SRTP_RTP, ssrc, index, iv);
		if (!en->ops->gcm_open(
			    k, SRTP_RTP, iv, in, hlen, in + hlen, end - hlen, in + end, ret + hlen))
			return -EBADMSG;
	} else {
		uint8_t roc[4], tag[SRTP_SHA1_LEN];

		mu_put32(roc, (uint32_t)(index >> 16));
		srtp_hmac(&k->hmac[SRTP_RTP], in, end, roc, sizeof(roc), tag);
		if (!mu_secret_equal(tag, in + end, SRTP_CM_TAG))
			return -EBADMSG;
		srtp_cm_iv(k, SRTP_RTP, ssrc, index, iv);
		if (!en->ops->ctr(k, SRTP_RTP, iv, in + hlen, end - hlen, ret + hlen))
			return -EBADMSG;
	}
	memcpy(ret, in, hlen);
	return 0;
}

int mu_srtp_unprotect(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index,
	const uint8_t *in, size_t len, size_t hlen, uint8_t *ret)
{
	if (hlen < SRTP_HEADER || len < hlen + mu_srtp_growth(k->profile) || len > UINT16_MAX)
		return -EBADMSG;
	return en->ops->unprotect(en, k, ssrc, index, in, len, hlen, ret);
}

/* --- RTCP --- */

/** RFC 7714, section 9.2: what is authenticated and not encrypted is the header and the word with E flag and
 * index. */
static void srtcp_aad(const uint8_t *packet, uint32_t word, uint8_t ret[SRTCP_HEADER + SRTCP_INDEX])
{
	memcpy(ret, packet, SRTCP_HEADER);
	mu_put32(ret + SRTCP_HEADER, word);
}

int mu_srtcp_protect(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t index, const uint8_t *in,
	size_t len, uint8_t *ret)
{
	uint8_t iv[16], aad[SRTCP_HEADER + SRTCP_INDEX], tag[SRTP_SHA1_LEN];
	uint32_t word = index | SRTCP_E, ssrc;

	if (len < SRTCP_HEADER || len > UINT16_MAX || index > SRTCP_INDEX_MAX)
		return -EINVAL;
	ssrc = mu_get32(in + 4);
	memcpy(ret, in, SRTCP_HEADER);
	if (srtp_is_gcm(k->profile)) { /* RFC 7714, section 9: the word comes last, behind the tag */
		srtp_gcm_iv(k, SRTP_RTCP, ssrc, index, iv);
		srtcp_aad(in, word, aad);
		mu_put32(ret + len + SRTP_GCM_TAG, word);
		if (!en->ops->gcm_seal(k, SRTP_RTCP, iv, aad, sizeof(aad), in + SRTCP_HEADER,
			    len - SRTCP_HEADER, ret + SRTCP_HEADER, ret + len))
			return -EINVAL;
		return (int)len + SRTP_GCM_TAG + SRTCP_INDEX;
	}
	srtp_cm_iv(k, SRTP_RTCP, ssrc, index, iv);
	if (!en->ops->ctr(k, SRTP_RTCP, iv, in + SRTCP_HEADER, len - SRTCP_HEADER, ret + SRTCP_HEADER))
		return -EINVAL;
	mu_put32(ret + len, word); /* RFC 3711, section 3.4: the tag comes last and covers the word */
	srtp_hmac(&k->hmac[SRTP_RTCP], ret, len + SRTCP_INDEX, NULL, 0, tag);
	memcpy(ret + len + SRTCP_INDEX, tag, SRTP_CM_TAG);
	return (int)len + SRTCP_INDEX + SRTP_CM_TAG;
}

static int srtcp_open_gcm(struct mu_srtp_key *k, const uint8_t *in, size_t len, uint32_t word, uint8_t *ret)
{
	uint8_t iv[16], aad[SRTCP_HEADER + SRTCP_INDEX];

	srtp_gcm_iv(k, SRTP_RTCP, mu_get32(in + 4), word & SRTCP_INDEX_MAX, iv);
	srtcp_aad(in, word, aad);
	if (!k->en->ops->gcm_open(k, SRTP_RTCP, iv, aad, sizeof(aad), in + SRTCP_HEADER, len - SRTCP_HEADER,
		    in + len, ret + SRTCP_HEADER))
		return -EBADMSG;
	return 0;
}

static int srtcp_open_cm(struct mu_srtp_key *k, const uint8_t *in, size_t len, uint32_t word, uint8_t *ret)
{
	uint8_t iv[16], tag[SRTP_SHA1_LEN];

	srtp_hmac(&k->hmac[SRTP_RTCP], in, len + SRTCP_INDEX, NULL, 0, tag);
	if (!mu_secret_equal(tag, in + len + SRTCP_INDEX, SRTP_CM_TAG))
		return -EBADMSG;
	srtp_cm_iv(k, SRTP_RTCP, mu_get32(in + 4), word & SRTCP_INDEX_MAX, iv);
	if (!k->en->ops->ctr(k, SRTP_RTCP, iv, in + SRTCP_HEADER, len - SRTCP_HEADER, ret + SRTCP_HEADER))
		return -EBADMSG;
	return 0;
}

int mu_srtcp_unprotect(struct mu_srtp_engine *en, struct mu_srtp_key *k, const uint8_t *in, size_t len,
	uint8_t *ret, uint32_t *ret_index)
{
	bool gcm = srtp_is_gcm(k->profile);
	size_t growth = SRTCP_INDEX + mu_srtp_growth(k->profile), end = len - growth;
	uint32_t word;
	int err;

	(void)en;
	if (len < SRTCP_HEADER + growth || len > UINT16_MAX)
		return -EBADMSG;
	word = mu_get32(gcm ? in + len - SRTCP_INDEX : in + end);
	if (!(word & SRTCP_E)) /* RFC 8827, section 6.5: no NULL encryption in WebRTC */
		return -EBADMSG;
	err = gcm ? srtcp_open_gcm(k, in, end, word, ret) : srtcp_open_cm(k, in, end, word, ret);
	if (err < 0)
		return err;
	memcpy(ret, in, SRTCP_HEADER);
	*ret_index = word & SRTCP_INDEX_MAX;
	return (int)end;
}
