/* A conference of four with a chair, and what it told last. */
#ifndef WORLD_H
#define WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conference/conference.h"

#define HALL  "city/hall"
#define EAST  "city/east"
#define WEST  "city/west"
#define NORTH "city/north"

struct world {
	struct mu_directory *d;
	struct mu_conferences *cs;
	struct mu_conference *c;
	struct mu_error e;
	json_t *saved; /* last state, NULL: ended */
	unsigned saves;
	struct mu_event_listener listener;
	char last[64], last_endpoint[MU_ID_MAX], last_why[64];
};

/** For cmocka: *state is a world without a conference. */
int setup(void **state);
int teardown(void **state);
/** Conference "morning": a chair, two participants, a listener. */
void make(struct world *w, bool moderated);

#endif
