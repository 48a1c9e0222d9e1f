#include <errno.h>
#include <glib.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "api/revoked.h"

#define PURGE_SLACK_S 60 /* our clock may be set back: what expired must not come to life again */

struct entry {
	char *jti, *by;
	int64_t at_s, expires_s;
};
struct mu_revoked {
	sqlite3 *db; /* NULL: memory only */
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

static int load(void *arg, int n, char **v, char **names)
{
	(void)n;
	(void)names;
	if (v[0])
		remember(arg, v[0], v[1] ? v[1] : "", v[2] ? g_ascii_strtoll(v[2], NULL, 10) : 0,
			v[3] ? g_ascii_strtoll(v[3], NULL, 10) : 0);
	return 0;
}

static int open_db(struct mu_revoked *r, const char *path, struct mu_error *e)
{
	/* FULL: a revocation is answered when it is on the disk, not when it is on its way. */
	static const char setup[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000;"
		"CREATE TABLE IF NOT EXISTS revoked(jti TEXT PRIMARY KEY NOT NULL, at INTEGER NOT NULL,"
		" by TEXT NOT NULL, expires INTEGER NOT NULL);";

	if (sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK &&
		sqlite3_exec(r->db, setup, NULL, NULL, NULL) == SQLITE_OK &&
		sqlite3_exec(r->db, "SELECT jti, by, at, expires FROM revoked", load, r, NULL) == SQLITE_OK)
		return 0;
	return mu_error_set(e, -EIO, "%s: %s", path, r->db ? sqlite3_errmsg(r->db) : "out of memory");
}

int mu_revoked_new(const char *path, struct mu_revoked **ret, struct mu_error *e)
{
	struct mu_revoked *r = calloc(1, sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
	if (path)
		err = open_db(r, path, e);
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
	sqlite3_close(r->db);
	g_hash_table_unref(r->entries);
	free(r);
}

static int store(struct mu_revoked *r, const char *jti, const char *by, int64_t now_s, int64_t expires_s,
	struct mu_error *e)
{
	static const char sql[] = "INSERT OR REPLACE INTO revoked(jti, at, by, expires) VALUES(?, ?, ?, ?)";
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) == SQLITE_OK;

	if (ok) {
		sqlite3_bind_text(st, 1, jti, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 2, now_s);
		sqlite3_bind_text(st, 3, by, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 4, expires_s);
		ok = sqlite3_step(st) == SQLITE_DONE;
	}
	sqlite3_finalize(st);
	return ok ? 0 : mu_error_set(e, -EIO, "state.db: %s", sqlite3_errmsg(r->db));
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
	return r->db ? store(r, jti, by, now_s, expires_s, e) : 0;
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
	char sql[96];

	if (n && r->db) {
		g_snprintf(sql, sizeof(sql),
			"DELETE FROM revoked WHERE expires > 0 AND expires + %d < %" G_GINT64_FORMAT,
			PURGE_SLACK_S, (gint64)now_s);
		sqlite3_exec(r->db, sql, NULL, NULL, NULL);
	}
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
