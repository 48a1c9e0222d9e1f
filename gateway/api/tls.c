#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "api/tls.h"

#define STEPS_A_TURN 2

/* A handshake's signature takes longer than anything else that a stranger can ask for. So in one turn of the
 * main loop there are only so many steps of handshakes, whoever's they are. */
struct pace {
	int64_t turn_us; /* GLib's time in the turn that `steps` were in */
	unsigned steps;
};
struct mu_tls {
	SSL_CTX *ctx;
	struct pace *pace; /* shared with its streams */
};

/* --- settings --- */

/* Who offers only what we do not speak (HTTP/2 alone) is told nothing, and finds out by the first answer. */
static int choose(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in,
	unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl;
	(void)arg;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, len, ours, sizeof(ours) - 1, in,
		       in_len) == OPENSSL_NPN_NEGOTIATED
		? SSL_TLSEXT_ERR_OK
		: SSL_TLSEXT_ERR_NOACK;
}

/* A key with a passphrase is refused: nobody is there to type it. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

static const char *reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *why = ERR_reason_error_string(code);

	return ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : why ? why : "connection reset";
}

static int load(SSL_CTX *ctx, const char *certificate, const char *key, struct mu_error *e)
{
	int err = 0;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		err = mu_error_set(e, -EINVAL, "certificate %s: %s", certificate, reason());
	else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		err = mu_error_set(e, -EINVAL, "key %s of certificate %s: %s", key, certificate, reason());
	ERR_clear_error();
	return err;
}

int mu_tls_new(const char *certificate, const char *key, struct mu_tls **ret, struct mu_error *e)
{
	struct mu_tls *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	if (!t)
		return err;
	t->pace = g_rc_box_new0(struct pace);
	t->ctx = SSL_CTX_new(TLS_server_method());
	if (t->ctx) {
		SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
		/* a client that just closes is no attack: lengths say where an HTTP message ends */
		SSL_CTX_set_options(t->ctx,
			SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				SSL_OP_IGNORE_UNEXPECTED_EOF);
		SSL_CTX_set_mode(t->ctx,
			SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				SSL_MODE_RELEASE_BUFFERS);
		SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_alpn_select_cb(t->ctx, choose, NULL);
		SSL_CTX_set_default_passwd_cb(t->ctx, no_passphrase);
		err = load(t->ctx, certificate, key, e);
	}
	if (err < 0) {
		mu_tls_free(t);
		return err;
	}
	*ret = t;
	return 0;
}

void mu_tls_free(struct mu_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	g_rc_box_release(t->pace);
	free(t);
}

/* --- one association, shared by a stream and its two halves --- */

struct link {
	SSL *ssl;
	GSocket *socket;
	struct pace *pace;
	bool up; /* the handshake is done */
	bool failed;
	GIOCondition read_for, write_for; /* what the socket must be ready for before the next try */
	GSource *step;                    /* of the handshake; NULL: it is over */
	GSource *reader;                  /* what waits for its end; NULL: nobody does */
};

static void link_clear(gpointer arg)
{
	struct link *l = arg;

	SSL_free(l->ssl);
	g_clear_pointer(&l->step, g_source_unref);
	g_clear_pointer(&l->reader, g_source_unref);
	g_object_unref(l->socket);
	g_rc_box_release(l->pace);
}

static void link_unref(gpointer l)
{
	if (l)
		g_rc_box_release_full(l, link_clear);
}

/* @param n what SSL_read, SSL_write or SSL_do_handshake returned. @return the same for a GLib stream */
static gssize result(struct link *l, int n, GIOCondition *wait_for, GError **error)
{
	int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(l->ssl, n);

	switch (why) {
	case SSL_ERROR_NONE:
		return n;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		*wait_for = why == SSL_ERROR_WANT_READ ? G_IO_IN : G_IO_OUT;
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "not yet");
		return -1;
	default:
		l->failed = true; /* nothing more may be asked of it, not even a goodbye */
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "TLS: %s", reason());
		ERR_clear_error();
		return -1;
	}
}

/* --- the handshake: done when there is nothing better to do, and a few at a time --- */

static bool may_step(struct pace *p, GSource *in)
{
	int64_t turn_us = g_source_get_time(in);

	if (turn_us != p->turn_us)
		p->steps = 0;
	p->turn_us = turn_us;
	return p->steps++ < STEPS_A_TURN;
}

static void unwatch(struct link *l)
{
	if (l->step)
		g_source_destroy(l->step);
	g_clear_pointer(&l->step, g_source_unref);
}

static gboolean step(GSocket *socket, GIOCondition cond, gpointer arg);

/* Anew for each step: so it stands behind all others that wait for theirs. */
static void watch(struct link *l)
{
	unwatch(l);
	l->step = g_socket_create_source(l->socket, l->read_for, NULL);
	g_source_set_callback(l->step, G_SOURCE_FUNC(step), g_rc_box_acquire(l), link_unref);
	g_source_set_priority(l->step, MU_TLS_PRIORITY);
	g_source_attach(l->step, g_main_context_get_thread_default());
}

