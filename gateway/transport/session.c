/* A transport on its worker: attached, validated, keyed, closed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "transport/fit.h"

#define RETURN_US  10000000 /* how long a session without consent waits for an ICE restart */
#define NO_CONSENT "the peer stopped answering (no consent for 30 s)"

/* --- shared header maps ---------------------------------------------------------------------------------------------------- */

struct shared_map *map_take(struct plane *p, const struct mu_ext_map *m)
{
	struct mu_ext_map travelling = { 0 };
	struct shared_map *s;

	for (unsigned type = 1; type < MU_EXT_COUNT; type++) {
		if (m->id_of[type] && mu_ext_travels((enum mu_rtp_ext)type))
			mu_ext_map_set(&travelling, (enum mu_rtp_ext)type, m->id_of[type]);
	}
	for (unsigned i = 0; i < p->n_maps; i++) {
		if (memcmp(&p->maps[i]->map, &travelling, sizeof(travelling)) == 0) {
			p->maps[i]->refs++;
			return p->maps[i];
		}
	}
	if (p->n_maps == p->size_maps) {
		unsigned size = MU_MAX(p->size_maps * 2, 8u);
		struct shared_map **maps = realloc(p->maps, size * sizeof(struct shared_map *));

		if (!maps)
			return NULL;
		p->maps = maps;
		p->size_maps = size;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->map = travelling;
	s->refs = 1;
	p->maps[p->n_maps++] = s;
	return s;
}

void map_drop(struct plane *p, struct shared_map *m)
{
	if (!m || --m->refs > 0)
		return;
	for (unsigned i = 0; i < p->n_maps; i++) {
		if (p->maps[i] == m)
			p->maps[i] = p->maps[--p->n_maps];
	}
	free(m);
}

/* --- attach ------------------------------------------------------------------------------------------------------------------ */

static void register_ufrag(struct mu_transport *t, unsigned i, const char *ufrag)
{
	struct ufrag_entry *e = &t->ufrags[i];

	mu_list_remove(&e->link);
	e->t = t;
	snprintf(e->ufrag, sizeof(e->ufrag), "%s", ufrag);
	mu_list_append(ufrag_bucket(t->plane, ufrag), &e->link);
}

static void send_dtls(void *arg, const uint8_t *data, size_t len)
{
	struct mu_transport *t = arg;

	if (t->path.remote.sa.sa_family != AF_UNSPEC && !t->muted && !t->silent)
		mu_worker_send_copy(t->worker, &t->path, data, len);
}

/* Before DTLS is up: its retransmissions, and the end of patience. */
static void connect_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct mu_transport *t = MU_CONTAINER_OF(timer, struct mu_transport, connect_timer);
	int64_t give_up = t->created_us + t->connect_timeout_us, next;

	if (t->key_out) /* up; the association still answers a repeated last flight when it comes */
		return;
	if (now_us >= give_up) {
		session_close(t, t->ice.n_pairs == 0 ? "no valid connectivity check came" : "DTLS did not complete", now_us);
		return;
	}
	next = t->ice.n_pairs > 0 ? mu_dtls_tick(t->dtls) : -1;
	mu_timer_set(w, timer, next >= 0 ? MU_MIN(now_us + MU_MAX(next, 1000), give_up) : give_up);
}

int session_attach_in(struct in_stream *s)
{
	int err = s->spec.nack ? mu_nack_new(10000, &s->nack) : 0;

	if (err < 0)
		return err;
	s->ssrc = s->spec.ssrc;
	s->rtx_ssrc = s->spec.rtx_ssrc;
	mu_rtp_rx_init(&s->rx, mu_codec_clock(s->spec.formats[0].codec));
	return s->spec.twcc && !s->t->twcc ? mu_twcc_rx_new(&s->t->twcc) : 0;
}

int session_attach_out(struct out_stream *o)
{
	o->map = map_take(o->t->plane, &o->offer->exts);
	o->sink.deliver = egress_deliver;
	o->rtt_us = -1;
	return o->map ? 0 : -ENOMEM;
}

static int attach_streams(struct mu_transport *t)
{
	int err = t->is_fitted ? fitted_new(t) : 0;

	for (unsigned i = 0; i < t->n_in && err == 0; i++)
		err = session_attach_in(t->in[i]);
	for (unsigned i = 0; i < t->n_out && err == 0; i++)
		err = session_attach_out(t->out[i]);
	return err;
}

