/* srtp_ipsecmb.c: the ciphers by Intel's ipsec-mb, on x86-64 with AES-NI and AVX2.
 *
 * GCM goes by the direct call, one packet at a time. Counter mode with HMAC-SHA1 goes by jobs: SHA-1 of one
 * packet cannot be made parallel, but up to 16 packets go side by side in the lanes of wide registers.
 */
#include <errno.h>
#include <stdlib.h>
#define NO_COMPAT_IMB_API_053 /* its old macros clash with OpenSSL's names */
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include "secure/srtp_internal.h"

/* Fewer packets than this leave too many lanes empty: one after the other is cheaper then. 1200 bytes with
 * AVX-512, ns a packet: alone 770; as jobs 1125 of 3, 900 of 4, 750 of 5, 690 of 6, 590 of 7, 350 of 50. */
#define MIN_JOBS 6

struct engine {
	struct mu_srtp_engine base;
	IMB_MGR *mgr;
	size_t mgr_size;
	struct gcm_context_data gcm; /* scratch of one call */
};

struct cm {
	uint8_t rounds[16 * 11] __attribute__((aligned(16)));
	/* SHA-1 state behind the key blocks, as jobs want it */
	uint8_t inner[SRTP_SHA1_LEN], outer[SRTP_SHA1_LEN];
};

struct key {
	struct mu_srtp_key base;
	/* by kind; a key is allocated as long as its profile needs */
	union {
		struct gcm_key_data gcm[2];
		struct {
			struct cm cm[2];
			struct srtp_hmac hmac[2]; /* for packets that come alone */
		};
	};
};

static struct key *key_of(struct mu_srtp_key *k)
{
	return MU_CONTAINER_OF(k, struct key, base);
}

static struct engine *engine_of(struct mu_srtp_engine *en)
{
	return MU_CONTAINER_OF(en, struct engine, base);
}

static size_t key_size(enum mu_srtp_profile p)
{
	size_t n = srtp_is_gcm(p) ? offsetof(struct key, gcm[2]) : offsetof(struct key, hmac[2]);

	return (n + MU_CACHELINE - 1) & ~(size_t)(MU_CACHELINE - 1);
}

/* --- engine --- */

static void imb_close(struct mu_srtp_engine *base)
{
	struct engine *en = engine_of(base);

	if (en->mgr)
		OPENSSL_cleanse(en->mgr, en->mgr_size); /* its lanes hold what was hashed last */
	free(en->mgr);
	free(en);
}

static int imb_open(struct mu_srtp_engine **ret, struct mu_error *e)
{
	const uint64_t need = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_AVX2;
	struct engine *en = calloc(1, sizeof(*en));
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!en)
		return mu_error_set(e, -ENOMEM, "SRTP engine ipsec-mb: out of memory");
	en->base.ops = &srtp_ipsecmb_ops;
	en->mgr_size = (imb_get_mb_mgr_size() + MU_CACHELINE - 1) & ~(size_t)(MU_CACHELINE - 1);
	en->mgr = aligned_alloc(MU_CACHELINE, en->mgr_size);
	if (!en->mgr || !imb_set_pointers_mb_mgr(en->mgr, 0, 1)) {
		imb_close(&en->base);
		return mu_error_set(e, -ENOMEM, "SRTP engine ipsec-mb: out of memory");
	}
	if ((en->mgr->features & need) == need)
		init_mb_mgr_auto(en->mgr, &arch);
	if (arch == IMB_ARCH_NONE) {
		imb_close(&en->base);
		return mu_error_set(e, -EINVAL,
			"SRTP engine ipsec-mb: this CPU lacks AES-NI, PCLMULQDQ or AVX2; use auto or openssl");
	}
	*ret = &en->base;
	return 0;
}

/* --- keys --- */

static void imb_key_free(struct mu_srtp_key *base)
{
	struct key *k = key_of(base);

	OPENSSL_cleanse(k, key_size(base->profile));
	free(k);
}

