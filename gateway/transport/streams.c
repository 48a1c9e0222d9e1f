/* Streams that come and go while a transport runs. The control thread knows their names, so that it can say
 * at once what is wrong with a wish; the streams themselves travel to the worker in a message, and are its
 * own from then on. */
#include <errno.h>
#include <stdlib.h>

#include "transport/fit.h"

/* --- made --- */

struct in_stream *stream_in_new(struct mu_transport *t, const struct mu_stream_in *from)
{
	struct in_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->spec = *from;
	s->t = t;
	mu_track_ref(from->track);
	return s;
}

/* Its worker let go of the track when it was done with it. */
void stream_in_free(struct in_stream *s)
{
	if (!s)
		return;
	mu_nack_free(s->nack);
	mu_track_unref(s->spec.track);
	free(s);
}

static struct out_offer *copy_offer(const struct mu_stream_out *from)
{
	struct out_offer *r = malloc(sizeof(*r) + from->n_formats * sizeof(r->formats[0]));

	if (!r)
		return NULL;
	r->exts = from->exts;
	r->n_formats = from->n_formats;
	memcpy(r->formats, from->formats, from->n_formats * sizeof(r->formats[0]));
	return r;
}

struct out_stream *stream_out_new(struct mu_transport *t, const struct mu_stream_out *from, enum mu_kind kind)
{
	struct out_stream *o = aligned_alloc(MU_CACHELINE, sizeof(*o));

	if (!o)
		return NULL;
	memset(o, 0, sizeof(*o));
	o->t = t;
	o->kind = (uint8_t)kind;
	o->ssrc = o->spec.ssrc = from->ssrc;
	o->spec.rtx_ssrc = from->rtx_ssrc;
	o->spec.nack = from->nack;
	memcpy(o->spec.mid, from->mid, sizeof(o->spec.mid));
	o->offer = copy_offer(from);
	if (t->is_fitted)
		o->fit = fit_new(o, from->track);
	else
		o->spec.track = mu_track_ref(from->track);
	if (!o->offer || (t->is_fitted && !o->fit)) {
		stream_out_free(o);
		return NULL;
	}
	return o;
}

void stream_out_free(struct out_stream *o)
{
	if (!o)
		return;
	fit_free(o->fit);
	mu_track_unref(o->spec.track);
	free(o->offer);
	free(o->resent);
	free(o);
}

/* --- names; control thread --- */

struct stream_name {
	char mid[32];
	uint8_t kind; /* enum mu_kind */
	bool out;
};

int stream_name_add(struct mu_transport *t, const char *mid, enum mu_kind kind, bool out)
{
	if (t->n_names == t->size_names) {
		unsigned size = MU_MAX(t->size_names * 2, 2u);
		struct stream_name *names = realloc(t->names, size * sizeof(*names));

		if (!names)
			return -ENOMEM;
		t->names = names;
		t->size_names = size;
	}
	t->names[t->n_names] = (struct stream_name){ .kind = (uint8_t)kind, .out = out };
	memcpy(t->names[t->n_names++].mid, mid, sizeof(t->names->mid));
	return 0;
}

static const struct stream_name *find_out(const struct mu_transport *t, const char *mid)
{
	for (unsigned i = 0; i < t->n_names; i++) {
		if (t->names[i].out && strcmp(t->names[i].mid, mid) == 0)
			return &t->names[i];
	}
	return NULL;
}

static unsigned count(const struct mu_transport *t, bool out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_names; i++)
		n += t->names[i].out == out;
	return n;
}

static void forget_in(struct mu_transport *t, const char *mid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_names; i++) {
		if (t->names[i].out || strcmp(t->names[i].mid, mid) != 0)
			t->names[n++] = t->names[i];
	}
	t->n_names = n;
}

/* --- messages --- */

struct stream_msg {
	struct mu_msg msg;
	struct mu_transport *t;
	struct in_stream *in;
	struct out_stream *out;
	char mid[32];
	struct mu_feed feed; /* its references travel along */
};

static struct stream_msg *msg_new(struct mu_transport *t, void (*fn)(struct mu_msg *m))
{
	struct stream_msg *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->msg.fn = fn;
	m->t = transport_ref(t);
	return m;
}

static void msg_done(struct stream_msg *m)
{
	stream_in_free(m->in);
	stream_out_free(m->out);
	fit_feed_done(&m->feed);
	transport_unref(m->t);
	free(m);
}

/* It may have closed while the message was on its way. */
static bool runs(const struct mu_transport *t)
{
	return !mu_list_empty(&t->link);
}

/* --- in --- */

void stream_learn_exts(struct mu_transport *t, const struct mu_ext_map *exts)
{
	for (unsigned type = 1; type < MU_EXT_COUNT; type++) {
		if (exts->id_of[type])
			mu_ext_map_set(&t->exts_in, (enum mu_rtp_ext)type, exts->id_of[type]);
	}
}

static int add_in(struct mu_transport *t, struct in_stream *s, int64_t now_us)
{
	struct in_stream **more = realloc(t->in, (t->n_in + 1) * sizeof(struct in_stream *));

	if (!more)
		return -ENOMEM;
	t->in = more;
	t->in[t->n_in++] = s;
	stream_learn_exts(t, &s->spec.exts);
	if (!t->key_out)
		return 0; /* it begins with the others */
	session_begin_in(s, now_us);
	if (t->twcc && !t->silent)
		mu_timer_set(t->worker, &t->tick_timer, report_next_us(t, now_us));
	return 0;
}

