/* Conferences in SQLite, a row each: its state as JSON. A thread of its own writes, so that a disk that stalls delays nobody;
 * of several states that wait only the last one is written, and what the disk refuses is tried again. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "conference/store_file.h"

#define TOPIC	    "conference"
#define GATHER_MS   50 /* what changes together is written together */
#define RETRY_MS    1000
#define LOG_GATE_US 60000000

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
	struct job *writing; /* on its way to the disk: nobody changes these */
	json_t *stored;	     /* an object; its keys are the ids of the rows there are */
	struct mu_conference_db_stats stats;
	bool stop, running, failing;
	pthread_t thread;
	struct mu_log_gate gate; /* the thread's */
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

static struct job **place_in(struct job **at, const char *id)
{
	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

static struct job **place_of(struct mu_conference_db *d, const char *id)
{
	return place_in(&d->waiting, id);
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
			"%s cannot be written: %s (%llu times since the last such line). The gateway goes on with what is in memory and tries "
			"again each second: %s, before it is restarted",
			d->path, sqlite3_errmsg(d->db), (unsigned long long)n, store_file_advice(d->db));
}

/* What became of each is known now. Under the lock. */
static void note_stored(struct mu_conference_db *d, struct job *list)
{
	while (list) {
		struct job *j = list;

		list = j->next;
		if (j->state)
			json_object_set_new(d->stored, j->id, json_true());
		else
			json_object_del(d->stored, j->id);
		job_free(j);
	}
}

/* What is lost with the gateway's memory, now that it stops and the disk will not have it. Under the lock. */
static void tell_lost(struct mu_conference_db *d)
{
	for (const struct job *j = d->waiting; j; j = j->next)
		mu_err(TOPIC, j->id, j->state ? "its last changes are lost: %s could not be written before the stop: %s" :
						"has ended, and will be there again after a start: %s could not be written before the stop: %s",
			d->path, sqlite3_errmsg(d->db));
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
	d->writing = list;
	pthread_mutex_unlock(&d->lock);
	ok = write_all(d->db, list);
	if (!ok) {
		complain(d);
		sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
	}
	pthread_mutex_lock(&d->lock);
	d->writing = NULL;
	d->stats.saved += ok ? length(list) : 0;
	d->stats.failed += !ok;
	if (!ok)
		put_back(d, list);
	else
		note_stored(d, list);
	if (ok && d->failing)
		mu_info(TOPIC, NULL, "%s is written again; nothing was lost", d->path);
	d->failing = !ok;
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
	tell_lost(d);
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* --- control thread --- */

/* An end needs writing only where a row is, or may be in a moment: else those that come and go while the disk refuses would
 * wait for ever more. Under the lock. */
static bool may_be_stored(struct mu_conference_db *d, const char *id)
{
	return json_object_get(d->stored, id) || *place_in(&d->writing, id);
}

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
	if (state || may_be_stored(d, id)) {
		j->next = old ? old->next : NULL;
		*at = j;
		j = NULL;
		pthread_cond_signal(&d->wake);
	} else if (old) {
		*at = old->next;
	}
	pthread_mutex_unlock(&d->lock);
	if (old)
		job_free(old);
	if (j)
		job_free(j);
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
	ret.waiting = length(d->waiting) + length(d->writing);
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

/* What is no conference is not handed over and stays in the file. */
static void load(void *arg, const char *id, const char *text)
{
	struct mu_conference_db *d = arg;
	json_t *state;

	if (!id) {
		json_array_clear(d->kept);
		json_object_clear(d->stored);
		return;
	}
	state = json_loads(text, 0, NULL);
	json_object_set_new(d->stored, id, json_true());
	if (state)
		json_array_append_new(d->kept, state);
	else
		mu_err(TOPIC, id, "%s: its state is no JSON; it stays in the file", d->path);
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
	err = store_file_open(d->path, load, d, &d->db, e);
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
	d->stored = json_object();
	err = d->path && d->kept && d->stored ? start(d, e) : -ENOMEM;
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
	json_decref(d->stored);
	free(d->path);
	free(d);
}
