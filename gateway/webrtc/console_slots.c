/* Which source is in which m-section of the down connection.
 *
 * What the client is to receive is collected as wishes: audio of its conference by loudness, and what it
 * views as far as it may. A wish keeps the slot that it has, so that nothing flickers; new ones take slots
 * that rest, and where none is left more m-sections are offered, some in advance. So that most changes of
 * what is seen need no offer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "webrtc/console.h"

#define GROW_VIDEO 4 /* slots at once: the next tiles need no offer */

struct settling {
	struct console *c;
	struct wish *wishes;
	unsigned n, n_room; /* n_room: of a conference's audio, which is not asked for */
	struct mu_seen *seen;
	GHashTable *known; /* endpoint that may be wished for -> struct known */
};
/** What the conference says of an endpoint. */
struct known {
	const struct mu_seen *audio, *video, *screen;
};

/* --- what it is to receive --- */

static void may_be_wished(struct settling *s, const char *endpoint)
{
	if (!g_hash_table_contains(s->known, endpoint))
		g_hash_table_insert(s->known, (gpointer)(uintptr_t)endpoint, g_new0(struct known, 1));
}

static const struct mu_seen **place_of(struct known *k, const char *label)
{
	if (strcmp(label, "audio") == 0)
		return &k->audio;
	return strcmp(label, "video") == 0 ? &k->video : strcmp(label, "screen") == 0 ? &k->screen : NULL;
}

/* Of a large conference only what is looked at: this runs for each of its consoles whenever anything happens.
 */
static void see(struct settling *s)
{
	struct mu_conference *conference = s->c->room ? room_conference(s->c->room) : NULL;
	size_t max = conference ? 2 * mu_conference_members(conference) + 2 : 0, n;
	const char *const *chosen;
	unsigned n_chosen = conference ? room_chosen(s->c->room, &chosen) : 0;

	s->known = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	for (unsigned i = 0; i < s->c->down.n_views; i++)
		may_be_wished(s, s->c->down.views[i].endpoint);
	for (unsigned i = 0; i < n_chosen; i++)
		may_be_wished(s, chosen[i]);
	if (!conference || g_hash_table_size(s->known) == 0)
		return;
	s->seen = g_new(struct mu_seen, max);
	n = MU_MIN(mu_conference_seen(conference, s->c->s->ep->id, s->seen, max), max);
	for (size_t i = 0; i < n; i++) {
		struct known *k = g_hash_table_lookup(s->known, s->seen[i].endpoint);
		const struct mu_seen **place = k ? place_of(k, s->seen[i].label) : NULL;

		if (place)
			*place = &s->seen[i];
	}
}

static const struct mu_seen *seen_of(const struct settling *s, const char *endpoint, const char *label)
{
	struct known *k = g_hash_table_lookup(s->known, endpoint);
	const struct mu_seen **place = k ? place_of(k, label) : NULL;

	return place ? *place : NULL;
}

static bool is_member(const struct console *c, const char *endpoint)
{
	const struct mu_member *m = c->room ? mu_conference_member(room_conference(c->room), endpoint) : NULL;

	return m && m->present;
}

static bool may_watch(const struct console *c, const char *endpoint)
{
	return c->s->token.scopes & (MU_SCOPE_WATCH | MU_SCOPE_ADMIN) &&
		mu_token_covers(&c->s->token, endpoint);
}

static void wish_for(struct settling *s, const char *endpoint, const char *label, enum mu_urgency urgency,
	unsigned width, unsigned height, const char *why)
{
	struct wish *w = &s->wishes[s->n++];

	memset(w, 0, sizeof(*w));
	g_strlcpy(w->endpoint, endpoint, sizeof(w->endpoint));
	g_strlcpy(w->label, label, sizeof(w->label));
	w->urgency = urgency;
	w->width = width;
	w->height = height;
	w->why = why;
	w->ep = why ? NULL : mu_directory_find(s->c->s->w->o.directory, endpoint);
	w->et = w->ep && w->ep->state != MU_ENDPOINT_IDLE ? mu_endpoint_sent_track(w->ep, label) : NULL;
	if (w->et)
		w->kind = w->et->kind;
	else if (!why)
		w->why = "idle";
}

