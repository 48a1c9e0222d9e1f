/* Which paths are known, which is used, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "agent.h"

static void test_nomination(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = path_of("192.0.2.2", 2000);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	assert_int_equal(ask(&ice, &a, false, 0), MU_ICE_VALID);
	assert_int_equal(ask(&ice, &b, true, 1), MU_ICE_NOMINATED);
	assert_memory_equal(&ice.selected, &b, sizeof(b));
	assert_int_equal(ask(&ice, &a, false, 2), MU_ICE_VALID);
	assert_memory_equal(&ice.selected, &b, sizeof(b));
	assert_int_equal(ask(&ice, &b, true, 3), MU_ICE_NOMINATED); /* again */
	assert_int_equal(ask(&ice, &a, true, 4), MU_ICE_NOMINATED); /* the latest wins */
	assert_memory_equal(&ice.selected, &a, sizeof(a));
	assert_int_equal(ice.n_pairs, 2);
}

static void test_restart(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = path_of("203.0.113.5", 3000);
	struct mu_ice ice, first, second;
	struct peer peer;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	first = ice;
	mu_ice_restart(&ice, "RESTART1", "abcdefghijklmnopqrstuvwx");
	assert_string_equal(ice.ufrag, "RESTART1");
	assert_memory_equal(&ice.selected, &a, sizeof(a));
	assert_true(mu_ice_consent(&ice, 1000));
	/* The old ones still work, nominating too; the new ones do as well. */
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = first.pwd, .nominate = true });
	assert_int_equal(give(&ice, &peer, &a, 10), MU_ICE_NOMINATED);
	assert_int_equal(ask(&ice, &b, false, 11), MU_ICE_VALID);
	/* Never one's name with the other's password. */
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = ice.pwd });
	assert_int_equal(give(&ice, &peer, &a, 12), MU_ICE_IGNORED);
	build(&peer, &(struct request){ .ufrag = ice.ufrag, .pwd = first.pwd });
	assert_int_equal(give(&ice, &peer, &a, 12), MU_ICE_IGNORED);
	/* A second restart before any nomination: the first pair lives on, the one between is gone. */
	second = ice;
	mu_ice_restart(&ice, "RESTART2", "bcdefghijklmnopqrstuvwxy");
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = first.pwd });
	assert_int_equal(give(&ice, &peer, &a, 13), MU_ICE_VALID);
	build(&peer, &(struct request){ .ufrag = second.ufrag, .pwd = second.pwd });
	assert_int_equal(give(&ice, &peer, &a, 13), MU_ICE_IGNORED);
	/* A nomination with the new ones ends the old. */
	assert_int_equal(ask(&ice, &b, true, 14), MU_ICE_NOMINATED);
	assert_memory_equal(&ice.selected, &b, sizeof(b));
	build(&peer, &(struct request){ .ufrag = first.ufrag, .pwd = first.pwd, .nominate = true });
	assert_int_equal(give(&ice, &peer, &a, 15), MU_ICE_IGNORED);
	assert_string_equal(ice.old_ufrag, "");
	/* "" is no name that opens anything. */
	build(&peer, &(struct request){ .ufrag = "", .pwd = "" });
	assert_int_equal(give(&ice, &peer, &a, 15), MU_ICE_IGNORED);
	/* Done: nothing of it is left to be found. */
	mu_ice_restart(&ice, "RESTART3", "cdefghijklmnopqrstuvwxyz");
	mu_ice_done(&ice);
	assert_memory_equal(&ice, &(struct mu_ice){ 0 }, offsetof(struct mu_ice, old_pwd) + sizeof(ice.old_pwd));
}

static bool knows(const struct mu_ice *ice, const struct mu_path *p)
{
	bool found = false;

	for (unsigned i = 0; i < ice->n_pairs; i++)
		found |= !memcmp(&ice->pairs[i].path, p, sizeof(*p));
	return found;
}

/** The list holds the latest, and always the path used and the one nominated; who falls out is told. */
static void test_pairs_overflow(void **state)
{
	struct mu_path used = path_of("192.0.2.199", 1), selected = path_of("192.0.2.200", 1), p;
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	assert_int_equal(ask(&ice, &used, false, 0), MU_ICE_VALID);
	mu_ice_settle(&ice);
	assert_int_equal(ask(&ice, &selected, true, 0), MU_ICE_NOMINATED);
	for (uint16_t i = 0; i < 20; i++) {
		p = path_of("192.0.2.1", (uint16_t)(1000 + i));
		assert_int_equal(ask(&ice, &p, false, i), MU_ICE_VALID);
		assert_true(ice.n_pairs <= MU_ICE_PAIRS);
		assert_memory_equal(&ice.pairs[0].path, &p, sizeof(p));
		assert_int_equal(ice.forgotten.remote.sa.sa_family, i < 6 ? AF_UNSPEC : AF_INET);
		if (i >= 6)
			assert_int_equal(mu_addr_port(&ice.forgotten.remote), 1000 + i - 6);
	}
	for (uint16_t i = 0; i < 20; i++) {
		p = path_of("192.0.2.1", (uint16_t)(1000 + i));
		assert_int_equal(knows(&ice, &p), i >= 14);
	}
	assert_true(knows(&ice, &selected) && knows(&ice, &used));
	p = path_of("192.0.2.1", 1015);
	ask(&ice, &p, false, 30);
	assert_int_equal(ice.forgotten.remote.sa.sa_family, AF_UNSPEC);
	assert_int_equal(ice.n_pairs, MU_ICE_PAIRS);
	assert_memory_equal(&ice.pairs[0].path, &p, sizeof(p));
	for (unsigned i = 1; i < MU_ICE_PAIRS; i++)
		assert_memory_not_equal(&ice.pairs[i].path, &p, sizeof(p));
}

