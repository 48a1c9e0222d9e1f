/* What we report by RTCP and when: sender and receiver reports, transport-wide feedback, REMB, XR; and on the
 * same timer, whether the peer still consents to be sent to. */
#include "transport/fit.h"

#define REPORT_INTERVAL_US 1000000
#define SENDER_BYTES \
	(28 + 8 + 2 + sizeof(((struct mu_transport *)0)->cname) + 4) /* an SR and its SDES at most */
#define NO_LIMIT_BPS UINT64_C(10000000000)

/* --- to a publisher --- */

/* Of streams *at and on, as many as a packet holds. */
static size_t reports_in(
	struct mu_transport *t, unsigned *at, int64_t now_us, struct mu_rtcp_report ret[RTCP_BLOCKS_MAX])
{
	size_t n = 0;

	for (; *at < t->n_in && n < RTCP_BLOCKS_MAX; ++*at) {
		struct in_stream *s = t->in[*at];

		if (s->rx.started)
			mu_rtcp_report_fill(&s->rx, s->ssrc, &s->clock, now_us, &ret[n++]);
	}
	return n;
}

/* RFC 3611: our time, which comes back with the peer's delay as a round trip, and the peer's time for its
 * own. Any real time will do, so it is the monotonic clock's. */
static void add_xr(struct mu_transport *t, struct mu_rtcp_writer *w, int64_t now_us)
{
	if (t->n_in > 0)
		mu_rtcp_add_rrtr(w, t->rtcp_ssrc, mu_ntp_span(now_us));
	if (t->peer_time.heard &&
		mu_rtcp_add_dlrr(w, t->rtcp_ssrc, t->peer_time.ssrc, t->peer_time.middle,
			(uint32_t)(mu_ntp_span(now_us - t->peer_time.at_us) >> 16)) == 0)
		t->peer_time.heard = false;
}

/* Where the publisher knows no transport-wide feedback: its limit, or less while much is lost. */
static void add_remb(struct mu_transport *t, struct mu_rtcp_writer *w, int64_t now_us)
{
	uint64_t limit = t->plane->publisher_bps ? t->plane->publisher_bps : NO_LIMIT_BPS, measured = 0;
	uint32_t ssrcs[MU_STREAMS_LATER_MAX];
	uint8_t lost = 0;
	size_t n = 0;

	for (unsigned i = 0; i < t->n_in; i++) {
		struct in_stream *s = t->in[i];

		if (!s->spec.remb || !s->rx.started)
			continue;
		lost = MU_MAX(lost, s->rx.fraction_lost);
		ssrcs[n++] = s->ssrc;
	}
	if (t->twcc || n == 0)
		return;
	if (now_us > t->measured_us)
		measured =
			(t->bytes_in - t->measured_bytes) * 8 * 1000000 / (uint64_t)(now_us - t->measured_us);
	t->measured_us = now_us;
	t->measured_bytes = t->bytes_in;
	mu_rtcp_add_remb(w, t->rtcp_ssrc, ssrcs, n, mu_loss_rate_next(&t->loss_rate, lost, measured, limit));
}

/* --- to a viewer --- */

/* A viewer's time line is the publisher's: our report carries its NTP time, moved on by what passed since,
 * and our media time at that moment. So audio and video of one publisher stay together, and so do publishers
 * with good clocks. A stream on which the publisher has not reported goes by when its last packet came, by
 * our clock until there is any report on any stream, then by the publisher's: two clocks in one session would
 * pull its audio and video apart.
 * @return what the publisher's clock is ahead of ours, 0 if nobody knows */
static uint64_t publisher_ahead(const struct mu_transport *t, int64_t now_us)
{
	for (unsigned i = 0; i < t->n_out && !t->is_fitted; i++) {
		struct mu_rtp_clock c = mu_track_clock(t->out[i]->spec.track, t->worker);

		if (c.valid)
			return c.ntp + mu_ntp_span(now_us - c.arrival_us) -
				mu_ntp_from_wall_us(mu_clock_wall_us());
	}
	return 0;
}

static struct mu_rtp_clock arrival_clock(const struct out_stream *o, uint64_t ahead, int64_t now_us)
{
	const struct mu_packet *last = mu_track_find(o->spec.track, o->t->worker, o->highest);
	struct mu_rtp_clock c = { 0 };

	if (!last)
		return c;
	c.valid = true;
	c.rtp = last->ts;
	c.ntp = mu_ntp_from_wall_us(mu_clock_wall_us() - (now_us - last->arrival_us)) + ahead;
	c.arrival_us = last->arrival_us;
	return c;
}

