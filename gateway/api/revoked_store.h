/* revoked_store: the revoked tokens on the disk, in SQLite. A thread of its own writes, so that a disk that
 * stalls delays no request and no revocation. Control thread, but for the writing itself.
 */
#ifndef MU_API_REVOKED_STORE_H
#define MU_API_REVOKED_STORE_H

#include "base/base.h"

struct mu_revoked_row {
	const char *jti, *by;
	int64_t at_s, expires_s; /* wall clock; expires_s 0: never */
};
struct mu_revoked_store;
/** Open or make the database, hand over what is in it, start the thread. Waits for the disk: for the start
 * only.
 *  @param load called for each row, before return
 *  @return 0, -EIO with text in e, -ENOMEM */
int mu_revoked_store_new(const char *path, void (*load)(void *arg, const struct mu_revoked_row *row),
	void *arg, struct mu_revoked_store **ret, struct mu_error *e);
/** Write what waits, answer it, end. Waits for the disk. Takes NULL. */
void mu_revoked_store_free(struct mu_revoked_store *s);
/** Have a row written, in place of one with the same jti. Copies it.
 *  @param done runs in mu_revoked_store_dispatch once it is on the disk (err 0), or cannot be (-EIO, e says
 * why) */
void mu_revoked_store_put(struct mu_revoked_store *s, const struct mu_revoked_row *row,
	void (*done)(void *arg, int err, const struct mu_error *e), void *arg);
/** Have the rows deleted that expired before then. A failure leaves them for the next time. */
void mu_revoked_store_purge(struct mu_revoked_store *s, int64_t before_s);
/** Readable when answers wait; then call dispatch. */
int mu_revoked_store_fd(const struct mu_revoked_store *s);
void mu_revoked_store_dispatch(struct mu_revoked_store *s);

#endif
