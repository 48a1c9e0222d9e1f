/* Floods whose packets differ: forged, replayed, of many SSRCs, from many addresses; checks that must not
 * count. */
#include "attack.h"

#include <arpa/inet.h>
#include <stdlib.h>

struct flood {
	struct attack *a;
	struct peer *peer;
	struct session *session;
	json_t *in;
	const char *kind;
	uint32_t ssrc;
	uint64_t at;
};

static struct flood flood_of(struct attack *a, json_t *in)
{
	struct flood f = { .a = a, .peer = session_find(a, in), .in = in };

	f.session = f.peer ? session_of(f.peer) : NULL;
	f.kind = json_string_value(json_object_get(in, "kind"));
	if (!f.kind)
		f.kind = "";
	return f;
}

/* --- SRTP --- */

/* RELIABILITY S4: the stream's own SSRC and next number, from its own address, and a tag that is made up. */
static void forge_one(void *arg, uint64_t i)
{
	struct flood *f = arg;
	const struct seen *last = last_sent(f->session, f->ssrc);
	uint8_t d[1100] = { 0x80 };

	if (!last)
		return;
	d[1] = last->pt;
	mu_put16(d + 2, (uint16_t)(last->seq + 1 + i % 16));
	mu_put32(d + 4, last->ts);
	mu_put32(d + 8, last->ssrc);
	mu_random(d + 12, 64);
	/* not by net_send: these are no packets of the session */
	__real_net_send(f->peer, d, sizeof(d));
}

const char *do_forge(struct attack *a, json_t *in, json_t *out)
{
	struct flood f = flood_of(a, in);

	(void)out;
	if (!f.peer || !f.peer->pub)
		return "no publisher";
	f.ssrc = pub_ssrc(f.peer->pub, VIDEO);
	at_rate(a, n_of(in), rate_of(in), forge_one, &f);
	return NULL;
}

static void replay_one(void *arg, uint64_t i)
{
	struct flood *f = arg;
	const struct kept *k = &f->session->kept[(f->at + i) % KEPT_MAX];

	__real_net_send(f->peer, k->data, k->len);
}

/* RELIABILITY S5: the last n packets that were kept, again. */
const char *do_replay(struct attack *a, json_t *in, json_t *out)
{
	struct flood f = flood_of(a, in);
	uint64_t n = n_of(in);

	if (!f.session || !f.session->kept)
		return "nothing kept";
	n = MU_MIN(n, MU_MIN(f.session->n_kept, (uint64_t)KEPT_MAX));
	f.at = f.session->n_kept - n;
	json_object_set_new(out, "n", json_integer((json_int_t)n));
	at_rate(a, n, rate_of(in), replay_one, &f);
	return NULL;
}

/* RELIABILITY S14: every packet well sealed, and of another SSRC. */
static void ssrc_one(void *arg, uint64_t i)
{
	struct flood *f = arg;
	uint8_t d[12] = { 0x80, 96 }, payload[200] = { 0x7c, 0x41 }, out[300];
	struct mu_srtp_job j = { .key = f->peer->tx,
		.out = out,
		.payload = payload,
		.hlen = 12,
		.payload_len = sizeof(payload),
		.ssrc = 0x51000000u + (uint32_t)i,
		.index = 1 };

	mu_put16(d + 2, 1);
	mu_put32(d + 8, j.ssrc);
	memcpy(out, d, sizeof(d));
	mu_srtp_protect(f->a->load->engine, &j, 1);
	__real_net_send(
		f->peer, out, 12 + sizeof(payload) + mu_srtp_growth(mu_srtp_key_profile(f->peer->tx)));
}

const char *do_ssrcs(struct attack *a, json_t *in, json_t *out)
{
	struct flood f = flood_of(a, in);

	(void)out;
	if (!f.peer || !f.peer->tx)
		return "no keys";
	at_rate(a, n_of(in), rate_of(in), ssrc_one, &f);
	return NULL;
}

/* RELIABILITY S7: from a session's own address, SRTP and SRTCP of every small length, some with what could be
 * an SRTCP trailer with E = 0. */
static void scrap_one(void *arg, uint64_t i)
{
	struct flood *f = arg;
	uint8_t d[64];
	size_t len = i % 61;

	mu_random(d, sizeof(d));
	d[0] = i % 3 ? (uint8_t)(0x80 | (d[0] & 0x3f)) : d[0];
	if (i % 2)
		d[1] = (uint8_t)(200 + i % 8);
	if (i % 5 == 0 && len >= 16)
		mu_put32(d + len - (f->at ? 4 : 14), (uint32_t)i & 0x7fffffff);
	/* garbage that happens to be a close_notify or a good check does not happen */
	if (len)
		__real_net_send(f->peer, d, len);
}

const char *do_scraps(struct attack *a, json_t *in, json_t *out)
{
	struct flood f = flood_of(a, in);

	(void)out;
	if (!f.peer)
		return "no session";
	f.at = a->load->o.profile == MU_SRTP_AEAD_AES_128_GCM;
	at_rate(a, n_of(in), rate_of(in), scrap_one, &f);
	return NULL;
}

/* --- from addresses that nobody proved --- */

