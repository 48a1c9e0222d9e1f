/* Two ends of ours: profiles, fingerprints, losses, garbage, goodbyes. */
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

static const enum mu_srtp_profile gcm128[] = { MU_SRTP_AEAD_AES_128_GCM, MU_SRTP_NONE };
static const enum mu_srtp_profile gcm256[] = { MU_SRTP_AEAD_AES_256_GCM, MU_SRTP_NONE };
static const enum mu_srtp_profile cm[] = { MU_SRTP_AES128_CM_SHA1_80, MU_SRTP_NONE };
/* As Chromium offers them. */
static const enum mu_srtp_profile browser[] = { MU_SRTP_AES128_CM_SHA1_80, MU_SRTP_AEAD_AES_256_GCM,
	MU_SRTP_AEAD_AES_128_GCM, MU_SRTP_NONE };

static void test_profiles(void **state)
{
	static const struct {
		const enum mu_srtp_profile *server, *client;
		enum mu_srtp_profile want;
	} cases[] = {
		{ NULL, NULL, MU_SRTP_AEAD_AES_128_GCM },
		{ NULL, browser, MU_SRTP_AEAD_AES_128_GCM }, /* the server's order wins */
		{ browser, NULL, MU_SRTP_AES128_CM_SHA1_80 },
		{ NULL, gcm256, MU_SRTP_AEAD_AES_256_GCM },
		{ gcm128, browser, MU_SRTP_AEAD_AES_128_GCM },
		{ NULL, cm, MU_SRTP_AES128_CM_SHA1_80 },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct pair *p = pair_new(cases[i].server, cases[i].client);

		assert_int_equal(mu_dtls_start(p->server.dtls), -EINVAL);
		assert_int_equal(mu_dtls_start(p->client.dtls), 0);
		run(p);
		assert_works(p, cases[i].want);
		pair_free(p);
	}
}

static void test_no_common_profile(void **state)
{
	struct pair *p = pair_new(gcm128, cm);
	struct mu_dtls_keys keys;

	(void)state;
	mu_dtls_start(p->client.dtls);
	run(p);
	assert_states(p, MU_DTLS_CLOSED, MU_DTLS_CLOSED);
	assert_int_equal(p->server.err, -EPROTO);
	assert_non_null(strstr(p->server.e.text, "no SRTP profile"));
	assert_int_equal(mu_dtls_take_keys(p->server.dtls, &keys), -EPROTO);
	assert_int_equal(mu_dtls_take_keys(p->client.dtls, &keys), -EPROTO);
	pair_free(p);
}

static void test_unknown_profile_is_refused(void **state)
{
	static const enum mu_srtp_profile null_cipher[] = { (enum mu_srtp_profile)5, MU_SRTP_NONE };
	static const enum mu_srtp_profile none[] = { MU_SRTP_NONE };
	struct mu_identity *id;
	struct mu_dtls_ctx *ctx;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_identity_new(&id), 0);
	assert_int_equal(mu_dtls_ctx_new(id, null_cipher, &ctx, &e), -EINVAL);
	assert_int_equal(mu_dtls_ctx_new(id, none, &ctx, &e), -EINVAL);
	mu_identity_free(id);
}

/** RELIABILITY S11. The other end may be up for a moment; its close follows. */
static void test_wrong_fingerprint(void **state)
{
	(void)state;
	for (int at_server = 0; at_server < 2; at_server++) {
		struct pair *p = pair_new(NULL, NULL);
		struct end *checks = at_server ? &p->server : &p->client;
		struct mu_dtls_keys keys;
		uint8_t fp[MU_FINGERPRINT_LEN];

		memcpy(fp, mu_identity_fingerprint(at_server ? p->client.id : p->server.id), sizeof(fp));
		fp[31] ^= 1;
		mu_dtls_free(checks->dtls);
		end_open(checks, at_server, fp);
		mu_dtls_start(p->client.dtls);
		run(p);
		assert_int_equal(checks->err, -EPROTO);
		assert_non_null(strstr(checks->e.text, "fingerprint"));
		assert_states(p, MU_DTLS_CLOSED, MU_DTLS_CLOSED);
		assert_int_equal(mu_dtls_take_keys(checks->dtls, &keys), -EPROTO);
		pair_free(p);
	}
}

