/* Which packets of a track with several layers go out. More layers begin where nothing that was left out is
 * needed, fewer at a picture's beginning; a picture that goes out in part ends with a marker all the same. */
#include "transport/fit.h"

#define PATIENCE_US \
	2000000       /* pictures that a temporal layer may begin with come a few times a second, if at all */
#define HOLD_US 50000 /* the packets of a picture are together by then */

void thin_begin(struct fit *f)
{
	f->now = f->want;
	f->since_known = f->picture_known = false;
}

static bool newer(uint32_t ts, uint32_t than)
{
	return (int32_t)(ts - than) > 0;
}

/* From this picture on it is `d`. */
static void change(struct fit *f, uint32_t ts, struct fit_depth d)
{
	if (!f->since_known || newer(ts, f->since_ts)) { /* else a second step in the same picture */
		f->before = f->now;
		f->since_ts = ts;
		f->since_known = true;
	}
	f->now = d;
}

static void begin_picture(struct fit *f, const struct mu_packet *pkt)
{
	struct fit_depth d = { MU_MIN(f->now.spatial, f->want.spatial),
		MU_MIN(f->now.temporal, f->want.temporal) };

	f->picture_ts = pkt->ts;
	f->picture_known = true;
	if (d.spatial != f->now.spatial || d.temporal != f->now.temporal)
		change(f, pkt->ts, d);
}

/* May this packet's layer be taken from here on? */
static void climb(struct fit *f, const struct mu_packet *pkt)
{
	struct fit_depth d = f->now;

	if (pkt->flags & MU_PACKET_KEY) {
		d = f->want;
	} else if (pkt->layer & MU_LAYER_START) {
		if (pkt->layer & MU_LAYER_UP && pkt->temporal <= f->want.temporal)
			d.temporal = MU_MAX(d.temporal, pkt->temporal);
		if (pkt->layer & MU_LAYER_INTRA && pkt->spatial == d.spatial + 1 &&
			pkt->spatial <= f->want.spatial && pkt->temporal <= d.temporal)
			d.spatial++;
	}
	if (d.spatial != f->now.spatial || d.temporal != f->now.temporal)
		change(f, pkt->ts, d);
}

/* Layers of it that are wanted and are there, but cannot be taken yet. */
static bool lacks(const struct fit *f, bool *ret_spatial)
{
	struct mu_shape s;

	if (f->want.spatial <= f->now.spatial && f->want.temporal <= f->now.temporal)
		return false;
	mu_track_shape(f->present->track, &s);
	*ret_spatial = MU_MIN(f->want.spatial + 1, s.spatials) > f->now.spatial + 1;
	return *ret_spatial || MU_MIN(f->want.temporal + 1, s.temporals) > f->now.temporal + 1;
}

void thin_ask(struct fit *f, int64_t now_us)
{
	bool spatial = false;

	if (!lacks(f, &spatial)) {
		f->lacks_since_us = 0;
		return;
	}
	if (f->lacks_since_us == 0)
		f->lacks_since_us = now_us;
	if (spatial || now_us - f->lacks_since_us >= PATIENCE_US)
		mu_track_ask_key(f->present->track, f->out->t->worker, now_us);
}

void thin_tick(struct fit *f, int64_t now_us)
{
	if (f->held.pkt && now_us - f->held.pkt->arrival_us >= HOLD_US)
		thin_settle(f, NULL);
}

bool thin_passes(struct fit *f, const struct mu_packet *pkt)
{
	const struct fit_depth *d;

	if (!f->picture_known || newer(pkt->ts, f->picture_ts))
		begin_picture(f, pkt);
	if (pkt->ts == f->picture_ts)
		climb(f, pkt);
	d = f->since_known && newer(f->since_ts, pkt->ts) ? &f->before : &f->now;
	return pkt->spatial <= d->spatial && pkt->temporal <= d->temporal;
}

/* The picture's upper layers may be about to be taken, which their first packet says: it comes at once, or
 * there is none. */
bool thin_mark(struct fit *f, struct wire *w)
{
	const struct mu_packet *pkt = w->pkt;
	const struct fit_depth *d = f->since_known && newer(f->since_ts, pkt->ts) ? &f->before : &f->now;

	if (w->marker || !(pkt->layer & MU_LAYER_END) || pkt->spatial != d->spatial)
		return false;
	w->marker = true;
	if (d != &f->now || f->want.spatial <= f->now.spatial)
		return false;
	f->held = *w;
	return true;
}

void thin_settle(struct fit *f, const struct mu_packet *next)
{
	struct wire w = f->held;

	if (!w.pkt)
		return;
	f->held.pkt = NULL;
	if (next && next->ts == w.pkt->ts && thin_passes(f, next) && next->spatial > w.pkt->spatial)
		w.marker = false;
	wire_queue(&w);
}
