/* audit_line: one line of the audit log: how it is made, and whether it follows the one before. No files
 * here. */
#ifndef MU_API_AUDIT_LINE_H
#define MU_API_AUDIT_LINE_H

#include "api/audit.h"

#define MU_AUDIT_HASH 64 /* hex digits */
#define MU_AUDIT_ZERO "0000000000000000000000000000000000000000000000000000000000000000"

/** @param hash out: of this line
 *  @return the line with its newline, malloc'ed; NULL out of memory */
char *mu_audit_line_make(uint64_t n, int64_t wall_us, const struct mu_audit_entry *e, const char *prev,
	char hash[MU_AUDIT_HASH + 1]);
/** What a line without its newline says of its place, right or not. @return false: it is no such line */
bool mu_audit_line_place(const char *line, size_t len, uint64_t *n, char prev[MU_AUDIT_HASH + 1],
	char hash[MU_AUDIT_HASH + 1]);
/** Look at a line without its newline. @return whether number, prev and hash are right. `n` and `hash` get
 * what the line says where it says anything, so that the rest of a damaged log can be followed. */
bool mu_audit_line_check(const char *line, size_t len, uint64_t want_n, const char *want_prev, uint64_t *n,
	char hash[MU_AUDIT_HASH + 1]);

#endif
