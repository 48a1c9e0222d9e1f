#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <yaml.h>

#include "daemon/config.h"
#include "daemon/schema.h"
#include "daemon/values.h"

/* --- helpers ------------------------------------------------------------------------------------- */

#define GOOD "site: city\nauth: {keys: [a.pub]}\n"

static struct mu_config *load_text(const char *text)
{
	struct mu_problems p = { 0 };
	struct mu_config *c = NULL;

	if (mu_config_parse(text, strlen(text), "/etc/muster/x.yaml", &c, &p) < 0)
		fail_msg("%s", p.n ? p.text[0] : "no text");
	assert_int_equal(p.n, 0);
	return c;
}

static void expect(const char *text, const char *const *want)
{
	struct mu_problems p = { 0 };
	struct mu_config *c = NULL;
	unsigned n = 0;

	assert_int_equal(mu_config_parse(text, strlen(text), "x.yaml", &c, &p), -EINVAL);
	assert_null(c);
	for (; want[n]; n++) {
		if (n >= p.n)
			fail_msg("not said: %s\nof: %s", want[n], text);
		assert_string_equal(p.text[n], want[n]);
	}
	if (n < p.n)
		fail_msg("said besides: %s\nof: %s", p.text[n], text);
	mu_problems_done(&p);
}

/* --- values -------------------------------------------------------------------------------------- */

struct value_case {
	const char *text;
	int64_t want; /* -1: refused */
};

static void check_values(const struct value_case *v, size_t n, int (*parse)(const char *, int64_t *))
{
	for (size_t i = 0; i < n; i++) {
		int64_t got = -1;
		int err = parse(v[i].text, &got);

		if (err != (v[i].want < 0 ? -EINVAL : 0) || got != v[i].want)
			fail_msg("\"%s\": %d, %lld", v[i].text, err, (long long)got);
	}
}

static void test_durations(void **state)
{
	static const struct value_case v[] = { { "0", 0 }, { "0ms", 0 }, { "250us", 250 }, { "2ms", 2000 },
		{ "2 ms", 2000 }, { "1.5s", 1500000 }, { "10min", 600000000 }, { "1h", 3600000000 },
		{ "1d", 86400000000 }, { "0.5us", -1 }, { "1.0000005s", -1 }, { "5", -1 }, { "", -1 },
		{ "s", -1 }, { "-1s", -1 }, { "+1s", -1 }, { "1m", -1 }, { "1S", -1 }, { "1s ", -1 },
		{ " 1s", -1 }, { "1.s", -1 }, { ".5s", -1 }, { "1e3s", -1 }, { "0x1s", -1 },
		{ "999999999999999999d", -1 }, { "9999999999999999999s", -1 }, { "1  s", -1 } };

	(void)state;
	check_values(v, MU_ARRAY_LEN(v), mu_value_duration);
}

static void test_sizes(void **state)
{
	static const struct value_case v[] = { { "0", 0 }, { "512B", 512 }, { "64KiB", 65536 },
		{ "4MiB", 4194304 }, { "1.5MiB", 1572864 }, { "1GiB", 1073741824 }, { "64", -1 },
		{ "64KB", -1 }, { "64kib", -1 }, { "0.5B", -1 }, { "9000000000000GiB", -1 } };

	(void)state;
	check_values(v, MU_ARRAY_LEN(v), mu_value_size);
}

static void test_bitrates(void **state)
{
	static const struct value_case v[] = { { "300bit/s", 300 }, { "64kbit/s", 64000 },
		{ "2.5Mbit/s", 2500000 }, { "1Gbit/s", 1000000000 }, { "2.5", -1 }, { "2.5M", -1 },
		{ "2.5mbit/s", -1 }, { "1MB/s", -1 } };

	(void)state;
	check_values(v, MU_ARRAY_LEN(v), mu_value_bitrate);
}

/* RFC 7064, section 3.1 and RFC 7065, section 3.1, in what browsers take of them. */
static void test_ice_urls(void **state)
{
	static const char *const good[] = { "stun:a", "stun:stun.example.net:3478", "stuns:192.0.2.1", "turn:a_b.c",
		"turn:a:1", "turn:[2001:db8::1]", "turns:[2001:db8::1]:443?transport=tcp", "turn:a?transport=udp",
		"turn:192.0.2.1:65535?transport=tcp" };
	static const char *const bad[] = { "", "stun", "stun:", "STUN:a", "turn:?transport=udp", "turn:a?transport=sctp",
		"turn:a?transport=", "turn:a?x", "stun:a?transport=udp", "stun:a:", "stun:a:0", "stun:a:65536",
		"stun:a:123456", "stun:a:1x", "stun:[::1", "stun:[]", "stun:[a]", "stun:[192.0.2.1]",
		"stun:[2001:db8:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:1]:1", "stun:[::1]x", "stun://a", "stun:a/b", "stun:u@a",
		"stun:a>; x", "stun:a b", "stun:a\"", "stun:.a", "stun:-a", "http:a" };
	char longest[300] = "stun:";

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(good); i++) {
		if (mu_value_ice_url(good[i]) < 0)
			fail_msg("refused: %s", good[i]);
		assert_int_equal(mu_ice_url_relays(good[i]), good[i][0] == 't');
	}
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++) {
		if (mu_value_ice_url(bad[i]) == 0)
			fail_msg("taken: %s", bad[i]);
	}
	memset(longest + 5, 'a', 253);
	assert_int_equal(mu_value_ice_url(longest), 0);
	longest[5 + 253] = 'a';
	assert_int_equal(mu_value_ice_url(longest), -EINVAL);
}

