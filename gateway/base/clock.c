#include <time.h>

#include "base/base.h"

#define NTP_UNIX_OFFSET_S 2208988800ull /* 1900 to 1970 (RFC 5905, appendix A.4) */

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t mu_clock_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t mu_clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

uint64_t mu_ntp_from_wall_us(int64_t wall_us)
{
	uint64_t s = (uint64_t)wall_us / 1000000, us = (uint64_t)wall_us % 1000000;

	return (s + NTP_UNIX_OFFSET_S) << 32 | (us << 32) / 1000000;
}
