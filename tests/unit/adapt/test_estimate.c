/* The estimate against a simulated link: a queue of a given rate, delay and random loss, and a receiver that
 * reports ten times a second with the gateway's own feedback writer. */
#include "check.h"

#include <stdio.h>

#define STEP_US 1000
#define QUEUE   4096

struct link {
	double bps;
	int64_t delay_us; /* each way */
	double loss;
	unsigned seed;
	double free_us; /* when the link has sent all it was given */
	struct {
		int64_t arrives_us;
		uint16_t seq;
	} queue[QUEUE];
	unsigned head, tail;
	int64_t queued_us,
		worst_queue_us;  /* waiting time of the last packet; the longest since it was reset */
	int64_t samples[100000]; /* a look each millisecond */
	unsigned n_samples;
};

struct sim {
	struct link link;
	struct mu_history *h;
	struct mu_twcc_rx *rx;
	struct mu_estimate *e;
	int64_t now_us, frame_us, feedback_us, tick_us;
	struct {
		int64_t at_us;
		size_t len;
		uint8_t data[1500];
	} reports[8];
	unsigned report_head, report_tail;
	double app_bps;   /* what there is to send */
	double probe_bps; /* a probe being sent */
	struct mu_probe probe;
	double probe_next_us;
	unsigned sent, lost;
	int64_t unanswered_us; /* 0: all that was sent has been told of */
};

static double chance(struct link *l)
{
	l->seed = l->seed * 1664525u + 1013904223u;
	return (double)(l->seed >> 8) / (1 << 24);
}

static void send_packet(struct sim *s, size_t size, uint16_t cluster)
{
	struct link *l = &s->link;
	uint16_t seq = mu_history_sent(s->h, size, cluster, s->now_us);
	double begin = l->free_us > (double)s->now_us ? l->free_us : (double)s->now_us;

	s->sent++;
	if (s->unanswered_us == 0)
		s->unanswered_us = s->now_us;
	l->free_us = begin + (double)size * 8e6 / l->bps;
	l->queued_us = (int64_t)l->free_us - s->now_us;
	l->worst_queue_us = MU_MAX(l->worst_queue_us, l->queued_us);
	if (chance(l) < l->loss) {
		s->lost++;
		return;
	}
	l->queue[l->tail % QUEUE].arrives_us = (int64_t)l->free_us + l->delay_us;
	l->queue[l->tail % QUEUE].seq = seq;
	l->tail++;
	assert_true(l->tail - l->head < QUEUE);
}

static void deliver(struct sim *s)
{
	struct link *l = &s->link;

	while (l->head != l->tail && l->queue[l->head % QUEUE].arrives_us <= s->now_us) {
		mu_twcc_rx_packet(s->rx, l->queue[l->head % QUEUE].seq, l->queue[l->head % QUEUE].arrives_us);
		l->head++;
	}
}

static void feedback(struct sim *s)
{
	struct mu_fate f[512];

	if (s->now_us >= s->feedback_us) {
		size_t n;

		s->feedback_us += 100000;
		while ((n = mu_twcc_rx_report(s->rx, 1, 2, s->reports[s->report_tail % 8].data, 1500)) > 0) {
			s->reports[s->report_tail % 8].len = n;
			s->reports[s->report_tail++ % 8].at_us = s->now_us + s->link.delay_us;
		}
	}
	while (s->report_head != s->report_tail && s->reports[s->report_head % 8].at_us <= s->now_us) {
		const uint8_t *d = s->reports[s->report_head % 8].data;
		int n = mu_history_feedback(
			s->h, d + FCI_AT, s->reports[s->report_head % 8].len - FCI_AT, f, 512);

		assert_true(n >= 0);
		s->unanswered_us = 0;
		mu_estimate_feedback(s->e, f, (size_t)n, 2 * s->link.delay_us, s->now_us);
		s->report_head++;
	}
	if (s->now_us >= s->tick_us) {
		s->tick_us += 100000;
		if (s->unanswered_us && s->now_us - s->unanswered_us >= 500000)
			mu_estimate_tick(s->e, s->now_us);
	}
}

/* Video of 30 frames a second at what the estimate allows, at most what there is, in packets of 1200 bytes;
 * probes where they are asked for. */
