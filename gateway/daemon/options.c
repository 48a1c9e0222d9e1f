/* options: from the configuration to what the modules take. */
#include <sched.h>
#include <sys/resource.h>

#include "daemon/gateway.h"
#include "daemon/schema.h"

static const enum mu_srtp_profile profile_of[] = { MU_SRTP_AEAD_AES_128_GCM, MU_SRTP_AEAD_AES_256_GCM,
	MU_SRTP_AES128_CM_SHA1_80 }; /* in the order of mu_words_profile */

static unsigned worker_count(const struct mu_config *c)
{
	cpu_set_t cpus;

	if (c->media.workers)
		return (unsigned)c->media.workers;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0) /* more cores than the set has room for */
		return MU_WORKERS_MAX;
	return (unsigned)MU_MIN(CPU_COUNT(&cpus), MU_WORKERS_MAX);
}

/* A quarter of the descriptors for all workers: HTTP has half, and files and databases are few. */
static unsigned tcp_connections(unsigned workers)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return MU_TCP_MAX;
	return (unsigned)MU_MIN(MU_MAX(files.rlim_cur / 4 / workers, 16), MU_TCP_MAX);
}

static void net_options(const struct mu_config *c, struct mu_net_options *ret)
{
	ret->workers = worker_count(c);
	ret->port = (uint16_t)c->media.port;
	ret->n_listen = c->media.listen.n;
	memcpy(ret->listen, c->media.listen.items, c->media.listen.n * sizeof(ret->listen[0]));
	ret->n_tcp = mu_config_tcp(c, ret->tcp);
	ret->tcp_per_source = (unsigned)c->media.tcp_per_address;
	ret->tcp_connections = tcp_connections(ret->workers);
	ret->pin = c->media.pin;
	ret->rcvbuf = (int)c->media.receive_buffer;
	ret->sndbuf = (int)c->media.send_buffer;
}

int mu_gateway_new_media(struct mu_gateway *g, struct mu_error *e)
{
	const struct mu_config *c = g->config;
	enum mu_srtp_profile profiles[MU_CONFIG_LIST_MAX + 1] = { MU_SRTP_NONE };
	struct mu_transport_options o = {
		.srtp_engine = mu_words_engine[c->srtp.engine],
		.profiles = profiles,
		.gather_us = c->media.gather_us,
		.publisher_bps = (uint64_t)c->limits.publisher_bps,
		.packets_max = (size_t)c->media.packets,
		.control = (struct mu_inbox *)(uintptr_t)&g->inbox,
	};

	for (unsigned i = 0; i < c->srtp.profiles.n; i++)
		profiles[i] = profile_of[c->srtp.profiles.items[i]];
	net_options(c, &o.net);
	g->n_tcp = o.net.n_tcp;
	memcpy(g->tcp, o.net.tcp, sizeof(g->tcp));
	return mu_media_new(&o, &g->media, e);
}

void mu_gateway_webrtc_options(const struct mu_gateway *g, struct mu_webrtc_options *ret)
{
	const struct mu_config *c = g->config;

	*ret = (struct mu_webrtc_options){
		.media = g->media,
		.directory = g->directory,
		.conferences = g->conferences,
		.advertise = c->media.advertise.items,
		.n_advertise = c->media.advertise.n,
		.listen = c->media.listen.items,
		.n_listen = c->media.listen.n,
		.tcp = g->tcp,
		.n_tcp = g->n_tcp,
		.hold_us = c->endpoints.hold_us,
		.second = (enum mu_second_publisher)c->endpoints.second_publisher,
		.max_sessions = (unsigned)c->limits.sessions,
		.max_sessions_per_token = (unsigned)c->limits.sessions_per_token,
		.control = (struct mu_inbox *)(uintptr_t)&g->inbox,
		.ice = {
			.urls = (const char *const *)c->ice.servers.items,
			.n_urls = c->ice.servers.n,
			.secret = g->ice.secret,
			.lifetime_s = c->ice.lifetime_us / 1000000,
			.username = g->ice.username,
			.password = g->ice.password,
		},
	};
}

void mu_gateway_conference_limits(const struct mu_gateway *g, struct mu_conference_limits *ret)
{
	const struct mu_config *c = g->config;

	*ret = (struct mu_conference_limits){
		.loudest = (unsigned)c->conference.loudest,
		.members = (unsigned)c->conference.members,
	};
}

static bool workers_answer(void *arg)
{
	return mu_health_good(arg, mu_clock_us());
}

void mu_gateway_api_options(const struct mu_gateway *g, struct mu_api_options *ret)
{
	const struct mu_config *c = g->config;

	*ret = (struct mu_api_options){
		.webrtc = g->webrtc,
		.directory = g->directory,
		.media = g->media,
		.keyring = g->keyring,
		.conferences = g->conferences,
		.conference_db = g->conference_db,
		.listen = c->http.listen.items,
		.n_listen = c->http.listen.n,
		.certificate = c->http.certificate,
		.key = c->http.key,
		.bench_token = c->insecure_bench ? "bench" : NULL,
		.state_dir = c->state,
		.site = c->site,
		.workers_answer = workers_answer,
		.workers_arg = (void *)(uintptr_t)g,
		.proxied = c->http.insecure_plain,
	};
}
