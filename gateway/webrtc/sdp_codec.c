/* Formats: which ones we relay, which suit each other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "webrtc/sdp.h"

enum mu_codec sdp_codec_of(const struct mu_sdp_codec *c)
{
	enum mu_codec codec = mu_codec_parse(c->name, strlen(c->name));

	/* the same name at another rate is another format, which browsers do not have */
	return codec != MU_CODEC_NONE && c->clock == mu_codec_clock(codec) ? codec : MU_CODEC_NONE;
}

bool sdp_param(const char *fmtp, const char *name, char *ret, size_t size)
{
	struct text rest = { fmtp, strlen(fmtp) };

	while (rest.len > 0) {
		struct text value = text_cut(&rest, ';'), key;

		while (value.len > 0 && value.at[0] == ' ')
			value = (struct text){ value.at + 1, value.len - 1 };
		key = text_cut(&value, '=');
		if (text_is_nocase(key, name))
			return text_copy(value, ret, size);
	}
	return false;
}

const struct mu_sdp_codec *sdp_rtx_of(const struct mu_sdp_media *m, uint8_t pt)
{
	char apt[8];

	for (unsigned i = 0; i < m->n_codecs; i++) {
		const struct mu_sdp_codec *c = &m->codecs[i];

		if (strcasecmp(c->name, "rtx") == 0 && sdp_param(c->fmtp, "apt", apt, sizeof(apt)) &&
			atoi(apt) == pt)
			return c;
	}
	return NULL;
}

/* --- H.264 profiles (RFC 6184, section 8.1, table 5) --- */

enum profile { BASELINE_CONSTRAINED, BASELINE, MAIN, EXTENDED, HIGH_CONSTRAINED, HIGH, OTHER };

static const struct {
	uint8_t idc, iop_mask, iop;
	enum profile profile;
} profiles[] = {
	{ 0x42, 0x4f, 0x40, BASELINE_CONSTRAINED },
	{ 0x4d, 0x8f, 0x80, BASELINE_CONSTRAINED },
	{ 0x58, 0xcf, 0xc0, BASELINE_CONSTRAINED },
	{ 0x42, 0x4f, 0x00, BASELINE },
	{ 0x58, 0xcf, 0x80, BASELINE },
	{ 0x4d, 0xaf, 0x00, MAIN },
	{ 0x58, 0xcf, 0x00, EXTENDED },
	{ 0x64, 0xff, 0x00, HIGH },
	{ 0x64, 0xff, 0x0c, HIGH_CONSTRAINED },
};

static enum profile profile_of(unsigned long profile_level_id)
{
	unsigned idc = profile_level_id >> 16 & 0xff, iop = profile_level_id >> 8 & 0xff;

	for (size_t i = 0; i < MU_ARRAY_LEN(profiles); i++) {
		if (idc == profiles[i].idc && (iop & profiles[i].iop_mask) == profiles[i].iop)
			return profiles[i].profile;
	}
	return OTHER;
}

/* What a decoder of a profile can decode (ITU-T H.264, annex A.2). */
static bool decodes(enum profile decoder, enum profile stream)
{
	static const unsigned can[] = {
		[BASELINE_CONSTRAINED] = 1 << BASELINE_CONSTRAINED,
		[BASELINE] = 1 << BASELINE_CONSTRAINED | 1 << BASELINE,
		[MAIN] = 1 << BASELINE_CONSTRAINED | 1 << MAIN,
		[EXTENDED] = 1 << BASELINE_CONSTRAINED | 1 << BASELINE | 1 << MAIN | 1 << EXTENDED,
		[HIGH_CONSTRAINED] = 1 << BASELINE_CONSTRAINED | 1 << HIGH_CONSTRAINED,
		[HIGH] = 1 << BASELINE_CONSTRAINED | 1 << MAIN | 1 << HIGH_CONSTRAINED | 1 << HIGH,
		[OTHER] = 0,
	};

	return can[decoder] >> stream & 1;
}

