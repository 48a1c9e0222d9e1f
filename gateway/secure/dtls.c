#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/srtp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "secure/dtls_filter.h"
#include "secure/identity.h"

#define MTU        1200
#define RESETS_MAX 16 /* broken ClientHellos forgiven */

/* RFC 6347, section 4.2.4.1, wants 1 s doubling to 60 s; it allows less for time-sensitive uses. A caller
 * waits for this with the first picture, so: 0.2 s doubling to 3 s. OpenSSL gives up after twelve, some 27 s.
 */
#define TIMER_FIRST_US 200000u
#define TIMER_MAX_US   3000000u

struct mu_dtls_ctx {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
};

struct mu_dtls {
	const struct mu_dtls_ctx *ctx;
	SSL *ssl;
	mu_dtls_send_fn *send;
	void *arg;
	const uint8_t *in; /* the datagram OpenSSL may read now, else NULL */
	size_t in_len;
	enum mu_srtp_profile profile; /* set once up */
	enum mu_dtls_state state;
	struct mu_dtls_filter filter;
	bool taken; /* the keys */
	uint8_t n_resets;
	uint8_t alert[15], alert_len; /* held back until the failure is known to be the peer's own */
	size_t n_fingerprints;
	uint8_t fingerprints[][MU_FINGERPRINT_LEN];
};

/* --- BIO: one read or write is one datagram --- */

static int bio_write(BIO *bio, const char *data, int len)
{
	struct mu_dtls *d = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (len <= 0)
		return 0;
	/* An alert that answers a stranger's broken hello would end the true peer's handshake. */
	if (data[0] == SSL3_RT_ALERT && d->filter.server && !d->filter.engaged &&
		(size_t)len <= sizeof(d->alert)) {
		memcpy(d->alert, data, (size_t)len);
		d->alert_len = (uint8_t)len;
		return len;
	}
	if (data[0] == SSL3_RT_HANDSHAKE)
		d->filter.engaged = true;
	d->send(d->arg, (const uint8_t *)data, (size_t)len);
	return len;
}

static int bio_read(BIO *bio, char *ret, int size)
{
	struct mu_dtls *d = BIO_get_data(bio);
	size_t n;

	BIO_clear_retry_flags(bio);
	if (!d->in) {
		BIO_set_retry_read(bio);
		return -1;
	}
	n = MU_MIN((size_t)size, d->in_len);
	memcpy(ret, d->in, n);
	d->in = NULL;
	return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* --- context --- */

/** OpenSSL's list, "SRTP_A:SRTP_B": IANA's names, which are ours, behind a prefix. @return 0, -EINVAL */
static int profile_list(const enum mu_srtp_profile *ids, char *ret, size_t size, struct mu_error *e)
{
	static const enum mu_srtp_profile all[] = { MU_SRTP_AEAD_AES_128_GCM, MU_SRTP_AEAD_AES_256_GCM,
		MU_SRTP_AES128_CM_SHA1_80, MU_SRTP_NONE };
	size_t at = 0;

	for (ids = ids ? ids : all; *ids; ids++) {
		int n;

		if (mu_srtp_key_len(*ids) == 0)
			return mu_error_set(
				e, -EINVAL, "SRTP profile 0x%04x is not supported", (unsigned)*ids);
		n = snprintf(ret + at, size - at, "%sSRTP_%s", at ? ":" : "", mu_srtp_profile_name(*ids));
		if (n < 0 || (size_t)n >= size - at)
			return mu_error_set(e, -EINVAL, "too many SRTP profiles");
		at += (size_t)n;
	}
	return at ? 0 : mu_error_set(e, -EINVAL, "no SRTP profile");
}

static const char *openssl_reason(void)
{
	const char *s = ERR_reason_error_string(ERR_peek_error());

	return s ? s : "unknown error";
}

/** Certificates are self-signed; the SDP's fingerprint decides once the peer has proven to hold the key
 *  (RFC 5763, section 5). */
static int accept_any(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

static bool configure(SSL_CTX *ssl, const struct mu_identity *id, const char *list)
{
	SSL_CTX_set_options(ssl,
		SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
			SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_security_level(ssl, 2); /* whatever the system's openssl.cnf says */
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ssl, accept_any, NULL);
	SSL_CTX_set_max_cert_list(ssl, 16384);
	/* SSL_CTX_set_tlsext_use_srtp is 0 when it worked. */
	return SSL_CTX_set_min_proto_version(ssl, DTLS1_2_VERSION) &&
		SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") &&
		SSL_CTX_set1_groups_list(ssl, "X25519:P-256") && SSL_CTX_use_certificate(ssl, id->cert) &&
		SSL_CTX_use_PrivateKey(ssl, id->key) && !SSL_CTX_set_tlsext_use_srtp(ssl, list);
}

static BIO_METHOD *make_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "muster datagram");

	if (m && BIO_meth_set_write(m, bio_write) && BIO_meth_set_read(m, bio_read) &&
		BIO_meth_set_ctrl(m, bio_ctrl) && BIO_meth_set_create(m, bio_create))
		return m;
	BIO_meth_free(m);
	return NULL;
}

