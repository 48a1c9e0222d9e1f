#include <errno.h>

#include "rtp/ext.h"

#define ONE_BYTE     0xbede /* RFC 8285, section 4.2 */
#define TWO_BYTE     0x1000 /* section 4.3; the low four bits are the application's */
#define EXT_HEADER   4
#define ELEMENTS_MAX (MU_RTP_HEADER_MAX - MU_RTP_HEADER_MIN - EXT_HEADER)

_Static_assert(MU_EXT_COUNT <= 32, "extension types are bits of a word");
_Static_assert(ELEMENTS_MAX % 4 == 0, "an extension block is whole words");

int mu_rtp_parse(const uint8_t *data, size_t len, struct mu_rtp_header *ret)
{
	size_t hlen;

	if (len < MU_RTP_HEADER_MIN || data[0] >> 6 != 2)
		return -EBADMSG;
	hlen = MU_RTP_HEADER_MIN + 4u * (data[0] & 0x0f);
	if (data[0] & 0x10) {
		if (hlen + EXT_HEADER > len)
			return -EBADMSG;
		hlen += EXT_HEADER + 4u * mu_get16(data + hlen + 2);
	}
	if (hlen > len || hlen > UINT16_MAX)
		return -EBADMSG;
	ret->pt = data[1] & 0x7f;
	ret->marker = data[1] >> 7;
	ret->padding = data[0] >> 5 & 1;
	ret->seq = mu_get16(data + 2);
	ret->ts = mu_get32(data + 4);
	ret->ssrc = mu_get32(data + 8);
	ret->hlen = (uint16_t)hlen;
	return 0;
}

/* What is unknown or comes twice is not kept: a sender cannot crowd out with junk what we need. */
static void remember(
	struct mu_packet *p, const struct mu_ext_map *exts, uint32_t *have, uint8_t id, size_t at, size_t len)
{
	uint8_t type = exts->type_of[id];

	if (!type || *have >> type & 1 || p->n_ext == MU_PACKET_EXTS)
		return;
	*have |= 1u << type;
	p->ext[p->n_ext++] = (struct mu_packet_ext){ .type = type, .len = (uint8_t)len, .at = (uint16_t)at };
}

static void fill_one_byte(struct mu_packet *p, const struct mu_ext_map *exts, size_t at, size_t end)
{
	uint32_t have = 0;

	while (at < end) {
		uint8_t id = p->data[at] >> 4, len = (p->data[at] & 0x0f) + 1;

		if (p->data[at] == 0) { /* padding between elements */
			at++;
			continue;
		}
		/* Id 15, and id 0 with a length, end the list (RFC 8285, section 4.2). */
		if (id == 0 || id == 15 || at + 1 + len > end)
			return;
		remember(p, exts, &have, id, at + 1, len);
		at += 1u + len;
	}
}

static void fill_two_byte(struct mu_packet *p, const struct mu_ext_map *exts, size_t at, size_t end)
{
	uint32_t have = 0;

	while (at < end) {
		uint8_t id = p->data[at], len;

		if (id == 0) {
			at++;
			continue;
		}
		if (at + 2 > end)
			return;
		len = p->data[at + 1];
		if (at + 2 + len > end)
			return;
		remember(p, exts, &have, id, at + 2, len);
		at += 2u + len;
	}
}

int mu_rtp_fill(struct mu_packet *p, const struct mu_ext_map *exts)
{
	struct mu_rtp_header h;
	size_t at;
	uint8_t pad = 0;

	if (p->len > MU_PACKET_MAX || mu_rtp_parse(p->data, p->len, &h) < 0)
		return -EBADMSG;
	if (h.padding) {
		pad = p->data[p->len - 1];
		/* The count counts itself (RFC 3550, section 5.1), so there is no 0. */
		if (pad == 0 || pad > p->len - h.hlen)
			return -EBADMSG;
	}
	p->pad = pad;
	p->wire_seq = h.seq;
	p->wire_ts = h.ts;
	p->pt = h.pt;
	p->hlen = h.hlen;
	p->flags = (uint8_t)((p->flags & ~MU_PACKET_MARKER) | (h.marker ? MU_PACKET_MARKER : 0));
	p->n_ext = 0;
	if (!(p->data[0] & 0x10) || !exts)
		return 0;
	at = MU_RTP_HEADER_MIN + 4u * (p->data[0] & 0x0f);
	if (mu_get16(p->data + at) == ONE_BYTE)
		fill_one_byte(p, exts, at + EXT_HEADER, h.hlen);
	else if ((mu_get16(p->data + at) & 0xfff0) == TWO_BYTE)
		fill_two_byte(p, exts, at + EXT_HEADER, h.hlen);
	return 0;
}

/* Elements being written; `two` is the form. */
struct elements {
	uint8_t *data;
	size_t len;
	bool two;
};

/* @return false when the element needs the other form */
static inline bool put(struct elements *e, uint8_t id, const uint8_t *data, size_t len)
{
	if (!e->two && (id > 14 || len - 1 > 15)) /* len 0 wraps: one byte cannot say it */
		return false;
	if (e->len + 1 + e->two + len > ELEMENTS_MAX)
		return true;
	if (e->two) {
		e->data[e->len++] = id;
		e->data[e->len++] = (uint8_t)len;
	} else {
		e->data[e->len++] = (uint8_t)(id << 4 | (len - 1));
	}
	if (len)
		memcpy(e->data + e->len, data, len);
	e->len += len;
	return true;
}

/* `types`: which of the packet's elements go along. */
static bool put_all(struct elements *e, const struct mu_packet *p, uint32_t types,
	const struct mu_ext_map *to, const struct mu_ext_add *add, size_t n_add)
{
	for (unsigned i = 0; i < p->n_ext; i++) {
		const struct mu_packet_ext *x = &p->ext[i];
		uint8_t id = to->id_of[x->type];

		if (id && types >> x->type & 1 && !put(e, id, p->data + x->at, x->len))
			return false;
	}
	for (size_t i = 0; i < n_add; i++) {
		uint8_t id = to->id_of[add[i].type];

		if (id && !put(e, id, add[i].data, add[i].len))
			return false;
	}
	return true;
}

size_t mu_rtp_write_header(const struct mu_packet *p, const struct mu_ext_map *to,
	const struct mu_ext_add *add, size_t n_add, uint8_t *ret)
{
	struct elements e = { .data = ret + MU_RTP_HEADER_MIN + EXT_HEADER };
	uint32_t types = MU_EXT_TRAVELS;

	/* What we say ourselves takes the place of what the publisher said. */
	for (size_t i = 0; i < n_add; i++)
		types &= ~(1u << add[i].type);
	/* Nearly always the short form will do, so try it and start over in the rare other case. */
	if (!put_all(&e, p, types, to, add, n_add)) {
		e.two = true;
		e.len = 0;
		put_all(&e, p, types, to, add, n_add);
	}
	memset(ret, 0, MU_RTP_HEADER_MIN);
	ret[0] = (uint8_t)(0x80 | (p->pad ? 0x20 : 0) | (e.len ? 0x10 : 0));
	ret[1] = p->flags & MU_PACKET_MARKER ? 0x80 : 0;
	if (!e.len)
		return MU_RTP_HEADER_MIN;
	while (e.len % 4)
		e.data[e.len++] = 0;
	mu_put16(ret + MU_RTP_HEADER_MIN, e.two ? TWO_BYTE : ONE_BYTE);
	mu_put16(ret + MU_RTP_HEADER_MIN + 2, (uint16_t)(e.len / 4));
	return MU_RTP_HEADER_MIN + EXT_HEADER + e.len;
}
