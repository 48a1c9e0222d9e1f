/* One way of a link: what goes in comes out late, in part, or not at all. Plain logic: time is driven, the
 * same seed is the same run.
 *
 *   in -> lost by chance? -> the queue before a link of some rate (full: lost) -> on its way, delay and
 * jitter -> out
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#define WIRE_OVERHEAD 28    /* bytes of IP and UDP headers: a link carries them too */
#define WIRE_WAITS    10001 /* queue delays counted by the millisecond; the last one is "and more" */

struct wire_way {
	double loss;    /* share of datagrams, 0..1 */
	unsigned burst; /* mean length of a loss; 0 and 1: each for itself */
	double doubled; /* share that comes twice */
	int64_t delay_us;
	int64_t jitter_us; /* up to so much more, evenly */
	bool reorder;      /* jitter may put one before another */
	bool cut;          /* nothing passes */
	uint32_t bps;      /* 0: as fast as they come */
	int64_t queue_us;  /* what would wait longer is lost; 0: nothing is */
};
struct wire_packet {
	TAILQ_ENTRY(wire_packet) link;
	int64_t entered_us, due_us;
	unsigned tag; /* the caller's */
	size_t len;
	uint8_t data[];
};
TAILQ_HEAD(wire_list, wire_packet);
/** Since the last time they were taken. */
struct wire_figures {
	int64_t since_us;
	uint64_t packets, bytes; /* that came out */
	uint64_t lost, overflowed, doubled;
	uint64_t waits;
	int64_t wait_max_us;
	uint32_t wait_ms[WIRE_WAITS];
};
struct wire {
	struct wire_way way; /* change it whenever you like */
	struct wire_list waiting, flight;
	uint64_t waiting_bytes; /* with WIRE_OVERHEAD */
	int64_t free_us;        /* what came before is sent by then */
	int64_t last_due_us;
	bool bad; /* amid a burst of losses */
	uint64_t seed;
	struct wire_figures figures;
};
void wire_init(struct wire *w, uint64_t seed, int64_t now_us);
void wire_done(struct wire *w);
/** A datagram goes in. @return 0, -ENOMEM */
int wire_put(struct wire *w, const uint8_t *data, size_t len, unsigned tag, int64_t now_us);
/** What comes out by now, in order; the caller frees it. NULL: nothing. */
struct wire_packet *wire_take(struct wire *w, int64_t now_us);
/** When wire_take should be called next; INT64_MAX: nothing is on its way. */
int64_t wire_next_us(struct wire *w, int64_t now_us);
/** How long what comes now has to wait, at the rate of the moment. */
int64_t wire_queue_us(const struct wire *w, int64_t now_us);
/** One setting: "rate=500" (kbit/s), "queue", "delay", "jitter" (ms), "loss", "doubled" (percent), "burst",
 * "reorder", "cut".
 *  @return 0, -EINVAL */
int wire_set(struct wire_way *w, const char *setting);
/** @param q 0..1 @return queue delay of that quantile, milliseconds; 0: nothing waited */
unsigned wire_wait_ms(const struct wire_figures *f, double q);
/** Write the figures as a JSON object and begin anew. */
void wire_report(struct wire *w, FILE *to, int64_t now_us);

#endif