static void send_due(struct sim *s)
{
	double rate = MU_MIN((double)mu_estimate_bps(s->e), s->app_bps);

	if (s->now_us >= s->frame_us) {
		size_t left = (size_t)(rate / 8 / 30);

		s->frame_us += 33333;
		while (left > 0) {
			size_t size = MU_MIN(left, (size_t)1200);

			send_packet(s, MU_MAX(size, (size_t)60), 0);
			left -= size;
		}
	}
	if (s->probe.packets == 0 && mu_estimate_probe(s->e, 3000000, s->now_us, &s->probe))
		s->probe_next_us = (double)s->now_us;
	while (s->probe.packets > 0 && s->probe_next_us <= (double)s->now_us) {
		size_t size = MU_MIN(MU_MAX(s->probe.bytes / s->probe.packets, 50u), 1200u);

		send_packet(s, size, s->probe.cluster);
		s->probe.packets--;
		s->probe.bytes -= (uint32_t)MU_MIN(size, (size_t)s->probe.bytes);
		s->probe_next_us += (double)size * 8e6 / s->probe.bps;
	}
}

static void run_for(struct sim *s, int64_t us)
{
	for (int64_t end = s->now_us + us; s->now_us < end; s->now_us += STEP_US) {
		send_due(s);
		deliver(s);
		feedback(s);
		if (s->link.n_samples < MU_ARRAY_LEN(s->link.samples))
			s->link.samples[s->link.n_samples++] =
				MU_MAX((int64_t)s->link.free_us - s->now_us, (int64_t)0);
	}
}

static void sim_open(struct sim *s, double bps, int64_t delay_us, double loss)
{
	static const struct mu_estimate_limits limits = { 50000, 500000, 10000000 };

	memset(s, 0, sizeof(*s));
	s->link.bps = bps;
	s->link.delay_us = delay_us;
	s->link.loss = loss;
	s->link.seed = 7;
	s->app_bps = 3000000;
	s->now_us = 1000000;
	s->frame_us = s->feedback_us = s->tick_us = s->now_us;
	assert_int_equal(mu_history_new(&s->h), 0);
	assert_int_equal(mu_twcc_rx_new(&s->rx), 0);
	assert_int_equal(mu_estimate_new(&limits, s->now_us, &s->e), 0);
}

