/* The event stream (WHATWG HTML, section 9.2): what happens, told to whoever may know it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/private.h"

#define HEARTBEAT_S  15
#define CATCH_UP_MAX (MU_READER_QUEUE / 2) /* bytes: the other half is for what happens meanwhile */

struct reader {
	struct mu_list link;
	struct mu_api *api;
	SoupServerMessage *msg; /* a reference */
	struct mu_token who;
	char from[64]; /* address */
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

/* Of a conference hears who may read it, whoever of its members it is about. */
static bool may_hear_conference(const struct mu_token *who, const struct mu_event *ev)
{
	const char *id = json_string_value(json_object_get(ev->data, "conference"));

	return mu_has_scope(who, MU_SCOPE_CONFERENCE | MU_SCOPE_OPERATE) && mu_token_covers_conference(who, id ? id : "");
}

/* A viewer hears of the endpoints it may watch; of sessions and the gateway itself hears who operates it. */
static bool may_hear(const struct mu_token *who, const struct mu_event *ev)
{
	const char *endpoint = event_endpoint(ev);

	if (g_str_has_prefix(ev->kind, "conference."))
		return may_hear_conference(who, ev);
	if (endpoint && !mu_token_covers(who, endpoint))
		return false;
	return mu_has_scope(who, MU_SCOPE_OPERATE) ||
		(endpoint && g_str_has_prefix(ev->kind, "endpoint.") && mu_has_scope(who, MU_SCOPE_WATCH));
}

/* An id carries when the gateway started: numbers of an earlier life mean other events. */
static char *event_text(const struct mu_api *a, const struct mu_event *ev)
{
	char *data = json_dumps(ev->data, JSON_COMPACT), *text = NULL;

	/* the kind comes from our own code, data is one line: neither can end the event early */
	if (data &&
		asprintf(&text, "id: %llx-%llu\nevent: %s\ndata: {\"time_us\":%lld,\"data\":%s}\n\n",
			(unsigned long long)a->start_wall_us, (unsigned long long)ev->number, ev->kind,
			(long long)ev->wall_us, data) < 0)
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

/* However a session ends, by its client, an operator, its token's end or a lost connection: the log has it.
 */
static void audit_end(struct mu_api *a, const struct mu_event *ev)
{
	const char *id = json_string_value(json_object_get(ev->data, "id"));
	const char *why = json_string_value(json_object_get(ev->data, "why"));
	char text[300];

	if (!a->audit || strcmp(ev->kind, "session.closed") != 0)
		return;
	g_snprintf(text, sizeof(text), "session %s: %s", id ? id : "?", why ? why : "no reason given");
	mu_audit_add(a->audit,
		&(struct mu_audit_entry){ .who = "muster",
			.what = ev->kind,
			.target = event_endpoint(ev),
			.result = "done",
			.why = text });
}

static void tell(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct mu_api *a = MU_CONTAINER_OF(l, struct mu_api, listener);
	char *text = NULL;

	audit_end(a, ev);
	mu_list_for_each (it, &a->readers) {
		struct reader *rd = MU_CONTAINER_OF(it, struct reader, link);

		if (!may_hear(&rd->who, ev))
			continue;
		if (!text)
			text = event_text(a, ev);
		if (text)
			put(rd, text);
	}
	free(text);
}

struct missed {
	struct reader *rd;
	GString *text;
};

static bool collect(void *arg, const struct mu_event *ev)
{
	struct missed *m = arg;
	char *text = may_hear(&m->rd->who, ev) ? event_text(m->rd->api, ev) : NULL;

	if (text)
		g_string_append(m->text, text);
	free(text);
	return m->text->len <= CATCH_UP_MAX;
}

static bool last_seen(const struct mu_api *a, const char *id, uint64_t *ret)
{
	unsigned long long life, number;
	int end = 0;

	if (sscanf(id, "%llx-%llu%n", &life, &number, &end) != 2 || id[end] ||
		life != (unsigned long long)a->start_wall_us)
		return false;
	*ret = number;
	return true;
}

/* The client says what it saw last. Where that cannot be made up for, because it is forgotten or more than a
 * reader that just came can be handed at once, it must ask for the lists anew: "reset" alone tells it so, and
 * its id that this is settled. */
static void catch_up(struct reader *rd)
{
	const char *last = soup_message_headers_get_one(
		soup_server_message_get_request_headers(rd->msg), "Last-Event-ID");
	struct mu_api *a = rd->api;
	struct missed m = { .rd = rd };
	uint64_t n;

	if (!last)
		return;
	m.text = g_string_new("");
	if (!last_seen(a, last, &n) || !mu_directory_replay(a->directory, n, collect, &m))
		g_string_printf(m.text, "id: %llx-%llu\nevent: reset\ndata: {}\n\n",
			(unsigned long long)a->start_wall_us,
			(unsigned long long)mu_directory_last_event(a->directory));
	if (m.text->len)
		put(rd, m.text->str);
	g_string_free(m.text, TRUE);
}

static struct reader *reader_new(struct mu_req *r)
{
	struct reader *rd = g_new0(struct reader, 1);

	rd->api = r->api;
	rd->msg = g_object_ref(r->msg);
	rd->who = r->who;
	g_strlcpy(rd->from, r->from, sizeof(rd->from));
	mu_list_append(&r->api->readers, &rd->link);
	r->api->n_readers++;
	g_signal_connect(rd->msg, "wrote-body-data", G_CALLBACK(wrote), rd);
	g_signal_connect(rd->msg, "finished", G_CALLBACK(finished), rd);
	return rd;
}

static bool same_subject(const struct reader *rd, const struct mu_req *r)
{
	return strcmp(rd->who.subject, r->who.subject) == 0 && strcmp(rd->who.issuer, r->who.issuer) == 0;
}

/* No one token, person or machine may take all the streams there are, and who operates the gateway gets in
 * when a crowd is there already. */
static bool has_room(struct mu_req *r)
{
	unsigned subject = 0, address = 0;
	bool operate = mu_has_scope(&r->who, MU_SCOPE_OPERATE);
	unsigned max = operate ? MU_READERS_MAX : MU_READERS_MAX - MU_READERS_OPERATE;
	int status = 429;
	char why[100];

	mu_list_for_each (it, &r->api->readers) {
		const struct reader *rd = MU_CONTAINER_OF(it, struct reader, link);

		subject += same_subject(rd, r);
		address += strcmp(rd->from, r->from) == 0;
	}
	if (subject >= MU_READERS_SUBJECT) {
		g_snprintf(why, sizeof(why), "%u event streams are open for the token's subject", subject);
	} else if (address >= MU_READERS_ADDRESS && !mu_conn_shared(r->msg)) {
		g_snprintf(why, sizeof(why), "%u event streams are open for your address", address);
	} else if (r->api->n_readers >= max) {
		status = 503;
		g_snprintf(why, sizeof(why), "%u event streams are open", r->api->n_readers);
	} else {
		return true;
	}
	soup_message_headers_replace(soup_server_message_get_response_headers(r->msg), "Retry-After", "10");
	mu_reply_problem(r, status, "Too many readers",
		"%s, which is the limit: close some, or try again later.", why);
	return false;
}

void mu_on_events(struct mu_req *r)
{
	SoupMessageHeaders *h = soup_server_message_get_response_headers(r->msg);
	struct reader *rd;

	if (!has_room(r))
		return;
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

static gboolean tick(gpointer arg)
{
	struct mu_api *a = arg;
	int64_t now_s = mu_clock_wall_us() / 1000000;
	bool beat = ++a->n_ticks % HEARTBEAT_S == 0;

	mu_viewers_observe(a);
	mu_sockets_tick(a);
	mu_list_for_each (it, &a->readers) {
		struct reader *rd = MU_CONTAINER_OF(it, struct reader, link);

		if (now_s >= rd->who.expires_s)
			end(rd);
		else if (beat)
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
	a->tick = g_timeout_add(1000, tick, a);
}

void mu_events_stop(struct mu_api *a)
{
	mu_directory_unlisten(a->directory, &a->listener);
	g_source_remove(a->tick);
	while (!mu_list_empty(&a->readers))
		reader_free(MU_CONTAINER_OF(a->readers.next, struct reader, link));
}
