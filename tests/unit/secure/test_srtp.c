/* Protecting: vectors of the RFCs, and every engine against libsrtp. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <openssl/crypto.h>
#include <srtp2/srtp.h>

#include "srtp_kit.h"

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

/** The payload may lie where the ciphertext is to be. */
static void test_in_place(void **state)
{
	static struct packet apart[8], there[8];
	struct mu_srtp_job a[8], b[8];

	(void)state;
	for (size_t i = 0; i < n_engines; i++)
		for (size_t pr = 0; pr < MU_ARRAY_LEN(profiles); pr++) {
			struct mu_srtp_key *k = new_key(engines[i], profiles[pr]),
					   *o = new_key(oracle, profiles[pr]);

			for (size_t n = 0; n < 8; n++) {
				write_packet(&apart[n], o, 7, 100 + n, n * 170, &a[n]);
				there[n] = apart[n];
				b[n] = a[n];
				b[n].key = k;
				b[n].out = there[n].out;
				memcpy(there[n].out + a[n].hlen, a[n].payload, a[n].payload_len);
				b[n].payload = there[n].out + a[n].hlen;
			}
			mu_srtp_protect(oracle, a, 8);
			mu_srtp_protect(engines[i], b, 8);
			for (size_t n = 0; n < 8; n++)
				assert_memory_equal(apart[n].out, there[n].out, apart[n].len);
			mu_srtp_key_free(k);
			mu_srtp_key_free(o);
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
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_retransmission_is_the_same),
		cmocka_unit_test(test_openssl_allocates_nothing_per_packet),
	};

	CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);
	return cmocka_run_group_tests(tests, open_engines, close_engines);
}
