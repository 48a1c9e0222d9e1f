/* The loop, and what each mode does with the sessions in it. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_US    5000
#define DRAIN_US   1500000 /* after the window: packets on their way still count as received */
#define GIVE_UP_US 120000000

enum phase {
	PHASE_PUBLISH,
	PHASE_SESSIONS,
	PHASE_WARMUP,
	PHASE_MEASURE,
	PHASE_DRAIN,
	PHASE_LEAVE,
	PHASE_DONE
};

static struct run {
	enum phase phase;
	int64_t since_us, next_start_us, next_row_us;
	unsigned ready_publishers, ready_sessions, active; /* active: started, neither ready nor failed */
	unsigned done;                                     /* sessions of churn and join that ended */
	struct proc_sample idle, published, before, after;
	uint64_t own_before, own_after, measured_from, measured_to;
	json_t *rows;
} run;

static void enter(enum phase phase, int64_t now_us)
{
	run.phase = phase;
	run.since_us = now_us;
}

static bool is_session(const struct peer *p)
{
	return !p->publishes || p->stream >= p->load->o.publishers;
}

/* Under load viewers stay; in the other modes each leaves some time after it is ready. */
void run_ready(struct peer *p)
{
	struct load *l = p->load;

	if (!is_session(p)) {
		l->streams[p->stream] = p->pub;
		run.ready_publishers++;
		return;
	}
	run.ready_sessions++;
	p->ready = true;
	if (l->o.mode == MODE_LOAD)
		run.active--;
	else
		p->leave_us = mu_clock_us() + (int64_t)l->o.hold_ms * 1000;
}

void run_ended(struct peer *p, bool failed)
{
	if (!is_session(p))
		return;
	if (p->load->o.mode != MODE_LOAD) {
		run.active--;
		run.done++;
		p->load->ended++;
	} else if (failed && run.phase < PHASE_LEAVE && !p->ready) {
		run.active--;
	}
}

/* --- starting sessions --- */

static void start_publishers(struct load *l, int64_t now_us)
{
	for (unsigned i = 0; i < l->o.publishers; i++)
		peer_start(l->peers[i], now_us);
}

/* Start as many as may be under way at once. */
static void start_sessions(struct load *l, int64_t now_us)
{
	unsigned total = l->o.mode == MODE_LOAD ? l->o.viewers : l->o.sessions;

	for (unsigned i = l->o.publishers; i < l->n_peers; i++) {
		struct peer *p = l->peers[i];

		if (l->began == total || run.active >= l->o.concurrency || now_us < run.next_start_us)
			return;
		if (p->state != PEER_FREE || (l->o.mode == MODE_LOAD && p->started))
			continue;
		p->started = true;
		l->began++;
		run.active++;
		if (l->o.ramp_us)
			run.next_start_us = now_us + l->o.ramp_us;
		peer_start(p, now_us);
	}
}

/* How the server stands while sessions come and go. */
static void add_row(struct load *l, int64_t now_us)
{
	struct proc_sample s;

	if (now_us < run.next_row_us || !proc_read(l->o.pid, &s))
		return;
	run.next_row_us = now_us + 1000000;
	json_array_append_new(run.rows,
		json_pack("{s:i, s:i, s:i, s:i, s:i, s:f}", "sessions", (int)run.done, "rss_kib",
			(int)s.rss_kib, "fds", s.fds, "threads", s.threads, "failures", (int)l->failures,
			"seconds", (double)(now_us - run.since_us) / 1e6));
}

/* --- phases --- */

static void begin_measuring(struct load *l, int64_t now_us)
{
	proc_read(l->o.pid, &run.before);
	run.own_before = own_cpu_ns();
	l->from_ns = run.measured_from = now_ns();
	l->to_ns = l->from_ns + (uint64_t)(l->o.seconds * 1e9);
	enter(PHASE_MEASURE, now_us);
}

static void end_measuring(struct load *l, int64_t now_us)
{
	proc_read(l->o.pid, &run.after);
	run.own_after = own_cpu_ns();
	run.measured_to = now_ns();
	enter(PHASE_DRAIN, now_us);
}

static void begin_leaving(struct load *l, int64_t now_us)
{
	view_finish(l);
	enter(PHASE_LEAVE, now_us);
}

/* Leave in small groups: a thousand DELETEs at once would only measure the listener's backlog. Publishers go
 * last, for a server may end the sessions of those who watch them. */
static void leave(struct load *l, int64_t now_us)
{
	unsigned leaving = 0, left = 0;

	for (unsigned i = l->n_peers; i-- > 0;) {
		bool may = leaving < 16 && (i >= l->o.publishers || !left);

		leaving += l->peers[i]->state == PEER_ENDING;
		if (l->peers[i]->state == PEER_UP && may) {
			peer_leave(l->peers[i]);
			leaving += l->peers[i]->state == PEER_ENDING;
		}
		left += l->peers[i]->state != PEER_FREE && l->peers[i]->state != PEER_FAILED;
	}
	if (!left || now_us - run.since_us > 20000000)
		enter(PHASE_DONE, now_us);
}

