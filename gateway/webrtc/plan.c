/* From an offer to what may come of it: what WHIP and WHEP have in common before a session is made. */
#include <errno.h>
#include <stdlib.h>

#include "webrtc/session.h"

#define FULL_RETRY_S     5
#define DRAINING_RETRY_S 10

/* Viewers come in crowds. Who publishes, or operates the gateway, gets in when they are there already. */
static unsigned limit(const struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who)
{
	bool any = kind == SESSION_WHIP || (kind == SESSION_CONSOLE && who->scopes & MU_SCOPE_CONFERENCE) ||
		 who->scopes & (MU_SCOPE_OPERATE | MU_SCOPE_ADMIN);

	return any ? w->o.max_sessions : w->o.max_sessions - w->o.max_sessions / 10;
}

bool session_may_begin(
	struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who, struct mu_web_reply *r)
{
	if (w->draining) {
		r->retry_after_s = DRAINING_RETRY_S;
		return reply_refuse(
			r, 503, "the gateway is about to stop and takes no new sessions: try again later");
	}
	if (w->n_sessions >= limit(w, kind, who)) {
		r->retry_after_s = FULL_RETRY_S;
		return reply_refuse(
			r, 503, "the limit of %u sessions is reached: try again later", limit(w, kind, who));
	}
	if (w->o.max_sessions_per_token && session_count(w, who->id) >= w->o.max_sessions_per_token) {
		r->retry_after_s = FULL_RETRY_S;
		return reply_refuse(r, 429,
			"this token has %u sessions, which is its limit: end some, or use another",
			w->o.max_sessions_per_token);
	}
	return true;
}

struct plan *plan_new(struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who,
	const char *sdp, size_t len, struct mu_web_reply *r)
{
	return session_may_begin(w, kind, who, r) ? plan_read(sdp, len, r) : NULL;
}

struct plan *plan_read(const char *sdp, size_t len, struct mu_web_reply *r)
{
	struct mu_error e;
	struct plan *p;
	int err;

	if (len > MU_SDP_SIZE_MAX) {
		reply_refuse(r, 413, "the offer has %zu bytes, the limit is %d", len, MU_SDP_SIZE_MAX);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		reply_refuse(r, 503, "out of memory for the offer: try again later");
		return NULL;
	}
	err = mu_sdp_parse(sdp, len, &p->offer, &e);
	if (err < 0) {
		reply_refuse(r, err == -E2BIG ? 413 : 400, "SDP offer, %s", e.text);
		free(p);
		return NULL;
	}
	return p;
}

void plan_free(struct plan *p)
{
	free(p);
}

bool plan_check(struct plan *p, const bool wanted[MU_SDP_MEDIA_MAX], struct mu_web_reply *r)
{
	const struct mu_sdp_media *m;
	struct mu_error e;
	int status = sdp_offer_check(&p->offer, wanted, &p->tagged, &e);

	if (status != 0)
		return reply_refuse(r, status, "SDP offer, %s", e.text);
	m = &p->offer.media[p->tagged];
	memcpy(p->spec.fingerprints, m->fingerprints, sizeof(p->spec.fingerprints));
	p->spec.n_fingerprints = m->n_fingerprints;
	/* We are the DTLS server wherever the offer leaves it to us, so that our order of profiles wins. */
	p->answer.active = m->has_setup && m->setup == MU_SDP_PASSIVE;
	p->spec.dtls_server = !p->answer.active;
	p->answer.offer = &p->offer;
	mu_random_text(p->spec.cname, 16); /* RFC 7022: says nothing about anybody */
	return true;
}
