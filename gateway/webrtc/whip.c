/* WHIP (RFC 9725): an offer becomes a publisher of an endpoint. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "webrtc/session.h"

/* Figures come once a second, media and checks far more often or every 5 s (RFC 7675, section 5.1). */
#define UNHEARD_US	  INT64_C(2000000)
#define UNHEARD_PAUSED_US INT64_C(7000000)

static bool sends(const struct mu_sdp_media *m)
{
	return m->direction == MU_SDP_SENDONLY || m->direction == MU_SDP_SENDRECV;
}

/* A section that is meant and that we cannot take is an error of the whole offer: a publisher must not
 * believe that all of it goes out (RFC 9725 knows no partial success). One that the offerer refused itself
 * stays refused. */
static bool check_section(const struct mu_sdp_media *m, unsigned line, struct mu_web_reply *r)
{
	if (strcmp(m->type, "audio") != 0 && strcmp(m->type, "video") != 0)
		return reply_refuse(r, 422,
			"m-line %u (%s): a publisher sends audio and video and nothing else (RFC 9725): leave it out",
			line, m->type);
	if (!sends(m))
		return reply_refuse(r, 422,
			"m-line %u (%s) is %s: this address takes publishers, whose audio and video are sendonly or sendrecv; "
			"viewers use WHEP",
			line, m->type, sdp_direction_name(m->direction));
	return true;
}

/* @return the first section whose tracks belong to another MediaStream than those before it, -1: none does */
static int other_stream(const struct mu_sdp *o, const bool *wanted)
{
	for (unsigned i = 0; i < o->n_media; i++) {
		if (wanted[i] && o->media[i].msids_differ)
			return (int)i;
		for (unsigned k = 0; wanted[i] && k < i; k++) {
			if (wanted[k] && !sdp_same_stream(o->media[k].msid, o->media[i].msid))
				return (int)i;
		}
	}
	return -1;
}

/* RFC 9725, section 4.2: one audio and one video at most. */
static bool find_wanted(const struct mu_sdp *o, bool wanted[MU_SDP_MEDIA_MAX], struct mu_web_reply *r)
{
	unsigned audio = 0, video = 0;
	int other;

	for (unsigned i = 0; i < o->n_media; i++) {
		const struct mu_sdp_media *m = &o->media[i];

		if (sdp_media_meant(m) && !check_section(m, i + 1, r))
			return false;
		wanted[i] = sdp_media_usable(m);
		if (wanted[i])
			(*(strcmp(m->type, "audio") == 0 ? &audio : &video))++;
	}
	if (audio > 1 || video > 1)
		return reply_refuse(r, 422,
			"the offer sends %u audio and %u video: a publisher sends at most one of each (RFC 9725, section "
			"4.2); more need endpoints of their own",
			audio, video);
	other = other_stream(o, wanted);
	if (other >= 0)
		return reply_refuse(r, 422,
			"the offer has more than one MediaStream (m-line %d names another in a=msid): a publisher sends one "
			"(RFC 9725); more need endpoints of their own",
			other + 1);
	return true;
}

/* --- one section: what of it we take --- */

static bool takes_ext(enum mu_rtp_ext type, bool layers)
{
	switch (type) {
	case MU_EXT_RID:
	case MU_EXT_REPAIRED_RID:
		return layers;
	case MU_EXT_MID:
	case MU_EXT_AUDIO_LEVEL:
	case MU_EXT_TWCC:
	case MU_EXT_VIDEO_ORIENTATION:
	case MU_EXT_PLAYOUT_DELAY:
	case MU_EXT_VIDEO_CONTENT_TYPE:
	case MU_EXT_COLOR_SPACE:
	case MU_EXT_ABS_CAPTURE_TIME:
	case MU_EXT_DEPENDENCY_DESCRIPTOR:
		return true;
	default:
		return false;
	}
}

static void take_exts(const struct mu_sdp_media *m, struct sdp_section *s, struct mu_stream_in *in)
{
	for (unsigned i = 0; i < m->n_exts; i++) {
		enum mu_sdp_direction d = m->exts[i].direction;

		if (!takes_ext(m->exts[i].type, m->n_layers > 1) || d == MU_SDP_RECVONLY || d == MU_SDP_INACTIVE)
			continue;
		s->exts[s->n_exts].type = m->exts[i].type;
		s->exts[s->n_exts].id = m->exts[i].id;
		/* RFC 8285, section 5: the answer mirrors a direction that the offer states */
		s->exts[s->n_exts++].direction = d == MU_SDP_SENDONLY ? MU_SDP_RECVONLY : MU_SDP_SENDRECV;
		mu_ext_map_set(&in->exts, m->exts[i].type, m->exts[i].id);
	}
}

