/* DTLS-SRTP by OpenSSL, without a socket and without a clock of ours: a BIO that reads the one datagram at hand and sends each
 * write as a datagram. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "secure/identity.h"

#define MTU		1200
#define UDP_OVERHEAD	28
#define FIRST_TIMEOUT_US 100000 /* OpenSSL's own first is 1 s: long for a browser that waits for a picture */
#define LAST_TIMEOUT_US	 2000000
#define EXPORT_LABEL	"EXTRACTOR-dtls_srtp" /* RFC 5764, section 4.2 */
#define CIPHERS                                                                                                        \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                    \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

struct mu_dtls_ctx {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
};

struct mu_dtls {
	SSL *ssl;
	bool server, taken;
	enum mu_dtls_state state;
	uint8_t fingerprints[4][MU_FINGERPRINT_LEN];
	size_t n_fingerprints;
	mu_dtls_send_fn *send;
	void *arg;
	const uint8_t *in; /* the datagram at hand */
	size_t in_len;
};

/* --- the BIO -------------------------------------------------------------------------------------------------------------------- */

static int bio_write(BIO *b, const char *data, int len)
{
	struct mu_dtls *d = BIO_get_data(b);

	if (len > 0)
		d->send(d->arg, (const uint8_t *)data, (size_t)len);
	return len;
}

static int bio_read(BIO *b, char *ret, int size)
{
	struct mu_dtls *d = BIO_get_data(b);
	size_t n = MU_MIN(d->in_len, (size_t)size);

	BIO_clear_retry_flags(b);
	if (d->in_len == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	memcpy(ret, d->in, n);
	d->in_len = 0; /* a datagram is read once; what did not fit is gone, as with a socket */
	return (int)n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_PENDING:
		return (long)((struct mu_dtls *)BIO_get_data(b))->in_len;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return MTU;
	case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
		return UDP_OVERHEAD;
	default:
		return 0;
	}
}

static int bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* --- context ----------------------------------------------------------------------------------------------------------------------- */

static const enum mu_srtp_profile default_profiles[] = { MU_SRTP_AEAD_AES_128_GCM, MU_SRTP_AEAD_AES_256_GCM,
	MU_SRTP_AES128_CM_SHA1_80, MU_SRTP_NONE };

static const char *openssl_name(enum mu_srtp_profile p)
{
	switch (p) {
	case MU_SRTP_AEAD_AES_128_GCM:
		return "SRTP_AEAD_AES_128_GCM";
	case MU_SRTP_AEAD_AES_256_GCM:
		return "SRTP_AEAD_AES_256_GCM";
	default:
		return "SRTP_AES128_CM_SHA1_80";
	}
}

/* Any certificate passes here: what counts is its fingerprint, compared when the handshake is done (RFC 5763, section 5). */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static bool configure(SSL_CTX *c, const struct mu_identity *id, const enum mu_srtp_profile *profiles)
{
	char list[128] = "";
	size_t at = 0;

	for (; *profiles != MU_SRTP_NONE && at < sizeof(list); profiles++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at ? ":" : "", openssl_name(*profiles));
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU | SSL_OP_CIPHER_SERVER_PREFERENCE |
				       SSL_OP_SINGLE_ECDH_USE | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	SSL_CTX_set_read_ahead(c, 1);
	return SSL_CTX_set_min_proto_version(c, DTLS1_2_VERSION) && SSL_CTX_use_certificate(c, id->cert) == 1 &&
	       SSL_CTX_use_PrivateKey(c, id->key) == 1 && SSL_CTX_set_cipher_list(c, CIPHERS) == 1 &&
	       SSL_CTX_set1_groups_list(c, "X25519:P-256") == 1 && SSL_CTX_set_tlsext_use_srtp(c, list) == 0;
}

int mu_dtls_ctx_new(const struct mu_identity *id, const enum mu_srtp_profile *profiles, struct mu_dtls_ctx **ret,
	struct mu_error *e)
{
	struct mu_dtls_ctx *c = calloc(1, sizeof(*c));

