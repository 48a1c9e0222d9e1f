#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <openssl/crypto.h>
#include <srtp2/srtp.h>

#include "secure/srtp_internal.h"

#define HEADER_MAX 80
#define BODY_MAX   1400
#define OUT_MAX    (HEADER_MAX + BODY_MAX + 20)

static const enum mu_srtp_profile profiles[] = {
	MU_SRTP_AES128_CM_SHA1_80,
	MU_SRTP_AEAD_AES_128_GCM,
	MU_SRTP_AEAD_AES_256_GCM,
};

/* --- what the tests stand on --- */

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rnd();
}

static size_t unhex(const char *text, uint8_t *ret)
{
	size_t n = 0;

	for (; *text; text++) {
		unsigned v;

		if (*text == ' ')
			continue;
		assert_int_equal(sscanf(text, "%2x", &v), 1);
		ret[n++] = (uint8_t)v;
		text++;
	}
	return n;
}

static struct mu_srtp_engine *engines[3], *oracle;
static size_t n_engines;

static int open_engines(void **state)
{
	static const char *const names[] = { "libsrtp", "openssl", "ipsec-mb" };
	struct mu_error e;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(names); i++) {
		if (mu_srtp_engine_new(names[i], &engines[n_engines], &e) == 0)
			n_engines++;
		else
			print_message("%s\n", e.text);
	}
	oracle = engines[0];
	return n_engines >= 2 ? 0 : -1;
}

static int close_engines(void **state)
{
	(void)state;
	while (n_engines > 0)
		mu_srtp_engine_free(engines[--n_engines]);
	return 0;
}

/** The same master key and salt for every engine and profile: prefixes of one string. */
static uint8_t master[32], salt[14];

static struct mu_srtp_key *new_key(struct mu_srtp_engine *en, enum mu_srtp_profile p)
{
	struct mu_srtp_key *k = NULL;

	assert_int_equal(mu_srtp_key_new(en, p, master, salt, &k), 0);
	assert_int_equal(mu_srtp_key_profile(k), p);
	return k;
}

struct packet {
	uint8_t out[OUT_MAX], plain[OUT_MAX], back[OUT_MAX];
	size_t len; /* protected */
};

/** A random header with CSRCs and an extension, or a plain one, written to out; the payload to plain behind
 * it. */
static size_t write_header(uint8_t *h, uint32_t ssrc, uint64_t index)
{
	size_t n_csrc = rnd() % 4 ? 0 : rnd() % 4, n_ext = rnd() % 2 ? rnd() % 12 : 0, n = 12 + 4 * n_csrc;
	bool x = n_ext > 0 || rnd() % 8 == 0; /* an extension of no words is allowed too */

	fill(h, HEADER_MAX);
	h[0] = (uint8_t)(0x80 | (x ? 0x10 : 0) | n_csrc);
	mu_put16(h + 2, (uint16_t)index);
	mu_put32(h + 8, ssrc);
	if (!x)
		return n;
	mu_put16(h + n, 0xbede);
	mu_put16(h + n + 2, (uint16_t)n_ext);
	return n + 4 + 4 * n_ext;
}

static void write_packet(struct packet *p, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, size_t size,
	struct mu_srtp_job *ret)
{
	size_t hlen = write_header(p->plain, ssrc, index);

	fill(p->plain + hlen, size);
	memset(p->out, 0xa5, sizeof(p->out));
	memcpy(p->out, p->plain, hlen);
	p->len = hlen + size + mu_srtp_growth(mu_srtp_key_profile(k));
	*ret = (struct mu_srtp_job){
		.key = k,
		.out = p->out,
		.payload = p->plain + hlen,
		.hlen = (uint16_t)hlen,
		.payload_len = (uint16_t)size,
		.ssrc = ssrc,
		.index = index,
	};
}

/** One small protected packet by the reference engine. @return its length */
static size_t make(struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, uint8_t *ret)
{
	static const uint8_t body[30] = "the same thirty bytes for all";
	struct mu_srtp_job j = { .key = k,
		.out = ret,
		.payload = body,
		.hlen = 12,
		.payload_len = sizeof(body),
		.ssrc = ssrc,
		.index = index };

	memset(ret, 0, 12);
	ret[0] = 0x80;
	mu_put16(ret + 2, (uint16_t)index);
	mu_put32(ret + 8, ssrc);
	mu_srtp_protect(k->en, &j, 1);
	return 12 + sizeof(body) + mu_srtp_growth(mu_srtp_key_profile(k));
}

/* --- vectors --- */

