#include <errno.h>
#include <stdio.h>

#include "daemon/values.h"

struct unit {
	const char *name;
	int64_t factor;
};
/* Smallest first; "m" is left out on purpose: it reads as minutes to one and as milli to another. */
static const struct unit durations[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "min", 60000000 },
	{ "h", 3600000000 }, { "d", 86400000000 }, { NULL, 0 } };
static const struct unit sizes[] = { { "B", 1 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
	{ NULL, 0 } };
static const struct unit bitrates[] = { { "bit/s", 1 }, { "kbit/s", 1000 }, { "Mbit/s", 1000000 },
	{ "Gbit/s", 1000000000 }, { NULL, 0 } };

int mu_value_bool(const char *text, bool *ret)
{
	if (strcmp(text, "true") == 0)
		*ret = true;
	else if (strcmp(text, "false") == 0)
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

/* @return what follows the digits, NULL: there are none, or too many */
static const char *digits(const char *text, int64_t *ret, int64_t *ret_scale)
{
	const char *p = text;
	int64_t v = 0, scale = 1;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (p - text >= 18) /* 10^18 - 1 still fits */
			return NULL;
		v = v * 10 + (*p - '0');
		scale *= 10;
	}
	*ret = v;
	*ret_scale = scale;
	return p == text ? NULL : p;
}

int mu_value_int(const char *text, int64_t *ret)
{
	int64_t v, scale;
	const char *end = digits(text, &v, &scale);

	if (!end || *end)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* What does not come out as a whole number of the smallest unit is refused rather than rounded. */
static int scaled(const char *text, const struct unit *units, int64_t *ret)
{
	int64_t whole, part = 0, scale, v;
	const char *end = digits(text, &whole, &scale);

	scale = 1;
	if (end && *end == '.')
		end = digits(end + 1, &part, &scale);
	if (!end)
		return -EINVAL;
	if (*end == ' ')
		end++;
	if (!*end && whole == 0 && part == 0) {
		*ret = 0;
		return 0;
	}
	while (units->name && strcmp(units->name, end) != 0)
		units++;
	if (!units->name || __builtin_mul_overflow(whole, units->factor, &v) ||
		__builtin_mul_overflow(part, units->factor, &part) || part % scale != 0 ||
		__builtin_add_overflow(v, part / scale, &v))
		return -EINVAL;
	*ret = v;
	return 0;
}

int mu_value_duration(const char *text, int64_t *ret_us)
{
	return scaled(text, durations, ret_us);
}

int mu_value_size(const char *text, int64_t *ret)
{
	return scaled(text, sizes, ret);
}

int mu_value_bitrate(const char *text, int64_t *ret_bps)
{
	return scaled(text, bitrates, ret_bps);
}

static char *write_scaled(int64_t v, const struct unit *units, char ret[MU_VALUE_TEXT])
{
	const struct unit *u = units;

	for (const struct unit *next = units; next->name; next++) {
		if (v % next->factor == 0)
			u = next;
	}
	if (v == 0)
		snprintf(ret, MU_VALUE_TEXT, "0");
	else
		snprintf(ret, MU_VALUE_TEXT, "%lld%s", (long long)(v / u->factor), u->name);
	return ret;
}

char *mu_value_duration_text(int64_t us, char ret[MU_VALUE_TEXT])
{
	return write_scaled(us, durations, ret);
}

char *mu_value_size_text(int64_t bytes, char ret[MU_VALUE_TEXT])
{
	return write_scaled(bytes, sizes, ret);
}

char *mu_value_bitrate_text(int64_t bps, char ret[MU_VALUE_TEXT])
{
	return write_scaled(bps, bitrates, ret);
}
