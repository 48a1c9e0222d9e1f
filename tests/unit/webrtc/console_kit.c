#include "console_kit.h"

#include "schema.h"

struct kit kit;

/* --- the HTTP side --- */

static int check_token(void *arg, const char *token, struct mu_token *ret, struct mu_error *e)
{
	char **part = g_strsplit(token, ",", 3);
	int err = 0;

	(void)arg;
	memset(ret, 0, sizeof(*ret));
	if (g_strv_length(part) != 3) {
		g_strfreev(part);
		return mu_error_set(e, -EPERM, "The token is not one that this gateway takes.");
	}
	g_strlcpy(ret->id, part[0], sizeof(ret->id));
	snprintf(ret->subject, sizeof(ret->subject), "user %.60s", part[0]);
	assert_int_equal(mu_scope_parse(part[1], &ret->scopes), 0);
	g_strlcpy(ret->endpoint, part[2], sizeof(ret->endpoint));
	ret->expires_s = 2000000000;
	if (strcmp(part[0], "revoked") == 0)
		err = mu_error_set(e, -EPERM, "The token was revoked: ask for a new one.");
	g_strfreev(part);
	return err;
}

static bool allows(void *arg, const struct mu_token *who)
{
	(void)arg;
	return strcmp(who->id, "hasty") != 0;
}

static void audit(void *arg, const char *who, const char *from, const char *what, const char *target,
	const char *result, const char *why)
{
	size_t len = strlen(kit.audit);

	(void)arg;
	(void)who;
	assert_true(!from || from[0]);
	snprintf(kit.audit + len, sizeof(kit.audit) - len, "%s %s %s: %s\n", what, target ? target : "-",
		result, why ? why : "");
}

static const struct mu_console_host host = { .check = check_token, .allows = allows, .audit = audit };

/* --- a gateway --- */

int kit_setup(void **state)
{
	struct mu_conference_spec spec = { .id = "morning", .title = "Morning call" };
	struct mu_error e;

	if (fixture_setup(state) < 0)
		return -1;
	memset(&kit, 0, sizeof(kit));
	kit.f = *state;
	fake.many_timers = true;
	fake.now_us = 1000000000;
	assert_int_equal(mu_conferences_new(kit.f->d, NULL, &kit.cs), 0);
	assert_int_equal(mu_conference_create(kit.cs, &spec, &kit.c, &e), 0);
	kit.f->w->o.conferences = kit.cs;
	mu_webrtc_set_host(kit.f->w, &host);
	schema_load();
	return 0;
}

static void close_transports(void)
{
	for (unsigned i = 0; i < MU_ARRAY_LEN(fake.t); i++) {
		if (fake.t[i] && fake.t[i]->closing)
			fake_fire(fake.t[i], MU_TRANSPORT_CLOSED, "");
	}
}

int kit_teardown(void **state)
{
	mu_webrtc_close_all(kit.f->w, "the test ends");
	close_transports();
	mu_conferences_free(kit.cs);
	schema_unload();
	return fixture_teardown(state);
}

/* --- a client --- */

static void on_send(void *arg, json_t *message)
{
	struct client *k = arg;
	char why[256];

	assert_int_equal(k->code, 0);
	assert_non_null(message);
	if (!schema_fits("gateway", message, true, why, sizeof(why)))
		fail_msg("%s: %s", json_dumps(message, 0), why);
	if (strcmp(text_of(message, "type"), "welcome") == 0)
		snprintf(k->session, sizeof(k->session), "%s", text_of(message, "session"));
	json_array_append_new(k->got, message);
}

static void on_close(void *arg, unsigned code, const char *why)
{
	struct client *k = arg;

	assert_int_equal(k->code, 0);
	k->code = code;
	snprintf(k->why, sizeof(k->why), "%s", why);
}

void client_open(struct client *k)
{
	const struct mu_console_socket s = { .send = on_send, .close = on_close, .arg = k };
	json_t *got = k->got ? k->got : json_array();
	char session[32];

	memcpy(session, k->session, sizeof(session));
	memset(k, 0, sizeof(*k));
	memcpy(k->session, session, sizeof(session));
	k->got = got;
	assert_int_equal(mu_console_new(kit.f->w, &s, "192.0.2.9", &k->l), 0);
}

void client_lose(struct client *k)
{
	mu_console_lost(k->l);
	k->l = NULL;
}

void client_done(struct client *k)
{
	if (k->l)
		client_lose(k);
	json_decref(k->got);
	memset(k, 0, sizeof(*k));
}

void client_raw(struct client *k, const char *text)
{
	mu_console_text(k->l, text, strlen(text));
}

void client_say(struct client *k, const char *type, const char *fmt, ...)
{
	json_error_t at;
	json_t *o;
	char *text;
	va_list ap;

	va_start(ap, fmt);
	o = json_vpack_ex(&at, 0, fmt, ap);
	va_end(ap);
	if (!o)
		fail_msg("%s", at.text);
	json_object_set_new(o, "type", json_string(type));
	json_object_set_new(o, "id", json_integer(++k->id));
	text = json_dumps(o, 0);
	client_raw(k, text);
	free(text);
	json_decref(o);
}

