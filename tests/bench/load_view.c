/* A viewer: decrypts, knows each packet by its stamp, and so counts loss and delay exactly; reports and asks
 * as browsers do. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>

#define SEEN         4096 /* packets back that a duplicate is known by */
#define LAST_RING    8192 /* packets whose slowest viewer is still being looked for */
#define PLI_FIRST_US 200000
#define PLI_EVERY_US 500000

struct track_in {
	bool known; /* number - sequence number is */
	uint32_t ssrc;
	int64_t offset;
	uint64_t highest; /* unwrapped sequence number */
	struct mu_rtp_rx rx;
	struct mu_rtp_clock clock;
	struct mu_nack *nack;
	uint64_t seen[SEEN / 64];
	uint64_t seen_top;
};
struct viewer {
	struct track_in track[MEDIA_COUNT];
	uint32_t ssrc, check;
	bool key_seen;
	int64_t next_pli_us;
};
struct slowest {
	uint64_t number, sent_ns, delay_ns;
};
/* by stream and media; made when first needed */
static struct slowest *slow[256][MEDIA_COUNT];

static int view_new(struct peer *p)
{
	struct viewer *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->ssrc = mu_random_u32() | 1;
	mu_rtp_rx_init(&v->track[VIDEO].rx, 90000);
	mu_rtp_rx_init(&v->track[AUDIO].rx, 48000);
	for (int m = 0; p->load->o.nack && m < MEDIA_COUNT; m++) {
		if (mu_nack_new(10000, &v->track[m].nack) < 0) {
			mu_nack_free(v->track[0].nack);
			free(v);
			return -ENOMEM;
		}
	}
	p->view = v;
	return 0;
}

static void view_free(struct peer *p)
{
	if (!p->view)
		return;
	for (int m = 0; m < MEDIA_COUNT; m++)
		mu_nack_free(p->view->track[m].nack);
	free(p->view);
	p->view = NULL;
}

/* --- counting --- */

static void note_slowest(
	struct load *l, unsigned stream, enum media m, uint64_t number, uint64_t sent_ns, uint64_t delay)
{
	struct slowest *s;

	if (!slow[stream][m])
		slow[stream][m] = calloc(LAST_RING, sizeof(*s));
	if (!slow[stream][m])
		return;
	s = &slow[stream][m][number % LAST_RING];
	if (s->number != number + 1) {
		if (s->number && in_window(l, s->sent_ns))
			hist_add(&l->last, s->delay_ns);
		*s = (struct slowest){ number + 1, sent_ns, 0 };
	}
	s->delay_ns = MU_MAX(s->delay_ns, delay);
}

void view_finish(struct load *l)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(slow); i++) {
		for (int m = 0; m < MEDIA_COUNT; m++) {
			for (size_t k = 0; slow[i][m] && k < LAST_RING; k++) {
				struct slowest *s = &slow[i][m][k];

				if (s->number && in_window(l, s->sent_ns))
					hist_add(&l->last, s->delay_ns);
				s->number = 0;
			}
		}
	}
}

/* @return whether this number was not there yet */
static bool mark(struct track_in *t, uint64_t number)
{
	uint64_t *word = &t->seen[number % SEEN / 64], bit = 1ull << number % 64;

	if (number >= t->seen_top) {
		if (number - t->seen_top >= SEEN)
			memset(t->seen, 0, sizeof(t->seen));
		else
			for (uint64_t n = t->seen_top; n <= number; n++)
				t->seen[n % SEEN / 64] &= ~(1ull << n % 64);
		t->seen_top = number + 1;
	} else if (t->seen_top - number > SEEN || *word & bit) {
		return false;
	}
	*word |= bit;
	return true;
}

static void count(struct peer *p, enum media m, uint64_t number, uint64_t sent_ns, uint64_t ns, bool repaired)
{
	struct load *l = p->load;

	if (!mark(&p->view->track[m], number)) {
		l->c.duplicates++;
		return;
	}
	if (repaired)
		l->c.recovered++;
	if (!in_window(l, sent_ns))
		return;
	l->c.unique++;
	if (repaired || ns < sent_ns)
		return;
	hist_add(&l->latency, ns - sent_ns);
	note_slowest(l, p->stream & 255, m, number, sent_ns, ns - sent_ns);
}

