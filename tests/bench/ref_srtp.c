#include "ref_srtp.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

IMB_MGR *ref_mgr_new(void)
{
	IMB_MGR *mb = alloc_mb_mgr(0);
	IMB_ARCH arch;

	if (!mb) {
		fprintf(stderr, "ipsec-mb: no memory\n");
		abort();
	}
	init_mb_mgr_auto(mb, &arch);
	return mb;
}

/* RFC 3711, section 4.3, and RFC 7714, section 11: AES in counter mode over the label, key derivation rate 0.
 */
static void derive(const uint8_t *master, size_t salt_len, uint8_t label, uint8_t *ret, size_t n)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = { 0 }, zero[32] = { 0 }, stream[32];
	int len = 0;

	memcpy(iv, master + 16, salt_len);
	iv[7] ^= label;
	if (!c || EVP_EncryptInit_ex(c, EVP_aes_128_ctr(), NULL, master, iv) != 1 ||
		EVP_EncryptUpdate(c, stream, &len, zero, sizeof(zero)) != 1)
		abort();
	EVP_CIPHER_CTX_free(c);
	memcpy(ret, stream, n);
}

static void hmac_init(IMB_MGR *mb, const uint8_t auth[20], struct ref_key *k)
{
	uint8_t block[64];

	memset(block, 0x36, sizeof(block));
	for (int i = 0; i < 20; i++)
		block[i] ^= auth[i];
	IMB_SHA1_ONE_BLOCK(mb, block, k->ipad);
	memset(block, 0x5c, sizeof(block));
	for (int i = 0; i < 20; i++)
		block[i] ^= auth[i];
	IMB_SHA1_ONE_BLOCK(mb, block, k->opad);
}

void ref_key_init(IMB_MGR *mb, bool cm, const uint8_t *master, struct ref_key *k)
{
	size_t salt_len = cm ? 14 : 12;
	uint8_t enc[16], auth[20];

	memset(k, 0, sizeof(*k));
	k->cm = cm;
	derive(master, salt_len, 0, enc, sizeof(enc));
	derive(master, salt_len, 1, auth, sizeof(auth));
	derive(master, salt_len, 2, k->salt, salt_len);
	if (!cm) {
		IMB_AES128_GCM_PRE(mb, enc, &k->gcm);
		return;
	}
	IMB_AES_KEYEXP_128(mb, enc, k->enc, k->dec);
	hmac_init(mb, auth, k);
}

/* GCM: 00 00 | SSRC | ROC | SEQ (RFC 7714, section 8.1). CM: SSRC << 64, index << 16 (RFC 3711,
 * section 4.1.1). */
static void make_iv(struct ref_job *j)
{
	size_t at = j->key->cm ? 4 : 2;

	memset(j->iv, 0, sizeof(j->iv));
	mu_put32(j->iv + at, j->ssrc);
	mu_put32(j->iv + at + 4, (uint32_t)(j->index >> 16));
	mu_put16(j->iv + at + 8, (uint16_t)j->index);
	for (size_t i = 0; i < (j->key->cm ? 14u : 12u); i++)
		j->iv[i] ^= j->key->salt[i];
}

static void gcm_protect(IMB_MGR *mb, struct ref_job *j)
{
	struct gcm_context_data ctx;
	uint8_t *body = j->out + j->hlen;

	make_iv(j);
	IMB_AES128_GCM_ENC(
		mb, &j->key->gcm, &ctx, body, j->in, j->len, j->iv, j->out, j->hlen, body + j->len, 16);
}

static void gcm_unprotect(IMB_MGR *mb, struct ref_job *j)
{
	struct gcm_context_data ctx;
	const uint8_t *head = j->in - j->hlen;

	make_iv(j);
	memcpy(j->out, head, j->hlen);
	IMB_AES128_GCM_DEC(
		mb, &j->key->gcm, &ctx, j->out + j->hlen, j->in, j->len, j->iv, head, j->hlen, j->tag, 16);
	j->bad = memcmp(j->tag, j->in + j->len, 16) != 0;
}

