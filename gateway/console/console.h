/* console: the web console's files, built into the program. Any thread; const. */
#ifndef MU_CONSOLE_H
#define MU_CONSOLE_H

#include <stddef.h>

struct mu_asset {
	const char *name, *type, *etag; /* etag: with quotes; of the content */
	const unsigned char *data;
	size_t len;
};
/** Ends with an entry without a name. Made by embed.py. */
extern const struct mu_asset mu_console_assets[];
/** @return NULL: none */
const struct mu_asset *mu_asset_find(const struct mu_asset *list, const char *name);

#endif
