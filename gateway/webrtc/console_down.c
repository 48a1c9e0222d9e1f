/* The down connection: offered by us, answered by the client, its slots filled in console_slots.c.
 *
 * One offer at a time. Until the first answer there is no transport, for it needs the client's fingerprint;
 * only its ICE credentials exist, in the offer. Each further offer has all slots, more than before, or new
 * credentials.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/console.h"

#define AGAIN_US 5000000 /* between two connections that the gateway begins by itself */

/* --- offering --- */

static void renew_credentials(struct down *d)
{
	if (d->pc && mu_transport_restart_ice(d->pc->t) < 0)
		mu_warn(TOPIC, d->pc->c->s->id, "ICE of the down connection cannot be restarted now");
	if (!d->pc)
		mu_transport_credentials(d->ufrag, d->pwd);
	d->wants_restart = false;
}

static char *write_offer(struct console *c)
{
	struct down *d = &c->down;
	struct mu_webrtc *w = c->s->w;
	struct sdp_offer_section sections[CONSOLE_SLOTS_MAX];
	struct sdp_candidates candidates;
	struct sdp_offer o = { .id = d->sdp_id,
		.version = d->n,
		.ufrag = d->pc ? mu_transport_ufrag(d->pc->t) : d->ufrag,
		.pwd = d->pc ? mu_transport_pwd(d->pc->t) : d->pwd,
		.cname = d->cname,
		.fingerprint = mu_identity_fingerprint(mu_media_identity(w->o.media)),
		.candidates = &candidates,
		.sections = sections,
		.n_sections = d->n_slots };

	candidates_gather(w, d->worker, &candidates);
	for (unsigned k = 0; k < d->n_slots; k++) {
		const struct slot *slot = d->slots[k];

		sections[k] = (struct sdp_offer_section){ slot->mid, slot->kind, slot->refused, slot->ssrc,
			slot->rtx_ssrc };
	}
	return sdp_offer_write(&o);
}

static void begin(struct console *c)
{
	struct down *d = &c->down;

	d->begun = true;
	d->begun_us = c->s->w->now_us();
	d->worker = mu_media_pick_worker(c->s->w->o.media);
	mu_transport_credentials(d->ufrag, d->pwd);
	d->wants_restart = false;
	mu_random(&d->sdp_id, sizeof(d->sdp_id));
}

void console_down_offer(struct console *c)
{
	struct down *d = &c->down;
	bool fresh = !d->begun;
	char *sdp;

	if (!c->link || d->outstanding || d->n_slots == 0 || !(d->wants_offer || d->wants_restart))
		return;
	if (fresh)
		begin(c);
	if (d->wants_restart)
		renew_credentials(d);
	d->n++;
	for (unsigned k = 0; k < d->n_slots; k++)
		d->slots[k]->offered = true;
	sdp = write_offer(c);
	d->outstanding = json_pack(
		"{ss sI ss sb}", "type", "offer", "n", (json_int_t)d->n, "sdp", sdp, "fresh", fresh);
	d->wants_offer = false;
	g_free(sdp);
	console_send(c, json_incref(d->outstanding));
}

static void forget_offer(struct down *d)
{
	json_decref(d->outstanding);
	d->outstanding = NULL;
}

/* The connection is over: slots, numbers and credentials begin anew. */
static void start_over(struct console *c)
{
	struct down *d = &c->down;

	forget_offer(d);
	console_slots_reset(c);
	d->begun = d->wants_offer = d->wants_restart = false;
	d->n_fingerprints = 0;
}

void console_down_restart(struct console *c, bool fresh)
{
	struct down *d = &c->down;

	if (fresh) {
		pc_close(d->pc, "the client has a new connection");
		start_over(c);
		console_down_settle(c);
	} else if (d->outstanding) {
		console_send(c, json_incref(d->outstanding));
		d->wants_restart =
			d->pc != NULL; /* what is outstanding may have been made before the network changed */
	} else if (d->pc) {
		d->wants_restart = true;
		console_down_offer(c);
	}
}

static gboolean begin_again(gpointer arg)
{
	struct console *c = arg;

	c->down.timer = 0;
	console_down_settle(c);
	return G_SOURCE_REMOVE;
}

void console_down_closed(struct console *c, const char *why)
{
	struct down *d = &c->down;
	int64_t left_us = d->begun_us + AGAIN_US - c->s->w->now_us();

	(void)why;
	start_over(c);
	if (left_us <= 0)
		console_touch(c);
	else if (!d->timer)
		d->timer = c->s->w->timer_add((guint)(left_us / 1000) + 1, begin_again, c);
}

