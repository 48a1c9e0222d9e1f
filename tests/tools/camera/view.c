/* The same program as a viewer: decodes, reads the frame numbers, hears the tone, and says what it got. */
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#include "peer.h"
#include "strip.h"

#define EARS_MAX 16
#define EAR_RATE 48000

/** The last half second of one audio stream, mono. */
struct ear {
	char mid[16];
	float samples[EAR_RATE / 2];
	size_t at, n;
};
/* Written by streaming threads, under the lock. */
static struct {
	GMutex lock;
	gint64 first_us, last_us; /* first and last picture */
	unsigned frames, read;	  /* pictures, and those with a number */
	unsigned distinct, backwards;
	uint32_t first, last; /* numbers */
	unsigned width, height;
	unsigned audio_buffers;
	double audio_squares, audio_samples;
	char codec[16];
	struct ear *ears[EARS_MAX];
	unsigned n_ears;
	struct view_eye eyes[VIEW_EYES_MAX];
	unsigned n_eyes;
} seen;

/** Under the lock. */
static void look(struct view_eye *eye, uint32_t number, unsigned width)
{
	eye->width = width;
	if (!eye->read++)
		eye->first = number;
	else if (number < eye->last)
		eye->backwards++;
	eye->distinct += eye->read == 1 || number != eye->last;
	eye->last = number;
}

