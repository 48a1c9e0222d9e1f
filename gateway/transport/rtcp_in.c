/* RTCP from the peer: what it sent, what it lost, what it asks for. */
#include "transport/fit.h"

#define KEY_REQUEST_GATE_US 100000 /* a viewer's requests closer than this are one */

struct context {
	struct mu_transport *t;
	int64_t now_us;
};

static struct out_stream *out_by_ssrc(struct mu_transport *t, uint32_t ssrc)
{
	for (unsigned i = 0; i < t->n_out; i++) {
		if (t->out[i]->spec.ssrc == ssrc)
			return t->out[i];
	}
	return NULL;
}

static void on_sr(void *arg, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes)
{
	struct context *c = arg;

	(void)packets;
	(void)bytes;
	for (unsigned i = 0; i < c->t->n_in; i++) {
		struct in_stream *s = c->t->in[i];

		if (s->ssrc != ssrc)
			continue;
		if (ntp == 0)
			continue; /* a sender without a wall clock says so (RFC 3550, section 6.4.1) */
		s->clock = (struct mu_rtp_clock){ .valid = true, .rtp = rtp, .ntp = ntp, .arrival_us = c->now_us };
		if (s->attached)
			mu_track_set_clock(s->spec.track, ntp, rtp, c->now_us);
	}
}

/* NTP time now in the domain of our last report: a publisher's clock, of which we pass on the reading. */
static uint64_t ntp_now(const struct out_stream *o, int64_t now_us)
{
	return o->sr_ntp + mu_ntp_span(now_us - o->sr_us);
}

static void on_report(void *arg, uint32_t from, const struct mu_rtcp_report *r)
{
	struct context *c = arg;
	struct out_stream *o = out_by_ssrc(c->t, r->ssrc);

	(void)from;
	if (!o)
		return;
	o->remote_fraction_lost = r->fraction_lost;
	o->remote_lost = r->lost;
	o->remote_jitter = r->jitter;
	if (o->sr_us && r->lsr == (uint32_t)(o->sr_ntp >> 16)) {
		int64_t rtt = mu_rtcp_rtt_us(r, ntp_now(o, c->now_us));

		if (rtt >= 0)
			o->rtt_us = rtt;
	}
}

/* Our time as the peer heard it and how long ago: a round trip that needs no sender report of ours. */
static void on_dlrr(void *arg, uint32_t ssrc, uint32_t last_rr, uint32_t delay)
{
	struct context *c = arg;
	struct mu_rtcp_report r = { .lsr = last_rr, .dlsr = delay };
	int64_t rtt = mu_rtcp_rtt_us(&r, mu_ntp_span(c->now_us));

	if (ssrc == c->t->rtcp_ssrc && rtt >= 0)
		mu_rtt_sample(&c->t->rtt, rtt);
}

static void on_rrtr(void *arg, uint32_t from, uint64_t ntp)
{
	struct context *c = arg;

	c->t->peer_time.heard = true;
	c->t->peer_time.ssrc = from;
	c->t->peer_time.middle = (uint32_t)(ntp >> 16);
	c->t->peer_time.at_us = c->now_us;
}

static void on_nack(void *arg, uint32_t media_ssrc, uint16_t seq)
{
	struct context *c = arg;
	struct out_stream *o = out_by_ssrc(c->t, media_ssrc);

	if (!o || !o->spec.nack)
		return;
	o->nacks++;
	c->t->plane->stats.nacks_in++;
	resend(o, seq, c->now_us);
}

static void on_key_request(void *arg, uint32_t media_ssrc)
{
	struct context *c = arg;
	struct out_stream *o = out_by_ssrc(c->t, media_ssrc);

	if (!o || (!o->fit && !o->sink.track))
		return;
	o->key_requests++;
	c->t->plane->stats.key_requests_in++;
	if (c->now_us - o->asked_key_us < KEY_REQUEST_GATE_US)
		return;
	o->asked_key_us = c->now_us;
	if (o->fit)
		fit_ask_key(o, c->now_us);
	else
		mu_track_ask_key(o->spec.track, c->t->worker, c->now_us);
}

static void on_fir(void *arg, uint32_t from, uint32_t media_ssrc, uint8_t number)
{
	struct context *c = arg;
	struct out_stream *o = out_by_ssrc(c->t, media_ssrc);

	if (!o || (o->fir_heard && o->fir_from == from && o->fir_number == number))
		return;
	o->fir_heard = true;
	o->fir_from = from;
	o->fir_number = number;
	on_key_request(arg, media_ssrc);
}

/* Whoever comes in its place need not wait, and what is missing will not come. */
static void on_bye(void *arg, uint32_t ssrc)
{
	struct context *c = arg;

	for (unsigned i = 0; i < c->t->n_in; i++) {
		struct in_stream *s = c->t->in[i];

		if (s->ssrc != ssrc)
			continue;
		s->ended = true;
		incoming_forget(s);
	}
}

static const struct mu_rtcp_handler handler = {
	.sr = on_sr,
	.report = on_report,
	.nack = on_nack,
	.key_request = on_key_request,
	.fir = on_fir,
	.bye = on_bye,
	.rrtr = on_rrtr,
	.dlrr = on_dlrr,
};

void incoming_rtcp(struct mu_transport *t, const uint8_t *data, size_t len, int64_t now_us)
{
	struct context c = { t, now_us };
	uint8_t plain[MU_DATAGRAM_MAX + 1];
	int n;

	t->plane->stats.rtcp_in++;
	if (len > MU_DATAGRAM_MAX) {
		incoming_malformed(t);
		return;
	}
	n = mu_srtp_rx_rtcp(t->plane->engine, t->rx, data, len, plain);
	if (n < 0) {
		incoming_refused(t, n, now_us);
		return;
	}
	t->last_rtcp_us = now_us;
	session_heard(t);
	if (mu_rtcp_parse(plain, (size_t)n, &handler, &c) < 0)
		incoming_malformed(t);
	resend_noted(t);
}
