/* guard: a stream around a connection that lets a request through only when its header is sound (head.h). */
#ifndef MU_API_GUARD_H
#define MU_API_GUARD_H

#include <gio/gio.h>

/** @param base   a reference is taken
 *  @param socket of the connection; borrowed, kept while the stream lives
 *  @return a new reference */
GIOStream *mu_guard_new(GIOStream *base, GSocket *socket);

#endif
