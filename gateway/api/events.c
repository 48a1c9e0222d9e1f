/* The event stream (WHATWG HTML, section 9.2): what happens, told to whoever may know it. */
#include <errno.h>
#include <stdlib.h>

#include "api/private.h"

#define HEARTBEAT_S 15

struct reader {
	struct mu_list link;
	struct mu_api *api;
	SoupServerMessage *msg; /* a reference */
	struct mu_token who;
	size_t queued; /* bytes handed to the server and not yet on the socket */
	bool ended, begun;
};

static const char *event_endpoint(const struct mu_event *ev)
{
	const char *id = json_string_value(json_object_get(ev->data, "endpoint"));

	if (!id && g_str_has_prefix(ev->kind, "endpoint."))
		id = json_string_value(json_object_get(ev->data, "id"));
	return id;
}

/* A viewer hears of the endpoints it may watch; of sessions and the gateway itself hears who operates it. */
static bool may_hear(const struct mu_token *who, const struct mu_event *ev)
{
	const char *endpoint = event_endpoint(ev);

	if (endpoint && !mu_token_covers(who, endpoint))
		return false;
	return mu_has_scope(who, MU_SCOPE_OPERATE) || (endpoint && g_str_has_prefix(ev->kind, "endpoint."));
}

static char *event_text(const struct mu_event *ev)
{
	char *data = json_dumps(ev->data, JSON_COMPACT), *text = NULL;

	/* the kind comes from our own code, data is one line: neither can end the event early */
	if (data &&
		asprintf(&text, "id: %llu\nevent: %s\ndata: {\"time_us\":%lld,\"data\":%s}\n\n",
			(unsigned long long)ev->number, ev->kind, (long long)ev->wall_us, data) < 0)
		text = NULL;
	free(data);
	return text;
}

static void reader_free(struct reader *rd)
{
	g_signal_handlers_disconnect_by_data(rd->msg, rd);
	mu_list_remove(&rd->link);
	rd->api->n_readers--;
	g_object_unref(rd->msg);
	g_free(rd);
}

static void drop(struct reader *rd)
{
	rd->ended = true;
	rd->api->n_events_dropped++;
	mu_warn("api", rd->who.subject, "reads events too slowly: %zu bytes wait, its stream is cut",
		rd->queued);
	mu_conn_cut(rd->msg);
}

static void put(struct reader *rd, const char *text)
{
	size_t len = strlen(text);

	if (rd->ended)
		return;
	if (rd->queued + len > MU_READER_QUEUE) {
		drop(rd);
		return;
	}
	rd->queued += len;
	soup_message_body_append(soup_server_message_get_response_body(rd->msg), SOUP_MEMORY_COPY, text, len);
	if (rd->begun)
		soup_server_message_unpause(rd->msg);
}

static void end(struct reader *rd)
{
	if (rd->ended)
		return;
	rd->ended = true;
	soup_message_body_complete(soup_server_message_get_response_body(rd->msg));
	soup_server_message_unpause(rd->msg);
}

static void wrote(SoupServerMessage *msg, guint size, gpointer arg)
{
	struct reader *rd = arg;

	(void)msg;
	rd->queued -= MU_MIN(rd->queued, size);
}

static void finished(SoupServerMessage *msg, gpointer arg)
{
	(void)msg;
	reader_free(arg);
}

static void tell(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct mu_api *a = MU_CONTAINER_OF(l, struct mu_api, listener);
	char *text = NULL;

	mu_list_for_each (it, &a->readers) {
		struct reader *rd = MU_CONTAINER_OF(it, struct reader, link);

		if (!may_hear(&rd->who, ev))
			continue;
		if (!text)
			text = event_text(ev);
		if (text)
			put(rd, text);
	}
	free(text);
}

static void replay(void *arg, const struct mu_event *ev)
{
	struct reader *rd = arg;
	char *text = may_hear(&rd->who, ev) ? event_text(ev) : NULL;

	if (text)
		put(rd, text);
	free(text);
}

/* The client says what it saw last. What is forgotten since, it must ask for anew: "reset" tells it so. */
static void catch_up(struct reader *rd)
{
	const char *last = soup_message_headers_get_one(
		soup_server_message_get_request_headers(rd->msg), "Last-Event-ID");
	guint64 n;

	if (!last)
		return;
	if (!g_ascii_string_to_unsigned(last, 10, 0, G_MAXUINT64, &n, NULL) ||
		!mu_directory_replay(rd->api->directory, n, replay, rd))
		put(rd, "event: reset\ndata: {}\n\n");
}

static struct reader *reader_new(struct mu_req *r)
{
	struct reader *rd = g_new0(struct reader, 1);

	rd->api = r->api;
	rd->msg = g_object_ref(r->msg);
	rd->who = r->who;
	mu_list_append(&r->api->readers, &rd->link);
	r->api->n_readers++;
	g_signal_connect(rd->msg, "wrote-body-data", G_CALLBACK(wrote), rd);
	g_signal_connect(rd->msg, "finished", G_CALLBACK(finished), rd);
	return rd;
}

void mu_on_events(struct mu_req *r)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(r->msg);
	struct reader *rd;

	if (r->api->n_readers >= MU_READERS_MAX) {
		soup_message_headers_replace(h, "Retry-After", "10");
		mu_reply_problem(r, 503, "Too many readers",
			"%d event streams are open, which is the limit. Try again later.", MU_READERS_MAX);
		return;
	}
	mu_reply_text(r, 200, NULL, NULL, 0);
	soup_message_headers_replace(h, "Content-Type", "text/event-stream");
	if (strcmp(soup_server_message_get_method(r->msg), "HEAD") == 0)
		return;
	soup_message_headers_set_encoding(h, SOUP_ENCODING_CHUNKED);
	soup_message_body_set_accumulate(soup_server_message_get_response_body(r->msg), FALSE);
	mu_conn_stream(r->msg);
	rd = reader_new(r);
	put(rd, "retry: 2000\n\n");
	catch_up(rd);
	rd->begun = true;
}

static gboolean heartbeat(gpointer arg)
{
	struct mu_api *a = arg;
	int64_t now_s = mu_clock_wall_us() / 1000000;

	mu_list_for_each (it, &a->readers) {
		struct reader *rd = MU_CONTAINER_OF(it, struct reader, link);

		if (rd->who.expires_s < now_s)
			end(rd);
		else
			put(rd, ": still here\n\n");
	}
	return G_SOURCE_CONTINUE;
}

void mu_events_end_token(struct mu_api *a, const char *token_id)
{
	mu_list_for_each (it, &a->readers) {
		struct reader *rd = MU_CONTAINER_OF(it, struct reader, link);

		if (strcmp(rd->who.id, token_id) == 0)
			end(rd);
	}
}

void mu_events_end_unknown_keys(struct mu_api *a)
{
	mu_list_for_each (it, &a->readers) {
		struct reader *rd = MU_CONTAINER_OF(it, struct reader, link);

		if (!mu_keyring_knows(a->keyring, &rd->who))
			end(rd);
	}
}

void mu_events_start(struct mu_api *a)
{
	mu_list_init(&a->readers);
	mu_list_init(&a->listener.link);
	a->listener.fn = tell;
	mu_directory_listen(a->directory, &a->listener);
	a->heartbeat = g_timeout_add_seconds(HEARTBEAT_S, heartbeat, a);
}

void mu_events_stop(struct mu_api *a)
{
	mu_directory_unlisten(a->directory, &a->listener);
	g_source_remove(a->heartbeat);
	while (!mu_list_empty(&a->readers))
		reader_free(MU_CONTAINER_OF(a->readers.next, struct reader, link));
}
