/* Consoles in one conference: come in, leave, told what happens and how it stands. */
#include <errno.h>
#include <stdlib.h>

#include "webrtc/console.h"

#define STATE_US  100000 /* between two states told to the same room */
#define FOLLOWS_US 10000000 /* a page that is loaded anew joins again by then */
#define VOICES_MS 60     /* between two looks at the levels */
/* The whole state of a large conference goes to all of it: more rarely, the larger it is. */
#define STATE_US_EACH 6

struct room {
	struct mu_webrtc *w;
	struct mu_conference *conference; /* until it ends */
	char id[65];
	struct mu_list consoles;
	unsigned n_consoles;
	struct voices *voices;
	guint timer; /* a state is due */
	int64_t told_us;
};

struct mu_conference *room_conference(const struct room *r)
{
	return r->conference;
}

unsigned room_chosen(const struct room *r, const char *const **ret)
{
	return voices_chosen(r->voices, ret);
}

/* --- rooms --- */

static void touch_all(struct room *r)
{
	mu_list_for_each (it, &r->consoles)
		console_touch(MU_CONTAINER_OF(it, struct console, room_link));
}

static unsigned present(const struct room *r)
{
	unsigned n = 0;

	for (size_t i = 0; i < mu_conference_members(r->conference); i++)
		n += mu_conference_member_at(r->conference, i)->present;
	return n;
}

static gboolean poll_voices(gpointer arg)
{
	struct mu_webrtc *w = arg;
	int64_t now_us = w->now_us();
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, w->rooms);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		struct room *r = value;

		if (present(r) >= 2 && voices_poll(r->voices, w, r->conference, now_us))
			touch_all(r);
	}
	return G_SOURCE_CONTINUE;
}

static void watch_voices(struct mu_webrtc *w)
{
	bool any = g_hash_table_size(w->rooms) > 0;

	if (any && !w->voices_timer) {
		w->voices_timer = w->timer_add(VOICES_MS, poll_voices, w);
	} else if (!any && w->voices_timer) {
		w->timer_remove(w->voices_timer);
		w->voices_timer = 0;
	}
}

static struct room *room_take(struct mu_webrtc *w, struct mu_conference *conference)
{
	struct room *r = g_hash_table_lookup(w->rooms, mu_conference_id(conference));

	if (r)
		return r;
	r = g_new0(struct room, 1);
	r->w = w;
	r->conference = conference;
	g_strlcpy(r->id, mu_conference_id(conference), sizeof(r->id));
	mu_list_init(&r->consoles);
	r->voices = voices_new();
	r->told_us = w->now_us() - STATE_US;
	g_hash_table_insert(w->rooms, r->id, r);
	watch_voices(w);
	return r;
}

static void room_free(struct room *r)
{
	if (r->timer)
		r->w->timer_remove(r->timer);
	voices_free(r->voices);
	g_free(r);
}

static void enter(struct console *c, struct room *r)
{
	c->room = r;
	c->put_out = false;
	mu_list_append(&r->consoles, &c->room_link);
	r->n_consoles++;
}

static void leave_room(struct console *c)
{
	struct room *r = c->room;

	mu_list_remove(&c->room_link);
	c->room = NULL;
	console_touch(c);
	if (--r->n_consoles > 0)
		return;
	g_hash_table_remove(r->w->rooms, r->id);
	watch_voices(r->w);
	room_free(r);
}

void rooms_free(struct mu_webrtc *w)
{
	GHashTableIter it;
	gpointer r;

	g_hash_table_iter_init(&it, w->rooms);
	while (g_hash_table_iter_next(&it, NULL, &r))
		room_free(r);
	g_hash_table_unref(w->rooms);
	if (w->voices_timer)
		w->timer_remove(w->voices_timer);
}

/* --- told --- */

static json_t *state_json(const struct console *c, json_t *state)
{
	const struct mu_conference *conference = c->room->conference;
	const struct mu_member *m = mu_conference_member(conference, c->s->ep->id);
	json_t *me = m ? json_pack("{ss ss si sb}", "endpoint", m->endpoint, "role", mu_role_name(m->role),
				 "rank", (int)m->rank, "heard", mu_conference_heard(conference, m->endpoint))
		       : json_null();

	return json_pack("{ss sO so}", "type", "conference", "state", state, "me", me);
}

