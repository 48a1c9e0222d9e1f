/* A camera that sends three encodings over a link that loses, and viewers whose streams are fitted: how long
 * a change of layer takes, and how often the camera is asked for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "flow.h"

#define S         1000000
#define LAYERS    3
#define VIEWERS   20
#define PT        96
#define RTX_PT    97
#define VIEW_PT   120
#define VIEW_RTX  121
#define SSRC      0x5000u
#define VIEW_SSRC 0xaaaau
#define STAMP     20 /* behind VP8's descriptor and a key frame's header */
#define ENCODE_US 10000

/* One encoding at the camera. */
struct encoding {
	uint64_t index;
	uint16_t picture;
	unsigned packet, n; /* under way */
	int64_t key_at_us;  /* asked for; 0: not */
	bool key;
	unsigned asked;
	int64_t asked_us[256];
	struct {
		uint64_t index;
		uint32_t ts;
		size_t len;
		bool marker;
		uint8_t payload[1000];
	} history[512];
};
static struct {
	struct peer peer;
	struct link link;
	struct mu_transport *t;
	enum mu_transport_state state;
	struct mu_track *track[LAYERS];
	struct encoding e[LAYERS];
	uint64_t rtx_index;
	uint32_t frame;
	int64_t next_frame_us, next_report_us;
} cam;

struct eyes {
	struct peer peer;
	struct link link;
	struct mu_transport *t;
	enum mu_transport_state state;
	bool started;
	uint64_t highest;
	struct missing missing[SEQS_MAX];
	/* frames under way, by their number modulo; whole: of which layer the last one was, and since when
	 * that one is shown */
	struct {
		uint32_t frame;
		uint8_t layer, n_got;
		uint32_t got;
	} parts[64 * LAYERS];
	int shown;
	int64_t shown_us, next_report_us;
	uint32_t last_ts;
};
static struct eyes eyes[VIEWERS];
static unsigned n_eyes;
static struct flow f;

/* --- the camera --- */

static void send_packet(struct encoding *e, unsigned layer)
{
	unsigned i = e->packet++, slot = (unsigned)(e->index % MU_ARRAY_LEN(e->history));
	uint8_t *d = e->history[slot].payload;
	size_t len = 600 + (cam.frame * 7 + i * 31) % 300;

	memset(d, 0xa5, len);
	d[0] = (uint8_t)(0x80 | (i == 0 ? 0x10 : 0));
	d[1] = 0x80;
	mu_put16(d + 2, (uint16_t)(0x8000 | e->picture));
	d[4] = e->key ? 0x10 : 0x11; /* RFC 6386, section 9.1 */
	d[5] = d[6] = 0;
	d[7] = 0x9d;
	d[8] = 0x01;
	d[9] = 0x2a;
	d[10] = (uint8_t)(320 << layer);
	d[11] = (uint8_t)((320 << layer) >> 8);
	d[12] = (uint8_t)(180 << layer);
	d[13] = (uint8_t)((180 << layer) >> 8);
	mu_put32(d + STAMP, cam.frame);
	d[STAMP + 4] = (uint8_t)layer;
	d[STAMP + 5] = (uint8_t)i;
	d[STAMP + 6] = (uint8_t)e->n;
	d[STAMP + 7] = e->key;
	e->history[slot].index = e->index;
	e->history[slot].ts = cam.frame * 3000 + layer * 777;
	e->history[slot].len = len;
	e->history[slot].marker = e->packet == e->n;
	peer_rtp(&cam.peer, SSRC + layer, e->index++, PT, e->history[slot].ts, e->packet == e->n, d, len);
}

static void on_key_request(void *arg, uint32_t ssrc)
{
	struct encoding *e = &cam.e[ssrc - SSRC];

	(void)arg;
	assert_in_range(ssrc, SSRC, SSRC + LAYERS - 1);
	if (e->asked < MU_ARRAY_LEN(e->asked_us))
		e->asked_us[e->asked] = f.now_us;
	e->asked++;
	if (!e->key_at_us)
		e->key_at_us = f.now_us + ENCODE_US;
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct encoding *e = &cam.e[ssrc - SSRC];
	uint64_t index = mu_seq_unwrap(e->index, seq);
	unsigned slot = (unsigned)(index % MU_ARRAY_LEN(e->history));
	uint8_t payload[1002];

	(void)arg;
	if (e->history[slot].index != index || !e->history[slot].len)
		return;
	mu_put16(payload, seq);
	memcpy(payload + 2, e->history[slot].payload, e->history[slot].len);
	peer_rtp(&cam.peer, ssrc | 0x80000000u, cam.rtx_index++, RTX_PT, e->history[slot].ts,
		e->history[slot].marker, payload, e->history[slot].len + 2);
}

