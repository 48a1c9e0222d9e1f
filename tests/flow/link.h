/* A link between a peer and the gateway that loses, delays, reorders, doubles and holds up what goes over it,
 * by a seeded generator: the same seed is the same run. It is a pair of sockets in between: to the gateway it
 * is the peer, to the peer it is the gateway. One thread at a time. */
#ifndef LINK_H
#define LINK_H

#include "net/net.h"

struct link_way {
	double loss;    /* share of datagrams */
	unsigned burst; /* mean length of a loss; 0 and 1: each for itself */
	int64_t delay_us;
	int64_t jitter_us;   /* up to so much more, evenly; reorders */
	double doubled;      /* share that comes twice */
	double rtcp_loss;    /* of RTCP, beside loss */
	unsigned lose_first; /* media packets, from now on */
	uint32_t bps;        /* of datagrams with their IP and UDP headers; 0: as fast as they come */
	int64_t queue_us;    /* what would wait longer is lost; 0: nothing is */
};
#define LINK_OVERHEAD 28 /* bytes of IP and UDP headers */
struct link_item;
struct link_dir {
	struct link_way way;
	bool bad;                                 /* amid a burst */
	struct link_item *waiting, **waiting_end; /* for the link to be free, in order */
	uint64_t waiting_bytes;
	int64_t free_us; /* it has sent what came before */
	struct link_item *head;
	uint64_t seed; /* each way has dice of its own: what one does is not the other's chance */
	uint64_t carried, lost, doubled, overflowed;
};
struct link {
	int front, back; /* towards the peer; towards the gateway */
	struct mu_addr front_addr, gateway, peer;
	bool has_peer;
	struct link_dir up, down;
};

/** Clean until told otherwise. */
void link_open(struct link *l, const struct mu_addr *gateway, uint64_t seed);
void link_close(struct link *l);
/** Take what has come at both ends, and pass on what is due. @return whether anything moved */
bool link_run(struct link *l, int64_t now_us);
/** How long what comes now has to wait, at the rate of the moment. */
int64_t link_queue_us(const struct link_dir *d);

#endif
