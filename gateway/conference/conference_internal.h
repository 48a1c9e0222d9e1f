/* What the files of conference share. */
#ifndef MU_CONFERENCE_INTERNAL_H
#define MU_CONFERENCE_INTERNAL_H

#include "conference/conference.h"

struct mu_conference {
	struct mu_conferences *all;
	char id[65];
	char title[MU_TITLE_MAX];
	bool moderated, locked;
	unsigned loudest;
	enum mu_layout layout;
	char floor[MU_ID_MAX], screen[MU_ID_MAX], broadcast[MU_ID_MAX], speaker[MU_ID_MAX];
	int64_t since_us; /* wall clock */
	struct mu_member **members; /* in the order they came */
	size_t n_members, size_members;
};
struct mu_conferences {
	struct mu_directory *directory;
	struct mu_conference_store store;
	struct mu_conference **list; /* by id */
	size_t n, size;
	struct mu_conference_limits limits;
};

struct mu_member *member_find(const struct mu_conference *c, const char *endpoint);
struct mu_member *member_add(struct mu_conference *c, const char *endpoint);
/* Whether the actor may lead: an operator (NULL) or a chair. @return 0, -EPERM with e */
int may_lead(const struct mu_conference *c, const char *actor, const char *act, struct mu_error *e);
int no_member(const struct mu_conference *c, const char *endpoint, struct mu_error *e);
/* Tell "conference.<what>" with the conference's id, endpoint (NULL: none) and why (NULL: none), and save. */
void changed(struct mu_conference *c, const char *what, const char *endpoint, const char *why);
/* Someone leaves or is lost: floor and screen are let go. Tells. */
void let_go(struct mu_conference *c, struct mu_member *m, const char *why);
/* NULL: "". */
void set_id(char ret[MU_ID_MAX], const char *endpoint);
/* What text_keep leaves of it. */
void set_name(struct mu_member *m, const char *name);

/* --- text.c --- */

/* Whole characters of UTF-8 that fit, without those that steer a terminal or the text around them. @return bytes */
size_t text_keep(char *ret, size_t size, const char *text);
/* Whether nothing would be left out, and it is not empty. @param what of the error's text. @return 0, -EINVAL with e */
int text_check(const char *text, size_t max, const char *what, struct mu_error *e);

#endif
