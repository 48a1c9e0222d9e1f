/* drain: from the first signal to the end of the main loop. */
#include <systemd/sd-daemon.h>

#include "daemon/gateway.h"

#define POLL_MS 50
#define NOTICE_US                                                                                        \
	INT64_C(200000) /* between the event "gateway.draining" and the end of sessions: readers hear it \
			   first */

static gboolean on_poll(gpointer arg)
{
	struct mu_gateway *g = arg;
	unsigned n = mu_webrtc_sessions(g->webrtc);
	int64_t now = mu_clock_us();

	if (n == 0) {
		mu_info(MU_TOPIC, NULL, "drained");
		g_main_loop_quit(g->loop);
	} else if (now >= g->drain_until_us) {
		mu_warn(MU_TOPIC, NULL, "drain.deadline passed with %u sessions left: ending them", n);
		g_main_loop_quit(g->loop);
	} else if (!g->told_sessions && now >= g->drain_close_us) {
		g->told_sessions = true;
		mu_webrtc_close_all(g->webrtc, "the gateway stops");
	}
	return G_SOURCE_CONTINUE;
}

void mu_drain(struct mu_gateway *g)
{
	int64_t now = mu_clock_us();

	if (g->draining) {
		mu_warn(MU_TOPIC, NULL, "a second signal: stopping at once");
		g_main_loop_quit(g->loop);
		return;
	}
	g->draining = true;
	g->drain_until_us = now + g->config->drain.deadline_us;
	g->drain_close_us = now + MU_MIN(NOTICE_US, g->config->drain.deadline_us / 2);
	mu_info(MU_TOPIC, NULL, "draining: no new sessions; %u are told and closed, for at most %lld s",
		mu_webrtc_sessions(g->webrtc), (long long)(g->config->drain.deadline_us / 1000000));
	/* The deadline is ours to keep, however short the unit's stop timeout is. */
	sd_notifyf(0, "STOPPING=1\nSTATUS=Draining.\nEXTEND_TIMEOUT_USEC=%lld",
		(long long)g->config->drain.deadline_us + 5000000);
	mu_webrtc_drain(g->webrtc);
	g->drain_source = g_timeout_add(POLL_MS, on_poll, g);
}
