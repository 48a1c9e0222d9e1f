/* The link of a fitted transport, joined to its streams. steer.c: what it bears is measured (rate.c) and
 * dealt out (share.c); leave.c: what leaves when (pace.c), probes among it. Both are the worker's; there is
 * none where the peer tells nothing of its link. */
#ifndef MU_TRANSPORT_STEER_H
#define MU_TRANSPORT_STEER_H

#include "transport/fit.h"
#include "transport/pace.h"
#include "transport/rate.h"

struct message;

#define LEAVE_AGAIN_MAX 256 /* a large key frame */

/** What waits to leave, pictures and what is to be sent again: for leave.c. */
struct leave {
	struct pace pace;
	struct mu_timer timer;
	struct wire *held; /* a ring, each with its reference */
	unsigned size, first, n;
	uint64_t bytes;
	struct {
		struct out_stream *out;
		uint64_t index;
	} again[LEAVE_AGAIN_MAX]; /* a ring; what is gone from the stream's log meanwhile is not sent */
	unsigned first_again, n_again;
	unsigned probe_back; /* packets of a stream that the probe under way has sent once more */
};
struct steer {
	struct mu_transport *t;
	struct rate *rate;
	struct leave leave;
	struct mu_timer tick;
	struct share_sum sum;
	unsigned copies; /* of audio; the most that any stream has */
	int64_t shared_us;
	uint32_t shared_bps; /* the estimate then */
	uint32_t budget_bps; /* what was dealt out then: at times a little more */
	int64_t short_us;    /* since when the estimate is below what is spent; 0: it is not */
};

/* steer.c */
/** A stream out begins. From the first on that has the transport-wide number the link is measured. @return 0,
 * -ENOMEM */
int steer_attach(struct out_stream *o);
/** There are keys. */
void steer_begin(struct mu_transport *t, int64_t now_us);
void steer_end(struct mu_transport *t);
/** Feedback came. */
void steer_feedback(struct mu_transport *t, const uint8_t *fci, size_t len, int64_t now_us);
/** A stream is fed anew: deal out at once. */
void steer_fed(struct mu_transport *t, int64_t now_us);
/** A packet of `size` bytes is laid out. @return its transport-wide number; 0 where it bears none */
uint16_t steer_sent(struct mu_transport *t, size_t size, uint16_t cluster, bool numbered, int64_t now_us);
/** One that bears the number it had. */
void steer_sent_same(struct mu_transport *t, size_t size, uint16_t number, int64_t now_us);
void steer_stats(const struct mu_transport *t, struct mu_link_stats *ret);

/* leave.c */
void leave_begin(struct steer *s);
void leave_end(struct steer *s);
/** Lay out of these what may leave now, audio in any case; the rest waits. The references are taken. */
void leave_drain(struct plane *p, struct message *m, const struct wire *w, unsigned n, int64_t now_us);
/** A packet that the peer asks for: now if it may, else before any picture. w: of its stream's log */
void leave_again(struct message *m, const struct wire *w, int64_t now_us);
/** What waits of this stream leaves empty: its numbers are given. */
void leave_forget(struct out_stream *o);
/** What waits will not leave. */
void leave_drop(struct steer *s);
/** How long a picture that comes now would wait. */
int64_t leave_wait_us(const struct steer *s);
/** The rate has changed, a probe has begun: set the timer anew. */
void leave_plan(struct steer *s, int64_t now_us);

#endif
