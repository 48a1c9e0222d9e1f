/* One RTP datagram the whole way of a packet: parse, fill, look, rewrite, unwrap RTX. The first byte says
 * how. */
#include <stdlib.h>

#include "rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* Most ids are known, some above 14, so that both forms are met. */
static void make_map(struct mu_ext_map *m, uint8_t how)
{
	memset(m, 0, sizeof(*m));
	for (uint8_t t = 1; t < MU_EXT_COUNT; t++)
		mu_ext_map_set(m, (enum mu_rtp_ext)t, (uint8_t)(how & 1 ? t : how & 2 ? 15 - t : 14 * t));
}

static void look(const struct mu_packet *p)
{
	size_t len = (size_t)(p->len - p->hlen - p->pad);
	uint8_t *copy = malloc(len ? len : 1); /* ends where the payload ends */

	check(copy);
	memcpy(copy, p->data + p->hlen, len);
	for (int c = MU_CODEC_NONE; c <= MU_CODEC_AV1; c++) {
		struct mu_payload_info i = mu_payload_look((enum mu_codec)c, copy, len);
		struct mu_payload_layers l = mu_payload_layers((enum mu_codec)c, copy, len, i.frame_start, len & 1);

		check(l.spatial < MU_SPATIAL_MAX && l.temporal < MU_TEMPORAL_MAX);

		check(i.frame_start || !(i.key || i.params || i.entry));
	}
	free(copy);
}

static void rewrite(const struct mu_packet *p, uint8_t how)
{
	static struct mu_packet back;
	const struct mu_ext_add add[] = { { MU_EXT_MID, how & 15, p->data }, { MU_EXT_TWCC, 2, p->data } };
	size_t n_add = how >> 4 & 3, len;
	uint8_t *h = malloc(MU_RTP_HEADER_MAX);
	struct mu_ext_map to;

	check(h);
	make_map(&to, how >> 2);
	len = mu_rtp_write_header(p, &to, add, MU_MIN(n_add, 2u), h);
	check(len >= MU_RTP_HEADER_MIN && len <= MU_RTP_HEADER_MAX && len % 4 == 0);
	mu_rtp_patch(h, p->pt, p->wire_seq, p->wire_ts, 1);
	memset(&back, 0, sizeof(back));
	memcpy(back.data, h, len);
	back.data[0] &= (uint8_t)~0x20; /* the padding is not here */
	back.len = (uint16_t)len;
	check(mu_rtp_fill(&back, &to) == 0);
	check(back.hlen == len && back.wire_seq == p->wire_seq && back.wire_ts == p->wire_ts &&
		back.pt == p->pt);
	check((back.flags & MU_PACKET_MARKER) == (p->flags & MU_PACKET_MARKER));
	for (unsigned i = 0; i < back.n_ext; i++) {
		size_t want_len = 0;
		enum mu_rtp_ext t = (enum mu_rtp_ext)back.ext[i].type;
		const uint8_t *want = mu_rtp_ext(p, t, &want_len);

		check(t == MU_EXT_MID || t == MU_EXT_TWCC ||
			(want && mu_ext_travels(t) && want_len == back.ext[i].len &&
				!memcmp(want, back.data + back.ext[i].at, want_len)));
	}
	free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mu_packet p;
	struct mu_ext_map from;
	struct mu_rtp_header h;

	if (size < 1 || size > 1 + MU_PACKET_MAX)
		return 0;
	(void)mu_rtp_parse(data + 1, size - 1, &h);
	make_map(&from, data[0]);
	memset(&p, 0, sizeof(p));
	memcpy(p.data, data + 1, size - 1);
	p.len = (uint16_t)(size - 1);
	if (mu_rtp_fill(&p, &from) < 0)
		return 0;
	check(p.hlen + p.pad <= p.len && p.n_ext <= MU_PACKET_EXTS);
	for (unsigned i = 0; i < p.n_ext; i++)
		check(p.ext[i].at + p.ext[i].len <= p.hlen);
	look(&p);
	rewrite(&p, data[0]);
	if (mu_rtx_unwrap(&p) == 0) {
		check(p.hlen + p.pad <= p.len && p.wire_seq == mu_get16(p.data + 2));
		look(&p);
	}
	return 0;
}
