#include "peer.h"

#include <gst/sdp/sdp.h>
#include <string.h>

#include "http.h"

/* Reports come every few seconds at the least (RFC 3550, section 6.2): silence for so long means that nobody is there. */
#define SILENCE_US     (12 * G_USEC_PER_SEC)
#define CONNECT_US     (15 * G_USEC_PER_SEC)

/* libnice gathers no loopback address by itself, and from another one the machine does not answer to 127.0.0.1 or ::1. */
static void stay_on_loopback(struct peer *p)
{
	bool v4 = strstr(p->o->url, "://127.") || strstr(p->o->url, "://localhost"), v6 = strstr(p->o->url, "://[::1]");
	const char *own = v6 ? "::1" : "127.0.0.1";
	GObject *ice = NULL;
	gboolean ok = FALSE;

	if (!v4 && !v6)
		return;
	g_object_get(p->webrtc, "ice-agent", &ice, NULL);
	g_signal_emit_by_name(ice, "add-local-ip-address", own, &ok);
	if (!ok)
		g_printerr("the ICE agent does not take %s\n", own);
	g_clear_object(&ice);
}

void peer_init(struct peer *p, const struct options *o, GMainLoop *loop, GstElement *pipeline)
{
	memset(p, 0, sizeof(*p));
	p->o = o;
	p->loop = loop;
	p->pipeline = pipeline;
	p->webrtc = gst_bin_get_by_name(GST_BIN(pipeline), "w");
	p->started_us = g_get_monotonic_time();
	stay_on_loopback(p);
	if (o->token_file && g_file_get_contents(o->token_file, &p->token, NULL, NULL))
		g_strstrip(p->token);
}

void peer_finish(struct peer *p, enum peer_end why)
{
	if (p->end == PEER_RUNS)
		p->end = why;
	g_main_loop_quit(p->loop);
}

/** Any thread of the session's RTP: somebody reports. */
static void on_rtcp(GObject *session, GstBuffer *buffer, gpointer arg)
{
	struct peer *p = arg;

	(void)session;
	(void)buffer;
	__atomic_store_n(&p->heard_us, g_get_monotonic_time(), __ATOMIC_RELAXED);
}

static void listen_to_rtcp(struct peer *p)
{
	GstElement *rtpbin = gst_bin_get_by_name(GST_BIN(p->webrtc), "rtpbin");
	GObject *session = NULL;

	if (!rtpbin)
		return;
	g_signal_emit_by_name(rtpbin, "get-internal-session", 0u, &session);
	if (session) {
		g_signal_connect(session, "on-receiving-rtcp", G_CALLBACK(on_rtcp), p);
		g_object_unref(session);
	}
	gst_object_unref(rtpbin);
}

/** Send the whole offer, no trickling: all candidates are in it. */
static gboolean post_offer(gpointer arg)
{
	struct peer *p = arg;
	GstWebRTCSessionDescription *local = NULL, *answer;
	GstSDPMessage *sdp = NULL;
	struct http_reply reply;
	gchar *text;

	g_object_get(p->webrtc, "local-description", &local, NULL);
	if (!local)
		return G_SOURCE_REMOVE;
	text = gst_sdp_message_as_text(local->sdp);
	gst_webrtc_session_description_free(local);
	http_post_sdp(p->o->url, p->token, text, &reply);
	g_free(text);
	if (reply.status == 201 && gst_sdp_message_new_from_text(reply.body, &sdp) == GST_SDP_OK) {
		p->location = g_strdup(reply.location);
		listen_to_rtcp(p);
		answer = gst_webrtc_session_description_new(GST_WEBRTC_SDP_TYPE_ANSWER, sdp);
		g_signal_emit_by_name(p->webrtc, "set-remote-description", answer, NULL);
		gst_webrtc_session_description_free(answer);
	} else {
		g_printerr("%s: %ld %s\n", p->o->url, reply.status, reply.body);
		peer_finish(p, PEER_LOST);
	}
	http_reply_done(&reply);
	return G_SOURCE_REMOVE;
}

static void on_gathering(GObject *webrtc, GParamSpec *spec, gpointer arg)
{
	GstWebRTCICEGatheringState s;
	struct peer *p = arg;

	(void)spec;
	g_object_get(webrtc, "ice-gathering-state", &s, NULL);
	if (s == GST_WEBRTC_ICE_GATHERING_STATE_COMPLETE && !__atomic_exchange_n(&p->offered, true, __ATOMIC_SEQ_CST))
		g_idle_add(post_offer, p);
}

static gboolean look_at_state(gpointer arg)
{
	GstWebRTCPeerConnectionState s;
	struct peer *p = arg;

	g_object_get(p->webrtc, "connection-state", &s, NULL);
	if (s == GST_WEBRTC_PEER_CONNECTION_STATE_CONNECTED && !p->connected_us) {
		p->connected_us = g_get_monotonic_time();
		on_rtcp(NULL, NULL, p);
		g_printerr("%s: connected in %d ms\n", p->o->url, (int)((p->connected_us - p->started_us) / 1000));
	} else if (s == GST_WEBRTC_PEER_CONNECTION_STATE_FAILED || s == GST_WEBRTC_PEER_CONNECTION_STATE_CLOSED) {
		peer_finish(p, PEER_LOST);
	}
	return G_SOURCE_REMOVE;
}

