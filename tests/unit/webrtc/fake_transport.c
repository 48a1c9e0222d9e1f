#include "fake_transport.h"

struct fake fake;

void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

/* --- media --- */

static struct mu_identity *identity;

struct mu_net *mu_media_net(struct mu_media *m)
{
	return (struct mu_net *)m; /* never looked into */
}

const struct mu_identity *mu_media_identity(const struct mu_media *m)
{
	(void)m;
	return identity;
}

unsigned mu_media_pick_worker(struct mu_media *m)
{
	(void)m;
	return fake.worker;
}

uint16_t mu_net_port(const struct mu_net *n, unsigned i, unsigned listen)
{
	(void)n;
	return (uint16_t)(50000 + i + 100 * listen);
}

uint16_t mu_net_tcp_port(const struct mu_net *n, unsigned i, unsigned listen)
{
	(void)n;
	return (uint16_t)(60000 + i + 100 * listen);
}

/* --- tracks --- */

struct mu_track {
	unsigned users;
	void (*watch)(void *arg, struct mu_track *t);
	void *watch_arg;
	unsigned refs, home;
	enum mu_kind kind;
	char id[160];
};

int mu_track_new(struct mu_net *net, unsigned home, const char *id, enum mu_kind kind, struct mu_track **ret)
{
	struct mu_track *t = calloc(1, sizeof(*t));

	(void)net;
	t->refs = 1;
	t->home = home;
	t->kind = kind;
	snprintf(t->id, sizeof(t->id), "%s", id);
	fake.n_tracks++;
	*ret = t;
	return 0;
}

struct mu_track *mu_track_ref(struct mu_track *t)
{
	t->refs++;
	return t;
}

struct mu_track *mu_track_unref(struct mu_track *t)
{
	if (t && --t->refs == 0) {
		free(t);
		fake.n_tracks--;
	}
	return NULL;
}

const char *mu_track_id(const struct mu_track *t)
{
	return t->id;
}

enum mu_kind mu_track_kind(const struct mu_track *t)
{
	return t->kind;
}

void mu_track_shape(const struct mu_track *t, struct mu_shape *ret)
{
	(void)t;
	*ret = fake.shape;
	if (ret->spatials == 0)
		*ret = (struct mu_shape){ .flows = true, .spatials = 1, .temporals = 1 };
}

unsigned mu_track_loudness(const struct mu_track *t, int64_t now)
{
	(void)now;
	for (size_t i = 0; i < MU_ARRAY_LEN(fake.loud_track); i++) {
		if (fake.loud_track[i] == t)
			return fake.loudness[i];
	}
	return 0;
}

unsigned mu_track_users(const struct mu_track *t)
{
	return t->users;
}

void mu_track_watch(
	struct mu_track *t, struct mu_inbox *in, void (*fn)(void *arg, struct mu_track *t), void *arg)
{
	(void)in;
	t->watch = fn;
	t->watch_arg = arg;
}

void fake_users(struct mu_track *t, unsigned users)
{
	t->users = users;
	if (t->watch)
		t->watch(t->watch_arg, t);
}

void fake_loud(struct mu_track *t, unsigned loudness)
{
	size_t i = 0;

	while (fake.loud_track[i] && fake.loud_track[i] != t)
		i++;
	assert_true(i < MU_ARRAY_LEN(fake.loud_track));
	fake.loud_track[i] = t;
	fake.loudness[i] = loudness;
}

/* --- transports --- */

int mu_transport_new(struct mu_media *m, const struct mu_transport_spec *spec,
	const struct mu_transport_events *ev, void *arg, struct mu_transport **ret)
{
	struct mu_transport *t;

	(void)m;
	if (fake.refuse_transports)
		return -ENOMEM;
	t = calloc(1, sizeof(*t));
	t->spec = *spec;
	snprintf(t->id, sizeof(t->id), "%s", spec->id);
	t->spec.id = t->id;
	t->events = ev;
	t->arg = arg;
	mu_random_text(t->ufrag, 8);
	mu_random_text(t->pwd, 24);
	for (unsigned i = 0; i < spec->n_in; i++)
		mu_track_ref(spec->in[i].track);
	for (unsigned i = 0; i < spec->n_out; i++)
		mu_track_ref(spec->out[i].track);
	for (unsigned i = 0; spec->fitted && i < spec->n_out; i++) { /* they begin with their track */
		t->out[t->n_out].s = spec->out[i];
		t->out[t->n_out].feed = (struct mu_feed){ { mu_track_ref(spec->out[i].track) }, 1, 0, 0, 0, false };
		t->n_out++;
	}
	fake.t[fake.n++ % MU_ARRAY_LEN(fake.t)] = t;
	fake.n_alive++;
	*ret = t;
	return 0;
}

void mu_transport_credentials(char ret_ufrag[MU_ICE_UFRAG + 1], char ret_pwd[MU_ICE_PWD + 1])
{
	mu_random_text(ret_ufrag, MU_ICE_UFRAG);
	mu_random_text(ret_pwd, MU_ICE_PWD);
}

