/* A WebSocket client (RFC 6455) over TCP, without TLS, extensions or waiting: it lives in the generator's
 * loop. */
#ifndef LOAD_WS_H
#define LOAD_WS_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_MAX         128
#define WS_HEADER_MAX  14
#define WS_MESSAGE_MAX (1 << 20)
enum ws_opcode { WS_MORE = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_frame {
	enum ws_opcode opcode;
	bool last;
	size_t header, len; /* bytes of either */
};
/** Read a server's frame header. @return 1; 0: more bytes are needed; -EBADMSG (masked, reserved bits, too
 * long) */
int ws_frame_read(const uint8_t *data, size_t len, struct ws_frame *ret);
/** Write a client's frame header; the payload is to be masked with `mask` (ws_mask). @return bytes */
size_t ws_frame_write(enum ws_opcode opcode, size_t len, const uint8_t mask[4], uint8_t ret[WS_HEADER_MAX]);
void ws_mask(uint8_t *data, size_t len, const uint8_t mask[4]);
/** What a server has to answer to a key (section 4.2.2). */
void ws_accept(const char *key, char ret[32]);

struct ws_events {
	void (*open)(void *arg);
	/** A text message, 0-terminated. */
	void (*text)(void *arg, const char *text, size_t len);
	/** It is over and freed; not told after ws_close. */
	void (*closed)(void *arg, const char *why);
};
struct ws;
/** Connect. @param url  http://HOST:PORT
 *  @return NULL: no connection, no place */
struct ws *ws_open(
	const char *url, const char *path, const char *protocol, const struct ws_events *ev, void *arg);
/** Send a message; takes the reference. */
void ws_send(struct ws *w, json_t *message);
/** Say goodbye and forget it. Takes NULL. */
void ws_close(struct ws *w);
/** Cut it without a word, as a lost network does. Takes NULL. */
void ws_cut(struct ws *w);

/** For net_also. */
size_t ws_poll_add(struct pollfd *ret, size_t max);
void ws_poll_done(const struct pollfd *fds, size_t n);

#endif
