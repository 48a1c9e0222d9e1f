/* PATCH of a session: trickled candidates, ICE restarts (RFC 9725, section 4.3). */
#include <errno.h>
#include <stdio.h>

#include "webrtc/session.h"

static bool is_sdpfrag(const char *content_type)
{
	struct text t = { content_type ? content_type : "", content_type ? strlen(content_type) : 0 };
	struct text type = text_cut(&t, ';');

	while (type.len > 0 && type.at[type.len - 1] == ' ')
		type.len--;
	return text_is_nocase(type, "application/trickle-ice-sdpfrag");
}

static bool matches(const char *if_match, const char *etag)
{
	struct text rest = { if_match, strlen(if_match) };

	while (rest.len > 0) {
		struct text one = text_cut(&rest, ',');

		while (one.len > 0 && one.at[0] == ' ')
			one = (struct text){ one.at + 1, one.len - 1 };
		while (one.len > 0 && one.at[one.len - 1] == ' ')
			one.len--;
		/* RFC 9110, section 13.1.1: strong comparison, so that W/"..." matches nothing */
		if (text_is(one, "*") || text_is(one, etag))
			return true;
	}
	return false;
}

/* An old pair stays good until the peer nominates with the new one, so a restart that fails costs nothing. */
static void restart(struct session *s, const struct mu_sdp_frag *f, struct mu_web_reply *r)
{
	struct sdp_candidates c;
	int err = mu_transport_restart_ice(s->t);

	if (err < 0) {
		reply_refuse(r, 409, "ICE of session %s cannot be restarted now (%s): it goes on as it was",
			s->id, g_strerror(-err));
		return;
	}
	memcpy(s->remote_ufrag, f->ufrag, sizeof(s->remote_ufrag));
	memcpy(s->remote_pwd, f->pwd, sizeof(s->remote_pwd));
	session_new_etag(s);
	candidates_gather(s->w, s->worker, &c);
	r->status = 200;
	r->type = "application/trickle-ice-sdpfrag";
	r->body = sdp_frag_write(
		mu_transport_ufrag(s->t), mu_transport_pwd(s->t), s->mid, s->bundle, s->type, &c);
	snprintf(r->etag, sizeof(r->etag), "%s", s->etag);
	mu_info(TOPIC, s->id, "%s of %s restarts ICE", session_kind_name(s->kind), s->ep->id);
}

static void apply(struct session *s, const struct mu_sdp_frag *f, struct mu_web_reply *r)
{
	bool same_ufrag = !f->ufrag[0] || strcmp(f->ufrag, s->remote_ufrag) == 0;
	bool same_pwd = !f->pwd[0] || strcmp(f->pwd, s->remote_pwd) == 0;

	if (same_ufrag && same_pwd)
		r->status = 204; /* RFC 9725, section 4.3.1: without an ETag */
	else if (same_ufrag || same_pwd)
		reply_refuse(r, 400,
			"the fragment has one old and one new ICE credential: an ICE restart changes both a=ice-ufrag and "
			"a=ice-pwd (RFC 8839, section 4.4.3.1.1)");
	else
		restart(s, f, r);
}

void mu_session_patch(struct mu_webrtc *w, const char *id, const char *content_type, const char *if_match,
	const char *body, size_t len, struct mu_web_reply *ret)
{
	struct session *s = session_find(w, id);
	struct mu_sdp_frag f;
	struct mu_error e;
	int err;

	if (!s || !s->t) { /* a console's are changed by its WebSocket */
		reply_refuse(ret, 404, "session %.64s is not here: it has ended or never was", id);
		return;
	}
	if (!is_sdpfrag(content_type)) {
		reply_refuse(ret, 415,
			"a session is changed by application/trickle-ice-sdpfrag, not by %.80s",
			content_type ? content_type : "a body without a Content-Type");
		return;
	}
	if (!if_match || !*if_match) {
		reply_refuse(ret, 428,
			"If-Match must carry the session's ETag, or * to restart ICE (RFC 9725, section 4.3)");
		return;
	}
	if (!matches(if_match, s->etag)) {
		reply_refuse(
			ret, 412, "If-Match does not carry the ETag of the session's present ICE session");
		return;
	}
	err = mu_sdp_frag_parse(body, len, &f, &e);
	if (err < 0)
		reply_refuse(ret, err == -E2BIG ? 413 : 400, "fragment, %s", e.text);
	else
		apply(s, &f, ret);
}
