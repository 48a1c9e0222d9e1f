/* The bare forwarder: keys and addresses by its control line, which answers at once, so waiting for it is no
 * harm. */
#include "load.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int control = -1;

static bool open_control(const char *where)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct timeval limit = { 5, 0 };
	char host[64];
	unsigned port;

	if (control >= 0)
		return true;
	if (sscanf(where, "%63[^:]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &a.sin_addr) != 1)
		return false;
	a.sin_port = htons((uint16_t)port);
	control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return control >= 0 && connect(control, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool ask(const char *line, char *reply, size_t size)
{
	size_t n = 0;

	if (write(control, line, strlen(line)) != (ssize_t)strlen(line))
		return false;
	while (n < size - 1 && (!n || reply[n - 1] != '\n')) {
		ssize_t k = read(control, reply + n, size - 1 - n);

		if (k <= 0)
			return false;
		n += (size_t)k;
	}
	reply[n] = 0;
	return !strncmp(reply, "ok", 2);
}

static void hex(const uint8_t *d, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++)
		sprintf(ret + 2 * i, "%02x", d[i]);
}

/* What SDP would have agreed on. */
static void set_remote(struct peer *p, uint16_t port)
{
	struct remote *r = &p->remote;

	r->addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	r->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r->pt[VIDEO] = 96;
	r->pt[AUDIO] = 111;
	r->ext_mid = 3;
	r->ext_twcc = 4;
	strcpy(r->mid[AUDIO], "0");
	strcpy(r->mid[VIDEO], "1");
}

static void start(struct peer *p)
{
	static int number_of[256]; /* stream -> the forwarder's number of it */
	static unsigned port;
	struct mu_dtls_keys k = { .profile = p->load->o.profile };
	char line[512], reply[128] = "", key[128];
	int number = 0;
	bool good;

	mu_random(k.local, sizeof(k.local));
	memcpy(k.remote, k.local, sizeof(k.remote));
	hex(k.local, mu_srtp_key_len(k.profile) + mu_srtp_salt_len(k.profile), key);
	if (p->publishes)
		snprintf(line, sizeof(line), "pub %s %u %u %u %s\n", net_address(p), p->port,
			pub_ssrc(p->pub, VIDEO), pub_ssrc(p->pub, AUDIO), key);
	else
		snprintf(line, sizeof(line), "sub %d %s %u %u %u %s\n", number_of[p->stream & 255],
			net_address(p), p->port, 2 * p->index + 2, 2 * p->index + 3, key);
	good = open_control(p->load->o.yardstick) && ask(line, reply, sizeof(reply));
	if (good && p->publishes) {
		good = sscanf(reply, "ok %d %u", &number, &port) == 2;
		number_of[p->stream & 255] = number;
	}
	if (!good) {
		peer_fail(p, "the forwarder refused or did not answer");
		return;
	}
	set_remote(p, (uint16_t)port);
	peer_keys(p, &k);
}

static void stop(struct peer *p)
{
	peer_gone(p);
}

static void stats(json_t *report)
{
	char reply[512] = "";
	json_t *j;

	ask("stat\n", reply, sizeof(reply));
	j = json_loads(reply, 0, NULL);
	if (j)
		json_object_set_new(report, "server", j);
}

const struct signalling signal_yard = { start, stop, stats };
