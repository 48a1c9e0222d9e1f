/* The down connection of a console session (docs/signalling.md): offered by the gateway, many slots. Whose
 * packets came is known by their stamps, whatever was said of it; what of a source is missing, by their
 * numbers. */
#include "attack.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS_MAX 80
#define FLOWS_MAX 64
#define SEEN      4096 /* packets back that one is known by */
#define TWCC_US   100000
#define SETTLE_NS 300000000u
#define EXT_TWCC  "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

struct slot {
	uint32_t ssrc, rtx_ssrc;
	struct mu_rtp_rx rx;
	struct mu_nack *nack;
	uint64_t n;
	uint16_t seq; /* of the last one */
};
/** What came of one track of one source. */
struct flow {
	uint8_t stream, media;
	uint64_t first, top, n, repeated;
	uint64_t mark, n_late; /* the newest number when it was asked, and how many newer ones came since */
	uint64_t seen[SEEN / 64];
};
struct down {
	struct slot slot[SLOTS_MAX];
	unsigned n_slots;
	struct flow flow[FLOWS_MAX];
	unsigned n_flows;
	bool frozen; /* marks were set: newer numbers are counted apart */
	bool lies;   /* its feedback is the caller's business */
	bool is_rtx[128];
	uint8_t ext_twcc;
	uint16_t last_twcc;
	uint64_t unknown, last_ns;
	uint32_t ssrc;
	struct mu_twcc_rx *twcc;
	int64_t next_twcc_us;
};

static struct down *down_of(const struct peer *p)
{
	return session_of(p)->down;
}

static int open_down(struct peer *p)
{
	struct down *d = calloc(1, sizeof(*d));

	if (!d || mu_twcc_rx_new(&d->twcc) < 0) {
		free(d);
		return -ENOMEM;
	}
	d->ssrc = mu_random_u32() | 1;
	session_of(p)->down = d;
	return 0;
}

static void close_down(struct peer *p)
{
	struct session *s = session_of(p);
	struct down *d = s ? s->down : NULL;

	if (!d)
		return;
	for (unsigned i = 0; i < d->n_slots; i++)
		mu_nack_free(d->slot[i].nack);
	mu_twcc_rx_free(d->twcc);
	free(d);
	s->down = NULL;
}

/* --- the offer --- */

static void add_slot(struct down *d, uint32_t ssrc)
{
	struct slot *s = &d->slot[d->n_slots];

	for (unsigned i = 0; i < d->n_slots; i++) {
		if (d->slot[i].ssrc == ssrc || d->slot[i].rtx_ssrc == ssrc)
			return;
	}
	if (d->n_slots == SLOTS_MAX || mu_nack_new(10000, &s->nack) < 0)
		return;
	s->ssrc = ssrc;
	mu_rtp_rx_init(&s->rx, 90000);
	d->n_slots++;
}

static void read_line(struct down *d, const char *line)
{
	unsigned a, b;
	char text[128];

	if (sscanf(line, "a=ssrc-group:FID %u %u", &a, &b) == 2) {
		add_slot(d, a);
		d->slot[d->n_slots - 1].rtx_ssrc = b;
	} else if (sscanf(line, "a=ssrc:%u", &a) == 1) {
		add_slot(d, a);
	} else if (sscanf(line, "a=rtpmap:%u %127[^/]", &a, text) == 2 && a < 128) {
		d->is_rtx[a] = !strcmp(text, "rtx");
	} else if (sscanf(line, "a=extmap:%u %127s", &a, text) == 2 && a < 15 && !strcmp(text, EXT_TWCC)) {
		d->ext_twcc = (uint8_t)a;
	}
}

static void read_offer(struct down *d, const char *sdp)
{
	char line[512];

	while (*sdp) {
		size_t len = strcspn(sdp, "\r\n"), n = MU_MIN(len, sizeof(line) - 1);

		memcpy(line, sdp, n);
		line[n] = 0;
		read_line(d, line);
		sdp += len;
		sdp += strspn(sdp, "\r\n");
	}
}

/* --- what comes --- */

/* What is sent again, be it only to fill a probe, begins none. */
static struct flow *flow_of(struct down *d, const struct stamp *st, bool rtx)
{
	for (unsigned i = 0; i < d->n_flows; i++) {
		if (d->flow[i].stream == st->stream && d->flow[i].media == st->media)
			return &d->flow[i];
	}
	if (rtx || d->n_flows == FLOWS_MAX)
		return NULL;
	d->flow[d->n_flows] = (struct flow){ .stream = st->stream,
		.media = st->media,
		.first = st->number,
		.top = st->number,
		.mark = st->number };
	return &d->flow[d->n_flows++];
}

