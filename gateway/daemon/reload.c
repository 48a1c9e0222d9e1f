/* reload: SIGHUP. Everything new is read and checked before anything changes. */
#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "daemon/gateway.h"

static void log_problems(struct mu_problems *p)
{
	for (unsigned i = 0; i < p->n; i++)
		mu_err(MU_TOPIC, NULL, "%s", p->text[i]);
	mu_err(MU_TOPIC, NULL, "reload refused: the configuration stays as it was");
	mu_problems_done(p);
}

/** What a reload brings. */
struct next {
	struct mu_config *config;
	struct mu_keyring *keys;
	struct mu_ice_secrets ice;
};

static int read_secrets(struct next *n, struct mu_error *e)
{
	int err = mu_secrets_check_tls(n->config, e);

	if (err == 0)
		err = mu_secrets_ice(n->config, &n->ice, e);
	if (err == 0)
		err = mu_secrets_keyring(n->config, &n->keys, e);
	return err;
}

/* @return 0; or -errno, and everything that is wrong is logged */
static int read_next(const struct mu_config *c, struct next *ret)
{
	struct mu_problems p = { 0 };
	struct next n = { .config = NULL };
	struct mu_error e = { .text = "" };
	int err = mu_config_load(c->path, &n.config, &p);

	if (err == 0)
		err = mu_config_check_files(n.config, &p);
	if (err == 0) {
		err = read_secrets(&n, &e);
		if (err < 0)
			mu_problems_add(&p, c->path, 0, "%s", e.text);
	}
	if (err < 0) {
		log_problems(&p);
		mu_secrets_ice_done(&n.ice);
		mu_config_free(n.config);
		return err;
	}
	*ret = n;
	return 0;
}

static void say_taken(const char *path)
{
	mu_info(MU_TOPIC, NULL, "reload: %s changed", path);
}

static void say_kept(const char *path)
{
	mu_warn(MU_TOPIC, NULL, "reload: %s changed in the file, but needs a restart", path);
}

static int put_back(char **next, const char *old)
{
	char *copy = old ? strdup(old) : NULL;

	if (old && !copy)
		return -ENOMEM;
	free(*next);
	*next = copy;
	return 0;
}

/* A socket that speaks TLS cannot go over to plain HTTP, nor back: only the files may change. */
static int keep_tls(struct mu_config *c, struct mu_config *next)
{
	if (!c->http.certificate == !next->http.certificate)
		return 0;
	say_kept("http.certificate");
	return put_back(&next->http.certificate, c->http.certificate) < 0 ||
			put_back(&next->http.key, c->http.key) < 0
		? -ENOMEM
		: 0;
}

/* Old rows that stay beside new ones may break a rule that the file as a whole obeys: then nothing is taken.
 */
static int take(struct mu_config *c, struct mu_config *next)
{
	struct mu_problems p = { 0 };

	if (keep_tls(c, next) < 0)
		return -ENOMEM;
	mu_config_swap(c, next, NULL, NULL);
	if (mu_config_check(c, NULL, &p) < 0) {
		mu_config_swap(c, next, NULL, NULL);
		mu_problems_add(&p, c->path, 0,
			"with what needs a restart left as it is, this is not allowed: restart instead");
		log_problems(&p);
		return -EINVAL;
	}
	mu_config_swap(c, next, NULL, NULL);
	mu_config_swap(c, next, say_taken, say_kept);
	return 0;
}

static void apply(struct mu_gateway *g, struct mu_keyring *keys, struct mu_ice_secrets *ice)
{
	struct mu_conference_limits limits;
	struct mu_webrtc_options webrtc;
	struct mu_api_options api;
	struct mu_keyring *old = g->keyring;
	struct mu_ice_secrets old_ice = g->ice;
	unsigned n;

	mu_log_setup((enum mu_log_level)g->config->log.level, (enum mu_log_target)g->config->log.target);
	g->keyring = keys;
	g->ice = *ice;
	*ice = old_ice;
	mu_media_set_publisher_bps(g->media, (uint64_t)g->config->limits.publisher_bps);
	mu_gateway_conference_limits(g, &limits);
	mu_conferences_limit(g->conferences, &limits);
	mu_gateway_webrtc_options(g, &webrtc);
	mu_webrtc_reconfigure(g->webrtc, &webrtc);
	mu_gateway_api_options(g, &api);
	mu_api_reload(g->api, &api);
	n = mu_webrtc_end_unknown_keys(g->webrtc, keys, "the key of its token was withdrawn");
	if (n > 0)
		mu_info(MU_TOPIC, NULL, "reload: %u sessions ended with the key of their token", n);
	mu_keyring_free(old);
}

void mu_reload(struct mu_gateway *g)
{
	struct next n = { .config = NULL };

	if (g->draining)
		return;
	mu_info(MU_TOPIC, NULL, "reload: reading %s", g->config->path);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mu_clock_us());
	if (read_next(g->config, &n) == 0) {
		if (take(g->config, n.config) == 0) {
			apply(g, n.keys, &n.ice);
			mu_info(MU_TOPIC, NULL, "reload: done");
		} else {
			mu_keyring_free(n.keys);
		}
		mu_secrets_ice_done(&n.ice);
		mu_config_free(n.config);
	}
	sd_notify(0, "READY=1");
}
