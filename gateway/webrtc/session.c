/* Sessions: made, found, ended. What their ending does to an endpoint is in whip.c and whep.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/console.h"

const char *session_kind_name(enum session_kind k)
{
	static const char *const names[] = {
		[SESSION_WHIP] = "whip",
		[SESSION_WHEP] = "whep",
		[SESSION_CONSOLE] = "console",
	};

	return names[k];
}

struct session *session_find(struct mu_webrtc *w, const char *id)
{
	return g_hash_table_lookup(w->by_id, id);
}

void session_new_etag(struct session *s)
{
	char text[17];

	mu_random_text(text, 16);
	snprintf(s->etag, sizeof(s->etag), "\"%s\"", text);
}

void session_tell(const struct session *s, const char *kind, const char *why)
{
	json_t *data = json_pack(
		"{ss ss ss}", "id", s->id, "kind", session_kind_name(s->kind), "endpoint", s->ep->id);

	if (why)
		json_object_set_new(data, "why", json_string(why));
	mu_directory_tell(s->w->o.directory, kind, data);
}

unsigned session_count(const struct mu_webrtc *w, const char *token_id)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(w->by_token, token_id));
}

static void count(struct session *s, int by)
{
	unsigned n = session_count(s->w, s->token.id) + (unsigned)by;

	if (n)
		g_hash_table_insert(s->w->by_token, g_strdup(s->token.id), GUINT_TO_POINTER(n));
	else
		g_hash_table_remove(s->w->by_token, s->token.id);
}

void session_free(struct session *s)
{
	mu_list_remove(&s->link);
	s->w->n_sessions--;
	if (s->console)
		console_free(s->console);
	mu_transport_free(s->t);
	mu_directory_release(s->w->o.directory, s->ep);
	free(s->stats);
	g_free(s->bundle);
	free(s);
}

void session_end(struct session *s, enum session_end how, const char *why)
{
	if (s->ended)
		return;
	s->ended = true;
	g_hash_table_remove(s->w->by_id, s->id);
	count(s, -1);
	mu_info(TOPIC, s->id, "%s of %s ends: %s", session_kind_name(s->kind), s->ep->id, why);
	if (s->t)
		mu_transport_close(s->t, why);
	session_tell(s, "session.closed", why);
	if (s->kind == SESSION_WHIP)
		whip_ended(s, how, why);
	else if (s->kind == SESSION_WHEP)
		whep_ended(s);
	else
		console_ended(s->console, how, why); /* frees both, where nothing is left to close */
}

void publisher_replace(struct session *s)
{
	if (s->kind == SESSION_CONSOLE)
		console_up_taken_over(s->console);
	else
		session_end(s, SESSION_LOST, "another publisher took over");
}

/* --- heard from the transport --- */

static void on_state(void *arg, enum mu_transport_state state, const char *why)
{
	struct session *s = arg;

	if (state == MU_TRANSPORT_CONNECTED && !s->ended) {
		s->connected = true;
		s->silent = false;
		session_tell(s, "session.connected", NULL);
		if (s->kind == SESSION_WHIP)
			whip_connected(s);
	} else if (state == MU_TRANSPORT_SILENT && !s->ended) {
		s->silent = true;
		session_tell(s, "session.silent", why);
		if (s->kind == SESSION_WHIP)
			whip_silent(s, why);
	} else if (state == MU_TRANSPORT_CLOSED) {
		session_end(s, SESSION_LOST, why && *why ? why : "the connection is gone");
		session_free(s);
	}
}

static uint64_t packets_in(const struct mu_transport_stats *st)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < st->n_streams; i++)
		n += st->streams[i].out ? 0 : st->streams[i].packets;
	return n;
}

/* In one block. */
struct mu_transport_stats *stats_copy(const struct mu_transport_stats *from)
{
	size_t len = from->n_streams * sizeof(from->streams[0]);
	struct mu_transport_stats *s = malloc(sizeof(*s) + len);

	if (!s)
		return NULL;
	*s = *from;
	s->streams = memcpy(s + 1, from->streams, len);
	return s;
}

static void on_stats(void *arg, const struct mu_transport_stats *stats)
{
	struct session *s = arg;

	if (packets_in(stats) > (s->stats ? packets_in(s->stats) : 0))
		s->heard_us = s->media_us = s->w->now_us();
	s->heard_us = MU_MAX(s->heard_us, MU_MAX(stats->last_check_us, stats->last_rtcp_us));
	free(s->stats);
	s->stats = stats_copy(stats);
}

static const struct mu_transport_events events = { .state = on_state, .stats = on_stats };

/* --- made --- */

