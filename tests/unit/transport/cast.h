/* Sources of several layers and viewers whose streams are fitted, in time that the test moves, on two
 * workers: packets are pushed into the tracks as the wire would, and what a viewer gets is written down by
 * number, so that a seam is seen. */
#ifndef CAST_H
#define CAST_H

#include "rig.h"
#include "transport/fit.h"

#define CAST_TRACKS   8
#define CAST_SSRC     0xaaaa
#define CAST_RTX      0xbbbb
#define CAST_PT       120
#define CAST_RTX_PT   121
#define CAST_FRAME_US 33333
#define CAST_NUMBERS  8192

/** One encoding. VP8 with picture ids unless another format is set before cast_begin. */
struct layer {
	struct mu_track *track;
	struct mu_source source;
	struct mu_format format;
	struct mu_shape shape; /* what mu_track_shape says */
	struct cast *cast;
	unsigned asked, keys;
	int64_t asked_us[64];
	bool begun, sends, want_key;
	bool deaf;          /* answers no key requests */
	bool no_sync;       /* its upper temporal layers say no switching points */
	unsigned packets;   /* of a frame */
	unsigned temporals; /* 1..3 */
	uint64_t seq;
	uint32_t frame; /* counts its frames */
	uint32_t ts_zero;
	int64_t ntp_zero_us; /* its sender's clock against ours */
	uint16_t picture;
	uint8_t tl0;
};
struct cast {
	struct mu_inbox control;
	struct mu_media *media;
	int64_t now_us;
	struct layer l[CAST_TRACKS];
	unsigned n;
	unsigned lose, late; /* one in so many packets never comes, comes behind those after it; 0: none */
	struct mu_packet *held;
	unsigned held_layer, rnd;
};
void cast_up(struct cast *c);
void cast_down(struct cast *c);
void cast_turn(struct cast *c);
/** One more track: at home on `worker`, its layer `height` pixels high. @return its number */
unsigned cast_layer(struct cast *c, const char *id, unsigned worker, unsigned height);
/** It gets its source. */
void cast_begin(struct cast *c, unsigned layer);
void cast_end(struct cast *c, unsigned layer);
/** Its sender reports. */
void cast_report(struct cast *c, unsigned layer);
/** A frame of it, `temporal` -1: as its pattern says. */
void cast_frame(struct cast *c, unsigned layer, bool key, int temporal);
/** A packet of the caller's making: data behind a header of 12. Header fields and layer flags as given. */
struct mu_packet *cast_packet(struct cast *c, unsigned layer, const uint8_t *data, size_t len, uint32_t ts);
/** What was held back to come late comes now. */
void cast_late(struct cast *c);
void cast_push(struct cast *c, unsigned layer, struct mu_packet *p);
/** Time passes: all that send do. */
void cast_run(struct cast *c, int64_t us);

/** What came under one number. */
struct got {
	bool there, empty, marker;
	uint32_t ts;
	uint8_t layer; /* of the cast */
	uint32_t frame;
	uint16_t i, n; /* packet of it */
	bool key;
	int picture, tl0, temporal; /* -1: not said */
	int64_t at_us;
	uint16_t raw_len;
	uint8_t raw[1500]; /* as on the wire */
};
struct eye {
	struct viewer v;
	struct cast *c;
	unsigned lose; /* one in so many packets is lost on the way; 0: none */
	unsigned rnd;
	uint64_t first, highest;
	unsigned received, repaired;
	struct got got[CAST_NUMBERS];
};
/** A viewer with a fitted stream "0" of kind; fed with nothing. */
void eye_up(struct eye *e, struct cast *c, enum mu_kind kind, enum mu_srtp_profile profile, bool rtx);
/** The same with RTX, GCM and a stream of this codec. */
void eye_up_as(struct eye *e, struct cast *c, enum mu_codec codec);
void eye_down(struct eye *e);
void eye_feed(struct eye *e, const unsigned *layers, unsigned n, unsigned height);
#define FEED(e, height, ...)                                                                              \
	eye_feed(e, (const unsigned[]){ __VA_ARGS__ }, MU_ARRAY_LEN(((const unsigned[]){ __VA_ARGS__ })), \
		height)
struct out_stream *eye_out(struct eye *e);
/** Take what came. */
void eye_look(struct eye *e);
/** Ask for what is missing. */
void eye_nack(struct eye *e);
struct got *eye_got(struct eye *e, uint64_t number);
/** Every number from the first to the last is there, frames are whole and in order, their time goes on
 * strictly, their picture ids by one; each run of a layer begins with a key frame. @return how many frames */
unsigned eye_check(struct eye *e);

#endif
