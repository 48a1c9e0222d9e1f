/* What an m-section says of its media: formats, header extensions, SSRCs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "webrtc/sdp.h"

static struct mu_sdp_codec *codec_of(struct sdp_parser *p, uint32_t pt)
{
	for (unsigned i = 0; i < p->m->n_codecs; i++) {
		if (p->m->codecs[i].pt == pt)
			return &p->m->codecs[i];
	}
	return NULL;
}

/* --- m= --- */

/* Payload types that need no rtpmap (RFC 3551, section 6). */
static void set_static(struct mu_sdp_codec *c)
{
	static const struct {
		uint8_t pt;
		const char *name;
	} fixed[] = { { 0, "PCMU" }, { 8, "PCMA" }, { 9, "G722" }, { 13, "CN" } };

	for (size_t i = 0; i < MU_ARRAY_LEN(fixed); i++) {
		if (c->pt != fixed[i].pt)
			continue;
		snprintf(c->name, sizeof(c->name), "%s", fixed[i].name);
		c->clock = 8000;
		c->channels = 1;
	}
}

static int payload_types(struct sdp_parser *p, struct text v)
{
	struct mu_sdp_media *m = p->m;
	uint32_t pt;

	while (v.len > 0) {
		struct text t = text_cut(&v, ' ');

		if (t.len == 0)
			continue;
		if (text_number(t, 127, &pt) < 0)
			return sdp_wrong(p, -EBADMSG, "m= names a payload type that is not 0..127");
		if (codec_of(p, pt))
			return sdp_wrong(p, -EBADMSG, "m= names payload type %u twice", pt);
		if (m->n_codecs == MU_SDP_CODECS_MAX)
			return sdp_wrong(p, -E2BIG, "m= names more than %d payload types", MU_SDP_CODECS_MAX);
		m->codecs[m->n_codecs].pt = (uint8_t)pt;
		set_static(&m->codecs[m->n_codecs++]);
	}
	return m->n_codecs > 0 ? 0 : sdp_wrong(p, -EBADMSG, "m= names no payload type");
}

int sdp_media_begin(struct sdp_parser *p, struct text v)
{
	struct text type = text_cut(&v, ' '), port = text_cut(&v, ' '), proto = text_cut(&v, ' ');
	struct mu_sdp_media *m;
	uint32_t number;

	if (p->s->n_media == MU_SDP_MEDIA_MAX)
		return sdp_wrong(p, -E2BIG, "more than %d m-lines", MU_SDP_MEDIA_MAX);
	m = p->m = &p->s->media[p->s->n_media++];
	m->direction = p->session.direction;
	memset(&p->any, 0, sizeof(p->any));
	p->n_fids = 0;
	if (!text_is_token(type, sizeof(m->type) - 1) || !text_copy(proto, m->proto, sizeof(m->proto)) ||
		proto.len == 0)
		return sdp_wrong(p, -EBADMSG, "m= has a media type, a port, a protocol and formats");
	text_copy(type, m->type, sizeof(m->type));
	for (size_t i = 0; i < proto.len; i++) {
		if (!g_ascii_isalnum(proto.at[i]) && !strchr("/-", proto.at[i]))
			return sdp_wrong(p, -EBADMSG, "m= has a protocol with a strange character");
	}
	if (text_number(text_cut(&port, '/'), 65535, &number) < 0)
		return sdp_wrong(p, -EBADMSG, "m= has a port that is not 0..65535");
	m->port = (uint16_t)number;
	return strstr(m->proto, "RTP/") ? payload_types(p, v) : 0;
}

static void settle_feedback(struct sdp_parser *p)
{
	for (unsigned i = 0; i < p->m->n_codecs; i++) {
		struct mu_sdp_codec *c = &p->m->codecs[i];

		c->nack |= p->any.nack;
		c->pli |= p->any.pli;
		c->fir |= p->any.fir;
		c->twcc |= p->any.twcc;
		c->remb |= p->any.remb;
	}
}

