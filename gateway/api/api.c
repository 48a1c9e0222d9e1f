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

static void audit_self(struct mu_api *a, const char *what)
{
	if (a->audit)
		mu_audit_add(a->audit,
			&(struct mu_audit_entry){ .who = "muster", .what = what, .target = a->site, .result = "done" });
}

static int open_state(struct mu_api *a, const char *dir, struct mu_error *e)
{
	char *db = dir ? g_build_filename(dir, "state.db", NULL) : NULL;
	char *log = dir ? g_build_filename(dir, "audit.jsonl", NULL) : NULL;
	int err = mu_revoked_new(db, &a->revoked, e);

	if (err == 0 && log)
		err = mu_audit_new(log, &a->audit, e);
	if (a->audit)
		a->audit_source = g_unix_fd_add(mu_audit_fd(a->audit), G_IO_IN, audit_ready, a);
	if (err == 0)
		mu_revoked_purge(a->revoked, mu_clock_wall_us() / 1000000);
	g_free(db);
	g_free(log);
	return err < 0 && err != -ENOMEM ? -EIO : err;
}

static int load_certificate(const struct mu_api_options *o, GTlsCertificate **ret, struct mu_error *e)
{
	GError *ge = NULL;

	*ret = g_tls_certificate_new_from_files(o->certificate, o->key ? o->key : o->certificate, &ge);
	if (*ret)
		return 0;
	mu_error_set(e, -EINVAL, "certificate %s, key %s: %s", o->certificate, o->key ? o->key : o->certificate, ge->message);
	g_error_free(ge);
	return -EINVAL;
}

static int bind_socket(GSocket *s, GSocketAddress *at, GError **ge)
{
	/* IPv4 has listeners of its own: that way what is open is what was configured */
	if (g_socket_get_family(s) == G_SOCKET_FAMILY_IPV6)
		g_socket_set_option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1, NULL);
	g_socket_set_listen_backlog(s, 512);
	return g_socket_bind(s, at, TRUE, ge) && g_socket_listen(s, ge) ? 0 : -1;
}

static int listen_on(struct mu_api *a, const struct mu_addr *addr, struct mu_error *e)
{
	GSocketAddress *at = g_socket_address_new_from_native((gpointer)&addr->sa, mu_addr_size(addr));
	char *text = g_socket_connectable_to_string(G_SOCKET_CONNECTABLE(at));
	GError *ge = NULL;
	GSocket *s = g_socket_new(g_socket_address_get_family(at), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &ge);
	int err = 0;

	if (!s || bind_socket(s, at, &ge) < 0 ||
		!soup_server_listen_socket(a->server, s, a->tls ? SOUP_SERVER_LISTEN_HTTPS : 0, &ge)) {
		err = g_error_matches(ge, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE)   ? -EADDRINUSE :
		      g_error_matches(ge, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED) ? -EACCES :
											  -EADDRNOTAVAIL;
		mu_error_set(e, err, "cannot listen on %s: %s", text, ge->message);
		g_error_free(ge);
	}
	g_clear_object(&s);
	g_object_unref(at);
	g_free(text);
	return err;
}

static int serve(struct mu_api *a, const struct mu_api_options *o, struct mu_error *e)
{
	GTlsCertificate *cert = NULL;
	int err = o->certificate ? load_certificate(o, &cert, e) : 0;

	if (err < 0)
		return err;
	a->tls = cert != NULL;
	/* raw paths: ids need no escapes, and what is not decoded cannot mean two things */
	a->server = soup_server_new("server-header", "muster", "raw-paths", TRUE, "tls-certificate", cert, NULL);
	g_clear_object(&cert);
	mu_conns_watch(&a->conns, a->server);
	mu_request_watch(a);
	for (unsigned i = 0; err == 0 && i < o->n_listen; i++)
		err = listen_on(a, &o->listen[i], e);
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
	a->bench_token = g_strdup(o->bench_token);
	a->site = g_strdup(o->site ? o->site : "");
	a->start_wall_us = mu_clock_wall_us();
	mu_list_init(&a->waits);
	mu_conns_init(&a->conns);
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
	GTlsCertificate *cert = NULL;
	struct mu_error e;

	a->keyring = o->keyring;
	g_free(a->bench_token);
	a->bench_token = g_strdup(o->bench_token);
	g_free(a->site);
	a->site = g_strdup(o->site ? o->site : "");
	if (a->tls && o->certificate) {
		if (load_certificate(o, &cert, &e) < 0)
			mu_err("api", NULL, "%s; the old certificate stays in use", e.text);
		else
			soup_server_set_tls_certificate(a->server, cert);
		g_clear_object(&cert);
	}
	audit_self(a, "gateway.reload");
}

/* Who still waits for an answer will not get one: its connection is closed. */
static void drop_waits(struct mu_api *a)
{
	mu_list_for_each_safe(it, next, &a->waits) {
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
	if (a->server) {
		soup_server_disconnect(a->server);
		g_object_unref(a->server);
	}
	mu_conns_done(&a->conns);
	if (a->started)
		audit_self(a, "gateway.stop");
	if (a->audit_source)
		g_source_remove(a->audit_source);
	mu_audit_free(a->audit);
	mu_revoked_free(a->revoked);
	g_free(a->bench_token);
	g_free(a->site);
	free(a);
}

uint16_t mu_api_port(const struct mu_api *a, unsigned i)
{
	GSList *all = soup_server_get_listeners(a->server);
	GSocket *s = g_slist_nth_data(all, i);
	GSocketAddress *at = s ? g_socket_get_local_address(s, NULL) : NULL;
	uint16_t port = at ? g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(at)) : 0;

	g_clear_object(&at);
	g_slist_free(all);
	return port;
}
