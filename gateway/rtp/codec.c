#include <strings.h>

#include "rtp/rtp.h"

static const struct {
	const char *name;
	enum mu_kind kind;
	uint32_t clock;
} codecs[] = {
	[MU_CODEC_NONE] = { "none", MU_AUDIO, 0 },
	[MU_CODEC_OPUS] = { "opus", MU_AUDIO, 48000 }, /* whatever it samples at: RFC 7587, section 4.1 */
	[MU_CODEC_G722] = { "G722", MU_AUDIO,
		8000 }, /* samples at 16000; the 8000 is an old mistake kept alive */
	[MU_CODEC_PCMA] = { "PCMA", MU_AUDIO, 8000 },
	[MU_CODEC_PCMU] = { "PCMU", MU_AUDIO, 8000 },
	[MU_CODEC_H264] = { "H264", MU_VIDEO, 90000 },
	[MU_CODEC_H265] = { "H265", MU_VIDEO, 90000 },
	[MU_CODEC_VP8] = { "VP8", MU_VIDEO, 90000 },
	[MU_CODEC_VP9] = { "VP9", MU_VIDEO, 90000 },
	[MU_CODEC_AV1] = { "AV1", MU_VIDEO, 90000 },
};

static size_t index_of(enum mu_codec c)
{
	return (size_t)c < MU_ARRAY_LEN(codecs) ? (size_t)c : MU_CODEC_NONE;
}

const char *mu_codec_name(enum mu_codec c)
{
	return codecs[index_of(c)].name;
}

enum mu_codec mu_codec_parse(const char *name, size_t len)
{
	for (size_t i = MU_CODEC_NONE + 1; i < MU_ARRAY_LEN(codecs); i++) {
		if (strlen(codecs[i].name) == len && !strncasecmp(codecs[i].name, name, len))
			return (enum mu_codec)i;
	}
	return MU_CODEC_NONE;
}

enum mu_kind mu_codec_kind(enum mu_codec c)
{
	return codecs[index_of(c)].kind;
}

uint32_t mu_codec_clock(enum mu_codec c)
{
	return codecs[index_of(c)].clock;
}
