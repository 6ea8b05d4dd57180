/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Helpers: they read in a connection which other ones its ends agree on. Each
 * protocol is one file in helper/ that exports one table of these operations;
 * which flows have a helper is for rules to say.
 *
 * A helper reads and writes text. What follows from it (what is expected, what
 * NAT makes of it, sequence numbers) is the same for all and stands in assist.c.
 */
#ifndef XCT_ENGINE_HELPER_H
#define XCT_ENGINE_HELPER_H

#include "daemon/engine/flow.h"

#define XCT_HELPER_TEXT_MAX 64 /* of an announcement */

/* Part of a packet's payload that says to where a connection will be. */
struct xct_announcement {
	uint32_t off; /* in the payload */
	uint32_t len;
	struct xct_addr addr;
	xct_be16 port;
	uint8_t family;
	uint8_t form; /* the helper's own affair */
};

enum xct_read {
	XCT_READ_NOTHING,
	XCT_READ_FOUND,	  /* the announcement is filled in */
	XCT_READ_PARTIAL, /* one that is cut off, or makes no sense */
};

/* The payload of a segment, as its sender's numbers have it. */
struct xct_speech {
	const uint8_t *data;
	uint32_t len; /* not 0 */
	uint32_t seq; /* of its first byte */
	uint8_t family;
	enum xct_dir dir;
	struct xct_addr sender;
};

struct xct_helper_ops {
	uint8_t proto;
	uint32_t timeout_s; /* how long something is expected */

	/* Does @speech announce a connection? .addr is where to, the sender's
	 * if it is not said. */
	enum xct_read (*read)(const struct xct_help *help,
			      const struct xct_speech *speech,
			      struct xct_announcement *a);

	/* It has passed: remember what the next one is read by. */
	void (*passed)(struct xct_help *help, const struct xct_speech *speech);

	/* @a, in the same form, as text. Returns its length. */
	uint32_t (*write)(const struct xct_announcement *a,
			  char text[static XCT_HELPER_TEXT_MAX]);
};

extern const struct xct_helper_ops xct_helper_ftp;

/* @id: enum xct_helper_id, not NONE. NULL: there is none like that. */
const struct xct_helper_ops *xct_helper(uint8_t id);

#endif