static void attach(struct mu_transport *t, int64_t now_us)
{
	int err;

	t->created_us = now_us;
	t->connected_us = -1;
	t->queue_head = t->queue_tail = -1;
	t->police_us = now_us;
	t->police_bits = (int64_t)t->plane->publisher_bps;
	t->rtcp_ssrc = t->n_out > 0 ? t->out[0]->spec.ssrc : mu_random_u32();
	mu_list_append(&t->plane->transports, &transport_ref(t)->link);
	t->plane->n_transports++;
	register_ufrag(t, 0, t->ice.ufrag);
	err = attach_streams(t);
	if (err == 0)
		err = mu_dtls_new(t->media->dtls, t->dtls_server, (const uint8_t(*)[MU_FINGERPRINT_LEN])t->fingerprints,
			t->n_fingerprints, send_dtls, t, &t->dtls);
	if (err < 0) {
		session_close(t, "out of memory", now_us);
		return;
	}
	t->connect_timer.fn = connect_timer;
	t->tick_timer.fn = report_tick;
	t->nack_timer.fn = feedback_nack_timer;
	mu_timer_set(t->worker, &t->connect_timer, now_us + t->connect_timeout_us);
}

void session_attach_msg(struct mu_msg *msg)
{
	struct transport_msg *m = MU_CONTAINER_OF(msg, struct transport_msg, msg);

	attach(m->t, mu_clock_us());
	transport_unref(m->t);
	free(m);
}

/* --- ICE ----------------------------------------------------------------------------------------------------------------------- */

static struct mu_addr_map *map_of(struct mu_transport *t, const struct mu_path *path)
{
	return &t->plane->by_addr[path->socket];
}

/* The session whose check came last from an address has it: NAT gives a port that is free again to somebody else. */
static void own_address(struct mu_transport *t, const struct mu_path *path)
{
	if (mu_addr_map_get(map_of(t, path), &path->remote) != t)
		mu_addr_map_put(map_of(t, path), &path->remote, t); /* without memory the next check tries again */
}

static void disown_address(struct mu_transport *t, const struct mu_path *path)
{
	for (unsigned i = 0; i < t->ice.n_pairs; i++) {
		const struct mu_path *p = &t->ice.pairs[i].path;

		if (p->socket == path->socket && mu_addr_equal(&p->remote, &path->remote))
			return; /* known by another local address too */
	}
	if (mu_addr_map_get(map_of(t, path), &path->remote) == t)
		mu_addr_map_remove(map_of(t, path), &path->remote);
}

static void disown_addresses(struct mu_transport *t)
{
	while (t->ice.n_pairs > 0) {
		t->ice.n_pairs--;
		disown_address(t, &t->ice.pairs[t->ice.n_pairs].path);
	}
}

/* A source address can be forged. From the path that a keyed session uses, and whose peer is there, comes nobody else: a
 * check from there for another session would give that one this session's datagrams, and aim its media at this peer. A NAT
 * that gave the port of a peer that is gone to somebody else has to be believed: later, when the path is stale. */
bool session_holds(const struct mu_transport *t, const struct mu_path *path, int64_t now_us)
{
	return t->key_out && t->path.socket == path->socket && mu_addr_equal(&t->path.remote, &path->remote) &&
	       now_us - t->ice.last_check_us < MU_ICE_STALE_US;
}

void session_heard_from(struct mu_transport *t, const struct mu_path *from)
{
	if (mu_ice_heard(&t->ice, from))
		t->path = t->ice.used;
}

void session_fall_silent(struct mu_transport *t, int64_t now_us)
{
	if (!t->silent) {
		t->silent = true;
		t->restarted = t->ice.old_ufrag[0] != '\0'; /* it may be under way */
		t->sendable = false;
		t->silent_us = now_us;
		event_state(t, MU_TRANSPORT_SILENT, NO_CONSENT);
	} else if (now_us >= t->silent_us + RETURN_US) {
		session_close(t, NO_CONSENT, now_us);
		return;
	}
	mu_timer_set(t->worker, &t->tick_timer, t->silent_us + RETURN_US);
}

