/* mu-load: publishers and viewers of a media server, many of them on one thread.
 *
 * load_main.c    options
 * load_run.c     the loop; what each mode does in it
 * load_net.c     sockets: every peer its own source address, so that the server sees distinct 5-tuples
 * load_peer.c    one session: ICE (full, controlling), DTLS client, SRTP keys, consent, teardown
 * load_stun.c    the connectivity checks
 * load_pub.c     what a publisher sends: frames, pacing, reports, repair
 * load_view.c    what a viewer checks, counts and answers
 * load_sdp.c     offers, answers, and reading the other side's
 * load_http.c    HTTP requests without waiting
 * load_whip.c, load_janus.c, load_yard.c    signalling to Muster, to Janus, to the bare forwarder
 * load_stats.c   histograms, the server's process, the report
 * load_conf.h    and what follows from it: members of a conference
 */
#ifndef MU_LOAD_H
#define MU_LOAD_H

#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base.h"
#include "rtp/rtp.h"
#include "secure/secure.h"

#define LOAD_SOCKETS_MAX 32
#define LOAD_PEERS_MAX   60000 /* addresses in use at once: 127.1.0.1 and on, or as --base says */
#define LOAD_DATAGRAM    1600

/* --- options --- */

enum load_mode { MODE_LOAD, MODE_JOIN, MODE_CHURN, MODE_CONFERENCE };
struct load_options {
	enum load_mode mode;
	const char *url, *token, *site; /* Muster, or Janus with `janus` */
	bool janus;
	const char *yardstick; /* "HOST:PORT" of mu-forward's control */
	unsigned publishers, viewers, sessions, concurrency;
	unsigned members, extra, rounds; /* of a conference: load_conf.c */
	bool churn_publish; /* every second session of churn publishes */
	enum mu_srtp_profile profile;
	double pace; /* times the bit rate; 0: a frame at once */
	unsigned pace_tick_us, bitrate, fps, key_every_s;
	double warmup_s, seconds;
	int64_t ramp_us;  /* between two joins, at least */
	unsigned hold_ms; /* churn: how long a session stays after its first key frame */
	int core, pid;
	unsigned base; /* the first two bytes of all peers' addresses */
	bool gro, spin, nack;
	unsigned check, sockets;
	const char *json;
};

/* --- histogram of nanoseconds: 32 steps an octave, about 2 % --- */

#define HIST_BUCKETS (40 * 32)
struct hist {
	uint64_t n, max;
	double sum;
	uint32_t bucket[HIST_BUCKETS];
};
void hist_add(struct hist *h, uint64_t ns);
/** @return nanoseconds at quantile q, 0 when empty */
uint64_t hist_at(const struct hist *h, double q);

/* --- what every payload ends with --- */

#define STAMP_LEN   28
#define STAMP_MAGIC 0x4d75a10du
struct stamp {
	uint64_t number; /* of the packet in its track, from 0 */
	uint64_t sent_ns;
	uint32_t frame;
	uint8_t stream, media;
	uint8_t layer; /* of simulcast; 0 of what has none */
};
void stamp_write(const struct stamp *s, uint8_t *ret);
/** @param payload without RTP padding. @return 0, -EBADMSG */
int stamp_read(const uint8_t *payload, size_t len, struct stamp *ret);

/* --- peers --- */

enum peer_state { PEER_FREE, PEER_SIGNAL, PEER_ICE, PEER_DTLS, PEER_UP, PEER_ENDING, PEER_FAILED };
enum media { VIDEO, AUDIO, MEDIA_COUNT };

/** What the far side's SDP says. */
struct remote {
	char ufrag[257], pwd[257];
	uint8_t fingerprint[MU_FINGERPRINT_LEN];
	bool has_fingerprint, active; /* active: it is the DTLS client */
	struct sockaddr_in addr;
	uint8_t pt[MEDIA_COUNT], rtx_pt; /* 0: none */
	bool is_h264;
	uint8_t ext_mid, ext_twcc;
	char mid[MEDIA_COUNT][32];
};
struct publisher;
struct viewer;
struct member;
struct load;
struct peer;

