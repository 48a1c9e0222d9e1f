#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/net_internal.h"

#define HAND_RING	  1024
#define HAND_PUBLISH	  (HAND_RING / 8) /* the taker wakes and begins while a long turn still puts */
#define TURNS_PER_SOCKET  4	 /* receive calls before timers and egress get their turn */
#define LOAD_WINDOW_US	  20000
#define INBOX_TAG	  MU_NET_LISTEN_MAX
#define TCP_TAG		  (MU_NET_LISTEN_MAX + 1)

/* --- a turn ----------------------------------------------------------------------------------------------------- */

static void take_hands(struct mu_worker *w, int64_t now_us)
{
	struct mu_hand h;

	for (unsigned i = 0; i < w->net->n_workers; i++) {
		/* a ringful at most: a busy giver must not keep us from our own sockets */
		for (int k = 0; k < HAND_RING && w->from[i] && mu_ring_take(w->from[i], &h); k++) {
			w->stats.handed_in += h.n;
			w->net->ops.handed(w, &h, now_us);
		}
	}
}

static bool hands_waiting(struct mu_worker *w)
{
	for (unsigned i = 0; i < w->net->n_workers; i++) {
		if (w->from[i] && mu_ring_ready(w->from[i]))
			return true;
	}
	return false;
}

static void publish_to(struct mu_worker *w, struct mu_worker *to)
{
	mu_ring_publish(to->from[w->index]);
	mu_inbox_nudge(&to->inbox);
	w->unpublished[to->index] = 0;
}

static void publish_hands(struct mu_worker *w)
{
	for (unsigned i = 0; i < w->net->n_workers; i++) {
		if (w->unpublished[i])
			publish_to(w, w->net->workers[i]);
	}
}

bool mu_worker_hand(struct mu_worker *from, struct mu_worker *to, const struct mu_hand *h)
{
	if (!mu_ring_put(to->from[from->index], h))
		return false;
	from->stats.handed_out += h->n;
	if (++from->unpublished[to->index] >= HAND_PUBLISH)
		publish_to(from, to);
	return true;
}

void mu_worker_hand_dropped(struct mu_worker *from, uint64_t packets)
{
	from->stats.hand_dropped += packets;
}

/* How busy: share of time awake over windows of 20 ms, smoothed over some five of them. */
static void account(struct mu_worker *w, int64_t woke_us, int64_t now_us)
{
	int64_t window = now_us - w->load_at_us;

	w->stats.busy_us += (uint64_t)(now_us - woke_us);
	w->load_busy_us += now_us - woke_us;
	w->stats.turns++;
	if (window >= LOAD_WINDOW_US) {
		double share = (double)w->load_busy_us / (double)window;

		w->load += (share - w->load) * MU_MIN(1.0, (double)window / (5.0 * LOAD_WINDOW_US));
		w->stats.load = w->load;
		w->load_at_us = now_us;
		w->load_busy_us = 0;
	}
}

/* @param left_us negative: no limit */
static int wait_events(struct mu_worker *w, int64_t left_us, struct epoll_event *ev, int max)
{
	struct timespec ts = { left_us / 1000000, left_us % 1000000 * 1000 };
	int n;

	if (w->coarse_wait)
		n = epoll_wait(w->epoll, ev, max,
			left_us < 0 ? -1 : (int)MU_MIN((left_us + 999) / 1000, (int64_t)INT_MAX));
	else
		n = epoll_pwait2(w->epoll, ev, max, left_us < 0 ? NULL : &ts, NULL);
	return n < 0 ? 0 : n;
}

/* An old kernel has no epoll_pwait2 (ENOSYS), an old seccomp filter forbids what it does not know (EPERM). */
static void probe_wait(struct mu_worker *w)
{
	struct timespec none = { 0 };
	struct epoll_event ev;

	w->coarse_wait = epoll_pwait2(w->epoll, &ev, 1, &none, NULL) < 0 && errno != EINTR;
	if (w->coarse_wait)
		mu_warn("net", NULL, "media worker %u: epoll_pwait2: %s; it waits in whole milliseconds",
			w->index, strerror(errno));
}

static int64_t time_left(const struct mu_worker *w, int64_t until_us)
{
	if (w->net->options.driven && mu_clock_driven())
		return 0;
	return until_us == INT64_MAX ? -1 : MU_MAX(until_us - mu_clock_us(), 0);
}

static int wait_for_work(struct mu_worker *w, int64_t until_us, struct epoll_event *ev, int max)
{
	int64_t left = time_left(w, until_us);

	/* first say that we sleep, then look at the rings: whoever publishes later sees the sleeper and wakes it */
	if (!mu_inbox_sleep(&w->inbox) || hands_waiting(w))
		left = 0;
	return wait_events(w, left, ev, max);
}

static bool was_woken(const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u32 == INBOX_TAG)
			return true;
	}
	return false;
}

