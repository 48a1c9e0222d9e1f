/* transport: one secured 5-tuple with a peer: ICE, DTLS, SRTP, RTP streams in and out. It joins the modules below.
 *
 * Made on the control thread, then owned by its worker until closed. The control thread talks to it by the calls below
 * (each posts a message) and hears from it by events, which run on the control thread.
 */
#ifndef MU_TRANSPORT_H
#define MU_TRANSPORT_H

#include "ice/ice.h"
#include "net/net.h"
#include "relay/relay.h"
#include "rtp/rtp.h"
#include "secure/secure.h"

#define MU_STREAMS_MAX 16 /* media streams in each direction that a transport begins with */
#define MU_STREAMS_LATER_MAX 96 /* those added later included */

/* --- one for the process ------------------------------------------------------------------------------------------------ */

struct mu_transport_options {
	struct mu_net_options net;
	const char *srtp_engine;	  /* "auto", "ipsec-mb", "openssl", "libsrtp" */
	const enum mu_srtp_profile *profiles; /* NULL: default order */
	int64_t gather_us;		  /* 0..5000 */
	uint64_t publisher_bps;		  /* an authorised publisher's limit, bits a second, 0: none (RELIABILITY S14) */
	size_t packets_max;		  /* of each worker's store */
	struct mu_inbox *control;	  /* where events run */
};
/** Workers, identity and engines: the media plane. */
struct mu_media;
int mu_media_new(const struct mu_transport_options *o, struct mu_media **ret, struct mu_error *e);
/** All transports must have reported CLOSED, or are closed here. Control thread. */
void mu_media_free(struct mu_media *m);
struct mu_net *mu_media_net(struct mu_media *m);
const struct mu_identity *mu_media_identity(const struct mu_media *m);
const char *mu_media_engine(const struct mu_media *m);
/** Another limit for publishers, those that are connected included, from the workers' next turn on. Control thread.
 *  @param bps bits a second; 0: none */
void mu_media_set_publisher_bps(struct mu_media *m, uint64_t bps);
/** The worker with the fewest sessions. Control thread. */
unsigned mu_media_pick_worker(struct mu_media *m);

/* --- streams ---------------------------------------------------------------------------------------------------------------- */

/** One media stream that the peer sends us: an m-section of its offer. */
struct mu_stream_in {
	struct mu_track *track; /* where it goes, at home on the transport's worker; a reference is taken */
	char mid[32];
	char rid[17]; /* of simulcast (RFC 8852): each encoding is a stream of its own with the same mid; "": none */
	struct mu_format formats[MU_FORMATS_MAX];
	uint8_t rtx_pt[MU_FORMATS_MAX]; /* payload type of each format's RTX, 0 none */
	unsigned n_formats;
	struct mu_ext_map exts;
	uint32_t ssrc, rtx_ssrc; /* as announced; 0: learned from the first authenticated packet by MID or payload type */
	bool nack, pli, fir, twcc, remb;
};
/** A format that the peer takes, with its payload types. */
struct mu_stream_format {
	struct mu_format format;
	uint8_t rtx_pt; /* 0: none */
};
/** One media stream that we send to the peer. */
struct mu_stream_out {
	struct mu_track *track;
	char mid[32];
	uint32_t ssrc, rtx_ssrc; /* rtx_ssrc 0: lost packets are sent again as they were */
	struct mu_stream_format formats[MU_FORMATS_MAX];
	unsigned n_formats;
	struct mu_ext_map exts; /* with MU_EXT_TWCC where the peer answers by transport-wide feedback */
	bool nack;
	uint8_t red_pt; /* audio RED (RFC 2198) of Opus: used when the peer loses packets; 0: not taken */
};
/** What a stream out carries, and how much it matters. */
struct mu_feed {
	struct mu_track *layers[MU_LAYERS_MAX]; /* encodings of one source, in any order: their shapes tell which is which; the
						   transport takes references. Of one kind, that of the stream */
	unsigned n_layers;	/* 0: the stream rests */
	unsigned urgency;	/* enum mu_urgency: 0 is served first */
	unsigned width, height; /* of the tile in pixels: no layer is sent that is larger than needed; 0: as large as there is */
	bool never_paused;
};

