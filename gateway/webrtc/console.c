/* The WebSocket of a console: who may speak, how often, and what becomes of a message. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/console.h"

#define HELLO_MS      10000
#define RATE_A_SECOND 50
#define BURST         200
#define TOLD_COSTS    5 /* messages: everybody in the conference is told of it, and there may be hundreds */
#define OVER_MAX      1000 /* whoever does not heed that many refusals is no client of this kind */

/* RFC 6455, section 7.4.1 */
#define CLOSE_DONE   1000
#define CLOSE_POLICY 1008

/* --- said --- */

static void say(struct mu_console *l, json_t *message)
{
	if (!l->closed && message)
		l->socket.send(l->socket.arg, message);
	else
		json_decref(message);
}

static void refuse_text(struct mu_console *l, uint32_t id, int status, const char *detail)
{
	json_t *o = mu_signal_error(id, status, reply_title(status), detail);

	if (!o) /* it quotes bytes that are no UTF-8 */
		o = mu_signal_error(id, status, reply_title(status), "");
	say(l, o);
}

static void refuse(struct mu_console *l, uint32_t id, int status, const char *fmt, ...) MU_PRINTF(4, 5);
static void refuse(struct mu_console *l, uint32_t id, int status, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	refuse_text(l, id, status, detail);
}

void console_send(struct console *c, json_t *message)
{
	if (c->link)
		say(c->link, message);
	else
		json_decref(message);
}

void console_ok(struct console *c, uint32_t id)
{
	console_send(c, mu_signal_ok(id));
}

void console_refuse(struct console *c, uint32_t id, int status, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	if (c->link)
		refuse_text(c->link, id, status, detail);
}

static void audit(struct mu_webrtc *w, const struct mu_token *who, const char *from, const char *what,
	const char *target, const char *result, const char *why)
{
	char name[200];

	if (!w->host)
		return;
	if (who)
		snprintf(name, sizeof(name), "%s#%s", who->subject, who->id);
	w->host->audit(w->host->arg, who ? name : NULL, from, what, target, result, why);
}

void console_audit(
	struct console *c, const char *what, const char *target, const char *result, const char *why)
{
	audit(c->s->w, &c->s->token, c->link ? c->link->from : NULL, what, target, result, why);
}

bool console_may_do(struct console *c, uint32_t id)
{
	const struct mu_console_host *host = c->s->w->host;

	if (host && host->allows(host->arg, &c->s->token))
		return true;
	console_refuse(c, id, 429, "this token changes something too often: wait a second");
	return false;
}

static void close_link(struct mu_console *l, unsigned code, const char *why)
{
	if (l->closed)
		return;
	l->closed = true;
	l->socket.close(l->socket.arg, code, why);
}

/* --- hello --- */

static bool may_speak(const struct mu_token *t)
{
	return t->scopes & (MU_SCOPE_CONFERENCE | MU_SCOPE_WATCH | MU_SCOPE_PUBLISH | MU_SCOPE_ADMIN);
}

/* Who a hello is: the token's one endpoint, or the one of several that it names. @return NULL: told in r */
static const char *endpoint_of(const struct mu_token *t, const char *asked, struct mu_web_reply *r)
{
	size_t n = strlen(t->endpoint);

	if (asked[0]) {
		if (mu_token_covers(t, asked))
			return asked;
		reply_refuse(r, 403, "the token is for %.130s, not for %.130s", t->endpoint, asked);
		return NULL;
	}
	if (n > 0 && t->endpoint[n - 1] != '*')
		return t->endpoint;
	reply_refuse(r, 400, "the token covers more than one endpoint: say in 'endpoint' which one this is");
	return NULL;
}

/* The session that a client comes back to: by its id, which is a secret, and the token that made it. */
static struct console *find_session(
	struct mu_webrtc *w, const char *id, const struct mu_token *who, const char *endpoint)
{
	struct session *s = id[0] ? session_find(w, id) : NULL;

	return s && s->kind == SESSION_CONSOLE && mu_token_same(&s->token, who) &&
			strcmp(s->ep->id, endpoint) == 0
		? s->console
		: NULL;
}