static void test_value_texts(void **state)
{
	char t[MU_VALUE_TEXT];

	(void)state;
	assert_string_equal(mu_value_duration_text(0, t), "0");
	assert_string_equal(mu_value_duration_text(1500000, t), "1500ms");
	assert_string_equal(mu_value_duration_text(600000000, t), "10min");
	assert_string_equal(mu_value_size_text(65536, t), "64KiB");
	assert_string_equal(mu_value_bitrate_text(2500000, t), "2500kbit/s");
}

/* --- good files ---------------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
	struct mu_config *c = load_text(GOOD);
	char t[MU_ADDR_TEXT];

	(void)state;
	assert_string_equal(c->site, "city");
	assert_null(c->state);
	assert_int_equal(c->http.listen.n, 1);
	assert_string_equal(mu_addr_text(&c->http.listen.items[0], t), "127.0.0.1:8080");
	assert_int_equal(c->media.workers, 0);
	assert_int_equal(c->media.gather_us, 1000);
	assert_int_equal(c->media.receive_buffer, 4 << 20);
	assert_int_equal(c->media.tcp.n, 0);
	assert_int_equal(c->srtp.profiles.n, 3);
	assert_int_equal(c->endpoints.hold_us, 10000000);
	assert_int_equal(c->limits.publisher_bps, 50000000);
	assert_int_equal(c->conference.loudest, 5);
	assert_int_equal(c->conference.members, 512);
	assert_int_equal(c->log.level, MU_LOG_INFO);
	assert_int_equal(c->log.target, MU_LOG_AUTO);
	assert_false(c->insecure_bench);
	mu_config_free(c);
}

static void test_every_kind_of_value(void **state)
{
	struct mu_config *c = load_text("site: city.east-2\n"
					"state: /var/lib/muster\n"
					"http:\n  listen: ['192.0.2.1:8443', \"[2001:db8::1]:8443\"]\n"
					"  certificate: tls/c.pem\n  key: /k.pem\n"
					"media:\n  workers: 4\n  port: 6000\n  listen: [0.0.0.0, '::']\n"
					"  advertise: [203.0.113.1]\n  gather: 1.5ms\n  pin: true\n"
					"srtp:\n  engine: openssl\n  profiles: [AES128_CM_SHA1_80]\n"
					"auth:\n  keys:\n    - a.pub\n    - b.pub\n"
					"endpoints: {hold: 1min, second_publisher: take_over}\n"
					"limits:\n" /* all of it commented out */
					"log: {level: trace, target: json}\n");
	char t[MU_ADDR_TEXT];

	(void)state;
	assert_string_equal(c->site, "city.east-2");
	assert_int_equal(c->http.listen.n, 2);
	assert_string_equal(mu_addr_text(&c->http.listen.items[1], t), "[2001:db8::1]:8443");
	assert_string_equal(c->http.key, "/k.pem");
	assert_non_null(strstr(c->http.certificate, "/tls/c.pem"));
	assert_int_equal(c->http.certificate[0], '/');
	assert_int_equal(c->media.workers, 4);
	assert_int_equal(c->media.listen.n, 2);
	assert_true(mu_addr_is_any(&c->media.listen.items[1]));
	assert_int_equal(c->media.gather_us, 1500);
	assert_true(c->media.pin);
	assert_string_equal(mu_words_engine[c->srtp.engine], "openssl");
	assert_int_equal(c->srtp.profiles.n, 1);
	assert_string_equal(mu_words_profile[c->srtp.profiles.items[0]], "AES128_CM_SHA1_80");
	assert_int_equal(c->auth.keys.n, 2);
	assert_int_equal(c->endpoints.hold_us, 60000000);
	assert_int_equal(c->endpoints.second_publisher, 1);
	assert_int_equal(c->log.level, MU_LOG_TRACE);
	assert_int_equal(c->log.target, MU_LOG_JSON);
	mu_config_free(c);
}