static void hash_key_block(
	IMB_MGR *m, const uint8_t key[SRTP_SHA1_LEN], uint8_t pad, uint8_t ret[SRTP_SHA1_LEN])
{
	uint8_t block[64];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < SRTP_SHA1_LEN; i++)
		block[i] ^= key[i];
	IMB_SHA1_ONE_BLOCK(m, block, ret);
	OPENSSL_cleanse(block, sizeof(block));
}

static void cm_init(struct key *k, IMB_MGR *m, enum srtp_kind kind, const struct srtp_session *s)
{
	/* decryption's rounds: counter mode has none */
	uint8_t unused[sizeof(k->cm[kind].rounds)] __attribute__((aligned(16)));

	IMB_AES_KEYEXP_128(m, s->cipher, k->cm[kind].rounds, unused);
	OPENSSL_cleanse(unused, sizeof(unused));
	hash_key_block(m, s->auth, 0x36, k->cm[kind].inner);
	hash_key_block(m, s->auth, 0x5c, k->cm[kind].outer);
	srtp_hmac_init(&k->hmac[kind], s->auth);
}

static int imb_key_new(struct mu_srtp_engine *base, const struct srtp_secret *s, struct mu_srtp_key **ret)
{
	IMB_MGR *m = engine_of(base)->mgr;
	struct key *k = aligned_alloc(MU_CACHELINE, key_size(s->profile));

	if (!k)
		return -ENOMEM;
	memset(k, 0, key_size(s->profile));
	for (int kind = SRTP_RTP; kind <= SRTP_RTCP; kind++) {
		if (s->profile == MU_SRTP_AEAD_AES_128_GCM)
			IMB_AES128_GCM_PRE(m, s->session[kind].cipher, &k->gcm[kind]);
		else if (s->profile == MU_SRTP_AEAD_AES_256_GCM)
			IMB_AES256_GCM_PRE(m, s->session[kind].cipher, &k->gcm[kind]);
		else
			cm_init(k, m, kind, &s->session[kind]);
	}
	k->base.hmac = srtp_is_gcm(s->profile) ? NULL : k->hmac;
	*ret = &k->base;
	return 0;
}

/* --- one packet --- */

static bool imb_gcm_seal(struct mu_srtp_key *base, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, uint8_t *ret, uint8_t *ret_tag)
{
	struct engine *en = engine_of(base->en);
	const struct gcm_key_data *t = &key_of(base)->gcm[kind];

	if (base->profile == MU_SRTP_AEAD_AES_128_GCM)
		IMB_AES128_GCM_ENC(
			en->mgr, t, &en->gcm, ret, in, len, iv, aad, aad_len, ret_tag, SRTP_GCM_TAG);
	else
		IMB_AES256_GCM_ENC(
			en->mgr, t, &en->gcm, ret, in, len, iv, aad, aad_len, ret_tag, SRTP_GCM_TAG);
	return true;
}

static bool imb_gcm_open(struct mu_srtp_key *base, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, const uint8_t *tag, uint8_t *ret)
{
	struct engine *en = engine_of(base->en);
	const struct gcm_key_data *t = &key_of(base)->gcm[kind];
	uint8_t want[SRTP_GCM_TAG];

	if (base->profile == MU_SRTP_AEAD_AES_128_GCM)
		IMB_AES128_GCM_DEC(en->mgr, t, &en->gcm, ret, in, len, iv, aad, aad_len, want, SRTP_GCM_TAG);
	else
		IMB_AES256_GCM_DEC(en->mgr, t, &en->gcm, ret, in, len, iv, aad, aad_len, want, SRTP_GCM_TAG);
	return mu_secret_equal(want, tag, SRTP_GCM_TAG);
}

static bool imb_ctr(struct mu_srtp_key *base, enum srtp_kind kind, const uint8_t *iv, const uint8_t *in,
	size_t len, uint8_t *ret)
{
	IMB_MGR *m = engine_of(base->en)->mgr;
	IMB_JOB j = {
		.enc_keys = key_of(base)->cm[kind].rounds,
		.key_len_in_bytes = IMB_KEY_128_BYTES,
		.src = in,
		.dst = ret,
		.msg_len_to_cipher_in_bytes = len,
		.iv = iv,
		.iv_len_in_bytes = 16,
	};

	if (len == 0)
		return true;
	IMB_SUBMIT_CIPHER_BURST_NOCHECK(m, &j, 1, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);
	return j.status == IMB_STATUS_COMPLETED;
}

