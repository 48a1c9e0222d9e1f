/* The stage: the shared screen, who is large, and so what each member is to receive. */
#include <errno.h>

#include "conference/conference_internal.h"

int mu_screen_start(struct mu_conference *c, const char *endpoint, struct mu_error *e)
{
	const struct mu_member *m = member_find(c, endpoint), *before = member_find(c, c->screen);

	if (!m)
		return no_member(c, endpoint, e);
	if (m->role == MU_ROLE_LISTENER)
		return mu_error_set(e, -EPERM, "%s is a listener: it cannot share a screen", endpoint);
	if (before == m)
		return 0;
	if (before && m->role != MU_ROLE_CHAIR && m->rank >= before->rank)
		return mu_error_set(e, -EBUSY, "%s shares a screen: one at a time", c->screen);
	set_id(c->screen, endpoint);
	changed(c, "screen", endpoint, before ? "taken over by rank" : NULL);
	return 0;
}

int mu_screen_stop(struct mu_conference *c, const char *actor, struct mu_error *e)
{
	int err = actor && strcmp(actor, c->screen) == 0 ? 0 : may_lead(c, actor, "stop another's screen", e);

	if (err < 0 || c->screen[0] == '\0')
		return err;
	c->screen[0] = '\0';
	changed(c, "screen", NULL, "stopped");
	return 0;
}

int mu_conference_broadcast(
	struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e)
{
	int err = may_lead(c, actor, "show a site to all", e);

	if (err < 0)
		return err;
	if (endpoint && endpoint[0] && !member_find(c, endpoint))
		return no_member(c, endpoint, e);
	set_id(c->broadcast, endpoint);
	changed(c, "broadcast", c->broadcast[0] ? c->broadcast : NULL, NULL);
	return 0;
}

int mu_conference_view(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e)
{
	struct mu_member *m = member_find(c, actor);

	if (!m)
		return no_member(c, actor, e);
	if (endpoint && endpoint[0] && !member_find(c, endpoint))
		return no_member(c, endpoint, e);
	set_id(m->views, endpoint);
	changed(c, "view", actor, NULL);
	return 0;
}

int mu_conference_set_layout(
	struct mu_conference *c, const char *actor, enum mu_layout layout, struct mu_error *e)
{
	int err = may_lead(c, actor, "choose the layout", e);

	if (err < 0)
		return err;
	c->layout = layout;
	changed(c, "layout", NULL, mu_layout_name(layout));
	return 0;
}

void mu_conference_speaks(struct mu_conference *c, const char *endpoint)
{
	if (strcmp(c->speaker, endpoint ? endpoint : "") == 0)
		return;
	set_id(c->speaker, endpoint);
	mu_directory_tell(c->all->directory, "conference.speaker",
		json_pack("{s:s, s:s?}", "conference", c->id, "endpoint", c->speaker[0] ? c->speaker : NULL));
}

static bool heard(const struct mu_conference *c, const struct mu_member *m)
{
	if (!m->present || m->muted || m->role == MU_ROLE_LISTENER)
		return false;
	return !c->moderated || m->role == MU_ROLE_CHAIR || strcmp(c->floor, m->endpoint) == 0;
}

bool mu_conference_heard(const struct mu_conference *c, const char *endpoint)
{
	const struct mu_member *m = member_find(c, endpoint);

	return m && heard(c, m);
}

/* Whom the member sees large: its own choice, then the chair's, then who speaks. */
static const char *large_for(const struct mu_conference *c, const struct mu_member *viewer)
{
	if (viewer->views[0])
		return viewer->views;
	if (c->broadcast[0])
		return c->broadcast;
	if (c->layout != MU_LAYOUT_SPEAKER)
		return "";
	if (c->speaker[0] && strcmp(c->speaker, viewer->endpoint) != 0)
		return c->speaker;
	return strcmp(c->floor, viewer->endpoint) != 0 ? c->floor : "";
}

struct collected {
	struct mu_seen *ret;
	size_t n, max;
};

static void collect(struct collected *to, const struct mu_member *m, const char *label,
	enum mu_urgency urgency, bool large)
{
	if (to->n < to->max)
		to->ret[to->n] = (struct mu_seen){ m->endpoint, label, urgency, large };
	to->n++;
}

/* Chairs and the holder of the floor command; their voices come first of all. */
static enum mu_urgency voice_of(const struct mu_conference *c, const struct mu_member *m)
{
	bool commands = m->role == MU_ROLE_CHAIR || strcmp(c->floor, m->endpoint) == 0;

	return commands ? MU_URGENT_COMMAND : MU_URGENT_CONFERENCE;
}

size_t mu_conference_seen(
	const struct mu_conference *c, const char *endpoint, struct mu_seen *ret, size_t max)
{
	const struct mu_member *viewer = member_find(c, endpoint), *m;
	struct collected to = { ret, 0, max };
	const char *large;

	if (!viewer)
		return 0;
	large = large_for(c, viewer);
	m = member_find(c, c->screen);
	if (m && m != viewer && m->present)
		collect(&to, m, "screen", MU_URGENT_SPEAKER, true);
	m = member_find(c, large);
	if (m && m != viewer && m->present)
		collect(&to, m, "video", MU_URGENT_SPEAKER, true);
	for (size_t i = 0; i < c->n_members; i++) {
		m = c->members[i];
		if (m == viewer || !m->present || m->role == MU_ROLE_LISTENER)
			continue;
		if (heard(c, m))
			collect(&to, m, "audio", voice_of(c, m), false);
		if (strcmp(large, m->endpoint) != 0)
			collect(&to, m, "video", MU_URGENT_CONFERENCE, false);
	}
	return to.n;
}
