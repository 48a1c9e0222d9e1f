/* The media plane of the process: workers with their planes, the identity, the DTLS settings. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "transport/transport_internal.h"

static struct mu_relay *relay_of_worker(const struct mu_worker *w)
{
	return plane_of(w)->relay;
}

static void plane_free(struct plane *p)
{
	mu_relay_free(p->relay);
	mu_srtp_engine_free(p->engine);
	for (unsigned i = 0; i < MU_NET_LISTEN_MAX; i++)
		mu_addr_map_done(&p->by_addr[i]);
	free(p->maps);
	free(p);
}

static int plane_start(struct mu_worker *w, void *arg)
{
	struct mu_media *m = arg;
	struct plane *p = aligned_alloc(MU_CACHELINE, (sizeof(*p) + MU_CACHELINE - 1) / MU_CACHELINE * MU_CACHELINE);
	struct mu_error e;
	int err;

	if (!p)
		return -ENOMEM;
	memset(p, 0, sizeof(*p));
	p->worker = w;
	p->media = m;
	p->publisher_bps = m->publisher_bps;
	mu_list_init(&p->transports);
	mu_list_init(&p->dirty);
	for (unsigned i = 0; i < UFRAG_BUCKETS; i++)
		mu_list_init(&p->by_ufrag[i]);
	err = mu_srtp_engine_new(m->engine, &p->engine, &e);
	if (err < 0)
		mu_err(TOPIC, NULL, "SRTP engine %s: %s", m->engine, e.text);
	else
		err = mu_relay_new(w, m->packets_max, egress_drain, &p->relay);
	if (err < 0) {
		plane_free(p);
		return err;
	}
	mu_relay_set_gather(p->relay, m->gather_us);
	mu_worker_set_user(w, p);
	m->planes[mu_worker_index(w)] = p;
	return 0;
}

static void plane_stop(struct mu_worker *w)
{
	struct plane *p = plane_of(w);
	int64_t now = mu_clock_us();

	mu_list_for_each_safe(it, next, &p->transports)
		session_close(MU_CONTAINER_OF(it, struct mu_transport, link), "the gateway stops", now);
	egress_drain(w, now);
	mu_worker_flush(w);
}

static int64_t plane_flush(struct mu_worker *w, int64_t now_us)
{
	struct plane *p = plane_of(w);
	int64_t next = mu_relay_flush(p->relay, now_us);

	if (!mu_list_empty(&p->dirty)) /* what no burst brought */
		egress_drain(w, now_us);
	return next;
}

static void plane_handed(struct mu_worker *w, const struct mu_hand *h, int64_t now_us)
{
	mu_relay_handed(plane_of(w)->relay, h, now_us);
}

static const struct mu_net_ops ops = {
	.start = plane_start,
	.datagrams = demux,
	.flush = plane_flush,
	.handed = plane_handed,
	.stop = plane_stop,
	.discard = mu_relay_discard,
};

int mu_media_new(const struct mu_transport_options *o, struct mu_media **ret, struct mu_error *e)
{
	struct mu_media *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return mu_error_set(e, -ENOMEM, "out of memory for the media plane");
	m->control = o->control;
	m->gather_us = o->gather_us;
	m->publisher_bps = o->publisher_bps;
	m->packets_max = o->packets_max;
	snprintf(m->engine, sizeof(m->engine), "%s", o->srtp_engine);
	mu_relay_bind(relay_of_worker);
	err = mu_identity_new(&m->identity);
	if (err < 0)
		mu_error_set(e, err, "cannot make a DTLS certificate: %s", strerror(-err));
	else
		err = mu_dtls_ctx_new(m->identity, o->profiles, &m->dtls, e);
	if (err == 0)
		err = mu_net_new(&o->net, &ops, m, &m->net, e);
	if (err < 0) {
		mu_media_free(m);
		return err;
	}
	snprintf(m->engine_used, sizeof(m->engine_used), "%s",
		mu_srtp_engine_name(plane_of(mu_net_worker(m->net, 0))->engine));
	*ret = m;
	return 0;
}

void mu_media_free(struct mu_media *m)
{
	if (!m)
		return;
	mu_net_free(m->net); /* joins the workers; closes what is still open */
	for (unsigned i = 0; i < MU_WORKERS_MAX; i++) {
		if (m->planes[i])
			plane_free(m->planes[i]);
	}
	mu_inbox_run(m->control);
	mu_dtls_ctx_free(m->dtls);
	mu_identity_free(m->identity);
	free(m);
}

struct mu_net *mu_media_net(struct mu_media *m)
{
	return m->net;
}

const struct mu_identity *mu_media_identity(const struct mu_media *m)
{
	return m->identity;
}

const char *mu_media_engine(const struct mu_media *m)
{
	return m->engine_used;
}

struct limit_msg {
	struct mu_msg msg;
	struct plane *plane;
	uint64_t publisher_bps;
};

static void limit_msg(struct mu_msg *msg)
{
	struct limit_msg *m = MU_CONTAINER_OF(msg, struct limit_msg, msg);

	m->plane->publisher_bps = m->publisher_bps;
	free(m);
}

void mu_media_set_publisher_bps(struct mu_media *m, uint64_t bps)
{
	bool told = true;

	if (bps == m->publisher_bps)
		return;
	for (unsigned i = 0; i < mu_net_workers(m->net); i++) {
		struct mu_worker *w = mu_net_worker(m->net, i);
		struct limit_msg *msg = calloc(1, sizeof(*msg));

		if (!msg) {
			mu_err(TOPIC, NULL, "out of memory: worker %u keeps the publishers' limit until the next reload", i);
			told = false;
			continue;
		}
		msg->msg.fn = limit_msg;
		msg->plane = plane_of(w);
		msg->publisher_bps = bps;
		mu_worker_post(w, &msg->msg);
	}
	if (told)
		m->publisher_bps = bps;
}

unsigned mu_media_pick_worker(struct mu_media *m)
{
	unsigned best = 0;

	for (unsigned i = 1; i < mu_net_workers(m->net); i++) {
		if (m->sessions[i] < m->sessions[best])
			best = i;
	}
	return best;
}
