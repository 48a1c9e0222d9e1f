/* A track at home: its source, its numbering, its key-frame requests, its clock. */
#include <errno.h>
#include <stdlib.h>

#include "relay/relay_internal.h"

/* --- source
 * ------------------------------------------------------------------------------------------------------------
 */

int mu_track_set_source(
	struct mu_track *t, struct mu_source *s, const struct mu_format *formats, size_t n, int64_t now_us)
{
	struct branch *b = branch_of(t, t->home);
	struct formats *f;

	if (t->source)
		return -EBUSY;
	f = formats_new(formats, n, ++t->formats_version, !s->ask_key);
	if (!f)
		return -ENOMEM;
	hand_seal(t, now_us);
	branch_set_formats(b, f, now_us);
	formats_unref(f);
	s->track = mu_track_ref(t);
	t->source = s;
	t->source_started = false;
	t->asked_us = t->asked_before_us = INT64_MIN / 2;
	if (t->kind == MU_VIDEO &&
		(t->wanted || b->n_sinks > 0)) /* viewers of the source before want a picture */
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

/* --- numbering
 * ------------------------------------------------------------------------------------------------------------
 */

static uint32_t clock_of(const struct mu_track *t, unsigned codec)
{
	const struct formats *f = t->branches[mu_worker_index(t->home)].formats;

	return f && codec < f->n ? mu_codec_clock(f->f[codec].codec) : 90000;
}

/* The first packet of a source sets how its numbers map to the track's: the next number, and a time that went
 * on by what passed on the clock since the last source's last packet. */
static void start_numbering(struct mu_track *t, const struct mu_packet *p, uint64_t wire_seq, int64_t now_us)
{
	uint64_t next = t->highest ? t->highest + 1 : SEQ_START;
	uint32_t gap =
		t->highest ? (uint32_t)((now_us - t->last_ts_us) * clock_of(t, p->codec) / 1000000) : 0;

	t->seq_offset = next - wire_seq;
	t->source_first = next;
	t->ts_offset = t->last_ts + gap - p->wire_ts;
	t->key.known = t->params.known = false;
	mu_dd_reset(t->dd);
	t->source_started = true;
}

static bool of_frame(const struct frame_start *f, const struct mu_packet *p)
{
	return f->known && f->ts == p->ts;
}

/* Parameter sets and the picture may come in packets of their own. The sets are where a decoder begins, but
 * only the picture shows that it is a key frame: there are cameras that repeat the sets before any. So the
 * picture's packet is marked, and says how far back the frame began; packets before it are shared already. */
static void look_for_key(
	struct mu_track *t, struct branch *b, struct mu_packet *p, const struct mu_payload_info *info)
{
	bool set = info->params && !of_frame(&t->params, p);

