/* Conferences kept in SQLite: real files, among them broken ones. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conference/conference.h"

static char folder[64], path[96];
static struct mu_directory *d;
static struct mu_conference_db *db;
static struct mu_conferences *cs;
static struct mu_error e;

static unsigned open_all(void)
{
	struct mu_conference_store store;

	assert_int_equal(mu_conference_db_new(path, &db, &e), 0);
	store = mu_conference_db_store(db);
	assert_int_equal(mu_conferences_new(d, &store, &cs), 0);
	return mu_conference_db_restore(db, cs);
}

static void close_all(void)
{
	mu_conferences_free(cs);
	mu_conference_db_free(db);
}

static struct mu_conference *create(const char *id)
{
	struct mu_conference_spec spec = { .id = id, .title = id };
	struct mu_conference *c;

	assert_int_equal(mu_conference_create(cs, &spec, &c, &e), 0);
	return c;
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/muster-store-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/conferences.db", folder);
	return mu_directory_new("city", &d);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	mu_directory_free(d);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void test_kept(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(open_all(), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	create("morning");
	assert_int_equal(mu_conference_join(create("noon"), "city/hall", "大厅", MU_ROLE_CHAIR, 1, &e), 0);
	assert_int_equal(mu_conference_end(mu_conferences_find(cs, "morning"), NULL, &e), 0);
	close_all();
	assert_int_equal(open_all(), 1);
	assert_null(mu_conferences_find(cs, "morning"));
	assert_string_equal(mu_conference_member(mu_conferences_find(cs, "noon"), "city/hall")->name, "大厅");
	close_all();
}

static int count_rows(void *arg, int n, char **v, char **names)
{
	(void)n;
	(void)names;
	*(int *)arg = atoi(v[0]);
	return 0;
}

/* Rows as another process sees them: what is there would outlive this one. */
static int rows_on_disk(void)
{
	sqlite3 *other;
	int n = -1;

	assert_int_equal(sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	sqlite3_busy_timeout(other, 1000);
	sqlite3_exec(other, "SELECT COUNT(*) FROM conference", count_rows, &n, NULL);
	sqlite3_close(other);
	return n;
}

/* Durable within a fifth of a second, and a hundred changes are few writes. */
static void test_soon_and_gathered(void **state)
{
	int64_t began;
	struct mu_conference *c;

	(void)state;
	open_all();
	c = create("morning");
	for (int i = 0; i < 100; i++)
		assert_int_equal(mu_conference_lock(c, NULL, i % 2, &e), 0);
	began = mu_clock_us();
	while (rows_on_disk() != 1)
		assert_true(mu_clock_us() - began < 5000000);
	assert_in_range(mu_conference_db_stats(db).saved, 1, 20);
	close_all();
}

static void test_broken_file_is_moved_aside(void **state)
{
	char command[256];
	FILE *f;

	(void)state;
	f = fopen(path, "w");
	for (int i = 0; i < 5000; i++)
		fputs("no database", f);
	fclose(f);
	assert_int_equal(open_all(), 0);
	create("morning");
	close_all();
	assert_int_equal(open_all(), 1);
	close_all();
	snprintf(command, sizeof(command), "grep -q 'no database' %s/conferences.db.broken-*", folder);
	assert_int_equal(system(command), 0);
}

static void test_later_version_is_moved_aside(void **state)
{
	char command[256];
	sqlite3 *other;

	(void)state;
	open_all();
	create("morning");
	close_all();
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "PRAGMA user_version=7", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	assert_int_equal(open_all(), 0);
	close_all();
	snprintf(command, sizeof(command), "ls %s/conferences.db.broken-* >/dev/null", folder);
	assert_int_equal(system(command), 0);
}

static void test_broken_rows_stay(void **state)
{
	sqlite3 *other;

	(void)state;
	open_all();
	create("morning");
	close_all();
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other,
				 "INSERT INTO conference VALUES('a', 'torn {'), ('b', '{\"id\": \"../b\", \"layout\": \"equal\"}')", NULL,
				 NULL, NULL),
		SQLITE_OK);
	sqlite3_close(other);
	assert_int_equal(open_all(), 1);
	close_all();
	assert_int_equal(rows_on_disk(), 3);
}

/* A full disk: the conference goes on, and is written once there is room. */
static void test_full_disk(void **state)
{
	struct rlimit limit, small;
	int64_t began;

	(void)state;
	open_all();
	getrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_IGN);
	small = limit;
	small.rlim_cur = 1;
	setrlimit(RLIMIT_FSIZE, &small);
	create("morning");
	began = mu_clock_us();
	while (mu_conference_db_stats(db).failed == 0)
		assert_true(mu_clock_us() - began < 5000000);
	assert_int_equal(mu_conference_db_stats(db).waiting, 1);
	assert_int_equal(mu_conference_lock(mu_conferences_find(cs, "morning"), NULL, true, &e), 0);
	setrlimit(RLIMIT_FSIZE, &limit);
	while (mu_conference_db_stats(db).waiting > 0)
		assert_true(mu_clock_us() - began < 10000000);
	close_all();
	assert_int_equal(open_all(), 1);
	close_all();
}

/* Files that were moved aside. */
static int aside(void)
{
	char command[128];

	snprintf(command, sizeof(command), "test -z \"$(ls %s | grep broken)\"", folder);
	return system(command) != 0;
}