/** What goes over a session. Any but open and close may be NULL. */
struct peer_media {
	int (*open)(struct peer *p);
	void (*close)(struct peer *p); /* harmless twice */
	void (*up)(struct peer *p);    /* the keys are there */
	void (*rtp)(struct peer *p, const uint8_t *data, size_t len, uint64_t ns);
	void (*rtcp)(struct peer *p, const uint8_t *data, size_t len); /* decrypted */
	void (*tick)(struct peer *p, int64_t now_us);
	void (*report)(struct peer *p, int64_t now_us); /* once a second */
};
extern const struct peer_media media_pub, media_view;

struct peer {
	struct load *load;
	const struct peer_media *media;
	enum peer_state state;
	bool publishes;
	unsigned index;  /* its address */
	unsigned stream; /* published or watched */
	char name[32];   /* the endpoint's */
	int fd;          /* shared with other peers */
	uint16_t port;
	struct in_addr local;
	struct remote remote;
	char ufrag[9], pwd[25];
	uint64_t tie_breaker;
	uint8_t transaction[12];
	struct mu_dtls *dtls;
	struct mu_srtp_key *tx, *rx_key;
	struct mu_srtp_rx *rx;
	uint32_t srtcp_index;
	int64_t begun_us, state_us, next_check_us, next_report_us, last_consent_us, leave_us;
	unsigned checks;
	struct publisher *pub;
	struct viewer *view;
	struct member *member; /* of a conference, whose up or down connection it is */
	void *signal;                /* the signalling's own */
	bool started, ready, reaped; /* load_run's */
	char why[160];
};

struct signalling {
	/** Begin. Ends in peer_remote(), peer_keys() or peer_fail(). */
	void (*start)(struct peer *p);
	/** The server has to forget the session. Ends in peer_gone(). */
	void (*stop)(struct peer *p);
	/** Add what the server itself counted, while all are there; may be NULL. */
	void (*stats)(json_t *report);
};
extern const struct signalling signal_whip, signal_janus, signal_yard;

/* --- the run --- */

struct load_counts {
	uint64_t sent[MEDIA_COUNT]; /* packets with a stamp in the window */
	uint64_t expected, unique;  /* packets viewers should have got and got, stamp in the window */
	uint64_t received, bytes;   /* packets that came during the window */
	uint64_t duplicates, replayed, bad, recovered, nacked, key_requests, asked_key, resent, late_sends;
};
struct load {
	struct load_options o;
	const struct signalling *signal;
	bool bare; /* the yardstick: neither ICE nor RTCP */
	struct mu_srtp_engine *engine;
	struct mu_identity *identity;
	struct mu_dtls_ctx *dtls;
	struct peer **peers; /* the run's slots: publishers first */
	unsigned n_peers;
	struct peer *by_index[LOAD_PEERS_MAX];
	unsigned next_index;
	struct publisher **streams; /* by stream number; NULL while not up */
	uint64_t from_ns, to_ns;    /* the window of measurement */
	struct load_counts c;
	struct hist latency, last, join, handshake;
	unsigned failures, began, ended, up, consent_lost;
	char first_failures[5][200];
	volatile bool stop;
};

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
/** Whether what is said and found is to be shown: MU_LOAD_TRACE is set. */
static inline bool load_trace(void)
{
	return getenv("MU_LOAD_TRACE");
}
static inline bool in_window(const struct load *l, uint64_t ns)
{
	return ns >= l->from_ns && ns < l->to_ns;
}

/* load_run.c */
int load_run(struct load *l);
/** A session reached its first decodable frame, or (publisher) its keys. */
void run_ready(struct peer *p);
/** A session ended or failed; its slot is free. */
void run_ended(struct peer *p, bool failed);

