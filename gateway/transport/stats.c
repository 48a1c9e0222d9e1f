/* Figures of a transport and of the media plane, copied out by message. */
#include <stdio.h>
#include <stdlib.h>

#include "transport/fit.h"

static const int64_t bucket_us[MU_HIST_BUCKETS - 1] = { 50, 100, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000 };

void stats_queue(struct plane *p, int64_t us)
{
	unsigned i = 0;

	while (i < MU_HIST_BUCKETS - 1 && us > bucket_us[i])
		i++;
	p->stats.queue_us_bucket[i]++;
	p->stats.queue_us_sum += (uint64_t)MU_MAX(us, 0);
	p->stats.queue_count++;
}

static void fill_in(const struct in_stream *s, struct mu_stream_stats *r)
{
	struct mu_track_stats ts = { 0 };

	if (s->spec.track)
		mu_track_stats(s->spec.track, s->t->worker, &ts);
	snprintf(r->mid, sizeof(r->mid), "%s", s->spec.mid);
	snprintf(r->rid, sizeof(r->rid), "%s", s->spec.rid);
	r->kind = mu_codec_kind(s->spec.formats[0].codec);
	r->codec = s->codec;
	r->ssrc = s->ssrc;
	r->packets = s->rx.packets;
	r->bytes = s->rx.bytes;
	r->lost = s->rx.started ? mu_rtp_rx_lost(&s->rx) : 0;
	r->nacks = s->nacks;
	r->repaired = s->repaired;
	r->key_requests = s->key_requests;
	r->key_frames = ts.key_frames;
	r->dropped = s->dropped;
	r->jitter_us = s->rx.started ? mu_rtp_rx_jitter_us(&s->rx) : 0;
	r->rtt_us = (uint32_t)s->t->rtt.smoothed_us;
	r->remote_fraction_lost = s->rx.fraction_lost;
}

static void fill_out(const struct out_stream *o, struct mu_stream_stats *r)
{
	uint32_t clock = mu_codec_clock(o->codec);

	snprintf(r->mid, sizeof(r->mid), "%s", o->spec.mid);
	r->out = true;
	r->kind = (enum mu_kind)o->kind;
	r->codec = o->codec;
	r->ssrc = o->spec.ssrc;
	r->packets = o->packets;
	r->bytes = o->bytes;
	r->lost = o->remote_lost > 0 ? (uint64_t)o->remote_lost : 0;
	r->nacks = o->nacks;
	r->retransmitted = o->retransmitted;
	r->key_requests = o->key_requests;
	r->dropped = o->dropped;
	r->jitter_us = clock ? (uint32_t)((uint64_t)o->remote_jitter * 1000000 / clock) : 0;
	r->rtt_us = o->rtt_us >= 0 ? (uint32_t)o->rtt_us : 0;
	r->remote_fraction_lost = o->remote_fraction_lost;
	if (o->fit)
		fit_stats(o, r);
}

const char *mu_choice_name(enum mu_choice c)
{
	static const char *const names[] = {
		[MU_CHOICE_WHOLE] = "whole",
		[MU_CHOICE_TILE] = "tile",
		[MU_CHOICE_LINK] = "link",
		[MU_CHOICE_PAUSED] = "paused",
		[MU_CHOICE_WAITS] = "waits",
		[MU_CHOICE_RESTS] = "rests",
	};

	return (size_t)c < MU_ARRAY_LEN(names) ? names[c] : "";
}

struct mu_transport_stats *stats_take(const struct mu_transport *t)
{
	unsigned n = t->n_in + t->n_out;
	struct mu_transport_stats *ret = calloc(1, sizeof(*ret) + n * sizeof(ret->streams[0]));
	struct mu_stream_stats *streams = (struct mu_stream_stats *)(ret + 1);

	if (!ret)
		return NULL;
	ret->streams = streams;
	ret->profile = t->profile;
	ret->remote = t->path.remote;
	ret->connected_us = t->connected_us;
	ret->last_check_us = t->ice.last_check_us;
	ret->bad_auth = t->bad_auth;
	ret->replayed = t->replayed;
	ret->malformed = t->malformed;
	ret->over_limit = t->over_limit;
	ret->unknown_ssrc = t->unknown_ssrc;
	ret->last_rtcp_us = t->last_rtcp_us;
	for (unsigned i = 0; i < t->n_in; i++)
		fill_in(t->in[i], &streams[ret->n_streams++]);
	for (unsigned i = 0; i < t->n_out; i++)
		fill_out(t->out[i], &streams[ret->n_streams++]);
	return ret;
}

/* --- all workers ------------------------------------------------------------------------------------------------------------ */

/* One message visits the workers one after the other and comes home to the control thread. */
struct round {
	struct mu_msg msg;
	struct mu_media *media;
	void (*done)(void *arg, const struct mu_media_stats *s, unsigned n);
	void *arg;
	unsigned at;
	struct mu_media_stats s[];
};

static void round_home(struct mu_msg *m)
{
	struct round *r = MU_CONTAINER_OF(m, struct round, msg);

	r->done(r->arg, r->s, r->at);
	free(r);
}

static void round_visit(struct mu_msg *m)
{
	struct round *r = MU_CONTAINER_OF(m, struct round, msg);
	struct mu_worker *w = mu_net_worker(r->media->net, r->at);
	struct plane *p = plane_of(w);
	size_t packets, bytes;

	r->s[r->at] = p->stats;
	r->s[r->at].net = *mu_worker_stats(w);
	mu_slab_usage(mu_relay_slab(p->relay), &packets, &bytes);
	r->s[r->at].packets_held = packets;
	r->s[r->at].slab_bytes = bytes;
	r->s[r->at].transports = p->n_transports;
	r->at++;
	if (r->at < mu_net_workers(r->media->net)) {
		mu_worker_post(mu_net_worker(r->media->net, r->at), &r->msg);
	} else {
		r->msg.fn = round_home;
		mu_inbox_post(r->media->control, &r->msg);
	}
}

void mu_media_ask_stats(struct mu_media *m, void (*done)(void *arg, const struct mu_media_stats *s, unsigned n), void *arg)
{
	unsigned n = mu_net_workers(m->net);
	struct round *r = calloc(1, sizeof(*r) + n * sizeof(r->s[0]));

	if (!r) {
		mu_err(TOPIC, NULL, "out of memory for statistics");
		return;
	}
	r->msg.fn = round_visit;
	r->media = m;
	r->done = done;
	r->arg = arg;
	mu_worker_post(mu_net_worker(m->net, 0), &r->msg);
}