/* What media.tcp stands for, with the rest of media. */
static void test_tcp_places(void **state)
{
	static const struct {
		const char *media, *want[4];
	} cases[] = {
		{ "tcp: 443, workers: 1", { "127.0.0.1:443" } },
		{ "tcp: 0", { "127.0.0.1:5000" } },
		{ "tcp: []", { NULL } },
		{ "tcp: 7000, listen: [0.0.0.0, '::']", { "0.0.0.0:7000", "[::]:7000" } },
		{ "tcp: 192.0.2.1, port: 6000", { "192.0.2.1:6000" } },
		{ "tcp: [192.0.2.1, '[2001:db8::1]:7000', 192.0.2.2:7000], port: 6000",
			{ "192.0.2.1:6000", "[2001:db8::1]:7000", "192.0.2.2:7000" } },
		{ "tcp: [7000, 192.0.2.2]", { "127.0.0.1:7000", "192.0.2.2:5000" } },
		{ "tcp: [7000, 7016]", { "127.0.0.1:7000", "127.0.0.1:7016" } },
		{ "tcp: 8081, workers: 4", { "127.0.0.1:8081" } },
		{ "tcp: 0, port: 0", { "127.0.0.1:0" } },
	};

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(cases); i++) {
		struct mu_addr at[MU_NET_LISTEN_MAX];
		char text[400], t[MU_ADDR_TEXT];
		struct mu_config *c;
		unsigned n;

		snprintf(text, sizeof(text), GOOD "media: {%s}\n", cases[i].media);
		c = load_text(text);
		n = mu_config_tcp(c, at);
		for (unsigned k = 0; k < n; k++)
			assert_string_equal(mu_addr_text(&at[k], t), cases[i].want[k]);
		assert_true(n == 4 || !cases[i].want[n]);
		mu_config_free(c);
	}
}

static void test_shipped_configs(void **state)
{
	static const char *const files[] = { "single", "bench", "firewall" };

	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(files); i++) {
		struct mu_problems p = { 0 };
		struct mu_config *c;
		char path[512];

		snprintf(path, sizeof(path), SOURCE_ROOT "/configs/%s.yaml", files[i]);
		if (mu_config_load(path, &c, &p) < 0)
			fail_msg("%s", p.text[0]);
		/* Nothing listens beyond this machine until somebody says so, which whoever takes the last did. */
		for (unsigned j = 0; j < c->http.listen.n; j++)
			assert_int_equal(mu_addr_is_loopback(&c->http.listen.items[j]), i != 2);
		assert_int_equal(mu_addr_is_loopback(&c->media.listen.items[0]), i != 2);
		assert_int_equal(c->ice.servers.n > 0, i == 2);
		assert_int_equal(c->insecure_bench, i == 1);
		mu_config_free(c);
	}
}

static void test_prometheus_example_is_yaml(void **state)
{
	FILE *f = fopen(SOURCE_ROOT "/configs/prometheus/muster.yml", "r");
	yaml_document_t d;
	yaml_parser_t y;

	(void)state;
	assert_non_null(f);
	assert_int_equal(yaml_parser_initialize(&y), 1);
	yaml_parser_set_input_file(&y, f);
	assert_int_equal(yaml_parser_load(&y, &d), 1);
	assert_int_equal(yaml_document_get_root_node(&d)->type, YAML_MAPPING_NODE);
	yaml_document_delete(&d);
	yaml_parser_delete(&y);
	fclose(f);
}

/* --- bad files ----------------------------------------------------------------------------------- */

#define KEYS_MISSING \
	"x.yaml: auth.keys: needs at least one public key file, or no token could be checked; musterctl token keygen FILE makes a pair"
#define SERVERS_ARE \
	"a list of servers, such as stun:stun.example.net, turn:turn.example.net:3478?transport=udp or turns:turn.example.net:443?transport=tcp"
#define SITE_IS "a dotted name of lower-case letters, digits and inner dashes, at most 63 characters, such as city.east"

