/* A client's answer to an offer of the gateway: the same sections and codecs, received. */
#include "answer.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static bool goes(const char *line)
{
	static const char *const not_answered[] = { "a=candidate", "a=end-of", "a=ssrc", "a=msid", "a=ice-",
		"a=fingerprint", "a=setup", "a=group", "a=sendonly", "a=inactive", "o=", "m=" };

	for (size_t i = 0; i < MU_ARRAY_LEN(not_answered); i++) {
		if (strncmp(line, not_answered[i], strlen(not_answered[i])) == 0)
			return false;
	}
	return true;
}

static void session_lines(GString *t, char **lines)
{
	for (char **l = lines; *l && strncmp(*l, "m=", 2) != 0; l++) {
		if (strncmp(*l, "a=group", 7) == 0)
			g_string_append_printf(t, "%s\r\n", *l);
		else if (goes(*l) && (*l)[0])
			g_string_append_printf(t, "%s%s\r\n", *l, "");
		if (strncmp(*l, "v=", 2) == 0)
			g_string_append(t, "o=- 1 1 IN IP4 127.0.0.1\r\n");
	}
}

/* Payload types of a codec in these lines, RTX of it included, as " 96 97 ". */
static char *pts_of(char **lines, const char *codec)
{
	GString *t = g_string_new(" ");
	char name[32];

	for (char **l = lines; codec && *l; l++) {
		int pt, apt;

		if (sscanf(*l, "a=rtpmap:%d %31[^/]", &pt, name) == 2 && g_ascii_strcasecmp(name, codec) == 0)
			g_string_append_printf(t, "%d ", pt);
		if (sscanf(*l, "a=fmtp:%d apt=%d", &pt, &apt) == 2) {
			char want[8];

			snprintf(want, sizeof(want), " %d ", apt);
			if (strstr(t->str, want))
				g_string_append_printf(t, "%d ", pt);
		}
	}
	return g_string_free(t, FALSE);
}

static bool of_pt(const char *line, const char *pts)
{
	char want[8];
	int pt;

	if (sscanf(line, "a=rtpmap:%d", &pt) != 1 && sscanf(line, "a=fmtp:%d", &pt) != 1 &&
		sscanf(line, "a=rtcp-fb:%d", &pt) != 1)
		return false;
	snprintf(want, sizeof(want), " %d ", pt);
	return strstr(pts, want) != NULL;
}

static void media_line(GString *t, const char *m, const char *lost_pts, bool refused)
{
	char **word = g_strsplit(m, " ", -1), want[8];

	g_string_append_printf(t, "%s %s %s", word[0], refused ? "0" : "9", word[2]);
	for (char **w = word + 3; *w; w++) {
		snprintf(want, sizeof(want), " %s ", *w);
		if (!strstr(lost_pts, want))
			g_string_append_printf(t, " %s", *w);
	}
	g_string_append(t, "\r\n");
	g_strfreev(word);
}

static void section(
	GString *t, char **lines, const char *lost, const char *refuses, const char *setup, int fingerprint)
{
	char mid[64] = "", *lost_pts = pts_of(lines, lost);
	bool refused;

	for (char **l = lines; *l; l++) {
		if (strncmp(*l, "a=mid:", 6) == 0)
			snprintf(mid, sizeof(mid), "%s", *l + 6);
	}
	refused = refuses && strcmp(refuses, mid) == 0;
	media_line(t, lines[0], lost_pts, refused || strncmp(strchr(lines[0], ' '), " 0 ", 3) == 0);
	for (char **l = lines + 1; *l; l++) {
		if ((*l)[0] && goes(*l) && !of_pt(*l, lost_pts))
			g_string_append_printf(t, "%s\r\n", *l);
	}
	g_string_append(t, refused ? "a=inactive\r\n" : "a=recvonly\r\n");
	g_string_append_printf(t,
		"a=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\na=setup:%s\r\na=fingerprint:sha-256 " ANSWER_FINGERPRINT
		"%02d\r\n",
		setup, fingerprint);
	g_free(lost_pts);
}

char *answer_to(const char *offer, const char *lost, const char *refuses, const char *setup, int fingerprint)
{
	char **parts = g_strsplit(offer, "\r\nm=", -1), *text;
	GString *t = g_string_new("");

	for (char **p = parts; *p; p++) {
		char *whole = p == parts ? g_strdup(*p) : g_strdup_printf("m=%s", *p);
		char **lines = g_strsplit(whole, "\r\n", -1);

		if (p == parts)
			session_lines(t, lines);
		else
			section(t, lines, lost, refuses, setup, fingerprint);
		g_strfreev(lines);
		g_free(whole);
	}
	text = strdup(t->str);
	g_string_free(t, TRUE);
	g_strfreev(parts);
	return text;
}
