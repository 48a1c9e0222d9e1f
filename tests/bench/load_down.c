/* What a member gets: in each slot one stream after the other, whose numbers must go on without a seam.
 * Packets are put in order as a browser's jitter buffer does, asked for again, given up after a second; then
 * each frame is looked at: whole, of one picture, of whom `tracks` says, begun with a key frame, picture ids
 * one behind the other. */
#include "load_conf.h"

#include <errno.h>
#include <stdlib.h>

#include "adapt/adapt.h"

#define PICTURE_TS   3000 /* from one to the next: load_up.c takes 30 a second */
#define SETTLED      60   /* pictures */
#define RING         1024
#define GIVE_UP_US   1000000 /* a number that is still missing */
#define GRACE_US     1000000 /* between media and what `tracks` says of it */
#define PLI_FIRST_US 200000
#define PLI_EVERY_US 500000
#define TWCC_US      100000
#define REPORTS      31 /* of one RR */

struct slot {
	struct section sec;
	int source, before; /* by `tracks`, now and until then; -1: it rests */
	int64_t told_us;
	int odd; /* somebody else who came meanwhile; -1 */
	int64_t odd_us;
	uint64_t n_odd;
	struct mu_rtp_rx rx;
	struct mu_rtp_clock clock;
	struct mu_nack *nack;
	uint32_t ssrc;
	uint64_t next, highest;
	int64_t missing_us; /* `next` is, since; 0 */
	bool in_frame, bad, waits_key, any;
	struct got first, last; /* of the frame being read; of the last whole one */
	unsigned n_steady;      /* whole frames since another layer or source began */
	int64_t wanted_us, next_pli_us;
	struct got ring[RING];
};
struct wall {
	struct peer *peer;
	unsigned n;
	struct slot *slots[CONF_SLOTS];
	uint32_t ssrc;
	uint8_t ext_mid, ext_twcc;
	struct mu_twcc_rx *twcc;
	int64_t next_twcc_us;
};

static int open_wall(struct peer *p)
{
	struct wall *w = calloc(1, sizeof(*w));

	if (!w || mu_twcc_rx_new(&w->twcc) < 0) {
		free(w);
		return -ENOMEM;
	}
	w->peer = p;
	w->ssrc = mu_random_u32() | 1;
	p->member->wall = w;
	return 0;
}

static void close_wall(struct peer *p)
{
	struct wall *w = p->member->wall;

	if (!w)
		return;
	for (unsigned i = 0; i < w->n; i++) {
		mu_nack_free(w->slots[i]->nack);
		free(w->slots[i]);
	}
	mu_twcc_rx_free(w->twcc);
	free(w);
	p->member->wall = NULL;
}

/* --- slots --- */

static struct slot *slot_of_mid(const struct wall *w, const char *mid, size_t len)
{
	for (unsigned i = 0; i < w->n; i++) {
		if (strlen(w->slots[i]->sec.mid) == len && !memcmp(w->slots[i]->sec.mid, mid, len))
			return w->slots[i];
	}
	return NULL;
}

static void add_slot(struct wall *w, const struct section *sec)
{
	struct slot *s = w->n < CONF_SLOTS ? calloc(1, sizeof(*s)) : NULL;

	if (!s || (sec->video && mu_nack_new(10000, &s->nack) < 0)) {
		free(s);
		member_fail(w->peer->member, "no memory");
		return;
	}
	s->sec = *sec;
	s->source = s->before = s->odd = -1;
	s->waits_key = true;
	mu_rtp_rx_init(&s->rx, sec->video ? 90000 : 48000);
	w->slots[w->n++] = s;
}

void wall_offered(struct wall *w, const struct description *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		const struct section *sec = &d->s[i];
		struct slot *s = slot_of_mid(w, sec->mid, strlen(sec->mid));

		if (sec->refused || !sec->pt)
			continue;
		w->ext_mid = sec->ext_mid ? sec->ext_mid : w->ext_mid;
		w->ext_twcc = sec->ext_twcc ? sec->ext_twcc : w->ext_twcc;
		if (s)
			s->sec = *sec;
		else
			add_slot(w, sec);
	}
}

