/* Stand-ins for the modules below the API: no media, no SDP, tokens in plain text. */
#ifndef FAKES_H
#define FAKES_H

#include "api/private.h"

/** What the fake webrtc was told last, and what it answers. */
struct fake {
	struct mu_endpoint endpoints[8];
	unsigned n_endpoints;
	struct fake_session {
		char id[32], endpoint[MU_ID_MAX];
		struct mu_token who;
	} sessions[64];
	unsigned n_sessions, made;
	int post_status; /* 201 makes a session */
	unsigned links;	 /* ICE servers in its answer */
	char sdp[128];   /* begin of the last body */
	char ended_token[64], if_match[64], type[64];
	char withdrawn[64]; /* id of the token whose key has left the keyring */
	struct mu_event_listener *listener;
	json_t *kept; /* events told so far */
	bool draining, hung;
	struct mu_console_host host;
	struct mu_console { /* each sends back what it hears */
		struct mu_console_socket socket;
		char from[64], last[300]; /* begin of the last text */
		size_t last_len;
		bool used, known;
	} consoles[600];
	unsigned n_consoles, n_consoles_lost, n_texts;
	bool no_consoles;
	bool late_stats; /* mu_media_ask_stats answers only when fake_stats is called */
};
extern struct fake fake;
void fake_init(void);
void fake_done(void);
void fake_stats(void);

/** A token as the fake mu_token_verify reads it: "jti,subject,scopes,endpoint,seconds to live"; ",kid" and
 * ",conference" may follow. Static buffer. */
const char *fake_token(const char *jti, const char *scopes, const char *endpoint, int ttl_s);

/* --- a client in the same thread --- */

struct answer {
	int status; /* 0: closed without an answer; -1: nothing within the time */
	char head[4096], body[65536];
	size_t body_len;
	bool closed;
	long ms;
};
int client_open(uint16_t port);
/** The same, with room for very little that is not read. */
int client_open_small(uint16_t port);
void client_send(int fd, const char *data, size_t len);
/** Turn the main loop until an answer is complete, the peer closes, or the time is over. */
void client_read(int fd, struct answer *ret, int timeout_ms);
/** Turn the main loop for a while. */
void client_turn(int ms);
/** One request on a connection of its own. token: NULL none. type, body: NULL none; extra: more header lines,
 * or "". */
const struct answer *ask(uint16_t port, const char *method, const char *path, const char *token,
	const char *type, const char *body, const char *extra);
/** Fail unless openapi.yaml says that the route of this request may answer so. `ask` does. */
void check_described(const char *method, const char *path, int status);
/** The value of a header, or NULL. Static buffer. */
const char *header(const struct answer *a, const char *name);

/** Fakes afresh, and a server of site "city" with one live endpoint, city/a, on a port of its own. The caller frees it. */
void fake_serve(struct mu_api **ret, uint16_t *ret_port);

#endif