static void test_one_of_several_fingerprints(void **state)
{
	struct pair *p = pair_new(NULL, NULL);
	uint8_t fps[3][MU_FINGERPRINT_LEN] = { { 1 }, { 2 }, { 3 } };

	(void)state;
	memcpy(fps[1], mu_identity_fingerprint(p->client.id), MU_FINGERPRINT_LEN);
	mu_dtls_free(p->server.dtls);
	assert_int_equal(mu_dtls_new(p->server.ctx, true, (const uint8_t(*)[MU_FINGERPRINT_LEN])fps, 3,
				 queue_send, &p->server.out, &p->server.dtls),
		0);
	mu_dtls_start(p->client.dtls);
	run(p);
	assert_works(p, MU_SRTP_AEAD_AES_128_GCM);
	mu_dtls_free(p->server.dtls); /* none at all: nobody fits */
	mu_dtls_free(p->client.dtls);
	p->server.out.n = p->client.out.n = 0;
	assert_int_equal(
		mu_dtls_new(p->server.ctx, true, NULL, 0, queue_send, &p->server.out, &p->server.dtls), 0);
	end_open(&p->client, false, mu_identity_fingerprint(p->server.id));
	mu_dtls_start(p->client.dtls);
	run(p);
	assert_int_equal(p->server.err, -EPROTO);
	pair_free(p);
}

/** Let both timers fire when they are due. */
static void wait_and_tick(struct pair *p)
{
	int64_t s = mu_dtls_tick(p->server.dtls), c = mu_dtls_tick(p->client.dtls);
	int64_t us = s < 0 ? c : c < 0 ? s : MU_MIN(s, c);

	assert_true(us >= 0 && us <= 3000000);
	usleep((useconds_t)us + 2000);
	mu_dtls_tick(p->server.dtls);
	mu_dtls_tick(p->client.dtls);
	run(p);
}

static void test_lost_flights(void **state)
{
	/* how many of the first datagrams of each end are lost: ClientHello; the server's flight; the
	 * client's second */
	static const struct {
		unsigned server, client;
		bool second;
	} cases[] = { { 0, 1, false }, { 1, 0, false }, { 0, 1, true } };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct pair *p = pair_new(NULL, NULL);

		p->server.out.drop = cases[i].server;
		p->client.out.drop = cases[i].second ? 0 : cases[i].client;
		mu_dtls_start(p->client.dtls);
		if (cases[i].second)
			p->client.out.drop = cases[i].client;
		run(p);
		assert_int_equal(mu_dtls_state(p->client.dtls), MU_DTLS_HANDSHAKE);
		wait_and_tick(p);
		assert_works(p, MU_SRTP_AEAD_AES_128_GCM);
		pair_free(p);
	}
}

/** The server is up and its Finished was lost: the client's retransmission has it sent again. */
static void test_lost_last_flight(void **state)
{
	struct pair *p = pair_new(NULL, NULL);

	(void)state;
	mu_dtls_start(p->client.dtls);
	deliver(&p->client, &p->server);
	deliver(&p->server, &p->client);
	p->server.out.drop = QUEUE;
	deliver(&p->client, &p->server);
	p->server.out.drop = 0;
	assert_states(p, MU_DTLS_UP, MU_DTLS_HANDSHAKE);
	wait_and_tick(p);
	assert_works(p, MU_SRTP_AEAD_AES_128_GCM);
	pair_free(p);
}

static void test_duplicates_and_reordering(void **state)
{
	struct pair *p = pair_new(NULL, NULL);
	static struct queue q;

	(void)state;
	mu_dtls_start(p->client.dtls);
	while (p->client.out.n || p->server.out.n) {
		struct end *from = p->client.out.n ? &p->client : &p->server;
		struct end *to = p->client.out.n ? &p->server : &p->client;

		q = from->out;
		from->out.n = 0;
		for (size_t i = q.n; i-- > 0;)
			for (int twice = 0; twice < 2; twice++)
				assert_int_equal(mu_dtls_input(to->dtls, q.data[i], q.len[i], &to->e), 0);
	}
	assert_works(p, MU_SRTP_AEAD_AES_128_GCM);
	pair_free(p);
}

