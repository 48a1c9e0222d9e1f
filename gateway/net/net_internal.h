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

/* --- frames.c: RFC 4571, a length of two bytes before each packet --- */

#define FRAME_HEAD 2
#define FRAME_MAX  (FRAME_HEAD + MU_DATAGRAM_MAX)
/** The next frame that is whole in data, from *at on; empty ones are passed over. *at moves behind it.
 *  @return 1; 0: what is left is at most a part of one; -EBADMSG: a packet longer than MU_DATAGRAM_MAX */
int frame_next(const uint8_t *data, size_t len, size_t *at, const uint8_t **ret, size_t *ret_len);
/** Write the head of a frame. @return its whole length */
size_t frame_head(size_t len, uint8_t ret[FRAME_HEAD]);

/* --- tcp.c, tcp_queue.c: connections --- */

struct tcp_conn {
	int fd;
	struct mu_path path;
	struct mu_addr source; /* what it is counted under */
	bool proven;	       /* and so not in the list of those that are not */
	bool broken;	       /* a write failed: nothing more is sent, the next turn closes it */
	struct mu_list link;   /* unproven ones, oldest first */
	struct mu_timer timer; /* when it has to have proven itself */
	struct {
		uint8_t *data; /* a ring of TCP_QUEUE bytes, made when something has to wait for the first time */
		size_t at, used;
		uint64_t in, out;	   /* bytes that ever came and went */
		uint64_t mark;		   /* once so many are out, what came at mark_us is; */
		int64_t mark_us;	   /* 0: no mark is set */
		bool armed;		   /* the kernel tells when there is room */
	} queue;
	size_t n_part; /* the beginning of a frame whose rest has not come yet */
	uint8_t part[FRAME_MAX];
};
struct tcp {
	int epoll; /* all TCP sockets; in the worker's own it is one descriptor, whatever happens here */
	struct { int fd; uint16_t port; } listen[MU_NET_LISTEN_MAX];
	unsigned n_listen;
	unsigned max, per_source;
	struct tcp_conn *conns[MU_TCP_MAX];
	uint32_t generation[MU_TCP_MAX];
	uint16_t free[MU_TCP_MAX]; /* places */
	unsigned n, n_unproven;
	struct mu_list unproven;
	struct mu_addr_map sources; /* how many connections each address has, as a pointer */
	struct mu_timer resume;	    /* accepting goes on: descriptors had run out */
};
/** Listen. @return 0; else nothing is left and text is in e */
int tcp_open(struct mu_worker *w, struct mu_error *e);
/** Takes a worker that has none. */
void tcp_close(struct mu_worker *w);
/** Accept, read and write what is ready; a bounded piece of it. */
void tcp_turn(struct mu_worker *w, int64_t now_us);
/** @return NULL: it is gone */
struct tcp_conn *tcp_find(const struct tcp *tcp, uint32_t conn);
bool tcp_watch(const struct tcp *tcp, const struct tcp_conn *c, int op, uint32_t events);
/** Packets of `segment` bytes each, the last may be shorter; segment 0: one. What cannot leave at once is copied.
 *  @param reserved they may take the part of the queue that is kept from media */
void tcp_send(struct mu_worker *w, const struct mu_path *path, uint8_t *data, size_t len, size_t segment, bool reserved);
/** The kernel takes more. */
void tcp_drain(struct mu_worker *w, struct tcp_conn *c);

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
	struct tcp *tcp; /* NULL: it does not listen there */
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