static void report(void)
{
	for (unsigned i = 0; i < LAYERS; i++) {
		uint8_t buf[256];
		struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

		mu_rtcp_add_sr(&w, SSRC + i, mu_ntp_from_wall_us(mu_clock_wall_us()),
			cam.frame * 3000 + i * 777, 1, 1, NULL, 0);
		mu_rtcp_add_sdes(&w, SSRC + i, "cam");
		peer_rtcp(&cam.peer, buf, w.len);
	}
	cam.next_report_us = f.now_us + S;
}

static void run_camera(void)
{
	static const struct mu_rtcp_handler handler = { .nack = on_nack, .key_request = on_key_request };
	uint8_t got[2000];
	enum peer_got what;
	size_t len;

	while ((what = peer_take(&cam.peer, 0, got, &len)) != PEER_NOTHING) {
		if (what == PEER_RTCP)
			mu_rtcp_parse(got, len, &handler, NULL);
	}
	if (f.now_us >= cam.next_frame_us) {
		cam.frame++;
		cam.next_frame_us += FRAME_US;
		for (unsigned i = 0; i < LAYERS; i++) {
			struct encoding *e = &cam.e[i];

			e->key = e->key_at_us && f.now_us >= e->key_at_us;
			if (e->key)
				e->key_at_us = 0;
			e->n = (e->key ? 6u : 2u) << i;
			e->packet = 0;
			e->picture = (e->picture + 1) & 0x7fff;
		}
	}
	for (unsigned i = 0; i < LAYERS; i++) {
		for (int k = 0; k < 2 && cam.e[i].packet < cam.e[i].n; k++)
			send_packet(&cam.e[i], i);
	}
	if (f.now_us >= cam.next_report_us)
		report();
}

static void publish(struct link_way way)
{
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));

	memset(&cam, 0, sizeof(cam));
	assert_non_null(spec);
	for (unsigned i = 0; i < LAYERS; i++) {
		char id[32];

		snprintf(id, sizeof(id), "cam/video~%u", i);
		assert_int_equal(mu_track_new(mu_media_net(f.media), 0, id, MU_VIDEO, &cam.track[i]), 0);
		spec->in[i] = (struct mu_stream_in){ .track = cam.track[i],
			.mid = "0",
			.n_formats = 1,
			.ssrc = SSRC + i,
			.rtx_ssrc = (SSRC + i) | 0x80000000u,
			.formats = { { .codec = MU_CODEC_VP8, .pt = PT } },
			.rtx_pt = { RTX_PT },
			.nack = true,
			.pli = true };
		cam.e[i].index = 1000 * (i + 1);
		cam.e[i].picture = (uint16_t)(0x7fe0 - i * 9000);
		cam.e[i].key_at_us = f.now_us;
	}
	spec->n_in = LAYERS;
	cam.rtx_index = 7;
	cam.next_frame_us = f.now_us;
	link_open(&cam.link, &f.gateway, 77);
	flow_connect(&f, &cam.peer, &cam.link, spec, &cam.state, &cam.t);
	free(spec);
	cam.link.up.way = way;
	cam.link.down.way = (struct link_way){ .delay_us = way.delay_us };
}

/* --- viewers --- */

static void whole(struct eyes *v, const uint8_t *d, uint32_t ts)
{
	uint32_t frame = mu_get32(d + STAMP);
	unsigned layer = d[STAMP + 4], slot = (frame * LAYERS + layer) % MU_ARRAY_LEN(v->parts);

	if (v->parts[slot].frame != frame || v->parts[slot].layer != layer) {
		memset(&v->parts[slot], 0, sizeof(v->parts[slot]));
		v->parts[slot].frame = frame;
		v->parts[slot].layer = (uint8_t)layer;
	}
	if (v->parts[slot].got & 1u << d[STAMP + 5])
		return;
	v->parts[slot].got |= 1u << d[STAMP + 5];
	if (++v->parts[slot].n_got < d[STAMP + 6])
		return;
	if ((int)layer != v->shown && (d[STAMP + 7] || v->shown < 0)) {
		if (v->shown >= 0)
			assert_true((int32_t)(ts - v->last_ts) > 0);
		else
			v->last_ts = ts;
		v->shown = (int)layer;
		v->shown_us = f.now_us;
	}
	if ((int)layer == v->shown && (int32_t)(ts - v->last_ts) > 0)
		v->last_ts = ts;
}

