/* WebSockets of consoles: taken from the HTTP server after the handshake, read and written without blocking.
 *
 * A client costs at most one message in the making (MU_CONSOLE_MESSAGE_MAX; before the hello far less), a queue (QUEUE_MAX) and as much
 * work as it may send bytes a second: past that it is not read from until its time has come. One that does
 * not answer, does not read, or breaks a rule is closed with a code that says so.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/console_socket.h"

#define HELLO_MAX      16384 /* bytes of a message of whom nothing is known: a token has 4 KiB at most */
#define QUEUE_MAX      (1 << 20) /* bytes that wait for the client */
#define READ_MAX       16384     /* in one turn of the loop */
#define BYTES_A_SECOND 262144    /* it may send */
#define BYTES_BURST    (1 << 20)
#define PING_US        INT64_C(15000000)
#define SILENT_US      INT64_C(30000000) /* without a pong */
#define MESSAGE_US     INT64_C(30000000) /* from a message's first byte to its last */
#define GOODBYE_US     INT64_C(2000000)  /* from our goodbye to its */

struct socket {
	struct mu_list link;
	struct mu_api *api;
	GIOStream *stream;
	GSocket *socket;
	GObject *hold; /* keeps the connection counted */
	char from[64];
	struct mu_console *console; /* NULL: it was told that this is over */
	struct mu_ws ws;
	GSource *readable, *writable;
	guint paused, end; /* timers: read on; free it */
	GByteArray *out;
	guint written;                                    /* of out */
	uint8_t pong[MU_WS_CONTROL_MAX];
	int pong_len; /* -1: none is due */
	int64_t pong_us, ping_us, closing_us, message_us; /* 0: not */
	double credit;
	int64_t credit_us;
};

/* --- over --- */

static void drop_source(GSource **s)
{
	if (!*s)
		return;
	g_source_destroy(*s);
	g_source_unref(*s);
	*s = NULL;
}

static void socket_free(struct socket *s)
{
	mu_list_remove(&s->link);
	s->api->n_sockets--;
	if (s->console)
		mu_console_lost(s->console);
	drop_source(&s->readable);
	drop_source(&s->writable);
	if (s->paused)
		g_source_remove(s->paused);
	if (s->end)
		g_source_remove(s->end);
	g_socket_shutdown(s->socket, TRUE, TRUE, NULL);
	g_object_unref(s->stream);
	g_object_unref(s->socket);
	g_object_unref(s->hold);
	g_byte_array_unref(s->out);
	mu_ws_done(&s->ws);
	g_free(s);
}

static gboolean end_now(gpointer arg)
{
	struct socket *s = arg;

	s->end = 0;
	socket_free(s);
	return G_SOURCE_REMOVE;
}

/* Not at once: this may be in the midst of a call by the console. */
static void end(struct socket *s)
{
	drop_source(&s->readable);
	drop_source(&s->writable);
	if (!s->end)
		s->end = g_timeout_add(0, end_now, s);
}

/* --- writing --- */

static void write_some(struct socket *s);

static gboolean on_writable(GObject *stream, gpointer arg)
{
	struct socket *s = arg;

	(void)stream;
	drop_source(&s->writable);
	write_some(s);
	return G_SOURCE_REMOVE;
}

static void wait_writable(struct socket *s)
{
	GOutputStream *out = g_io_stream_get_output_stream(s->stream);

	if (s->writable)
		return;
	s->writable = g_pollable_output_stream_create_source(G_POLLABLE_OUTPUT_STREAM(out), NULL);
	g_source_set_callback(s->writable, G_SOURCE_FUNC(on_writable), s, NULL);
	g_source_attach(s->writable, g_main_context_get_thread_default());
}