static void test_profiles(void **state)
{
	(void)state;
	assert_int_equal(mu_srtp_key_len(MU_SRTP_AEAD_AES_256_GCM), 32);
	assert_int_equal(mu_srtp_salt_len(MU_SRTP_AES128_CM_SHA1_80), 14);
	assert_int_equal(mu_srtp_growth(MU_SRTP_AES128_CM_SHA1_80), 10);
	assert_int_equal(mu_srtp_key_len(2), 0);
	assert_int_equal(mu_srtp_key_len(MU_SRTP_NONE), 0);
	assert_string_equal(mu_srtp_profile_name(MU_SRTP_AEAD_AES_128_GCM), "AEAD_AES_128_GCM");
	assert_string_equal(mu_srtp_profile_name(99), "none");
}

static void test_engine_names(void **state)
{
	struct mu_srtp_engine *en;
	struct mu_srtp_key *k;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_srtp_engine_new("rot13", &en, &e), -EINVAL);
	assert_non_null(strstr(e.text, "rot13"));
	assert_int_equal(mu_srtp_engine_new("auto", &en, &e), 0);
	assert_string_equal(mu_srtp_engine_name(en), mu_srtp_engine_name(engines[n_engines - 1]));
	assert_int_equal(mu_srtp_key_new(en, MU_SRTP_NONE, master, salt, &k), -EINVAL);
	mu_srtp_engine_free(en);
	mu_srtp_engine_free(NULL);
	mu_srtp_key_free(NULL);
	mu_srtp_rx_free(NULL);
}

/** RFC 3711, appendix B.3. */
static void test_key_derivation(void **state)
{
	static const char auth[] = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE"
				   "E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25"
				   "6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68";
	const char *want[] = { "C61E7A93744F39EE10734AFE3FF7A087", auth, "30CBBC08863D8C85D49DB34A9AE1" };
	uint8_t key[16], s[14];
	uint8_t expect[96], got[96]; /* the appendix prints whole blocks: 94 bytes are the key */

	(void)state;
	unhex("E1F97A0D3E018BE0D64FA32C06DE4139", key);
	unhex("0EC675AD498AFEEBB6960B3AABE6", s);
	for (uint8_t label = 0; label < 3; label++) {
		size_t n = unhex(want[label], expect);

		assert_int_equal(srtp_derive(MU_SRTP_AES128_CM_SHA1_80, key, s, label, got, n), 0);
		assert_memory_equal(got, expect, n);
	}
}

/** RFC 3711, appendix B.2: SSRC and index are zero, so the vector is the keystream of index 0. */
static void test_counter_mode(void **state)
{
	uint8_t zeros[32] = { 0 }, want[32], out[12 + 32 + 20];

	(void)state;
	unhex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB", want);
	for (size_t i = 1; i < n_engines; i++) {
		struct srtp_secret s = { .profile = MU_SRTP_AES128_CM_SHA1_80 };
		struct mu_srtp_key *k;

		unhex("2B7E151628AED2A6ABF7158809CF4F3C", s.session[SRTP_RTP].cipher);
		unhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD", s.session[SRTP_RTP].salt);
		assert_int_equal(srtp_key_from_session(engines[i], &s, &k), 0);
		memset(out, 0, sizeof(out));
		struct mu_srtp_job j = {
			.key = k, .out = out, .payload = zeros, .hlen = 12, .payload_len = 32
		};
		mu_srtp_protect(engines[i], &j, 1);
		assert_memory_equal(out + 12, want, 32);
		mu_srtp_key_free(k);
	}
}

static const char gcm_key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char gcm_salt[] = "517569642070726f2071756f";

static struct mu_srtp_key *gcm_vector_key(struct mu_srtp_engine *en, enum mu_srtp_profile p)
{
	struct srtp_secret s = { .profile = p };
	struct mu_srtp_key *k = NULL;

	for (int kind = SRTP_RTP; kind <= SRTP_RTCP; kind++) {
		unhex(gcm_key, s.session[kind].cipher); /* AES-128 takes the first half */
		unhex(gcm_salt, s.session[kind].salt);
	}
	assert_int_equal(srtp_key_from_session(en, &s, &k), 0);
	return k;
}