static void came(struct eyes *v, uint16_t wire)
{
	uint64_t seq = v->started ? mu_seq_unwrap(v->highest, wire) : 65536u + wire;

	if (!v->started)
		v->highest = seq;
	v->started = true;
	for (; v->highest < seq; v->highest++)
		v->missing[(v->highest + 1) % SEQS_MAX] =
			(struct missing){ .waits = v->highest + 1 < seq, .since_us = f.now_us };
	v->missing[seq % SEQS_MAX].waits = false;
}

static void take(struct eyes *v, const uint8_t *pkt, size_t len)
{
	struct mu_rtp_header h;
	size_t skip;

	assert_int_equal(mu_rtp_parse(pkt, len, &h), 0);
	skip = h.hlen + (h.pt == VIEW_RTX ? 2u : 0u);
	came(v, h.pt == VIEW_RTX ? mu_get16(pkt + h.hlen) : h.seq);
	if (len > skip + STAMP + 8)
		whole(v, pkt + skip, h.ts);
}

static void ask_again(struct eyes *v)
{
	uint8_t buf[600];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	uint16_t seqs[64];
	size_t n = 0;

	for (uint64_t seq = v->highest > 500 ? v->highest - 500 : 0;
		seq < v->highest && n < MU_ARRAY_LEN(seqs); seq++) {
		struct missing *m = &v->missing[seq % SEQS_MAX];

		if (!m->waits || f.now_us - m->since_us < 10000 || f.now_us < m->next_us || m->asked == 10)
			continue;
		m->asked++;
		m->next_us = f.now_us + 60000;
		seqs[n++] = (uint16_t)seq;
	}
	if (n == 0 && f.now_us < v->next_report_us)
		return;
	v->next_report_us = f.now_us + S;
	mu_rtcp_add_rr(&w, 1, NULL, 0);
	mu_rtcp_add_sdes(&w, 1, "viewer");
	if (n > 0)
		mu_rtcp_add_nack(&w, 1, VIEW_SSRC, seqs, n);
	peer_rtcp(&v->peer, buf, w.len);
}

static struct eyes *watch(struct link_way way)
{
	struct eyes *v = &eyes[n_eyes++];
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));
	struct mu_stream_out out = {
		.mid = "0", .ssrc = VIEW_SSRC, .rtx_ssrc = VIEW_SSRC + 1, .n_formats = 1, .nack = true
	};

	assert_non_null(spec);
	memset(v, 0, sizeof(*v));
	v->shown = -1;
	out.formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = VIEW_PT };
	out.formats[0].rtx_pt = VIEW_RTX;
	spec->fitted = true;
	link_open(&v->link, &f.gateway, 100 + n_eyes);
	flow_connect(&f, &v->peer, &v->link, spec, &v->state, &v->t);
	free(spec);
	v->link.down.way = way;
	v->link.up.way = (struct link_way){ .delay_us = way.delay_us };
	assert_int_equal(mu_transport_add_out(v->t, &out), 0);
	return v;
}

static void feed(struct eyes *v, unsigned height)
{
	struct mu_feed feed = { .n_layers = LAYERS, .height = height };

	memcpy(feed.layers, cam.track, sizeof(feed.layers));
	assert_int_equal(mu_transport_feed(v->t, "0", &feed), 0);
}

static void run_links(void)
{
	bool any;

	do {
		any = link_run(&cam.link, f.now_us);
		for (unsigned i = 0; i < n_eyes; i++)
			any |= link_run(&eyes[i].link, f.now_us);
		flow_turn(&f);
	} while (any);
}

