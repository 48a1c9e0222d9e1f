#include "webrtc/signal.h"

#include <errno.h>

static const char *const types[] = {
	[MU_SIGNAL_HELLO] = "hello",
	[MU_SIGNAL_JOIN] = "join",
	[MU_SIGNAL_LEAVE] = "leave",
	[MU_SIGNAL_OFFER] = "offer",
	[MU_SIGNAL_VIEW] = "view",
	[MU_SIGNAL_ANSWER] = "answer",
	[MU_SIGNAL_CANDIDATE] = "candidate",
	[MU_SIGNAL_RESTART] = "restart",
	[MU_SIGNAL_ACT] = "act",
};

/* --- members --- */

/* A string member; "" where it is absent and need not be there. */
static int text(const json_t *o, const char *key, bool must, const char **ret, struct mu_error *e)
{
	const json_t *v = json_object_get(o, key);

	*ret = "";
	if (!v || json_is_null(v))
		return must ? mu_error_set(e, -EBADMSG, "'%s' is missing", key) : 0;
	if (!json_is_string(v))
		return mu_error_set(e, -EBADMSG, "'%s' has to be a string", key);
	*ret = json_string_value(v);
	return 0;
}

static int endpoint(const json_t *o, bool must, const char **ret, struct mu_error *e)
{
	int err = text(o, "endpoint", must, ret, e);

	if (err == 0 && (must || (*ret)[0]) && !mu_endpoint_id_valid(*ret))
		return mu_error_set(e, -EBADMSG, "'endpoint' has to be <site>/<name>, not '%.64s'", *ret);
	return err;
}

static int flag(const json_t *o, const char *key, bool *ret, struct mu_error *e)
{
	const json_t *v = json_object_get(o, key);

	if (v && !json_is_boolean(v))
		return mu_error_set(e, -EBADMSG, "'%s' has to be true or false", key);
	*ret = json_is_true(v);
	return 0;
}

/* A number from min to max; `otherwise` where it is absent. otherwise < 0: it has to be there. */
static int number(const json_t *o, const char *key, uint32_t min, uint32_t max, int64_t otherwise,
	uint32_t *ret, struct mu_error *e)
{
	const json_t *v = json_object_get(o, key);

	if (!v && otherwise >= 0) {
		*ret = (uint32_t)otherwise;
		return 0;
	}
	if (!json_is_integer(v) || json_integer_value(v) < (json_int_t)min ||
		json_integer_value(v) > (json_int_t)max)
		return mu_error_set(e, -EBADMSG, "'%s' has to be a number from %u to %u", key, min, max);
	*ret = (uint32_t)json_integer_value(v);
	return 0;
}

/* --- by type --- */

static int parse_candidate(struct mu_signal *s, struct mu_error *e)
{
	const char *pc;
	int err = text(s->json, "pc", true, &pc, e);

	if (err < 0)
		return err;
	if (strcmp(pc, "up") != 0 && strcmp(pc, "down") != 0)
		return mu_error_set(e, -EBADMSG, "'pc' has to be \"up\" or \"down\"");
	s->down = strcmp(pc, "down") == 0;
	err = text(s->json, "candidate", true, &s->candidate, e);
	return err < 0 ? err : text(s->json, "mid", false, &s->mid, e);
}

static int parse_act(struct mu_signal *s, struct mu_error *e)
{
	const char *name;
	enum mu_act_needs needs;
	int err = text(s->json, "act", true, &name, e);

	if (err < 0)
		return err;
	if (mu_act_parse(name, &s->act) < 0)
		return mu_error_set(e, -ENOTSUP, "there is no act '%.32s'", name);
	needs = mu_act_needs(s->act);
	if (needs == MU_ACT_ENDPOINT || needs == MU_ACT_MAY_ENDPOINT || needs == MU_ACT_ENDPOINT_VALUE)
		err = endpoint(s->json, needs != MU_ACT_MAY_ENDPOINT, &s->endpoint, e);
	if (err == 0 && (needs == MU_ACT_VALUE || needs == MU_ACT_ENDPOINT_VALUE))
		err = text(s->json, "value", true, &s->value, e);
	return err;
}

