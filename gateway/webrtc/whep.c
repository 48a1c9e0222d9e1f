/* WHEP (draft-ietf-wish-whep): an offer becomes a viewer of an endpoint. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conference/conference.h"
#include "webrtc/session.h"

#define NOT_LIVE_RETRY_S 2

static bool receives(const struct mu_sdp_media *m)
{
	return m->direction == MU_SDP_RECVONLY || m->direction == MU_SDP_SENDRECV;
}

/* The first audio and the first video that want to receive; all usable ones belong to the transport. */
static bool find_wanted(const struct mu_sdp *o, bool usable[MU_SDP_MEDIA_MAX], int *ret_audio, int *ret_video,
	struct mu_web_reply *r)
{
	bool any = false;

	*ret_audio = *ret_video = -1;
	for (unsigned i = 0; i < o->n_media; i++) {
		const struct mu_sdp_media *m = &o->media[i];
		int *first = strcmp(m->type, "audio") == 0 ? ret_audio : ret_video;

		usable[i] = sdp_media_usable(m);
		any |= usable[i];
		if (usable[i] && receives(m) && *first < 0)
			*first = (int)i;
	}
	if (any && *ret_audio < 0 && *ret_video < 0)
		return reply_refuse(r, 422,
			"no audio or video of the offer is recvonly or sendrecv: this address is for viewers, publishers "
			"use WHIP");
	return true;
}

/* --- formats in common --- */

struct match {
	const struct mu_sdp_codec *codec;
	unsigned rank; /* place among the publisher's formats of the one that suits best */
	int score;
	unsigned order; /* place in the offer */
};

static int better(const void *a, const void *b)
{
	const struct match *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static bool match(
	const struct mu_endpoint_track *et, const struct mu_sdp_codec *c, unsigned order, struct match *ret)
{
	*ret = (struct match){ .codec = c, .order = order };
	for (unsigned k = 0; k < et->n_formats; k++) {
		int score = sdp_format_suits(&et->formats[k], c);

		if (score > ret->score) {
			ret->rank = k;
			ret->score = score;
		}
	}
	return ret->score > 0;
}

/* What the publisher sends now comes first; the others let it return with another codec and keep its viewers.
 */
static void take_formats(const struct mu_sdp_media *m, const struct mu_endpoint_track *et,
	struct sdp_section *s, struct mu_stream_out *out)
{
	struct match found[MU_SDP_CODECS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < m->n_codecs; i++)
		n += match(et, &m->codecs[i], i, &found[n]);
	qsort(found, n, sizeof(found[0]), better);
	for (unsigned i = 0; i < n && out->n_formats < MU_FORMATS_MAX; i++) {
		const struct mu_sdp_codec *c = found[i].codec, *rtx = sdp_rtx_of(m, c->pt);

		sdp_format_set(&out->formats[out->n_formats].format, c);
		out->formats[out->n_formats++].rtx_pt = rtx ? rtx->pt : 0;
		s->codecs[s->n_codecs++] = c;
		if (rtx)
			s->codecs[s->n_codecs++] = rtx;
		if (rtx && !out->rtx_ssrc)
			out->rtx_ssrc = mu_random_u32() | 1; /* never 0 */
	}
}

/* --- what is fitted to the viewer's link: what there is something to choose from of. All others cost less as
 * they are --- */

static bool ext_flows(const struct mu_sdp_media *m, unsigned i)
{
	return m->exts[i].direction == MU_SDP_RECVONLY || m->exts[i].direction == MU_SDP_SENDRECV;
}

static bool tells_arrivals(const struct mu_sdp_media *m)
{
	bool ext = false, feedback = false;

	for (unsigned i = 0; i < m->n_exts; i++)
		ext |= m->exts[i].type == MU_EXT_TWCC && ext_flows(m, i);
	for (unsigned i = 0; i < m->n_codecs; i++)
		feedback |= m->codecs[i].twcc;
	return ext && feedback;
}

/* Several encodings; or layers within one, and a viewer that tells what its link bears. */
static bool wants_fitting(const struct mu_sdp_media *m, const struct mu_endpoint_track *et)
{
	struct mu_shape shape;

	if (et->n_layers > 1 || et->kind != MU_VIDEO)
		return et->n_layers > 1;
	mu_track_shape(et->track, &shape);
	return (shape.temporals > 1 || shape.spatials > 1) && tells_arrivals(m);
}

static void feed(struct session *s, const char *mid, const struct mu_endpoint_track *et)
{
	bool audio = et->kind == MU_AUDIO; /* little, and missed first */
	struct mu_feed f = { .n_layers = et->n_layers,
		.urgency = audio ? MU_URGENT_SPEAKER : MU_URGENT_CONFERENCE,
		.never_paused = audio };
	int err;

	for (unsigned i = 0; i < et->n_layers; i++)
		f.layers[i] = et->layers[i];
	err = mu_transport_feed(s->t, mid, &f);
	if (err < 0 && err != -EPROTO)
		mu_warn(TOPIC, s->id, "cannot choose among what %s has now: %s; what it got before goes on",
			s->ep->id, g_strerror(-err));
}

static void feed_all(struct session *s)
{
	for (unsigned i = 0; i < s->n_fed; i++) {
		const struct mu_endpoint_track *et = mu_endpoint_find_track(s->ep, s->fed[i].label);

		if (et)
			feed(s, s->fed[i].mid, et);
	}
}

void whep_feed_viewers(struct mu_webrtc *w, const struct mu_endpoint *ep)
{
	mu_list_for_each (it, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->kind == SESSION_WHEP && s->ep == ep && !s->ended)
			feed_all(s);
	}
}

