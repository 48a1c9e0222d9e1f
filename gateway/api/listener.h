/* listener: one address where connections are accepted. */
#ifndef MU_API_LISTENER_H
#define MU_API_LISTENER_H

#include "api/conn.h"

struct mu_listener;
/** Bind and listen in the thread's default main context; an IPv6 socket takes no IPv4. Control thread, as all
 * here.
 *  @param to outlives it; gets what is accepted
 *  @param at port 0: any free one
 *  @return 0, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL with text in e */
int mu_listener_new(
	struct mu_conns *to, const struct mu_addr *at, struct mu_listener **ret, struct mu_error *e);
/** Close it; what was accepted goes on. */
void mu_listener_free(struct mu_listener *l);
/** The port it is bound to, host order; 0 when the kernel will not say. */
uint16_t mu_listener_port(const struct mu_listener *l);

/* --- what conn.c does for it --- */

/** Serve a connection. A reference is taken where one is needed. */
void mu_conns_accepted(struct mu_conns *all, GSocket *socket);
/** No descriptor is left: cut the connection that waits longest, for its request or with its answer. */
void mu_conns_make_room(struct mu_conns *c);

#endif