/* The first format is what the sender uses; what it has no feedback for we cannot ask. */
static void take_feedback(struct sdp_section *s, struct mu_stream_in *in)
{
	const struct mu_sdp_codec *c = s->codecs[0];

	s->nack = in->nack = c->nack;
	s->pli = in->pli = c->pli;
	s->fir = in->fir = c->fir;
	s->twcc = in->twcc = c->twcc && in->exts.id_of[MU_EXT_TWCC];
	s->remb = in->remb = c->remb && !s->twcc;
}

static bool is_taken(const struct mu_stream_in *in, const struct mu_sdp_codec *rtx)
{
	for (unsigned i = 0; i < in->n_formats; i++) {
		if (in->rtx_pt[i] == rtx->pt)
			return true;
	}
	return false;
}

/* Of several encodings what is sent again has to name the one it is of; else it is asked for in its own stream. */
static bool takes_rtx(const struct mu_sdp_media *m)
{
	for (unsigned i = 0; i < m->n_exts; i++) {
		if (m->exts[i].type == MU_EXT_REPAIRED_RID)
			return true;
	}
	return m->n_layers <= 1;
}

/* All formats that we relay, in the offerer's order (its preference), and their RTX. */
static void take_formats(
	const struct mu_sdp_media *m, enum mu_kind kind, struct sdp_section *s, struct mu_stream_in *in)
{
	for (unsigned i = 0; i < m->n_codecs && in->n_formats < MU_FORMATS_MAX; i++) {
		enum mu_codec codec = sdp_codec_of(&m->codecs[i]);
		const struct mu_sdp_codec *rtx = takes_rtx(m) ? sdp_rtx_of(m, m->codecs[i].pt) : NULL;

		if (codec == MU_CODEC_NONE || mu_codec_kind(codec) != kind)
			continue;
		sdp_format_set(&in->formats[in->n_formats], &m->codecs[i]);
		in->rtx_pt[in->n_formats++] = rtx ? rtx->pt : 0;
	}
	for (unsigned i = 0, next = 0; i < m->n_codecs; i++) {
		const struct mu_sdp_codec *c = &m->codecs[i];

		if (next < in->n_formats && c->pt == in->formats[next].pt) {
			s->codecs[s->n_codecs++] = c;
			next++;
		} else if (strcasecmp(c->name, "rtx") == 0 && is_taken(in, c)) {
			s->codecs[s->n_codecs++] = c;
		}
	}
}

/* Each encoding is a stream of its own, known by its packets' RID: what SSRCs the offer names says not whose they are. More
 * than we take are left out of the answer. */
static bool take_layers(struct plan *p, const struct mu_sdp_media *m, unsigned i, struct mu_web_reply *r)
{
	struct sdp_section *s = &p->answer.sections[i];
	struct mu_stream_in *first = &p->spec.in[p->spec.n_in - 1];

	if (m->n_layers <= 1)
		return true;
	if (!first->exts.id_of[MU_EXT_RID] || !first->exts.id_of[MU_EXT_MID])
		return reply_refuse(r, 422,
			"m-line %u has a=simulcast and not the header extensions %s and %s, by which its encodings are told apart", i + 1,
			mu_ext_uri(MU_EXT_MID), mu_ext_uri(MU_EXT_RID));
	first->ssrc = first->rtx_ssrc = 0;
	for (unsigned k = 0; k < m->n_layers && k < MU_LAYERS_MAX && p->spec.n_in + (k > 0) <= MU_STREAMS_MAX; k++) {
		struct mu_stream_in *in = k == 0 ? first : &p->spec.in[p->spec.n_in++];

		if (k > 0)
			*in = *first;
		snprintf(in->rid, sizeof(in->rid), "%s", m->layers[k]);
		s->rids[s->n_rids++] = m->layers[k];
	}
	return true;
}

bool whip_take_section(struct plan *p, unsigned i, struct mu_web_reply *r)
{
	const struct mu_sdp_media *m = &p->offer.media[i];
	struct sdp_section *s = &p->answer.sections[i];
	struct mu_stream_in *in = &p->spec.in[p->spec.n_in++];
	enum mu_kind kind = strcmp(m->type, "audio") == 0 ? MU_AUDIO : MU_VIDEO;
	char names[160];

	take_formats(m, kind, s, in);
	if (in->n_formats == 0)
		return reply_refuse(r, 406, "m-line %u (%s) offers %s; the gateway relays %s", i + 1, m->type,
			sdp_codec_names(m, names, sizeof(names)),
			kind == MU_AUDIO ? "opus, G722, PCMA, PCMU" : "H264, VP8, VP9, AV1, H265");
	take_exts(m, s, in);
	take_feedback(s, in);
	s->accepted = true;
	s->direction = MU_SDP_RECVONLY;
	memcpy(in->mid, m->mid, sizeof(in->mid));
	in->ssrc = m->ssrc;
	in->rtx_ssrc = m->rtx_ssrc;
	return take_layers(p, m, i, r);
}

