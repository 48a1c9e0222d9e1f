/* token: made here with a private key, revoked at the gateway. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "ctl/ctl.h"
#include "secure/secure.h"

#define TTL_MAX_S INT64_C(315360000) /* ten years: longer is a mistake of units */

/* "30s", "10min", "1h", "7d" */
static int parse_ttl(const char *text, int64_t *ret)
{
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || errno)
		return -EINVAL;
	for (size_t i = 0; i < MU_ARRAY_LEN(units); i++) {
		if (strcmp(end, units[i].unit) == 0 && v > 0 && v <= TTL_MAX_S / units[i].seconds) {
			*ret = v * units[i].seconds;
			return 0;
		}
	}
	return -EINVAL;
}

/* Seconds since 1970, as in the claim, or what create writes. */
static int parse_time(const char *text, int64_t *ret)
{
	struct tm tm = { 0 };
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (isdigit((unsigned char)*text) && !*end && !errno && *ret > 0)
		return 0;
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!end || *end)
		return -EINVAL;
	*ret = timegm(&tm);
	return *ret > 0 ? 0 : -EINVAL;
}

/* What a token may be for: an id, <site>/<name>, or the begin of one and an asterisk. A pattern without a
 * slash ends where a site's label does, or "cam-*" would be a token for sites. */
static bool endpoint_valid(const char *pattern)
{
	size_t len = strlen(pattern);
	const char *slash = strchr(pattern, '/');
	bool open = len > 0 && pattern[len - 1] == '*';

	if (strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/") !=
		len - open)
		return false;
	if (!slash)
		return open && (len == 1 || pattern[len - 2] == '.');
	return slash != pattern && !strchr(slash + 1, '/') && (open || slash[1]);
}

/* A conference's id, or the begin of one and an asterisk. */
static bool conference_valid(const char *pattern)
{
	size_t len = strlen(pattern), n = strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return len > 0 && len <= 64 && (n == len || (n == len - 1 && pattern[n] == '*'));
}

/* @return exit status */
static int fill_conference(const struct mu_ctl *c, struct mu_token *t)
{
	if (c->conference && !conference_valid(c->conference))
		return mu_ctl_misused("--conference %s: must be a conference's id, or the begin of one and an asterisk", c->conference);
	if (c->role && mu_token_role_parse(c->role, &t->role) < 0)
		return mu_ctl_misused("--role %s: must be chair, participant or listener", c->role);
	t->rank = MU_TOKEN_RANK;
	if (c->rank) {
		char *end;
		long rank = strtol(c->rank, &end, 10);

		if (!*c->rank || *end || rank < 0 || rank > MU_TOKEN_RANK_MAX)
			return mu_ctl_misused("--rank %s: must be 0, the highest, to %d", c->rank, MU_TOKEN_RANK_MAX);
		t->rank = (uint8_t)rank;
	}
	snprintf(t->conference, sizeof(t->conference), "%s", c->conference ? c->conference : "");
	return MU_CTL_OK;
}