static void write_some(struct socket *s)
{
	GPollableOutputStream *out = G_POLLABLE_OUTPUT_STREAM(g_io_stream_get_output_stream(s->stream));
	GError *e = NULL;

	while (!s->end && s->written < s->out->len) {
		gssize n = g_pollable_output_stream_write_nonblocking(
			out, s->out->data + s->written, s->out->len - s->written, NULL, &e);

		if (n > 0) {
			s->written += (guint)n;
		} else if (n < 0 && g_error_matches(e, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
			g_clear_error(&e);
			wait_writable(s);
			return;
		} else {
			g_clear_error(&e);
			end(s);
			return;
		}
	}
	g_byte_array_set_size(s->out, 0);
	s->written = 0;
	if (s->closing_us && !s->end) /* what the peer still says ends with its own goodbye */
		g_socket_shutdown(s->socket, FALSE, TRUE, NULL);
}

/* @return false: too much waits */
static bool queue(struct socket *s, enum mu_ws_opcode op, const void *data, size_t len)
{
	uint8_t head[MU_WS_HEAD_MAX];
	size_t n = mu_ws_head(head, op, len);

	if (s->end || s->closing_us)
		return true;
	if (s->out->len - s->written + n + len > QUEUE_MAX)
		return false;
	if (s->written > QUEUE_MAX / 2) { /* what is gone makes room */
		g_byte_array_remove_range(s->out, 0, s->written);
		s->written = 0;
	}
	g_byte_array_append(s->out, head, (guint)n);
	g_byte_array_append(s->out, data, (guint)len);
	if (!s->writable)
		write_some(s);
	return true;
}

static void say_goodbye(struct socket *s, unsigned code, const char *why)
{
	uint8_t data[MU_WS_CONTROL_MAX];
	size_t len = MU_MIN(strlen(why), sizeof(data) - 2);

	if (s->end || s->closing_us)
		return;
	while (!g_utf8_validate(why, (gssize)len, NULL))
		len--;
	mu_put16(data, (uint16_t)code);
	memcpy(data + 2, why, len);
	if (!queue(s, MU_WS_OP_CLOSE, data, len + 2)) {
		end(s);
		return;
	}
	s->closing_us = mu_clock_us();
	if (s->out->len == 0)
		g_socket_shutdown(s->socket, FALSE, TRUE, NULL);
}

/* --- the console's side --- */

static void lost(struct socket *s)
{
	struct mu_console *c = s->console;

	s->console = NULL;
	if (c)
		mu_console_lost(c);
}

static void on_send(void *arg, json_t *message)
{
	struct socket *s = arg;
	char *text = json_dumps(message, JSON_COMPACT);

	json_decref(message);
	if (text && !queue(s, MU_WS_OP_TEXT, text, strlen(text))) {
		mu_warn("api", s->from,
			"a console does not read what it is sent: %d bytes wait, it is closed", QUEUE_MAX);
		end(s); /* there is no room for a goodbye either */
	}
	free(text);
}

static void on_close(void *arg, unsigned code, const char *why)
{
	say_goodbye(arg, code, why);
}

/* --- reading --- */

static bool on_text(void *arg, const char *text, size_t len)
{
	struct socket *s = arg;

	s->message_us = 0;
	if (s->console)
		mu_console_text(s->console, text, len);
	if (s->console && mu_console_known(s->console))
		s->ws.max = MU_CONSOLE_MESSAGE_MAX;
	return !s->end && !s->closing_us;
}

static bool on_control(void *arg, enum mu_ws_opcode op, const uint8_t *data, size_t len)
{
	struct socket *s = arg;

	if (op == MU_WS_OP_PONG) {
		s->pong_us = mu_clock_us();
	} else {
		memcpy(s->pong, data, len);
		s->pong_len = (int)len;
	}
	return !s->end && !s->closing_us;
}

/* Only the last ping of what was read together (RFC 6455, section 5.5.3): thousands fit into one read, and an answer to each would
 * be a system call each. */
static void answer_ping(struct socket *s)
{
	if (s->pong_len >= 0 && !queue(s, MU_WS_OP_PONG, s->pong, (size_t)s->pong_len))
		end(s);
	s->pong_len = -1;
}

static void on_closed(void *arg, unsigned code)
{
	struct socket *s = arg;

	(void)code;
	say_goodbye(s, MU_WS_DONE, "");
}

static const struct mu_ws_ops ops = { .text = on_text, .control = on_control, .closed = on_closed };

static const char *words(unsigned code)
{
	switch (code) {
	case MU_WS_NO_TEXT:
		return "messages are text";
	case MU_WS_NO_UTF8:
		return "text has to be UTF-8";
	case MU_WS_TOO_LARGE:
		return "a message may have 262144 bytes, the hello 16384";
	default:
		return "no sound frame of RFC 6455";
	}
}

static void fed(struct socket *s, const uint8_t *data, size_t len)
{
	unsigned code;

	if (s->closing_us) /* it is only waited for its end */
		return;
	code = mu_ws_feed(&s->ws, data, len, &ops, s);
	answer_ping(s);
	if (code)
		say_goodbye(s, code, words(code));
	if (!mu_ws_unfinished(&s->ws))
		s->message_us = 0;
	else if (!s->message_us)
		s->message_us = mu_clock_us();
}

static void wait_readable(struct socket *s);

static gboolean read_on(gpointer arg)
{
	struct socket *s = arg;

	s->paused = 0;
	wait_readable(s);
	return G_SOURCE_REMOVE;
}

/* @return how long it is not read from, in milliseconds */
static guint pay(struct socket *s, size_t bytes)
{
	int64_t now_us = mu_clock_us();

	s->credit = MU_MIN(s->credit + (double)(now_us - s->credit_us) / 1e6 * BYTES_A_SECOND,
			    (double)BYTES_BURST) -
		(double)bytes;
	s->credit_us = now_us;
	return s->credit >= 0 ? 0 : (guint)(-s->credit * 1000 / BYTES_A_SECOND) + 1;
}

static gboolean on_readable(GObject *stream, gpointer arg)
{
	struct socket *s = arg;
	uint8_t data[READ_MAX];
	GError *e = NULL;
	gssize n = g_pollable_input_stream_read_nonblocking(
		G_POLLABLE_INPUT_STREAM(g_io_stream_get_input_stream(s->stream)), data, sizeof(data), NULL,
		&e);
	guint wait_ms;

	(void)stream;
	drop_source(&s->readable); /* what made it ready may have been bytes that had come with the handshake: of such it stays so */
	if (n < 0 && g_error_matches(e, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
		g_error_free(e);
		wait_readable(s);
		return G_SOURCE_REMOVE;
	}
	g_clear_error(&e);
	if (n <= 0) {
		end(s);
		return G_SOURCE_REMOVE;
	}
	wait_ms = pay(s, (size_t)n);
	fed(s, data, (size_t)n);
	if (wait_ms > 0 && !s->end)
		s->paused = g_timeout_add(wait_ms, read_on, s);
	else
		wait_readable(s);
	return G_SOURCE_REMOVE;
}

static void wait_readable(struct socket *s)
{
	GInputStream *in = g_io_stream_get_input_stream(s->stream);

	if (s->end)
		return;
	s->readable = g_pollable_input_stream_create_source(G_POLLABLE_INPUT_STREAM(in), NULL);
	g_source_set_callback(s->readable, G_SOURCE_FUNC(on_readable), s, NULL);
	g_source_attach(s->readable, g_main_context_get_thread_default());
}

/* --- who may come --- */

static bool is_stranger(const struct socket *s)
{
	return !s->end && s->console && !mu_console_known(s->console);
}

/* Who says nothing makes room for others. */
static void limit_strangers(struct mu_api *a, const char *from, unsigned max)
{
	struct socket *oldest = NULL;
	unsigned n = 0;

	mu_list_for_each (it, &a->sockets) {
		struct socket *s = MU_CONTAINER_OF(it, struct socket, link);

		if (!is_stranger(s) || (from && strcmp(s->from, from) != 0))
			continue;
		n++;
		if (!oldest)
			oldest = s;
	}
	if (n > 0 && n >= max) {
		say_goodbye(oldest, MU_WS_LATER, "too many wait to say hello");
		lost(oldest);
		end(oldest);
	}
}

static bool has_room(struct mu_req *r)
{
	struct mu_api *a = r->api;
	unsigned address = 0, strangers = 0;
	bool full = a->n_sockets >= MU_SOCKETS_MAX;

	mu_list_for_each (it, &a->sockets) {
		const struct socket *s = MU_CONTAINER_OF(it, struct socket, link);

		if (s->end || strcmp(s->from, r->from) != 0)
			continue;
		address++;
		strangers += is_stranger(s);
	}
	if (!full && (address < MU_SOCKETS_ADDRESS || mu_conn_shared(r->msg)))
		return true;
	if (!full && strangers > 0) { /* behind one address there may be many: who says hello there gets in */
		limit_strangers(a, r->from, 1);
		return true;
	}
	soup_message_headers_replace(soup_server_message_get_response_headers(r->msg), "Retry-After", "10");
	mu_reply_problem(r, full ? 503 : 429, "Too many consoles",
		"%u consoles are connected%s: close some, or try again later.", full ? a->n_sockets : address,
		full ? "" : " from your address");
	return false;
}

static bool socket_begin(struct socket *s, struct mu_req *r, struct mu_console *console)
{
	s->stream = mu_conn_take(r->msg, &s->hold, &s->socket);
	if (!s->stream)
		return false;
	s->api = r->api;
	s->console = console;
	g_strlcpy(s->from, r->from, sizeof(s->from));
	s->ws.max = HELLO_MAX;
	s->out = g_byte_array_new();
	s->pong_us = s->ping_us = s->credit_us = mu_clock_us();
	s->credit = BYTES_BURST;
	s->pong_len = -1;
	mu_list_append(&r->api->sockets, &s->link);
	r->api->n_sockets++;
	return true;
}

void mu_on_console_socket(struct mu_req *r)
{
	struct mu_console_socket to = { .send = on_send, .close = on_close };
	struct mu_console *console;
	struct socket *s;
	char *text = mu_ws_handshake(r);

	if (!text || !has_room(r)) {
		g_free(text);
		return;
	}
	limit_strangers(r->api, NULL, MU_SOCKETS_STRANGER);
	s = g_new0(struct socket, 1);
	to.arg = s;
	if (mu_console_new(r->api->webrtc, &to, r->from, &console) < 0) {
		g_free(s);
		soup_message_headers_replace(
			soup_server_message_get_response_headers(r->msg), "Retry-After", "10");
		mu_reply_problem(
			r, 503, "Not available", "The gateway takes no more consoles now: try again later.");
	} else if (!socket_begin(s, r, console)) {
		mu_console_lost(console);
		g_free(s);
	} else {
		g_byte_array_append(s->out, (const guint8 *)text, (guint)strlen(text));
		write_some(s);
		wait_readable(s);
	}
	g_free(text);
}

/* --- time --- */

static void check(struct socket *s, int64_t now_us)
{
	if (s->closing_us) {
		if (now_us - s->closing_us >= GOODBYE_US)
			end(s);
		return;
	}
	if (now_us - s->pong_us >= SILENT_US) {
		say_goodbye(s, MU_WS_POLICY, "no pong came for 30 s");
	} else if (s->message_us && now_us - s->message_us >= MESSAGE_US) {
		say_goodbye(s, MU_WS_POLICY, "a message has to be whole within 30 s");
	} else if (now_us - s->ping_us >= PING_US) {
		s->ping_us = now_us;
		if (!queue(s, MU_WS_OP_PING, "", 0))
			end(s);
	}
}

void mu_sockets_tick(struct mu_api *a)
{
	int64_t now_us = mu_clock_us();

	mu_list_for_each (it, &a->sockets) {
		struct socket *s = MU_CONTAINER_OF(it, struct socket, link);

		if (!s->end)
			check(s, now_us);
	}
}

void mu_sockets_start(struct mu_api *a)
{
	mu_list_init(&a->sockets);
}

void mu_sockets_stop(struct mu_api *a)
{
	while (!mu_list_empty(&a->sockets)) {
		struct socket *s = MU_CONTAINER_OF(a->sockets.next, struct socket, link);

		say_goodbye(s, MU_WS_AWAY, "the gateway stops");
		socket_free(s);
	}
}