/* Records nobody sound sends, given to an end in each of its states. */
static const struct {
	const char *what;
	size_t len;
	uint8_t data[64];
} garbage[] = {
	{ "empty", 0, { 0 } },
	{ "one byte", 1, { 22 } },
	{ "header cut", 12, { 22, 0xfe, 0xfd } },
	{ "record cut", 13, { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 40 } },
	{ "empty record", 13, { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0 } },
	{ "TLS, not DTLS", 18, { 22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 5, 1, 2, 3, 4, 5 } },
	{ "message header cut", 16, { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 1, 0, 0 } },
	{ "fragment past its message", 27,
		{ 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 14, 1, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 2 } },
	{ "huge message", 26,
		{ 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 13, 1, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 1 } },
	{ "ClientHello of zeros", 45,
		{ 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 32, 1, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 20 } },
	{ "second ClientHello", 45,
		{ 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 32, 1, 0, 0, 20, 0, 1, 0, 0, 0, 0, 0, 20 } },
	{ "Finished in the clear", 37,
		{ 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 24, 20, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 12 } },
	{ "HelloRequest", 25, { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12, 0 } },
	{ "unknown message", 25, { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12, 99 } },
	{ "CCS of two bytes", 15, { 20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 1 } },
	{ "early CCS", 14, { 20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1 } },
	{ "short alert", 14, { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 2 } },
	{ "long alert", 16, { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 2, 40, 0 } },
	{ "alert of no level", 15, { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 7, 40 } },
	{ "warning", 15, { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 90 } },
	{ "data in the clear", 15, { 23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 2 } },
	{ "heartbeat", 20, { 24, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 7, 1, 0x40, 0 } },
	{ "forged Finished", 45, { 22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 32, 1, 2, 3 } },
	{ "forged alert", 39, { 21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 26, 1, 2, 3 } },
	{ "forged data", 39, { 23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 26, 1, 2, 3 } },
	{ "next epoch", 45, { 22, 0xfe, 0xfd, 0, 2, 0, 0, 0, 0, 0, 9, 0, 32, 1, 2, 3 } },
};

static void throw_garbage(struct end *end)
{
	enum mu_dtls_state before = mu_dtls_state(end->dtls);
	uint8_t random[300];

	for (size_t i = 0; i < MU_ARRAY_LEN(garbage); i++) {
		if (mu_dtls_input(end->dtls, garbage[i].data, garbage[i].len, &end->e) ||
			mu_dtls_state(end->dtls) != before)
			fail_msg("%s: %s", garbage[i].what, end->e.text);
	}
	for (int i = 0; i < 50; i++) {
		mu_random(random, sizeof(random));
		random[0] = (uint8_t)(20 + random[0] % 6);
		assert_int_equal(mu_dtls_input(end->dtls, random, sizeof(random), &end->e), 0);
		assert_int_equal(mu_dtls_state(end->dtls), before);
	}
}

static void test_garbage_in_every_state(void **state)
{
	struct pair *p = pair_new(NULL, NULL);

	(void)state;
	throw_garbage(&p->server);
	mu_dtls_start(p->client.dtls);
	throw_garbage(&p->client);
	deliver(&p->client, &p->server);
	throw_garbage(&p->server);
	deliver(&p->server, &p->client);
	throw_garbage(&p->client);
	run(p);
	throw_garbage(&p->server);
	throw_garbage(&p->client);
	run(p);
	assert_works(p, MU_SRTP_AEAD_AES_128_GCM);
	pair_free(p);
}

