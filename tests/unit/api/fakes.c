#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fakes.h"

struct fake fake;

void fake_init(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.post_status = 201;
	fake.kept = json_array();
}

void fake_done(void)
{
	json_decref(fake.kept);
}

const char *fake_token(const char *jti, const char *scopes, const char *endpoint, int ttl_s)
{
	static char text[4][256];
	static unsigned at;
	char *t = text[at++ % 4];

	snprintf(t, 256, "%s,tester,%s,%s,%d", jti, scopes, endpoint, ttl_s);
	return t;
}

/* --- secure
 * ------------------------------------------------------------------------------------------------------------------
 */

static const char *const scope_names[] = { "publish", "watch", "conference", "operate", "admin" };

int mu_scope_parse(const char *text, uint32_t *ret)
{
	*ret = 0;
	for (unsigned i = 0; i < MU_ARRAY_LEN(scope_names); i++) {
		if (strstr(text, scope_names[i]))
			*ret |= 1u << i;
	}
	return 0;
}

char *mu_scope_text(uint32_t scopes, char *ret, size_t size)
{
	*ret = '\0';
	for (unsigned i = 0; i < MU_ARRAY_LEN(scope_names); i++) {
		if (scopes & 1u << i) {
			g_strlcat(ret, *ret ? " " : "", size);
			g_strlcat(ret, scope_names[i], size);
		}
	}
	return ret;
}

bool mu_token_covers(const struct mu_token *t, const char *id)
{
	size_t n = strlen(t->endpoint);

	if (n == 0)
		return true;
	return t->endpoint[n - 1] == '*' ? strncmp(t->endpoint, id, n - 1) == 0
					 : strcmp(t->endpoint, id) == 0;
}

int mu_token_verify(
	const struct mu_keyring *k, const char *jwt, int64_t now_s, struct mu_token *ret, struct mu_error *e)
{
	char **part = g_strsplit(jwt, ",", 5);
	int ttl_s, err = 0;

	(void)k;
	if (g_strv_length(part) != 5) {
		g_strfreev(part);
		return mu_error_set(e, -EBADMSG, "no token");
	}
	memset(ret, 0, sizeof(*ret));
	g_strlcpy(ret->id, part[0], sizeof(ret->id));
	g_strlcpy(ret->subject, part[1], sizeof(ret->subject));
	mu_scope_parse(part[2], &ret->scopes);
	g_strlcpy(ret->endpoint, part[3], sizeof(ret->endpoint));
	ttl_s = atoi(part[4]);
	ret->expires_s = now_s + ttl_s;
	if (strcmp(ret->id, "forged") == 0)
		err = mu_error_set(e, -EPERM, "signature");
	else if (ttl_s < 0)
		err = mu_error_set(e, -ETIME, "expired");
	g_strfreev(part);
	return err;
}

bool mu_keyring_knows(const struct mu_keyring *k, const struct mu_token *t)
{
	(void)k;
	return strcmp(t->id, fake.withdrawn) != 0;
}

/* --- directory
 * ------------------------------------------------------------------------------------------------------------------
 */

bool mu_endpoint_id_valid(const char *id)
{
	const char *slash = strchr(id, '/');

	return slash && slash != id && strlen(slash + 1) >= 1 && strlen(slash + 1) <= 64;
}

const char *mu_endpoint_state_name(enum mu_endpoint_state s)
{
	static const char *const names[] = { "idle", "live", "lost" };

	return names[s];
}

struct mu_endpoint *mu_directory_find(struct mu_directory *d, const char *id)
{
	(void)d;
	for (unsigned i = 0; i < fake.n_endpoints; i++) {
		if (strcmp(fake.endpoints[i].id, id) == 0)
			return &fake.endpoints[i];
	}
	return NULL;
}

void mu_directory_each(struct mu_directory *d, bool (*fn)(void *arg, struct mu_endpoint *ep), void *arg)
{
	(void)d;
	for (unsigned i = 0; i < fake.n_endpoints; i++) {
		if (!fn(arg, &fake.endpoints[i]))
			return;
	}
}

json_t *mu_endpoint_json(const struct mu_endpoint *ep)
{
	return json_pack("{ss ss si}", "id", ep->id, "state", mu_endpoint_state_name(ep->state), "viewers",
		(int)ep->viewers);
}

void mu_directory_listen(struct mu_directory *d, struct mu_event_listener *l)
{
	(void)d;
	fake.listener = l;
}

void mu_directory_unlisten(struct mu_directory *d, struct mu_event_listener *l)
{
	(void)d;
	(void)l;
	fake.listener = NULL;
}

static struct mu_event event_at(size_t i)
{
	json_t *o = json_array_get(fake.kept, i);
	struct mu_event ev = { .number = i + 1, .wall_us = 1000, .data = json_object_get(o, "data") };

	g_strlcpy(ev.kind, json_string_value(json_object_get(o, "kind")), sizeof(ev.kind));
	return ev;
}

void mu_directory_tell(struct mu_directory *d, const char *kind, json_t *data)
{
	struct mu_event ev;

	(void)d;
	json_array_append_new(fake.kept, json_pack("{ss so}", "kind", kind, "data", data));
	ev = event_at(json_array_size(fake.kept) - 1);
	if (fake.listener)
		fake.listener->fn(fake.listener, &ev);
}

bool mu_directory_replay(
	struct mu_directory *d, uint64_t number, void (*fn)(void *arg, const struct mu_event *ev), void *arg)
{
	(void)d;
	if (number > json_array_size(fake.kept))
		return false;
	for (size_t i = number; i < json_array_size(fake.kept); i++) {
		struct mu_event ev = event_at(i);

		fn(arg, &ev);
	}
	return true;
}

