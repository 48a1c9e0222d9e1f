#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "stage.h"

struct mu_inbox control;
struct mu_media *media;
struct mu_addr gateway[2], other_gateway;

static void on_state(void *arg, enum mu_transport_state s, const char *why)
{
	struct session *x = arg;

	x->state = s;
	snprintf(x->why, sizeof(x->why), "%s", why);
}

static void on_media(void *arg, const char *mid)
{
	struct session *x = arg;

	snprintf(x->mid, sizeof(x->mid), "%s", mid);
}

static void on_stats(void *arg, const struct mu_transport_stats *s)
{
	struct session *x = arg;

	x->stats = *s;
	x->stats_heard++;
}

const struct mu_transport_events session_events = { on_state, on_media, on_stats };

void media_up(unsigned workers, const char *engine)
{
	struct mu_transport_options o = { .net = { .workers = workers, .n_listen = 2 },
		.srtp_engine = engine,
		.gather_us = 2000,
		.publisher_bps = 8000000,
		.packets_max = 20000,
		.control = &control };
	struct mu_error e = { "" };

	mu_inbox_init(&control);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.net.listen[0]), 0);
	assert_int_equal(mu_addr_parse("127.0.0.3", 0, &o.net.listen[1]), 0);
	if (mu_media_new(&o, &media, &e) < 0)
		fail_msg("%s", e.text);
	for (unsigned i = 0; i < workers; i++) {
		gateway[i] = o.net.listen[0];
		mu_addr_set_port(&gateway[i], mu_net_port(mu_media_net(media), i, 0));
	}
	other_gateway = o.net.listen[1];
	mu_addr_set_port(&other_gateway, mu_net_port(mu_media_net(media), 0, 1));
}

void media_down(void)
{
	mu_media_free(media);
	mu_inbox_done(&control);
}

struct mu_track *track(const char *id, enum mu_kind kind)
{
	struct mu_track *t;

	assert_int_equal(mu_track_new(mu_media_net(media), 0, id, kind, &t), 0);
	return t;
}

void attached(struct session *s)
{
	unsigned heard = s->stats_heard;

	mu_transport_ask_stats(s->t);
	AWAIT(s->stats_heard > heard);
}

void begin(struct session *s, struct mu_transport_spec *spec, const char *local,
	const enum mu_srtp_profile *profiles)
{
	memset(s, 0, sizeof(*s));
	peer_open(&s->peer, local, &gateway[spec->worker], profiles);
	memcpy(spec->fingerprints[0], mu_identity_fingerprint(s->peer.identity), MU_FINGERPRINT_LEN);
	spec->n_fingerprints = 1;
	spec->dtls_server = true;
	spec->id = "test";
	snprintf(spec->cname, sizeof(spec->cname), "muster");
	assert_int_equal(mu_transport_new(media, spec, &session_events, s, &s->t), 0);
	snprintf(s->peer.ufrag, sizeof(s->peer.ufrag), "%s", mu_transport_ufrag(s->t));
	snprintf(s->peer.pwd, sizeof(s->peer.pwd), "%s", mu_transport_pwd(s->t));
	attached(s);
}

void end(struct session *s)
{
	mu_transport_close(s->t, "test over");
	AWAIT(s->state == MU_TRANSPORT_CLOSED);
	mu_transport_free(s->t);
	peer_close(&s->peer);
}

void publish(struct session *s, struct mu_track *video, struct mu_track *audio,
	const enum mu_srtp_profile *profiles)
{
	struct mu_transport_spec spec = { .n_in = 2 };

	spec.in[0] = (struct mu_stream_in){ .track = video,
		.mid = "0",
		.n_formats = 1,
		.ssrc = VIDEO_SSRC,
		.formats = { { .codec = MU_CODEC_VP8, .pt = 96 } },
		.rtx_pt = { 97 },
		.nack = true,
		.pli = true };
	spec.in[1] = (struct mu_stream_in){ .track = audio,
		.mid = "1",
		.n_formats = 1,
		.ssrc = AUDIO_SSRC,
		.formats = { { .codec = MU_CODEC_OPUS, .pt = 111, .channels = 2 } } };
	begin(s, &spec, "127.0.0.1", profiles);
	assert_int_equal(peer_connect(&s->peer, mu_identity_fingerprint(mu_media_identity(media))), 0);
	AWAIT(s->state == MU_TRANSPORT_CONNECTED);
}

void watch(struct session *s, unsigned worker, struct mu_track *video, struct mu_track *audio, bool rtx,
	const enum mu_srtp_profile *profiles)
{
	struct mu_transport_spec spec = { .n_out = 2, .worker = worker };

	spec.out[0] = (struct mu_stream_out){ .track = video,
		.mid = "0",
		.ssrc = 0xaaaa,
		.rtx_ssrc = rtx ? 0xbbbb : 0,
		.n_formats = 1,
		.nack = true };
	spec.out[0].formats[0].format = (struct mu_format){ .codec = MU_CODEC_VP8, .pt = 120 };
	spec.out[0].formats[0].rtx_pt = rtx ? 121 : 0;
	spec.out[1] = (struct mu_stream_out){ .track = audio, .mid = "1", .ssrc = 0xcccc, .n_formats = 1 };
	spec.out[1].formats[0].format =
		(struct mu_format){ .codec = MU_CODEC_OPUS, .pt = 109, .channels = 2 };
	begin(s, &spec, "127.0.0.1", profiles);
	assert_int_equal(peer_connect(&s->peer, mu_identity_fingerprint(mu_media_identity(media))), 0);
	AWAIT(s->state == MU_TRANSPORT_CONNECTED);
}

/* VP8: S bit and partition 0; the frame's first byte says key (0) or not (1). */
void send_video(struct session *s, uint64_t seq, bool key, bool marker)
{
	uint8_t payload[700] = { 0x10, key ? 0 : 1 };

	mu_put64(payload + 2, seq);
	peer_rtp(&s->peer, VIDEO_SSRC, seq, 96, (uint32_t)seq * 3000, marker, payload, 600 + seq % 90);
}

bool take_rtp(struct session *s, uint8_t pt, struct mu_rtp_header *h, uint8_t *pkt, size_t *len)
{
	enum peer_got what;

	while ((what = peer_take(&s->peer, 300, pkt, len)) != PEER_NOTHING) {
		assert_int_not_equal(what, PEER_BAD);
		if (what == PEER_RTP && mu_rtp_parse(pkt, *len, h) == 0 && h->pt == pt)
			return true;
	}
	return false;
}

void show_up(struct show *x)
{
	media_up(1, "auto");
	x->video = track("v", MU_VIDEO);
	x->audio = track("a", MU_AUDIO);
	publish(&x->pub, x->video, x->audio, NULL);
	watch(&x->view, 0, x->video, x->audio, true, NULL);
}

void show_down(struct show *x)
{
	end(&x->view);
	end(&x->pub);
	mu_track_unref(x->video);
	mu_track_unref(x->audio);
	media_down();
}
