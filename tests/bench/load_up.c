/* What a member sends, as Chromium does: Opus with audio levels; VP8 in three encodings with mid and rid
 * until the gateway has reported on them, three temporal layers each, key frames when asked, repair by RTX;
 * all by one pacer. */
#include "load_conf.h"

#include <errno.h>
#include <stdlib.h>

#define PACKET_MAX   1200
#define HEADER_ROOM  40 /* RTP header with extensions, RTX's two bytes */
#define HISTORY      512
#define QUEUE        128 /* frames that may wait for the pacer: a busy machine is no loss of theirs */
#define FPS          30
#define FRAME_NS     (1000000000u / FPS)
#define KEY_TIMES    5
#define KEY_APART_NS 300000000u /* libwebrtc's encoder does not do more */
#define AUDIO_NS     20000000u
#define AUDIO_LEN    100
#define PACE         2.5
#define SILENT       100 /* -dBov */
#define TALKS        25
#define PT_AUDIO     111
#define PT_VIDEO     96
#define PT_RTX       97

const char *const layer_rids[CONF_LAYERS] = { "l", "m", "h" };
static const struct {
	unsigned width, height, bps;
} shapes[CONF_LAYERS] = { { 320, 180, 150000 }, { 640, 360, 500000 }, { 1280, 720, 1500000 } };

struct kept {
	bool used;
	uint16_t seq, hlen, len;
	uint8_t data[PACKET_MAX];
};
struct encoding {
	uint32_t ssrc, rtx_ssrc, ts_base;
	uint64_t index, rtx_index, number;
	uint32_t packets, octets;
	uint16_t picture;
	uint8_t tl0;
	unsigned pattern;             /* frames since the key frame */
	bool wanted, want_key, known; /* known: the gateway has reported on it */
	uint64_t last_key_ns;
	unsigned asked;
	struct kept history[HISTORY];
};
struct waiting {
	unsigned layer, n, next;
	uint32_t frame, size, ts;
	uint16_t picture;
	uint8_t tl0, temporal;
	bool key;
};
struct sender {
	struct peer *peer;
	struct encoding enc[CONF_LAYERS];
	struct {
		uint32_t ssrc, ts;
		uint64_t index, number;
		uint32_t packets, octets;
		bool known, talks;
	} audio;
	struct section section[2]; /* as answered: audio, video */
	bool running;
	uint8_t visit;
	uint16_t twcc;
	uint32_t frame;
	uint64_t next_frame_ns, next_audio_ns, next_packet_ns;
	struct waiting queue[QUEUE];
	unsigned n_queue;
};

static int open_sender(struct peer *p)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->peer = p;
	s->visit = p->member->visits++ & 63;
	for (int i = 0; i < CONF_LAYERS; i++) {
		struct encoding *e = &s->enc[i];

		e->ssrc = mu_random_u32() | 1;
		e->rtx_ssrc = mu_random_u32() | 1;
		e->ts_base = mu_random_u32();
		e->index = mu_random_u32() & 0x3fff;
		e->rtx_index = mu_random_u32() & 0x3fff;
		e->picture = mu_random_u32() & 0x7fff;
		e->tl0 = (uint8_t)mu_random_u32();
		e->wanted = e->want_key = true;
	}
	s->audio.ssrc = mu_random_u32() | 1;
	s->audio.ts = mu_random_u32();
	s->audio.index = mu_random_u32() & 0x3fff;
	p->member->sender = s;
	return 0;
}

static void close_sender(struct peer *p)
{
	if (!p->member->sender)
		return;
	free(p->member->sender);
	p->member->sender = NULL;
}

uint32_t sender_audio_ssrc(const struct sender *s)
{
	return s->audio.ssrc;
}

void sender_answered(struct sender *s, const struct description *d)
{
	for (unsigned i = 0; i < d->n; i++)
		s->section[d->s[i].video] = d->s[i];
}

void sender_layers(struct sender *s, const bool wanted[CONF_LAYERS])
{
	for (int i = 0; i < CONF_LAYERS; i++) {
		s->enc[i].want_key |= wanted[i] && !s->enc[i].wanted;
		s->enc[i].wanted = wanted[i];
	}
}

void sender_talk(struct sender *s, bool talks)
{
	s->audio.talks = talks;
}

unsigned sender_asked(const struct sender *s, unsigned layer)
{
	return s->enc[layer].asked;
}

/* --- packets --- */

static uint8_t *add_ext(uint8_t *e, uint8_t id, const void *data, size_t len)
{
	if (!id)
		return e;
	*e++ = (uint8_t)(id << 4 | (len - 1));
	memcpy(e, data, len);
	return e + len;
}

