/* One member: its console session (docs/signalling.md). */
#include "load_conf.h"

#include <stdlib.h>

#define OPENING_LIMIT_US 20000000
#define LEAVING_US       500000 /* the gateway hears of the closed connections before the WebSocket goes */

static const struct ws_events ws_events;

int conf_number(const char *endpoint)
{
	const char *at = strrchr(endpoint, '/');
	unsigned n;
	char end;

	if (!at || sscanf(at, "/member-%u%c", &n, &end) != 1 || n >= CONF_MEMBERS)
		return -1;
	return (int)n;
}

int member_init(struct member *m, struct load *l, struct conf *c, unsigned number, bool publishes)
{
	m->load = l;
	m->conf = c;
	m->number = number;
	m->publishes = publishes;
	snprintf(m->endpoint, sizeof(m->endpoint), "%.32s/member-%u", l->o.site, number);
	for (unsigned i = 0; i < CONF_MEMBERS; i++) {
		m->tile[i].width = CONF_TILE_W;
		m->tile[i].height = CONF_TILE_H;
	}
	m->up = peer_new(l, true, number, m->endpoint);
	m->down = peer_new(l, false, number, m->endpoint);
	if (!m->up || !m->down)
		return -1;
	m->up->member = m->down->member = m;
	m->up->media = &media_up;
	m->down->media = &media_down;
	return 0;
}

static void close_peers(struct member *m)
{
	peer_clear(m->up);
	peer_clear(m->down);
	json_decref(m->offer);
	m->offer = NULL;
}

void member_done(struct member *m)
{
	ws_close(m->ws);
	if (m->up && m->down)
		close_peers(m);
	free(m->up);
	free(m->down);
	memset(m, 0, sizeof(*m));
}

/* The peers are let go by member_tick: one of them may be the caller. */
void member_fail(struct member *m, const char *fmt, ...)
{
	va_list ap;

	if (m->state == MEMBER_FAILED || m->state == MEMBER_OUT)
		return;
	va_start(ap, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, ap);
	va_end(ap);
	m->state = MEMBER_FAILED;
	m->state_us = mu_clock_us();
	conf_failed(m);
}

/* Takes what is said beside type and id. */
static void say(struct member *m, const char *type, json_t *with)
{
	json_t *message = json_pack("{s:s, s:i}", "type", type, "id", (int)++m->next_id);

	if (with)
		json_object_update(message, with);
	json_decref(with);
	if (load_trace()) {
		char *text = json_dumps(message, JSON_COMPACT);

		fprintf(stderr, "%lld %s > %.400s\n", (long long)mu_clock_us() / 1000, m->endpoint, text);
		free(text);
	}
	ws_send(m->ws, message);
}

/* --- coming and going --- */

void member_join(struct member *m)
{
	m->state = MEMBER_OPENING;
	m->state_us = mu_clock_us();
	m->n_seen = 0;
	memset(m->seen, 0, sizeof(m->seen));
	memset(m->here, 0, sizeof(m->here));
	m->ws = ws_open(m->load->o.url, "/v1/console", "muster.1", &ws_events, m);
	if (!m->ws)
		member_fail(m, "no connection");
}

static void on_open(void *arg)
{
	struct member *m = arg;

	m->hello_us = mu_clock_us();
	say(m, "hello", json_pack("{s:s, s:s}", "token", m->load->o.token, "endpoint", m->endpoint));
}

static void on_closed(void *arg, const char *why)
{
	struct member *m = arg;

	m->ws = NULL;
	member_fail(m, "WebSocket: %s", why);
}

void member_leave(struct member *m)
{
	if (m->state != MEMBER_IN && m->state != MEMBER_OPENING)
		return;
	if (m->sender && m->up->state == PEER_UP)
		sender_finish(m->sender);
	say(m, "leave", NULL);
	close_peers(m);
	m->state = MEMBER_LEAVING;
	m->state_us = mu_clock_us();
}

