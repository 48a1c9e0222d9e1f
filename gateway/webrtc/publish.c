/* Tracks of what is published, by m-section. */
#include <stdio.h>

#include "webrtc/session.h"

/* Tracks outlive publishers, so that viewers do: the one of this label if there is one, else a new one. */
int publish_tracks(struct mu_webrtc *w, struct mu_endpoint *ep, unsigned home, const char *label, struct mu_stream_in *in,
	unsigned n)
{
	const struct mu_endpoint_track *et = mu_endpoint_find_track(ep, label);
	char id[MU_ID_MAX + 16];
	int err = 0;

	(void)n;
	snprintf(id, sizeof(id), "%s/%s", ep->id, label);
	if (et)
		in[0].track = mu_track_ref(et->track);
	else
		err = mu_track_new(mu_media_net(w->o.media), home, id, mu_codec_kind(in[0].formats[0].codec), &in[0].track);
	if (err == 0)
		err = mu_endpoint_set_track(ep, label, in[0].track, in[0].formats, in[0].n_formats);
	ep->home = home;
	return err;
}
