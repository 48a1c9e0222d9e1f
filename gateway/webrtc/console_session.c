/* The session behind a console's WebSocket, and its peer connections. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/console.h"

#define AWAITED_MS 30000 /* a session without its client */
#define AWAITED_MAX_TOKEN                                                                \
	8 /* of those, of one token: a client that comes back as another again and again \
	   */

#define CROWD    100 /* consoles */
#define CROWD_MS 50

static const struct mu_transport_events events;

/* --- peer connections --- */

static void pc_free(struct pc *pc)
{
	mu_list_remove(&pc->link);
	mu_transport_free(pc->t);
	free(pc->stats);
	free(pc->before);
	free(pc);
}

int pc_new(struct console *c, bool up, struct mu_transport_spec *spec, struct pc **ret)
{
	struct pc *pc = calloc(1, sizeof(*pc));
	int err;

	if (!pc)
		return -ENOMEM;
	pc->c = c;
	pc->up = up;
	spec->id = c->s->id;
	err = mu_transport_new(c->s->w->o.media, spec, &events, pc, &pc->t);
	if (err < 0) {
		free(pc);
		return err;
	}
	mu_list_append(&c->pcs, &pc->link);
	*ret = pc;
	return 0;
}

void pc_close(struct pc *pc, const char *why)
{
	if (!pc || pc->over)
		return;
	pc->over = true;
	if (pc->c->up.pc == pc)
		pc->c->up.pc = NULL;
	if (pc->c->down.pc == pc)
		pc->c->down.pc = NULL;
	mu_transport_close(pc->t, why);
}

static void tell_closed(struct console *c, bool up, const char *why)
{
	console_send(c, json_pack("{ss ss ss}", "type", "closed", "pc", up ? "up" : "down", "why", why));
}

static void on_closed(struct pc *pc, const char *why)
{
	struct console *c = pc->c;
	bool over = pc->over, up = pc->up;

	if (c->up.pc == pc)
		c->up.pc = NULL;
	if (c->down.pc == pc)
		c->down.pc = NULL;
	pc_free(pc);
	if (c->s->ended) {
		if (mu_list_empty(&c->pcs))
			session_free(c->s);
	} else if (!over) {
		why = why && *why ? why : "the connection is gone";
		tell_closed(c, up, why);
		if (up)
			console_up_closed(c, why);
		else
			console_down_closed(c, why);
	}
}

static void on_state(void *arg, enum mu_transport_state state, const char *why)
{
	struct pc *pc = arg;

	if (state == MU_TRANSPORT_CLOSED) {
		on_closed(pc, why);
		return;
	}
	if (pc->over)
		return;
	if (state == MU_TRANSPORT_CONNECTED && !pc->connected) {
		pc->connected = true;
		if (!pc->c->s->connected) {
			pc->c->s->connected = true;
			session_tell(pc->c->s, "session.connected", NULL);
		}
	}
	if (pc->up)
		console_up_state(pc->c, state, why);
}

static uint64_t packets_in(const struct mu_transport_stats *st)
{
	uint64_t n = 0;

	for (unsigned i = 0; st && i < st->n_streams; i++)
		n += st->streams[i].out ? 0 : st->streams[i].packets;
	return n;
}

static void on_stats(void *arg, const struct mu_transport_stats *stats)
{
	struct pc *pc = arg;
	struct session *s = pc->c->s;

	if (pc->up &&
		!pc->over) { /* whether a publisher is there: another with its token may take over else */
		if (packets_in(stats) > packets_in(pc->stats))
			s->heard_us = s->media_us = s->w->now_us();
		s->heard_us = MU_MAX(s->heard_us, MU_MAX(stats->last_check_us, stats->last_rtcp_us));
	}
	free(pc->before);
	pc->before = pc->stats;
	pc->before_us = pc->stats_us;
	pc->stats = stats_copy(stats);
	pc->stats_us = s->w->now_us();
}

static const struct mu_transport_events events = { .state = on_state, .stats = on_stats };

/* --- made --- */

static struct mu_endpoint *take_endpoint(struct mu_webrtc *w, const char *id, struct mu_web_reply *r)
{
	struct mu_error e;
	struct mu_endpoint *ep = mu_directory_take(w->o.directory, id, &e);

	if (!ep)
		reply_refuse(r, 403, "%s", e.text);
	return ep;
}

/* A client that comes back and does not know its session any more, as a tab that crashed: what is left of that makes way. Its
 * WebSocket is lost, so nobody is put out who is there. */
static void end_abandoned(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint)
{
	mu_list_for_each_safe (it, next, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->kind == SESSION_CONSOLE && !s->ended && !s->console->link && mu_token_same(&s->token, who) &&
			strcmp(s->ep->id, endpoint) == 0) {
			s->console->follows = true;
			session_end(s, SESSION_LOST, "its client came back and began anew");
		}
	}
}

