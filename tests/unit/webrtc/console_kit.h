/* Console clients without a network: what they are sent is kept, each message held against the schema. Time
 * is the test's. */
#ifndef CONSOLE_KIT_H
#define CONSOLE_KIT_H

#include "answer.h"
#include "fake_transport.h"
#include "webrtc/console.h"

struct client {
	struct mu_console *l; /* NULL: lost */
	json_t *got;          /* messages not looked at yet */
	uint32_t id;          /* of the last request */
	unsigned code;        /* it was closed with; 0: it is open */
	char why[128];
	char session[32]; /* of the last welcome */
};
struct kit {
	struct fixture *f;
	struct mu_conferences *cs;
	struct mu_conference *c; /* "morning" */
	char audit[8192];        /* "what target result: why\n" of each */
};
extern struct kit kit;

int kit_setup(void **state);
int kit_teardown(void **state);

void client_open(struct client *k);
/** Its WebSocket is gone. */
void client_lose(struct client *k);
void client_done(struct client *k);
/** Say something, with a new id. `fmt` and what follows are json_pack's, without type and id. */
void client_say(struct client *k, const char *type, const char *fmt, ...);
void client_raw(struct client *k, const char *text);
/** The first message of a type that came and was not looked at, taken out; good until the next call. NULL:
 * none. */
const json_t *client_got(struct client *k, const char *type);
/** Forget what came. */
void client_flush(struct client *k);
/** The last request was answered by ok / by an error of this status, whose detail has `part`. */
void client_ok(struct client *k);
void client_refused(struct client *k, int status, const char *part);
/** Open and say hello with a token: "<id>,<scopes>,<endpoint>"; fails unless welcome. */
void client_enter(struct client *k, const char *token, const char *endpoint);
void client_join(struct client *k);
/** Publish: chromium-whip.sdp (audio and video); connected. @return its transport */
struct mu_transport *client_publish(struct client *k);
/** View one track, w x h. */
void client_view(struct client *k, const char *endpoint, const char *label, int w, int h);
/** Answer the offer that came. `lacks`: name of a codec that it does not take, NULL none; `refuses`: a mid,
 * NULL none.
 *  @return the transport */
struct mu_transport *client_answer(struct client *k, const char *lacks, const char *refuses);
/** What is in the m-section `mid` by the last tracks that came: "endpoint/label"; "" nothing; NULL: no such.
 */
const char *client_track(struct client *k, const char *mid);
/** The mid that carries "endpoint label" by the last tracks; NULL: none. */
const char *client_mid(struct client *k, const char *endpoint, const char *label);
/** Why a view is missing by the last tracks; NULL: it is not. */
const char *client_missing(struct client *k, const char *endpoint, const char *label);
/** sdp_load as JSON; a new reference. */
json_t *sdp_json(const char *name);
const char *text_of(const json_t *o, const char *key);
/** A member that has to be there. */
bool flag_of(const json_t *o, const char *key);

#endif
