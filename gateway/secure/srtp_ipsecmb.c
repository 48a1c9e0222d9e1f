/* The fast engine on x86: intel-ipsec-mb. GCM by its direct call (VAES where the CPU has it); AES-CM with HMAC-SHA1 as jobs
 * across packets, for SHA-1 is only fast on many at once (LIMITS, section a: 3306 ns alone, 410 with 16 in flight). */
#define NO_COMPAT_IMB_API_053
#include <errno.h>
#include <intel-ipsec-mb.h>
#include <stdlib.h>

#include "secure/srtp_hmac.h"

/* Scheduled keys of CM: round keys of AES, and SHA-1 states after the two key blocks. */
struct cm_set {
	uint8_t enc[16 * 11] __attribute__((aligned(16)));
	uint8_t dec[16 * 11] __attribute__((aligned(16)));
	uint8_t ipad[SHA1_LEN], opad[SHA1_LEN];
	struct hmac_key hmac; /* for one packet alone: a job of one costs three times as much */
};

static size_t set_size(enum mu_srtp_profile p)
{
	size_t n = is_gcm(p) ? sizeof(struct gcm_key_data) : sizeof(struct cm_set);

	return (n + 63) & ~(size_t)63;
}

#define NEEDED (IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_AVX2 | IMB_FEATURE_SSE4_2)

bool srtp_ipsecmb_suits(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);
	IMB_ARCH arch;
	bool suits;

	if (!m)
		return false;
	init_mb_mgr_auto(m, &arch);
	suits = (m->features & NEEDED) == NEEDED && imb_get_errno(m) == 0;
	free_mb_mgr(m);
	return suits;
}

static int engine_open(struct mu_srtp_engine *en, struct mu_error *e)
{
	IMB_MGR *m = alloc_mb_mgr(0);
	IMB_ARCH arch;

	if (!m)
		return mu_error_set(e, -ENOMEM, "out of memory for ipsec-mb");
	init_mb_mgr_auto(m, &arch);
	if (imb_get_errno(m) != 0 || arch == IMB_ARCH_NONE || !(m->features & IMB_FEATURE_AESNI)) {
		free_mb_mgr(m);
		return mu_error_set(e, -EINVAL, "this CPU lacks AES instructions that ipsec-mb needs: use srtp.engine openssl");
	}
	en->state = m;
	return 0;
}

static void engine_close(struct mu_srtp_engine *en)
{
	free_mb_mgr(en->state);
}

static void cm_schedule(IMB_MGR *m, struct cm_set *s, const struct session_keys *keys)
{
	uint8_t ipad[SHA_CBLOCK], opad[SHA_CBLOCK];

	IMB_AES_KEYEXP_128(m, keys->enc, s->enc, s->dec);
	hmac_blocks(keys->auth, ipad, opad);
	IMB_SHA1_ONE_BLOCK(m, ipad, s->ipad);
	IMB_SHA1_ONE_BLOCK(m, opad, s->opad);
	OPENSSL_cleanse(ipad, sizeof(ipad));
	OPENSSL_cleanse(opad, sizeof(opad));
	hmac_key_init(&s->hmac, keys->auth);
}

static int key_open(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const struct session_keys *keys)
{
	size_t size = set_size(k->profile);
	void *s = aligned_alloc(64, size);

	if (!s)
		return -ENOMEM;
	memset(s, 0, size);
	k->sets[i] = s;
	if (k->profile == MU_SRTP_AEAD_AES_128_GCM)
		IMB_AES128_GCM_PRE((IMB_MGR *)en->state, keys->enc, s);
	else if (k->profile == MU_SRTP_AEAD_AES_256_GCM)
		IMB_AES256_GCM_PRE((IMB_MGR *)en->state, keys->enc, s);
	else
		cm_schedule(en->state, s, keys);
	return 0;
}

static void key_close(struct mu_srtp_key *k, unsigned i)
{
	OPENSSL_cleanse(k->sets[i], set_size(k->profile));
	free(k->sets[i]);
	k->sets[i] = NULL;
}

static void gcm_seal(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t iv[12], const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	struct gcm_context_data c;
	IMB_MGR *m = en->state;

	if (k->profile == MU_SRTP_AEAD_AES_128_GCM)
		IMB_AES128_GCM_ENC(m, k->sets[i], &c, out, in, len, iv, aad, aad_len, tag, GCM_TAG_LEN);
	else
		IMB_AES256_GCM_ENC(m, k->sets[i], &c, out, in, len, iv, aad, aad_len, tag, GCM_TAG_LEN);
}

static bool gcm_open(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t iv[12], const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, const uint8_t *tag, uint8_t *out)
{
	struct gcm_context_data c;
	uint8_t want[GCM_TAG_LEN];
	IMB_MGR *m = en->state;

	if (k->profile == MU_SRTP_AEAD_AES_128_GCM)
		IMB_AES128_GCM_DEC(m, k->sets[i], &c, out, in, len, iv, aad, aad_len, want, GCM_TAG_LEN);
	else
		IMB_AES256_GCM_DEC(m, k->sets[i], &c, out, in, len, iv, aad, aad_len, want, GCM_TAG_LEN);
	return mu_secret_equal(want, tag, GCM_TAG_LEN);
}

