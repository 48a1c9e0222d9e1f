/* base: what every module stands on. Clock, log, error texts, lists, rings, byte order, packets, randomness.
 *
 * Errors everywhere are 0 or -errno: -EINVAL our caller's mistake, -EBADMSG malformed wire data, -EPROTO well formed
 * but not allowed now, -ENOSPC a configured limit, -ENOMEM. Where a person must read why, a struct mu_error goes along.
 */
#ifndef MU_BASE_H
#define MU_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MU_CACHELINE     64
#define MU_ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define MU_MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MU_MAX(a, b)     ((a) > (b) ? (a) : (b))
#define MU_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define MU_PRINTF(f, a)  __attribute__((format(printf, f, a)))

/* --- clock.c: only event loops read clocks; logic takes now_us as an argument --------------------------------- */

/** Monotonic time, microseconds. Any thread. */
int64_t mu_clock_us(void);
/** Wall time (UTC), microseconds since 1970. Any thread. */
int64_t mu_clock_wall_us(void);
/** Wall time as the 64-bit NTP format (RFC 5905, section 6): seconds since 1900 in the high half. Any thread. */
uint64_t mu_ntp_from_wall_us(int64_t wall_us);

/* For tests of time: the clocks stand still and are moved by hand. Libraries keep their own: OpenSSL repeats a lost DTLS
 * datagram after real time, not driven time. */
/** From now on mu_clock_us() gives `us`, and the wall clock moves along from where it was. Media workers with threads of
 *  their own do not notice that it moved: drive them too (net.h). Any thread.
 *  @param us > 0; 0: the real clocks again */
void mu_clock_drive(int64_t us);
bool mu_clock_driven(void);

#define MU_TIME_TEXT 48
/** A moment in UTC as people and RFC 3339 write it: "2026-11-24T22:04:40.123Z". Any thread.
 *  @param digits of the second's fraction, 0..6
 *  @return ret */
char *mu_time_text(int64_t wall_us, unsigned digits, char ret[MU_TIME_TEXT]);

/** A span of time in NTP format: 32.32 fixed point seconds. Any thread. */
static inline uint64_t mu_ntp_span(int64_t us)
{
	int64_t s = us / 1000000, rest = us % 1000000;

	return ((uint64_t)s << 32) + (uint64_t)(rest * ((int64_t)1 << 32) / 1000000);
}

/* --- error.c: an error a person can act on ------------------------------------------------------------------- */

/** What went wrong, where, and what to do. Lives on the caller's stack; written by the function that fails. */
struct mu_error {
	char text[384];
};
/** Write the text (truncated to fit) and return `err`, so that `return mu_error_set(e, -EINVAL, ...)` reads well.
 *  Takes NULL for e. Any thread. */
int mu_error_set(struct mu_error *e, int err, const char *fmt, ...) MU_PRINTF(3, 4);

/* --- log.c ---------------------------------------------------------------------------------------------------- */

enum mu_log_level {
	MU_LOG_ERROR,
	MU_LOG_WARN,
	MU_LOG_INFO,
	MU_LOG_DEBUG,
	MU_LOG_TRACE,
};
/** Where log lines go. JOURNAL needs journald's socket; AUTO takes it when stderr is connected to the journal. */
enum mu_log_target { MU_LOG_AUTO, MU_LOG_STDERR, MU_LOG_JOURNAL, MU_LOG_JSON };

/** Set level and target, and at the first call start the writer. Control thread, before other threads start; level and
 *  target may change later. From now on threads leave their lines to the writer, which a stalled pipe or journal may
 *  stop; they never block, and what does not fit its queue is dropped and said. Only the control thread waits, for some
 *  milliseconds, where the writer is behind. Without this call every thread writes for itself. */
void mu_log_setup(enum mu_log_level level, enum mu_log_target target);
enum mu_log_level mu_log_level(void);
/** Parse "error", "warn", "info", "debug", "trace". @return 0, -EINVAL */
int mu_log_level_parse(const char *text, enum mu_log_level *ret);
/** One line. `topic` is the module's name, `id` names the endpoint, session or file it is about, or is NULL.
 *  Keys, tokens and SDP key lines never go here. Bytes that are not UTF-8 and control characters are replaced, what is
 *  longer than a line is cut. Any thread; formats, so never per packet. */
