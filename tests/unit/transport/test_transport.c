/* A transport's life: validated, keyed, restarted, closed. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stage.h"

static void test_nobody_comes(void **state)
{
	struct mu_transport_spec spec = { .connect_timeout_us = 50000 };
	struct session s;

	(void)state;
	stage_up();
	stage_begin(&s, &spec, NULL);
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	assert_string_equal(s.why, "no valid connectivity check came");
	stage_end(&s);
	stage_down();
}

static void test_role_conflict_is_refused(void **state)
{
	struct mu_transport_spec spec = { 0 };
	struct session s;

	(void)state;
	stage_up();
	stage_begin(&s, &spec, NULL);
	assert_int_equal(peer_check(&s.peer, PEER_NOMINATE | PEER_CONTROLLED), PEER_STUN_ERROR);
	assert_int_equal(peer_check(&s.peer, 0), PEER_STUN);
	stage_end(&s);
	stage_down();
}

/* A certificate that the SDP did not announce: no keys, no media, the session ends. */
static void test_wrong_fingerprint_ends_the_session(void **state)
{
	struct mu_transport_spec spec = { 0 };
	struct session s;
	uint8_t other[MU_FINGERPRINT_LEN];

	(void)state;
	stage_up();
	stage_begin(&s, &spec, NULL);
	mu_random(other, sizeof(other));
	assert_int_equal(peer_connect(&s.peer, other), -EPROTO); /* we refuse the gateway's */
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	stage_end(&s);

	memcpy(spec.fingerprints[0], other, sizeof(other)); /* the gateway refuses ours */
	spec.n_fingerprints = 1;
	stage_begin(&s, &spec, NULL);
	peer_connect(&s.peer, mu_identity_fingerprint(mu_media_identity(stage.media)));
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	assert_non_null(strstr(s.why, "fingerprint"));
	stage_end(&s);
	stage_down();
}

static void test_close_notify_ends_the_session(void **state)
{
	struct mu_transport_spec spec = { 0 };
	struct session s;

	(void)state;
	stage_up();
	stage_connect(&s, &spec);
	mu_dtls_free(s.peer.dtls);
	s.peer.dtls = NULL;
	AWAIT(s.state == MU_TRANSPORT_CLOSED);
	assert_string_equal(s.why, "the peer closed the connection");
	stage_end(&s);
	stage_down();
}

static void test_ice_restart(void **state)
{
	struct mu_transport_spec spec = { 0 };
	struct session s;
	struct peer old;

	(void)state;
	stage_up();
	stage_connect(&s, &spec);
	old = s.peer;
	assert_int_equal(mu_transport_restart_ice(s.t), 0);
	assert_int_equal(peer_check(&old, PEER_NOMINATE), PEER_STUN); /* the old ones still */
	peer_aim(&s.peer, s.t);
	assert_string_not_equal(s.peer.ufrag, old.ufrag);
	assert_int_equal(peer_check(&s.peer, PEER_NOMINATE), PEER_STUN);
	assert_int_equal(peer_check(&old, PEER_NOMINATE), PEER_NOTHING); /* superseded */
	stage_end(&s);
	stage_down();
}

static void two_workers_up(void)
{
	struct mu_transport_options o = stage_options();

	o.net.workers = 2;
	stage_up_with(&o);
}

/* What feeds a track does so at home, unlocked. */
static void test_stream_in_needs_a_track_at_home(void **state)
{
	struct mu_transport_spec spec = { .id = "test", .worker = 1, .n_in = 1 };
	struct mu_transport *t = NULL;

	(void)state;
	two_workers_up();
	spec.in[0] = (struct mu_stream_in){
		.track = stage.video, .n_formats = 1, .formats = { { .codec = MU_CODEC_VP8 } }
	};
	assert_int_equal(mu_transport_new(stage.media, &spec, &stage_events, NULL, &t), -EINVAL);
	assert_null(t);
	stage_down();
}

static unsigned rounds;
static void on_round(void *arg, const struct mu_media_stats *s, unsigned n)
{
	(void)arg;
	assert_int_equal(n, 2);
	assert_int_equal(s[0].transports + s[1].transports, 0);
	rounds++;
}

static void test_media_stats_visit_all_workers(void **state)
{
	(void)state;
	two_workers_up();
	mu_media_ask_stats(stage.media, on_round, NULL);
	AWAIT(rounds == 1);
	stage_down();
}

static int no_media(const char *engine, const char *worker)
{
	struct mu_transport_options o = stage_options();
	struct mu_error e = { "" };
	struct mu_media *m = NULL;
	int err;

	o.net.workers = 2;
	o.srtp_engine = engine;
	mu_inbox_init(&stage.control);
	err = mu_media_new(&o, &m, &e);
	assert_null(m);
	assert_non_null(strstr(e.text, worker));
	mu_inbox_done(&stage.control);
	return err;
}

static void test_engine_that_does_not_exist(void **state)
{
	(void)state;
	assert_int_equal(no_media("none-such", "worker 0"), -EINVAL);
}

static int engines_left = INT_MAX;

int __real_mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e);
int __wrap_mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e);
int __wrap_mu_srtp_engine_new(const char *name, struct mu_srtp_engine **ret, struct mu_error *e)
{
	return engines_left-- > 0 ? __real_mu_srtp_engine_new(name, ret, e) : mu_error_set(e, -ENOMEM, "none left");
}

/* What the first had made is given back: ASan's leak check says so. */
static void test_second_worker_does_not_start(void **state)
{
	(void)state;
	engines_left = 1;
	assert_int_equal(no_media("openssl", "worker 1"), -ENOMEM);
	engines_left = INT_MAX;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_comes),
		cmocka_unit_test(test_engine_that_does_not_exist),
		cmocka_unit_test(test_second_worker_does_not_start),
		cmocka_unit_test(test_role_conflict_is_refused),
		cmocka_unit_test(test_wrong_fingerprint_ends_the_session),
		cmocka_unit_test(test_close_notify_ends_the_session),
		cmocka_unit_test(test_ice_restart),
		cmocka_unit_test(test_stream_in_needs_a_track_at_home),
		cmocka_unit_test(test_media_stats_visit_all_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
