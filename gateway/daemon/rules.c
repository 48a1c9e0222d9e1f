/* rules: what one row alone cannot say. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/schema.h"
#include "daemon/values.h"

struct check {
	const struct mu_config *c;
	const unsigned *line;
	struct mu_problems *p;
};

static unsigned line_of(const struct check *k, const char *path)
{
	return k->line ? k->line[mu_option_find(path)] : 0;
}

/* @return the first address that is not loopback, NULL: all are */
static const struct mu_addr *outside(const struct mu_addr_list *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (!mu_addr_is_loopback(&l->items[i]))
			return &l->items[i];
	}
	return NULL;
}

static void check_bench(const struct check *k, const char *path, const struct mu_addr_list *l)
{
	const struct mu_addr *a = outside(l);
	char text[MU_ADDR_TEXT];

	if (a)
		mu_problems_add(k->p, k->c->path, line_of(k, path),
			"%s: %s is not a loopback address, which insecure_bench demands: with it everybody who reaches the gateway may do everything",
			path, mu_addr_host(a, text));
}

static void check_plain(const struct check *k)
{
	const struct mu_config *c = k->c;
	const struct mu_addr *a = outside(&c->http.listen);
	char text[MU_ADDR_TEXT];

	if (!c->http.certificate != !c->http.key)
		mu_problems_add(k->p, c->path, line_of(k, c->http.key ? "http.key" : "http.certificate"),
			"%s: http.certificate and http.key go together; %s is missing",
			c->http.key ? "http.key" : "http.certificate",
			c->http.key ? "http.certificate" : "http.key");
	else if (!c->insecure_bench && a && !c->http.certificate && !c->http.insecure_plain)
		mu_problems_add(k->p, c->path, line_of(k, "http.listen"),
			"http.listen: %s is not a loopback address and would be served without TLS: give http.certificate and http.key, or, behind a proxy that does TLS, http.insecure_plain: true",
			mu_addr_text(a, text));
}

static void check_lists(const struct check *k)
{
	const struct mu_config *c = k->c;

	if (!c->http.listen.n)
		mu_problems_add(
			k->p, c->path, line_of(k, "http.listen"), "http.listen: needs at least one address");
	if (!c->media.listen.n)
		mu_problems_add(k->p, c->path, line_of(k, "media.listen"),
			"media.listen: needs at least one address");
	if (!c->srtp.profiles.n)
		mu_problems_add(k->p, c->path, line_of(k, "srtp.profiles"),
			"srtp.profiles: needs at least one profile");
	if (!c->auth.keys.n && !c->insecure_bench)
		mu_problems_add(k->p, c->path, line_of(k, "auth.keys"),
			"auth.keys: needs at least one public key file, or no token could be checked; musterctl token keygen FILE makes a pair");
}

static bool has_family(const struct mu_addr_list *l, sa_family_t family)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (l->items[i].sa.sa_family == family)
			return true;
	}
	return false;
}

