/* What a datagram is (RFC 7983) and whose. Order is the rule: a session is found by the user name of a STUN check; an
 * address belongs to a session once such a check was valid; DTLS and SRTP are looked at from such addresses only. What was
 * found authentic proves the path that it came by. */
#include <stdlib.h>

#include "transport/transport_internal.h"

struct mu_list *ufrag_bucket(struct plane *p, const char *ufrag)
{
	uint32_t h = 2166136261u;

	for (; *ufrag; ufrag++)
		h = (h ^ (uint8_t)*ufrag) * 16777619u;
	return &p->by_ufrag[(h ^ h >> 15) & (UFRAG_BUCKETS - 1)];
}

struct mu_transport *find_ufrag(struct plane *p, const char *ufrag)
{
	struct mu_list *bucket = ufrag_bucket(p, ufrag);

	mu_list_for_each(it, bucket) {
		struct ufrag_entry *e = MU_CONTAINER_OF(it, struct ufrag_entry, link);

		if (strcmp(e->ufrag, ufrag) == 0)
			return e->t;
	}
	return NULL;
}

/* A connection is told apart from another between the same addresses, and from UDP between them, by its place alone: what
 * was there before it was forgotten when it closed. */
struct mu_transport *owner_of(const struct plane *p, const struct mu_path *path)
{
	if (path->conn)
		return p->by_conn ? p->by_conn[mu_path_place(path)] : NULL;
	return mu_addr_map_get(&p->by_addr[path->socket], &path->remote);
}

void owner_set(struct plane *p, const struct mu_path *path, struct mu_transport *t)
{
	if (!path->conn) {
		mu_addr_map_put(&p->by_addr[path->socket], &path->remote, t);
		return;
	}
	if (!p->by_conn)
		p->by_conn = calloc(MU_TCP_MAX, sizeof(struct mu_transport *));
	if (p->by_conn)
		p->by_conn[mu_path_place(path)] = t;
}

void owner_clear(struct plane *p, const struct mu_path *path)
{
	if (!path->conn)
		mu_addr_map_remove(&p->by_addr[path->socket], &path->remote);
	else if (p->by_conn)
		p->by_conn[mu_path_place(path)] = NULL;
}

void demux_closed(struct mu_worker *w, const struct mu_path *path, int64_t now_us)
{
	struct plane *p = plane_of(w);
	struct mu_transport *t = owner_of(p, path);

	(void)now_us;
	if (t)
		session_forget_path(t, path);
	owner_clear(p, path);
}

/* A session's messages are run at the beginning of a turn, its datagrams later in it: a peer that got our answer and sent its
 * first check within a turn is here before the session is. */
static struct mu_transport *find_session(struct plane *p, const char *ufrag)
{
	struct mu_transport *t = find_ufrag(p, ufrag);

	if (t)
		return t;
	mu_worker_catch_up(p->worker);
	return find_ufrag(p, ufrag);
}

static void stun(struct plane *p, const struct mu_datagram *d, int64_t now_us)
{
	char ufrag[MU_ICE_UFRAG + 1];
	uint8_t reply[256];
	size_t reply_len = 0;
	enum mu_ice_event ev;
	struct mu_transport *t, *owner;

	p->stats.stun_in++;
	if (mu_stun_local_ufrag(d->data, d->len, ufrag) < 0 || !(t = find_session(p, ufrag))) {
		p->stats.stun_bad++;
		return;
	}
	owner = owner_of(p, d->path);
	if (owner && owner != t && session_holds(owner, d->path, now_us)) {
		p->stats.address_held++;
		return;
	}
	ev = mu_ice_input(&t->ice, d->path, d->data, d->len, now_us, reply, &reply_len);
	if (reply_len > 0)
		mu_worker_send_copy(p->worker, d->path, reply, reply_len);
	if (ev == MU_ICE_IGNORED)
		p->stats.stun_bad++;
	else
		session_ice_event(t, ev, d->path, now_us);
}

static void one(struct plane *p, const struct mu_datagram *d, int64_t now_us)
{
	struct mu_transport *t;
	uint8_t first = d->data[0];

	if (first <= 3) {
		if (mu_stun_is(d->data, d->len))
			stun(p, d, now_us);
		return;
	}
	t = owner_of(p, d->path);
	if (first >= 20 && first <= 63) {
		p->stats.dtls_in++;
		if (t)
			session_dtls_input(t, d->data, d->len, now_us);
		else
			p->stats.dtls_unvalidated++;
	} else if (first >= 128 && first <= 191 && d->len >= MU_RTP_HEADER_MIN) {
		if (!t || !t->rx)
			p->stats.unknown_address++;
		else if (t->silent)
			p->stats.no_consent++;
		else if (mu_is_rtcp(d->data))
			incoming_rtcp(t, d->data, d->len, now_us);
		else
			incoming_rtp(t, d->data, d->len, now_us);
	}
}

void demux(struct mu_worker *w, const struct mu_datagram *d, size_t n, int64_t now_us)
{
	struct plane *p = plane_of(w);

	for (size_t i = 0; i < n; i++) {
		p->from = d[i].path;
		if (d[i].len > 0)
			one(p, &d[i], now_us);
	}
	p->from = NULL;
}
