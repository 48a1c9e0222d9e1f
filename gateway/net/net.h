/* net: the media workers. One thread a core, each with its own UDP port, timers and batches; nothing shared but messages.
 *
 * A worker runs: wait; messages; bursts from other workers; datagrams; timers; flush. What the module above does with
 * datagrams is behind struct mu_net_ops, so that net knows neither STUN nor SRTP.
 *
 * A worker may listen on TCP as well, for peers whose firewall lets no UDP through. There datagrams come and go as frames
 * (RFC 4571), and to the module above a connection is a path like another.
 */
#ifndef MU_NET_H
#define MU_NET_H

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "base/base.h"

/* --- addr.c ---------------------------------------------------------------------------------------------------------- */

struct mu_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	};
};
#define MU_ADDR_TEXT 64
static inline socklen_t mu_addr_size(const struct mu_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in4);
}
/** Parse "192.0.2.1", "192.0.2.1:5000", "[2001:db8::1]:5000" or "2001:db8::1". No names. @return 0, -EINVAL */
int mu_addr_parse(const char *text, uint16_t default_port, struct mu_addr *ret);
/** Write "192.0.2.1:5000" or "[2001:db8::1]:5000". @return ret */
char *mu_addr_text(const struct mu_addr *a, char ret[MU_ADDR_TEXT]);
/** The same without the port. @return ret */
char *mu_addr_host(const struct mu_addr *a, char ret[MU_ADDR_TEXT]);
uint16_t mu_addr_port(const struct mu_addr *a);
void mu_addr_set_port(struct mu_addr *a, uint16_t port);
/** Address, port and, of a link-local one, the link. */
bool mu_addr_equal(const struct mu_addr *a, const struct mu_addr *b);
bool mu_addr_is_any(const struct mu_addr *a);
bool mu_addr_is_loopback(const struct mu_addr *a);
uint64_t mu_addr_hash(const struct mu_addr *a);

/** Address -> pointer. Open addressing, grows by doubling. One thread's. */
struct mu_addr_map {
	struct mu_addr_slot *slots;
	size_t n_slots, n_used;
};
void *mu_addr_map_get(const struct mu_addr_map *m, const struct mu_addr *a);
/** Put or replace. @return 0, -ENOMEM */
int mu_addr_map_put(struct mu_addr_map *m, const struct mu_addr *a, void *value);
void mu_addr_map_remove(struct mu_addr_map *m, const struct mu_addr *a);
void mu_addr_map_done(struct mu_addr_map *m);

/* --- inbox.c: messages to a thread from any other ------------------------------------------------------------------------ */

/** One message, embedded in what it carries. fn runs on the receiving thread and owns the message. */
struct mu_msg {
	struct mu_msg *next;
	void (*fn)(struct mu_msg *m);
};
/** Many producers, one consumer, in order for each producer, never full, never blocks. */
struct mu_inbox {
	_Atomic(struct mu_msg *) head;
	atomic_bool asleep; /* the consumer waits on fd: a producer must wake it */
	int fd;		    /* eventfd */
};
int mu_inbox_init(struct mu_inbox *in);
void mu_inbox_done(struct mu_inbox *in);
/** Any thread. Wakes the consumer only if it sleeps. */
void mu_inbox_post(struct mu_inbox *in, struct mu_msg *m);
/** Consumer: run what is there. @return how many ran */
size_t mu_inbox_run(struct mu_inbox *in);
/** Consumer: about to wait on fd. @return false: something came meanwhile, do not wait */
bool mu_inbox_sleep(struct mu_inbox *in);
/** Consumer: awake again; empties the eventfd. */
void mu_inbox_wake(struct mu_inbox *in);
/** Wake the consumer if it sleeps, without a message: there is something for it elsewhere. Any thread. */
void mu_inbox_nudge(struct mu_inbox *in);

/* --- worker.c ------------------------------------------------------------------------------------------------------------ */

#define MU_NET_LISTEN_MAX  8
#define MU_WORKERS_MAX	   16
#define MU_SEND_BATCH	   16 /* messages in one sendmmsg */
#define MU_SEGMENTS_MAX	   16 /* packets in one segmented message */
#define MU_DATAGRAM_MAX	   1500

struct mu_worker;

#define MU_NET_TCP MU_NET_LISTEN_MAX /* mu_path.socket of every connection */
#define MU_TCP_MAX 4096		     /* connections of a worker; a power of two */

/** How a peer is reached: its address and our socket and address it talks to. Or a TCP connection: `conn` alone says
 *  which, and what is sent by a path that outlived its connection goes nowhere and is counted. */