void member_view(struct member *m)
{
	json_t *tracks = json_array();

	for (unsigned i = 0; i < CONF_MEMBERS; i++) {
		char endpoint[64];

		if (!m->here[i])
			continue;
		snprintf(endpoint, sizeof(endpoint), "%.32s/member-%u", m->load->o.site, i);
		json_array_append_new(tracks,
			json_pack("{s:s, s:s, s:i, s:i}", "endpoint", endpoint, "label", "video", "width",
				m->tile[i].width, "height", m->tile[i].height));
	}
	say(m, "view", json_pack("{s:o}", "tracks", tracks));
}

/* --- the two connections, as peers see their signalling --- */

static void start_up(struct peer *p)
{
	char *sdp = slots_offer(p, sender_audio_ssrc(p->member->sender));

	say(p->member, "offer",
		json_pack("{s:s, s:b, s:[{s:s, s:s}, {s:s, s:s}]}", "sdp", sdp, "fresh", 1, "tracks", "mid",
			"0", "label", "audio", "mid", "1", "label", "video"));
	free(sdp);
}

/* To the gateway's offer, the first or a later one. */
static void answer_down(struct peer *p, const char *sdp)
{
	struct member *m = p->member;
	struct description *d = malloc(sizeof(*d));
	char *answer = slots_answer(p, sdp);

	slots_read(sdp, d);
	wall_offered(m->wall, d);
	say(m, "answer", json_pack("{s:O, s:s}", "n", json_object_get(m->offer, "n"), "sdp", answer));
	free(answer);
	free(d);
}

static void start_down(struct peer *p)
{
	const char *sdp = json_string_value(json_object_get(p->member->offer, "sdp"));

	answer_down(p, sdp);
	peer_remote(p, sdp);
}

static void start(struct peer *p)
{
	if (p->publishes)
		start_up(p);
	else
		start_down(p);
}

static void stop(struct peer *p)
{
	(void)p;
}

const struct signalling signal_console = { start, stop, NULL };

/* --- what the gateway says --- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *t = json_string_value(json_object_get(o, key));

	return t ? t : "";
}

static void on_welcome(struct member *m, json_t *said)
{
	if (strcmp(text_of(said, "endpoint"), m->endpoint)) {
		member_fail(m, "welcome as %.60s", text_of(said, "endpoint"));
		return;
	}
	say(m, "join", json_pack("{s:s, s:s}", "conference", "bench", "name", m->endpoint));
	if (m->publishes)
		peer_start(m->up, mu_clock_us());
}

static void on_answer(struct member *m, json_t *said)
{
	const char *sdp = text_of(said, "sdp");
	struct description *d = malloc(sizeof(*d));

	slots_read(sdp, d);
	if (m->sender)
		sender_answered(m->sender, d);
	if (d->n != 2 || d->s[0].refused || d->s[1].refused)
		member_fail(m, "the gateway takes not both tracks");
	else
		peer_remote(m->up, sdp);
	free(d);
}

static void on_offer(struct member *m, json_t *said)
{
	json_decref(m->offer);
	m->offer = json_incref(said);
	if (m->down->state != PEER_FREE && json_is_true(json_object_get(said, "fresh")))
		peer_clear(m->down);
	if (m->down->state == PEER_FREE)
		peer_start(m->down, mu_clock_us());
	else if (m->wall)
		answer_down(m->down, text_of(said, "sdp"));
}

static void on_tracks(struct member *m, json_t *said)
{
	json_t *t;
	size_t i;

	json_array_foreach(json_object_get(said, "tracks"), i, t)
	{
		if (m->wall)
			wall_track(m->wall, text_of(t, "mid"), conf_number(text_of(t, "endpoint")),
				mu_clock_us());
	}
}

static void on_conference(struct member *m, json_t *said)
{
	bool here[CONF_MEMBERS] = { false };
	json_t *state = json_object_get(said, "state"), *one;
	size_t i;

	if (!json_is_object(state)) {
		if (m->state != MEMBER_LEAVING)
			member_fail(m, "out of the conference: %.60s", text_of(said, "why"));
		return;
	}
	json_array_foreach(json_object_get(state, "members"), i, one)
	{
		int n = conf_number(text_of(one, "endpoint"));

		/* who only watches publishes nothing to view */
		if (n >= 0 && n != (int)m->number && (unsigned)n < m->load->o.members &&
			json_is_true(json_object_get(one, "present")))
			here[n] = true;
	}
	m->state = m->state == MEMBER_OPENING ? MEMBER_IN : m->state;
	if (!memcmp(here, m->here, sizeof(here)))
		return;
	memcpy(m->here, here, sizeof(here));
	member_view(m);
}