/* Its rtp is what goes out. */
static struct mu_rtp_clock out_clock(const struct out_stream *o, uint64_t ahead, int64_t now_us)
{
	struct mu_rtp_clock c = mu_track_clock(o->spec.track, o->t->worker);

	if (!c.valid)
		c = arrival_clock(o, ahead, now_us);
	c.rtp += o->ts_offset;
	return c;
}

/* @return whether there was something to say */
static bool report_out(struct out_stream *o, struct mu_rtcp_writer *w, uint64_t ahead, int64_t now_us)
{
	struct mu_rtp_clock c;
	int64_t passed;
	uint32_t rtp;

	if (!o->started || (!o->fit && !o->sink.track))
		return false;
	c = o->fit ? fit_clock(o, now_us) : out_clock(o, ahead, now_us);
	if (!c.valid)
		return false;
	passed = now_us - c.arrival_us;
	rtp = c.rtp + (uint32_t)(passed * mu_codec_clock(o->codec) / 1000000);
	o->sr_ntp = c.ntp + mu_ntp_span(passed);
	o->sr_us = now_us;
	mu_rtcp_add_sr(w, o->spec.ssrc, o->sr_ntp, rtp, (uint32_t)o->packets, (uint32_t)o->bytes, NULL, 0);
	mu_rtcp_add_sdes(w, o->spec.ssrc, o->t->cname);
	return true;
}

/* Sender reports, more than one packet full of them where many streams go out. @return how many are in w or
 * sent */
static unsigned reports_out(struct mu_transport *t, struct mu_rtcp_writer *w, int64_t now_us)
{
	uint64_t ahead = publisher_ahead(t, now_us);
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_out; i++) {
		if (w->size - w->len < SENDER_BYTES) {
			rtcp_send(t, w);
			w->len = 0;
		}
		n += report_out(t->out[i], w, ahead, now_us);
	}
	return n;
}

/* --- all --- */

static void report(struct mu_transport *t, int64_t now_us)
{
	struct mu_rtcp_report reports[RTCP_BLOCKS_MAX];
	uint8_t buf[RTCP_MAX];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	unsigned at = 0, senders = reports_out(t, &w, now_us);
	size_t n = reports_in(t, &at, now_us, reports);

	/* a peer that hears nothing else hears that we are here */
	for (bool first = senders == 0; first || n > 0; first = false) {
		rtcp_send(t, &w);
		w.len = 0;
		rtcp_begin(t, &w, reports, n);
		n = reports_in(t, &at, now_us, reports);
	}
	add_xr(t, &w, now_us);
	add_remb(t, &w, now_us);
	rtcp_send(t, &w);
}

/* About any of its streams, for all: but senders look whether the SSRC is theirs. */
static uint32_t bound_ssrc(const struct mu_transport *t)
{
	for (unsigned i = 0; i < t->n_in; i++) {
		if (t->in[i]->ssrc)
			return t->in[i]->ssrc;
	}
	return 0;
}

static void report_twcc(struct mu_transport *t)
{
	uint32_t media = bound_ssrc(t);
	uint8_t buf[RTCP_MAX];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	size_t n, head;

	rtcp_begin(t, &w, NULL, 0);
	head = w.len;
	while (media &&
		(n = mu_twcc_rx_report(t->twcc, t->rtcp_ssrc, media, buf + head, sizeof(buf) - head)) > 0) {
		w.len = head + n;
		rtcp_send(t, &w);
	}
}

/* Consent may end between two reports, and sending must stop then (RFC 7675, section 5.1). */
int64_t report_next_us(const struct mu_transport *t, int64_t now_us)
{
	int64_t next = MU_MIN(t->next_report_us, t->ice.last_check_us + MU_ICE_CONSENT_US);

	return t->twcc ? MU_MIN(next, now_us + TICK_PUBLISHER_US) : next;
}

void report_tick(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct mu_transport *t = MU_CONTAINER_OF(timer, struct mu_transport, tick_timer);

	if (t->silent || !mu_ice_consent(&t->ice, now_us)) {
		session_fall_silent(t, now_us);
		return;
	}
	if (t->twcc)
		report_twcc(t);
	if (now_us >= t->next_report_us) {
		report(t, now_us);
		/* RFC 3550, section 6.2: not all in step */
		t->next_report_us = now_us + REPORT_INTERVAL_US / 2 + mu_random_u32() % REPORT_INTERVAL_US;
	}
	mu_timer_set(w, timer, report_next_us(t, now_us));
}
