/* RTP to viewers. Sinks only note what they were given; draining then goes transport by transport: the packets that wait for
 * one peer are laid end to end in the send buffer, sealed there straight from the shared plaintext, and leave as few
 * segmented messages (LIMITS: one message of nine packets costs a third of nine messages). */
#include <stdlib.h>

#include "transport/fit.h"
#include "transport/message.h"

/* --- formats ------------------------------------------------------------------------------------------------------------------ */

void egress_choose(const struct out_offer *offer, const struct mu_format *formats, unsigned n, uint8_t pt[MU_FORMATS_MAX],
	uint8_t rtx_pt[MU_FORMATS_MAX])
{
	for (unsigned i = 0; i < MU_FORMATS_MAX; i++) {
		int best = 0;

		pt[i] = rtx_pt[i] = PT_NONE;
		for (unsigned k = 0; i < n && k < offer->n_formats; k++) {
			const struct mu_stream_format *f = &offer->formats[k];
			int score = mu_format_suits(&formats[i], &f->format);

			if (score > best) {
				best = score;
				pt[i] = f->format.pt;
				rtx_pt[i] = f->rtx_pt ? f->rtx_pt : PT_NONE;
			}
		}
	}
}

/* From track number seq on. */
static void choose_formats(struct out_stream *o, const struct mu_format *formats, unsigned n, unsigned version, uint64_t seq)
{
	egress_choose(o->offer, formats, n, o->pt, o->rtx_pt);
	o->format = PT_NONE;
	o->formats_version = version;
	o->formats_since = seq;
}

/* The packet's payload type; nearly always it is the last one's. @return whether the peer takes it */
static bool choose_pt(struct out_stream *o, const struct mu_burst *b, uint8_t format)
{
	if (format != o->format) {
		o->format = format;
		o->format_pt = format < MU_FORMATS_MAX ? o->pt[format] : PT_NONE;
		if (o->format_pt != PT_NONE && format < b->n_formats)
			o->codec = b->formats[format].codec;
	}
	return o->format_pt != PT_NONE;
}

/* --- noting ---------------------------------------------------------------------------------------------------------------------- */

/* A burst is in order of arrival: where its first packet was overtaken, the number to begin with is not the first one's. For
 * video waiting for a key frame it is first_seq itself, which the track set to the key frame's start. */
static uint64_t lowest(const struct mu_burst *b, uint64_t from)
{
	uint64_t ret = UINT64_MAX;

	for (unsigned i = 0; i < b->n; i++) {
		if (b->pkts[i]->seq >= from)
			ret = MU_MIN(ret, b->pkts[i]->seq);
	}
	return ret;
}

static void start(struct out_stream *o, uint64_t first)
{
	/* RFC 3711, section 3.3.1: a start below 2^15 keeps both sides' idea of the roll-over counter the same though the
	 * first packets are lost */
	o->shift = (mu_random_u32() & 0x3fff) - first;
	o->rtx_index = mu_random_u32() & 0x3fff;
	o->ts_offset = mu_random_u32();
	o->highest = o->sink.first_seq = first;
	o->started = true;
}

void egress_deliver(struct mu_sink *sink, struct mu_burst *b)
{
	struct out_stream *o = MU_CONTAINER_OF(sink, struct out_stream, sink);
	struct mu_transport *t = o->t;
	struct plane *p = t->plane;
	struct egress_item *item;

	if (!t->sendable) {
		o->dropped += b->n;
		return;
	}
	if (!o->started) {
		uint64_t first = lowest(b, sink->first_seq);

		if (first == UINT64_MAX)
			return; /* all of it is from before this viewer came */
		start(o, first);
	}
	if (b->formats_version != o->formats_version)
		choose_formats(o, b->formats, b->n_formats, b->formats_version, lowest(b, 0));
	if (p->n_items == EGRESS_ITEMS)
		egress_drain(p->worker, mu_clock_us());
	item = &p->items[p->n_items];
	*item = (struct egress_item){ o, b, -1 };
	if (t->queue_tail >= 0)
		p->items[t->queue_tail].next = p->n_items;
	else
		t->queue_head = p->n_items;
	t->queue_tail = p->n_items++;
	if (mu_list_empty(&t->dirty))
		mu_list_append(&p->dirty, &t->dirty);
}

