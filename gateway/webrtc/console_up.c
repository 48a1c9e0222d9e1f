/* The up connection: the client offers what it publishes, we answer as WHIP does.
 *
 * A further offer on the same connection may bring m-sections, take them away (inactive, or port 0), or
 * restart ICE; what is published already and stays as it was is not touched. The certificate never changes
 * (RELIABILITY S11): a client with another one has a new connection, and says so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/console.h"

/* --- what is in the offer --- */

static bool sends(const struct mu_sdp_media *m)
{
	return sdp_media_usable(m) && (m->direction == MU_SDP_SENDONLY || m->direction == MU_SDP_SENDRECV);
}

/* What the message says that a section carries. @return false: it is of another kind, told in r */
static bool label_of(
	const struct mu_signal *msg, const struct mu_sdp_media *m, char ret[16], struct mu_web_reply *r)
{
	const char *label = m->type;

	for (unsigned i = 0; i < msg->n_sent; i++) {
		if (strcmp(msg->sent[i].mid, m->mid) == 0)
			label = msg->sent[i].label;
	}
	if ((strcmp(label, "audio") == 0) != (strcmp(m->type, "audio") == 0))
		return reply_refuse(
			r, 400, "m-section %s is %s: it cannot be \"%s\"", m->mid, m->type, label);
	g_strlcpy(ret, label, 16);
	return true;
}

struct offered {
	char label[MU_SDP_MEDIA_MAX][16]; /* of sections that are sent, else "" */
	unsigned n;                       /* of those */
};

static bool read_labels(
	const struct mu_signal *msg, const struct mu_sdp *o, struct offered *ret, struct mu_web_reply *r)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < o->n_media; i++) {
		if (!sends(&o->media[i]))
			continue;
		if (!o->media[i].mid[0])
			return reply_refuse(r, 400, "m-line %u has no a=mid", i + 1);
		if (!label_of(msg, &o->media[i], ret->label[i], r))
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(ret->label[k], ret->label[i]) == 0)
				return reply_refuse(r, 400,
					"m-sections %s and %s are both \"%s\": an endpoint has one of each",
					o->media[k].mid, o->media[i].mid, ret->label[i]);
		}
		ret->n++;
	}
	return true;
}

static bool take_sections(struct plan *p, const struct offered *of, struct mu_web_reply *r)
{
	bool usable[MU_SDP_MEDIA_MAX] = { false };

	for (unsigned i = 0; i < p->offer.n_media; i++)
		usable[i] = sdp_media_usable(&p->offer.media[i]);
	if (!plan_check(p, usable, r))
		return false;
	for (unsigned i = 0; i < p->offer.n_media; i++) {
		if (of->label[i][0] && !whip_take_section(p, i, r))
			return false;
		if (usable[i] && !of->label[i][0])
			plan_idle_section(p, i);
	}
	return true;
}

/* --- the connection --- */

static bool same_fingerprints(const struct up *up, const struct mu_transport_spec *spec)
{
	return up->n_fingerprints == spec->n_fingerprints &&
		memcmp(up->fingerprints, spec->fingerprints,
			spec->n_fingerprints * sizeof(spec->fingerprints[0])) == 0;
}

static int open_transport(struct console *c, const struct plan *p)
{
	struct up *up = &c->up;
	struct mu_transport_spec *spec = malloc(sizeof(*spec));
	const struct mu_endpoint *ep = c->s->ep;
	int err;

	if (!spec)
		return -ENOMEM;
	*spec = p->spec;
	spec->n_in = 0; /* they are added as those of later offers are */
	spec->worker = ep->n_tracks > 0 ? ep->home : mu_media_pick_worker(c->s->w->o.media);
	up->worker = spec->worker;
	up->n_fingerprints = spec->n_fingerprints;
	memcpy(up->fingerprints, spec->fingerprints, sizeof(up->fingerprints));
	up->active = p->answer.active;
	mu_random(&up->sdp_id, sizeof(up->sdp_id));
	up->sdp_version = 0;
	err = pc_new(c, true, spec, &up->pc);
	free(spec);
	return err;
}

