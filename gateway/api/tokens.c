/* Revocation: from now on no request by the token, and what it started ends. */
#include <errno.h>

#include "api/private.h"

#define JTI_MAX 63 /* as long as a token's id can be */
#define WHY_MAX 200

static bool parse(struct mu_req *r, json_t *o, const char **jti, int64_t *expires_s, const char **why)
{
	json_t *e = json_object_get(o, "expires"), *w = json_object_get(o, "why");

	*jti = json_string_value(json_object_get(o, "jti"));
	*why = json_string_value(w);
	*expires_s = e ? json_integer_value(e) : 0;
	if (!*jti || !**jti || strlen(*jti) > JTI_MAX)
		mu_reply_problem(r, 400, "No token named",
			"\"jti\" must be the id of the token, 1 to %d characters.", JTI_MAX);
	else if (e && (!json_is_integer(e) || *expires_s <= 0))
		mu_reply_problem(
			r, 400, "Bad time", "\"expires\" must be the token's exp: seconds since 1970.");
	else if (w && (!*why || strlen(*why) > WHY_MAX))
		mu_reply_problem(
			r, 400, "Bad reason", "\"why\" must be a text of at most %d bytes.", WHY_MAX);
	else
		return true;
	return false;
}

/* A revocation in force that is not on the disk yet. */
struct revoking {
	struct mu_wait *wait;
	struct mu_req *req; /* lives as long as wait does, the client there or not */
	char jti[JTI_MAX + 1], why[WHY_MAX + 1];
	unsigned ended;
};

static void stored(void *arg, int err, const struct mu_error *e)
{
	struct revoking *v = arg;
	struct mu_req *r = mu_wait_req(v->wait);

	mu_req_audit(v->req, "token.revoke", v->jti, err < 0 ? "not kept" : "done",
		err < 0             ? e->text
			: v->why[0] ? v->why
				    : NULL);
	if (r && err < 0)
		mu_reply_problem(r, 500, "Revoked, but not kept",
			"The token is refused from now on and %u sessions ended, but it could not be stored: %s.",
			v->ended, e->text);
	else if (r)
		mu_reply_json(r, 200, json_pack("{ss si}", "jti", v->jti, "sessions_ended", (int)v->ended));
	mu_wait_end(v->wait);
	g_free(v);
}

void mu_on_revoke(struct mu_req *r)
{
	json_t *o = mu_req_json(r);
	struct mu_error e = { .text = "" };
	struct revoking *v;
	const char *jti, *why;
	int64_t expires_s;

	if (!o)
		return;
	if (!parse(r, o, &jti, &expires_s, &why))
		goto out;
	if (mu_revoked_add(
		    r->api->revoked, jti, r->who.subject, mu_clock_wall_us() / 1000000, expires_s, &e) < 0) {
		mu_reply_problem(r, 507, "Too many revoked tokens", "%s", e.text);
		goto out;
	}
	/* What runs ends now, whatever the disk is doing; only the answer waits for it. */
	v = g_new0(struct revoking, 1);
	v->wait = mu_wait_begin(r);
	v->req = r;
	g_strlcpy(v->jti, jti, sizeof(v->jti));
	g_strlcpy(v->why, why ? why : "", sizeof(v->why));
	v->ended = mu_webrtc_end_token(r->api->webrtc, jti, "token revoked");
	mu_events_end_token(r->api, jti);
	mu_revoked_store(r->api->revoked, jti, stored, v);
out:
	json_decref(o);
}

void mu_on_revoked(struct mu_req *r)
{
	mu_revoked_purge(r->api->revoked, mu_clock_wall_us() / 1000000);
	mu_reply_json(r, 200, json_pack("{so}", "revoked", mu_revoked_json(r->api->revoked)));
}

static void page_read(void *arg, json_t *page)
{
	struct mu_wait *w = arg;
	struct mu_req *r = mu_wait_req(w);

	if (r)
		mu_reply_json(r, 200, page);
	else
		json_decref(page);
	mu_wait_end(w);
}

void mu_on_audit(struct mu_req *r)
{
	int64_t after = 0, limit = 100;

	if (!mu_req_number(r, "after", 0, INT64_MAX, &after) ||
		!mu_req_number(r, "limit", 1, MU_AUDIT_READ_MAX, &limit)) {
		mu_reply_problem(r, 400, "Bad query", "\"after\" is an entry's number, \"limit\" is 1 to %d.",
			MU_AUDIT_READ_MAX);
		return;
	}
	if (!r->api->audit) {
		mu_reply_problem(r, 404, "No audit log",
			"This gateway keeps none: its configuration names no state folder.");
		return;
	}
	mu_audit_read(r->api->audit, (uint64_t)after, (unsigned)limit, page_read, mu_wait_begin(r));
}
