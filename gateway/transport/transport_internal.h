/* What the files of transport share.
 *
 * struct mu_transport has a part that is const after new, a part of the control thread, and the rest, its worker's. It is
 * reference counted, for messages may be under way in both directions when either side is done with it.
 * struct plane is a worker's: its engine, its maps from address and user name to transport, its egress.
 */
#ifndef MU_TRANSPORT_INTERNAL_H
#define MU_TRANSPORT_INTERNAL_H

#include "transport/transport.h"

#define TOPIC "transport"

#define UFRAG_BUCKETS	4096
#define EGRESS_ITEMS	4096
#define EGRESS_JOBS	(MU_SEND_BATCH * MU_SEGMENTS_MAX)
#define TICK_PUBLISHER_US 100000
#define TICK_VIEWER_US	  1000000
#define CONNECT_TIMEOUT_US 30000000
#define LOG_GATE_US	  10000000 /* one line for a kind of bad packet in this time (RELIABILITY S4) */
#define RTCP_MAX	  1200
#define GONE_MAX	  8
#define RTCP_BLOCKS_MAX	  31 /* of an RR, SSRCs of a BYE (RFC 3550, section 6.4.1) */

struct plane;
struct mu_transport;

/** Header-extension ids of viewers, one copy for all who map alike, so that a burst's headers are written once. */
struct shared_map {
	struct mu_ext_map map;
	unsigned refs;
};

/** A user name that finds a transport. */
struct ufrag_entry {
	struct mu_list link;
	char ufrag[MU_ICE_UFRAG + 1];
	struct mu_transport *t;
};

struct in_stream {
	struct mu_source source;
	struct mu_transport *t;
	struct mu_stream_in spec;
	uint32_t ssrc, rtx_ssrc; /* bound; 0 not yet */
	int64_t last_packet_us;
	struct mu_rtp_rx rx;
	struct mu_nack *nack;
	struct mu_rtp_clock clock; /* the sender's last report */
	bool attached;
	bool ended; /* the sender said BYE for this SSRC */
	uint8_t fir_number;
	uint64_t nacks, repaired, key_requests, dropped;
	enum mu_codec codec;
};

/** What the peer said it takes, in memory of its own: some 4 KiB that are looked at when the publisher's formats change. */
struct out_offer {
	struct mu_ext_map exts;
	unsigned n_formats;
	struct mu_stream_format formats[];
};

struct resent; /* resend.c */
struct fit;    /* fit.h: a stream that is fitted to its viewer */
struct fitted; /* fit.h: what the streams of such a transport share */

struct out_stream {
	/* what each packet touches, in two cache lines: a frame goes to hundreds of these, one after the other */
	struct mu_sink sink; /* first_seq: the track number that goes out first */
	struct mu_transport *t;
	struct shared_map *map;
	uint64_t shift;	  /* from track number to 48-bit SRTP index; wraps */
	uint64_t highest; /* track number, of what went out */
	uint64_t packets, bytes;
	uint64_t formats_since; /* first track number under these formats */
	uint32_t ts_offset;
	uint32_t ssrc; /* spec.ssrc */
	unsigned formats_version;
	uint8_t kind; /* enum mu_kind */
	bool started;
	uint8_t format, format_pt; /* the last packet's mu_packet.codec, and what it went out as */
	/* the rest */
	uint8_t pt[MU_FORMATS_MAX], rtx_pt[MU_FORMATS_MAX]; /* by mu_packet.codec; PT_NONE: the peer does not take it */
	struct {
		struct mu_track *track;
		char mid[32];
		uint32_t ssrc, rtx_ssrc;
		bool nack;
	} spec;
	struct out_offer *offer; /* const after new */
	struct fit *fit;	 /* of a fitted transport's streams: it has the sinks, and spec.track is NULL */
	uint64_t rtx_index;
	struct resent *resent;	 /* NULL: nothing was asked for yet */
	int64_t resend_credit;	 /* bytes that may be sent again (RELIABILITY S13) */
	uint64_t resend_counted; /* bytes sent that credit was given for */
	uint64_t nacks, retransmitted, key_requests, dropped;
	int64_t asked_key_us;
	bool fir_heard;
	uint32_t fir_from; /* the last FIR's sender and number: the same again asks for nothing new */
	uint8_t fir_number;
	uint64_t sr_ntp; /* the last report we sent, and when */
	int64_t sr_us;
	uint8_t remote_fraction_lost;
	int32_t remote_lost;
	uint32_t remote_jitter;
	int64_t rtt_us;
	enum mu_codec codec;
} __attribute__((aligned(MU_CACHELINE)));
#define PT_NONE 0xff

