#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "api/revoked.h"
#include "api/revoked_store.h"

#define PURGE_SLACK_S 60 /* our clock may be set back: what expired must not come to life again */

struct entry {
	char *jti, *by;
	int64_t at_s, expires_s;
};
struct mu_revoked {
	struct mu_revoked_store *store; /* NULL: memory only */
	GHashTable *entries;
};

static void entry_free(gpointer arg)
{
	struct entry *e = arg;

	g_free(e->jti);
	g_free(e->by);
	g_free(e);
}

static void remember(struct mu_revoked *r, const char *jti, const char *by, int64_t at_s, int64_t expires_s)
{
	struct entry *e = g_new0(struct entry, 1);

	e->jti = g_strdup(jti);
	e->by = g_strdup(by);
	e->at_s = at_s;
	e->expires_s = expires_s;
	g_hash_table_replace(r->entries, e->jti, e);
}

static void load(void *arg, const struct mu_revoked_row *row)
{
	remember(arg, row->jti, row->by, row->at_s, row->expires_s);
}

int mu_revoked_new(const char *path, struct mu_revoked **ret, struct mu_error *e)
{
	struct mu_revoked *r = calloc(1, sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
	if (path)
		err = mu_revoked_store_new(path, load, r, &r->store, e);
	if (err < 0) {
		mu_revoked_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void mu_revoked_free(struct mu_revoked *r)
{
	if (!r)
		return;
	mu_revoked_store_free(r->store);
	g_hash_table_unref(r->entries);
	free(r);
}

int mu_revoked_add(struct mu_revoked *r, const char *jti, const char *by, int64_t now_s, int64_t expires_s,
	struct mu_error *e)
{
	struct entry *old = g_hash_table_lookup(r->entries, jti);

	/* Told twice, the longer life counts: a wrong "expires" must not bring a token back. */
	if (old && (old->expires_s == 0 || (expires_s && expires_s < old->expires_s)))
		expires_s = old->expires_s;
	if (!old && g_hash_table_size(r->entries) >= MU_REVOKED_MAX && mu_revoked_purge(r, now_s) == 0)
		return mu_error_set(e, -ENOSPC,
			"%d tokens are revoked and none has expired: change the signing key instead",
			MU_REVOKED_MAX);
	remember(r, jti, by, now_s, expires_s);
	return 0;
}

void mu_revoked_store(struct mu_revoked *r, const char *jti,
	void (*done)(void *arg, int err, const struct mu_error *e), void *arg)
{
	const struct entry *e = g_hash_table_lookup(r->entries, jti);

	if (e && r->store)
		mu_revoked_store_put(r->store,
			&(struct mu_revoked_row){
				.jti = e->jti, .by = e->by, .at_s = e->at_s, .expires_s = e->expires_s },
			done, arg);
	else if (done)
		done(arg, 0, NULL);
}

int mu_revoked_fd(const struct mu_revoked *r)
{
	return r->store ? mu_revoked_store_fd(r->store) : -1;
}

void mu_revoked_dispatch(struct mu_revoked *r)
{
	mu_revoked_store_dispatch(r->store);
}

bool mu_revoked_has(const struct mu_revoked *r, const char *jti)
{
	return g_hash_table_contains(r->entries, jti);
}

static gboolean is_over(gpointer key, gpointer value, gpointer arg)
{
	const struct entry *e = value;
	const int64_t *now_s = arg;

	(void)key;
	return e->expires_s && e->expires_s + PURGE_SLACK_S < *now_s;
}

unsigned mu_revoked_purge(struct mu_revoked *r, int64_t now_s)
{
	unsigned n = g_hash_table_foreach_remove(r->entries, is_over, &now_s);

	if (n && r->store)
		mu_revoked_store_purge(r->store, now_s - PURGE_SLACK_S);
	return n;
}

static gint by_time(gconstpointer a, gconstpointer b)
{
	const struct entry *x = a, *y = b;

	return x->at_s < y->at_s ? -1 : x->at_s > y->at_s ? 1 : strcmp(x->jti, y->jti);
}

json_t *mu_revoked_json(const struct mu_revoked *r)
{
	GList *all = g_list_sort(g_hash_table_get_values(r->entries), by_time);
	json_t *list = json_array();

	for (GList *l = all; l; l = l->next) {
		const struct entry *e = l->data;
		json_t *o = json_pack("{ss sI ss}", "jti", e->jti, "at", (json_int_t)e->at_s, "by", e->by);

		json_object_set_new(o, "expires", e->expires_s ? json_integer(e->expires_s) : json_null());
		json_array_append_new(list, o);
	}
	g_list_free(all);
	return list;
}
