/* schema: the one table of options. The parser, `musterd --print-options` and docs/configuration.md come from it. */
#ifndef MU_DAEMON_SCHEMA_H
#define MU_DAEMON_SCHEMA_H

#include <stdio.h>

#include "daemon/config.h"

enum mu_option_type { /* and the field it fills */
	MU_OPTION_BOOL,	     /* bool */
	MU_OPTION_INT,	     /* int64_t */
	MU_OPTION_DURATION,  /* int64_t, microseconds */
	MU_OPTION_SIZE,	     /* int64_t, bytes */
	MU_OPTION_BITRATE,   /* int64_t, bits a second */
	MU_OPTION_SITE,	     /* char * */
	MU_OPTION_WORD,	     /* int, index into words */
	MU_OPTION_FILE,	     /* char *, absolute path */
	MU_OPTION_FOLDER,    /* char *, absolute path */
	MU_OPTION_FILES,     /* struct mu_text_list, absolute paths */
	MU_OPTION_URLS,	     /* struct mu_text_list, of STUN and TURN servers */
	MU_OPTION_WORDS,     /* struct mu_word_list */
	MU_OPTION_SOCKETS,   /* struct mu_addr_list: address and port */
	MU_OPTION_HOSTS,     /* struct mu_addr_list: addresses without a port */
	MU_OPTION_ADDRESSES, /* struct mu_addr_list: addresses, with a port or without */
	MU_OPTION_PLACES,    /* the same, and ports without an address (of no family); one alone needs no list */
};
struct mu_option {
	const char *path; /* "http.listen" */
	enum mu_option_type type;
	const char *def; /* as in a file, lists separated by spaces; NULL: none */
	bool required;
	bool reloadable;
	int64_t min, max;	  /* of numbers */
	const char *zero;	  /* a word that stands for 0, beside the range; NULL: none */
	const char *const *words; /* what WORD and WORDS may be, NULL-terminated */
	size_t at;		  /* of the field in struct mu_config */
	const char *help;
};
extern const struct mu_option mu_options[];
extern const size_t mu_n_options;
#define MU_OPTIONS_MAX 64 /* >= mu_n_options */

extern const char *const mu_words_engine[];
extern const char *const mu_words_profile[];

/** @return index into mu_options, -1: no such option */
int mu_option_find(const char *path);
/** Whether options lie below it: "http". */
bool mu_option_is_group(const char *path);
/** The option or group most like it. @return NULL: none is */
const char *mu_option_nearest(const char *path, char *ret, size_t size);
/** What a value may be: "a duration from 0 to 5ms". @return ret */
char *mu_option_allowed(const struct mu_option *o, char *ret, size_t size);
bool mu_option_is_list(const struct mu_option *o);
/** Bytes of its field. */
size_t mu_option_size(const struct mu_option *o);

/** Set a value, or append one to a list. Paths become absolute below `folder`. @return 0; -EINVAL: not allowed;
 *  -EEXIST: in the list already; -ENOSPC: the list is full; -ENOMEM */
int mu_option_set(const struct mu_option *o, struct mu_config *c, const char *folder, const char *text);
bool mu_option_equal(const struct mu_option *o, const struct mu_config *a, const struct mu_config *b);
void mu_option_clear(const struct mu_option *o, struct mu_config *c);

/** docs/configuration.md: all options as markdown. */
void mu_options_print(FILE *f);

#endif
