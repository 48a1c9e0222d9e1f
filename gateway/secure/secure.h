/* secure: SRTP engines, DTLS, certificates, tokens. Everything that holds a key.
 *
 * Keys are wiped when their object is freed and never reach a log. A worker owns its engine and every key made with it.
 */
#ifndef MU_SECURE_H
#define MU_SECURE_H

#include "base/base.h"

/* --- SRTP (RFC 3711, 7714) -------------------------------------------------------------------------------------- */

/** DTLS-SRTP protection profiles by their IANA numbers (RFC 5764, section 4.1.2; RFC 7714, section 14.2). */
enum mu_srtp_profile {
	MU_SRTP_NONE		    = 0,
	MU_SRTP_AES128_CM_SHA1_80   = 0x0001,
	MU_SRTP_AEAD_AES_128_GCM    = 0x0007,
	MU_SRTP_AEAD_AES_256_GCM    = 0x0008,
};
#define MU_SRTP_TAG_MAX	    16 /* bytes an RTP packet grows at most */
#define MU_SRTP_SCRATCH	    20 /* bytes behind a packet that protecting may overwrite: room each output must have */
#define MU_SRTCP_GROWTH_MAX 20 /* tag and index word of an SRTCP packet */

const char *mu_srtp_profile_name(enum mu_srtp_profile p);
/** Bytes of master key and master salt; 0 for an unknown profile. */
size_t mu_srtp_key_len(enum mu_srtp_profile p);
size_t mu_srtp_salt_len(enum mu_srtp_profile p);
/** Bytes an RTP packet grows by. */
size_t mu_srtp_growth(enum mu_srtp_profile p);

/** One implementation of the ciphers, for one thread. */
struct mu_srtp_engine;
/** @param name "auto" (ipsec-mb where the CPU has AES-NI and AVX2, else openssl), "ipsec-mb", "openssl" or "libsrtp"
 *  @return 0, -EINVAL (no such engine, or the CPU cannot run it: e says why), -ENOMEM */
int mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e);
/** All keys made with it must be freed before. Takes NULL. */
void mu_srtp_engine_free(struct mu_srtp_engine *en);
const char *mu_srtp_engine_name(const struct mu_srtp_engine *en);

/** The session keys of one direction of one association: RTP and RTCP, scheduled once, used by every SSRC in it. */
struct mu_srtp_key;
/** @param master  mu_srtp_key_len() bytes, then
 *  @param salt    mu_srtp_salt_len() bytes (RFC 5764, section 4.2)
 *  @return 0, -EINVAL (unknown profile), -ENOMEM. The engine's thread. */
int mu_srtp_key_new(struct mu_srtp_engine *en, enum mu_srtp_profile p, const uint8_t *master, const uint8_t *salt,
	struct mu_srtp_key **ret);
/** Wipe and free. Takes NULL. */
void mu_srtp_key_free(struct mu_srtp_key *k);
enum mu_srtp_profile mu_srtp_key_profile(const struct mu_srtp_key *k);

/** One RTP packet to protect out of place. The caller fills in the first part; its header is written in `out` already. */
struct mu_srtp_job {
	struct mu_srtp_key *key;
	uint8_t *out;		/* RTP header, hlen bytes; ciphertext and tag are written behind it;
				 * room for hlen + payload_len + MU_SRTP_SCRATCH */
	const uint8_t *payload; /* plaintext, padding included; shared, only read. May be out + hlen: then in place */
	uint16_t hlen;
	uint16_t payload_len;
	uint32_t ssrc;
	uint64_t index; /* ROC << 16 | SEQ (RFC 3711, section 3.3.1) */
	/* the engine's own while a call runs */
	uint8_t iv[16] __attribute__((aligned(16)));
	uint8_t tag[20];
};
/** Protect n packets of any number of keys: wide engines work on many at once. In each, out then holds
 *  hlen + payload_len + mu_srtp_growth() bytes. The same key, SSRC and index may be given again only with the same header
 *  and payload (a retransmission): two plaintexts under one GCM nonce give the key away.
 *  Media worker: no allocation, no system call. */
