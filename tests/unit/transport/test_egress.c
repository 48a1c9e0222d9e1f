/* What leaves for a viewer: sizes at the bound, and where a stream begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rig.h"

static uint64_t wire_number(const struct mu_rtp_header *h, const uint8_t *pkt)
{
	return mu_get64(pkt + h->hlen + 2);
}

/* --- sizes
 * ---------------------------------------------------------------------------------------------------------
 */

#define VIEWERS 18 /* more than there are messages in a batch */

/* A publisher's packet with the short tag of AES-CM grows by six bytes for a viewer with AES-GCM. What would
 * be more than a datagram may be is left out and counted; what just fits goes, in full messages for many
 * viewers at once. */
static void test_sizes_at_the_bound(void **state)
{
	static struct viewer v[VIEWERS];
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	struct rig r;
	size_t len, fits = MU_DATAGRAM_MAX - 16;

	(void)state;
	rig_up(&r, MU_VIDEO);
	for (unsigned i = 0; i < VIEWERS; i++)
		viewer_up(&v[i], &r, MU_SRTP_AEAD_AES_128_GCM, true);
	for (uint64_t seq = 1; seq <= 32; seq++) /* the first and the last of each burst fit */
		rig_push(&r, seq, seq % 16 < 2 ? fits : fits + 6, seq == 1);
	for (uint64_t seq = 33; seq <= 64; seq++)
		rig_push(&r, seq, fits, false);
	rig_turn(&r);
	for (unsigned i = 0; i < VIEWERS; i++) {
		for (uint64_t seq = 1; seq <= 64; seq++) {
			if (seq <= 32 && seq % 16 >= 2)
				continue;
			assert_true(viewer_take(&v[i], &h, pkt, &len));
			assert_int_equal(wire_number(&h, pkt), seq);
			assert_int_equal(len, fits);
		}
		assert_false(viewer_take(&v[i], &h, pkt, &len));
		assert_int_equal(viewer_out(&v[i])->dropped, 28);
		viewer_down(&v[i], &r);
	}
	assert_int_equal(plane_of(r.worker)->stats.too_large, 28 * VIEWERS);
	rig_down(&r);
}

/* Equal ones share a message, a shorter one ends it, a longer one begins the next: each arrives as it is. */
static void test_sizes_that_differ(void **state)
{
	static const size_t sizes[] = { 100, 100, 90, 1400, 1400, 1401, 28, 28, 29, 1484, 30, 1484 };
	struct mu_rtp_header h;
	struct viewer v;
	uint8_t pkt[2000];
	struct rig r;
	size_t len;

	(void)state;
	rig_up(&r, MU_VIDEO);
	viewer_up(&v, &r, MU_SRTP_AES128_CM_SHA1_80, true);
	for (size_t i = 0; i < MU_ARRAY_LEN(sizes); i++)
		rig_push(&r, i + 1, sizes[i], i == 0);
	rig_turn(&r);
	for (size_t i = 0; i < MU_ARRAY_LEN(sizes); i++) {
		assert_true(viewer_take(&v, &h, pkt, &len));
		assert_int_equal(wire_number(&h, pkt), i + 1);
		assert_int_equal(len, sizes[i]);
	}
	viewer_down(&v, &r);
	rig_down(&r);
}

/* --- where a stream begins
 * ------------------------------------------------------------------------------------------ */

/* The first packets come in any order: the stream begins with the lowest of them that is for this viewer, and
 * what the wire numbers say can be asked for again. */
static void begins_with_the_lowest(enum mu_kind kind)
{
	static const uint64_t order[] = { 12, 11, 14, 13 };
	bool seen[4] = { false };
	uint16_t first = 0;
	struct mu_rtp_header h;
	struct viewer v;
	uint8_t pkt[2000];
	struct rig r;
	size_t len;

	rig_up(&r, kind);
	rig_push(&r, 10, 200, true);
	rig_turn(&r);
	viewer_up(&v, &r, MU_SRTP_AEAD_AES_128_GCM, true);
	if (kind == MU_VIDEO) { /* it waits for a key frame: that is 11 */
		viewer_out(&v)->sink.catching_up = false;
		viewer_out(&v)->sink.waiting_key = true;
	}
	for (unsigned i = 0; i < 4; i++)
		rig_push(&r, order[i], 200, order[i] == 11);
	rig_turn(&r);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t n;

		assert_true(viewer_take(&v, &h, pkt, &len));
		n = wire_number(&h, pkt);
		assert_in_range(n, 11, 14);
		if (i == 0)
			first = (uint16_t)(h.seq - (n - 11));
		assert_int_equal(h.seq, (uint16_t)(first + (n - 11)));
		seen[n - 11] = true;
	}
	assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
	viewer_nack(&v, &first, 1, mu_clock_us());
	assert_true(viewer_take(&v, &h, pkt, &len));
	assert_int_equal(h.ssrc, RIG_RTX_SSRC);
	assert_int_equal(mu_get16(pkt + h.hlen), first);
	viewer_down(&v, &r);
	rig_down(&r);
}

static void test_audio_begins_with_the_lowest(void **state)
{
	(void)state;
	begins_with_the_lowest(MU_AUDIO);
}

static void test_video_begins_with_the_key_frame(void **state)
{
	(void)state;
	begins_with_the_lowest(MU_VIDEO);
}

/* --- where it ends --- */

static unsigned datagrams(struct viewer *v)
{
	uint8_t data[2000];
	unsigned n = 0;

	while (recv(v->fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

/* RFC 7675: who does not consent any more gets nothing, no goodbye either. */
static void test_nothing_leaves_without_consent(void **state)
{
	int64_t now = mu_clock_us();
	struct viewer v[2];
	struct rig r;

	(void)state;
	rig_up(&r, MU_VIDEO);
	for (unsigned i = 0; i < 2; i++) {
		viewer_up(&v[i], &r, MU_SRTP_AEAD_AES_128_GCM, true);
		session_close(v[i].t, "test", now + (i ? MU_ICE_CONSENT_US : 0) + 1000000);
	}
	rig_push(&r, 1, 200, true);
	rig_turn(&r);
	assert_int_equal(datagrams(&v[0]), 1); /* BYE */
	assert_int_equal(datagrams(&v[1]), 0);
	viewer_down(&v[0], &r);
	viewer_down(&v[1], &r);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_at_the_bound),
		cmocka_unit_test(test_sizes_that_differ),
		cmocka_unit_test(test_audio_begins_with_the_lowest),
		cmocka_unit_test(test_video_begins_with_the_key_frame),
		cmocka_unit_test(test_nothing_leaves_without_consent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
