/* Who is loud in a conference: whose audio goes to the others, and who counts as speaking.
 *
 * Levels jump about, so both decisions hold on to what they have. Whose audio is forwarded gives way when it
 * was silent for some time, or to somebody clearly louder for some looks in a row. Who speaks gives way at
 * once when it is silent, else to somebody clearly louder who stays so.
 */
#include "webrtc/console.h"

#include <glib.h>

#define LOUD       77      /* a voice, of 127: -50 dBov (RFC 6464) */
#define CLEARLY    6       /* dB louder */
#define STAYS_US   120000  /* for so long */
#define SILENT_US  2000000 /* after so long one no longer counts as loud */
#define CHOSEN_MAX 64

struct voice {
	char endpoint[MU_ID_MAX];
	unsigned loud;    /* now */
	int64_t loud_us,  /* when it was loud last; 0 never */
		since_us, /* it beats whom it wants to replace since; 0: does not */
		leads_us; /* it beats the speaker since; 0: does not */
	bool chosen, here, pinned;
};
struct voices {
	GHashTable *all; /* endpoint -> struct voice */
	const char *chosen[CHOSEN_MAX];
	unsigned n_chosen;
	char speaker[MU_ID_MAX];
};

struct voices *voices_new(void)
{
	struct voices *v = g_new0(struct voices, 1);

	v->all = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	return v;
}

void voices_free(struct voices *v)
{
	g_hash_table_unref(v->all);
	g_free(v);
}

unsigned voices_chosen(const struct voices *v, const char *const **ret)
{
	*ret = v->chosen;
	return v->n_chosen;
}

/* --- the levels --- */

static struct mu_track *audio_of(struct mu_webrtc *w, const char *endpoint)
{
	struct mu_endpoint *ep = mu_directory_find(w->o.directory, endpoint);
	struct mu_endpoint_track *et =
		ep && ep->state == MU_ENDPOINT_LIVE ? mu_endpoint_sent_track(ep, "audio") : NULL;

	return et ? et->track : NULL;
}

static void listen_to(
	struct voices *v, const char *endpoint, const struct mu_track *t, bool pinned, int64_t now_us)
{
	struct voice *one = g_hash_table_lookup(v->all, endpoint);

	if (!one) {
		one = g_new0(struct voice, 1);
		g_strlcpy(one->endpoint, endpoint, sizeof(one->endpoint));
		g_hash_table_insert(v->all, one->endpoint, one);
	}
	one->here = true;
	one->pinned = pinned;
	one->loud = mu_track_loudness(t, now_us);
	if (one->loud >= LOUD)
		one->loud_us = now_us;
}

static gboolean is_gone(gpointer key, gpointer value, gpointer arg)
{
	struct voice *one = value;
	bool gone = !one->here;

	(void)key;
	(void)arg;
	one->here = false;
	return gone;
}

static void listen_to_all(
	struct voices *v, struct mu_webrtc *w, struct mu_conference *conference, int64_t now_us)
{
	for (size_t i = 0; i < mu_conference_members(conference); i++) {
		const struct mu_member *m = mu_conference_member_at(conference, i);
		const struct mu_track *t;

		if (!m->present || m->muted || m->role == MU_ROLE_LISTENER) /* most of a large one */
			continue;
		t = audio_of(w, m->endpoint);
		if (t && mu_conference_heard(conference, m->endpoint))
			listen_to(v, m->endpoint, t, strcmp(mu_floor_holder(conference), m->endpoint) == 0,
				now_us);
	}
	g_hash_table_foreach_remove(v->all, is_gone, NULL);
}

/* --- who is forwarded --- */

/* How much it has a right to its place: whoever has the floor, who spoke lately, how loud it is. */
static unsigned right_of(const struct voice *one, int64_t now_us)
{
	return (one->pinned ? 2000u : 0) + (one->loud_us && now_us - one->loud_us < SILENT_US ? 1000u : 0) +
		one->loud;
}

