#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <sys/file.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/gateway.h"

#define GOODBYE_US INT64_C(1000000) /* for workers to say goodbye to sessions that are left at the end */

static gboolean on_hangup(gpointer arg)
{
	mu_reload(arg);
	return G_SOURCE_CONTINUE;
}

static gboolean on_stop(gpointer arg)
{
	mu_drain(arg);
	return G_SOURCE_CONTINUE;
}

/* Two gateways that write one audit log would break its chain, and neither would hear of the tokens that the
 * other revokes. The kernel lets go of the lock when a process ends, however it does. */
static int lock_state(const char *folder, int *ret_fd, struct mu_error *e)
{
	char *path = g_build_filename(folder, "lock", NULL);
	int err = 0;

	*ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		err = mu_error_set(e, -errno, "%s: %s", path, strerror(errno));
	else if (flock(*ret_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		err = mu_error_set(e, -EBUSY,
			"the state folder %s is in use by another gateway: each needs its own", folder);
	g_free(path);
	return err;
}

static int make_state(struct mu_gateway *g, struct mu_error *e)
{
	const char *folder = g->config->state;

	if (!folder)
		return 0;
	if (g_mkdir_with_parents(folder, 0700) < 0)
		return mu_error_set(
			e, -errno, "cannot make the state folder %s: %s", folder, strerror(errno));
	return lock_state(folder, &g->state_fd, e);
}

#define RETURN_US INT64_C(30000000) /* as long as a console's session waits for its client */

static int make_conferences(struct mu_gateway *g, struct mu_error *e)
{
	struct mu_conference_store store = { 0 };
	struct mu_conference_limits limits;
	char *path;
	unsigned n;
	int err = 0;

	if (g->config->state) {
		path = g_build_filename(g->config->state, "conferences.db", NULL);
		err = mu_conference_db_new(path, &g->conference_db, e);
		g_free(path);
	}
	if (err == 0 && g->conference_db)
		store = mu_conference_db_store(g->conference_db);
	if (err == 0 && mu_conferences_new(g->directory, &store, &g->conferences) < 0)
		err = mu_error_set(e, -ENOMEM, "out of memory for conferences");
	if (err < 0)
		return err;
	mu_gateway_conference_limits(g, &limits);
	mu_conferences_limit(g->conferences, &limits);
	if (!g->conference_db)
		return 0;
	n = mu_conference_db_restore(g->conference_db, g->conferences);
	if (n > 0)
		mu_info(MU_TOPIC, NULL, "%u conferences go on", n);
	g->return_until_us = mu_clock_us() + RETURN_US;
	return 0;
}

static int build(struct mu_gateway *g, struct mu_error *e)
{
	struct mu_webrtc_options webrtc;
	struct mu_api_options api;
	int err;

	err = make_state(g, e);
	if (err == 0)
		err = mu_secrets_keyring(g->config, &g->keyring, e);
	if (err == 0)
		err = mu_secrets_check_tls(g->config, e);
	if (err == 0)
		err = mu_secrets_ice(g->config, &g->ice, e);
	if (err == 0)
		err = mu_gateway_new_media(g, e);
	if (err < 0)
		return err;
	err = mu_directory_new(g->config->site, &g->directory);
	if (err < 0)
		return mu_error_set(
			e, err, "cannot make the directory of site %s: %s", g->config->site, strerror(-err));
	err = make_conferences(g, e);
	if (err < 0)
		return err;
	mu_gateway_webrtc_options(g, &webrtc);
	err = mu_webrtc_new(&webrtc, &g->webrtc);
	if (err < 0)
		return mu_error_set(e, err, "cannot start WebRTC: %s", strerror(-err));
	mu_gateway_api_options(g, &api);
	return mu_api_new(&api, &g->api, e);
}

static void say_ready(const struct mu_gateway *g)
{
	char text[MU_ADDR_TEXT];

	for (unsigned i = 0; i < g->config->http.listen.n; i++) {
		struct mu_addr at = g->config->http.listen.items[i];

		mu_addr_set_port(&at, mu_api_port(g->api, i));
		mu_info(MU_TOPIC, NULL, "serving %s://%s", g->config->http.certificate ? "https" : "http",
			mu_addr_text(&at, text));
	}
	mu_info(MU_TOPIC, NULL, "muster " MU_VERSION ", site %s: %u workers, UDP from port %u, SRTP by %s",
		g->config->site, mu_net_workers(mu_media_net(g->media)),
		mu_net_port(mu_media_net(g->media), 0, 0), mu_media_engine(g->media));
	if (g->n_tcp > 0)
		mu_info(MU_TOPIC, NULL, "media by TCP too, from port %u",
			mu_net_tcp_port(mu_media_net(g->media), 0, 0));
	sd_notifyf(0, "READY=1\nSTATUS=Site %s is served.", g->config->site);
}

int mu_gateway_new(struct mu_config *c, struct mu_gateway **ret, struct mu_error *e)
{
	struct mu_gateway *g = calloc(1, sizeof(*g));
	int err;

	if (!g) {
		mu_config_free(c);
		return mu_error_set(e, -ENOMEM, "out of memory");
	}
	g->config = c;
	g->state_fd = -1;
	err = mu_inbox_init(&g->inbox);
	if (err < 0) {
		mu_config_free(c);
		free(g);
		return mu_error_set(e, err, "cannot make an eventfd: %s", strerror(-err));
	}
	g->loop = g_main_loop_new(NULL, FALSE);
	err = build(g, e);
	if (err < 0) {
		mu_gateway_free(g);
		return err;
	}
	*ret = g;
	return 0;
}

void mu_gateway_run(struct mu_gateway *g)
{
	g->signal_source[0] = g_unix_signal_add(SIGHUP, on_hangup, g);
	g->signal_source[1] = g_unix_signal_add(SIGTERM, on_stop, g);
	g->signal_source[2] = g_unix_signal_add(SIGINT, on_stop, g);
	g->inbox_source = mu_inbox_attach(&g->inbox);
	mu_health_start(g);
	say_ready(g);
	g_main_loop_run(g->loop);
}

static void drop_source(guint *id)
{
	if (*id)
		g_source_remove(*id);
	*id = 0;
}

static void drop_sources(struct mu_gateway *g)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(g->signal_source); i++)
		drop_source(&g->signal_source[i]);
	drop_source(&g->inbox_source);
	drop_source(&g->tick_source);
	drop_source(&g->watchdog_source);
	drop_source(&g->drain_source);
}