/* Consent that was lost comes back with new credentials only (RFC 7675, section 5.1). */
static void revive(struct mu_transport *t, int64_t now_us)
{
	if (!t->restarted || t->ice.old_ufrag[0])
		return;
	t->silent = false;
	for (unsigned i = 0; i < t->n_out; i++) { /* what came meanwhile was not sent */
		if (t->is_fitted)
			fit_resume(t->out[i], now_us);
		else if (t->out[i]->kind == MU_VIDEO)
			mu_track_ask_key(t->out[i]->spec.track, t->worker, now_us);
	}
	mu_timer_set(t->worker, &t->tick_timer, report_next_us(t, now_us));
	event_state(t, MU_TRANSPORT_CONNECTED, mu_srtp_profile_name(t->profile));
}

void session_ice_event(struct mu_transport *t, enum mu_ice_event ev, const struct mu_path *from, int64_t now_us)
{
	bool first = t->path.remote.sa.sa_family == AF_UNSPEC;

	if (ev != MU_ICE_VALID && ev != MU_ICE_NOMINATED)
		return;
	if (t->ice.forgotten.remote.sa.sa_family != AF_UNSPEC)
		disown_address(t, &t->ice.forgotten);
	own_address(t, from);
	if (ev == MU_ICE_NOMINATED && t->ufrags[1].t && t->ice.old_ufrag[0] == '\0') {
		mu_list_remove(&t->ufrags[1].link); /* the restart is complete: the credentials before are done */
		t->ufrags[1].t = NULL;
	}
	t->path = t->ice.used;
	if (t->silent)
		revive(t, now_us);
	t->sendable = t->key_out && !t->silent && mu_ice_consent(&t->ice, now_us);
	if (first && !t->dtls_server)
		mu_dtls_start(t->dtls);
	if (first)
		mu_timer_set(t->worker, &t->connect_timer, now_us + 1000);
}

void session_restart_msg(struct mu_msg *msg)
{
	struct transport_msg *m = MU_CONTAINER_OF(msg, struct transport_msg, msg);
	struct mu_transport *t = m->t;

	if (!mu_list_empty(&t->link)) {
		if (!t->ice.old_ufrag[0]) /* else a restart in a restart: what was nominated stays answered */
			register_ufrag(t, 1, t->ice.ufrag);
		mu_ice_restart(&t->ice, m->ufrag, m->pwd);
		t->restarted = true;
		register_ufrag(t, 0, t->ice.ufrag);
	}
	explicit_bzero(m->pwd, sizeof(m->pwd));
	transport_unref(t);
	free(m);
}

/* --- DTLS ----------------------------------------------------------------------------------------------------------------------- */

static int install_keys(struct mu_transport *t, struct mu_dtls_keys *k)
{
	size_t len = mu_srtp_key_len(k->profile);
	int err = mu_srtp_key_new(t->plane->engine, k->profile, k->remote, k->remote + len, &t->key_in);

	if (err == 0)
		err = mu_srtp_key_new(t->plane->engine, k->profile, k->local, k->local + len, &t->key_out);
	if (err == 0)
		err = mu_srtp_rx_new(t->key_in, &t->rx);
	t->profile = k->profile;
	t->growth = (uint8_t)mu_srtp_growth(k->profile);
	explicit_bzero(k, sizeof(*k));
	return err;
}

void session_begin_in(struct in_stream *s, int64_t now_us)
{
	s->source.ask_key = s->spec.pli || s->spec.fir ? incoming_ask_key : NULL;
	s->attached = mu_track_set_source(s->spec.track, &s->source, s->spec.formats, s->spec.n_formats, now_us) == 0;
	if (!s->attached)
		mu_warn(TOPIC, s->t->id, "track %s has a source already: this stream is not forwarded",
			mu_track_id(s->spec.track));
}

static void flow(struct mu_transport *t, int64_t now_us)
{
	for (unsigned i = 0; i < t->n_in; i++)
		session_begin_in(t->in[i], now_us);
	for (unsigned i = 0; i < t->n_out; i++) {
		if (!t->is_fitted)
			mu_track_add_sink(t->out[i]->spec.track, t->worker, &t->out[i]->sink, now_us);
	}
	if (t->is_fitted)
		fitted_begin(t, now_us);
}

void session_keyed(struct mu_transport *t, struct mu_dtls_keys *keys, int64_t now_us)
{
	if (install_keys(t, keys) < 0) {
		session_close(t, "SRTP keys could not be set up", now_us);
		return;
	}
	mu_ice_settle(&t->ice);
	t->connected_us = now_us - t->created_us;
	t->sendable = true;
	t->next_report_us = now_us + 500000 + mu_random_u32() % 500000;
	mu_timer_cancel(t->worker, &t->connect_timer);
	mu_timer_set(t->worker, &t->tick_timer, now_us + (t->twcc ? TICK_PUBLISHER_US : TICK_VIEWER_US / 2));
	event_state(t, MU_TRANSPORT_CONNECTED, mu_srtp_profile_name(t->profile));
	flow(t, now_us);
}

