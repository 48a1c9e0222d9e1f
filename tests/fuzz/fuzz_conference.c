/* A conference as a file may hold it, taken back; and the same bytes as a title and as a member's name. What was taken can be
 * shown, and what is shown can be taken back. */
#include <stdlib.h>

#include "conference/conference_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct mu_directory *directory;

static void shown(struct mu_conferences *cs, struct mu_conference *c)
{
	json_t *o = mu_conference_json(c);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (!text || mu_conference_members(c) > MU_MEMBERS_MAX || mu_conference_loudest(c) > MU_LOUDEST_MAX)
		abort();
	mu_conferences_release_absent(cs, INT64_MAX);
	if (mu_conference_end(c, NULL, NULL) < 0 || mu_conferences_restore(cs, o, NULL) < 0)
		abort();
	free(text);
	json_decref(o);
}

static void restore(const uint8_t *data, size_t len)
{
	json_t *o = json_loadb((const char *)data, len, JSON_DECODE_ANY, NULL);
	struct mu_conferences *cs;
	struct mu_error e;

	if (mu_conferences_new(directory, NULL, &cs) < 0)
		abort();
	if (o && mu_conferences_restore(cs, o, &e) == 0)
		shown(cs, cs->list[0]);
	mu_conferences_free(cs);
	json_decref(o);
}

static void name(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	struct mu_conference_spec spec = { .id = "a", .title = text };
	struct mu_conferences *cs;
	struct mu_conference *c;
	struct mu_error e;

	memcpy(text, data, len);
	text[len] = '\0';
	if (mu_conferences_new(directory, NULL, &cs) < 0)
		abort();
	if (mu_conference_create(cs, &spec, &c, &e) < 0) {
		spec.title = NULL;
		if (mu_conference_create(cs, &spec, &c, &e) < 0)
			abort();
	}
	if (mu_conference_join(c, "city/a", text, MU_ROLE_CHAIR, 0, &e) < 0)
		abort();
	shown(cs, c);
	mu_conferences_free(cs);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!directory && mu_directory_new("city", &directory) < 0)
		abort();
	restore(data, len);
	name(data, len);
	return 0;
}
