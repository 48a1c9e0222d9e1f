/* A request's path against the route table: what matches has clean names in it. Links tests/unit/api/fakes.c.
 */
#include <stdlib.h>

#include "api/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const methods[] = { "GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS" };
	char vars[MU_VARS_MAX][MU_ID_MAX] = { "", "" }, allow[64], path[1024];
	const struct mu_route *r;

	if (len == 0 || len >= sizeof(path))
		return 0;
	memcpy(path, data + 1, len - 1);
	path[len - 1] = '\0';
	r = mu_route_find(methods[data[0] % MU_ARRAY_LEN(methods)], path, vars, allow, sizeof(allow));
	for (unsigned i = 0; r && i < MU_VARS_MAX; i++) {
		if (strpbrk(vars[i], "/%\\ \r\n") || strcmp(vars[i], "..") == 0)
			abort();
	}
	return 0;
}
