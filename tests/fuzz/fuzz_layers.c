/* What payloads say of layers and sizes: VP9's descriptor, parameter sets, sequence headers. The first byte
 * is the codec. */
#include <stdlib.h>

#include "rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mu_payload_layers l, again;
	enum mu_codec codec;
	uint8_t *exact;

	if (size < 1)
		return 0;
	codec = (enum mu_codec)(data[0] % (MU_CODEC_AV1 + 1));
	exact = malloc(size > 1 ? size - 1 : 1); /* ends where the payload ends */
	check(exact);
	memcpy(exact, data + 1, size - 1);
	l = mu_payload_layers(codec, exact, size - 1, true, true);
	check(l.spatial < MU_SPATIAL_MAX && l.temporal < MU_TEMPORAL_MAX);
	if (codec != MU_CODEC_VP8 && codec != MU_CODEC_VP9)
		check(l.spatial == 0 && l.temporal == 0 && l.flags == (MU_LAYER_START | MU_LAYER_END));
	check(codec == MU_CODEC_VP8 || codec == MU_CODEC_VP9 || !l.width == !l.height);
	again = mu_payload_layers(codec, exact, size - 1, true, true);
	check(again.spatial == l.spatial && again.temporal == l.temporal && again.flags == l.flags &&
		again.width == l.width && again.height == l.height);
	free(exact);
	return 0;
}
