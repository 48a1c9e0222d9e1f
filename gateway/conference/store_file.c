#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conference/store_file.h"

#define TOPIC   "conference"
#define VERSION 1
#define BUSY_MS 10000 /* for whoever makes a copy meanwhile */

enum found { FOUND_GOOD, FOUND_BROKEN, FOUND_NOT_NOW };

const char *store_file_advice(sqlite3 *db)
{
	switch (db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM) {
	case SQLITE_FULL:
		return "make room on its disk";
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "end the program that holds it";
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return "give the gateway's user the right to write it and its folder";
	case SQLITE_CANTOPEN:
		return "give the gateway's user the right to read and write it and its folder, or make room on its disk";
	case SQLITE_NOMEM:
		return "make memory available";
	default:
		return "make room on its disk, or mend the disk";
	}
}

/* @return what the last call's error means for the file: damage stays, all else may pass */
static enum found judge(sqlite3 *db, char *why, size_t size)
{
	int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;

	snprintf(why, size, "%s", db ? sqlite3_errmsg(db) : "out of memory");
	return code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? FOUND_BROKEN : FOUND_NOT_NOW;
}

/* The first column of the first row. @return false: judge says why */
static bool read_text(sqlite3 *db, const char *sql, char *ret, size_t size)
{
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK;
	int got = ok ? sqlite3_step(st) : SQLITE_ERROR;
	const unsigned char *text = got == SQLITE_ROW ? sqlite3_column_text(st, 0) : NULL;

	snprintf(ret, size, "%s", text ? (const char *)text : "");
	ok = got == SQLITE_ROW || got == SQLITE_DONE;
	sqlite3_finalize(st);
	return ok;
}

/* Only looks: a file that is to be moved aside stays as it was, for whoever wants to save what is in it. */
static enum found look(sqlite3 *db, bool *ret_new, char *why, size_t size)
{
	char version[32], objects[32], columns[32], check[128];

	if (!read_text(db, "PRAGMA user_version", version, sizeof(version)) ||
		!read_text(db, "SELECT COUNT(*) FROM sqlite_master", objects, sizeof(objects)) ||
		!read_text(db,
			"SELECT COUNT(*) FROM pragma_table_info('conference') WHERE name IN ('id', 'state')",
			columns, sizeof(columns)) ||
		!read_text(db, "PRAGMA quick_check(1)", check, sizeof(check)))
		return judge(db, why, size);
	*ret_new = strcmp(version, "0") == 0 && strcmp(objects, "0") == 0;
	if (strcmp(check, "ok") != 0)
		snprintf(why, size, "it is damaged: %s", check);
	else if (strtol(version, NULL, 10) > VERSION)
		snprintf(why, size, "it is of version %s, and this program knows %d", version, VERSION);
	else if (!*ret_new && (strtol(version, NULL, 10) != VERSION || strcmp(columns, "2") != 0))
		snprintf(why, size, "it is a database of something else");
	else
		return FOUND_GOOD;
	return FOUND_BROKEN;
}

static enum found read_rows(sqlite3 *db, void (*load)(void *arg, const char *id, const char *state),
	void *arg, char *why, size_t size)
{
	sqlite3_stmt *st = NULL;
	int got = sqlite3_prepare_v2(db, "SELECT id, state FROM conference ORDER BY id", -1, &st, NULL);
	enum found found = FOUND_GOOD;

	while (got == SQLITE_OK || got == SQLITE_ROW) {
		got = sqlite3_step(st);
		if (got == SQLITE_ROW) {
			const char *id = (const char *)sqlite3_column_text(st, 0),
				   *state = (const char *)sqlite3_column_text(st, 1);

			load(arg, id ? id : "", state ? state : "");
		}
	}
	if (got != SQLITE_DONE)
		found = judge(db, why, size);
	sqlite3_finalize(st);
	return found;
}

