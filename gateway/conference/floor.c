/* The floor: one holder, a queue by rank and time. */
#include <errno.h>

#include "conference/conference_internal.h"

const char *mu_floor_holder(const struct mu_conference *c)
{
	return c->floor;
}

/* Who has it is heard: a mute by the chair is undone. */
static void give(struct mu_conference *c, struct mu_member *m, const char *why)
{
	m->hand_us = 0;
	m->muted = m->muted_by_chair = false;
	set_id(c->floor, m->endpoint);
	changed(c, "floor", m->endpoint, why);
}

static struct mu_member *first_in_queue(const struct mu_conference *c)
{
	struct mu_member *best = NULL;

	for (size_t i = 0; i < c->n_members; i++) {
		struct mu_member *m = c->members[i];

		if (!m->hand_us || !m->present)
			continue;
		if (!best || m->rank < best->rank || (m->rank == best->rank && m->hand_us < best->hand_us))
			best = m;
	}
	return best;
}

static bool gets_it_at_once(const struct mu_conference *c, const struct mu_member *m)
{
	const struct mu_member *holder = member_find(c, c->floor);

	if (!holder)
		return !c->moderated || m->role == MU_ROLE_CHAIR;
	if (m->role == MU_ROLE_CHAIR && holder->role != MU_ROLE_CHAIR)
		return true;
	return m->rank < holder->rank;
}

int mu_floor_request(struct mu_conference *c, const char *endpoint, struct mu_error *e)
{
	struct mu_member *m = member_find(c, endpoint);
	bool taken_over = c->floor[0] != '\0';

	if (!m)
		return no_member(c, endpoint, e);
	if (m->role == MU_ROLE_LISTENER)
		return mu_error_set(
			e, -EPERM, "%s is a listener: a chair has to make it a participant first", endpoint);
	if (strcmp(c->floor, endpoint) == 0)
		return 1;
	if (gets_it_at_once(c, m)) {
		give(c, m, taken_over ? "taken over by rank" : NULL);
		return 1;
	}
	if (!m->hand_us) {
		m->hand_us = mu_clock_wall_us();
		changed(c, "hand", endpoint, NULL);
	}
	return 0;
}

/* Nobody has it; where nobody leads, the next in the queue. */
static void pass_on(struct mu_conference *c, const char *why)
{
	struct mu_member *next = c->moderated ? NULL : first_in_queue(c);

	c->floor[0] = '\0';
	if (next)
		give(c, next, "next in the queue");
	else
		changed(c, "floor", NULL, why);
}

int mu_floor_release(struct mu_conference *c, const char *endpoint, struct mu_error *e)
{
	struct mu_member *m = member_find(c, endpoint);

	if (!m)
		return no_member(c, endpoint, e);
	if (m->hand_us) {
		m->hand_us = 0;
		changed(c, "hand", endpoint, "down");
	}
	if (strcmp(c->floor, endpoint) != 0)
		return 0;
	pass_on(c, "released");
	return 0;
}

int mu_floor_grant(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e)
{
	struct mu_member *m = member_find(c, endpoint);
	int err = may_lead(c, actor, "give the floor", e);
	char why[64];

	if (err < 0)
		return err;
	if (!m)
		return no_member(c, endpoint, e);
	if (m->role == MU_ROLE_LISTENER)
		return mu_error_set(e, -EPERM, "%s is a listener: make it a participant first", endpoint);
	if (!m->present)
		return mu_error_set(e, -EBUSY, "%s is not there now: give the floor to somebody who is", endpoint);
	if (strcmp(c->floor, endpoint) != 0)
		give(c, m, by_whom(actor, why, "granted"));
	return 0;
}

int mu_floor_revoke(struct mu_conference *c, const char *actor, struct mu_error *e)
{
	int err = may_lead(c, actor, "take the floor back", e);
	char why[64];

	if (err < 0)
		return err;
	if (c->floor[0] == '\0')
		return 0;
	pass_on(c, by_whom(actor, why, "revoked"));
	return 0;
}