/** RFC 7714, sections 16.1.1, 16.1.2, 16.2.1, 16.2.2. */
static void test_gcm_vectors(void **state)
{
	static const char *const want[] = {
		("8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
		 "899d7f27beb16a9152cf765ee4390cce"),
		("8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
		 "7aa3db36dfffd6b0f9bb7878d7a76c13"),
	};
	static const char plain[] =
		"8040f17b8041f8d35501a0b2"
		"47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
	uint8_t in[50], expect[66], out[50 + 20], back[50];

	(void)state;
	assert_int_equal(unhex(plain, in), 50);
	for (size_t i = 1; i < n_engines; i++)
		for (size_t p = 0; p < 2; p++) {
			struct mu_srtp_key *k = gcm_vector_key(engines[i], profiles[p + 1]);
			struct mu_srtp_job j = { .key = k,
				.out = out,
				.payload = in + 12,
				.hlen = 12,
				.payload_len = 38,
				.ssrc = 0x5501a0b2,
				.index = 0xf17b };

			assert_int_equal(unhex(want[p], expect), 66);
			memcpy(out, in, 12);
			mu_srtp_protect(engines[i], &j, 1);
			assert_memory_equal(out, expect, 66);
			assert_int_equal(
				mu_srtp_unprotect(engines[i], k, 0x5501a0b2, 0xf17b, out, 66, 12, back), 0);
			assert_memory_equal(back, in, 50);
			mu_srtp_key_free(k);
		}
}

/** RFC 7714, sections 17.1, 17.2, and the unencrypted packet of 17.3, which is refused. */
static void test_srtcp_gcm_vectors(void **state)
{
	static const char *const want[] = {
		("81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9"
		 "275bc84aa45896cf4d2fc5abf87245d9eade800005d4"),
		("81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b"
		 "6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4"),
	};
	static const char plain[] = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61"
				    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
	static const char clear_tail[] = "841dd9683dd78ec92ae58790125f62b3000005d4";
	uint8_t in[52 + 20], expect[72], out[72], back[72];
	uint32_t index;

	(void)state;
	assert_int_equal(unhex(plain, in), 52);
	unhex(clear_tail, in + 52);
	for (size_t i = 0; i < n_engines; i++)
		for (size_t p = 0; p < 2 && i > 0; p++) {
			struct mu_srtp_key *k = gcm_vector_key(engines[i], profiles[p + 1]);

			assert_int_equal(unhex(want[p], expect), 72);
			assert_int_equal(mu_srtcp_protect(engines[i], k, 0x5d4, in, 52, out), 72);
			assert_memory_equal(out, expect, 72);
			assert_int_equal(mu_srtcp_unprotect(engines[i], k, out, 72, back, &index), 52);
			assert_memory_equal(back, in, 52);
			assert_int_equal(index, 0x5d4);
			assert_int_equal(mu_srtcp_unprotect(engines[i], k, in, 72, back, &index), -EBADMSG);
			mu_srtp_key_free(k);
		}
}

/* --- against libsrtp --- */

static srtp_t plain_libsrtp(enum mu_srtp_profile p, srtp_ssrc_type_t type)
{
	static uint8_t key[46];
	srtp_policy_t policy = { .ssrc.type = type, .key = key, .window_size = 1024 };
	srtp_t s = NULL;

	memcpy(key, master, mu_srtp_key_len(p));
	memcpy(key + mu_srtp_key_len(p), salt, mu_srtp_salt_len(p));
	if (p == MU_SRTP_AES128_CM_SHA1_80)
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
	else if (p == MU_SRTP_AEAD_AES_128_GCM)
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
	else
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
	policy.rtcp = policy.rtp;
	assert_int_equal(srtp_create(&s, &policy), srtp_err_status_ok);
	return s;
}

/** The engine named libsrtp gives the bytes of libsrtp used as its manual says: one stream, SEQ counting up.
 */
static void test_oracle_is_libsrtp(void **state)
{
	static struct packet p;

	(void)state;
	for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
		srtp_t s = plain_libsrtp(profiles[pr], ssrc_any_outbound);
		struct mu_srtp_key *k = new_key(oracle, profiles[pr]);

		for (uint64_t index = 65000; index < 68000; index += 1 + rnd() % 90) {
			struct mu_srtp_job j;
			uint8_t want[OUT_MAX];
			int n;

			write_packet(&p, k, 7, index, 1 + rnd() % 300, &j);
			n = j.hlen + j.payload_len;
			memcpy(want, p.plain, (size_t)n);
			assert_int_equal(srtp_protect(s, want, &n), srtp_err_status_ok);
			mu_srtp_protect(oracle, &j, 1);
			assert_int_equal(n, p.len);
			assert_memory_equal(p.out, want, p.len);
		}
		mu_srtp_key_free(k);
		srtp_dealloc(s);
	}
}

/** Protect one burst by every engine: equal bytes, nothing written behind them, and each engine can read
 * them. */
static void compare_burst(
	struct mu_srtp_key **keys, struct packet (*p)[40], size_t n, uint64_t index, size_t max)
{
	static struct mu_srtp_job jobs[40];
	static uint8_t plain[40][OUT_MAX];

