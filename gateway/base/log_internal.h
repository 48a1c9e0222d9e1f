/* What the files of the log share. */
#ifndef MU_LOG_INTERNAL_H
#define MU_LOG_INTERNAL_H

#include "base/base.h"

/* A finished line: valid UTF-8 without control characters, cut at character borders. */
struct log_line {
	int64_t wall_us;
	enum mu_log_level level;
	char topic[32];
	char id[256]; /* "": none */
	char text[1024];
};

/** Write to the target. May block. Any thread. */
void log_write(const struct log_line *l);
/** Make text that came from outside fit to print, in place. @param len bytes of it; cut: more followed */
void log_clean(char *text, size_t len, bool cut);

/* log_writer.c: the thread that writes for others */

/** Start it; the calling thread from now on writes for itself. Without memory for a thread everybody does. */
void log_writer_start(void);
/** Leave a line to the writer. Any thread; never blocks, no allocation. A full queue drops it and counts.
 *  @return false: the caller writes for itself */
bool log_writer_take(const struct log_line *l);

#endif
