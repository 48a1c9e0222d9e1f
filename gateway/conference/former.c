/* Who was in a conference and is not: a member that a chair muted, or made a listener, is that still when it comes back, and one
 * that was removed does not come back before it is admitted. */
#include <errno.h>
#include <stdlib.h>

#include "conference/conference_internal.h"

struct former *former_find(const struct mu_conference *c, const char *endpoint)
{
	for (size_t i = 0; endpoint && i < c->n_former; i++) {
		if (strcmp(c->former[i].endpoint, endpoint) == 0)
			return &c->former[i];
	}
	return NULL;
}

static void forget(struct mu_conference *c, struct former *f)
{
	size_t i = (size_t)(f - c->former);

	memmove(f, f + 1, (c->n_former - i - 1) * sizeof(*f));
	c->n_former--;
}

static void put(struct mu_conference *c, const struct former *f)
{
	struct former *list;

	if (former_find(c, f->endpoint))
		forget(c, former_find(c, f->endpoint));
	if (c->n_former == FORMER_MAX)
		forget(c, c->former);
	list = realloc(c->former, (c->n_former + 1) * sizeof(*list));
	if (!list) {
		mu_err("conference", c->id, "out of memory: %s may come back as if it had never been there", f->endpoint);
		return;
	}
	c->former = list;
	c->former[c->n_former++] = *f;
}

void former_keep(struct mu_conference *c, const struct mu_member *m, bool removed)
{
	struct former f = {
		.removed = removed,
		.muted_by_chair = m->muted_by_chair,
		.role_given = m->role_given,
		.role = m->role,
		.since_us = mu_clock_wall_us(),
	};

	if (!removed && !m->muted_by_chair && !m->role_given)
		return;
	set_id(f.endpoint, m->endpoint);
	put(c, &f);
}

void former_back(struct mu_conference *c, struct mu_member *m)
{
	struct former *f = former_find(c, m->endpoint);

	if (!f)
		return;
	m->muted = m->muted_by_chair = f->muted_by_chair;
	if (f->role_given) {
		m->role = f->role;
		m->role_given = true;
	}
	forget(c, f);
}

int mu_conference_admit(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e)
{
	struct former *f = former_find(c, endpoint);
	int err = may_lead(c, actor, "admit who was removed", e);
	char why[64];

	if (err < 0)
		return err;
	if (!f || !f->removed)
		return mu_error_set(e, -ENOENT, "%s was not removed from conference %s", endpoint ? endpoint : "nobody", c->id);
	f->removed = false;
	if (!f->muted_by_chair && !f->role_given)
		forget(c, f);
	changed(c, "admitted", endpoint, by_whom(actor, why, "admitted"));
	return 0;
}

/* --- shown and kept --- */

json_t *former_json(const struct mu_conference *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_former; i++) {
		const struct former *f = &c->former[i];

		json_array_append_new(list,
			json_pack("{s:s, s:b, s:b, s:s?, s:o}", "endpoint", f->endpoint, "removed", f->removed, "muted_by_chair",
				f->muted_by_chair, "role", f->role_given ? mu_role_name(f->role) : NULL, "since",
				mu_time_json(f->since_us)));
	}
	return list;
}

/* What does not make sense is left out: it is no reason to lose the conference. */
void former_restore(struct mu_conference *c, const json_t *list)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
	{
		const char *endpoint = json_string_value(json_object_get(o, "endpoint"));
		const char *role = json_string_value(json_object_get(o, "role"));
		struct former f = {
			.removed = json_is_true(json_object_get(o, "removed")),
			.muted_by_chair = json_is_true(json_object_get(o, "muted_by_chair")),
			.since_us = time_of(json_string_value(json_object_get(o, "since"))),
		};

		f.role_given = role && mu_role_parse(role, &f.role) == 0;
		if (!endpoint || !mu_endpoint_id_valid(endpoint) || member_find(c, endpoint) || i >= FORMER_MAX)
			continue;
		set_id(f.endpoint, endpoint);
		put(c, &f);
	}
}