void wall_track(struct wall *w, const char *mid, int source, int64_t now_us)
{
	struct slot *s = slot_of_mid(w, mid, strlen(mid));

	if (!s || s->source == source)
		return;
	if (s->odd == source) {
		s->odd = -1;
		s->n_odd = 0;
	}
	s->before = s->source;
	s->source = source;
	s->told_us = s->wanted_us = now_us;
	s->next_pli_us = now_us + PLI_FIRST_US;
}

/* Media may be a little ahead of `tracks`, and a little behind: it is wrong when that was not so. */
static void settle_odd(struct wall *w, struct slot *s, int64_t now_us)
{
	if (s->odd < 0 || now_us - s->odd_us < GRACE_US)
		return;
	conf_counts(w->peer->member)->wrong_track += s->n_odd;
	s->odd = -1;
	s->n_odd = 0;
}

static void check_source(struct wall *w, struct slot *s, int stream, int64_t now_us)
{
	settle_odd(w, s, now_us);
	if (stream == s->source || (stream == s->before && now_us - s->told_us < GRACE_US))
		return;
	if (s->odd != stream) {
		conf_counts(w->peer->member)->wrong_track += s->n_odd;
		s->n_odd = 0;
		s->odd = stream;
		s->odd_us = now_us;
	}
	s->n_odd++;
}

/* --- frames --- */

static bool in_frames(const struct conf_counts *c, const struct got *g)
{
	return c->open && g->stream < CONF_MEMBERS &&
		g->frame - c->first_frame[g->stream] < c->sent_frames[g->stream];
}

static void check_order(struct slot *s, struct conf_counts *c, const struct got *g)
{
	bool same = s->last.stream == g->stream,
	     steady = same && s->last.layer == g->layer && s->last.visit == g->visit;
	uint8_t tl0 = (uint8_t)(s->last.tl0 + (g->temporal <= 0));

	if (!steady && !g->key)
		c->no_key++;
	if (((s->last.picture + 1) & 0x7fff) != g->picture || tl0 != g->tl0)
		c->picture_jumps++;
	s->n_steady = steady ? s->n_steady + 1 : 0;
	/* behind a switch pictures may come a little closer, until their own time is reached */
	if ((int32_t)(g->ts - s->last.ts) <= 0 ||
		(s->n_steady > SETTLED && g->ts - s->last.ts != (g->frame - s->last.frame) * PICTURE_TS)) {
		c->time_jumps++;
		if (load_trace())
			fprintf(stderr, "time: member-%u.%u %c %u to member-%u.%u %c %u: %d\n",
				s->last.stream, s->last.visit, "lmh"[s->last.layer % 3], s -> last.frame,
				g->stream, g->visit, "lmh"[g->layer % 3], g -> frame,
				(int)(g->ts - s->last.ts));
	}
	/* a switch may show the same picture again, larger */
	if (same && (g->frame < s->last.frame || (steady && g->frame == s->last.frame))) {
		c->backwards++;
		if (load_trace())
			fprintf(stderr, "backwards: member-%u.%u %c %u to %c.%u %u\n", s->last.stream,
				s->last.visit, "lmh"[s->last.layer % 3], s -> last.frame, "lmh"[g->layer % 3],
				g -> visit, g -> frame);
	} else if (steady && in_frames(c, g))
		c->thinned += g->frame - s->last.frame - 1;
}

static void whole_frame(struct wall *w, struct slot *s, const struct got *g, uint64_t ns)
{
	struct conf_counts *c = conf_counts(w->peer->member);

	if (s->any && !s->waits_key) {
		check_order(s, c, g);
	} else if (!g->key) {
		c->no_key += !s->any;
		c->broken += in_frames(c, g);
		s->any = true;
		return;
	}
	s->any = true;
	s->waits_key = false;
	s->last = *g;
	c->frames += in_frames(c, g);
	conf_frame(w->peer->member, g, ns);
}

static void break_frame(struct wall *w, struct slot *s)
{
	struct conf_counts *c = conf_counts(w->peer->member);

	c->broken += s->in_frame && in_frames(c, &s->first);
	s->in_frame = false;
}

/* The frame before has no end: a switch may cut it, for it waits for nobody; then it took a picture id. */
static void begun_before_the_end(struct slot *s, struct conf_counts *c, const struct got *g)
{
	bool other = s->first.stream != g->stream || s->first.layer != g->layer || s->first.visit != g->visit;

	if (!s->in_frame)
		return;
	if (!other || !g->key || s->bad) {
		c->mixed++;
		return;
	}
	c->cut++;
	s->last.picture = s->first.picture;
	s->last.tl0 = s->first.tl0;
}

