/* The conferences' database as a file: opened, checked, moved aside. */
#ifndef MU_CONFERENCE_STORE_FILE_H
#define MU_CONFERENCE_STORE_FILE_H

#include <sqlite3.h>

#include "conference/conference_internal.h"

/* Open or make it, and hand over what is in it. A file that is damaged, no database of ours, or of a later version is moved
 * aside as it is, said in the log, and a new one begun. Whatever may pass or be mended (no room, in use, not readable) is an
 * error and leaves the file where it is: beginning without it would lose what goes on. Waits for the disk.
 * @param load called for each row, before return; with NULL: what it was called for until then does not count
 * @return 0, -EIO with text in e */
int store_file_open(const char *path, void (*load)(void *arg, const char *id, const char *state), void *arg, sqlite3 **ret,
	struct mu_error *e);
/* What a person can do about the last error. */
const char *store_file_advice(sqlite3 *db);

#endif
