/* What the tests of SRTP stand on: every engine, keys, and packets of a seed. */
#ifndef SRTP_KIT_H
#define SRTP_KIT_H

#include "secure/srtp_internal.h"

#define HEADER_MAX 80
#define BODY_MAX   1400
#define OUT_MAX    (HEADER_MAX + BODY_MAX + 20)

extern const enum mu_srtp_profile profiles[3];
extern struct mu_srtp_engine *engines[3], *oracle;
extern size_t n_engines;
/** The same master key and salt for every engine and profile: prefixes of one string. */
extern uint8_t master[32], salt[14];

/** Set-up and teardown of a group. */
int open_engines(void **state);
int close_engines(void **state);

uint32_t rnd(void);
void fill(uint8_t *p, size_t n);
size_t unhex(const char *text, uint8_t *ret);
struct mu_srtp_key *new_key(struct mu_srtp_engine *en, enum mu_srtp_profile p);

struct packet {
	uint8_t out[OUT_MAX], plain[OUT_MAX], back[OUT_MAX];
	size_t len; /* protected */
};

/** A random header with CSRCs and an extension, or a plain one. @return its length */
size_t write_header(uint8_t *h, uint32_t ssrc, uint64_t index);
/** Such a header in out, and in plain with a payload of `size` bytes behind it. */
void write_packet(struct packet *p, struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, size_t size,
	struct mu_srtp_job *ret);
/** One small protected packet. @return its length */
size_t make(struct mu_srtp_key *k, uint32_t ssrc, uint64_t index, uint8_t *ret);

#endif
