/* A publisher that sends as libwebrtc does: a frame cut into about equal packets, spread by a pacer at some
 * multiple of the bit rate; key frames when asked and now and then; audio at once; sender reports;
 * retransmission by RTX. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>

#define PACKET_MAX   1200
#define SENT_RING    16384 /* packets whose time of sending is remembered */
#define HISTORY      1024  /* packets that can be sent again */
#define FRAMES       16    /* frames that may wait for the pacer */
#define KEY_TIMES    5     /* a key frame's size, in ordinary frames */
#define KEY_APART_NS 100000000u
#define AUDIO_NS     20000000u
#define AUDIO_LEN    100
#define HEADER_MAX   24

struct track {
	uint32_t ssrc, ts;
	uint64_t index; /* SRTP: ROC and SEQ of the next packet */
	uint64_t number;
	uint32_t packets, octets;
	uint64_t sent_ns[SENT_RING];
};
struct frame {
	uint32_t number, ts, size;
	unsigned n, next; /* packets in all, packets sent */
	bool key;
};
struct kept {
	bool used;
	uint16_t seq, hlen, len;
	uint8_t data[PACKET_MAX];
};
struct publisher {
	struct peer *peer;
	bool running, want_key;
	uint64_t next_frame_ns, next_audio_ns, next_packet_ns, last_key_ns;
	uint32_t frame_number, rtx_ssrc;
	uint64_t rtx_index;
	uint16_t twcc;
	struct track track[MEDIA_COUNT];
	struct frame frames[FRAMES];
	unsigned n_frames;
	struct kept history[HISTORY];
};

/* A baseline stream of 1280 x 720 by its parameter sets; what the slices hold is nobody's concern here. */
static const uint8_t sps[] = { 0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd0, 0x0f, 0x08, 0x84,
	0x6a };
static const uint8_t pps[] = { 0x68, 0xce, 0x3c, 0x80 };

uint32_t pub_ssrc(const struct publisher *pub, enum media m)
{
	return pub->track[m].ssrc;
}
uint32_t pub_rtx_ssrc(const struct publisher *pub)
{
	return pub->rtx_ssrc;
}
uint64_t pub_sent_ns(const struct publisher *pub, enum media m, uint64_t number)
{
	return pub->track[m].sent_ns[number % SENT_RING];
}

static int pub_new(struct peer *p)
{
	struct publisher *pub = calloc(1, sizeof(*pub));

	if (!pub)
		return -ENOMEM;
	pub->peer = p;
	for (int m = 0; m < MEDIA_COUNT; m++) {
		pub->track[m].ssrc = mu_random_u32() | 1;
		pub->track[m].ts = mu_random_u32();
		pub->track[m].index = mu_random_u32() & 0x3fff;
	}
	pub->rtx_ssrc = mu_random_u32() | 1;
	pub->rtx_index = mu_random_u32() & 0x3fff;
	pub->want_key = true;
	p->pub = pub;
	return 0;
}

static void pub_free(struct peer *p)
{
	if (!p->pub)
		return;
	if (p->stream < p->load->o.publishers && p->load->streams[p->stream] == p->pub)
		p->load->streams[p->stream] = NULL;
	free(p->pub);
	p->pub = NULL;
}

/* --- packets --- */

/* @return bytes of header, with the extensions that the far side took */
static size_t write_header(
	struct publisher *pub, enum media m, uint8_t pt, bool marker, uint16_t seq, uint8_t *h)
{
	const struct remote *r = &pub->peer->remote;
	const char *mid = r->mid[m];
	uint8_t *e = h + 16;

	h[0] = 0x80;
	h[1] = (uint8_t)(pt | (marker ? 0x80 : 0));
	mu_put16(h + 2, seq);
	mu_put32(h + 4, pub->track[m].ts);
	mu_put32(h + 8, pub->track[m].ssrc);
	if (!r->ext_twcc && !r->ext_mid)
		return 12;
	h[0] |= 0x10;
	memset(e, 0, 8);
	if (r->ext_twcc) {
		*e++ = (uint8_t)(r->ext_twcc << 4 | 1);
		mu_put16(e, pub->twcc++);
		e += 2;
	}
	if (r->ext_mid && mid[0] && strlen(mid) <= 3) {
		*e++ = (uint8_t)(r->ext_mid << 4 | (strlen(mid) - 1));
		memcpy(e, mid, strlen(mid));
	}
	mu_put32(h + 12, 0xbede0002u);
	return HEADER_MAX;
}

static void send_protected(
	struct publisher *pub, uint32_t ssrc, uint64_t index, const uint8_t *packet, size_t hlen, size_t len)
{
	struct peer *p = pub->peer;
	uint8_t out[PACKET_MAX + 64];
	struct mu_srtp_job j = { .key = p->tx,
		.out = out,
		.payload = packet + hlen,
		.hlen = (uint16_t)hlen,
		.payload_len = (uint16_t)(len - hlen),
		.ssrc = ssrc,
		.index = index };

	memcpy(out, packet, hlen);
	mu_srtp_protect(p->load->engine, &j, 1);
	net_send(p, out, len + mu_srtp_growth(mu_srtp_key_profile(p->tx)));
}

