/* Host candidates of a worker (RFC 8445, section 5.1.1.1): ICE lite has no others (section 2.5). */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>

#include "webrtc/session.h"

#define UDP_MAX 16 /* and as many of TCP */

/* The candidates of one protocol, as they are found. */
struct found {
	struct mu_addr addr[UDP_MAX];
	unsigned n;
};

static void add(struct found *f, struct mu_addr addr, uint16_t port)
{
	mu_addr_set_port(&addr, port);
	for (unsigned i = 0; i < f->n; i++) {
		if (mu_addr_equal(&f->addr[i], &addr))
			return;
	}
	if (f->n < MU_ARRAY_LEN(f->addr))
		f->addr[f->n++] = addr;
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
static void expand(struct found *f, sa_family_t wanted, uint16_t port)
{
	unsigned before = f->n;
	struct ifaddrs *all;
	struct mu_addr addr;

	if (getifaddrs(&all) < 0) {
		mu_warn(TOPIC, NULL, "cannot list the machine's addresses: %s; set media.advertise",
			g_strerror(errno));
		return;
	}
	for (int loopback = 0; loopback < 2 && f->n == before; loopback++) {
		for (const struct ifaddrs *it = all; it; it = it->ifa_next) {
			if (interface_addr(it, wanted, &addr) &&
				mu_addr_is_loopback(&addr) == (loopback == 1))
				add(f, addr, port);
		}
	}
	freeifaddrs(all);
}

/* What the workers of one protocol listen on. */
struct listeners {
	const struct mu_addr *at;
	unsigned n;
	uint16_t (*port)(const struct mu_net *n, unsigned worker, unsigned listen);
};

/* The first socket of a family: what is advertised leads to one. @return l->n: there is none */
static unsigned listening(const struct listeners *l, sa_family_t family)
{
	unsigned i = 0;

	while (i < l->n && l->at[i].sa.sa_family != family)
		i++;
	return i;
}

static void gather(const struct mu_webrtc *w, unsigned worker, const struct listeners *l, struct found *f)
{
	const struct mu_net *net = mu_media_net(w->o.media);

	for (unsigned i = 0; i < w->o.n_advertise; i++) {
		const struct mu_addr *a = &w->o.advertise[i];
		unsigned by = listening(l, a->sa.sa_family);

		if (by < l->n)
			add(f, *a, mu_addr_port(a) ? mu_addr_port(a) : l->port(net, worker, by));
	}
	for (unsigned i = 0; w->o.n_advertise == 0 && i < l->n; i++) {
		uint16_t port = l->port(net, worker, i);

		if (mu_addr_is_any(&l->at[i]))
			expand(f, l->at[i].sa.sa_family, port);
		else
			add(f, l->at[i], port);
	}
}

void candidates_gather(const struct mu_webrtc *w, unsigned worker, struct sdp_candidates *ret)
{
	const struct listeners udp = { w->o.listen, w->o.n_listen, mu_net_port };
	const struct listeners tcp = { w->o.tcp, w->o.n_tcp, mu_net_tcp_port };
	struct found by_udp = { .n = 0 }, by_tcp = { .n = 0 };

	memset(ret, 0, sizeof(*ret));
	gather(w, worker, &udp, &by_udp);
	gather(w, worker, &tcp, &by_tcp);
	_Static_assert(MU_ARRAY_LEN(by_udp.addr) + MU_ARRAY_LEN(by_tcp.addr) <= MU_ARRAY_LEN(ret->addr),
		"both kinds fit");
	memcpy(ret->addr, by_udp.addr, by_udp.n * sizeof(ret->addr[0]));
	memcpy(ret->addr + by_udp.n, by_tcp.addr, by_tcp.n * sizeof(ret->addr[0]));
	ret->n_udp = by_udp.n;
	ret->n = by_udp.n + by_tcp.n;
}

/* RFC 8445, section 5.1.2.1: type preference 126 for host by UDP. By TCP 90, so that each is below all of
 * UDP's (RFC 6544, section 4.2, where the direction "passive" of a host candidate is 4). Then our order,
 * component 1. */
static uint32_t priority(const struct sdp_candidates *c, unsigned i)
{
	if (i < c->n_udp)
		return 126u << 24 | (65535u - i) << 8 | 255u;
	return 90u << 24 | (4u << 13 | (8191u - (i - c->n_udp))) << 8 | 255u;
}

void sdp_candidates_write(GString *t, const struct sdp_candidates *c)
{
	char host[MU_ADDR_TEXT];

	for (unsigned i = 0; i < c->n; i++) {
		bool udp = i < c->n_udp;

		g_string_append_printf(t, "a=candidate:%u 1 %s %u %s %u typ host%s\r\n", i + 1,
			udp ? "udp" : "tcp", priority(c, i), mu_addr_host(&c->addr[i], host),
			mu_addr_port(&c->addr[i]), udp ? "" : " tcptype passive");
	}
}