static void remember_for_restart(struct session *s, const struct plan *p)
{
	const struct mu_sdp_media *tagged = &p->offer.media[p->tagged];
	GString *bundle = g_string_new("");
	bool first = true;

	memcpy(s->remote_ufrag, tagged->ufrag, sizeof(s->remote_ufrag));
	memcpy(s->remote_pwd, tagged->pwd, sizeof(s->remote_pwd));
	for (unsigned i = 0; i < p->offer.n_media; i++) {
		const struct mu_sdp_media *m = &p->offer.media[i];

		if (!p->answer.sections[i].accepted)
			continue;
		if (p->offer.n_bundle > 0)
			g_string_append_printf(bundle, " %s", m->mid);
		if (first) {
			memcpy(s->mid, m->mid, sizeof(s->mid));
			memcpy(s->type, m->type, sizeof(s->type));
		}
		first = false;
	}
	s->bundle = g_string_free(bundle, FALSE);
}

static bool write_answer(struct session *s, struct plan *p, struct mu_web_reply *r)
{
	char location[sizeof("/session/") + SESSION_ID_LEN];

	p->answer.ufrag = mu_transport_ufrag(s->t);
	p->answer.pwd = mu_transport_pwd(s->t);
	p->answer.fingerprint = mu_identity_fingerprint(mu_media_identity(s->w->o.media));
	candidates_gather(s->w, s->worker, &p->answer.candidates);
	snprintf(location, sizeof(location), "/session/%s", s->id);
	r->body = sdp_answer_write(&p->answer);
	r->location = strdup(location);
	if (!r->body || !r->location || !ice_servers_link(&s->w->o.ice, s->token.subject, r))
		return false;
	r->status = 201;
	r->type = "application/sdp";
	snprintf(r->etag, sizeof(r->etag), "%s", s->etag);
	return true;
}

struct session *session_new(struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who,
	struct mu_endpoint *ep, unsigned worker)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->w = w;
	s->kind = kind;
	s->token = *who;
	s->ep = ep;
	s->worker = worker;
	s->heard_us = s->media_us = w->now_us();
	s->since_wall_us = mu_clock_wall_us();
	mu_random_text(s->id, SESSION_ID_LEN);
	session_new_etag(s);
	mu_list_init(&s->link);
	return s;
}

void session_insert(struct session *s)
{
	s->number = ++s->w->last_number;
	mu_list_append(&s->w->sessions, &s->link);
	s->w->n_sessions++;
	g_hash_table_insert(s->w->by_id, s->id, s);
	count(s, 1);
}

struct session *session_open(struct mu_webrtc *w, enum session_kind kind, const struct mu_token *who,
	struct mu_endpoint *ep, unsigned worker, struct plan *p, struct mu_web_reply *r)
{
	struct session *s = session_new(w, kind, who, ep, worker);
	int err = -ENOMEM;

	if (s) {
		p->spec.id = s->id;
		p->spec.worker = worker;
		err = mu_transport_new(w->o.media, &p->spec, &events, s, &s->t);
	}
	if (err < 0) {
		mu_err(TOPIC, ep->id, "cannot make a transport: %s; the client was told to try again",
			g_strerror(-err));
		free(s);
		r->retry_after_s = 1;
		reply_refuse(r, 503, "no transport for %s could be made: try again", ep->id);
		return NULL;
	}
	mu_directory_hold(ep);
	remember_for_restart(s, p);
	session_insert(s);
	if (!write_answer(s, p, r)) {
		g_hash_table_remove(w->by_id, s->id);
		count(s, -1);
		session_free(s);
		mu_web_reply_done(r);
		reply_refuse(r, 503, "out of memory for the answer: try again later");
		return NULL;
	}
	return s;
}

/* --- the table --- */

static struct mu_addr *copy_addrs(const struct mu_addr *a, unsigned n)
{
	return n > 0 ? g_memdup2(a, n * sizeof(*a)) : NULL;
}

static void set_options(struct mu_webrtc *w, const struct mu_webrtc_options *o)
{
	struct mu_addr *advertise = copy_addrs(o->advertise, o->n_advertise);
	struct mu_addr *listen = copy_addrs(o->listen, o->n_listen);
	struct mu_addr *tcp = copy_addrs(o->tcp, o->n_tcp);

	struct mu_ice_servers ice;

	ice_servers_copy(&ice, &o->ice);
	g_free((void *)(uintptr_t)w->o.advertise);
	g_free((void *)(uintptr_t)w->o.listen);
	g_free((void *)(uintptr_t)w->o.tcp);
	ice_servers_done(&w->o.ice);
	w->o = *o;
	w->o.advertise = advertise;
	w->o.listen = listen;
	w->o.tcp = tcp;
	w->o.ice = ice;
}

static void on_event(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct mu_webrtc *w = MU_CONTAINER_OF(l, struct mu_webrtc, listener);
	const char *id = json_string_value(json_object_get(ev->data, "id"));

	if (g_str_has_prefix(ev->kind, "endpoint.") && id)
		consoles_endpoint_changed(w, id);
	else
		rooms_event(w, ev);
}

