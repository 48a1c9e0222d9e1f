/* mu-load's options. */
#include "load_conf.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static struct load load;
static const char *const mode_names[] = { "load", "join", "churn", "conference" };

static const char usage[] =
	"mu-load [options]: publishers and viewers of a media server\n"
	"  --url URL             Muster, by WHIP and WHEP (http://127.0.0.1:8088)\n"
	"  --janus URL           Janus' videoroom by its REST API (http://127.0.0.1:9788/janus); room 1 must exist\n"
	"  --yardstick HOST:PORT control port of mu-forward\n"
	"  --token T --site S    Bearer token and site (bench, bench)\n"
	"  load|join|churn|conference  all viewers at once and measured; one after the other; many sessions up and\n"
	"                        down; members who all see each other. Or --mode ...\n"
	"  --publishers N --viewers N   of load (1, 50); viewers are dealt to the publishers in turn\n"
	"  --sessions N --concurrency N of join and churn (100, 1 and 16); load: joins under way at once (8)\n"
	"  --members N --extra N of conference: members (12), and who comes at the end within a second (20)\n"
	"  --rounds N            speakers, tiles and members that change (12)\n"
	"  --churn-publish       every second session of churn publishes instead of watching\n"
	"  --hold MS             churn and join: how long a session stays (0)\n"
	"  --ramp US             between two joins, at least (0)\n"
	"  --profile gcm|gcm256|cm\n"
	"  --warmup S --seconds S       (2, 5)\n"
	"  --bitrate BPS --fps N --key S  of a publisher's video (2500000, 30, a key frame every 10 s)\n"
	"  --pace off|TIMES      spread a frame's packets at so many times the bit rate (2.5)\n"
	"  --pace-tick US        let packets go in groups every so often, as pacers with a timer do (0)\n"
	"  --pid PID             the server's process, for CPU time and memory\n"
	"  --core N              pin to a core\n"
	"  --check N             decrypt one packet in N (1: all)\n"
	"  --nack                ask for lost packets\n"
	"  --gro                 readers take coalesced datagrams\n"
	"  --spin                never sleep, so that the server need not wake us\n"
	"  --sockets N           UDP sockets to share among the peers (4)\n"
	"  --base A.B            peers' addresses are A.B.0.1 and on; they must be local (127.1)\n"
	"  --json FILE           write the report there too\n";

enum {
	O_URL = 256,
	O_JANUS,
	O_YARD,
	O_TOKEN,
	O_SITE,
	O_MODE,
	O_PUBS,
	O_VIEWERS,
	O_SESSIONS,
	O_CONCURRENCY,
	O_CHURN_PUBLISH,
	O_MEMBERS,
	O_EXTRA,
	O_ROUNDS,
	O_HOLD,
	O_RAMP,
	O_PROFILE,
	O_WARMUP,
	O_SECONDS,
	O_BITRATE,
	O_FPS,
	O_KEY,
	O_PACE,
	O_PACE_TICK,
	O_PID,
	O_CORE,
	O_CHECK,
	O_NACK,
	O_GRO,
	O_SPIN,
	O_SOCKETS,
	O_BASE,
	O_JSON,
};
static const struct option options[] = { { "url", 1, NULL, O_URL }, { "janus", 1, NULL, O_JANUS },
	{ "yardstick", 1, NULL, O_YARD }, { "token", 1, NULL, O_TOKEN }, { "site", 1, NULL, O_SITE },
	{ "mode", 1, NULL, O_MODE }, { "publishers", 1, NULL, O_PUBS }, { "viewers", 1, NULL, O_VIEWERS },
	{ "sessions", 1, NULL, O_SESSIONS }, { "concurrency", 1, NULL, O_CONCURRENCY },
	{ "members", 1, NULL, O_MEMBERS }, { "extra", 1, NULL, O_EXTRA }, { "rounds", 1, NULL, O_ROUNDS },
	{ "churn-publish", 0, NULL, O_CHURN_PUBLISH }, { "hold", 1, NULL, O_HOLD },
	{ "ramp", 1, NULL, O_RAMP }, { "profile", 1, NULL, O_PROFILE }, { "warmup", 1, NULL, O_WARMUP },
	{ "seconds", 1, NULL, O_SECONDS }, { "bitrate", 1, NULL, O_BITRATE }, { "fps", 1, NULL, O_FPS },
	{ "key", 1, NULL, O_KEY }, { "pace", 1, NULL, O_PACE }, { "pace-tick", 1, NULL, O_PACE_TICK },
	{ "pid", 1, NULL, O_PID }, { "core", 1, NULL, O_CORE }, { "check", 1, NULL, O_CHECK },
	{ "nack", 0, NULL, O_NACK }, { "gro", 0, NULL, O_GRO }, { "spin", 0, NULL, O_SPIN },
	{ "sockets", 1, NULL, O_SOCKETS }, { "base", 1, NULL, O_BASE }, { "json", 1, NULL, O_JSON }, { 0 } };

