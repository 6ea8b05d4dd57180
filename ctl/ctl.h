/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of xctctl share: a command's row in the table of main.c, what
 * it is run with, and its exit codes. Only main.c exits.
 */
#ifndef XCT_CTL_CTL_H
#define XCT_CTL_CTL_H

#include "ctl/filter.h"

enum xct_exit {
	XCT_EXIT_OK = 0,
	XCT_EXIT_FAILED = 1, /* also: get, delete, update matched none */
	XCT_EXIT_USAGE = 2,
	XCT_EXIT_UNREACHABLE = 3,
	XCT_EXIT_CONFIG = 4,
};

/* What a command is run with. */
struct xct_ctl {
	const char *socket;
	struct xct_query query; /* the options, parsed */
	bool is_load;		/* a line of a file: say only what is wrong */
	int argc;		/* words that are no options */
	char **argv;
};

struct xct_command {
	const char *name;
	const char *old_name; /* conntrack's long option, NULL: none */
	char letter;	      /* conntrack's short one, 0: none */
	uint8_t max_args;     /* words it takes */
	struct xct_query_rules rules;
	enum xct_exit (*run)(const struct xct_ctl *ctl);
	const char *help;
};

/* Print "xctctl vX (xct): ..." and a newline on stderr, as conntrack does. */
void xct_ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is said from now on is about that line of a file; 0: of none. */
void xct_ctl_say_line(unsigned int number);

/* flows.c */
enum xct_exit xct_ctl_list(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_get(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_delete(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_flush(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_count(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_create(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_add(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_update(const struct xct_ctl *ctl);

/* events.c */
enum xct_exit xct_ctl_events(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_expect_events(const struct xct_ctl *ctl);

/* snapshot.c */
enum xct_exit xct_ctl_save(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_load(const struct xct_ctl *ctl);

/* report.c */
enum xct_exit xct_ctl_stats(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_cpu_stats(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_expect_stats(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_rules(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_status(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_hooks(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_version(const struct xct_ctl *ctl);

/* config.c */
enum xct_exit xct_ctl_check(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_reload(const struct xct_ctl *ctl);

#endif
