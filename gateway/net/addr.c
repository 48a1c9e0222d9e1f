#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/net.h"

static int parse_port(const char *text, uint16_t *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || v > 65535)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

/* Split "host:port", "[host]:port", "host"; a bare IPv6 address has more than one colon and no brackets. */
static int split(const char *text, char host[INET6_ADDRSTRLEN], const char **ret_port)
{
	const char *colon = strchr(text, ':'), *end = text + strlen(text), *port = NULL;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		port = end[1] ? end + 2 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		end = colon;
		port = colon + 1;
	}
	if (end - text >= INET6_ADDRSTRLEN)
		return -EINVAL;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	*ret_port = port;
	return 0;
}

int mu_addr_parse(const char *text, uint16_t default_port, struct mu_addr *ret)
{
	struct mu_addr a;
	char host[INET6_ADDRSTRLEN];
	const char *port_text;
	uint16_t port = default_port;

	if (split(text, host, &port_text) < 0 || (port_text && parse_port(port_text, &port) < 0))
		return -EINVAL;
	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, host, &a.in4.sin_addr) == 1) {
		a.in4.sin_family = AF_INET;
		a.in4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

char *mu_addr_host(const struct mu_addr *a, char ret[MU_ADDR_TEXT])
{
	const void *ip = a->sa.sa_family == AF_INET6 ? (const void *)&a->in6.sin6_addr : &a->in4.sin_addr;

	if (!inet_ntop(a->sa.sa_family, ip, ret, MU_ADDR_TEXT))
		snprintf(ret, MU_ADDR_TEXT, "unknown");
	return ret;
}

char *mu_addr_text(const struct mu_addr *a, char ret[MU_ADDR_TEXT])
{
	char host[MU_ADDR_TEXT];

	mu_addr_host(a, host);
	snprintf(ret, MU_ADDR_TEXT, a->sa.sa_family == AF_INET6 ? "[%.50s]:%u" : "%.50s:%u", host, mu_addr_port(a));
	return ret;
}

/* sin_port and sin6_port lie at the same place. */
uint16_t mu_addr_port(const struct mu_addr *a)
{
	return ntohs(a->in4.sin_port);
}

void mu_addr_set_port(struct mu_addr *a, uint16_t port)
{
	a->in4.sin_port = htons(port);
}

bool mu_addr_equal(const struct mu_addr *a, const struct mu_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family || a->in4.sin_port != b->in4.sin_port)
		return false;
	if (a->sa.sa_family == AF_INET6)
		return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0 &&
			a->in6.sin6_scope_id == b->in6.sin6_scope_id;
	return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
}

bool mu_addr_is_any(const struct mu_addr *a)
{
	if (a->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
	return a->in4.sin_addr.s_addr == htonl(INADDR_ANY);
}

bool mu_addr_is_loopback(const struct mu_addr *a)
{
	if (a->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
	return ntohl(a->in4.sin_addr.s_addr) >> 24 == 127;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

uint64_t mu_addr_hash(const struct mu_addr *a)
{
	uint64_t v[2];

	if (a->sa.sa_family == AF_INET6) {
		memcpy(v, &a->in6.sin6_addr, 16);
		return mix(mix(v[0]) ^ v[1] ^ (uint64_t)a->in6.sin6_port << 48);
	}
	return mix((uint64_t)a->in4.sin_addr.s_addr << 16 | a->in4.sin_port);
}

/* --- the map ---------------------------------------------------------------------------------------------------- */

struct mu_addr_slot {
	struct mu_addr addr;
	void *value; /* NULL: free */
};

static size_t find(const struct mu_addr_map *m, const struct mu_addr *a)
{
	size_t i = mu_addr_hash(a) & (m->n_slots - 1);

	while (m->slots[i].value && !mu_addr_equal(&m->slots[i].addr, a))
		i = (i + 1) & (m->n_slots - 1);
	return i;
}

void *mu_addr_map_get(const struct mu_addr_map *m, const struct mu_addr *a)
{
	return m->n_slots ? m->slots[find(m, a)].value : NULL;
}

static int grow(struct mu_addr_map *m)
{
	struct mu_addr_map bigger = { .n_slots = m->n_slots ? m->n_slots * 2 : 64 };

	bigger.slots = calloc(bigger.n_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_slots; i++) {
		if (m->slots[i].value)
			bigger.slots[find(&bigger, &m->slots[i].addr)] = m->slots[i];
	}
	bigger.n_used = m->n_used;
	free(m->slots);
	*m = bigger;
	return 0;
}

int mu_addr_map_put(struct mu_addr_map *m, const struct mu_addr *a, void *value)
{
	size_t i;

	if (!value)
		return -EINVAL;
	if (m->n_used * 2 >= m->n_slots) {
		int err = grow(m);

		if (err < 0)
			return err;
	}
	i = find(m, a);
	if (!m->slots[i].value)
		m->n_used++;
	m->slots[i].addr = *a;
	m->slots[i].value = value;
	return 0;
}

/* Linear probing without tombstones: what follows the hole moves back if its own place is not behind the hole. */
void mu_addr_map_remove(struct mu_addr_map *m, const struct mu_addr *a)
{
	size_t mask = m->n_slots - 1, hole, i;

	if (!m->n_slots)
		return;
	hole = find(m, a);
	if (!m->slots[hole].value)
		return;
	m->n_used--;
	for (i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
		size_t home = mu_addr_hash(&m->slots[i].addr) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole].value = NULL;
}

void mu_addr_map_done(struct mu_addr_map *m)
{
	free(m->slots);
	memset(m, 0, sizeof(*m));
}