static void welcome(struct console *c, uint32_t id, bool resumed)
{
	console_send(c,
		json_pack("{ss sI ss sb ss ss so*}", "type", "welcome", "id", (json_int_t)id, "session",
			c->s->id, "resumed", resumed, "endpoint", c->s->ep->id, "site",
			mu_directory_site(c->s->w->o.directory), "ice_servers",
			mu_webrtc_ice_servers(c->s->w, c->s->ep->id)));
	if (!resumed)
		return;
	console_tell_conference(c);
	console_down_tell_again(c);
}

static void attach(struct mu_console *l, struct console *c)
{
	struct mu_console *before = c->link;

	if (l->deadline)
		l->w->timer_remove(l->deadline);
	l->deadline = 0;
	l->c = c;
	if (before) { /* half open, as TCP is where a network went away: its client is here now */
		before->c = NULL;
		close_link(before, CLOSE_POLICY, "the client came back by another connection");
	}
	console_attach(c, l);
}

/* @return NULL: refused, told in r */
static struct console *greet(struct mu_console *l, const struct mu_signal *m, struct mu_token *who,
	bool *ret_resumed, struct mu_web_reply *r)
{
	struct mu_error e = { "" };
	struct console *c;
	const char *endpoint;
	int err;

	who->id[0] = '\0';
	err = l->w->host->check(l->w->host->arg, m->token, who, &e);
	if (err < 0) {
		reply_refuse(r, 401, "%s", e.text);
		return NULL;
	}
	if (!may_speak(who)) {
		reply_refuse(r, 403, "the token lacks the scope this needs: conference, watch or publish");
		return NULL;
	}
	endpoint = endpoint_of(who, m->endpoint, r);
	if (!endpoint)
		return NULL;
	if (!l->w->host->allows(l->w->host->arg, who)) {
		reply_refuse(r, 429, "this token is used too often: wait a second");
		return NULL;
	}
	c = find_session(l->w, m->session, who, endpoint);
	*ret_resumed = c != NULL;
	return c ? c : console_new(l->w, who, endpoint, r);
}

static void hello(struct mu_console *l, const struct mu_signal *m)
{
	struct mu_web_reply r = { 0 };
	struct mu_token who;
	bool resumed = false;
	struct console *c = greet(l, m, &who, &resumed, &r);
	char why[400];

	if (!c) {
		snprintf(why, sizeof(why), "%d %s", r.status, r.detail);
		audit(l->w, who.id[0] ? &who : NULL, l->from, "console.hello",
			m->endpoint[0] ? m->endpoint : NULL, "denied", why);
		refuse_text(l, m->id, r.status, r.detail);
		close_link(l, CLOSE_POLICY, "the hello was refused");
		mu_web_reply_done(&r);
		return;
	}
	attach(l, c);
	audit(l->w, &who, l->from, resumed ? "console.resume" : "console.begin", c->s->ep->id, "done", NULL);
	welcome(c, m->id, resumed);
}

/* --- heard --- */

/* ICE lite answers where checks come from: the client's candidates tell us nothing, and their names may even
 * be unresolvable on purpose (mDNS). */
static void candidate(struct console *c, const struct mu_signal *m)
{
	console_ok(c, m->id);
}

static void act_on(struct console *c, const struct mu_signal *m)
{
	switch (m->type) {
	case MU_SIGNAL_HELLO:
		console_refuse(c, m->id, 409, "this connection has said hello already");
		break;
	case MU_SIGNAL_JOIN:
		console_join(c, m);
		break;
	case MU_SIGNAL_LEAVE:
		console_leave(c, m->id);
		break;
	case MU_SIGNAL_OFFER:
		console_up_offer(c, m);
		break;
	case MU_SIGNAL_VIEW:
		console_view(c, m);
		break;
	case MU_SIGNAL_ANSWER:
		console_down_answer(c, m);
		break;
	case MU_SIGNAL_CANDIDATE:
		candidate(c, m);
		break;
	case MU_SIGNAL_RESTART:
		console_ok(c, m->id);
		console_down_restart(c, m->fresh);
		break;
	case MU_SIGNAL_ACT:
		console_act(c, m);
		break;
	}
}

