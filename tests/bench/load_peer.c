/* One session from its first request to its last: signalling, ICE, DTLS, media, teardown. */
#include "load.h"

#include <stdlib.h>
#include <unistd.h>

#define SIGNAL_LIMIT_US  15000000
#define SETUP_LIMIT_US   10000000
#define CONSENT_EVERY_US 2500000
#define CONSENT_LIMIT_US 30000000 /* RFC 7675, section 5.1 */
#define KEY_LIMIT_US     15000000 /* from keys to the first key frame */
#define LEAVE_LIMIT_US   10000000

struct peer *peer_new(struct load *l, bool publishes, unsigned stream, const char *name)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->load = l;
	p->publishes = publishes;
	p->media = publishes ? &media_pub : &media_view;
	p->stream = stream;
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

static void set_state(struct peer *p, enum peer_state s, int64_t now_us)
{
	p->state = s;
	p->state_us = now_us;
}

/* A number no other session uses now; a fresh one each time, so that a server sees another 5-tuple. */
static void take_index(struct peer *p)
{
	struct load *l = p->load;

	do
		p->index = l->next_index++ % LOAD_PEERS_MAX;
	while (l->by_index[p->index]);
	l->by_index[p->index] = p;
}

void peer_start(struct peer *p, int64_t now_us)
{
	take_index(p);
	net_assign(p);
	mu_random_text(p->ufrag, sizeof(p->ufrag) - 1);
	mu_random_text(p->pwd, sizeof(p->pwd) - 1);
	mu_random(&p->tie_breaker, sizeof(p->tie_breaker));
	p->why[0] = 0;
	p->ready = false;
	p->checks = 0;
	p->srtcp_index = 0;
	p->leave_us = INT64_MAX;
	p->begun_us = now_us;
	set_state(p, PEER_SIGNAL, now_us);
	if (p->media->open(p) < 0) {
		peer_fail(p, "no memory");
		return;
	}
	p->load->signal->start(p);
}

static void send_check(struct peer *p, int64_t now_us)
{
	uint8_t msg[1024];

	net_send(p, msg, stun_check(p, msg));
	p->checks++;
	/* at first as quickly as RFC 8445's pacing allows, then less and less often */
	p->next_check_us = now_us +
		(p->state == PEER_UP ? CONSENT_EVERY_US : MU_MIN(20000 << MU_MIN(p->checks, 5u), 500000));
}

void peer_remote(struct peer *p, const char *sdp)
{
	const char *why;
	int64_t now_us = mu_clock_us();

	if (p->state != PEER_SIGNAL)
		return;
	if (sdp_read(sdp, &p->remote, &why) < 0) {
		peer_fail(p, "SDP with %s", why);
		return;
	}
	set_state(p, PEER_ICE, now_us);
	send_check(p, now_us);
}

static void dtls_send(void *arg, const uint8_t *data, size_t len)
{
	net_send(arg, data, len);
}

static void start_dtls(struct peer *p, int64_t now_us)
{
	const uint8_t(*fp)[MU_FINGERPRINT_LEN] =
		(const uint8_t(*)[MU_FINGERPRINT_LEN]) & p->remote.fingerprint;

	set_state(p, PEER_DTLS, now_us);
	if (mu_dtls_new(p->load->dtls, p->remote.active, fp, 1, dtls_send, p, &p->dtls) < 0 ||
		(!p->remote.active && mu_dtls_start(p->dtls) < 0))
		peer_fail(p, "DTLS does not start");
}

int peer_keys(struct peer *p, const struct mu_dtls_keys *k)
{
	struct mu_srtp_engine *en = p->load->engine;
	size_t n = mu_srtp_key_len(k->profile);
	int64_t now_us = mu_clock_us();

	if (mu_srtp_key_new(en, k->profile, k->local, k->local + n, &p->tx) < 0 ||
		mu_srtp_key_new(en, k->profile, k->remote, k->remote + n, &p->rx_key) < 0 ||
		mu_srtp_rx_new(p->rx_key, &p->rx) < 0) {
		peer_fail(p, "SRTP keys");
		return -1;
	}
	set_state(p, PEER_UP, now_us);
	p->next_check_us = p->load->bare ? INT64_MAX : now_us + CONSENT_EVERY_US;
	p->last_consent_us = now_us;
	/* spread over the second: a thousand viewers' reports must not come at once */
	p->next_report_us = now_us + (int64_t)(mu_random_u32() % 1000000);
	hist_add(&p->load->handshake, (uint64_t)(now_us - p->begun_us) * 1000);
	p->load->up++;
	if (p->media->up)
		p->media->up(p);
	return 0;
}

static void dtls_input(struct peer *p, const uint8_t *data, size_t len)
{
	struct mu_dtls_keys keys;
	struct mu_error e = { "" };

	if (!p->dtls)
		return;
	if (mu_dtls_input(p->dtls, data, len, &e) < 0) {
		peer_fail(p, "DTLS: %s", e.text);
		return;
	}
	if (mu_dtls_state(p->dtls) == MU_DTLS_CLOSED && p->state != PEER_ENDING)
		peer_fail(p, "the server closed DTLS");
	if (p->state != PEER_DTLS || mu_dtls_state(p->dtls) != MU_DTLS_UP ||
		mu_dtls_take_keys(p->dtls, &keys) < 0)
		return;
	peer_keys(p, &keys);
}

