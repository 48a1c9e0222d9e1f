/* gateway: the whole musterd, built from its configuration and taken apart again. Control thread. */
#ifndef MU_DAEMON_GATEWAY_H
#define MU_DAEMON_GATEWAY_H

#include <glib.h>

#include "api/api.h"
#include "daemon/config.h"

#define MU_TOPIC "daemon"

/** What clients show TURN servers; each NULL where it is not configured. */
struct mu_ice_secrets {
	char *secret, *username, *password;
};
struct mu_gateway {
	struct mu_config *config;
	int state_fd; /* holds the lock of the state folder, -1 none */
	GMainLoop *loop;
	struct mu_inbox inbox; /* where the workers' messages run */
	guint inbox_source, tick_source, watchdog_source, drain_source, signal_source[3];
	struct mu_keyring *keyring;
	struct mu_ice_secrets ice;
	struct mu_media *media;
	struct mu_addr tcp[MU_NET_LISTEN_MAX]; /* where its workers listen on TCP */
	unsigned n_tcp;
	struct mu_directory *directory;
	struct mu_conference_db *conference_db; /* NULL: nothing is kept */
	struct mu_conferences *conferences;
	int64_t return_until_us; /* until then members may come back after the restart and find all as it was; 0: past */
	struct mu_webrtc *webrtc;
	struct mu_api *api;
	int64_t asked_us, answered_us; /* statistics of the workers: the last question, the last full answer */
	bool asking;
	int64_t watchdog_us; /* systemd's, 0 none */
	bool draining, told_sessions;
	int64_t drain_until_us, drain_close_us;
};

/** Build everything and say READY to systemd. Takes the configuration in any case.
 *  @return 0, -errno with text in e */
int mu_gateway_new(struct mu_config *c, struct mu_gateway **ret, struct mu_error *e);
/** Serve until a signal has drained it. */
void mu_gateway_run(struct mu_gateway *g);
/** Takes NULL, and copes with a half-built one. */
void mu_gateway_free(struct mu_gateway *g);

/* --- options.c: from the configuration to what the modules take ------------------------------------------------------------ */

void mu_gateway_webrtc_options(const struct mu_gateway *g, struct mu_webrtc_options *ret);
void mu_gateway_api_options(const struct mu_gateway *g, struct mu_api_options *ret);
void mu_gateway_conference_limits(const struct mu_gateway *g, struct mu_conference_limits *ret);
int mu_gateway_new_media(struct mu_gateway *g, struct mu_error *e);

/* --- secrets.c ----------------------------------------------------------------------------------------------------------------- */

/** The keys that tokens are checked with. @return 0, -errno with text in e */
int mu_secrets_keyring(const struct mu_config *c, struct mu_keyring **ret, struct mu_error *e);
/** Whether certificate and key can be read and belong together. @return 0, -EINVAL with text in e */
int mu_secrets_check_tls(const struct mu_config *c, struct mu_error *e);

/** Read the files of ice. @param ret to be ended with mu_secrets_ice_done. @return 0, -errno with text in e */
int mu_secrets_ice(const struct mu_config *c, struct mu_ice_secrets *ret, struct mu_error *e);
/** Wipe and free; takes one that is zero. */
void mu_secrets_ice_done(struct mu_ice_secrets *s);

/* --- inbox_source.c, health.c, reload.c, drain.c -------------------------------------------------------------------------------- */

/** Let the main loop wait for an inbox. @return the source's id */
guint mu_inbox_attach(struct mu_inbox *in);
/** Run what is in the inbox and wait for more, until `done` says so or the time is over. Without the main loop. */
void mu_inbox_run_until(struct mu_inbox *in, bool (*done)(void *arg), void *arg, int64_t timeout_us);

/** Every second: tokens that expired, statistics; and systemd's watchdog, which hears nothing when a worker hangs. */
void mu_health_start(struct mu_gateway *g);
/** Whether systemd may be told that all is well. */
bool mu_health_good(const struct mu_gateway *g, int64_t now_us);

/** Reread the configuration file and apply what can change. A bad one changes nothing. */
void mu_reload(struct mu_gateway *g);

/** First call: no new sessions, tell and close those there are, leave the main loop when they are gone or the deadline
 *  has passed. Second call: leave it at once. */
void mu_drain(struct mu_gateway *g);

#endif
