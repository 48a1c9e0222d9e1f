/* Conferences in SQLite, a row each: its state as JSON. A thread of its own writes, so that a disk that stalls delays nobody;
 * of several states that wait only the last one is written, and what the disk refuses is tried again. */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "conference/conference_internal.h"

#define TOPIC	    "conference"
#define VERSION	    1
#define GATHER_MS   50 /* what changes together is written together */
#define RETRY_MS    1000
#define LOG_GATE_US 10000000

/* A conference whose state is to be written, or, without one, which has ended. */
struct job {
	struct job *next;
	char id[65];
	char *state;
};
struct mu_conference_db {
	sqlite3 *db; /* the thread's, once it runs */
	char *path;
	json_t *kept; /* what was there at the start, until it is taken back */
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t wake;
	struct job *waiting;
	unsigned writing; /* taken out of waiting, and not on the disk yet */
	struct mu_conference_db_stats stats;
	bool stop, running;
	pthread_t thread;
	struct mu_log_gate gate;
};

static void job_free(struct job *j)
{
	free(j->state);
	free(j);
}

/* --- the thread --- */

static bool write_one(sqlite3 *db, const struct job *j)
{
	static const char put[] = "INSERT OR REPLACE INTO conference(id, state) VALUES(?1, ?2)",
			  drop[] = "DELETE FROM conference WHERE id = ?1";
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(db, j->state ? put : drop, -1, &st, NULL) == SQLITE_OK;

	if (ok) {
		sqlite3_bind_text(st, 1, j->id, -1, SQLITE_STATIC);
		if (j->state)
			sqlite3_bind_text(st, 2, j->state, -1, SQLITE_STATIC);
		ok = sqlite3_step(st) == SQLITE_DONE;
	}
	sqlite3_finalize(st);
	return ok;
}

static bool write_all(sqlite3 *db, const struct job *list)
{
	bool ok = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;

	for (; ok && list; list = list->next)
		ok = write_one(db, list);
	if (ok)
		ok = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
	return ok;
}

static struct job **place_of(struct mu_conference_db *d, const char *id)
{
	struct job **at = &d->waiting;

	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

/* What could not be written waits again, unless something newer does already. Under the lock. */
static void put_back(struct mu_conference_db *d, struct job *list)
{
	while (list) {
		struct job *j = list, **at;

		list = j->next;
		j->next = NULL;
		at = place_of(d, j->id);
		if (*at)
			job_free(j);
		else
			*at = j;
	}
}

static unsigned length(const struct job *list)
{
	unsigned n = 0;

	for (; list; list = list->next)
		n++;
	return n;
}

static void complain(struct mu_conference_db *d)
{
	uint64_t n = mu_log_gate_pass(&d->gate, mu_clock_us(), LOG_GATE_US);

	if (n)
		mu_err(TOPIC, NULL,
			"%s cannot be written: %s (%llu times so far); what is in memory is not lost, and is written when the disk takes it: "
			"make room, or mend it, before the gateway is restarted",
			d->path, sqlite3_errmsg(d->db), (unsigned long long)n);
}

static void wait_ms(struct mu_conference_db *d, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!d->stop && pthread_cond_timedwait(&d->wake, &d->lock, &until) != ETIMEDOUT)
		;
}

/* @return whether the disk took it */
static bool write_waiting(struct mu_conference_db *d)
{
	struct job *list = d->waiting;
	bool ok;

	d->waiting = NULL;
	d->writing = length(list);
	pthread_mutex_unlock(&d->lock);
	ok = write_all(d->db, list);
	if (!ok) {
		complain(d);
		sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
	}
	pthread_mutex_lock(&d->lock);
	d->writing = 0;
	d->stats.saved += ok ? length(list) : 0;
	d->stats.failed += !ok;
	if (!ok)
		put_back(d, list);
	while (ok && list) {
		struct job *j = list;

		list = j->next;
		job_free(j);
	}
	return ok;
}

