/* metrics: what its files share. Prometheus text format 0.0.4. */
#ifndef MU_API_METRICS_H
#define MU_API_METRICS_H

#include <glib.h>

struct mu_api;

/** The lines before a metric's values. Names get "muster_" in front. */
void mu_metric_head(GString *t, const char *name, const char *type, const char *help);
/** A value and the end of its line. */
void mu_metric_value(GString *t, double v);
/** name="value", escaped. */
void mu_metric_label(GString *t, const char *name, const char *value);

/* --- metrics_sessions.c --- */

#define MU_VIEWER_BUCKETS 8 /* bounds of a viewer histogram; one more for what lies above */

/** Spread over viewers' streams, one observation of each a second. */
struct mu_viewer_hist {
	uint64_t bucket[MU_VIEWER_BUCKETS + 1];
	double sum;
};
enum mu_viewer_figure { MU_VIEWER_RTT, MU_VIEWER_JITTER, MU_VIEWER_LOSS, MU_VIEWER_FIGURES };
struct mu_viewers {
	struct mu_viewer_hist of[MU_VIEWER_FIGURES][2]; /* audio, video */
};
/** Observe all streams to viewers. Every second. */
void mu_viewers_observe(struct mu_api *a);
void mu_metrics_sessions(GString *t, struct mu_api *a);

/* --- conferences.c --- */

void mu_metrics_conferences(GString *t, struct mu_api *a);

#endif
