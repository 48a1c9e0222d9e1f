#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "flow.h"

#define STEP_US   1000
#define PT        96
#define RTX_PT    97
#define VIEW_PT   120
#define VIEW_RTX  121
#define VIEW_SSRC 0xaaaa
#define STAMP     16    /* VP8's descriptor and first byte, then frame, packet, packets */
#define HOLD_US   10000 /* reordering grace of the viewer */
#define ASK_US    100000
#define TRIES     10

/* --- the gateway --- */

static void on_state(void *arg, enum mu_transport_state s, const char *why)
{
	(void)why;
	*(enum mu_transport_state *)arg = s;
}

static struct figures figures;
static bool figures_came;

static void on_stats(void *arg, const struct mu_transport_stats *s)
{
	(void)arg;
	figures.link = s->link;
	figures.n_streams = MU_MIN(s->n_streams, (unsigned)MU_ARRAY_LEN(figures.streams));
	memcpy(figures.streams, s->streams, figures.n_streams * sizeof(s->streams[0]));
	figures_came = true;
}

static const struct mu_transport_events events = { on_state, on_stats };

void flow_up(struct flow *f)
{
	struct mu_transport_options o = { .net = { .workers = 1, .n_listen = 1, .driven = true },
		.srtp_engine = "auto",
		.gather_us = 1000,
		.publisher_bps = 50000000,
		.packets_max = 65536,
		.control = &f->control };
	struct mu_error e = { "" };

	memset(f, 0, sizeof(*f));
	mu_inbox_init(&f->control);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.net.listen[0]), 0);
	if (mu_media_new(&o, &f->media, &e) < 0)
		fail_msg("%s", e.text);
	f->gateway = o.net.listen[0];
	mu_addr_set_port(&f->gateway, mu_net_port(mu_media_net(f->media), 0, 0));
	assert_int_equal(mu_track_new(mu_media_net(f->media), 0, "flow", MU_VIDEO, &f->track), 0);
	f->now_us = mu_clock_us();
	mu_clock_drive(f->now_us);
}

void flow_turn(struct flow *f)
{
	mu_worker_turn(mu_net_worker(mu_media_net(f->media), 0), 0);
	mu_inbox_run(&f->control);
}

void flow_end(struct flow *f, struct mu_transport *t, enum mu_transport_state *state, const char *why)
{
	mu_transport_close(t, why);
	for (int i = 0; i < 100 && *state != MU_TRANSPORT_CLOSED; i++)
		flow_turn(f);
	assert_int_equal(*state, MU_TRANSPORT_CLOSED);
	mu_transport_free(t);
}

const struct figures *flow_figures(struct flow *f, struct mu_transport *t)
{
	figures_came = false;
	mu_transport_ask_stats(t);
	for (int i = 0; i < 100 && !figures_came; i++)
		flow_turn(f);
	assert_true(figures_came);
	return &figures;
}

void flow_unpublish(struct flow *f, const char *why)
{
	struct sender *s = f->sender;

	flow_end(f, s->t, &s->state, why);
	peer_close(&s->peer);
	link_close(&s->link);
	free(s);
	f->sender = NULL;
}

void flow_down(struct flow *f)
{
	if (f->sender)
		flow_unpublish(f, "over");
	for (unsigned i = 0; i < f->n_receivers; i++) {
		flow_end(f, f->receiver[i].t, &f->receiver[i].state, "over");
		peer_close(&f->receiver[i].peer);
		link_close(&f->receiver[i].link);
	}
	mu_track_unref(f->track);
	mu_media_free(f->media);
	mu_inbox_done(&f->control);
	mu_clock_drive(0);
}

/* --- connecting: the peer waits for answers, so somebody else has to turn the gateway and the links --- */

struct pump {
	struct flow *f;
	struct link *link;
	atomic_bool stop;
};

static void *pump(void *arg)
{
	struct pump *p = arg;

	while (!atomic_load(&p->stop)) {
		struct timespec nap = { 0, 200000 };

		mu_worker_turn(mu_net_worker(mu_media_net(p->f->media), 0), 0);
		if (!link_run(p->link, p->f->now_us))
			nanosleep(&nap, NULL);
	}
	return NULL;
}

