#include <stdio.h>
#include <time.h>

#include "directory/directory.h"

json_t *mu_time_json(int64_t wall_us)
{
	time_t s = (time_t)(wall_us / 1000000);
	char date[32], text[48];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03dZ", date, (int)(wall_us / 1000 % 1000));
	return json_string(text);
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
