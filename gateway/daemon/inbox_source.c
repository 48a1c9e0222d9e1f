/* inbox_source: the control inbox in the main loop. The inbox counts as asleep whenever the loop does
 * something else, so that the first message wakes it and those behind it cost their senders no system call.
 */
#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "daemon/gateway.h"

#define ROUNDS 16 /* before others in the main loop get their turn */

static gboolean on_wake(gint fd, GIOCondition condition, gpointer arg)
{
	struct mu_inbox *in = arg;

	(void)condition;
	mu_inbox_wake(in);
	for (int i = 0; i < ROUNDS; i++) {
		mu_inbox_run(in);
		if (mu_inbox_sleep(in))
			return G_SOURCE_CONTINUE;
	}
	/* Still more, and it counts as awake: nobody will wake it but we. */
	eventfd_write(fd, 1);
	return G_SOURCE_CONTINUE;
}

guint mu_inbox_attach(struct mu_inbox *in)
{
	on_wake(in->fd, G_IO_IN, in); /* what came before the loop ran */
	return g_unix_fd_add(in->fd, G_IO_IN, on_wake, in);
}

void mu_inbox_run_until(struct mu_inbox *in, bool (*done)(void *arg), void *arg, int64_t timeout_us)
{
	int64_t until = mu_clock_us() + timeout_us, left = timeout_us;

	for (;;) {
		mu_inbox_wake(in);
		mu_inbox_run(in);
		if (done(arg) || left <= 0)
			return;
		if (mu_inbox_sleep(in)) {
			struct pollfd p = { .fd = in->fd, .events = POLLIN };

			poll(&p, 1, (int)(left / 1000) + 1);
		}
		left = until - mu_clock_us();
	}
}
