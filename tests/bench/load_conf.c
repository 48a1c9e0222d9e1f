/* A conference from the first member's coming to the last one's leaving, and what is measured on the way:
 *
 *   fill      one after the other, until everybody has a picture of everybody
 *   measure   nothing changes: packets, frames, delay, the server's CPU
 *   speak     another one begins to talk: when do the others hear who it is
 *   switch    a tile grows and shrinks: when does the other layer come
 *   rejoin    one leaves and comes back: when has it all pictures
 *   storm     many come within a second, who only watch: how often is a source asked for a key frame
 */
#include "load_conf.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_US   5000
#define CREATE_US 5000000
#define FILL_US   10000000 /* a member */
#define DRAIN_US  1500000
#define LATE_US   5000000 /* what has not come by then is late */
#define HOLD_US   2000000 /* between two changes of one kind */
#define APART_US  1000000 /* between leaving and coming back */
#define STORM_US  1000000 /* all of it come within */
#define LEAVE_US  10000000

enum phase { CREATE, FILL, WARMUP, MEASURE, DRAIN, SPEAK, SWITCH, REJOIN, STORM, LEAVE, DONE };
struct conf {
	struct load *load;
	enum phase phase;
	int64_t since_us;
	unsigned n, n_all; /* members; and those of the storm */
	struct member members[CONF_MEMBERS];
	struct conf_figures f;
	struct proc_sample at[4];
	uint64_t own_ns[2];
	struct peer http; /* whose request makes the conference */
	int made;         /* its status; 0: not yet */
	/* the change that is being watched */
	unsigned round;
	bool under_way, larger;
	int64_t change_us, hold_us;
	unsigned actor, target;
	bool heard[CONF_MEMBERS];
	unsigned n_heard, started;
	unsigned asked[CONF_MEMBERS][CONF_LAYERS];
};
static struct conf conf;

struct conf_counts *conf_counts(struct member *m)
{
	return &m->conf->f.c;
}

static void enter(struct conf *c, enum phase phase, int64_t now_us)
{
	c->phase = phase;
	c->since_us = now_us;
	c->round = 0;
	c->under_way = false;
	c->hold_us = now_us;
}

/* The next part of the run that is asked for. */
static void go_on(struct conf *c, int64_t now_us)
{
	enum phase next = c->phase + 1;

	if (next == STORM && !c->load->o.extra)
		next++;
	enter(c, next, now_us);
}

void conf_failed(struct member *m)
{
	struct load *l = m->load;

	if (m->conf->phase >= LEAVE)
		return;
	if (l->failures < MU_ARRAY_LEN(l->first_failures))
		snprintf(l->first_failures[l->failures], sizeof(l->first_failures[0]), "member-%u: %.180s",
			m->number, m->why);
	l->failures++;
}

static void note_failure(struct conf *c, const char *why)
{
	struct load *l = c->load;

	if (l->failures < MU_ARRAY_LEN(l->first_failures))
		snprintf(l->first_failures[l->failures], sizeof(l->first_failures[0]), "%s", why);
	l->failures++;
}

/* --- what members tell --- */

static void watch_switch(struct conf *c, struct member *m, const struct got *g, uint64_t ns)
{
	if (c->phase != SWITCH || !c->under_way || m->number != c->actor || g->stream != c->target ||
		(g->layer == CONF_LAYERS - 1) != c->larger)
		return;
	hist_add(c->larger ? &c->f.larger : &c->f.smaller, ns - (uint64_t)c->change_us * 1000);
	c->under_way = false;
	c->hold_us = mu_clock_us() + HOLD_US;
}

void conf_frame(struct member *m, const struct got *g, uint64_t ns)
{
	struct conf *c = m->conf;

	watch_switch(c, m, g, ns);
	if (!g->key || g->stream >= c->n || m->seen[g->stream])
		return;
	m->seen[g->stream] = true;
	m->n_seen++;
	if (c->phase == REJOIN && m->number == c->actor && m->n_seen == c->n - 1)
		hist_add(&c->f.tiles, ns - (uint64_t)m->hello_us * 1000);
	if (c->phase == STORM && m->number >= c->n && m->n_seen == c->n)
		hist_add(&c->f.storm_tiles, ns - (uint64_t)m->hello_us * 1000);
}

