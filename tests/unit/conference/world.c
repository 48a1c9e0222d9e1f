#include "world.h"

static void save(void *arg, const char *id, const json_t *state)
{
	struct world *w = arg;

	assert_string_equal(id, "morning");
	json_decref(w->saved);
	w->saved = json_deep_copy(state);
	w->saves++;
}

static void heard(struct mu_event_listener *l, const struct mu_event *ev)
{
	struct world *w = MU_CONTAINER_OF(l, struct world, listener);
	const char *endpoint = json_string_value(json_object_get(ev->data, "endpoint"));
	const char *why = json_string_value(json_object_get(ev->data, "why"));

	snprintf(w->last, sizeof(w->last), "%s", ev->kind);
	snprintf(w->last_endpoint, sizeof(w->last_endpoint), "%s", endpoint ? endpoint : "");
	snprintf(w->last_why, sizeof(w->last_why), "%s", why ? why : "");
}

void make(struct world *w, bool moderated)
{
	struct mu_conference_store store = { save, w };
	struct mu_conference_spec spec = { .id = "morning", .title = "晨会", .moderated = moderated };

	assert_int_equal(mu_conferences_new(w->d, &store, &w->cs), 0);
	assert_int_equal(mu_conference_create(w->cs, &spec, &w->c, &w->e), 0);
	assert_int_equal(mu_conference_join(w->c, HALL, "指挥大厅", MU_ROLE_CHAIR, 1, &w->e), 0);
	assert_int_equal(mu_conference_join(w->c, EAST, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	assert_int_equal(mu_conference_join(w->c, WEST, "West", MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	assert_int_equal(mu_conference_join(w->c, NORTH, "North", MU_ROLE_LISTENER, 5, &w->e), 0);
}

int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	if (mu_directory_new("city", &w->d) < 0)
		return -1;
	w->listener.fn = heard;
	mu_directory_listen(w->d, &w->listener);
	return 0;
}

int teardown(void **state)
{
	struct world *w = *state;

	mu_conferences_free(w->cs);
	mu_directory_unlisten(w->d, &w->listener);
	mu_directory_free(w->d);
	json_decref(w->saved);
	free(w);
	return 0;
}
