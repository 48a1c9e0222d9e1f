/* muster-camera: a synthetic body camera. Publishes by WHIP until stopped and comes back by itself after every loss; with
 * --view it watches by WHEP instead and says what it saw. For the demo and the tests: webrtcbin is a third WebRTC stack
 * beside the two browsers'. */
#include <curl/curl.h>
#include <glib-unix.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "peer.h"

static struct options options = { .width = 640, .height = 360, .fps = 30, .kbps = 1000, .key_seconds = 2 };
static GMainLoop *loop;
static struct peer *running; /* NULL between sessions */
static bool stopping;

static gboolean on_signal(gpointer arg)
{
	(void)arg;
	stopping = true;
	if (running)
		peer_finish(running, PEER_STOPPED);
	else
		g_main_loop_quit(loop);
	return G_SOURCE_CONTINUE;
}

static gboolean on_pause_over(gpointer arg)
{
	(void)arg;
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

/** Wait, unless stopped. */
static void pause_for(unsigned ms)
{
	guint timer = g_timeout_add(ms, on_pause_over, NULL);

	if (!stopping)
		g_main_loop_run(loop);
	if (g_main_context_find_source_by_id(NULL, timer))
		g_source_remove(timer);
}

/** One session, from offer to end. @return whether it had connected */
static bool session(bool *ret_seen)
{
	GstElement *pipeline = options.view ? view_pipeline(&options) : publish_pipeline(&options);
	struct peer p;
	bool connected;

	if (!pipeline)
		exit(EXIT_FAILURE);
	peer_init(&p, &options, loop, pipeline);
	running = &p;
	peer_start(&p);
	if (!stopping)
		g_main_loop_run(loop);
	running = NULL;
	connected = p.connected_us != 0;
	peer_done(&p);
	if (options.view)
		*ret_seen = view_report(&p);
	return connected;
}

/** Until stopped, with pauses of 0.5, 1, 2, 4, 8 s and some chance between failed tries. */
static void publish(void)
{
	unsigned pause_ms = 500;

	while (!stopping) {
		bool seen;

		if (session(&seen))
			pause_ms = 500;
		if (stopping)
			break;
		g_printerr("%s: lost after frame %u, again in %u ms\n", options.url, publish_frames(), pause_ms);
		pause_for(pause_ms + (unsigned)g_random_int_range(0, (gint32)pause_ms / 4));
		pause_ms = MIN(pause_ms * 2, 8000);
	}
}

static gboolean parse_size(const gchar *name, const gchar *value, gpointer arg, GError **e)
{
	unsigned w, h;

	(void)name;
	(void)arg;
	if (sscanf(value, "%ux%u", &w, &h) != 2 || w < 128 || h < 72 || w > 3840 || h > 2160 || w % 2 || h % 2) {
		g_set_error(e, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "size '%s': even numbers, 128x72 to 3840x2160", value);
		return FALSE;
	}
	options.width = w;
	options.height = h;
	return TRUE;
}

int main(int argc, char **argv)
{
	gchar *url = NULL, *token_file = NULL, *codec = NULL, *label = NULL;
	gboolean view = FALSE;
	gint fps = 30, kbps = 1000, key_seconds = 2;
	gdouble seconds = 0;
	const GOptionEntry entries[] = {
		{ "url", 'u', 0, G_OPTION_ARG_STRING, &url, "WHIP address; with --view the WHEP address", "URL" },
		{ "token-file", 't', 0, G_OPTION_ARG_FILENAME, &token_file, "file with the Bearer token", "FILE" },
		{ "codec", 'c', 0, G_OPTION_ARG_STRING, &codec, "H264 (default) or VP8; with --view offers both", "NAME" },
		{ "label", 'l', 0, G_OPTION_ARG_STRING, &label, "text in the picture", "TEXT" },
		{ "size", 's', 0, G_OPTION_ARG_CALLBACK, (gpointer)(guintptr)parse_size, "default 640x360", "WxH" },
		{ "fps", 'f', 0, G_OPTION_ARG_INT, &fps, "frames a second, default 30", "N" },
		{ "bitrate", 'b', 0, G_OPTION_ARG_INT, &kbps, "video, kbit/s, default 1000", "N" },
		{ "key-interval", 'k', 0, G_OPTION_ARG_INT, &key_seconds, "seconds between key frames, default 2", "N" },
		{ "view", 'v', 0, G_OPTION_ARG_NONE, &view, "watch; ends with a line of JSON", NULL },
		{ "seconds", 'd', 0, G_OPTION_ARG_DOUBLE, &seconds, "with --view: how long, from the first frame", "N" },
		{ 0 },
	};
	GOptionContext *context = g_option_context_new("- a synthetic body camera");
	GError *e = NULL;
	bool seen = true;

	/* Started by a test or the demo: no camera is left over when that is gone. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setlocale(LC_NUMERIC, "C");
	gst_init(NULL, NULL);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &e)) {
		g_printerr("%s\n", e->message);
		return 2;
	}
	g_option_context_free(context);
	if (!url || (codec && g_strcmp0(codec, "H264") && g_strcmp0(codec, "VP8")) || fps < 1 || fps > 120 || kbps < 50 ||
		kbps > 100000 || key_seconds < 1 || key_seconds > 60) {
		g_printerr("an --url is needed; --codec is H264 or VP8; --fps 1..120; --bitrate 50..100000; --key-interval 1..60\n");
		return 2;
	}
	options.url = url;
	options.token_file = token_file;
	options.codec = codec;
	options.label = label;
	options.view = view;
	options.fps = (unsigned)fps;
	options.kbps = (unsigned)kbps;
	options.key_seconds = (unsigned)key_seconds;
	options.seconds = seconds;
	loop = g_main_loop_new(NULL, FALSE);
	g_unix_signal_add(SIGTERM, on_signal, NULL);
	g_unix_signal_add(SIGINT, on_signal, NULL);
	if (view)
		session(&seen);
	else
		publish();
	g_main_loop_unref(loop);
	curl_global_cleanup();
	g_free(url);
	g_free(token_file);
	g_free(codec);
	g_free(label);
	return seen ? EXIT_SUCCESS : EXIT_FAILURE;
}
