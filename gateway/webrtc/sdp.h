/* SDP, for this module's own files. */
#ifndef MU_WEBRTC_SDP_H
#define MU_WEBRTC_SDP_H

#include <glib.h>

#include "webrtc/webrtc.h"

#define SDP_CANDIDATES_MAX 128 /* of one m-section (RELIABILITY P3) */
#define SDP_RIDS_MAX	   32

/* --- text: a piece of a line, not terminated --- */

struct text {
	const char *at;
	size_t len;
};
bool text_is(struct text t, const char *word);
/** Whether it is `word` in any case. */
bool text_is_nocase(struct text t, const char *word);
/** Cut off and return what is before the first `c`, which goes; all of it where there is none. */
struct text text_cut(struct text *rest, char c);
/** A decimal number up to max. @return 0, -EBADMSG */
int text_number(struct text t, uint32_t max, uint32_t *ret);
/** Copy if it fits with its NUL. @return false: too long */
bool text_copy(struct text t, char *ret, size_t size);
/** Whether it is an RFC 8866 token (section 9), 1 to max characters. */
bool text_is_token(struct text t, size_t max);

/* --- lines --- */

struct lines {
	const char *at, *end;
	unsigned number; /* of the line last read */
	unsigned max;	 /* lines; 0: MU_SDP_LINES_MAX */
	char type;
	struct text value;
};
/** Next "x=value" line. Takes CRLF and LF.
 *  @return 1; 0 at the end; -EBADMSG (no such line, or a control character); -E2BIG (more than MU_SDP_LINES_MAX) */
int lines_next(struct lines *l, struct mu_error *e);

/* --- attributes of ICE, the same in offers and in fragments --- */

/** a=ice-ufrag, a=ice-pwd: 4..256 and 22..256 ice-chars (RFC 8839, section 5.4). @return 0, -EBADMSG */
int sdp_ice_ufrag(struct text v, char ret[257], const struct lines *at, struct mu_error *e);
int sdp_ice_pwd(struct text v, char ret[257], const struct lines *at, struct mu_error *e);

/* --- parsing --- */

/** Attributes that a session gives to its m-sections. */
struct sdp_defaults {
	char ufrag[257], pwd[257];
	uint8_t fingerprints[4][MU_FINGERPRINT_LEN];
	unsigned n_fingerprints;
	enum mu_sdp_direction direction;
	enum mu_sdp_setup setup;
	bool has_setup, ext_mixed;
};
struct sdp_parser {
	struct lines l;
	struct mu_sdp *s;
	struct mu_sdp_media *m; /* section being read; NULL: still the session */
	struct sdp_defaults session;
	struct mu_error *e;
	/* of the section being read, settled at its end: */
	struct mu_sdp_codec any; /* a=rtcp-fb:* */
	uint32_t fid[16][2];
	unsigned n_fids;
	char rids[SDP_RIDS_MAX][MU_SDP_RID_MAX + 1]; /* as many as m->n_rids */
};
/** An answer to an offer of ours, which may have many m-sections: larger than what mu_sdp_parse takes. */
int sdp_parse_answer(const char *text, size_t len, struct mu_sdp *ret, struct mu_error *e);
/** What is wrong with the line being read. @return err */
int sdp_wrong(const struct sdp_parser *p, int err, const char *fmt, ...) MU_PRINTF(3, 4);
/** m=. */
int sdp_media_begin(struct sdp_parser *p, struct text v);
/** Settle wildcards, SSRC groups and the session's defaults. */
void sdp_media_end(struct sdp_parser *p);
/** One attribute of a section that concerns its media.
 *  @return 1 taken, 0 not one of these, -EBADMSG, -E2BIG */
int sdp_media_attribute(struct sdp_parser *p, struct text name, struct text v);

/* --- codecs of a section --- */

/** @return MU_CODEC_NONE: not one that we relay */
enum mu_codec sdp_codec_of(const struct mu_sdp_codec *c);
/** The RTX format of a payload type (RFC 4588, section 8.6). @return NULL: none */
const struct mu_sdp_codec *sdp_rtx_of(const struct mu_sdp_media *m, uint8_t pt);
/** Whether a stream in the publisher's format can go out in the viewer's. @return 0 no; else the better the higher */
int sdp_format_suits(const struct mu_format *from, const struct mu_sdp_codec *to);
void sdp_format_set(struct mu_format *ret, const struct mu_sdp_codec *c);
/** Names of a section's codecs, each once, for an error: "VP8, H264, red". @return ret */
char *sdp_codec_names(const struct mu_sdp_media *m, char *ret, size_t size);

/* --- answering --- */

struct sdp_candidates {
	struct mu_addr addr[32]; /* UDP's, best first, then those of TCP */
	unsigned n, n_udp;
};
/** What is said of one m-section; one that is not accepted is refused with port 0. */
struct sdp_section {
	bool accepted;
	enum mu_sdp_direction direction;
	const struct mu_sdp_codec *codecs[2 * MU_FORMATS_MAX]; /* RTX among them */
	unsigned n_codecs;
	struct { enum mu_rtp_ext type; uint8_t id; enum mu_sdp_direction direction; } exts[24];
	unsigned n_exts;
	bool nack, pli, fir, twcc, remb;
	const char *rids[MU_LAYERS_MAX]; /* encodings that we take, borrowed */
	unsigned n_rids;
	/* what we send */
	uint32_t ssrc, rtx_ssrc;
	const char *cname, *stream_id, *track_id;
};
struct sdp_answer {
	const struct mu_sdp *offer;
	uint64_t id;	  /* of all answers on this connection; 0: there is but this one */
	uint32_t version; /* rises with each of those */
	struct sdp_section sections[MU_SDP_MEDIA_MAX];
	const char *ufrag, *pwd;
	const uint8_t *fingerprint;
	bool active; /* a=setup:active: the offerer insists on being the DTLS server */
	struct sdp_candidates candidates;
};
/** Write the answer. @return malloc'ed */
char *sdp_answer_write(const struct sdp_answer *a);
/** The answer to a restart (RFC 9725, section 4.3.2): fragment with our new credentials. @return malloc'ed */
char *sdp_frag_write(const char *ufrag, const char *pwd, const char *mid, const char *bundle, const char *type,
	const struct sdp_candidates *c);
void sdp_candidates_write(GString *t, const struct sdp_candidates *c);

/* --- what any offer to us must be, and any answer --- */

/** Check what WHIP and WHEP ask of every offer, and find the section that carries the transport.
 *  @param wanted whether a section is to be answered
 *  @return 0 and the section's index; else the HTTP status, told in e */
int sdp_offer_check(const struct mu_sdp *s, const bool wanted[MU_SDP_MEDIA_MAX], unsigned *ret_tagged,
	struct mu_error *e);
/** Whether all of these sections, of an offer or an answer, go over one transport, RTCP with them.
 *  @return 0; else the HTTP status, told in e */
int sdp_transport_check(const struct mu_sdp *s, const bool wanted[MU_SDP_MEDIA_MAX], struct mu_error *e);
/** Whether two a=msid name one MediaStream, or one of them none (RFC 8830). */
bool sdp_same_stream(const char *a, const char *b);
/** Whether the offerer means a section: its port is not 0, or it is bundle-only (RFC 8843, section 6). */
bool sdp_media_meant(const struct mu_sdp_media *m);
/** Whether a section is audio or video over DTLS-SRTP, and not refused by the offerer itself (port 0). */
bool sdp_media_usable(const struct mu_sdp_media *m);
const char *sdp_direction_name(enum mu_sdp_direction d);

#endif
