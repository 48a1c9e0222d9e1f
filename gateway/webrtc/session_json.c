/* Sessions as the API shows them. */
#include "webrtc/session.h"

static json_t *stream_json(const struct mu_stream_stats *s)
{
	return json_pack("{ss ss ss ss ss sI sI sI sI sI sI sI sI sI sI si si sf}", "mid", s->mid, "rid", s->rid,
		"direction", s->out ? "out" : "in", "kind", s->kind == MU_AUDIO ? "audio" : "video", "codec",
		mu_codec_name(s->codec), "ssrc", (json_int_t)s->ssrc, "packets", (json_int_t)s->packets,
		"bytes", (json_int_t)s->bytes, "lost", (json_int_t)s->lost, "nacks", (json_int_t)s->nacks,
		"retransmitted", (json_int_t)s->retransmitted, "repaired", (json_int_t)s->repaired,
		"key_requests", (json_int_t)s->key_requests, "key_frames", (json_int_t)s->key_frames,
		"dropped", (json_int_t)s->dropped, "jitter_us", (int)s->jitter_us, "rtt_us", (int)s->rtt_us,
		"fraction_lost", s->remote_fraction_lost / 256.0);
}

/* What was chosen, of a stream for which there is something to choose. */
static json_t *chosen_json(const struct mu_stream_stats *s)
{
	json_t *o = stream_json(s);

	json_object_set_new(o, "chosen", json_null());
	if (s->out && s->n_layers > 0)
		json_object_set_new(o, "chosen", json_pack("{ss si si si si si si sI sI}", "why", mu_choice_name(s->choice), "layer",
			s->layer, "layers", s->n_layers, "spatial", s->spatial, "temporal", s->temporal, "width", s->width,
			"height", s->height, "bps", (json_int_t)s->bps, "switches", (json_int_t)s->switches));
	return o;
}

static void add_stats(json_t *o, const struct mu_transport_stats *st)
{
	json_t *streams = json_object_get(o, "streams");
	char text[MU_ADDR_TEXT];

	if (st->profile != MU_SRTP_NONE)
		json_object_set_new(o, "profile", json_string(mu_srtp_profile_name(st->profile)));
	if (st->remote.sa.sa_family != AF_UNSPEC)
		json_object_set_new(o, "remote", json_string(mu_addr_text(&st->remote, text)));
	for (unsigned i = 0; i < st->n_streams; i++)
		json_array_append_new(streams, chosen_json(&st->streams[i]));
}

json_t *mu_session_json(const struct mu_session_info *info)
{
	const struct session *s = info->session;
	json_t *o = json_pack("{sI ss ss ss ss ss so sn sn s[]}", "number", (json_int_t)s->number, "id",
		s->id, "kind", session_kind_name(s->kind), "endpoint", s->ep->id, "subject", s->token.subject,
		"state", s->silent ? "silent" : s->connected ? "connected" : "new", "since", mu_time_json(s->since_wall_us),
		"profile", "remote", "streams");

	if (info->stats)
		add_stats(o, info->stats);
	if (info->down)
		add_stats(o, info->down);
	return o;
}
