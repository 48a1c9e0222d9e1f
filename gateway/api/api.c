#include <errno.h>
#include <glib-unix.h>
#include <stdlib.h>

#include "api/private.h"

static gboolean audit_ready(gint fd, GIOCondition cond, gpointer arg)
{
	struct mu_api *a = arg;

	(void)fd;
	(void)cond;
	mu_audit_dispatch(a->audit);
	return G_SOURCE_CONTINUE;
}

static gboolean revoked_ready(gint fd, GIOCondition cond, gpointer arg)
{
	struct mu_api *a = arg;

	(void)fd;
	(void)cond;
	mu_revoked_dispatch(a->revoked);
	return G_SOURCE_CONTINUE;
}

static void audit_self(struct mu_api *a, const char *what)
{
	if (a->audit)
		mu_audit_add(a->audit,
			&(struct mu_audit_entry){
				.who = "muster", .what = what, .target = a->site, .result = "done" });
}

static int open_state(struct mu_api *a, const char *dir, struct mu_error *e)
{
	char *db = dir ? g_build_filename(dir, "state.db", NULL) : NULL;
	char *log = dir ? g_build_filename(dir, "audit.jsonl", NULL) : NULL;
	int err = mu_revoked_new(db, &a->revoked, e);

	if (err == 0 && log)
		err = mu_audit_new(log, 0, &a->audit, e);
	if (a->audit)
		a->audit_source = g_unix_fd_add(mu_audit_fd(a->audit), G_IO_IN, audit_ready, a);
	if (err == 0 && mu_revoked_fd(a->revoked) >= 0)
		a->revoked_source = g_unix_fd_add(mu_revoked_fd(a->revoked), G_IO_IN, revoked_ready, a);
	if (err == 0)
		mu_revoked_purge(a->revoked, mu_clock_wall_us() / 1000000);
	g_free(db);
	g_free(log);
	return err < 0 && err != -ENOMEM ? -EIO : err;
}

static int load_certificate(const struct mu_api_options *o, struct mu_tls **ret, struct mu_error *e)
{
	return mu_tls_new(o->certificate, o->key ? o->key : o->certificate, ret, e);
}

static int serve(struct mu_api *a, const struct mu_api_options *o, struct mu_error *e)
{
	struct mu_tls *tls = NULL;
	int err = o->certificate ? load_certificate(o, &tls, e) : 0;

	if (err < 0)
		return err;
	/* raw paths: ids need no escapes, and what is not decoded cannot mean two things */
	a->server = soup_server_new("server-header", "muster", "raw-paths", TRUE, NULL);
	mu_conns_init(&a->conns, a->server, tls);
	a->conns.limits.shared = o->proxied;
	mu_request_watch(a);
	for (unsigned i = 0; err == 0 && i < o->n_listen; i++)
		err = mu_conns_listen(&a->conns, &o->listen[i], e);
	return err;
}

int mu_api_new(const struct mu_api_options *o, struct mu_api **ret, struct mu_error *e)
{
	struct mu_api *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->webrtc = o->webrtc;
	a->directory = o->directory;
	a->media = o->media;
	a->keyring = o->keyring;
	a->conferences = o->conferences;
	a->conference_db = o->conference_db;
	a->workers_answer = o->workers_answer;
	a->workers_arg = o->workers_arg;
	a->bench_token = g_strdup(o->bench_token);
	a->site = g_strdup(o->site ? o->site : "");
	a->start_us = mu_clock_us();
	a->start_wall_us = mu_clock_wall_us();
	mu_list_init(&a->waits);
	mu_sockets_start(a);
	mu_console_host_start(a);
	mu_events_start(a);
	err = open_state(a, o->state_dir, e);
	if (err == 0)
		err = serve(a, o, e);
	if (err < 0) {
		mu_api_free(a);
		return err;
	}
	audit_self(a, "gateway.start");
	a->started = true;
	*ret = a;
	return 0;
}

void mu_api_reload(struct mu_api *a, const struct mu_api_options *o)
{
	struct mu_tls *tls = NULL;
	struct mu_error e;

	a->keyring = o->keyring;
	mu_events_end_unknown_keys(a);
	g_free(a->bench_token);
	a->bench_token = g_strdup(o->bench_token);
	g_free(a->site);
	a->site = g_strdup(o->site ? o->site : "");
	if (a->conns.tls && o->certificate) {
		if (load_certificate(o, &tls, &e) < 0)
			mu_err("api", NULL, "%s; the old certificate stays in use", e.text);
		else
			mu_conns_set_tls(&a->conns, tls);
	}
	audit_self(a, "gateway.reload");
}

/* Who still waits for an answer will not get one: its connection is closed. */
static void drop_waits(struct mu_api *a)
{
	mu_list_for_each_safe (it, next, &a->waits) {
		MU_CONTAINER_OF(it, struct mu_wait, link)->req = NULL;
		mu_list_remove(it);
	}
}

void mu_api_free(struct mu_api *a)
{
	if (!a)
		return;
	mu_events_stop(a);
	drop_waits(a);
	mu_conns_stop(&a->conns);
	mu_sockets_stop(a);
	mu_console_host_stop(a);
	if (a->server) {
		soup_server_disconnect(a->server);
		g_object_unref(a->server);
	}
	mu_conns_done(&a->conns);
	if (a->revoked_source)
		g_source_remove(a->revoked_source);
	if (a->audit_source)
		g_source_remove(a->audit_source);
	mu_revoked_free(a->revoked); /* what it still stores, the audit log hears of */
	if (a->started)
		audit_self(a, "gateway.stop");
	mu_audit_free(a->audit);
	g_clear_pointer(&a->rates, g_hash_table_unref);
	g_free(a->bench_token);
	g_free(a->site);
	free(a);
}

uint16_t mu_api_port(const struct mu_api *a, unsigned i)
{
	return mu_conns_port(&a->conns, i);
}
