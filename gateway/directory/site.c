/* What names may be. Apart from the rest, so that the configuration's checks need no directory. */
#include "directory/directory.h"

#define NAME_MAX_LEN 64
#define SITE_MAX_LEN (MU_ID_MAX - NAME_MAX_LEN - 1)

/* A name ends up in paths and logs, so no name may be "." or ".." or begin like an option (RELIABILITY P9).
 */
static bool name_valid(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n >= 1 && n <= NAME_MAX_LEN && !name[n] && name[0] != '.' && name[0] != '-';
}

static bool is_inner(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* As host names are, in lower case: two sites never differ by case alone. */
static bool site_valid(const char *site, size_t len)
{
	char last = '.';

	if (len == 0 || len > SITE_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = site[i];

		if (!is_inner(c) && c != '.' && c != '-')
			return false;
		if (last == '.' && !is_inner(c))
			return false;
		if (c == '.' && last == '-')
			return false;
		last = c;
	}
	return is_inner(last);
}

bool mu_site_valid(const char *site)
{
	return site_valid(site, strlen(site));
}

bool mu_endpoint_id_valid(const char *id)
{
	const char *slash = strchr(id, '/');

	return slash && site_valid(id, (size_t)(slash - id)) && name_valid(slash + 1);
}
