/* tls: HTTPS's TLS on a non-blocking socket, as a stream for the HTTP library. Control thread.
 *
 * Not GLib's: that runs each handshake in one pool of some ten threads for the whole process, where as many
 * clients that stop in the middle of theirs keep everybody else out until their time is over (RELIABILITY
 * P7). Here a handshake is steps in the main loop: below all else that is ready there, and no more than a few
 * in one turn, since anybody may ask for its signature.
 */
#ifndef MU_API_TLS_H
#define MU_API_TLS_H

#include <gio/gio.h>

#include "base/base.h"

/* Of handshakes, and of accepting, which would keep them out if it went before. */
#define MU_TLS_PRIORITY G_PRIORITY_HIGH_IDLE

struct mu_tls;
/** Read a certificate with its chain, and its key. TLS 1.2 or newer, HTTP/1.1 by ALPN.
 *  @param certificate, key PEM files
 *  @return 0, -EINVAL with text in e, -ENOMEM */
int mu_tls_new(const char *certificate, const char *key, struct mu_tls **ret, struct mu_error *e);
/** Streams that were made go on. Takes NULL. */
void mu_tls_free(struct mu_tls *t);
/** @param base   a socket's stream; a reference is taken, and it is closed with the new one
 *  @param socket its socket; a reference is taken
 *  @return a new reference; NULL: out of memory */
GIOStream *mu_tls_stream_new(const struct mu_tls *t, GIOStream *base, GSocket *socket);

#endif
