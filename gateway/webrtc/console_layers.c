/* Encodings of what the client publishes: those that nobody takes may rest. */
#include "webrtc/console.h"

#define REST_US 5000000 /* nobody took it for so long */

static void tell(struct console *c, const struct up_section *s)
{
	json_t *wanted = json_array();

	for (unsigned i = 0; i < s->n_rids; i++) {
		if (s->wanted[i])
			json_array_append_new(wanted, json_string(s->rids[i]));
	}
	console_send(c, json_pack("{ss ss so}", "type", "layers", "label", s->label, "wanted", wanted));
}

/* The smallest, which is called l, or the first. */
static unsigned least_of(const struct up_section *s)
{
	for (unsigned i = 0; i < s->n_rids; i++) {
		if (strcmp(s->rids[i], "l") == 0)
			return i;
	}
	return 0;
}

/* The smallest never rests: with it viewers begin at once. */
static bool look(struct up_section *s, int64_t now_us)
{
	unsigned least = least_of(s);
	bool changed = false;

	for (unsigned i = 0; i < s->n_rids; i++) {
		bool used = i == least || !s->layers[i] || mu_track_users(s->layers[i]) > 0;
		bool wanted;

		if (used)
			s->unused_us[i] = 0;
		else if (!s->unused_us[i])
			s->unused_us[i] = now_us;
		wanted = used || now_us - s->unused_us[i] < REST_US;
		changed |= wanted != s->wanted[i];
		s->wanted[i] = wanted;
	}
	return changed;
}

static void on_users(void *arg, struct mu_track *t)
{
	struct console *c = arg;

	for (unsigned i = 0; i < c->up.n_sections; i++) {
		struct up_section *s = &c->up.sections[i];

		for (unsigned k = 0; k < s->n_rids; k++) {
			if (s->layers[k] == t && look(s, c->s->w->now_us()))
				tell(c, s);
		}
	}
}

void console_layers_watch(struct console *c, struct up_section *s, const struct mu_stream_in *in, unsigned n)
{
	struct mu_inbox *inbox = c->s->w->o.control;

	for (unsigned i = 0; i < n && i < MU_LAYERS_MAX && in[i].rid[0]; i++) {
		memcpy(s->rids[i], in[i].rid, sizeof(s->rids[i]));
		s->layers[i] = mu_track_ref(in[i].track);
		s->wanted[i] = true;
		s->unused_us[i] = 0;
		s->n_rids = i + 1;
		if (inbox)
			mu_track_watch(s->layers[i], inbox, on_users, c);
	}
}

void console_layers_unwatch(struct console *c, struct up_section *s)
{
	for (unsigned i = 0; i < s->n_rids; i++) {
		if (c->s->w->o.control)
			mu_track_watch(s->layers[i], c->s->w->o.control, NULL, NULL);
		s->layers[i] = mu_track_unref(s->layers[i]);
	}
	s->n_rids = 0;
}

void console_layers_tick(struct console *c, int64_t now_us)
{
	for (unsigned i = 0; i < c->up.n_sections; i++) {
		struct up_section *s = &c->up.sections[i];

		if (s->n_rids > 1 && look(s, now_us))
			tell(c, s);
	}
}
