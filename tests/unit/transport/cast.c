#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cast.h"

#define HEADER     12
#define DESCRIPTOR 6
#define STAMP      11 /* frame header, layer, frame, packet, packets of it, key */

static struct cast *cast; /* one at a time: mu_track_shape has no argument for it */

void __wrap_mu_track_shape(const struct mu_track *t, struct mu_shape *ret);

void __wrap_mu_track_shape(const struct mu_track *t, struct mu_shape *ret)
{
	for (unsigned i = 0; i < cast->n; i++) {
		if (cast->l[i].track == t) {
			*ret = cast->l[i].shape;
			return;
		}
	}
	*ret = (struct mu_shape){ .spatials = 1, .temporals = 1 };
}

/* --- the plane --- */

void cast_up(struct cast *c)
{
	struct mu_transport_options o = { .net = { .workers = 2, .n_listen = 1, .driven = true },
		.srtp_engine = "auto",
		.packets_max = 16384,
		.control = &c->control };
	struct mu_error e = { "" };

	memset(c, 0, sizeof(*c));
	cast = c;
	mu_inbox_init(&c->control);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.net.listen[0]), 0);
	if (mu_media_new(&o, &c->media, &e) < 0)
		fail_msg("%s", e.text);
	c->now_us = mu_clock_us();
	mu_clock_drive(c->now_us);
}

void cast_turn(struct cast *c)
{
	for (int i = 0; i < 3; i++) { /* what one worker tells the other, and the answer */
		for (unsigned w = 0; w < 2; w++)
			mu_worker_turn(mu_net_worker(mu_media_net(c->media), w), 0);
		mu_inbox_run(&c->control);
	}
}

void cast_down(struct cast *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		cast_end(c, i);
		mu_track_unref(c->l[i].track);
	}
	mu_packet_unref(c->held);
	cast_turn(c);
	mu_media_free(c->media);
	mu_inbox_done(&c->control);
	mu_clock_drive(0);
}

/* --- sources --- */

static void ask_key(struct mu_source *s, int64_t now_us)
{
	struct layer *l = MU_CONTAINER_OF(s, struct layer, source);

	if (l->asked < MU_ARRAY_LEN(l->asked_us))
		l->asked_us[l->asked] = now_us;
	l->asked++;
	l->want_key = !l->deaf;
}

unsigned cast_layer(struct cast *c, const char *id, unsigned worker, unsigned height)
{
	struct layer *l = &c->l[c->n];

	assert_true(c->n < CAST_TRACKS);
	l->cast = c;
	l->format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = 96 };
	if (height == 0)
		l->format = (struct mu_format){ .codec = MU_CODEC_OPUS, .pt = 111, .channels = 2 };
	assert_int_equal(
		mu_track_new(mu_media_net(c->media), worker, id, height ? MU_VIDEO : MU_AUDIO, &l->track), 0);
	l->shape = (struct mu_shape){ .flows = true,
		.width = (uint16_t)(height * 16 / 9),
		.height = (uint16_t)height,
		.spatials = 1,
		.temporals = 1,
		.bps = { { height * 1000 } } };
	l->packets = height ? 3 + height / 180 : 1;
	l->temporals = 1;
	l->seq = 1000 * (c->n + 1);
	l->ts_zero = 0xfffff000u * (c->n + 1);
	l->picture = (uint16_t)(0x7ff0 - c->n * 5000);
	l->tl0 = (uint8_t)(250 - c->n * 40);
	l->source.ask_key = ask_key;
	return c->n++;
}

void cast_begin(struct cast *c, unsigned i)
{
	struct layer *l = &c->l[i];

	assert_int_equal(mu_track_set_source(l->track, &l->source, &l->format, 1, c->now_us), 0);
	l->begun = l->sends = l->want_key = true;
}

void cast_end(struct cast *c, unsigned i)
{
	if (c->l[i].begun)
		mu_track_clear_source(c->l[i].track, &c->l[i].source);
	c->l[i].begun = c->l[i].sends = false;
}

static uint32_t media_time(const struct layer *l, int64_t us)
{
	return l->ts_zero + (uint32_t)(us * mu_codec_clock(l->format.codec) / 1000000);
}

