/* What consoles ask of the API: whether a token is good, and a line in the audit log. */
#include <errno.h>

#include "api/private.h"

#define DENIALS_GAP_US 1000000 /* strangers drive them: one line a second says how many it stands for */

static int check(void *arg, const char *token, struct mu_token *ret, struct mu_error *e)
{
	const char *why = "";
	int err = mu_token_look(arg, token, ret, &why);

	if (err < 0)
		((struct mu_api *)arg)->n_denied++;
	return err < 0 ? mu_error_set(e, err == -ETIME ? err : -EPERM, "%s", why) : 0;
}

static bool allows(void *arg, const struct mu_token *who)
{
	return mu_rate_take(arg, who);
}

static void audit(void *arg, const char *who, const char *from, const char *what, const char *target,
	const char *result, const char *why)
{
	struct mu_api *a = arg;
	bool denied = strcmp(result, "denied") == 0;
	uint64_t n = denied ? mu_log_gate_pass(&a->console_denials, mu_clock_us(), DENIALS_GAP_US) : 1;
	char text[600];

	if (!a->audit || n == 0)
		return;
	if (n > 1)
		g_snprintf(text, sizeof(text), "%s (and %" G_GUINT64_FORMAT " more since the last such line)",
			why ? why : "", n - 1);
	mu_audit_add(a->audit,
		&(struct mu_audit_entry){ .who = who,
			.from = from,
			.what = what,
			.target = target,
			.result = result,
			.why = n > 1 ? text : why });
}

void mu_console_host_start(struct mu_api *a)
{
	const struct mu_console_host host = { .check = check, .allows = allows, .audit = audit, .arg = a };

	mu_webrtc_set_host(a->webrtc, &host);
}

void mu_console_host_stop(struct mu_api *a)
{
	mu_webrtc_set_host(a->webrtc, NULL);
}
