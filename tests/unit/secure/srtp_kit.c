#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "srtp_kit.h"

const enum mu_srtp_profile profiles[3] = {
	MU_SRTP_AES128_CM_SHA1_80,
	MU_SRTP_AEAD_AES_128_GCM,
	MU_SRTP_AEAD_AES_256_GCM,
};

static uint64_t seed = 88172645463325252ull;

uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rnd();
}

size_t unhex(const char *text, uint8_t *ret)
{
	size_t n = 0;

	for (; *text; text++) {
		unsigned v;

		if (*text == ' ')
			continue;
		assert_int_equal(sscanf(text, "%2x", &v), 1);
		ret[n++] = (uint8_t)v;
		text++;
	}
	return n;
}

struct mu_srtp_engine *engines[3], *oracle;
size_t n_engines;

int open_engines(void **state)
{
	static const char *const names[] = { "libsrtp", "openssl", "ipsec-mb" };
	struct mu_error e;

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(names); i++) {
		if (mu_srtp_engine_new(names[i], &engines[n_engines], &e) == 0)
			n_engines++;
		else
			print_message("%s\n", e.text);
	}
	oracle = engines[0];
	fill(master, sizeof(master));
	fill(salt, sizeof(salt));
	return n_engines >= 2 ? 0 : -1;
}

int close_engines(void **state)
{
	(void)state;
	while (n_engines > 0)
		mu_srtp_engine_free(engines[--n_engines]);
	return 0;
}

uint8_t master[32], salt[14];

struct mu_srtp_key *new_key(struct mu_srtp_engine *en, enum mu_srtp_profile p)
{
	struct mu_srtp_key *k = NULL;

	assert_int_equal(mu_srtp_key_new(en, p, master, salt, &k), 0);
	assert_int_equal(mu_srtp_key_profile(k), p);
	return k;
}

size_t write_header(uint8_t *h, uint32_t ssrc, uint64_t index)
{
	size_t n_csrc = rnd() % 4 ? 0 : rnd() % 4, n_ext = rnd() % 2 ? rnd() % 12 : 0, n = 12 + 4 * n_csrc;
	bool x = n_ext > 0 || rnd() % 8 == 0; /* an extension of no words is allowed too */

	fill(h, HEADER_MAX);
	h[0] = (uint8_t)(0x80 | (x ? 0x10 : 0) | n_csrc);
	mu_put16(h + 2, (uint16_t)index);
	mu_put32(h + 8, ssrc);
	if (!x)
		return n;
	mu_put16(h + n, 0xbede);
	mu_put16(h + n + 2, (uint16_t)n_ext);
	return n + 4 + 4 * n_ext;
}

void write_packet(struct packet *p, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, size_t size,
	struct mu_srtp_job *ret)
{
	size_t hlen = write_header(p->plain, ssrc, index);

	fill(p->plain + hlen, size);
	memset(p->out, 0xa5, sizeof(p->out));
	memcpy(p->out, p->plain, hlen);
	p->len = hlen + size + mu_srtp_growth(mu_srtp_key_profile(k));
	*ret = (struct mu_srtp_job){
		.key = k,
		.out = p->out,
		.payload = p->plain + hlen,
		.hlen = (uint16_t)hlen,
		.payload_len = (uint16_t)size,
		.ssrc = ssrc,
		.index = index,
	};
}

size_t make(struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, uint8_t *ret)
{
	static const uint8_t body[30] = "the same thirty bytes for all";
	struct mu_srtp_job j = { .key = k,
		.out = ret,
		.payload = body,
		.hlen = 12,
		.payload_len = sizeof(body),
		.ssrc = ssrc,
		.index = index };

	memset(ret, 0, 12);
	ret[0] = 0x80;
	mu_put16(ret + 2, (uint16_t)index);
	mu_put32(ret + 8, ssrc);
	mu_srtp_protect(k->en, &j, 1);
	return 12 + sizeof(body) + mu_srtp_growth(mu_srtp_key_profile(k));
}
