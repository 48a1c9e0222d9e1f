#include "rtp/rtp.h"

/* What one NAL unit tells: may an access unit begin with it, can a decoder start with it. */
struct nal {
	bool starts, key, params, entry;
};
static const struct mu_payload_info nothing;

/* A number of an SEI message (H.264, section 7.3.2.3.1). */
static unsigned sei_number(const uint8_t *p, size_t len, size_t *at)
{
	unsigned n = 0;

	for (; *at < len && p[*at] == 0xff; ++*at)
		n += 255;
	if (*at < len)
		n += p[(*at)++];
	return n;
}

/* Whether there is a recovery point among the messages (6 in H.264, table D.1, and in H.265, section D.2.1).
 * Emulation prevention may hide it behind a message with many zeros, which is rare: it stands first or alone.
 */
static bool sei_recovery(const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (len - at >= 2) {
		unsigned type = sei_number(p, len, &at), size = sei_number(p, len, &at);

		if (type == 6)
			return size > 0 && at < len;
		if (size >= len - at)
			break;
		at += size;
	}
	return false;
}

static struct mu_payload_info info_of(struct nal nal)
{
	return (struct mu_payload_info){
		.frame_start = nal.starts,
		.key = nal.starts && (nal.key || (nal.params && nal.entry)),
		.params = nal.starts && nal.params,
		.entry = nal.starts && nal.entry,
	};
}

/* Of several in one packet the first says whether a frame begins. */
static void join(struct nal *all, bool first, struct nal nal)
{
	if (first)
		all->starts = nal.starts;
	all->key |= nal.key;
	all->params |= nal.params;
	all->entry |= nal.entry;
}

/* --- H.264 (RFC 6184; types: H.264 table 7-1) --- */

enum {
	H264_SLICE = 1,
	H264_PARTITION_A = 2,
	H264_IDR = 5,
	H264_SEI = 6,
	H264_SPS = 7,
	H264_AUD = 9,
	H264_STAP_A = 24,
	H264_FU_A = 28
};

/* `body` is what follows the NAL header. */
static struct nal h264_nal(uint8_t type, const uint8_t *body, size_t len)
{
	switch (type) {
	case H264_SLICE:
	case H264_PARTITION_A:
	case H264_IDR:
		/* first_mb_in_slice 0 is the one bit 1 (Exp-Golomb); other slices come later in a picture.
		 * Then slice_type: 7 is 0001000, 2 is 011, both I */
		return (struct nal){ .starts = len > 0 && body[0] & 0x80,
			.key = type == H264_IDR,
			.entry = type != H264_IDR && len > 0 &&
				(body[0] == 0x88 || (body[0] & 0xf0) == 0xb0) };
	default:
		/* SEI, SPS, PPS, delimiter, prefix NAL unit, subset SPS (H.264, section 7.4.1.2.3) */
		return (struct nal){ .starts = (type >= H264_SEI && type <= H264_AUD) ||
				(type >= 14 && type <= 18),
			.params = type == H264_SPS,
			.entry = type == H264_SEI && sei_recovery(body, len) };
	}
}

static struct mu_payload_info h264_stap(const uint8_t *p, size_t len)
{
	struct nal all = { .starts = false };

	for (bool first = true; len >= 2; first = false) {
		size_t n = mu_get16(p);

		if (n == 0 || n > len - 2 || p[2] & 0x80)
			return nothing;
		join(&all, first, h264_nal(p[2] & 0x1f, p + 3, n - 1));
		p += 2 + n;
		len -= 2 + n;
	}
	return info_of(all);
}

static struct mu_payload_info h264(const uint8_t *p, size_t len)
{
	struct nal nal;

	if (p[0] & 0x80) /* forbidden_zero_bit */
		return nothing;
	switch (p[0] & 0x1f) {
	case H264_STAP_A:
		return h264_stap(p + 1, len - 1);
	case H264_FU_A:
		if (len < 3 || !(p[1] & 0x80))
			return nothing;
		nal = h264_nal(p[1] & 0x1f, p + 2, len - 2);
		break;
	default:
		nal = h264_nal(p[0] & 0x1f, p + 1, len - 1);
		break;
	}
	return info_of(nal);
}

