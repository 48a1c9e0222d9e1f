/* audit: who did what, in a file that cannot be changed unseen. Each line carries the hash of the line before
 * it.
 *
 * A line is {"n", "time", "who", "from", "what", "target", "result", "why", "prev", "hash"}; hash = SHA-256
 * over the 64 characters of prev and the line up to "why" closed by a brace: everything but prev and hash,
 * byte for byte. The first prev is 64 zeros. `muster verify` and a page of shell can check it.
 */
#ifndef MU_API_AUDIT_H
#define MU_API_AUDIT_H

#include <jansson.h>

#include "base/base.h"

#define MU_AUDIT_QUEUE \
	8192 /* entries that may wait for the disk; past it they are counted and said so in the log */
#define MU_AUDIT_READ_MAX 1000 /* entries in one answer */

struct mu_audit;
struct mu_audit_entry {
	const char *who, *from, *what, *target, *result, *why; /* NULL: null; copied */
};
/** Open or begin a log, and start its writer thread. The whole chain is checked there before the first new
 * line.
 *  @return 0, -EIO with text in e, -ENOMEM */
int mu_audit_new(const char *path, struct mu_audit **ret, struct mu_error *e);
/** Write out what waits, then end. Takes NULL. */
void mu_audit_free(struct mu_audit *a);
/** Append. Any thread; never waits for the disk. */
void mu_audit_add(struct mu_audit *a, const struct mu_audit_entry *e);
/** Read entries with a number above `after`, checked against the chain. done runs on the control thread with
 *  {"entries": [...], "verified": bool, "broken_at": n or absent, "last": n}; it owns the reference. Control
 * thread. */
void mu_audit_read(
	struct mu_audit *a, uint64_t after, unsigned limit, void (*done)(void *arg, json_t *page), void *arg);
/** Readable when answers wait; then call mu_audit_dispatch on the control thread. */
int mu_audit_fd(const struct mu_audit *a);
void mu_audit_dispatch(struct mu_audit *a);

#endif
