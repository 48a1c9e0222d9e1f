/* An offer, line by line: the session and what belongs to the transport. Media attributes are in sdp_media.c.
 *
 * What we do not know is passed over (RFC 8866, section 5.13); what we know must be well formed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "webrtc/sdp.h"

int sdp_wrong(const struct sdp_parser *p, int err, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return mu_error_set(p->e, err, "line %u: %s", p->l.number, text);
}

/* --- attributes of the session alone --- */

/* RFC 8843, section 7: a second group would be a second transport, which no browser makes. The first counts.
 */
static int on_group(struct sdp_parser *p, struct text v)
{
	struct mu_sdp *s = p->s;

	if (p->m || s->n_bundle > 0 || !text_is(text_cut(&v, ' '), "BUNDLE"))
		return 0;
	while (v.len > 0) {
		struct text mid = text_cut(&v, ' ');

		if (mid.len == 0)
			continue;
		if (s->n_bundle == MU_SDP_MEDIA_MAX)
			return sdp_wrong(
				p, -E2BIG, "a=group:BUNDLE names more than %d m-lines", MU_SDP_MEDIA_MAX);
		if (!text_is_token(mid, sizeof(s->bundle[0]) - 1))
			return sdp_wrong(p, -EBADMSG,
				"a=group:BUNDLE names a mid that is no token of 1 to 31 characters");
		text_copy(mid, s->bundle[s->n_bundle++], sizeof(s->bundle[0]));
	}
	return 0;
}

static int on_ice_lite(struct sdp_parser *p, struct text v)
{
	(void)v;
	p->s->ice_lite = true;
	return 0;
}

static int on_ice_options(struct sdp_parser *p, struct text v)
{
	while (v.len > 0) {
		if (text_is(text_cut(&v, ' '), "trickle"))
			p->s->trickle = true;
	}
	return 0;
}

/* --- attributes of the session or of a section --- */

static int on_ice_ufrag(struct sdp_parser *p, struct text v)
{
	return sdp_ice_ufrag(v, p->m ? p->m->ufrag : p->session.ufrag, &p->l, p->e);
}

static int on_ice_pwd(struct sdp_parser *p, struct text v)
{
	return sdp_ice_pwd(v, p->m ? p->m->pwd : p->session.pwd, &p->l, p->e);
}

/* RFC 8122, section 5: others may stand beside it; without SHA-256 the offer is refused later. */
static int on_fingerprint(struct sdp_parser *p, struct text v)
{
	uint8_t(*list)[MU_FINGERPRINT_LEN] = p->m ? p->m->fingerprints : p->session.fingerprints;
	unsigned *n = p->m ? &p->m->n_fingerprints : &p->session.n_fingerprints;
	char hex[3 * MU_FINGERPRINT_LEN];

	if (!text_is_nocase(text_cut(&v, ' '), "sha-256"))
		return 0;
	if (*n == 4)
		return sdp_wrong(p, -E2BIG, "more than 4 SHA-256 fingerprints");
	if (!text_copy(v, hex, sizeof(hex)) || mu_fingerprint_parse(hex, list[*n]) < 0)
		return sdp_wrong(p, -EBADMSG,
			"a=fingerprint:sha-256 has 32 bytes as pairs of hexadecimal digits with colons");
	(*n)++;
	return 0;
}

static int on_setup(struct sdp_parser *p, struct text v)
{
	static const char *const names[] = {
		[MU_SDP_ACTPASS] = "actpass",
		[MU_SDP_ACTIVE] = "active",
		[MU_SDP_PASSIVE] = "passive",
	};

	for (unsigned i = 0; i < MU_ARRAY_LEN(names); i++) {
		if (!text_is(v, names[i]))
			continue;
		*(p->m ? &p->m->setup : &p->session.setup) = (enum mu_sdp_setup)i;
		*(p->m ? &p->m->has_setup : &p->session.has_setup) = true;
		return 0;
	}
	return sdp_wrong(p, -EBADMSG, "a=setup is actpass, active or passive in an offer");
}

static int on_extmap_allow_mixed(struct sdp_parser *p, struct text v)
{
	(void)v;
	*(p->m ? &p->m->ext_mixed : &p->session.ext_mixed) = true;
	return 0;
}