static gboolean step(GSocket *socket, GIOCondition cond, gpointer arg)
{
	struct link *l = arg;
	gssize n;

	(void)socket;
	if (cond & (G_IO_HUP | G_IO_ERR | G_IO_NVAL)) { /* cut, or reset: nobody would hear the answer */
		l->failed = true;
	} else if (may_step(l->pace, l->step)) {
		ERR_clear_error();
		n = result(l, SSL_do_handshake(l->ssl), &l->read_for, NULL);
		l->up = n > 0;
		l->failed |= n == 0;
	} else {
		return G_SOURCE_CONTINUE;
	}
	if (!l->up && !l->failed) {
		watch(l);
		return G_SOURCE_REMOVE;
	}
	unwatch(l);
	if (l->reader)
		g_source_set_ready_time(l->reader, 0);
	g_clear_pointer(&l->reader, g_source_unref);
	return G_SOURCE_REMOVE;
}

static struct link *link_new(const struct mu_tls *t, GSocket *socket)
{
	SSL *ssl = SSL_new(t->ctx);
	struct link *l;

	if (!ssl || SSL_set_fd(ssl, g_socket_get_fd(socket)) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_accept_state(ssl);
	l = g_rc_box_new0(struct link);
	l->ssl = ssl;
	l->socket = g_object_ref(socket);
	l->pace = g_rc_box_acquire(t->pace);
	l->read_for = G_IO_IN;
	l->write_for = G_IO_OUT;
	watch(l);
	return l;
}

/* Ready when the handshake is over. */
static GSource *source_of_reader(GObject *stream, struct link *l, GCancellable *c)
{
	GSource *child = g_timeout_source_new(0);
	GSource *source = g_pollable_source_new_full(stream, child, c);

	g_source_set_ready_time(child, -1);
	g_clear_pointer(&l->reader, g_source_unref);
	l->reader = child;
	return source;
}

static GSource *source_of(GObject *stream, struct link *l, GIOCondition wait_for, bool ready, GCancellable *c)
{
	GSource *child = ready ? g_timeout_source_new(0) : g_socket_create_source(l->socket, wait_for, NULL);
	GSource *source = g_pollable_source_new_full(stream, child, c);

	g_source_unref(child);
	return source;
}

/* --- the reading half --- */

typedef struct {
	GInputStream parent;
	struct link *l;
} MuTlsInput;
typedef struct {
	GInputStreamClass parent;
} MuTlsInputClass;

static void input_pollable_init(GPollableInputStreamInterface *iface);
static GType mu_tls_input_get_type(void);
G_DEFINE_TYPE_WITH_CODE(MuTlsInput, mu_tls_input, G_TYPE_INPUT_STREAM,
	G_IMPLEMENT_INTERFACE(G_TYPE_POLLABLE_INPUT_STREAM, input_pollable_init))

static gssize read_now(GPollableInputStream *s, void *buf, gsize n, GError **error)
{
	struct link *l = ((MuTlsInput *)s)->l;

	if (!l->up) {
		g_set_error_literal(error, G_IO_ERROR,
			l->failed ? G_IO_ERROR_CONNECTION_CLOSED : G_IO_ERROR_WOULD_BLOCK,
			l->failed ? "TLS: no handshake" : "TLS: no handshake yet");
		return -1;
	}
	ERR_clear_error();
	return result(l, SSL_read(l->ssl, buf, (int)MU_MIN(n, 65536)), &l->read_for, error);
}

static gssize read_fn(GInputStream *s, void *buf, gsize n, GCancellable *c, GError **error)
{
	(void)c; /* never waits, so nobody may call it who would: the library does not */
	return read_now(G_POLLABLE_INPUT_STREAM(s), buf, n, error);
}

static gboolean is_readable(GPollableInputStream *s)
{
	struct link *l = ((MuTlsInput *)s)->l;

	if (!l->up)
		return l->failed;
	return SSL_pending(l->ssl) > 0 || g_socket_condition_check(l->socket, l->read_for) != 0;
}

static GSource *read_source(GPollableInputStream *s, GCancellable *c)
{
	struct link *l = ((MuTlsInput *)s)->l;

	if (!l->up && !l->failed)
		return source_of_reader(G_OBJECT(s), l, c);
	return source_of(G_OBJECT(s), l, l->read_for, l->failed || SSL_pending(l->ssl) > 0, c);
}

static void input_finalize(GObject *o)
{
	link_unref(((MuTlsInput *)o)->l);
	G_OBJECT_CLASS(mu_tls_input_parent_class)->finalize(o);
}

static void input_pollable_init(GPollableInputStreamInterface *iface)
{
	iface->is_readable = is_readable;
	iface->create_source = read_source;
	iface->read_nonblocking = read_now;
}

static void mu_tls_input_class_init(MuTlsInputClass *class)
{
	G_OBJECT_CLASS(class)->finalize = input_finalize;
	G_INPUT_STREAM_CLASS(class)->read_fn = read_fn;
}

static void mu_tls_input_init(MuTlsInput *s)
{
	(void)s;
}

/* --- the writing half --- */

typedef struct {
	GOutputStream parent;
	struct link *l;
} MuTlsOutput;
typedef struct {
	GOutputStreamClass parent;
} MuTlsOutputClass;

static void output_pollable_init(GPollableOutputStreamInterface *iface);
static GType mu_tls_output_get_type(void);
G_DEFINE_TYPE_WITH_CODE(MuTlsOutput, mu_tls_output, G_TYPE_OUTPUT_STREAM,
	G_IMPLEMENT_INTERFACE(G_TYPE_POLLABLE_OUTPUT_STREAM, output_pollable_init))

static gssize write_now(GPollableOutputStream *s, const void *buf, gsize n, GError **error)
{
	struct link *l = ((MuTlsOutput *)s)->l;

	ERR_clear_error();
	return result(l, SSL_write(l->ssl, buf, (int)MU_MIN(n, 65536)), &l->write_for, error);
}

static gssize write_fn(GOutputStream *s, const void *buf, gsize n, GCancellable *c, GError **error)
{
	(void)c;
	return write_now(G_POLLABLE_OUTPUT_STREAM(s), buf, n, error);
}

static gboolean is_writable(GPollableOutputStream *s)
{
	struct link *l = ((MuTlsOutput *)s)->l;

	return g_socket_condition_check(l->socket, l->write_for) != 0;
}

static GSource *write_source(GPollableOutputStream *s, GCancellable *c)
{
	struct link *l = ((MuTlsOutput *)s)->l;

	return source_of(G_OBJECT(s), l, l->write_for, false, c);
}

static void output_finalize(GObject *o)
{
	struct link *l = ((MuTlsOutput *)o)->l;

	G_OBJECT_CLASS(mu_tls_output_parent_class)->finalize(o);
	link_unref(l);
}

static void output_pollable_init(GPollableOutputStreamInterface *iface)
{
	iface->is_writable = is_writable;
	iface->create_source = write_source;
	iface->write_nonblocking = write_now;
}

static void mu_tls_output_class_init(MuTlsOutputClass *class)
{
	G_OBJECT_CLASS(class)->finalize = output_finalize;
	G_OUTPUT_STREAM_CLASS(class)->write_fn = write_fn;
}

static void mu_tls_output_init(MuTlsOutput *s)
{
	(void)s;
}

/* --- the stream --- */

typedef struct {
	GIOStream parent;
	struct link *l;
	GIOStream *base;
	GInputStream *in;
	GOutputStream *out;
} MuTlsStream;
typedef struct {
	GIOStreamClass parent;
} MuTlsStreamClass;

static GType mu_tls_stream_get_type(void);
G_DEFINE_TYPE(MuTlsStream, mu_tls_stream, G_TYPE_IO_STREAM)

static GInputStream *get_in(GIOStream *s)
{
	return ((MuTlsStream *)s)->in;
}

static GOutputStream *get_out(GIOStream *s)
{
	return ((MuTlsStream *)s)->out;
}

/* The goodbye is tried once: a peer that reads nothing is not waited for. */
static gboolean close_fn(GIOStream *s, GCancellable *c, GError **error)
{
	MuTlsStream *t = (MuTlsStream *)s;

	unwatch(t->l);
	if (!t->l->failed && SSL_is_init_finished(t->l->ssl)) {
		ERR_clear_error();
		SSL_shutdown(t->l->ssl);
		ERR_clear_error();
	}
	return g_io_stream_close(t->base, c, error);
}

static void stream_finalize(GObject *o)
{
	MuTlsStream *t = (MuTlsStream *)o;

	/* GIOStream's own dispose has closed it by now */
	g_clear_object(&t->in);
	g_clear_object(&t->out);
	g_clear_object(&t->base);
	link_unref(t->l);
	G_OBJECT_CLASS(mu_tls_stream_parent_class)->finalize(o);
}

static void mu_tls_stream_class_init(MuTlsStreamClass *class)
{
	G_OBJECT_CLASS(class)->finalize = stream_finalize;
	G_IO_STREAM_CLASS(class)->get_input_stream = get_in;
	G_IO_STREAM_CLASS(class)->get_output_stream = get_out;
	G_IO_STREAM_CLASS(class)->close_fn = close_fn;
}

static void mu_tls_stream_init(MuTlsStream *s)
{
	(void)s;
}

GIOStream *mu_tls_stream_new(const struct mu_tls *t, GIOStream *base, GSocket *socket)
{
	struct link *l = link_new(t, socket);
	MuTlsOutput *out;
	MuTlsStream *s;
	MuTlsInput *in;

	if (!l)
		return NULL;
	s = g_object_new(mu_tls_stream_get_type(), NULL);
	in = g_object_new(mu_tls_input_get_type(), NULL);
	out = g_object_new(mu_tls_output_get_type(), NULL);
	in->l = g_rc_box_acquire(l);
	out->l = g_rc_box_acquire(l);
	s->l = l;
	s->base = g_object_ref(base);
	s->in = G_INPUT_STREAM(in);
	s->out = G_OUTPUT_STREAM(out);
	return G_IO_STREAM(s);
}