/* Of its own conference: as the conference says. Of others: by its token. */
static void wish_for_view(struct settling *s, const struct mu_signal_view *v)
{
	const struct mu_seen *seen = seen_of(s, v->endpoint, v->label);
	const struct console *c = s->c;

	if (strcmp(v->label, "audio") == 0 && is_member(c, v->endpoint))
		return; /* comes by itself, and as the conference says */
	if (seen)
		wish_for(s, v->endpoint, v->label, seen->urgency, v->width, v->height, NULL);
	else if (may_watch(c, v->endpoint))
		wish_for(s, v->endpoint, v->label, MU_URGENT_MONITOR, v->width, v->height, NULL);
	else
		wish_for(s, v->endpoint, v->label, MU_URGENT_MONITOR, 0, 0,
			is_member(c, v->endpoint) ? "idle" : "forbidden");
}

static void wish_for_room(struct settling *s)
{
	const char *const *chosen;
	unsigned n = s->c->room ? room_chosen(s->c->room, &chosen) : 0;

	for (unsigned i = 0; i < n; i++) {
		const struct mu_seen *seen = seen_of(s, chosen[i], "audio");

		if (seen)
			wish_for(s, chosen[i], "audio", seen->urgency, 0, 0, NULL);
	}
	s->n_room = s->n;
}

/* --- slots --- */

static bool is_of(const struct slot *slot, const struct wish *w)
{
	return slot->ep == w->ep && strcmp(slot->label, w->label) == 0;
}

/* Whether the client takes, in this slot, what the source sends. */
static bool slot_takes(const struct slot *slot, const struct mu_endpoint_track *et)
{
	for (unsigned k = 0; k < sdp_offer_formats(slot->kind); k++) {
		struct mu_format f;

		if (!(slot->takes >> k & 1))
			continue;
		sdp_offer_format(slot->kind, k, &f);
		for (unsigned i = 0; i < et->n_formats; i++) {
			if (mu_format_suits(&et->formats[i], &f))
				return true;
		}
	}
	return false;
}

static void keep_slots(struct settling *s)
{
	struct down *d = &s->c->down;

	for (unsigned i = 0; i < s->n; i++) {
		for (unsigned k = 0; k < d->n_slots && s->wishes[i].et && !s->wishes[i].slot; k++) {
			struct slot *slot = d->slots[k];

			if (slot->ep && slot->answered && slot->kind == s->wishes[i].kind &&
				is_of(slot, &s->wishes[i]) && slot_takes(slot, s->wishes[i].et))
				s->wishes[i].slot = slot;
		}
	}
}

static bool is_wished(const struct settling *s, const struct slot *slot)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->wishes[i].slot == slot)
			return true;
	}
	return false;
}

static void set_viewers(struct mu_webrtc *w, struct mu_endpoint *ep, bool more)
{
	if (more || ep->viewers > 0)
		mu_directory_set_viewers(w->o.directory, ep, more ? ep->viewers + 1 : ep->viewers - 1);
}

static void rest(struct console *c, struct slot *slot)
{
	struct mu_webrtc *w = c->s->w;
	struct mu_endpoint *ep = slot->ep;
	static const struct mu_feed none;

	if (!ep)
		return;
	slot->ep = NULL;
	slot->label[0] = '\0';
	if (slot->fed.n_layers > 0 && c->down.pc)
		mu_transport_feed(c->down.pc->t, slot->mid, &none);
	memset(&slot->fed, 0, sizeof(slot->fed));
	if (slot->viewed)
		set_viewers(w, ep, false);
	slot->viewed = false;
	mu_directory_release(w->o.directory, ep);
}

static void free_slots(struct settling *s)
{
	struct down *d = &s->c->down;

	for (unsigned k = 0; k < d->n_slots; k++) {
		if (!is_wished(s, d->slots[k]))
			rest(s->c, d->slots[k]);
	}
}

