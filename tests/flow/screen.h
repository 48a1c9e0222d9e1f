/* A fitted viewer behind a link of a given rate, and cameras with several layers and a microphone each, that
 * push into the tracks as a publisher's transport would; in time that the test moves. The viewer does what a
 * browser does: transport-wide feedback ten times a second, NACK, PLI, reports. One at a time. */
#ifndef SCREEN_H
#define SCREEN_H

#include "flow.h"

#define CAMERAS_MAX   3
#define SCREEN_LAYERS 3
#define SCREEN_FRAMES 3000 /* a camera's, at 30 a second */
#define SCREEN_AUDIO  6000 /* packets of 20 ms */
#define SCREEN_SEQS   16384

struct layer {
	struct mu_track *track;
	struct mu_source source;
	uint16_t width, height;
	uint32_t bps;            /* payload */
	bool want_key, owes_key; /* asked for; not sent yet though video began */
	unsigned key_requests, keys, rested; /* rested: frames that it was not sent for */
	uint64_t seq;
	uint16_t picture;
	/* the frame under way */
	unsigned packet, n;
	size_t size;
	bool key;
};
struct camera {
	struct layer layer[SCREEN_LAYERS]; /* by size */
	unsigned n_layers;
	bool dark;  /* sends nothing */
	bool rests; /* sends no layer that nobody takes */
	int64_t next_frame_us, next_audio_us;
	unsigned n_frames, n_audio; /* sent so far */
	int64_t frame_us[SCREEN_FRAMES];
	struct mu_track *audio; /* NULL: none */
	struct mu_source audio_source;
	uint64_t audio_seq;
};
/** What came of one m-section. */
struct view {
	char mid[8];
	enum mu_kind kind;
	uint32_t ssrc;
	bool started;
	uint64_t highest; /* of its wire numbers, unwrapped */
	struct missing missing[SCREEN_SEQS];
	unsigned camera; /* whose it showed last */
	unsigned layer;  /* of the last whole frame */
	unsigned bad;
	int64_t next_pli_us;
	/* video, by frame number of the camera */
	struct {
		uint64_t got; /* bits of packets */
		uint8_t n, n_got, layer;
		int64_t whole_us;
	} frame[SCREEN_FRAMES];
	int64_t layer_us[SCREEN_LAYERS]; /* when a whole frame of it came last */
	unsigned n_whole[SCREEN_LAYERS];
	/* audio */
	unsigned n_audio, copies; /* packets; of which came first as a copy */
	bool heard[SCREEN_AUDIO];
	int64_t last_audio_us, gap_us;
	int64_t last_any_us; /* any packet */
};
struct screen {
	struct flow f;
	struct camera camera[CAMERAS_MAX];
	unsigned n_cameras;
	struct peer peer;
	struct link link;
	struct mu_transport *t;
	enum mu_transport_state state;
	struct view view[2 * CAMERAS_MAX];
	unsigned n_views;
	struct mu_twcc_rx *twcc;
	bool mute_twcc;
	int64_t next_feedback_us, next_report_us;
	unsigned numbered, unnumbered, padding, repaired, probes_seen;
	/* the link's queue, looked at each millisecond since the last screen_measure */
	int64_t *queue;
	size_t n_queue, size_queue;
	int64_t gap_us; /* longest between two audio packets, since then */
};

void screen_up(struct screen *s);
void screen_down(struct screen *s);
/** A camera with its tracks; layers from small to large, payload bits a second. */
struct camera *screen_camera(struct screen *s, const uint32_t *bps, unsigned n_layers, bool audio);
/** The viewer connects, with no stream yet. */
void screen_watch(struct screen *s, struct link_way way);
/** One more m-section to the viewer, which shows this camera's video or audio. */
struct view *screen_show(struct screen *s, unsigned camera, enum mu_kind kind, unsigned urgency, bool red);
/** Say anew how its tile is. */
void screen_feed(struct screen *s, struct view *v, unsigned urgency, unsigned width, unsigned height);
void screen_run(struct screen *s, int64_t us);
/** Forget what was measured of the queue and of gaps. */
void screen_measure(struct screen *s);
/** The link's queue since then: the value that so many per mille of the time were at most at. */
int64_t screen_queue_us(struct screen *s, unsigned per_mille);

#endif
