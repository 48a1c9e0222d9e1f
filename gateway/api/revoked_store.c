#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/revoked_store.h"

/* Something for the thread: a row, or, without a jti, a time to purge before. */
struct job {
	struct job *next;
	struct mu_revoked_row row;                                  /* its texts are in text */
	void (*done)(void *arg, int err, const struct mu_error *e); /* NULL: nobody asks */
	void *arg;
	int err;
	struct mu_error e;
	char text[];
};
struct queue {
	struct job *head, **tail;
};
struct mu_revoked_store {
	sqlite3 *db;          /* the thread's, once it runs */
	pthread_mutex_t lock; /* guards in, out, stop */
	pthread_cond_t wake;
	struct queue in, out;
	bool stop, running;
	pthread_t thread;
	int fd; /* eventfd: out has something */
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_put(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

/* --- the thread --- */

static int step(sqlite3 *db, const char *sql, const struct mu_revoked_row *row, struct mu_error *e)
{
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK;

	if (ok) {
		sqlite3_bind_int64(st, 1, row->expires_s);
		if (row->jti) {
			sqlite3_bind_text(st, 2, row->jti, -1, SQLITE_STATIC);
			sqlite3_bind_text(st, 3, row->by, -1, SQLITE_STATIC);
			sqlite3_bind_int64(st, 4, row->at_s);
		}
		ok = sqlite3_step(st) == SQLITE_DONE;
	}
	sqlite3_finalize(st);
	return ok ? 0 : mu_error_set(e, -EIO, "state.db: %s", sqlite3_errmsg(db));
}

static void run(struct mu_revoked_store *s, struct job *j)
{
	static const char put[] = "INSERT OR REPLACE INTO revoked(expires, jti, by, at) VALUES(?, ?, ?, ?)",
			  purge[] = "DELETE FROM revoked WHERE expires > 0 AND expires < ?";
	uint64_t one = 1;

	j->err = step(s->db, j->row.jti ? put : purge, &j->row, &j->e);
	pthread_mutex_lock(&s->lock);
	queue_put(&s->out, j);
	pthread_mutex_unlock(&s->lock);
	while (write(s->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *writer(void *arg)
{
	struct mu_revoked_store *s = arg;

	for (bool stop = false; !stop;) {
		struct job *j, *next;

		pthread_mutex_lock(&s->lock);
		while (!s->in.head && !s->stop)
			pthread_cond_wait(&s->wake, &s->lock);
		j = s->in.head;
		queue_init(&s->in);
		stop = !j;
		pthread_mutex_unlock(&s->lock);
		for (; j; j = next) {
			next = j->next;
			run(s, j);
		}
	}
	return NULL;
}

/* --- control thread --- */

static void post(struct mu_revoked_store *s, struct job *j)
{
	pthread_mutex_lock(&s->lock);
	queue_put(&s->in, j);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void mu_revoked_store_put(struct mu_revoked_store *s, const struct mu_revoked_row *row,
	void (*done)(void *arg, int err, const struct mu_error *e), void *arg)
{
	size_t jti = strlen(row->jti) + 1, by = strlen(row->by) + 1;
	struct job *j = calloc(1, sizeof(*j) + jti + by);
	struct mu_error e;

	if (!j) {
		if (done)
			done(arg, mu_error_set(&e, -EIO, "out of memory"), &e);
		return;
	}
	j->row = *row;
	j->row.jti = memcpy(j->text, row->jti, jti);
	j->row.by = memcpy(j->text + jti, row->by, by);
	j->done = done;
	j->arg = arg;
	post(s, j);
}

void mu_revoked_store_purge(struct mu_revoked_store *s, int64_t before_s)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return;
	j->row.expires_s = before_s;
	post(s, j);
}

int mu_revoked_store_fd(const struct mu_revoked_store *s)
{
	return s->fd;
}

void mu_revoked_store_dispatch(struct mu_revoked_store *s)
{
	struct job *j, *next;
	uint64_t n;

	while (read(s->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&s->lock);
	j = s->out.head;
	queue_init(&s->out);
	pthread_mutex_unlock(&s->lock);
	for (; j; j = next) {
		next = j->next;
		if (j->done)
			j->done(j->arg, j->err, &j->e);
		free(j);
	}
}

struct loading {
	void (*load)(void *arg, const struct mu_revoked_row *row);
	void *arg;
};

static int load_row(void *arg, int n, char **v, char **names)
{
	const struct loading *l = arg;

	(void)n;
	(void)names;
	if (v[0])
		l->load(l->arg,
			&(struct mu_revoked_row){ .jti = v[0],
				.by = v[1] ? v[1] : "",
				.at_s = v[2] ? strtoll(v[2], NULL, 10) : 0,
				.expires_s = v[3] ? strtoll(v[3], NULL, 10) : 0 });
	return 0;
}

static int open_db(struct mu_revoked_store *s, const char *path, struct loading *l, struct mu_error *e)
{
	/* FULL: a revocation is answered when it is on the disk, not when it is on its way. */
	static const char setup[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;"
		"CREATE TABLE IF NOT EXISTS revoked(jti TEXT PRIMARY KEY NOT NULL, at INTEGER NOT NULL,"
		" by TEXT NOT NULL, expires INTEGER NOT NULL);";

	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK &&
		sqlite3_exec(s->db, setup, NULL, NULL, NULL) == SQLITE_OK &&
		sqlite3_exec(s->db, "SELECT jti, by, at, expires FROM revoked", load_row, l, NULL) ==
			SQLITE_OK)
		return 0;
	return mu_error_set(e, -EIO, "%s: %s", path, s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

int mu_revoked_store_new(const char *path, void (*load)(void *arg, const struct mu_revoked_row *row),
	void *arg, struct mu_revoked_store **ret, struct mu_error *e)
{
	struct mu_revoked_store *s = calloc(1, sizeof(*s));
	struct loading l = { load, arg };
	int err;

	if (!s)
		return -ENOMEM;
	queue_init(&s->in);
	queue_init(&s->out);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = s->fd < 0 ? mu_error_set(e, -EIO, "eventfd: %s", strerror(errno)) : open_db(s, path, &l, e);
	if (err == 0) {
		err = pthread_create(&s->thread, NULL, writer, s);
		err = err ? mu_error_set(e, -EIO, "%s: no thread to write it: %s", path, strerror(err)) : 0;
	}
	s->running = err == 0;
	if (err < 0) {
		mu_revoked_store_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void mu_revoked_store_free(struct mu_revoked_store *s)
{
	if (!s)
		return;
	if (s->running) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
		mu_revoked_store_dispatch(s);
	}
	sqlite3_close(s->db);
	if (s->fd >= 0)
		close(s->fd);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
	free(s);
}
