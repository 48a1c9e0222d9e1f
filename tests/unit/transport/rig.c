#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "rig.h"

static const struct mu_format video = { .codec = MU_CODEC_VP8, .pt = 96 };
static const struct mu_format audio = { .codec = MU_CODEC_OPUS, .pt = 111, .channels = 2 };

static const struct mu_format *format_of(const struct rig *r)
{
	return mu_track_kind(r->track) == MU_VIDEO ? &video : &audio;
}

void rig_up(struct rig *r, enum mu_kind kind)
{
	struct mu_transport_options o = { .net = { .workers = 1, .n_listen = 1, .driven = true },
		.srtp_engine = "auto",
		.packets_max = 4096,
		.control = &r->control };
	struct mu_error e = { "" };

	memset(r, 0, sizeof(*r));
	mu_inbox_init(&r->control);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &o.net.listen[0]), 0);
	if (mu_media_new(&o, &r->media, &e) < 0)
		fail_msg("%s", e.text);
	r->worker = mu_net_worker(mu_media_net(r->media), 0);
	assert_int_equal(mu_track_new(mu_media_net(r->media), 0, "rig", kind, &r->track), 0);
	assert_int_equal(mu_track_set_source(r->track, &r->source, format_of(r), 1, mu_clock_us()), 0);
}

void rig_down(struct rig *r)
{
	mu_track_clear_source(r->track, &r->source);
	mu_track_unref(r->track);
	mu_media_free(r->media);
	mu_inbox_done(&r->control);
}

void rig_turn(struct rig *r)
{
	mu_worker_turn(r->worker, 0);
	mu_inbox_run(&r->control);
}

void rig_push(struct rig *r, uint64_t seq, size_t len, bool key)
{
	struct mu_packet *p = mu_packet_new(mu_relay_slab(plane_of(r->worker)->relay));

	assert_non_null(p);
	assert_in_range(len, 12 + 16, MU_PACKET_MAX);
	memset(p->data, 0, len);
	p->data[0] = 0x80;
	p->data[12] = 0x10; /* VP8: a frame's start; the frame header's P bit says "no key" */
	p->data[13] = key ? 0 : 1;
	mu_put64(p->data + 14, seq);
	p->hlen = 12;
	p->len = (uint16_t)len;
	p->wire_seq = (uint16_t)seq;
	p->wire_ts = (uint32_t)seq * 3000;
	p->arrival_us = mu_clock_us();
	mu_track_push(r->track, p, seq, p->arrival_us);
}

/* --- viewers
 * ------------------------------------------------------------------------------------------------------ */

static void on_state(void *arg, enum mu_transport_state s, const char *why)
{
	(void)arg;
	(void)s;
	(void)why;
}

static const struct mu_transport_events events = { .state = on_state };

static void open_socket(struct viewer *v)
{
	socklen_t len = sizeof(v->path.remote);
	int rcvbuf = 4 << 20;

	v->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(v->fd >= 0);
	setsockopt(v->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &v->path.remote), 0);
	assert_int_equal(bind(v->fd, &v->path.remote.sa, mu_addr_size(&v->path.remote)), 0);
	assert_int_equal(getsockname(v->fd, &v->path.remote.sa, &len), 0);
}

/* What ICE and DTLS would have found out. */
void viewer_connect(struct viewer *v, enum mu_srtp_profile profile)
{
	struct mu_dtls_keys k = { .profile = profile };
	size_t len = mu_srtp_key_len(profile);
	int64_t now = mu_clock_us();

	mu_random(k.local, sizeof(k.local));
	mu_random(k.remote, sizeof(k.remote));
	assert_int_equal(mu_srtp_key_new(v->engine, profile, k.local, k.local + len, &v->in), 0);
	assert_int_equal(mu_srtp_key_new(v->engine, profile, k.remote, k.remote + len, &v->out), 0);
	assert_int_equal(mu_srtp_rx_new(v->in, &v->rx), 0);
	v->t->ice.nominated = true;
	v->t->ice.n_pairs = 1;
	v->t->ice.pairs[0].path = v->path;
	v->t->ice.selected = v->t->ice.used = v->path;
	v->t->ice.last_check_us = now;
	session_ice_event(v->t, MU_ICE_NOMINATED, &v->path, now);
	session_keyed(v->t, &k, now);
}

void viewer_attach(struct viewer *v, struct mu_media *media, const struct mu_transport_spec *spec)
{
	struct mu_error e;

	memset(v, 0, sizeof(*v));
	open_socket(v);
	assert_int_equal(mu_srtp_engine_new("openssl", &v->engine, &e), 0);
	assert_int_equal(mu_transport_new(media, spec, &events, v, &v->t), 0);
}

void viewer_up(struct viewer *v, struct rig *r, enum mu_srtp_profile profile, bool rtx)
{
	struct mu_transport_spec spec = { .id = "viewer", .dtls_server = true, .n_out = 1 };

	spec.out[0] = (struct mu_stream_out){ .track = r->track,
		.mid = "0",
		.ssrc = RIG_SSRC,
		.rtx_ssrc = rtx ? RIG_RTX_SSRC : 0,
		.n_formats = 1,
		.nack = true };
	spec.out[0].formats[0].format = *format_of(r);
	spec.out[0].formats[0].format.pt = RIG_PT;
	spec.out[0].formats[0].rtx_pt = rtx ? RIG_RTX_PT : 0;
	viewer_attach(v, r->media, &spec);
	rig_turn(r);
	viewer_connect(v, profile);
}

void viewer_down(struct viewer *v, struct rig *r)
{
	mu_transport_free(v->t);
	rig_turn(r);
	viewer_done(v);
}

void viewer_done(struct viewer *v)
{
	mu_srtp_rx_free(v->rx);
	mu_srtp_key_free(v->in);
	mu_srtp_key_free(v->out);
	mu_srtp_engine_free(v->engine);
	close(v->fd);
}

struct out_stream *viewer_out(struct viewer *v)
{
	return v->t->out[0];
}

bool viewer_take(struct viewer *v, struct mu_rtp_header *h, uint8_t ret[2000], size_t *ret_len)
{
	uint8_t data[2000];
	ssize_t n;

	/* loopback delivers within the sender's call: what is not there now was not sent */
	while ((n = recv(v->fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		int plain;

		if (data[0] < 128 || mu_is_rtcp(data))
			continue;
		assert_int_equal(mu_rtp_parse(data, (size_t)n, h), 0);
		plain = mu_srtp_rx_rtp(v->engine, v->rx, data, (size_t)n, h->hlen, ret);
		assert_true(plain > 0);
		*ret_len = (size_t)plain;
		return true;
	}
	return false;
}

void viewer_rtcp(struct viewer *v, const uint8_t *data, size_t n, int64_t now_us)
{
	uint8_t sealed[1024 + MU_SRTCP_GROWTH_MAX];
	int len = mu_srtcp_protect(v->engine, v->out, ++v->srtcp_index, data, n, sealed);

	assert_true(len > 0);
	incoming_rtcp(v->t, sealed, (size_t)len, now_us);
	mu_worker_flush(v->t->worker);
}

void viewer_nack(struct viewer *v, const uint16_t *seqs, size_t n, int64_t now_us)
{
	uint8_t buf[1024];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, 1, NULL, 0);
	assert_int_equal(mu_rtcp_add_nack(&w, 1, RIG_SSRC, seqs, n), 0);
	viewer_rtcp(v, buf, w.len, now_us);
}
