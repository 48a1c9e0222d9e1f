#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"

static void usage(FILE *f)
{
	fputs("usage: musterctl [OPTIONS] COMMAND\n"
	      "\n"
	      "  status                what the gateway is and carries\n"
	      "  endpoints             who is there, in what state\n"
	      "  sessions              who publishes and watches\n"
	      "  conference list | show ID\n"
	      "                        which there are; who is in one, who has the floor, who wants it\n"
	      "  conference create [ID] [--title TEXT] [--moderated] [--layout equal|speaker|choice] [--loudest N]\n"
	      "                        it goes on until it is ended; moderated: only who has the floor, and chairs, are heard\n"
	      "  conference mute|unmute|remove|admit ID ENDPOINT, floor|broadcast ID [ENDPOINT], mute-all|unmute-all|lock|unlock|stop-screen|end ID,\n"
	      "             role ID ENDPOINT chair|participant|listener, layout ID equal|speaker|choice\n"
	      "                        what its chair may do; floor: give it, or without ENDPOINT take it back; broadcast: shown large to\n"
	      "                        all, without ENDPOINT nobody in particular\n"
	      "  token create --key FILE --scope \"publish watch\" [--endpoint ID] [--ttl 1h] [--subject NAME]\n"
	      "               [--conference ID] [--role chair|participant|listener] [--rank 0..15]\n"
	      "                        sign a token, print it; --endpoint and --conference may end in * for all ids that begin so;\n"
	      "                        without --role a participant; who may operate is a chair in any case; --rank: 0 is the highest,\n"
	      "                        without it 8\n"
	      "  token revoke ID [--expires TIME] | token revoke -\n"
	      "                        refuse a token from now on and end what it runs; TIME is when it ends by itself, as token\n"
	      "                        create says: until then it is remembered; - reads the token itself from standard input\n"
	      "  token keygen FILE     make a key pair: FILE and FILE.pub\n"
	      "\n"
	      "      --url URL         of the gateway; else MUSTER_URL, else http://127.0.0.1:8080\n"
	      "      --token-file FILE holds the token to ask with; else MUSTER_TOKEN_FILE\n"
	      "      --cacert FILE     authority of the gateway's certificate, PEM\n"
	      "      --insecure-plain  send the token over plain HTTP to another machine\n"
	      "      --json            print JSON\n"
	      "      --version         print the version\n"
	      "  -h, --help            print this\n"
	      "\n"
	      "Exit status: 0 done, 1 refused or failed, 2 usage.\n",
		f);
}

MU_PRINTF(1, 0) static void complain(const char *fmt, va_list ap)
{
	fputs("musterctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int mu_ctl_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	return MU_CTL_FAILED;
}

int mu_ctl_misused(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	fputs("musterctl --help tells more.\n", stderr);
	return MU_CTL_USAGE;
}

static int command(const struct mu_ctl *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*fn)(const struct mu_ctl *c);
	} shows[] = { { "status", mu_ctl_status }, { "endpoints", mu_ctl_endpoints },
		{ "sessions", mu_ctl_sessions } };

	if (!argc)
		return mu_ctl_misused("a command is needed");
	if (strcmp(argv[0], "token") == 0)
		return mu_ctl_token(c, argc - 1, argv + 1);
	if (strcmp(argv[0], "conference") == 0)
		return mu_ctl_conference(c, argc - 1, argv + 1);
	for (size_t i = 0; i < MU_ARRAY_LEN(shows); i++) {
		if (strcmp(argv[0], shows[i].name) == 0)
			return argc == 1 ? shows[i].fn(c) : mu_ctl_misused("%s takes no argument", argv[0]);
	}
	return mu_ctl_misused("%s: no such command", argv[0]);
}

enum { URL = 256, TOKEN_FILE, CACERT, JSON, PLAIN, VERSION, KEY, SCOPE, ENDPOINT, TTL, SUBJECT, EXPIRES,
	CONFERENCE, ROLE, RANK, TITLE, LAYOUT, LOUDEST, MODERATED };

static const char **text_option(struct mu_ctl *c, int o)
{
	switch (o) {
	case URL:
		return &c->url;
	case TOKEN_FILE:
		return &c->token_file;
	case CACERT:
		return &c->cacert;
	case KEY:
		return &c->key;
	case SCOPE:
		return &c->scope;
	case ENDPOINT:
		return &c->endpoint;
	case TTL:
		return &c->ttl;
	case SUBJECT:
		return &c->subject;
	case EXPIRES:
		return &c->expires;
	case CONFERENCE:
		return &c->conference;
	case ROLE:
		return &c->role;
	case RANK:
		return &c->rank;
	case TITLE:
		return &c->title;
	case LAYOUT:
		return &c->layout;
	case LOUDEST:
		return &c->loudest;
	default:
		return NULL;
	}
}

/* @return -1: go on with the command; else the exit status */
static int parse(struct mu_ctl *c, int argc, char **argv)
{
	static const struct option options[] = { { "url", 1, NULL, URL },
		{ "token-file", 1, NULL, TOKEN_FILE }, { "cacert", 1, NULL, CACERT },
		{ "json", 0, NULL, JSON }, { "insecure-plain", 0, NULL, PLAIN },
		{ "version", 0, NULL, VERSION }, { "key", 1, NULL, KEY }, { "scope", 1, NULL, SCOPE },
		{ "endpoint", 1, NULL, ENDPOINT }, { "ttl", 1, NULL, TTL }, { "subject", 1, NULL, SUBJECT },
		{ "expires", 1, NULL, EXPIRES }, { "conference", 1, NULL, CONFERENCE }, { "role", 1, NULL, ROLE },
		{ "rank", 1, NULL, RANK }, { "title", 1, NULL, TITLE }, { "layout", 1, NULL, LAYOUT },
		{ "loudest", 1, NULL, LOUDEST }, { "moderated", 0, NULL, MODERATED }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int o;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		const char **text = text_option(c, o);

		if (text)
			*text = optarg;
		else if (o == JSON)
			c->json = true;
		else if (o == MODERATED)
			c->moderated = true;
		else if (o == PLAIN)
			c->insecure_plain = true;
		else if (o == VERSION)
			return puts("musterctl " MU_VERSION) < 0;
		else if (o == 'h')
			return usage(stdout), MU_CTL_OK;
		else
			return usage(stderr), MU_CTL_USAGE;
	}
	return -1;
}

int main(int argc, char **argv)
{
	const char *url = getenv("MUSTER_URL"), *token_file = getenv("MUSTER_TOKEN_FILE");
	struct mu_ctl c = {
		.url = url && *url ? url : "http://127.0.0.1:8080",
		.token_file = token_file && *token_file ? token_file : NULL,
		.ttl = "1h",
		.subject = "musterctl",
	};
	int status = parse(&c, argc, argv);

	if (status >= 0)
		return status;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	status = command(&c, argc - optind, argv + optind);
	curl_global_cleanup();
	return status;
}
