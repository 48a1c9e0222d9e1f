/* What a client with a good token says, line by line: whatever it is, each message is answered within the schema's bounds, and
 * nothing is left behind. "{up}" stands for a real offer, "{down}" for an answer to the last one that came. */
#include <stdlib.h>

#include "../unit/webrtc/console_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct client k, other;

/* Real descriptions are too large for a fuzzer to find: it says where they go. */
static void say(const char *line, size_t len)
{
	char *text = g_strndup(line, len);

	if (strcmp(text, "{up}") == 0) {
		char *sdp = sdp_load("chromium-simulcast.sdp");

		client_say(&k, "offer", "{ss}", "sdp", sdp);
		free(sdp);
	} else if (strcmp(text, "{down}") == 0) {
		const json_t *o = client_got(&k, "offer");
		char *sdp = o ? answer_to(text_of(o, "sdp"), NULL, NULL, "active", 10) : NULL;

		if (sdp)
			client_say(&k, "answer", "{sI ss}", "n", json_integer_value(json_object_get(o, "n")), "sdp", sdp);
		free(sdp);
	} else if (strcmp(text, "{wait}") == 0) {
		fake_pass(1000);
	} else if (strcmp(text, "{up closed}") == 0) {
		if (fake.n > 0 && fake_last())
			fake_fire(fake_last(), MU_TRANSPORT_CLOSED, "gone");
	} else {
		mu_console_text(k.l, line, len);
	}
	g_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	void *state = NULL;

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	if (kit_setup(&state) < 0)
		abort();
	client_enter(&other, "t2,conference operate,city/b", "city/b");
	client_join(&other);
	client_publish(&other);
	client_enter(&k, "t1,conference watch publish,city/*", "city/a");
	for (unsigned n = 0; at < end && n < 64 && !k.code; n++) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((eol ? eol : end) - at);

		say(at, len);
		fake_pass(0);
		at += len + (eol != NULL);
	}
	fake_pass(200);
	client_say(&other, "act", "{ss}", "act", "floor.request"); /* another's session stands */
	if (other.code)
		abort();
	client_done(&k);
	client_done(&other);
	kit_teardown(&state);
	return 0;
}
