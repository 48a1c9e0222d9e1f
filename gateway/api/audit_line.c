#include <glib.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/audit_line.h"

#define PREV   ",\"prev\":\""
#define HASH   "\",\"hash\":\""
#define TAIL   "\"}"
#define SUFFIX (sizeof(PREV) - 1 + MU_AUDIT_HASH + sizeof(HASH) - 1 + MU_AUDIT_HASH + sizeof(TAIL) - 1)
#define NUMBER "{\"n\":"

/* SHA-256 over prev and the line's own part, which is `part` and a closing brace. */
static void digest(const char *prev, const char *part, size_t len, char ret[MU_AUDIT_HASH + 1])
{
	unsigned char md[32];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
		abort(); /* no memory for some bytes: nothing can be vouched for */
	EVP_DigestUpdate(ctx, prev, MU_AUDIT_HASH);
	EVP_DigestUpdate(ctx, part, len);
	EVP_DigestUpdate(ctx, "}", 1);
	EVP_DigestFinal_ex(ctx, md, NULL);
	EVP_MD_CTX_free(ctx);
	for (size_t i = 0; i < sizeof(md); i++)
		snprintf(ret + 2 * i, 3, "%02x", md[i]);
}

static json_t *text_or_null(const char *text)
{
	char *valid;
	json_t *o;

	if (!text)
		return json_null();
	valid = g_utf8_make_valid(text, -1);
	o = json_string(valid);
	g_free(valid);
	return o;
}

char *mu_audit_line_make(uint64_t n, int64_t wall_us, const struct mu_audit_entry *e, const char *prev,
	char hash[MU_AUDIT_HASH + 1])
{
	char when[MU_TIME_TEXT], *part, *line = NULL;
	json_t *o;

	mu_time_text(wall_us, 6, when);
	o = json_pack("{sI ss so so so so so so}", "n", (json_int_t)n, "time", when, "who",
		text_or_null(e->who), "from", text_or_null(e->from), "what", text_or_null(e->what), "target",
		text_or_null(e->target), "result", text_or_null(e->result), "why", text_or_null(e->why));
	part = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!part)
		return NULL;
	part[strlen(part) - 1] = '\0';
	digest(prev, part, strlen(part), hash);
	if (asprintf(&line, "%s" PREV "%s" HASH "%s" TAIL "\n", part, prev, hash) < 0)
		line = NULL;
	free(part);
	return line;
}

static bool hex(const char *p)
{
	return strspn(p, "0123456789abcdef") >= MU_AUDIT_HASH;
}

bool mu_audit_line_place(
	const char *line, size_t len, uint64_t *n, char prev[MU_AUDIT_HASH + 1], char hash[MU_AUDIT_HASH + 1])
{
	const char *suffix, *before, *said;

	if (len < SUFFIX + sizeof(NUMBER) || memchr(line, 0, len) ||
		strncmp(line, NUMBER, sizeof(NUMBER) - 1) != 0)
		return false;
	suffix = line + len - SUFFIX;
	before = suffix + sizeof(PREV) - 1;
	said = before + MU_AUDIT_HASH + sizeof(HASH) - 1;
	if (memcmp(suffix, PREV, sizeof(PREV) - 1) != 0 ||
		memcmp(before + MU_AUDIT_HASH, HASH, sizeof(HASH) - 1) != 0 ||
		memcmp(said + MU_AUDIT_HASH, TAIL, sizeof(TAIL) - 1) != 0 || !hex(before) || !hex(said))
		return false;
	*n = strtoull(line + sizeof(NUMBER) - 1, NULL, 10);
	memcpy(prev, before, MU_AUDIT_HASH);
	memcpy(hash, said, MU_AUDIT_HASH);
	prev[MU_AUDIT_HASH] = hash[MU_AUDIT_HASH] = '\0';
	return true;
}

bool mu_audit_line_check(const char *line, size_t len, uint64_t want_n, const char *want_prev, uint64_t *n,
	char hash[MU_AUDIT_HASH + 1])
{
	char prev[MU_AUDIT_HASH + 1], want[MU_AUDIT_HASH + 1], real[MU_AUDIT_HASH + 1];

	/* want_prev may lie where hash goes */
	memcpy(want, want_prev, MU_AUDIT_HASH);
	if (!mu_audit_line_place(line, len, n, prev, hash))
		return false;
	digest(prev, line, len - SUFFIX, real);
	return *n == want_n && memcmp(prev, want, MU_AUDIT_HASH) == 0 && strcmp(real, hash) == 0;
}
