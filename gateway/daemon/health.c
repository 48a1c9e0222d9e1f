/* health: once a second, and systemd's watchdog. */
#include <systemd/sd-daemon.h>

#include "daemon/gateway.h"

#define TICK_MS 1000
#define ASK_AGAIN_US                                                                                       \
	INT64_C(5000000) /* a question can be lost only when memory is out; a hung worker gets few of them \
			  */
#define FRESH_US INT64_C(3000000)

static void on_stats(void *arg, const struct mu_media_stats *s, unsigned n)
{
	struct mu_gateway *g = arg;

	(void)s;
	(void)n;
	g->answered_us = mu_clock_us();
	g->asking = false;
}

static gboolean on_tick(gpointer arg)
{
	struct mu_gateway *g = arg;
	int64_t now = mu_clock_us();

	mu_webrtc_expire(g->webrtc, mu_clock_wall_us() / 1000000);
	mu_webrtc_refresh_stats(g->webrtc);
	mu_directory_expire(g->directory, now);
	if (g->return_until_us && now >= g->return_until_us) {
		g->return_until_us = 0;
		mu_conferences_release_absent(g->conferences, INT64_MAX);
	}
	mu_conferences_release_absent(g->conferences, now);
	if (!g->asking || now - g->asked_us >= ASK_AGAIN_US) {
		g->asking = true;
		g->asked_us = now;
		mu_media_ask_stats(g->media, on_stats, g);
	}
	return G_SOURCE_CONTINUE;
}

bool mu_health_good(const struct mu_gateway *g, int64_t now_us)
{
	return now_us - g->answered_us <= MU_MAX(FRESH_US, g->watchdog_us / 2);
}

static gboolean on_watchdog(gpointer arg)
{
	struct mu_gateway *g = arg;
	int64_t now = mu_clock_us();

	if (mu_health_good(g, now))
		sd_notify(0, "WATCHDOG=1");
	else
		mu_err(MU_TOPIC, NULL,
			"a media worker has not answered for %lld s: systemd's watchdog will restart the gateway",
			(long long)((now - g->answered_us) / 1000000));
	return G_SOURCE_CONTINUE;
}

void mu_health_start(struct mu_gateway *g)
{
	uint64_t us = 0;

	g->answered_us = mu_clock_us(); /* all workers ran their start */
	g->tick_source = g_timeout_add(TICK_MS, on_tick, g);
	if (sd_watchdog_enabled(0, &us) > 0) {
		g->watchdog_us = (int64_t)us;
		g->watchdog_source = g_timeout_add((guint)MU_MAX(us / 2000, 1), on_watchdog, g);
	}
}
