/* forwarder: loop L of the limits, the least that any forwarder must do: GRO receive, decrypt once, encrypt
 * for each subscriber from the shared plaintext, one segmented message per subscriber and burst, 16 messages
 * a system call. No ICE, RTCP, statistics or repair. One thread. */
#ifndef MU_BENCH_FORWARDER_H
#define MU_BENCH_FORWARDER_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "ref_srtp.h"

#define FWD_PUBS_MAX 64
#define FWD_BURST    64 /* packets decrypted before they are fanned out */
#define FWD_SEGMENTS 16 /* packets in one message */
#define FWD_BATCH    16 /* messages in one sendmmsg */
#define FWD_SLOT     1536
#define FWD_RX       8 /* messages in one recvmmsg */

struct fwd_sub {
	struct ref_key key;
	struct sockaddr_in to;
	uint32_t ssrc[2];
	uint64_t index[2]; /* of the next packet: video, audio */
};
struct fwd_packet {
	uint8_t *data; /* plaintext RTP */
	uint16_t hlen, len;
	uint8_t media; /* 0 video, 1 audio */
};
struct fwd_pub {
	struct ref_key key;
	struct sockaddr_in from;
	uint32_t ssrc[2];
	uint64_t index[2]; /* highest seen */
	bool started[2];
	struct fwd_sub **subs;
	size_t n_subs, cap_subs;
	/* a burst not yet fanned out */
	struct fwd_packet burst[FWD_BURST];
	size_t n;
	int64_t first_us;
	uint8_t *plain;
};
struct fwd {
	IMB_MGR *mb;
	bool cm;
	int fd;
	struct sockaddr_in addr; /* where publishers send to */
	struct fwd_pub *pubs[FWD_PUBS_MAX];
	size_t n_pubs;
	int64_t gather_us; /* wait this long for more packets of a burst; 0: forward what was received at once
			    */
	uint8_t *raw, *out;
	struct ref_job *jobs;
	struct mmsghdr rx[FWD_RX], tx[FWD_BATCH];
	struct iovec rx_iov[FWD_RX], tx_iov[FWD_BATCH];
	struct sockaddr_in rx_from[FWD_RX];
	struct {
		_Alignas(struct cmsghdr) char b[CMSG_SPACE(sizeof(int))];
	} rx_c[FWD_RX], tx_c[FWD_BATCH];
	/* totals */
	uint64_t received, bad, sent, messages, dropped;
};

/** Bind 127.0.0.1:port (0: any) with GRO. @return 0, -errno */
int fwd_init(struct fwd *f, bool cm, uint16_t port);
void fwd_done(struct fwd *f);
/** @return the publisher's number, -ENOSPC, -ENOMEM */
int fwd_add_pub(
	struct fwd *f, const struct sockaddr_in *from, const uint8_t *master, uint32_t video, uint32_t audio);
/** @return 0, -EINVAL (no such publisher), -ENOMEM */
int fwd_add_sub(struct fwd *f, size_t pub, const struct sockaddr_in *to, const uint8_t *master,
	uint32_t video, uint32_t audio);
/** Take what is queued (at most FWD_RX messages) and fan out what is due. @return packets received */
size_t fwd_turn(struct fwd *f, int64_t now_us);
/** Fan out bursts whose time has come. @return when to be called again, INT64_MAX: nothing waits */
int64_t fwd_flush(struct fwd *f, int64_t now_us);

#endif
