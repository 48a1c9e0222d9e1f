/* audit_file: the log on the disk: opened and checked, appended to, rotated, read back. One thread's: the
 * writer's.
 */
#ifndef MU_API_AUDIT_FILE_H
#define MU_API_AUDIT_FILE_H

#include <stdio.h>
#include <sys/types.h>

#include "api/audit_line.h"

/* A place in the chain, and in the file where it is known: the line that comes there. */
struct mu_audit_mark {
	uint64_t n;
	off_t at;
	char prev[MU_AUDIT_HASH + 1];
};
/* The log: the file that is written, and beside it those that are full. */
struct mu_audit_file {
	char *path; /* ends in ".jsonl" */
	size_t max; /* bytes after which it is full */
	int fd;
	off_t size;
	uint64_t first_n; /* of the file; last_n + 1 while it is empty */
	uint64_t last_n;  /* of the log */
	char last_hash[MU_AUDIT_HASH + 1];
	uint64_t broken_at; /* first number that does not follow, 0: none is known */
	struct mu_audit_mark *marks;
	size_t n_marks, marks_size;
	char *batch; /* lines not yet written */
	size_t batch_len, batch_size;
	struct mu_audit_mark batch_first; /* valid when batch_len > 0 */
};
/** @return 0, -errno with text in e */
int mu_audit_file_open(struct mu_audit_file *f, const char *path, size_t max, struct mu_error *e);
void mu_audit_file_done(struct mu_audit_file *f);
/** Follow the chain through the file, on from where the full one before it ends; cut off a line that a crash
 * left unfinished. @return bytes cut off */
off_t mu_audit_file_check(struct mu_audit_file *f);
/** Put a line into the batch. @return 0, -ENOMEM */
int mu_audit_file_add(struct mu_audit_file *f, int64_t wall_us, const struct mu_audit_entry *e);
/** Write the batch and wait for the disk; begin a new file when this one is full. On failure the file is as
 * it was before and the batch is dropped.
 *  @return 0, -errno */
int mu_audit_file_sync(struct mu_audit_file *f);

/* --- audit_read.c --- */

/** The page that mu_audit_read describes. */
json_t *mu_audit_file_read(struct mu_audit_file *f, uint64_t after, unsigned limit);

/* --- audit_full.c: the files that are full --- */

struct mu_audit_full {
	char *path;
	uint64_t first_n;
};
/** All of them, by number. @param ret an array of *n, for mu_audit_full_free; NULL when there are none */
void mu_audit_full_list(const char *path, struct mu_audit_full **ret, size_t *n);
void mu_audit_full_free(struct mu_audit_full *full, size_t n);
/** The name of the file that is full. @return malloc'ed, NULL out of memory */
char *mu_audit_full_name(const char *path, uint64_t first_n);
/** The place after the last line of a file. @return false: it cannot be read, or ends in no line */
bool mu_audit_full_end(const char *path, struct mu_audit_mark *ret);
/** Where the chain may begin in a file whose first line this is, when no file before it is there: at number 1
 * with a prev of zeros, or where it says that it goes on from one that was moved away. */
void mu_audit_full_anchor(const char *line, size_t len, struct mu_audit_mark *ret);
FILE *mu_audit_full_open(const char *path);

#endif