void console_down_tell_again(struct console *c)
{
	struct down *d = &c->down;

	if (d->told)
		console_send(c, json_incref(d->told));
	if (d->outstanding)
		console_send(c, json_incref(d->outstanding));
	console_touch(c);
}

void console_down_free(struct console *c)
{
	forget_offer(&c->down);
	console_slots_reset(c);
	if (c->down.timer)
		c->s->w->timer_remove(c->down.timer);
	c->down.timer = 0;
}

/* --- answered --- */

static const struct mu_sdp_media *section_of(const struct mu_sdp *a, const struct slot *slot)
{
	for (unsigned i = 0; i < a->n_media; i++) {
		if (strcmp(a->media[i].mid, slot->mid) == 0)
			return &a->media[i];
	}
	return NULL;
}

static bool is_taken(const struct mu_sdp_media *m)
{
	return m->port != 0 && (m->direction == MU_SDP_RECVONLY || m->direction == MU_SDP_SENDRECV);
}

/* The section that speaks for the transport: the first that is taken. */
static const struct mu_sdp_media *tagged_of(const struct mu_sdp *a)
{
	for (unsigned i = 0; i < a->n_media; i++) {
		if (a->media[i].port != 0)
			return &a->media[i];
	}
	return NULL;
}

static bool same_fingerprints(const struct down *d, const struct mu_sdp_media *m)
{
	return d->n_fingerprints == m->n_fingerprints &&
		memcmp(d->fingerprints, m->fingerprints, m->n_fingerprints * sizeof(m->fingerprints[0])) == 0;
}

/* RFC 3264, section 6: section by section; RFC 5763: with a certificate, and a side taken. */
static bool check_sections(const struct down *d, const struct mu_sdp *a, struct mu_web_reply *r)
{
	unsigned n = 0;

	for (unsigned k = 0; k < d->n_slots; k++) {
		const struct mu_sdp_media *m = section_of(a, d->slots[k]);

		n += d->slots[k]->offered;
		if (d->slots[k]->offered &&
			(!m || strcmp(m->type, d->slots[k]->kind == MU_AUDIO ? "audio" : "video") != 0))
			return reply_refuse(
				r, 400, "the answer lacks the m-section %s of the offer", d->slots[k]->mid);
	}
	return a->n_media == n ||
		reply_refuse(r, 400, "the answer has %u m-sections, the offer %u", a->n_media, n);
}

/* There is one transport: a section that is taken out of the group (RFC 8843, section 7.3.3) has none. */
static bool check_bundled(const struct mu_sdp *a, struct mu_web_reply *r)
{
	bool taken[MU_SDP_MEDIA_MAX] = { false };
	struct mu_error e = { "" };
	int status;

	for (unsigned i = 0; i < a->n_media; i++)
		taken[i] = a->media[i].port != 0;
	status = sdp_transport_check(a, taken, &e);
	return status == 0 || reply_refuse(r, status, "SDP answer, %s", e.text);
}

static bool check_answer(struct console *c, const struct mu_sdp *a, struct mu_web_reply *r)
{
	const struct down *d = &c->down;
	const struct mu_sdp_media *m = tagged_of(a);

	if (!check_sections(d, a, r) || !check_bundled(a, r))
		return false;
	if (!m) /* the client refuses all of it */
		return true;
	if (a->ice_lite)
		return reply_refuse(r, 400,
			"a=ice-lite: the gateway is ICE lite itself, so the client must be a full agent");
	if (!m->ufrag[0] || !m->pwd[0] || m->n_fingerprints == 0)
		return reply_refuse(
			r, 400, "the answer lacks a=ice-ufrag, a=ice-pwd or a=fingerprint:sha-256");
	if (!m->has_setup || m->setup == MU_SDP_ACTPASS)
		return reply_refuse(r, 400, "a=setup of an answer is active or passive (RFC 5763)");
	if (d->pc && !same_fingerprints(d, m)) {
		console_audit(
			c, "console.answer", c->s->ep->id, "denied", "another certificate's fingerprint");
		return reply_refuse(r, 403,
			"the answer names another certificate than before: a new connection begins with 'restart', 'fresh' true");
	}
	return true;
}

static int open_transport(struct console *c, const struct mu_sdp_media *m)
{
	struct down *d = &c->down;
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));
	int err = -ENOMEM;

	if (!spec)
		return err;
	spec->worker = d->worker;
	memcpy(spec->fingerprints, m->fingerprints, sizeof(spec->fingerprints));
	spec->n_fingerprints = m->n_fingerprints;
	spec->dtls_server = m->setup == MU_SDP_ACTIVE;
	memcpy(spec->cname, d->cname, sizeof(d->cname));
	memcpy(spec->ufrag, d->ufrag, sizeof(spec->ufrag));
	memcpy(spec->pwd, d->pwd, sizeof(spec->pwd));
	spec->fitted = true;
	err = pc_new(c, false, spec, &d->pc);
	free(spec);
	memcpy(d->fingerprints, m->fingerprints, sizeof(d->fingerprints));
	d->n_fingerprints = m->n_fingerprints;
	return err;
}