static void on_state(GObject *webrtc, GParamSpec *spec, gpointer arg)
{
	(void)webrtc;
	(void)spec;
	g_idle_add(look_at_state, arg);
}

static void on_offer(GstPromise *promise, gpointer arg)
{
	GstWebRTCSessionDescription *offer = NULL;
	struct peer *p = arg;

	gst_structure_get(gst_promise_get_reply(promise), "offer", GST_TYPE_WEBRTC_SESSION_DESCRIPTION, &offer, NULL);
	gst_promise_unref(promise);
	if (!offer)
		return;
	g_signal_emit_by_name(p->webrtc, "set-local-description", offer, NULL);
	gst_webrtc_session_description_free(offer);
}

static void on_negotiation(GstElement *webrtc, gpointer arg)
{
	g_signal_emit_by_name(webrtc, "create-offer", NULL, gst_promise_new_with_change_func(on_offer, arg, NULL));
}

static gboolean on_bus(GstBus *bus, GstMessage *m, gpointer arg)
{
	GError *e = NULL;

	(void)bus;
	if (GST_MESSAGE_TYPE(m) != GST_MESSAGE_ERROR)
		return G_SOURCE_CONTINUE;
	gst_message_parse_error(m, &e, NULL);
	g_printerr("%s: %s\n", GST_OBJECT_NAME(m->src), e->message);
	g_error_free(e);
	peer_finish(arg, PEER_LOST);
	return G_SOURCE_CONTINUE;
}

static gboolean on_watchdog(gpointer arg)
{
	struct peer *p = arg;
	gint64 now = g_get_monotonic_time();

	if (!p->connected_us && now - p->started_us > CONNECT_US) {
		g_printerr("%s: not connected after %d s\n", p->o->url, (int)(CONNECT_US / G_USEC_PER_SEC));
		peer_finish(p, PEER_LOST);
	} else if (p->connected_us && now - __atomic_load_n(&p->heard_us, __ATOMIC_RELAXED) > SILENCE_US) {
		g_printerr("%s: nothing heard for %d s\n", p->o->url, (int)(SILENCE_US / G_USEC_PER_SEC));
		peer_finish(p, PEER_LOST);
	} else if (p->o->view && view_complete(p->o)) {
		peer_finish(p, PEER_STOPPED);
	}
	return G_SOURCE_CONTINUE;
}

/** libnice's keepalives are indications, which prove nothing; checks as keepalives give the gateway consent (RFC 7675). */
static void keep_consent(struct peer *p)
{
	GObject *ice = NULL, *agent = NULL;

	g_object_get(p->webrtc, "ice-agent", &ice, NULL);
	if (ice && g_object_class_find_property(G_OBJECT_GET_CLASS(ice), "agent"))
		g_object_get(ice, "agent", &agent, NULL);
	if (agent && g_object_class_find_property(G_OBJECT_GET_CLASS(agent), "keepalive-conncheck"))
		g_object_set(agent, "keepalive-conncheck", TRUE, NULL);
	g_clear_object(&agent);
	g_clear_object(&ice);
}

void peer_start(struct peer *p)
{
	GstBus *bus = gst_element_get_bus(p->pipeline);

	gst_bus_add_watch(bus, on_bus, p);
	gst_object_unref(bus);
	keep_consent(p);
	g_signal_connect(p->webrtc, "notify::ice-gathering-state", G_CALLBACK(on_gathering), p);
	g_signal_connect(p->webrtc, "notify::connection-state", G_CALLBACK(on_state), p);
	if (!p->o->view)
		g_signal_connect(p->webrtc, "on-negotiation-needed", G_CALLBACK(on_negotiation), p);
	p->watchdog = g_timeout_add(50, on_watchdog, p);
	gst_element_set_state(p->pipeline, GST_STATE_PLAYING);
	if (p->o->view) {
		view_ask(p);
		on_negotiation(p->webrtc, p);
	}
}

void peer_done(struct peer *p)
{
	struct http_reply reply;
	GstBus *bus = gst_element_get_bus(p->pipeline);

	g_source_remove(p->watchdog);
	gst_bus_remove_watch(bus);
	gst_object_unref(bus);
	if (p->location) {
		http_delete(p->location, p->token, &reply);
		http_reply_done(&reply);
	}
	g_signal_handlers_disconnect_by_data(p->webrtc, p);
	gst_element_set_state(p->pipeline, GST_STATE_NULL);
	while (g_idle_remove_by_data(p))
		;
	gst_object_unref(p->webrtc);
	gst_object_unref(p->pipeline);
	g_free(p->location);
	g_free(p->token);
}