static void sessions(struct load *l, int64_t now_us)
{
	bool all;

	start_sessions(l, now_us);
	if (l->o.mode == MODE_LOAD) {
		all = l->began == l->o.viewers && !run.active;
		if (all || now_us - run.since_us > GIVE_UP_US)
			enter(PHASE_WARMUP, now_us);
		return;
	}
	add_row(l, now_us);
	if (run.done >= l->o.sessions) {
		run.next_row_us = 0;
		add_row(l, now_us);
		begin_leaving(l, now_us);
	}
}

static void phase_tick(struct load *l, int64_t now_us)
{
	int64_t in_phase = now_us - run.since_us;

	switch (run.phase) {
	case PHASE_PUBLISH:
		if (run.ready_publishers == l->o.publishers && in_phase > 500000) {
			proc_read(l->o.pid, &run.published);
			enter(PHASE_SESSIONS, now_us);
		} else if (in_phase > 15000000 || l->failures) {
			enter(PHASE_LEAVE, now_us);
		}
		break;
	case PHASE_SESSIONS:
		sessions(l, now_us);
		break;
	case PHASE_WARMUP:
		if (in_phase >= (int64_t)(l->o.warmup_s * 1e6))
			begin_measuring(l, now_us);
		break;
	case PHASE_MEASURE:
		if (now_ns() >= l->to_ns)
			end_measuring(l, now_us);
		break;
	case PHASE_DRAIN:
		if (in_phase > DRAIN_US)
			begin_leaving(l, now_us);
		break;
	case PHASE_LEAVE:
		leave(l, now_us);
		break;
	case PHASE_DONE:
		break;
	}
}

static void tick(struct load *l)
{
	int64_t now_us = mu_clock_us();

	for (unsigned i = 0; i < l->n_peers; i++) {
		struct peer *p = l->peers[i];

		peer_tick(p, now_us);
		if (p->state != PEER_FAILED || p->reaped)
			continue;
		run_ended(p, true);
		peer_clear(p);
		/* what failed under load stays away: the count of viewers must not change in the window */
		p->reaped = l->o.mode == MODE_LOAD;
	}
	http_tick(now_us);
	phase_tick(l, now_us);
}

/* --- the report --- */

static void report_load(struct load *l, json_t *r)
{
	double span = (double)(run.measured_to - run.measured_from);
	double cpu = (double)(run.after.cpu_ns - run.before.cpu_ns);
	uint64_t sent = l->c.sent[VIDEO] + l->c.sent[AUDIO];
	unsigned ready = run.ready_sessions;

	/* viewers are dealt evenly to streams of one rate, so each should have had its share of what was sent
	 */
	l->c.expected = (uint64_t)((double)sent / (double)MU_MAX(l->o.publishers, 1u) * ready + 0.5);
	json_object_update_new(r,
		json_pack("{s:I, s:I, s:I, s:f}", "sent", (json_int_t)sent, "expected",
			(json_int_t)l->c.expected, "received_unique", (json_int_t)l->c.unique, "loss_percent",
			l->c.expected ? 100.0 * ((double)l->c.expected - (double)l->c.unique) /
					(double)l->c.expected
				      : 100.0));
	json_object_update_new(r,
		json_pack("{s:f, s:f, s:f}", "packets_per_s", (double)l->c.received / span * 1e9,
			"mbit_per_s", (double)l->c.bytes * 8e3 / span, "own_cpu_share",
			(double)(run.own_after - run.own_before) / span));
	json_object_set_new(r, "latency_ms", stats_hist_ms(&l->latency));
	json_object_set_new(r, "last_ms", stats_hist_ms(&l->last));
	if (!run.after.at_ns || !run.before.at_ns)
		return;
	json_object_update_new(r,
		json_pack("{s:f, s:f, s:i, s:i, s:i, s:f, s:i, s:i}", "cpu_ns_per_packet",
			l->c.received ? cpu / (double)l->c.received : 0.0, "server_cpu_share",
			cpu / (double)(run.after.at_ns - run.before.at_ns), "rss_kib", (int)run.after.rss_kib,
			"rss_idle_kib", (int)run.idle.rss_kib, "rss_published_kib",
			(int)run.published.rss_kib, "rss_kib_per_viewer",
			ready ? (double)(run.after.rss_kib - run.idle.rss_kib) / ready : 0.0, "server_fds",
			run.after.fds, "server_threads", run.after.threads));
	json_object_set_new(r, "thread", stats_threads(&run.before, &run.after));
}

