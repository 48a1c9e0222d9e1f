/* token: made here with a private key, revoked at the gateway. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* @return exit status */
static int fill(const struct mu_ctl *c, int64_t now_s, struct mu_token *t)
{
	int64_t ttl_s;

	if (!c->key || !c->scope)
		return mu_ctl_misused("token create needs --key FILE and --scope \"publish watch\"");
	if (mu_scope_parse(c->scope, &t->scopes) < 0 || !t->scopes)
		return mu_ctl_misused("--scope \"%s\": must be one or more of publish, watch, conference, operate, admin, with spaces between",
			c->scope);
	if (parse_ttl(c->ttl, &ttl_s) < 0)
		return mu_ctl_misused("--ttl %s: must be a time such as 30s, 10min, 1h or 7d, at most 3650d", c->ttl);
	if (strlen(c->subject) >= sizeof(t->subject) || (c->endpoint && strlen(c->endpoint) >= sizeof(t->endpoint)))
		return mu_ctl_misused("--subject and --endpoint have at most %zu characters", sizeof(t->subject) - 1);
	snprintf(t->subject, sizeof(t->subject), "%s", c->subject);
	snprintf(t->endpoint, sizeof(t->endpoint), "%s", c->endpoint ? c->endpoint : "");
	t->not_before_s = now_s;
	t->expires_s = now_s + ttl_s;
	return MU_CTL_OK;
}

static int create(const struct mu_ctl *c)
{
	int64_t now_s = (int64_t)time(NULL);
	struct mu_token t = { 0 };
	struct mu_error e = { .text = "" };
	char *jwt = NULL;
	int status = fill(c, now_s, &t), err;

	if (status != MU_CTL_OK)
		return status;
	err = mu_token_sign(c->key, &t, now_s, &jwt, &e);
	if (err < 0)
		return mu_ctl_fail("cannot sign with %s: %s", c->key, e.text[0] ? e.text : strerror(-err));
	if (c->json) {
		json_t *o = json_pack("{ss ss sI}", "token", jwt, "id", t.id, "expires", (json_int_t)t.expires_s);

		json_dumpf(o, stdout, JSON_INDENT(2));
		json_decref(o);
		putchar('\n');
	} else {
		puts(jwt);
		fprintf(stderr, "token id %s: this is what musterctl token revoke takes\n", t.id);
	}
	free(jwt);
	return MU_CTL_OK;
}

static int revoke(const struct mu_ctl *c, const char *id)
{
	json_t *o = NULL;
	int status = mu_ctl_ask(c, "/v1/tokens/revoke", json_pack("{ss}", "jti", id), &o);

	if (status == MU_CTL_OK && c->json) {
		json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (status == MU_CTL_OK) {
		printf("token %s is refused from now on; %lld sessions ended\n", id,
			(long long)json_integer_value(json_object_get(o, "sessions_ended")));
	}
	json_decref(o);
	return status;
}

static int keygen(const char *path)
{
	struct mu_error e = { .text = "" };
	int err = mu_token_keygen(path, &e);

	if (err < 0)
		return mu_ctl_fail("cannot make keys at %s: %s", path, e.text[0] ? e.text : strerror(-err));
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
