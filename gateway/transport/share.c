#include "transport/share.h"

#define AUDIO_GUESS_BPS 40000
#define GUESS_PIXEL     1.6 /* bits a second for a pixel of 30 frames a second: 0.05 a pixel and frame */
#define HEADERS         64 /* bytes of a packet that are not payload: IPv4, UDP, RTP with extensions, SRTP's tag */
#define VIDEO_PACKET    1100
#define AUDIO_PACKETS   50      /* a second */
#define DEAD_US         3000000 /* a source that was asked for and does not come takes no room from others */
#define ABSENT_US       10000000
#define RISE_US         1500000 /* a key frame makes half a second look dear: a layer becomes so slowly */
#define FALL_US         400000
#define SEEN_US         2000000 /* a layer that came less than this ago tells no rate */
#define SUFFICES        1.1     /* a layer may be scaled up by so much */
#define AGAIN_MAX_SHARE 0.3     /* most of the link that is kept for sending again */

void share_init(struct share_stream *s)
{
	memset(s, 0, sizeof(*s));
	s->point = MU_PAUSED;
	s->choice = MU_CHOICE_RESTS;
	s->fell_us = INT64_MIN / 2;
}

/* --- what is known of the layers --- */

static unsigned count(uint8_t n, unsigned max)
{
	return MU_MIN(MU_MAX(n, 1u), max);
}

static uint32_t pixels(const struct mu_shape *k)
{
	return (uint32_t)k->width * k->height;
}

static uint32_t full_bps(const struct mu_shape *k)
{
	return k->bps[count(k->spatials, MU_SPATIAL_MAX) - 1][count(k->temporals, MU_TEMPORAL_MAX) - 1];
}

static bool is_known(const struct mu_shape *k)
{
	return pixels(k) || full_bps(k);
}

static bool same_source(const struct share_stream *s)
{
	return memcmp(s->source, s->before, sizeof(s->source)) == 0;
}

static uint32_t toward(uint32_t before, uint32_t now, int64_t passed_us)
{
	int64_t whole_us = now > before ? RISE_US : FALL_US;
	double share = (double)MU_MIN(passed_us, whole_us) / (double)whole_us;

	return (uint32_t)(before + share * ((double)now - (double)before));
}

static bool layered_alike(const struct mu_shape *a, const struct mu_shape *b)
{
	return a->temporals == b->temporals && a->spatials == b->spatials;
}

static void smooth(struct mu_shape *known, const struct mu_shape *now, int64_t passed_us)
{
	struct mu_shape before = *known;

	*known = *now;
	if (full_bps(&before) == 0 || !layered_alike(&before, now))
		return;
	for (unsigned i = 0; i < MU_SPATIAL_MAX; i++) {
		for (unsigned k = 0; k < MU_TEMPORAL_MAX; k++)
			known->bps[i][k] = toward(before.bps[i][k], now->bps[i][k], passed_us);
	}
}

/* Its size is known; its rate is what it was, or is guessed by that. */
static void learn_size(struct mu_shape *known, const struct mu_shape *now)
{
	struct mu_shape before = *known;

	*known = *now;
	memset(known->bps, 0, sizeof(known->bps));
	if (layered_alike(&before, now))
		memcpy(known->bps, before.bps, sizeof(known->bps));
}

/* A layer's first second is mostly its key frame, and what was measured before it rested may have been just
 * that. */
static void learn_layer(struct share_stream *s, unsigned i, int64_t now_us, int64_t passed_us)
{
	const struct mu_shape *shape = &s->shapes[i];

	if (!shape->flows) {
		s->since_us[i] = 0;
		if (!is_known(&s->known[i]))
			learn_size(&s->known[i], shape);
		return;
	}
	s->flowed_us = now_us;
	if (s->since_us[i] == 0)
		s->since_us[i] = now_us;
	if (now_us - s->since_us[i] >= SEEN_US)
		smooth(&s->known[i], shape, passed_us);
	else
		learn_size(&s->known[i], shape);
}

