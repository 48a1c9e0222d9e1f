/* head: a request's first line and header, looked at byte by byte before the HTTP library sees them.
 *
 * The library (libsoup 3.2.3) skips header lines it does not understand, takes several Content-Lengths for
 * one, and loses some memory with each Transfer-Encoding it does not know. What two parties could read in two
 * ways is refused here (RFC 9112, sections 2.2, 5.1, 5.2, 6.1, 6.3; RELIABILITY P8).
 */
#ifndef MU_API_HEAD_H
#define MU_API_HEAD_H

#include "base/base.h"

#define MU_HEAD_LINE_MAX 8192
#define MU_HEAD_MAX      32768

struct mu_head {
	bool complete;
	int status;        /* of the refusal; 0: none so far */
	const char *fault; /* static text */
	/* private */
	bool started, http10, needs_length;
	unsigned lengths, encodings, hosts, tokens;
	size_t total, len;
	char line[MU_HEAD_LINE_MAX];
};
void mu_head_init(struct mu_head *h);
/** Look at the next bytes; what comes after the header is not looked at.
 *  @return 0, -EBADMSG: h->status and h->fault say why */
int mu_head_feed(struct mu_head *h, const void *data, size_t len);

#endif
