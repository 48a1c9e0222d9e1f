/* config: from a YAML file to a struct mu_config. libyaml's document keeps the line of every node. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "daemon/schema.h"

#define KEY_MAX 128

struct load {
	const char *path;
	char *folder; /* of the file, absolute */
	yaml_document_t *doc;
	struct mu_config *c;
	struct mu_problems *p;
	unsigned line[MU_OPTIONS_MAX];       /* of each option, 0: not given */
	unsigned group_line[MU_OPTIONS_MAX]; /* of the group an option is the first of */
};

static unsigned line_of(const yaml_node_t *n)
{
	return (unsigned)n->start_mark.line + 1;
}

static bool is_null(const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;

	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(!*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

/* What a person sees of foreign text in an error: short, one line, nothing a terminal obeys. */
static char *show(const yaml_node_t *n, char *ret, size_t size)
{
	size_t len = MU_MIN(n->data.scalar.length, size - 1);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = n->data.scalar.value[i];

		ret[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	ret[len] = '\0';
	return ret;
}

static bool has_nul(const yaml_node_t *n)
{
	return strlen((const char *)n->data.scalar.value) != n->data.scalar.length;
}

static void set_scalar(struct load *l, const struct mu_option *o, const yaml_node_t *n)
{
	char allowed[400], text[64];
	int err = -EINVAL;

	if (n->type != YAML_SCALAR_NODE) {
		mu_problems_add(l->p, l->path, line_of(n), "%s: must be %s, not a %s", o->path,
			mu_option_allowed(o, allowed, sizeof(allowed)),
			n->type == YAML_SEQUENCE_NODE ? "list" : "group");
		return;
	}
	if (is_null(n)) {
		mu_problems_add(l->p, l->path, line_of(n), "%s: has no value; it must be %s", o->path,
			mu_option_allowed(o, allowed, sizeof(allowed)));
		return;
	}
	if (!has_nul(n))
		err = mu_option_set(o, l->c, l->folder, (const char *)n->data.scalar.value);
	show(n, text, sizeof(text));
	if (err == -EEXIST)
		mu_problems_add(l->p, l->path, line_of(n), "%s: \"%s\" is in the list twice", o->path, text);
	else if (err == -ENOSPC)
		mu_problems_add(l->p, l->path, line_of(n),
			"%s: \"%s\" is too many; the list may have %d items", o->path, text,
			MU_CONFIG_LIST_MAX);
	else if (err < 0)
		mu_problems_add(l->p, l->path, line_of(n), "%s: must be %s, not \"%s\"", o->path,
			mu_option_allowed(o, allowed, sizeof(allowed)), text);
}

static void set_list(struct load *l, const struct mu_option *o, const yaml_node_t *n)
{
	char allowed[400];

	if (o->type == MU_OPTION_PLACES && n->type == YAML_SCALAR_NODE) {
		mu_option_clear(o, l->c);
		set_scalar(l, o, n);
		return;
	}
	if (n->type != YAML_SEQUENCE_NODE) {
		mu_problems_add(l->p, l->path, line_of(n), "%s: must be %s: [a, b]", o->path,
			mu_option_allowed(o, allowed, sizeof(allowed)));
		return;
	}
	mu_option_clear(o, l->c); /* what it is by default */
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		if (l->p->n < MU_CONFIG_PROBLEMS_MAX)
			set_scalar(l, o, yaml_document_get_node(l->doc, *i));
	}
}

static void unknown(struct load *l, const char *path, const char *key, unsigned line)
{
	char near[KEY_MAX];

	if (strchr(key, '.'))
		mu_problems_add(l->p, l->path, line,
			"%s: options are nested: write \"%.*s:\" and the rest on a line below it", path,
			(int)strcspn(key, "."), key);
	else if (mu_option_nearest(path, near, sizeof(near)))
		mu_problems_add(l->p, l->path, line, "%s: no such option; did you mean %s?", path, near);
	else
		mu_problems_add(
			l->p, l->path, line, "%s: no such option; musterd --print-options lists them", path);
}

static bool given_twice(struct load *l, unsigned *seen, const char *path, unsigned line)
{
	if (*seen) {
		mu_problems_add(l->p, l->path, line, "%s: given twice, first on line %u", path, *seen);
		return true;
	}
	*seen = line;
	return false;
}

static void walk(struct load *l, const yaml_node_t *map, const char *group);

static void enter_group(struct load *l, const char *path, const yaml_node_t *value, unsigned line)
{
	size_t first = 0, len = strlen(path);

	while (strncmp(mu_options[first].path, path, len) != 0 || mu_options[first].path[len] != '.')
		first++;
	if (given_twice(l, &l->group_line[first], path, line))
		return;
	if (value->type == YAML_MAPPING_NODE)
		walk(l, value, path);
	else if (!is_null(value)) /* "http:" with everything below it commented out is no mistake */
		mu_problems_add(l->p, l->path, line_of(value),
			"%s: must be a group of options, one a line below it", path);
}

static void take_pair(struct load *l, const char *group, const yaml_node_t *key, const yaml_node_t *value)
{
	char path[2 * KEY_MAX], name[KEY_MAX];
	int i;

	if (key->type != YAML_SCALAR_NODE) {
		mu_problems_add(l->p, l->path, line_of(key), "a key must be a name, not a list or a group");
		return;
	}
	show(key, name, sizeof(name));
	snprintf(path, sizeof(path), "%s%s%s", group, *group ? "." : "", name);
	i = strchr(name, '.') ? -1 : mu_option_find(path);
	if (i >= 0) {
		if (given_twice(l, &l->line[i], path, line_of(key)))
			return;
		if (mu_option_is_list(&mu_options[i]))
			set_list(l, &mu_options[i], value);
		else
			set_scalar(l, &mu_options[i], value);
	} else if (!*group && !strchr(name, '.') && mu_option_is_group(path)) {
		enter_group(l, path, value, line_of(key));
	} else {
		unknown(l, path, name, line_of(key));
	}
}

/* At most two levels deep: a group's members are options, never groups. So an alias to its own parent ends
 * here too. */
static void walk(struct load *l, const yaml_node_t *map, const char *group)
{
	for (yaml_node_pair_t *i = map->data.mapping.pairs.start; i < map->data.mapping.pairs.top; i++) {
		if (l->p->n >= MU_CONFIG_PROBLEMS_MAX)
			return;
		take_pair(l, group, yaml_document_get_node(l->doc, i->key),
			yaml_document_get_node(l->doc, i->value));
	}
}

static int set_defaults(struct load *l)
{
	for (size_t i = 0; i < mu_n_options; i++) {
		const struct mu_option *o = &mu_options[i];
		char *copy, *save = NULL;
		int err = 0;

		if (!o->def)
			continue;
		copy = strdup(o->def);
		if (!copy)
			return -ENOMEM;
		for (char *s = strtok_r(copy, " ", &save); s && err == 0; s = strtok_r(NULL, " ", &save))
			err = mu_option_set(o, l->c, l->folder, s);
		free(copy);
		if (err < 0)
			return err;
	}
	return 0;
}

static void need_required(struct load *l)
{
	char allowed[400];

	for (size_t i = 0; i < mu_n_options; i++) {
		if (mu_options[i].required && !l->line[i])
			mu_problems_add(l->p, l->path, 0, "%s: is missing; it must be %s", mu_options[i].path,
				mu_option_allowed(&mu_options[i], allowed, sizeof(allowed)));
	}
}

static void not_yaml(struct load *l, const yaml_parser_t *y)
{
	if (y->error == YAML_MEMORY_ERROR)
		mu_problems_add(l->p, l->path, 0, "out of memory");
	else if (y->error == YAML_READER_ERROR)
		mu_problems_add(
			l->p, l->path, 0, "not UTF-8 text: %s at byte %zu", y->problem, y->problem_offset);
	else
		mu_problems_add(l->p, l->path, (unsigned)y->problem_mark.line + 1, "not YAML: %s%s%s",
			y->problem, y->context ? ", " : "", y->context ? y->context : "");
}

static void read_document(struct load *l, yaml_parser_t *y)
{
	yaml_document_t next;
	yaml_node_t *root = yaml_document_get_root_node(l->doc);

	if (root && root->type != YAML_MAPPING_NODE && !is_null(root))
		mu_problems_add(
			l->p, l->path, line_of(root), "must be options, each \"name: value\" on its line");
	else if (root && root->type == YAML_MAPPING_NODE)
		walk(l, root, "");
	if (!root || l->p->n)
		return; /* without a root the stream is at its end */
	if (!yaml_parser_load(y, &next)) {
		not_yaml(l, y);
		return;
	}
	root = yaml_document_get_root_node(&next);
	if (root)
		mu_problems_add(l->p, l->path, line_of(root), "a second document: a configuration is one");
	yaml_document_delete(&next);
}

static void read_text(struct load *l, const char *text, size_t len)
{
	yaml_document_t doc;
	yaml_parser_t y;

	if (!yaml_parser_initialize(&y)) {
		mu_problems_add(l->p, l->path, 0, "out of memory");
		return;
	}
	yaml_parser_set_input_string(&y, (const unsigned char *)text, len);
	if (!yaml_parser_load(&y, &doc)) {
		not_yaml(l, &y);
	} else {
		l->doc = &doc;
		read_document(l, &y);
		yaml_document_delete(&doc);
		need_required(l);
	}
	yaml_parser_delete(&y);
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *relative = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	char *absolute = relative ? realpath(relative, NULL) : NULL;

	if (!absolute)
		return relative;
	free(relative);
	return absolute;
}

int mu_config_parse(
	const char *text, size_t len, const char *path, struct mu_config **ret, struct mu_problems *p)
{
	struct load l = { .path = path, .p = p, .folder = folder_of(path), .c = calloc(1, sizeof(*l.c)) };
	unsigned before = p->n;
	int err = -ENOMEM;

	if (!l.folder || !l.c)
		goto out;
	l.c->path = strdup(path);
	if (!l.c->path)
		goto out;
	err = set_defaults(&l);
	if (err < 0)
		goto out;
	if (len > MU_CONFIG_FILE_MAX)
		mu_problems_add(p, path, 0, "is larger than %d KiB", MU_CONFIG_FILE_MAX / 1024);
	else
		read_text(&l, text, len);
	if (p->n == before)
		mu_config_check(l.c, l.line, p);
	mu_problems_sort(p);
	err = p->n == before ? 0 : -EINVAL;
out:
	if (err == 0) {
		*ret = l.c;
		l.c = NULL;
	}
	mu_config_free(l.c);
	free(l.folder);
	return err;
}

int mu_config_load(const char *path, struct mu_config **ret, struct mu_problems *p)
{
	char *text = malloc(MU_CONFIG_FILE_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct stat st;
	ssize_t n = 0;
	size_t len = 0;

	if (!text) {
		err = -ENOMEM;
		goto out;
	}
	/* A reload would wait for whoever writes to a pipe, and the gateway would serve nobody meanwhile. */
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		mu_problems_add(p, path, 0, "is not a file, which a reload could read again");
		err = -EINVAL;
		goto out;
	}
	while (fd >= 0 && len <= MU_CONFIG_FILE_MAX &&
		(n = read(fd, text + len, MU_CONFIG_FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (fd < 0 || n < 0) {
		mu_problems_add(p, path, 0, "cannot be read: %s", strerror(errno));
		err = -EINVAL;
		goto out;
	}
	err = mu_config_parse(text, len, path, ret, p);
out:
	if (fd >= 0)
		close(fd);
	free(text);
	return err;
}

void mu_config_free(struct mu_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < mu_n_options; i++)
		mu_option_clear(&mu_options[i], c);
	free(c->path);
	free(c);
}

static void swap_bytes(char *a, char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char t = a[i];

		a[i] = b[i];
		b[i] = t;
	}
}

void mu_config_swap(struct mu_config *c, struct mu_config *next, void (*taken)(const char *path),
	void (*kept)(const char *path))
{
	for (size_t i = 0; i < mu_n_options; i++) {
		const struct mu_option *o = &mu_options[i];
		void (*tell)(const char *path) = o->reloadable ? taken : kept;

		if (mu_option_equal(o, c, next))
			continue;
		if (o->reloadable)
			swap_bytes((char *)c + o->at, (char *)next + o->at, mu_option_size(o));
		if (tell)
			tell(o->path);
	}
}
