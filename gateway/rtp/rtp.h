/* rtp: parse and write RTP and RTCP; loss, repair, jitter and feedback as plain logic. No socket, no clock, no lock.
 * RFC 3550 (RTP), 4585 (feedback), 5104 (FIR), 4588 (RTX), 8285 (header extensions), draft-holmer-rmcat-transport-wide-cc.
 */
#ifndef MU_RTP_H
#define MU_RTP_H

#include "base/base.h"

/* --- codecs ------------------------------------------------------------------------------------------------------ */

enum mu_kind { MU_AUDIO, MU_VIDEO };
enum mu_codec {
	MU_CODEC_NONE,
	MU_CODEC_OPUS,
	MU_CODEC_G722,
	MU_CODEC_PCMA,
	MU_CODEC_PCMU,
	MU_CODEC_H264,
	MU_CODEC_H265,
	MU_CODEC_VP8,
	MU_CODEC_VP9,
	MU_CODEC_AV1,
};
/** The rtpmap name ("H264", "opus"), and back without regard to case. */
const char *mu_codec_name(enum mu_codec c);
enum mu_codec mu_codec_parse(const char *name, size_t len);
enum mu_kind mu_codec_kind(enum mu_codec c);
/** RTP clock rate in Hz (G.722 says 8000: RFC 3551, section 4.5.2). */
uint32_t mu_codec_clock(enum mu_codec c);

/** What a payload says about the frame it belongs to. */
struct mu_payload_info {
	bool frame_start; /* first packet of a frame; what follows only where this is set */
	bool key;	  /* and a decoder can start with this frame: IDR with parameter sets before it or in band earlier,
			   * VP8/VP9 key frame, AV1 new coded video sequence, H.265 IRAP */
	bool params;	  /* H.264 SPS, H.265 VPS or SPS: a decoder starts here if a packet of the same frame is key or entry;
			   * some cameras repeat them before any picture */
	bool entry;	  /* H.264 I slice, recovery point: a decoder can start with this frame if it has params (open GOPs and
			   * gradual refresh have no IDR) */
};
/** Look into a payload (RFC 6184, 7798, 7741, 9628, AV1 RTP 1.0). Never reads past len; empty or malformed payloads
 *  give false throughout. One payload cannot tell whether others of its frame came before it (a slice after its SPS):
 *  of several that say so with one time stamp, the first is the frame's. Media worker. */
struct mu_payload_info mu_payload_look(enum mu_codec c, const uint8_t *payload, size_t len);

/** What a video payload says about layers: the place of its frame among them (mu_packet.spatial, temporal, layer). */
struct mu_payload_layers {
	uint8_t spatial, temporal, flags; /* enum mu_layer_flag */
	uint16_t width, height;		  /* of a key frame, its highest layer; 0: not said here */
};
/** Look into a payload: VP8 (RFC 7741), VP9 (RFC 9628); the others have one layer. Sizes are of VP8's and VP9's key frames,
 *  of parameter sets of H.264 and H.265 (cropped, as shown), of AV1's sequence header. `start`, `end`: it is the first, the
 *  last packet of its frame as far as other headers tell. Never reads past len; what is malformed says what one layer would.
 *  Media worker. */
struct mu_payload_layers mu_payload_layers(enum mu_codec c, const uint8_t *payload, size_t len, bool start, bool end);

/** What the dependency descriptors of one source said so far (MU_EXT_DEPENDENCY_DESCRIPTOR; any codec may have them). */
struct mu_dd;
/** @return 0, -ENOMEM */
int mu_dd_new(struct mu_dd **ret);
void mu_dd_free(struct mu_dd *d);
/** Another source comes. Takes NULL. */
void mu_dd_reset(struct mu_dd *d);
/** Read the descriptor of a packet. Never reads past len. Media worker.
 *  @param ts  the packet's, of any one clock: which frames are of one picture
 *  @param ret width and height only where layers come or go
 *  @return 0, -EBADMSG (malformed), -ENOENT (it counts in a key frame's table that did not come, or has been followed by
 *  another) */
int mu_dd_read(struct mu_dd *d, const uint8_t *data, size_t len, uint32_t ts, struct mu_payload_layers *ret);

/* --- the VP8 payload descriptor (RFC 7741, section 4.2) --- */

