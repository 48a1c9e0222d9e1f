/* ws: frames of a WebSocket (RFC 6455) as a server reads and writes them. Plain logic: no socket, no clock.
 *
 * The library's own is not used: in Debian 12 (libsoup 3.2.3) it bounds a frame but not a message of many,
 * nor what waits to be sent, and nothing tells how much that is.
 */
#ifndef MU_API_WS_H
#define MU_API_WS_H

#include "base/base.h"

/** Close codes (RFC 6455, section 7.4.1). */
enum mu_ws_code {
	MU_WS_DONE = 1000,
	MU_WS_AWAY = 1001,
	MU_WS_PROTOCOL = 1002,
	MU_WS_NO_TEXT = 1003,
	MU_WS_NONE = 1005, /* never on the wire: the peer gave none */
	MU_WS_NO_UTF8 = 1007,
	MU_WS_POLICY = 1008,
	MU_WS_TOO_LARGE = 1009,
	MU_WS_LATER = 1013,
};
enum mu_ws_opcode {
	MU_WS_OP_MORE = 0,
	MU_WS_OP_TEXT = 1,
	MU_WS_OP_BINARY = 2,
	MU_WS_OP_CLOSE = 8,
	MU_WS_OP_PING = 9,
	MU_WS_OP_PONG = 10,
};
#define MU_WS_CONTROL_MAX 125 /* bytes of a control frame's data */
#define MU_WS_HEAD_MAX    10  /* bytes of a server's frame header */

/** What was read. Each says whether to read on: after false nothing is called any more. */
struct mu_ws_ops {
	/** A whole message: UTF-8, a NUL behind it. */
	bool (*text)(void *arg, const char *text, size_t len);
	/** A ping (its data goes back) or a pong. */
	bool (*control)(void *arg, enum mu_ws_opcode op, const uint8_t *data, size_t len);
	/** The peer's goodbye. */
	void (*closed)(void *arg, unsigned code);
};
/** The reading side. Zero-initialised but for max; mu_ws_done frees. */
struct mu_ws {
	size_t max; /* bytes of a message */
	/* private */
	uint8_t head[14], control[MU_WS_CONTROL_MAX];
	unsigned head_len;
	bool in_frame, fin, over;
	uint8_t opcode; /* of the frame */
	bool message;   /* a message has begun */
	uint8_t mask[4];
	uint64_t left, at; /* bytes of the frame that are to come; that came */
	char *text;
	size_t len, size;
};
/** Take bytes from a client.
 *  @return 0; else the code to close with: nothing may be fed any more */
unsigned mu_ws_feed(
	struct mu_ws *ws, const uint8_t *data, size_t len, const struct mu_ws_ops *ops, void *arg);
/** Whether a message or a frame has begun and is not whole. */
bool mu_ws_unfinished(const struct mu_ws *ws);
void mu_ws_done(struct mu_ws *ws);
/** Write the header of a whole frame to a client. @return bytes written */
size_t mu_ws_head(uint8_t ret[MU_WS_HEAD_MAX], enum mu_ws_opcode op, size_t len);

#endif