void mu_srtp_protect(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n);

/** Check and decrypt one RTP packet out of place at a given index. `ret` gets header, payload and padding: len minus
 *  mu_srtp_growth() bytes. Does not look at replay: mu_srtp_rx_rtp does.
 *  @param hlen bytes of RTP header in `in` (authenticated, in the clear)
 *  @return 0, -EBADMSG (too short, or the tag does not fit) */
int mu_srtp_unprotect(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, const uint8_t *in,
	size_t len, size_t hlen, uint8_t *ret);

/** Encrypt one compound RTCP packet (RFC 3711, section 3.4; RFC 7714, section 9). `index` is the 31-bit SRTCP index,
 *  never used twice with a key. ret has room for len + MU_SRTCP_GROWTH_MAX.
 *  @return bytes written, or -EINVAL */
int mu_srtcp_protect(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t index, const uint8_t *in, size_t len,
	uint8_t *ret);
/** Check and decrypt. E = 0 (unencrypted) SRTCP is refused. ret has room for len.
 *  @param ret_index the packet's SRTCP index, valid on success
 *  @return bytes of plaintext RTCP, or -EBADMSG */
int mu_srtcp_unprotect(struct mu_srtp_engine *en, struct mu_srtp_key *k, const uint8_t *in, size_t len, uint8_t *ret,
	uint32_t *ret_index);

/** Receiving state of one direction: ROC, highest SEQ and replay window per SSRC, made only after a packet's tag was
 *  good, so that a stranger allocates nothing (RELIABILITY S4 to S6, S14). */
#define MU_SRTP_RX_STREAMS 256 /* SSRCs of RTP, and as many of RTCP: a browser reports on each section by another, and a
				  screen shared anew has new ones */
struct mu_srtp_rx;
/** @param key borrowed; outlives it. */
int mu_srtp_rx_new(struct mu_srtp_key *key, struct mu_srtp_rx **ret);
void mu_srtp_rx_free(struct mu_srtp_rx *rx);
/** One SRTP packet: find its index, check, decrypt, only then move the window (1024 packets).
 *  A first packet at SEQ 65530 and later is tried with ROC 0 as any other; the estimate is RFC 3711, appendix A.
 *  @param hlen bytes of RTP header
 *  @return bytes of plaintext, -EBADMSG (tag), -EALREADY (replay or too old), -ENOSPC (more SSRCs than allowed), -ENOMEM */
int mu_srtp_rx_rtp(struct mu_srtp_engine *en, struct mu_srtp_rx *rx, const uint8_t *in, size_t len, size_t hlen,
	uint8_t *ret);
/** One SRTCP packet, with replay window. @return bytes of plaintext, -EBADMSG, -EALREADY, -ENOSPC, -ENOMEM */
int mu_srtp_rx_rtcp(struct mu_srtp_engine *en, struct mu_srtp_rx *rx, const uint8_t *in, size_t len, uint8_t *ret);

/* --- identity: a certificate and its key -------------------------------------------------------------------------- */

#define MU_FINGERPRINT_LEN 32 /* SHA-256 */
struct mu_identity;
/** A fresh ECDSA P-256 key with a self-signed certificate, for DTLS. Any thread. @return 0, -ENOMEM, -EIO (OpenSSL) */
int mu_identity_new(struct mu_identity **ret);
void mu_identity_free(struct mu_identity *id);
/** SHA-256 of the certificate's DER. */
const uint8_t *mu_identity_fingerprint(const struct mu_identity *id);
/** "AA:BB:...": 95 characters and a NUL (RFC 8122, section 5). */
void mu_fingerprint_text(const uint8_t fp[MU_FINGERPRINT_LEN], char ret[96]);
/** @return 0, -EBADMSG */
int mu_fingerprint_parse(const char *text, uint8_t ret[MU_FINGERPRINT_LEN]);

/* --- DTLS-SRTP (RFC 5763, 5764), DTLS 1.2 or newer ------------------------------------------------------------------ */

