#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/audit_file.h"

#define MARK_EVERY 256

int mu_audit_file_open(struct mu_audit_file *f, const char *path, struct mu_error *e)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->last_hash, MU_AUDIT_ZERO, MU_AUDIT_HASH + 1);
	f->path = strdup(path);
	f->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return mu_error_set(e, -errno, "%s: %s", path, strerror(errno));
	return f->path ? 0 : -ENOMEM;
}

void mu_audit_file_done(struct mu_audit_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f->marks);
	free(f->batch);
}

/* Remember now and then where a line begins: reading starts at such a mark. */
static void mark(struct mu_audit_file *f, const struct mu_audit_mark *m)
{
	if (f->n_marks && m->n < f->marks[f->n_marks - 1].n + MARK_EVERY)
		return;
	if (f->n_marks == f->marks_size) {
		size_t size = f->marks_size ? 2 * f->marks_size : 64;
		void *p = realloc(f->marks, size * sizeof(*f->marks));

		if (!p)
			return; /* reading starts further back: slower, not wrong */
		f->marks = p;
		f->marks_size = size;
	}
	f->marks[f->n_marks++] = *m;
}

/* The place of the line that comes next. */
static struct mu_audit_mark here(const struct mu_audit_file *f)
{
	struct mu_audit_mark m = { .n = f->last_n + 1, .at = f->size };

	memcpy(m.prev, f->last_hash, sizeof(m.prev));
	return m;
}

static FILE *reader(const struct mu_audit_file *f)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");

	if (!in && fd >= 0)
		close(fd);
	return in;
}

static void follow(struct mu_audit_file *f, const char *line, size_t len)
{
	struct mu_audit_mark m = here(f);
	uint64_t n = m.n;

	mark(f, &m);
	if (!mu_audit_line_check(line, len, m.n, m.prev, &n, f->last_hash) && !f->broken_at)
		f->broken_at = m.n;
	f->last_n = n;
	f->size += (off_t)len + 1;
}

off_t mu_audit_file_check(struct mu_audit_file *f)
{
	FILE *in = reader(f);
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	off_t cut = 0;

	while (in && (len = getline(&line, &cap, in)) > 0) {
		if (line[len - 1] != '\n') {
			cut = len;
			break;
		}
		follow(f, line, (size_t)len - 1);
	}
	free(line);
	if (in)
		fclose(in);
	if (cut && ftruncate(f->fd, f->size) < 0 && !f->broken_at)
		f->broken_at = f->last_n + 1;
	return cut;
}

static int batch_append(struct mu_audit_file *f, const char *line, size_t len)
{
	if (f->batch_len + len > f->batch_size) {
		size_t size = 2 * (f->batch_len + len);
		void *p = realloc(f->batch, size);

		if (!p)
			return -ENOMEM;
		f->batch = p;
		f->batch_size = size;
	}
	memcpy(f->batch + f->batch_len, line, len);
	f->batch_len += len;
	return 0;
}

int mu_audit_file_add(struct mu_audit_file *f, int64_t wall_us, const struct mu_audit_entry *e)
{
	struct mu_audit_mark at = here(f);
	char hash[MU_AUDIT_HASH + 1];
	char *line = mu_audit_line_make(at.n, wall_us, e, at.prev, hash);
	bool first = f->batch_len == 0;
	int err = line ? batch_append(f, line, strlen(line)) : -ENOMEM;

	free(line);
	if (err < 0)
		return err;
	if (first)
		f->batch_first = at;
	f->last_n = at.n;
	memcpy(f->last_hash, hash, sizeof(hash));
	return 0;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int mu_audit_file_sync(struct mu_audit_file *f)
{
	size_t len = f->batch_len;
	int err;

	if (len == 0)
		return 0;
	f->batch_len = 0;
	err = write_all(f->fd, f->batch, len);
	if (err == 0 && fdatasync(f->fd) < 0)
		err = -errno;
	if (err == 0) {
		mark(f, &f->batch_first);
		f->size += (off_t)len;
		return 0;
	}
	/* half a batch would break the chain for whatever comes later */
	if (ftruncate(f->fd, f->size) < 0 && !f->broken_at)
		f->broken_at = f->batch_first.n;
	f->last_n = f->batch_first.n - 1;
	memcpy(f->last_hash, f->batch_first.prev, sizeof(f->last_hash));
	return err;
}

/* --- reading
 * ----------------------------------------------------------------------------------------------------------------
 */

static struct mu_audit_mark mark_before(const struct mu_audit_file *f, uint64_t n)
{
	struct mu_audit_mark m = { .n = 1, .prev = MU_AUDIT_ZERO };

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
};

/* One line at mark m; m moves on. */
static void read_line(struct page *p, struct mu_audit_mark *m, const char *line, size_t len)
{
	char hash[MU_AUDIT_HASH + 1];
	uint64_t n = m->n;
	json_t *o;

	memcpy(hash, m->prev, sizeof(hash));
	if (!mu_audit_line_check(line, len, m->n, m->prev, &n, hash) && !p->bad)
		p->bad = m->n;
	memcpy(m->prev, hash, sizeof(hash));
	m->n = n + 1;
	if (n <= p->after)
		return;
	o = json_loadb(line, len, 0, NULL);
	if (o)
		json_array_append_new(p->entries, o);
}

json_t *mu_audit_file_read(struct mu_audit_file *f, uint64_t after, unsigned limit)
{
	struct page p = { .entries = json_array(), .after = after };
	struct mu_audit_mark m = mark_before(f, after + 1);
	FILE *in = reader(f);
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	json_t *o;

	if (in && fseeko(in, m.at, SEEK_SET) == 0) {
		while (json_array_size(p.entries) < limit && m.n <= f->last_n &&
			(len = getline(&line, &cap, in)) > 0)
			read_line(&p, &m, line, (size_t)len - (line[len - 1] == '\n'));
	}
	/* fewer lines than were written: somebody cut them off */
	if (json_array_size(p.entries) < limit && m.n <= f->last_n && !p.bad)
		p.bad = m.n;
	free(line);
	if (in)
		fclose(in);
	if (p.bad && (!f->broken_at || p.bad < f->broken_at))
		f->broken_at = p.bad;
	o = json_pack(
		"{so sb sI}", "entries", p.entries, "verified", !f->broken_at, "last", (json_int_t)f->last_n);
	if (o && f->broken_at)
		json_object_set_new(o, "broken_at", json_integer((json_int_t)f->broken_at));
	return o;
}