enum mu_transport_state {
	MU_TRANSPORT_NEW,
	MU_TRANSPORT_CONNECTED, /* DTLS is up; media flows. Also told when a silent one is back */
	MU_TRANSPORT_SILENT,	/* no consent for 30 s (RFC 7675): nothing is sent or taken; an ICE restart within 10 s brings it back */
	MU_TRANSPORT_CLOSED,	/* for good; the control side frees it now */
};
/** Why a viewer gets of a source what it gets. */
enum mu_choice {
	MU_CHOICE_WHOLE,  /* all there is */
	MU_CHOICE_TILE,	  /* its tile needs no more */
	MU_CHOICE_LINK,	  /* its link bears no more */
	MU_CHOICE_PAUSED, /* its link bears not even the least of it, others come first */
	MU_CHOICE_WAITS,  /* a key frame of the layer chosen is on its way */
	MU_CHOICE_RESTS,  /* no feed, or its source sends nothing */
};
const char *mu_choice_name(enum mu_choice c);
struct mu_stream_stats {
	char mid[32];
	char rid[17];
	bool out;
	enum mu_kind kind;
	enum mu_codec codec;
	uint32_t ssrc;
	uint64_t packets, bytes, lost, nacks, retransmitted, repaired, key_requests, key_frames, dropped;
	uint32_t jitter_us, rtt_us;
	uint32_t remote_fraction_lost; /* of the last report, 1/256 */
	/* of a stream out that is fitted to its link */
	enum mu_choice choice;
	uint16_t width, height; /* of the layer that is sent */
	uint8_t layer, n_layers, spatial, temporal; /* by size, 0 the smallest */
	uint32_t bps, switches;
};
/** What the link to a fitted peer bears, and why. */
struct mu_link_stats {
	bool known; /* feedback came */
	uint32_t estimate_bps, acked_bps, wanted_bps, spent_bps;
	float loss; /* 0..1 */
	uint32_t queue_us, rtt_us; /* waiting on the link as far as the delays tell; in our pacer: paced_us */
	uint32_t paced_us;
	uint8_t limit;	/* enum mu_limit (adapt.h) */
	uint8_t red;	/* copies of earlier audio that each audio packet carries */
	uint32_t probes;
};
struct mu_transport_stats {
	enum mu_srtp_profile profile;
	struct mu_addr remote;
	int64_t connected_us; /* from new to DTLS up; -1 not yet */
	int64_t last_check_us, last_rtcp_us; /* valid ones; 0 none yet */
	uint64_t bad_auth, replayed, malformed, over_limit, unknown_ssrc;
	struct mu_link_stats link;
	unsigned n_streams;
	const struct mu_stream_stats *streams; /* during the event: whoever keeps the figures copies these too */
};
/** Heard on the control thread. */
struct mu_transport_events {
	void (*state)(void *arg, enum mu_transport_state s, const char *why);
	/** An answer to mu_transport_ask_stats. */
	void (*stats)(void *arg, const struct mu_transport_stats *s);
};

struct mu_transport_spec {
	unsigned worker;
	const char *id;		/* for the log */
	uint8_t fingerprints[4][MU_FINGERPRINT_LEN];
	unsigned n_fingerprints;
	bool dtls_server;
	char cname[64];
	/* our ICE credentials, where they were offered before the peer was known (mu_transport_credentials); "": new ones */
	char ufrag[MU_ICE_UFRAG + 1], pwd[MU_ICE_PWD + 1];
	struct mu_stream_in in[MU_STREAMS_MAX];
	unsigned n_in;
	struct mu_stream_out out[MU_STREAMS_MAX];
	unsigned n_out;
	int64_t connect_timeout_us; /* gives up when DTLS is not up by then; 0: 30 s */
	/** What is sent is fitted to the peer's link: layers, pace, redundancy; streams out may be fed anew. For whoever watches
	 *  many, or a source of several layers; a viewer of one plain stream costs less without. */
	bool fitted;
};
struct mu_transport;
/** Control thread. Copies spec. Events begin after return.
 *  @return 0, -ENOMEM, -EINVAL (no such worker, too many of something, or the track of a stream in has its home on
 *  another worker) */