static unsigned number(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || v < min || v > max) {
		fprintf(stderr, "mu-load: %s is not a number from %u to %u\n", text, min, max);
		exit(2);
	}
	return (unsigned)v;
}

static unsigned two_bytes(const char *text)
{
	unsigned a, b;

	if (sscanf(text, "%3u.%3u", &a, &b) != 2 || a > 255 || b > 255) {
		fprintf(stderr, "mu-load: %s is not like 127.1\n", text);
		exit(2);
	}
	return a << 8 | b;
}

static int word(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(text, words[i]))
			return (int)i;
	}
	fprintf(stderr, "mu-load: what is %s?\n%s", text, usage);
	exit(2);
}

/* @return false: none of these */
static bool server_option(struct load_options *o, int opt, const char *arg)
{
	switch (opt) {
	case O_URL:
		o->url = arg;
		return true;
	case O_JANUS:
		o->url = arg;
		o->janus = true;
		return true;
	case O_YARD:
		o->yardstick = arg;
		return true;
	case O_TOKEN:
		o->token = arg;
		return true;
	case O_SITE:
		o->site = arg;
		return true;
	case O_PID:
		o->pid = (int)number(arg, 1, INT32_MAX);
		return true;
	}
	return false;
}

static bool conference_option(struct load_options *o, int opt, const char *arg)
{
	switch (opt) {
	case O_MEMBERS:
		o->members = number(arg, 2, 32);
		return true;
	case O_EXTRA:
		o->extra = number(arg, 0, 60);
		return true;
	case O_ROUNDS:
		o->rounds = number(arg, 0, 1000);
		return true;
	}
	return false;
}

static bool run_option(struct load_options *o, int opt, const char *arg)
{
	switch (opt) {
	case O_MODE:
		o->mode = (enum load_mode)word(arg, mode_names, MU_ARRAY_LEN(mode_names));
		return true;
	case O_PUBS:
		o->publishers = number(arg, 0, 255);
		return true;
	case O_VIEWERS:
		o->viewers = number(arg, 1, 20000);
		return true;
	case O_SESSIONS:
		o->sessions = number(arg, 1, 10000000);
		return true;
	case O_CONCURRENCY:
		o->concurrency = number(arg, 1, 100);
		return true;
	case O_CHURN_PUBLISH:
		o->churn_publish = true;
		return true;
	case O_HOLD:
		o->hold_ms = number(arg, 0, 3600000);
		return true;
	case O_RAMP:
		o->ramp_us = number(arg, 0, 10000000);
		return true;
	case O_WARMUP:
		o->warmup_s = atof(arg);
		return true;
	case O_SECONDS:
		o->seconds = atof(arg);
		return true;
	case O_JSON:
		o->json = arg;
		return true;
	}
	return false;
}

