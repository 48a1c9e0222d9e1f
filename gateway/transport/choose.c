/* Which of its layers a fitted stream is to show, as far as nobody tells it: the smallest that covers its
 * tile, with all its frames; and of those that have packets at all. */
#include "transport/fit.h"

static uint64_t size_of(const struct mu_shape *s)
{
	return (uint64_t)s->width * s->height;
}

static uint32_t bps_of(const struct mu_shape *s)
{
	unsigned spatial = MU_MAX(s->spatials, 1u) - 1, temporal = MU_MAX(s->temporals, 1u) - 1;

	return s->bps[MU_MIN(spatial, MU_SPATIAL_MAX - 1u)][MU_MIN(temporal, MU_TEMPORAL_MAX - 1u)];
}

static bool seen(const struct mu_shape *s)
{
	return size_of(s) || bps_of(s);
}

/* Sizes are not known of all codecs; then the rates say as much. One never seen comes last: a publisher
 * begins with the smallest. */
static bool smaller(const struct mu_shape *a, const struct mu_shape *b)
{
	if (seen(a) != seen(b))
		return seen(a);
	if (size_of(a) && size_of(b) && size_of(a) != size_of(b))
		return size_of(a) < size_of(b);
	return bps_of(a) < bps_of(b);
}

void fit_shapes(const struct fit *f, struct mu_shape shapes[MU_LAYERS_MAX], unsigned order[MU_LAYERS_MAX])
{
	for (unsigned i = 0; i < f->feed.n_layers; i++) {
		unsigned k = i;

		mu_track_shape(f->feed.layers[i], &shapes[i]);
		for (; k > 0 && smaller(&shapes[i], &shapes[order[k - 1]]); k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
}

static bool covers(const struct mu_feed *feed, const struct mu_shape *s)
{
	return feed->height && s->height >= feed->height;
}

/* The smallest that flows and covers the tile, else the largest that flows, else the largest that ever did. */
static struct fit_target choice(const struct fit *f)
{
	struct fit_target t = { MU_PAUSED, { MU_SPATIAL_MAX - 1, MU_TEMPORAL_MAX - 1 }, MU_CHOICE_RESTS };
	struct mu_shape shapes[MU_LAYERS_MAX];
	unsigned order[MU_LAYERS_MAX], n = f->feed.n_layers;
	bool flows = false;

	fit_shapes(f, shapes, order);
	for (unsigned i = 0; i < n; i++) {
		const struct mu_shape *s = &shapes[order[i]];

		if (!s->flows && (flows || (t.layer != MU_PAUSED && seen(&shapes[t.layer]) && !seen(s))))
			continue;
		if (t.layer != MU_PAUSED && flows == s->flows && covers(&f->feed, &shapes[t.layer])) {
			t.why = MU_CHOICE_TILE; /* there is a larger one */
			break;
		}
		t.layer = (int)order[i];
		t.why = MU_CHOICE_WHOLE;
		flows = s->flows;
	}
	return t;
}

void fit_choose(struct fit *f, int64_t now_us)
{
	if (!f->allocated)
		f->target = choice(f);
	fit_follow(f, now_us);
}

void fit_target(struct out_stream *o, int layer, unsigned spatial, unsigned temporal, enum mu_choice why,
	int64_t now_us)
{
	struct fit *f = o->fit;

	if (layer >= (int)f->feed.n_layers)
		layer = MU_PAUSED;
	f->allocated = true;
	f->target = (struct fit_target){ layer, { (uint8_t)spatial, (uint8_t)temporal }, why };
	fit_follow(f, now_us);
}

/* The next smaller one that flows, else the next larger. */
static int substitute(const struct fit *f)
{
	struct mu_shape shapes[MU_LAYERS_MAX];
	unsigned order[MU_LAYERS_MAX];
	int ret = -1;
	bool past = false;

	fit_shapes(f, shapes, order);
	if (shapes[f->target.layer].flows)
		return f->target.layer;
	for (unsigned i = 0; i < f->feed.n_layers; i++) {
		past |= (int)order[i] == f->target.layer;
		if (past && ret >= 0)
			break;
		if (shapes[order[i]].flows)
			ret = (int)order[i];
	}
	return ret >= 0 ? ret : f->target.layer;
}

int fit_layer_now(const struct fit *f)
{
	if (f->target.layer == MU_PAUSED || f->feed.n_layers == 0)
		return -1;
	return f->feed.n_layers == 1 ? f->target.layer : substitute(f);
}

/* --- for people --- */

static enum mu_choice why(const struct fit *f, bool flows, bool shows)
{
	if (f->feed.n_layers == 0)
		return MU_CHOICE_RESTS;
	if (f->target.layer == MU_PAUSED)
		return f->target.why;
	if (!flows)
		return MU_CHOICE_RESTS;
	return shows ? f->target.why : MU_CHOICE_WAITS;
}

/* Of n layers. */
static uint8_t highest(uint8_t wanted, uint8_t n)
{
	return (uint8_t)MU_MIN(wanted, MU_MAX(n, 1) - 1);
}

void fit_stats(const struct out_stream *o, struct mu_stream_stats *r)
{
	const struct fit *f = o->fit;
	struct mu_shape shapes[MU_LAYERS_MAX];
	unsigned order[MU_LAYERS_MAX];
	bool flows = false, shows = false;

	fit_shapes(f, shapes, order);
	for (unsigned i = 0; i < f->feed.n_layers; i++) {
		flows |= shapes[i].flows;
		if (!f->present || f->feed.layers[order[i]] != f->present->track)
			continue;
		shows = shapes[order[i]].flows;
		r->layer = (uint8_t)i;
		r->width = shapes[order[i]].width;
		r->height = shapes[order[i]].height;
		r->spatial = highest(f->now.spatial, shapes[order[i]].spatials);
		r->temporal = highest(f->now.temporal, shapes[order[i]].temporals);
	}
	r->choice = why(f, flows, shows);
	r->n_layers = (uint8_t)f->feed.n_layers;
	r->switches = f->switches;
	r->bps = f->bps;
}