static void count(struct down *d, const struct stamp *st, bool rtx)
{
	struct flow *f = flow_of(d, st, rtx);
	uint64_t *word, bit = 1ull << st->number % 64;

	if (!f || st->number < f->first)
		return;
	for (; f->top < st->number; f->top++)
		f->seen[(f->top + 1) % SEEN / 64] &= ~(1ull << (f->top + 1) % 64);
	word = &f->seen[st->number % SEEN / 64];
	if (*word & bit)
		f->repeated++;
	else
		f->n++;
	if (d->frozen && !(*word & bit) && st->number > f->mark)
		f->n_late++;
	*word |= bit;
}

static struct slot *slot_of(struct down *d, uint32_t ssrc)
{
	for (unsigned i = 0; i < d->n_slots; i++) {
		if (d->slot[i].ssrc == ssrc || d->slot[i].rtx_ssrc == ssrc)
			return &d->slot[i];
	}
	return NULL;
}

static void note_twcc(struct down *d, const uint8_t *data, size_t hlen, uint64_t ns)
{
	size_t at = 16;

	if (!(data[0] & 0x10) || !d->ext_twcc || hlen < 16 || mu_get16(data + 12) != 0xbede)
		return;
	while (at < hlen) {
		size_t len = (data[at] & 15u) + 1;

		if (!data[at]) {
			at++;
			continue;
		}
		if (data[at] >> 4 == d->ext_twcc && len == 2 && at + 3 <= hlen)
			mu_twcc_rx_packet(
				d->twcc, d->last_twcc = mu_get16(data + at + 1), (int64_t)(ns / 1000));
		at += 1 + len;
	}
}

static void numbered(struct slot *s, const struct mu_rtp_header *h, bool rtx, const uint8_t *payload,
	size_t len, int64_t now_us)
{
	uint64_t seq = mu_rtp_rx_packet(&s->rx, rtx ? mu_get16(payload) : h->seq, h->ts, len, rtx, now_us);

	if (rtx && seq) {
		mu_nack_repaired(s->nack, seq, now_us, NULL);
	} else if (!rtx) {
		s->n++;
		s->seq = h->seq;
		if (seq)
			mu_nack_seen(s->nack, seq, now_us);
	}
}

static void rtp(struct peer *p, const uint8_t *data, size_t len, uint64_t ns)
{
	struct down *d = down_of(p);
	struct mu_rtp_header h;
	uint8_t plain[LOAD_DATAGRAM];
	struct slot *s;
	struct stamp st;
	bool rtx;
	size_t at;
	int n;

	if (!d || mu_rtp_parse(data, len, &h) < 0)
		return;
	n = mu_srtp_rx_rtp(p->load->engine, p->rx, data, len, h.hlen, plain);
	if (n < 0) {
		p->load->c.bad += n != -EALREADY;
		return;
	}
	note_twcc(d, plain, h.hlen, ns);
	if (h.padding && n > h.hlen)
		n -= MU_MIN(plain[n - 1], n - h.hlen);
	s = slot_of(d, h.ssrc);
	rtx = d->is_rtx[h.pt];
	at = h.hlen + (rtx ? 2 : 0);
	if (s && (size_t)n > at)
		numbered(s, &h, rtx, plain + h.hlen, (size_t)n - at, (int64_t)(ns / 1000));
	if ((size_t)n <= at)
		return; /* padding that probes for bandwidth */
	d->last_ns = ns;
	if (!s || stamp_read(plain + at, (size_t)n - at, &st) < 0)
		d->unknown++;
	else
		count(d, &st, rtx);
}

/* --- reports and requests --- */

static void report(struct peer *p, int64_t now_us)
{
	struct down *d = down_of(p);
	uint8_t buf[256];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	(void)now_us;
	mu_rtcp_add_rr(&w, d->ssrc, NULL, 0);
	mu_rtcp_add_sdes(&w, d->ssrc, "attack");
	peer_rtcp(p, &w);
}

static void ask_again(struct peer *p, struct slot *s, int64_t now_us)
{
	uint16_t seqs[64];
	uint8_t buf[512];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };
	size_t n = mu_nack_due(s->nack, now_us, 20000, seqs, MU_ARRAY_LEN(seqs));

	if (!n || !p->load->o.nack)
		return;
	mu_rtcp_add_rr(&w, down_of(p)->ssrc, NULL, 0);
	mu_rtcp_add_nack(&w, down_of(p)->ssrc, s->ssrc, seqs, n);
	peer_rtcp(p, &w);
}

static void send_twcc(struct peer *p, struct down *d, int64_t now_us)
{
	uint8_t buf[1200];
	size_t n;

	if (now_us < d->next_twcc_us || d->lies || !d->n_slots)
		return;
	d->next_twcc_us = now_us + TWCC_US;
	while ((n = mu_twcc_rx_report(d->twcc, d->ssrc, d->slot[0].ssrc, buf, sizeof(buf)))) {
		struct mu_rtcp_writer w = { buf, sizeof(buf), n };

		peer_rtcp(p, &w);
	}
}

