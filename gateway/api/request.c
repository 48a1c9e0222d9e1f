#include "api/private.h"

static const char key[] = "mu-req";

char *mu_req_endpoint(const struct mu_req *r, char ret[MU_ID_MAX])
{
	size_t site = strlen(r->vars[0]), name = strlen(r->vars[1]);

	ret[0] = '\0';
	if (site + name + 2 > MU_ID_MAX)
		return ret;
	memcpy(ret, r->vars[0], site);
	ret[site] = '/';
	memcpy(ret + site + 1, r->vars[1], name + 1);
	return ret;
}

static GHashTable *query(const struct mu_req *r)
{
	const char *q = g_uri_get_query(soup_server_message_get_uri(r->msg));

	return q ? soup_form_decode(q) : NULL;
}

bool mu_req_number(const struct mu_req *r, const char *name, int64_t min, int64_t max, int64_t *ret)
{
	GHashTable *q = query(r);
	const char *text = q ? g_hash_table_lookup(q, name) : NULL;
	bool ok = true;
	gint64 v;

	if (text) {
		ok = g_ascii_string_to_signed(text, 10, min, max, &v, NULL);
		if (ok)
			*ret = v;
	}
	if (q)
		g_hash_table_unref(q);
	return ok;
}

bool mu_req_text(const struct mu_req *r, const char *name, char *ret, size_t size)
{
	GHashTable *q = query(r);
	const char *text = q ? g_hash_table_lookup(q, name) : NULL;
	bool ok = !text || g_strlcpy(ret, text, size) < size;

	if (q)
		g_hash_table_unref(q);
	return ok;
}

/* jansson stops at a depth of 2048 (JSON_PARSER_MAX_DEPTH) and the body at 64 KiB, so a hostile one costs
 * little. */
json_t *mu_req_json(struct mu_req *r)
{
	GBytes *body = soup_message_body_flatten(soup_server_message_get_request_body(r->msg));
	json_error_t at;
	gsize len;
	const char *text = g_bytes_get_data(body, &len);
	json_t *o = json_loadb(text ? text : "", len, JSON_REJECT_DUPLICATES, &at);

	if (!o)
		mu_reply_problem(r, 400, "Not JSON", "The body is not JSON: line %d, column %d: %s.", at.line,
			at.column, at.text);
	else if (!json_is_object(o)) {
		mu_reply_problem(r, 400, "Not a JSON object", "The body must be a JSON object.");
		json_decref(o);
		o = NULL;
	}
	g_bytes_unref(body);
	return o;
}

void mu_req_audit(struct mu_req *r, const char *what, const char *target, const char *result, const char *why)
{
	char who[200];

	if (!r->api->audit)
		return;
	g_snprintf(who, sizeof(who), "%s#%s", r->who.subject, r->who.id);
	mu_audit_add(r->api->audit,
		&(struct mu_audit_entry){ .who = r->has_token ? who : NULL,
			.from = r->from,
			.what = what,
			.target = target,
			.result = result,
			.why = why });
}

#define REFUSALS_GAP_US 1000000 /* one line is enough to see that somebody tries */

void mu_req_audit_refused(struct mu_req *r, const char *what, const char *target, const char *why)
{
	uint64_t n = mu_log_gate_pass(&r->api->refusals, mu_clock_us(), REFUSALS_GAP_US);
	char text[500];

	if (n == 1)
		g_strlcpy(text, why, sizeof(text));
	else
		g_snprintf(text, sizeof(text), "%s (and %" G_GUINT64_FORMAT " more since the last such line)", why, n - 1);
	if (n)
		mu_req_audit(r, what, target, "refused", text);
}

/* --- steps --- */

static void finished(SoupServerMessage *msg, gpointer arg)
{
	struct mu_req *r = arg;

	(void)msg;
	r->gone = true;
}

static struct mu_req *req_new(struct mu_api *a, SoupServerMessage *msg)
{
	struct mu_req *r = g_new0(struct mu_req, 1);
	const char *from = soup_server_message_get_remote_host(msg);

	r->api = a;
	r->msg = msg;
	g_strlcpy(r->from, from ? from : "?", sizeof(r->from));
	g_object_set_data_full(G_OBJECT(msg), key, r, g_free);
	g_signal_connect(msg, "finished", G_CALLBACK(finished), r);
	a->n_requests++;
	return r;
}

/* RFC 9725, section 4.2: no token is asked for, and none of what a token would open is told. */
static void preflight(struct mu_req *r, const char *path, const char *allow)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(r->msg);

	soup_message_headers_replace(h, "Access-Control-Allow-Methods", allow);
	soup_message_headers_replace(
		h, "Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Last-Event-ID");
	soup_message_headers_replace(h, "Access-Control-Max-Age", "600");
	if (g_str_has_prefix(path, "/whip/") || g_str_has_prefix(path, "/whep/"))
		soup_message_headers_replace(h, "Accept-Post", "application/sdp");
	mu_reply_text(r, 200, NULL, NULL, 0);
}

