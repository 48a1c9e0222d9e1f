/* An offer from anybody: parsed, and answered as a publisher's and as a viewer's would be, as far as that is
 * plain logic. */
#include <stdlib.h>

#include "webrtc/sdp.h"

static void look(const struct mu_sdp *s)
{
	bool wanted[MU_SDP_MEDIA_MAX];
	struct mu_format format;
	struct mu_error e;
	unsigned tagged;
	char names[160];

	for (unsigned i = 0; i < s->n_media; i++) {
		const struct mu_sdp_media *m = &s->media[i];

		wanted[i] = sdp_media_usable(m);
		sdp_codec_names(m, names, sizeof(names));
		for (unsigned k = 0; k < m->n_codecs; k++) {
			sdp_rtx_of(m, m->codecs[k].pt);
			sdp_format_set(&format, &m->codecs[k]);
			for (unsigned j = 0; j < m->n_codecs; j++)
				sdp_format_suits(&format, &m->codecs[j]);
		}
	}
	if (s->n_media > 0)
		sdp_offer_check(s, wanted, &tagged, &e);
}

/* What is echoed must be a text that we would read again. */
static void answer(const struct mu_sdp *s, struct mu_sdp *again)
{
	static const uint8_t fingerprint[MU_FINGERPRINT_LEN];
	struct sdp_answer *a = calloc(1, sizeof(*a));
	struct mu_error e;
	char *text;

	a->offer = s;
	a->ufrag = "abcdefgh";
	a->pwd = "abcdefghabcdefghabcdefgh";
	a->fingerprint = fingerprint;
	for (unsigned i = 0; i < s->n_media; i++) {
		struct sdp_section *sec = &a->sections[i];

		sec->accepted = sdp_media_usable(&s->media[i]);
		sec->direction = MU_SDP_RECVONLY;
		for (unsigned k = 0; k < s->media[i].n_codecs && k < MU_ARRAY_LEN(sec->codecs); k++) {
			if (s->media[i].codecs[k].name[0])
				sec->codecs[sec->n_codecs++] = &s->media[i].codecs[k];
		}
		sec->accepted &= sec->n_codecs > 0;
	}
	text = sdp_answer_write(a);
	if (mu_sdp_parse(text, strlen(text), again, &e) < 0 && strlen(text) <= MU_SDP_SIZE_MAX)
		abort();
	free(text);
	free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mu_sdp s, again;
	struct mu_error e;

	if (mu_sdp_parse((const char *)data, size, &s, &e) == 0) {
		look(&s);
		answer(&s, &again);
	}
	return 0;
}