static int parse_one_view(const json_t *o, struct mu_signal_view *v, struct mu_error *e)
{
	const char *id, *label;
	int err = json_is_object(o) ? endpoint(o, true, &id, e)
				    : mu_error_set(e, -EBADMSG, "a track has to be an object");

	if (err == 0)
		err = text(o, "label", true, &label, e);
	if (err == 0 && (label[0] == '\0' || strlen(label) >= sizeof(v->label)))
		err = mu_error_set(e, -EBADMSG, "'label' has to be \"video\", \"screen\" or the like");
	if (err == 0)
		err = number(o, "width", 0, 16384, 0, &v->width, e);
	if (err == 0)
		err = number(o, "height", 0, 16384, 0, &v->height, e);
	if (err < 0)
		return err;
	strcpy(v->endpoint, id);
	strcpy(v->label, label);
	return 0;
}

static int parse_views(struct mu_signal *s, struct mu_error *e)
{
	json_t *o, *tracks = json_object_get(s->json, "tracks");
	size_t i;

	if (!json_is_array(tracks) || json_array_size(tracks) > MU_SIGNAL_VIEWS_MAX)
		return mu_error_set(
			e, -EBADMSG, "'tracks' has to be a list of at most %d", MU_SIGNAL_VIEWS_MAX);
	json_array_foreach(tracks, i, o)
	{
		int err = parse_one_view(o, &s->views[i], e);

		if (err < 0)
			return err;
	}
	s->n_views = (unsigned)json_array_size(tracks);
	return 0;
}

static int parse_one_sent(const json_t *o, struct mu_signal_sent *v, struct mu_error *e)
{
	const char *mid, *label;
	int err = json_is_object(o) ? text(o, "mid", true, &mid, e)
				    : mu_error_set(e, -EBADMSG, "a track has to be an object");

	if (err == 0 && (mid[0] == '\0' || strlen(mid) >= sizeof(v->mid)))
		err = mu_error_set(e, -EBADMSG, "'mid' has to have 1 to %zu characters", sizeof(v->mid) - 1);
	if (err == 0)
		err = text(o, "label", true, &label, e);
	if (err < 0)
		return err;
	if (strcmp(label, "audio") != 0 && strcmp(label, "video") != 0 && strcmp(label, "screen") != 0)
		return mu_error_set(e, -EBADMSG,
			"'label' has to be \"audio\", \"video\" or \"screen\", not \"%.32s\"", label);
	strcpy(v->mid, mid);
	strcpy(v->label, label);
	return 0;
}

static int parse_offer(struct mu_signal *s, struct mu_error *e)
{
	json_t *o, *tracks = json_object_get(s->json, "tracks");
	size_t i;
	int err = text(s->json, "sdp", true, &s->sdp, e);

	if (err == 0)
		err = flag(s->json, "fresh", &s->fresh, e);
	if (err < 0 || !tracks)
		return err;
	if (!json_is_array(tracks) || json_array_size(tracks) > MU_SIGNAL_SENT_MAX)
		return mu_error_set(
			e, -EBADMSG, "'tracks' has to be a list of at most %d", MU_SIGNAL_SENT_MAX);
	json_array_foreach(tracks, i, o)
	{
		err = parse_one_sent(o, &s->sent[i], e);
		if (err < 0)
			return err;
	}
	s->n_sent = (unsigned)json_array_size(tracks);
	return 0;
}

static int parse_hello(struct mu_signal *s, struct mu_error *e)
{
	int err = text(s->json, "token", true, &s->token, e);

	if (err == 0)
		err = text(s->json, "session", false, &s->session, e);
	return err < 0 ? err : endpoint(s->json, false, &s->endpoint, e);
}

