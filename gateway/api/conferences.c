/* Conferences, as operators make, see, lead and end them. Members lead theirs by the console session. */
#include <errno.h>

#include "api/private.h"

static int status_of(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return 403;
	case -ENOENT:
		return 404;
	case -EEXIST:
	case -EBUSY:
		return 409;
	case -ENOSPC:
		return 507;
	case -ENOMEM:
		return 503;
	default:
		return 400;
	}
}

static const char *title_of(int status)
{
	switch (status) {
	case 403:
		return "Not allowed";
	case 404:
		return "Not found";
	case 409:
		return "Not now";
	case 507:
		return "Full";
	case 503:
		return "Out of memory";
	default:
		return "Bad request";
	}
}

/* Whether the token is for this conference; to change it, a token for single endpoints has to name it: everybody else in it
 * would be led by who may operate one camera. */
static int may(const struct mu_req *r, const char *id, struct mu_error *e)
{
	const struct mu_token *t = &r->who;

	if (!mu_token_covers_conference(t, id))
		return mu_error_set(e, -EPERM, "the token is for other conferences than %.64s", id);
	if (r->route->scopes == MU_SCOPE_OPERATE && !t->conference[0] && t->endpoint[0] && strcmp(t->endpoint, "*") != 0)
		return mu_error_set(e, -EPERM,
			"the token is for single endpoints: to change conference %.64s it has to be for the whole site, or its claim "
			"\"conference\" to name it",
			id);
	return 0;
}

static void refuse(struct mu_req *r, int err, const struct mu_error *e)
{
	mu_reply_problem(r, status_of(err), title_of(status_of(err)), "%s.", e->text);
}

/* The conference that the path names. @return NULL: answered */
static struct mu_conference *named(struct mu_req *r)
{
	struct mu_conference *c = NULL;
	struct mu_error e;
	int err = may(r, r->vars[0], &e);

	if (err < 0) {
		if (r->route->scopes == MU_SCOPE_OPERATE)
			mu_req_audit_refused(r, "conference.change", r->vars[0], e.text);
		refuse(r, err, &e);
		return NULL;
	}
	if (r->api->conferences)
		c = mu_conferences_find(r->api->conferences, r->vars[0]);
	if (!c)
		mu_reply_problem(r, 404, "No such conference", "There is no conference %.64s: it has ended, or never was.",
			r->vars[0]);
	return c;
}

/* --- list and one --- */

struct page {
	struct mu_req *r;
	const char *after;
	unsigned limit;
	json_t *list;
	const char *last;
	bool more;
};

static bool add_to_page(void *arg, struct mu_conference *c)
{
	struct page *p = arg;
	const char *id = mu_conference_id(c);

	if (strcmp(id, p->after) <= 0 || !mu_token_covers_conference(&p->r->who, id))
		return true;
	p->more = json_array_size(p->list) == p->limit;
	if (p->more)
		return false;
	json_array_append_new(p->list, mu_conference_json(c));
	p->last = id;
	return true;
}

void mu_on_conferences(struct mu_req *r)
{
	char after[MU_ID_MAX] = "";
	struct page p = { .r = r, .after = after };
	int64_t limit = MU_PAGE_CONFERENCES;

	if (!mu_req_number(r, "limit", 1, MU_PAGE_CONFERENCES, &limit) || !mu_req_text(r, "after", after, sizeof(after))) {
		mu_reply_problem(r, 400, "Bad query", "\"after\" is a conference's id, \"limit\" 1 to %d.", MU_PAGE_CONFERENCES);
		return;
	}
	p.limit = (unsigned)limit;
	p.list = json_array();
	if (r->api->conferences)
		mu_conferences_each(r->api->conferences, add_to_page, &p);
	mu_reply_json(r, 200, json_pack("{so ss?}", "conferences", p.list, "next", p.more ? p.last : NULL));
}

void mu_on_conference(struct mu_req *r)
{
	struct mu_conference *c = named(r);

	if (c)
		mu_reply_json(r, 200, mu_conference_json(c));
}

/* --- made --- */

struct order {
	struct mu_conference_spec spec;
	char id[MU_ID_MAX];
};

