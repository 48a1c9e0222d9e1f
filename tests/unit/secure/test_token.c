#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "secure/jose.h"

#define NOW 1800000000

/* Keys of this run, in files: an Ed25519, a P-256 and one of each that nobody trusts. */
static char dir[] = "/tmp/muster-token-XXXXXX";
static char ed[64], ec[64], stranger[64], stranger_ec[64], rsa[64], p384[64], encrypted[64];
static struct mu_keyring *ring;

static void write_key(const char *path, EVP_PKEY *key, const EVP_CIPHER *cipher)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(PEM_write_PKCS8PrivateKey(
		f, key, cipher, cipher ? "secret" : NULL, cipher ? 6 : 0, NULL, NULL));
	fclose(f);
	EVP_PKEY_free(key);
}

static char *in_dir(char *ret, const char *name)
{
	snprintf(ret, 64, "%s/%s", dir, name);
	return ret;
}

static int setup(void **state)
{
	char pub[80];

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(mu_token_keygen(in_dir(ed, "ed"), NULL), 0);
	assert_int_equal(mu_token_keygen(in_dir(stranger, "stranger"), NULL), 0);
	write_key(in_dir(ec, "ec"), EVP_EC_gen("P-256"), NULL);
	write_key(in_dir(stranger_ec, "stranger_ec"), EVP_EC_gen("P-256"), NULL);
	write_key(in_dir(p384, "p384"), EVP_EC_gen("P-384"), NULL);
	write_key(in_dir(rsa, "rsa"), EVP_RSA_gen(1024), NULL);
	write_key(in_dir(encrypted, "encrypted"), EVP_EC_gen("P-256"), EVP_aes_128_cbc());
	assert_int_equal(mu_keyring_new(&ring), 0);
	snprintf(pub, sizeof(pub), "%s.pub", ed);
	assert_int_equal(mu_keyring_add_file(ring, pub, NULL), 0);
	assert_int_equal(mu_keyring_add_file(ring, ec, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	mu_keyring_free(ring);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void key_kid(const char *path, char ret[MU_JOSE_KID + 1])
{
	struct mu_jose_key k;

	assert_int_equal(mu_jose_key_read(path, &k, NULL), 0);
	memcpy(ret, k.kid, MU_JOSE_KID + 1);
	mu_jose_key_done(&k);
}

/** Sign any header and payload with a key in a file, or with no signature if path is NULL. */
static char *forge(const char *path, const char *header, const char *payload)
{
	static char jwt[16384];
	uint8_t raw[128], sig[64];
	size_t n = mu_base64url((const uint8_t *)header, strlen(header), jwt), raw_len = sizeof(raw);
	struct mu_jose_key k;
	EVP_MD_CTX *ctx;

	jwt[n++] = '.';
	n += mu_base64url((const uint8_t *)payload, strlen(payload), jwt + n);
	jwt[n] = '\0';
	if (!path)
		return jwt;
	assert_int_equal(mu_jose_key_read(path, &k, NULL), 0);
	ctx = EVP_MD_CTX_new();
	assert_int_equal(
		EVP_DigestSignInit(ctx, NULL, strcmp(k.alg, "ES256") ? NULL : EVP_sha256(), NULL, k.pkey), 1);
	assert_int_equal(EVP_DigestSign(ctx, raw, &raw_len, (uint8_t *)jwt, n), 1);
	if (!strcmp(k.alg, "ES256")) {
		const uint8_t *der = raw;
		ECDSA_SIG *es = d2i_ECDSA_SIG(NULL, &der, (long)raw_len);

		BN_bn2binpad(ECDSA_SIG_get0_r(es), sig, 32);
		BN_bn2binpad(ECDSA_SIG_get0_s(es), sig + 32, 32);
		ECDSA_SIG_free(es);
	} else {
		memcpy(sig, raw, 64);
	}
	jwt[n++] = '.';
	mu_base64url(sig, 64, jwt + n);
	EVP_MD_CTX_free(ctx);
	mu_jose_key_done(&k);
	return jwt;
}

static struct mu_token sample(void)
{
	struct mu_token t = { .subject = "unit 7-0312",
		.scopes = MU_SCOPE_PUBLISH | MU_SCOPE_WATCH,
		.endpoint = "7-*",
		.conference = "morning-*",
		.role = MU_TOKEN_LISTENER,
		.rank = 3,
		.issuer = "city",
		.expires_s = NOW + 3600,
		.not_before_s = NOW - 5 };

	return t;
}

static void test_sign_and_verify(void **state)
{
	const char *keys[] = { ed, ec };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(keys); i++) {
		struct mu_token t = sample(), got;
		struct mu_error e;
		char *jwt;

		assert_int_equal(mu_token_sign(keys[i], &t, NOW, &jwt, &e), 0);
		assert_int_equal(strlen(t.id), 22);
		assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, &e), 0);
		assert_string_equal(got.id, t.id);
		assert_string_equal(got.subject, t.subject);
		assert_string_equal(got.endpoint, t.endpoint);
		assert_string_equal(got.issuer, t.issuer);
		assert_string_equal(got.conference, t.conference);
		assert_int_equal(got.role, t.role);
		assert_int_equal(got.rank, t.rank);
		assert_int_equal(got.scopes, t.scopes);
		assert_int_equal(got.expires_s, t.expires_s);
		assert_int_equal(got.not_before_s, t.not_before_s);
		assert_true(mu_keyring_knows(ring, &got));
		free(jwt);
	}
}