static void tell_put_out(struct console *c)
{
	console_send(
		c, json_pack("{ss sn sn ss}", "type", "conference", "state", "me", "why", c->put_out_why));
}

void console_tell_conference(struct console *c)
{
	json_t *state;

	if (!c->room) {
		if (c->put_out)
			tell_put_out(c);
		return;
	}
	state = mu_conference_json(c->room->conference);
	console_send(c, state_json(c, state));
	json_decref(state);
}

static gboolean tell_state(gpointer arg)
{
	struct room *r = arg;
	json_t *state = mu_conference_json(r->conference);

	r->timer = 0;
	r->told_us = r->w->now_us();
	mu_list_for_each (it, &r->consoles) {
		struct console *c = MU_CONTAINER_OF(it, struct console, room_link);

		if (c->link)
			console_send(c, state_json(c, state));
	}
	json_decref(state);
	return G_SOURCE_REMOVE;
}

static void state_is_due(struct room *r)
{
	int64_t gap_us = STATE_US +
		(int64_t)STATE_US_EACH * r->n_consoles * (int64_t)mu_conference_members(r->conference);
	int64_t left_us = r->told_us + gap_us - r->w->now_us();

	if (!r->timer)
		r->timer = r->w->timer_add((guint)(MU_MAX(left_us, 0) / 1000), tell_state, r);
}

static void tell_event(struct console *c, const struct mu_event *ev)
{
	console_send(c, json_pack("{ss ss sO}", "type", "event", "kind", ev->kind, "data", ev->data));
}

static void tell_speaker(struct console *c, const char *endpoint)
{
	console_send(c, json_pack("{ss ss}", "type", "speaker", "endpoint", endpoint ? endpoint : ""));
}

/* --- what happens in it --- */

static void put_out(struct console *c, const char *why)
{
	leave_room(c);
	c->put_out = true;
	g_strlcpy(c->put_out_why, why ? why : "left", sizeof(c->put_out_why));
	tell_put_out(c);
}

static struct console *console_of(struct room *r, const char *endpoint)
{
	mu_list_for_each (it, &r->consoles) {
		struct console *c = MU_CONTAINER_OF(it, struct console, room_link);

		if (endpoint && strcmp(c->s->ep->id, endpoint) == 0)
			return c;
	}
	return NULL;
}

static void ended(struct room *r)
{
	/* the last one that is put out frees it */
	for (unsigned n = r->n_consoles; n > 0; n--)
		put_out(MU_CONTAINER_OF(r->consoles.next, struct console, room_link),
			"the conference has ended");
}

static void happened(struct room *r, const struct mu_event *ev)
{
	const char *endpoint = json_string_value(json_object_get(ev->data, "endpoint"));
	bool left = strcmp(ev->kind, "conference.left") == 0,
	     speaker = strcmp(ev->kind, "conference.speaker") == 0;
	struct console *who = left ? console_of(r, endpoint) : NULL;
	bool last = who && r->n_consoles == 1;

	mu_list_for_each (it, &r->consoles) {
		struct console *c = MU_CONTAINER_OF(it, struct console, room_link);

		if (speaker)
			tell_speaker(c, endpoint);
		else
			tell_event(c, ev);
	}
	if (who)
		put_out(who, json_string_value(json_object_get(ev->data, "why")));
	if (last)
		return;
	touch_all(r);
	if (!speaker) /* said in a few bytes already, and often: a large conference's state has many */
		state_is_due(r);
}

static void tell_everybody(struct mu_webrtc *w, const struct mu_event *ev)
{
	mu_list_for_each (it, &w->sessions) {
		const struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->console && !s->ended)
			tell_event(s->console, ev);
	}
}

/* Told in the midst of a change: the conference is not looked at before the next turn of the loop. */
void rooms_event(struct mu_webrtc *w, const struct mu_event *ev)
{
	const char *id = json_string_value(json_object_get(ev->data, "conference"));
	struct room *r = id ? g_hash_table_lookup(w->rooms, id) : NULL;

	if (strcmp(ev->kind, "gateway.draining") == 0)
		tell_everybody(w, ev);
	if (!r || !g_str_has_prefix(ev->kind, "conference."))
		return;
	if (strcmp(ev->kind, "conference.ended") == 0)
		ended(r);
	else
		happened(r, ev);
}

