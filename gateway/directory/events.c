/* Events: told to listeners at once, kept in a ring for readers that come back. */
#include <stdio.h>

#include "directory/directory_internal.h"

void events_init(struct events *ev)
{
	mu_list_init(&ev->listeners);
}

void events_done(struct events *ev)
{
	for (unsigned i = 0; i < EVENTS_KEPT; i++)
		json_decref(ev->kept[i].data);
}

void mu_directory_listen(struct mu_directory *d, struct mu_event_listener *l)
{
	mu_list_append(&d->events.listeners, &l->link);
}

void mu_directory_unlisten(struct mu_directory *d, struct mu_event_listener *l)
{
	(void)d;
	mu_list_remove(&l->link);
}

void mu_directory_tell(struct mu_directory *d, const char *kind, json_t *data)
{
	struct events *ev = &d->events;
	struct mu_event *slot = &ev->kept[ev->last % EVENTS_KEPT];
	struct mu_event told;

	json_decref(slot->data);
	slot->number = ++ev->last;
	slot->wall_us = mu_clock_wall_us();
	snprintf(slot->kind, sizeof(slot->kind), "%s", kind);
	slot->data = data;
	/* A listener may tell an event itself, so the slot may be another's before the last listener has
	 * heard. */
	told = *slot;
	json_incref(told.data);
	mu_list_for_each_safe (it, next, &ev->listeners) {
		struct mu_event_listener *l = MU_CONTAINER_OF(it, struct mu_event_listener, link);

		l->fn(l, &told);
	}
	json_decref(told.data);
}

uint64_t mu_directory_last_event(const struct mu_directory *d)
{
	return d->events.last;
}

bool mu_directory_replay(
	struct mu_directory *d, uint64_t number, bool (*fn)(void *arg, const struct mu_event *ev), void *arg)
{
	const struct events *ev = &d->events;
	uint64_t oldest = ev->last >= EVENTS_KEPT ? ev->last - EVENTS_KEPT + 1 : 1, last = ev->last;

	if (number > last || number + 1 < oldest)
		return false;
	for (uint64_t n = number + 1; n <= last; n++) {
		if (!fn(arg, &ev->kept[(n - 1) % EVENTS_KEPT]))
			return false;
	}
	return true;
}
