#include <errno.h>

#include "secure/jose.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t mu_base64url(const uint8_t *in, size_t len, char *ret)
{
	size_t n = 0;
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			ret[n++] = alphabet[bits >> (have - 6) & 63];
	}
	if (have)
		ret[n++] = alphabet[bits << (6 - have) & 63];
	ret[n] = '\0';
	return n;
}

static int value_of(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

int mu_base64url_parse(const char *in, size_t len, uint8_t *ret)
{
	int n = 0;
	uint32_t bits = 0;
	unsigned have = 0;

	if (len % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		int v = value_of(in[i]);

		if (v < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			ret[n++] = (uint8_t)(bits >> have);
		}
	}
	/* Else one token had several spellings. */
	return bits & ((1u << have) - 1) ? -EBADMSG : n;
}