static void take_slot(struct settling *s, struct wish *w)
{
	struct down *d = &s->c->down;

	w->why = "opening";
	for (unsigned k = 0; k < d->n_slots; k++) {
		struct slot *slot = d->slots[k];

		if (!slot->answered || slot->refused || slot->ep || slot->kind != w->kind)
			continue;
		if (!slot_takes(slot, w->et)) {
			w->why = "codec"; /* all slots of a kind are alike */
			return;
		}
		w->slot = slot;
		w->why = NULL;
		slot->ep = w->ep;
		mu_directory_hold(slot->ep);
		g_strlcpy(slot->label, w->label, sizeof(slot->label));
		slot->viewed = w->kind == MU_VIDEO;
		if (slot->viewed)
			set_viewers(s->c->s->w, slot->ep, true);
		return;
	}
}

static bool same_feed(const struct mu_feed *a, const struct mu_feed *b)
{
	return a->n_layers == b->n_layers && a->urgency == b->urgency && a->width == b->width &&
		a->height == b->height && a->never_paused == b->never_paused &&
		memcmp(a->layers, b->layers, sizeof(a->layers)) == 0;
}

static void feed(struct console *c, const struct wish *w)
{
	struct mu_feed f = { .n_layers = w->et->n_layers,
		.urgency = w->urgency,
		.width = w->width,
		.height = w->height,
		.never_paused = w->kind == MU_AUDIO && w->urgency == MU_URGENT_COMMAND };

	for (unsigned i = 0; i < f.n_layers; i++)
		f.layers[i] = w->et->layers[i];
	w->slot->urgency = w->urgency;
	if (!c->down.pc || same_feed(&f, &w->slot->fed))
		return;
	if (mu_transport_feed(c->down.pc->t, w->slot->mid, &f) == 0)
		w->slot->fed = f;
}

/* --- more slots --- */

static unsigned unanswered(const struct down *d, enum mu_kind kind)
{
	unsigned n = 0;

	for (unsigned k = 0; k < d->n_slots; k++)
		n += d->slots[k]->kind == kind && !d->slots[k]->answered && !d->slots[k]->refused;
	return n;
}

static bool add_slot(struct down *d, enum mu_kind kind)
{
	struct slot *slot = d->n_slots < CONSOLE_SLOTS_MAX ? calloc(1, sizeof(*slot)) : NULL;

	if (!slot)
		return false;
	snprintf(slot->mid, sizeof(slot->mid), "%u", d->n_slots);
	slot->kind = kind;
	do {
		slot->ssrc = mu_random_u32();
		slot->rtx_ssrc = kind == MU_VIDEO ? mu_random_u32() : 0;
	} while (
		slot->ssrc == 0 || slot->ssrc == slot->rtx_ssrc || (kind == MU_VIDEO && slot->rtx_ssrc == 0));
	d->slots[d->n_slots++] = slot;
	d->wants_offer = true;
	return true;
}

static void grow(struct settling *s, enum mu_kind kind, unsigned need, unsigned step)
{
	struct down *d = &s->c->down;
	unsigned have = unanswered(d, kind);

	if (need <= have)
		return;
	for (unsigned n = (need - have + step - 1) / step * step; n > 0; n--) {
		if (!add_slot(d, kind))
			return;
	}
}

/* What finds no slot that is offered waits for none. */
static void mark_full(struct settling *s)
{
	unsigned left[] = {
		[MU_AUDIO] = unanswered(&s->c->down, MU_AUDIO), [MU_VIDEO] = unanswered(&s->c->down, MU_VIDEO)
	};

	for (unsigned i = 0; i < s->n; i++) {
		struct wish *w = &s->wishes[i];

		if (!w->et || w->slot || strcmp(w->why, "opening") != 0)
			continue;
		if (left[w->kind] == 0)
			w->why = "full";
		else
			left[w->kind]--;
	}
}