static GstPadProbeReturn on_picture(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
	GstCaps *caps = gst_pad_get_current_caps(pad);
	GstVideoFrame frame;
	GstVideoInfo video;
	struct view_eye *eye = arg;
	uint32_t number;

	if (!caps)
		return GST_PAD_PROBE_OK;
	if (gst_video_info_from_caps(&video, caps) &&
		gst_video_frame_map(&frame, &video, GST_PAD_PROBE_INFO_BUFFER(info), GST_MAP_READ)) {
		bool read = strip_read(GST_VIDEO_FRAME_PLANE_DATA(&frame, 0),
			(size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0), (unsigned)GST_VIDEO_FRAME_WIDTH(&frame),
			(unsigned)GST_VIDEO_FRAME_HEIGHT(&frame), &number);

		g_mutex_lock(&seen.lock);
		seen.width = (unsigned)GST_VIDEO_FRAME_WIDTH(&frame);
		seen.height = (unsigned)GST_VIDEO_FRAME_HEIGHT(&frame);
		seen.last_us = g_get_monotonic_time();
		if (!seen.frames++)
			seen.first_us = seen.last_us;
		if (read) {
			if (!seen.read++)
				seen.first = number;
			else if (number < seen.last)
				seen.backwards++;
			seen.distinct += seen.read == 1 || number != seen.last;
			seen.last = number;
			if (eye)
				look(eye, number, seen.width);
		}
		g_mutex_unlock(&seen.lock);
		gst_video_frame_unmap(&frame);
	}
	gst_caps_unref(caps);
	return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn on_sound(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
	struct ear *ear = arg;
	GstMapInfo map;
	double squares = 0;

	(void)pad;
	if (!gst_buffer_map(GST_PAD_PROBE_INFO_BUFFER(info), &map, GST_MAP_READ))
		return GST_PAD_PROBE_OK;
	g_mutex_lock(&seen.lock);
	for (gsize i = 0; i + 2 <= map.size; i += 2) {
		int16_t sample;

		memcpy(&sample, map.data + i, 2);
		squares += (double)sample * sample;
		if (ear) {
			ear->samples[ear->at] = sample;
			ear->at = (ear->at + 1) % G_N_ELEMENTS(ear->samples);
			ear->n = MIN(ear->n + 1, G_N_ELEMENTS(ear->samples));
		}
	}
	seen.audio_buffers++;
	seen.audio_squares += squares;
	seen.audio_samples += (double)(map.size / 2);
	g_mutex_unlock(&seen.lock);
	gst_buffer_unmap(GST_PAD_PROBE_INFO_BUFFER(info), &map);
	return GST_PAD_PROBE_OK;
}

/* Explicit depayloaders and decoders: decodebin inside a parsed bin stops after one buffer in GStreamer 1.22. */
static const struct {
	const char *encoding, *decoder;
	GstPadProbeCallback probe;
} decoders[] = {
	{ "H264", "queue ! rtph264depay wait-for-keyframe=true ! avdec_h264 ! videoconvert", on_picture },
	{ "VP8", "queue ! rtpvp8depay wait-for-keyframe=true ! vp8dec ! videoconvert", on_picture },
	{ "OPUS", "queue ! rtpopusdepay ! opusdec ! audioconvert ! audioresample"
		  " ! audio/x-raw,format=S16LE,rate=48000,channels=1", on_sound },
};

/** Those of a section, of this connection or the one before. They live until the program ends, for streaming threads write to them.
 *  @return NULL: there are enough */
static struct ear *ear_of(const char *mid)
{
	struct ear *ear = NULL;

	g_mutex_lock(&seen.lock);
	for (unsigned i = 0; i < seen.n_ears && !ear; i++)
		ear = strcmp(seen.ears[i]->mid, mid) ? NULL : seen.ears[i];
	if (!ear && seen.n_ears < EARS_MAX) {
		ear = seen.ears[seen.n_ears++] = g_new0(struct ear, 1);
		g_strlcpy(ear->mid, mid, sizeof(ear->mid));
	}
	g_mutex_unlock(&seen.lock);
	return ear;
}

static struct view_eye *eye_of(const char *mid)
{
	struct view_eye *eye = NULL;

	g_mutex_lock(&seen.lock);
	for (unsigned i = 0; i < seen.n_eyes && !eye; i++)
		eye = strcmp(seen.eyes[i].mid, mid) ? NULL : &seen.eyes[i];
	if (!eye && seen.n_eyes < VIEW_EYES_MAX) {
		eye = &seen.eyes[seen.n_eyes++];
		g_strlcpy(eye->mid, mid, sizeof(eye->mid));
	}
	g_mutex_unlock(&seen.lock);
	return eye;
}

/** The section's name. GStreamer 1.22's transceivers tell only which one it is. */
static void mid_of(GstElement *webrtc, GstPad *pad, char *ret, size_t size)
{
	GstWebRTCRTPTransceiver *t = NULL;
	GstWebRTCSessionDescription *d = NULL;
	guint at = G_MAXUINT;
	const char *mid = NULL;

	g_object_get(pad, "transceiver", &t, NULL);
	g_object_get(webrtc, "remote-description", &d, NULL);
	if (t)
		g_object_get(t, "mlineindex", &at, NULL);
	if (d && at < gst_sdp_message_medias_len(d->sdp))
		mid = gst_sdp_media_get_attribute_val(gst_sdp_message_get_media(d->sdp, at), "mid");
	g_strlcpy(ret, mid ? mid : "", size);
	g_clear_object(&t);
	if (d)
		gst_webrtc_session_description_free(d);
}

static void on_pad(GstElement *webrtc, GstPad *pad, gpointer arg)
{
	GstElement *pipeline = arg;
	GstCaps *caps;
	const char *encoding;
	char mid[16];

	if (GST_PAD_DIRECTION(pad) != GST_PAD_SRC)
		return;
	mid_of(webrtc, pad, mid, sizeof(mid));
	caps = gst_pad_get_current_caps(pad);
	encoding = caps ? gst_structure_get_string(gst_caps_get_structure(caps, 0), "encoding-name") : NULL;
	for (size_t i = 0; encoding && i < G_N_ELEMENTS(decoders); i++) {
		GstElement *bin, *sink;
		GstPad *at;
		gchar *text;

		if (g_ascii_strcasecmp(encoding, decoders[i].encoding))
			continue;
		text = g_strdup_printf("%s%s ! fakesink name=end sync=false async=false", decoders[i].decoder,
			decoders[i].probe == on_picture ? " ! video/x-raw,format=I420" : "");
		bin = gst_parse_bin_from_description(text, TRUE, NULL);
		g_free(text);
		gst_bin_add(GST_BIN(pipeline), bin);
		at = gst_element_get_static_pad(bin, "sink");
		gst_pad_link(pad, at);
		gst_object_unref(at);
		sink = gst_bin_get_by_name(GST_BIN(bin), "end");
		at = gst_element_get_static_pad(sink, "sink");
		gst_pad_add_probe(at, GST_PAD_PROBE_TYPE_BUFFER, decoders[i].probe,
			decoders[i].probe == on_sound ? (gpointer)ear_of(mid) : (gpointer)eye_of(mid), NULL);
		gst_object_unref(at);
		gst_object_unref(sink);
		if (decoders[i].probe == on_picture)
			g_strlcpy(seen.codec, decoders[i].encoding, sizeof(seen.codec));
		gst_element_sync_state_with_parent(bin);
	}
	if (caps)
		gst_caps_unref(caps);
}

void view_attach(GstElement *pipeline, GstElement *webrtc)
{
	g_signal_connect(webrtc, "pad-added", G_CALLBACK(on_pad), pipeline);
}

unsigned view_pictures(unsigned *ret_last)
{
	unsigned n;

	g_mutex_lock(&seen.lock);
	n = seen.read;
	*ret_last = seen.last;
	g_mutex_unlock(&seen.lock);
	return n;
}

unsigned view_eyes(struct view_eye ret[VIEW_EYES_MAX])
{
	unsigned n;

	g_mutex_lock(&seen.lock);
	n = seen.n_eyes;
	memcpy(ret, seen.eyes, n * sizeof(*ret));
	g_mutex_unlock(&seen.lock);
	return n;
}

/* Goertzel's algorithm over what one ear heard last. */
static double tone_of(const struct ear *ear, unsigned hz)
{
	double factor = 2 * cos(2 * G_PI * hz / EAR_RATE), s1 = 0, s2 = 0, energy = 0;

	for (size_t i = 0; i < ear->n; i++) {
		double x = ear->samples[(ear->at + i) % G_N_ELEMENTS(ear->samples)], s = x + factor * s1 - s2;

		s2 = s1;
		s1 = s;
		energy += x * x;
	}
	if (ear->n < EAR_RATE / 10 || energy < (double)ear->n * 100) /* -50 dBFS: nothing */
		return 0;
	return 2 * (s1 * s1 + s2 * s2 - factor * s1 * s2) / ((double)ear->n * energy);
}

double view_tone(unsigned hz)
{
	double most = 0;

	g_mutex_lock(&seen.lock);
	for (unsigned i = 0; i < seen.n_ears; i++)
		most = MAX(most, tone_of(seen.ears[i], hz));
	g_mutex_unlock(&seen.lock);
	return most;
}

void view_forget(void)
{
	g_mutex_lock(&seen.lock);
	seen.read = seen.frames = seen.distinct = seen.backwards = 0;
	for (unsigned i = 0; i < seen.n_ears; i++)
		seen.ears[i]->n = 0;
	for (unsigned i = 0; i < seen.n_eyes; i++)
		seen.eyes[i].read = seen.eyes[i].distinct = seen.eyes[i].backwards = 0;
	g_mutex_unlock(&seen.lock);
}

GstElement *view_pipeline(const struct options *o)
{
	GstElement *pipeline = gst_pipeline_new(NULL), *webrtc = gst_element_factory_make("webrtcbin", "w");

	(void)o;
	if (!webrtc) {
		g_printerr("no element \"webrtcbin\"\n");
		gst_object_unref(pipeline);
		return NULL;
	}
	gst_util_set_object_arg(G_OBJECT(webrtc), "bundle-policy", "max-bundle");
	gst_bin_add(GST_BIN(pipeline), webrtc);
	return pipeline;
}

static void receive(GstElement *webrtc, const char *text, bool nack)
{
	GstCaps *caps = gst_caps_from_string(text);
	GstWebRTCRTPTransceiver *t = NULL;

	g_signal_emit_by_name(webrtc, "add-transceiver", GST_WEBRTC_RTP_TRANSCEIVER_DIRECTION_RECVONLY, caps, &t);
	if (t) {
		g_object_set(t, "do-nack", nack, NULL);
		gst_object_unref(t);
	}
	gst_caps_unref(caps);
}

void view_ask(struct peer *p)
{
	static const char h264[] = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,"
				   "packetization-mode=(string)1,profile-level-id=(string)42e01f,rtcp-fb-nack-pli=true";
	static const char vp8[] =
		"application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=98,rtcp-fb-nack-pli=true";
	gchar *video = p->o->codec ? g_strdup(!strcmp(p->o->codec, "VP8") ? vp8 : h264) : g_strdup_printf("%s; %s", h264, vp8);

	view_attach(p->pipeline, p->webrtc);
	receive(p->webrtc, video, true);
	receive(p->webrtc, "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=97,encoding-params=(string)2",
		false);
	g_free(video);
}

bool view_complete(const struct options *o)
{
	bool complete;

	g_mutex_lock(&seen.lock);
	complete = o->seconds > 0 && seen.first_us &&
		g_get_monotonic_time() - seen.first_us >= (gint64)(o->seconds * G_USEC_PER_SEC);
	g_mutex_unlock(&seen.lock);
	return complete;
}

bool view_report(const struct peer *p)
{
	double rms, dbfs, span;
	bool any;

	g_mutex_lock(&seen.lock);
	any = seen.read > 0;
	rms = seen.audio_samples > 0 ? sqrt(seen.audio_squares / seen.audio_samples) / 32768 : 0;
	dbfs = rms > 1e-6 ? 20 * log10(rms) : -120;
	span = (double)(seen.last_us - seen.first_us) / G_USEC_PER_SEC;
	g_print("{\"connected_ms\": %d, \"first_frame_ms\": %d, \"codec\": \"%s\", \"width\": %u, \"height\": %u, "
		"\"seconds\": %.3f, \"frames\": %u, \"decoded\": %u, \"distinct\": %u, \"backwards\": %u, \"first\": %u, "
		"\"last\": %u, \"audio_buffers\": %u, \"audio_dbfs\": %.1f}\n",
		p->connected_us ? (int)((p->connected_us - p->started_us) / 1000) : -1,
		seen.first_us ? (int)((seen.first_us - p->started_us) / 1000) : -1, seen.codec, seen.width, seen.height, span,
		seen.frames, seen.read, seen.distinct, seen.backwards, seen.first, seen.last, seen.audio_buffers, dbfs);
	g_mutex_unlock(&seen.lock);
	return any;
}