void cast_report(struct cast *c, unsigned i)
{
	struct layer *l = &c->l[i];

	mu_track_set_clock(l->track, mu_ntp_from_wall_us(mu_clock_wall_us() + l->ntp_zero_us),
		media_time(l, c->now_us), c->now_us);
}

struct mu_packet *cast_packet(struct cast *c, unsigned i, const uint8_t *data, size_t len, uint32_t ts)
{
	struct mu_worker *home = mu_track_home(c->l[i].track);
	struct mu_packet *p = mu_packet_new(mu_relay_slab(plane_of(home)->relay));

	assert_non_null(p);
	memset(p->data, 0, HEADER);
	p->data[0] = 0x80;
	memcpy(p->data + HEADER, data, len);
	p->hlen = HEADER;
	p->len = (uint16_t)(HEADER + len);
	p->pt = c->l[i].format.pt;
	p->wire_ts = ts;
	p->arrival_us = c->now_us;
	return p;
}

static unsigned chance(unsigned *rnd)
{
	*rnd = *rnd * 1103515245u + 12345u;
	return *rnd >> 16;
}

static void push(struct cast *c, unsigned i, struct mu_packet *p, uint64_t seq)
{
	p->wire_seq = (uint16_t)seq;
	p->arrival_us = c->now_us;
	mu_track_push(c->l[i].track, p, seq, c->now_us);
}

void cast_late(struct cast *c)
{
	struct mu_packet *p = c->held;

	c->held = NULL;
	if (p)
		push(c, c->held_layer, p, p->seq);
}

void cast_push(struct cast *c, unsigned i, struct mu_packet *p)
{
	uint64_t seq = c->l[i].seq++;

	if (c->lose && chance(&c->rnd) % c->lose == 0) {
		mu_packet_unref(p);
		return;
	}
	if (c->late && !c->held && chance(&c->rnd) % c->late == 0) {
		c->held = p;
		c->held_layer = i;
		p->wire_seq = (uint16_t)seq;
		p->seq = seq;
		return;
	}
	push(c, i, p, seq);
	if (chance(&c->rnd) % 4 == 0)
		cast_late(c);
}

/* Temporal patterns 0; 0 1; 0 2 1 2. */
static int pattern(const struct layer *l)
{
	static const int three[] = { 0, 2, 1, 2 };

	return l->temporals == 3 ? three[l->frame % 4] : l->temporals == 2 ? (int)(l->frame % 2) : 0;
}

static void stamp(const struct layer *l, uint8_t *d, unsigned i, unsigned n, bool key)
{
	d[0] = key ? 0 : 1;
	d[1] = (uint8_t)(l - l->cast->l);
	mu_put32(d + 2, l->frame);
	mu_put16(d + 6, (uint16_t)i);
	mu_put16(d + 8, (uint16_t)n);
	d[10] = key;
}

static void video_packet(struct cast *c, unsigned layer, unsigned i, bool key, int temporal)
{
	struct layer *l = &c->l[layer];
	uint8_t d[700] = { (uint8_t)(0x80 | (i == 0 ? 0x10 : 0)), 0xe0 };
	struct mu_packet *p;

	mu_put16(d + 2, 0x8000 | l->picture);
	d[4] = l->tl0;
	d[5] = (uint8_t)(temporal << 6 | (temporal > 0 && !l->no_sync ? 0x20 : 0));
	stamp(l, d + DESCRIPTOR, i, l->packets, key);
	p = cast_packet(c, layer, d, 300 + (l->frame + i) % 300, media_time(l, c->now_us));
	if (i == l->packets - 1) {
		p->flags |= MU_PACKET_MARKER;
		p->data[1] |= 0x80;
	}
	cast_push(c, layer, p);
}

static void audio_packet(struct cast *c, unsigned layer)
{
	struct layer *l = &c->l[layer];
	uint8_t d[80] = { 0 };

	stamp(l, d, 0, 1, false);
	cast_push(c, layer, cast_packet(c, layer, d, sizeof(d), media_time(l, c->now_us)));
}

void cast_frame(struct cast *c, unsigned layer, bool key, int temporal)
{
	struct layer *l = &c->l[layer];

	if (temporal < 0)
		temporal = key ? 0 : pattern(l);
	l->keys += key;
	l->picture = (l->picture + 1) & 0x7fff;
	l->tl0 = (uint8_t)(l->tl0 + (temporal == 0));
	for (unsigned i = 0; i < l->packets; i++) {
		if (mu_track_kind(l->track) == MU_VIDEO)
			video_packet(c, layer, i, key, temporal);
		else
			audio_packet(c, layer);
	}
	l->frame++;
}

