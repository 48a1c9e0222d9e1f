/* Receiving: what is refused, and what it leaves behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "srtp_kit.h"

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
	assert_int_equal(carry_rtcp(l, 9999, 9), -ENOSPC);
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

	return cmocka_run_group_tests(tests, open_engines, close_engines);
}