	for (size_t q = 0; q < n; q++) {
		write_packet(&p[0][q], keys[0], 100 + (uint32_t)q % 3, index + q, 1 + rnd() % max, &jobs[q]);
		memcpy(plain[q], p[0][q].plain, OUT_MAX);
	}
	for (size_t i = 0; i < n_engines; i++) {
		for (size_t q = 0; q < n; q++) {
			if (i > 0)
				memset(p[i][q].out, 0xa5, OUT_MAX);
			memcpy(p[i][q].out, plain[q], jobs[q].hlen);
			p[i][q].len = p[0][q].len;
			jobs[q].key = keys[i];
			jobs[q].out = p[i][q].out;
			jobs[q].payload = plain[q] + jobs[q].hlen;
		}
		mu_srtp_protect(engines[i], jobs, n);
		for (size_t q = 0; q < n; q++) {
			uint8_t *back = p[i][q].back;

			assert_memory_equal(p[i][q].out, p[0][q].out, p[0][q].len);
			for (size_t b = p[i][q].len; i > 0 && b < OUT_MAX; b++)
				assert_int_equal(p[i][q].out[b], 0xa5);
			assert_int_equal(mu_srtp_unprotect(engines[i], keys[i], jobs[q].ssrc, jobs[q].index,
						 p[0][q].out, p[0][q].len, jobs[q].hlen, back),
				0);
			assert_memory_equal(back, plain[q], jobs[q].hlen + jobs[q].payload_len);
		}
	}
}

static void test_engines_agree(void **state)
{
	static struct packet p[3][40];

	(void)state;
	for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
		struct mu_srtp_key *keys[3];
		uint64_t index = 65536 * (uint64_t)(rnd() % 3) + 65300;

		for (size_t i = 0; i < n_engines; i++)
			keys[i] = new_key(engines[i], profiles[pr]);
		for (int round = 0; round < 60; round++) {
			size_t n = 1 + rnd() % 40;

			compare_burst(keys, p, n, index, round % 2 ? BODY_MAX : 60);
			index += n + rnd() % 100;
			if (round % 20 == 19)
				index = (index | 0xffff) - 10; /* the next burst holds a wrap of SEQ */
		}
		compare_burst(keys, p, 20, (UINT64_C(1) << 48) - 20, 100); /* ROC at its end */
		for (size_t i = 0; i < n_engines; i++)
			mu_srtp_key_free(keys[i]);
	}
}

static void test_every_size(void **state)
{
	static struct packet p[3][40];

	(void)state;
	for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
		struct mu_srtp_key *keys[3];
		struct mu_srtp_job j[3];

		for (size_t i = 0; i < n_engines; i++)
			keys[i] = new_key(engines[i], profiles[pr]);
		for (size_t size = 0; size <= BODY_MAX; size += size < 300 ? 1 : 7) {
			for (size_t i = 1; i < n_engines; i++) {
				write_packet(&p[i][0], keys[i], 5, 70000 + size, size, &j[i]);
				memcpy(p[i][0].plain, p[1][0].plain, OUT_MAX);
				memcpy(p[i][0].out, p[1][0].plain, j[1].hlen);
				j[i].hlen = j[1].hlen;
				j[i].payload = p[i][0].plain + j[1].hlen;
				mu_srtp_protect(engines[i], &j[i], 1);
				assert_memory_equal(p[i][0].out, p[1][0].out, p[1][0].len);
			}
		}
		for (size_t i = 0; i < n_engines; i++)
			mu_srtp_key_free(keys[i]);
	}
}

