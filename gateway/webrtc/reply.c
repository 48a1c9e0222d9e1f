#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/session.h"

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 400, "Bad request" },
	{ 401, "Not known" },
	{ 403, "Not allowed" },
	{ 404, "Not found" },
	{ 406, "No codec in common" },
	{ 409, "Not now" },
	{ 412, "Session has changed" },
	{ 413, "Too large" },
	{ 415, "Wrong content type" },
	{ 422, "Offer cannot be taken" },
	{ 428, "If-Match is missing" },
	{ 429, "Too many" },
	{ 503, "Not available" },
};

const char *reply_title(int status)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(titles); i++) {
		if (titles[i].status == status)
			return titles[i].title;
	}
	return "Refused";
}

bool reply_refuse(struct mu_web_reply *r, int status, const char *fmt, ...)
{
	va_list ap;

	r->status = status;
	r->title = reply_title(status);
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
	return false;
}

void mu_web_reply_done(struct mu_web_reply *r)
{
	free(r->body);
	free(r->location);
	memset(r, 0, sizeof(*r));
}
