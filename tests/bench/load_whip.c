/* Muster: WHIP to publish, WHEP to watch (RFC 9725): one POST with the offer, one DELETE at the end. */
#include "load.h"

#include <stdlib.h>

struct session {
	char location[512];
};

static void on_answer(struct peer *p, const struct http_reply *r)
{
	struct session *s = p->signal;

	if (p->state != PEER_SIGNAL)
		return;
	if (r->status != 201) {
		peer_fail(p, "POST answered %d: %.100s", r->status, r->body);
		return;
	}
	snprintf(s->location, sizeof(s->location), "%s", r->location);
	peer_remote(p, r->body);
}

static void start(struct peer *p)
{
	const struct load_options *o = &p->load->o;
	char path[256];
	char *offer;

	p->signal = calloc(1, sizeof(struct session));
	offer = sdp_offer(p, false);
	if (!p->signal || !offer) {
		free(offer);
		peer_fail(p, "no memory");
		return;
	}
	snprintf(path, sizeof(path), "/%s/%s/%s", p->publishes ? "whip" : "whep", o->site, p->name);
	http_send(p, "POST", o->url, path, "application/sdp", offer, on_answer);
	free(offer);
}

static void on_deleted(struct peer *p, const struct http_reply *r)
{
	if (p->state != PEER_ENDING)
		return;
	if (r->status == 200 || r->status == 204)
		peer_gone(p);
	else
		peer_fail(p, "DELETE answered %d: %.100s", r->status, r->body);
}

static void stop(struct peer *p)
{
	struct session *s = p->signal;

	http_send(p, "DELETE", p->load->o.url, s->location, NULL, NULL, on_deleted);
}

const struct signalling signal_whip = { start, stop, NULL };