struct mu_path {
	struct mu_addr remote;
	struct mu_addr local; /* address only; port unused. Set on sockets bound to a wildcard, else family 0 */
	uint8_t socket;	      /* index of the listening address, MU_NET_TCP */
	uint32_t conn;	      /* place and generation of a connection, of this worker; 0: UDP */
};
/** Place of a connection among its worker's, 0..MU_TCP_MAX - 1; the next one there has another `conn`. */
static inline unsigned mu_path_place(const struct mu_path *p)
{
	return p->conn & (MU_TCP_MAX - 1);
}
/** One datagram as received. data is valid during the call. */
struct mu_datagram {
	const uint8_t *data;
	size_t len;
	const struct mu_path *path;
};

struct mu_timer {
	int64_t due_us;
	size_t at; /* place in the worker's heap, 0 = not set */
	void (*fn)(struct mu_timer *t, struct mu_worker *w, int64_t now_us);
};

/** What one worker hands another: a burst of references. The meaning is the module's above. */
#define MU_HAND_MAX 16
struct mu_hand {
	void *to;
	void *about;
	unsigned n;
	unsigned tag; /* the module above's as well */
	void *items[MU_HAND_MAX];
};

struct mu_net_ops {
	/** All on the worker's thread. */
	int (*start)(struct mu_worker *w, void *arg);
	void (*datagrams)(struct mu_worker *w, const struct mu_datagram *d, size_t n, int64_t now_us);
	/** After datagrams, bursts and timers of a turn. @return when to be called again at the latest though nothing
	 *  arrives (gathering), INT64_MAX: no wish */
	int64_t (*flush)(struct mu_worker *w, int64_t now_us);
	/** A burst that another worker handed over by mu_worker_hand. */
	void (*handed)(struct mu_worker *w, const struct mu_hand *h, int64_t now_us);
	void (*stop)(struct mu_worker *w);
	/** A burst that nobody will take any more: give its references back. Control thread, after the workers. */
	void (*discard)(const struct mu_hand *h);
	/** A connection is gone, whoever closed it; from no call of the module above, so at a time when it sends nothing.
	 *  NULL: nobody asks. Not told of those left when the worker stops. */
	void (*closed)(struct mu_worker *w, const struct mu_path *path, int64_t now_us);
};
struct mu_net_options {
	unsigned workers; /* 1..MU_WORKERS_MAX */
	uint16_t port;	  /* worker i listens on port + i; 0: any free port, for tests */
	struct mu_addr listen[MU_NET_LISTEN_MAX];
	unsigned n_listen;
	struct mu_addr tcp[MU_NET_LISTEN_MAX]; /* with the port of worker 0, worker i listens on port + i; port 0: any */
	unsigned n_tcp;
	unsigned tcp_connections; /* of a worker, at most; 0: MU_TCP_MAX */
	unsigned tcp_per_source;  /* of a worker, from one address or IPv6 /64; 0: MU_TCP_MAX */
	bool pin; /* worker i stays on core i modulo cores */
	bool driven; /* no threads: the caller runs the workers by mu_worker_turn, as tests and measurements do */
	int rcvbuf, sndbuf; /* bytes; 0: 4 MiB */
};
/** Counters and load of one worker; written by it, copied out by message. */
struct mu_net_stats {
	uint64_t rx_datagrams, rx_bytes, rx_calls, rx_dropped; /* dropped: kernel's socket overflow count */
	uint64_t rx_refused; /* from UDP port 0, which nobody can answer: their peer must not be nominated */
	uint64_t tx_datagrams, tx_bytes, tx_messages, tx_calls, tx_failed;
	/* TCP; what goes through connections is counted as datagrams too */
	uint64_t tcp_open; /* now */
	uint64_t tcp_accepted;
	uint64_t tcp_refused;  /* over a limit, or the oldest unproven one that had to go for another */
	uint64_t tcp_unproven; /* closed because nothing valid came by them in time */
	uint64_t tcp_malformed; /* closed for a frame that is too long */
	uint64_t tcp_dropped;	/* packets: the peer did not read fast enough */
	uint64_t tcp_gone;	/* packets by a path that outlived its connection */
	uint64_t handed_out, handed_in; /* packets */
	uint64_t hand_dropped;		/* packets: mu_worker_hand_dropped */
	uint64_t busy_us, turns;
	double load; /* share of time spent awake, 0..1, smoothed over some 100 ms */
};

