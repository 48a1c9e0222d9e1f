/* Janus' videoroom by its REST API, beside which Muster is measured: room 1 must exist. Each peer has a
 * session and a handle of its own; events come by long poll. A publisher offers; a viewer answers Janus'
 * offer. */
#include "load.h"

#include <stdlib.h>

#define ROOM    1
#define FEED(n) (1000 + (int)(n)) /* the publisher's id in the room */

struct session {
	long long session, handle;
	bool answered; /* a viewer's answer has gone out */
};

static void poll_event(struct peer *p);

static void post(struct peer *p, json_t *body, http_fn *fn)
{
	struct session *s = p->signal;
	char path[128], transaction[13];
	char *text;

	mu_random_text(transaction, sizeof(transaction) - 1);
	json_object_set_new(body, "transaction", json_string(transaction));
	if (s->handle)
		snprintf(path, sizeof(path), "/%lld/%lld", s->session, s->handle);
	else if (s->session)
		snprintf(path, sizeof(path), "/%lld", s->session);
	else
		path[0] = 0;
	text = json_dumps(body, JSON_COMPACT);
	http_send(p, "POST", p->load->o.url, path, "application/json", text, fn);
	free(text);
	json_decref(body);
}

/* @return the reply's JSON or NULL with the peer failed */
static json_t *read_reply(struct peer *p, const struct http_reply *r)
{
	json_t *j = r->status == 200 ? json_loads(r->body, 0, NULL) : NULL;
	const char *what = json_string_value(json_object_get(j, "janus"));

	if (j && what && strcmp(what, "error"))
		return j;
	peer_fail(p, "Janus answered %d: %.100s", r->status, r->body);
	json_decref(j);
	return NULL;
}

static long long read_id(json_t *j)
{
	return json_integer_value(json_object_get(json_object_get(j, "data"), "id"));
}

static void on_message_taken(struct peer *p, const struct http_reply *r)
{
	json_t *j;

	if (p->state != PEER_SIGNAL)
		return;
	j = read_reply(p, r);
	json_decref(j);
}

static void send_answer(struct peer *p, const char *offer)
{
	struct session *s = p->signal;
	char *answer = sdp_answer(p, offer);

	s->answered = true;
	post(p,
		json_pack("{s:s, s:{s:s}, s:{s:s, s:s}}", "janus", "message", "body", "request", "start",
			"jsep", "type", "answer", "sdp", answer),
		on_message_taken);
	free(answer);
	peer_remote(p, offer);
}

static void on_event(struct peer *p, const struct http_reply *r)
{
	struct session *s = p->signal;
	json_t *j, *data;
	const char *sdp, *error;

	if (p->state != PEER_SIGNAL)
		return;
	j = read_reply(p, r);
	if (!j)
		return;
	data = json_object_get(json_object_get(j, "plugindata"), "data");
	error = json_string_value(json_object_get(data, "error"));
	sdp = json_string_value(json_object_get(json_object_get(j, "jsep"), "sdp"));
	if (error)
		peer_fail(p, "videoroom: %.100s", error);
	else if (sdp && p->publishes)
		peer_remote(p, sdp);
	else if (sdp && !s->answered)
		send_answer(p, sdp);
	else
		poll_event(p);
	json_decref(j);
}

static void poll_event(struct peer *p)
{
	struct session *s = p->signal;
	char path[64];

	snprintf(path, sizeof(path), "/%lld?maxev=1", s->session);
	http_send(p, "GET", p->load->o.url, path, NULL, NULL, on_event);
}

static void join(struct peer *p)
{
	if (p->publishes) {
		/* active, for Janus answers "actpass" as the DTLS client and would then pick what its own
		 * list has first */
		char *offer = sdp_offer(p, true);

		post(p,
			json_pack("{s:s, s:{s:s, s:s, s:i, s:i}, s:{s:s, s:s}}", "janus", "message", "body",
				"request", "joinandconfigure", "ptype", "publisher", "room", ROOM, "id",
				FEED(p->stream), "jsep", "type", "offer", "sdp", offer),
			on_message_taken);
		free(offer);
	} else {
		post(p,
			json_pack("{s:s, s:{s:s, s:s, s:i, s:[{s:i}]}}", "janus", "message", "body",
				"request", "join", "ptype", "subscriber", "room", ROOM, "streams", "feed",
				FEED(p->stream)),
			on_message_taken);
	}
	poll_event(p);
}

static void on_attached(struct peer *p, const struct http_reply *r)
{
	struct session *s = p->signal;
	json_t *j = p->state == PEER_SIGNAL ? read_reply(p, r) : NULL;

	if (!j)
		return;
	s->handle = read_id(j);
	json_decref(j);
	join(p);
}

static void on_created(struct peer *p, const struct http_reply *r)
{
	struct session *s = p->signal;
	json_t *j = p->state == PEER_SIGNAL ? read_reply(p, r) : NULL;

	if (!j)
		return;
	s->session = read_id(j);
	json_decref(j);
	post(p, json_pack("{s:s, s:s}", "janus", "attach", "plugin", "janus.plugin.videoroom"), on_attached);
}

static void start(struct peer *p)
{
	p->signal = calloc(1, sizeof(struct session));
	if (!p->signal) {
		peer_fail(p, "no memory");
		return;
	}
	post(p, json_pack("{s:s}", "janus", "create"), on_created);
}

static void on_destroyed(struct peer *p, const struct http_reply *r)
{
	if (p->state != PEER_ENDING)
		return;
	if (r->status == 200)
		peer_gone(p);
	else
		peer_fail(p, "destroy answered %d", r->status);
}

static void stop(struct peer *p)
{
	struct session *s = p->signal;

	s->handle = 0;
	post(p, json_pack("{s:s}", "janus", "destroy"), on_destroyed);
}

const struct signalling signal_janus = { start, stop, NULL };
