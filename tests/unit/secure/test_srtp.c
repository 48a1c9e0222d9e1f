/* Every engine against libsrtp, and the receiving window against what a network does to packets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <srtp2/srtp.h>
#include <cmocka.h>

#include "secure/secure.h"

static const char *const engines[] = { "openssl",
#ifdef __x86_64__
	"ipsec-mb"
#endif
};
static const enum mu_srtp_profile profiles[] = { MU_SRTP_AES128_CM_SHA1_80, MU_SRTP_AEAD_AES_128_GCM,
	MU_SRTP_AEAD_AES_256_GCM };

static uint8_t master[46]; /* key, then salt */

static struct mu_srtp_engine *engine(const char *name)
{
	struct mu_srtp_engine *en = NULL;
	struct mu_error e = { "" };

	if (mu_srtp_engine_new(name, &en, &e) < 0)
		fail_msg("%s", e.text);
	return en;
}

static struct mu_srtp_key *key(struct mu_srtp_engine *en, enum mu_srtp_profile p)
{
	struct mu_srtp_key *k = NULL;

	assert_int_equal(mu_srtp_key_new(en, p, master, master + mu_srtp_key_len(p), &k), 0);
	return k;
}

/* --- the oracle --------------------------------------------------------------------------------------------------------------------- */

static srtp_t oracle(enum mu_srtp_profile p, bool sending)
{
	srtp_policy_t policy = { 0 };
	srtp_t s;

	switch (p) {
	case MU_SRTP_AEAD_AES_128_GCM:
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
		break;
	case MU_SRTP_AEAD_AES_256_GCM:
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
		break;
	default:
		srtp_crypto_policy_set_rtp_default(&policy.rtp);
		srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
	}
	policy.ssrc.type = sending ? ssrc_any_outbound : ssrc_any_inbound;
	policy.key = master;
	policy.window_size = 1024;
	policy.allow_repeat_tx = 1;
	assert_int_equal(srtp_create(&s, &policy), srtp_err_status_ok);
	return s;
}

static unsigned seed;

static uint8_t any_byte(void)
{
	return (uint8_t)rand_r(&seed);
}

/* A packet with up to two CSRCs and sometimes an extension block. @return bytes of header */
static size_t make_rtp(uint8_t *p, uint16_t seq, uint32_t ssrc, size_t payload)
{
	size_t csrc = any_byte() % 3, words = any_byte() % 4, hlen = 12 + 4 * csrc;

	for (size_t i = 0; i < hlen + 4 + 4 * words + payload; i++)
		p[i] = any_byte();
	p[0] = (uint8_t)(0x80 | csrc | (words ? 0x10 : 0));
	p[1] = 96;
	mu_put16(p + 2, seq);
	mu_put32(p + 8, ssrc);
	if (words) {
		mu_put16(p + hlen, 0xbede);
		mu_put16(p + hlen + 2, (uint16_t)words);
		hlen += 4 + 4 * words;
	}
	return hlen;
}

/* Bursts laid end to end, sizes from nothing to full, over two roll-overs: byte for byte what libsrtp makes. */
static void protect_equals(const char *name, enum mu_srtp_profile p)
{
	enum { BURST = 37 };
	static uint8_t plain[BURST][1600], out[BURST * 1600];
	struct mu_srtp_engine *en = engine(name);
	struct mu_srtp_key *k = key(en, p);
	srtp_t s = oracle(p, true);
	uint64_t index = 1;

	for (int round = 0; round < 60; round++) {
		struct mu_srtp_job jobs[BURST];
		uint8_t *at = out;

		for (int i = 0; i < BURST; i++, index++) {
			size_t payload = i == 3 ? 0 : (size_t)rand_r(&seed) % 1400;
			size_t hlen = make_rtp(plain[i], (uint16_t)index, 0x11223344, payload);

			jobs[i] = (struct mu_srtp_job){ .key = k, .out = at, .payload = plain[i] + hlen,
				.hlen = (uint16_t)hlen, .payload_len = (uint16_t)payload, .ssrc = 0x11223344, .index = index };
			memcpy(at, plain[i], hlen);
			at += hlen + payload + mu_srtp_growth(p);
		}
		mu_srtp_protect(en, jobs, BURST);
		for (int i = 0; i < BURST; i++) {
			int len = jobs[i].hlen + jobs[i].payload_len;
			uint8_t want[1700];

			memcpy(want, plain[i], (size_t)len);
			assert_int_equal(srtp_protect(s, want, &len), srtp_err_status_ok);
			assert_memory_equal(jobs[i].out, want, (size_t)len);
		}
		index += 2900; /* the oracle follows a jump of less than half the numbers */
	}
	assert_true(index > 2 * 65536);
	srtp_dealloc(s);
	mu_srtp_key_free(k);
	mu_srtp_engine_free(en);
}