static void test_srtcp_against_libsrtp(void **state)
{
	uint8_t in[200], mine[200 + MU_SRTCP_GROWTH_MAX], theirs[200 + SRTP_MAX_TRAILER_LEN + 4], back[240];

	(void)state;
	for (size_t i = 0; i < n_engines; i++)
		for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
			srtp_t tx = plain_libsrtp(profiles[pr], ssrc_any_outbound);
			srtp_t rx = plain_libsrtp(profiles[pr], ssrc_any_inbound);
			struct mu_srtp_key *k = new_key(engines[i], profiles[pr]);

			for (uint32_t index = 1; index < 40; index++) {
				size_t len = 8 + 4 * (rnd() % 48);
				uint32_t got;
				int n = (int)len, m;

				fill(in, len);
				in[0] = 0x81;
				in[1] = 200;
				mu_put32(in + 4, 0x1234);
				memcpy(theirs, in, len);
				assert_int_equal(srtp_protect_rtcp(tx, theirs, &n), srtp_err_status_ok);
				m = mu_srtcp_protect(engines[i], k, index, in, len, mine);
				assert_int_equal(m, n);
				assert_memory_equal(mine, theirs, (size_t)n);
				m = mu_srtcp_unprotect(engines[i], k, theirs, (size_t)n, back, &got);
				assert_int_equal(m, len);
				assert_int_equal(got, index);
				assert_memory_equal(back, in, len);
				assert_int_equal(srtp_unprotect_rtcp(rx, mine, &n), srtp_err_status_ok);
				assert_memory_equal(mine, in, len);
			}
			assert_int_equal(mu_srtcp_protect(engines[i], k, 1, in, 7, mine), -EINVAL);
			assert_int_equal(mu_srtcp_protect(engines[i], k, 0x80000000u, in, 8, mine), -EINVAL);
			mu_srtp_key_free(k);
			srtp_dealloc(tx);
			srtp_dealloc(rx);
		}
}

/* --- bursts --- */

/** 300 packets of keys of all profiles and all sizes in one call, outputs one behind the other as a GSO burst
 * wants. */
static void test_mixed_burst(void **state)
{
	static struct mu_srtp_job jobs[300];
	static uint8_t plain[BODY_MAX + 100], burst[300 * OUT_MAX], one[OUT_MAX];

	(void)state;
	fill(plain, sizeof(plain));
	for (size_t i = 1; i < n_engines; i++) {
		struct mu_srtp_key *keys[12], *ref[12];
		uint8_t *out = burst;

		for (size_t k = 0; k < 12; k++) {
			fill(master, sizeof(master));
			keys[k] = new_key(engines[i], profiles[k % 3]);
			ref[k] = new_key(engines[1], profiles[k % 3]);
		}
		for (size_t q = 0; q < 300; q++) {
			size_t k = rnd() % 12, size = rnd() % BODY_MAX;
			uint64_t index = 65000 + 5 * q;

			jobs[q] = (struct mu_srtp_job){ .key = keys[k],
				.out = out,
				.payload = plain + rnd() % 100,
				.payload_len = (uint16_t)size,
				.ssrc = rnd(),
				.index = index };
			jobs[q].hlen = (uint16_t)write_header(out, jobs[q].ssrc, index);
			out += jobs[q].hlen + size + mu_srtp_growth(profiles[k % 3]);
		}
		mu_srtp_protect(engines[i], jobs, 300);
		for (size_t q = 0; q < 300; q++) {
			struct mu_srtp_job j = jobs[q];

			for (size_t k = 0; k < 12; k++)
				if (jobs[q].key == keys[k])
					j.key = ref[k];
			j.out = one;
			memcpy(one, jobs[q].out, j.hlen);
			mu_srtp_protect(engines[1], &j, 1);
			assert_memory_equal(one, jobs[q].out,
				j.hlen + j.payload_len + mu_srtp_growth(mu_srtp_key_profile(j.key)));
		}
		for (size_t k = 0; k < 12; k++) {
			mu_srtp_key_free(keys[k]);
			mu_srtp_key_free(ref[k]);
		}
	}
}

/** The cost per packet depends on no engine's burst length being met: 1..20 CM packets give the same bytes.
 */
static void test_burst_lengths(void **state)
{
	static uint8_t out[20][OUT_MAX], want[OUT_MAX];
	static const uint8_t body[500];

	(void)state;
	for (size_t i = 1; i < n_engines; i++) {
		struct mu_srtp_key *k = new_key(engines[i], MU_SRTP_AES128_CM_SHA1_80);

		make(k, 9, 70000, want);
		for (size_t n = 1; n <= 20; n++) {
			struct mu_srtp_job jobs[20];

			for (size_t q = 0; q < n; q++) {
				memcpy(out[q], want, 12);
				jobs[q] = (struct mu_srtp_job){ .key = k,
					.out = out[q],
					.payload = body,
					.hlen = 12,
					.payload_len = sizeof(body),
					.ssrc = 9,
					.index = 70000 };
			}
			mu_srtp_protect(engines[i], jobs, n);
			for (size_t q = 1; q < n; q++)
				assert_memory_equal(out[q], out[0], 12 + sizeof(body) + 10);
		}
		mu_srtp_key_free(k);
	}
}

