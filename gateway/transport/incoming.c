/* RTP from the peer: authenticated, bound to a stream, repaired, counted, and handed to its track. */
#include <errno.h>

#include "transport/transport_internal.h"

#define POLICE_US	1000000
#define REBIND_AFTER_US 1000000 /* a stream's SSRC may change once the one before has been silent this long */

/* --- what a bad packet leaves behind: a count, and a line now and then -------------------------------------------------------- */

void incoming_refused(struct mu_transport *t, int err, int64_t now_us)
{
	uint64_t n;

	switch (err) {
	case -EALREADY:
		t->replayed++;
		t->plane->stats.replayed++;
		return;
	case -ENOSPC:
		t->over_limit++;
		t->plane->stats.over_limit++;
		n = mu_log_gate_pass(&t->gate_limit, now_us, LOG_GATE_US);
		if (n)
			mu_warn(TOPIC, t->id, "more SSRCs than a session may have, dropping (%llu packets)", (unsigned long long)n);
		return;
	default:
		t->bad_auth++;
		t->plane->stats.bad_auth++;
		n = mu_log_gate_pass(&t->gate_auth, now_us, LOG_GATE_US);
		if (n)
			mu_warn(TOPIC, t->id, "SRTP authentication failed, dropping (%llu packets)", (unsigned long long)n);
	}
}

void incoming_malformed(struct mu_transport *t)
{
	t->malformed++;
	t->plane->stats.malformed++;
}

/* Token bucket of one second. Only what was authenticated spends credit: a stranger cannot use up a publisher's. */
static bool within_rate(struct mu_transport *t, size_t len, int64_t now_us)
{
	int64_t rate = (int64_t)t->plane->publisher_bps;
	uint64_t n;

	if (rate == 0)
		return true;
	/* a second fills the bucket; after hours of silence the product would not fit either */
	t->police_bits = MU_MIN(t->police_bits + MU_MIN(now_us - t->police_us, POLICE_US) * rate / POLICE_US, rate);
	t->police_us = now_us;
	if (t->police_bits >= (int64_t)len * 8) {
		t->police_bits -= (int64_t)len * 8;
		return true;
	}
	t->over_limit++;
	t->plane->stats.over_limit++;
	n = mu_log_gate_pass(&t->gate_limit, now_us, LOG_GATE_US);
	if (n)
		mu_warn(TOPIC, t->id, "publishes more than %lld kbit/s, dropping (%llu packets)", (long long)(rate / 1000),
			(unsigned long long)n);
	return false;
}

/* --- which stream ------------------------------------------------------------------------------------------------------------------ */

static int format_of(const struct in_stream *s, uint8_t pt)
{
	for (unsigned i = 0; i < s->spec.n_formats; i++) {
		if (s->spec.formats[i].pt == pt)
			return (int)i;
	}
	return -1;
}

static int rtx_format_of(const struct in_stream *s, uint8_t pt)
{
	for (unsigned i = 0; i < s->spec.n_formats; i++) {
		if (s->spec.rtx_pt[i] && s->spec.rtx_pt[i] == pt)
			return (int)i;
	}
	return -1;
}

static bool carries(const struct in_stream *s, uint8_t pt)
{
	return format_of(s, pt) >= 0 || rtx_format_of(s, pt) >= 0;
}

static bool says(const struct mu_packet *p, enum mu_rtp_ext type, const char *what)
{
	size_t len;
	const uint8_t *data = mu_rtp_ext(p, type, &len);

	return data && len == strlen(what) && memcmp(data, what, len) == 0;
}

/* Encodings of one section are told apart by their RID, what repairs them by the repaired RID (RFC 8852). */
static bool is_encoding(const struct in_stream *s, const struct mu_packet *p)
{
	return !s->spec.rid[0] ||
	       says(p, rtx_format_of(s, p->pt) >= 0 ? MU_EXT_REPAIRED_RID : MU_EXT_RID, s->spec.rid);
}

