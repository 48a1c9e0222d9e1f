/* revoked: the tokens that are no longer taken. Kept in memory for every request, in SQLite for the next
 * start. */
#ifndef MU_API_REVOKED_H
#define MU_API_REVOKED_H

#include <jansson.h>

#include "base/base.h"

#define MU_REVOKED_MAX 100000

struct mu_revoked;
/** @param path the database; NULL: memory only. @return 0, -EIO with text in e, -ENOMEM */
int mu_revoked_new(const char *path, struct mu_revoked **ret, struct mu_error *e);
void mu_revoked_free(struct mu_revoked *r);
/** Returns once it is on the disk. Harmless twice.
 *  @param expires_s when the token expires by itself and the entry may go; 0: never
 *  @return 0, -ENOSPC (MU_REVOKED_MAX), -EIO */
int mu_revoked_add(struct mu_revoked *r, const char *jti, const char *by, int64_t now_s, int64_t expires_s,
	struct mu_error *e);
bool mu_revoked_has(const struct mu_revoked *r, const char *jti);
/** Forget the tokens that have expired, with a minute to spare for clocks. @return how many */
unsigned mu_revoked_purge(struct mu_revoked *r, int64_t now_s);
/** [{"jti", "at", "by", "expires"}], the oldest first; a new reference. */
json_t *mu_revoked_json(const struct mu_revoked *r);

#endif