struct transport_msg {
	struct mu_msg msg;
	struct mu_transport *t;
	char why[96];
	enum mu_transport_state state;
	char ufrag[MU_ICE_UFRAG + 1], pwd[MU_ICE_PWD + 1];
	struct mu_transport_stats *stats;
};

struct mu_transport {
	/* what each packet out touches, in two cache lines; the worker's, but for the first two, which are const after new */
	struct plane *plane;
	struct mu_worker *worker;
	struct mu_srtp_key *key_out;
	struct mu_list dirty;
	int32_t queue_head, queue_tail; /* items waiting in the plane's egress, -1 none */
	bool sendable;	      /* keys are there and consent is fresh */
	bool is_fitted;	      /* const after new: its streams out have a fit each, and nothing waits in queue_head */
	uint8_t growth;	      /* bytes that SRTP adds to a packet */
	struct mu_path path; /* ice.used, once there is one; else remote family 0 */
	/* any thread */
	atomic_uint refs;
	/* const after new */
	struct mu_media *media;
	unsigned worker_index; /* told apart: events may be heard after the workers are gone */
	char *id;
	bool dtls_server;
	uint8_t fingerprints[4][MU_FINGERPRINT_LEN];
	unsigned n_fingerprints;
	char cname[64];
	int64_t connect_timeout_us;
	/* control thread */
	const struct mu_transport_events *events; /* NULL: nobody listens any more */
	void *events_arg;
	bool closing, closed, counted;
	char control_ufrag[MU_ICE_UFRAG + 1], control_pwd[MU_ICE_PWD + 1];
	struct stream_name *names; /* streams.c */
	unsigned n_names, size_names;
	/* the worker */
	struct mu_list link;		/* in the plane's list; linked while attached */
	struct ufrag_entry ufrags[2];	/* present and, during a restart, the one before */
	struct mu_ice ice;
	bool muted;    /* consent is gone: not even a goodbye */
	int64_t last_rtcp_us;
	bool silent;   /* consent is gone, and the session waits for an ICE restart (RELIABILITY S9), */
	bool restarted; /* which has been asked for, */
	int64_t silent_us; /* since when */
	struct mu_dtls *dtls;
	struct mu_srtp_key *key_in;
	struct mu_srtp_rx *rx;
	enum mu_srtp_profile profile;
	uint32_t srtcp_index;
	int64_t created_us, connected_us;
	struct mu_timer connect_timer, tick_timer, nack_timer;
	int64_t next_report_us;
	struct in_stream **in; /* each stays where it is: tracks and queues know it */
	unsigned n_in;
	uint32_t gone[GONE_MAX]; /* SSRCs of streams in that were removed: their packets on the way are nobody's */
	unsigned n_gone;
	struct out_stream **out;
	unsigned n_out;
	struct fitted *fitted; /* NULL unless is_fitted */
	struct mu_ext_map exts_in; /* BUNDLE: ids mean the same in every m-section (RFC 8843, section 9) */
	struct mu_twcc_rx *twcc;
	uint32_t rtcp_ssrc; /* who we are in RTCP: our first stream, else a number of its own */
	struct mu_rtt rtt;   /* to what the peer sends and back */
	struct {
		bool heard; /* and not answered yet */
		uint32_t ssrc, middle;
		int64_t at_us;
	} peer_time; /* a receiver's that asks for its round trip (RFC 3611, section 4.4) */
	uint64_t bytes_in; /* of authenticated RTP */
	struct mu_loss_rate loss_rate;
	uint64_t measured_bytes;
	int64_t measured_us;
	int64_t police_us;
	int64_t police_bits; /* credit of the publisher's rate limit */
	uint64_t bad_auth, replayed, malformed, over_limit, unknown_ssrc;
	struct mu_log_gate gate_auth, gate_limit;
} __attribute__((aligned(MU_CACHELINE)));