static void begin_feeding(struct session *s, const struct plan *p)
{
	for (unsigned i = 0; p->spec.fitted && i < p->spec.n_out && i < MU_ARRAY_LEN(s->fed); i++) {
		const struct mu_stream_out *out = &p->spec.out[i];

		memcpy(s->fed[s->n_fed].mid, out->mid, sizeof(s->fed[0].mid));
		snprintf(s->fed[s->n_fed++].label, sizeof(s->fed[0].label), "%s",
			mu_track_kind(out->track) == MU_AUDIO ? "audio" : "video");
	}
	feed_all(s);
}

/* --- one section --- */

static void take_exts(
	const struct mu_sdp_media *m, bool twcc, struct sdp_section *s, struct mu_stream_out *out)
{
	for (unsigned i = 0; i < m->n_exts; i++) {
		enum mu_sdp_direction d = m->exts[i].direction;

		if (!ext_flows(m, i) ||
			!(mu_ext_travels(m->exts[i].type) || (twcc && m->exts[i].type == MU_EXT_TWCC)))
			continue;
		s->exts[s->n_exts].type = m->exts[i].type;
		s->exts[s->n_exts].id = m->exts[i].id;
		s->exts[s->n_exts++].direction = d == MU_SDP_RECVONLY ? MU_SDP_SENDONLY : MU_SDP_SENDRECV;
		mu_ext_map_set(&out->exts, m->exts[i].type, m->exts[i].id);
	}
}

static bool take_section(struct plan *p, unsigned i, const struct mu_endpoint_track *et)
{
	const struct mu_sdp_media *m = &p->offer.media[i];
	struct sdp_section *s = &p->answer.sections[i];
	struct mu_stream_out *out = &p->spec.out[p->spec.n_out];

	memset(out, 0, sizeof(*out));
	take_formats(m, et, s, out);
	if (out->n_formats == 0)
		return false;
	p->spec.n_out++;
	s->twcc = p->spec.fitted && tells_arrivals(m);
	take_exts(m, s->twcc, s, out);
	s->nack = out->nack = s->codecs[0]->nack;
	s->pli = s->codecs[0]->pli;
	s->fir = s->codecs[0]->fir;
	s->accepted = true;
	s->direction = MU_SDP_SENDONLY;
	do
		out->ssrc = mu_random_u32();
	while (out->ssrc == 0 || out->ssrc == out->rtx_ssrc);
	s->ssrc = out->ssrc;
	s->rtx_ssrc = out->rtx_ssrc;
	s->cname = s->stream_id = p->spec.cname;
	s->track_id = et->label;
	memcpy(out->mid, m->mid, sizeof(out->mid));
	out->track = et->track; /* the endpoint holds it; the transport takes a reference of its own */
	return true;
}

/* Nothing to send: the section stays open, with any one format of its own. */
void plan_idle_section(struct plan *p, unsigned i)
{
	const struct mu_sdp_media *m = &p->offer.media[i];
	struct sdp_section *s = &p->answer.sections[i];

	for (unsigned k = 0; k < m->n_codecs && s->n_codecs == 0; k++) {
		if (sdp_codec_of(&m->codecs[k]) != MU_CODEC_NONE)
			s->codecs[s->n_codecs++] = &m->codecs[k];
	}
	s->accepted = s->n_codecs > 0;
	s->direction = MU_SDP_INACTIVE;
}