static double cost_of(const struct mu_signal *m, int err)
{
	bool told = m->type == MU_SIGNAL_ACT || m->type == MU_SIGNAL_JOIN || m->type == MU_SIGNAL_LEAVE;

	return err == 0 && told ? TOLD_COSTS : 1;
}

static bool has_credit(struct mu_console *l, double cost)
{
	int64_t now_us = l->w->now_us();

	l->credit = MU_MIN(l->credit + (double)(now_us - l->credit_us) / 1e6 * RATE_A_SECOND, (double)BURST);
	l->credit_us = now_us;
	if (l->credit >= BURST - 1)
		l->over = 0;
	if (l->credit < cost) {
		l->over++;
		return false;
	}
	l->credit -= cost;
	return true;
}

static void take(struct mu_console *l, const struct mu_signal *m, int err, const struct mu_error *e)
{
	if (!l->c && (err < 0 || m->type != MU_SIGNAL_HELLO)) {
		refuse(l, m->id, err < 0 ? 400 : 401, "%s",
			err < 0 ? e->text : "the first message has to be hello");
		close_link(l, CLOSE_POLICY, "no hello");
	} else if (err < 0) {
		refuse(l, m->id, 400, "%s", e->text);
	} else if (!l->c) {
		hello(l, m);
	} else {
		act_on(l->c, m);
	}
}

void mu_console_text(struct mu_console *l, const char *text, size_t len)
{
	struct mu_signal *m;
	struct mu_error e = { "" };
	int err;

	if (l->closed)
		return;
	m = malloc(sizeof(*m)); /* large, and for a moment only */
	if (!m)
		return;
	err = mu_signal_parse(text, len, m, &e);
	if (has_credit(l, cost_of(m, err)))
		take(l, m, err, &e);
	else
		refuse(l, m->id, 429, "more than %d messages, or %d acts, a second: wait a second", RATE_A_SECOND,
			RATE_A_SECOND / TOLD_COSTS);
	if (err == 0)
		mu_signal_done(m);
	free(m);
	if (l->over > OVER_MAX)
		close_link(l, CLOSE_POLICY, "too many messages");
}

/* --- come and gone --- */

static gboolean late(gpointer arg)
{
	struct mu_console *l = arg;

	l->deadline = 0;
	close_link(l, CLOSE_POLICY, "no hello came within 10 s");
	return G_SOURCE_REMOVE;
}

int mu_console_new(
	struct mu_webrtc *w, const struct mu_console_socket *s, const char *from, struct mu_console **ret)
{
	struct mu_console *l;

	/* how many there may be is asked at the hello: those who have said none shall not keep others out */
	if (!w->host || w->draining)
		return -ENOSPC;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->w = w;
	l->socket = *s;
	snprintf(l->from, sizeof(l->from), "%s", from ? from : "");
	l->credit = BURST;
	l->credit_us = w->now_us();
	l->deadline = w->timer_add(HELLO_MS, late, l);
	mu_list_append(&w->consoles, &l->link);
	w->n_consoles++;
	*ret = l;
	return 0;
}

bool mu_console_known(const struct mu_console *l)
{
	return l->c != NULL;
}

void mu_console_lost(struct mu_console *l)
{
	if (!l)
		return;
	if (l->deadline)
		l->w->timer_remove(l->deadline);
	if (l->c)
		console_detach(l->c);
	mu_list_remove(&l->link);
	l->w->n_consoles--;
	free(l);
}

void mu_webrtc_set_host(struct mu_webrtc *w, const struct mu_console_host *h)
{
	free(w->host);
	w->host = NULL;
	if (h) {
		w->host = malloc(sizeof(*h));
		if (w->host)
			*w->host = *h;
	}
}

/* The session is over: its client is told, and let go. Of a gateway that stops another is awaited: there it
 * finds its place again. */
void console_bye(struct console *c, const char *why)
{
	struct mu_console *l = c->link;

	if (!l)
		return;
	c->link = NULL;
	l->c = NULL;
	say(l, json_pack("{ss ss sb}", "type", "bye", "why", why, "again", l->w->draining));
	close_link(l, CLOSE_DONE, why);
}
