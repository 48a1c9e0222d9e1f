/* Picture ids in the VP8 payload descriptor (RFC 7741, section 4.2) belong to the encoder of one layer; a viewer must see them
 * go on by one, whatever was switched or left out. */

#include "adapt/adapt.h"

void mu_vp8_switch(struct mu_vp8_map *m, const struct mu_vp8 *first)
{
	if (!m->started)
		return;
	m->picture_offset = (uint16_t)(first->picture - (m->last_picture + 1));
	m->tl0_offset = (uint8_t)(first->tl0 - (m->last_tl0 + 1));
}

void mu_vp8_left_out(struct mu_vp8_map *m, const struct mu_vp8 *frame)
{
	m->picture_offset++;
	if (frame->temporal == 0)
		m->tl0_offset++;
}

void mu_vp8_rewrite(struct mu_vp8_map *m, const struct mu_vp8 *d, uint8_t *descriptor)
{
	uint16_t picture = (uint16_t)(d->picture - m->picture_offset) & 0x7fff;
	uint8_t tl0 = (uint8_t)(d->tl0 - m->tl0_offset);

	if (d->picture_bits == 15)
		mu_put16(descriptor + d->picture_at, (uint16_t)(0x8000 | picture));
	else if (d->picture_bits == 7)
		descriptor[d->picture_at] = picture & 0x7f;
	if (d->tl0_at)
		descriptor[d->tl0_at] = tl0;
	/* a packet that comes late does not turn the last one back */
	if (!m->started || (uint16_t)((picture - m->last_picture) & 0x7fff) < 0x4000)
		m->last_picture = picture;
	if (!m->started || (uint8_t)(tl0 - m->last_tl0) < 0x80)
		m->last_tl0 = tl0;
	m->started = true;
}
