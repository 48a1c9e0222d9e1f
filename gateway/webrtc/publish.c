/* Tracks of what is published, by m-section. They outlive publishers, so that viewers do. */
#include <stdio.h>

#include "webrtc/session.h"

static bool is_used(const struct mu_stream_in *in, unsigned n, const struct mu_track *t)
{
	for (unsigned i = 0; i < n; i++) {
		if (in[i].track == t)
			return true;
	}
	return false;
}

/* The track that an encoding had before: by its name, else any that no other encoding has now, for the publisher may return
 * with other names, or with fewer or more. */
static struct mu_track *track_before(
	const struct mu_endpoint_track *et, const struct mu_stream_in *in, unsigned n, unsigned i, bool by_name)
{
	for (unsigned k = 0; et && k < et->n_layers; k++) {
		if (is_used(in, n, et->layers[k]) || (by_name && strcmp(et->rids[k], in[i].rid) != 0))
			continue;
		return mu_track_ref(et->layers[k]);
	}
	return NULL;
}

static int new_track(struct mu_webrtc *w, const struct mu_endpoint *ep, unsigned home, const char *label, struct mu_stream_in *in)
{
	char id[MU_ID_MAX + 48];

	snprintf(id, sizeof(id), "%s/%s%s%s", ep->id, label, in->rid[0] ? "~" : "", in->rid);
	return mu_track_new(mu_media_net(w->o.media), home, id, mu_codec_kind(in->formats[0].codec), &in->track);
}

int publish_find_tracks(struct mu_webrtc *w, struct mu_endpoint *ep, unsigned home, const char *label, struct mu_stream_in *in,
	unsigned n)
{
	const struct mu_endpoint_track *et = mu_endpoint_find_track(ep, label);
	int err = 0;

	for (unsigned i = 0; i < n; i++)
		in[i].track = track_before(et, in, n, i, true);
	for (unsigned i = 0; i < n && err == 0; i++) {
		if (!in[i].track)
			in[i].track = track_before(et, in, n, i, false);
		if (!in[i].track)
			err = new_track(w, ep, home, label, &in[i]);
	}
	return err;
}

int publish_show_tracks(struct mu_endpoint *ep, const char *label, const struct mu_stream_in *in, unsigned n)
{
	struct mu_endpoint_layer layers[MU_LAYERS_MAX];

	for (unsigned i = 0; i < n && i < MU_LAYERS_MAX; i++) {
		layers[i].track = in[i].track;
		snprintf(layers[i].rid, sizeof(layers[i].rid), "%s", in[i].rid);
	}
	return mu_endpoint_set_layers(ep, label, layers, MU_MIN(n, (unsigned)MU_LAYERS_MAX), in[0].formats, in[0].n_formats);
}

int publish_tracks(struct mu_webrtc *w, struct mu_endpoint *ep, unsigned home, const char *label, struct mu_stream_in *in,
	unsigned n)
{
	int err = publish_find_tracks(w, ep, home, label, in, n);

	if (err == 0)
		err = publish_show_tracks(ep, label, in, n);
	ep->home = home;
	whep_feed_viewers(w, ep);
	return err;
}
