/* print: the table of options in words. */
#include "daemon/schema.h"
#include "daemon/values.h"

static char *join(const char *const *words, char *ret, size_t size)
{
	size_t n = 0;

	ret[0] = '\0';
	for (; *words && n < size; words++)
		n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "", *words);
	return ret;
}

static char *range(const struct mu_option *o, char *ret, size_t size)
{
	char min[MU_VALUE_TEXT], max[MU_VALUE_TEXT];

	switch (o->type) {
	case MU_OPTION_DURATION:
		mu_value_duration_text(o->min, min);
		mu_value_duration_text(o->max, max);
		break;
	case MU_OPTION_SIZE:
		mu_value_size_text(o->min, min);
		mu_value_size_text(o->max, max);
		break;
	case MU_OPTION_BITRATE:
		mu_value_bitrate_text(o->min, min);
		mu_value_bitrate_text(o->max, max);
		break;
	default:
		snprintf(min, sizeof(min), "%lld", (long long)o->min);
		snprintf(max, sizeof(max), "%lld", (long long)o->max);
	}
	snprintf(ret, size, "%s to %s", min, max);
	return ret;
}

char *mu_option_allowed(const struct mu_option *o, char *ret, size_t size)
{
	static const char *const plain[] = {
		[MU_OPTION_BOOL] = "true or false",
		[MU_OPTION_SITE] =
			"a dotted name of lower-case letters, digits and inner dashes, at most 63 characters, such as city.east",
		[MU_OPTION_FILE] = "a file's path",
		[MU_OPTION_FOLDER] = "a folder's path",
		[MU_OPTION_FILES] = "a list of files' paths",
		[MU_OPTION_URLS] =
			"a list of servers, such as stun:stun.example.net, turn:turn.example.net:3478?transport=udp or turns:turn.example.net:443?transport=tcp",
		[MU_OPTION_SOCKETS] =
			"a list of addresses with a port, such as 192.0.2.1:8443 or [2001:db8::1]:8443",
		[MU_OPTION_HOSTS] = "a list of addresses without a port, such as 192.0.2.1 or 2001:db8::1",
		[MU_OPTION_ADDRESSES] =
			"a list of addresses, such as 192.0.2.1, 192.0.2.1:5000 or 2001:db8::1",
		[MU_OPTION_PLACES] =
			"a port, or a list of ports and addresses, such as 443, 192.0.2.1, 192.0.2.1:443 or [2001:db8::1]:443",
	};
	static const char *const number[] = {
		[MU_OPTION_INT] = "a whole number",
		[MU_OPTION_DURATION] = "a duration (us, ms, s, min, h)",
		[MU_OPTION_SIZE] = "a size (B, KiB, MiB, GiB)",
		[MU_OPTION_BITRATE] = "a bit rate (kbit/s, Mbit/s, Gbit/s)",
	};
	char text[160];

	if (o->type == MU_OPTION_WORD)
		snprintf(ret, size, "one of %s", join(o->words, text, sizeof(text)));
	else if (o->type == MU_OPTION_WORDS)
		snprintf(ret, size, "a list of %s", join(o->words, text, sizeof(text)));
	else if (o->type < MU_ARRAY_LEN(number) && number[o->type])
		snprintf(ret, size, "%s%s%s from %s", o->zero ? o->zero : "", o->zero ? " or " : "",
			number[o->type], range(o, text, sizeof(text)));
	else
		snprintf(ret, size, "%s", plain[o->type]);
	return ret;
}

static const char *const intro =
	"# Configuration of musterd\n"
	"\n"
	"One YAML file, given with `musterd --config FILE`. `musterd --check-config --config FILE` reads it, prints\n"
	"everything that is wrong with it, each with file, line and what is allowed, and starts nothing. An unknown key, a\n"
	"value that is not allowed, or a key given twice stops a start; a reload (SIGHUP) keeps the old configuration then.\n"
	"\n"
	"Paths are relative to the folder of the file. Secrets are files, never values. Options marked \"reload\" take effect\n"
	"on SIGHUP; for the others a reload says that a restart is needed. A name with a dot is a key inside a group:\n"
	"\n"
	"```yaml\n"
	"site: city.east\n"
	"http:\n"
	"  listen: [\"192.0.2.10:8443\"]\n"
	"  certificate: tls/chain.pem\n"
	"  key: tls/key.pem\n"
	"media:\n"
	"  listen: [192.0.2.10]\n"
	"auth:\n"
	"  keys: [tokens.pub]\n"
	"state: /var/lib/muster\n"
	"```\n"
	"\n"
	"This page is what `musterd --print-options` prints; change `gateway/daemon/schema.c`, not the page.\n";

static const char *default_text(const struct mu_option *o)
{
	return o->required ? "**required**" : o->def ? o->def : "none";
}

void mu_options_print(FILE *f)
{
	char allowed[400];
	const char *group = NULL;
	size_t group_len = 0;

	fputs(intro, f);
	for (size_t i = 0; i < mu_n_options; i++) {
		const struct mu_option *o = &mu_options[i];
		const char *dot = strchr(o->path, '.');
		size_t len = dot ? (size_t)(dot - o->path) : 0;

		if (!group || len != group_len || strncmp(group, o->path, len) != 0) {
			group = o->path;
			group_len = len;
			fprintf(f,
				"\n## %.*s\n\n| option | allowed | default | reload | what it is |\n|---|---|---|---|---|\n",
				len ? (int)len : 7, len ? o->path : "general");
		}
		fprintf(f, "| `%s` | %s | %s | %s | %s |\n", o->path,
			mu_option_allowed(o, allowed, sizeof(allowed)), default_text(o),
			o->reloadable ? "yes" : "no", o->help);
	}
}
