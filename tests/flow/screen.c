#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "screen.h"
#include "transport/transport_internal.h"

#define STEP_US      1000
#define VIDEO_PT     96
#define AUDIO_PT     111
#define VIEW_PT      120
#define VIEW_RTX_PT  121
#define VIEW_OPUS_PT 109
#define VIEW_RED_PT  63
#define TWCC_ID      5
#define FIRST_SSRC   0xaaaa0000u
#define RTX_BIT      0x00008000u
#define PACKET       1100 /* payload at most */
#define STAMP_AT     24   /* behind VP8's descriptor and key frame header */
#define STAMP_END    40
#define AUDIO_US     20000
#define AUDIO_LEN    80
#define KEY_TIMES    5 /* a key frame is so much larger */
#define HOLD_US      10000
#define ASK_US       80000
#define TRIES        10
#define FEEDBACK_US  100000

/* --- cameras --- */

static void ask_key(struct mu_source *source, int64_t now_us)
{
	struct layer *l = MU_CONTAINER_OF(source, struct layer, source);

	(void)now_us;
	l->want_key = true;
	l->key_requests++;
}

struct camera *screen_camera(struct screen *s, const uint32_t *bps, unsigned n_layers, bool audio)
{
	static const struct mu_format video = { .codec = MU_CODEC_VP8, .pt = VIDEO_PT };
	static const struct mu_format opus = { .codec = MU_CODEC_OPUS, .pt = AUDIO_PT, .channels = 2 };
	struct camera *c = &s->camera[s->n_cameras];
	struct mu_net *net = mu_media_net(s->f.media);
	char id[64];

	for (unsigned i = 0; i < n_layers; i++) {
		struct layer *l = &c->layer[i];

		snprintf(id, sizeof(id), "camera-%u/video%u", s->n_cameras, i);
		assert_int_equal(mu_track_new(net, 0, id, MU_VIDEO, &l->track), 0);
		l->source.ask_key = ask_key;
		assert_int_equal(mu_track_set_source(l->track, &l->source, &video, 1, s->f.now_us), 0);
		l->bps = bps[i];
		l->width = (uint16_t)(1280 >> (n_layers - 1 - i));
		l->height = (uint16_t)(720 >> (n_layers - 1 - i));
		l->want_key = true;
		l->seq = 1000 * (i + 1);
		l->picture = (uint16_t)(5000 * i);
	}
	c->n_layers = n_layers;
	c->next_frame_us = s->f.now_us + s->n_cameras * 11000;
	if (audio) {
		snprintf(id, sizeof(id), "camera-%u/audio", s->n_cameras);
		assert_int_equal(mu_track_new(net, 0, id, MU_AUDIO, &c->audio), 0);
		assert_int_equal(mu_track_set_source(c->audio, &c->audio_source, &opus, 1, s->f.now_us), 0);
		c->next_audio_us = s->f.now_us;
		c->audio_seq = 500;
	}
	s->n_cameras++;
	return c;
}

static void push(struct screen *s, struct mu_track *t, uint64_t seq, uint32_t ts, uint8_t pt, bool marker,
	const uint8_t *payload, size_t len)
{
	struct mu_worker *w = mu_net_worker(mu_media_net(s->f.media), 0);
	struct mu_packet *p = mu_packet_new(mu_relay_slab(plane_of(w)->relay));

	assert_non_null(p);
	memset(p->data, 0, 12);
	p->data[0] = 0x80;
	memcpy(p->data + 12, payload, len);
	p->hlen = 12;
	p->len = (uint16_t)(12 + len);
	p->wire_seq = (uint16_t)seq;
	p->wire_ts = ts;
	p->pt = pt;
	p->flags = marker ? MU_PACKET_MARKER : 0;
	p->arrival_us = s->f.now_us;
	mu_track_push(t, p, seq, s->f.now_us);
}