static void add_in_msg(struct mu_msg *msg)
{
	struct stream_msg *m = MU_CONTAINER_OF(msg, struct stream_msg, msg);
	struct mu_transport *t = m->t;

	if (!runs(t)) {
		msg_done(m);
		return;
	}
	if (session_attach_in(m->in) < 0 || add_in(t, m->in, mu_clock_us()) < 0)
		session_close(t, "out of memory", mu_clock_us());
	else
		m->in = NULL;
	msg_done(m);
}

int mu_transport_add_in(struct mu_transport *t, const struct mu_stream_in *s)
{
	struct stream_msg *m;

	if (t->closing || t->closed)
		return -EPROTO;
	if (s->n_formats == 0 || mu_track_home(s->track) != t->worker)
		return -EINVAL;
	if (count(t, false) >= MU_STREAMS_LATER_MAX)
		return -ENOSPC;
	m = msg_new(t, add_in_msg);
	if (!m)
		return -ENOMEM;
	m->in = stream_in_new(t, s);
	if (!m->in || stream_name_add(t, s->mid, mu_track_kind(s->track), false) < 0) {
		msg_done(m);
		return -ENOMEM;
	}
	mu_worker_post(t->worker, &m->msg);
	return 0;
}

static void remove_in_msg(struct mu_msg *msg)
{
	struct stream_msg *m = MU_CONTAINER_OF(msg, struct stream_msg, msg);
	struct mu_transport *t = m->t;
	unsigned n = 0;

	for (unsigned i = 0; runs(t) && i < t->n_in; i++) {
		struct in_stream *s = t->in[i];

		if (strcmp(s->spec.mid, m->mid) != 0) {
			t->in[n++] = s;
			continue;
		}
		session_end_in(s);
		t->gone[t->n_gone++ % GONE_MAX] = s->ssrc;
		t->gone[t->n_gone++ % GONE_MAX] = s->rtx_ssrc;
		stream_in_free(s);
	}
	if (runs(t))
		t->n_in = n;
	msg_done(m);
}

void mu_transport_remove_in(struct mu_transport *t, const char *mid)
{
	struct stream_msg *m;

	if (t->closing || t->closed)
		return;
	m = msg_new(t, remove_in_msg);
	if (!m) { /* its tracks would stay for ever */
		mu_transport_close(t, "out of memory");
		return;
	}
	strncpy(m->mid, mid, sizeof(m->mid) - 1);
	forget_in(t, mid);
	mu_worker_post(t->worker, &m->msg);
}

/* --- out --- */

static int add_out(struct mu_transport *t, struct out_stream *o)
{
	struct out_stream **more = realloc(t->out, (t->n_out + 1) * sizeof(struct out_stream *));

	if (!more)
		return -ENOMEM;
	t->out = more;
	if (session_attach_out(o) < 0)
		return -ENOMEM;
	t->out[t->n_out++] = o;
	return 0;
}

static void add_out_msg(struct mu_msg *msg)
{
	struct stream_msg *m = MU_CONTAINER_OF(msg, struct stream_msg, msg);
	struct mu_transport *t = m->t;

	if (!runs(t)) {
		msg_done(m);
		return;
	}
	if (add_out(t, m->out) < 0)
		session_close(t, "out of memory", mu_clock_us());
	else
		m->out = NULL;
	msg_done(m);
}

int mu_transport_add_out(struct mu_transport *t, const struct mu_stream_out *s)
{
	struct stream_msg *m;
	enum mu_kind kind;

	if (t->closing || t->closed)
		return -EPROTO;
	if (!t->is_fitted || s->track || s->n_formats == 0 || s->n_formats > MU_FORMATS_MAX ||
		find_out(t, s->mid))
		return -EINVAL;
	if (count(t, true) >= MU_STREAMS_LATER_MAX)
		return -ENOSPC;
	m = msg_new(t, add_out_msg);
	if (!m)
		return -ENOMEM;
	kind = mu_codec_kind(s->formats[0].format.codec);
	m->out = stream_out_new(t, s, kind);
	if (!m->out || stream_name_add(t, s->mid, kind, true) < 0) {
		msg_done(m);
		return -ENOMEM;
	}
	mu_worker_post(t->worker, &m->msg);
	return 0;
}

static void feed_msg(struct mu_msg *msg)
{
	struct stream_msg *m = MU_CONTAINER_OF(msg, struct stream_msg, msg);
	struct mu_transport *t = m->t;

	for (unsigned i = 0; runs(t) && i < t->n_out; i++) {
		if (strcmp(t->out[i]->spec.mid, m->mid) == 0)
			fit_feed(t->out[i], &m->feed, mu_clock_us());
	}
	msg_done(m);
}

int mu_transport_feed(struct mu_transport *t, const char *mid, const struct mu_feed *f)
{
	const struct stream_name *name = find_out(t, mid);
	struct stream_msg *m;

	if (t->closing || t->closed)
		return -EPROTO;
	if (!name)
		return -ENOENT;
	if (f->n_layers > MU_LAYERS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < f->n_layers; i++) {
		if (mu_track_kind(f->layers[i]) != (enum mu_kind)name->kind)
			return -EINVAL;
	}
	m = msg_new(t, feed_msg);
	if (!m)
		return -ENOMEM;
	strncpy(m->mid, mid, sizeof(m->mid) - 1);
	m->feed = *f;
	for (unsigned i = 0; i < f->n_layers; i++)
		mu_track_ref(f->layers[i]);
	mu_worker_post(t->worker, &m->msg);
	return 0;
}
