#include "directory/directory.h"

json_t *mu_time_json(int64_t wall_us)
{
	char text[MU_TIME_TEXT];

	return json_string(mu_time_text(wall_us, 3, text));
}

static json_t *track_json(const struct mu_endpoint_track *t)
{
	enum mu_codec codec = t->n_formats > 0 ? t->formats[0].codec : MU_CODEC_NONE;

	return json_pack("{ss ss ss}", "label", t->label, "kind", t->kind == MU_AUDIO ? "audio" : "video",
		"codec", mu_codec_name(codec));
}

json_t *mu_endpoint_json(const struct mu_endpoint *ep)
{
	json_t *tracks = json_array();

	for (unsigned i = 0; i < ep->n_tracks; i++)
		json_array_append_new(tracks, track_json(&ep->tracks[i]));
	return json_pack("{ss ss so so sI}", "id", ep->id, "state", mu_endpoint_state_name(ep->state),
		"since", mu_time_json(ep->since_wall_us), "tracks", tracks, "viewers",
		(json_int_t)ep->viewers);
}
