#include "transport/steer.h"

#include <stdlib.h>

#include "transport/message.h"

#define TIMER_US 5000
#define RING_MIN 64
#define RING_MAX 4096 /* what is more leaves at once: its numbers are given */
#define WAIT_MAX_US                                                                                       \
	400000 /* less urgent pictures are given up to their next key frame, from here on; at twice this, \
		  all */
#define BYTES_MAX    1000000
#define PROBE_PACKET 1200

/* --- the ring --- */

static struct wire *held(struct leave *l, unsigned i)
{
	return &l->held[(l->first + i) & (l->size - 1)];
}

static size_t bytes_of(const struct wire *w)
{
	return w->pkt->len + RATE_OVERHEAD;
}

static bool grow(struct leave *l)
{
	unsigned size = l->size ? l->size * 2 : RING_MIN;
	struct wire *more = size <= RING_MAX ? calloc(size, sizeof(*more)) : NULL;

	if (!more)
		return false;
	for (unsigned i = 0; i < l->n; i++)
		more[i] = *held(l, i);
	free(l->held);
	l->held = more;
	l->size = size;
	l->first = 0;
	return true;
}

/* @return false: there is no place */
static bool hold(struct leave *l, const struct wire *w)
{
	if (l->n == l->size && !grow(l))
		return false;
	*held(l, l->n++) = *w;
	l->bytes += bytes_of(w);
	return true;
}

static struct wire release(struct leave *l)
{
	struct wire w = *held(l, 0);

	l->first = (l->first + 1) & (l->size - 1);
	l->n--;
	l->bytes -= bytes_of(&w);
	return w;
}

int64_t leave_wait_us(const struct steer *s)
{
	return pace_wait_us(&s->leave.pace, s->leave.bytes);
}

/* --- too much waits --- */

static unsigned most_urgent(const struct leave *l)
{
	unsigned ret = UINT32_MAX;

	for (unsigned i = 0; i < l->n; i++)
		ret = MU_MIN(ret, l->held[(l->first + i) & (l->size - 1)].out->fit->feed.urgency);
	return ret;
}

/* What waits leaves in its time; what comes is given up, the less urgent first, up to a key frame. */
static void give_up(struct steer *s)
{
	struct leave *l = &s->leave;
	int64_t wait_us = leave_wait_us(s);
	unsigned urgent;

	if (wait_us <= WAIT_MAX_US && l->bytes <= BYTES_MAX)
		return;
	urgent = wait_us > 2 * WAIT_MAX_US || l->bytes > BYTES_MAX ? 0 : most_urgent(l) + 1;
	for (unsigned i = 0; i < l->n; i++) {
		struct fit *f = held(l, i)->out->fit;

		if (f->feed.urgency >= urgent)
			f->over = true;
	}
}

/* --- leaving --- */

static void send_again(struct steer *s, struct plane *p, struct message *m, int64_t now_us)
{
	struct leave *l = &s->leave;

	while (l->n_again > 0 && pace_may(&l->pace, now_us)) {
		struct out_stream *o = l->again[l->first_again].out;
		uint64_t index = l->again[l->first_again].index;
		const struct wire *w = wire_find(o, (uint16_t)index);

		l->first_again = (l->first_again + 1) % LEAVE_AGAIN_MAX;
		l->n_again--;
		if (w && w->index == index)
			wire_again(p, m, w, now_us);
	}
}

static void send_held(struct steer *s, struct plane *p, struct message *m, int64_t now_us)
{
	struct leave *l = &s->leave;

	while (l->n_again == 0 && l->n > 0 && pace_may(&l->pace, now_us)) {
		struct wire w = release(l);

		wire_send(p, m, &w, now_us);
	}
}

/* A probe is spread by its own clock; what else leaves meanwhile counts as of it. */
static void send_probe(struct steer *s, struct plane *p, struct message *m, int64_t now_us)
{
	struct mu_transport *t = s->t;
	struct rate *r = s->rate;

	for (size_t size; (size = rate_probe_due(r, PROBE_PACKET, now_us)) > 0;) {
		size_t sent = 0;

		for (unsigned i = 0; i < t->n_out && sent == 0; i++) {
			if (t->out[i]->kind == MU_VIDEO)
				sent = wire_probe(
					p, m, t->out[i], s->leave.probe_back, size, r->probe.cluster, now_us);
		}
		s->leave.probe_back++;
		rate_probe_sent(r, sent ? sent + RATE_OVERHEAD : 0, now_us);
	}
}

void leave_plan(struct steer *s, int64_t now_us)
{
	struct leave *l = &s->leave;
	int64_t next = rate_probe_next_us(s->rate);

	if (l->n > 0 || l->n_again > 0)
		next = MU_MIN(next, MU_MAX(pace_next_us(&l->pace, now_us), now_us + TIMER_US));
	if (next == INT64_MAX)
		return; /* a timer still set finds nothing to do */
	next = MU_MAX(next, now_us);
	if (l->timer.at == 0 || next < l->timer.due_us)
		mu_timer_set(s->t->worker, &l->timer, next);
}

static void send_all(struct steer *s, struct plane *p, struct message *m, int64_t now_us)
{
	send_again(s, p, m, now_us);
	send_held(s, p, m, now_us);
	send_probe(s, p, m, now_us);
}

static void on_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct leave *l = MU_CONTAINER_OF(timer, struct leave, timer);
	struct steer *s = MU_CONTAINER_OF(l, struct steer, leave);
	struct message m = { .t = s->t };
	struct plane *p = plane_of(w);

	if (!s->t->sendable) {
		leave_drop(s);
		return;
	}
	send_all(s, p, &m, now_us);
	message_close(&m);
	message_seal(p);
	leave_plan(s, now_us);
}

/* Pictures are large and alike and come first in a message, audio behind them is its shorter last segment:
 * but no audio waits for a picture that is not laid out now. */
void leave_drain(struct plane *p, struct message *m, const struct wire *w, unsigned n, int64_t now_us)
{
	struct steer *s = m->t->fitted->steer;

	for (unsigned i = 0; i < n; i++) {
		struct wire copy = w[i];

		if (copy.out->kind == MU_AUDIO || !hold(&s->leave, &copy))
			wire_send(p, m, &copy, now_us);
	}
	send_all(s, p, m, now_us);
	give_up(s);
	leave_plan(s, now_us);
}

void leave_again(struct message *m, const struct wire *w, int64_t now_us)
{
	struct steer *s = m->t->fitted->steer;
	struct leave *l = &s->leave;
	unsigned at = (l->first_again + l->n_again) % LEAVE_AGAIN_MAX;

	if (l->n_again == LEAVE_AGAIN_MAX)
		return; /* it asks again */
	l->again[at].out = w->out;
	l->again[at].index = w->index;
	l->n_again++;
	send_again(s, m->t->plane, m, now_us);
	leave_plan(s, now_us);
}

/* --- what will not leave --- */

void leave_forget(struct out_stream *o)
{
	struct leave *l = &o->t->fitted->steer->leave;

	for (unsigned i = 0; i < l->n; i++) {
		if (held(l, i)->out == o)
			held(l, i)->empty = true;
	}
}

void leave_drop(struct steer *s)
{
	while (s->leave.n > 0)
		mu_packet_unref(release(&s->leave).pkt);
	s->leave.n_again = 0;
	s->rate->probe.packets = 0;
}

void leave_begin(struct steer *s)
{
	s->leave.timer.fn = on_timer;
}

void leave_end(struct steer *s)
{
	mu_timer_cancel(s->t->worker, &s->leave.timer);
	leave_drop(s);
	free(s->leave.held);
}
