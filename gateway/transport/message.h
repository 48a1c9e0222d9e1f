/* Datagrams for one peer laid end to end in the send buffer, as one segmented message. For egress.c and resend.c. */
#ifndef MU_TRANSPORT_MESSAGE_H
#define MU_TRANSPORT_MESSAGE_H

#include "transport/transport_internal.h"

/** The message being laid out; zero-initialised but for t. */
struct message {
	struct mu_transport *t;
	uint8_t *data;
	size_t len, segment;
	unsigned n;
	bool open;
};

/* Everything laid so far. Before anything else of this worker is sent: it might flush what is not sealed yet. */
static inline void message_seal(struct plane *p)
{
	mu_srtp_protect(p->engine, p->jobs, p->n_jobs);
	p->n_jobs = 0;
}

static inline void message_close(struct message *m)
{
	if (m->open)
		mu_worker_send(m->t->worker, &m->t->path, m->len, m->segment);
	m->open = false;
}

/* Where the next packet of `size` bytes, at most MU_DATAGRAM_MAX, goes. Segments are equal but for the last, which may be
 * shorter; so what was asked room for always holds as many as there may be. */
static inline uint8_t *message_place(struct plane *p, struct message *m, size_t size)
{
	uint8_t *at;

	if (m->open && (size > m->segment || m->n == MU_SEGMENTS_MAX))
		message_close(m);
	if (!m->open) {
		if (!mu_worker_fits(p->worker, (size_t)MU_SEGMENTS_MAX * MU_DATAGRAM_MAX)) {
			message_seal(p);
			mu_worker_flush(p->worker);
		}
		m->data = mu_worker_reserve(p->worker);
		m->len = 0;
		m->n = 0;
		m->segment = size;
		m->open = true;
	}
	at = m->data + m->len;
	m->len += size;
	m->n++;
	if (size < m->segment) /* the short one is the last */
		message_close(m);
	return at;
}

#endif
