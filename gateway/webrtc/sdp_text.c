/* Pieces of lines, and lines. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "webrtc/sdp.h"

bool text_is(struct text t, const char *word)
{
	return strlen(word) == t.len && memcmp(t.at, word, t.len) == 0;
}

bool text_is_nocase(struct text t, const char *word)
{
	return strlen(word) == t.len && strncasecmp(t.at, word, t.len) == 0;
}

struct text text_cut(struct text *rest, char c)
{
	const char *at = rest->len > 0 ? memchr(rest->at, c, rest->len) : NULL;
	struct text head = *rest;

	if (!at) {
		rest->at += rest->len;
		rest->len = 0;
		return head;
	}
	head.len = (size_t)(at - rest->at);
	rest->at += head.len + 1;
	rest->len -= head.len + 1;
	return head;
}

int text_number(struct text t, uint32_t max, uint32_t *ret)
{
	uint64_t v = 0;

	if (t.len == 0 || t.len > 10)
		return -EBADMSG;
	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return -EBADMSG;
		v = v * 10 + (uint64_t)(t.at[i] - '0');
	}
	if (v > max)
		return -EBADMSG;
	*ret = (uint32_t)v;
	return 0;
}

bool text_copy(struct text t, char *ret, size_t size)
{
	if (t.len >= size)
		return false;
	if (t.len > 0)
		memcpy(ret, t.at, t.len);
	ret[t.len] = '\0';
	return true;
}

bool text_is_token(struct text t, size_t max)
{
	if (t.len == 0 || t.len > max)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.at[i];

		if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]", c))
			return false;
	}
	return true;
}

static int check_line(const struct lines *l, const char *at, size_t len, struct mu_error *e)
{
	if (len < 2 || at[1] != '=' || at[0] < 'a' || at[0] > 'z')
		return mu_error_set(
			e, -EBADMSG, "line %u: a line is a letter, an equals sign and a value", l->number);
	for (size_t i = 2; i < len; i++) {
		if ((unsigned char)at[i] < 0x20 && at[i] != '\t')
			return mu_error_set(
				e, -EBADMSG, "line %u: control character %d in it", l->number, at[i]);
	}
	return 0;
}

int lines_next(struct lines *l, struct mu_error *e)
{
	const char *at = l->at, *eol;
	size_t len;
	int err;

	if (at == l->end)
		return 0;
	if (++l->number > (l->max ? l->max : MU_SDP_LINES_MAX))
		return mu_error_set(e, -E2BIG, "more than %u lines", l->max ? l->max : MU_SDP_LINES_MAX);
	eol = memchr(at, '\n', (size_t)(l->end - at));
	len = (size_t)((eol ? eol : l->end) - at);
	l->at = eol ? eol + 1 : l->end;
	if (len > 0 && at[len - 1] == '\r')
		len--;
	if (len == 0 && l->at == l->end) /* an empty line at the very end is no line */
		return 0;
	err = check_line(l, at, len, e);
	if (err < 0)
		return err;
	l->type = at[0];
	l->value = (struct text){ at + 2, len - 2 };
	while (l->value.len > 0 &&
		(l->value.at[l->value.len - 1] == ' ' || l->value.at[l->value.len - 1] == '\t'))
		l->value.len--;
	return 1;
}

static int ice_chars(struct text v, size_t min, const char *what, char ret[257], const struct lines *at,
	struct mu_error *e)
{
	if (v.len < min || v.len > 256)
		return mu_error_set(e, -EBADMSG, "line %u: a=ice-%s has %zu to 256 characters (RFC 8839)",
			at->number, what, min);
	for (size_t i = 0; i < v.len; i++) {
		char c = v.at[i];

		/* '-', '_' and '=' are no ice-char, but clients exist that take base64 of either kind */
		if (!g_ascii_isalnum(c) && !strchr("+/-_=", c))
			return mu_error_set(e, -EBADMSG,
				"line %u: a=ice-%s has a character other than letters, digits, + and /",
				at->number, what);
	}
	text_copy(v, ret, 257);
	return 0;
}

int sdp_ice_ufrag(struct text v, char ret[257], const struct lines *at, struct mu_error *e)
{
	return ice_chars(v, 4, "ufrag", ret, at, e);
}

int sdp_ice_pwd(struct text v, char ret[257], const struct lines *at, struct mu_error *e)
{
	return ice_chars(v, 22, "pwd", ret, at, e);
}