static void test_every_changed_character_is_noticed(void **state)
{
	const char *keys[] = { ed, ec };

	(void)state;
	for (size_t k = 0; k < MU_ARRAY_LEN(keys); k++) {
		struct mu_token t = sample(), got;
		char *jwt;

		assert_int_equal(mu_token_sign(keys[k], &t, NOW, &jwt, NULL), 0);
		for (size_t i = 0; jwt[i]; i++) {
			char c = jwt[i];

			jwt[i] = c == 'A' ? 'B' : 'A';
			assert_int_not_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), 0);
			jwt[i] = '\0';
			assert_int_not_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), 0);
			jwt[i] = c;
		}
		assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), 0);
		free(jwt);
	}
}

static void test_times(void **state)
{
	static const struct {
		int64_t now;
		int want;
	} cases[] = {
		{ NOW, 0 },
		{ NOW - 35, 0 },
		{ NOW - 36, -ETIME },
		{ NOW + 3599, 0 },
		{ NOW + 3600, -ETIME },
		{ NOW + 100000, -ETIME },
		{ 0, -ETIME },
	};
	struct mu_token t = sample(), got;
	char *jwt;

	(void)state;
	assert_int_equal(mu_token_sign(ed, &t, NOW, &jwt, NULL), 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++)
		assert_int_equal(mu_token_verify(ring, jwt, cases[i].now, &got, NULL), cases[i].want);
	free(jwt);
}

#define CLAIMS    "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\"}"
#define ED_HEADER "{\"alg\":\"EdDSA\"}"
#define EC_HEADER "{\"alg\":\"ES256\"}"

static void test_headers(void **state)
{
	const struct {
		const char *key, *header;
		int want;
	} cases[] = {
		{ ed, ED_HEADER, 0 },
		{ ec, EC_HEADER, 0 },
		{ ed, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"x\":[1]}", 0 },
		{ stranger, ED_HEADER, -EPERM },
		{ stranger_ec, EC_HEADER, -EPERM },
		{ ed, EC_HEADER, -EPERM }, /* swapped */
		{ ec, ED_HEADER, -EPERM },
		{ ed, "{\"alg\":\"none\"}", -EPERM },
		{ ed, "{\"alg\":\"None\"}", -EPERM },
		{ ed, "{\"alg\":\"HS256\"}", -EPERM },
		{ ed, "{\"alg\":\"eddsa\"}", -EPERM },
		{ ed, "{\"alg\":\"\"}", -EPERM },
		{ ed, "{\"alg\":null}", -EBADMSG },
		{ ed, "{\"alg\":[\"EdDSA\"]}", -EBADMSG },
		{ ed, "{}", -EBADMSG },
		{ ed, "[]", -EBADMSG },
		{ ed, "EdDSA", -EBADMSG },
		{ ed, "{\"alg\":\"EdDSA\"", -EBADMSG },
		{ ed, "{\"alg\":\"EdDSA\"} x", -EBADMSG },
		{ ed, "{\"alg\":\"none\",\"alg\":\"EdDSA\"}", -EBADMSG },
		{ ed, "{\"alg\":\"EdDSA\",\"kid\":\"nobody\"}", -EPERM },
		{ ed, "{\"alg\":\"EdDSA\",\"kid\":7}", -EBADMSG },
		{ ed, "{\"alg\":\"EdDSA\",\"crit\":[\"exp\"],\"exp\":1}", -EPERM },
		{ ed, "{\"alg\":\"EdDSA\",\"crit\":[]}", -EPERM },
		/* a key of the token's own is never looked at */
		{ stranger,
			"{\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"OKP\"},\"jku\":\"https://x/\",\"x5u\":\"file:/x\"}",
			-EPERM },
	};
	struct mu_token got;
	struct mu_error e;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		int err = mu_token_verify(ring, forge(cases[i].key, cases[i].header, CLAIMS), NOW, &got, &e);

		if (err != cases[i].want)
			fail_msg("%s: %d, not %d", cases[i].header, err, cases[i].want);
	}
}