/* Of a stream that was removed. An m-section that is used again may bear the same SSRC: then MID says so, or the offer did. */
static bool is_gone(const struct mu_transport *t, uint32_t ssrc)
{
	for (unsigned i = 0; i < MU_MIN(t->n_gone, (unsigned)GONE_MAX); i++) {
		if (t->gone[i] == ssrc)
			return true;
	}
	return false;
}

/* By MID (RFC 8843, section 9.2), else by payload type where only one stream has it. */
static struct in_stream *find_unbound(struct mu_transport *t, const struct mu_packet *p, uint32_t ssrc)
{
	size_t len;
	const uint8_t *mid = mu_rtp_ext(p, MU_EXT_MID, &len);
	struct in_stream *found = NULL;

	if (!mid && is_gone(t, ssrc))
		return NULL;
	for (unsigned i = 0; i < t->n_in; i++) {
		struct in_stream *s = t->in[i];

		if (!carries(s, p->pt))
			continue;
		if ((mid && (len != strlen(s->spec.mid) || memcmp(mid, s->spec.mid, len) != 0)) || !is_encoding(s, p))
			continue;
		if (found)
			return NULL;
		found = s;
	}
	return found;
}

void incoming_forget(struct in_stream *s)
{
	if (s->nack)
		mu_nack_reset(s->nack);
	s->clock.valid = false;
}

static void bind_ssrc(struct in_stream *s, uint32_t ssrc)
{
	s->ended = false;
	s->ssrc = ssrc;
	mu_rtp_rx_init(&s->rx, mu_codec_clock(s->spec.formats[0].codec));
}

/* A new SSRC numbers anew: for the track that is a new source, and what was known of the one before is of no use. The track may
 * ask it for a key frame at once, so it is bound first. */
static void rebind(struct in_stream *s, uint32_t ssrc, int64_t now_us)
{
	incoming_forget(s);
	s->rtx_ssrc = s->spec.rtx_ssrc;
	bind_ssrc(s, ssrc);
	if (!s->attached)
		return;
	mu_track_clear_source(s->spec.track, &s->source);
	s->attached = mu_track_set_source(s->spec.track, &s->source, s->spec.formats, s->spec.n_formats, now_us) == 0;
}

static struct in_stream *find_stream(struct mu_transport *t, const struct mu_packet *p, uint32_t ssrc, int64_t now_us)
{
	struct in_stream *s;

	if (ssrc == 0)
		return NULL; /* we say "none" by it, and nobody is given it but once in four thousand million times */
	for (unsigned i = 0; i < t->n_in; i++) {
		s = t->in[i];
		if (s->ssrc == ssrc || s->rtx_ssrc == ssrc)
			return s;
	}
	s = find_unbound(t, p, ssrc);
	if (!s)
		return NULL;
	if (rtx_format_of(s, p->pt) >= 0) {
		s->rtx_ssrc = ssrc;
		return s;
	}
	if (!s->rx.started)
		bind_ssrc(s, ssrc);
	else if (s->ended || now_us - s->last_packet_us >= REBIND_AFTER_US)
		rebind(s, ssrc, now_us);
	else
		return NULL;
	return s;
}

/* --- into the track ------------------------------------------------------------------------------------------------------------------ */

static void forward(struct in_stream *s, struct mu_packet *p, int format, uint64_t seq, int64_t now_us)
{
	p->codec = (uint8_t)format;
	s->codec = s->spec.formats[format].codec;
	s->last_packet_us = now_us;
	if (s->nack) {
		if (p->flags & MU_PACKET_REPAIRED)
			mu_nack_repaired(s->nack, seq, now_us, &s->t->rtt);
		else
			mu_nack_seen(s->nack, seq, now_us);
		feedback_plan_nacks(s->t, now_us);
	}
	if (s->attached) {
		mu_track_push(s->spec.track, p, seq, now_us);
	} else {
		s->dropped++;
		mu_packet_unref(p);
	}
}

