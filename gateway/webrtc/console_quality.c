/* Each second: how the client's connections do, and what was decided for each of its m-sections. */
#include "adapt/adapt.h"
#include "webrtc/console.h"

static const char *const limits[] = {
	[MU_LIMIT_NONE] = "none",
	[MU_LIMIT_DELAY] = "delay",
	[MU_LIMIT_LOSS] = "loss",
	[MU_LIMIT_PROBE] = "probe",
};

static json_t *link_json(const struct pc *down)
{
	const struct mu_link_stats *l = down && down->stats ? &down->stats->link : NULL;

	if (!l || !l->known)
		return json_null();
	return json_pack("{sI sI sf si ss}", "estimate", (json_int_t)l->estimate_bps, "sent",
		(json_int_t)l->spent_bps, "loss", (double)MU_MIN(MU_MAX(l->loss, 0.f), 1.f), "rtt_ms",
		(int)(l->rtt_us / 1000), "limit",
		l->limit < MU_ARRAY_LEN(limits) ? limits[l->limit] : "none");
}

static const struct mu_stream_stats *stream_of(
	const struct mu_transport_stats *st, const char *mid, const char *rid)
{
	for (unsigned i = 0; st && i < st->n_streams; i++) {
		if (strcmp(st->streams[i].mid, mid) == 0 && strcmp(st->streams[i].rid, rid) == 0)
			return &st->streams[i];
	}
	return NULL;
}

static json_t *down_json(const struct console *c)
{
	const struct mu_transport_stats *st = c->down.pc ? c->down.pc->stats : NULL;
	json_t *list = json_array();

	for (unsigned k = 0; k < c->down.n_slots; k++) {
		const struct slot *slot = c->down.slots[k];
		const struct mu_stream_stats *s = slot->ep ? stream_of(st, slot->mid, "") : NULL;

		if (s)
			json_array_append_new(list,
				json_pack("{ss ss ss si si sI si si ss}", "mid", slot->mid, "endpoint",
					slot->ep->id, "label", slot->label, "width", s->width, "height",
					s->height, "bps", (json_int_t)s->bps, "layer", s->layer, "layers",
					s->n_layers, "why", mu_choice_name(s->choice)));
	}
	return list;
}

static uint64_t rate_bps(const struct pc *pc, const struct mu_stream_stats *s)
{
	const struct mu_stream_stats *before = stream_of(pc->before, s->mid, s->rid);
	int64_t us = pc->stats_us - pc->before_us;

	if (!before || us <= 0 || before->ssrc != s->ssrc || before->bytes > s->bytes)
		return 0;
	return (s->bytes - before->bytes) * 8000000 / (uint64_t)us;
}

static void add_up(json_t *list, const struct pc *pc, const struct up_section *u)
{
	for (unsigned i = 0; i < pc->stats->n_streams; i++) {
		const struct mu_stream_stats *s = &pc->stats->streams[i];

		if (s->out || strcmp(s->mid, u->mid) != 0)
			continue;
		json_array_append_new(list,
			json_pack("{ss ss sI sI si}", "label", u->label, "rid", s->rid, "bps",
				(json_int_t)rate_bps(pc, s), "lost", (json_int_t)s->lost, "rtt_ms",
				(int)(s->rtt_us / 1000)));
	}
}

static json_t *up_json(const struct console *c)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < c->up.n_sections && c->up.pc && c->up.pc->stats; i++) {
		if (c->up.sections[i].n_in > 0)
			add_up(list, c->up.pc, &c->up.sections[i]);
	}
	return list;
}

void console_quality(struct console *c)
{
	if (!c->link)
		return;
	console_send(c,
		json_pack("{ss so so so}", "type", "quality", "link", link_json(c->down.pc), "down",
			down_json(c), "up", up_json(c)));
}
