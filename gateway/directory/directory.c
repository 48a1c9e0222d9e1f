/* The endpoints of this site. Who keeps a pointer to one holds it; those that nobody holds and that are idle
 * stand in a list, the longest idle first, and are forgotten from there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "directory/directory_internal.h"

#define TOPIC "directory"

const char *mu_endpoint_state_name(enum mu_endpoint_state s)
{
	static const char *const names[] = {
		[MU_ENDPOINT_IDLE] = "idle",
		[MU_ENDPOINT_LIVE] = "live",
		[MU_ENDPOINT_LOST] = "lost",
	};

	return (size_t)s < MU_ARRAY_LEN(names) ? names[s] : "unknown";
}

/* --- tracks --- */

static void drop_layers(struct mu_endpoint_track *et)
{
	for (unsigned i = 0; i < et->n_layers; i++)
		et->layers[i] = mu_track_unref(et->layers[i]);
	et->n_layers = 0;
	et->track = NULL;
}

static void drop_tracks(struct mu_endpoint *ep)
{
	for (unsigned i = 0; i < ep->n_tracks; i++) {
		drop_layers(&ep->tracks[i]);
		free(ep->tracks[i].formats);
	}
	memset(ep->tracks, 0, sizeof(ep->tracks));
	ep->n_tracks = 0;
}

struct mu_endpoint_track *mu_endpoint_find_track(struct mu_endpoint *ep, const char *label)
{
	for (unsigned i = 0; i < ep->n_tracks; i++) {
		if (strcmp(ep->tracks[i].label, label) == 0)
			return &ep->tracks[i];
	}
	return NULL;
}

struct mu_endpoint_track *mu_endpoint_sent_track(struct mu_endpoint *ep, const char *label)
{
	struct mu_endpoint_track *et = mu_endpoint_find_track(ep, label);

	return et && !et->off ? et : NULL;
}

void mu_endpoint_only(struct mu_endpoint *ep, const char *const labels[], unsigned n)
{
	for (unsigned i = 0; i < ep->n_tracks; i++) {
		bool sent = false;

		for (unsigned k = 0; k < n; k++)
			sent |= strcmp(ep->tracks[i].label, labels[k]) == 0;
		ep->tracks[i].off = !sent;
	}
}

static void put_layers(struct mu_endpoint_track *et, const struct mu_endpoint_layer *layers, unsigned n)
{
	struct mu_endpoint_track old = *et;

	for (unsigned i = 0; i < n; i++) {
		et->layers[i] = mu_track_ref(layers[i].track);
		memcpy(et->rids[i], layers[i].rid, sizeof(et->rids[i]));
	}
	et->n_layers = n;
	et->track = et->layers[0];
	et->kind = mu_track_kind(et->track);
	drop_layers(&old);
}