void mu_log(enum mu_log_level level, const char *topic, const char *id, const char *fmt, ...) MU_PRINTF(4, 5);
/** Wait until the writer has written what was logged before, for at most a second. Runs at exit(); call it before abort().
 *  Any thread. */
void mu_log_flush(void);
#define mu_err(topic, id, ...)   mu_log(MU_LOG_ERROR, topic, id, __VA_ARGS__)
#define mu_warn(topic, id, ...)  mu_log(MU_LOG_WARN, topic, id, __VA_ARGS__)
#define mu_info(topic, id, ...)  mu_log(MU_LOG_INFO, topic, id, __VA_ARGS__)
#define mu_debug(topic, id, ...) mu_log(MU_LOG_DEBUG, topic, id, __VA_ARGS__)

/** Lets one line per interval through and counts the rest; zero-initialised. One thread's. */
struct mu_log_gate {
	int64_t next_us;
	uint64_t held; /* events since the last line, this one included */
};
/** @return 0 (stay silent) or how many events this line stands for. */
uint64_t mu_log_gate_pass(struct mu_log_gate *g, int64_t now_us, int64_t interval_us);

/* --- random.c ------------------------------------------------------------------------------------------------- */

/** Fill with bytes from the kernel (getrandom). Any thread. Aborts if the kernel has none: nothing secure can go on. */
void mu_random(void *ret, size_t len);
uint32_t mu_random_u32(void);
/** Write `len` characters of [A-Za-z0-9] and a NUL: 5.95 bits of secret a character. ret holds len + 1. */
void mu_random_text(char *ret, size_t len);
/** Compare secrets in constant time. */
bool mu_secret_equal(const void *a, const void *b, size_t len);

/* --- bytes: network order in, host order out ------------------------------------------------------------------ */

static inline uint16_t mu_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t mu_get24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}
static inline uint32_t mu_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}
static inline uint64_t mu_get64(const uint8_t *p)
{
	return (uint64_t)mu_get32(p) << 32 | mu_get32(p + 4);
}
static inline void mu_put16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, 2);
}
static inline void mu_put24(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)v;
}
static inline void mu_put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}
static inline void mu_put64(uint8_t *p, uint64_t v)
{
	mu_put32(p, (uint32_t)(v >> 32));
	mu_put32(p + 4, (uint32_t)v);
}

/* --- list: doubly linked, intrusive. A link that is in no list points at itself -------------------------------- */

struct mu_list {
	struct mu_list *next, *prev;
};
static inline void mu_list_init(struct mu_list *l)
{
	l->next = l->prev = l;
}
static inline bool mu_list_empty(const struct mu_list *l)
{
	return l->next == l;
}
static inline void mu_list_append(struct mu_list *head, struct mu_list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}
/** Take out; harmless for a link that is in no list. */
static inline void mu_list_remove(struct mu_list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	mu_list_init(item);
}
#define mu_list_for_each(it, head)         for (struct mu_list *it = (head)->next; it != (head); it = it->next)
#define mu_list_for_each_safe(it, nx, head)                                                                    \
	for (struct mu_list *it = (head)->next, *nx = it->next; it != (head); it = nx, nx = it->next)

/* --- ring.c: single producer, single consumer, fixed-size items ------------------------------------------------ */

struct mu_ring;
/** @param n_items  rounded up to a power of two, 2..2^20
 *  @param item     bytes of one item, 1..4096
 *  @return 0, -EINVAL, -ENOMEM */
int mu_ring_new(size_t n_items, size_t item, struct mu_ring **ret);
/** Both ends must have stopped. Takes NULL. */
void mu_ring_free(struct mu_ring *r);
/** Producer: copy one item in, not yet visible. @return false when full. */
bool mu_ring_put(struct mu_ring *r, const void *item);
/** Producer: make everything put so far visible: once a burst, not once an item. */
void mu_ring_publish(struct mu_ring *r);
/** Consumer: copy the oldest visible item out. @return false when empty. */
bool mu_ring_take(struct mu_ring *r, void *ret);
/** Consumer: whether there is a visible item. */
bool mu_ring_ready(struct mu_ring *r);

/* --- packet.c: reference-counted RTP packets from a slab of the worker that receives them ----------------------- */

