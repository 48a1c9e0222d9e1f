/* The log as a reader of stderr sees it, and as threads that must not wait see it. */
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log_internal.h"

/* --- stderr is a pipe that we read ------------------------------------------------------------- */

static int real_stderr = -1, reading = -1;

static int capture(void **state)
{
	int p[2];

	(void)state;
	real_stderr = dup(STDERR_FILENO);
	if (pipe2(p, O_CLOEXEC) < 0 || dup2(p[1], STDERR_FILENO) < 0)
		return -1;
	close(p[1]);
	reading = p[0];
	return 0;
}

static int release(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(reading);
	return 0;
}

static size_t read_some(char *ret, size_t size)
{
	ssize_t n = read(reading, ret, size - 1);

	assert_true(n >= 0);
	ret[n] = '\0';
	return (size_t)n;
}

static void run(pthread_t *t, void *(*fn)(void *), void *arg)
{
	assert_int_equal(pthread_create(t, NULL, fn, arg), 0);
}

static void ends(pthread_t t)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	assert_int_equal(pthread_timedjoin_np(t, NULL, &until), 0);
}

/* --- text
 * ----------------------------------------------------------------------------------------------------------
 */

static void test_clean(void **state)
{
	static const struct {
		const char *in, *out;
		bool cut;
	} rows[] = {
		{ "", "", false },
		{ "plain", "plain", false },
		{ "\xe4\xb8\xad\xe6\x96\x87 caf\xc3\xa9 \xf0\x9f\x9a\x91",
			"\xe4\xb8\xad\xe6\x96\x87 caf\xc3\xa9 \xf0\x9f\x9a\x91", false },
		{ "a\nb\rc\x1b[2Jd\x7f", "a b c [2Jd ", false },
		{ "a\xc2\x9b"
		  "2Jb",
			"a  2Jb", false },             /* C1: CSI in one character */
		{ "caf\xe9", "caf?", false },          /* Latin-1 */
		{ "\xd6\xd0\xce\xc4", "????", false }, /* GB 2312 */
		{ "\xc0\x8a|\xe0\x82\x8a|\xf0\x80\x80\x8a", "??|???|????", false }, /* a newline, overlong */
		{ "\xed\xa0\x80|\xf4\x90\x80\x80|\xf5\xff\xfe", "???|????|???", false },
		{ "a\xe4\xb8\xad", "a\xe4\xb8\xad", true },
		{ "a\xe4\xb8", "a", true },
		{ "a\xe4\xb8", "a??", false },
		{ "a\xf0\x9f\x9a", "a", true },
		{ "a\xe4\xff", "a??", true },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(rows); i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s", rows[i].in);
		log_clean(text, strlen(text), rows[i].cut);
		assert_string_equal(text, rows[i].out);
	}
}

static void test_id_cannot_forge_a_line(void **state)
{
	char line[4096];

	(void)state;
	mu_log_setup(MU_LOG_INFO, MU_LOG_STDERR);
	mu_warn("api", "bob\n2026-01-01T00:00:00.000Z info  api: all is well", "refused\r\nreally \xff");
	read_some(line, sizeof(line));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_null(strchr(line, '\r'));
	assert_non_null(strstr(line, "Z warn  api bob 2026"));
	assert_non_null(strstr(line, ": refused  really ?\n"));
}

static void test_long_names_are_cut_between_characters(void **state)
{
	char name[2000] = "", line[4096];

	(void)state;
	for (int i = 0; i < 600; i++)
		strcat(name, "\xe4\xb8\xad");
	mu_log_setup(MU_LOG_INFO, MU_LOG_STDERR);
	mu_info("x", name, "a%s", name);
	read_some(line, sizeof(line));
	assert_int_equal(strlen(strchr(line, 'x')), 2 + 255 + 2 + 1021 + 1 + 1 - 1);
	assert_null(strchr(line, '?'));
	assert_string_equal(line + strlen(line) - 4, "\xe4\xb8\xad\n");
}

static void test_json_takes_any_bytes(void **state)
{
	char name[2000] = "", line[8192];
	json_t *o;

	(void)state;
	for (int i = 0; i < 600; i++)
		strcat(name, "\xe4\xb8\xad");
	mu_log_setup(MU_LOG_INFO, MU_LOG_JSON);
	mu_info("x", name, "caf\xe9 \"%s\"", name);
	assert_true(read_some(line, sizeof(line)) > 0);
	o = json_loads(line, 0, NULL);
	assert_non_null(o);
	assert_memory_equal(json_string_value(json_object_get(o, "message")), "caf? \"\xe4\xb8\xad", 9);
	assert_int_equal(json_string_length(json_object_get(o, "id")), 255);
	json_decref(o);
	mu_info("x", NULL, "about nothing");
	read_some(line, sizeof(line));
	assert_non_null(strstr(line, "\"id\":null"));
	mu_log_setup(MU_LOG_INFO, MU_LOG_STDERR);
}

