/* Who is in a conference, who speaks: members, roles, mutes and the floor. */
#include "world.h"

/* --- members
 * ---------------------------------------------------------------------------------------------------------
 */

static void test_join_leave_and_come_back(void **state)
{
	struct world *w = *state;
	const struct mu_member *m;

	make(w, false);
	assert_int_equal(mu_conference_members(w->c), 4);
	m = mu_conference_member(w->c, EAST);
	assert_string_equal(m->name, EAST); /* none was given */
	mu_conference_mute(w->c, HALL, EAST, true, &w->e);
	mu_conference_absent(w->c, EAST);
	assert_string_equal(w->last, "conference.absent");
	assert_false(m->present);
	assert_int_equal(mu_conference_join(w->c, EAST, "East", MU_ROLE_CHAIR, 0, &w->e), 0);
	assert_true(m->present);
	assert_true(m->muted_by_chair);
	assert_int_equal(m->role, MU_ROLE_PARTICIPANT); /* coming back promotes nobody */
	assert_int_equal(m->rank, 5);
	assert_string_equal(m->name, "East");
	assert_int_equal(mu_conference_leave(w->c, EAST), 0);
	assert_int_equal(mu_conference_leave(w->c, EAST), -ENOENT);
	assert_int_equal(mu_conference_join(w->c, "no site", NULL, MU_ROLE_CHAIR, 0, &w->e), -EINVAL);
	assert_int_equal(mu_conference_join(w->c, "city/x", NULL, MU_ROLE_CHAIR, 16, &w->e), -EINVAL);
}

static void test_locked(void **state)
{
	struct world *w = *state;

	make(w, false);
	mu_conference_absent(w->c, WEST);
	mu_conference_lock(w->c, HALL, true, &w->e);
	assert_int_equal(mu_conference_join(w->c, "city/late", NULL, MU_ROLE_LISTENER, 9, &w->e), -EACCES);
	assert_int_equal(
		mu_conference_join(w->c, WEST, NULL, MU_ROLE_LISTENER, 9, &w->e), 0); /* it was in before */
	mu_conference_lock(w->c, HALL, false, &w->e);
	assert_int_equal(mu_conference_join(w->c, "city/late", NULL, MU_ROLE_LISTENER, 9, &w->e), 0);
}

static void test_names_are_whole_characters(void **state)
{
	struct world *w = *state;
	char name[200] = "";

	make(w, false);
	for (int i = 0; i < 60; i++)
		strcat(name, "县");
	mu_conference_join(w->c, EAST, name, MU_ROLE_LISTENER, 0, &w->e);
	assert_int_equal(strlen(mu_conference_member(w->c, EAST)->name), 126);
	mu_conference_join(w->c, EAST, "a\x1b[2J\nb\xff\xc3", MU_ROLE_LISTENER, 0, &w->e);
	assert_string_equal(mu_conference_member(w->c, EAST)->name, "a[2Jb");
	/* C1, and what turns a line around */
	mu_conference_join(w->c, EAST, "a\xc2\x9b" "31m\xe2\x80\xaetsae\xe2\x81\xa6\xe2\x80\xa8\xd8\x9c\xc2\xa0\xe2\x82\xac", MU_ROLE_LISTENER, 0, &w->e);
	assert_string_equal(mu_conference_member(w->c, EAST)->name, "a31mtsae\xc2\xa0\xe2\x82\xac");
	mu_conference_join(w->c, EAST, "\x1b\xe2\x80\xae", MU_ROLE_LISTENER, 0, &w->e);
	assert_string_equal(mu_conference_member(w->c, EAST)->name, EAST);
}

static void test_mutes(void **state)
{
	struct world *w = *state;

	make(w, false);
	assert_true(mu_conference_heard(w->c, EAST));
	assert_false(mu_conference_heard(w->c, NORTH)); /* a listener */
	assert_int_equal(mu_conference_mute(w->c, EAST, EAST, true, &w->e), 0);
	assert_false(mu_conference_heard(w->c, EAST));
	assert_int_equal(mu_conference_mute(w->c, EAST, EAST, false, &w->e), 0);
	assert_int_equal(mu_conference_mute(w->c, EAST, WEST, true, &w->e), -EPERM);
	assert_int_equal(mu_conference_mute_all(w->c, HALL, true, &w->e), 0);
	assert_false(mu_conference_heard(w->c, WEST));
	assert_true(mu_conference_heard(w->c, HALL));
	assert_int_equal(mu_conference_mute(w->c, EAST, EAST, false, &w->e), -EPERM);
	assert_int_equal(mu_conference_mute(w->c, HALL, EAST, false, &w->e), 0);
	assert_true(mu_conference_heard(w->c, EAST));
	assert_int_equal(mu_conference_mute(w->c, HALL, "city/nobody", false, &w->e), -ENOENT);
}