#define USED(ice, path) assert_memory_equal(&(ice)->used, path, sizeof(*(path)))

/** While the handshake runs, the path is where it goes on or was nominated. */
static void test_path_of_the_handshake(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1), b = path_of("192.0.2.2", 2), c = path_of("192.0.2.3", 3);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	assert_false(mu_ice_heard(&ice, &a));
	ask(&ice, &a, false, 0);
	USED(&ice, &a);
	ask(&ice, &b, false, 1);
	USED(&ice, &a);
	assert_true(mu_ice_heard(&ice, &b));
	USED(&ice, &b);
	ask(&ice, &a, true, 2);
	USED(&ice, &a);
	assert_true(mu_ice_heard(&ice, &b)); /* its last flight comes from there: answers arrive */
	assert_true(ice.moving);
	assert_false(mu_ice_heard(&ice, &c)); /* nobody checked it */
	mu_ice_settle(&ice);
	USED(&ice, &b);
	assert_true(mu_ice_heard(&ice, &a));
	assert_false(ice.moving);
	USED(&ice, &a);
}

/** A check can be forged in its source, or sent again by somebody who saw it: it takes more to move media. */
static void test_nomination_alone_moves_nothing(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1), b = path_of("192.0.2.2", 2), c = path_of("192.0.2.3", 3);
	struct mu_ice ice;
	int64_t s = 1000000;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	mu_ice_settle(&ice);
	assert_false(ice.moving);
	ask(&ice, &b, false, 1 * s);
	assert_false(mu_ice_heard(&ice, &b)); /* not nominated: a spare pair's traffic moves nothing */
	ask(&ice, &b, true, 2 * s);
	USED(&ice, &a);
	assert_true(ice.moving);
	ask(&ice, &a, false, 3 * s); /* its own checks keep the consent of the path used */
	assert_int_equal(ice.last_check_us, 3 * s);
	ask(&ice, &b, true, 12 * s);
	USED(&ice, &a);
	ask(&ice, &c, true, 12 * s); /* the latest nomination counts */
	assert_false(mu_ice_heard(&ice, &b));
	assert_true(mu_ice_heard(&ice, &c));
	USED(&ice, &c);
	assert_int_equal(ice.last_check_us, 12 * s);
	/* Back where it was: nothing is left waiting. */
	ask(&ice, &b, true, 13 * s);
	assert_true(ice.moving);
	ask(&ice, &c, true, 13 * s);
	assert_false(ice.moving);
	assert_false(mu_ice_heard(&ice, &b));
	USED(&ice, &c);
}

/** A client that says nothing of its own and has moved is served again when the path before is stale. */
static void test_stale_path_is_left(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1), b = path_of("192.0.2.2", 2);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	mu_ice_settle(&ice);
	ask(&ice, &b, true, MU_ICE_STALE_US - 1);
	USED(&ice, &a);
	ask(&ice, &b, false, MU_ICE_STALE_US);
	USED(&ice, &b);
	assert_false(ice.moving);
	assert_true(mu_ice_consent(&ice, MU_ICE_STALE_US + MU_ICE_CONSENT_US - 1));
}

static void test_same_remote_on_another_socket(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = a, c = a;
	struct mu_ice ice;

	(void)state;
	b.socket = 1;
	c.local.in4.sin_family = AF_INET;
	c.local.in4.sin_addr.s_addr = htonl(0x7f000001);
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	ask(&ice, &b, false, 0);
	ask(&ice, &c, false, 0);
	assert_int_equal(ice.n_pairs, 3);
	c.local.in4.sin_port = 7; /* means nothing */
	ask(&ice, &c, false, 0);
	assert_int_equal(ice.n_pairs, 3);
}

static struct mu_path connection(uint32_t conn)
{
	struct mu_path p = path_of("192.0.2.1", 1000);

	p.socket = MU_NET_TCP;
	p.conn = conn;
	return p;
}