static bool h264_profile(const char *fmtp, unsigned long *ret)
{
	char text[16], *end;

	if (!sdp_param(fmtp, "profile-level-id", text, sizeof(text)) || strlen(text) != 6)
		return false;
	*ret = strtoul(text, &end, 16);
	return !*end;
}

/* None is mode 0 by the letter. But one who says nothing at all (GStreamer's bare caps) sends fragments and
 * takes them. */
static int h264_mode(const char *fmtp)
{
	char text[16];

	if (sdp_param(fmtp, "packetization-mode", text, sizeof(text)))
		return atoi(text);
	return !sdp_param(fmtp, "profile-level-id", text, sizeof(text));
}

/* RFC 6184, section 8.2.2: mode and profile must fit, the level may differ. A stream of single NAL units
 * (mode 0) is also a legal mode 1 stream. */
static int h264_suits(const char *from, const char *to)
{
	int mode_from = h264_mode(from), mode_to = h264_mode(to);
	unsigned long a, b;
	bool has_a, has_b;

	if (mode_from > mode_to)
		return 0;
	has_a = h264_profile(from, &a);
	has_b = h264_profile(to, &b);
	/* By the letter none means baseline; those that say none (GStreamer's) decode whatever comes and send
	 * anything. */
	if (!has_a || !has_b)
		return 1 + (mode_from == mode_to);
	if (a >> 8 == b >> 8 || (profile_of(a) == profile_of(b) && profile_of(a) != OTHER))
		return 3 + (mode_from == mode_to);
	return decodes(profile_of(b), profile_of(a)) ? 1 + (mode_from == mode_to) : 0;
}

static bool same_param(const char *a, const char *b, const char *name, const char *absent)
{
	char va[16], vb[16];

	if (!sdp_param(a, name, va, sizeof(va)))
		snprintf(va, sizeof(va), "%s", absent);
	if (!sdp_param(b, name, vb, sizeof(vb)))
		snprintf(vb, sizeof(vb), "%s", absent);
	return strcasecmp(va, vb) == 0;
}

int sdp_format_suits(const struct mu_format *from, const struct mu_sdp_codec *to)
{
	if (sdp_codec_of(to) != from->codec)
		return 0;
	switch (from->codec) {
	case MU_CODEC_H264:
		return h264_suits(from->fmtp, to->fmtp);
	case MU_CODEC_VP9: /* RFC 9628, section 7.1 */
		return same_param(from->fmtp, to->fmtp, "profile-id", "0");
	case MU_CODEC_AV1: /* RTP payload format for AV1, section 7.2.1 */
		return same_param(from->fmtp, to->fmtp, "profile", "0");
	case MU_CODEC_H265: /* RFC 7798, section 7.1 */
		return same_param(from->fmtp, to->fmtp, "profile-id", "1");
	default:
		return from->channels == to->channels;
	}
}

void sdp_format_set(struct mu_format *ret, const struct mu_sdp_codec *c)
{
	ret->codec = sdp_codec_of(c);
	ret->pt = c->pt;
	ret->channels = c->channels;
	snprintf(ret->fmtp, sizeof(ret->fmtp), "%s", c->fmtp);
}

char *sdp_codec_names(const struct mu_sdp_media *m, char *ret, size_t size)
{
	size_t len = 0;

	snprintf(ret, size, "none");
	for (unsigned i = 0; i < m->n_codecs && len + sizeof(m->codecs[0].name) + 3 < size; i++) {
		bool again = !m->codecs[i].name[0];

		for (unsigned k = 0; k < i && !again; k++)
			again = strcasecmp(m->codecs[k].name, m->codecs[i].name) == 0;
		if (!again)
			len += (size_t)snprintf(
				ret + len, size - len, "%s%s", len > 0 ? ", " : "", m->codecs[i].name);
	}
	return ret;
}