/* --- H.265 (RFC 7798; types: H.265 table 7-1) --- */

enum {
	H265_IRAP_FIRST = 16,
	H265_IRAP_LAST = 21,
	H265_VCL_LAST = 31,
	H265_VPS = 32,
	H265_SPS = 33,
	H265_AUD = 35,
	H265_PREFIX_SEI = 39,
	H265_AP = 48,
	H265_FU = 49
};

static struct nal h265_nal(uint8_t type, const uint8_t *body, size_t len)
{
	if (type <= H265_VCL_LAST) {
		/* first_slice_segment_in_pic_flag */
		return (struct nal){ .starts = len > 0 && body[0] & 0x80,
			.key = type >= H265_IRAP_FIRST && type <= H265_IRAP_LAST };
	}
	return (struct nal){ .starts = type <= H265_AUD || type == H265_PREFIX_SEI,
		.params = type == H265_VPS || type == H265_SPS,
		.entry = type == H265_PREFIX_SEI && sei_recovery(body, len) };
}

/* forbidden_zero_bit 0, nuh_layer_id 0 (pictures start with the base layer), nuh_temporal_id_plus1 not 0 */
static bool h265_header_ok(const uint8_t *p)
{
	return !(p[0] & 0x81) && !(p[1] & 0xf8) && p[1] & 0x07;
}

static uint8_t h265_type(const uint8_t *p)
{
	return p[0] >> 1 & 0x3f;
}

static struct mu_payload_info h265_ap(const uint8_t *p, size_t len)
{
	struct nal all = { .starts = false };

	for (bool first = true; len >= 2; first = false) {
		size_t n = mu_get16(p);

		if (n < 2 || n > len - 2)
			return nothing;
		if (h265_header_ok(p + 2))
			join(&all, first, h265_nal(h265_type(p + 2), p + 4, n - 2));
		p += 2 + n;
		len -= 2 + n;
	}
	return info_of(all);
}

static struct mu_payload_info h265(const uint8_t *p, size_t len)
{
	struct nal nal;

	if (len < 3 || !h265_header_ok(p))
		return nothing;
	switch (h265_type(p)) {
	case H265_AP:
		return h265_ap(p + 2, len - 2);
	case H265_FU:
		if (!(p[2] & 0x80))
			return nothing;
		nal = h265_nal(p[2] & 0x3f, p + 3, len - 3);
		break;
	default:
		nal = h265_nal(h265_type(p), p + 2, len - 2);
		break;
	}
	return info_of(nal);
}

/* --- VP8 (RFC 7741, section 4.2) --- */

static struct mu_payload_info vp8(const uint8_t *p, size_t len)
{
	size_t at = 1;
	bool start = (p[0] & 0x17) == 0x10; /* S, and partition index 0 */

	if (p[0] & 0x80) {
		uint8_t x;

		if (len < 2)
			return nothing;
		x = p[at++];
		if (x & 0x80) { /* I: picture id of 7 or 15 bits */
			if (at >= len)
				return nothing;
			at += p[at] & 0x80 ? 2 : 1;
		}
		if (x & 0x40) /* L: TL0PICIDX */
			at++;
		if (x & 0x30) /* T or K: one byte for both */
			at++;
	}
	if (at >= len || !start)
		return nothing;
	/* P of the frame tag: 0 is a key frame (section 4.3) */
	return (struct mu_payload_info){ .frame_start = true, .key = !(p[at] & 0x01) };
}

/* --- VP9 (RFC 9628, section 4.2) --- */

