/* Files built into the program: the console and the API's description. */
#include "api/private.h"
#include "console/console.h"

/* Scripts, styles and connections of this origin only; blob: for the pictures that the browser itself makes.
 */
#define POLICY                                                                                                 \
	"default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; " \
	"frame-ancestors 'none'"

static void serve(struct mu_req *r, const struct mu_asset *f)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(r->msg);
	const char *have = soup_message_headers_get_list(
		soup_server_message_get_request_headers(r->msg), "If-None-Match");

	soup_message_headers_replace(h, "Content-Security-Policy", POLICY);
	soup_message_headers_replace(
		h, "Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)");
	soup_message_headers_replace(h, "Cache-Control", "no-cache");
	soup_message_headers_replace(h, "ETag", f->etag);
	if (have && strstr(have, f->etag))
		mu_reply_text(r, 304, NULL, NULL, 0);
	else
		mu_reply_text(r, 200, f->type, (const char *)f->data, f->len);
}

void mu_on_console(struct mu_req *r)
{
	const char *name = r->vars[0][0] ? r->vars[0] : "index.html";
	const struct mu_asset *f = mu_asset_find(mu_console_assets, name);

	if (f)
		serve(r, f);
	else
		mu_reply_problem(r, 404, "Not found", "The console has no file %.100s.", name);
}

extern const struct mu_asset mu_api_assets[];

void mu_on_openapi(struct mu_req *r)
{
	serve(r, &mu_api_assets[0]);
}