/* @return exit status */
static int fill(const struct mu_ctl *c, int64_t now_s, struct mu_token *t)
{
	int64_t ttl_s;

	if (!c->key || !c->scope)
		return mu_ctl_misused("token create needs --key FILE and --scope \"publish watch\"");
	if (mu_scope_parse(c->scope, &t->scopes) < 0 || !t->scopes)
		return mu_ctl_misused(
			"--scope \"%s\": must be one or more of publish, watch, conference, operate, admin, with spaces between",
			c->scope);
	if (parse_ttl(c->ttl, &ttl_s) < 0)
		return mu_ctl_misused(
			"--ttl %s: must be a time such as 30s, 10min, 1h or 7d, at most 3650d", c->ttl);
	if (strlen(c->subject) >= sizeof(t->subject) ||
		(c->endpoint && strlen(c->endpoint) >= sizeof(t->endpoint)))
		return mu_ctl_misused(
			"--subject and --endpoint have at most %zu characters", sizeof(t->subject) - 1);
	if (c->endpoint && !endpoint_valid(c->endpoint))
		return mu_ctl_misused(
			"--endpoint %s: must be an endpoint's id, <site>/<name>, such as city/%s, or the begin of one and an "
			"asterisk, such as city/cam-*",
			c->endpoint,
			strspn(c->endpoint, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(c->endpoint) &&
					*c->endpoint
				? c->endpoint
				: "cam-1");
	snprintf(t->subject, sizeof(t->subject), "%s", c->subject);
	snprintf(t->endpoint, sizeof(t->endpoint), "%s", c->endpoint ? c->endpoint : "");
	t->not_before_s = now_s;
	t->expires_s = now_s + ttl_s;
	return fill_conference(c, t);
}

static int create(const struct mu_ctl *c)
{
	int64_t now_s = (int64_t)time(NULL);
	struct mu_token t = { 0 };
	struct mu_error e = { .text = "" };
	char *jwt = NULL, until[MU_TIME_TEXT];
	int status = fill(c, now_s, &t), err;

	if (status != MU_CTL_OK)
		return status;
	err = mu_token_sign(c->key, &t, now_s, &jwt, &e);
	if (err < 0)
		return mu_ctl_fail("cannot sign with %s: %s", c->key, e.text[0] ? e.text : strerror(-err));
	if (c->json) {
		json_t *o =
			json_pack("{ss ss sI}", "token", jwt, "id", t.id, "expires", (json_int_t)t.expires_s);

		json_dumpf(o, stdout, JSON_INDENT(2));
		json_decref(o);
		putchar('\n');
	} else {
		puts(jwt);
		fprintf(stderr,
			"good until %s; to end it before that: musterctl token revoke %s --expires %lld\n",
			mu_time_text(t.expires_s * 1000000, 0, until), t.id, (long long)t.expires_s);
	}
	free(jwt);
	return MU_CTL_OK;
}

/* The token itself names both. @return exit status */
static int read_stdin(struct mu_token *ret)
{
	char text[8192];
	size_t n = fread(text, 1, sizeof(text) - 1, stdin);
	struct mu_error e = { .text = "" };

	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
	if (mu_token_read(text, ret, &e) < 0)
		return mu_ctl_fail("standard input holds no token: %s", e.text);
	return MU_CTL_OK;
}

/* @return exit status */
static int revoked(const struct mu_ctl *c, const char *id, struct mu_token *ret)
{
	if (strcmp(id, "-") == 0)
		return c->expires
			? mu_ctl_misused(
				  "token revoke -: the token says itself when it expires; leave --expires out")
			: read_stdin(ret);
	if (c->expires && parse_time(c->expires, &ret->expires_s) < 0)
		return mu_ctl_misused(
			"--expires %s: must be seconds since 1970 or a time such as 2026-11-24T22:04:40Z",
			c->expires);
	if (!*id || strlen(id) >= sizeof(ret->id))
		return mu_ctl_misused(
			"token revoke %s: a token's id has 1 to %zu characters", id, sizeof(ret->id) - 1);
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	return MU_CTL_OK;
}

static int revoke(const struct mu_ctl *c, const char *id)
{
	struct mu_token t = { 0 };
	json_t *o = NULL, *body;
	int status = revoked(c, id, &t);

	if (status == MU_CTL_OK) {
		body = json_pack("{ss}", "jti", t.id);
		if (t.expires_s)
			json_object_set_new(body, "expires", json_integer(t.expires_s));
		status = mu_ctl_ask(c, "/v1/tokens/revoke", body, &o);
	}
	if (status == MU_CTL_OK && !t.expires_s)
		fputs("The gateway remembers this one for ever: with --expires, or the token itself on standard input, until it ends.\n",
			stderr);
	if (status == MU_CTL_OK && c->json) {
		json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (status == MU_CTL_OK) {
		printf("token %s is refused from now on; %lld sessions ended\n", t.id,
			(long long)json_integer_value(json_object_get(o, "sessions_ended")));
	}
	json_decref(o);
	return status;
}

/* The folder of a file, and those above it: nobody else may look into one that we make. @return 0, -errno */
static int make_folder(const char *file)
{
	char *path = strdup(file), *slash = path;
	int err = path ? 0 : -ENOMEM;

	while (!err && (slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			err = -errno;
		*slash = '/';
	}
	free(path);
	return err;
}

static int keygen(const char *path)
{
	struct mu_error e = { .text = "" };
	int err = *path ? make_folder(path) : -EINVAL;

	if (err < 0)
		return mu_ctl_fail("cannot make the folder of \"%s\": %s", path, strerror(-err));
	err = mu_token_keygen(path, &e);
	if (err == -EEXIST)
		return mu_ctl_fail(
			"%s\nNothing was overwritten: tokens signed with that key may be in use. Give another name, or remove the "
			"pair first.",
			e.text);
	if (err < 0)
		return mu_ctl_fail("no keys were made: %s", e.text[0] ? e.text : strerror(-err));
	printf("%s      the private key: signs tokens; keep it secret\n%s.pub  the public key: name it in auth.keys of the configuration\n",
		path, path);
	return MU_CTL_OK;
}

int mu_ctl_token(const struct mu_ctl *c, int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "create") == 0)
		return create(c);
	if (argc == 2 && strcmp(argv[0], "revoke") == 0)
		return revoke(c, argv[1]);
	if (argc == 2 && strcmp(argv[0], "keygen") == 0)
		return keygen(argv[1]);
	return mu_ctl_misused("token: must be create, revoke ID or keygen FILE");
}
