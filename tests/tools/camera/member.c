/* muster-member: a console of a conference without a browser (docs/signalling.md). It publishes as the
 * synthetic camera does, takes whatever the gateway offers, and is driven by lines of JSON on stdin: each is
 * a message to the gateway, or, with a "do", something to do here: {"do": "report", "tones": [440]}, {"do":
 * "forget"}, {"do": "quit"}. With --stay it comes back as often as the gateway goes. What the gateway says goes to stdout, a line a message, without its SDP.
 * webrtcbin is a third WebRTC stack beside the two browsers'. */
#include <glib-unix.h>
#include <jansson.h>
#include <libsoup/soup.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "peer.h"

#define AGAIN_MS 500

/** One of the two peer connections. */
struct side {
	struct member *m;
	const char *name;
	GstElement *pipeline, *webrtc;
	json_int_t n; /* of the gateway's offer being answered */
	bool pending; /* a description is to be sent once all candidates are gathered */
};
struct member {
	struct options o;
	GMainLoop *loop;
	SoupWebsocketConnection *ws;
	json_int_t last_id, offer_id;
	char *token, *endpoint, *conference, *name;
	struct side up, down;
	GIOChannel *in;
	gboolean stays;
	json_t *view; /* the last one, to be said again */
};
static struct member member;

static void say(json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);

	puts(text); /* g_print would leave out what the locale has not */
	fflush(stdout);
	free(text);
	json_decref(message);
}

/** @return the message's id */
static json_int_t send_message(struct member *m, json_t *message)
{
	json_int_t id = ++m->last_id;
	char *text;

	json_object_set_new(message, "id", json_integer(id));
	text = json_dumps(message, JSON_COMPACT);
	if (m->ws && soup_websocket_connection_get_state(m->ws) == SOUP_WEBSOCKET_STATE_OPEN)
		soup_websocket_connection_send_text(m->ws, text);
	free(text);
	json_decref(message);
	return id;
}

/* --- descriptions
 * ---------------------------------------------------------------------------------------------------------
 */

/** The up connection's m-sections: one of each kind. */
static json_t *labels(const GstSDPMessage *sdp)
{
	json_t *ret = json_array();

	for (guint i = 0; i < gst_sdp_message_medias_len(sdp); i++) {
		const GstSDPMedia *media = gst_sdp_message_get_media(sdp, i);

		json_array_append_new(ret,
			json_pack("{ss* ss}", "mid", gst_sdp_media_get_attribute_val(media, "mid"), "label",
				gst_sdp_media_get_media(media)));
	}
	return ret;
}

static gboolean send_description(gpointer arg)
{
	struct side *s = arg;
	struct member *m = s->m;
	GstWebRTCSessionDescription *local = NULL;
	GstWebRTCICEGatheringState gathering;
	gchar *text;

	g_object_get(s->webrtc, "local-description", &local, "ice-gathering-state", &gathering, NULL);
	if (s->pending && local && gathering == GST_WEBRTC_ICE_GATHERING_STATE_COMPLETE) {
		s->pending = false;
		text = gst_sdp_message_as_text(local->sdp);
		if (s == &m->up)
			m->offer_id = send_message(m,
				json_pack("{ss ss so}", "type", "offer", "sdp", text, "tracks", labels(local->sdp)));
		else
			send_message(m, json_pack("{ss sI ss}", "type", "answer", "n", s->n, "sdp", text));
		g_free(text);
	}
	if (local)
		gst_webrtc_session_description_free(local);
	return G_SOURCE_REMOVE;
}

static void on_gathering(GObject *webrtc, GParamSpec *spec, gpointer arg)
{
	(void)webrtc;
	(void)spec;
	g_idle_add(send_description, arg);
}

/** Streaming thread, as the next. */
static void on_local_set(GstPromise *promise, gpointer arg)
{
	struct side *s = arg;

	gst_promise_unref(promise);
	s->pending = true; /* and not before: the description before this one must not be sent again */
	g_idle_add(send_description, s);
}

static void on_description(GstPromise *promise, gpointer arg)
{
	struct side *s = arg;
	GstWebRTCSessionDescription *d = NULL;

	gst_structure_get(gst_promise_get_reply(promise), s == &s->m->up ? "offer" : "answer",
		GST_TYPE_WEBRTC_SESSION_DESCRIPTION, &d, NULL);
	gst_promise_unref(promise);
	if (!d)
		return;
	g_signal_emit_by_name(
		s->webrtc, "set-local-description", d, gst_promise_new_with_change_func(on_local_set, s, NULL));
	gst_webrtc_session_description_free(d);
}