static bool read_text(struct mu_req *r, const json_t *o, const char *key, size_t max, const char **ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_string_value(v);
	if (!v || (*ret && **ret && json_string_length(v) <= max))
		return true;
	mu_reply_problem(r, 400, "Bad request", "\"%s\" must be a text of 1 to %zu bytes.", key, max);
	return false;
}

static bool read_layout(struct mu_req *r, const char *text, enum mu_layout *ret)
{
	if (!text || mu_layout_parse(text, ret) == 0)
		return true;
	mu_reply_problem(r, 400, "Bad request", "There is no layout \"%.32s\": equal, speaker and choice are.", text);
	return false;
}

static bool read_order(struct mu_req *r, const json_t *o, struct order *ret)
{
	const json_t *moderated = json_object_get(o, "moderated"), *loudest = json_object_get(o, "loudest");
	const char *layout, *id;

	ret->spec.layout = MU_LAYOUT_SPEAKER;
	if (!read_text(r, o, "id", MU_ID_MAX - 1, &id) || !read_text(r, o, "title", MU_TITLE_MAX - 1, &ret->spec.title) ||
		!read_text(r, o, "layout", 32, &layout) || !read_layout(r, layout, &ret->spec.layout))
		return false;
	if (moderated && !json_is_boolean(moderated)) {
		mu_reply_problem(r, 400, "Bad request", "\"moderated\" must be true or false.");
		return false;
	}
	if (loudest && (!json_is_integer(loudest) || json_integer_value(loudest) < 1 || json_integer_value(loudest) > MU_LOUDEST_MAX)) {
		mu_reply_problem(r, 400, "Bad request", "\"loudest\" must be a number from 1 to %d.", MU_LOUDEST_MAX);
		return false;
	}
	if (id)
		g_strlcpy(ret->id, id, sizeof(ret->id));
	else
		mu_random_text(ret->id, 10);
	ret->spec.id = ret->id;
	ret->spec.moderated = json_is_true(moderated);
	ret->spec.loudest = (unsigned)json_integer_value(loudest);
	return true;
}

static void made(struct mu_req *r, struct mu_conference *c)
{
	char where[100];

	g_snprintf(where, sizeof(where), "/v1/conferences/%s", mu_conference_id(c));
	soup_message_headers_replace(soup_server_message_get_response_headers(r->msg), "Location", where);
	mu_req_audit(r, "conference.create", mu_conference_id(c), "done", NULL);
	mu_reply_json(r, 201, mu_conference_json(c));
}

void mu_on_conference_create(struct mu_req *r)
{
	struct order order = { 0 };
	struct mu_conference *c;
	struct mu_error e = { "" };
	json_t *o = mu_req_json(r);
	int err;

	if (!o)
		return;
	if (!read_order(r, o, &order)) {
		json_decref(o);
		return;
	}
	err = may(r, order.id, &e);
	if (err == 0 && !r->api->conferences)
		err = mu_error_set(&e, -ENOMEM, "this gateway has no conferences");
	if (err == 0)
		err = mu_conference_create(r->api->conferences, &order.spec, &c, &e);
	if (err < 0) {
		mu_req_audit_refused(r, "conference.create", order.id, e.text);
		refuse(r, err, &e);
	} else {
		made(r, c);
	}
	json_decref(o);
}

/* --- led and ended --- */

/* @param act  MU_ACT_END takes c with it */
static int act_on(struct mu_req *r, struct mu_conference *c, enum mu_act act, const char *endpoint, const char *value)
{
	struct mu_error e = { "" };
	char what[64], why[500];
	int err = mu_conference_act(c, NULL, act, endpoint, value, &e);

	g_snprintf(what, sizeof(what), "conference.%s", mu_act_name(act));
	g_snprintf(why, sizeof(why), "%s%s%s%s%s", endpoint, *value ? " " : "", value, err < 0 ? ": " : "", err < 0 ? e.text : "");
	if (err < 0) {
		mu_req_audit_refused(r, what, r->vars[0], why);
		refuse(r, err, &e);
	} else {
		mu_req_audit(r, what, r->vars[0], "done", *why ? why : NULL);
	}
	return err;
}

