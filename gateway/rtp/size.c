/* How large the pictures are, as codecs' headers say it in band. */
#include "rtp/layers_internal.h"

#define RBSP_MAX 256 /* a sequence parameter set says the size far earlier */

static void set_size(struct mu_payload_layers *ret, uint32_t width, uint32_t height)
{
	if (width == 0 || height == 0 || width > UINT16_MAX || height > UINT16_MAX)
		return;
	ret->width = (uint16_t)width;
	ret->height = (uint16_t)height;
}

/* A NAL unit's body without emulation prevention (H.264, section 7.4.1). @return its bytes, RBSP_MAX at most
 */
static size_t unescape(const uint8_t *p, size_t len, uint8_t ret[RBSP_MAX])
{
	size_t n = 0;
	unsigned zeros = 0;

	for (size_t i = 0; i < len && n < RBSP_MAX; i++) {
		if (zeros >= 2 && p[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = p[i] == 0 ? zeros + 1 : 0;
		ret[n++] = p[i];
	}
	return n;
}

/* What is cut off the four sides of a coded picture, in units of chroma samples. */
static void crop(struct bits *b, uint32_t unit_x, uint32_t unit_y, uint32_t width, uint32_t height,
	struct mu_payload_layers *ret)
{
	uint64_t side[4] = { 0 };

	if (bits_flag(b)) {
		for (unsigned i = 0; i < 4; i++)
			side[i] = bits_ue(b);
	}
	side[0] = (side[0] + side[1]) * unit_x;
	side[2] = (side[2] + side[3]) * unit_y;
	if (!b->past && side[0] < width && side[2] < height)
		set_size(ret, width - (uint32_t)side[0], height - (uint32_t)side[2]);
}

/* --- H.264 (section 7.3.2.1.1) --- */

/* Profiles whose parameter sets say the chroma format. */
static bool h264_is_high(unsigned profile)
{
	static const uint8_t high[] = { 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135 };

	return memchr(high, (int)profile, sizeof(high));
}

static void h264_scaling_list(struct bits *b, unsigned n)
{
	int last = 8, next = 8;

	for (unsigned i = 0; i < n && !b->past; i++) {
		if (next)
			next = (last + bits_se(b) % 256 + 256) % 256;
		last = next ? next : last;
	}
}

/* @return chroma_format_idc; 0 where the planes are coded apart */
static unsigned h264_chroma(struct bits *b)
{
	unsigned chroma = bits_ue(b);
	bool apart = chroma == 3 && bits_flag(b);

	bits_ue(b);
	bits_ue(b);
	bits_skip(b, 1);
	if (bits_flag(b)) {
		for (unsigned i = 0; i < (chroma == 3 ? 12 : 8); i++) {
			if (bits_flag(b))
				h264_scaling_list(b, i < 6 ? 16 : 64);
		}
	}
	return apart ? 0 : chroma;
}

static void h264_picture_order(struct bits *b)
{
	unsigned type = bits_ue(b);

	if (type == 0) {
		bits_ue(b);
	} else if (type == 1) {
		bits_skip(b, 1);
		bits_ue(b);
		bits_ue(b);
		for (uint32_t n = bits_ue(b); n > 0 && !b->past; n--)
			bits_ue(b);
	}
}

/* `p` is what follows the NAL header. */
static void h264_sps(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	uint8_t rbsp[RBSP_MAX];
	struct bits b = bits_of(rbsp, unescape(p, len, rbsp));
	unsigned profile = bits_get(&b, 8), chroma = 1;
	uint32_t width, height, unit_y;
	bool frames;

	bits_skip(&b, 16);
	bits_ue(&b);
	if (h264_is_high(profile))
		chroma = h264_chroma(&b);
	bits_ue(&b);
	h264_picture_order(&b);
	bits_ue(&b);
	bits_skip(&b, 1);
	width = bits_ue(&b);
	height = bits_ue(&b);
	frames = bits_flag(&b);
	bits_skip(&b, frames ? 1 : 2);
	if (b.past || width > UINT16_MAX || height > UINT16_MAX)
		return;
	unit_y = (chroma == 1 ? 2 : 1) * (frames ? 1 : 2);
	crop(&b, chroma == 1 || chroma == 2 ? 2 : 1, unit_y, (width + 1) * 16,
		(height + 1) * 16 * (frames ? 1 : 2), ret);
}

void size_h264(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	unsigned type = len > 0 ? p[0] & 0x1f : 0;

	if (type == 7) {
		h264_sps(p + 1, len - 1, ret);
	} else if (type == 28 && len > 2 && p[1] & 0x80 && (p[1] & 0x1f) == 7) { /* FU-A */
		h264_sps(p + 2, len - 2, ret);
	} else if (type == 24) { /* STAP-A */
		for (size_t at = 1, n; at + 3 <= len && (n = mu_get16(p + at)) > 0 && n <= len - at - 2;
			at += 2 + n) {
			if ((p[at + 2] & 0x1f) == 7)
				h264_sps(p + at + 3, n - 1, ret);
		}
	}
}

/* --- H.265 (section 7.3.2.2.1) --- */

#define H265_PROFILE 88 /* bits, the level's 8 not among them */

static void h265_profile_tier_level(struct bits *b, unsigned sub_layers)
{
	unsigned present = 0; /* two bits each */

	bits_skip(b, H265_PROFILE + 8);
	if (sub_layers == 0)
		return;
	present = bits_get(b, 16); /* those of layers that are not there are reserved */
	for (unsigned i = 0; i < sub_layers; i++) {
		bits_skip(b, present >> (15 - 2 * i) & 1 ? H265_PROFILE : 0);
		bits_skip(b, present >> (14 - 2 * i) & 1 ? 8 : 0);
	}
}

static void h265_sps(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	uint8_t rbsp[RBSP_MAX];
	struct bits b = bits_of(rbsp, unescape(p, len, rbsp));
	uint32_t width, height;
	unsigned chroma, sub_layers;

	bits_skip(&b, 4);
	sub_layers = bits_get(&b, 3);
	bits_skip(&b, 1);
	h265_profile_tier_level(&b, sub_layers);
	bits_ue(&b);
	chroma = bits_ue(&b);
	if (chroma == 3)
		chroma = bits_flag(&b) ? 0 : 3;
	width = bits_ue(&b);
	height = bits_ue(&b);
	if (!b.past)
		crop(&b, chroma == 1 || chroma == 2 ? 2 : 1, chroma == 1 ? 2 : 1, width, height, ret);
}

static unsigned h265_type(uint8_t first)
{
	return first >> 1 & 0x3f;
}

void size_h265(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	unsigned type = len > 2 ? h265_type(p[0]) : 0;

	if (type == 33) {
		h265_sps(p + 2, len - 2, ret);
	} else if (type == 49 && len > 3 && p[2] & 0x80 && (p[2] & 0x3f) == 33) { /* FU */
		h265_sps(p + 3, len - 3, ret);
	} else if (type == 48) { /* AP */
		for (size_t at = 2, n; at + 4 <= len && (n = mu_get16(p + at)) >= 2 && n <= len - at - 2;
			at += 2 + n) {
			if (h265_type(p[at + 2]) == 33)
				h265_sps(p + at + 4, n - 2, ret);
		}
	}
}

/* --- VP9 (bitstream, sections 6.2 and 7.2) --- */

void size_vp9(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	struct bits b = bits_of(p, len);
	unsigned marker = bits_get(&b, 2), profile = bits_get(&b, 1);
	uint32_t width, height;

	profile |= bits_get(&b, 1) << 1;
	if (marker != 2 || (profile == 3 && bits_flag(&b)))
		return;
	if (bits_flag(&b) || bits_flag(&b)) /* a frame shown again, or not a key frame */
		return;
	bits_skip(&b, 2);
	if (bits_get(&b, 24) != 0x498342)
		return;
	bits_skip(&b, profile >= 2 ? 1 : 0);
	if (bits_get(&b, 3) != 7) /* not RGB */
		bits_skip(&b, 1 + (profile & 1 ? 3 : 0));
	else
		bits_skip(&b, profile & 1);
	width = bits_get(&b, 16) + 1;
	height = bits_get(&b, 16) + 1;
	if (!b.past)
		set_size(ret, width, height);
}

/* --- AV1 (section 5.5) --- */

/* @return buffer_delay_length, 0: no decoder model */
static unsigned av1_timing(struct bits *b)
{
	unsigned delay;

	if (!bits_flag(b))
		return 0;
	bits_skip(b, 64);
	if (bits_flag(b))
		bits_ue(b);
	if (!bits_flag(b))
		return 0;
	delay = bits_get(b, 5) + 1;
	bits_skip(b, 32 + 5 + 5);
	return delay;
}

static void av1_operating_points(struct bits *b, unsigned delay)
{
	bool display_delay = bits_flag(b);

	for (unsigned n = bits_get(b, 5) + 1; n > 0 && !b->past; n--) {
		bits_skip(b, 12);
		if (bits_get(b, 5) > 7)
			bits_skip(b, 1);
		if (delay && bits_flag(b))
			bits_skip(b, 2 * delay + 1);
		if (display_delay && bits_flag(b))
			bits_skip(b, 4);
	}
}

static void av1_sequence(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	struct bits b = bits_of(p, len);
	unsigned width_bits, height_bits;
	uint32_t width, height;

	bits_skip(&b, 4);
	if (bits_flag(&b)) /* reduced_still_picture_header */
		bits_skip(&b, 5);
	else
		av1_operating_points(&b, av1_timing(&b));
	width_bits = bits_get(&b, 4) + 1;
	height_bits = bits_get(&b, 4) + 1;
	width = bits_get(&b, width_bits) + 1;
	height = bits_get(&b, height_bits) + 1;
	if (!b.past)
		set_size(ret, width, height);
}

/* leb128 (section 4.10.5). @return false: it does not end */
static bool av1_number(const uint8_t *p, size_t len, size_t *at, size_t *ret)
{
	size_t v = 0;

	for (unsigned shift = 0; *at < len && shift < 28; shift += 7) {
		uint8_t byte = p[(*at)++];

		v |= (size_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* One OBU, its header included. */
static void av1_obu(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	size_t at = 1, n;

	if (len < 1 || (p[0] >> 3 & 0x0f) != 1)
		return;
	at += p[0] & 0x04 ? 1 : 0;
	if (p[0] & 0x02 && (!av1_number(p, len, &at, &n) || at > len))
		return;
	if (at < len)
		av1_sequence(p + at, len - at, ret);
}

/* RTP Payload Format For AV1 1.0, section 4.4: N says that a sequence header is among the first. */
void size_av1(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	unsigned count = len > 0 ? p[0] >> 4 & 3 : 0;
	size_t at = 1, n;

	if (len < 2 || (p[0] & 0x88) != 0x08)
		return;
	for (unsigned i = 1; at < len && i <= 3; i++) {
		n = len - at;
		if (i != count && !av1_number(p, len, &at, &n))
			return;
		if (n > len - at)
			return;
		av1_obu(p + at, n, ret);
		at += n;
	}
}
