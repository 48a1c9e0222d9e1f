/* What the files of api/ share. */
#ifndef MU_API_PRIVATE_H
#define MU_API_PRIVATE_H

#include <libsoup/soup.h>

#include "api/api.h"
#include "api/audit.h"
#include "api/conn.h"
#include "api/metrics.h"
#include "api/revoked.h"

#define MU_VARS_MAX 2
/* Entries in one answer: at most, and of sessions where nobody says how many. */
#define MU_PAGE_MAX      1000
#define MU_PAGE_SESSIONS 100
#define MU_PAGE_CONFERENCES 100 /* of conferences at most: each may have hundreds of members */
#define MU_BODY_MAX      65536 /* bytes of any request's body (RELIABILITY P3) */

/* Event streams: at once; of them kept for those who operate the gateway; of one token's subject; of one
 * address, unless many may be behind it. */
#define MU_READERS_MAX     512
#define MU_READERS_OPERATE 64
#define MU_READERS_SUBJECT 32
#define MU_READERS_ADDRESS 64
/* Bytes that may wait for one reader; with more it is cut. */
#define MU_READER_QUEUE (1 << 18)

/* WebSockets of consoles: at once; of one address, unless many may be behind it; of those that have not said who they are: the
 * oldest of them makes room. */
#define MU_SOCKETS_MAX	    4096
#define MU_SOCKETS_ADDRESS  64
#define MU_SOCKETS_STRANGER 512

struct mu_api {
	struct mu_webrtc *webrtc;
	struct mu_directory *directory;
	struct mu_media *media;
	struct mu_conferences *conferences; /* NULL: none */
	struct mu_conference_db *conference_db;
	struct mu_keyring *keyring;
	bool (*workers_answer)(void *arg);
	void *workers_arg;
	char *bench_token, *site;
	SoupServer *server;
	struct mu_conns conns;
	struct mu_revoked *revoked;
	struct mu_audit *audit; /* NULL: nothing is kept */
	struct mu_log_gate denials, refusals, console_denials;
	GHashTable *rates; /* rate.c: by token; NULL: none changed anything yet */
	struct mu_event_listener listener;
	struct mu_list readers; /* of the event stream */
	unsigned n_readers;
	guint tick, audit_source, revoked_source;
	bool started;
	struct mu_list sockets; /* WebSockets of consoles, the oldest first */
	unsigned n_sockets;
	struct mu_list waits; /* requests whose answer comes later */
	int64_t start_us, start_wall_us;
	unsigned n_ticks; /* seconds */
	struct mu_viewers viewers;
	uint64_t n_requests, n_denied, n_events_dropped;
};

struct mu_req;
/* --- rate.c --- */

/** Whether this request's token may change something now; else it was answered with 429. Control thread. */
bool mu_rate_allows(struct mu_req *r);
/** The same for what is no request. @return false: too often */
bool mu_rate_take(struct mu_api *a, const struct mu_token *who);

/* --- request.c: one request, from its header to its answer --- */

enum mu_body { MU_BODY_NONE, MU_BODY_SDP, MU_BODY_SDPFRAG, MU_BODY_JSON };
/** One row of the table: what is served, to whom. */
struct mu_route {
	const char *method, *path; /* as in openapi.yaml */
	uint32_t scopes;           /* one of these is needed, or admin; 0: see `open` */
	bool open;                 /* answered without a token */
	bool own;                  /* needs the token that made the session, or admin */
	bool site_wide;            /* a token for single endpoints is not enough */
	enum mu_body body;
	void (*fn)(struct mu_req *r);
};
struct mu_req {
	struct mu_api *api;
	SoupServerMessage *msg; /* borrowed: the request lives in it */
	const struct mu_route *route;
	char vars[MU_VARS_MAX][MU_ID_MAX];
	struct mu_token who;
	bool bench; /* the token is the bench's */
	bool has_token, gone; /* gone: the client went away */
	char from[64];
	size_t body_len; /* so far */
};
void mu_request_watch(struct mu_api *a);
/** The endpoint that vars[0] and vars[1] name. */
char *mu_req_endpoint(const struct mu_req *r, char ret[MU_ID_MAX]);
/** An integer of the query, within bounds. @return false: malformed; *ret untouched when absent */
bool mu_req_number(const struct mu_req *r, const char *name, int64_t min, int64_t max, int64_t *ret);
/** A text of the query, shorter than size. @return false: longer; *ret untouched when absent */
bool mu_req_text(const struct mu_req *r, const char *name, char *ret, size_t size);
/** Read the JSON body, depth and size limited. Answers 400 itself. @return NULL: answered */
json_t *mu_req_json(struct mu_req *r);
/** Note a deed in the audit log. target, why: NULL none. */
void mu_req_audit(
	struct mu_req *r, const char *what, const char *target, const char *result, const char *why);
/** The same for what was refused: one line a second, which says how many it stands for. It changes nothing, and whoever holds
 *  any token could fill the log with it. */
void mu_req_audit_refused(struct mu_req *r, const char *what, const char *target, const char *why);

