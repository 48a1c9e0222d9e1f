/* A peer of plain OpenSSL, with settings of its own; and what an association costs. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "dtls_pair.h"

struct peer {
	SSL_CTX *ctx;
	SSL *ssl;
};

static void peer_init(struct peer *peer, const struct mu_identity *id, bool server)
{
	peer->ctx = SSL_CTX_new(DTLS_method());
	SSL_CTX_set_security_level(peer->ctx, 0);
	SSL_CTX_use_certificate(peer->ctx, id->cert);
	SSL_CTX_use_PrivateKey(peer->ctx, id->key);
	SSL_CTX_set_tlsext_use_srtp(peer->ctx, "SRTP_AES128_CM_SHA1_80");
	peer->ssl = SSL_new(peer->ctx);
	SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_options(peer->ssl, SSL_OP_NO_QUERY_MTU);
	SSL_set_mtu(peer->ssl, 1200);
	if (server)
		SSL_set_accept_state(peer->ssl);
	else
		SSL_set_connect_state(peer->ssl);
}

/** What the peer has written goes to our end. A whole flight is one datagram here, which is the same to DTLS.
 */
static int peer_flush(struct peer *peer, struct end *end)
{
	uint8_t data[2048];
	int n = BIO_read(SSL_get_wbio(peer->ssl), data, sizeof(data));

	return n > 0 ? mu_dtls_input(end->dtls, data, (size_t)n, &end->e) : 0;
}

static int peer_run(struct peer *peer, struct end *end)
{
	int err = 0;

	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(peer->ssl);
		err = err ? err : peer_flush(peer, end);
		for (size_t k = 0; k < end->out.n; k++) {
			BIO_write(SSL_get_rbio(peer->ssl), end->out.data[k], (int)end->out.len[k]);
			SSL_do_handshake(peer->ssl);
		}
		end->out.n = 0;
	}
	return err;
}

static void peer_done(struct peer *peer)
{
	SSL_free(peer->ssl);
	SSL_CTX_free(peer->ctx);
}

static void test_weak_peers_are_refused(void **state)
{
	static const struct {
		int max_version;
		const char *ciphers;
		bool certificate;
	} cases[] = {
		{ DTLS1_VERSION, "ALL:@SECLEVEL=0", true }, { 0, "ECDHE-ECDSA-AES128-SHA", true },
		{ 0, "ECDHE-ECDSA-AES128-SHA256", true },                        /* CBC */
		{ 0, "AES128-GCM-SHA256", true },                                /* no forward secrecy */
		{ 0, "aNULL:eNULL:@SECLEVEL=0", true }, { 0, "DEFAULT", false }, /* no client certificate */
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct pair *p = pair_new(NULL, NULL);
		struct peer peer;

		peer_init(&peer, p->client.id, false);
		SSL_set_max_proto_version(peer.ssl, cases[i].max_version);
		assert_int_equal(SSL_set_cipher_list(peer.ssl, cases[i].ciphers), 1);
		if (!cases[i].certificate)
			SSL_certs_clear(peer.ssl);
		assert_int_equal(peer_run(&peer, &p->server), -EPROTO);
		assert_int_equal(mu_dtls_state(p->server.dtls), MU_DTLS_CLOSED);
		assert_false(SSL_is_init_finished(peer.ssl));
		peer_done(&peer);
		pair_free(p);
	}
}

static void test_plain_openssl_as_peer(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct pair *p = pair_new(NULL, NULL);
		struct end *end = server ? &p->server : &p->client;
		struct mu_dtls_keys keys;
		uint8_t material[60];
		struct peer peer;

		peer_init(&peer, server ? p->client.id : p->server.id, !server);
		SSL_set_verify(peer.ssl, SSL_VERIFY_NONE, NULL);
		if (!server) /* the peer asks us for no certificate, as is its choice */
			mu_dtls_start(p->client.dtls);
		assert_int_equal(peer_run(&peer, end), 0);
		assert_int_equal(mu_dtls_state(end->dtls), MU_DTLS_UP);
		assert_int_equal(mu_dtls_take_keys(end->dtls, &keys), 0);
		assert_int_equal(keys.profile, MU_SRTP_AES128_CM_SHA1_80);
		assert_int_equal(SSL_export_keying_material(
					 peer.ssl, material, 60, "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0),
			1);
		assert_memory_equal(server ? keys.remote : keys.local, material, 16);
		assert_memory_equal(server ? keys.local : keys.remote, material + 16, 16);
		assert_memory_equal((server ? keys.remote : keys.local) + 16, material + 32, 14);
		assert_memory_equal((server ? keys.local : keys.remote) + 16, material + 46, 14);
		/* It may talk and ask to renegotiate: no harm. (OpenSSL takes our refusal for fatal, so it
		 * does not see it.) */
		assert_int_equal(SSL_write(peer.ssl, "hello", 5), 5);
		SSL_renegotiate(peer.ssl);
		SSL_do_handshake(peer.ssl);
		assert_int_equal(peer_flush(&peer, end), 0);
		assert_int_equal(mu_dtls_state(end->dtls), MU_DTLS_UP);
		peer_done(&peer);
		pair_free(p);
	}
}

/* --- memory --- */

static void test_bytes_of_an_association(void **state)
{
	enum { N = 64 };
	static struct pair *pairs[N];
	struct pair *first = pair_new(NULL, NULL); /* what OpenSSL makes once */
	struct mallinfo2 before, after;

	(void)state;
	mu_dtls_start(first->client.dtls);
	run(first);
	for (int role = 0; role < 2; role++) {
		size_t bytes;

		for (int i = 0; i < N; i++) {
			pairs[i] = pair_new(NULL, NULL);
			mu_dtls_start(pairs[i]->client.dtls);
			run(pairs[i]);
		}
		before = mallinfo2();
		for (int i = 0; i < N; i++) {
			struct end *end = role ? &pairs[i]->server : &pairs[i]->client;

			mu_dtls_free(end->dtls);
			end->dtls = NULL;
		}
		after = mallinfo2();
		bytes = (before.uordblks - after.uordblks) / N;
		print_message("%zu bytes an association as DTLS %s\n", bytes, role ? "server" : "client");
		assert_true(bytes < 64 * 1024);
		for (int i = 0; i < N; i++)
			pair_free(pairs[i]);
	}
	pair_free(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weak_peers_are_refused),
		cmocka_unit_test(test_plain_openssl_as_peer),
		cmocka_unit_test(test_bytes_of_an_association),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
