/* Host candidates of a worker (RFC 8445, section 5.1.1.1): ICE lite has no others (section 2.5). */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>

#include "webrtc/session.h"

static void add(struct sdp_candidates *c, struct mu_addr addr, uint16_t port)
{
	mu_addr_set_port(&addr, port);
	for (unsigned i = 0; i < c->n; i++) {
		if (mu_addr_equal(&c->addr[i], &addr))
			return;
	}
	if (c->n < MU_ARRAY_LEN(c->addr))
		c->addr[c->n++] = addr;
}

static bool interface_addr(const struct ifaddrs *it, sa_family_t wanted, struct mu_addr *ret)
{
	sa_family_t family = it->ifa_addr ? it->ifa_addr->sa_family : AF_UNSPEC;

	/* each socket is of one family: one on [::] does not take IPv4 (net sets IPV6_V6ONLY) */
	if (!(it->ifa_flags & IFF_UP) || family != wanted)
		return false;
	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET) {
		memcpy(&ret->in4, it->ifa_addr, sizeof(ret->in4));
		return true;
	}
	memcpy(&ret->in6, it->ifa_addr, sizeof(ret->in6));
	ret->in6.sin6_scope_id = 0;
	/* link-local addresses mean nothing without the interface, which SDP cannot name */
	return !IN6_IS_ADDR_LINKLOCAL(&ret->in6.sin6_addr);
}

/* A wildcard stands for the machine's addresses; for loopback only where there is nothing else. */
static void expand(struct sdp_candidates *c, sa_family_t wanted, uint16_t port)
{
	unsigned before = c->n;
	struct ifaddrs *all;
	struct mu_addr addr;

	if (getifaddrs(&all) < 0) {
		mu_warn(TOPIC, NULL, "cannot list the machine's addresses: %s; set media.advertise",
			g_strerror(errno));
		return;
	}
	for (int loopback = 0; loopback < 2 && c->n == before; loopback++) {
		for (const struct ifaddrs *it = all; it; it = it->ifa_next) {
			if (interface_addr(it, wanted, &addr) &&
				mu_addr_is_loopback(&addr) == (loopback == 1))
				add(c, addr, port);
		}
	}
	freeifaddrs(all);
}

/* The first socket of a family: what is advertised leads to one. */
static unsigned listening(const struct mu_webrtc *w, sa_family_t family)
{
	for (unsigned i = 0; i < w->o.n_listen; i++) {
		if (w->o.listen[i].sa.sa_family == family)
			return i;
	}
	return 0;
}

void candidates_gather(const struct mu_webrtc *w, unsigned worker, struct sdp_candidates *ret)
{
	const struct mu_net *net = mu_media_net(w->o.media);

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < w->o.n_advertise; i++) {
		uint16_t port = mu_addr_port(&w->o.advertise[i]);

		if (port == 0)
			port = mu_net_port(net, worker, listening(w, w->o.advertise[i].sa.sa_family));
		add(ret, w->o.advertise[i], port);
	}
	for (unsigned i = 0; w->o.n_advertise == 0 && i < w->o.n_listen; i++) {
		const struct mu_addr *a = &w->o.listen[i];
		uint16_t port = mu_net_port(net, worker, i);

		if (mu_addr_is_any(a))
			expand(ret, a->sa.sa_family, port);
		else
			add(ret, *a, port);
	}
}

void sdp_candidates_write(GString *t, const struct sdp_candidates *c)
{
	char host[MU_ADDR_TEXT];

	for (unsigned i = 0; i < c->n; i++) {
		/* RFC 8445, section 5.1.2.1: type preference 126 for host, then our order, component 1 */
		uint32_t priority = 126u << 24 | (65535u - i) << 8 | 255u;

		g_string_append_printf(t, "a=candidate:%u 1 udp %u %s %u typ host\r\n", i + 1, priority,
			mu_addr_host(&c->addr[i], host), mu_addr_port(&c->addr[i]));
	}
}