static void *writer(void *arg)
{
	struct mu_conference_db *d = arg;

	pthread_mutex_lock(&d->lock);
	while (!d->stop || d->waiting) {
		if (!d->waiting) {
			pthread_cond_wait(&d->wake, &d->lock);
			continue;
		}
		wait_ms(d, GATHER_MS);
		if (!write_waiting(d)) {
			if (d->stop)
				break; /* it was tried once more; nothing can wait for ever */
			wait_ms(d, RETRY_MS);
		}
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* --- control thread --- */

static void save(void *arg, const char *id, const json_t *state)
{
	struct mu_conference_db *d = arg;
	struct job *j = calloc(1, sizeof(*j)), **at, *old;

	if (j && state)
		j->state = json_dumps(state, JSON_COMPACT);
	if (!j || (state && !j->state)) {
		free(j);
		mu_err(TOPIC, id, "out of memory: its last change is not kept until the next one");
		return;
	}
	snprintf(j->id, sizeof(j->id), "%s", id);
	pthread_mutex_lock(&d->lock);
	at = place_of(d, id);
	old = *at;
	j->next = old ? old->next : NULL;
	*at = j;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
	if (old)
		job_free(old);
}

struct mu_conference_store mu_conference_db_store(struct mu_conference_db *d)
{
	return (struct mu_conference_store){ .save = save, .arg = d };
}

struct mu_conference_db_stats mu_conference_db_stats(struct mu_conference_db *d)
{
	struct mu_conference_db_stats ret;

	pthread_mutex_lock(&d->lock);
	ret = d->stats;
	ret.waiting = length(d->waiting) + d->writing;
	pthread_mutex_unlock(&d->lock);
	return ret;
}

unsigned mu_conference_db_restore(struct mu_conference_db *d, struct mu_conferences *cs)
{
	json_t *state;
	unsigned n = 0;
	size_t i;

	json_array_foreach (d->kept, i, state) {
		struct mu_error e = { "" };

		if (mu_conferences_restore(cs, state, &e) == 0)
			n++;
		else
			mu_err(TOPIC, NULL, "%s: a conference cannot be taken back: %s; it stays in the file", d->path, e.text);
	}
	json_decref(d->kept);
	d->kept = NULL;
	return n;
}

/* --- opened --- */

static int load_row(void *arg, int n, char **v, char **names)
{
	struct mu_conference_db *d = arg;
	json_t *state = n > 1 && v[1] ? json_loads(v[1], 0, NULL) : NULL;

	(void)names;
	if (state)
		json_array_append_new(d->kept, state);
	else
		mu_err(TOPIC, v[0], "%s: its state is no JSON; it stays in the file", d->path);
	return 0;
}

static int read_number(void *arg, int n, char **v, char **names)
{
	(void)n;
	(void)names;
	*(long *)arg = v[0] ? strtol(v[0], NULL, 10) : -1;
	return 0;
}

/* @return whether it can be used; else why is what is wrong with it */
static bool open_file(struct mu_conference_db *d, char *why, size_t size)
{
	/* FULL: a conference that was made or ended is so after a power cut, too. */
	static const char setup[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;"
				    "CREATE TABLE IF NOT EXISTS conference(id TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL);"
				    "PRAGMA user_version=1;";
	long version = -1;

	if (sqlite3_open_v2(d->path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK &&
		chmod(d->path, 0600) == 0 &&
		sqlite3_exec(d->db, "PRAGMA user_version", read_number, &version, NULL) == SQLITE_OK && version <= VERSION &&
		sqlite3_exec(d->db, setup, NULL, NULL, NULL) == SQLITE_OK &&
		sqlite3_exec(d->db, "SELECT id, state FROM conference ORDER BY id", load_row, d, NULL) == SQLITE_OK)
		return true;
	if (version > VERSION)
		snprintf(why, size, "it is of version %ld, and this program knows %d", version, VERSION);
	else
		snprintf(why, size, "%s", d->db ? sqlite3_errmsg(d->db) : "out of memory");
	sqlite3_close(d->db);
	d->db = NULL;
	json_array_clear(d->kept);
	return false;
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

static int open_or_replace(struct mu_conference_db *d, struct mu_error *e)
{
	char why[200], *to = NULL;
	int err = 0;

	if (open_file(d, why, sizeof(why)))
		return 0;
	if (asprintf(&to, "%s.broken-%lld", d->path, (long long)mu_clock_wall_us() / 1000000) < 0)
		return -ENOMEM;
	err = move_aside(d->path, to);
	if (err == 0) {
		mu_err(TOPIC, NULL, "%s cannot be used: %s. It is %s now, and the gateway begins without conferences", d->path, why,
			to);
		if (!open_file(d, why, sizeof(why)))
			err = -EIO;
	}
	free(to);
	return err < 0 ? mu_error_set(e, -EIO, "%s: %s", d->path, why) : 0;
}

static int start(struct mu_conference_db *d, struct mu_error *e)
{
	pthread_condattr_t monotonic;
	int err;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&d->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&d->lock, NULL);
	err = open_or_replace(d, e);
	if (err == 0) {
		err = -pthread_create(&d->thread, NULL, writer, d);
		d->running = err == 0;
		if (err < 0)
			mu_error_set(e, err, "%s: no thread to write it: %s", d->path, strerror(-err));
	}
	return err;
}

int mu_conference_db_new(const char *path, struct mu_conference_db **ret, struct mu_error *e)
{
	struct mu_conference_db *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->path = strdup(path);
	d->kept = json_array();
	err = d->path && d->kept ? start(d, e) : -ENOMEM;
	if (err < 0) {
		mu_conference_db_free(d);
		return err;
	}
	*ret = d;
	return 0;
}

void mu_conference_db_free(struct mu_conference_db *d)
{
	if (!d)
		return;
	if (d->running) {
		pthread_mutex_lock(&d->lock);
		d->stop = true;
		pthread_cond_signal(&d->wake);
		pthread_mutex_unlock(&d->lock);
		pthread_join(d->thread, NULL);
	}
	while (d->waiting) {
		struct job *j = d->waiting;

		d->waiting = j->next;
		job_free(j);
	}
	sqlite3_close(d->db);
	json_decref(d->kept);
	free(d->path);
	free(d);
}
