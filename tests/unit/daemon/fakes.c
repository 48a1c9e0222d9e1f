#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fakes.h"

struct fakes fakes;

/* What the types are made of is nobody's business here: any address will do. */
static int thing;

static void note(const char *what)
{
	size_t n = strlen(fakes.calls);

	snprintf(fakes.calls + n, sizeof(fakes.calls) - n, "%s ", what);
}

static int begin(const char *name, struct mu_error *e)
{
	char text[32];

	snprintf(text, sizeof(text), "%s+", name);
	note(text);
	if (fakes.fail && strcmp(fakes.fail, name) == 0)
		return mu_error_set(e, -EADDRINUSE, "%s will not", name);
	return 0;
}

int mu_media_new(const struct mu_transport_options *o, struct mu_media **ret, struct mu_error *e)
{
	int err = begin("media", e);

	fakes.media = *o;
	fakes.control = o->control;
	for (unsigned i = 0; i < MU_ARRAY_LEN(fakes.profiles); i++) {
		fakes.profiles[i] = o->profiles[i];
		if (!o->profiles[i])
			break;
	}
	if (err == 0)
		*ret = (struct mu_media *)&thing;
	return err;
}

void mu_media_free(struct mu_media *m)
{
	if (m)
		note("media-");
}

struct mu_net *mu_media_net(struct mu_media *m)
{
	return (struct mu_net *)m;
}

unsigned mu_net_workers(const struct mu_net *n)
{
	(void)n;
	return fakes.media.net.workers;
}

uint16_t mu_net_port(const struct mu_net *n, unsigned i, unsigned listen)
{
	(void)n, (void)i, (void)listen;
	return fakes.media.net.port;
}

uint16_t mu_net_tcp_port(const struct mu_net *n, unsigned i, unsigned listen)
{
	(void)n, (void)i;
	return mu_addr_port(&fakes.media.net.tcp[listen]);
}

const char *mu_media_engine(const struct mu_media *m)
{
	(void)m;
	return "fake";
}

void mu_media_set_publisher_bps(struct mu_media *m, uint64_t bps)
{
	(void)m;
	fakes.media.publisher_bps = bps;
}

void mu_media_ask_stats(
	struct mu_media *m, void (*done)(void *arg, const struct mu_media_stats *s, unsigned n), void *arg)
{
	(void)m;
	fakes.stats_asked++;
	if (!fakes.hung)
		done(arg, NULL, 0);
}

int mu_directory_new(const char *site, struct mu_directory **ret)
{
	(void)site;
	*ret = (struct mu_directory *)&thing;
	return begin("directory", NULL);
}

void mu_directory_free(struct mu_directory *d)
{
	(void)d;
	note("directory-");
}

int mu_webrtc_new(const struct mu_webrtc_options *o, struct mu_webrtc **ret)
{
	int err = begin("webrtc", NULL);

	fakes.webrtc = *o;
	if (err == 0)
		*ret = (struct mu_webrtc *)&thing;
	return err;
}

void mu_webrtc_free(struct mu_webrtc *w)
{
	(void)w;
	note("webrtc-");
}

void mu_webrtc_reconfigure(struct mu_webrtc *w, const struct mu_webrtc_options *o)
{
	(void)w;
	fakes.webrtc = *o;
	note("webrtc~");
}

void mu_webrtc_expire(struct mu_webrtc *w, int64_t now_s)
{
	(void)w, (void)now_s;
}

unsigned mu_webrtc_end_unknown_keys(struct mu_webrtc *w, const struct mu_keyring *k, const char *why)
{
	(void)w, (void)why;
	note("keys~");
	fakes.keys_left = mu_keyring_size(k);
	return 1;
}

void mu_directory_expire(struct mu_directory *d, int64_t now_us)
{
	(void)d, (void)now_us;
}

void mu_webrtc_refresh_stats(struct mu_webrtc *w)
{
	(void)w;
}

void mu_webrtc_drain(struct mu_webrtc *w)
{
	(void)w;
	note("drain");
}

static void on_closed(struct mu_msg *m)
{
	fakes.sessions = 0;
	free(m);
}

/* As in truth: the end of the sessions comes by the inbox, from another thread. */
void mu_webrtc_close_all(struct mu_webrtc *w, const char *why)
{
	struct mu_msg *m;

	(void)w, (void)why;
	note("close");
	if (fakes.deaf || !fakes.sessions)
		return;
	m = calloc(1, sizeof(*m));
	m->fn = on_closed;
	mu_inbox_post(fakes.control, m);
}

unsigned mu_webrtc_sessions(const struct mu_webrtc *w)
{
	(void)w;
	return fakes.sessions;
}

int mu_api_new(const struct mu_api_options *o, struct mu_api **ret, struct mu_error *e)
{
	int err = begin("api", e);

	fakes.api = *o;
	if (err == 0)
		*ret = (struct mu_api *)&thing;
	return err;
}

void mu_api_reload(struct mu_api *a, const struct mu_api_options *o)
{
	(void)a;
	fakes.api = *o;
	note("api~");
}

uint16_t mu_api_port(const struct mu_api *a, unsigned i)
{
	(void)a;
	return (uint16_t)(8000 + i);
}

void mu_api_free(struct mu_api *a)
{
	if (a)
		note("api-");
}

struct mu_keyring {
	size_t n;
};

int mu_keyring_new(struct mu_keyring **ret)
{
	*ret = calloc(1, sizeof(**ret));
	fakes.keyrings++;
	return 0;
}

void mu_keyring_free(struct mu_keyring *k)
{
	fakes.keyrings -= k != NULL;
	free(k);
}

int mu_keyring_add_file(struct mu_keyring *k, const char *path, struct mu_error *e)
{
	if (strstr(path, "broken"))
		return mu_error_set(e, -EINVAL, "not a public key");
	k->n++;
	return 0;
}

size_t mu_keyring_size(const struct mu_keyring *k)
{
	return k->n;
}

/* --- conferences: none, and a file for them --- */

int mu_conference_db_new(const char *path, struct mu_conference_db **ret, struct mu_error *e)
{
	int err = begin("kept", e);

	snprintf(fakes.kept, sizeof(fakes.kept), "%s", path);
	if (err == 0)
		*ret = (struct mu_conference_db *)&thing;
	return err;
}

void mu_conference_db_free(struct mu_conference_db *db)
{
	if (db)
		note("kept-");
}

struct mu_conference_store mu_conference_db_store(struct mu_conference_db *db)
{
	(void)db;
	return (struct mu_conference_store){ 0 };
}

unsigned mu_conference_db_restore(struct mu_conference_db *db, struct mu_conferences *cs)
{
	(void)db;
	(void)cs;
	return 0;
}

int mu_conferences_new(struct mu_directory *d, const struct mu_conference_store *store, struct mu_conferences **ret)
{
	(void)d;
	(void)store;
	*ret = NULL;
	return 0;
}

void mu_conferences_limit(struct mu_conferences *cs, const struct mu_conference_limits *l)
{
	(void)cs;
	fakes.conferences = *l;
}

void mu_conferences_free(struct mu_conferences *cs)
{
	(void)cs;
}

void mu_conferences_release_absent(struct mu_conferences *cs, int64_t now_us)
{
	(void)cs;
	(void)now_us;
}
