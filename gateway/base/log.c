#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/base.h"

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

/* One write a line: lines of different threads never mix, and control characters in foreign text cannot forge one. */
static void to_stderr(enum mu_log_level l, const char *topic, const char *id, char *text)
{
	char when[MU_TIME_TEXT], line[1400];
	int n;

	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	}
	mu_time_text(mu_clock_wall_us(), 3, when);
	n = snprintf(line, sizeof(line), "%s %-5s %s%s%s: %s\n", when, level_name[l], topic, id ? " " : "",
		id ? id : "", text);
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	while (write(STDERR_FILENO, line, (size_t)n) < 0 && errno == EINTR)
		;
}

static void to_json(enum mu_log_level l, const char *topic, const char *id, const char *text)
{
	char when[MU_TIME_TEXT];
	json_t *o;
	char *s;

	mu_time_text(mu_clock_wall_us(), 3, when);
	o = json_pack("{ss ss ss ss? ss}", "time", when, "level", level_name[l], "topic", topic, "id", id, "message",
		text);
	s = o ? json_dumps(o, JSON_COMPACT) : NULL;
	if (s) {
		struct iovec v[] = { { s, strlen(s) }, { (char *)"\n", 1 } };

		while (writev(STDERR_FILENO, v, 2) < 0 && errno == EINTR)
			;
	}
	free(s);
	json_decref(o);
}

void mu_log(enum mu_log_level l, const char *topic, const char *id, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (l > mu_log_level())
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	switch (atomic_load_explicit(&target, memory_order_relaxed)) {
	case MU_LOG_JOURNAL:
		sd_journal_send("MESSAGE=%s%s%s: %s", topic, id ? " " : "", id ? id : "", text, "PRIORITY=%d",
			level_syslog[l], "MUSTER_TOPIC=%s", topic, "MUSTER_ID=%s", id ? id : "", NULL);
		break;
	case MU_LOG_JSON:
		to_json(l, topic, id, text);
		break;
	default:
		to_stderr(l, topic, id, text);
	}
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