static void turn(struct mu_worker *w, int64_t until_us)
{
	struct epoll_event ev[MU_NET_LISTEN_MAX + 2];
	int64_t now, woke, due = MU_MIN(timers_next(&w->timers), w->flush_at_us);
	int n = wait_for_work(w, MU_MIN(due, until_us), ev, (int)MU_ARRAY_LEN(ev));

	woke = now = mu_clock_us();
	if (was_woken(ev, n))
		mu_inbox_wake(&w->inbox);
	else
		atomic_store(&w->inbox.asleep, false);
	mu_inbox_run(&w->inbox);
	take_hands(w, now);
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u32 == INBOX_TAG)
			continue;
		if (ev[i].data.u32 == TCP_TAG) {
			tcp_turn(w, now);
			continue;
		}
		for (int k = 0; k < TURNS_PER_SOCKET && socket_receive(w, ev[i].data.u32, now); k++)
			now = mu_clock_us();
	}
	timers_run(w, now);
	w->flush_at_us = w->net->ops.flush(w, now);
	mu_worker_flush(w);
	publish_hands(w);
	account(w, woke, mu_clock_us());
}

void mu_worker_turn(struct mu_worker *w, int64_t wait_us)
{
	turn(w, mu_clock_us() + wait_us);
}

static void begin(struct mu_worker *w)
{
	w->flush_at_us = INT64_MAX;
	w->load_at_us = mu_clock_us();
	probe_wait(w);
	w->start_error = w->net->ops.start(w, w->net->arg);
	w->started = w->start_error == 0;
}