static const struct {
	const char *text;
	const char *want[6];
} bad[] = {
	{ "", { "x.yaml: site: is missing; it must be " SITE_IS } },
	{ "# nothing\n", { "x.yaml: site: is missing; it must be " SITE_IS } },
	{ "site: city\n", { KEYS_MISSING } },
	{ "just text\n",
		{ "x.yaml:1: must be options, each \"name: value\" on its line",
			"x.yaml: site: is missing; it must be " SITE_IS } },
	{ GOOD "http:\n  lisen: ['127.0.0.1:1']\n",
		{ "x.yaml:4: http.lisen: no such option; did you mean http.listen?" } },
	{ GOOD "htpp:\n  listen: []\n", { "x.yaml:3: htpp: no such option; did you mean http?" } },
	{ GOOD "media: {level: debug}\n",
		{ "x.yaml:3: media.level: no such option; did you mean log.level?" } },
	{ GOOD "coffee: black\n",
		{ "x.yaml:3: coffee: no such option; musterd --print-options lists them" } },
	{ GOOD "log.level: debug\n",
		{ "x.yaml:3: log.level: options are nested: write \"log:\" and the rest on a line below it" } },
	{ GOOD "<<: {a: b}\n", { "x.yaml:3: <<: no such option; musterd --print-options lists them" } },
	{ GOOD "media: {workers: 17}\n",
		{ "x.yaml:3: media.workers: must be auto or a whole number from 1 to 16, not \"17\"" } },
	{ GOOD "media: {workers: 0}\n",
		{ "x.yaml:3: media.workers: must be auto or a whole number from 1 to 16, not \"0\"" } },
	{ GOOD "media: {workers: two}\n",
		{ "x.yaml:3: media.workers: must be auto or a whole number from 1 to 16, not \"two\"" } },
	{ GOOD "media: {gather: 9ms}\n",
		{ "x.yaml:3: media.gather: must be a duration (us, ms, s, min, h) from 0 to 5ms, not \"9ms\"" } },
	{ GOOD "media: {gather: 2}\n",
		{ "x.yaml:3: media.gather: must be a duration (us, ms, s, min, h) from 0 to 5ms, not \"2\"" } },
	{ GOOD "media: {receive_buffer: 1KiB}\n",
		{ "x.yaml:3: media.receive_buffer: must be a size (B, KiB, MiB, GiB) from 64KiB to 1GiB, not \"1KiB\"" } },
	{ GOOD "conference: {loudest: 65}\n", { "x.yaml:3: conference.loudest: must be a whole number from 1 to 64, not \"65\"" } },
	{ GOOD "conference: {members: 1}\n", { "x.yaml:3: conference.members: must be a whole number from 2 to 512, not \"1\"" } },
	{ GOOD "limits: {publisher_bitrate: 20M}\n",
		{ "x.yaml:3: limits.publisher_bitrate: must be a bit rate (kbit/s, Mbit/s, Gbit/s) from 64kbit/s to 10Gbit/s, not \"20M\"" } },
	{ GOOD "media: {pin: yes}\n", { "x.yaml:3: media.pin: must be true or false, not \"yes\"" } },
	{ GOOD "media: {pin: [true]}\n", { "x.yaml:3: media.pin: must be true or false, not a list" } },
	{ GOOD "media: {pin: {a: b}}\n", { "x.yaml:3: media.pin: must be true or false, not a group" } },
	{ GOOD "media:\n  pin:\n", { "x.yaml:4: media.pin: has no value; it must be true or false" } },
	{ GOOD "media: fast\n", { "x.yaml:3: media: must be a group of options, one a line below it" } },
	{ GOOD "media: [fast]\n", { "x.yaml:3: media: must be a group of options, one a line below it" } },
	{ GOOD "http: {listen: '127.0.0.1:80'}\n",
		{ "x.yaml:3: http.listen: must be a list of addresses with a port, such as 192.0.2.1:8443 or [2001:db8::1]:8443: [a, b]" } },
	{ GOOD "http: {listen: [127.0.0.1]}\n",
		{ "x.yaml:3: http.listen: must be a list of addresses with a port, such as 192.0.2.1:8443 or [2001:db8::1]:8443, not \"127.0.0.1\"" } },
	{ GOOD "http: {listen: ['localhost:80']}\n",
		{ "x.yaml:3: http.listen: must be a list of addresses with a port, such as 192.0.2.1:8443 or [2001:db8::1]:8443, not \"localhost:80\"" } },
	{ GOOD "media: {listen: ['127.0.0.1:80']}\n",
		{ "x.yaml:3: media.listen: must be a list of addresses without a port, such as 192.0.2.1 or 2001:db8::1, not \"127.0.0.1:80\"" } },
	{ GOOD "media: {listen: [127.0.0.1, 127.0.0.1]}\n",
		{ "x.yaml:3: media.listen: \"127.0.0.1\" is in the list twice" } },
	{ GOOD "media:\n  listen: [127.0.0.1, 127.0.0.2, 127.0.0.3, 127.0.0.4, 127.0.0.5,\n    127.0.0.6, 127.0.0.7, 127.0.0.8, 127.0.0.9]\n",
		{ "x.yaml:5: media.listen: \"127.0.0.9\" is too many; the list may have 8 items" } },
	{ GOOD "media: {listen: []}\n", { "x.yaml:3: media.listen: needs at least one address" } },
	{ GOOD "http: {listen: []}\n", { "x.yaml:3: http.listen: needs at least one address" } },
	{ GOOD "srtp: {profiles: []}\n", { "x.yaml:3: srtp.profiles: needs at least one profile" } },
	{ GOOD "srtp: {engine: fast}\n",
		{ "x.yaml:3: srtp.engine: must be one of auto, ipsec-mb, openssl, libsrtp, not \"fast\"" } },
	{ GOOD "srtp: {profiles: [NULL]}\n",
		{ "x.yaml:3: srtp.profiles: must be a list of AEAD_AES_128_GCM, AEAD_AES_256_GCM, AES128_CM_SHA1_80, not \"NULL\"" } },
	{ GOOD "site: town\n", { "x.yaml:3: site: given twice, first on line 1" } },
	{ GOOD "log: {level: info}\nlog: {target: json}\n",
		{ "x.yaml:4: log: given twice, first on line 3" } },
	{ GOOD "log:\n  level: info\n  level: debug\n",
		{ "x.yaml:5: log.level: given twice, first on line 4" } },
	{ "site: City\nauth: {keys: [a]}\n", { "x.yaml:1: site: must be " SITE_IS ", not \"City\"" } },
	{ "site: -city\nauth: {keys: [a]}\n", { "x.yaml:1: site: must be " SITE_IS ", not \"-city\"" } },
	{ "site: city-\nauth: {keys: [a]}\n", { "x.yaml:1: site: must be " SITE_IS ", not \"city-\"" } },
	{ "site: a-.b\nauth: {keys: [a]}\n", { "x.yaml:1: site: must be " SITE_IS ", not \"a-.b\"" } },
	{ "site: a..b\nauth: {keys: [a]}\n", { "x.yaml:1: site: must be " SITE_IS ", not \"a..b\"" } },
	{ "site: ../etc\nauth: {keys: [a]}\n", { "x.yaml:1: site: must be " SITE_IS ", not \"../etc\"" } },
	{ "site: \"a\\0b\"\nauth: {keys: [a]}\n", { "x.yaml:1: site: must be " SITE_IS ", not \"a?b\"" } },
	{ GOOD "? [a]\n: b\n", { "x.yaml:3: a key must be a name, not a list or a group" } },
	{ GOOD "---\nsite: city\n", { "x.yaml:4: a second document: a configuration is one" } },
	{ "site: city\n\tauth: x\n",
		{ "x.yaml:2: not YAML: found a tab character that violates indentation, while scanning a plain scalar" } },
	{ "site: \"city\n",
		{ "x.yaml:2: not YAML: found unexpected end of stream, while scanning a quoted scalar" } },
	{ "a: *b\n", { "x.yaml:1: not YAML: found undefined alias" } },
	{ "\xff\xfe\x00", { "x.yaml: site: is missing; it must be " SITE_IS } },
	{ "site: c\x80\n", { "x.yaml: not UTF-8 text: invalid leading UTF-8 octet at byte 7" } },
	{ GOOD "ice: {servers: ['http://a']}\n",
		{ "x.yaml:3: ice.servers: must be " SERVERS_ARE ", not \"http://a\"" } },
	{ GOOD "ice: {servers: ['stun:a', 'stun:a']}\n", { "x.yaml:3: ice.servers: \"stun:a\" is in the list twice" } },
	{ GOOD "ice: {servers: ['stun:a', 'turns:a']}\n",
		{ "x.yaml:3: ice.servers: a TURN server asks for a name and a password: give ice.secret_file, or ice.username_file and ice.password_file" } },
	{ GOOD "ice:\n  servers: ['turn:a']\n  username_file: u\n",
		{ "x.yaml:5: ice.username_file: ice.username_file and ice.password_file go together; ice.password_file is missing" } },
	{ GOOD "ice:\n  servers: ['turn:a']\n  password_file: u\n",
		{ "x.yaml:5: ice.password_file: ice.username_file and ice.password_file go together; ice.username_file is missing" } },
	{ GOOD "ice: {servers: ['turn:a'], secret_file: s, username_file: u, password_file: p}\n",
		{ "x.yaml:3: ice.username_file: with ice.secret_file each client has a name of its own: take one of the two out" } },
	{ GOOD "ice: {servers: ['stun:a'], secret_file: s}\n",
		{ "x.yaml:3: ice.secret_file: is for a TURN server, and ice.servers has none" } },
	{ GOOD "ice: {servers: ['turn:a'], secret_file: s, lifetime: 10s}\n",
		{ "x.yaml:3: ice.lifetime: must be a duration (us, ms, s, min, h) from 1min to 30d, not \"10s\"" } },
	/* everything at once, in the order of the file */
	{ "log: {level: loud}\nmedia:\n  prot: 1\n  pin: 1\nsite: city\n",
		{ "x.yaml:1: log.level: must be one of error, warn, info, debug, trace, not \"loud\"",
			"x.yaml:3: media.prot: no such option; did you mean media.port?",
			"x.yaml:4: media.pin: must be true or false, not \"1\"" } },
	/* an alias into its own parent ends */
	{ GOOD "media: &m {gather: *m}\n",
		{ "x.yaml:3: media.gather: must be a duration (us, ms, s, min, h) from 0 to 5ms, not a group" } },
};

