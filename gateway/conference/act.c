/* Acts by their names. */
#include <errno.h>

#include "conference/conference_internal.h"

static const struct {
	const char *name;
	enum mu_act_needs needs;
	bool oneself; /* only a member can */
} acts[] = {
	[MU_ACT_FLOOR_REQUEST] = { "floor.request", MU_ACT_NOTHING, true },
	[MU_ACT_FLOOR_RELEASE] = { "floor.release", MU_ACT_NOTHING, true },
	[MU_ACT_FLOOR_GRANT] = { "floor.grant", MU_ACT_ENDPOINT, false },
	[MU_ACT_FLOOR_REVOKE] = { "floor.revoke", MU_ACT_NOTHING, false },
	[MU_ACT_MUTE] = { "mute", MU_ACT_ENDPOINT, false },
	[MU_ACT_UNMUTE] = { "unmute", MU_ACT_ENDPOINT, false },
	[MU_ACT_MUTE_ALL] = { "mute.all", MU_ACT_NOTHING, false },
	[MU_ACT_UNMUTE_ALL] = { "unmute.all", MU_ACT_NOTHING, false },
	[MU_ACT_ROLE] = { "role", MU_ACT_ENDPOINT_VALUE, false },
	[MU_ACT_REMOVE] = { "remove", MU_ACT_ENDPOINT, false },
	[MU_ACT_ADMIT] = { "admit", MU_ACT_ENDPOINT, false },
	[MU_ACT_LOCK] = { "lock", MU_ACT_NOTHING, false },
	[MU_ACT_UNLOCK] = { "unlock", MU_ACT_NOTHING, false },
	[MU_ACT_BROADCAST] = { "broadcast", MU_ACT_MAY_ENDPOINT, false },
	[MU_ACT_LARGE] = { "large", MU_ACT_MAY_ENDPOINT, true },
	[MU_ACT_LAYOUT] = { "layout", MU_ACT_VALUE, false },
	[MU_ACT_SCREEN_START] = { "screen.start", MU_ACT_NOTHING, true },
	[MU_ACT_SCREEN_STOP] = { "screen.stop", MU_ACT_NOTHING, false },
	[MU_ACT_END] = { "end", MU_ACT_NOTHING, false },
};

const char *mu_act_name(enum mu_act a)
{
	return acts[a].name;
}

int mu_act_parse(const char *name, enum mu_act *ret)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(acts); i++) {
		if (strcmp(acts[i].name, name) == 0) {
			*ret = (enum mu_act)i;
			return 0;
		}
	}
	return -ENOTSUP;
}

enum mu_act_needs mu_act_needs(enum mu_act a)
{
	return acts[a].needs;
}

static int set_role(struct mu_conference *c, const char *actor, const char *endpoint, const char *value, struct mu_error *e)
{
	enum mu_role role;

	if (mu_role_parse(value, &role) < 0)
		return mu_error_set(e, -EINVAL, "there is no role '%.32s': chair, participant and listener are", value);
	return mu_conference_set_role(c, actor, endpoint, role, e);
}

static int set_layout(struct mu_conference *c, const char *actor, const char *value, struct mu_error *e)
{
	enum mu_layout layout;

	if (mu_layout_parse(value, &layout) < 0)
		return mu_error_set(e, -EINVAL, "there is no layout '%.32s': equal, speaker and choice are", value);
	return mu_conference_set_layout(c, actor, layout, e);
}

int mu_conference_act(struct mu_conference *c, const char *actor, enum mu_act a, const char *endpoint, const char *value,
	struct mu_error *e)
{
	if (!actor && acts[a].oneself)
		return mu_error_set(e, -EINVAL, "\"%s\" is what a member does for itself: join conference %s", acts[a].name, c->id);
	switch (a) {
	case MU_ACT_FLOOR_REQUEST:
		return mu_floor_request(c, actor, e);
	case MU_ACT_FLOOR_RELEASE:
		return mu_floor_release(c, actor, e);
	case MU_ACT_FLOOR_GRANT:
		return mu_floor_grant(c, actor, endpoint, e);
	case MU_ACT_FLOOR_REVOKE:
		return mu_floor_revoke(c, actor, e);
	case MU_ACT_MUTE:
	case MU_ACT_UNMUTE:
		return mu_conference_mute(c, actor, endpoint, a == MU_ACT_MUTE, e);
	case MU_ACT_MUTE_ALL:
	case MU_ACT_UNMUTE_ALL:
		return mu_conference_mute_all(c, actor, a == MU_ACT_MUTE_ALL, e);
	case MU_ACT_ROLE:
		return set_role(c, actor, endpoint, value, e);
	case MU_ACT_REMOVE:
		return mu_conference_remove(c, actor, endpoint, e);
	case MU_ACT_ADMIT:
		return mu_conference_admit(c, actor, endpoint, e);
	case MU_ACT_LOCK:
	case MU_ACT_UNLOCK:
		return mu_conference_lock(c, actor, a == MU_ACT_LOCK, e);
	case MU_ACT_BROADCAST:
		return mu_conference_broadcast(c, actor, endpoint, e);
	case MU_ACT_LARGE:
		return mu_conference_view(c, actor, endpoint, e);
	case MU_ACT_LAYOUT:
		return set_layout(c, actor, value, e);
	case MU_ACT_SCREEN_START:
		return mu_screen_start(c, actor, e);
	case MU_ACT_SCREEN_STOP:
		return mu_screen_stop(c, actor, e);
	case MU_ACT_END:
		return mu_conference_end(c, actor, e);
	}
	return -EINVAL;
}
