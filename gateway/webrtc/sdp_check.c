/* What WHIP and WHEP ask of every offer: one transport (BUNDLE, rtcp-mux), DTLS-SRTP, a full ICE agent. */
#include <stdio.h>

#include "webrtc/sdp.h"

/* RFC 8829, section 5.1.2. Nothing without DTLS: plain RTP is never fallen back to (RELIABILITY S12). */
static bool proto_secure(const char *proto)
{
	return strcmp(proto, "UDP/TLS/RTP/SAVPF") == 0 || strcmp(proto, "UDP/TLS/RTP/SAVP") == 0 ||
		strcmp(proto, "RTP/SAVPF") == 0;
}

static bool is_av(const struct mu_sdp_media *m)
{
	return strcmp(m->type, "audio") == 0 || strcmp(m->type, "video") == 0;
}

bool sdp_media_meant(const struct mu_sdp_media *m)
{
	return m->port != 0 || m->bundle_only;
}

bool sdp_media_usable(const struct mu_sdp_media *m)
{
	return is_av(m) && proto_secure(m->proto) && sdp_media_meant(m);
}

static bool in_bundle(const struct mu_sdp *s, const char *mid)
{
	for (unsigned i = 0; i < s->n_bundle; i++) {
		if (mid[0] && strcmp(s->bundle[i], mid) == 0)
			return true;
	}
	return false;
}

static int check_proto(const struct mu_sdp *s, struct mu_error *e)
{
	for (unsigned i = 0; i < s->n_media; i++) {
		const struct mu_sdp_media *m = &s->media[i];

		if (!is_av(m) || proto_secure(m->proto) || !sdp_media_meant(m))
			continue;
		mu_error_set(e, 0,
			"m-line %u (%s) has protocol %s: only media secured by DTLS is taken, UDP/TLS/RTP/SAVPF",
			i + 1, m->type, m->proto);
		return 400;
	}
	return 0;
}

static int check_bundle(const struct mu_sdp *s, const bool *wanted, struct mu_error *e)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_media; i++)
		n += wanted[i];
	if (n == 1 && s->n_bundle == 0)
		return 0;
	for (unsigned i = 0; i < s->n_media; i++) {
		if (!wanted[i] || in_bundle(s, s->media[i].mid))
			continue;
		mu_error_set(e, 0,
			"m-line %u (%s) is not in a=group:BUNDLE: everything goes over one transport, so the client must "
			"use bundle policy max-bundle (RFC 8843)",
			i + 1, s->media[i].type);
		return 400;
	}
	return 0;
}

/* It is said of the transport, and so need not be said by more than the section that speaks for that (RFC 8829, section
 * 5.2.1; RFC 8859). */
static int check_mux(const struct mu_sdp *s, const bool *wanted, struct mu_error *e)
{
	unsigned line = 0;

	for (unsigned i = s->n_media; i > 0; i--) {
		const struct mu_sdp_media *m = &s->media[i - 1];

		if (!wanted[i - 1])
			continue;
		if (m->rtcp_mux || m->rtcp_mux_only)
			return 0;
		line = i;
	}
	if (line == 0)
		return 0;
	mu_error_set(e, 0, "m-line %u (%s) lacks a=rtcp-mux: RTP and RTCP share one port here (RFC 8834)", line,
		s->media[line - 1].type);
	return 400;
}

int sdp_transport_check(const struct mu_sdp *s, const bool wanted[MU_SDP_MEDIA_MAX], struct mu_error *e)
{
	int status = check_bundle(s, wanted, e);

	return status == 0 ? check_mux(s, wanted, e) : status;
}

/* RFC 8843, section 7.2: the first of the group speaks for the transport; a bundle-only section says nothing
 * of it. */
static int find_tagged(const struct mu_sdp *s, const bool *wanted)
{
	for (unsigned b = 0; b < s->n_bundle; b++) {
		for (unsigned i = 0; i < s->n_media; i++) {
			if (strcmp(s->media[i].mid, s->bundle[b]) == 0 && s->media[i].ufrag[0])
				return (int)i;
		}
	}
	for (unsigned i = 0; i < s->n_media; i++) {
		if (wanted[i])
			return (int)i;
	}
	return -1;
}

static int check_transport(
	const struct mu_sdp *s, const struct mu_sdp_media *m, unsigned line, struct mu_error *e)
{
	if (s->ice_lite)
		mu_error_set(e, 0,
			"a=ice-lite: the gateway is ICE lite itself, so the client must be a full ICE agent");
	else if (!m->ufrag[0] || !m->pwd[0])
		mu_error_set(
			e, 0, "m-line %u (%s) has no a=ice-ufrag and a=ice-pwd (RFC 8839)", line, m->type);
	else if (m->n_fingerprints == 0)
		mu_error_set(e, 0,
			"m-line %u (%s) has no a=fingerprint:sha-256: without the fingerprint of its certificate a peer "
			"cannot be trusted, and older hashes are not taken (RFC 8122)",
			line, m->type);
	else
		return 0;
	return 400;
}

int sdp_offer_check(
	const struct mu_sdp *s, const bool wanted[MU_SDP_MEDIA_MAX], unsigned *ret_tagged, struct mu_error *e)
{
	int tagged, status = check_proto(s, e);

	if (status == 0)
		status = sdp_transport_check(s, wanted, e);
	if (status != 0)
		return status;
	tagged = find_tagged(s, wanted);
	if (tagged < 0) {
		mu_error_set(e, 0, "the offer has no audio and no video m-line");
		return 422;
	}
	status = check_transport(s, &s->media[tagged], (unsigned)tagged + 1, e);
	if (status == 0)
		*ret_tagged = (unsigned)tagged;
	return status;
}