static char *read_file(const char *name, size_t *ret_len)
{
	FILE *f = fopen(name, "r");
	char *text;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*ret_len = (size_t)ftell(f);
	rewind(f);
	text = malloc(*ret_len);
	assert_int_equal(fread(text, 1, *ret_len, f), *ret_len);
	fclose(f);
	return text;
}

/* A disk that forgot some pages in the middle: rows before them can be read, and the file is kept byte for byte. */
static void test_torn_pages_are_seen(void **state)
{
	char id[16], command[300], *before, *after, copy[128];
	size_t len, after_len;
	FILE *f;

	(void)state;
	open_all();
	for (int i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "c%d", i);
		create(id);
	}
	close_all();
	f = fopen(path, "r+");
	fseek(f, 0, SEEK_END);
	fseek(f, ftell(f) / 2 & ~4095L, SEEK_SET);
	for (int i = 0; i < 4096; i++)
		fputc(i * 7 + 1, f);
	fclose(f);
	before = read_file(path, &len);
	assert_int_equal(open_all(), 0);
	create("new");
	close_all();
	snprintf(copy, sizeof(copy), "%s/copy", folder);
	snprintf(command, sizeof(command), "mv $(ls %s/conferences.db.broken-*Z) %s", folder, copy);
	assert_int_equal(system(command), 0);
	after = read_file(copy, &after_len);
	assert_int_equal(after_len, len);
	assert_memory_equal(before, after, len);
	free(before);
	free(after);
	assert_int_equal(open_all(), 1);
	close_all();
}

/* Two in one second must not meet under one name. */
static void test_every_broken_file_is_kept(void **state)
{
	char command[128];

	(void)state;
	for (int i = 0; i < 3; i++) {
		FILE *f = fopen(path, "w");

		fprintf(f, "no database %d, and longer than a header of SQLite is: 0123456789012345678901234567890123456789012345", i);
		for (int k = 0; k < 200; k++)
			fputs("0123456789", f);
		fclose(f);
		assert_int_equal(open_all(), 0);
		close_all();
	}
	snprintf(command, sizeof(command), "test $(ls %s | grep -c 'broken-[^-]*\\(-[23]\\)\\?$') = 3", folder);
	assert_int_equal(system(command), 0);
}

static void test_another_database_is_moved_aside(void **state)
{
	static const char *const others[] = { "CREATE TABLE revoked(jti TEXT)", "CREATE TABLE conference(a); PRAGMA user_version=1" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(others); i++) {
		sqlite3 *other;

		unlink(path);
		assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
		assert_int_equal(sqlite3_exec(other, others[i], NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(other);
		assert_int_equal(open_all(), 0);
		create("morning");
		close_all();
		assert_true(aside());
		assert_int_equal(open_all(), 1);
		close_all();
	}
}

/* What may pass is no reason to begin without what goes on. */
static void test_no_room_at_the_start(void **state)
{
	struct rlimit limit, small;
	sqlite3 *other;

	(void)state;
	open_all();
	create("morning");
	close_all();
	/* It was copied while it was open, say: what is to be written first is its mode of journal. */
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	getrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_IGN);
	small = limit;
	small.rlim_cur = 1;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(mu_conference_db_new(path, &db, &e), -EIO);
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_non_null(strstr(e.text, "make room"));
	assert_false(aside());
	assert_int_equal(open_all(), 1);
	close_all();
}

/* While the disk refuses, those that come and go leave nothing behind that waits; an end of one that is there does wait. */
static void test_come_and_gone_on_a_full_disk(void **state)
{
	struct rlimit limit, small;
	int64_t began = mu_clock_us();

	(void)state;
	open_all();
	create("old");
	while (mu_conference_db_stats(db).saved == 0)
		assert_true(mu_clock_us() - began < 5000000);
	getrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_IGN);
	small = limit;
	small.rlim_cur = 1;
	setrlimit(RLIMIT_FSIZE, &small);
	create("first");
	began = mu_clock_us();
	while (mu_conference_db_stats(db).failed == 0)
		assert_true(mu_clock_us() - began < 5000000);
	for (int i = 0; i < 500; i++) {
		char id[16];

		snprintf(id, sizeof(id), "c%d", i);
		assert_int_equal(mu_conference_end(create(id), NULL, &e), 0);
	}
	assert_int_equal(mu_conference_end(mu_conferences_find(cs, "old"), NULL, &e), 0);
	/* ended while a try may have had some of them in its hands: these wait for its end */
	began = mu_clock_us();
	while (mu_conference_db_stats(db).failed < 2)
		assert_true(mu_clock_us() - began < 10000000);
	assert_in_range(mu_conference_db_stats(db).waiting, 1, 100);
	setrlimit(RLIMIT_FSIZE, &limit);
	began = mu_clock_us();
	while (mu_conference_db_stats(db).waiting > 0)
		assert_true(mu_clock_us() - began < 10000000);
	close_all();
	assert_int_equal(open_all(), 1);
	assert_non_null(mu_conferences_find(cs, "first"));
	close_all();
}

static void test_others_may_not_read_it(void **state)
{
	struct stat st;

	(void)state;
	open_all();
	create("morning");
	close_all();
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(open_all(), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close_all();
}

static void test_no_folder(void **state)
{
	(void)state;
	assert_int_equal(mu_conference_db_new("/nowhere/at/all.db", &db, &e), -EIO);
	assert_non_null(strstr(e.text, "/nowhere/at/all.db"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_soon_and_gathered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_file_is_moved_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later_version_is_moved_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_rows_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_pages_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_broken_file_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_database_is_moved_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_at_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_come_and_gone_on_a_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_may_not_read_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