/* --- no format in common: both sides' lists --- */

static void list_formats(GString *t, const struct mu_endpoint_track *et)
{
	for (unsigned i = 0; i < et->n_formats; i++) {
		const struct mu_format *f = &et->formats[i];
		char profile[16] = "";

		if (f->codec == MU_CODEC_H264 &&
			mu_fmtp_param(f->fmtp, "profile-level-id", profile, sizeof(profile)))
			g_string_append_printf(t, " %s(%s)", mu_codec_name(f->codec), profile);
		else
			g_string_append_printf(t, " %s", mu_codec_name(f->codec));
	}
}

static void refuse_codecs(
	const struct plan *p, const struct mu_endpoint *ep, const int chosen[2], struct mu_web_reply *r)
{
	GString *t = g_string_new("sends");
	char names[120];

	for (unsigned i = 0; i < ep->n_tracks; i++) {
		g_string_append_printf(t, " %s:", ep->tracks[i].label);
		list_formats(t, &ep->tracks[i]);
	}
	if (t->len > 200)
		g_string_truncate(t, 200);
	g_string_append(t, "; the viewer takes");
	for (unsigned i = 0; i < 2; i++) {
		if (chosen[i] >= 0)
			g_string_append_printf(t, " %s: %s", p->offer.media[chosen[i]].type,
				sdp_codec_names(&p->offer.media[chosen[i]], names, sizeof(names)));
	}
	reply_refuse(r, 406, "%.80s %s", ep->id, t->str);
	g_string_free(t, TRUE);
}

static bool take_sections(struct plan *p, struct mu_endpoint *ep, struct mu_web_reply *r)
{
	bool usable[MU_SDP_MEDIA_MAX] = { false };
	const struct mu_endpoint_track *et[2];
	int chosen[2];

	if (!find_wanted(&p->offer, usable, &chosen[0], &chosen[1], r) || !plan_check(p, usable, r))
		return false;
	for (unsigned k = 0; k < 2; k++) {
		const struct mu_sdp_media *m = chosen[k] >= 0 ? &p->offer.media[chosen[k]] : NULL;

		et[k] = m ? mu_endpoint_find_track(ep, m->type) : NULL;
		p->spec.fitted |= et[k] && wants_fitting(m, et[k]);
	}
	for (unsigned i = 0; i < p->offer.n_media; i++) {
		const struct mu_endpoint_track *of = (int)i == chosen[0] ? et[0]
			: (int)i == chosen[1]                            ? et[1]
									 : NULL;

		if (usable[i] && !(of && take_section(p, i, of)))
			plan_idle_section(p, i);
	}
	if (p->spec.n_out == 0)
		refuse_codecs(p, ep, chosen, r);
	return p->spec.n_out > 0;
}

static struct mu_endpoint *find_endpoint(struct mu_webrtc *w, const char *id, struct mu_web_reply *r)
{
	struct mu_endpoint *ep = mu_directory_find(w->o.directory, id);

	if (!ep) {
		reply_refuse(r, 404,
			"endpoint %.140s is not known here: it has not published for a day, or never", id);
		return NULL;
	}
	if (ep->state == MU_ENDPOINT_IDLE) {
		r->retry_after_s = NOT_LIVE_RETRY_S;
		reply_refuse(r, 409,
			"%s does not publish now: try again, or wait for its endpoint.live event", ep->id);
		return NULL;
	}
	return ep;
}

void mu_whep_post(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp,
	size_t len, struct mu_web_reply *ret)
{
	struct plan *p = plan_new(w, SESSION_WHEP, who, sdp, len, ret);
	struct mu_endpoint *ep;
	struct session *s;

	if (!p)
		return;
	ep = find_endpoint(w, endpoint, ret);
	if (ep && take_sections(p, ep, ret)) {
		s = session_open(w, SESSION_WHEP, who, ep, mu_media_pick_worker(w->o.media), p, ret);
		if (s) {
			begin_feeding(s, p);
			mu_directory_set_viewers(w->o.directory, ep, ep->viewers + 1);
			session_tell(s, "session.created", NULL);
		}
	}
	plan_free(p);
}

void whep_ended(struct session *s)
{
	if (s->ep->viewers > 0)
		mu_directory_set_viewers(s->w->o.directory, s->ep, s->ep->viewers - 1);
}
