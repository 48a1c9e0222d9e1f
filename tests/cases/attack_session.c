/* Sessions: opened, looked at, silenced; and the window in which the well-behaved ones' loss is measured. */
#include "attack.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define SETTLE_NS 300000000u /* after the window: what is on its way, or being repaired, still counts */

static const char *const kind_names[KINDS] = { "stun", "dtls", "rtp", "rtcp", "other" };

enum kind kind_of(const uint8_t *data, size_t len)
{
	if (len == 0)
		return OTHER;
	if (data[0] < 4)
		return STUN;
	if (data[0] >= 20 && data[0] < 64)
		return DTLS;
	if (data[0] >> 6 != 2 || len < 2)
		return OTHER;
	return mu_is_rtcp(data) ? RTCP : RTP;
}

/* --- what passes --- */

static void note(struct seen *list, const uint8_t *data, size_t len)
{
	uint32_t ssrc = len >= 12 ? mu_get32(data + 8) : 0;

	for (unsigned i = 0; ssrc && i < SSRCS_MAX; i++) {
		if (list[i].ssrc && list[i].ssrc != ssrc)
			continue;
		list[i] = (struct seen){
			.ssrc = ssrc,
			.ts = mu_get32(data + 4),
			.seq = mu_get16(data + 2),
			.pt = data[1] & 0x7f,
			.n = list[i].n + 1,
		};
		return;
	}
}

const struct seen *last_sent(const struct session *s, uint32_t ssrc)
{
	for (unsigned i = 0; i < SSRCS_MAX; i++) {
		if (s->from[i].ssrc == ssrc)
			return &s->from[i];
	}
	return NULL;
}

void __wrap_net_send(struct peer *p, const uint8_t *data, size_t len)
{
	struct session *s = session_of(p);
	enum kind k = kind_of(data, len);

	if (s && s->muted & 1u << k)
		return;
	if (s) {
		s->out[k]++;
		s->out_bytes[k] += len;
	}
	if (s && k == RTP) {
		note(s->from, data, len);
		if (s->kept && len <= LOAD_DATAGRAM) {
			struct kept *kept = &s->kept[s->n_kept++ % KEPT_MAX];

			kept->len = (uint16_t)len;
			memcpy(kept->data, data, len);
		}
	}
	if (s && s->tcp)
		tcp_send(s, data, len);
	else
		__real_net_send(p, data, len);
}

void __wrap_peer_input(struct peer *p, const uint8_t *data, size_t len, uint64_t ns)
{
	struct session *s = session_of(p);
	enum kind k = kind_of(data, len);

	if (s) {
		struct kept *got = &s->got[s->n_got++ % GOT_MAX];

		s->in[k]++;
		s->in_bytes[k] += len;
		got->len = (uint16_t)MU_MIN(len, (size_t)LOAD_DATAGRAM);
		memcpy(got->data, data, got->len);
		if (k == RTP) {
			note(s->to, data, len);
			s->last_rtp_ns = ns;
		}
	}
	__real_peer_input(p, data, len, ns);
}

/* --- opened --- */

struct peer *session_find(struct attack *a, json_t *in)
{
	json_t *number = json_object_get(in, "id");
	json_int_t id = json_is_integer(number) ? json_integer_value(number) : -1;

	return id >= 0 && id < SESSIONS_MAX ? a->session[id] : NULL;
}

static int free_slot(const struct attack *a)
{
	for (int i = 0; i < SESSIONS_MAX; i++) {
		if (!a->session[i])
			return i;
	}
	return -1;
}

static struct peer *make(struct attack *a, bool publishes, unsigned stream, json_t *out)
{
	int slot = free_slot(a);
	struct peer *p = slot >= 0 ? peer_new(a->load, publishes, stream, "session") : NULL;

	if (!p)
		return NULL;
	p->signal = calloc(1, sizeof(struct session));
	a->session[slot] = p;
	json_object_set_new(out, "id", json_integer(slot));
	return p;
}

struct peer *session_add(struct attack *a, json_t *out)
{
	return make(a, false, 0, out);
}

const char *do_open(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = make(a, json_is_true(json_object_get(in, "publish")),
		(unsigned)json_integer_value(json_object_get(in, "stream")), out);
	char *offer;

	if (!p)
		return "too many sessions";
	peer_start(p, mu_clock_us());
	offer = sdp_offer(p, false);
	json_object_set_new(out, "offer", json_string(offer));
	json_object_set_new(out, "ufrag", json_string(p->ufrag));
	json_object_set_new(out, "address", json_string(net_address(p)));
	json_object_set_new(out, "port", json_integer(p->port));
	free(offer);
	return NULL;
}

