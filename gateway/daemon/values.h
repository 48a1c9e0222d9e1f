/* values: numbers with units, as people write them. Any thread. */
#ifndef MU_DAEMON_VALUES_H
#define MU_DAEMON_VALUES_H

#include "base/base.h"

#define MU_VALUE_TEXT 48

/** "true" or "false". @return 0, -EINVAL */
int mu_value_bool(const char *text, bool *ret);
/** A whole decimal number, not negative. @return 0, -EINVAL */
int mu_value_int(const char *text, int64_t *ret);
/** "250us", "2ms", "1.5s", "10min", "1h", "1d", or "0", in microseconds. @return 0, -EINVAL */
int mu_value_duration(const char *text, int64_t *ret_us);
/** "512B", "64KiB", "4MiB", "1GiB", or "0", in bytes. @return 0, -EINVAL */
int mu_value_size(const char *text, int64_t *ret);
/** "64kbit/s", "2.5Mbit/s", "1Gbit/s", "300bit/s", or "0", in bits a second. @return 0, -EINVAL */
int mu_value_bitrate(const char *text, int64_t *ret_bps);

/** A STUN or TURN server (RFC 7064, section 3.1; RFC 7065, section 3.1): "stun:host", "turns:[2001:db8::1]:443?transport=tcp".
 *  The scheme in lower case, as browsers write it. @return 0, -EINVAL */
int mu_value_ice_url(const char *text);
/** Whether such a server relays, and so asks who one is. */
bool mu_ice_url_relays(const char *url);

/** Write with the largest unit that divides it. @return ret */
char *mu_value_duration_text(int64_t us, char ret[MU_VALUE_TEXT]);
char *mu_value_size_text(int64_t bytes, char ret[MU_VALUE_TEXT]);
char *mu_value_bitrate_text(int64_t bps, char ret[MU_VALUE_TEXT]);

#endif