/** Settings shared by all associations: identity, cookie-less server and client, profiles in Muster's order. Const after new. */
struct mu_dtls_ctx;
/** @param profiles  in order of preference, 0-terminated; NULL: GCM-128, GCM-256, CM-SHA1-80
 *  @param id        borrowed; outlives it */
int mu_dtls_ctx_new(const struct mu_identity *id, const enum mu_srtp_profile *profiles, struct mu_dtls_ctx **ret,
	struct mu_error *e);
void mu_dtls_ctx_free(struct mu_dtls_ctx *ctx);

enum mu_dtls_state {
	MU_DTLS_HANDSHAKE,
	MU_DTLS_UP,	/* keys exported */
	MU_DTLS_CLOSED, /* the peer sent close_notify, or the association failed */
};
struct mu_dtls_keys {
	enum mu_srtp_profile profile;
	uint8_t local[32 + 14];	 /* what we send with: master key, then master salt */
	uint8_t remote[32 + 14]; /* what the peer sends with */
};
/** Sends one DTLS datagram (<= 1200 bytes) to the validated peer. */
typedef void mu_dtls_send_fn(void *arg, const uint8_t *data, size_t len);

/** One association. Belongs to one worker; no thread of its own, no socket, no clock. */
struct mu_dtls;
/** @param server         true: we answer the ClientHello (a=setup:passive)
 *  @param fingerprints   SHA-256 of the certificates the peer announced in SDP, n of them: one must match */
int mu_dtls_new(struct mu_dtls_ctx *ctx, bool server, const uint8_t (*fingerprints)[MU_FINGERPRINT_LEN], size_t n,
	mu_dtls_send_fn *send, void *arg, struct mu_dtls **ret);
/** Sends close_notify if up. Takes NULL. */
void mu_dtls_free(struct mu_dtls *d);
/** Client only: send the first flight. */
int mu_dtls_start(struct mu_dtls *d);
/** One datagram from the peer's validated address. Garbage is dropped without harm.
 *  @return 0; -EPROTO (the handshake failed, the fingerprint does not match, no common profile: state is CLOSED, e says
 *  which). A peer that closes an association that was up is no error: look at the state. */
int mu_dtls_input(struct mu_dtls *d, const uint8_t *data, size_t len, struct mu_error *e);
/** Retransmit if due. @return microseconds until it wants to be called again, -1 none. */
int64_t mu_dtls_tick(struct mu_dtls *d);
enum mu_dtls_state mu_dtls_state(const struct mu_dtls *d);
/** After MU_DTLS_UP, once: the keys; the association keeps none. @return 0, -EPROTO */
int mu_dtls_take_keys(struct mu_dtls *d, struct mu_dtls_keys *ret);

/* --- tokens: signed JWT (RFC 7519, 8725), EdDSA (Ed25519) or ES256 ----------------------------------------------------- */

enum mu_scope {
	MU_SCOPE_PUBLISH    = 1 << 0,
	MU_SCOPE_WATCH	    = 1 << 1,
	MU_SCOPE_CONFERENCE = 1 << 2,
	MU_SCOPE_OPERATE    = 1 << 3,
	MU_SCOPE_ADMIN	    = 1 << 4, /* everything */
};
/** Parse "publish watch" (RFC 8693, section 4.2: separated by spaces). @return 0, -EINVAL (unknown word) */
int mu_scope_parse(const char *text, uint32_t *ret);
/** @return ret */
char *mu_scope_text(uint32_t scopes, char *ret, size_t size);

