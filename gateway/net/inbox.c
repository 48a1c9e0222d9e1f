#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/net.h"

int mu_inbox_init(struct mu_inbox *in)
{
	atomic_init(&in->head, NULL);
	atomic_init(&in->asleep, false);
	in->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return in->fd < 0 ? -errno : 0;
}

void mu_inbox_done(struct mu_inbox *in)
{
	close(in->fd);
	in->fd = -1;
}

/* An exchange on both sides, so that either the producer sees the sleeper or the sleeper sees what was published. */
void mu_inbox_nudge(struct mu_inbox *in)
{
	uint64_t one = 1;

	if (atomic_exchange(&in->asleep, false)) {
		while (write(in->fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
}

void mu_inbox_post(struct mu_inbox *in, struct mu_msg *m)
{
	m->next = atomic_load_explicit(&in->head, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&in->head, &m->next, m, memory_order_release,
		memory_order_relaxed))
		;
	mu_inbox_nudge(in);
}

size_t mu_inbox_run(struct mu_inbox *in)
{
	struct mu_msg *m = atomic_exchange_explicit(&in->head, NULL, memory_order_acquire), *oldest = NULL;
	size_t n = 0;

	while (m) {
		struct mu_msg *next = m->next;

		m->next = oldest;
		oldest = m;
		m = next;
	}
	while (oldest) {
		struct mu_msg *next = oldest->next;

		oldest->fn(oldest);
		oldest = next;
		n++;
	}
	return n;
}

bool mu_inbox_sleep(struct mu_inbox *in)
{
	atomic_exchange(&in->asleep, true);
	if (atomic_load_explicit(&in->head, memory_order_acquire)) {
		atomic_store(&in->asleep, false);
		return false;
	}
	return true;
}

void mu_inbox_wake(struct mu_inbox *in)
{
	uint64_t n;

	atomic_store(&in->asleep, false);
	while (read(in->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}
