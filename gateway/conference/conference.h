/* conference: who is in a conference, in what role, who has the floor, what each sees and hears. Control thread only.
 *
 * Plain logic over endpoint ids: nothing here touches media or sockets, and disks only store.c does. Whatever changes is told as an event of the
 * directory ("conference.floor", ...) and handed to the store's save as JSON; what each member is to receive is asked for
 * by mu_conference_seen after a change.
 *
 * An act names its actor: a member's endpoint id, or NULL for an operator, who may do all. A chair may do all within its
 * conference; anyone may act on itself. Of two who want the same thing the one of higher rank (0 is the highest) gets it.
 */
#ifndef MU_CONFERENCE_H
#define MU_CONFERENCE_H

#include "directory/directory.h"

#define MU_MEMBERS_MAX	   512
#define MU_CONFERENCES_MAX 1024
#define MU_MEMBER_NAME_MAX 128 /* bytes of UTF-8 */
#define MU_RANK_MAX	   15
#define MU_TITLE_MAX	   201 /* bytes of UTF-8, with the NUL */
#define MU_LOUDEST_DEFAULT 5
#define MU_LOUDEST_MAX	   64

enum mu_role { MU_ROLE_CHAIR, MU_ROLE_PARTICIPANT, MU_ROLE_LISTENER };
const char *mu_role_name(enum mu_role r);
/** @return 0, -EINVAL */
int mu_role_parse(const char *text, enum mu_role *ret);

enum mu_layout {
	MU_LAYOUT_EQUAL,   /* all alike */
	MU_LAYOUT_SPEAKER, /* who speaks is large */
	MU_LAYOUT_CHOICE,  /* whom the chair broadcasts is large */
};
const char *mu_layout_name(enum mu_layout l);
int mu_layout_parse(const char *text, enum mu_layout *ret);

struct mu_member {
	char endpoint[MU_ID_MAX];
	char name[MU_MEMBER_NAME_MAX]; /* for people */
	enum mu_role role;
	unsigned rank;
	bool present; /* connected; else its place is kept */
	bool muted;
	bool muted_by_chair; /* only a chair may undo it */
	bool role_given;     /* its role is a chair's doing, not its token's */
	int64_t since_us;    /* present or absent since; wall clock */
	int64_t hand_us;     /* asks for the floor since; 0: does not */
	int64_t awaited_until_us; /* absent, but its floor, screen and hand are kept until then; monotonic, 0: they are not */
	char views[MU_ID_MAX]; /* whom this member alone watches large; "": what all see */
};
struct mu_conference;
struct mu_conferences;

/** Keeps what must outlive a restart. save with NULL: the conference ended. state is borrowed. Called after each change, never blocks. */
struct mu_conference_store {
	void (*save)(void *arg, const char *id, const json_t *state);
	void *arg;
};
int mu_conferences_new(struct mu_directory *d, const struct mu_conference_store *store, struct mu_conferences **ret);
void mu_conferences_free(struct mu_conferences *cs);
struct mu_conference_limits {
	unsigned loudest; /* audio tracks forwarded where who makes a conference does not say; 1..MU_LOUDEST_MAX */
	unsigned members; /* of one conference, 1..MU_MEMBERS_MAX */
};
/** May change while running: conferences that there are keep what they have. Without it: MU_LOUDEST_DEFAULT, MU_MEMBERS_MAX. */
void mu_conferences_limit(struct mu_conferences *cs, const struct mu_conference_limits *l);
/** Take a saved conference back after a restart: all members absent, with floor, screen and raised hands as they were, until
 *  mu_conferences_release_absent. @return 0, -EBADMSG (e says what is wrong), -EEXIST */
int mu_conferences_restore(struct mu_conferences *cs, const json_t *state, struct mu_error *e);
/** Who was awaited until now_us at most and is absent still loses floor and screen, and its hand goes down. INT64_MAX: also
 *  those of before the restart, once, some time after it. */
void mu_conferences_release_absent(struct mu_conferences *cs, int64_t now_us);
struct mu_conference *mu_conferences_find(struct mu_conferences *cs, const char *id);
/** Ordered by id: visit until false. */
void mu_conferences_each(struct mu_conferences *cs, bool (*fn)(void *arg, struct mu_conference *c), void *arg);