#define MU_VP8_DESCRIPTOR_MAX 6
struct mu_vp8 {
	uint8_t len;	       /* of the descriptor, 1..6 */
	bool start;	       /* first packet of a frame: S and PID 0 */
	bool key;	       /* and it is a key frame */
	bool no_reference;     /* N: nobody needs it */
	bool sync;	       /* Y: one may go up to this temporal layer here */
	int temporal;	       /* -1: not said */
	uint8_t picture_at, picture_bits; /* place and width (7, 15) of the picture id; bits 0: none */
	uint8_t tl0_at;			  /* place of TL0PICIDX; 0: none */
	uint16_t picture;
	uint8_t tl0;
};
/** Read a payload's descriptor. Never reads past len. @return 0, -EBADMSG */
int mu_vp8_parse(const uint8_t *payload, size_t len, struct mu_vp8 *ret);

/** One payload format of a stream. */
struct mu_format {
	enum mu_codec codec;
	uint8_t pt; /* on the wire of whom it is of */
	uint8_t channels;
	char fmtp[256]; /* as the SDP has it: "profile-level-id=42e01f;packetization-mode=1" */
};
/** Whether a stream in one format may go to somebody in a payload type he offered as the other: same codec, and
 *  parameters that fit (format.c says how and why). Any thread.
 *  @return 0 no; else the better the higher */
int mu_format_suits(const struct mu_format *from, const struct mu_format *to);
/** A parameter of an fmtp, by name in any case. Any thread.
 *  @param ret a string of size bytes @return whether it is there and fits */
bool mu_fmtp_param(const char *fmtp, const char *name, char *ret, size_t size);

/* --- header extensions --------------------------------------------------------------------------------------------- */

enum mu_rtp_ext {
	MU_EXT_NONE,
	MU_EXT_MID,		     /* urn:ietf:params:rtp-hdrext:sdes:mid */
	MU_EXT_RID,		     /* ...:sdes:rtp-stream-id */
	MU_EXT_REPAIRED_RID,	     /* ...:sdes:repaired-rtp-stream-id */
	MU_EXT_AUDIO_LEVEL,	     /* urn:ietf:params:rtp-hdrext:ssrc-audio-level (RFC 6464) */
	MU_EXT_TWCC,		     /* http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01 */
	MU_EXT_ABS_SEND_TIME,	     /* http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time */
	MU_EXT_TOFFSET,		     /* urn:ietf:params:rtp-hdrext:toffset (RFC 5450) */
	MU_EXT_VIDEO_ORIENTATION,    /* urn:3gpp:video-orientation */
	MU_EXT_PLAYOUT_DELAY,	     /* http://www.webrtc.org/experiments/rtp-hdrext/playout-delay */
	MU_EXT_VIDEO_CONTENT_TYPE,   /* http://www.webrtc.org/experiments/rtp-hdrext/video-content-type */
	MU_EXT_VIDEO_TIMING,	     /* http://www.webrtc.org/experiments/rtp-hdrext/video-timing */
	MU_EXT_COLOR_SPACE,	     /* http://www.webrtc.org/experiments/rtp-hdrext/color-space */
	MU_EXT_ABS_CAPTURE_TIME,     /* http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time */
	MU_EXT_DEPENDENCY_DESCRIPTOR, /* https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension */
	MU_EXT_COUNT,
};
const char *mu_ext_uri(enum mu_rtp_ext t);
enum mu_rtp_ext mu_ext_parse(const char *uri, size_t len);
/** Whether it says something about the content and so travels to viewers; the others end at this hop. */
bool mu_ext_travels(enum mu_rtp_ext t);

/** Ids on the wire of one direction of one m-section; 0 = not negotiated. */
struct mu_ext_map {
	uint8_t type_of[256]; /* id -> enum mu_rtp_ext; ids above 14 need two-byte headers */
	uint8_t id_of[MU_EXT_COUNT];
};
void mu_ext_map_set(struct mu_ext_map *m, enum mu_rtp_ext t, uint8_t id);

/* --- RTP headers ------------------------------------------------------------------------------------------------------ */

#define MU_RTP_HEADER_MIN 12
/** What the fixed header says, before anything is authenticated. */
struct mu_rtp_header {
	uint8_t pt;
	bool marker, padding;
	uint16_t seq;
	uint32_t ts, ssrc;
	uint16_t hlen; /* with CSRCs and extension block */
};
/** Whether a datagram that starts with 128..191 is RTCP rather than RTP (RFC 5761, section 4). len >= 2. */
static inline bool mu_is_rtcp(const uint8_t *data)
{
	return data[1] >= 192 && data[1] <= 223;
}
/** Read the header (RFC 3550, section 5.1; RFC 8285). Any thread.
 *  @return 0, -EBADMSG (short, version not 2, lengths that do not fit) */
