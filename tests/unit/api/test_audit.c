#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glob.h>
#include <cmocka.h>
#include <glib.h>

#include "api/audit.h"
#include "api/audit_line.h"
#include "api/revoked.h"

static char dir[] = "/tmp/muster-audit-XXXXXX", path[64], db[64];
static size_t file_max;

static int setup(void **state)
{
	(void)state;
	file_max = 0;
	strcpy(dir, "/tmp/muster-audit-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	snprintf(db, sizeof(db), "%s/state.db", dir);
	return 0;
}

static int teardown(void **state)
{
	char name[80];
	glob_t g;

	(void)state;
	unlink(path);
	snprintf(name, sizeof(name), "%s/audit-*", dir);
	if (glob(name, 0, NULL, &g) == 0) {
		for (size_t i = 0; i < g.gl_pathc; i++)
			unlink(g.gl_pathv[i]);
		globfree(&g);
	}
	for (int i = 0; i < 3; i++) {
		const char *end[] = { "", "-wal", "-shm" };

		snprintf(name, sizeof(name), "%s%s", db, end[i]);
		unlink(name);
	}
	return rmdir(dir);
}

static struct mu_audit *open_log(void)
{
	struct mu_audit *a;
	struct mu_error e;

	assert_int_equal(mu_audit_new(path, file_max, &a, &e), 0);
	return a;
}

static void add(struct mu_audit *a, int n)
{
	for (int i = 0; i < n; i++)
		mu_audit_add(a,
			&(struct mu_audit_entry){ .who = "duty \"one\"\n#j",
				.from = "192.0.2.1",
				.what = "session.publish",
				.target = "city/a",
				.result = "done" });
}

static void keep(void *arg, json_t *page)
{
	*(json_t **)arg = page;
}

static json_t *read_page(struct mu_audit *a, uint64_t after, unsigned limit)
{
	json_t *page = NULL;

	mu_audit_read(a, after, limit, keep, &page);
	while (!page) {
		mu_audit_dispatch(a);
		usleep(200);
	}
	return page;
}

static void expect(uint64_t after, unsigned limit, size_t entries, bool verified, int broken_at)
{
	struct mu_audit *a = open_log();
	json_t *page = read_page(a, after, limit);

	assert_int_equal(json_array_size(json_object_get(page, "entries")), entries);
	assert_int_equal(json_is_true(json_object_get(page, "verified")), verified);
	assert_int_equal(json_integer_value(json_object_get(page, "broken_at")), broken_at);
	json_decref(page);
	mu_audit_free(a);
}

/* What `hash` means, worked out a second time and apart: SHA-256(prev || line without prev and hash). */
static void check_by_hand(const char *line)
{
	json_t *o = json_loads(line, 0, NULL);
	const char *prev = json_string_value(json_object_get(o, "prev"));
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);

	assert_non_null(prev);
	g_checksum_update(sum, (const guchar *)prev, -1);
	g_checksum_update(sum, (const guchar *)line, strstr(line, ",\"prev\"") - line);
	g_checksum_update(sum, (const guchar *)"}", 1);
	assert_string_equal(json_string_value(json_object_get(o, "hash")), g_checksum_get_string(sum));
	g_checksum_free(sum);
	json_decref(o);
}

static char *slurp(gsize *len)
{
	GMappedFile *f = g_mapped_file_new(path, FALSE, NULL);
	char *text;

	assert_non_null(f);
	*len = g_mapped_file_get_length(f);
	text = g_strndup(g_mapped_file_get_contents(f), *len);
	g_mapped_file_unref(f);
	return text;
}