	if (!c)
		return mu_error_set(e, -ENOMEM, "out of memory for DTLS");
	c->bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagram");
	c->ssl = SSL_CTX_new(DTLS_method());
	if (!c->bio || !c->ssl || !BIO_meth_set_write(c->bio, bio_write) || !BIO_meth_set_read(c->bio, bio_read) ||
		!BIO_meth_set_ctrl(c->bio, bio_ctrl) || !BIO_meth_set_create(c->bio, bio_create) ||
		!configure(c->ssl, id, profiles ? profiles : default_profiles)) {
		mu_error_set(e, -EIO, "OpenSSL refuses the DTLS settings: %s", ERR_reason_error_string(ERR_peek_last_error()));
		mu_dtls_ctx_free(c);
		return -EIO;
	}
	*ret = c;
	return 0;
}

void mu_dtls_ctx_free(struct mu_dtls_ctx *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
	free(c);
}

/* --- association -------------------------------------------------------------------------------------------------------------------- */

static unsigned next_timeout(SSL *ssl, unsigned now_us)
{
	(void)ssl;
	if (now_us == 0)
		return FIRST_TIMEOUT_US;
	return MU_MIN(now_us * 2, LAST_TIMEOUT_US);
}

int mu_dtls_new(struct mu_dtls_ctx *ctx, bool server, const uint8_t (*fingerprints)[MU_FINGERPRINT_LEN], size_t n,
	mu_dtls_send_fn *send, void *arg, struct mu_dtls **ret)
{
	struct mu_dtls *d = calloc(1, sizeof(*d));
	BIO *b;

	if (!d)
		return -ENOMEM;
	d->server = server;
	d->n_fingerprints = MU_MIN(n, MU_ARRAY_LEN(d->fingerprints));
	memcpy(d->fingerprints, fingerprints, d->n_fingerprints * MU_FINGERPRINT_LEN);
	d->send = send;
	d->arg = arg;
	d->ssl = SSL_new(ctx->ssl);
	b = BIO_new(ctx->bio);
	if (!d->ssl || !b) {
		BIO_free(b);
		SSL_free(d->ssl);
		free(d);
		return -ENOMEM;
	}
	BIO_set_data(b, d);
	SSL_set_bio(d->ssl, b, b);
	SSL_set_mtu(d->ssl, MTU - UDP_OVERHEAD);
	DTLS_set_timer_cb(d->ssl, next_timeout);
	if (server)
		SSL_set_accept_state(d->ssl);
	else
		SSL_set_connect_state(d->ssl);
	*ret = d;
	return 0;
}

void mu_dtls_free(struct mu_dtls *d)
{
	if (!d)
		return;
	if (d->state == MU_DTLS_UP)
		SSL_shutdown(d->ssl);
	SSL_free(d->ssl);
	ERR_clear_error();
	free(d);
}

static int check_peer(struct mu_dtls *d, struct mu_error *e)
{
	X509 *cert = SSL_get0_peer_certificate(d->ssl);
	uint8_t fp[MU_FINGERPRINT_LEN];
	unsigned len = 0;
	bool match = false;

	if (!cert || X509_digest(cert, EVP_sha256(), fp, &len) != 1 || len != sizeof(fp))
		return mu_error_set(e, -EPROTO, "the peer showed no certificate");
	for (size_t i = 0; i < d->n_fingerprints; i++)
		match |= mu_secret_equal(fp, d->fingerprints[i], sizeof(fp));
	if (!match)
		return mu_error_set(e, -EPROTO, "the peer's certificate is not the one its SDP announced (a=fingerprint)");
	if (!SSL_get_selected_srtp_profile(d->ssl))
		return mu_error_set(e, -EPROTO, "no SRTP profile in common with the peer (use_srtp)");
	return 0;
}