void conf_speaker(struct member *m, int source)
{
	struct conf *c = m->conf;

	if (c->phase != SPEAK || !c->under_way || source != (int)c->actor || m->number == c->actor ||
		c->heard[m->number])
		return;
	c->heard[m->number] = true;
	c->n_heard++;
	hist_add(&c->f.speaker, (uint64_t)(mu_clock_us() - c->change_us) * 1000);
}

/* --- fill --- */

static void on_made(struct peer *p, const struct http_reply *r)
{
	(void)p;
	conf.made = r->status ? r->status : -1;
	if (r->status != 200 && r->status != 201 && r->status != 409)
		fprintf(stderr, "mu-load: POST /v1/conferences answered %d: %.200s\n", r->status, r->body);
}

static void create(struct conf *c, int64_t now_us)
{
	if (!c->under_way) {
		c->under_way = true;
		http_send(&c->http, "POST", c->load->o.url, "/v1/conferences", "application/json",
			"{\"id\": \"bench\", \"title\": \"bench\"}", on_made);
	}
	if (c->made == 200 || c->made == 201 || c->made == 409 || c->made == 404) {
		enter(c, FILL, now_us);
	} else if (c->made || now_us - c->since_us > CREATE_US) {
		note_failure(c, "the conference cannot be made");
		enter(c, LEAVE, now_us);
	}
}

/* Whether the first n members have seen each other. */
static bool complete(const struct conf *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct member *m = &c->members[i];

		if (m->state == MEMBER_FAILED)
			continue;
		for (unsigned k = 0; k < n; k++) {
			if (k != i && c->members[k].state != MEMBER_FAILED && !m->seen[k])
				return false;
		}
	}
	return true;
}

static void fill(struct conf *c, int64_t now_us)
{
	bool late = now_us - c->hold_us > FILL_US;
	char why[120];

	if (c->round && !complete(c, c->round) && !late)
		return;
	if (c->round && late) {
		snprintf(why, sizeof(why), "with %u members not everybody had a picture of everybody in time",
			c->round);
		note_failure(c, why);
	}
	if (c->round == c->n) {
		if (c->members[0].sender)
			sender_talk(c->members[0].sender, true);
		go_on(c, now_us);
		return;
	}
	c->hold_us = now_us;
	member_join(&c->members[c->round++]);
}

/* --- measure --- */

static void begin_measuring(struct conf *c, int64_t now_us)
{
	struct load *l = c->load;

	proc_read(l->o.pid, &c->at[2]);
	c->own_ns[0] = own_cpu_ns();
	l->from_ns = now_ns();
	l->to_ns = l->from_ns + (uint64_t)(l->o.seconds * 1e9);
	c->f.c.open = true;
	go_on(c, now_us);
}

static void end_measuring(struct conf *c, int64_t now_us)
{
	proc_read(c->load->o.pid, &c->at[3]);
	c->own_ns[1] = own_cpu_ns();
	go_on(c, now_us);
}

/* --- changes --- */

static void talk_instead(struct conf *c, unsigned who, int64_t now_us)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (c->members[i].sender)
			sender_talk(c->members[i].sender, i == who);
	}
	memset(c->heard, 0, sizeof(c->heard));
	c->n_heard = 0;
	c->actor = who;
	c->change_us = now_us;
	c->under_way = true;
}

static void speak(struct conf *c, int64_t now_us)
{
	if (c->under_way) {
		if (c->n_heard < c->n - 1 && now_us - c->change_us < LATE_US)
			return;
		c->f.speaker_late += c->n - 1 - c->n_heard;
		c->under_way = false;
		c->hold_us = now_us + HOLD_US;
	}
	if (now_us < c->hold_us)
		return;
	if (c->round == c->load->o.rounds)
		go_on(c, now_us);
	else
		talk_instead(c, ++c->round % c->n, now_us);
}

