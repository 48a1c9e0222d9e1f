/* Conferences: made, found, shown, ended. */
#include "conference/conference_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const roles[] = { "chair", "participant", "listener" };
static const char *const layouts[] = { "equal", "speaker", "choice" };

static int word_of(const char *const *words, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (text && strcmp(words[i], text) == 0)
			return (int)i;
	}
	return -EINVAL;
}

const char *mu_role_name(enum mu_role r)
{
	return roles[r];
}

int mu_role_parse(const char *text, enum mu_role *ret)
{
	int i = word_of(roles, MU_ARRAY_LEN(roles), text);

	if (i < 0)
		return i;
	*ret = (enum mu_role)i;
	return 0;
}

const char *mu_layout_name(enum mu_layout l)
{
	return layouts[l];
}

int mu_layout_parse(const char *text, enum mu_layout *ret)
{
	int i = word_of(layouts, MU_ARRAY_LEN(layouts), text);

	if (i < 0)
		return i;
	*ret = (enum mu_layout)i;
	return 0;
}

/* --- all of a site
 * ------------------------------------------------------------------------------------------------- */

int mu_conferences_new(
	struct mu_directory *d, const struct mu_conference_store *store, struct mu_conferences **ret)
{
	struct mu_conferences *cs = calloc(1, sizeof(*cs));

	if (!cs)
		return -ENOMEM;
	cs->directory = d;
	cs->limits = (struct mu_conference_limits){ .loudest = MU_LOUDEST_DEFAULT, .members = MU_MEMBERS_MAX };
	if (store)
		cs->store = *store;
	*ret = cs;
	return 0;
}

void mu_conferences_limit(struct mu_conferences *cs, const struct mu_conference_limits *l)
{
	cs->limits = *l;
}

static void conference_free(struct mu_conference *c)
{
	for (size_t i = 0; i < c->n_members; i++)
		free(c->members[i]);
	free(c->members);
	free(c->former);
	free(c);
}

void mu_conferences_free(struct mu_conferences *cs)
{
	if (!cs)
		return;
	for (size_t i = 0; i < cs->n; i++)
		conference_free(cs->list[i]);
	free(cs->list);
	free(cs);
}