static void test_kid_of_the_other_key(void **state)
{
	char header[128], kid[MU_JOSE_KID + 1];
	struct mu_token got;

	(void)state;
	key_kid(ec, kid);
	snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", kid);
	assert_int_equal(mu_token_verify(ring, forge(ed, header, CLAIMS), NOW, &got, NULL), -EPERM);
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
	assert_int_equal(mu_token_verify(ring, forge(ec, header, CLAIMS), NOW, &got, NULL), 0);
	assert_int_equal(mu_token_verify(ring, forge(ed, header, CLAIMS), NOW, &got, NULL), -EPERM);
}

/** The classic: a MAC whose secret is the public key, in every form somebody may have it. */
static void test_hs256_with_the_public_key(void **state)
{
	uint8_t secret[1024], mac[32];
	char path[80], jwt[1024];
	struct mu_token got;

	(void)state;
	snprintf(path, sizeof(path), "%s.pub", ed);
	for (int form = 0; form < 2; form++) {
		size_t len, n;
		FILE *f = fopen(path, "r");

		assert_non_null(f);
		len = fread(secret, 1, sizeof(secret), f);
		if (form) {
			rewind(f);
			EVP_PKEY *key = PEM_read_PUBKEY(f, NULL, NULL, NULL);

			len = sizeof(secret);
			assert_int_equal(EVP_PKEY_get_raw_public_key(key, secret, &len), 1);
			EVP_PKEY_free(key);
		}
		fclose(f);
		snprintf(jwt, sizeof(jwt), "%s", forge(NULL, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", CLAIMS));
		n = strlen(jwt);
		HMAC(EVP_sha256(), secret, (int)len, (uint8_t *)jwt, n, mac, NULL);
		jwt[n++] = '.';
		mu_base64url(mac, sizeof(mac), jwt + n);
		assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), -EPERM);
	}
}

static void test_claims(void **state)
{
	static const struct {
		const char *claims;
		int want;
	} cases[] = {
		{ CLAIMS, 0 },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600.5,\"scope\":\"watch\"}", 0 },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"other\":{\"a\":1}}",
			0 },
		{ "{\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"exp\":1800003600,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600}", -EBADMSG },
		{ "{\"jti\":\"\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":1,\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"a\\u0000b\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":\"1800003600\",\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":null,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":-1,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1e300,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":9223372036854775807,\"scope\":\"watch\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1,\"exp\":1800003600,\"scope\":\"watch\"}",
			-EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch root\"}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":[\"watch\"]}", -EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"nbf\":\"x\"}",
			-EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"nbf\":1800000031}",
			-ETIME },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"endpoint\":\"\"}",
			-EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"endpoint\":null}",
			-EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"endpoint\":[\"a\"]}",
			-EBADMSG },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"aud\":\"muster\"}",
			0 },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"aud\":[\"a\",\"muster\"]}",
			0 },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"aud\":\"mail\"}",
			-EPERM },
		{ "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"aud\":7}", -EPERM },
		{ "[]", -EBADMSG },
		{ "\"text\"", -EBADMSG },
	};
	struct mu_token got;
	struct mu_error e;
	char long_claims[512];

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		int err = mu_token_verify(ring, forge(ed, ED_HEADER, cases[i].claims), NOW, &got, &e);

		if (err != cases[i].want)
			fail_msg("%s: %d, not %d", cases[i].claims, err, cases[i].want);
	}
	/* One character more than fits is refused, not cut short. */
	for (int len = 63; len <= 64; len++) {
		snprintf(long_claims, sizeof(long_claims),
			"{\"jti\":\"%0*d\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\"}", len, 7);
		assert_int_equal(mu_token_verify(ring, forge(ed, ED_HEADER, long_claims), NOW, &got, &e),
			len == 63 ? 0 : -EBADMSG);
	}
}