const char *do_answer(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	const char *sdp = json_string_value(json_object_get(in, "sdp"));

	(void)out;
	if (!p || !sdp)
		return "no session or no sdp";
	peer_remote(p, sdp);
	return p->state == PEER_FAILED ? "the answer is of no use" : NULL;
}

/* An address that no session has. */
static void take_index(struct peer *p)
{
	struct load *l = p->load;

	while (l->by_index[l->next_index % LOAD_PEERS_MAX])
		l->next_index++;
	p->index = l->next_index++ % LOAD_PEERS_MAX;
	l->by_index[p->index] = p;
	net_assign(p);
}

/* An address of ours that has no session with the gateway and wants none. */
const char *do_stranger(struct attack *a, json_t *in, json_t *out)
{
	const char *host = json_string_value(json_object_get(in, "host"));
	struct peer *p = host ? make(a, false, 0, out) : NULL;

	if (!p)
		return "no host, or too many sessions";
	take_index(p);
	p->remote.addr.sin_family = AF_INET;
	p->remote.addr.sin_port = htons((uint16_t)json_integer_value(json_object_get(in, "port")));
	if (inet_pton(AF_INET, host, &p->remote.addr.sin_addr) != 1)
		return "host is not an IPv4 address";
	json_object_set_new(out, "address", json_string(net_address(p)));
	return NULL;
}

/* Another network: the same session from another address of ours, beginning with a check. */
const char *do_move(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);

	if (!p)
		return "no session";
	a->load->by_index[p->index] = NULL;
	take_index(p);
	p->next_check_us = 0;
	json_object_set_new(out, "address", json_string(net_address(p)));
	return NULL;
}

/* What an ICE restart agreed on: from now on checks carry these. */
const char *do_credentials(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	const char *ufrag = json_string_value(json_object_get(in, "ufrag")),
		   *pwd = json_string_value(json_object_get(in, "pwd"));

	(void)out;
	if (!p || !ufrag || !pwd)
		return "no session, ufrag or pwd";
	snprintf(p->remote.ufrag, sizeof(p->remote.ufrag), "%s", ufrag);
	snprintf(p->remote.pwd, sizeof(p->remote.pwd), "%s", pwd);
	p->next_check_us = 0;
	return NULL;
}

const char *do_leave(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	json_int_t id = json_integer_value(json_object_get(in, "id"));

	(void)out;
	if (!p)
		return "no session";
	free(session_of(p)->kept);
	tcp_close(session_of(p));
	peer_clear(p);
	free(p);
	a->session[id] = NULL;
	return NULL;
}

void sessions_free(struct attack *a)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		if (!a->session[i])
			continue;
		free(session_of(a->session[i])->kept);
		tcp_close(session_of(a->session[i]));
		peer_clear(a->session[i]);
		free(a->session[i]);
	}
}

/* --- looked at --- */

static const char *state_name(const struct peer *p)
{
	static const char *const names[] = { "free", "signal", "ice", "dtls", "up", "ending", "failed" };

	return p->state == PEER_UP && p->ready ? "ready" : names[p->state];
}

static json_t *counts(const uint64_t n[KINDS])
{
	json_t *o = json_object();

	for (int k = 0; k < KINDS; k++)
		json_object_set_new(o, kind_names[k], json_integer((json_int_t)n[k]));
	return o;
}

static json_t *ssrcs(const struct seen *list)
{
	json_t *o = json_object();
	char pt[8];

	for (unsigned i = 0; i < SSRCS_MAX && list[i].ssrc; i++) {
		snprintf(pt, sizeof(pt), "%u", list[i].pt);
		json_object_set_new(o, pt,
			json_pack("{s:I, s:i, s:I, s:I}", "ssrc", (json_int_t)list[i].ssrc, "seq",
				(int)list[i].seq, "ts", (json_int_t)list[i].ts, "n", (json_int_t)list[i].n));
	}
	return o;
}

const char *do_state(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	struct session *s;

	if (!p)
		return "no session";
	s = session_of(p);
	json_object_set_new(out, "state", json_string(state_name(p)));
	json_object_set_new(out, "why", json_string(p->why));
	json_object_set_new(out, "since_ms", json_integer((mu_clock_us() - p->begun_us) / 1000));
	json_object_set_new(out, "last_rtp_ms",
		json_integer((json_int_t)(s->last_rtp_ns / 1000000) - p->begun_us / 1000));
	json_object_set_new(out, "in", counts(s->in));
	json_object_set_new(out, "in_bytes", counts(s->in_bytes));
	json_object_set_new(out, "out", counts(s->out));
	json_object_set_new(out, "out_bytes", counts(s->out_bytes));
	json_object_set_new(out, "sent", ssrcs(s->from));
	json_object_set_new(out, "received", ssrcs(s->to));
	return NULL;
}

