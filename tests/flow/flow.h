/* A publisher and a viewer with a gateway between them, each behind a link of its own, in time that the test
 * moves: real peers (ICE, DTLS, SRTP), the gateway's own media modules with a driven worker, and seconds of
 * traffic in a fraction of one. */
#ifndef FLOW_H
#define FLOW_H

#include "link.h"
#include "../unit/transport/peer.h"

#define FRAME_US    33000
#define FRAMES_MAX  1024
#define PACKETS_MAX 32 /* of a frame */
#define HISTORY     1024
#define SEQS_MAX    8192

struct frame {
	unsigned n; /* packets */
	bool key;
	int64_t sent_us;
};
struct sender {
	struct peer peer;
	struct link link;
	struct mu_transport *t;
	enum mu_transport_state state;
	uint32_t ssrc, rtx_ssrc;
	uint64_t index, rtx_index; /* SRTP's; the next packet's */
	bool sending, want_key;
	unsigned key_requests, resent;
	int64_t next_frame_us, next_report_us;
	unsigned frame, packet; /* under way: frame's number, next packet of it; packet == n: none */
	uint32_t sent;
	struct {
		uint64_t index;
		size_t len;
		uint32_t ts;
		uint8_t payload[1200];
		bool marker;
	} history[HISTORY];
};
struct missing {
	bool waits;
	int64_t since_us, next_us;
	unsigned asked;
};
struct receiver {
	struct peer peer;
	struct link link;
	struct mu_transport *t;
	enum mu_transport_state state;
	bool started, key_seen;
	uint64_t highest; /* of its wire numbers, unwrapped */
	struct missing missing[SEQS_MAX];
	unsigned received, repaired, doubles, bad, asked, given_up, far; /* far: numbers that jumped */
	int64_t next_report_us, next_key_us, key_seen_us;
	unsigned n_got[FRAMES_MAX];
	uint32_t got[FRAMES_MAX]; /* bits of packets */
	int64_t whole_us[FRAMES_MAX];
};
struct flow {
	struct mu_inbox control;
	struct mu_media *media;
	struct mu_track *track;
	struct mu_addr gateway;
	int64_t now_us;
	struct frame frames[FRAMES_MAX]; /* sent so far, over all publishers */
	unsigned n_frames;
	struct sender *sender; /* NULL: nobody publishes */
	struct receiver receiver[2];
	unsigned n_receivers;
};

void flow_up(struct flow *f);
void flow_down(struct flow *f);
/** One turn of the worker and of the control thread. */
void flow_turn(struct flow *f);
/** A peer behind a link, which has been opened, becomes the far end of a new transport. Fills in what of spec
 * is the same for all. Real time passes, driven time does not. */
void flow_connect(struct flow *f, struct peer *peer, struct link *link, struct mu_transport_spec *spec,
	enum mu_transport_state *state, struct mu_transport **ret);
/** The figures of a transport, as they are now. */
struct figures {
	struct mu_link_stats link;
	unsigned n_streams;
	struct mu_stream_stats streams[16];
};
const struct figures *flow_figures(struct flow *f, struct mu_transport *t);
/** The gateway closes it. */
void flow_end(struct flow *f, struct mu_transport *t, enum mu_transport_state *state, const char *why);
/** Connect a publisher, whose first packet gets this SRTP index. Real time passes, driven time does not. */
struct sender *flow_publish(struct flow *f, uint64_t first_index, uint64_t seed);
/** It goes: without a word, or by the gateway's hand. */
void flow_unpublish(struct flow *f, const char *why);
struct receiver *flow_watch(struct flow *f, uint64_t seed);
/** Let time pass. */
void flow_run(struct flow *f, int64_t us);

struct outcome {
	unsigned frames, whole; /* sent in the span and whole at the receiver, within late_us */
	int64_t slowest_us;     /* of the whole ones */
};
/** Of frames [from, to). */
struct outcome flow_outcome(
	const struct flow *f, const struct receiver *r, unsigned from, unsigned to, int64_t late_us);

#endif