/* RFC 5576, section 4.2: an FID group names the stream and then its repair. */
static void settle_ssrcs(struct sdp_parser *p)
{
	if (!p->m->ssrc && p->n_fids > 0)
		p->m->ssrc = p->fid[0][0];
	for (unsigned i = 0; i < p->n_fids; i++) {
		if (p->fid[i][0] == p->m->ssrc)
			p->m->rtx_ssrc = p->fid[i][1];
	}
}

/* An encoding without an a=rid is not described, one that is named twice is one (RFC 8853, section 5.2). */
static void settle_layers(struct sdp_parser *p)
{
	struct mu_sdp_media *m = p->m;
	unsigned n = 0;

	for (unsigned i = 0; i < m->n_layers; i++) {
		bool known = false, twice = false;

		for (unsigned k = 0; k < m->n_rids; k++)
			known |= strcmp(p->rids[k], m->layers[i]) == 0;
		for (unsigned k = 0; k < n; k++)
			twice |= strcmp(m->layers[k], m->layers[i]) == 0;
		if (known && !twice)
			memmove(m->layers[n++], m->layers[i], sizeof(m->layers[i]));
	}
	m->n_layers = n;
}

static void settle_defaults(struct sdp_parser *p)
{
	struct mu_sdp_media *m = p->m;
	const struct sdp_defaults *d = &p->session;

	if (!m->ufrag[0])
		memcpy(m->ufrag, d->ufrag, sizeof(m->ufrag));
	if (!m->pwd[0])
		memcpy(m->pwd, d->pwd, sizeof(m->pwd));
	if (m->n_fingerprints == 0) {
		memcpy(m->fingerprints, d->fingerprints, sizeof(m->fingerprints));
		m->n_fingerprints = d->n_fingerprints;
	}
	if (!m->has_setup) {
		m->setup = d->setup;
		m->has_setup = d->has_setup;
	}
	m->ext_mixed |= d->ext_mixed;
}

void sdp_media_end(struct sdp_parser *p)
{
	if (!p->m)
		return;
	settle_feedback(p);
	settle_ssrcs(p);
	settle_layers(p);
	settle_defaults(p);
	p->m = NULL;
}

/* --- formats --- */

static int on_rtpmap(struct sdp_parser *p, struct text v)
{
	struct text pt_text = text_cut(&v, ' '), name = text_cut(&v, '/'), clock = text_cut(&v, '/');
	struct mu_sdp_codec *c;
	uint32_t pt, hz, channels = 1;

	if (text_number(pt_text, 127, &pt) < 0)
		return sdp_wrong(p, -EBADMSG, "a=rtpmap has a payload type that is not 0..127");
	c = codec_of(p, pt);
	if (!c) /* harmless: some devices describe what they do not list */
		return 0;
	if (!text_is_token(name, sizeof(c->name) - 1))
		return sdp_wrong(p, -EBADMSG,
			"a=rtpmap:%u has a name that is no token of 1 to %zu characters", pt,
			sizeof(c->name) - 1);
	if (text_number(clock, 1000000, &hz) < 0 || hz == 0)
		return sdp_wrong(p, -EBADMSG, "a=rtpmap:%u has a clock rate that is not 1..1000000", pt);
	if (v.len > 0 && (text_number(v, 255, &channels) < 0 || channels == 0))
		return sdp_wrong(p, -EBADMSG, "a=rtpmap:%u has a number of channels that is not 1..255", pt);
	text_copy(name, c->name, sizeof(c->name));
	c->clock = hz;
	c->channels = (uint8_t)channels;
	return 0;
}

/* Parameter sets in the SDP may be long; they are repeated in band, so they are what is left out first. */
static bool copy_params(struct text v, char *ret, size_t size)
{
	size_t len = 0;

	while (v.len > 0) {
		struct text one = text_cut(&v, ';');

		while (one.len > 0 && one.at[0] == ' ')
			one = (struct text){ one.at + 1, one.len - 1 };
		if (one.len == 0 || (one.len > 6 && strncasecmp(one.at, "sprop-", 6) == 0))
			continue;
		if (len + one.len + 2 > size)
			return false;
		if (len > 0)
			ret[len++] = ';';
		memcpy(ret + len, one.at, one.len);
		len += one.len;
	}
	ret[len] = '\0';
	return true;
}