/* --- packets --- */

static void look_for_key(struct peer *p, const uint8_t *payload, size_t len)
{
	struct mu_payload_info i = mu_payload_look(MU_CODEC_H264, payload, len);

	if (!i.key || !i.frame_start)
		return;
	p->view->key_seen = true;
	hist_add(&p->load->join, (uint64_t)(mu_clock_us() - p->begun_us) * 1000);
	run_ready(p);
}

static void repaired(struct peer *p, const uint8_t *payload, size_t len, uint64_t ns)
{
	struct viewer *v = p->view;
	struct track_in *t = &v->track[VIDEO];
	struct stamp s;

	if (len < 2 || stamp_read(payload + 2, len - 2, &s) < 0)
		return; /* padding that probes for bandwidth */
	if (t->nack)
		mu_nack_seen(t->nack, mu_seq_unwrap(t->highest, mu_get16(payload)), (int64_t)(ns / 1000));
	count(p, VIDEO, s.number, s.sent_ns, ns, true);
}

static void decrypted(
	struct peer *p, enum media m, uint64_t seq, const uint8_t *payload, size_t len, uint64_t ns)
{
	struct track_in *t = &p->view->track[m];
	struct stamp s;

	if (stamp_read(payload, len, &s) < 0 || s.media != m || s.stream != (uint8_t)p->stream) {
		p->load->c.bad++;
		return;
	}
	t->offset = (int64_t)(s.number - seq);
	t->known = true;
	count(p, m, s.number, s.sent_ns, ns, false);
	/* a frame is decodable only with what comes after the join: the first key frame's first packet */
	if (m == VIDEO && !p->view->key_seen)
		look_for_key(p, payload, len);
}

/* What can be said of a packet without decrypting it. */
static void undecrypted(struct peer *p, enum media m, uint64_t seq, uint64_t ns)
{
	struct publisher *pub = p->stream < p->load->o.publishers ? p->load->streams[p->stream] : NULL;
	uint64_t number = seq + (uint64_t)p->view->track[m].offset;

	if (pub)
		count(p, m, number, pub_sent_ns(pub, m, number), ns, false);
}

static uint64_t follow(struct track_in *t, const struct mu_rtp_header *h, size_t payload_len, uint64_t ns)
{
	uint64_t seq;

	if (t->ssrc != h->ssrc) {
		t->ssrc = h->ssrc;
		t->known = false;
		mu_rtp_rx_init(&t->rx, t->rx.clock);
	}
	seq = mu_rtp_rx_packet(&t->rx, h->seq, h->ts, payload_len, false, (int64_t)(ns / 1000));
	t->highest = MU_MAX(t->highest, seq);
	if (t->nack)
		mu_nack_seen(t->nack, seq, (int64_t)(ns / 1000));
	return seq;
}

static void view_rtp(struct peer *p, const uint8_t *data, size_t len, uint64_t ns)
{
	struct load *l = p->load;
	struct viewer *v = p->view;
	struct mu_rtp_header h;
	uint8_t plain[LOAD_DATAGRAM];
	enum media m;
	uint64_t seq;
	bool rtx;
	int n;

	if (mu_rtp_parse(data, len, &h) < 0)
		return;
	if (in_window(l, ns)) {
		l->c.received++;
		l->c.bytes += len;
	}
	rtx = p->remote.rtx_pt && h.pt == p->remote.rtx_pt;
	if (!rtx && h.pt != p->remote.pt[VIDEO] && h.pt != p->remote.pt[AUDIO])
		return;
	m = h.pt == p->remote.pt[AUDIO] ? AUDIO : VIDEO;
	seq = rtx ? 0 : follow(&v->track[m], &h, len - h.hlen, ns);
	if (!rtx && seq == 0)
		return; /* far off: the next one in its line will tell */
	if (!rtx && v->track[m].known && v->key_seen && l->o.check > 1 && ++v->check % l->o.check) {
		undecrypted(p, m, seq, ns);
		return;
	}
	n = mu_srtp_rx_rtp(l->engine, p->rx, data, len, h.hlen, plain);
	if (n < 0) {
		l->c.replayed += n == -EALREADY;
		l->c.bad += n != -EALREADY;
		return;
	}
	if (h.padding && n > h.hlen)
		n -= MU_MIN(plain[n - 1], n - h.hlen);
	if (rtx)
		repaired(p, plain + h.hlen, (size_t)n - h.hlen, ns);
	else
		decrypted(p, m, seq, plain + h.hlen, (size_t)n - h.hlen, ns);
}

