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
		cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