static void sim_close(struct sim *s)
{
	mu_estimate_free(s->e);
	mu_twcc_rx_free(s->rx);
	mu_history_free(s->h);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t queue_p95(struct link *l)
{
	qsort(l->samples, l->n_samples, sizeof(l->samples[0]), by_value);
	return l->n_samples ? l->samples[l->n_samples * 95 / 100] : 0;
}

static void test_finds_the_rate_quickly(void **state)
{
	static struct sim s;

	(void)state;
	sim_open(&s, 2000000, 20000, 0);
	run_for(&s, 2000000);
	print_message("after 2 s: %u bit/s\n", mu_estimate_bps(s.e));
	assert_in_range(mu_estimate_bps(s.e), 1200000, 2200000);
	run_for(&s, 20000000);
	print_message("after 22 s: %u bit/s, acked %u\n", mu_estimate_bps(s.e), mu_estimate_acked_bps(s.e));
	assert_in_range(mu_estimate_bps(s.e), 1400000, 2300000);
	sim_close(&s);
}

static void test_dip_and_recovery(void **state)
{
	static struct sim s;
	int64_t back_us;

	(void)state;
	sim_open(&s, 2000000, 30000, 0);
	run_for(&s, 15000000);
	s.link.n_samples = 0;
	s.link.worst_queue_us = 0;
	s.link.bps = 500000;
	run_for(&s, 20000000);
	assert_in_range(mu_estimate_bps(s.e), 300000, 600000);
	s.link.bps = 2000000;
	back_us = s.now_us;
	while (mu_estimate_bps(s.e) < 1500000 && s.now_us - back_us < 20000000)
		run_for(&s, 100000);
	print_message("queue worst %lld ms, p95 %lld ms; back at 1.5 Mbit/s after %lld ms\n",
		(long long)s.link.worst_queue_us / 1000, (long long)queue_p95(&s.link) / 1000,
		(long long)(s.now_us - back_us) / 1000);
	assert_true(s.link.worst_queue_us < 2000000);
	assert_true(queue_p95(&s.link) < 500000);
	assert_true(s.now_us - back_us <= 8000000);
	sim_close(&s);
}

static void test_random_loss_is_borne(void **state)
{
	static struct sim s;

	(void)state;
	sim_open(&s, 3000000, 30000, 0.05);
	run_for(&s, 20000000);
	print_message("5 %% loss: %u bit/s, loss %.3f\n", mu_estimate_bps(s.e), mu_estimate_loss(s.e));
	assert_true(mu_estimate_bps(s.e) > 1500000);
	assert_true(mu_estimate_loss(s.e) > 0.02 && mu_estimate_loss(s.e) < 0.09);
	sim_close(&s);
}

static void test_heavy_loss_cuts(void **state)
{
	static struct sim s;

	(void)state;
	sim_open(&s, 3000000, 30000, 0.0);
	run_for(&s, 5000000);
	s.link.loss = 0.3;
	run_for(&s, 10000000);
	print_message("30 %% loss: %u bit/s\n", mu_estimate_bps(s.e));
	assert_true(mu_estimate_bps(s.e) < 1000000);
	assert_int_equal(mu_estimate_why(s.e), MU_LIMIT_LOSS);
	sim_close(&s);
}

static void test_a_dead_line_is_not_flooded(void **state)
{
	static struct sim s;

	(void)state;
	sim_open(&s, 3000000, 30000, 0.0);
	run_for(&s, 5000000);
	s.link.loss = 1;
	run_for(&s, 4000000);
	assert_true(mu_estimate_bps(s.e) < 200000);
	s.link.loss = 0;
	run_for(&s, 10000000);
	print_message("10 s after a cut of 4 s: %u bit/s\n", mu_estimate_bps(s.e));
	assert_true(mu_estimate_bps(s.e) > 1500000);
	sim_close(&s);
}

static void test_little_to_send_does_not_shrink_it(void **state)
{
	static struct sim s;

	(void)state;
	sim_open(&s, 3000000, 30000, 0.0);
	run_for(&s, 5000000);
	s.app_bps = 100000;
	run_for(&s, 20000000);
	assert_true(mu_estimate_bps(s.e) > 1500000);
	sim_close(&s);
}

/* All was paused amid an overuse, so nothing is sent and nothing told: probes alone find that the link is
 * back. */
static void test_comes_back_when_nothing_is_sent(void **state)
{
	static struct sim s;

	(void)state;
	sim_open(&s, 3000000, 30000, 0.0);
	run_for(&s, 5000000);
	s.link.bps = 300000;
	run_for(&s, 3000000);
	assert_true(mu_estimate_bps(s.e) < 400000);
	s.app_bps = 0;
	s.frame_us = INT64_MAX;
	run_for(&s, 10000000);
	s.link.bps = 3000000;
	run_for(&s, 20000000);
	print_message("by probes: %u bit/s\n", mu_estimate_bps(s.e));
	assert_true(mu_estimate_bps(s.e) > 1500000);
	sim_close(&s);
}

static void test_tight_where_it_was_full(void **state)
{
	static struct sim s;

	(void)state;
	sim_open(&s, 20000000, 20000, 0);
	run_for(&s, 5000000);
	assert_false(mu_estimate_tight(s.e));
	assert_true(mu_estimate_queue_us(s.e) < 20000);
	s.link.bps = 1000000;
	run_for(&s, 1000000);
	assert_true(mu_estimate_tight(s.e));
	assert_true(mu_estimate_queue_us(s.e) > 0);
	run_for(&s, 5000000);
	assert_true(mu_estimate_tight(s.e)); /* though the queue is gone */
	s.link.bps = 20000000;
	run_for(&s, 10000000);
	assert_false(mu_estimate_tight(s.e));
	sim_close(&s);
}

static void test_limits(void **state)
{
	static const struct mu_estimate_limits bad = { 100, 50, 1000 };
	struct mu_estimate *e;

	(void)state;
	assert_int_equal(mu_estimate_new(&bad, 0, &e), -22);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_the_rate_quickly),
		cmocka_unit_test(test_dip_and_recovery),
		cmocka_unit_test(test_random_loss_is_borne),
		cmocka_unit_test(test_heavy_loss_cuts),
		cmocka_unit_test(test_a_dead_line_is_not_flooded),
		cmocka_unit_test(test_little_to_send_does_not_shrink_it),
		cmocka_unit_test(test_comes_back_when_nothing_is_sent),
		cmocka_unit_test(test_tight_where_it_was_full),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
