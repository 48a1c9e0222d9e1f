/* Texts for people: titles and names. They are shown in terminals, in pages and among other texts, so what
 * steers those is no part of them. */
#include <errno.h>

#include "conference/conference_internal.h"

/* One character of UTF-8 (RFC 3629): no surrogates, none longer than it has to be. @return bytes, 0: it is
 * none */
static size_t decode(const char *s, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)s[0];
	size_t n = c < 0x80          ? 1
		: (c & 0xe0) == 0xc0 ? 2
		: (c & 0xf0) == 0xe0 ? 3
		: (c & 0xf8) == 0xf0 ? 4
				     : 0;
	uint32_t v = n == 1 ? c : n ? c & (0x7fu >> n) : 0;

	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (n == 0 || v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 0;
	*ret = v;
	return n;
}

/* Controls; what turns the direction of the text around it (Trojan Source, CVE-2021-42574), breaks its line,
 * or is not seen at all; tags; what is no character. Joiners stay: scripts and emoji need them. */
static bool steers(uint32_t v)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = { { 0, 0x1f }, { 0x7f, 0x9f }, { 0x61c, 0x61c }, { 0x200b, 0x200b }, { 0x200e, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfdd0, 0xfdef }, { 0xfeff, 0xfeff },
		{ 0xfff0, 0xfffb }, { 0xe0000, 0xe007f } };

	for (size_t i = 0; i < MU_ARRAY_LEN(ranges); i++) {
		if (v >= ranges[i].first && v <= ranges[i].last)
			return true;
	}
	return (v & 0xfffe) == 0xfffe;
}

size_t text_keep(char *ret, size_t size, const char *text)
{
	size_t len = 0;
	uint32_t v;

	while (*text) {
		size_t n = decode(text, &v);

		if (n > 0 && !steers(v)) {
			if (len + n >= size)
				break;
			memcpy(ret + len, text, n);
			len += n;
		}
		text += MU_MAX(n, (size_t)1);
	}
	ret[len] = '\0';
	return len;
}

int text_check(const char *text, size_t max, const char *what, struct mu_error *e)
{
	bool blank = true;
	uint32_t v;

	if (strlen(text) > max)
		return mu_error_set(e, -EINVAL, "%s has %zu bytes: %zu are allowed", what, strlen(text), max);
	while (*text) {
		size_t n = decode(text, &v);

		if (n == 0)
			return mu_error_set(e, -EINVAL, "%s is not UTF-8", what);
		if (steers(v))
			return mu_error_set(e, -EINVAL,
				"%s has a character that is not shown, U+%04X: leave it out", what, v);
		blank = blank && (v == ' ' || v == 0xa0 || v == 0x3000);
		text += n;
	}
	return blank ? mu_error_set(e, -EINVAL, "%s is empty", what) : 0;
}
