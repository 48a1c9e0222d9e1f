#include "secure/srtp_internal.h" /* first: it says how OpenSSL's headers are to be read */

#include <openssl/crypto.h>

/** RFC 2104: the hash begins with the key, zero padded to a block, XOR a constant. */
static void absorb(SHA_CTX *c, const uint8_t key[SRTP_SHA1_LEN], uint8_t pad)
{
	uint8_t block[SHA_CBLOCK];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < SRTP_SHA1_LEN; i++)
		block[i] ^= key[i];
	SHA1_Init(c);
	SHA1_Update(c, block, sizeof(block));
	OPENSSL_cleanse(block, sizeof(block));
}

void srtp_hmac_init(struct srtp_hmac *h, const uint8_t key[SRTP_SHA1_LEN])
{
	absorb(&h->inner, key, 0x36);
	absorb(&h->outer, key, 0x5c);
}

void srtp_hmac(const struct srtp_hmac *h, const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
	uint8_t ret[SRTP_SHA1_LEN])
{
	SHA_CTX c = h->inner;

	SHA1_Update(&c, a, a_len);
	SHA1_Update(&c, b, b_len);
	SHA1_Final(ret, &c);
	c = h->outer;
	SHA1_Update(&c, ret, SRTP_SHA1_LEN);
	SHA1_Final(ret, &c);
}
