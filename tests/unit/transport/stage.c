#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stage.h"

struct stage stage;

/* --- the plane --- */

static struct mu_track *track(const char *id, enum mu_kind kind)
{
	struct mu_track *t;

	assert_int_equal(mu_track_new(mu_media_net(stage.media), 0, id, kind, &t), 0);
	return t;
}

struct mu_transport_options stage_options(void)
{
	struct mu_transport_options o = { .net = { .workers = 1, .n_listen = 2 },
		.srtp_engine = "auto",
		.gather_us = 2000,
		.publisher_bps = 8000000,
		.packets_max = 20000,
		.control = &stage.control };

	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.net.listen[0]), 0);
	assert_int_equal(mu_addr_parse("127.0.0.3", 0, &o.net.listen[1]), 0);
	return o;
}

void stage_up_with(const struct mu_transport_options *o)
{
	struct mu_error e = { "" };

	mu_inbox_init(&stage.control);
	if (mu_media_new(o, &stage.media, &e) < 0)
		fail_msg("%s", e.text);
	for (unsigned w = 0; w < o->net.workers; w++) {
		for (unsigned i = 0; i < o->net.n_listen; i++) {
			stage.gateway[w][i] = o->net.listen[i];
			mu_addr_set_port(&stage.gateway[w][i], mu_net_port(mu_media_net(stage.media), w, i));
		}
	}
	stage.video = track("cam/video", MU_VIDEO);
	stage.audio = track("cam/audio", MU_AUDIO);
}

void stage_up(void)
{
	struct mu_transport_options o = stage_options();

	stage_up_with(&o);
}

void stage_down(void)
{
	mu_track_unref(stage.video);
	mu_track_unref(stage.audio);
	mu_media_free(stage.media);
	mu_inbox_done(&stage.control);
}

void stage_turn(void)
{
	struct pollfd f = { .fd = stage.control.fd, .events = POLLIN };

	if (mu_inbox_sleep(&stage.control))
		poll(&f, 1, 20);
	mu_inbox_wake(&stage.control);
	mu_inbox_run(&stage.control);
}

struct errand {
	struct mu_msg msg;
	void (*fn)(struct mu_transport *t);
	struct mu_transport *t;
	atomic_bool done;
};

static void run_errand(struct mu_msg *m)
{
	struct errand *e = MU_CONTAINER_OF(m, struct errand, msg);

	e->fn(e->t);
	atomic_store(&e->done, true);
}

void stage_on_worker(struct session *s, void (*fn)(struct mu_transport *t))
{
	struct errand e = { .msg.fn = run_errand, .fn = fn, .t = s->t };

	mu_worker_post(mu_net_worker(mu_media_net(stage.media), mu_transport_worker(s->t)), &e.msg);
	AWAIT(atomic_load(&e.done));
}

/* --- sessions --- */

static void on_state(void *arg, enum mu_transport_state state, const char *why)
{
	struct session *s = arg;

	s->state = state;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static void on_stats(void *arg, const struct mu_transport_stats *stats)
{
	struct session *s = arg;

	assert_in_range(stats->n_streams, 0, MU_ARRAY_LEN(s->streams));
	s->stats = *stats;
	s->stats.streams = memcpy(s->streams, stats->streams, stats->n_streams * sizeof(s->streams[0]));
	s->stats_heard++;
}

const struct mu_transport_events stage_events = { on_state, on_stats };

void stage_stats(struct session *s)
{
	unsigned heard = s->stats_heard;

	mu_transport_ask_stats(s->t);
	AWAIT(s->stats_heard > heard);
}

void stage_await_packet(struct session *s, unsigned stream)
{
	int64_t until = mu_clock_us() + 5000000;

	do {
		assert_true(mu_clock_us() < until);
		stage_stats(s);
	} while (s->stats.streams[stream].packets == 0);
}

void stage_begin(
	struct session *s, const struct mu_transport_spec *spec, const enum mu_srtp_profile *profiles)
{
	struct mu_transport_spec own = *spec;

	memset(s, 0, sizeof(*s));
	peer_open(&s->peer, "127.0.0.1", &stage.gateway[spec->worker][0], profiles);
	if (own.n_fingerprints == 0) {
		memcpy(own.fingerprints[0], mu_identity_fingerprint(s->peer.identity), MU_FINGERPRINT_LEN);
		own.n_fingerprints = 1;
	}
	own.dtls_server = true;
	own.id = "test";
	snprintf(own.cname, sizeof(own.cname), "muster");
	assert_int_equal(mu_transport_new(stage.media, &own, &stage_events, s, &s->t), 0);
	peer_aim(&s->peer, s->t);
	stage_stats(s); /* its worker knows the session */
}

void stage_join(struct session *s)
{
	assert_int_equal(peer_connect(&s->peer, mu_identity_fingerprint(mu_media_identity(stage.media))), 0);
	AWAIT(s->state == MU_TRANSPORT_CONNECTED);
}

void stage_connect(struct session *s, const struct mu_transport_spec *spec)
{
	stage_begin(s, spec, NULL);
	stage_join(s);
}

void stage_end(struct session *s)
{
	mu_transport_close(s->t, "test over");
	AWAIT(s->state == MU_TRANSPORT_CLOSED);
	mu_transport_free(s->t);
	peer_close(&s->peer);
}

struct mu_transport_spec stage_publisher(void)
{
	struct mu_transport_spec spec = { .n_in = 2 };

	spec.in[0] = (struct mu_stream_in){ .track = stage.video,
		.mid = "0",
		.n_formats = 1,
		.formats = { { .codec = MU_CODEC_VP8, .pt = 96 } },
		.rtx_pt = { 97 },
		.nack = true,
		.pli = true };
	spec.in[1] = (struct mu_stream_in){ .track = stage.audio,
		.mid = "1",
		.n_formats = 2,
		.formats = { { .codec = MU_CODEC_OPUS, .pt = 111, .channels = 2 },
			{ .codec = MU_CODEC_PCMA, .pt = 8, .channels = 1 } } };
	return spec;
}

struct mu_transport_spec stage_viewer(void)
{
	struct mu_transport_spec spec = { .n_out = 2 };

	spec.out[0] = (struct mu_stream_out){ .track = stage.video,
		.mid = "0",
		.ssrc = STAGE_VIEW_VIDEO,
		.rtx_ssrc = STAGE_VIEW_RTX,
		.n_formats = 1,
		.nack = true };
	spec.out[0].formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = 120 };
	spec.out[0].formats[0].rtx_pt = 121;
	spec.out[1] = (struct mu_stream_out){
		.track = stage.audio, .mid = "1", .ssrc = STAGE_VIEW_AUDIO, .n_formats = 2
	};
	spec.out[1].formats[0].format =
		(struct mu_format){ .codec = MU_CODEC_OPUS, .pt = 109, .channels = 2 };
	spec.out[1].formats[1].format = (struct mu_format){ .codec = MU_CODEC_PCMA, .pt = 18, .channels = 1 };
	return spec;
}

