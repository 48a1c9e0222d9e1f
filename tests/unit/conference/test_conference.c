#include "world.h"

/* --- making
 * ----------------------------------------------------------------------------------------------------------
 */

static void test_ids(void **state)
{
	static const char *const bad[] = { "", ".x", "a/b", "a b", "会", "../x" };
	struct world *w = *state;
	struct mu_conference *c;

	assert_int_equal(mu_conferences_new(w->d, NULL, &w->cs), 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		struct mu_conference_spec spec = { .id = bad[i] };

		assert_int_equal(mu_conference_create(w->cs, &spec, &c, &w->e), -EINVAL);
	}
	for (unsigned i = 0; i < MU_CONFERENCES_MAX; i++) {
		char id[16];
		struct mu_conference_spec spec = { .id = id };

		snprintf(id, sizeof(id), "c%u", i * 7 % MU_CONFERENCES_MAX);
		assert_int_equal(mu_conference_create(w->cs, &spec, &c, &w->e), 0);
		assert_int_equal(mu_conference_create(w->cs, &spec, &c, &w->e), -EEXIST);
		assert_ptr_equal(mu_conferences_find(w->cs, id), c);
	}
	assert_int_equal(mu_conference_create(w->cs, &(struct mu_conference_spec){ .id = "more" }, &c, &w->e),
		-ENOSPC);
	assert_null(mu_conferences_find(w->cs, "more"));
}

/* Titles are shown among other texts: what steers those is refused, with a reason; any script passes. */
static void test_titles(void **state)
{
	static const char *const bad[] = { "", " ", "\xc2\xa0 ", "a\nb", "\x1b[2J", "\x7f", "\xc2\x9b", "\xe2\x80\xaegpj", "\xe2\x81\xa6",
		"\xe2\x80\xa8", "\xe2\x80\x8b", "\xef\xbb\xbf", "\xef\xbf\xbe", "\xf3\xa0\x81\x81", "\xff", "\xc0\xae", "\xe0\x80\xae",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xbc" };
	static const char *const good[] = { "晨会", "Réunion", "🚒👩‍🚒", "می‌خواهم", "صباح", "a b" };
	struct world *w = *state;
	struct mu_conference_spec spec = { .id = "morning" };
	char text[MU_TITLE_MAX + 1];

	assert_int_equal(mu_conferences_new(w->d, NULL, &w->cs), 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		spec.title = bad[i];
		w->e.text[0] = '\0';
		assert_int_equal(mu_conference_create(w->cs, &spec, &w->c, &w->e), -EINVAL);
		assert_non_null(strstr(w->e.text, "the title"));
	}
	for (size_t len = MU_TITLE_MAX - 1; len <= MU_TITLE_MAX; len++) {
		memset(text, 'x', len);
		text[len] = '\0';
		spec.title = text;
		assert_int_equal(mu_conference_create(w->cs, &spec, &w->c, &w->e), len < MU_TITLE_MAX ? 0 : -EINVAL);
		if (len < MU_TITLE_MAX)
			assert_int_equal(mu_conference_end(w->c, NULL, &w->e), 0);
	}
	for (size_t i = 0; i < MU_ARRAY_LEN(good); i++) {
		json_t *o;

		spec.title = good[i];
		assert_int_equal(mu_conference_create(w->cs, &spec, &w->c, &w->e), 0);
		o = mu_conference_json(w->c);
		assert_string_equal(json_string_value(json_object_get(o, "title")), good[i]);
		json_decref(o);
		assert_int_equal(mu_conference_end(w->c, NULL, &w->e), 0);
	}
	spec = (struct mu_conference_spec){ .id = "morning", .loudest = MU_LOUDEST_MAX + 1 };
	assert_int_equal(mu_conference_create(w->cs, &spec, &w->c, &w->e), -EINVAL);
}

/* A member's name loses what steers; one of nothing else is its id. */
static void test_names(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = { { "大厅", "大厅" }, { "a\x1b[2J\nb", "a[2Jb" }, { "\xe2\x80\xaegpj", "gpj" }, { "\xed\xa0\x80x\xff", "x" },
		{ "\xe2\x80\x8b", EAST }, { "", EAST } };
	struct world *w = *state;

	make(w, false);
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		json_t *o;

		mu_conference_leave(w->c, EAST);
		assert_int_equal(mu_conference_join(w->c, EAST, cases[i].name, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
		assert_string_equal(mu_conference_member(w->c, EAST)->name, cases[i].want);
		o = mu_conference_json(w->c);
		assert_non_null(o);
		json_decref(o);
	}
}

static void test_limits(void **state)
{
	struct world *w = *state;
	struct mu_conference_spec spec = { .id = "morning" };

	assert_int_equal(mu_conferences_new(w->d, NULL, &w->cs), 0);
	mu_conferences_limit(w->cs, &(struct mu_conference_limits){ .loudest = 3, .members = 1 });
	assert_int_equal(mu_conference_create(w->cs, &spec, &w->c, &w->e), 0);
	assert_int_equal(mu_conference_loudest(w->c), 3);
	assert_int_equal(mu_conference_join(w->c, HALL, NULL, MU_ROLE_CHAIR, 1, &w->e), 0);
	assert_int_equal(mu_conference_join(w->c, EAST, NULL, MU_ROLE_CHAIR, 1, &w->e), -ENOSPC);
	assert_non_null(strstr(w->e.text, "1 members"));
	assert_int_equal(mu_conference_join(w->c, HALL, NULL, MU_ROLE_CHAIR, 1, &w->e), 0);
}

static void test_only_chairs_and_operators_lead(void **state)
{
	struct world *w = *state;

	make(w, false);
	assert_int_equal(mu_conference_lock(w->c, EAST, true, &w->e), -EPERM);
	assert_string_equal(w->e.text, "only a chair of conference morning may lock it");
	assert_int_equal(mu_conference_mute_all(w->c, EAST, true, &w->e), -EPERM);
	assert_int_equal(mu_conference_remove(w->c, EAST, WEST, &w->e), -EPERM);
	assert_int_equal(mu_conference_set_role(w->c, EAST, EAST, MU_ROLE_CHAIR, &w->e), -EPERM);
	assert_int_equal(mu_floor_grant(w->c, "city/nobody", EAST, &w->e), -EPERM);
	assert_int_equal(mu_floor_revoke(w->c, EAST, &w->e), -EPERM);
	assert_int_equal(mu_conference_broadcast(w->c, EAST, EAST, &w->e), -EPERM);
	assert_int_equal(mu_conference_set_layout(w->c, EAST, MU_LAYOUT_SPEAKER, &w->e), -EPERM);
	assert_int_equal(mu_conference_end(w->c, EAST, &w->e), -EPERM);
	assert_int_equal(mu_conference_lock(w->c, HALL, true, &w->e), 0);
	assert_int_equal(mu_conference_end(w->c, NULL, &w->e), 0);
	assert_string_equal(w->last, "conference.ended");
	assert_null(w->saved);
	assert_null(mu_conferences_find(w->cs, "morning"));
}

/* --- stage
 * ------------------------------------------------------------------------------------------------------------
 */

static const struct mu_seen *seen(const struct mu_seen *s, size_t n, const char *endpoint, const char *label)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s[i].endpoint, endpoint) == 0 && strcmp(s[i].label, label) == 0)
			return &s[i];
	}
	return NULL;
}