static void learn(struct share_stream *s, int64_t now_us)
{
	int64_t passed_us = MU_MAX(now_us - s->told_us, 0);

	if (!same_source(s)) {
		memcpy(s->before, s->source, sizeof(s->before));
		memset(s->known, 0, sizeof(s->known));
		memset(s->since_us, 0, sizeof(s->since_us));
		memset(s->asked_us, 0, sizeof(s->asked_us));
		memset(s->absent_until_us, 0, sizeof(s->absent_until_us));
		s->flowed_us = now_us;
		s->fell_us = INT64_MIN / 2;
		s->n_points = 0;
		for (unsigned i = 0; i < s->n_layers; i++) /* it has flowed for others */
			s->since_us[i] = full_bps(&s->shapes[i]) ? now_us - SEEN_US : 0;
	}
	for (unsigned i = 0; i < s->n_layers; i++)
		learn_layer(s, i, now_us, passed_us);
	if (s->point == MU_PAUSED)
		s->flowed_us = now_us; /* it was not asked for */
	s->told_us = now_us;
}

/* Its publisher sends no such layer, or its own link bears none: asked for in vain it would keep room from
 * others. Some time later it is asked for again. */
static void look_for_absent(struct share_stream *s, int64_t now_us)
{
	for (unsigned i = 0; i < s->n_layers; i++) {
		bool asked = s->point >= 0 && s->points[s->point].layer == i;

		if (!asked || s->shapes[i].flows)
			s->asked_us[i] = 0;
		else if (s->asked_us[i] == 0)
			s->asked_us[i] = now_us;
		else if (now_us - s->asked_us[i] > DEAD_US)
			s->absent_until_us[i] = now_us + ABSENT_US;
	}
}

static bool absent(const struct share_stream *s, unsigned layer, int64_t now_us)
{
	return !s->shapes[layer].flows && now_us < s->absent_until_us[layer];
}

/* --- points --- */

/* What it takes, as far as its size tells; where that is not known either, what it took. */
static uint32_t guess_of(const struct mu_shape *k)
{
	return pixels(k) ? (uint32_t)(pixels(k) * GUESS_PIXEL) : full_bps(k);
}

/* Of layers never seen it is supposed that they are what those seen are not: small, middle, large. */
static void guess_all(const struct share_stream *s, uint32_t guess[MU_LAYERS_MAX])
{
	static const uint32_t usual[MU_LAYERS_MAX] = { 150000, 500000, 1500000 };
	bool taken[MU_LAYERS_MAX] = { false };

	for (unsigned i = 0; i < s->n_layers; i++) {
		guess[i] = guess_of(&s->known[i]);
		if (is_known(&s->known[i]))
			taken[guess[i] < 250000 ? 0 : guess[i] < 900000 ? 1 : 2] = true;
	}
	if (s->n_layers == 1)
		taken[0] = true;
	for (unsigned i = 0; i < s->n_layers; i++) {
		unsigned at = 0;

		if (is_known(&s->known[i]))
			continue;
		while (at < MU_LAYERS_MAX - 1 && taken[at])
			at++;
		taken[at] = true;
		guess[i] = usual[at];
	}
}

static void by_size(const struct share_stream *s, const uint32_t guess[MU_LAYERS_MAX], uint8_t *order)
{
	for (unsigned i = 0; i < s->n_layers; i++) {
		unsigned at = i;

		while (at > 0 && guess[order[at - 1]] > guess[i]) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = (uint8_t)i;
	}
}

/* Of a part of which nothing is known: halved for each temporal layer that is missing, quartered for each
 * spatial one. */