#define MU_TOKEN_RANK	  8
#define MU_TOKEN_RANK_MAX 15
/** A token's claims. */
struct mu_token {
	char id[64];	   /* jti: what revocation names */
	char kid[44];	   /* RFC 7638 thumbprint of the key that it was checked with; "": none was */
	char subject[128]; /* sub: who */
	char endpoint[128]; /* claim "endpoint": the one id it is for, or a prefix that ends in an asterisk; absent: every one */
	char issuer[128];
	char conference[65];  /* claim "conference": the one id it is for, or a prefix that ends in an asterisk; absent: every one */
	enum mu_token_role { MU_TOKEN_PARTICIPANT, MU_TOKEN_CHAIR, MU_TOKEN_LISTENER } role; /* claim "role", in a conference */
	uint8_t rank;	      /* claim "rank": of what it asks for, 0 highest; absent: MU_TOKEN_RANK */
	uint32_t scopes;
	int64_t not_before_s, expires_s; /* UTC seconds; expires_s is always set */
};
/** @return whether the token's endpoint pattern covers the id: equal, or a final '*' standing for any ending. */
bool mu_token_covers(const struct mu_token *t, const char *endpoint_id);
/** The same for a conference's id. */
bool mu_token_covers_conference(const struct mu_token *t, const char *id);
/** "chair" and so on. */
const char *mu_token_role_name(enum mu_token_role r);
/** @return 0, -EINVAL */
int mu_token_role_parse(const char *text, enum mu_token_role *ret);
/** Whether two are the same token: an id is its issuer's own, so another key's token with the same one is another. */
bool mu_token_same(const struct mu_token *a, const struct mu_token *b);

/** Public keys that tokens are checked with, by kid. Const after the last add. */
struct mu_keyring;
int mu_keyring_new(struct mu_keyring **ret);
void mu_keyring_free(struct mu_keyring *k);
/** Read a PEM file (public or private key; Ed25519 or P-256). kid: the RFC 7638 thumbprint.
 *  @return 0, -ENOENT, -EINVAL (not such a key: e says what it is) */
int mu_keyring_add_file(struct mu_keyring *k, const char *path, struct mu_error *e);
size_t mu_keyring_size(const struct mu_keyring *k);
/** Whether the key that a token was checked with is in the ring. True for one that no key was needed for. */
bool mu_keyring_knows(const struct mu_keyring *k, const struct mu_token *t);
/** Check signature, algorithm against key type (never the header's word alone; "none" is refused), times (exp to the
 *  second, as running media ends then; nbf with 30 s of leeway), and required claims: jti, sub, exp, scope; "aud", if
 *  there, must have "muster". Control thread.
 *  @return 0, -EBADMSG (no JWT), -EPERM (signature, algorithm, unknown key), -ETIME (expired or not yet valid) */
int mu_token_verify(const struct mu_keyring *k, const char *jwt, int64_t now_s, struct mu_token *ret, struct mu_error *e);
/** Read a token's claims without any check of who signed it or when: for whoever holds one and wants to name it.
 *  @return 0, -EBADMSG (no JWT, or a claim is missing: e says which) */
int mu_token_read(const char *jwt, struct mu_token *ret, struct mu_error *e);
/** Sign with a private key in a PEM file. An empty t->id is filled with a random one; subject, scopes and expires_s must
 *  be set. @return 0, -ENOENT, -EINVAL, -EIO, -ENOMEM
 *  @param ret malloc'ed JWT, the caller frees */
int mu_token_sign(const char *key_path, struct mu_token *t, int64_t now_s, char **ret, struct mu_error *e);
/** Make an Ed25519 key pair: the private key at `path` (mode 0600, refused if it exists), the public at `path`.pub.
 *  @return 0, -EEXIST, another -errno of creating the files */
int mu_token_keygen(const char *path, struct mu_error *e);

/* --- TURN (RFC 8656) ----------------------------------------------------------------------------------------------- */

struct mu_turn_credentials {
	char username[160]; /* "<expires_s>:<user>", what is not plain in the user's name as '_', and cut */
	char password[32];
};
/** Credentials for a TURN server that knows the secret (coturn: use-auth-secret): base64(HMAC-SHA1(secret, username)).
 *  Any thread.
 *  @param expires_s UTC seconds; from then on the server makes no new allocation for them
 *  @return 0, -ENOMEM */
int mu_turn_credentials(const char *secret, const char *user, int64_t expires_s, struct mu_turn_credentials *ret);

#endif
