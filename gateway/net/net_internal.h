/* What the files of net share. */
#ifndef MU_NET_INTERNAL_H
#define MU_NET_INTERNAL_H

#include <pthread.h>
#include <sys/uio.h>

#include "net/net.h"

#define RX_BATCH     16
#define RX_BUFFER    65536 /* one GRO super-datagram */
#define RX_SPLIT_MAX (RX_BATCH * 64) /* the kernel joins at most 64 */
#define TX_MESSAGE_MAX ((size_t)MU_SEGMENTS_MAX * MU_DATAGRAM_MAX)
#define TX_BUFFER    (MU_SEND_BATCH * TX_MESSAGE_MAX)
#define CONTROL_SIZE 128

struct timers {
	struct mu_timer **heap;
	size_t n, size;
};
int64_t timers_next(const struct timers *h);
void timers_run(struct mu_worker *w, int64_t now_us);
void timers_done(struct timers *h);

struct net_socket {
	int fd;
	bool wildcard; /* bound to any: the local address of each datagram matters */
	bool v6;
	uint16_t port;
	uint32_t overflow; /* kernel's drop counter as last seen */
};

struct receiver {
	uint8_t *buffers;
	struct mmsghdr msgs[RX_BATCH];
	struct iovec iov[RX_BATCH];
	struct mu_path paths[RX_BATCH];
	struct { _Alignas(8) char b[CONTROL_SIZE]; } control[RX_BATCH];
	struct mu_datagram out[RX_SPLIT_MAX];
};

struct sender {
	uint8_t *buffer;
	size_t used;
	unsigned n;
	struct mmsghdr msgs[MU_SEND_BATCH];
	struct iovec iov[MU_SEND_BATCH];
	struct mu_path paths[MU_SEND_BATCH];
	uint16_t segment[MU_SEND_BATCH];
	struct { _Alignas(8) char b[CONTROL_SIZE]; } control[MU_SEND_BATCH];
	unsigned refused; /* segmented messages in a row that the device refused and whose datagrams went */
	unsigned pause;	  /* so many segmented messages are not even tried */
	struct mu_log_gate gate;
};

struct mu_worker {
	struct mu_net *net;
	unsigned index;
	void *user;
	pthread_t thread;
	bool running, quit; /* running: control thread's; quit: the worker's */
	bool started;	    /* its start op was good: stop is due */
	bool coarse_wait;   /* no epoll_pwait2 here: waits are whole milliseconds */
	int start_error;
	struct mu_msg quit_msg; /* stop's, which posts it once */
	int64_t flush_at_us;
	int epoll;
	struct net_socket sockets[MU_NET_LISTEN_MAX];
	struct mu_inbox inbox;
	struct mu_ring *from[MU_WORKERS_MAX]; /* bursts that other workers hand us */
	unsigned unpublished[MU_WORKERS_MAX]; /* bursts put into each worker's ring that it cannot see yet */
	struct timers timers;
	struct receiver rx;
	struct sender tx;
	struct mu_net_stats stats;
	int64_t load_at_us, load_busy_us;
	double load;
};

struct mu_net {
	struct mu_net_options options;
	struct mu_net_ops ops;
	void *arg;
	unsigned n_workers;
	struct mu_worker *workers[MU_WORKERS_MAX];
};

int socket_open(const struct mu_net_options *o, const struct mu_addr *at, struct net_socket *ret, struct mu_error *e);
void receiver_init(struct receiver *rx);
/** Receive what one call gives and hand it to the ops. @return whether the call was full, so that there may be more */
bool socket_receive(struct mu_worker *w, unsigned which, int64_t now_us);

#endif