/* Whether the connection there is may take this offer. */
static bool may_connect(struct console *c, const struct plan *p, struct mu_web_reply *r)
{
	const struct up *up = &c->up;

	if (!up->pc)
		return true;
	if (!same_fingerprints(up, &p->spec)) {
		console_audit(
			c, "console.offer", c->s->ep->id, "denied", "another certificate's fingerprint");
		return reply_refuse(r, 403,
			"the offer names another certificate than before: one of a new connection says 'fresh' true");
	}
	if (c->s->ep->n_tracks > 0 && c->s->ep->home != up->worker) /* another publisher's, on another worker */
		return reply_refuse(r, 409,
			"%s was published by another meanwhile: offer a new connection ('fresh' true)",
			c->s->ep->id);
	return true;
}

static bool connect_up(struct console *c, struct plan *p, struct mu_web_reply *r)
{
	struct up *up = &c->up;
	const struct mu_sdp_media *m = &p->offer.media[p->tagged];
	bool changed = strcmp(up->ufrag, m->ufrag) != 0 || strcmp(up->pwd, m->pwd) != 0;

	if (!up->pc && open_transport(c, p) < 0)
		return reply_refuse(r, 503, "no transport for %s could be made: try again", c->s->ep->id);
	if (up->ufrag[0] && changed && mu_transport_restart_ice(up->pc->t) < 0)
		return reply_refuse(r, 409, "ICE cannot be restarted now: offer a new connection ('fresh' true)");
	memcpy(up->ufrag, m->ufrag, sizeof(up->ufrag));
	memcpy(up->pwd, m->pwd, sizeof(up->pwd));
	p->answer.active = up->active; /* RFC 8842: the side stays */
	return true;
}

/* --- tracks --- */

/* Streams of one m-section: one, or its encodings. */
static unsigned streams_of(struct plan *p, const char *mid, struct mu_stream_in **ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->spec.n_in; i++) {
		if (strcmp(p->spec.in[i].mid, mid) != 0)
			continue;
		if (n++ == 0)
			*ret = &p->spec.in[i];
	}
	return n;
}

static bool same_stream(const struct mu_stream_in *a, const struct mu_stream_in *b)
{
	if (strcmp(a->rid, b->rid) != 0 || a->n_formats != b->n_formats || a->ssrc != b->ssrc ||
		a->rtx_ssrc != b->rtx_ssrc || memcmp(a->rtx_pt, b->rtx_pt, sizeof(a->rtx_pt)) != 0 ||
		memcmp(&a->exts, &b->exts, sizeof(a->exts)) != 0)
		return false;
	for (unsigned i = 0; i < a->n_formats; i++) {
		if (a->formats[i].codec != b->formats[i].codec || a->formats[i].pt != b->formats[i].pt ||
			strcmp(a->formats[i].fmtp, b->formats[i].fmtp) != 0)
			return false;
	}
	return true;
}

static bool unchanged(
	const struct up_section *s, const char *label, const struct mu_stream_in *in, unsigned n)
{
	if (!s || s->n_in != n || strcmp(s->label, label) != 0)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!same_stream(&s->in[i], &in[i]))
			return false;
	}
	return true;
}

static struct up_section *section_of(struct up *up, const char *mid)
{
	for (unsigned i = 0; i < up->n_sections; i++) {
		if (strcmp(up->sections[i].mid, mid) == 0)
			return &up->sections[i];
	}
	return NULL;
}

static void forget_section(struct console *c, struct up_section *s)
{
	console_layers_unwatch(c, s);
	free(s->in);
	s->in = NULL;
	s->n_in = 0;
}

static void stop_section(struct console *c, struct up_section *s)
{
	if (s->n_in > 0 && c->up.pc)
		mu_transport_remove_in(c->up.pc->t, s->mid);
	forget_section(c, s);
}

static int start_section(
	struct console *c, const char *mid, const char *label, struct mu_stream_in *in, unsigned n)
{
	struct up *up = &c->up;
	struct up_section *s = section_of(up, mid);
	int err = 0;

