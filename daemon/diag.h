/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Diagnostics of one configuration file: errors and warnings with positions,
 * collected in any order and told in the order of the file.
 */
#ifndef XCT_DAEMON_DIAG_H
#define XCT_DAEMON_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/arena.h"
#include "daemon/config.h"

struct xct_pos {
	uint32_t line; /* from 1; 0: the file as a whole */
	uint32_t col;  /* from 1, in characters */
};

struct xct_diag {
	const char *file;	 /* borrowed */
	struct xct_arena *arena; /* borrowed */
	struct xct_diag_line *lines;
	uint32_t n;
	uint32_t size;
	unsigned int errors;
	unsigned int warnings;
	bool no_memory;
};

/* Always false, so that a reader can return what it says. */
bool xct_diag_error(struct xct_diag *diag, struct xct_pos at,
		    const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void xct_diag_warning(struct xct_diag *diag, struct xct_pos at,
		      const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Memory ran out: one error, however often it is said. Always false. */
bool xct_diag_no_memory(struct xct_diag *diag);

/* Sort, and write everything into @messages. */
void xct_diag_finish(struct xct_diag *diag, struct xct_messages *messages);

/* The beginning of @text for a message, cut at a character's border. */
struct xct_excerpt {
	char s[64];
};
struct xct_excerpt xct_excerpt(const char *text);

#endif
