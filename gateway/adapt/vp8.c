/* Picture ids in the VP8 payload descriptor (RFC 7741, section 4.2) belong to the encoder of one layer; a viewer must see them
 * go on by one, whatever was switched or left out. */
#include "adapt/adapt.h"

/* A picture's number in 16 bits, by those near it: seven bits come around every few seconds. */
static uint16_t number(const struct mu_vp8_map *m, const struct mu_vp8 *d)
{
	unsigned unused = 16u - d->picture_bits;

	if (!m->started || d->picture_bits == 0)
		return d->picture;
	return (uint16_t)(m->last_in + ((int16_t)((uint16_t)(d->picture - m->last_in) << unused) >> unused));
}

static bool newer(uint16_t a, uint16_t b)
{
	return (int16_t)(uint16_t)(a - b) > 0;
}

void mu_vp8_switch(struct mu_vp8_map *m, const struct mu_vp8 *first)
{
	if (!m->started)
		return;
	m->picture_offset = (uint16_t)(first->picture - (m->last_picture + 1));
	m->tl0_offset = (uint8_t)(first->tl0 - (m->last_tl0 + 1));
	m->last_in = first->picture;
	m->n_left = 0;
}

void mu_vp8_left_out(struct mu_vp8_map *m, const struct mu_vp8 *frame)
{
	uint16_t in = number(m, frame);

	if (frame->picture_bits > 0) {
		if (!m->started || !newer(in, m->last_in))
			return; /* the next one went out before it: a hole is there already */
		if (m->n_left > 0 && !newer(in, m->left[(m->n_left - 1) % MU_VP8_LEFT]))
			return; /* another packet of it */
		m->left[m->n_left++ % MU_VP8_LEFT] = in;
	}
	m->picture_offset++;
	if (frame->temporal == 0)
		m->tl0_offset++;
}

/* Pictures left out after this one, which came late, do not count for it. */
static uint16_t out_of(const struct mu_vp8_map *m, uint16_t in)
{
	uint16_t out = (uint16_t)(in - m->picture_offset);

	for (unsigned i = 1; i <= MU_MIN(m->n_left, (unsigned)MU_VP8_LEFT); i++) {
		if (!newer(m->left[(m->n_left - i) % MU_VP8_LEFT], in))
			break;
		out++;
	}
	return out;
}

void mu_vp8_rewrite(struct mu_vp8_map *m, const struct mu_vp8 *d, uint8_t *descriptor)
{
	uint16_t in = number(m, d), picture = out_of(m, in);
	uint8_t tl0 = (uint8_t)(d->tl0 - m->tl0_offset);

	if (d->picture_bits == 15)
		mu_put16(descriptor + d->picture_at, (uint16_t)(0x8000 | picture));
	else if (d->picture_bits == 7)
		descriptor[d->picture_at] = picture & 0x7f;
	if (d->tl0_at)
		descriptor[d->tl0_at] = tl0;
	/* a packet that comes late does not turn the last one back */
	if (!m->started || (d->picture_bits && newer(in, m->last_in)))
		m->last_in = in;
	if (!m->started || (d->picture_bits && newer(picture, m->last_picture)))
		m->last_picture = picture;
	if (!m->started || (d->tl0_at && (uint8_t)(tl0 - m->last_tl0) < 0x80))
		m->last_tl0 = tl0;
	m->started = true;
}