/* Sessions of this token that wait for their client: the oldest makes room. */
static void limit_awaited(struct mu_webrtc *w, const struct mu_token *who)
{
	struct session *oldest = NULL;
	unsigned n = 0;

	mu_list_for_each (it, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->kind != SESSION_CONSOLE || s->ended || s->console->link ||
			!mu_token_same(&s->token, who))
			continue;
		n++;
		if (!oldest)
			oldest = s;
	}
	if (n >= AWAITED_MAX_TOKEN)
		session_end(oldest, SESSION_LOST, "its client did not come back, another of its token came");
}

struct console *console_new(
	struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, struct mu_web_reply *r)
{
	struct mu_endpoint *ep;
	struct console *c;

	end_abandoned(w, who, endpoint);
	limit_awaited(w, who);
	if (!session_may_begin(w, SESSION_CONSOLE, who, r))
		return NULL;
	ep = take_endpoint(w, endpoint, r);
	if (!ep)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c)
		c->s = session_new(w, SESSION_CONSOLE, who, ep, 0);
	if (!c || !c->s) {
		free(c);
		mu_directory_release(w->o.directory, ep);
		reply_refuse(r, 503, "out of memory for a session: try again later");
		return NULL;
	}
	c->s->console = c; /* the endpoint was taken, so it is held */
	mu_list_init(&c->room_link);
	mu_list_init(&c->pcs);
	mu_random_text(c->down.cname, 16); /* RFC 7022: says nothing about anybody */
	mu_random(&c->down.sdp_id, sizeof(c->down.sdp_id));
	session_insert(c->s);
	session_tell(c->s, "session.created", NULL);
	return c;
}

static gboolean given_up(gpointer arg)
{
	struct console *c = arg;

	c->timer = 0;
	session_end(c->s, SESSION_LOST, "its client did not come back");
	return G_SOURCE_REMOVE;
}

void console_detach(struct console *c)
{
	c->link->c = NULL;
	c->link = NULL;
	c->timer = c->s->w->timer_add(AWAITED_MS, given_up, c);
}

void console_attach(struct console *c, struct mu_console *link)
{
	if (c->timer)
		c->s->w->timer_remove(c->timer);
	c->timer = 0;
	c->link = link;
}

/* --- over --- */

void console_ended(struct console *c, enum session_end how, const char *why)
{
	if (c->timer)
		c->s->w->timer_remove(c->timer);
	c->timer = 0;
	console_bye(c, why);
	console_absent(c);
	console_up_drop(c, why);
	whip_ended(c->s, how, why);
	pc_close(c->down.pc, why);
	console_down_free(c);
	if (mu_list_empty(&c->pcs))
		session_free(c->s);
}

void console_free(struct console *c)
{
	if (c->timer)
		c->s->w->timer_remove(c->timer);
	if (c->link)
		c->link->c = NULL;
	console_absent(c);
	console_up_drop(c, "let go");
	console_down_free(c);
	mu_list_for_each_safe (it, next, &c->pcs)
		pc_free(MU_CONTAINER_OF(it, struct pc, link));
	free(c);
}

/* --- what it receives has changed --- */

static gboolean settle(gpointer arg)
{
	struct mu_webrtc *w = arg;

	w->settle_timer = 0;
	mu_list_for_each_safe (it, next, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->kind != SESSION_CONSOLE || s->ended || !s->console->dirty)
			continue;
		s->console->dirty = false;
		console_down_settle(s->console);
	}
	return G_SOURCE_REMOVE;
}

void console_touch(struct console *c)
{
	struct mu_webrtc *w = c->s->w;

	c->dirty = true;
	if (!w->settle_timer) /* a crowd's changes come together: one look at all of them does */
		w->settle_timer = w->timer_add(w->n_consoles > CROWD ? CROWD_MS : 0, settle, w);
}

static bool watches(const struct console *c, const char *endpoint)
{
	for (unsigned i = 0; i < c->down.n_views; i++) {
		if (strcmp(c->down.views[i].endpoint, endpoint) == 0)
			return true;
	}
	return false;
}

void consoles_endpoint_changed(struct mu_webrtc *w, const char *endpoint)
{
	mu_list_for_each (it, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->kind == SESSION_CONSOLE && !s->ended && watches(s->console, endpoint))
			console_touch(s->console);
	}
	rooms_endpoint_changed(w, endpoint);
}

/* --- figures --- */

void console_info(const struct console *c, struct mu_session_info *ret)
{
	ret->console = true;
	ret->stats = c->up.pc ? c->up.pc->stats : NULL;
	ret->down = c->down.pc ? c->down.pc->stats : NULL;
}

void console_each_second(struct console *c)
{
	console_layers_tick(c, c->s->w->now_us());
	console_quality(c);
	if (c->up.pc)
		mu_transport_ask_stats(c->up.pc->t);
	if (c->down.pc)
		mu_transport_ask_stats(c->down.pc->t);
}
