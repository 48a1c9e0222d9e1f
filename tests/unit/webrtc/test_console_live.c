/* Consoles over real transports: what one sends, the other receives, and not a packet more than it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../transport/peer.h"
#include "answer.h"
#include "schema.h"
#include "webrtc/webrtc.h"

#include <glib.h>

/* What console_kit has on a fake media plane is here on a real one. */

#define VIDEO_SSRC 0x1111
#define AUDIO_SSRC 0x2222
#define EXT_MID    1
#define EXT_LEVEL  2

static struct live {
	struct mu_inbox inbox;
	guint source;
	struct mu_media *media;
	struct mu_directory *directory;
	struct mu_conferences *conferences;
	struct mu_conference *conference;
	struct mu_webrtc *w;
	struct mu_addr listen;
} live;

struct person {
	struct mu_console *l;
	json_t *got;
	uint32_t id;
	unsigned code;
	struct peer up, down;
	bool has_up, has_down;
	uint64_t seq;
	unsigned rtp[3]; /* packets that came down of kind: audio, video; undecryptable */
	uint32_t ssrc;   /* of the last video packet */
};
static struct person a, b, c;

static void turn(void)
{
	mu_inbox_run(&live.inbox);
	g_main_context_iteration(NULL, FALSE);
	g_usleep(200);
}

#define AWAIT(cond)                                                          \
	do {                                                                 \
		for (int64_t until_us = mu_clock_us() + 8000000; !(cond);) { \
			if (mu_clock_us() >= until_us)                       \
				fail_msg("not within 8 s: %s", #cond);       \
			turn();                                              \
		}                                                            \
	} while (0)

static int check_token(void *arg, const char *token, struct mu_token *ret, struct mu_error *e)
{
	(void)arg;
	(void)e;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->id, sizeof(ret->id), "of %s", token);
	snprintf(ret->endpoint, sizeof(ret->endpoint), "%s", token);
	ret->scopes = MU_SCOPE_CONFERENCE | (strcmp(token, "city/a") == 0 ? MU_SCOPE_OPERATE : 0);
	ret->expires_s = INT64_MAX;
	return 0;
}

static bool allows(void *arg, const struct mu_token *who)
{
	(void)arg;
	return strcmp(who->id, "hasty") != 0;
}

static void audit(void *arg, const char *who, const char *from, const char *what, const char *target,
	const char *result, const char *why)
{
	(void)arg, (void)who, (void)from, (void)what, (void)target, (void)result, (void)why;
}