static void begin_frame(struct layer *l)
{
	size_t mean = l->bps / 8 / 30;

	l->key = l->want_key;
	l->keys += l->key;
	l->want_key = false;
	l->size = MU_MAX(l->key ? mean * KEY_TIMES : mean, (size_t)STAMP_END);
	l->n = (unsigned)((l->size + PACKET - 1) / PACKET);
	assert_true(l->n <= 64);
	l->packet = 0;
	l->picture = (l->picture + 1) & 0x7fff;
}

static void send_layer(struct screen *s, struct camera *c, unsigned camera, unsigned layer)
{
	struct layer *l = &c->layer[layer];
	unsigned frame = c->n_frames - 1, i = l->packet++;
	size_t len = MU_MAX(l->size / l->n, (size_t)STAMP_END);
	uint8_t d[PACKET + STAMP_END];

	memset(d, 0xa5, len);
	d[0] = (uint8_t)(0x80 | (i == 0 ? 0x10 : 0)); /* RFC 7741: X, S */
	d[1] = 0x80;                                  /* I */
	mu_put16(d + 2, (uint16_t)(0x8000 | l->picture));
	d[4] = l->key ? 0x10 : 0x11; /* RFC 6386, section 9.1: shown; and whether it is a key frame */
	d[5] = d[6] = 0;
	if (l->key && i == 0) {
		static const uint8_t start[] = { 0x9d, 0x01, 0x2a };

		memcpy(d + 7, start, sizeof(start));
		d[10] = (uint8_t)l->width;
		d[11] = (uint8_t)(l->width >> 8);
		d[12] = (uint8_t)l->height;
		d[13] = (uint8_t)(l->height >> 8);
	}
	mu_put32(d + STAMP_AT, frame);
	d[STAMP_AT + 4] = (uint8_t)camera;
	d[STAMP_AT + 5] = (uint8_t)layer;
	d[STAMP_AT + 6] = (uint8_t)i;
	d[STAMP_AT + 7] = (uint8_t)l->n;
	push(s, l->track, l->seq++, frame * 3000, VIDEO_PT, l->packet == l->n, d, len);
}

static void run_camera(struct screen *s, unsigned index)
{
	struct camera *c = &s->camera[index];

	if (c->audio && s->f.now_us >= c->next_audio_us) {
		uint8_t d[AUDIO_LEN] = { 0xfc };

		mu_put32(d + 1, c->n_audio);
		assert_true(c->n_audio < SCREEN_AUDIO);
		push(s, c->audio, c->audio_seq++, c->n_audio++ * 960, AUDIO_PT, false, d, sizeof(d));
		c->next_audio_us += AUDIO_US;
	}
	if (s->f.now_us >= c->next_frame_us) {
		c->next_frame_us += FRAME_US;
		if (c->dark)
			return;
		assert_true(c->n_frames < SCREEN_FRAMES);
		c->frame_us[c->n_frames++] = s->f.now_us;
		for (unsigned i = 0; i < c->n_layers; i++) {
			if (!c->rests || mu_track_users(c->layer[i].track) > 0)
				begin_frame(&c->layer[i]);
			else
				c->layer[i].rested++;
		}
	}
	for (unsigned i = 0; i < c->n_layers; i++) {
		/* a publisher's pacer: a frame in some 10 ms */
		for (unsigned k = 0; k < 1 + c->layer[i].n / 10 && c->layer[i].packet < c->layer[i].n; k++)
			send_layer(s, c, index, i);
	}
}

/* --- the viewer --- */

void screen_watch(struct screen *s, struct link_way way)
{
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));

	assert_non_null(spec);
	link_open(&s->link, &s->f.gateway, 99);
	spec->fitted = true;
	flow_connect(&s->f, &s->peer, &s->link, spec, &s->state, &s->t);
	free(spec);
	s->link.down.way = way;
	s->link.up.way = (struct link_way){ .delay_us = way.delay_us };
	assert_int_equal(mu_twcc_rx_new(&s->twcc), 0);
	s->next_feedback_us = s->f.now_us + FEEDBACK_US;
}