static void repaired(struct in_stream *s, struct mu_packet *p, int64_t now_us)
{
	int format = rtx_format_of(s, p->pt);
	uint64_t seq;

	if (format < 0 || mu_rtx_unwrap(p) < 0 || !s->rx.started) {
		mu_packet_unref(p); /* probing padding has no original sequence number */
		return;
	}
	p->pt = s->spec.formats[format].pt;
	p->flags |= MU_PACKET_REPAIRED;
	seq = mu_rtp_rx_packet(&s->rx, p->wire_seq, p->wire_ts, (size_t)p->len - p->hlen - p->pad, true, now_us);
	if (seq == 0) {
		mu_packet_unref(p); /* came after all, or probes for bandwidth by sending again */
		return;
	}
	s->repaired++;
	forward(s, p, format, seq, now_us);
}

/* @return 0: far off, and nothing proves it */
static uint64_t number(struct in_stream *s, const struct mu_packet *p, int format, int64_t now_us)
{
	mu_rtp_rx_set_clock(&s->rx, mu_codec_clock(s->spec.formats[format].codec));
	return mu_rtp_rx_packet(&s->rx, p->wire_seq, p->wire_ts, (size_t)p->len - p->hlen - p->pad, false, now_us);
}

static void take(struct mu_transport *t, struct mu_packet *p, uint32_t ssrc, int64_t now_us)
{
	struct in_stream *s = find_stream(t, p, ssrc, now_us);
	size_t len;
	const uint8_t *twcc = mu_rtp_ext(p, MU_EXT_TWCC, &len);
	int format;
	uint64_t seq;

	if (t->twcc && twcc && len == 2)
		mu_twcc_rx_packet(t->twcc, mu_get16(twcc), now_us);
	if (!s) {
		t->unknown_ssrc++;
		t->plane->stats.unknown_ssrc++;
		mu_packet_unref(p);
		return;
	}
	if (ssrc != s->ssrc) {
		repaired(s, p, now_us);
		return;
	}
	format = format_of(s, p->pt);
	seq = format < 0 ? 0 : number(s, p, format, now_us);
	if (seq == 0) {
		s->dropped++;
		mu_packet_unref(p);
		return;
	}
	forward(s, p, format, seq, now_us);
}

void incoming_rtp(struct mu_transport *t, const uint8_t *data, size_t len, int64_t now_us)
{
	struct mu_rtp_header h;
	struct mu_packet *p;
	int n;

	t->plane->stats.rtp_in++;
	if (t->n_in == 0)
		return; /* a viewer has nothing to send */
	if (mu_rtp_parse(data, len, &h) < 0 || len > MU_PACKET_MAX) {
		incoming_malformed(t);
		return;
	}
	p = mu_packet_new(mu_relay_slab(t->plane->relay));
	if (!p) {
		t->plane->stats.no_packet++;
		return;
	}
	n = mu_srtp_rx_rtp(t->plane->engine, t->rx, data, len, h.hlen, p->data);
	if (n < 0) {
		incoming_refused(t, n, now_us);
		mu_packet_unref(p);
		return;
	}
	session_heard(t);
	p->len = (uint16_t)n;
	p->arrival_us = now_us;
	t->bytes_in += len;
	if (!within_rate(t, len, now_us)) {
		mu_packet_unref(p);
		return;
	}
	if (mu_rtp_fill(p, &t->exts_in) < 0) {
		incoming_malformed(t);
		mu_packet_unref(p);
		return;
	}
	take(t, p, h.ssrc, now_us);
}

void incoming_ask_key(struct mu_source *source, int64_t now_us)
{
	struct in_stream *s = MU_CONTAINER_OF(source, struct in_stream, source);

	(void)now_us;
	if (s->ssrc == 0 || !s->t->sendable)
		return; /* the track asks again */
	s->key_requests++;
	s->t->plane->stats.key_requests_out++;
	feedback_key_request(s);
}