int mu_transport_add_in(struct mu_transport *t, const struct mu_stream_in *s)
{
	assert_true(t->n_in < MU_ARRAY_LEN(t->in));
	t->in[t->n_in] = *s;
	mu_track_ref(t->in[t->n_in++].track);
	return 0;
}

void mu_transport_remove_in(struct mu_transport *t, const char *mid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_in; i++) {
		if (strcmp(t->in[i].mid, mid) == 0)
			mu_track_unref(t->in[i].track);
		else
			t->in[n++] = t->in[i];
	}
	t->n_in = n;
}

struct fake_out *fake_out(struct mu_transport *t, const char *mid)
{
	for (unsigned i = 0; i < t->n_out; i++) {
		if (strcmp(t->out[i].s.mid, mid) == 0)
			return &t->out[i];
	}
	return NULL;
}

int mu_transport_add_out(struct mu_transport *t, const struct mu_stream_out *s)
{
	assert_true(t->spec.fitted && !s->track && s->n_formats > 0 && !fake_out(t, s->mid));
	t->out[t->n_out++].s = *s;
	return 0;
}

static void drop_feed(struct fake_out *o)
{
	for (unsigned i = 0; i < o->feed.n_layers; i++)
		mu_track_unref(o->feed.layers[i]);
	memset(&o->feed, 0, sizeof(o->feed));
}

int mu_transport_feed(struct mu_transport *t, const char *mid, const struct mu_feed *f)
{
	struct fake_out *o = fake_out(t, mid);

	if (!o)
		return -ENOENT;
	for (unsigned i = 0; i < f->n_layers; i++) {
		assert_int_equal(f->layers[i]->kind, mu_codec_kind(o->s.formats[0].format.codec));
		mu_track_ref(f->layers[i]);
	}
	drop_feed(o);
	o->feed = *f;
	o->feeds++;
	return 0;
}

const char *mu_choice_name(enum mu_choice c)
{
	(void)c;
	return "whole";
}

const char *mu_transport_ufrag(const struct mu_transport *t)
{
	return t->ufrag;
}

const char *mu_transport_pwd(const struct mu_transport *t)
{
	return t->pwd;
}

int mu_transport_restart_ice(struct mu_transport *t)
{
	if (fake.refuse_restarts)
		return -EPROTO;
	t->restarts++;
	mu_random_text(t->ufrag, 8);
	mu_random_text(t->pwd, 24);
	return 0;
}

void mu_transport_close(struct mu_transport *t, const char *why)
{
	if (!t->closing)
		snprintf(t->why, sizeof(t->why), "%s", why);
	t->closing = true;
}

void mu_transport_free(struct mu_transport *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->spec.n_in; i++)
		mu_track_unref(t->spec.in[i].track);
	for (unsigned i = 0; i < t->spec.n_out; i++)
		mu_track_unref(t->spec.out[i].track);
	for (unsigned i = 0; i < t->n_in; i++)
		mu_track_unref(t->in[i].track);
	for (unsigned i = 0; i < t->n_out; i++)
		drop_feed(&t->out[i]);
	for (unsigned i = 0; i < MU_ARRAY_LEN(fake.t); i++) {
		if (fake.t[i] == t)
			fake.t[i] = NULL;
	}
	fake.n_alive--;
	free(t);
}

void mu_transport_ask_stats(struct mu_transport *t)
{
	t->asks++;
}

struct mu_transport *fake_last(void)
{
	return fake.t[(fake.n - 1) % MU_ARRAY_LEN(fake.t)];
}

void fake_fire(struct mu_transport *t, enum mu_transport_state s, const char *why)
{
	t->events->state(t->arg, s, why);
}

/* --- timers --- */

static void keep_timer(guint id, guint ms, GSourceFunc fn, gpointer arg)
{
	size_t i = 0;

	while (i < MU_ARRAY_LEN(fake.timers) && fake.timers[i].id)
		i++;
	assert_true(i < MU_ARRAY_LEN(fake.timers));
	fake.timers[i] = (struct fake_timer){ id, ms, fake.now_us + (int64_t)ms * 1000, fn, arg };
}

static struct fake_timer *next_timer(int64_t until_us)
{
	struct fake_timer *first = NULL;

	for (size_t i = 0; i < MU_ARRAY_LEN(fake.timers); i++) {
		struct fake_timer *t = &fake.timers[i];

		if (t->id && t->due_us <= until_us && (!first || t->due_us < first->due_us))
			first = t;
	}
	return first;
}

void fake_pass(unsigned ms)
{
	int64_t until_us = fake.now_us + (int64_t)ms * 1000;
	struct fake_timer *t;

	while ((t = next_timer(until_us))) {
		guint id = t->id;

		fake.now_us = MU_MAX(fake.now_us, t->due_us);
		t->due_us += MU_MAX((int64_t)t->ms * 1000, (int64_t)1000);
		if (!t->fn(t->arg) && t->id == id)
			t->id = 0;
	}
	fake.now_us = until_us;
}

static guint timer_add(guint ms, GSourceFunc fn, gpointer arg)
{
	if (fake.many_timers)
		keep_timer(fake.n_timers + 1, ms, fn, arg);
	fake.timer = fn;
	fake.timer_arg = arg;
	fake.timer_ms = ms;
	return ++fake.n_timers;
}

