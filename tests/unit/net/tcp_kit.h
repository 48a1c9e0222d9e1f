/* Connections, for tests: a worker driven by hand that listens on TCP, peers that are plain sockets on
 * loopback, time that the test moves. One at a time. */
#ifndef TCP_KIT_H
#define TCP_KIT_H

#include <poll.h>

#include "net/net_internal.h"

#define SECOND INT64_C(1000000)

/** What the module above has heard, and what it does. */
struct heard {
	unsigned datagrams, closed;
	size_t bytes;
	uint8_t data[16384]; /* all that came, end to end */
	struct mu_path last, last_closed;
	bool prove, echo;
};
extern struct heard fx;
extern const struct mu_net_ops tcp_ops;
extern struct mu_net *net;
extern struct mu_worker *worker;

/** Limits as in struct mu_net_options. */
void up(unsigned connections, unsigned per_source);
void down(void);
const struct mu_net_stats *stats(void);
/** Time passes, then a turn. */
void pass(int64_t us);
/* Turns until it is so: loopback delivers soon, but not always before the call that sent returns. */
#define TURN_UNTIL(cond)                               \
	do {                                           \
		for (unsigned i_ = 0; !(cond); i_++) { \
			assert_true(i_ < 5000);        \
			mu_worker_turn(worker, 0);     \
			if (i_ > 10)                   \
				poll(NULL, 0, 1);      \
		}                                      \
	} while (0)

/** Connected; the worker has not looked yet. */
int peer_from(const char *source);
/** Connected, and the worker knows. */
int peer_known(void);
/** A connection that is proven. */
int peer_proven(struct mu_path *ret);
/** One frame, and the module above has it. */
void say(int fd, const char *text);
/** @return false: the connection is gone */
bool alive(int fd);
/** Until it is gone; closes it. */
void await_gone(int fd);

#endif
