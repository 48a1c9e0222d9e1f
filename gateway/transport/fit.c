/* A fitted stream and its sources: the one that it shows, and at most one that is to take over and waits for
 * a key frame. What comes from either goes out under one row of numbers, on one time line, with one row of
 * picture ids. */
#include <stdlib.h>

#include "transport/fit.h"
#include "transport/steer.h"

#define GAP_MAX   3000   /* numbers that a viewer is left to miss: past it a jump of the source's is closed */
#define ON_ITS_WAY_US 250000 /* beyond the round trip: browsers ask 200 ms after they have nothing to decode */
#define APART_MAX 500000 /* us that the layers' clocks may differ from when their packets come */

/* --- made --- */

struct fit *fit_new(struct out_stream *o, struct mu_track *track)
{
	struct fit *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->out = o;
	for (unsigned i = 0; i < MU_ARRAY_LEN(f->sources); i++)
		f->sources[i].fit = f;
	f->want = (struct fit_depth){ MU_SPATIAL_MAX - 1, MU_TEMPORAL_MAX - 1 };
	f->target = (struct fit_target){ MU_PAUSED, f->want, MU_CHOICE_RESTS };
	share_init(&f->share);
	if (track) {
		f->feed.layers[0] = mu_track_ref(track);
		f->feed.n_layers = 1;
	}
	return f;
}

void fit_feed_done(struct mu_feed *f)
{
	for (unsigned i = 0; i < f->n_layers; i++)
		mu_track_unref(f->layers[i]);
	f->n_layers = 0;
}

/* Its sources were let go of before, or never were. */
void fit_free(struct fit *f)
{
	if (!f)
		return;
	fit_feed_done(&f->feed);
	wire_log_done(&f->log);
	free(f);
}

/* --- sources --- */

static void deliver(struct mu_sink *sink, struct mu_burst *b);

/* @return its place, -1: none */
static int place_of(const struct mu_feed *f, const struct mu_track *track)
{
	for (unsigned i = 0; i < f->n_layers; i++) {
		if (f->layers[i] == track)
			return (int)i;
	}
	return -1;
}

static bool is_fed(const struct mu_feed *f, const struct mu_track *track)
{
	return place_of(f, track) >= 0;
}

static void let_go(struct fit *f, struct fit_source **which)
{
	struct fit_source *s = *which;

	if (!s)
		return;
	if (s == f->present)
		thin_settle(f, NULL);
	*which = NULL;
	mu_track_remove_sink(s->track, f->out->t->worker, &s->sink);
	s->track = mu_track_unref(s->track);
}

static bool flows(const struct mu_track *t)
{
	struct mu_shape shape;

	mu_track_shape(t, &shape);
	return shape.flows;
}

/* Where there is a picture, the next source begins with one of the same moment, and where what went out goes on,
 * with one that did not; where there is none, with the first there is. */
static void begin(struct fit *f, struct mu_track *track, int64_t now_us)
{
	struct fit_source *s = &f->sources[f->present == &f->sources[0]];

	memset(s, 0, sizeof(*s));
	s->fit = f;
	s->track = mu_track_ref(track);
	s->number = ++f->last_number;
	s->sink.deliver = deliver;
	s->sink.afresh = f->resumes || (f->present && flows(f->present->track));
	f->next = s;
	mu_track_add_sink(track, f->out->t->worker, &s->sink, now_us);
	if (f->resumes && f->out->kind == MU_VIDEO) /* nothing is shown meanwhile */
		mu_track_ask_key(track, f->out->t->worker, now_us);
	f->resumes = false;
}

/* A layer that rests comes only if somebody takes it: while there is a picture, it is waited for with the
 * sink in place. Where there is none, one that flows stands in. */
static int layer_to_take(const struct fit *f)
{
	if (!f->out->t->key_out)
		return -1;
	if (f->allocated && f->target.layer >= 0 && f->target.layer < (int)f->feed.n_layers && f->present &&
		flows(f->present->track))
		return f->target.layer;
	return fit_layer_now(f);
}

