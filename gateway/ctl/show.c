/* show: what is there, as tables for people. */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"

static const char *text_of(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s && *s ? s : "-";
}

static long long number_of(json_t *o, const char *name)
{
	return (long long)json_number_value(json_object_get(o, name));
}

/* @return what is left to do: whether the caller makes a table of it */
static int fetch(const struct mu_ctl *c, const char *path, json_t **ret)
{
	int status = mu_ctl_ask(c, path, NULL, ret);

	if (status == MU_CTL_OK && c->json) {
		json_dumpf(*ret, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	return status;
}

/* The same for a list that comes in pages; *ret has all of it. */
static int fetch_all(const struct mu_ctl *c, const char *path, const char *list, json_t **ret)
{
	json_t *all = json_array(), *page;
	char where[300], after[200] = "";
	int status;

	do {
		json_t *next;

		snprintf(where, sizeof(where), "%s?limit=1000%s%s", path, after[0] ? "&after=" : "", after);
		page = NULL;
		status = mu_ctl_ask(c, where, NULL, &page);
		json_array_extend(all, json_object_get(page, list));
		next = json_object_get(page, "next"); /* an id, which needs no escapes, or a number */
		if (json_is_integer(next))
			snprintf(after, sizeof(after), "%lld", (long long)json_integer_value(next));
		else
			snprintf(after, sizeof(after), "%s",
				json_is_string(next) ? json_string_value(next) : "");
		json_decref(page);
	} while (status == MU_CTL_OK && after[0]);
	*ret = json_pack("{so}", list, all);
	if (status == MU_CTL_OK && c->json) {
		json_dumpf(*ret, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	return status;
}

int mu_ctl_status(const struct mu_ctl *c)
{
	struct mu_table t = { .columns = 2 };
	json_t *o = NULL, *ep;
	long long up;
	int status = fetch(c, "/v1/status", &o);

	if (status == MU_CTL_OK && !c->json) {
		ep = json_object_get(o, "endpoints");
		up = number_of(o, "uptime_s");
		mu_table_add(&t, "site");
		mu_table_add(&t, "%s", text_of(o, "site"));
		mu_table_add(&t, "version");
		mu_table_add(&t, "%s", text_of(o, "version"));
		mu_table_add(&t, "up");
		mu_table_add(
			&t, "%lldd %02lld:%02lld:%02lld", up / 86400, up / 3600 % 24, up / 60 % 60, up % 60);
		mu_table_add(&t, "endpoints");
		mu_table_add(&t, "%lld live, %lld lost, %lld idle", number_of(ep, "live"),
			number_of(ep, "lost"), number_of(ep, "idle"));
		mu_table_add(&t, "viewers");
		mu_table_add(&t, "%lld", number_of(o, "viewers"));
		mu_table_add(&t, "sessions");
		mu_table_add(&t, "%lld", number_of(o, "sessions"));
		mu_table_add(&t, "workers");
		mu_table_add(&t, "%lld, SRTP by %s", number_of(o, "workers"), text_of(o, "engine"));
		mu_table_print(&t);
	}
	json_decref(o);
	return status;
}

/* A text that grows until its room is full. */
struct line {
	char text[512];
	size_t n;
};
static void append(struct line *l, const char *fmt, ...) MU_PRINTF(2, 3);
static void append(struct line *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (l->n < sizeof(l->text))
		l->n += (size_t)vsnprintf(l->text + l->n, sizeof(l->text) - l->n, fmt, ap);
	va_end(ap);
}

/* "h 1280x720 1.5M", "1280x720", "l rests" */
static void append_layer(struct line *l, json_t *layer, const char *before, bool named)
{
	long long width = number_of(layer, "width"), height = number_of(layer, "height"), bps = number_of(layer, "bps");

	if (!named && (!width || !json_is_true(json_object_get(layer, "flows"))))
		return;
	append(l, "%s", before);
	if (named)
		append(l, "%s ", text_of(layer, "rid"));
	if (!json_is_true(json_object_get(layer, "flows"))) {
		append(l, "rests");
		return;
	}
	if (width)
		append(l, "%lldx%lld ", width, height);
	if (bps >= 1000000)
		append(l, "%.1fM", (double)bps / 1e6);
	else
		append(l, "%lldk", (bps + 500) / 1000);
}

/* "video VP8 (h 1280x720 1.5M, l 320x180 150k), audio opus" */
static void tracks_of(json_t *ep, struct line *l)
{
	json_t *tracks = json_object_get(ep, "tracks"), *tr, *layer;
	size_t i, k;

	for (i = 0; (tr = json_array_get(tracks, i)); i++) {
		json_t *layers = json_object_get(tr, "layers");
		bool several = json_array_size(layers) > 1;

		append(l, "%s%s %s", i ? ", " : "", text_of(tr, "label"), text_of(tr, "codec"));
		for (k = 0; (layer = json_array_get(layers, k)); k++)
			append_layer(l, layer, !several ? " " : k ? ", " : " (", several);
		append(l, "%s", several ? ")" : "");
	}
	if (i == 0)
		append(l, "-");
}

/* Times are texts, or seconds since 1970. */
static void add_time(struct mu_table *t, json_t *o)
{
	char text[MU_TIME_TEXT];

	if (!json_is_integer(o)) {
		mu_table_add(t, "%s", json_is_string(o) ? json_string_value(o) : "-");
		return;
	}
	mu_table_add(t, "%s", mu_time_text(json_integer_value(o) * 1000000, 0, text));
}

static void add_head(struct mu_table *t, const char *const *names)
{
	for (t->columns = 0; names[t->columns]; t->columns++)
		mu_table_add(t, "%s", names[t->columns]);
}

int mu_ctl_endpoints(const struct mu_ctl *c)
{
	static const char *const head[] = { "ENDPOINT", "STATE", "SINCE", "VIEWERS", "TRACKS", NULL };
	struct mu_table t = { 0 };
	json_t *o = NULL, *ep;
	size_t i;
	int status = fetch_all(c, "/v1/endpoints", "endpoints", &o);

	if (status == MU_CTL_OK && !c->json) {
		add_head(&t, head);
		json_array_foreach(json_object_get(o, "endpoints"), i, ep)
		{
			struct line tracks = { .n = 0 };

			tracks_of(ep, &tracks);
			mu_table_add(&t, "%s", text_of(ep, "id"));
			mu_table_add(&t, "%s", text_of(ep, "state"));
			add_time(&t, json_object_get(ep, "since"));
			mu_table_add(&t, "%lld", number_of(ep, "viewers"));
			mu_table_add(&t, "%s", tracks.text);
		}
		mu_table_print(&t);
	}
	json_decref(o);
	return status;
}

int mu_ctl_sessions(const struct mu_ctl *c)
{
	static const char *const head[] = { "SESSION", "KIND", "ENDPOINT", "SUBJECT", "STATE", "SINCE",
		"REMOTE", "PROFILE", NULL };
	static const char *const field[] = { "id", "kind", "endpoint", "subject", "state", "since", "remote",
		"profile" };
	struct mu_table t = { 0 };
	json_t *o = NULL, *s;
	size_t i;
	int status = fetch_all(c, "/v1/sessions", "sessions", &o);

	if (status == MU_CTL_OK && !c->json) {
		add_head(&t, head);
		json_array_foreach(json_object_get(o, "sessions"), i, s)
		{
			for (size_t j = 0; j < MU_ARRAY_LEN(field); j++) {
				if (strcmp(field[j], "since") == 0)
					add_time(&t, json_object_get(s, field[j]));
				else
					mu_table_add(&t, "%s", text_of(s, field[j]));
			}
		}
		mu_table_print(&t);
	}
	json_decref(o);
	return status;
}
