/* STUN and TURN servers for clients: as WHIP and WHEP name them, and as a browser takes them. */
#include <stdlib.h>

#include "webrtc/session.h"

void ice_servers_copy(struct mu_ice_servers *ret, const struct mu_ice_servers *from)
{
	const char **urls = g_new0(const char *, MU_ICE_SERVERS_MAX);

	*ret = *from;
	ret->urls = urls;
	ret->n_urls = MU_MIN(from->n_urls, (unsigned)MU_ICE_SERVERS_MAX);
	for (unsigned i = 0; i < ret->n_urls; i++)
		urls[i] = g_strdup(from->urls[i]);
	ret->secret = g_strdup(from->secret);
	ret->username = g_strdup(from->username);
	ret->password = g_strdup(from->password);
}

static void wipe(const char *text)
{
	if (text)
		explicit_bzero((char *)(uintptr_t)text, strlen(text));
	g_free((char *)(uintptr_t)text);
}

void ice_servers_done(struct mu_ice_servers *s)
{
	for (unsigned i = 0; i < s->n_urls; i++)
		g_free((char *)(uintptr_t)s->urls[i]);
	g_free((void *)(uintptr_t)s->urls);
	wipe(s->secret);
	wipe(s->username);
	wipe(s->password);
	memset(s, 0, sizeof(*s));
}

/* A STUN server asks for nothing (RFC 8489, section 9). */
static bool needs_credentials(const char *url)
{
	return strncmp(url, "turn", 4) == 0;
}

/** What one client shows to all TURN servers. */
struct credentials {
	struct mu_turn_credentials made;
	const char *username, *password; /* NULL: nothing */
};

static bool take_credentials(const struct mu_ice_servers *s, const char *user, struct credentials *ret)
{
	int64_t now_s = mu_clock_wall_us() / 1000000;

	ret->username = s->username;
	ret->password = s->password;
	if (!s->secret)
		return true;
	ret->username = ret->made.username;
	ret->password = ret->made.password;
	return mu_turn_credentials(s->secret, user, now_s + s->lifetime_s, &ret->made) == 0;
}

/* --- RTCIceServer --- */

static json_t *server(const struct mu_ice_servers *s, bool turn, const struct credentials *c)
{
	json_t *urls = json_array(), *o;

	for (unsigned i = 0; i < s->n_urls; i++) {
		if (needs_credentials(s->urls[i]) == turn)
			json_array_append_new(urls, json_string(s->urls[i]));
	}
	if (json_array_size(urls) == 0) {
		json_decref(urls);
		return NULL;
	}
	o = json_pack("{so}", "urls", urls);
	if (turn && c->username) {
		json_object_set_new(o, "username", json_string(c->username));
		json_object_set_new(o, "credential", json_string(c->password));
	}
	return o;
}

json_t *mu_webrtc_ice_servers(struct mu_webrtc *w, const char *user)
{
	struct credentials c = { .username = NULL };
	json_t *list = json_array();

	if (!take_credentials(&w->o.ice, user, &c)) {
		json_decref(list);
		list = NULL;
	}
	for (int turn = 0; list && turn < 2; turn++) {
		json_t *o = server(&w->o.ice, turn, &c);

		if (o)
			json_array_append_new(list, o);
	}
	explicit_bzero(&c, sizeof(c));
	return list;
}

/* --- Link headers --- */

/* A quoted-string (RFC 9110, section 5.6.4). What it is made of has no control characters. */
static void quote(GString *t, const char *name, const char *value)
{
	g_string_append_printf(t, "; %s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			g_string_append_c(t, '\\');
		g_string_append_c(t, *value);
	}
	g_string_append_c(t, '"');
}

static char *link_of(const char *url, const struct credentials *c)
{
	GString *t = g_string_sized_new(512);
	char *text;

	g_string_append_printf(t, "<%s>; rel=\"ice-server\"", url);
	if (needs_credentials(url) && c->username) {
		quote(t, "username", c->username);
		quote(t, "credential", c->password);
		quote(t, "credential-type", "password");
	}
	text = strdup(t->str);
	explicit_bzero(t->str, t->len);
	g_string_free(t, TRUE);
	return text;
}

bool ice_servers_link(const struct mu_ice_servers *s, const char *user, struct mu_web_reply *r)
{
	struct credentials c = { .username = NULL };
	bool good = take_credentials(s, user, &c);

	for (unsigned i = 0; good && i < s->n_urls; i++) {
		r->links[i] = link_of(s->urls[i], &c);
		good = r->links[i] != NULL;
		r->n_links += good;
	}
	explicit_bzero(&c, sizeof(c));
	return good;
}
