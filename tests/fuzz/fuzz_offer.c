/* An offer from anybody, planned: as a publisher's, whom a real browser then watches, and as a viewer's of each kind of real
 * publisher. Nothing flows; what is planned must be within bounds and answered in a text that fits the offer. */
#include "../unit/webrtc/fake_transport.h"

static struct fixture *f;
static char *viewer;
static const char *const publishers[] = { "chromium-whip.sdp", "firefox-whip.sdp", "gstreamer-whip.sdp" };

static void check(bool good)
{
	if (!good)
		abort();
}

static bool offered(const struct mu_sdp_media *m, uint8_t pt)
{
	for (unsigned i = 0; i < m->n_codecs; i++) {
		if (m->codecs[i].pt == pt)
			return true;
	}
	return false;
}

static bool ext_offered(const struct mu_sdp_media *m, uint8_t id, enum mu_rtp_ext type)
{
	for (unsigned i = 0; i < m->n_exts; i++) {
		if (m->exts[i].id == id && m->exts[i].type == type)
			return true;
	}
	return false;
}

/* RFC 3264, section 6: section by section, with what was offered there. */
static void check_answer(const char *offer, size_t len)
{
	static struct mu_sdp o, a;
	struct mu_error e;

	check(mu_sdp_parse(offer, len, &o, &e) == 0);
	if (strlen(f->r.body) > MU_SDP_SIZE_MAX)
		return;
	check(mu_sdp_parse(f->r.body, strlen(f->r.body), &a, &e) == 0);
	check(a.n_media == o.n_media);
	for (unsigned i = 0; i < a.n_media; i++) {
		const struct mu_sdp_media *m = &a.media[i];

		check(strcmp(m->type, o.media[i].type) == 0 && strcmp(m->mid, o.media[i].mid) == 0);
		for (unsigned k = 0; m->port != 0 && k < m->n_codecs; k++)
			check(offered(&o.media[i], m->codecs[k].pt));
		for (unsigned k = 0; k < m->n_exts; k++)
			check(ext_offered(&o.media[i], m->exts[k].id, m->exts[k].type));
	}
}

static void check_plan(const struct mu_transport_spec *s)
{
	check(s->n_in <= MU_STREAMS_MAX && s->n_out <= MU_STREAMS_MAX && s->n_in + s->n_out > 0);
	check(s->n_fingerprints > 0);
	for (unsigned i = 0; i < s->n_in; i++) {
		check(s->in[i].n_formats > 0 && s->in[i].n_formats <= MU_FORMATS_MAX && s->in[i].track);
		for (unsigned k = 0; k < i; k++) { /* each encoding has a name and a track of its own */
			check(s->in[k].track != s->in[i].track);
			check(strcmp(s->in[k].mid, s->in[i].mid) != 0 || !s->in[i].mid[0] || strcmp(s->in[k].rid, s->in[i].rid) != 0);
		}
		check(!s->in[i].rid[0] || (!s->in[i].ssrc && s->in[i].exts.id_of[MU_EXT_RID]));
	}
	for (unsigned i = 0; i < s->n_out; i++)
		check(s->out[i].n_formats > 0 && s->out[i].n_formats <= MU_FORMATS_MAX && s->out[i].track && s->out[i].ssrc);
}

typedef void post_fn(struct mu_webrtc *w, const struct mu_token *who, const char *endpoint, const char *sdp, size_t len,
	struct mu_web_reply *ret);

static bool post(post_fn *fn, const char *endpoint, const char *sdp, size_t len)
{
	mu_web_reply_done(&f->r);
	fn(f->w, &f->token, endpoint, sdp, len, &f->r);
	if (f->r.status != 201) {
		check(f->r.status >= 400 && f->r.detail[0] && !f->r.body && !f->r.location);
		return false;
	}
	check_answer(sdp, len);
	check_plan(&fake_last()->spec);
	return true;
}

static char *name_of(size_t i, char ret[32])
{
	snprintf(ret, 32, "city/real-%zu", i);
	return ret;
}

/* The real publishers stay for good. */
static void setup(void)
{
	void *state = NULL;
	char id[32];

	mu_log_setup(MU_LOG_ERROR, MU_LOG_STDERR);
	fixture_setup(&state);
	f = state;
	viewer = sdp_load("chromium-whep.sdp");
	for (size_t i = 0; i < MU_ARRAY_LEN(publishers); i++) {
		char *sdp = sdp_load(publishers[i]);

		check(post(mu_whip_post, name_of(i, id), sdp, strlen(sdp)));
		fake_fire(fake_last(), MU_TRANSPORT_CONNECTED, "");
		free(sdp);
	}
}

static void close_others(void)
{
	mu_web_reply_done(&f->r);
	for (unsigned i = 0; i < MU_ARRAY_LEN(fake.t); i++) {
		if (fake.t[i] && i >= MU_ARRAY_LEN(publishers))
			fake_fire(fake.t[i], MU_TRANSPORT_CLOSED, "");
	}
	if (fake.timer) /* its publisher's hold */
		fake.timer(fake.timer_arg);
	fake.timer = NULL;
	fake.n = MU_ARRAY_LEN(publishers);
	f->events[0] = '\0';
	check(mu_webrtc_sessions(f->w) == MU_ARRAY_LEN(publishers) && fake.n_alive == MU_ARRAY_LEN(publishers));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[32];

	if (!f)
		setup();
	if (post(mu_whip_post, "city/cam", (const char *)data, size)) {
		fake_fire(fake_last(), MU_TRANSPORT_CONNECTED, "");
		post(mu_whep_post, "city/cam", viewer, strlen(viewer));
	}
	post(mu_whep_post, name_of(size % MU_ARRAY_LEN(publishers), id), (const char *)data, size);
	close_others();
	return 0;
}
