/* STUN and TURN servers handed to clients. A TURN server that shares a secret with us takes a user name that says until when it is
 * good, with a password that only who knows the secret can make. */
#include <stdio.h>

#include "webrtc/session.h"

#define USERNAME_MAX 192

struct credential {
	char username[USERNAME_MAX], password[MU_TURN_PASSWORD];
};

static bool is_turn(const char *url)
{
	return g_str_has_prefix(url, "turn:") || g_str_has_prefix(url, "turns:");
}

/* @return false: there is no secret */
static bool make(const struct mu_webrtc *w, const char *user, struct credential *ret)
{
	if (!w->o.ice_secret)
		return false;
	snprintf(ret->username, sizeof(ret->username), "%lld:%s",
		(long long)(mu_clock_wall_us() / 1000000 + w->o.ice_lifetime_s), user);
	return mu_turn_password(w->o.ice_secret, ret->username, ret->password) == 0;
}

json_t *mu_webrtc_ice_servers(const struct mu_webrtc *w, const char *user)
{
	json_t *ret = json_array(), *stun = json_array(), *turn = json_array();
	struct credential c;

	for (unsigned i = 0; i < w->o.n_ice_urls; i++)
		json_array_append_new(is_turn(w->o.ice_urls[i]) ? turn : stun, json_string(w->o.ice_urls[i]));
	if (json_array_size(stun) > 0)
		json_array_append_new(ret, json_pack("{sO}", "urls", stun));
	if (json_array_size(turn) > 0 && make(w, user, &c))
		json_array_append_new(ret, json_pack("{sO ss ss}", "urls", turn, "username", c.username, "credential", c.password));
	json_decref(stun);
	json_decref(turn);
	return ret;
}

char **mu_webrtc_ice_links(const struct mu_webrtc *w, const char *user)
{
	GPtrArray *all = g_ptr_array_new();
	struct credential c;
	bool any = make(w, user, &c);

	for (unsigned i = 0; i < w->o.n_ice_urls; i++) {
		const char *url = w->o.ice_urls[i];

		if (!is_turn(url))
			g_ptr_array_add(all, g_strdup_printf("<%s>; rel=\"ice-server\"", url));
		else if (any)
			g_ptr_array_add(all,
				g_strdup_printf("<%s>; rel=\"ice-server\"; username=\"%s\"; credential=\"%s\"; "
						"credential-type=\"password\"",
					url, c.username, c.password));
	}
	g_ptr_array_add(all, NULL);
	return (char **)g_ptr_array_free(all, FALSE);
}
