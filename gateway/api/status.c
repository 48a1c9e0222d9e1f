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

struct census {
	struct mu_req *r;
	json_t *list; /* NULL: only count */
	unsigned n[3], viewers;
};

static bool visit(void *arg, struct mu_endpoint *ep)
{
	struct census *c = arg;

	if (!mu_may(c->r, ep->id))
		return true;
	if ((unsigned)ep->state < MU_ARRAY_LEN(c->n))
		c->n[ep->state]++;
	c->viewers += ep->viewers;
	if (c->list)
		json_array_append_new(c->list, mu_endpoint_json(ep));
	return true;
}

void mu_on_endpoints(struct mu_req *r)
{
	struct census c = { .r = r, .list = json_array() };

	mu_directory_each(r->api->directory, visit, &c);
	mu_reply_json(r, 200, json_pack("{ss so}", "site", r->api->site, "endpoints", c.list));
}

void mu_on_endpoint(struct mu_req *r)
{
	char id[MU_ID_MAX];
	struct mu_endpoint *ep = mu_directory_find(r->api->directory, mu_req_endpoint(r, id));
	json_t *o;

	if (!ep) {
		mu_reply_problem(r, 404, "No such endpoint",
			"Endpoint %s is not known here: it was not enrolled and never published.", id);
		return;
	}
	o = mu_endpoint_json(ep);
	if (mu_has_scope(&r->who, MU_SCOPE_OPERATE))
		json_object_set_new(o, "sessions", mu_webrtc_sessions_json(r->api->webrtc, id));
	mu_reply_json(r, 200, o);
}

void mu_on_status(struct mu_req *r)
{
	struct mu_api *a = r->api;
	struct census c = { .r = r };
	struct mu_net *net = mu_media_net(a->media);

	mu_directory_each(a->directory, visit, &c);
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