static void test_protect_equals_libsrtp(void **state)
{
	(void)state;
	for (size_t e = 0; e < MU_ARRAY_LEN(engines); e++) {
		for (size_t p = 0; p < MU_ARRAY_LEN(profiles); p++)
			protect_equals(engines[e], profiles[p]);
	}
}

/* Many keys and profiles in one call, and the same packet once more: the same bytes. */
static void test_burst_of_many_keys_and_a_retransmission(void **state)
{
	enum { N = 48 };
	(void)state;
	for (size_t e = 0; e < MU_ARRAY_LEN(engines); e++) {
		struct mu_srtp_engine *en = engine(engines[e]);
		struct mu_srtp_key *k[3];
		struct mu_srtp_job jobs[N];
		static uint8_t plain[1300], out[N][1400], again[1400];

		for (int p = 0; p < 3; p++)
			k[p] = key(en, profiles[p]);
		for (size_t i = 0; i < sizeof(plain); i++)
			plain[i] = any_byte();
		plain[0] = 0x80;
		for (int i = 0; i < N; i++) {
			memcpy(out[i], plain, 12);
			jobs[i] = (struct mu_srtp_job){ .key = k[i % 3], .out = out[i], .payload = plain + 12, .hlen = 12,
				.payload_len = (uint16_t)(1000 + i), .ssrc = (uint32_t)i, .index = 0x10005 };
		}
		mu_srtp_protect(en, jobs, N);
		for (int i = 0; i < N; i++) {
			uint8_t back[1400];
			size_t len = 1012u + (size_t)i + mu_srtp_growth(profiles[i % 3]);

			assert_int_equal(mu_srtp_unprotect(en, k[i % 3], (uint32_t)i, 0x10005, out[i], len, 12, back), 0);
			assert_memory_equal(back, plain, 1012u + (size_t)i);
			assert_int_equal(mu_srtp_unprotect(en, k[i % 3], (uint32_t)i, 0x20005, out[i], len, 12, back),
				-EBADMSG);
			memcpy(again, plain, 12);
			jobs[i].out = again;
			mu_srtp_protect(en, &jobs[i], 1);
			assert_memory_equal(again, out[i], len);
		}
		for (int p = 0; p < 3; p++)
			mu_srtp_key_free(k[p]);
		mu_srtp_engine_free(en);
	}
}

static void receive_from(const char *name, enum mu_srtp_profile p)
{
	struct mu_srtp_engine *en = engine(name);
	struct mu_srtp_key *k = key(en, p);
	struct mu_srtp_rx *rx;
	srtp_t s = oracle(p, true);
	uint8_t pkt[1700], sealed[1700], back[1700];

	assert_int_equal(mu_srtp_rx_new(k, &rx), 0);
	for (uint64_t index = 65500; index < 65500 + 3 * 65536; index += 1 + (index % 97 == 0) * 800) {
		size_t payload = index % 1300, hlen = make_rtp(pkt, (uint16_t)index, 7, payload);
		int len = (int)(hlen + payload);

		memcpy(sealed, pkt, (size_t)len);
		assert_int_equal(srtp_protect(s, sealed, &len), srtp_err_status_ok);
		if (index % 5 == 0) { /* bad tag first: nothing moves */
			sealed[len - 1] ^= 1;
			assert_int_equal(mu_srtp_rx_rtp(en, rx, sealed, (size_t)len, hlen, back), -EBADMSG);
			sealed[len - 1] ^= 1;
		}
		assert_int_equal(mu_srtp_rx_rtp(en, rx, sealed, (size_t)len, hlen, back), hlen + payload);
		assert_memory_equal(back, pkt, hlen + payload);
		assert_int_equal(mu_srtp_rx_rtp(en, rx, sealed, (size_t)len, hlen, back), -EALREADY);
	}
	srtp_dealloc(s);
	mu_srtp_rx_free(rx);
	mu_srtp_key_free(k);
	mu_srtp_engine_free(en);
}

