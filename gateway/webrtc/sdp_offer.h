/* Offers of ours: the down connection of a console. */
#ifndef MU_WEBRTC_SDP_OFFER_H
#define MU_WEBRTC_SDP_OFFER_H

#include "webrtc/sdp.h"

struct sdp_offer_section {
	const char *mid;
	enum mu_kind kind;
	bool refused;            /* by an answer before: it stays where it was, with port 0 */
	uint32_t ssrc, rtx_ssrc; /* rtx_ssrc 0: none */
};
struct sdp_offer {
	uint64_t id; /* of the session, the same in all offers */
	uint32_t version;
	const char *ufrag, *pwd, *cname;
	const uint8_t *fingerprint;
	const struct sdp_candidates *candidates;
	const struct sdp_offer_section *sections;
	unsigned n_sections;
};
/** @return to be freed by g_free */
char *sdp_offer_write(const struct sdp_offer *o);

/** What each m-section of a kind offers: formats, numbered. */
unsigned sdp_offer_formats(enum mu_kind kind);
/** @return payload type of its RTX, 0: none */
uint8_t sdp_offer_format(enum mu_kind kind, unsigned i, struct mu_format *ret);
/** Payload type of audio RED. */
uint8_t sdp_offer_red(void);
/** Id of a header extension; 0: not offered. */
uint8_t sdp_offer_ext(enum mu_kind kind, enum mu_rtp_ext type);

#endif