static struct mu_conferences *taken_back(struct world *w)
{
	struct mu_conferences *again;

	assert_int_equal(mu_conferences_new(w->d, NULL, &again), 0);
	assert_int_equal(mu_conferences_restore(again, w->saved, &w->e), 0);
	return again;
}

/* Who left is, when it comes back, what a chair made of it; over a restart too. */
static void test_leaving_undoes_nothing(void **state)
{
	struct world *w = *state;
	struct mu_conferences *again;
	struct mu_conference *c;

	make(w, false);
	mu_conference_mute(w->c, NULL, EAST, true, &w->e);
	assert_string_equal(w->last_why, "by an operator");
	mu_conference_set_role(w->c, HALL, WEST, MU_ROLE_LISTENER, &w->e);
	mu_conference_leave(w->c, EAST);
	mu_conference_leave(w->c, WEST);
	mu_conference_leave(w->c, NORTH); /* nobody did anything to it */
	assert_int_equal(mu_conference_join(w->c, EAST, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	assert_false(mu_conference_heard(w->c, EAST));
	assert_int_equal(mu_conference_mute(w->c, EAST, EAST, false, &w->e), -EPERM);
	again = taken_back(w);
	c = mu_conferences_find(again, "morning");
	assert_int_equal(mu_conference_join(c, WEST, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	assert_int_equal(mu_conference_member(c, WEST)->role, MU_ROLE_LISTENER);
	assert_int_equal(mu_conference_join(c, NORTH, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	assert_int_equal(mu_conference_member(c, NORTH)->role, MU_ROLE_PARTICIPANT);
	mu_conferences_free(again);
}

static void test_removed_until_admitted(void **state)
{
	struct world *w = *state;
	struct mu_conferences *again;
	struct mu_conference *c;

	make(w, false);
	assert_int_equal(mu_conference_admit(w->c, HALL, EAST, &w->e), -ENOENT);
	assert_int_equal(mu_conference_remove(w->c, HALL, EAST, &w->e), 0);
	assert_string_equal(w->last_why, "removed by the chair");
	assert_int_equal(mu_conference_join(w->c, EAST, NULL, MU_ROLE_CHAIR, 0, &w->e), -EACCES);
	again = taken_back(w);
	c = mu_conferences_find(again, "morning");
	assert_int_equal(mu_conference_join(c, EAST, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), -EACCES);
	mu_conferences_free(again);
	assert_int_equal(mu_conference_admit(w->c, WEST, EAST, &w->e), -EPERM);
	assert_int_equal(mu_conference_admit(w->c, NULL, EAST, &w->e), 0);
	assert_string_equal(w->last, "conference.admitted");
	assert_string_equal(w->last_why, "admitted by an operator");
	assert_int_equal(mu_conference_join(w->c, EAST, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	assert_true(mu_conference_heard(w->c, EAST));
	assert_int_equal(mu_conference_admit(w->c, HALL, EAST, &w->e), -ENOENT);
}

/* However many come and are removed: the oldest are forgotten. */
static void test_former_are_bounded(void **state)
{
	struct world *w = *state;
	json_t *kept;

	make(w, false);
	for (int i = 0; i < 300; i++) {
		char id[32];

		snprintf(id, sizeof(id), "city/m%d", i);
		assert_int_equal(mu_conference_join(w->c, id, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
		assert_int_equal(mu_conference_remove(w->c, HALL, id, &w->e), 0);
	}
	kept = json_object_get(w->saved, "former");
	assert_int_equal(json_array_size(kept), 256);
	assert_string_equal(json_string_value(json_object_get(json_array_get(kept, 255), "endpoint")), "city/m299");
	assert_int_equal(mu_conference_join(w->c, "city/m0", NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	assert_int_equal(mu_conference_join(w->c, "city/m44", NULL, MU_ROLE_PARTICIPANT, 5, &w->e), -EACCES);
}

/* On its way back in another session: it has what it had, for a while. */
static void test_away(void **state)
{
	struct world *w = *state;

	make(w, false);
	mu_floor_request(w->c, EAST, &w->e);
	mu_floor_request(w->c, WEST, &w->e);
	mu_conference_away(w->c, EAST, 1000);
	assert_false(mu_conference_member(w->c, EAST)->present);
	mu_conferences_release_absent(w->cs, 999);
	assert_int_equal(mu_conference_join(w->c, EAST, NULL, MU_ROLE_PARTICIPANT, 5, &w->e), 0);
	mu_conferences_release_absent(w->cs, 1000);
	assert_string_equal(mu_floor_holder(w->c), EAST);
	mu_conference_away(w->c, EAST, 2000);
	mu_conferences_release_absent(w->cs, 2000);
	assert_string_equal(mu_floor_holder(w->c), WEST);
}

/* --- floor
 * -----------------------------------------------------------------------------------------------------------
 */

static void test_open_floor_is_a_queue(void **state)
{
	struct world *w = *state;

	make(w, false);
	assert_int_equal(mu_floor_request(w->c, EAST, &w->e), 1);
	assert_int_equal(mu_floor_request(w->c, EAST, &w->e), 1);
	assert_int_equal(mu_floor_request(w->c, WEST, &w->e), 0);
	assert_int_equal(mu_floor_request(w->c, NORTH, &w->e), -EPERM);
	assert_string_equal(mu_floor_holder(w->c), EAST);
	assert_int_equal(mu_floor_release(w->c, EAST, &w->e), 0);
	assert_string_equal(mu_floor_holder(w->c), WEST);
	assert_string_equal(w->last_why, "next in the queue");
	mu_conference_absent(w->c, WEST);
	assert_string_equal(mu_floor_holder(w->c), "");
}

static void test_rank_takes_over(void **state)
{
	struct world *w = *state;

	make(w, false);
	mu_conference_join(w->c, "city/mayor", NULL, MU_ROLE_PARTICIPANT, 0, &w->e);
	mu_floor_request(w->c, EAST, &w->e);
	assert_int_equal(mu_floor_request(w->c, "city/mayor", &w->e), 1);
	assert_string_equal(mu_floor_holder(w->c), "city/mayor");
	assert_string_equal(w->last_why, "taken over by rank");
	assert_int_equal(mu_floor_request(w->c, EAST, &w->e), 0);
	assert_int_equal(mu_floor_request(w->c, HALL, &w->e), 1); /* a chair */
}

static void test_queue_is_by_rank_then_time(void **state)
{
	struct world *w = *state;

	make(w, false);
	mu_conference_join(w->c, "city/a", NULL, MU_ROLE_PARTICIPANT, 7, &w->e);
	mu_conference_join(w->c, "city/b", NULL, MU_ROLE_PARTICIPANT, 6, &w->e);
	mu_floor_request(w->c, EAST, &w->e);
	mu_floor_request(w->c, "city/a", &w->e);
	mu_floor_request(w->c, "city/b", &w->e);
	mu_floor_release(w->c, EAST, &w->e);
	assert_string_equal(mu_floor_holder(w->c), "city/b");
	mu_floor_release(w->c, "city/a", &w->e); /* hand down */
	mu_floor_release(w->c, "city/b", &w->e);
	assert_string_equal(mu_floor_holder(w->c), "");
}

static void test_moderated(void **state)
{
	struct world *w = *state;

	make(w, true);
	assert_false(mu_conference_heard(w->c, EAST));
	assert_int_equal(mu_floor_request(w->c, EAST, &w->e), 0); /* the hand is up, no more */
	mu_conference_mute_all(w->c, HALL, true, &w->e);
	assert_int_equal(mu_floor_grant(w->c, HALL, EAST, &w->e), 0);
	assert_true(mu_conference_heard(w->c, EAST));
	assert_int_equal(mu_conference_member(w->c, EAST)->hand_us, 0);
	assert_int_equal(mu_floor_grant(w->c, HALL, NORTH, &w->e), -EPERM);
	assert_int_equal(mu_floor_grant(w->c, HALL, "city/nobody", &w->e), -ENOENT);
	assert_int_equal(mu_floor_revoke(w->c, HALL, &w->e), 0);
	assert_false(mu_conference_heard(w->c, EAST));
	assert_int_equal(mu_floor_revoke(w->c, HALL, &w->e), 0);
}

/* In an open conference the queue goes on whoever takes the floor back; who is absent is given nothing. */
static void test_floor_goes_on(void **state)
{
	struct world *w = *state;

	make(w, false);
	mu_floor_request(w->c, EAST, &w->e);
	mu_floor_request(w->c, WEST, &w->e);
	assert_int_equal(mu_floor_revoke(w->c, NULL, &w->e), 0);
	assert_string_equal(mu_floor_holder(w->c), WEST);
	assert_int_equal(mu_conference_member(w->c, EAST)->hand_us, 0);
	mu_conference_absent(w->c, EAST);
	assert_int_equal(mu_floor_grant(w->c, HALL, EAST, &w->e), -EBUSY);
	assert_string_equal(mu_floor_holder(w->c), WEST);
	assert_int_equal(mu_floor_revoke(w->c, NULL, &w->e), 0);
	assert_string_equal(w->last_why, "revoked by an operator");
	assert_int_equal(mu_floor_grant(w->c, HALL, WEST, &w->e), 0);
	assert_string_equal(w->last_why, "granted by the chair");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_join_leave_and_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_are_whole_characters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mutes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_floor_is_a_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rank_takes_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_is_by_rank_then_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moderated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving_undoes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_until_admitted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_former_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_floor_goes_on, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
