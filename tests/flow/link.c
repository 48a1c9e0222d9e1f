#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "link.h"

struct link_item {
	struct link_item *next;
	int64_t due_us;
	size_t len;
	uint8_t data[];
};

static int open_socket(struct mu_addr *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), big = 4 << 20;

	assert_true(fd >= 0);
	assert_int_equal(mu_addr_parse("127.0.0.1", 0, ret), 0);
	assert_int_equal(bind(fd, &ret->sa, mu_addr_size(ret)), 0);
	assert_int_equal(getsockname(fd, &ret->sa, &len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	return fd;
}

void link_open(struct link *l, const struct mu_addr *gateway, uint64_t seed)
{
	struct mu_addr back;

	memset(l, 0, sizeof(*l));
	l->gateway = *gateway;
	l->up.seed = (2 * seed) * 0x9e3779b97f4a7c15u | 1;
	l->down.seed = (2 * seed + 1) * 0x9e3779b97f4a7c15u | 1;
	l->up.waiting_end = &l->up.waiting;
	l->down.waiting_end = &l->down.waiting;
	l->front = open_socket(&l->front_addr);
	l->back = open_socket(&back);
}

static void drop_list(struct link_item *i)
{
	while (i) {
		struct link_item *next = i->next;

		free(i);
		i = next;
	}
}

static void drop_all(struct link_dir *d)
{
	drop_list(d->head);
	drop_list(d->waiting);
}

void link_close(struct link *l)
{
	drop_all(&l->up);
	drop_all(&l->down);
	close(l->front);
	close(l->back);
}

/* xorshift64*; evenly in 0..1 */
static double chance(struct link_dir *d)
{
	d->seed ^= d->seed >> 12;
	d->seed ^= d->seed << 25;
	d->seed ^= d->seed >> 27;
	return (double)(d->seed * 0x2545f4914f6cdd1du >> 11) / (double)(1ull << 53);
}

/* Gilbert's two states: all is lost in the bad one, which lasts `burst` datagrams in the mean. */
static bool loses(struct link_dir *d, const uint8_t *data, size_t len)
{
	const struct link_way *w = &d->way;
	bool media = len > 1 && data[0] >> 6 == 2, rtcp = media && data[1] >= 192 && data[1] <= 223;
	double burst = MU_MAX(w->burst, 1u);

	if (media && !rtcp && d->way.lose_first) {
		d->way.lose_first--;
		return true;
	}
	if (rtcp && w->rtcp_loss > 0 && chance(d) < w->rtcp_loss)
		return true;
	if (w->loss <= 0)
		return false;
	d->bad = d->bad ? chance(d) >= 1 / burst : chance(d) < w->loss / (burst * (1 - w->loss));
	return d->bad;
}

/* It has left: under way from at_us on. */
static void depart(struct link_dir *d, struct link_item *i, int64_t at_us)
{
	struct link_item **at = &d->head;

	i->due_us = at_us + d->way.delay_us;
	if (d->way.jitter_us)
		i->due_us += (int64_t)(chance(d) * (double)d->way.jitter_us);
	while (*at && (*at)->due_us <= i->due_us)
		at = &(*at)->next;
	i->next = *at;
	*at = i;
}

int64_t link_queue_us(const struct link_dir *d)
{
	return d->way.bps ? (int64_t)(d->waiting_bytes * 8000000 / d->way.bps) : 0;
}

static void queue(struct link_dir *d, const uint8_t *data, size_t len, int64_t now_us)
{
	struct link_item *i;

	if (d->way.bps && d->way.queue_us && link_queue_us(d) > d->way.queue_us) {
		d->overflowed++;
		return;
	}
	i = malloc(sizeof(*i) + len);
	assert_non_null(i);
	i->len = len;
	memcpy(i->data, data, len);
	i->due_us = now_us; /* when it came */
	i->next = NULL;
	*d->waiting_end = i;
	d->waiting_end = &i->next;
	d->waiting_bytes += len + LINK_OVERHEAD;
}

/* One behind the other, at the rate of the moment: a change counts for what waits already. */
static void serve(struct link_dir *d, int64_t now_us)
{
	while (d->waiting) {
		struct link_item *i = d->waiting;
		uint64_t bytes = i->len + LINK_OVERHEAD;
		int64_t gone_us = MU_MAX(d->free_us, i->due_us);

		if (d->way.bps)
			gone_us += (int64_t)(bytes * 8000000 / d->way.bps);
		if (gone_us > now_us)
			return;
		d->free_us = gone_us;
		d->waiting = i->next;
		if (!d->waiting)
			d->waiting_end = &d->waiting;
		d->waiting_bytes -= bytes;
		depart(d, i, gone_us);
	}
}

static bool take(int fd, struct link_dir *d, struct mu_addr *ret_from, int64_t now_us)
{
	uint8_t data[2048];
	bool any = false;

	for (;;) {
		struct mu_addr from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, &from.sa, &size);

		if (n <= 0)
			return any;
		any = true;
		*ret_from = from;
		d->carried++;
		if (loses(d, data, (size_t)n)) {
			d->lost++;
			continue;
		}
		queue(d, data, (size_t)n, now_us);
		if (d->way.doubled > 0 && chance(d) < d->way.doubled) {
			d->doubled++;
			queue(d, data, (size_t)n, now_us);
		}
	}
}

static bool give(int fd, struct link_dir *d, const struct mu_addr *to, int64_t now_us)
{
	bool any = false;

	while (d->head && d->head->due_us <= now_us) {
		struct link_item *i = d->head;

		d->head = i->next;
		sendto(fd, i->data, i->len, 0, &to->sa, mu_addr_size(to));
		free(i);
		any = true;
	}
	return any;
}

bool link_run(struct link *l, int64_t now_us)
{
	struct mu_addr ignored;
	bool any;

	if (take(l->front, &l->up, &l->peer, now_us)) {
		l->has_peer = true;
		any = true;
	} else {
		any = false;
	}
	any |= take(l->back, &l->down, &ignored, now_us);
	serve(&l->up, now_us);
	serve(&l->down, now_us);
	any |= give(l->back, &l->up, &l->gateway, now_us);
	if (l->has_peer)
		any |= give(l->front, &l->down, &l->peer, now_us);
	return any;
}
