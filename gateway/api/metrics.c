/* Prometheus text format 0.0.4. Names: muster_<what>_<unit>, _total for counters; one label set a worker. */
#include "api/private.h"

typedef double value_fn(const struct mu_media_stats *s);

void mu_metric_head(GString *t, const char *name, const char *type, const char *help)
{
	g_string_append_printf(t, "# HELP muster_%s %s\n# TYPE muster_%s %s\n", name, help, name, type);
}

void mu_metric_value(GString *t, double v)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	if (v == (double)(int64_t)v)
		g_string_append_printf(t, " %lld\n", (long long)v);
	else
		g_string_append_printf(t, " %s\n", g_ascii_formatd(text, sizeof(text), "%.9g", v));
}

void mu_metric_label(GString *t, const char *name, const char *value)
{
	g_string_append_printf(t, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			g_string_append_c(t, '\\');
		g_string_append_c(t, *value == '\n' ? ' ' : *value);
	}
	g_string_append_c(t, '"');
}

static void single(GString *t, const char *name, const char *type, const char *help, double v)
{
	mu_metric_head(t, name, type, help);
	g_string_append_printf(t, "muster_%s", name);
	mu_metric_value(t, v);
}

/* --- figures of a worker: one row each --- */

#define FIELD(fn, expr)                                  \
	static double fn(const struct mu_media_stats *s) \
	{                                                \
		return (double)(expr);                   \
	}
FIELD(rx_datagrams, s->net.rx_datagrams)
FIELD(rx_bytes, s->net.rx_bytes)
FIELD(rx_calls, s->net.rx_calls)
FIELD(tx_datagrams, s->net.tx_datagrams)
FIELD(tx_bytes, s->net.tx_bytes)
FIELD(tx_messages, s->net.tx_messages)
FIELD(tx_calls, s->net.tx_calls)
FIELD(tcp_open, s->net.tcp_open)
FIELD(tcp_accepted, s->net.tcp_accepted)
FIELD(handed_out, s->net.handed_out)
FIELD(handed_in, s->net.handed_in)
FIELD(busy, (double)s->net.busy_us / 1e6)
FIELD(turns, s->net.turns)
FIELD(load_of, s->net.load)
FIELD(stun_in, s->stun_in)
FIELD(dtls_in, s->dtls_in)
FIELD(rtp_in, s->rtp_in)
FIELD(rtcp_in, s->rtcp_in)
FIELD(rtp_out, s->rtp_out)
FIELD(retransmitted, s->retransmitted)
FIELD(nacks_in, s->nacks_in)
FIELD(nacks_out, s->nacks_out)
FIELD(key_in, s->key_requests_in)
FIELD(key_out, s->key_requests_out)
FIELD(held, s->packets_held)
FIELD(slab, s->slab_bytes)
FIELD(transports, s->transports)
#undef FIELD