static int on_fmtp(struct sdp_parser *p, struct text v)
{
	struct mu_sdp_codec *c;
	uint32_t pt;

	if (text_number(text_cut(&v, ' '), 127, &pt) < 0)
		return sdp_wrong(p, -EBADMSG, "a=fmtp has a payload type that is not 0..127");
	c = codec_of(p, pt);
	if (!c)
		return 0;
	for (size_t i = 0; i < v.len; i++) {
		if (v.at[i] < 0x20 || v.at[i] > 0x7e) /* it is echoed: only what cannot break a line */
			return sdp_wrong(
				p, -EBADMSG, "a=fmtp:%u has a character that is not printable ASCII", pt);
	}
	if (!text_copy(v, c->fmtp, sizeof(c->fmtp)) && !copy_params(v, c->fmtp, sizeof(c->fmtp)))
		return sdp_wrong(
			p, -E2BIG, "a=fmtp:%u is longer than %zu characters", pt, sizeof(c->fmtp) - 1);
	return 0;
}

static int on_rtcp_fb(struct sdp_parser *p, struct text v)
{
	struct text pt_text = text_cut(&v, ' ');
	struct mu_sdp_codec *c;
	uint32_t pt;

	if (text_is(pt_text, "*")) {
		c = &p->any;
	} else {
		if (text_number(pt_text, 127, &pt) < 0)
			return sdp_wrong(p, -EBADMSG, "a=rtcp-fb has a payload type that is not 0..127 or *");
		c = codec_of(p, pt);
	}
	if (!c)
		return 0;
	c->nack |= text_is(v, "nack");
	c->pli |= text_is(v, "nack pli");
	c->fir |= text_is(v, "ccm fir");
	c->twcc |= text_is(v, "transport-cc");
	c->remb |= text_is(v, "goog-remb");
	return 0;
}

/* --- header extensions (RFC 8285, section 5) --- */

static int ext_direction(struct text v, enum mu_sdp_direction *ret)
{
	static const enum mu_sdp_direction all[] = { MU_SDP_SENDRECV, MU_SDP_SENDONLY, MU_SDP_RECVONLY,
		MU_SDP_INACTIVE };

	*ret = MU_SDP_SENDRECV;
	for (size_t i = 0; i < MU_ARRAY_LEN(all); i++) {
		if (text_is(v, sdp_direction_name(all[i]))) {
			*ret = all[i];
			return 0;
		}
	}
	return v.len == 0 ? 0 : -EBADMSG;
}

static int on_extmap(struct sdp_parser *p, struct text v)
{
	struct text left = text_cut(&v, ' '), uri = text_cut(&v, ' ');
	struct text number = text_cut(&left, '/');
	struct mu_sdp_media *m = p->m;
	enum mu_sdp_direction direction;
	enum mu_rtp_ext type;
	uint32_t id;

	/* 4096 to 4351 are placeholders of an offerer with more extensions than ids (RFC 8285, section 6):
	 * not for us */
	if (text_number(number, 4351, &id) < 0 || id == 0 || ext_direction(left, &direction) < 0)
		return sdp_wrong(p, -EBADMSG, "a=extmap has an id from 1 to 255 and a direction");
	type = mu_ext_parse(uri.at, uri.len);
	if (type == MU_EXT_NONE || id > 255 || id == 15 || m->n_exts == MU_ARRAY_LEN(m->exts))
		return 0;
	for (unsigned i = 0; i < m->n_exts; i++) {
		if (m->exts[i].id == id)
			return sdp_wrong(p, -EBADMSG, "a=extmap names id %u twice", id);
		if (m->exts[i].type == type)
			return 0;
	}
	m->exts[m->n_exts].type = type;
	m->exts[m->n_exts].id = (uint8_t)id;
	m->exts[m->n_exts++].direction = direction;
	return 0;
}