static bool take_sections(struct plan *p, struct mu_web_reply *r)
{
	bool wanted[MU_SDP_MEDIA_MAX] = { false };

	if (!find_wanted(&p->offer, wanted, r) || !plan_check(p, wanted, r))
		return false;
	for (unsigned i = 0; i < p->offer.n_media; i++) {
		if (wanted[i] && !whip_take_section(p, i, r))
			return false;
	}
	return true;
}

/* --- the endpoint --- */

static struct mu_endpoint *take_endpoint(struct mu_webrtc *w, const char *id, struct mu_web_reply *r)
{
	struct mu_directory *d = w->o.directory;
	struct mu_error e;
	struct mu_endpoint *ep = mu_directory_take(d, id, &e);
	size_t site = strlen(mu_directory_site(d));
	bool ours =
		mu_endpoint_id_valid(id) && strncmp(id, mu_directory_site(d), site) == 0 && id[site] == '/';

	if (!ep)
		reply_refuse(r, ours ? 503 : 400, "%s", e.text);
	return ep;
}

/* How long an old session has still to be unheard before its publisher counts as gone; 0: it does. One that sends media is
 * missed within seconds; one that paused shows by reports and checks that it is there, some each 6 s (RFC 7675, section 5.1). */
static int64_t left_us(const struct session *old)
{
	bool paused = old->heard_us - old->media_us >= UNHEARD_US;
	int64_t unheard = old->w->now_us() - old->heard_us;

	return MU_MAX((paused ? UNHEARD_PAUSED_US : UNHEARD_US) - unheard, (int64_t)0);
}

/* A client that returns before its old session was found dead is the same publisher, whatever the policy. But a token may be
 * shared, by two tabs of a browser or a whole troop: while the old session is heard, nobody has come back. A session without
 * consent stands in nobody's way. */
bool may_publish(struct mu_webrtc *w, const struct mu_endpoint *ep, const struct mu_token *who,
	struct session **ret_old, struct mu_web_reply *r)
{
	struct session *old = ep->session[0] ? session_find(w, ep->session) : NULL;
	bool same;

	*ret_old = old;
	if (!old || old->silent || w->o.second == MU_SECOND_TAKE_OVER)
		return true;
	same = mu_token_same(&old->token, who);
	if (same && left_us(old) == 0)
		return true;
	if (same)
		r->retry_after_s = (int)(left_us(old) / 1000000) + 1;
	return reply_refuse(r, 409,
		"%s is published already, by %s since session %.6s...: end that one first", ep->id,
		ep->subject, ep->session);
}

static const char *label_of(const struct mu_stream_in *in)
{
	return mu_codec_kind(in->formats[0].codec) == MU_AUDIO ? "audio" : "video";
}

/* The streams of a section follow each other. @return the next section's first */
static unsigned section_end(const struct mu_transport_spec *spec, unsigned from)
{
	unsigned end = from + 1;

	while (end < spec->n_in && strcmp(spec->in[end].mid, spec->in[from].mid) == 0)
		end++;
	return end;
}

static int take_tracks(struct mu_webrtc *w, struct mu_endpoint *ep, unsigned home, struct mu_transport_spec *spec)
{
	int err = 0;

	for (unsigned i = 0, end; i < spec->n_in && err == 0; i = end) {
		end = section_end(spec, i);
		err = publish_find_tracks(w, ep, home, label_of(&spec->in[i]), &spec->in[i], end - i);
	}
	return err;
}

static void drop_tracks(struct mu_transport_spec *spec)
{
	for (unsigned i = 0; i < spec->n_in; i++)
		spec->in[i].track = mu_track_unref(spec->in[i].track);
}

static int give_tracks(struct mu_webrtc *w, struct mu_endpoint *ep, unsigned home, const struct mu_transport_spec *spec)
{
	const char *labels[MU_STREAMS_MAX];
	unsigned n = 0;
	int err = 0;

	for (unsigned i = 0, end; i < spec->n_in && err == 0; i = end) {
		end = section_end(spec, i);
		labels[n++] = label_of(&spec->in[i]);
		err = publish_show_tracks(ep, labels[n - 1], &spec->in[i], end - i);
	}
	mu_endpoint_only(ep, labels, n);
	ep->home = home;
	whep_feed_viewers(w, ep);
	return err;
}

static void publish(struct mu_webrtc *w, const struct mu_token *who, struct mu_endpoint *ep,
	struct session *old, struct plan *p, struct mu_web_reply *r)
{
	unsigned home = ep->n_tracks > 0 ? ep->home : mu_media_pick_worker(w->o.media);
	struct session *s;

