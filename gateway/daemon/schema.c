#include <stdio.h>
#include <stdlib.h>

#include "conference/conference.h"
#include "daemon/schema.h"

/* The order of words is the order of the enum they stand for. */
static const char *const words_second[] = { "refuse", "take_over", NULL };
static const char *const words_level[] = { "error", "warn", "info", "debug", "trace", NULL };
static const char *const words_target[] = { "auto", "stderr", "journal", "json", NULL };
const char *const mu_words_engine[] = { "auto", "ipsec-mb", "openssl", "libsrtp", NULL };
const char *const mu_words_profile[] = { "AEAD_AES_128_GCM", "AEAD_AES_256_GCM", "AES128_CM_SHA1_80", NULL };

#define AT(field) .at = offsetof(struct mu_config, field)
#define SECOND    INT64_C(1000000)

const struct mu_option mu_options[] = {
	{ "site", MU_OPTION_SITE, AT(site), .required = true,
		.help = "Name of this site, dotted from the root. Every endpoint's id begins with it." },
	{ "state", MU_OPTION_FOLDER, AT(state),
		.help = "Where revoked tokens, conferences and the audit log are kept; of one gateway alone. Made at start if it is not there. Without it a restart forgets them." },
	{ "insecure_bench", MU_OPTION_BOOL, AT(insecure_bench), .def = "false",
		.help = "For measurements on one machine: plain HTTP, no keys, and the fixed token `bench` may do everything. Refused unless every address is a loopback address." },

	{ "http.listen", MU_OPTION_SOCKETS, AT(http.listen), .def = "127.0.0.1:8080",
		.help = "Where WHIP, WHEP, the API and the console are served. Port 0 takes any free one." },
	{ "http.certificate", MU_OPTION_FILE, AT(http.certificate), .reloadable = true,
		.help = "TLS certificate and its chain, PEM. Best with an ECDSA P-256 key: each handshake takes a signature, which the control thread makes, and with RSA that is some ten times the work. Without it HTTP is plain, which is allowed on loopback addresses only." },
	{ "http.key", MU_OPTION_FILE, AT(http.key), .reloadable = true,
		.help = "Private key of the certificate, PEM." },
	{ "http.insecure_plain", MU_OPTION_BOOL, AT(http.insecure_plain), .def = "false",
		.help = "Allow plain HTTP on other than loopback addresses: only behind a proxy that does TLS, since tokens and SDP cross the network readable." },

	{ "media.workers", MU_OPTION_INT, AT(media.workers), .def = "auto", .min = 1, .max = MU_WORKERS_MAX,
		.zero = "auto", .help = "Threads that carry media. `auto` is one a core." },
	{ "media.port", MU_OPTION_INT, AT(media.port), .def = "5000", .max = 65535 - MU_WORKERS_MAX + 1,
		.help = "UDP port of the first worker; each further one takes the next port. 0 takes any free ones." },
	{ "media.listen", MU_OPTION_HOSTS, AT(media.listen), .def = "127.0.0.1",
		.help = "Addresses media is received on. `0.0.0.0` stands for all of the machine's IPv4 addresses, `::` for all of its IPv6 ones. Firefox never uses loopback for media: on one machine, add another of its addresses." },
	{ "media.advertise", MU_OPTION_ADDRESSES, AT(media.advertise), .reloadable = true,
		.help = "Addresses told to clients instead of the listening ones: for a gateway behind one-to-one NAT. Each of a family that is listened on; with a port only where there is one worker, which is then that of UDP and of TCP." },
	{ "media.tcp", MU_OPTION_PLACES, AT(media.tcp),
		.help = "Where media is taken by TCP as well (ICE-TCP, RFC 6544), for clients whose firewall lets no UDP through. A port stands for all addresses of `media.listen`, an address without one, or port 0, for `media.port`; each further worker takes the next port. None by default: a machine listens where its administrator said, and TCP at the same ports needs a rule of its own in the firewall. Clients that can prefer UDP, for what TCP loses holds up all that follows. Firewalls that let only 443 out are passed with `media.workers: 1` and an address of its own, `[192.0.2.11:443]`; a port below 1024 needs `net.ipv4.ip_unprivileged_port_start`, or the right to it." },
	{ "media.tcp_per_address", MU_OPTION_INT, AT(media.tcp_per_address), .def = "512", .min = 1,
		.max = MU_TCP_MAX,
		.help = "Most TCP connections for media that a worker takes from one address, or IPv6 network of 64 bits. Browsers make some for each session, and a building behind NAT is one address." },
	{ "media.gather", MU_OPTION_DURATION, AT(media.gather_us), .def = "1ms", .max = 5000,
		.help = "How long a packet may wait for more to be sent with it, which saves CPU time. A worker begins to wait at 40 % of load and waits this long from 80 % on." },
	{ "media.pin", MU_OPTION_BOOL, AT(media.pin), .def = "false",
		.help = "Keep each worker on a core of its own." },
	{ "media.receive_buffer", MU_OPTION_SIZE, AT(media.receive_buffer), .def = "4MiB", .min = 64 << 10,
		.max = 1 << 30,
		.help = "Kernel's buffer of each media socket for datagrams that wait to be read. The kernel grants at most `net.core.rmem_max`." },
	{ "media.send_buffer", MU_OPTION_SIZE, AT(media.send_buffer), .def = "4MiB", .min = 64 << 10,
		.max = 1 << 30,
		.help = "Kernel's buffer of each media socket for datagrams that wait to leave. The kernel grants at most `net.core.wmem_max`." },
	{ "media.packets", MU_OPTION_INT, AT(media.packets), .def = "65536", .min = 1024, .max = 1 << 22,
		.help = "Most packets a worker holds at once, some 1.6 KiB each, taken as needed. Past it, packets are dropped and counted." },

	{ "ice.servers", MU_OPTION_URLS, AT(ice.servers), .reloadable = true,
		.help = "STUN and TURN servers that clients are told of, for those that reach neither `media.listen` nor `media.tcp`. Browsers use the first few; `turns:` on port 443 passes nearly every firewall. The gateway itself talks to none of them." },
	{ "ice.secret_file", MU_OPTION_FILE, AT(ice.secret_file), .reloadable = true,
		.help = "Holds the secret that the TURN servers share (coturn: `use-auth-secret`, `static-auth-secret`), in one line. Each client gets a name and a password of its own that last for `ice.lifetime`." },
	{ "ice.lifetime", MU_OPTION_DURATION, AT(ice.lifetime_us), .def = "12h", .reloadable = true,
		.min = 60 * SECOND, .max = 30 * 86400 * SECOND,
		.help = "How long a client may begin to use a relay with its password. What runs goes on longer; a client that changes its network after that time has to begin a new session." },
	{ "ice.username_file", MU_OPTION_FILE, AT(ice.username_file), .reloadable = true,
		.help = "Instead of `ice.secret_file`: holds one name for all clients, in one line. Who was ever given it and the password may use the relay until they are changed." },
	{ "ice.password_file", MU_OPTION_FILE, AT(ice.password_file), .reloadable = true,
		.help = "Holds the password that belongs to `ice.username_file`, in one line." },

	{ "srtp.engine", MU_OPTION_WORD, AT(srtp.engine), .def = "auto", .words = mu_words_engine,
		.help = "Implementation of the ciphers. `auto` is ipsec-mb where the CPU can run it, else openssl." },
	{ "srtp.profiles", MU_OPTION_WORDS, AT(srtp.profiles),
		.def = "AEAD_AES_128_GCM AEAD_AES_256_GCM AES128_CM_SHA1_80", .words = mu_words_profile,
		.help = "DTLS-SRTP protection profiles offered, best first." },

	{ "auth.keys", MU_OPTION_FILES, AT(auth.keys), .reloadable = true,
		.help = "Public keys (PEM; Ed25519 or P-256) whose tokens are accepted. At least one, unless `insecure_bench` is set. `musterctl token keygen` makes a pair." },

	{ "endpoints.hold", MU_OPTION_DURATION, AT(endpoints.hold_us), .def = "10s", .reloadable = true,
		.max = 600 * SECOND,
		.help = "How long viewers of a publisher that vanished are kept for its return." },
	{ "endpoints.second_publisher", MU_OPTION_WORD, AT(endpoints.second_publisher), .def = "refuse",
		.reloadable = true, .words = words_second,
		.help = "What happens to a publisher under an id that is live already: it is refused, or takes over and the first is ended. With the same token it takes over in any case once the first has not been heard for two seconds, or for seven where it had paused its media." },

	{ "conference.loudest", MU_OPTION_INT, AT(conference.loudest), .def = "5", .reloadable = true, .min = 1,
		.max = MU_LOUDEST_MAX,
		.help = "How many of those who speak in a conference are heard at once, where who makes it does not say. Conferences that there are keep what they have." },
	{ "conference.members", MU_OPTION_INT, AT(conference.members), .def = "512", .reloadable = true, .min = 2,
		.max = MU_MEMBERS_MAX,
		.help = "Most members of a conference, those included whose connection is lost. Past it new ones are refused." },

	{ "limits.sessions", MU_OPTION_INT, AT(limits.sessions), .def = "10000", .reloadable = true, .min = 1,
		.max = 1000000,
		.help = "Most sessions at once, publishers and viewers. Past it new ones are refused with 503. The last tenth is kept for publishers and for who may operate the gateway." },
	{ "limits.sessions_per_token", MU_OPTION_INT, AT(limits.sessions_per_token), .def = "1000",
		.reloadable = true, .min = 1, .max = 1000000,
		.help = "Most sessions at once made with one token. Past it new ones are refused with 429." },
	{ "limits.publisher_bitrate", MU_OPTION_BITRATE, AT(limits.publisher_bps), .def = "50Mbit/s",
		.reloadable = true, .min = 64000, .max = INT64_C(10000000000),
		.help = "Most a publisher may send. What comes above it is dropped and counted." },

	{ "log.level", MU_OPTION_WORD, AT(log.level), .def = "info", .reloadable = true, .words = words_level,
		.help = "The least important lines that are written." },
	{ "log.target", MU_OPTION_WORD, AT(log.target), .def = "auto", .words = words_target,
		.help = "Where log lines go. `auto` is journald where systemd connected it, else stderr; `json` is one object a line on stderr." },

	{ "drain.deadline", MU_OPTION_DURATION, AT(drain.deadline_us), .def = "10s", .reloadable = true,
		.max = 600 * SECOND, .help = "How long a stop waits at most for sessions to end." },

	{ "debug.core_dumps", MU_OPTION_BOOL, AT(debug.core_dumps), .def = "false",
		.help = "Allow core dumps and debuggers. A dump holds keys and media: never on a machine that carries real ones." },
};
const size_t mu_n_options = MU_ARRAY_LEN(mu_options);
_Static_assert(MU_ARRAY_LEN(mu_options) <= MU_OPTIONS_MAX,
	"lines of options are kept in an array of MU_OPTIONS_MAX");

