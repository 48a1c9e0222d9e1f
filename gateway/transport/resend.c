/* A viewer lost packets: sent again from the track's cache, as RTX (RFC 4588) or, where the viewer has none, as they were.
 * What one RTCP packet asks for is noted first, for other RTCP may leave while it is read, and then laid out as egress does:
 * one sealing, one segmented message. */
#include <stdlib.h>

#include "transport/fit.h"
#include "transport/message.h"

/* RELIABILITY S13: at most as much as was sent. Credit grows with what is sent; what is unspent counts up to a second of a
 * good picture, for nothing older is in the cache; the floor is for the beginning. */
#define CREDIT_MAX   250000 /* bytes */
#define CREDIT_FLOOR 60000

/* A viewer that misses a packet asks for it again each round trip as it measures it, some each 20 ms. A request less than a
 * round trip after we sent was on its way before that could arrive. Three quarters, for our measure may be too long. */
#define HOLD_MIN_US	10000
#define HOLD_MAX_US	500000
#define HOLD_UNKNOWN_US 40000 /* before the first report */

/* When the last packets asked for were sent, by number modulo. */
#define RESENT_MAX 256 /* a large key frame */
struct resent {
	struct {
		uint64_t number; /* track number, never 0 */
		int64_t at_us;
	} slot[RESENT_MAX];
};

static int64_t hold_us(const struct out_stream *o)
{
	if (o->rtt_us < 0)
		return HOLD_UNKNOWN_US;
	return MU_MAX(MU_MIN(o->rtt_us / 4 * 3, HOLD_MAX_US), HOLD_MIN_US);
}

/* Whether it is time to send it (again), which is then noted. */
static bool due(struct out_stream *o, uint64_t number, int64_t now_us)
{
	unsigned i = number % RESENT_MAX;

	if (!o->resent)
		o->resent = calloc(1, sizeof(*o->resent)); /* once in a stream's life; without it each request is served */
	if (!o->resent)
		return true;
	if (o->resent->slot[i].number == number && now_us - o->resent->slot[i].at_us < hold_us(o))
		return false;
	o->resent->slot[i].number = number;
	o->resent->slot[i].at_us = now_us;
	return true;
}

/* Header and tag count: the viewer's link carries them too. */
static bool has_credit(struct out_stream *o)
{
	uint64_t sent = o->bytes + o->packets * (MU_RTP_HEADER_MIN + o->t->growth);

	o->resend_credit = MU_MIN(o->resend_credit + (int64_t)(sent - o->resend_counted), CREDIT_MAX);
	o->resend_counted = sent;
	return o->resend_credit > -CREDIT_FLOOR;
}

/* The one number near the highest sent that ends in these 16 bits. */
static bool number_of(const struct out_stream *o, uint16_t seq, uint64_t *ret)
{
	uint64_t number = mu_seq_unwrap(out_index(o, o->highest), seq) - o->shift;

	if (number < o->sink.first_seq || number > o->highest)
		return false;
	*ret = number;
	return true;
}

/* It is known by what was sent, not by the track: that may be another one by now. */
static void resend_fitted(struct out_stream *o, uint16_t seq, int64_t now_us)
{
	struct plane *p = o->t->plane;
	const struct wire *w = o->t->sendable ? wire_find(o, seq) : NULL;

	if (!w || !has_credit(o) || !due(o, w->index + 1, now_us))
		return;
	if (p->n_again == AGAIN_MAX)
		resend_noted(o->t);
	p->again[p->n_again++] = (struct again){ .out = o, .wire = w };
	o->resend_credit -= w->pkt->len + 2 + (int64_t)o->t->growth;
}

void resend(struct out_stream *o, uint16_t seq, int64_t now_us)
{
	struct plane *p = o->t->plane;
	const struct mu_packet *pkt;
	uint64_t number;

	if (o->fit) {
		resend_fitted(o, seq, now_us);
		return;
	}
	if (!o->started || !o->t->sendable || !o->sink.track || !number_of(o, seq, &number) || !has_credit(o))
		return;
	pkt = mu_track_find(o->spec.track, o->t->worker, number);
	if (!pkt || number < o->formats_since || pkt->codec >= MU_FORMATS_MAX || o->pt[pkt->codec] == PT_NONE ||
		!due(o, number, now_us))
		return;
	if (p->n_again == AGAIN_MAX)
		resend_noted(o->t);
	p->again[p->n_again++] = (struct again){ .out = o, .pkt = pkt };
	o->resend_credit -= pkt->len + 2 + (int64_t)o->t->growth; /* as RTX, on the wire */
}

/* --- laying out --------------------------------------------------------------------------------------------------------- */

/* The payload of RTX is the original sequence number and the original payload, padding included: put together in place. */
static void as_rtx(struct out_stream *o, const struct mu_packet *pkt, struct mu_srtp_job *j)
{
	uint8_t *payload = j->out + j->hlen;

	j->ssrc = o->spec.rtx_ssrc;
	j->index = o->rtx_index++;
	mu_put16(payload, (uint16_t)out_index(o, pkt->seq));
	memcpy(payload + 2, pkt->data + pkt->hlen, j->payload_len - 2u);
	j->payload = payload;
	mu_rtp_patch(j->out, o->rtx_pt[pkt->codec], (uint16_t)j->index, pkt->ts + o->ts_offset, j->ssrc);
}

/* Exactly the bytes of the first time: header, payload, padding. A GCM nonce used twice with other bytes gives the key
 * away, so nothing here may depend on the moment. */
static void as_it_was(struct out_stream *o, const struct mu_packet *pkt, struct mu_srtp_job *j)
{
	j->ssrc = o->ssrc;
	j->index = out_index(o, pkt->seq);
	j->payload = pkt->data + pkt->hlen;
	mu_rtp_patch(j->out, o->pt[pkt->codec], (uint16_t)j->index, pkt->ts + o->ts_offset, j->ssrc);
}

static void lay(struct plane *p, struct message *m, struct out_stream *o, const struct mu_packet *pkt)
{
	bool rtx = o->spec.rtx_ssrc && o->rtx_pt[pkt->codec] != PT_NONE;
	uint8_t header[MU_RTP_HEADER_MAX];
	size_t hlen = mu_rtp_write_header(pkt, &o->map->map, NULL, 0, header);
	size_t payload_len = (size_t)(pkt->len - pkt->hlen) + (rtx ? 2 : 0);
	size_t size = hlen + payload_len + m->t->growth;
	struct mu_srtp_job *j;
	uint8_t *at;

	if (size > MU_DATAGRAM_MAX) {
		o->dropped++;
		p->stats.too_large++;
		return;
	}
	at = message_place(p, m, size);
	j = &p->jobs[p->n_jobs++];
	memcpy(at, header, hlen);
	j->key = m->t->key_out;
	j->out = at;
	j->hlen = (uint16_t)hlen;
	j->payload_len = (uint16_t)payload_len;
	if (rtx)
		as_rtx(o, pkt, j);
	else
		as_it_was(o, pkt, j);
	o->retransmitted++;
	p->stats.retransmitted++;
}

static void lay_again(struct plane *p, struct message *m, const struct again *a)
{
	if (a->wire)
		wire_again(p, m, a->wire);
	else
		lay(p, m, a->out, a->pkt);
}

void resend_noted(struct mu_transport *t)
{
	struct plane *p = t->plane;
	struct message m = { .t = t };

	for (unsigned i = 0; i < p->n_again; i++)
		lay_again(p, &m, &p->again[i]);
	p->n_again = 0;
	message_close(&m);
	message_seal(p);
}