static bool media_option(struct load_options *o, int opt, const char *arg)
{
	static const char *const profiles[] = { "gcm", "gcm256", "cm" };
	static const enum mu_srtp_profile values[] = { MU_SRTP_AEAD_AES_128_GCM, MU_SRTP_AEAD_AES_256_GCM,
		MU_SRTP_AES128_CM_SHA1_80 };

	switch (opt) {
	case O_PROFILE:
		o->profile = values[word(arg, profiles, MU_ARRAY_LEN(profiles))];
		return true;
	case O_BITRATE:
		o->bitrate = number(arg, 50000, 100000000);
		return true;
	case O_FPS:
		o->fps = number(arg, 1, 120);
		return true;
	case O_KEY:
		o->key_every_s = number(arg, 1, 3600);
		return true;
	case O_PACE:
		o->pace = strcmp(arg, "off") ? atof(arg) : 0;
		return true;
	case O_PACE_TICK:
		o->pace_tick_us = number(arg, 0, 100000);
		return true;
	}
	return false;
}

static bool own_option(struct load_options *o, int opt, const char *arg)
{
	switch (opt) {
	case O_CORE:
		o->core = (int)number(arg, 0, 1023);
		return true;
	case O_CHECK:
		o->check = number(arg, 1, 1000000);
		return true;
	case O_NACK:
		o->nack = true;
		return true;
	case O_GRO:
		o->gro = true;
		return true;
	case O_SPIN:
		o->spin = true;
		return true;
	case O_BASE:
		o->base = two_bytes(arg);
		return true;
	case O_SOCKETS:
		o->sockets = number(arg, 1, LOAD_SOCKETS_MAX);
		return true;
	}
	return false;
}

static void read_options(int argc, char **argv, struct load_options *o)
{
	int opt;

	if (argc > 1 && argv[1][0] != '-') {
		o->mode = (enum load_mode)word(argv[1], mode_names, MU_ARRAY_LEN(mode_names));
		argv++;
		argc--;
	}
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (server_option(o, opt, optarg) || run_option(o, opt, optarg) ||
			conference_option(o, opt, optarg) || media_option(o, opt, optarg) ||
			own_option(o, opt, optarg))
			continue;
		fputs(usage, stderr);
		exit(2);
	}
	if (!o->concurrency)
		o->concurrency = o->mode == MODE_LOAD ? 8 : o->mode == MODE_JOIN ? 1 : 16;
}

static void prepare_process(const struct load_options *o)
{
	struct rlimit files;
	cpu_set_t set;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* the default slack of 50 us would smear the pacing */
	prctl(PR_SET_TIMERSLACK, 1000);
	signal(SIGPIPE, SIG_IGN);
	CPU_ZERO(&set);
	CPU_SET((size_t)MU_MAX(o->core, 0), &set);
	if (o->core >= 0 && sched_setaffinity(0, sizeof(set), &set) < 0)
		perror("cannot pin");
}

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
		fprintf(stderr, "mu-load: %s %s\n", strerror(-err), e.text);
	return err;
}

static void on_signal(int sig)
{
	(void)sig;
	load.stop = true;
}

int main(int argc, char **argv)
{
	struct load *l = &load;
	int err;

	l->o = (struct load_options){ .url = "http://127.0.0.1:8088",
		.token = "bench",
		.site = "bench",
		.publishers = 1,
		.viewers = 50,
		.sessions = 100,
		.members = 12,
		.extra = 20,
		.rounds = 12,
		.profile = MU_SRTP_AEAD_AES_128_GCM,
		.pace = 2.5,
		.bitrate = 2500000,
		.fps = 30,
		.key_every_s = 10,
		.warmup_s = 2,
		.seconds = 5,
		.core = -1,
		.base = 127 << 8 | 1,
		.check = 1,
		.sockets = 4 };
	read_options(argc, argv, &l->o);
	l->signal = l->o.mode == MODE_CONFERENCE ? &signal_console : l->o.yardstick ? &signal_yard : l->o.janus ? &signal_janus : &signal_whip;
	l->bare = l->o.yardstick != NULL;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	prepare_process(&l->o);
	err = prepare(l);
	if (err == 0)
		err = l->o.mode == MODE_CONFERENCE ? conf_run(l) : load_run(l);
	net_close();
	mu_dtls_ctx_free(l->dtls);
	mu_identity_free(l->identity);
	mu_srtp_engine_free(l->engine);
	return err == 0 ? 0 : 1;
}
