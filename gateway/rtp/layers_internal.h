/* What the files that look for layers and sizes share. */
#ifndef MU_RTP_LAYERS_INTERNAL_H
#define MU_RTP_LAYERS_INTERNAL_H

#include "rtp/bits.h"
#include "rtp/rtp.h"

/* size.c: the size of pictures to come, where the payload says it; else ret stays. None reads past len. */

/** RFC 6184: an SPS, alone, aggregated or a fragment's beginning. */
void size_h264(const uint8_t *payload, size_t len, struct mu_payload_layers *ret);
/** RFC 7798: the same. */
void size_h265(const uint8_t *payload, size_t len, struct mu_payload_layers *ret);
/** A key frame's header (VP9 bitstream, section 6.2), behind the payload descriptor. */
void size_vp9(const uint8_t *frame, size_t len, struct mu_payload_layers *ret);
/** A sequence header at the beginning of a payload (AV1, section 5.5). */
void size_av1(const uint8_t *payload, size_t len, struct mu_payload_layers *ret);

#endif
