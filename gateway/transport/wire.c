/* A fitted stream's packets: waiting, laid out, and remembered for whoever asks for one again. What its track has in its
 * cache is of no use for that: the track may be another one by now, and number, time and payload are not what it has. */
#include <stdlib.h>

#include "transport/fit.h"
#include "transport/message.h"
#include "transport/steer.h"

#define QUEUE_MIN 64
#define QUEUE_MAX 4096 /* then all of it is laid out */
#define LOG_MIN	  128
#define LOG_MAX	  1024 /* more than there are jobs that are not sealed: what it drops has left */
_Static_assert(LOG_MAX >= EGRESS_JOBS, "a packet must not go before it is sealed");

/* --- waiting --- */

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
	if (q->steer && m->t->sendable) {
		leave_drain(p, m, q->queue, q->n, now_us);
		q->n = 0;
	}
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
	if (q && q->steer)
		leave_forget(o);
	wire_log_done(&o->fit->log);
}

/* --- remembered --- */

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

/* --- laid out --- */

static const struct mu_packet nothing;

/* But for its numbers. An empty one says nothing of what it stands for.
 * @param ret_twcc where the transport-wide number is to go; 0: nowhere */
static size_t write_header(const struct wire *w, uint8_t ret[MU_RTP_HEADER_MAX], size_t *ret_twcc)
{
	static const uint8_t place[] = { 0xff, 0xff };
	const struct mu_ext_add add = { MU_EXT_TWCC, sizeof(place), place };
	const struct mu_ext_map *map = &w->out->map->map;
	bool numbered = map->id_of[MU_EXT_TWCC];
	size_t len = mu_rtp_write_header(w->empty ? &nothing : w->pkt, map, &add, numbered, ret), end = len;

	ret[1] = w->marker ? 0x80 : 0;
	*ret_twcc = 0;
	if (!numbered)
		return len;
	while (ret[end - 1] == 0) /* it is the last element; zeroes fill up the block */
		end--;
	if (memcmp(ret + end - sizeof(place), place, sizeof(place)) == 0)
		*ret_twcc = end - sizeof(place);
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

/* How a packet goes: for the first time, as a repair, with the bytes that it had; as part of a probe or not. */
struct manner {
	enum { FIRST, REPAIR, SAME } how;
	uint16_t cluster;
	int64_t now_us;
};

/* Where its bytes go, header written but for numbers, with `len` bytes of payload. @return NULL: it is too large */
static struct mu_srtp_job *place(struct plane *p, struct message *m, struct wire *w, size_t len, const struct manner *how)
{
	uint8_t header[MU_RTP_HEADER_MAX];
	size_t twcc, hlen = write_header(w, header, &twcc), size = hlen + len + m->t->growth;
	struct mu_srtp_job *j;
	uint8_t *at;

	if (size > MU_DATAGRAM_MAX) {
		w->out->dropped++;
		p->stats.too_large++;
		return NULL;
	}
	if (how->how != SAME)
		w->twcc = steer_sent(m->t, size, how->cluster, twcc > 0, how->now_us);
	else
		steer_sent_same(m->t, size, w->twcc, how->now_us);
	if (twcc)
		mu_put16(header + twcc, w->twcc);
	at = message_place(p, m, size);
	j = &p->jobs[p->n_jobs++];
	memcpy(at, header, hlen);
	j->key = m->t->key_out;
	j->out = at;
	j->hlen = (uint16_t)hlen;
	j->payload_len = (uint16_t)len;
	return j;
}

/* Audio with copies of the packets before it, as the log has them. @return bytes, 0: it goes alone */
static size_t write_red(const struct wire *w, uint8_t *ret, size_t size)
{
	const struct fit *f = w->out->fit;
	struct red_block blocks[RED_COPIES_MAX + 1];
	size_t n = 0;

	if (f->red.copies == 0 || w->out->codec != MU_CODEC_OPUS || w->empty || w->pkt->pad || w->n_patch)
		return 0;
	for (unsigned back = f->red.copies; back > 0; back--) {
		uint64_t index = w->index - back;
		const struct wire *before = index >= f->log.low && index < f->log.high ? &slot(&f->log, index)->wire : NULL;

		if (!before || !before->pkt || before->pt != w->pt || before->n_patch)
			continue;
		blocks[n++] = (struct red_block){ before->pkt->data + before->pkt->hlen,
			payload_len(before) - (before->empty ? 0 : before->pkt->pad), before->ts };
	}
	blocks[n++] = (struct red_block){ w->pkt->data + w->pkt->hlen, payload_len(w), w->ts };
	return red_write(w->pt, blocks, n, ret, size);
}

/* @return whether it fits */
static bool lay(struct plane *p, struct message *m, struct wire *w, const struct manner *how)
{
	uint8_t red[RED_BYTES_MAX];
	size_t red_len = how->how == FIRST ? write_red(w, red, sizeof(red)) : 0;
	struct mu_srtp_job *j = place(p, m, w, red_len ? red_len : payload_len(w), how);

	if (!j)
		return false;
	w->red = red_len > 0;
	j->ssrc = w->out->ssrc;
	j->index = w->index;
	mu_rtp_patch(j->out, w->red ? w->out->fit->red.pt : w->pt, (uint16_t)w->index, w->ts, j->ssrc);
	j->payload = w->pkt->data + w->pkt->hlen;
	if (w->red)
		memcpy(j->out + j->hlen, red, red_len);
	else if (w->n_patch > 0)
		write_payload(w, j->out + j->hlen);
	if (w->red || w->n_patch > 0)
		j->payload = j->out + j->hlen;
	return true;
}

static size_t lay_rtx(struct plane *p, struct message *m, const struct wire *w, const struct manner *how)
{
	struct wire copy = *w; /* its number is not the first one's */
	struct mu_srtp_job *j = place(p, m, &copy, payload_len(w) + 2, how);

	if (!j)
		return 0;
	j->ssrc = w->out->spec.rtx_ssrc;
	j->index = w->out->rtx_index++;
	mu_rtp_patch(j->out, w->rtx_pt, (uint16_t)j->index, w->ts, j->ssrc);
	mu_put16(j->out + j->hlen, (uint16_t)w->index);
	write_payload(w, j->out + j->hlen + 2);
	j->payload = j->out + j->hlen;
	return j->hlen + j->payload_len + m->t->growth;
}

void wire_send(struct plane *p, struct message *m, struct wire *w, int64_t now_us)
{
	struct out_stream *o = w->out;

	if (!unused(&o->fit->log, w->index)) {
		o->dropped++;
		mu_packet_unref(w->pkt);
		return;
	}
	if (lay(p, m, w, &(struct manner){ .how = FIRST, .now_us = now_us })) {
		o->packets++;
		o->bytes += payload_len(w) - (w->empty ? 0 : w->pkt->pad);
		p->stats.rtp_out++;
	}
	if (w->index >= o->fit->began_with && !o->fit->began) {
		o->fit->began = true;
		o->fit->began_us = now_us;
	}
	remember(p, w, now_us);
}

void wire_again(struct plane *p, struct message *m, const struct wire *w, int64_t now_us)
{
	bool rtx = w->out->spec.rtx_ssrc && w->rtx_pt != PT_NONE;
	struct wire copy = *w;

	if (!rtx && w->red)
		return; /* what it carried besides may be gone; whoever takes copies has had this one twice */
	if (!(rtx ? lay_rtx(p, m, w, &(struct manner){ .how = REPAIR, .now_us = now_us }) > 0
		  : lay(p, m, &copy, &(struct manner){ .how = SAME, .now_us = now_us })))
		return;
	w->out->retransmitted++;
	p->stats.retransmitted++;
}

/* --- probes --- */

#define PADDING_MAX 255 /* RFC 3550, section 5.1: its length is one octet */

static uint8_t any_rtx_pt(const struct out_stream *o)
{
	for (unsigned i = 0; i < o->offer->n_formats; i++) {
		if (o->offer->formats[i].rtx_pt)
			return o->offer->formats[i].rtx_pt;
	}
	return PT_NONE;
}

static size_t lay_padding(struct plane *p, struct message *m, struct out_stream *o, size_t size, const struct manner *how)
{
	size_t around = MU_RTP_HEADER_MIN + 8 + m->t->growth, len = size > around ? MU_MIN(size - around, (size_t)PADDING_MAX) : 1;
	struct wire w = { .out = o, .empty = true };
	uint8_t pt = any_rtx_pt(o);
	struct mu_srtp_job *j = pt == PT_NONE ? NULL : place(p, m, &w, len, how);

	if (!j)
		return 0;
	j->ssrc = o->spec.rtx_ssrc;
	j->index = o->rtx_index++;
	j->out[0] |= 0x20;
	mu_rtp_patch(j->out, pt, (uint16_t)j->index, o->fit->last_ts, j->ssrc);
	memset(j->out + j->hlen, 0, len - 1);
	j->out[j->hlen + len - 1] = (uint8_t)len;
	j->payload = j->out + j->hlen;
	return j->hlen + j->payload_len + m->t->growth;
}

/* A stream that has not begun has no number for its repair yet: what it would get then might be one used now. */
size_t wire_probe(struct plane *p, struct message *m, struct out_stream *o, unsigned back, size_t size, uint16_t cluster,
	int64_t now_us)
{
	const struct manner how = { .how = REPAIR, .cluster = cluster, .now_us = now_us };
	const struct wire_log *l = &o->fit->log;
	const struct wire *w = NULL;

	if (!o->started || !o->spec.rtx_ssrc)
		return 0;
	if (size > PADDING_MAX + MU_RTP_HEADER_MIN && l->slots && l->high - l->low > back)
		w = &slot(l, l->high - 1 - back)->wire;
	if (w && w->pkt && !w->empty && w->rtx_pt != PT_NONE && payload_len(w) > PADDING_MAX)
		return lay_rtx(p, m, w, &how);
	return lay_padding(p, m, o, size, &how);
}