static void test_chain_goes_on_after_a_restart(void **state)
{
	struct mu_audit *a;
	char *text, **lines;
	gsize len;

	(void)state;
	a = open_log();
	add(a, 3);
	mu_audit_free(a);
	a = open_log();
	add(a, 2);
	mu_audit_free(a);
	expect(0, 100, 5, true, 0);
	expect(3, 100, 2, true, 0);
	expect(1, 2, 2, true, 0);
	text = slurp(&len);
	lines = g_strsplit(text, "\n", 0);
	for (int i = 0; i < 5; i++)
		check_by_hand(lines[i]);
	assert_non_null(strstr(lines[0], MU_AUDIT_ZERO));
	assert_non_null(strstr(lines[0], "\"n\":1,"));
	g_strfreev(lines);
	g_free(text);
}

static void test_reading_far_into_a_long_log(void **state)
{
	struct mu_audit *a = open_log();
	json_t *page;

	(void)state;
	for (int i = 0; i < 10; i++) {
		add(a, 300);
		page = read_page(a, 0, 1); /* a batch of its own */
		json_decref(page);
	}
	page = read_page(a, 2990, 100);
	assert_int_equal(json_array_size(json_object_get(page, "entries")), 10);
	assert_true(json_is_true(json_object_get(page, "verified")));
	assert_int_equal(json_integer_value(json_object_get(page, "last")), 3000);
	json_decref(page);
	mu_audit_free(a);
	expect(2500, 1000, 500, true, 0);
}

static void test_any_changed_byte_is_found(void **state)
{
	struct mu_audit *a = open_log();
	char *good, *bad;
	gsize len;

	(void)state;
	add(a, 4);
	mu_audit_free(a);
	good = slurp(&len);
	for (gsize at = 0; at < len; at += 23) {
		int line = 1;
		uint64_t n;

		for (gsize i = 0; i < at; i++)
			line += good[i] == '\n';
		bad = g_memdup2(good, len);
		bad[at] = bad[at] == 'x' ? 'y' : 'x';
		assert_true(g_file_set_contents(path, bad, (gssize)len, NULL));
		a = open_log();
		json_t *page = read_page(a, 0, 100);

		n = (uint64_t)json_integer_value(json_object_get(page, "broken_at"));
		if (at + 1 == len) /* the last newline: an unfinished line */
			assert_int_equal(n, 0);
		else if (n != (uint64_t)line)
			fail_msg("byte %zu of line %d: broken_at %d", (size_t)at, line, (int)n);
		json_decref(page);
		mu_audit_free(a);
		g_free(bad);
	}
	g_free(good);
}

static void test_removed_lines_are_found(void **state)
{
	struct mu_audit *a = open_log();
	char *text, *second, *third;
	json_t *page;
	gsize len;

	(void)state;
	add(a, 4);
	page = read_page(a, 0, 10);
	json_decref(page);
	text = slurp(&len);
	second = strchr(text, '\n') + 1;
	third = strchr(second, '\n') + 1;
	/* the tail, under a running gateway: it knows what it wrote */
	assert_int_equal(truncate(path, third - text), 0);
	page = read_page(a, 0, 10);
	assert_int_equal(json_integer_value(json_object_get(page, "broken_at")), 3);
	json_decref(page);
	mu_audit_free(a);
	/* one from the middle */
	memmove(second, third, len - (size_t)(third - text) + 1);
	assert_true(g_file_set_contents(path, text, -1, NULL));
	expect(0, 100, 3, false, 2);
	/* and entries go on behind it */
	a = open_log();
	add(a, 1);
	mu_audit_free(a);
	expect(0, 100, 4, false, 2);
	g_free(text);
}

static void test_unfinished_last_line_is_cut_off(void **state)
{
	struct mu_audit *a = open_log();
	FILE *f;

	(void)state;
	add(a, 2);
	mu_audit_free(a);
	f = fopen(path, "a");
	fputs("{\"n\":3,\"time", f);
	fclose(f);
	expect(0, 100, 3, true, 0); /* two, and the note about the repair */
}

/* A disk that is full: the file may grow no further. @return the limit before */
static struct rlimit fill_disk(void)
{
	struct rlimit was, full;
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	full = was;
	full.rlim_cur = (rlim_t)st.st_size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	return was;
}