static bool routed(struct mu_req *r, const char *path)
{
	const char *method = soup_server_message_get_method(r->msg);
	char allow[64];

	r->route = mu_route_find(method, path, r->vars, allow, sizeof(allow));
	if (r->route)
		return true;
	if (!*allow) {
		mu_reply_problem(r, 404, "Not found",
			"Nothing is served at %.200s. /v1/openapi.yaml lists what is.", path);
		return false;
	}
	soup_message_headers_replace(soup_server_message_get_response_headers(r->msg), "Allow", allow);
	if (strcmp(method, "OPTIONS") == 0) {
		preflight(r, path, allow);
		return false;
	}
	mu_reply_problem(r, 405, "Method not allowed", "%.16s is not served at %.200s; served are: %s.",
		method, path, allow);
	return false;
}

static bool typed(struct mu_req *r)
{
	static const char *const want[] = { [MU_BODY_SDP] = "application/sdp",
		[MU_BODY_SDPFRAG] = NULL,
		[MU_BODY_JSON] = "application/json" };
	const char *type =
		soup_message_headers_get_content_type(soup_server_message_get_request_headers(r->msg), NULL);

	/* of a fragment the session decides: webrtc answers 404 before 415 */
	if (r->route->body == MU_BODY_NONE || !want[r->route->body])
		return true;
	if (type && g_ascii_strcasecmp(type, want[r->route->body]) == 0)
		return true;
	mu_reply_problem(r, 415, "Unsupported media type", "The body must be %s, not %.60s.",
		want[r->route->body], type ? type : "of no stated type");
	return false;
}

static bool fits(struct mu_req *r)
{
	goffset len =
		soup_message_headers_get_content_length(soup_server_message_get_request_headers(r->msg));

	if (len <= MU_BODY_MAX)
		return true;
	mu_reply_and_close(r->msg, 413, "Too large", "A body may have 65536 bytes at most.");
	return false;
}

/* The header is complete. What can be refused by it alone is refused before the body is read. */
static void early(SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *q, gpointer arg)
{
	struct mu_req *r = req_new(arg, msg);

	(void)server;
	(void)q;
	soup_message_headers_remove(soup_server_message_get_request_headers(msg), "Range");
	if (fits(r) && routed(r, path) && mu_auth(r) && mu_rate_allows(r))
		typed(r);
}

static void got_chunk(SoupServerMessage *msg, GBytes *chunk, gpointer arg)
{
	struct mu_req *r = g_object_get_data(G_OBJECT(msg), key);

	(void)arg;
	if (!r)
		return;
	r->body_len += g_bytes_get_size(chunk);
	if (r->body_len > MU_BODY_MAX)
		mu_reply_and_close(msg, 413, "Too large", "A body may have 65536 bytes at most.");
}

static void handle(SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *q, gpointer arg)
{
	struct mu_req *r = g_object_get_data(G_OBJECT(msg), key);

	(void)server;
	(void)path;
	(void)q;
	(void)arg;
	if (mu_auth_holds(r))
		r->route->fn(r);
}

/* What the HTTP library refuses by itself, it refuses without a body: this one stands ready for that. Any
 * answer of ours replaces it. */
static void started(SoupServer *server, SoupServerMessage *msg, gpointer arg)
{
	char *text = mu_problem_text(
		0, "Bad request", "The request's first line or header is not HTTP/1.1.", NULL);

	(void)server;
	(void)arg;
	mu_reply_headers(msg);
	soup_server_message_set_response(
		msg, "application/problem+json", SOUP_MEMORY_COPY, text, strlen(text));
	free(text);
	g_signal_connect(msg, "got-chunk", G_CALLBACK(got_chunk), NULL);
}

void mu_request_watch(struct mu_api *a)
{
	g_signal_connect(a->server, "request-started", G_CALLBACK(started), a);
	soup_server_add_early_handler(a->server, NULL, early, a, NULL);
	soup_server_add_handler(a->server, NULL, handle, a, NULL);
}

/* --- answers that come later --- */

struct mu_wait *mu_wait_begin(struct mu_req *r)
{
	struct mu_wait *w = g_new0(struct mu_wait, 1);

	w->req = r;
	w->msg = g_object_ref(r->msg);
	mu_list_append(&r->api->waits, &w->link);
	soup_server_message_pause(w->msg);
	return w;
}

struct mu_req *mu_wait_req(struct mu_wait *w)
{
	return w->req && !w->req->gone ? w->req : NULL;
}

void mu_wait_end(struct mu_wait *w)
{
	mu_list_remove(&w->link);
	if (mu_wait_req(w))
		soup_server_message_unpause(w->msg);
	g_object_unref(w->msg);
	g_free(w);
}
