/* A fitted stream's packets: waiting, laid out, and remembered for whoever asks for one again. What its track has in its
 * cache is of no use for that: the track may be another one by now, and number, time and payload are not what it has. */
#include <stdlib.h>

#include "transport/fit.h"
#include "transport/message.h"

#define QUEUE_MIN 64
#define QUEUE_MAX 4096 /* then all of it is laid out */
#define LOG_MIN	  128
#define LOG_MAX	  1024 /* more than there are jobs that are not sealed: what it drops has left */
_Static_assert(LOG_MAX >= EGRESS_JOBS, "a packet must not go before it is sealed");

/* --- waiting ------------------------------------------------------------------------------------------------------------- */

static bool grow_queue(struct fitted *q)
{
	unsigned size = q->size ? q->size * 2 : QUEUE_MIN;
	struct wire *more = size <= QUEUE_MAX ? realloc(q->queue, size * sizeof(*more)) : NULL;

	if (!more)
		return false;
	q->queue = more;
	q->size = size;
	return true;
}

void wire_queue(const struct wire *w)
{
	struct mu_transport *t = w->out->t;
	struct fitted *q = t->fitted;

	if (q->n == q->size && !grow_queue(q))
		egress_drain(t->worker, mu_clock_us());
	if (q->n == q->size) { /* there never was memory */
		w->out->dropped++;
		mu_packet_unref(w->pkt);
		return;
	}
	q->queue[q->n++] = *w;
	if (mu_list_empty(&t->dirty))
		mu_list_append(&t->plane->dirty, &t->dirty);
}

void wire_drain(struct plane *p, struct message *m, int64_t now_us)
{
	struct fitted *q = m->t->fitted;

	if (q->n > 0)
		stats_queue(p, mu_clock_us() - q->queue[0].pkt->arrival_us);
	for (unsigned i = 0; i < q->n; i++) {
		if (m->t->sendable)
			wire_send(p, m, &q->queue[i], now_us);
		else
			mu_packet_unref(q->queue[i].pkt);
	}
	q->n = 0;
}

void wire_forget(struct out_stream *o)
{
	struct fitted *q = o->t->fitted;

	for (unsigned i = 0; q && i < q->n; i++) {
		if (q->queue[i].out == o)
			q->queue[i].empty = true; /* its number is given: a hole would be asked for */
	}
	wire_log_done(&o->fit->log);
}

/* --- remembered ------------------------------------------------------------------------------------------------------------ */

static struct sent *slot(const struct wire_log *l, uint64_t index)
{
	return &l->slots[index & (l->size - 1)];
}

static void drop_lowest(struct wire_log *l)
{
	struct sent *s = slot(l, l->low++);

	s->wire.pkt = mu_packet_unref(s->wire.pkt);
}

/* A hole is as old as the packet behind it: until that one goes it may be filled. */
void wire_log_expire(struct wire_log *l, int64_t now_us)
{
	uint64_t oldest = l->low;

	while (l->slots && oldest < l->high) {
		const struct sent *s = slot(l, oldest);

		if (s->wire.pkt && s->at_us >= now_us - MU_CACHE_US)
			return;
		if (s->wire.pkt) {
			while (l->low <= oldest)
				drop_lowest(l);
		}
		oldest++;
	}
}

/* low and high stay: no number goes out twice. */
void wire_log_done(struct wire_log *l)
{
	while (l->slots && l->low < l->high)
		drop_lowest(l);
	free(l->slots);
	l->slots = NULL;
	l->size = 0;
}

static bool grow_log(struct wire_log *l)
{
	struct wire_log bigger = { .size = l->size ? l->size * 2 : LOG_MIN, .low = l->low, .high = l->high };

	if (bigger.size > LOG_MAX)
		return false;
	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (uint64_t i = l->low; i < l->high; i++)
		*slot(&bigger, i) = *slot(l, i);
	free(l->slots);
	*l = bigger;
	return true;
}

/* @return whether there is a slot for it */
static bool make_room(struct plane *p, struct wire_log *l, uint64_t index, int64_t now_us)
{
	if (!l->slots && !grow_log(l))
		return false;
	wire_log_expire(l, now_us);
	while (index >= l->low + l->size) {
		if (grow_log(l))
			continue;
		if (l->size < LOG_MAX)
			message_seal(p); /* it may be among what is being laid */
		if (l->low < l->high)
			drop_lowest(l);
		else
			l->low = l->high = index + 1 - l->size;
	}
	for (; l->high <= index; l->high++)
		slot(l, l->high)->wire.pkt = NULL;
	return true;
}

static void remember(struct plane *p, const struct wire *w, int64_t now_us)
{
	struct wire_log *l = &w->out->fit->log;

	if (make_room(p, l, w->index, now_us) && w->index >= l->low) {
		*slot(l, w->index) = (struct sent){ *w, now_us };
		return;
	}
	message_seal(p); /* its payload is read until then */
	mu_packet_unref(w->pkt);
}