void flow_connect(struct flow *f, struct peer *peer, struct link *link, struct mu_transport_spec *spec,
	enum mu_transport_state *state, struct mu_transport **ret)
{
	struct pump p = { .f = f, .link = link };
	pthread_t thread;
	int err;

	peer_open(peer, "127.0.0.1", &link->front_addr, NULL);
	memcpy(spec->fingerprints[0], mu_identity_fingerprint(peer->identity), MU_FINGERPRINT_LEN);
	spec->n_fingerprints = 1;
	spec->dtls_server = true;
	spec->id = "flow";
	snprintf(spec->cname, sizeof(spec->cname), "muster");
	assert_int_equal(mu_transport_new(f->media, spec, &events, state, ret), 0);
	snprintf(peer->ufrag, sizeof(peer->ufrag), "%s", mu_transport_ufrag(*ret));
	snprintf(peer->pwd, sizeof(peer->pwd), "%s", mu_transport_pwd(*ret));
	flow_turn(f);
	assert_int_equal(pthread_create(&thread, NULL, pump, &p), 0);
	err = peer_connect(peer, mu_identity_fingerprint(mu_media_identity(f->media)));
	atomic_store(&p.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(err, 0);
	for (int i = 0; i < 100 && *state != MU_TRANSPORT_CONNECTED; i++) {
		link_run(link, f->now_us);
		flow_turn(f);
	}
	assert_int_equal(*state, MU_TRANSPORT_CONNECTED);
}

struct sender *flow_publish(struct flow *f, uint64_t first_index, uint64_t seed)
{
	static uint32_t next_ssrc = 0x1000;
	struct sender *s = calloc(1, sizeof(*s));
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));

	assert_true(s && spec);
	s->ssrc = next_ssrc++;
	s->rtx_ssrc = s->ssrc | 0x80000000u;
	s->index = first_index;
	s->rtx_index = 100;
	s->next_frame_us = f->now_us;
	s->want_key = true;
	s->sending = true;
	link_open(&s->link, &f->gateway, seed);
	spec->n_in = 1;
	spec->in[0] = (struct mu_stream_in){ .track = f->track,
		.mid = "0",
		.n_formats = 1,
		.ssrc = s->ssrc,
		.rtx_ssrc = s->rtx_ssrc,
		.formats = { { .codec = MU_CODEC_VP8, .pt = PT } },
		.rtx_pt = { RTX_PT },
		.nack = true,
		.pli = true };
	flow_connect(f, &s->peer, &s->link, spec, &s->state, &s->t);
	free(spec);
	f->sender = s;
	return s;
}

struct receiver *flow_watch(struct flow *f, uint64_t seed)
{
	struct receiver *r = &f->receiver[f->n_receivers++];
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));

	assert_non_null(spec);
	link_open(&r->link, &f->gateway, seed);
	spec->n_out = 1;
	spec->out[0] = (struct mu_stream_out){ .track = f->track,
		.mid = "0",
		.ssrc = VIEW_SSRC,
		.rtx_ssrc = VIEW_SSRC + 1,
		.n_formats = 1,
		.nack = true };
	spec->out[0].formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = VIEW_PT };
	spec->out[0].formats[0].rtx_pt = VIEW_RTX;
	flow_connect(f, &r->peer, &r->link, spec, &r->state, &r->t);
	free(spec);
	r->next_key_us = f->now_us + 200000;
	return r;
}

/* --- the publisher --- */

static void new_frame(struct flow *f, struct sender *s)
{
	unsigned number = f->n_frames++;

	assert_true(number < FRAMES_MAX);
	f->frames[number] = (struct frame){
		.key = s->want_key, .n = s->want_key ? 24 : 6 + number % 5, .sent_us = f->now_us
	};
	s->want_key = false;
	s->frame = number;
	s->packet = 0;
}

