/* The directory's insides, for its own files. */
#ifndef MU_DIRECTORY_INTERNAL_H
#define MU_DIRECTORY_INTERNAL_H

#include <glib.h>

#include "directory/directory.h"

#define EVENTS_KEPT 1024

struct events {
	struct mu_event kept[EVENTS_KEPT]; /* number n lies at (n - 1) % EVENTS_KEPT; data is owned here */
	uint64_t last;			   /* number of the latest, 0 none yet */
	struct mu_list listeners;
};
void events_init(struct events *ev);
void events_done(struct events *ev);

struct mu_directory {
	char site[MU_ID_MAX];
	GTree *endpoints;    /* id -> struct mu_endpoint, which owns the id */
	struct mu_list idle; /* of those that nobody holds and that once were live, the longest idle first */
	struct events events;
};

#endif
