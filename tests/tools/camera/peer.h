/* peer: a webrtcbin and its WHIP or WHEP session, from offer to DELETE. Main thread, but for what says otherwise. */
#ifndef CAMERA_PEER_H
#define CAMERA_PEER_H

#define GST_USE_UNSTABLE_API
#include <gst/gst.h>
#include <gst/webrtc/webrtc.h>
#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *url;	 /* .../whip/<endpoint> or .../whep/<endpoint> */
	const char *token_file; /* NULL: no token. Read anew for every session, so that tokens can be renewed */
	const char *codec;	 /* "H264", "VP8"; NULL when viewing: both are offered */
	const char *label;
	bool view;
	unsigned width, height, fps, kbps;
	unsigned key_seconds;
	unsigned tone; /* Hz; 0: 440 */
	double seconds; /* viewing: length of the window, from the first frame; 0: until stopped */
};

enum peer_end {
	PEER_RUNS,
	PEER_LOST,    /* no answer, refused, or the gateway went away */
	PEER_STOPPED, /* by peer_stop */
};
struct peer {
	const struct options *o;
	GMainLoop *loop;
	GstElement *pipeline, *webrtc;
	char *token, *location;
	bool offered;
	enum peer_end end;
	gint64 started_us, connected_us; /* connected_us 0: not yet */
	gint64 heard_us;		 /* last RTCP; any thread, atomic */
	guint watchdog;
};
/** Take over a pipeline with a webrtcbin named "w"; nothing runs yet. */
void peer_init(struct peer *p, const struct options *o, GMainLoop *loop, GstElement *pipeline);
/** Set it playing; the offer follows by itself. Quits the loop when the session is lost. */
void peer_start(struct peer *p);
/** End for `why`: quits the loop. */
void peer_finish(struct peer *p, enum peer_end why);
/** DELETE the session if there is one, stop the pipeline, free. */
void peer_done(struct peer *p);

/* publish.c */
GstElement *publish_pipeline(const struct options *o);
/** Frames drawn since the program started. Any thread. */
unsigned publish_frames(void);
/* view.c */
/** Decode what this webrtcbin of a pipeline receives, and look at it, listen to it. Before it is negotiated. */
void view_attach(GstElement *pipeline, GstElement *webrtc);
/** Pictures with a number in them so far, and the last number. Any thread. */
unsigned view_pictures(unsigned *ret_last);
#define VIEW_EYES_MAX 32
/** What came of the pictures of one section. */
struct view_eye {
	char mid[16];
	unsigned read, distinct, backwards; /* pictures with a number */
	unsigned width;
	uint32_t first, last; /* numbers */
};
/** Any thread. @return how many */
unsigned view_eyes(struct view_eye ret[VIEW_EYES_MAX]);
/** Share of the sound's energy that is at a frequency of which a period fits 10 ms, 0..1. Any thread. */
double view_tone(unsigned hz);
/** What was seen so far counts no more. */
void view_forget(void);
GstElement *view_pipeline(const struct options *o);
/** Offer to receive; after the pipeline is ready. */
void view_ask(struct peer *p);
/** Whether the window of o->seconds is over. */
bool view_complete(const struct options *o);
/** One line of JSON. @return whether there was a picture with a number in it */
bool view_report(const struct peer *p);

#endif