static size_t client_hello(uint8_t *d, uint64_t i)
{
	size_t len = 13 + 12 + 2 + 32 + 60;

	memset(d, 0, len);
	d[0] = 22;
	mu_put16(d + 1, 0xfefd);
	mu_put16(d + 9, (uint16_t)i);
	mu_put16(d + 11, (uint16_t)(len - 13));
	d[13] = 1; /* ClientHello: length, message number, fragment; version, random; the rest is cut short or
		      wrong */
	mu_put16(d + 15, (uint16_t)(len - 25));
	mu_put16(d + 23, (uint16_t)(len - 25));
	mu_put16(d + 25, 0xfefd);
	mu_random(d + 27, 32);
	d[59] = i % 4 ? 0 : 255;
	return i % 7 ? len : 20 + i % 40;
}

static size_t dtls_scrap(uint8_t *d, uint64_t i)
{
	static const uint8_t alert[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40 };

	switch (i % 3) {
	case 0:
		memcpy(d, alert, sizeof(alert));
		d[14] = i % 2 ? 0 : 40; /* close_notify, handshake_failure */
		return sizeof(alert);
	case 1:
		mu_random(d, 64);
		d[0] = (uint8_t)(20 + i % 6);
		return 13 + i % 51;
	default:
		return client_hello(d, i);
	}
}

/* A check as to a session that is not there, in all else right. */
static size_t unknown_check(struct peer *p, uint8_t *d)
{
	mu_random_text(p->remote.ufrag, 8);
	mu_random_text(p->remote.pwd, 24);
	mu_random_text(p->ufrag, 4);
	return stun_check(p, d);
}

static void spray_one(void *arg, uint64_t i)
{
	struct flood *f = arg;
	struct peer from = *f->peer;
	uint8_t d[1024] = { 0x80, 0 };
	uint32_t addresses = (uint32_t)json_integer_value(json_object_get(f->in, "addresses"));
	size_t len = 172;

	from.signal = NULL;
	if (addresses) /* 127.64.0.1 and on */
		from.local.s_addr = htonl(0x7f400001u + (uint32_t)(i % addresses));
	if (!strcmp(f->kind, "stun")) {
		len = unknown_check(&from, d);
	} else if (!strcmp(f->kind, "hello")) {
		len = client_hello(d, i);
	} else if (!strcmp(f->kind, "dtls")) {
		len = dtls_scrap(d, i);
	} else {
		mu_put16(d + 2, (uint16_t)i);
		mu_put32(d + 8, f->ssrc ? f->ssrc : mu_random_u32());
	}
	__real_net_send(&from, d, len);
}

/* From a stranger's address, or, with "addresses", from so many. */
const char *do_spray(struct attack *a, json_t *in, json_t *out)
{
	struct flood f = flood_of(a, in);

	(void)out;
	if (!f.peer)
		return "no session";
	f.ssrc = (uint32_t)json_integer_value(json_object_get(in, "ssrc"));
	at_rate(a, n_of(in), rate_of(in), spray_one, &f);
	return NULL;
}

/* --- checks --- */

/* Drop MESSAGE-INTEGRITY and FINGERPRINT, 24 and 8 bytes, and put a FINGERPRINT of 0 there, or nothing. */
static size_t without_integrity(uint8_t *d, size_t len)
{
	mu_put16(d + 2, (uint16_t)(len - 20 - 32));
	return len - 32;
}

/* RELIABILITY S8: "password": right but for the password; "integrity": none at all; "role": as if the peer
 * were controlled; "cut": attributes that say more than there is; "valid": nothing wrong. */
static void check_one(void *arg, uint64_t i)
{
	struct flood *f = arg;
	struct peer from = *f->peer;
	struct peer *as = session_find(f->a, json_object_get(f->in, "as"));
	uint8_t d[1024];
	size_t len;

	from.signal = NULL;
	if (as)
		from.remote = as->remote;
	if (!strcmp(f->kind, "password"))
		mu_random_text(from.remote.pwd, 24);
	len = stun_check(&from, d);
	if (!strcmp(f->kind, "integrity"))
		len = without_integrity(d, len);
	else if (!strcmp(f->kind, "cut"))
		mu_put16(d + 22, (uint16_t)(mu_get16(d + 22) + 1 + i % 60000));
	else if (!strcmp(f->kind, "role"))
		for (size_t at = 20; at + 4 < len; at++)
			if (mu_get32(d + at) == 0x802a0008u)
				mu_put16(d + at, 0x8029);
	__real_net_send(&from, d, len);
}

/* "as": {"id": k}: with what session k knows of the gateway; else with the session's own. */
const char *do_checks(struct attack *a, json_t *in, json_t *out)
{
	struct flood f = flood_of(a, in);

	(void)out;
	if (!f.peer)
		return "no session";
	at_rate(a, n_of(in), rate_of(in), check_one, &f);
	return NULL;
}

static void steal_one(void *arg, uint64_t i)
{
	struct flood *f = arg;
	struct peer *from = session_find(f->a, json_object_get(f->in, "from"));
	struct peer forged = *f->peer;
	uint8_t d[1024];

	(void)i;
	forged.signal = NULL;
	forged.fd = from->fd;
	forged.local = from->local;
	__real_net_send(&forged, d, stun_check(&forged, d));
}

/* A valid check of session "id" that seems to come from where session "from" is: whoever can forge a source
 * address. */
const char *do_steal(struct attack *a, json_t *in, json_t *out)
{
	struct flood f = flood_of(a, in);

	(void)out;
	if (!f.peer || !session_find(a, json_object_get(in, "from")))
		return "no session";
	at_rate(a, n_of(in), rate_of(in), steal_one, &f);
	return NULL;
}
