/* pace.c: packets to a fitted viewer leave no faster than its link takes them, so that a picture does not
 * hold up the voice behind it: audio at once, then what is sent again, then pictures in order. What does not
 * fit waits, by reference, for a timer; an idle transport has none set. */
#ifndef MU_TRANSPORT_PACE_H
#define MU_TRANSPORT_PACE_H

#include "base/base.h"

/** How much may leave now. Plain logic; zero-initialised: nothing yet. */
struct pace {
	uint32_t bps;
	int64_t at_us, credit; /* bits times 1e6; below 0 where more left than there was */
};
void pace_set(struct pace *p, uint32_t bps, int64_t now_us);
/** Whether a packet may leave. */
bool pace_may(struct pace *p, int64_t now_us);
/** It left. */
void pace_sent(struct pace *p, size_t bytes);
/** When one may. */
int64_t pace_next_us(const struct pace *p, int64_t now_us);
/** How long so many bytes would wait. */
int64_t pace_wait_us(const struct pace *p, uint64_t bytes);

#endif