static json_t *report(struct load *l)
{
	static const char *const modes[] = { "load", "join", "churn" };
	json_t *r = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "mode", modes[l->o.mode], "profile",
		mu_srtp_profile_name(l->o.profile), "publishers", (int)run.ready_publishers, "viewers",
		(int)run.ready_sessions, "asked",
		(int)(l->o.mode == MODE_LOAD ? l->o.viewers : l->o.sessions), "failures", (int)l->failures,
		"consent_lost", (int)l->consent_lost);

	for (unsigned i = 0; i < MU_MIN(l->failures, (unsigned)MU_ARRAY_LEN(l->first_failures)); i++) {
		if (!i)
			json_object_set_new(r, "failure", json_array());
		json_array_append_new(json_object_get(r, "failure"), json_string(l->first_failures[i]));
	}
	json_object_set_new(r, "join_ms", stats_hist_ms(&l->join));
	json_object_set_new(r, "keys_ms", stats_hist_ms(&l->handshake));
	json_object_update_new(r,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "duplicates",
			(json_int_t)l->c.duplicates, "replayed", (json_int_t)l->c.replayed, "bad",
			(json_int_t)l->c.bad, "recovered", (json_int_t)l->c.recovered, "key_requests",
			(json_int_t)l->c.key_requests, "asked_key", (json_int_t)l->c.asked_key, "nacked",
			(json_int_t)l->c.nacked, "resent", (json_int_t)l->c.resent, "late_sends",
			(json_int_t)l->c.late_sends));
	if (run.measured_to)
		report_load(l, r);
	if (l->signal->stats)
		l->signal->stats(r);
	if (json_array_size(run.rows))
		json_object_set(r, "over_time", run.rows);
	return r;
}

static int write_report(struct load *l)
{
	json_t *r = report(l);
	int err = 0;

	stats_print(r);
	if (l->o.json && json_dump_file(r, l->o.json, JSON_INDENT(1)) < 0) {
		fprintf(stderr, "cannot write %s\n", l->o.json);
		err = -EIO;
	}
	json_decref(r);
	return err;
}

/* --- slots --- */

static int make_peers(struct load *l)
{
	unsigned slots = l->o.mode == MODE_LOAD ? l->o.viewers : l->o.concurrency;

	l->n_peers = l->o.publishers + slots;
	l->peers = calloc(l->n_peers, sizeof(*l->peers));
	l->streams = calloc(MU_MAX(l->o.publishers, 1u), sizeof(*l->streams));
	for (unsigned i = 0; l->peers && l->streams && i < l->n_peers; i++) {
		unsigned k = i - l->o.publishers,
			 stream = i < l->o.publishers ? i : k % MU_MAX(l->o.publishers, 1u);
		bool publishes = i < l->o.publishers;
		char name[32];

		snprintf(name, sizeof(name), "s%u", stream);
		if (!publishes && l->o.churn_publish && k % 2) {
			snprintf(name, sizeof(name), "c%u", k);
			publishes = true;
			stream = l->o.publishers + k;
		}
		l->peers[i] = peer_new(l, publishes, stream, name);
		if (!l->peers[i])
			return -ENOMEM;
	}
	return l->peers && l->streams ? 0 : -ENOMEM;
}

static uint64_t run_publishers(struct load *l, uint64_t ns)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < l->n_peers; i++) {
		uint64_t due;

		if (!l->peers[i]->publishes) {
			if (!l->o.churn_publish)
				break;
			continue;
		}
		due = pub_run(l->peers[i], ns);
		next = MU_MIN(next, due);
	}
	return next;
}

int load_run(struct load *l)
{
	uint64_t next_tick = 0, next;
	bool good;

	run.rows = json_array();
	l->from_ns = l->to_ns = UINT64_MAX;
	if (make_peers(l) < 0)
		return -ENOMEM;
	proc_read(l->o.pid, &run.idle);
	enter(PHASE_PUBLISH, mu_clock_us());
	start_publishers(l, mu_clock_us());
	while (run.phase != PHASE_DONE) {
		uint64_t ns = now_ns();

		if (l->stop && run.phase < PHASE_LEAVE)
			begin_leaving(l, mu_clock_us());
		next = run_publishers(l, ns);
		if (ns >= next_tick) {
			tick(l);
			next_tick = ns + TICK_US * 1000;
		}
		net_poll(l, MU_MIN(next, next_tick));
	}
	good = run.ready_publishers == l->o.publishers && run.ready_sessions && !l->failures;
	if (write_report(l) < 0)
		return -EIO;
	for (unsigned i = 0; i < l->n_peers; i++) {
		peer_clear(l->peers[i]);
		free(l->peers[i]);
	}
	free(l->peers);
	free(l->streams);
	json_decref(run.rows);
	return good ? 0 : -EPROTO;
}
