/* Datagrams to an association. The first byte says to which: 0 a new server, 1 a client that said hello, 2 a
 * server in mid-handshake, 3 one that is up. Then datagrams, each behind its length in two bytes. */
#include <stdlib.h>

#include "secure/secure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct mu_identity *id;
static struct mu_dtls_ctx *ctx;

struct queue {
	uint8_t data[16][1200];
	size_t len[16], n;
};

static void send_to_queue(void *arg, const uint8_t *data, size_t len)
{
	struct queue *q = arg;

	if (len > 1200)
		__builtin_trap();
	if (q && q->n < 16) {
		memcpy(q->data[q->n], data, len);
		q->len[q->n++] = len;
	}
}

static struct mu_dtls *open_one(bool server, struct queue *q)
{
	uint8_t fp[1][MU_FINGERPRINT_LEN];
	struct mu_dtls *d;

	memcpy(fp, mu_identity_fingerprint(id), sizeof(fp));
	if (mu_dtls_new(ctx, server, (const uint8_t(*)[MU_FINGERPRINT_LEN])fp, 1, send_to_queue, q, &d))
		abort();
	return d;
}

static void deliver(struct queue *q, struct mu_dtls *to)
{
	size_t n = q->n;

	q->n = 0;
	for (size_t i = 0; i < n; i++)
		mu_dtls_input(to, q->data[i], q->len[i], NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct queue from_client, from_server;
	struct mu_dtls *client, *server, *target;
	struct mu_dtls_keys keys;
	int mode;

	if (!id && (mu_identity_new(&id) || mu_dtls_ctx_new(id, NULL, &ctx, NULL)))
		abort();
	if (!len)
		return 0;
	mode = *data++ & 3;
	len--;
	from_client.n = from_server.n = 0;
	server = open_one(true, &from_server);
	client = open_one(false, &from_client);
	target = mode == 1 ? client : server;
	if (mode)
		mu_dtls_start(client);
	if (mode >= 2)
		deliver(&from_client, server);
	if (mode == 3) {
		deliver(&from_server, client);
		deliver(&from_client, server);
		if (mu_dtls_state(server) != MU_DTLS_UP)
			abort();
	}
	while (len >= 2) {
		size_t n = mu_get16(data);

		n = MU_MIN(n, len - 2);
		mu_dtls_input(target, data + 2, n, NULL);
		data += 2 + n;
		len -= 2 + n;
	}
	/* Nobody without keys gets an association up or, once up, down. */
	if ((mu_dtls_state(target) == MU_DTLS_UP) != (mode == 3))
		__builtin_trap();
	if (mode != 3 && !mu_dtls_take_keys(target, &keys))
		__builtin_trap();
	mu_dtls_tick(target);
	mu_dtls_free(client);
	mu_dtls_free(server);
	return 0;
}