static void ends_of(const struct voices *v, int64_t now_us, struct voice **ret_least, struct voice **ret_most)
{
	GHashTableIter it;
	gpointer value;

	*ret_least = *ret_most = NULL;
	g_hash_table_iter_init(&it, v->all);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		struct voice *one = value, **place = one->chosen ? ret_least : ret_most;

		if (!*place ||
			(one->chosen ? right_of(one, now_us) < right_of(*place, now_us)
				     : right_of(one, now_us) > right_of(*place, now_us)))
			*place = one;
	}
}

/* Whether the one outside takes the place of the one inside. */
static bool replaces(struct voice *outside, const struct voice *inside, int64_t now_us)
{
	unsigned has = right_of(inside, now_us), wants = right_of(outside, now_us);

	if (wants < has + CLEARLY) {
		outside->since_us = 0;
		return false;
	}
	if (!outside->since_us)
		outside->since_us = now_us;
	return wants >= has + 900 || now_us - outside->since_us >= STAYS_US;
}

static bool choose(struct voices *v, unsigned max, int64_t now_us)
{
	unsigned n = 0;
	bool changed = false;
	struct voice *inside, *outside;
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, v->all);
	while (g_hash_table_iter_next(&it, NULL, &value))
		n += ((struct voice *)value)->chosen;
	for (;;) {
		ends_of(v, now_us, &inside, &outside);
		if (n > max) {
			inside->chosen = false;
			n--;
		} else if (outside && n < max) {
			outside->chosen = true;
			n++;
		} else if (outside && inside && replaces(outside, inside, now_us)) {
			inside->chosen = false;
			outside->chosen = true;
			outside->since_us = inside->since_us = 0;
		} else {
			return changed;
		}
		changed = true;
	}
}

static bool list_chosen(struct voices *v, unsigned n_before)
{
	GHashTableIter it;
	gpointer value;

	v->n_chosen = 0;
	g_hash_table_iter_init(&it, v->all);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		const struct voice *one = value;

		if (one->chosen && v->n_chosen < CHOSEN_MAX)
			v->chosen[v->n_chosen++] = one->endpoint;
	}
	return v->n_chosen != n_before;
}

/* --- who speaks --- */

static struct voice *loudest(const struct voices *v)
{
	struct voice *best = NULL;
	GHashTableIter it;
	gpointer value;

	g_hash_table_iter_init(&it, v->all);
	while (g_hash_table_iter_next(&it, NULL, &value)) {
		struct voice *one = value;

		if (one->loud >= LOUD && (!best || one->loud > best->loud))
			best = one;
	}
	return best;
}

static bool takes_over(struct voice *one, const struct voice *speaker, int64_t now_us)
{
	if (!speaker || speaker->loud < LOUD)
		return true;
	if (one->loud < speaker->loud + CLEARLY) {
		one->leads_us = 0;
		return false;
	}
	if (!one->leads_us)
		one->leads_us = now_us;
	return now_us - one->leads_us >= STAYS_US;
}

static void find_speaker(struct voices *v, struct mu_conference *conference, int64_t now_us)
{
	struct voice *speaker = g_hash_table_lookup(v->all, v->speaker), *one = loudest(v);
	bool silent = !speaker || now_us - speaker->loud_us >= SILENT_US;

	if (one && one != speaker && takes_over(one, speaker, now_us)) {
		one->leads_us = 0;
		g_strlcpy(v->speaker, one->endpoint, sizeof(v->speaker));
	} else if (!one && silent) {
		v->speaker[0] = '\0';
	}
	mu_conference_speaks(conference, v->speaker);
}

bool voices_poll(struct voices *v, struct mu_webrtc *w, struct mu_conference *conference, int64_t now_us)
{
	unsigned max = MU_MIN(mu_conference_loudest(conference), (unsigned)CHOSEN_MAX), before = v->n_chosen;
	bool changed;

	listen_to_all(v, w, conference, now_us);
	changed = choose(v, max, now_us);
	changed |= list_chosen(v, before);
	find_speaker(v, conference, now_us);
	return changed;
}
