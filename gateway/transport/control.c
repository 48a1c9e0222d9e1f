/* A transport as the control thread sees it: made, told to close, heard from. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "transport/transport_internal.h"

struct mu_transport *transport_ref(struct mu_transport *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

/* Its worker let go of keys, tracks and maps when it closed; what is left is plain memory. */
void transport_unref(struct mu_transport *t)
{
	if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	explicit_bzero(t->control_pwd, sizeof(t->control_pwd));
	mu_ice_done(&t->ice); /* where it never got as far as its worker */
	for (unsigned i = 0; i < t->n_in; i++)
		stream_in_free(t->in[i]);
	for (unsigned i = 0; i < t->n_out; i++)
		stream_out_free(t->out[i]);
	free(t->in);
	free(t->out);
	free(t->names);
	free(t->id);
	free(t);
}

struct transport_msg *transport_msg_new(struct mu_transport *t, void (*fn)(struct mu_msg *m))
{
	struct transport_msg *m = calloc(1, sizeof(*m));

	if (!m) {
		mu_err(TOPIC, t->id, "out of memory for a message");
		mu_log_flush();
		abort(); /* a lost close or state would leave a session for ever */
	}
	m->msg.fn = fn;
	m->t = transport_ref(t);
	return m;
}

static void msg_done(struct transport_msg *m)
{
	transport_unref(m->t);
	free(m->stats);
	free(m);
}

/* --- events: made on the worker, heard on the control thread ------------------------------------------------------------ */

static void hear_state(struct mu_msg *msg)
{
	struct transport_msg *m = MU_CONTAINER_OF(msg, struct transport_msg, msg);
	struct mu_transport *t = m->t;

	if (m->state == MU_TRANSPORT_CLOSED) {
		t->closed = true;
		if (t->counted)
			t->media->sessions[t->worker_index]--;
		t->counted = false;
	}
	if (t->events)
		t->events->state(t->events_arg, m->state, m->why);
	msg_done(m);
}

void event_state(struct mu_transport *t, enum mu_transport_state s, const char *why)
{
	struct transport_msg *m = transport_msg_new(t, hear_state);

	m->state = s;
	snprintf(m->why, sizeof(m->why), "%s", why ? why : "");
	mu_inbox_post(t->media->control, &m->msg);
}

static void hear_stats(struct mu_msg *msg)
{
	struct transport_msg *m = MU_CONTAINER_OF(msg, struct transport_msg, msg);

	if (m->stats && m->t->events && m->t->events->stats)
		m->t->events->stats(m->t->events_arg, m->stats);
	msg_done(m);
}

/* The message that asked goes back as the answer. */
void session_stats_msg(struct mu_msg *msg)
{
	struct transport_msg *m = MU_CONTAINER_OF(msg, struct transport_msg, msg);

	m->stats = stats_take(m->t);
	m->msg.fn = hear_stats;
	mu_inbox_post(m->t->media->control, &m->msg);
}

/* --- made and told ------------------------------------------------------------------------------------------------------- */

static int copy_in(struct mu_transport *t, const struct mu_transport_spec *spec)
{
	if (spec->n_in == 0)
		return 0;
	t->in = calloc(spec->n_in, sizeof(struct in_stream *));
	if (!t->in)
		return -ENOMEM;
	for (; t->n_in < spec->n_in; t->n_in++) {
		const struct mu_stream_in *from = &spec->in[t->n_in];

		t->in[t->n_in] = stream_in_new(t, from);
		if (!t->in[t->n_in] || stream_name_add(t, from->mid, mu_track_kind(from->track), false) < 0) {
			stream_in_free(t->in[t->n_in]);
			return -ENOMEM;
		}
		stream_learn_exts(t, &from->exts);
	}
	return 0;
}

static int copy_out(struct mu_transport *t, const struct mu_transport_spec *spec)
{
	if (spec->n_out == 0)
		return 0;
	t->out = calloc(spec->n_out, sizeof(struct out_stream *));
	if (!t->out)
		return -ENOMEM;
	for (; t->n_out < spec->n_out; t->n_out++) {
		const struct mu_stream_out *from = &spec->out[t->n_out];

		t->out[t->n_out] = stream_out_new(t, from, mu_track_kind(from->track));
		if (!t->out[t->n_out] || (t->is_fitted && stream_name_add(t, from->mid, mu_track_kind(from->track), true) < 0)) {
			stream_out_free(t->out[t->n_out]);
			return -ENOMEM;
		}
	}
	return 0;
}