int mu_dtls_ctx_new(const struct mu_identity *id, const enum mu_srtp_profile *ids, struct mu_dtls_ctx **ret,
	struct mu_error *e)
{
	char list[128];
	struct mu_dtls_ctx *ctx;
	int err = profile_list(ids, list, sizeof(list), e);

	if (err)
		return err;
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return mu_error_set(e, -ENOMEM, "out of memory");
	ERR_clear_error();
	ctx->ssl = SSL_CTX_new(DTLS_method());
	ctx->bio = make_bio_method();
	if (!ctx->ssl || !ctx->bio || !configure(ctx->ssl, id, list)) {
		err = mu_error_set(e, -EIO, "OpenSSL refuses the DTLS settings: %s", openssl_reason());
		mu_dtls_ctx_free(ctx);
		return err;
	}
	*ret = ctx;
	return 0;
}

void mu_dtls_ctx_free(struct mu_dtls_ctx *ctx)
{
	if (!ctx)
		return;
	SSL_CTX_free(ctx->ssl);
	BIO_meth_free(ctx->bio);
	free(ctx);
}

/* --- association --- */

static unsigned int next_timeout(SSL *ssl, unsigned int last_us)
{
	(void)ssl;
	return last_us ? MU_MIN(2 * last_us, TIMER_MAX_US) : TIMER_FIRST_US;
}

