/* A message of the console session: refused with a reason, or within its bounds. */
#include <stdlib.h>

#include "webrtc/signal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mu_signal s;
	struct mu_error e = { "" };

	if (mu_signal_parse((const char *)data, size, &s, &e) < 0) {
		check(e.text[0] != '\0' && !s.json);
		return 0;
	}
	check(s.id >= 1 && s.id <= INT32_MAX && s.n_views <= MU_SIGNAL_VIEWS_MAX);
	for (unsigned i = 0; i < s.n_views; i++)
		check(mu_endpoint_id_valid(s.views[i].endpoint) && s.views[i].label[0]);
	check(s.n_sent <= MU_SIGNAL_SENT_MAX);
	for (unsigned i = 0; i < s.n_sent; i++)
		check(s.sent[i].mid[0] && s.sent[i].label[0]);
	check(!s.endpoint[0] || mu_endpoint_id_valid(s.endpoint));
	mu_signal_done(&s);
	return 0;
}
