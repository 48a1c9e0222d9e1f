/* A media plane with real peers on loopback, and the control thread's side of it, for tests. */
#ifndef STAGE_H
#define STAGE_H

#include <poll.h>

#include "peer.h"

#define VIDEO_SSRC 0x1234
#define AUDIO_SSRC 0x5678
#define RTX_SSRC   0x9999

extern struct mu_inbox control;
extern struct mu_media *media;
extern struct mu_addr gateway[2];    /* of each worker */
extern struct mu_addr other_gateway; /* worker 0's other listening address */

struct session {
	struct mu_transport *t;
	struct peer peer;
	enum mu_transport_state state;
	char why[96], mid[32];
	unsigned stats_heard;
	struct mu_transport_stats stats;
};
extern const struct mu_transport_events session_events;

/* Run the control thread's messages until something is so, at most 5 s. */
#define AWAIT(cond)                                                               \
	do {                                                                      \
		int64_t until = mu_clock_us() + 5000000;                          \
		while (!(cond)) {                                                 \
			assert_true(mu_clock_us() < until);                       \
			struct pollfd f = { .fd = control.fd, .events = POLLIN }; \
			if (mu_inbox_sleep(&control))                             \
				poll(&f, 1, 20);                                  \
			mu_inbox_wake(&control);                                  \
			mu_inbox_run(&control);                                   \
		}                                                                 \
	} while (0)

void media_up(unsigned workers, const char *engine);
void media_down(void);
/** At home on worker 0. */
struct mu_track *track(const char *id, enum mu_kind kind);

/** A transport and its peer, which has not said anything yet. */
void begin(struct session *s, struct mu_transport_spec *spec, const char *local,
	const enum mu_srtp_profile *profiles);
/** Wait until its worker has seen all that was told it, and has answered with figures. */
void attached(struct session *s);
/** Connected: video as VP8 96 with RTX 97, audio as Opus 111. */
void publish(struct session *s, struct mu_track *video, struct mu_track *audio,
	const enum mu_srtp_profile *profiles);
/** Connected: video as 120 with SSRC 0xaaaa and RTX 121 with 0xbbbb, audio as 109 with 0xcccc. */
void watch(struct session *s, unsigned worker, struct mu_track *video, struct mu_track *audio, bool rtx,
	const enum mu_srtp_profile *profiles);
void end(struct session *s);

/** One worker, one publisher, one viewer. */
struct show {
	struct mu_track *video, *audio;
	struct session pub, view;
};
void show_up(struct show *x);
void show_down(struct show *x);

/** A frame of one packet with its number in the payload, at offset 2. */
void send_video(struct session *s, uint64_t seq, bool key, bool marker);
/** The next RTP packet of a payload type; RTCP and the like are passed over. @return false: nothing for a
 * while */
bool take_rtp(struct session *s, uint8_t pt, struct mu_rtp_header *h, uint8_t *pkt, size_t *len);

#endif