int mu_rtp_parse(const uint8_t *data, size_t len, struct mu_rtp_header *ret);
/** Fill in a decrypted packet's fields from its data and len: wire_seq, wire_ts, pt, hlen, pad, marker, ext[] (one-byte
 *  and two-byte headers; malformed elements end the list and harm nothing). Leaves seq, ts, codec and key flags alone.
 *  @return 0, -EBADMSG (as above, or padding longer than the payload) */
int mu_rtp_fill(struct mu_packet *p, const struct mu_ext_map *exts);
/** @return the element's data, NULL if absent. */
static inline const uint8_t *mu_rtp_ext(const struct mu_packet *p, enum mu_rtp_ext t, size_t *ret_len)
{
	for (unsigned i = 0; i < p->n_ext; i++) {
		if (p->ext[i].type == t) {
			*ret_len = p->ext[i].len;
			return p->data + p->ext[i].at;
		}
	}
	return NULL;
}
/** An element that the sender of a rewritten header adds. */
struct mu_ext_add {
	enum mu_rtp_ext type;
	uint8_t len;
	const uint8_t *data;
};
#define MU_RTP_HEADER_MAX 256
/** Write a header for a viewer: first byte (with X where elements remain, P if pad), marker, and those of the packet's
 *  travelling elements that `to` has an id for, renumbered, then `add`. Payload type, sequence number, time stamp and SSRC
 *  are left 0 for mu_rtp_patch. CSRCs are dropped. One-byte form unless an id or a length needs two (RFC 8285).
 *  @param ret MU_RTP_HEADER_MAX bytes
 *  @return bytes written, a multiple of 4. Elements that would not fit are left out. */
size_t mu_rtp_write_header(const struct mu_packet *p, const struct mu_ext_map *to, const struct mu_ext_add *add, size_t n_add,
	uint8_t *ret);
static inline void mu_rtp_patch(uint8_t *h, uint8_t pt, uint16_t seq, uint32_t ts, uint32_t ssrc)
{
	h[1] = (uint8_t)((h[1] & 0x80) | pt);
	mu_put16(h + 2, seq);
	mu_put32(h + 4, ts);
	mu_put32(h + 8, ssrc);
}
/** Unwrap a 16-bit number near the last one seen. @return the 64-bit number; *last is the caller's state, start at 0 */
static inline uint64_t mu_seq_unwrap(uint64_t last, uint16_t seq)
{
	int16_t d = (int16_t)(uint16_t)(seq - (uint16_t)last);

	return last + (uint64_t)(int64_t)d;
}

/* --- receiving: what came, what is missing, how regular (RFC 3550, sections 6.4 and A) ------------------------------------- */

#define MU_RTP_RX_SEEN 1024 /* numbers back that a duplicate is known by */
/** Statistics of one received SSRC. Zero-initialised, then mu_rtp_rx_init. */
struct mu_rtp_rx {
	bool started;
	uint32_t clock;
	uint64_t first, highest;   /* unwrapped sequence numbers; they start at 65536 + the first */
	uint64_t packets, bytes;   /* payload bytes; duplicates and repaired ones included */
	uint64_t duplicates, reordered;
	uint64_t repaired;	   /* of the packets: what came only by repair; the network lost it all the same */
	bool timed;		   /* transit is a packet's, at this clock */
	uint32_t transit;	   /* RFC 3550, A.8 */
	uint64_t jitter_q4;	   /* 16 * jitter, clock units */
	uint64_t prior_expected, prior_packets; /* at the last report */
	uint8_t fraction_lost;	   /* of the last report interval, 1/256 */
	bool odd;		   /* the last packet was far off: the next one in its line proves a restart (A.1) */
	uint16_t odd_next;
	uint64_t seen[MU_RTP_RX_SEEN / 64]; /* which of the last numbers came, by number modulo */
};
void mu_rtp_rx_init(struct mu_rtp_rx *rx, uint32_t clock);
/** Packets now count media time at another rate: jitter begins anew. Without effect if it is the rate already. */
void mu_rtp_rx_set_clock(struct mu_rtp_rx *rx, uint32_t clock);
/** One packet came, repaired ones included.
 *  @return its unwrapped sequence number; 0: drop it, it was not counted: far off, and not proven by the one before it
 *          (RFC 3550, A.1), or a repair of what is not missing */
uint64_t mu_rtp_rx_packet(struct mu_rtp_rx *rx, uint16_t seq, uint32_t ts, size_t payload_len, bool repaired,
	int64_t arrival_us);
/** Expected minus received or repaired, never below 0: what nobody behind us can have. */
uint64_t mu_rtp_rx_lost(const struct mu_rtp_rx *rx);
uint32_t mu_rtp_rx_jitter_us(const struct mu_rtp_rx *rx);