void mu_on_conference_delete(struct mu_req *r)
{
	struct mu_conference *c = named(r);

	if (c && act_on(r, c, MU_ACT_END, "", "") >= 0)
		mu_reply_json(r, 200, json_pack("{ss}", "ended", r->vars[0]));
}

/* A text that may be missing: "". */
static bool read_optional(struct mu_req *r, const json_t *o, const char *key, const char **ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_is_string(v) ? json_string_value(v) : "";
	if (!v || json_is_string(v) || json_is_null(v))
		return true;
	mu_reply_problem(r, 400, "Bad request", "\"%s\" must be a text.", key);
	return false;
}

#define ACTS                                                                                                              \
	"floor.grant, floor.revoke, mute, unmute, mute.all, unmute.all, role, remove, admit, lock, unlock, broadcast, layout, " \
	"screen.stop and end are"

/* Whether the act has what it needs. */
static bool is_whole(struct mu_req *r, enum mu_act act, const char *endpoint, const char *value)
{
	enum mu_act_needs needs = mu_act_needs(act);

	if (*endpoint ? !mu_endpoint_id_valid(endpoint) : needs == MU_ACT_ENDPOINT || needs == MU_ACT_ENDPOINT_VALUE)
		mu_reply_problem(r, 400, "Bad request", "\"endpoint\" must be " MU_ENDPOINT_ID_IS ".");
	else if (!*value && (needs == MU_ACT_VALUE || needs == MU_ACT_ENDPOINT_VALUE))
		mu_reply_problem(r, 400, "Bad request", "\"%s\" needs a \"value\".", mu_act_name(act));
	else
		return true;
	return false;
}

static void acted(struct mu_req *r, const json_t *o)
{
	const char *name, *endpoint, *value;
	struct mu_conference *c = named(r);
	enum mu_act act;

	if (!c || !read_optional(r, o, "act", &name) || !read_optional(r, o, "endpoint", &endpoint) ||
		!read_optional(r, o, "value", &value))
		return;
	if (mu_act_parse(name, &act) < 0) {
		mu_reply_problem(r, 400, "Bad request", "There is no act \"%.32s\": " ACTS ".", name);
		return;
	}
	if (!is_whole(r, act, endpoint, value) || act_on(r, c, act, endpoint, value) < 0)
		return;
	if (act == MU_ACT_END)
		mu_reply_json(r, 200, json_pack("{ss}", "ended", r->vars[0]));
	else
		mu_reply_json(r, 200, mu_conference_json(c));
}

void mu_on_conference_act(struct mu_req *r)
{
	json_t *o = mu_req_json(r);

	if (o)
		acted(r, o);
	json_decref(o);
}

/* --- metrics --- */

struct census {
	unsigned conferences, present;
};

static bool count(void *arg, struct mu_conference *c)
{
	struct census *n = arg;

	n->conferences++;
	for (size_t i = 0; i < mu_conference_members(c); i++)
		n->present += mu_conference_member_at(c, i)->present;
	return true;
}

void mu_metrics_conferences(GString *t, struct mu_api *a)
{
	struct mu_conference_db_stats db = { 0 };
	struct census n = { 0 };

	if (a->conferences)
		mu_conferences_each(a->conferences, count, &n);
	if (a->conference_db)
		db = mu_conference_db_stats(a->conference_db);
	mu_metric_head(t, "conferences", "gauge", "Conferences.");
	g_string_append(t, "muster_conferences");
	mu_metric_value(t, n.conferences);
	mu_metric_head(t, "conference_members", "gauge", "Members present, over all conferences.");
	g_string_append(t, "muster_conference_members");
	mu_metric_value(t, n.present);
	mu_metric_head(t, "conference_saves_failed_total", "counter", "Times that the disk refused the conferences' state.");
	g_string_append(t, "muster_conference_saves_failed_total");
	mu_metric_value(t, (double)db.failed);
	mu_metric_head(t, "conference_saves_waiting", "gauge", "Conferences whose state is not on the disk yet.");
	g_string_append(t, "muster_conference_saves_waiting");
	mu_metric_value(t, db.waiting);
}
