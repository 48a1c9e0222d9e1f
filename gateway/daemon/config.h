/* config: what musterd is told by its file. Private to daemon. Control thread; no global state.
 *
 * The rows of schema.c say which keys there are; each row fills one field below. Paths in a configuration are relative to
 * the file that names them, and absolute here.
 */
#ifndef MU_DAEMON_CONFIG_H
#define MU_DAEMON_CONFIG_H

#include "net/net.h"

#define MU_CONFIG_LIST_MAX     MU_NET_LISTEN_MAX /* items of one list */
#define MU_CONFIG_FILE_MAX     (256 * 1024)	 /* bytes */
#define MU_CONFIG_PROBLEMS_MAX 100		 /* past it a file is not looked at further */

struct mu_addr_list {
	struct mu_addr items[MU_CONFIG_LIST_MAX];
	unsigned n;
};
struct mu_text_list {
	char *items[MU_CONFIG_LIST_MAX];
	unsigned n;
};
/** Indexes into the words of the option. */
struct mu_word_list {
	int items[MU_CONFIG_LIST_MAX];
	unsigned n;
};

struct mu_config {
	char *path; /* of the file */
	char *site;
	char *state; /* folder; NULL: nothing is kept */
	bool insecure_bench;
	struct {
		struct mu_addr_list listen;
		char *certificate, *key; /* NULL: plain HTTP */
		bool insecure_plain;
	} http;
	struct {
		int64_t workers; /* 0: one a core */
		int64_t port;	 /* 0: any free one */
		struct mu_addr_list listen, advertise;
		struct mu_addr_list tcp; /* as written: mu_config_tcp says what it stands for */
		int64_t tcp_per_address;
		int64_t gather_us;
		bool pin;
		int64_t receive_buffer, send_buffer; /* bytes */
		int64_t packets;
	} media;
	struct {
		struct mu_text_list servers; /* RFC 7064, RFC 7065 */
		char *secret_file, *username_file, *password_file; /* NULL: none */
		int64_t lifetime_us;
	} ice;
	struct {
		int engine; /* index into mu_words_engine */
		struct mu_word_list profiles;
	} srtp;
	struct {
		struct mu_text_list keys;
	} auth;
	struct {
		int64_t hold_us;
		int second_publisher; /* enum mu_second_publisher */
	} endpoints;
	struct {
		int64_t loudest, members;
	} conference;
	struct {
		int64_t sessions;
		int64_t publisher_bps;
		int64_t sessions_per_token;
	} limits;
	struct {
		int level;  /* enum mu_log_level */
		int target; /* enum mu_log_target */
	} log;
	struct {
		int64_t deadline_us;
	} drain;
	struct {
		bool core_dumps;
	} debug;
};

/** What is wrong with a configuration: all of it, in the order of the file. Zero-initialised; mu_problems_done frees. */
struct mu_problems {
	char **text; /* "file:line: key: what is wrong and what is allowed" */
	unsigned *line;
	unsigned n;
};
/** Note one; text beyond the limit of problems is dropped. @param line 0: the file as a whole */
void mu_problems_add(struct mu_problems *p, const char *file, unsigned line, const char *fmt, ...) MU_PRINTF(4, 5);
/** By line, those of a line in the order they were found. */
void mu_problems_sort(struct mu_problems *p);
void mu_problems_done(struct mu_problems *p);

/** Read, fill in defaults, check every row and the rules between rows. Touches no file but this one.
 *  @param ret owned by the caller; written only on success
 *  @return 0; -EINVAL: p has at least one line more; -ENOMEM */
int mu_config_load(const char *path, struct mu_config **ret, struct mu_problems *p);
/** The same for text in memory. `path` is what problems name and what relative paths start from. */
int mu_config_parse(const char *text, size_t len, const char *path, struct mu_config **ret, struct mu_problems *p);
/** Takes NULL. */
void mu_config_free(struct mu_config *c);

/** The rules between rows (rules.c). `line` has the line of each option, 0 for defaults; NULL: none is known.
 *  @return 0, -EINVAL with lines in p */
int mu_config_check(const struct mu_config *c, const unsigned *line, struct mu_problems *p);
/** Where worker 0 listens on TCP, as media.tcp says with the addresses and the port of media.listen and media.port.
 *  @return how many; those past MU_NET_LISTEN_MAX are not in ret */
unsigned mu_config_tcp(const struct mu_config *c, struct mu_addr ret[MU_NET_LISTEN_MAX]);
/** Whether the files it names can be read. Apart from mu_config_load, so that an example can be checked anywhere.
 *  @return 0, -EINVAL with lines in p */
int mu_config_check_files(const struct mu_config *c, struct mu_problems *p);
/** What a start should warn of: every insecure setting, and settings that are likely not meant. */
void mu_config_warnings(const struct mu_config *c, struct mu_problems *p);

/** Take the reloadable rows that differ from `next` by swapping them with it: a second call undoes the first.
 *  @param taken, kept  called with the path of each row that differs: reloadable, and not; either may be NULL */
void mu_config_swap(struct mu_config *c, struct mu_config *next, void (*taken)(const char *path),
	void (*kept)(const char *path));

#endif
