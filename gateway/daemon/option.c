/* option: one option's field: set from text, compared, cleared. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "directory/directory.h"
#include "daemon/schema.h"
#include "daemon/values.h"

static void *field(const struct mu_option *o, const struct mu_config *c)
{
	return (char *)c + o->at;
}

bool mu_option_is_list(const struct mu_option *o)
{
	switch (o->type) {
	case MU_OPTION_FILES:
	case MU_OPTION_URLS:
	case MU_OPTION_WORDS:
	case MU_OPTION_SOCKETS:
	case MU_OPTION_HOSTS:
	case MU_OPTION_ADDRESSES:
	case MU_OPTION_PLACES:
		return true;
	default:
		return false;
	}
}

size_t mu_option_size(const struct mu_option *o)
{
	switch (o->type) {
	case MU_OPTION_BOOL:
		return sizeof(bool);
	case MU_OPTION_INT:
	case MU_OPTION_DURATION:
	case MU_OPTION_SIZE:
	case MU_OPTION_BITRATE:
		return sizeof(int64_t);
	case MU_OPTION_WORD:
		return sizeof(int);
	case MU_OPTION_SITE:
	case MU_OPTION_FILE:
	case MU_OPTION_FOLDER:
		return sizeof(char *);
	case MU_OPTION_FILES:
	case MU_OPTION_URLS:
		return sizeof(struct mu_text_list);
	case MU_OPTION_WORDS:
		return sizeof(struct mu_word_list);
	case MU_OPTION_SOCKETS:
	case MU_OPTION_HOSTS:
	case MU_OPTION_ADDRESSES:
	case MU_OPTION_PLACES:
		return sizeof(struct mu_addr_list);
	}
	return 0;
}

static int set_number(const struct mu_option *o, int64_t *at, const char *text)
{
	int64_t v;
	int err;

	if (o->zero && strcmp(text, o->zero) == 0) {
		*at = 0;
		return 0;
	}
	if (o->type == MU_OPTION_DURATION)
		err = mu_value_duration(text, &v);
	else if (o->type == MU_OPTION_SIZE)
		err = mu_value_size(text, &v);
	else if (o->type == MU_OPTION_BITRATE)
		err = mu_value_bitrate(text, &v);
	else
		err = mu_value_int(text, &v);
	if (err < 0 || v < o->min || v > o->max)
		return -EINVAL;
	*at = v;
	return 0;
}

static int find_word(const struct mu_option *o, const char *text, int *ret)
{
	for (int i = 0; o->words[i]; i++) {
		if (strcmp(o->words[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

#define PATH_TEXT_MAX 4095

static int copy_path(const char *folder, const char *text, char **ret)
{
	char *s;

	if (!*text || strlen(folder) + strlen(text) + 1 > PATH_TEXT_MAX)
		return -EINVAL;
	if (asprintf(&s, "%s%s%s", *text == '/' ? "" : folder, *text == '/' ? "" : "/", text) < 0)
		return -ENOMEM;
	*ret = s;
	return 0;
}

static int set_text(const struct mu_option *o, char **at, const char *folder, const char *text)
{
	char *s;

	if (o->type != MU_OPTION_SITE) {
		int err = copy_path(folder, text, &s);

		if (err < 0)
			return err;
	} else {
		if (!mu_site_valid(text))
			return -EINVAL;
		s = strdup(text);
		if (!s)
			return -ENOMEM;
	}
	free(*at);
	*at = s;
	return 0;
}

/* A port without an address: of no family. */
static int parse_port(const char *text, struct mu_addr *ret)
{
	int64_t v;

	if (mu_value_int(text, &v) < 0 || v > 65535)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	mu_addr_set_port(ret, (uint16_t)v);
	return 0;
}

static int add_addr(const struct mu_option *o, struct mu_addr_list *l, const char *text)
{
	struct mu_addr a, other;
	bool has_port;

	if (o->type == MU_OPTION_PLACES && parse_port(text, &a) == 0) {
		has_port = true;
	} else {
		/* A port is there when the default makes no difference. */
		if (mu_addr_parse(text, 0, &a) < 0 || mu_addr_parse(text, 1, &other) < 0)
			return -EINVAL;
		has_port = mu_addr_port(&a) == mu_addr_port(&other);
	}
	if ((o->type == MU_OPTION_SOCKETS && !has_port) || (o->type == MU_OPTION_HOSTS && has_port))
		return -EINVAL;
	for (unsigned i = 0; i < l->n; i++) {
		if (mu_addr_equal(&l->items[i], &a) && (mu_addr_port(&a) || !has_port))
			return -EEXIST;
	}
	if (l->n == MU_CONFIG_LIST_MAX)
		return -ENOSPC;
	l->items[l->n++] = a;
	return 0;
}