/** Also after newer packets, older ones than any replay window holds, and with another SSRC in between. */
static void test_retransmission_is_the_same(void **state)
{
	uint8_t first[100], again[100];

	(void)state;
	for (size_t i = 0; i < n_engines; i++)
		for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
			struct mu_srtp_key *k = new_key(engines[i], profiles[pr]);
			size_t n = make(k, 1, 65534, first);

			for (uint64_t index = 65535; index < 70000; index += 411) {
				make(k, 1, index, again);
				make(k, 2, index, again);
				assert_int_equal(make(k, 1, 65534, again), n);
				assert_memory_equal(first, again, n);
			}
			mu_srtp_key_free(k);
		}
}

static size_t n_allocs;

static void *count_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	n_allocs++;
	return malloc(n);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	n_allocs++;
	return realloc(p, n);
}

static void count_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static void test_openssl_allocates_nothing_per_packet(void **state)
{
	uint8_t out[100], back[100], rtcp[8 + 12 + MU_SRTCP_GROWTH_MAX] = { 0x81, 200 };
	uint8_t rtcp_out[sizeof(rtcp) + MU_SRTCP_GROWTH_MAX];
	uint32_t got;

	(void)state;
	for (size_t i = 1; i < n_engines; i++)
		for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
			struct mu_srtp_key *k = new_key(engines[i], profiles[pr]);
			size_t before = n_allocs;
			int m;

			assert_true(before > 0);
			for (uint64_t index = 1; index < 50; index++) {
				size_t n = make(k, 1, index, out);

				assert_int_equal(
					mu_srtp_unprotect(engines[i], k, 1, index, out, n, 12, back), 0);
				m = mu_srtcp_protect(engines[i], k, (uint32_t)index, rtcp, 20, rtcp_out);
				assert_int_equal(
					mu_srtcp_unprotect(engines[i], k, rtcp_out, (size_t)m, back, &got),
					20);
			}
			assert_int_equal(n_allocs, before);
			mu_srtp_key_free(k);
		}
}

/* --- receiving --- */

struct link {
	struct mu_srtp_key *tx, *key;
	struct mu_srtp_engine *en;
	struct mu_srtp_rx *rx;
	uint8_t wire[100], plain[100];
};

static void link_open(struct link *l, struct mu_srtp_engine *en, enum mu_srtp_profile p)
{
	l->en = en;
	l->tx = new_key(engines[1], p);
	l->key = new_key(en, p);
	assert_int_equal(mu_srtp_rx_new(l->key, &l->rx), 0);
}

static void link_close(struct link *l)
{
	mu_srtp_rx_free(l->rx);
	mu_srtp_key_free(l->key);
	mu_srtp_key_free(l->tx);
}

/** Send the packet of an index. @return 0, or the receiver's error */
static int carry(struct link *l, uint32_t ssrc, uint64_t index)
{
	size_t n = make(l->tx, ssrc, index, l->wire);
	int r = mu_srtp_rx_rtp(l->en, l->rx, l->wire, n, 12, l->plain);

	if (r < 0)
		return r;
	assert_int_equal(r, 42);
	assert_memory_equal(l->plain, l->wire, 12);
	assert_string_equal((char *)l->plain + 12, "the same thirty bytes for all");
	return 0;
}

static void each_link(void (*f)(struct link *))
{
	for (size_t i = 0; i < n_engines; i++)
		for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
			struct link l;

			link_open(&l, engines[i], profiles[pr]);
			f(&l);
			link_close(&l);
		}
}

static void replay(struct link *l)
{
	assert_int_equal(carry(l, 1, 100), 0);
	assert_int_equal(carry(l, 1, 100), -EALREADY);
	assert_int_equal(carry(l, 1, 102), 0);
	assert_int_equal(carry(l, 1, 101), 0); /* overtaken */
	assert_int_equal(carry(l, 1, 101), -EALREADY);
	assert_int_equal(carry(l, 1, 2000), 0);
	assert_int_equal(carry(l, 1, 102), -EALREADY); /* out of the window */
	assert_int_equal(carry(l, 1, 2000 - 1024), -EALREADY);
	assert_int_equal(carry(l, 1, 2000 - 1023), 0); /* its last place */
	assert_int_equal(carry(l, 1, 2000 - 1023), -EALREADY);
	assert_int_equal(carry(l, 1, 2000 + 1024), 0); /* the whole window at once */
	assert_int_equal(carry(l, 1, 2001), 0);
	assert_int_equal(carry(l, 1, 2000), -EALREADY);
	assert_int_equal(carry(l, 1, 6000), 0);
	assert_int_equal(carry(l, 1, 5999), 0);
	assert_int_equal(carry(l, 2, 100), 0); /* another SSRC has a window of its own */
}

static void test_replay(void **state)
{
	(void)state;
	each_link(replay);
}