struct mu_conference_spec {
	const char *id;	   /* [A-Za-z0-9._-], 1..64 */
	const char *title; /* for people: not empty, nothing that steers a terminal or other text; NULL: the id */
	bool moderated;	   /* who has not the floor and is no chair is not heard */
	unsigned loudest;  /* audio tracks forwarded at most, to MU_LOUDEST_MAX; 0: the default */
	enum mu_layout layout;
};
/** @return 0, -EINVAL, -EEXIST, -ENOSPC, -ENOMEM; e says what and what to do */
int mu_conference_create(struct mu_conferences *cs, const struct mu_conference_spec *spec, struct mu_conference **ret,
	struct mu_error *e);
/** Everybody is told; c is gone. @return 0, -EPERM */
int mu_conference_end(struct mu_conference *c, const char *actor, struct mu_error *e);
const char *mu_conference_id(const struct mu_conference *c);
/** Audio tracks forwarded at most. */
unsigned mu_conference_loudest(const struct mu_conference *c);
/** State as the API shows it and the store keeps it; a new reference. */
json_t *mu_conference_json(const struct mu_conference *c);

/* --- members.c -------------------------------------------------------------------------------------------------------------- */

/** Come in, or come back: a member that was there before keeps role, mute and place in the queue; one that left keeps what a
 *  chair did to it: its role, its mute.
 *  @return 0, -EACCES (locked, and it was not there before; or it was removed), -ENOSPC, -EINVAL, -ENOMEM */
int mu_conference_join(struct mu_conference *c, const char *endpoint, const char *name, enum mu_role role, unsigned rank,
	struct mu_error *e);
/** Leave. The floor, the screen and the hand are let go. @return 0, -ENOENT */
int mu_conference_leave(struct mu_conference *c, const char *endpoint);
/** Its connection is lost: its place is kept, the floor is let go. */
void mu_conference_absent(struct mu_conference *c, const char *endpoint);
/** The same where it is on its way back already, in another session: what it has is kept until until_us (monotonic). */
void mu_conference_away(struct mu_conference *c, const char *endpoint, int64_t until_us);
/** Chairs and operators. It cannot come back until it is admitted. @return 0, -EPERM, -ENOENT */
int mu_conference_remove(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e);
/** Whoever was removed may come in again. Chairs and operators. @return 0, -EPERM, -ENOENT (it was not removed) */
int mu_conference_admit(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e);
int mu_conference_set_role(struct mu_conference *c, const char *actor, const char *endpoint, enum mu_role role,
	struct mu_error *e);
int mu_conference_lock(struct mu_conference *c, const char *actor, bool locked, struct mu_error *e);
/** Oneself, or a chair anyone. Whom a chair muted only a chair unmutes: -EPERM. */
int mu_conference_mute(struct mu_conference *c, const char *actor, const char *endpoint, bool muted, struct mu_error *e);
/** All but chairs. */
int mu_conference_mute_all(struct mu_conference *c, const char *actor, bool muted, struct mu_error *e);
const struct mu_member *mu_conference_member(const struct mu_conference *c, const char *endpoint);
size_t mu_conference_members(const struct mu_conference *c);
const struct mu_member *mu_conference_member_at(const struct mu_conference *c, size_t i);

/* --- act.c: what a member, a chair or an operator may do, by its name in messages and in the API --------------------------- */

enum mu_act {
	MU_ACT_FLOOR_REQUEST,
	MU_ACT_FLOOR_RELEASE,
	MU_ACT_FLOOR_GRANT,
	MU_ACT_FLOOR_REVOKE,
	MU_ACT_MUTE,
	MU_ACT_UNMUTE,
	MU_ACT_MUTE_ALL,
	MU_ACT_UNMUTE_ALL,
	MU_ACT_ROLE,
	MU_ACT_REMOVE,
	MU_ACT_ADMIT,
	MU_ACT_LOCK,
	MU_ACT_UNLOCK,
	MU_ACT_BROADCAST,
	MU_ACT_LARGE,
	MU_ACT_LAYOUT,
	MU_ACT_SCREEN_START,
	MU_ACT_SCREEN_STOP,
	MU_ACT_END,
};
/** "floor.request" and so on. */
const char *mu_act_name(enum mu_act a);
/** @return 0, -ENOTSUP: there is no such act */
int mu_act_parse(const char *name, enum mu_act *ret);
/** What an act is done to. */
enum mu_act_needs { MU_ACT_NOTHING, MU_ACT_ENDPOINT, MU_ACT_MAY_ENDPOINT, MU_ACT_ENDPOINT_VALUE, MU_ACT_VALUE };
enum mu_act_needs mu_act_needs(enum mu_act a);
/** Do it. c is gone after MU_ACT_END.
 *  @param actor           a member's endpoint, or NULL: an operator, who has no hand to raise and no screen of its own
 *  @param endpoint, value "" where the act needs none
 *  @return >= 0, or -errno with words in e: -EINVAL, -EPERM, -ENOENT, -EBUSY */
