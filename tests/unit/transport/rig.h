/* A media plane without threads, for tests that say exactly which packet comes when: the worker turns when it
 * is told to, viewers are plain sockets whose keys and paths are given, packets are pushed into the track as
 * the wire would. */
#ifndef RIG_H
#define RIG_H

#include "transport/transport_internal.h"

#define RIG_SSRC     0xaaaa
#define RIG_RTX_SSRC 0xbbbb
#define RIG_PT       120
#define RIG_RTX_PT   121

struct rig {
	struct mu_inbox control;
	struct mu_media *media;
	struct mu_worker *worker;
	struct mu_track *track;
	struct mu_source source;
};
/** Video of one format, VP8, with a source that cannot be asked. */
void rig_up(struct rig *r, enum mu_kind kind);
void rig_down(struct rig *r);
void rig_turn(struct rig *r);
/** One packet into the track: `len` bytes with a header of 12, its wire number in the payload. Nothing goes
 * out before rig_turn. */
void rig_push(struct rig *r, uint64_t seq, size_t len, bool key);

struct viewer {
	struct mu_transport *t;
	int fd;
	struct mu_path path;
	struct mu_srtp_engine *engine;
	struct mu_srtp_key *in, *out;
	struct mu_srtp_rx *rx;
	uint32_t srtcp_index;
};
/** Attached to the track, keyed, its path nominated. */
void viewer_up(struct viewer *v, struct rig *r, enum mu_srtp_profile profile, bool rtx);
void viewer_down(struct viewer *v, struct rig *r);
/** The same step by step, for streams of the caller's: made; then, after a turn of its worker, with keys and a path; then,
 *  when the transport is gone, its own part. */
void viewer_attach(struct viewer *v, struct mu_media *media, const struct mu_transport_spec *spec);
void viewer_connect(struct viewer *v, enum mu_srtp_profile profile);
void viewer_done(struct viewer *v);
struct out_stream *viewer_out(struct viewer *v);
/** The next RTP packet that came, decrypted; RTCP is passed over. @return false: none is there */
bool viewer_take(struct viewer *v, struct mu_rtp_header *h, uint8_t ret[2000], size_t *ret_len);
/** An RTCP packet from the viewer; the worker hears of it at once. */
void viewer_rtcp(struct viewer *v, const uint8_t *data, size_t n, int64_t now_us);
/** What the viewer sends when it misses packets. */
void viewer_nack(struct viewer *v, const uint16_t *seqs, size_t n, int64_t now_us);

#endif
