/* What the files of conference share. */
#ifndef MU_CONFERENCE_INTERNAL_H
#define MU_CONFERENCE_INTERNAL_H

#include "conference/conference.h"

/** What is remembered of one who left or was removed: what a chair did to it. */
struct former {
	char endpoint[MU_ID_MAX];
	bool removed, muted_by_chair, role_given;
	enum mu_role role; /* where it was given */
	int64_t since_us;  /* wall clock */
};
#define FORMER_MAX 256 /* then the oldest are forgotten */

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
	struct former *former; /* the oldest first */
	size_t n_former;
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
/* "<what> by the chair", or "by an operator" where there is no actor. */
const char *by_whom(const char *actor, char ret[64], const char *what);
/* Someone leaves or is lost: floor and screen are let go. Tells. */
void let_go(struct mu_conference *c, struct mu_member *m, const char *why);
/* NULL: "". */
void set_id(char ret[MU_ID_MAX], const char *endpoint);
/* A moment as mu_time_json writes it. @return wall clock, 0: none */
int64_t time_of(const char *text);
/* What text_keep leaves of it. */
void set_name(struct mu_member *m, const char *name);

/* --- former.c --- */

struct former *former_find(const struct mu_conference *c, const char *endpoint);
/* m goes. Nothing is kept of one to whom no chair did anything, nor without memory. */
void former_keep(struct mu_conference *c, const struct mu_member *m, bool removed);
/* It has come back: m is as it was left. */
void former_back(struct mu_conference *c, struct mu_member *m);
/* A new reference. */
json_t *former_json(const struct mu_conference *c);
void former_restore(struct mu_conference *c, const json_t *list);

/* --- text.c --- */

/* Whole characters of UTF-8 that fit, without those that steer a terminal or the text around them. @return bytes */
size_t text_keep(char *ret, size_t size, const char *text);
/* Whether nothing would be left out, and it is not empty. @param what of the error's text. @return 0, -EINVAL with e */
int text_check(const char *text, size_t max, const char *what, struct mu_error *e);

#endif
