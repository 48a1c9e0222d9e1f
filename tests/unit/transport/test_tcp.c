/* Peers that come by TCP: as by UDP, and a connection is nobody else's and has an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "stage.h"

static void tcp_up(void)
{
	struct mu_transport_options o = stage_options();

	o.net.n_tcp = 1;
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.net.tcp[0]), 0);
	stage_up_with(&o);
}

static void connect_by_tcp(struct session *s, const struct mu_transport_spec *spec)
{
	stage_begin(s, spec, NULL);
	peer_move_to_tcp(&s->peer, &stage.tcp[spec->worker]);
	stage_join(s);
}

/* A publisher and a viewer, both by TCP. */
static void tcp_show_up(struct session *pub, struct session *view)
{
	struct mu_transport_spec p, v;

	tcp_up();
	p = stage_publisher();
	v = stage_viewer();
	connect_by_tcp(pub, &p);
	connect_by_tcp(view, &v);
}

static unsigned pairs;
static bool lost;

static void look(struct mu_transport *t)
{
	pairs = t->ice.n_pairs;
	lost = t->ice.lost;
}

static void await_pairs(struct session *s, unsigned n)
{
	int64_t until = mu_clock_us() + 5000000;

	do {
		assert_true(mu_clock_us() < until);
		stage_on_worker(s, look);
	} while (pairs != n);
}

/* Its media goes by TCP now, or by UDP. */
static void await_protocol(struct session *s, bool tcp)
{
	int64_t until = mu_clock_us() + 5000000;

	do {
		assert_true(mu_clock_us() < until);
		stage_stats(s);
	} while (s->stats.tcp != tcp);
}

static void test_publish_and_watch(void **state)
{
	struct session pub, view;

	(void)state;
	tcp_show_up(&pub, &view);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	stage_send_video(&pub, 2, false);
	EXPECT(&view, 2);
	stage_stats(&view);
	assert_true(mu_addr_equal(&view.stats.remote, &view.peer.local));
	assert_true(view.stats.tcp);
	show_down(&pub, &view);
}

/* The same address and port by UDP and by TCP are two peers, whichever came first. */
static void test_udp_from_the_same_address(void **state)
{
	struct session pub, view;
	struct mu_transport_spec spec;
	int udp;

	(void)state;
	tcp_show_up(&pub, &view);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(udp, &pub.peer.local.sa, mu_addr_size(&pub.peer.local)), 0);
	{
		struct session other;
		int own;

		spec = (struct mu_transport_spec){ 0 };
		stage_begin(&other, &spec, NULL);
		own = other.peer.fd;
		other.peer.fd = udp;
		assert_int_equal(peer_check(&other.peer, PEER_NOMINATE), PEER_STUN);
		stage_send_video(&pub, 1, true);
		EXPECT(&view, 1);
		other.peer.fd = own;
		stage_end(&other);
	}
	/* and a keyed session's media from there, though its keys are right, is not looked at: no check came
	 * by UDP */
	{
		int own = pub.peer.fd;

		pub.peer.fd = udp;
		pub.peer.tcp = false;
		stage_send_video(&pub, 2, false);
		pub.peer.fd = own;
		pub.peer.tcp = true;
		stage_send_video(&pub, 3, false);
		EXPECT(&view, 3);
	}
	close(udp);
	show_down(&pub, &view);
}

/* A viewer's valid check by the publisher's connection: it stays the publisher's. */
static void test_check_takes_no_connection(void **state)
{
	struct session pub, view;
	struct peer forged;

	(void)state;
	tcp_show_up(&pub, &view);
	forged = pub.peer;
	peer_aim(&forged, view.t);
	assert_int_equal(peer_check(&forged, PEER_NOMINATE), PEER_NOTHING);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	stage_on_worker(&view, look);
	assert_int_equal(pairs, 1);
	show_down(&pub, &view);
}

