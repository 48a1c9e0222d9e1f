/* Encodings of one picture: told apart by RID (RFC 8852), repaired each by itself, each a track of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "stage.h"

#define ID_MID	    1
#define ID_RID	    2
#define ID_REPAIRED 3

static struct session pub;
static struct mu_track *layer[2];
static const char *const rids[2] = { "l", "h" };

static struct mu_transport_spec spec_of_two(void)
{
	struct mu_transport_spec spec = stage_publisher();

	spec.in[1] = spec.in[0];
	for (unsigned i = 0; i < 2; i++) {
		struct mu_stream_in *in = &spec.in[i];

		snprintf(in->rid, sizeof(in->rid), "%s", rids[i]);
		in->track = layer[i];
		mu_ext_map_set(&in->exts, MU_EXT_MID, ID_MID);
		mu_ext_map_set(&in->exts, MU_EXT_RID, ID_RID);
		mu_ext_map_set(&in->exts, MU_EXT_REPAIRED_RID, ID_REPAIRED);
	}
	return spec;
}

static void setup(void)
{
	struct mu_transport_spec spec;

	memset(&pub, 0, sizeof(pub));
	stage_up();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(mu_track_new(mu_media_net(stage.media), 0, rids[i], MU_VIDEO, &layer[i]), 0);
	spec = spec_of_two();
	stage_connect(&pub, &spec);
}

static void teardown(void)
{
	stage_end(&pub);
	for (unsigned i = 0; i < 2; i++)
		mu_track_unref(layer[i]);
	stage_down();
}

/* @param rid_id  ID_RID, ID_REPAIRED, 0: no element */
static void send_as(uint32_t ssrc, uint64_t seq, uint8_t pt, uint8_t rid_id, const char *rid)
{
	uint8_t h[64] = { 0x90, (uint8_t)(0x80 | pt) }, payload[200] = { 0, 0, 0x10, 0 };
	size_t at = 16, len = rid ? strlen(rid) : 0;

	if (pt == 97)
		mu_put16(payload, (uint16_t)(seq + 1)); /* the number that it repairs */
	else
		payload[0] = 0x10;
	mu_put16(h + 2, (uint16_t)seq);
	mu_put32(h + 4, (uint32_t)seq * 3000);
	mu_put32(h + 8, ssrc);
	h[at++] = ID_MID << 4;
	h[at++] = '0';
	if (rid_id) {
		h[at++] = (uint8_t)(rid_id << 4 | (len - 1));
		memcpy(h + at, rid, len);
		at += len;
	}
	while (at % 4)
		at++;
	mu_put16(h + 12, 0xbede);
	mu_put16(h + 14, (uint16_t)((at - 16) / 4));
	peer_rtp_header(&pub.peer, h, at, seq, payload, sizeof(payload));
}

static void await_packets(unsigned stream, uint64_t n)
{
	do
		stage_stats(&pub);
	while (pub.stats.streams[stream].packets < n);
	assert_int_equal(pub.stats.streams[stream].packets, n);
}

static void test_bound_by_rid(void **state)
{
	struct mu_track_stats st;

	(void)state;
	setup();
	send_as(100, 1, 96, ID_RID, "h");
	send_as(200, 1, 96, ID_RID, "l");
	await_packets(0, 1);
	await_packets(1, 1);
	assert_int_equal(pub.stats.streams[0].ssrc, 200);
	assert_int_equal(pub.stats.streams[1].ssrc, 100);
	assert_string_equal(pub.stats.streams[0].rid, "l");
	assert_string_equal(pub.stats.streams[1].rid, "h");
	send_as(100, 2, 96, 0, NULL); /* once bound, senders leave the names out */
	await_packets(1, 2);
	stage_stats(&pub);
	mu_track_stats(layer[1], mu_net_worker(mu_media_net(stage.media), 0), &st);
	assert_int_equal(st.packets_in, 2);
	teardown();
}