void fit_follow(struct fit *f, int64_t now_us)
{
	int layer = layer_to_take(f);
	struct mu_track *track = layer < 0 ? NULL : f->feed.layers[layer];

	if (!track)
		let_go(f, &f->present);
	if (f->next && f->next->track != track)
		let_go(f, &f->next);
	if (!track)
		return;
	if (f->present && f->present->track == track) {
		f->want = f->target.depth;
		if (f->out->kind == MU_VIDEO)
			thin_ask(f, now_us);
	} else if (!f->next) {
		begin(f, track, now_us);
	}
}

void fit_feed(struct out_stream *o, struct mu_feed *feed, int64_t now_us)
{
	struct fit *f = o->fit;
	struct mu_feed old = f->feed;
	unsigned kept = 0;

	f->feed = *feed;
	*feed = old;
	for (unsigned i = 0; i < old.n_layers; i++)
		kept += is_fed(&f->feed, old.layers[i]);
	if (f->present && !is_fed(&f->feed, f->present->track)) {
		f->held.empty = true;
		let_go(f, &f->present);
	}
	if (f->next && !is_fed(&f->feed, f->next->track))
		let_go(f, &f->next);
	if (kept == 0) {
		wire_forget(o); /* another endpoint's */
		f->resumes = false;
	}
	if (kept < old.n_layers || kept < f->feed.n_layers)
		f->allocated = false; /* what was allocated was for others */
	else if (f->target.layer >= 0)
		f->target.layer = place_of(&f->feed, old.layers[f->target.layer]);
	if (o->t->fitted && o->t->fitted->steer)
		steer_fed(o->t, now_us);
	else
		fit_choose(f, now_us);
}

void fit_release(struct out_stream *o)
{
	o->fit->held.pkt = mu_packet_unref(o->fit->held.pkt);
	let_go(o->fit, &o->fit->present);
	let_go(o->fit, &o->fit->next);
	fit_feed_done(&o->fit->feed);
	wire_log_done(&o->fit->log);
}

void fit_resume(struct out_stream *o, int64_t now_us)
{
	struct fit *f = o->fit;

	f->lapsed = false;
	f->resumes = f->present != NULL;
	let_go(f, &f->present);
	let_go(f, &f->next);
	fit_choose(f, now_us);
}

/* A source that waits for its key frame was asked for it when it began, and home goes on asking; the one it
 * began with may be on its way. */
void fit_ask_key(struct out_stream *o, int64_t now_us)
{
	const struct fit *f = o->fit;

	if (o->kind != MU_VIDEO || !f->present || !f->began)
		return;
	if (now_us - f->began_us < MU_MAX(o->rtt_us, 0) + ON_ITS_WAY_US)
		return;
	mu_track_ask_key(f->present->track, o->t->worker, now_us);
}

/* --- time --- */

static uint32_t ticks(int64_t us, uint32_t clock)
{
	return (uint32_t)(us * clock / 1000000);
}

/* A span of NTP time in units of a media clock. */
static uint32_t ntp_ticks(uint64_t span, uint32_t clock)
{
	int64_t s = (int64_t)span >> 32;

	return (uint32_t)(s * clock) + (uint32_t)((span & 0xffffffff) * clock >> 32);
}

static uint32_t clock_of(const struct fit_source *s, const struct mu_packet *pkt)
{
	enum mu_codec c = pkt->codec < MU_FORMATS_MAX ? (enum mu_codec)s->codec[pkt->codec] : MU_CODEC_NONE;

	return c == MU_CODEC_NONE ? 90000 : mu_codec_clock(c);
}

/* When a new source's first packet goes out: what passed since the last one by the two sources' own clocks,
 * which are one sender's; by arrival where they are not known, or the sources are not of one sender. */
static uint32_t time_of_first(const struct fit *f, const struct fit_source *s, const struct mu_packet *first)
{
	const struct mu_worker *w = f->out->t->worker;
	uint32_t clock = clock_of(s, first), by_arrival, by_clock;
	struct mu_rtp_clock was, is;

	if (!f->out->started)
		return mu_random_u32();
	by_arrival = f->last_ts + ticks(first->arrival_us - f->last_arrival_us, clock);
	if (!f->present)
		return by_arrival;
	was = mu_track_clock(f->present->track, w);
	is = mu_track_clock(s->track, w);
	if (!was.valid || !is.valid)
		return by_arrival;
	by_clock =
		was.rtp + f->present->ts_offset + ntp_ticks(is.ntp - was.ntp, clock) + (first->ts - is.rtp);
	return (uint32_t)abs((int32_t)(by_clock - by_arrival)) < ticks(APART_MAX, clock) ? by_clock
											 : by_arrival;
}