static int failed(struct mu_dtls *d, int ssl_error, struct mu_error *e)
{
	unsigned long err = ERR_peek_last_error();

	d->state = MU_DTLS_CLOSED;
	if (ssl_error == SSL_ERROR_ZERO_RETURN)
		return 0;
	return mu_error_set(e, -EPROTO, "handshake failed: %s", err ? ERR_reason_error_string(err) : "closed by the peer");
}

static int handshake(struct mu_dtls *d, struct mu_error *e)
{
	int n = SSL_do_handshake(d->ssl), err;

	if (n != 1) {
		err = SSL_get_error(d->ssl, n);
		return err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE ? 0 : failed(d, err, e);
	}
	err = check_peer(d, e);
	if (err < 0) {
		SSL_shutdown(d->ssl);
		d->state = MU_DTLS_CLOSED;
		return err;
	}
	d->state = MU_DTLS_UP;
	return 0;
}

/* After the handshake: repeated flights are answered by OpenSSL inside; application data has no place here; alerts count. */
static int established(struct mu_dtls *d, struct mu_error *e)
{
	uint8_t drop[256];
	int n, err;

	do {
		n = SSL_read(d->ssl, drop, sizeof(drop));
	} while (n > 0);
	err = SSL_get_error(d->ssl, n);
	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
		return 0;
	return failed(d, err, e);
}

int mu_dtls_start(struct mu_dtls *d)
{
	struct mu_error e;

	ERR_clear_error();
	return d->server ? 0 : handshake(d, &e);
}

int mu_dtls_input(struct mu_dtls *d, const uint8_t *data, size_t len, struct mu_error *e)
{
	int err = 0;

	if (d->state == MU_DTLS_CLOSED)
		return 0;
	ERR_clear_error();
	d->in = data;
	d->in_len = len;
	/* a datagram may bear several records; each turn takes what OpenSSL has buffered */
	if (d->state == MU_DTLS_HANDSHAKE)
		err = handshake(d, e);
	if (err == 0 && d->state == MU_DTLS_UP)
		err = established(d, e);
	d->in = NULL;
	d->in_len = 0;
	return err;
}

int64_t mu_dtls_tick(struct mu_dtls *d)
{
	struct timeval left;

	if (d->state == MU_DTLS_CLOSED)
		return -1;
	ERR_clear_error();
	DTLSv1_handle_timeout(d->ssl);
	if (!DTLSv1_get_timeout(d->ssl, &left))
		return -1;
	return (int64_t)left.tv_sec * 1000000 + left.tv_usec;
}

enum mu_dtls_state mu_dtls_state(const struct mu_dtls *d)
{
	return d->state;
}

int mu_dtls_take_keys(struct mu_dtls *d, struct mu_dtls_keys *ret)
{
	SRTP_PROTECTION_PROFILE *p = d->state == MU_DTLS_UP ? SSL_get_selected_srtp_profile(d->ssl) : NULL;
	uint8_t block[2 * (32 + 14)], *client, *server;
	size_t key, salt;
	int err = 0;

	if (!p || d->taken)
		return -EPROTO;
	ret->profile = (enum mu_srtp_profile)p->id;
	key = mu_srtp_key_len(ret->profile);
	salt = mu_srtp_salt_len(ret->profile);
	/* client key, server key, client salt, server salt */
	if (key == 0 || SSL_export_keying_material(d->ssl, block, 2 * (key + salt), EXPORT_LABEL, strlen(EXPORT_LABEL), NULL, 0,
				0) != 1)
		err = -EPROTO;
	client = d->server ? ret->remote : ret->local;
	server = d->server ? ret->local : ret->remote;
	if (err == 0) {
		memcpy(client, block, key);
		memcpy(server, block + key, key);
		memcpy(client + key, block + 2 * key, salt);
		memcpy(server + key, block + 2 * key + salt, salt);
		d->taken = true;
	}
	OPENSSL_cleanse(block, sizeof(block));
	return err;
}
