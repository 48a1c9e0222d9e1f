/* Figures of sessions: publishers' by stream, viewers' as histograms, for there can be ten thousand of those.
 */
#include "api/private.h"

#define ROWS_MAX 1000 /* streams or endpoints with figures of their own: bounds what a scrape costs */

/* --- publishers --- */

static double rtt(const struct mu_stream_stats *s)
{
	return s->rtt_us / 1e6;
}

static double jitter(const struct mu_stream_stats *s)
{
	return s->jitter_us / 1e6;
}

static double loss(const struct mu_stream_stats *s)
{
	return s->lost ? (double)s->lost / (double)(s->lost + s->packets) : 0;
}

static const struct {
	const char *name, *help;
	double (*fn)(const struct mu_stream_stats *s);
} per_stream[] = {
	{ "publisher_rtt_seconds", "Round-trip time to the publisher, by stream.", rtt },
	{ "publisher_jitter_seconds", "Interarrival jitter (RFC 3550), by stream.", jitter },
	{ "publisher_loss_ratio", "Share of the publisher's packets lost since it began, by stream.", loss },
};

struct pass {
	GString *rows[MU_ARRAY_LEN(per_stream)]; /* a metric's lines must stand together */
	unsigned n_rows, n_whip, n_whep, n_console;
};

static void stream_rows(struct pass *p, const char *endpoint, const struct mu_stream_stats *s)
{
	for (size_t m = 0; m < MU_ARRAY_LEN(per_stream); m++) {
		g_string_append_printf(p->rows[m], "muster_%s{", per_stream[m].name);
		mu_metric_label(p->rows[m], "endpoint", endpoint);
		mu_metric_label(p->rows[m], ",mid", s->mid);
		if (s->rid[0])
			mu_metric_label(p->rows[m], ",rid", s->rid);
		mu_metric_label(p->rows[m], ",kind", s->kind == MU_AUDIO ? "audio" : "video");
		g_string_append_c(p->rows[m], '}');
		mu_metric_value(p->rows[m], per_stream[m].fn(s));
	}
}

static bool session_rows(void *arg, const struct mu_session_info *s)
{
	struct pass *p = arg;

	p->n_console += s->console;
	p->n_whip += !s->console && s->publishes;
	p->n_whep += !s->console && !s->publishes;
	for (unsigned i = 0; (s->publishes || s->console) && s->stats && i < s->stats->n_streams; i++) {
		if (!s->stats->streams[i].out && p->n_rows++ < ROWS_MAX)
			stream_rows(p, s->endpoint, &s->stats->streams[i]);
	}
	return true;
}

/* --- viewers --- */

static const struct {
	const char *name, *help;
	double le[MU_VIEWER_BUCKETS];
} spread[MU_VIEWER_FIGURES] = {
	[MU_VIEWER_RTT] = { "viewer_rtt_seconds",
		"Round-trip time to viewers; each stream is observed once a second.",
		{ 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6 } },
	[MU_VIEWER_JITTER] = { "viewer_jitter_seconds",
		"Interarrival jitter (RFC 3550) as viewers report it; each stream is observed once a second.",
		{ 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5 } },
	[MU_VIEWER_LOSS] = { "viewer_loss_ratio",
		"Share of packets lost as viewers last reported it; each stream is observed once a second.",
		{ 0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5 } },
};

static void observe(struct mu_viewer_hist *h, const double *le, double v)
{
	size_t b = 0;

	while (b < MU_VIEWER_BUCKETS && v > le[b])
		b++;
	h->bucket[b]++;
	h->sum += v;
}

static bool observe_session(void *arg, const struct mu_session_info *s)
{
	struct mu_viewers *v = arg;

	const struct mu_transport_stats *stats = s->console ? s->down : s->publishes ? NULL : s->stats;

	for (unsigned i = 0; stats && i < stats->n_streams; i++) {
		const struct mu_stream_stats *st = &stats->streams[i];
		int kind = st->kind != MU_AUDIO;

		if (!st->out || !st->packets)
			continue;
		if (st->rtt_us == 0)
			continue; /* no report came yet */
		observe(&v->of[MU_VIEWER_RTT][kind], spread[MU_VIEWER_RTT].le, rtt(st));
		observe(&v->of[MU_VIEWER_JITTER][kind], spread[MU_VIEWER_JITTER].le, jitter(st));
		observe(&v->of[MU_VIEWER_LOSS][kind], spread[MU_VIEWER_LOSS].le,
			st->remote_fraction_lost / 256.0);
	}
	return true;
}

