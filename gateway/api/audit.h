/* audit: who did what, in a file that cannot be changed unseen. Each line carries the hash of the line before
 * it.
 *
 * A line is {"n", "time", "who", "from", "what", "target", "result", "why", "prev", "hash"}; hash = SHA-256
 * over the 64 characters of prev and the line up to "why" closed by a brace: everything but prev and hash,
 * byte for byte. The first prev is 64 zeros. A page of shell can check it.
 *
 * A file that is full is renamed after its first entry's number, audit.jsonl to
 * audit-00000000000000000001.jsonl, and the chain goes on in a new one, whose first entry, "audit.rotated",
 * names the old. Full files are never written again; all but the latest may be moved away, the oldest first.
 * Nothing deletes them.
 */
#ifndef MU_API_AUDIT_H
#define MU_API_AUDIT_H

#include <jansson.h>

#include "base/base.h"

/* Entries that may wait for the disk: more than sessions end at once. Past it they are counted, and the log
 * says so. */
#define MU_AUDIT_QUEUE    32768
#define MU_AUDIT_READ_MAX 1000       /* entries in one answer */
#define MU_AUDIT_FILE_MAX (16 << 20) /* bytes after which a file is full */

struct mu_audit;
struct mu_audit_entry {
	const char *who, *from, *what, *target, *result, *why; /* NULL: null; copied */
};
/** Open or begin a log, and start its writer thread. There the last file's part of the chain is checked
 * before the first new line; the others' when they are read.
 *  @param file_max bytes after which a file is full; 0: MU_AUDIT_FILE_MAX
 *  @return 0, -EIO with text in e, -ENOMEM */
int mu_audit_new(const char *path, size_t file_max, struct mu_audit **ret, struct mu_error *e);
/** Write out what waits, then end. Takes NULL. */
void mu_audit_free(struct mu_audit *a);
/** Append. Any thread; never waits for the disk. */
void mu_audit_add(struct mu_audit *a, const struct mu_audit_entry *e);
/** Read entries with a number above `after`, checked against the chain. done runs on the control thread with
 *  {"entries": [...], "verified": bool, "broken_at": n or absent, "first": n, "last": n}, first and last
 * being what is here; it owns the reference. Control thread. */
void mu_audit_read(
	struct mu_audit *a, uint64_t after, unsigned limit, void (*done)(void *arg, json_t *page), void *arg);
/** Readable when answers wait; then call mu_audit_dispatch on the control thread. */
int mu_audit_fd(const struct mu_audit *a);
void mu_audit_dispatch(struct mu_audit *a);

#endif