static void test_connections_are_told_apart(void **state)
{
	struct mu_path a = connection(MU_TCP_MAX + 1), b = connection(2 * MU_TCP_MAX + 1), udp = path_of("192.0.2.1", 1000);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	ask(&ice, &b, false, 0); /* the same place, another generation */
	ask(&ice, &udp, false, 0);
	assert_int_equal(ice.n_pairs, 3);
	assert_false(mu_ice_forget(&ice, &b));
	assert_int_equal(ice.n_pairs, 2);
	assert_false(mu_ice_forget(&ice, &b)); /* is not there */
	assert_int_equal(ice.n_pairs, 2);
	assert_false(ice.lost);
	assert_int_equal(ice.used.conn, a.conn);
}

/* Before keys: whatever is left will do. */
static void test_forgotten_in_the_handshake(void **state)
{
	struct mu_path a = connection(MU_TCP_MAX), b = connection(MU_TCP_MAX + 1);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	ask(&ice, &b, false, 1000);
	assert_true(mu_ice_forget(&ice, &a));
	assert_int_equal(ice.used.conn, b.conn);
	assert_false(mu_ice_forget(&ice, &b));
	assert_true(ice.lost);
	ask(&ice, &a, false, 2000); /* and the first that comes is used */
	assert_int_equal(ice.used.conn, a.conn);
	assert_false(ice.lost);
}

/* With keys: what the peer chose, not whatever it checked; until then consent runs out as it would. */
static void test_forgotten_while_in_use(void **state)
{
	struct mu_path a = connection(MU_TCP_MAX), b = connection(MU_TCP_MAX + 1), c = path_of("192.0.2.9", 9);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 0);
	mu_ice_settle(&ice);
	ask(&ice, &c, false, 1000);
	assert_false(mu_ice_forget(&ice, &a));
	assert_true(ice.lost);
	ask(&ice, &c, false, 20000000);
	assert_int_equal(ice.used.conn, a.conn);
	assert_false(mu_ice_heard(&ice, &c));
	assert_true(mu_ice_consent(&ice, MU_ICE_CONSENT_US - 1));
	assert_false(mu_ice_consent(&ice, MU_ICE_CONSENT_US));
	ask(&ice, &b, true, 21000000);
	assert_int_equal(ice.used.conn, b.conn);
	assert_true(mu_ice_consent(&ice, MU_ICE_CONSENT_US));
	assert_false(ice.lost);
	ask(&ice, &c, true, 22000000); /* chosen, not proven: b is used as long as it is there */
	assert_int_equal(ice.used.conn, b.conn);
	assert_true(mu_ice_forget(&ice, &b));
	assert_true(mu_addr_equal(&ice.used.remote, &c.remote));
	assert_false(ice.moving);
	assert_false(ice.lost);
}

/* A peer whose only connection broke has as long to make another as one that says nothing. */
static void test_forgotten_and_nothing_left(void **state)
{
	struct mu_path a = connection(MU_TCP_MAX), b = connection(MU_TCP_MAX + 1);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	ask(&ice, &a, true, 1000);
	mu_ice_settle(&ice);
	assert_false(mu_ice_forget(&ice, &a));
	assert_int_equal(ice.n_pairs, 0);
	assert_true(mu_ice_consent(&ice, MU_ICE_CONSENT_US));
	assert_false(mu_ice_consent(&ice, 1000 + MU_ICE_CONSENT_US));
	ask(&ice, &b, false, 2000); /* not chosen yet */
	assert_true(ice.lost);
	assert_true(mu_ice_consent(&ice, MU_ICE_CONSENT_US));
	ask(&ice, &b, true, 3000);
	assert_int_equal(ice.used.conn, b.conn);
	assert_true(mu_ice_consent(&ice, 2000 + MU_ICE_CONSENT_US));
}

static void test_consent(void **state)
{
	struct mu_path a = path_of("192.0.2.1", 1000), b = path_of("192.0.2.2", 1000);
	struct mu_ice ice;

	(void)state;
	mu_ice_init(&ice);
	assert_false(mu_ice_consent(&ice, 0));
	ask(&ice, &a, false, 1000);
	assert_true(mu_ice_consent(&ice, 1000));
	ask(&ice, &a, true, 5000000);
	assert_true(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US - 1));
	assert_false(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US));
	/* Another path's checks say nothing about the one we send to. */
	ask(&ice, &b, false, 20000000);
	assert_false(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US));
	ask(&ice, &a, false, 21000000);
	assert_true(mu_ice_consent(&ice, 5000000 + MU_ICE_CONSENT_US));
	/* Gone, and back by a nomination elsewhere. */
	assert_false(mu_ice_consent(&ice, 90000000));
	ask(&ice, &b, true, 90000000);
	assert_true(mu_ice_consent(&ice, 90000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nomination),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_pairs_overflow),
		cmocka_unit_test(test_same_remote_on_another_socket),
		cmocka_unit_test(test_connections_are_told_apart),
		cmocka_unit_test(test_forgotten_in_the_handshake),
		cmocka_unit_test(test_forgotten_while_in_use),
		cmocka_unit_test(test_forgotten_and_nothing_left),
		cmocka_unit_test(test_consent),
		cmocka_unit_test(test_path_of_the_handshake),
		cmocka_unit_test(test_nomination_alone_moves_nothing),
		cmocka_unit_test(test_stale_path_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
