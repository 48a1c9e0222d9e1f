/* Options, the loop, and commands from stdin. */
#include "attack.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TICK_NS 5000000u

static struct load load;
static struct attack attack = { .load = &load };

static const struct {
	const char *name;
	command_fn *fn;
} commands[] = {
	{ "open", do_open },
	{ "answer", do_answer },
	{ "await", do_await },
	{ "state", do_state },
	{ "mute", do_mute },
	{ "stay", do_stay },
	{ "keep", do_keep },
	{ "leave", do_leave },
	{ "begin", do_begin },
	{ "end", do_end },
	{ "got", do_got },
	{ "stranger", do_stranger },
	{ "move", do_move },
	{ "credentials", do_credentials },
	{ "accept", do_accept },
	{ "flows", do_flows },
	{ "raw", do_raw },
	{ "rtp", do_rtp },
	{ "rtcp", do_rtcp },
	{ "forge", do_forge },
	{ "replay", do_replay },
	{ "ssrcs", do_ssrcs },
	{ "spray", do_spray },
	{ "checks", do_checks },
	{ "steal", do_steal },
	{ "scraps", do_scraps },
	{ "tcp", do_tcp },
	{ "hold", do_hold },
};

/* load_peer.c tells; we look at states instead */
void run_ready(struct peer *p)
{
	p->ready = true;
}
void run_ended(struct peer *p, bool failed)
{
	(void)p;
	(void)failed;
}

/* --- the loop --- */

static void tick(struct attack *a)
{
	int64_t now_us = mu_clock_us();

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		struct peer *p = a->session[i];

		if (!p || p->state == PEER_FREE)
			continue;
		if (session_of(p)->stays) {
			p->last_consent_us = now_us;
			p->ready = true;
		}
		peer_tick(p, now_us);
	}
}

void turn(struct attack *a, uint64_t until_ns)
{
	static uint64_t next_tick;
	uint64_t ns = now_ns(), next = until_ns;

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		struct peer *p = a->session[i];
		uint64_t due = p && p->publishes && p->pub ? pub_run(p, ns) : UINT64_MAX;

		next = MU_MIN(next, due);
	}
	if (ns >= next_tick) {
		tick(a);
		next_tick = ns + TICK_NS;
	}
	if (tcp_poll(a)) /* net_poll knows nothing of them */
		next = MU_MIN(next, ns + 500000);
	net_poll(a->load, MU_MIN(next, next_tick));
}

void at_rate(struct attack *a, uint64_t n, double rate, void (*one)(void *arg, uint64_t i), void *arg)
{
	uint64_t began = now_ns(), done = 0;

	while (done < n) {
		uint64_t ns = now_ns(), due = MU_MIN(n, (uint64_t)((double)(ns - began) * rate / 1e9) + 1);

		/* not so many at a time that the sessions of this very process fall behind */
		for (unsigned burst = 0; done < due && burst < 64; burst++)
			one(arg, done++);
		turn(a, began + (uint64_t)((double)done * 1e9 / rate));
	}
}

/* --- commands --- */

uint64_t n_of(json_t *in)
{
	json_t *n = json_object_get(in, "n");

	return n ? (uint64_t)json_integer_value(n) : 1;
}

double rate_of(json_t *in)
{
	double rate = json_number_value(json_object_get(in, "rate"));

	return rate > 0 ? rate : 1000;
}

static void run(struct attack *a, const char *line)
{
	json_t *in = json_loads(line, 0, NULL), *out = json_object();
	const char *name = json_string_value(json_object_get(in, "do")), *wrong = "no such command";

	for (size_t i = 0; name && i < MU_ARRAY_LEN(commands); i++) {
		if (!strcmp(name, commands[i].name))
			wrong = commands[i].fn(a, in, out);
	}
	json_object_set_new(out, "ok", json_boolean(!wrong));
	if (wrong)
		json_object_set_new(out, "error", json_string(wrong));
	json_dumpf(out, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(in);
	json_decref(out);
}

/* The whole lines that are there; more of them than a turn's worth may wait. */
static void read_commands(struct attack *a)
{
	static char text[1 << 20];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof(text) - 1 - len);
	char *end;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		a->over = true;
	if (n <= 0)
		return;
	len += (size_t)n;
	text[len] = 0;
	while ((end = memchr(text, '\n', len))) {
		*end = 0;
		run(a, text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len + 1);
	}
	if (len == sizeof(text) - 1)
		a->over = true;
}

/* --- start --- */

static int prepare(struct load *l)
{
	enum mu_srtp_profile only[] = { l->o.profile, MU_SRTP_NONE };
	struct mu_error e = { "" };
	int err = mu_srtp_engine_new("auto", &l->engine, &e);

	if (err == 0)
		err = mu_identity_new(&l->identity);
	if (err == 0)
		err = mu_dtls_ctx_new(l->identity, only, &l->dtls, &e);
	if (err == 0)
		err = net_open(l);
	if (err < 0)
		fprintf(stderr, "mu-attack: %s %s\n", strerror(-err), e.text);
	return err;
}

static void usage(void)
{
	fputs("mu-attack [--base A.B] [--profile gcm|cm] [--bitrate BPS] [--nack]: commands on stdin, see attack.h\n",
		stderr);
	exit(2);
}

static void read_options(int argc, char **argv, struct load_options *o)
{
	static const struct option options[] = { { "base", 1, NULL, 'b' }, { "profile", 1, NULL, 'p' },
		{ "bitrate", 1, NULL, 'r' }, { "nack", 0, NULL, 'n' }, { 0 } };
	unsigned a, b;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'b' && sscanf(optarg, "%3u.%3u", &a, &b) == 2)
			o->base = a << 8 | b;
		else if (opt == 'p')
			o->profile =
				strcmp(optarg, "cm") ? MU_SRTP_AEAD_AES_128_GCM : MU_SRTP_AES128_CM_SHA1_80;
		else if (opt == 'r')
			o->bitrate = (unsigned)atoi(optarg);
		else if (opt == 'n')
			o->nack = true;
		else
			usage();
	}
}

static void no_signal(struct peer *p)
{
	(void)p;
}
static const struct signalling signal_caller = { .start = no_signal, .stop = peer_gone };

int main(int argc, char **argv)
{
	struct load *l = &load;
	int err;

	l->o = (struct load_options){ .profile = MU_SRTP_AEAD_AES_128_GCM,
		.pace = 2.5,
		.bitrate = 2500000,
		.fps = 30,
		.key_every_s = 10,
		.base = 127 << 8 | 1,
		.check = 1,
		.sockets = 1 };
	read_options(argc, argv, &l->o);
	l->signal = &signal_caller;
	l->from_ns = l->to_ns = UINT64_MAX;
	prctl(PR_SET_TIMERSLACK, 1000);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	err = prepare(l);
	while (err == 0 && !attack.over) {
		turn(&attack, now_ns() + 1000000);
		read_commands(&attack);
	}
	sessions_free(&attack);
	net_close();
	mu_dtls_ctx_free(l->dtls);
	mu_identity_free(l->identity);
	mu_srtp_engine_free(l->engine);
	return err == 0 ? 0 : 1;
}