static void test_broken_hellos_are_bounded(void **state)
{
	struct pair *p = pair_new(NULL, NULL);

	(void)state;
	for (int i = 0; i < 100; i++) {
		mu_dtls_input(p->server.dtls, garbage[9].data, garbage[9].len, &p->server.e);
	}
	assert_int_equal(mu_dtls_state(p->server.dtls), MU_DTLS_CLOSED);
	assert_int_equal(p->server.out.n_total, 1); /* one alert in the end */
	pair_free(p);
}

static void test_fatal_alert_ends_the_handshake(void **state)
{
	static const uint8_t alert[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40 };
	struct pair *p = pair_new(NULL, NULL);

	(void)state;
	mu_dtls_start(p->client.dtls);
	assert_int_equal(mu_dtls_input(p->client.dtls, alert, sizeof(alert), &p->client.e), -EPROTO);
	assert_int_equal(mu_dtls_state(p->client.dtls), MU_DTLS_CLOSED);
	assert_non_null(strstr(p->client.e.text, "handshake failure"));
	assert_int_equal(mu_dtls_tick(p->client.dtls), -1);
	assert_int_equal(mu_dtls_input(p->client.dtls, alert, sizeof(alert), &p->client.e), 0);
	pair_free(p);
}

static void test_close_notify(void **state)
{
	(void)state;
	for (int by_server = 0; by_server < 2; by_server++) {
		struct pair *p = pair_new(NULL, NULL);
		struct end *closes = by_server ? &p->server : &p->client,
			   *other = by_server ? &p->client : &p->server;

		mu_dtls_start(p->client.dtls);
		run(p);
		assert_works(p, MU_SRTP_AEAD_AES_128_GCM);
		mu_dtls_free(closes->dtls);
		closes->dtls = NULL;
		assert_int_equal(closes->out.n, 1);
		deliver(closes, other);
		assert_int_equal(mu_dtls_state(other->dtls), MU_DTLS_CLOSED);
		assert_int_equal(other->err, 0);
		pair_free(p);
	}
}

/** A certificate that needs several datagrams. */
static struct mu_identity *large_identity(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	struct mu_identity *id;
	char comment[5001];
	X509_EXTENSION *ext;

	memset(comment, 'x', sizeof(comment) - 1);
	comment[sizeof(comment) - 1] = '\0';
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_netscape_comment, comment);
	X509_set_version(cert, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(cert), -100);
	X509_gmtime_adj(X509_getm_notAfter(cert), 1000);
	X509_set_pubkey(cert, key);
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(mu_identity_wrap(key, cert, &id), 0);
	return id;
}

static void test_large_flights_are_split(void **state)
{
	struct pair *p = malloc(sizeof(*p));

	(void)state;
	memset(p, 0, sizeof(*p));
	p->server.id = large_identity();
	p->client.id = large_identity();
	assert_int_equal(mu_dtls_ctx_new(p->server.id, NULL, &p->server.ctx, NULL), 0);
	assert_int_equal(mu_dtls_ctx_new(p->client.id, NULL, &p->client.ctx, NULL), 0);
	end_open(&p->server, true, mu_identity_fingerprint(p->client.id));
	end_open(&p->client, false, mu_identity_fingerprint(p->server.id));
	mu_dtls_start(p->client.dtls);
	run(p);
	assert_works(p, MU_SRTP_AEAD_AES_128_GCM);
	assert_true(p->server.out.n_total >= 5 && p->server.out.largest > 1000);
	print_message("largest datagram: server %zu, client %zu bytes\n", p->server.out.largest,
		p->client.out.largest);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_no_common_profile),
		cmocka_unit_test(test_unknown_profile_is_refused),
		cmocka_unit_test(test_wrong_fingerprint),
		cmocka_unit_test(test_one_of_several_fingerprints),
		cmocka_unit_test(test_lost_flights),
		cmocka_unit_test(test_lost_last_flight),
		cmocka_unit_test(test_duplicates_and_reordering),
		cmocka_unit_test(test_garbage_in_every_state),
		cmocka_unit_test(test_broken_hellos_are_bounded),
		cmocka_unit_test(test_fatal_alert_ends_the_handshake),
		cmocka_unit_test(test_close_notify),
		cmocka_unit_test(test_large_flights_are_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