static int parse_members(struct mu_signal *s, struct mu_error *e)
{
	int err;

	switch (s->type) {
	case MU_SIGNAL_HELLO:
		return parse_hello(s, e);
	case MU_SIGNAL_JOIN:
		err = text(s->json, "conference", true, &s->conference, e);
		return err < 0 ? err : text(s->json, "name", false, &s->name, e);
	case MU_SIGNAL_ANSWER:
		err = number(s->json, "n", 1, INT32_MAX, -1, &s->n, e);
		return err < 0 ? err : text(s->json, "sdp", true, &s->sdp, e);
	case MU_SIGNAL_OFFER:
		return parse_offer(s, e);
	case MU_SIGNAL_VIEW:
		return parse_views(s, e);
	case MU_SIGNAL_CANDIDATE:
		return parse_candidate(s, e);
	case MU_SIGNAL_ACT:
		return parse_act(s, e);
	case MU_SIGNAL_RESTART:
		return flag(s->json, "fresh", &s->fresh, e);
	case MU_SIGNAL_LEAVE:
		break;
	}
	return 0;
}

/* --- a message --- */

/* Nesting, before anything recursive touches the text. Strings are passed over. */
static bool too_deep(const char *text, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		if (quoted) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				quoted = false;
		} else if (text[i] == '"') {
			quoted = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > MU_SIGNAL_DEPTH_MAX)
				return true;
		} else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

static int parse_type(struct mu_signal *s, struct mu_error *e)
{
	const char *name;
	size_t i = 0;
	int err = number(s->json, "id", 1, INT32_MAX, -1, &s->id, e);

	if (err == 0)
		err = text(s->json, "type", true, &name, e);
	if (err < 0)
		return err;
	while (i < MU_ARRAY_LEN(types) && strcmp(types[i], name) != 0)
		i++;
	if (i == MU_ARRAY_LEN(types))
		return mu_error_set(e, -ENOTSUP, "there is no message '%.32s'", name);
	s->type = (enum mu_signal_type)i;
	return 0;
}

int mu_signal_parse(const char *text, size_t len, struct mu_signal *ret, struct mu_error *e)
{
	json_error_t at;
	int err;

	memset(ret, 0, sizeof(*ret));
	ret->token = ret->session = ret->conference = ret->name = ret->sdp = "";
	ret->candidate = ret->mid = ret->endpoint = ret->value = "";
	if (len > MU_SIGNAL_SIZE_MAX)
		return mu_error_set(
			e, -EBADMSG, "a message may have %d bytes, not %zu", MU_SIGNAL_SIZE_MAX, len);
	if (too_deep(text, len))
		return mu_error_set(
			e, -EBADMSG, "objects and lists may be nested %d deep", MU_SIGNAL_DEPTH_MAX);
	ret->json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
	if (!ret->json)
		return mu_error_set(e, -EBADMSG, "no JSON: %s at byte %d", at.text, at.position);
	err = json_is_object(ret->json) ? parse_type(ret, e)
					: mu_error_set(e, -EBADMSG, "a message has to be an object");
	if (err == 0)
		err = parse_members(ret, e);
	if (err < 0) {
		json_decref(ret->json);
		ret->json = NULL;
	}
	return err;
}

void mu_signal_done(struct mu_signal *s)
{
	json_decref(s->json);
	s->json = NULL;
}

json_t *mu_signal_ok(uint32_t id)
{
	return json_pack("{s:s, s:I}", "type", "ok", "id", (json_int_t)id);
}

json_t *mu_signal_error(uint32_t id, int status, const char *title, const char *detail)
{
	json_t *o = json_pack("{s:s, s:{s:i, s:s, s:s}}", "type", "error", "error", "status", status, "title",
		title, "detail", detail);

	if (id)
		json_object_set_new(o, "id", json_integer((json_int_t)id));
	return o;
}