/** How long an answer takes: a round trip, smoothed (RFC 6298, section 2). Zero-initialised: nothing is known. */
struct mu_rtt {
	bool known;
	int64_t smoothed_us, var_us;
	int64_t backoff_us; /* the least to wait since an answer came that may be to any of several questions; 0 none */
};
/** An answer to this very question came after us. */
void mu_rtt_sample(struct mu_rtt *r, int64_t us);
/** An answer came, us after the first of several questions: which one it answers cannot be told (Karn). It measures
 *  nothing, but whoever asked more than once was perhaps impatient: the next one waits so long, and measures then. */
void mu_rtt_unsure(struct mu_rtt *r, int64_t us);
/** How long to wait for an answer before the question is asked again. */
int64_t mu_rtt_wait_us(const struct mu_rtt *r, int64_t guess_us);

/** Which packets to ask for again. Ring of the last MU_NACK_WINDOW numbers, no allocation. */
#define MU_NACK_WINDOW 1024
#define MU_NACK_TRIES  10
struct mu_nack;
/** @param hold_us   reordering grace before the first request
 *  @return 0, -EINVAL (negative), -ENOMEM */
int mu_nack_new(int64_t hold_us, struct mu_nack **ret);
void mu_nack_free(struct mu_nack *n);
/** As new: the next number that is seen begins another numbering. */
void mu_nack_reset(struct mu_nack *n);
/** Packet `seq` (unwrapped) came. Numbers skipped become missing. A jump of more than MU_NACK_WINDOW forgets all. */
void mu_nack_seen(struct mu_nack *n, uint64_t seq, int64_t now_us);
/** The same for a packet that a request brought.
 *  @param rtt learns how long that took; may be NULL */
void mu_nack_repaired(struct mu_nack *n, uint64_t seq, int64_t now_us, struct mu_rtt *rtt);
/** Numbers to ask for now, ascending: held long enough and not asked within rtt_us (at least 20 ms; -1: unknown), at most
 *  MU_NACK_TRIES times and 1 s each.
 *  @return how many were written to ret (at most max) */
size_t mu_nack_due(struct mu_nack *n, int64_t now_us, int64_t rtt_us, uint16_t *ret, size_t max);
/** When mu_nack_due should be called next; INT64_MAX when nothing is missing. */
int64_t mu_nack_next_us(const struct mu_nack *n, int64_t rtt_us);

/** Transport-wide feedback to a publisher: arrival times of the packets since the last report. */
#define MU_TWCC_WINDOW 1024
struct mu_twcc_rx;
int mu_twcc_rx_new(struct mu_twcc_rx **ret);
void mu_twcc_rx_free(struct mu_twcc_rx *t);
void mu_twcc_rx_packet(struct mu_twcc_rx *t, uint16_t seq, int64_t arrival_us);
/** Write one feedback message (RTPFB, FMT 15) about what came since the last one, losses included.
 *  @return bytes (a multiple of 4), 0 when there is nothing to say; call again until 0 */
size_t mu_twcc_rx_report(struct mu_twcc_rx *t, uint32_t sender_ssrc, uint32_t media_ssrc, uint8_t *ret, size_t size);

/** The rate to name to a sender that hears of nothing but loss (draft-ietf-rmcat-gcc-02, section 6): above 10 % it falls,
 *  below 2 % it rises again. Zero-initialised: the limit. */
struct mu_loss_rate {
	uint64_t bps;
};
/** Once a report. @param fraction_lost since the last one, 1/256
 *  @return bits a second, at most limit_bps */
uint64_t mu_loss_rate_next(struct mu_loss_rate *r, uint8_t fraction_lost, uint64_t measured_bps, uint64_t limit_bps);

/** Media time against wall time from a sender's reports. Zero-initialised. */
struct mu_rtp_clock {
	bool valid;
	uint32_t rtp;	/* the pair of the last sender report */
	uint64_t ntp;
	int64_t arrival_us;
};

/* --- RTCP --------------------------------------------------------------------------------------------------------------- */

