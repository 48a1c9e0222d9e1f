/* srtp_internal.h: what the SRTP engines share. Private to secure/ and its tests.
 *
 * An engine brings three primitives (AES-GCM both ways, AES counter mode) and its own way to protect a burst;
 * packet formats, initialisation vectors and HMAC are written once, in srtp.c.
 */
#ifndef MU_SRTP_INTERNAL_H
#define MU_SRTP_INTERNAL_H

/* SHA_CTX can be copied when half done, without an allocation; EVP_MD_CTX cannot. OpenSSL 3 calls that
 * deprecated. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "secure/secure.h"

#define SRTP_HEADER     12 /* RFC 3550, section 5.1 */
#define SRTCP_HEADER    8  /* the part of SRTCP in the clear: RFC 3711, section 3.4 */
#define SRTCP_INDEX     4  /* E flag and SRTCP index */
#define SRTCP_E         0x80000000u
#define SRTCP_INDEX_MAX 0x7fffffffu
#define SRTP_GCM_TAG    16 /* RFC 7714, section 13.2 */
#define SRTP_CM_TAG     10 /* RFC 3711, section 5.2: 80 bits */
#define SRTP_SHA1_LEN   20
#define SRTP_GCM_IV     12
#define SRTP_CM_SALT    14

/** RTP and RTCP have session keys of their own. */
enum srtp_kind { SRTP_RTP, SRTP_RTCP };

/** Session keys of one kind. Wiped by whoever holds them. */
struct srtp_session {
	uint8_t cipher[32];
	uint8_t auth[SRTP_SHA1_LEN];
	uint8_t salt[16]; /* zeros behind mu_srtp_salt_len() bytes */
};

/** HMAC-SHA1 with both key blocks absorbed: a packet costs two copies of the state, not two more blocks of
 * SHA-1. */
struct srtp_hmac {
	SHA_CTX inner, outer;
};

struct mu_srtp_engine {
	const struct srtp_ops *ops;
};

/** What every engine's key begins with. */
struct mu_srtp_key {
	struct mu_srtp_engine *en;
	const struct srtp_hmac *hmac; /* [2], by kind; CM only */
	enum mu_srtp_profile profile;
	uint8_t salt[2][16]; /* by kind */
};

/** What a key is made from. */
struct srtp_secret {
	enum mu_srtp_profile profile;
	const uint8_t *master, *salt;
	struct srtp_session session[2]; /* by kind */
};

struct srtp_ops {
	const char *name;
	int (*open)(struct mu_srtp_engine **ret, struct mu_error *e);
	void (*close)(struct mu_srtp_engine *en);
	/** Allocate the engine's key; srtp.c fills in en, profile and salt. */
	int (*key_new)(struct mu_srtp_engine *en, const struct srtp_secret *s, struct mu_srtp_key **ret);
	void (*key_free)(struct mu_srtp_key *k);
	/** Protect any number of packets. srtp_protect_each() where an engine knows nothing better. */
	void (*protect)(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n);
	/** Lengths are checked before. */
	int (*unprotect)(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index,
		const uint8_t *in, size_t len, size_t hlen, uint8_t *ret);
	/** AES-GCM, out of place. @return false when the tag does not fit, or the library failed */
	bool (*gcm_seal)(struct mu_srtp_key *k, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
		size_t aad_len, const uint8_t *in, size_t len, uint8_t *ret, uint8_t *ret_tag);
	bool (*gcm_open)(struct mu_srtp_key *k, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
		size_t aad_len, const uint8_t *in, size_t len, const uint8_t *tag, uint8_t *ret);
	/** AES counter mode, out of place; both directions are the same. len may be 0. */
	bool (*ctr)(struct mu_srtp_key *k, enum srtp_kind kind, const uint8_t *iv, const uint8_t *in,
		size_t len, uint8_t *ret);
};

extern const struct srtp_ops srtp_openssl_ops, srtp_libsrtp_ops;
#ifdef HAVE_IPSEC_MB
extern const struct srtp_ops srtp_ipsecmb_ops;
#endif

/** Session key of one label (RFC 3711, section 4.3; key derivation rate 0). @return 0, -ENOMEM */
int srtp_derive(enum mu_srtp_profile p, const uint8_t *master, const uint8_t *salt, uint8_t label,
	uint8_t *ret, size_t len);
/** A key from session keys that are derived already: RFC 7714 gives its test vectors so. Not for the libsrtp
 * engine. */
int srtp_key_from_session(struct mu_srtp_engine *en, const struct srtp_secret *s, struct mu_srtp_key **ret);

void srtp_hmac_init(struct srtp_hmac *h, const uint8_t key[SRTP_SHA1_LEN]);
/** HMAC over two pieces, the second may be empty. */
void srtp_hmac(const struct srtp_hmac *h, const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
	uint8_t ret[SRTP_SHA1_LEN]);

void srtp_protect_one(struct mu_srtp_job *j);
void srtp_protect_each(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n);
int srtp_unprotect_one(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index,
	const uint8_t *in, size_t len, size_t hlen, uint8_t *ret);

static inline bool srtp_is_gcm(enum mu_srtp_profile p)
{
	return p != MU_SRTP_AES128_CM_SHA1_80;
}

/** RFC 7714, section 8.1: 00 00, SSRC, ROC, SEQ; section 9.1 for SRTCP: 00 00, SSRC, 00 00, index. Both XOR
 * the salt. */
static inline void srtp_gcm_iv(
	const struct mu_srtp_key *k, enum srtp_kind kind, uint32_t ssrc, uint64_t index, uint8_t ret[16])
{
	uint64_t v[2], s[2];

	memcpy(s, k->salt[kind], 16);
	v[0] = __builtin_bswap64((uint64_t)ssrc << 16 | index >> 32);
	v[1] = __builtin_bswap32((uint32_t)index);
	v[0] ^= s[0];
	v[1] ^= s[1];
	memcpy(ret, v, 16);
}

/** RFC 3711, section 4.1.1: salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16. */
static inline void srtp_cm_iv(
	const struct mu_srtp_key *k, enum srtp_kind kind, uint32_t ssrc, uint64_t index, uint8_t ret[16])
{
	uint64_t v[2], s[2];

	memcpy(s, k->salt[kind], 16);
	v[0] = __builtin_bswap64(ssrc);
	v[1] = __builtin_bswap64(index << 16);
	v[0] ^= s[0];
	v[1] ^= s[1];
	memcpy(ret, v, 16);
}

#endif
