#include "http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (256 * 1024)

void http_reply_done(struct http_reply *r)
{
	free(r->body);
	free(r->location);
	memset(r, 0, sizeof(*r));
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	FILE *out = arg;

	if (ftell(out) + (long)(size * n) > BODY_MAX)
		return 0;
	return fwrite(data, size, n, out);
}

/** The Location header, made absolute. @return malloc'ed, NULL none */
static char *location_of(CURL *c, const char *url)
{
	struct curl_header *h;
	char *absolute = NULL, *copy = NULL;
	CURLU *u = curl_url();

	if (u && curl_easy_header(c, "Location", 0, CURLH_HEADER, -1, &h) == CURLHE_OK &&
		curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_set(u, CURLUPART_URL, h->value, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_URL, &absolute, 0) == CURLUE_OK)
		copy = strdup(absolute);
	curl_free(absolute);
	curl_url_cleanup(u);
	return copy;
}

static void request(const char *method, const char *url, const char *token, const char *body, struct http_reply *ret)
{
	CURL *c = curl_easy_init();
	struct curl_slist *headers = NULL;
	char *authorization = NULL;
	size_t len = 0;
	FILE *out = NULL;
	CURLcode err;

	memset(ret, 0, sizeof(*ret));
	out = open_memstream(&ret->body, &len);
	if (!c || !out)
		abort();
	if (body)
		headers = curl_slist_append(headers, "Content-Type: application/sdp");
	if (token && asprintf(&authorization, "Authorization: Bearer %s", token) > 0)
		headers = curl_slist_append(headers, authorization);
	headers = curl_slist_append(headers, "Expect:");
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (body)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 2000L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 6000L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	err = curl_easy_perform(c);
	if (err == CURLE_OK) {
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
		ret->location = location_of(c, url);
	} else {
		fprintf(out, "%s", curl_easy_strerror(err));
	}
	fclose(out);
	curl_slist_free_all(headers);
	curl_easy_cleanup(c);
	free(authorization);
}

void http_post_sdp(const char *url, const char *token, const char *sdp, struct http_reply *ret)
{
	request("POST", url, token, sdp, ret);
}

void http_delete(const char *url, const char *token, struct http_reply *ret)
{
	request("DELETE", url, token, NULL, ret);
}
