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

void mu_track_shape(const struct mu_track *t, struct mu_shape *ret)
{
	(void)t;
	*ret = (struct mu_shape){ .flows = true, .spatials = 1, .temporals = 1 };
}

/* --- secure --- */

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

bool mu_token_covers_conference(const struct mu_token *t, const char *id)
{
	return !t->conference[0] || strcmp(t->conference, id) == 0;
}

bool mu_token_same(const struct mu_token *a, const struct mu_token *b)
{
	return strcmp(a->id, b->id) == 0 && strcmp(a->kid, b->kid) == 0;
}

int mu_token_verify(
	const struct mu_keyring *k, const char *jwt, int64_t now_s, struct mu_token *ret, struct mu_error *e)
{
	char **part = g_strsplit(jwt, ",", 7);
	int ttl_s, err = 0;

	(void)k;
	if (g_strv_length(part) < 5) {
		g_strfreev(part);
		return mu_error_set(e, -EBADMSG, "no token");
	}
	memset(ret, 0, sizeof(*ret));
	g_strlcpy(ret->id, part[0], sizeof(ret->id));
	g_strlcpy(ret->subject, part[1], sizeof(ret->subject));
	mu_scope_parse(part[2], &ret->scopes);
	g_strlcpy(ret->endpoint, part[3], sizeof(ret->endpoint));
	ttl_s = atoi(part[4]);
	g_strlcpy(ret->kid, part[5] ? part[5] : "", sizeof(ret->kid));
	g_strlcpy(ret->conference, part[5] && part[6] ? part[6] : "", sizeof(ret->conference));
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

/* --- webrtc --- */

void mu_web_reply_done(struct mu_web_reply *r)
{
	free(r->body);
	free(r->location);
	for (unsigned i = 0; i < r->n_links; i++)
		free(r->links[i]);
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
	for (; ret->n_links < fake.links; ret->n_links++) {
		if (asprintf(&ret->links[ret->n_links], "<turn:t%u>; rel=\"ice-server\"", ret->n_links) < 0)
			abort();
	}
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

bool mu_webrtc_draining(const struct mu_webrtc *w)
{
	(void)w;
	return fake.draining;
}

const char *mu_session_endpoint(struct mu_webrtc *w, const char *id)
{
	int i = session_at(id);

	(void)w;
	return i < 0 ? NULL : fake.sessions[i].endpoint;
}

/* What the first letter of its endpoint's name says: "w" watches, all others publish. */
void mu_webrtc_each_session(struct mu_webrtc *w, uint64_t after,
	bool (*fn)(void *arg, const struct mu_session_info *s), void *arg)
{
	static const struct mu_stream_stats video_in[] = {
		{ .mid = "0", .kind = MU_VIDEO, .packets = 99, .lost = 1, .jitter_us = 1500, .rtt_us = 20000 },
		{ .mid = "1", .rid = "h", .kind = MU_VIDEO, .packets = 99, .rtt_us = 30000 },
	};
	static const struct mu_stream_stats video_out = { .mid = "0",
		.out = true,
		.kind = MU_VIDEO,
		.packets = 99,
		.jitter_us = 3000,
		.rtt_us = 90000,
		.remote_fraction_lost = 10 };
	static const struct mu_transport_stats in = { .n_streams = 2, .streams = video_in };
	static const struct mu_transport_stats out = { .n_streams = 1, .streams = &video_out };

	(void)w;
	for (unsigned i = 0; i < fake.n_sessions; i++) {
		bool watches = strstr(fake.sessions[i].endpoint, "/w") != NULL;
		struct mu_session_info s = { .number = i + 1,
			.endpoint = fake.sessions[i].endpoint,
			.publishes = !watches,
			.stats = watches ? &out : &in,
			.session = (const struct session *)&fake.sessions[i] };

		if (s.number > after && !fn(arg, &s))
			return;
	}
}

json_t *mu_session_json(const struct mu_session_info *s)
{
	return json_pack("{sI ss ss}", "number", (json_int_t)s->number, "id",
		((const struct fake_session *)s->session)->id, "endpoint", s->endpoint);
}

/* --- consoles --- */

void mu_webrtc_set_host(struct mu_webrtc *w, const struct mu_console_host *h)
{
	(void)w;
	fake.host = h ? *h : (struct mu_console_host){ .check = NULL };
}

int mu_console_new(
	struct mu_webrtc *w, const struct mu_console_socket *s, const char *from, struct mu_console **ret)
{
	unsigned i = 0;

	(void)w;
	while (i < MU_ARRAY_LEN(fake.consoles) && fake.consoles[i].used)
		i++;
	if (fake.no_consoles || i == MU_ARRAY_LEN(fake.consoles))
		return -ENOSPC;
	*ret = &fake.consoles[i];
	**ret = (struct mu_console){ .socket = *s, .used = true };
	g_strlcpy((*ret)->from, from, sizeof((*ret)->from));
	fake.n_consoles++;
	return 0;
}

/* "hello" makes it known, "close" closes, "flood" sends a megabyte and more; everything comes back in "heard". */
void mu_console_text(struct mu_console *c, const char *text, size_t len)
{
	g_strlcpy(c->last, text, sizeof(c->last));
	c->last_len = len;
	fake.n_texts++;
	if (strcmp(text, "close") == 0) {
		c->socket.close(c->socket.arg, 1000, "bye");
		return;
	}
	c->known |= strcmp(text, "hello") == 0;
	for (int i = 0; strcmp(text, "flood") == 0 && i < 40; i++) {
		char *big = g_strnfill(65536, 'x');

		c->socket.send(c->socket.arg, json_pack("{ss}", "big", big));
		g_free(big);
	}
	c->socket.send(c->socket.arg, json_pack("{ss}", "heard", c->last));
}

bool mu_console_known(const struct mu_console *c)
{
	return c->known;
}

void mu_console_lost(struct mu_console *c)
{
	if (!c->used)
		abort();
	c->used = false;
	fake.n_consoles--;
	fake.n_consoles_lost++;
}

/* --- media --- */

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