static void test_bad_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(bad); i++)
		expect(bad[i].text, bad[i].want);
}

static const struct {
	const char *text;
	const char *want[4];
} insecure[] = {
	{ GOOD "http: {listen: ['0.0.0.0:80']}\n",
		{ "x.yaml:3: http.listen: 0.0.0.0:80 is not a loopback address and would be served without TLS: give http.certificate and http.key, or, behind a proxy that does TLS, http.insecure_plain: true" } },
	{ GOOD "http: {listen: ['127.0.0.1:80', '[2001:db8::1]:80']}\n",
		{ "x.yaml:3: http.listen: [2001:db8::1]:80 is not a loopback address and would be served without TLS: give http.certificate and http.key, or, behind a proxy that does TLS, http.insecure_plain: true" } },
	{ GOOD "http: {certificate: c.pem}\n",
		{ "x.yaml:3: http.certificate: http.certificate and http.key go together; http.key is missing" } },
	{ GOOD "http: {key: c.pem}\n",
		{ "x.yaml:3: http.key: http.certificate and http.key go together; http.certificate is missing" } },
	{ "site: b\ninsecure_bench: true\nhttp: {listen: ['0.0.0.0:80']}\n",
		{ "x.yaml:3: http.listen: 0.0.0.0 is not a loopback address, which insecure_bench demands: with it everybody who reaches the gateway may do everything" } },
	{ "site: b\ninsecure_bench: true\nhttp: {listen: ['192.0.2.1:80'], insecure_plain: true, certificate: a, key: b}\n",
		{ "x.yaml:3: http.listen: 192.0.2.1 is not a loopback address, which insecure_bench demands: with it everybody who reaches the gateway may do everything" } },
	{ "site: b\ninsecure_bench: true\nmedia: {listen: [127.0.0.1, '::']}\n",
		{ "x.yaml:3: media.listen: :: is not a loopback address, which insecure_bench demands: with it everybody who reaches the gateway may do everything" } },
	{ "site: b\ninsecure_bench: true\nmedia: {advertise: [192.0.2.9]}\n",
		{ "x.yaml:3: media.advertise: 192.0.2.9 is not a loopback address, which insecure_bench demands: with it everybody who reaches the gateway may do everything" } },
	{ "site: b\ninsecure_bench: false\n", { KEYS_MISSING } },
	{ GOOD "media: {advertise: ['192.0.2.9:5000']}\n",
		{ "x.yaml:3: media.advertise: 192.0.2.9:5000 has a port, but each worker has its own: leave the port out, or set media.workers: 1" } },
	{ GOOD "media: {advertise: ['2001:db8::9']}\n",
		{ "x.yaml:3: media.advertise: 2001:db8::9 is IPv6, but no address of media.listen is: nobody would hear what is sent there" } },
	{ GOOD "media: {advertise: [192.0.2.9], listen: ['::']}\n",
		{ "x.yaml:3: media.advertise: 192.0.2.9 is IPv4, but no address of media.listen is: nobody would hear what is sent there" } },
	{ GOOD "media: {advertise: [0.0.0.0]}\n",
		{ "x.yaml:3: media.advertise: 0.0.0.0 is no address a client can send to" } },
	{ GOOD "media: {advertise: [255.255.255.255]}\n",
		{ "x.yaml:3: media.advertise: 255.255.255.255 is no address a client can send to" } },
	{ GOOD "media: {tcp: house}\n",
		{ "x.yaml:3: media.tcp: must be a port, or a list of ports and addresses, such as 443, 192.0.2.1, 192.0.2.1:443 or [2001:db8::1]:443, not \"house\"" } },
	{ GOOD "media: {tcp: 65536}\n",
		{ "x.yaml:3: media.tcp: must be a port, or a list of ports and addresses, such as 443, 192.0.2.1, 192.0.2.1:443 or [2001:db8::1]:443, not \"65536\"" } },
	{ GOOD "media: {tcp: [7000, 7000]}\n", { "x.yaml:3: media.tcp: \"7000\" is in the list twice" } },
	{ GOOD "media: {tcp: ~}\n",
		{ "x.yaml:3: media.tcp: has no value; it must be a port, or a list of ports and addresses, such as 443, 192.0.2.1, 192.0.2.1:443 or [2001:db8::1]:443" } },
	{ GOOD "media: {tcp: 65530}\n",
		{ "x.yaml:3: media.tcp: 127.0.0.1:65530 leaves no ports for the workers after the first, which take the next ones" } },
	{ GOOD "media: {tcp: [7000, 127.0.0.1:7001], workers: 2}\n",
		{ "x.yaml:3: media.tcp: 127.0.0.1:7001 is taken twice, by a worker each" } },
	{ GOOD "media: {tcp: [7000, 127.0.0.1:7000]}\n",
		{ "x.yaml:3: media.tcp: 127.0.0.1:7000 is taken twice, by a worker each" } },
	{ GOOD "media: {tcp: 8079, workers: 2}\n",
		{ "x.yaml:3: media.tcp: http.listen has 127.0.0.1:8080 already: give media another port, or another address" } },
	{ GOOD "media: {tcp: ['0.0.0.0:8080']}\n",
		{ "x.yaml:3: media.tcp: http.listen has 127.0.0.1:8080 already: give media another port, or another address" } },
	{ GOOD "media: {tcp: ['224.0.0.1:80']}\n",
		{ "x.yaml:3: media.tcp: 224.0.0.1 is no address of one machine" } },
	{ GOOD "media: {listen: [127.0.0.1, 127.0.0.2, 127.0.0.3], tcp: [1000, 2000, 3000]}\n",
		{ "x.yaml:3: media.tcp: stands for 9 addresses with media.listen, which are too many: at most 8" } },
	{ "site: b\ninsecure_bench: true\nmedia: {tcp: 192.0.2.9}\n",
		{ "x.yaml:3: media.tcp: 192.0.2.9 is not a loopback address, which insecure_bench demands: with it everybody who reaches the gateway may do everything" } },
	{ GOOD "media: {tcp_per_address: 0}\n",
		{ "x.yaml:3: media.tcp_per_address: must be a whole number from 1 to 4096, not \"0\"" } },
	{ GOOD "media: {listen: [224.0.0.1, 'ff02::1']}\n",
		{ "x.yaml:3: media.listen: 224.0.0.1 is no address of one machine, and no client would send there",
			"x.yaml:3: media.listen: ff02::1 is no address of one machine, and no client would send there" } },
};

