/* directory: which endpoints there are and in what state. Control thread only.
 *
 * An endpoint appears when it is enrolled or first publishes, and keeps its id. Everything that happens to one is told to
 * listeners as an event: the event stream, the log, later the cascade.
 */
#ifndef MU_DIRECTORY_H
#define MU_DIRECTORY_H

#include <jansson.h>

#include "relay/relay.h"

#define MU_ID_MAX     128
#define MU_TRACKS_MAX 8
#define MU_ENDPOINTS_MAX 65536

enum mu_endpoint_state {
	MU_ENDPOINT_IDLE, /* known, does not publish */
	MU_ENDPOINT_LIVE,
	MU_ENDPOINT_LOST, /* its publisher vanished; held for its return, viewers stay */
};
const char *mu_endpoint_state_name(enum mu_endpoint_state s);

/** Tracks persist while the endpoint is live or lost, so that viewers outlive a publisher that returns. */
struct mu_endpoint_track {
	struct mu_track *track; /* a reference */
	char label[16];		/* "video", "audio" */
	enum mu_kind kind;
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
};

struct mu_directory;
int mu_directory_new(const char *site, struct mu_directory **ret);
void mu_directory_free(struct mu_directory *d);
const char *mu_directory_site(const struct mu_directory *d);
/** Whether an id is well formed: dotted site, a slash, a name of [A-Za-z0-9._-], 1..64 characters (RELIABILITY P9). */
bool mu_endpoint_id_valid(const char *id);
/** @return NULL: unknown */
struct mu_endpoint *mu_directory_find(struct mu_directory *d, const char *id);
/** Find or add; the endpoint stays until mu_directory_free.
 *  @return NULL: id not valid, not of this site, or the limit of endpoints is reached (e says which) */
struct mu_endpoint *mu_directory_take(struct mu_directory *d, const char *id, struct mu_error *e);
/** Change state; tells listeners "endpoint.live", "endpoint.lost", "endpoint.idle" with why. Going IDLE drops its tracks. */
void mu_directory_set_state(struct mu_directory *d, struct mu_endpoint *ep, enum mu_endpoint_state s, const char *why);
/** Add the track of this label, or give it its new publisher's formats (copied). An own reference of `t` is taken.
 *  @return 0, -ENOMEM, -ENOSPC (MU_TRACKS_MAX): nothing changed */
int mu_endpoint_set_track(struct mu_endpoint *ep, const char *label, struct mu_track *t, const struct mu_format *formats,
	unsigned n);
/** @return the track of this label, NULL: none */
struct mu_endpoint_track *mu_endpoint_find_track(struct mu_endpoint *ep, const char *label);
void mu_directory_set_viewers(struct mu_directory *d, struct mu_endpoint *ep, unsigned viewers);
/** All endpoints, ordered by id: visit until false. */
void mu_directory_each(struct mu_directory *d, bool (*fn)(void *arg, struct mu_endpoint *ep), void *arg);
/** {"id", "state", "since", "tracks": [{"label", "kind", "codec"}], "viewers"}; a new reference. */
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