int mu_conference_act(struct mu_conference *c, const char *actor, enum mu_act a, const char *endpoint, const char *value,
	struct mu_error *e);

/* --- store.c: kept over a restart, in SQLite ------------------------------------------------------------------------------------ */

struct mu_conference_db;
/** Open or make the database and start the thread that writes it: nobody else waits for the disk. One that is damaged, or of
 *  a later version, is moved aside as it is, which is logged, and does not keep the gateway from starting. What may pass (a
 *  full disk, a program that holds the file, missing rights) is an error and leaves it where it is.
 *  @return 0, -EIO with text in e: what to do; -ENOMEM */
int mu_conference_db_new(const char *path, struct mu_conference_db **ret, struct mu_error *e);
/** Write what waits, end; what the disk refuses is logged, each conference by its id. Waits for the disk. Takes NULL. */
void mu_conference_db_free(struct mu_conference_db *db);
/** For mu_conferences_new; db outlives it. */
struct mu_conference_store mu_conference_db_store(struct mu_conference_db *db);
/** Take back what was kept when it was opened, once; what cannot be read is logged and stays in the file. @return how many */
unsigned mu_conference_db_restore(struct mu_conference_db *db, struct mu_conferences *cs);
struct mu_conference_db_stats {
	uint64_t saved, failed; /* conferences written; tries that failed, each of which is repeated */
	unsigned waiting;
};
struct mu_conference_db_stats mu_conference_db_stats(struct mu_conference_db *db);

/* --- floor.c ------------------------------------------------------------------------------------------------------------------ */

/** Ask for the floor. It is granted at once when it is free and the conference is not moderated, or to a chair, or when the
 *  holder's rank is lower: that one is told it was taken over. Else the hand is up, in a queue by rank, then time.
 *  @return 1 granted, 0 queued, -ENOENT, -EPERM (a listener) */
int mu_floor_request(struct mu_conference *c, const char *endpoint, struct mu_error *e);
/** Give it back, or take the hand down. The next in the queue gets it where the conference is not moderated. */
int mu_floor_release(struct mu_conference *c, const char *endpoint, struct mu_error *e);
/** A chair gives it to someone, hand up or not, or takes it from the holder; the next in the queue gets it then where the
 *  conference is not moderated. @return 0, -EPERM, -ENOENT, -EBUSY (who is absent is given nothing) */
int mu_floor_grant(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e);
int mu_floor_revoke(struct mu_conference *c, const char *actor, struct mu_error *e);
/** @return endpoint id, "" nobody */
const char *mu_floor_holder(const struct mu_conference *c);

/* --- stage.c ------------------------------------------------------------------------------------------------------------------ */

/** Start sharing a screen. One at a time: a higher rank takes over, else -EBUSY. */
int mu_screen_start(struct mu_conference *c, const char *endpoint, struct mu_error *e);
/** Oneself, or a chair. */
int mu_screen_stop(struct mu_conference *c, const char *actor, struct mu_error *e);
/** Show an endpoint large to all; NULL or "": nobody in particular. Chairs. */
int mu_conference_broadcast(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e);
/** Watch an endpoint large oneself; NULL or "": what all see. */
int mu_conference_view(struct mu_conference *c, const char *actor, const char *endpoint, struct mu_error *e);
int mu_conference_set_layout(struct mu_conference *c, const char *actor, enum mu_layout layout, struct mu_error *e);
/** Who speaks now, from the audio levels; not kept by the store. */
void mu_conference_speaks(struct mu_conference *c, const char *endpoint);

/** How urgent a track is to a member: what mu_claim.rank counts by. */
enum mu_urgency { MU_URGENT_COMMAND, MU_URGENT_SOS, MU_URGENT_SPEAKER, MU_URGENT_CONFERENCE, MU_URGENT_MONITOR };
/** One track that a member is to receive. */
struct mu_seen {
	const char *endpoint; /* the conference's: valid until its next change */
	const char *label;    /* "audio", "video", "screen" */
	enum mu_urgency urgency;
	bool large;
};
/** What member `endpoint` is to receive: of everyone else present, large ones first. Audio only of those who are heard.
 *  @return how many there are; at most max are written */
size_t mu_conference_seen(const struct mu_conference *c, const char *endpoint, struct mu_seen *ret, size_t max);
/** Whether the conference lets others hear it: present, not muted, no listener, and where moderated holder or chair. */
bool mu_conference_heard(const struct mu_conference *c, const char *endpoint);

#endif
