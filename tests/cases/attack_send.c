/* Datagrams as the caller wrote them, in the clear or sealed with the session's keys; any number of times. */
#include "attack.h"

ssize_t unhex(const char *text, uint8_t *ret, size_t size)
{
	size_t n = 0;
	unsigned byte;

	for (; text && text[0] && text[1]; text += 2) {
		if (n == size || sscanf(text, "%2x", &byte) != 1)
			return -1;
		ret[n++] = (uint8_t)byte;
	}
	return text ? (ssize_t)n : -1;
}

struct send {
	struct peer *peer;
	uint8_t data[LOAD_DATAGRAM];
	size_t len;
	uint64_t index;
	uint16_t hlen;
};

/* @return what is wrong */
static const char *prepare(struct attack *a, json_t *in, struct send *s)
{
	ssize_t n = unhex(json_string_value(json_object_get(in, "hex")), s->data, sizeof(s->data));

	s->peer = session_find(a, in);
	s->len = (size_t)n;
	return !s->peer ? "no session" : n < 0 ? "hex is not hexadecimal, or too long" : NULL;
}

static void raw_one(void *arg, uint64_t i)
{
	struct send *s = arg;

	(void)i;
	__real_net_send(s->peer, s->data, s->len);
}

const char *do_raw(struct attack *a, json_t *in, json_t *out)
{
	struct send s = { 0 };
	const char *wrong = prepare(a, in, &s);

	(void)out;
	if (!wrong)
		at_rate(a, n_of(in), rate_of(in), raw_one, &s);
	return wrong;
}

/* Each is sealed anew: header as given but for the sequence number, which counts up. */
static void rtp_one(void *arg, uint64_t i)
{
	struct send *s = arg;
	uint8_t out[LOAD_DATAGRAM + 64];
	uint64_t index = s->index + i;
	struct mu_srtp_job j = { .key = s->peer->tx,
		.out = out,
		.payload = s->data + s->hlen,
		.hlen = s->hlen,
		.payload_len = (uint16_t)(s->len - s->hlen),
		.ssrc = mu_get32(s->data + 8),
		.index = index };

	mu_put16(s->data + 2, (uint16_t)index);
	memcpy(out, s->data, s->hlen);
	mu_srtp_protect(s->peer->load->engine, &j, 1);
	/* not by net_send: what the session would say itself may be silenced meanwhile */
	__real_net_send(s->peer, out, s->len + mu_srtp_growth(mu_srtp_key_profile(s->peer->tx)));
}

/* "hlen": where the gateway will think that the payload begins, for that is what decides what is encrypted.
 */
const char *do_rtp(struct attack *a, json_t *in, json_t *out)
{
	struct send s = { 0 };
	const char *wrong = prepare(a, in, &s);

	(void)out;
	s.hlen = (uint16_t)json_integer_value(json_object_get(in, "hlen"));
	s.index = (uint64_t)json_integer_value(json_object_get(in, "index"));
	if (!wrong && (s.hlen < 12 || s.hlen > s.len || !s.peer->tx))
		wrong = "hlen is not within the packet, or there are no keys";
	if (!wrong)
		at_rate(a, n_of(in), rate_of(in), rtp_one, &s);
	return wrong;
}

static void rtcp_one(void *arg, uint64_t i)
{
	struct send *s = arg;
	uint8_t out[LOAD_DATAGRAM + MU_SRTCP_GROWTH_MAX];
	int n = mu_srtcp_protect(
		s->peer->load->engine, s->peer->tx, s->peer->srtcp_index++, s->data, s->len, out);

	(void)i;
	if (n > 0)
		__real_net_send(s->peer, out, (size_t)n);
}

const char *do_rtcp(struct attack *a, json_t *in, json_t *out)
{
	struct send s = { 0 };
	const char *wrong = prepare(a, in, &s);

	(void)out;
	if (!wrong && (s.len < 8 || !s.peer->tx))
		wrong = "too short, or there are no keys";
	if (!wrong)
		at_rate(a, n_of(in), rate_of(in), rtcp_one, &s);
	return wrong;
}
