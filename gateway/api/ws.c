#include "api/ws.h"

#include <glib.h>
#include <stdlib.h>

#define FIN    0x80
#define RSV    0x70
#define MASKED 0x80
#define LEN_16 126
#define LEN_64 127

static bool is_control(uint8_t opcode)
{
	return opcode & 8;
}

/* Bytes of the header, as far as its first two tell. */
static unsigned head_need(const struct mu_ws *ws)
{
	unsigned len = ws->head[1] & 0x7f;

	return 2 + (len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0) + 4;
}

/* RFC 6455, sections 5.2 to 5.4. */
static unsigned check_opcode(const struct mu_ws *ws)
{
	uint8_t op = ws->head[0] & 0x0f;

	if (ws->head[0] & RSV || !(ws->head[1] & MASKED))
		return MU_WS_PROTOCOL;
	if (op == MU_WS_OP_BINARY)
		return MU_WS_NO_TEXT;
	if (is_control(op))
		return op > MU_WS_OP_PONG || !(ws->head[0] & FIN) || (ws->head[1] & 0x7f) > MU_WS_CONTROL_MAX
			? MU_WS_PROTOCOL
			: 0;
	if (op > MU_WS_OP_BINARY || (op == MU_WS_OP_MORE) != ws->message)
		return MU_WS_PROTOCOL;
	return 0;
}

/* In the fewest bytes (section 5.2). @return false: not so */
static bool read_length(struct mu_ws *ws)
{
	unsigned len = ws->head[1] & 0x7f;

	ws->left = len;
	if (len == LEN_16) {
		ws->left = mu_get16(ws->head + 2);
		return ws->left >= LEN_16;
	}
	if (len == LEN_64) {
		ws->left = mu_get64(ws->head + 2);
		return ws->left > 0xffff && ws->left >> 63 == 0;
	}
	return true;
}

static unsigned begin_frame(struct mu_ws *ws)
{
	memcpy(ws->mask, ws->head + ws->head_len - 4, 4);
	if (!read_length(ws))
		return MU_WS_PROTOCOL;
	ws->head_len = 0;
	ws->at = 0;
	ws->in_frame = true;
	ws->fin = ws->head[0] & FIN;
	ws->opcode = ws->head[0] & 0x0f;
	if (is_control(ws->opcode))
		return 0;
	ws->message = true;
	return ws->left > ws->max - ws->len ? MU_WS_TOO_LARGE : 0;
}

/* @return 0, or the code to close with */
static unsigned feed_head(struct mu_ws *ws, uint8_t byte)
{
	ws->head[ws->head_len++] = byte;
	if (ws->head_len == 2)
		return check_opcode(ws);
	return ws->head_len > 2 && ws->head_len == head_need(ws) ? begin_frame(ws) : 0;
}

/* What came, not what was announced: a header alone reserves nothing. */
static bool make_room(struct mu_ws *ws, size_t more)
{
	size_t size = ws->size ? ws->size : 1024;
	char *text;

	if (ws->len + more + 1 <= ws->size)
		return true;
	while (size < ws->len + more + 1)
		size *= 2;
	text = realloc(ws->text, size);
	if (!text)
		return false;
	ws->text = text;
	ws->size = size;
	return true;
}

static bool feed_data(struct mu_ws *ws, const uint8_t *data, size_t len)
{
	uint8_t *to;

	if (is_control(ws->opcode)) {
		to = ws->control + ws->at;
	} else {
		if (!make_room(ws, len))
			return false;
		to = (uint8_t *)ws->text + ws->len;
		ws->len += len;
	}
	for (size_t i = 0; i < len; i++)
		to[i] = data[i] ^ ws->mask[(ws->at + i) & 3];
	ws->at += len;
	ws->left -= len;
	return true;
}

static unsigned end_message(struct mu_ws *ws, const struct mu_ws_ops *ops, void *arg)
{
	bool on;

	if (!ws->fin)
		return 0;
	if (!make_room(ws, 0))
		return MU_WS_TOO_LARGE;
	ws->text[ws->len] = '\0';
	if (!g_utf8_validate_len(ws->text, ws->len, NULL))
		return MU_WS_NO_UTF8;
	on = ops->text(arg, ws->text, ws->len);
	ws->over |= !on;
	ws->message = false;
	ws->len = 0;
	if (ws->size > 65536) { /* large ones are rare */
		free(ws->text);
		ws->text = NULL;
		ws->size = 0;
	}
	return 0;
}

/* Section 7.4: codes that a peer may send. */
static bool is_code(unsigned code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
		(code >= 3000 && code <= 4999);
}

static unsigned end_close(struct mu_ws *ws, const struct mu_ws_ops *ops, void *arg)
{
	unsigned code = ws->at >= 2 ? mu_get16(ws->control) : MU_WS_NONE;

	if (ws->at == 1 || (ws->at >= 2 && !is_code(code)))
		return MU_WS_PROTOCOL;
	if (ws->at > 2 && !g_utf8_validate_len((const char *)ws->control + 2, ws->at - 2, NULL))
		return MU_WS_NO_UTF8;
	ws->over = true;
	ops->closed(arg, code);
	return 0;
}

static unsigned end_frame(struct mu_ws *ws, const struct mu_ws_ops *ops, void *arg)
{
	ws->in_frame = false;
	if (!is_control(ws->opcode))
		return end_message(ws, ops, arg);
	if (ws->opcode == MU_WS_OP_CLOSE)
		return end_close(ws, ops, arg);
	ws->over |= !ops->control(arg, (enum mu_ws_opcode)ws->opcode, ws->control, ws->at);
	return 0;
}

unsigned mu_ws_feed(struct mu_ws *ws, const uint8_t *data, size_t len, const struct mu_ws_ops *ops, void *arg)
{
	unsigned code = 0;

	while (code == 0 && !ws->over && len > 0) {
		if (!ws->in_frame) {
			code = feed_head(ws, *data++);
			len--;
		} else {
			size_t n = MU_MIN((uint64_t)len, ws->left);

			if (!feed_data(ws, data, n))
				return MU_WS_TOO_LARGE;
			data += n;
			len -= n;
		}
		if (code == 0 && ws->in_frame && ws->left == 0)
			code = end_frame(ws, ops, arg);
	}
	ws->over |= code != 0;
	return code;
}

bool mu_ws_unfinished(const struct mu_ws *ws)
{
	return ws->message || ws->in_frame || ws->head_len > 0;
}

void mu_ws_done(struct mu_ws *ws)
{
	free(ws->text);
	ws->text = NULL;
}

size_t mu_ws_head(uint8_t ret[MU_WS_HEAD_MAX], enum mu_ws_opcode op, size_t len)
{
	ret[0] = (uint8_t)(FIN | op);
	if (len < LEN_16) {
		ret[1] = (uint8_t)len;
		return 2;
	}
	if (len <= 0xffff) {
		ret[1] = LEN_16;
		mu_put16(ret + 2, (uint16_t)len);
		return 4;
	}
	ret[1] = LEN_64;
	mu_put64(ret + 2, len);
	return 10;
}
