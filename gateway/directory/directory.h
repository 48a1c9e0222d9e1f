/* directory: which endpoints there are and in what state. Control thread only.
 *
 * An endpoint appears when it first publishes, and keeps its id. One that nobody uses and that is idle is forgotten in time:
 * at once if it never was live, else after a day, or the longest idle first when there are too many. Everything that happens
 * to an endpoint is told to listeners as an event: the event stream, the log, later the cascade.
 */
#ifndef MU_DIRECTORY_H
#define MU_DIRECTORY_H

#include <jansson.h>

#include "relay/relay.h"

#define MU_ID_MAX     128
#define MU_TRACKS_MAX 8
#define MU_ENDPOINTS_MAX 65536
#define MU_ENDPOINT_KEPT_US (INT64_C(24) * 3600 * 1000000) /* how long an idle one is remembered */

enum mu_endpoint_state {
	MU_ENDPOINT_IDLE, /* known, does not publish */
	MU_ENDPOINT_LIVE,
	MU_ENDPOINT_LOST, /* its publisher vanished; held for its return, viewers stay */
};
const char *mu_endpoint_state_name(enum mu_endpoint_state s);

/** Tracks persist while the endpoint is live or lost, so that viewers outlive a publisher that returns. */
struct mu_endpoint_track {
	struct mu_track *track; /* layers[0] */
	struct mu_track *layers[MU_LAYERS_MAX]; /* references: the encodings of one picture, in the publisher's order */
	char rids[MU_LAYERS_MAX][17];		/* "": not simulcast */
	unsigned n_layers;
	char label[16];		/* "video", "audio", "screen" */
	enum mu_kind kind;
	bool off; /* its publisher stopped it and sends others: the next one of this label takes its place */
	struct mu_format *formats; /* of the present publisher, best first; the endpoint's */
	unsigned n_formats;
};
struct mu_endpoint {
	char id[MU_ID_MAX]; /* "<site>/<name>" */
	enum mu_endpoint_state state;
	int64_t since_wall_us; /* in this state */
	struct mu_endpoint_track tracks[MU_TRACKS_MAX];
	unsigned n_tracks;
	unsigned home;	    /* worker of its tracks; valid when n_tracks > 0 */
	unsigned viewers;
	char subject[128];  /* who publishes */
	char session[64];   /* id of the publishing session, "" none */
	/* the directory's own */
	unsigned users;
	bool was_live;
	struct mu_list idle; /* its place among those that may be forgotten */
	int64_t idle_us;     /* since when it is among them, monotonic */
};

struct mu_directory;
int mu_directory_new(const char *site, struct mu_directory **ret);
void mu_directory_free(struct mu_directory *d);
const char *mu_directory_site(const struct mu_directory *d);
/** What an endpoint's id is, as messages say it. */
#define MU_ENDPOINT_ID_IS                                                                                                \
	"<site>/<name>: a dotted site, and a name of 1 to 64 letters, digits, dots, dashes and underscores that begins " \
	"with a letter, digit or underscore"
/** Whether an id is well formed: a site (mu_site_valid), a slash, and a name that fits [A-Za-z0-9_][A-Za-z0-9._-]{0,63}
 *  (RELIABILITY P9). */
bool mu_endpoint_id_valid(const char *id);
/** Whether a site's name is well formed: labels of lower-case letters, digits and inner dashes, with dots between, 1..63
 *  characters in all. */
bool mu_site_valid(const char *site);
/** @return NULL: unknown. Good until the endpoint may be forgotten: keep it over a return to the main loop with
 *  mu_directory_hold only. */
struct mu_endpoint *mu_directory_find(struct mu_directory *d, const char *id);
/** Find or add, and hold. When there are too many, the longest idle is forgotten first.
 *  @return NULL: id not valid, not of this site, or the limit of endpoints is reached and all are in use (e says which) */