static void test_unknown_names(void **state)
{
	(void)state;
	setup();
	send_as(300, 1, 96, ID_RID, "x");
	send_as(301, 1, 96, ID_RID, "hh");
	send_as(302, 1, 96, ID_REPAIRED, "h"); /* is no repair */
	send_as(303, 1, 96, 0, NULL);	       /* whose? */
	send_as(100, 1, 96, ID_RID, "h");
	await_packets(1, 1);
	assert_int_equal(pub.stats.unknown_ssrc, 4);
	assert_int_equal(pub.stats.streams[0].packets, 0);
	teardown();
}

static void test_repairs_name_their_encoding(void **state)
{
	(void)state;
	setup();
	send_as(100, 1, 96, ID_RID, "h");
	send_as(200, 1, 96, ID_RID, "l");
	send_as(100, 3, 96, 0, NULL); /* 2 is missing */
	send_as(101, 1, 97, ID_REPAIRED, "h");
	await_packets(1, 3);
	assert_int_equal(pub.stats.streams[1].repaired, 1);
	assert_int_equal(pub.stats.streams[0].repaired, 0);
	send_as(200, 3, 96, 0, NULL);
	send_as(201, 1, 97, ID_RID, "l"); /* says not what it repairs */
	send_as(202, 1, 97, ID_REPAIRED, "l");
	await_packets(0, 3);
	assert_int_equal(pub.stats.streams[0].repaired, 1);
	assert_int_equal(pub.stats.unknown_ssrc, 1);
	teardown();
}

/* --- key frames, of the encoding that lacks one -------------------------------------------------------------------- */

static unsigned asked[2]; /* for "l" at 200, "h" at 100 */

static void on_key(void *arg, uint32_t ssrc)
{
	(void)arg;
	assert_true(ssrc == 100 || ssrc == 200);
	asked[ssrc == 100]++;
}

static void ask_low(struct mu_transport *t)
{
	mu_track_ask_key(layer[0], t->worker, mu_clock_us());
}

static void ask_high(struct mu_transport *t)
{
	mu_track_ask_key(layer[1], t->worker, mu_clock_us());
}

static void await_request(unsigned which)
{
	static const struct mu_rtcp_handler keys = { .key_request = on_key };
	uint8_t data[2000];
	size_t len;

	for (int64_t until = mu_clock_us() + 5000000; asked[which] == 0;) {
		assert_true(mu_clock_us() < until);
		if (peer_take(&pub.peer, 100, data, &len) == PEER_RTCP)
			mu_rtcp_parse(data, len, &keys, NULL);
	}
}

static void test_key_requests_go_to_their_encoding(void **state)
{
	(void)state;
	setup();
	memset(asked, 0, sizeof(asked));
	send_as(100, 1, 96, ID_RID, "h");
	send_as(200, 1, 96, ID_RID, "l");
	await_packets(0, 1);
	await_packets(1, 1);
	stage_on_worker(&pub, ask_low);
	await_request(0);
	assert_int_equal(asked[1], 0);
	stage_on_worker(&pub, ask_high);
	await_request(1);
	teardown();
}

/* A sender that begins anew has another SSRC in its encoding; the other one is not touched. */
static void test_each_encoding_may_begin_anew(void **state)
{
	uint8_t room[200];
	struct mu_rtcp_writer w = { .data = room, .size = sizeof(room) };

	(void)state;
	setup();
	send_as(100, 1, 96, ID_RID, "h");
	send_as(200, 1, 96, ID_RID, "l");
	await_packets(0, 1);
	await_packets(1, 1);
	send_as(150, 1, 96, ID_RID, "h"); /* too soon: the one before still sends */
	mu_rtcp_add_bye(&w, &(uint32_t){ 100 }, 1, "");
	peer_rtcp(&pub.peer, w.data, w.len);
	send_as(151, 1, 96, ID_RID, "h");
	send_as(200, 2, 96, 0, NULL);
	await_packets(0, 2);
	assert_int_equal(pub.stats.streams[0].ssrc, 200);
	assert_int_equal(pub.stats.streams[1].ssrc, 151);
	assert_int_equal(pub.stats.unknown_ssrc, 1);
	teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound_by_rid),
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_repairs_name_their_encoding),
		cmocka_unit_test(test_key_requests_go_to_their_encoding),
		cmocka_unit_test(test_each_encoding_may_begin_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
