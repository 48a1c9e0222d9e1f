/* What a member or a chair does in its conference. */
#include <errno.h>

#include "webrtc/console.h"

static int status_of(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return 403;
	case -ENOENT:
		return 404;
	case -EBUSY:
		return 409;
	case -ENOMEM:
	case -ENOSPC:
		return 503;
	default:
		return 400;
	}
}

/* What one does for oneself changes nothing for others that anybody would ask for later. */
static bool is_of_note(const struct console *c, const struct mu_signal *m)
{
	switch (m->act) {
	case MU_ACT_FLOOR_REQUEST:
	case MU_ACT_FLOOR_RELEASE:
	case MU_ACT_LARGE:
	case MU_ACT_SCREEN_START:
	case MU_ACT_SCREEN_STOP:
		return false;
	case MU_ACT_MUTE:
	case MU_ACT_UNMUTE:
		return strcmp(m->endpoint, c->s->ep->id) != 0;
	default:
		return true;
	}
}

static void note(
	struct console *c, const struct mu_signal *m, const char *id, int err, const struct mu_error *e)
{
	char what[64], why[400];

	g_snprintf(what, sizeof(what), "conference.%s", mu_act_name(m->act));
	g_snprintf(why, sizeof(why), "%s%s%s%s%s", m->endpoint, m->value[0] ? " " : "", m->value,
		err < 0 ? ": " : "", err < 0 ? e->text : "");
	console_audit(c, what, id, err < 0 ? "denied" : "done", why[0] ? why : NULL);
}

void console_act(struct console *c, const struct mu_signal *m)
{
	struct mu_error e = { "" };
	char id[65];
	int err;

	if (!c->room) {
		console_refuse(c, m->id, 409, "%s is in no conference: join one first", c->s->ep->id);
		return;
	}
	if (is_of_note(c, m) && !console_may_do(c, m->id))
		return;
	g_strlcpy(id, mu_conference_id(room_conference(c->room)), sizeof(id));
	err = mu_conference_act(room_conference(c->room), c->s->ep->id, m->act, m->endpoint, m->value, &e);
	if (is_of_note(c, m))
		note(c, m, id, err, &e);
	if (err < 0)
		console_refuse(c, m->id, status_of(err), "%s", e.text);
	else
		console_ok(c, m->id);
}
