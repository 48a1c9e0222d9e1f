/* The dependency descriptor (RTP Payload Format For AV1 1.0, appendix A): a header extension that says of any
 * codec's frame which layer it is of and what it needs. A key frame's first packet brings a table of
 * templates, all others name one of them. */
#include <errno.h>
#include <stdlib.h>

#include "rtp/bits.h"
#include "rtp/rtp.h"

#define TEMPLATES_MAX 64
#define TARGETS_MAX   32
#define FDIFFS_MAX    8
#define FRAMES_MAX    64 /* back that what a frame is predicted from is known */

/* What a frame is to those who decode up to a certain layer, two bits (section A.8.3.3). */
enum { DTI_ABSENT, DTI_DISCARDABLE, DTI_SWITCH, DTI_REQUIRED };

/* What one frame is like: by its template, or by itself where it differs. */
struct frame {
	uint8_t spatial, temporal;
	uint8_t n_fdiffs;
	bool more_fdiffs;           /* than are kept */
	uint16_t fdiff[FDIFFS_MAX]; /* frames back that it is predicted from */
	uint64_t dtis;              /* two bits a decode target, the first lowest */
};
struct structure {
	bool known;
	uint16_t number; /* of the frame that brought it */
	uint8_t first_id;
	unsigned n_templates, n_targets, n_chains;
	struct frame templates[TEMPLATES_MAX];
	struct {
		uint8_t spatial, temporal;
	} target[TARGETS_MAX]; /* the highest layers of each */
	uint8_t spatials;
	bool sized;
	struct {
		uint16_t width, height;
	} size[4]; /* by spatial layer */
};
struct mu_dd {
	struct structure s;
	struct {
		bool known;
		uint8_t temporal;
		uint16_t number;
		uint32_t ts;
	} frames[FRAMES_MAX]; /* by number modulo */
};

int mu_dd_new(struct mu_dd **ret)
{
	struct mu_dd *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	*ret = d;
	return 0;
}

void mu_dd_free(struct mu_dd *d)
{
	free(d);
}

void mu_dd_reset(struct mu_dd *d)
{
	if (d)
		memset(d, 0, sizeof(*d));
}

static unsigned dti_of(const struct frame *f, unsigned target)
{
	return f->dtis >> (2 * target) & 3;
}

static void read_dtis(struct bits *b, unsigned n_targets, struct frame *f)
{
	f->dtis = 0;
	for (unsigned i = 0; i < n_targets; i++)
		f->dtis |= (uint64_t)bits_get(b, 2) << (2 * i);
}

static void add_fdiff(struct frame *f, unsigned fdiff)
{
	if (f->n_fdiffs < FDIFFS_MAX)
		f->fdiff[f->n_fdiffs++] = (uint16_t)fdiff;
	else
		f->more_fdiffs = true;
}

/* --- the table of templates (section A.8.2) --- */

/* @return false: more layers than there can be */
static bool read_layers(struct bits *b, struct structure *s)
{
	unsigned spatial = 0, temporal = 0, next;

	do {
		if (s->n_templates == TEMPLATES_MAX || spatial > 3 || temporal > 7)
			return false;
		s->templates[s->n_templates].spatial = (uint8_t)spatial;
		s->templates[s->n_templates++].temporal = (uint8_t)temporal;
		next = bits_get(b, 2);
		if (next == 1)
			temporal++;
		if (next == 2) {
			spatial++;
			temporal = 0;
		}
	} while (next != 3 && !b->past);
	s->spatials = (uint8_t)(spatial + 1);
	return true;
}

static void read_chains(struct bits *b, struct structure *s)
{
	s->n_chains = bits_ns(b, s->n_targets + 1);
	if (s->n_chains == 0)
		return;
	for (unsigned i = 0; i < s->n_targets; i++)
		bits_ns(b, s->n_chains);
	bits_skip(b, (size_t)s->n_templates * s->n_chains * 4);
}