void screen_feed(struct screen *s, struct view *v, unsigned urgency, unsigned width, unsigned height)
{
	struct camera *c = &s->camera[v->camera];
	struct mu_feed feed = { .urgency = urgency, .width = width, .height = height };

	if (v->kind == MU_AUDIO) {
		feed.layers[feed.n_layers++] = c->audio;
		feed.never_paused = true;
	} else {
		for (unsigned i = 0; i < c->n_layers; i++)
			feed.layers[feed.n_layers++] = c->layer[(i + 1) % c->n_layers].track;
	}
	assert_int_equal(mu_transport_feed(s->t, v->mid, &feed), 0);
}

struct view *screen_show(struct screen *s, unsigned camera, enum mu_kind kind, unsigned urgency, bool red)
{
	struct view *v = &s->view[s->n_views];
	struct mu_stream_out out = { .n_formats = 1, .nack = kind == MU_VIDEO };

	v->kind = kind;
	v->camera = camera;
	v->ssrc = FIRST_SSRC + s->n_views;
	snprintf(v->mid, sizeof(v->mid), "%u", s->n_views++);
	memcpy(out.mid, v->mid, sizeof(v->mid));
	out.ssrc = v->ssrc;
	mu_ext_map_set(&out.exts, MU_EXT_TWCC, TWCC_ID);
	if (kind == MU_VIDEO) {
		out.formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = VIEW_PT };
		out.formats[0].rtx_pt = VIEW_RTX_PT;
		out.rtx_ssrc = v->ssrc | RTX_BIT;
	} else {
		out.formats[0].format =
			(struct mu_format){ .codec = MU_CODEC_OPUS, .pt = VIEW_OPUS_PT, .channels = 2 };
		out.red_pt = red ? VIEW_RED_PT : 0;
	}
	assert_int_equal(mu_transport_add_out(s->t, &out), 0);
	screen_feed(s, v, urgency, 0, 0);
	return v;
}

static struct missing *missing_of(struct view *v, uint64_t seq)
{
	return &v->missing[seq % SCREEN_SEQS];
}

static void number_came(struct screen *s, struct view *v, uint16_t wire)
{
	uint64_t seq = v->started ? mu_seq_unwrap(v->highest, wire) : 65536u + wire;

	if (!v->started) {
		v->started = true;
		v->highest = seq;
	}
	assert_true(seq < v->highest + 500);
	for (; v->highest < seq; v->highest++)
		*missing_of(v, v->highest + 1) =
			(struct missing){ .waits = v->highest + 1 < seq, .since_us = s->f.now_us };
	missing_of(v, seq)->waits = false;
}

static void note_video(struct screen *s, struct view *v, const uint8_t *d, size_t len)
{
	unsigned frame, i, layer;

	if (len < STAMP_END || (frame = mu_get32(d + STAMP_AT)) >= SCREEN_FRAMES ||
		d[STAMP_AT + 4] != v->camera || (layer = d[STAMP_AT + 5]) >= SCREEN_LAYERS ||
		(i = d[STAMP_AT + 6]) >= 64) {
		v->bad++;
		return;
	}
	if (v->frame[frame].n == 0 || v->frame[frame].layer != layer) {
		if (v->frame[frame].n && v->frame[frame].whole_us)
			return;
		v->frame[frame].n = d[STAMP_AT + 7];
		v->frame[frame].layer = (uint8_t)layer;
		v->frame[frame].n_got = 0;
		v->frame[frame].got = 0;
	}
	if (v->frame[frame].got >> i & 1)
		return;
	v->frame[frame].got |= 1ull << i;
	if (++v->frame[frame].n_got < v->frame[frame].n)
		return;
	v->frame[frame].whole_us = v->layer_us[layer] = s->f.now_us;
	v->n_whole[layer]++;
	v->layer = layer;
}