	if (take_tracks(w, ep, home, &p->spec) < 0) {
		reply_refuse(r, 503, "out of memory for the tracks of %s: try again later", ep->id);
		return;
	}
	s = session_open(w, SESSION_WHIP, who, ep, home, p, r);
	if (!s)
		return;
	snprintf(ep->session, sizeof(ep->session), "%s", s->id);
	snprintf(ep->subject, sizeof(ep->subject), "%s", who->subject);
	if (old)
		publisher_replace(old);
	session_tell(s, "session.created", NULL);
	if (give_tracks(w, ep, home, &p->spec) < 0) {
		mu_web_reply_done(r);
		session_end(s, SESSION_LOST, "out of memory");
		reply_refuse(r, 503, "out of memory for the tracks of %s: try again later", ep->id);
	}
}

void mu_whip_post(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp,
	size_t len, struct mu_web_reply *ret)
{
	struct plan *p = plan_new(w, SESSION_WHIP, who, sdp, len, ret);
	struct mu_endpoint *ep;
	struct session *old;

	if (!p)
		return;
	if (take_sections(p, ret)) {
		ep = take_endpoint(w, endpoint, ret);
		if (ep && may_publish(w, ep, who, &old, ret))
			publish(w, who, ep, old, p, ret);
		if (ep)
			mu_directory_release(w->o.directory, ep);
		drop_tracks(&p->spec);
	}
	plan_free(p);
}

/* --- what becomes of the endpoint --- */

struct hold {
	struct mu_webrtc *w;
	struct mu_endpoint *ep;
	guint timer;
};

static void stop_hold(struct mu_webrtc *w, struct mu_endpoint *ep)
{
	const struct hold *h = g_hash_table_lookup(w->holds, ep);

	if (!h)
		return;
	w->timer_remove(h->timer);
	g_hash_table_remove(w->holds, ep);
}

void whip_stop_holds(struct mu_webrtc *w)
{
	GHashTableIter it;
	gpointer h;

	g_hash_table_iter_init(&it, w->holds);
	while (g_hash_table_iter_next(&it, NULL, &h))
		w->timer_remove(((const struct hold *)h)->timer);
	g_hash_table_remove_all(w->holds);
}

static void go_idle(struct mu_webrtc *w, struct mu_endpoint *ep, const char *why)
{
	stop_hold(w, ep);
	mu_list_for_each_safe (it, next, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->ep == ep && s->kind == SESSION_WHEP)
			session_end(s, SESSION_MEANT, "publisher left");
	}
	mu_directory_set_state(w->o.directory, ep, MU_ENDPOINT_IDLE, why);
}

static gboolean hold_over(gpointer arg)
{
	struct hold h = *(const struct hold *)arg;

	g_hash_table_remove(h.w->holds, h.ep);
	/* A publisher that is just connecting gets its chance: when it fails, the hold begins anew. */
	if (h.ep->state == MU_ENDPOINT_LOST && !h.ep->session[0])
		go_idle(h.w, h.ep, "its publisher did not come back");
	return G_SOURCE_REMOVE;
}

static void start_hold(struct mu_webrtc *w, struct mu_endpoint *ep)
{
	struct hold *h = g_new(struct hold, 1);

	stop_hold(w, ep);
	h->w = w;
	h->ep = ep;
	h->timer = w->timer_add((guint)MU_MIN(w->o.hold_us / 1000, (int64_t)G_MAXUINT), hold_over, h);
	g_hash_table_insert(w->holds, ep, h);
}

void whip_connected(struct session *s)
{
	if (strcmp(s->ep->session, s->id) != 0)
		return;
	stop_hold(s->w, s->ep);
	mu_directory_set_state(s->w->o.directory, s->ep, MU_ENDPOINT_LIVE, "its publisher is connected");
}

void whip_silent(struct session *s, const char *why)
{
	if (strcmp(s->ep->session, s->id) == 0 && s->ep->state == MU_ENDPOINT_LIVE)
		mu_directory_set_state(s->w->o.directory, s->ep, MU_ENDPOINT_LOST, why);
}

void whip_ended(struct session *s, enum session_end how, const char *why)
{
	struct mu_endpoint *ep = s->ep;

	if (strcmp(ep->session, s->id) != 0)
		return; /* another took over: the endpoint is that one's */
	ep->session[0] = '\0';
	if (how == SESSION_MEANT || ep->state == MU_ENDPOINT_IDLE || s->w->o.hold_us <= 0) {
		go_idle(s->w, ep, why);
		return;
	}
	mu_directory_set_state(s->w->o.directory, ep, MU_ENDPOINT_LOST, why);
	start_hold(s->w, ep);
}
