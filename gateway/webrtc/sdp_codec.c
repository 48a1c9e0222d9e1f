/* Formats: which ones we relay, which suit each other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "webrtc/sdp.h"

enum mu_codec sdp_codec_of(const struct mu_sdp_codec *c)
{
	enum mu_codec codec = mu_codec_parse(c->name, strlen(c->name));

	/* the same name at another rate is another format, which browsers do not have */
	return codec != MU_CODEC_NONE && c->clock == mu_codec_clock(codec) ? codec : MU_CODEC_NONE;
}

const struct mu_sdp_codec *sdp_rtx_of(const struct mu_sdp_media *m, uint8_t pt)
{
	char apt[8];

	for (unsigned i = 0; i < m->n_codecs; i++) {
		const struct mu_sdp_codec *c = &m->codecs[i];

		if (strcasecmp(c->name, "rtx") == 0 && mu_fmtp_param(c->fmtp, "apt", apt, sizeof(apt)) &&
			atoi(apt) == pt)
			return c;
	}
	return NULL;
}

void sdp_format_set(struct mu_format *ret, const struct mu_sdp_codec *c)
{
	ret->codec = sdp_codec_of(c);
	ret->pt = c->pt;
	ret->channels = c->channels;
	snprintf(ret->fmtp, sizeof(ret->fmtp), "%s", c->fmtp);
}

int sdp_format_suits(const struct mu_format *from, const struct mu_sdp_codec *to)
{
	struct mu_format offered;

	sdp_format_set(&offered, to);
	return mu_format_suits(from, &offered);
}

char *sdp_codec_names(const struct mu_sdp_media *m, char *ret, size_t size)
{
	size_t len = 0;

	snprintf(ret, size, "none");
	for (unsigned i = 0; i < m->n_codecs && len + sizeof(m->codecs[0].name) + 3 < size; i++) {
		bool again = !m->codecs[i].name[0];

		for (unsigned k = 0; k < i && !again; k++)
			again = strcasecmp(m->codecs[k].name, m->codecs[i].name) == 0;
		if (!again)
			len += (size_t)snprintf(
				ret + len, size - len, "%s%s", len > 0 ? ", " : "", m->codecs[i].name);
	}
	return ret;
}