static json_t *find_entry(json_t *page, const char *what)
{
	json_t *e, *entries = json_object_get(page, "entries");
	size_t i;

	json_array_foreach(entries, i, e)
	{
		if (strcmp(json_string_value(json_object_get(e, "what")), what) == 0)
			return e;
	}
	return NULL;
}

/* The batch that tells of a loss may be lost in its turn. */
static void test_entries_lost_are_all_counted(void **state)
{
	struct mu_audit *a = open_log();
	struct rlimit was;
	json_t *page, *lost;

	(void)state;
	add(a, 2);
	json_decref(read_page(a, 0, 10));
	was = fill_disk();
	for (int i = 3; i > 0; i--) { /* batches of 3, 2 and 1 */
		add(a, i);
		json_decref(read_page(a, 0, 10));
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	add(a, 1);
	page = read_page(a, 0, 10);
	lost = find_entry(page, "audit.lost");
	assert_non_null(lost);
	assert_string_equal(
		json_string_value(json_object_get(lost, "why")), "6 entries could not be written");
	assert_int_equal(json_array_size(json_object_get(page, "entries")), 4);
	assert_true(json_is_true(json_object_get(page, "verified")));
	json_decref(page);
	mu_audit_free(a);
}

static void count_stored(void *arg, int err, const struct mu_error *e)
{
	(void)e;
	assert_int_equal(err, 0);
	++*(int *)arg;
}

/* --- full files --- */

/* A log of several files. @return the number of its last entry */
static uint64_t fill(void)
{
	struct mu_audit *a;
	uint64_t last = 0;

	file_max = 1500; /* some entries */
	a = open_log();
	for (int i = 0; i < 30; i++) {
		json_t *page;

		add(a, 1);
		page = read_page(a, 0, 1); /* a batch of its own */
		last = (uint64_t)json_integer_value(json_object_get(page, "last"));
		json_decref(page);
	}
	mu_audit_free(a);
	return last;
}

static char *full_file(size_t i, size_t *ret_n)
{
	char pattern[80], *name;
	glob_t g;

	snprintf(pattern, sizeof(pattern), "%s/audit-*.jsonl", dir);
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(i < g.gl_pathc);
	name = strdup(g.gl_pathv[i]);
	if (ret_n)
		*ret_n = g.gl_pathc;
	globfree(&g);
	return name;
}

static void test_chain_goes_on_in_the_next_file(void **state)
{
	uint64_t last = fill(), next = 0;
	struct mu_audit *a;
	size_t files;
	char *first;

	(void)state;
	first = full_file(0, &files);
	assert_true(files >= 4);
	assert_non_null(strstr(first, "/audit-00000000000000000001.jsonl"));
	assert_int_equal(last, 30 + files); /* each file but the first says what it goes on from */
	free(first);
	a = open_log();
	while (next < last) { /* page by page, across files */
		json_t *page = read_page(a, next, 7), *entries = json_object_get(page, "entries"), *e;
		size_t i;

		assert_true(json_is_true(json_object_get(page, "verified")));
		assert_int_equal(json_integer_value(json_object_get(page, "first")), 1);
		assert_int_equal(json_array_size(entries), MU_MIN(7, last - next));
		json_array_foreach(entries, i, e)
			assert_int_equal(json_integer_value(json_object_get(e, "n")), ++next);
		json_decref(page);
	}
	mu_audit_free(a);
	expect(0, 1000, last, true, 0);
}

static void test_a_changed_full_file_is_found_when_it_is_read(void **state)
{
	uint64_t last = fill();
	char *name = full_file(1, NULL);
	FILE *f = fopen(name, "r+");

	(void)state;
	fseek(f, 60, SEEK_SET);
	fputc('~', f);
	fclose(f);
	expect(last - 2, 10, 2, true, 0);
	expect(0, 1000, last, false, (int)strtoull(strrchr(name, '-') + 1, NULL, 10));
	free(name);
}

static void test_full_files_that_are_gone(void **state)
{
	uint64_t last = fill(), begin[4];
	char *name[4];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		name[i] = full_file(i, NULL);
		begin[i] = strtoull(strrchr(name[i], '-') + 1, NULL, 10);
	}
	assert_int_equal(unlink(name[0]), 0); /* moved away, as it may be */
	expect(0, 1000, last - begin[1] + 1, true, 0);
	assert_int_equal(unlink(name[2]), 0); /* one from the middle is another matter */
	expect(0, 1000, last - begin[1] + 1 - (begin[3] - begin[2]), false, (int)begin[2]);
	for (size_t i = 0; i < 4; i++)
		free(name[i]);
}