void rooms_endpoint_changed(struct mu_webrtc *w, const char *endpoint)
{
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, w->rooms);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		struct room *r = value;

		if (mu_conference_member(r->conference, endpoint))
			touch_all(r);
	}
}

/* --- come in, leave --- */

static int status_of(int err)
{
	switch (err) {
	case -EACCES:
		return 403;
	case -ENOSPC:
	case -ENOMEM:
		return 503;
	default:
		return 400;
	}
}

static struct mu_conference *find(struct console *c, const struct mu_signal *m)
{
	struct mu_conferences *all = c->s->w->o.conferences;
	struct mu_conference *conference = all ? mu_conferences_find(all, m->conference) : NULL;

	if (!(c->s->token.scopes & (MU_SCOPE_CONFERENCE | MU_SCOPE_ADMIN)))
		console_refuse(c, m->id, 403, "the token lacks the scope this needs: conference");
	else if (!mu_token_covers_conference(&c->s->token, m->conference))
		console_refuse(c, m->id, 403, "the token is for other conferences than %.64s", m->conference);
	else if (!conference)
		console_refuse(c, m->id, 404, "there is no conference %.64s", m->conference);
	else if (c->room && c->room->conference != conference)
		console_refuse(c, m->id, 409, "%s is in conference %s: leave that one first", c->s->ep->id,
			c->room->id);
	else
		return conference;
	return NULL;
}

static void role_of(const struct mu_token *t, enum mu_role *ret_role, unsigned *ret_rank)
{
	static const enum mu_role roles[] = {
		[MU_TOKEN_PARTICIPANT] = MU_ROLE_PARTICIPANT,
		[MU_TOKEN_CHAIR] = MU_ROLE_CHAIR,
		[MU_TOKEN_LISTENER] = MU_ROLE_LISTENER,
	};

	*ret_role = t->scopes & (MU_SCOPE_OPERATE | MU_SCOPE_ADMIN) ? MU_ROLE_CHAIR : roles[t->role];
	*ret_rank = t->rank;
}

void console_join(struct console *c, const struct mu_signal *m)
{
	struct mu_conference *conference = find(c, m);
	struct console *other;
	struct mu_error e = { "" };
	enum mu_role role;
	unsigned rank;
	int err;

	if (!conference || !console_may_do(c, m->id))
		return;
	role_of(&c->s->token, &role, &rank);
	err = mu_conference_join(conference, c->s->ep->id, m->name, role, rank, &e);
	console_audit(c, "conference.join", m->conference, err < 0 ? "denied" : "done",
		err < 0 ? e.text : c->s->ep->id);
	if (err < 0) {
		console_refuse(c, m->id, status_of(err), "%s", e.text);
		return;
	}
	console_ok(c, m->id);
	if (!c->room) {
		struct room *r = room_take(c->s->w, conference);

		other = console_of(r, c->s->ep->id);
		enter(c, r);
		if (other) /* of the same name: a second page, whose user is here now */
			put_out(other, "came in elsewhere");
	}
	console_tell_conference(c);
	touch_all(c->room);
}

void console_leave(struct console *c, uint32_t id)
{
	if (!c->room) {
		console_refuse(c, id, 409, "%s is in no conference", c->s->ep->id);
		return;
	}
	if (!console_may_do(c, id))
		return;
	console_ok(c, id);
	console_audit(c, "conference.leave", c->room->id, "done", c->s->ep->id);
	mu_conference_leave(c->room->conference, c->s->ep->id); /* its event puts the console out */
}

void console_absent(struct console *c)
{
	struct mu_conference *conference;

	if (!c->room)
		return;
	conference = c->room->conference;
	leave_room(c);
	if (c->s->w->closing)
		return; /* the conferences are kept as they are, for the next start */
	if (c->follows)
		mu_conference_away(conference, c->s->ep->id, c->s->w->now_us() + FOLLOWS_US);
	else
		mu_conference_absent(conference, c->s->ep->id);
}
