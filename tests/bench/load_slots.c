/* The SDP of a console's two connections: three encodings up, as many slots down as the gateway offers. */
#include "load_conf.h"

#include <stdlib.h>

#define EXT_TWCC  "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
#define EXT_LEVEL "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

static void add_head(FILE *f, const char *group)
{
	fprintf(f,
		"v=0\r\no=- %u 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE%s\r\na=msid-semantic: WMS *\r\n",
		mu_random_u32() >> 1, group);
}

static void add_transport(FILE *f, const struct peer *p, const char *setup)
{
	char fp[96];

	mu_fingerprint_text(mu_identity_fingerprint(p->load->identity), fp);
	fprintf(f, "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\n",
		p->ufrag, p->pwd);
	fprintf(f, "a=ice-options:trickle\r\na=fingerprint:sha-256 %s\r\na=setup:%s\r\na=rtcp-mux\r\n", fp,
		setup);
	fprintf(f, "a=candidate:1 1 udp 2130706431 %s %u typ host\r\na=end-of-candidates\r\n", net_address(p),
		p->port);
}

char *slots_offer(const struct peer *p, uint32_t audio_ssrc)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	add_head(f, " 0 1");
	fprintf(f, "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n");
	add_transport(f, p, "actpass");
	fprintf(f,
		"a=mid:0\r\na=extmap:1 " EXT_LEVEL "\r\na=extmap:3 " CONF_EXT_MID "\r\na=extmap:4 " EXT_TWCC
		"\r\na=sendonly\r\na=msid:load a\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n"
		"a=fmtp:111 minptime=10;useinbandfec=1\r\na=ssrc:%u cname:load\r\n",
		audio_ssrc);
	fprintf(f, "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n");
	add_transport(f, p, "actpass");
	fprintf(f,
		"a=mid:1\r\na=extmap:3 " CONF_EXT_MID "\r\na=extmap:4 " EXT_TWCC
		"\r\na=extmap:10 " CONF_EXT_RID "\r\na=extmap:11 " CONF_EXT_RRID
		"\r\na=sendonly\r\na=msid:load v\r\n"
		"a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n"
		"a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n"
		"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-rsize\r\n");
	for (int i = 0; i < CONF_LAYERS; i++)
		fprintf(f, "a=rid:%s send\r\n", layer_rids[i]);
	fprintf(f, "a=simulcast:send l;m;h\r\n");
	fclose(f);
	return text;
}

/* One line without its end. @return where the next one begins, NULL after the last */
static const char *next_line(const char *at, char *ret, size_t size)
{
	size_t len = strcspn(at, "\r\n"), n = MU_MIN(len, size - 1);

	if (!*at)
		return NULL;
	memcpy(ret, at, n);
	ret[n] = 0;
	at += len;
	return at + strspn(at, "\r\n");
}