/* Stamp, keep and send a packet whose payload is written but for its last STAMP_LEN bytes. */
static void send_packet(
	struct publisher *pub, enum media m, uint8_t *packet, size_t hlen, size_t len, uint32_t frame)
{
	struct track *t = &pub->track[m];
	struct load *l = pub->peer->load;
	uint16_t seq = (uint16_t)t->index;
	struct stamp s = { .number = t->number,
		.sent_ns = now_ns(),
		.frame = frame,
		.stream = (uint8_t)pub->peer->stream,
		.media = (uint8_t)m };

	stamp_write(&s, packet + len - STAMP_LEN);
	t->sent_ns[t->number % SENT_RING] = s.sent_ns;
	if (in_window(l, s.sent_ns))
		l->c.sent[m]++;
	if (m == VIDEO) {
		struct kept *k = &pub->history[seq % HISTORY];

		k->used = true;
		k->seq = seq;
		k->hlen = (uint16_t)hlen;
		k->len = (uint16_t)len;
		memcpy(k->data, packet, len);
	}
	t->number++;
	t->packets++;
	t->octets += (uint32_t)(len - hlen);
	send_protected(pub, t->ssrc, t->index++, packet, hlen, len);
}

static void send_audio(struct publisher *pub)
{
	struct track *t = &pub->track[AUDIO];
	uint8_t packet[256];
	size_t hlen = write_header(pub, AUDIO, 111, false, (uint16_t)t->index, packet);

	packet[hlen] = 0x78; /* Opus: one 20 ms frame, fullband (RFC 6716, section 3.1) */
	memset(packet + hlen + 1, 0x5a, AUDIO_LEN - 1);
	send_packet(pub, AUDIO, packet, hlen, hlen + AUDIO_LEN, 0);
	t->ts += 960;
}

/* A key frame's first packet: parameter sets and an SEI message that ends with the stamp (RFC 6184,
 * section 5.7.1). */
static size_t write_parameters(uint8_t *d)
{
	size_t at = 0, sei = 2 + 16 + STAMP_LEN;

	d[at++] = 0x78;
	mu_put16(d + at, sizeof(sps));
	memcpy(d + at + 2, sps, sizeof(sps));
	at += 2 + sizeof(sps);
	mu_put16(d + at, sizeof(pps));
	memcpy(d + at + 2, pps, sizeof(pps));
	at += 2 + sizeof(pps);
	mu_put16(d + at, (uint16_t)(1 + sei));
	d[at + 2] = 0x06;
	d[at + 3] = 5; /* user data, unregistered */
	d[at + 4] = 16 + STAMP_LEN;
	memset(d + at + 5, 0x11, sei - 2);
	return at + 2 + 1 + sei;
}

/* Fragment i of n (RFC 6184, section 5.8). "About equally": the last ones carry the remainder, a byte each.
 */
static size_t write_fragment(const struct frame *f, unsigned i, unsigned n, uint8_t *d)
{
	size_t len = f->size / n + (i >= n - f->size % n);

	d[0] = 0x7c;
	d[1] = (uint8_t)((i == 0) << 7 | (i == n - 1) << 6 | (f->key ? 5 : 1));
	memset(d + 2, 0xa5, len);
	d[2] |= 0x80; /* first_mb_in_slice 0 */
	return 2 + len;
}

static void send_frame_packet(struct publisher *pub, struct frame *f)
{
	struct track *t = &pub->track[VIDEO];
	uint8_t packet[PACKET_MAX + 64];
	unsigned i = f->next++;
	size_t hlen, len;

	t->ts = f->ts;
	hlen = write_header(pub, VIDEO, 96, f->next == f->n, (uint16_t)t->index, packet);
	if (f->key && i == 0)
		len = write_parameters(packet + hlen);
	else
		len = write_fragment(f, i - f->key, f->n - f->key, packet + hlen);
	send_packet(pub, VIDEO, packet, hlen, hlen + len, f->number);
}

/* --- time --- */

static void new_frame(struct publisher *pub, uint64_t ns)
{
	const struct load_options *o = &pub->peer->load->o;
	struct frame *f;
	uint32_t size = o->bitrate / 8 / o->fps, room = PACKET_MAX - HEADER_MAX - 2;
	bool due = ns - pub->last_key_ns > (uint64_t)o->key_every_s * 1000000000u;

	if (pub->n_frames == FRAMES) {
		pub->peer->load->c.late_sends++;
		return;
	}
	f = &pub->frames[pub->n_frames++];
	f->key = due || (pub->want_key && ns - pub->last_key_ns > KEY_APART_NS);
	if (f->key) {
		pub->last_key_ns = ns;
		pub->want_key = false;
	}
	/* an encoder's frames are never all alike; the same sequence in each run */
	size = size * (2000 + pub->frame_number * 7919 % 1001) / 2500;
	f->size = f->key ? KEY_TIMES * size : size;
	f->n = MU_MAX((f->size + room - 1) / room, 2u) + f->key;
	f->next = 0;
	f->number = pub->frame_number++;
	f->ts = f->number * (90000 / o->fps);
}

