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
	/* those added while it runs */
	struct mu_stream_in in[16];
	unsigned n_in;
	struct fake_out {
		struct mu_stream_out s;
		struct mu_feed feed;
		unsigned feeds; /* how often it was fed anew */
	} out[96];
	unsigned n_out;
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
	/* with many_timers: all that were set and are not over, the test's fake_pass fires them */
	bool many_timers;
	struct fake_timer {
		guint id;
		guint ms;
		int64_t due_us;
		GSourceFunc fn;
		gpointer arg;
	} timers[64];
	unsigned loudness[8];		/* by track: see fake_loud */
	struct mu_track *loud_track[8]; /* not references */
	struct mu_shape shape;		/* of all tracks; spatials 0: one layer, which flows */
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

/** Time passes: timers that come due are fired, in their order. */
void fake_pass(unsigned ms);
/** From now on a track is as loud as this. */
void fake_loud(struct mu_track *t, unsigned loudness);
/** So many viewers look at a track; who watches it is told. */
void fake_users(struct mu_track *t, unsigned users);
/** The stream out of a mid; NULL: none. */
struct fake_out *fake_out(struct mu_transport *t, const char *mid);
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