static bool starts(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

static void read_extension(const char *line, struct section *s)
{
	static const struct {
		const char *uri;
		size_t at;
	} known[] = { { CONF_EXT_MID, offsetof(struct section, ext_mid) },
		{ EXT_TWCC, offsetof(struct section, ext_twcc) },
		{ CONF_EXT_RID, offsetof(struct section, ext_rid) },
		{ CONF_EXT_RRID, offsetof(struct section, ext_rrid) },
		{ EXT_LEVEL, offsetof(struct section, ext_level) } };
	unsigned id;
	char uri[128];

	if (sscanf(line, "a=extmap:%u%*[^ ] %127s", &id, uri) != 2 &&
		sscanf(line, "a=extmap:%u %127s", &id, uri) != 2)
		return;
	for (size_t i = 0; id < 15 && i < MU_ARRAY_LEN(known); i++) {
		if (!strcmp(uri, known[i].uri))
			((uint8_t *)s)[known[i].at] = (uint8_t)id;
	}
}

static void read_format(const char *line, struct section *s)
{
	unsigned pt, apt;
	char name[32];

	if (sscanf(line, "a=rtpmap:%u %31[^/]", &pt, name) == 2 && pt < 128 && !s->pt &&
		!strcasecmp(name, s->video ? "VP8" : "opus"))
		s->pt = (uint8_t)pt;
	/* the retransmission format of a format stands behind it in every SDP there is */
	if (sscanf(line, "a=fmtp:%u apt=%u", &pt, &apt) == 2 && pt < 128 && apt == s->pt)
		s->rtx_pt = (uint8_t)pt;
}

static void read_line(const char *line, struct section *s)
{
	unsigned a, b;

	if (starts(line, "a=mid:"))
		snprintf(s->mid, sizeof(s->mid), "%.31s", line + 6);
	else if (!strcmp(line, "a=sendonly") || !strcmp(line, "a=sendrecv"))
		s->sends = true;
	else if (!strcmp(line, "a=recvonly") || !strcmp(line, "a=inactive"))
		s->sends = false;
	else if (sscanf(line, "a=ssrc-group:FID %u %u", &a, &b) == 2)
		s->rtx_ssrc = b;
	else if (sscanf(line, "a=ssrc:%u", &a) == 1 && !s->ssrc)
		s->ssrc = a;
	read_extension(line, s);
	read_format(line, s);
}

void slots_read(const char *sdp, struct description *ret)
{
	char line[1024];
	const char *next;
	struct section *s = NULL;

	ret->n = 0;
	for (; (next = next_line(sdp, line, sizeof(line))); sdp = next) {
		unsigned port;

		if (!starts(line, "m=")) {
			if (s)
				read_line(line, s);
			continue;
		}
		s = NULL;
		if (ret->n == CONF_SLOTS || sscanf(line, "m=%*s %u", &port) != 1)
			continue;
		s = &ret->s[ret->n++];
		*s = (struct section){
			.video = starts(line, "m=video"), .sends = true, .refused = port == 0
		};
	}
}

/* Lines of an offered section that its answer gives back as they are, for one format and its repair. */
static bool is_kept(const char *line, const struct section *s)
{
	unsigned pt;

	if (starts(line, "a=mid:"))
		return true;
	if (starts(line, "a=extmap:"))
		return strstr(line, CONF_EXT_MID) || strstr(line, EXT_TWCC) || strstr(line, EXT_LEVEL);
	if (sscanf(line, "a=rtpmap:%u", &pt) != 1 && sscanf(line, "a=fmtp:%u", &pt) != 1 &&
		sscanf(line, "a=rtcp-fb:%u", &pt) != 1)
		return starts(line, "a=rtcp-fb:*");
	return pt == s->pt || (s->rtx_pt && pt == s->rtx_pt);
}

char *slots_answer(const struct peer *p, const char *offer)
{
	char *text = NULL, line[1024], group[1024] = "";
	struct description *d = malloc(sizeof(*d));
	const struct section *s = NULL;
	const char *at, *next;
	unsigned k = 0;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	slots_read(offer, d);
	for (at = offer; (next = next_line(at, line, sizeof(line))); at = next) {
		if (starts(line, "a=group:BUNDLE"))
			snprintf(group, sizeof(group), "%.1000s", line + 14);
	}
	add_head(f, group);
	for (at = offer; (next = next_line(at, line, sizeof(line))); at = next) {
		bool begins = starts(line, "m=");

		if (begins && k < d->n) {
			s = &d->s[k++];
			fprintf(f, "m=%s %d UDP/TLS/RTP/SAVPF %u", s->video ? "video" : "audio",
				s->pt && !s->refused ? 9 : 0, s->pt);
			if (s->rtx_pt)
				fprintf(f, " %u", s->rtx_pt);
			fprintf(f, "\r\n");
			add_transport(f, p, "active");
			fprintf(f, "a=%s\r\n", s->sends ? "recvonly" : "inactive");
		} else if (s && is_kept(line, s)) {
			fprintf(f, "%s\r\n", line);
		}
	}
	fclose(f);
	free(d);
	return text;
}
