#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/base.h"

void mu_random(void *ret, size_t len)
{
	uint8_t *p = ret;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			mu_err("base", NULL, "the kernel has no random bytes");
			mu_log_flush();
			abort();
		}
		p += n;
		len -= (size_t)n;
	}
}

uint32_t mu_random_u32(void)
{
	uint32_t v;

	mu_random(&v, sizeof(v));
	return v;
}

void mu_random_text(char *ret, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = 0;

	while (n < len) {
		uint8_t b;

		mu_random(&b, 1);
		b &= 63;
		if (b < 62) /* the rest would make some characters likelier */
			ret[n++] = alphabet[b];
	}
	ret[len] = '\0';
}

bool mu_secret_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= (uint8_t)(x[i] ^ y[i]);
	return diff == 0;
}
