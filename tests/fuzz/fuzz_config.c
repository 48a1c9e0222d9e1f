/* The configuration's text. Whatever it holds: an answer, with problems or a configuration that obeys its own
 * rules. */
#include <stdlib.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mu_problems p = { 0 };
	struct mu_config *c = NULL;
	int err = mu_config_parse((const char *)data, size, "fuzz.yaml", &c, &p);

	if ((err == 0) != (c != NULL) || (err < 0 && p.n == 0))
		abort();
	if (c) {
		if (mu_config_check(c, NULL, &p) < 0)
			abort();
		mu_config_warnings(c, &p);
	}
	mu_config_free(c);
	mu_problems_done(&p);
	return 0;
}