static const struct {
	const char *name, *type, *help;
	value_fn *fn;
} per_worker[] = {
	{ "received_datagrams_total", "counter", "Datagrams received, by UDP or as a frame on TCP.", rx_datagrams },
	{ "received_bytes_total", "counter", "Their payload bytes.", rx_bytes },
	{ "receive_calls_total", "counter", "System calls that received.", rx_calls },
	{ "sent_datagrams_total", "counter", "Datagrams sent, by UDP or as a frame on TCP.", tx_datagrams },
	{ "sent_bytes_total", "counter", "Their payload bytes.", tx_bytes },
	{ "sent_messages_total", "counter", "Messages sent, each of one or more datagrams.", tx_messages },
	{ "send_calls_total", "counter", "System calls that sent.", tx_calls },
	{ "tcp_connections", "gauge", "Open TCP connections for media.", tcp_open },
	{ "tcp_connections_total", "counter", "TCP connections for media accepted.", tcp_accepted },
	{ "handed_out_total", "counter", "Packets handed to other workers.", handed_out },
	{ "handed_in_total", "counter", "Packets taken over from other workers.", handed_in },
	{ "worker_busy_seconds_total", "counter", "Time the worker spent awake.", busy },
	{ "worker_turns_total", "counter", "Turns of the worker's loop.", turns },
	{ "worker_load_ratio", "gauge", "Share of time spent awake, smoothed over some 100 ms.", load_of },
	{ "stun_received_total", "counter", "STUN messages received.", stun_in },
	{ "dtls_received_total", "counter", "DTLS datagrams received.", dtls_in },
	{ "rtp_received_total", "counter", "RTP packets received.", rtp_in },
	{ "rtcp_received_total", "counter", "RTCP packets received.", rtcp_in },
	{ "rtp_sent_total", "counter", "RTP packets sent.", rtp_out },
	{ "rtp_retransmitted_total", "counter", "RTP packets sent again on request.", retransmitted },
	{ "nacks_received_total", "counter", "Packets that viewers asked for again.", nacks_in },
	{ "nacks_sent_total", "counter", "Packets asked for again at publishers.", nacks_out },
	{ "key_requests_received_total", "counter", "Key frames that viewers asked for (PLI, FIR).", key_in },
	{ "key_requests_sent_total", "counter", "Key frames asked for at publishers (PLI, FIR).", key_out },
	{ "packets_held", "gauge", "Packets in the worker's store.", held },
	{ "packet_store_bytes", "gauge", "Bytes of the worker's store.", slab },
	{ "transports", "gauge", "Transports on the worker.", transports },
};

static void workers(GString *t, const struct mu_media_stats *s, unsigned n)
{
	for (size_t m = 0; m < MU_ARRAY_LEN(per_worker); m++) {
		mu_metric_head(t, per_worker[m].name, per_worker[m].type, per_worker[m].help);
		for (unsigned i = 0; i < n; i++) {
			g_string_append_printf(t, "muster_%s{worker=\"%u\"}", per_worker[m].name, i);
			mu_metric_value(t, per_worker[m].fn(&s[i]));
		}
	}
}

static void drops(GString *t, const struct mu_media_stats *s, unsigned n)
{
	mu_metric_head(
		t, "dropped_packets_total", "counter", "Packets that went no further, by where and why.");
	for (unsigned i = 0; i < n; i++) {
		const struct {
			const char *stage;
			uint64_t n;
		} row[] = {
			{ "socket_full", s[i].net.rx_dropped },
			{ "source_port_0", s[i].net.rx_refused },
			{ "unknown_address", s[i].unknown_address },
			{ "unknown_ssrc", s[i].unknown_ssrc },
			{ "no_consent", s[i].no_consent },
			{ "stun_bad", s[i].stun_bad },
			{ "address_held", s[i].address_held },
			{ "dtls_unvalidated", s[i].dtls_unvalidated },
			{ "bad_auth", s[i].bad_auth },
			{ "replayed", s[i].replayed },
			{ "malformed", s[i].malformed },
			{ "over_limit", s[i].over_limit },
			{ "no_packet", s[i].no_packet },
			{ "too_large", s[i].too_large },
			{ "hand_full", s[i].net.hand_dropped },
			{ "send_failed", s[i].net.tx_failed },
			{ "tcp_slow", s[i].net.tcp_dropped },
			{ "tcp_gone", s[i].net.tcp_gone },
		};

		for (size_t k = 0; k < MU_ARRAY_LEN(row); k++) {
			g_string_append_printf(t, "muster_dropped_packets_total{worker=\"%u\",stage=\"%s\"}",
				i, row[k].stage);
			mu_metric_value(t, (double)row[k].n);
		}
	}
}

