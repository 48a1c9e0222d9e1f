#include "rtp/ext.h"

static const char *const uris[MU_EXT_COUNT] = {
	[MU_EXT_NONE] = "",
	[MU_EXT_MID] = "urn:ietf:params:rtp-hdrext:sdes:mid",
	[MU_EXT_RID] = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
	[MU_EXT_REPAIRED_RID] = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
	[MU_EXT_AUDIO_LEVEL] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
	[MU_EXT_TWCC] = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
	[MU_EXT_ABS_SEND_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
	[MU_EXT_TOFFSET] = "urn:ietf:params:rtp-hdrext:toffset",
	[MU_EXT_VIDEO_ORIENTATION] = "urn:3gpp:video-orientation",
	[MU_EXT_PLAYOUT_DELAY] = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
	[MU_EXT_VIDEO_CONTENT_TYPE] = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
	[MU_EXT_VIDEO_TIMING] = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
	[MU_EXT_COLOR_SPACE] = "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
	[MU_EXT_ABS_CAPTURE_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
	[MU_EXT_DEPENDENCY_DESCRIPTOR] =
		"https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
};

const char *mu_ext_uri(enum mu_rtp_ext t)
{
	return (size_t)t < MU_EXT_COUNT ? uris[t] : "";
}

enum mu_rtp_ext mu_ext_parse(const char *uri, size_t len)
{
	for (size_t i = MU_EXT_NONE + 1; i < MU_EXT_COUNT; i++) {
		if (strlen(uris[i]) == len && !memcmp(uris[i], uri, len))
			return (enum mu_rtp_ext)i;
	}
	return MU_EXT_NONE;
}

bool mu_ext_travels(enum mu_rtp_ext t)
{
	return (size_t)t < MU_EXT_COUNT && (MU_EXT_TRAVELS >> t & 1);
}

void mu_ext_map_set(struct mu_ext_map *m, enum mu_rtp_ext t, uint8_t id)
{
	if (t == MU_EXT_NONE || (size_t)t >= MU_EXT_COUNT)
		return;
	/* An id names one type and a type has one id, also after an offer changed its mind. */
	m->type_of[m->id_of[t]] = MU_EXT_NONE;
	m->id_of[m->type_of[id]] = 0;
	m->id_of[t] = id;
	if (id)
		m->type_of[id] = (uint8_t)t;
}