enum mu_rtcp_type {
	MU_RTCP_SR = 200, MU_RTCP_RR = 201, MU_RTCP_SDES = 202, MU_RTCP_BYE = 203, MU_RTCP_APP = 204,
	MU_RTCP_RTPFB = 205, MU_RTCP_PSFB = 206, MU_RTCP_XR = 207,
};
struct mu_rtcp_report {
	uint32_t ssrc;
	uint8_t fraction_lost;
	int32_t lost;	     /* 24 bits signed on the wire */
	uint32_t highest;
	uint32_t jitter;     /* clock units */
	uint32_t lsr, dlsr;  /* 1/65536 s */
};
/** What a compound packet may ask of us. Any member may be NULL: then that kind is skipped. */
struct mu_rtcp_handler {
	void (*sr)(void *arg, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes);
	void (*report)(void *arg, uint32_t from, const struct mu_rtcp_report *r); /* block of an SR or RR */
	void (*nack)(void *arg, uint32_t media_ssrc, uint16_t seq);		      /* once a number, at most 4096 a compound */
	void (*key_request)(void *arg, uint32_t media_ssrc);			      /* PLI; FIR too where fir is NULL */
	/** RFC 5104, section 4.3.1: a request said again has the number it had; whoever counts keeps the last one. */
	void (*fir)(void *arg, uint32_t from, uint32_t media_ssrc, uint8_t number);
	void (*remb)(void *arg, uint64_t bps);
	void (*twcc)(void *arg, const uint8_t *fci, size_t len); /* the feedback's FCI, unparsed */
	void (*bye)(void *arg, uint32_t ssrc);
	void (*cname)(void *arg, uint32_t ssrc, const char *cname, size_t len);
	/** XR (RFC 3611, sections 4.4, 4.5): a receiver's time, and what a sender says of the one that `ssrc` told it. */
	void (*rrtr)(void *arg, uint32_t from, uint64_t ntp);
	void (*dlrr)(void *arg, uint32_t ssrc, uint32_t last_rr, uint32_t delay); /* middle of ntp; 1/65536 s */
};
/** Walk a compound packet; also reduced-size (RFC 5506). Malformed members end the walk.
 *  @return 0, -EBADMSG (the walk ended early; what came before was handled) */
int mu_rtcp_parse(const uint8_t *data, size_t len, const struct mu_rtcp_handler *h, void *arg);

/** A compound packet being written. */
struct mu_rtcp_writer {
	uint8_t *data;
	size_t size, len;
};
/** Each appends one packet. @return 0, -ENOSPC (nothing written) */
int mu_rtcp_add_sr(struct mu_rtcp_writer *w, uint32_t ssrc, uint64_t ntp, uint32_t rtp, uint32_t packets, uint32_t bytes,
	const struct mu_rtcp_report *reports, size_t n);
int mu_rtcp_add_rr(struct mu_rtcp_writer *w, uint32_t ssrc, const struct mu_rtcp_report *reports, size_t n);
int mu_rtcp_add_sdes(struct mu_rtcp_writer *w, uint32_t ssrc, const char *cname);
int mu_rtcp_add_bye(struct mu_rtcp_writer *w, const uint32_t *ssrcs, size_t n, const char *reason);
/** Ascending numbers; packs PID + BLP (RFC 4585, section 6.2.1). */
int mu_rtcp_add_nack(struct mu_rtcp_writer *w, uint32_t sender, uint32_t media, const uint16_t *seqs, size_t n);
int mu_rtcp_add_pli(struct mu_rtcp_writer *w, uint32_t sender, uint32_t media);
int mu_rtcp_add_fir(struct mu_rtcp_writer *w, uint32_t sender, uint32_t media, uint8_t number);
int mu_rtcp_add_remb(struct mu_rtcp_writer *w, uint32_t sender, const uint32_t *ssrcs, size_t n, uint64_t bps);
/** XR with one block. */
int mu_rtcp_add_rrtr(struct mu_rtcp_writer *w, uint32_t sender, uint64_t ntp);
int mu_rtcp_add_dlrr(struct mu_rtcp_writer *w, uint32_t sender, uint32_t ssrc, uint32_t last_rr, uint32_t delay);
/** Report block from receive state; updates the state's prior counts (once a report). Says what the network lost, repaired
 *  or not: it is what a sender goes by. clock may be NULL. */
void mu_rtcp_report_fill(struct mu_rtp_rx *rx, uint32_t ssrc, const struct mu_rtp_clock *clock, int64_t now_us,
	struct mu_rtcp_report *ret);
/** Round trip from a report block we received (RFC 3550, section 6.4.1), or a DLRR's numbers in one. @return microseconds, -1 unknown */
int64_t mu_rtcp_rtt_us(const struct mu_rtcp_report *r, uint64_t now_ntp);

/* --- RTX (RFC 4588, session multiplexing by SSRC) ----------------------------------------------------------------------- */

/** Turn a received RTX packet into the original in place: sequence number from the OSN, payload shifted by two bytes.
 *  The caller sets SSRC and payload type afterwards. @return 0, -EBADMSG (shorter than an OSN: probing padding) */
int mu_rtx_unwrap(struct mu_packet *p);

#endif
