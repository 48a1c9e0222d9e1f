/* srtp_libsrtp.c: the ciphers by libsrtp: what the other engines are compared with, and a way out if they
 * misbehave.
 *
 * libsrtp keeps sequence numbers itself and offers no packet index. So a stream is made anew, with its ROC
 * set, whenever libsrtp's own guess (RFC 3711, appendix A) or its replay list would not lead to the index
 * that was asked for. SRTCP goes by OpenSSL: libsrtp counts the SRTCP index itself and cannot be given one.
 * Unlike the others this engine allocates when a stream is made.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <openssl/crypto.h>
#include <srtp2/srtp.h>

#include "secure/srtp_internal.h"

#define STREAMS   8      /* SSRCs whose state is kept per direction */
#define WINDOW    1024   /* of libsrtp's replay list */
#define AHEAD_MAX 0x7fff /* how far RFC 3711, appendix A guesses right */
#define RX_MAX    2048   /* libsrtp works in place: received packets are copied first */

struct engine {
	struct mu_srtp_engine base;
	struct mu_srtp_engine *rtcp;
};

/** One direction. */
struct side {
	srtp_t session;
	struct stream {
		bool used;
		uint32_t ssrc;
		uint64_t highest;
	} streams[STREAMS];
	unsigned next; /* the one to give up when all are used */
};

struct key {
	struct mu_srtp_key base;
	struct mu_srtp_key *rtcp;
	uint8_t master[32 + SRTP_CM_SALT]; /* key and salt */
	struct side tx, rx;
};

static struct key *key_of(struct mu_srtp_key *k)
{
	return MU_CONTAINER_OF(k, struct key, base);
}

/* --- engine and keys --- */

static srtp_err_status_t init_status;

static void init_once(void)
{
	init_status = srtp_init();
}

static int lib_open(struct mu_srtp_engine **ret, struct mu_error *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT; /* srtp_init() is not for several threads at a time */
	struct engine *en;
	int err;

	pthread_once(&once, init_once);
	if (init_status != srtp_err_status_ok)
		return mu_error_set(e, -EINVAL,
			"SRTP engine libsrtp: srtp_init failed (status %d); use openssl", (int)init_status);
	en = calloc(1, sizeof(*en));
	if (!en)
		return mu_error_set(e, -ENOMEM, "SRTP engine libsrtp: out of memory");
	err = srtp_openssl_ops.open(&en->rtcp, e);
	if (err < 0) {
		free(en);
		return err;
	}
	en->base.ops = &srtp_libsrtp_ops;
	*ret = &en->base;
	return 0;
}

static void lib_close(struct mu_srtp_engine *base)
{
	struct engine *en = MU_CONTAINER_OF(base, struct engine, base);

	mu_srtp_engine_free(en->rtcp);
	free(en);
}

static void lib_key_free(struct mu_srtp_key *base)
{
	struct key *k = key_of(base);

	if (k->tx.session)
		srtp_dealloc(k->tx.session);
	if (k->rx.session)
		srtp_dealloc(k->rx.session);
	mu_srtp_key_free(k->rtcp);
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

static int lib_key_new(struct mu_srtp_engine *base, const struct srtp_secret *s, struct mu_srtp_key **ret)
{
	struct engine *en = MU_CONTAINER_OF(base, struct engine, base);
	size_t n = mu_srtp_key_len(s->profile);
	struct key *k;
	int err;

	if (!s->master) /* libsrtp derives session keys itself */
		return -EINVAL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	memcpy(k->master, s->master, n);
	memcpy(k->master + n, s->salt, mu_srtp_salt_len(s->profile));
	err = srtp_key_from_session(en->rtcp, s, &k->rtcp);
	if (err == 0 && (srtp_create(&k->tx.session, NULL) || srtp_create(&k->rx.session, NULL)))
		err = -ENOMEM;
	if (err < 0) {
		lib_key_free(&k->base);
		return err;
	}
	k->base.hmac = k->rtcp->hmac;
	*ret = &k->base;
	return 0;
}

/* --- streams --- */

static void set_policy(const struct key *k, uint32_t ssrc, srtp_policy_t *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (k->base.profile == MU_SRTP_AES128_CM_SHA1_80)
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&ret->rtp);
	else if (k->base.profile == MU_SRTP_AEAD_AES_128_GCM)
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&ret->rtp);
	else
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&ret->rtp);
	ret->rtcp = ret->rtp;
	ret->ssrc.type = ssrc_specific;
	ret->ssrc.value = ssrc;
	ret->key = (uint8_t *)k->master; /* libsrtp only reads it */
	ret->window_size = WINDOW;
	ret->allow_repeat_tx = 1; /* a retransmission is the same packet again */
}