static void find_targets(struct structure *s)
{
	for (unsigned i = 0; i < s->n_templates; i++) {
		const struct frame *f = &s->templates[i];

		for (unsigned t = 0; t < s->n_targets; t++) {
			if (dti_of(f, t) == DTI_ABSENT)
				continue;
			s->target[t].spatial = MU_MAX(s->target[t].spatial, f->spatial);
			s->target[t].temporal = MU_MAX(s->target[t].temporal, f->temporal);
		}
	}
}

static void read_sizes(struct bits *b, struct structure *s)
{
	s->sized = bits_flag(b);
	for (unsigned i = 0; s->sized && i < s->spatials; i++) {
		uint32_t width = bits_get(b, 16) + 1, height = bits_get(b, 16) + 1;

		s->size[i].width = (uint16_t)MU_MIN(width, UINT16_MAX);
		s->size[i].height = (uint16_t)MU_MIN(height, UINT16_MAX);
	}
}

static bool read_structure(struct bits *b, struct structure *s)
{
	s->first_id = (uint8_t)bits_get(b, 6);
	s->n_targets = bits_get(b, 5) + 1;
	if (!read_layers(b, s))
		return false;
	for (unsigned i = 0; i < s->n_templates; i++)
		read_dtis(b, s->n_targets, &s->templates[i]);
	for (unsigned i = 0; i < s->n_templates; i++) {
		while (bits_flag(b))
			add_fdiff(&s->templates[i], bits_get(b, 4) + 1);
	}
	read_chains(b, s);
	find_targets(s);
	read_sizes(b, s);
	return !b->past;
}

/* --- one frame (section A.8.3) --- */

struct descriptor {
	bool start, end, has_structure, has_active, own_dtis, own_fdiffs;
	uint8_t template_id;
	uint16_t number;
	uint32_t active;
};

static void read_mandatory(struct bits *b, struct descriptor *d)
{
	d->start = bits_flag(b);
	d->end = bits_flag(b);
	d->template_id = (uint8_t)bits_get(b, 6);
	d->number = (uint16_t)bits_get(b, 16);
}

static bool read_frame(
	struct bits *b, const struct structure *s, const struct descriptor *d, struct frame *ret)
{
	unsigned index = (d->template_id + 64u - s->first_id) % 64, size;

	if (!s->known || index >= s->n_templates)
		return false;
	*ret = s->templates[index];
	if (d->own_dtis)
		read_dtis(b, s->n_targets, ret);
	if (d->own_fdiffs) {
		ret->n_fdiffs = 0;
		ret->more_fdiffs = false;
		while ((size = bits_get(b, 2)) > 0)
			add_fdiff(ret, bits_get(b, 4 * size) + 1);
	}
	return true;
}

/* A repair may bring the table of a key frame before this one's: it is of no use any more. */
static bool is_newer(const struct structure *s, uint16_t number)
{
	return !s->known || (int16_t)(uint16_t)(number - s->number) >= 0;
}

/* The target of just these layers. @return -1: there is none */
static int own_target(const struct structure *s, const struct frame *f)
{
	for (unsigned t = 0; t < s->n_targets; t++) {
		if (s->target[t].spatial == f->spatial && s->target[t].temporal == f->temporal)
			return (int)t;
	}
	return -1;
}

static bool is_unreferenced(const struct structure *s, const struct frame *f)
{
	bool any = false;

	for (unsigned t = 0; t < s->n_targets; t++) {
		any |= dti_of(f, t) != DTI_ABSENT;
		if (dti_of(f, t) > DTI_DISCARDABLE)
			return false;
	}
	return any;
}

/* What it is predicted from: nothing of other pictures, nothing of its temporal layer or above. What is not
 * known may be anything. */
static void look_back(
	const struct mu_dd *d, const struct frame *f, uint16_t number, uint32_t ts, bool *intra, bool *lower)
{
	*intra = *lower = !f->more_fdiffs;
	for (unsigned i = 0; i < f->n_fdiffs; i++) {
		uint16_t from = (uint16_t)(number - f->fdiff[i]);
		bool known =
			d->frames[from % FRAMES_MAX].known && d->frames[from % FRAMES_MAX].number == from;
		bool same = known && d->frames[from % FRAMES_MAX].ts == ts;

		*intra &= same;
		*lower &= same || (known && d->frames[from % FRAMES_MAX].temporal < f->temporal);
	}
}

