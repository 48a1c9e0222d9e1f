/* mu-attack: peers of a gateway that behave, or do not, as they are told.
 *
 * Commands come as JSON, one a line on stdin, and each is answered by one line on stdout; between them sessions go on
 * (checks, reports, media). Signalling is the caller's: "open" gives an offer, "answer" takes what the gateway said. So a
 * Python case decides what happens and this program is fast enough to do it. Sockets, ICE, DTLS, SRTP, publisher and viewer
 * are those of tests/bench; what they send and get passes through here first (--wrap), to be counted, held back or kept.
 *
 * attack_main.c      options, the loop, commands from stdin
 * attack_session.c   sessions and what of theirs is counted; the window in which loss is measured
 * attack_down.c      the down connection of a console session: what came of whom
 * attack_send.c      datagrams and sealed packets that the caller wrote, and floods of them
 * attack_tcp.c       sessions by TCP
 * attack_flood.c     floods that need fresh bytes each: forged, replayed, many SSRCs, many addresses, bad checks
 */
#ifndef MU_ATTACK_H
#define MU_ATTACK_H

#include "bench/load.h"

#define SESSIONS_MAX 64
#define KEPT_MAX     4096 /* RTP packets of a publisher that can be replayed */
#define SSRCS_MAX    8
#define GOT_MAX      16 /* datagrams that "got" can tell of */

/** What a datagram is, by its first byte (RFC 7983). */
enum kind { STUN, DTLS, RTP, RTCP, OTHER, KINDS };

struct kept {
	uint16_t len;
	uint8_t data[LOAD_DATAGRAM];
};
/** The last packet of an SSRC that passed. */
struct seen {
	uint32_t ssrc, ts;
	uint16_t seq;
	uint8_t pt;
	uint64_t n;
};
/** One peer's, as peer->signal: freed with it. */
struct session {
	uint64_t in[KINDS], in_bytes[KINDS], out[KINDS], out_bytes[KINDS];
	uint64_t last_rtp_ns; /* when media came last */
	unsigned muted;    /* bits of kinds that do not leave */
	struct stream *tcp; /* NULL: UDP */
	bool stays;        /* goes on though it should give up: consent, key frames */
	struct seen from[SSRCS_MAX], to[SSRCS_MAX];
	struct kept *kept; /* KEPT_MAX; NULL: not asked for */
	uint64_t n_kept;
	struct kept got[GOT_MAX];
	uint64_t n_got;
	struct down *down; /* attack_down.c's */
};
struct attack {
	struct load *load;
	struct peer *session[SESSIONS_MAX];
	uint64_t attack_index; /* roll-over counters of SSRCs made up on the way */
	bool over;
};

static inline struct session *session_of(const struct peer *p)
{
	return p->signal;
}
enum kind kind_of(const uint8_t *data, size_t len);

/** A command: `in` is what came, `out` what is answered with "ok": true. @return 0 or NULL, or what is wrong (constant) */
typedef const char *command_fn(struct attack *a, json_t *in, json_t *out);

/* attack_main.c */
/** Let everything go on for a turn, at most until `until_ns`. */
void turn(struct attack *a, uint64_t until_ns);
/** Call `one` n times at `rate` a second; sessions go on meanwhile. */
void at_rate(struct attack *a, uint64_t n, double rate, void (*one)(void *arg, uint64_t i), void *arg);

/* attack_session.c */
struct peer *session_find(struct attack *a, json_t *in);
/** A session that only receives, not begun. @return NULL: too many; else its "id" is in out */
struct peer *session_add(struct attack *a, json_t *out);
void sessions_free(struct attack *a);
command_fn do_open, do_answer, do_await, do_state, do_mute, do_stay, do_keep, do_leave, do_begin, do_end, do_got, do_stranger,
	do_move, do_credentials;

/* attack_down.c */
extern const struct peer_media media_slots;
command_fn do_accept, do_flows;

/* attack_send.c */
command_fn do_raw, do_rtp, do_rtcp;

/* attack_tcp.c */
command_fn do_tcp, do_hold;
void tcp_close(struct session *s);
void tcp_send(struct session *s, const uint8_t *data, size_t len);
/** Read what came. @return whether any session is by TCP */
bool tcp_poll(struct attack *a);

/* attack_flood.c */
command_fn do_forge, do_replay, do_ssrcs, do_spray, do_checks, do_steal, do_scraps;

/** Bytes of a hexadecimal text. @return their number, -1 */
ssize_t unhex(const char *text, uint8_t *ret, size_t size);
/** "n" and "rate" of a command; 1 and 1000 where it has none. */
uint64_t n_of(json_t *in);
double rate_of(json_t *in);
/** The most recent packet of this payload kind that the session sent; NULL none. */
const struct seen *last_sent(const struct session *s, uint32_t ssrc);

/* what the linker put in their place calls these */
void __real_net_send(struct peer *p, const uint8_t *data, size_t len);
void __real_peer_input(struct peer *p, const uint8_t *data, size_t len, uint64_t ns);
void __wrap_net_send(struct peer *p, const uint8_t *data, size_t len);
void __wrap_peer_input(struct peer *p, const uint8_t *data, size_t len, uint64_t ns);

#endif
