/* What the synthetic body camera sends: a moving picture with its name, the time and its frame number, and a tone. */
#include <gst/video/video.h>

#include "peer.h"
#include "strip.h"

/* Goes on over reconnections: a viewer sees what it missed. */
static unsigned frames;

unsigned publish_frames(void)
{
	return __atomic_load_n(&frames, __ATOMIC_RELAXED);
}

/** Streaming thread. */
static GstPadProbeReturn draw_number(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
	GstBuffer *buffer = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
	GstVideoFrame frame;
	GstVideoInfo video;
	GstCaps *caps = gst_pad_get_current_caps(pad);

	(void)arg;
	info->data = buffer;
	if (caps && gst_video_info_from_caps(&video, caps) && gst_video_frame_map(&frame, &video, buffer, GST_MAP_READWRITE)) {
		strip_draw(GST_VIDEO_FRAME_PLANE_DATA(&frame, 0), (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0),
			(unsigned)GST_VIDEO_FRAME_WIDTH(&frame), (unsigned)GST_VIDEO_FRAME_HEIGHT(&frame),
			__atomic_fetch_add(&frames, 1, __ATOMIC_RELAXED));
		gst_video_frame_unmap(&frame);
	}
	if (caps)
		gst_caps_unref(caps);
	return GST_PAD_PROBE_OK;
}

/** Only send (RFC 9725, section 4.2); video is sent again when it is asked for (RFC 4588). Not audio: browsers refuse RTX for it. */
static void set_transceivers(GstElement *webrtc)
{
	GArray *transceivers = NULL;

	g_signal_emit_by_name(webrtc, "get-transceivers", &transceivers);
	for (guint i = 0; transceivers && i < transceivers->len; i++) {
		GstWebRTCRTPTransceiver *t = g_array_index(transceivers, GstWebRTCRTPTransceiver *, i);
		GstWebRTCKind kind;

		g_object_get(t, "kind", &kind, NULL);
		g_object_set(t, "do-nack", kind == GST_WEBRTC_KIND_VIDEO, "direction",
			GST_WEBRTC_RTP_TRANSCEIVER_DIRECTION_SENDONLY, NULL);
	}
	if (transceivers)
		g_array_unref(transceivers);
}

GstElement *publish_pipeline(const struct options *o)
{
	bool vp8 = !g_strcmp0(o->codec, "VP8");
	GError *e = NULL;
	GstElement *pipeline, *webrtc, *numbers;
	GstPad *pad;
	/* Pictures that a busy encoder, or a connection that is not there yet, leaves out have no number: one that is missing was lost
	 * on the way. I420 before the encoder: videotestsrc would settle on 4:4:4, which no browser takes. */
	gchar *encoder = vp8 ?
		g_strdup_printf("vp8enc deadline=1 cpu-used=8 error-resilient=partitions target-bitrate=%u keyframe-max-dist=%u"
				" ! rtpvp8pay picture-id-mode=15-bit ! application/x-rtp,media=video,encoding-name=VP8,payload=96",
			o->kbps * 1000, o->fps * o->key_seconds) :
		g_strdup_printf("x264enc tune=zerolatency speed-preset=ultrafast threads=1 bitrate=%u key-int-max=%u"
				" ! video/x-h264,profile=constrained-baseline"
				" ! rtph264pay aggregate-mode=zero-latency config-interval=-1"
				" ! application/x-rtp,media=video,encoding-name=H264,payload=96",
			o->kbps, o->fps * o->key_seconds);
	gchar *text = g_strdup_printf("webrtcbin name=w bundle-policy=max-bundle"
				      " videotestsrc is-live=true pattern=ball background-color=0xff203040"
				      " ! video/x-raw,format=I420,width=%u,height=%u,framerate=%u/1"
				      " ! clockoverlay name=clock valignment=bottom halignment=left"
				      " ! queue max-size-buffers=4 leaky=downstream ! identity name=numbers ! %s ! w."
				      " audiotestsrc is-live=true wave=sine freq=%u volume=0.2 ! audioconvert ! audioresample"
				      " ! audio/x-raw,rate=48000,channels=2 ! queue"
				      " ! opusenc bitrate=32000 ! rtpopuspay"
				      " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! w.",
		o->width, o->height, o->fps, encoder, o->tone ? o->tone : 440);

	pipeline = gst_parse_launch(text, &e);
	g_free(text);
	g_free(encoder);
	if (e) {
		g_printerr("%s\n", e->message);
		g_error_free(e);
		if (pipeline)
			gst_object_unref(pipeline);
		return NULL;
	}
	numbers = gst_bin_get_by_name(GST_BIN(pipeline), "clock");
	g_object_set(numbers, "text", o->label ? o->label : "", "time-format", "%Y-%m-%d %H:%M:%S", NULL);
	gst_object_unref(numbers);
	numbers = gst_bin_get_by_name(GST_BIN(pipeline), "numbers");
	pad = gst_element_get_static_pad(numbers, "src");
	gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, draw_number, NULL, NULL);
	gst_object_unref(pad);
	gst_object_unref(numbers);
	webrtc = gst_bin_get_by_name(GST_BIN(pipeline), "w");
	set_transceivers(webrtc);
	gst_object_unref(webrtc);
	return pipeline;
}
