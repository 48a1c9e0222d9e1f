#include <errno.h>
#include <strings.h>

#include "api/head.h"

#define TOKEN                                                                                              \
	"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" /* RFC 9110, 5.6.2 \
											 */

void mu_head_init(struct mu_head *h)
{
	memset(h, 0, offsetof(struct mu_head, line));
}

static int refuse(struct mu_head *h, int status, const char *why)
{
	h->status = status;
	h->fault = why;
	return -EBADMSG;
}

static int first_line(struct mu_head *h)
{
	char *target, *version;

	h->started = true;
	target = memchr(h->line, ' ', h->len);
	version = target ? strchr(target + 1, ' ') : NULL;
	if (!version || strspn(h->line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != (size_t)(target - h->line) ||
		target == h->line || version == target + 1)
		return refuse(h, 400, "The first line is not <METHOD> <target> HTTP/1.1.");
	if (strcmp(version, " HTTP/1.1") != 0 && strcmp(version, " HTTP/1.0") != 0)
		return refuse(h, 505, "Only HTTP/1.1 is spoken here.");
	h->http10 = version[8] == '0';
	h->needs_length = strncmp(h->line, "POST ", 5) == 0 || strncmp(h->line, "PATCH ", 6) == 0;
	return 0;
}

static bool is_number(const char *v)
{
	size_t n = strlen(v);

	return n > 0 && n <= 18 && strspn(v, "0123456789") == n;
}

static int field(struct mu_head *h)
{
	size_t n = strspn(h->line, TOKEN);
	char *v = h->line + n, *end = h->line + h->len;

	if (n == 0 || *v != ':')
		return refuse(h, 400, "A header line is not <name>: <value>.");
	*v++ = '\0';
	while (*v == ' ' || *v == '\t')
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (strcasecmp(h->line, "Content-Length") == 0) {
		if (h->lengths++ || !is_number(v))
			return refuse(h, 400, "Content-Length must appear once and be a number.");
	} else if (strcasecmp(h->line, "Transfer-Encoding") == 0) {
		if (h->encodings++ || strcasecmp(v, "chunked") != 0)
			return refuse(h, 400, "Transfer-Encoding must appear once and be \"chunked\".");
	} else if (strcasecmp(h->line, "Host") == 0) {
		h->hosts++;
	} else if (strcasecmp(h->line, "Authorization") == 0) {
		h->tokens++;
	}
	return 0;
}

static int last_line(struct mu_head *h)
{
	h->complete = true;
	if (h->lengths && h->encodings)
		return refuse(
			h, 400, "Content-Length and Transfer-Encoding say in two ways where the body ends.");
	if (h->encodings && h->http10)
		return refuse(h, 400, "Transfer-Encoding needs HTTP/1.1.");
	if (h->hosts > 1 || h->tokens > 1 || (!h->hosts && !h->http10))
		return refuse(h, 400, "Host must appear once, Authorization at most once.");
	if (h->needs_length && !h->lengths && !h->encodings)
		return refuse(h, 411, "The request needs a Content-Length.");
	return 0;
}

/* A line without its newline. */
static int line(struct mu_head *h)
{
	if (h->len && h->line[h->len - 1] == '\r')
		h->len--;
	h->line[h->len] = '\0';
	for (size_t i = 0; i < h->len; i++) {
		if (((unsigned char)h->line[i] < 0x20 && h->line[i] != '\t') || h->line[i] == 0x7f)
			return refuse(h, 400, "The header contains a control character.");
	}
	if (!h->started)
		return first_line(h);
	return h->len ? field(h) : last_line(h);
}

int mu_head_feed(struct mu_head *h, const void *data, size_t len)
{
	const char *p = data;

	if (h->fault)
		return -EBADMSG;
	for (size_t i = 0; i < len && !h->complete; i++) {
		if (++h->total > MU_HEAD_MAX || h->len == MU_HEAD_LINE_MAX - 1)
			return refuse(h, 431, "The header is too long: 8 KiB a line, 32 KiB in all.");
		if (p[i] != '\n') {
			h->line[h->len++] = p[i];
			continue;
		}
		if (line(h) < 0)
			return -EBADMSG;
		h->len = 0;
	}
	return 0;
}
