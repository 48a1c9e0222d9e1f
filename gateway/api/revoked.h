/* revoked: the tokens that are no longer taken. Kept in memory for every request, in SQLite for the next
 * start. Control thread; only mu_revoked_new and mu_revoked_free wait for the disk. */
#ifndef MU_API_REVOKED_H
#define MU_API_REVOKED_H

#include <jansson.h>

#include "base/base.h"

#define MU_REVOKED_MAX 100000

struct mu_revoked;
/** @param path the database; NULL: memory only. @return 0, -EIO with text in e, -ENOMEM */
int mu_revoked_new(const char *path, struct mu_revoked **ret, struct mu_error *e);
/** Write what waits, answer it, free. Takes NULL. */
void mu_revoked_free(struct mu_revoked *r);
/** From now on mu_revoked_has says so. Harmless twice. Not on the disk yet: see mu_revoked_store.
 *  @param expires_s when the token expires by itself and the entry may go; 0: never
 *  @return 0, -ENOSPC (MU_REVOKED_MAX) with text in e */
int mu_revoked_add(struct mu_revoked *r, const char *jti, const char *by, int64_t now_s, int64_t expires_s,
	struct mu_error *e);
/** Have an entry written, so that it outlives a restart.
 *  @param done runs in mu_revoked_dispatch, or before return where nothing is kept; err 0: it is on the disk;
 * -EIO: it will not be, e says why. NULL: nobody asks */
void mu_revoked_store(struct mu_revoked *r, const char *jti,
	void (*done)(void *arg, int err, const struct mu_error *e), void *arg);
/** Readable when mu_revoked_dispatch has something to do; -1: never. */
int mu_revoked_fd(const struct mu_revoked *r);
void mu_revoked_dispatch(struct mu_revoked *r);
bool mu_revoked_has(const struct mu_revoked *r, const char *jti);
/** Forget the tokens that have expired, with a minute to spare for clocks. @return how many */
unsigned mu_revoked_purge(struct mu_revoked *r, int64_t now_s);
/** [{"jti", "at", "by", "expires"}], the oldest first; a new reference. */
json_t *mu_revoked_json(const struct mu_revoked *r);

#endif
