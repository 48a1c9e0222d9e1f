/* Workers without threads and sockets: messages and bursts wait in queues until the test lets a worker run. */
#ifndef FAKE_NET_H
#define FAKE_NET_H

#include "relay/relay.h"

struct mu_net *fake_net_new(unsigned workers);
void fake_net_free(struct mu_net *n);
/** Run messages, bursts, timers due, then flush, on every worker, until nothing is left to do at this time. */
void fake_net_run(struct mu_net *n, int64_t now_us);
/** One turn of one worker. */
void fake_net_run_one(struct mu_net *n, unsigned i, int64_t now_us);
/** As many items fit into the ring to worker i. */
void fake_net_set_ring(struct mu_net *n, unsigned i, unsigned size);
/** Items in it. */
unsigned fake_net_hands(const struct mu_net *n, unsigned i);
/** What worker 0 counted as dropped. */
uint64_t fake_net_hand_dropped(const struct mu_net *n);
void fake_net_set_load(struct mu_net *n, double load);
struct mu_relay *fake_net_relay(struct mu_net *n, unsigned i);
/** When worker i wants to be called again. */
int64_t fake_net_next(struct mu_net *n, unsigned i);
/** Run what was posted to inboxes of the control thread. */
void fake_net_control(void);
unsigned fake_net_drains(const struct mu_net *n);

#endif