void stage_publish(struct session *s)
{
	struct mu_transport_spec spec = stage_publisher();

	stage_connect(s, &spec);
}

void stage_watch(struct session *s)
{
	struct mu_transport_spec spec = stage_viewer();

	stage_connect(s, &spec);
}

void show_up(struct session *pub, struct session *view)
{
	stage_up();
	stage_publish(pub);
	stage_watch(view);
}

void show_down(struct session *pub, struct session *view)
{
	stage_end(view);
	stage_end(pub);
	stage_down();
}

/* --- media --- */

void stage_send_video(struct session *s, uint64_t seq, bool key)
{
	stage_send_video_as(s, STAGE_VIDEO, seq, key);
}

/* VP8: S bit and partition 0; the frame's first byte says key (0) or not (1). */
void stage_send_video_as(struct session *s, uint32_t ssrc, uint64_t seq, bool key)
{
	uint8_t payload[690] = { 0x10, key ? 0 : 1 };

	mu_put64(payload + 2, seq);
	peer_rtp(&s->peer, ssrc, seq, 96, (uint32_t)seq * 3000, true, payload, 600 + seq % 90);
}

uint64_t stage_number(const uint8_t *payload)
{
	return mu_get64(payload + 2);
}

void stage_send_repair(struct session *s, uint64_t index, uint16_t osn)
{
	uint8_t payload[602] = { 0, 0, 0x10, 1 };

	mu_put16(payload, osn);
	mu_put64(payload + 4, osn);
	peer_rtp(&s->peer, STAGE_RTX, index, 97, osn * 3000u, true, payload, sizeof(payload));
}

bool stage_take(struct session *s, uint8_t pt, struct mu_rtp_header *h, uint8_t *pkt, size_t *len)
{
	enum peer_got what;

	while ((what = peer_take(&s->peer, 300, pkt, len)) != PEER_NOTHING) {
		assert_int_not_equal(what, PEER_BAD);
		if (what == PEER_RTP && mu_rtp_parse(pkt, *len, h) == 0 && h->pt == pt)
			return true;
	}
	return false;
}

void stage_expect(struct session *view, const uint64_t *numbers, size_t n)
{
	struct mu_rtp_header h;
	uint8_t pkt[2000];
	size_t len;

	for (size_t i = 0; i < n; i++) {
		assert_true(stage_take(view, 120, &h, pkt, &len));
		assert_int_equal(stage_number(pkt + h.hlen), numbers[i]);
	}
}

void stage_hear(struct session *s, const struct mu_rtcp_handler *h, void *arg, const bool *done)
{
	int64_t until = mu_clock_us() + 3000000;
	uint8_t pkt[2000];
	size_t len;

	while (!*done && mu_clock_us() < until) {
		if (peer_take(&s->peer, 100, pkt, &len) == PEER_RTCP)
			assert_int_equal(mu_rtcp_parse(pkt, len, h, arg), 0);
	}
}
