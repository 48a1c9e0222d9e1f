#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dtls_pair.h"

void queue_send(void *arg, const uint8_t *data, size_t len)
{
	struct queue *q = arg;

	q->largest = MU_MAX(q->largest, len);
	q->total += len;
	q->n_total++;
	if (q->drop) {
		q->drop--;
		return;
	}
	assert_true(q->n < QUEUE && len <= sizeof(q->data[0]));
	memcpy(q->data[q->n], data, len);
	q->len[q->n++] = len;
}

bool deliver(struct end *from, struct end *to)
{
	static struct queue q;

	if (!from->out.n)
		return false;
	q = from->out;
	from->out.n = 0;
	for (size_t i = 0; i < q.n; i++) {
		int err = mu_dtls_input(to->dtls, q.data[i], q.len[i], &to->e);

		to->err = to->err ? to->err : err;
	}
	return true;
}

void run(struct pair *p)
{
	bool more = true;

	while (more) {
		more = deliver(&p->client, &p->server);
		more |= deliver(&p->server, &p->client);
	}
}

void end_init(struct end *end, const enum mu_srtp_profile *profiles)
{
	memset(end, 0, sizeof(*end));
	assert_int_equal(mu_identity_new(&end->id), 0);
	assert_int_equal(mu_dtls_ctx_new(end->id, profiles, &end->ctx, &end->e), 0);
}

void end_open(struct end *end, bool server, const uint8_t *fingerprint)
{
	uint8_t fp[1][MU_FINGERPRINT_LEN];

	memcpy(fp, fingerprint, sizeof(fp));
	assert_int_equal(mu_dtls_new(end->ctx, server, (const uint8_t(*)[MU_FINGERPRINT_LEN])fp, 1,
				 queue_send, &end->out, &end->dtls),
		0);
}

void end_done(struct end *end)
{
	mu_dtls_free(end->dtls);
	mu_dtls_ctx_free(end->ctx);
	mu_identity_free(end->id);
}

struct pair *pair_new(const enum mu_srtp_profile *server, const enum mu_srtp_profile *client)
{
	struct pair *p = malloc(sizeof(*p));

	end_init(&p->server, server);
	end_init(&p->client, client);
	end_open(&p->server, true, mu_identity_fingerprint(p->client.id));
	end_open(&p->client, false, mu_identity_fingerprint(p->server.id));
	return p;
}

void pair_free(struct pair *p)
{
	end_done(&p->client);
	end_done(&p->server);
	free(p);
}

void assert_states(const struct pair *p, enum mu_dtls_state server, enum mu_dtls_state client)
{
	assert_int_equal(mu_dtls_state(p->server.dtls), server);
	assert_int_equal(mu_dtls_state(p->client.dtls), client);
}

void assert_works(struct pair *p, enum mu_srtp_profile profile)
{
	struct mu_dtls_keys s, c, again;

	if (p->server.err || p->client.err)
		print_message("server: %s client: %s\n", p->server.e.text, p->client.e.text);
	assert_states(p, MU_DTLS_UP, MU_DTLS_UP);
	assert_int_equal(mu_dtls_take_keys(p->server.dtls, &s), 0);
	assert_int_equal(mu_dtls_take_keys(p->client.dtls, &c), 0);
	assert_int_equal(s.profile, profile);
	assert_int_equal(c.profile, profile);
	assert_memory_equal(s.local, c.remote, sizeof(s.local));
	assert_memory_equal(s.remote, c.local, sizeof(s.local));
	assert_memory_not_equal(s.local, s.remote, sizeof(s.local));
	assert_int_equal(mu_dtls_take_keys(p->server.dtls, &again), -EPROTO);
	assert_int_equal(mu_dtls_tick(p->server.dtls), -1);
	assert_int_equal(mu_dtls_tick(p->client.dtls), -1);
	assert_true(p->server.out.largest <= 1200 && p->client.out.largest <= 1200);
}
