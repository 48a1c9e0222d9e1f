#include <errno.h>
#include <stdio.h>

#include "secure/secure.h"

static const struct {
	const char *name;
	uint32_t bit;
} names[] = {
	{ "publish", MU_SCOPE_PUBLISH },
	{ "watch", MU_SCOPE_WATCH },
	{ "conference", MU_SCOPE_CONFERENCE },
	{ "operate", MU_SCOPE_OPERATE },
	{ "admin", MU_SCOPE_ADMIN },
};

static uint32_t bit_of(const char *word, size_t len)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(names); i++)
		if (strlen(names[i].name) == len && !memcmp(names[i].name, word, len))
			return names[i].bit;
	return 0;
}

int mu_scope_parse(const char *text, uint32_t *ret)
{
	uint32_t scopes = 0;

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t len = strcspn(text, " ");
		uint32_t bit = bit_of(text, len);

		if (!bit)
			return -EINVAL;
		scopes |= bit;
		text += len;
	}
	*ret = scopes;
	return 0;
}

char *mu_scope_text(uint32_t scopes, char *ret, size_t size)
{
	size_t at = 0;

	if (size)
		ret[0] = '\0';
	for (size_t i = 0; i < MU_ARRAY_LEN(names); i++) {
		size_t need = strlen(names[i].name) + (at ? 1 : 0);

		if (!(scopes & names[i].bit) || at + need >= size)
			continue;
		snprintf(ret + at, size - at, "%s%s", at ? " " : "", names[i].name);
		at += need;
	}
	return ret;
}
