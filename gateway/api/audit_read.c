/* Reading back, across the full files and the one that is written, checked against the chain on the way. */
#include <stdlib.h>

#include "api/audit_file.h"

/* The place from which the line n is found in the file that is written, which has lines. */
static struct mu_audit_mark mark_before(const struct mu_audit_file *f, uint64_t n)
{
	struct mu_audit_mark m = f->marks[0];

	for (size_t lo = 0, hi = f->n_marks; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->marks[mid].n <= n) {
			m = f->marks[mid];
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return m;
}

struct page {
	json_t *entries;
	uint64_t after, bad; /* bad: first number that does not follow */
	unsigned limit;
};

static bool full(const struct page *p)
{
	return json_array_size(p->entries) >= p->limit;
}

static void found_bad(struct page *p, uint64_t n)
{
	if (!p->bad)
		p->bad = n;
}

/* One line at mark m; m moves on. */
static void read_line(struct page *p, struct mu_audit_mark *m, const char *line, size_t len)
{
	char hash[MU_AUDIT_HASH + 1];
	uint64_t n = m->n;
	json_t *o;

	memcpy(hash, m->prev, sizeof(hash));
	if (!mu_audit_line_check(line, len, m->n, m->prev, &n, hash))
		found_bad(p, m->n);
	memcpy(m->prev, hash, sizeof(hash));
	m->n = n + 1;
	if (n <= p->after)
		return;
	o = json_loadb(line, len, 0, NULL);
	if (o)
		json_array_append_new(p->entries, o);
}

/* Lines from m on; m moves on. */
static void read_lines(struct page *p, const char *path, struct mu_audit_mark *m, uint64_t last)
{
	FILE *in = mu_audit_full_open(path);
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (in && fseeko(in, m->at, SEEK_SET) == 0) {
		while (!full(p) && m->n <= last && (len = getline(&line, &cap, in)) > 0)
			read_line(p, m, line, (size_t)len - (line[len - 1] == '\n'));
	}
	free(line);
	if (in)
		fclose(in);
	m->at = 0;
}

/* Where the chain stands at the beginning of full file i. */
static void place_of(const struct mu_audit_full *files, size_t i, struct mu_audit_mark *m)
{
	FILE *in;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (i > 0 && mu_audit_full_end(files[i - 1].path, m))
		return;
	*m = (struct mu_audit_mark){ .n = files[i].first_n, .prev = MU_AUDIT_ZERO };
	in = mu_audit_full_open(files[i].path);
	if (in && (len = getline(&line, &cap, in)) > 0)
		mu_audit_full_anchor(line, (size_t)len - (line[len - 1] == '\n'), m);
	free(line);
	if (in)
		fclose(in);
}

/* The full files from the one that has the line after `after`; then m stands where the next one begins. */
static bool read_full(struct page *p, const struct mu_audit_full *files, size_t n, struct mu_audit_mark *m)
{
	size_t i = 0;

	if (n == 0)
		return false;
	while (i + 1 < n && files[i + 1].first_n <= p->after + 1)
		i++;
	place_of(files, i, m);
	for (; i < n && !full(p); i++) {
		if (files[i].first_n != m->n)
			found_bad(p, m->n); /* one between is missing, or ends too early */
		read_lines(p, files[i].path, m, UINT64_MAX);
	}
	return true;
}

json_t *mu_audit_file_read(struct mu_audit_file *f, uint64_t after, unsigned limit)
{
	struct page p = { .entries = json_array(), .after = after, .limit = limit };
	struct mu_audit_mark m = { .n = f->first_n };
	struct mu_audit_full *files;
	size_t n_files;
	json_t *o;

	mu_audit_full_list(f->path, &files, &n_files);
	if (after + 1 >= f->first_n || !read_full(&p, files, n_files, &m)) {
		if (f->n_marks)
			m = mark_before(f, after + 1);
	}
	if (!full(&p) && f->n_marks)
		read_lines(&p, f->path, &m, f->last_n);
	/* fewer lines than were written: somebody cut them off */
	if (!full(&p) && m.n <= f->last_n)
		found_bad(&p, m.n);
	if (p.bad && (!f->broken_at || p.bad < f->broken_at))
		f->broken_at = p.bad;
	o = json_pack("{so sb sI sI}", "entries", p.entries, "verified", !f->broken_at, "first",
		(json_int_t)(n_files ? files[0].first_n : f->first_n), "last", (json_int_t)f->last_n);
	if (o && f->broken_at)
		json_object_set_new(o, "broken_at", json_integer((json_int_t)f->broken_at));
	mu_audit_full_free(files, n_files);
	return o;
}