static void dtls_up(struct mu_transport *t, int64_t now_us)
{
	struct mu_dtls_keys keys;

	if (mu_dtls_take_keys(t->dtls, &keys) < 0)
		session_close(t, "DTLS gave no SRTP keys", now_us);
	else
		session_keyed(t, &keys, now_us);
}

void session_dtls_input(struct mu_transport *t, const uint8_t *data, size_t len, int64_t now_us)
{
	struct mu_error e = { "" };
	int err;

	if (!t->key_out && t->plane->from)
		session_heard_from(t, t->plane->from); /* the answer goes where the question came from */
	err = mu_dtls_input(t->dtls, data, len, &e);
	if (err < 0) {
		mu_warn(TOPIC, t->id, "DTLS: %s", e.text);
		session_close(t, e.text, now_us);
	} else if (mu_dtls_state(t->dtls) == MU_DTLS_CLOSED) {
		session_close(t, "the peer closed the connection", now_us);
	} else if (mu_dtls_state(t->dtls) == MU_DTLS_UP && !t->key_out) {
		dtls_up(t, now_us);
	} else if (!t->key_out) {
		int64_t next = mu_dtls_tick(t->dtls);

		if (next >= 0)
			mu_timer_set(t->worker, &t->connect_timer, now_us + MU_MAX(next, 1000));
	}
}

/* --- close ------------------------------------------------------------------------------------------------------------------------ */

void session_end_in(struct in_stream *s)
{
	if (s->attached)
		mu_track_clear_source(s->spec.track, &s->source);
	s->attached = false;
	mu_nack_free(s->nack);
	s->nack = NULL;
	s->spec.track = mu_track_unref(s->spec.track);
}

static void release_out(struct out_stream *o)
{
	if (o->fit)
		fit_release(o);
	if (o->sink.track)
		mu_track_remove_sink(o->spec.track, o->t->worker, &o->sink);
	map_drop(o->t->plane, o->map);
	o->map = NULL;
	o->spec.track = mu_track_unref(o->spec.track);
}

static void release_streams(struct mu_transport *t)
{
	fitted_end(t); /* what waits is of the streams */
	for (unsigned i = 0; i < t->n_out; i++)
		release_out(t->out[i]);
	for (unsigned i = 0; i < t->n_in; i++)
		session_end_in(t->in[i]);
	mu_twcc_rx_free(t->twcc);
	t->twcc = NULL;
}

static void release_keys(struct mu_transport *t)
{
	t->sendable = false;
	mu_srtp_rx_free(t->rx);
	mu_srtp_key_free(t->key_in);
	mu_srtp_key_free(t->key_out);
	mu_dtls_free(t->dtls);
	t->rx = NULL;
	t->key_in = t->key_out = NULL;
	t->dtls = NULL;
	mu_ice_done(&t->ice);
}

void session_close(struct mu_transport *t, const char *why, int64_t now_us)
{
	if (mu_list_empty(&t->link))
		return;
	if (t->silent || !mu_ice_consent(&t->ice, now_us)) { /* RFC 7675, section 5.1: nothing more, whatever it is */
		t->sendable = false;
		t->muted = true;
	}
	if (t->sendable)
		feedback_bye(t, why);
	egress_forget(t);
	mu_timer_cancel(t->worker, &t->connect_timer);
	mu_timer_cancel(t->worker, &t->tick_timer);
	mu_timer_cancel(t->worker, &t->nack_timer);
	release_streams(t);
	release_keys(t); /* says close_notify by the path that is still known */
	disown_addresses(t);
	mu_list_remove(&t->ufrags[0].link);
	mu_list_remove(&t->ufrags[1].link);
	mu_list_remove(&t->link);
	t->plane->n_transports--;
	event_state(t, MU_TRANSPORT_CLOSED, why);
	transport_unref(t);
}

void session_close_msg(struct mu_msg *msg)
{
	struct transport_msg *m = MU_CONTAINER_OF(msg, struct transport_msg, msg);

	session_close(m->t, m->why, mu_clock_us());
	transport_unref(m->t);
	free(m);
}
