/* fuzz_srtp.c: whatever comes from the network, under a fixed key, to each engine and profile.
 *
 * The first byte picks profile and engine. Then come packets, each with a byte that says whether it is RTP or
 * RTCP and whether to make its tag good: else nothing would get past the tag, and the windows would see no
 * sequence numbers.
 */
#include <stdlib.h>

#include "secure/secure.h"

static const enum mu_srtp_profile profiles[] = {
	MU_SRTP_AES128_CM_SHA1_80,
	MU_SRTP_AEAD_AES_128_GCM,
	MU_SRTP_AEAD_AES_256_GCM,
};
static const char *const names[] = { "openssl", "ipsec-mb", "libsrtp" };

static struct mu_srtp_engine *engines[3];
static struct mu_srtp_key *keys[3][3]; /* by engine, profile */
static size_t n_engines;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t master[32] = "a key that everybody may know..", salt[14] = "and its salt.";

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < MU_ARRAY_LEN(names); i++) {
		if (mu_srtp_engine_new(names[i], &engines[n_engines], NULL) < 0)
			continue;
		for (size_t p = 0; p < MU_ARRAY_LEN(profiles); p++)
			if (mu_srtp_key_new(
				    engines[n_engines], profiles[p], master, salt, &keys[n_engines][p]) < 0)
				abort();
		n_engines++;
	}
	return 0;
}

/** What a receiver takes for the header's length: 12, CSRCs, extension (RFC 3550, section 5.1). 0: not RTP.
 */
static size_t header_len(const uint8_t *p, size_t len)
{
	size_t n = 12 + 4 * (size_t)(len > 0 ? p[0] & 15 : 0);

	if (len < 12 || p[0] >> 6 != 2)
		return 0;
	if (p[0] & 0x10)
		n += n + 4 <= len ? 4 + 4 * (size_t)mu_get16(p + n + 2) : 4;
	return n <= len ? n : 0;
}

/** Feed one packet. Buffers are of exactly the size promised, so that a byte too many is seen. */
static void feed(size_t e, struct mu_srtp_rx *rx, bool rtcp, const uint8_t *wire, size_t len)
{
	uint8_t *in = malloc(len), *out = malloc(len);
	size_t hlen = header_len(wire, len);
	int n;

	memcpy(in, wire, len);
	n = rtcp ? mu_srtp_rx_rtcp(engines[e], rx, in, len, out)
		 : mu_srtp_rx_rtp(engines[e], rx, in, len, hlen, out);
	if (n > (int)len || (n >= 0 && n < 8))
		abort();
	free(in);
	free(out);
}

/** Encrypt the input, so that it reaches the other side of the tag. @return bytes, 0 if that cannot be */
static size_t seal(size_t e, size_t p, bool rtcp, const uint8_t *in, size_t len, uint8_t *ret)
{
	size_t hlen = header_len(in, len);

	if (rtcp) {
		int n = len < 12
			? -1
			: mu_srtcp_protect(engines[e], keys[e][p], mu_get32(in + 8) >> 1, in, len, ret);

		return n < 0 ? 0 : (size_t)n;
	}
	if (hlen == 0)
		return 0;
	struct mu_srtp_job j = {
		.key = keys[e][p],
		.out = ret,
		.payload = in + hlen,
		.hlen = (uint16_t)hlen,
		.payload_len = (uint16_t)(len - hlen),
		.ssrc = mu_get32(in + 8),
		.index = mu_get16(in + 2) | (uint64_t)(in[1] & 1) << 16,
	};
	memcpy(ret, in, hlen);
	mu_srtp_protect(engines[e], &j, 1);
	return len + mu_srtp_growth(profiles[p]);
}

/** Packets are the input's pieces: two bytes of choice and length, then as many bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t wire[256 + MU_SRTCP_GROWTH_MAX];
	struct mu_srtp_rx *rx;
	size_t e, p;

	if (size < 1)
		return 0;
	p = data[0] % MU_ARRAY_LEN(profiles);
	e = data[0] / MU_ARRAY_LEN(profiles) % n_engines;
	if (mu_srtp_rx_new(keys[e][p], &rx) < 0)
		return 0;
	data++;
	size--;
	while (size >= 2) {
		size_t n = MU_MIN(data[1], size - 2), len = 0;
		bool rtcp = data[0] & 1;

		if (data[0] & 2)
			len = seal(e, p, rtcp, data + 2, n, wire);
		if (len > 0)
			feed(e, rx, rtcp, wire, len);
		else
			feed(e, rx, rtcp, data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	mu_srtp_rx_free(rx);
	return 0;
}