static bool spec_valid(struct mu_media *m, const struct mu_transport_spec *spec)
{
	if (spec->worker >= mu_net_workers(m->net) || spec->n_in > MU_STREAMS_MAX || spec->n_out > MU_STREAMS_MAX ||
		spec->n_fingerprints > MU_ARRAY_LEN(spec->fingerprints))
		return false;
	for (unsigned i = 0; i < spec->n_in; i++) {
		if (mu_track_home(spec->in[i].track) != mu_net_worker(m->net, spec->worker))
			return false; /* what feeds a track does so at home: it has no lock */
	}
	return true;
}

int mu_transport_new(struct mu_media *m, const struct mu_transport_spec *spec, const struct mu_transport_events *ev,
	void *arg, struct mu_transport **ret)
{
	struct mu_transport *t;
	struct transport_msg *msg;

	if (!spec_valid(m, spec))
		return -EINVAL;
	t = aligned_alloc(MU_CACHELINE, sizeof(*t)); /* as all types aligned so, a multiple of it */
	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	atomic_init(&t->refs, 1);
	t->media = m;
	t->worker = mu_net_worker(m->net, spec->worker);
	t->worker_index = spec->worker;
	t->plane = plane_of(t->worker);
	t->is_fitted = spec->fitted;
	t->id = strdup(spec->id);
	if (!t->id || copy_in(t, spec) < 0 || copy_out(t, spec) < 0) {
		transport_unref(t);
		return -ENOMEM;
	}
	t->dtls_server = spec->dtls_server;
	memcpy(t->fingerprints, spec->fingerprints, sizeof(t->fingerprints));
	t->n_fingerprints = spec->n_fingerprints;
	memcpy(t->cname, spec->cname, sizeof(t->cname));
	t->connect_timeout_us = spec->connect_timeout_us ? spec->connect_timeout_us : CONNECT_TIMEOUT_US;
	t->events = ev;
	t->events_arg = arg;
	t->counted = true;
	m->sessions[spec->worker]++;
	mu_list_init(&t->link);
	mu_list_init(&t->ufrags[0].link);
	mu_list_init(&t->ufrags[1].link);
	mu_list_init(&t->dirty);
	mu_ice_init(&t->ice);
	if (spec->ufrag[0]) {
		memcpy(t->ice.ufrag, spec->ufrag, sizeof(t->ice.ufrag));
		memcpy(t->ice.pwd, spec->pwd, sizeof(t->ice.pwd));
	}
	memcpy(t->control_ufrag, t->ice.ufrag, sizeof(t->control_ufrag));
	memcpy(t->control_pwd, t->ice.pwd, sizeof(t->control_pwd));
	msg = transport_msg_new(t, session_attach_msg);
	mu_worker_post(t->worker, &msg->msg);
	*ret = t;
	return 0;
}

void mu_transport_credentials(char ret_ufrag[MU_ICE_UFRAG + 1], char ret_pwd[MU_ICE_PWD + 1])
{
	mu_random_text(ret_ufrag, MU_ICE_UFRAG);
	mu_random_text(ret_pwd, MU_ICE_PWD);
}

const char *mu_transport_ufrag(const struct mu_transport *t)
{
	return t->control_ufrag;
}

const char *mu_transport_pwd(const struct mu_transport *t)
{
	return t->control_pwd;
}

unsigned mu_transport_worker(const struct mu_transport *t)
{
	return t->worker_index;
}

int mu_transport_restart_ice(struct mu_transport *t)
{
	struct transport_msg *m;

	if (t->closing || t->closed)
		return -EPROTO;
	mu_transport_credentials(t->control_ufrag, t->control_pwd);
	m = transport_msg_new(t, session_restart_msg);
	memcpy(m->ufrag, t->control_ufrag, sizeof(m->ufrag));
	memcpy(m->pwd, t->control_pwd, sizeof(m->pwd));
	mu_worker_post(t->worker, &m->msg);
	return 0;
}

void mu_transport_close(struct mu_transport *t, const char *why)
{
	struct transport_msg *m;

	if (t->closing || t->closed)
		return;
	t->closing = true;
	m = transport_msg_new(t, session_close_msg);
	snprintf(m->why, sizeof(m->why), "%s", why);
	mu_worker_post(t->worker, &m->msg);
}

void mu_transport_free(struct mu_transport *t)
{
	if (!t)
		return;
	t->events = NULL;
	mu_transport_close(t, "let go");
	transport_unref(t);
}

void mu_transport_ask_stats(struct mu_transport *t)
{
	struct transport_msg *m;

	if (t->closed)
		return;
	m = transport_msg_new(t, session_stats_msg);
	mu_worker_post(t->worker, &m->msg);
}