static void send_packet(struct flow *f, struct sender *s)
{
	const struct frame *fr = &f->frames[s->frame];
	unsigned i = s->packet++, slot = (unsigned)(s->index % HISTORY);
	uint8_t *d = s->history[slot].payload;
	size_t len = 500 + s->sent++ % 400;

	memset(d, 0xa5, len);
	d[0] = i == 0 ? 0x10 : 0; /* start of partition 0 (RFC 7741, section 4.2) */
	d[1] = fr->key ? 0 : 1;
	mu_put32(d + 2, s->frame);
	mu_put16(d + 6, (uint16_t)i);
	mu_put16(d + 8, (uint16_t)fr->n);
	s->history[slot].index = s->index;
	s->history[slot].len = len;
	s->history[slot].ts = s->frame * 3000;
	s->history[slot].marker = s->packet == fr->n;
	peer_rtp(&s->peer, s->ssrc, s->index++, PT, s->frame * 3000, s->packet == fr->n, d, len);
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct sender *s = arg;
	uint64_t index = mu_seq_unwrap(s->index, seq);
	unsigned slot = (unsigned)(index % HISTORY);
	uint8_t payload[1202];

	if (ssrc != s->ssrc || s->history[slot].index != index || !s->history[slot].len)
		return;
	mu_put16(payload, seq);
	memcpy(payload + 2, s->history[slot].payload, s->history[slot].len);
	peer_rtp(&s->peer, s->rtx_ssrc, s->rtx_index++, RTX_PT, s->history[slot].ts, s->history[slot].marker,
		payload, s->history[slot].len + 2);
	s->resent++;
}

static void on_key_request(void *arg, uint32_t ssrc)
{
	struct sender *s = arg;

	(void)ssrc;
	s->key_requests++;
	s->want_key = true;
}

static void send_report(struct flow *f, struct sender *s)
{
	uint8_t buf[256];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_sr(&w, s->ssrc, mu_ntp_from_wall_us(mu_clock_wall_us()), s->frame * 3000, s->sent,
		s->sent * 700, NULL, 0);
	mu_rtcp_add_sdes(&w, s->ssrc, "flow");
	peer_rtcp(&s->peer, buf, w.len);
	s->next_report_us = f->now_us + 1000000;
}

static void run_sender(struct flow *f, struct sender *s)
{
	static const struct mu_rtcp_handler handler = { .nack = on_nack, .key_request = on_key_request };
	uint8_t got[2000];
	enum peer_got what;
	size_t len;

	while ((what = peer_take(&s->peer, 0, got, &len)) != PEER_NOTHING) {
		if (what == PEER_RTCP)
			mu_rtcp_parse(got, len, &handler, s);
	}
	if (!s->sending)
		return;
	if (f->now_us >= s->next_frame_us) {
		new_frame(f, s);
		s->next_frame_us += FRAME_US;
	}
	/* two a step at most: a pacer */
	for (int i = 0; i < 2 && f->n_frames && s->packet < f->frames[s->frame].n; i++)
		send_packet(f, s);
	if (f->now_us >= s->next_report_us)
		send_report(f, s);
}

/* --- the viewer --- */

static void note(struct flow *f, struct receiver *r, const uint8_t *payload, size_t len)
{
	unsigned frame, i;

	if (len < STAMP || (frame = mu_get32(payload + 2)) >= f->n_frames ||
		(i = mu_get16(payload + 6)) >= f->frames[frame].n) {
		r->bad++;
		return;
	}
	if (f->frames[frame].key && !r->key_seen) {
		r->key_seen = true;
		r->key_seen_us = f->now_us;
	}
	if (r->got[frame] & 1u << i) {
		r->doubles++;
		return;
	}
	r->got[frame] |= 1u << i;
	if (++r->n_got[frame] == f->frames[frame].n)
		r->whole_us[frame] = f->now_us;
}

static struct missing *missing_of(struct receiver *r, uint64_t seq)
{
	return &r->missing[seq % SEQS_MAX];
}

static void number_came(struct flow *f, struct receiver *r, uint16_t wire)
{
	uint64_t seq = r->started ? mu_seq_unwrap(r->highest, wire) : 65536u + wire;

	if (!r->started) {
		r->started = true;
		r->highest = seq;
	}
	if (seq > r->highest + 500)
		r->far++;
	for (; r->highest < seq; r->highest++)
		*missing_of(r, r->highest + 1) =
			(struct missing){ .waits = r->highest + 1 < seq, .since_us = f->now_us };
	missing_of(r, seq)->waits = false;
}