/* Pictures that come from before what went out already, of a key frame in the cache or of another clock, go
 * out behind it, each a tick later than the one before, until their own time is reached. */
static uint32_t bump(struct fit *f, struct fit_source *s, uint32_t ts)
{
	uint32_t out = ts + s->ts_offset;

	for (unsigned i = s->n_bumps; i-- > 0;) {
		if (s->bumps[i].ts == ts)
			return s->bumps[i].out;
	}
	if ((int32_t)(out - f->last_ts) > 0) {
		s->bumping = false;
		return out;
	}
	if (!s->bumping)
		return out; /* older than the last one, of the same source */
	if (s->n_bumps == FIT_BUMPS) {
		s->ts_offset = f->last_ts + 1 - ts;
		s->bumping = false;
		return f->last_ts + 1;
	}
	s->bumps[s->n_bumps++] = (struct fit_bump){ ts, f->last_ts + 1 };
	return f->last_ts + 1;
}

static uint32_t time_out(struct fit *f, struct fit_source *s, const struct mu_packet *pkt)
{
	uint32_t out = s->n_bumps || s->bumping ? bump(f, s, pkt->ts) : pkt->ts + s->ts_offset;

	if ((int32_t)(out - f->last_ts) > 0)
		f->last_ts = out;
	return out;
}

struct mu_rtp_clock fit_clock(const struct out_stream *o, int64_t now_us)
{
	const struct fit *f = o->fit;
	struct mu_rtp_clock c = { 0 };

	if (!f->present)
		return c;
	c = mu_track_clock(f->present->track, o->t->worker);
	if (c.valid) {
		c.rtp += f->present->ts_offset;
		return c;
	}
	c.valid = true;
	c.rtp = f->last_ts;
	c.ntp = mu_ntp_from_wall_us(mu_clock_wall_us() - (now_us - f->last_arrival_us));
	c.arrival_us = f->last_arrival_us;
	return c;
}

/* --- formats --- */

static uint64_t lowest(const struct mu_burst *b, uint64_t from)
{
	uint64_t ret = UINT64_MAX;

	for (unsigned i = 0; i < b->n; i++) {
		if (b->pkts[i]->seq >= from)
			ret = MU_MIN(ret, b->pkts[i]->seq);
	}
	return ret;
}

static void learn_formats(struct fit_source *s, const struct mu_burst *b)
{
	egress_choose(s->fit->out->offer, b->formats, b->n_formats, s->pt, s->rtx_pt);
	memset(s->codec, 0, sizeof(s->codec));
	for (unsigned i = 0; i < b->n_formats && i < MU_FORMATS_MAX; i++)
		s->codec[i] = (uint8_t)b->formats[i].codec;
	s->formats_version = b->formats_version;
	s->formats_since = lowest(b, 0);
}

static bool is_taken(const struct fit_source *s, const struct mu_packet *pkt)
{
	return pkt->codec < MU_FORMATS_MAX && s->pt[pkt->codec] != PT_NONE && pkt->seq >= s->formats_since;
}

/* --- picture ids --- */

/* @return whether it has any */
static bool parse_vp8(const struct fit_source *s, const struct mu_packet *pkt, struct mu_vp8 *ret)
{
	if (s->codec[pkt->codec] != MU_CODEC_VP8)
		return false;
	if (mu_vp8_parse(pkt->data + pkt->hlen, (size_t)pkt->len - pkt->hlen - pkt->pad, ret) < 0)
		return false;
	return ret->picture_bits || ret->tl0_at;
}