int mu_webrtc_new(const struct mu_webrtc_options *o, struct mu_webrtc **ret)
{
	struct mu_webrtc *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	set_options(w, o);
	mu_list_init(&w->sessions);
	w->by_id = g_hash_table_new(g_str_hash, g_str_equal);
	w->by_token = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	w->holds = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	mu_list_init(&w->consoles);
	w->rooms = g_hash_table_new(g_str_hash, g_str_equal);
	w->listener.fn = on_event;
	mu_directory_listen(o->directory, &w->listener);
	w->timer_add = g_timeout_add;
	w->timer_remove = g_source_remove;
	w->now_us = mu_clock_us;
	*ret = w;
	return 0;
}

void mu_webrtc_free(struct mu_webrtc *w)
{
	if (!w)
		return;
	whip_stop_holds(w);
	mu_directory_unlisten(w->o.directory, &w->listener);
	mu_list_for_each_safe (it, next, &w->sessions)
		session_free(MU_CONTAINER_OF(it, struct session, link));
	g_hash_table_unref(w->by_id);
	g_hash_table_unref(w->by_token);
	g_hash_table_unref(w->holds);
	rooms_free(w);
	if (w->settle_timer)
		w->timer_remove(w->settle_timer);
	free(w->host);
	g_free((void *)(uintptr_t)w->o.advertise);
	g_free((void *)(uintptr_t)w->o.listen);
	ice_servers_done(&w->o.ice);
	g_free((void *)(uintptr_t)w->o.tcp);
	free(w);
}

void mu_webrtc_reconfigure(struct mu_webrtc *w, const struct mu_webrtc_options *o)
{
	struct mu_webrtc_options n = *o;

	n.media = w->o.media;
	n.directory = w->o.directory;
	n.conferences = w->o.conferences;
	n.control = w->o.control;
	set_options(w, &n);
}

const struct mu_token *mu_session_token(struct mu_webrtc *w, const char *id)
{
	struct session *s = session_find(w, id);

	return s ? &s->token : NULL;
}

const char *mu_session_endpoint(struct mu_webrtc *w, const char *id)
{
	struct session *s = session_find(w, id);

	return s ? s->ep->id : NULL;
}

void mu_webrtc_each_session(struct mu_webrtc *w, uint64_t after,
	bool (*fn)(void *arg, const struct mu_session_info *s), void *arg)
{
	mu_list_for_each (it, &w->sessions) {
		const struct session *s = MU_CONTAINER_OF(it, struct session, link);
		struct mu_session_info info = { .number = s->number,
			.endpoint = s->ep->id,
			.publishes = s->kind == SESSION_WHIP,
			.stats = s->stats,
			.session = s };

		if (s->console)
			console_info(s->console, &info);

		if (!s->ended && s->number > after && !fn(arg, &info))
			return;
	}
}

void mu_session_delete(struct mu_webrtc *w, const char *id, struct mu_web_reply *ret)
{
	struct session *s = session_find(w, id);

	if (!s) {
		reply_refuse(ret, 404, "session %.64s is not here: it has ended or never was", id);
		return;
	}
	session_end(s, SESSION_MEANT, "deleted");
	ret->status = 200;
}

unsigned mu_webrtc_end_token(struct mu_webrtc *w, const char *token_id, const char *why)
{
	unsigned n = 0;

	mu_list_for_each_safe (it, next, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->ended || strcmp(s->token.id, token_id) != 0)
			continue;
		session_end(s, SESSION_MEANT, why);
		n++;
	}
	return n;
}

unsigned mu_webrtc_end_unknown_keys(struct mu_webrtc *w, const struct mu_keyring *k, const char *why)
{
	unsigned n = 0;

	mu_list_for_each_safe (it, next, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (s->ended || mu_keyring_knows(k, &s->token))
			continue;
		session_end(s, SESSION_LOST, why);
		n++;
	}
	return n;
}

void mu_webrtc_expire(struct mu_webrtc *w, int64_t now_s)
{
	mu_list_for_each_safe (it, next, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (now_s >= s->token.expires_s)
			session_end(s, SESSION_MEANT, "its token has expired");
	}
}

void mu_webrtc_drain(struct mu_webrtc *w)
{
	if (w->draining)
		return;
	w->draining = true;
	mu_directory_tell(
		w->o.directory, "gateway.draining", json_pack("{sI}", "sessions", (json_int_t)w->n_sessions));
}

bool mu_webrtc_draining(const struct mu_webrtc *w)
{
	return w->draining;
}

void mu_webrtc_close_all(struct mu_webrtc *w, const char *why)
{
	w->closing = true;
	mu_list_for_each_safe (it, next, &w->sessions)
		session_end(MU_CONTAINER_OF(it, struct session, link), SESSION_MEANT, why);
}

unsigned mu_webrtc_sessions(const struct mu_webrtc *w)
{
	return w->n_sessions;
}

void mu_webrtc_refresh_stats(struct mu_webrtc *w)
{
	mu_list_for_each (it, &w->sessions) {
		struct session *s = MU_CONTAINER_OF(it, struct session, link);

		if (!s->ended && s->console)
			console_each_second(s->console);
		else if (!s->ended)
			mu_transport_ask_stats(s->t);
	}
}
