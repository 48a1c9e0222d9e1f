/* Whose an address is: authenticate, then learn, then forward. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stage.h"

static void test_strangers_change_nothing(void **state)
{
	struct session pub, view;
	struct peer stranger;
	uint8_t pkt[2000], junk[172];
	size_t len;

	(void)state;
	show_up(&pub, &view);
	peer_open(&stranger, "127.0.0.2", &stage.gateway[0][0], NULL);
	/* checks without the password, with USE-CANDIDATE, with a user name that is nobody's */
	peer_aim(&stranger, pub.t);
	snprintf(stranger.pwd, sizeof(stranger.pwd), "wrongwrongwrongwrongwrong");
	assert_int_equal(peer_check(&stranger, PEER_NOMINATE), PEER_NOTHING);
	peer_aim(&stranger, pub.t);
	snprintf(stranger.ufrag, sizeof(stranger.ufrag), "NOBODY00");
	assert_int_equal(peer_check(&stranger, PEER_NOMINATE), PEER_NOTHING);
	/* DTLS, RTP with the right SSRC, garbage: from there and from the peer's address */
	for (int i = 0; i < 2000; i++) {
		mu_random(junk, sizeof(junk));
		junk[0] = (uint8_t[]){ 0x80, 22, 0, 0x90, 200, 21 }[i % 6];
		junk[1] = 96;
		mu_put32(junk + 8, STAGE_VIDEO);
		peer_raw(&stranger, junk, (size_t)(i % 173));
		if (junk[0] == 0x80 || junk[0] == 0x90)
			peer_raw(&pub.peer, junk, sizeof(junk));
	}
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	assert_int_equal(peer_take(&stranger, 50, pkt, &len), PEER_NOTHING); /* not one byte out to it */
	stage_stats(&pub);
	assert_true(pub.stats.bad_auth > 100);
	assert_true(mu_addr_equal(&pub.stats.remote, &pub.peer.local));
	assert_int_equal(pub.state, MU_TRANSPORT_CONNECTED);
	peer_close(&stranger);
	show_down(&pub, &view);
}

static void test_peer_moves_to_another_address(void **state)
{
	struct session pub, view;

	(void)state;
	show_up(&pub, &view);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	peer_move(&pub.peer);
	stage_send_video(&pub, 2, false); /* not validated yet: dropped */
	assert_int_equal(peer_check(&pub.peer, PEER_NOMINATE), PEER_STUN);
	stage_send_video(&pub, 3, false);
	EXPECT(&view, 3);
	peer_move(&view.peer);
	assert_int_equal(peer_check(&view.peer, PEER_NOMINATE), PEER_STUN);
	peer_report(&view.peer);
	stage_stats(&view);
	stage_send_video(&pub, 4, false);
	EXPECT(&view, 4);
	show_down(&pub, &view);
}

/* A viewer's valid check with the publisher's source address, as if forged: the address stays the
 * publisher's, whose media goes on, and the viewer's is not aimed at it. */
static void test_forged_source_takes_no_address(void **state)
{
	struct session pub, view;
	struct peer forged;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	show_up(&pub, &view);
	forged = pub.peer;
	peer_aim(&forged, view.t);
	assert_int_equal(peer_check(&forged, PEER_NOMINATE), PEER_NOTHING);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	assert_false(stage_take(&pub, 120, &h, pkt, &len));
	stage_stats(&view);
	assert_true(mu_addr_equal(&view.stats.remote, &view.peer.local));
	show_down(&pub, &view);
}

/* A viewer's own check, seen on the way and sent again from elsewhere: it is answered, as any valid one, and
 * that is all that goes there. */
static void test_repeated_check_moves_no_media(void **state)
{
	struct session pub, view;
	struct peer stranger;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	show_up(&pub, &view);
	peer_open(&stranger, "127.0.0.2", &stage.gateway[0][0], NULL);
	peer_aim(&stranger, view.t);
	assert_int_equal(peer_check(&stranger, PEER_NOMINATE), PEER_STUN);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	assert_int_equal(peer_take(&stranger, 50, pkt, &len), PEER_NOTHING);
	assert_int_equal(peer_check(&view.peer, PEER_NOMINATE), PEER_STUN);
	peer_report(&view.peer);
	stage_stats(&view);
	assert_true(mu_addr_equal(&view.stats.remote, &view.peer.local));
	peer_close(&stranger);
	show_down(&pub, &view);
}

/* A peer that tries many addresses keeps the one it uses. */
static void test_many_candidates(void **state)
{
	struct session pub, view;
	struct peer other[MU_ICE_PAIRS + 4];

	(void)state;
	show_up(&pub, &view);
	for (unsigned i = 0; i < MU_ARRAY_LEN(other); i++) {
		peer_open(&other[i], "127.0.0.2", &stage.gateway[0][0], NULL);
		peer_aim(&other[i], pub.t);
		assert_int_equal(peer_check(&other[i], 0), PEER_STUN);
	}
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	for (unsigned i = 0; i < MU_ARRAY_LEN(other); i++)
		peer_close(&other[i]);
	show_down(&pub, &view);
}

/* Two networks that number alike meet on two listening addresses: the same remote address is two peers. */
static void test_same_remote_on_two_sockets(void **state)
{
	struct mu_transport_spec spec = { 0 };
	struct session pub, view, second;
	int own;

	(void)state;
	show_up(&pub, &view);
	stage_begin(&second, &spec, NULL);
	own = second.peer.fd;
	second.peer.fd = pub.peer.fd;
	second.peer.gateway = stage.gateway[0][1];
	assert_int_equal(peer_check(&second.peer, PEER_NOMINATE), PEER_STUN);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	second.peer.fd = own;
	stage_end(&second);
	stage_send_video(&pub, 2, false);
	EXPECT(&view, 2);
	show_down(&pub, &view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strangers_change_nothing),
		cmocka_unit_test(test_peer_moves_to_another_address),
		cmocka_unit_test(test_forged_source_takes_no_address),
		cmocka_unit_test(test_repeated_check_moves_no_media),
		cmocka_unit_test(test_many_candidates),
		cmocka_unit_test(test_same_remote_on_two_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
