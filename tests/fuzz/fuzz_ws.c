/* A WebSocket client's bytes, in one piece and in pieces: the same is heard, and never more than was sent. */
#include <stdlib.h>

#include "api/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
	unsigned texts, controls, closes;
	size_t bytes;
	uint32_t sum;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool on_text(void *arg, const char *text, size_t len)
{
	struct heard *h = arg;

	check(text[len] == '\0' && strlen(text) == len);
	for (size_t i = 0; i < len; i++)
		h->sum = h->sum * 31 + (uint8_t)text[i];
	h->texts++;
	h->bytes += len;
	return true;
}

static bool on_control(void *arg, enum mu_ws_opcode op, const uint8_t *data, size_t len)
{
	struct heard *h = arg;

	check((op == MU_WS_OP_PING || op == MU_WS_OP_PONG) && len <= MU_WS_CONTROL_MAX);
	for (size_t i = 0; i < len; i++)
		h->sum = h->sum * 31 + data[i];
	h->controls++;
	return true;
}

static void on_closed(void *arg, unsigned code)
{
	((struct heard *)arg)->closes++;
	check(code >= 1000 && code < 5000);
}

static unsigned hear(const uint8_t *data, size_t size, size_t step, struct heard *ret)
{
	static const struct mu_ws_ops ops = { on_text, on_control, on_closed };
	struct mu_ws ws = { .max = 4096 };
	unsigned code = 0;

	memset(ret, 0, sizeof(*ret));
	for (size_t at = 0; at < size && code == 0; at += step) {
		code = mu_ws_feed(&ws, data + at, MU_MIN(step, size - at), &ops, ret);
		check(ws.size <= 16384);
	}
	check(ret->closes <= 1 && ret->bytes <= size);
	mu_ws_done(&ws);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole, pieces;

	check(hear(data, size, size ? size : 1, &whole) == hear(data, size, 3, &pieces));
	check(memcmp(&whole, &pieces, sizeof(whole)) == 0);
	return 0;
}