void cast_run(struct cast *c, int64_t us)
{
	int64_t until = c->now_us + us;

	while (c->now_us < until) {
		for (unsigned i = 0; i < c->n; i++) {
			bool key = c->l[i].want_key;

			if (!c->l[i].sends)
				continue;
			c->l[i].want_key = false;
			cast_frame(c, i, key, -1);
		}
		cast_turn(c);
		c->now_us += CAST_FRAME_US;
		mu_clock_drive(c->now_us);
		cast_turn(c);
	}
}

/* --- viewers --- */

static void eye_open(
	struct eye *e, struct cast *c, enum mu_codec codec, enum mu_srtp_profile profile, bool rtx)
{
	struct mu_transport_spec spec = { .id = "eye", .dtls_server = true, .fitted = true };
	struct mu_stream_out out = { .mid = "0", .ssrc = CAST_SSRC, .n_formats = 1, .nack = true };

	memset(e, 0, sizeof(*e));
	e->c = c;
	out.rtx_ssrc = rtx ? CAST_RTX : 0;
	out.formats[0].format = (struct mu_format){
		.codec = codec, .pt = CAST_PT, .channels = codec == MU_CODEC_OPUS ? 2 : 0
	};
	out.formats[0].rtx_pt = rtx ? CAST_RTX_PT : 0;
	viewer_attach(&e->v, c->media, &spec);
	assert_int_equal(mu_transport_add_out(e->v.t, &out), 0);
	cast_turn(c);
	viewer_connect(&e->v, profile);
}

void eye_up(struct eye *e, struct cast *c, enum mu_kind kind, enum mu_srtp_profile profile, bool rtx)
{
	eye_open(e, c, kind == MU_VIDEO ? MU_CODEC_VP8 : MU_CODEC_OPUS, profile, rtx);
}

void eye_up_as(struct eye *e, struct cast *c, enum mu_codec codec)
{
	eye_open(e, c, codec, MU_SRTP_AEAD_AES_128_GCM, true);
}

void eye_down(struct eye *e)
{
	mu_transport_free(e->v.t);
	cast_turn(e->c);
	viewer_done(&e->v);
}

void eye_feed(struct eye *e, const unsigned *layers, unsigned n, unsigned height)
{
	struct mu_feed f = { .n_layers = n, .height = height };

	for (unsigned i = 0; i < n; i++)
		f.layers[i] = e->c->l[layers[i]].track;
	assert_int_equal(mu_transport_feed(e->v.t, "0", &f), 0);
	cast_turn(e->c);
}

struct out_stream *eye_out(struct eye *e)
{
	return e->v.t->out[0];
}

struct got *eye_got(struct eye *e, uint64_t number)
{
	return &e->got[number % CAST_NUMBERS];
}

static void read_stamp(struct got *g, const uint8_t *d)
{
	g->layer = d[1];
	g->frame = mu_get32(d + 2);
	g->i = mu_get16(d + 6);
	g->n = mu_get16(d + 8);
	g->key = d[10];
}

static void read_payload(struct got *g, const uint8_t *d, size_t len)
{
	struct mu_vp8 vp8;

	g->picture = g->tl0 = g->temporal = -1;
	g->empty = len == 0;
	if (g->empty)
		return;
	if (d[0] < 2) { /* audio */
		read_stamp(g, d);
		return;
	}
	assert_int_equal(mu_vp8_parse(d, len, &vp8), 0);
	read_stamp(g, d + vp8.len);
	g->picture = vp8.picture_bits ? vp8.picture : -1;
	g->tl0 = vp8.tl0_at ? vp8.tl0 : -1;
	g->temporal = vp8.temporal;
}

static struct got *note(struct eye *e, uint16_t seq)
{
	uint64_t number;

	if (e->received == 0)
		e->first = e->highest = 65536u + seq;
	number = mu_seq_unwrap(e->highest, seq);
	assert_true(number + CAST_NUMBERS > e->highest);
	for (; e->highest < number; e->highest++)
		memset(eye_got(e, e->highest + 1), 0, sizeof(struct got));
	e->first = MU_MIN(e->first, number);
	e->received++;
	return eye_got(e, number);
}