/** A packet that a viewer asked for again. */
struct again {
	struct out_stream *out;
	const struct mu_packet *pkt; /* borrowed until the turn ends */
	const struct wire *wire;     /* of a fitted stream, and no pkt: borrowed from its log */
};
#define AGAIN_MAX 64

struct egress_item {
	struct out_stream *out;
	struct mu_burst *burst;
	int32_t next;
};

struct plane {
	struct mu_worker *worker;
	struct mu_media *media;
	uint64_t publisher_bps; /* 0: no limit */
	struct mu_relay *relay;
	struct mu_srtp_engine *engine;
	struct mu_list transports;
	unsigned n_transports;
	struct mu_addr_map by_addr[MU_NET_LISTEN_MAX]; /* by socket: networks behind two of them may number alike */
	const struct mu_path *from; /* where the datagram in hand came from */
	struct mu_list by_ufrag[UFRAG_BUCKETS];
	struct shared_map **maps;
	unsigned n_maps, size_maps;
	/* egress */
	struct egress_item items[EGRESS_ITEMS];
	int32_t n_items;
	struct mu_list dirty; /* transports with items */
	struct mu_srtp_job jobs[EGRESS_JOBS];
	unsigned n_jobs;
	struct again again[AGAIN_MAX]; /* of one transport */
	unsigned n_again;
	struct mu_media_stats stats;
};

struct mu_media {
	struct mu_net *net;
	struct mu_identity *identity;
	struct mu_dtls_ctx *dtls;
	struct mu_inbox *control;
	char engine[16];
	char engine_used[16];
	int64_t gather_us;
	uint64_t publisher_bps; /* control thread; planes have their own */
	size_t packets_max;
	unsigned sessions[MU_WORKERS_MAX]; /* control thread */
	struct plane *planes[MU_WORKERS_MAX]; /* those whose worker started; theirs until it has stopped */
};

static inline struct plane *plane_of(const struct mu_worker *w)
{
	return mu_worker_user(w);
}

/* session.c: attach, connect, close; worker */
void session_attach_msg(struct mu_msg *m);
void session_close_msg(struct mu_msg *m);
void session_restart_msg(struct mu_msg *m);
void session_stats_msg(struct mu_msg *m);
void session_close(struct mu_transport *t, const char *why, int64_t now_us);
void session_dtls_input(struct mu_transport *t, const uint8_t *data, size_t len, int64_t now_us);
/* Keys are agreed on: media may flow. Wipes them. */
void session_keyed(struct mu_transport *t, struct mu_dtls_keys *keys, int64_t now_us);
/* Consent is gone: nothing is sent or taken any more; the end comes some seconds later. */
void session_fall_silent(struct mu_transport *t, int64_t now_us);
void session_ice_event(struct mu_transport *t, enum mu_ice_event ev, const struct mu_path *from, int64_t now_us);
/* Whether an address is this session's so firmly that a check for another session does not take it. */
bool session_holds(const struct mu_transport *t, const struct mu_path *path, int64_t now_us);
void session_heard_from(struct mu_transport *t, const struct mu_path *from);
/* The datagram in hand was found authentic: it proves the path that it came by. */
static inline void session_heard(struct mu_transport *t)
{
	if (t->ice.moving && t->plane->from)
		session_heard_from(t, t->plane->from);
}
/* Media begins for a stream of a transport whose keys are there. */
void session_begin_in(struct in_stream *s, int64_t now_us);
void session_end_in(struct in_stream *s);
int session_attach_in(struct in_stream *s);
int session_attach_out(struct out_stream *o);
struct shared_map *map_take(struct plane *p, const struct mu_ext_map *m);
void map_drop(struct plane *p, struct shared_map *m);