static void note_audio(struct screen *s, struct view *v, const uint8_t *d, size_t len, bool copy)
{
	uint32_t n;

	if (len != AUDIO_LEN || d[0] != 0xfc || (n = mu_get32(d + 1)) >= SCREEN_AUDIO) {
		v->bad++;
		return;
	}
	if (v->heard[n])
		return;
	v->heard[n] = true;
	v->n_audio++;
	v->copies += copy;
	if (v->last_audio_us)
		s->gap_us = MU_MAX(s->gap_us, s->f.now_us - v->last_audio_us);
	v->last_audio_us = s->f.now_us;
}

/* RFC 2198 */
static void note_red(struct screen *s, struct view *v, const uint8_t *d, size_t len)
{
	struct {
		size_t len;
		bool own;
	} block[4];
	unsigned n = 0;
	size_t at = 0;

	for (; n < 4 && at < len && d[at] & 0x80; n++, at += 4) {
		assert_true(at + 4 < len);
		assert_int_equal(d[at] & 0x7f, VIEW_OPUS_PT);
		block[n].len = mu_get16(d + at + 2) & 0x3ff;
		block[n].own = false;
	}
	assert_true(n < 4 && at < len);
	assert_int_equal(d[at++], VIEW_OPUS_PT);
	for (unsigned i = 0; i < n; at += block[i++].len)
		note_audio(s, v, d + at, block[i].len, true);
	note_audio(s, v, d + at, len - at, false);
}

static struct view *view_of(struct screen *s, uint32_t ssrc)
{
	for (unsigned i = 0; i < s->n_views; i++) {
		if (s->view[i].ssrc == ssrc)
			return &s->view[i];
	}
	return NULL;
}

static void take_rtp(struct screen *s, uint8_t *pkt, size_t len)
{
	static struct mu_packet parsed;
	struct mu_ext_map exts = { 0 };
	struct view *v;
	const uint8_t *twcc, *d;
	size_t n, payload;

	mu_ext_map_set(&exts, MU_EXT_TWCC, TWCC_ID);
	memcpy(parsed.data, pkt, len);
	parsed.len = (uint16_t)len;
	assert_int_equal(mu_rtp_fill(&parsed, &exts), 0);
	twcc = mu_rtp_ext(&parsed, MU_EXT_TWCC, &n);
	if (twcc) {
		assert_int_equal(n, 2);
		mu_twcc_rx_packet(s->twcc, mu_get16(twcc), s->f.now_us + 7000000);
		s->numbered++;
	} else {
		s->unnumbered++;
	}
	d = parsed.data + parsed.hlen;
	payload = (size_t)parsed.len - parsed.hlen - parsed.pad;
	v = view_of(s, mu_get32(pkt + 8) & ~RTX_BIT);
	assert_non_null(v);
	v->last_any_us = s->f.now_us;
	if (parsed.pt == VIEW_RTX_PT) {
		assert_true(mu_get32(pkt + 8) & RTX_BIT);
		if (payload < 2) {
			s->padding++;
			return;
		}
		s->repaired += missing_of(v, v->started ? mu_seq_unwrap(v->highest, mu_get16(d)) : 0)->waits;
		number_came(s, v, mu_get16(d));
		note_video(s, v, d + 2, payload - 2);
		return;
	}
	number_came(s, v, parsed.wire_seq);
	if (parsed.pt == VIEW_PT)
		note_video(s, v, d, payload);
	else if (parsed.pt == VIEW_RED_PT)
		note_red(s, v, d, payload);
	else
		note_audio(s, v, d, payload, false);
}

static void ask_again(struct screen *s, struct view *v)
{
	uint8_t buf[1200];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	uint16_t seqs[100];
	size_t n = 0;

	for (uint64_t seq = v->highest > 1000 ? v->highest - 1000 : 0;
		seq < v->highest && n < MU_ARRAY_LEN(seqs); seq++) {
		struct missing *m = missing_of(v, seq);

		if (!m->waits || s->f.now_us - m->since_us < HOLD_US || s->f.now_us < m->next_us)
			continue;
		if (m->asked == TRIES) {
			m->waits = false;
			continue;
		}
		m->asked++;
		m->next_us = s->f.now_us + ASK_US;
		seqs[n++] = (uint16_t)seq;
	}
	if (!n)
		return;
	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_nack(&w, 1, v->ssrc, seqs, n);
	peer_rtcp(&s->peer, buf, w.len);
}

