/* Our own offer of the down connection (RFC 8829, section 5.2): every m-section is alike, whichever source it
 * will carry, so each names all codecs that the gateway relays. Payload types and extension ids mean the same
 * in all of them (RFC 8843). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/sdp_offer.h"

/* Static payload types for what has them; the rest from the dynamic range, and from 35 on where that is used
 * up (RFC 5761). */
static const struct {
	uint8_t pt, rtx_pt;
	const char *name;
	uint32_t clock;
	uint8_t channels;
	const char *fmtp;
} audio[] = {
	{ 111, 0, "opus", 48000, 2, "minptime=10;useinbandfec=1" },
	{ 9, 0, "G722", 8000, 1, "" },
	{ 0, 0, "PCMU", 8000, 1, "" },
	{ 8, 0, "PCMA", 8000, 1, "" },
}, video[] = {
	{ 96, 97, "VP8", 90000, 1, "" },
	{ 98, 99, "VP9", 90000, 1, "profile-id=0" },
	{ 100, 101, "VP9", 90000, 1, "profile-id=2" },
	{ 102, 103, "H264", 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" },
	{ 104, 105, "H264", 90000, 1, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f" },
	{ 106, 107, "H264", 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f" },
	{ 108, 109, "H264", 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f" },
	{ 112, 113, "H264", 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f" },
	{ 45, 46, "AV1", 90000, 1, "" },
	{ 49, 50, "H265", 90000, 1, "" },
};
#define RED_PT 63

static const struct {
	enum mu_rtp_ext type;
	uint8_t id;
	bool audio, video;
} exts[] = {
	{ MU_EXT_MID, 1, true, true },
	{ MU_EXT_TWCC, 2, true, true },
	{ MU_EXT_AUDIO_LEVEL, 3, true, false },
	{ MU_EXT_ABS_CAPTURE_TIME, 4, true, true },
	{ MU_EXT_PLAYOUT_DELAY, 5, false, true },
	{ MU_EXT_VIDEO_ORIENTATION, 6, false, true },
};

unsigned sdp_offer_formats(enum mu_kind kind)
{
	return kind == MU_AUDIO ? MU_ARRAY_LEN(audio) : MU_ARRAY_LEN(video);
}

uint8_t sdp_offer_format(enum mu_kind kind, unsigned i, struct mu_format *ret)
{
	const char *name = kind == MU_AUDIO ? audio[i].name : video[i].name;

	ret->codec = mu_codec_parse(name, strlen(name));
	ret->pt = kind == MU_AUDIO ? audio[i].pt : video[i].pt;
	ret->channels = kind == MU_AUDIO ? audio[i].channels : video[i].channels;
	snprintf(ret->fmtp, sizeof(ret->fmtp), "%s", kind == MU_AUDIO ? audio[i].fmtp : video[i].fmtp);
	return kind == MU_AUDIO ? audio[i].rtx_pt : video[i].rtx_pt;
}

uint8_t sdp_offer_red(void)
{
	return RED_PT;
}

uint8_t sdp_offer_ext(enum mu_kind kind, enum mu_rtp_ext type)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(exts); i++) {
		if (exts[i].type == type && (kind == MU_AUDIO ? exts[i].audio : exts[i].video))
			return exts[i].id;
	}
	return 0;
}

/* --- the text --- */

static void line(GString *t, const char *fmt, ...) MU_PRINTF(2, 3);
static void line(GString *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	g_string_append_vprintf(t, fmt, ap);
	va_end(ap);
	g_string_append(t, "\r\n");
}

static void write_session(GString *t, const struct sdp_offer *o)
{
	line(t, "v=0");
	line(t, "o=- %llu %u IN IP4 127.0.0.1", (unsigned long long)(o->id >> 2),
		o->version); /* RFC 8829: below 2^63 - 1 */
	line(t, "s=-");
	line(t, "t=0 0");
	line(t, "a=ice-lite");
	g_string_append(t, "a=group:BUNDLE");
	for (unsigned i = 0; i < o->n_sections; i++) {
		if (!o->sections[i].refused)
			g_string_append_printf(t, " %s", o->sections[i].mid);
	}
	g_string_append(t, "\r\n");
	line(t, "a=extmap-allow-mixed");
	line(t, "a=msid-semantic: WMS *");
}

static void write_media_line(GString *t, const struct sdp_offer *o, const struct sdp_offer_section *s)
{
	const struct sdp_candidates *c = o->candidates;
	char host[MU_ADDR_TEXT];

	g_string_append_printf(t, "m=%s %u UDP/TLS/RTP/SAVPF", s->kind == MU_AUDIO ? "audio" : "video",
		s->refused         ? 0
			: c->n_udp > 0 ? mu_addr_port(&c->addr[0])
				   : 9);
	for (unsigned i = 0; i < sdp_offer_formats(s->kind); i++) {
		struct mu_format f;
		uint8_t rtx = sdp_offer_format(s->kind, i, &f);

		g_string_append_printf(t, " %u", f.pt);
		if (rtx)
			g_string_append_printf(t, " %u", rtx);
		if (f.codec == MU_CODEC_OPUS)
			g_string_append_printf(t, " %u", RED_PT);
	}
	g_string_append(t, "\r\n");
	if (c->n_udp > 0 && !s->refused)
		line(t, "c=IN %s %s", c->addr[0].sa.sa_family == AF_INET6 ? "IP6" : "IP4",
			mu_addr_host(&c->addr[0], host));
	else
		line(t, "c=IN IP4 0.0.0.0");
	line(t, "a=mid:%s", s->mid);
}

static void write_transport(GString *t, const struct sdp_offer *o, bool first)
{
	char fp[96];

	mu_fingerprint_text(o->fingerprint, fp);
	line(t, "a=ice-ufrag:%s", o->ufrag);
	line(t, "a=ice-pwd:%s", o->pwd);
	line(t, "a=ice-options:trickle");
	line(t, "a=fingerprint:sha-256 %s", fp);
	line(t, "a=setup:actpass");
	line(t, "a=rtcp-mux");
	line(t, "a=rtcp-rsize");
	if (!first)
		return;
	sdp_candidates_write(t, o->candidates);
	line(t, "a=end-of-candidates");
}

static void write_video_codec(GString *t, const struct mu_format *f, uint8_t rtx)
{
	static const char *const feedback[] = { "transport-cc", "ccm fir", "nack", "nack pli" };

	line(t, "a=rtpmap:%u %s/90000", f->pt, mu_codec_name(f->codec));
	for (size_t i = 0; i < MU_ARRAY_LEN(feedback); i++)
		line(t, "a=rtcp-fb:%u %s", f->pt, feedback[i]);
	if (f->fmtp[0])
		line(t, "a=fmtp:%u %s", f->pt, f->fmtp);
	line(t, "a=rtpmap:%u rtx/90000", rtx);
	line(t, "a=fmtp:%u apt=%u", rtx, f->pt);
}

static void write_audio_codec(GString *t, const struct mu_format *f)
{
	uint32_t clock = mu_codec_clock(f->codec);

	if (f->channels > 1)
		line(t, "a=rtpmap:%u %s/%u/%u", f->pt, mu_codec_name(f->codec), clock, f->channels);
	else
		line(t, "a=rtpmap:%u %s/%u", f->pt, mu_codec_name(f->codec), clock);
	line(t, "a=rtcp-fb:%u transport-cc", f->pt);
	if (f->fmtp[0])
		line(t, "a=fmtp:%u %s", f->pt, f->fmtp);
	if (f->codec != MU_CODEC_OPUS)
		return;
	line(t, "a=rtpmap:%u red/48000/2", RED_PT);
	line(t, "a=rtcp-fb:%u transport-cc", RED_PT);
	line(t, "a=fmtp:%u %u/%u", RED_PT, f->pt, f->pt); /* RFC 2198 */
}

static void write_stream(GString *t, const struct sdp_offer *o, const struct sdp_offer_section *s)
{
	const uint32_t ssrcs[] = { s->ssrc, s->rtx_ssrc };

	/* a stream of its own: what a slot carries changes, and belongs together with nothing for long */
	line(t, "a=msid:slot%s slot%s", s->mid, s->mid);
	if (s->rtx_ssrc)
		line(t, "a=ssrc-group:FID %u %u", s->ssrc, s->rtx_ssrc);
	for (unsigned i = 0; i < 2 && ssrcs[i]; i++) {
		line(t, "a=ssrc:%u cname:%s", ssrcs[i], o->cname);
		line(t, "a=ssrc:%u msid:slot%s slot%s", ssrcs[i], s->mid, s->mid);
	}
}

static void write_section(
	GString *t, const struct sdp_offer *o, const struct sdp_offer_section *s, bool first)
{
	write_media_line(t, o, s);
	if (s->refused) {
		line(t, "a=inactive");
		return;
	}
	write_transport(t, o, first);
	line(t, "a=sendonly");
	for (size_t i = 0; i < MU_ARRAY_LEN(exts); i++) {
		if (s->kind == MU_AUDIO ? exts[i].audio : exts[i].video)
			line(t, "a=extmap:%u %s", exts[i].id, mu_ext_uri(exts[i].type));
	}
	for (unsigned i = 0; i < sdp_offer_formats(s->kind); i++) {
		struct mu_format f;
		uint8_t rtx = sdp_offer_format(s->kind, i, &f);

		if (s->kind == MU_VIDEO)
			write_video_codec(t, &f, rtx);
		else
			write_audio_codec(t, &f);
	}
	write_stream(t, o, s);
}

char *sdp_offer_write(const struct sdp_offer *o)
{
	GString *t = g_string_sized_new(4096);
	bool first = true; /* speaks for the transport */

	write_session(t, o);
	for (unsigned i = 0; i < o->n_sections; i++) {
		write_section(t, o, &o->sections[i], first);
		first &= o->sections[i].refused;
	}
	return g_string_free(t, FALSE);
}