/* control.c: references (any thread), and events to the control thread, from the worker */
struct mu_transport *transport_ref(struct mu_transport *t);
void transport_unref(struct mu_transport *t);
void event_state(struct mu_transport *t, enum mu_transport_state s, const char *why);
struct transport_msg *transport_msg_new(struct mu_transport *t, void (*fn)(struct mu_msg *m));

/* streams.c: what a transport's streams are made of, and how they come and go; control thread */
struct in_stream *stream_in_new(struct mu_transport *t, const struct mu_stream_in *from);
void stream_in_free(struct in_stream *s);
struct out_stream *stream_out_new(struct mu_transport *t, const struct mu_stream_out *from, enum mu_kind kind);
void stream_out_free(struct out_stream *o);
/* What the ids of a BUNDLE mean (RFC 8843, section 9). */
void stream_learn_exts(struct mu_transport *t, const struct mu_ext_map *exts);
/* Remember that it is there. @return 0, -ENOMEM */
int stream_name_add(struct mu_transport *t, const char *mid, enum mu_kind kind, bool out);

/* demux.c */
void demux(struct mu_worker *w, const struct mu_datagram *d, size_t n, int64_t now_us);
struct mu_transport *find_ufrag(struct plane *p, const char *ufrag);
struct mu_list *ufrag_bucket(struct plane *p, const char *ufrag);

/* incoming.c */
void incoming_rtp(struct mu_transport *t, const uint8_t *data, size_t len, int64_t now_us);
void incoming_ask_key(struct mu_source *s, int64_t now_us);
/* What a packet leaves behind that was not let in: a count, and a line now and then. err: of mu_srtp_rx_rtp, _rtcp */
void incoming_refused(struct mu_transport *t, int err, int64_t now_us);
void incoming_malformed(struct mu_transport *t);
/* What is missing and how its clock stands: of no use once the sender is another. */
void incoming_forget(struct in_stream *s);

/* rtcp_in.c */
void incoming_rtcp(struct mu_transport *t, const uint8_t *data, size_t len, int64_t now_us);

/* report.c: what we tell the peer at intervals */
void report_tick(struct mu_timer *timer, struct mu_worker *w, int64_t now_us);
int64_t report_next_us(const struct mu_transport *t, int64_t now_us);

/* feedback.c: what we ask */
void feedback_nack_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us);
void feedback_plan_nacks(struct mu_transport *t, int64_t now_us);
void feedback_key_request(struct in_stream *s);
void feedback_bye(struct mu_transport *t, const char *why);
/* Begin a compound packet: a receiver report of n <= RTCP_BLOCKS_MAX blocks, and our name. */
void rtcp_begin(struct mu_transport *t, struct mu_rtcp_writer *w, const struct mu_rtcp_report *reports, size_t n);
void rtcp_send(struct mu_transport *t, const struct mu_rtcp_writer *w);

/* egress.c */
void egress_deliver(struct mu_sink *s, struct mu_burst *b);
void egress_drain(struct mu_worker *w, int64_t now_us);
void egress_forget(struct mu_transport *t);
/* Which of the peer's payload types each of a publisher's formats goes out as. */
void egress_choose(const struct out_offer *offer, const struct mu_format *formats, unsigned n, uint8_t pt[MU_FORMATS_MAX],
	uint8_t rtx_pt[MU_FORMATS_MAX]);
static inline uint64_t out_index(const struct out_stream *o, uint64_t seq)
{
	return seq + o->shift;
}

/* resend.c: what is asked for in one RTCP packet is noted, then sent together */
void resend(struct out_stream *o, uint16_t seq, int64_t now_us);
void resend_noted(struct mu_transport *t);

/* stats.c */
/* One block of memory, NULL without. */
struct mu_transport_stats *stats_take(const struct mu_transport *t);
void stats_queue(struct plane *p, int64_t us);

#endif
