/* The media plane as these tests have it: nothing flows; what was asked for is remembered, and the test says what happens. */
#ifndef FAKE_TRANSPORT_H
#define FAKE_TRANSPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "webrtc/session.h"

struct mu_transport {
	struct mu_transport_spec spec;
	char id[64];
	const struct mu_transport_events *events;
	void *arg;
	char ufrag[16], pwd[32], why[128];
	bool closing;
	unsigned restarts, asks;
};

extern struct fake {
	struct mu_transport *t[256]; /* newest last; NULL where it was freed */
	unsigned n;
	unsigned n_alive, n_tracks; /* transports and tracks that were not let go */
	unsigned worker;	    /* what mu_media_pick_worker says */
	bool refuse_transports, refuse_restarts;
	/* the last timer set: the test fires it */
	GSourceFunc timer;
	gpointer timer_arg;
	unsigned timer_ms, n_timers;
	int64_t now_us;
} fake;

struct fixture {
	struct mu_webrtc *w;
	struct mu_directory *d;
	struct mu_webrtc_options o;
	struct mu_addr listen[2];
	struct mu_token token;
	struct mu_web_reply r;
	struct mu_event_listener l;
	char events[4096]; /* "kind: why\n" of each */
};
int fixture_setup(void **state);
int fixture_teardown(void **state);

/** The newest transport. */
struct mu_transport *fake_last(void);
void fake_fire(struct mu_transport *t, enum mu_transport_state s, const char *why);
/** A real offer out of tests/data/sdp; free it. */
char *sdp_load(const char *name);
/** A copy with every `from` replaced; the text given is freed. */
char *sdp_replace(char *sdp, const char *from, const char *to);
/** Post a file, or a text that is freed. The reply is in f->r. @return the session's id, "" none */
const char *whip_file(struct fixture *f, const char *endpoint, const char *name);
const char *whip_text(struct fixture *f, const char *endpoint, char *sdp);
const char *whep_file(struct fixture *f, const char *endpoint, const char *name);
const char *whep_text(struct fixture *f, const char *endpoint, char *sdp);
/** A publisher of city/cam that is connected. @return its transport */
struct mu_transport *publish(struct fixture *f, const char *name);
void assert_contains(const char *text, const char *part);
void assert_lacks(const char *text, const char *part);

#endif
