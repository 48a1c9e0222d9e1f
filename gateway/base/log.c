#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/log_internal.h"

static atomic_int level = MU_LOG_INFO;
static atomic_int target = MU_LOG_STDERR;

static const char *const level_name[] = { "error", "warn", "info", "debug", "trace" };
static const int level_syslog[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG };

/* systemd sets JOURNAL_STREAM to device:inode of the stderr it gave us (systemd.exec, "Environment"). */
static bool stderr_is_journal(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return env && sscanf(env, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

void mu_log_setup(enum mu_log_level l, enum mu_log_target t)
{
	if (t == MU_LOG_AUTO)
		t = stderr_is_journal() ? MU_LOG_JOURNAL : MU_LOG_STDERR;
	atomic_store(&level, (int)l);
	atomic_store(&target, (int)t);
	log_writer_start();
}

enum mu_log_level mu_log_level(void)
{
	return (enum mu_log_level)atomic_load_explicit(&level, memory_order_relaxed);
}

int mu_log_level_parse(const char *text, enum mu_log_level *ret)
{
	for (size_t i = 0; i < MU_ARRAY_LEN(level_name); i++) {
		if (strcmp(text, level_name[i]) == 0) {
			*ret = (enum mu_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* --- text from outside ------------------------------------------------------------------- */

static size_t utf8_lead(uint8_t c)
{
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool utf8_second(uint8_t lead, uint8_t c)
{
	uint8_t from = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	uint8_t to = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;

	return c >= from && c <= to;
}

/* @return bytes of the character at p, 0: none; *ret_more: its beginning is right, but the text ends */
static size_t utf8_len(const uint8_t *p, size_t left, bool *ret_more)
{
	size_t n = utf8_lead(p[0]);

	*ret_more = false;
	for (size_t i = 1; i < n; i++) {
		if (i == left) {
			*ret_more = true;
			return 0;
		}
		if (i == 1 ? !utf8_second(p[0], p[1]) : (p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* C0, DEL, and C1 (U+0080 to U+009F): they move cursors and end lines. */
static bool is_control(const uint8_t *p)
{
	return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

void log_clean(char *text, size_t len, bool cut)
{
	uint8_t *p = (uint8_t *)text;

	for (size_t i = 0, n; i < len; i += n) {
		bool more;

		n = utf8_len(p + i, len - i, &more);
		if (n == 0 && more && cut) {
			text[i] = '\0'; /* the cut went through a character */
			return;
		}
		if (n == 0) {
			n = 1;
			p[i] = '?';
		} else if (is_control(p + i)) {
			memset(p + i, ' ', n);
		}
	}
}

/* --- targets ----------------------------------------------------------------------------- */

/* One write a line: lines of different threads never mix. */
static void to_stderr(const struct log_line *l)
{
	char when[MU_TIME_TEXT], line[sizeof(*l) + 64];
	int n;

	mu_time_text(l->wall_us, 3, when);
	n = snprintf(line, sizeof(line), "%s %-5s %s%s%s: %s\n", when, level_name[l->level], l->topic,
		*l->id ? " " : "", l->id, l->text);
	while (write(STDERR_FILENO, line, (size_t)n) < 0 && errno == EINTR)
		;
}

static void to_json(const struct log_line *l)
{
	char when[MU_TIME_TEXT];
	json_t *o;
	char *s;

	mu_time_text(l->wall_us, 3, when);
	o = json_pack("{ss ss ss ss? ss}", "time", when, "level", level_name[l->level], "topic", l->topic,
		"id", *l->id ? l->id : NULL, "message", l->text);
	s = o ? json_dumps(o, JSON_COMPACT) : NULL;
	if (s) {
		struct iovec v[] = { { s, strlen(s) }, { (char *)"\n", 1 } };

		while (writev(STDERR_FILENO, v, 2) < 0 && errno == EINTR)
			;
	}
	free(s);
	json_decref(o);
}

void log_write(const struct log_line *l)
{
	switch (atomic_load_explicit(&target, memory_order_relaxed)) {
	case MU_LOG_JOURNAL:
		sd_journal_send("MESSAGE=%s%s%s: %s", l->topic, *l->id ? " " : "", l->id, l->text,
			"PRIORITY=%d", level_syslog[l->level], "MUSTER_TOPIC=%s", l->topic, "MUSTER_ID=%s",
			l->id, NULL);
		break;
	case MU_LOG_JSON:
		to_json(l);
		break;
	default:
		to_stderr(l);
	}
}

static void finish(char *text, size_t size, int len)
{
	bool cut = len >= (int)size;

	log_clean(text, len < 0 ? 0 : MU_MIN((size_t)len, size - 1), cut);
}

void mu_log(enum mu_log_level l, const char *topic, const char *id, const char *fmt, ...)
{
	struct log_line line;
	va_list ap;
	int n;

	if (l > mu_log_level())
		return;
	line.wall_us = mu_clock_wall_us();
	line.level = l;
	snprintf(line.topic, sizeof(line.topic), "%s", topic);
	n = snprintf(line.id, sizeof(line.id), "%s", id ? id : "");
	finish(line.id, sizeof(line.id), n);
	va_start(ap, fmt);
	n = vsnprintf(line.text, sizeof(line.text), fmt, ap);
	va_end(ap);
	finish(line.text, sizeof(line.text), n);
	if (!log_writer_take(&line))
		log_write(&line);
}

uint64_t mu_log_gate_pass(struct mu_log_gate *g, int64_t now_us, int64_t interval_us)
{
	uint64_t n;

	g->held++;
	if (now_us < g->next_us)
		return 0;
	g->next_us = now_us + interval_us;
	n = g->held;
	g->held = 0;
	return n;
}