	if (set)
		t->params = (struct frame_start){ true, p->ts, p->seq };
	if (of_frame(&t->key, p)) {
		/* the sets came after the picture, swapped or repaired: the frame begins with them all the
		 * same */
		if (set && p->seq < t->key.seq) {
			p->flags |= MU_PACKET_KEY;
			t->key.seq = p->seq;
		}
		return;
	}
	if (!info->key && !(info->entry && of_frame(&t->params, p)))
		return;
	if (of_frame(&t->params, p) && t->params.seq < p->seq && p->seq - t->params.seq <= UINT8_MAX)
		p->lead = (uint8_t)(p->seq - t->params.seq);
	p->flags |= MU_PACKET_KEY;
	t->key = (struct frame_start){ true, p->ts, key_start(p) };
	b->stats.key_frames++;
}

/* What a dependency descriptor says goes for any codec. Its store is made when the first one comes. */
static void look_at_descriptor(struct mu_track *t, const struct mu_packet *p, struct mu_payload_layers *l)
{
	struct mu_payload_layers said;
	size_t len;
	const uint8_t *dd = mu_rtp_ext(p, MU_EXT_DEPENDENCY_DESCRIPTOR, &len);

	if (!dd || (!t->dd && mu_dd_new(&t->dd) < 0) || mu_dd_read(t->dd, dd, len, p->ts, &said) < 0)
		return;
	if (!said.width) {
		said.width = l->width;
		said.height = l->height;
	}
	*l = said;
}

static void look_at_layers(struct mu_track *t, struct mu_packet *p, enum mu_codec codec)
{
	struct mu_payload_layers l = mu_payload_layers(codec, p->data + p->hlen,
		(size_t)p->len - p->hlen - p->pad, p->flags & MU_PACKET_FRAME, p->flags & MU_PACKET_MARKER);

	look_at_descriptor(t, p, &l);
	p->spatial = l.spatial;
	p->temporal = l.temporal;
	p->layer = l.flags;
	if (l.width)
		shape_size(t, l.width, l.height);
}

static void look(struct mu_track *t, struct branch *b, struct mu_packet *p, int64_t now_us)
{
	struct mu_payload_info info;
	size_t payload = (size_t)p->len - p->hlen - p->pad, len;
	const uint8_t *level;

	p->spatial = p->temporal = p->layer = 0;
	if (!b->formats || p->codec >= b->formats->n)
		return;
	info = mu_payload_look(b->formats->f[p->codec].codec, p->data + p->hlen, payload);
	if (info.frame_start)
		p->flags |= MU_PACKET_FRAME;
	if (t->kind == MU_VIDEO) {
		look_for_key(t, b, p, &info);
		look_at_layers(t, p, b->formats->f[p->codec].codec);
	} else {
		level = mu_rtp_ext(p, MU_EXT_AUDIO_LEVEL, &len);
		if (level && len >= 1)
			shape_level(t, level[0], now_us);
	}
}

/* A sender cuts a frame "about equally": packets that differ by a byte would each begin a new segmented send.
 * Padding to a multiple makes them equal. It is part of the packet before anyone sees it, so a retransmission
 * is the same bytes. */
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

void mu_track_push(struct mu_track *t, struct mu_packet *p, uint64_t wire_seq, int64_t now_us)
{
	struct branch *b = branch_of(t, t->home);

	if (!t->source_started)
		start_numbering(t, p, wire_seq, now_us);
	p->seq = wire_seq + t->seq_offset;
	p->ts = p->wire_ts + t->ts_offset;
	b->stats.packets_in++;
	b->stats.bytes_in += p->len;
	if (p->seq < t->source_first) {
		b->stats.late++; /* of the source before */
		mu_packet_unref(p);
		return;
	}
	/* Only what is new counts: a probe may send an old key frame again, which is not the one that viewers
	 * wait for. */
	if (!branch_keep(b, p)) {
		mu_packet_unref(p);
		return;
	}
	if (p->seq > t->highest) {
		t->highest = p->seq;
		t->last_ts = p->ts;
		t->last_ts_us = now_us;
	}
	look(t, b, p, now_us);
	shape_packet(t, p, now_us);
	if (t->kind == MU_VIDEO && (t->wanted || b->n_sinks > 1))
		level(p);
	if (p->flags & MU_PACKET_KEY)
		home_key_came(t);
	hand_gather(t, p);
	branch_queue(b, p, now_us);
}

/* --- clock
 * -----------------------------------------------------------------------------------------------------------------
 */

struct clock_msg {
	struct mu_msg msg;
	struct mu_track *track;
	struct mu_worker *on;
	struct mu_rtp_clock clock;
};

static void branch_clock_msg(struct mu_msg *m)
{
	struct clock_msg *cm = MU_CONTAINER_OF(m, struct clock_msg, msg);

	branch_of(cm->track, cm->on)->clock = cm->clock;
	mu_track_unref(cm->track);
	free(cm);
}

static void post_clock(struct mu_track *t, struct mu_worker *to, const struct mu_rtp_clock *clock)
{
	struct clock_msg *cm = calloc(1, sizeof(*cm));

	if (!cm)
		return; /* the next report repairs it */
	cm->msg.fn = branch_clock_msg;
	cm->track = mu_track_ref(t);
	cm->on = to;
	cm->clock = *clock;
	mu_worker_post(to, &cm->msg);
}

void mu_track_set_clock(struct mu_track *t, uint64_t ntp, uint32_t wire_rtp, int64_t now_us)
{
	struct mu_rtp_clock c = {
		.valid = true, .rtp = wire_rtp + t->ts_offset, .ntp = ntp, .arrival_us = now_us
	};

	if (!t->source_started)
		return; /* the offset is not known before the first packet */
	branch_of(t, t->home)->clock = c;
	for (uint32_t bits = t->wanted; bits; bits &= bits - 1)
		post_clock(t, t->branches[__builtin_ctz(bits)].worker, &c);
}

/* --- key frames
 * -------------------------------------------------------------------------------------------------------------
 */

static void key_timer(struct mu_timer *timer, struct mu_worker *w, int64_t now_us)
{
	struct mu_track *t = MU_CONTAINER_OF(timer, struct mu_track, key_timer);

	(void)w;
	if (t->key_wanted)
		home_ask_key(t, now_us);
	else if (t->key_wished)
		home_wish_key(t, now_us);
}

static void ask_source(struct mu_track *t, int64_t now_us)
{
	t->asked_before_us = t->asked_us;
	t->asked_us = now_us;
	t->key_wanted = true;
	branch_of(t, t->home)->stats.key_asked++;
	t->source->ask_key(t->source, now_us);
}

/* Asked just before: this asker may have missed what came; ask again when the interval is over, and go on
 * until a key frame comes. */
static void ask_when_due(struct mu_track *t, int64_t due_us, int64_t now_us)
{
	if (!t->source || !t->source->ask_key)
		return;
	if (now_us >= due_us) {
		ask_source(t, now_us);
		due_us = now_us + MU_KEY_INTERVAL_US;
	}
	t->key_timer.fn = key_timer;
	mu_timer_set(t->home, &t->key_timer, due_us);
}

void home_ask_key(struct mu_track *t, int64_t now_us)
{
	branch_of(t, t->home)->stats.key_requests++;
	t->key_wanted = true;
	ask_when_due(t, t->asked_us + MU_KEY_INTERVAL_US, now_us);
}

void home_wish_key(struct mu_track *t, int64_t now_us)
{
	int64_t due_us = MU_MAX(t->asked_us + MU_KEY_INTERVAL_US, t->asked_before_us + MU_KEY_CALM_US);

	branch_of(t, t->home)->stats.key_requests++;
	t->key_wished = true;
	if (!t->key_wanted) /* else it comes with what is asked for already */
		ask_when_due(t, due_us, now_us);
}

void home_key_came(struct mu_track *t)
{
	t->key_wanted = t->key_wished = false;
	mu_timer_cancel(t->home, &t->key_timer);
}

/* --- branches elsewhere
 * ------------------------------------------------------------------------------------------------------- */

void home_ask_key_msg(struct mu_msg *m)
{
	struct branch *b = MU_CONTAINER_OF(m, struct branch, key_note.msg);

	atomic_store(&b->key_note.posted, false);
	hand_ask_key(b->track);
	mu_track_unref(b->track);
}

void home_wish_key_msg(struct mu_msg *m)
{
	struct branch *b = MU_CONTAINER_OF(m, struct branch, wish_note.msg);

	atomic_store(&b->wish_note.posted, false);
	hand_wish_key(b->track);
	mu_track_unref(b->track);
}

void home_set_wanted(struct mu_msg *m)
{
	struct branch *b = MU_CONTAINER_OF(m, struct branch, wanted_note.msg);
	struct mu_track *t = b->track;
	const struct mu_rtp_clock *clock = &branch_of(t, t->home)->clock;
	unsigned worker = mu_worker_index(b->worker), wanted;

	/* in this order: whoever changes it from here on posts again */
	atomic_store(&b->wanted_note.posted, false);
	wanted = atomic_load(&b->wanted);
	if (!(wanted & 1)) {
		hand_end(t, worker);
	} else if (!(t->wanted & 1u << worker) || t->far[worker].epoch != wanted >> 1) {
		hand_begin(t, worker, wanted >> 1);
		if (clock->valid)
			post_clock(t, b->worker, clock);
	}
	mu_track_unref(t);
}
