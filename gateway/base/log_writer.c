/* The log's writer: a full pipe or a slow journal stops this thread and nobody else. Other threads leave
 * finished lines in a bounded queue: many producers, one consumer, each place with a counter that says whose
 * turn it is (Vyukov's queue). */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log_internal.h"

#define LINES   256 /* power of two */
#define FLUSH_S 1

static struct {
	_Alignas(MU_CACHELINE) atomic_size_t turn; /* == position: free for it; position + 1: filled */
	struct log_line line;
} places[LINES];
static atomic_size_t tail; /* next position to fill */
static size_t head;        /* next to write; the writer's */
static atomic_size_t dropped;
static sem_t filled;

static atomic_bool running;
static pthread_t control; /* const while running */

static pthread_mutex_t lock =
	PTHREAD_MUTEX_INITIALIZER; /* the writer's and who flushes; producers never take it */
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;
static size_t written; /* lock: all before this position are out */

static bool put(const struct log_line *l)
{
	size_t at = atomic_load_explicit(&tail, memory_order_relaxed);

	for (;;) {
		size_t turn = atomic_load_explicit(&places[at % LINES].turn, memory_order_acquire);

		if (turn == at) {
			if (atomic_compare_exchange_weak_explicit(
				    &tail, &at, at + 1, memory_order_relaxed, memory_order_relaxed))
				break;
		} else if ((ptrdiff_t)(turn - at) < 0) {
			return false; /* the line of one round ago is still there */
		} else {
			at = atomic_load_explicit(&tail, memory_order_relaxed);
		}
	}
	places[at % LINES].line = *l;
	atomic_store_explicit(&places[at % LINES].turn, at + 1, memory_order_release);
	return true;
}

static bool take(struct log_line *ret)
{
	size_t i = head % LINES;

	if (atomic_load_explicit(&places[i].turn, memory_order_acquire) != head + 1)
		return false;
	*ret = places[i].line;
	atomic_store_explicit(&places[i].turn, head + LINES, memory_order_release);
	head++;
	return true;
}

static void say_dropped(void)
{
	size_t n = atomic_exchange_explicit(&dropped, 0, memory_order_relaxed);
	struct log_line l = { .wall_us = mu_clock_wall_us(), .level = MU_LOG_WARN, .topic = "log" };

	if (n == 0)
		return;
	snprintf(l.text, sizeof(l.text), "%zu log lines were dropped: what reads the log is too slow", n);
	log_write(&l);
}

static void *write_all(void *arg)
{
	static struct log_line l;
	unsigned n;

	(void)arg;
	pthread_setname_np(pthread_self(), "log");
	for (;;) {
		while (sem_wait(&filled) < 0)
			;
		do {
			for (n = 0; n < LINES && take(&l); n++)
				log_write(&l);
			say_dropped();
			pthread_mutex_lock(&lock);
			written = head;
			pthread_cond_broadcast(&progress);
			pthread_mutex_unlock(&lock);
		} while (n == LINES);
	}
	return NULL;
}

/* Signals are the control thread's. */
static int start_thread(void)
{
	sigset_t all, before;
	pthread_t t;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&t, NULL, write_all, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err == 0)
		pthread_detach(t); /* it ends with the process, perhaps in a write that never returns */
	return err;
}

void log_writer_start(void)
{
	if (atomic_load(&running))
		return;
	for (size_t i = 0; i < LINES; i++)
		atomic_init(&places[i].turn, i);
	control = pthread_self();
	if (sem_init(&filled, 0, 0) < 0 || start_thread() != 0)
		return;
	atomic_store_explicit(&running, true, memory_order_release);
	atexit(mu_log_flush);
}

bool log_writer_take(const struct log_line *l)
{
	if (!atomic_load_explicit(&running, memory_order_acquire) || pthread_equal(pthread_self(), control))
		return false;
	if (!put(l))
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	else
		sem_post(&filled);
	return true;
}

void mu_log_flush(void)
{
	struct timespec until;
	size_t want;
	int err = 0;

	if (!atomic_load_explicit(&running, memory_order_acquire))
		return;
	want = atomic_load(&tail);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FLUSH_S;
	pthread_mutex_lock(&lock);
	while ((ptrdiff_t)(want - written) > 0 && err == 0)
		err = pthread_cond_clockwait(&progress, &lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&lock);
}
