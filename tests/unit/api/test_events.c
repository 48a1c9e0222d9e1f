/* Readers of events that come back, with what the real directory keeps for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "fakes.h"

#define KEPT 1024 /* events in the directory's ring */

static struct mu_api *api;
static struct mu_directory *dir;
static uint16_t port;

/* --- tracks that nothing hangs on --- */

struct mu_track *mu_track_ref(struct mu_track *t)
{
	return t;
}

struct mu_track *mu_track_unref(struct mu_track *t)
{
	(void)t;
	return NULL;
}

enum mu_kind mu_track_kind(const struct mu_track *t)
{
	(void)t;
	return MU_VIDEO;
}

/* --- */

static int setup(void **state)
{
	struct mu_addr at = { .in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct mu_api_options o = { .listen = &at, .n_listen = 1, .site = "city" };
	struct mu_error e;

	(void)state;
	fake_init();
	assert_int_equal(mu_directory_new("city", &dir), 0);
	o.directory = dir;
	assert_int_equal(mu_api_new(&o, &api, &e), 0);
	port = mu_api_port(api, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mu_api_free(api);
	client_turn(5);
	mu_directory_free(dir);
	fake_done();
	return 0;
}

/* An event as long as they come when a district's link breaks: an endpoint with two tracks is lost. */
static void tell(unsigned n)
{
	char id[80];

	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "city.east.lake-town/body-camera-of-unit-%06u", i);
		mu_directory_tell(dir, "endpoint.lost",
			json_pack("{ss ss ss s[{ss ss ss}{ss ss ss}] si ss}", "id", id, "state", "lost",
				"since", "2026-11-24T22:04:40.123Z", "tracks", "label", "video", "kind",
				"video", "codec", "H264", "label", "audio", "kind", "audio", "codec", "opus",
				"viewers", 12, "why", "the connection is gone"));
	}
}

static int come_back(uint64_t seen)
{
	char text[300];
	int fd = client_open(port);

	snprintf(text, sizeof(text),
		"GET /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer j,boss,operate,,60\r\n"
		"Last-Event-ID: %llx-%llu\r\n\r\n",
		(unsigned long long)api->start_wall_us, (unsigned long long)seen);
	client_send(fd, text, strlen(text));
	return fd;
}

static void test_everything_kept_was_missed(void **state)
{
	struct answer a;
	int fd;

	(void)state;
	tell(KEPT);
	fd = come_back(0);
	client_read(fd, &a, 100);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "-1024\nevent: reset\n"));
	assert_null(strstr(a.body, "endpoint.lost"));
	/* what happens next comes */
	tell(1);
	client_read(fd, &a, 100);
	assert_int_equal(api->n_readers, 1);
	assert_int_equal(api->n_events_dropped, 0);
	close(fd);
}

static void test_a_gap_is_a_reset_alone(void **state)
{
	struct answer a;
	int fd;

	(void)state;
	tell(KEPT + 6);
	fd = come_back(5);
	client_read(fd, &a, 100);
	assert_non_null(strstr(a.body, "event: reset\n"));
	assert_null(strstr(a.body, "endpoint.lost"));
	close(fd);
}

static void test_a_little_is_told_again(void **state)
{
	struct answer a;
	int fd;

	(void)state;
	tell(KEPT + 6);
	fd = come_back(KEPT - 94);
	client_read(fd, &a, 100);
	assert_null(strstr(a.body, "event: reset\n"));
	assert_non_null(strstr(a.body, "-931\nevent: endpoint.lost\n"));
	assert_non_null(strstr(a.body, "-1030\nevent: endpoint.lost\n"));
	close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_everything_kept_was_missed),
		T(test_a_gap_is_a_reset_alone), T(test_a_little_is_told_again) };

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	return cmocka_run_group_tests_name("api events", tests, NULL, NULL);
}