struct mu_endpoint *mu_directory_take(struct mu_directory *d, const char *id, struct mu_error *e);
/** The endpoint stays until as many releases. */
void mu_directory_hold(struct mu_endpoint *ep);
/** One user less. May free the endpoint. */
void mu_directory_release(struct mu_directory *d, struct mu_endpoint *ep);
/** Forget those that were idle for MU_ENDPOINT_KEPT_US: "endpoint.removed". Call now and then. */
void mu_directory_expire(struct mu_directory *d, int64_t now_us);
/** Change state; tells listeners "endpoint.live", "endpoint.lost", "endpoint.idle" with why. Going IDLE drops its
 *  tracks, and may free it unless it is held. */
void mu_directory_set_state(struct mu_directory *d, struct mu_endpoint *ep, enum mu_endpoint_state s, const char *why);
/** Add the track of this label, or give it its new publisher's formats (copied). An own reference of `t` is taken.
 *  @return 0, -ENOMEM, -ENOSPC (MU_TRACKS_MAX): nothing changed */
int mu_endpoint_set_track(struct mu_endpoint *ep, const char *label, struct mu_track *t, const struct mu_format *formats,
	unsigned n);
/** The same for a track that comes in several encodings, 1 to MU_LAYERS_MAX, all of one kind. */
struct mu_endpoint_layer {
	struct mu_track *track;
	char rid[17]; /* "": not simulcast */
};
int mu_endpoint_set_layers(struct mu_endpoint *ep, const char *label, const struct mu_endpoint_layer *layers, unsigned n_layers,
	const struct mu_format *formats, unsigned n);
/** @return the track of this label, also one that is off; NULL: none */
struct mu_endpoint_track *mu_endpoint_find_track(struct mu_endpoint *ep, const char *label);
/** @return the track of this label that is sent, or was when its publisher was lost; NULL: none */
struct mu_endpoint_track *mu_endpoint_sent_track(struct mu_endpoint *ep, const char *label);
/** The publisher sends these labels and no others: tracks of others are off until they are set again. Who takes one keeps it. */
void mu_endpoint_only(struct mu_endpoint *ep, const char *const labels[], unsigned n);
void mu_directory_set_viewers(struct mu_directory *d, struct mu_endpoint *ep, unsigned viewers);
/** All endpoints, ordered by id: visit until false. */
void mu_directory_each(struct mu_directory *d, bool (*fn)(void *arg, struct mu_endpoint *ep), void *arg);
/** {"id", "state", "since", "tracks": [{"label", "kind", "codec", "layers": [{"rid", "flows", "width", "height", "spatials",
 *  "temporals", "fps", "bps"}]}], "viewers"}; a new reference. */
json_t *mu_endpoint_json(const struct mu_endpoint *ep);
/** A moment as the API writes it: "2026-11-24T22:04:40.123Z" (RFC 3339); a new reference. */
json_t *mu_time_json(int64_t wall_us);

/** An event: numbered from 1, kept in a ring of the last 1024 for readers that come back with Last-Event-ID. */
struct mu_event {
	uint64_t number;
	int64_t wall_us;
	char kind[48]; /* "endpoint.live", "session.closed", ... */
	json_t *data;  /* borrowed */
};
struct mu_event_listener {
	struct mu_list link;
	void (*fn)(struct mu_event_listener *l, const struct mu_event *ev);
};
void mu_directory_listen(struct mu_directory *d, struct mu_event_listener *l);
void mu_directory_unlisten(struct mu_directory *d, struct mu_event_listener *l);
/** Tell an event; takes the reference of data. */
void mu_directory_tell(struct mu_directory *d, const char *kind, json_t *data);
/** Number of the latest event, 0: none yet. */
uint64_t mu_directory_last_event(const struct mu_directory *d);
/** Tell fn the events after `number`, oldest first, until it returns false.
 *  @return whether it heard all of them; false also when some are forgotten, or `number` is of an earlier life of the
 *  gateway: then it hears none, as who missed some must read the lists anew */
bool mu_directory_replay(struct mu_directory *d, uint64_t number, bool (*fn)(void *arg, const struct mu_event *ev), void *arg);

#endif