/** A fresh handshake. */
static int open_ssl(struct mu_dtls *d)
{
	SSL *ssl = SSL_new(d->ctx->ssl);
	BIO *bio = BIO_new(d->ctx->bio);

	if (!ssl || !bio) {
		SSL_free(ssl);
		BIO_free(bio);
		return -ENOMEM;
	}
	BIO_set_data(bio, d);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_mtu(ssl, MTU);
	DTLS_set_timer_cb(ssl, next_timeout);
	if (d->filter.server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	SSL_free(d->ssl);
	d->ssl = ssl;
	return 0;
}

int mu_dtls_new(struct mu_dtls_ctx *ctx, bool server, const uint8_t (*fingerprints)[MU_FINGERPRINT_LEN],
	size_t n, mu_dtls_send_fn *send, void *arg, struct mu_dtls **ret)
{
	struct mu_dtls *d = calloc(1, sizeof(*d) + n * MU_FINGERPRINT_LEN);

	if (!d)
		return -ENOMEM;
	d->ctx = ctx;
	d->send = send;
	d->arg = arg;
	d->filter.server = server;
	d->n_fingerprints = n;
	if (n)
		memcpy(d->fingerprints, fingerprints, n * MU_FINGERPRINT_LEN);
	if (open_ssl(d)) {
		free(d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void mu_dtls_free(struct mu_dtls *d)
{
	if (!d)
		return;
	ERR_clear_error();
	if (d->state == MU_DTLS_UP && SSL_alloc_buffers(d->ssl))
		SSL_shutdown(d->ssl);
	SSL_free(d->ssl);
	ERR_clear_error();
	free(d);
}

static bool fingerprint_fits(const struct mu_dtls *d)
{
	uint8_t fp[MU_FINGERPRINT_LEN];
	X509 *cert = SSL_get0_peer_certificate(d->ssl);
	bool fits = false;

	if (!cert || !X509_digest(cert, EVP_sha256(), fp, NULL))
		return false;
	for (size_t i = 0; i < d->n_fingerprints; i++)
		fits |= mu_secret_equal(fp, d->fingerprints[i], sizeof(fp));
	return fits;
}

/** The handshake is through: is it the peer the SDP announced, and can media be protected? */
static int finish(struct mu_dtls *d, struct mu_error *e)
{
	const SRTP_PROTECTION_PROFILE *p = SSL_get_selected_srtp_profile(d->ssl);
	enum mu_srtp_profile profile = p ? (enum mu_srtp_profile)p->id : MU_SRTP_NONE;
	int err = 0;

	if (!fingerprint_fits(d))
		err = mu_error_set(
			e, -EPROTO, "the peer's certificate has none of the fingerprints in its SDP");
	else if (mu_srtp_key_len(profile) == 0)
		err = mu_error_set(e, -EPROTO, "no SRTP profile in common with the peer");
	if (err) {
		SSL_shutdown(d->ssl);
		d->state = MU_DTLS_CLOSED;
		return err;
	}
	d->profile = profile;
	d->filter.up = true;
	d->state = MU_DTLS_UP;
	return 0;
}

/** Whether a failed handshake can begin anew: broken messages before any flight of ours may be anybody's,
 * while a sound hello that asks for what we do not have is the peer's last word. */
static bool forgivable(const struct mu_dtls *d, int reason)
{
	if (!d->filter.server || d->filter.engaged || d->n_resets == RESETS_MAX)
		return false;
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
		return false;
	default:
		return reason < SSL_AD_REASON_OFFSET; /* from there on: alerts received */
	}
}

static int fail(struct mu_dtls *d, struct mu_error *e)
{
	if (forgivable(d, ERR_GET_REASON(ERR_peek_error()))) {
		d->n_resets++;
		d->alert_len = 0;
		if (!open_ssl(d))
			return 0;
	}
	if (d->alert_len)
		d->send(d->arg, d->alert, d->alert_len);
	d->state = MU_DTLS_CLOSED;
	if (SSL_get_shutdown(d->ssl) & SSL_RECEIVED_SHUTDOWN && !ERR_peek_error())
		return mu_error_set(e, -EPROTO, "the peer closed during the DTLS handshake");
	return mu_error_set(e, -EPROTO, "DTLS handshake failed: %s", openssl_reason());
}

static int handshake(struct mu_dtls *d, struct mu_error *e)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(d->ssl);
	if (r == 1)
		return finish(d, e);
	switch (SSL_get_error(d->ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	default:
		return fail(d, e);
	}
}

/** Alerts, and a Finished sent again, which OpenSSL answers with ours. Application data is nothing to us. */
static void drain(struct mu_dtls *d)
{
	uint8_t data[512];
	int r, why;

	do {
		ERR_clear_error();
		r = SSL_read(d->ssl, data, sizeof(data));
	} while (r > 0);
	why = SSL_get_error(d->ssl, r);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return;
	if (why == SSL_ERROR_ZERO_RETURN)
		SSL_shutdown(d->ssl); /* a close_notify is answered (RFC 5246, section 7.2.1) */
	d->state = MU_DTLS_CLOSED;
}

int mu_dtls_start(struct mu_dtls *d)
{
	if (d->filter.server || d->state != MU_DTLS_HANDSHAKE)
		return -EINVAL;
	return handshake(d, NULL);
}

int mu_dtls_input(struct mu_dtls *d, const uint8_t *data, size_t len, struct mu_error *e)
{
	uint8_t kept[MU_DTLS_DATAGRAM_MAX];
	int err = 0;

	if (d->state == MU_DTLS_CLOSED)
		return 0;
	d->in_len = mu_dtls_filter(&d->filter, data, len, kept);
	if (!d->in_len)
		return 0;
	/* DTLS keeps its two 17 KiB buffers whatever SSL_MODE_RELEASE_BUFFERS says: they are there only while
	 * used. */
	if (d->state == MU_DTLS_UP && !SSL_alloc_buffers(d->ssl))
		return 0;
	d->in = kept;
	if (d->state == MU_DTLS_HANDSHAKE)
		err = handshake(d, e);
	if (d->state == MU_DTLS_UP) {
		drain(d);
		SSL_free_buffers(d->ssl);
	}
	d->in = NULL;
	ERR_clear_error();
	return err;
}

int64_t mu_dtls_tick(struct mu_dtls *d)
{
	struct timeval left;
	int64_t us;

	if (d->state != MU_DTLS_HANDSHAKE)
		return -1;
	ERR_clear_error();
	if (DTLSv1_handle_timeout(d->ssl) < 0)
		d->state = MU_DTLS_CLOSED; /* twelve times without an answer */
	ERR_clear_error();
	if (d->state != MU_DTLS_HANDSHAKE || !DTLSv1_get_timeout(d->ssl, &left))
		return -1;
	us = (int64_t)left.tv_sec * 1000000 + left.tv_usec;
	/* OpenSSL counts in wall time, which can jump. */
	return MU_MIN(us, (int64_t)TIMER_MAX_US);
}

enum mu_dtls_state mu_dtls_state(const struct mu_dtls *d)
{
	return d->state;
}

int mu_dtls_take_keys(struct mu_dtls *d, struct mu_dtls_keys *ret)
{
	static const char label[] = "EXTRACTOR-dtls_srtp"; /* RFC 5764, section 4.2 */
	uint8_t material[2 * (32 + 14)], *client, *server;
	size_t key, salt;
	bool ok;

	if (d->state != MU_DTLS_UP || d->taken)
		return -EPROTO;
	key = mu_srtp_key_len(d->profile);
	salt = mu_srtp_salt_len(d->profile);
	ok = SSL_export_keying_material(
		     d->ssl, material, 2 * (key + salt), label, sizeof(label) - 1, NULL, 0, 0) == 1;
	if (ok) {
		/* Client key, server key, client salt, server salt; each writes with its own. */
		memset(ret, 0, sizeof(*ret));
		ret->profile = d->profile;
		client = d->filter.server ? ret->remote : ret->local;
		server = d->filter.server ? ret->local : ret->remote;
		memcpy(client, material, key);
		memcpy(server, material + key, key);
		memcpy(client + key, material + 2 * key, salt);
		memcpy(server + key, material + 2 * key + salt, salt);
		d->taken = true;
	}
	explicit_bzero(material, sizeof(material));
	return ok ? 0 : -EPROTO;
}
