/* Connections: who is let in, for how long, and what is in the way. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "tcp_kit.h"

static void test_strangers_have_ten_seconds(void **state)
{
	struct mu_path path;
	int silent, noisy, good;

	(void)state;
	up(0, 0);
	silent = peer_known();
	noisy = peer_known();
	good = peer_proven(&path);
	pass(MU_TCP_PROVE_US - SECOND);
	say(noisy, "rubbish");
	assert_true(alive(silent));
	pass(2 * SECOND);
	await_gone(silent);
	await_gone(noisy);
	assert_int_equal(fx.closed, 2);
	assert_int_equal(stats()->tcp_unproven, 2);
	assert_int_equal(stats()->tcp_open, 1);
	assert_true(alive(good));
	pass(MU_TCP_IDLE_US - 12 * SECOND); /* 59 s after its check */
	say(good, "that is no check");
	assert_true(alive(good));
	pass(2 * SECOND);
	await_gone(good);
	down();
}

static void test_disowned(void **state)
{
	struct mu_path path, again;
	int fd, fd2;

	(void)state;
	up(0, 0);
	fd = peer_proven(&path);
	fd2 = peer_proven(&again);
	mu_worker_disown(worker, &path);
	mu_worker_disown(worker, &again);
	mu_worker_send_copy(worker, &path, "bye", 3);
	pass(MU_TCP_PROVE_US - SECOND);
	mu_worker_prove(worker, &again); /* somebody else's now */
	pass(2 * SECOND);
	assert_int_equal(fx.closed, 1);
	assert_int_equal(recv(fd, &(char[5]){ 0 }, 5, MSG_WAITALL), 5);
	await_gone(fd);
	assert_true(alive(fd2));
	close(fd2);
	down();
}

/* --- limits
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void test_limit_of_a_source(void **state)
{
	int fd[4];

	(void)state;
	up(0, 2);
	for (int i = 0; i < 4; i++)
		fd[i] = peer_from(i < 3 ? "127.0.0.1" : "127.0.0.9");
	TURN_UNTIL(stats()->tcp_accepted == 3);
	assert_int_equal(stats()->tcp_refused, 1);
	await_gone(fd[2]);
	assert_true(alive(fd[0]) && alive(fd[1]) && alive(fd[3]));
	close(fd[0]); /* and then there is room for another */
	TURN_UNTIL(fx.closed == 1);
	fd[0] = peer_known();
	for (int i = 0; i < 4; i++)
		close(i == 2 ? -1 : fd[i]);
	down();
}

/* Strangers have a quarter of the places, and the oldest goes; who is known stays. */
static void test_limit_of_strangers(void **state)
{
	struct mu_path path;
	int good, fd[5];

	(void)state;
	up(16, 0);
	good = peer_proven(&path);
	for (int i = 0; i < 5; i++)
		fd[i] = peer_known();
	await_gone(fd[0]);
	assert_int_equal(stats()->tcp_refused, 1);
	assert_int_equal(stats()->tcp_open, 5);
	for (int i = 1; i < 5; i++) {
		assert_true(alive(fd[i]));
		close(fd[i]);
	}
	assert_true(alive(good));
	close(good);
	down();
}

static void test_limit_of_all(void **state)
{
	struct mu_path path;
	int fd[4], more;

	(void)state;
	up(4, 0);
	for (int i = 0; i < 4; i++)
		fd[i] = peer_proven(&path);
	more = peer_from("127.0.0.1");
	await_gone(more);
	assert_int_equal(stats()->tcp_refused, 1);
	for (int i = 0; i < 4; i++) {
		assert_true(alive(fd[i]));
		close(fd[i]);
	}
	down();
}

/* No descriptor is free: the worker does not spin, and goes on when there are some again. */
static void test_descriptors_run_out(void **state)
{
	struct rlimit all, few;
	int fd, lowest;
	uint64_t refused;

	(void)state;
	up(0, 0);
	fd = peer_from("127.0.0.1");
	lowest = dup(0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	TURN_UNTIL(stats()->tcp_refused == 1);
	for (int i = 0; i < 20; i++)
		mu_worker_turn(worker, 0);
	refused = stats()->tcp_refused;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(refused, 1);
	assert_int_equal(stats()->tcp_accepted, 0);
	pass(SECOND);
	TURN_UNTIL(stats()->tcp_accepted == 1);
	close(fd);
	down();
}

static void test_port_in_use(void **state)
{
	struct mu_net_options o = { .workers = 1, .n_listen = 1, .n_tcp = 1, .driven = true };
	struct mu_net *second;
	struct mu_error e;

	(void)state;
	up(0, 0);
	mu_addr_parse("127.0.0.1", 0, &o.listen[0]);
	mu_addr_parse("127.0.0.1", mu_net_tcp_port(net, 0, 1), &o.tcp[0]);
	assert_int_equal(mu_net_new(&o, &tcp_ops, NULL, &second, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "TCP socket for media on 127.0.0.1:"));
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strangers_have_ten_seconds),
		cmocka_unit_test(test_disowned),
		cmocka_unit_test(test_limit_of_a_source),
		cmocka_unit_test(test_limit_of_strangers),
		cmocka_unit_test(test_limit_of_all),
		cmocka_unit_test(test_descriptors_run_out),
		cmocka_unit_test(test_port_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