/* Its place in a conference; a token of before these claims has the place that everybody has. */
static void test_place(void **state)
{
	static const struct {
		const char *claims;
		int want;
		enum mu_token_role role;
		unsigned rank;
	} cases[] = {
		{ "", 0, MU_TOKEN_PARTICIPANT, 8 },
		{ ",\"role\":\"listener\",\"rank\":15", 0, MU_TOKEN_LISTENER, 15 },
		{ ",\"role\":\"chair\",\"rank\":0", 0, MU_TOKEN_CHAIR, 0 },
		{ ",\"role\":\"participant\"", 0, MU_TOKEN_PARTICIPANT, 8 },
		{ ",\"conference\":\"morning-*\"", 0, MU_TOKEN_PARTICIPANT, 8 },
		{ ",\"role\":\"Chair\"", -EBADMSG, 0, 0 },
		{ ",\"role\":\"\"", -EBADMSG, 0, 0 },
		{ ",\"role\":null", -EBADMSG, 0, 0 },
		{ ",\"role\":1", -EBADMSG, 0, 0 },
		{ ",\"role\":\"chair\\u0000\"", -EBADMSG, 0, 0 },
		{ ",\"rank\":16", -EBADMSG, 0, 0 },
		{ ",\"rank\":-1", -EBADMSG, 0, 0 },
		{ ",\"rank\":0.0", -EBADMSG, 0, 0 },
		{ ",\"rank\":\"0\"", -EBADMSG, 0, 0 },
		{ ",\"rank\":null", -EBADMSG, 0, 0 },
		{ ",\"rank\":4294967296", -EBADMSG, 0, 0 },
		{ ",\"conference\":\"\"", -EBADMSG, 0, 0 },
		{ ",\"conference\":null", -EBADMSG, 0, 0 },
		{ ",\"conference\":[\"a\"]", -EBADMSG, 0, 0 },
	};
	char claims[300];
	struct mu_token got;
	struct mu_error e;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		int err;

		snprintf(claims, sizeof(claims), "{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"conference\"%s}", cases[i].claims);
		err = mu_token_verify(ring, forge(ed, ED_HEADER, claims), NOW, &got, &e);
		if (err != cases[i].want)
			fail_msg("%s: %d, not %d", claims, err, cases[i].want);
		if (err)
			continue;
		assert_int_equal(got.role, cases[i].role);
		assert_int_equal(got.rank, cases[i].rank);
		assert_int_equal(mu_token_covers_conference(&got, "noon"), !got.conference[0]);
		assert_true(mu_token_covers_conference(&got, "morning-1"));
	}
}

static void test_form(void **state)
{
	static const char *const bad[] = { "", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "e30",
		"e30.e30", "e30.e30.", ".e30.AAAA", "e30..AAAA", "e30.e30.AAAA.", "e30=.e30.AAAA",
		"e3 0.e30.AAAA", "e30.e3\n0.AAAA" };
	char jwt[16384], payload[8192];
	struct mu_token got;
	const char *good;
	size_t n;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++)
		assert_int_equal(mu_token_verify(ring, bad[i], NOW, &got, NULL), -EBADMSG);
	good = forge(ed, ED_HEADER, CLAIMS);
	n = strlen(good);
	/* 64 bytes are 86 characters, of whose last one 4 bits are unused: one spelling only. */
	snprintf(jwt, sizeof(jwt), "%s", good);
	assert_non_null(strchr("AQgw", jwt[n - 1]));
	jwt[n - 1]++;
	assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), -EBADMSG);
	snprintf(jwt, sizeof(jwt), "%s==", good);
	assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), -EBADMSG);
	snprintf(jwt, sizeof(jwt), "%s ", good);
	assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), -EBADMSG);
	snprintf(jwt, sizeof(jwt), "%sAAAA", good);
	assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, NULL), -EPERM);
	/* Just small enough, and too large. */
	for (int pad = 2000; pad <= 4000; pad += 2000) {
		snprintf(payload, sizeof(payload),
			"{\"jti\":\"1\",\"sub\":\"s\",\"exp\":1800003600,\"scope\":\"watch\",\"x\":\"%0*d\"}",
			pad, 7);
		assert_int_equal(mu_token_verify(ring, forge(ed, ED_HEADER, payload), NOW, &got, NULL),
			pad == 2000 ? 0 : -EBADMSG);
	}
	/* Deep nesting in 4 KiB is no trouble either. */
	memset(payload, '[', 2900);
	payload[2900] = '\0';
	assert_int_equal(mu_token_verify(ring, forge(ed, ED_HEADER, payload), NOW, &got, NULL), -EBADMSG);
}