static void on_negotiation(GstElement *webrtc, gpointer arg)
{
	g_signal_emit_by_name(
		webrtc, "create-offer", NULL, gst_promise_new_with_change_func(on_description, arg, NULL));
}

static bool set_remote(struct side *s, GstWebRTCSDPType type, const char *text)
{
	GstWebRTCSessionDescription *d;
	GstSDPMessage *sdp = NULL;
	GstPromise *done;

	if (!text || gst_sdp_message_new_from_text(text, &sdp) != GST_SDP_OK)
		return false;
	d = gst_webrtc_session_description_new(type, sdp);
	done = gst_promise_new();
	g_signal_emit_by_name(s->webrtc, "set-remote-description", d, done);
	gst_promise_wait(done);
	gst_promise_unref(done);
	gst_webrtc_session_description_free(d);
	return true;
}

static gboolean tell_state(gpointer arg)
{
	struct side *s = arg;
	GstWebRTCPeerConnectionState state;

	g_object_get(s->webrtc, "connection-state", &state, NULL);
	say(json_pack("{ss ss sb}", "here", "connection", "pc", s->name, "connected",
		state == GST_WEBRTC_PEER_CONNECTION_STATE_CONNECTED));
	return G_SOURCE_REMOVE;
}

static void on_state(GObject *webrtc, GParamSpec *spec, gpointer arg)
{
	(void)webrtc;
	(void)spec;
	g_idle_add(tell_state, arg);
}

/* libnice gathers no loopback address by itself. */
static void stay_on_loopback(struct side *s)
{
	GObject *ice = NULL;
	gboolean ok = FALSE;

	if (!strstr(s->m->o.url, "://127."))
		return;
	g_object_get(s->webrtc, "ice-agent", &ice, NULL);
	g_signal_emit_by_name(ice, "add-local-ip-address", "127.0.0.1", &ok);
	g_clear_object(&ice);
}

static void begin_side(struct side *s, struct member *m, const char *name, GstElement *pipeline)
{
	s->m = m;
	s->name = name;
	s->pipeline = pipeline;
	s->webrtc = gst_bin_get_by_name(GST_BIN(pipeline), "w");
	stay_on_loopback(s);
	g_signal_connect(s->webrtc, "notify::ice-gathering-state", G_CALLBACK(on_gathering), s);
	g_signal_connect(s->webrtc, "notify::connection-state", G_CALLBACK(on_state), s);
}

/* --- what the gateway says
 * ------------------------------------------------------------------------------------------------- */

static void on_offer(struct member *m, const json_t *message)
{
	m->down.n = json_integer_value(json_object_get(message, "n"));
	if (set_remote(
		    &m->down, GST_WEBRTC_SDP_TYPE_OFFER, json_string_value(json_object_get(message, "sdp"))))
		g_signal_emit_by_name(m->down.webrtc, "create-answer", NULL,
			gst_promise_new_with_change_func(on_description, &m->down, NULL));
}

static void on_welcome(struct member *m)
{
	if (m->conference)
		send_message(m,
			json_pack(
				"{ss ss ss}", "type", "join", "conference", m->conference, "name", m->name));
	if (m->view)
		send_message(m, json_deep_copy(m->view));
	g_signal_connect(m->up.webrtc, "on-negotiation-needed", G_CALLBACK(on_negotiation), &m->up);
	gst_element_set_state(m->up.pipeline, GST_STATE_PLAYING);
	gst_element_set_state(m->down.pipeline, GST_STATE_PLAYING);
}

static void on_text(SoupWebsocketConnection *ws, gint type, GBytes *data, gpointer arg)
{
	struct member *m = arg;
	gsize size;
	const char *text = g_bytes_get_data(data, &size);
	json_t *message = json_loadb(text, size, 0, NULL);
	const char *kind = json_string_value(json_object_get(message, "type"));

	(void)ws;
	if (type != SOUP_WEBSOCKET_DATA_TEXT || !kind) {
		json_decref(message);
		return;
	}
	if (!strcmp(kind, "welcome"))
		on_welcome(m);
	else if (!strcmp(kind, "answer"))
		set_remote(&m->up, GST_WEBRTC_SDP_TYPE_ANSWER,
			json_string_value(json_object_get(message, "sdp")));
	else if (!strcmp(kind, "offer"))
		on_offer(m, message);
	json_object_del(message, "sdp");
	say(message);
}

