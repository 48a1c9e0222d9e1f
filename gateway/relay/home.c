/* A track at home: its source, its numbering, its key-frame requests, and the hand-over to other workers. */
#include <errno.h>
#include <stdlib.h>

#include "relay/relay_internal.h"

/* --- source ------------------------------------------------------------------------------------------------------------ */

int mu_track_set_source(struct mu_track *t, struct mu_source *s, const struct mu_format *formats, size_t n, int64_t now_us)
{
	struct branch *b = branch_of(t, t->home);
	struct formats *f;

	if (t->source)
		return -EBUSY;
	f = formats_new(formats, n, ++t->formats_version, !s->ask_key);
	if (!f)
		return -ENOMEM;
	branch_set_formats(b, f);
	formats_unref(f);
	s->track = mu_track_ref(t);
	t->source = s;
	t->source_started = false;
	t->asked_us = INT64_MIN / 2;
	if (t->kind == MU_VIDEO && (t->wanted || b->n_sinks > 0)) /* viewers of the source before want a picture */
		home_ask_key(t, now_us);
	return 0;
}

void mu_track_clear_source(struct mu_track *t, struct mu_source *s)
{
	if (t->source != s)
		return;
	t->source = NULL;
	s->track = NULL;
	mu_timer_cancel(t->home, &t->key_timer);
	mu_track_unref(t);
}

/* --- numbering ------------------------------------------------------------------------------------------------------------ */

static uint32_t clock_of(const struct mu_track *t, unsigned codec)
{
	const struct formats *f = t->branches[mu_worker_index(t->home)].formats;

	return f && codec < f->n ? mu_codec_clock(f->f[codec].codec) : 90000;
}

/* The first packet of a source sets how its numbers map to the track's: the next number, and a time that went on by what
 * passed on the clock since the last source's last packet. */
static void start_numbering(struct mu_track *t, const struct mu_packet *p, uint64_t wire_seq, int64_t now_us)
{
	uint64_t next = t->highest ? t->highest + 1 : SEQ_START;
	uint32_t gap = t->highest ? (uint32_t)((now_us - t->last_ts_us) * clock_of(t, p->codec) / 1000000) : 0;

	t->seq_offset = next - wire_seq;
	t->source_first = next;
	t->ts_offset = t->last_ts + gap - p->wire_ts;
	t->source_started = true;
}

static void look(struct mu_track *t, struct branch *b, struct mu_packet *p)
{
	struct mu_payload_info info;
	size_t payload = (size_t)p->len - p->hlen - p->pad;

	if (!b->formats || p->codec >= b->formats->n)
		return;
	info = mu_payload_look(b->formats->f[p->codec].codec, p->data + p->hlen, payload);
	if (info.frame_start)
		p->flags |= MU_PACKET_FRAME;
	/* Parameter sets and the picture may come in packets of their own, each a start: the first of them is where a decoder
	 * begins, and the one that the cache must keep. */
	if (info.key && t->kind == MU_VIDEO && !(t->have_key && p->ts == t->key_ts)) {
		p->flags |= MU_PACKET_KEY;
		t->have_key = true;
		t->key_ts = p->ts;
		b->stats.key_frames++;
	}
}

/* A sender cuts a frame "about equally": packets that differ by a byte would each begin a new segmented send. Padding to a
 * multiple makes them equal. It is part of the packet before anyone sees it, so a retransmission is the same bytes. */
#define LEVEL_STEP 16
#define LEVEL_FROM 480
#define LEVEL_TO   1200

static void level(struct mu_packet *p)
{
	unsigned len = (p->len + LEVEL_STEP - 1u) & ~(LEVEL_STEP - 1u), pad = len - p->len;

	if (p->pad > 0 || pad == 0 || p->len < LEVEL_FROM || len > LEVEL_TO)
		return;
	memset(p->data + p->len, 0, pad);
	p->data[len - 1] = (uint8_t)pad; /* RFC 3550, section 5.1: the last octet counts itself */
	p->pad = (uint8_t)pad;
	p->len = (uint16_t)len;
}

static void hand_to(struct mu_track *t, unsigned worker, struct mu_packet **pkts, unsigned n)
{
	struct branch *home = branch_of(t, t->home);
	struct mu_hand h = { .to = mu_track_ref(t), .about = formats_ref(home->formats), .n = n };

	for (unsigned i = 0; i < n; i++)
		h.items[i] = mu_packet_ref(pkts[i]);
	if (!mu_worker_hand(t->home, t->branches[worker].worker, &h))
		mu_relay_discard(&h);
}

