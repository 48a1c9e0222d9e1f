/* Messages of the console session (docs/signalling.md), read from JSON and checked. */
#ifndef MU_WEBRTC_SIGNAL_H
#define MU_WEBRTC_SIGNAL_H

#include "webrtc/webrtc.h"

#define MU_SIGNAL_SIZE_MAX  MU_CONSOLE_MESSAGE_MAX
#define MU_SIGNAL_DEPTH_MAX 8
#define MU_SIGNAL_VIEWS_MAX 64
#define MU_SIGNAL_SENT_MAX  64 /* m-sections that an offer names */

enum mu_signal_type {
	MU_SIGNAL_HELLO,
	MU_SIGNAL_JOIN,
	MU_SIGNAL_LEAVE,
	MU_SIGNAL_OFFER,
	MU_SIGNAL_VIEW,
	MU_SIGNAL_ANSWER,
	MU_SIGNAL_CANDIDATE,
	MU_SIGNAL_RESTART,
	MU_SIGNAL_ACT,
};
/** One track a client wants to see. */
struct mu_signal_view {
	char endpoint[MU_ID_MAX];
	char label[16];
	unsigned width, height; /* of its tile in pixels; 0: it does not say */
};
/** What an m-section of the client's offer sends. */
struct mu_signal_sent {
	char mid[32];
	char label[16]; /* "audio", "video", "screen" */
};
/** A message. Strings are borrowed from `json`, "" where absent. */
struct mu_signal {
	enum mu_signal_type type;
	uint32_t id;
	json_t *json;
	const char *token, *session;                    /* HELLO; endpoint too */
	const char *conference, *name;                  /* JOIN */
	const char *sdp;                                /* OFFER, ANSWER */
	uint32_t n;                                     /* ANSWER */
	bool down;                                      /* CANDIDATE: of the down connection */
	const char *candidate, *mid;                    /* CANDIDATE */
	enum mu_act act;                                /* ACT */
	const char *endpoint, *value;                   /* ACT; endpoint: HELLO too */
	bool fresh;                                     /* OFFER, RESTART: of a new peer connection */
	struct mu_signal_sent sent[MU_SIGNAL_SENT_MAX]; /* OFFER */
	unsigned n_sent;
	struct mu_signal_view views[MU_SIGNAL_VIEWS_MAX]; /* VIEW */
	unsigned n_views;
};
/** Read a message. Any thread.
 *  @param ret  owned by the caller: mu_signal_done. On error only ret->id is of use: the request's, 0 if it
 * has none
 *  @return 0; -EBADMSG (no JSON, too large or deep, members missing or of another type), -ENOTSUP (a type or
 * act that is not known); e says what is wrong and what is allowed */
int mu_signal_parse(const char *text, size_t len, struct mu_signal *ret, struct mu_error *e);
void mu_signal_done(struct mu_signal *s);

/** {"type": "ok", "id"}; a new reference. */
json_t *mu_signal_ok(uint32_t id);
/** {"type": "error", "id", "error": {"status", "title", "detail"}}; a new reference. */
json_t *mu_signal_error(uint32_t id, int status, const char *title, const char *detail);

#endif
