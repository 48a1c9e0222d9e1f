/* A viewer lost a packet: sent again from the track's cache, as RTX (RFC 4588) or, where the viewer has none, as it was. */
#include "transport/transport_internal.h"

#define BUDGET_FLOOR 60000   /* bytes: a few packets more than were sent may be asked for at the beginning */
#define BUDGET_CEIL  1000000

/* The one number near the highest sent that ends in these 16 bits. */
static bool number_of(const struct out_stream *o, uint16_t seq, uint64_t *ret)
{
	uint64_t index = mu_seq_unwrap(out_index(o, o->highest), seq);

	if (index < o->start || index > out_index(o, o->highest))
		return false;
	*ret = o->base + (index - o->start);
	return true;
}

static void send_job(struct out_stream *o, struct mu_srtp_job *j, size_t size)
{
	struct mu_worker *w = o->t->worker;

	mu_srtp_protect(o->t->plane->engine, j, 1);
	mu_worker_send(w, &o->t->path, size, 0);
	o->retransmitted++;
	o->t->plane->stats.retransmitted++;
	o->resend_budget -= (int64_t)size;
}

/* The payload of RTX is the original sequence number and the original payload, padding included. */
static void as_rtx(struct out_stream *o, const struct mu_packet *pkt, uint8_t *at, uint16_t hlen)
{
	uint8_t *payload = o->t->plane->scratch;
	uint16_t len = (uint16_t)(pkt->len - pkt->hlen + 2);
	uint64_t index = o->rtx_index++;
	struct mu_srtp_job j = {
		.key = o->t->key_out,
		.out = at,
		.payload = payload,
		.hlen = hlen,
		.payload_len = len,
		.ssrc = o->spec.rtx_ssrc,
		.index = index,
	};

	mu_put16(payload, (uint16_t)out_index(o, pkt->seq));
	memcpy(payload + 2, pkt->data + pkt->hlen, len - 2u);
	mu_rtp_patch(at, o->rtx_pt[pkt->codec], (uint16_t)index, pkt->ts + o->ts_offset, o->spec.rtx_ssrc);
	send_job(o, &j, hlen + len + mu_srtp_growth(o->t->profile));
}

/* Exactly the bytes of the first time: header, payload, padding. A GCM nonce used twice with other bytes gives the key
 * away, so nothing here may depend on the moment. */
static void as_it_was(struct out_stream *o, const struct mu_packet *pkt, uint8_t *at, uint16_t hlen)
{
	uint64_t index = out_index(o, pkt->seq);
	struct mu_srtp_job j = {
		.key = o->t->key_out,
		.out = at,
		.payload = pkt->data + pkt->hlen,
		.hlen = hlen,
		.payload_len = (uint16_t)(pkt->len - pkt->hlen),
		.ssrc = o->spec.ssrc,
		.index = index,
	};

	mu_rtp_patch(at, o->pt[pkt->codec], (uint16_t)index, pkt->ts + o->ts_offset, o->spec.ssrc);
	send_job(o, &j, hlen + j.payload_len + mu_srtp_growth(o->t->profile));
}

void resend(struct out_stream *o, uint16_t seq, int64_t now_us)
{
	struct mu_worker *w = o->t->worker;
	struct mu_packet *pkt;
	uint64_t number;
	uint16_t hlen;
	uint8_t *at;

	(void)now_us;
	if (!o->started || !o->t->sendable || !o->sink.track || !number_of(o, seq, &number))
		return;
	o->resend_budget = MU_MIN(o->resend_budget, BUDGET_CEIL);
	if (o->resend_budget < -BUDGET_FLOOR)
		return; /* asks for more than it was sent (RELIABILITY S13) */
	pkt = mu_track_find(o->spec.track, w, number);
	if (!pkt || number < o->sink.first_seq || number < o->formats_since || pkt->codec >= MU_FORMATS_MAX ||
		o->pt[pkt->codec] == PT_NONE)
		return;
	if (!mu_worker_fits(w, MU_DATAGRAM_MAX + 64))
		mu_worker_flush(w);
	at = mu_worker_reserve(w);
	hlen = (uint16_t)mu_rtp_write_header(pkt, &o->map->map, NULL, 0, at);
	if (o->spec.rtx_ssrc && o->rtx_pt[pkt->codec] != PT_NONE)
		as_rtx(o, pkt, at, hlen);
	else
		as_it_was(o, pkt, at, hlen);
}