static void resize(struct conf *c, bool larger, int64_t now_us)
{
	struct member *m = &c->members[c->actor];

	m->tile[c->target].width = larger ? CONF_LARGE_W : CONF_TILE_W;
	m->tile[c->target].height = larger ? CONF_LARGE_H : CONF_TILE_H;
	c->larger = larger;
	c->change_us = now_us;
	c->under_way = true;
	if (m->state == MEMBER_IN)
		member_view(m);
}

/* Two rounds of this are one tile that grows and shrinks again. */
static void switch_layers(struct conf *c, int64_t now_us)
{
	if (c->under_way) {
		if (now_us - c->change_us < LATE_US)
			return;
		c->f.larger_late += c->larger;
		c->f.smaller_late += !c->larger;
		c->hold_us = now_us;
		/* what did not grow cannot shrink */
		if (c->larger)
			resize(c, false, now_us);
		c->round += c->round % 2;
		c->under_way = false;
	}
	if (now_us < c->hold_us)
		return;
	if (c->round == 2 * c->load->o.rounds) {
		go_on(c, now_us);
		return;
	}
	c->actor = c->round / 2 % c->n;
	c->target = (c->actor + 1) % c->n;
	resize(c, c->round++ % 2 == 0, now_us);
}

static void rejoin(struct conf *c, int64_t now_us)
{
	struct member *m = &c->members[c->actor];

	if (c->under_way && m->state == MEMBER_OUT) {
		if (now_us >= c->hold_us)
			member_join(m);
		return;
	}
	if (c->under_way && m->state != MEMBER_LEAVING) {
		if (m->state != MEMBER_FAILED && m->n_seen < c->n - 1 && now_us - c->hold_us < LATE_US)
			return;
		if (m->n_seen < c->n - 1)
			note_failure(c, "who came back had not all pictures in time");
		c->under_way = false;
		c->hold_us = now_us + APART_US;
	}
	if (c->under_way || now_us < c->hold_us)
		return;
	if (c->round == c->load->o.rounds) {
		go_on(c, now_us);
		return;
	}
	c->actor = c->round++ % c->n;
	c->under_way = true;
	c->hold_us = now_us + APART_US;
	member_leave(&c->members[c->actor]);
}

static unsigned storm_ready(const struct conf *c)
{
	unsigned n = 0;

	for (unsigned i = c->n; i < c->n_all; i++)
		n += c->members[i].n_seen == c->n || c->members[i].state == MEMBER_FAILED;
	return n;
}

static void read_asked(const struct conf *c, unsigned ret[CONF_MEMBERS][CONF_LAYERS])
{
	for (unsigned i = 0; i < c->n; i++) {
		for (unsigned k = 0; k < CONF_LAYERS; k++)
			ret[i][k] = c->members[i].sender ? sender_asked(c->members[i].sender, k) : 0;
	}
}

/* Of the member and of the encoding that was asked most. */
static void count_asked(struct conf *c)
{
	unsigned now[CONF_MEMBERS][CONF_LAYERS];

	read_asked(c, now);
	for (unsigned i = 0; i < c->n; i++) {
		unsigned of_all = 0;

		for (unsigned k = 0; k < CONF_LAYERS; k++) {
			unsigned asked = now[i][k] - c->asked[i][k];

			c->f.storm_asked = MU_MAX(c->f.storm_asked, asked);
			of_all += asked;
		}
		c->f.storm_asked_all = MU_MAX(c->f.storm_asked_all, of_all);
	}
}

static void storm(struct conf *c, int64_t now_us)
{
	unsigned extra = c->n_all - c->n;

	if (!c->under_way) {
		c->under_way = true;
		c->started = 0;
		read_asked(c, c->asked);
	}
	while (c->started < extra && now_us - c->since_us >= (int64_t)c->started * STORM_US / extra)
		member_join(&c->members[c->n + c->started++]);
	if ((c->started < extra || storm_ready(c) < extra) && now_us - c->since_us < STORM_US + LATE_US)
		return;
	if (storm_ready(c) < extra)
		note_failure(c, "not all of those who came at once had all pictures in time");
	count_asked(c);
	go_on(c, now_us);
}