/* Between the old name and the first line in the new file. */
static void test_a_crash_while_files_change(void **state)
{
	uint64_t last = fill();
	struct mu_audit *a;
	char name[100], *text;
	gsize len;

	(void)state;
	text = slurp(&len);
	snprintf(name, sizeof(name), "%s/audit-%020llu.jsonl", dir, strtoull(text + 5, NULL, 10));
	g_free(text);
	assert_int_equal(rename(path, name), 0);
	expect(0, 1000, last, true, 0);
	a = open_log();
	add(a, 1);
	mu_audit_free(a);
	expect(0, 1000, last + 2, true, 0);
}

static void test_revoked_outlive_a_restart(void **state)
{
	struct mu_revoked *r;
	struct mu_error e;
	int stored = 0;

	(void)state;
	assert_int_equal(mu_revoked_new(db, &r, &e), 0);
	assert_int_equal(mu_revoked_add(r, "a", "boss", 1000, 5000, &e), 0);
	assert_int_equal(mu_revoked_add(r, "b", "boss", 1001, 0, &e), 0);
	assert_int_equal(mu_revoked_add(r, "a'; DROP TABLE revoked;--", "boss", 1002, 0, &e), 0);
	mu_revoked_store(r, "a", count_stored, &stored);
	mu_revoked_store(r, "b", count_stored, &stored);
	mu_revoked_store(r, "a'; DROP TABLE revoked;--", count_stored, &stored);
	mu_revoked_free(r);
	assert_int_equal(stored, 3);
	assert_int_equal(mu_revoked_new(db, &r, &e), 0);
	assert_true(mu_revoked_has(r, "a"));
	assert_true(mu_revoked_has(r, "b"));
	assert_true(mu_revoked_has(r, "a'; DROP TABLE revoked;--"));
	assert_false(mu_revoked_has(r, "c"));
	assert_int_equal(mu_revoked_purge(r, 5030), 0); /* within the leeway of clocks */
	assert_int_equal(mu_revoked_purge(r, 5061), 1);
	mu_revoked_free(r);
	assert_int_equal(mu_revoked_new(db, &r, &e), 0);
	assert_false(mu_revoked_has(r, "a"));
	assert_true(mu_revoked_has(r, "b"));
	mu_revoked_free(r);
}

static void test_a_second_revocation_does_not_shorten_the_first(void **state)
{
	struct mu_revoked *r;
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_revoked_new(NULL, &r, &e), 0);
	mu_revoked_add(r, "a", "boss", 1000, 9000, &e);
	mu_revoked_add(r, "a", "boss", 1001, 2000, &e);
	assert_int_equal(mu_revoked_purge(r, 3000), 0);
	mu_revoked_add(r, "a", "boss", 1002, 0, &e);
	mu_revoked_add(r, "a", "boss", 1003, 2000, &e);
	assert_int_equal(mu_revoked_purge(r, 99999), 0);
	mu_revoked_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chain_goes_on_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reading_far_into_a_long_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_changed_byte_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_lines_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_last_line_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chain_goes_on_in_the_next_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_changed_full_file_is_found_when_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_files_that_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_crash_while_files_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entries_lost_are_all_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revoked_outlive_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_second_revocation_does_not_shorten_the_first, setup, teardown),
	};

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	return cmocka_run_group_tests_name("api audit", tests, NULL, NULL);
}