/* The next packet of a video slot, in order. */
static void read_packet(struct wall *w, struct slot *s, const struct got *g, uint64_t ns)
{
	struct conf_counts *c = conf_counts(w->peer->member);

	if (g->filler)
		return;
	if (g->start) {
		begun_before_the_end(s, c, g);
		break_frame(w, s);
		s->in_frame = true;
		s->bad = false;
		s->first = *g;
	} else if (!s->in_frame) {
		/* after a gap: what is left of its frame */
		c->mixed += !s->waits_key;
		return;
	} else if (g->frame != s->first.frame || g->layer != s->first.layer || g->stream != s->first.stream ||
		g->picture != s->first.picture || g->ts != s->first.ts) {
		s->bad = true;
	}
	if (!g->marker)
		return;
	s->in_frame = false;
	if (s->bad)
		c->mixed++;
	else
		whole_frame(w, s, &s->first, ns);
}

static void give_up(struct wall *w, struct slot *s)
{
	struct conf_counts *c = conf_counts(w->peer->member);

	c->lost += c->open;
	s->next++;
	s->missing_us = 0;
	if (!s->sec.video)
		return;
	break_frame(w, s);
	/* a decoder would show what it has wrongly or not at all */
	s->waits_key = true;
	s->wanted_us = mu_clock_us();
	s->next_pli_us = s->wanted_us;
}

static void advance(struct wall *w, struct slot *s, uint64_t ns)
{
	int64_t now_us = (int64_t)(ns / 1000);

	while (s->next && s->next <= s->highest) {
		struct got *g = &s->ring[s->next % RING];

		if (g->seq == s->next) {
			s->missing_us = 0;
			s->next++;
			if (s->sec.video)
				read_packet(w, s, g, ns);
			continue;
		}
		if (!s->missing_us)
			s->missing_us = now_us;
		if (now_us - s->missing_us < (s->sec.video ? GIVE_UP_US : GIVE_UP_US / 5) &&
			s->highest - s->next < RING / 2)
			return;
		give_up(w, s);
	}
}

/* --- packets --- */

/* @return an element of the extension block (RFC 8285), NULL */
static const uint8_t *find_ext(const uint8_t *d, size_t hlen, uint8_t id, size_t *ret_len)
{
	size_t at = 12 + 4 * (d[0] & 15u), end;
	bool one;

	if (!(d[0] & 0x10) || !id || at + 4 > hlen)
		return NULL;
	one = mu_get16(d + at) == 0xbede;
	end = MU_MIN(at + 4 + 4u * mu_get16(d + at + 2), hlen);
	for (at += 4; at < end;) {
		unsigned its = one ? d[at] >> 4 : d[at];
		size_t len = one ? (d[at] & 15u) + 1 : at + 1 < end ? d[at + 1] : 0, head = one ? 1 : 2;

		if (!d[at]) {
			at++;
			continue;
		}
		if (at + head + len > end)
			return NULL;
		if (its == id) {
			*ret_len = len;
			return d + at + head;
		}
		at += head + len;
	}
	return NULL;
}

/* RFC 8843, section 9.2: by mid, else by what is known of the SSRC. */
static struct slot *slot_of(struct wall *w, const uint8_t *data, const struct mu_rtp_header *h)
{
	size_t len;
	const uint8_t *mid = find_ext(data, h->hlen, w->ext_mid, &len);
	struct slot *s = mid ? slot_of_mid(w, (const char *)mid, len) : NULL;

	for (unsigned i = 0; !s && i < w->n; i++) {
		const struct section *sec = &w->slots[i]->sec;

		if (h->ssrc == w->slots[i]->ssrc || h->ssrc == sec->ssrc ||
			(sec->rtx_ssrc && h->ssrc == sec->rtx_ssrc))
			s = w->slots[i];
	}
	return s;
}