static void leave(struct conf *c, int64_t now_us)
{
	unsigned left = 0;

	c->f.c.open = false;
	for (unsigned i = 0; i < c->n_all; i++) {
		struct member *m = &c->members[i];

		member_leave(m);
		left += m->state != MEMBER_OUT && m->state != MEMBER_FAILED;
	}
	if (!left || now_us - c->since_us > LEAVE_US)
		enter(c, DONE, now_us);
}

static void phase_tick(struct conf *c, int64_t now_us)
{
	int64_t in_phase = now_us - c->since_us;

	switch (c->phase) {
	case CREATE:
		create(c, now_us);
		break;
	case FILL:
		fill(c, now_us);
		break;
	case WARMUP:
		if (!c->at[1].at_ns)
			proc_read(c->load->o.pid, &c->at[1]);
		if (in_phase >= (int64_t)(c->load->o.warmup_s * 1e6))
			begin_measuring(c, now_us);
		break;
	case MEASURE:
		if (now_ns() >= c->load->to_ns)
			end_measuring(c, now_us);
		break;
	case DRAIN:
		if (in_phase < DRAIN_US)
			break;
		c->f.c.open = false;
		go_on(c, now_us);
		break;
	case SPEAK:
		speak(c, now_us);
		break;
	case SWITCH:
		switch_layers(c, now_us);
		break;
	case REJOIN:
		rejoin(c, now_us);
		break;
	case STORM:
		storm(c, now_us);
		break;
	case LEAVE:
		leave(c, now_us);
		break;
	case DONE:
		break;
	}
}

static uint64_t run_senders(struct conf *c, uint64_t ns)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < c->n; i++) {
		uint64_t due = sender_run(c->members[i].up, ns);

		next = MU_MIN(next, due);
	}
	return next;
}

static void tick(struct conf *c)
{
	int64_t now_us = mu_clock_us();

	for (unsigned i = 0; i < c->n_all; i++)
		member_tick(&c->members[i], now_us);
	http_tick(now_us);
	if (c->load->stop && c->phase < LEAVE)
		enter(c, LEAVE, now_us);
	phase_tick(c, now_us);
}

static int finish(struct conf *c)
{
	struct load *l = c->load;
	json_t *r = conf_report(l, &c->f, c->at, c->own_ns);
	int err = l->failures || !l->to_ns ? -EPROTO : 0;

	stats_print(r);
	if (l->o.json && json_dump_file(r, l->o.json, JSON_INDENT(1)) < 0) {
		fprintf(stderr, "cannot write %s\n", l->o.json);
		err = -EIO;
	}
	json_decref(r);
	for (unsigned i = 0; i < c->n_all; i++)
		member_done(&c->members[i]);
	return err;
}

int conf_run(struct load *l)
{
	struct conf *c = &conf;
	uint64_t next_tick = 0;

	c->load = c->http.load = l;
	c->n = l->o.members;
	c->n_all = c->n + l->o.extra;
	l->from_ns = l->to_ns = UINT64_MAX;
	for (unsigned i = 0; i < c->n_all; i++) {
		if (member_init(&c->members[i], l, c, i, i < c->n) < 0)
			return -ENOMEM;
	}
	net_also(ws_poll_add, ws_poll_done);
	proc_read(l->o.pid, &c->at[0]);
	enter(c, CREATE, mu_clock_us());
	while (c->phase != DONE) {
		uint64_t ns = now_ns(), next = run_senders(c, ns);

		if (ns >= next_tick) {
			tick(c);
			next_tick = ns + TICK_US * 1000;
		}
		net_poll(l, MU_MIN(next, next_tick));
	}
	return finish(c);
}
