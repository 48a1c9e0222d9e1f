#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/audit_file.h"

#define RETRY_LOG_US 10000000

/* Something for the writer thread: an entry, or a wish to read. */
struct item {
	struct item *next;
	int64_t wall_us;
	struct mu_audit_entry entry;
	void (*done)(void *arg, json_t *page); /* NULL: an entry */
	void *arg;
	uint64_t after;
	unsigned limit;
	json_t *page;
	char text[]; /* of the entry */
};
struct queue {
	struct item *head, **tail;
	size_t n;
};
struct mu_audit {
	pthread_mutex_t lock; /* guards in, out, n_lost, stop */
	pthread_cond_t wake;
	struct queue in, out;
	uint64_t n_lost;
	bool stop;
	pthread_t thread;
	int fd;                    /* eventfd: out has something */
	struct mu_audit_file file; /* the writer's */
	struct mu_log_gate gate;   /* the writer's */
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
	q->n = 0;
}

static void queue_put(struct queue *q, struct item *it)
{
	it->next = NULL;
	*q->tail = it;
	q->tail = &it->next;
	q->n++;
}

/* --- writer thread --- */

static int note(struct mu_audit *a, const char *what, const char *why)
{
	return mu_audit_file_add(&a->file, mu_clock_wall_us(),
		&(struct mu_audit_entry){ .who = "muster", .what = what, .why = why });
}

static void check(struct mu_audit *a)
{
	off_t cut = mu_audit_file_check(&a->file);

	if (a->file.broken_at)
		mu_err("audit", a->file.path,
			"entry %llu does not follow the one before: the log was changed or damaged; entries go on behind it",
			(unsigned long long)a->file.broken_at);
	if (cut) {
		mu_warn("audit", a->file.path, "the last line was unfinished (%lld bytes) and is cut off",
			(long long)cut);
		note(a, "audit.repaired", "an unfinished last line was cut off");
	}
}

static void lose(struct mu_audit *a, uint64_t n)
{
	pthread_mutex_lock(&a->lock);
	a->n_lost += n;
	pthread_mutex_unlock(&a->lock);
}

/* @param n entries that go with the batch: those in it, and those whose loss it tells of */
static void sync_batch(struct mu_audit *a, uint64_t n)
{
	int err = mu_audit_file_sync(&a->file);
	uint64_t lines;

	if (err == 0)
		return;
	lines = mu_log_gate_pass(&a->gate, mu_clock_us(), RETRY_LOG_US);
	if (lines)
		mu_err("audit", a->file.path, "cannot write: %s; entries are lost until there is room",
			strerror(-err));
	lose(a, n);
}

