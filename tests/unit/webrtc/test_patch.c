#include "fake_transport.h"

#define FRAG  "application/trickle-ice-sdpfrag"
#define UFRAG "a=ice-ufrag:9d7ca0f2\r\n"
#define PWD   "a=ice-pwd:ab4b8c92d1a1bb1e7a3d4cb51b6ef4a5\r\n"
#define TRICKLE                                                  \
	UFRAG PWD "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" \
		  "a=candidate:1 1 udp 2130706431 4d1c.local 50000 typ host\r\n"
#define RESTART "a=ice-ufrag:newufrag\r\na=ice-pwd:newpwdnewpwdnewpwdnewpwd\r\n"

static char id[64], etag[80];
static struct mu_transport *t;

static int setup(void **state)
{
	struct fixture *f;
	int err = fixture_setup(state);

	f = *state;
	snprintf(id, sizeof(id), "%s", whip_file(f, "city/cam", "firefox-whip.sdp"));
	snprintf(etag, sizeof(etag), "%s", f->r.etag);
	t = fake_last();
	return err;
}

static int patch(struct fixture *f, const char *type, const char *if_match, const char *body)
{
	mu_web_reply_done(&f->r);
	mu_session_patch(f->w, id, type, if_match, body, strlen(body), &f->r);
	return f->r.status;
}

static void test_trickle(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(patch(f, FRAG, etag, TRICKLE), 204);
	assert_string_equal(f->r.etag, "");
	assert_null(f->r.body);
	assert_int_equal(patch(f, "Application/Trickle-ICE-sdpfrag; charset=utf-8", etag,
				 TRICKLE "a=end-of-candidates\r\n"),
		204);
	assert_int_equal(patch(f, FRAG, "\"other\", \"list\"", TRICKLE), 412);
	assert_int_equal(t->restarts, 0);
}

static void test_order_of_refusals(void **state)
{
	struct fixture *f = *state;
	char weak[96];

	assert_int_equal(patch(f, "application/sdp", NULL, ""), 415);
	assert_int_equal(patch(f, NULL, etag, TRICKLE), 415);
	assert_int_equal(patch(f, FRAG, NULL, TRICKLE), 428);
	assert_int_equal(patch(f, FRAG, "\"wrong\"", TRICKLE), 412);
	snprintf(weak, sizeof(weak), "W/%s", etag);
	assert_int_equal(patch(f, FRAG, weak, TRICKLE), 412);
	assert_int_equal(patch(f, FRAG, etag, ""), 400);
	assert_int_equal(patch(f, FRAG, etag, "v=0\r\n"), 400);
	assert_int_equal(patch(f, FRAG, etag, UFRAG), 400);
	assert_int_equal(patch(f, FRAG, etag, "a=ice-ufrag:newufrag\r\n" PWD), 400);
	assert_int_equal(patch(f, FRAG, etag, UFRAG PWD "a=ice-ufrag:another1\r\n"), 400);
	snprintf(id, sizeof(id), "nobody");
	assert_int_equal(patch(f, FRAG, etag, TRICKLE), 404);
}

static void test_restart(void **state)
{
	struct fixture *f = *state;
	char fresh[80];

	assert_int_equal(patch(f, FRAG, "*", RESTART), 200);
	assert_int_equal(t->restarts, 1);
	assert_string_equal(f->r.type, FRAG);
	assert_string_not_equal(f->r.etag, etag);
	assert_contains(f->r.body, "a=ice-lite\r\n");
	assert_contains(f->r.body, t->ufrag);
	assert_contains(f->r.body, t->pwd);
	assert_contains(f->r.body, "a=group:BUNDLE 0 1\r\n");
	assert_contains(f->r.body, "a=mid:0\r\n");
	assert_contains(f->r.body, "a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host\r\n");
	snprintf(fresh, sizeof(fresh), "%s", f->r.etag);
	assert_int_equal(patch(f, FRAG, etag, TRICKLE), 412);    /* of before the restart */
	assert_int_equal(patch(f, FRAG, fresh, RESTART), 204);   /* known by now */
	assert_int_equal(patch(f, FRAG, fresh, UFRAG PWD), 200); /* the current ETag does as well as * */
	assert_int_equal(t->restarts, 2);
}

static void test_failed_restart_changes_nothing(void **state)
{
	struct fixture *f = *state;

	fake.refuse_restarts = true;
	assert_int_equal(patch(f, FRAG, "*", RESTART), 409);
	assert_int_equal(patch(f, FRAG, etag, TRICKLE), 204);
	assert_non_null(mu_session_token(f->w, id));
}

static void test_bombs(void **state)
{
	struct fixture *f = *state;
	GString *s = g_string_new(UFRAG PWD);

	for (int i = 0; i < 129; i++)
		g_string_append(s, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n");
	assert_int_equal(patch(f, FRAG, etag, s->str), 413);
	assert_contains(f->r.detail, "line 131");
	while (s->len <= MU_SDP_SIZE_MAX)
		g_string_append(s, "a=x\r\n");
	assert_int_equal(patch(f, FRAG, etag, s->str), 413);
	g_string_free(s, TRUE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_trickle),
		T(test_order_of_refusals),
		T(test_restart),
		T(test_failed_restart_changes_nothing),
		T(test_bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