static void test_receive_over_three_rollovers(void **state)
{
	(void)state;
	for (size_t e = 0; e < MU_ARRAY_LEN(engines); e++) {
		for (size_t p = 0; p < MU_ARRAY_LEN(profiles); p++)
			receive_from(engines[e], profiles[p]);
	}
}

/* What our own sender makes at an index, for tests that need an order of their own. */
static size_t sealed_at(struct mu_srtp_engine *en, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, uint8_t *ret)
{
	static const uint8_t payload[100];
	struct mu_srtp_job j = { .key = k, .out = ret, .payload = payload, .hlen = 12, .payload_len = 100, .ssrc = ssrc,
		.index = index };

	memset(ret, 0, 12);
	ret[0] = 0x80;
	mu_put16(ret + 2, (uint16_t)index);
	mu_put32(ret + 8, ssrc);
	mu_srtp_protect(en, &j, 1);
	return 112 + mu_srtp_growth(mu_srtp_key_profile(k));
}

/* The first numbers are 65530 to 65535, some lost, some swapped with those behind the wrap (RELIABILITY S6). */
static void test_first_packets_around_a_wrap(void **state)
{
	static const uint64_t order[] = { 65533, 65530, 65537, 65535, 65536, 65534, 65540, 65532 };
	struct mu_srtp_engine *en = engine("openssl");
	struct mu_srtp_key *k = key(en, MU_SRTP_AEAD_AES_128_GCM);
	struct mu_srtp_rx *rx;
	uint8_t pkt[200], back[200];

	(void)state;
	mu_srtp_rx_new(k, &rx);
	for (size_t i = 0; i < MU_ARRAY_LEN(order); i++) {
		size_t len = sealed_at(en, k, 9, order[i], pkt);

		assert_int_equal(mu_srtp_rx_rtp(en, rx, pkt, len, 12, back), 112);
		assert_int_equal(mu_srtp_rx_rtp(en, rx, pkt, len, 12, back), -EALREADY);
	}
	mu_srtp_rx_free(rx);
	mu_srtp_key_free(k);
	mu_srtp_engine_free(en);
}

static void test_window_and_stream_limit(void **state)
{
	struct mu_srtp_engine *en = engine("openssl");
	struct mu_srtp_key *k = key(en, MU_SRTP_AES128_CM_SHA1_80);
	struct mu_srtp_rx *rx;
	uint8_t pkt[200], back[200];
	size_t len;

	(void)state;
	mu_srtp_rx_new(k, &rx);
	len = sealed_at(en, k, 1, 5000, pkt);
	assert_int_equal(mu_srtp_rx_rtp(en, rx, pkt, len, 12, back), 112);
	len = sealed_at(en, k, 1, 5000 - 1023, pkt);
	assert_int_equal(mu_srtp_rx_rtp(en, rx, pkt, len, 12, back), 112);
	len = sealed_at(en, k, 1, 5000 - 1024, pkt);
	assert_int_equal(mu_srtp_rx_rtp(en, rx, pkt, len, 12, back), -EALREADY);
	for (uint32_t ssrc = 2; ssrc <= MU_SRTP_RX_STREAMS; ssrc++) {
		len = sealed_at(en, k, ssrc, 1, pkt);
		assert_int_equal(mu_srtp_rx_rtp(en, rx, pkt, len, 12, back), 112);
	}
	len = sealed_at(en, k, 1000, 1, pkt);
	assert_int_equal(mu_srtp_rx_rtp(en, rx, pkt, len, 12, back), -ENOSPC);
	for (size_t n = 0; n <= 40; n++) { /* anything short is refused without a look behind its end */
		uint8_t *exact = malloc(n ? n : 1);

		memset(exact, 0x80, n);
		assert_int_equal(mu_srtp_rx_rtp(en, rx, exact, n, 12, back), -EBADMSG);
		assert_int_equal(mu_srtp_rx_rtcp(en, rx, exact, n, back), -EBADMSG);
		free(exact);
	}
	mu_srtp_rx_free(rx);
	mu_srtp_key_free(k);
	mu_srtp_engine_free(en);
}