static gboolean begin_again(gpointer arg);

/** The gateway is gone. */
static void lost(struct member *m)
{
	if (m->stays)
		g_timeout_add(AGAIN_MS, begin_again, m);
	else
		g_main_loop_quit(m->loop);
}

static void on_closed(SoupWebsocketConnection *ws, gpointer arg)
{
	struct member *m = arg;

	say(json_pack("{ss si ss?}", "here", "closed", "code",
		(int)soup_websocket_connection_get_close_code(ws), "why",
		soup_websocket_connection_get_close_data(ws)));
	lost(m);
}

static void on_connected(GObject *session, GAsyncResult *result, gpointer arg)
{
	struct member *m = arg;
	GError *e = NULL;

	m->ws = soup_session_websocket_connect_finish(SOUP_SESSION(session), result, &e);
	if (!m->ws) {
		say(json_pack("{ss ss}", "here", "refused", "why", e->message));
		g_error_free(e);
		lost(m);
		return;
	}
	g_signal_connect(m->ws, "message", G_CALLBACK(on_text), m);
	g_signal_connect(m->ws, "closed", G_CALLBACK(on_closed), m);
	send_message(
		m, json_pack("{ss ss ss*}", "type", "hello", "token", m->token, "endpoint", m->endpoint));
}

/* --- what the test says
 * ------------------------------------------------------------------------------------------------------ */

static void report(const json_t *order)
{
	json_t *tones = json_object(), *eyes = json_object(), *hz;
	struct view_eye eye[VIEW_EYES_MAX];
	unsigned last, n = view_pictures(&last), n_eyes = view_eyes(eye);
	size_t i;

	for (unsigned k = 0; k < n_eyes; k++)
		json_object_set_new(eyes, eye[k].mid,
			json_pack("{sI sI sI sI sI sI}", "pictures", (json_int_t)eye[k].read, "distinct",
				(json_int_t)eye[k].distinct, "backwards", (json_int_t)eye[k].backwards,
				"width", (json_int_t)eye[k].width, "first", (json_int_t)eye[k].first, "last",
				(json_int_t)eye[k].last));

	json_array_foreach(json_object_get(order, "tones"), i, hz)
	{
		char name[16];

		g_snprintf(name, sizeof(name), "%u", (unsigned)json_integer_value(hz));
		json_object_set_new(tones, name, json_real(view_tone((unsigned)json_integer_value(hz))));
	}
	say(json_pack("{ss sI sI si so so}", "here", "report", "pictures", (json_int_t)n, "last",
		(json_int_t)last, "sent", (int)publish_frames(), "tones", tones, "eyes", eyes));
}

