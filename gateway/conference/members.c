/* Who is in: coming, going, roles and mutes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conference/conference_internal.h"

struct mu_member *member_find(const struct mu_conference *c, const char *endpoint)
{
	for (size_t i = 0; endpoint && i < c->n_members; i++) {
		if (strcmp(c->members[i]->endpoint, endpoint) == 0)
			return c->members[i];
	}
	return NULL;
}

struct mu_member *member_add(struct mu_conference *c, const char *endpoint)
{
	struct mu_member *m;

	if (c->n_members == c->size_members) {
		size_t size = MU_MAX(c->size_members * 2, (size_t)8);
		struct mu_member **members = realloc(c->members, size * sizeof(struct mu_member *));

		if (!members)
			return NULL;
		c->members = members;
		c->size_members = size;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	set_id(m->endpoint, endpoint);
	c->members[c->n_members++] = m;
	return m;
}

int no_member(const struct mu_conference *c, const char *endpoint, struct mu_error *e)
{
	return mu_error_set(e, -ENOENT, "%s is not in conference %s", endpoint ? endpoint : "nobody", c->id);
}

int may_lead(const struct mu_conference *c, const char *actor, const char *act, struct mu_error *e)
{
	const struct mu_member *m;

	if (!actor)
		return 0;
	m = member_find(c, actor);
	if (m && m->role == MU_ROLE_CHAIR)
		return 0;
	return mu_error_set(e, -EPERM, "only a chair of conference %s may %s", c->id, act);
}

const struct mu_member *mu_conference_member(const struct mu_conference *c, const char *endpoint)
{
	return member_find(c, endpoint);
}

size_t mu_conference_members(const struct mu_conference *c)
{
	return c->n_members;
}

const struct mu_member *mu_conference_member_at(const struct mu_conference *c, size_t i)
{
	return c->members[i];
}

void set_name(struct mu_member *m, const char *name)
{
	text_keep(m->name, sizeof(m->name), name);
}

static void set_present(struct mu_member *m, bool present)
{
	m->present = present;
	m->since_us = mu_clock_wall_us();
	m->awaited_until_us = 0;
}

int mu_conference_join(struct mu_conference *c, const char *endpoint, const char *name, enum mu_role role,
	unsigned rank, struct mu_error *e)
{
	struct mu_member *m = member_find(c, endpoint);
	const struct former *f = former_find(c, endpoint);

	if (!mu_endpoint_id_valid(endpoint))
		return mu_error_set(
			e, -EINVAL, "'%.64s' is no endpoint id: it has to be <site>/<name>", endpoint);
	if (rank > MU_RANK_MAX)
		return mu_error_set(
			e, -EINVAL, "rank %u: 0 (the highest) to %d are allowed", rank, MU_RANK_MAX);
	if (!m) {
		if (f && f->removed)
			return mu_error_set(e, -EACCES,
				"%s was removed from conference %s: a chair or an operator has to admit it again", endpoint, c->id);
		if (c->locked)
			return mu_error_set(
				e, -EACCES, "conference %s is locked: ask a chair to unlock it", c->id);
		if (c->n_members >= c->all->limits.members)
			return mu_error_set(
				e, -ENOSPC, "conference %s is full (%zu members)", c->id, c->n_members);
		m = member_add(c, endpoint);
		if (!m)
			return mu_error_set(e, -ENOMEM, "out of memory for a member");
		m->role = role;
		m->rank = rank;
		former_back(c, m);
	}
	if (name && name[0])
		set_name(m, name);
	if (!m->name[0])
		set_name(m, endpoint);
	set_present(m, true);
	changed(c, "joined", endpoint, NULL);
	return 0;
}

void let_go(struct mu_conference *c, struct mu_member *m, const char *why)
{
	if (strcmp(c->speaker, m->endpoint) == 0)
		c->speaker[0] = '\0';
	if (strcmp(c->screen, m->endpoint) == 0) {
		c->screen[0] = '\0';
		changed(c, "screen", NULL, why);
	}
	if (strcmp(c->floor, m->endpoint) == 0)
		mu_floor_release(c, m->endpoint, NULL);
}

static void drop(struct mu_conference *c, struct mu_member *m)
{
	size_t i = 0;

	while (c->members[i] != m)
		i++;
	memmove(c->members + i, c->members + i + 1, (c->n_members - i - 1) * sizeof(struct mu_member *));
	c->n_members--;
	for (i = 0; i < c->n_members; i++) {
		if (strcmp(c->members[i]->views, m->endpoint) == 0)
			c->members[i]->views[0] = '\0';
	}
	if (strcmp(c->broadcast, m->endpoint) == 0)
		c->broadcast[0] = '\0';
}

static void go(struct mu_conference *c, struct mu_member *m, bool removed, const char *why)
{
	m->hand_us = 0;
	let_go(c, m, why);
	drop(c, m);
	former_keep(c, m, removed);
	changed(c, "left", m->endpoint, why);
	free(m);
}

int mu_conference_leave(struct mu_conference *c, const char *endpoint)
{
	struct mu_member *m = member_find(c, endpoint);

	if (!m)
		return -ENOENT;
	go(c, m, false, NULL);
	return 0;
}

void mu_conference_absent(struct mu_conference *c, const char *endpoint)
{
	struct mu_member *m = member_find(c, endpoint);

	if (!m || !m->present)
		return;
	set_present(m, false);
	let_go(c, m, "connection lost");
	changed(c, "absent", endpoint, NULL);
}

void mu_conference_away(struct mu_conference *c, const char *endpoint, int64_t until_us)
{
	struct mu_member *m = member_find(c, endpoint);

	if (!m || !m->present)
		return;
	set_present(m, false);
	m->awaited_until_us = until_us;
	changed(c, "absent", endpoint, "it is coming back");
}

int mu_conference_remove(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e)
{
	struct mu_member *m = member_find(c, endpoint);
	int err = may_lead(c, actor, "remove a member", e);
	char why[64];

	if (err < 0)
		return err;
	if (!m)
		return no_member(c, endpoint, e);
	go(c, m, true, by_whom(actor, why, "removed"));
	return 0;
}

int mu_conference_set_role(struct mu_conference *c, const char *actor, const char *endpoint,
	enum mu_role role, struct mu_error *e)
{
	struct mu_member *m = member_find(c, endpoint);
	int err = may_lead(c, actor, "give roles", e);

	if (err < 0)
		return err;
	if (!m)
		return no_member(c, endpoint, e);
	m->role = role;
	m->role_given = true;
	if (role == MU_ROLE_LISTENER) {
		m->hand_us = 0;
		let_go(c, m, "is a listener now");
	}
	changed(c, "role", endpoint, mu_role_name(role));
	return 0;
}

int mu_conference_lock(struct mu_conference *c, const char *actor, bool locked, struct mu_error *e)
{
	int err = may_lead(c, actor, "lock it", e);

	if (err < 0)
		return err;
	c->locked = locked;
	changed(c, locked ? "locked" : "unlocked", NULL, NULL);
	return 0;
}

static void mute(struct mu_member *m, bool muted, bool by_chair)
{
	m->muted = muted;
	m->muted_by_chair = muted && by_chair;
}

int mu_conference_mute(
	struct mu_conference *c, const char *actor, const char *endpoint, bool muted, struct mu_error *e)
{
	struct mu_member *m = member_find(c, endpoint);
	bool self = actor && strcmp(actor, endpoint) == 0;
	int err = self ? 0 : may_lead(c, actor, "mute others", e);
	char why[64];

	if (err < 0)
		return err;
	if (!m)
		return no_member(c, endpoint, e);
	if (self && m->role == MU_ROLE_CHAIR)
		self = false;
	if (self && !muted && m->muted_by_chair)
		return mu_error_set(e, -EPERM, "the chair muted %s: ask for the floor", endpoint);
	mute(m, muted, !self || m->muted_by_chair);
	changed(c, muted ? "muted" : "unmuted", endpoint, self ? NULL : by_whom(actor, why, ""));
	return 0;
}

int mu_conference_mute_all(struct mu_conference *c, const char *actor, bool muted, struct mu_error *e)
{
	int err = may_lead(c, actor, "mute all", e);
	char why[64];

	if (err < 0)
		return err;
	for (size_t i = 0; i < c->n_members; i++) {
		if (c->members[i]->role != MU_ROLE_CHAIR)
			mute(c->members[i], muted, true);
	}
	changed(c, muted ? "muted" : "unmuted", NULL, by_whom(actor, why, "all,"));
	return 0;
}