static void answer(struct mu_audit *a, struct item *it)
{
	uint64_t one = 1;

	it->page = mu_audit_file_read(&a->file, it->after, it->limit);
	pthread_mutex_lock(&a->lock);
	queue_put(&a->out, it);
	pthread_mutex_unlock(&a->lock);
	while (write(a->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* @return whether the batch tells of them now; else a later one has to */
static bool note_lost(struct mu_audit *a, uint64_t lost)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu entries could not be written", (unsigned long long)lost);
	return note(a, "audit.lost", text) == 0;
}

/* All that waits becomes one write and one fdatasync; a reader sees what was added before it asked. */
static void run(struct mu_audit *a, struct item *it, uint64_t lost)
{
	uint64_t n = 0;

	if (lost && note_lost(a, lost))
		n = lost;
	else if (lost)
		lose(a, lost);
	for (struct item *next; it; it = next) {
		next = it->next;
		if (it->done) {
			sync_batch(a, n);
			n = 0;
			answer(a, it);
			continue;
		}
		if (mu_audit_file_add(&a->file, it->wall_us, &it->entry) == 0)
			n++;
		else
			lose(a, 1);
		free(it);
	}
	sync_batch(a, n);
}

static void *writer(void *arg)
{
	struct mu_audit *a = arg;
	bool stop = false;

	check(a);
	while (!stop) {
		struct item *items;
		uint64_t lost;

		pthread_mutex_lock(&a->lock);
		while (!a->in.head && !a->stop)
			pthread_cond_wait(&a->wake, &a->lock);
		items = a->in.head;
		queue_init(&a->in);
		lost = a->n_lost;
		a->n_lost = 0;
		stop = a->stop && !items;
		pthread_mutex_unlock(&a->lock);
		/* Written out unlocked: a slow disk must not hold up who adds. */
		run(a, items, lost);
	}
	return NULL;
}

/* --- any thread --- */

static const char *copy(char **to, const char *text)
{
	const char *at = *to;

	if (!text)
		return NULL;
	*to = stpcpy(*to, text) + 1;
	return at;
}

static struct item *item_new(const struct mu_audit_entry *e)
{
	const char *const texts[] = { e->who, e->from, e->what, e->target, e->result, e->why };
	size_t len = 0;
	struct item *it;
	char *to;

	for (size_t i = 0; i < MU_ARRAY_LEN(texts); i++)
		len += texts[i] ? strlen(texts[i]) + 1 : 0;
	it = calloc(1, sizeof(*it) + len);
	if (!it)
		return NULL;
	to = it->text;
	it->wall_us = mu_clock_wall_us();
	it->entry = (struct mu_audit_entry){ .who = copy(&to, e->who),
		.from = copy(&to, e->from),
		.what = copy(&to, e->what),
		.target = copy(&to, e->target),
		.result = copy(&to, e->result),
		.why = copy(&to, e->why) };
	return it;
}

void mu_audit_add(struct mu_audit *a, const struct mu_audit_entry *e)
{
	struct item *it = item_new(e);

	pthread_mutex_lock(&a->lock);
	if (it && a->in.n < MU_AUDIT_QUEUE) {
		queue_put(&a->in, it);
		it = NULL;
		pthread_cond_signal(&a->wake);
	} else {
		a->n_lost++;
	}
	pthread_mutex_unlock(&a->lock);
	free(it);
}

void mu_audit_read(
	struct mu_audit *a, uint64_t after, unsigned limit, void (*done)(void *arg, json_t *page), void *arg)
{
	struct item *it = calloc(1, sizeof(*it));

	if (!it) {
		done(arg, NULL);
		return;
	}
	it->done = done;
	it->arg = arg;
	it->after = after;
	it->limit = MU_MIN(limit, MU_AUDIT_READ_MAX);
	pthread_mutex_lock(&a->lock);
	queue_put(&a->in, it);
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

int mu_audit_fd(const struct mu_audit *a)
{
	return a->fd;
}

void mu_audit_dispatch(struct mu_audit *a)
{
	struct item *it;
	uint64_t n;

	while (read(a->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&a->lock);
	it = a->out.head;
	queue_init(&a->out);
	pthread_mutex_unlock(&a->lock);
	for (struct item *next; it; it = next) {
		next = it->next;
		it->done(it->arg, it->page);
		free(it);
	}
}

int mu_audit_new(const char *path, size_t file_max, struct mu_audit **ret, struct mu_error *e)
{
	struct mu_audit *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	queue_init(&a->in);
	queue_init(&a->out);
	a->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = mu_audit_file_open(&a->file, path, file_max ? file_max : MU_AUDIT_FILE_MAX, e);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	if (err == 0 && a->fd < 0)
		err = mu_error_set(e, -errno, "eventfd: %s", strerror(errno));
	if (err == 0)
		err = -pthread_create(&a->thread, NULL, writer, a);
	if (err < 0) {
		mu_audit_file_done(&a->file);
		if (a->fd >= 0)
			close(a->fd);
		free(a);
		return err;
	}
	*ret = a;
	return 0;
}

void mu_audit_free(struct mu_audit *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	mu_audit_dispatch(a);
	mu_audit_file_done(&a->file);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->wake);
	close(a->fd);
	free(a);
}
