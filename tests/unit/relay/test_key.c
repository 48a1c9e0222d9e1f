/* Where a decoder can start: parameter sets and pictures in packets of their own. */
#include <stdlib.h>

#include "bench.h"

static const struct mu_format h264 = { .codec = MU_CODEC_H264, .pt = 96, .fmtp = "packetization-mode=1" };

/* First bytes of NAL units. */
#define SPS                      \
	{                        \
		0x67, 0x42, 0xc0 \
	}
#define PPS                \
	{                  \
		0x68, 0xce \
	}
#define IDR                \
	{                  \
		0x65, 0x88 \
	}
#define P_SLICE            \
	{                  \
		0x41, 0x9a \
	}
#define I_SLICE            \
	{                  \
		0x61, 0x88 \
	}
#define RECOVERY                             \
	{                                    \
		0x06, 0x06, 0x01, 0xc4, 0x80 \
	}
#define ALL_THREE                                                                \
	{                                                                        \
		0x78, 0, 3, 0x67, 0x42, 0xc0, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88 \
	}

struct nal {
	uint8_t bytes[16];
};

static void setup_h264(struct bench *b, unsigned workers, bool askable)
{
	setup(b, workers, askable);
	change_source(b, &h264);
	keys_asked = 0;
}

/* Number `at`, in a turn of its own. */
static void push_nal(struct bench *b, uint64_t at, const struct nal *nal, bool marker)
{
	struct mu_packet *p =
		video(fake_net_relay(b->net, 0), (uint16_t)at, b->ts, false, false, marker, 200, b->now);

	memcpy(p->data + 12, nal->bytes, sizeof(nal->bytes));
	if (nal->bytes[0] == 0x78)
		p->len = 12 + 14;
	mu_track_push(b->track, p, at, b->now);
	fake_net_run(b->net, b->now);
}

static void picture(struct bench *b, const struct nal *nals, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		push_nal(b, b->seq++, &nals[i], i == n - 1);
	b->ts += 3000;
	b->now += 33333;
	fake_net_run(b->net, b->now);
}
#define PICTURE(b, ...)                                    \
	do {                                               \
		const struct nal nals[] = { __VA_ARGS__ }; \
		picture(b, nals, MU_ARRAY_LEN(nals));      \
	} while (0)

/* The sets went by before the picture showed that it is a key frame: who waited gets them still. */
static void waits_for(unsigned worker)
{
	struct bench b;
	struct taker *t[2];

	setup_h264(&b, 2, true);
	t[0] = join(&b, worker);
	t[1] = join(&b, worker);
	PICTURE(&b, { P_SLICE });
	PICTURE(&b, { SPS }, { PPS }, { IDR }, { { 0x65, 0x08 } });
	for (int i = 0; i < 2; i++) {
		assert_int_equal(t[i]->n, 4);
		assert_int_equal(t[i]->sink.first_seq, t[i]->seq[0]);
		assert_no_gap(t[i]);
	}
	assert_int_equal(keys_asked, 1);
	fake_net_run(b.net, b.now += 600000);
	assert_int_equal(keys_asked, 1);
	PICTURE(&b, { P_SLICE });
	assert_int_equal(t[0]->n, 5);
	leave(&b, worker, t[0]);
	leave(&b, worker, t[1]);
	teardown(&b);
}

static void test_sets_before_the_picture(void **state)
{
	(void)state;
	waits_for(0);
	waits_for(1);
}

static void test_all_in_one_packet(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup_h264(&b, 1, true);
	t = join(&b, 0);
	PICTURE(&b, { P_SLICE });
	PICTURE(&b, { ALL_THREE }, { { 0x65, 0x08 } });
	assert_int_equal(t->n, 2);
	leave(&b, 0, t);
	teardown(&b);
}

/* A camera repeats its sets before any picture: nobody begins there, and the request for a key frame stands.
 */
static void test_repeated_sets_are_no_key_frame(void **state)
{
	struct mu_track_stats st;
	struct bench b;
	struct taker *t;

	(void)state;
	setup_h264(&b, 1, true);
	t = join(&b, 0);
	assert_int_equal(keys_asked, 1);
	PICTURE(&b, { SPS }, { PPS }, { P_SLICE });
	assert_int_equal(t->n, 0);
	fake_net_run(b.net, b.now += 600000);
	assert_int_equal(keys_asked, 2);
	PICTURE(&b, { SPS }, { PPS }, { IDR });
	assert_int_equal(t->n, 3);
	mu_track_stats(b.track, mu_net_worker(b.net, 0), &st);
	assert_int_equal(st.key_frames, 1);
	leave(&b, 0, t);
	teardown(&b);
}