static void send_feedback(struct screen *s)
{
	uint8_t buf[1200];
	size_t n;

	s->next_feedback_us += FEEDBACK_US;
	while (!s->mute_twcc && (n = mu_twcc_rx_report(s->twcc, 1, FIRST_SSRC, buf, sizeof(buf))) > 0)
		peer_rtcp(&s->peer, buf, n);
}

/* Consent (RFC 7675), and reports. */
static void report(struct screen *s)
{
	uint8_t buf[600];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	peer_raw(&s->peer, buf, peer_write_check(&s->peer, PEER_NOMINATE, buf));
	s->next_report_us = s->f.now_us + 1000000;
	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_sdes(&w, 1, "screen");
	mu_rtcp_add_rrtr(&w, 1, mu_ntp_span(s->f.now_us));
	peer_rtcp(&s->peer, buf, w.len);
}

static void run_viewer(struct screen *s)
{
	static uint8_t got[2000];
	enum peer_got what;
	size_t len;

	while ((what = peer_take(&s->peer, 0, got, &len)) != PEER_NOTHING) {
		assert_int_not_equal(what, PEER_BAD);
		if (what == PEER_RTP)
			take_rtp(s, got, len);
	}
	for (unsigned i = 0; i < s->n_views; i++) {
		if (s->view[i].started && s->view[i].kind == MU_VIDEO)
			ask_again(s, &s->view[i]);
	}
	if (s->f.now_us >= s->next_feedback_us)
		send_feedback(s);
	if (s->f.now_us >= s->next_report_us)
		report(s);
}

/* --- all --- */

void screen_up(struct screen *s)
{
	memset(s, 0, sizeof(*s));
	flow_up(&s->f);
}

void screen_down(struct screen *s)
{
	flow_end(&s->f, s->t, &s->state, "over");
	peer_close(&s->peer);
	link_close(&s->link);
	for (unsigned i = 0; i < s->n_cameras; i++) {
		struct camera *c = &s->camera[i];

		for (unsigned k = 0; k < c->n_layers; k++) {
			mu_track_clear_source(c->layer[k].track, &c->layer[k].source);
			mu_track_unref(c->layer[k].track);
		}
		if (c->audio) {
			mu_track_clear_source(c->audio, &c->audio_source);
			mu_track_unref(c->audio);
		}
	}
	mu_twcc_rx_free(s->twcc);
	free(s->queue);
	flow_down(&s->f);
}

static void sample(struct screen *s)
{
	if (s->n_queue == s->size_queue) {
		s->size_queue = MU_MAX(2 * s->size_queue, (size_t)4096);
		s->queue = realloc(s->queue, s->size_queue * sizeof(*s->queue));
		assert_non_null(s->queue);
	}
	s->queue[s->n_queue++] = link_queue_us(&s->link.down);
}

void screen_run(struct screen *s, int64_t us)
{
	for (int64_t until = s->f.now_us + us; s->f.now_us < until;) {
		s->f.now_us += STEP_US;
		mu_clock_drive(s->f.now_us);
		for (unsigned i = 0; i < s->n_cameras; i++)
			run_camera(s, i);
		do
			flow_turn(&s->f);
		while (s->t && link_run(&s->link, s->f.now_us));
		if (!s->t)
			continue;
		run_viewer(s);
		sample(s);
	}
}

void screen_measure(struct screen *s)
{
	s->n_queue = 0;
	s->gap_us = 0;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t screen_queue_us(struct screen *s, unsigned per_mille)
{
	if (s->n_queue == 0)
		return 0;
	qsort(s->queue, s->n_queue, sizeof(*s->queue), by_value);
	return s->queue[(s->n_queue - 1) * per_mille / 1000];
}
