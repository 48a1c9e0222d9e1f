/* A track with a source and sinks that write down what they get, on fake workers. */
#ifndef BENCH_H
#define BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_net.h"

extern const struct mu_format vp8, vp9, opus;
extern unsigned keys_asked; /* of the bench's source, since setup */

struct taker {
	struct mu_sink sink;
	uint64_t seq[8192];
	uint32_t ts[8192];
	enum mu_codec codec[8192];
	unsigned n, bursts;
};
void count_key(struct mu_source *s, int64_t now_us);
void take(struct mu_sink *s, struct mu_burst *b);

struct bench {
	struct mu_net *net;
	struct mu_track *track;
	struct mu_source source;
	int64_t now;
	uint64_t seq;
	uint32_t ts;
};

/** @param askable  whether the source can be asked for key frames */
void setup(struct bench *b, unsigned workers, bool askable);
void teardown(struct bench *b);
/** A VP8 packet. */
struct mu_packet *video(struct mu_relay *r, uint16_t seq, uint32_t ts, bool start, bool key, bool marker,
	size_t len, int64_t now_us);
/** A frame of n packets of 200 bytes; the last bears the marker. */
void push_frame(struct bench *b, bool key, unsigned n);
/** The same; all workers run, and a thirtieth of a second passes. */
void frame(struct bench *b, bool key, unsigned n);
/** A packet within a frame, and all workers run: the next of 1000 bytes, or number `at` of 200. */
void push_one(struct bench *b, bool marker);
void push_at(struct bench *b, uint64_t at, bool marker);
/** The same source comes again, with format f. */
void change_source(struct bench *b, const struct mu_format *f);
struct taker *join(struct bench *b, unsigned worker);
void leave(struct bench *b, unsigned worker, struct taker *t);
void assert_no_gap(const struct taker *t);

#endif