/* A number that went out, or that is too old for anyone to know, is not used: under the same nonce nothing else may leave. */
static bool unused(const struct wire_log *l, uint64_t index)
{
	return !l->slots || index >= l->high || (index >= l->low && !slot(l, index)->wire.pkt);
}

const struct wire *wire_find(const struct out_stream *o, uint16_t seq)
{
	const struct wire_log *l = &o->fit->log;
	uint64_t index;

	if (!l->slots || l->low == l->high)
		return NULL;
	index = mu_seq_unwrap(l->high - 1, seq);
	if (index < l->low || index >= l->high || !slot(l, index)->wire.pkt)
		return NULL;
	return &slot(l, index)->wire;
}

/* --- laid out --------------------------------------------------------------------------------------------------------------- */

static size_t write_header(const struct wire *w, uint8_t ret[MU_RTP_HEADER_MAX])
{
	static const struct mu_ext_map nothing; /* an empty one says nothing of what it stands for */
	size_t len = mu_rtp_write_header(w->pkt, w->empty ? &nothing : &w->out->map->map, NULL, 0, ret);

	ret[1] = w->marker ? 0x80 : 0;
	if (w->empty)
		ret[0] &= (uint8_t)~0x20; /* padding went with the payload */
	return len;
}

static size_t payload_len(const struct wire *w)
{
	return w->empty ? 0 : (size_t)(w->pkt->len - w->pkt->hlen);
}

/* The payload with its patch, at ret. */
static void write_payload(const struct wire *w, uint8_t *ret)
{
	size_t len = payload_len(w), n = MU_MIN((size_t)w->n_patch, len);

	memcpy(ret, w->patch, n);
	memcpy(ret + n, w->pkt->data + w->pkt->hlen + n, len - n);
}

/* Where its bytes go, header written but for numbers; NULL: it is too large. @param extra bytes before the payload */
static struct mu_srtp_job *place(struct plane *p, struct message *m, const struct wire *w, size_t extra)
{
	uint8_t header[MU_RTP_HEADER_MAX];
	size_t hlen = write_header(w, header), len = payload_len(w) + extra, size = hlen + len + m->t->growth;
	struct mu_srtp_job *j;
	uint8_t *at;

	if (size > MU_DATAGRAM_MAX) {
		w->out->dropped++;
		p->stats.too_large++;
		return NULL;
	}
	at = message_place(p, m, size);
	j = &p->jobs[p->n_jobs++];
	memcpy(at, header, hlen);
	j->key = m->t->key_out;
	j->out = at;
	j->hlen = (uint16_t)hlen;
	j->payload_len = (uint16_t)len;
	return j;
}

/* Nothing here may depend on the moment. @return whether it fits */
static bool lay(struct plane *p, struct message *m, const struct wire *w)
{
	struct mu_srtp_job *j = place(p, m, w, 0);

	if (!j)
		return false;
	j->ssrc = w->out->ssrc;
	j->index = w->index;
	mu_rtp_patch(j->out, w->pt, (uint16_t)w->index, w->ts, j->ssrc);
	j->payload = w->pkt->data + w->pkt->hlen;
	if (w->n_patch > 0) {
		write_payload(w, j->out + j->hlen);
		j->payload = j->out + j->hlen;
	}
	return true;
}

static bool lay_rtx(struct plane *p, struct message *m, const struct wire *w)
{
	struct mu_srtp_job *j = place(p, m, w, 2);

	if (!j)
		return false;
	j->ssrc = w->out->spec.rtx_ssrc;
	j->index = w->out->rtx_index++;
	mu_rtp_patch(j->out, w->rtx_pt, (uint16_t)j->index, w->ts, j->ssrc);
	mu_put16(j->out + j->hlen, (uint16_t)w->index);
	write_payload(w, j->out + j->hlen + 2);
	j->payload = j->out + j->hlen;
	return true;
}

void wire_send(struct plane *p, struct message *m, struct wire *w, int64_t now_us)
{
	struct out_stream *o = w->out;

	if (!unused(&o->fit->log, w->index)) {
		o->dropped++;
		mu_packet_unref(w->pkt);
		return;
	}
	if (lay(p, m, w)) {
		o->packets++;
		o->bytes += payload_len(w) - (w->empty ? 0 : w->pkt->pad);
		p->stats.rtp_out++;
	}
	remember(p, w, now_us);
}

void wire_again(struct plane *p, struct message *m, const struct wire *w)
{
	bool rtx = w->out->spec.rtx_ssrc && w->rtx_pt != PT_NONE;

	if (!(rtx ? lay_rtx(p, m, w) : lay(p, m, w)))
		return;
	w->out->retransmitted++;
	p->stats.retransmitted++;
}
