#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/audit_file.h"

#define END    ".jsonl"
#define DIGITS 20
#define TAIL   65536 /* bytes: no line is that long, for no part of a request is */

static int stem(const char *path)
{
	return (int)(strlen(path) - (sizeof(END) - 1));
}

char *mu_audit_full_name(const char *path, uint64_t first_n)
{
	char *name;

	return asprintf(&name, "%.*s-%0*" PRIu64 END, stem(path), path, DIGITS, first_n) < 0 ? NULL : name;
}

static bool number(const char *name, int stem_len, uint64_t *ret)
{
	const char *at = name + stem_len + 1;

	if (strspn(at, "0123456789") != DIGITS || strcmp(at + DIGITS, END) != 0)
		return false;
	*ret = strtoull(at, NULL, 10);
	return *ret > 0;
}

void mu_audit_full_list(const char *path, struct mu_audit_full **ret, size_t *n)
{
	char *pattern;
	glob_t g;

	*ret = NULL;
	*n = 0;
	if (asprintf(&pattern, "%.*s-*" END, stem(path), path) < 0)
		return;
	if (glob(pattern, 0, NULL, &g) == 0) {
		*ret = calloc(g.gl_pathc, sizeof(**ret));
		for (size_t i = 0; *ret && i < g.gl_pathc; i++) {
			struct mu_audit_full *full = &(*ret)[*n];

			if (number(g.gl_pathv[i], stem(path), &full->first_n) &&
				(full->path = strdup(g.gl_pathv[i])))
				++*n;
		}
		globfree(&g);
	}
	free(pattern);
}

void mu_audit_full_free(struct mu_audit_full *full, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(full[i].path);
	free(full);
}

FILE *mu_audit_full_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");

	if (!in && fd >= 0)
		close(fd);
	return in;
}

bool mu_audit_full_end(const char *path, struct mu_audit_mark *ret)
{
	FILE *in = mu_audit_full_open(path);
	char *line = NULL, prev[MU_AUDIT_HASH + 1];
	bool found = false;
	size_t cap = 0;
	ssize_t len;

	if (!in)
		return false;
	if (fseeko(in, -TAIL, SEEK_END) < 0)
		rewind(in); /* it is shorter */
	while ((len = getline(&line, &cap, in)) > 0) {
		if (line[len - 1] == '\n' &&
			mu_audit_line_place(line, (size_t)len - 1, &ret->n, prev, ret->prev))
			found = true;
	}
	ret->n++;
	ret->at = 0;
	free(line);
	fclose(in);
	return found;
}

void mu_audit_full_anchor(const char *line, size_t len, struct mu_audit_mark *ret)
{
	static const char rotated[] =
		"\"what\":\"audit.rotated\""; /* in a text its quotes would be escaped */
	char hash[MU_AUDIT_HASH + 1];

	if (memmem(line, len, rotated, sizeof(rotated) - 1) &&
		mu_audit_line_place(line, len, &ret->n, ret->prev, hash))
		return;
	ret->n = 1;
	memcpy(ret->prev, MU_AUDIT_ZERO, sizeof(ret->prev));
}
