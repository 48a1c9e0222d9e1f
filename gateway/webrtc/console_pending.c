/* What relay is to tell of tracks, until it does. */
#include "relay/relay.h"

__attribute__((weak)) unsigned mu_track_loudness(const struct mu_track *t, int64_t now_us)
{
	(void)t;
	(void)now_us;
	return 0;
}

__attribute__((weak)) unsigned mu_track_users(const struct mu_track *t)
{
	(void)t;
	return 1;
}

__attribute__((weak)) void mu_track_watch(
	struct mu_track *t, struct mu_inbox *in, void (*fn)(void *arg, struct mu_track *t), void *arg)
{
	(void)t;
	(void)in;
	(void)fn;
	(void)arg;
}
