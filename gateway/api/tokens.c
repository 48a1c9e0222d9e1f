/* Revocation: from now on no request by the token, and what it started ends. */
#include <errno.h>

#include "api/private.h"

#define JTI_MAX 63 /* as long as a token's id can be */

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
	else if (w && (!*why || strlen(*why) > 200))
		mu_reply_problem(r, 400, "Bad reason", "\"why\" must be a text of at most 200 bytes.");
	else
		return true;
	return false;
}

void mu_on_revoke(struct mu_req *r)
{
	json_t *o = mu_req_json(r);
	struct mu_error e = { .text = "" };
	const char *jti, *why;
	int64_t expires_s;
	unsigned n;
	int err;

	if (!o)
		return;
	if (!parse(r, o, &jti, &expires_s, &why))
		goto out;
	/* In memory it holds even when the disk fails; then the answer says that it will not outlive a
	 * restart. */
	err = mu_revoked_add(
		r->api->revoked, jti, r->who.subject, mu_clock_wall_us() / 1000000, expires_s, &e);
	if (err == -ENOSPC) {
		mu_reply_problem(r, 507, "Too many revoked tokens", "%s", e.text);
		goto out;
	}
	n = mu_webrtc_end_token(r->api->webrtc, jti, "token revoked");
	mu_events_end_token(r->api, jti);
	mu_req_audit(r, "token.revoke", jti, err < 0 ? "not kept" : "done", err < 0 ? e.text : why);
	if (err < 0)
		mu_reply_problem(r, 500, "Revoked, but not kept",
			"The token is refused from now on and %u sessions ended, but it could not be stored: %s.",
			n, e.text);
	else
		mu_reply_json(r, 200, json_pack("{ss si}", "jti", jti, "sessions_ended", (int)n));
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