/** An answer that comes later. The request is paused until mu_wait_end. */
struct mu_wait {
	struct mu_list link;
	struct mu_req *req;     /* NULL once the API is freed */
	SoupServerMessage *msg; /* a reference */
};
struct mu_wait *mu_wait_begin(struct mu_req *r);
/** @return the request to answer now, or NULL: nobody waits any more. Call mu_wait_end in either case. */
struct mu_req *mu_wait_req(struct mu_wait *w);
void mu_wait_end(struct mu_wait *w);

/* --- reply.c --- */

/** RFC 9457. */
void mu_reply_problem(struct mu_req *r, int status, const char *title, const char *fmt, ...) MU_PRINTF(4, 5);
/** Takes the reference. */
void mu_reply_json(struct mu_req *r, int status, json_t *body);
void mu_reply_text(struct mu_req *r, int status, const char *type, const char *text, size_t len);
/** From webrtc; frees its contents. */
void mu_reply_web(struct mu_req *r, struct mu_web_reply *w);
/** Headers of every answer: CORS, no sniffing, no cache. */
void mu_reply_headers(SoupServerMessage *msg);
/** Answer at once and close the connection, whatever of the request is still to come. */
void mu_reply_and_close(SoupServerMessage *msg, int status, const char *title, const char *detail);
/** A whole answer after which the connection closes; malloc'ed. */
char *mu_closing_text(int status, const char *body);
char *mu_problem_text(int status, const char *title, const char *detail, const char *instance);

/* --- auth.c --- */

/** Whether the request may go on; answers 401, 403 itself when not. */
bool mu_auth(struct mu_req *r);
/** Whether what mu_auth let through still may, now that the body is complete: that can be half a minute
 * later, and the token revoked, its key withdrawn, or its time over. Answers 401 itself when not. */
bool mu_auth_holds(struct mu_req *r);
/** Whether a token may see or change this endpoint by its pattern. */
bool mu_may(const struct mu_req *r, const char *endpoint);
bool mu_has_scope(const struct mu_token *t, uint32_t scopes);

/** What a token's text is.
 *  @param ret_why  static words for its holder, where it is not good
 *  @return 0; -EPERM (form, signature, key), -ETIME; -EACCES: revoked, and ret holds its claims all the same */
int mu_token_look(const struct mu_api *a, const char *text, struct mu_token *ret, const char **ret_why);

/* --- console_socket.c: WebSockets --- */

void mu_on_console_socket(struct mu_req *r);
void mu_sockets_start(struct mu_api *a);
/** Pings, and ends those that are over. Each second. */
void mu_sockets_tick(struct mu_api *a);
void mu_sockets_stop(struct mu_api *a);
/* --- console_host.c: what consoles ask of the API --- */

void mu_console_host_start(struct mu_api *a);
void mu_console_host_stop(struct mu_api *a);

/* --- routes.c --- */

const struct mu_route *mu_routes(size_t *n);
/** Find a route. @param allow the methods the path has, for 405, when NULL is returned; "" for 404 */
const struct mu_route *mu_route_find(const char *method, const char *path, char vars[MU_VARS_MAX][MU_ID_MAX],
	char *allow, size_t allow_size);

/** Sessions of an endpoint, or, with "", of all the token covers. @param ret_next a new reference: what the
 * next page is `after`, or null */
json_t *mu_sessions_page(
	struct mu_req *r, const char *endpoint, uint64_t after, unsigned limit, json_t **ret_next);

/* --- handlers: sessions.c, status.c, tokens.c, events.c, metrics.c, static.c --- */

/* Each is called on the control thread once its request is whole and allowed: r->vars hold the path's names,
 * r->who the token's claims unless the route is open. Each sets an answer before it returns, or has begun a
 * wait. */
void mu_on_whip(struct mu_req *r);
void mu_on_whep(struct mu_req *r);
void mu_on_whep_head(struct mu_req *r);
void mu_on_session_patch(struct mu_req *r);
void mu_on_session_delete(struct mu_req *r);
void mu_on_status(struct mu_req *r);
void mu_on_endpoints(struct mu_req *r);
void mu_on_endpoint(struct mu_req *r);
void mu_on_sessions(struct mu_req *r);
void mu_on_sessions_delete(struct mu_req *r);
void mu_on_revoke(struct mu_req *r);
void mu_on_revoked(struct mu_req *r);
void mu_on_audit(struct mu_req *r);
void mu_on_events(struct mu_req *r);
void mu_on_conferences(struct mu_req *r);
void mu_on_conference(struct mu_req *r);
void mu_on_conference_create(struct mu_req *r);
void mu_on_conference_act(struct mu_req *r);
void mu_on_conference_delete(struct mu_req *r);
void mu_on_health(struct mu_req *r);
void mu_on_metrics(struct mu_req *r);
void mu_on_openapi(struct mu_req *r);
void mu_on_console(struct mu_req *r);

/* --- events.c --- */

/** Hear the directory's events, and begin the tick of every second. */
void mu_events_start(struct mu_api *a);
/** Let go of all readers; their connections are still to be closed. */
void mu_events_stop(struct mu_api *a);
/** End the event streams opened with a token. */
void mu_events_end_token(struct mu_api *a, const char *token_id);
/** End the streams of tokens whose key has left the keyring. */
void mu_events_end_unknown_keys(struct mu_api *a);

#endif