static void cm_common(IMB_JOB *b, struct ref_job *j)
{
	make_iv(j);
	b->enc_keys = j->key->enc;
	b->dec_keys = j->key->dec;
	b->key_len_in_bytes = 16;
	b->iv = j->iv;
	b->iv_len_in_bytes = 16;
	b->cipher_mode = IMB_CIPHER_CNTR;
	b->hash_alg = IMB_AUTH_HMAC_SHA_1;
	b->auth_tag_output = j->tag;
	b->auth_tag_output_len_in_bytes = 20;
	b->u.HMAC._hashed_auth_key_xor_ipad = j->key->ipad;
	b->u.HMAC._hashed_auth_key_xor_opad = j->key->opad;
	b->msg_len_to_cipher_in_bytes = j->len;
	b->msg_len_to_hash_in_bytes = (uint64_t)j->hlen + j->len + 4;
	b->user_data = j;
}

/* The ROC is hashed behind the ciphertext, in the place the tag takes afterwards. */
static void cm_protect_job(IMB_JOB *b, struct ref_job *j)
{
	cm_common(b, j);
	j->tag_at = j->out + j->hlen + j->len;
	mu_put32(j->tag_at, (uint32_t)(j->index >> 16));
	b->src = j->in;
	b->dst = j->out + j->hlen;
	b->cipher_start_src_offset_in_bytes = 0;
	/* counts from src even when the work is out of place */
	b->hash_start_src_offset_in_bytes = (uint64_t)(j->out - j->in);
	b->cipher_direction = IMB_DIR_ENCRYPT;
	b->chain_order = IMB_ORDER_CIPHER_HASH;
}

static void cm_unprotect_job(IMB_JOB *b, struct ref_job *j, uint8_t *tag)
{
	cm_common(b, j);
	memcpy(j->out, j->in - j->hlen, j->hlen);
	memcpy(j->want, tag, sizeof(j->want));
	mu_put32(tag, (uint32_t)(j->index >> 16));
	b->src = j->in - j->hlen;
	b->dst = j->out + j->hlen;
	b->cipher_start_src_offset_in_bytes = j->hlen;
	b->hash_start_src_offset_in_bytes = 0;
	b->cipher_direction = IMB_DIR_DECRYPT;
	b->chain_order = IMB_ORDER_HASH_CIPHER;
}

static void cm_protected(IMB_MGR *mb, IMB_JOB *b)
{
	for (; b; b = IMB_GET_COMPLETED_JOB(mb)) {
		struct ref_job *j = b->user_data;

		memcpy(j->tag_at, j->tag, 10);
	}
}

static void cm_unprotected(IMB_MGR *mb, IMB_JOB *b)
{
	for (; b; b = IMB_GET_COMPLETED_JOB(mb)) {
		struct ref_job *j = b->user_data;

		j->bad = memcmp(j->tag, j->want, 10) != 0;
	}
}

void ref_protect(IMB_MGR *mb, struct ref_job *jobs, size_t n)
{
	if (n && !jobs[0].key->cm) {
		for (size_t i = 0; i < n; i++)
			gcm_protect(mb, &jobs[i]);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		cm_protect_job(IMB_GET_NEXT_JOB(mb), &jobs[i]);
		cm_protected(mb, IMB_SUBMIT_JOB_NOCHECK(mb));
	}
	for (IMB_JOB *b; (b = IMB_FLUSH_JOB(mb));)
		cm_protected(mb, b);
}

void ref_unprotect(IMB_MGR *mb, struct ref_job *jobs, size_t n)
{
	if (n && !jobs[0].key->cm) {
		for (size_t i = 0; i < n; i++)
			gcm_unprotect(mb, &jobs[i]);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		/* the receive buffer is ours to write, though decryption only reads it */
		uint8_t *tag = (uint8_t *)(uintptr_t)(jobs[i].in + jobs[i].len);

		cm_unprotect_job(IMB_GET_NEXT_JOB(mb), &jobs[i], tag);
		cm_unprotected(mb, IMB_SUBMIT_JOB_NOCHECK(mb));
	}
	for (IMB_JOB *b; (b = IMB_FLUSH_JOB(mb));)
		cm_unprotected(mb, b);
}
