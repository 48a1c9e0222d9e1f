/* Offers like a browser's, answers to Janus, and as much of the other side's SDP as media needs. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#define URI_MID  "urn:ietf:params:rtp-hdrext:sdes:mid"
#define URI_TWCC "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

static void add_transport(FILE *f, const struct peer *p, const char *setup)
{
	char fp[96];

	mu_fingerprint_text(mu_identity_fingerprint(p->load->identity), fp);
	fprintf(f, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=ice-options:trickle\r\n", p->ufrag, p->pwd);
	fprintf(f, "a=fingerprint:sha-256 %s\r\na=setup:%s\r\na=rtcp-mux\r\n", fp, setup);
	fprintf(f, "a=candidate:1 1 udp 2130706431 %s %u typ host\r\na=end-of-candidates\r\n", net_address(p),
		p->port);
}

static void add_head(FILE *f, const char *group)
{
	fprintf(f, "v=0\r\no=- %u 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE%s\r\n",
		mu_random_u32() >> 1, group);
	fprintf(f, "a=msid-semantic: WMS *\r\n");
}

static void add_extensions(FILE *f, const struct peer *p, const char *mid)
{
	fprintf(f, "a=mid:%s\r\na=extmap:3 " URI_MID "\r\na=extmap:4 " URI_TWCC "\r\n", mid);
	fprintf(f, "a=%s\r\n", p->publishes ? "sendonly" : "recvonly");
}

char *sdp_offer(const struct peer *p, bool active)
{
	const char *setup = active ? "active" : "actpass";
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	add_head(f, " 0 1");
	fprintf(f, "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n");
	add_transport(f, p, setup);
	add_extensions(f, p, "0");
	fprintf(f,
		"a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n");
	if (p->pub)
		fprintf(f, "a=msid:load a\r\na=ssrc:%u cname:load\r\n", pub_ssrc(p->pub, AUDIO));
	fprintf(f, "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n");
	add_transport(f, p, setup);
	add_extensions(f, p, "1");
	fprintf(f,
		"a=rtpmap:96 H264/90000\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\n"
		"a=rtcp-fb:96 nack pli\r\n"
		"a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
		"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-rsize\r\n");
	if (p->pub) {
		uint32_t ssrc = pub_ssrc(p->pub, VIDEO), rtx = pub_rtx_ssrc(p->pub);

		fprintf(f,
			"a=msid:load v\r\na=ssrc-group:FID %u %u\r\na=ssrc:%u cname:load\r\na=ssrc:%u cname:load\r\n",
			ssrc, rtx, ssrc, rtx);
	}
	fclose(f);
	return text;
}

/* Lines of an offered section that an answer may give back as they are. */
static bool is_kept(const char *line)
{
	static const char *const kept[] = { "a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:" };

	for (size_t i = 0; i < MU_ARRAY_LEN(kept); i++) {
		if (strncmp(line, kept[i], strlen(kept[i])) == 0)
			return true;
	}
	return false;
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

char *sdp_answer(const struct peer *p, const char *offer)
{
	char *text = NULL, line[1024], group[256] = "";
	const char *at, *next;
	size_t size;
	bool media = false;
	FILE *f = open_memstream(&text, &size);

	for (at = offer; (next = next_line(at, line, sizeof(line))); at = next) {
		if (!strncmp(line, "a=group:BUNDLE", 14))
			snprintf(group, sizeof(group), "%.255s", line + 14);
	}
	add_head(f, group);
	for (at = offer; (next = next_line(at, line, sizeof(line))); at = next) {
		if (!strncmp(line, "m=", 2)) {
			char kind[16], pts[256];

			media = sscanf(line, "m=%15s %*s %*s %255[^\n]", kind, pts) == 2;
			if (!media)
				continue;
			fprintf(f, "m=%s 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\n", kind,
				pts);
			add_transport(f, p, "active");
		} else if (media && is_kept(line)) {
			fprintf(f, "%s\r\n", line);
		}
	}
	fclose(f);
	return text;
}

static void read_candidate(const char *line, struct remote *r)
{
	char transport[8], ip[64];
	unsigned component, port;

	if (r->addr.sin_port ||
		sscanf(line, "a=candidate:%*s %u %7s %*s %63s %u", &component, transport, ip, &port) != 4)
		return;
	if (component != 1 || strcasecmp(transport, "udp") || inet_pton(AF_INET, ip, &r->addr.sin_addr) != 1)
		return;
	r->addr.sin_family = AF_INET;
	r->addr.sin_port = htons((uint16_t)port);
}

static void read_format(const char *line, struct remote *r)
{
	unsigned pt;
	char name[32];

	if (sscanf(line, "a=rtpmap:%u %31[^/]", &pt, name) != 2 || pt > 127)
		return;
	if ((!strcasecmp(name, "H264") && !r->is_h264) || (!strcasecmp(name, "VP8") && !r->pt[VIDEO])) {
		r->is_h264 = !strcasecmp(name, "H264");
		r->pt[VIDEO] = (uint8_t)pt;
	} else if (!strcasecmp(name, "opus") && !r->pt[AUDIO])
		r->pt[AUDIO] = (uint8_t)pt;
	else if (!strcasecmp(name, "rtx") && !r->rtx_pt)
		r->rtx_pt = (uint8_t)pt;
}

static void read_extension(const char *line, struct remote *r)
{
	unsigned id;
	char uri[128];

	if (sscanf(line, "a=extmap:%u%*[^ ] %127s", &id, uri) != 2 &&
		sscanf(line, "a=extmap:%u %127s", &id, uri) != 2)
		return;
	if (id > 14)
		return;
	if (!strcmp(uri, URI_MID))
		r->ext_mid = (uint8_t)id;
	else if (!strcmp(uri, URI_TWCC))
		r->ext_twcc = (uint8_t)id;
}

int sdp_read(const char *sdp, struct remote *r, const char **why)
{
	char line[1024];
	const char *next;
	int media = -1;

	memset(r, 0, sizeof(*r));
	for (; (next = next_line(sdp, line, sizeof(line))); sdp = next) {
		if (!strncmp(line, "m=", 2))
			media = !strncmp(line + 2, "video", 5)   ? VIDEO
				: !strncmp(line + 2, "audio", 5) ? AUDIO
								 : -1;
		else if (!strncmp(line, "a=ice-ufrag:", 12))
			snprintf(r->ufrag, sizeof(r->ufrag), "%.256s", line + 12);
		else if (!strncmp(line, "a=ice-pwd:", 10))
			snprintf(r->pwd, sizeof(r->pwd), "%.256s", line + 10);
		else if (!strncasecmp(line, "a=fingerprint:sha-256 ", 22))
			r->has_fingerprint = mu_fingerprint_parse(line + 22, r->fingerprint) == 0;
		else if (!strcmp(line, "a=setup:active"))
			r->active = true;
		else if (!strncmp(line, "a=mid:", 6) && media >= 0)
			snprintf(r->mid[media], sizeof(r->mid[media]), "%.31s", line + 6);
		read_candidate(line, r);
		read_format(line, r);
		read_extension(line, r);
	}
	*why = !r->ufrag[0] || !r->pwd[0]        ? "no ICE credentials"
		: !r->has_fingerprint            ? "no SHA-256 fingerprint"
		: !r->addr.sin_port              ? "no UDP candidate over IPv4"
		: !r->pt[VIDEO] && !r->pt[AUDIO] ? "no format of ours"
						 : NULL;
	return *why ? -EBADMSG : 0;
}