static gboolean timer_remove(guint id)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(fake.timers); i++) {
		if (fake.timers[i].id == id)
			fake.timers[i].id = 0;
	}
	if (id == fake.n_timers)
		fake.timer = NULL;
	return TRUE;
}

static int64_t now_us(void)
{
	return fake.now_us;
}

/* --- fixture --- */

static void hear(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct fixture *f = MU_CONTAINER_OF(l, struct fixture, l);
	const char *why = json_string_value(json_object_get(ev->data, "why"));
	size_t len = strlen(f->events);
	char *all = json_dumps(ev->data, 0);

	assert_lacks(all, "secret-token"); /* tokens and SDP never go into events */
	assert_lacks(all, "ice-pwd");
	free(all);
	snprintf(f->events + len, sizeof(f->events) - len, "%s%s%s\n", ev->kind, why ? ": " : "",
		why ? why : "");
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	memset(&fake, 0, sizeof(fake));
	assert_int_equal(mu_identity_new(&identity), 0);
	assert_int_equal(mu_directory_new("city", &f->d), 0);
	assert_int_equal(mu_addr_parse("192.0.2.1", 0, &f->listen[0]), 0);
	assert_int_equal(mu_addr_parse("2001:db8::1", 0, &f->listen[1]), 0);
	f->o = (struct mu_webrtc_options){
		.media = (struct mu_media *)f, /* never looked into */
		.directory = f->d,
		.listen = f->listen,
		.n_listen = 2,
		.hold_us = 10000000,
		.max_sessions = 100,
	};
	assert_int_equal(mu_webrtc_new(&f->o, &f->w), 0);
	f->w->timer_add = timer_add;
	f->w->timer_remove = timer_remove;
	f->w->now_us = now_us;
	f->l.fn = hear;
	mu_directory_listen(f->d, &f->l);
	f->token = (struct mu_token){ .id = "secret-token", .subject = "unit 7", .expires_s = 2000000000 };
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	mu_web_reply_done(&f->r);
	mu_webrtc_close_all(f->w, "the test ends");
	for (unsigned i = 0; i < MU_ARRAY_LEN(fake.t); i++) {
		if (fake.t[i])
			fake_fire(fake.t[i], MU_TRANSPORT_CLOSED, "");
	}
	assert_int_equal(mu_webrtc_sessions(f->w), 0);
	mu_webrtc_free(f->w);
	mu_directory_free(f->d);
	mu_identity_free(identity);
	assert_int_equal(fake.n_alive, 0);
	assert_int_equal(fake.n_tracks, 0);
	free(f);
	return 0;
}

char *sdp_load(const char *name)
{
	char path[512];
	gchar *text;
	char *copy;

	snprintf(path, sizeof(path), MU_TEST_DATA "/sdp/%s", name);
	if (!g_file_get_contents(path, &text, NULL, NULL))
		fail_msg("cannot read %s", path);
	copy = strdup(text);
	g_free(text);
	return copy;
}

char *sdp_replace(char *sdp, const char *from, const char *to)
{
	gchar **parts = g_strsplit(sdp, from, -1);
	gchar *joined = g_strjoinv(to, parts);
	char *copy = strdup(joined);

	assert_contains(sdp, from);
	g_strfreev(parts);
	g_free(joined);
	free(sdp);
	return copy;
}

typedef void post_fn(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp,
	size_t len, struct mu_web_reply *ret);

static const char *post(struct fixture *f, post_fn *fn, const char *endpoint, char *sdp)
{
	mu_web_reply_done(&f->r);
	fn(f->w, &f->token, endpoint, sdp, strlen(sdp), &f->r);
	free(sdp);
	if (f->r.status >= 400) {
		assert_null(f->r.body);
		assert_null(f->r.location);
		assert_true(strlen(f->r.detail) > 10);
		assert_non_null(f->r.title);
		return "";
	}
	assert_int_equal(f->r.status, 201);
	assert_string_equal(f->r.type, "application/sdp");
	assert_true(strncmp(f->r.location, "/session/", 9) == 0);
	assert_int_equal(f->r.etag[0], '"');
	return f->r.location + 9;
}

const char *whip_text(struct fixture *f, const char *endpoint, char *sdp)
{
	return post(f, mu_whip_post, endpoint, sdp);
}

const char *whip_file(struct fixture *f, const char *endpoint, const char *name)
{
	return whip_text(f, endpoint, sdp_load(name));
}

const char *whep_text(struct fixture *f, const char *endpoint, char *sdp)
{
	return post(f, mu_whep_post, endpoint, sdp);
}

const char *whep_file(struct fixture *f, const char *endpoint, const char *name)
{
	return whep_text(f, endpoint, sdp_load(name));
}

struct mu_transport *publish(struct fixture *f, const char *name)
{
	struct mu_transport *t;

	whip_file(f, "city/cam", name);
	if (f->r.status != 201)
		fail_msg("%d %s", f->r.status, f->r.detail);
	t = fake_last();
	fake_fire(t, MU_TRANSPORT_CONNECTED, "");
	return t;
}
