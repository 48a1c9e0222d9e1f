/* How often one token may change something. Each change leaves lines in the audit log, which is kept: whoever holds any token could
 * else fill the disk. Administrators may do that in many ways and are not held up. */
#include "api/private.h"

#define RATE_A_SECOND 50
#define BURST	      2000 /* a site's viewers share a token and come back together after an outage */
#define TOKENS_KEPT   4096

struct bucket {
	double left;
	int64_t at_us;
};

static double filled(const struct bucket *b, int64_t now_us)
{
	return MIN(b->left + (double)(now_us - b->at_us) / 1e6 * RATE_A_SECOND, BURST);
}

static gboolean is_full(gpointer key, gpointer value, gpointer now_us)
{
	(void)key;
	return filled(value, *(const int64_t *)now_us) >= BURST;
}

static struct bucket *bucket_of(struct mu_api *a, const struct mu_token *t, int64_t now_us)
{
	g_autofree char *key = g_strdup_printf("%s %s", t->kid, t->id);
	struct bucket *b;

	if (!a->rates)
		a->rates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	b = g_hash_table_lookup(a->rates, key);
	if (b)
		return b;
	if (g_hash_table_size(a->rates) >= TOKENS_KEPT)
		g_hash_table_foreach_remove(a->rates, is_full, &now_us);
	b = g_new(struct bucket, 1);
	*b = (struct bucket){ BURST, now_us };
	g_hash_table_insert(a->rates, g_steal_pointer(&key), b);
	return b;
}

static bool changes(const struct mu_req *r)
{
	const char *method = soup_server_message_get_method(r->msg);

	return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0;
}

bool mu_rate_take(struct mu_api *a, const struct mu_token *who)
{
	int64_t now_us = mu_clock_us();
	struct bucket *b;

	if (who->scopes & MU_SCOPE_ADMIN)
		return true;
	b = bucket_of(a, who, now_us);
	b->left = filled(b, now_us);
	b->at_us = now_us;
	if (b->left < 1)
		return false;
	b->left--;
	return true;
}

bool mu_rate_allows(struct mu_req *r)
{
	if (!r->has_token || r->bench || !changes(r) || mu_rate_take(r->api, &r->who))
		return true;
	soup_message_headers_replace(soup_server_message_get_response_headers(r->msg), "Retry-After", "1");
	mu_reply_problem(r, 429, "Too many requests", "A token may change something %d times a second: wait a second.",
		RATE_A_SECOND);
	return false;
}