int mu_endpoint_set_layers(struct mu_endpoint *ep, const char *label, const struct mu_endpoint_layer *layers, unsigned n_layers,
	const struct mu_format *formats, unsigned n)
{
	struct mu_endpoint_track *et = mu_endpoint_find_track(ep, label);
	struct mu_format *copy;

	if (!et && ep->n_tracks == MU_TRACKS_MAX)
		return -ENOSPC;
	copy = calloc(MU_MAX(n, 1u), sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		copy[i] = formats[i];
	if (!et) {
		et = &ep->tracks[ep->n_tracks++];
		snprintf(et->label, sizeof(et->label), "%s", label);
	}
	put_layers(et, layers, n_layers);
	free(et->formats);
	et->formats = copy;
	et->n_formats = n;
	et->off = false;
	return 0;
}

int mu_endpoint_set_track(struct mu_endpoint *ep, const char *label, struct mu_track *t, const struct mu_format *formats, unsigned n)
{
	const struct mu_endpoint_layer one = { .track = t };

	return mu_endpoint_set_layers(ep, label, &one, 1, formats, n);
}

/* --- the directory --- */

static int by_id(const void *a, const void *b, void *arg)
{
	(void)arg;
	return strcmp(a, b);
}

static void endpoint_free(void *arg)
{
	struct mu_endpoint *ep = arg;

	drop_tracks(ep);
	free(ep);
}

int mu_directory_new(const char *site, struct mu_directory **ret)
{
	struct mu_directory *d;

	if (!mu_site_valid(site))
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	snprintf(d->site, sizeof(d->site), "%s", site);
	d->endpoints = g_tree_new_full(by_id, NULL, NULL, endpoint_free);
	mu_list_init(&d->idle);
	events_init(&d->events);
	*ret = d;
	return 0;
}

void mu_directory_free(struct mu_directory *d)
{
	if (!d)
		return;
	g_tree_unref(d->endpoints);
	events_done(&d->events);
	free(d);
}

const char *mu_directory_site(const struct mu_directory *d)
{
	return d->site;
}

struct mu_endpoint *mu_directory_find(struct mu_directory *d, const char *id)
{
	return g_tree_lookup(d->endpoints, id);
}

/* --- who stays --- */

static void forget(struct mu_directory *d, struct mu_endpoint *ep, const char *why)
{
	/* One that never was live was never told of either. */
	json_t *data = ep->was_live ? mu_endpoint_json(ep) : NULL;

	mu_list_remove(&ep->idle);
	if (data) {
		mu_info(TOPIC, ep->id, "removed: %s", why);
		json_object_set_new(data, "why", json_string(why));
	}
	g_tree_remove(d->endpoints, ep->id);
	if (data)
		mu_directory_tell(d, "endpoint.removed", data);
}

static struct mu_endpoint *longest_idle(struct mu_directory *d)
{
	return mu_list_empty(&d->idle) ? NULL : MU_CONTAINER_OF(d->idle.next, struct mu_endpoint, idle);
}

static void may_be_forgotten(struct mu_directory *d, struct mu_endpoint *ep)
{
	if (ep->users > 0 || ep->state != MU_ENDPOINT_IDLE)
		return;
	if (!ep->was_live) {
		forget(d, ep, "it never published");
		return;
	}
	mu_list_remove(&ep->idle);
	ep->idle_us = mu_clock_us();
	mu_list_append(&d->idle, &ep->idle);
}

void mu_directory_hold(struct mu_endpoint *ep)
{
	ep->users++;
	mu_list_remove(&ep->idle);
}

void mu_directory_release(struct mu_directory *d, struct mu_endpoint *ep)
{
	ep->users--;
	may_be_forgotten(d, ep);
}

void mu_directory_expire(struct mu_directory *d, int64_t now_us)
{
	struct mu_endpoint *ep;

	while ((ep = longest_idle(d)) && now_us - ep->idle_us >= MU_ENDPOINT_KEPT_US)
		forget(d, ep, "it did not publish for a day");
}

/* --- found and added --- */

static int may_add(struct mu_directory *d, const char *id, struct mu_error *e)
{
	size_t site = strlen(d->site);

	if (!mu_endpoint_id_valid(id))
		return mu_error_set(e, -EINVAL, "endpoint id \"%.140s\" is not " MU_ENDPOINT_ID_IS, id);
	if (strncmp(id, d->site, site) != 0 || id[site] != '/')
		return mu_error_set(e, -EINVAL, "endpoint %s is not of this site, which is %s", id, d->site);
	if (g_tree_nnodes(d->endpoints) >= MU_ENDPOINTS_MAX && longest_idle(d))
		forget(d, longest_idle(d), "there are too many, and it was idle for longest");
	if (g_tree_nnodes(d->endpoints) >= MU_ENDPOINTS_MAX)
		return mu_error_set(e, -ENOSPC,
			"endpoint %s is new, and the limit of %d endpoints is reached: all are in use", id,
			MU_ENDPOINTS_MAX);
	return 0;
}

static struct mu_endpoint *add(struct mu_directory *d, const char *id, struct mu_error *e)
{
	struct mu_endpoint *ep = calloc(1, sizeof(*ep));

	if (!ep) {
		mu_error_set(e, -ENOMEM, "out of memory for endpoint %s", id);
		return NULL;
	}
	snprintf(ep->id, sizeof(ep->id), "%s", id);
	ep->since_wall_us = mu_clock_wall_us();
	mu_list_init(&ep->idle);
	g_tree_insert(d->endpoints, ep->id, ep);
	return ep;
}

struct mu_endpoint *mu_directory_take(struct mu_directory *d, const char *id, struct mu_error *e)
{
	struct mu_endpoint *ep = mu_directory_find(d, id);

	if (!ep && may_add(d, id, e) == 0)
		ep = add(d, id, e);
	if (ep)
		mu_directory_hold(ep);
	return ep;
}

void mu_directory_set_state(
	struct mu_directory *d, struct mu_endpoint *ep, enum mu_endpoint_state s, const char *why)
{
	char kind[48];
	json_t *data;

	if (s == MU_ENDPOINT_IDLE)
		drop_tracks(ep); /* also those of a publisher that never got as far as being live */
	if (ep->state == s)
		return;
	ep->state = s;
	ep->since_wall_us = mu_clock_wall_us();
	ep->was_live |= s == MU_ENDPOINT_LIVE;
	mu_info(TOPIC, ep->id, "%s: %s", mu_endpoint_state_name(s), why);
	snprintf(kind, sizeof(kind), "endpoint.%s", mu_endpoint_state_name(s));
	data = mu_endpoint_json(ep);
	json_object_set_new(data, "why", json_string(why));
	mu_directory_tell(d, kind, data);
	may_be_forgotten(d, ep);
}

void mu_directory_set_viewers(struct mu_directory *d, struct mu_endpoint *ep, unsigned viewers)
{
	(void)d; /* not an event: the sessions' own say it, and a crowd must not push others out of the ring
		  */
	ep->viewers = viewers;
}

struct visit {
	bool (*fn)(void *arg, struct mu_endpoint *ep);
	void *arg;
};

static gboolean visit_one(void *key, void *value, void *arg)
{
	const struct visit *v = arg;

	(void)key;
	return !v->fn(v->arg, value);
}

void mu_directory_each(struct mu_directory *d, bool (*fn)(void *arg, struct mu_endpoint *ep), void *arg)
{
	struct visit v = { fn, arg };

	g_tree_foreach(d->endpoints, visit_one, &v);
}
