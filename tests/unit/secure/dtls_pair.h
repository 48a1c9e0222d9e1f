/* Two DTLS associations with a queue each way, for tests. */
#ifndef DTLS_PAIR_H
#define DTLS_PAIR_H

#include "secure/identity.h"

#define QUEUE 64

/** What one end sent and the other has not read yet. */
struct queue {
	uint8_t data[QUEUE][2048];
	size_t len[QUEUE];
	size_t n;
	size_t largest, total; /* over the test */
	unsigned n_total;
	unsigned drop; /* so many are lost first */
};
struct end {
	struct mu_identity *id;
	struct mu_dtls_ctx *ctx;
	struct mu_dtls *dtls;
	struct queue out;
	struct mu_error e;
	int err; /* first error of input */
};
struct pair {
	struct end server, client;
};

/** mu_dtls_send_fn into a struct queue. */
void queue_send(void *arg, const uint8_t *data, size_t len);
/** Give `to` what `from` has sent. @return whether there was something */
bool deliver(struct end *from, struct end *to);
/** Both ways until neither says anything more. */
void run(struct pair *p);

void end_init(struct end *end, const enum mu_srtp_profile *profiles);
void end_open(struct end *end, bool server, const uint8_t *fingerprint);
void end_done(struct end *end);
/** Heap: the queues are large. */
struct pair *pair_new(const enum mu_srtp_profile *server, const enum mu_srtp_profile *client);
void pair_free(struct pair *p);

void assert_states(const struct pair *p, enum mu_dtls_state server, enum mu_dtls_state client);
/** Both are up, with this profile and the same keys. */
void assert_works(struct pair *p, enum mu_srtp_profile profile);

#endif
