/* api: HTTP(S): WHIP and WHEP, the gateway's own API, its event stream, metrics and audit log, and the
 * console's files. Control thread only, in its GLib main context.
 *
 * What the outside sees is in openapi.yaml, served as /v1/openapi.yaml and held against the route table by a
 * test.
 */
#ifndef MU_API_H
#define MU_API_H

#include "conference/conference.h"
#include "directory/directory.h"
#include "net/net.h"
#include "secure/secure.h"
#include "transport/transport.h"
#include "webrtc/webrtc.h"

struct mu_api_options {
	struct mu_webrtc *webrtc; /* borrowed, as all pointers of the first four */
	struct mu_directory *directory;
	struct mu_media *media;
	struct mu_keyring *keyring;
	struct mu_conferences *conferences; /* borrowed; NULL: there are none */
	struct mu_conference_db *conference_db; /* borrowed, for its figures; NULL: nothing is kept */
	const struct mu_addr
		*listen; /* TCP; port 0: any free one. An IPv6 wildcard does not stand for IPv4 */
	unsigned n_listen;
	const char *certificate, *key; /* PEM files; NULL: plain HTTP */
	const char *bench_token;       /* NULL, or the one static token of insecure_bench: every scope */
	const char *state_dir;         /* for state.db and audit.jsonl; NULL: nothing is kept */
	const char *site;
	bool (*workers_answer)(
		void *arg); /* whether all media workers do, lately; for /healthz; NULL: they do */
	void *workers_arg;
	bool proxied; /* plain HTTP for others than this machine: a proxy's address stands for everybody
			 behind it */
};
struct mu_api;
/** Listen and serve. Copies the options' strings.
 *  @return 0; -EADDRINUSE and other socket errors, -EINVAL (certificate), -EIO (state_dir), with text in e */
int mu_api_new(const struct mu_api_options *o, struct mu_api **ret, struct mu_error *e);
/** Take over what can change while running: keyring, certificate and key, bench_token, site. A certificate
 * that cannot be read leaves the old one in use and is logged. Addresses and state_dir stay. */
void mu_api_reload(struct mu_api *a, const struct mu_api_options *o);
/** The port that the address `i` of the options is served at: the real one where 0 was asked for. 0: no such.
 */
uint16_t mu_api_port(const struct mu_api *a, unsigned i);
/** Close every connection, write out the audit log, free. Takes NULL. */
void mu_api_free(struct mu_api *a);

#endif