/* Connections that were not taken, or not kept: a client that is missing looks for its own here. */
static void tcp_closed(GString *t, const struct mu_media_stats *s, unsigned n)
{
	mu_metric_head(t, "tcp_closed_total", "counter", "TCP connections for media that the gateway closed, by why.");
	for (unsigned i = 0; i < n; i++) {
		const struct {
			const char *why;
			uint64_t n;
		} row[] = {
			{ "limit", s[i].net.tcp_refused },
			{ "unproven", s[i].net.tcp_unproven },
			{ "malformed", s[i].net.tcp_malformed },
		};

		for (size_t k = 0; k < MU_ARRAY_LEN(row); k++) {
			g_string_append_printf(
				t, "muster_tcp_closed_total{worker=\"%u\",why=\"%s\"}", i, row[k].why);
			mu_metric_value(t, (double)row[k].n);
		}
	}
}

static void queue_times(GString *t, const struct mu_media_stats *s, unsigned n)
{
	static const char *const le[MU_HIST_BUCKETS] = { "5e-05", "0.0001", "0.00025", "0.0005", "0.001",
		"0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "+Inf" };

	mu_metric_head(t, "queue_seconds", "histogram",
		"Time from a packet's arrival until it was handed to the kernel.");
	for (unsigned i = 0; i < n; i++) {
		uint64_t sum = 0;

		for (size_t b = 0; b < MU_HIST_BUCKETS; b++) {
			sum += s[i].queue_us_bucket[b];
			g_string_append_printf(
				t, "muster_queue_seconds_bucket{worker=\"%u\",le=\"%s\"}", i, le[b]);
			mu_metric_value(t, (double)sum);
		}
		g_string_append_printf(t, "muster_queue_seconds_sum{worker=\"%u\"}", i);
		mu_metric_value(t, (double)s[i].queue_us_sum / 1e6);
		/* of the buckets, not queue_count: the two must agree in what is scraped */
		g_string_append_printf(t, "muster_queue_seconds_count{worker=\"%u\"}", i);
		mu_metric_value(t, (double)sum);
	}
}

/* --- all of it --- */

static void http(GString *t, const struct mu_api *a)
{
	single(t, "http_connections", "gauge", "Open HTTP connections.", a->conns.n_open);
	single(t, "http_connections_total", "counter", "HTTP connections accepted.",
		(double)a->conns.n_accepted);
	single(t, "http_timeouts_total", "counter", "HTTP connections cut because the client was too slow.",
		(double)a->conns.n_timed_out);
	single(t, "http_evictions_total", "counter", "Waiting HTTP connections cut to make room.",
		(double)a->conns.n_evicted);
	single(t, "http_requests_total", "counter", "HTTP requests.", (double)a->n_requests);
	single(t, "http_denied_total", "counter", "HTTP requests denied for their token.",
		(double)a->n_denied);
	single(t, "event_readers", "gauge", "Open event streams.", a->n_readers);
	single(t, "event_readers_dropped_total", "counter",
		"Event streams cut because they were read too slowly.", (double)a->n_events_dropped);
}

static void scraped(void *arg, const struct mu_media_stats *s, unsigned n)
{
	struct mu_wait *w = arg;
	struct mu_req *r = mu_wait_req(w);
	GString *t;

	if (!r) {
		mu_wait_end(w);
		return;
	}
	t = g_string_sized_new(16384);
	mu_metric_head(t, "build_info", "gauge", "Version and SRTP engine; always 1.");
	g_string_append_printf(t, "muster_build_info{version=\"%s\",engine=\"%s\"} 1\n", MU_VERSION,
		mu_media_engine(r->api->media));
	single(t, "start_time_seconds", "gauge", "When the gateway started, seconds since 1970.",
		(double)r->api->start_wall_us / 1e6);
	mu_metrics_sessions(t, r->api);
	workers(t, s, n);
	drops(t, s, n);
	tcp_closed(t, s, n);
	queue_times(t, s, n);
	mu_metrics_conferences(t, r->api);
	http(t, r->api);
	mu_reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", t->str, t->len);
	g_string_free(t, TRUE);
	mu_wait_end(w);
}

void mu_on_metrics(struct mu_req *r)
{
	mu_media_ask_stats(r->api->media, scraped, mu_wait_begin(r));
}