#define MU_PACKET_MAX  1500 /* bytes of plaintext RTP, header and padding included */
#define MU_PACKET_EXTS 10   /* header-extension elements remembered */

enum mu_packet_flag {
	MU_PACKET_MARKER   = 1 << 0,
	MU_PACKET_KEY      = 1 << 1, /* shows that a key frame began: a decoder can start `lead` numbers before it */
	MU_PACKET_REPAIRED = 1 << 2, /* came by retransmission */
	MU_PACKET_FRAME    = 1 << 3, /* first packet of a frame */
};
/** What a video packet's place among the layers of its stream (temporal, and spatial in one SSRC: SVC) means to whoever
 *  takes some of them only. Where the codec's header says nothing: MU_LAYER_START and _END at a frame's ends, nothing else. */
enum mu_layer_flag {
	MU_LAYER_START	      = 1 << 0, /* first packet of its layer's frame */
	MU_LAYER_END	      = 1 << 1, /* last packet of its layer's frame */
	MU_LAYER_UP	      = 1 << 2, /* who took lower temporal layers only may take this one from here on */
	MU_LAYER_INTRA	      = 1 << 3, /* its layer's frame is not predicted from pictures before: who took lower spatial layers
					   only may take this one from here on */
	MU_LAYER_UNREFERENCED = 1 << 4, /* no other frame is predicted from it */
};
#define MU_LAYERS_MAX	3 /* encodings of one source in streams of their own (simulcast, RFC 8853) */
#define MU_SPATIAL_MAX	3 /* spatial layers within a stream */
#define MU_TEMPORAL_MAX 4
/** Where one header-extension element lies. */
struct mu_packet_ext {
	uint8_t type; /* enum mu_rtp_ext (rtp/rtp.h), 0 unknown */
	uint8_t len;  /* bytes of its data */
	uint16_t at;  /* offset of its data in mu_packet.data */
};
/** One RTP packet in the clear. Its worker fills it in and then shares it; once shared nobody writes to it. */
struct mu_packet {
	atomic_uint refs;
	struct mu_slab *slab;   /* const after new */
	struct mu_packet *next; /* the slab's own while free */
	int64_t arrival_us;     /* monotonic */
	uint64_t seq;           /* the track's own numbering, continuous over a change of sender; never wraps */
	uint32_t ts;            /* the track's own media time, clock units */
	uint32_t wire_ts;       /* as received */
	uint16_t wire_seq;      /* as received */
	uint16_t hlen;          /* bytes of RTP header with CSRCs and extensions: payload begins here */
	uint16_t len;           /* bytes used in data, padding included */
	uint8_t pad;            /* bytes of RTP padding at the end (RFC 3550, section 5.1) */
	uint8_t pt;             /* payload type on the wire */
	uint8_t codec;          /* index into the track's formats */
	uint8_t flags;          /* enum mu_packet_flag */
	uint8_t n_ext;
	uint8_t lead;           /* with MU_PACKET_KEY: track numbers from the frame's first packet to this one */
	uint8_t spatial, temporal; /* its layer, 0 the base */
	uint8_t layer;          /* enum mu_layer_flag */
	struct mu_packet_ext ext[MU_PACKET_EXTS];
	uint8_t data[MU_PACKET_MAX];
};

struct mu_slab;
/** A store of packets. One thread allocates from it, any thread gives back.
 *  @param max_packets most packets ever held at once: past it mu_packet_new fails and the caller drops and counts */
int mu_slab_new(size_t max_packets, struct mu_slab **ret);
/** Ends the store: its memory goes when the last packet has come back. Owner thread. Takes NULL. */
void mu_slab_free(struct mu_slab *s);
/** Packets handed out now, and bytes reserved. Owner thread. */
void mu_slab_usage(const struct mu_slab *s, size_t *packets, size_t *bytes);
/** An empty packet with one reference, or NULL at the limit. Owner thread of the slab. No system call in steady state. */
struct mu_packet *mu_packet_new(struct mu_slab *s);
static inline struct mu_packet *mu_packet_ref(struct mu_packet *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}
/** Drop one reference. Any thread. Takes NULL and returns NULL. */
struct mu_packet *mu_packet_unref(struct mu_packet *p);

#endif
