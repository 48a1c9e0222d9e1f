/* The answer's text (RFC 8829, section 5.3; RFC 8839; RFC 8843, section 7.3). */
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>

#include "webrtc/sdp.h"

const char *sdp_direction_name(enum mu_sdp_direction d)
{
	static const char *const names[] = {
		[MU_SDP_SENDRECV] = "sendrecv",
		[MU_SDP_SENDONLY] = "sendonly",
		[MU_SDP_RECVONLY] = "recvonly",
		[MU_SDP_INACTIVE] = "inactive",
	};

	return names[d];
}

static void line(GString *t, const char *fmt, ...) MU_PRINTF(2, 3);
static void line(GString *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	g_string_append_vprintf(t, fmt, ap);
	va_end(ap);
	g_string_append(t, "\r\n");
}

static void write_session(GString *t, const struct sdp_answer *a)
{
	const struct mu_sdp *o = a->offer;
	uint64_t id = a->id;

	if (!id)
		mu_random(&id, sizeof(id));
	line(t, "v=0");
	line(t, "o=- %llu %u IN IP4 127.0.0.1", (unsigned long long)(id >> 2), /* RFC 8829: below 2^63 - 1 */
		a->id ? a->version : 1);
	line(t, "s=-");
	line(t, "t=0 0");
	line(t, "a=ice-lite");
	if (o->n_bundle > 0) {
		g_string_append(t, "a=group:BUNDLE");
		for (unsigned i = 0; i < o->n_media; i++) {
			if (a->sections[i].accepted)
				g_string_append_printf(t, " %s", o->media[i].mid);
		}
		g_string_append(t, "\r\n");
	}
	line(t, "a=msid-semantic: WMS *");
}

static const char *family(const struct mu_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 ? "IP6" : "IP4";
}

/* What a refused section lists does not matter, but one format must stand there (RFC 3264, section 6). */
static const char *any_format(const struct mu_sdp_media *m)
{
	if (m->n_codecs == 0 && strstr(m->proto, "SCTP"))
		return "webrtc-datachannel";
	return "0";
}

static void write_rejected(GString *t, const struct mu_sdp_media *m)
{
	if (m->n_codecs > 0)
		line(t, "m=%s 0 %s %u", m->type, m->proto, m->codecs[0].pt);
	else
		line(t, "m=%s 0 %s %s", m->type, m->proto, any_format(m));
	line(t, "c=IN IP4 0.0.0.0");
	if (m->mid[0])
		line(t, "a=mid:%s", m->mid);
	line(t, "a=inactive");
}

static void write_media_line(
	GString *t, const struct mu_sdp_media *m, const struct sdp_section *s, const struct sdp_candidates *c)
{
	char host[MU_ADDR_TEXT];

	g_string_append_printf(t, "m=%s %u %s", m->type, c->n_udp > 0 ? mu_addr_port(&c->addr[0]) : 9, m->proto);
	for (unsigned i = 0; i < s->n_codecs; i++)
		g_string_append_printf(t, " %u", s->codecs[i]->pt);
	g_string_append(t, "\r\n");
	if (c->n_udp > 0)
		line(t, "c=IN %s %s", family(&c->addr[0]), mu_addr_host(&c->addr[0], host));
	else
		line(t, "c=IN IP4 0.0.0.0");
}

static void write_transport(GString *t, const struct sdp_answer *a, const struct mu_sdp_media *m, bool first)
{
	char fp[96];

	mu_fingerprint_text(a->fingerprint, fp);
	line(t, "a=ice-ufrag:%s", a->ufrag);
	line(t, "a=ice-pwd:%s", a->pwd);
	if (a->offer->trickle)
		line(t, "a=ice-options:trickle");
	line(t, "a=fingerprint:sha-256 %s", fp);
	line(t, "a=setup:%s", a->active ? "active" : "passive");
	line(t, "a=rtcp-mux");
	if (m->rtcp_rsize)
		line(t, "a=rtcp-rsize");
	if (first) {
		sdp_candidates_write(t, &a->candidates);
		line(t, "a=end-of-candidates");
	}
}

