/* Whose a datagram is, with the worker driven by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "peer.h"
#include "rig.h"

static void no_state(void *arg, enum mu_transport_state s, const char *why)
{
	(void)arg;
	(void)s;
	(void)why;
}

static const struct mu_transport_events events = { .state = no_state };

/* The peer had our answer, and sent its first check, all within a turn: the message that tells the worker of
 * the session still waits when the check is looked at. */
static void test_check_before_the_session_is_known(void **state)
{
	struct mu_transport_spec spec = { .id = "early", .dtls_server = true };
	struct mu_datagram d = { 0 };
	struct mu_path path = { 0 };
	struct mu_transport *t;
	struct mu_addr at;
	struct peer peer;
	uint8_t check[512], pkt[2000];
	struct rig r;
	size_t len;

	(void)state;
	rig_up(&r, MU_VIDEO);
	assert_int_equal(mu_addr_parse("127.0.0.1", mu_net_port(mu_media_net(r.media), 0, 0), &at), 0);
	peer_open(&peer, "127.0.0.1", &at, NULL);
	assert_int_equal(mu_transport_new(r.media, &spec, &events, NULL, &t), 0);
	peer_aim(&peer, t);
	path.remote = peer.local;
	d.path = &path;
	d.data = check;
	d.len = peer_write_check(&peer, PEER_NOMINATE, check);
	demux(r.worker, &d, 1, mu_clock_us());
	mu_worker_flush(r.worker);
	assert_int_equal(peer_take(&peer, 200, pkt, &len), PEER_STUN);
	assert_int_equal(plane_of(r.worker)->stats.stun_bad, 0);
	mu_transport_free(t);
	rig_turn(&r);
	demux(r.worker, &d, 1, mu_clock_us()); /* and after it: that one is nobody's */
	assert_int_equal(plane_of(r.worker)->stats.stun_bad, 1);
	peer_close(&peer);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_before_the_session_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
