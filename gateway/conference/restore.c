/* A conference taken back from what the store kept. The store's content is read as any outside data is: every
 * field is looked at. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "conference/conference_internal.h"

static bool flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int64_t time_of(const char *text)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	unsigned ms = 0;

	if (!end || sscanf(end, ".%3uZ", &ms) != 1)
		return 0;
	return ((int64_t)timegm(&tm) * 1000 + ms) * 1000;
}

/* An id of a member; anything else is forgotten. */
static void member_id(const struct mu_conference *c, const json_t *o, const char *key, char ret[MU_ID_MAX])
{
	const char *id = text(o, key);

	set_id(ret, member_find(c, id) ? id : "");
}

static int restore_member(struct mu_conference *c, const json_t *o, struct mu_error *e)
{
	const char *endpoint = text(o, "endpoint");
	json_int_t rank = json_integer_value(json_object_get(o, "rank"));
	int64_t since_us = time_of(text(o, "since"));
	enum mu_role role;
	struct mu_member *m;

	if (!mu_endpoint_id_valid(endpoint) || member_find(c, endpoint) ||
		mu_role_parse(text(o, "role"), &role) < 0 || rank < 0 || rank > MU_RANK_MAX)
		return mu_error_set(
			e, -EBADMSG, "conference %s: a member without a valid endpoint, role or rank", c->id);
	m = c->n_members < MU_MEMBERS_MAX ? member_add(c, endpoint) : NULL;
	if (!m)
		return mu_error_set(e, -ENOMEM, "conference %s: too many members", c->id);
	set_name(m, text(o, "name"));
	if (!m->name[0])
		set_name(m, endpoint);
	m->role = role;
	m->rank = (unsigned)rank;
	m->muted = flag(o, "muted");
	m->muted_by_chair = m->muted && flag(o, "muted_by_chair");
	m->role_given = flag(o, "role_given");
	m->since_us = mu_clock_wall_us();
	if (!flag(o, "present") && since_us) /* it was absent before the restart already */
		m->since_us = since_us;
	m->hand_us = time_of(text(o, "hand"));
	m->awaited_until_us = INT64_MAX;
	return 0;
}

static int restore_members(struct mu_conference *c, const json_t *state, struct mu_error *e)
{
	json_t *o, *members = json_object_get(state, "members");
	size_t i;

	json_array_foreach(members, i, o)
	{
		int err = restore_member(c, o, e);

		if (err < 0)
			return err;
	}
	json_array_foreach(members, i, o) member_id(c, o, "views", c->members[i]->views);
	return 0;
}

int mu_conferences_restore(struct mu_conferences *cs, const json_t *state, struct mu_error *e)
{
	struct mu_conference_store store = cs->store;
	char title[MU_TITLE_MAX];
	json_int_t loudest = json_integer_value(json_object_get(state, "loudest"));
	struct mu_conference_spec spec = {
		.id = text(state, "id"),
		.title = text_keep(title, sizeof(title), text(state, "title")) > 0 ? title : NULL,
		.moderated = flag(state, "moderated"),
		.loudest = (unsigned)MU_MAX(MU_MIN(loudest, (json_int_t)MU_LOUDEST_MAX), (json_int_t)0),
	};
	struct mu_conference *c;
	int err;

	if (spec.title && text_check(title, sizeof(title), "", NULL) < 0)
		spec.title = NULL; /* blank: an earlier version took it */

	if (mu_layout_parse(text(state, "layout"), &spec.layout) < 0)
		return mu_error_set(e, -EBADMSG, "conference '%.64s': no such layout", spec.id);
	cs->store.save = NULL; /* what comes from the store need not go there */
	err = mu_conference_create(cs, &spec, &c, e);
	if (err == 0) {
		int64_t since_us = time_of(text(state, "since"));

		c->locked = flag(state, "locked");
		c->since_us = since_us ? since_us : c->since_us;
		err = restore_members(c, state, e);
		if (err == 0) {
			member_id(c, state, "broadcast", c->broadcast);
			member_id(c, state, "floor", c->floor);
			member_id(c, state, "screen", c->screen);
			former_restore(c, json_object_get(state, "former"));
		} else {
			mu_conference_end(c, NULL, NULL);
		}
	}
	cs->store = store;
	return err;
}

static void release(struct mu_conference *c, struct mu_member *m)
{
	static const char why[] = "did not come back";
	bool hand = m->hand_us != 0;

	m->awaited_until_us = 0;
	m->hand_us = 0;
	let_go(c, m, why);
	if (hand)
		changed(c, "hand", m->endpoint, why);
}

void mu_conferences_release_absent(struct mu_conferences *cs, int64_t now_us)
{
	for (size_t i = 0; i < cs->n; i++) {
		struct mu_conference *c = cs->list[i];

		for (size_t k = 0; k < c->n_members; k++) {
			if (c->members[k]->awaited_until_us && c->members[k]->awaited_until_us <= now_us)
				release(c, c->members[k]);
		}
	}
}