struct mu_net;
/** Bind sockets and start the workers; returns when all run their start op.
 *  @return 0; -EADDRINUSE and other socket errors with text in e */
int mu_net_new(const struct mu_net_options *o, const struct mu_net_ops *ops, void *arg, struct mu_net **ret, struct mu_error *e);
/** Stop and join the workers, run what is left in their inboxes and what that posts, discard bursts that nobody takes any
 *  more, free. Control thread. Takes NULL. */
void mu_net_free(struct mu_net *n);
unsigned mu_net_workers(const struct mu_net *n);
struct mu_worker *mu_net_worker(struct mu_net *n, unsigned i);
/** UDP port of worker i on its listening address `listen`. */
uint16_t mu_net_port(const struct mu_net *n, unsigned i, unsigned listen);
/** TCP port of worker i on its TCP listening address `listen`. */
uint16_t mu_net_tcp_port(const struct mu_net *n, unsigned i, unsigned listen);

unsigned mu_worker_index(const struct mu_worker *w);
/** The module above keeps its per-worker state here, set in its start op. */
void *mu_worker_user(const struct mu_worker *w);
void mu_worker_set_user(struct mu_worker *w, void *user);
/** One turn of a driven worker, on the thread that calls: wait at most wait_us for something to do, and do it. Waits not at
 *  all while the clock is driven (base.h): time passes only when the test says so. */
void mu_worker_turn(struct mu_worker *w, int64_t wait_us);
/** Run a message on the worker. Any thread. */
void mu_worker_post(struct mu_worker *w, struct mu_msg *m);
/** Run the messages that came since the turn began, for a datagram that speaks of what they tell: whoever caused both
 *  posted the message first. The worker, from its datagrams op. */
void mu_worker_catch_up(struct mu_worker *w);
/** Hand a burst to another worker; visible to it at the end of this turn at the latest. Media worker `from`.
 *  @return false: its ring is full, the caller keeps the items: tries again later, or drops and counts them */
bool mu_worker_hand(struct mu_worker *from, struct mu_worker *to, const struct mu_hand *h);
/** Count packets that another worker will not get any more. Media worker. */
void mu_worker_hand_dropped(struct mu_worker *from, uint64_t packets);
void mu_timer_set(struct mu_worker *w, struct mu_timer *t, int64_t due_us);
void mu_timer_cancel(struct mu_worker *w, struct mu_timer *t);
const struct mu_net_stats *mu_worker_stats(const struct mu_worker *w);
/** Share of time awake, smoothed over some 100 ms: what gathering goes by. */
double mu_worker_load(const struct mu_worker *w);

/** Whether a message of `size` bytes fits in the send batch before the next mu_worker_flush. */
bool mu_worker_fits(const struct mu_worker *w, size_t size);
/** The place in the send buffer where the next message begins; what is written there stays until mu_worker_flush.
 *  Call mu_worker_fits before. Media worker. */
uint8_t *mu_worker_reserve(struct mu_worker *w);
/** Queue the message written at mu_worker_reserve: len bytes cut into datagrams of `segment` bytes, the last may be
 *  shorter; segment 0: one datagram. */
void mu_worker_send(struct mu_worker *w, const struct mu_path *path, size_t len, size_t segment);
/** Queue a copy of one datagram, flushing before where it does not fit. */
void mu_worker_send_copy(struct mu_worker *w, const struct mu_path *path, const void *data, size_t len);
/** Hand all queued messages to the kernel: sendmmsg with UDP_SEGMENT. A message whose path takes no segments (a small MTU,
 *  a device that cannot) leaves as single datagrams, the others are not touched by it. A full socket buffer drops and
 *  counts. What goes by a connection that cannot take it now waits in the connection's own queue, whole packets, some
 *  hundred milliseconds of them at most; past that they are dropped and counted. */
void mu_worker_flush(struct mu_worker *w);

/* --- tcp.c: what the module above knows of connections. Media worker; nothing happens where the path is UDP's or gone ------- */

#define MU_TCP_PROVE_US 10000000 /* a connection that proves nothing for so long after it was made is closed */
#define MU_TCP_IDLE_US	60000000 /* and one whose last proof is so old. Clients check a pair that they keep in reserve each
				  * 25 s or so */
/** Somebody who is expected is behind it: a valid check came by it. */
void mu_worker_prove(struct mu_worker *w, const struct mu_path *path);
/** Nobody's any more: what is queued still goes, and it has MU_TCP_PROVE_US to prove itself again. */
void mu_worker_disown(struct mu_worker *w, const struct mu_path *path);

#endif
