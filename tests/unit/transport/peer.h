/* The far end of a transport, for tests: a full ICE agent with one candidate, a DTLS client, SRTP both ways.
 * Synchronous. */
#ifndef PEER_H
#define PEER_H

#include "transport/transport.h"

struct peer {
	int fd;
	bool tcp; /* fd is a connection, with a frame around each datagram */
	struct mu_addr gateway, local;
	char ufrag[32], pwd[64]; /* that its checks carry */
	struct mu_identity *identity;
	struct mu_dtls_ctx *dtls_ctx;
	struct mu_dtls *dtls;
	struct mu_srtp_engine *engine;
	struct mu_srtp_key *out, *in;
	struct mu_srtp_rx *rx;
	enum mu_srtp_profile profile;
	uint32_t srtcp_index;
};
enum peer_got { PEER_NOTHING, PEER_STUN, PEER_STUN_ERROR, PEER_DTLS, PEER_RTP, PEER_RTCP, PEER_BAD };

/** @param profiles 0-terminated, or NULL */
void peer_open(struct peer *p, const char *local, const struct mu_addr *gateway,
	const enum mu_srtp_profile *profiles);
void peer_close(struct peer *p);
/** The socket is closed and opened anew: another address, the same keys. */
void peer_move(struct peer *p);
/** The same by a new connection to this address, which a TCP listener of the gateway has. */
void peer_move_to_tcp(struct peer *p, const struct mu_addr *listener);
/** Its checks are for this transport: take over the user name and password of the moment. */
void peer_aim(struct peer *p, const struct mu_transport *t);
enum { PEER_NOMINATE = 1, PEER_CONTROLLED = 2 }; /* a check with USE-CANDIDATE; in the wrong role */
/** Write one connectivity check. @return its length */
size_t peer_write_check(struct peer *p, unsigned flags, uint8_t ret[512]);
/** One connectivity check. @return what came back within 200 ms */
enum peer_got peer_check(struct peer *p, unsigned flags);
/** Checks, handshake. @return 0, -EPROTO, -ETIMEDOUT */
int peer_connect(struct peer *p, const uint8_t fingerprint[MU_FINGERPRINT_LEN]);
void peer_raw(struct peer *p, const void *data, size_t len);
/** Seal and send. */
void peer_rtp(struct peer *p, uint32_t ssrc, uint64_t index, uint8_t pt, uint32_t ts, bool marker,
	const void *payload, size_t len);
/** The same with a header of the caller's: CSRCs, extensions. */
void peer_rtp_header(
	struct peer *p, const uint8_t *header, size_t hlen, uint64_t index, const void *payload, size_t len);
void peer_rtcp(struct peer *p, const void *data, size_t len);
/** A receiver report, as each receiver sends one a second. */
void peer_report(struct peer *p);
/** The next datagram, opened if it is SRTP. @param ret room for 2000 bytes */
enum peer_got peer_take(struct peer *p, int timeout_ms, uint8_t *ret, size_t *ret_len);

#endif