static void test_covers(void **state)
{
	static const struct {
		const char *pattern, *id;
		bool want;
	} cases[] = {
		{ "", "anything", true },
		{ "cam-1", "cam-1", true },
		{ "cam-1", "cam-12", false },
		{ "cam-1", "cam-", false },
		{ "cam-*", "cam-12", true },
		{ "cam-*", "cam-", true },
		{ "cam-*", "cam", false },
		{ "cam-*", "xcam-1", false },
		{ "*", "anything", true },
		{ "*", "", true },
		{ "a*b", "axb", false }, /* only a final one is special */
		{ "a*b", "a*b", true },
		{ "a**", "a*x", true },
		{ "CAM-1", "cam-1", false },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct mu_token t = { 0 };

		snprintf(t.endpoint, sizeof(t.endpoint), "%s", cases[i].pattern);
		if (mu_token_covers(&t, cases[i].id) != cases[i].want)
			fail_msg("%s %s", cases[i].pattern, cases[i].id);
		assert_true(mu_token_covers_conference(&t, cases[i].id));
		t.endpoint[0] = '\0';
		snprintf(t.conference, sizeof(t.conference), "%s", cases[i].pattern);
		if (mu_token_covers_conference(&t, cases[i].id) != cases[i].want)
			fail_msg("%s %s", cases[i].pattern, cases[i].id);
	}
}

static void test_same(void **state)
{
	struct mu_token a = { .id = "1", .kid = "east", .subject = "one" }, b = a;

	(void)state;
	assert_true(mu_token_same(&a, &b));
	strcpy(b.kid, "west"); /* another issuer, who counts from 1 as well */
	assert_false(mu_token_same(&a, &b));
	b = a;
	strcpy(b.id, "2");
	assert_false(mu_token_same(&a, &b));
}

static void test_scopes(void **state)
{
	uint32_t s = 99;
	char text[64];

	(void)state;
	assert_int_equal(mu_scope_parse("publish watch conference operate admin", &s), 0);
	assert_int_equal(s, 31);
	assert_string_equal(mu_scope_text(s, text, sizeof(text)), "publish watch conference operate admin");
	assert_int_equal(mu_scope_parse("  watch  ", &s), 0);
	assert_int_equal(s, MU_SCOPE_WATCH);
	assert_int_equal(mu_scope_parse("", &s), 0);
	assert_int_equal(s, 0);
	assert_string_equal(mu_scope_text(0, text, sizeof(text)), "");
	assert_int_equal(mu_scope_parse("watchs", &s), -EINVAL);
	assert_int_equal(mu_scope_parse("Watch", &s), -EINVAL);
	assert_int_equal(mu_scope_parse("watch,publish", &s), -EINVAL);
	assert_string_equal(mu_scope_text(31, text, 8), "publish");
}

