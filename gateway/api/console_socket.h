/* WebSockets of consoles, for api's own files. */
#ifndef MU_API_CONSOLE_SOCKET_H
#define MU_API_CONSOLE_SOCKET_H

#include "api/private.h"
#include "api/ws.h"

/** The answer to an opening handshake that is good; malloc'ed. NULL: it was refused, and answered. */
char *mu_ws_handshake(struct mu_req *r);
/** Sec-WebSocket-Accept of a key; malloc'ed. */
char *mu_ws_accept(const char *key);

#endif