/* --- AES-CM and HMAC-SHA1 as jobs -------------------------------------------------------------------------------------------------- */

static void set_cipher(IMB_JOB *j, const struct cm_set *s, const uint8_t *iv)
{
	j->enc_keys = s->enc;
	j->dec_keys = s->dec;
	j->key_len_in_bytes = 16;
	j->iv = iv;
	j->iv_len_in_bytes = 16;
	j->cipher_mode = IMB_CIPHER_CNTR;
	j->cipher_direction = IMB_DIR_ENCRYPT;
	j->chain_order = IMB_ORDER_CIPHER_HASH;
}

static void set_hmac(IMB_JOB *j, const struct cm_set *s, uint8_t *tag)
{
	j->hash_alg = IMB_AUTH_HMAC_SHA_1;
	j->auth_tag_output = tag;
	j->auth_tag_output_len_in_bytes = SHA1_LEN;
	j->u.HMAC._hashed_auth_key_xor_ipad = s->ipad;
	j->u.HMAC._hashed_auth_key_xor_opad = s->opad;
}

static void finish(IMB_JOB *j)
{
	const struct mu_srtp_job *job = j->user_data;

	memcpy(job->out + job->hlen + job->payload_len, job->tag, CM_TAG_LEN);
}

/* The MAC covers packet and ROC: the ROC is written where the tag will be, hashed in place, and then overwritten. */
static void submit(IMB_MGR *m, struct mu_srtp_job *job)
{
	const struct cm_set *s = job->key->sets[SET_RTP];
	IMB_JOB *j = IMB_GET_NEXT_JOB(m);

	iv_cm(job->key->salt[SET_RTP], job->ssrc, job->index, job->iv);
	mu_put32(job->out + job->hlen + job->payload_len, (uint32_t)(job->index >> 16));
	set_cipher(j, s, job->iv);
	set_hmac(j, s, job->tag);
	j->src = job->payload;
	j->dst = job->out + job->hlen;
	j->cipher_start_src_offset_in_bytes = 0;
	j->msg_len_to_cipher_in_bytes = job->payload_len;
	/* the hash's offset counts from src though the work is out of place */
	j->hash_start_src_offset_in_bytes = (uint64_t)(job->out - job->payload);
	j->msg_len_to_hash_in_bytes = (uint64_t)job->hlen + job->payload_len + 4;
	j->user_data = job;
	for (j = IMB_SUBMIT_JOB_NOCHECK(m); j; j = IMB_GET_COMPLETED_JOB(m))
		finish(j);
}

static void protect_gcm(struct mu_srtp_engine *en, struct mu_srtp_job *j)
{
	uint8_t *body = j->out + j->hlen;

	iv_gcm_rtp(j->key->salt[SET_RTP], j->ssrc, j->index, j->iv);
	gcm_seal(en, j->key, SET_RTP, j->iv, j->out, j->hlen, j->payload, j->payload_len, body, body + j->payload_len);
}

/* A cipher job takes no empty message. */
static void protect_empty(struct mu_srtp_job *j)
{
	const struct cm_set *s = j->key->sets[SET_RTP];
	uint8_t roc[4];

	mu_put32(roc, (uint32_t)(j->index >> 16));
	hmac_run(&s->hmac, j->out, j->hlen, roc, j->tag);
	memcpy(j->out + j->hlen, j->tag, CM_TAG_LEN);
}

static void protect(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n)
{
	IMB_MGR *m = en->state;
	bool submitted = false;

	for (size_t i = 0; i < n; i++) {
		if (is_gcm(jobs[i].key->profile)) {
			protect_gcm(en, &jobs[i]);
		} else if (jobs[i].payload_len == 0) {
			protect_empty(&jobs[i]);
		} else {
			submit(m, &jobs[i]);
			submitted = true;
		}
	}
	for (IMB_JOB *j; submitted && (j = IMB_FLUSH_JOB(m));)
		finish(j);
}

static void run_alone(IMB_MGR *m, IMB_JOB *j)
{
	j = IMB_SUBMIT_JOB_NOCHECK(m);
	while (!j && (j = IMB_FLUSH_JOB(m)) == NULL)
		;
}

static void ctr(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t iv[16], const uint8_t *in, size_t len,
	uint8_t *out)
{
	IMB_JOB *j;

	if (len == 0)
		return;
	j = IMB_GET_NEXT_JOB((IMB_MGR *)en->state);
	set_cipher(j, k->sets[i], iv);
	j->hash_alg = IMB_AUTH_NULL;
	j->src = in;
	j->dst = out;
	j->cipher_start_src_offset_in_bytes = 0;
	j->msg_len_to_cipher_in_bytes = len;
	run_alone(en->state, j);
}

static void hmac(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned i, const uint8_t *data, size_t len,
	const uint8_t *word, uint8_t ret[SHA1_LEN])
{
	(void)en;
	hmac_run(&((struct cm_set *)k->sets[i])->hmac, data, len, word, ret);
}

const struct srtp_ops srtp_ipsecmb_ops = {
	.name = "ipsec-mb",
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