static uint32_t payload_bps(const struct mu_shape *k, uint32_t guess, unsigned spatial, unsigned temporal)
{
	unsigned top_spatial = count(k->spatials, MU_SPATIAL_MAX) - 1;
	unsigned top_temporal = count(k->temporals, MU_TEMPORAL_MAX) - 1;
	uint32_t full = full_bps(k) ? full_bps(k) : guess;

	if (k->bps[spatial][temporal])
		return k->bps[spatial][temporal];
	return full >> (2 * (top_spatial - spatial) + (top_temporal - temporal));
}

static uint32_t wire_bps(const struct mu_shape *k, uint32_t payload, unsigned temporal)
{
	unsigned fps = k->fps[temporal] ? k->fps[temporal] : 30;

	return payload + (uint32_t)((uint64_t)payload * HEADERS / VIDEO_PACKET) + fps * HEADERS * 8 / 2;
}

static void add_point(
	struct share_stream *s, unsigned layer, uint32_t guess, unsigned spatial, unsigned temporal)
{
	const struct mu_shape *k = &s->known[layer];
	unsigned down = count(k->spatials, MU_SPATIAL_MAX) - 1 - spatial;
	struct share_point *p = &s->points[s->n_points];
	uint32_t least = s->n_points ? p[-1].bps + 1 : 1;

	*p = (struct share_point){ .layer = (uint8_t)layer,
		.spatial = (uint8_t)spatial,
		.temporal = (uint8_t)temporal,
		.width = (uint16_t)(k->width >> down),
		.height = (uint16_t)(k->height >> down),
		.bps = MU_MAX(wire_bps(k, payload_bps(k, guess, spatial, temporal), temporal), least) };
	s->n_points++;
}

/* From above: first a smaller layer, and when there is none, fewer frames (DESIGN: adaptation). So the
 * smallest one has a point for each frame rate, the others one at all their frames. */
static void video_points(struct share_stream *s, int64_t now_us)
{
	uint32_t guess[MU_LAYERS_MAX];
	uint8_t order[MU_LAYERS_MAX];

	guess_all(s, guess);
	by_size(s, guess, order);
	for (unsigned rank = 0; rank < s->n_layers; rank++) {
		const struct mu_shape *k = &s->known[order[rank]];
		unsigned temporals = count(k->temporals, MU_TEMPORAL_MAX);

		if (absent(s, order[rank], now_us) && (s->n_points || rank + 1 < s->n_layers))
			continue;
		for (unsigned spatial = 0; spatial < count(k->spatials, MU_SPATIAL_MAX); spatial++) {
			unsigned from = s->n_sizes == 0 ? 0 : temporals - 1;

			for (unsigned t = from; t < temporals; t++)
				add_point(s, order[rank], guess[order[rank]], spatial, t);
			s->n_sizes++;
		}
	}
}

static void audio_point(struct share_stream *s, unsigned copies)
{
	uint32_t payload = full_bps(&s->known[0]);

	if (payload == 0)
		payload = AUDIO_GUESS_BPS;
	s->points[0] = (struct share_point){ .bps = payload * (1 + copies) + AUDIO_PACKETS * HEADERS * 8 };
	s->n_points = s->n_sizes = 1;
}

/* The smallest that fills the tile: a picture that fits into it touches two of its sides. */
static int needed(const struct share_stream *s)
{
	if (s->kind == MU_VIDEO && s->width && s->height) {
		for (unsigned i = 0; i < s->n_points; i++) {
			const struct share_point *p = &s->points[i];
			bool last_of_size = i + 1 == s->n_points || s->points[i + 1].layer != p->layer ||
				s->points[i + 1].spatial != p->spatial;

			if (last_of_size && p->width &&
				(p->width * SUFFICES >= s->width || p->height * SUFFICES >= s->height))
				return (int)i;
		}
	}
	return (int)s->n_points - 1;
}