static int setup(void **state)
{
	static const struct mu_console_host host = { .check = check_token, .allows = allows, .audit = audit };
	struct mu_transport_options o = { .net = { .workers = 2, .n_listen = 1 },
		.srtp_engine = "auto",
		.packets_max = 20000,
		.control = &live.inbox };
	struct mu_webrtc_options w = { .hold_us = 10000000,
		.max_sessions = 100,
		.n_listen = 1,
		.listen = &live.listen,
		.control = &live.inbox };
	struct mu_conference_spec spec = { .id = "morning" };
	struct mu_error e = { "" };

	(void)state;
	memset(&live, 0, sizeof(live));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(&c, 0, sizeof(c));
	schema_load();
	mu_inbox_init(&live.inbox);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &live.listen), 0);
	o.net.listen[0] = live.listen;
	if (mu_media_new(&o, &live.media, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(mu_directory_new("city", &live.directory), 0);
	assert_int_equal(mu_conferences_new(live.directory, NULL, &live.conferences), 0);
	assert_int_equal(mu_conference_create(live.conferences, &spec, &live.conference, &e), 0);
	w.media = live.media;
	w.directory = live.directory;
	w.conferences = live.conferences;
	assert_int_equal(mu_webrtc_new(&w, &live.w), 0);
	mu_webrtc_set_host(live.w, &host);
	return 0;
}

static void leave(struct person *p)
{
	if (p->l)
		mu_console_lost(p->l);
	json_decref(p->got);
	if (p->has_up)
		peer_close(&p->up);
	if (p->has_down)
		peer_close(&p->down);
}

static int teardown(void **state)
{
	(void)state;
	leave(&a);
	leave(&b);
	leave(&c);
	mu_webrtc_close_all(live.w, "the test ends");
	AWAIT(mu_webrtc_sessions(live.w) == 0);
	mu_webrtc_free(live.w);
	mu_conferences_free(live.conferences);
	mu_directory_free(live.directory);
	mu_media_free(live.media);
	mu_inbox_run(&live.inbox);
	mu_inbox_done(&live.inbox);
	schema_unload();
	return 0;
}

/* --- messages --- */

static void on_send(void *arg, json_t *message)
{
	char why[256];

	if (!schema_fits("gateway", message, true, why, sizeof(why)))
		fail_msg("%s", why);
	json_array_append_new(((struct person *)arg)->got, message);
}

static void on_close(void *arg, unsigned code, const char *why)
{
	(void)why;
	((struct person *)arg)->code = code;
}

static json_t *take(struct person *p, const char *type)
{
	json_t *o;
	size_t i;

	json_array_foreach(p->got, i, o)
	{
		if (strcmp(json_string_value(json_object_get(o, "type")), type) != 0)
			continue;
		json_incref(o);
		json_array_remove(p->got, i);
		return o;
	}
	return NULL;
}

static void say(struct person *p, json_t *o)
{
	char *text;

	json_object_set_new(o, "id", json_integer(++p->id));
	text = json_dumps(o, 0);
	mu_console_text(p->l, text, strlen(text));
	free(text);
	json_decref(o);
}

static bool flush_errors(struct person *p)
{
	json_t *o = take(p, "error");

	if (o)
		fail_msg("%s", json_string_value(json_object_get(json_object_get(o, "error"), "detail")));
	return true;
}

static void enter(struct person *p, const char *endpoint)
{
	const struct mu_console_socket s = { on_send, on_close, p };

	p->got = json_array();
	assert_int_equal(mu_console_new(live.w, &s, "127.0.0.1", &p->l), 0);
	say(p, json_pack("{ss ss}", "type", "hello", "token", endpoint));
	say(p, json_pack("{ss ss}", "type", "join", "conference", "morning"));
	flush_errors(p);
}

/* --- connections --- */

static char *line_of(const char *sdp, const char *key)
{
	const char *at = strstr(sdp, key);

	assert_non_null(at);
	at += strlen(key);
	return g_strndup(at, strcspn(at, "\r"));
}

/* The gateway's side, as its SDP tells. */
static void aim(struct peer *p, const char *sdp, uint8_t fingerprint[MU_FINGERPRINT_LEN])
{
	char *ufrag = line_of(sdp, "a=ice-ufrag:"), *pwd = line_of(sdp, "a=ice-pwd:");
	char *fp = line_of(sdp, "a=fingerprint:sha-256 "), *candidate = line_of(sdp, "a=candidate:");
	struct mu_addr gateway;
	unsigned port;

	assert_int_equal(sscanf(candidate, "%*s %*s udp %*s 127.0.0.1 %u", &port), 1);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, &gateway), 0);
	mu_addr_set_port(&gateway, (uint16_t)port);
	p->gateway = gateway;
	snprintf(p->ufrag, sizeof(p->ufrag), "%s", ufrag);
	snprintf(p->pwd, sizeof(p->pwd), "%s", pwd);
	assert_int_equal(mu_fingerprint_parse(fp, fingerprint), 0);
	g_free(ufrag);
	g_free(pwd);
	g_free(fp);
	g_free(candidate);
}

static void open_peer(struct peer *p)
{
	struct mu_addr any;

	assert_int_equal(mu_addr_parse("127.0.0.1", 9, &any), 0);
	peer_open(p, "127.0.0.1", &any, NULL);
}

static char *own_lines(struct peer *p, const char *setup)
{
	char fp[96];

	mu_fingerprint_text(mu_identity_fingerprint(p->identity), fp);
	return g_strdup_printf(
		"a=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\na=fingerprint:sha-256 %s\r\na=setup:%s\r\n"
		"a=rtcp-mux\r\n",
		fp, setup);
}

static void publish(struct person *p)
{
	uint8_t fingerprint[MU_FINGERPRINT_LEN];
	char *own, *sdp;
	json_t *o;

	open_peer(&p->up);
	p->has_up = true;
	own = own_lines(&p->up, "actpass");
	sdp = g_strdup_printf(
		"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a v\r\n"
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\n%sa=sendonly\r\n"
		"a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
		"a=rtpmap:111 opus/48000/2\r\na=ssrc:%u cname:x\r\n"
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\n%sa=sendonly\r\n"
		"a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n"
		"a=rtcp-fb:96 nack pli\r\na=ssrc:%u cname:x\r\n",
		own, AUDIO_SSRC, own, VIDEO_SSRC);
	say(p, json_pack("{ss ss}", "type", "offer", "sdp", sdp));
	flush_errors(p);
	o = take(p, "answer");
	assert_non_null(o);
	aim(&p->up, json_string_value(json_object_get(o, "sdp")), fingerprint);
	turn();
	assert_int_equal(peer_connect(&p->up, fingerprint), 0);
	json_decref(o);
	g_free(own);
	g_free(sdp);
}

