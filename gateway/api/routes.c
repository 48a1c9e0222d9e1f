#include "api/private.h"

#define OPERATE MU_SCOPE_OPERATE
#define WATCH   MU_SCOPE_WATCH
#define CONFERENCE MU_SCOPE_CONFERENCE

/* openapi.yaml says the same to the outside; tests/unit/api/test_openapi.c holds the two together. */
static const struct mu_route routes[] = {
	{ "POST", "/whip/{site}/{name}", .scopes = MU_SCOPE_PUBLISH, .body = MU_BODY_SDP, .fn = mu_on_whip },
	{ "POST", "/whep/{site}/{name}", .scopes = WATCH, .body = MU_BODY_SDP, .fn = mu_on_whep },
	{ "HEAD", "/whep/{site}/{name}", .scopes = WATCH, .fn = mu_on_whep_head },
	{ "PATCH", "/session/{id}", .own = true, .body = MU_BODY_SDPFRAG, .fn = mu_on_session_patch },
	{ "DELETE", "/session/{id}", .own = true, .fn = mu_on_session_delete },
	{ "GET", "/v1/status", .scopes = OPERATE, .fn = mu_on_status },
	{ "GET", "/v1/endpoints", .scopes = WATCH | OPERATE, .fn = mu_on_endpoints },
	{ "GET", "/v1/endpoints/{site}/{name}", .scopes = WATCH | OPERATE, .fn = mu_on_endpoint },
	{ "GET", "/v1/sessions", .scopes = OPERATE, .fn = mu_on_sessions },
	{ "DELETE", "/v1/sessions/{id}", .scopes = OPERATE, .fn = mu_on_sessions_delete },
	{ "POST", "/v1/tokens/revoke", .scopes = MU_SCOPE_ADMIN, .site_wide = true, .body = MU_BODY_JSON,
		.fn = mu_on_revoke },
	{ "GET", "/v1/tokens/revoked", .scopes = MU_SCOPE_ADMIN, .site_wide = true, .fn = mu_on_revoked },
	{ "GET", "/v1/audit", .scopes = MU_SCOPE_ADMIN, .site_wide = true, .fn = mu_on_audit },
	{ "GET", "/v1/conferences", .scopes = CONFERENCE | OPERATE, .fn = mu_on_conferences },
	{ "POST", "/v1/conferences", .scopes = OPERATE, .body = MU_BODY_JSON, .fn = mu_on_conference_create },
	{ "GET", "/v1/conferences/{id}", .scopes = CONFERENCE | OPERATE, .fn = mu_on_conference },
	{ "DELETE", "/v1/conferences/{id}", .scopes = OPERATE, .fn = mu_on_conference_delete },
	{ "POST", "/v1/conferences/{id}/acts", .scopes = OPERATE, .body = MU_BODY_JSON, .fn = mu_on_conference_act },
	{ "GET", "/v1/events", .scopes = WATCH | CONFERENCE | OPERATE, .fn = mu_on_events },
	{ "GET", "/v1/console", .open = true, .fn = mu_on_console_socket },
	{ "GET", "/v1/openapi.yaml", .open = true, .fn = mu_on_openapi },
	{ "GET", "/metrics", .scopes = OPERATE, .site_wide = true, .fn = mu_on_metrics },
	{ "GET", "/healthz", .open = true, .fn = mu_on_health },
	{ "GET", "/", .open = true, .fn = mu_on_console },
	{ "GET", "/console/{file}", .open = true, .fn = mu_on_console },
};

const struct mu_route *mu_routes(size_t *n)
{
	*n = MU_ARRAY_LEN(routes);
	return routes;
}

/* One segment of a path: letters, digits, '.', '_', '-', never "." or "..". Nothing that is served has a name
 * with anything else in it, so escapes need no decoding: they match nothing (RELIABILITY P9). */
static size_t segment(const char *path, char ret[MU_ID_MAX])
{
	size_t n = strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	if (n == 0 || n >= MU_ID_MAX || (path[n] && path[n] != '/') || strspn(path, ".") == n)
		return 0;
	memcpy(ret, path, n);
	ret[n] = '\0';
	return n;
}

static bool matches(const char *template, const char *path, char vars[MU_VARS_MAX][MU_ID_MAX])
{
	unsigned v = 0;

	while (*template) {
		if (*template == '{') {
			size_t n = v < MU_VARS_MAX ? segment(path, vars[v++]) : 0;

			if (n == 0)
				return false;
			path += n;
			template = strchr(template, '}') + 1;
		} else if (*template ++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

const struct mu_route *mu_route_find(const char *method, const char *path, char vars[MU_VARS_MAX][MU_ID_MAX],
	char *allow, size_t allow_size)
{
	const struct mu_route *get = NULL;

	*allow = '\0';
	for (size_t i = 0; i < MU_ARRAY_LEN(routes); i++) {
		if (!matches(routes[i].path, path, vars))
			continue;
		if (strcmp(routes[i].method, method) == 0)
			return &routes[i];
		if (strcmp(routes[i].method, "GET") == 0)
			get = &routes[i];
		g_strlcat(allow, routes[i].method, allow_size);
		g_strlcat(allow, ", ", allow_size);
	}
	if (get && strcmp(method, "HEAD") == 0) {
		matches(get->path, path, vars);
		return get;
	}
	if (*allow)
		g_strlcat(allow, "OPTIONS", allow_size);
	return NULL;
}