/* One to many, or to all of a network: media goes from one to one. */
static bool is_group(const struct mu_addr *a)
{
	uint32_t v4 = ntohl(a->in4.sin_addr.s_addr);

	if (a->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
	return IN_MULTICAST(v4) || v4 == INADDR_BROADCAST;
}

static void check_media_listen(const struct check *k)
{
	char text[MU_ADDR_TEXT];

	for (unsigned i = 0; i < k->c->media.listen.n; i++) {
		const struct mu_addr *a = &k->c->media.listen.items[i];

		if (is_group(a))
			mu_problems_add(k->p, k->c->path, line_of(k, "media.listen"),
				"media.listen: %s is no address of one machine, and no client would send there",
				mu_addr_host(a, text));
	}
}

static void check_advertise(const struct check *k)
{
	const struct mu_config *c = k->c;
	char text[MU_ADDR_TEXT];

	for (unsigned i = 0; i < c->media.advertise.n; i++) {
		const struct mu_addr *a = &c->media.advertise.items[i];

		if (mu_addr_is_any(a) || is_group(a))
			mu_problems_add(k->p, c->path, line_of(k, "media.advertise"),
				"media.advertise: %s is no address a client can send to",
				mu_addr_host(a, text));
		else if (c->media.listen.n && !has_family(&c->media.listen, a->sa.sa_family))
			mu_problems_add(k->p, c->path, line_of(k, "media.advertise"),
				"media.advertise: %s is %s, but no address of media.listen is: nobody would hear what is sent there",
				mu_addr_host(a, text), a->sa.sa_family == AF_INET6 ? "IPv6" : "IPv4");
		else if (mu_addr_port(a) && c->media.workers != 1)
			mu_problems_add(k->p, c->path, line_of(k, "media.advertise"),
				"media.advertise: %s has a port, but each worker has its own: leave the port out, or set media.workers: 1",
				mu_addr_text(a, text));
	}
}

static bool relays(const struct mu_config *c)
{
	for (unsigned i = 0; i < c->ice.servers.n; i++) {
		if (mu_ice_url_relays(c->ice.servers.items[i]))
			return true;
	}
	return false;
}

/* A TURN server without credentials has browsers refuse all of a configuration; credentials without a server are a server
 * that was forgotten. */
static void check_ice(const struct check *k)
{
	const struct mu_config *c = k->c;
	const char *first = c->ice.secret_file ? "ice.secret_file" :
		c->ice.username_file	       ? "ice.username_file" :
						 "ice.password_file";

	if (!c->ice.username_file != !c->ice.password_file)
		mu_problems_add(k->p, c->path, line_of(k, c->ice.username_file ? "ice.username_file" : "ice.password_file"),
			"%s: ice.username_file and ice.password_file go together; %s is missing",
			c->ice.username_file ? "ice.username_file" : "ice.password_file",
			c->ice.username_file ? "ice.password_file" : "ice.username_file");
	else if (c->ice.secret_file && c->ice.username_file)
		mu_problems_add(k->p, c->path, line_of(k, "ice.username_file"),
			"ice.username_file: with ice.secret_file each client has a name of its own: take one of the two out");
	else if (relays(c) && !c->ice.secret_file && !c->ice.username_file)
		mu_problems_add(k->p, c->path, line_of(k, "ice.servers"),
			"ice.servers: a TURN server asks for a name and a password: give ice.secret_file, or ice.username_file and ice.password_file");
	else if (!relays(c) && (c->ice.secret_file || c->ice.username_file))
		mu_problems_add(k->p, c->path, line_of(k, first), "%s: is for a TURN server, and ice.servers has none", first);
}

/* Those of one item: an address, or a port at all of media.listen. */
static unsigned expand_tcp(
	const struct mu_config *c, const struct mu_addr *item, struct mu_addr ret[MU_NET_LISTEN_MAX])
{
	uint16_t port = mu_addr_port(item) ? mu_addr_port(item) : (uint16_t)c->media.port;
	bool all = item->sa.sa_family == AF_UNSPEC;
	unsigned n = all ? c->media.listen.n : 1;

	for (unsigned i = 0; i < n; i++) {
		ret[i] = all ? c->media.listen.items[i] : *item;
		mu_addr_set_port(&ret[i], port);
	}
	return n;
}

unsigned mu_config_tcp(const struct mu_config *c, struct mu_addr ret[MU_NET_LISTEN_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->media.tcp.n; i++) {
		struct mu_addr some[MU_NET_LISTEN_MAX];
		unsigned n_some = expand_tcp(c, &c->media.tcp.items[i], some);

		for (unsigned k = 0; k < n_some; k++, n++) {
			if (n < MU_NET_LISTEN_MAX)
				ret[n] = some[k];
		}
	}
	return n;
}

/* Whether two listen at one place: the same address, or one of them all addresses, of a family. */
static bool same_place(const struct mu_addr *a, const struct mu_addr *b)
{
	struct mu_addr x = *a;

	mu_addr_set_port(&x, mu_addr_port(b));
	return a->sa.sa_family == b->sa.sa_family &&
		(mu_addr_is_any(a) || mu_addr_is_any(b) || mu_addr_equal(&x, b));
}

/* Ports of all workers from a's on; of as many as there surely are. */
static bool takes_port(const struct mu_config *c, const struct mu_addr *a, const struct mu_addr *b)
{
	int from = mu_addr_port(a), port = mu_addr_port(b);

	return from != 0 && port >= from && port < from + (int)MU_MAX(c->media.workers, 1) &&
		same_place(a, b);
}

static void check_tcp_places(const struct check *k, const struct mu_addr *at, unsigned n)
{
	const struct mu_config *c = k->c;
	unsigned line = line_of(k, "media.tcp");
	char text[MU_ADDR_TEXT];

	for (unsigned i = 0; i < n; i++) {
		if (is_group(&at[i]))
			mu_problems_add(k->p, c->path, line, "media.tcp: %s is no address of one machine",
				mu_addr_host(&at[i], text));
		if (mu_addr_port(&at[i]) + (c->media.workers ? c->media.workers : MU_WORKERS_MAX) - 1 > 65535)
			mu_problems_add(k->p, c->path, line,
				"media.tcp: %s leaves no ports for the workers after the first, which take the next ones",
				mu_addr_text(&at[i], text));
		for (unsigned j = 0; j < n; j++) {
			if (i != j && takes_port(c, &at[j], &at[i]) &&
				(i > j || mu_addr_port(&at[i]) != mu_addr_port(&at[j])))
				mu_problems_add(k->p, c->path, line,
					"media.tcp: %s is taken twice, by a worker each",
					mu_addr_text(&at[i], text));
		}
		for (unsigned j = 0; j < c->http.listen.n; j++) {
			if (takes_port(c, &at[i], &c->http.listen.items[j]))
				mu_problems_add(k->p, c->path, line,
					"media.tcp: http.listen has %s already: give media another port, or another address",
					mu_addr_text(&c->http.listen.items[j], text));
		}
	}
}

static void check_tcp(const struct check *k)
{
	struct mu_addr at[MU_NET_LISTEN_MAX];
	unsigned n = mu_config_tcp(k->c, at);

	if (n > MU_NET_LISTEN_MAX)
		mu_problems_add(k->p, k->c->path, line_of(k, "media.tcp"),
			"media.tcp: stands for %u addresses with media.listen, which are too many: at most %u",
			n, MU_NET_LISTEN_MAX);
	check_tcp_places(k, at, MU_MIN(n, (unsigned)MU_NET_LISTEN_MAX));
	if (k->c->insecure_bench && n <= MU_NET_LISTEN_MAX) {
		struct mu_addr_list l = { .n = n };

		memcpy(l.items, at, n * sizeof(at[0]));
		check_bench(k, "media.tcp", &l);
	}
}

int mu_config_check(const struct mu_config *c, const unsigned *line, struct mu_problems *p)
{
	struct check k = { c, line, p };
	unsigned before = p->n;

	check_lists(&k);
	check_plain(&k);
	check_media_listen(&k);
	check_advertise(&k);
	check_ice(&k);
	check_tcp(&k);
	if (c->insecure_bench) {
		check_bench(&k, "http.listen", &c->http.listen);
		check_bench(&k, "media.listen", &c->media.listen);
		check_bench(&k, "media.advertise", &c->media.advertise);
	}
	return p->n == before ? 0 : -EINVAL;
}

static void need_file(const struct mu_config *c, const char *option, const char *path, struct mu_problems *p)
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		mu_problems_add(p, c->path, 0, "%s: %s cannot be read: %s", option, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		mu_problems_add(p, c->path, 0, "%s: %s is not a file", option, path);
}

int mu_config_check_files(const struct mu_config *c, struct mu_problems *p)
{
	unsigned before = p->n;
	struct stat st;

	if (c->http.certificate)
		need_file(c, "http.certificate", c->http.certificate, p);
	if (c->http.key)
		need_file(c, "http.key", c->http.key, p);
	if (c->ice.secret_file)
		need_file(c, "ice.secret_file", c->ice.secret_file, p);
	if (c->ice.username_file)
		need_file(c, "ice.username_file", c->ice.username_file, p);
	if (c->ice.password_file)
		need_file(c, "ice.password_file", c->ice.password_file, p);
	for (unsigned i = 0; i < c->auth.keys.n; i++)
		need_file(c, "auth.keys", c->auth.keys.items[i], p);
	if (c->state && stat(c->state, &st) == 0 && !S_ISDIR(st.st_mode))
		mu_problems_add(p, c->path, 0, "state: %s is not a folder", c->state);
	return p->n == before ? 0 : -EINVAL;
}

void mu_config_warnings(const struct mu_config *c, struct mu_problems *p)
{
	const struct mu_addr *a = outside(&c->http.listen);
	char text[MU_ADDR_TEXT];

	if (c->insecure_bench)
		mu_problems_add(p, c->path, 0,
			"insecure_bench: everybody on this machine may do everything with the token \"bench\"; never on a gateway in use");
	if (c->http.insecure_plain && a && !c->http.certificate)
		mu_problems_add(p, c->path, 0,
			"http.insecure_plain: %s is served without TLS: tokens cross the network readable unless a proxy before it does TLS",
			mu_addr_text(a, text));
	if (c->debug.core_dumps)
		mu_problems_add(p, c->path, 0, "debug.core_dumps: a crash writes keys and media to the disk");
	if (!c->state)
		mu_problems_add(p, c->path, 0,
			"state: not set: a restart forgets revoked tokens and conferences, and there is no audit log");
	if (a && !outside(&c->media.listen) && !c->media.advertise.n)
		mu_problems_add(p, c->path, 0,
			"media.listen: clients elsewhere reach http.listen, but media is received on loopback addresses only");
}