/* Answer an offer of the down connection as a browser does, with this peer's certificate. */
static void answer(struct person *p)
{
	uint8_t fingerprint[MU_FINGERPRINT_LEN];
	json_t *o = NULL;
	char fp[96], *sdp, **parts, *mine;
	bool fresh = !p->has_down;

	AWAIT((o = take(p, "offer")) != NULL);
	if (fresh)
		open_peer(&p->down);
	p->has_down = true;
	aim(&p->down, json_string_value(json_object_get(o, "sdp")), fingerprint);
	mu_fingerprint_text(mu_identity_fingerprint(p->down.identity), fp);
	sdp = answer_to(json_string_value(json_object_get(o, "sdp")), NULL, NULL, "active", 10);
	parts = g_strsplit(sdp, ANSWER_FINGERPRINT "10", -1);
	mine = g_strjoinv(fp, parts);
	say(p, json_pack("{ss sO ss}", "type", "answer", "n", json_object_get(o, "n"), "sdp", mine));
	flush_errors(p);
	turn();
	if (fresh)
		assert_int_equal(peer_connect(&p->down, fingerprint), 0);
	g_strfreev(parts);
	g_free(mine);
	free(sdp);
	json_decref(o);
}

/* --- media --- */

static void send_audio(struct person *p, unsigned level)
{
	uint8_t h[20] = { 0x90, 111 };
	static const uint8_t payload[40] = { 1 };

	mu_put16(h + 2, (uint16_t)p->seq);
	mu_put32(h + 4, (uint32_t)p->seq * 960);
	mu_put32(h + 8, AUDIO_SSRC);
	mu_put32(h + 12, 0xbede0001);
	h[16] = EXT_LEVEL << 4;
	h[17] = (uint8_t)level;
	peer_rtp_header(&p->up, h, sizeof(h), p->seq, payload, sizeof(payload));
}

static void send_both(struct person *p, unsigned level)
{
	/* VP8: payload descriptor, then a key frame's header of 640x360, then anything */
	uint8_t frame[400] = { 0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01 };

	p->seq++;
	send_audio(p, level);
	peer_rtp(&p->up, VIDEO_SSRC, p->seq, 96, (uint32_t)p->seq * 1800, true, frame, sizeof(frame));
}

static void receive(struct person *p)
{
	uint8_t buf[2000];
	struct mu_rtp_header h;
	enum peer_got what;
	size_t len;

	while (p->has_down && (what = peer_take(&p->down, 0, buf, &len)) != PEER_NOTHING) {
		if (what == PEER_BAD)
			p->rtp[2]++;
		if (what != PEER_RTP || mu_rtp_parse(buf, len, &h) < 0)
			continue;
		p->rtp[h.pt != 111]++;
		if (h.pt == 96) /* and not its repair, which probes too */
			p->ssrc = h.ssrc;
	}
}

/* Everybody who has a connection sends and receives, 50 packets a second. */
static void go_on(int ms)
{
	struct person *const all[] = { &a, &b, &c };

	for (int i = 0; i < ms; i += 20) {
		int64_t until_us = mu_clock_us() + 20000;

		for (size_t k = 0; k < MU_ARRAY_LEN(all); k++) {
			if (all[k]->has_up && all[k]->up.out)
				send_both(all[k], all[k] == &a ? 20 : 127);
		}
		while (mu_clock_us() < until_us)
			turn();
		for (size_t k = 0; k < MU_ARRAY_LEN(all); k++)
			receive(all[k]);
	}
}

