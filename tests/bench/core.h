/* core: what the forwarding core costs in a loop: bursts from one publisher to sinks that nobody reads. */
#ifndef MU_BENCH_CORE_H
#define MU_BENCH_CORE_H

#include <netinet/in.h>

#include "forwarder.h"

#define CORE_VIDEO_SSRC 0x11111111u
#define CORE_AUDIO_SSRC 0x22222222u
#define CORE_PT         96

/** Master key and salt of the publisher (who 0) and of sink i (who i + 1): 30 bytes, as many as the profile
 * needs count. */
void core_master(uint32_t who, uint8_t ret[30]);
/** A UDP socket on loopback; ends the program if there is none. */
int core_socket(int rcvbuf, struct sockaddr_in *ret);

/** The publisher. */
struct core_source {
	int fd;
	struct sockaddr_in addr;
	struct ref_key key;
	IMB_MGR *mb;
	uint64_t index;
	uint32_t ts;
	bool key_sent;
	uint8_t plain[FWD_SLOT], wire[FWD_SEGMENTS * FWD_SLOT];
};
void core_source_open(struct core_source *s, bool cm);
void core_source_close(struct core_source *s);
/** One frame of `burst` packets of `size` bytes RTP as one segmented message, as a burst arrives from a
 * device that coalesces. The first frame is a key frame. */
void core_publish(struct core_source *s, size_t size, unsigned burst);

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
/** Muster's own modules from net to transport, all there is between the publisher's socket and the viewers';
 * only ICE and DTLS are passed over: paths and keys are given. */
extern const struct core_way core_way_muster;

/** Packets a second that two workers forward flat out, as a multiple of what one does: the same publisher,
 * the same n sinks, half of them on the second worker, which gets the packets by ring. On cores 0 and 1.
 *  @return 0: there is one core only */
double core_two_workers(bool cm, const struct sockaddr_in *sinks, size_t n, size_t size, unsigned burst);

#endif