static void end(struct mu_worker *w)
{
	if (w->started)
		w->net->ops.stop(w);
	w->started = false;
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static void pin(unsigned index)
{
	cpu_set_t set;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	CPU_ZERO(&set);
	CPU_SET(index % (unsigned)MU_MAX(cores, 1), &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

struct started {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	struct mu_worker *w;
};

static void *run(void *arg)
{
	struct started *s = arg;
	struct mu_worker *w = s->w;
	char name[16];

	snprintf(name, sizeof(name), "media-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	if (w->net->options.pin)
		pin(w->index);
	begin(w);
	w->quit = w->start_error < 0;
	pthread_mutex_lock(&s->lock);
	s->done = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	while (!w->quit)
		turn(w, INT64_MAX);
	end(w);
	return NULL;
}

static void join(struct mu_worker *w)
{
	pthread_join(w->thread, NULL);
	w->running = false;
}

static int start(struct mu_worker *w)
{
	struct started s = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, w };
	int err;

	if (w->net->options.driven) {
		begin(w);
		return w->start_error;
	}
	err = pthread_create(&w->thread, NULL, run, &s);
	if (err)
		return -err;
	pthread_mutex_lock(&s.lock);
	while (!s.done)
		pthread_cond_wait(&s.cond, &s.lock);
	pthread_mutex_unlock(&s.lock);
	w->running = true;
	if (w->start_error < 0)
		join(w); /* it has left: nobody would take a message to quit */
	return w->start_error;
}

static void quit(struct mu_msg *m)
{
	MU_CONTAINER_OF(m, struct mu_worker, quit_msg)->quit = true;
}

static void stop(struct mu_worker *w)
{
	if (!w->running) {
		end(w);
		return;
	}
	w->quit_msg.fn = quit;
	mu_worker_post(w, &w->quit_msg);
	join(w);
}

/* --- making and ending --------------------------------------------------------------------------------------------- */

static int watch(struct mu_worker *w, int fd, uint32_t tag)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = tag };

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int open_tcp(struct mu_worker *w, struct mu_error *e)
{
	int err = tcp_open(w, e);

	if (err < 0)
		return err;
	err = watch(w, w->tcp->epoll, TCP_TAG);
	return err < 0 ? mu_error_set(e, err, "epoll: %s", strerror(-err)) : 0;
}

static int open_sockets(struct mu_worker *w, struct mu_error *e)
{
	const struct mu_net_options *o = &w->net->options;

	for (unsigned i = 0; i < o->n_listen; i++) {
		struct mu_addr at = o->listen[i];
		int err;

		mu_addr_set_port(&at, o->port ? (uint16_t)(o->port + w->index) : 0);
		err = socket_open(o, &at, &w->sockets[i], e);
		if (err < 0)
			return err;
		err = watch(w, w->sockets[i].fd, i);
		if (err < 0)
			return mu_error_set(e, err, "epoll: %s", strerror(-err));
	}
	return o->n_tcp > 0 ? open_tcp(w, e) : 0;
}

static void worker_free(struct mu_worker *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < MU_NET_LISTEN_MAX; i++) {
		if (w->sockets[i].fd >= 0)
			close(w->sockets[i].fd);
	}
	tcp_close(w);
	if (w->inbox.fd >= 0)
		mu_inbox_done(&w->inbox);
	if (w->epoll >= 0)
		close(w->epoll);
	for (unsigned i = 0; i < MU_WORKERS_MAX; i++)
		mu_ring_free(w->from[i]);
	timers_done(&w->timers);
	free(w->rx.buffers);
	free(w->tx.buffer);
	free(w);
}

static int worker_new(struct mu_net *n, unsigned index, struct mu_worker **ret, struct mu_error *e)
{
	struct mu_worker *w = calloc(1, sizeof(*w));
	int err = -ENOMEM;

	if (!w)
		return mu_error_set(e, err, "out of memory for a media worker");
	*ret = w;
	w->net = n;
	w->index = index;
	for (unsigned i = 0; i < MU_NET_LISTEN_MAX; i++)
		w->sockets[i].fd = -1;
	w->inbox.fd = -1;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->rx.buffers = malloc((size_t)RX_BATCH * RX_BUFFER);
	w->tx.buffer = aligned_alloc(MU_CACHELINE, TX_BUFFER);
	if (w->epoll < 0 || !w->rx.buffers || !w->tx.buffer)
		return mu_error_set(e, err, "out of memory for a media worker");
	receiver_init(&w->rx);
	err = mu_inbox_init(&w->inbox);
	if (err == 0)
		err = watch(w, w->inbox.fd, INBOX_TAG);
	for (unsigned i = 0; i < n->options.workers && err == 0; i++) {
		if (i != index)
			err = mu_ring_new(HAND_RING, sizeof(struct mu_hand), &w->from[i]);
	}
	if (err < 0)
		return mu_error_set(e, err, "media worker %u: %s", index, strerror(-err));
	return open_sockets(w, e);
}

int mu_net_new(const struct mu_net_options *o, const struct mu_net_ops *ops, void *arg, struct mu_net **ret,
	struct mu_error *e)
{
	struct mu_net *n;
	int err = 0;

	if (o->workers < 1 || o->workers > MU_WORKERS_MAX || o->n_listen < 1 || o->n_listen > MU_NET_LISTEN_MAX ||
		o->n_tcp > MU_NET_LISTEN_MAX)
		return mu_error_set(e, -EINVAL, "media: %u workers, %u listening addresses, %u for TCP", o->workers,
			o->n_listen, o->n_tcp);
	n = calloc(1, sizeof(*n));
	if (!n)
		return mu_error_set(e, -ENOMEM, "out of memory for the media workers");
	n->options = *o;
	n->ops = *ops;
	n->arg = arg;
	while (err == 0 && n->n_workers < o->workers) {
		err = worker_new(n, n->n_workers, &n->workers[n->n_workers], e);
		n->n_workers++;
	}
	for (unsigned i = 0; i < n->n_workers && err == 0; i++) {
		err = start(n->workers[i]);
		if (err < 0)
			mu_error_set(e, err, "media worker %u did not start: %s", i, strerror(-err));
	}
	if (err < 0) {
		mu_net_free(n);
		return err;
	}
	*ret = n;
	return 0;
}

/* All have stopped, so the control thread may be both ends of a ring. @return how many bursts there were */
static size_t discard_hands(struct mu_net *n, struct mu_worker *w)
{
	struct mu_hand h;
	size_t count = 0;

	for (unsigned i = 0; i < n->n_workers; i++) {
		if (!w->from[i])
			continue;
		mu_ring_publish(w->from[i]); /* put in a turn that did not end, or by a message run here */
		for (; mu_ring_take(w->from[i], &h); count++)
			n->ops.discard(&h);
	}
	return count;
}

/* Messages run here may post to others and hand bursts over: until nothing is left. */
static void run_down(struct mu_net *n)
{
	size_t ran;

	do {
		ran = 0;
		for (unsigned i = 0; i < n->n_workers; i++) {
			if (n->workers[i] && n->workers[i]->inbox.fd >= 0)
				ran += mu_inbox_run(&n->workers[i]->inbox) + discard_hands(n, n->workers[i]);
		}
	} while (ran > 0);
}

void mu_net_free(struct mu_net *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n->n_workers; i++) {
		if (n->workers[i])
			stop(n->workers[i]);
	}
	run_down(n);
	for (unsigned i = 0; i < n->n_workers; i++)
		worker_free(n->workers[i]);
	free(n);
}

unsigned mu_net_workers(const struct mu_net *n)
{
	return n->n_workers;
}

struct mu_worker *mu_net_worker(struct mu_net *n, unsigned i)
{
	return n->workers[i];
}

uint16_t mu_net_port(const struct mu_net *n, unsigned i, unsigned listen)
{
	return n->workers[i]->sockets[listen].port;
}

uint16_t mu_net_tcp_port(const struct mu_net *n, unsigned i, unsigned listen)
{
	return n->workers[i]->tcp->listen[listen].port;
}

unsigned mu_worker_index(const struct mu_worker *w)
{
	return w->index;
}

void *mu_worker_user(const struct mu_worker *w)
{
	return w->user;
}

void mu_worker_set_user(struct mu_worker *w, void *user)
{
	w->user = user;
}

void mu_worker_post(struct mu_worker *w, struct mu_msg *m)
{
	mu_inbox_post(&w->inbox, m);
}

void mu_worker_catch_up(struct mu_worker *w)
{
	mu_inbox_run(&w->inbox);
}

const struct mu_net_stats *mu_worker_stats(const struct mu_worker *w)
{
	return &w->stats;
}

double mu_worker_load(const struct mu_worker *w)
{
	return w->load;
}