static void test_insecure_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(insecure); i++)
		expect(insecure[i].text, insecure[i].want);
}

static const struct {
	const char *text;
	const char *want[4]; /* beginnings of warnings */
} risky[] = {
	{ GOOD "state: s\n", { NULL } },
	{ GOOD, { "state: not set" } },
	{ "site: b\nstate: s\ninsecure_bench: true\n", { "insecure_bench: everybody" } },
	{ GOOD "state: s\nhttp: {insecure_plain: true}\n", { NULL } }, /* on loopback it changes nothing */
	{ GOOD "state: s\nmedia: {listen: [0.0.0.0]}\nhttp: {insecure_plain: true, listen: ['0.0.0.0:80']}\n",
		{ "http.insecure_plain: 0.0.0.0:80 is served without TLS" } },
	{ GOOD "state: s\nhttp: {certificate: c, key: k, listen: ['0.0.0.0:80']}\n",
		{ "media.listen: clients elsewhere" } },
	{ GOOD "state: s\ndebug: {core_dumps: true}\n", { "debug.core_dumps: a crash" } },
};

static void test_what_is_risky_is_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < MU_ARRAY_LEN(risky); i++) {
		struct mu_config *c = load_text(risky[i].text);
		struct mu_problems p = { 0 };
		unsigned n = 0;

		mu_config_warnings(c, &p);
		for (; risky[i].want[n]; n++) {
			assert_true(n < p.n);
			if (!strstr(p.text[n], risky[i].want[n]))
				fail_msg("%s, not %s", p.text[n], risky[i].want[n]);
		}
		assert_int_equal(p.n, n);
		mu_problems_done(&p);
		mu_config_free(c);
	}
}

