/* What is there: the gateway, its endpoints. */
#include "api/private.h"

void mu_on_health(struct mu_req *r)
{
	struct mu_api *a = r->api;

	if (mu_webrtc_draining(a->webrtc))
		mu_reply_problem(
			r, 503, "Draining", "The gateway is about to stop and takes no new sessions.");
	else if (a->workers_answer && !a->workers_answer(a->workers_arg))
		mu_reply_problem(r, 503, "A media worker hangs",
			"A media worker has not answered for some seconds: media may stand still.");
	else
		mu_reply_text(r, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

struct page {
	struct mu_req *r;
	const char *after;
	unsigned limit;
	json_t *list;
	const char *last; /* id */
	bool more;
};

static bool add_to_page(void *arg, struct mu_endpoint *ep)
{
	struct page *p = arg;

	if (strcmp(ep->id, p->after) <= 0 || !mu_may(p->r, ep->id))
		return true;
	p->more = json_array_size(p->list) == p->limit;
	if (p->more)
		return false;
	json_array_append_new(p->list, mu_endpoint_json(ep));
	p->last = ep->id;
	return true;
}

void mu_on_endpoints(struct mu_req *r)
{
	char after[MU_ID_MAX] = "";
	struct page p = { .r = r, .after = after };
	int64_t limit = MU_PAGE_MAX;

	if (!mu_req_number(r, "limit", 1, MU_PAGE_MAX, &limit) ||
		!mu_req_text(r, "after", after, sizeof(after))) {
		mu_reply_problem(r, 400, "Bad query", "\"after\" is an endpoint's id, \"limit\" 1 to %d.",
			MU_PAGE_MAX);
		return;
	}
	p.limit = (unsigned)limit;
	p.list = json_array();
	mu_directory_each(r->api->directory, add_to_page, &p);
	mu_reply_json(r, 200,
		json_pack("{ss so ss?}", "site", r->api->site, "endpoints", p.list, "next",
			p.more ? p.last : NULL));
}

void mu_on_endpoint(struct mu_req *r)
{
	char id[MU_ID_MAX];
	struct mu_endpoint *ep = mu_directory_find(r->api->directory, mu_req_endpoint(r, id));
	json_t *o, *next;

	if (!ep) {
		mu_reply_problem(r, 404, "No such endpoint",
			"Endpoint %s is not known here: it has not published for a day, or never.", id);
		return;
	}
	o = mu_endpoint_json(ep);
	if (mu_has_scope(&r->who, MU_SCOPE_OPERATE)) {
		json_object_set_new(o, "sessions", mu_sessions_page(r, id, 0, MU_PAGE_SESSIONS, &next));
		json_object_set_new(o, "sessions_next", next);
	}
	mu_reply_json(r, 200, o);
}

struct census {
	struct mu_req *r;
	unsigned n[3], viewers;
};

static bool count(void *arg, struct mu_endpoint *ep)
{
	struct census *c = arg;

	if (!mu_may(c->r, ep->id))
		return true;
	if ((unsigned)ep->state < MU_ARRAY_LEN(c->n))
		c->n[ep->state]++;
	c->viewers += ep->viewers;
	return true;
}

void mu_on_status(struct mu_req *r)
{
	struct mu_api *a = r->api;
	struct census c = { .r = r };
	struct mu_net *net = mu_media_net(a->media);

	mu_directory_each(a->directory, count, &c);
	mu_reply_json(r, 200,
		json_pack("{ss ss sI ss si si s{si si si} si s{si si si}}", "site", a->site, "version",
			MU_VERSION, "uptime_s",
			(json_int_t)((mu_clock_wall_us() - a->start_wall_us) / 1000000), "engine",
			mu_media_engine(a->media), "workers", (int)mu_net_workers(net), "sessions",
			(int)mu_webrtc_sessions(a->webrtc), "endpoints", "idle", (int)c.n[MU_ENDPOINT_IDLE],
			"live", (int)c.n[MU_ENDPOINT_LIVE], "lost", (int)c.n[MU_ENDPOINT_LOST], "viewers",
			(int)c.viewers, "http", "connections", (int)a->conns.n_open, "quiet",
			(int)a->conns.n_quiet, "event_readers", (int)a->n_readers));
}
