/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rules.yaml, read and compiled: what xctd does with its configuration file.
 *
 * Loading has three steps, each of which finds every error it can:
 * yaml.c (text -> nodes with positions), config*.c (nodes -> settings, rules),
 * compile.c (names -> sets; overlapping ranges merged).
 */
#ifndef XCT_DAEMON_CONFIG_H
#define XCT_DAEMON_CONFIG_H

#include "daemon/engine/engine.h"

enum xct_hooks_mode { XCT_HOOKS_AUTO, XCT_HOOKS_MANUAL };

struct xct_settings {
	uint32_t table_size;
	struct xct_l4_config l4;
	bool accounting;
	bool timestamps; /* say when flows began */
	uint16_t queue_first;
	uint16_t workers;      /* 0: auto */
	uint32_t queue_length; /* packets that may wait in each queue */
	uint32_t busy_poll_us; /* to look for packets before waiting */
	bool fail_open;	       /* queue: on-failure: accept */
	uint32_t mark_mask;    /* two adjacent bits */
	enum xct_hooks_mode hooks;
	char snapshot[256];	/* of a clean stop, read at a start; "": none */
	char control_group[32]; /* may read over the control socket; "": none */
};

/* One configuration; owns all its memory. */
struct xct_config {
	struct xct_settings settings;
	struct xct_ruleset ruleset;
	char *text; /* that it was loaded from; NULL: it was only parsed */
	size_t len;
	void *arena; /* opaque */
};

/* A list of messages, "file:line:col: what is wrong, what was expected". */
struct xct_messages {
	char *text; /* lines, NUL terminated; NULL if there is none */
	size_t len;
	unsigned int errors;
	unsigned int warnings;
};

void xct_settings_default(struct xct_settings *settings);

/*
 * Read @path ("-": standard input). NULL on any error: @messages then has all
 * of them, one a line, in the order of the file. Warnings may be there in
 * either case. @messages is the caller's: xct_messages_fini().
 */
struct xct_config *xct_config_load(const char *path,
				   struct xct_messages *messages);

/* The same for text in memory; @name stands for the file in messages. */
struct xct_config *xct_config_parse(const char *name, const char *text,
				    size_t len, struct xct_messages *messages);

void xct_config_free(struct xct_config *config); /* NULL accepted */

void xct_messages_fini(struct xct_messages *messages);

#endif
