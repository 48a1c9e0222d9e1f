#include <stdio.h>
#include <time.h>

#include "base/base.h"

char *mu_time_text(int64_t wall_us, unsigned digits, char ret[MU_TIME_TEXT])
{
	static const int64_t unit[] = { 1000000, 100000, 10000, 1000, 100, 10, 1 };
	int64_t us = wall_us % 1000000 < 0 ? wall_us % 1000000 + 1000000 : wall_us % 1000000;
	time_t s = (time_t)((wall_us - us) / 1000000);
	struct tm tm;
	size_t n;

	digits = MU_MIN(digits, 6);
	gmtime_r(&s, &tm);
	n = strftime(ret, MU_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	if (digits)
		n += (size_t)snprintf(ret + n, MU_TIME_TEXT - n, ".%0*d", (int)digits, (int)(us / unit[digits]));
	snprintf(ret + n, MU_TIME_TEXT - n, "Z");
	return ret;
}