static void test_who_sees_what(void **state)
{
	struct world *w = *state;
	struct mu_seen s[32];
	size_t n;

	make(w, false);
	n = mu_conference_seen(w->c, EAST, s, 32);
	assert_int_equal(n, 4); /* voice and picture of the hall and the west; not itself, no listener */
	assert_int_equal(seen(s, n, HALL, "audio")->urgency, MU_URGENT_COMMAND);
	assert_int_equal(seen(s, n, WEST, "audio")->urgency, MU_URGENT_CONFERENCE);
	assert_null(seen(s, n, EAST, "video"));
	assert_null(seen(s, n, NORTH, "video"));
	assert_int_equal(mu_conference_seen(w->c, NORTH, s, 32), 6); /* who listens sees all */
	assert_int_equal(mu_conference_seen(w->c, "city/nobody", s, 32), 0);
	assert_int_equal(mu_conference_seen(w->c, EAST, s, 1), 4);
	mu_conference_mute(w->c, HALL, WEST, true, &w->e);
	mu_conference_absent(w->c, HALL);
	n = mu_conference_seen(w->c, EAST, s, 32);
	assert_int_equal(n, 1);
	assert_non_null(seen(s, n, WEST, "video"));
}

static void test_large_ones(void **state)
{
	struct world *w = *state;
	struct mu_seen s[32];
	size_t n;

	make(w, false);
	mu_conference_set_layout(w->c, HALL, MU_LAYOUT_SPEAKER, &w->e);
	mu_conference_speaks(w->c, WEST);
	assert_string_equal(w->last, "conference.speaker");
	n = mu_conference_seen(w->c, EAST, s, 32);
	assert_string_equal(s[0].endpoint, WEST);
	assert_true(s[0].large);
	assert_int_equal(s[0].urgency, MU_URGENT_SPEAKER);
	assert_int_equal(mu_conference_broadcast(w->c, HALL, HALL, &w->e), 0);
	mu_conference_seen(w->c, EAST, s, 32);
	assert_string_equal(s[0].endpoint, HALL);
	assert_int_equal(mu_conference_view(w->c, EAST, WEST, &w->e), 0);
	mu_conference_seen(w->c, EAST, s, 32);
	assert_string_equal(s[0].endpoint, WEST);
	assert_int_equal(mu_conference_view(w->c, EAST, "city/nobody", &w->e), -ENOENT);
	mu_conference_leave(w->c, WEST);
	n = mu_conference_seen(w->c, EAST, s, 32);
	assert_string_equal(s[0].endpoint, HALL);
	assert_int_equal(n, 2);
	assert_int_equal(mu_conference_broadcast(w->c, HALL, NULL, &w->e), 0);
}