/* --- names and numbers of the streams --- */

/* RFC 8830, section 2: the stream's id ends at a space; "-" is no stream. */
bool sdp_same_stream(const char *a, const char *b)
{
	size_t n = strcspn(a, " "), m = strcspn(b, " ");
	bool none = n == 0 || m == 0 || (n == 1 && *a == '-') || (m == 1 && *b == '-');

	return none || (n == m && memcmp(a, b, n) == 0);
}

static int on_mid(struct sdp_parser *p, struct text v)
{
	if (!text_is_token(v, sizeof(p->m->mid) - 1))
		return sdp_wrong(
			p, -EBADMSG, "a=mid is a token of 1 to %zu characters", sizeof(p->m->mid) - 1);
	text_copy(v, p->m->mid, sizeof(p->m->mid));
	return 0;
}

static int on_msid(struct sdp_parser *p, struct text v)
{
	char msid[sizeof(p->m->msid)];

	if (!text_copy(v, msid, sizeof(msid)))
		return sdp_wrong(p, -EBADMSG, "a=msid is longer than %zu characters", sizeof(msid) - 1);
	if (!p->m->msid[0])
		memcpy(p->m->msid, msid, sizeof(msid));
	p->m->msids_differ |= !sdp_same_stream(p->m->msid, msid);
	return 0;
}

static int on_ssrc(struct sdp_parser *p, struct text v)
{
	uint32_t ssrc;

	if (text_number(text_cut(&v, ' '), UINT32_MAX, &ssrc) < 0)
		return sdp_wrong(p, -EBADMSG, "a=ssrc is not a number of 32 bits");
	if (!p->m->ssrc)
		p->m->ssrc = ssrc;
	return 0;
}

static int on_ssrc_group(struct sdp_parser *p, struct text v)
{
	uint32_t a, b;

	if (!text_is(text_cut(&v, ' '), "FID") || p->n_fids == MU_ARRAY_LEN(p->fid))
		return 0;
	if (text_number(text_cut(&v, ' '), UINT32_MAX, &a) < 0 ||
		text_number(text_cut(&v, ' '), UINT32_MAX, &b) < 0)
		return sdp_wrong(p, -EBADMSG, "a=ssrc-group:FID names two SSRCs of 32 bits");
	p->fid[p->n_fids][0] = a;
	p->fid[p->n_fids++][1] = b;
	return 0;
}

static bool is_rid(struct text t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (!g_ascii_isalnum(t.at[i]) && t.at[i] != '-' && t.at[i] != '_')
			return false;
	}
	return t.len > 0 && t.len <= MU_SDP_RID_MAX;
}

/** @return its place among the section's, their number: it is none of them */
static unsigned rid_at(const struct sdp_parser *p, struct text id)
{
	unsigned i = 0;

	while (i < p->m->n_rids && !text_is(id, p->rids[i]))
		i++;
	return i;
}

/* RFC 8851: what is sent, and how, is said of each encoding by an a=rid. Its restrictions are the sender's own affair. */
static int on_rid(struct sdp_parser *p, struct text v)
{
	struct text id = text_cut(&v, ' ');

	if (!text_is(text_cut(&v, ' '), "send"))
		return 0;
	if (!is_rid(id))
		return sdp_wrong(p, -EBADMSG, "a=rid has a name of 1 to %d letters, digits, dashes and underscores", MU_SDP_RID_MAX);
	if (rid_at(p, id) < p->m->n_rids)
		return sdp_wrong(p, -EBADMSG, "a=rid:%.*s stands there twice", (int)id.len, id.at);
	if (p->m->n_rids == SDP_RIDS_MAX)
		return sdp_wrong(p, -E2BIG, "more than %d a=rid of one m-line", SDP_RIDS_MAX);
	text_copy(id, p->rids[p->m->n_rids++], MU_SDP_RID_MAX + 1);
	return 0;
}