/* Scalability structure at `at`. @return the offset after it, may be past len */
static size_t vp9_ss(const uint8_t *p, size_t len, size_t at)
{
	uint8_t v;

	if (at >= len)
		return len;
	v = p[at++];
	if (v & 0x10) /* Y: width and height of each layer */
		at += 4u * ((v >> 5) + 1u);
	if (v & 0x08 && at < len) { /* G: the picture group */
		unsigned n = p[at++];

		for (; n && at < len; n--)
			at += 1u + (p[at] >> 2 & 3);
	}
	return at;
}

static struct mu_payload_info vp9(const uint8_t *p, size_t len)
{
	bool start = p[0] & 0x08, inter = p[0] & 0x40, flexible = p[0] & 0x10;
	size_t at = 1;

	if (p[0] & 0x80 && at < len) /* I */
		at += p[at] & 0x80 ? 2 : 1;
	if (p[0] & 0x20 && at < len) { /* L: a picture starts with its lowest spatial layer */
		start &= !(p[at] >> 1 & 7);
		at += flexible ? 1 : 2;
	}
	if (flexible && inter) { /* up to three P_DIFF, the last without N */
		for (int i = 0; i < 3 && at < len; i++) {
			if (!(p[at++] & 0x01))
				break;
		}
	}
	if (p[0] & 0x02)
		at = vp9_ss(p, len, at);
	if (at >= len || !start)
		return nothing;
	return (struct mu_payload_info){ .frame_start = true, .key = !inter };
}

/* --- AV1 (RTP Payload Format For AV1 1.0, section 4.4) --- */

enum { OBU_SEQUENCE = 1, OBU_DELIMITER = 2, OBU_FRAME_HEADER = 3, OBU_METADATA = 5, OBU_FRAME = 6 };

/* Length of an OBU element (leb128: AV1, section 4.10.5). @return offset after it, 0 if it does not fit */
static size_t av1_length(const uint8_t *p, size_t len, size_t at, uint64_t *ret)
{
	uint64_t n = 0;

	for (unsigned shift = 0; at < len && shift < 8 * 7; shift += 7) {
		uint8_t b = p[at++];

		n |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = n;
			return n <= len - at ? at : 0;
		}
	}
	return 0;
}

static struct mu_payload_info av1(const uint8_t *p, size_t len)
{
	uint8_t w = p[0] >> 4 & 3, type;
	uint64_t n = len - 1;
	size_t at = 1;

	if (p[0] & 0x80) /* Z: goes on with an OBU of the packet before */
		return nothing;
	if (w != 1) /* else the first element is the last one and has no length */
		at = av1_length(p, len, at, &n);
	if (at == 0 || n == 0 || p[at] & 0x80) /* obu_forbidden_bit */
		return nothing;
	/* A packet may as well begin with a later tile group or a higher spatial layer of the same picture.
	 */
	type = p[at] >> 3 & 0x0f;
	if (type != OBU_SEQUENCE && type != OBU_DELIMITER && type != OBU_FRAME_HEADER &&
		type != OBU_METADATA && type != OBU_FRAME)
		return nothing;
	if (p[at] & 0x04 && (n < 2 || p[at + 1] >> 3 & 3))
		return nothing;
	return (struct mu_payload_info){ .frame_start = true, .key = p[0] >> 3 & 1 };
}

struct mu_payload_info mu_payload_look(enum mu_codec c, const uint8_t *payload, size_t len)
{
	if (len == 0)
		return nothing;
	switch (c) {
	case MU_CODEC_H264:
		return h264(payload, len);
	case MU_CODEC_H265:
		return h265(payload, len);
	case MU_CODEC_VP8:
		return vp8(payload, len);
	case MU_CODEC_VP9:
		return vp9(payload, len);
	case MU_CODEC_AV1:
		return av1(payload, len);
	case MU_CODEC_OPUS:
	case MU_CODEC_G722:
	case MU_CODEC_PCMA:
	case MU_CODEC_PCMU:
		return (struct mu_payload_info){ .frame_start = true, .key = true };
	case MU_CODEC_NONE:
		break;
	}
	return nothing;
}