/* --- reports and requests --- */

static void on_sr(void *arg, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes)
{
	struct viewer *v = arg;

	(void)packets;
	(void)bytes;
	for (int m = 0; m < MEDIA_COUNT; m++) {
		if (v->track[m].ssrc == ssrc)
			v->track[m].clock = (struct mu_rtp_clock){ true, rtp, ntp, mu_clock_us() };
	}
}

static void view_rtcp(struct peer *p, const uint8_t *data, size_t len)
{
	static const struct mu_rtcp_handler h = { .sr = on_sr };

	if (p->view)
		mu_rtcp_parse(data, len, &h, p->view);
}

static void view_report(struct peer *p, int64_t now_us)
{
	struct viewer *v = p->view;
	struct mu_rtcp_report r[MEDIA_COUNT];
	uint8_t buf[512];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	size_t n = 0;

	for (int m = 0; m < MEDIA_COUNT; m++) {
		struct track_in *t = &v->track[m];

		if (t->ssrc)
			mu_rtcp_report_fill(&t->rx, t->ssrc, &t->clock, now_us, &r[n++]);
	}
	mu_rtcp_add_rr(&w, v->ssrc, r, n);
	mu_rtcp_add_sdes(&w, v->ssrc, "load");
	peer_rtcp(p, &w);
}

/* As libwebrtc: nothing to decode after 200 ms, so ask. */
static void ask_for_key(struct peer *p, int64_t now_us)
{
	struct viewer *v = p->view;
	uint8_t buf[128];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	if (v->key_seen || now_us - p->state_us < (p->load->bare ? 0 : PLI_FIRST_US) ||
		now_us < v->next_pli_us)
		return;
	v->next_pli_us = now_us + PLI_EVERY_US;
	if (p->load->bare) {
		struct publisher *pub = p->load->streams[p->stream];

		if (pub)
			pub_key_request(pub, now_ns());
		return;
	}
	if (!v->track[VIDEO].ssrc)
		return;
	p->load->c.asked_key++;
	mu_rtcp_add_rr(&w, v->ssrc, NULL, 0);
	mu_rtcp_add_pli(&w, v->ssrc, v->track[VIDEO].ssrc);
	peer_rtcp(p, &w);
}

static void ask_again(struct peer *p, struct track_in *t, int64_t now_us)
{
	uint16_t seqs[64];
	uint8_t buf[512];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	size_t n = mu_nack_due(t->nack, now_us, 20000, seqs, MU_ARRAY_LEN(seqs));

	if (!n)
		return;
	p->load->c.nacked += n;
	mu_rtcp_add_rr(&w, p->view->ssrc, NULL, 0);
	mu_rtcp_add_nack(&w, p->view->ssrc, t->ssrc, seqs, n);
	peer_rtcp(p, &w);
}

static void view_tick(struct peer *p, int64_t now_us)
{
	ask_for_key(p, now_us);
	for (int m = 0; m < MEDIA_COUNT; m++) {
		if (p->view->track[m].nack)
			ask_again(p, &p->view->track[m], now_us);
	}
}

const struct peer_media media_view = {
	.open = view_new,
	.close = view_free,
	.rtp = view_rtp,
	.rtcp = view_rtcp,
	.tick = view_tick,
	.report = view_report,
};