static uint64_t packet_time(const struct publisher *pub)
{
	const struct load_options *o = &pub->peer->load->o;

	if (o->pace <= 0)
		return 0;
	return (uint64_t)(PACKET_MAX * 8 * 1e9 / (o->pace * o->bitrate));
}

/* @return when the pacer wants to go on */
static uint64_t run_pacer(struct publisher *pub, uint64_t ns)
{
	const struct load_options *o = &pub->peer->load->o;
	uint64_t step = packet_time(pub), tick = o->pace_tick_us * 1000u;

	while (pub->n_frames && pub->next_packet_ns <= ns) {
		struct frame *f = &pub->frames[0];

		send_frame_packet(pub, f);
		/* a pacer that was idle does not catch up with the past */
		pub->next_packet_ns = MU_MAX(pub->next_packet_ns, ns > tick ? ns - tick : 0) + step;
		if (f->next == f->n)
			memmove(f, f + 1, --pub->n_frames * sizeof(*f));
	}
	if (!pub->n_frames)
		return UINT64_MAX;
	return tick ? MU_MAX(pub->next_packet_ns, ns) + tick : pub->next_packet_ns;
}

static void begin(struct publisher *pub, uint64_t ns)
{
	const struct load_options *o = &pub->peer->load->o;
	unsigned n = MU_MAX(o->publishers, 1u);

	/* cameras are not in step */
	pub->next_frame_ns = ns + 1000000000u / o->fps * (pub->peer->stream % n) / n;
	pub->next_audio_ns = ns + 7000000 + AUDIO_NS * (pub->peer->stream % n) / n;
	pub->running = true;
}

uint64_t pub_run(struct peer *p, uint64_t ns)
{
	struct publisher *pub = p->pub;
	uint64_t pacer;

	if (p->state != PEER_UP || !pub)
		return UINT64_MAX;
	if (!pub->running)
		begin(pub, ns);
	while (pub->next_audio_ns <= ns) {
		send_audio(pub);
		pub->next_audio_ns += AUDIO_NS;
	}
	while (pub->next_frame_ns <= ns) {
		if (ns - pub->next_frame_ns > 10000000)
			p->load->c.late_sends++;
		new_frame(pub, pub->next_frame_ns);
		pub->next_frame_ns += 1000000000u / p->load->o.fps;
	}
	pacer = run_pacer(pub, ns);
	return MU_MIN(pacer, MU_MIN(pub->next_frame_ns, pub->next_audio_ns));
}

/* --- reports and feedback --- */

static void pub_report(struct peer *p, int64_t now_us)
{
	uint8_t buf[512];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	uint64_t ntp = mu_ntp_from_wall_us(mu_clock_wall_us());

	(void)now_us;
	for (int m = 0; m < MEDIA_COUNT; m++) {
		struct track *t = &p->pub->track[m];

		if (t->packets)
			mu_rtcp_add_sr(&w, t->ssrc, ntp, t->ts, t->packets, t->octets, NULL, 0);
	}
	if (w.len)
		mu_rtcp_add_sdes(&w, p->pub->track[VIDEO].ssrc, "load");
	peer_rtcp(p, &w);
}

void pub_key_request(struct publisher *pub, uint64_t ns)
{
	(void)ns;
	pub->want_key = true;
	pub->peer->load->c.key_requests++;
}

static void on_key_request(void *arg, uint32_t ssrc)
{
	(void)ssrc;
	pub_key_request(arg, 0);
}

/* RFC 4588: the original sequence number in front of the payload; without RTX the very same packet again. */
static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct publisher *pub = arg;
	struct track *t = &pub->track[VIDEO];
	const struct kept *k = &pub->history[seq % HISTORY];
	uint8_t packet[PACKET_MAX + 64];

	if (ssrc != t->ssrc || !k->used || k->seq != seq)
		return;
	pub->peer->load->c.resent++;
	if (!pub->peer->remote.rtx_pt) {
		uint64_t index = mu_seq_unwrap(t->index, seq);

		send_protected(pub, t->ssrc, index, k->data, k->hlen, k->len);
		return;
	}
	memcpy(packet, k->data, k->hlen);
	packet[1] = (uint8_t)((packet[1] & 0x80) | 97);
	mu_put16(packet + 2, (uint16_t)pub->rtx_index);
	mu_put32(packet + 8, pub->rtx_ssrc);
	mu_put16(packet + k->hlen, seq);
	memcpy(packet + k->hlen + 2, k->data + k->hlen, k->len - k->hlen);
	send_protected(pub, pub->rtx_ssrc, pub->rtx_index++, packet, k->hlen, k->len + 2u);
}

static void pub_rtcp(struct peer *p, const uint8_t *data, size_t len)
{
	static const struct mu_rtcp_handler h = { .nack = on_nack, .key_request = on_key_request };

	if (p->pub)
		mu_rtcp_parse(data, len, &h, p->pub);
}

const struct peer_media media_pub = {
	.open = pub_new,
	.close = pub_free,
	.up = run_ready,
	.rtcp = pub_rtcp,
	.report = pub_report,
};