	if (!s) {
		s = &up->sections[up->n_sections++]; /* all have a mid of the last offer: no more than it has m-sections */
		memset(s, 0, sizeof(*s));
		g_strlcpy(s->mid, mid, sizeof(s->mid));
	}
	g_strlcpy(s->label, label, sizeof(s->label));
	err = publish_tracks(c->s->w, c->s->ep, up->worker, label, in, n);
	for (unsigned i = 0; i < n && err == 0; i++)
		err = mu_transport_add_in(up->pc->t, &in[i]);
	if (err < 0)
		mu_transport_remove_in(up->pc->t, mid); /* of several encodings some were added */
	s->in = err == 0 ? g_memdup2(in, n * sizeof(*in)) : NULL;
	s->n_in = s->in ? n : 0;
	if (err == 0)
		console_layers_watch(c, s, in, n);
	for (unsigned i = 0; i < n; i++) {
		in[i].track = mu_track_unref(in[i].track);
		if (s->in)
			s->in[i].track = NULL;
	}
	return err;
}

static bool is_offered(const struct plan *p, const char *mid)
{
	for (unsigned i = 0; i < p->offer.n_media; i++) {
		if (strcmp(p->offer.media[i].mid, mid) == 0)
			return true;
	}
	return false;
}

/* A client that uses an m-line again for something else gives it a new mid (RFC 8829, section 5.2.2): what it was before is over. */
static void drop_missing(struct console *c, const struct plan *p)
{
	struct up *up = &c->up;
	unsigned n = 0;

	for (unsigned i = 0; i < up->n_sections; i++) {
		struct up_section *s = &up->sections[i];

		if (!is_offered(p, s->mid))
			stop_section(c, s);
		else if (n++ != i)
			up->sections[n - 1] = *s;
	}
	up->n_sections = n;
}

/* Sections that are not sent any more first: another may carry what they did. */
static int apply(struct console *c, struct plan *p, const struct offered *of)
{
	struct up *up = &c->up;
	struct mu_stream_in *in = NULL;
	int err = 0;

	drop_missing(c, p);
	for (unsigned i = 0; i < p->offer.n_media; i++) {
		struct up_section *s = section_of(up, p->offer.media[i].mid);
		unsigned n = of->label[i][0] ? streams_of(p, p->offer.media[i].mid, &in) : 0;

		if (s && s->n_in > 0 && (n == 0 || !unchanged(s, of->label[i], in, n)))
			stop_section(c, s);
	}
	for (unsigned i = 0; i < p->offer.n_media && err == 0; i++) {
		const char *mid = p->offer.media[i].mid;
		const struct up_section *s = section_of(up, mid);
		unsigned n = streams_of(p, mid, &in);

		if (of->label[i][0] && !(s && s->n_in > 0))
			err = start_section(c, mid, of->label[i], in, n);
	}
	return err;
}

/* --- the endpoint --- */

static bool claim(struct console *c, struct mu_web_reply *r)
{
	struct mu_endpoint *ep = c->s->ep;
	struct session *old;

	if (strcmp(ep->session, c->s->id) == 0)
		return true;
	if (!may_publish(c->s->w, ep, &c->s->token, &old, r))
		return false;
	g_strlcpy(ep->session, c->s->id, sizeof(ep->session));
	g_strlcpy(ep->subject, c->s->token.subject, sizeof(ep->subject));
	if (old)
		publisher_replace(old);
	return true;
}

/* @return how many; labels are borrowed */
static unsigned published(const struct up *up, const char *labels[MU_SDP_MEDIA_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < up->n_sections; i++) {
		if (up->sections[i].n_in > 0)
			labels[n++] = up->sections[i].label;
	}
	return n;
}

static void show(struct console *c, const struct offered *of)
{
	const char *labels[MU_SDP_MEDIA_MAX];
	struct up *up = &c->up;

	if (of->n > 0)
		mu_endpoint_only(c->s->ep, labels, published(up, labels));
	if (of->n == 0)
		whip_ended(c->s, SESSION_MEANT, "it publishes no more");
	else if (up->pc && up->pc->connected && !c->s->silent && c->s->ep->state != MU_ENDPOINT_LIVE)
		whip_connected(c->s);
	consoles_endpoint_changed(c->s->w, c->s->ep->id);
}