static void test_too_large_and_too_wrong(void **state)
{
	size_t len = MU_CONFIG_FILE_MAX + 1;
	struct mu_problems p = { 0 };
	char *text = malloc(len);
	struct mu_config *c;

	(void)state;
	memset(text, '#', len);
	assert_int_equal(mu_config_parse(text, len, "x.yaml", &c, &p), -EINVAL);
	assert_string_equal(p.text[0], "x.yaml: is larger than 256 KiB");
	mu_problems_done(&p);
	for (size_t i = 0; i + 5 <= len; i += 5)
		memcpy(text + i, "a: b\n", 5);
	assert_int_equal(mu_config_parse(text, len - 1 - (len - 1) % 5, "x.yaml", &c, &p), -EINVAL);
	assert_int_equal(p.n, MU_CONFIG_PROBLEMS_MAX);
	mu_problems_done(&p);
	free(text);
}

static void test_file_that_is_not_there(void **state)
{
	struct mu_problems p = { 0 };
	struct mu_config *c;

	(void)state;
	assert_int_equal(mu_config_load("/nowhere/x.yaml", &c, &p), -EINVAL);
	assert_string_equal(p.text[0], "/nowhere/x.yaml: cannot be read: No such file or directory");
	mu_problems_done(&p);
	assert_int_equal(mu_config_load("/", &c, &p), -EINVAL);
	assert_string_equal(p.text[0], "/: cannot be read: Is a directory");
	mu_problems_done(&p);
}