static void test_keys(void **state)
{
	struct mu_keyring *k;
	struct mu_error e;
	struct stat st;
	char pub[80], path[64];

	(void)state;
	assert_int_equal(mu_keyring_new(&k), 0);
	assert_int_equal(mu_keyring_size(k), 0);
	snprintf(pub, sizeof(pub), "%s.pub", ed);
	assert_int_equal(mu_keyring_add_file(k, pub, &e), 0);
	assert_int_equal(mu_keyring_add_file(k, ed, &e), 0); /* the same key's other half */
	assert_int_equal(mu_keyring_size(k), 1);
	assert_int_equal(mu_keyring_add_file(k, ec, &e), 0);
	assert_int_equal(mu_keyring_size(k), 2);
	assert_int_equal(mu_keyring_add_file(k, rsa, &e), -EINVAL);
	assert_non_null(strstr(e.text, "RSA"));
	assert_int_equal(mu_keyring_add_file(k, p384, &e), -EINVAL);
	assert_int_equal(mu_keyring_add_file(k, encrypted, &e), -EINVAL); /* and asks nobody */
	assert_int_equal(mu_keyring_add_file(k, "/nowhere/key", &e), -ENOENT);
	assert_int_equal(mu_keyring_add_file(k, "/dev/null", &e), -EINVAL);
	assert_int_equal(mu_keyring_add_file(k, dir, &e), -EINVAL);
	assert_int_equal(mu_keyring_size(k), 2);
	mu_keyring_free(k);
	mu_keyring_free(NULL);

	assert_int_equal(stat(ed, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(mu_token_keygen(ed, &e), -EEXIST);
	assert_int_equal(mu_token_keygen(in_dir(path, "none/key"), &e), -ENOENT);
	/* A public key in the way: no private key is left behind. */
	snprintf(pub, sizeof(pub), "%s.pub", in_dir(path, "half"));
	fclose(fopen(pub, "w"));
	assert_int_equal(mu_token_keygen(path, &e), -EEXIST);
	assert_int_equal(access(path, F_OK), -1);
}

/** RFC 8037, appendix A.3. */
static void test_a_key_that_was_taken_out_is_not_known(void **state)
{
	struct mu_token t = sample(), got, unsigned_one = { .id = "bench" };
	struct mu_keyring *k;
	struct mu_error e;
	char *jwt;

	(void)state;
	assert_int_equal(mu_token_sign(ed, &t, NOW, &jwt, &e), 0);
	assert_int_equal(mu_token_verify(ring, jwt, NOW, &got, &e), 0);
	assert_int_equal(mu_keyring_new(&k), 0);
	assert_int_equal(mu_keyring_add_file(k, ec, &e), 0);
	assert_false(mu_keyring_knows(k, &got));
	assert_true(mu_keyring_knows(k, &unsigned_one));
	assert_int_equal(mu_keyring_add_file(k, ed, &e), 0);
	assert_true(mu_keyring_knows(k, &got));
	mu_keyring_free(k);
	free(jwt);
}

static void test_thumbprint(void **state)
{
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
				  "-----END PUBLIC KEY-----\n";
	char path[64], kid[MU_JOSE_KID + 1];
	FILE *f = fopen(in_dir(path, "rfc8037"), "w");

	(void)state;
	fputs(pem, f);
	fclose(f);
	key_kid(path, kid);
	assert_string_equal(kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

static void test_signing_refused(void **state)
{
	struct mu_token t = sample();
	struct mu_error e;
	char pub[80], *jwt;

	(void)state;
	snprintf(pub, sizeof(pub), "%s.pub", ed);
	assert_int_equal(mu_token_sign(pub, &t, NOW, &jwt, &e), -EINVAL);
	assert_int_equal(mu_token_sign(rsa, &t, NOW, &jwt, &e), -EINVAL);
	assert_int_equal(mu_token_sign("/nowhere", &t, NOW, &jwt, &e), -ENOENT);
	t.expires_s = NOW;
	assert_int_equal(mu_token_sign(ed, &t, NOW, &jwt, &e), -EINVAL);
	t = sample();
	t.scopes = 0;
	assert_int_equal(mu_token_sign(ed, &t, NOW, &jwt, &e), -EINVAL);
	t = sample();
	strcpy(t.conference, "\xff\xfe"); /* never a token for every conference */
	assert_int_equal(mu_token_sign(ed, &t, NOW, &jwt, &e), -EIO);
	t = sample();
	strcpy(t.endpoint, "\xff\xfe"); /* no UTF-8: never a token without its endpoint */
	assert_int_equal(mu_token_sign(ed, &t, NOW, &jwt, &e), -EIO);
}

static void test_base64url(void **state)
{
	uint8_t raw[70], back[80];
	char text[100];

	(void)state;
	for (size_t len = 0; len < sizeof(raw); len++) {
		size_t n;

		mu_random(raw, sizeof(raw));
		n = mu_base64url(raw, len, text);
		assert_int_equal(n, strlen(text));
		assert_int_equal(mu_base64url_parse(text, n, back), len);
		assert_memory_equal(raw, back, len);
	}
	assert_int_equal(mu_base64url_parse("_-8", 3, back), 2);
	assert_int_equal(mu_base64url_parse("/+8", 3, back), -EBADMSG);
	assert_int_equal(mu_base64url_parse("A", 1, back), -EBADMSG);
	assert_int_equal(mu_base64url_parse("AB", 2, back), -EBADMSG);
	assert_int_equal(mu_base64url_parse("A\0AA", 4, back), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sign_and_verify),
		cmocka_unit_test(test_every_changed_character_is_noticed),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_kid_of_the_other_key),
		cmocka_unit_test(test_hs256_with_the_public_key),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_a_key_that_was_taken_out_is_not_known),
		cmocka_unit_test(test_thumbprint),
		cmocka_unit_test(test_signing_refused),
		cmocka_unit_test(test_base64url),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