static uint8_t flags_of(const struct mu_dd *d, const struct frame *f, uint16_t number, uint32_t ts)
{
	int target = own_target(&d->s, f);
	unsigned dti = target < 0 ? DTI_ABSENT : dti_of(f, (unsigned)target);
	bool intra, lower;

	look_back(d, f, number, ts, &intra, &lower);
	if (f->temporal == 0)
		lower = true;
	else if (dti != DTI_SWITCH && dti != DTI_DISCARDABLE)
		lower = false;
	return (uint8_t)((intra ? MU_LAYER_INTRA : 0) | (lower ? MU_LAYER_UP : 0) |
		(is_unreferenced(&d->s, f) ? MU_LAYER_UNREFERENCED : 0));
}

/* Of the highest layer that is sent: a sender says when it leaves some out. */
static void say_size(const struct structure *s, const struct descriptor *d, struct mu_payload_layers *ret)
{
	unsigned highest = 0;

	if (!s->sized || !(d->has_structure || d->has_active))
		return;
	for (unsigned t = 0; t < s->n_targets; t++) {
		if (!d->has_active || d->active >> t & 1)
			highest = MU_MAX(highest, s->target[t].spatial);
	}
	ret->width = s->size[highest].width;
	ret->height = s->size[highest].height;
}

static int read_table(struct mu_dd *dd, struct bits *b, uint16_t number)
{
	struct structure s = { .known = true, .number = number };

	if (!read_structure(b, &s))
		return -EBADMSG;
	if (!is_newer(&dd->s, number))
		return -ENOENT;
	dd->s = s;
	return 0;
}

static int read_extended(struct mu_dd *dd, struct bits *b, struct descriptor *d)
{
	int err;

	d->has_structure = bits_flag(b);
	d->has_active = bits_flag(b);
	d->own_dtis = bits_flag(b);
	d->own_fdiffs = bits_flag(b);
	bits_skip(b, 1); /* chains of its own stand last, and are not for us */
	if (d->has_structure) {
		err = read_table(dd, b, d->number);
		if (err < 0)
			return err;
	}
	if (d->has_active) /* the first target is the lowest bit */
		d->active = bits_get(b, dd->s.n_targets);
	return 0;
}

int mu_dd_read(struct mu_dd *dd, const uint8_t *data, size_t len, uint32_t ts, struct mu_payload_layers *ret)
{
	struct bits b = bits_of(data, len);
	struct descriptor d = { .start = false };
	struct frame f;
	int err = 0;

	if (len < 3)
		return -EBADMSG;
	read_mandatory(&b, &d);
	if (len > 3)
		err = read_extended(dd, &b, &d);
	if (err == 0 && !read_frame(&b, &dd->s, &d, &f))
		err = -ENOENT;
	if (err < 0 || b.past)
		return err < 0 ? err : -EBADMSG;
	*ret = (struct mu_payload_layers){
		.spatial = (uint8_t)MU_MIN(f.spatial, MU_SPATIAL_MAX - 1),
		.temporal = (uint8_t)MU_MIN(f.temporal, MU_TEMPORAL_MAX - 1),
		.flags = (uint8_t)(flags_of(dd, &f, d.number, ts) | (d.start ? MU_LAYER_START : 0) |
			(d.end ? MU_LAYER_END : 0)),
	};
	say_size(&dd->s, &d, ret);
	dd->frames[d.number % FRAMES_MAX].known = true;
	dd->frames[d.number % FRAMES_MAX].number = d.number;
	dd->frames[d.number % FRAMES_MAX].temporal = f.temporal;
	dd->frames[d.number % FRAMES_MAX].ts = ts;
	return 0;
}