/* @param rid_id  0: none  @return bytes of header */
static size_t write_header(struct sender *s, const struct section *sec, uint8_t pt, uint16_t seq, uint32_t ts,
	uint32_t ssrc, bool known, uint8_t rid_id, const char *rid, uint8_t *h)
{
	uint8_t twcc[2], level = s->audio.talks ? 0x80 | TALKS : SILENT, *e = h + 16;
	size_t len;

	h[0] = 0x90;
	h[1] = pt;
	mu_put16(h + 2, seq);
	mu_put32(h + 4, ts);
	mu_put32(h + 8, ssrc);
	mu_put16(twcc, s->twcc++);
	e = add_ext(e, sec->ext_twcc, twcc, 2);
	if (!sec->video)
		e = add_ext(e, sec->ext_level, &level, 1);
	if (!known) {
		e = add_ext(e, sec->ext_mid, sec->mid, strlen(sec->mid));
		if (rid)
			e = add_ext(e, rid_id, rid, strlen(rid));
	}
	len = (size_t)(e - h) - 16;
	memset(e, 0, 3);
	mu_put32(h + 12, 0xbede0000u | (uint32_t)((len + 3) / 4));
	return 16 + (len + 3) / 4 * 4;
}

static void send_protected(
	struct sender *s, uint32_t ssrc, uint64_t index, const uint8_t *packet, size_t hlen, size_t len)
{
	struct peer *p = s->peer;
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

static void stamp(
	struct sender *s, enum media m, unsigned layer, uint64_t number, uint32_t frame, uint8_t *end)
{
	struct stamp st = { .number = number,
		.sent_ns = now_ns(),
		.frame = frame,
		.stream = (uint8_t)s->peer->member->number,
		.media = (uint8_t)m,
		.layer = (uint8_t)(layer | s->visit << 2) };