/* load_net.c */
int net_open(struct load *l);
void net_close(void);
/** The socket peers of this index use. */
void net_assign(struct peer *p);
void net_send(struct peer *p, const uint8_t *data, size_t len);
/** Wait at most until `until_ns`, then handle what came. */
void net_poll(struct load *l, uint64_t until_ns);
/** Descriptors of somebody else's that net_poll waits for as well. */
typedef size_t net_add_fn(struct pollfd *ret, size_t max);
typedef void net_done_fn(const struct pollfd *fds, size_t n);
void net_also(net_add_fn *add, net_done_fn *done);
/** @return the peer's address as text in a static buffer */
const char *net_address(const struct peer *p);

/* load_peer.c */
struct peer *peer_new(struct load *l, bool publishes, unsigned stream, const char *name);
void peer_start(struct peer *p, int64_t now_us);
void peer_remote(struct peer *p, const char *sdp);
int peer_keys(struct peer *p, const struct mu_dtls_keys *k);
void peer_input(struct peer *p, const uint8_t *data, size_t len, uint64_t ns);
void peer_tick(struct peer *p, int64_t now_us);
void peer_rtcp(struct peer *p, const struct mu_rtcp_writer *w);
void peer_leave(struct peer *p);
void peer_gone(struct peer *p);
void peer_fail(struct peer *p, const char *fmt, ...) MU_PRINTF(2, 3);
/** Free keys and state; the slot may start again. */
void peer_clear(struct peer *p);

/* load_stun.c */
/** @param check  ours: a binding request with USE-CANDIDATE
 *  @return bytes written */
size_t stun_check(struct peer *p, uint8_t *ret);
/** @return 1 a good answer to our last check, 2 a request: *reply_len bytes to send back, 0 nothing */
int stun_input(struct peer *p, const uint8_t *data, size_t len, uint8_t *reply, size_t *reply_len);

/* load_pub.c */
/** Send what is due. @return when the next packet is due */
uint64_t pub_run(struct peer *p, uint64_t ns);
void pub_key_request(struct publisher *pub, uint64_t ns);
uint32_t pub_ssrc(const struct publisher *pub, enum media m);
uint32_t pub_rtx_ssrc(const struct publisher *pub);
uint64_t pub_sent_ns(const struct publisher *pub, enum media m, uint64_t number);

/* load_view.c */
/** Move what the window still holds of "last of all viewers" into its histogram. */
void view_finish(struct load *l);

/* load_sdp.c */
/** @return malloc'ed */
char *sdp_offer(const struct peer *p, bool active);
/** Answer an offer, willing to receive all of it. @return malloc'ed */
char *sdp_answer(const struct peer *p, const char *offer);
/** @return 0, -EBADMSG with `why` a constant text */
int sdp_read(const char *sdp, struct remote *ret, const char **why);

/* load_http.c */
struct http_reply {
	int status; /* 0: no connection, or none in time */
	const char *body;
	char location[512], etag[128];
};
typedef void http_fn(struct peer *p, const struct http_reply *r);
/** @param url  "http://127.0.0.1:8088"; path is appended unless it is a whole URL itself. fn may be NULL. */
void http_send(struct peer *p, const char *method, const char *url, const char *path, const char *type,
	const char *body, http_fn *fn);
/** Forget the callbacks of a peer. */
void http_forget(struct peer *p);
size_t http_poll_add(struct pollfd *ret, size_t max);
void http_poll_done(const struct pollfd *fds, size_t n);
void http_tick(int64_t now_us);

/* load_stats.c */
struct proc_sample {
	uint64_t cpu_ns, at_ns;
	long rss_kib;
	int fds, threads;
	struct {
		int tid;
		char name[16];
		uint64_t cpu_ns;
	} thread[64];
	int n_thread;
};
bool proc_read(int pid, struct proc_sample *ret);
uint64_t own_cpu_ns(void);
json_t *stats_hist_ms(const struct hist *h);
/** Share of a core that each thread took between two samples. */
json_t *stats_threads(const struct proc_sample *before, const struct proc_sample *after);
void stats_print(json_t *report);

#endif
