/* ref_srtp: SRTP straight on ipsec-mb for the reference loops, so that the yardstick shares no code with what
 * it measures. Not a full SRTP: no replay window, no SRTCP, AEAD_AES_128_GCM and AES128_CM_SHA1_80 only. */
#ifndef MU_BENCH_REF_SRTP_H
#define MU_BENCH_REF_SRTP_H

#define NO_COMPAT_IMB_API_053 /* its old macros clash with OpenSSL's names */
#include <intel-ipsec-mb.h>

#include "base/base.h"

#define REF_MASTER_MAX 30 /* master key and salt: 16 + 12 (GCM), 16 + 14 (CM) */
#define REF_TAG_MAX    16

/** Session keys of one direction of one peer. */
struct ref_key {
	struct gcm_key_data gcm __attribute__((aligned(64)));
	uint8_t enc[16 * 15] __attribute__((aligned(64))); /* CM: AES round keys */
	uint8_t dec[16 * 15] __attribute__((aligned(64)));
	uint8_t ipad[20], opad[20]; /* CM: HMAC-SHA1 with the key block absorbed */
	uint8_t salt[16];
	bool cm;
};
/** One packet; the header is at `out` already (protect) or in front of the payload (unprotect). */
struct ref_job {
	struct ref_key *key;
	uint8_t *out;       /* header, then what is written */
	const uint8_t *in;  /* payload to read, without header */
	uint16_t hlen, len; /* of header and of payload; unprotect: without tag */
	uint32_t ssrc;
	uint64_t index;
	bool bad; /* unprotect: the tag did not fit */
	uint8_t *tag_at;
	uint8_t iv[16] __attribute__((aligned(16)));
	uint8_t tag[20], want[10];
};

static inline size_t ref_tag_len(bool cm)
{
	return cm ? 10 : 16;
}
static inline size_t ref_master_len(bool cm)
{
	return cm ? 30 : 28;
}
/** The widest manager this CPU has. Aborts the program if there is none. */
IMB_MGR *ref_mgr_new(void);
void ref_key_init(IMB_MGR *mb, bool cm, const uint8_t *master, struct ref_key *k);
/** Encrypt from `in` behind the header at `out`, tag behind that. CM keeps up to 16 packets in flight. */
void ref_protect(IMB_MGR *mb, struct ref_job *jobs, size_t n);
/** Decrypt a whole received packet at `in - hlen` (its tag is overwritten) to `out`, header copied. Sets bad.
 */
void ref_unprotect(IMB_MGR *mb, struct ref_job *jobs, size_t n);

#endif
