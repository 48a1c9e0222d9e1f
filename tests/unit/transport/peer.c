#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <setjmp.h>
#include <stun/stunagent.h>
#include <unistd.h>
#include <cmocka.h>

#include "peer.h"

static void open_socket(struct peer *p)
{
	socklen_t len = sizeof(p->local);

	p->fd = socket(p->gateway.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	mu_addr_set_port(&p->local, 0);
	assert_int_equal(bind(p->fd, &p->local.sa, mu_addr_size(&p->local)), 0);
	assert_int_equal(getsockname(p->fd, &p->local.sa, &len), 0);
}

void peer_open(struct peer *p, const char *local, const struct mu_addr *gateway,
	const enum mu_srtp_profile *profiles)
{
	struct mu_error e;

	memset(p, 0, sizeof(*p));
	p->gateway = *gateway;
	assert_int_equal(mu_addr_parse(local, 0, &p->local), 0);
	open_socket(p);
	assert_int_equal(mu_identity_new(&p->identity), 0);
	assert_int_equal(mu_dtls_ctx_new(p->identity, profiles, &p->dtls_ctx, &e), 0);
	assert_int_equal(mu_srtp_engine_new("openssl", &p->engine, &e), 0);
}

void peer_close(struct peer *p)
{
	mu_dtls_free(p->dtls);
	mu_srtp_rx_free(p->rx);
	mu_srtp_key_free(p->out);
	mu_srtp_key_free(p->in);
	mu_srtp_engine_free(p->engine);
	mu_dtls_ctx_free(p->dtls_ctx);
	mu_identity_free(p->identity);
	close(p->fd);
}

void peer_move(struct peer *p)
{
	close(p->fd);
	p->tcp = false;
	open_socket(p);
}

void peer_move_to_tcp(struct peer *p, const struct mu_addr *listener)
{
	socklen_t len = sizeof(p->local);

	close(p->fd);
	p->tcp = true;
	p->fd = socket(listener->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mu_addr_set_port(&p->local, 0);
	assert_int_equal(bind(p->fd, &p->local.sa, mu_addr_size(&p->local)), 0);
	assert_int_equal(connect(p->fd, &listener->sa, mu_addr_size(listener)), 0);
	assert_int_equal(getsockname(p->fd, &p->local.sa, &len), 0);
}

void peer_raw(struct peer *p, const void *data, size_t len)
{
	uint8_t frame[2002];

	if (p->tcp) {
		mu_put16(frame, (uint16_t)len);
		memcpy(frame + 2, data, len);
		assert_int_equal(send(p->fd, frame, len + 2, MSG_NOSIGNAL), len + 2);
		return;
	}
	assert_int_equal(sendto(p->fd, data, len, 0, &p->gateway.sa, mu_addr_size(&p->gateway)), len);
}

static void on_dtls_send(void *arg, const uint8_t *data, size_t len)
{
	peer_raw(arg, data, len);
}

void peer_aim(struct peer *p, const struct mu_transport *t)
{
	snprintf(p->ufrag, sizeof(p->ufrag), "%s", mu_transport_ufrag(t));
	snprintf(p->pwd, sizeof(p->pwd), "%s", mu_transport_pwd(t));
}

size_t peer_write_check(struct peer *p, unsigned flags, uint8_t ret[512])
{
	bool controlled = flags & PEER_CONTROLLED;
	char name[64];
	StunAgent a;
	StunMessage m;
	size_t n;

	snprintf(name, sizeof(name), "%s:peer", p->ufrag);
	stun_agent_init(&a, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
		STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
	stun_agent_init_request(&a, &m, ret, 512, STUN_BINDING);
	stun_message_append32(&m, STUN_ATTRIBUTE_PRIORITY, 1000);
	stun_message_append64(
		&m, controlled ? STUN_ATTRIBUTE_ICE_CONTROLLED : STUN_ATTRIBUTE_ICE_CONTROLLING, 1);
	if (flags & PEER_NOMINATE)
		stun_message_append_flag(&m, STUN_ATTRIBUTE_USE_CANDIDATE);
	stun_message_append_string(&m, STUN_ATTRIBUTE_USERNAME, name);
	n = stun_agent_finish_message(&a, &m, (const uint8_t *)p->pwd, strlen(p->pwd));
	assert_true(n > 0);
	return n;
}

enum peer_got peer_check(struct peer *p, unsigned flags)
{
	uint8_t buf[512], got[2000];
	size_t got_len;
	enum peer_got what;

	peer_raw(p, buf, peer_write_check(p, flags, buf));
	do {
		what = peer_take(p, 200, got, &got_len);
	} while (what != PEER_NOTHING && what != PEER_STUN && what != PEER_STUN_ERROR);
	return what;
}

static int take_keys(struct peer *p)
{
	struct mu_dtls_keys k;
	size_t len;

	if (mu_dtls_take_keys(p->dtls, &k) < 0)
		return -EPROTO;
	len = mu_srtp_key_len(k.profile);
	p->profile = k.profile;
	assert_int_equal(mu_srtp_key_new(p->engine, k.profile, k.local, k.local + len, &p->out), 0);
	assert_int_equal(mu_srtp_key_new(p->engine, k.profile, k.remote, k.remote + len, &p->in), 0);
	assert_int_equal(mu_srtp_rx_new(p->in, &p->rx), 0);
	return 0;
}

int peer_connect(struct peer *p, const uint8_t fingerprint[MU_FINGERPRINT_LEN])
{
	uint8_t got[2000];
	size_t len;
	struct mu_error e;
	enum peer_got answer = PEER_NOTHING;

	/* as agents do, again and again (RFC 8445, section 14): a busy machine may take its time */
	for (int i = 0; i < 25 && answer != PEER_STUN; i++)
		answer = peer_check(p, PEER_NOMINATE);
	if (answer != PEER_STUN)
		return -ETIMEDOUT;
	assert_int_equal(mu_dtls_new(p->dtls_ctx, false, (const uint8_t(*)[MU_FINGERPRINT_LEN])fingerprint, 1,
				 on_dtls_send, p, &p->dtls),
		0);
	mu_dtls_start(p->dtls);
	for (int i = 0; i < 40 && mu_dtls_state(p->dtls) == MU_DTLS_HANDSHAKE; i++) {
		enum peer_got what = peer_take(p, 200, got, &len);

		if (what == PEER_DTLS && mu_dtls_input(p->dtls, got, len, &e) < 0)
			return -EPROTO;
		if (what == PEER_NOTHING)
			mu_dtls_tick(p->dtls);
	}
	if (mu_dtls_state(p->dtls) == MU_DTLS_UP)
		return take_keys(p);
	return mu_dtls_state(p->dtls) == MU_DTLS_CLOSED ? -EPROTO : -ETIMEDOUT;
}

void peer_rtp_header(
	struct peer *p, const uint8_t *header, size_t hlen, uint64_t index, const void *payload, size_t len)
{
	uint8_t pkt[1600];
	struct mu_srtp_job j = { .key = p->out,
		.out = pkt,
		.payload = payload,
		.hlen = (uint16_t)hlen,
		.payload_len = (uint16_t)len,
		.ssrc = mu_get32(header + 8),
		.index = index };

	memcpy(pkt, header, hlen);
	mu_srtp_protect(p->engine, &j, 1);
	peer_raw(p, pkt, hlen + len + mu_srtp_growth(p->profile));
}

void peer_rtp(struct peer *p, uint32_t ssrc, uint64_t index, uint8_t pt, uint32_t ts, bool marker,
	const void *payload, size_t len)
{
	uint8_t header[12] = { 0x80, (uint8_t)(pt | (marker ? 0x80 : 0)) };

	mu_put16(header + 2, (uint16_t)index);
	mu_put32(header + 4, ts);
	mu_put32(header + 8, ssrc);
	peer_rtp_header(p, header, sizeof(header), index, payload, len);
}

void peer_rtcp(struct peer *p, const void *data, size_t len)
{
	uint8_t sealed[1500];
	int n = mu_srtcp_protect(p->engine, p->out, ++p->srtcp_index, data, len, sealed);

	assert_true(n > 0);
	peer_raw(p, sealed, (size_t)n);
}

void peer_report(struct peer *p)
{
	uint8_t buf[64];
	struct mu_rtcp_writer w = { buf, sizeof(buf), 0 };

	mu_rtcp_add_rr(&w, 1, NULL, 0);
	peer_rtcp(p, buf, w.len);
}

static enum peer_got open_media(
	struct peer *p, const uint8_t *data, size_t len, uint8_t *ret, size_t *ret_len)
{
	struct mu_rtp_header h;
	bool rtcp = mu_is_rtcp(data);
	int n;

	if (!p->rx || (!rtcp && mu_rtp_parse(data, len, &h) < 0))
		return PEER_BAD;
	n = rtcp ? mu_srtp_rx_rtcp(p->engine, p->rx, data, len, ret)
		 : mu_srtp_rx_rtp(p->engine, p->rx, data, len, h.hlen, ret);
	if (n < 0)
		return PEER_BAD;
	*ret_len = (size_t)n;
	return rtcp ? PEER_RTCP : PEER_RTP;
}

/* A datagram, or a frame without its head. */
static ssize_t receive(struct peer *p, uint8_t data[2000])
{
	uint8_t head[2];
	size_t n;

	if (!p->tcp)
		return recv(p->fd, data, 2000, 0);
	if (recv(p->fd, head, sizeof(head), MSG_WAITALL) != sizeof(head))
		return 0;
	n = mu_get16(head);
	assert_in_range(n, 1, MU_DATAGRAM_MAX);
	return recv(p->fd, data, n, MSG_WAITALL) == (ssize_t)n ? (ssize_t)n : 0;
}

enum peer_got peer_take(struct peer *p, int timeout_ms, uint8_t *ret, size_t *ret_len)
{
	struct pollfd f = { .fd = p->fd, .events = POLLIN };
	uint8_t data[2000];
	ssize_t n;

	if (poll(&f, 1, timeout_ms) != 1)
		return PEER_NOTHING;
	n = receive(p, data);
	if (n <= 0)
		return PEER_NOTHING;
	if (data[0] >= 128)
		return open_media(p, data, (size_t)n, ret, ret_len);
	memcpy(ret, data, (size_t)n);
	*ret_len = (size_t)n;
	if (data[0] >= 20)
		return PEER_DTLS;
	return mu_get16(data) == 0x0101 ? PEER_STUN : PEER_STUN_ERROR;
}