static void tick(struct peer *p, int64_t now_us)
{
	struct down *d = down_of(p);

	for (unsigned i = 0; i < d->n_slots; i++)
		ask_again(p, &d->slot[i], now_us);
	send_twcc(p, d, now_us);
}

const struct peer_media media_slots = {
	.open = open_down,
	.close = close_down,
	.rtp = rtp,
	.tick = tick,
	.report = report,
};

/* --- commands --- */

/* "sdp": the gateway's offer, the first of a connection or, with "id", a later one; "passive": we are the
 * DTLS server; "lie": no feedback on the link goes out but the caller's own. */
const char *do_accept(struct attack *a, json_t *in, json_t *out)
{
	const char *sdp = json_string_value(json_object_get(in, "sdp"));
	struct peer *p = session_find(a, in);
	bool later = p != NULL;
	char *answer;

	if (!sdp)
		return "no sdp";
	if (!p) {
		p = session_add(a, out);
		if (!p)
			return "too many sessions";
		p->media = &media_slots;
		peer_start(p, mu_clock_us());
	}
	if (!down_of(p))
		return "no down connection";
	read_offer(down_of(p), sdp);
	if (!later)
		peer_remote(p, sdp);
	if (p->state == PEER_FAILED)
		return "the offer is of no use";
	if (json_is_true(json_object_get(in, "passive")))
		p->remote.active = true;
	if (json_is_true(json_object_get(in, "lie")))
		down_of(p)->lies = true;
	answer = sdp_answer(p, sdp);
	json_object_set_new(out, "answer", json_string(answer));
	free(answer);
	return NULL;
}

/* Where the first few gaps are, from the first number on. */
static json_t *gaps_json(const struct flow *f)
{
	json_t *list = json_array();

	for (uint64_t n = MU_MAX(f->first, f->top > SEEN ? f->top - SEEN + 1 : 0);
		n <= f->mark && json_array_size(list) < 8; n++) {
		if (!(f->seen[n % SEEN / 64] >> n % 64 & 1))
			json_array_append_new(list, json_integer((json_int_t)(n - f->first)));
	}
	return list;
}

static json_t *flows_json(const struct down *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < d->n_flows; i++) {
		const struct flow *f = &d->flow[i];

		json_array_append_new(list,
			json_pack("{s:i, s:s, s:o, s:I, s:I, s:I}", "stream", (int)f->stream, "media",
				f->media == VIDEO ? "video" : "audio", "gaps", gaps_json(f), "n",
				(json_int_t)f->n, "lost",
				(json_int_t)(f->mark - f->first + 1 - (f->n - f->n_late)), "repeated",
				(json_int_t)f->repeated));
	}
	return list;
}

static json_t *slots_json(const struct down *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < d->n_slots; i++) {
		const struct slot *s = &d->slot[i];

		json_array_append_new(list,
			json_pack("{s:I, s:I, s:i}", "ssrc", (json_int_t)s->ssrc, "n", (json_int_t)s->n,
				"seq", (int)s->seq));
	}
	return list;
}

static void freeze(struct attack *a, bool frozen)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		struct down *d = a->session[i] ? down_of(a->session[i]) : NULL;

		for (unsigned k = 0; d && frozen && k < d->n_flows; k++) {
			d->flow[k].mark = d->flow[k].top;
			d->flow[k].n_late = 0;
		}
		if (d)
			d->frozen = frozen;
	}
}

/* What came of whom since the last time it was asked with "reset". "settle": what is on its way to any
 * session still counts; "settled": as it stood when another was asked with "settle". */
const char *do_flows(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	struct down *d = p ? down_of(p) : NULL;
	uint64_t until = now_ns() + (json_is_true(json_object_get(in, "settle")) ? SETTLE_NS : 0);

	if (!d)
		return "no down connection";
	if (!json_is_true(json_object_get(in, "settled")))
		freeze(a, true);
	while (now_ns() < until)
		turn(a, until);
	json_object_set_new(out, "flows", flows_json(d));
	json_object_set_new(out, "slots", slots_json(d));
	json_object_set_new(out, "twcc", json_integer(d->last_twcc));
	json_object_set_new(out, "unknown", json_integer((json_int_t)d->unknown));
	json_object_set_new(out, "silent_ms",
		json_integer(d->last_ns ? (json_int_t)((now_ns() - d->last_ns) / 1000000) : -1));
	if (json_is_true(json_object_get(in, "reset")))
		d->n_flows = 0;
	return NULL;
}