static void on_layers(struct member *m, json_t *said)
{
	bool wanted[CONF_LAYERS] = { false };
	json_t *rid;
	size_t i;

	if (!m->sender || strcmp(text_of(said, "label"), "video"))
		return;
	json_array_foreach(json_object_get(said, "wanted"), i, rid)
	{
		for (int k = 0; k < CONF_LAYERS; k++)
			wanted[k] |=
				!strcmp(json_string_value(rid) ? json_string_value(rid) : "", layer_rids[k]);
	}
	sender_layers(m->sender, wanted);
}

static void on_speaker(struct member *m, json_t *said)
{
	conf_speaker(m, conf_number(text_of(said, "endpoint")));
}

static void on_error(struct member *m, json_t *said)
{
	const json_t *e = json_object_get(said, "error");

	member_fail(m, "error %d %.60s: %.100s", (int)json_integer_value(json_object_get(e, "status")),
		text_of(e, "title"), text_of(e, "detail"));
}

static void on_bye(struct member *m, json_t *said)
{
	member_fail(m, "bye: %.100s", text_of(said, "why"));
}

static void on_pc_closed(struct member *m, json_t *said)
{
	member_fail(m, "%.10s is closed: %.100s", text_of(said, "pc"), text_of(said, "why"));
}

static void on_text(void *arg, const char *text, size_t len)
{
	static const struct {
		const char *type;
		void (*fn)(struct member *m, json_t *said);
	} kinds[] = { { "welcome", on_welcome }, { "answer", on_answer }, { "offer", on_offer },
		{ "tracks", on_tracks }, { "conference", on_conference }, { "layers", on_layers },
		{ "speaker", on_speaker }, { "error", on_error }, { "bye", on_bye },
		{ "closed", on_pc_closed } };
	struct member *m = arg;
	json_t *said = json_loadb(text, len, 0, NULL);

	if (!json_is_object(said))
		member_fail(m, "no JSON object: %.60s", text);
	if (load_trace())
		fprintf(stderr, "%lld %s < %.400s\n", (long long)mu_clock_us() / 1000, m->endpoint, text);
	for (size_t i = 0; i < MU_ARRAY_LEN(kinds); i++) {
		if (m->state != MEMBER_FAILED && m->state != MEMBER_LEAVING &&
			!strcmp(text_of(said, "type"), kinds[i].type))
			kinds[i].fn(m, said);
	}
	json_decref(said);
}

static const struct ws_events ws_events = { .open = on_open, .text = on_text, .closed = on_closed };

/* --- time --- */

void member_tick(struct member *m, int64_t now_us)
{
	struct peer *both[2] = { m->up, m->down };

	for (int i = 0; i < 2; i++) {
		peer_tick(both[i], now_us);
		if (both[i]->state == PEER_FAILED)
			member_fail(m, "%s: %.150s", i ? "down" : "up", both[i]->why);
	}
	if (m->state == MEMBER_OPENING && now_us - m->state_us > OPENING_LIMIT_US)
		member_fail(m, "not in the conference in time");
	if (m->state == MEMBER_FAILED) {
		close_peers(m);
		ws_close(m->ws);
		m->ws = NULL;
	}
	if (m->state == MEMBER_LEAVING && now_us - m->state_us > LEAVING_US) {
		ws_close(m->ws);
		m->ws = NULL;
		m->state = MEMBER_OUT;
	}
}