static int add_word(const struct mu_option *o, struct mu_word_list *l, const char *text)
{
	int v;

	if (find_word(o, text, &v) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < l->n; i++) {
		if (l->items[i] == v)
			return -EEXIST;
	}
	if (l->n == MU_CONFIG_LIST_MAX)
		return -ENOSPC;
	l->items[l->n++] = v;
	return 0;
}

/* Takes the text in any case. */
static int add_text(struct mu_text_list *l, char *s)
{
	int err = s ? 0 : -ENOMEM;

	if (l->n == MU_CONFIG_LIST_MAX)
		err = -ENOSPC;
	for (unsigned i = 0; i < l->n && s; i++) {
		if (strcmp(l->items[i], s) == 0)
			err = -EEXIST;
	}
	if (err < 0)
		free(s);
	else
		l->items[l->n++] = s;
	return err;
}

static int add_file(struct mu_text_list *l, const char *folder, const char *text)
{
	char *s;
	int err = copy_path(folder, text, &s);

	return err < 0 ? err : add_text(l, s);
}

static int add_url(struct mu_text_list *l, const char *text)
{
	return mu_value_ice_url(text) < 0 ? -EINVAL : add_text(l, strdup(text));
}

int mu_option_set(const struct mu_option *o, struct mu_config *c, const char *folder, const char *text)
{
	void *at = field(o, c);

	switch (o->type) {
	case MU_OPTION_BOOL:
		return mu_value_bool(text, at);
	case MU_OPTION_INT:
	case MU_OPTION_DURATION:
	case MU_OPTION_SIZE:
	case MU_OPTION_BITRATE:
		return set_number(o, at, text);
	case MU_OPTION_WORD:
		return find_word(o, text, at);
	case MU_OPTION_SITE:
	case MU_OPTION_FILE:
	case MU_OPTION_FOLDER:
		return set_text(o, at, folder, text);
	case MU_OPTION_FILES:
		return add_file(at, folder, text);
	case MU_OPTION_URLS:
		return add_url(at, text);
	case MU_OPTION_WORDS:
		return add_word(o, at, text);
	case MU_OPTION_SOCKETS:
	case MU_OPTION_HOSTS:
	case MU_OPTION_ADDRESSES:
	case MU_OPTION_PLACES:
		return add_addr(o, at, text);
	}
	return -EINVAL;
}

static bool texts_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool mu_option_equal(const struct mu_option *o, const struct mu_config *a, const struct mu_config *b)
{
	if (o->type == MU_OPTION_SITE || o->type == MU_OPTION_FILE || o->type == MU_OPTION_FOLDER)
		return texts_equal(*(char **)field(o, a), *(char **)field(o, b));
	if (o->type == MU_OPTION_FILES || o->type == MU_OPTION_URLS) {
		const struct mu_text_list *x = field(o, a), *y = field(o, b);
		bool same = x->n == y->n;

		for (unsigned i = 0; same && i < x->n; i++)
			same = texts_equal(x->items[i], y->items[i]);
		return same;
	}
	/* The rest is plain bytes: configurations come from calloc, items of a list from whole copies. */
	return memcmp(field(o, a), field(o, b), mu_option_size(o)) == 0;
}

void mu_option_clear(const struct mu_option *o, struct mu_config *c)
{
	if (o->type == MU_OPTION_SITE || o->type == MU_OPTION_FILE || o->type == MU_OPTION_FOLDER)
		free(*(char **)field(o, c));
	if (o->type == MU_OPTION_FILES || o->type == MU_OPTION_URLS) {
		struct mu_text_list *l = field(o, c);

		for (unsigned i = 0; i < l->n; i++)
			free(l->items[i]);
	}
	memset(field(o, c), 0, mu_option_size(o));
}