static bool reached(const struct peer *p, const char *state)
{
	if (!strcmp(state, "up"))
		return p->state == PEER_UP;
	return !strcmp(state_name(p), state) || p->state == PEER_FAILED;
}

const char *do_await(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	const char *state = json_string_value(json_object_get(in, "state"));
	uint64_t until = now_ns() + (uint64_t)json_integer_value(json_object_get(in, "ms")) * 1000000u;

	if (!p || !state)
		return "no session or no state";
	while (!reached(p, state) && p->state != PEER_FAILED && now_ns() < until)
		turn(a, until);
	return do_state(a, in, out);
}

/* The datagrams that came last, oldest first. */
const char *do_got(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	json_t *list = json_array();
	struct session *s;

	json_object_set_new(out, "got", list);
	if (!p)
		return "no session";
	s = session_of(p);
	for (uint64_t i = s->n_got > GOT_MAX ? s->n_got - GOT_MAX : 0; i < s->n_got; i++) {
		const struct kept *k = &s->got[i % GOT_MAX];
		char hex[2 * LOAD_DATAGRAM + 1] = "";

		for (unsigned b = 0; b < k->len; b++)
			snprintf(hex + 2 * b, 3, "%02x", k->data[b]);
		json_array_append_new(list, json_string(hex));
	}
	return NULL;
}

/* --- told what not to do --- */

const char *do_mute(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	json_t *kinds = json_object_get(in, "kinds"), *kind;
	size_t i;

	(void)out;
	if (!p)
		return "no session";
	session_of(p)->muted = 0;
	json_array_foreach(kinds, i, kind)
	{
		for (int k = 0; k < KINDS; k++) {
			if (json_is_string(kind) && !strcmp(json_string_value(kind), kind_names[k]))
				session_of(p)->muted |= 1u << k;
		}
	}
	return NULL;
}

const char *do_stay(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);

	(void)out;
	if (!p)
		return "no session";
	session_of(p)->stays = true;
	return NULL;
}

const char *do_keep(struct attack *a, json_t *in, json_t *out)
{
	struct peer *p = session_find(a, in);
	struct session *s = p ? session_of(p) : NULL;

	(void)out;
	if (!s)
		return "no session";
	if (!s->kept)
		s->kept = calloc(KEPT_MAX, sizeof(*s->kept));
	s->n_kept = 0;
	return s->kept ? NULL : "no memory";
}

/* --- the window --- */

const char *do_begin(struct attack *a, json_t *in, json_t *out)
{
	struct load *l = a->load;

	(void)in;
	(void)out;
	memset(&l->c, 0, sizeof(l->c));
	memset(&l->latency, 0, sizeof(l->latency));
	l->failures = 0;
	l->from_ns = now_ns();
	l->to_ns = UINT64_MAX;
	return NULL;
}

/* Every viewer of this process watches a publisher of this process, and all publishers have one rate; or
 * "lost" means nothing. */
const char *do_end(struct attack *a, json_t *in, json_t *out)
{
	struct load *l = a->load;
	unsigned publishers = 0, viewers = 0;
	uint64_t settle, sent, expected;

	(void)in;
	l->to_ns = now_ns();
	settle = l->to_ns + SETTLE_NS;
	while (now_ns() < settle)
		turn(a, settle);
	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		const struct peer *p = a->session[i];

		publishers += p && p->state == PEER_UP && p->publishes;
		viewers += p && p->state == PEER_UP && !p->publishes;
	}
	sent = l->c.sent[VIDEO] + l->c.sent[AUDIO];
	expected = publishers ? sent * viewers / publishers : 0;
	json_object_update_new(out,
		json_pack("{s:i, s:i, s:I, s:I, s:I, s:I}", "publishers", (int)publishers, "viewers",
			(int)viewers, "sent", (json_int_t)sent, "expected", (json_int_t)expected, "lost",
			(json_int_t)(expected - l->c.unique), "recovered", (json_int_t)l->c.recovered));
	json_object_update_new(out,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:i}", "bad", (json_int_t)l->c.bad, "replayed",
			(json_int_t)l->c.replayed, "duplicates", (json_int_t)l->c.duplicates, "key_requests",
			(json_int_t)l->c.key_requests, "resent", (json_int_t)l->c.resent, "seconds",
			(double)(l->to_ns - l->from_ns) / 1e9, "failures", (int)l->failures));
	json_object_set_new(out, "latency_ms", stats_hist_ms(&l->latency));
	return NULL;
}
