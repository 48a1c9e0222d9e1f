/* A media plane, and sessions on it whose far ends are peers: what the tests of transport share. One at a
 * time. */
#ifndef LIVE_H
#define LIVE_H

#include "peer.h"
#include "transport/transport_internal.h"

#define RIG_VIDEO      0x1234 /* SSRCs of rig_publish */
#define RIG_AUDIO      0x5678
#define RIG_RTX        0x9999
#define RIG_VIEW_VIDEO 0xaaaa /* of rig_watch */
#define RIG_VIEW_RTX   0xbbbb
#define RIG_VIEW_AUDIO 0xcccc

struct session {
	struct mu_transport *t;
	struct peer peer;
	enum mu_transport_state state;
	char why[96], mid[32];
	unsigned stats_heard;
	struct mu_transport_stats stats;
};
struct rig {
	struct mu_inbox control;
	struct mu_media *media;
	struct mu_addr gateway[2];
	struct mu_track *video, *audio;
};
extern struct rig rig;

/** A plane and two tracks at home on its first worker. */
void rig_up(unsigned workers, uint64_t publisher_bps);
void rig_down(void);
/** Run the control thread's messages, waiting for some at most 20 ms. */
void rig_turn(void);
/** Turn until something is so, at most 5 s. */
#define AWAIT(cond)                                                       \
	do {                                                              \
		for (int64_t until = mu_clock_us() + 5000000; !(cond);) { \
			assert_true(mu_clock_us() < until);               \
			rig_turn();                                       \
		}                                                         \
	} while (0)

/** Run fn on the session's worker, where its state may be looked at and changed, and wait for it. */
void rig_on_worker(struct session *s, void (*fn)(struct mu_transport *t));
/** Fresh figures in s->stats. */
void rig_stats(struct session *s);

/** A session with keys on both sides, made of a spec's streams. */
void rig_connect(struct session *s, struct mu_transport_spec *spec);
void rig_end(struct session *s);
/** VP8 96 with RTX 97, NACK and PLI, under MID "0"; Opus 111 and PCMA 8 under MID "1". */
struct mu_transport_spec rig_publisher(void);
/** VP8 120 with RTX 121; Opus 109 and PCMA 18. */
struct mu_transport_spec rig_viewer(void);
void rig_publish(struct session *s);
void rig_watch(struct session *s);

/** VP8: one packet a frame, with its number in the payload. */
void rig_send_video(struct session *s, uint32_t ssrc, uint64_t seq, bool key);
uint64_t rig_number(const uint8_t *payload);
/** An RTX packet of it, sent under RIG_RTX. */
void rig_send_repair(struct session *s, uint64_t index, uint16_t osn);
/** The next RTP packet of a payload type; RTCP and others are passed over. @return false: nothing for a while
 */
bool rig_take(struct session *s, uint8_t pt, struct mu_rtp_header *h, uint8_t *pkt, size_t *len);
/** Parse compound packets that come to the peer, until done or for at most 3 s. */
void rig_hear(struct session *s, const struct mu_rtcp_handler *h, void *arg, const bool *done);

#endif