static void patch(struct fit *f, const struct fit_source *s, struct wire *w)
{
	const uint8_t *payload = w->pkt->data + w->pkt->hlen;
	struct mu_vp8 d;

	if (!parse_vp8(s, w->pkt, &d))
		return;
	memcpy(w->patch, payload, d.len);
	mu_vp8_rewrite(&f->vp8, &d, w->patch);
	if (memcmp(w->patch, payload, d.len) != 0)
		w->n_patch = d.len;
}

/* --- taking over --- */

static struct mu_packet *packet_of(const struct mu_burst *b, uint64_t seq)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->pkts[i]->seq == seq)
			return b->pkts[i];
	}
	return NULL;
}

static void start(struct out_stream *o)
{
	struct fit *f = o->fit;

	/* RFC 3711, section 3.3.1: as in egress.c */
	f->high = f->log.low = f->log.high = mu_random_u32() & 0x3fff;
	memset(f->given, true, sizeof(f->given)); /* or by nobody */
	o->rtx_index = mu_random_u32() & 0x3fff;
	o->started = true;
}

/* Numbers that were kept for packets of the source before which can not come any more: nobody is to wait for
 * them. */
static void fill_holes(struct fit *f, const struct fit_source *s, struct mu_packet *like)
{
	for (uint64_t i = f->high > FIT_NUMBERS ? f->high - FIT_NUMBERS : 0; i < f->high; i++) {
		struct wire w = { .out = f->out, .index = i, .ts = f->last_ts, .empty = true };

		if (f->given[i % FIT_NUMBERS])
			continue;
		w.pkt = mu_packet_ref(like);
		w.pt = s->pt[like->codec];
		w.rtx_pt = s->rtx_pt[like->codec];
		f->given[i % FIT_NUMBERS] = true;
		wire_queue(&w);
	}
}

/* The next source has its key frame. @return whether it is the present one now */
static bool take_over(struct fit *f, const struct mu_burst *b)
{
	struct fit_source *s = f->next;
	uint64_t seq = lowest(b, MU_MAX(s->sink.first_seq, s->formats_since));
	struct mu_packet *first = packet_of(b, seq);
	struct mu_vp8 d;

	if (!first || !is_taken(s, first))
		return false;
	thin_settle(f, NULL);
	s->ts_offset = time_of_first(f, s, first) - first->ts;
	s->bumping = f->out->started;
	if (f->out->started) {
		fill_holes(f, s, first);
		mu_renumber_switch(&f->numbers, s->number, seq);
		f->switches++;
	} else {
		start(f->out);
		mu_renumber_init(&f->numbers, s->number, seq, f->high);
		f->last_ts = s->ts_offset + first->ts - 1;
	}
	s->highest = seq;
	f->began = false;
	f->began_with = f->high;
	if (parse_vp8(s, first, &d))
		mu_vp8_switch(&f->vp8, &d);
	let_go(f, &f->present);
	f->present = s;
	f->next = NULL;
	f->over = false;
	f->want = f->target.depth;
	thin_begin(f);
	return true;
}

/* --- packets --- */

static struct wire wire_of(struct fit *f, struct fit_source *s, struct mu_packet *pkt, uint64_t index)
{
	struct wire w = { .out = f->out, .pkt = mu_packet_ref(pkt), .index = index };

	for (; f->high <= index; f->high++)
		f->given[f->high % FIT_NUMBERS] = false;
	if (f->high - index <= FIT_NUMBERS)
		f->given[index % FIT_NUMBERS] = true;
	w.ts = time_out(f, s, pkt);
	w.pt = s->pt[pkt->codec];
	w.rtx_pt = s->rtx_pt[pkt->codec];
	w.marker = pkt->flags & MU_PACKET_MARKER;
	f->out->codec = (enum mu_codec)s->codec[pkt->codec];
	f->last_arrival_us = MU_MAX(f->last_arrival_us, pkt->arrival_us);
	return w;
}

static void leave_out(struct fit *f, struct fit_source *s, struct mu_packet *pkt)
{
	struct mu_vp8 d;
	struct wire w;
	uint64_t index;

	if (is_taken(s, pkt) && parse_vp8(s, pkt, &d))
		mu_vp8_left_out(&f->vp8, &d);
	if (mu_renumber_drop(&f->numbers, s->number, pkt->seq))
		return;
	/* it is late: its number is waited for, its bytes are not */
	if (!is_taken(s, pkt) || !mu_renumber_pass(&f->numbers, s->number, pkt->seq, &index))
		return;
	w = wire_of(f, s, pkt, index);
	w.empty = true;
	w.marker = false;
	wire_queue(&w);
}

