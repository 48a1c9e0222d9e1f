/* A media plane with real peers on loopback, and the control thread's side of it, for tests. One at a time.
 */
#ifndef STAGE_H
#define STAGE_H

#include "peer.h"
#include "transport/transport_internal.h"

#define STAGE_VIDEO      0x1234 /* SSRCs of stage_publish */
#define STAGE_AUDIO      0x5678
#define STAGE_RTX        0x9999
#define STAGE_VIEW_VIDEO 0xaaaa /* of stage_watch */
#define STAGE_VIEW_RTX   0xbbbb
#define STAGE_VIEW_AUDIO 0xcccc

/** A transport, its far end, and what the control thread has heard of it. */
struct session {
	struct mu_transport *t;
	struct peer peer;
	enum mu_transport_state state;
	char why[96];
	unsigned stats_heard;
	struct mu_transport_stats stats;
	struct mu_stream_stats streams[2 * MU_STREAMS_LATER_MAX]; /* what stats.streams points to */
};
struct stage {
	struct mu_inbox control;
	struct mu_media *media;
	struct mu_addr gateway[2][2]; /* by worker and listening address */
	struct mu_track *video, *audio;
};
extern struct stage stage;
extern const struct mu_transport_events stage_events; /* their arg is the session */

/** One worker, two listening addresses, any engine, 8 Mbit/s for a publisher. */
struct mu_transport_options stage_options(void);
/** A plane of at most two workers, and two tracks at home on the first. */
void stage_up_with(const struct mu_transport_options *o);
void stage_up(void);
void stage_down(void);
/** Run the control thread's messages, waiting for some at most 20 ms. */
void stage_turn(void);
/** Turn until something is so, at most 5 s. */
#define AWAIT(cond)                                                       \
	do {                                                              \
		for (int64_t until = mu_clock_us() + 5000000; !(cond);) { \
			assert_true(mu_clock_us() < until);               \
			stage_turn();                                     \
		}                                                         \
	} while (0)

/** Run fn on the session's worker, where its state may be looked at and changed, and wait for it. */
void stage_on_worker(struct session *s, void (*fn)(struct mu_transport *t));
/** Fresh figures in s->stats: by then its worker has done all that it was told before. */
void stage_stats(struct session *s);
/** Until its worker has taken a packet of stream number `stream`. */
void stage_await_packet(struct session *s, unsigned stream);

/** A transport and its peer, which has not said anything yet.
 *  @param spec     its streams and worker; the fingerprint is the peer's unless it has one
 *  @param profiles the peer's, 0-terminated; NULL: all */
void stage_begin(
	struct session *s, const struct mu_transport_spec *spec, const enum mu_srtp_profile *profiles);
/** Checks and handshake, until both sides have keys. */
void stage_join(struct session *s);
/** Begin and join. */
void stage_connect(struct session *s, const struct mu_transport_spec *spec);
/** Close it, unless it is closed, and free all. */
void stage_end(struct session *s);

/** VP8 96 with RTX 97, NACK and PLI, under MID "0"; Opus 111 and PCMA 8 under MID "1". No SSRC announced. */
struct mu_transport_spec stage_publisher(void);
/** VP8 120 with RTX 121; Opus 109 and PCMA 18. */
struct mu_transport_spec stage_viewer(void);
void stage_publish(struct session *s);
void stage_watch(struct session *s);
/** A plane, a publisher and a viewer. */
void show_up(struct session *pub, struct session *view);
void show_down(struct session *pub, struct session *view);

/** A frame of one VP8 packet, 600 to 689 bytes, with its number in the payload. */
void stage_send_video(struct session *s, uint64_t seq, bool key);
void stage_send_video_as(struct session *s, uint32_t ssrc, uint64_t seq, bool key);
uint64_t stage_number(const uint8_t *payload);
/** An RTX packet of it, sent under STAGE_RTX. */
void stage_send_repair(struct session *s, uint64_t index, uint16_t osn);
/** The next RTP packet of a payload type; RTCP and others are passed over. @return false: nothing for a while
 */
bool stage_take(struct session *s, uint8_t pt, struct mu_rtp_header *h, uint8_t *pkt, size_t *len);
/** The next video packets have these numbers, in this order. */
void stage_expect(struct session *view, const uint64_t *numbers, size_t n);
#define EXPECT(view, ...) \
	stage_expect(     \
		view, (const uint64_t[]){ __VA_ARGS__ }, MU_ARRAY_LEN(((const uint64_t[]){ __VA_ARGS__ })))
/** Parse compound packets that come to the peer, until done or for at most 3 s. */
void stage_hear(struct session *s, const struct mu_rtcp_handler *h, void *arg, const bool *done);

#endif