const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

bool flag_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	assert_true(json_is_boolean(v));
	return json_is_true(v);
}

const json_t *client_got(struct client *k, const char *type)
{
	static json_t *last;
	json_t *o;
	size_t i;

	json_decref(last);
	last = NULL;
	json_array_foreach(k->got, i, o)
	{
		if (strcmp(text_of(o, "type"), type) != 0)
			continue;
		last = json_incref(o);
		json_array_remove(k->got, i);
		break;
	}
	return last;
}

void client_flush(struct client *k)
{
	json_array_clear(k->got);
}

static const json_t *answered(struct client *k, const char *type)
{
	const json_t *o;

	while ((o = client_got(k, type))) {
		if (json_integer_value(json_object_get(o, "id")) == k->id)
			return o;
	}
	return NULL;
}

void client_ok(struct client *k)
{
	const json_t *o;

	if (answered(k, "ok"))
		return;
	o = answered(k, "error");
	fail_msg("no ok: %s", o ? text_of(json_object_get(o, "error"), "detail") : "nothing came");
}

void client_refused(struct client *k, int status, const char *part)
{
	const json_t *o = answered(k, "error"), *e = json_object_get(o, "error");

	if (!o)
		fail_msg("no error came");
	assert_contains(text_of(e, "detail"), part);
	assert_int_equal(json_integer_value(json_object_get(e, "status")), status);
}

void client_enter(struct client *k, const char *token, const char *endpoint)
{
	client_open(k);
	client_say(k, "hello", "{ss ss}", "token", token, "endpoint", endpoint);
	if (!client_got(k, "welcome")) {
		client_refused(k, 0, "nothing like this");
		fail();
	}
}

void client_join(struct client *k)
{
	client_say(k, "join", "{ss}", "conference", "morning");
	client_ok(k);
	assert_non_null(client_got(k, "conference"));
	fake_pass(150);
}

json_t *sdp_json(const char *name)
{
	char *sdp = sdp_load(name);
	json_t *o = json_string(sdp);

	free(sdp);
	return o;
}

struct mu_transport *client_publish(struct client *k)
{
	char *sdp = sdp_load("chromium-whip.sdp");
	struct mu_transport *t;

	client_say(k, "offer", "{ss}", "sdp", sdp);
	free(sdp);
	if (!client_got(k, "answer")) {
		client_refused(k, 0, "nothing like this");
		fail();
	}
	t = fake_last();
	fake_fire(t, MU_TRANSPORT_CONNECTED, "");
	fake_pass(100);
	return t;
}

void client_view(struct client *k, const char *endpoint, const char *label, int w, int h)
{
	client_say(k, "view", "{s[{ss ss si si}]}", "tracks", "endpoint", endpoint, "label", label, "width",
		w, "height", h);
	client_ok(k);
	fake_pass(0);
}

struct mu_transport *client_answer(struct client *k, const char *lost, const char *refuses)
{
	const json_t *o = client_got(k, "offer");
	char *sdp;

	if (!o)
		fail_msg("no offer came");
	sdp = answer_to(text_of(o, "sdp"), lost, refuses, "active", 10);
	client_say(k, "answer", "{sI ss}", "n", json_integer_value(json_object_get(o, "n")), "sdp", sdp);
	free(sdp);
	client_ok(k);
	fake_pass(0);
	return fake_last();
}

/* --- what it sees --- */

static const json_t *last_tracks(struct client *k)
{
	const json_t *found = NULL;
	json_t *o;
	size_t i;

	json_array_foreach(k->got, i, o)
	{
		if (strcmp(text_of(o, "type"), "tracks") == 0)
			found = o;
	}
	if (!found)
		fail_msg("no tracks came");
	return found;
}

const char *client_track(struct client *k, const char *mid)
{
	static char text[200];
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(last_tracks(k), "tracks"), i, o)
	{
		if (strcmp(text_of(o, "mid"), mid) != 0)
			continue;
		snprintf(text, sizeof(text), "%s%s%s", text_of(o, "endpoint"),
			text_of(o, "endpoint")[0] ? "/" : "", text_of(o, "label"));
		return text;
	}
	return NULL;
}

const char *client_mid(struct client *k, const char *endpoint, const char *label)
{
	static char mid[4][32];
	static unsigned at;
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(last_tracks(k), "tracks"), i, o)
	{
		if (strcmp(text_of(o, "endpoint"), endpoint) == 0 &&
			strcmp(text_of(o, "label"), label) == 0) {
			at = (at + 1) % 4;
			return strcpy(mid[at], text_of(o, "mid"));
		}
	}
	return NULL;
}

const char *client_missing(struct client *k, const char *endpoint, const char *label)
{
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(last_tracks(k), "missing"), i, o)
	{
		if (strcmp(text_of(o, "endpoint"), endpoint) == 0 && strcmp(text_of(o, "label"), label) == 0)
			return text_of(o, "why");
	}
	return NULL;
}