/* And where it cannot be asked, joiners are served from the last IDR, with the sets before it. */
static void test_gop_begins_with_the_sets_of_the_idr(void **state)
{
	struct bench b;
	struct taker *t, *far;

	(void)state;
	setup_h264(&b, 2, false);
	PICTURE(&b, { SPS }, { PPS }, { IDR });
	for (int i = 0; i < 60; i++)
		PICTURE(&b, { SPS }, { PPS }, { P_SLICE });
	t = join(&b, 0);
	far = join(&b, 1);
	for (int i = 0; i < 100; i++)
		fake_net_run(b.net, b.now += 1000);
	assert_int_equal(t->n, 183);
	assert_no_gap(t);
	assert_int_equal(far->n, 183);
	assert_no_gap(far);
	leave(&b, 0, t);
	leave(&b, 1, far);
	teardown(&b);
}

/* Open GOPs and gradual refresh have no IDR: an I picture or a recovery point with sets before it will do,
 * but not without. */
static void test_entries_without_idr(void **state)
{
	struct bench b;
	struct taker *t;

	(void)state;
	setup_h264(&b, 1, true);
	t = join(&b, 0);
	PICTURE(&b, { I_SLICE });
	PICTURE(&b, { RECOVERY }, { P_SLICE });
	assert_int_equal(t->n, 0);
	PICTURE(&b, { SPS }, { PPS }, { I_SLICE });
	assert_int_equal(t->n, 3);
	leave(&b, 0, t);
	b.now += 1000000;
	t = join(&b, 0);
	PICTURE(&b, { SPS }, { PPS }, { RECOVERY }, { P_SLICE });
	assert_int_equal(t->n, 4);
	leave(&b, 0, t);
	teardown(&b);
}

/* The sets come after the picture: whoever is served from the cache begins with them. */
static void test_sets_swapped_with_the_picture(void **state)
{
	const struct nal sps = { SPS }, idr = { IDR };
	struct mu_track_stats st;
	struct bench b;
	struct taker *t;

	(void)state;
	setup_h264(&b, 1, true);
	PICTURE(&b, { P_SLICE });
	push_nal(&b, b.seq + 1, &idr, true);
	push_nal(&b, b.seq, &sps, false);
	t = join(&b, 0);
	assert_int_equal(t->n, 2);
	assert_no_gap(t);
	mu_track_stats(b.track, mu_net_worker(b.net, 0), &st);
	assert_int_equal(st.key_frames, 1);
	leave(&b, 0, t);
	teardown(&b);
}

/* A branch that was not there yet when the sets went by does not begin with the picture: it asks for another.
 */
static void test_branch_without_the_sets(void **state)
{
	const struct nal sps = { SPS }, idr = { IDR };
	struct bench b;
	struct taker *here, *there;

	(void)state;
	setup_h264(&b, 2, true);
	here = join(&b, 0);
	PICTURE(&b, { P_SLICE });
	push_nal(&b, b.seq++, &sps, false);
	there = join(&b, 1);
	push_nal(&b, b.seq++, &idr, true);
	assert_int_equal(here->n, 2);
	assert_int_equal(there->n, 0);
	keys_asked = 0;
	b.ts += 3000;
	fake_net_run(b.net, b.now += 600000);
	assert_int_equal(keys_asked, 1);
	PICTURE(&b, { SPS }, { IDR });
	assert_int_equal(there->n, 2);
	leave(&b, 0, here);
	leave(&b, 1, there);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets_before_the_picture),
		cmocka_unit_test(test_all_in_one_packet),
		cmocka_unit_test(test_repeated_sets_are_no_key_frame),
		cmocka_unit_test(test_gop_begins_with_the_sets_of_the_idr),
		cmocka_unit_test(test_entries_without_idr),
		cmocka_unit_test(test_sets_swapped_with_the_picture),
		cmocka_unit_test(test_branch_without_the_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