static enum found set_up(sqlite3 *db, bool is_new, char *why, size_t size)
{
	/* FULL: a conference that was made or ended is so after a power cut, too. */
	static const char
		always[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
		first[] = "BEGIN; CREATE TABLE conference(id TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL);"
			  "PRAGMA user_version=1; COMMIT";

	if (sqlite3_exec(db, always, NULL, NULL, NULL) == SQLITE_OK &&
		(!is_new || sqlite3_exec(db, first, NULL, NULL, NULL) == SQLITE_OK))
		return FOUND_GOOD;
	return judge(db, why, size);
}

/* Who is in a conference is nobody else's to read. As the gateway makes the file it is so already. */
static enum found close_to_others(const char *path, char *why, size_t size)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 0077) && chmod(path, 0600) < 0) {
		snprintf(why, size, "others may read it, and that cannot be changed: %s", strerror(errno));
		return FOUND_NOT_NOW;
	}
	return FOUND_GOOD;
}

static enum found try(const char *path, void (*load)(void *arg, const char *id, const char *state), void *arg,
	sqlite3 **ret, char *why, size_t size)
{
	sqlite3 *db = NULL;
	bool is_new = false;
	enum found found;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
		found = judge(db, why, size);
	} else {
		sqlite3_busy_timeout(db, BUSY_MS);
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		found = close_to_others(path, why, size);
		found = found == FOUND_GOOD ? look(db, &is_new, why, size) : found;
		found = found == FOUND_GOOD ? set_up(db, is_new, why, size) : found;
		found = found == FOUND_GOOD ? read_rows(db, load, arg, why, size) : found;
	}
	if (found == FOUND_GOOD) {
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
		*ret = db;
		return found;
	}
	if (found == FOUND_NOT_NOW)
		snprintf(why + strlen(why), size - strlen(why), ". %s",
			db && sqlite3_errcode(db) != SQLITE_OK ? store_file_advice(db)
							       : "make it the gateway's own");
	sqlite3_close(db);
	return found;
}

/* A name that nothing has: <path>.broken-<time>. @return malloc'ed, NULL: out of memory */
static char *name_aside(const char *path)
{
	time_t now = (time_t)(mu_clock_wall_us() / 1000000);
	char when[32], *to;
	struct tm tm;

	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	for (unsigned i = 1;; i++) {
		if ((i == 1 ? asprintf(&to, "%s.broken-%s", path, when)
			    : asprintf(&to, "%s.broken-%s-%u", path, when, i)) < 0)
			return NULL;
		if (access(to, F_OK) < 0)
			return to;
		free(to);
	}
}

/* With what SQLite keeps beside it. @return 0, -errno */
static int move_aside(const char *path, const char *to)
{
	static const char *const tails[] = { "-wal", "-shm" };

	if (rename(path, to) < 0)
		return -errno;
	for (size_t i = 0; i < MU_ARRAY_LEN(tails); i++) {
		char *from = NULL, *there = NULL;

		if (asprintf(&from, "%s%s", path, tails[i]) > 0 && asprintf(&there, "%s%s", to, tails[i]) > 0)
			rename(from, there); /* it may not be there */
		free(from);
		free(there);
	}
	return 0;
}

int store_file_open(const char *path, void (*load)(void *arg, const char *id, const char *state), void *arg,
	sqlite3 **ret, struct mu_error *e)
{
	char why[300] = "", *to;
	enum found found = try(path, load, arg, ret, why, sizeof(why));
	int err;

	if (found == FOUND_BROKEN) {
		to = name_aside(path);
		err = to ? move_aside(path, to) : -ENOMEM;
		if (err < 0) {
			free(to);
			return mu_error_set(e, -EIO,
				"%s cannot be used: %s; nor moved aside: %s. Move it away by hand", path, why,
				strerror(-err));
		}
		mu_err(TOPIC, NULL,
			"%s cannot be used: %s. It is %s now, unchanged, and the gateway begins without conferences. To have them again: stop "
			"the gateway, mend that file (sqlite3 has .recover) or start the version that wrote it, and move it back",
			path, why, to);
		free(to);
		load(arg, NULL, NULL);
		found = try(path, load, arg, ret, why, sizeof(why));
	}
	return found == FOUND_GOOD
		? 0
		: mu_error_set(e, -EIO, "the conferences in %s cannot be read: %s", path, why);
}
