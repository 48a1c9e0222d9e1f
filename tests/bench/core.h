/* core: what the forwarding core costs in a loop: bursts from one publisher to sinks that nobody reads. */
#ifndef MU_BENCH_CORE_H
#define MU_BENCH_CORE_H

#include <netinet/in.h>

#include "base/base.h"

#define CORE_VIDEO_SSRC 0x11111111u
#define CORE_AUDIO_SSRC 0x22222222u
#define CORE_PT         96

/** Master key and salt of the publisher (who 0) and of sink i (who i + 1): 30 bytes, as many as the profile
 * needs count. */
void core_master(uint32_t who, uint8_t ret[30]);

/** A forwarder under measurement. Called on one thread. */
struct core_way {
	const char *name;
	/** Be ready to receive SRTP of CORE_VIDEO_SSRC from `publisher` and to send it to each of the n
	 * sinks.
	 *  @param cm      AES128_CM_SHA1_80, else AEAD_AES_128_GCM
	 *  @param ret_at  where the publisher has to send to
	 *  @return its state, NULL: it cannot */
	void *(*open)(bool cm, const struct sockaddr_in *publisher, const struct sockaddr_in *sinks, size_t n,
		struct sockaddr_in *ret_at);
	/** Receive what is queued, forward it, return when it is with the kernel. @return packets sent so far
	 * in all */
	uint64_t (*turn)(void *state);
	void (*close)(void *state);
};
/** The hook: a file that defines this symbol and is linked in is measured beside L. Absent: L alone is
 * measured. */
extern const struct core_way core_way_muster __attribute__((weak));

#endif