static void look(struct wall *w, struct slot *s, uint64_t seq, const struct mu_rtp_header *h, bool repaired,
	const uint8_t *payload, size_t len, uint64_t ns)
{
	struct load *l = w->peer->load;
	struct got g = { .seq = seq, .ts = h->ts, .marker = h->marker, .temporal = -1 };
	struct stamp st;
	struct mu_vp8 d;

	if (len == 0) {
		g.filler = true;
	} else if (stamp_read(payload, len, &st) < 0 || st.stream >= CONF_MEMBERS ||
		(st.media == VIDEO) != s->sec.video || (s->sec.video && mu_vp8_parse(payload, len, &d) < 0)) {
		l->c.bad++;
		g.filler = true;
	} else {
		g.sent_ns = st.sent_ns;
		g.frame = st.frame;
		g.stream = st.stream;
		g.layer = st.layer & 3;
		g.visit = st.layer >> 2;
		if (s->sec.video) {
			g.picture = d.picture;
			g.tl0 = d.tl0;
			g.temporal = (int8_t)d.temporal;
			g.start = d.start;
			g.key = d.key;
		} else {
			conf_counts(w->peer->member)->talked++;
		}
		check_source(w, s, st.stream, (int64_t)(ns / 1000));
		if (in_window(l, st.sent_ns)) {
			l->c.unique++;
			l->c.recovered += repaired;
			if (!repaired && ns > st.sent_ns)
				hist_add(&l->latency, ns - st.sent_ns);
		}
	}
	s->ring[seq % RING] = g;
	s->highest = MU_MAX(s->highest, seq);
	if (!s->next)
		s->next = seq;
	advance(w, s, ns);
}

static void original(struct wall *w, struct slot *s, const struct mu_rtp_header *h, const uint8_t *payload,
	size_t len, uint64_t ns)
{
	uint64_t seq;

	if (s->ssrc && s->ssrc != h->ssrc)
		conf_counts(w->peer->member)->ssrc_changes++;
	s->ssrc = h->ssrc;
	seq = mu_rtp_rx_packet(&s->rx, h->seq, h->ts, len, false, (int64_t)(ns / 1000));
	if (!seq || (s->next && seq < s->next)) {
		w->peer->load->c.duplicates++;
		return;
	}
	if (s->nack)
		mu_nack_seen(s->nack, seq, (int64_t)(ns / 1000));
	look(w, s, seq, h, false, payload, len, ns);
}

/* RFC 4588: the original's number stands in front. */
static void repaired(struct wall *w, struct slot *s, const struct mu_rtp_header *h, const uint8_t *payload,
	size_t len, uint64_t ns)
{
	uint64_t seq;

	if (len <= 2 || !s->ssrc)
		return; /* padding that probes for bandwidth */
	seq = mu_rtp_rx_packet(&s->rx, mu_get16(payload), h->ts, len - 2, true, (int64_t)(ns / 1000));
	if (!seq || seq < s->next || s->ring[seq % RING].seq == seq) {
		w->peer->load->c.duplicates++;
		return;
	}
	if (s->nack)
		mu_nack_repaired(s->nack, seq, (int64_t)(ns / 1000), NULL);
	look(w, s, seq, h, true, payload + 2, len - 2, ns);
}

static void rtp(struct peer *p, const uint8_t *data, size_t len, uint64_t ns)
{
	struct wall *w = p->member->wall;
	struct conf_counts *c = conf_counts(p->member);
	struct load *l = p->load;
	struct mu_rtp_header h;
	uint8_t plain[LOAD_DATAGRAM];
	struct slot *s;
	const uint8_t *twcc;
	size_t ext_len;
	int n;

	if (!w || mu_rtp_parse(data, len, &h) < 0)
		return;
	n = mu_srtp_rx_rtp(l->engine, p->rx, data, len, h.hlen, plain);
	if (n < 0) {
		l->c.replayed += n == -EALREADY;
		l->c.bad += n != -EALREADY;
		return;
	}
	if (in_window(l, ns)) {
		c->packets++;
		c->bytes += len;
	}
	twcc = find_ext(plain, h.hlen, w->ext_twcc, &ext_len);
	if (twcc && ext_len == 2)
		mu_twcc_rx_packet(w->twcc, mu_get16(twcc), (int64_t)(ns / 1000));
	if (h.padding && n > h.hlen)
		n -= MU_MIN(plain[n - 1], n - h.hlen);
	s = slot_of(w, plain, &h);
	if (!s) {
		c->unknown++;
		return;
	}
	if (h.pt == s->sec.pt)
		original(w, s, &h, plain + h.hlen, (size_t)n - h.hlen, ns);
	else if (s->sec.rtx_pt && h.pt == s->sec.rtx_pt)
		repaired(w, s, &h, plain + h.hlen, (size_t)n - h.hlen, ns);
	else
		c->unknown++;
}

