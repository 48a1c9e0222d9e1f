#include "fake_transport.h"

static const char *const urls[] = { "stun:stun.example.net", "turn:turn.example.net?transport=udp",
	"turns:turn.example.net:443?transport=tcp" };

static void give(struct fixture *f, struct mu_ice_servers ice)
{
	ice.urls = urls;
	ice.n_urls = MU_ARRAY_LEN(urls);
	f->o.ice = ice;
	mu_webrtc_reconfigure(f->w, &f->o);
}

static const char *text(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

/** "1700000000:unit_7", in so many seconds. */
static void assert_name(const char *name, const char *user, int64_t lifetime_s)
{
	int64_t now_s = mu_clock_wall_us() / 1000000;
	long long until = 0;
	int n = 0;

	assert_int_equal(sscanf(name, "%lld:%n", &until, &n), 1);
	assert_string_equal(name + n, user);
	assert_in_range(until, now_s + lifetime_s - 5, now_s + lifetime_s);
}

static void test_none(void **state)
{
	struct fixture *f = *state;
	json_t *list = mu_webrtc_ice_servers(f->w, "hall");

	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.status, 201);
	assert_int_equal(f->r.n_links, 0);
}

static void test_as_a_browser_takes_them(void **state)
{
	struct fixture *f = *state;
	struct mu_turn_credentials want;
	json_t *list, *turn;

	give(f, (struct mu_ice_servers){ .secret = "north", .lifetime_s = 600 });
	list = mu_webrtc_ice_servers(f->w, "city.east/hall");
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_object_size(json_array_get(list, 0)), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(json_array_get(list, 0), "urls"), 0)), urls[0]);
	turn = json_array_get(list, 1);
	assert_int_equal(json_array_size(json_object_get(turn, "urls")), 2);
	assert_name(text(turn, "username"), "city.east/hall", 600);
	assert_int_equal(
		mu_turn_credentials("north", "city.east/hall", strtoll(text(turn, "username"), NULL, 10), &want), 0);
	assert_string_equal(text(turn, "credential"), want.password);
	json_decref(list);
}

/* RFC 9725, section 4.6. */
static void test_links(void **state)
{
	struct fixture *f = *state;
	char name[200], password[64], want[400];

	give(f, (struct mu_ice_servers){ .secret = "north", .lifetime_s = 3600 });
	publish(f, "chromium-whip.sdp");
	whep_file(f, "city/cam", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 201);
	assert_int_equal(f->r.n_links, 3);
	assert_string_equal(f->r.links[0], "<stun:stun.example.net>; rel=\"ice-server\"");
	assert_int_equal(sscanf(f->r.links[1],
				 "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"%199[^\"]\"; credential=\"%63[^\"]\"",
				 name, password), 2);
	assert_name(name, "unit_7", 3600);
	snprintf(want, sizeof(want),
		"<%s>; rel=\"ice-server\"; username=\"%s\"; credential=\"%s\"; credential-type=\"password\"", urls[2], name,
		password);
	assert_string_equal(f->r.links[2], want);
	assert_lacks(f->events, password);
}

static void test_who_is_refused_gets_none(void **state)
{
	struct fixture *f = *state;

	give(f, (struct mu_ice_servers){ .secret = "north", .lifetime_s = 3600 });
	whep_file(f, "city/none", "chromium-whep.sdp");
	assert_int_equal(f->r.status, 404);
	assert_int_equal(f->r.n_links, 0);
}

/* What is configured is copied, and text of any kind stays inside its quotes. */
static void test_one_name_for_all(void **state)
{
	struct fixture *f = *state;
	char name[] = "us\"er\\1", password[] = "p;ss";
	json_t *list;

	give(f, (struct mu_ice_servers){ .username = name, .password = password });
	memset(name, 'x', sizeof(name) - 1);
	memset(password, 'x', sizeof(password) - 1);
	whip_file(f, "city/cam", "chromium-whip.sdp");
	assert_int_equal(f->r.n_links, 3);
	assert_string_equal(f->r.links[1],
		"<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"us\\\"er\\\\1\"; credential=\"p;ss\"; "
		"credential-type=\"password\"");
	list = mu_webrtc_ice_servers(f->w, "hall");
	assert_string_equal(text(json_array_get(list, 1), "username"), "us\"er\\1");
	assert_string_equal(text(json_array_get(list, 1), "credential"), "p;ss");
	json_decref(list);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_none),
		T(test_as_a_browser_takes_them),
		T(test_links),
		T(test_who_is_refused_gets_none),
		T(test_one_name_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