/* A connection of a session that has no keys yet may be had by another; the first one forgets it. */
static void test_connection_changes_hands(void **state)
{
	struct mu_transport_spec spec = { 0 };
	struct session first, second;

	(void)state;
	tcp_up();
	stage_begin(&first, &spec, NULL);
	stage_begin(&second, &spec, NULL);
	peer_move_to_tcp(&first.peer, &stage.tcp[0]);
	assert_int_equal(peer_check(&first.peer, PEER_NOMINATE), PEER_STUN);
	stage_on_worker(&first, look);
	assert_int_equal(pairs, 1);
	peer_aim(&first.peer, second.t);
	assert_int_equal(peer_check(&first.peer, PEER_NOMINATE), PEER_STUN);
	stage_on_worker(&first, look);
	assert_int_equal(pairs, 0);
	stage_on_worker(&second, look);
	assert_int_equal(pairs, 1);
	stage_end(&first); /* takes nothing with it */
	shutdown(first.peer.fd, SHUT_RDWR);
	await_pairs(&second, 0);
	stage_end(&second);
	stage_down();
}

/* The connection breaks, the peer makes another, and its nomination is enough: nobody can be at the old one.
 */
static void test_connection_comes_back(void **state)
{
	struct session pub, view;
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	(void)state;
	tcp_show_up(&pub, &view);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	shutdown(view.peer.fd, SHUT_RDWR);
	await_pairs(&view, 0);
	assert_true(lost);
	stage_send_video(&pub, 2, false); /* nobody hears it */
	peer_move_to_tcp(&view.peer, &stage.tcp[0]);
	assert_int_equal(
		peer_check(&view.peer, 0), PEER_STUN); /* valid, not chosen: nothing goes there yet */
	stage_send_video(&pub, 3, false);
	assert_false(stage_take(&view, 120, &h, pkt, &len));
	assert_int_equal(peer_check(&view.peer, PEER_NOMINATE), PEER_STUN);
	stage_send_video(&pub, 4, false);
	EXPECT(&view, 4);
	stage_on_worker(&view, look);
	assert_false(lost);
	assert_int_equal(view.state, MU_TRANSPORT_CONNECTED);
	show_down(&pub, &view);
}

/* Whoever has both says which: it nominates UDP, then its connection may go. */
static void test_peer_chooses_udp(void **state)
{
	struct session pub, view;
	int connection;

	(void)state;
	tcp_show_up(&pub, &view);
	connection = dup(view.peer.fd);
	peer_move(&view.peer);
	assert_int_equal(peer_check(&view.peer, PEER_NOMINATE), PEER_STUN);
	peer_report(&view.peer);
	await_protocol(&view, false);
	assert_true(mu_addr_equal(&view.stats.remote, &view.peer.local));
	await_pairs(&view, 2);
	close(connection);
	await_pairs(&view, 1);
	assert_false(lost);
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	show_down(&pub, &view);
}

/* And the other way: UDP stops on the way, TCP was nominated, and the session goes on there. */
static void test_chosen_path_follows_a_lost_one(void **state)
{
	struct session pub, view;
	struct peer tcp;

	(void)state;
	tcp_up();
	stage_publish(&pub);
	stage_watch(&view);
	tcp = view.peer;
	tcp.fd = dup(view.peer.fd);
	peer_move_to_tcp(&tcp, &stage.tcp[0]);
	assert_int_equal(peer_check(&tcp, PEER_NOMINATE), PEER_STUN); /* alone it moves nothing (ice.h) */
	stage_send_video(&pub, 1, true);
	EXPECT(&view, 1);
	peer_report(&tcp);
	view.peer.srtcp_index = tcp.srtcp_index;
	await_protocol(&view, true);
	close(view.peer.fd);
	view.peer.fd = tcp.fd;
	view.peer.tcp = true;
	stage_send_video(&pub, 2, false);
	EXPECT(&view, 2);
	show_down(&pub, &view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish_and_watch),
		cmocka_unit_test(test_udp_from_the_same_address),
		cmocka_unit_test(test_check_takes_no_connection),
		cmocka_unit_test(test_connection_changes_hands),
		cmocka_unit_test(test_connection_comes_back),
		cmocka_unit_test(test_peer_chooses_udp),
		cmocka_unit_test(test_chosen_path_follows_a_lost_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
