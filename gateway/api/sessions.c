/* WHIP and WHEP: from HTTP to webrtc and back; and the operator's hand on sessions. */
#include "api/private.h"

static void body_of(struct mu_req *r, GBytes **ret, const char **text, size_t *len)
{
	gsize n;

	*ret = soup_message_body_flatten(soup_server_message_get_request_body(r->msg));
	*text = g_bytes_get_data(*ret, &n);
	if (!*text)
		*text = "";
	*len = n;
}

/* "/session/abc" -> "abc" */
static const char *made(const struct mu_web_reply *w)
{
	return w->status == 201 && w->location ? strrchr(w->location, '/') + 1 : NULL;
}

static void audit_refused(struct mu_req *r, const char *what, const char *endpoint, const struct mu_web_reply *w)
{
	char why[400];

	g_snprintf(why, sizeof(why), "%d %s", w->status, w->detail);
	mu_req_audit_refused(r, what, endpoint, why);
}

static void audit_made(struct mu_req *r, const char *what, const char *endpoint, const struct mu_web_reply *w)
{
	char why[80];

	if (w->status != 201) {
		audit_refused(r, what, endpoint, w);
		return;
	}
	g_snprintf(why, sizeof(why), "session %s", made(w) ? made(w) : "");
	mu_req_audit(r, what, endpoint, "done", why);
}

typedef void post_fn(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp,
	size_t len, struct mu_web_reply *ret);

static void post(struct mu_req *r, post_fn *fn, const char *what)
{
	struct mu_web_reply w = { 0 };
	char endpoint[MU_ID_MAX];
	const char *sdp;
	GBytes *body;
	size_t len;

	if (!mu_endpoint_id_valid(mu_req_endpoint(r, endpoint))) {
		mu_reply_problem(r, 400, "Bad endpoint id",
			"endpoint id \"%.140s\" is not " MU_ENDPOINT_ID_IS, endpoint);
		return;
	}
	body_of(r, &body, &sdp, &len);
	fn(r->api->webrtc, &r->who, endpoint, sdp, len, &w);
	g_bytes_unref(body);
	audit_made(r, what, endpoint, &w);
	mu_reply_web(r, &w);
}

void mu_on_whip(struct mu_req *r)
{
	post(r, mu_whip_post, "session.publish");
}

void mu_on_whep(struct mu_req *r)
{
	post(r, mu_whep_post, "session.watch");
}

/* draft-ietf-wish-whep: a player asks what an endpoint takes. */
void mu_on_whep_head(struct mu_req *r)
{
	mu_reply_text(r, 200, "application/sdp", "", 0);
}

void mu_on_session_patch(struct mu_req *r)
{
	SoupMessageHeaders *h = soup_server_message_get_request_headers(r->msg);
	struct mu_web_reply w = { 0 };
	const char *text;
	GBytes *body;
	size_t len;

	body_of(r, &body, &text, &len);
	mu_session_patch(r->api->webrtc, r->vars[0], soup_message_headers_get_content_type(h, NULL),
		soup_message_headers_get_list(h, "If-Match"), text, len, &w);
	g_bytes_unref(body);
	mu_reply_web(r, &w);
}

static void end(struct mu_req *r, const char *what)
{
	struct mu_web_reply w = { 0 };

	mu_session_delete(r->api->webrtc, r->vars[0], &w);
	mu_req_audit(
		r, what, r->vars[0], w.status < 300 ? "done" : "refused", w.status < 300 ? NULL : w.detail);
	mu_reply_web(r, &w);
}

void mu_on_session_delete(struct mu_req *r)
{
	end(r, "session.end");
}

void mu_on_sessions_delete(struct mu_req *r)
{
	const char *endpoint = mu_session_endpoint(r->api->webrtc, r->vars[0]);

	if (endpoint && !mu_may(r, endpoint)) {
		mu_reply_problem(r, 403, "Not allowed",
			"Session %.100s belongs to an endpoint this token is not for.", r->vars[0]);
		mu_req_audit(r, "session.end_by_operator", r->vars[0], "denied",
			"the token is for other endpoints");
		return;
	}
	end(r, "session.end_by_operator");
}

/* A page of sessions. */
struct page {
	struct mu_req *r;
	const char *endpoint; /* "" any that the token covers */
	unsigned limit;
	json_t *list;
	uint64_t last;
	bool more;
};

static bool add_to_page(void *arg, const struct mu_session_info *s)
{
	struct page *p = arg;

	if (p->endpoint[0] ? strcmp(p->endpoint, s->endpoint) != 0 : !mu_may(p->r, s->endpoint))
		return true;
	p->more = json_array_size(p->list) == p->limit;
	if (p->more)
		return false;
	json_array_append_new(p->list, mu_session_json(s));
	p->last = s->number;
	return true;
}

json_t *mu_sessions_page(
	struct mu_req *r, const char *endpoint, uint64_t after, unsigned limit, json_t **ret_next)
{
	struct page p = { .r = r, .endpoint = endpoint, .limit = limit, .list = json_array() };

	mu_webrtc_each_session(r->api->webrtc, after, add_to_page, &p);
	*ret_next = p.more ? json_integer((json_int_t)p.last) : json_null();
	return p.list;
}

void mu_on_sessions(struct mu_req *r)
{
	int64_t after = 0, limit = MU_PAGE_SESSIONS;
	char endpoint[MU_ID_MAX] = "";
	json_t *list, *next;

	if (!mu_req_number(r, "after", 0, INT64_MAX, &after) ||
		!mu_req_number(r, "limit", 1, MU_PAGE_MAX, &limit) ||
		!mu_req_text(r, "endpoint", endpoint, sizeof(endpoint))) {
		mu_reply_problem(r, 400, "Bad query",
			"\"endpoint\" is an id, \"after\" a session's number, \"limit\" 1 to %d.",
			MU_PAGE_MAX);
		return;
	}
	if (endpoint[0] && !mu_may(r, endpoint)) {
		mu_reply_problem(
			r, 403, "Not allowed", "The token is for other endpoints than %s.", endpoint);
		return;
	}
	list = mu_sessions_page(r, endpoint, (uint64_t)after, (unsigned)limit, &next);
	mu_reply_json(r, 200, json_pack("{so so}", "sessions", list, "next", next));
}