/* --- bursts --- */

static void finish(const IMB_JOB *j)
{
	struct mu_srtp_job *job = j->user_data;

	memcpy(job->out + job->hlen + job->payload_len, job->tag, SRTP_CM_TAG);
}

/** Fill in a job: encrypt out of place, then hash what was written and the ROC behind it, where the tag will
 * go. */
static void prepare(IMB_JOB *j, struct mu_srtp_job *job)
{
	const struct cm *cm = &key_of(job->key)->cm[SRTP_RTP];
	uint8_t *body = job->out + job->hlen;

	srtp_cm_iv(job->key, SRTP_RTP, job->ssrc, job->index, job->iv);
	mu_put32(body + job->payload_len, (uint32_t)(job->index >> 16));
	j->enc_keys = cm->rounds;
	j->dec_keys = cm->rounds;
	j->key_len_in_bytes = IMB_KEY_128_BYTES;
	j->src = job->payload;
	j->dst = body;
	j->cipher_start_src_offset_in_bytes = 0;
	j->msg_len_to_cipher_in_bytes = job->payload_len;
	/* the hash starts at an offset from src, out of place too: modulo 2^64 that reaches every address */
	j->hash_start_src_offset_in_bytes = (uintptr_t)job->out - (uintptr_t)job->payload;
	j->msg_len_to_hash_in_bytes = (uint64_t)job->hlen + job->payload_len + 4;
	j->iv = job->iv;
	j->iv_len_in_bytes = 16;
	j->auth_tag_output = job->tag;
	j->auth_tag_output_len_in_bytes = SRTP_SHA1_LEN;
	j->u.HMAC._hashed_auth_key_xor_ipad = cm->inner;
	j->u.HMAC._hashed_auth_key_xor_opad = cm->outer;
	j->cipher_mode = IMB_CIPHER_CNTR;
	j->cipher_direction = IMB_DIR_ENCRYPT;
	j->hash_alg = IMB_AUTH_HMAC_SHA_1;
	j->chain_order = IMB_ORDER_CIPHER_HASH;
	j->user_data = job;
}

/** Jobs finish in the order they came in; all are done when this returns. */
static void protect_cm(IMB_MGR *m, struct mu_srtp_job *jobs, size_t n)
{
	IMB_JOB *j;

	for (size_t i = 0; i < n; i++) {
		if (srtp_is_gcm(jobs[i].key->profile))
			continue;
		if (jobs[i].payload_len == 0) { /* a cipher job of no bytes is not allowed */
			srtp_protect_one(&jobs[i]);
			continue;
		}
		prepare(IMB_GET_NEXT_JOB(m), &jobs[i]);
		for (j = IMB_SUBMIT_JOB_NOCHECK(m); j; j = IMB_GET_COMPLETED_JOB(m))
			finish(j);
	}
	while ((j = IMB_FLUSH_JOB(m)))
		finish(j);
}

static void imb_protect(struct mu_srtp_engine *base, struct mu_srtp_job *jobs, size_t n)
{
	size_t n_cm = 0;

	for (size_t i = 0; i < n; i++) {
		if (srtp_is_gcm(jobs[i].key->profile))
			srtp_protect_one(&jobs[i]);
		else
			n_cm++;
	}
	if (n_cm >= MIN_JOBS) {
		protect_cm(engine_of(base)->mgr, jobs, n);
		return;
	}
	for (size_t i = 0; i < n && n_cm > 0; i++) {
		if (srtp_is_gcm(jobs[i].key->profile))
			continue;
		srtp_protect_one(&jobs[i]);
		n_cm--;
	}
}

const struct srtp_ops srtp_ipsecmb_ops = {
	.name = "ipsec-mb",
	.open = imb_open,
	.close = imb_close,
	.key_new = imb_key_new,
	.key_free = imb_key_free,
	.protect = imb_protect,
	.unprotect = srtp_unprotect_one,
	.gcm_seal = imb_gcm_seal,
	.gcm_open = imb_gcm_open,
	.ctr = imb_ctr,
};