static void checked(struct peer *p, const uint8_t *data, size_t len)
{
	uint8_t reply[512];
	size_t reply_len;
	int what = stun_input(p, data, len, reply, &reply_len);
	int64_t now_us = mu_clock_us();

	if (reply_len)
		net_send(p, reply, reply_len);
	if (what != 1)
		return;
	p->last_consent_us = now_us;
	if (p->state == PEER_ICE)
		start_dtls(p, now_us);
}

static void srtcp_input(struct peer *p, const uint8_t *data, size_t len)
{
	uint8_t plain[LOAD_DATAGRAM];
	int n = mu_srtp_rx_rtcp(p->load->engine, p->rx, data, len, plain);

	if (n < 0) {
		p->load->c.bad++;
		return;
	}
	if (p->media->rtcp)
		p->media->rtcp(p, plain, (size_t)n);
}

/* RFC 7983: the first byte tells. */
void peer_input(struct peer *p, const uint8_t *data, size_t len, uint64_t ns)
{
	if (len < 12 || len > LOAD_DATAGRAM)
		return;
	if (data[0] >> 6 == 2) {
		if (!p->rx)
			return;
		if (mu_is_rtcp(data))
			srtcp_input(p, data, len);
		else if (p->media->rtp)
			p->media->rtp(p, data, len, ns);
	} else if (data[0] < 4) {
		if (p->state != PEER_FREE && p->remote.addr.sin_port)
			checked(p, data, len);
	} else if (data[0] >= 20 && data[0] < 64) {
		dtls_input(p, data, len);
	}
}

void peer_rtcp(struct peer *p, const struct mu_rtcp_writer *w)
{
	uint8_t out[LOAD_DATAGRAM + MU_SRTCP_GROWTH_MAX];
	int n;

	if (p->load->bare || !p->tx || !w->len)
		return;
	n = mu_srtcp_protect(p->load->engine, p->tx, p->srtcp_index++, w->data, w->len, out);
	if (n > 0)
		net_send(p, out, (size_t)n);
}

static void tick_up(struct peer *p, int64_t now_us)
{
	if (now_us - p->last_consent_us > CONSENT_LIMIT_US && !p->load->bare) {
		p->load->consent_lost++;
		peer_fail(p, "consent expired");
		return;
	}
	if (p->view && !p->ready && now_us - p->state_us > KEY_LIMIT_US) {
		peer_fail(p, "no key frame in time");
		return;
	}
	if (now_us >= p->leave_us) {
		peer_leave(p);
		return;
	}
	if (now_us >= p->next_check_us)
		send_check(p, now_us);
	if (p->media->tick)
		p->media->tick(p, now_us);
	if (now_us < p->next_report_us)
		return;
	p->next_report_us = now_us + 1000000;
	if (p->media->report)
		p->media->report(p, now_us);
}

void peer_tick(struct peer *p, int64_t now_us)
{
	int64_t in_state = now_us - p->state_us;

	switch (p->state) {
	case PEER_SIGNAL:
		if (in_state > SIGNAL_LIMIT_US)
			peer_fail(p, "no answer in time");
		break;
	case PEER_ICE:
		if (in_state > SETUP_LIMIT_US)
			peer_fail(p, "no answer to connectivity checks");
		else if (now_us >= p->next_check_us)
			send_check(p, now_us);
		break;
	case PEER_DTLS:
		if (in_state > SETUP_LIMIT_US)
			peer_fail(p, "DTLS handshake not done in time");
		else
			mu_dtls_tick(p->dtls);
		break;
	case PEER_UP:
		tick_up(p, now_us);
		break;
	case PEER_ENDING:
		if (in_state > LEAVE_LIMIT_US)
			peer_fail(p, "no answer to leaving");
		break;
	case PEER_FREE:
	case PEER_FAILED:
		break;
	}
}

void peer_leave(struct peer *p)
{
	if (p->state != PEER_UP)
		return;
	set_state(p, PEER_ENDING, mu_clock_us());
	p->load->signal->stop(p);
}

void peer_gone(struct peer *p)
{
	p->load->up--;
	peer_clear(p);
	run_ended(p, false);
}

void peer_fail(struct peer *p, const char *fmt, ...)
{
	struct load *l = p->load;
	va_list ap;

	if (p->state == PEER_FREE || p->state == PEER_FAILED)
		return;
	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	if (l->failures < MU_ARRAY_LEN(l->first_failures))
		snprintf(l->first_failures[l->failures], sizeof(l->first_failures[0]), "%.31s: %.150s",
			p->name, p->why);
	l->failures++;
	if (p->state == PEER_UP || p->state == PEER_ENDING)
		l->up--;
	/* freed by the loop: a caller up the stack may be inside this peer's DTLS */
	set_state(p, PEER_FAILED, mu_clock_us());
}

void peer_clear(struct peer *p)
{
	http_forget(p);
	mu_dtls_free(p->dtls);
	mu_srtp_rx_free(p->rx);
	mu_srtp_key_free(p->rx_key);
	mu_srtp_key_free(p->tx);
	p->dtls = NULL;
	p->rx = NULL;
	p->tx = p->rx_key = NULL;
	p->media->close(p);
	free(p->signal);
	p->signal = NULL;
	if (p->load->by_index[p->index] == p)
		p->load->by_index[p->index] = NULL;
	memset(&p->remote, 0, sizeof(p->remote));
	p->state = PEER_FREE;
}