void mu_viewers_observe(struct mu_api *a)
{
	mu_webrtc_each_session(a->webrtc, 0, observe_session, &a->viewers);
}

static void hist_rows(
	GString *t, const char *name, const char *kind, const double *le, const struct mu_viewer_hist *h)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE] = "+Inf";
	uint64_t sum = 0;

	for (size_t b = 0; b <= MU_VIEWER_BUCKETS; b++) {
		sum += h->bucket[b];
		if (b < MU_VIEWER_BUCKETS)
			g_ascii_formatd(text, sizeof(text), "%g", le[b]);
		g_string_append_printf(t, "muster_%s_bucket{kind=\"%s\",le=\"%s\"}", name, kind,
			b < MU_VIEWER_BUCKETS ? text : "+Inf");
		mu_metric_value(t, (double)sum);
	}
	g_string_append_printf(t, "muster_%s_sum{kind=\"%s\"}", name, kind);
	mu_metric_value(t, h->sum);
	g_string_append_printf(t, "muster_%s_count{kind=\"%s\"}", name, kind);
	mu_metric_value(t, (double)sum);
}

static void viewers(GString *t, const struct mu_viewers *v)
{
	for (size_t f = 0; f < MU_VIEWER_FIGURES; f++) {
		mu_metric_head(t, spread[f].name, "histogram", spread[f].help);
		hist_rows(t, spread[f].name, "audio", spread[f].le, &v->of[f][0]);
		hist_rows(t, spread[f].name, "video", spread[f].le, &v->of[f][1]);
	}
}

/* --- endpoints --- */

struct census {
	unsigned n[MU_ENDPOINT_LOST + 1], n_rows;
	GString *rows;
};

static bool count_endpoint(void *arg, struct mu_endpoint *ep)
{
	struct census *c = arg;

	if ((unsigned)ep->state <= MU_ENDPOINT_LOST)
		c->n[ep->state]++;
	if (ep->viewers && c->n_rows++ < ROWS_MAX) {
		g_string_append(c->rows, "muster_endpoint_viewers{");
		mu_metric_label(c->rows, "endpoint", ep->id);
		g_string_append_c(c->rows, '}');
		mu_metric_value(c->rows, ep->viewers);
	}
	return true;
}

static void endpoints(GString *t, struct mu_directory *d)
{
	struct census c = { .rows = g_string_new("") };

	mu_directory_each(d, count_endpoint, &c);
	mu_metric_head(t, "endpoints", "gauge", "Endpoints by state.");
	for (unsigned i = 0; i < MU_ARRAY_LEN(c.n); i++) {
		g_string_append_printf(t, "muster_endpoints{state=\"%s\"}",
			mu_endpoint_state_name((enum mu_endpoint_state)i));
		mu_metric_value(t, c.n[i]);
	}
	mu_metric_head(t, "endpoint_viewers", "gauge", "Viewers of an endpoint that has any.");
	g_string_append_len(t, c.rows->str, (gssize)c.rows->len);
	g_string_free(c.rows, TRUE);
}

void mu_metrics_sessions(GString *t, struct mu_api *a)
{
	struct pass p = { 0 };

	for (size_t m = 0; m < MU_ARRAY_LEN(per_stream); m++)
		p.rows[m] = g_string_new("");
	mu_webrtc_each_session(a->webrtc, 0, session_rows, &p);
	mu_metric_head(t, "sessions", "gauge", "Sessions by kind.");
	g_string_append_printf(t, "muster_sessions{kind=\"whip\"} %u\nmuster_sessions{kind=\"whep\"} %u\n"
			       "muster_sessions{kind=\"console\"} %u\n",
		p.n_whip, p.n_whep, p.n_console);
	endpoints(t, a->directory);
	for (size_t m = 0; m < MU_ARRAY_LEN(per_stream); m++) {
		mu_metric_head(t, per_stream[m].name, "gauge", per_stream[m].help);
		g_string_append_len(t, p.rows[m]->str, (gssize)p.rows[m]->len);
		g_string_free(p.rows[m], TRUE);
	}
	viewers(t, &a->viewers);
}