static struct stream *stream_find(struct side *s, uint32_t ssrc)
{
	for (size_t i = 0; i < STREAMS; i++)
		if (s->streams[i].used && s->streams[i].ssrc == ssrc)
			return &s->streams[i];
	return NULL;
}

static void stream_drop(struct side *s, struct stream *st)
{
	srtp_remove_stream(s->session, htonl(st->ssrc)); /* it wants network order, unlike the policy */
	st->used = false;
}

static struct stream *stream_make(struct key *k, struct side *s, uint32_t ssrc, uint64_t index)
{
	struct stream *st = stream_find(s, ssrc);
	srtp_policy_t policy;

	if (!st)
		st = &s->streams[s->next++ % STREAMS];
	if (st->used)
		stream_drop(s, st);
	set_policy(k, ssrc, &policy);
	if (srtp_add_stream(s->session, &policy))
		return NULL;
	*st = (struct stream){ .used = true, .ssrc = ssrc, .highest = index };
	if (index >> 16 && srtp_set_stream_roc(s->session, ssrc, (uint32_t)(index >> 16))) {
		stream_drop(s, st);
		return NULL;
	}
	return st;
}

/* --- packets --- */

static bool protect_one(struct mu_srtp_job *j)
{
	struct key *k = key_of(j->key);
	struct stream *st = stream_find(&k->tx, j->ssrc);
	int n = j->hlen + j->payload_len;

	if (!st || j->index + WINDOW <= st->highest || j->index > st->highest + AHEAD_MAX)
		st = stream_make(k, &k->tx, j->ssrc, j->index);
	if (!st)
		return false;
	if (j->payload != j->out + j->hlen)
		memcpy(j->out + j->hlen, j->payload, j->payload_len);
	if (srtp_protect(k->tx.session, j->out, &n)) {
		stream_drop(&k->tx, st);
		return false;
	}
	st->highest = MU_MAX(st->highest, j->index);
	return true;
}

static void lib_protect(struct mu_srtp_engine *en, struct mu_srtp_job *jobs, size_t n)
{
	(void)en;
	for (size_t i = 0; i < n; i++)
		if (!protect_one(&jobs[i])) /* the plaintext stands there */
			memset(jobs[i].out + jobs[i].hlen, 0,
				jobs[i].payload_len + mu_srtp_growth(jobs[i].key->profile));
}

static int lib_unprotect(struct mu_srtp_engine *en, struct mu_srtp_key *base, uint32_t ssrc, uint64_t index,
	const uint8_t *in, size_t len, size_t hlen, uint8_t *ret)
{
	struct key *k = key_of(base);
	struct stream *st = stream_find(&k->rx, ssrc);
	uint8_t buf[RX_MAX] __attribute__((aligned(8)));
	size_t end = len - mu_srtp_growth(base->profile);
	int n = (int)len;

	(void)en;
	(void)hlen; /* libsrtp reads it out of the packet */
	if (len > sizeof(buf))
		return -EBADMSG;
	if (!st || index <= st->highest || index > st->highest + AHEAD_MAX)
		st = stream_make(k, &k->rx, ssrc, index);
	if (!st)
		return -EBADMSG;
	memcpy(buf, in, len);
	if (srtp_unprotect(k->rx.session, buf, &n) || (size_t)n != end) {
		stream_drop(&k->rx, st); /* its ROC may be the one this packet only claimed */
		return -EBADMSG;
	}
	st->highest = index;
	memcpy(ret, buf, end);
	return 0;
}

static bool lib_gcm_seal(struct mu_srtp_key *k, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, uint8_t *ret, uint8_t *ret_tag)
{
	return srtp_openssl_ops.gcm_seal(key_of(k)->rtcp, kind, iv, aad, aad_len, in, len, ret, ret_tag);
}

static bool lib_gcm_open(struct mu_srtp_key *k, enum srtp_kind kind, const uint8_t *iv, const uint8_t *aad,
	size_t aad_len, const uint8_t *in, size_t len, const uint8_t *tag, uint8_t *ret)
{
	return srtp_openssl_ops.gcm_open(key_of(k)->rtcp, kind, iv, aad, aad_len, in, len, tag, ret);
}

static bool lib_ctr(struct mu_srtp_key *k, enum srtp_kind kind, const uint8_t *iv, const uint8_t *in,
	size_t len, uint8_t *ret)
{
	return srtp_openssl_ops.ctr(key_of(k)->rtcp, kind, iv, in, len, ret);
}

const struct srtp_ops srtp_libsrtp_ops = {
	.name = "libsrtp",
	.open = lib_open,
	.close = lib_close,
	.key_new = lib_key_new,
	.key_free = lib_key_free,
	.protect = lib_protect,
	.unprotect = lib_unprotect,
	.gcm_seal = lib_gcm_seal,
	.gcm_open = lib_gcm_open,
	.ctr = lib_ctr,
};
