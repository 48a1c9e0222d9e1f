/* conference: made, shown, led and ended from the command line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"

/* Ids go into a path as they are: what is not in one is refused here already. */
static bool id_valid(const char *id)
{
	size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n >= 1 && n <= 64 && !id[n] && id[0] != '.';
}

static const char *text_of(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s && *s ? s : "-";
}

static void print_json(const json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
}

static unsigned present(json_t *conference)
{
	json_t *m;
	size_t i;
	unsigned n = 0;

	json_array_foreach (json_object_get(conference, "members"), i, m)
		n += json_is_true(json_object_get(m, "present"));
	return n;
}

/* --- list --- */

static void add_row(struct mu_table *t, json_t *c)
{
	mu_table_add(t, "%s", text_of(c, "id"));
	mu_table_add(t, "%s", text_of(c, "title"));
	mu_table_add(t, "%u of %zu", present(c), json_array_size(json_object_get(c, "members")));
	mu_table_add(t, "%s", text_of(c, "floor"));
	mu_table_add(t, "%s%s%s", json_is_true(json_object_get(c, "moderated")) ? "moderated" : "open",
		json_is_true(json_object_get(c, "locked")) ? ", locked" : "", "");
	mu_table_add(t, "%s", text_of(c, "since"));
}

static int list(const struct mu_ctl *c)
{
	static const char *const head[] = { "CONFERENCE", "TITLE", "PRESENT", "FLOOR", "KIND", "SINCE" };
	struct mu_table t = { .columns = MU_ARRAY_LEN(head) };
	json_t *all = json_array(), *o;
	char where[200] = "/v1/conferences";
	int status;
	size_t i;

	do {
		json_t *page = NULL;
		const char *next;

		status = mu_ctl_ask(c, where, NULL, &page);
		json_array_extend(all, json_object_get(page, "conferences"));
		next = json_string_value(json_object_get(page, "next"));
		where[0] = '\0';
		if (next)
			snprintf(where, sizeof(where), "/v1/conferences?after=%s", next);
		json_decref(page);
	} while (status == MU_CTL_OK && where[0]);
	if (status == MU_CTL_OK && c->json) {
		o = json_pack("{sO}", "conferences", all);
		print_json(o);
		json_decref(o);
	} else if (status == MU_CTL_OK) {
		for (i = 0; i < MU_ARRAY_LEN(head); i++)
			mu_table_add(&t, "%s", head[i]);
		json_array_foreach (all, i, o)
			add_row(&t, o);
		mu_table_print(&t);
	}
	json_decref(all);
	return status;
}

/* --- one --- */

static void add_member(struct mu_table *t, json_t *conference, json_t *m)
{
	const char *id = text_of(m, "endpoint");
	char marks[100] = "";

	mu_table_add(t, "%s", id);
	mu_table_add(t, "%s", text_of(m, "name"));
	mu_table_add(t, "%s", text_of(m, "role"));
	mu_table_add(t, "%lld", (long long)json_integer_value(json_object_get(m, "rank")));
	mu_table_add(t, "%s since %s", json_is_true(json_object_get(m, "present")) ? "present" : "absent", text_of(m, "since"));
	snprintf(marks, sizeof(marks), "%s%s%s%s%s",
		strcmp(text_of(conference, "floor"), id) == 0 ? "floor " : "",
		json_is_string(json_object_get(m, "hand")) ? "hand " : "",
		strcmp(text_of(conference, "screen"), id) == 0 ? "screen " : "",
		strcmp(text_of(conference, "broadcast"), id) == 0 ? "broadcast " : "",
		json_is_true(json_object_get(m, "muted_by_chair")) ? "muted-by-chair" :
		json_is_true(json_object_get(m, "muted"))	   ? "muted" :
								     "");
	mu_table_add(t, "%s", marks[0] ? marks : "-");
}

/* One line that is no table: what steers a terminal is left out here, too. */
static void print_line(const char *fmt, ...) MU_PRINTF(1, 2);
static void print_line(const char *fmt, ...)
{
	struct mu_table t = { .columns = 1 };
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	mu_table_add(&t, "%s", text);
	mu_table_print(&t);
	free(text);
}

static void print_removed(json_t *o)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(o, "former"), i, f) {
		if (json_is_true(json_object_get(f, "removed")))
			print_line("%s was removed at %s; to let it in again: musterctl conference admit %s %s", text_of(f, "endpoint"),
				text_of(f, "since"), text_of(o, "id"), text_of(f, "endpoint"));
	}
}

static void print_members(json_t *o)
{
	static const char *const head[] = { "MEMBER", "NAME", "ROLE", "RANK", "STATE", "MARKS" };
	struct mu_table t = { .columns = MU_ARRAY_LEN(head) };
	json_t *m;
	size_t i;

	if (json_array_size(json_object_get(o, "members")) == 0)
		return;
	for (i = 0; i < MU_ARRAY_LEN(head); i++)
		mu_table_add(&t, "%s", head[i]);
	json_array_foreach (json_object_get(o, "members"), i, m)
		add_member(&t, o, m);
	mu_table_print(&t);
}

static void print_one(json_t *o)
{
	print_line("%s (%s): %s%s, layout %s, %u of %zu present, at most %lld voices", text_of(o, "id"), text_of(o, "title"),
		json_is_true(json_object_get(o, "moderated")) ? "moderated" : "open",
		json_is_true(json_object_get(o, "locked")) ? ", locked" : "", text_of(o, "layout"), present(o),
		json_array_size(json_object_get(o, "members")), (long long)json_integer_value(json_object_get(o, "loudest")));
	print_members(o);
	print_removed(o);
}

