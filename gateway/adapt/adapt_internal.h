/* What the files of adapt share. */
#ifndef MU_ADAPT_INTERNAL_H
#define MU_ADAPT_INTERNAL_H

#include "adapt/adapt.h"

/** Rate of what arrived, over a sliding half second of the receiver's clock. */
struct rate_window {
	struct { int64_t at_us; uint32_t bytes; } slots[16];
	bool any;
	int64_t first_us; /* when counting began */
};

#define CLUSTERS 4
/** A probe under way. */
struct cluster {
	uint16_t number;
	uint32_t bps;
	unsigned packets; /* asked for */
	unsigned arrived;
	uint32_t asked; /* bytes */
	uint64_t bytes, amid; /* amid: of ordinary packets since its last one */
	uint16_t first_size, last_size;
	int64_t first_sent_us, last_sent_us, first_arrived_us, last_arrived_us;
};
struct prober {
	uint16_t last_number;
	unsigned started; /* of the first two, right after the start */
	int64_t sent_us;  /* the last one */
	int64_t interval_us;
	struct cluster clusters[CLUSTERS];
};

struct mu_estimate {
	struct mu_estimate_limits limits;
	struct mu_trend trend;
	struct rate_window acked;
	struct prober prober;
	double delay_bps, loss_bps;
	enum mu_limit why;
	/* delay based */
	int64_t increased_us;  /* last time the rate was raised; 0: a fresh start */
	int64_t decreased_us;
	double capacity_bps, capacity_dev; /* where overuse came before, and how exact that is (kbit/s, normed); 0: not known */
	double packet_bytes;   /* mean */
	int64_t rtt_us;
	/* loss based */
	unsigned expected, lost;
	int64_t loss_since_us, loss_decreased_us;
	double loss;
	/* the queue: how much later than the fastest of the last 20 to 40 s the packets arrive */
	int64_t base_us[2], base_since_us; /* of arrived - sent, in two spans */
	int64_t queue_us;
	/* silence */
	bool cut; /* nothing arrives, as far as is known */
	int64_t feedback_us, silent_cut_us;
	double before_silence_bps; /* 0: none lately */
};

/** Bits a second over the window that ends at the last arrival; 0: too little. */
double rate_of(const struct rate_window *w, int64_t now_arrived_us);

/* probe.c */
void probe_init(struct prober *p);
/** A packet of a cluster arrived. @return bits a second that the cluster proves, 0: not complete, or nothing proven */
double probe_arrived(struct prober *p, const struct mu_fate *f);
/** What a probe proved was no more than we knew / was more: the interval grows / is the shortest again. */
void probe_judged(struct prober *p, bool more);

#endif
