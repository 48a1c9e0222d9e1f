#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/audit_file.h"

#define MARK_EVERY 256

static int open_at(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

int mu_audit_file_open(struct mu_audit_file *f, const char *path, size_t max, struct mu_error *e)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->last_hash, MU_AUDIT_ZERO, MU_AUDIT_HASH + 1);
	f->first_n = 1;
	f->max = max;
	f->path = strdup(path);
	f->fd = open_at(path);
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

static void stand_at(struct mu_audit_file *f, const struct mu_audit_mark *m)
{
	f->first_n = m->n;
	f->last_n = m->n - 1;
	memcpy(f->last_hash, m->prev, sizeof(f->last_hash));
}

/* Where the full file before this one ends. */
static bool go_on(struct mu_audit_file *f)
{
	struct mu_audit_full *full;
	struct mu_audit_mark m;
	size_t n;
	bool found;

	mu_audit_full_list(f->path, &full, &n);
	found = n > 0 && mu_audit_full_end(full[n - 1].path, &m);
	if (found)
		stand_at(f, &m);
	mu_audit_full_free(full, n);
	return found;
}

off_t mu_audit_file_check(struct mu_audit_file *f)
{
	FILE *in = mu_audit_full_open(f->path);
	bool anchored = go_on(f);
	struct mu_audit_mark m;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	off_t cut = 0;

	while (in && (len = getline(&line, &cap, in)) > 0) {
		if (line[len - 1] != '\n') {
			cut = len;
			break;
		}
		if (!anchored) {
			mu_audit_full_anchor(line, (size_t)len - 1, &m);
			stand_at(f, &m);
		}
		anchored = true;
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

static int add_line(struct mu_audit_file *f, int64_t wall_us, const struct mu_audit_entry *e)
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

/* A file that goes on from another says so first: without that line it would be one whose beginning is
 * missing. */
static int add_rotated(struct mu_audit_file *f, int64_t wall_us)
{
	struct mu_audit_full *full;
	const char *name = NULL;
	size_t n;
	int err;

	mu_audit_full_list(f->path, &full, &n);
	if (n > 0)
		name = strrchr(full[n - 1].path, '/') ? strrchr(full[n - 1].path, '/') + 1 : full[n - 1].path;
	err = add_line(f, wall_us,
		&(struct mu_audit_entry){ .who = "muster",
			.what = "audit.rotated",
			.target = name,
			.why = "the file before is full" });
	mu_audit_full_free(full, n);
	return err;
}

int mu_audit_file_add(struct mu_audit_file *f, int64_t wall_us, const struct mu_audit_entry *e)
{
	int err = 0;

	if (f->size == 0 && f->batch_len == 0 && f->last_n > 0)
		err = add_rotated(f, wall_us);
	return err < 0 ? err : add_line(f, wall_us, e);
}

static void sync_folder(const char *path)
{
	char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
	int fd;

	if (slash)
		*slash = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(folder);
}

/* Where it cannot be done, the file grows on, and the next batch tries again. */
static void rotate(struct mu_audit_file *f)
{
	char *name = mu_audit_full_name(f->path, f->first_n);
	int fd = -1;

	if (name && access(name, F_OK) < 0 && rename(f->path, name) == 0) {
		fd = open_at(f->path);
		if (fd < 0)
			rename(name, f->path);
	}
	free(name);
	if (fd < 0)
		return;
	close(f->fd);
	f->fd = fd;
	f->size = 0;
	f->n_marks = 0;
	f->first_n = f->last_n + 1;
	sync_folder(f->path);
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
		if ((size_t)f->size >= f->max)
			rotate(f);
		return 0;
	}
	/* half a batch would break the chain for whatever comes later */
	if (ftruncate(f->fd, f->size) < 0 && !f->broken_at)
		f->broken_at = f->batch_first.n;
	f->last_n = f->batch_first.n - 1;
	memcpy(f->last_hash, f->batch_first.prev, sizeof(f->last_hash));
	return err;
}
