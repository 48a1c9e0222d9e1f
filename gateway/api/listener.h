/* listener: one address where connections are accepted. */
#ifndef MU_API_LISTENER_H
#define MU_API_LISTENER_H

#include "api/conn.h"

struct mu_listener;
int mu_listener_new(
	struct mu_conns *to, const struct mu_addr *at, struct mu_listener **ret, struct mu_error *e);
void mu_listener_free(struct mu_listener *l);
uint16_t mu_listener_port(const struct mu_listener *l);

/* What conn does for it. */
void mu_conns_accepted(struct mu_conns *all, GSocket *socket);
/** No descriptor is left: cut the connection that waits longest, for its request or with its answer. */
void mu_conns_make_room(struct mu_conns *c);

#endif
