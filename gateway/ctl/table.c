#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"

void mu_table_add(struct mu_table *t, const char *fmt, ...)
{
	char **cells = realloc(t->cells, (t->n + 1) * sizeof(*cells)), *text;
	va_list ap;

	if (!cells)
		abort();
	t->cells = cells;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	/* Names come from other people's requests: nothing in them may move the cursor. C1 controls, U+0080
	 * to U+009F, do so too. */
	for (unsigned char *s = (unsigned char *)text; *s; s++) {
		if (s[0] < 0x20 || s[0] == 0x7f)
			s[0] = '?';
		else if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
			s[0] = s[1] = '?';
	}
	t->cells[t->n++] = text;
}

/* Code points that take two columns of a terminal: Chinese, Japanese, Korean, full-width forms (Unicode's annex 11). */
static bool is_wide(unsigned c)
{
	static const struct {
		unsigned from, to;
	} ranges[] = { { 0x1100, 0x115f }, { 0x2e80, 0xa4cf }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f },
		{ 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f }, { 0x20000, 0x3fffd } };

	for (size_t i = 0; i < MU_ARRAY_LEN(ranges); i++) {
		if (c >= ranges[i].from && c <= ranges[i].to)
			return true;
	}
	return false;
}

/* Columns of UTF-8 text. */
static int width(const char *s)
{
	int n = 0;

	while (*s) {
		unsigned char first = (unsigned char)*s++;
		unsigned c = first < 0x80 ? first : first < 0xe0 ? first & 0x1f : first < 0xf0 ? first & 0x0f : first & 0x07;

		for (; ((unsigned char)*s & 0xc0) == 0x80; s++)
			c = c << 6 | ((unsigned char)*s & 0x3f);
		n += is_wide(c) ? 2 : 1;
	}
	return n;
}

void mu_table_print(struct mu_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t column = i % t->columns;
		int wide = 0;

		fputs(t->cells[i], stdout);
		if (column == t->columns - 1 || i == t->n - 1) {
			putchar('\n');
			continue;
		}
		for (size_t j = column; j < t->n; j += t->columns)
			wide = MU_MAX(wide, width(t->cells[j]));
		printf("%*s", wide - width(t->cells[i]) + 2, "");
	}
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	memset(t, 0, sizeof(*t));
}