/* What it has, in the points as they are now. */
static int again(const struct share_stream *s, const struct share_point *had)
{
	for (unsigned i = 0; i < s->n_points; i++) {
		const struct share_point *p = &s->points[i];

		if (p->layer == had->layer && p->spatial == had->spatial && p->temporal == had->temporal)
			return (int)i;
	}
	for (unsigned i = s->n_points; i > 0; i--) { /* it has lost layers, or frame rates */
		if (s->points[i - 1].layer == had->layer)
			return (int)i - 1;
	}
	return MU_PAUSED;
}

/* --- claims --- */

static bool dead(const struct share_stream *s, int64_t now_us)
{
	return now_us - s->flowed_us > DEAD_US;
}

static void claim(struct share_stream *s, unsigned copies, int64_t now_us, struct mu_claim *ret)
{
	struct share_point had = { 0 };
	bool has;

	learn(s, now_us);
	has = s->point >= 0 && s->point < (int)s->n_points;
	if (has)
		had = s->points[s->point];
	look_for_absent(s, now_us);
	s->n_points = s->n_sizes = 0;
	if (s->n_layers && s->kind == MU_VIDEO)
		video_points(s, now_us);
	else if (s->n_layers)
		audio_point(s, copies);
	s->point = has ? again(s, &had) : MU_PAUSED;
	*ret = (struct mu_claim){
		/* all audio before all video: it is little, and what a picture shows can be said */
		.rank = s->kind == MU_AUDIO ? MU_MIN(s->urgency, 99u) : 100 + MU_MIN(s->urgency, 99u),
		.weight = MU_MIN(s->width, 16384u) * MU_MIN(s->height, 16384u),
		.never_paused = s->never_paused,
		.n_points = s->n_points,
		.max_point = dead(s, now_us) ? MU_MIN(needed(s), 0) : needed(s),
		.point = s->point,
		.fell_us = s->fell_us,
	};
	for (unsigned i = 0; i < s->n_points; i++)
		ret->point_bps[i] = s->points[i].bps;
}

static enum mu_choice choice(const struct share_stream *s, int max_point, int64_t now_us)
{
	if (s->n_points == 0 || dead(s, now_us))
		return MU_CHOICE_RESTS;
	if (s->point == MU_PAUSED)
		return MU_CHOICE_PAUSED;
	if (s->point < max_point)
		return MU_CHOICE_LINK;
	return max_point < (int)s->n_points - 1 ? MU_CHOICE_TILE : MU_CHOICE_WHOLE;
}

struct share_sum share_spend(
	struct share_stream *const *s, size_t n, const struct share_budget *b, int64_t now_us)
{
	struct mu_claim claims[MU_STREAMS_LATER_MAX];
	double kept = MU_MIN(MU_MAX(b->loss, 0.0), AGAIN_MAX_SHARE);
	struct share_sum sum = { 0 };
	double wanted;

	n = MU_MIN(n, MU_ARRAY_LEN(claims));
	if (n == 0)
		return sum;
	for (size_t i = 0; i < n; i++)
		claim(s[i], b->copies, now_us, &claims[i]);
	wanted = mu_spend_wanted(claims, n) * (1 + kept);
	sum.wanted_bps = (uint32_t)MU_MIN(wanted, (double)UINT32_MAX);
	sum.spent_bps = mu_spend(claims, n, (uint32_t)(b->bps / (1 + kept)), now_us);
	for (size_t i = 0; i < n; i++) {
		s[i]->point = claims[i].point;
		s[i]->fell_us = claims[i].fell_us;
		s[i]->choice = choice(s[i], claims[i].max_point, now_us);
	}
	return sum;
}

void share_depth(const struct share_stream *s, unsigned *ret_spatial, unsigned *ret_temporal)
{
	const struct share_point *p = &s->points[s->point];
	const struct mu_shape *k = &s->known[p->layer];

	*ret_spatial = p->spatial + 1u < k->spatials ? p->spatial : MU_SPATIAL_MAX - 1u;
	*ret_temporal = p->temporal + 1u < k->temporals ? p->temporal : MU_TEMPORAL_MAX - 1u;
}
