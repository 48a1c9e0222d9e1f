/* http: one request to the gateway's API. */
#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"

#define TOKEN_MAX  8192
#define ANSWER_MAX (64 << 20)
#define TIMEOUT_S  30L
#define CONNECT_S  5L

struct answer {
	char *text;
	size_t len;
};

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;
	char *text;

	n *= size;
	if (n > ANSWER_MAX - a->len)
		return 0;
	text = realloc(a->text, a->len + n + 1);
	if (!text)
		return 0;
	memcpy(text + a->len, data, n);
	a->text = text;
	a->len += n;
	a->text[a->len] = '\0';
	return n;
}

/* @return 0; what else: said why */
static int read_token(const char *path, char ret[TOKEN_MAX])
{
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return mu_ctl_fail("cannot read the token file %s: %s", path, strerror(errno));
	n = fread(ret, 1, TOKEN_MAX - 1, f);
	fclose(f);
	while (n && isspace((unsigned char)ret[n - 1]))
		n--;
	ret[n] = '\0';
	if (!n || strpbrk(ret, " \r\n\t"))
		return mu_ctl_fail(
			"%s holds no token: it must be one line, as musterctl token create prints it", path);
	return 0;
}

/* An address, not a name that looks like one: 127.example.org may be anywhere. curl never asks for localhost
 * elsewhere. */
static bool is_loopback(const char *host)
{
	struct in_addr v4;

	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
		(inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

/* A token in a plain request is anybody's on the way. */
static int check_url(const struct mu_ctl *c, bool *ret_here)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL;
	int ret = MU_CTL_OK;

	if (curl_url_set(u, CURLUPART_URL, c->url, 0) || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
		curl_url_get(u, CURLUPART_HOST, &host, 0) ||
		(strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		ret = mu_ctl_misused("--url %s: must be http://HOST:PORT or https://HOST:PORT", c->url);
	else if (strcmp(scheme, "http") == 0 && !is_loopback(host) && c->token_file && !c->insecure_plain)
		ret = mu_ctl_fail(
			"%s is plain HTTP to another machine, and the token would cross the network readable: use https, "
			"or --insecure-plain where the way is safe",
			c->url);
	*ret_here = ret == MU_CTL_OK && is_loopback(host);
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return ret;
}

static int add_header(struct curl_slist **headers, const char *text)
{
	struct curl_slist *more = curl_slist_append(*headers, text);

	if (!more)
		return mu_ctl_fail("out of memory");
	*headers = more;
	return MU_CTL_OK;
}

static int add_headers(const struct mu_ctl *c, struct curl_slist **headers)
{
	char token[TOKEN_MAX], line[TOKEN_MAX + 32];
	int ret = add_header(headers, "Accept: application/json");

	if (ret == MU_CTL_OK)
		ret = add_header(headers, "Content-Type: application/json");
	if (ret != MU_CTL_OK || !c->token_file)
		return ret;
	ret = read_token(c->token_file, token);
	if (ret == MU_CTL_OK) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
		ret = add_header(headers, line);
	}
	return ret;
}

static bool begins(const char *text, const char *with)
{
	return text && strncmp(text, with, strlen(with)) == 0;
}

/* What the gateway's own words leave open. */
static const char *hint(const struct mu_ctl *c, long status, const char *detail)
{
	if (status == 401)
		return c->token_file ? "\nThe token was not accepted: musterctl token create makes a new one."
				     : "\nGive a token with --token-file or MUSTER_TOKEN_FILE.";
	if (status == 403 && (!detail || begins(detail, "The token lacks the scope")))
		return "\nstatus, endpoints, sessions and what changes a conference need operate; conference list and show need "
		       "conference or operate; revoking needs admin.";
	if (status == 404 && (!detail || begins(detail, "Nothing is served")))
		return "\nIs --url that of a Muster gateway, of this version?";
	return "";
}

static int refused(const struct mu_ctl *c, const char *url, long status, const struct answer *a)
{
	json_t *o = a->text ? json_loads(a->text, 0, NULL) : NULL;
	const char *title = json_string_value(json_object_get(o, "title"));
	const char *detail = json_string_value(json_object_get(o, "detail"));
	int ret = mu_ctl_fail("%s: %ld %s%s%s%s", url, status, title ? title : "refused", detail ? ": " : "",
		detail ? detail : "", hint(c, status, detail));

	json_decref(o);
	return ret;
}

static int perform(const struct mu_ctl *c, CURL *curl, const char *url, struct answer *a, json_t **ret)
{
	char why[CURL_ERROR_SIZE] = "";
	json_error_t e;
	long status = 0;
	CURLcode err;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	err = curl_easy_perform(curl);
	if (err != CURLE_OK)
		return mu_ctl_fail("%s: %s\nIs musterd running, and is --url right?", url,
			why[0] ? why : curl_easy_strerror(err));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299)
		return refused(c, url, status, a);
	*ret = json_loads(a->text ? a->text : "", 0, &e);
	return *ret ? MU_CTL_OK : mu_ctl_fail("%s: the answer is not JSON: %s", url, e.text);
}

int mu_ctl_ask(const struct mu_ctl *c, const char *path, json_t *body, json_t **ret)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, *url;
	size_t len = strlen(c->url);
	struct curl_slist *headers = NULL;
	struct answer a = { 0 };
	CURL *curl = curl_easy_init();
	bool lost = !curl || (body && !text), here;
	int status = check_url(c, &here);

	json_decref(body);
	while (len && c->url[len - 1] == '/')
		len--;
	if (asprintf(&url, "%.*s%s", (int)len, c->url, path) < 0) {
		url = NULL; /* asprintf leaves it undefined */
		lost = true;
	}
	if (lost)
		status = mu_ctl_fail("out of memory");
	if (status == MU_CTL_OK)
		status = add_headers(c, &headers);
	if (status == MU_CTL_OK) {
		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_USERAGENT, "musterctl/" MU_VERSION);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a);
		if (here) /* a proxy's loopback is another machine's, and it would read the token */
			curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
		if (c->cacert)
			curl_easy_setopt(curl, CURLOPT_CAINFO, c->cacert);
		if (text)
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
		status = perform(c, curl, url, &a, ret);
	}
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	free(a.text);
	free(text);
	free(url);
	return status;
}