/* Ask, and show the conference that comes back. @param body NULL: GET */
static int ask_and_show(const struct mu_ctl *c, const char *path, json_t *body)
{
	json_t *o = NULL;
	int status = mu_ctl_ask(c, path, body, &o);

	if (status == MU_CTL_OK && c->json)
		print_json(o);
	else if (status == MU_CTL_OK && json_object_get(o, "ended"))
		printf("conference %s has ended\n", text_of(o, "ended"));
	else if (status == MU_CTL_OK)
		print_one(o);
	json_decref(o);
	return status;
}

/* --- made --- */

/* A text that cannot be sent must not be left out: another thing would be done. @return exit status */
static int set_text(json_t *body, const char *key, const char *text)
{
	if (text && json_object_set_new(body, key, json_string(text)) < 0)
		return mu_ctl_misused("conference: the %s is not UTF-8", key);
	return MU_CTL_OK;
}

static int set_number(json_t *body, const char *key, const char *text)
{
	char *end;
	long v = text ? strtol(text, &end, 10) : 0;

	if (!text)
		return MU_CTL_OK;
	if (!*text || *end || v < 1 || v > 64)
		return mu_ctl_misused("--%s %s: must be a number from 1 to 64", key, text);
	json_object_set_new(body, key, json_integer(v));
	return MU_CTL_OK;
}

static int create(const struct mu_ctl *c, const char *id)
{
	json_t *body = json_object();
	int status = set_text(body, "id", id);

	status = status == MU_CTL_OK ? set_text(body, "title", c->title) : status;
	status = status == MU_CTL_OK ? set_text(body, "layout", c->layout) : status;
	status = status == MU_CTL_OK ? set_number(body, "loudest", c->loudest) : status;
	if (c->moderated)
		json_object_set_new(body, "moderated", json_true());
	if (status == MU_CTL_OK)
		return ask_and_show(c, "/v1/conferences", body);
	json_decref(body);
	return status;
}

/* --- led --- */

/* Words of the command line, and what they are in the API. */
static const struct act {
	const char *word, *act;
	bool endpoint, optional, value;
	const char *without; /* what it is without the optional endpoint; NULL: the same */
} acts[] = {
	{ "mute", "mute", true, false, false, NULL },
	{ "unmute", "unmute", true, false, false, NULL },
	{ "mute-all", "mute.all", false, false, false, NULL },
	{ "unmute-all", "unmute.all", false, false, false, NULL },
	{ "role", "role", true, false, true, NULL },
	{ "remove", "remove", true, false, false, NULL },
	{ "admit", "admit", true, false, false, NULL },
	{ "lock", "lock", false, false, false, NULL },
	{ "unlock", "unlock", false, false, false, NULL },
	{ "floor", "floor.grant", true, true, false, "floor.revoke" },
	{ "grant", "floor.grant", true, false, false, NULL },
	{ "revoke", "floor.revoke", false, false, false, NULL },
	{ "broadcast", "broadcast", true, true, false, NULL },
	{ "layout", "layout", false, false, true, NULL },
	{ "stop-screen", "screen.stop", false, false, false, NULL },
	{ "end", "end", false, false, false, NULL },
};

static int act(const struct mu_ctl *c, const struct act *a, const char *id, int argc, char **argv)
{
	int most = a->endpoint + a->value, least = most - a->optional;
	char path[120];
	json_t *body;
	int status;

	if (argc < least || argc > most)
		return mu_ctl_misused("conference %s ID%s%s%s%s", a->word, a->optional ? " [" : "", a->endpoint ? " ENDPOINT" : "",
			a->optional ? "]" : "", a->value ? " VALUE" : "");
	body = json_pack("{ss}", "act", argc == 0 && a->without ? a->without : a->act);
	status = set_text(body, "endpoint", a->endpoint && argc > 0 ? argv[0] : NULL);
	if (status == MU_CTL_OK)
		status = set_text(body, "value", a->value ? argv[argc - 1] : NULL);
	snprintf(path, sizeof(path), "/v1/conferences/%s/acts", id);
	if (status == MU_CTL_OK)
		return ask_and_show(c, path, body);
	json_decref(body);
	return status;
}

int mu_ctl_conference(const struct mu_ctl *c, int argc, char **argv)
{
	const char *word = argc > 0 ? argv[0] : "", *id = argc > 1 ? argv[1] : NULL;
	char path[120];

	if (strcmp(word, "list") == 0 && argc == 1)
		return list(c);
	if (id && !id_valid(id))
		return mu_ctl_misused("conference %s: \"%.80s\" is no conference's id: 1 to 64 letters, digits, dots, dashes and "
				      "underscores, the first no dot",
			word, id);
	if (strcmp(word, "create") == 0 && argc <= 2)
		return create(c, id);
	if (strcmp(word, "show") == 0 && argc == 2) {
		snprintf(path, sizeof(path), "/v1/conferences/%s", id);
		return ask_and_show(c, path, NULL);
	}
	for (size_t i = 0; id && i < MU_ARRAY_LEN(acts); i++) {
		if (strcmp(word, acts[i].word) == 0)
			return act(c, &acts[i], id, argc - 2, argv + 2);
	}
	return mu_ctl_misused("conference: must be list, show ID, create [ID], or one of mute, unmute, mute-all, unmute-all, role, "
			      "remove, admit, lock, unlock, floor, broadcast, layout, stop-screen, end with an ID");
}
