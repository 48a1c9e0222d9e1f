#include <string.h>

#include "console/console.h"

const struct mu_asset *mu_asset_find(const struct mu_asset *list, const char *name)
{
	for (; list->name; list++) {
		if (strcmp(list->name, name) == 0)
			return list;
	}
	return NULL;
}