/* --- reports and requests --- */

static void on_sr(void *arg, uint32_t ssrc, uint64_t ntp, uint32_t ts, uint32_t packets, uint32_t bytes)
{
	struct wall *w = arg;

	(void)packets;
	(void)bytes;
	for (unsigned i = 0; i < w->n; i++) {
		if (w->slots[i]->ssrc == ssrc)
			w->slots[i]->clock = (struct mu_rtp_clock){ true, ts, ntp, mu_clock_us() };
	}
}

static void rtcp(struct peer *p, const uint8_t *data, size_t len)
{
	static const struct mu_rtcp_handler h = { .sr = on_sr };

	if (p->member->wall)
		mu_rtcp_parse(data, len, &h, p->member->wall);
}

static void send_report(struct wall *w, const struct mu_rtcp_report *r, size_t n)
{
	uint8_t buf[1200];
	struct mu_rtcp_writer out = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&out, w->ssrc, r, n);
	mu_rtcp_add_sdes(&out, w->ssrc, "load");
	peer_rtcp(w->peer, &out);
}

static void report(struct peer *p, int64_t now_us)
{
	struct wall *w = p->member->wall;
	struct mu_rtcp_report r[REPORTS];
	size_t n = 0;

	for (unsigned i = 0; i < w->n; i++) {
		struct slot *s = w->slots[i];

		if (!s->ssrc)
			continue;
		mu_rtcp_report_fill(&s->rx, s->ssrc, &s->clock, now_us, &r[n++]);
		if (n == REPORTS) {
			send_report(w, r, n);
			n = 0;
		}
	}
	send_report(w, r, n);
}

/* As libwebrtc: nothing to decode for 200 ms, so ask. */
static void ask_for_key(struct wall *w, struct slot *s, int64_t now_us)
{
	uint8_t buf[128];
	struct mu_rtcp_writer out = { buf, sizeof(buf), 0 };
	bool fed = s->any && !s->waits_key && s->last.stream == s->source;

	if (!s->sec.video || s->source < 0 || !s->ssrc || fed || now_us < s->next_pli_us)
		return;
	s->next_pli_us = now_us + PLI_EVERY_US;
	w->peer->load->c.asked_key++;
	mu_rtcp_add_rr(&out, w->ssrc, NULL, 0);
	mu_rtcp_add_pli(&out, w->ssrc, s->ssrc);
	peer_rtcp(w->peer, &out);
}

static void ask_again(struct wall *w, struct slot *s, int64_t now_us)
{
	uint16_t seqs[64];
	uint8_t buf[512];
	struct mu_rtcp_writer out = { buf, sizeof(buf), 0 };
	size_t n = s->nack ? mu_nack_due(s->nack, now_us, 20000, seqs, MU_ARRAY_LEN(seqs)) : 0;

	if (!n)
		return;
	w->peer->load->c.nacked += n;
	mu_rtcp_add_rr(&out, w->ssrc, NULL, 0);
	mu_rtcp_add_nack(&out, w->ssrc, s->ssrc, seqs, n);
	peer_rtcp(w->peer, &out);
}

static void send_twcc(struct wall *w, int64_t now_us)
{
	uint32_t media = 0;
	uint8_t buf[1200];
	size_t n;

	if (now_us < w->next_twcc_us)
		return;
	w->next_twcc_us = now_us + TWCC_US;
	for (unsigned i = 0; !media && i < w->n; i++)
		media = w->slots[i]->ssrc;
	while ((n = mu_twcc_rx_report(w->twcc, w->ssrc, media, buf, sizeof(buf)))) {
		struct mu_rtcp_writer out = { buf, sizeof(buf), n };

		peer_rtcp(w->peer, &out);
	}
}

static void tick(struct peer *p, int64_t now_us)
{
	struct wall *w = p->member->wall;

	for (unsigned i = 0; i < w->n; i++) {
		advance(w, w->slots[i], (uint64_t)now_us * 1000);
		settle_odd(w, w->slots[i], now_us);
		ask_again(w, w->slots[i], now_us);
		ask_for_key(w, w->slots[i], now_us);
	}
	send_twcc(w, now_us);
}

const struct peer_media media_down = {
	.open = open_wall,
	.close = close_wall,
	.rtp = rtp,
	.rtcp = rtcp,
	.tick = tick,
	.report = report,
};