/* It would be opened at a reload, and nobody be served until somebody writes to it. */
static void test_a_pipe_is_not_waited_for(void **state)
{
	char folder[] = "/tmp/muster-test-XXXXXX", path[64];
	struct mu_problems p = { 0 };
	struct mu_config *c;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/x.yaml", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(mu_config_load(path, &c, &p), -EINVAL);
	assert_non_null(strstr(p.text[0], "/x.yaml: is not a file"));
	mu_problems_done(&p);
	unlink(path);
	rmdir(folder);
}

static void test_files_it_names(void **state)
{
	struct mu_config *c = load_text(GOOD "http: {certificate: /nowhere/c.pem, key: /}\n");
	struct mu_problems p = { 0 };

	(void)state;
	assert_int_equal(mu_config_check_files(c, &p), -EINVAL);
	assert_int_equal(p.n, 3);
	assert_string_equal(p.text[0],
		"/etc/muster/x.yaml: http.certificate: /nowhere/c.pem cannot be read: No such file or directory");
	assert_string_equal(p.text[1], "/etc/muster/x.yaml: http.key: / is not a file");
	mu_problems_done(&p);
	mu_config_free(c);
}

/* --- reload -------------------------------------------------------------------------------------- */

static char told[256];

static void on_taken(const char *path)
{
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "+%s ", path);
}

static void on_kept(const char *path)
{
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "-%s ", path);
}

static void test_swap_takes_what_can_change(void **state)
{
	struct mu_config *a = load_text(GOOD "media: {gather: 3ms}\n");
	struct mu_config *b = load_text(
		"site: town\nauth: {keys: [a.pub, b.pub]}\nlog: {level: debug}\nhttp: {certificate: c, key: k}\n");

	(void)state;
	told[0] = '\0';
	mu_config_swap(a, b, on_taken, on_kept);
	assert_string_equal(told, "-site +http.certificate +http.key -media.gather +auth.keys +log.level ");
	assert_string_equal(a->site, "city");
	assert_int_equal(a->media.gather_us, 3000);
	assert_int_equal(a->auth.keys.n, 2);
	assert_int_equal(a->log.level, MU_LOG_DEBUG);
	assert_non_null(a->http.key);
	mu_config_swap(a, b, NULL, NULL);
	assert_null(a->http.key);
	assert_int_equal(a->auth.keys.n, 1);
	assert_int_equal(a->log.level, MU_LOG_INFO);
	mu_config_free(a);
	mu_config_free(b);
}

static void test_swap_of_the_same_says_nothing(void **state)
{
	struct mu_config *a = load_text(GOOD), *b = load_text(GOOD "media: {port: 5000}\n");

	(void)state;
	told[0] = '\0';
	mu_config_swap(a, b, on_taken, on_kept);
	assert_string_equal(told, "");
	mu_config_free(a);
	mu_config_free(b);
}

/* --- the table ----------------------------------------------------------------------------------- */

static void test_documentation_is_the_table(void **state)
{
	FILE *f = fopen(SOURCE_ROOT "/docs/configuration.md", "r");
	size_t size = 0, n = 0;
	char *want = NULL, *have = NULL;
	FILE *out = open_memstream(&want, &size);

	(void)state;
	assert_non_null(f);
	mu_options_print(out);
	fclose(out);
	assert_true(getdelim(&have, &n, '\0', f) > 0);
	fclose(f);
	if (strcmp(have, want) != 0)
		fail_msg("docs/configuration.md differs: musterd --print-options > docs/configuration.md");
	free(want);
	free(have);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bitrates),
		cmocka_unit_test(test_ice_urls),
		cmocka_unit_test(test_value_texts),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_kind_of_value),
		cmocka_unit_test(test_tcp_places),
		cmocka_unit_test(test_shipped_configs),
		cmocka_unit_test(test_prometheus_example_is_yaml),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_insecure_is_refused),
		cmocka_unit_test(test_what_is_risky_is_said),
		cmocka_unit_test(test_too_large_and_too_wrong),
		cmocka_unit_test(test_file_that_is_not_there),
		cmocka_unit_test(test_a_pipe_is_not_waited_for),
		cmocka_unit_test(test_files_it_names),
		cmocka_unit_test(test_swap_takes_what_can_change),
		cmocka_unit_test(test_swap_of_the_same_says_nothing),
		cmocka_unit_test(test_documentation_is_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
