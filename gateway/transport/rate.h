/* rate.c: what the link of one fitted viewer bears: the packets sent are numbered, its feedback read, probes
 * planned; and how fast packets may leave. Plain logic around the estimate (adapt.h). */
#ifndef MU_TRANSPORT_RATE_H
#define MU_TRANSPORT_RATE_H

#include "adapt/adapt.h"

#define RATE_OVERHEAD 28 /* bytes of IPv4 and UDP that a packet has on the link besides */

struct rate {
	struct mu_history *history;
	struct mu_estimate *estimate;
	bool known;            /* feedback came */
	int64_t unanswered_us; /* when the first packet left that no feedback has come after; 0: none */
	int64_t gate_us;       /* feedback is counted since */
	unsigned gate_count;
	/* a probe under way */
	struct mu_probe probe; /* what is left of it; packets 0: none */
	int64_t probe_due_us;
	unsigned probes; /* ever */
};

/** @return 0, -ENOMEM */
int rate_new(int64_t now_us, struct rate **ret);
/** Takes NULL. */
void rate_free(struct rate *r);
/** A datagram of `size` bytes leaves. @param probe cluster, 0: ordinary @return its transport-wide number */
uint16_t rate_sent(struct rate *r, size_t size, uint16_t probe, int64_t now_us);
/** A feedback's FCI. @param rtt_us 0: not known @return 0, -EBADMSG, -EPROTO (more of them than anybody
 * sends: not read) */
int rate_feedback(struct rate *r, const uint8_t *fci, size_t len, int64_t rtt_us, int64_t now_us);
/** About ten times a second while anything is sent. */
void rate_tick(struct rate *r, int64_t now_us);

uint32_t rate_bps(const struct rate *r);
/** How fast packets may leave: faster than the estimate, for pictures come in pieces, but not by much where
 * the link is known to be full at it, or may be: where the estimate is not well above what is wanted. */
uint32_t rate_pace_bps(const struct rate *r, uint32_t wanted_bps);

/** Whether to begin a probe, for wanted_bps. It is then under way. */
bool rate_probe_begin(struct rate *r, uint32_t wanted_bps, int64_t now_us);
/** About how large the probe's next packet should be, at most max, if it is due.
 *  @return 0: not now, or no probe is under way */
size_t rate_probe_due(const struct rate *r, size_t max, int64_t now_us);
/** It left, as so many bytes; 0: none can, it is over. */
void rate_probe_sent(struct rate *r, size_t size, int64_t now_us);
/** When the next packet of a probe is due. @return INT64_MAX: none is under way */
static inline int64_t rate_probe_next_us(const struct rate *r)
{
	return r->probe.packets ? r->probe_due_us : INT64_MAX;
}

#endif