void mu_track_push(struct mu_track *t, struct mu_packet *p, uint64_t wire_seq, int64_t now_us)
{
	struct branch *b = branch_of(t, t->home);

	if (!t->source_started)
		start_numbering(t, p, wire_seq, now_us);
	p->seq = wire_seq + t->seq_offset;
	p->ts = p->wire_ts + t->ts_offset;
	b->stats.packets_in++;
	b->stats.bytes_in += p->len;
	if (p->seq < t->source_first || cache_get(&b->cache, p->seq)) {
		b->stats.late++; /* of the source before, or a duplicate */
		mu_packet_unref(p);
		return;
	}
	if (p->seq > t->highest) {
		t->highest = p->seq;
		t->last_ts = p->ts;
		t->last_ts_us = now_us;
	}
	look(t, b, p);
	if (t->kind == MU_VIDEO && (t->wanted || b->n_sinks > 1))
		level(p);
	for (uint32_t bits = t->wanted; bits; bits &= bits - 1)
		hand_to(t, (unsigned)__builtin_ctz(bits), &p, 1);
	branch_take(b, p, now_us);
	if (p->flags & MU_PACKET_KEY)
		home_key_came(t);
	mu_packet_unref(p);
}

/* --- clock ----------------------------------------------------------------------------------------------------------------- */

static void branch_clock_msg(struct mu_msg *m)
{
	struct track_msg *tm = MU_CONTAINER_OF(m, struct track_msg, msg);

	branch_of(tm->track, tm->on)->clock = tm->clock;
	mu_track_unref(tm->track);
	free(tm);
}

static void post_clock(struct mu_track *t, struct mu_worker *to, const struct mu_rtp_clock *clock)
{
	struct track_msg *tm = calloc(1, sizeof(*tm));

	if (!tm)
		return; /* the next report repairs it */
	tm->msg.fn = branch_clock_msg;
	tm->track = mu_track_ref(t);
	tm->on = to;
	tm->clock = *clock;
	mu_worker_post(to, &tm->msg);
}

void mu_track_set_clock(struct mu_track *t, uint64_t ntp, uint32_t wire_rtp, int64_t now_us)
{
	struct mu_rtp_clock c = { .valid = true, .rtp = wire_rtp + t->ts_offset, .ntp = ntp, .arrival_us = now_us };

	if (!t->source_started)
		return; /* the offset is not known before the first packet */
	branch_of(t, t->home)->clock = c;
	for (uint32_t bits = t->wanted; bits; bits &= bits - 1)
		post_clock(t, t->branches[__builtin_ctz(bits)].worker, &c);
}

/* --- key frames ------------------------------------------------------------------------------------------------------------- */

static void key_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct mu_track *t = MU_CONTAINER_OF(timer, struct mu_track, key_timer);

	(void)w;
	if (t->key_wanted)
		home_ask_key(t, now_us);
}

void home_ask_key(struct mu_track *t, int64_t now_us)
{
	struct branch *b = branch_of(t, t->home);

	b->stats.key_requests++;
	t->key_wanted = true;
	if (!t->source || !t->source->ask_key)
		return;
	t->key_timer.fn = key_timer;
	if (now_us - t->asked_us >= MU_KEY_INTERVAL_US) {
		t->asked_us = now_us;
		b->stats.key_asked++;
		t->source->ask_key(t->source, now_us);
	}
	/* asked just before: this asker may have missed what came; ask again when the interval is over, and go on until a
	 * key frame comes */
	mu_timer_set(t->home, &t->key_timer, t->asked_us + MU_KEY_INTERVAL_US);
}

void home_key_came(struct mu_track *t)
{
	t->key_wanted = false;
	mu_timer_cancel(t->home, &t->key_timer);
}

void home_ask_key_msg(struct mu_msg *m)
{
	struct track_msg *tm = MU_CONTAINER_OF(m, struct track_msg, msg);

	home_ask_key(tm->track, mu_clock_us());
	mu_track_unref(tm->track);
	free(tm);
}

/* --- branches elsewhere ------------------------------------------------------------------------------------------------------- */

/* A new branch has no cache: where the source cannot be asked it gets the GOP so far. */
static void hand_gop(struct mu_track *t, unsigned worker)
{
	struct branch *b = branch_of(t, t->home);
	struct mu_packet *pkts[MU_HAND_MAX];
	unsigned n = 0;

	if (!branch_keeps_gop(b) || !b->cache.have_gop)
		return;
	for (uint64_t seq = b->cache.gop; seq < b->cache.high; seq++) {
		struct mu_packet *p = cache_get(&b->cache, seq);

		if (p)
			pkts[n++] = p;
		if (n == MU_HAND_MAX) {
			hand_to(t, worker, pkts, n);
			n = 0;
		}
	}
	if (n > 0)
		hand_to(t, worker, pkts, n);
}

void home_set_wanted(struct mu_msg *m)
{
	struct track_msg *tm = MU_CONTAINER_OF(m, struct track_msg, msg);
	struct mu_track *t = tm->track;
	struct branch *b = branch_of(t, t->home);

	if (tm->on_off) {
		t->wanted |= 1u << tm->worker;
		if (b->clock.valid)
			post_clock(t, t->branches[tm->worker].worker, &b->clock);
		hand_gop(t, tm->worker);
	} else {
		t->wanted &= ~(1u << tm->worker);
	}
	mu_track_unref(t);
	free(tm);
}