int mu_transport_new(struct mu_media *m, const struct mu_transport_spec *spec, const struct mu_transport_events *ev, void *arg,
	struct mu_transport **ret);
/** ICE credentials for an offer of ours, whose transport is made once it was answered. Any thread. */
void mu_transport_credentials(char ret_ufrag[MU_ICE_UFRAG + 1], char ret_pwd[MU_ICE_PWD + 1]);
/** Our ICE credentials, for the answer. Control thread. */
const char *mu_transport_ufrag(const struct mu_transport *t);
const char *mu_transport_pwd(const struct mu_transport *t);
/** Index of its worker. Control thread. */
unsigned mu_transport_worker(const struct mu_transport *t);
/** ICE restart: new credentials at once, both sets are answered until the peer nominates with the new. Control thread. */
int mu_transport_restart_ice(struct mu_transport *t);
/** Say goodbye (RTCP BYE, close_notify), let go of tracks; CLOSED follows. Control thread. Harmless twice. */
void mu_transport_close(struct mu_transport *t, const char *why);
/** After CLOSED was heard: free. Control thread. */
void mu_transport_free(struct mu_transport *t);
/** The answer comes as an event. Control thread. */
void mu_transport_ask_stats(struct mu_transport *t);

/* --- streams that come and go while it runs; control thread ------------------------------------------------------------- */

/** The peer sends one more (another m-section of a new offer, or an encoding of one). Copies s.
 *  @return 0, -ENOMEM, -EINVAL (the track has its home on another worker), -ENOSPC (MU_STREAMS_LATER_MAX), -EPROTO (it is
 *  closed) */
int mu_transport_add_in(struct mu_transport *t, const struct mu_stream_in *s);
/** It does not send this m-section any more, with all its encodings; the tracks are let go. */
void mu_transport_remove_in(struct mu_transport *t, const char *mid);
/** One more goes to the peer, of a transport that is `fitted`: s->track is NULL, what it carries is said by
 *  mu_transport_feed. Its kind is that of its formats. Copies s.
 *  @return 0, -ENOMEM, -ENOSPC, -EINVAL (no formats, a mid that is taken, not fitted), -EPROTO (it is closed) */
int mu_transport_add_out(struct mu_transport *t, const struct mu_stream_out *s);
/** From now on this stream out carries f, from the next key frame on where it is video; the others are not touched. Numbers,
 *  time stamps and picture ids go on without a seam. The same layers as before: only what the feed says of them changes.
 *  The streams out that a fitted transport begins with have a feed of one layer, their track.
 *  @return 0, -ENOENT (no such stream), -ENOMEM, -EINVAL (kind, or too many layers), -EPROTO (it is closed) */
int mu_transport_feed(struct mu_transport *t, const char *mid, const struct mu_feed *f);

/* --- counters of the media plane ---------------------------------------------------------------------------------------------- */

#define MU_HIST_BUCKETS 12 /* <= 50, 100, 250, 500 us, 1, 2, 5, 10, 20, 50, 100 ms, more */
struct mu_media_stats {
	struct mu_net_stats net;
	uint64_t stun_in, stun_bad, address_held, dtls_in, dtls_unvalidated, rtp_in, rtcp_in, unknown_address;
	uint64_t bad_auth, replayed, malformed, over_limit, no_packet;
	uint64_t unknown_ssrc, no_consent; /* packets of no stream; of sessions that are silent */
	uint64_t too_large; /* packets that would have left as more than MU_DATAGRAM_MAX bytes */
	uint64_t rtp_out, retransmitted, nacks_in, nacks_out, key_requests_in, key_requests_out;
	uint64_t queue_us_bucket[MU_HIST_BUCKETS], queue_us_sum, queue_count; /* packet in to packet handed to the kernel */
	uint64_t packets_held, slab_bytes;
	unsigned transports;
};
/** Ask every worker; done runs on the control thread with n_workers entries. */
void mu_media_ask_stats(struct mu_media *m, void (*done)(void *arg, const struct mu_media_stats *s, unsigned n), void *arg);

#endif
