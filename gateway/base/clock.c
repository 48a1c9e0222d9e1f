#include <time.h>

#include "base/base.h"

#define NTP_UNIX_OFFSET_S 2208988800ull /* 1900 to 1970 (RFC 5905, appendix A.4) */

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static atomic_int_fast64_t driven_us;    /* 0: the real clock */
static atomic_int_fast64_t wall_from_us; /* wall time at driven time 0 */

static int64_t driven(void)
{
	return atomic_load_explicit(&driven_us, memory_order_relaxed);
}

void mu_clock_drive(int64_t us)
{
	if (us && !driven())
		atomic_store_explicit(&wall_from_us, read_us(CLOCK_REALTIME) - us, memory_order_relaxed);
	atomic_store_explicit(&driven_us, us, memory_order_relaxed);
}

bool mu_clock_driven(void)
{
	return driven() != 0;
}

int64_t mu_clock_us(void)
{
	int64_t us = driven();

	return __builtin_expect(us != 0, 0) ? us : read_us(CLOCK_MONOTONIC);
}

int64_t mu_clock_wall_us(void)
{
	int64_t us = driven();

	if (__builtin_expect(us != 0, 0))
		return atomic_load_explicit(&wall_from_us, memory_order_relaxed) + us;
	return read_us(CLOCK_REALTIME);
}

uint64_t mu_ntp_from_wall_us(int64_t wall_us)
{
	uint64_t s = (uint64_t)wall_us / 1000000, us = (uint64_t)wall_us % 1000000;

	return (s + NTP_UNIX_OFFSET_S) << 32 | (us << 32) / 1000000;
}
