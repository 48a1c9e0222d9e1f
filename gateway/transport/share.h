/* share.c: what the link bears is dealt out to a viewer's streams: which layer of each source, or none. Plain
 * logic around mu_spend (adapt.h): claims come from the shapes of the layers. */
#ifndef MU_TRANSPORT_SHARE_H
#define MU_TRANSPORT_SHARE_H

#include "adapt/adapt.h"
#include "transport/transport.h"

/** What may be sent of a source. */
struct share_point {
	uint8_t layer; /* index into the layers */
	uint8_t spatial, temporal;
	uint16_t width, height; /* 0: not known */
	uint32_t bps;           /* on the wire: with headers, copies of audio */
};
/** One stream out. Zero-initialised, then share_init. */
struct share_stream {
	/* said before each share_spend */
	enum mu_kind kind;
	const void *source[MU_LAYERS_MAX]; /* whose layers: others begin anew */
	struct mu_shape shapes[MU_LAYERS_MAX];
	unsigned n_layers;
	unsigned urgency, width, height; /* struct mu_feed's */
	bool never_paused;
	/* told by it */
	int point;                                /* MU_PAUSED, or what it has */
	enum mu_choice choice;                    /* WAITS is not known here */
	unsigned n_points, n_sizes;               /* sizes: of layers and spatial layers */
	struct share_point points[MU_POINTS_MAX]; /* by size, then by frames a second */
	/* share.c's own */
	const void *before[MU_LAYERS_MAX];
	struct mu_shape
		known[MU_LAYERS_MAX];    /* as last seen flowing, rates smoothed; temporals 0: never seen */
	int64_t since_us[MU_LAYERS_MAX]; /* it flows; 0: it does not */
	int64_t asked_us[MU_LAYERS_MAX], absent_until_us[MU_LAYERS_MAX];
	int64_t flowed_us, fell_us, told_us;
};
/** What there is to spend. */
struct share_budget {
	uint32_t bps;
	double loss;     /* what is sent again is kept back */
	unsigned copies; /* that each audio packet carries */
};
struct share_sum {
	uint32_t wanted_bps, spent_bps; /* wanted: all that the tiles need */
};
void share_init(struct share_stream *s);
/** Fills in what each stream gets. At most MU_STREAMS_LATER_MAX. */
struct share_sum share_spend(
	struct share_stream *const *s, size_t n, const struct share_budget *b, int64_t now_us);
/** How deep into its layer a stream's point goes. Where it is all that is known of the layer it is all that there is: more may
 * show at any moment, and where another layer stands in for one that was never seen, nothing of that one is left out. */
void share_depth(const struct share_stream *s, unsigned *ret_spatial, unsigned *ret_temporal);

#endif