/* --- webrtc
 * ----------------------------------------------------------------------------------------------------------------------
 */

void mu_web_reply_done(struct mu_web_reply *r)
{
	free(r->body);
	free(r->location);
	memset(r, 0, sizeof(*r));
}

static void post(const struct mu_token *who, const char *endpoint, const char *sdp, size_t len,
	struct mu_web_reply *ret)
{
	unsigned i = fake.n_sessions;

	snprintf(fake.sdp, sizeof(fake.sdp), "%.*s", (int)MU_MIN(len, sizeof(fake.sdp) - 1), sdp);
	ret->status = len < 2 || strncmp(sdp, "v=", 2) != 0 ? 400 : fake.post_status;
	if (ret->status != 201) {
		ret->title = "Refused";
		ret->retry_after_s = ret->status == 503 ? 7 : 0;
		snprintf(ret->detail, sizeof(ret->detail), "line 1: not an SDP");
		return;
	}
	snprintf(fake.sessions[i].id, sizeof(fake.sessions[i].id), "s%u", ++fake.made);
	g_strlcpy(fake.sessions[i].endpoint, endpoint, MU_ID_MAX);
	fake.sessions[i].who = *who;
	fake.n_sessions++;
	if (asprintf(&ret->location, "/session/%s", fake.sessions[i].id) < 0)
		abort();
	ret->body = strdup("v=0\r\n");
	ret->type = "application/sdp";
	strcpy(ret->etag, "\"one\"");
}

void mu_whip_post(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp,
	size_t len, struct mu_web_reply *ret)
{
	(void)w;
	post(who, endpoint, sdp, len, ret);
}

void mu_whep_post(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp,
	size_t len, struct mu_web_reply *ret)
{
	(void)w;
	post(who, endpoint, sdp, len, ret);
}

void mu_session_patch(struct mu_webrtc *w, const char *id, const char *content_type, const char *if_match,
	const char *body, size_t len, struct mu_web_reply *ret)
{
	(void)w;
	(void)id;
	(void)body;
	(void)len;
	g_strlcpy(fake.type, content_type ? content_type : "", sizeof(fake.type));
	g_strlcpy(fake.if_match, if_match ? if_match : "", sizeof(fake.if_match));
	ret->status = !if_match ? 428 : 204;
	ret->title = "Precondition required";
}

static int session_at(const char *id)
{
	for (unsigned i = 0; i < fake.n_sessions; i++) {
		if (strcmp(fake.sessions[i].id, id) == 0)
			return (int)i;
	}
	return -1;
}

void mu_session_delete(struct mu_webrtc *w, const char *id, struct mu_web_reply *ret)
{
	int i = session_at(id);

	(void)w;
	ret->status = i < 0 ? 404 : 200;
	ret->title = "No such session";
	if (i >= 0)
		fake.sessions[i] = fake.sessions[--fake.n_sessions];
}

const struct mu_token *mu_session_token(struct mu_webrtc *w, const char *id)
{
	int i = session_at(id);

	(void)w;
	return i < 0 ? NULL : &fake.sessions[i].who;
}

unsigned mu_webrtc_end_token(struct mu_webrtc *w, const char *token_id, const char *why)
{
	unsigned n = 0;

	(void)w;
	(void)why;
	g_strlcpy(fake.ended_token, token_id, sizeof(fake.ended_token));
	for (unsigned i = fake.n_sessions; i-- > 0;) {
		if (strcmp(fake.sessions[i].who.id, token_id) == 0) {
			fake.sessions[i] = fake.sessions[--fake.n_sessions];
			n++;
		}
	}
	return n;
}

unsigned mu_webrtc_sessions(const struct mu_webrtc *w)
{
	(void)w;
	return fake.n_sessions;
}

json_t *mu_webrtc_sessions_json(struct mu_webrtc *w, const char *endpoint)
{
	json_t *all = json_array();

	(void)w;
	for (unsigned i = 0; i < fake.n_sessions; i++) {
		if (!endpoint || strcmp(endpoint, fake.sessions[i].endpoint) == 0)
			json_array_append_new(all,
				json_pack("{ss ss ss s[{ss ss si si si si}]}", "id", fake.sessions[i].id,
					"kind", "whip", "endpoint", fake.sessions[i].endpoint, "streams",
					"mid", "0", "kind", "video", "rtt_us", 20000, "jitter_us", 1500,
					"packets", 99, "lost", 1));
	}
	return all;
}

/* --- media
 * -----------------------------------------------------------------------------------------------------------------------
 */

static struct {
	void (*done)(void *arg, const struct mu_media_stats *s, unsigned n);
	void *arg;
} asked;

void fake_stats(void)
{
	static const struct mu_media_stats s[2] = { { .rtp_in = 5,
							    .queue_us_bucket = { 1, 2, 3 },
							    .queue_us_sum = 700,
							    .queue_count = 6,
							    .net.load = 0.25 },
		{ .bad_auth = 3 } };

	asked.done(asked.arg, s, 2);
}

void mu_media_ask_stats(
	struct mu_media *m, void (*done)(void *arg, const struct mu_media_stats *s, unsigned n), void *arg)
{
	(void)m;
	asked.done = done;
	asked.arg = arg;
	if (!fake.late_stats)
		fake_stats();
}

const char *mu_media_engine(const struct mu_media *m)
{
	(void)m;
	return "openssl";
}

struct mu_net *mu_media_net(struct mu_media *m)
{
	(void)m;
	return NULL;
}

unsigned mu_net_workers(const struct mu_net *n)
{
	(void)n;
	return 2;
}