/* --- answered --- */

static char *write_answer(struct console *c, struct plan *p)
{
	struct up *up = &c->up;

	p->answer.ufrag = mu_transport_ufrag(up->pc->t);
	p->answer.pwd = mu_transport_pwd(up->pc->t);
	p->answer.id = up->sdp_id;
	p->answer.version = ++up->sdp_version;
	p->answer.fingerprint = mu_identity_fingerprint(mu_media_identity(c->s->w->o.media));
	candidates_gather(c->s->w, up->worker, &p->answer.candidates);
	return sdp_answer_write(&p->answer);
}

static void answer(struct console *c, const struct mu_signal *m, struct plan *p)
{
	char *sdp = write_answer(c, p);

	console_send(
		c, json_pack("{ss sI ss}", "type", "answer", "id", (json_int_t)m->id, "sdp", sdp ? sdp : ""));
	free(sdp);
}

static bool take_offer(struct console *c, const struct mu_signal *m, struct plan *p, struct mu_web_reply *r)
{
	const char *labels[MU_SDP_MEDIA_MAX];
	struct offered *of = malloc(sizeof(*of));
	bool ok = of && read_labels(m, &p->offer, of, r) && take_sections(p, of, r) &&
		(m->fresh || may_connect(c, p, r)); /* before another publisher makes way */

	if (ok && of->n > 0)
		ok = claim(c, r);
	if (ok && m->fresh)
		console_up_drop(c, "the client has a new connection");
	ok = ok && connect_up(c, p, r);
	if (ok && apply(c, p, of) < 0)
		ok = reply_refuse(
			r, 503, "out of memory for the tracks of %s: try again later", c->s->ep->id);
	if (ok)
		show(c, of);
	else if (!of)
		reply_refuse(r, 503, "out of memory for the offer: try again later");
	if (!ok && published(&c->up, labels) == 0) /* it had the endpoint, or just got it */
		whip_ended(c->s, SESSION_LOST, "its offer could not be taken");
	free(of);
	return ok;
}

void console_up_offer(struct console *c, const struct mu_signal *m)
{
	struct mu_web_reply r = { 0 };
	struct plan *p = NULL;

	if (!(c->s->token.scopes & (MU_SCOPE_PUBLISH | MU_SCOPE_CONFERENCE | MU_SCOPE_ADMIN)))
		reply_refuse(&r, 403, "the token lacks the scope this needs: publish or conference");
	else
		p = plan_read(m->sdp, strlen(m->sdp), &r);
	if (p && take_offer(c, m, p, &r))
		answer(c, m, p);
	else
		console_refuse(c, m->id, r.status, "%s", r.detail);
	plan_free(p);
}

/* --- what becomes of it --- */

void console_up_state(struct console *c, enum mu_transport_state state, const char *why)
{
	if (state == MU_TRANSPORT_CONNECTED) {
		c->s->silent = false;
		whip_connected(c->s);
	} else if (state == MU_TRANSPORT_SILENT) {
		c->s->silent = true;
		whip_silent(c->s, why);
	}
}

static void forget(struct console *c)
{
	struct up *up = &c->up;

	for (unsigned i = 0; i < up->n_sections; i++)
		forget_section(c, &up->sections[i]);
	up->n_sections = up->n_fingerprints = 0;
	up->ufrag[0] = up->pwd[0] = '\0';
	c->s->silent = false;
}

void console_up_closed(struct console *c, const char *why)
{
	forget(c);
	whip_ended(c->s, SESSION_LOST, why);
}

void console_up_drop(struct console *c, const char *why)
{
	pc_close(c->up.pc, why);
	forget(c);
}

void console_up_taken_over(struct console *c)
{
	static const char why[] = "another publisher took over";

	console_up_drop(c, why);
	console_send(c, json_pack("{ss ss ss}", "type", "closed", "pc", "up", "why", why));
}
