/* ctl: musterctl, the command line over the HTTP API. One thread. Private to its folder. */
#ifndef MU_CTL_H
#define MU_CTL_H

#include <jansson.h>

#include "base/base.h"

enum { MU_CTL_OK, MU_CTL_FAILED, MU_CTL_USAGE }; /* exit status */

struct mu_ctl {
	const char *url, *token_file, *cacert;
	bool json;	     /* for machines */
	bool insecure_plain; /* a token may go over plain HTTP to another machine */
	const char *key, *scope, *endpoint, *ttl, *subject; /* of token create */
	const char *conference, *role, *rank;		    /* of token create, too */
	const char *expires;				    /* of token revoke */
	const char *title, *layout, *loudest;		    /* of conference create */
	bool moderated;
};

/** Say on stderr what happened and what to do. @return MU_CTL_FAILED */
int mu_ctl_fail(const char *fmt, ...) MU_PRINTF(1, 2);
/** The same for a command line that cannot be understood. @return MU_CTL_USAGE */
int mu_ctl_misused(const char *fmt, ...) MU_PRINTF(1, 2);

/** Ask the gateway. @param body NULL: GET, else POST; a reference is taken
 *  @param ret  the answer's JSON, a new reference
 *  @return exit status; not MU_CTL_OK: said why */
int mu_ctl_ask(const struct mu_ctl *c, const char *path, json_t *body, json_t **ret);

/** Cells of a table, row by row; the first row is its head. Texts are copied, without what a terminal obeys. */
struct mu_table {
	char **cells;
	size_t n, columns;
};
void mu_table_add(struct mu_table *t, const char *fmt, ...) MU_PRINTF(2, 3);
/** Write to stdout and free the cells. */
void mu_table_print(struct mu_table *t);

int mu_ctl_status(const struct mu_ctl *c);
int mu_ctl_endpoints(const struct mu_ctl *c);
int mu_ctl_sessions(const struct mu_ctl *c);
int mu_ctl_conference(const struct mu_ctl *c, int argc, char **argv);
int mu_ctl_token(const struct mu_ctl *c, int argc, char **argv);

#endif
