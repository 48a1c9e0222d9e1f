/* Fragments: trickled candidates and ICE restarts (RFC 8840, section 9; RFC 9725, section 4.3). */
#include <errno.h>
#include <stdlib.h>

#include "webrtc/sdp.h"

/* A fragment repeats its credentials in the session or in each section; with BUNDLE there is only one pair.
 */
static int credential(
	char kept[257], const char *came, const struct lines *l, const char *what, struct mu_error *e)
{
	if (kept[0] && strcmp(kept, came) != 0)
		return mu_error_set(e, -EBADMSG,
			"line %u: a second a=%s, but everything goes over one transport", l->number, what);
	memcpy(kept, came, 257);
	return 0;
}

static int on_attribute(struct mu_sdp_frag *f, struct text v, const struct lines *l, struct mu_error *e)
{
	struct text name = text_cut(&v, ':');
	char text[257] = "";
	int err = 0;

	if (text_is(name, "ice-ufrag")) {
		err = sdp_ice_ufrag(v, text, l, e);
		return err < 0 ? err : credential(f->ufrag, text, l, "ice-ufrag", e);
	}
	if (text_is(name, "ice-pwd")) {
		err = sdp_ice_pwd(v, text, l, e);
		return err < 0 ? err : credential(f->pwd, text, l, "ice-pwd", e);
	}
	if (text_is(name, "end-of-candidates"))
		f->end_of_candidates = true;
	if (text_is(name, "candidate") && ++f->n_candidates > SDP_CANDIDATES_MAX)
		return mu_error_set(
			e, -E2BIG, "line %u: more than %d candidates", l->number, SDP_CANDIDATES_MAX);
	return 0;
}

int mu_sdp_frag_parse(const char *text, size_t len, struct mu_sdp_frag *ret, struct mu_error *e)
{
	struct lines l = { .at = text, .end = text + len };
	int err;

	memset(ret, 0, sizeof(*ret));
	if (len == 0)
		return mu_error_set(
			e, -EBADMSG, "the body is empty: a trickle fragment is expected (RFC 8840)");
	if (len > MU_SDP_SIZE_MAX)
		return mu_error_set(
			e, -E2BIG, "the fragment has %zu bytes, the limit is %d", len, MU_SDP_SIZE_MAX);
	while ((err = lines_next(&l, e)) > 0) {
		if (!strchr("amc", l.type))
			return mu_error_set(e, -EBADMSG,
				"line %u: a fragment has a= and m= lines only (RFC 8840)", l.number);
		err = l.type == 'a' ? on_attribute(ret, l.value, &l, e) : 0;
		if (err < 0)
			return err;
	}
	if (err == 0 && !ret->ufrag[0] != !ret->pwd[0])
		err = mu_error_set(
			e, -EBADMSG, "a=ice-ufrag and a=ice-pwd come together (RFC 8840, section 4.4)");
	return err;
}

char *sdp_frag_write(const char *ufrag, const char *pwd, const char *mid, const char *bundle,
	const char *type, const struct sdp_candidates *c)
{
	GString *t = g_string_sized_new(1024);
	char *text;

	g_string_append(t, "a=ice-lite\r\n");
	if (bundle[0])
		g_string_append_printf(t, "a=group:BUNDLE%s\r\n", bundle);
	g_string_append_printf(t, "m=%s 9 UDP/TLS/RTP/SAVPF 0\r\n", type);
	if (mid[0])
		g_string_append_printf(t, "a=mid:%s\r\n", mid);
	g_string_append_printf(t, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", ufrag, pwd);
	sdp_candidates_write(t, c);
	g_string_append(t, "a=end-of-candidates\r\n");
	text = strdup(t->str);
	g_string_free(t, TRUE);
	return text;
}