static gboolean on_line(GIOChannel *in, GIOCondition cond, gpointer arg)
{
	struct member *m = arg;
	gchar *line = NULL;
	json_t *order;
	const char *act;

	(void)cond;
	if (g_io_channel_read_line(in, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
		if (m->stays)
			return G_SOURCE_REMOVE;
		g_main_loop_quit(m->loop);
		return G_SOURCE_REMOVE;
	}
	order = json_loads(line, 0, NULL);
	g_free(line);
	act = json_string_value(json_object_get(order, "do"));
	if (!act && json_is_object(order)) {
		if (!g_strcmp0(json_string_value(json_object_get(order, "type")), "view")) {
			json_decref(m->view);
			m->view = json_deep_copy(order);
		}
		send_message(m, order); /* takes it */
		return G_SOURCE_CONTINUE;
	}
	if (!g_strcmp0(act, "report"))
		report(order);
	else if (!g_strcmp0(act, "forget"))
		view_forget();
	else if (!g_strcmp0(act, "quit"))
		g_main_loop_quit(m->loop);
	json_decref(order);
	return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gpointer arg)
{
	g_main_loop_quit(arg);
	return G_SOURCE_CONTINUE;
}

/* --- from beginning to end
 * ------------------------------------------------------------------------------------------------- */

static void connect_to(struct member *m)
{
	SoupSession *session = soup_session_new();
	gchar *address = g_strdup_printf("%s/v1/console", m->o.url);
	SoupMessage *msg = soup_message_new("GET", address);
	char *protocols[] = { (char[]){ "muster.1" }, NULL };

	begin_side(&m->up, m, "up", publish_pipeline(&m->o));
	begin_side(&m->down, m, "down", view_pipeline(&m->o));
	view_attach(m->down.pipeline, m->down.webrtc);
	soup_session_websocket_connect_async(
		session, msg, NULL, protocols, G_PRIORITY_DEFAULT, NULL, on_connected, m);
	g_object_unref(msg);
	g_object_unref(session);
	g_free(address);
}

static void end_side(struct side *s)
{
	g_signal_handlers_disconnect_by_data(s->webrtc, s);
	gst_element_set_state(s->pipeline, GST_STATE_NULL);
	while (g_idle_remove_by_data(s))
		;
	gst_object_unref(s->webrtc);
	gst_object_unref(s->pipeline);
}

/** All anew: whoever is gone has forgotten the session and both connections. */
static gboolean begin_again(gpointer arg)
{
	struct member *m = arg;

	end_side(&m->up);
	end_side(&m->down);
	g_clear_object(&m->ws);
	connect_to(m);
	return G_SOURCE_REMOVE;
}

static bool parse(struct member *m, int *argc, char ***argv)
{
	gchar *url = NULL, *file = NULL, *codec = NULL;
	gint tone = 0;
	const GOptionEntry entries[] = {
		{ "url", 'u', 0, G_OPTION_ARG_STRING, &url, "the gateway: http://127.0.0.1:8080", "URL" },
		{ "token-file", 't', 0, G_OPTION_ARG_FILENAME, &file, "file with the token", "FILE" },
		{ "endpoint", 'e', 0, G_OPTION_ARG_STRING, &m->endpoint,
			"who it is, where the token leaves it open", "ID" },
		{ "conference", 'm', 0, G_OPTION_ARG_STRING, &m->conference, "which to join", "ID" },
		{ "name", 'n', 0, G_OPTION_ARG_FILENAME, &m->name, "its name there", "TEXT" },
		{ "codec", 'c', 0, G_OPTION_ARG_STRING, &codec, "VP8 (default) or H264", "NAME" },
		{ "stay", 's', 0, G_OPTION_ARG_NONE, &m->stays, "come back when the gateway is gone", NULL },
		{ "tone", 'f', 0, G_OPTION_ARG_INT, &tone, "of its sound, default 440", "HZ" },
		{ 0 },
	};
	GOptionContext *context = g_option_context_new("- a console of a conference without a browser");
	GError *e = NULL;
	bool ok;

	g_option_context_add_main_entries(context, entries, NULL);
	ok = g_option_context_parse(context, argc, argv, &e);

	g_option_context_free(context);
	if (!ok || !url || !file || !g_file_get_contents(file, &m->token, NULL, &e)) {
		g_printerr("%s\n", e ? e->message : "--url and --token-file are needed");
		return false;
	}
	g_strstrip(m->token);
	if (!m->name)
		m->name = g_strdup("webrtcbin");
	m->o = (struct options){ .url = url,
		.codec = codec ? codec : "VP8",
		.label = m->name,
		.width = 320,
		.height = 180,
		.fps = 20,
		.kbps = 400,
		.key_seconds = 10,
		.tone = (unsigned)tone };
	return true;
}

int main(int argc, char **argv)
{
	struct member *m = &member;

	/* Started by a test: not left over when that is gone. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setlocale(LC_NUMERIC, "C");
	gst_init(NULL, NULL);
	if (!parse(m, &argc, &argv))
		return 2;
	m->loop = g_main_loop_new(NULL, FALSE);
	g_unix_signal_add(SIGTERM, on_signal, m->loop);
	g_unix_signal_add(SIGINT, on_signal, m->loop);
	connect_to(m);
	m->in = g_io_channel_unix_new(0);
	g_io_add_watch(m->in, G_IO_IN | G_IO_HUP, on_line, m);
	g_main_loop_run(m->loop);
	end_side(&m->up);
	end_side(&m->down);
	g_clear_object(&m->ws);
	g_main_loop_unref(m->loop);
	return EXIT_SUCCESS;
}
