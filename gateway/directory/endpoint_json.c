#include "directory/directory.h"

json_t *mu_time_json(int64_t wall_us)
{
	char text[MU_TIME_TEXT];

	return json_string(mu_time_text(wall_us, 3, text));
}

/* What each encoding of a picture is like now. */
static json_t *layers_json(const struct mu_endpoint_track *t)
{
	json_t *ret = json_array();

	for (unsigned i = 0; i < t->n_layers; i++) {
		struct mu_shape s;

		mu_track_shape(t->layers[i], &s);
		json_array_append_new(ret, json_pack("{ss sb si si si si si sI}", "rid", t->rids[i], "flows", s.flows,
			"width", s.width, "height", s.height, "spatials", s.spatials, "temporals", s.temporals, "fps", s.flows ? s.fps[MU_TEMPORAL_MAX - 1] : 0, "bps",
			(json_int_t)(s.flows ? s.bps[MU_SPATIAL_MAX - 1][MU_TEMPORAL_MAX - 1] : 0)));
	}
	return ret;
}

static json_t *track_json(const struct mu_endpoint_track *t)
{
	enum mu_codec codec = t->n_formats > 0 ? t->formats[0].codec : MU_CODEC_NONE;

	json_t *ret = json_pack("{ss ss ss}", "label", t->label, "kind", t->kind == MU_AUDIO ? "audio" : "video", "codec",
		mu_codec_name(codec));

	json_object_set_new(ret, "layers", t->kind == MU_VIDEO ? layers_json(t) : json_array());
	return ret;
}

json_t *mu_endpoint_json(const struct mu_endpoint *ep)
{
	json_t *tracks = json_array();

	for (unsigned i = 0; i < ep->n_tracks; i++) {
		if (!ep->tracks[i].off)
			json_array_append_new(tracks, track_json(&ep->tracks[i]));
	}
	return json_pack("{ss ss so so sI}", "id", ep->id, "state", mu_endpoint_state_name(ep->state),
		"since", mu_time_json(ep->since_wall_us), "tracks", tracks, "viewers",
		(json_int_t)ep->viewers);
}
