/* What a track is like, before anything measures it: it flows, and has one layer of no known size. */
#include "relay/relay.h"

/* What measures takes its place. */
__attribute__((weak)) void mu_track_shape(const struct mu_track *t, struct mu_shape *ret)
{
	(void)t;
	*ret = (struct mu_shape){ .flows = true, .spatials = 1, .temporals = 1 };
}
