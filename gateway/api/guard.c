#include <stdlib.h>

#include "api/guard.h"
#include "api/head.h"
#include "api/private.h"

/* --- the reading side --- */

typedef struct {
	GInputStream parent;
	GPollableInputStream *in;
	GPollableOutputStream *out;
	GSocket *socket;
	struct mu_head *head; /* NULL once it is complete */
	bool refused;
} MuGuardInput;
typedef struct {
	GInputStreamClass parent;
} MuGuardInputClass;

static void pollable_init(GPollableInputStreamInterface *iface);
static GType mu_guard_input_get_type(void);
G_DEFINE_TYPE_WITH_CODE(MuGuardInput, mu_guard_input, G_TYPE_INPUT_STREAM,
	G_IMPLEMENT_INTERFACE(G_TYPE_POLLABLE_INPUT_STREAM, pollable_init))

/* The answer is short and the socket fresh: it fits, or the client has bigger trouble. */
static void refuse(MuGuardInput *g)
{
	char *body = mu_problem_text(g->head->status, "Bad request", g->head->fault, NULL);
	char *text = mu_closing_text(g->head->status, body);

	g->refused = true;
	g_pollable_output_stream_write_nonblocking(g->out, text, strlen(text), NULL, NULL);
	g_socket_shutdown(g->socket, FALSE, TRUE, NULL);
	free(body);
	free(text);
}

/* What is left of a refused request is read and thrown away until the client closes or its time is over:
 * closing with unread bytes would reset the connection before the answer was read. */
static gssize pass(MuGuardInput *g, const void *data, gssize n, GError **error)
{
	if (n <= 0)
		return n;
	if (g->head && !g->refused && mu_head_feed(g->head, data, (size_t)n) < 0)
		refuse(g);
	if (g->refused) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "refused");
		return -1;
	}
	if (g->head && g->head->complete)
		g_clear_pointer(&g->head, free);
	return n;
}

static gssize read_nonblocking(GPollableInputStream *s, void *buf, gsize n, GError **error)
{
	MuGuardInput *g = (MuGuardInput *)s;

	return pass(g, buf, g_pollable_input_stream_read_nonblocking(g->in, buf, n, NULL, error), error);
}

static gssize read_fn(GInputStream *s, void *buf, gsize n, GCancellable *c, GError **error)
{
	MuGuardInput *g = (MuGuardInput *)s;

	return pass(g, buf, g_input_stream_read(G_INPUT_STREAM(g->in), buf, n, c, error), error);
}

static gboolean can_poll(GPollableInputStream *s)
{
	return g_pollable_input_stream_can_poll(((MuGuardInput *)s)->in);
}

static gboolean is_readable(GPollableInputStream *s)
{
	return g_pollable_input_stream_is_readable(((MuGuardInput *)s)->in);
}

static GSource *create_source(GPollableInputStream *s, GCancellable *c)
{
	GSource *child = g_pollable_input_stream_create_source(((MuGuardInput *)s)->in, NULL);
	GSource *source = g_pollable_source_new_full(s, child, c);

	g_source_unref(child);
	return source;
}

static void input_finalize(GObject *o)
{
	MuGuardInput *g = (MuGuardInput *)o;

	g_clear_object(&g->in);
	g_clear_object(&g->out);
	g_clear_object(&g->socket);
	free(g->head);
	G_OBJECT_CLASS(mu_guard_input_parent_class)->finalize(o);
}

static void pollable_init(GPollableInputStreamInterface *iface)
{
	iface->can_poll = can_poll;
	iface->is_readable = is_readable;
	iface->create_source = create_source;
	iface->read_nonblocking = read_nonblocking;
}

static void mu_guard_input_class_init(MuGuardInputClass *class)
{
	G_OBJECT_CLASS(class)->finalize = input_finalize;
	G_INPUT_STREAM_CLASS(class)->read_fn = read_fn;
}

static void mu_guard_input_init(MuGuardInput *g)
{
	g->head = g_new0(struct mu_head, 1);
}

/* --- the stream --- */

typedef struct {
	GIOStream parent;
	GIOStream *base;
	GInputStream *in;
} MuGuard;
typedef struct {
	GIOStreamClass parent;
} MuGuardClass;

static GType mu_guard_get_type(void);
G_DEFINE_TYPE(MuGuard, mu_guard, G_TYPE_IO_STREAM)

static GInputStream *get_in(GIOStream *s)
{
	return ((MuGuard *)s)->in;
}

static GOutputStream *get_out(GIOStream *s)
{
	return g_io_stream_get_output_stream(((MuGuard *)s)->base);
}

static gboolean close_fn(GIOStream *s, GCancellable *c, GError **error)
{
	return g_io_stream_close(((MuGuard *)s)->base, c, error);
}

static void guard_finalize(GObject *o)
{
	MuGuard *g = (MuGuard *)o;

	/* GIOStream's own dispose has closed it by now */
	g_clear_object(&g->in);
	g_clear_object(&g->base);
	G_OBJECT_CLASS(mu_guard_parent_class)->finalize(o);
}

static void mu_guard_class_init(MuGuardClass *class)
{
	G_OBJECT_CLASS(class)->finalize = guard_finalize;
	G_IO_STREAM_CLASS(class)->get_input_stream = get_in;
	G_IO_STREAM_CLASS(class)->get_output_stream = get_out;
	G_IO_STREAM_CLASS(class)->close_fn = close_fn;
}

static void mu_guard_init(MuGuard *g)
{
	(void)g;
}

GIOStream *mu_guard_new(GIOStream *base, GSocket *socket)
{
	MuGuard *g = g_object_new(mu_guard_get_type(), NULL);
	MuGuardInput *in = g_object_new(mu_guard_input_get_type(), NULL);

	in->in = G_POLLABLE_INPUT_STREAM(g_object_ref(g_io_stream_get_input_stream(base)));
	in->out = G_POLLABLE_OUTPUT_STREAM(g_object_ref(g_io_stream_get_output_stream(base)));
	in->socket = g_object_ref(socket);
	g->base = g_object_ref(base);
	g->in = G_INPUT_STREAM(in);
	return G_IO_STREAM(g);
}