static void test_one_screen(void **state)
{
	struct world *w = *state;
	struct mu_seen s[32];
	size_t n;

	make(w, false);
	assert_int_equal(mu_screen_start(w->c, EAST, &w->e), 0);
	assert_int_equal(mu_screen_start(w->c, EAST, &w->e), 0);
	assert_int_equal(mu_screen_start(w->c, WEST, &w->e), -EBUSY);
	assert_int_equal(mu_screen_start(w->c, NORTH, &w->e), -EPERM);
	n = mu_conference_seen(w->c, WEST, s, 32);
	assert_string_equal(s[0].label, "screen");
	assert_true(s[0].large);
	assert_null(seen(s, mu_conference_seen(w->c, EAST, s, 32), EAST, "screen"));
	assert_int_equal(mu_screen_start(w->c, HALL, &w->e), 0);
	assert_int_equal(mu_screen_stop(w->c, EAST, &w->e), -EPERM);
	assert_int_equal(mu_screen_stop(w->c, HALL, &w->e), 0);
	assert_int_equal(mu_screen_start(w->c, WEST, &w->e), 0);
	mu_conference_absent(w->c, WEST);
	n = mu_conference_seen(w->c, EAST, s, 32);
	assert_null(seen(s, n, WEST, "screen"));
}

/* --- restart
 * ------------------------------------------------------------------------------------------------------------
 */

static void test_state_survives(void **state)
{
	struct world *w = *state;
	struct mu_conferences *again;
	struct mu_conference *c;
	const struct mu_member *m;

	make(w, true);
	mu_conference_mute(w->c, HALL, EAST, true, &w->e);
	mu_conference_broadcast(w->c, HALL, WEST, &w->e);
	mu_conference_lock(w->c, HALL, true, &w->e);
	mu_floor_grant(w->c, HALL, WEST, &w->e);
	mu_floor_request(w->c, EAST, &w->e);
	mu_screen_start(w->c, WEST, &w->e);
	assert_int_equal(mu_conferences_new(w->d, NULL, &again), 0);
	assert_int_equal(mu_conferences_restore(again, w->saved, &w->e), 0);
	assert_int_equal(mu_conferences_restore(again, w->saved, &w->e), -EEXIST);
	c = mu_conferences_find(again, "morning");
	assert_int_equal(mu_conference_members(c), 4);
	m = mu_conference_member(c, EAST);
	assert_true(m->muted_by_chair);
	assert_false(m->present);
	m = mu_conference_member(c, HALL);
	assert_int_equal(m->role, MU_ROLE_CHAIR);
	assert_string_equal(m->name, "指挥大厅");
	assert_int_equal(
		mu_conference_join(c, EAST, NULL, MU_ROLE_LISTENER, 9, &w->e), 0); /* locked, but it was in */
	assert_int_equal(mu_conference_join(c, "city/new", NULL, MU_ROLE_LISTENER, 9, &w->e), -EACCES);
	assert_string_equal(mu_floor_holder(c), WEST);
	assert_int_equal(mu_conference_member(c, EAST)->hand_us / 1000, mu_conference_member(w->c, EAST)->hand_us / 1000);
	assert_int_equal(mu_conference_join(c, WEST, NULL, MU_ROLE_LISTENER, 9, &w->e), 0);
	mu_conferences_release_absent(again, INT64_MAX);
	assert_string_equal(mu_floor_holder(c), WEST); /* it came back in time */
	mu_conference_absent(c, WEST);
	assert_string_equal(mu_floor_holder(c), "");
	mu_conferences_free(again);
	assert_int_equal(mu_conferences_new(w->d, NULL, &again), 0);
	assert_int_equal(mu_conferences_restore(again, w->saved, &w->e), 0);
	c = mu_conferences_find(again, "morning");
	mu_conferences_release_absent(again, INT64_MAX); /* nobody did */
	assert_string_equal(mu_floor_holder(c), "");
	assert_int_equal(mu_conference_member(c, EAST)->hand_us, 0);
	mu_conferences_free(again);
}