/* --- threads
 * ---------------------------------------------------------------------------------------------------------
 */

#define MANY 2000

static void *log_many(void *arg)
{
	for (int i = 0; i < MANY; i++)
		mu_info("thread", arg, "line %d", i);
	return NULL;
}

static int numbers[4];
static const char *const names[] = { "a", "b", "c", "d" };

/* One line read: in its thread's order. @return for how many lines it stands */
static unsigned account_for(const char *line)
{
	const char *at = strstr(line, " thread ");
	unsigned n;

	if (!at) {
		at = strstr(line, "Z warn  log: ");
		assert_non_null(at);
		assert_int_equal(sscanf(at, "Z warn  log: %u log lines were dropped", &n), 1);
		return n;
	}
	assert_int_equal(sscanf(at + 9, ": line %u", &n), 1);
	assert_true((int)n >= numbers[at[8] - 'a']);
	numbers[at[8] - 'a'] = (int)n + 1;
	return 1;
}

/* Read until as many lines are accounted for. @return how many of them came as such */
static unsigned read_lines(unsigned count)
{
	FILE *f = fdopen(dup(reading), "r");
	unsigned n = 0, came = 0;
	char line[2000];

	memset(numbers, 0, sizeof(numbers));
	while (n < count) {
		assert_non_null(fgets(line, sizeof(line), f));
		n += account_for(line);
		came++;
	}
	assert_int_equal(n, count);
	fclose(f);
	return came;
}

static void fill_pipe(void)
{
	char c[512];

	memset(c, '\n', sizeof(c));
	fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096);
	fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
	while (write(STDERR_FILENO, c, sizeof(c)) > 0)
		;
	fcntl(STDERR_FILENO, F_SETFL, 0);
}

static void test_nobody_waits_for_a_stalled_reader(void **state)
{
	pthread_t t[4];
	char c = '\n';

	(void)state;
	mu_log_setup(MU_LOG_INFO, MU_LOG_STDERR);
	fill_pipe();
	for (int i = 0; i < 4; i++)
		run(&t[i], log_many, (void *)(uintptr_t)names[i]);
	for (int i = 0; i < 4; i++)
		ends(t[i]);            /* though nobody reads */
	for (int i = 0; i < 4096; i++) /* what filled it */
		assert_int_equal(read(reading, &c, 1), 1);
	assert_int_equal(c, '\n');
	assert_true(read_lines(4 * MANY) < 4 * MANY);
}

static void test_lines_of_threads_come_in_order(void **state)
{
	pthread_t t[4];
	unsigned came;

	(void)state;
	mu_log_setup(MU_LOG_INFO, MU_LOG_STDERR);
	for (int i = 0; i < 4; i++)
		run(&t[i], log_many, (void *)(uintptr_t)names[i]);
	came = read_lines(4 * MANY);
	for (int i = 0; i < 4; i++)
		ends(t[i]);
	assert_true(came > 256);
}

static void *log_some(void *arg)
{
	for (int i = 0; i < 100; i++)
		mu_info("thread", arg, "line %d", i);
	return NULL;
}

/* In a process of its own, which ends at once after them. First of all: the writer does not live on in a
 * fork. */
static void test_lines_are_out_at_exit(void **state)
{
	pid_t child = fork();
	pthread_t t;
	int status;

	(void)state;
	if (child == 0) {
		mu_log_setup(MU_LOG_INFO, MU_LOG_STDERR);
		if (pthread_create(&t, NULL, log_some, (void *)(uintptr_t)names[0]) == 0)
			pthread_join(t, NULL);
		exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(read_lines(100), 100);
	assert_int_equal(waitpid(child, &status, 0), child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines_are_out_at_exit, capture, release),
		cmocka_unit_test(test_clean),
		cmocka_unit_test_setup_teardown(test_id_cannot_forge_a_line, capture, release),
		cmocka_unit_test_setup_teardown(test_long_names_are_cut_between_characters, capture, release),
		cmocka_unit_test_setup_teardown(test_json_takes_any_bytes, capture, release),
		cmocka_unit_test_setup_teardown(test_lines_of_threads_come_in_order, capture, release),
		cmocka_unit_test_setup_teardown(test_nobody_waits_for_a_stalled_reader, capture, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
