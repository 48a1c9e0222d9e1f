#include <stdio.h>
#include <stdlib.h>

#include "daemon/config.h"

void mu_problems_add(struct mu_problems *p, const char *file, unsigned line, const char *fmt, ...)
{
	char what[640], where[32] = "", *s;
	char **text;
	unsigned *lines;
	va_list ap;

	if (p->n >= MU_CONFIG_PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (line)
		snprintf(where, sizeof(where), ":%u", line);
	text = realloc(p->text, (p->n + 1) * sizeof(*text));
	if (text)
		p->text = text;
	lines = realloc(p->line, (p->n + 1) * sizeof(*lines));
	if (lines)
		p->line = lines;
	if (!text || !lines || asprintf(&s, "%s%s: %s", file, where, what) < 0)
		return;
	p->text[p->n] = s;
	p->line[p->n++] = line;
}

/* Few and nearly in order: each moves up to its place, those of the whole file come last. */
void mu_problems_sort(struct mu_problems *p)
{
	for (unsigned i = 1; i < p->n; i++) {
		unsigned line = p->line[i], j = i;
		char *text = p->text[i];

		for (; j > 0 && line && (!p->line[j - 1] || p->line[j - 1] > line); j--) {
			p->line[j] = p->line[j - 1];
			p->text[j] = p->text[j - 1];
		}
		p->line[j] = line;
		p->text[j] = text;
	}
}

void mu_problems_done(struct mu_problems *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->text[i]);
	free(p->text);
	free(p->line);
	memset(p, 0, sizeof(*p));
}