/* A transport that ends in mid-turn: nothing of it may be sealed any more. */
void egress_forget(struct mu_transport *t)
{
	mu_list_remove(&t->dirty);
	t->queue_head = t->queue_tail = -1;
}

/* --- draining --------------------------------------------------------------------------------------------------------------------- */

static void write_headers(struct mu_burst *b, const struct mu_ext_map *map)
{
	for (unsigned i = 0; i < b->n; i++)
		b->header_len[i] = (uint16_t)mu_rtp_write_header(b->pkts[i], map, NULL, 0, b->header[i]);
	b->header_map = map;
}

static void lay_packet(struct plane *p, struct message *m, struct out_stream *o, struct mu_burst *b, unsigned i)
{
	const struct mu_packet *pkt = b->pkts[i];
	uint64_t index = out_index(o, pkt->seq);
	uint16_t hlen = b->header_len[i], payload_len = (uint16_t)(pkt->len - pkt->hlen);
	size_t size = hlen + payload_len + m->t->growth;
	struct mu_srtp_job *j;
	uint8_t *at;

	if (size > MU_DATAGRAM_MAX) {
		/* it came in with a shorter tag or header than it would leave with */
		o->dropped++;
		p->stats.too_large++;
		return;
	}
	at = message_place(p, m, size);
	j = &p->jobs[p->n_jobs++];
	memcpy(at, b->header[i], hlen);
	mu_rtp_patch(at, o->format_pt, (uint16_t)index, pkt->ts + o->ts_offset, o->ssrc);
	j->key = m->t->key_out;
	j->out = at;
	j->payload = pkt->data + pkt->hlen;
	j->hlen = hlen;
	j->payload_len = payload_len;
	j->ssrc = o->ssrc;
	j->index = index;
	o->packets++;
	o->bytes += payload_len - pkt->pad;
	p->stats.rtp_out++;
	if (pkt->seq > o->highest)
		o->highest = pkt->seq;
}

static void lay_burst(struct plane *p, struct message *m, struct out_stream *o, struct mu_burst *b)
{
	if (b->header_map != &o->map->map)
		write_headers(b, &o->map->map);
	for (unsigned i = 0; i < b->n; i++) {
		const struct mu_packet *pkt = b->pkts[i];

		if (pkt->seq < o->sink.first_seq)
			continue;
		if (pkt->seq < o->formats_since || !choose_pt(o, b, pkt->codec)) {
			o->dropped++;
			continue;
		}
		lay_packet(p, m, o, b, i);
	}
}

/* Video first: its packets are large and alike; audio behind it is the shorter last segment of the same message. */
static void lay_kind(struct plane *p, struct message *m, enum mu_kind kind)
{
	for (int32_t i = m->t->queue_head; i >= 0; i = p->items[i].next) {
		struct out_stream *o = p->items[i].out;

		if (o->kind == kind)
			lay_burst(p, m, o, p->items[i].burst);
	}
}

static void account_queue(struct plane *p)
{
	int64_t done = mu_clock_us();

	for (int32_t i = 0; i < p->n_items; i++) {
		const struct mu_burst *b = p->items[i].burst;

		if (i == 0 || b != p->items[i - 1].burst)
			stats_queue(p, done - b->pkts[0]->arrival_us);
	}
}

void egress_drain(struct mu_worker *w, int64_t now_us)
{
	struct plane *p = plane_of(w);

	if (p->n_items == 0 && mu_list_empty(&p->dirty))
		return;
	mu_list_for_each_safe(it, next, &p->dirty) {
		struct message m = { .t = MU_CONTAINER_OF(it, struct mu_transport, dirty) };

		if (m.t->is_fitted) {
			wire_drain(p, &m, now_us);
		} else {
			lay_kind(p, &m, MU_VIDEO);
			lay_kind(p, &m, MU_AUDIO);
		}
		message_close(&m);
		m.t->queue_head = m.t->queue_tail = -1;
		mu_list_remove(it);
	}
	message_seal(p);
	mu_worker_flush(w);
	account_queue(p);
	p->n_items = 0;
}