static void bad_tags(struct link *l)
{
	uint8_t wire[100];
	size_t n;

	assert_int_equal(carry(l, 1, 100), 0);
	n = make(l->tx, 1, 30000, wire); /* would move the window far */
	for (size_t i = 0; i < n; i++) {
		if (i == 0)
			continue; /* its flags say how long the header is: the caller's word here */
		wire[i] ^= 0x40;
		assert_true(mu_srtp_rx_rtp(l->en, l->rx, wire, n, 12, l->plain) < 0);
		wire[i] ^= 0x40;
	}
	assert_int_equal(mu_srtp_rx_rtp(l->en, l->rx, wire, n - 1, 12, l->plain), -EBADMSG);
	assert_int_equal(carry(l, 1, 99), 0); /* the window is where it was */
	assert_int_equal(carry(l, 1, 101), 0);
	for (uint32_t ssrc = 50; ssrc < 150; ssrc++) { /* strangers take no place */
		n = make(l->tx, ssrc, 5, wire);
		wire[n - 1] ^= 1;
		assert_int_equal(mu_srtp_rx_rtp(l->en, l->rx, wire, n, 12, l->plain), -EBADMSG);
	}
	assert_int_equal(carry(l, 60, 5), 0);
}

static void test_bad_tags_move_nothing(void **state)
{
	(void)state;
	each_link(bad_tags);
}

static void wraps(struct link *l)
{
	for (uint64_t index = 60000; index < 60000 + 3 * 65536; index += 997)
		assert_int_equal(carry(l, 1, index), 0);
	for (uint64_t wrap = 4; wrap < 7; wrap++) { /* reordering across a wrap */
		uint64_t w = wrap << 16;

		assert_int_equal(carry(l, 1, w - 3000), 0);
		assert_int_equal(carry(l, 1, w + 1), 0);
		assert_int_equal(carry(l, 1, w - 2), 0);
		assert_int_equal(carry(l, 1, w), 0);
		assert_int_equal(carry(l, 1, w - 1), 0);
		assert_int_equal(carry(l, 1, w - 1), -EALREADY);
		assert_int_equal(carry(l, 1, w + 20000), 0);
		assert_int_equal(carry(l, 1, w + 40000), 0);
	}
}

static void test_wraps(void **state)
{
	(void)state;
	each_link(wraps);
}

static void start_before_wrap(struct link *l)
{
	assert_int_equal(carry(l, 1, 65531), 0); /* in order but swapped */
	assert_int_equal(carry(l, 1, 65530), 0);
	assert_int_equal(carry(l, 1, 65536), 0);
	assert_int_equal(carry(l, 1, 65535), 0);

	assert_int_equal(carry(l, 2, 65537), 0); /* 65530 to 65536 overtaken or lost */
	assert_int_equal(carry(l, 2, 65535), 0);
	assert_int_equal(carry(l, 2, 65536), 0);
	assert_int_equal(carry(l, 2, 65530), 0);
	assert_int_equal(carry(l, 2, 65530), -EALREADY);
	assert_int_equal(carry(l, 2, 2 * 65536 - 40000), 0);

	assert_int_equal(carry(l, 3, 5), 0); /* in ROC 0 there is nothing before 0 */
	assert_int_equal(carry(l, 3, 65000), 0);
}

static void test_start_before_wrap(void **state)
{
	(void)state;
	each_link(start_before_wrap);
}

/** Who comes late has to be told the ROC (RFC 3711, section 3.3.1); DTLS-SRTP does not tell it. */
static void late_join(struct link *l)
{
	assert_int_equal(carry(l, 1, 65536 + 2000), -EBADMSG);
	assert_int_equal(carry(l, 1, 2 * 65536 + 5), -EBADMSG);
}

static void test_late_join_fails(void **state)
{
	(void)state;
	each_link(late_join);
}

static void too_many(struct link *l)
{
	for (uint32_t ssrc = 1; ssrc <= MU_SRTP_RX_STREAMS; ssrc++)
		assert_int_equal(carry(l, ssrc, 10), 0);
	assert_int_equal(carry(l, 1000, 10), -ENOSPC);
	assert_int_equal(carry(l, 1, 11), 0);
	assert_int_equal(carry(l, MU_SRTP_RX_STREAMS, 11), 0);
}

static void test_too_many_ssrcs(void **state)
{
	(void)state;
	each_link(too_many);
}

