#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/gateway.h"
#include "daemon/schema.h"

#define FILES_WANTED 65536 /* descriptors: HTTP connections mostly */

enum { EXIT_USAGE = 2 };

static void usage(FILE *f)
{
	fputs("usage: musterd --config FILE [--check-config]\n"
	      "       musterd --version | --print-options | --help\n"
	      "\n"
	      "  -c, --config FILE     configuration, YAML; docs/configuration.md has every option\n"
	      "      --check-config    read it, print everything that is wrong with it, start nothing\n"
	      "      --print-options   print all options as markdown\n"
	      "      --version         print the version\n"
	      "  -h, --help            print this\n"
	      "\n"
	      "Signals: HUP rereads the configuration; TERM and INT drain and stop, a second one stops at once.\n"
	      "Exit status: 0 stopped or checked, 1 failed, 2 usage.\n",
		f);
}

static int print_problems(struct mu_problems *p, const char *kind)
{
	for (unsigned i = 0; i < p->n; i++)
		fprintf(stderr, "%s%s\n", kind, p->text[i]);
	mu_problems_done(p);
	return EXIT_FAILURE;
}

static struct mu_config *load(const char *path)
{
	struct mu_problems p = { 0 };
	struct mu_config *c = NULL;
	int err = mu_config_load(path, &c, &p);

	if (err == 0 && mu_config_check_files(c, &p) == 0)
		return c;
	if (err == -ENOMEM)
		mu_problems_add(&p, path, 0, "out of memory");
	print_problems(&p, "");
	mu_config_free(c);
	return NULL;
}

static int check(const char *path)
{
	struct mu_config *c = load(path);
	struct mu_problems p = { 0 };
	struct mu_keyring *k = NULL;
	struct mu_ice_secrets ice = { .secret = NULL };
	struct mu_error e;
	int ret = EXIT_SUCCESS;

	if (!c)
		return EXIT_FAILURE;
	if (mu_secrets_keyring(c, &k, &e) < 0)
		mu_problems_add(&p, path, 0, "%s", e.text);
	if (mu_secrets_check_tls(c, &e) < 0)
		mu_problems_add(&p, path, 0, "%s", e.text);
	if (mu_secrets_ice(c, &ice, &e) < 0)
		mu_problems_add(&p, path, 0, "%s", e.text);
	mu_secrets_ice_done(&ice);
	if (p.n) {
		ret = print_problems(&p, "");
	} else {
		mu_config_warnings(c, &p);
		print_problems(&p, "warning: ");
		printf("%s: good\n", path);
	}
	mu_keyring_free(k);
	mu_config_free(c);
	return ret;
}

/* Before any key is read. */
static void harden(const struct mu_config *c)
{
	struct rlimit none = { 0, 0 }, files;

	if (!c->debug.core_dumps) {
		prctl(PR_SET_DUMPABLE, 0);
		setrlimit(RLIMIT_CORE, &none);
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_WANTED) {
		files.rlim_cur = MU_MIN(files.rlim_max, FILES_WANTED);
		setrlimit(RLIMIT_NOFILE, &files);
	}
	umask(077);
	signal(SIGPIPE, SIG_IGN);
}

static int serve(const char *path)
{
	struct mu_config *c = load(path);
	struct mu_gateway *g = NULL;
	struct mu_problems p = { 0 };
	struct mu_error e = { .text = "" };
	int err;

	if (!c)
		return EXIT_FAILURE;
	mu_log_setup((enum mu_log_level)c->log.level, (enum mu_log_target)c->log.target);
	harden(c);
	mu_config_warnings(c, &p);
	for (unsigned i = 0; i < p.n; i++)
		mu_warn(MU_TOPIC, NULL, "%s", p.text[i]);
	mu_problems_done(&p);
	err = mu_gateway_new(c, &g, &e);
	if (err < 0) {
		mu_err(MU_TOPIC, NULL, "cannot start: %s", e.text[0] ? e.text : strerror(-err));
		return EXIT_FAILURE;
	}
	mu_gateway_run(g);
	mu_gateway_free(g);
	mu_info(MU_TOPIC, NULL, "stopped");
	return EXIT_SUCCESS;
}

/* Where 0, 1 or 2 is closed, a socket or a file of ours would get the number, and log lines go into it. */
static void fill_standard_fds(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	enum { CHECK = 256, PRINT, VERSION };
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, CHECK }, { "print-options", no_argument, NULL, PRINT },
		{ "version", no_argument, NULL, VERSION }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	const char *path = NULL;
	bool only_check = false;
	int o;

	fill_standard_fds();
	while ((o = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
		switch (o) {
		case 'c':
			path = optarg;
			break;
		case CHECK:
			only_check = true;
			break;
		case PRINT:
			mu_options_print(stdout);
			return EXIT_SUCCESS;
		case VERSION:
			puts("musterd " MU_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc || !path) {
		fprintf(stderr, "musterd: %s\n", path ? "unexpected argument" : "--config FILE is needed");
		usage(stderr);
		return EXIT_USAGE;
	}
	return only_check ? check(path) : serve(path);
}
