/* The forwarding core as it is in musterd: workers driven by hand, transports with given paths and keys. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core.h"
#include "transport/transport_internal.h"

#define BACKLOG_FRAMES 8 /* how far the second worker may be behind the first */
#define RUN_US         300000

struct muster {
	struct mu_media *media;
	struct mu_inbox control;
	struct mu_track *track;
	struct mu_transport *publisher, **sinks;
	size_t n;
	unsigned workers;
};

static void no_state(void *arg, enum mu_transport_state s, const char *why)
{
	(void)arg;
	if (s == MU_TRANSPORT_CLOSED)
		fprintf(stderr, "closed: %s\n", why);
}
static const struct mu_transport_events events = { .state = no_state };

static uint64_t sent_by(const struct muster *m, unsigned worker)
{
	return plane_of(mu_net_worker(m->media->net, worker))->stats.rtp_out;
}

static void turn_all(struct muster *m)
{
	for (unsigned i = 0; i < m->workers; i++)
		mu_worker_turn(mu_net_worker(m->media->net, i), 0);
}

/* What ICE and DTLS would have found out. */
static void connect_transport(struct mu_transport *t, bool cm, const struct sockaddr_in *peer, uint32_t who)
{
	struct mu_path path = { .remote.in4 = *peer };
	struct mu_dtls_keys keys = { .profile = cm ? MU_SRTP_AES128_CM_SHA1_80 : MU_SRTP_AEAD_AES_128_GCM };
	int64_t now = mu_clock_us();

	core_master(who, keys.local);
	core_master(who, keys.remote);
	t->ice.nominated = true;
	t->ice.n_pairs = 1;
	t->ice.pairs[0].path = path;
	t->ice.selected = t->ice.used = path;
	t->ice.last_check_us = now + 3600 * 1000000ll; /* consent for as long as we measure */
	session_ice_event(t, MU_ICE_NOMINATED, &path, now);
	session_keyed(t, &keys, now);
}

static const struct mu_format h264 = {
	.codec = MU_CODEC_H264, .pt = CORE_PT, .fmtp = "packetization-mode=1;profile-level-id=42e01f"
};

static struct mu_transport *add_publisher(struct muster *m)
{
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));
	struct mu_transport *ret = NULL;

	spec->id = "publisher";
	spec->dtls_server = true;
	spec->in[0] = (struct mu_stream_in){
		.track = m->track, .mid = "0", .formats = { h264 }, .n_formats = 1, .nack = true, .pli = true
	};
	spec->n_in = 1;
	mu_transport_new(m->media, spec, &events, NULL, &ret);
	free(spec);
	return ret;
}

static struct mu_transport *add_sink(struct muster *m, uint32_t i)
{
	struct mu_transport_spec *spec = calloc(1, sizeof(*spec));
	struct mu_transport *ret = NULL;

	spec->id = "sink";
	spec->worker = i % m->workers;
	spec->dtls_server = true;
	spec->out[0] = (struct mu_stream_out){ .track = m->track,
		.mid = "0",
		.ssrc = 0x1000u + i,
		.rtx_ssrc = 0x90000u + i,
		.formats = { { .format = h264, .rtx_pt = CORE_PT + 1 } },
		.n_formats = 1,
		.nack = true };
	spec->n_out = 1;
	mu_transport_new(m->media, spec, &events, NULL, &ret);
	free(spec);
	return ret;
}

static struct muster *muster_new(unsigned workers)
{
	struct mu_transport_options o = { .net = { .workers = workers, .n_listen = 1, .driven = true },
		.srtp_engine = "auto",
		.packets_max = 65536 };
	struct muster *m = calloc(1, sizeof(*m));
	struct mu_error e;

	mu_addr_parse("127.0.0.1", 0, &o.net.listen[0]);
	mu_inbox_init(&m->control);
	o.control = &m->control;
	m->workers = workers;
	if (mu_media_new(&o, &m->media, &e) < 0 ||
		mu_track_new(m->media->net, 0, "core", MU_VIDEO, &m->track) < 0) {
		fprintf(stderr, "muster: %s\n", e.text);
		exit(1);
	}
	return m;
}

