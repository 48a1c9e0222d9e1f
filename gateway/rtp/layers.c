/* Layers as payload headers name them. */
#include <errno.h>

#include "rtp/layers_internal.h"

int mu_vp8_parse(const uint8_t *p, size_t len, struct mu_vp8 *ret)
{
	struct mu_vp8 d = { .temporal = -1 };
	size_t at = 1;
	uint8_t ext;

	if (len < 1)
		return -EBADMSG;
	d.no_reference = p[0] & 0x20;
	d.start = (p[0] & 0x17) == 0x10;
	if (p[0] & 0x80) {
		if (len < 2)
			return -EBADMSG;
		ext = p[at++];
		if (ext & 0x80) {
			if (len < at + 1 || (p[at] & 0x80 && len < at + 2))
				return -EBADMSG;
			d.picture_at = (uint8_t)at;
			d.picture_bits = p[at] & 0x80 ? 15 : 7;
			d.picture = p[at] & 0x80 ? mu_get16(p + at) & 0x7fff : p[at];
			at += d.picture_bits == 15 ? 2 : 1;
		}
		if (ext & 0x40) {
			if (len < at + 1)
				return -EBADMSG;
			d.tl0_at = (uint8_t)at;
			d.tl0 = p[at++];
		}
		if (ext & 0x30) {
			if (len < at + 1)
				return -EBADMSG;
			if (ext & 0x20) {
				d.temporal = p[at] >> 6;
				d.sync = p[at] & 0x20;
			}
			at++;
		}
	}
	d.len = (uint8_t)at;
	d.key = d.start && len > at && !(p[at] & 1); /* the frame header's first bit: 0 is a key frame */
	*ret = d;
	return 0;
}

/* --- VP8 --- */

/* A key frame's header: tag, start code, 14 bits each of width and height with the scaling above (RFC 6386, section 9.1). */
static void vp8_size(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	if (len < 10 || p[3] != 0x9d || p[4] != 0x01 || p[5] != 0x2a)
		return;
	ret->width = (uint16_t)((p[7] << 8 | p[6]) & 0x3fff);
	ret->height = (uint16_t)((p[9] << 8 | p[8]) & 0x3fff);
}

static void vp8_layers(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	struct mu_vp8 d;

	if (mu_vp8_parse(p, len, &d) < 0)
		return;
	if (d.temporal > 0)
		ret->temporal = (uint8_t)d.temporal;
	if (d.key)
		vp8_size(p + d.len, len - d.len, ret);
	if (d.key || d.sync || d.temporal <= 0)
		ret->flags |= MU_LAYER_UP;
	if (d.key)
		ret->flags |= MU_LAYER_INTRA;
	if (d.no_reference)
		ret->flags |= MU_LAYER_UNREFERENCED;
}

/* --- VP9 (RFC 9628, section 4.2) --- */

enum { VP9_I = 0x80, VP9_P = 0x40, VP9_L = 0x20, VP9_F = 0x10, VP9_B = 0x08, VP9_E = 0x04, VP9_V = 0x02, VP9_Z = 0x01 };

/* The size of the highest layer in the scalability structure, which must come at a key picture. */
static void vp9_size(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	size_t n, at;

	if (len < 1 || !(p[0] & 0x10))
		return;
	n = (size_t)(p[0] >> 5) + 1;
	at = 1 + (n - 1) * 4;
	if (len < at + 4)
		return;
	ret->width = mu_get16(p + at);
	ret->height = mu_get16(p + at + 2);
}

static void vp9_layers(const uint8_t *p, size_t len, struct mu_payload_layers *ret)
{
	uint8_t first = len > 0 ? p[0] : 0;
	size_t at = 1;
	bool up = true;

	if (len < 2)
		return;
	if (first & VP9_I)
		at += at < len && p[at] & 0x80 ? 2 : 1;
	if (first & VP9_L) {
		if (at >= len)
			return;
		ret->temporal = p[at] >> 5;
		ret->spatial = p[at] >> 1 & 7;
		up = p[at] & 0x10 || ret->temporal == 0;
		at += first & VP9_F ? 1 : 2;
	}
	if ((first & (VP9_F | VP9_P)) == (VP9_F | VP9_P)) {
		for (int i = 0; i < 3 && at < len; i++) {
			if (!(p[at++] & 0x01))
				break;
		}
	}
	ret->flags = (uint8_t)((first & VP9_B ? MU_LAYER_START : 0) | (first & VP9_E ? MU_LAYER_END : 0) |
		(first & VP9_P ? 0 : MU_LAYER_INTRA) | (up || !(first & VP9_P) ? MU_LAYER_UP : 0));
	if (first & VP9_V && at < len)
		vp9_size(p + at, len - at, ret);
	else if ((first & (VP9_L | VP9_P | VP9_B)) == VP9_B && at < len) /* the only layer says it itself */
		size_vp9(p + at, len - at, ret);
}

struct mu_payload_layers mu_payload_layers(enum mu_codec c, const uint8_t *payload, size_t len, bool start, bool end)
{
	struct mu_payload_layers ret = { .flags = (uint8_t)((start ? MU_LAYER_START : 0) | (end ? MU_LAYER_END : 0)) };

	switch (c) {
	case MU_CODEC_VP8:
		vp8_layers(payload, len, &ret);
		break;
	case MU_CODEC_VP9:
		vp9_layers(payload, len, &ret);
		break;
	case MU_CODEC_H264:
		size_h264(payload, len, &ret);
		break;
	case MU_CODEC_H265:
		size_h265(payload, len, &ret);
		break;
	case MU_CODEC_AV1:
		size_av1(payload, len, &ret);
		break;
	default:
		break;
	}
	ret.spatial = MU_MIN(ret.spatial, (uint8_t)(MU_SPATIAL_MAX - 1));
	ret.temporal = MU_MIN(ret.temporal, (uint8_t)(MU_TEMPORAL_MAX - 1));
	return ret;
}