static bool no_sessions(void *arg)
{
	return mu_webrtc_sessions(((struct mu_gateway *)arg)->webrtc) == 0;
}

/* Top down: whoever borrows goes before whom it borrows from. */
void mu_gateway_free(struct mu_gateway *g)
{
	if (!g)
		return;
	drop_sources(g);
	if (g->webrtc) {
		mu_webrtc_close_all(g->webrtc, "the gateway stops");
		mu_inbox_run_until(&g->inbox, no_sessions, g, GOODBYE_US);
		if (!no_sessions(g)) {
			/* A worker that does not answer would not be joined either; the kernel frees better
			 * than we wait. What outlives us is another matter. */
			mu_err(MU_TOPIC, NULL, "%u sessions did not end: leaving without tidying up",
				mu_webrtc_sessions(g->webrtc));
			mu_conference_db_free(g->conference_db);
			g->conference_db = NULL;
			return;
		}
	}
	mu_api_free(g->api);
	if (g->webrtc)
		mu_webrtc_free(g->webrtc);
	mu_conferences_free(g->conferences);
	mu_conference_db_free(g->conference_db);
	if (g->directory)
		mu_directory_free(g->directory);
	mu_media_free(g->media);
	mu_keyring_free(g->keyring);
	mu_secrets_ice_done(&g->ice);
	if (g->state_fd >= 0)
		close(g->state_fd);
	mu_inbox_run(&g->inbox);
	mu_inbox_done(&g->inbox);
	g_main_loop_unref(g->loop);
	mu_config_free(g->config);
	free(g);
}
