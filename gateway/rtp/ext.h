/* Which header extensions travel, as a constant: header.c asks once per element of every packet. */
#ifndef MU_RTP_EXT_H
#define MU_RTP_EXT_H

#include "rtp/rtp.h"

/* The others name a stream of this hop (MID, RIDs) or time its network (TWCC, absolute send time, transmission offset). */
#define MU_EXT_TRAVELS                                                                                              \
	(1u << MU_EXT_AUDIO_LEVEL | 1u << MU_EXT_VIDEO_ORIENTATION | 1u << MU_EXT_PLAYOUT_DELAY |                   \
		1u << MU_EXT_VIDEO_CONTENT_TYPE | 1u << MU_EXT_VIDEO_TIMING | 1u << MU_EXT_COLOR_SPACE |            \
		1u << MU_EXT_ABS_CAPTURE_TIME | 1u << MU_EXT_DEPENDENCY_DESCRIPTOR)

#endif