static void rtcp_both_ways(const char *name, enum mu_srtp_profile p)
{
	struct mu_srtp_engine *en = engine(name);
	struct mu_srtp_key *k = key(en, p);
	struct mu_srtp_rx *rx;
	srtp_t out = oracle(p, true), in = oracle(p, false);
	uint8_t pkt[400], sealed[500], back[500];

	mu_srtp_rx_new(k, &rx);
	for (uint32_t i = 1; i < 200; i++) {
		size_t len = 8 + (i * 4) % 300;
		int n = (int)len;

		for (size_t b = 0; b < len; b++)
			pkt[b] = any_byte();
		pkt[0] = 0x80;
		pkt[1] = 200;
		mu_put32(pkt + 4, 77);
		memcpy(sealed, pkt, len);
		assert_int_equal(srtp_protect_rtcp(out, sealed, &n), srtp_err_status_ok);
		assert_int_equal(mu_srtp_rx_rtcp(en, rx, sealed, (size_t)n, back), len);
		assert_memory_equal(back, pkt, len);
		assert_int_equal(mu_srtp_rx_rtcp(en, rx, sealed, (size_t)n, back), -EALREADY);
		n = mu_srtcp_protect(en, k, i, pkt, len, sealed);
		assert_true(n > 0);
		assert_int_equal(srtp_unprotect_rtcp(in, sealed, &n), srtp_err_status_ok);
		assert_int_equal(n, len);
		assert_memory_equal(sealed, pkt, len);
	}
	/* E = 0 is refused though its tag is right for what it says */
	{
		int n = mu_srtcp_protect(en, k, 5000, pkt, 100, sealed);

		sealed[p == MU_SRTP_AES128_CM_SHA1_80 ? 100 : n - 4] &= 0x7f;
		assert_int_equal(mu_srtp_rx_rtcp(en, rx, sealed, (size_t)n, back), -EBADMSG);
	}
	srtp_dealloc(out);
	srtp_dealloc(in);
	mu_srtp_rx_free(rx);
	mu_srtp_key_free(k);
	mu_srtp_engine_free(en);
}

static void test_rtcp_with_libsrtp(void **state)
{
	(void)state;
	for (size_t e = 0; e < MU_ARRAY_LEN(engines); e++) {
		for (size_t p = 0; p < MU_ARRAY_LEN(profiles); p++)
			rtcp_both_ways(engines[e], profiles[p]);
	}
}

static void test_unknown_engine_says_what_there_is(void **state)
{
	struct mu_srtp_engine *en;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_srtp_engine_new("turbo", &en, &e), -EINVAL);
	assert_non_null(strstr(e.text, "\"turbo\""));
	assert_non_null(strstr(e.text, "openssl"));
}

static int start(void **state)
{
	(void)state;
	seed = 1;
	for (size_t i = 0; i < sizeof(master); i++)
		master[i] = (uint8_t)(i * 7 + 3);
	return srtp_init() == srtp_err_status_ok ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protect_equals_libsrtp),
		cmocka_unit_test(test_burst_of_many_keys_and_a_retransmission),
		cmocka_unit_test(test_receive_over_three_rollovers),
		cmocka_unit_test(test_first_packets_around_a_wrap),
		cmocka_unit_test(test_window_and_stream_limit),
		cmocka_unit_test(test_rtcp_with_libsrtp),
		cmocka_unit_test(test_unknown_engine_says_what_there_is),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
