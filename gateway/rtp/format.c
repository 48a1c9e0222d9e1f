/* Formats that suit each other: what a publisher sends, in a payload type that a viewer offered.
 *
 * Nothing is transcoded, so a format that suits is the only way for a viewer to see anything. The rule
 * therefore leans towards sending. What a payload type cannot say at all (another codec, fragments to
 * somebody who takes whole NAL units only) does not suit. Of those that could be, the one that promises most
 * is taken. */
#include <stdlib.h>
#include <strings.h>

#include "rtp/rtp.h"

bool mu_fmtp_param(const char *fmtp, const char *name, char *ret, size_t size)
{
	size_t name_len = strlen(name), len;

	for (const char *at = fmtp; *at; at += strcspn(at, ";"), at += *at == ';') {
		at += strspn(at, " ");
		if (strncasecmp(at, name, name_len) != 0 || at[name_len] != '=')
			continue;
		at += name_len + 1;
		len = strcspn(at, ";");
		while (len > 0 && at[len - 1] == ' ')
			len--;
		if (len >= size)
			return false;
		memcpy(ret, at, len);
		ret[len] = '\0';
		return true;
	}
	return false;
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

/* Profiles of 8 bits and 4:2:0 that every decoder in use takes, whatever it says. */
static bool is_usual(enum profile p)
{
	return p != EXTENDED && p != OTHER;
}

static bool h264_profile(const char *fmtp, unsigned long *ret)
{
	char text[16], *end;

	if (!mu_fmtp_param(fmtp, "profile-level-id", text, sizeof(text)) || strlen(text) != 6)
		return false;
	*ret = strtoul(text, &end, 16);
	return !*end;
}

/* None is mode 0 by the letter. But one who says nothing at all (GStreamer's bare caps) sends fragments and
 * takes them. */
static int h264_mode(const char *fmtp)
{
	char text[16];

	if (mu_fmtp_param(fmtp, "packetization-mode", text, sizeof(text)))
		return atoi(text);
	return !mu_fmtp_param(fmtp, "profile-level-id", text, sizeof(text));
}

enum { NOT_AT_ALL, LOWER, UNKNOWN, DECODES, SAME };

/* RFC 6184, section 8.2.2, has the profile be the same. A viewer that offers only lower ones is sent the
 * stream nevertheless: browsers offer Constrained Baseline because it is what they can encode, and decode
 * High; to refuse would show the rest nothing either. What no usual decoder takes (4:2:2, 4:4:4, ten bits,
 * Extended) is not sent to one who does not offer it. */
static int h264_profile_fit(const char *from, const char *to)
{
	unsigned long a, b;
	enum profile stream, decoder;

	/* By the letter none means baseline; those that say none (GStreamer's) decode whatever comes and send
	 * anything. */
	if (!h264_profile(from, &a) || !h264_profile(to, &b))
		return UNKNOWN;
	stream = profile_of(a);
	decoder = profile_of(b);
	if (a >> 8 == b >> 8 || (stream == decoder && stream != OTHER))
		return SAME;
	if (decodes(decoder, stream))
		return DECODES;
	return is_usual(stream) && is_usual(decoder) ? LOWER : NOT_AT_ALL;
}

/* The level may differ: it is what each side sends that counts, and nobody here can change it. A stream of
 * single NAL units (mode 0) is also a legal mode 1 stream. */
static int h264_suits(const char *from, const char *to)
{
	int mode_from = h264_mode(from), mode_to = h264_mode(to);
	int fit = mode_from > mode_to ? NOT_AT_ALL : h264_profile_fit(from, to);

	return fit == NOT_AT_ALL ? 0 : 2 * fit + (mode_from == mode_to);
}

static bool same_param(const char *a, const char *b, const char *name, const char *absent)
{
	char va[16], vb[16];

	if (!mu_fmtp_param(a, name, va, sizeof(va)))
		memcpy(va, absent, strlen(absent) + 1);
	if (!mu_fmtp_param(b, name, vb, sizeof(vb)))
		memcpy(vb, absent, strlen(absent) + 1);
	return strcasecmp(va, vb) == 0;
}

int mu_format_suits(const struct mu_format *from, const struct mu_format *to)
{
	if (from->codec != to->codec || from->codec == MU_CODEC_NONE)
		return 0;
	/* Where the parameters below differ, depth or sampling of the pictures do: decoders of one cannot
	 * show the other, and who can decode more offers each of them. */
	switch (from->codec) {
	case MU_CODEC_H264:
		return h264_suits(from->fmtp, to->fmtp);
	case MU_CODEC_H265: /* RFC 7798, section 7.1 */
		return same_param(from->fmtp, to->fmtp, "profile-id", "1") &&
			same_param(from->fmtp, to->fmtp, "tx-mode", "SRST");
	case MU_CODEC_VP9: /* RFC 9628, section 7.1 */
		return same_param(from->fmtp, to->fmtp, "profile-id", "0");
	case MU_CODEC_AV1: /* RTP payload format for AV1, section 7.2.1 */
		return same_param(from->fmtp, to->fmtp, "profile", "0");
	default: /* one channel where none is said (RFC 8866, section 6.6) */
		return MU_MAX(from->channels, 1) == MU_MAX(to->channels, 1);
	}
}
