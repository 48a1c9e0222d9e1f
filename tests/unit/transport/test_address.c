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
	struct show x;
	struct mu_rtp_header h;
	struct peer stranger;
	uint8_t pkt[2000], junk[172];
	size_t len;

	(void)state;
	show_up(&x);
	peer_open(&stranger, "127.0.0.2", &gateway[0], NULL);
	snprintf(stranger.ufrag, sizeof(stranger.ufrag), "%s", x.pub.peer.ufrag);
	snprintf(stranger.pwd, sizeof(stranger.pwd), "%s", x.pub.peer.pwd);
	/* checks without the password, with USE-CANDIDATE, with a user name that is nobody's */
	assert_int_equal(peer_check(&stranger, true, false, "wrongwrongwrongwrongwrong"), PEER_NOTHING);
	snprintf(stranger.ufrag, sizeof(stranger.ufrag), "NOBODY00");
	assert_int_equal(peer_check(&stranger, true, false, NULL), PEER_NOTHING);
	/* DTLS, RTP with the right SSRC, garbage: from there and from the peer's address */
	for (int i = 0; i < 2000; i++) {
		mu_random(junk, sizeof(junk));
		junk[0] = (uint8_t[]){ 0x80, 22, 0, 0x90, 200, 21 }[i % 6];
		junk[1] = 96;
		mu_put32(junk + 8, VIDEO_SSRC);
		peer_raw(&stranger, junk, (size_t)(i % 173));
		if (junk[0] == 0x80 || junk[0] == 0x90)
			peer_raw(&x.pub.peer, junk, sizeof(junk));
	}
	send_video(&x.pub, 1, true, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	assert_int_equal(mu_get64(pkt + h.hlen + 2), 1);
	assert_int_equal(peer_take(&stranger, 50, pkt, &len), PEER_NOTHING); /* not one byte out to it */
	attached(&x.pub);
	assert_true(x.pub.stats.bad_auth > 100);
	assert_true(mu_addr_equal(&x.pub.stats.remote, &x.pub.peer.local));
	assert_int_equal(x.pub.state, MU_TRANSPORT_CONNECTED);
	peer_close(&stranger);
	show_down(&x);
}

static void test_peer_moves_to_another_address(void **state)
{
	struct show x;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	show_up(&x);
	send_video(&x.pub, 1, true, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	peer_move(&x.pub.peer);
	send_video(&x.pub, 2, false, true); /* not validated yet: dropped */
	assert_int_equal(peer_check(&x.pub.peer, true, false, NULL), PEER_STUN);
	send_video(&x.pub, 3, false, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	assert_int_equal(mu_get64(pkt + h.hlen + 2), 3);
	peer_move(&x.view.peer);
	assert_int_equal(peer_check(&x.view.peer, true, false, NULL), PEER_STUN);
	peer_report(&x.view.peer);
	attached(&x.view);
	send_video(&x.pub, 4, false, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	show_down(&x);
}

/* A viewer's valid check with the publisher's source address, as if forged: the address stays the
 * publisher's, whose media goes on, and the viewer's is not aimed at it. */
static void test_forged_source_takes_no_address(void **state)
{
	struct show x;
	struct peer forged;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	show_up(&x);
	forged = x.pub.peer;
	memcpy(forged.ufrag, x.view.peer.ufrag, sizeof(forged.ufrag));
	memcpy(forged.pwd, x.view.peer.pwd, sizeof(forged.pwd));
	assert_int_equal(peer_check(&forged, true, false, NULL), PEER_NOTHING);
	send_video(&x.pub, 1, true, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	assert_false(take_rtp(&x.pub, 120, &h, pkt, &len));
	attached(&x.view);
	assert_true(mu_addr_equal(&x.view.stats.remote, &x.view.peer.local));
	show_down(&x);
}

/* A viewer's own check, seen on the way and sent again from elsewhere: it is answered, as any valid one, and
 * that is all that goes there. */
static void test_repeated_check_moves_no_media(void **state)
{
	struct show x;
	struct peer stranger;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	show_up(&x);
	peer_open(&stranger, "127.0.0.2", &gateway[0], NULL);
	memcpy(stranger.ufrag, x.view.peer.ufrag, sizeof(stranger.ufrag));
	memcpy(stranger.pwd, x.view.peer.pwd, sizeof(stranger.pwd));
	assert_int_equal(peer_check(&stranger, true, false, NULL), PEER_STUN);
	send_video(&x.pub, 1, true, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	assert_int_equal(peer_take(&stranger, 50, pkt, &len), PEER_NOTHING);
	assert_int_equal(peer_check(&x.view.peer, true, false, NULL), PEER_STUN);
	peer_report(&x.view.peer);
	attached(&x.view);
	assert_true(mu_addr_equal(&x.view.stats.remote, &x.view.peer.local));
	peer_close(&stranger);
	show_down(&x);
}

/* A peer that tries many addresses keeps the one it uses. */
static void test_many_candidates(void **state)
{
	struct show x;
	struct peer other[MU_ICE_PAIRS + 4];
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	show_up(&x);
	for (unsigned i = 0; i < MU_ARRAY_LEN(other); i++) {
		peer_open(&other[i], "127.0.0.2", &gateway[0], NULL);
		memcpy(other[i].ufrag, x.pub.peer.ufrag, sizeof(other[i].ufrag));
		memcpy(other[i].pwd, x.pub.peer.pwd, sizeof(other[i].pwd));
		assert_int_equal(peer_check(&other[i], false, false, NULL), PEER_STUN);
	}
	send_video(&x.pub, 1, true, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	for (unsigned i = 0; i < MU_ARRAY_LEN(other); i++)
		peer_close(&other[i]);
	show_down(&x);
}

/* Two networks that number alike meet on two listening addresses: the same remote address is two peers. */
static void test_same_remote_on_two_sockets(void **state)
{
	struct mu_transport_spec spec = { .worker = 0 };
	struct session second;
	struct show x;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;
	int own;

	(void)state;
	show_up(&x);
	begin(&second, &spec, "127.0.0.1", NULL);
	own = second.peer.fd;
	second.peer.fd = x.pub.peer.fd;
	second.peer.gateway = other_gateway;
	assert_int_equal(peer_check(&second.peer, true, false, NULL), PEER_STUN);
	send_video(&x.pub, 1, true, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	second.peer.fd = own;
	end(&second);
	send_video(&x.pub, 2, false, true);
	assert_true(take_rtp(&x.view, 120, &h, pkt, &len));
	show_down(&x);
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
