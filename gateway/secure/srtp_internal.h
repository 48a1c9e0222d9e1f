/* What an SRTP engine is, for the files of secure.
 *
 * The parts that are the same for all (key derivation, nonces, SRTCP's trailer, windows) are in srtp.c and srtp_rx.c; an
 * engine schedules keys and runs the ciphers.
 */
#ifndef MU_SRTP_INTERNAL_H
#define MU_SRTP_INTERNAL_H

#include "secure/secure.h"

#define SALT_LEN_MAX 14
#define AUTH_KEY_LEN 20
#define SHA1_LEN     20
#define CM_TAG_LEN   10
#define GCM_TAG_LEN  16

/** Session keys as derived (RFC 3711, section 4.3), before an engine schedules them. */
struct session_keys {
	uint8_t enc[32], auth[AUTH_KEY_LEN];
	uint8_t salt[16]; /* zero padded */
};

struct srtp_ops {
	const char *name;
	int (*open)(struct mu_srtp_engine *en, struct mu_error *e);
	void (*close)(struct mu_srtp_engine *en);
	/** Schedule one of a direction's two key sets. */
	int (*key_open)(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned set, const struct session_keys *s);
	void (*key_close)(struct mu_srtp_key *k, unsigned set);
	void (*protect)(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n);
	/** GCM: aad and plaintext in, ciphertext and tag out; out of place. */
	void (*gcm_seal)(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned set, const uint8_t iv[12],
		const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag);
	/** @return whether the tag fits */
	bool (*gcm_open)(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned set, const uint8_t iv[12],
		const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len, const uint8_t *tag, uint8_t *out);
	/** AES-CTR, its own inverse. */
	void (*ctr)(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned set, const uint8_t iv[16], const uint8_t *in,
		size_t len, uint8_t *out);
	/** HMAC-SHA1 over data and a 32-bit word. */
	void (*hmac)(struct mu_srtp_engine *en, struct mu_srtp_key *k, unsigned set, const uint8_t *data, size_t len,
		const uint8_t *word, uint8_t ret[SHA1_LEN]);
};

enum { SET_RTP, SET_RTCP, SETS };

struct mu_srtp_engine {
	const struct srtp_ops *ops;
	void *state; /* the engine's */
};

struct mu_srtp_key {
	struct mu_srtp_engine *engine;
	enum mu_srtp_profile profile;
	uint8_t salt[SETS][16];
	void *sets[SETS]; /* the engine's scheduled keys */
};

extern const struct srtp_ops srtp_openssl_ops;
#ifdef HAVE_IPSEC_MB
extern const struct srtp_ops srtp_ipsecmb_ops;
/** Whether this CPU has what makes the engine worth choosing. */
bool srtp_ipsecmb_suits(void);
#endif

static inline bool is_gcm(enum mu_srtp_profile p)
{
	return p == MU_SRTP_AEAD_AES_128_GCM || p == MU_SRTP_AEAD_AES_256_GCM;
}
/** RFC 7714, section 8.1: 00 00 | SSRC | ROC | SEQ, XOR salt. */
static inline void iv_gcm_rtp(const uint8_t salt[16], uint32_t ssrc, uint64_t index, uint8_t iv[12])
{
	iv[0] = iv[1] = 0;
	mu_put32(iv + 2, ssrc);
	mu_put32(iv + 6, (uint32_t)(index >> 16));
	mu_put16(iv + 10, (uint16_t)index);
	for (int i = 0; i < 12; i++)
		iv[i] ^= salt[i];
}
/** RFC 7714, section 9.1: 00 00 | SSRC | 00 00 | index, XOR salt. */
static inline void iv_gcm_rtcp(const uint8_t salt[16], uint32_t ssrc, uint32_t index, uint8_t iv[12])
{
	memset(iv, 0, 12);
	mu_put32(iv + 2, ssrc);
	mu_put32(iv + 8, index);
	for (int i = 0; i < 12; i++)
		iv[i] ^= salt[i];
}
/** RFC 3711, section 4.1.1: salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16. */
static inline void iv_cm(const uint8_t salt[16], uint32_t ssrc, uint64_t index, uint8_t iv[16])
{
	memset(iv, 0, 16);
	mu_put32(iv + 4, ssrc);
	mu_put16(iv + 8, (uint16_t)(index >> 32));
	mu_put32(iv + 10, (uint32_t)index);
	for (int i = 0; i < 14; i++)
		iv[i] ^= salt[i];
}

#endif
