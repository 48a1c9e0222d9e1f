/* A PATCH of a session from anybody. */
#include "webrtc/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mu_sdp_frag f;
	struct mu_error e;

	mu_sdp_frag_parse((const char *)data, size, &f, &e);
	return 0;
}