	stamp_write(&st, end - STAMP_LEN);
	if (in_window(s->peer->load, st.sent_ns))
		s->peer->load->c.sent[m]++;
}

static void send_audio(struct sender *s)
{
	uint8_t packet[256];
	size_t hlen = write_header(s, &s->section[0], PT_AUDIO, (uint16_t)s->audio.index, s->audio.ts,
		s->audio.ssrc, s->audio.known, 0, NULL, packet);

	packet[hlen] = 0x78; /* one 20 ms frame, fullband (RFC 6716, section 3.1) */
	memset(packet + hlen + 1, 0x5a, AUDIO_LEN - 1);
	stamp(s, AUDIO, 0, s->audio.number++, 0, packet + hlen + AUDIO_LEN);
	send_protected(s, s->audio.ssrc, s->audio.index++, packet, hlen, hlen + AUDIO_LEN);
	s->audio.ts += 960;
	s->audio.packets++;
	s->audio.octets += AUDIO_LEN;
}

/* The payload descriptor (RFC 7741, section 4.2) with all that libwebrtc puts in, and at the start the frame
 * header (RFC 6386, section 9.1) as far as anybody reads it. */
static size_t write_payload(const struct waiting *f, uint8_t *d)
{
	bool first = f->next == 0, sync = f->temporal == 1 || (f->temporal == 2 && f->key);
	size_t at = 6;

	d[0] = (uint8_t)(0x80 | (f->temporal == 2 ? 0x20 : 0) | (first ? 0x10 : 0));
	d[1] = 0xe0;
	mu_put16(d + 2, (uint16_t)(0x8000 | f->picture));
	d[4] = f->tl0;
	d[5] = (uint8_t)(f->temporal << 6 | (sync ? 0x20 : 0));
	if (!first)
		return at;
	d[at] = (uint8_t)(0x10 |
		(f->key ? 0 : 1)); /* shown; the first partition's size is nobody's concern */
	d[at + 1] = 1;
	d[at + 2] = 0;
	at += 3;
	if (!f->key)
		return at;
	d[at] = 0x9d;
	d[at + 1] = 0x01;
	d[at + 2] = 0x2a;
	d[at + 3] = (uint8_t)shapes[f->layer].width;
	d[at + 4] = (uint8_t)(shapes[f->layer].width >> 8);
	d[at + 5] = (uint8_t)shapes[f->layer].height;
	d[at + 6] = (uint8_t)(shapes[f->layer].height >> 8);
	return at + 7;
}

static void keep(struct encoding *e, const uint8_t *packet, size_t hlen, size_t len)
{
	struct kept *k = &e->history[(uint16_t)e->index % HISTORY];

	k->used = true;
	k->seq = (uint16_t)e->index;
	k->hlen = (uint16_t)hlen;
	k->len = (uint16_t)len;
	memcpy(k->data, packet, len);
}

/* @return its bytes */
static size_t send_frame_packet(struct sender *s, struct waiting *f)
{
	struct encoding *e = &s->enc[f->layer];
	const struct section *sec = &s->section[1];
	uint8_t packet[PACKET_MAX + 64];
	size_t len, hlen, share = f->size / f->n + (f->next >= f->n - f->size % f->n);

	hlen = write_header(s, sec, PT_VIDEO, (uint16_t)e->index, f->ts, e->ssrc, e->known, sec->ext_rid,
		layer_rids[f->layer], packet);
	len = hlen + write_payload(f, packet + hlen);
	share = MU_MAX(share, len - hlen + STAMP_LEN);
	memset(packet + len, 0xa5, hlen + share - len);
	len = hlen + share;
	f->next++;
	if (f->next == f->n)
		packet[1] |= 0x80;
	stamp(s, VIDEO, f->layer, e->number++, f->frame, packet + len);
	keep(e, packet, hlen, len);
	send_protected(s, e->ssrc, e->index++, packet, hlen, len);
	e->packets++;
	e->octets += (uint32_t)(len - hlen);
	return len;
}

/* --- time --- */

static void new_frame(struct sender *s, unsigned layer, uint64_t ns)
{
	static const uint8_t temporal[4] = { 0, 2, 1, 2 };
	struct encoding *e = &s->enc[layer];
	struct waiting *f = &s->queue[s->n_queue];
	uint32_t size = shapes[layer].bps / 8 / FPS;

	if (!e->wanted)
		return;
	if (s->n_queue == QUEUE) {
		conf_counts(s->peer->member)->unsent++;
		return;
	}
	s->n_queue++;
	*f = (struct waiting){
		.layer = layer, .frame = s->frame, .ts = e->ts_base + s->frame * (90000 / FPS)
	};
	f->key = !e->last_key_ns || (e->want_key && ns - e->last_key_ns > KEY_APART_NS);
	if (f->key) {
		e->last_key_ns = ns;
		e->want_key = false;
		e->pattern = 0;
	}
	f->temporal = temporal[e->pattern++ % 4];
	f->picture = e->picture++ & 0x7fff;
	e->tl0 = (uint8_t)(e->tl0 + (f->temporal == 0));
	f->tl0 = e->tl0;
	/* an encoder's frames are never all alike; the same sequence in each run */
	size = size * (2000 + s->frame * 7919 % 1001) / 2500;
	f->size = f->key ? KEY_TIMES * size : size;
	f->n = (f->size + PACKET_MAX - HEADER_ROOM - 1) / (PACKET_MAX - HEADER_ROOM);
}

/* What a packet of so many bytes takes. */
static uint64_t packet_time(const struct sender *s, size_t len)
{
	uint64_t bps = 0;

	for (unsigned i = 0; i < CONF_LAYERS; i++)
		bps += s->enc[i].wanted ? shapes[i].bps : 0;
	/* what begins to rest still lets go of what it has */
	for (unsigned i = 0; i < s->n_queue; i++)
		bps += s->enc[s->queue[i].layer].wanted ? 0 : shapes[s->queue[i].layer].bps;
	return (uint64_t)((double)len * 8 * 1e9 / (PACE * (double)MU_MAX(bps, (uint64_t)shapes[0].bps)));
}

static uint64_t run_pacer(struct sender *s, uint64_t ns)
{
	while (s->n_queue && s->next_packet_ns <= ns) {
		struct waiting *f = &s->queue[0];

		s->next_packet_ns = MU_MAX(s->next_packet_ns, ns) + packet_time(s, send_frame_packet(s, f));
		if (f->next == f->n)
			memmove(f, f + 1, --s->n_queue * sizeof(*f));
	}
	return s->n_queue ? s->next_packet_ns : UINT64_MAX;
}

void sender_finish(struct sender *s)
{
	while (s->n_queue) {
		struct waiting *f = &s->queue[0];

		while (f->next < f->n)
			send_frame_packet(s, f);
		memmove(f, f + 1, --s->n_queue * sizeof(*f));
	}
}

static void begin(struct sender *s, uint64_t ns)
{
	unsigned at = s->peer->member->number * 7919 % 97; /* members are not in step */

	s->next_frame_ns = ns + FRAME_NS * at / 97;
	s->next_audio_ns = ns + AUDIO_NS * at / 97;
	s->frame = (uint32_t)(ns / FRAME_NS); /* goes on where the sender before it ended */
	s->running = true;
}

uint64_t sender_run(struct peer *p, uint64_t ns)
{
	struct sender *s = p->member->sender;
	struct conf_counts *c = conf_counts(p->member);
	uint64_t pacer;

	if (p->state != PEER_UP || !s)
		return UINT64_MAX;
	if (!s->running)
		begin(s, ns);
	while (s->next_audio_ns <= ns) {
		send_audio(s);
		s->next_audio_ns += AUDIO_NS;
	}
	while (s->next_frame_ns <= ns) {
		p->load->c.late_sends += ns - s->next_frame_ns > 10000000;
		for (unsigned i = 0; i < CONF_LAYERS; i++)
			new_frame(s, i, s->next_frame_ns);
		if (in_window(p->load, s->next_frame_ns) && !c->sent_frames[p->member->number]++)
			c->first_frame[p->member->number] = s->frame;
		s->frame++;
		s->next_frame_ns += FRAME_NS;
	}
	pacer = run_pacer(s, ns);
	return MU_MIN(pacer, MU_MIN(s->next_frame_ns, s->next_audio_ns));
}

/* --- reports and feedback --- */

static void report(struct peer *p, int64_t now_us)
{
	struct sender *s = p->member->sender;
	uint8_t buf[512];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	uint64_t ntp = mu_ntp_from_wall_us(mu_clock_wall_us());
	/* the time stamp of a picture that were taken right now */
	int64_t since_ns = (int64_t)((uint64_t)now_us * 1000 - s->next_frame_ns);
	uint32_t ts = s->frame * (90000 / FPS) + (uint32_t)(int32_t)(since_ns * 9 / 100000);

	if (s->audio.packets)
		mu_rtcp_add_sr(
			&w, s->audio.ssrc, ntp, s->audio.ts, s->audio.packets, s->audio.octets, NULL, 0);
	for (int i = 0; i < CONF_LAYERS; i++) {
		struct encoding *e = &s->enc[i];

		if (e->packets && e->wanted)
			mu_rtcp_add_sr(&w, e->ssrc, ntp, e->ts_base + ts, e->packets, e->octets, NULL, 0);
	}
	if (w.len)
		mu_rtcp_add_sdes(&w, s->audio.ssrc, "load");
	peer_rtcp(p, &w);
}

static struct encoding *encoding_of(struct sender *s, uint32_t ssrc)
{
	for (int i = 0; i < CONF_LAYERS; i++) {
		if (s->enc[i].ssrc == ssrc)
			return &s->enc[i];
	}
	return NULL;
}

static void on_key_request(void *arg, uint32_t ssrc)
{
	struct sender *s = arg;
	struct encoding *e = encoding_of(s, ssrc);

	if (!e)
		return;
	e->want_key = true;
	e->asked++;
	s->peer->load->c.key_requests++;
}

static void on_report(void *arg, uint32_t from, const struct mu_rtcp_report *r)
{
	struct sender *s = arg;
	struct encoding *e = encoding_of(s, r->ssrc);

	(void)from;
	if (e)
		e->known = true;
	if (r->ssrc == s->audio.ssrc)
		s->audio.known = true;
}

static void on_nack(void *arg, uint32_t ssrc, uint16_t seq)
{
	struct sender *s = arg;
	struct encoding *e = encoding_of(s, ssrc);
	const struct kept *k = e ? &e->history[seq % HISTORY] : NULL;
	const struct section *sec = &s->section[1];
	uint8_t packet[PACKET_MAX + 64];
	size_t hlen;

	if (!k || !k->used || k->seq != seq)
		return;
	s->peer->load->c.resent++;
	if (!sec->rtx_pt) {
		send_protected(s, ssrc, mu_seq_unwrap(e->index, seq), k->data, k->hlen, k->len);
		return;
	}
	hlen = write_header(s, sec, PT_RTX, (uint16_t)e->rtx_index, mu_get32(k->data + 4), e->rtx_ssrc,
		e->known, sec->ext_rrid, layer_rids[e - s->enc], packet);
	packet[1] |= k->data[1] & 0x80;
	mu_put16(packet + hlen, seq);
	memcpy(packet + hlen + 2, k->data + k->hlen, k->len - k->hlen);
	send_protected(s, e->rtx_ssrc, e->rtx_index++, packet, hlen, hlen + 2 + k->len - k->hlen);
}

static void on_twcc(void *arg, const uint8_t *fci, size_t len)
{
	struct sender *s = arg;

	(void)fci;
	(void)len;
	conf_counts(s->peer->member)->feedbacks++;
}

static void rtcp(struct peer *p, const uint8_t *data, size_t len)
{
	static const struct mu_rtcp_handler h = {
		.nack = on_nack, .key_request = on_key_request, .report = on_report, .twcc = on_twcc
	};

	if (p->member->sender)
		mu_rtcp_parse(data, len, &h, p->member->sender);
}

const struct peer_media media_up = {
	.open = open_sender,
	.close = close_sender,
	.rtcp = rtcp,
	.report = report,
};
