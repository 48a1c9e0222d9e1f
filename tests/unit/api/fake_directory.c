/* A directory that tells and keeps what the tests want. */
#include "fakes.h"

bool mu_endpoint_id_valid(const char *id)
{
	const char *slash = strchr(id, '/');

	return slash && slash != id && strlen(slash + 1) >= 1 && strlen(slash + 1) <= 64;
}

const char *mu_endpoint_state_name(enum mu_endpoint_state s)
{
	static const char *const names[] = { "idle", "live", "lost" };

	return names[s];
}

struct mu_endpoint *mu_directory_find(struct mu_directory *d, const char *id)
{
	(void)d;
	for (unsigned i = 0; i < fake.n_endpoints; i++) {
		if (strcmp(fake.endpoints[i].id, id) == 0)
			return &fake.endpoints[i];
	}
	return NULL;
}

void mu_directory_each(struct mu_directory *d, bool (*fn)(void *arg, struct mu_endpoint *ep), void *arg)
{
	(void)d;
	for (unsigned i = 0; i < fake.n_endpoints; i++) {
		if (!fn(arg, &fake.endpoints[i]))
			return;
	}
}

json_t *mu_endpoint_json(const struct mu_endpoint *ep)
{
	return json_pack("{ss ss si}", "id", ep->id, "state", mu_endpoint_state_name(ep->state), "viewers",
		(int)ep->viewers);
}

void mu_directory_listen(struct mu_directory *d, struct mu_event_listener *l)
{
	(void)d;
	fake.listener = l;
}

void mu_directory_unlisten(struct mu_directory *d, struct mu_event_listener *l)
{
	(void)d;
	(void)l;
	fake.listener = NULL;
}

static struct mu_event event_at(size_t i)
{
	json_t *o = json_array_get(fake.kept, i);
	struct mu_event ev = { .number = i + 1, .wall_us = 1000, .data = json_object_get(o, "data") };

	g_strlcpy(ev.kind, json_string_value(json_object_get(o, "kind")), sizeof(ev.kind));
	return ev;
}

void mu_directory_tell(struct mu_directory *d, const char *kind, json_t *data)
{
	struct mu_event ev;

	(void)d;
	json_array_append_new(fake.kept, json_pack("{ss so}", "kind", kind, "data", data));
	ev = event_at(json_array_size(fake.kept) - 1);
	if (fake.listener)
		fake.listener->fn(fake.listener, &ev);
}

bool mu_directory_replay(
	struct mu_directory *d, uint64_t number, bool (*fn)(void *arg, const struct mu_event *ev), void *arg)
{
	(void)d;
	if (number > json_array_size(fake.kept))
		return false;
	for (size_t i = number; i < json_array_size(fake.kept); i++) {
		struct mu_event ev = event_at(i);

		if (!fn(arg, &ev))
			return false;
	}
	return true;
}

uint64_t mu_directory_last_event(const struct mu_directory *d)
{
	(void)d;
	return json_array_size(fake.kept);
}

json_t *mu_time_json(int64_t wall_us)
{
	char text[MU_TIME_TEXT];

	return json_string(mu_time_text(wall_us, 3, text));
}