/* "1,~4;2": streams apart by ';', alternatives of one by ',', those that begin paused with '~' (RFC 8853, section 5.1). Of
 * alternatives we take the first. */
static int simulcast_list(struct sdp_parser *p, struct text v)
{
	struct mu_sdp_media *m = p->m;
	unsigned n = 0;

	m->n_layers = 0;
	while (v.len > 0) {
		struct text stream = text_cut(&v, ';'), id = text_cut(&stream, ',');

		if (++n > SDP_RIDS_MAX)
			return sdp_wrong(p, -E2BIG, "a=simulcast has more than %d streams", SDP_RIDS_MAX);
		if (id.len > 0 && id.at[0] == '~')
			id = (struct text){ id.at + 1, id.len - 1 };
		if (!is_rid(id))
			return sdp_wrong(p, -EBADMSG, "a=simulcast names something that is no name of an a=rid");
		if (m->n_layers < MU_SDP_LAYERS_MAX)
			text_copy(id, m->layers[m->n_layers++], MU_SDP_RID_MAX + 1);
	}
	return 0;
}

static int on_simulcast(struct sdp_parser *p, struct text v)
{
	while (v.len > 0) {
		struct text word = text_cut(&v, ' '), list;

		if (word.len == 0)
			continue;
		list = text_cut(&v, ' ');
		if (text_is(word, "send"))
			return simulcast_list(p, list);
		if (!text_is(word, "recv"))
			return sdp_wrong(p, -EBADMSG, "a=simulcast says \"send\" or \"recv\", and a list");
	}
	return 0;
}

/* Only counted: ICE lite answers where checks come from, so the peer's candidates tell us nothing. Their
 * names may even be unresolvable on purpose (mDNS). */
static int on_candidate(struct sdp_parser *p, struct text v)
{
	(void)v;
	if (++p->m->n_candidates > SDP_CANDIDATES_MAX)
		return sdp_wrong(p, -E2BIG, "more than %d candidates of one m-line", SDP_CANDIDATES_MAX);
	return 0;
}

static int on_rtcp_mux(struct sdp_parser *p, struct text v)
{
	(void)v;
	p->m->rtcp_mux = true;
	return 0;
}

static int on_rtcp_mux_only(struct sdp_parser *p, struct text v)
{
	(void)v;
	p->m->rtcp_mux_only = true;
	return 0;
}

static int on_rtcp_rsize(struct sdp_parser *p, struct text v)
{
	(void)v;
	p->m->rtcp_rsize = true;
	return 0;
}

static int on_bundle_only(struct sdp_parser *p, struct text v)
{
	(void)v;
	p->m->bundle_only = true;
	return 0;
}

int sdp_media_attribute(struct sdp_parser *p, struct text name, struct text v)
{
	static const struct {
		const char *name;
		int (*fn)(struct sdp_parser *p, struct text v);
	} attributes[] = {
		{ "rtpmap", on_rtpmap },
		{ "fmtp", on_fmtp },
		{ "rtcp-fb", on_rtcp_fb },
		{ "extmap", on_extmap },
		{ "mid", on_mid },
		{ "msid", on_msid },
		{ "ssrc", on_ssrc },
		{ "ssrc-group", on_ssrc_group },
		{ "rid", on_rid },
		{ "simulcast", on_simulcast },
		{ "candidate", on_candidate },
		{ "rtcp-mux", on_rtcp_mux },
		{ "rtcp-mux-only", on_rtcp_mux_only },
		{ "rtcp-rsize", on_rtcp_rsize },
		{ "bundle-only", on_bundle_only },
	};

	for (size_t i = 0; i < MU_ARRAY_LEN(attributes); i++) {
		if (text_is(name, attributes[i].name)) {
			int err = attributes[i].fn(p, v);

			return err < 0 ? err : 1;
		}
	}
	return 0;
}