static void run(int64_t us)
{
	for (int64_t until = f.now_us + us; f.now_us < until;) {
		f.now_us += 1000;
		mu_clock_drive(f.now_us);
		run_links();
		run_camera();
		for (unsigned i = 0; i < n_eyes; i++) {
			uint8_t got[2000];
			enum peer_got what;
			size_t len;

			while ((what = peer_take(&eyes[i].peer, 0, got, &len)) != PEER_NOTHING) {
				if (what == PEER_RTP)
					take(&eyes[i], got, len);
			}
			if (eyes[i].started)
				ask_again(&eyes[i]);
		}
	}
}

static void down(void)
{
	for (unsigned i = 0; i < n_eyes; i++) {
		flow_end(&f, eyes[i].t, &eyes[i].state, "over");
		peer_close(&eyes[i].peer);
		link_close(&eyes[i].link);
	}
	n_eyes = 0;
	flow_end(&f, cam.t, &cam.state, "over");
	peer_close(&cam.peer);
	link_close(&cam.link);
	for (unsigned i = 0; i < LAYERS; i++)
		mu_track_unref(cam.track[i]);
	flow_down(&f);
}

/* --- how long, how often --- */

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* From the wish to the first whole frame of the other layer at the viewer. */
static void change(struct link_way up, struct link_way down_way)
{
	static const unsigned layers[] = { 0, 2, 1, 2, 0, 1 };
	int64_t took[24];
	struct eyes *v;

	flow_up(&f);
	publish(up);
	v = watch(down_way);
	feed(v, 720);
	run(2 * S);
	assert_int_equal(v->shown, 2);
	for (unsigned i = 0; i < MU_ARRAY_LEN(took); i++) {
		unsigned layer = layers[i % MU_ARRAY_LEN(layers)];
		int64_t at = f.now_us;

		feed(v, 180u << layer);
		while (v->shown != (int)layer && f.now_us - at < 2 * S)
			run(1000);
		assert_int_equal(v->shown, layer);
		took[i] = v->shown_us - at;
		run(900000 - (f.now_us - at) % 100000);
	}
	qsort(took, MU_ARRAY_LEN(took), sizeof(took[0]), by_time);
	print_message("change of layer: median %lld ms, 95 %% within %lld ms, all within %lld ms\n",
		(long long)took[MU_ARRAY_LEN(took) / 2] / 1000,
		(long long)took[MU_ARRAY_LEN(took) * 95 / 100] / 1000,
		(long long)took[MU_ARRAY_LEN(took) - 1] / 1000);
	assert_in_range(took[MU_ARRAY_LEN(took) * 95 / 100], 0, 300000);
	down();
}

static void test_change_of_layer(void **state)
{
	(void)state;
	change((struct link_way){ .delay_us = 20000 }, (struct link_way){ .delay_us = 20000 });
}

static void test_change_of_layer_under_loss(void **state)
{
	(void)state;
	change((struct link_way){ .delay_us = 20000, .jitter_us = 4000, .loss = 0.01 },
		(struct link_way){ .delay_us = 20000, .jitter_us = 4000, .loss = 0.01 });
}

/* Twenty viewers come within a second: the camera hears of it twice at most, of each encoding. */
static void test_many_joins(void **state)
{
	unsigned within[LAYERS] = { 0 };
	int64_t begun;

	(void)state;
	flow_up(&f);
	publish((struct link_way){ .delay_us = 20000 });
	for (unsigned i = 0; i < VIEWERS; i++)
		watch((struct link_way){ .delay_us = 20000 });
	run(2 * S);
	for (unsigned i = 0; i < LAYERS; i++)
		cam.e[i].asked = 0;
	begun = f.now_us;
	for (unsigned i = 0; i < VIEWERS; i++) {
		feed(&eyes[i], 180u << i % LAYERS);
		run(S / VIEWERS);
	}
	run(S / 2);
	for (unsigned i = 0; i < LAYERS; i++) {
		for (unsigned k = 0; k < cam.e[i].asked; k++)
			within[i] += cam.e[i].asked_us[k] - begun <= S;
		assert_in_range(within[i], 1, 2);
		assert_in_range(cam.e[i].asked, 1, 2);
	}
	for (unsigned i = 0; i < VIEWERS; i++)
		assert_int_equal(eyes[i].shown, i % LAYERS);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_change_of_layer),
		cmocka_unit_test(test_change_of_layer_under_loss),
		cmocka_unit_test(test_many_joins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