#define GO_ON_UNTIL(cond)                                                           \
	do {                                                                        \
		for (int64_t until = mu_clock_us() + 8000000; !(cond); go_on(20)) { \
			if (mu_clock_us() >= until)                                 \
				fail_msg("not within 8 s: %s", #cond);              \
		}                                                                   \
	} while (0)

static void reset(struct person *p)
{
	receive(p);
	memset(p->rtp, 0, sizeof(p->rtp));
}

static void view(struct person *p, const char *endpoint)
{
	say(p,
		json_pack("{ss s[{ss ss si si}]}", "type", "view", "tracks", "endpoint", endpoint, "label",
			"video", "width", 640, "height", 360));
	flush_errors(p);
}

static void act(struct person *p, const char *what, const char *endpoint)
{
	say(p, json_pack("{ss ss ss}", "type", "act", "act", what, "endpoint", endpoint));
	flush_errors(p);
}

static bool speaks(struct person *p, const char *endpoint)
{
	json_t *o;
	bool found = false;

	while (!found && (o = take(p, "speaker"))) {
		found = strcmp(json_string_value(json_object_get(o, "endpoint")), endpoint) == 0;
		json_decref(o);
	}
	return found;
}

static void everybody(void)
{
	enter(&a, "city/a");
	enter(&b, "city/b");
	publish(&a);
	answer(&b);
	view(&b, "city/a");
	answer(&b);
	GO_ON_UNTIL(b.rtp[0] > 5 && b.rtp[1] > 5);
	assert_int_equal(b.rtp[2], 0);
}

static void test_seen_and_heard(void **state)
{
	(void)state;
	everybody();
	GO_ON_UNTIL(speaks(&b, "city/a"));
	/* another comes; the first are not disturbed */
	reset(&b);
	enter(&c, "city/c");
	publish(&c);
	answer(&c);
	GO_ON_UNTIL(c.rtp[0] > 5);
	assert_true(b.rtp[0] > 5 && b.rtp[1] > 5);
	/* a slot changes its source: the same SSRC goes on */
	{
		uint32_t ssrc = b.ssrc;

		view(&b, "city/c");
		go_on(300);
		reset(&b);
		GO_ON_UNTIL(b.rtp[1] > 5);
		assert_int_equal(b.ssrc, ssrc);
	}
}

static void test_muted_and_removed(void **state)
{
	(void)state;
	everybody();
	act(&a, "mute", "city/a");
	go_on(60);
	reset(&b);
	go_on(400);
	assert_int_equal(b.rtp[0], 0);
	assert_true(b.rtp[1] > 5);
	act(&a, "unmute", "city/a");
	GO_ON_UNTIL(b.rtp[0] > 5);
	act(&a, "remove", "city/b");
	go_on(60);
	reset(&b);
	go_on(400);
	assert_int_equal(b.rtp[0] + b.rtp[1], 0);
	assert_int_equal(b.code, 0);
}

static void test_token_ends(void **state)
{
	(void)state;
	everybody();
	enter(&c, "city/c");
	answer(&c);
	GO_ON_UNTIL(c.rtp[0] > 5);
	mu_webrtc_end_token(live.w, "of city/b", "its token was revoked");
	assert_int_equal(b.code, 1000);
	go_on(100);
	reset(&b);
	reset(&c);
	go_on(400);
	assert_int_equal(b.rtp[0] + b.rtp[1] + b.rtp[2], 0);
	assert_true(c.rtp[0] > 5); /* the others do not notice */
}

/* The WebSocket is lost: media goes on, and the client finds everything as it was. */
static void test_socket_lost(void **state)
{
	char session[32];
	json_t *o;
	const struct mu_console_socket s = { on_send, on_close, &b };

	(void)state;
	everybody();
	o = take(&b, "welcome");
	snprintf(session, sizeof(session), "%s", json_string_value(json_object_get(o, "session")));
	json_decref(o);
	mu_console_lost(b.l);
	b.l = NULL;
	go_on(100);
	reset(&b);
	go_on(300);
	assert_true(b.rtp[0] > 5 && b.rtp[1] > 5);
	json_array_clear(b.got);
	assert_int_equal(mu_console_new(live.w, &s, "127.0.0.1", &b.l), 0);
	say(&b, json_pack("{ss ss ss}", "type", "hello", "token", "city/b", "session", session));
	o = take(&b, "welcome");
	assert_true(json_is_true(json_object_get(o, "resumed")));
	json_decref(o);
	reset(&b);
	go_on(200);
	assert_true(b.rtp[0] > 3 && b.rtp[1] > 3);
}

static void test_quality(void **state)
{
	json_t *o = NULL, *down, *up;

	(void)state;
	everybody();
	for (int i = 0; i < 3; i++) {
		mu_webrtc_refresh_stats(live.w);
		go_on(300);
	}
	json_array_clear(a.got);
	json_array_clear(b.got);
	mu_webrtc_refresh_stats(live.w);
	o = take(&b, "quality");
	down = json_array_get(json_object_get(o, "down"), 1);
	assert_string_equal(json_string_value(json_object_get(down, "endpoint")), "city/a");
	json_decref(o);
	o = take(&a, "quality");
	up = json_object_get(o, "up");
	assert_int_equal(json_array_size(up), 2);
	assert_true(json_integer_value(json_object_get(json_array_get(up, 1), "bps")) > 50000);
	json_decref(o);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_seen_and_heard),
		TEST(test_muted_and_removed),
		TEST(test_token_ends),
		TEST(test_socket_lost),
		TEST(test_quality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