/* @return where id is, or would be; *ret_found tells which */
static size_t place_of(const struct mu_conferences *cs, const char *id, bool *ret_found)
{
	size_t low = 0, high = cs->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(cs->list[mid]->id, id);

		if (order == 0) {
			*ret_found = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_found = false;
	return low;
}

struct mu_conference *mu_conferences_find(struct mu_conferences *cs, const char *id)
{
	bool found;
	size_t at = place_of(cs, id, &found);

	return found ? cs->list[at] : NULL;
}

void mu_conferences_each(struct mu_conferences *cs, bool (*fn)(void *arg, struct mu_conference *c), void *arg)
{
	for (size_t i = 0; i < cs->n; i++) {
		if (!fn(arg, cs->list[i]))
			return;
	}
}

/* --- one
 * ----------------------------------------------------------------------------------------------------------------
 */

static bool id_valid(const char *id)
{
	size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n >= 1 && n <= 64 && id[n] == '\0' && id[0] != '.';
}

static int insert(struct mu_conferences *cs, size_t at, struct mu_conference *c)
{
	if (cs->n == cs->size) {
		size_t size = MU_MAX(cs->size * 2, (size_t)16);
		struct mu_conference **list = realloc(cs->list, size * sizeof(struct mu_conference *));

		if (!list)
			return -ENOMEM;
		cs->list = list;
		cs->size = size;
	}
	memmove(cs->list + at + 1, cs->list + at, (cs->n - at) * sizeof(struct mu_conference *));
	cs->list[at] = c;
	cs->n++;
	return 0;
}

static int check(const struct mu_conference_spec *spec, struct mu_error *e)
{
	if (!spec->id || !id_valid(spec->id))
		return mu_error_set(e, -EINVAL,
			"a conference's id has 1 to 64 letters, digits, '.', '_' or '-', and does "
			"not begin with '.'");
	if (spec->loudest > MU_LOUDEST_MAX)
		return mu_error_set(e, -EINVAL, "loudest %u: 1 to %d are allowed", spec->loudest, MU_LOUDEST_MAX);
	return spec->title ? text_check(spec->title, MU_TITLE_MAX - 1, "the title", e) : 0;
}

int mu_conference_create(struct mu_conferences *cs, const struct mu_conference_spec *spec,
	struct mu_conference **ret, struct mu_error *e)
{
	struct mu_conference *c;
	bool found;
	size_t at;
	int err = check(spec, e);

	if (err < 0)
		return err;
	at = place_of(cs, spec->id, &found);
	if (found)
		return mu_error_set(e, -EEXIST, "there is a conference %s already", spec->id);
	if (cs->n == MU_CONFERENCES_MAX)
		return mu_error_set(
			e, -ENOSPC, "there are %d conferences: end one first", MU_CONFERENCES_MAX);
	c = calloc(1, sizeof(*c));
	if (!c || insert(cs, at, c) < 0) {
		free(c);
		return mu_error_set(e, -ENOMEM, "out of memory for a conference");
	}
	c->all = cs;
	snprintf(c->id, sizeof(c->id), "%s", spec->id);
	snprintf(c->title, sizeof(c->title), "%s", spec->title ? spec->title : spec->id);
	c->moderated = spec->moderated;
	c->loudest = spec->loudest ? spec->loudest : cs->limits.loudest;
	c->layout = spec->layout;
	c->since_us = mu_clock_wall_us();
	*ret = c;
	changed(c, "created", NULL, NULL);
	return 0;
}

int mu_conference_end(struct mu_conference *c, const char *actor, struct mu_error *e)
{
	struct mu_conferences *cs = c->all;
	bool found;
	size_t at;
	int err = may_lead(c, actor, "end the conference", e);

	if (err < 0)
		return err;
	at = place_of(cs, c->id, &found);
	memmove(cs->list + at, cs->list + at + 1, (cs->n - at - 1) * sizeof(struct mu_conference *));
	cs->n--;
	if (cs->store.save)
		cs->store.save(cs->store.arg, c->id, NULL);
	mu_directory_tell(cs->directory, "conference.ended",
		json_pack("{s:s, s:s?}", "conference", c->id, "by", actor));
	conference_free(c);
	return 0;
}

const char *mu_conference_id(const struct mu_conference *c)
{
	return c->id;
}

unsigned mu_conference_loudest(const struct mu_conference *c)
{
	return c->loudest;
}

/* --- shown and kept
 * ------------------------------------------------------------------------------------------------------- */

static json_t *id_json(const char *id)
{
	return id[0] ? json_string(id) : json_null();
}

static bool is(const char *id, const struct mu_member *m)
{
	return strcmp(id, m->endpoint) == 0;
}

static json_t *member_json(const struct mu_conference *c, const struct mu_member *m)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:i, s:b, s:b, s:b, s:b, s:b, s:o, s:o, s:o}", "endpoint", m->endpoint,
		"name", m->name, "role", mu_role_name(m->role), "role_given", m->role_given, "rank", (int)m->rank, "present", m->present,
		"muted", m->muted, "muted_by_chair", m->muted_by_chair, "screen", is(c->screen, m), "speaks",
		is(c->speaker, m), "since", mu_time_json(m->since_us),
		"hand", m->hand_us ? mu_time_json(m->hand_us) : json_null(), "views", id_json(m->views));
}

json_t *mu_conference_json(const struct mu_conference *c)
{
	json_t *members = json_array();

	for (size_t i = 0; i < c->n_members; i++)
		json_array_append_new(members, member_json(c, c->members[i]));
	return json_pack("{s:s, s:s, s:o, s:b, s:b, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id", c->id, "title",
		c->title, "since", mu_time_json(c->since_us), "moderated", c->moderated, "locked", c->locked,
		"loudest", (int)c->loudest, "layout", mu_layout_name(c->layout), "floor", id_json(c->floor),
		"screen", id_json(c->screen), "broadcast", id_json(c->broadcast), "speaker",
		id_json(c->speaker), "members", members, "former", former_json(c));
}

void changed(struct mu_conference *c, const char *what, const char *endpoint, const char *why)
{
	struct mu_conferences *cs = c->all;
	char kind[48];

	snprintf(kind, sizeof(kind), "conference.%s", what);
	mu_directory_tell(cs->directory, kind,
		json_pack("{s:s, s:s?, s:s?}", "conference", c->id, "endpoint", endpoint, "why", why));
	if (cs->store.save) {
		json_t *state = mu_conference_json(c);

		if (state) /* without one it would have ended */
			cs->store.save(cs->store.arg, c->id, state);
		else
			mu_err("conference", c->id, "out of memory: its last change is not kept until the next one");
		json_decref(state);
	}
}

const char *by_whom(const char *actor, char ret[64], const char *what)
{
	snprintf(ret, 64, "%s%sby %s", what, what[0] ? " " : "", actor ? "the chair" : "an operator");
	return ret;
}

void set_id(char ret[MU_ID_MAX], const char *endpoint)
{
	snprintf(ret, MU_ID_MAX, "%s", endpoint ? endpoint : "");
}
