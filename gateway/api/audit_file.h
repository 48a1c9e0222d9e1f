/* audit_file: the log on the disk: opened and checked, appended to, read back. One thread's: the writer's. */
#ifndef MU_API_AUDIT_FILE_H
#define MU_API_AUDIT_FILE_H

#include <sys/types.h>

#include "api/audit_line.h"

/* Where reading may begin without starting at the first line. */
struct mu_audit_mark {
	uint64_t n; /* of the line at `at` */
	off_t at;
	char prev[MU_AUDIT_HASH + 1];
};
struct mu_audit_file {
	char *path;
	int fd;
	off_t size;
	uint64_t last_n;
	char last_hash[MU_AUDIT_HASH + 1];
	uint64_t broken_at; /* first number that does not follow, 0: none */
	struct mu_audit_mark *marks;
	size_t n_marks, marks_size;
	char *batch; /* lines not yet written */
	size_t batch_len, batch_size;
	struct mu_audit_mark batch_first; /* valid when batch_len > 0 */
};
/** @return 0, -errno with text in e */
int mu_audit_file_open(struct mu_audit_file *f, const char *path, struct mu_error *e);
void mu_audit_file_done(struct mu_audit_file *f);
/** Follow the whole chain, cut off a line that a crash left unfinished. @return bytes cut off */
off_t mu_audit_file_check(struct mu_audit_file *f);
/** Put a line into the batch. @return 0, -ENOMEM */
int mu_audit_file_add(struct mu_audit_file *f, int64_t wall_us, const struct mu_audit_entry *e);
/** Write the batch and wait for the disk. On failure the file is as it was before and the batch is dropped.
 *  @return 0, -errno */
int mu_audit_file_sync(struct mu_audit_file *f);
/** The page that mu_audit_read describes. */
json_t *mu_audit_file_read(struct mu_audit_file *f, uint64_t after, unsigned limit);

#endif
