#include <errno.h>

#include "api/private.h"

#define TOKEN_MAX 4096
#define ALL_SCOPES \
	(MU_SCOPE_PUBLISH | MU_SCOPE_WATCH | MU_SCOPE_CONFERENCE | MU_SCOPE_OPERATE | MU_SCOPE_ADMIN)
/* At most one denial a second goes to the audit log, for strangers drive it; it says how many it stands for.
 */
#define DENIALS_GAP_US 1000000

bool mu_has_scope(const struct mu_token *t, uint32_t scopes)
{
	return t->scopes & (scopes | MU_SCOPE_ADMIN);
}

bool mu_may(const struct mu_req *r, const char *endpoint)
{
	return mu_token_covers(&r->who, endpoint);
}

static void audit_denial(struct mu_req *r, const char *why)
{
	uint64_t n = mu_log_gate_pass(&r->api->denials, mu_clock_us(), DENIALS_GAP_US);
	char text[300], target[300];

	r->api->n_denied++;
	if (!n)
		return;
	if (n > 1)
		g_snprintf(text, sizeof(text), "%s (and %" G_GUINT64_FORMAT " more since the last such line)",
			why, n - 1);
	else
		g_strlcpy(text, why, sizeof(text));
	g_snprintf(target, sizeof(target), "%.16s %.200s", soup_server_message_get_method(r->msg),
		g_uri_get_path(soup_server_message_get_uri(r->msg)));
	mu_req_audit(r, "request", target, "denied", text);
}

/* RFC 6750, section 3: a request that shows no token gets no error code. */
static void unauthorized(struct mu_req *r, bool shown, const char *why)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(r->msg);

	soup_message_headers_replace(h, "WWW-Authenticate",
		shown ? "Bearer realm=\"muster\", error=\"invalid_token\"" : "Bearer realm=\"muster\"");
	audit_denial(r, why);
	mu_reply_problem(r, 401, shown ? "Invalid token" : "No token", "%s", why);
}

static void forbidden(struct mu_req *r, uint32_t scopes, const char *why)
{
	char text[80], header[200];

	mu_scope_text(scopes, text, sizeof(text));
	g_snprintf(header, sizeof(header),
		"Bearer realm=\"muster\", error=\"insufficient_scope\", scope=\"%s\"", text);
	soup_message_headers_replace(
		soup_server_message_get_response_headers(r->msg), "WWW-Authenticate", header);
	audit_denial(r, why);
	mu_reply_problem(r, 403, "Not allowed", "%s", why);
}

static bool is_bench(const struct mu_api *a, const char *text)
{
	return a->bench_token && strlen(a->bench_token) == strlen(text) &&
		mu_secret_equal(a->bench_token, text, strlen(text));
}

int mu_token_look(const struct mu_api *a, const char *text, struct mu_token *ret, const char **ret_why)
{
	int64_t now_s = mu_clock_wall_us() / 1000000;
	struct mu_error e = { .text = "" };
	int err;

	ret->id[0] = '\0';
	if (is_bench(a, text)) {
		*ret = (struct mu_token){ .id = "bench",
			.subject = "bench",
			.role = MU_TOKEN_CHAIR,
			.rank = MU_TOKEN_RANK,
			.endpoint = "*",
			.scopes = ALL_SCOPES,
			.expires_s = INT64_MAX };
		return 0;
	}
	err = strlen(text) > TOKEN_MAX ? -EBADMSG : mu_token_verify(a->keyring, text, now_s, ret, &e);
	if (err == -ETIME) {
		*ret_why = "The token has expired, or is not valid yet: ask for a new one.";
	} else if (err < 0) {
		*ret_why = "The token is not one that this gateway takes: wrong signature, key or form.";
		err = -EPERM;
	} else if (mu_revoked_has(a->revoked, ret->id)) {
		*ret_why = "The token was revoked: ask for a new one.";
		return -EACCES;
	}
	if (err < 0)
		ret->id[0] = '\0';
	return err;
}

static bool identify(struct mu_req *r)
{
	const char *h = soup_message_headers_get_one(
		soup_server_message_get_request_headers(r->msg), "Authorization");
	const char *why;
	int err;

	if (!h || g_ascii_strncasecmp(h, "Bearer ", 7) != 0) {
		unauthorized(r, false, "The request needs a token: send \"Authorization: Bearer <token>\".");
		return false;
	}
	for (h += 7; *h == ' '; h++)
		;
	err = mu_token_look(r->api, h, &r->who, &why);
	r->bench = err == 0 && is_bench(r->api, h);
	r->has_token = err == 0 || err == -EACCES; /* its claims are proven: the log may name it */
	if (err < 0)
		unauthorized(r, true, why);
	return err == 0;
}

