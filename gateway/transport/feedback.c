/* What we report and ask by RTCP: sender and receiver reports, NACK, key-frame requests, transport-wide feedback. */
#include <stdio.h>

#include "transport/transport_internal.h"

#define REPORT_INTERVAL_US 1000000
#define NACK_BATCH	   128
#define RTT_UNKNOWN_US	   100000

void rtcp_send(struct mu_transport *t, const struct mu_rtcp_writer *w)
{
	uint8_t sealed[RTCP_MAX + MU_SRTCP_GROWTH_MAX];
	int n;

	if (!t->sendable || w->len == 0)
		return;
	t->srtcp_index = (t->srtcp_index + 1) & 0x7fffffff;
	n = mu_srtcp_protect(t->plane->engine, t->key_out, t->srtcp_index, w->data, w->len, sealed);
	if (n > 0)
		mu_worker_send_copy(t->worker, &t->path, sealed, (size_t)n);
}

/* Round trip to the publisher: its sender reports carry none, so what its feedback on our reports gave, else a guess. */
static int64_t rtt_in(const struct mu_transport *t)
{
	int64_t best = RTT_UNKNOWN_US;

	for (unsigned i = 0; i < t->n_out; i++) {
		if (t->out[i].rtt_us >= 0)
			best = t->out[i].rtt_us;
	}
	return best;
}

/* --- NACK ----------------------------------------------------------------------------------------------------------------- */

void feedback_plan_nacks(struct mu_transport *t, int64_t now_us)
{
	int64_t next = INT64_MAX;

	for (unsigned i = 0; i < t->n_in; i++) {
		if (t->in[i].nack)
			next = MU_MIN(next, mu_nack_next_us(t->in[i].nack, rtt_in(t)));
	}
	if (next == INT64_MAX)
		return; /* a timer still set finds nothing to do */
	next = MU_MAX(next, now_us + 1000);
	if (t->nack_timer.at == 0 || next < t->nack_timer.due_us)
		mu_timer_set(t->worker, &t->nack_timer, next);
}

void feedback_nack_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct mu_transport *t = MU_CONTAINER_OF(timer, struct mu_transport, nack_timer);
	uint8_t buf[RTCP_MAX];
	uint16_t seqs[NACK_BATCH];

	(void)w;
	for (unsigned i = 0; i < t->n_in; i++) {
		struct in_stream *s = &t->in[i];
		struct mu_rtcp_writer wr = { buf, sizeof(buf), 0 };
		size_t n = s->nack ? mu_nack_due(s->nack, now_us, rtt_in(t), seqs, NACK_BATCH) : 0;

		if (n == 0)
			continue;
		s->nacks += n;
		t->plane->stats.nacks_out += n;
		mu_rtcp_add_rr(&wr, t->rtcp_ssrc, NULL, 0);
		mu_rtcp_add_nack(&wr, t->rtcp_ssrc, s->ssrc, seqs, n);
		rtcp_send(t, &wr);
	}
	feedback_plan_nacks(t, now_us);
}

/* --- key frames ------------------------------------------------------------------------------------------------------------ */

void feedback_key_request(struct in_stream *s)
{
	struct mu_transport *t = s->t;
	uint8_t buf[128];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, t->rtcp_ssrc, NULL, 0);
	if (s->spec.pli)
		mu_rtcp_add_pli(&w, t->rtcp_ssrc, s->ssrc);
	else
		mu_rtcp_add_fir(&w, t->rtcp_ssrc, s->ssrc, s->fir_number++);
	rtcp_send(t, &w);
}

/* --- reports ------------------------------------------------------------------------------------------------------------------ */

static void report_in(struct mu_transport *t, struct mu_rtcp_writer *w, int64_t now_us)
{
	struct mu_rtcp_report r[MU_STREAMS_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < t->n_in; i++) {
		struct in_stream *s = &t->in[i];

		if (s->rx.started)
			mu_rtcp_report_fill(&s->rx, s->ssrc, &s->clock, now_us, &r[n++]);
	}
	if (t->n_out == 0 || n > 0)
		mu_rtcp_add_rr(w, t->rtcp_ssrc, r, n);
}

/* A viewer's time line is the publisher's: our report carries its NTP time, moved on by what passed since, and our media
 * time at that moment. So audio and video of one publisher stay together, and so do publishers with good clocks. */
static void report_out(struct out_stream *o, struct mu_rtcp_writer *w, int64_t now_us)
{
	struct mu_rtp_clock c = mu_track_clock(o->spec.track, o->t->worker);
	int64_t passed = now_us - c.arrival_us;
	uint32_t rtp;

	if (!c.valid || !o->started)
		return;
	rtp = c.rtp + (uint32_t)(passed * mu_codec_clock(o->codec) / 1000000) + o->ts_offset;
	o->sr_ntp = c.ntp + mu_ntp_span(passed);
	o->sr_us = now_us;
	mu_rtcp_add_sr(w, o->spec.ssrc, o->sr_ntp, rtp, (uint32_t)o->packets, (uint32_t)o->bytes, NULL, 0);
	mu_rtcp_add_sdes(w, o->spec.ssrc, o->t->cname);
}

static void report(struct mu_transport *t, int64_t now_us)
{
	uint8_t buf[RTCP_MAX];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	report_in(t, &w, now_us);
	for (unsigned i = 0; i < t->n_out; i++)
		report_out(&t->out[i], &w, now_us);
	rtcp_send(t, &w);
}

static void report_twcc(struct mu_transport *t)
{
	uint8_t buf[RTCP_MAX];
	size_t n;

	while (t->n_in > 0 && (n = mu_twcc_rx_report(t->twcc, t->rtcp_ssrc, t->in[0].ssrc, buf, sizeof(buf))) > 0) {
		struct mu_rtcp_writer w = { buf, sizeof(buf), n };

		rtcp_send(t, &w);
	}
}

void feedback_tick(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct mu_transport *t = MU_CONTAINER_OF(timer, struct mu_transport, tick_timer);

	if (!mu_ice_consent(&t->ice, now_us)) {
		session_close(t, "the peer stopped answering (no consent for 30 s)", now_us);
		return;
	}
	if (t->twcc)
		report_twcc(t);
	if (now_us >= t->next_report_us) {
		report(t, now_us);
		/* RFC 3550, section 6.2: not all in step */
		t->next_report_us = now_us + REPORT_INTERVAL_US / 2 + mu_random_u32() % REPORT_INTERVAL_US;
	}
	mu_timer_set(w, timer, t->twcc ? MU_MIN(now_us + TICK_PUBLISHER_US, t->next_report_us) : t->next_report_us);
}

void feedback_bye(struct mu_transport *t, const char *why)
{
	uint8_t buf[512];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	uint32_t ssrcs[MU_STREAMS_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < t->n_out; i++)
		ssrcs[n++] = t->out[i].spec.ssrc;
	if (n == 0)
		ssrcs[n++] = t->rtcp_ssrc;
	mu_rtcp_add_rr(&w, ssrcs[0], NULL, 0);
	mu_rtcp_add_bye(&w, ssrcs, n, why);
	rtcp_send(t, &w);
}