static void write_feedback(GString *t, const struct sdp_section *s, uint8_t pt)
{
	if (s->nack)
		line(t, "a=rtcp-fb:%u nack", pt);
	if (s->pli)
		line(t, "a=rtcp-fb:%u nack pli", pt);
	if (s->fir)
		line(t, "a=rtcp-fb:%u ccm fir", pt);
	if (s->twcc)
		line(t, "a=rtcp-fb:%u transport-cc", pt);
	if (s->remb)
		line(t, "a=rtcp-fb:%u goog-remb", pt);
}

static void write_codec(GString *t, const struct sdp_section *s, const struct mu_sdp_codec *c)
{
	if (c->channels > 1)
		line(t, "a=rtpmap:%u %s/%u/%u", c->pt, c->name, c->clock, c->channels);
	else
		line(t, "a=rtpmap:%u %s/%u", c->pt, c->name, c->clock);
	if (g_ascii_strcasecmp(c->name, "rtx") != 0)
		write_feedback(t, s, c->pt);
	if (c->fmtp[0])
		line(t, "a=fmtp:%u %s", c->pt, c->fmtp);
}

static void write_exts(GString *t, const struct sdp_section *s)
{
	for (unsigned i = 0; i < s->n_exts; i++) {
		enum mu_sdp_direction d = s->exts[i].direction;

		line(t, "a=extmap:%u%s%s %s", s->exts[i].id, d == MU_SDP_SENDRECV ? "" : "/",
			d == MU_SDP_SENDRECV ? "" : sdp_direction_name(d), mu_ext_uri(s->exts[i].type));
	}
}

static void write_stream(GString *t, const struct sdp_section *s)
{
	const uint32_t ssrcs[] = { s->ssrc, s->rtx_ssrc };

	line(t, "a=msid:%s %s", s->stream_id, s->track_id);
	if (s->rtx_ssrc)
		line(t, "a=ssrc-group:FID %u %u", s->ssrc, s->rtx_ssrc);
	for (unsigned i = 0; i < 2 && ssrcs[i]; i++) {
		line(t, "a=ssrc:%u cname:%s", ssrcs[i], s->cname);
		line(t, "a=ssrc:%u msid:%s %s", ssrcs[i], s->stream_id, s->track_id);
	}
}

/* What the offerer sends, we receive: the same names (RFC 8853, section 5.3). */
static void write_rids(GString *t, const struct sdp_section *s)
{
	for (unsigned i = 0; i < s->n_rids; i++)
		line(t, "a=rid:%s recv", s->rids[i]);
	for (unsigned i = 0; i < s->n_rids; i++)
		g_string_append_printf(t, "%s%s", i ? ";" : "a=simulcast:recv ", s->rids[i]);
	if (s->n_rids > 0)
		g_string_append(t, "\r\n");
}

static void write_section(GString *t, const struct sdp_answer *a, unsigned i, bool first)
{
	const struct mu_sdp_media *m = &a->offer->media[i];
	const struct sdp_section *s = &a->sections[i];

	write_media_line(t, m, s, &a->candidates);
	if (m->mid[0])
		line(t, "a=mid:%s", m->mid);
	write_transport(t, a, m, first);
	line(t, "a=%s", sdp_direction_name(s->direction));
	if (m->ext_mixed)
		line(t, "a=extmap-allow-mixed");
	write_exts(t, s);
	for (unsigned k = 0; k < s->n_codecs; k++)
		write_codec(t, s, s->codecs[k]);
	write_rids(t, s);
	if (s->ssrc)
		write_stream(t, s);
}

char *sdp_answer_write(const struct sdp_answer *a)
{
	GString *t = g_string_sized_new(4096);
	bool first = true; /* the first of the group speaks for the transport */
	char *text;

	write_session(t, a);
	for (unsigned i = 0; i < a->offer->n_media; i++) {
		if (a->sections[i].accepted) {
			write_section(t, a, i, first);
			first = false;
		} else {
			write_rejected(t, &a->offer->media[i]);
		}
	}
	text = strdup(t->str);
	g_string_free(t, TRUE);
	return text;
}