bool mu_auth_holds(struct mu_req *r)
{
	if (!r->has_token)
		return true; /* nothing was asked for */
	if (mu_revoked_has(r->api->revoked, r->who.id))
		unauthorized(r, true, "The token was revoked: ask for a new one.");
	else if (!mu_keyring_knows(r->api->keyring, &r->who))
		unauthorized(r, true,
			"The token is not one that this gateway takes any more: its key was withdrawn.");
	else if (mu_clock_wall_us() / 1000000 >= r->who.expires_s)
		unauthorized(r, true, "The token has expired: ask for a new one.");
	else
		return true;
	return false;
}

/* A session belongs to the token that made it. Its id is a secret, yet not one that must stand alone. */
static bool owns(struct mu_req *r)
{
	const struct mu_token *maker = mu_session_token(r->api->webrtc, r->vars[0]);
	const char *endpoint = mu_session_endpoint(r->api->webrtc, r->vars[0]);

	if (!maker) {
		mu_reply_problem(r, 404, "No such session",
			"There is no session %.100s: it has ended, or never was.", r->vars[0]);
		return false;
	}
	if (mu_token_same(maker, &r->who))
		return true;
	if (r->who.scopes & MU_SCOPE_ADMIN && endpoint && mu_may(r, endpoint))
		return true;
	forbidden(r, MU_SCOPE_ADMIN,
		"The session was made with another token: only that one or an administrator's may change it.");
	return false;
}

static bool covers(struct mu_req *r)
{
	char id[MU_ID_MAX];

	if (r->route->site_wide && r->who.endpoint[0] && strcmp(r->who.endpoint, "*") != 0) {
		forbidden(r, r->route->scopes,
			"This needs a token for the whole site; this one is for single endpoints.");
		return false;
	}
	if (!strstr(r->route->path, "{site}/{name}") || mu_may(r, mu_req_endpoint(r, id)))
		return true;
	forbidden(r, r->route->scopes, "The token is for other endpoints.");
	return false;
}

static bool names_this_machine(const char *host)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

	for (size_t i = 0; host && i < MU_ARRAY_LEN(names); i++) {
		size_t n = strlen(names[i]);

		if (g_ascii_strncasecmp(host, names[i], n) == 0 && (!host[n] || host[n] == ':'))
			return true;
	}
	return false;
}

/* A program on this machine that means this gateway. Not a proxy, behind which everybody has its address; and
 * not a browser here, where any page of the web could read what is answered: that shows by what it adds, or,
 * where a page has its own name resolve to this machine, by Host. */
static bool from_here(const struct mu_req *r)
{
	static const char *const added[] = { "Forwarded", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Real-IP", "Via", "Origin", "Referer", "Cookie", "Sec-Fetch-Site",
		"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User" };
	SoupMessageHeaders *h = soup_server_message_get_request_headers(r->msg);

	if (r->api->conns.limits.shared || !names_this_machine(soup_message_headers_get_one(h, "Host")))
		return false;
	for (size_t i = 0; i < MU_ARRAY_LEN(added); i++) {
		if (soup_message_headers_get_list(h, added[i]))
			return false;
	}
	return strcmp(r->from, "127.0.0.1") == 0 || strcmp(r->from, "::1") == 0;
}

bool mu_auth(struct mu_req *r)
{
	const struct mu_route *route = r->route;
	const char *h = soup_message_headers_get_one(
		soup_server_message_get_request_headers(r->msg), "Authorization");
	char why[160], text[80];

	if (route->open)
		return true;
	/* a scraper on the same machine, which could read the process's own figures anyway */
	if (route->fn == mu_on_metrics && !h && from_here(r))
		return true;
	if (!identify(r))
		return false;
	if (route->own)
		return owns(r);
	if (mu_has_scope(&r->who, route->scopes))
		return covers(r);
	g_snprintf(why, sizeof(why), "The token lacks the scope this needs: %s.",
		mu_scope_text(route->scopes, text, sizeof(text)));
	forbidden(r, route->scopes, why);
	return false;
}