static void take_rtp(struct flow *f, struct receiver *r, const uint8_t *pkt, size_t len)
{
	struct mu_rtp_header h;
	const uint8_t *payload;
	size_t n;

	assert_int_equal(mu_rtp_parse(pkt, len, &h), 0);
	payload = pkt + h.hlen;
	n = len - h.hlen;
	if (h.padding && n)
		n -= MU_MIN((size_t)payload[n - 1], n);
	r->received++;
	if (h.pt == VIEW_RTX) {
		if (n < 2)
			return;
		r->repaired++;
		number_came(f, r, mu_get16(payload));
		note(f, r, payload + 2, n - 2);
	} else if (h.pt == VIEW_PT) {
		assert_int_equal(h.ssrc, VIEW_SSRC);
		number_came(f, r, h.seq);
		note(f, r, payload, n);
	}
}

static void ask_again(struct flow *f, struct receiver *r)
{
	uint8_t buf[1200];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	uint16_t seqs[100];
	size_t n = 0;

	for (uint64_t seq = r->highest > 2000 ? r->highest - 2000 : 0;
		seq < r->highest && n < MU_ARRAY_LEN(seqs); seq++) {
		struct missing *m = missing_of(r, seq);

		if (!m->waits || f->now_us - m->since_us < HOLD_US || f->now_us < m->next_us)
			continue;
		if (m->asked == TRIES) {
			m->waits = false;
			r->given_up++;
			continue;
		}
		m->asked++;
		m->next_us = f->now_us + ASK_US;
		seqs[n++] = (uint16_t)seq;
	}
	if (!n)
		return;
	r->asked += (unsigned)n;
	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_nack(&w, 1, VIEW_SSRC, seqs, n);
	peer_rtcp(&r->peer, buf, w.len);
}

static void report(struct flow *f, struct receiver *r)
{
	uint8_t buf[256];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_sdes(&w, 1, "viewer");
	/* as browsers: nothing to decode, so ask now and then */
	if (!r->key_seen && f->now_us >= r->next_key_us) {
		mu_rtcp_add_pli(&w, 1, VIEW_SSRC);
		r->next_key_us = f->now_us + 500000;
	} else if (f->now_us < r->next_report_us) {
		return;
	}
	r->next_report_us = f->now_us + 1000000;
	peer_rtcp(&r->peer, buf, w.len);
}

static void run_receiver(struct flow *f, struct receiver *r)
{
	uint8_t got[2000];
	enum peer_got what;
	size_t len;

	while ((what = peer_take(&r->peer, 0, got, &len)) != PEER_NOTHING) {
		if (what == PEER_RTP)
			take_rtp(f, r, got, len);
		else if (what == PEER_BAD)
			r->bad++; /* a doubled packet is one: SRTP's replay window refuses it */
	}
	if (r->started)
		ask_again(f, r);
	report(f, r);
}

/* --- time --- */

static void run_links(struct flow *f)
{
	bool any;

	do {
		any = f->sender && link_run(&f->sender->link, f->now_us);
		for (unsigned i = 0; i < f->n_receivers; i++)
			any |= link_run(&f->receiver[i].link, f->now_us);
		flow_turn(f);
	} while (any);
}

void flow_run(struct flow *f, int64_t us)
{
	int64_t until = f->now_us + us;

	while (f->now_us < until) {
		f->now_us += STEP_US;
		mu_clock_drive(f->now_us);
		if (f->sender)
			run_sender(f, f->sender);
		run_links(f);
		for (unsigned i = 0; i < f->n_receivers; i++)
			run_receiver(f, &f->receiver[i]);
	}
}

struct outcome flow_outcome(
	const struct flow *f, const struct receiver *r, unsigned from, unsigned to, int64_t late_us)
{
	struct outcome o = { .frames = to - from };

	for (unsigned i = from; i < to; i++) {
		int64_t took = r->whole_us[i] - f->frames[i].sent_us;

		if (!r->whole_us[i] || took > late_us)
			continue;
		o.whole++;
		o.slowest_us = MU_MAX(o.slowest_us, took);
	}
	return o;
}