static void grow_slots(struct settling *s)
{
	unsigned need[] = { [MU_AUDIO] = 0, [MU_VIDEO] = 0 }, audio = 0;

	for (unsigned i = 0; i < s->n; i++)
		need[s->wishes[i].kind] +=
			s->wishes[i].et && !s->wishes[i].slot && strcmp(s->wishes[i].why, "opening") == 0;
	for (unsigned k = 0; k < s->c->down.n_slots; k++)
		audio += s->c->down.slots[k]->kind == MU_AUDIO && !s->c->down.slots[k]->refused;
	if (s->c->room) /* all that a conference may need, before anybody speaks */
		need[MU_AUDIO] =
			MU_MAX(need[MU_AUDIO] + audio, mu_conference_loudest(room_conference(s->c->room))) -
			audio;
	grow(s, MU_AUDIO, need[MU_AUDIO], 1);
	grow(s, MU_VIDEO, need[MU_VIDEO], GROW_VIDEO);
	mark_full(s);
}

/* --- told --- */

static json_t *tracks_json(const struct settling *s)
{
	const struct down *d = &s->c->down;
	json_t *tracks = json_array(), *missing = json_array();

	for (unsigned k = 0; k < d->n_slots; k++) {
		const struct slot *slot = d->slots[k];

		if (slot->answered)
			json_array_append_new(tracks,
				json_pack("{ss ss ss ss}", "mid", slot->mid, "kind",
					slot->kind == MU_AUDIO ? "audio" : "video", "endpoint",
					slot->ep ? slot->ep->id : "", "label", slot->label));
	}
	for (unsigned i = s->n_room; i < s->n; i++) {
		const struct wish *w = &s->wishes[i];

		if (w->why)
			json_array_append_new(missing,
				json_pack("{ss ss ss}", "endpoint", w->endpoint, "label", w->label, "why",
					w->why));
	}
	return json_pack("{ss so so}", "type", "tracks", "tracks", tracks, "missing", missing);
}

static void tell(struct settling *s)
{
	struct down *d = &s->c->down;
	json_t *now = tracks_json(s);

	if (!d->told || !json_equal(now, d->told)) {
		json_decref(d->told);
		d->told = json_incref(now);
		console_send(s->c, json_incref(now));
	}
	json_decref(now);
}

void console_down_settle(struct console *c)
{
	struct settling s = { .c = c };
	const struct down *d = &c->down;

	s.wishes = g_new(struct wish, d->n_views + CONSOLE_SLOTS_MAX);
	see(&s);
	wish_for_room(&s);
	for (unsigned i = 0; i < d->n_views; i++)
		wish_for_view(&s, &d->views[i]);
	keep_slots(&s);
	free_slots(&s);
	for (unsigned i = 0; i < s.n; i++) {
		if (s.wishes[i].et && !s.wishes[i].slot)
			take_slot(&s, &s.wishes[i]);
		if (s.wishes[i].slot)
			feed(c, &s.wishes[i]);
	}
	grow_slots(&s);
	tell(&s);
	console_down_offer(c);
	g_free(s.wishes);
	g_free(s.seen);
	g_hash_table_unref(s.known);
}

void console_slots_reset(struct console *c)
{
	for (unsigned k = 0; k < c->down.n_slots; k++) {
		struct slot *slot = c->down.slots[k];

		memset(&slot->fed, 0, sizeof(slot->fed)); /* its transport is gone: nothing to be told */
		rest(c, slot);
		free(slot);
	}
	c->down.n_slots = 0;
	json_decref(c->down.told);
	c->down.told = NULL;
}

/* --- asked for --- */

static bool is_known(const struct mu_signal_view *views, unsigned n, const struct mu_signal_view *v)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(views[i].endpoint, v->endpoint) == 0 && strcmp(views[i].label, v->label) == 0)
			return true;
	}
	return false;
}

void console_view(struct console *c, const struct mu_signal *m)
{
	struct down *d = &c->down;

	d->n_views = 0;
	for (unsigned i = 0; i < m->n_views; i++) {
		if (!is_known(d->views, d->n_views, &m->views[i]))
			d->views[d->n_views++] = m->views[i];
	}
	console_ok(c, m->id);
	json_decref(d->told); /* it is answered by the tracks, changed or not */
	d->told = NULL;
	console_down_settle(c);
}
