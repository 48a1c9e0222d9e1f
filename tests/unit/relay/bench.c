#include <stdlib.h>

#include "bench.h"

unsigned keys_asked;

void count_key(struct mu_source *s, int64_t now_us)
{
	(void)s;
	(void)now_us;
	keys_asked++;
}

void take(struct mu_sink *s, struct mu_burst *b)
{
	struct taker *t = MU_CONTAINER_OF(s, struct taker, sink);

	t->bursts++;
	for (unsigned i = 0; i < b->n; i++) {
		if (b->pkts[i]->seq < s->first_seq)
			continue;
		t->seq[t->n] = b->pkts[i]->seq;
		t->codec[t->n] = b->formats[b->pkts[i]->codec].codec;
		t->ts[t->n++] = b->pkts[i]->ts;
	}
}

const struct mu_format vp8 = { .codec = MU_CODEC_VP8, .pt = 96 };
const struct mu_format vp9 = { .codec = MU_CODEC_VP9, .pt = 98 };
const struct mu_format opus = { .codec = MU_CODEC_OPUS, .pt = 111, .channels = 2 };

/* A VP8 packet: descriptor with S and partition 0 at a frame's start; the P bit of the frame header says "no
 * key". */
struct mu_packet *video(struct mu_relay *r, uint16_t seq, uint32_t ts, bool start, bool key, bool marker,
	size_t len, int64_t now_us)
{
	struct mu_packet *p = mu_packet_new(mu_relay_slab(r));

	assert_non_null(p);
	memset(p->data, 0, len);
	p->data[0] = 0x80;
	p->data[1] = (uint8_t)((marker ? 0x80 : 0) | 96);
	p->data[12] = start ? 0x10 : 0x00;
	p->data[13] = key ? 0x00 : 0x01;
	p->hlen = 12;
	p->len = (uint16_t)len;
	p->pt = 96;
	p->wire_seq = seq;
	p->wire_ts = ts;
	p->arrival_us = now_us;
	if (marker)
		p->flags |= MU_PACKET_MARKER;
	return p;
}

void setup(struct bench *b, unsigned workers, bool askable)
{
	memset(b, 0, sizeof(*b));
	b->now = 1000000;
	b->seq = 65536 + 100;
	b->net = fake_net_new(workers);
	keys_asked = 0;
	assert_int_equal(mu_track_new(b->net, 0, "city/cam-1/video", MU_VIDEO, &b->track), 0);
	b->source.ask_key = askable ? count_key : NULL;
	assert_int_equal(mu_track_set_source(b->track, &b->source, &vp8, 1, b->now), 0);
}

void teardown(struct bench *b)
{
	if (b->source.track)
		mu_track_clear_source(b->track, &b->source);
	fake_net_run(b->net, b->now);
	mu_track_unref(b->track);
	fake_net_free(b->net);
}

void push_frame(struct bench *b, bool key, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct mu_packet *p = video(fake_net_relay(b->net, 0), (uint16_t)b->seq, b->ts, i == 0, key,
			i == n - 1, 200, b->now);

		mu_track_push(b->track, p, b->seq++, b->now);
	}
}

/* A frame of n packets; the last bears the marker. */
void frame(struct bench *b, bool key, unsigned n)
{
	push_frame(b, key, n);
	fake_net_run(b->net, b->now);
	b->ts += 3000;
	b->now += 33333;
}

void push_one(struct bench *b, bool marker)
{
	mu_track_push(b->track,
		video(fake_net_relay(b->net, 0), (uint16_t)b->seq, b->ts, false, false, marker, 1000, b->now),
		b->seq, b->now);
	b->seq++;
	fake_net_run(b->net, b->now);
}

void push_at(struct bench *b, uint64_t at, bool marker)
{
	mu_track_push(b->track,
		video(fake_net_relay(b->net, 0), (uint16_t)at, b->ts, false, false, marker, 200, b->now), at,
		b->now);
	fake_net_run(b->net, b->now);
}

struct taker *join(struct bench *b, unsigned worker)
{
	struct taker *t = calloc(1, sizeof(*t));

	t->sink.deliver = take;
	mu_track_add_sink(b->track, mu_net_worker(b->net, worker), &t->sink, b->now);
	fake_net_run(b->net, b->now);
	return t;
}

void leave(struct bench *b, unsigned worker, struct taker *t)
{
	mu_track_remove_sink(b->track, mu_net_worker(b->net, worker), &t->sink);
	fake_net_run(b->net, b->now);
	free(t);
}

void assert_no_gap(const struct taker *t)
{
	for (unsigned i = 1; i < t->n; i++)
		assert_int_equal(t->seq[i], t->seq[0] + i);
}

void change_source(struct bench *b, const struct mu_format *f)
{
	mu_track_clear_source(b->track, &b->source);
	assert_int_equal(mu_track_set_source(b->track, &b->source, f, 1, b->now), 0);
	b->seq += 1000;
}