int mu_option_find(const char *path)
{
	for (size_t i = 0; i < mu_n_options; i++) {
		if (strcmp(mu_options[i].path, path) == 0)
			return (int)i;
	}
	return -1;
}

bool mu_option_is_group(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < mu_n_options; i++) {
		if (strncmp(mu_options[i].path, path, len) == 0 && mu_options[i].path[len] == '.')
			return true;
	}
	return false;
}

#define NAME_MAX_LEN 63

/* Levenshtein's distance; both at most NAME_MAX_LEN long. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LEN + 1];
	size_t n = strlen(b);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned other = MU_MIN(row[j], row[j - 1]) + 1, same = corner + (*a != b[j - 1]);

			corner = row[j];
			row[j] = MU_MIN(other, same);
		}
	}
	return row[n];
}

const char *mu_option_nearest(const char *path, char *ret, size_t size)
{
	const char *last = strrchr(path, '.');
	unsigned best = UINT32_MAX, limit = 1 + (unsigned)strlen(last ? last + 1 : path) / 3;

	if (strlen(path) > NAME_MAX_LEN)
		return NULL;
	for (size_t i = 0; i < mu_n_options; i++) {
		const char *p = mu_options[i].path, *dot = strchr(p, '.');
		char group[NAME_MAX_LEN + 1];
		unsigned d = distance(path, p);

		if (d < best) {
			best = d;
			snprintf(ret, size, "%s", p);
		}
		if (!dot)
			continue;
		snprintf(group, sizeof(group), "%.*s", (int)(dot - p), p);
		d = distance(path, group);
		if (d < best) {
			best = d;
			snprintf(ret, size, "%s", group);
		}
	}
	if (best <= limit)
		return ret;
	/* The right name in the wrong group, "media.level". */
	for (size_t i = 0; last && i < mu_n_options; i++) {
		const char *dot = strchr(mu_options[i].path, '.');

		if (strcmp(dot ? dot : mu_options[i].path, dot ? last : last + 1) == 0) {
			snprintf(ret, size, "%s", mu_options[i].path);
			return ret;
		}
	}
	return NULL;
}