static void pass(struct fit *f, struct fit_source *s, struct mu_packet *pkt)
{
	struct wire w;
	uint64_t index;

	if (pkt->seq > s->highest + GAP_MAX)
		mu_renumber_switch(&f->numbers, s->number, pkt->seq);
	s->highest = MU_MAX(s->highest, pkt->seq);
	if (!mu_renumber_pass(&f->numbers, s->number, pkt->seq, &index)) {
		f->out->dropped++;
		return;
	}
	w = wire_of(f, s, pkt, index);
	patch(f, s, &w);
	if (!thin_mark(f, &w))
		wire_queue(&w);
}

static void take(struct fit *f, struct fit_source *s, struct mu_packet *pkt)
{
	bool video = f->out->kind == MU_VIDEO;

	if (video)
		thin_settle(f, pkt);
	if (!is_taken(s, pkt))
		f->out->dropped++;
	if (is_taken(s, pkt) && (!video || thin_passes(f, pkt)))
		pass(f, s, pkt);
	else
		leave_out(f, s, pkt);
}

static void deliver(struct mu_sink *sink, struct mu_burst *b)
{
	struct fit_source *s = MU_CONTAINER_OF(sink, struct fit_source, sink);
	struct fit *f = s->fit;

	if (!f->out->t->sendable || f->lapsed) {
		f->out->dropped += b->n;
		f->lapsed = true;
		return;
	}
	if (b->formats_version != s->formats_version)
		learn_formats(s, b);
	if (s == f->next && !take_over(f, b)) {
		f->out->dropped += b->n;
		return;
	}
	if (f->over) {
		f->out->dropped += b->n;
		return;
	}
	for (unsigned i = 0; i < b->n; i++) {
		if (b->pkts[i]->seq >= sink->first_seq)
			take(f, s, b->pkts[i]);
	}
}

/* --- all of a transport's --- */

#define COUNT_US 900000

static void count_bits(struct fit *f, int64_t now_us)
{
	int64_t span = now_us - f->counted_us;

	if (span < COUNT_US)
		return;
	f->bps = (uint32_t)((f->out->bytes - f->counted_bytes) * 8 * 1000000 / (uint64_t)span);
	f->counted_bytes = f->out->bytes;
	f->counted_us = now_us;
}

static void tick(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct fitted *q = MU_CONTAINER_OF(timer, struct fitted, timer);
	struct mu_transport *t = q->t;

	for (unsigned i = 0; i < t->n_out; i++) {
		struct fit *f = t->out[i]->fit;

		wire_log_expire(&f->log, now_us);
		count_bits(f, now_us);
		thin_tick(f, now_us);
		if (f->lapsed && t->sendable)
			fit_resume(f->out, now_us);
		else
			fit_choose(f, now_us);
	}
	mu_timer_set(w, timer, now_us + FIT_TICK_US);
}

int fitted_new(struct mu_transport *t)
{
	t->fitted = calloc(1, sizeof(*t->fitted));
	if (!t->fitted)
		return -1;
	t->fitted->t = t;
	t->fitted->timer.fn = tick;
	return 0;
}

void fitted_begin(struct mu_transport *t, int64_t now_us)
{
	steer_begin(t, now_us);
	for (unsigned i = 0; i < t->n_out; i++)
		fit_choose(t->out[i]->fit, now_us);
	mu_timer_set(t->worker, &t->fitted->timer, now_us + FIT_TICK_US);
}

void fitted_end(struct mu_transport *t)
{
	struct fitted *q = t->fitted;

	if (!q)
		return;
	mu_timer_cancel(t->worker, &q->timer);
	steer_end(t);
	for (unsigned i = 0; i < q->n; i++)
		mu_packet_unref(q->queue[i].pkt);
	free(q->queue);
	free(q);
	t->fitted = NULL;
}