/* Which format of ours an answered payload type is. @return -1: none */
static int format_of(enum mu_kind kind, const struct mu_sdp_codec *codec)
{
	for (unsigned i = 0; i < sdp_offer_formats(kind); i++) {
		struct mu_format f;

		sdp_offer_format(kind, i, &f);
		if (f.pt == codec->pt && f.codec == sdp_codec_of(codec))
			return (int)i;
	}
	return -1;
}

static void take_formats(struct slot *slot, const struct mu_sdp_media *m, struct mu_stream_out *out)
{
	for (unsigned i = 0; i < m->n_codecs && out->n_formats < MU_FORMATS_MAX; i++) {
		const struct mu_sdp_codec *codec = &m->codecs[i], *rtx = sdp_rtx_of(m, codec->pt);
		int k = format_of(slot->kind, codec);

		if (codec->pt == sdp_offer_red() && slot->kind == MU_AUDIO &&
			g_ascii_strcasecmp(codec->name, "red") == 0)
			out->red_pt = codec->pt;
		if (k < 0)
			continue;
		slot->takes |= 1u << k;
		sdp_format_set(&out->formats[out->n_formats].format, codec);
		out->formats[out->n_formats++].rtx_pt = rtx ? rtx->pt : 0;
		out->nack |= codec->nack;
		if (rtx && slot->rtx_ssrc)
			out->rtx_ssrc = slot->rtx_ssrc;
	}
}

static void take_exts(const struct slot *slot, const struct mu_sdp_media *m, struct mu_stream_out *out)
{
	for (unsigned i = 0; i < m->n_exts; i++) {
		if (m->exts[i].id == sdp_offer_ext(slot->kind, m->exts[i].type))
			mu_ext_map_set(&out->exts, m->exts[i].type, m->exts[i].id);
	}
}

static void take_slot(struct console *c, struct slot *slot, const struct mu_sdp_media *m)
{
	struct mu_stream_out *out = calloc(1, sizeof(*out));

	if (!out)
		return;
	memcpy(out->mid, slot->mid, sizeof(slot->mid));
	out->ssrc = slot->ssrc;
	slot->takes = 0;
	take_formats(slot, m, out);
	take_exts(slot, m, out);
	slot->answered = out->n_formats > 0 && mu_transport_add_out(c->down.pc->t, out) == 0;
	slot->refused = !slot->answered;
	free(out);
}

static void take_slots(struct console *c, const struct mu_sdp *a)
{
	for (unsigned k = 0; k < c->down.n_slots; k++) {
		struct slot *slot = c->down.slots[k];
		const struct mu_sdp_media *m = slot->offered ? section_of(a, slot) : NULL;

		if (!m || slot->refused)
			continue;
		if (!is_taken(m)) { /* what it carried is shown by another one */
			slot->refused = true;
			slot->answered = false;
		} else if (!slot->answered) {
			take_slot(c, slot, m);
		}
	}
}

static void take_answer(struct console *c, const struct mu_sdp *a, struct mu_web_reply *r)
{
	const struct mu_sdp_media *m = tagged_of(a);

	if (!check_answer(c, a, r))
		return;
	if (m && !c->down.pc && open_transport(c, m) < 0) {
		reply_refuse(r, 503, "no transport could be made: try again later");
		return;
	}
	take_slots(c, a);
}

void console_down_answer(struct console *c, const struct mu_signal *m)
{
	struct mu_web_reply r = { 0 };
	struct mu_error e = { "" };
	struct mu_sdp *a;
	int err;

	if (!c->down.outstanding || m->n != c->down.n) {
		console_refuse(c, m->id, 409, "offer %u is not the one that waits for an answer", m->n);
		return;
	}
	a = malloc(sizeof(*a));
	err = a ? sdp_parse_answer(m->sdp, strlen(m->sdp), a, &e) : -ENOMEM;
	if (err < 0)
		reply_refuse(&r, err == -E2BIG ? 413 : err == -ENOMEM ? 503 : 400, "SDP answer, %s", e.text);
	else
		take_answer(c, a, &r);
	free(a);
	forget_offer(&c->down);
	if (r.status) {
		console_refuse(c, m->id, r.status, "%s", r.detail);
		return;
	}
	console_ok(c, m->id);
	console_down_settle(c);
}
