/* What we ask by RTCP, NACK and key-frame requests, and how we take our leave. */
#include "transport/transport_internal.h"

#define NACK_BATCH     128
#define RTT_UNKNOWN_US 100000

void rtcp_send(struct mu_transport *t, const struct mu_rtcp_writer *w)
{
	uint8_t sealed[RTCP_MAX + MU_SRTCP_GROWTH_MAX];
	int n;

	if (!t->sendable || w->len == 0)
		return;
	t->srtcp_index = (t->srtcp_index + 1) & 0x7fffffff;
	n = mu_srtcp_protect(t->plane->engine, t->key_out, t->srtcp_index, w->data, w->len, sealed);
	if (n > 0)
		mu_worker_send_copy(t->worker, &t->path, sealed, (size_t)n);
}

/* Plain compound packets, which every peer must understand: a report first, and who speaks (RFC 3550, section 6.1). */
void rtcp_begin(struct mu_transport *t, struct mu_rtcp_writer *w, const struct mu_rtcp_report *reports, size_t n)
{
	mu_rtcp_add_rr(w, t->rtcp_ssrc, reports, n);
	mu_rtcp_add_sdes(w, t->rtcp_ssrc, t->cname);
}

/* How long a lost packet takes that we ask for. */
static int64_t wait_us(const struct mu_transport *t)
{
	return mu_rtt_wait_us(&t->rtt, RTT_UNKNOWN_US);
}

/* --- NACK ----------------------------------------------------------------------------------------------------------------- */

void feedback_plan_nacks(struct mu_transport *t, int64_t now_us)
{
	int64_t next = INT64_MAX;

	for (unsigned i = 0; i < t->n_in; i++) {
		if (t->in[i]->nack)
			next = MU_MIN(next, mu_nack_next_us(t->in[i]->nack, wait_us(t)));
	}
	if (next == INT64_MAX)
		return; /* a timer still set finds nothing to do */
	next = MU_MAX(next, now_us + 1000);
	if (t->nack_timer.at == 0 || next < t->nack_timer.due_us)
		mu_timer_set(t->worker, &t->nack_timer, next);
}

void feedback_nack_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct mu_transport *t = MU_CONTAINER_OF(timer, struct mu_transport, nack_timer);
	uint8_t buf[RTCP_MAX];
	uint16_t seqs[NACK_BATCH];

	(void)w;
	for (unsigned i = 0; i < t->n_in; i++) {
		struct in_stream *s = t->in[i];
		struct mu_rtcp_writer wr = { buf, sizeof(buf), 0 };
		size_t n = s->nack ? mu_nack_due(s->nack, now_us, wait_us(t), seqs, NACK_BATCH) : 0;

		if (n == 0)
			continue;
		s->nacks += n;
		t->plane->stats.nacks_out += n;
		rtcp_begin(t, &wr, NULL, 0);
		mu_rtcp_add_nack(&wr, t->rtcp_ssrc, s->ssrc, seqs, n);
		rtcp_send(t, &wr);
	}
	feedback_plan_nacks(t, now_us);
}

/* --- key frames ------------------------------------------------------------------------------------------------------------ */

void feedback_key_request(struct in_stream *s)
{
	struct mu_transport *t = s->t;
	uint8_t buf[256];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	rtcp_begin(t, &w, NULL, 0);
	if (s->spec.pli)
		mu_rtcp_add_pli(&w, t->rtcp_ssrc, s->ssrc);
	else
		mu_rtcp_add_fir(&w, t->rtcp_ssrc, s->ssrc, s->fir_number++);
	rtcp_send(t, &w);
}

/* --- the end ------------------------------------------------------------------------------------------------------------------ */

static void bye(struct mu_transport *t, const uint32_t *ssrcs, size_t n, const char *why)
{
	uint8_t buf[512];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	rtcp_begin(t, &w, NULL, 0);
	mu_rtcp_add_bye(&w, ssrcs, n, why);
	rtcp_send(t, &w);
}

void feedback_bye(struct mu_transport *t, const char *why)
{
	uint32_t ssrcs[RTCP_BLOCKS_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < t->n_out; i++) {
		ssrcs[n++] = t->out[i]->spec.ssrc;
		if (n == RTCP_BLOCKS_MAX) {
			bye(t, ssrcs, n, why);
			n = 0;
		}
	}
	if (t->n_out == 0)
		ssrcs[n++] = t->rtcp_ssrc;
	if (n > 0)
		bye(t, ssrcs, n, why);
}