/* Absent since then, and not since the restart. */
static void test_absent_before_the_restart(void **state)
{
	struct world *w = *state;
	struct mu_conferences *again;
	int64_t since_us;

	make(w, false);
	mu_conference_absent(w->c, WEST);
	since_us = mu_conference_member(w->c, WEST)->since_us;
	while (mu_clock_wall_us() / 1000 == since_us / 1000)
		;
	assert_int_equal(mu_conferences_new(w->d, NULL, &again), 0);
	assert_int_equal(mu_conferences_restore(again, w->saved, &w->e), 0);
	assert_int_equal(mu_conference_member(mu_conferences_find(again, "morning"), WEST)->since_us / 1000, since_us / 1000);
	mu_conferences_free(again);
}

static json_t *member_of(json_t *state, const char *endpoint)
{
	json_t *m;
	size_t i;

	json_array_foreach (json_object_get(state, "members"), i, m) {
		if (strcmp(json_string_value(json_object_get(m, "endpoint")), endpoint) == 0)
			return m;
	}
	return NULL;
}

/* Since when it is, is part of what it is; and each member's own state is told with it. */
static void test_what_is_shown_and_kept(void **state)
{
	struct world *w = *state;
	struct mu_conferences *again;
	json_t *o, *back;

	make(w, false);
	assert_int_equal(mu_screen_start(w->c, EAST, &w->e), 0);
	mu_conference_speaks(w->c, WEST);
	o = mu_conference_json(w->c);
	assert_true(json_is_true(json_object_get(member_of(o, EAST), "screen")));
	assert_true(json_is_false(json_object_get(member_of(o, WEST), "screen")));
	assert_true(json_is_true(json_object_get(member_of(o, WEST), "speaks")));
	assert_true(json_is_false(json_object_get(member_of(o, EAST), "speaks")));
	json_object_set_new(o, "since", json_string("2026-11-24T22:04:40.123Z"));
	json_object_set_new(o, "title", json_string("\x1b[1mold"));
	json_object_set_new(o, "loudest", json_integer(-1));
	assert_int_equal(mu_conferences_new(w->d, NULL, &again), 0);
	assert_int_equal(mu_conferences_restore(again, o, &w->e), 0);
	back = mu_conference_json(mu_conferences_find(again, "morning"));
	assert_string_equal(json_string_value(json_object_get(back, "since")), "2026-11-24T22:04:40.123Z");
	assert_string_equal(json_string_value(json_object_get(back, "title")), "[1mold");
	assert_int_equal(json_integer_value(json_object_get(back, "loudest")), MU_LOUDEST_DEFAULT);
	json_decref(back);
	json_decref(o);
	mu_conferences_free(again);
}

static void test_broken_state_is_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"7",
		"{\"id\": \"a/b\", \"layout\": \"equal\"}",
		"{\"id\": \"a\", \"layout\": \"round\"}",
		"{\"id\": \"a\", \"layout\": \"equal\", \"members\": [{}]}",
		"{\"id\": \"a\", \"layout\": \"equal\", \"members\": [{\"endpoint\": \"city/x\", \"role\": \"king\"}]}",
		"{\"id\": \"a\", \"layout\": \"equal\", \"members\": [{\"endpoint\": \"city/x\", \"role\": \"chair\", \"rank\": -1}]}",
	};
	struct world *w = *state;

	assert_int_equal(mu_conferences_new(w->d, NULL, &w->cs), 0);
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		json_t *o = json_loads(bad[i], JSON_DECODE_ANY, NULL);

		assert_true(mu_conferences_restore(w->cs, o, &w->e) < 0);
		assert_null(mu_conferences_find(w->cs, "a"));
		json_decref(o);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_titles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_shown_and_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_chairs_and_operators_lead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_sees_what, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_screen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent_before_the_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_state_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