/* The same number twice is the same bytes: else the key is given away. */
static bool again(struct eye *e, uint16_t seq, const uint8_t *data, size_t len)
{
	uint64_t number = mu_seq_unwrap(e->highest, seq);
	struct got *g = eye_got(e, number);

	if (e->received == 0 || number > e->highest || g->raw_len == 0)
		return false;
	assert_int_equal(len, g->raw_len);
	assert_memory_equal(data, g->raw, len);
	g->there = true;
	return true;
}

static void take(struct eye *e, const uint8_t *data, size_t n)
{
	struct mu_rtp_header h;
	uint8_t plain[2000];
	struct got *g;
	bool rtx;
	int len;

	assert_int_equal(mu_rtp_parse(data, n, &h), 0);
	rtx = h.pt == CAST_RTX_PT;
	assert_int_equal(h.ssrc, rtx ? CAST_RTX : CAST_SSRC);
	if (!rtx && again(e, h.seq, data, n)) {
		e->repaired++;
		return;
	}
	len = mu_srtp_rx_rtp(e->v.engine, e->v.rx, data, n, h.hlen, plain);
	assert_true(len > 0);
	if (h.padding)
		len -= plain[len - 1];
	g = note(e, rtx ? mu_get16(plain + h.hlen) : h.seq);
	e->repaired += rtx;
	g->there = rtx || !e->lose ||
		chance(&e->rnd) % e->lose != 0; /* what is lost is remembered: it may come as it was */
	g->marker = h.marker;
	g->ts = h.ts;
	g->at_us = e->c->now_us;
	if (!rtx) {
		g->raw_len = (uint16_t)n;
		memcpy(g->raw, data, n);
	}
	read_payload(g, plain + h.hlen + (rtx ? 2 : 0), (size_t)len - h.hlen - (rtx ? 2 : 0));
}

void eye_look(struct eye *e)
{
	uint8_t data[2000];
	ssize_t n;

	e->v.t->ice.last_check_us = e->c->now_us; /* it consents */
	while ((n = recv(e->v.fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		if (data[0] >= 128 && !mu_is_rtcp(data))
			take(e, data, (size_t)n);
	}
}

void eye_nack(struct eye *e)
{
	uint8_t buf[1024];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	uint16_t seqs[100];
	size_t n = 0;

	for (uint64_t i = MU_MAX(e->first, e->highest - 500); i <= e->highest && n < MU_ARRAY_LEN(seqs);
		i++) {
		if (!eye_got(e, i)->there)
			seqs[n++] = (uint16_t)i;
	}
	if (n == 0)
		return;
	mu_rtcp_add_rr(&w, 1, NULL, 0);
	assert_int_equal(mu_rtcp_add_nack(&w, 1, CAST_SSRC, seqs, n), 0);
	viewer_rtcp(&e->v, buf, w.len, e->c->now_us);
}

/* --- what is right --- */

static void check_next(const struct got *last, const struct got *g)
{
	if (g->frame == last->frame && g->layer == last->layer && g->i > 0) {
		assert_int_equal(g->i, last->i + 1);
		assert_int_equal(g->ts, last->ts);
		assert_int_equal(g->picture, last->picture);
		assert_int_equal(g->tl0, last->tl0);
		return;
	}
	assert_int_equal(g->i, 0);
	assert_true((int32_t)(g->ts - last->ts) > 0);
	if (g->layer == last->layer)
		assert_true(g->frame > last->frame);
	else
		assert_true(g->key || g->picture < 0);
	if (g->picture >= 0) {
		assert_int_equal(g->picture, (last->picture + 1) & 0x7fff);
		assert_int_equal(g->tl0, (last->tl0 + (g->temporal == 0)) & 0xff);
	}
}

unsigned eye_check(struct eye *e)
{
	const struct got *last = NULL;
	unsigned frames = 0;

	for (uint64_t i = e->first; i <= e->highest; i++) {
		const struct got *g = eye_got(e, i);

		assert_true(g->there);
		if (g->empty)
			continue;
		frames += g->i == g->n - 1u;
		if (last)
			check_next(last, g);
		last = g;
	}
	return frames;
}