static struct muster *open_with(unsigned workers, bool cm, const struct sockaddr_in *publisher,
	const struct sockaddr_in *sinks, size_t n, struct sockaddr_in *ret_at)
{
	struct muster *m = muster_new(workers);

	m->n = n;
	m->sinks = calloc(n, sizeof(struct mu_transport *));
	m->publisher = add_publisher(m);
	for (size_t i = 0; i < n; i++)
		m->sinks[i] = add_sink(m, (uint32_t)i);
	turn_all(m);
	connect_transport(m->publisher, cm, publisher, 0);
	for (size_t i = 0; i < n; i++)
		connect_transport(m->sinks[i], cm, &sinks[i], (uint32_t)i + 1);
	turn_all(m);
	*ret_at = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(mu_net_port(m->media->net, 0, 0)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return m;
}

static void *muster_open(bool cm, const struct sockaddr_in *publisher, const struct sockaddr_in *sinks,
	size_t n, struct sockaddr_in *ret_at)
{
	return open_with(1, cm, publisher, sinks, n, ret_at);
}

static uint64_t muster_turn(void *state)
{
	struct muster *m = state;
	uint64_t before;

	do {
		before = sent_by(m, 0);
		mu_worker_turn(mu_net_worker(m->media->net, 0), 0);
	} while (sent_by(m, 0) != before);
	return before;
}

static void muster_close(void *state)
{
	struct muster *m = state;

	mu_transport_free(m->publisher);
	for (size_t i = 0; i < m->n; i++)
		mu_transport_free(m->sinks[i]);
	turn_all(m);
	turn_all(m);
	mu_track_unref(m->track);
	mu_media_free(m->media);
	mu_inbox_done(&m->control);
	free(m->sinks);
	free(m);
}

const struct core_way core_way_muster = { "muster", muster_open, muster_turn, muster_close };

/* --- two workers
 * ---------------------------------------------------------------------------------------------- */

struct second {
	struct muster *m;
	atomic_bool stop;
	atomic_ullong sent;
};

static void pin(size_t core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *second_worker(void *arg)
{
	struct second *s = arg;

	pin(1);
	while (!atomic_load(&s->stop)) {
		mu_worker_turn(mu_net_worker(s->m->media->net, 1), 1000);
		atomic_store(&s->sent, sent_by(s->m, 1));
	}
	return NULL;
}

/* Packets a second, flat out: the publisher's next frame is there when the first worker is done with the
 * last. */
static double rate(struct muster *m, struct core_source *src, size_t size, unsigned burst)
{
	struct second s = { .m = m };
	uint64_t a = sent_by(m, 0), b = m->workers > 1 ? sent_by(m, 1) : 0, frames = 0, seconds_share;
	int64_t began = mu_clock_us(), now;
	pthread_t thread;

	atomic_store(&s.sent, b);
	if (m->workers > 1)
		pthread_create(&thread, NULL, second_worker, &s);
	seconds_share = m->workers > 1 ? m->n / 2 * burst : 0;
	do {
		core_publish(src, size, burst);
		muster_turn(m);
		frames++;
		while (frames > BACKLOG_FRAMES &&
			atomic_load(&s.sent) - b < (frames - BACKLOG_FRAMES) * seconds_share)
			sched_yield();
		now = mu_clock_us();
	} while (now - began < RUN_US);
	while (atomic_load(&s.sent) - b < frames * seconds_share)
		sched_yield();
	now = mu_clock_us();
	atomic_store(&s.stop, true);
	if (m->workers > 1)
		pthread_join(thread, NULL);
	return (double)(sent_by(m, 0) - a + atomic_load(&s.sent) - b) / (double)(now - began) * 1e6;
}

static double rate_of(
	unsigned workers, bool cm, const struct sockaddr_in *sinks, size_t n, size_t size, unsigned burst)
{
	static struct core_source src;
	struct sockaddr_in at;
	struct muster *m;
	double r;

	memset(&src, 0, sizeof(src));
	core_source_open(&src, cm);
	m = open_with(workers, cm, &src.addr, sinks, n, &at);
	if (connect(src.fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		perror("connect");
	rate(m, &src, size, burst);
	r = rate(m, &src, size, burst);
	muster_close(m);
	core_source_close(&src);
	return r;
}

double core_two_workers(bool cm, const struct sockaddr_in *sinks, size_t n, size_t size, unsigned burst)
{
	double one, two;
	cpu_set_t before;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return 0;
	sched_getaffinity(0, sizeof(before), &before);
	pin(0);
	one = rate_of(1, cm, sinks, n, size, burst);
	two = rate_of(2, cm, sinks, n, size, burst);
	sched_setaffinity(0, sizeof(before), &before);
	return two / one;
}