static int carry_rtcp(struct link *l, uint32_t ssrc, uint32_t index)
{
	uint8_t in[20] = { 0x80, 201, 0, 4 };
	int n;

	mu_put32(in + 4, ssrc);
	n = mu_srtcp_protect(engines[1], l->tx, index, in, sizeof(in), l->wire);
	assert_true(n > 20);
	n = mu_srtp_rx_rtcp(l->en, l->rx, l->wire, (size_t)n, l->plain);
	if (n < 0)
		return n;
	assert_int_equal(n, 20);
	assert_memory_equal(l->plain, in, 20);
	return 0;
}

static void rtcp_replay(struct link *l)
{
	assert_int_equal(carry_rtcp(l, 1, 0), 0); /* the very first index */
	assert_int_equal(carry_rtcp(l, 1, 0), -EALREADY);
	assert_int_equal(carry_rtcp(l, 1, 5), 0);
	assert_int_equal(carry_rtcp(l, 1, 4), 0);
	assert_int_equal(carry_rtcp(l, 1, 4), -EALREADY);
	assert_int_equal(carry_rtcp(l, 1, 68), 0);
	assert_int_equal(carry_rtcp(l, 1, 4), -EALREADY);
	assert_int_equal(carry_rtcp(l, 1, 6), 0);
	assert_int_equal(carry_rtcp(l, 1, 0x7fffffff), 0);
	assert_int_equal(carry_rtcp(l, 1, 0x7fffffff - 63), 0);
	assert_int_equal(carry_rtcp(l, 1, 0x7fffffff - 64), -EALREADY);
	for (uint32_t ssrc = 2; ssrc <= MU_SRTP_RX_STREAMS; ssrc++)
		assert_int_equal(carry_rtcp(l, ssrc, 9), 0);
	assert_int_equal(carry_rtcp(l, 99, 9), -ENOSPC);
}

static void test_rtcp_replay(void **state)
{
	(void)state;
	each_link(rtcp_replay);
}

static void rtcp_bad(struct link *l)
{
	uint8_t in[20] = { 0x80, 201, 0, 4 }, wire[20 + MU_SRTCP_GROWTH_MAX];
	int n = mu_srtcp_protect(engines[1], l->tx, 7, in, sizeof(in), wire);

	for (int i = 0; i < n; i++) {
		wire[i] ^= 0x80; /* in the index word that is the E flag */
		assert_int_equal(mu_srtp_rx_rtcp(l->en, l->rx, wire, (size_t)n, l->plain), -EBADMSG);
		wire[i] ^= 0x80;
	}
	assert_int_equal(mu_srtp_rx_rtcp(l->en, l->rx, wire, (size_t)n, l->plain), 20);
}

static void test_rtcp_bad_tags(void **state)
{
	(void)state;
	each_link(rtcp_bad);
}

/** In buffers of exactly the size, so that a sanitizer sees one byte too many. */
static void garbage(struct link *l)
{
	for (size_t n = 0; n <= 40; n++)
		for (int round = 0; round < 20; round++) {
			uint8_t *in = malloc(n), *out = malloc(n);
			size_t hlen = 12 + rnd() % 32;

			fill(in, n);
			if (n > 0 && round % 2)
				in[0] = 0x80;
			assert_true(mu_srtp_rx_rtp(l->en, l->rx, in, n, hlen, out) < 0);
			assert_true(mu_srtp_rx_rtp(l->en, l->rx, in, n, n, out) < 0);
			assert_true(mu_srtp_rx_rtcp(l->en, l->rx, in, n, out) < 0);
			free(in);
			free(out);
		}
}

static void test_garbage(void **state)
{
	(void)state;
	each_link(garbage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_engine_names),
		cmocka_unit_test(test_key_derivation),
		cmocka_unit_test(test_counter_mode),
		cmocka_unit_test(test_gcm_vectors),
		cmocka_unit_test(test_srtcp_gcm_vectors),
		cmocka_unit_test(test_oracle_is_libsrtp),
		cmocka_unit_test(test_engines_agree),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_srtcp_against_libsrtp),
		cmocka_unit_test(test_mixed_burst),
		cmocka_unit_test(test_burst_lengths),
		cmocka_unit_test(test_retransmission_is_the_same),
		cmocka_unit_test(test_openssl_allocates_nothing_per_packet),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_bad_tags_move_nothing),
		cmocka_unit_test(test_wraps),
		cmocka_unit_test(test_start_before_wrap),
		cmocka_unit_test(test_late_join_fails),
		cmocka_unit_test(test_too_many_ssrcs),
		cmocka_unit_test(test_rtcp_replay),
		cmocka_unit_test(test_rtcp_bad_tags),
		cmocka_unit_test(test_garbage),
	};

	CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);
	fill(master, sizeof(master));
	fill(salt, sizeof(salt));
	return cmocka_run_group_tests(tests, open_engines, close_engines);
}
