#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/base.h"

static void test_ntp_epoch(void **state)
{
	(void)state;
	assert_int_equal(mu_ntp_from_wall_us(0), 2208988800ull << 32);
	assert_int_equal(mu_ntp_from_wall_us(500000) & 0xffffffff, 0x80000000u);
}

static void test_bytes(void **state)
{
	uint8_t b[8];

	(void)state;
	mu_put64(b, 0x0102030405060708ull);
	assert_int_equal(b[0], 1);
	assert_int_equal(mu_get16(b + 6), 0x0708);
	assert_int_equal(mu_get24(b + 1), 0x020304);
	assert_int_equal(mu_get64(b), 0x0102030405060708ull);
}

static void test_error_text(void **state)
{
	struct mu_error e;

	(void)state;
	assert_int_equal(mu_error_set(&e, -EINVAL, "port %d: not 1..65535", 70000), -EINVAL);
	assert_string_equal(e.text, "port 70000: not 1..65535");
	assert_int_equal(mu_error_set(NULL, -ENOMEM, "nobody listens"), -ENOMEM);
}

static void test_log_gate_counts_what_it_holds_back(void **state)
{
	struct mu_log_gate g = { 0 };

	(void)state;
	assert_int_equal(mu_log_gate_pass(&g, 1000, 10), 1);
	assert_int_equal(mu_log_gate_pass(&g, 1001, 10), 0);
	assert_int_equal(mu_log_gate_pass(&g, 1002, 10), 0);
	assert_int_equal(mu_log_gate_pass(&g, 1010, 10), 3);
}

static void test_random_text(void **state)
{
	char a[25], b[25];

	(void)state;
	mu_random_text(a, 24);
	mu_random_text(b, 24);
	assert_int_equal(strlen(a), 24);
	assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), 24);
	assert_string_not_equal(a, b);
}

static void test_ring_full_and_empty(void **state)
{
	struct mu_ring *r;
	int v;

	(void)state;
	assert_int_equal(mu_ring_new(1, 4, &r), -EINVAL);
	assert_int_equal(mu_ring_new(4, sizeof(int), &r), 0);
	for (v = 0; v < 4; v++)
		assert_true(mu_ring_put(r, &v));
	assert_false(mu_ring_put(r, &v));
	assert_false(mu_ring_take(r, &v)); /* put, but not published */
	mu_ring_publish(r);
	for (int i = 0; i < 4; i++) {
		assert_true(mu_ring_take(r, &v));
		assert_int_equal(v, i);
	}
	assert_false(mu_ring_take(r, &v));
	mu_ring_free(r);
}

#define RING_ITEMS 200000
static void *ring_producer(void *arg)
{
	for (uint64_t i = 0; i < RING_ITEMS;) {
		if (mu_ring_put(arg, &i))
			i++;
		mu_ring_publish(arg);
	}
	return NULL;
}

static void test_ring_between_threads(void **state)
{
	struct mu_ring *r;
	pthread_t t;
	uint64_t v;

	(void)state;
	assert_int_equal(mu_ring_new(64, sizeof(v), &r), 0);
	pthread_create(&t, NULL, ring_producer, r);
	for (uint64_t want = 0; want < RING_ITEMS;) {
		if (mu_ring_take(r, &v))
			assert_int_equal(v, want++);
	}
	pthread_join(t, NULL);
	mu_ring_free(r);
}

static void test_slab_limit_and_reuse(void **state)
{
	struct mu_slab *s;
	struct mu_packet *p[256];
	size_t packets, bytes;

	(void)state;
	assert_int_equal(mu_slab_new(256, &s), 0);
	for (int i = 0; i < 256; i++) {
		p[i] = mu_packet_new(s);
		assert_non_null(p[i]);
	}
	assert_null(mu_packet_new(s));
	mu_packet_ref(p[7]);
	assert_null(mu_packet_unref(p[7]));
	mu_slab_usage(s, &packets, &bytes);
	assert_int_equal(packets, 256);
	mu_packet_unref(p[7]);
	assert_ptr_equal(mu_packet_new(s), p[7]);
	mu_slab_free(s); /* the memory stays until the last packet is back */
	for (int i = 0; i < 256; i++)
		mu_packet_unref(p[i]);
}

static void *unref_all(void *arg)
{
	struct mu_packet **p = arg;

	for (int i = 0; i < 1000; i++)
		mu_packet_unref(p[i]);
	return NULL;
}

static void test_slab_takes_back_from_another_thread(void **state)
{
	static struct mu_packet *p[1000];
	struct mu_slab *s;
	pthread_t t;
	size_t packets, bytes;

	(void)state;
	assert_int_equal(mu_slab_new(4096, &s), 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 1000; i++) {
			p[i] = mu_packet_new(s);
			assert_non_null(p[i]);
		}
		pthread_create(&t, NULL, unref_all, p);
		pthread_join(t, NULL);
	}
	mu_slab_usage(s, &packets, &bytes);
	assert_int_equal(packets, 0);
	assert_true(bytes < 2u * 1024 * sizeof(struct mu_packet));
	mu_slab_free(s);
}

static void test_time_text(void **state)
{
	char text[MU_TIME_TEXT];

	(void)state;
	assert_string_equal(mu_time_text(1795557880123456, 3, text), "2026-11-24T22:04:40.123Z");
	assert_string_equal(mu_time_text(1795557880123456, 6, text), "2026-11-24T22:04:40.123456Z");
	assert_string_equal(mu_time_text(1795557880123456, 0, text), "2026-11-24T22:04:40Z");
	assert_string_equal(mu_time_text(-1, 6, text), "1969-12-31T23:59:59.999999Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ntp_epoch),
		cmocka_unit_test(test_time_text),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_error_text),
		cmocka_unit_test(test_log_gate_counts_what_it_holds_back),
		cmocka_unit_test(test_random_text),
		cmocka_unit_test(test_ring_full_and_empty),
		cmocka_unit_test(test_ring_between_threads),
		cmocka_unit_test(test_slab_limit_and_reuse),
		cmocka_unit_test(test_slab_takes_back_from_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