static void set_direction(struct sdp_parser *p, enum mu_sdp_direction d)
{
	*(p->m ? &p->m->direction : &p->session.direction) = d;
}

static int on_sendrecv(struct sdp_parser *p, struct text v)
{
	(void)v;
	set_direction(p, MU_SDP_SENDRECV);
	return 0;
}

static int on_sendonly(struct sdp_parser *p, struct text v)
{
	(void)v;
	set_direction(p, MU_SDP_SENDONLY);
	return 0;
}

static int on_recvonly(struct sdp_parser *p, struct text v)
{
	(void)v;
	set_direction(p, MU_SDP_RECVONLY);
	return 0;
}

static int on_inactive(struct sdp_parser *p, struct text v)
{
	(void)v;
	set_direction(p, MU_SDP_INACTIVE);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct sdp_parser *p, struct text v);
} attributes[] = {
	{ "group", on_group },
	{ "ice-lite", on_ice_lite },
	{ "ice-options", on_ice_options },
	{ "ice-ufrag", on_ice_ufrag },
	{ "ice-pwd", on_ice_pwd },
	{ "fingerprint", on_fingerprint },
	{ "setup", on_setup },
	{ "extmap-allow-mixed", on_extmap_allow_mixed },
	{ "sendrecv", on_sendrecv },
	{ "sendonly", on_sendonly },
	{ "recvonly", on_recvonly },
	{ "inactive", on_inactive },
};

static int on_attribute(struct sdp_parser *p, struct text v)
{
	struct text name = text_cut(&v, ':');

	for (size_t i = 0; i < MU_ARRAY_LEN(attributes); i++) {
		if (text_is(name, attributes[i].name))
			return attributes[i].fn(p, v);
	}
	return p->m ? MU_MIN(sdp_media_attribute(p, name, v), 0) : 0;
}

static int on_line(struct sdp_parser *p)
{
	if (p->l.number == 1 && (p->l.type != 'v' || !text_is(p->l.value, "0")))
		return sdp_wrong(p, -EBADMSG, "SDP begins with v=0 (RFC 8866)");
	if (p->l.type == 'm') {
		sdp_media_end(p);
		return sdp_media_begin(p, p->l.value);
	}
	return p->l.type == 'a' ? on_attribute(p, p->l.value) : 0;
}

static int check_mids(const struct mu_sdp *s, struct mu_error *e)
{
	for (unsigned i = 0; i < s->n_media; i++) {
		for (unsigned k = 0; k < i && s->media[i].mid[0]; k++) {
			if (strcmp(s->media[i].mid, s->media[k].mid) == 0)
				return mu_error_set(e, -EBADMSG, "m-lines %u and %u both have a=mid:%s",
					k + 1, i + 1, s->media[i].mid);
		}
	}
	return 0;
}

static int parse(const char *text, size_t len, size_t max, unsigned max_lines, struct mu_sdp *ret, struct mu_error *e)
{
	struct sdp_parser p = { .l = { .at = text, .end = text + len, .max = max_lines }, .s = ret, .e = e };
	int err;

	memset(ret, 0, sizeof(*ret));
	if (len == 0)
		return mu_error_set(e, -EBADMSG, "the body is empty: an SDP offer is expected");
	if (len > max)
		return mu_error_set(e, -E2BIG, "the SDP has %zu bytes, the limit is %zu", len, max);
	while ((err = lines_next(&p.l, e)) > 0) {
		err = on_line(&p);
		if (err < 0)
			return err;
	}
	if (err < 0)
		return err;
	sdp_media_end(&p);
	return check_mids(ret, e);
}

int mu_sdp_parse(const char *text, size_t len, struct mu_sdp *ret, struct mu_error *e)
{
	return parse(text, len, MU_SDP_SIZE_MAX, MU_SDP_LINES_MAX, ret, e);
}

int sdp_parse_answer(const char *text, size_t len, struct mu_sdp *ret, struct mu_error *e)
{
	return parse(text, len, MU_CONSOLE_MESSAGE_MAX, 4 * MU_SDP_LINES_MAX, ret, e);
}
