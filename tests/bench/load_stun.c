/* Connectivity checks (RFC 8489, 8445): written here rather than with the gateway's code, so that the two
 * check each other. */
#include "load.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
	STUN_REQUEST = 0x0001,
	STUN_SUCCESS = 0x0101,
	ATTR_USERNAME = 0x0006,
	ATTR_INTEGRITY = 0x0008,
	ATTR_XOR_ADDRESS = 0x0020,
	ATTR_PRIORITY = 0x0024,
	ATTR_USE_CANDIDATE = 0x0025,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_CONTROLLING = 0x802a,
};
#define STUN_COOKIE 0x2112a442u

static uint32_t crc32_of(const uint8_t *d, size_t len)
{
	uint32_t crc = 0xffffffffu;

	while (len--) {
		crc ^= *d++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
	}
	return ~crc;
}

static size_t add(uint8_t *msg, size_t at, uint16_t type, const void *value, size_t len)
{
	mu_put16(msg + at, type);
	mu_put16(msg + at + 2, (uint16_t)len);
	memset(msg + at + 4, 0, (len + 3) & ~(size_t)3);
	if (len)
		memcpy(msg + at + 4, value, len);
	return at + 4 + ((len + 3) & ~(size_t)3);
}

static void integrity(const uint8_t *msg, size_t len, const char *pwd, uint8_t ret[20])
{
	unsigned n = 20;

	HMAC(EVP_sha1(), pwd, (int)strlen(pwd), msg, len, ret, &n);
}

/* MESSAGE-INTEGRITY and FINGERPRINT; each covers a header whose length includes it (RFC 8489, sections 14.5
 * and 14.7). */
static size_t finish(uint8_t *msg, size_t at, const char *pwd)
{
	uint8_t mac[20], crc[4];

	mu_put16(msg + 2, (uint16_t)(at - 20 + 24));
	integrity(msg, at, pwd, mac);
	at = add(msg, at, ATTR_INTEGRITY, mac, sizeof(mac));
	mu_put16(msg + 2, (uint16_t)(at - 20 + 8));
	mu_put32(crc, crc32_of(msg, at) ^ 0x5354554eu);
	return add(msg, at, ATTR_FINGERPRINT, crc, sizeof(crc));
}

size_t stun_check(struct peer *p, uint8_t *ret)
{
	char user[600];
	uint8_t priority[4], tie[8];
	size_t at = 20;
	int n = snprintf(user, sizeof(user), "%s:%s", p->remote.ufrag, p->ufrag);

	mu_put16(ret, STUN_REQUEST);
	mu_put32(ret + 4, STUN_COOKIE);
	mu_random(p->transaction, sizeof(p->transaction));
	memcpy(ret + 8, p->transaction, sizeof(p->transaction));
	mu_put32(priority, 0x6e7f1effu); /* a peer-reflexive candidate of ours (RFC 8445, section 7.1.1) */
	mu_put64(tie, p->tie_breaker);
	at = add(ret, at, ATTR_USERNAME, user, (size_t)n);
	at = add(ret, at, ATTR_PRIORITY, priority, sizeof(priority));
	at = add(ret, at, ATTR_CONTROLLING, tie, sizeof(tie));
	at = add(ret, at, ATTR_USE_CANDIDATE, NULL, 0);
	return finish(ret, at, p->remote.pwd);
}

/* Find MESSAGE-INTEGRITY and check it. */
static bool is_genuine(const uint8_t *data, size_t len, const char *pwd)
{
	uint8_t copy[LOAD_DATAGRAM], mac[20];

	for (size_t at = 20; at + 4 <= len;) {
		size_t n = mu_get16(data + at + 2);

		if (at + 4 + n > len)
			return false;
		if (mu_get16(data + at) == ATTR_INTEGRITY && n == 20) {
			memcpy(copy, data, at);
			mu_put16(copy + 2, (uint16_t)(at - 20 + 24));
			integrity(copy, at, pwd, mac);
			return memcmp(mac, data + at + 4, 20) == 0;
		}
		at += 4 + ((n + 3) & ~(size_t)3);
	}
	return false;
}

static size_t answer(struct peer *p, const uint8_t *request, uint8_t *ret)
{
	uint8_t address[8] = { 0, 1 };

	mu_put16(ret, STUN_SUCCESS);
	memcpy(ret + 4, request + 4, 16);
	mu_put16(address + 2, (uint16_t)(ntohs(p->remote.addr.sin_port) ^ (STUN_COOKIE >> 16)));
	mu_put32(address + 4, ntohl(p->remote.addr.sin_addr.s_addr) ^ STUN_COOKIE);
	return finish(ret, add(ret, 20, ATTR_XOR_ADDRESS, address, sizeof(address)), p->pwd);
}

int stun_input(struct peer *p, const uint8_t *data, size_t len, uint8_t *reply, size_t *reply_len)
{
	uint16_t type;

	*reply_len = 0;
	if (len < 20 || len > LOAD_DATAGRAM || mu_get32(data + 4) != STUN_COOKIE ||
		mu_get16(data + 2) + 20u != len)
		return 0;
	type = mu_get16(data);
	if (type == STUN_SUCCESS && memcmp(data + 8, p->transaction, sizeof(p->transaction)) == 0)
		return is_genuine(data, len, p->remote.pwd);
	if (type != STUN_REQUEST || !is_genuine(data, len, p->pwd))
		return 0;
	*reply_len = answer(p, data, reply);
	return 2;
}
